#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""umbra run, compare and explain: each kind of end and of mistake has its documented status."""
import json
import os
import subprocess
import sys
import tempfile

from tap import Tap

UMBRA = os.path.abspath("umbra")
HELLO = os.path.abspath("guests/hello.elf")
SWITCHER = os.path.abspath("guests/switcher.elf")

# name, arguments, status, text that standard error must hold
CASES = (
    ("a guest's value is the status", ["run", HELLO], 0, "debug_exit 0"),
    ("the limit of instructions", ["run", "--max-instructions", "1000", SWITCHER], 125,
     "limit_instructions"),
    ("the limit of seconds", ["run", "--max-seconds", "0.3", "--append", "rounds=0", SWITCHER],
     124, "limit_seconds"),
    ("help for a verb", ["run", "--help"], 0, ""),
    ("no image", ["run"], 64, "image"),
    ("two images", ["run", HELLO, HELLO], 64, "one image"),
    ("an unknown option", ["run", "--frobnicate", HELLO], 64, "--frobnicate"),
    ("an option without its value", ["run", HELLO, "--mode"], 64, "--mode"),
    ("an unknown mode", ["run", "--mode", "fast", HELLO], 64, "fast"),
    ("a mode that this build lacks", ["run", "--mode", "brute", HELLO], 69, "brute"),
    ("an unknown engine", ["run", "--engine", "hard", HELLO], 64, "hard"),
    ("an engine that this build lacks", ["run", "--engine", "kvm", HELLO], 69, "kvm"),
    ("a processor that this build lacks", ["run", "--processor", "zen3", HELLO], 69, "zen3"),
    ("more processors than a guest can have", ["run", "--cpus", "9", HELLO], 64, "1 to 8"),
    ("several processors in shadow", ["run", "--cpus", "2", "--mode", "shadow", HELLO], 69,
     "shadow"),
    ("several processors in shadow, compared",
     ["compare", "--cpus", "4", "--modes", "ept,shadow", HELLO], 69, "shadow"),
    ("no processor", ["run", "--cpus", "0", HELLO], 64, "--cpus"),
    ("a backing of no size", ["run", "--backing", "3m", HELLO], 64, "--backing"),
    ("memory that is no multiple of its backing",
     ["run", "--backing", "1g", "--memory", "64M", HELLO], 64, "backing"),
    ("an unknown clock", ["run", "--clock", "wall", HELLO], 64, "wall"),
    ("memory without digits", ["run", "--memory", "much", HELLO], 64, "much"),
    ("memory of a fraction of a page", ["run", "--memory", "1048577", HELLO], 64, "memory"),
    ("too little memory", ["run", "--memory", "4K", HELLO], 64, "memory"),
    ("too much memory", ["run", "--memory", "99G", HELLO], 64, "memory"),
    ("a negative limit", ["run", "--max-instructions", "-1", HELLO], 64, "--max-instructions"),
    ("a schedule with auto", ["run", "--switch-every", "100", "--mode", "auto", HELLO], 64,
     "--switch-every"),
    ("a schedule in bare", ["run", "--switch-every", "100", "--mode", "bare", HELLO], 64,
     "--switch-every"),
    ("a seed without a schedule", ["run", "--mode", "ept", "--seed", "1", HELLO], 64, "--seed"),
    ("no such file", ["run", "/nonexistent/image"], 66, "/nonexistent/image"),
    ("a result that cannot be written", ["run", "--json", "/nonexistent/x", HELLO], 66,
     "/nonexistent/x"),
    ("compare in a mode that this build lacks", ["compare", "--modes", "ept,brute", HELLO], 69,
     "brute"),
    ("compare in no mode", ["compare", "--modes", "", HELLO], 64, "--modes"),
    ("explain a policy", ["explain", "--mode", "auto"], 64, "auto"),
    ("explain brute", ["explain", "--mode", "brute"], 69, "brute"),
    ("explain six levels", ["explain", "--levels", "6"], 64, "--levels"),
    ("explain five levels in shadow", ["explain", "--mode", "shadow", "--levels", "5"], 69,
     "5-level"),
    ("explain a non-canonical address", ["explain", "--gva", "0x1000000000000000"], 64,
     "canonical"),
    ("explain a letter that is no access", ["explain", "--access", "q"], 64, "--access"),
)


