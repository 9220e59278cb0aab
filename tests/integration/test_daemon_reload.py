#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""SIGHUP: what has changed in the configuration happens, and nobody else notices."""
import os
import re
import signal
import threading
import time

from daemon_fixture import SPIN, Umbrad, endless, is_alive, run_tests, shipped, wait_for


def running(umbrad, *names):
    """The pids of guests' workers, which run."""
    return [umbrad.wait_state(name, "running")["pid"] for name in names]


def assert_goes_on(umbrad, name, pid):
    """The guest has the same worker, and that executes instructions."""
    before = umbrad.guest(name)
    assert before["pid"] == pid and is_alive(pid), (name, pid, before["pid"])

    def more():
        return umbrad.guest(name).get("instructions", 0) > before.get("instructions", 0)
    wait_for(more, 20)
    assert umbrad.guest(name)["pid"] == pid


def freeze(pid):
    """Stops the process; it takes no message until it goes on."""
    os.kill(pid, signal.SIGSTOP)

    def stopped():
        states = set()
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/stat", encoding="utf-8") as file:
                states.add(file.read().rsplit(")", 1)[1].split()[0])
        return states == {"T"}
    wait_for(stopped, 20)


def wait_anew(umbrad, name, pid):
    """Waits until the guest runs in another worker than @pid."""
    def anew():
        guest = umbrad.guest(name)
        return guest["state"] == "running" and guest.get("pid", pid) != pid
    wait_for(anew, 30)
    assert not is_alive(pid)


def names(umbrad):
    return sorted(guest["id"] for guest in umbrad.ask("/api/v1/guests").json()["guests"])


def wait_gone(umbrad, name, pid):
    def gone():
        return umbrad.ask(f"/api/v1/guests/{name}").status == 404 and not is_alive(pid)
    wait_for(gone, 20)


def guests_come_and_go_and_the_others_run_on():
    with Umbrad({"stays": endless(), "goes": endless()}) as umbrad:
        stays, goes = running(umbrad, "stays", "goes")
        umbrad.configure({"new": endless(), "stays": endless()})
        log = umbrad.reload()
        assert "guests: 1 new, 1 stopped, 0 started anew, 0 with another" in log, log
        assert "guest goes: it is no longer in the configuration: stopped" in log
        wait_gone(umbrad, "goes", goes)
        new, = running(umbrad, "new")
        assert new not in (stays, goes)
        assert_goes_on(umbrad, "stays", stays)
        assert names(umbrad) == ["new", "stays"]
        # Not a guest that failed: one that is gone.
        assert "guest goes: its worker" not in umbrad.log()
        # What goes may come back.
        umbrad.configure({"goes": endless(), "stays": endless()})
        umbrad.reload()
        wait_gone(umbrad, "new", new)
        again, = running(umbrad, "goes")
        assert again != goes
        assert_goes_on(umbrad, "stays", stays)


def reload_without_changes_changes_nothing():
    guests = {"a": endless(mode="shadow"), "b": endless(), "c": endless(policy="advise")}
    with Umbrad(guests) as umbrad:
        pids = running(umbrad, *guests)
        for _ in range(3):
            log = umbrad.reload()
            assert "guests: 0 new, 0 stopped, 0 started anew, 0 with another" in log, log
        for name, pid in zip(guests, pids):
            assert_goes_on(umbrad, name, pid)
        assert umbrad.guest("a")["switches"] == []


def wait_choice(umbrad, name, mode, policy):
    def chosen():
        guest = umbrad.guest(name)
        return guest if (guest["mode"], guest["policy"]) == (mode, policy) else None
    return wait_for(chosen, 20)


