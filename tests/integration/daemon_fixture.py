# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts umbrad with a configuration of its own, asks it things, writes TAP."""
import http.client
import json
import os
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

from images import multiboot

UMBRAD = os.path.abspath("umbrad")
UMBRA = os.path.abspath("umbra")
GUESTS = os.path.abspath("guests")


# jmp .
SPIN = multiboot(b"\xeb\xfe")
# lidt [address of six zero bytes]; int3: neither #BP nor #GP nor #DF has a gate
TRIPLE_FAULT = multiboot(b"\x0f\x01\x1d" + struct.pack("<I", 0x100068) + b"\xcc" + bytes(6))
# mov edi, 0xfee00000; SVR: on; divide by 128; LVT timer: vector 32; initial count: the largest;
# sti; hlt; jmp hlt. The timer ends in nine minutes: longer than any test.
HALTED = multiboot(bytes.fromhex(
    "bf0000e0fe" "c787f0000000ff010000" "c787e00300000a000000" "c7872003000020000000"
    "c78780030000ffffffff" "fb" "f4" "ebfd"))


def daemon_user():
    """The user that umbrad becomes when these tests run as root; None: it stays who they are."""
    if os.geteuid():
        return None
    for name in ("umbra", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise AssertionError("neither a user umbra nor a user nobody")


def give_to_daemon(directory):
    """Makes the directory and what is in it umbrad's own."""
    user = daemon_user()
    if user:
        for path in (directory, *(entry.path for entry in os.scandir(directory))):
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over umbrad's unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    """Status, headers and body of an answer."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.type = response.headers.get("Content-Type", "")
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


class Umbrad:
    """An umbrad that runs @guests (name: dict of keys) until the with block ends."""

    def __init__(self, guests, files=None, policy="", binary=UMBRAD):
        self.binary = binary
        self.directory = tempfile.mkdtemp(prefix="umbra-test-")
        self.socket = os.path.join(self.directory, "umbra.sock")
        self.state = os.path.join(self.directory, "state")
        self.config = os.path.join(self.directory, "umbra.conf")
        for name, data in (files or {}).items():
            with open(os.path.join(self.directory, name), "wb") as file:
                file.write(data)
        self.configure(guests, policy)
        self.wrapper = ()  # a command that executes the one behind it
        self.environment = {}
        self.process = None
        self.port = None

    def configure(self, guests, policy=""):
        """Writes the configuration, at once; @policy: more keys of [umbrad], other sections."""
        with open(self.config + ".new", "w", encoding="utf-8") as file:
            file.write(f"[umbrad]\nlisten = 127.0.0.1:0\nsocket = {self.socket}\n"
                       f"state = {self.state}\n{policy}\n")
            for name, keys in guests.items():
                file.write(f"[guest {name}]\n")
                file.writelines(f"{key} = {self.at_hand(value)}\n" for key, value in keys.items())
        give_to_daemon(self.directory)
        os.rename(self.config + ".new", self.config)
        self.guests = guests

    def reload(self):
        """Has the configuration read anew; what umbrad says of it."""
        before = len(self.log())
        self.process.send_signal(signal.SIGHUP)

        def told():
            # The mistakes come before it.
            return re.search("the configuration was (not )?read anew.*\n", self.log()[before:])
        wait_for(told, 20)
        return self.log()[before:]

    def at_hand(self, value):
        """A shipped image as a file of the directory: where it was built, umbrad may not look."""
        name = os.path.basename(str(value))
        if value != f"{GUESTS}/{name}":
            return value
        if not os.path.exists(os.path.join(self.directory, name)):
            shutil.copy(value, os.path.join(self.directory, name))
        return name

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def begin(self, *options):
        """Starts umbrad and does not wait."""
        log_path = os.path.join(self.directory, "log")
        with open(log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([*self.wrapper, self.binary, "--config", self.config,
                                             *options], stderr=log, stdin=subprocess.DEVNULL,
                                            env={**os.environ, **self.environment})

    def start(self, *options):
        self.begin(*options)

        def serving():
            found = re.search(r"serving http://127\.0\.0\.1:(\d+) ", self.log())
            if self.process.poll() is not None:
                raise AssertionError("umbrad ended: " + self.log())
            return found
        self.port = int(wait_for(serving, 20).group(1))

    def log(self):
        with open(os.path.join(self.directory, "log"), encoding="utf-8") as file:
            return file.read()

    def stop(self):
        """Its exit status; None: it was never begun."""
        if not self.process:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def __exit__(self, kind, value, trace):
        self.stop()
        if kind and self.process:
            print("# " + self.log().replace("\n", "\n# "))
        shutil.rmtree(self.directory, ignore_errors=True)

    def ask(self, path, method="GET", body=None, headers=None, local=False):
        connection = (UnixConnection(self.socket) if local else
                      http.client.HTTPConnection("127.0.0.1", self.port, timeout=20))
        try:
            connection.request(method, path, body, headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def guest(self, name):
        return self.ask(f"/api/v1/guests/{name}").json()

    def put_mode(self, name, **wish):
        return self.ask(f"/api/v1/guests/{name}/mode", "PUT", json.dumps(wish), local=True)

    def wait_state(self, name, state, seconds=20):
        def reached():
            guest = self.guest(name)
            return guest if guest["state"] == state else None
        return wait_for(reached, seconds, lambda: self.guest(name))

    def wait_measured(self, name, seconds=20):
        """The guest when it runs and has counters: they come with its first instructions."""
        def measured():
            guest = self.guest(name)
            return guest if guest["state"] == "running" and "instructions" in guest else None
        return wait_for(measured, seconds, lambda: self.guest(name))

    def umbra(self, *words):
        return subprocess.run([UMBRA, words[0], "--socket", self.socket, *words[1:]],
                              capture_output=True, text=True, timeout=60, check=False)


def wait_for(condition, seconds, seen=lambda: ""):
    """What @condition returns as soon as it is true; it has @seconds, then @seen tells why not."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {condition.__name__} {seen()}")
        time.sleep(0.05)


def is_alive(pid):
    """Whether the process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def process_status(pid):
    """The fields of /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(re.split(r":\s*", line.rstrip("\n"), maxsplit=1) for line in file)


def shipped(name, append, **keys):
    """The configuration of a guest that Umbra ships."""
    return {"image": f"{GUESTS}/{name}.elf", "memory": "64M", "append": append, **keys}


def endless(**keys):
    return shipped("gups", "rounds=0 pages=2048", **keys)


def run_tests(tests):
    """
    Each test is a function whose name is the rule that it holds. One that could not run returns
    "SKIP reason".
    """
    failures = 0
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        name = test.__name__.replace("_", " ")
        try:
            skip = test()
            print(f"ok {number} - {name}{f' # {skip}' if isinstance(skip, str) else ''}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failures += 1
            print("# " + traceback.format_exc().replace("\n", "\n# "))
            print(f"not ok {number} - {name}", flush=True)
    sys.exit(failures != 0)
