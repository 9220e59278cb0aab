#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
What counting an exit costs: instructions of the host that the BPF programs add to one, beside those
of `perf kvm stat record`. To be called in a build directory.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import image  # noqa: E402

# Debian's kernel in QEMU that counts instructions: its clock goes on by one nanosecond for each, so
# times are numbers of instructions, the same in every run. $exits and $batches come from outside.
INIT = """
for module in {modules}; do load $module; done
load kvm_amd npt=1
cd /tmp
measure()
{{
	echo "bench $1: $(exit_cost {exits} {batches})"
}}
# $1: what it is called, $2: options of kvm_exits_watch, $3: whether the kernel takes their time.
programs()
{{
	mkfifo watch
	kvm_exits_watch $2 <watch >watched &
	exec 3>watch
	echo round >&3
	sleep 1
	echo round >&3
	sleep 1
	[ $3 = 0 ] || echo 1 >/proc/sys/kernel/bpf_stats_enabled
	measure "$1"
	echo round >&3
	sleep 1
	echo "bench own $1: $(grep ^own watched | tail -n 1)"
	echo 0 >/proc/sys/kernel/bpf_stats_enabled
	exec 3>&-
	wait
	rm watch
}}
measure none
programs raw "--way raw" 0
programs raw+stats "--way raw" 1
programs raw+time "--way raw --timing 1/1" 0
programs classic "--way classic" 0
programs classic+time "--way classic --timing 1/1" 0
if [ -x /usr/bin/perf ]; then
	perf kvm stat record -a -o data >log 2>&1 &
	sleep 5
	measure perf
	kill -INT $!
	wait
	echo "bench recorded: $(tail -n 1 log)"
fi
echo bench end
poweroff -f
"""

ROWS = (
    ("raw", "counted (raw tracepoints)"),
    ("raw+time", "counted and timed, and the kernel takes the programs' time"),
    ("classic", "counted (classic tracepoints)"),
    ("classic+time", "counted and timed, likewise"),
    ("perf", "perf kvm stat record"),
)


def run(exits, batches):
    """What the system prints on its console."""
    kernel = image.Kernel()
    modules = kernel.modules("kvm_amd")
    programs = {"/usr/bin/kvm_exits_watch": os.path.abspath("tests/integration/kvm_exits_watch"),
                "/usr/bin/exit_cost": os.path.abspath("tests/lab/exit_cost")}
    if shutil.which("perf"):
        programs["/usr/bin/perf"] = shutil.which("perf")
    first = " ".join(name for name in modules if name != "kvm_amd")
    with tempfile.TemporaryDirectory(prefix="umbra-bench-") as folder:
        initrd = os.path.join(folder, "initrd")
        image.build(initrd, INIT.format(modules=first, exits=exits, batches=batches),
                    modules=modules, programs=programs)
        done = subprocess.run(
            [image.QEMU, "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-cpu",
             "max", "-m", "700", "-nodefaults", "-display", "none", "-no-reboot", "-serial",
             "stdio", "-kernel", kernel.image, "-initrd", initrd, "-append",
             "console=ttyS0,115200 quiet panic=-1 mitigations=off nokaslr no_timer_check "
             "cryptomgr.notests"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=900, check=True)
    text = done.stdout.decode(errors="replace")
    assert "bench end" in text, text
    return text


def measured(text):
    """{way: instructions an exit}, {way: instructions a run of a program}"""
    costs = {name: float(cost) for name, cost in re.findall(
        r"bench (\S+): .*?([\d.]+) ns an exit", text)}
    runs = {name: int(time) / int(count) for name, count, time in re.findall(
        r"bench own (\S+): .* runs (\d+) nanoseconds (\d+)", text)}
    return costs, runs


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exits", type=int, default=2000, help="of a batch")
    parser.add_argument("--batches", type=int, default=7)
    parser.add_argument("--json", help="writes the figures there")
    options = parser.parse_args()
    for program in ("tests/integration/kvm_exits_watch", "tests/lab/exit_cost"):
        if not os.path.exists(program):
            print(f"Cost of counting an exit: not measured, there is no {program}")
            return 0
    if not os.path.exists(image.QEMU):
        print("Cost of counting an exit: not measured, qemu-system-x86 is not installed")
        return 0
    costs, runs = measured(run(options.exits, options.batches))
    base = costs["none"]
    print(f"An exit by CPUID takes {base:.0f} instructions of the host; what is added:\n")
    print("| | instructions | of `perf kvm stat record` |\n|---|---|---|")
    perf = costs.get("perf")
    for name, text in ROWS:
        if name not in costs:
            print(f"| {text} | not measured: linux-perf is not installed | |")
            continue
        added = costs[name] - base
        share = f"{100 * added / (perf - base):.0f}%" if perf else ""
        print(f"| {text} | {added:.0f} | {share} |")
    for name, each in runs.items():
        print(f"\n{name}: run_time_ns / run_cnt = {each:.0f} instructions a run")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"exit": base, "added": {name: cost - base for name, cost in costs.items()
                                               if name != "none"}, "run": runs}, file, indent=1)
            file.write("\n")
    # More than half of what the other tool adds would be a fault of ours.
    return int(bool(perf) and costs["raw"] - base > (perf - base) / 2)


if __name__ == "__main__":
    sys.exit(main())
