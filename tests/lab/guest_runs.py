# SPDX-License-Identifier: GPL-2.0-or-later
"""The runs of shipped guests by which the model and KVM are compared: the same in every lab."""
import json
import subprocess

# Guest, parameters. Long enough that what a guest does counts and not how it starts.
GUEST_RUNS = (
    ("gups", "rounds=2 pages=1024 updates=8192"),
    ("churn", "rounds=20 pages=64"),
    ("switcher", "rounds=20 spaces=16"),
    ("forker", "rounds=1 depth=1 pages=32"),
)
MEMORY = "64M"


def run(umbra, options, folder, guest, append, guests):
    """
    A run by `umbra run` of @guests/GUEST.elf: the checksum that it printed, or what went wrong
    instead, and its JSON ({} without).
    """
    path = f"{folder}/{guest}.json"
    done = subprocess.run(
        [umbra, "run", *options, "--memory", MEMORY, "--append", append, "--json", path,
         f"{guests}/{guest}.elf"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    last = done.stdout.decode(errors="replace").strip().split("\n")[-1]
    if done.returncode:
        last += f": status {done.returncode}: {done.stderr.decode(errors='replace').strip()}"
    try:
        with open(path, encoding="utf-8") as file:
            return last, json.load(file)
    except (OSError, ValueError):
        return last, {}
