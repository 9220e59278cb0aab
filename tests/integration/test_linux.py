#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's cloud kernel boots to a shell, runs a script there, powers off: the same in every mode.

Its initramfs is busybox and two scripts. The commands come on standard input, which is the serial
console. Under --clock instructions all that the guest can see is the same in bare and in ept, and
in a second run.
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


# name, mode, vCPUs
RUNS = (
    ("bare", "bare", 1),
    ("ept", "ept", 1),
    ("ept again", "ept", 1),
    ("bare with 4 vCPUs", "bare", 4),
    ("ept with 4 vCPUs", "ept", 4),
)


def boot(made, name, mode, cpus):
    kernel, initrd, commands, _ = made
    options = ["--mode", mode, "--cpus", str(cpus), "--max-instructions", str(LIMIT)]
    with open(commands, "rb") as console:
        return linux_guest.boot(kernel, initrd, name, APPEND, options, console)


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


def check_same(tap, name, first, second):
    tap.check(f"nothing that Linux sees differs between {name}",
              linux_guest.differences(first, second))


def main():
    folder = tempfile.mkdtemp(prefix="umbra-linux-")
    try:
        made = make(folder)
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            results = list(pool.map(lambda run: boot(made, *run), RUNS))
    finally:
        shutil.rmtree(folder)
    tap = Tap()
    print(f"1..{len(RUNS) + 3}")
    for (name, _, cpus), (done, report) in zip(RUNS, results):
        check_run(tap, name, cpus, made[3], done, report)
    check_same(tap, "bare and ept", results[0], results[1])
    check_same(tap, "two runs", results[1], results[2])
    check_same(tap, "bare and ept with 4 vCPUs", results[3], results[4])
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
