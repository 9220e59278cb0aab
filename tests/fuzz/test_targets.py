#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The libFuzzer targets find no crash: 1,000 inputs each, the same ones each time; UMBRA_FULL: ten minutes.

What is found is kept as crash-HASH beside the program and told in base64: write it to a file and
give that to the target to see it again. An argument is the number of seconds.
"""
import base64
import glob
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
FULL = bool(os.environ.get("UMBRA_FULL"))
SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 600 if FULL else 120
RUNS = -1 if FULL or len(sys.argv) > 1 else 1000

# name, longest input, branches of what is fuzzed that the seeds alone must reach
TARGETS = (("image", 16384, 400), ("code", 2048, 4000), ("config", 4096, 400),
           ("message", 2048, 300), ("request", 4096, 250), ("report", 2048, 300),
           ("host", 4096, 200))


def run(name, longest, place):
    program = os.path.abspath(f"tests/fuzz/target_{name}")
    artifacts = os.path.join(os.path.dirname(program), f"{name}-")
    return subprocess.run(
        [program, os.path.join(place, name), f"-max_total_time={SECONDS}", f"-max_len={longest}",
         f"-runs={RUNS}", "-timeout=60", "-rss_limit_mb=4096", "-seed=1", "-print_final_stats=1",
         f"-artifact_prefix={artifacts}", "-use_value_profile=0",
         # What umbrad tells of each connection goes nowhere; what libFuzzer tells does not.
         f"-close_fd_mask={2 if name == 'report' else 0}"],
        capture_output=True, timeout=SECONDS * 3 + 300, check=False), artifacts


def report(number, name, reached, done, artifacts):
    said = done.stderr.decode(errors="replace")
    coverage = [int(n) for n in re.findall(r"\bcov: (\d+)", said)]
    executions = re.findall(r"number_of_executed_units: (\d+)", said)
    complaints = []
    if done.returncode:
        complaints += [f"status {done.returncode}", *said.splitlines()[-60:],
                       *done.stdout.decode(errors="replace").splitlines()[-10:]]
        for path in glob.glob(artifacts + "*"):
            with open(path, "rb") as file:
                complaints += [path, base64.b64encode(file.read(4096)).decode()]
    elif not coverage or coverage[-1] < reached:
        complaints.append(f"coverage {coverage[-1:]}, expected {reached} or more")
    print(f"{'not ok' if complaints else 'ok'} {number} - no input stops the target {name}")
    print(f"# {executions[0] if executions else '?'} inputs, coverage "
          f"{coverage[-1] if coverage else 0}")
    for line in complaints:
        print(f"# {line}")
    return bool(complaints)


def main():
    with tempfile.TemporaryDirectory(prefix="umbra-fuzz-") as place:
        subprocess.run([sys.executable, os.path.join(HERE, "seeds.py"), place], check=True)
        print(f"1..{len(TARGETS)}")
        with ThreadPoolExecutor() as pool:
            results = list(pool.map(lambda target: run(target[0], target[1], place), TARGETS))
    failed = [report(number, name, reached, *result) for number, ((name, _, reached), result) in
              enumerate(zip(TARGETS, results), 1)]
    return 1 if any(failed) else 0


if __name__ == "__main__":
    sys.exit(main())
