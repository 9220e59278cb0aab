#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
umbrad and umbra-collect on a host with real KVM, once with nested paging (npt=1) and once with
shadow paging (npt=0): VMs of somebody else, and a guest of umbrad's own.
"""
import shutil
import sys
import tempfile
import time

import qemu_lab  # first: it finds the modules of tests/integration
import kernel_counts
from daemon_fixture import run_tests, wait_for
from lab_daemons import Bench, comes_and_goes
from qemu_lab import Lab

# The reasons that only a KVM without nested paging has in number, and what it has instead.
SHADOW_REASONS = ("page_fault", "cr_access", "invlpg")

BENCH = None


def kvm_pages_as_the_lab_was_told():
    nested = BENCH.lab.sh("cat /sys/module/kvm_amd/parameters/npt").strip()
    assert nested == ("Y" if BENCH.lab.npt else "N"), nested
    kvm = BENCH.json("/api/v1/host")["kvm"]
    print(f"# {kvm}")
    assert kvm["available"], kvm


def every_collector_measures_but_that_of_the_counters_that_are_not_there():
    states = BENCH.collectors()
    print(f"# {states}")
    events = states.pop("perf_event")
    # The kernel refuses before it says that there are none.
    assert events.startswith(("unsupported: ", "denied: ", "degraded: ")), events
    assert all(state == "ok" for state in states.values()), states


def vm_is_found_when_it_starts_and_dropped_when_it_ends():
    """Where nothing depends on how busy this machine is: see test_lab_exact.py."""
    for number in range(3):
        assert max(comes_and_goes(BENCH, f"comes-and-goes-{number}")) < 20


def exits_by_reason_of_a_whole_life_are_the_kernels_own():
    """From the VM's start to its power-off, behind which it stands."""
    pid = BENCH.lab.start_vm("life", "rounds=20", "-uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
                             "-serial", "file:/run/life")
    BENCH.lab.sh("until grep -q 'reboot: Power down' /run/life; do sleep 0.2; done; sleep 0.5",
                 seconds=300)
    threads = kernel_counts.threads_of(BENCH.lab, pid)
    kernel = kernel_counts.exits(BENCH.lab, threads)
    guest = BENCH.wait_guest("life", lambda guest: sum(guest["exits"].values()) >=
                             sum(kernel.values()), 30)
    assert kernel == kernel_counts.exits(BENCH.lab, threads), "the VM went on"
    BENCH.lives["life"] = guest, kernel, kernel_counts.statistics(BENCH.lab, pid)
    counted = {reason: count for reason, count in guest["exits"].items() if count}
    print(f"# {sum(kernel.values())} exits: {kernel}")
    assert counted == kernel, (counted, kernel)
    assert guest["observed"] and guest["engine"] == "kvm", guest
    assert guest["id"] == "6ba7b810-9dad-11d1-80b4-00c04fd430c8", guest["id"]


def statistics_are_those_that_kvm_shows_in_debugfs():
    """All that are single numbers; what changes little is read in turns."""
    guest, kernel, statistics = BENCH.lives["life"]

    def told():
        return BENCH.guest("life")["kvm"]

    def differences():
        return {name: (value, statistics[name]) for name, value in told().items()
                if name in statistics and value != statistics[name]}
    try:
        wait_for(lambda: not differences(), 60)
    except AssertionError:
        print(f"# {differences()}")
        raise
    print(f"# {len(statistics)} in debugfs, {len(told())} told")
    assert len(set(statistics) & set(told())) > 20, told()
    assert statistics["exits"] == sum(kernel.values()), statistics
    BENCH.end_vm(guest["pid"])


def work_of_the_mmu_is_that_of_the_mode():
    guest, kernel, statistics = BENCH.lives["life"]
    print(f"# kvmmmu: {guest.get('kvmmmu')}")
    if BENCH.lab.npt:
        assert kernel["ept_violation"] > 300, kernel
        # Its interrupt controller and timers.
        assert kernel["ept_misconfiguration"] > 500, kernel
        assert not any(kernel.get(reason) for reason in ("page_fault", "invlpg")), kernel
    else:
        assert "ept_violation" not in kernel, kernel
        assert all(kernel[reason] > 500 for reason in SHADOW_REASONS), kernel
        assert statistics["pf_fixed"] > 1000 and statistics["mmu_pte_write"] > 0, statistics


def own_guest_of_the_daemon_runs_on_kvm_and_is_no_vm_of_somebody_else():
    BENCH.lab.put("/etc/umbra/umbra.conf", qemu_lab.FILES["etc/umbra/umbra.conf"] + b"""
[guest own]
image = /guests/churn.elf
engine = kvm
append = rounds=0
memory = 64M
""")
    BENCH.lab.sh("killall -HUP umbrad")
    guest = BENCH.wait_guest("own", lambda guest: guest["state"] == "running" and
                             guest.get("kvm", {}).get("exits", 0) > 1000 and guest.get("exits"), 120)
    mode = "ept" if BENCH.lab.npt else "shadow"
    assert guest["engine"] == "kvm" and guest["mode"] == mode and not guest.get("observed"), guest
    others = [one for one in BENCH.json("/api/v1/guests")["guests"] if one["pid"] == guest["pid"]]
    assert len(others) == 1, others
    print(f"# {guest['exits']}")
    BENCH.lab.put("/etc/umbra/umbra.conf", qemu_lab.FILES["etc/umbra/umbra.conf"])
    BENCH.lab.sh("killall -HUP umbrad")
    wait_for(lambda: not BENCH.guest("own"), 60)


