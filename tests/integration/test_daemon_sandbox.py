#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What umbrad and its workers may do, and what becomes of a worker that dies or hangs."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from daemon_fixture import (GUESTS, HALTED, UMBRAD, Umbrad, daemon_user, endless, is_alive,
                            process_status, run_tests, shipped, wait_for)

ROOT = os.geteuid() == 0


def started_by_root_neither_umbrad_nor_a_worker_is_root():
    user = daemon_user()
    with Umbrad({"one": endless()}) as umbrad:
        worker = umbrad.wait_state("one", "running")["pid"]
        for pid in (umbrad.process.pid, worker):
            status = process_status(pid)
            uid, gid = (user.pw_uid, user.pw_gid) if ROOT else (os.geteuid(), os.getegid())
            assert status["Uid"].split() == [str(uid)] * 4, status["Uid"]
            assert status["Gid"].split() == [str(gid)] * 4, status["Gid"]
            assert not ROOT or not status["Groups"].strip(), status["Groups"]
            for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                assert int(status[name], 16) == 0, (name, status[name])
            assert status["NoNewPrivs"] == "1"
            # What is not dumpable belongs to root in /proc: no trace, no core, no reading.
            assert os.stat(f"/proc/{pid}/mem").st_uid == 0


def binary_and_configuration_may_lie_where_the_user_cannot_look():
    """The binary is executed anew for each worker, by a user that cannot reach its path."""
    with tempfile.TemporaryDirectory(prefix="umbra-test-") as closed:
        binary = shutil.copy(UMBRAD, closed)
        assert not ROOT or os.stat(closed).st_mode & 0o077 == 0
        with Umbrad({"one": endless()}, binary=binary) as umbrad:
            pid = umbrad.wait_state("one", "running")["pid"]
            if ROOT:
                assert os.readlink(f"/proc/{pid}/exe") == binary