def modes_and_policies_change_live():
    with Umbrad({"a": endless(mode="ept"), "b": endless(mode="ept"), "c": endless(mode="ept"),
                 "d": endless(mode="brute"), "e": endless(mode="shadow")}) as umbrad:
        pids = running(umbrad, *"abcde")
        umbrad.configure({
            "a": endless(mode="shadow"), "b": endless(mode="shadow", policy="advise"),
            "c": endless(policy="advise"), "d": endless(policy="pinned"), "e": endless(mode="ept"),
        })
        log = umbrad.reload()
        assert "0 started anew, 5 with another mode or policy" in log, log
        a = wait_choice(umbrad, "a", "shadow", "pinned")
        b = wait_choice(umbrad, "b", "shadow", "advise")
        c = wait_choice(umbrad, "c", "ept", "advise")
        e = wait_choice(umbrad, "e", "ept", "pinned")
        for guest in (a, b, e):
            assert [s["reason"] for s in guest["switches"]] == ["configuration"], guest["switches"]
        assert c["switches"] == []
        # And `umbra guests` says so: it was neither an operator nor the policy.
        told = umbrad.umbra("guests").stdout
        assert told.count("switched from ept to shadow by the configuration") == 2, told
        assert told.count("switched from shadow to ept by the configuration") == 1, told
        assert "policy" not in told.split("\n", 1)[1], told
        # Without a mode it is ept, as at a start.
        wait_choice(umbrad, "d", "ept", "pinned")
        for name, pid in zip("abcde", pids):
            assert_goes_on(umbrad, name, pid)
        # The policy decides again; it begins where the guest is.
        umbrad.configure({name: endless(mode="auto") for name in "abcde"})
        umbrad.reload()
        for name, pid in zip("abcde", pids):
            wait_for(lambda name=name: umbrad.guest(name)["policy"] == "auto", 20)
            assert_goes_on(umbrad, name, pid)
        assert all(s["reason"] in ("configuration", "policy", "rollback")
                   for name in "abcde" for s in umbrad.guest(name)["switches"])


def what_a_worker_could_not_take_is_asked_for_again():
    with Umbrad({"a": endless(mode="ept")}) as umbrad:
        pid, = running(umbrad, "a")

        def freeze_all(frozen):
            body = '{"frozen":true}' if frozen else '{"frozen":false}'
            assert umbrad.ask("/api/v1/host", "PUT", body, local=True).status == 200
        freeze_all(True)
        umbrad.configure({"a": endless(mode="shadow")})
        umbrad.reload()
        wait_for(lambda: "guest a: not as configured until the next reload or start: all "
                 "switching is frozen" in umbrad.log(), 20)
        assert (umbrad.guest("a")["mode"], umbrad.guest("a")["pid"]) == ("ept", pid)
        freeze_all(False)
        assert "1 with another mode or policy" in umbrad.reload()
        wait_choice(umbrad, "a", "shadow", "pinned")
        assert "0 with another mode or policy" in umbrad.reload()
        assert umbrad.guest("a")["pid"] == pid


def rules_and_the_default_policy_change_live():
    with Umbrad({"web-1": endless(), "db-1": endless()}, policy="[policy]\npolicy = pinned") \
            as umbrad:
        pids = running(umbrad, "web-1", "db-1")
        wait_choice(umbrad, "web-1", "ept", "pinned")
        umbrad.configure({"web-1": endless(), "db-1": endless()},
                         "[policy]\npolicy = advise\n[workload web]\nmatch = web-*\nmode = brute")
        umbrad.reload()
        wait_choice(umbrad, "web-1", "brute", "pinned")
        wait_choice(umbrad, "db-1", "ept", "advise")
        assert [umbrad.guest(name)["pid"] for name in ("web-1", "db-1")] == pids


def a_collector_that_is_off_measures_nothing_and_says_so():
    off = "[collector soft]\nenabled = no"
    with Umbrad({"a": endless()}, policy=off) as umbrad:
        pid, = running(umbrad, "a")
        guest = umbrad.guest("a")
        assert "instructions" not in guest and "tlb" not in guest, guest
        state = "denied: [collector soft] enabled = no"
        assert guest["collectors"] == [{"name": "soft", "state": state}]
        assert umbrad.ask("/api/v1/collectors").json()["collectors"][0]["state"] == state
        metrics = umbrad.ask("/metrics").body.decode()
        assert "umbra_guest_state{" in metrics and "umbra_guest_instructions_total{" not in metrics
        # Its policy decides from its own counters.
        wait_for(lambda: umbrad.ask("/api/v1/guests/a/decisions").json()["decisions"], 20)
        umbrad.configure({"a": endless()})
        umbrad.reload()
        wait_for(lambda: umbrad.guest("a")["collectors"][0]["state"] == "ok", 20)
        assert_goes_on(umbrad, "a", pid)
        assert umbrad.guest("a")["instructions"] > 0
        umbrad.configure({"a": endless()}, off)
        umbrad.reload()
        wait_for(lambda: "instructions" not in umbrad.guest("a"), 20)


