#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What umbrad costs: by the number of halted guests, beside busy ones, and under scraping."""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from daemon_fixture import HALTED, Umbrad, endless, wait_for  # noqa: E402

GUEST_KIB = 2048


def status_kib(pid, key):
    """A line of /proc/PID/status, in KiB."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith(key + ":"):
                return int(line.split()[1])
    raise KeyError(key)


def cpu_seconds(pid, thread=None):
    """Seconds on a CPU of a process, or of one of its threads."""
    threads = [thread] if thread else os.listdir(f"/proc/{pid}/task")
    total = 0
    for each in threads:
        with open(f"/proc/{pid}/task/{each}/schedstat", encoding="utf-8") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def guests_of(umbrad):
    return umbrad.ask("/api/v1/guests").json()["guests"]


def latency_ms(umbrad, path, requests):
    """Median of a whole request on a connection of its own."""
    times = []
    for _ in range(requests):
        start = time.perf_counter()
        answer = umbrad.ask(path)
        times.append((time.perf_counter() - start) * 1000)
        assert answer.status == 200, answer.status
    return statistics.median(times)


def measure_halted(count, seconds):
    """Start, memory, sampling and answers with @count guests of 2 MiB that halt."""
    guests = {f"halted-{i}": {"image": "halted.elf", "memory": f"{GUEST_KIB}K"} for i in range(count)}
    umbrad = Umbrad(guests, {"halted.elf": HALTED})
    start = time.monotonic()
    with umbrad:
        def running():
            return all(guest["state"] == "running" for guest in guests_of(umbrad))
        wait_for(running, 300)
        started = time.monotonic() - start
        pids = [guest["pid"] for guest in guests_of(umbrad)]
        time.sleep(2)
        # Nobody asks anything: what the daemon does by itself.
        before = cpu_seconds(umbrad.process.pid)
        time.sleep(seconds)
        sampling = (cpu_seconds(umbrad.process.pid) - before) / seconds
        # A huge page of the host holds all of the guest's memory.
        workers = [status_kib(pid, "RssAnon") - GUEST_KIB for pid in pids]
        return {
            "guests": count,
            "start_seconds": started,
            "umbrad_rss_anon_kib": status_kib(umbrad.process.pid, "RssAnon"),
            "worker_rss_anon_kib": statistics.median(workers),
            "worker_rss_anon_kib_max": max(workers),
            "sampling_share": sampling,
            "metrics_ms": latency_ms(umbrad, "/metrics", 31),
            "guests_ms": latency_ms(umbrad, "/api/v1/guests", 31),
            "metrics_bytes": len(umbrad.ask("/metrics").body),
            "guests_bytes": len(umbrad.ask("/api/v1/guests").body),
        }


def measure_busy(count, seconds):
    """umbrad's share of a core beside @count guests that never rest."""
    guests = {f"busy-{i}": endless(mode="auto") for i in range(count)}
    with Umbrad(guests) as umbrad:
        for name in guests:
            umbrad.wait_state(name, "running")
        time.sleep(3)
        before = cpu_seconds(umbrad.process.pid)
        time.sleep(seconds)
        share = (cpu_seconds(umbrad.process.pid) - before) / seconds
        return {"guests": count, "umbrad_share": share,
                "umbrad_rss_anon_kib": status_kib(umbrad.process.pid, "RssAnon")}


def answered(umbrad):
    """Requests that umbrad has answered so far."""
    text = umbrad.ask("/metrics").body.decode()
    return sum(float(line.split()[-1]) for line in text.splitlines()
               if line.startswith("umbra_http_requests_total{"))


def at_next_snapshot(umbrad, name, pid):
    """Instructions of a snapshot, and the CPU seconds of the guest's thread when it was taken."""
    seen = umbrad.guest(name)["instructions"]
    while True:
        seconds = cpu_seconds(pid, pid)
        instructions = umbrad.guest(name)["instructions"]
        if instructions != seen:
            return instructions, seconds
        time.sleep(0.002)


