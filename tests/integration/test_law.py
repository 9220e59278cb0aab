#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The law of the core: no guest can tell its paging mode.

Every shipped guest, with one, two and four vCPUs, ends with the same registers, memory, output and
instruction count in bare, brute, shadow, ept, auto and under seeded switch schedules: 200 of them
over all guests, 10,000 with UMBRA_FULL=1. A schedule is of a whole run, or of its first
instructions with switches every few of them. Each scheduled run proves that its switches happened
and that the mode that was switched to was at work. What several vCPUs compute is what one would.
Runs of bare and ept are made twice and end the same. Each processor and backing keeps the law too.
At its default size each guest runs once in each mode.

Arguments: [SCHEDULES] in all, and [GUEST] alone.
"""
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from tap import Tap

UMBRA = os.path.abspath("umbra")
GUESTS = os.path.abspath("guests")
FULL = os.environ.get("UMBRA_FULL") == "1"
SCHEDULES = int(sys.argv[1]) if len(sys.argv) > 1 else 10000 if FULL else 200

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
CPUS = (1, 2, 4)
SERIAL = ("hello", "mov1234")  # what they do one vCPU does
WITHOUT_TABLES = ("hello",)  # it touches no table once paging is on
SWITCHED = ("brute", "shadow", "ept")
# How often a whole run is switched, and where the first part of one ends.
TIMES = (20, 60, 200, 400)
PARTS = (3000, 18000, 60000)
LISTED = 1000  # switches are counted all, and listed the last ones
# Runs on each processor, with each backing.
MACHINES = (("hello", "rounds=20 pages=64"), ("churn", "rounds=12"))
BACKINGS = ("4k", "2m", "1g")


def run(guest, append, *options):
    """One run: what the guest could see, and the JSON."""
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        done = subprocess.run(
            [UMBRA, "run", "--clock", "instructions", "--json", result.name, "--append", append,
             *options, f"{GUESTS}/{guest}.elf"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=600, check=False)
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


def at_work(guest, mode, report):
    """What proves that a run was in this mode."""
    shadow, walks = report["shadow"], report["walks"]
    problems = []
    if mode in ("brute", "shadow") and not shadow["fills"]:
        problems.append("nothing was filled")
    if mode == "brute" and not shadow["tables_located"]:
        problems.append("no table was found")
    if mode == "brute" and guest not in WITHOUT_TABLES and \
            not (shadow["table_writes"] and shadow["table_reads"]):
        problems.append("no access to a table came back")
    if mode == "ept" and not (report["ept"]["fills"] and walks["references_nested"]):
        problems.append("no walk had a second step")
    if mode in ("bare", "ept") and shadow["fills"]:
        problems.append("shadow pages were filled")
    if mode == "bare" and sum(report["exits"].values()):
        problems.append("bare exits")
    return problems


class Reference:
    """A guest with so many vCPUs in bare: what all other runs must end like."""

    def __init__(self, guest, append, cpus):
        self.guest, self.append, self.cpus = guest, append, cpus
        self.name = f"{guest}{' ' + append.split()[-1] if 'pcid' in append else ''} " \
                    f"with {cpus} vCPU{'s' if cpus > 1 else ''}"
        self.visible, self.report = self.run("--mode", "bare")
        self.parts = {part: self.run("--mode", "bare", "--max-instructions", str(part))[0]
                      for part in PARTS}

    def run(self, *options):
        return run(self.guest, self.append, "--cpus", str(self.cpus), *options)

    def check(self, alone):
        problems = at_work(self.guest, "bare", self.report)
        if self.visible["status"] != 0:
            problems.append(f"ends with {self.visible['status']}: {self.visible['end']}")
        if self.visible["instructions"] > 3_000_000:
            problems.append(f"{self.visible['instructions']} instructions: more than 3 million")
        if self.report["cpus"] != self.cpus or len(self.visible["registers"]) != self.cpus:
            problems.append(f"{self.report['cpus']} vCPUs, {len(self.visible['registers'])} with "
                            "registers")
        if self.visible["output"] != alone.visible["output"]:
            problems.append(f"output {self.visible['output']!r}, with one vCPU "
                            f"{alone.visible['output']!r}")
        if self.cpus > 1 and (self.guest in SERIAL) != (
                self.visible["instructions"] == alone.visible["instructions"]):
            problems.append("the other vCPUs did nothing, or something for nothing")
        return problems

    def check_modes(self, totals):
        for mode, options in (("bare", ()), ("brute", ()), ("shadow", ()), ("ept", ()),
                              ("ept", ()), ("auto", ("--interval", "100000"))):
            visible, report = self.run("--mode", mode, *options)
            problems = differences(self.visible, visible) + at_work(self.guest, mode, report)
            if mode == "auto" and not report["decisions"] and report["instructions"] > 200000:
                problems.append("nothing was decided")
            totals.append((mode, report))
            yield f"{self.name} in {mode}", problems

    def check_schedule(self, seed):
        """The run that this seed stands for; returns what is wrong, and how many switches."""
        chosen = random.Random(seed)
        mode = chosen.choice(SWITCHED)
        if chosen.random() < 0.4:
            part = chosen.choice(PARTS)
            reference, distance = self.parts[part], chosen.randint(max(1, part // 3000), 200)
            options = ("--max-instructions", str(part))
        else:
            reference, options = self.visible, ()
            distance = max(100, reference["instructions"] // chosen.choice(TIMES))
        options += ("--mode", mode, "--switch-every", str(distance), "--seed", str(seed))
        visible, report = self.run(*options)
        problems = differences(reference, visible) + self.check_switches(mode, report)
        return ([f"{problem} ({' '.join(options)})" for problem in problems],
                report["switching"]["count"])

    def check_switches(self, first, report):
        switches, count = report["switches"], report["switching"]["count"]
        # One time out of three the mode that is on is drawn again.
        if not count or len(switches) != min(count, LISTED):
            return [f"{len(switches)} switches listed, {count} counted"]
        if count > LISTED:
            first = switches[0]["from"]
        modes = [first] + [switch["to"] for switch in switches]
        problems = [f"from {switch['from']} in {before}"
                    for switch, before in zip(switches, modes) if switch["from"] != before]
        # The last one may come too late for the guest to touch anything more.
        problems += [f"switch to {switch['to']} at instruction {switch['instruction']} filled "
                     "nothing" for switch in switches[:-1]
                     if switch["to"] != "ept" and not switch["refill_fills"]]
        if "ept" in modes[:-1] and not report["walks"]["references_nested"]:
            problems.append("no walk in ept had a second step")
        # The first instructions of a guest are without paging.
        if "brute" in modes[:-1] and report["end"]["reason"] == "debug_exit" and \
                not report["shadow"]["tables_located"]:
            problems.append("no table was found in brute")
        return problems


def check_totals(totals):
    """What some guest must have made the VMM do, and auto."""
    for mode, names in (
            ("shadow", ("unsyncs", "syncs", "table_writes", "floods", "reflected",
                        "remote_flushes")),
            ("brute", ("table_writes", "table_reads", "tables_located", "remote_flushes"))):
        shadow = [report["shadow"] for ran, report in totals if ran == mode]
        yield (f"{mode} was put to every use",
               [f"no {name}" for name in names if not sum(report[name] for report in shadow)])
    switched = [report for mode, report in totals if mode == "auto" and report["switches"]]
    yield "auto switched a guest", [] if switched else ["it never did"]


def processors():
    """Their names, as the message for one that is not there has them."""
    done = subprocess.run([UMBRA, "run", "--processor", "none", f"{GUESTS}/hello.elf"],
                          capture_output=True, text=True, timeout=60, check=False)
    return re.search("it has (.*)", done.stderr).group(1).split(", ")


def check_machines(guest, append):
    """A processor changes what the guest sees, the same in all modes; a backing changes nothing."""
    memory = ("--memory", "1G")
    for processor in processors():
        reference = run(guest, append, "--mode", "bare", *memory, "--processor", processor)[0]
        for mode in ("bare",) + SWITCHED:
            for backing in BACKINGS:
                visible = run(guest, append, "--mode", mode, *memory, "--processor", processor,
                              "--backing", backing)[0]
                yield (f"{guest} in {mode} on {processor} with {backing} frames",
                       differences(reference, visible))


def check_default(guest, totals):
    reference, report = run(guest, "", "--mode", "bare")
    problems = [] if reference["status"] == 0 else [f"bare ends with {reference['end']}"]
    if report["instructions"] > 200_000_000:
        problems.append(f"{report['instructions']} instructions: more than 200 million")
    yield f"{guest} at its default size in bare", problems
    for mode in SWITCHED + ("auto",):
        visible, report = run(guest, "", "--mode", mode)
        totals.append((mode, report))
        yield (f"{guest} at its default size in {mode}",
               differences(reference, visible) + at_work(guest, mode, report))


def main():
    tap, totals = Tap(), []
    runs = [r for r in RUNS if len(sys.argv) < 3 or r[0] == sys.argv[2]]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        references = list(pool.map(lambda r: Reference(*r),
                                   [(*r, cpus) for r in runs for cpus in CPUS]))
        for number, reference in enumerate(references):
            alone = references[number - number % len(CPUS)]
            tap.check(f"{reference.name} in bare", reference.check(alone))
        jobs = [lambda r=r: list(r.check_modes(totals)) for r in references]
        jobs += [lambda r=r: list(check_machines(*r)) for r in MACHINES if r in runs]
        jobs += [lambda g=g: list(check_default(g, totals)) for g in dict.fromkeys(r[0] for r in runs)]
        for results in pool.map(lambda job: job(), jobs):
            for name, problems in results:
                tap.check(name, problems)
        if len(runs) == len(RUNS):
            for name, problems in check_totals(totals):
                tap.check(name, problems)
        schedules = pool.map(
            lambda seed: references[seed % len(references)].check_schedule(seed),
            range(1, SCHEDULES + 1))
        found = {reference: [[], 0, 0] for reference in references}
        for seed, (problems, count) in enumerate(schedules, 1):
            result = found[references[seed % len(references)]]
            result[0] += problems
            result[1] += 1
            result[2] += count
        for reference, (problems, number, count) in found.items():
            tap.check(f"{reference.name} under {number} schedules of {count} switches",
                      problems + ([] if number else ["none"]))
    print(f"1..{tap.count}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
