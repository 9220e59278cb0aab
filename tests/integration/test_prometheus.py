#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""/metrics as Prometheus' own tools read it, and as Prometheus itself scrapes it."""
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import urllib.parse
import urllib.request

from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as open_parser

from daemon_fixture import Umbrad, endless, run_tests, shipped, wait_for

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
RULES = os.path.join(SOURCE, "packaging", "prometheus")
TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
# What Prometheus 2.42 sends.
ACCEPT = ("application/openmetrics-text;version=1.0.0,"
          "application/openmetrics-text;version=0.0.1;q=0.75,"
          "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")

HOST = 'job="umbra",instance="h"'
VM, SOFT = f'{HOST},guest="vm"', f'{HOST},guest="soft"'


def alert(name, minute, summary=None, **labels):
    """The alert is there with this summary and these labels, or without a summary is not there."""
    labels.update(re.findall(r'(\w+)="(\w*)"', HOST))
    return {"alertname": name, "eval_time": f"{minute}m", "exp_alerts": [
        {"exp_labels": labels, "exp_annotations": {"summary": summary}}] if summary else []}


# A VM that walks for a third of its cycles and exits slowly, and a guest of Umbra's that walks too.
RULES_TEST = {
    "rule_files": [os.path.join(RULES, "umbra-rules.yml"), os.path.join(RULES, "umbra-alerts.yml")],
    "evaluation_interval": "1m",
    "tests": [{
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in (
            (f'umbra_guest_info{{{VM},process="qemu"}}', "1x60"),
            (f"umbra_guest_info{{{SOFT}}}", "1x60"),
            *((f"umbra_guest_cycles_total{{{guest}}}", "0+300x60") for guest in (VM, SOFT)),
            *((f"umbra_guest_walk_cycles_total{{{guest}}}", "0+100x60") for guest in (VM, SOFT)),
            (f'umbra_guest_exit_duration_seconds_bucket{{{VM},le="0.01"}}', "0+50x60"),
            (f'umbra_guest_exit_duration_seconds_bucket{{{VM},le="0.02"}}', "0+100x60"),
            (f'umbra_guest_exit_duration_seconds_bucket{{{VM},le="+Inf"}}', "0+100x60"),
            (f'umbra_guest_exits_total{{{VM},reason="cpuid"}}', "0+60x60"),
            (f'umbra_guest_exits_total{{{VM},reason="hlt"}}', "0+120x60"),
            (f'umbra_collector_lost_events_total{{{HOST},collector="kvm_exits"}}', "0x30 1x30"),
            (f'umbra_collector_up{{{HOST},collector="kvm"}}', "1x30 0x30"),
            (f'umbra_collector_up{{{HOST},collector="perf_event"}}', "0x60"),
        )],
        "alert_rule_test": [
            alert("UmbraVmWalksMuch", 10),
            alert("UmbraVmWalksMuch", 40, "VM vm on h spends 33.33% of its cycles in page walks; "
                  "umbra advise tells what would help", guest="vm", severity="info"),
            alert("UmbraVmExitsSlowly", 40, "VM vm on h: one exit of 100 takes 19.8ms and more; "
                  "umbra show tells which", guest="vm", severity="info"),
            alert("UmbraCollectorLosesEvents", 29),
            alert("UmbraCollectorLosesEvents", 33, "kvm_exits on h counts too low: events that "
                  "found no room in 15 minutes: 1", collector="kvm_exits", severity="warning"),
            alert("UmbraCollectorDown", 29),
            alert("UmbraCollectorDown", 40, "kvm on h does not measure all; /api/v1/collectors "
                  "says why", collector="kvm", severity="warning"),
        ],
        "promql_expr_test": [
            {"expr": "guest:umbra_guest_exits:rate5m", "eval_time": "30m", "exp_samples": [
                {"labels": f"guest:umbra_guest_exits:rate5m{{{VM}}}", "value": 3}]},
        ],
    }],
}

umbrad = Umbrad({
    "busy": endless(mode="ept"),
    "auto": endless(mode="auto", processor="zen2", cpus=2),
    "ends": shipped("hello", ""),
    "lost": {"image": "/nonexistent"},
})


def metrics(accept=None):
    answer = umbrad.ask("/metrics", headers={"Accept": accept} if accept else {})
    assert answer.status == 200
    return answer


def samples(families):
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families for sample in family.samples}


def accept_chooses_the_form():
    for accept, form in ((None, TEXT), ("*/*", TEXT), ("text/plain", TEXT), ("text/html", TEXT),
                         ("application/openmetrics-text", OPEN), (ACCEPT, OPEN),
                         ("application/openmetrics-text;q=0.1,text/plain;q=0.2", TEXT)):
        answer = metrics(accept)
        assert answer.type == form, (accept, answer.type)
        assert answer.headers["Vary"] == "Accept, Accept-Encoding"
        assert answer.body.endswith(b"# EOF\n") == (form == OPEN)


