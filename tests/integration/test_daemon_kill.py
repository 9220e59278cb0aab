#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 at random moments, of workers and of umbrad: 15 times, 100 times with UMBRA_FULL.

An argument is the seed.
"""
import os
import random
import signal
import sqlite3
import sys
import time

from daemon_fixture import Umbrad, endless, is_alive, run_tests, wait_for

CYCLES = 20 if os.environ.get("UMBRA_FULL") else 3
SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 1
# No others on this machine are called so: what they leave behind is theirs.
GUESTS = {f"killed{os.getpid()}{mode}": endless(mode=mode, restart="always", interval=1000000)
          for mode in ("auto", "shadow", "brute", "ept")}
AUTO, PINNED = list(GUESTS)[0], list(GUESTS)[3]
MINE = f"killed{os.getpid()}"

random_ = random.Random(SEED)
kills = {"workers": 0, "umbrad": 0}


def running(umbrad):
    """Every guest by name, when all of them run and have done something."""
    def all_run():
        guests = {guest["id"]: guest for guest in umbrad.ask("/api/v1/guests").json()["guests"]}
        return guests if all(guest["state"] == "running" and guest.get("instructions")
                             for guest in guests.values()) else None
    return wait_for(all_run, 30)


def kill_worker(umbrad, name):
    """Its guest alone falls, and starts anew."""
    before = running(umbrad)
    time.sleep(random_.random() * 0.3)
    os.kill(before[name]["pid"], signal.SIGKILL)
    kills["workers"] += 1
    fallen = umbrad.wait_state(name, "failed", 10)
    assert "killed by signal 9" in fallen["end"]["text"], fallen["end"]
    now = {other: umbrad.guest(other) for other in before if other != name}
    for other, guest in now.items():
        assert guest["state"] == "running" and guest["starts"] == before[other]["starts"], guest
        assert guest["pid"] == before[other]["pid"], (other, "has another process")
    wait_for(lambda: all(umbrad.guest(other)["instructions"] > guest["instructions"]
                         for other, guest in now.items()), 10)
    after = running(umbrad)
    assert after[name]["starts"] == before[name]["starts"] + 1
    assert after[name]["pid"] != before[name]["pid"] and not is_alive(before[name]["pid"])


def decisions(umbrad):
    rows = umbrad.ask(f"/api/v1/guests/{AUTO}/decisions?limit=1000").json()["decisions"]
    return [(row["first_id"], row["first_at"], row["id"], row["at"]) for row in rows]


def latest(rows):
    """Those that the next look will still show, however many come."""
    return rows[-200:]


def left_behind():
    """Open descriptors and mappings of our guests' shared memory, of whatever process."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
                links += file.read().splitlines()
        except OSError:  # it has ended, or belongs to somebody else
            continue
        found += [(pid, link) for link in links if f"memfd:{MINE}" in link]
    return found


def kill_umbrad(umbrad):
    """Its workers end within a second; started again it knows what it knew a second before."""
    pids = [guest["pid"] for guest in running(umbrad).values()]
    assert os.geteuid() or len(left_behind()) >= len(pids), "nothing to find by this way"
    known, policy = latest(decisions(umbrad)), umbrad.guest(PINNED)["policy"]
    assert known and policy == "pinned" and umbrad.guest(PINNED)["mode"] == "shadow"
    time.sleep(1 + random_.random() * 0.3)
    umbrad.process.kill()
    kills["umbrad"] += 1
    umbrad.process.wait()
    wait_for(lambda: not any(is_alive(pid) for pid in pids), 1)
    assert not left_behind(), left_behind()
    with sqlite3.connect(f"file:{umbrad.state}/journal.sqlite?mode=ro", uri=True) as journal:
        assert journal.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert os.path.exists(umbrad.socket)  # stale, and no obstacle
    umbrad.start()
    guests = running(umbrad)
    assert set(guests) == set(GUESTS) and not set(pids) & {one["pid"] for one in guests.values()}
    assert guests[PINNED]["policy"] == "pinned" and guests[PINNED]["mode"] == "shadow"
    now = {row[0]: row for row in decisions(umbrad)}
    for first_id, first_at, last_id, last_at in known:
        row = now.get(first_id)
        assert row and row[1] == first_at, (first_id, first_at, row)
        # The last row may have gone on after we looked.
        assert row[2] >= last_id and (row[2] > last_id or row[3] == last_at), (row, last_id)
    assert os.listdir(umbrad.state) and not [name for name in os.listdir(umbrad.state)
                                             if "damaged" in name]


def kills_disturb_nobody_else_and_lose_nothing():
    with Umbrad(GUESTS) as umbrad:
        running(umbrad)
        assert umbrad.put_mode(PINNED, mode="shadow").status == 200
        for _ in range(CYCLES):
            for name in random_.sample(list(GUESTS), len(GUESTS)):
                kill_worker(umbrad, name)
            kill_umbrad(umbrad)
        umbrad.process.send_signal(signal.SIGTERM)
        assert umbrad.process.wait(10) == 0
        assert not os.path.exists(umbrad.socket) and not left_behind()
    print(f"# killed: {kills['workers']} workers, umbrad {kills['umbrad']} times")
    assert kills == {"workers": 4 * CYCLES, "umbrad": CYCLES}


if __name__ == "__main__":
    run_tests([kills_disturb_nobody_else_and_lose_nothing])