def file_that_the_user_cannot_read_is_told_with_the_user():
    if not ROOT:
        return
    name = daemon_user().pw_name
    with tempfile.TemporaryDirectory(prefix="umbra-test-") as closed:
        shutil.copy(f"{GUESTS}/hello.elf", closed)
        config = os.path.join(closed, "umbra.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write("[umbrad]\n")
        done = subprocess.run([UMBRAD, "--config", config], capture_output=True, text=True,
                              timeout=20, check=False)
        assert done.returncode == 78, done.returncode
        assert f"{config}: Permission denied to the user {name}" in done.stderr, done.stderr
        # A configuration that can be read, and a socket's directory that cannot be written.
        os.chmod(closed, 0o755)
        os.chmod(config, 0o644)
        done = subprocess.run([UMBRAD, "--config", config, "--listen", "127.0.0.1:0", "--socket",
                               f"{closed}/umbra.sock"], capture_output=True, text=True, timeout=20,
                              check=False)
        assert done.returncode == 70, done.returncode
        assert f"umbra.sock: Permission denied to the user {name}" in done.stderr, done.stderr
        os.chmod(closed, 0o700)
        with Umbrad({"one": {"image": f"{closed}/hello.elf"}}) as umbrad:
            text = umbrad.wait_state("one", "failed")["end"]["text"]
            assert f"hello.elf: Permission denied to the user {name}" in text, text


def descriptors(pid):
    """Number: what it is, of an open descriptor each."""
    return {int(number): os.readlink(f"/proc/{pid}/fd/{number}")
            for number in os.listdir(f"/proc/{pid}/fd")}


def limits(pid):
    """Soft and hard limit by name."""
    with open(f"/proc/{pid}/limits", encoding="utf-8") as file:
        rows = [re.split(r"\s{2,}", line.strip()) for line in file][1:]
    return {row[0]: row[1:3] for row in rows}


def worker_is_filtered_in_all_its_threads():
    with Umbrad({"one": endless()}) as umbrad:
        pid = umbrad.wait_state("one", "running")["pid"]
        threads = os.listdir(f"/proc/{pid}/task")
        assert len(threads) == 2, threads
        for thread in threads:
            status = process_status(f"{pid}/task/{thread}")
            assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1", status
        # It runs on, switches, and answers, with what is allowed.
        for mode in ("shadow", "brute", "ept"):
            assert umbrad.put_mode("one", mode=mode).status == 200
        before = umbrad.guest("one")["instructions"]
        wait_for(lambda: umbrad.guest("one")["instructions"] > before, 10)


def worker_inherits_nothing_but_what_it_needs():
    with Umbrad({"one": endless(), "two": endless()}) as umbrad:
        for name in ("one", "two"):
            pid = umbrad.wait_state(name, "running")["pid"]
            if not ROOT:
                continue
            found = descriptors(pid)
            assert sorted(found) == [0, 1, 2, 3, 4], found
            assert found[0] == found[1] == "/dev/null", found
            assert found[2] == f"{umbrad.directory}/log", found
            assert found[3].startswith("socket:") and "eventfd" in found[4], found
            with open(f"/proc/{pid}/environ", "rb") as file:
                assert file.read() == b""
            with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
                assert "gups.elf" not in file.read()


def worker_has_limits():
    with Umbrad({"one": endless(memory="64M")}) as umbrad:
        pid = umbrad.wait_state("one", "running")["pid"]
        found = limits(pid)
        assert found["Max core file size"] == ["0", "0"]
        assert found["Max processes"] == ["0", "0"]
        assert found["Max open files"] == ["5", "5"]
        # Its standard error is a file here, which a console would be written to.
        assert found["Max file size"][0] == "unlimited"
        if found["Max address space"][0] != "unlimited":  # as in a build with AddressSanitizer
            most = int(found["Max address space"][0])
            assert 64 << 20 < most < 1 << 30, most
            assert int(process_status(pid)["VmSize"].split()[0]) * 1024 < most
            assert found["Max stack size"] == [str(1 << 20)] * 2


def instructions(umbrad, name):
    return umbrad.guest(name).get("instructions", 0)


def others_undisturbed(umbrad, before):
    """Whoever was there before still is, in the same process, and goes on."""
    now = {name: umbrad.guest(name) for name in before}
    for name, guest in before.items():
        assert now[name]["state"] == "running" and now[name]["pid"] == guest["pid"], now[name]
    wait_for(lambda: all(instructions(umbrad, name) > now[name]["instructions"] for name in now), 10)


def worker_that_hangs_is_killed_and_told():
    with Umbrad({"stuck": endless(), "other": endless()}, policy="hang_timeout = 2") as umbrad:
        pid = umbrad.wait_state("stuck", "running")["pid"]
        wait_for(lambda: umbrad.guest("stuck")["decisions"], 20)  # an event, so a place
        other = {"other": umbrad.wait_state("other", "running")}
        os.kill(pid, signal.SIGSTOP)
        text = umbrad.wait_state("stuck", "failed")["end"]["text"]
        assert re.match(r"its worker hung for \d+ s and was killed, while running, after \d+ "
                        r"instructions, its vCPU 0 last seen at 0x[0-9a-f]+ in \w+ mode$", text), text
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 10)
        others_undisturbed(umbrad, other)


def worker_whose_guest_comes_to_no_event_by_itself_does_not_hang():
    """An interval of years: only umbrad's asking brings events about."""
    keys = {"interval": 10**18, "mode": "ept"}
    with Umbrad({"long": endless(**keys)}, policy="hang_timeout = 1") as umbrad:
        pid = umbrad.wait_state("long", "running")["pid"]
        time.sleep(6)
        guest = umbrad.guest("long")
        assert guest["state"] == "running" and guest["pid"] == pid, guest


def idle_worker_does_not_hang():
    with Umbrad({"idle": {"image": "idle.elf", "memory": "2M"}}, {"idle.elf": HALTED},
                policy="hang_timeout = 1") as umbrad:
        pid = umbrad.wait_state("idle", "running")["pid"]
        time.sleep(5)
        guest = umbrad.guest("idle")
        assert guest["state"] == "running" and guest["pid"] == pid, guest


