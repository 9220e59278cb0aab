#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""umbra run, compare and explain: each kind of end and of mistake has its documented status."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile

import images
from tap import Tap

UMBRA = os.path.abspath("umbra")
HELLO = os.path.abspath("guests/hello.elf")
MOV1234 = os.path.abspath("guests/mov1234.elf")
SWITCHER = os.path.abspath("guests/switcher.elf")

# name, arguments, status, text that standard error must hold
CASES = (
    ("a guest's value is the status", ["run", HELLO], 0, "debug_exit 0"),
    ("the limit of instructions", ["run", "--max-instructions", "1000", SWITCHER], 125,
     "limit_instructions"),
    ("the limit of seconds", ["run", "--max-seconds", "0.3", "--append", "rounds=0", SWITCHER],
     124, "limit_seconds"),
    ("what brute did to tables is told", ["run", "--mode", "brute", MOV1234], 0,
     "table reads emulated"),
    ("what a switch built is told",
     ["run", "--mode", "ept", "--switch-every", "2000", MOV1234], 0, "dropped, 1 built; refill"),
    ("help for a verb", ["run", "--help"], 0, ""),
    ("no image", ["run"], 64, "image"),
    ("two images", ["run", HELLO, HELLO], 64, "one image"),
    ("an unknown option", ["run", "--frobnicate", HELLO], 64, "--frobnicate"),
    ("an option without its value", ["run", HELLO, "--mode"], 64, "--mode"),
    ("an unknown mode", ["run", "--mode", "fast", HELLO], 64, "fast"),
    ("an unknown engine", ["run", "--engine", "hard", HELLO], 64, "hard"),
    ("instructions that KVM does not count",
     ["run", "--engine", "kvm", "--max-instructions", "9", HELLO], 69, "retired"),
    ("a mode that no KVM has", ["run", "--engine", "kvm", "--mode", "brute", HELLO], 69,
     "--mode: not with --engine kvm"),
    ("a processor that KVM does not model",
     ["run", "--engine", "kvm", "--processor", "zen2", HELLO], 69, "--processor"),
    ("a comparison of modes that KVM has not", ["compare", "--engine", "kvm", HELLO], 69,
     "one mode"),
    ("an explanation of tables that KVM hides", ["explain", "--engine", "kvm"], 69, "tables"),
    ("a processor that this build lacks", ["run", "--processor", "pentium", HELLO], 69,
     "not in this build; it has skylake, icelake, zen2, zen3, zen4"),
    ("more processors than a guest can have", ["run", "--cpus", "9", HELLO], 64, "1 to 8"),
    ("no processor", ["run", "--cpus", "0", HELLO], 64, "--cpus"),
    ("a backing of no size", ["run", "--backing", "3m", HELLO], 64, "--backing"),
    ("memory that is no multiple of its backing",
     ["run", "--backing", "1g", "--memory", "64M", HELLO], 64, "backing"),
    ("an unknown clock", ["run", "--clock", "wall", HELLO], 64, "wall"),
    ("memory without digits", ["run", "--memory", "much", HELLO], 64, "much"),
    ("memory of a fraction of a page", ["run", "--memory", "1048577", HELLO], 64, "memory"),
    ("no memory", ["run", "--memory", "0", HELLO], 64, "1M to 2G"),
    ("memory beyond all numbers", ["run", "--memory", "17179869184G", HELLO], 64, "1M to 2G"),
    ("a negative number of processors", ["run", "--cpus", "-1", HELLO], 64, "1 to 8"),
    ("a number of processors with a tail", ["run", "--cpus", "2x", HELLO], 64, "1 to 8"),
    ("an option given twice, the last one wrong",
     ["run", "--cpus", "1", "--cpus", "9", HELLO], 64, "--cpus 9"),
    ("an interval of nothing", ["run", "--interval", "0", HELLO], 64, "1000 or more"),
    ("a switch after each 0 instructions",
     ["run", "--mode", "ept", "--switch-every", "0", HELLO], 64, "above 0"),
    ("a seed beyond 64 bits",
     ["run", "--mode", "ept", "--switch-every", "9", "--seed", "18446744073709551616", HELLO], 64,
     "--seed"),
    ("no number of seconds", ["run", "--max-seconds", "nan", HELLO], 64, "above 0"),
    ("an option of another verb", ["run", "--levels", "5", HELLO], 64, "no such option"),
    ("an option that two names begin with", ["run", "--mo", "ept", HELLO], 64, "--mo"),
    ("a directory for the result", ["run", "--json", "/", HELLO], 66, "Is a directory"),
    ("a full device for the result", ["run", "--json", "/dev/full", HELLO], 66, "/dev/full"),
    ("too little memory", ["run", "--memory", "4K", HELLO], 64, "memory"),
    ("too much memory", ["run", "--memory", "99G", HELLO], 64, "memory"),
    ("a negative limit", ["run", "--max-instructions", "-1", HELLO], 64, "--max-instructions"),
    ("a schedule with auto", ["run", "--switch-every", "100", "--mode", "auto", HELLO], 64,
     "--switch-every"),
    ("a schedule in bare", ["run", "--switch-every", "100", "--mode", "bare", HELLO], 64,
     "--switch-every"),
    ("a seed without a schedule", ["run", "--mode", "ept", "--seed", "1", HELLO], 64, "--seed"),
    ("no such file", ["run", "/nonexistent/image"], 66, "/nonexistent/image"),
    ("a result that cannot be written", ["run", "--json", "/nonexistent/x", HELLO], 66,
     "/nonexistent/x"),
    ("compare in no mode", ["compare", "--modes", "", HELLO], 64, "--modes"),
    ("explain with two vCPUs", ["explain", "--cpus", "2"], 0, ""),
    ("explain all modes likewise", ["explain", "--mode", "all", "--cpus", "2"], 0, ""),
    ("explain a policy", ["explain", "--mode", "auto"], 64, "auto"),
    ("explain six levels", ["explain", "--levels", "6"], 64, "--levels"),
    ("explain five levels in shadow", ["explain", "--mode", "shadow", "--levels", "5"], 0, ""),
    ("explain a non-canonical address", ["explain", "--gva", "0x1000000000000000"], 64,
     "canonical"),
    ("explain a letter that is no access", ["explain", "--access", "q"], 64, "--access"),
)


