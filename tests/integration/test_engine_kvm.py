#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests on this host's KVM, by umbra run and by umbrad; skipped where there is none."""
import json
import os
import signal
import subprocess
import tempfile

from daemon_fixture import (GUESTS, UMBRA, Umbrad, endless, process_status, run_tests, shipped,
                            wait_for)
from images import multiboot

DEVICE = "/dev/kvm"
# What each takes: little, for there are KVMs that emulate all of it.
SMALL = (("hello", "rounds=3 pages=4"), ("mov1234", ""), ("gups", "rounds=1 pages=256 updates=2048"),
         ("churn", "rounds=2 pages=64"), ("switcher", "rounds=5 spaces=4"),
         ("forker", "rounds=1 depth=1 pages=16"), ("scan", "rounds=2 pages=64"))
# These use SSE, which a KVM that emulates CPL 0 cannot.
WITH_SSE = (("chase", "rounds=1 pages=256 hops=2048"), ("phases", "rounds=1 pages=64"))
SOFT_ONLY = ("instructions", "cycles", "tlb", "walks", "exits", "shadow", "ept", "costs", "clock",
             "processor", "memory", "refill", "switching", "guest_events")


def why_not():
    """Why there is no KVM for this user here; None: there is."""
    if not os.path.exists(DEVICE):
        return f"SKIP no {DEVICE}"
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return f"SKIP {DEVICE}: permission denied"
    return None


def host_mode():
    for module, parameter in (("kvm_intel", "ept"), ("kvm_amd", "npt")):
        path = f"/sys/module/{module}/parameters/{parameter}"
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                return "ept" if file.read().strip() in "1Y" else "shadow"
    return "shadow"


def is_hardware():
    return any(os.path.exists(f"/sys/module/{module}") for module in ("kvm_intel", "kvm_amd"))


def run(*words, stdin=subprocess.DEVNULL, timeout=300):
    return subprocess.run([UMBRA, "run", *words], stdin=stdin, capture_output=True, text=True,
                          timeout=timeout, check=False)


def run_json(*words):
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        done = run("--json", file.name, *words)
        return done, json.load(file)


def printed(done):
    """Without what a guest says of its processor, which is the host's on KVM."""
    return [line for line in done.stdout.splitlines() if not line.startswith("processor:")]


def guests_print_on_kvm_what_they_print_on_the_soft_engine():
    if why_not():
        return why_not()
    for name, append in SMALL + WITH_SSE * is_hardware():
        words = ("--append", append, f"{GUESTS}/{name}.elf")
        soft, kvm = run(*words), run("--engine", "kvm", *words)
        assert soft.returncode == 0 and "checksum" in soft.stdout, (name, soft)
        assert (kvm.returncode, printed(kvm)) == (0, printed(soft)), (name, kvm, soft)
    return None


def processors_of_a_guest_tell_each_other():
    if why_not():
        return why_not()
    words = ("--cpus", "2", "--append", "rounds=2 pages=8 changes=2", f"{GUESTS}/smp.elf")
    soft, kvm = run(*words), run("--engine", "kvm", *words)
    assert (kvm.returncode, kvm.stdout) == (0, soft.stdout), (kvm, soft)
    return None


def what_kvm_does_not_know_is_absent():
    if why_not():
        return why_not()
    done, guest = run_json("--engine", "kvm", "--append", "rounds=2 pages=64",
                           f"{GUESTS}/churn.elf")
    assert done.returncode == 0, done
    assert (guest["engine"], guest["policy"]) == ("kvm", "pinned"), guest
    assert guest["mode"] == host_mode() and guest["mode_reason"], guest
    assert not [key for key in SOFT_ONLY if key in guest], guest.keys()
    assert guest["time"] > 0 and guest["kvm"]["exits"] > 0, guest
    assert len(guest["registers"]) == 1 and len(guest["memory_hash"]) == 32
    assert f"mode {host_mode()}" in done.stderr and "KVM's statistics" in done.stderr, done.stderr
    return None


