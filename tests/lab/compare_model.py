#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds the model to reality: what the soft engine counts beside what KVM does with the same.

    compare_model.py COUNTS.json...     prints the tables; to be called in a build directory

A file of counts comes from a lab: {"kvm": "ept=1", "mode": "ept" or "shadow", "runs": [{"guest",
"append", "exits": {REASON: count}, "statistics": {NAME: value of KVM's own}}]}. Exit status 1:
something differs by more than a factor of 1.5 and EXPLAINED does not say why, or says so of what
does not differ.
"""
import json
import sys
import tempfile

from guest_runs import GUEST_RUNS, run

LIMIT = 1.5
# Fewer than this on both sides is how a guest starts, not what it does.
FEW = 20

# What is compared: where the soft engine's JSON has it, what KVM counts of it, in which mode.
ROWS = (
    ("loads of control registers", "cr_access", "exits", "cr_access", ("shadow", "ept")),
    ("INVLPG", "invlpg", "exits", "invlpg", ("shadow", "ept")),
    ("page faults that exit", "page_fault", "exits", "page_fault", ("shadow", "ept")),
    ("of these reflected", "reflected", "shadow", "pf_guest", ("shadow",)),
    ("of these writes to tables", "table_writes", "shadow", "pf_emulate", ("shadow",)),
    ("EPT violations", "ept_violation", "exits", "ept_violation", ("ept",)),
)

# (guest, row, KVM): why. A guest or KVM of None stands for all.
EXPLAINED = {
    ("forker", "of these writes to tables", None):
        "48 shadow pages are dropped in both, for their tables are cleared to be tables anew. KVM "
        "drops one at the first write of an instruction that it does not take for one that writes "
        "tables (STOS here), the model after four writes that it carried out.",
}


def explanation(guest, row, kvm):
    for key in ((guest, row, kvm), (guest, row, None), (None, row, kvm), (None, row, None)):
        if key in EXPLAINED:
            return EXPLAINED[key]
    return None


def differs(soft, kvm):
    if max(soft, kvm) < FEW:
        return False
    return not soft or not kvm or max(soft / kvm, kvm / soft) > LIMIT


def soft_value(report, row):
    _, name, section, _, _ = row
    return report[section].get(name, 0)


def kvm_value(counts, row):
    """None: this KVM does not tell."""
    _, _, section, name, _ = row
    if section == "exits":
        return counts["exits"].get(name, 0)
    return counts["statistics"].get(name)


def measure_soft(folder):
    """{(guest, mode): JSON of the run}, {guest: the line with its checksum}"""
    reports, said = {}, {}
    for mode in ("shadow", "ept"):
        for guest, append in GUEST_RUNS:
            said[guest], reports[guest, mode] = run("./umbra", ["--mode", mode], folder, guest,
                                                    append, "guests")
            if not said[guest].startswith("checksum "):
                raise RuntimeError(f"{guest}: {said[guest]}")
    return reports, said


def compare(reports, labs):
    """
    The tables in Markdown, and complaints. @labs: what the files of counts hold.
    """
    lines, complaints, notes = [], [], []
    for mode in ("shadow", "ept"):
        columns = [lab for lab in labs if lab["mode"] == mode]
        if not columns:
            continue
        lines += [f"| guest | what | soft, `{mode}` | " +
                  " | ".join(f"KVM, `{lab['kvm']}`" for lab in columns) + " |",
                  "|---|---|" + "---:|" * (1 + len(columns))]
        for guest, append in GUEST_RUNS:
            for row in ROWS:
                if mode not in row[4]:
                    continue
                soft = soft_value(reports[guest, mode], row)
                cells = []
                for lab in columns:
                    counts, = [counts for counts in lab["runs"]
                               if (counts["guest"], counts["append"]) == (guest, append)]
                    cell, complaint = judge(guest, row[0], lab["kvm"], soft,
                                            kvm_value(counts, row), notes)
                    cells.append(cell)
                    complaints += complaint
                if soft or any(cell.strip("0") for cell in cells):
                    lines.append(f"| `{guest}` | {row[0]} | {soft} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += [f"{number}. {text}" for number, text in enumerate(notes, 1)]
    return lines, complaints


def judge(guest, row, kvm, soft, value, notes):
    """A cell of the table, and complaints."""
    if value is None:
        return "not counted", [f"{guest}: {row}: {kvm} does not tell"]
    why = explanation(guest, row, kvm)
    if not differs(soft, value):
        return str(value), []
    ratio = f"{value / soft:.2f}x" if soft else "not in the model"
    if why is None:
        return f"{value} ({ratio}) ?", [f"{guest}: {row}: soft {soft}, {kvm} {value}: why?"]
    if why not in notes:
        notes.append(why)
    return f"{value} ({ratio}) [{notes.index(why) + 1}]", []


def check(tap, reports, labs):
    """Prints the tables and checks them."""
    lines, complaints = compare(reports, labs)
    print("# " + "\n# ".join(lines))
    tap.check("the model's exits are KVM's, or it is written down why not", complaints)


def main(paths):
    labs = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            labs += json.load(file)
    with tempfile.TemporaryDirectory(prefix="umbra-model-") as folder:
        lines, complaints = compare(measure_soft(folder)[0], labs)
    print("\n".join(lines))
    for complaint in complaints:
        print("unexplained: " + complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