def both_forms_parse_to_the_same_samples():
    umbrad.wait_state("ends", "ended")
    text = list(text_parser.text_string_to_metric_families(metrics().body.decode()))
    opened = list(open_parser.text_string_to_metric_families(metrics(OPEN).body.decode()))
    assert samples(text).keys() == samples(opened).keys()
    assert len(text) == len(opened) > 30
    kinds = {family.name: (family.type, family.unit) for family in opened}
    assert kinds["umbra_guest_instructions"] == ("counter", "")
    assert kinds["umbra_guest_walk_cycles"] == ("counter", "cycles")
    assert kinds["umbra_guest_memory_touched_bytes"] == ("gauge", "bytes")
    assert kinds["umbra_guest"] == ("info", "")
    assert kinds["umbra_sampling_duration_seconds"] == ("summary", "seconds")
    assert all(family.documentation for family in opened + text)


def what_is_not_measured_has_no_sample():
    found = samples(open_parser.text_string_to_metric_families(metrics(OPEN).body.decode()))
    guests = {dict(labels).get("guest") for name, labels in found
              if name == "umbra_guest_instructions_total"}
    assert guests == {"busy", "auto", "ends"}
    assert found["umbra_guest_state", (("guest", "lost"), ("state", "failed"))] == 1
    states = {dict(labels)["state"]: value for (name, labels), value in found.items()
              if name == "umbra_guests"}
    assert states == {"starting": 0, "running": 2, "paused": 0, "ended": 1, "failed": 1}


def guest_has_at_most_60_series():
    found = samples(open_parser.text_string_to_metric_families(metrics(OPEN).body.decode()))
    count = sum(("guest", "busy") in labels for _, labels in found)
    assert 40 < count <= 60, count
    print(f"# {count} series a guest, {sum(not dict(l).get('guest') for _, l in found)} of umbrad")


def series_of_umbrad_are_true():
    first = samples(open_parser.text_string_to_metric_families(metrics(OPEN).body.decode()))
    umbrad.ask("/nowhere")

    def counted():
        now = samples(open_parser.text_string_to_metric_families(metrics(OPEN).body.decode()))
        key = "umbra_http_requests_total", (("code", "404"), ("listener", "tcp"))
        return now if now[key] == first[key] + 1 else None
    now = wait_for(counted, 10)
    pid = umbrad.process.pid
    # Of the process that serves: umbrad may be the child of who was started.
    served = umbrad.ask("/api/v1/host").json()["pid"]
    assert served == pid or os.path.exists(f"/proc/{served}")
    with open(f"/proc/{served}/limits", encoding="ascii") as file:
        limit = re.search(r"Max open files +(\d+)", file.read()).group(1)
    assert now["process_max_fds", ()] == int(limit)
    assert abs(now["process_open_fds", ()] - len(os.listdir(f"/proc/{served}/fd"))) < 10
    assert now["process_cpu_seconds_total", ()] > 0
    assert now["process_resident_memory_bytes", ()] > 1e6
    assert now["umbra_sampling_duration_seconds_count", ()] > \
        first["umbra_sampling_duration_seconds_count", ()]
    assert now["umbra_collector_up", (("collector", "soft"),)] == 1
    assert now["umbra_collector_up", (("collector", "kvm"),)] == 0
    start = now["umbra_guest_start_time_seconds", (("guest", "busy"),)]
    assert 0 <= now["umbra_snapshot_timestamp_seconds", ()] - start < 3600
    assert start >= now["process_start_time_seconds", ()] - 60


