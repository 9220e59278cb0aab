#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the shipped guests in every mode, and beside them in other emulators, in turns.

Cycles, instructions and walks are the model's and the same in every run. Host speed is instructions
over processor seconds (user and system) of the whole process, the median of several runs, so that
others on the machine disturb it little. Every emulator must print the same checksum. Prints tables
and writes the same figures, and each run's, as JSON; docs/bench.md says what the keys mean.
"""
import argparse
import dataclasses
import json
import os
import signal
import statistics
import sys

from emulators import Bochs, Failed, Guest, Qemu, Umbra
from parts import measure_paging, measure_switches, measure_web
from tables import (print_growth, print_modes, print_paging, print_peers, print_switches,
                    print_web)

MODES = ("bare", "brute", "shadow", "ept", "auto")
PEER_MODE = "ept"  # in which others are compared

# All that Umbra ships, long enough that a start does not count; phases of twenty intervals each.
# The last rows are what one processor without PCIDs does not show.
GUESTS = (
    Guest("hello", "rounds=800 pages=4096"),
    Guest("mov1234", "rounds=1000000"),
    Guest("gups"),
    Guest("chase"),
    Guest("scan", "rounds=96"),
    Guest("forker"),
    Guest("smp", "rounds=48000"),
    Guest("churn", "rounds=1200"),
    Guest("switcher", "rounds=5000"),
    Guest("phases", "phases=4 tlb=5260000 table=308800 pages=4096"),
    Guest("switcher", "rounds=5000 pcid=1", in_median=False),
    Guest("gups", cpus=4, in_median=False),
    Guest("smp", cpus=4, in_median=False),
)

GROWTH = (
    *((cpus, 4096, Guest("gups", "rounds=24", cpus=cpus)) for cpus in (1, 2, 4, 8)),
    *((1, pages, Guest("gups", f"rounds=24 pages={pages}", memory=512))
      for pages in (1024, 4096, 16384, 65536)),
)

WEB_GUESTS = ("10", "100", "1000", "100+200")  # that an answer is about, and VMs


def median_of(runs):
    return statistics.median(run.seconds for run in runs)


def mips(instructions, seconds):
    return instructions / seconds / 1e6


def mode_row(mode, guest, runs):
    run = runs[0].result
    for other in runs[1:]:
        if other.result["cycles"] != run["cycles"] or \
                other.result["memory_hash"] != run["memory_hash"]:
            raise Failed(f"{guest.title()} in {mode}: two runs differ")
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
        "host_cpu_seconds": [run.seconds for run in runs],
        "host_mips": mips(run["instructions"], median_of(runs)),
        "host_rss_bytes": max(run.rss for run in runs),
    }


def peer_row(guest, runs, ours):
    """Of an emulator that ran beside Umbra's runs @ours. With one processor the instructions are
    the same; with several the guest waits for itself as long as it takes, and only time compares."""
    seconds = median_of(runs)
    row = {
        "state": "ok" if seconds > 0 else "not measured: the guest ends within the start-up's noise",
        "host_cpu_seconds": [run.seconds for run in runs],
        "start_up_cpu_seconds": [run.start_up for run in runs],
    }
    if seconds > 0:
        row["umbra_times_as_fast"] = seconds / median_of(ours)
        if guest.cpus == 1:
            row["host_mips"] = mips(ours[0].result["instructions"], seconds)
    said = [line for line in runs[0].said if line not in ours[0].said]
    if said:
        row["said"] = said
    return row


def check_checksums(guest, runs):
    """All did the same: each run of each emulator, told by the guest's last line."""
    expected = None
    for name, their in runs.items():
        for run in their:
            expected = expected or run.checksum
            if not run.checksum or run.checksum != expected:
                raise Failed(f"{guest.title()}: checksum {run.checksum} in {name}, "
                             f"{expected} before")
    return expected


def measure(guest, options, peers):
    modes = options.modes
    ours = [Umbra(options.umbra, options.guests, mode, options.extra) for mode in modes]
    beside = [p for p in peers if p.state == "ok" and not p.refuses(guest)] \
        if PEER_MODE in modes else []
    runs = {emulator.name: [] for emulator in ours + beside}
    for _ in range(options.runs):
        for emulator in ours + beside:
            runs[emulator.name].append(emulator.run(guest))
    rows = [mode_row(mode, guest, runs[mode]) for mode in modes]
    # bare has no VMM: it is the yardstick, not a choice.
    best = min((r["cycles"] for r in rows if r["mode"] in ("brute", "shadow", "ept")),
               default=None)
    for row in rows:
        row["to_best"] = row["cycles"] / best if best else 1
    result = {"guest": guest.name, "title": guest.title(), "append": guest.append,
              "cpus": guest.cpus, "memory_bytes": guest.memory << 20,
              "checksum": check_checksums(guest, runs), "modes": rows, "peers": {}}
    for peer in peers if PEER_MODE in modes else ():
        reason = peer.refuses(guest)
        result["peers"][peer.name] = \
            peer_row(guest, runs[peer.name], runs[PEER_MODE]) if peer in beside else \
            {"state": f"not measured: {reason}" if reason else peer.state}
    return result


