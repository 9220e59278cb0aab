#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The verbs of `umbra` that talk to umbrad, against one that really measures and switches."""
import json
import os
import re
import signal

import jsonschema

from daemon_fixture import (HALTED, TRIPLE_FAULT, Umbrad, endless, run_tests, shipped, wait_for)

COLUMNS = 100
PHASES = "rounds=0 phases=1000 pages=4096 tlb=1500000 table=100000"

umbrad = Umbrad({
    "phases": shipped("phases", PHASES, mode="auto", memory="128M"),
    "gups": endless(mode="ept"),
    "churn": shipped("churn", "rounds=0", mode="shadow"),
    "bare": endless(mode="bare"),
    "dead": {"image": "triple", "memory": "2M", "mode": "ept"},
    "-a-name-of-24-characters": endless(mode="ept"),
    "a-guest-whose-name-is-as-long-as-allowed": {"image": "halted", "memory": "2M"},
}, {"triple": TRIPLE_FAULT, "halted": HALTED})


def umbra(*words, status=0):
    """Standard output of the verb, whose tables fit a terminal."""
    done = umbrad.umbra(*words)
    assert done.returncode == status, (words, done)
    assert bool(done.stderr) == bool(status), (words, done)
    if "--json" not in words and words[0] != "metrics":
        for line in done.stdout.splitlines():
            assert len(line) <= COLUMNS or umbrad.socket in line, line
    return done.stdout


def as_json(schema, *words):
    """What the verb says to programs, which its schema allows."""
    answer = json.loads(umbra(words[0], "--json", *words[1:]))
    jsonschema.validate(answer, umbrad.ask(f"/schemas/{schema}.json").json())
    return answer


def switched_decision():
    """A decision of phases that switched it, and of which is known what came of it."""
    def known():
        rows = umbrad.ask("/api/v1/guests/phases/decisions?limit=1000").json()["decisions"]
        return next((row for row in rows if row["action"] == "switch" and row["after"]), None)
    return wait_for(known, 120)


def row_of(table, first):
    """The cells of the line that begins with @first."""
    return next(line.split() for line in table.splitlines() if line.split()[:1] == [first])


def million(cycles):
    return f"{cycles / 1e6:.2f}"


def guests_says_what_each_does_and_why_it_was_switched():
    wait_for(lambda: umbrad.guest("dead")["state"] == "ended", 20)
    switched_decision()
    # Its first fills are behind it.
    wait_for(lambda: umbrad.guest("gups")["instructions"] > 30000000, 120)
    listed = {guest["id"]: guest for guest in as_json("guests", "guests")["guests"]}
    assert set(listed) == set(umbrad.guests)
    table = umbra("guests")
    assert row_of(table, "gups")[1:5] == ["running", "ept", "pinned", "configuration"], table
    assert row_of(table, "churn")[1:4] == ["running", "shadow", "pinned"], table
    assert row_of(table, "dead")[1] == "ended" and "triple_fault" in table, table
    # Walks cost gups most, exits churn.
    shares = {name: [float(cell[:-1]) for cell in row_of(table, name)[-3:-1]]
              for name in ("gups", "churn")}
    assert shares["gups"][0] > shares["gups"][1], table
    assert shares["churn"][1] > shares["churn"][0], table

    def reason():
        """The line below phases, once the journal has the decision behind its last switch."""
        lines = umbra("guests").splitlines()
        line = lines[next(i for i, one in enumerate(lines) if one.startswith("phases")) + 1]
        return re.search(r"switched from \w+ to \w+ \(decision \d+\): \d+% fewer cycles "
                         r"expected; it|back from \w+ to \w+ \(decision \d+\)", line)
    wait_for(reason, 20)


def guests_is_one_request_however_many_switched():
    def answered():
        return int(re.search(r'^umbra_http_requests_total{listener="unix",code="200"} (\d+)$',
                             umbrad.ask("/metrics").body.decode(), re.M).group(1))
    switched = [guest["id"] for guest in umbrad.ask("/api/v1/guests").json()["guests"]
                if "last_switch" in guest]
    assert switched, "none has switched"
    before = answered()
    told = umbra("guests")
    assert "switched from" in told or "back from" in told, told
    # A new snapshot has the count.
    wait_for(lambda: answered() == before + 1, 10)


