#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual pages are well-formed and know every option."""
import glob
import os
import re
import shutil
import subprocess
import sys

from daemon_fixture import UMBRAD, Umbrad, run_tests, shipped

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


def umbrad_8_has_each_option():
    usage = subprocess.run([UMBRAD, "--help"], capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"--[a-z-]+", usage))
    assert "--config" in options
    missing = options - set(re.findall(r"--[a-z-]+", formatted("umbrad.8")))
    assert not missing, missing


def umbrad_8_names_ids_that_messages_have():
    with open(f"{SOURCE}/daemon/log.h", encoding="utf-8") as file:
        known = set(re.findall(r'"([0-9a-f]{32})"', file.read()))
    named = set(re.findall(r"MESSAGE_ID=([0-9a-f]+)", formatted("umbrad.8")))
    assert named and named <= known, named


def umbrad_8_has_each_exit_status():
    with open(f"{SOURCE}/daemon/umbrad.h", encoding="utf-8") as file:
        statuses = re.findall(r"STATUS_\w+ = (\d+)", file.read())
    section = formatted("umbrad.8").split("EXIT STATUS")[1]
    assert statuses
    for status in statuses:
        assert re.search(rf"^ +{status} ", section, re.M), status


if __name__ == "__main__":
    if not shutil.which("mandoc"):
        print("1..0 # SKIP mandoc is not installed")
        sys.exit(0)
    run_tests((
        mandoc_finds_nothing_wrong,
        umbra_metrics_7_has_each_family,
        umbrad_8_has_each_option,
        umbrad_8_has_each_exit_status,
        umbrad_8_names_ids_that_messages_have,
    ))
