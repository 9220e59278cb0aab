#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""umbra run loads what docs/boot.md promises; all else has its status and names what is wrong."""
import os
import subprocess
import sys
import tempfile

import images
from tap import Tap

UMBRA = os.path.abspath("umbra")

# mov esi, [rbx + 24]; mov esi, [rsi]; movzx eax, byte [rsi]; out 0xf4, al: the first module's
# first byte, the same code in 32-bit and in 64-bit mode.
MODULE_BYTE = bytes.fromhex("8b7318 8b36 0fb606 e6f4")
# mov eax, [rsi + 0x218]; movzx eax, byte [rax]; out 0xf4, al: the initrd's first byte.
INITRD_BYTE = bytes.fromhex("8b8618020000 0fb600 e6f4")
# mov rax, cr4; out 0xf4, al; the low bits show that paging with PAE is on.
CR4_BYTE = bytes.fromhex("0f20e0 e6f4")

MIB = 1 << 20


def files():
    """name: bytes; None: nothing is written."""
    made = {
        "multiboot": images.multiboot(MODULE_BYTE),
        "mixed": images.multiboot(MODULE_BYTE, machine=62),
        "elf64": images.elf64(MODULE_BYTE),
        "elf64-state": images.elf64(CR4_BYTE),
        "linux": images.linux(INITRD_BYTE),
        "module": b"\x07module",
        "initrd": b"\x2ainitrd",
        "empty": b"",
        "script": b"#!/bin/sh\nexit 0\n",
        "zeros": bytes(MIB),
        "3M": bytes(3 * MIB),
        "checksum": images.multiboot(b"", checksum=1),
        "video": images.multiboot(b"", flags=4),
        "unknown-flags": images.multiboot(b"", flags=0x1000),
        "addresses": images.multiboot_header(flags=0x10000),
        "header-alone": images.multiboot_header(),
        "elf64-multiboot": images.multiboot(b"", elf_class=2),
        "arm": images.multiboot(b"", machine=40),
        "entry": images.multiboot(b"", entry=0x900000),
        "beyond-file": images.multiboot(b"", offset=0x1000),
        "beyond-ram": images.multiboot(b"", gpa=0x7FFFF000, memory=0x2000),
        "large-bss": images.multiboot(MODULE_BYTE, memory=64 * MIB),
        "low": images.multiboot(b"", gpa=0x1000, memory=0x90000),
        "segments": images.multiboot(b"", segments=0xFFFF),
        "pie": images.elf64(b"", kind=3),
        "elf64-arm": images.elf64(b"", machine=183),
        "dynamic": images.elf64(b"", segment_type=3),
        "elf64-cut": images.elf64(b"")[:60],
        "elf64-beyond": images.elf64(b"", memory=1 << 62),
        "elf64-low": images.elf64(b"", gpa=0x1000, memory=0x9e000),
        "linux-old": images.linux(b"", version=0x20B),
        "linux-flag": images.linux(b"", boot_flag=0),
        "linux-32": images.linux(b"", xloadflags=0),
        "linux-zimage": images.linux(b"", loadflags=0),
        "linux-cut": images.linux(b"")[:0x230],
        "linux-setup": images.linux(b"", setup_sects=200),
        "linux-large": images.linux(b"", init_size=0xFFFFFFFF),
        "linux-short": images.linux(b"", syssize=0x7FFFFFFF),
        "linux-initrd-low": images.linux(b"", initrd_addr_max=0x1FFFFF),
        "linux-64M": images.linux(b"", pref_address=64 * MIB),
    }
    for size in (1, 511, 0x202, 0x206, 0x263):
        made[f"linux-{size}"] = images.linux(b"")[:size]
    return made