def crash_of_a_worker_is_told_with_its_last_state():
    with Umbrad({"one": endless(), "other": endless()}) as umbrad:
        pid = umbrad.wait_state("one", "running")["pid"]
        wait_for(lambda: instructions(umbrad, "one"), 10)
        other = {"other": umbrad.wait_state("other", "running")}
        os.kill(pid, signal.SIGSEGV)
        text = umbrad.wait_state("one", "failed")["end"]["text"]
        assert "while running, after " in text and "it noted signal 11 at host address 0x" in text, text
        others_undisturbed(umbrad, other)


def fallen_guest_starts_anew_with_back_off():
    guests = {"falls": endless(restart="always"), "ends": shipped("hello", "", restart="always"),
              "once": shipped("hello", ""), "other": endless()}
    with Umbrad(guests) as umbrad:
        other = {"other": umbrad.wait_state("other", "running")}
        pids = []
        for start in (1, 2, 3):
            guest = umbrad.wait_state("falls", "running", 30)
            assert guest["starts"] == start and guest["pid"] not in pids, guest
            wait_for(lambda: instructions(umbrad, "falls"), 10)
            pids.append(guest["pid"])
            os.kill(guest["pid"], signal.SIGKILL)
            waiting = umbrad.wait_state("falls", "failed")
            assert waiting["restart_in_seconds"] <= 2 ** (start - 1), waiting
            assert waiting["end"]["reason"] == "error", waiting
        assert re.findall(r"guest falls: starts anew in (\d+) s", umbrad.log()) == ["1", "2", "4"]
        # What ends in order does too, and the counters are those of the present run.
        wait_for(lambda: umbrad.guest("ends")["starts"] >= 3, 30)
        once = umbrad.wait_state("once", "ended")
        assert once["starts"] == 1 and "restart_in_seconds" not in once
        assert once["instructions"] == umbrad.wait_state("ends", "ended")["instructions"]
        others_undisturbed(umbrad, other)
        # Restarts come to an end with umbrad.
        umbrad.process.send_signal(signal.SIGTERM)
        assert umbrad.process.wait(10) == 0


def image_that_comes_late_is_found_at_a_restart():
    with Umbrad({"late": {"image": "late.elf", "restart": "always", "memory": "64M"}}) as umbrad:
        umbrad.wait_state("late", "failed")
        shutil.copy(f"{GUESTS}/hello.elf", os.path.join(umbrad.directory, "late.elf"))
        assert umbrad.wait_state("late", "ended", 30)["starts"] > 1


def pinned_mode_of_an_operator_outlives_a_restart():
    with Umbrad({"one": endless(restart="always", mode="ept")}) as umbrad:
        guest = umbrad.wait_state("one", "running")
        assert umbrad.put_mode("one", mode="shadow").status == 200
        os.kill(guest["pid"], signal.SIGKILL)
        wait_for(lambda: umbrad.guest("one")["starts"] == 2, 20)
        guest = umbrad.wait_state("one", "running")
        assert guest["mode"] == "shadow" and guest["policy"] == "pinned", guest


def workers_end_with_umbrad_even_when_stopped():
    with Umbrad({"stopped": endless(), "busy": endless()}) as umbrad:
        pids = {name: umbrad.wait_state(name, "running")["pid"] for name in ("stopped", "busy")}
        os.kill(pids["stopped"], signal.SIGSTOP)
        umbrad.process.kill()
        umbrad.process.wait()
        wait_for(lambda: not any(is_alive(pid) for pid in pids.values()), 1)


if __name__ == "__main__":
    run_tests((
        started_by_root_neither_umbrad_nor_a_worker_is_root,
        binary_and_configuration_may_lie_where_the_user_cannot_look,
        file_that_the_user_cannot_read_is_told_with_the_user,
        worker_is_filtered_in_all_its_threads,
        worker_inherits_nothing_but_what_it_needs,
        worker_has_limits,
        worker_that_hangs_is_killed_and_told,
        worker_whose_guest_comes_to_no_event_by_itself_does_not_hang,
        idle_worker_does_not_hang,
        crash_of_a_worker_is_told_with_its_last_state,
        fallen_guest_starts_anew_with_back_off,
        image_that_comes_late_is_found_at_a_restart,
        pinned_mode_of_an_operator_outlives_a_restart,
        workers_end_with_umbrad_even_when_stopped,
    ))
