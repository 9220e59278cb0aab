#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's cloud kernel boots to a shell, runs a script there, powers off: the same in every mode.

Its initramfs is busybox and two scripts. The commands come on standard input, which is the serial
console. Under --clock instructions all that the guest can see is the same in every mode and with a
switch every 100,000 instructions, with one vCPU and with four.
"""
import hashlib
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import linux_guest
from tap import Tap

FULL = bool(os.environ.get("UMBRA_FULL"))
# The self-tests of the kernel's cryptography are half of a boot.
APPEND = "" if FULL else "cryptomgr.notests"
LIMIT = 20_000_000_000

INIT = linux_guest.INIT + "exec sh\n"

# Processes, pipes, files, integers and floating point; what it prints is known beforehand.
SCRIPT = """
md5sum /bin/busybox
seq 1 1000 | awk '{ s += $1 * $1 } END { print "squares", s }'
awk 'BEGIN { printf "ratio %.12f\\n", 355 / 113 * 1.414 }'
for i in $(seq 1 20); do echo $i > /tmp.$i; done; cat /tmp.* | sort -n | tail -n 1
echo cpus $(grep -c ^processor /proc/cpuinfo)
dd if=/dev/zero bs=64k count=16 2>/dev/null | gzip -c | gunzip -c | wc -c
"""
# The kernel's driver reads what waits in the UART when it looks for one.
COMMANDS = "\n\nsh /script\necho $((6 * 7)) is the answer\npoweroff -f\n"


def make(folder):
    """The kernel, an initramfs, the commands, and the lines that they print."""
    kernel, initrd, busybox = linux_guest.make(folder, INIT, {"script": SCRIPT.encode()})
    commands = os.path.join(folder, "commands")
    with open(commands, "w", encoding="ascii") as file:
        file.write(COMMANDS)
    lines = [hashlib.md5(busybox).hexdigest() + "  /bin/busybox", "squares 333833500",
             f"ratio {355 / 113 * 1.414:.12f}", "20", "1048576", "42 is the answer"]
    return kernel, initrd, commands, lines


SWITCH_EVERY = 100_000
# name, options; each with one vCPU and with four, the first is what the others are held against.
RUNS = (
    ("bare", ["--mode", "bare"]),
    ("brute", ["--mode", "brute"]),
    ("shadow", ["--mode", "shadow"]),
    ("ept", ["--mode", "ept"]),
    ("auto", ["--mode", "auto"]),
    ("a switch every 100,000 instructions",
     ["--mode", "ept", "--switch-every", str(SWITCH_EVERY)]),
)
CPUS = (1, 4)


def boot(made, name, options, cpus):
    kernel, initrd, commands, _ = made
    options = [*options, "--cpus", str(cpus), "--max-instructions", str(LIMIT)]
    with open(commands, "rb") as console:
        return linux_guest.boot(kernel, initrd, f"{name} {cpus}", APPEND, options, console)


def work_done(name, cpus, report):
    """What proves that the mode did what it is there for."""
    shadow, complaints = report.get("shadow", {}), []
    wanted = {"brute": ("fills", "table_writes", "table_reads", "tables_located"),
              "shadow": ("fills", "unsyncs", "syncs", "table_writes"),
              "a switch every 100,000 instructions": ("fills", "unsyncs", "table_reads")}
    complaints += [f"{key} is {shadow.get(key)}" for key in wanted.get(name, ())
                   if not shadow.get(key)]
    if name in ("brute", "shadow") and cpus > 1 and not shadow.get("remote_flushes"):
        complaints.append("no vCPU made another flush")
    if name == "auto" and not report.get("decisions"):
        complaints.append("nothing was decided")
    if name.startswith("a switch"):
        count, expected = report["switching"]["count"], report["instructions"] // SWITCH_EVERY
        if abs(count - expected) > 1:
            complaints.append(f"{count} switches, wanted {expected}")
    return complaints


def check_run(tap, name, cpus, wanted, done, report):
    output = linux_guest.lines(done)
    complaints = linux_guest.ending(done, report)
    if "/ # " not in "\n".join(output):
        complaints.append("no prompt of a shell on the serial console")
    for line in [*wanted, f"cpus {cpus}"]:
        if line not in output:
            complaints.append(f"the serial console lacks the line {line!r}")
    if complaints:
        complaints += output[-25:] + done.stderr.decode().splitlines()[:3]
    tap.check(f"Linux reaches a shell, runs a script and powers off: {name}", complaints)
    print(f"# {report.get('instructions')} instructions")


def main():
    folder = tempfile.mkdtemp(prefix="umbra-linux-")
    runs = [(name, options, cpus) for cpus in CPUS for name, options in RUNS]
    try:
        made = make(folder)
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            results = list(pool.map(lambda run: boot(made, *run), runs))
    finally:
        shutil.rmtree(folder)
    tap = Tap()
    print(f"1..{2 * len(runs) - len(CPUS)}")
    references = {}
    for (name, _, cpus), (done, report) in zip(runs, results):
        place = f"{name} with {cpus} vCPU{'s' * (cpus > 1)}"
        check_run(tap, place, cpus, made[3], done, report)
        if cpus not in references:
            references[cpus] = (done, report)
            continue
        tap.check(f"nothing that Linux sees differs from bare: {place}",
                  linux_guest.differences(references[cpus], (done, report)) +
                  work_done(name, cpus, report))
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
