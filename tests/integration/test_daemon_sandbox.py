#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What umbrad and its workers may do, and what becomes of a worker that dies or hangs."""
import os
import shutil
import subprocess
import tempfile

from daemon_fixture import (GUESTS, UMBRAD, Umbrad, daemon_user, endless, process_status,
                            run_tests)

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
        assert f"{config}: Permission denied" in done.stderr, done.stderr
        assert f"permission denied to the user {name}" in done.stderr, done.stderr
        with Umbrad({"one": {"image": f"{closed}/hello.elf"}}) as umbrad:
            text = umbrad.wait_state("one", "failed")["end"]["text"]
            assert f"hello.elf: Permission denied to the user {name}" in text, text


if __name__ == "__main__":
    run_tests((
        started_by_root_neither_umbrad_nor_a_worker_is_root,
        binary_and_configuration_may_lie_where_the_user_cannot_look,
        file_that_the_user_cannot_read_is_told_with_the_user,
    ))
