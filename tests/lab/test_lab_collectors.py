#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Collectors that are off, denied or without what they read, and VMs that die or hang: each is told,
and nothing else suffers. Real KVM with shadow paging, in the QEMU lab.
"""
import shutil
import sys
import tempfile
import time

import qemu_lab  # first: it finds the modules of tests/integration
from daemon_fixture import run_tests, wait_for
from lab_daemons import Bench
from qemu_lab import Lab

BENCH = None
CONFIG = qemu_lab.FILES["etc/umbra/umbra.conf"]
OFF = CONFIG + b"".join(b"[collector %s]\nenabled = no\n" % name
                        for name in (b"kvm", b"kvm_exits", b"perf_event"))
# As the user umbra, with nothing that a collector needs.
UNPRIVILEGED = ("/usr/bin/setpriv --reuid umbra --regid umbra --init-groups --inh-caps -all "
                "--bounding-set -all")


def exits_of(name):
    return BENCH.guest(name)["kvm"]["exits"]


def goes_on(name):
    """Its figures do, twice."""
    before = exits_of(name)
    between = wait_for(lambda: exits_of(name) > before and exits_of(name), 60)
    wait_for(lambda: exits_of(name) > between, 60)


def collector_that_is_off_says_so_and_the_others_go_on():
    BENCH.lab.put("/etc/umbra/umbra.conf", OFF)
    BENCH.lab.sh("killall -HUP umbrad")
    BENCH.start_collect()
    states = BENCH.wait_states(lambda states: all(
        states[name] == f"denied: [collector {name}] enabled = no"
        for name in ("kvm", "kvm_exits", "perf_event")))
    assert states["discovery"] == "ok", states
    guest = BENCH.wait_guest("other")
    assert not any(key in guest for key in ("kvm", "exits", "kvmmmu")), guest
    BENCH.lab.put("/etc/umbra/umbra.conf", CONFIG)
    BENCH.lab.sh("killall -HUP umbrad")
    BENCH.start_collect()
    BENCH.wait_measuring()
    goes_on("other")


def ordinary_user_is_told_what_is_denied():
    BENCH.start_collect(UNPRIVILEGED)
    states = BENCH.wait_states(lambda states: states["kvm_exits"].startswith("denied: "))
    print(f"# {states}")
    assert states["soft"] == "ok", states
    assert states["kvm"].startswith(("denied: ", "degraded: ")), states
    assert states["perf_event"].startswith("denied: "), states
    assert BENCH.lab.ask("/metrics").status == 200
    BENCH.start_collect()
    BENCH.wait_measuring()


def without_debugfs_exits_are_counted_still():
    BENCH.lab.sh("umount -l /sys/kernel/debug")
    BENCH.start_collect()
    states = BENCH.wait_states(lambda states: states["kvm_exits"] == "ok" and
                               states["kvm"].startswith(("denied: ", "degraded: ")))
    print(f"# {states}")
    before = sum(BENCH.wait_guest("other", lambda guest: guest.get("exits"))["exits"].values())
    BENCH.wait_guest("other", lambda guest: sum(guest["exits"].values()) > before)
    BENCH.lab.sh("mount -t debugfs debugfs /sys/kernel/debug")
    BENCH.start_collect()
    BENCH.wait_measuring()
    goes_on("other")


def vms_that_are_killed_in_a_sample_leave_nothing_behind():
    """With VMs dying at every moment of a round, and descriptors counted."""
    collect = BENCH.lab.sh("pidof umbra-collect").strip()
    count = f"ls /proc/{collect}/fd 2>/dev/null | wc -l"
    before = max(int(BENCH.lab.sh(count)) for _ in range(5))
    for first in range(0, 20, 5):
        BENCH.lab.sh("[ -p /run/never ] || mkfifo /run/never; exec 9<>/run/never\n" + "\n".join(
            f"(kvm_owner --vms 2 --work tables <&9 >/run/owner{number} & "
            f"until grep -q ready /run/owner{number}; do sleep 0.05; done; "
            f"sleep {0.5 + number * 0.19:.2f}; kill -KILL $!) &"
            for number in range(first, first + 5)) + "\nwait", seconds=180)
    # Each printed its VMs: they have been.
    assert BENCH.lab.sh("cat /run/owner* | grep -c '^vm '").strip() == "40"
    wait_for(lambda: len([one for one in BENCH.json("/api/v1/guests")["guests"]
                          if one["vm"]["process"] == "kvm_owner"]) == 0, 60)
    assert BENCH.lab.sh("pidof umbra-collect").strip() == collect
    # A VM that ended in the last round may have been one without statistics.
    BENCH.wait_states(lambda states: states["kvm_exits"] == states["kvm"] == "ok")
    wait_for(lambda: int(BENCH.lab.sh(count)) <= before, 60)
    goes_on("other")
    print(f"# {before} descriptors; {BENCH.logs()}")


def stopped_vm_delays_no_sample_of_another_and_no_scrape():
    BENCH.lab.start_vm("stopped", "rounds=0")
    guest = BENCH.wait_guest("stopped", lambda guest: guest.get("kvm", {}).get("exits", 0) > 2000,
                             180)
    BENCH.lab.sh(f"kill -STOP {guest['pid']}")
    time.sleep(2)
    still, scrapes, values = exits_of("stopped"), [], set()
    end = time.monotonic() + 12
    while time.monotonic() < end:
        began = time.monotonic()
        assert BENCH.lab.ask("/metrics").status == 200
        scrapes.append(time.monotonic() - began)
        values.add(exits_of("other"))
        time.sleep(0.2)
    print(f"# slowest of {len(scrapes)} scrapes {1000 * max(scrapes):.0f} ms, "
          f"{len(values)} samples of the other VM in 12 s")
    assert max(scrapes) < 5 and len(values) > 4, (max(scrapes), values)
    assert exits_of("stopped") == still, "it was not stopped"
    BENCH.end_vm(guest["pid"])


def kernel_that_is_locked_down_is_named_as_the_reason():
    """Nothing brings it back: the last test."""
    BENCH.lab.sh("mount -t securityfs securityfs /sys/kernel/security; "
                 "echo integrity >/sys/kernel/security/lockdown")
    BENCH.start_collect()
    # debugfs is closed, programs may still look.
    states = BENCH.wait_states(lambda states: "lockdown (integrity)" in states["kvm"] and
                               states["kvm_exits"] == "ok")
    print(f"# integrity: {states}")
    assert BENCH.guest("other")
    BENCH.lab.sh("echo confidentiality >/sys/kernel/security/lockdown")
    BENCH.start_collect()
    states = BENCH.wait_states(lambda states: states["kvm_exits"] ==
                               "denied: the kernel is locked down (confidentiality)")
    print(f"# confidentiality: {states}")
    assert BENCH.guest("other") and BENCH.lab.ask("/metrics").status == 200


TESTS = (
    collector_that_is_off_says_so_and_the_others_go_on,
    ordinary_user_is_told_what_is_denied,
    without_debugfs_exits_are_counted_still,
    vms_that_are_killed_in_a_sample_leave_nothing_behind,
    stopped_vm_delays_no_sample_of_another_and_no_scrape,
    kernel_that_is_locked_down_is_named_as_the_reason,
)


def main():
    global BENCH  # pylint: disable=global-statement
    if not shutil.which(qemu_lab.image.QEMU):
        print(f"1..0 # SKIP {qemu_lab.image.QEMU} is not installed")
        return
    with tempfile.TemporaryDirectory(prefix="umbra-lab-") as folder:
        with Lab(qemu_lab.make_image(folder), npt=0) as lab:
            BENCH = Bench(lab)
            BENCH.start()
            lab.start_vm("other", "rounds=0")
            BENCH.wait_guest("other", lambda guest: guest.get("kvm", {}).get("exits", 0) > 2000,
                             180)
            try:
                run_tests([test for test in TESTS
                           if len(sys.argv) == 1 or test.__name__ in sys.argv])
            finally:
                print("# " + BENCH.logs().replace("\n", "\n# "))


if __name__ == "__main__":
    sys.exit(main())
