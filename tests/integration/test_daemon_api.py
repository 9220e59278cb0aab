#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What umbrad serves: JSON that its own schemas accept, metrics, problems, changes of mode."""
import json
import os
import re

import jsonschema

from daemon_fixture import Umbrad, endless, run_tests, shipped, wait_for

umbrad = Umbrad({
    "gups": endless(mode="auto"),
    "pinned": endless(mode="shadow"),
    "bare": endless(mode="bare"),
    "ends": shipped("hello", ""),
    "amd": shipped("hello", "", processor="zen2"),
    "four": shipped("smp", "rounds=20", cpus=4),
    "two": endless(mode="ept", cpus=2),
}, files={"costs": b"[zen2]\nexit = 40000\n"}, policy="costs = costs")


def schema(name):
    found = umbrad.ask(f"/schemas/{name}.json").json()
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


def every_answer_matches_its_schema():
    wait_for(lambda: umbrad.ask("/readyz").status == 200, 20)
    umbrad.wait_state("ends", "ended")
    umbrad.wait_state("four", "ended")
    wait_for(lambda: umbrad.guest("gups")["decisions"], 30)
    for name in ("gups", "pinned", "bare", "ends", "amd", "four", "two"):
        schema("guest").validate(umbrad.guest(name))
    schema("guests").validate(umbrad.ask("/api/v1/guests").json())
    schema("host").validate(umbrad.ask("/api/v1/host").json())
    schema("collectors").validate(umbrad.ask("/api/v1/collectors").json())
    decisions = umbrad.ask("/api/v1/guests/gups/decisions").json()
    schema("decisions").validate(decisions)
    schema("problem").validate(umbrad.ask("/nowhere").json())


def schemas_refuse_what_is_no_guest():
    guest = umbrad.guest("gups")
    validator = schema("guest")
    assert not validator.is_valid({**guest, "unheard_of": 1})
    assert not validator.is_valid({**guest, "mode": "fast"})
    assert not validator.is_valid({**guest, "cycles": -1})
    assert not validator.is_valid({key: guest[key] for key in guest if key != "walks"})


def list_of_guests_has_no_lists():
    guests = umbrad.ask("/api/v1/guests").json()["guests"]
    assert {guest["id"] for guest in guests} == set(umbrad.guests)
    for guest in guests:
        assert not [key for key, value in guest.items() if isinstance(value, list)]


def ended_guest_has_end_registers_and_hash():
    guest = umbrad.wait_state("ends", "ended")
    assert guest["end"]["reason"] == "debug_exit" and guest["end"]["value"] == 0
    assert re.fullmatch("[0-9a-f]{32}", guest["memory_hash"])
    assert guest["registers"][0]["rip"].startswith("0x")
    assert "pid" not in guest


def each_guest_has_its_own_processor():
    intel, amd = (umbrad.wait_state(name, "ended") for name in ("ends", "amd"))
    assert (intel["processor"], amd["processor"]) == ("skylake", "zen2")
    # hello asks CPUID for the vendor
    assert intel["memory_hash"] != amd["memory_hash"]
    assert umbrad.ask("/api/v1/host").json()["processors"] == [
        "skylake", "icelake", "zen2", "zen3", "zen4"]


def costs_of_a_guest_are_those_of_its_processor_and_the_file():
    intel, amd = (umbrad.wait_state(name, "ended") for name in ("ends", "amd"))
    assert intel["costs"]["calibrated"] and not intel["costs"]["figures"]
    assert not amd["costs"]["calibrated"] and amd["costs"]["processor"] == "zen2"
    figure = amd["costs"]["figures"]["exit"]
    assert figure["cycles"] == 40000 and figure["origin"].endswith("/costs, line 2")
    exits = [sum(guest["exits"].values()) for guest in (intel, amd)]
    assert exits[0] and intel["exit_cycles"] < 40000 * exits[0]
    assert exits[1] and amd["exit_cycles"] >= 40000 * exits[1]


