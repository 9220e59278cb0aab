#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The collector kvm_exits on this machine's KVM, whichever that is, beside the kernel's own count."""
import collections
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from daemon_fixture import run_tests
from kvm_exits_watcher import EVENTS, Round, owned, watched

WATCH = os.path.abspath("tests/integration/kvm_exits_watch")
OWNER = os.path.abspath("tests/integration/kvm_owner")
TRACING = "/sys/kernel/tracing"
# What a CPL 3 guest does that has shadow pages made, or entries of the second step.
WORK = ["--work", "entries", "--vcpus", "2"]


class Program:
    """One that obeys lines and answers `ok` behind what it prints."""

    def __init__(self, command, ready):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.pid = self.process.pid
        self.first = self.until(ready)

    def until(self, *words):
        lines = []
        while True:
            line = self.process.stdout.readline()
            assert line, f"{self.process.args} ended: {lines}"
            if line.split()[0] in words:
                return [*lines, line.strip()]
            lines.append(line.strip())

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.until("ok", "error")

    def round(self):
        return Round(self.ask("round"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(60) == 0
        self.process.stdout.close()


def watch(*options):
    return Program([WATCH, *options], "state")


class Kernel:
    """What the kernel traces meanwhile, in an instance of tracing of its own."""

    def __init__(self):
        self.folder = f"{TRACING}/instances/umbra-test-{os.getpid()}"

    def write(self, name, value):
        with open(f"{self.folder}/{name}", "w", encoding="ascii") as file:
            file.write(value)

    def __enter__(self):
        os.mkdir(self.folder)
        self.write("buffer_size_kb", "8192")
        for event in EVENTS.values():
            self.write(f"events/kvmmmu/{event}/enable", "1")
        return self

    def __exit__(self, *_):
        os.rmdir(self.folder)

    def events(self):
        """{metric: {TID: count}}"""
        for stats in glob.glob(f"{self.folder}/per_cpu/cpu*/stats"):
            with open(stats, encoding="ascii") as file:
                assert "overrun: 0\n" in file.read(), "more events than the buffer has room for"
        found = {metric: collections.Counter() for metric in EVENTS}
        names = {event: metric for metric, event in EVENTS.items()}
        with open(f"{self.folder}/trace", encoding="ascii", errors="replace") as file:
            for line in file:
                if match := re.match(r".{16}-(\d+)\s+\[\d+\] .*?: (\w+): ", line):
                    found[names[match[2]]][int(match[1])] += 1
        return found


def wait_until_it_works(owner, vms):
    """Until each vCPU has come to user space ten times."""
    time.sleep(0.5 + 0.05 * len(vms))
    assert owner.process.poll() is None


def work_of_the_mmu_of_each_vm_equals_the_kernels_own_count():
    with watch() as programs, Kernel() as kernel:
        owners = [Program([OWNER, *WORK], "ready") for _ in range(3)]
        vms = {number: owned(owner.first[:-1])[0] for number, owner in enumerate(owners)}
        for number, owner in enumerate(owners):
            wait_until_it_works(owner, vms)
            programs.ask(watched(number, owner.pid, vms[number]))
        # Both are read when nothing moves.
        for owner in owners:
            owner.ask("pause")
        seen, counted = programs.round(), kernel.events()
        sums = 0
        for number, owner in enumerate(owners):
            tids = {owner.pid, *vms[number][1].values()}
            for metric, by_tid in counted.items():
                count = sum(by_tid.get(tid, 0) for tid in tids)
                assert seen.values[number, metric] == count, (number, metric, seen.values, by_tid)
                sums += count
        assert sums > 0, counted
        made = seen.total("kvmmmu_pages_made")
        assert 0 < made <= seen.total("kvmmmu_pages_got")
        assert seen.own["lost"] == 0
        print(f"# {sums} events: { {metric: seen.total(metric) for metric in EVENTS} }")
        for owner in owners:
            owner.__exit__()


def vms_of_one_process_are_told_apart():
    """What each vCPU's thread does is its own VM's."""
    with watch() as programs, Kernel() as kernel, \
            Program([OWNER, *WORK, "--vms", "2", "--start", "paused"], "ready") as owner:
        vms = owned(owner.first[:-1])
        for number, vm in vms.items():
            programs.ask(watched(number, owner.pid, vm))
        programs.round()
        owner.ask("resume")
        wait_until_it_works(owner, vms)
        owner.ask("pause")
        seen, counted = programs.round(), kernel.events()
        for number, (_, vcpus) in vms.items():
            ours = sum(seen.values[number, metric] for metric in EVENTS)
            kernels = sum(by_tid.get(tid, 0) for by_tid in counted.values()
                          for tid in vcpus.values())
            # Where exits are seen a thread is known as of its first one; roots are made before.
            assert ours == kernels or (0 < ours < kernels and "exits" in seen.known[number]), (
                number, seen.values, counted)
            assert ours > 0


def what_finds_no_room_is_counted():
    """Room for two VMs, and five run: each event is counted for its VM, or as lost."""
    with watch("--slots", "2") as programs, Kernel() as kernel:
        owners = [Program([OWNER, *WORK], "ready") for _ in range(5)]
        for number, owner in enumerate(owners):
            wait_until_it_works(owner, owners)
            programs.ask(watched(number, owner.pid, owned(owner.first[:-1])[0]))
        for owner in owners:
            owner.ask("pause")
        seen, counted = programs.round(), kernel.events()
        own = set()
        for owner in owners:
            own |= {owner.pid, *owned(owner.first[:-1])[0][1].values()}
        kernels = sum(count for by_tid in counted.values() for tid, count in by_tid.items()
                      if tid in own)
        got = sum(count for tid, count in counted["kvmmmu_pages_got"].items() if tid in own)
        found = sum(seen.total(metric) for metric in (*EVENTS, "kvmmmu_pages_made"))
        # VMs that are not ours may have had the room, so perhaps nothing was found.
        assert seen.own["lost"] > 0, seen.own
        # The pages made are events of their own, of one tracepoint with the pages got.
        assert kernels <= found + seen.own["lost"] + seen.own["unattributed"] + seen.total("exits")
        assert found <= kernels + got
        for owner in owners:
            owner.__exit__()


def a_thousand_vms_leave_nothing_behind():
    with watch() as programs, Program([OWNER, "--work", "entries"], "ready") as owner:
        def descriptors():
            return len(os.listdir(f"/proc/{programs.pid}/fd"))

        def memory():
            with open(f"/proc/{programs.pid}/status", encoding="ascii") as file:
                return int(re.search(r"VmSize:\s+(\d+)", file.read())[1])
        vm = owned(owner.first[:-1])[0]
        programs.ask(watched(0, owner.pid, vm))
        programs.round()
        before, room = descriptors(), memory()
        for number in range(1000):
            programs.ask(watched(1, owner.pid, (number % 7 + 100, {0: owner.pid + number + 1})))
            programs.ask("time")
            programs.ask("gone 1")
            if number % 100 == 0:
                owner.ask("cycle 10")
        assert descriptors() == before
        assert memory() <= room + 4096, (room, memory())
        assert programs.round().own["lost"] == 0


class FakeSys:
    """A /sys with what the collector looks at; @btf: bytes to replace in the kernel's types."""

    def __init__(self, kvm=True, device=True, lockdown=None, btf=None):
        self.folder = tempfile.mkdtemp(prefix="umbra-sys-")
        if kvm:
            os.makedirs(f"{self.folder}/module/kvm")
        if device:
            os.makedirs(f"{self.folder}/devices/virtual/misc/kvm")
        if lockdown:
            os.makedirs(f"{self.folder}/kernel/security")
            with open(f"{self.folder}/kernel/security/lockdown", "w", encoding="ascii") as file:
                file.write(lockdown)
        if btf is not None:
            os.makedirs(f"{self.folder}/kernel/btf")
            with open("/sys/kernel/btf/vmlinux", "rb") as file:
                types = file.read()
            for old, new in btf.items():
                assert old in types and len(old) == len(new), old
                types = types.replace(old + b"\0", new + b"\0")
            with open(f"{self.folder}/kernel/btf/vmlinux", "wb") as file:
                file.write(types)

    def __enter__(self):
        return self.folder

    def __exit__(self, *_):
        shutil.rmtree(self.folder)


def state(sys_folder):
    with watch("--sys", sys_folder) as programs:
        told = programs.round()
        assert programs.first[-1] == f"state {told.state}"
        return told.state


def what_is_missing_is_the_state():
    for fake, expected in (
            (FakeSys(kvm=False, device=False), "unsupported: KVM is not loaded"),
            (FakeSys(device=False), "unsupported: KVM has no module for this processor loaded"),
            (FakeSys(lockdown="none integrity [confidentiality]\n"),
             "denied: the kernel is locked down (confidentiality)"),
            (FakeSys(lockdown="none [integrity] confidentiality\n"), "unsupported: no types of the "
             "kernel ("),
            (FakeSys(), "unsupported: no types of the kernel (")):
        with fake as folder:
            told = state(folder)
            assert told.startswith(expected), told
    with FakeSys() as folder:
        assert f"{folder}/kernel/btf/vmlinux" in state(folder)


def a_tracepoint_that_the_kernel_has_not_takes_only_its_own_metric_away():
    if not os.path.exists("/sys/module/kvm/parameters"):
        return "SKIP no KVM"
    if os.path.exists("/sys/kernel/btf/kvm"):
        return "SKIP KVM is a module here, and its types a file of their own"
    with FakeSys(btf={b"btf_trace_kvm_mmu_split_huge_page": b"btf_trace_kvm_mmu_split_huge_pagX",
                      b"btf_trace_kvm_mmu_sync_page": b"btf_trace_kvm_mmu_sync_pagX"}) as folder, \
            watch("--sys", folder) as programs, Program([OWNER], "ready") as owner:
        programs.ask(watched(0, owner.pid, owned(owner.first[:-1])[0]))
        told = programs.round()
    assert "no tracepoint kvm_mmu_split_huge_page" in told.state, told.state
    assert "no tracepoint kvm_mmu_sync_page" in told.state, told.state
    assert told.known[0] >= {"kvmmmu_pages_got", "kvmmmu_unsyncs"}
    assert not told.known[0] & {"kvmmmu_huge_page_splits", "kvmmmu_syncs"}


def exits_that_cannot_be_seen_are_not_known():
    """Never zero: only where kvm_intel or kvm_amd runs the VMs there are exits to count."""
    with watch("--timing", "1/1") as programs, Program([OWNER], "ready") as owner:
        programs.ask(watched(0, owner.pid, owned(owner.first[:-1])[0]))
        told = programs.round()
    hardware = any(os.path.exists(f"/sys/module/{name}") for name in ("kvm_intel", "kvm_amd"))
    assert ("exits" in told.known[0]) == hardware
    assert ("exit_samples" in told.known[0]) == hardware
    assert hardware or "no exits: " in told.state, told.state
    assert "kvmmmu_pages_got" in told.known[0]


def without_privilege_the_state_says_which_it_takes():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        copy = shutil.copy(WATCH, folder)

        def told(caps):
            everything = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                          "--inh-caps", caps, "--ambient-caps", caps, "--bounding-set", caps]
            done = subprocess.run([*everything, copy], input="round\n", capture_output=True,
                                  text=True, check=True)
            # Nothing is printed but the state: not by libbpf either.
            assert not done.stderr, done.stderr
            return Round(done.stdout.splitlines()).state
        for caps in ("-all", "-all,+bpf", "-all,+perfmon"):
            assert told(caps).startswith("denied: "), told(caps)
            assert "CAP_BPF" in told(caps) and "CAP_PERFMON" in told(caps)
        assert not told("-all,+bpf,+perfmon").startswith("denied: ")


def two_hundred_vms_are_read_within_milliseconds():
    """Fake VMs but for one: what is read are records, and each of these has one a vCPU."""
    with watch() as programs, Program([OWNER, "--vms", "200", "--work", "none"], "ready") as owner:
        for number, vm in owned(owner.first[:-1]).items():
            programs.ask(watched(number, owner.pid, (vm[0], {vcpu: 4000000 + number * 4 + vcpu
                                                             for vcpu in range(4)})))
        def memory():
            with open(f"/proc/{programs.pid}/smaps", encoding="ascii") as file:
                return sum(int(size) for size in re.findall(
                    r"anon_inode:bpf-map\nSize:\s+(\d+)", file.read()))
        before = memory()
        for _ in range(3):
            programs.round()
        # Room was added for what is known: a record has 10 KB.
        assert before < 4000 and memory() > 800 * 9, (before, memory())
        took = sorted(int(programs.ask("time")[0].split()[1]) for _ in range(21))
        print(f"# 200 VMs of 4 vCPUs: {took[10] / 1e6:.2f} ms, at most {took[-1] / 1e6:.2f} ms")
        assert took[0] < 20e6, took


def why_not():
    """Why it cannot run here, or None."""
    if not os.path.exists(WATCH):
        return "this build is without BPF"
    if os.geteuid() != 0:
        return "only root may load BPF programs"
    if not os.path.exists("/dev/kvm"):
        return "there is no /dev/kvm"
    if not shutil.which("unshare") or not shutil.which("setpriv"):
        return "unshare or setpriv is not installed"
    with watch() as programs:
        state_here = programs.first[-1]
    return state_here if state_here.startswith(("state unsupported", "state denied")) else None


def main():
    if reason := why_not():
        print(f"1..0 # SKIP {reason}")
        return
    if not os.path.isdir(f"{TRACING}/events"):
        # In a mount namespace of its own; it begins anew, and finds it.
        os.execvp("unshare", ["unshare", "--mount", "sh", "-c",
                              f'mount -t tracefs tracefs {TRACING} && exec "$@"', "sh",
                              sys.executable, *sys.argv])
    run_tests((
        work_of_the_mmu_of_each_vm_equals_the_kernels_own_count,
        vms_of_one_process_are_told_apart,
        what_finds_no_room_is_counted,
        a_thousand_vms_leave_nothing_behind,
        what_is_missing_is_the_state,
        a_tracepoint_that_the_kernel_has_not_takes_only_its_own_metric_away,
        exits_that_cannot_be_seen_are_not_known,
        without_privilege_the_state_says_which_it_takes,
        two_hundred_vms_are_read_within_milliseconds,
    ))


if __name__ == "__main__":
    sys.exit(main())