def what_an_operator_chose_stays_until_the_configuration_changes():
    with Umbrad({"a": endless(mode="ept")}) as umbrad:
        pid, = running(umbrad, "a")
        assert umbrad.put_mode("a", mode="shadow").status == 200
        umbrad.configure({"a": endless(mode="ept"), "other": endless()})
        umbrad.reload()
        running(umbrad, "other")
        wait_choice(umbrad, "a", "shadow", "pinned")
        umbrad.configure({"a": endless(mode="brute"), "other": endless()})
        umbrad.reload()
        wait_choice(umbrad, "a", "brute", "pinned")
        assert umbrad.guest("a")["pid"] == pid


def what_a_worker_cannot_change_starts_its_guest_anew():
    guests = {"memory": endless(mode="ept"), "image": endless(mode="ept"),
              "bare": endless(mode="ept"), "stays": endless()}
    with Umbrad(guests, files={"spin": SPIN}) as umbrad:
        pids = dict(zip(guests, running(umbrad, *guests)))
        assert umbrad.put_mode("memory", mode="shadow").status == 200
        umbrad.configure({"memory": endless(mode="ept", memory="32M"),
                          "image": {"image": "spin", "mode": "ept"},
                          "bare": endless(mode="bare"), "stays": endless()})
        log = umbrad.reload()
        assert "0 new, 0 stopped, 3 started anew, 0 with another" in log, log
        assert "guest memory: memory has changed: it starts anew" in log
        assert "guest image: image has changed: it starts anew" in log
        assert "guest bare: mode has changed: it starts anew" in log
        for name in ("memory", "image", "bare"):
            wait_anew(umbrad, name, pids[name])
        # An operator's word outlives the worker.
        wait_choice(umbrad, "memory", "shadow", "pinned")
        wait_choice(umbrad, "bare", "bare", "pinned")
        assert_goes_on(umbrad, "stays", pids["stays"])


def a_guest_that_ended_or_failed_starts_anew_when_it_is_another():
    hello = shipped("hello", "")
    with Umbrad({"ends": hello, "fails": {"image": "missing"}, "same": hello}) as umbrad:
        umbrad.wait_state("ends", "ended")
        umbrad.wait_state("same", "ended")
        umbrad.wait_state("fails", "failed")
        log = umbrad.reload()
        assert "guests: 0 new, 0 stopped, 0 started anew" in log, log
        umbrad.configure({"ends": endless(), "fails": endless(), "same": hello})
        log = umbrad.reload()
        assert "guests: 0 new, 0 stopped, 2 started anew" in log, log
        pids = running(umbrad, "ends", "fails")
        assert all(pids)
        assert "end" not in umbrad.guest("ends") and "end" not in umbrad.guest("fails")
        assert umbrad.guest("same")["state"] == "ended"


def restart_changes_live():
    with Umbrad({"a": endless(restart="no"), "b": endless(restart="always")}) as umbrad:
        pids = running(umbrad, "a", "b")
        umbrad.configure({"a": endless(restart="always"), "b": endless(restart="no")})
        assert "0 started anew" in umbrad.reload()
        assert [umbrad.guest(name)["pid"] for name in "ab"] == pids
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_anew(umbrad, "a", pids[0])
        assert "pid" not in umbrad.wait_state("b", "failed")
        assert "guest b: starts anew" not in umbrad.log()


def a_guest_that_waits_to_start_anew_may_go_or_become_another():
    missing = {"image": "missing", "restart": "always"}
    with Umbrad({"goes": missing, "becomes": missing, "stays": endless()}) as umbrad:
        stays, = running(umbrad, "stays")
        umbrad.wait_state("goes", "failed")
        umbrad.wait_state("becomes", "failed")
        umbrad.configure({"becomes": endless(), "stays": endless()})
        umbrad.reload()
        running(umbrad, "becomes")
        assert names(umbrad) == ["becomes", "stays"]
        told = umbrad.log().count("guest goes:")
        time.sleep(3)  # longer than it would have waited
        assert umbrad.log().count("guest goes:") == told
        assert_goes_on(umbrad, "stays", stays)