def guests_names_the_operator_who_switched():
    assert "switched from shadow to ept" in umbra("mode", "churn", "ept")
    assert "policy pinned" in umbra("mode", "churn")

    def shown():
        lines = umbra("guests").splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("churn"))
        return "switched from shadow to ept by an operator" in lines[at + 1]
    wait_for(shown, 10)
    assert "operator" in row_of(umbra("guests"), "churn"), umbra("guests")
    umbra("mode", "churn", "shadow")


def show_has_measures_switches_and_the_last_decision_in_words():
    switched_decision()
    shown = umbra("show", "phases")
    assert row_of(shown, "walks.cycles") and row_of(shown, "policy")[1] == "auto", shown
    assert "INSTRUCTION FROM" in shown and "policy" in shown, shown
    assert re.search(r"^last decision, \d+: \w+: .{10}", shown, re.M), shown
    assert as_json("guest", "show", "phases")["id"] == "phases"


def mode_shows_and_changes_mode_and_policy():
    as_json("mode", "mode", "gups")
    changed = as_json("mode", "mode", "gups", "shadow")
    assert (changed["from"], changed["to"], changed["policy"]) == ("ept", "shadow", "pinned")
    assert umbra("mode", "gups") == "gups: mode shadow, policy pinned\n"
    assert "mode shadow, policy advise" in umbra("mode", "gups", "advise")
    assert "switched from shadow to ept" in umbra("mode", "gups", "ept")


def decisions_are_a_table_in_which_stays_are_counted():
    decision = switched_decision()
    rows = as_json("decisions", "decisions", "--limit", "1000", "phases")["decisions"]
    table = umbra("decisions", "--limit", "1000", "phases")
    row = row_of(table, str(decision["id"]))
    assert row[2] == decision["mode"] and "to" in row and decision["target"] in row, row
    for mode in ("brute", "shadow", "ept"):
        assert million(decision["cost"][mode]["cycles"]) in row, (mode, row)
    assert decision["reason"] in row and row[-1] == ("yes" if decision["after"]["paid"] else "no")
    many = next(one for one in rows if one["count"] > 1 and one["id"] < rows[-1]["id"])
    assert row_of(table, str(many["id"]))[1] == f"x{many['count']}", table
    assert len(umbra("decisions", "--limit", "1", "phases").splitlines()) == 4


def a_switch_is_explained_with_its_modes_and_numbers():
    decision = switched_decision()
    told = umbra("decisions", "--explain", str(decision["id"]), "phases")
    words = " ".join(told.split())
    assert f"decision {decision['id']} of phases, {decision['at']}" in words, told
    inputs = decision["inputs"]
    assert f"{decision['mode']} was on." in words, told
    for count in ("walks", "exits"):
        assert f"{inputs[count]['value']:,}" in words, (count, told)
    assert f"{million(inputs['walk_cycles']['value'])} million cycles" in words, told
    on = decision["cost"][decision["mode"]]["cycles"]
    for mode, cost in decision["cost"].items():
        assert re.search(rf"{mode} +{million(cost['cycles'])} ", told), (mode, told)
        if mode != decision["mode"]:
            assert f"+- {million(cost['uncertainty'])}" in words, told
            assert f"{abs(100 * (cost['cycles'] - on) / on):.1f}% " in words, told
    assert f"A switch to {decision['rival']}, the best of the others, costs " \
           f"{million(decision['switch_cost'])} million cycles" in words, told
    assert f"have saved {million(decision['threshold'])} million; that is " \
           f"{million(decision['advantage'])} by now" in words, told
    assert f"The guest was switched to {decision['target']} ({decision['reason']}): " in words, told
    after = decision["after"]
    assert f"an instruction cost {after['cycles_per_instruction']:.3f} cycles, before " \
           f"{after['cycles_per_instruction_before']:.3f}" in words, told
    assert ("The switch paid." if after["paid"] else "The switch did not pay.") in words, told
    alone = as_json("decision", "decisions", "--explain", str(decision["id"]), "phases")
    assert alone["id"] == decision["id"]


def stays_are_explained_by_any_of_their_numbers():
    switched_decision()
    rows = umbrad.ask("/api/v1/guests/phases/decisions?limit=1000").json()["decisions"]
    many = next(row for row in rows if row["count"] > 1)
    told = umbra("decisions", "--explain", str(many["first_id"]), "phases")
    assert re.search(rf"It is the last of \d+ decisions from {many['first_id']} on to stay for the "
                     r"same reason", told), told
    assert f"The guest stayed in {many['mode']} ({many['reason']}): " in told, told