# What it shows, arguments ({name} is a file of the list above), status, texts that must be told.
CASES = (
    # What loads
    ("a multiboot image finds its module", "--module {module} {multiboot}", 7, ()),
    ("a module's string does not change its bytes", ["--module", "{module} a b", "{multiboot}"], 7,
     ()),
    ("an ELF32 container that says x86-64", "--module {module} {mixed}", 7, ()),
    ("an ELF64 image finds its module", "--module {module} {elf64}", 7, ()),
    ("an ELF64 image starts with PAE", "{elf64-state}", 0x20, ()),
    ("a Linux kernel finds its initrd", "--initrd {initrd} {linux}", 42, ()),
    ("sixty-four modules", ["--module", "{module}"] * 64 + ["{multiboot}"], 7, ()),
    # What is no image: 65
    ("an empty file", "{empty}", 65, ("empty: ", "neither a multiboot 1 image")),
    ("a script", "{script}", 65, ("script: ", "nor a Linux bzImage", "nor an ELF64 file")),
    ("a file of zeros", "{zeros}", 65, ("zeros: ", "neither")),
    ("a directory", "{.}", 65, ("not an image: not a regular file",)),
    ("a device", "/dev/null", 65, ("not an image: not a regular file",)),
    ("a FIFO that nobody writes to", "{fifo}", 65, ("not an image: not a regular file",)),
    ("a file of 100 GiB", "{sparse}", 65, ("not an image: larger than 1 GiB",)),
    ("a file of the kernel's", "/proc/self/mem", 65, ("neither",)),
    ("one byte of a kernel", "{linux-1}", 65, ("neither",)),
    ("a kernel's boot sector, cut", "{linux-511}", 65, ("neither",)),
    ("a kernel cut before HdrS", "{linux-514}", 65, ("neither",)),
    ("a kernel cut after HdrS", "{linux-518}", 65, ("setup header", "(518 bytes)")),
    ("a kernel cut in its header", "{linux-cut}", 65, ("offset 0x202, setup header",)),
    ("a kernel cut in its last field", "{linux-611}", 65, ("setup header", "(611 bytes)")),
    # Broken multiboot images: 65
    ("a wrong checksum", "{checksum}", 65, ("offset 0x5c, multiboot checksum",
                                            "0xe4524ffe expected")),
    ("a demand for a video mode", "{video}", 65, ("multiboot flags", "video mode (bit 2)")),
    ("unknown mandatory flags", "{unknown-flags}", 65, ("multiboot flags", "0x1000")),
    ("address fields that the file lacks", "{addresses}", 65, ("address fields", "(12 bytes)")),
    ("a multiboot header and nothing else", "{header-alone}", 65, ("ELF header", "12 bytes")),
    ("an ELF64 container with a multiboot header", "{elf64-multiboot}", 65,
     ("e_ident[EI_CLASS]", "32-bit ELF container")),
    ("an ELF file for another processor", "{arm}", 65, ("offset 0x12, e_machine",
                                                       "40; EM_386 (3) expected")),
    ("an entry outside", "{entry}", 65, ("offset 0x18, entry", "0x900000 lies in none")),
    ("a segment that the file lacks", "{beyond-file}", 65, ("offset 0x34, segment",
                                                            "past the end of the file")),
    ("more program headers than the file has", "{segments}", 65, ("offset 0x1c, e_phoff",
                                                                 "65535 program headers")),
    # Broken ELF64 images: 65
    ("a position-independent ELF64 file", "{pie}", 65, ("offset 0x10, e_type", "executable (2)")),
    ("an ELF64 file for another processor", "{elf64-arm}", 65, ("e_machine", "EM_X86_64 (62)")),
    ("a dynamically linked program", "{dynamic}", 65, ("program header", "PT_INTERP")),
    ("half an ELF64 header", "{elf64-cut}", 65, ("ELF header", "60 bytes; at least 64 expected")),
    # Broken kernels: 65
    ("a boot protocol too old", "{linux-old}", 65, ("offset 0x206, version", "2.11",
                                                    "at least 2.12 expected")),
    ("no boot flag", "{linux-flag}", 65, ("offset 0x1fe, boot_flag", "0xaa55 expected")),
    ("a 32-bit kernel", "{linux-32}", 65, ("offset 0x236, xloadflags", "XLF_KERNEL_64")),
    ("a zImage", "{linux-zimage}", 65, ("offset 0x211, loadflags", "LOADED_HIGH")),
    ("more setup sectors than the file has", "{linux-setup}", 65, ("offset 0x1f1, setup_sects",)),
    ("a kernel shorter than it says", "{linux-short}", 65, ("offset 0x1f4, syssize",)),
    # What does not fit, or does not go together: 64
    ("a segment beyond RAM", "{beyond-ram}", 64, ("offset 0x34, segment", "end of RAM")),
    ("a segment larger than RAM", "--memory 16M {large-bss}", 64, ("67108864 bytes at 0x100000",
                                                                  "RAM (16777216 bytes)")),
    ("the same segment in enough RAM", "--memory 66M --module {module} {large-bss}", 7, ()),
    ("an ELF64 segment of 4 EiB", "{elf64-beyond}", 64, ("segment", "end of RAM")),
    ("an ELF64 image that leaves no low memory", "{elf64-low}", 64, ("page tables", "0x9fc00")),
    ("a kernel larger than RAM", "{linux-large}", 64, ("offset 0x260, init_size",
                                                       "4294967295 bytes")),
    ("too little RAM for a kernel", "--memory 64M {linux-64M}", 64, ("init_size", "0x4000000")),
    ("RAM of 1 MiB for a kernel", "--memory 1M {linux}", 64, ("init_size", "0x100000")),
    ("a command line over the kernel's limit", ["--append", "x" * 256, "{linux}"], 64,
     ("command line", "256 characters; the kernel takes 255")),
    ("a command line over what low memory holds", ["--append", "x" * 100000, "{low}"], 64,
     ("low: command line", "no room for", "0x9fc00")),
    ("an initrd larger than RAM beside the kernel", "--memory 5M --initrd {3M} {linux}", 64,
     ("3M: initrd", "3145728 bytes", "0x300000 and 0x500000")),
    ("an initrd in just enough RAM", "--memory 6M --initrd {3M} {linux}", 0, ()),
    ("an initrd above what the kernel allows", "--initrd {initrd} {linux-initrd-low}", 64,
     ("initrd: no room", "initrd_addr_max")),
    ("an empty initrd", "--initrd {empty} {linux}", 64, ("empty: initrd", "it is empty")),
    ("an initrd for a multiboot image", "--initrd {initrd} {multiboot}", 64,
     ("initrd: multiboot is no Linux kernel", "takes modules")),
    ("an initrd for an ELF64 image", "--initrd {initrd} {elf64}", 64, ("no Linux kernel",)),
    ("a module for a Linux kernel", "--module {module} {linux}", 64,
     ("module: linux is a Linux kernel", "takes an initrd")),
    ("a module larger than RAM", "--memory 4M --module {3M} {multiboot}", 64,
     ("3M: module: no room", "0x100000 and the end of RAM at 0x400000")),
    ("modules that leave each other no room", "--memory 7M --module {3M} --module {3M} {multiboot}",
     64, ("3M: module: no room", "0x401000")),
    ("modules in just enough RAM", "--memory 8M --module {3M} --module {3M} {multiboot}", 0, ()),
    ("a module too many", ["--module", "{module}"] * 65 + ["{multiboot}"], 64,
     ("--module", "at most 64")),
    ("a module without a name", ["--module", " x", "{multiboot}"], 64, ("--module", "a file")),
    ("an initrd without a name", ["--initrd", "", "{linux}"], 64, ("--initrd", "a file")),
    # What is not there: 66
    ("no such image", "{nothing}", 66, ("nothing: No such file",)),
    ("no such initrd", "--initrd {nothing} {linux}", 66, ("nothing: No such file",)),
    ("no such module", ["--module", "{nothing} a string", "{multiboot}"], 66,
     ("nothing: No such file",)),
    ("a directory as initrd", "--initrd {.} {linux}", 65, ("not an initrd: not a regular file",)),
    ("a directory as module", "--module {.} {multiboot}", 65, ("not a module: not a regular",)),
    ("a FIFO as initrd", "--initrd {fifo} {linux}", 65, ("not an initrd: not a regular file",)),
    ("a FIFO as module", "--module {fifo} {multiboot}", 65, ("not a module: not a regular",)),
    ("100 GiB as initrd", "--initrd {sparse} {linux}", 65, ("not an initrd: larger than 1 GiB",)),
    ("100 GiB as module", "--module {sparse} {multiboot}", 65, ("not a module: larger than",)),
    ("no name of an image", [""], 64, ("an image is missing",)),
)


