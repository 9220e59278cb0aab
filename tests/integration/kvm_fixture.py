# SPDX-License-Identifier: GPL-2.0-or-later
"""Owners of VMs (kvm_owner) and what watches them (kvm_watch), and what both need of the host."""
import os
import queue
import re
import subprocess
import sys
import threading
import time

OWNER = os.path.abspath("tests/integration/kvm_owner")
WATCH = os.path.abspath("tests/integration/kvm_watch")
DEBUGFS = "/sys/kernel/debug"
SECONDS = 20  # generous: what is waited for comes at once, but on a busy machine


def skip_without_kvm():
    """Ends a test program that can test nothing, with the reason."""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError as error:
        print(f"1..0 # SKIP /dev/kvm: {error.strerror}")
        sys.exit(0)
    if os.geteuid():
        print("1..0 # SKIP only root may look into processes of others")
        sys.exit(0)


def with_debugfs():
    """Starts the program anew with a debugfs of its own, if there is none mounted."""
    if os.path.isdir(f"{DEBUGFS}/kvm"):
        return
    if os.environ.get("UMBRA_DEBUGFS"):
        print("1..0 # SKIP debugfs cannot be mounted, or has nothing of KVM")
        sys.exit(0)
    os.environ["UMBRA_DEBUGFS"] = "mounted"
    os.execvp("unshare", ["unshare", "--mount", "sh", "-c",
                          f'mount -t debugfs none {DEBUGFS}; exec "$@"', "sh",
                          sys.executable, *sys.argv])


class Program:
    """A program that answers each line with some and `ok` at last."""

    def __init__(self, arguments, **options):
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1, **options)
        self.lines = queue.Queue()
        self.seen = []  # all events so far
        self.events = []  # those that wait() has not looked at yet
        self.pending = 1  # answers that have not come to their end
        threading.Thread(target=self._read, daemon=True).start()
        self.start = self.answer()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def next(self, seconds=SECONDS):
        """The next line; None if there is none in this time."""
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            return None
        if line is None:
            raise AssertionError(f"{self.process.args[0]} ended, {self.process.wait()}")
        self.pending -= line in ("ok", "ready")
        if line.startswith(("found", "changed", "vanished")):
            self.seen.append(line)
            self.events.append(line)
        return line

    def answer(self):
        """All lines but events up to the answer's end."""
        lines = []
        while self.pending:
            line = self.next()
            assert line is not None, f"no answer from {self.process.args[0]}"
            assert not line.startswith("error"), line
            if line not in ("ok", "ready") and line not in self.events[-1:]:
                lines.append(line)
        return lines

    def say(self, line):
        """Says it and does not wait."""
        self.process.stdin.write(line + "\n")
        self.pending += 1

    def ask(self, line):
        """What is answered."""
        self.answer()
        self.say(line)
        return self.answer()

    def wait(self, pattern, seconds=SECONDS):
        """The match of the first event not yet seen that has it; None if none comes in time."""
        end = time.monotonic() + seconds
        while True:
            while self.events:
                if match := re.search(pattern, self.events.pop(0)):
                    return match
            if self.next(max(0, end - time.monotonic())) is None and time.monotonic() >= end:
                return None

    def descriptors(self):
        """How many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def kill(self):
        """At once."""
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()


class Owner(Program):
    """kvm_owner; `vms` has (fd, creator, {vcpu: tid}) of each VM it had made."""

    def __init__(self, *options, before=(), program=None, arguments=(), **popen):
        command = [*before, OWNER, *options, *(["--", *arguments] if arguments else [])]
        if program:
            popen.update(executable=OWNER)
            command = [program, *command[1:]]
        super().__init__(command, **popen)
        self.vms = self.parse(self.start)

    @staticmethod
    def parse(lines):
        """The VMs that these lines tell of."""
        vms = []
        for words in (line.split() for line in lines):
            if words[0] == "vm":
                vms.append((int(words[3]), int(words[5]), {}))
            elif words[0] == "vcpu":
                vms[-1][2][int(words[2])] = int(words[4])
        return vms

    def statistics(self, index=0):
        """{name: sum over the VM and its vCPUs} as the owner itself reads them."""
        sums = {}
        for words in (line.split() for line in self.ask(f"stats {index}")):
            assert words[0] == "stat", words
            at = 2 if words[1] == "vm" else 3
            value = sum(map(int, words[at + 1:]))
            sums[words[at]] = sums.get(words[at], 0) + value
        return sums


class Watch(Program):
    """kvm_watch."""

    def __init__(self, *options, before=(), **popen):
        super().__init__([*before, WATCH, *options], **popen)

    def __exit__(self, kind, *_):
        super().__exit__()
        assert kind or not self.process.returncode, f"kvm_watch ended with {self.process.returncode}"

    def wait_vm(self, pid, vcpus=None, what="found|changed", seconds=SECONDS):
        """What is told of a VM of @pid; with @vcpus as soon as it has these: {id: tid}."""
        tail = "" if vcpus is None else "".join(f" {i}:{t}" for i, t in sorted(vcpus.items()))
        return self.wait(rf"^({what}) (?P<number>\d+) pid {pid} fd (?P<fd>\d+) id (?P<id>\S+) "
                         rf"name (?P<name>\S*) process (?P<process>\S*) unit (?P<unit>\S*) "
                         rf"vcpus(?P<vcpus>{tail + '$' if vcpus is not None else '.*'})", seconds)

    def wait_vanished(self, number, seconds=SECONDS):
        """Its end is told."""
        return self.wait(rf"^vanished {number}$", seconds)

    def sample(self, number):
        """({figure: value}, {other: value}) of a round."""
        figures, others = {}, {}
        for words in (line.split() for line in self.ask("sample")):
            if words[0] in ("figure", "other") and words[1] == str(number):
                (figures if words[0] == "figure" else others)[words[2]] = int(words[3])
        return figures, others

    def states(self):
        """{collector: state}"""
        return dict(line.split(" ", 1) for line in self.ask("state")
                    if line.startswith(("discovery ", "kvm ")))
