#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's memtest86+ runs in every mode and under switches, and finds no error; with four vCPUs,
which it starts itself, it does the same in every mode, and with UMBRA_FULL it comes in bare and ept
to the end of a whole pass of its tests.

It redraws its serial screen only in even seconds of guest time, and with 64 MiB some of its tests
are over sooner. So the key for its menu (1) and the one that leaves it (0) are given to its serial
console by turns: leaving redraws the part of the screen with the name of the test. The Enter
before them ends its wait for a key at the start.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import debian

UMBRA = os.path.abspath("umbra")
FULL = bool(os.environ.get("UMBRA_FULL"))
IMAGE = "boot/memtest86+x64.bin"
KEYS = b"\n" + b"10" * 4000

# Instructions until the test named last has begun (the first pass of 64 MiB).
LIMIT, TESTS = (3_600_000_000, ["#0", "#2", "#3", "#4", "#5"]) if FULL else \
    (850_000_000, ["#0", "#2", "#3", "#4"])

# A whole pass, with as little memory as keeps it short: 160 s of guest time are the two waits of its
# bit fade test (#10), whatever there is of memory. Test #1 is not in its list.
PASS_LIMIT, PASS_TESTS = 180_000_000_000, ["#0", "#2", "#3", "#4", "#5", "#6", "#7", "#8", "#9", "#10"]

SWITCHES = ["--mode", "ept", "--switch-every", "100000"]
FOUR = ["--cpus", "4", "--clock", "instructions"]
RUNS = (
    ("bare", ["--mode", "bare"]),
    ("brute", ["--mode", "brute"]),
    ("shadow", ["--mode", "shadow"]),
    ("ept", ["--mode", "ept"]),
    ("auto", ["--mode", "auto"]),
    ("a switch every 100,000 instructions", SWITCHES),
    ("bare with four vCPUs", ["--mode", "bare", *FOUR]),
    ("brute with four vCPUs", ["--mode", "brute", *FOUR]),
    ("shadow with four vCPUs", ["--mode", "shadow", *FOUR]),
    ("ept with four vCPUs", ["--mode", "ept", *FOUR]),
    ("four vCPUs and a switch every 100,000 instructions", [*SWITCHES, *FOUR]),
)
# Those that UMBRA_FULL takes to the end of a pass.
WHOLE = ("bare with four vCPUs", "ept with four vCPUs")


def run(image, keys, folder, name, options):
    result = os.path.join(folder, re.sub(r"\W", "-", name) + ".json")
    several = "--cpus" in options
    whole = FULL and name in WHOLE
    limit, memory = (PASS_LIMIT, "16M") if whole else (LIMIT, "64M")
    append = "console=ttyS0,115200" + ("" if several else " nosmp")
    with open(keys, "rb") as console:
        done = subprocess.run(
            [UMBRA, "run", *options, "--memory", memory, "--append", append, "--max-instructions",
             str(limit), "--json", result, image],
            stdin=console, capture_output=True, timeout=7200, check=False)
    report = json.load(open(result, encoding="utf-8"))
    screen = done.stdout.decode("latin-1")
    # The order in which the tests' names appear for the first time.
    seen = list(dict.fromkeys(re.findall(r"(#\d+) +\[[A-Z]", screen)))
    errors = set(re.findall(r"Errors: *(\d+)", screen))
    problems = []
    if done.returncode != 125:
        problems.append(f"status {done.returncode}, wanted 125: {report['end']}")
    # Waiting for each other takes instructions too.
    tests = PASS_TESTS if whole else TESTS[:-1] if several else TESTS
    if seen[:len(tests)] != tests:
        problems.append(f"tests on the serial screen: {seen}, wanted {tests}")
    if whole and "1" not in re.findall(r"Pass: *(\d+) ", screen):
        problems.append("the serial screen does not count a whole pass")
    if several and "SMP: 4T (PAR)" not in re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", screen):
        problems.append("four processors are not on the serial screen")
    if errors != {"0"}:
        problems.append(f"errors on the serial screen: {sorted(errors)}, wanted 0")
    if report["instructions"] != limit:
        problems.append(f"{report['instructions']} instructions, wanted {limit}")
    if "--switch-every" in options:
        wanted = limit // 100000
        if abs(report["switching"]["count"] - wanted) > 1:
            problems.append(f"{report['switching']['count']} switches, wanted {wanted}")
        if not report["shadow"]["fills"] > wanted / 2:
            problems.append(f"{report['shadow']['fills']} shadow fills")
    visible = [done.stdout, report["end"], report["memory_hash"], report["registers"]]
    return problems, (limit, visible) if several else None


def main():
    folder = tempfile.mkdtemp(prefix="umbra-memtest-")
    try:
        debian.unpack(folder, "memtest86+")
        image = os.path.join(folder, IMAGE)
        keys = os.path.join(folder, "keys")
        with open(keys, "wb") as file:
            file.write(KEYS)
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            # The longest first.
            results = list(pool.map(lambda r: run(image, keys, folder, *r), RUNS[::-1]))[::-1]
        first = {}
        for (name, _), (problems, end) in zip(RUNS, results):
            if end and first.setdefault(end[0], (name, end[1]))[1] != end[1]:
                problems.append("the screen, the memory or the registers differ from "
                                f"{first[end[0]][0]}")
    finally:
        shutil.rmtree(folder)
    print(f"1..{len(RUNS)}")
    for number, ((name, _), (problems, _)) in enumerate(zip(RUNS, results), 1):
        print(f"{'not ok' if problems else 'ok'} {number} - memtest86+ in {name}")
        for problem in problems:
            print(f"#  {problem}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
