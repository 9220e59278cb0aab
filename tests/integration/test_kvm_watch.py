#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""VMs of other processes on /dev/kvm are found and their statistics read, and nothing leaks."""
import os
import re
import signal
import socket
import subprocess
import sys
import time

import kvm_fixture
from daemon_fixture import run_tests
from kvm_fixture import DEBUGFS, Owner, Watch

NETLINK_KOBJECT_UEVENT = 15
UUID = "5c0e9c8a-5a0b-4a44-9a0e-2f6a3b0c1d2e"
NO_DEBUGFS = ("unshare", "--mount", "sh", "-c",
              f'while umount {DEBUGFS} 2>/dev/null; do :; done; exec "$@"', "sh")


def start_time(pid):
    """Of the process, in clock ticks since boot."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rsplit(")", 1)[1].split()[19]


def told(watch, pids):
    """The numbers of the VMs of these processes that were found, and of those that vanished."""
    found = [words[1] for words in map(str.split, watch.seen)
             if words[0] == "found" and int(words[3]) in pids]
    return found, [words[1] for words in map(str.split, watch.seen)
                   if words[0] == "vanished" and words[1] in found]


def spare_descriptors(watch):
    """How many it has beside two for each VM that it knows: others start and end VMs too."""
    while True:
        watch.ask("state")
        events = len(watch.seen)
        descriptors = watch.descriptors()
        watch.ask("state")
        if len(watch.seen) == events:
            words = [line.split()[0] for line in watch.seen]
            return descriptors - 2 * (words.count("found") - words.count("vanished"))


def keeps(watch, wanted):
    """It comes to have so many spare descriptors."""
    end = time.monotonic() + kvm_fixture.SECONDS
    while spare_descriptors(watch) != wanted and time.monotonic() < end:
        watch.ask("refresh")
    return spare_descriptors(watch) == wanted


def a_vm_is_found_by_its_event_at_once_and_its_vcpus_by_debugfs():
    """No scan is asked for. Threads bear the names of other vCPUs: names do not count."""
    with Watch() as watch, Owner("--vcpus", "3", "--threads", "wrong") as owner:
        found = watch.wait_vm(owner.process.pid, owner.vms[0][2])
        assert found, watch.seen
        assert int(found["fd"]) == owner.vms[0][0]
        assert found["id"] == f"{owner.process.pid}-{found['fd']}-{start_time(owner.process.pid)}"
        assert found["name"] == f"kvm_owner-{owner.process.pid}"
        assert watch.states()["discovery"] == "ok"


def a_scan_finds_what_was_there_before_with_the_same_id():
    with Owner("--vms", "3", "--vcpus", "2") as owner:
        ids = []
        for _ in range(2):
            with Watch() as watch:
                watch.say("scan")
                seen = [watch.wait_vm(owner.process.pid) for _ in owner.vms]
                assert [int(vm["fd"]) for vm in seen] == [vm[0] for vm in owner.vms]
                ids.append([vm["id"] for vm in seen])
        assert ids[0] == ids[1] and len(set(ids[0])) == 3, ids


def a_closed_vm_vanishes_while_its_owner_lives_and_all_at_the_owners_end():
    with Watch() as watch, Owner("--vms", "3") as owner:
        numbers = [watch.wait_vm(owner.process.pid, what="found")["number"] for _ in owner.vms]
        watch.ask("sample")
        owner.ask("close 1")
        assert watch.wait_vanished(numbers[1])
        assert owner.process.poll() is None
        owner.kill()
        assert watch.wait(rf"^vanished ({numbers[0]}|{numbers[2]})$")
        assert watch.wait(rf"^vanished ({numbers[0]}|{numbers[2]})$")


def a_vm_is_its_processs_whichever_thread_made_it():
    for creator in ("thread", "ended"):
        with Owner("--creator", creator, "--vcpus", "2") as owner:
            assert owner.vms[0][1] != owner.process.pid
            with Watch() as watch:
                watch.say("scan")
                assert watch.wait_vm(owner.process.pid, owner.vms[0][2]), (creator, watch.seen)
    with Watch() as watch, Owner("--creator", "ended", "--vcpus", "2") as owner:
        watch.say("refresh")
        assert watch.wait_vm(owner.process.pid, owner.vms[0][2]), watch.seen


def names_and_uuids_of_qemu_hold_and_two_vms_with_one_uuid_are_told_apart():
    arguments = ("-name", "guest=web,,1 a,debug-threads=on", "-uuid", UUID.upper())
    program = "/usr/bin/qemu-system-x86_64"
    with Watch() as watch, Owner(program=program, arguments=arguments) as first, \
            Owner(program=program, arguments=arguments) as second:
        one = watch.wait_vm(first.process.pid, what="found")
        two = watch.wait_vm(second.process.pid, what="found")
        assert (one["id"], one["name"]) == (UUID, "web,1_a")
        assert two["name"] == "web,1_a"
        assert two["id"] == f"{UUID}-{second.process.pid}-{two['fd']}-" \
                            f"{start_time(second.process.pid)}"
        with Watch() as again:
            again.say("scan")
            assert again.wait_vm(first.process.pid)["id"] == one["id"]
            assert again.wait_vm(second.process.pid)["id"] == two["id"]


def a_vm_in_a_container_is_found_as_the_hosts_process():
    before = ("unshare", "--pid", "--mount", "--mount-proc", "--fork", "--kill-child")
    with Watch() as watch, Owner("--vcpus", "2", before=before, stderr=subprocess.DEVNULL) as owner:
        inside = {tid for _, _, vcpus in owner.vms for tid in vcpus.values()}
        with open(f"/proc/{owner.process.pid}/task/{owner.process.pid}/children",
                  encoding="utf-8") as file:
            pid = int(file.read())
        vm = watch.wait_vm(pid, what="found")
        assert vm, watch.seen
        tids = re.compile(r" 0:(\d+) 1:(\d+)$")
        while not (match := tids.search(vm["vcpus"])) or "0" in match.groups():
            vm = watch.wait_vm(pid)
            assert vm, watch.seen
        for tid in map(int, match.groups()):
            assert tid not in inside
            with open(f"/proc/{tid}/status", encoding="utf-8") as file:
                status = file.read()
            assert re.search(rf"^Tgid:\t{pid}$", status, re.M), status
        watch.say("scan")
        subprocess.run(["kill", "-9", str(pid)], check=False)
        assert watch.wait_vanished(vm["number"])


def in_a_pid_namespace_of_its_own_it_finds_what_is_there_and_says_so():
    before = ("unshare", "--pid", "--mount", "--mount-proc", "--fork", "--kill-child")
    with Watch(before=before) as watch, Owner() as owner:
        watch.say("scan")
        assert not watch.wait_vm(owner.process.pid, seconds=1)
        assert watch.states()["discovery"].startswith("degraded: not the host's PID namespace")


def without_debugfs_and_events_descriptors_are_looked_at():
    with Owner("--vcpus", "2") as owner, Watch("--uevents", "no", before=NO_DEBUGFS) as watch:
        watch.say("scan")
        pid, vcpus = owner.process.pid, owner.vms[0][2]
        vm = watch.wait_vm(pid, {0: 0, 1: 0})
        assert vm, watch.seen
        states = watch.states()
        assert "no uevents" in states["discovery"] and "is debugfs mounted?" in states["discovery"]
        # Pairs of another process, of a vCPU that is not there, and then the real ones.
        watch.ask(f"thread {os.getpid()} {vcpus[0]} 0")
        watch.ask(f"thread {pid} {vcpus[0]} 7")
        for vcpu, tid in vcpus.items():
            watch.ask(f"thread {pid} {tid} {vcpu}")
        assert re.search(f"changed .* 0:{vcpus[0]} 1:{vcpus[1]}$", "\n".join(watch.seen), re.M)
        owner.ask("create")
        for _ in range(2):
            watch.ask("refresh")
        assert len(told(watch, {pid})[0]) == 2, watch.seen
        owner.ask("close 0")
        watch.say("refresh")
        assert watch.wait_vanished(vm["number"])


def descriptors_that_are_duplicated_or_inherited_are_one_vm():
    with Owner("--vms", "2") as owner:
        owner.ask("share 0")
        pid = owner.process.pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
            child = int(file.read())
        links = [os.readlink(f"/proc/{process}/fd/{fd}") for process in (pid, child)
                 for fd in os.listdir(f"/proc/{process}/fd")]
        assert links.count("anon_inode:kvm-vm") == 6, links
        for before in ((), NO_DEBUGFS):
            with Watch(before=before) as watch:
                for _ in range(2):
                    watch.ask("scan")
                fds = [int(line.split()[5]) for line in watch.seen
                       if line.startswith("found ") and int(line.split()[3]) in (pid, child)]
                assert sorted(fds) == sorted(vm[0] for vm in owner.vms), (before, watch.seen)
                assert not any(f" pid {child} " in line for line in watch.seen), watch.seen


def events_that_others_send_are_not_believed():
    message = "\0".join(["change@/devices/virtual/misc/kvm", "ACTION=change",
                         "DEVPATH=/devices/virtual/misc/kvm", "SUBSYSTEM=misc", "CREATED=1",
                         "COUNT=1", "EVENT=create", f"PID={os.getpid()}", ""]).encode()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_KOBJECT_UEVENT) as listener, \
            socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_KOBJECT_UEVENT) as sender, \
            Watch() as watch, Owner() as owner:
        listener.bind((0, 1))
        listener.settimeout(kvm_fixture.SECONDS)
        number = watch.wait_vm(owner.process.pid)["number"]
        forged = message.replace(b"create", b"destroy").replace(
            str(os.getpid()).encode(), str(owner.process.pid).encode())
        for payload in (message, forged):
            sender.sendto(payload, (0, 1))
            while listener.recv(8192) != payload:
                pass
        watch.ask("state")
        assert not watch.wait_vanished(number, seconds=0.5)
        assert not any(f"pid {os.getpid()} " in line for line in watch.seen)


def after_lost_events_a_scan_finds_what_they_told_of():
    """While it sleeps more events arrive than its socket holds, the VM's last of all."""
    with Watch() as watch:
        os.kill(watch.process.pid, signal.SIGSTOP)
        with open("/sys/devices/virtual/misc/kvm/uevent", "w", encoding="ascii") as file:
            for _ in range(8000):
                file.write("change")
                file.flush()
        with Owner() as owner:
            with open("/proc/net/netlink", encoding="ascii") as file:
                drops = [line.split()[8] for line in file
                         if line.split()[1:3] == ["15", str(watch.process.pid)]]
            assert any(int(drop) for drop in drops), drops
            os.kill(watch.process.pid, signal.SIGCONT)
            assert watch.wait_vm(owner.process.pid), watch.seen


