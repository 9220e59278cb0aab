#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Umbra's own guests on KVM of AMD, with nested paging and with shadow paging: they print what they
print in the soft engine, and what KVM counts is what the model counts.

The counts are left in tests/lab/counts-qemu.json for compare_model.py.
"""
import json
import sys
import tempfile

import qemu_lab  # first: it finds the modules of tests/integration
import compare_model
import kernel_exits
from guest_runs import GUEST_RUNS, MEMORY
from tap import Tap

COUNTS = "tests/lab/counts-qemu.json"


def run_guest(lab, guest, append):
    """What it prints last, the kernel's counts of its exits, and umbra's JSON."""
    lab.sh(f"echo '{kernel_exits.TRIGGER}' >{kernel_exits.EVENT}/trigger")
    said = lab.sh(f"umbra run --engine kvm --memory {MEMORY} --append '{append}' "
                  f"--json /run/{guest} /guests/{guest}.elf 2>&1 | grep checksum")
    exits = kernel_exits.parse(lab.sh(f"cat {kernel_exits.EVENT}/hist"))
    lab.sh(f"echo '!{kernel_exits.TRIGGER}' >{kernel_exits.EVENT}/trigger")
    return said.strip(), exits, json.loads(lab.sh(f"cat /run/{guest}"))


def run_guests(tap, made, npt, expected):
    """The counts of one mode."""
    mode = "ept" if npt else "shadow"
    runs = []
    with qemu_lab.Lab(made, npt) as lab:
        for guest, append in GUEST_RUNS:
            said, exits, report = run_guest(lab, guest, append)
            complaints = []
            if said != expected[guest]:
                complaints.append(f"it says {said}, wanted {expected[guest]}")
            if report["mode"] != mode:
                complaints.append(f"mode {report['mode']}, wanted {mode}")
            tap.check(f"{guest} has the soft engine's checksum on KVM, npt={npt}", complaints)
            runs.append({"guest": guest, "append": append, "exits": exits,
                         "statistics": report["kvm"]})
    return {"kvm": f"npt={npt}", "mode": mode, "runs": runs}


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="umbra-model-") as folder:
        reports, said = compare_model.measure_soft(folder)
        made = qemu_lab.make_image(folder)
        counts = [run_guests(tap, made, npt, said) for npt in (1, 0)]
    with open(COUNTS, "w", encoding="utf-8") as file:
        json.dump(counts, file)
    compare_model.check(tap, reports, counts)
    print(f"1..{tap.count}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
