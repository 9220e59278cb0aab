#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""/translate of umbrad: the walk of any address of a live guest, in each mode."""
import os
import signal
import time

import jsonschema

from daemon_fixture import (HALTED, SPIN, TRIPLE_FAULT, Umbrad, endless, is_alive,
                            run_tests)

MODES = ["bare", "brute", "shadow", "ept"]


def schema(umbrad, name):
    return umbrad.ask(f"/schemas/{name}.json").json()


def translate(umbrad, guest, query, local=True):
    """The answer, asked again when it was asked for too often."""
    for _ in range(50):
        answer = umbrad.ask(f"/api/v1/guests/{guest}/translate?{query}", local=local)
        if answer.status != 429:
            return answer
        time.sleep(0.1)
    raise AssertionError("too often for five seconds")


def check(umbrad, guest, query, **keys):
    """An answer that its schema allows."""
    answer = translate(umbrad, guest, query)
    assert answer.status == 200, (query, answer.status, answer.body)
    jsonschema.validate(answer.json(), schema(umbrad, "translation"))
    for key, value in keys.items():
        assert answer.json()[key] == value, (key, answer.json())
    return answer.json()


def walk(answer, mode):
    return next(one for one in answer["walks"] if one["mode"] == mode)


def state(umbrad, guest):
    """All that is known of a guest that stands still, as of the next sample."""
    time.sleep(1.5)
    return umbrad.guest(guest)


def every_mode_of_a_running_guest_is_told():
    with Umbrad({"a": endless(mode="shadow")}) as umbrad:
        umbrad.wait_state("a", "running")
        time.sleep(0.5)
        # Its code lies at 1 MiB, mapped to itself.
        answer = check(umbrad, "a", "gva=0x100000", id="a", gva="0x100000", access="read", cpu=0,
                       privilege="supervisor")
        guest = answer["guest"]
        assert guest["outcome"] == "ram" and guest["gpa"] == "0x100000", guest
        assert guest["paging"] == "4-level" and guest["entries"][0]["name"] == "PML4", guest
        assert {"P", "W"} <= set(guest["entries"][0]["flags"]), guest
        assert [one["mode"] for one in answer["walks"]] == MODES
        assert [one["on"] for one in answer["walks"]] == [False, False, True, False]
        own = walk(answer, "shadow")
        assert own["end"] in ("translated", "exit_fill"), own
        levels = len(guest["entries"])
        assert own["references"] == 4, own
        assert walk(answer, "ept")["references"] == levels * 5 + 4, answer
        assert walk(answer, "ept")["end"] == "no_tables", answer
        assert walk(answer, "bare")["references"] == levels, answer
        assert own["hpa"] == walk(answer, "ept")["hpa"] == walk(answer, "brute")["hpa"], answer
        assert walk(answer, "bare")["hpa_unknown"] == "bare", answer


def after_a_switch_the_other_mode_is_on_and_ept_tables_stay():
    with Umbrad({"a": endless(mode="ept")}) as umbrad:
        umbrad.wait_state("a", "running")
        time.sleep(0.5)
        before = walk(check(umbrad, "a", "gva=0x100000"), "ept")
        assert before["on"] and before["end"] == "translated", before
        assert len(before["steps"]) == before["references"], before
        assert {step["table"] for step in before["steps"]} == {"guest", "EPT"}, before
        assert umbrad.put_mode("a", mode="shadow").status == 200
        after = check(umbrad, "a", "gva=0x100000")
        assert walk(after, "shadow")["on"] and not walk(after, "ept")["on"], after
        assert walk(after, "ept")["end"] == "translated", after
        assert walk(after, "ept")["hpa"] == before["hpa"], after


def one_mode_can_be_asked_for():
    with Umbrad({"a": endless(mode="ept")}) as umbrad:
        umbrad.wait_state("a", "running")
        answer = check(umbrad, "a", "gva=0x100000&mode=brute")
        assert [one["mode"] for one in answer["walks"]] == ["brute"], answer


def a_fault_is_told_with_its_error_code():
    with Umbrad({"a": endless(mode="shadow")}) as umbrad:
        umbrad.wait_state("a", "running")
        time.sleep(0.5)
        answer = check(umbrad, "a", "gva=0xffff800000000000&access=w", access="write")
        assert answer["guest"]["outcome"] == "page_fault", answer
        assert answer["guest"]["error_code"] == 2 and answer["guest"]["error_flags"] == ["W"]
        assert "gpa" not in answer["guest"], answer
        own = walk(answer, "shadow")
        assert own["end"] == "exit_page_fault" and own["exit_reason"] == "page_fault", own
        for one in answer["walks"]:
            assert one["hpa_unknown"] == "page_fault" and "hpa" not in one, one


