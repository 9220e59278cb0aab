# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's cloud kernel as a guest, with an initramfs of busybox and what a test adds."""
import glob
import gzip
import json
import os
import stat
import subprocess

import debian

UMBRA = os.path.abspath("umbra")

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
"""


def cpio(files):
    """An archive in the format newc: (name, mode, bytes) each."""
    archive = []
    for number, (name, mode, content) in enumerate([*files, ("TRAILER!!!", 0, b"")], 1):
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        entry = b"070701" + b"".join(b"%08x" % field for field in fields)
        entry += name.encode() + b"\0"
        entry += bytes(-len(entry) % 4) + content
        archive.append(entry + bytes(-len(entry) % 4))
    return b"".join(archive)


def make(folder, init, files):
    """Kernel, initramfs and busybox's bytes; @files: the bytes of each name, all executable."""
    debian.unpack(folder, debian.depends("linux-image-cloud-amd64"))
    debian.unpack(folder, "busybox-static")
    kernel, = glob.glob(os.path.join(folder, "boot", "vmlinuz-*"))
    with open(os.path.join(folder, "bin", "busybox"), "rb") as file:
        busybox = file.read()
    files = {"bin/busybox": busybox, "init": init.encode(), **files}
    folders = {name[:i] for name in files for i, char in enumerate(name) if char == "/"}
    initrd = os.path.join(folder, "initrd")
    with open(initrd, "wb") as file:
        file.write(gzip.compress(cpio(
            [(name, stat.S_IFDIR | 0o755, b"") for name in sorted(folders)] +
            [(name, stat.S_IFREG | 0o755, content) for name, content in files.items()]),
            6, mtime=0))
    return kernel, initrd, busybox


def boot(kernel, initrd, name, append, options, console=subprocess.DEVNULL):
    """Under --clock instructions; how it ended and the report."""
    result = os.path.join(os.path.dirname(initrd), name + ".json")
    done = subprocess.run(
        [UMBRA, "run", *options, "--memory", "256M", "--clock", "instructions", "--initrd", initrd,
         "--append", "console=ttyS0,115200 quiet " + append, "--json", result, kernel],
        stdin=console, capture_output=True, timeout=3000, check=False)
    try:
        with open(result, encoding="utf-8") as file:
            return done, json.load(file)
    except (OSError, ValueError):
        return done, {}


def lines(done):
    return done.stdout.decode(errors="replace").replace("\r", "").splitlines()


def ending(done, report):
    """What is wrong with how it ended, if it did not power off."""
    end = report.get("end", {})
    if done.returncode == 0 and end.get("reason") == "power_off":
        return []
    return [f"status {done.returncode}, wanted 0 after power_off: {end}"]


def differences(first, second):
    """What the guest can see that is not the same in two runs."""
    found = [f"{key}: {first[1].get(key)} and {second[1].get(key)}"
             for key in ("instructions", "time", "memory_hash", "registers")
             if first[1].get(key) != second[1].get(key) or key not in first[1]]
    if first[0].stdout != second[0].stdout:
        found.append("the output differs")
    return found
