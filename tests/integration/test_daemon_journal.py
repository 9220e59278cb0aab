#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""umbrad's journal: what is in its file, and what a death or a bad disk leaves of it; freeze and thaw."""
import ctypes
import datetime
import json
import os
import random
import re
import signal
import sqlite3
import time

import jsonschema

from daemon_fixture import Umbrad, give_to_daemon, is_alive, run_tests, shipped, wait_for

# Phases of a few intervals each: its policy switches again and again.
SWITCHING = shipped("phases", "rounds=0 phases=1000000 pages=4096 tlb=600000 table=60000 seed=1",
                    mode="auto", interval=1000000)
# Nothing ever happens to it but decisions.
STAYING = shipped("gups", "rounds=0 pages=512", mode="ept")
KILLS = 10


def journal_file(umbrad):
    return os.path.join(umbrad.state, "journal.sqlite")


def query(umbrad, sql, *values):
    """Rows of the file, read by somebody else than umbrad."""
    connection = sqlite3.connect(f"file:{journal_file(umbrad)}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def decisions(umbrad, name, limit=1000):
    return umbrad.ask(f"/api/v1/guests/{name}/decisions?limit={limit}").json()["decisions"]


def host(umbrad):
    return umbrad.ask("/api/v1/host").json()


def metric(umbrad, name):
    found = re.search(rf"^{name} (\d+)$", umbrad.ask("/metrics").body.decode(), re.MULTILINE)
    return int(found.group(1))


def put_frozen(umbrad, frozen):
    return umbrad.ask("/api/v1/host", "PUT", json.dumps({"frozen": frozen}), local=True)


def schema_of(umbrad, name):
    return jsonschema.Draft202012Validator(umbrad.ask(f"/schemas/{name}.json").json())


def change_config(umbrad, old, new):
    with open(umbrad.config, encoding="utf-8") as file:
        text = file.read()
    assert old in text
    with open(umbrad.config, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))


def wait_switches(umbrad, name, number, seconds=60):
    """The guest as soon as it has made @number switches."""
    def made():
        guest = umbrad.guest(name)
        return guest if guest["switches"] and guest["switches"][-1]["number"] >= number else None
    return wait_for(made, seconds)


def file_holds_what_the_api_shows():
    with Umbrad({"switching": SWITCHING, "staying": STAYING}) as umbrad:
        wait_switches(umbrad, "switching", 4)
        wait_for(lambda: decisions(umbrad, "staying")[-1:] and
                 decisions(umbrad, "staying")[-1]["id"] > 20, 30)
        for name in ("switching", "staying"):
            shown = decisions(umbrad, name)
            schema_of(umbrad, "decisions").validate({"decisions": shown})
            rows = query(umbrad, "SELECT first_id, last_id, count, mode, action, target, reason,"
                         " time, at, record FROM decision WHERE guest = ? ORDER BY first_id", name)
            # The last row may have gone on since.
            for one, row in zip(shown[:-1], rows):
                record = json.loads(row[9])
                assert row[:8] == tuple(one[key] for key in (
                    "first_id", "id", "count", "mode", "action", "target", "reason", "time"))
                at = datetime.datetime.fromtimestamp(row[8] / 1000, datetime.timezone.utc)
                assert one["at"] == at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
                assert abs(time.time() - row[8] / 1000) < 300
                assert record["inputs"] == one["inputs"] and record["cost"] == one["cost"]
            assert len(rows) >= len(shown) > 0
        # Each number once, none left out; what repeats itself is one row.
        for one, row in zip(shown, shown[1:]):
            assert one["id"] + 1 == row["first_id"]
            assert (one["mode"], one["reason"]) != (row["mode"], row["reason"])
        assert [one["reason"] for one in shown] == ["pinned"] and shown[0]["count"] > 20
        guest = umbrad.guest("switching")
        schema_of(umbrad, "guest").validate(guest)
        assert [one["number"] for one in guest["switches"]] == list(
            range(guest["switches"][0]["number"], guest["switches"][-1]["number"] + 1))
        rows = query(umbrad, 'SELECT number, "from", "to", reason FROM switch'
                     " WHERE guest = 'switching' ORDER BY number")
        for one, row in zip(guest["switches"], rows):
            assert row == tuple(one[key] for key in ("number", "from", "to", "reason"))
        # A switch was decided, so its decision is there, and with what came of it.
        decided = [one for one in decisions(umbrad, "switching") if one["action"] != "stay"]
        assert any(one["after"] for one in decided)
        journal = host(umbrad)["journal"]
        assert journal["state"] == "ok" and journal["path"] == journal_file(umbrad)
        assert journal["dropped"] == 0 and journal["rows"] > 4
        assert journal["bytes"] >= os.path.getsize(journal_file(umbrad))
        assert metric(umbrad, "umbra_journal_up") == 1
        assert metric(umbrad, "umbra_journal_rows") >= journal["rows"]
        assert metric(umbrad, "umbra_journal_size_bytes") > 0
        assert metric(umbrad, "umbra_journal_dropped_total") == 0
        assert metric(umbrad, "umbra_frozen") == 0


