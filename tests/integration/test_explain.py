#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""umbra explain: the references of each walk, in their order, as the manual has them.

Where the guest's entries lie is taken from the walk in bare, which shows nothing else; the lists for
the other modes, with what the VMM does, are made from it by hand: four or five levels of EPT for
each of the guest's tables and once more for the page (SDM 3C 28.3), ended sooner by large pages.
Then the guest reads its own entry: what it sees is the same in every mode, what the hardware uses
is not, and in brute the read is an exit (SDM 3C 32.3.3).
"""
import json
import os
import subprocess
import sys
import tempfile

import images

UMBRA = os.path.abspath("umbra")
os.environ["UMBRA_GUESTS"] = os.path.abspath("guests")

LEAF = {"4k": 1, "2m": 2, "1g": 3}
MODES = ("bare", "brute", "shadow", "ept")
SELF = 510  # the entry by which the tables of --guest-page map themselves


def index(gpa, level):
    return gpa >> (12 + 9 * (level - 1)) & 511


class Walk:
    """The guest's entries, top first, as (level, index, gpa), and where the page is."""

    def __init__(self, entries, target, levels=4, backing="4k"):
        self.entries, self.target = entries, target
        self.levels, self.leaf = levels, LEAF[backing]

    def ept(self, gpa, down_to=None):
        """References to the EPT tables for a guest-physical address (SDM 3C 28.3.2)."""
        return [f"ept {level} {index(gpa, level)}"
                for level in range(self.levels, (down_to or self.leaf) - 1, -1)]

    def guest(self):
        return [f"guest {level} {place}" for level, place, _ in self.entries]

    def nested(self):
        """Each of the guest-physical addresses on the way, and the guest's entry there."""
        return list(zip([gpa for _, _, gpa in self.entries] + [self.target],
                        self.guest() + [None]))

    def two_dimensional(self, fails_at=None, down_to=None):
        """The walk, up to the failing nested one if there is one."""
        steps = []
        for number, (gpa, guest) in enumerate(self.nested()):
            if number == fails_at:
                return steps + self.ept(gpa, down_to) + ["failed", "exit ept_violation"]
            steps += self.ept(gpa) + ([guest] if guest else [])
        return steps

    def accessed_dirty(self):
        """EPT entries used for the first time, in their order; a table's page is written."""
        used, steps = set(), []
        for gpa, _ in self.nested():
            for level in range(self.levels, self.leaf - 1, -1):
                entry = (level, gpa >> (12 + 9 * (level - 1)))
                if entry not in used:
                    used.add(entry)
                    steps.append(f"sets ept {level}")
        return steps

    def first_touch(self):
        """One violation for each page of EPT that is missing, which the VMM then maps."""
        present, steps, exits = set(), [], 0
        for number, (gpa, _) in enumerate(self.nested()):
            missing = [level for level in range(self.levels, self.leaf - 1, -1)
                       if (level, gpa >> (12 + 9 * (level - 1))) not in present]
            if not missing:
                continue
            exits += 1
            steps += self.two_dimensional(number, missing[0])
            for level in range(self.levels, self.leaf - 1, -1):
                steps.append(f"reads ept {level} {index(gpa, level)}")
                if level in missing:
                    present.add((level, gpa >> (12 + 9 * (level - 1))))
                    steps.append(f"writes ept {level} {index(gpa, level)}")
        return steps + self.two_dimensional() + self.accessed_dirty(), exits

    def shadow(self, gva, table="shadow"):
        """As large as the guest's page and its backing, and no guest table inside."""
        leaf = min(self.leaf, self.entries[-1][0])
        while leaf > 1 and any((gpa ^ self.target) >> (12 + 9 * (leaf - 1)) == 0
                               for _, _, gpa in self.entries):
            leaf -= 1
        return [f"{table} {level} {index(gva, level)}"
                for level in range(self.levels, leaf - 1, -1)]

    def shadow_first_touch(self, gva, table="shadow"):
        """One page fault: the VMM walks the guest's tables (SDM 3C 32.3.4), links and fills."""
        steps = [f"{table} 4 {index(gva, 4)}", "failed", "exit page_fault"]
        steps += [f"reads {entry}" for entry in self.guest()]
        for level in range(4, 1, -1):
            steps += [f"reads {table} {level} {index(gva, level)}",
                      f"writes {table} {level} {index(gva, level)}"]
        return steps + [f"writes {table} 1 {index(gva, 1)}"] + self.shadow(gva, table)

    def back_path(self, gva):
        """The indices by which the tables made for an explanation show the leaf entry: as many
        times through the entry that maps the topmost table as the page is large."""
        leaf = self.entries[-1][0]
        return [SELF] * leaf + [index(gva, level) for level in range(self.levels, leaf, -1)]

    def back_address(self, gva):
        """A page of 1G maps the tables itself: they lie in the first GiB, as all memory does."""
        leaf = self.entries[-1][0]
        if leaf == LEAF["1g"]:
            return (gva & -1 << 30) + self.entries[-1][2]
        address = index(gva, leaf) * 8 - (1 << (12 + 9 * self.levels))  # the highest bit goes on
        return address + sum(place << (12 + 9 * (level - 1)) for level, place in
                             zip(range(self.levels, 0, -1), self.back_path(gva)))

    def read_back(self, mode, gva):
        """The steps of the read: another path than the access, so that no walk cache helps but
        EPT's: they know the tables that lead to the last pages of memory."""
        leaf = self.entries[-1][0]
        if leaf == LEAF["1g"]:
            return self.read_back_in_page(mode, gva)
        own = [f"{level} {place}" for level, place in
               zip(range(self.levels, 0, -1), self.back_path(gva))]
        tables = [gpa & ~0xfff for _, _, gpa in self.entries]
        if mode == "bare":
            return [f"guest {entry}" for entry in own]
        if mode == "shadow":
            return [f"shadow {entry}" for entry in own]
        if mode == "brute":
            return ([f"brute {own[0]}", "failed", "exit page_fault"] +
                    [f"reads guest {entry}" for entry in own])
        steps = []
        for number, entry in enumerate(own):
            table = tables[max(0, number - leaf)]
            steps += [f"ept {self.leaf} {index(table, self.leaf)}", f"guest {entry}"]
        return steps + [f"ept {self.leaf} {index(tables[-1], self.leaf)}"]

    def read_back_in_page(self, mode, gva):
        """The access has left the page in the TLB, or all of the way to it in the caches."""
        at = self.back_address(gva)
        small = [f"2 {index(at, 2)}", f"1 {index(at, 1)}"]
        if mode == "bare" or (mode == "ept" and self.leaf == 3):
            return []
        if mode == "ept":
            return [self.guest()[-1], f"ept {self.leaf} {index(self.entries[-1][2], self.leaf)}"]
        if mode == "shadow":  # in pieces, as a table lies inside
            return [f"shadow {entry}" for entry in small]
        return ([f"brute {small[0]}", "failed", "exit page_fault"] +
                [f"reads {entry}" for entry in self.guest()])


