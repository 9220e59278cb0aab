#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
What must hold in time, on a lab whose clock counts instructions: the same on every machine, however
busy it is. A nanosecond inside is an instruction.
"""
import os
import re
import shutil
import sys
import tempfile

import qemu_lab  # first: it finds the modules of tests/integration
from daemon_fixture import run_tests
from lab_daemons import Bench, comes_and_goes
from qemu_lab import Lab

BENCH = None
WITHIN = 1.0
PERF = "/usr/bin/perf"


def vm_is_found_and_dropped_within_a_second():
    """Of its start, of its end."""
    BENCH.start()
    for number in range(3):
        figures = comes_and_goes(BENCH, f"comes-and-goes-{number}")
        assert max(figures) <= WITHIN, figures


def exit_cost():
    """Instructions of the host an exit, of the median batch."""
    return float(re.search(r"median ([\d.]+)", BENCH.lab.sh("exit_cost 2000 7"))[1])


def programs_add_at_most_half_of_what_perf_kvm_stat_adds():
    if not os.path.exists(PERF):
        return "SKIP linux-perf is not installed"
    with_programs = exit_cost()
    BENCH.lab.sh("killall umbra-collect umbrad; while pidof umbra-collect umbrad; do sleep 1; done")
    none = exit_cost()
    BENCH.lab.sh("cd /run; perf kvm stat record -a -o data >perf.log 2>&1 & sleep 5")
    with_perf = exit_cost()
    recorded = BENCH.lab.sh("killall -INT perf; while pidof perf >/dev/null; do sleep 1; done; "
                            "grep Captured /run/perf.log").strip()
    print(f"# an exit takes {none:.0f} instructions, {with_programs - none:.0f} more with "
          f"umbra-collect, {with_perf - none:.0f} more with perf kvm stat record\n# {recorded}")
    assert "samples" in recorded, recorded
    assert with_programs > none, "the programs did not run"
    assert with_programs - none <= (with_perf - none) / 2
    return None


def main():
    global BENCH  # pylint: disable=global-statement
    if not shutil.which(qemu_lab.image.QEMU):
        print(f"1..0 # SKIP {qemu_lab.image.QEMU} is not installed")
        return
    with tempfile.TemporaryDirectory(prefix="umbra-lab-") as folder:
        made = qemu_lab.make_image(folder, {PERF: PERF} if os.path.exists(PERF) else None)
        with Lab(made, npt=1, exact=True) as lab:
            BENCH = Bench(lab)
            run_tests((vm_is_found_and_dropped_within_a_second,
                       programs_add_at_most_half_of_what_perf_kvm_stat_adds))


if __name__ == "__main__":
    sys.exit(main())
