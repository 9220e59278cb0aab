#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""quickstart's guests do what it says of them within 60 s; all that it prints works; Ctrl-C stops all."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request

from daemon_fixture import is_alive, run_tests, wait_for

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SECONDS = int(os.environ.get("QUICKSTART_SECONDS", "60"))
GUESTS = ("phases", "gups", "churn", "careful")


class Quickstart:
    """A quickstart on a build that is made already, and what it printed."""

    def __init__(self, source, build, wrapper=()):
        environment = {key: value for key, value in os.environ.items()
                       if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")}
        self.process = subprocess.Popen(
            [*wrapper, f"{source}/quickstart", "--build", build, "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL)
        self.addresses, self.commands = [], []
        for line in self.process.stdout:
            if re.match(r"  http://", line):
                self.addresses.append(line.strip())
            elif re.match(r"  /", line):
                # A remark stands in parentheses behind blanks.
                self.commands.append(re.sub(r" {2,}\(.*", "", line.strip()))
            elif line.startswith("Ctrl-C"):
                break
        if not self.commands:
            raise AssertionError(f"quickstart ended with status {self.process.wait()}")
        self.directory = os.path.dirname(re.search(r"--socket (\S+)", self.commands[0])[1])

    def guests(self):
        with urllib.request.urlopen(self.addresses[0], timeout=20) as answer:
            return json.load(answer)["guests"]

    def guest(self, name):
        with urllib.request.urlopen(f"{self.addresses[0]}/{name}", timeout=20) as answer:
            return json.load(answer)

    def decided_often(self, name):
        """The guest after twenty decisions."""
        def often():
            found = self.guest(name)
            made = sum(one["count"] for one in found["decisions"])
            return found if made >= 20 else None
        return wait_for(often, SECONDS)

    def collectors(self):
        """The processes that measure VMs of other programs."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().decode(errors="replace").split("\0")
            except OSError:
                continue
            if words[0].endswith("/umbra-collect") and f"{self.directory}/umbra.conf" in words:
                found.append(int(pid))
        return found

    def interrupt(self):
        """As a terminal does it: to the whole group."""
        pids = [one["pid"] for one in self.guests() if not one["observed"]]
        assert len(pids) == len(GUESTS) and all(is_alive(pid) for pid in pids)
        pids += self.collectors()
        assert os.path.isdir(self.directory)
        os.killpg(self.process.pid, signal.SIGINT)
        assert self.process.wait(15) == 0
        assert not any(is_alive(pid) for pid in pids)
        assert not os.path.exists(self.directory)

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)


shown = None


def guest_that_changes_is_switched_both_ways_to_its_profit():
    def switched_and_paid():
        found = shown.guest("phases")
        ways = {(one["from"], one["to"]) for one in found["switches"]}
        paid = [one for one in found["decisions"]
                if one["action"] == "switch" and one["after"] and one["after"]["paid"] and
                one["after"]["cycles_per_instruction"] <
                one["after"]["cycles_per_instruction_before"]]
        return {("ept", "shadow"), ("shadow", "ept")} <= ways and paid
    wait_for(switched_and_paid, SECONDS)


def guest_that_misses_the_tlb_goes_to_shadow_and_stays():
    found = shown.decided_often("gups")
    assert [one["to"] for one in found["switches"]] == ["shadow"], found["switches"]
    assert not [one for one in found["decisions"] if one["action"] == "rollback"]


def guest_that_changes_its_tables_stays_in_ept():
    found = shown.decided_often("churn")
    assert found["mode"] == "ept" and not found["switches"], found["switches"]


def policy_that_only_advises_says_what_it_would_do():
    def advised():
        found = shown.guest("careful")
        return found if [one for one in found["decisions"] if one["reason"] == "advise"] else None
    found = wait_for(advised, SECONDS)
    assert found["mode"] == "ept" and not found["switches"], found["switches"]


def each_address_that_is_printed_answers():
    assert len(shown.addresses) >= 4, shown.addresses
    for address in shown.addresses:
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert answer.status == 200 and answer.read(), address


def each_command_that_is_printed_works():
    assert len(shown.commands) >= 9, shown.commands
    printed = {}
    for command in shown.commands:
        done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60,
                              check=False)
        assert not done.returncode and done.stdout, f"{command}: {done}"
        printed[command] = done.stdout
    # The number that quickstart names is that of the switch, which is the same in every run.
    why, = (text for command, text in printed.items() if "--explain" in command)
    assert "The guest was switched to shadow" in why, why
    advice, = (text for command, text in printed.items() if " advise " in command)
    for name in GUESTS:
        # One that was switched just now has no decision in its mode yet; one may be about to be.
        assert re.search(rf"^{name} .*\n? +(stay|switch|\w+ came on|the policy acts)", advice,
                         re.M), advice


def root_sees_vms_of_other_programs_where_there_is_kvm():
    if os.geteuid() or not os.path.exists("/dev/kvm"):
        assert not shown.collectors()
        return "SKIP not root, or no /dev/kvm"
    address, = (one for one in shown.addresses if one.endswith("/collectors"))

    def found():
        with urllib.request.urlopen(address, timeout=20) as answer:
            states = {one["name"]: one["state"] for one in json.load(answer)["collectors"]}
        return states["discovery"] == "ok" and states
    print(f"# {wait_for(found, 30)}")
    assert len(shown.collectors()) == 1
    owner = subprocess.Popen(["tests/integration/kvm_owner"], stdin=subprocess.PIPE,
                             stdout=subprocess.DEVNULL)
    wait_for(lambda: [one for one in shown.guests() if one["observed"] and
                      one["pid"] == owner.pid], 20)
    owner.communicate(timeout=20)
    wait_for(lambda: not [one for one in shown.guests() if one["observed"] and
                          one["pid"] == owner.pid], 20)
    return None


def interrupt_stops_all():
    shown.interrupt()


def copy_of_all(folder):
    """The source with this build, and no other, in it; where the build is then."""
    build = os.path.relpath(os.getcwd(), SOURCE).split("/")

    def ignored(place, names):
        others = {name for name in names if name in (".git", "__pycache__")}
        # Each folder on the way to this build may have others beside it.
        depth = 0 if place == SOURCE else len(os.path.relpath(place, SOURCE).split("/"))
        if depth < len(build) and os.path.join(SOURCE, *build[:depth]).rstrip("/") == place:
            others |= {name for name in names
                       if name != build[depth] and name != "build-aux" and
                       (name.startswith("build") or depth)}
        return others
    shutil.copytree(SOURCE, folder, symlinks=True, ignore=ignored)
    return os.path.join(folder, *build)


def ordinary_user_sees_the_guests_run():
    if os.geteuid():
        return "SKIP that is who ran the others"
    if not os.getcwd().startswith(SOURCE + "/"):
        return "SKIP this build is not below its source: it works where it is alone"
    folder = tempfile.mkdtemp(prefix="umbra-copy-")
    user = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    own = None
    try:
        build = copy_of_all(f"{folder}/umbra")
        subprocess.run(("chown", "-R", "nobody:", folder), check=True)
        own = Quickstart(f"{folder}/umbra", build, user)
        wait_for(lambda: all(one["state"] == "running" for one in own.guests()), SECONDS)
        # Its own user may use the socket.
        done = subprocess.run((*user, "sh", "-c", own.commands[-1]), capture_output=True,
                              text=True, timeout=60, check=False)
        assert not done.returncode, done
        own.interrupt()
    finally:
        if own:
            own.end()
        shutil.rmtree(folder, ignore_errors=True)
    return None


if __name__ == "__main__":
    try:
        shown = Quickstart(SOURCE, os.getcwd())
    except AssertionError as error:
        print(f"Bail out! {error}")
        sys.exit(1)
    try:
        run_tests((
            guest_that_changes_is_switched_both_ways_to_its_profit,
            guest_that_misses_the_tlb_goes_to_shadow_and_stays,
            guest_that_changes_its_tables_stays_in_ept,
            policy_that_only_advises_says_what_it_would_do,
            each_address_that_is_printed_answers,
            each_command_that_is_printed_works,
            root_sees_vms_of_other_programs_where_there_is_kvm,
            interrupt_stops_all,
            ordinary_user_sees_the_guests_run,
        ))
    finally:
        shown.end()
