# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs in the Bochs lab: real KVM of Intel, once with EPT and once with shadow paging.

Standard output is the report: TAP, and lines `counts JSON` for compare_model.py. /lab/plan.json
says what to run and what must come out. Times are those of the machine that Bochs is: they depend
on nothing else.
"""
import json
import os
import socket
import subprocess
import sys
import time

sys.path.insert(0, "/lab")

# pylint: disable=wrong-import-position
from guest_runs import run as run_guest
from kernel_exits import Exits
from tap import Tap

PARAMETER = "/sys/module/kvm_intel/parameters/ept"
QEMU = "/usr/bin/qemu-system-x86_64"
SOCKET = "/run/umbra/umbra.sock"
NAME = "a foreign VM"


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def until(what, seconds, interval=0.02):
    """Calls it until it answers something, for so long; the last answer."""
    end = time.monotonic() + seconds
    while not (answer := what()) and time.monotonic() < end:
        time.sleep(interval)
    return answer


class Events:
    """What KVM tells of VMs on the kernel's netlink socket (its uevents), with the time."""

    NETLINK_KOBJECT_UEVENT, KERNEL_GROUP = 15, 1

    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM,
                                    self.NETLINK_KOBJECT_UEVENT)
        self.socket.bind((0, self.KERNEL_GROUP))
        self.socket.setblocking(False)

    def time_of(self, event, pid):
        """When this process created a VM, or it was destroyed; None: not yet."""
        while True:
            try:
                fields = self.socket.recv(65536).split(b"\0")
            except BlockingIOError:
                return None
            if f"EVENT={event}".encode() in fields and f"PID={pid}".encode() in fields:
                return time.monotonic()


class Daemon:
    """umbrad and umbra-collect."""

    def __init__(self):
        self.umbrad = subprocess.Popen(["/usr/sbin/umbrad"], stdout=subprocess.DEVNULL)
        if not until(lambda: self.ask("/readyz") is not None, 30):
            raise AssertionError("umbrad is not ready")
        self.collect = subprocess.Popen(["/usr/sbin/umbra-collect"], stdout=subprocess.DEVNULL)
        # The BPF programs are there before any VM.
        if not until(lambda: self.states().get("kvm_exits") == "ok", 30, 0.2):
            raise AssertionError(f"collectors: {self.states()}")

    @staticmethod
    def ask(path):
        """The body of the answer, or None where there is no good one."""
        try:
            with socket.socket(socket.AF_UNIX) as stream:
                stream.connect(SOCKET)
                stream.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
                               "Connection: close\r\n\r\n".encode())
                answer = b""
                while received := stream.recv(65536):
                    answer += received
        except OSError:
            return None
        head, _, body = answer.partition(b"\r\n\r\n")
        return body if head.startswith(b"HTTP/1.1 200 ") else None

    def json(self, path):
        return json.loads(self.ask("/api/v1" + path) or "null")

    def vm(self, name=NAME):
        """The observed guest of that name, or None."""
        for guest in (self.json("/guests") or {"guests": []})["guests"]:
            if guest.get("observed") and guest["guest"] == name:
                return guest
        return None

    def states(self):
        return {one["name"]: one["state"] for one in self.json("/collectors")["collectors"]}

    def end(self):
        """Stops both; the complaints."""
        for process in (self.collect, self.umbrad):
            process.terminate()
        return [f"status {status}" for process in (self.collect, self.umbrad)
                if (status := process.wait(30))]


class Qemu:
    """A VM of somebody else's: Debian's QEMU on KVM. Its process stays when the guest is done."""

    CONSOLE = "/run/console"

    def __init__(self, options):
        with open(self.CONSOLE, "w", encoding="utf-8"):
            pass
        self.process = subprocess.Popen(
            [QEMU, "-name", f"guest={NAME}", "-accel", "kvm", "-cpu", "host", "-nodefaults",
             "-no-user-config", "-display", "none", "-no-shutdown",
             "-serial", "file:" + self.CONSOLE, *options], stdin=subprocess.DEVNULL)

    def done(self, text, exits):
        """Whether its guest wrote this and came to rest."""
        if self.process.poll() is None and text not in read(self.CONSOLE):
            return False
        before = exits.counts()
        time.sleep(0.3)
        return exits.counts() == before

    def end(self):
        self.process.kill()
        self.process.wait()


def load(ept):
    """Loads KVM of Intel; what is wrong with it."""
    subprocess.run(["insmod", "/modules/kvm_intel.ko", f"ept={int(ept)}"], check=True)
    got = read(PARAMETER).strip()
    return [] if got == "NY"[ept] else [f"ept is {got}"]


def shipped_guest(run, ept):
    """A guest of Umbra's own on the KVM engine: its counts, and complaints."""
    with Exits() as exits:
        said, report = run_guest("/usr/bin/umbra", ["--engine", "kvm"], "/run", run["guest"],
                                 run["append"], "/lab")
        counts = exits.counts()
    complaints = []
    if said != run["checksum"]:
        complaints.append(f"it says {said}, wanted {run['checksum']}")
    mode = "ept" if ept else "shadow"
    if report.get("mode") != mode:
        complaints.append(f"mode {report.get('mode')}, wanted {mode}")
    return {"guest": run["guest"], "append": run["append"], "exits": counts,
            "statistics": report.get("kvm", {})}, complaints


