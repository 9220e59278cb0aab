#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""umbra explain: the references of each walk, in their order, as the manual has them.

Where the guest's entries lie is taken from the walk in bare, which shows nothing else; the lists for
the other modes, with what the VMM does, are made from it by hand: four or five levels of EPT for
each of the guest's tables and once more for the page (SDM 3C 28.3), ended sooner by large pages.
"""
import json
import os
import subprocess
import sys
import tempfile

UMBRA = os.path.abspath("umbra")
os.environ["UMBRA_GUESTS"] = os.path.abspath("guests")

LEAF = {"4k": 1, "2m": 2, "1g": 3}


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

    def shadow(self, gva):
        """As large as the guest's page and its backing, and no guest table inside."""
        leaf = min(self.leaf, self.entries[-1][0])
        while leaf > 1 and any((gpa ^ self.target) >> (12 + 9 * (leaf - 1)) == 0
                               for _, _, gpa in self.entries):
            leaf -= 1
        return [f"shadow {level} {index(gva, level)}" for level in range(self.levels, leaf - 1, -1)]

    def shadow_first_touch(self, gva):
        """One page fault: the VMM walks the guest's tables (SDM 3C 32.3.4), links and fills."""
        steps = [f"shadow 4 {index(gva, 4)}", "failed", "exit page_fault"]
        steps += [f"reads {entry}" for entry in self.guest()]
        for level in range(4, 1, -1):
            steps += [f"reads shadow {level} {index(gva, level)}",
                      f"writes shadow {level} {index(gva, level)}"]
        return steps + [f"writes shadow 1 {index(gva, 1)}"] + self.shadow(gva)


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


def steps_of(explanation):
    return [text for text in map(words, explanation["steps"]) if text]


def check(got, wanted, references, exits):
    status, last, explanation = got
    if status:
        return [f"status {status}: {last}"]
    problems = []
    start = f"{references} references, {exits} exits, HPA 0x"
    if not last.startswith(start):
        problems.append(f"last line {last!r}, wanted {start!r}")
    steps = steps_of(explanation)
    if steps != wanted:
        at = next((i for i, pair in enumerate(zip(steps, wanted)) if pair[0] != pair[1]),
                  min(len(steps), len(wanted)))
        problems.append(f"step {at}: {steps[at:at + 3]}, by hand {wanted[at:at + 3]}")
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
    return sum(1 for step in steps if step.split()[0] in ("guest", "ept", "shadow"))


def test_default(tap):
    gva = 0x1234
    walk, problems = in_bare(gva, "4k")
    tap.check("explain in bare", problems)
    if not walk:
        return
    tap.check("explain in shadow", check(explain("shadow"), walk.shadow(gva), 4, 0))
    tap.check("explain in ept", check(explain("ept"), walk.two_dimensional(), 24, 0))
    if f"0x{walk.target:x}" == explain("ept")[2]["hpa"]:
        tap.check("the host-physical address is another", ["it is the guest-physical one"])
    touch = "--first-touch"
    tap.check("explain in bare, first touch",
              check(explain("bare", touch), walk.guest(), 4, 0))
    tap.check("explain in shadow, first touch",
              check(explain("shadow", touch), walk.shadow_first_touch(gva), 5, 1))
    steps, exits = walk.first_touch()
    tap.check("explain in ept, first touch",
              check(explain("ept", touch), steps, references(steps), exits))
    tap.check("the first touch in ept is 5 exits", [] if exits == 5 else [f"by hand {exits}"])


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
                    problems += check(explain("ept", *options), walk.two_dimensional(), number, 0)
                    steps, exits = walk.first_touch()
                    problems += check(explain("ept", "--first-touch", *options), steps,
                                      references(steps), exits)
                    steps = walk.shadow(gva)
                    problems += check(explain("shadow", *options), steps, len(steps), 0)
                    problems += check(explain("brute", *options), steps, len(steps), 0)
                tap.check(f"{page} on {backing}, {levels} levels: {g} in bare, {number} in ept",
                          problems)


def test_refusals(tap):
    status, text, _ = explain("ept", "--backing", "1g", "--memory", "64M")
    tap.check("memory is a multiple of the backing",
              [] if status == 64 and "multiple" in text else [f"{status}: {text}"])


def main():
    tap = Tap()
    test_default(tap)
    test_large(tap)
    test_refusals(tap)
    print(f"1..{tap.number}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