def umbra(arguments):
    return subprocess.run([UMBRA, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=120, check=False)


def test_status(tap, name, arguments, status, text):
    done = umbra(arguments)
    said = done.stderr.decode(errors="replace")
    complaints = []
    if done.returncode != status:
        complaints.append(f"status {done.returncode}, expected {status}")
    if text not in said:
        complaints.append(f"standard error lacks {text!r}")
    if complaints:
        complaints.append(said)
    tap.check(name, complaints)


def run_json(arguments, place):
    path = os.path.join(place, "run.json")
    done = umbra(["run", "--json", path, *arguments])
    with open(path, encoding="utf-8") as file:
        return done, json.load(file)


def test_schedule(tap, place):
    """Without a seed: each N instructions to the next mode, and the same switches each time."""
    common = ["--clock", "instructions", "--append", "rounds=40 spaces=8", SWITCHER]
    done, run = run_json(["--mode", "shadow", "--switch-every", "20000", *common], place)
    still, calm = run_json(["--mode", "shadow", *common], place)
    complaints = []
    if done.returncode or still.returncode:
        complaints.append(f"status {done.returncode} and {still.returncode}")
    if done.stdout != still.stdout or not done.stdout:
        complaints.append("the guest's output differs")
    if run["memory_hash"] != calm["memory_hash"]:
        complaints.append("memory differs")
    expected = [20000 * (i + 1) for i in range(run["instructions"] // 20000)]
    found = [switch["instruction"] for switch in run["switches"]]
    # A switch falls behind an instruction; the guest may end before the last one.
    if found[:len(expected) - 1] != expected[:len(expected) - 1]:
        complaints.append(f"switches at {found}, expected {expected}")
    if [s["to"] for s in run["switches"][:4]] != ["brute", "ept", "shadow", "brute"]:
        complaints.append("the switches from shadow do not go to brute, ept, shadow, brute")
    tap.check("a schedule switches after each N instructions, unseen by the guest", complaints)

    seeded = ["--mode", "ept", "--switch-every", "5000", "--seed", "7", *common]
    first = run_json(seeded, place)[1]["switches"]
    again = run_json(seeded, place)[1]["switches"]
    other = run_json([*seeded[:5], "8", *common], place)[1]["switches"]
    complaints = []
    if [s["instruction"] for s in first] != [s["instruction"] for s in again]:
        complaints.append("the same seed gave another schedule")
    if [s["instruction"] for s in first] == [s["instruction"] for s in other]:
        complaints.append("another seed gave the same schedule")
    if not first:
        complaints.append("nothing was switched")
    tap.check("a seed fixes the schedule", complaints)


def test_explain(tap):
    expected = {"bare": "4 references, 0 exits, HPA 0x",
                "brute": "4 references, 0 exits, HPA 0x",
                "shadow": "4 references, 0 exits, HPA 0x",
                "ept": "24 references, 0 exits, HPA 0x"}
    for mode, last in expected.items():
        done = umbra(["explain", "--mode", mode])
        lines = done.stdout.decode().splitlines()
        complaints = []
        if done.returncode:
            complaints.append(f"status {done.returncode}: {done.stderr.decode()}")
        if not lines or not lines[-1].startswith(last):
            complaints.append(f"last line {lines[-1:]}, expected {last}...")
        # Those of the read of the entry are indented.
        references = sum(bool(re.match(r" ?\d+  reads ", line)) for line in lines)
        if references != int(last.split()[0]):
            complaints.append(f"{references} references are listed")
        tap.check(f"explain in {mode} lists each reference and ends with their number",
                  complaints)


MODES = ("bare", "brute", "shadow", "ept", "auto")


def percent(part, run):
    return f"{100 * part / run['cycles']:.1f}%"


def rows_of(run, best):
    """What the table must say of a run: by its name the cell."""
    walks, tlb, shadow = run["walks"], run["tlb"], run["shadow"]
    references = walks["references_guest"] + walks["references_nested"]
    counts = {"instructions": run["instructions"], "cycles": run["cycles"],
              "walks": walks["count"], "TLB misses": sum(tlb["misses"].values()),
              "VM exits": sum(run["exits"].values()),
              "table reads emulated": shadow["table_reads"],
              "table writes emulated": shadow["table_writes"],
              "shadow fills": shadow["fills"], "EPT fills": run["ept"]["fills"],
              "switches": len(run["switches"])}
    counts.update({f"  {kind}": count for kind, count in tlb["misses"].items()})
    counts.update({f"  {reason}": count for reason, count in run["exits"].items()})
    rows = {name: f"{count:,}" for name, count in counts.items()}
    rows["ratio to the best (bare apart)"] = f"{run['cycles'] / best:.3f}"
    rows["references a walk"] = f"{references / walks['count']:.2f}"
    rows["time in walks"] = percent(walks["cycles"], run)
    rows["time in exits"] = percent(run["exit_cycles"], run)
    rows["time in refills"] = percent(run["refill"]["cycles"], run)
    rows["mode at the end"] = run["mode"]
    return rows


def table_of(text, names):
    """{row: [cell, ...]} of the table that the text begins with."""
    rows = {}
    for line in text.splitlines()[1:]:
        cells = re.split(r"  +", line.rstrip())[-len(names):]
        name = line[:len(line) - len(line.lstrip())] + line.split("  ")[1 if line[0] == " " else 0]
        if line.startswith("all ended") or len(cells) < len(names):
            break
        rows[name.rstrip()] = cells
    return rows


def test_compare(tap, place, *options):
    """The table's numbers are those of the runs one by one, and so is its JSON. Returns auto's
    switches."""
    path = os.path.join(place, "compare.json")
    done = umbra(["compare", "--json", path, *options])
    said = done.stdout.decode()
    complaints = []
    if done.returncode:
        tap.check("compare", [f"status {done.returncode}: {done.stderr.decode()}"])
        return []
    with open(path, encoding="utf-8") as file:
        compared = json.load(file)["runs"]
    singles = [run_json(["--mode", mode, *options], place)[1] for mode in MODES]
    if [run.pop("asked") for run in compared] != list(MODES):
        complaints.append("not one run a mode")
    for run in compared + singles:
        for switch in run["switches"]:
            switch["pause_ns"] = switch["teardown_ns"] = 0  # wall time
    if compared != singles:
        complaints.append("the JSON is not that of single runs")
    if "memory at the end differs" in said:
        complaints.append("memory differs")
    if said.splitlines()[0].split()[1:] != list(MODES):
        complaints.append(f"the first line is {said.splitlines()[0]!r}")
    table = table_of(said, MODES)
    best = min(run["cycles"] for run in singles[1:])
    for column, run in enumerate(singles):
        for name, cell in rows_of(run, best).items():
            if name not in table:
                if cell != "0":
                    complaints.append(f"there is no row {name!r}")
            elif table[name][column] != cell:
                complaints.append(f"{MODES[column]}: {name}: {table[name][column]}, not {cell}")
    if max(len(line) for line in said.splitlines()[:len(table) + 1]) > 110:
        complaints.append("the table does not fit into a terminal")
    decisions = singles[-1]["decisions"]
    moves = [d for d in decisions if d["action"] != "stay"]
    words = f"of {len(decisions)} decisions {len(moves)} changed the mode"
    if not decisions or words not in said:
        complaints.append(f"it does not say {words!r}")
    for decision in moves[:8]:
        words = f"  at {decision['instruction']:,} "
        if words not in said:
            complaints.append(f"it does not tell of the switch{words}")
    tap.check(f"compare {' '.join(options[:-1])}: the numbers are those of single runs",
              complaints)
    return moves


def test_compare_memory(tap):
    """A guest is gone before the next one begins: five do not take the memory of five."""
    largest = {}
    for modes in ("ept", "bare,brute,shadow,ept,auto"):
        started = subprocess.Popen(
            [UMBRA, "compare", "--modes", modes, "--append", "rounds=1 pages=16384 updates=65536",
             SWITCHER.replace("switcher", "gups")], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
        largest[modes] = 0 if status else usage.ru_maxrss >> 10
    one, five = largest.values()
    tap.check("compare holds one guest at a time",
              [] if one > 60 and five < 2 * one else [f"MiB: {largest}"])


# How it ends, code of a multiboot image (at its entry), options, status, lines of standard error
STATES = (
    # lidt [eax], whose six bytes are zero; ud2
    ("a triple fault", "31c0 0f0118 0f0b", (), 120,
     ("triple_fault: exception 6, then 13", "vCPU 0 at 0x100065, 32-bit protected mode, bytes 0f 0b",
      "rip 0000000000100065", "cr0 0000000000000011", "cs 0010")),
    # mov ebx, 0x12345678; cli; hlt
    ("a HLT for ever", "bb78563412 fa f4", (), 120, ("halted", "rbx 0000000012345678")),
    # mov esi, 0x12345678; jmp .
    ("a loop", "be78563412 ebfe", ("--max-instructions", "1000"), 125,
     ("limit_instructions", "vCPU 0 at 0x100065, 32-bit protected mode", "rsi 0000000012345678",
      "rip 0000000000100065", "rflags ", "efer ", "cr3 ")),
    ("one of two vCPUs", "ebfe", ("--cpus", "2", "--max-instructions", "1000"), 125,
     ("vCPU 0 at 0x100060", "vCPU 1")),
)


def test_state(tap, place, name, code, options, status, lines):
    path = os.path.join(place, "image")
    with open(path, "wb") as file:
        file.write(images.multiboot(bytes.fromhex(code)))
    done = umbra(["run", *options, path])
    said = done.stderr.decode()
    complaints = [f"standard error lacks {line!r}" for line in lines if line not in said]
    if done.returncode != status:
        complaints.append(f"status {done.returncode}, expected {status}")
    tap.check(f"the state of a guest that ends by {name} is told",
              complaints + [said] if complaints else [])


def test_closed_descriptors(tap, place):
    """Files that Umbra opens do not take the place of standard output, where the guest writes."""
    path = os.path.join(place, "closed.json")
    complaints = []
    reference = run_json([HELLO], place)[1]
    closed = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", UMBRA, "run", "--json", path,
                             HELLO], timeout=60, check=False)
    if closed.returncode:
        complaints.append(f"status {closed.returncode}")
    with open(path, encoding="utf-8") as file:
        if json.load(file)["memory_hash"] != reference["memory_hash"]:
            complaints.append("guest memory differs")
    tap.check("a guest runs the same with standard descriptors closed", complaints)


def test_full_output(tap):
    for words in (["run", HELLO], ["compare", HELLO], ["explain"], ["--help"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([UMBRA, *words], stdin=subprocess.DEVNULL, stdout=full,
                                  stderr=subprocess.PIPE, timeout=60, check=False)
        said = done.stderr.decode()
        complaints = []
        if done.returncode != 66 or "standard output: No space left on device" not in said:
            complaints.append(f"status {done.returncode}: {said}")
        tap.check(f"umbra {words[0]} says that its output was lost", complaints)


def test_signals(tap, place):
    """A signal, or a reader that goes away, ends a run with its statistics and result."""
    path = os.path.join(place, "signal.json")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        started = subprocess.Popen(
            [UMBRA, "run", "--json", path, "--append", "rounds=0", HELLO],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            # A shell starts what it puts into the background with SIGINT ignored.
            preexec_fn=lambda number=number: signal.signal(number, signal.SIG_DFL))
        started.stdout.readline()  # it runs
        if number == signal.SIGPIPE:
            started.stdout.close()
            said = started.stderr.read().decode()
        else:
            started.send_signal(number)
            said = started.communicate(timeout=60)[1].decode()
        complaints = []
        if started.wait(60) != 128 + number:
            complaints.append(f"status {started.returncode}")
        if f"error: stopped by signal {number:d}" not in said or "instructions" not in said:
            complaints.append(said)
        with open(path, encoding="utf-8") as file:
            if json.load(file)["end"]["reason"] != "error":
                complaints.append("no result")
        tap.check(f"{number.name} ends a run in order", complaints)


def main():
    tap = Tap()
    print(f"1..{len(CASES) + len(STATES) + 19}")
    for case in CASES:
        test_status(tap, *case)
    with tempfile.TemporaryDirectory() as place:
        test_schedule(tap, place)
        test_explain(tap)
        switches = test_compare(tap, place, "--interval", "1000000", "--append",
                                "rounds=5 updates=32768", SWITCHER.replace("switcher", "gups"))
        tap.check("auto has switched, for compare to tell", [] if switches else ["it has not"])
        test_compare(tap, place, "--interval", "200000", "--cpus", "2", "--append", "rounds=6",
                     SWITCHER.replace("switcher", "churn"))
        test_compare_memory(tap)
        test_closed_descriptors(tap, place)
        for case in STATES:
            test_state(tap, place, *case)
        test_full_output(tap)
        test_signals(tap, place)
    sys.exit(1 if tap.failed else 0)


if __name__ == "__main__":
    main()
