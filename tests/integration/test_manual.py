#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages are well-formed and know every option."""
import glob
import os
import re
import shutil
import subprocess
import sys

from daemon_fixture import (GUESTS, UMBRA, UMBRAD, Umbrad, endless, run_tests, shipped,
                            wait_for)

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
# Those that are made are in the build.
PAGES = sorted(glob.glob(f"{SOURCE}/packaging/man/*.[1-8]") + glob.glob("packaging/man/*.[1-8]"))


def mandoc_finds_nothing_wrong():
    assert PAGES
    for page in PAGES:
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], text=True,
                              capture_output=True, check=False)
        assert not done.returncode and not done.stdout, f"{page}: {done.stdout}{done.stderr}"


def formatted(name):
    """A page as a reader sees it, without overstrikes."""
    shown = subprocess.run(["mandoc", "-T", "ascii", f"{SOURCE}/packaging/man/{name}"],
                           capture_output=True, text=True, check=True).stdout
    return re.sub(".\b", "", shown)


def umbra_metrics_7_has_each_family():
    done = subprocess.run(["mandoc", "-T", "ascii", "packaging/man/umbra-metrics.7"],
                          capture_output=True, text=True, check=True)
    shown = re.sub(".\b", "", done.stdout)
    with Umbrad({"hello": shipped("hello", "")}) as umbrad:
        umbrad.wait_state("hello", "ended")
        text = umbrad.ask("/metrics", headers={"Accept": "application/openmetrics-text"}).body
    families = re.findall(r"^# TYPE (\w+) (\w+)$", text.decode(), re.M)
    assert len(families) > 30
    for name, kind in families:
        item = re.search(rf"^ +{name}\n(.*?\n)(?:\n|$)", shown, re.M | re.S)
        assert item and kind.capitalize() in item.group(1), (name, kind)


def pages_of_both_daemons_have_each_option():
    for program, page in ((UMBRAD, "umbrad.8"), ("./umbra-collect", "umbra-collect.8")):
        usage = subprocess.run([program, "--help"], capture_output=True, text=True,
                               check=True).stdout
        options = set(re.findall(r"--[a-z-]+", usage))
        assert "--config" in options
        missing = options - set(re.findall(r"--[a-z-]+", formatted(page)))
        assert not missing, missing


def umbrad_8_names_ids_that_messages_have():
    with open(f"{SOURCE}/daemon/log.h", encoding="utf-8") as file:
        known = set(re.findall(r'"([0-9a-f]{32})"', file.read()))
    named = set(re.findall(r"MESSAGE_ID=([0-9a-f]+)", formatted("umbrad.8")))
    assert named and named <= known, named


def pages_of_both_daemons_have_each_exit_status():
    with open(f"{SOURCE}/daemon/umbrad.h", encoding="utf-8") as file:
        statuses = dict(re.findall(r"(STATUS_\w+) = (\d+)", file.read()))
    used = set()
    for name in ("collect.c", "load.c"):
        with open(f"{SOURCE}/daemon/{name}", encoding="utf-8") as file:
            used |= set(re.findall(r"STATUS_\w+", file.read()))
    assert used == set(statuses), used
    for page, names in (("umbrad.8", statuses), ("umbra-collect.8", used)):
        section = formatted(page).split("EXIT STATUS")[1]
        for name in names:
            assert re.search(rf"^ +{statuses[name]} ", section, re.M), (page, name)


def verbs():
    """Each verb of umbra, with its options as its usage names them."""
    shown = subprocess.run([UMBRA, "--help"], capture_output=True, text=True, check=True).stdout
    names = re.findall(r"^  umbra ([a-z]+) ", shown, re.M)
    assert {"run", "guests", "translate"} <= set(names), shown
    for name in names:
        done = subprocess.run([UMBRA, name, "--help"], capture_output=True, text=True, check=True)
        yield name, set(re.findall(r"--[a-z-]+", done.stdout))


def umbra_1_has_each_verb_and_option():
    shown = formatted("umbra.1")
    options = set(re.findall(r"--[a-z-]+", shown))
    for verb, its in verbs():
        assert re.search(rf"^     {verb}\b", shown, re.M), verb
        assert its and its <= options, (verb, its - options)
    assert "--nonsense" not in options


def umbra_1_has_each_exit_status():
    with open(f"{SOURCE}/client/client.h", encoding="utf-8") as file:
        statuses = re.findall(r"CLIENT_\w+ = (\d+)", file.read())
    section = formatted("umbra.1").split("EXIT STATUS")[1]
    assert len(statuses) == 4, statuses
    for status in statuses + ["0", "65", "78", "120", "124"]:
        assert re.search(rf"^ +{status}\b", section, re.M), status


# What stands in the examples as if umbrad listened where it does by default.
UMBRA_AT = """umbra() {{
    verb=$1; shift
    case $verb in
    run|compare|explain) {umbra} $verb "$@" ;;
    *) {umbra} $verb --socket {socket} "$@" ;;
    esac
}}
"""


def umbra_1_examples_run():
    with open(f"{SOURCE}/packaging/man/umbra.1", encoding="utf-8") as file:
        examples = re.findall(r"^\$ (umbra .*)$", file.read(), re.M)
    used = {example.split()[1] for example in examples}
    missing = {verb for verb, _ in verbs()} - used - {"run"}
    assert not missing, missing
    phases = shipped("phases", "rounds=0 phases=1000 tlb=1500000 table=100000", memory="128M")
    with Umbrad({"gups": endless(mode="ept"), "phases": phases}) as umbrad:
        wait_for(lambda: umbrad.ask("/api/v1/guests/phases/decisions?limit=9")
                 .json()["decisions"][2:], 60)
        for example in examples:
            script = UMBRA_AT.format(umbra=UMBRA, socket=umbrad.socket) + example
            done = subprocess.run(["bash", "-o", "pipefail", "-c", script], cwd=GUESTS, text=True,
                                  capture_output=True, timeout=100, check=False)
            assert not done.returncode and done.stdout, (example, done)


if __name__ == "__main__":
    if not shutil.which("mandoc"):
        print("1..0 # SKIP mandoc is not installed")
        sys.exit(0)
    run_tests((
        mandoc_finds_nothing_wrong,
        umbra_metrics_7_has_each_family,
        umbra_1_has_each_verb_and_option,
        umbra_1_has_each_exit_status,
        umbra_1_examples_run,
        pages_of_both_daemons_have_each_option,
        pages_of_both_daemons_have_each_exit_status,
        umbrad_8_names_ids_that_messages_have,
    ))
