#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The collector kvm_exits beside the kernel's own count: real KVM, with nested paging and without."""
import collections
import contextlib
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import time

import kernel_exits
import qemu_lab  # first: it finds the modules of tests/integration
from daemon_fixture import run_tests
from kvm_exits_watcher import EVENTS, Round, histogram, owned, watched

LAB = None  # the one that runs; NPT: whether its KVM has nested paging
NPT = None
CR3_LOAD = 0x13
TRACING = "/sys/kernel/tracing/events"
AS_NOBODY = ("/usr/bin/setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all,{0} "
             "--ambient-caps -all,{0} --bounding-set -all,{0} ")


class Program:
    """One inside that obeys lines and answers `ok` behind what it prints."""

    count = 0

    def __init__(self, lab, command, ready):
        Program.count += 1
        self.lab, self.name = lab, f"/tmp/program{Program.count}"
        # The keeper holds the other end, so that it does not end with the first line.
        pid, *self.first = lab.sh(
            f"mkfifo {self.name}.in; sleep 1000 >{self.name}.in & echo $! >{self.name}.keeper\n"
            f"{command} <{self.name}.in >{self.name}.out 2>&1 & echo $!\n"
            f"until grep -q '^{ready}' {self.name}.out; do sleep 0.05; done; cat {self.name}.out"
        ).splitlines()
        self.pid = int(pid)

    def read(self):
        return self.lab.sh(f"cat {self.name}.out").splitlines()

    def ask(self, line):
        """What it prints before its `ok`."""
        return self.lab.sh(
            f"before=$(wc -l <{self.name}.out); echo '{line}' >{self.name}.in\n"
            f"until tail -n +$((before + 1)) {self.name}.out | grep -q '^ok\\|^error'; "
            f"do sleep 0.05; done; tail -n +$((before + 1)) {self.name}.out").splitlines()

    def stop(self):
        self.lab.sh(f"kill $(cat {self.name}.keeper); "
                    f"while kill -0 {self.pid} 2>/dev/null; do sleep 0.05; done")


class Kernel:
    """What the kernel counts meanwhile: {(TID, exit code): count}, {event: {TID: count}}."""

    def __init__(self, lab):
        self.lab = lab
        self.triggers = {f"{TRACING}/kvm/kvm_exit": "hist:keys=common_pid,exit_reason"}
        for event in EVENTS.values():
            self.triggers[f"{TRACING}/kvmmmu/{event}"] = "hist:keys=common_pid"

    def __enter__(self):
        self.lab.sh("\n".join(f"echo '{trigger}' >{path}/trigger"
                              for path, trigger in self.triggers.items()))
        return self

    def __exit__(self, *_):
        self.lab.sh("\n".join(f"echo '!{trigger}' >{path}/trigger"
                              for path, trigger in self.triggers.items()))

    def read(self):
        """(exits, events)"""
        exits, *events = self.lab.sh("\n".join(
            f"cat {path}/hist; echo next" for path in self.triggers)).split("next\n")[:-1]
        return histogram(exits), {metric: histogram(event)
                                  for metric, event in zip(EVENTS, events, strict=True)}


class Measured:
    """VMs of @owners processes from their start to their standstill, by the programs and the kernel."""

    def __init__(self, watch, owner, owners=1, threads=True):
        programs = Program(LAB, f"kvm_exits_watch {watch}", "state")
        first = Round(programs.ask("round"))
        with Kernel(LAB) as kernel:
            self.vms, running = {}, []
            for _ in range(owners):
                # Naps, that an emulated machine has time for the rest of it.
                one = Program(LAB, f"kvm_owner --nap 20000 {owner}", "ready")
                running.append(one)
                for vm in owned(one.first[:-1]).values():
                    self.vms[len(self.vms)] = (one.pid, *vm)
            # Before they are known here: what happens until then must not be lost.
            time.sleep(1)
            for number, (pid, *vm) in self.vms.items():
                programs.ask(watched(number, pid, vm, threads))
            programs.ask("round")
            for one in running:
                one.ask("pause")
            self.round = Round(programs.ask("threads") + programs.ask("round"))
            self.exits, self.events = kernel.read()
        self.lost = self.round.own["lost"]
        self.unattributed = self.round.own["unattributed"] - first.own["unattributed"]
        programs.stop()
        for one in running:
            one.stop()

    def owner_of(self, tid):
        """The VM, None for a thread that runs no vCPU."""
        return next((number for number, (_, _, vcpus) in self.vms.items()
                     if tid in vcpus.values()), None)

    def kernels(self):
        """{(VM, reason): count} as the kernel counted."""
        counts = collections.Counter()
        for (tid, code), count in self.exits.items():
            counts[self.owner_of(tid), kernel_exits.SVM[code]] += count
        return dict(counts)


