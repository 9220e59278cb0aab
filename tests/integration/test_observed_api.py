#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What umbrad serves of VMs of other programs, and what it refuses: real VMs whose owners call them
as they like."""
import json
import re

import jsonschema
from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as open_parser

from collect_fixture import Collect, Owner, cannot_run, collectors, wait_vms
from daemon_fixture import Umbrad, endless, run_tests, wait_for

OPEN = "application/openmetrics-text; version=1.0.0"
UUID = "5e0e6a2c-1111-4000-8000-00000000000a"
# What QEMU doubles is one comma; the rest is what somebody hopes to break.
HOSTILE = "we,b\x1b[2J\x9b31m\"\\}\u202e"
# Discovery takes what is a control character in ASCII.
NAME = HOSTILE.replace("\x1b", "?")
QEMU = {"name": "qemu-system-x86_64", "command_line": (
    "-name", "guest=" + HOSTILE.replace(",", ",,") + ",debug-threads=on", "-uuid", UUID)}
WORK = ("--vcpus", "2", "--work", "tables", "--keep-stats", "yes")

umbrad = Umbrad({"own": endless(mode="ept")})
owner = None


def schema(name):
    return umbrad.ask(f"/schemas/{name}.json").json()


def each_answer_about_a_vm_is_what_its_schema_says():
    asked = 0
    for route in umbrad.ask("/schemas/").json()["routes"]:
        if route["method"] == "GET" and route.get("answer") and "{id}" in route["path"]:
            path = route["path"].replace("{id}", UUID)
            answer = umbrad.ask(path + ("?gva=0x1000" if "translate" in path else ""))
            asked += 1
            if "translate" in path:
                assert answer.status == 409 and "another program" in answer.json()["detail"]
                continue
            assert answer.status == 200, (path, answer.body)
            jsonschema.validate(answer.json(), schema(route["answer"]))
    assert asked >= 4
    for name in ("guests", "collectors", "host"):
        jsonschema.validate(umbrad.ask(f"/api/v1/{name}").json(), schema(name))


def a_vm_says_whose_it_is_and_what_measures_it():
    def measured():
        guest = umbrad.guest(UUID)
        return guest if guest.get("kvm", {}).get("exits") else None
    guest = wait_for(measured, 20)
    assert guest["guest"] == NAME and guest["observed"] is True and guest["cpus"] == 2
    assert guest["pid"] == owner.pid and guest["vm"]["process"] == "kvm_owner", guest
    assert [one["id"] for one in guest["vm"]["vcpus"]] == [0, 1]
    known = collectors(umbrad)
    assert {one["name"]: one["state"] for one in guest["collectors"]} == {
        name: known[name]["state"] for name in ("kvm", "kvm_exits", "perf_event")}
    assert guest["decisions"] == [] and guest["switches"] == []
    assert umbrad.guest("own")["observed"] is False
    # This host's KVM says which mode its VMs have, and where that is known from.
    kvm = umbrad.ask("/api/v1/host").json()["kvm"]
    assert guest.get("mode") == kvm.get("mode"), (guest, kvm)


def two_vms_never_share_an_id():
    """Whatever their owners say: both of these have the same UUID on their command line."""
    with Owner(**QEMU) as other:
        theirs = wait_vms(umbrad, other, 1)[0]["id"]
        assert theirs not in (UUID, "own"), theirs
        assert wait_vms(umbrad, owner, 1)[0]["id"] == UUID
        assert umbrad.guest(theirs)["pid"] == other.pid


def a_vm_is_never_switched():
    before = umbrad.ask(f"/api/v1/guests/{UUID}/mode").json()
    for body in ({"mode": "shadow"}, {"mode": "ept"}, {"policy": "auto"}):
        refused = umbrad.put_mode(UUID, **body)
        assert refused.status == 409 and "never switches it" in refused.json()["detail"], refused
    assert umbrad.ask(f"/api/v1/guests/{UUID}/mode").json() == before
    assert before["policy"] == "advise"
    done = umbrad.umbra("mode", UUID, "shadow")
    assert done.returncode == 69 and "never switches it" in done.stderr, done


def samples(families):
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families for sample in family.samples}


def metrics_of_vms_parse_in_both_forms():
    text = umbrad.ask("/metrics").body.decode()
    opened = umbrad.ask("/metrics", headers={"Accept": OPEN}).body.decode()
    found = samples(text_parser.text_string_to_metric_families(text))
    assert found.keys() == samples(open_parser.text_string_to_metric_families(opened)).keys()
    mine = {key: value for key, value in found.items() if ("guest", UUID) in key[1]}
    print(f"# {len(mine)} series of a VM")
    assert 20 < len(mine) <= 140, mine
    info = next(dict(labels) for name, labels in mine if name == "umbra_guest_info")
    assert info["name"] == NAME.replace("\x9b", "?") and info["process"] == "kvm_owner", info
    # Of one family are samples of guests that different sources measure.
    assert len(re.findall(r"^# TYPE umbra_guest_exits_total ", text, re.M)) == 1
    assert mine["umbra_guest_kvm_exits_total", (("guest", UUID),)] > 0
    assert ("umbra_guest_kvm_exits_total", (("guest", "own"),)) not in found


def umbra_shows_vms_without_harm():
    for words in (("guests",), ("show", UUID), ("advise",)):
        done = umbrad.umbra(*words)
        assert not done.returncode, done
        assert all(one == "\n" or one.isprintable() for one in done.stdout), done.stdout
    assert 'we,b?[2J?31m"\\}?' in umbrad.umbra("guests").stdout
    listed = json.loads(umbrad.umbra("guests", "--json").stdout)["guests"]
    assert NAME in [one["guest"] for one in listed]


if __name__ == "__main__":
    why_not = cannot_run()
    if why_not:
        print(f"1..0 # {why_not}")
    else:
        with umbrad, Collect(umbrad) as collect, Owner(*WORK, **QEMU) as owner:
            collect.wait_connected()
            wait_vms(umbrad, owner, 1)
            run_tests((
                each_answer_about_a_vm_is_what_its_schema_says,
                a_vm_says_whose_it_is_and_what_measures_it,
                two_vms_never_share_an_id,
                a_vm_is_never_switched,
                metrics_of_vms_parse_in_both_forms,
                umbra_shows_vms_without_harm,
            ))
