#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Broken images, guests that fault or spin, workers and daemons that die: nobody else is disturbed."""
import os
import signal
import socket
import subprocess
import tempfile
import time

from daemon_fixture import (GUESTS, SPIN, TRIPLE_FAULT, UMBRA, UMBRAD, Umbrad, endless, is_alive,
                            run_tests, shipped, wait_for)

FILES = {"spin.elf": SPIN, "triple.elf": TRIPLE_FAULT, "broken.elf": b"\x7fELF broken", "empty": b"",
         "cut.elf": open(f"{GUESTS}/gups.elf", "rb").read()[:4200]}


def status_of(*words):
    """Exit status and standard error of an umbrad that is not to start."""
    done = subprocess.run([UMBRAD, *words], capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, done.stderr


def status_of_config(text):
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(text)
        file.flush()
        os.chmod(file.name, 0o644)
        return status_of("--config", file.name)


def each_bad_guest_fails_alone_and_says_why():
    guests = {
        "good": endless(),
        "missing": {"image": "/nonexistent/image"},
        "directory": {"image": "/"},
        "broken": {"image": "broken.elf"},
        "cut": {"image": "cut.elf"},
        "empty": {"image": "empty"},
        "fifo": {"image": "fifo"},
        "initrd": {**shipped("hello", ""), "initrd": "fifo"},
        "triple": {"image": "triple.elf"},
        "spin": {"image": "spin.elf"},
    }
    umbrad = Umbrad(guests, FILES)
    os.mkfifo(os.path.join(umbrad.directory, "fifo"))  # nobody ever writes to it
    with umbrad:
        assert "No such file" in umbrad.wait_state("missing", "failed")["end"]["text"]
        for name in ("directory", "broken", "cut", "empty", "fifo", "initrd"):
            guest = umbrad.wait_state(name, "failed")
            assert guest["end"]["reason"] == "error" and guest["end"]["text"], guest
            assert "instructions" not in guest
        assert umbrad.wait_state("triple", "ended")["end"]["reason"] == "triple_fault"
        before = umbrad.wait_measured("good")["instructions"]
        spun = umbrad.wait_measured("spin")["instructions"]
        wait_for(lambda: umbrad.guest("good")["instructions"] > before, 10)
        wait_for(lambda: umbrad.guest("spin")["instructions"] > spun, 10)
        assert umbrad.put_mode("spin", mode="shadow").json()["to"] == "shadow"
        assert umbrad.ask("/readyz").status == 200


def killed_worker_takes_its_own_guest_along():
    with Umbrad({"victim": endless(), "other": endless()}) as umbrad:
        pid = umbrad.wait_state("victim", "running")["pid"]
        wait_for(lambda: umbrad.guest("victim")["instructions"] > 0, 10)
        other = umbrad.wait_state("other", "running")
        os.kill(pid, signal.SIGKILL)
        guest = umbrad.wait_state("victim", "failed", 5)
        assert "signal 9" in guest["end"]["text"], guest["end"]
        assert "pid" not in guest and guest["instructions"] > 0
        wait_for(lambda: umbrad.guest("other")["instructions"] > other["instructions"], 10)
        assert umbrad.guest("other")["pid"] == other["pid"]
        assert umbrad.put_mode("victim", mode="ept").status == 409


def stopped_worker_costs_its_caller_five_seconds_and_others_nothing():
    with Umbrad({"stuck": endless(), "other": endless()}) as umbrad:
        pid = umbrad.wait_state("stuck", "running")["pid"]
        umbrad.wait_state("other", "running")
        os.kill(pid, signal.SIGSTOP)
        child = subprocess.Popen([UMBRA, "mode", "--socket", umbrad.socket, "stuck", "shadow"],
                                 stderr=subprocess.PIPE, text=True)
        start = time.monotonic()
        assert umbrad.put_mode("other", mode="shadow").status == 200
        assert time.monotonic() - start < 3
        _, errors = child.communicate(timeout=20)
        assert child.returncode == 70 and "504" in errors, errors
        # It is stopped, and so cannot obey: umbrad must end all the same.
        umbrad.process.send_signal(signal.SIGTERM)
        assert umbrad.process.wait(10) == 0
        assert not is_alive(pid)


def workers_stop_within_a_second_of_umbrads_death():
    with Umbrad({"one": endless(), "two": endless()}) as umbrad:
        pids = [umbrad.wait_state(name, "running")["pid"] for name in ("one", "two")]
        assert all(is_alive(pid) for pid in pids)
        umbrad.process.kill()
        umbrad.process.wait()
        wait_for(lambda: not any(is_alive(pid) for pid in pids), 1)
        # What it left behind is no obstacle.
        assert os.path.exists(umbrad.socket)
        umbrad.start()
        umbrad.wait_state("one", "running")


def signals_stop_everything_in_order():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Umbrad({"one": endless(), "two": endless()}) as umbrad:
            pids = [umbrad.wait_state(name, "running")["pid"] for name in ("one", "two")]
            umbrad.process.send_signal(number)
            assert umbrad.process.wait(5) == 0
            assert not any(is_alive(pid) for pid in pids)
            assert not os.path.exists(umbrad.socket)


def console_goes_where_the_configuration_says():
    guests = {"loud": shipped("hello", "", console="stderr"), "quiet": shipped("hello", "")}
    with Umbrad(guests) as umbrad:
        umbrad.wait_state("loud", "ended")
        umbrad.wait_state("quiet", "ended")
        assert "loud: hello\n" in umbrad.log()
        assert "quiet: hello\n" not in umbrad.log()


def slow_client_does_not_hold_others_up():
    with Umbrad({"one": endless()}) as umbrad:
        slow = [socket.create_connection(("127.0.0.1", umbrad.port)) for _ in range(20)]
        for connection in slow:
            connection.sendall(b"GET /api/v1/guests HTTP/1.1\r\nHost: local")
        start = time.monotonic()
        assert umbrad.ask("/healthz").status == 200
        assert time.monotonic() - start < 2
        for connection in slow:
            connection.close()


def malformed_commands_are_status_64():
    for words in (("--frobnicate",), ("word",), ("--listen", "8642"), ("--listen", "localhost:1"),
                  ("--listen",), ("--socket", ""), ("--role", "king"), ("--role", "worker")):
        status, errors = status_of(*words)
        assert status == 64 and errors, (words, status, errors)


def broken_configuration_is_status_78_and_names_the_place():
    for text, place in (("[umbrad]\nlisten = x\n", "line 2, [umbrad] listen"),
                        ("[umbrad]\ncolour = red\n", "line 2, [umbrad] colour"),
                        ("[castle]\n", "line 1"), ("nonsense\n", "line 1"),
                        ("[guest a]\nimage = x\nengine = hard\n", "line 3, [guest a] engine"),
                        ("[guest a]\nimage = x\nmode = fast\n", "line 3, [guest a] mode"),
                        ("[guest a]\nimage = x\ncpus = 9\n", "line 3, [guest a] cpus"),
                        ("[guest a]\nimage = x\nrestart = sometimes\n", "line 3, [guest a] restart"),
                        ("[guest a]\nmode = ept\n", "[guest a] image")):
        status, errors = status_of_config(text)
        assert status == 78 and place in errors, (text, status, errors)
    status, errors = status_of("--config", "/nonexistent/umbra.conf")
    assert status == 66 and "/nonexistent/umbra.conf" in errors


def taken_address_or_socket_is_status_70():
    with Umbrad({}) as umbrad:
        status, errors = status_of("--config", umbrad.config)
        assert status == 70 and "umbra.sock" in errors, errors
        other = os.path.join(umbrad.directory, "other.sock")
        status, errors = status_of("--config", umbrad.config, "--socket", other, "--listen",
                                   f"127.0.0.1:{umbrad.port}")
        assert status == 70 and str(umbrad.port) in errors, errors
        assert umbrad.ask("/healthz").status == 200


def client_without_umbrad_is_status_70():
    done = subprocess.run([UMBRA, "guests", "--socket", "/nonexistent/umbra.sock"],
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 70 and "/nonexistent/umbra.sock" in done.stderr


if __name__ == "__main__":
    run_tests((
        each_bad_guest_fails_alone_and_says_why,
        killed_worker_takes_its_own_guest_along,
        stopped_worker_costs_its_caller_five_seconds_and_others_nothing,
        workers_stop_within_a_second_of_umbrads_death,
        signals_stop_everything_in_order,
        console_goes_where_the_configuration_says,
        slow_client_does_not_hold_others_up,
        malformed_commands_are_status_64,
        broken_configuration_is_status_78_and_names_the_place,
        taken_address_or_socket_is_status_70,
        client_without_umbrad_is_status_70,
    ))
