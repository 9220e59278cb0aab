#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of costs: what they change, what is said of them and of processors without figures."""
import json
import os
import subprocess
import sys
import tempfile

from tap import Tap

UMBRA = os.path.abspath("umbra")
CHURN = os.path.abspath("guests/churn.elf")
os.environ["UMBRA_GUESTS"] = os.path.abspath("guests")


def umbra(arguments):
    return subprocess.run([UMBRA, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=120, check=False)


class Place:
    def __init__(self, directory):
        self.directory = directory
        self.number = 0

    def costs(self, text):
        """A new file of costs."""
        self.number += 1
        path = os.path.join(self.directory, f"costs-{self.number}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def run(self, *options, verb="run"):
        """What it said, and its JSON. The clock counts instructions: costs change no run."""
        path = os.path.join(self.directory, "run.json")
        arguments = ["--json", path, "--clock", "instructions", "--append", "rounds=4", *options]
        done = umbra([verb, *arguments, CHURN])
        if done.returncode:
            raise RuntimeError(f"{verb} {options}: status {done.returncode}: {done.stderr}")
        with open(path, encoding="utf-8") as file:
            return done, json.load(file)


def doubling_exit_doubles_exit_cycles(place):
    """With handling for nothing, exit cycles are exits times their cost."""
    free = "".join(f"{name} = 0\n" for name in
                   ("shadow_fill", "table_write", "ept_violation", "reflect_fault", "shadow_unsync",
                    "shadow_sync"))
    problems = []
    for mode in "shadow", "ept":
        _, once = place.run("--mode", mode, "--costs",
                            place.costs(f"[general]\n{free}exit = 1300\n"))
        _, twice = place.run("--mode", mode, "--costs",
                             place.costs(f"[general]\n{free}exit = 2600\n"))
        exits = sum(once["exits"].values())
        if not exits or once["exits"] != twice["exits"]:
            problems.append(f"{mode}: exits {once['exits']}, then {twice['exits']}")
        if once["exit_cycles"] != 1300 * exits or twice["exit_cycles"] != 2600 * exits:
            problems.append(f"{mode}: {exits} exits, {once['exit_cycles']} exit cycles, then "
                            f"{twice['exit_cycles']}")
        if twice["cycles"] - once["cycles"] != 1300 * exits:
            problems.append(f"{mode}: {once['cycles']} cycles, then {twice['cycles']}")
    return problems


def figures_are_reported_with_their_origin(place):
    path = place.costs("[general]\nexit = 7\ninvlpg = 8\n[zen2]\nexit = 9\n")
    done, run = place.run("--mode", "ept", "--processor", "zen2", "--costs", path)
    wanted = {"exit": {"cycles": 9, "default": 1300, "origin": f"{path}, line 5"},
              "invlpg": {"cycles": 8, "default": 120, "origin": f"{path}, line 3"}}
    costs = run["costs"]
    problems = []
    if costs["figures"] != wanted or costs["processor"] != "zen2" or costs["calibrated"]:
        problems.append(f"costs {costs}")
    if f"2 from {path}" not in done.stderr:
        problems.append(done.stderr)
    return problems


def other_processors_are_said_to_be_uncalibrated(place):
    problems = []
    done, run = place.run("--mode", "ept", "--processor", "zen2")
    wanted = f"costs of zen2: uncalibrated, {run['costs']['borrowed']} of "
    figures = run["costs"]["figures"]
    if run["costs"]["calibrated"] or not run["costs"]["borrowed"] or list(figures) != ["exit"] or \
            "VMRUN" not in figures["exit"]["origin"]:
        problems.append(f"costs {run['costs']}")
    said = {"run": done.stderr,
            "compare": place.run("--modes", "ept", "--processor", "zen2", verb="compare")[0].stdout,
            "explain": umbra(["explain", "--mode", "ept", "--processor", "zen2"]).stdout}
    for verb, text in said.items():
        if text.count(wanted) != 1 or text.count("uncalibrated") != 1:
            problems.append(f"{verb}: {text}")
    return problems


def the_default_has_nothing_to_say(place):
    done, run = place.run("--mode", "ept")
    problems = []
    if run["costs"] != {"processor": "skylake", "calibrated": True, "borrowed": 0, "figures": {}}:
        problems.append(f"costs {run['costs']}")
    for text in done.stderr, umbra(["explain", "--mode", "ept"]).stdout:
        if "calibrated" in text:
            problems.append(text)
    return problems


def explain_counts_cycles_by_the_file(place):
    """24 references of a walk with nothing cached, and the exits of a first touch."""
    path = place.costs("[general]\nwalk_reference = 1000\nexit = 0\nept_violation = 0\n")
    problems = []
    for options in [], ["--first-touch"]:
        with tempfile.NamedTemporaryFile(suffix=".json") as result:
            done = umbra(["explain", "--mode", "ept", "--costs", path, "--json", result.name,
                          *options])
            report = json.load(open(result.name, encoding="utf-8"))
        one = report["explanations"][0]
        writes = sum(step["kind"] == "accessed_dirty" for step in one["steps"])
        # Walk caches that a walk which failed has filled cost a cycle a hit.
        if one["cycles"] // 1000 != one["references"] + writes or \
                f"{one['cycles']} cycles" not in done.stdout:
            problems.append(f"{one['cycles']} cycles for {one['references']} references")
        if report["costs"]["figures"]["walk_reference"]["cycles"] != 1000:
            problems.append(f"costs {report['costs']}")
    return problems


def the_policy_estimates_by_the_file(place):
    """Exits for nothing: of the same run the other mode's estimate becomes cheaper."""
    estimates = []
    for cycles in 0, 1300:
        path = place.costs(f"[skylake]\nexit = {cycles}\n")
        _, run = place.run("--mode", "ept", "--interval", "100000", "--costs", path)
        estimates.append(sum(d["cost"]["shadow"]["cycles"] for d in run["decisions"]))
    return [] if 0 < estimates[0] < estimates[1] else [f"estimates {estimates}"]


def mistakes_are_named(place):
    problems = []
    cases = (("[general]\nexit = many\n", 78, 'line 2, [general] exit: "many": cycles'),
             ("[general]\nexits = 1\n", 78, 'line 2, [general] exits: "1": unknown key'),
             ("[pentium]\n", 78, "line 1, [pentium]: "))
    for verb in "run", "compare", "explain":
        for text, status, said in cases:
            path = place.costs(text)
            done = umbra([verb, "--costs", path, CHURN])
            if done.returncode != status or f"umbra {verb}: {path}: {said}" not in done.stderr:
                problems.append(f"{verb} {text!r}: status {done.returncode}: {done.stderr}")
        done = umbra([verb, "--costs", "/nonexistent/costs", CHURN])
        if done.returncode != 66 or "/nonexistent/costs" not in done.stderr:
            problems.append(f"{verb}: status {done.returncode}: {done.stderr}")
    done = umbra(["run", "--costs", "", CHURN])
    if done.returncode != 64:
        problems.append(f"no name: status {done.returncode}: {done.stderr}")
    return problems


TESTS = (doubling_exit_doubles_exit_cycles, figures_are_reported_with_their_origin,
         other_processors_are_said_to_be_uncalibrated, the_default_has_nothing_to_say,
         explain_counts_cycles_by_the_file, the_policy_estimates_by_the_file, mistakes_are_named)


def main():
    tap = Tap()
    print(f"1..{len(TESTS)}")
    with tempfile.TemporaryDirectory() as directory:
        for test in TESTS:
            tap.check(test.__name__.replace("_", " "), test(Place(directory)))
    sys.exit(1 if tap.failed else 0)


if __name__ == "__main__":
    main()
