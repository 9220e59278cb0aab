#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark measures what it says, beside emulators that did the same work. Times are not judged."""
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

from tap import Tap

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BENCH = os.path.join(SOURCE, "tests", "bench", "bench.py")
UMBRA = os.path.abspath("umbra")
QEMU = "qemu-system-x86_64"
NOWHERE = "/nonexistent/emulator"
APPEND = "rounds=4 pages=2048"

# QEMU as far as the benchmark sees it, but its guest computes something else.
LIAR = """#!/bin/sh
[ "$1" = --version ] && echo "emulator 0" && exit 0
while [ $# -gt 0 ]; do
	case $1 in file:*) echo "checksum 0123456789abcdef" >"${1#file:}" ;; esac
	shift
done
exit 1
"""


def bench(folder, *arguments, qemu=NOWHERE, bochs=NOWHERE):
    """The status, what it said, and the JSON or None."""
    path = os.path.join(folder, "bench.json")
    if os.path.exists(path):
        os.remove(path)
    done = subprocess.run(
        [sys.executable, BENCH, "--umbra", UMBRA, "--qemu", qemu, "--bochs", bochs, "--json", path,
         "--only", "gups", "--append", APPEND, *arguments], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=300, check=False)
    result = None
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
    return done.returncode, done.stdout + done.stderr, result