def killed_umbrad_loses_nothing_older_than_a_second():
    random.seed(5)
    guests = {"switching": SWITCHING, "staying": STAYING, "told": STAYING}
    with Umbrad(guests) as umbrad:
        wait_switches(umbrad, "switching", 1)
        assert umbrad.put_mode("told", mode="brute").status == 200
        for _ in range(KILLS):
            told = random.choice(("brute", "shadow", "ept"))
            policy = random.choice(("auto", "advise", "pinned"))
            until = time.monotonic() + random.uniform(0.2, 2.5)
            seen = {}
            while time.monotonic() < until:
                for name in guests:
                    newest = decisions(umbrad, name, 1)
                    seen.setdefault(name, []).append(
                        (time.monotonic(), newest[-1]["id"] if newest else 0))
            # The operator's last word: answered, so kept.
            assert umbrad.put_mode("told", mode=told).status == 200
            assert umbrad.put_mode("staying", policy=policy).status == 200
            pids = [umbrad.guest(name)["pid"] for name in guests]
            umbrad.process.kill()
            killed = time.monotonic()
            umbrad.process.wait()
            wait_for(lambda: not any(is_alive(pid) for pid in pids), 5)
            assert query(umbrad, "PRAGMA integrity_check") == [("ok",)]
            kept = {}
            for name in guests:
                kept[name] = query(umbrad, "SELECT max(last_id) FROM decision WHERE guest = ?",
                                   name)[0][0]
                old = [number for when, number in seen[name] if when < killed - 1]
                assert not old or kept[name] >= max(old), (name, kept, old[-1])
            umbrad.start()
            for name in guests:
                umbrad.wait_state(name, "running")
            guest = umbrad.guest("told")
            assert (guest["mode"], guest["policy"]) == (told, "pinned")
            assert guest["policy_source"] == "operator"
            assert umbrad.guest("staying")["policy"] == policy
            assert umbrad.guest("switching")["policy_source"] == "configuration"

            def numbered_on(name):
                after = query(umbrad, "SELECT min(first_id) FROM decision"
                              " WHERE guest = ? AND first_id > ?", name, kept[name])[0][0]
                return after == kept[name] + 1 if after else None
            for name in guests:
                assert wait_for(lambda name=name: numbered_on(name), 20)
        assert host(umbrad)["journal"]["state"] == "ok"
        assert "set_aside" not in host(umbrad)["journal"]


def numbers_go_on_when_a_worker_starts_anew():
    with Umbrad({"switching": {**SWITCHING, "restart": "always"}}) as umbrad:
        guest = wait_switches(umbrad, "switching", 2)
        os.kill(guest["pid"], signal.SIGKILL)
        wait_for(lambda: umbrad.guest("switching").get("pid", 0) not in (0, guest["pid"]), 30)
        before = umbrad.guest("switching")["switches"][-1]["number"]
        wait_switches(umbrad, "switching", before + 2)
        shown = umbrad.guest("switching")
        numbers = [one["number"] for one in shown["switches"]]
        assert numbers == list(range(1, len(numbers) + 1))
        ids = decisions(umbrad, "switching")
        assert ids[0]["first_id"] == 1
        for one, row in zip(ids, ids[1:]):
            assert one["id"] + 1 == row["first_id"]
        # Guest time began anew, and with it a row.
        assert [1 for one, row in zip(ids, ids[1:]) if row["time"] < one["time"]] == [1]


