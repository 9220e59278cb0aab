# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel of a lab counts itself, to hold Umbra's figures against."""
import re

TRIGGER = "/sys/kernel/tracing/events/kvm/kvm_exit/trigger"
HISTOGRAM = "/sys/kernel/tracing/events/kvm/kvm_exit/hist"
# By thread and reason, in the kernel; of MSRs whether it was written (info1) too.
TRIGGERS = ("hist:keys=common_pid,exit_reason:size=8192 if exit_reason != 124",
            "hist:keys=common_pid,exit_reason,info1:size=8192 if exit_reason == 124")

# AMD APM 2, appendix C: the codes of SVM, and what they are called in collectors/exit_reasons.def.
SVM = (
    (0x00, 0x1f, "cr_access"), (0x20, 0x3f, "dr_access"), (0x4e, 0x4e, "page_fault"),
    (0x40, 0x5f, "exception"), (0x60, 0x60, "external_interrupt"), (0x61, 0x61, "nmi"),
    (0x62, 0x62, "smi"), (0x63, 0x63, "init_signal"), (0x64, 0x64, "interrupt_window"),
    (0x65, 0x65, "cr_access"), (0x66, 0x6d, "descriptor_table"), (0x6e, 0x6e, "rdtsc"),
    (0x6f, 0x6f, "rdpmc"), (0x72, 0x72, "cpuid"), (0x74, 0x74, "nmi_window"), (0x76, 0x76, "invd"),
    (0x77, 0x77, "pause"), (0x78, 0x78, "hlt"), (0x79, 0x79, "invlpg"),
    (0x7b, 0x7b, "io_instruction"), (0x7d, 0x7d, "task_switch"), (0x7f, 0x7f, "triple_fault"),
    (0x81, 0x81, "vmcall"), (0x87, 0x87, "rdtsc"), (0x89, 0x89, "wbinvd"),
    (0x8a, 0x8b, "mwait"), (0x8d, 0x8d, "xsetbv"), (0x400, 0x400, "ept_violation"),
)


def name_of(code, info1):
    if code == 0x7c:
        return "wrmsr" if info1 else "rdmsr"
    return next((name for low, high, name in SVM if low <= code <= high), "other")


def count_exits(lab):
    """From now on."""
    for trigger in TRIGGERS:
        lab.sh(f"echo '{trigger}' >>{TRIGGER}")


def exits(lab, threads):
    """{reason: count} of the threads, by the names of collectors/exit_reasons.def."""
    text = lab.sh(f"cat {HISTOGRAM}")
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
