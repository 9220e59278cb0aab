#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""umbra-collect and umbrad together, with real VMs of this host's KVM."""
import os
import re
import signal
import subprocess
import time

from collect_fixture import COLLECT, Collect, Owner, cannot_run, collectors, observed, wait_vms
from daemon_fixture import Umbrad, endless, process_status, run_tests, wait_for

UUID = "01234567-89ab-cdef-0123-456789abcdef"


def a_vm_is_there_when_it_begins_and_gone_when_it_ends():
    if cannot_run():
        return cannot_run()
    with Umbrad({}) as umbrad, Collect(umbrad) as collect:
        collect.wait_connected()
        with Owner() as owner:
            begun = time.monotonic()
            guest = wait_vms(umbrad, owner, 1)[0]
            found = time.monotonic() - begun
            assert guest["engine"] == "kvm" and guest["state"] == "running"
            assert guest["policy"] == "advise"
            # The VM is there before its vCPUs are.
            wait_for(lambda: umbrad.guest(guest["id"])["cpus"] == 1, 10)
            assert guest["id"] == f"{owner.pid}-{owner.vms[0]}-{guest['vm']['start_time']}"
            begun = time.monotonic()
            owner.tell("close 0")
            wait_vms(umbrad, owner, 0)
            print(f"# found after {found * 1000:.0f} ms, "
                  f"dropped after {(time.monotonic() - begun) * 1000:.0f} ms")
            # The process lives on; so may its next VM.
            owner.tell("create")
            wait_vms(umbrad, owner, 1)
        wait_vms(umbrad, owner, 0)
    return None


def a_vm_that_was_there_before_is_found():
    if cannot_run():
        return cannot_run()
    with Owner("--vms", "2", "--vcpus", "2") as owner, Umbrad({}) as umbrad:
        with Collect(umbrad):
            guests = wait_vms(umbrad, owner, 2)
            whole = [umbrad.guest(guest["id"]) for guest in guests]
        for guest in whole:
            index = {fd: index for index, fd in owner.vms.items()}[guest["vm"]["fd"]]
            assert [vcpu["id"] for vcpu in guest["vm"]["vcpus"]] == [0, 1]
            for vcpu in guest["vm"]["vcpus"]:
                assert vcpu.get("tid") in (None, owner.threads[index, vcpu["id"]]), (guest, vcpu)
    return None


def a_vm_keeps_its_id_when_umbrad_or_the_collector_begins_anew():
    if cannot_run():
        return cannot_run()
    with Owner() as owner, Umbrad({}) as umbrad:
        with Collect(umbrad) as collect:
            first = wait_vms(umbrad, owner, 1)[0]["id"]
            umbrad.stop()
            umbrad.start()
            assert wait_vms(umbrad, owner, 1)[0]["id"] == first
            assert collect.process.poll() is None
        # Nobody measures any more: nothing is shown.
        wait_vms(umbrad, owner, 0)
        assert collectors(umbrad)["kvm"]["state"] == "unsupported: umbra-collect is not connected"
        with Collect(umbrad):
            assert wait_vms(umbrad, owner, 1)[0]["id"] == first
    return None


def what_kvm_counts_is_what_is_shown():
    if cannot_run():
        return cannot_run()
    with Umbrad({}) as umbrad, Collect(umbrad) as collect:
        collect.wait_connected()
        with Owner("--work", "entries", "--keep-stats", "yes") as owner:
            guest = wait_vms(umbrad, owner, 1)[0]
            wait_for(lambda: umbrad.guest(guest["id"]).get("kvm", {}).get("pf_taken"), 20)
            owner.tell("pause")
            time.sleep(2.5)
            stats = [line.split() for line in owner.tell("stats 0")]
            shown = umbrad.guest(guest["id"])["kvm"]
            taken = sum(int(words[4]) for words in stats
                        if words[:2] == ["stat", "vcpu"] and words[3] == "pf_taken")
            assert taken and shown["pf_taken"] == taken, (shown, taken)
            metrics = umbrad.ask("/metrics").body.decode()
            assert f'umbra_guest_kvm_pf_taken_total{{guest="{guest["id"]}"}} {taken}' in metrics
    return None


