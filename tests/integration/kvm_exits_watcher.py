# SPDX-License-Identifier: GPL-2.0-or-later
"""What kvm_exits_watch and kvm_owner print, and what the kernel itself counts (hist triggers)."""
import collections
import re

# Counted in a record of a vCPU or a process: metric, tracepoint of kvmmmu.
EVENTS = {
    "kvmmmu_pages_got": "kvm_mmu_get_page",
    "kvmmmu_syncs": "kvm_mmu_sync_page",
    "kvmmmu_unsyncs": "kvm_mmu_unsync_page",
    "kvmmmu_zaps": "kvm_mmu_prepare_zap_page",
    "kvmmmu_nested_changes": "kvm_tdp_mmu_spte_changed",
    "kvmmmu_fast_page_faults": "fast_page_fault",
    "kvmmmu_huge_page_splits": "kvm_mmu_split_huge_page",
}


class Round:
    """One round of kvm_exits_watch."""

    def __init__(self, lines):
        self.values = collections.Counter()  # (VM, metric or metric/reason)
        self.slots = collections.Counter()   # (VM, reason)
        self.known = collections.defaultdict(set)
        self.own, self.state, self.threads = {}, None, set()
        for line in lines:
            kind, _, rest = line.partition(" ")
            words = rest.split()
            if kind == "vm":
                self.values[int(words[0]), words[1]] = int(words[2])
            elif kind == "known":
                self.known[int(words[0])].add(words[1])
            elif kind == "slot":
                self.slots[int(words[0]), words[1]] += int(words[3])
            elif kind == "own":
                self.own = {name: int(value) for name, value in zip(words[::2], words[1::2])}
            elif kind == "state":
                self.state = rest
            elif kind == "thread":
                self.threads.add(tuple(map(int, words)))

    def of(self, metric):
        """{(VM, reason): count} of a metric by reason."""
        return {(vm, name.partition("/")[2]): value for (vm, name), value in self.values.items()
                if name.partition("/")[0] == metric}

    def total(self, metric):
        """Of all VMs and reasons."""
        return sum(value for (_, name), value in self.values.items()
                   if name.partition("/")[0] == metric)


def owned(lines):
    """{index of a VM: (FD, {vCPU: TID})} of what kvm_owner prints."""
    vms = {}
    for line in lines:
        words = line.split()
        if words[0] == "vm":
            vms[int(words[1])] = (int(words[3]), {})
        elif words[0] == "vcpu":
            vms[int(words[1])][1][int(words[2])] = int(words[4])
    return vms


def watched(number, pid, vm, threads=True):
    """The command that tells kvm_exits_watch of a VM."""
    descriptor, vcpus = vm
    words = [f"{vcpu}:{tid if threads else 0}" for vcpu, tid in vcpus.items()]
    return " ".join(["vm", str(number), str(pid), str(descriptor), *words])


def histogram(text):
    """{key or keys: count} of the file `hist` of an event."""
    found = {}
    for keys, count in re.findall(r"^\{ (.*?) \} hitcount:\s+(\d+)", text, re.M):
        values = tuple(int(value) for value in re.findall(r":\s*(\d+)", keys))
        found[values if len(values) > 1 else values[0]] = int(count)
    dropped = re.search(r"Dropped: (\d+)", text)
    assert dropped and dropped[1] == "0", text
    return found
