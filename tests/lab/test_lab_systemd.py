#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Both units, as make install leaves them, under Debian's systemd as the first process of the lab."""
import json
import os
import re
import shutil
import sys
import tempfile

import systemd_lab  # first: it finds the modules of tests/integration
from daemon_fixture import run_tests, wait_for
from qemu_lab import Lab

LAB = None
# The most that `systemd-analyze security` may say of each.
UNITS = {"umbrad": 2.0, "umbra-collect": 3.0}


def systemd_runs():
    assert LAB.sh("cat /proc/1/comm").strip() == "systemd"
    assert LAB.sh("systemctl is-system-running").strip() == "running"
    print(f"# {LAB.console().splitlines()[-1]}")


def both_units_start():
    LAB.sh("systemd-sysusers")
    for unit in UNITS:
        LAB.sh(f"systemctl start {unit}")
        shown = LAB.sh(f"systemctl show --property=ActiveState,NRestarts {unit}")
        assert "ActiveState=active" in shown and "NRestarts=0" in shown, shown


def sandboxes_are_tight():
    for unit, limit in UNITS.items():
        text = LAB.sh(f"systemd-analyze security --no-pager {unit}")
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", text)
        print(f"# {unit}: {found[1]}")
        assert float(found[1]) <= limit, text


def collectors():
    return {one["name"]: one["state"] for one in json.loads(LAB.sh(
        "wget -q -O - http://127.0.0.1:8642/api/v1/collectors"))["collectors"]}


def every_collector_measures_or_names_the_reason_of_the_host():
    """The emulated processor counts no events; all else is there."""
    def told():
        states = collectors()
        return all(not state.startswith("unsupported: umbra-collect") for state in states.values()
                   ) and states
    states = wait_for(told, 30)
    print(f"# {states}")
    events = states.pop("perf_event")
    # Debian's kernel has a level at which more is needed than the unit gives.
    assert events.startswith("denied: ") and "kernel.perf_event_paranoid is 3" in events, events
    assert all(state == "ok" for state in states.values()), states
    LAB.sh("sysctl -w kernel.perf_event_paranoid=2 && systemctl restart umbra-collect")

    def allowed():
        events = collectors()["perf_event"]
        return None if "umbra-collect" in events or events.startswith("denied: ") else events
    events = wait_for(allowed, 30)
    print(f"# {events}")
    assert events.startswith("unsupported: this machine offers no counters"), events


def own_guest_runs_on_kvm_inside_the_sandbox():
    image = LAB.sh("ls /usr/share/umbra/guests/gups.elf /usr/local/share/umbra/guests/gups.elf "
                   "2>/dev/null; true").strip()
    LAB.sh("mkdir -p /etc/umbra/umbra.conf.d")
    LAB.put("/etc/umbra/umbra.conf.d/own.conf",
            f"[guest own]\nengine = kvm\nimage = {image}\n"
            # Little memory: its hash at the end takes an emulated processor long.
            "append = rounds=1 pages=64\nmemory = 16M\n".encode())
    LAB.sh("systemctl restart umbrad")

    def ended():
        own = json.loads(LAB.sh("wget -q -O - http://127.0.0.1:8642/api/v1/guests/own"))
        return own if own["state"] in ("ended", "failed") else None
    own = wait_for(ended, 60)
    assert own["engine"] == "kvm" and own["mode"] == "ept", own
    assert own["end"]["reason"] == "debug_exit" and own["end"]["value"] == 0, own["end"]


def why_not():
    """Why it cannot run here, or None."""
    if not os.path.exists("packaging/systemd/umbrad.service"):
        return "this build is without libsystemd and has no units"
    for tool in (systemd_lab.image.QEMU, "dpkg-query"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    return None


def main():
    global LAB  # pylint: disable=global-statement
    if reason := why_not():
        print(f"1..0 # SKIP {reason}")
        return
    with tempfile.TemporaryDirectory(prefix="umbra-lab-") as folder:
        with Lab(systemd_lab.make_image(folder), npt=1, memory="2G") as LAB:
            run_tests((
                systemd_runs,
                both_units_start,
                sandboxes_are_tight,
                every_collector_measures_or_names_the_reason_of_the_host,
                own_guest_runs_on_kvm_inside_the_sandbox,
            ))


if __name__ == "__main__":
    sys.exit(main())
