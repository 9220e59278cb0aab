#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the shipped workloads in every mode: what each costs the guest, and how fast Umbra is.

Cycles, instructions and walks are the model's and the same in every run; host speed is the median
of several. Prints one table and writes the same figures as JSON beside it.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

MODES = ("bare", "shadow", "ept", "auto")

# Long enough for the refill of a switch to be small against the run, as in real life.
GUESTS = (
    ("gups", "pages=4096 rounds=64"),
    ("chase", "pages=4096 rounds=600"),
    ("churn", ""),
    ("switcher", "rounds=4000"),
    ("phases", "phases=4 tlb=4000000 table=500000 pages=4096"),
)


def run_once(umbra, image, append, mode, extra):
    """One run: its JSON and the wall seconds it took."""
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "run.json")
        command = [umbra, "run", "--mode", mode, "--append", append, "--json", path, *extra, image]
        start = time.monotonic()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, check=False)
        seconds = time.monotonic() - start
        if done.returncode != 0:
            sys.stderr.write(done.stderr.decode(errors="replace"))
            raise SystemExit(f"bench: {' '.join(command)}: status {done.returncode}")
        with open(path, encoding="utf-8") as file:
            return json.load(file), seconds


def measure(umbra, image, append, mode, runs, extra):
    results = [run_once(umbra, image, append, mode, extra) for _ in range(runs)]
    run = results[0][0]
    for other, _ in results[1:]:
        if other["cycles"] != run["cycles"] or other["memory_hash"] != run["memory_hash"]:
            raise SystemExit(f"bench: {image} in {mode}: two runs differ")
    seconds = statistics.median(s for _, s in results)
    walks = run["walks"]
    references = walks["references_guest"] + walks["references_nested"]
    return {
        "mode": mode,
        "instructions": run["instructions"],
        "cycles": run["cycles"],
        "walk_share": walks["cycles"] / run["cycles"],
        "references_a_walk": references / walks["count"] if walks["count"] else 0,
        "exits": sum(run["exits"].values()),
        "switches": len(run["switches"]),
        "host_seconds": [s for _, s in results],
        "host_mips": run["instructions"] / seconds / 1e6,
    }


def print_table(results):
    print(f"{'guest':10} {'mode':7} {'instructions':>14} {'cycles':>16} {'to best':>8} "
          f"{'in walks':>8} {'refs/walk':>9} {'exits':>10} {'switches':>8} {'host MIPS':>9}")
    for guest in results:
        for row in guest["modes"]:
            print(f"{guest['guest']:10} {row['mode']:7} {row['instructions']:14,} "
                  f"{row['cycles']:16,} {row['to_best']:8.3f} {row['walk_share']:8.1%} "
                  f"{row['references_a_walk']:9.2f} {row['exits']:10,} {row['switches']:8} "
                  f"{row['host_mips']:9.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--umbra", default="./umbra")
    parser.add_argument("--guests", default="guests", help="directory of the built guests")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", help="one guest")
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--append", help="parameters instead of the usual ones")
    parser.add_argument("--interval", help="passed on to umbra run")
    parser.add_argument("--json", default="bench.json")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs: at least 1")

    extra = ["--interval", options.interval] if options.interval else []
    results = []
    for guest, append in GUESTS:
        if options.only and guest != options.only:
            continue
        append = options.append if options.append is not None else append
        image = os.path.join(options.guests, guest + ".elf")
        rows = [measure(options.umbra, image, append, mode, options.runs, extra)
                for mode in options.modes.split(",")]
        # bare has no VMM: it is the yardstick, not a choice.
        best = min((r["cycles"] for r in rows if r["mode"] in ("shadow", "ept")), default=None)
        for row in rows:
            row["to_best"] = row["cycles"] / best if best else 1
        results.append({"guest": guest, "append": append, "modes": rows})
    if not results:
        parser.error(f"--only {options.only}: no such guest")
    print_table(results)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump({"runs": options.runs, "guests": results}, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    main()
