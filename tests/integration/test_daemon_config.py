#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""umbrad --check-config: what is right, and everything that is wrong, with its place.

configurations/NAME.conf is read, NAME.expected has the status and what is printed about FILE.
An argument, --write, writes the latter anew.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile
import time

from daemon_fixture import UMBRAD, give_to_daemon, run_tests

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "configurations")


def check(path, *options):
    """What the check of a file prints, and its status."""
    done = subprocess.run([UMBRAD, "--check-config", "--config", path, *options], timeout=20,
                          capture_output=True, stdin=subprocess.DEVNULL, check=False)
    return (f"status {done.returncode}\n" +
            (done.stdout + done.stderr).decode().replace(path, "FILE"))


def check_bytes(content, *options):
    with tempfile.TemporaryDirectory(prefix="umbra-test-") as folder:
        path = os.path.join(folder, "umbra.conf")
        with open(path, "wb") as file:
            file.write(content)
        give_to_daemon(folder)
        return check(path, *options)


def case(name):
    with open(os.path.join(FOLDER, name + ".conf"), "rb") as file:
        return check_bytes(file.read())


def cases():
    return sorted(os.path.basename(path)[:-5] for path in glob.glob(os.path.join(FOLDER, "*.conf")))


def each_configuration_is_told_all_that_is_wrong_with_it():
    assert len(cases()) > 8
    wrong = []
    for name in cases():
        with open(os.path.join(FOLDER, name + ".expected"), encoding="utf-8") as file:
            expected = file.read()
        printed = case(name)
        if printed != expected:
            wrong.append(f"{name}: printed\n{printed}expected\n{expected}")
    assert not wrong, "\n".join(wrong)


def refused_fast(printed, text, started):
    """A generous bound: what is refused quickly must not depend on what the file has."""
    assert printed.startswith("status 78\n") and text in printed, printed[:1000]
    assert len(printed) < 10000
    assert time.monotonic() - started < 10


def hostile_files_are_refused_at_once():
    with tempfile.TemporaryDirectory(prefix="umbra-test-") as folder:
        path = os.path.join(folder, "umbra.conf")
        for make, text in (
                (os.mkdir, "a regular file"),
                (os.mkfifo, "a regular file"),  # nobody ever writes to it
                (lambda path: os.symlink(path, path), "Too many levels"),
                (lambda path: os.symlink("/dev/zero", path), "a regular file"),
                (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 1 << 40), "at most 16 MiB"),
        ):
            make(path)
            give_to_daemon(folder)
            refused_fast(check(path), text, time.monotonic())
            (os.rmdir if os.path.isdir(path) else os.unlink)(path)


def hostile_contents_are_refused_at_once():
    with open(UMBRAD, "rb") as file:
        binary = file.read()
    for content, text in (
            (binary, "byte 0x00: text was expected"),
            (b"\0" * 1000000, "byte 0x00"),
            (b"[umbrad]\nsocket = /run/\0umbra\n", "line 2: byte 0x00"),
            (b"[guest a]\nimage = \x1b[2J\n", "line 2: byte 0x1b"),
            (b"x" * 10000000, "line 1: the line is longer than 197 bytes"),
            (b"[guest a]\n" + b"image = x\n" * 1000000, "line 3, [guest a] image: given twice"),
            (b"".join(b"[guest %d]\nimage = x\n" % i for i in range(500000)),
             "line 20001, [guest 10000]: at most 10000 guests"),
            (b"".join(b"[workload %d]\nmatch = *\nmode = ept\n" % i for i in range(300000)),
             "line 3001, [workload 1000]: at most 1000 workloads"),
            (b"[" * 1000000, "longer"),
            (b"[\n" * 1000000, "line 1: a section begins with '[' and ends with ']'"),
    ):
        started = time.monotonic()
        refused_fast(check_bytes(content), text, started)


def million_comments_are_read():
    assert check_bytes(b"# nothing\n" * 1000000).startswith("status 0\nFILE: ok: 0 guests")


def a_file_that_is_not_there_has_a_status_of_its_own():
    assert check("/nonexistent/umbra.conf") == \
        "status 66\numbrad: FILE: No such file or directory\n"
    assert check("/dev/null") == "status 0\nFILE: ok: 0 guests, 0 workloads\n"
    assert check_bytes(b"", "--listen", "nowhere").startswith("status 64\n")


def the_check_touches_nothing():
    with tempfile.TemporaryDirectory(prefix="umbra-test-") as folder:
        path = os.path.join(folder, "umbra.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"[umbrad]\nsocket = {folder}/umbra.sock\nstate = {folder}/state\n"
                       "listen = 127.0.0.1:0\n[guest a]\nimage = /dev/null\n")
        give_to_daemon(folder)
        assert check(path) == "status 0\nFILE: ok: 1 guests, 0 workloads\n"
        assert os.listdir(folder) == ["umbra.conf"]


def sections():
    """Each section's name and the keys that umbrad knows in it."""
    for name in ("umbrad", "policy", "guest NAME", "workload NAME", "collector NAME"):
        printed = check_bytes(f"[{name.replace('NAME', 'soft')}]\nunknown = 1\n".encode())
        yield name, re.search("one of (.*) was expected", printed).group(1).split(", ")


def read_source(*path):
    with open(os.path.join(FOLDER, "..", "..", "..", *path), encoding="utf-8") as file:
        return file.read()


def umbra_conf_5_has_every_key():
    page = read_source("packaging", "man", "umbra.conf.5")
    for name, keys in sections():
        part = page.split(f"\n.Ss [{name}]\n")[1]
        part = re.split(r"\n\.S[sh] ", part)[0]
        documented = []
        for line in re.findall(r"^\.It Cm (.*)", part, re.M):
            documented += re.split(" No = ", line)[0].split(" , ")
        assert sorted(documented) == sorted(keys), (name, documented, keys)


def docs_have_every_key():
    table = read_source("docs", "daemon.md").split("\n## Configuration\n")[1].split("\n## ")[0]
    documented, section = {}, None
    for first, second in re.findall(r"^\| (.*?) ?\| (`.*?) \|", table, re.M):
        section = first.strip("`[]") or section
        documented.setdefault(section, []).extend(re.findall(r"`(\w+)`", second))
    for name, keys in sections():
        assert sorted(documented[name]) == sorted(keys), (name, documented[name], keys)


def example_of_umbra_conf_5_is_right():
    page = read_source("packaging", "man", "umbra.conf.5").split("\n.Sh EXAMPLES\n")[1]
    example = re.search(r"^\.Bd .*?\n(.*?)^\.Ed", page, re.M | re.S).group(1)
    printed = check_bytes(example.encode())
    assert printed.startswith("status 0\nFILE: ok: 2 guests, 1 workloads\n"), printed


def write_expected():
    for name in cases():
        with open(os.path.join(FOLDER, name + ".expected"), "w", encoding="utf-8") as file:
            file.write(case(name))


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write_expected()
        sys.exit()
    run_tests((
        each_configuration_is_told_all_that_is_wrong_with_it,
        hostile_files_are_refused_at_once,
        hostile_contents_are_refused_at_once,
        million_comments_are_read,
        a_file_that_is_not_there_has_a_status_of_its_own,
        the_check_touches_nothing,
        umbra_conf_5_has_every_key,
        docs_have_every_key,
        example_of_umbra_conf_5_is_right,
    ))
