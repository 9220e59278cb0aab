#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Real KVM of Intel, with EPT and with shadow paging, in Bochs: what runs inside reports.

The short form, in make check, has a shipped guest in the foreign VM; make lab (UMBRA_LAB=1), and
UMBRA_FULL=1, Debian's kernel. What KVM counts of Umbra's own guests is left in
tests/lab/counts-bochs.json and held against the model.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

# pylint: disable=wrong-import-position
import bochs_lab
import compare_model
import debian
import image
from guest_runs import GUEST_RUNS
from tap import Tap

WHOLE = bool(os.environ.get("UMBRA_LAB") or os.environ.get("UMBRA_FULL"))
COUNTS = "tests/lab/counts-bochs.json"
# Of wall time, for Bochs; loaded machines take several times what idle ones do.
LIMIT = 1800
MODULES = ("irqbypass", "kvm")
PROGRAMS = {"/usr/bin/python3": "/usr/bin/python3", "/usr/bin/umbra": "umbra",
            "/usr/sbin/umbrad": "umbrad", "/usr/sbin/umbra-collect": "umbra-collect"}
# What the script inside imports of Python's own; what these load comes along.
IMPORTS = "json, os, re, socket, subprocess, sys, time"
INSIDE = ("bochs_inside.py", "guest_runs.py", "kernel_exits.py", "../integration/tap.py")
UMBRA = (998, 998)
FILES = {
    "/etc/passwd": b"root:x:0:0::/:/bin/sh\numbra:x:998:998::/:/bin/false\n",
    "/etc/group": b"root:x:0:\numbra:x:998:\n",
    "/etc/umbra/umbra.conf": b"[umbrad]\nstate =\n",
}

# What the foreign VM runs and says last.
SHIPPED = {"options": ["-m", "64", "-kernel", "/lab/forker.elf", "-append",
                       "rounds=1 depth=2 pages=16"], "says": "checksum", "seconds": 60}
LINUX = {"options": ["-m", "128", "-kernel", "/cd/boot/vmlinuz", "-initrd", "/lab/nested",
                     "-append", bochs_lab.APPEND], "says": "nested 42", "seconds": 120}
NESTED = """
echo nested $((6 * 7))
poweroff -f
"""


def missing():
    """Why this cannot run here, or None."""
    with open("config.h", encoding="utf-8") as file:
        if not re.search(r"^#define HAVE_BPF 1$", file.read(), re.M):
            return "a build without BPF counts no exits"
    if any("/libasan." in library for library in image.libraries("umbrad")):
        return "instrumented programs take an hour in Bochs"
    return bochs_lab.missing()


def python_files():
    """The modules that IMPORTS loads, with the compiled ones beside them."""
    found = subprocess.run(
        [PROGRAMS["/usr/bin/python3"], "-I", "-S", "-c",
         f"import {IMPORTS}\nfor module in list(sys.modules.values()):\n"
         "    for path in getattr(module, '__file__', None), getattr(module, '__cached__', None):\n"
         "        if path: print(path)"], check=True, capture_output=True, text=True)
    return {path: path for path in found.stdout.split("\n") if path and os.path.exists(path)}


def make_cd(folder, said):
    """@said: {guest: the line with its checksum}"""
    runs = [{"guest": guest, "append": append, "checksum": said[guest]}
            for guest, append in GUEST_RUNS]
    plan = {"runs": runs, "modules": MODULES, "umbra": UMBRA,
            "foreign": LINUX if WHOLE else SHIPPED}
    programs, files = image.qemu()
    files = {**files, **python_files(), **FILES, "/lab/plan.json": json.dumps(plan).encode()}
    files.update({f"/lab/{os.path.basename(name)}": os.path.join(HERE, name) for name in INSIDE})
    files.update({f"/lab/{guest}.elf": f"guests/{guest}.elf" for guest, _ in GUEST_RUNS})
    if WHOLE:
        image.build(f"{folder}/nested", NESTED, compress=True)
        files["/lab/nested"] = f"{folder}/nested"
    bochs_lab.make(folder, image.Kernel(), "python3 -I -S /lab/bochs_inside.py\n",
                   modules=("kvm-intel",), programs={**programs, **PROGRAMS}, files=files)


class Relay:
    """Gives the results that come from inside to a Tap of here."""

    def __init__(self, tap):
        self.tap = tap
        self.counts = []
        self.planned = None
        self.results = 0
        self.bad = None

    def line(self, text):
        word, _, rest = text.partition(" ")
        if word in ("ok", "not"):
            self.flush()
            self.results += 1
            name = text.partition(" - ")[2]
            if word == "ok":
                self.tap.check(name, [])
            else:
                self.bad = (name, ["inside:"])
        elif word == "#" and self.bad:
            self.bad[1].append(rest)
        elif word == "counts":
            self.counts.append(json.loads(rest))
        elif text.startswith("1.."):
            self.planned = int(text[3:])

    def flush(self):
        """Once its complaints are there."""
        if self.bad:
            self.tap.check(*self.bad)
        self.bad = None

    def end(self):
        """What is missing at the end."""
        self.flush()
        if self.planned is None:
            return [f"no plan after {self.results} results"]
        if self.planned != self.results:
            return [f"{self.results} results, planned {self.planned}"]
        return []


def main():
    why = missing()
    if why:
        debian.skip(why)
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="umbra-bochs-") as folder:
        reports, said = compare_model.measure_soft(folder)
        make_cd(folder, said)
        relay = Relay(tap)
        complaints = bochs_lab.boot(folder, seconds=LIMIT, line=relay.line)
        lost = relay.end()
        if lost:
            complaints += lost + bochs_lab.tail(folder)
        tap.check("all that runs inside comes to its end, and the machine powers off", complaints)
    if not lost:
        with open(COUNTS, "w", encoding="utf-8") as file:
            json.dump(relay.counts, file)
        compare_model.check(tap, reports, relay.counts)
    print(f"1..{tap.count}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