def run(place, arguments):
    if isinstance(arguments, str):
        arguments = arguments.split()
    command = [UMBRA, "run", "--mode", "ept", "--max-instructions", "1000000"]
    for argument in arguments:
        for name in (*files(), "nothing", ".", "fifo", "sparse"):
            argument = argument.replace("{" + name + "}", os.path.join(place, name))
        command.append(argument)
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20,
                          check=False)


def test(tap, place, case):
    name, arguments, status, texts = case
    done = run(place, arguments)
    said = done.stderr.decode(errors="replace")
    complaints = []
    if done.returncode != status:
        complaints.append(f"status {done.returncode}, expected {status}")
    complaints += [f"standard error lacks {text!r}" for text in texts if text not in said]
    if texts and not said.startswith("umbra run: "):
        complaints.append("standard error does not begin with umbra run:")
    if texts and len(said.splitlines()) != 1:
        complaints.append("more than one line was told")
    tap.check(name, complaints + [said] if complaints else [])


def main():
    tap = Tap()
    print(f"1..{len(CASES)}")
    with tempfile.TemporaryDirectory(prefix="umbra-images-") as place:
        for name, content in files().items():
            with open(os.path.join(place, name), "wb") as file:
                file.write(content)
        os.mkfifo(os.path.join(place, "fifo"))
        with open(os.path.join(place, "sparse"), "wb") as file:
            file.truncate(100 << 30)
        for case in CASES:
            test(tap, place, case)
    sys.exit(1 if tap.failed else 0)


if __name__ == "__main__":
    main()