def words(step):
    kind = step["kind"]
    if kind == "exit":
        return f"exit {step['reason']}"
    if kind == "walk_failed":
        return "failed"
    if kind == "accessed_dirty":
        return f"sets {step['table'].lower()} {step['level']}"
    place = f"{step.get('table', '').lower()} {step.get('level')} {step.get('index')}"
    if kind == "reference":
        return place
    if kind == "software":
        return f"{'writes' if step['write'] else 'reads'} {place}"
    return None if kind == "translated" else kind


def explain(mode, *options):
    """The status, the last line and the explanation."""
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        done = subprocess.run([UMBRA, "explain", "--mode", mode, "--json", result.name, *options],
                              capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            return done.returncode, done.stderr, None
        report = json.load(open(result.name, encoding="utf-8"))
    return 0, done.stdout.splitlines()[-1], report["explanations"][0]


def compare(what, explanation, wanted):
    steps = [text for text in map(words, explanation["steps"]) if text]
    if steps == wanted:
        return []
    at = next((i for i, pair in enumerate(zip(steps, wanted)) if pair[0] != pair[1]),
              min(len(steps), len(wanted)))
    return [f"{what} {at}: {steps[at:at + 3]}, by hand {wanted[at:at + 3]}"]


def check(got, wanted, references, exits, end="HPA 0x"):
    status, last, explanation = got
    if status:
        return [f"status {status}: {last}"]
    problems = []
    start = f"{references} references, {exits} exits, {end}"
    if not last.startswith(start):
        problems.append(f"last line {last!r}, wanted {start!r}")
    return problems + compare("step", explanation, wanted)


def check_back(got, address, wanted, leaf):
    """The read of the entry, and B beside C. @leaf: what the guest's entry must say."""
    explanation = got[2]
    mode, back, guest = (explanation[key] for key in ("mode", "read_back", "guest_entry"))
    if back["state"] != "done":
        return [f"read back: {back['state']}"]
    problems = compare("step of the read", back, wanted)
    if int(back["gva"], 16) != address % 2**64:
        problems.append(f"read at {back['gva']}, wanted {address:#x}")
    if back["exits"] != sum(step.startswith("exit") for step in wanted):
        problems.append(f"{back['exits']} exits of the read")
    if mode == "brute" and not back["exits"]:
        problems.append("a read in brute without an exit")
    if back["entry"] != guest["entry"]:
        problems.append(f"the guest sees {back['entry']}, it has {guest['entry']}")
    for key, value in leaf.items():
        if guest[key] != value:
            problems.append(f"the guest's entry: {key} {guest[key]}, wanted {value}")
    hardware = explanation["hardware_entries"]
    tables = [entry["table"] for entry in hardware]
    if tables != {"bare": ["guest"], "ept": ["guest", "EPT"]}.get(mode, [mode]):
        return problems + [f"hardware entries in {tables}"]
    if mode in ("bare", "ept"):
        same = [key for key in guest if key != "hpa" and guest[key] != hardware[0][key]]
        problems += [f"the guest's entry and the hardware's differ in {key}" for key in same]
    if "hpa" in explanation and mode != "bare":
        page = int(hardware[-1]["maps"], 16)
        if not page <= int(explanation["hpa"], 16) < page + (1 << 12 + 9 * (hardware[-1]["level"] - 1)):
            problems.append(f"HPA {explanation['hpa']} is not in the page at {page:#x}")
        if hardware[-1]["maps"] == guest["maps"]:
            problems.append("guest and hardware mean the same page")
    return problems


class Tap:
    def __init__(self):
        self.number = 0

    def check(self, name, problems):
        self.number += 1
        print(f"{'not ok' if problems else 'ok'} {self.number} - {name}")
        for problem in problems:
            print(f"#  {problem}")


def in_bare(gva, page, *options, levels=4, backing="4k"):
    """The guest's side of the walk, and what is wrong with it."""
    got = explain("bare", *options)
    wanted = [f"guest {level} {index(gva, level)}"
              for level in range(levels, LEAF[page] - 1, -1)]
    problems = check(got, wanted, len(wanted), 0)
    if problems:
        return None, problems
    entries = [(s["level"], s["index"], int(s["gpa"], 16))
               for s in got[2]["steps"] if s["kind"] == "reference"]
    return Walk(entries, int(got[2]["hpa"], 16), levels, backing), []


def references(steps):
    return sum(1 for step in steps if step.split()[0] in ("guest", "ept", "shadow", "brute"))


def test_default(tap):
    gva = 0x1234
    walk, problems = in_bare(gva, "4k")
    tap.check("explain in bare", problems)
    if not walk:
        return
    # The page of 0x400000 is mapped by a 2M entry beside that of 0x1234's table, whose PDPTE is
    # cached.
    entry, address = {"level": 1, "index": 1, "gpa": "0x400008", "maps": "0x401000",
                      "entry": "0x401063", "flags": ["P", "W", "A", "D"]}, 0x400008
    guest = ["reads guest 4 0", "reads guest 3 0", "reads guest 2 2"]
    back = {"bare": ["guest 2 2"],
            "shadow": ["shadow 2 2", "shadow 1 0"],
            "brute": ["brute 2 2", "brute 1 0", "failed", "exit page_fault", *guest],
            "ept": ["guest 2 2", "ept 1 0"]}
    steps = {"bare": walk.guest(), "shadow": walk.shadow(gva), "brute": walk.shadow(gva, "brute"),
             "ept": walk.two_dimensional()}
    for mode, number in zip(MODES, (4, 4, 4, 24)):
        got = explain(mode)
        tap.check(f"explain in {mode}: {number} references, then the entry read back",
                  check(got, steps[mode], number, 0) + check_back(got, address, back[mode], entry))
        if mode != "bare" and f"0x{walk.target:x}" == got[2]["hpa"]:
            tap.check("the host-physical address is another", ["it is the guest-physical one"])

    again = ["shadow 2 2", "failed", "exit page_fault", *guest, "reads shadow 4 0", "reads shadow 3 0", "reads shadow 2 2",
             "writes shadow 2 2", "writes shadow 1 0",
             "shadow 4 0", "shadow 3 0", "shadow 2 2", "shadow 1 0"]
    back["shadow"] = again
    back["brute"] = ["brute 2 2", *again[1:6]]
    steps["shadow"] = walk.shadow_first_touch(gva)
    steps["brute"] = walk.shadow_first_touch(gva, "brute")
    steps["ept"], exits = walk.first_touch()
    for mode, exits in zip(MODES, (0, 1, 1, exits)):
        got = explain(mode, "--first-touch")
        tap.check(f"explain in {mode}, first touch: {exits} exits",
                  check(got, steps[mode], references(steps[mode]), exits) +
                  check_back(got, address, back[mode], entry))
    tap.check("the first touch in ept is 5 exits", [] if exits == 5 else [f"by hand {exits}"])


def test_all(tap):
    """--mode all is each of them, in the order of their table."""
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        done = subprocess.run([UMBRA, "explain", "--mode", "all", "--json", result.name],
                              capture_output=True, text=True, timeout=60, check=True)
        every = json.load(open(result.name, encoding="utf-8"))["explanations"]
    tap.check("explain in all modes explains each as by itself",
              [] if every == [explain(mode)[2] for mode in MODES] else ["they differ"])
    seen = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("    B ")]
    used = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("    C ")]
    problems = []
    if len(seen) != 4 or set(seen) != {"0x0000000000401063"}:
        problems.append(f"the guest sees {seen}")
    if len(used) != 5 or used[0] != seen[0] or used[3] != seen[0] or seen[0] in (*used[1:3], used[4]):
        problems.append(f"the hardware uses {used}")
    tap.check("the guest sees one B in all modes, the hardware uses a C of its own", problems)