def a_stopped_owner_delays_nobody():
    if cannot_run():
        return cannot_run()
    with Umbrad({}) as umbrad, Collect(umbrad) as collect:
        collect.wait_connected()
        with Owner("--work", "ports") as stopped, Owner("--work", "ports") as other:
            wait_vms(umbrad, stopped, 1)
            guest = wait_vms(umbrad, other, 1)[0]["id"]
            stopped.process.send_signal(signal.SIGSTOP)

            def clock():
                return umbrad.guest(guest).get("host", {}).get("task_clock_ns", 0)
            for _ in range(4):
                before = wait_for(clock, 20)
                wait_for(lambda: clock() > before, 10)
            assert len(observed(umbrad, stopped.pid)) == 1
            stopped.process.send_signal(signal.SIGCONT)
    return None


def a_stopped_collector_delays_no_scrape():
    if cannot_run():
        return cannot_run()
    with Umbrad({"busy": endless()}) as umbrad, Collect(umbrad) as collect:
        collect.wait_connected()
        umbrad.wait_measured("busy")
        collect.process.send_signal(signal.SIGSTOP)
        for _ in range(3):
            before = umbrad.guest("busy")["instructions"]
            wait_for(lambda: umbrad.guest("busy")["instructions"] > before, 10)
            assert umbrad.ask("/metrics").status == 200
    return None


def a_stopped_collector_is_left_until_it_goes_on():
    if cannot_run():
        return cannot_run()
    with Owner() as owner, Umbrad({}) as umbrad, Collect(umbrad) as collect:
        wait_vms(umbrad, owner, 1)
        collect.process.send_signal(signal.SIGSTOP)
        wait_vms(umbrad, owner, 0, 40)
        assert collectors(umbrad)["kvm"]["state"] == "unsupported: umbra-collect is not connected"
        collect.process.send_signal(signal.SIGCONT)
        wait_vms(umbrad, owner, 1)
    return None


def a_vm_killed_while_it_is_sampled_harms_nobody():
    """Nor does a process that ends while its VM is found: many of them, at random moments."""
    if cannot_run():
        return cannot_run()
    with Umbrad({}) as umbrad, Collect(umbrad) as collect:
        collect.wait_connected()
        fds = f"/proc/{collect.process.pid}/fd"
        before = len(os.listdir(fds))
        killed = set()
        for round_ in range(20):
            with Owner("--vms", "3", "--keep-stats", "yes", "--work", "ports") as owner:
                time.sleep(0.05 * (round_ % 5))
                owner.process.kill()
                owner.process.wait()
                killed.add(owner.pid)
        # Another test may have VMs of its own meanwhile.
        wait_for(lambda: not killed & {guest["pid"] for guest in observed(umbrad)}, 20)
        assert collect.process.poll() is None, collect.log()
        if not observed(umbrad):
            wait_for(lambda: len(os.listdir(fds)) <= before or observed(umbrad), 20)
        assert collect.log().count("\n") == 1, collect.log()
    return None


def each_collector_that_is_off_says_so_and_no_other_suffers():
    if cannot_run():
        return cannot_run()
    names = ("discovery", "kvm", "kvm_exits", "perf_event")
    for off in names:
        with Umbrad({}, policy=f"[collector {off}]\nenabled = no\n") as umbrad:
            with Owner("--keep-stats", "yes") as owner, Collect(umbrad) as collect:
                collect.wait_connected()
                wait_for(lambda: collectors(umbrad)[off]["state"] ==
                         f"denied: [collector {off}] enabled = no", 20)
                states = {name: row["state"] for name, row in collectors(umbrad).items()}
                if off == "discovery":
                    assert not observed(umbrad), observed(umbrad)
                    continue
                wait_vms(umbrad, owner, 1)
                for name in names:
                    assert name == off or "enabled = no" not in states[name], states
    return None


