#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each mode does what it is for, and README.md's table of modes and guests says so.

Walks of a guest that misses the TLB are cheaper in shadow than in ept; exits of one that changes its
tables make shadow dearer than ept, and brute the dearest. The table is what docs/make-table writes.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

from tap import Tap

BUILD = os.getcwd()
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MAKE_TABLE = os.path.join(SOURCE, "docs", "make-table")
BEGIN, END = "<!-- docs/make-table: begin -->\n", "<!-- docs/make-table: end -->\n"
FULL = os.environ.get("UMBRA_FULL")
MODES = ("bare", "brute", "shadow", "ept", "auto")
CELL = re.compile(r"\**([\d.]+)\** \(([\d.]+), ([\d.]+)\)")


def make_table(page, *options):
    return subprocess.run([sys.executable, MAKE_TABLE, "--page", page, *options, BUILD],
                          capture_output=True, text=True, timeout=900, check=False)


def between_markers(path):
    with open(path, encoding="utf-8") as file:
        return file.read().partition(BEGIN)[2].partition(END)[0]


def costs_of(table):
    """{guest: {mode: (cycles, of walks, of exits) an instruction}}, but for auto."""
    costs = {}
    for line in table.splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        costs[cells[0].strip("`")] = {mode: tuple(map(float, CELL.fullmatch(cell).groups()))
                                      for mode, cell in zip(MODES[:-1], cells[2:])}
    return costs


def check_order(costs):
    """What each mode is for, by three figures a mode and guest: all, walks, exits."""
    complaints = []
    for guest in ("gups", "chase"):
        if not costs[guest]["shadow"][1] < costs[guest]["ept"][1]:
            complaints.append(f"{guest}: walks in shadow cost {costs[guest]['shadow'][1]}, "
                              f"in ept {costs[guest]['ept'][1]}")
    for guest in ("churn", "forker", "switcher"):
        for figure, what in ((2, "exits"), (0, "all")):
            ept, shadow, brute = (costs[guest][mode][figure] for mode in ("ept", "shadow", "brute"))
            if not ept < shadow < brute:
                complaints.append(f"{guest}: {what}: ept {ept}, shadow {shadow}, brute {brute}")
    for guest, modes in costs.items():
        if any(modes["bare"][0] >= modes[mode][0] for mode in ("brute", "shadow", "ept")):
            complaints.append(f"{guest}: bare is not the cheapest")
        if modes["bare"][2]:
            complaints.append(f"{guest}: exits in bare")
    return complaints


def test_short(tap, place):
    page, runs = os.path.join(place, "page.md"), os.path.join(place, "runs.json")
    with open(page, "w", encoding="utf-8") as file:
        file.write(f"before\n{BEGIN}old\n{END}after\n")
    done = make_table(page, "--short", "--json", runs)
    if done.returncode:
        tap.check("docs/make-table", [f"status {done.returncode}: {done.stderr}"])
        return []
    with open(page, encoding="utf-8") as file:
        text = file.read()
    table = between_markers(page)
    tap.check("the table replaces what stands between the markers, and nothing else",
              [] if text == f"before\n{BEGIN}{table}{END}after\n" and "old" not in table and table
              else [text])
    with open(runs, encoding="utf-8") as file:
        guests = {entry["guest"]: entry["runs"] for entry in json.load(file)["guests"]}
    costs, complaints = {}, []
    for guest, runs_of in guests.items():
        if [run["asked"] for run in runs_of] != list(MODES):
            complaints.append(f"{guest}: not one run a mode")
        if any(run["end"].get("value") != 0 for run in runs_of):
            complaints.append(f"{guest}: its own check failed")
        for what in ("instructions", "memory_hash"):
            if len({run[what] for run in runs_of}) != 1:
                complaints.append(f"{guest}: {what} differs")
        costs[guest] = {run["asked"]: (run["cycles"], run["walks"]["cycles"], run["exit_cycles"])
                        for run in runs_of[:-1]}
        for run in runs_of[:-1]:
            cell = tuple(round(cycles / run["instructions"], 2)
                         for cycles in costs[guest][run["asked"]])
            if cell != costs_of(table)[guest][run["asked"]]:
                complaints.append(f"{guest}: {run['asked']}: not {cell}")
    tap.check("every guest did the same in every mode, and the table has its figures", complaints)
    tap.check("each mode does what it is for", check_order(costs))
    return list(guests)


def test_readme(tap, guests):
    table = between_markers(os.path.join(SOURCE, "README.md"))
    costs = costs_of(table)
    complaints = [] if list(costs) == guests else [f"rows of {list(costs)}, wanted {guests}"]
    tap.check("README.md has the table, and it shows what each mode is for",
              complaints or check_order(costs))
    if not FULL:
        return
    done = make_table("-")
    tap.check("README.md has the table of this source",
              [] if done.stdout == table else [done.stderr, done.stdout])


def main():
    tap = Tap()
    print("1..5" if FULL else "1..4")
    with tempfile.TemporaryDirectory() as place:
        guests = test_short(tap, place)
    test_readme(tap, guests)
    sys.exit(1 if tap.failed else 0)


if __name__ == "__main__":
    main()
