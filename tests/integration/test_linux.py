#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's cloud kernel boots to a shell, runs a script there, powers off: the same in every mode.

Its initramfs is busybox and two scripts. The commands come on standard input, which is the serial
console. Under --clock instructions all that the guest can see is the same in bare and in ept, and
in a second run.
"""
import glob
import gzip
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import debian
from tap import Tap

UMBRA = os.path.abspath("umbra")
FULL = bool(os.environ.get("UMBRA_FULL"))
# The self-tests of the kernel's cryptography are half of a boot.
APPEND = "console=ttyS0,115200 quiet" + ("" if FULL else " cryptomgr.notests")
LIMIT = 20_000_000_000

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
exec sh
"""

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


def cpio(files):
    """An archive in the format newc: (name, mode, bytes) each."""
    archive = b""
    for number, (name, mode, content) in enumerate([*files, ("TRAILER!!!", 0, b"")], 1):
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        entry = b"070701" + b"".join(b"%08x" % field for field in fields)
        entry += name.encode() + b"\0"
        entry += bytes(-len(entry) % 4) + content
        archive += entry + bytes(-len(entry) % 4)
    return archive


def make(folder):
    """The kernel, an initramfs, the commands, and the lines that they print."""
    debian.unpack(folder, debian.depends("linux-image-cloud-amd64"))
    debian.unpack(folder, "busybox-static")
    kernel, = glob.glob(os.path.join(folder, "boot", "vmlinuz-*"))
    with open(os.path.join(folder, "bin", "busybox"), "rb") as file:
        busybox = file.read()
    files = [("bin", stat.S_IFDIR | 0o755, b""), ("bin/busybox", stat.S_IFREG | 0o755, busybox),
             ("init", stat.S_IFREG | 0o755, INIT.encode()),
             ("script", stat.S_IFREG | 0o644, SCRIPT.encode())]
    initrd = os.path.join(folder, "initrd")
    with open(initrd, "wb") as file:
        file.write(gzip.compress(cpio(files), 6, mtime=0))
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


def boot(folder, made, name, mode, cpus):
    kernel, initrd, commands, _ = made
    result = os.path.join(folder, name + ".json")
    with open(commands, "rb") as console:
        done = subprocess.run(
            [UMBRA, "run", "--mode", mode, "--cpus", str(cpus), "--memory", "256M", "--clock",
             "instructions", "--max-instructions", str(LIMIT), "--initrd", initrd, "--append",
             APPEND, "--json", result, kernel],
            stdin=console, capture_output=True, timeout=1500, check=False)
    try:
        with open(result, encoding="utf-8") as file:
            return done, json.load(file)
    except (OSError, ValueError):
        return done, {}


def check_run(tap, name, cpus, lines, done, report):
    output = done.stdout.decode(errors="replace").replace("\r", "")
    end = report.get("end", {})
    complaints = []
    if done.returncode != 0 or end.get("reason") != "power_off":
        complaints.append(f"status {done.returncode}, wanted 0 after power_off: {end}")
    if "/ # " not in output:
        complaints.append("no prompt of a shell on the serial console")
    for line in [*lines, f"cpus {cpus}"]:
        if line not in output.splitlines():
            complaints.append(f"the serial console lacks the line {line!r}")
    if complaints:
        complaints += output.splitlines()[-25:] + done.stderr.decode().splitlines()[:3]
    tap.check(f"Linux reaches a shell, runs a script and powers off: {name}", complaints)
    print(f"# {report.get('instructions')} instructions")


def check_same(tap, name, first, second):
    complaints = [f"{key}: {first[1].get(key)} and {second[1].get(key)}"
                  for key in ("instructions", "time", "memory_hash", "registers")
                  if first[1].get(key) != second[1].get(key) or key not in first[1]]
    if first[0].stdout != second[0].stdout:
        complaints.append("the output differs")
    tap.check(f"nothing that Linux sees differs between {name}", complaints)


def main():
    folder = tempfile.mkdtemp(prefix="umbra-linux-")
    try:
        made = make(folder)
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            results = list(pool.map(lambda run: boot(folder, made, *run), RUNS))
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