def exits_equal(watch, threads):
    measured = Measured(watch, "--vms 2 --vcpus 2 --work tables", threads=threads)
    kernels = measured.kernels()
    assert measured.round.of("exits") == kernels, (measured.round.of("exits"), kernels)
    loads = sum(count for (_, code), count in measured.exits.items() if code == CR3_LOAD)
    assert measured.round.total("exit_cr3_loads") == loads
    assert measured.lost == 0 and measured.round.state == "ok", measured.round.state
    reasons = {reason for _, reason in kernels}
    if NPT:
        assert "ept_violation" in reasons, kernels
        assert not reasons & {"page_fault", "invlpg", "cr_access"}, kernels
    else:
        assert {"page_fault", "invlpg", "cr_access"} <= reasons and loads > 0, kernels
        assert "ept_violation" not in reasons, kernels
    print(f"# {kernels}")


def exits_of_each_vm_by_reason_equal_the_kernels_own_count():
    exits_equal("--way raw", threads=False)


def the_classic_tracepoint_counts_the_same():
    exits_equal("--way classic", threads=True)


def each_exit_is_timed_from_it_to_the_reentry():
    """All but each vCPU's last one, which has no re-entry, and the first, of before the window."""
    for way in ("raw", "classic"):
        measured = Measured(f"--way {way} --timing 1/1", "--vms 1 --vcpus 2 --work tables")
        exits, samples = measured.round.of("exits"), measured.round.of("exit_samples")
        times = measured.round.of("exit_time")
        assert dict(measured.round.slots) == samples
        assert sum(exits.values()) - 4 <= sum(samples.values()) <= sum(exits.values()), (
            exits, samples)
        assert all(times[key] > 0 and samples[key] <= exits[key] for key in samples)


def no_exit_is_timed_while_timing_is_off():
    measured = Measured("--way raw --timing 0/0", "--work ports")
    assert measured.round.total("exits") > 0
    assert "exit_samples" not in measured.round.known[0] and not measured.round.slots


def work_of_the_mmu_equals_the_kernels_own_count():
    measured = Measured("--way raw", "--vms 2 --vcpus 2 --work tables", owners=2)
    seen = {metric: measured.round.total(metric) for metric in EVENTS}
    kernels = {metric: sum(counts.values()) for metric, counts in measured.events.items()}
    # What no vCPU's thread did of a process with two VMs is neither's, and counted as such; a page
    # that was made is counted twice there, for it is two events of one tracepoint.
    assert all(seen[metric] <= kernels[metric] for metric in EVENTS), (seen, kernels)
    missing = sum(kernels.values()) - sum(seen.values())
    assert missing <= measured.unattributed <= 2 * missing, (missing, measured.unattributed)
    made = measured.round.total("kvmmmu_pages_made")
    assert 0 < made <= seen["kvmmmu_pages_got"]
    busy, idle = ("kvmmmu_nested_changes", "kvmmmu_syncs")[::1 if NPT else -1]
    assert seen[busy] > 0 and seen[idle] == 0, seen
    assert measured.lost == 0
    print(f"# {seen}, {measured.unattributed} of threads of no vCPU")


def each_thread_that_runs_a_vcpu_is_told():
    measured = Measured("--way raw", "--vms 2 --vcpus 2 --work ports")
    assert measured.round.threads == {(pid, tid, vcpu) for pid, _, vcpus in measured.vms.values()
                                      for vcpu, tid in vcpus.items()}


def what_finds_no_room_is_counted():
    """Room for two VMs, and five run: each event is counted for its VM, or as lost."""
    measured = Measured("--way raw --slots 2", "--work tables", owners=5)
    seen = sum(measured.round.total(metric) for metric in ("exits", *EVENTS, "kvmmmu_pages_made"))
    kernels = sum(measured.exits.values()) + sum(
        sum(counts.values()) for counts in measured.events.values())
    vms = {vm for vm, _ in measured.round.of("exits")}
    assert len(vms) <= 2 and measured.lost > 0, (vms, measured.lost)
    # The pages made are events of their own, of one tracepoint with the pages got.
    got = sum(measured.events["kvmmmu_pages_got"].values())
    counted = seen + measured.lost + measured.unattributed
    assert kernels <= counted <= kernels + got, (kernels, counted, got)


def a_vm_in_the_place_of_another_one_begins_at_nothing():
    programs = Program(LAB, "kvm_exits_watch --way raw", "state")
    owner = Program(LAB, "kvm_owner --vms 1 --work ports", "ready")
    counts = []
    for index in range(3):
        time.sleep(0.5)
        programs.ask(watched(index, owner.pid, owned(owner.read())[index], threads=False))
        owner.ask("pause")
        counts.append(Round(programs.ask("round")).values[index, "exits/io_instruction"])
        owner.ask(f"close {index}")
        programs.ask(f"gone {index}")
        owner.ask("resume")
        owner.ask("create")
    programs.stop()
    owner.stop()
    assert all(counts) and max(counts) < sum(counts) / 2, counts


