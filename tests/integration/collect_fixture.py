# SPDX-License-Identifier: GPL-2.0-or-later
"""umbra-collect beside an umbrad, and processes that own VMs of KVM, for tests."""
import os
import re
import signal
import subprocess

from daemon_fixture import wait_for

COLLECT = os.path.abspath("umbra-collect")
OWNER = os.path.abspath("tests/integration/kvm_owner")


def cannot_run():
    """Why there are no VMs to watch here, as a skip; None: there are."""
    if not os.path.exists("/dev/kvm"):
        return "SKIP there is no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "SKIP /dev/kvm is not open to this user"
    if os.geteuid():
        return "SKIP umbra-collect needs to be root to see the VMs of others"
    return None


class Collect:
    """An umbra-collect that reports to @umbrad until the with block ends."""

    def __init__(self, umbrad, *options, wrapper=()):
        self.umbrad = umbrad
        self.command = [*wrapper, COLLECT, "--config", umbrad.config, *options]
        self.log_path = os.path.join(umbrad.directory, "collect.log")
        self.process = None

    def __enter__(self):
        with open(self.log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(self.command, stderr=log, stdin=subprocess.DEVNULL)
        return self

    def log(self):
        with open(self.log_path, encoding="utf-8") as file:
            return file.read()

    def wait_connected(self):
        def measured():
            if self.process.poll() is not None:
                raise AssertionError("umbra-collect ended: " + self.log())
            state = collectors(self.umbrad)["discovery"]["state"]
            return "umbra-collect" not in state
        wait_for(measured, 20)
        return self

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
        return self.process.wait(20)

    def __exit__(self, kind, value, trace):
        self.stop()
        if kind:
            print("# " + self.log().replace("\n", "\n# "))


class Owner:
    """A process with VMs of its own; @options as tests/integration/kvm_owner.c has them."""

    def __init__(self, *options, command_line=(), name=OWNER):
        self.process = subprocess.Popen([name, *options, "--", *command_line], text=True,
                                        executable=OWNER, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.vms = {}  # by index: descriptor
        self.threads = {}  # by index of the VM and id of the vCPU: thread
        self.read_until("ready")

    def read_until(self, word):
        """What it prints until it says so."""
        lines = []
        for line in self.process.stdout:
            line = line.strip()
            if line == word:
                return lines
            if line.startswith("error"):
                raise AssertionError(line)
            lines.append(line)
            vm = re.match(r"vm (\d+) fd (\d+)", line)
            vcpu = re.match(r"vcpu (\d+) (\d+) tid (\d+)", line)
            if vm:
                self.vms[int(vm[1])] = int(vm[2])
            if vcpu:
                self.threads[int(vcpu[1]), int(vcpu[2])] = int(vcpu[3])
        raise AssertionError(f"it ended before it said {word}")

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.read_until("ok")

    @property
    def pid(self):
        return self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.process.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def collectors(umbrad):
    """By name."""
    return {row["name"]: row for row in umbrad.ask("/api/v1/collectors").json()["collectors"]}


def observed(umbrad, pid=None):
    """The guests of other programs, or of one of them."""
    return [guest for guest in umbrad.ask("/api/v1/guests").json()["guests"]
            if guest["observed"] and pid in (None, guest["pid"])]


def wait_vms(umbrad, owner, count, seconds=10):
    """The VMs of @owner when they are @count."""
    def there():
        found = observed(umbrad, owner.pid)
        return found or True if len(found) == count else None
    found = wait_for(there, seconds)
    return [] if found is True else found
