# SPDX-License-Identifier: GPL-2.0-or-later
"""bench.py's figures for people."""


def print_modes(bench):
    guests = bench["guests"]
    if not guests:
        return
    print("What each mode costs the guest (cycles of the modelled processor), and how fast Umbra is:")
    print(f"{'guest':15} {'mode':7} {'instructions':>13} {'cycles':>15} {'to best':>8} "
          f"{'in walks':>8} {'refs/walk':>9} {'exits':>10} {'switches':>8} {'host MIPS':>9}")
    for guest in guests:
        for row in guest["modes"]:
            print(f"{guest['title']:15} {row['mode']:7} {row['instructions']:13,} "
                  f"{row['cycles']:15,} {row['to_best']:8.3f} {row['walk_share']:8.1%} "
                  f"{row['references_a_walk']:9.2f} {row['exits']:10,} {row['switches']:8} "
                  f"{row['host_mips']:9.1f}")
    print("Median host MIPS over the guests with one processor: " +
          ", ".join(f"{mips:.1f} in {mode}" for mode, mips in bench["mode_medians"].items()))


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


def print_paging(rows):
    print("\nWhat parts of paging take of the host, nanoseconds an operation (quarters of the samples):")
    print(f"{'what':32} {'mode':7} {'caches':6} {'pages':>7} {'refs/walk':>9} {'median':>8} "
          f"{'1st':>8} {'3rd':>8}")
    for row in rows:
        walks = row["walks"] >= row["operations"]
        print(f"{row['name']:32} {row['mode']:7} {row['host_caches']:6} {row['pages']:7,} " +
              (f"{row['references'] / row['walks']:9.2f}" if walks else f"{'-':>9}") +
              f" {row['median_ns']:8.1f} {row['quarter_ns']:8.1f} {row['three_quarters_ns']:8.1f}")


def print_switches(groups):
    """Medians; what happens to the guest is the same each time, but for where in its work it is."""
    for group in groups:
        print(f"\nSwitches of {group['guest']} with {group['pages']:,} pages touched, intervals of "
              f"{group['interval']:,} (medians; in brackets the longest):")
        print(f"{'from':7} {'to':7} {'times':>5} {'pause, ms':>17} {'teardown':>8} {'dropped':>7} "
              f"{'built':>5} {'refill fills':>12} {'refill cycles':>13} {'intervals':>9} "
              f"{'cost':>6}")
        for row in group["directions"]:
            pause = f"{row['pause_ns'] / 1e6:.3f} ({row['pause_ns_max'] / 1e6:.3f})"
            print(f"{row['from']:7} {row['to']:7} {row['times']:5} {pause:>17} "
                  f"{row['teardown_ns'] / 1e6:8.3f} {row['zapped']:7,.0f} {row['built']:5,.0f} "
                  f"{row['refill_fills']:12,.0f} {row['refill_cycles']:13,.0f} "
                  f"{row['intervals']:9,.0f} {row['steady_cost']:6.2f}")


def print_web(rows):
    print("\nWhat an answer takes of a CPU, once a snapshot, by the number of guests and observed VMs:")
    print(f"{'answer':13} {'guests':>7} {'VMs':>5} {'KiB':>8} {'gzip, KiB':>9} {'format, ms':>10} "
          f"{'gzip, ms':>8}")
    for row in rows:
        print(f"{row['answer']:13} {row['guests']:7,} {row['vms']:5,} {row['bytes'] / 1024:8.1f} "
              f"{row['gzip_bytes'] / 1024:9.1f} {row['median_format_ns'] / 1e6:10.3f} "
              f"{row['median_gzip_ns'] / 1e6:8.3f}")