def bpf_and_perfmon_are_all_the_privilege_it_takes():
    states = {
        caps: Round(LAB.sh("echo round | " + AS_NOBODY.format(caps) + "kvm_exits_watch"
                           ).splitlines()).state
        for caps in ("+bpf,+perfmon", "+bpf", "+perfmon")}
    assert states["+bpf,+perfmon"] == "ok", states
    for caps in ("+bpf", "+perfmon"):
        assert states[caps].startswith("denied: "), states
    classic = Round(LAB.sh("echo round | " + AS_NOBODY.format("+bpf,+perfmon")
                           + "kvm_exits_watch --way classic").splitlines()).state
    # tracefs is root's.
    assert "kvm_exit: Permission denied" in classic, classic


def what_the_programs_cost_is_told_where_the_kernel_takes_it():
    told = Measured("--way raw --timing 1/1", "--work ports").round.own
    assert told["runs"] > 0 and told["nanoseconds"] > 0, told
    untold = Round(LAB.sh("echo round | " + AS_NOBODY.format("+bpf,+perfmon")
                          + "kvm_exits_watch --timing 1/1").splitlines()).own
    assert "runs" not in untold, untold


def the_programs_for_intel_load_too():
    """This kernel takes them as well, with the types of its kvm-intel, which has no processor here."""
    module, = glob.glob(f"{qemu_lab.image.Kernel().folder}/lib/modules/*/kernel/arch/x86/kvm/kvm-intel.ko")
    types = subprocess.run(["objcopy", "-O", "binary", "--only-section=.BTF", "--set-section-flags",
                            ".BTF=alloc", module, "/dev/stdout"], stdout=subprocess.PIPE,
                           check=True).stdout
    LAB.sh("mkdir -p /tmp/sys/module/kvm /tmp/sys/devices/virtual/misc/kvm /tmp/sys/kernel/btf; "
           "ln -s /sys/kernel/btf/vmlinux /sys/kernel/btf/kvm /tmp/sys/kernel/btf")
    LAB.put("/tmp/sys/kernel/btf/kvm_intel", types)
    for way in ("raw", "classic"):
        state = Round(LAB.sh(f"echo round | kvm_exits_watch --sys /tmp/sys --way {way}"
                             ).splitlines()).state
        assert state == "ok", state


# Of both, and those for which one is enough.
BOTH = (
    exits_of_each_vm_by_reason_equal_the_kernels_own_count,
    work_of_the_mmu_equals_the_kernels_own_count,
)
TESTS = {
    1: (*BOTH,
        the_classic_tracepoint_counts_the_same,
        each_thread_that_runs_a_vcpu_is_told,
        a_vm_in_the_place_of_another_one_begins_at_nothing,
        no_exit_is_timed_while_timing_is_off,
        the_programs_for_intel_load_too,
        bpf_and_perfmon_are_all_the_privilege_it_takes,
        what_the_programs_cost_is_told_where_the_kernel_takes_it),
    0: (*BOTH,
        each_exit_is_timed_from_it_to_the_reentry,
        what_finds_no_room_is_counted),
}


def with_lab(made, npt, test, stack):
    """The test, in the lab that it is for, which stays until one for another wants to run."""
    def run():
        global LAB, NPT  # pylint: disable=global-statement
        if npt != NPT:
            stack.close()
            LAB, NPT = stack.enter_context(qemu_lab.Lab(made, npt=npt)), npt
        return test()
    run.__name__ = f"{test.__name__}_with_{'nested' if npt else 'shadow'}_paging"
    return run


def why_not():
    """Why it cannot run here, or None."""
    if not os.path.exists("tests/integration/kvm_exits_watch"):
        return "this build is without BPF"
    for tool in (qemu_lab.image.QEMU, "setpriv"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    return None


def main():
    if reason := why_not():
        print(f"1..0 # SKIP {reason}")
        return
    programs = {"/usr/bin/setpriv": "/usr/bin/setpriv",
                "/usr/bin/kvm_exits_watch": os.path.abspath("tests/integration/kvm_exits_watch")}
    with tempfile.TemporaryDirectory(prefix="umbra-lab-") as folder, \
            contextlib.ExitStack() as stack:
        made = qemu_lab.make_image(folder, programs)
        run_tests([with_lab(made, npt, test, stack) for npt, tests in TESTS.items()
                   for test in tests])


if __name__ == "__main__":
    sys.exit(main())