def mode_medians(guests, results):
    """Of each mode, over the guests with one processor, each once."""
    rows = [row for g, r in zip(guests, results) if g.in_median for row in r["modes"]]
    return {mode: statistics.median(row["host_mips"] for row in rows if row["mode"] == mode)
            for mode in dict.fromkeys(row["mode"] for row in rows)}


def median_over(guests, results, peers):
    members = [r for g, r in zip(guests, results) if g.in_median]
    median = {"mode": PEER_MODE, "members": [r["guest"] for r in members], "peers": {}}
    if not members:
        return median
    median["host_mips"] = mode_medians(guests, results)[PEER_MODE]
    for peer in peers:
        rows = [r["peers"][peer.name] for r in members]
        if all(row["state"] == "ok" for row in rows):
            median["peers"][peer.name] = {key: statistics.median(row[key] for row in rows)
                                          for key in ("host_mips", "umbra_times_as_fast")}
    return median


def measure_growth(options):
    umbra = Umbra(options.umbra, options.guests, PEER_MODE, options.extra)
    runs = [[] for _ in GROWTH]
    for _ in range(options.runs):
        for i, (_, _, guest) in enumerate(GROWTH):
            runs[i].append(umbra.run(guest))
    return [{"guest": guest.name, "append": guest.append, "cpus": cpus, "pages": pages,
             "memory_bytes": guest.memory << 20, "instructions": its[0].result["instructions"],
             "host_cpu_seconds": [run.seconds for run in its],
             "host_mips": mips(its[0].result["instructions"], median_of(its)),
             "host_rss_bytes": max(run.rss for run in its)}
            for (cpus, pages, guest), its in zip(GROWTH, runs)]


def machine():
    """The host's processor, by the name that it gives itself."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return {"processor": names[0] if names else "unknown", "processors": os.cpu_count(),
            "load_average": os.getloadavg()[0]}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--umbra", default="./umbra")
    parser.add_argument("--guests", default="guests", help="directory of the built guests")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", help="one guest, or none")
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--append", help="parameters instead of the usual ones")
    parser.add_argument("--interval", help="passed on to umbra run")
    parser.add_argument("--qemu", default="qemu-system-x86_64")
    parser.add_argument("--bochs", default="bochs")
    parser.add_argument("--against", metavar="UMBRA", help="another build, beside the others")
    parser.add_argument("--growth", action="store_true",
                        help="also speed and memory by processors and by pages")
    parser.add_argument("--paging", action="store_true",
                        help="also what walks, fills and table accesses take")
    parser.add_argument("--samples", type=int, default=31, help="of each of these")
    parser.add_argument("--switches", action="store_true",
                        help="also what switches take, between each pair of modes")
    parser.add_argument("--rounds", type=int, default=5, help="of switches: each pair so often")
    parser.add_argument("--web", action="store_true",
                        help="also what answers about many guests take")
    parser.add_argument("--pages", type=int,
                        help="of the largest working set of these two, 1 GiB without")
    parser.add_argument("--programs", default="tests/bench",
                        help="directory of the built programs that measure these parts")
    parser.add_argument("--json", default="bench.json")
    options = parser.parse_args()
    options.modes = options.modes.split(",")
    options.extra = ["--interval", options.interval] if options.interval else []
    if options.runs < 1:
        parser.error("--runs: at least 1")
    if not set(options.modes) <= set(MODES):
        parser.error(f"--modes: some of {','.join(MODES)}")
    guests = [g for g in GUESTS if options.only in (None, g.name)]
    if options.only == "none":
        guests = []
    elif not guests:
        parser.error(f"--only {options.only}: no such guest")
    if options.append is not None and guests:
        guests = [dataclasses.replace(guests[0], append=options.append)]
    return options, guests


def main():
    options, guests = parse()
    peers = [Qemu(options.qemu, options.guests), Bochs(options.bochs, options.guests)]
    if options.against:
        peers.append(Umbra(options.against, options.guests, PEER_MODE, options.extra, "against"))
    bench = {"machine": machine(), "runs": options.runs,
             "peers": {p.name: {"state": p.state} for p in peers}}
    for peer in peers:
        if peer.state == "ok":
            bench["peers"][peer.name]["version"] = peer.version()
    bench["guests"] = [measure(guest, options, peers) for guest in guests]
    bench["mode_medians"] = mode_medians(guests, bench["guests"])
    print_modes(bench)
    if PEER_MODE in options.modes and guests:
        bench["median"] = median_over(guests, bench["guests"], peers)
        print_peers(bench)
    if options.growth:
        bench["growth"] = measure_growth(options)
        print_growth(bench["growth"])
    if options.paging:
        bench["paging"] = measure_paging(options.programs, options.samples, options.pages)
        print_paging(bench["paging"])
    if options.switches:
        bench["switches"] = measure_switches(options.programs, options.guests, options.rounds,
                                             options.pages)
        print_switches(bench["switches"])
    if options.web:
        bench["web"] = measure_web(options.programs, options.samples, WEB_GUESTS)
        print_web(bench["web"])
    print(f"\nOn {bench['machine']['processor']}; medians of {options.runs} runs.")
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(bench, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    # As Ctrl-C does: no emulator is left running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: terminated"))
    try:
        main()
    except Failed as failure:
        sys.exit(f"bench: {failure}")