def file_that_another_holds_keeps_no_operator_waiting():
    with Umbrad({"staying": STAYING}) as umbrad:
        wait_for(lambda: decisions(umbrad, "staying"), 30)
        holder = sqlite3.connect(journal_file(umbrad), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        assert umbrad.put_mode("staying", mode="shadow").status == 200
        assert "locked" in host(umbrad)["journal"]["state"], host(umbrad)
        assert umbrad.guest("staying")["switches"][-1]["to"] == "shadow"
        holder.execute("ROLLBACK")
        holder.close()


def operators_word_holds_until_the_configuration_changes():
    guests = {"one": STAYING, "two": {**STAYING, "mode": "shadow"},
              "ruled": shipped("gups", "rounds=0 pages=512")}
    rule = "[workload rule]\nmatch = ruled\nmode = shadow\npolicy = advise\n"
    with Umbrad(guests, policy=rule) as umbrad:
        sources = {name: umbrad.wait_state(name, "running")["policy_source"] for name in guests}
        assert sources == {"one": "configuration", "two": "configuration", "ruled": "workload"}
        assert umbrad.put_mode("one", mode="brute").status == 200
        assert umbrad.put_mode("two", policy="auto").status == 200
        assert umbrad.put_mode("ruled", policy="pinned").status == 200
        assert umbrad.guest("two")["policy_source"] == "operator"
        assert umbrad.stop() == 0
        umbrad.start()
        one, two, ruled = (umbrad.wait_state(name, "running") for name in guests)
        assert (one["mode"], one["policy"], one["policy_source"]) == ("brute", "pinned", "operator")
        assert (two["policy"], two["policy_source"]) == ("auto", "operator")
        assert (ruled["mode"], ruled["policy"], ruled["policy_source"]) == (
            "shadow", "pinned", "operator")
        assert umbrad.stop() == 0
        change_config(umbrad, "mode = ept", "mode = shadow")
        umbrad.start()
        one = umbrad.wait_state("one", "running")
        assert (one["mode"], one["policy_source"]) == ("shadow", "configuration")
        assert umbrad.guest("two")["policy_source"] == "operator"
        # The old configuration does not bring the operator's word back.
        assert umbrad.stop() == 0
        change_config(umbrad, "mode = shadow\n[guest two]", "mode = ept\n[guest two]")
        umbrad.start()
        one = umbrad.wait_state("one", "running")
        assert (one["mode"], one["policy_source"]) == ("ept", "configuration")


def frozen_guest_does_not_switch_and_thawed_goes_on():
    with Umbrad({"switching": SWITCHING, "staying": STAYING}) as umbrad:
        wait_switches(umbrad, "switching", 3)
        umbrad.wait_state("staying", "running")
        assert host(umbrad)["frozen"] is False
        answer = put_frozen(umbrad, True)
        assert answer.status == 200 and answer.json()["frozen"] is True
        schema_of(umbrad, "host").validate(answer.json())
        assert metric(umbrad, "umbra_frozen") == 1

        def frozen_decisions(after):
            found = decisions(umbrad, "switching")
            return [one for one in found if one["reason"] == "frozen" and one["id"] > after]
        # One that had begun may still come.
        first = wait_for(lambda: frozen_decisions(0), 60)[0]["id"]
        made = umbrad.guest("switching")["switches"][-1]["number"]
        mode = umbrad.guest("switching")["mode"]
        # It goes on deciding, wants to switch, and stays.
        wait_for(lambda: decisions(umbrad, "switching")[-1]["id"] > first + 60, 60)
        assert frozen_decisions(first)
        guest = umbrad.guest("switching")
        assert guest["switches"][-1]["number"] == made and guest["mode"] == mode
        assert not [one for one in decisions(umbrad, "switching")
                    if one["id"] > first and one["action"] != "stay"]
        refused = umbrad.put_mode("staying", mode="shadow")
        assert refused.status == 409 and "thaw" in refused.json()["detail"], refused.body
        assert umbrad.put_mode("staying", policy="advise").status == 200
        assert umbrad.guest("staying")["mode"] == "ept"
        # umbrad's end changes nothing about it, nor does a guest's start.
        umbrad.process.kill()
        umbrad.process.wait()
        umbrad.start()
        assert host(umbrad)["frozen"] is True
        last = umbrad.wait_state("switching", "running")["decisions"][-1]["id"]
        wait_for(lambda: frozen_decisions(last), 60)
        assert umbrad.guest("switching")["switches"][-1]["number"] == made
        assert put_frozen(umbrad, False).json()["frozen"] is False
        wait_switches(umbrad, "switching", made + 2)
        assert umbrad.put_mode("staying", mode="shadow").status == 200


def only_a_boolean_freezes_and_only_over_the_socket():
    with Umbrad({}) as umbrad:
        for body, status in (("{}", 422), ('{"frozen":1}', 422), ('{"frozen":"true"}', 422),
                             ('{"frozen":true,"x":1}', 422), ("[true]", 400), ("", 400)):
            answer = umbrad.ask("/api/v1/host", "PUT", body, local=True)
            assert answer.status == status, (body, answer.status)
        assert umbrad.ask("/api/v1/host", "PUT", '{"frozen":true}').status == 403
        assert host(umbrad)["frozen"] is False
        request = schema_of(umbrad, "host_request")
        assert request.is_valid({"frozen": True}) and not request.is_valid({"frozen": 1})


def full_disk_is_told_and_the_daemon_goes_on():
    umbrad = Umbrad({"staying": STAYING})
    os.mkdir(umbrad.state)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", umbrad.state.encode(), b"tmpfs", 0, b"size=1m"):
        with umbrad:
            pass
        return f"SKIP no tmpfs can be mounted: {os.strerror(ctypes.get_errno())}"
    try:
        give_to_daemon(umbrad.directory)
        with umbrad:
            wait_for(lambda: decisions(umbrad, "staying"), 30)
            assert host(umbrad)["journal"]["state"] == "ok"
            with open(os.path.join(umbrad.state, "ballast"), "wb", buffering=0) as ballast:
                try:
                    while ballast.write(bytes(4096)):
                        pass
                except OSError:
                    pass
            # Each is written at once, until nothing is left in the log's last pages.
            modes = ("shadow", "ept", "brute")
            def degraded():
                for mode in modes:
                    assert umbrad.put_mode("staying", mode=mode).status == 200
                return host(umbrad)["journal"]["state"].startswith("degraded: ")
            wait_for(degraded, 60)
            state = host(umbrad)["journal"]["state"]
            assert "full" in state or "I/O" in state, state
            assert metric(umbrad, "umbra_journal_up") == 0
            assert umbrad.log().count("going on in memory") == 1
            before = decisions(umbrad, "staying")[-1:]
            last = before[-1]["id"] if before else 0
            wait_for(lambda: decisions(umbrad, "staying")[-1:] and
                     decisions(umbrad, "staying")[-1]["id"] > last, 30)
            assert umbrad.guest("staying")["switches"]
            assert umbrad.put_mode("staying", mode="shadow").status == 200
            os.unlink(os.path.join(umbrad.state, "ballast"))
            assert umbrad.stop() == 0
            umbrad.start()
            assert host(umbrad)["journal"]["state"] == "ok"
            assert query(umbrad, "PRAGMA integrity_check") == [("ok",)]
    finally:
        libc.umount2(umbrad.state.encode(), 2)
    return None


def directory_that_may_not_be_written_is_told_and_the_daemon_goes_on():
    umbrad = Umbrad({"staying": STAYING})
    os.mkdir(umbrad.state)
    give_to_daemon(umbrad.directory)
    os.chmod(umbrad.state, 0o500)
    with umbrad:
        journal = host(umbrad)["journal"]
        assert journal["state"].startswith("degraded: ") and "ermission" in journal["state"]
        wait_for(lambda: decisions(umbrad, "staying"), 30)
        assert umbrad.put_mode("staying", mode="shadow").status == 200
        assert umbrad.guest("staying")["switches"][-1]["to"] == "shadow"
        assert umbrad.log().count("going on in memory") == 1
        assert umbrad.stop() == 0
        assert not os.path.exists(journal_file(umbrad))


def damaged_file_is_set_aside_and_the_daemon_goes_on():
    with Umbrad({"switching": SWITCHING, "staying": STAYING}) as umbrad:
        wait_switches(umbrad, "switching", 3)
        assert umbrad.put_mode("staying", mode="shadow").status == 200
        assert umbrad.stop() == 0
        assert not os.path.exists(journal_file(umbrad) + "-wal")
        last = query(umbrad, "SELECT max(last_id) FROM decision WHERE guest = 'switching'")[0][0]
        size = os.path.getsize(journal_file(umbrad))
        # Some bytes of the second half: the tables' pages, not the schema.
        with open(journal_file(umbrad), "r+b") as file:
            for offset in range(size // 2, size, 512):
                file.seek(offset)
                byte = file.read(1)
                file.seek(offset)
                file.write(bytes((byte[0] ^ 0xff,)))
        umbrad.start()
        journal = host(umbrad)["journal"]
        assert journal["state"] == "ok" and ".damaged-" in journal["set_aside"], journal
        assert os.path.getsize(journal["set_aside"]) == size
        assert "set aside as" in umbrad.log()
        # Operators' words and numbers are what the undamaged pages say, or begin anew.
        guest = umbrad.wait_state("staying", "running")
        assert guest["mode"] in ("shadow", "ept")
        wait_for(lambda: decisions(umbrad, "switching"), 30)
        assert decisions(umbrad, "switching")[0]["first_id"] in (1, last + 1)
        assert query(umbrad, "PRAGMA integrity_check") == [("ok",)]


if __name__ == "__main__":
    run_tests((
        file_holds_what_the_api_shows,
        killed_umbrad_loses_nothing_older_than_a_second,
        numbers_go_on_when_a_worker_starts_anew,
        file_that_another_holds_keeps_no_operator_waiting,
        operators_word_holds_until_the_configuration_changes,
        frozen_guest_does_not_switch_and_thawed_goes_on,
        only_a_boolean_freezes_and_only_over_the_socket,
        full_disk_is_told_and_the_daemon_goes_on,
        directory_that_may_not_be_written_is_told_and_the_daemon_goes_on,
        damaged_file_is_set_aside_and_the_daemon_goes_on,
    ))
