#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes what the libFuzzer targets begin with: seeds.py FOLDER makes FOLDER/image and others.

The layouts are those of struct options in target_image.c, of struct packet in target_message.c and of struct fuzz_head in fuzz_image.h and struct
change in fuzz_image.c; addresses and selectors those of fuzz.h and fuzz_image.c.
"""
import glob
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import images  # noqa: E402

CONFIGURATIONS = os.path.join(os.path.dirname(images.__file__), "configurations")

CODE = 0x20000
PML4, PML5, PDPT_PAE, PD_32 = 0x60000, 0x78000, 0x79000, 0x7B000
CODE_64, DATA, CODE_32, USER_32, USER_DATA, USER_64, TSS = 0x08, 0x10, 0x18, 0x23, 0x2B, 0x33, 0x40

PE, ET, WP, AM, PG = 1, 0x10, 1 << 16, 1 << 18, 1 << 31
PSE, PAE, PGE, SIMD, LA57, UMIP = 0x10, 0x20, 0x80, 0x600, 1 << 12, 1 << 11
FSGSBASE, PCIDE, OSXSAVE, SMEP, SMAP, PKE = (1 << n for n in (16, 17, 18, 20, 21, 22))
SCE, LME, NXE = 1, 1 << 8, 1 << 11
# Not SMEP and SMAP: low memory is the user's too.
ALL_CR4 = PSE | PGE | SIMD | UMIP | FSGSBASE | PCIDE | OSXSAVE | PKE | 0x4F
VM, NESTED, TRAP, INTERRUPTS, ALIGNMENT = 1 << 17, 1 << 14, 1 << 8, 1 << 9, 1 << 18

# name: CR0, CR3, CR4, EFER, EIP, CS, SS, EFLAGS
STATES = {
    "real": (ET, 0, SIMD, 0, 0, CODE >> 4, 0x3000, INTERRUPTS),
    "flat": (PE | ET, 0, SIMD, 0, CODE, CODE_32, DATA, INTERRUPTS),
    "flat-user": (PE | ET | AM, 0, SIMD, 0, CODE, USER_32, USER_DATA, INTERRUPTS | ALIGNMENT),
    "virtual-8086": (PE | ET, 0, 3, 0, 0, CODE >> 4, 0x3000, VM | 3 << 12),
    "virtual-8086-paged": (PG | WP | PE | ET, PD_32, 3 | PSE, 0, 0, CODE >> 4, 0x3000, VM),
    "two-level": (PG | WP | PE | ET, PD_32, PSE | PGE | SIMD, 0, CODE, CODE_32, DATA, 0),
    "two-level-user": (PG | PE | ET, PD_32, PSE, 0, CODE, USER_32, USER_DATA, TRAP),
    "pae": (PG | WP | PE | ET, PDPT_PAE, PAE | SIMD, NXE, CODE, CODE_32, DATA, 0),
    "pae-user": (PG | WP | PE | ET, PDPT_PAE, PAE | SMAP | SMEP, NXE, CODE, USER_32, USER_DATA, 0),
    "long": (PG | WP | PE | ET, PML4, PAE | SIMD, SCE | LME | NXE, CODE, CODE_64, DATA, INTERRUPTS),
    "long-all": (PG | WP | AM | PE | ET, PML4, PAE | ALL_CR4, SCE | LME | NXE, CODE, CODE_64, DATA,
                 ALIGNMENT),
    "long-user": (PG | WP | PE | ET, PML4, PAE | SIMD | UMIP, SCE | LME | NXE, CODE, USER_64,
                  USER_DATA, NESTED),
    "long-5": (PG | WP | PE | ET, PML5, PAE | SIMD | LA57, SCE | LME | NXE, CODE, CODE_64, DATA, 0),
    "compatibility": (PG | WP | PE | ET, PML4, PAE, SCE | LME, CODE, CODE_32, DATA, 0),
    "compatibility-user": (PG | WP | PE | ET, PML4, PAE, SCE | LME, CODE, USER_32, USER_DATA, 0),
}

# Instructions of all families; each is right in one mode or another.
CODES = (
    # general: ADD, MUL, DIV, shifts, bit tests, BCD, exchange
    "4801d8 48f7e3 48f7f3 48c1e005 0fa3d8 0fbcc3 0fbdc3 27 2f 37 3f d40a d50a 0fb1cb 0fc7 0b 0fc8",
    "6601d8 f7eb f6f3 d3e8 d3d8 c1c803 0fa4d805 0fadd8 f30fb8c3 f30fbcc3 f30fbdc3 0f38f003 0f38f103",
    "c4e278f2c3 c4e268f7c3 c4e27bf6c3 660f38f6c3 f30f38f6c3 f0480fc10b f0810301000000 f00fc70b",
    # strings, with REP
    "b910000000 bf00000300 be00000310 f3a4 f3ab f3a6 f2ae f348a5 ac aa a7 6c 6e f36c f36e",
    # stack, calls, returns, far transfers
    "50 58 9c 9d 60 61 c8100001 c9 e800000000 c3 cb cf 9a000002001800 ea000002001800 ff5b10 ff6b10",
    "6a20 6800000200 cb 0e 1f 06 07 16 17 8ed8 8cc0 8ee0 0fa0 0fa1 c403 c503 0fb203 0fb403",
    # system
    "0f01 03 0f0113 0f011b 0f010b 0f01e0 0f01f0 0f00d8 0f00d0 0f00c0 0f02c3 0f03c3 0f00e3 0f00eb",
    "0f20c0 0f22c0 0f20d8 0f22d8 0f20e0 0f22e0 440f20c0 440f22c0 0f21c0 0f23c0 0f21f8 0f23f8 0f06",
    "b9800000c0 0f32 0f30 b981000080 0f32 b91b000000 0f32 0f30 0fa2 0f31 0f01f9 0f01d0 0f01d1 0f33",
    "0f05 480f07 0f34 0f35 0f01f8 0f01ca 0f01cb 0f01ee 0f01ef 0f013b 660f388203 0f09 0f08 f4 fb 90 fa",
    "cd80 cc ce f1 0f0b 0fb9 d6 f30f1efa 0f01c8 0f01c9 0faee8 0faef0 0faef8 0fae3b f30faec3 f30faed3",
    # ports
    "e460 e620 ba f8030000 ec ee ed ef 66ef e670 e471 e643 e640 bac80c0000 ef e6b2 e464 e692 e64d",
    # x87
    "dbe3 d9e8 d9eb dec1 d8f1 d9fe d9fa d9ff d9f8 dd03 db2b db3b df2b df3b d933 d923 dd33 dd23 9b",
    "d9ee d9c9 dae9 dfe0 9bd93b d92b dbf1 dff1 d9f0 d9f1 d9f2 d9f3 d9f4 d9f5 d9e4 d9e5 d903 dc0b de0b",
    # MMX, SSE
    "0f6fc3 0ffcc1 0f7f03 0f77 0f2803 0f58c1 660f58c1 f20f58c1 f30f58c1 0f51c1 0f5dc1 0fc2c103 0fc6c11b",
    "660f6fc1 660fefc1 660f7003ff 660fd7c1 660f3800c1 660f3a0fc105 660f3817c1 660f3840c1 f20f38f1c3",
    "0fae03 0fae0b 480fae03 0fae13 0fae1b 0fae23 0fae2b 0fae33 0fc723 660ff7c1 0fe703 660f2b03 f20f2cc1",
    # device memory and tables
    "8b042520 00e0fe 890425b000e0fe 8b0425 0000c0fe c7042500 800b00 41424344 48890425 00000600 0f013b",
    "a320 00e0fe a1f000e0fe a3 000cfe a10080 0b00 8b1d00000600 a300000600 0f22d8 0f013d00000000 a30000fe7f",
    # self-modification; an instruction across a page; prefixes; long nothing
    "c605 00000000 90 eb00 c60500000200f4 e9f50f0000 2ef3f266672600 6667664883c001 ebfe",
    "66ea00000020 66cb 669c 669d 6660 67e800 6667a4 0f85fbffffff e2fe e3fe 67e3fe 70fe 0fa2",
)


def words(values, form):
    return b"".join(struct.pack("<" + form, value & 0xFFFFFFFF) for value in values)


def change(where, value):
    """One of eight bytes: at 8 * where in tables, GDT, IDT, TSS, which follow each other."""
    return struct.pack("<HQ", where, value)


GDT_CHANGES = (PD_32 + 0x2000 - PML4) // 8  # where the GDT begins

# A 16-bit code and a call gate instead of the descriptors 0x38 and 0x48; the APIC in the tables.
CHANGES = (
    b"",
    change(GDT_CHANGES + 7, 0x00009B000000FFFF) + change(GDT_CHANGES + 9, 0x0000EC0000180000),
    change(4 * 512 + 0x30, 0xFEE00003) + change(4 * 512 + 0x31, 0xB8003) +
    change(4 * 512 + 0x32, 0x8000000000000007),
)


def code_seed(state, number, mode, changes):
    cr0, cr3, cr4, efer, eip, cs, ss, eflags = STATES[state]
    head = struct.pack("<4B", mode, 0, number % 16, len(changes) // 10)
    head += words((cr0, cr3, cr4, efer), "I")
    head += words((0x30000, 0x31000, 0x32000, 0, 0x30800, 1, 2, 3), "I")
    head += words((eip,), "I") + words((cs, TSS), "H")
    head += words((eflags | 2, 0x8000 if eflags & VM or not cr0 & PE else 0x4FF0), "I")
    data = 0x3000 if eflags & VM or not cr0 & PE else USER_DATA if cs & 3 else DATA
    head += words((ss, data, data, data, data, number), "H")
    return head + changes + bytes.fromhex(CODES[number].replace(" ", ""))


def code_seeds():
    for i, state in enumerate(STATES):
        for number in range(len(CODES)):
            yield code_seed(state, number, i + number, CHANGES[(i + number) % len(CHANGES)])


def image_seeds():
    halt = b"\xf4"
    files = [
        images.multiboot(halt), images.multiboot(halt, machine=62), images.multiboot(halt, flags=3),
        images.multiboot(halt, checksum=1), images.multiboot(halt, flags=4),
        images.multiboot_header(0x10000) +
        struct.pack("<IIIII", 0x100000, 0x100000, 0, 0, 0x100020) + halt,
        images.elf64(halt), images.elf64(halt, segment_type=3), images.linux(halt),
        images.linux(halt, relocatable_kernel=1, pref_address=1 << 30),
        images.linux(halt, setup_sects=0), b"", b"#!/bin/sh\n",
    ]
    for i, image in enumerate(files):
        # mode, MiB, length of the command line, modules, initrd, KiB of each, bytes of each
        for options in ((0, 15, 0, 0, 0, 0, 0), (1, 3, 20, 2, 0, 5, 1), (2, 15, 200, 0, 1, 9, 3),
                        (i, 7, 300, 65, 0, 1, 0)):
            yield struct.pack("<BBHBBBB", *options) + image


def message_seeds():
    """Rows of packets: a good message each, a byte of it changed, the number of a wish, cut short."""
    def packet(kind, flags=0, where=0, data=b""):
        return struct.pack("<BBHBB", kind, flags, where, len(data), 0) + data
    kinds = range(16)  # more than there are, which is none of them and then the shared memory
    yield b""
    yield b"".join(packet(kind) for kind in kinds)
    yield b"".join(packet(kind, 1) for kind in kinds)
    yield b"".join(packet(kind, 2, 40) for kind in kinds)
    for kind in kinds:
        yield packet(kind, 4) + packet(kind, 0, 24, b"\xff" * 8)
        yield packet(kind, 1) + packet(kind, 1, 16, b"\x05")
        for where in range(0, 700, 31):
            yield packet(kind, kind & 1, where, bytes((where & 0xFF, 1, 0xFF, 0x7F)))


# Target, Accept, Accept-Encoding, If-None-Match, Content-Type, Host, Origin.
REQUESTS = (
    ("/api/v1/guests/a%2Fb/decisions?limit=5&before=7", "*/*", "gzip", '"0123456789abcdef"',
     "application/json; charset=utf-8", "localhost:8642", "http://127.0.0.1:1"),
    ("http://localhost:8642/metrics?a=%3d", "application/openmetrics-text;version=1.0.0;q=0.75,"
     "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "identity;q=0, *;q=0.5", 'W/"x,\\"y", *',
     "text/plain", "[::1]:80", "https://[::1]"),
    ("/schemas/guest.json", "text/*;q=0,application/*", "gzip;q=1.000, deflate;q=0.5", "*",
     "application/json", "127.0.0.1", "null"),
    ("//%00/%zz/..?&&=", ",;q=2,;=,a/b;q", "*;q=0", '"\\', ";", "[::1", "http://"),
)


def request_seeds():
    return ("\n".join(request).encode() for request in REQUESTS)


def report_seeds():
    """Rows of packets as of struct packet in target_report.c: whole, a few bytes changed, cut."""
    def packet(kind, number=1, where=0, data=b"", cut=0):
        return struct.pack("<BBHBB", kind, number, where, len(data), cut) + data
    host, collector, vm, gone, sample, end = range(6)
    yield b"".join(packet(kind) for kind in (host, collector, vm, sample, end, gone))
    for number in (0, 3, 0x55, 0xFF):
        yield b"".join((packet(vm, number), packet(sample, number), packet(sample, number + 1 & 0xFF),
                        packet(sample, number), packet(end), packet(vm, number), packet(gone, number)))
    for kind in (host, collector, vm, gone, sample, end):
        yield packet(vm) + packet(kind, cut=1)
        for where in (*range(0, 400, 13), 500, 1000, 2000):
            yield packet(vm) + packet(kind, 1, where, b"\xff\x01\x80\x00") + packet(end)


def host_seeds():
    """What umbra-collect reads of others, as target_host.c takes it."""
    for action, event in (("add", "create"), ("change", "create"), ("change", "destroy")):
        fields = (f"{action}@/devices/virtual/misc/kvm", f"ACTION={action}",
                  "DEVPATH=/devices/virtual/misc/kvm", "SUBSYSTEM=misc", f"EVENT={event}", "PID=4711",
                  "CREATED=3", "COUNT=2", "STATS_PATH=/sys/kernel/debug/kvm/4711-12", "SEQNUM=99")
        yield b"\0" + "\0".join(fields).encode() + b"\0"
    for words in (("qemu-system-x86_64", "-name", "guest=a,,b,debug-threads=on", "-uuid",
                   "01234567-89AB-cdef-0123-456789abcdef"),
                  ("/usr/bin/firecracker", "--id", "fc-1", "--api-sock", "/x"),
                  ("kvm", "-name"), ("lkvm", "run", "--name", "k"), ("crosvm", "run", "x\x01\xff")):
        yield b"\1" + "\0".join(words).encode("latin-1") + b"\0"
    yield b"\2" + rb"machine-qemu\x2d1\x2dweb\x2dserver.scope"
    yield b"\2" + rb"machine-qemu\x2d\x2"
    for link in ("anon_inode:kvm-vm", "anon_inode:kvm-vcpu:3", "anon_inode:kvm-vcpu-stats:0",
                 "anon_inode:kvm-vm-stats", "4711-12", "99999999999-1"):
        yield b"\3" + link.encode()
    # struct kvm_stats_header: flags, name_size, num_desc, id, desc and data offsets; descriptors
    for number in range(1, 4):
        header = struct.pack("<6I", 0, 48, number, 24, 72, 72 + number * 64)
        rows = b"".join(struct.pack("<IhHII", flags, -9 if flags else 0, size, 8 * i, size) +
                        name.ljust(48, b"\0") for i, (flags, size, name) in enumerate(
                            ((0, 1, b"pf_taken"), (0x20, 2, b"halt_poll_hist"), (3, 4, b"new"))[:number]))
        yield b"\4" + header + b"kvm-1/vcpu-0".ljust(48, b"\0") + rows + bytes(64)


def config_seeds():
    """The cases of test_daemon_config.py, right and wrong."""
    for path in sorted(glob.glob(os.path.join(CONFIGURATIONS, "*.conf"))):
        with open(path, "rb") as file:
            yield file.read()


def main():
    for name, seeds in (("image", image_seeds()), ("code", code_seeds()),
                        ("config", config_seeds()), ("message", message_seeds()),
                        ("request", request_seeds()), ("report", report_seeds()),
                        ("host", host_seeds())):
        folder = os.path.join(sys.argv[1], name)
        os.makedirs(folder, exist_ok=True)
        for number, seed in enumerate(seeds):
            with open(os.path.join(folder, f"{number:03}"), "wb") as file:
                file.write(seed)


if __name__ == "__main__":
    main()
