#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The law of the core: no guest can tell its paging mode.

Every shipped guest ends with the same registers, memory, output and instruction count in bare,
shadow, ept, auto and under seeded switch schedules. Each scheduled run proves that its switches
happened and that shadow filled after each of them. With four vCPUs, which shadow does not have,
bare and ept end alike and compute what one vCPU computes. Every run of bare and ept is made twice
and ends the same. A guest that uses what shadow lacks is ended there by name; auto and schedules
leave shadow for ept at that instruction. Each processor and backing keeps the law too. At its
default size each guest runs once in each mode.

Arguments: [SCHEDULES] for each guest (default 20; the number of seeds).
"""
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

UMBRA = os.path.abspath("umbra")
GUESTS = os.path.abspath("guests")
SCHEDULES = int(sys.argv[1]) if len(sys.argv) > 1 else int(os.environ.get("LAW_SCHEDULES", "20"))

# name, parameters that end a run within 3 million instructions
RUNS = (
    ("hello", "rounds=20 pages=64"),
    ("forker", "rounds=1 depth=2 pages=32"),
    ("mov1234", "rounds=8 pages=8"),
    ("gups", "rounds=1 pages=2048 updates=8192"),
    ("chase", "rounds=2 pages=2048"),
    ("churn", "rounds=12"),
    ("switcher", "rounds=40 spaces=16"),
    ("phases", "phases=4 pages=2048 tlb=8192 table=4096"),
    ("scan", "rounds=4 pages=512"),
    ("smp", "rounds=16 changes=8"),
    ("switcher", "rounds=40 spaces=16 pcid=1"),
)
CPUS = 4
# Runs on each processor, with each backing.
MACHINES = (("hello", "rounds=20 pages=64"), ("churn", "rounds=12"))
PROCESSORS = ("skylake", "icelake", "zen2", "zen3", "zen4")
BACKINGS = ("4k", "2m", "1g")
SERIAL = ("hello", "mov1234")  # what they do one vCPU does


def run(guest, append, *options):
    """One run: what the guest could see, and the JSON."""
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        done = subprocess.run(
            [UMBRA, "run", "--clock", "instructions", "--json", result.name, "--append", append,
             *options, f"{GUESTS}/{guest}.elf"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False)
        report = json.load(open(result.name, encoding="utf-8"))
    visible = {
        "status": done.returncode,
        "output": done.stdout,
        "instructions": report["instructions"],
        "end": report["end"],
        "memory_hash": report["memory_hash"],
        "registers": report["registers"],
    }
    return visible, report


def differences(reference, visible):
    return [f"{key}: {visible[key]!r}, in bare {reference[key]!r}"
            for key in reference if visible[key] != reference[key]]


def check_schedule(report):
    """What proves that a scheduled run was one."""
    switches = report["switches"]
    if not switches or report["switching"]["count"] != len(switches):
        return [f"{len(switches)} switches listed, {report['switching']['count']} counted"]
    # The last one may come too late for the guest to touch anything more.
    return [f"switch to shadow at instruction {switch['instruction']} filled nothing"
            for switch in switches[:-1]
            if switch["to"] == "shadow" and not switch["refill_fills"]]


def check(guest, append):
    reference, report = run(guest, append, "--mode", "bare")
    problems = []
    if reference["status"] != 0:
        problems.append(f"bare ends with {reference['status']}: {reference['end']}")
    if report["instructions"] > 3_000_000:
        problems.append(f"{report['instructions']} instructions: more than 3 million")
    if sum(report["exits"].values()):
        problems.append("bare exits")
    yield f"{guest} in bare", problems

    for mode, options in (("bare", ()), ("brute", ()), ("shadow", ()), ("ept", ()), ("ept", ()),
                          ("auto", ("--interval", "100000"))):
        visible, report = run(guest, append, "--mode", mode, *options)
        problems = differences(reference, visible)
        if mode in ("brute", "shadow") and not report["shadow"]["fills"]:
            problems.append("nothing was filled")
        if mode == "ept" and not report["ept"]["fills"]:
            problems.append("nothing was filled")
        if mode == "auto" and not report["decisions"] and report["instructions"] > 200000:
            problems.append("nothing was decided")
        yield f"{guest} in {mode}", problems

    distance = max(200, reference["instructions"] // 40)
    for seed in range(1, SCHEDULES + 1):
        visible, report = run(guest, append, "--mode", "ept" if seed % 2 else "shadow",
                              "--switch-every", str(distance), "--seed", str(seed))
        yield (f"{guest} with switches of seed {seed}",
               differences(reference, visible) + check_schedule(report))


def check_cpus(guest, append):
    """Several vCPUs: the same in every mode, and nothing computed that one would not."""
    cpus = ("--cpus", str(CPUS))
    alone = run(guest, append, "--mode", "bare")[0]
    reference, report = run(guest, append, "--mode", "bare", *cpus)
    problems = []
    if reference["status"] != 0:
        problems.append(f"bare ends with {reference['status']}: {reference['end']}")
    if report["cpus"] != CPUS or len(report["registers"]) != CPUS:
        problems.append(f"{report['cpus']} vCPUs, {len(report['registers'])} with registers")
    if reference["output"] != alone["output"]:
        problems.append(f"output {reference['output']!r}, with one vCPU {alone['output']!r}")
    if report["instructions"] > 3_000_000:
        problems.append(f"{report['instructions']} instructions: more than 3 million")
    if guest not in SERIAL and reference["instructions"] == alone["instructions"]:
        problems.append("the other vCPUs did nothing")
    yield f"{guest} in bare with {CPUS} vCPUs", problems
    for mode, options in (("bare", ()), ("brute", ()), ("shadow", ()), ("ept", ()), ("ept", ()),
                          ("auto", ("--interval", "100000"))):
        visible, _ = run(guest, append, "--mode", mode, *cpus, *options)
        problems = differences(reference, visible)
        yield f"{guest} in {mode} with {CPUS} vCPUs", problems


def check_machines(guest, append):
    """A processor changes what the guest sees, the same in all modes; a backing changes nothing."""
    memory = ("--memory", "1G")
    for processor in PROCESSORS:
        reference = run(guest, append, "--mode", "bare", *memory, "--processor", processor)[0]
        for mode in ("bare", "shadow", "ept"):
            for backing in BACKINGS:
                visible = run(guest, append, "--mode", mode, *memory, "--processor", processor,
                              "--backing", backing)[0]
                yield (f"{guest} in {mode} on {processor} with {backing} frames",
                       differences(reference, visible))


def check_default(guest):
    reference, report = run(guest, "", "--mode", "bare")
    problems = [] if reference["status"] == 0 else [f"bare ends with {reference['end']}"]
    if report["instructions"] > 200_000_000:
        problems.append(f"{report['instructions']} instructions: more than 200 million")
    yield f"{guest} at its default size in bare", problems
    for mode in ("shadow", "ept"):
        yield (f"{guest} at its default size in {mode}",
               differences(reference, run(guest, "", "--mode", mode)[0]))


def main():
    work = [lambda r=r: list(check(*r)) for r in RUNS]
    work += [lambda r=r: list(check_cpus(*r)) for r in RUNS]
    work += [lambda r=r: list(check_machines(*r)) for r in MACHINES]
    work += [lambda r=r: list(check_default(r[0])) for r in RUNS]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = [result for group in pool.map(lambda job: job(), work) for result in group]
    print(f"1..{len(results)}")
    for number, (name, problems) in enumerate(results, 1):
        print(f"{'not ok' if problems else 'ok'} {number} - {name}")
        for problem in problems:
            print(f"#  {problem}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
