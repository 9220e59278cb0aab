# SPDX-License-Identifier: GPL-2.0-or-later
"""Small images for tests, made of nothing but what a loader looks at; any field can be broken."""
import struct

MULTIBOOT_MAGIC = 0x1BADB002


def multiboot_header(flags=0, checksum=None):
    if checksum is None:
        checksum = -(MULTIBOOT_MAGIC + flags) & 0xFFFFFFFF
    return struct.pack("<III", MULTIBOOT_MAGIC, flags, checksum)


def multiboot(code, *, flags=0, checksum=None, elf_class=1, machine=3, gpa=0x100000, memory=0x1000,
              entry=None, offset=0, segments=1):
    """An ELF32 file whose 32-bit @code is entered at 1 MiB + 0x60."""
    start = 0x60
    size = start + len(code)
    elf = (b"\x7fELF" + bytes([elf_class, 1, 1]) + bytes(9) +
           struct.pack("<HHIIIIIHHHHHH", 2, machine, 1, entry or gpa + start, 52, 0, 0, 52, 32,
                       segments, 0, 0, 0))
    segment = struct.pack("<IIIIIIII", 1, offset, gpa, gpa, size, max(size, memory), 7, 0x1000)
    return (elf + segment + multiboot_header(flags, checksum)).ljust(start, b"\0") + code


def elf64(code, *, kind=2, machine=62, gpa=0x100000, memory=0x1000, segment_type=1):
    """An ELF64 executable whose 64-bit @code is entered at 1 MiB + 0x80."""
    start = 0x80
    size = start + len(code)
    elf = (b"\x7fELF\x02\x01\x01" + bytes(9) +
           struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, gpa + start, 64, 0, 0, 64, 56, 1, 0, 0,
                       0))
    segment = struct.pack("<IIQQQQQQ", segment_type, 7, 0, gpa, gpa, size, memory, 0x1000)
    return (elf + segment).ljust(start, b"\0") + code


LINUX_FIELDS = {
    "setup_sects": (0x1F1, "B", 1), "syssize": (0x1F4, "I", 0x100), "boot_flag": (0x1FE, "H", 0xAA55),
    "jump": (0x201, "B", 0x66), "header": (0x202, "4s", b"HdrS"), "version": (0x206, "H", 0x20C),
    "loadflags": (0x211, "B", 1), "initrd_addr_max": (0x22C, "I", 0x7FFFFFFF),
    "kernel_alignment": (0x230, "I", 0x200000), "relocatable_kernel": (0x234, "B", 0),
    "xloadflags": (0x236, "H", 1), "cmdline_size": (0x238, "I", 255),
    "pref_address": (0x258, "Q", 0x200000), "init_size": (0x260, "I", 0x100000),
}


def linux(code, **fields):
    """A bzImage whose 64-bit @code is the kernel's entry."""
    header = bytearray(2 * 512)
    for name, (offset, form, value) in LINUX_FIELDS.items():
        struct.pack_into("<" + form, header, offset, fields.pop(name, value))
    assert not fields, fields
    return bytes(header) + (bytes(0x200) + code).ljust(0x1000, b"\0")
