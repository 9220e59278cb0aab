#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests of random code and tables that never give up, a dozen at a time beside an honest one.

20 seconds, five minutes with UMBRA_FULL; an argument is the first seed.
"""
import os
import random
import re
import subprocess
import sys
import tempfile
import time

from daemon_fixture import Umbrad, endless, run_tests

SECONDS = 300 if os.environ.get("UMBRA_FULL") else 20
SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 1
AT_ONCE, SECONDS_AT_ONCE = 12, 5
MODES = ("auto", "bare", "brute", "shadow", "ept")
SWITCHED = ("brute", "shadow", "ept")
HOSTILE = os.path.abspath("tests/fuzz/hostile")
WILD = os.path.abspath("tests/fuzz/wild.elf")


def make_guests(seed, files):
    """The guests of a batch: each seed a program, in modes and with vCPUs by turns."""
    guests = {"honest": endless(mode="auto")}
    with open(WILD, "rb") as file:
        files["wild.elf"] = file.read()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(seed, seed + AT_ONCE):
            keys = {"cpus": 1 + number % 3, "mode": MODES[number % len(MODES)], "restart": "always"}
            if number % 2:  # it makes up all of it as it runs
                guests[f"hostile-{number}"] = {"image": "wild.elf", "memory": "16M", **keys,
                                               "clock": "instructions", "append": f"seed={number}"}
                continue
            path = os.path.join(folder, "image")
            memory = subprocess.run([HOSTILE, str(number), path], capture_output=True, text=True,
                                    check=True).stdout
            with open(path, "rb") as file:
                files[f"{number}.img"] = file.read()
            guests[f"hostile-{number}"] = {
                "image": f"{number}.img", "memory": memory.strip(), **keys}
    return guests


def poke(umbrad, names, choice):
    """An operator's wish; a guest that has ended, or is bare, may refuse."""
    answer = umbrad.put_mode(choice.choice(names), mode=choice.choice(SWITCHED))
    assert answer.status in (200, 409), (answer.status, answer.body)
    return answer.status == 200


def run_batch(seed, choice):
    """Their instructions and the switches; raises if anything but a guest of theirs ended."""
    files = {}
    guests = make_guests(seed, files)
    hostile = [name for name in guests if name != "honest"]
    with Umbrad(guests, files) as umbrad:
        honest = umbrad.wait_state("honest", "running")
        switches, deadline = 0, time.monotonic() + SECONDS_AT_ONCE
        while time.monotonic() < deadline:
            switches += poke(umbrad, hostile, choice)
            time.sleep(0.05)
        seen = {guest["id"]: guest for guest in umbrad.ask("/api/v1/guests").json()["guests"]}
        assert umbrad.process.poll() is None, "umbrad ended"
        assert seen["honest"]["state"] == "running" and seen["honest"]["pid"] == honest["pid"]
        assert seen["honest"]["instructions"] > honest.get("instructions", 0), "it stands still"
        for name in hostile:
            guest = seen[name]
            assert guest["state"] != "failed", (name, guest["end"])
        # One that fell and was started anew meanwhile.
        assert not re.search("its worker", umbrad.log()), umbrad.log()
        return sum(seen[name].get("instructions", 0) for name in hostile), switches


def hostile_guests_bring_down_nothing_but_themselves():
    choice, seed = random.Random(SEED), SEED
    deadline, instructions, switches = time.monotonic() + SECONDS, 0, 0
    while time.monotonic() < deadline:
        more = run_batch(seed, choice)
        instructions += more[0]
        switches += more[1]
        seed += AT_ONCE
    print(f"# {seed - SEED} guests, {instructions:,} instructions, {switches} switches asked for")
    assert instructions > 1000000 and switches > 10


if __name__ == "__main__":
    run_tests([hostile_guests_bring_down_nothing_but_themselves])