def an_ordinary_user_is_told_what_is_denied():
    if cannot_run():
        return cannot_run()
    with Umbrad({}) as umbrad:
        wrapper = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
        with Owner() as owner, Collect(umbrad, wrapper=wrapper) as collect:
            collect.wait_connected()
            wait_for(lambda: "not measured yet" not in collectors(umbrad)["kvm_exits"]["state"], 20)
            states = {name: row["state"] for name, row in collectors(umbrad).items()}
            for name in ("kvm_exits", "discovery"):
                assert re.match("(denied|degraded): .+", states[name]), states
            assert states["soft"] == "ok"
            assert len(observed(umbrad, owner.pid)) <= 1
            assert collect.process.poll() is None
            assert all(line.startswith("umbra-collect: ")
                       for line in collect.log().splitlines()), collect.log()
    return None


def the_collector_keeps_four_capabilities():
    if cannot_run():
        return cannot_run()
    needed = 1 << 2 | 1 << 19 | 1 << 38 | 1 << 39  # DAC_READ_SEARCH, SYS_PTRACE, PERFMON, BPF
    with Umbrad({}) as umbrad, Collect(umbrad) as collect:
        collect.wait_connected()
        status = process_status(collect.process.pid)
        assert int(status["CapEff"], 16) == needed, status
        assert int(status["CapPrm"], 16) == needed and int(status["CapInh"], 16) == 0
        assert int(status["CapAmb"], 16) == 0 and status["NoNewPrivs"] == "1"
        assert "0" not in status["Uid"].split(), status
    return None


def umbrad_never_switches_the_vm_of_another_program():
    if cannot_run():
        return cannot_run()
    with Umbrad({}) as umbrad, Collect(umbrad), Owner() as owner:
        guest = wait_vms(umbrad, owner, 1)[0]["id"]
        answer = umbrad.put_mode(guest, mode="ept")
        assert answer.status == 409, answer.body
        assert umbrad.guest(guest)["policy"] == "advise"
    return None


def a_configuration_that_was_read_anew_holds_for_the_collector():
    if cannot_run():
        return cannot_run()
    with Umbrad({}) as umbrad, Collect(umbrad) as collect, Owner() as owner:
        wait_vms(umbrad, owner, 1)
        umbrad.configure({}, "[collector perf_event]\nenabled = no\n")
        collect.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "enabled = no" in collectors(umbrad)["perf_event"]["state"], 20)
        wait_vms(umbrad, owner, 1)
        umbrad.configure({}, "[collector perf_event]\nenabled = perhaps\n")
        collect.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "stays as it was" in collect.log(), 20)
        wait_vms(umbrad, owner, 1)
    return None


def both_keep_their_socket_when_the_configuration_is_read_anew():
    if cannot_run():
        return cannot_run()
    with Umbrad({}) as umbrad, Collect(umbrad) as collect, Owner() as owner:
        wait_vms(umbrad, owner, 1)
        for place in (os.path.join(umbrad.directory, "other.sock"), ""):
            umbrad.configure({}, f"collect_socket = {place}\n")
            assert "collect_socket has changed" in umbrad.reload()
            connections = collect.log().count(": connected")
            collect.process.send_signal(signal.SIGHUP)
            wait_for(lambda: collect.log().count(": connected") > connections, 20,
                     collect.log)
            wait_vms(umbrad, owner, 1)
    return None


def a_second_collector_is_told_of_once():
    if cannot_run():
        return cannot_run()
    with Umbrad({}) as umbrad, Collect(umbrad) as first:
        wait_for(lambda: ": connected" in first.log(), 20, first.log)
        second = Collect(umbrad)
        second.log_path += ".second"
        with second:
            wait_for(lambda: "has closed the connection" in second.log(), 20, second.log)
            time.sleep(4)
            assert second.log().count("\n") == 1, second.log()
        assert umbrad.log().count("another umbra-collect is connected") == 1, umbrad.log()
        assert first.log().count("\n") == 1, first.log()
    return None