def statistics_equal_what_the_owner_itself_reads():
    for work in ("touch", "tables", "entries"):
        with Watch() as watch, \
                Owner("--vcpus", "3", "--work", work, "--keep-stats", "yes") as owner:
            number = watch.wait_vm(owner.process.pid, owner.vms[0][2])["number"]
            time.sleep(0.3)
            owner.ask("pause")
            figures, others = watch.sample(number)
            wanted = owner.statistics()
            assert wanted["exits"] > 0
            for name, value in wanted.items():
                have = figures if "kvm_" + name in figures else others
                key = "kvm_" + name if have is figures else name
                assert name.startswith("max_") or have[key] == value, (work, name, have[key], value)
            assert len(figures) > 40
            owner.ask("resume")
            time.sleep(0.2)
            assert watch.sample(number)[0]["kvm_exits"] > figures["kvm_exits"]


def a_borrowed_descriptor_keeps_no_vm_alive():
    with Watch() as watch, Owner("--keep-stats", "yes") as owner:
        number = watch.wait_vm(owner.process.pid, owner.vms[0][2])["number"]
        folder = f"{DEBUGFS}/kvm/{owner.vms[0][1]}-{owner.vms[0][0]}"
        assert os.path.isdir(folder)
        for _ in range(3):
            assert "kvm_exits" in watch.sample(number)[0]
        owner.ask("close 0")
        assert not os.path.exists(folder)
        assert watch.wait_vanished(number)


