#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
umbrad.service, as make install leaves it, under a real systemd: in a container (systemd-nspawn) that
boots the host's own files with what was installed laid over them.
"""
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from daemon_fixture import HALTED, run_tests, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
# Inside, the results are written here; outside, it is a directory that is thrown away.
OUT = "/out"
INSIDE_UNIT = "umbra-test.service"
UNITS = {
    INSIDE_UNIT: f"""[Service]
Type=oneshot
Environment=UMBRA_FULL={os.environ.get("UMBRA_FULL", "")}
ExecStart=/usr/bin/python3 {OUT}/{os.path.basename(__file__)} --inside
StandardOutput=file:{OUT}/tap
StandardError=file:{OUT}/errors
ExecStopPost=/bin/systemctl exit
""",
    # So that the test need not wait for what the unit's own figures say.
    "umbrad.service.d/test.conf": "[Service]\nWatchdogSec=2s\nRestartSec=100ms\n",
}
CONFIG = """[guest phases]
image = {guests}/phases.elf
append = rounds=0 phases=1000000

[guest gups]
image = {guests}/gups.elf
append = rounds=0
mode = ept
"""


def run(*words, check=True):
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=check).stdout


def show(name):
    """A property of the unit."""
    return run("systemctl", "show", "--value", f"--property={name}", "umbrad").strip()


def main_pid():
    return int(show("MainPID"))


def guests():
    found = json.loads(run("umbra", "guests", "--json"))["guests"]
    return {one["id"]: one for one in found}


def all_run():
    try:
        found = guests()
    except subprocess.CalledProcessError:
        return None
    return found if all(one["state"] == "running" for one in found.values()) else None


def processes_of_umbra():
    return [int(pid) for pid in run("pgrep", "-u", "umbra", check=False).split()]


def as_user(user, group, *words):
    return subprocess.run(("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups",
                           *words), capture_output=True, text=True, timeout=60, check=False)


def start_waits_until_requests_are_answered():
    run("systemd-sysusers")
    run("systemctl", "start", "umbrad")
    assert show("ActiveState") == "active"
    assert set(guests()) == {"phases", "gups"}


def guests_run_inside_all_restrictions():
    wait_for(all_run, 20)
    filters = {}
    for pid in processes_of_umbra():
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            status = file.read()
        assert re.search(r"^NoNewPrivs:\t1$", status, re.M), status
        filters[pid] = int(re.search(r"^Seccomp_filters:\t(\d+)$", status, re.M)[1])
        for which in ("Inh", "Prm", "Eff", "Bnd", "Amb"):
            assert re.search(rf"^Cap{which}:\t0+$", status, re.M), status
    # A worker's own filter comes on top of the unit's.
    of_umbrad = filters.pop(main_pid())
    assert of_umbrad > 0 and [count - of_umbrad for count in filters.values()] == [1, 1], filters
    for path, options in (("/usr", "ro"), ("/etc", "ro"), ("/home", "ro"), ("/tmp", "rw"),
                          ("/run/umbra", "rw"), ("/var/lib/umbra", "rw")):
        found = run("nsenter", f"--target={main_pid()}", "--mount", "findmnt", "--noheadings",
                    "--output=OPTIONS", f"--target={path}").split(",")
        assert found[0] == options, (path, found)


def status_has_the_guests_by_state():
    wait_for(lambda: show("StatusText") == "2 guests: 2 running", 20)


def group_umbra_may_change_guests_and_others_may_not():
    refused = as_user("nobody", "nogroup", "umbra", "mode", "gups", "shadow")
    assert refused.returncode, refused
    assert guests()["gups"]["mode"] == "ept"
    done = as_user("nobody", "umbra", "umbra", "mode", "gups", "shadow")
    assert not done.returncode, done
    assert guests()["gups"]["mode"] == "shadow"


def journal_is_found_by_guest_and_kind():
    def switched():
        run("journalctl", "--sync")
        lines = run("journalctl", "--unit=umbrad", "--output=json", "UMBRA_GUEST=gups",
                    "MESSAGE_ID=bcb26a979a1c4432beb52a976df88c15").splitlines()
        return [json.loads(line) for line in lines if line]
    found = wait_for(switched, 20)[-1]
    assert found["UMBRA_MODE"] == "shadow" and found["SYSLOG_IDENTIFIER"] == "umbrad", found
    assert "from ept to shadow" in found["MESSAGE"], found


def reload_starts_and_stops_guests_and_leaves_the_others():
    def main_file(change):
        with open("/etc/umbra/umbra.conf", encoding="utf-8") as file:
            text = file.read()
        with open("/etc/umbra/umbra.conf", "w", encoding="utf-8") as file:
            file.write(change(text))
        return text
    before, pid = guests(), main_pid()
    was = main_file(lambda text: text.replace("[guest phases]", "[guest other]"))
    run("systemctl", "reload", "umbrad")
    wait_for(lambda: set(guests()) == {"other", "gups"} and all_run(), 20)
    assert main_pid() == pid and guests()["gups"]["pid"] == before["gups"]["pid"]
    # What is wrong with a configuration is told to who reloads, and nothing changes.
    main_file(lambda text: text.replace("mode = ept", "mode = fast"))
    done = subprocess.run(("systemctl", "reload", "umbrad"), capture_output=True, check=False,
                          timeout=60)
    assert done.returncode
    run("journalctl", "--sync")
    told = run("journalctl", "--unit=umbrad")
    assert "fast" in told, told
    assert main_pid() == pid and set(guests()) == {"other", "gups"}
    main_file(lambda text: was)
    run("systemctl", "reload", "umbrad")
    wait_for(lambda: set(guests()) == {"phases", "gups"} and all_run(), 20)
    assert show("ActiveState") == "active" and show("NRestarts") == "0"


def hung_umbrad_is_restarted_and_its_workers_go():
    before, old = processes_of_umbra(), main_pid()
    os.kill(old, signal.SIGSTOP)
    wait_for(lambda: show("NRestarts") == "1" and show("ActiveState") == "active", 30)
    assert main_pid() != old
    wait_for(all_run, 20)
    assert not set(before) & set(processes_of_umbra())
    assert "watchdog" in run("journalctl", "--unit=umbrad", "--lines=50").lower()


def killed_umbrad_is_restarted_and_its_workers_go():
    before = processes_of_umbra()
    os.kill(main_pid(), signal.SIGKILL)
    wait_for(lambda: show("NRestarts") == "2" and show("ActiveState") == "active", 30)
    wait_for(all_run, 20)
    assert not set(before) & set(processes_of_umbra())


def what_operators_set_and_what_was_decided_outlives_it():
    gups = guests()["gups"]
    assert (gups["mode"], gups["policy_source"]) == ("shadow", "operator"), gups
    assert os.stat("/var/lib/umbra/journal.sqlite").st_uid == pwd.getpwnam("umbra").pw_uid
    run("journalctl", "--sync")
    assert not run("journalctl", "--unit=umbrad", "MESSAGE_ID=878fe3b9fdd6482f88b619232e0fa4cc",
                   "--output=cat")


def stop_leaves_nothing_running():
    assert len(processes_of_umbra()) == 3
    run("systemctl", "stop", "umbrad")
    assert show("Result") == "success" and show("ActiveState") == "inactive"
    assert not processes_of_umbra()
    assert not os.path.exists("/run/umbra")


def start_starts_umbra_collect_again_that_stop_has_stopped():
    run("systemctl", "enable", "umbra-collect")
    assert "umbra-collect.service" in show("Wants").split()
    run("systemctl", "disable", "umbra-collect")


def limits_are_enough_for_a_thousand_guests():
    """Counted with fewer, unless there is time for all of them."""
    count = 1000 if os.environ["UMBRA_FULL"] else 50
    with open("/var/lib/umbra/halted.elf", "wb") as file:
        file.write(HALTED)
    os.makedirs("/etc/umbra/umbra.conf.d")
    with open("/etc/umbra/umbra.conf.d/many.conf", "w", encoding="utf-8") as file:
        for number in range(count):
            file.write(f"[guest halted-{number}]\nimage = /var/lib/umbra/halted.elf\n"
                       "memory = 2M\n")
    run("systemctl", "start", "umbrad")
    found = wait_for(all_run, 120)
    assert len(found) == count + 2
    descriptors = len(os.listdir(f"/proc/{main_pid()}/fd"))
    threads = sum(len(os.listdir(f"/proc/{pid}/task")) for pid in processes_of_umbra())
    print(f"# {count + 2} guests: {descriptors} descriptors of umbrad, {threads} threads of all")
    for used, limit in ((descriptors, "LimitNOFILE"), (threads, "TasksMax")):
        assert used * 1000 / count < int(show(limit)) / 1.5, (limit, used)
    run("systemctl", "stop", "umbrad")
    assert not processes_of_umbra()
    shutil.rmtree("/etc/umbra/umbra.conf.d")


def wrong_configuration_is_told_and_not_tried_again():
    with open("/etc/umbra/umbra.conf", "a", encoding="utf-8") as file:
        file.write("speed = 9\n")
    done = subprocess.run(("systemctl", "start", "umbrad"), capture_output=True, check=False,
                          timeout=60)
    assert done.returncode
    assert show("ActiveState") == "failed" and show("ExecMainStatus") == "78"
    assert show("NRestarts") == "0"
    run("journalctl", "--sync")
    assert "speed" in run("journalctl", "--unit=umbrad", "--lines=20", "PRIORITY=3")


def inside():
    run_tests((
        start_waits_until_requests_are_answered,
        guests_run_inside_all_restrictions,
        status_has_the_guests_by_state,
        group_umbra_may_change_guests_and_others_may_not,
        journal_is_found_by_guest_and_kind,
        reload_starts_and_stops_guests_and_leaves_the_others,
        hung_umbrad_is_restarted_and_its_workers_go,
        killed_umbrad_is_restarted_and_its_workers_go,
        what_operators_set_and_what_was_decided_outlives_it,
        stop_leaves_nothing_running,
        start_starts_umbra_collect_again_that_stop_has_stopped,
        limits_are_enough_for_a_thousand_guests,
        wrong_configuration_is_told_and_not_tried_again,
    ))


def why_not():
    """Why it cannot run here, or None."""
    if not os.path.exists("packaging/systemd/umbrad.service"):
        return "this build is without libsystemd and has no unit"
    if os.geteuid():
        return "a container needs root"
    for tool in ("systemd-nspawn", "unshare"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    return None


def make(*words):
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")}
    return subprocess.run(("make", "-s", *words), env=environment, check=True, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout


def boot(folder):
    os.makedirs(f"{folder}/out")
    make("install", f"DESTDIR={folder}/add")
    for name, text in UNITS.items():
        path = f"{folder}/add/etc/systemd/system/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    places = dict(re.findall(r"^(pkgdatadir) = (.*)$", make("print-places"), re.M))
    with open(f"{folder}/add/etc/umbra/umbra.conf", "w", encoding="utf-8") as file:
        file.write(CONFIG.format(guests=f"{places['pkgdatadir']}/guests"))
    for name in os.listdir(HERE):
        if name.endswith(".py"):
            shutil.copy(f"{HERE}/{name}", f"{folder}/out")
    done = subprocess.run(("unshare", "--mount", f"{HERE}/service_boot.sh", folder, INSIDE_UNIT),
                          capture_output=True, text=True, timeout=300, check=False)
    try:
        with open(f"{folder}/out/tap", encoding="utf-8") as file:
            print(file.read(), end="")
        with open(f"{folder}/out/errors", encoding="utf-8") as file:
            sys.stderr.write(file.read())
    except FileNotFoundError:
        print(f"Bail out! the container did not boot: status {done.returncode}, {done.stdout}"
              f"{done.stderr}".replace("\n", " "))


if __name__ == "__main__":
    if "--inside" in sys.argv:
        inside()
    reason = why_not()
    if reason:
        print(f"1..0 # SKIP {reason}")
        sys.exit(0)
    place = tempfile.mkdtemp(prefix="umbra-boot-")
    try:
        boot(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
