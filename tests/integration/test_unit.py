#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""umbrad.service and its user, as systemd's own tools see them."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

from daemon_fixture import run_tests

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
UNIT = "packaging/systemd/umbrad.service"
SYSUSERS = f"{SOURCE}/packaging/systemd/umbra.sysusers"
EXPOSURE_MAX = 2.0

folder = ""


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def unit_that_starts(text):
    """The unit with a program that is there, as a file of its right name."""
    path = os.path.join(folder, "umbrad.service")
    with open(path, "w", encoding="utf-8") as file:
        file.write(re.sub(r"^(Exec\w+=)\S+/umbrad", rf"\1{os.path.abspath('umbrad')}", text,
                          flags=re.M))
    return path


def unit():
    with open(UNIT, encoding="utf-8") as file:
        return file.read()


def complaints(text):
    done = run("systemd-analyze", "verify", "--man=no", unit_that_starts(text))
    return [line for line in done.stderr.splitlines() if "umbrad.service" in line]


def exposure(text):
    """What systemd-analyze security says, overall."""
    path = unit_that_starts(text)
    done = run("systemd-analyze", "security", "--offline=true", "--json=short", path)
    assert json.loads(done.stdout), done.stderr
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", path)
    return float(re.search(r"exposure level for umbrad.service: ([\d.]+)", done.stdout)[1])


def systemd_finds_nothing_wrong_with_the_unit():
    assert not complaints(unit()), complaints(unit())
    # It would say so.
    assert complaints(unit().replace("OOMPolicy=continue", "OOMPolicy=perhaps"))


def exposure_is_at_most_two():
    found = exposure(unit())
    print(f"# exposure {found}")
    assert found <= EXPOSURE_MAX
    assert exposure(re.sub(r"^(Protect|Private|Restrict)\w+=.*\n", "", unit(), flags=re.M)) > \
        EXPOSURE_MAX


def documentation_of_the_unit_is_installed():
    pages = re.findall(r"man:([\w.-]+)\((\d)\)", unit())
    assert pages
    for name, section in pages:
        assert os.path.exists(f"{SOURCE}/packaging/man/{name}.{section}"), name


def user_is_made_by_sysusers():
    os.makedirs(f"{folder}/etc", exist_ok=True)
    done = run("systemd-sysusers", f"--root={folder}", SYSUSERS)
    assert not done.returncode, done.stderr
    with open(f"{folder}/etc/passwd", encoding="utf-8") as file:
        assert re.search(r"^umbra:x:\d+:\d+:[^:]+:/var/lib/umbra:/usr/sbin/nologin$", file.read(),
                         re.M)
    with open(f"{folder}/etc/group", encoding="utf-8") as file:
        assert re.search(r"^umbra:x:\d+:$", file.read(), re.M)


if __name__ == "__main__":
    if not os.path.exists(UNIT):
        print("1..0 # SKIP this build is without libsystemd and has no unit")
        sys.exit(0)
    if not shutil.which("systemd-analyze"):
        print("1..0 # SKIP systemd-analyze (package systemd) is not installed")
        sys.exit(0)
    folder = tempfile.mkdtemp(prefix="umbra-unit-")
    try:
        run_tests((
            systemd_finds_nothing_wrong_with_the_unit,
            exposure_is_at_most_two,
            documentation_of_the_unit_is_installed,
            user_is_made_by_sysusers,
        ))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