# By npt: the share of guest time that exits for the mode's sake take of a guest that starts processes.
SHARES = {}


def advice_tells_what_the_modes_exits_take_and_nothing_that_is_not_measured():
    # Debian's level lets nobody count; the kernel's own events need no PMU.
    BENCH.lab.sh("echo 2 >/proc/sys/kernel/perf_event_paranoid; killall umbra-collect")
    BENCH.start_collect()
    pid = BENCH.lab.start_vm("advised", "rounds=0")
    mode, other = ("ept", "shadow") if BENCH.lab.npt else ("shadow", "ept")

    def advised(guest):
        advice = guest.get("advice", {})
        return "guest_cycles_per_second" in advice and "exits_per_second" in advice["cost"][mode]
    advice = BENCH.wait_guest("advised", advised, 120)["advice"]
    # The first may be of its start, when it touches its memory.
    first = advice
    advice = BENCH.wait_guest("advised", lambda guest: guest.get("advice", first) != first and
                              advised(guest), 120)["advice"]
    cost = advice["cost"][mode]
    SHARES[BENCH.lab.npt] = cost["exits_per_second"] / advice["guest_cycles_per_second"]
    print(f"# {100 * SHARES[BENCH.lab.npt]:.1f}% of guest time: {advice['reason']}")
    assert advice["mode"] == mode and 0 <= SHARES[BENCH.lab.npt] <= 1, advice
    # Without a PMU there is no cost of walks, and so neither a sum nor a better mode.
    assert "better" not in advice and advice["confidence"] == "none", advice
    for one in (cost, advice["cost"].get(other, {})):
        assert not {"walks_per_second", "cycles_per_second", "share"} & set(one), advice
    missing = {one["what"]: one["why"] for one in advice["missing"]}
    assert missing["walk_cycles"] == BENCH.collectors()["perf_event"], missing
    assert ("guest_table_work" in missing) == (mode == "ept"), missing
    # How much of it is of this machine's load: emulated time is not guest time.
    if len(SHARES) == 2:
        assert SHARES[0] > 0.01 and SHARES[0] > 10 * SHARES[1], SHARES
    BENCH.end_vm(pid)


TESTS = (
    kvm_pages_as_the_lab_was_told,
    every_collector_measures_but_that_of_the_counters_that_are_not_there,
    vm_is_found_when_it_starts_and_dropped_when_it_ends,
    exits_by_reason_of_a_whole_life_are_the_kernels_own,
    statistics_are_those_that_kvm_shows_in_debugfs,
    work_of_the_mmu_is_that_of_the_mode,
    own_guest_of_the_daemon_runs_on_kvm_and_is_no_vm_of_somebody_else,
    advice_tells_what_the_modes_exits_take_and_nothing_that_is_not_measured,
)


def in_lab(made, npt, test):
    """The test as one of the lab with that npt, which the first of them boots."""
    def run():
        global BENCH  # pylint: disable=global-statement
        if not BENCH or BENCH.lab.npt != npt:
            if BENCH:
                BENCH.lab.stop()
            began = time.monotonic()
            BENCH = Bench(Lab(made, npt).__enter__())  # pylint: disable=unnecessary-dunder-call
            print(f"# npt={npt}: booted in {time.monotonic() - began:.1f} s")
            BENCH.start()
            kernel_counts.count_exits(BENCH.lab)
        began = time.monotonic()
        try:
            return test()
        except BaseException:
            print("# " + BENCH.logs().replace("\n", "\n# "))
            raise
        finally:
            print(f"# took {time.monotonic() - began:.1f} s")
    run.__name__ = f"{test.__name__}_npt={npt}"
    return run


def why_not():
    """Why it cannot run here, or None."""
    if not shutil.which(qemu_lab.image.QEMU):
        return f"{qemu_lab.image.QEMU} is not installed"
    return None


def main():
    if reason := why_not():
        print(f"1..0 # SKIP {reason}")
        return
    with tempfile.TemporaryDirectory(prefix="umbra-lab-") as folder:
        made = qemu_lab.make_image(folder)
        try:
            # Names of tests may be given, to run those alone.
            run_tests([in_lab(made, npt, test) for npt in (1, 0) for test in TESTS
                       if len(sys.argv) == 1 or test.__name__ in sys.argv])
        finally:
            if BENCH:
                BENCH.lab.stop()


if __name__ == "__main__":
    sys.exit(main())
