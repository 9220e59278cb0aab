#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Workers that are in the hands of their guests and tell umbrad whatever they like."""
import json
import os
import re
import time

from daemon_fixture import Umbrad, endless, process_status, run_tests, wait_for

BINARY = os.path.abspath("tests/integration/compromised")
SECONDS = 5
# way: what umbrad says of it in the end; None: there is nothing that it could object to
WAYS = {"decisions": None, "switches": None, "descriptors": None, "scribble": None, "ends": None,
        "answers": "no message", "garbage": "no message", "nearly": "no message",
        "leave": "killed by signal 9"}
MESSAGES_A_SECOND = 4096
MEMORY_KIB = 128 << 10
ASAN_KIB = 512 << 10  # freed memory that it keeps from being used again, and its own tables


def evil(way, **keys):
    return {**endless(**keys), "append": f"evil={way}"}


def memory_kib(pid):
    return int(process_status(pid)["RssAnon"].split()[0])


def is_instrumented(pid):
    """Whether AddressSanitizer is in it; without the right to look: as if it were."""
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
            return "libasan" in file.read()
    except PermissionError:
        return True


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def answer_seconds(umbrad, path):
    start = time.monotonic()
    answer = umbrad.ask(path)
    assert answer.status == 200
    json.loads(answer.body)
    return time.monotonic() - start


def compromised_workers_harm_nobody():
    guests = {"honest": endless(mode="ept"), **{way: evil(way, mode="ept") for way in WAYS}}
    with Umbrad(guests, binary=BINARY) as umbrad:
        pid = umbrad.process.pid
        honest = umbrad.wait_state("honest", "running")
        for way, words in WAYS.items():
            if words:
                assert words in umbrad.wait_state(way, "failed")["end"]["text"], umbrad.guest(way)
        assert umbrad.wait_state("ends", "ended")["end"]["reason"] == "halted"
        began = time.monotonic()
        memory, slowest, deadline = memory_kib(pid), 0, time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            for path in ("/api/v1/guests", "/api/v1/guests/scribble", "/api/v1/guests/switches",
                         "/api/v1/guests/decisions/decisions?limit=10"):
                slowest = max(slowest, answer_seconds(umbrad, path))
            assert umbrad.ask("/metrics").status == 200
            assert umbrad.put_mode("honest", mode="shadow").status == 200
            assert umbrad.put_mode("honest", mode="ept").status == 200
        print(f"# slowest answer {slowest:.3f} s, memory {memory} KiB, then {memory_kib(pid)} KiB")
        assert slowest < 5, slowest
        assert memory_kib(pid) < MEMORY_KIB + (ASAN_KIB if is_instrumented(pid) else 0)
        # Neither is the log its worker's to fill: a few lines a second, and then how many more.
        lines = umbrad.log().count("guest switches: switched from")
        assert 0 < lines <= 16 * (time.monotonic() - began + 20), lines
        assert re.search(r"guest switches: switched \d+ times more within a second", umbrad.log())
        if os.geteuid() == 0:
            # Some of its own, a socket for each worker, ours: none of those that were sent.
            assert open_files(pid) < 64, os.listdir(f"/proc/{pid}/fd")
        now = umbrad.guest("honest")
        assert now["pid"] == honest["pid"] and now["starts"] == 1
        wait_for(lambda: umbrad.guest("honest")["instructions"] > now["instructions"], 10)
        for way in ("decisions", "switches", "descriptors", "scribble"):
            assert umbrad.guest(way)["state"] == "running", umbrad.guest(way)


def flood_is_throttled():
    with Umbrad({"flood": evil("decisions")}, binary=BINARY) as umbrad:
        def latest():
            rows = umbrad.ask("/api/v1/guests/flood/decisions?limit=1").json()["decisions"]
            return rows and rows[-1]["id"]
        wait_for(latest, 10)
        first, start = latest(), time.monotonic()
        time.sleep(4)
        taken, seconds = latest() - first, time.monotonic() - start
        print(f"# {taken} messages in {seconds:.1f} s")
        # It goes on, and not faster than it may: a second's worth may fall on either end.
        assert 0 < taken <= MESSAGES_A_SECOND * (seconds + 2), taken


if __name__ == "__main__":
    run_tests((compromised_workers_harm_nobody, flood_is_throttled))