def a_statistics_descriptor_that_closes_is_seen_and_nothing_else_is_read_for_it():
    with Watch() as watch, Owner("--keep-stats", "yes", "--vcpus", "2") as owner:
        number = watch.wait_vm(owner.process.pid, owner.vms[0][2])["number"]
        assert "kvm_exits" in watch.sample(number)[0]
        descriptors = spare_descriptors(watch)
        owner.ask("close-stats 0")
        figures = watch.sample(number)[0]
        state = watch.states()["kvm"]
        if "lockdown" in state:
            assert "kvm_exits" not in figures and "kvm_pages_4k" in figures, figures
            assert re.search(r"\d without statistics of vCPUs, \d+ of the VM", state), state
            assert "keep no statistics descriptors open" in state, state
        else:
            assert "kvm_exits" in figures and state == "ok", state
        assert keeps(watch, descriptors)


def no_count_falls_when_descriptors_are_closed():
    """Then debugfs has them, but most of them in one round of eight only."""
    gauges = re.compile("kvm_(pages_|max_|mmu_unsync|nx_lpage_splits|blocking|guest_mode)")
    with Watch() as watch, \
            Owner("--keep-stats", "yes", "--vcpus", "2", "--work", "entries") as owner:
        number = watch.wait_vm(owner.process.pid, owner.vms[0][2])["number"]
        for _ in range(3):
            time.sleep(0.2)
            before = watch.sample(number)[0]
        owner.ask("close-stats 0")
        after = watch.sample(number)[0]
        fell = {name: (before[name], after[name]) for name in before
                if after.get(name, before[name]) < before[name] and not gauges.match(name)}
        assert not fell, fell