def guest_speed(umbrad, name, pid, seconds):
    """Guest instructions for each CPU second of the guest's thread."""
    before, cpu_before = at_next_snapshot(umbrad, name, pid)
    time.sleep(seconds - 0.5)
    after, cpu_after = at_next_snapshot(umbrad, name, pid)
    return (after - before) / (cpu_after - cpu_before)


def beside(command, umbrad, name, pid, seconds):
    """The guest's speed while @command keeps the other core busy; what it printed."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        time.sleep(1)
        speed = guest_speed(umbrad, name, pid, seconds)
        process.terminate()
        return speed, process.communicate()[0]


def measure_scraping(seconds, rounds):
    """A guest alone on one core, umbrad and 50 clients on another: by turns without, with a loop
    that only takes that core, and with them."""
    if not shutil.which("wrk"):
        return {"not_measured": "wrk is not installed (Debian package wrk)"}
    if len(os.sched_getaffinity(0)) < 2:
        return {"not_measured": "it takes two CPUs"}
    first, second = sorted(os.sched_getaffinity(0))[:2]
    quiet, spun, scraped, requests = [], [], [], []
    with Umbrad({"busy": endless(mode="ept")}) as umbrad:
        pid = umbrad.wait_state("busy", "running")["pid"]
        for process, cpu in ((umbrad.process.pid, second), (pid, first)):
            for thread in os.listdir(f"/proc/{process}/task"):
                os.sched_setaffinity(int(thread), {cpu})
        there = ["taskset", "-c", str(second)]
        wrk = ["wrk", "-t1", "-c50", "-d600s", f"http://127.0.0.1:{umbrad.port}/metrics"]
        time.sleep(2)
        for _ in range(rounds):
            quiet.append(guest_speed(umbrad, "busy", pid, seconds))
            spun.append(beside([*there, "sh", "-c", "while :; do :; done"], umbrad, "busy", pid,
                               seconds)[0])
            before = answered(umbrad)
            scraped.append(beside([*there, *wrk], umbrad, "busy", pid, seconds)[0])
            requests.append((answered(umbrad) - before) / (seconds + 1))

    def loss(speeds):
        """Each round beside itself: the machine's own drift is in both."""
        return statistics.median(1 - speed / alone for speed, alone in zip(speeds, quiet))
    return {"rounds": rounds, "loss": loss(scraped), "loss_beside_a_loop": loss(spun),
            "quiet": quiet, "spun": spun, "scraped": scraped,
            "requests_per_second": statistics.median(requests)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--halted", type=int, nargs="*", default=[1, 10, 100, 1000])
    parser.add_argument("--busy", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5, help="of scraping; 0: none")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    result = {"halted": [], "busy": []}

    print(f"{'halted':>7} {'start s':>8} {'umbrad KiB':>11} {'worker KiB':>11} {'most':>6}"
          f" {'sampling':>9} {'/metrics ms':>12} {'/guests ms':>11}")
    for count in options.halted:
        row = measure_halted(count, options.seconds)
        result["halted"].append(row)
        print(f"{count:7} {row['start_seconds']:8.1f} {row['umbrad_rss_anon_kib']:11}"
              f" {row['worker_rss_anon_kib']:11.0f} {row['worker_rss_anon_kib_max']:6}"
              f" {row['sampling_share']:9.2%} {row['metrics_ms']:12.2f}"
              f" {row['guests_ms']:11.2f}", flush=True)
    for count in options.busy:
        row = measure_busy(count, options.seconds)
        result["busy"].append(row)
        print(f"busy {count}: umbrad {row['umbrad_share']:.2%} of a core,"
              f" {row['umbrad_rss_anon_kib']} KiB", flush=True)
    if options.rounds:
        row = measure_scraping(options.seconds, options.rounds)
        result["scraping"] = row
        if "loss" in row:
            print(f"50 clients: {row['requests_per_second']:.0f} requests a second take"
                  f" {row['loss']:.2%} of the guest's instructions a CPU second;"
                  f" a loop in their place {row['loss_beside_a_loop']:.2%}")
        else:
            print(f"50 clients: not measured: {row['not_measured']}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
