#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What umbrad tells a service manager (sd_notify) and the journal, at the other end of its sockets."""
import contextlib
import ctypes
import os
import re
import signal
import socket
import struct
import sys
import time

from daemon_fixture import (SPIN, TRIPLE_FAULT, Umbrad, endless, give_to_daemon, is_alive,
                            run_tests, wait_for)

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
WATCHDOG_SECONDS = 1
# ptrace(2)
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000


class Receiver:
    """A datagram socket at @path, and all that came there."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        os.chmod(path, 0o666)
        self.messages = []

    def take(self, seconds):
        """What comes within @seconds after nothing came; None: nothing."""
        self.socket.settimeout(seconds)
        try:
            message = self.socket.recv(65536)
        except TimeoutError:
            return None
        self.messages.append(message)
        return message

    def wait(self, wanted, seconds=20):
        """The first message, of those to come, that @wanted (a pattern) is found in."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            message = self.take(max(0.01, deadline - time.monotonic()))
            if message and re.search(wanted, message.decode(errors="replace"), re.M):
                return message.decode()
        raise AssertionError(f"{wanted} did not come; these did: {self.messages}")

    def drain(self):
        while self.take(0.01):
            pass


@contextlib.contextmanager
def managed(guests, watchdog=None, **keys):
    """An umbrad, started, and its manager's socket."""
    umbrad = Umbrad(guests, **keys)
    manager = Receiver(os.path.join(umbrad.directory, "notify"))
    umbrad.environment["NOTIFY_SOCKET"] = os.path.join(umbrad.directory, "notify")
    if watchdog:
        umbrad.environment["WATCHDOG_USEC"] = str(watchdog * 1000000)
    with umbrad:
        yield umbrad, manager
    manager.socket.close()


def ready_is_told_when_requests_are_answered():
    with managed({"one": endless()}) as (umbrad, manager):
        manager.wait("^READY=1$")
        assert umbrad.ask("/healthz").status == 200
        assert umbrad.ask("/healthz", local=True).status == 200


def status_counts_guests_by_state():
    guests = {
        "spins": {"image": "spin.elf", "memory": "8M"},
        "faults": {"image": "fault.elf", "memory": "8M"},
        "absent": {"image": "absent.elf", "memory": "8M"},
    }
    files = {"spin.elf": SPIN, "fault.elf": TRIPLE_FAULT}
    with managed(guests, files=files) as (_, manager):
        manager.wait("^STATUS=3 guests: 1 running, 1 ended, 1 failed$")


def watchdog_is_fed_again_and_again():
    with managed({"one": endless()}, WATCHDOG_SECONDS) as (_, manager):
        for _ in range(5):
            manager.wait("^WATCHDOG=1$")


def watchdog_is_not_fed_where_nobody_asked_for_it():
    with managed({"one": endless()}) as (_, manager):
        manager.wait("^READY=1$")
        time.sleep(2 * WATCHDOG_SECONDS)
        manager.drain()
        assert not [one for one in manager.messages if b"WATCHDOG" in one], manager.messages


def stopped_umbrad_feeds_no_watchdog():
    with managed({"one": endless()}, WATCHDOG_SECONDS) as (umbrad, manager):
        manager.wait("^WATCHDOG=1$")
        umbrad.process.send_signal(signal.SIGSTOP)
        time.sleep(0.1)
        manager.drain()
        assert manager.take(2 * WATCHDOG_SECONDS) is None
        umbrad.process.send_signal(signal.SIGCONT)
        manager.wait("^WATCHDOG=1$")


def hung_loop_feeds_no_watchdog_though_requests_are_answered():
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    with managed({"one": endless()}, WATCHDOG_SECONDS) as (umbrad, manager):
        manager.wait("^WATCHDOG=1$")
        # A thread that is traced stops alone.
        if libc.ptrace(PTRACE_SEIZE, umbrad.process.pid, None, None):
            return f"SKIP ptrace: {os.strerror(ctypes.get_errno())}: umbrad lets root alone do that"
        libc.ptrace(PTRACE_INTERRUPT, umbrad.process.pid, None, None)
        os.waitpid(umbrad.process.pid, WALL)
        manager.drain()
        assert umbrad.ask("/healthz").status == 200
        assert manager.take(2 * WATCHDOG_SECONDS) is None
        umbrad.process.kill()
    return None


def reload_is_told_when_it_begins_and_ends():
    with managed({"one": endless()}) as (umbrad, manager):
        manager.wait("^READY=1$")
        before = time.monotonic()
        umbrad.process.send_signal(signal.SIGHUP)
        reloading = manager.wait("^RELOADING=1$")
        when = int(re.search(r"^MONOTONIC_USEC=(\d+)$", reloading, re.M)[1]) / 1e6
        assert before <= when <= time.monotonic(), (before, when)
        manager.wait("^READY=1$")


def reload_that_is_refused_ends_too():
    with managed({"one": endless()}) as (umbrad, manager):
        manager.wait("^READY=1$")
        with open(umbrad.config, "a", encoding="utf-8") as file:
            file.write("speed = 9\n")
        umbrad.process.send_signal(signal.SIGHUP)
        manager.wait("^RELOADING=1$")
        manager.wait("^READY=1$")
        assert "speed" in umbrad.log(), umbrad.log()


