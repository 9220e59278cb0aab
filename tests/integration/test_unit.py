#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The units and their users, as systemd's own tools see them."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

from daemon_fixture import run_tests

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FOLDER = "packaging/systemd"
SYSUSERS = f"{SOURCE}/packaging/systemd/umbra.sysusers"
# The most that systemd-analyze may say of each.
EXPOSURE_MAX = {"umbrad": 2.0, "umbra-collect": 3.0}

folder = ""


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def unit_that_starts(name, text):
    """The unit with a program that is there, as a file of its right name."""
    path = os.path.join(folder, f"{name}.service")
    with open(path, "w", encoding="utf-8") as file:
        file.write(re.sub(rf"^(Exec\w+=)\S+/{name}", rf"\1{os.path.abspath(name)}", text,
                          flags=re.M))
    return path


def unit(name):
    with open(f"{FOLDER}/{name}.service", encoding="utf-8") as file:
        return file.read()


def complaints(name, text):
    done = run("systemd-analyze", "verify", "--man=no", unit_that_starts(name, text))
    return [line for line in done.stderr.splitlines() if f"{name}.service" in line]


def exposure(name, text):
    """What systemd-analyze security says, overall."""
    path = unit_that_starts(name, text)
    done = run("systemd-analyze", "security", "--offline=true", "--json=short", path)
    assert json.loads(done.stdout), done.stderr
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", path)
    return float(re.search(rf"exposure level for {name}.service: ([\d.]+)", done.stdout)[1])


def systemd_finds_nothing_wrong_with_the_units():
    for name in EXPOSURE_MAX:
        assert not complaints(name, unit(name)), complaints(name, unit(name))
        # It would say so.
        assert complaints(name, unit(name).replace("NoNewPrivileges=yes", "NoNewPrivileges=no?"))


def exposure_is_low():
    for name, limit in EXPOSURE_MAX.items():
        found = exposure(name, unit(name))
        print(f"# {name}: exposure {found}")
        assert found <= limit, name
        assert exposure(name, re.sub(r"^(Protect|Private|Restrict)\w+=.*\n", "", unit(name),
                                     flags=re.M)) > limit, name


def each_capability_has_its_reason():
    text = unit("umbra-collect")
    given = re.search(r"^CapabilityBoundingSet=(.*)$", text, re.M)[1].split()
    assert given and re.search(r"^AmbientCapabilities=(.*)$", text, re.M)[1].split() == given
    for capability in given:
        assert re.search(rf"^# {capability}: \w+", text, re.M), capability
    # And is one that the program keeps.
    with open(f"{SOURCE}/daemon/privileges.c", encoding="utf-8") as file:
        assert set(given) == set(re.findall(r"^\t(CAP_\w+),", file.read(), re.M)), given


def documentation_of_the_units_is_installed():
    for name in EXPOSURE_MAX:
        pages = re.findall(r"man:([\w.-]+)\((\d)\)", unit(name))
        assert pages, name
        for page, section in pages:
            assert os.path.exists(f"{SOURCE}/packaging/man/{page}.{section}"), page


def users_are_made_by_sysusers():
    os.makedirs(f"{folder}/etc", exist_ok=True)
    done = run("systemd-sysusers", f"--root={folder}", SYSUSERS)
    assert not done.returncode, done.stderr
    with open(f"{folder}/etc/passwd", encoding="utf-8") as file:
        users = file.read()
    assert re.search(r"^umbra:x:\d+:\d+:[^:]+:/var/lib/umbra:/usr/sbin/nologin$", users, re.M)
    assert re.search(r"^umbra-collect:x:\d+:\d+:[^:]+:/:/usr/sbin/nologin$", users, re.M), users
    with open(f"{folder}/etc/group", encoding="utf-8") as file:
        groups = file.read()
    for group, members in (("umbra", "umbra-collect"), ("umbra-collect", "")):
        assert re.search(rf"^{group}:x:\d+:{members}$", groups, re.M), groups


if __name__ == "__main__":
    if not os.path.exists(f"{FOLDER}/umbrad.service"):
        print("1..0 # SKIP this build is without libsystemd and has no units")
        sys.exit(0)
    if not shutil.which("systemd-analyze"):
        print("1..0 # SKIP systemd-analyze (package systemd) is not installed")
        sys.exit(0)
    folder = tempfile.mkdtemp(prefix="umbra-unit-")
    try:
        run_tests((
            systemd_finds_nothing_wrong_with_the_units,
            exposure_is_low,
            each_capability_has_its_reason,
            documentation_of_the_units_is_installed,
            users_are_made_by_sysusers,
        ))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