def a_vcpu_that_does_not_page_is_told_too():
    with Umbrad({"a": {"image": "spin", "memory": "2M", "mode": "ept", "cpus": "2"}},
                {"spin": SPIN}) as umbrad:
        umbrad.wait_state("a", "running")
        time.sleep(0.2)
        answer = check(umbrad, "a", "gva=0x100000&cpu=1", cpu=1)
        assert answer["guest"]["paging"] == "off" and not answer["guest"]["entries"], answer
        assert answer["guest"]["gpa"] == "0x100000", answer
        assert walk(answer, "bare")["references"] == 0, answer
        assert walk(answer, "ept")["end"] == "translated", answer
        assert len(walk(answer, "ept")["steps"]) == 4, answer


def a_halted_guest_answers_and_stays_as_it_is():
    with Umbrad({"a": {"image": "halted", "memory": "2M", "mode": "ept"}},
                {"halted": HALTED}) as umbrad:
        umbrad.wait_state("a", "running")
        before = state(umbrad, "a")
        assert before["instructions"] > 5 and before["state"] == "running", before
        for number in range(10):
            check(umbrad, "a", f"gva={number << 14:#x}")
        assert state(umbrad, "a") == before


def what_is_wrong_is_refused_by_its_name():
    cases = [("", 400, "gva"), ("gva=", 400, "gva"), ("gva=0x", 400, "gva"),
             ("gva=0x10000000000000000", 400, "gva"), ("gva=12x", 400, "gva"),
             ("gva=-1", 400, "gva"), ("gva=0x1&cpu=one", 400, "cpu"),
             ("gva=0x1&cpu=", 400, "cpu"), ("gva=0x1&cpu=1", 422, "vCPU 1"),
             ("gva=0x1&cpu=4294967296", 422, "cpu"), ("gva=0x1&access=rw", 422, "access"),
             ("gva=0x1&mode=fast", 422, "mode"),
             ("gva=0x800000000000", 422, "canonical")]
    with Umbrad({"a": endless(mode="ept")}) as umbrad:
        umbrad.wait_state("a", "running")
        time.sleep(0.5)
        problem = schema(umbrad, "problem")
        for query, status, word in cases:
            answer = translate(umbrad, "a", query)
            assert answer.status == status, (query, answer.status, answer.body)
            jsonschema.validate(answer.json(), problem)
            assert word in answer.json()["detail"], answer.json()
        assert translate(umbrad, "b", "gva=0x1").status == 404
        answer = umbrad.ask("/api/v1/guests/a/translate?gva=0x1", "PUT", "{}", local=True)
        assert answer.status == 405, answer.status


def a_guest_that_does_not_run_has_none():
    with Umbrad({"dead": {"image": "triple", "memory": "2M", "mode": "ept"},
                 "lost": {"image": "none", "memory": "2M"}}, {"triple": TRIPLE_FAULT}) as umbrad:
        umbrad.wait_state("dead", "ended")
        umbrad.wait_state("lost", "failed")
        for name, word in (("dead", "ended"), ("lost", "failed")):
            answer = translate(umbrad, name, "gva=0x100000")
            assert answer.status == 409 and word in answer.json()["detail"], answer.body


def tcp_may_ask_but_not_often():
    with Umbrad({"a": endless(mode="ept"), "b": endless(mode="ept")}) as umbrad:
        umbrad.wait_state("a", "running")
        umbrad.wait_state("b", "running")
        begin = time.monotonic()
        statuses = [umbrad.ask("/api/v1/guests/a/translate?gva=0x100000").status
                    for _ in range(100)]
        seconds = time.monotonic() - begin
        assert set(statuses) == {200, 429}, statuses
        assert statuses.count(200) <= 10 * (seconds + 2), (statuses.count(200), seconds)
        assert statuses[0] == 200, statuses
        # Another guest is not concerned, nor are other questions.
        assert umbrad.ask("/api/v1/guests/b/translate?gva=0x100000").status == 200
        assert umbrad.put_mode("a", mode="shadow").status == 200
        assert translate(umbrad, "a", "gva=0x100000", local=False).status == 200


def a_worker_that_does_not_answer_costs_five_seconds():
    with Umbrad({"a": endless(mode="ept")}) as umbrad:
        umbrad.wait_state("a", "running")
        pid = umbrad.guest("a")["pid"]
        os.kill(pid, signal.SIGSTOP)
        answer = translate(umbrad, "a", "gva=0x100000")
        os.kill(pid, signal.SIGCONT)
        assert answer.status == 504, (answer.status, answer.body)
        assert is_alive(pid)
        assert translate(umbrad, "a", "gva=0x100000").status == 200


if __name__ == "__main__":
    run_tests((
        every_mode_of_a_running_guest_is_told,
        after_a_switch_the_other_mode_is_on_and_ept_tables_stay,
        one_mode_can_be_asked_for,
        a_fault_is_told_with_its_error_code,
        a_vcpu_that_does_not_page_is_told_too,
        a_halted_guest_answers_and_stays_as_it_is,
        what_is_wrong_is_refused_by_its_name,
        a_guest_that_does_not_run_has_none,
        tcp_may_ask_but_not_often,
        a_worker_that_does_not_answer_costs_five_seconds,
    ))