def a_file_in_a_descriptors_place_whose_close_never_ends_delays_nobody():
    if not os.path.exists("/dev/fuse"):
        return "SKIP there is no /dev/fuse"
    command = ("unshare", "--mount", sys.executable,
               os.path.join(os.path.dirname(os.path.abspath(__file__)), "hung_file.py"))
    with Watch() as watch, kvm_fixture.Program(command) as hostile:
        number = watch.wait_vm(hostile.process.pid, {0: 0})["number"]
        assert "kvm_exits" in watch.sample(number)[0]
        hostile.ask("swap")
        for _ in range(3):
            watch.sample(number)
    return None


def a_stopped_owner_delays_nobody():
    with Watch() as watch, Owner("--keep-stats", "yes", "--work", "touch") as owner, \
            Owner("--keep-stats", "yes", "--work", "touch") as other:
        numbers = [watch.wait_vm(program.process.pid, program.vms[0][2])["number"]
                   for program in (owner, other)]
        os.kill(owner.process.pid, signal.SIGSTOP)
        try:
            before = [watch.sample(number)[0] for number in numbers]
            time.sleep(0.3)
            begun = time.monotonic()
            after = [watch.sample(number)[0] for number in numbers]
            watch.ask("refresh")
            assert time.monotonic() - begun < kvm_fixture.SECONDS / 2
        finally:
            os.kill(owner.process.pid, signal.SIGCONT)
        assert before[0] and set(after[0]) == set(before[0])
        assert after[1]["kvm_exits"] > before[1]["kvm_exits"]


def a_thousand_vms_come_and_go_without_a_descriptor_left():
    with Watch() as watch:
        with Owner("--keep-stats", "yes") as owner:
            number = watch.wait_vm(owner.process.pid)["number"]
            watch.sample(number)
            descriptors = spare_descriptors(watch)
            owner.say("cycle 1000")
            while owner.lines.empty():
                watch.ask("sample")
                watch.ask("refresh")
            owner.answer()
            watch.ask("refresh")
            while watch.next(0.5):
                pass
            found, vanished = told(watch, {owner.process.pid})
            assert len(found) > 500, len(found)
            assert set(found) - set(vanished) == {number}, set(found) - set(vanished)
            assert keeps(watch, descriptors)


def owners_killed_in_the_middle_of_samples_leave_nothing():
    with Watch() as watch:
        watch.ask("sample")
        descriptors = spare_descriptors(watch)
        pids = set()
        for i in range(60):
            owner = Owner("--keep-stats", "yes", "--vcpus", "2", "--work", "touch")
            watch.say("sample")
            if i % 2:
                watch.say("refresh")
            owner.kill()
            watch.say("sample")
            pids.add(owner.process.pid)
        watch.ask("refresh")
        while watch.next(0.5):
            pass
        found, vanished = told(watch, pids)
        # On a busy machine one may be gone before it is looked at.
        assert len(found) > 40 and sorted(found) == sorted(vanished)
        assert keeps(watch, descriptors)