def promtool_finds_nothing_to_complain_about():
    done = subprocess.run(["promtool", "check", "metrics"], input=metrics().body,
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 0 and not done.stdout and not done.stderr, done
    # That it would have found something.
    bad = subprocess.run(["promtool", "check", "metrics"], input=b"# TYPE a counter\na 1\n",
                         capture_output=True, timeout=60, check=False)
    assert bad.returncode != 0


def shipped_configuration_and_alerts_are_valid():
    for words in (("config", "umbra.yml"), ("rules", "umbra-alerts.yml"),
                  ("rules", "umbra-rules.yml")):
        done = subprocess.run(["promtool", "check", words[0], os.path.join(RULES, words[1])],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done
    text = metrics().body.decode()
    # Families of VMs, of which there are none here, are named; a histogram's samples are not.
    names = {name for name, _ in samples(text_parser.text_string_to_metric_families(text))} | {
        name + end for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M)
        for end in ("", *(("_bucket",) if kind == "histogram" else ()))}
    recorded = set(re.findall(r"record: (\S+)", rules("umbra-rules.yml")))
    for file in ("umbra-alerts.yml", "umbra-rules.yml"):
        used = set(re.findall(r"(?<![\w:])umbra_[a-z_]+(?!:)\b", rules(file)))
        assert used and used <= names, (file, used - names)
        used = set(re.findall(r"\bguest:\w+:\w+", rules(file)))
        assert used and used <= recorded, (file, used - recorded)


def alerts_come_when_they_should():
    """Of VMs: what promtool makes of series that are written down here."""
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "test.yml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(RULES_TEST, file)  # JSON is YAML
        done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True,
                              timeout=60, check=False)
    assert done.returncode == 0, done


def rules(name):
    with open(os.path.join(RULES, name), encoding="utf-8") as file:
        return file.read()


class Prometheus:
    """A Prometheus that scrapes @port every second, until the with block ends."""

    def __init__(self, port):
        self.target = f"127.0.0.1:{port}"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.place = tempfile.mkdtemp(prefix="umbra-prometheus-")
        self.process = None

    def __enter__(self):
        with open(os.path.join(RULES, "umbra.yml"), encoding="utf-8") as file:
            config = file.read().replace("127.0.0.1:8642", self.target).replace("15s", "1s")
        assert self.target in config and "scrape_interval: 1s" in config
        with open(os.path.join(self.place, "umbra.yml"), "w", encoding="utf-8") as file:
            file.write("global:\n  evaluation_interval: 1s\n" + config)
        shutil.copy(os.path.join(RULES, "umbra-alerts.yml"), self.place)
        with open(os.path.join(self.place, "log"), "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={self.place}/umbra.yml",
                 f"--storage.tsdb.path={self.place}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def __exit__(self, kind, value, trace):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if kind:
            with open(os.path.join(self.place, "log"), encoding="utf-8") as log:
                print("# " + log.read().replace("\n", "\n# "))
        shutil.rmtree(self.place)

    def query(self, expression):
        """{labels: value} of an instant query, nothing while Prometheus is not up yet."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + \
            urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                found = json.load(answer)
        except OSError:
            assert self.process.poll() is None, "Prometheus ended"
            return {}
        assert found["status"] == "success", found
        return {tuple(sorted((k, v) for k, v in row["metric"].items()
                             if k not in ("__name__", "instance", "job"))): float(row["value"][1])
                for row in found["data"]["result"]}


def prometheus_scrapes_it():
    with Prometheus(umbrad.port) as prometheus:
        wait_for(lambda: prometheus.query('up{job="umbra"} == 1'), 60)
        busy = (("guest", "busy"),)
        first = wait_for(lambda: prometheus.query("umbra_guest_instructions_total"), 30)
        assert set(first) == {(("guest", name),) for name in ("busy", "auto", "ends")}
        wait_for(lambda: prometheus.query("umbra_guest_instructions_total")[busy] > first[busy],
                 30)
        wait_for(lambda: prometheus.query("rate(umbra_guest_instructions_total[10s])")
                 .get(busy, 0) > 0, 30)
        assert prometheus.query('umbra_guest_exits_total{guest="busy"}').keys() == {
            (("guest", "busy"), ("reason", reason)) for reason in umbrad.guest("busy")["exits"]}
        info = prometheus.query('umbra_guest_info{guest="auto"}')
        assert info == {(("clock", "cycles"), ("engine", "soft"), ("guest", "auto"),
                         ("processor", "zen2")): 1}
        wait_for(lambda: prometheus.query('ALERTS{alertname="UmbraGuestFailed",guest="lost"}'), 30)
        assert not prometheus.query('ALERTS{alertname="UmbraDown"}')
        # Of what it got: nothing was thrown away.
        assert prometheus.query("scrape_samples_scraped == scrape_samples_post_metric_relabeling")


def all_measured():
    guests = umbrad.ask("/api/v1/guests").json()["guests"]
    return all("instructions" in guest for guest in guests if guest["id"] != "lost")


if __name__ == "__main__":
    with umbrad:
        wait_for(all_measured, 60)
        run_tests((
            accept_chooses_the_form,
            both_forms_parse_to_the_same_samples,
            what_is_not_measured_has_no_sample,
            guest_has_at_most_60_series,
            series_of_umbrad_are_true,
            promtool_finds_nothing_to_complain_about,
            shipped_configuration_and_alerts_are_valid,
            alerts_come_when_they_should,
            prometheus_scrapes_it,
        ))
