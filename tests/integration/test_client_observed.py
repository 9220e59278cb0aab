#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How `umbra` shows VMs of other programs: answers that the schemas allow, from a server that is not
umbrad, as no real VM has every name and every figure."""
import http.server
import json
import os
import socketserver
import subprocess
import tempfile
import threading

import jsonschema

from daemon_fixture import run_tests

UMBRA = os.path.abspath("umbra")
COLUMNS = 100
UUID = "5e0e6a2c-1111-4000-8000-00000000000a"
# Clears the screen, sets the title, turns the direction around and begins a new line.
HOSTILE = "web\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\nroot  running \u20ac\u20ac" + "\u20ac" * 90

BARE = {
    "id": "4242-11-123456", "state": "running", "observed": True, "pid": 4242,
    "started": "2026-11-27T20:00:00Z", "guest": "firecracker-4242", "engine": "kvm",
    "policy": "advise", "cpus": 1,
    "vm": {"process": "firecracker", "fd": 11, "start_time": 123456},
}
FULL = {
    **BARE, "id": UUID, "pid": 4343, "guest": HOSTILE, "mode": "ept",
    "mode_reason": "kvm_intel.ept=Y", "cpus": 2, "instructions": 1000000000, "cycles": 1500000000,
    "walks": {"cycles": 300000000}, "exits": {"cpuid": 3, "wbinvd": 0},
    "kvm": {"exits": 77, "pages": {"4k": 5, "2m": 6, "1g": 0}}, "kvm_other": {"new\x1b[1m": 8},
    "vm": {"process": "qemu-system-x86", "unit": "machine-qemu\\x2d1\\x2dweb.scope" * 4, "fd": 12,
           "start_time": 123457, "vcpus": [{"id": 0, "tid": 4344}, {"id": 1}]},
    "exit_durations": {"cpuid": {"count": 3, "seconds": 0.0000015, "buckets": [
        {"below_ns": 256, "count": 2}, {"below_ns": 1024, "count": 1}]},
                       "hlt": {"count": 1, "seconds": 2.5, "buckets": [{"count": 1}]}},
    "collectors": [{"name": "kvm", "state": "ok"},
                   {"name": "perf_event", "state": "unsupported: this host has no PMU"}],
    "advice": {"mode": "ept", "guest_cycles_per_second": 2e9, "frequency": 2.5e9,
               "cost": {"ept": {"exits_per_second": 5e6, "walks_per_second": 295e6,
                                "cycles_per_second": 300e6, "uncertainty": 30e6, "share": 0.15},
                        "shadow": {"least_per_second": 100e6, "walks_per_second": 100e6}},
               "confidence": "none",
               "reason": "what page walks cost is not known",
               "missing": [{"what": "walks", "why": "unsupported: this host has no PMU"}],
               "recommendations": [{"action": "huge_pages", "reason": "Most pages are small",
                                    "how": "echo always"}]},
    "switches": [], "decisions": [],
}
LISTS = ("vcpus", "exit_durations", "kvm_other", "collectors", "switches", "decisions")


def without_lists(guest):
    return {key: {name: part for name, part in value.items() if name not in LISTS}
            if key == "vm" else value for key, value in guest.items() if key not in LISTS}


ANSWERS = {
    "/api/v1/guests": ("guests", {"guests": [without_lists(BARE), without_lists(FULL)]}),
    f"/api/v1/guests/{UUID}": ("guest", FULL),
    "/api/v1/guests/4242-11-123456": ("guest", BARE),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = ANSWERS.get(self.path)
        if self.path == "/api/v1/host":
            known = ("host", {"frozen": False})
        # As umbrad does, what is above ASCII stays as it is.
        body = json.dumps(known[1] if known else {
            "type": "about:blank", "title": "Not Found", "status": 404,
            "detail": f"there is no guest with this id: {HOSTILE}"}, ensure_ascii=False).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    def address_string(self):
        return "unix"


def umbra(verb, *words, status=0):
    """What the verb says on either output."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "umbra.sock")
        with socketserver.ThreadingUnixStreamServer(path, Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            done = subprocess.run([UMBRA, verb, "--socket", path, *words], capture_output=True,
                                  timeout=60, check=False)
            server.shutdown()
    assert done.returncode == status, done
    return (done.stdout + done.stderr).decode()


def row_after(table, first):
    """The cells of the line below the one that is @first."""
    lines = table.splitlines()
    return lines[lines.index(first) + 1].split()


def answers_are_what_the_schemas_allow():
    for schema, answer in ANSWERS.values():
        with open(f"schemas/{schema}.json", encoding="utf-8") as file:
            jsonschema.validate(answer, json.load(file))


def what_is_not_known_is_a_dash():
    table = umbra("guests")
    row = next(line.split() for line in table.splitlines() if line.startswith(BARE["id"]))
    assert row[1:] == ["running", "-", "advise", "-", "-", "-", "-", "-", "-"], table
    assert row_after(table, UUID) == ["running", "ept", "advise", "-", "1000M", "1.50", "20.0%",
                                      "-", "-"], table
    assert "VM of firecracker, process 4242: firecracker-4242\n" in table, table
    assert "VM of qemu-system-x86, process 4343: web?" in table, table


def tables_fit_a_terminal():
    lines = umbra("guests").splitlines()
    assert max(map(len, lines)) > COLUMNS - 5, "nothing was cut"
    for line in lines:
        assert len(line) <= COLUMNS, line


def names_do_not_steer_the_terminal():
    for words, status in ((("guests",), 0), (("show", UUID), 0), (("show", "nobody"), 66),
                          (("advise",), 0), (("advise", UUID), 0)):
        told = umbra(*words, status=status)
        for character in told:
            assert character == "\n" or character.isprintable(), (words, character, told)
        assert not any(line.startswith("root") for line in told.splitlines()), told
    assert "web?[2J?]0;owned??31m??root" in umbra("show", UUID)


def show_has_all_that_is_known():
    told = umbra("show", UUID)
    lines = [line.split() for line in told.splitlines()]
    for expected in (["kvm.pages.2m", "6"], ["kvm_other.new?[1m", "8"], ["vm.fd", "12"],
                     ["observed", "yes"], ["0", "4344"], ["1", "-"],
                     ["cpuid", "3", "0.500", "0.256", "1.024"],
                     ["hlt", "1", "2500000.000", "longer", "longer"]):
        assert expected in lines, (expected, told)
    for expected in ("collector perf_event: unsupported: this host has no PMU",
                     "advice: what page walks cost is not known",
                     "not measured: walks: unsupported: this host has no PMU",
                     "Most pages are small: echo always"):
        assert expected in told.splitlines(), (expected, told)
    assert "collector kvm:" not in told, told


def advise_gives_each_mode_its_share_of_guest_time():
    told = umbra("advise")
    assert row_after(told, UUID) == ["ept", ">=5.0%", "15.0%", "-", "none"], told
    lines = told.splitlines()
    assert "    what page walks cost is not known" in lines, told
    assert "    recommended: huge_pages" in lines, told
    row = lines.index(next(line for line in lines if line.startswith(BARE["id"])))
    assert lines[row].split()[1:] == ["-", "-", "-", "-", "-"], told
    assert "not been measured for long enough" in lines[row + 1], told
    # There is nothing of umbrad's own to decide.
    assert "NOW, THERE" not in told, told
    for line in lines:
        assert len(line) <= COLUMNS, line


def advise_of_one_vm_says_why_what_is_missing_and_what_can_be_done():
    told = umbra("advise", UUID)
    lines = [line.split() for line in told.splitlines()]
    assert ["ept", "15.0%", "295.0", "5.0", "300.0", "30.0"] in lines, told
    assert ["shadow", ">=5.0%", "100.0", "-", "-", "-"] in lines, told
    for expected in ("KVM maps 12 MiB: 0% in 4k pages, 100% in 2m pages, 0% in 1g pages",
                     "why: what page walks cost is not known",
                     "walks: unsupported: this host has no PMU",
                     "huge_pages: Most pages are small; how: echo always"):
        assert expected in told.splitlines(), (expected, told)
    assert "not been measured" in umbra("advise", BARE["id"])
    assert "no guest with this id" in umbra("advise", "nobody", status=66)


def advise_as_json_is_what_the_schema_allows():
    with open("schemas/advice.json", encoding="utf-8") as file:
        schema = json.load(file)
    for words, ids in (((), [BARE["id"], UUID]), ((UUID,), [UUID])):
        told = json.loads(umbra("advise", "--json", *words))
        jsonschema.validate(told, schema)
        assert [guest["id"] for guest in told["guests"]] == ids, told
        assert told["guests"][-1]["observed"] == FULL["advice"], told
        assert not told["guests"][0]["acts"], told


def show_of_what_is_hardly_known_is_short():
    told = umbra("show", BARE["id"])
    assert "advice" not in told.split() and "EXIT" not in told and "VCPU" not in told, told
    assert ["vm.process", "firecracker"] in [line.split() for line in told.splitlines()], told


if __name__ == "__main__":
    run_tests((
        answers_are_what_the_schemas_allow,
        what_is_not_known_is_a_dash,
        tables_fit_a_terminal,
        names_do_not_steer_the_terminal,
        show_has_all_that_is_known,
        show_of_what_is_hardly_known_is_short,
        advise_gives_each_mode_its_share_of_guest_time,
        advise_of_one_vm_says_why_what_is_missing_and_what_can_be_done,
        advise_as_json_is_what_the_schema_allows,
    ))