def test_not_present(tap):
    """An address that the guest's topmost table does not map: a page fault in every mode."""
    gva = 8 << 39
    _, _, explanation = explain("bare", "--gva", hex(gva))
    gpa = int(explanation["guest_entry"]["gpa"], 16)
    guest = [f"guest 4 {index(gva, 4)}"]
    ept = [f"ept {level} {index(gpa, level)}" for level in (4, 3, 2, 1)]
    wanted = {"bare": (guest + ["failed"], 1, 0), "ept": (ept + guest + ["failed"], 5, 0)}
    for mode in ("brute", "shadow"):
        wanted[mode] = ([f"{mode} 4 {index(gva, 4)}", "failed", "exit page_fault",
                         f"reads {guest[0]}"], 1, 1)
    for mode in MODES:
        steps, number, exits = wanted[mode]
        got = explain(mode, "--gva", hex(gva))
        problems = check(got, steps + ["fault"], number, exits, "page fault")
        if not problems:
            entry, hardware = got[2]["guest_entry"], got[2]["hardware_entries"]
            if got[2]["steps"][-1]["error_code"] != 2:
                problems.append(f"error code {got[2]['steps'][-1]['error_code']}, wanted 2 (W)")
            if got[2]["read_back"]["entry"] != "0x0" or "maps" in entry or entry["level"] != 4:
                problems.append(f"the guest's entry {entry}")
            if [e["entry"] for e in hardware] != ["0x0"]:
                problems.append(f"the hardware's entries {hardware}")
            if (got[2]["read_back"]["exits"] == 1) != (mode == "brute"):
                problems.append(f"{got[2]['read_back']['exits']} exits of the read")
        tap.check(f"explain in {mode} an address that is not present", problems)