def counters_grow_from_one_snapshot_to_the_next():
    first = umbrad.guest("gups")["instructions"]
    wait_for(lambda: umbrad.guest("gups")["instructions"] > first, 10)


def metrics_are_prometheus_text():
    answer = umbrad.ask("/metrics")
    assert answer.type == "text/plain; version=0.0.4; charset=utf-8"
    families, samples = {}, set()
    for line in answer.body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in families
            families[name] = kind
        elif not line.startswith("# HELP "):
            found = re.fullmatch(r'([a-z_]+)(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? '
                                 r'(\d+(\.\d+)?(e[-+]\d+)?)', line)
            assert found, line
            name, labels = found.group(1), found.group(2)
            assert name in families or re.sub("_(sum|count)$", "", name) in families, line
            assert (name, labels) not in samples, line
            samples.add((name, labels))
    assert families["umbra_guest_instructions_total"] == "counter"
    assert families["umbra_guest_memory_touched_bytes"] == "gauge"
    assert ("umbra_guest_exits_total", '{guest="gups",reason="ept_violation"}') in samples
    assert ("umbra_guest_state", '{guest="ends",state="ended"}') in samples


def limit_and_before_choose_the_decisions():
    def decisions(query=""):
        answer = umbrad.ask("/api/v1/guests/gups/decisions" + query)
        assert answer.status == 200, answer.body
        return answer.json()["decisions"]
    every = wait_for(lambda: decisions() if len(decisions()) > 2 else None, 30)
    for one, next_one in zip(every, every[1:]):
        assert one["id"] + 1 == next_one["first_id"] and one["at"] <= next_one["first_at"]
        assert one["count"] == one["id"] - one["first_id"] + 1
    last = decisions("?limit=2")
    assert len(last) == 2 and last[0]["id"] + 1 == last[1]["first_id"]
    assert last[1]["id"] >= every[-1]["id"]
    before = decisions(f"?limit=2&before={every[2]['first_id']}")
    assert [one["first_id"] for one in before] == [one["first_id"] for one in every[:2]]
    assert not decisions("?limit=0") and decisions("?limit=1000000")
    for query in ("limit=-1", "limit=two", "limit=", "before=x", "before=-1",
                  "limit=99999999999999999999"):
        assert umbrad.ask("/api/v1/guests/gups/decisions?" + query).status == 400, query


def operator_switches_and_pins():
    answer = umbrad.put_mode("pinned", mode="ept")
    assert answer.status == 200, answer.body
    made = answer.json()
    schema("mode").validate(made)
    assert (made["from"], made["to"], made["reason"]) == ("shadow", "ept", "operator")
    guest = umbrad.guest("pinned")
    assert guest["mode"] == "ept" and guest["policy"] == "pinned"
    assert guest["switches"][-1]["to"] == "ept"
    again = umbrad.put_mode("pinned", mode="ept").json()
    assert "to" not in again and again["mode"] == "ept"
    brute = umbrad.put_mode("pinned", mode="brute").json()
    assert (brute["from"], brute["to"], brute["built"] > 0) == ("ept", "brute", True)
    wait_for(lambda: umbrad.guest("pinned")["shadow"]["tables_located"] > 0, 10)
    assert b'umbra_guest_mode{guest="pinned",mode="brute"} 1\n' in umbrad.ask("/metrics").body
    back = umbrad.put_mode("pinned", mode="shadow").json()
    assert back["to"] == "shadow"
    wait_for(lambda: umbrad.guest("pinned")["switches"][-1]["refill_fills"] > 0, 10)
    assert umbrad.put_mode("pinned", policy="advise").json()["policy"] == "advise"
    assert umbrad.guest("pinned")["policy"] == "advise"


def many_changes_at_once_are_all_answered():
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: umbrad.put_mode(
            "pinned", mode=("ept", "shadow", "brute")[i % 3]).status, range(40)))
    assert answers == [200] * 40


