# SPDX-License-Identifier: GPL-2.0-or-later
"""Parts of Umbra measured by programs of their own: paging.c, switches.c, web.c."""
import json
import os
import statistics
import subprocess

from emulators import PATIENCE, Failed

GIB_PAGES = 262144  # 1 GiB in 4K pages
INTERVAL = 10_000_000  # as umbra run has it


def switched(pages):
    """Whose switches are looked at: the pages lie open to random accesses; then how a pause grows."""
    yield "gups", "rounds=0 updates=8192", pages or GIB_PAGES, True
    for size in (16384, 65536, GIB_PAGES, 516096) if not pages else ():
        yield "scan", "rounds=0 stride=4096", size, False


def run(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE,
                              check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: status {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def measure_paging(programs, samples, pages):
    rows = run([os.path.join(programs, "paging"), str(samples), str(pages or GIB_PAGES)])
    for row in rows:
        quarters = statistics.quantiles(row["ns"], n=4, method="inclusive") \
            if len(row["ns"]) > 1 else row["ns"] * 3
        row["quarter_ns"], row["median_ns"], row["three_quarters_ns"] = quarters
    return rows


def direction(switches):
    """One row of those that go the same way."""
    row = {key: switches[0][key] for key in ("from", "to")}
    row["times"] = len(switches)
    row["pause_ns_max"] = max(switch["pause_ns"] for switch in switches)
    for key in switches[0]:
        if key not in row:
            row[key] = statistics.median(switch[key] for switch in switches)
    return row


def measure_switches(programs, guests, rounds, pages):
    groups = []
    for guest, append, size, often in switched(pages):
        group = run([os.path.join(programs, "switches"), os.path.join(guests, guest + ".elf"),
                     f"{append} pages={size}", str(size), str(rounds if often else 3),
                     str(INTERVAL)])
        ways = dict.fromkeys((s["from"], s["to"]) for s in group["switches"])
        group["guest"] = guest
        group["directions"] = [
            direction([s for s in group["switches"] if (s["from"], s["to"]) == way])
            for way in ways]
        groups.append(group)
    return groups


def measure_web(programs, samples, guests):
    rows = run([os.path.join(programs, "web"), str(samples), *guests])
    for row in rows:
        for key in ("format", "gzip"):
            row[f"median_{key}_ns"] = statistics.median(row[f"{key}_ns"])
    return rows