def an_ordinary_user_is_told_what_is_denied_and_finds_new_vms():
    before = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    with Owner("--keep-stats", "yes") as old, Watch(before=before) as watch:
        watch.ask("scan")
        with Owner("--keep-stats", "yes") as owner:
            number = watch.wait_vm(owner.process.pid, what="found")["number"]
            assert not any(f" pid {old.process.pid} " in line for line in watch.seen)
            assert watch.sample(number) == ({}, {})
            states = watch.states()
        assert "debug/kvm: Permission denied" in states["discovery"], states
        assert "CAP_SYS_PTRACE" in states["discovery"], states
        assert states["kvm"].startswith("denied: of "), states
        assert "Permission denied" in states["kvm"] and "CAP_SYS_PTRACE" in states["kvm"], states


def root_without_cap_sys_ptrace_is_told_so():
    before = ("setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-all")
    with Watch(before=before) as watch, Owner("--keep-stats", "yes") as owner:
        number = watch.wait_vm(owner.process.pid, owner.vms[0][2])["number"]
        watch.sample(number)
        states = watch.states()
        assert states["discovery"] == "ok", states
        assert states["kvm"] == "ok" or "CAP_SYS_PTRACE" in states["kvm"], states
        assert states["kvm"] != "ok" or "kvm_exits" in watch.sample(number)[0]


def without_debugfs_statistics_come_from_descriptors_alone():
    with Watch(before=NO_DEBUGFS) as watch, Owner() as plain, \
            Owner("--keep-stats", "yes") as owner:
        states = watch.states()
        numbers = [watch.wait_vm(program.process.pid)["number"] for program in (plain, owner)]
        # Their vCPUs came after them.
        while not watch.sample(numbers[1])[0].get("kvm_exits"):
            watch.ask("refresh")
        assert watch.sample(numbers[0]) == ({}, {})
        states = watch.states()
        assert re.match(r"degraded: of \d+ VMs \d+ without statistics of vCPUs, \d+ of the VM: "
                        r".*debug/kvm: missing, is debugfs mounted\?", states["kvm"]), states


if __name__ == "__main__":
    kvm_fixture.skip_without_kvm()
    kvm_fixture.with_debugfs()
    sys.exit(run_tests([
        a_vm_is_found_by_its_event_at_once_and_its_vcpus_by_debugfs,
        a_scan_finds_what_was_there_before_with_the_same_id,
        a_closed_vm_vanishes_while_its_owner_lives_and_all_at_the_owners_end,
        a_vm_is_its_processs_whichever_thread_made_it,
        names_and_uuids_of_qemu_hold_and_two_vms_with_one_uuid_are_told_apart,
        a_vm_in_a_container_is_found_as_the_hosts_process,
        in_a_pid_namespace_of_its_own_it_finds_what_is_there_and_says_so,
        without_debugfs_and_events_descriptors_are_looked_at,
        descriptors_that_are_duplicated_or_inherited_are_one_vm,
        events_that_others_send_are_not_believed,
        after_lost_events_a_scan_finds_what_they_told_of,
        statistics_equal_what_the_owner_itself_reads,
        a_borrowed_descriptor_keeps_no_vm_alive,
        a_statistics_descriptor_that_closes_is_seen_and_nothing_else_is_read_for_it,
        no_count_falls_when_descriptors_are_closed,
        a_file_in_a_descriptors_place_whose_close_never_ends_delays_nobody,
        a_stopped_owner_delays_nobody,
        a_thousand_vms_come_and_go_without_a_descriptor_left,
        owners_killed_in_the_middle_of_samples_leave_nothing,
        an_ordinary_user_is_told_what_is_denied_and_finds_new_vms,
        root_without_cap_sys_ptrace_is_told_so,
        without_debugfs_statistics_come_from_descriptors_alone,
    ]))
