#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""System instructions do under Umbra what they do under QEMU, line by line of cases.c.

The image runs in bare and in ept, and under qemu-system-x86_64 -accel tcg. A difference is a
failure unless it is one of ALLOWED, where the manual says that QEMU 7.2 is wrong.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.path.join(os.environ.get("srcdir", "."), "tests/qemu/cases.c")
GUESTS = os.path.join(os.environ.get("srcdir", "."), "guests")
UMBRA = os.path.abspath("umbra")
QEMU = "qemu-system-x86_64"

# A pattern of the line, what QEMU has and what Umbra must have in its place, and why.
ALLOWED = (
    (r"program int_13,", "code d2 ", "code 6a ",
     "SDM 3A 6.13: the error code's index is the vector number; QEMU takes 16 bytes a gate"),
    (r"program int_80,", "code 802 ", "code 402 ", "the same"),
    (r"page .*, rmw: #PF", None, None,
     "SDM 3A 4.7: a read-modify-write is a write from its first access; QEMU reads first, and "
     "leaves W out of the code or sets A"),
)


def build(folder):
    """cases.elf, as the shipped guests are built."""
    os.symlink(os.path.abspath(os.path.join(GUESTS, "lib")), os.path.join(folder, "lib"))
    shutil.copy(SOURCE, folder)
    image = os.path.join(folder, "cases.elf")
    subprocess.run(["sh", os.path.join(GUESTS, "lib/build"), os.environ.get("CC", "gcc"),
                    os.environ.get("OBJCOPY", "objcopy"), folder, image, "-mgeneral-regs-only"],
                   check=True)
    return image


def lines_of(text):
    """The guest's lines: firmware prints before the first one, and not a whole line."""
    return text[max(text.find("wrmsr"), 0):].replace("\r", "").splitlines()


def umbra(image, mode):
    done = subprocess.run([UMBRA, "run", "--mode", mode, "--memory", "128M", image],
                          capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, lines_of(done.stdout)


def qemu(image, folder):
    console = os.path.join(folder, "console")
    done = subprocess.run(
        [QEMU, "-accel", "tcg", "-cpu", "max,vendor=GenuineIntel", "-m", "128", "-nodefaults",
         "-nographic", "-serial", f"file:{console}",
         "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", image],
        capture_output=True, timeout=300, check=False)
    with open(console, encoding="latin-1") as file:
        return done.returncode, lines_of(file.read())


def allowed(theirs, ours):
    for pattern, has, must, _ in ALLOWED:
        if re.match(pattern, theirs):
            if has is None:
                return theirs.split(":")[0] == ours.split(":")[0] and "code" in ours
            return theirs.replace(has, must) == ours
    return False


def main():
    if not shutil.which(QEMU):
        print(f"1..0 # SKIP {QEMU} is not installed")
        return 0
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        image = build(folder)
        status, expected = qemu(image, folder)
        print("1..5")
        good = status == 1 and len(expected) > 600  # isa-debug-exit: 2 * value + 1
        print("ok" if good else "not ok", f"1 - QEMU runs {len(expected)} cases")
        failed += not good
        outputs = {}
        for number, mode in enumerate(("bare", "ept"), 2):
            status, got = umbra(image, mode)
            outputs[mode] = got
            different = [(a, b) for a, b in zip(expected, got) if a != b and not allowed(a, b)]
            good = status == 0 and len(got) == len(expected) and not different
            print("ok" if good else "not ok", f"{number} - {mode} does the same")
            for theirs, ours in different[:20]:
                print(f"# QEMU: {theirs}\n# {mode}: {ours}")
            failed += not good
        good = outputs["bare"] == outputs["ept"]
        print("ok" if good else "not ok", "4 - bare and ept print the same")
        failed += not good
        unused = [why for pattern, _, _, why in ALLOWED
                  if not any(re.match(pattern, a) and a != b
                             for a, b in zip(expected, outputs["ept"]))]
        print("not ok" if unused else "ok", "5 - each allowed difference is one")
        failed += bool(unused)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