def umbra(arguments):
    return subprocess.run([UMBRA, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=120, check=False)


def test_status(tap, name, arguments, status, text):
    done = umbra(arguments)
    said = done.stderr.decode(errors="replace")
    complaints = []
    if done.returncode != status:
        complaints.append(f"status {done.returncode}, expected {status}")
    if text not in said:
        complaints.append(f"standard error lacks {text!r}")
    if complaints:
        complaints.append(said)
    tap.check(name, complaints)


def run_json(arguments, place):
    path = os.path.join(place, "run.json")
    done = umbra(["run", "--json", path, *arguments])
    with open(path, encoding="utf-8") as file:
        return done, json.load(file)


def test_schedule(tap, place):
    """Without a seed: each N instructions to the other mode, and the same switches each time."""
    common = ["--clock", "instructions", "--append", "rounds=40 spaces=8", SWITCHER]
    done, run = run_json(["--mode", "shadow", "--switch-every", "20000", *common], place)
    still, calm = run_json(["--mode", "shadow", *common], place)
    complaints = []
    if done.returncode or still.returncode:
        complaints.append(f"status {done.returncode} and {still.returncode}")
    if done.stdout != still.stdout or not done.stdout:
        complaints.append("the guest's output differs")
    if run["memory_hash"] != calm["memory_hash"]:
        complaints.append("memory differs")
    expected = [20000 * (i + 1) for i in range(run["instructions"] // 20000)]
    found = [switch["instruction"] for switch in run["switches"]]
    # A switch falls behind an instruction; the guest may end before the last one.
    if found[:len(expected) - 1] != expected[:len(expected) - 1]:
        complaints.append(f"switches at {found}, expected {expected}")
    if [s["to"] for s in run["switches"][:2]] != ["ept", "shadow"]:
        complaints.append("the first switches are not to ept, then to shadow")
    tap.check("a schedule switches after each N instructions, unseen by the guest", complaints)

    seeded = ["--mode", "ept", "--switch-every", "5000", "--seed", "7", *common]
    first = run_json(seeded, place)[1]["switches"]
    again = run_json(seeded, place)[1]["switches"]
    other = run_json([*seeded[:5], "8", *common], place)[1]["switches"]
    complaints = []
    if [s["instruction"] for s in first] != [s["instruction"] for s in again]:
        complaints.append("the same seed gave another schedule")
    if [s["instruction"] for s in first] == [s["instruction"] for s in other]:
        complaints.append("another seed gave the same schedule")
    if not first:
        complaints.append("nothing was switched")
    tap.check("a seed fixes the schedule", complaints)


def test_explain(tap):
    expected = {"bare": "4 references, 0 exits, HPA 0x",
                "shadow": "4 references, 0 exits, HPA 0x",
                "ept": "24 references, 0 exits, HPA 0x"}
    for mode, last in expected.items():
        done = umbra(["explain", "--mode", mode])
        lines = done.stdout.decode().splitlines()
        complaints = []
        if done.returncode:
            complaints.append(f"status {done.returncode}: {done.stderr.decode()}")
        if not lines or not lines[-1].startswith(last):
            complaints.append(f"last line {lines[-1:]}, expected {last}...")
        references = sum(" reads " in line for line in lines)
        if references != int(last.split()[0]):
            complaints.append(f"{references} references are listed")
        tap.check(f"explain in {mode} lists each reference and ends with their number",
                  complaints)


def test_compare(tap, place):
    path = os.path.join(place, "compare.json")
    done = umbra(["compare", "--json", path, HELLO])
    complaints = []
    if done.returncode:
        complaints.append(f"status {done.returncode}: {done.stderr.decode()}")
    else:
        with open(path, encoding="utf-8") as file:
            runs = json.load(file)["runs"]
        if [run["asked"] for run in runs] != ["bare", "shadow", "ept", "auto"]:
            complaints.append("not one run a mode")
        if len({run["instructions"] for run in runs}) != 1:
            complaints.append("the modes differ in instructions")
        if len({run["memory_hash"] for run in runs}) != 1:
            complaints.append("the modes differ in memory")
        table = done.stdout.decode()
        if any(word not in table for word in ("instructions", "cycles", "references a walk")):
            complaints.append("the table lacks a line")
    tap.check("compare runs a guest in each mode and prints one table", complaints)


def main():
    tap = Tap()
    print(f"1..{len(CASES) + 6}")
    for case in CASES:
        test_status(tap, *case)
    with tempfile.TemporaryDirectory() as place:
        test_schedule(tap, place)
        test_explain(tap)
        test_compare(tap, place)
    sys.exit(1 if tap.failed else 0)


if __name__ == "__main__":
    main()