def a_decision_that_is_not_kept_is_refused_by_number():
    for number in ("0", "1000000000", "18446744073709551615"):
        done = umbrad.umbra("decisions", "--explain", number, "phases")
        assert done.returncode == 66 and f"no decision {number}" in done.stderr, done


def pinned_guests_are_told_what_their_mode_costs():
    def decided():
        return umbrad.ask("/api/v1/guests/churn/decisions?limit=1").json()["decisions"]
    wait_for(decided, 20)
    told = umbra("decisions", "--explain", str(decided()[0]["id"]), "churn")
    assert "the mode is pinned" in told and "What the interval cost" in told, told


def advise_compares_and_gives_the_command_that_works():
    umbra("mode", "gups", "ept")
    umbra("mode", "gups", "advise")
    umbra("mode", "churn", "shadow")

    def ready():
        told = {one["id"]: one for one in as_json("advice", "advise")["guests"]}
        return told if "command" in told["gups"] and "command" in told["churn"] else None
    told = wait_for(ready, 60)
    assert told["gups"]["rival"] in ("shadow", "brute") and told["gups"]["sure"], told
    assert told["gups"]["difference_percent"] < -2 and not told["gups"]["acts"], told
    assert told["churn"]["rival"] == "ept" and told["churn"]["difference_percent"] < -50, told
    assert told["phases"]["acts"] and "command" not in told["phases"], told
    assert "bare has no VMM" in told["bare"]["advice"], told
    assert told["dead"]["advice"] == "the guest is ended", told
    table = umbra("advise")
    assert told["churn"]["command"] in table, table
    one = umbra("advise", "churn")
    assert "churn" in one and "gups" not in one, one
    words = told["churn"]["command"].split()
    assert words[0] == "umbra" and words[2:4] == ["--socket", umbrad.socket], words

    def obeyed():
        # A busy machine may let a worker's answer come too late; then the next word finds it done.
        done = umbrad.umbra(words[1], *words[4:])
        if done.returncode:
            print(f"# {done.stderr.strip()}")
        return not done.returncode
    wait_for(obeyed, 60)
    assert umbrad.guest("churn")["mode"] == "ept"
    umbra("mode", "churn", "shadow")


def a_name_that_looks_like_an_option_is_a_name_behind_two_dashes():
    umbra("mode", "--", "-a-name-of-24-characters", "advise")
    assert "mode ept, policy advise" in umbra("mode", "--", "-a-name-of-24-characters")

    def command():
        told = {one["id"]: one for one in as_json("advice", "advise")["guests"]}
        return told["-a-name-of-24-characters"].get("command")
    words = wait_for(command, 60).split()
    assert words[4:6] == ["--", "-a-name-of-24-characters"], words
    assert "switched from ept" in umbra(words[1], *words[4:])


def translate_says_where_an_address_leads_in_each_mode():
    answer = as_json("translation", "translate", "gups", "0x100000")
    told = umbra("translate", "gups", "0x100000")
    assert "read of GVA 0x100000 by the supervisor" in told, told
    entry = answer["guest"]["entries"][-1]
    assert f"{entry['entry']} " in told and f"at GPA {entry['gpa']}" in told, told
    own = next(walk for walk in answer["walks"] if walk["on"])
    assert f"{own['mode']}, which is on: {len(own['steps'])} references" in told, told
    for walk in answer["walks"]:
        assert re.search(rf"^{walk['mode']}[:,]", told, re.M), told
        assert f": {walk['references']} references, an entry of the TLB for" in told, told
    assert f"HPA {own['hpa']}" in told, told
    told = umbra("translate", "--access", "w", "--mode", "ept", "gups", "0xffff800000000000")
    assert "write of GVA" in told and "the guest gets a page fault, error code 0x2 (W)" in told
    assert "shadow" not in told, told


def metrics_are_those_of_umbrad():
    text = umbra("metrics")
    assert "# TYPE umbra_guest_walks_total counter" in text, text[:1000]
    assert 'umbra_guest_mode{guest="churn",mode="shadow"} 1' in text
    opened = umbra("metrics", "--openmetrics")
    assert 'guest="churn"' in opened