def another_mode_is_refused_with_the_reason():
    if why_not():
        return why_not()
    other = "ept" if host_mode() == "shadow" else "shadow"
    done = run("--engine", "kvm", "--mode", other, f"{GUESTS}/hello.elf")
    assert done.returncode == 69 and f"the host's KVM has {host_mode()}: " in done.stderr, done
    assert run("--engine", "kvm", "--mode", host_mode(), f"{GUESTS}/hello.elf").returncode == 0
    return None


def a_limit_or_a_signal_ends_it_with_its_state():
    if why_not():
        return why_not()
    words = ("--engine", "kvm", "--append", "rounds=0", f"{GUESTS}/switcher.elf")
    done = run("--max-seconds", "0.5", *words)
    assert done.returncode == 124 and "limit_seconds" in done.stderr, done
    assert "64-bit mode, bytes" in done.stderr and "rip" in done.stderr, done.stderr
    with subprocess.Popen([UMBRA, "run", *words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        def runs():
            status = process_status(process.pid)
            catches = int(status["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1
            return catches and int(status["Threads"]) > 1
        try:
            wait_for(runs, 20)
            # Not SIGINT: who runs tests in the background may have it ignored, and so it stays.
            process.send_signal(signal.SIGTERM)
            errors = process.communicate(timeout=60)[1].decode()
        finally:
            process.kill()
    assert process.returncode == 143 and "stopped by signal 15" in errors, errors
    return None


def it_ends_when_nobody_reads_its_console_any_more():
    if why_not():
        return why_not()
    # A newline to the UART, for ever
    image = multiboot(bytes.fromhex("66baf803" "b00a" "ee" "ebfd"))
    with tempfile.NamedTemporaryFile() as file:
        file.write(image)
        file.flush()
        with subprocess.Popen([UMBRA, "run", "--engine", "kvm", file.name], bufsize=0,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as process:
            try:
                assert process.stdout.read(1) == b"\n"
                process.stdout.close()
                assert process.wait(60) == 128 + signal.SIGPIPE, process.returncode
            finally:
                process.kill()


def its_console_is_standard_input_and_output():
    if why_not():
        return why_not()
    # LSR: wait for a byte; echo it; until it is "!"; debug exit
    echo = multiboot(bytes.fromhex("66bafd03" "ec" "a801" "74f7" "66baf803" "ec" "ee" "3c21"
                                   "75ed" "b000" "e6f4"))
    with tempfile.TemporaryDirectory() as folder:
        image, text = os.path.join(folder, "echo"), os.path.join(folder, "text")
        for path, content in ((image, echo), (text, b"one, two!")):
            with open(path, "wb") as file:
                file.write(content)
        with open(text, "rb") as file:
            done = run("--engine", "kvm", image, stdin=file)
    assert (done.returncode, done.stdout) == (0, "one, two!"), done
    return None


def what_kvm_cannot_emulate_names_the_soft_engine():
    if why_not():
        return why_not()
    if is_hardware():
        return "SKIP this KVM has hardware virtualization: it need not emulate"
    # CR0: no EM; CR4: OSFXSR; movd xmm0, eax; debug exit
    image = multiboot(bytes.fromhex("0f20c0" "83e0fb" "0f22c0" "b800020000" "0f22e0" "660f6ec0"
                                    "b000" "e6f4"))
    with tempfile.NamedTemporaryFile() as file:
        file.write(image)
        file.flush()
        done = run("--engine", "kvm", file.name)
        soft = run(file.name)
    assert soft.returncode == 0, soft
    assert done.returncode == 120 and "--engine soft" in done.stderr, done
    assert "bytes 66 0f 6e c0" in done.stderr, done.stderr
    return None


class KvmUmbrad(Umbrad):
    """Started as root, which umbrad gives up, it has a /dev/kvm of its own with that @mode."""

    def __init__(self, guests, mode="666"):
        super().__init__(guests)
        if not os.geteuid():
            self.wrapper = ("unshare", "--mount", "sh", "-ec",
                            f"mount -t tmpfs none /mnt; mknod -m {mode} /mnt/kvm c 10 232; "
                            f'mount --bind /mnt/kvm {DEVICE}; exec "$@"', "sh")


def umbrad_runs_guests_on_kvm_beside_others():
    if why_not():
        return why_not()
    other = "ept" if host_mode() == "shadow" else "shadow"
    with KvmUmbrad({"hard": endless(engine="kvm"), "soft": endless(mode="shadow"),
                    "wrong": endless(engine="kvm", mode=other)}) as umbrad:
        def measured():
            guest = umbrad.guest("hard")
            return guest if guest["state"] == "running" and "kvm" in guest else None
        first = wait_for(measured, 60, lambda: umbrad.guest("hard"))
        assert (first["engine"], first["mode"], first["policy"]) == ("kvm", host_mode(), "advise")
        assert first["mode_reason"] and not [key for key in SOFT_ONLY if key in first], first

        def goes_on():
            return measured() and measured()["kvm"]["exits"] > first["kvm"]["exits"]
        wait_for(goes_on, 60)
        umbrad.wait_measured("soft")
        state = umbrad.ask("/api/v1/host").json()["engines"]["kvm"]
        assert state == "ok" if is_hardware() else state.startswith("degraded: "), state
        wrong = umbrad.wait_state("wrong", "failed")
        assert f"the host's KVM has {host_mode()}" in wrong["end"]["text"], wrong
        # All threads are in the sandbox.
        for thread in os.listdir(f"/proc/{first['pid']}/task"):
            assert process_status(f"{first['pid']}/task/{thread}")["Seccomp"] == "2", thread
        assert umbrad.put_mode("hard", mode=other).status == 409
        assert umbrad.put_mode("hard", policy="auto").status == 409
        assert umbrad.put_mode("hard", policy="pinned").status == 200
        assert "what the host's KVM has" in umbrad.umbra("advise", "hard").stdout
        assert umbrad.ask("/api/v1/guests/hard/translate?gva=0x1000").status == 409
        series = umbrad.ask("/metrics").body.decode()
        assert 'umbra_guest_kvm_exits_total{guest="hard"}' in series, series
        assert 'umbra_guest_instructions_total{guest="hard"}' not in series, series
        assert 'umbra_guest_instructions_total{guest="soft"}' in series, series
    return None


def umbrad_tells_how_a_guest_on_kvm_ended():
    if why_not():
        return why_not()
    with KvmUmbrad({"a": shipped("churn", "rounds=1 pages=32", engine="kvm", cpus=2)}) as umbrad:
        guest = umbrad.wait_state("a", "ended", 120)
        assert guest["end"]["reason"] == "debug_exit" and guest["end"]["value"] == 0, guest
        assert len(guest["registers"]) == 2 and guest["memory_hash"], guest
        assert guest["kvm"]["exits"] > 0, guest
    return None


def who_may_not_use_kvm_is_told():
    if why_not():
        return why_not()
    if os.geteuid():
        return "SKIP only root can start an umbrad that may not use /dev/kvm"
    with KvmUmbrad({"hard": endless(engine="kvm"), "soft": endless()}, mode="600") as umbrad:
        text = umbrad.wait_state("hard", "failed")["end"]["text"]
        assert DEVICE in text and "denied" in text and "group (kvm)" in text, text
        umbrad.wait_measured("soft")
        assert umbrad.ask("/api/v1/host").json()["engines"]["kvm"].startswith("denied: ")
    return None


if __name__ == "__main__":
    run_tests([guests_print_on_kvm_what_they_print_on_the_soft_engine,
               processors_of_a_guest_tell_each_other,
               what_kvm_does_not_know_is_absent,
               another_mode_is_refused_with_the_reason,
               a_limit_or_a_signal_ends_it_with_its_state,
               it_ends_when_nobody_reads_its_console_any_more,
               its_console_is_standard_input_and_output,
               what_kvm_cannot_emulate_names_the_soft_engine,
               umbrad_runs_guests_on_kvm_beside_others,
               umbrad_tells_how_a_guest_on_kvm_ended,
               who_may_not_use_kvm_is_told])