def bad_reload_keeps_the_old_configuration_whole():
    with Umbrad({"a": endless(mode="ept"), "b": endless()}) as umbrad:
        pids = running(umbrad, "a", "b")
        first = umbrad.ask("/api/v1/host").json()["configuration"]
        assert first["ok"] is True and "error" not in first, first
        umbrad.configure({"a": endless(mode="shadow", memory="1"), "c": endless(cpus="\xff")},
                         "[nonsense]")
        log = umbrad.reload()
        with open(umbrad.config, encoding="utf-8") as file:
            lines = [line.strip() for line in file]
        mistakes = [f"{umbrad.config}: line {lines.index(line) + 1}{mistake}" for line, mistake in (
            ("[nonsense]", ", [nonsense]: unknown section"),
            ("memory = 1", ", [guest a] memory: \"1\": 1M to 2G"),
            ("cpus = \xff", ", [guest c] cpus: \""))]
        for mistake in mistakes:
            assert mistake in log, log
        assert "stays as it was: 3 mistakes" in log, log
        state = umbrad.ask("/api/v1/host").json()["configuration"]
        assert state["ok"] is False and state["loaded"] == first["loaded"], state
        assert len(state["error"].split("\n")) == 3, state
        assert "\numbra_configuration_ok 0\n" in umbrad.ask("/metrics").body.decode()
        for mistake, line in zip(mistakes, state["error"].split("\n")):
            assert line.startswith(mistake), state
        assert names(umbrad) == ["a", "b"]
        wait_choice(umbrad, "a", "ept", "pinned")
        os.unlink(umbrad.config)
        assert f"{umbrad.config}: No such file" in umbrad.reload()
        os.mkfifo(umbrad.config)  # nobody writes to it
        assert f"{umbrad.config}: a regular file" in umbrad.reload()
        os.unlink(umbrad.config)
        for name, pid in zip("ab", pids):
            assert_goes_on(umbrad, name, pid)
        # A right one is taken again.
        time.sleep(1)  # loaded has whole seconds
        umbrad.configure({"a": endless(mode="shadow"), "b": endless()})
        umbrad.reload()
        wait_choice(umbrad, "a", "shadow", "pinned")
        state = umbrad.ask("/api/v1/host").json()["configuration"]
        assert state["ok"] is True and "error" not in state and state["loaded"] > first["loaded"]
        metrics = umbrad.ask("/metrics").body.decode()
        assert "\numbra_configuration_ok 1\n" in metrics
        loaded = re.search(r"^umbra_configuration_loaded_timestamp_seconds (\d+)$", metrics, re.M)
        assert time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(loaded[1]))) == state["loaded"]


def what_cannot_change_live_is_told_and_the_rest_happens():
    with Umbrad({"a": endless()}) as umbrad:
        pid, = running(umbrad, "a")
        socket = umbrad.socket
        umbrad.socket, state = socket + "-other", umbrad.state
        umbrad.state = state + "-other"
        umbrad.configure({"a": endless(), "b": endless()}, "journal_days = 5\njournal_size = 5M")
        with open(umbrad.config, encoding="utf-8") as file:
            text = file.read().replace("127.0.0.1:0", "127.0.0.2:0")
        with open(umbrad.config, "w", encoding="utf-8") as file:
            file.write(text)
        log = umbrad.reload()
        for key in ("listen", "socket", "state", "journal_days", "journal_size"):
            assert f"[umbrad] {key} has changed: that takes effect when" in log, log
        umbrad.socket = socket
        running(umbrad, "b")
        assert umbrad.ask("/api/v1/guests", local=True).status == 200
        assert not os.path.exists(socket + "-other") and not os.path.exists(state + "-other")
        assert_goes_on(umbrad, "a", pid)
        umbrad.process.send_signal(signal.SIGTERM)
        assert umbrad.process.wait(20) == 0
        assert not os.path.exists(socket)


def a_worker_that_does_not_stop_is_killed():
    with Umbrad({"stuck": endless(), "stuck-too": endless(), "stays": endless()}) as umbrad:
        pids = running(umbrad, "stuck", "stuck-too", "stays")
        for pid in pids[:2]:
            freeze(pid)
        umbrad.configure({"stays": endless(), "stuck-too": endless(cpus=2)})
        umbrad.reload()
        # It may come back, or go after all, before its worker is gone.
        umbrad.configure({"stays": endless(), "stuck": endless(cpus=2)})
        umbrad.reload()
        wait_gone(umbrad, "stuck-too", pids[1])
        wait_for(lambda: "stuck" in names(umbrad), 20)
        wait_anew(umbrad, "stuck", pids[0])
        assert umbrad.log().count("its worker does not stop: killed") >= 2
        assert_goes_on(umbrad, "stays", pids[2])