def freeze_and_thaw_are_told_and_seen():
    told = umbra("freeze")
    assert told.startswith("frozen: "), told
    assert umbrad.ask("/api/v1/host").json()["frozen"] is True
    refused = umbrad.umbra("mode", "churn", "ept")
    assert refused.returncode == 69 and "froz" in refused.stderr, refused
    told = {one["id"]: one for one in as_json("advice", "advise")["guests"]}
    assert not told["phases"]["acts"], told
    assert told["churn"]["command"] == f"umbra thaw --socket {umbrad.socket}", told
    assert as_json("host", "thaw")["frozen"] is False
    assert "switched" in umbra("mode", "churn", "ept")
    umbra("mode", "churn", "shadow")


def long_names_do_not_break_the_table():
    name = "a-guest-whose-name-is-as-long-as-allowed"
    lines = umbra("guests").splitlines()
    at = lines.index(name)
    assert lines[at + 1].split()[:2] == ["running", "ept"], lines


def wrong_words_are_refused_by_status():
    for words, status, text in (
            (("show",), 64, "usage"), (("show", "gups", "bare"), 64, "usage"),
            (("show", "nobody"), 66, "no guest"), (("mode", "gups", "fast"), 64, "fast"),
            (("mode", "bare", "ept"), 69, "bare"), (("guests", "--limit", "1"), 64, "limit"),
            (("decisions", "--limit", "x", "gups"), 64, "--limit: a whole number"),
            (("decisions", "--explain", "-1", "gups"), 64, "--explain: a whole number"),
            (("decisions", "--explain", "1", "--limit", "1", "gups"), 64, "exclude"),
            (("decisions", "--explain", "1", "nobody"), 66, "no guest"),
            (("advise", "gups", "churn"), 64, "usage"), (("advise", "nobody"), 66, "no guest"),
            (("freeze", "gups"), 64, "usage"),
            (("metrics", "--json"), 64, "json"), (("translate", "gups"), 64, "usage"),
            (("translate", "gups", "x&y"), 64, "GVA"),
            (("translate", "gups", "0x800000000000"), 64, "canonical"),
            (("translate", "--access", "rw", "gups", "0x1"), 64, "access"),
            (("translate", "--cpu", "9", "gups", "0x1"), 64, "vCPU 9"),
            (("translate", "--mode", "fast", "gups", "0x1"), 64, "mode"),
            (("translate", "dead", "0x1"), 69, "ended"),
            (("translate", "nobody", "0x1"), 66, "no guest"),
            (("top",), 64, "not in this build"), (("nonsense",), 64, "no such verb")):
        done = umbrad.umbra(*words)
        assert done.returncode == status and text in done.stderr, (words, status, text, done)
        assert not done.stdout, (words, done)


def without_umbrad_every_verb_names_the_socket():
    for words in (("guests",), ("show", "gups"), ("mode", "gups"), ("decisions", "gups"),
                  ("advise",), ("translate", "gups", "0x1"), ("metrics",), ("freeze",), ("thaw",)):
        done = umbrad.umbra(words[0], "--socket", "/nonexistent", *words[1:])
        assert done.returncode == 70 and "/nonexistent" in done.stderr, (words, done)


def a_worker_that_hangs_is_no_answer():
    pid = umbrad.guest("gups")["pid"]
    os.kill(pid, signal.SIGSTOP)
    done = umbrad.umbra("translate", "gups", "0x100000")
    os.kill(pid, signal.SIGCONT)
    assert done.returncode == 70 and "did not answer" in done.stderr, done


if __name__ == "__main__":
    with umbrad:
        run_tests((
            guests_says_what_each_does_and_why_it_was_switched,
            guests_is_one_request_however_many_switched,
            guests_names_the_operator_who_switched,
            show_has_measures_switches_and_the_last_decision_in_words,
            mode_shows_and_changes_mode_and_policy,
            decisions_are_a_table_in_which_stays_are_counted,
            a_switch_is_explained_with_its_modes_and_numbers,
            stays_are_explained_by_any_of_their_numbers,
            a_decision_that_is_not_kept_is_refused_by_number,
            pinned_guests_are_told_what_their_mode_costs,
            advise_compares_and_gives_the_command_that_works,
            a_name_that_looks_like_an_option_is_a_name_behind_two_dashes,
            translate_says_where_an_address_leads_in_each_mode,
            metrics_are_those_of_umbrad,
            freeze_and_thaw_are_told_and_seen,
            long_names_do_not_break_the_table,
            wrong_words_are_refused_by_status,
            without_umbrad_every_verb_names_the_socket,
            a_worker_that_hangs_is_no_answer,
        ))
