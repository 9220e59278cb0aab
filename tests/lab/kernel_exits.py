# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own counts of VM exits: a histogram that tracefs keeps of the event kvm_exit.

The names are those of collectors/exit_reasons.def, written down here once more, by the numbers of
the manuals (SDM 3D appendix C, APM 2 appendix C): what the collectors say is held against them.
"""
import re

EVENT = "/sys/kernel/tracing/events/kvm/kvm_exit"
# The exception of an exit for one is in intr_info, on AMD in the reason.
TRIGGER = "hist:keys=isa,exit_reason,intr_info:size=4096"

VMX = {
    1: "external_interrupt", 2: "triple_fault", 3: "init_signal", 4: "sipi", 5: "smi", 6: "smi",
    7: "interrupt_window", 8: "nmi_window", 9: "task_switch", 10: "cpuid", 12: "hlt", 13: "invd",
    14: "invlpg", 15: "rdpmc", 16: "rdtsc", 18: "vmcall",
    **{reason: "vmx_instruction" for reason in (*range(19, 28), 50, 53)},
    28: "cr_access", 29: "dr_access", 30: "io_instruction", 31: "rdmsr", 32: "wrmsr", 36: "mwait",
    37: "monitor_trap_flag", 39: "mwait", 40: "pause", 43: "tpr_below_threshold",
    44: "apic_access", 45: "virtualized_eoi", 46: "descriptor_table", 47: "descriptor_table",
    48: "ept_violation", 49: "ept_misconfiguration", 51: "rdtsc", 52: "preemption_timer",
    54: "wbinvd", 55: "xsetbv", 56: "apic_access", 57: "random", 58: "invpcid", 61: "random",
    62: "page_modification_log_full", 67: "umwait", 68: "umwait", 74: "bus_lock", 75: "notify",
}
SVM = {
    **{reason: "cr_access" for reason in range(0x20)},
    **{reason: "dr_access" for reason in range(0x20, 0x40)},
    **{reason: "exception" for reason in range(0x40, 0x60)},
    0x4e: "page_fault", 0x60: "external_interrupt", 0x61: "nmi", 0x62: "smi", 0x63: "init_signal",
    0x64: "interrupt_window", 0x65: "cr_access",
    **{reason: "descriptor_table" for reason in range(0x66, 0x6e)},
    0x6e: "rdtsc", 0x6f: "rdpmc", 0x72: "cpuid", 0x74: "nmi_window", 0x76: "invd", 0x77: "pause",
    0x78: "hlt", 0x79: "invlpg", 0x7b: "io_instruction", 0x7d: "task_switch",
    0x7f: "triple_fault", 0x81: "vmcall", 0x87: "rdtsc", 0x89: "wbinvd", 0x8a: "mwait",
    0x8b: "mwait", 0x8d: "xsetbv", 0xa2: "invpcid", 0xa5: "bus_lock", 0x400: "ept_violation",
    0x401: "avic", 0x402: "apic_access", 0x403: "vmgexit",
}
PAGE_FAULT, NMI_TYPE = 14, 2


def _name(isa, reason, interruption):
    if isa == 2:
        return SVM.get(reason, "msr" if reason == 0x7c else "other")
    if reason == 0:
        if interruption >> 8 & 7 == NMI_TYPE:
            return "nmi"
        return "page_fault" if interruption & 0xff == PAGE_FAULT else "exception"
    return VMX.get(reason, "other")


def parse(histogram):
    """{name: exits} of what the event's file `hist` holds."""
    counts = {}
    for isa, reason, interruption, hits in re.findall(
            r"\{ isa: +(\d+), exit_reason: +(\d+), intr_info: +(\d+) \} hitcount: +(\d+)",
            histogram):
        name = _name(int(isa), int(reason), int(interruption))
        counts[name] = counts.get(name, 0) + int(hits)
    dropped = re.search(r"Dropped: (\d+)", histogram)
    if not dropped or int(dropped[1]):
        raise ValueError("the histogram lost exits: " + histogram[-200:])
    return counts


class Exits:
    """Counts the exits of all VMs of this machine while it is open."""

    def __enter__(self):
        self._write(TRIGGER)
        return self

    @staticmethod
    def _write(text):
        with open(f"{EVENT}/trigger", "w", encoding="utf-8") as file:
            file.write(text)

    @staticmethod
    def counts():
        with open(f"{EVENT}/hist", encoding="utf-8") as file:
            return parse(file.read())

    def __exit__(self, *_):
        self._write("!" + TRIGGER)