def whoever_asks_a_guest_that_goes_gets_an_answer():
    with Umbrad({"stuck": endless(), "stays": endless()}) as umbrad:
        pid, _ = running(umbrad, "stuck", "stays")
        freeze(pid)
        answers = []
        asking = threading.Thread(
            target=lambda: answers.append(umbrad.put_mode("stuck", mode="shadow").status))
        asking.start()
        time.sleep(0.5)  # it may also come too late: then it is answered at once
        umbrad.configure({"stays": endless()})
        umbrad.reload()
        asking.join(30)
        assert answers and answers[0] in (404, 504), answers
        wait_gone(umbrad, "stuck", pid)


def storm_of_signals_ends_in_the_last_configuration():
    few = {"stays": endless()}
    many = {**few, **{f"g{i}": endless(mode="ept") for i in range(4)}}
    with Umbrad(few) as umbrad:
        stays, = running(umbrad, "stays")
        for i in range(40):
            umbrad.configure(many if i % 2 else few)
            umbrad.process.send_signal(signal.SIGHUP)
            time.sleep(0.01 * (i % 4))
        umbrad.configure(many)
        umbrad.reload()
        pids = running(umbrad, *many)
        assert names(umbrad) == sorted(many)
        umbrad.configure(few)
        umbrad.reload()
        for i in range(4):
            wait_gone(umbrad, f"g{i}", pids[1 + i])
        assert_goes_on(umbrad, "stays", stays)
        with open(f"/proc/{umbrad.process.pid}/task/{umbrad.process.pid}/children",
                  encoding="utf-8") as file:
            assert file.read().split() == [str(stays)]


def workers_take_no_notice_of_the_signal():
    with Umbrad({"a": endless()}) as umbrad:
        pid, = running(umbrad, "a")
        os.kill(pid, signal.SIGHUP)
        assert_goes_on(umbrad, "a", pid)


def started_with_the_signal_ignored_it_reloads_all_the_same():
    umbrad = Umbrad({"a": endless()})
    umbrad.wrapper = ("nohup",)
    with umbrad:
        pid, = running(umbrad, "a")
        umbrad.configure({"a": endless(), "b": endless()})
        assert "1 new" in umbrad.reload()
        running(umbrad, "b")
        assert_goes_on(umbrad, "a", pid)


def reload_does_not_disturb_the_end():
    with Umbrad({"a": endless()}) as umbrad:
        pid, = running(umbrad, "a")
        umbrad.configure({"a": endless(cpus=2)})
        umbrad.process.send_signal(signal.SIGHUP)
        umbrad.process.send_signal(signal.SIGTERM)
        umbrad.process.send_signal(signal.SIGHUP)
        assert umbrad.process.wait(20) == 0
        assert not is_alive(pid) and not os.path.exists(umbrad.socket)


if __name__ == "__main__":
    run_tests((
        guests_come_and_go_and_the_others_run_on,
        reload_without_changes_changes_nothing,
        modes_and_policies_change_live,
        what_a_worker_could_not_take_is_asked_for_again,
        rules_and_the_default_policy_change_live,
        a_collector_that_is_off_measures_nothing_and_says_so,
        what_an_operator_chose_stays_until_the_configuration_changes,
        what_a_worker_cannot_change_starts_its_guest_anew,
        a_guest_that_ended_or_failed_starts_anew_when_it_is_another,
        restart_changes_live,
        a_guest_that_waits_to_start_anew_may_go_or_become_another,
        bad_reload_keeps_the_old_configuration_whole,
        what_cannot_change_live_is_told_and_the_rest_happens,
        a_worker_that_does_not_stop_is_killed,
        whoever_asks_a_guest_that_goes_gets_an_answer,
        storm_of_signals_ends_in_the_last_configuration,
        workers_take_no_notice_of_the_signal,
        started_with_the_signal_ignored_it_reloads_all_the_same,
        reload_does_not_disturb_the_end,
    ))