# 32-bit code for CPL 3 under 2-level paging (SDM 3A 4.3): a page table at 0x201000 maps 4 MiB to
# themselves for all, but 0x300000 for the supervisor alone; the page directory is at 0x200000.
USER = ("bc00002800 bf00102000 b807000000 b900040000 ab 0500100000 e2f8"  # stack, the page table
        "c7050000200007102000 8025001c2000fb"     # the page directory; U of 0x300000 clear
        "%s"
        "b800002000 0f22d8 0f20c0 0d00000180 0f22c0"              # CR3; CR0.PG and CR0.WP
        "0f0115%s 6a23 6800002800 6a02 6a1b 68%s cf ebfe")        # LGDT, IRET to a loop in user mode
# ... and the tables themselves are mapped nowhere.
HIDE = "c7050018200000000000 c7050418200000000000"


def user_image(place, hide):
    gdt = ("0000000000000000 0000000000000000 0000000000000000 ffff000000facf00 ffff000000f2cf00")
    fill = (HIDE if hide else "", "00000000", "00000000")
    size = len(bytes.fromhex(USER % fill))
    start = 0x100060

    def word(value):
        return value.to_bytes(4, "little").hex()

    code = USER % (fill[0], word(start + size + 40), word(start + size - 2))
    code = bytes.fromhex(code) + bytes.fromhex(gdt) + (39).to_bytes(2, "little") + \
        (start + size).to_bytes(4, "little")
    path = os.path.join(place, "hidden" if hide else "user")
    with open(path, "wb") as file:
        file.write(images.multiboot(code))
    return path


