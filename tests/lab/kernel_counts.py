# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the kernel of the QEMU lab counts itself of each thread, to hold Umbra's figures against.
"""
import re

import kernel_exits

# By thread and reason, in the kernel; with info1 of MSRs (written?) and of nested page faults
# (a reserved bit, which marks a device's memory?).
SPLIT = "exit_reason == 124 || exit_reason == 1024"
TRIGGERS = (f"hist:keys=common_pid,exit_reason:size=8192 if !({SPLIT})",
            f"hist:keys=common_pid,exit_reason,info1:size=8192 if {SPLIT}")


def name_of(code, info1):
    """As in collectors/exit_reasons.def."""
    if code == 0x7c:
        return "wrmsr" if info1 else "rdmsr"
    if code == 0x400 and info1 & 8:
        return "ept_misconfiguration"
    return kernel_exits.SVM.get(code, "other")


def count_exits(lab):
    """From now on."""
    for trigger in TRIGGERS:
        lab.sh(f"echo '{trigger}' >>{kernel_exits.EVENT}/trigger")


def exits(lab, threads):
    """{reason: count} of the threads, by the names of collectors/exit_reasons.def."""
    text = lab.sh(f"cat {kernel_exits.EVENT}/hist")
    dropped = re.findall(r"Dropped: (\d+)", text)
    assert dropped and not any(map(int, dropped)), text
    counts = {}
    for thread, code, info1, count in re.findall(
            r"common_pid: +(\d+), exit_reason: +(\d+)(?:, info1: +(\d+))? } hitcount: +(\d+)",
            text):
        if int(thread) in threads:
            name = name_of(int(code), int(info1 or 0))
            counts[name] = counts.get(name, 0) + int(count)
    return counts


def statistics(lab, pid):
    """{name: value} of KVM's statistics of the process's VM, vCPUs added up, from debugfs."""
    text = lab.sh(f"cd /sys/kernel/debug/kvm/{pid}-* && grep -H . *")
    return {name: int(value) for name, value in re.findall(r"^(\w+):(\d+)$", text, re.M)}


def threads_of(lab, pid):
    return set(map(int, lab.sh(f"ls /proc/{pid}/task").split()))
