#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""quickstart's guests switch as they should within 60 s, and Ctrl-C stops all."""
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request

from daemon_fixture import is_alive, run_tests, wait_for

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SECONDS = int(os.environ.get("QUICKSTART_SECONDS", "60"))

quickstart = None
url = ""


def guest(name):
    with urllib.request.urlopen(f"{url}/api/v1/guests/{name}", timeout=20) as answer:
        return json.load(answer)


def switched_both_ways_and_paid(name):
    found = guest(name)
    ways = {(one["from"], one["to"]) for one in found["switches"]}
    paid = [one for one in found["decisions"]
            if one["action"] == "switch" and one["after"] and one["after"]["paid"] and
            one["after"]["cycles_per_instruction"] <
            one["after"]["cycles_per_instruction_before"]]
    return {("ept", "shadow"), ("shadow", "ept")} <= ways and paid


def guests_that_change_are_switched_both_ways_to_their_profit():
    deadline = time.monotonic() + SECONDS
    for name in ("phases", "mixed"):
        wait_for(lambda name=name: switched_both_ways_and_paid(name),
                 max(1, deadline - time.monotonic()))


def guest_that_does_not_change_stays_put():
    def decided_often():
        latest = guest("gups")
        return latest if len(latest["decisions"]) >= 20 else None
    found = wait_for(decided_often, SECONDS)
    assert len(found["switches"]) == 1, found["switches"]
    assert found["switches"][0]["to"] == "shadow"
    assert not [one for one in found["decisions"] if one["action"] == "rollback"]


def interrupt_stops_all():
    with urllib.request.urlopen(f"{url}/api/v1/guests", timeout=20) as answer:
        pids = [one["pid"] for one in json.load(answer)["guests"]]
    assert len(pids) == 3 and all(is_alive(pid) for pid in pids)
    # As a terminal does it: to the whole group.
    os.killpg(quickstart.pid, signal.SIGINT)
    assert quickstart.wait(15) == 0
    assert not any(is_alive(pid) for pid in pids)


def start():
    """quickstart on this build, which make has just made."""
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")}
    process = subprocess.Popen([f"{SOURCE}/quickstart", "--build", os.getcwd(), "--listen",
                                "127.0.0.1:0"], stdout=subprocess.PIPE, text=True,
                               env=environment, start_new_session=True, stdin=subprocess.DEVNULL)
    for line in process.stdout:
        found = re.search(r"(http://\S+)/api/v1/guests$", line)
        if found:
            return process, found.group(1)
    print(f"Bail out! quickstart ended with status {process.wait()}")
    sys.exit(1)


if __name__ == "__main__":
    quickstart, url = start()
    try:
        run_tests((
            guests_that_change_are_switched_both_ways_to_their_profit,
            guest_that_does_not_change_stays_put,
            interrupt_stops_all,
        ))
    finally:
        if quickstart.poll() is None:
            quickstart.terminate()
            quickstart.wait(20)