def test_user(tap, place):
    """A guest at CPL 3, in paging with entries of 4 bytes, of which shadow tables have 8."""
    limit = ("--max-instructions", "5000")
    path = user_image(place, False)
    gva, pd, pt = 0x123456, 0x200000, 0x201000 + 4 * 0x123
    guest = [f"guest 2 0", f"guest 1 {0x123}"]
    two = []
    for gpa, entry in ((pd, guest[0]), (pt, guest[1]), (gva, None)):
        two += [f"ept {level} {index(gpa, level)}" for level in (4, 3, 2, 1)]
        two += [entry] if entry else []
    wanted = {"bare": guest, "ept": two}
    for mode in ("brute", "shadow"):
        wanted[mode] = [f"{mode} 2 0", f"{mode} 1 {0x123}"]
    for mode in MODES:
        got = explain(mode, "--gva", hex(gva), *limit, path)
        problems = check(got, wanted[mode], len(wanted[mode]), 0)
        if not problems:
            back = got[2]["read_back"]
            entry = {"level": 1, "index": 0x123, "gpa": hex(pt), "entry": "0x123067",
                     "maps": "0x123000", "flags": ["P", "W", "U", "A", "D"]}
            steps = [text for text in map(words, back.get("steps", [])) if text]
            problems += check_back(got, pt, steps, entry)
            if (back["exits"] == 1) != (mode == "brute"):
                problems.append(f"{back['exits']} exits of the read")
        tap.check(f"explain in {mode} a write at CPL 3, 2-level paging", problems)

    gva = 0x300000  # P and U in the error code: the page is there, and not for a user
    for mode in MODES:
        got = explain(mode, "--gva", hex(gva), "--access", "r", *limit, path)
        if mode in ("bare", "ept"):
            steps = ["guest 2 0", "guest 1 768", "failed", "fault"]
            nested = [[f"ept {level} {index(gpa, level)}" for level in (4, 3, 2, 1)]
                      for gpa in (pd, 0x201000 + 4 * 768)]
            if mode == "ept":
                steps = nested[0] + steps[:1] + nested[1] + steps[1:]
        else:
            steps = [f"{mode} 2 1", f"{mode} 1 256", "failed", "exit page_fault",
                     "reads guest 2 0", "reads guest 1 768", "fault"]
        problems = check(got, steps, references(steps), int(mode in ("brute", "shadow")),
                         "page fault")
        if not problems and got[2]["steps"][-1]["error_code"] != 5:
            problems.append(f"error code {got[2]['steps'][-1]['error_code']}, wanted 5 (P U)")
        tap.check(f"explain in {mode} a supervisor's page at CPL 3", problems)

    path = user_image(place, True)
    for mode in MODES:
        got = explain(mode, "--gva", "0x123456", *limit, path)
        problems = check(got, wanted[mode], len(wanted[mode]), 0)
        if not problems:
            if got[2]["read_back"] != {"state": "unmapped"}:
                problems.append(f"read back {got[2]['read_back']}")
            if got[2]["guest_entry"]["entry"] != "0x123067":
                problems.append(f"the guest's entry {got[2]['guest_entry']}")
        tap.check(f"explain in {mode} a guest whose tables are mapped nowhere", problems)