def umbra_run(folder):
    path = os.path.join(folder, "run.json")
    done = subprocess.run(
        [UMBRA, "run", "--mode", "ept", "--memory", "128M", "--append", APPEND, "--json", path,
         "guests/gups.elf"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        check=True)
    with open(path, encoding="utf-8") as file:
        return re.search(r"^checksum (\w+)$", done.stdout, re.M).group(1), json.load(file)


def differences(pairs):
    return [f"{what}: {has!r}, expected {must!r}" for what, has, must in pairs if has != must]


def test_figures(tap, folder):
    qemu = QEMU if shutil.which(QEMU) else NOWHERE
    status, said, result = bench(folder, "--runs", "3", "--modes", "shadow,ept", "--against", UMBRA,
                                 qemu=qemu)
    if result is None:
        tap.check("a run comes to its end", [f"status {status}", said])
        return
    guest, (checksum, run) = result["guests"][0], umbra_run(folder)
    shadow, ept = guest["modes"]
    seconds = statistics.median(ept["host_cpu_seconds"])
    tap.check("figures of a guest are those of umbra run", differences((
        ("status", status, 0),
        ("guest", guest["guest"], "gups"),
        ("append", guest["append"], APPEND),
        ("checksum", guest["checksum"], checksum),
        ("modes", [shadow["mode"], ept["mode"]], ["shadow", "ept"]),
        ("instructions", ept["instructions"], run["instructions"]),
        ("cycles", ept["cycles"], run["cycles"]),
        ("exits", ept["exits"], sum(run["exits"].values())),
        ("to best", min(shadow["to_best"], ept["to_best"]), 1),
    )))
    tap.check("speed is instructions over the median of the runs' seconds", differences((
        ("runs", len(ept["host_cpu_seconds"]), 3),
        ("MIPS", round(ept["host_mips"], 6), round(run["instructions"] / seconds / 1e6, 6)),
        ("median's members", result["median"]["members"], ["gups"]),
        ("median", result["median"]["host_mips"], ept["host_mips"]),
        ("mode", result["median"]["mode"], "ept"),
        ("medians of all modes", result["mode_medians"],
         {"shadow": shadow["host_mips"], "ept": ept["host_mips"]}),
        ("RSS of at least its pages", ept["host_rss_bytes"] > 2048 * 4096, True),
        ("processor", bool(result["machine"]["processor"]), True),
    )))
    for name in ("against", "qemu"):
        if result["peers"][name]["state"] != "ok":
            print(f"# {name}: {result['peers'][name]['state']}")
            continue
        peer = guest["peers"][name]
        theirs = statistics.median(peer["host_cpu_seconds"])
        tap.check(f"{name} ran the same guest as often, and time compares them", differences((
            ("state", peer["state"], "ok"),
            ("runs", len(peer["host_cpu_seconds"]), 3),
            ("ratio", round(peer["umbra_times_as_fast"], 6), round(theirs / seconds, 6)),
            ("MIPS", round(peer["host_mips"], 6), round(run["instructions"] / theirs / 1e6, 6)),
            ("its median", result["median"]["peers"][name]["host_mips"], peer["host_mips"]),
            ("its version", bool(result["peers"][name]["version"]), True),
        )))


def test_missing(tap, folder):
    status, said, result = bench(folder, "--runs", "1", "--modes", "ept")
    complaints = differences((("status", status, 0),))
    for name, package in (("qemu", "qemu-system-x86"), ("bochs", "(bochs)")):
        states = (result["peers"][name]["state"], result["guests"][0]["peers"][name]["state"]) \
            if result else ("", "")
        complaints += [f"{name}: {state!r}" for state in states
                       if not state.startswith("not measured: ") or package not in state]
        if f"{name}: not measured" not in said:
            complaints.append(f"the table is silent about {name}")
    tap.check("an emulator that is not there is named with its package, and stops nothing",
              complaints)


def test_parts(tap, folder):
    pages = 16384
    status, said, result = bench(folder, "--only", "none", "--paging", "--samples", "2",
                                 "--switches", "--rounds", "1", "--pages", str(pages))
    if result is None:
        tap.check("parts of paging are measured", [f"status {status}", said])
        return
    rows = {(r["name"], r["mode"], r["host_caches"], r["pages"]): r for r in result["paging"]}
    walk, fill = rows["walk, 4096 pages", "ept", "warm", 4096], rows["fill", "shadow", "cold", pages]
    own = rows["walk, own tables", "bare", "warm", 1920]
    write = rows["write of a page table", "brute", "warm", 4096]
    tap.check("rows of paging did what they say", differences((
        ("walks in two dimensions", walk["walks"], walk["operations"]),
        ("their references", walk["references"], 2 * walk["operations"]),
        ("references without a walk cache", own["references"], 4 * own["operations"]),
        ("fills", fill["fills"], fill["operations"]),
        ("exits of fills", fill["exits"], fill["operations"]),
        ("exits of writes", write["exits"] >= write["operations"], True),
        ("samples", [len(r["ns"]) for r in rows.values()], [2] * len(rows)),
        ("median", round(fill["median_ns"], 3), round(statistics.mean(fill["ns"]), 3)),
        ("in the table", said.count("walk, own tables apart"), 6),
    )))
    group = result["switches"][0]
    ways = {(w["from"], w["to"]): w for w in group["directions"]}
    complaints = differences((
        ("directions", sorted(ways), sorted((a, b) for a in ("brute", "ept", "shadow")
                                            for b in ("brute", "ept", "shadow") if a != b)),
        ("pages", group["pages"], pages),
        ("touched", group["memory_touched"] > pages * 4096, True),
    ))
    for way, row in ways.items():
        tables = pages // 512
        complaints += [f"{way[0]} to {way[1]}: {complaint}" for complaint in differences((
            ("refilled", row["refill_fills"] >= pages, way[1] != "ept"),
            ("intervals of refill", row["intervals"] > 0, way[1] != "ept"),
            ("tables dropped", row["zapped"] > tables, way[0] != "ept"),
            ("teardown within the pause", 0 < row["teardown_ns"] <= row["pause_ns"], True),
            ("times", row["times"], 1),
        ))]
    tap.check("switches of each pair of modes, with the refill that they cause", complaints)


def test_web(tap, folder):
    status, said, result = bench(folder, "--only", "none", "--web", "--samples", "3")
    if result is None:
        tap.check("answers are measured", [f"status {status}", said])
        return
    rows = {(row["answer"], row["guests"], row["vms"]): row for row in result["web"]}
    large, small = rows["metrics", 1000, 0], rows["metrics", 100, 0]
    mixed = rows["metrics", 100, 200]
    tap.check("answers about more guests are longer, and each is measured as often", differences((
        ("answers", sorted(rows), sorted(
            (answer, *about) for about in ((10, 0), (100, 0), (1000, 0), (100, 200))
            for answer in ("metrics", "open_metrics", "guests"))),
        ("samples", {len(row[key]) for row in rows.values() for key in ("format_ns", "gzip_ns")},
         {3}),
        ("ten times the guests", 8 < large["bytes"] / small["bytes"] < 12, True),
        ("VMs are in it", mixed["bytes"] > 2 * small["bytes"], True),
        ("compressed", all(row["gzip_bytes"] * 2 < row["bytes"] for row in rows.values()), True),
        ("median", small["median_format_ns"], statistics.median(small["format_ns"])),
        ("in the table", said.count("open_metrics"), 4),
    )))


def test_liar(tap, folder):
    liar = os.path.join(folder, "liar")
    with open(liar, "w", encoding="utf-8") as file:
        file.write(LIAR)
    os.chmod(liar, 0o755)
    status, said, result = bench(folder, "--runs", "1", "--modes", "ept", qemu=liar)
    tap.check("an emulator whose guest computes something else is not measured", differences((
        ("status", status, 1),
        ("its checksum and name in the message",
         "checksum 0123456789abcdef in qemu" in said, True),
        ("JSON", result, None),
    )))


def test_daemon(tap, folder):
    path = os.path.join(folder, "daemon.json")
    subprocess.run([sys.executable, os.path.join(SOURCE, "tests", "bench", "daemon.py"), "--halted",
                    "2", "--busy", "1", "--seconds", "1", "--rounds", "1", "--json", path],
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=300, check=True)
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    halted, busy = result["halted"][0], result["busy"][0]
    complaints = [key for key, value in halted.items() if value <= 0]
    complaints += differences((("guests", halted["guests"], 2), ("busy", busy["guests"], 1)))
    complaints += [] if busy["umbrad_share"] > 0 else ["umbrad's share"]
    complaints += [] if result["scraping"].get("requests_per_second") else ["scraping"]
    tap.check("what umbrad costs, halted, busy and scraped", complaints)


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        test_figures(tap, folder)
        test_missing(tap, folder)
        test_parts(tap, folder)
        test_web(tap, folder)
        test_liar(tap, folder)
        test_daemon(tap, folder)
    print(f"1..{tap.count}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
