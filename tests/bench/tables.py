# SPDX-License-Identifier: GPL-2.0-or-later
"""bench.py's figures for people."""


def print_modes(guests):
    print("What each mode costs the guest (cycles of the modelled processor), and how fast Umbra is:")
    print(f"{'guest':15} {'mode':7} {'instructions':>13} {'cycles':>15} {'to best':>8} "
          f"{'in walks':>8} {'refs/walk':>9} {'exits':>10} {'switches':>8} {'host MIPS':>9}")
    for guest in guests:
        for row in guest["modes"]:
            print(f"{guest['title']:15} {row['mode']:7} {row['instructions']:13,} "
                  f"{row['cycles']:15,} {row['to_best']:8.3f} {row['walk_share']:8.1%} "
                  f"{row['references_a_walk']:9.2f} {row['exits']:10,} {row['switches']:8} "
                  f"{row['host_mips']:9.1f}")


def cell(peer, key):
    value = peer.get(key)
    return f"{value:.1f}" if key == "host_mips" and value else f"{value:.2f}" if value else "-"


def print_peers(bench):
    """One line a guest: Umbra in ept, and each emulator that ran beside it."""
    names = [name for name, peer in bench["peers"].items() if peer["state"] == "ok"]
    median = bench["median"]
    print(f"\nUmbra in {median['mode']} and others, on the same images in the same run: millions of "
          "guest instructions a processor second,\nand how many times as fast Umbra is:")
    print(f"{'guest':15} {'umbra':>8}" + "".join(f" {n:>8} {'umbra/':>8}" for n in names))
    for guest in bench["guests"]:
        row = next(r for r in guest["modes"] if r["mode"] == median["mode"])
        print(f"{guest['title']:15} {row['host_mips']:8.1f}" + "".join(
            f" {cell(guest['peers'][n], 'host_mips'):>8}"
            f" {cell(guest['peers'][n], 'umbra_times_as_fast'):>8}" for n in names))
    if median["members"]:
        print(f"{'median':15} {median['host_mips']:8.1f}" + "".join(
            f" {cell(median['peers'].get(n, {}), 'host_mips'):>8}"
            f" {cell(median['peers'].get(n, {}), 'umbra_times_as_fast'):>8}" for n in names))
        print(f"The median is that of {', '.join(median['members'])}.")
    for name, peer in bench["peers"].items():
        print(f"{name}: {peer['version'] if peer['state'] == 'ok' else peer['state']}")
    for guest in bench["guests"]:
        for name in names:
            peer = guest["peers"][name]
            if peer["state"] != "ok":
                print(f"{guest['title']}: {name}: {peer['state']}")
            if "said" in peer:
                print(f"{guest['title']}: {name} has another line: {'; '.join(peer['said'])}")


def print_growth(rows):
    print("\nWhat grows with the guest, in ept:")
    print(f"{'guest':8} {'vCPUs':>5} {'pages':>7} {'instructions':>13} {'host MIPS':>9} "
          f"{'host RSS, MiB':>13}")
    for row in rows:
        print(f"{row['guest']:8} {row['cpus']:5} {row['pages']:7,} {row['instructions']:13,} "
              f"{row['host_mips']:9.1f} {row['host_rss_bytes'] / 2**20:13.1f}")