def test_no_ram(tap, place):
    """Where a device answers, or nobody, there is no host-physical address and no fault either."""
    path = os.path.join(place, "unpaged")
    with open(path, "wb") as file:
        file.write(images.multiboot(bytes.fromhex("ebfe")))
    limit = ("--max-instructions", "10", "--access", "r", path)
    for mode in MODES:
        # docs/paging.md: a device is an exit each time, where there is a VMM.
        got = explain(mode, "--gva", "0xfee00020", *limit)
        exits = {"bare": [], "ept": ["ept_misconfiguration"]}.get(mode, ["page_fault"])
        problems = [] if got[0] == 0 else [got[1]]
        if not problems:
            steps = got[2]["steps"]
            if [step["reason"] for step in steps if step["kind"] == "exit"] != exits:
                problems.append(f"steps {steps}")
            if steps[-1] != {"kind": "device", "gpa": "0xfee00020"} or "hpa" in got[2]:
                problems.append(f"it ends with {steps[-1]}")
            if not got[1].endswith(f"{len(exits)} exits, device at GPA 0xfee00020"):
                problems.append(got[1])
        tap.check(f"explain in {mode} a device's memory", problems)
        got = explain(mode, "--gva", "0xf0000000", *limit)
        tap.check(f"explain in {mode} what nobody answers",
                  [] if got[0] == 0 and got[1].endswith(" 0 exits, nobody there") and
                  got[2]["steps"][-1] == {"kind": "nobody"} and "hpa" not in got[2] else [got[1]])


def test_unpaged(tap, place):
    """Before the guest pages there is no entry of its own to read."""
    path = os.path.join(place, "unpaged")
    with open(path, "wb") as file:
        file.write(images.multiboot(bytes.fromhex("ebfe")))
    for mode, number in zip(MODES, (0, 4, 4, 4)):
        got = explain(mode, "--gva", "0x123456", "--max-instructions", "10", path)
        problems = [f"status {got[0]}: {got[1]}"] if got[0] else []
        if not problems:
            tables = [entry["table"] for entry in got[2]["hardware_entries"]]
            if got[2]["read_back"] != {"state": "no_tables"} or "guest_entry" in got[2]:
                problems.append(f"{got[2]['read_back']}")
            if got[2]["references"] != number:
                problems.append(f"{got[2]['references']} references, wanted {number}")
            if tables != {"bare": [], "ept": ["EPT"]}.get(mode, [mode]):
                problems.append(f"hardware entries in {tables}")
        tap.check(f"explain in {mode} a guest that does not page", problems)


def test_large(tap):
    """Every page size of the guest on every backing, 4 levels on 4 and 5 on 5."""
    known = {("4k", "4k", 4): 24, ("2m", "4k", 4): 19, ("2m", "2m", 4): 15, ("4k", "2m", 4): 19,
             ("4k", "4k", 5): 35}
    gva = 0x40345678
    for levels in (4, 5):
        for page in LEAF:
            for backing in LEAF:
                options = ("--gva", hex(gva), "--guest-page", page, "--backing", backing,
                           "--levels", str(levels))
                g, h = levels - LEAF[page] + 1, levels - LEAF[backing] + 1
                number = (g + 1) * (h + 1) - 1
                if known.get((page, backing, levels), number) != number:
                    tap.check("the formula", [f"{page} on {backing}: {number}"])
                walk, problems = in_bare(gva, page, *options, levels=levels, backing=backing)
                if walk:
                    wanted = {"bare": walk.guest(), "brute": walk.shadow(gva, "brute"),
                              "shadow": walk.shadow(gva), "ept": walk.two_dimensional()}
                    entry = {"level": LEAF[page], "gpa": hex(walk.entries[-1][2])}
                    for mode in MODES:
                        steps, got = wanted[mode], explain(mode, *options)
                        bad = check(got, steps, references(steps), 0)
                        bad = bad or check_back(got, walk.back_address(gva),
                                                walk.read_back(mode, gva), entry)
                        problems += [f"{mode}: {problem}" for problem in bad]
                    if references(wanted["ept"]) != number:
                        problems.append(f"{references(wanted['ept'])} references in ept")
                    steps, exits = walk.first_touch()
                    problems += check(explain("ept", "--first-touch", *options), steps,
                                      references(steps), exits)
                tap.check(f"{page} on {backing}, {levels} levels: {g} in bare, {number} in ept",
                          problems)


def test_refusals(tap):
    status, text, _ = explain("ept", "--backing", "1g", "--memory", "64M")
    tap.check("memory is a multiple of the backing",
              [] if status == 64 and "multiple" in text else [f"{status}: {text}"])


def main():
    tap = Tap()
    test_default(tap)
    test_all(tap)
    test_large(tap)
    test_not_present(tap)
    with tempfile.TemporaryDirectory() as place:
        test_user(tap, place)
        test_unpaged(tap, place)
        test_no_ram(tap, place)
    test_refusals(tap)
    print(f"1..{tap.number}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
