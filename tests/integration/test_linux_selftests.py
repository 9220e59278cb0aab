#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The Linux kernel's own self-tests of x86, 64-bit and 32-bit programs, pass in a guest of 4 vCPUs.

They hold system calls, single steps, breakpoints, segments, signal frames, FS and GS bases,
virtual-8086 mode and protection keys to what Intel's and AMD's processors do. Their source is that
of Debian's package of the kernel's source. What the guest sees is the same in every mode, and when it is
switched every 100,000 instructions.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import debian
import linux_guest
from tap import Tap

BOTH = """check_initial_reg_state fsgsbase_restore ioperm iopl ldt_gdt mov_ss_trap protection_keys
    ptrace_syscall sigaltstack sigreturn sigtrap_loop single_step_syscall syscall_arg_fault
    syscall_nt sysret_ss_attrs test_mremap_vdso test_vsyscall""".split()
ONLY_64 = "amx corrupt_xstate_header fsgsbase sysret_rip".split()
ONLY_32 = """entry_from_vm86 test_FCMOV test_FCOMI test_FISTTP test_syscall_vdso unwind_vdso
    vdso_restorer""".split()
# syscall_numbering is left out: it makes millions of system calls to see what the kernel says.
PROGRAMS = [name + "_64" for name in BOTH + ONLY_64] + [name + "_32" for name in BOTH + ONLY_32]

# What a program needs beside its own file.
MORE = {
    "check_initial_reg_state_64": ["-static", "-Wl,-ereal_start"],
    "check_initial_reg_state_32": ["-static", "-Wl,-ereal_start"],
    "protection_keys_64": ["vm_util.c", "-mxsave", "-O0"],
    "protection_keys_32": ["vm_util.c", "-mxsave", "-O0"],
    "ptrace_syscall_32": ["raw_syscall_helper_32.S"],
    "sysret_ss_attrs_64": ["thunks.S"],
    "test_syscall_vdso_32": ["thunks_32.S"],
}
# Status of those that must not pass, and why.
EXPECTED = {"amx_64": (1, "no AMX is offered")}

INIT = linux_guest.INIT + """
dmesg -n 1
cd /tests
for name in $(cat list); do
	timeout -s KILL 300 ./$name >/tmp/output 2>&1 </dev/null
	status=$?
	[ $status = 0 ] || tail -n 15 /tmp/output
	echo; echo "RESULT $name $status"
done
poweroff -f
"""
LIMIT = 60_000_000_000
RUNS = {
    "bare": ["--mode", "bare"],
    "brute": ["--mode", "brute"],
    "shadow": ["--mode", "shadow"],
    "ept": ["--mode", "ept"],
    "switching": ["--mode", "ept", "--switch-every", "100000"],
}


def sources(folder):
    """The folder of the kernel's self-tests."""
    debian.unpack(folder, debian.depends("linux-source"))
    archive, = glob.glob(os.path.join(folder, "usr", "src", "linux-source-*.tar.xz"))
    subprocess.run(["tar", "-C", folder, "-xJf", archive, "--wildcards",
                    "*/tools/testing/selftests", "*/arch/x86/include/asm"], check=True)
    os.unlink(archive)
    found, = glob.glob(os.path.join(folder, "*", "tools", "testing", "selftests"))
    return found


def has_multilib():
    done = subprocess.run(["gcc", "-m32", "-x", "c", "-o", "/dev/null", "-"],
                          input=b"#include <stdio.h>\nint main(void) { return puts(\"\"); }",
                          capture_output=True, check=False)
    return done.returncode == 0


def compile_program(tests, folder, program):
    """The path of the program that is made."""
    name, bits = program.rsplit("_", 1)
    place, = [where for where in ("x86", "vm", "mm")
              if os.path.exists(os.path.join(tests, where, name + ".c"))]
    out = os.path.join(folder, program)
    subprocess.run(
        ["gcc", "-m" + bits, "-O2", "-w", "-std=gnu99", "-pthread", "-no-pie", "-DCAN_BUILD_32",
         "-DCAN_BUILD_64", "-o", out, name + ".c", *MORE.get(program, []), "-lrt", "-ldl", "-lm"],
        cwd=os.path.join(tests, place), check=True)
    return out


def with_libraries(program):
    """The paths of a program's dynamic linker and libraries."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return re.findall(r"(?:^|\s)(/\S+)", done.stdout)


def make(folder):
    tests = sources(folder)
    files = {}
    for program in PROGRAMS:
        path = compile_program(tests, folder, program)
        for name, where in [("tests/" + program, path),
                            *((lib.lstrip("/"), lib) for lib in with_libraries(path))]:
            with open(where, "rb") as file:
                files[name] = file.read()
    files["tests/list"] = "\n".join(PROGRAMS).encode()
    files["etc/passwd"] = b"root:x:0:0:root:/:/bin/sh\n"  # protection_keys reads it
    return linux_guest.make(folder, INIT, files)


def check_program(tap, program, runs):
    wanted, reason = EXPECTED.get(program, (0, ""))
    complaints = []
    for mode, output in runs.items():
        line = f"RESULT {program} "
        end = next((i for i, text in enumerate(output) if text.startswith(line)), None)
        if end is None:
            complaints.append(f"{mode}: it did not come to its end")
        elif output[end] != line + str(wanted):
            begin = max((i for i in range(end) if output[i].startswith("RESULT ")), default=0)
            complaints += [f"{mode}: status {output[end][len(line):]}, wanted {wanted}",
                           *output[begin + 1:end]]
    tap.check(program + (f": {reason}" if reason else ""), complaints)


def main():
    if not has_multilib():
        print("1..0 # SKIP gcc -m32 makes no program: gcc-multilib is missing")
        return 0
    folder = tempfile.mkdtemp(prefix="umbra-selftests-")
    try:
        kernel, initrd, _ = make(folder)
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            results = list(pool.map(lambda mode: linux_guest.boot(
                kernel, initrd, mode, "cryptomgr.notests",
                [*RUNS[mode], "--cpus", "4", "--max-instructions", str(LIMIT)]), RUNS))
    finally:
        shutil.rmtree(folder)
    tap = Tap()
    print(f"1..{len(PROGRAMS) + 2 * len(RUNS) - 1}")
    for mode, (done, report) in zip(RUNS, results):
        tap.check(f"Linux with 4 vCPUs powers off: {mode}", linux_guest.ending(done, report))
        print(f"# {report.get('instructions')} instructions")
    runs = {mode: linux_guest.lines(done) for mode, (done, _) in zip(RUNS, results)}
    for program in PROGRAMS:
        check_program(tap, program, runs)
    for mode, result in list(zip(RUNS, results))[1:]:
        tap.check(f"nothing that Linux sees differs from bare: {mode}",
                  linux_guest.differences(results[0], result))
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())