def within_a_second(what, events, event, pid):
    """The answer of what(), which must come within a second of the event; complaints."""
    answer, since = None, None
    end = time.monotonic() + 15
    while not answer and time.monotonic() < end:
        time.sleep(0.02)  # there is one processor, for what is waited for too
        since = since or events.time_of(event, pid)
        answer = what()
    now = time.monotonic()
    since = since or events.time_of(event, pid)
    if not since:
        return answer, [f"KVM told no event {event}"]
    if not answer or now - since > 1:
        return answer, [f"{'' if answer else 'not '}{now - since:.2f} s after its event {event}"]
    return answer, []


class Foreign:
    """A VM of somebody else's, and what umbrad says of it."""

    def __init__(self, tap, daemon, plan, ept):
        self.tap, self.daemon, self.plan = tap, daemon, plan
        self.mode = "ept" if ept else "shadow"
        self.events = Events()
        self.exits = {}

    def check(self, name, complaints):
        self.tap.check(f"{name}, {self.mode}", complaints)

    def run(self):
        with Exits() as exits:
            vm = Qemu(self.plan["options"])
            try:
                self.found(vm)
                self.lived(vm, exits)
                self.counted(exits.counts())
            finally:
                vm.end()
        _, complaints = within_a_second(lambda: not self.daemon.vm(), self.events, "destroy",
                                        vm.process.pid)
        self.check("the foreign VM is dropped within 1 s of its end", complaints)

    def found(self, vm):
        guest, complaints = within_a_second(self.daemon.vm, self.events, "create", vm.process.pid)
        guest = guest or {}
        for key, wanted in (("engine", "kvm"), ("mode", self.mode), ("pid", vm.process.pid)):
            if guest.get(key) != wanted:
                complaints.append(f"{key} {guest.get(key)}, wanted {wanted}")
        self.check("a foreign VM is found by its name within 1 s of its start", complaints)

    def lived(self, vm, exits):
        complaints = []
        if not until(lambda: vm.done(self.plan["says"], exits), self.plan["seconds"], 0.5):
            complaints = [f"no {self.plan['says']}", read(vm.CONSOLE)[-500:]]
        self.check("the foreign VM does its work", complaints)

    def counted(self, kernel):
        """Its exits are the kernel's, once they have come to umbrad."""
        def told():
            exits = (self.daemon.vm() or {}).get("exits", {})
            self.exits = {reason: count for reason, count in exits.items() if count}
            return self.exits == kernel
        until(told, 5, 0.2)
        complaints = [f"{reason}: {self.exits.get(reason, 0)}, the kernel counts "
                      f"{kernel.get(reason, 0)}" for reason in sorted({*self.exits, *kernel})
                      if self.exits.get(reason) != kernel.get(reason)]
        if complaints:
            complaints.append(f"collectors: {self.daemon.states()}")
        self.check("its exits by reason are the kernel's own counts", complaints)


def activity(exits):
    return sum(exits.get(reason, 0) for reason in ("page_fault", "invlpg", "cr_access"))


def far_above(shadow, ept):
    """What is wrong with the exits in both modes, if shadow paging does not show in them."""
    complaints = []
    if activity(shadow) < 10 * activity(ept) or not activity(shadow):
        complaints.append(f"page faults, INVLPG, CR: {activity(shadow)} with ept=0, "
                          f"{activity(ept)} with ept=1")
    if shadow.get("ept_violation") or not ept.get("ept_violation"):
        complaints.append(f"EPT violations: {shadow.get('ept_violation', 0)} with ept=0, "
                          f"{ept.get('ept_violation', 0)} with ept=1")
    return complaints


def run_mode(tap, plan, ept):
    """Everything in one mode: the exits of all own guests together, and of the foreign VM."""
    name = f"ept={int(ept)}"
    tap.check(f"KVM of Intel loads with {name}", load(ept))
    daemon = Daemon()
    runs, exits = [], {}
    for run in plan["runs"]:
        counts, complaints = shipped_guest(run, ept)
        tap.check(f"{run['guest']} has the soft engine's checksum on KVM, {name}", complaints)
        runs.append(counts)
        for reason, count in counts["exits"].items():
            exits[reason] = exits.get(reason, 0) + count
    print("counts", json.dumps({"kvm": name, "mode": "ept" if ept else "shadow", "runs": runs}),
          flush=True)
    foreign = Foreign(tap, daemon, plan["foreign"], ept)
    foreign.run()
    tap.check(f"umbrad and umbra-collect end in order, {name}", daemon.end())
    subprocess.run(["rmmod", "kvm_intel"], check=True)
    return exits, foreign.exits


def main():
    plan = json.loads(read("/lab/plan.json"))
    tap = Tap()
    for module in plan["modules"]:
        subprocess.run(["insmod", f"/modules/{module}.ko"], check=True)
    os.makedirs("/run/umbra")
    os.chown("/run/umbra", *plan["umbra"])
    own, foreign = zip(run_mode(tap, plan, True), run_mode(tap, plan, False))
    tap.check("with shadow paging Umbra's guests exit for their tables, with EPT for memory",
              far_above(own[1], own[0]))
    tap.check("with shadow paging the foreign VM exits for its tables, with EPT for memory",
              far_above(foreign[1], foreign[0]))
    print(f"1..{tap.count}", flush=True)


main()