def what_cannot_be_is_refused_by_status():
    for body, status in (({"mode": "fast"}, 422), ({}, 422),
                         ({"policy": "best"}, 422), ({"mode": "ept", "policy": "auto"}, 422),
                         ({"mode": 1}, 422), ({"colour": "ept"}, 422), ({"mode": "bare"}, 409)):
        answer = umbrad.put_mode("gups", **body)
        assert answer.status == status, (body, answer.status, answer.body)
        assert answer.type == "application/problem+json"
    assert umbrad.put_mode("bare", mode="ept").status == 409
    assert umbrad.put_mode("two", mode="shadow").status == 200
    assert umbrad.put_mode("bare", policy="auto").status == 409
    assert umbrad.put_mode("ends", mode="ept").status == 409
    assert umbrad.put_mode("nobody", mode="ept").status == 404
    path = "/api/v1/guests/gups/mode"
    for body, status in ((b"{", 400), (b"[]", 400), (b"", 400), (b"\xff", 400),
                         (b'{"mode":"ept","mode":"shadow"}', 400), (b"x" * 5000, 413)):
        assert umbrad.ask(path, "PUT", body, local=True).status == status, body[:40]
    assert umbrad.guest("gups")["policy"] == "auto"


def tcp_is_read_only():
    answer = umbrad.ask("/api/v1/guests/gups/mode", "PUT", '{"mode":"ept"}')
    assert answer.status == 403 and answer.type == "application/problem+json"


def another_user_may_not_change_anything():
    if os.geteuid() != 0:
        return
    # Whoever can connect may read; changing needs credentials. The socket's own mode is not enough.
    os.chmod(umbrad.directory, 0o755)
    os.chmod(umbrad.socket, 0o666)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setgid(65533)
        os.setuid(65533)  # not nobody: that may be umbrad itself
        read = umbrad.ask("/api/v1/guests/gups/mode", local=True).status
        write = umbrad.put_mode("gups", mode="ept").status
        os.write(writer, f"{read} {write}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 20) == b"200 403"


def methods_paths_and_headers_are_checked():
    assert umbrad.ask("/api/v1/guests", "DELETE").headers["Allow"] == "GET, HEAD"
    assert umbrad.ask("/api/v1/guests/gups/mode", "POST").headers["Allow"] == "GET, HEAD, PUT"
    assert umbrad.ask("/api/v1/guests", "POST", "{}").status == 405
    head = umbrad.ask("/metrics", "HEAD")
    assert head.status == 200 and not head.body
    for path in ("/", "/api/v1", "/api/v1/events", "/api/v1/history", "/api/v1/openapi.json",
                 "/openapi.json", "/api/v1/guests/", "/api/v1/guests/gups/", "/schemas/x.json",
                 "/schemas/registers.json", "/api/v1/guests/..%2f.."):
        assert umbrad.ask(path).status == 404, path
    for host in ("evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.2"):
        assert umbrad.ask("/healthz", headers={"Host": host}).status == 421, host
    for host in ("localhost", "127.0.0.1:1", "[::1]:8642"):
        assert umbrad.ask("/healthz", headers={"Host": host}).status == 200, host
    assert umbrad.ask("/healthz", headers={"Origin": "http://evil.example"}).status == 403
    assert umbrad.ask("/healthz", headers={"Origin": "http://localhost:8642"}).status == 200


if __name__ == "__main__":
    with umbrad:
        run_tests((
            every_answer_matches_its_schema,
            schemas_refuse_what_is_no_guest,
            list_of_guests_has_no_lists,
            ended_guest_has_end_registers_and_hash,
            each_guest_has_its_own_processor,
            costs_of_a_guest_are_those_of_its_processor_and_the_file,
            counters_grow_from_one_snapshot_to_the_next,
            metrics_are_prometheus_text,
            limit_and_before_choose_the_decisions,
            operator_switches_and_pins,
            many_changes_at_once_are_all_answered,
            what_cannot_be_is_refused_by_status,
            tcp_is_read_only,
            another_user_may_not_change_anything,
            methods_paths_and_headers_are_checked,
        ))