def advice_has_what_is_known_and_says_what_is_missing():
    if cannot_run():
        return cannot_run()
    with Umbrad({}) as umbrad, Collect(umbrad) as collect, \
            Owner("--keep-stats", "yes", "--work", "spin") as owner:
        collect.wait_connected()

        def advised():
            return [guest for guest in observed(umbrad, owner.pid) if "advice" in guest]
        guest = wait_for(advised, 60)[0]
        advice = guest["advice"]
        states = collectors(umbrad)
        assert advice["mode"] == guest["mode"], guest
        # A spinning guest has no exits for the mode's sake to speak of, but they are counted.
        cost = advice["cost"][guest["mode"]]
        assert "exits_per_second" in cost, guest
        missing = {row["what"]: row["why"] for row in advice["missing"]}
        if states["perf_event"]["state"].startswith("unsupported"):
            assert missing["walk_cycles"] == states["perf_event"]["state"], advice
            assert "cycles_per_second" not in cost and "better" not in advice, advice
            assert "page walks are not measured" in advice["reason"], advice
        # The thread ran most of the time, whether in guest mode or not is not known here.
        assert advice["guest_cycles_per_second"] > 0.05 * advice["frequency"], advice
        told = umbrad.umbra("advise", guest["id"]).stdout
        assert " ".join(told.split()).find(" ".join(advice["reason"].split())) >= 0, told
    return None


def descriptors_are_as_many_as_the_hard_limit_allows():
    """Beyond it perf_event says so, and nothing else suffers."""
    if cannot_run():
        return cannot_run()
    with Umbrad({}) as umbrad, Owner("--vcpus", "40") as owner:
        for hard, fits in ((4096, True), (200, False)):
            with Collect(umbrad, wrapper=("prlimit", f"--nofile=200:{hard}")) as collect:
                collect.wait_connected()
                wait_vms(umbrad, owner, 1)

                def measured():
                    return "task_clock_ns" in observed(umbrad, owner.pid)[0].get("host", {})

                def refused():
                    return "Too many open files" in collectors(umbrad)["perf_event"]["state"]
                wait_for(measured if fits else refused, 20)
                assert measured() == fits and refused() != fits, collectors(umbrad)
                assert observed(umbrad, owner.pid)[0]["cpus"] == 40
    return None


def wrong_options_and_files_are_told():
    for options, status, text in (
            (["--frobnicate"], 64, "usage"), (["more"], 64, "more"),
            (["--config", "/nonexistent"], 66, "/nonexistent"),
            (["--config", "/dev/null", "--socket", "x" * 200], 78, "collect_socket")):
        done = subprocess.run([COLLECT, *options], capture_output=True, text=True, timeout=20,
                              check=False)
        assert done.returncode == status and text in done.stderr, (options, done)
    done = subprocess.run([COLLECT, "--version"], capture_output=True, text=True, timeout=20,
                          check=True)
    assert done.stdout.startswith("umbra-collect "), done


if __name__ == "__main__":
    run_tests([
        a_vm_is_there_when_it_begins_and_gone_when_it_ends,
        a_vm_that_was_there_before_is_found,
        a_vm_keeps_its_id_when_umbrad_or_the_collector_begins_anew,
        what_kvm_counts_is_what_is_shown,
        a_stopped_owner_delays_nobody,
        a_stopped_collector_delays_no_scrape,
        a_stopped_collector_is_left_until_it_goes_on,
        a_vm_killed_while_it_is_sampled_harms_nobody,
        each_collector_that_is_off_says_so_and_no_other_suffers,
        an_ordinary_user_is_told_what_is_denied,
        the_collector_keeps_four_capabilities,
        umbrad_never_switches_the_vm_of_another_program,
        a_configuration_that_was_read_anew_holds_for_the_collector,
        both_keep_their_socket_when_the_configuration_is_read_anew,
        a_second_collector_is_told_of_once,
        descriptors_are_as_many_as_the_hard_limit_allows,
        advice_has_what_is_known_and_says_what_is_missing,
        wrong_options_and_files_are_told,
    ])