def stopping_is_told_while_guests_still_stop():
    with managed({"one": endless()}) as (umbrad, manager):
        manager.wait("^READY=1$")
        umbrad.process.send_signal(signal.SIGTERM)
        manager.wait("^STOPPING=1$")
        assert umbrad.process.wait(20) == 0


def workers_do_not_know_the_manager():
    def environment(pid):
        with open(f"/proc/{pid}/environ", encoding="utf-8") as file:
            return {line.split("=", 1)[0] for line in file.read().split("\0")}
    names = {"NOTIFY_SOCKET", "WATCHDOG_USEC"}
    with managed({"one": endless()}, WATCHDOG_SECONDS) as (umbrad, _):
        worker = umbrad.wait_state("one", "running")["pid"]
        try:
            assert names <= environment(umbrad.process.pid)
            # Only what its own messages need.
            assert environment(worker) <= {"JOURNAL_STREAM", ""}
        except PermissionError as error:
            return f"SKIP {error}: umbrad lets root alone read that"
    return None


def fields(datagram):
    """A message of the journal's native protocol: systemd.io/JOURNAL_NATIVE_PROTOCOL."""
    found = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            length, = struct.unpack_from("<Q", datagram)
            value, datagram = datagram[8:8 + length], datagram[9 + length:]
        found[name.decode()] = value.decode()
    return found


def documented_ids():
    """docs/daemon.md's table of messages: its name there, then its id."""
    with open(f"{SOURCE}/docs/daemon.md", encoding="utf-8") as file:
        return dict(re.findall(r"^\| ([^|]+) \| `([0-9a-f]{32})` \|", file.read(), re.M))


def each_message_id_is_documented():
    with open(f"{SOURCE}/daemon/log.h", encoding="utf-8") as file:
        ids = re.findall(r'X\(\w+, LOG_\w+, "([0-9a-f]+)"\)', file.read())
    assert len(ids) > 5 and len(set(ids)) == len(ids)
    assert sorted(ids) == sorted(documented_ids().values())


def journal_gets_fields():
    if os.geteuid():
        return "SKIP a file system of its own for the journal's socket needs root"
    ids = documented_ids()
    guests = {"one": endless(mode="ept"), "absent": {"image": "absent.elf"}}
    umbrad = Umbrad(guests)
    place = os.path.join(umbrad.directory, "journal")
    os.mkdir(place)
    give_to_daemon(umbrad.directory)
    journal = Receiver(f"{place}/socket")
    # It is standard error that JOURNAL_STREAM must name; the log is there, empty, before umbrad is.
    log = os.path.join(umbrad.directory, "log")
    with open(log, "w", encoding="utf-8"):
        status = os.stat(log)
    umbrad.environment["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
    umbrad.wrapper = ("unshare", "--mount", "sh", "-c",
                      "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && "
                      'mount --bind "$0" /run/systemd/journal && exec "$@"', place)
    came = []

    def take(wanted):
        """The next message that @wanted is true of, in whatever order they come; only once."""
        def one_came():
            message = journal.take(0.1)
            if message:
                came.append(fields(message))
            return next((one for one in came if wanted(one)), None)
        found = wait_for(one_came, 20)
        came.remove(found)
        return found

    def event(name):
        return take(lambda one: one.get("MESSAGE_ID") == ids[name])
    umbrad.begin()
    try:
        failed = event("guest failed")
        assert failed["UMBRA_GUEST"] == "absent" and failed["PRIORITY"] == "3", failed
        assert "absent.elf" in failed["MESSAGE"] and "UMBRA_MODE" not in failed, failed
        assert failed["SYSLOG_IDENTIFIER"] == "umbrad"
        serving = take(lambda one: one["MESSAGE"].startswith("serving "))["MESSAGE"]
        umbrad.port = int(re.search(r"http://127.0.0.1:(\d+) ", serving)[1])
        started = event("guest started")
        assert started["UMBRA_GUEST"] == "one" and started["UMBRA_MODE"] == "ept", started
        assert umbrad.put_mode("one", mode="shadow").status == 200
        switched = event("guest switched")
        assert switched["UMBRA_GUEST"] == "one" and switched["UMBRA_MODE"] == "shadow", switched
        assert "from ept to shadow" in switched["MESSAGE"], switched
        worker = umbrad.guest("one")["pid"]
        assert is_alive(worker)
        os.kill(worker, signal.SIGKILL)
        killed = event("guest failed")
        assert killed["UMBRA_GUEST"] == "one" and "signal 9" in killed["MESSAGE"], killed
        assert not umbrad.log(), "with a journal there is nothing for standard error"
    finally:
        umbrad.__exit__(None, None, None)
        journal.socket.close()
    return None


if __name__ == "__main__":
    with open("config.h", encoding="utf-8") as header:
        if "#define HAVE_SYSTEMD 1" not in header.read():
            print("1..0 # SKIP this build is without libsystemd")
            sys.exit(0)
    run_tests((
        ready_is_told_when_requests_are_answered,
        status_counts_guests_by_state,
        watchdog_is_fed_again_and_again,
        watchdog_is_not_fed_where_nobody_asked_for_it,
        stopped_umbrad_feeds_no_watchdog,
        hung_loop_feeds_no_watchdog_though_requests_are_answered,
        reload_is_told_when_it_begins_and_ends,
        reload_that_is_refused_ends_too,
        stopping_is_told_while_guests_still_stop,
        workers_do_not_know_the_manager,
        each_message_id_is_documented,
        journal_gets_fields,
    ))
