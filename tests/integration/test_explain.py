#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""umbra explain: the references of each walk, in their order, as the manual has them.

The lists are written out by hand for the mov1234 guest: 4-level paging, the entry for GVA 0x1234
in the PT at index 1, the three upper entries at index 0. Its tables are at guest pages 0x104,
0x105, 0x106 (one 2M region) and 0x400; the target is page 0x401 (another one).
"""
import json
import os
import subprocess
import sys
import tempfile

UMBRA = os.path.abspath("umbra")
os.environ["UMBRA_GUESTS"] = os.path.abspath("guests")

ROOT, PDPT, PD, PT, TARGET = 0x104000, 0x105000, 0x106000, 0x400008, 0x401234


def ept(gpa, down_to=1):
    """References to the EPT tables for a guest-physical address (SDM 3C 28.3.2)."""
    return [f"ept {level} {gpa >> (12 + 9 * (level - 1)) & 511}"
            for level in range(4, down_to - 1, -1)]


def walk(*, fails_at=None, down_to=1):
    """The two-dimensional walk, up to the failing nested one if there is one."""
    steps = []
    for gpa, guest in ((ROOT, "guest 4 0"), (PDPT, "guest 3 0"), (PD, "guest 2 0"),
                       (PT, "guest 1 1"), (TARGET, None)):
        if gpa == fails_at:
            return steps + ept(gpa, down_to) + ["failed", "exit ept_violation"]
        steps += ept(gpa) + ([guest] if guest else [])
    return steps


SHADOW = ["shadow 4 0", "shadow 3 0", "shadow 2 0", "shadow 1 1"]
BARE = ["guest 4 0", "guest 3 0", "guest 2 0", "guest 1 1"]

# What the VMM does at the one page fault of a first touch in shadow: walks the guest's tables
# (SDM 3C 32.3.4), then links three tables and fills the leaf.
SHADOW_FILL = ["reads guest 4 0", "reads guest 3 0", "reads guest 2 0", "reads guest 1 1",
               "reads shadow 4 0", "writes shadow 4 0", "reads shadow 3 0", "writes shadow 3 0",
               "reads shadow 2 0", "writes shadow 2 0", "writes shadow 1 1"]


def map_page(gpa, missing_from):
    """The VMM maps a page: reads each level, writes those that are missing."""
    steps = []
    for level in range(4, 0, -1):
        index = gpa >> (12 + 9 * (level - 1)) & 511
        steps.append(f"reads ept {level} {index}")
        if level <= missing_from:
            steps.append(f"writes ept {level} {index}")
    return steps


EPT_FIRST = (
    walk(fails_at=ROOT, down_to=4) + map_page(ROOT, 4) +  # nothing is there
    walk(fails_at=PDPT) + map_page(PDPT, 1) +  # the same PT: only its entry is missing
    walk(fails_at=PD) + map_page(PD, 1) +
    walk(fails_at=PT, down_to=2) + map_page(PT, 2) +  # another 2M region: the PD's entry
    walk(fails_at=TARGET) + map_page(TARGET, 1) +
    walk())

CASES = (
    ("bare", False, BARE, 4, 0),
    ("shadow", False, SHADOW, 4, 0),
    ("ept", False, walk(), 24, 0),
    ("bare", True, BARE, 4, 0),
    # The first walk ends at the empty root.
    ("shadow", True, ["shadow 4 0", "failed", "exit page_fault"] + SHADOW_FILL + SHADOW, 5, 1),
    ("ept", True, EPT_FIRST, 1 + 9 + 14 + 18 + 24 + 24, 5),
)


def words(step):
    kind = step["kind"]
    if kind == "exit":
        return f"exit {step['reason']}"
    if kind == "walk_failed":
        return "failed"
    place = f"{step.get('table', '').lower()} {step.get('level')} {step.get('index')}"
    if kind == "reference":
        return place
    if kind == "software":
        return f"{'writes' if step['write'] else 'reads'} {place}"
    return None if kind == "translated" else kind


def check(mode, first_touch, steps, references, exits):
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        command = [UMBRA, "explain", "--mode", mode, "--json", result.name]
        done = subprocess.run(command + (["--first-touch"] if first_touch else []),
                              capture_output=True, text=True, timeout=60, check=False)
        report = json.load(open(result.name, encoding="utf-8"))
    problems = []
    last = done.stdout.splitlines()[-1]
    wanted = f"{references} references, {exits} exits, HPA 0x"
    if done.returncode or not last.startswith(wanted):
        problems.append(f"status {done.returncode}, last line {last!r}, wanted {wanted!r}")
    if mode != "bare" and last.endswith("HPA 0x401234"):
        problems.append("the host-physical address is the guest-physical one")
    explained = report["explanations"][0]
    got = [text for text in map(words, explained["steps"]) if text]
    if got != steps:
        at = next((i for i, pair in enumerate(zip(got, steps)) if pair[0] != pair[1]),
                  min(len(got), len(steps)))
        problems.append(f"step {at}: {got[at:at + 3]}, by hand {steps[at:at + 3]}")
    return problems


def main():
    print(f"1..{len(CASES)}")
    for number, (mode, first_touch, *wanted) in enumerate(CASES, 1):
        problems = check(mode, first_touch, *wanted)
        touch = ", first touch" if first_touch else ""
        print(f"{'not ok' if problems else 'ok'} {number} - explain in {mode}{touch}")
        for problem in problems:
            print(f"#  {problem}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
