#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the shipped workloads in every mode: what each costs the guest, and how fast Umbra is.

Cycles, instructions and walks are the model's and the same in every run. Host speed is instructions
over processor seconds (user and system) of the whole process, the median of several runs, so that
others on the machine disturb it little. Prints one table and writes the same figures, and each
run's, as JSON beside it.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

MODES = ("bare", "shadow", "ept", "auto")

# The guests' own sizes; phases of twenty intervals each.
GUESTS = (
    ("gups", ""),
    ("chase", ""),
    ("churn", ""),
    ("switcher", ""),
    ("forker", ""),
    ("scan", ""),
    ("phases", "phases=4 tlb=5260000 table=308800 pages=4096"),
)

# Whose speed the project promises, in ept.
SPEED_GUESTS = ("gups", "churn")


def run_once(umbra, image, append, mode, extra):
    """One run: its JSON and the processor seconds it took."""
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "run.json")
        command = [umbra, "run", "--mode", mode, "--append", append, "--json", path, *extra, image]
        with open(os.path.join(place, "errors"), "w+b") as errors:
            with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=errors) as child:
                _, status, usage = os.wait4(child.pid, 0)
                child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode != 0:
                errors.seek(0)
                sys.stderr.write(errors.read().decode(errors="replace"))
                raise SystemExit(f"bench: {' '.join(command)}: status {child.returncode}")
        with open(path, encoding="utf-8") as file:
            return json.load(file), usage.ru_utime + usage.ru_stime


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
        "host_cpu_seconds": [s for _, s in results],
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
    for guest in results:
        for row in guest["modes"]:
            if guest["guest"] in SPEED_GUESTS and row["mode"] == "ept":
                rates = (row["instructions"] / s / 1e6 for s in row["host_cpu_seconds"])
                print(f"{guest['guest']} in ept: {row['host_mips']:.1f} million instructions a "
                      f"processor second (median of {', '.join(f'{r:.1f}' for r in rates)})")


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
