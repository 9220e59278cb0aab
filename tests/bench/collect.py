#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What discovery and KVM's statistics cost: a round by the number of VMs, and without anything new."""
import argparse
import json
import os
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import kvm_fixture  # noqa: E402
from kvm_fixture import Owner, Watch  # noqa: E402

ROUNDS = 48  # six turns of what is read seldom
VCPUS = 4
# As KVM of Linux 6.18 has them on x86, but the histograms: what may be set to zero, and the rest.
CUMULATIVE = """directed_yield_attempted directed_yield_successful exits fpu_reload
halt_attempted_poll halt_exits halt_poll_fail_ns halt_poll_invalid halt_poll_success_ns
halt_successful_poll halt_wait_ns halt_wakeup host_state_reload hypercalls insn_emulation
insn_emulation_fail invlpg io_exits irq_exits irq_injections irq_window_exits l1d_flush
max_mmu_page_hash_collisions max_mmu_rmap_size mmio_exits mmu_cache_miss mmu_flooded
mmu_pde_zapped mmu_pte_write mmu_recycled mmu_shadow_zapped nested_run nmi_injections
nmi_window_exits notify_window_exits pf_emulate pf_fast pf_fixed pf_guest pf_mmio_spte_created
pf_spurious pf_taken preemption_other preemption_reported remote_tlb_flush
remote_tlb_flush_requests req_event request_irq_exits signal_exits tlb_flush""".split()
INSTANT = "blocking guest_mode mmu_unsync nx_lpage_splits pages_1g pages_2m pages_4k".split()


def write(path, text, mode=0o644):
    """A file with its folders."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(path, mode)


def fake_host(root, count):
    """/proc and /sys of a host with @count VMs of 4 vCPUs that debugfs tells all of."""
    kvm = f"{root}/sys/kernel/debug/kvm"
    for vm in range(count):
        pid = 1000 + 10 * vm
        write(f"{root}/proc/{pid}/stat",
              f"{pid} (vmm) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {vm + 1} 0\n")
        write(f"{root}/proc/{pid}/status", f"Name:\tvmm\nTgid:\t{pid}\n")
        write(f"{root}/proc/{pid}/cmdline", f"qemu-system-x86_64\0-name\0guest=vm-{vm}\0")
        os.makedirs(f"{root}/proc/{pid}/fd")
        os.symlink("anon_inode:kvm-vm", f"{root}/proc/{pid}/fd/9")
        for vcpu in range(VCPUS):
            write(f"{kvm}/{pid}-9/vcpu{vcpu}/pid", f"{pid + 1 + vcpu}\n", 0o444)
        for names, mode in ((CUMULATIVE, 0o644), (INSTANT, 0o444)):
            for name in names:
                write(f"{kvm}/{pid}-9/{name}", "123456789\n", mode)
                if not vm:
                    write(f"{kvm}/{name}", "123456789\n", mode)


def round_ms(watch):
    """A round, of discovery and of statistics: the median, and what of a CPU it takes."""
    took, cpu = map(int, watch.ask(f"time {ROUNDS}")[-1].split()[1:])
    return {"round_ms": took / 1e6, "cpu_ms": cpu / 1e6}


def cpu_ms(pid):
    """What it has run so far."""
    with open(f"/proc/{pid}/schedstat", encoding="utf-8") as file:
        return int(file.read().split()[0]) / 1e6


def measure_fake(count):
    """All statistics from files: those of a fake tree, on the file system of the tests."""
    root = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    try:
        fake_host(root, count)
        with Watch("--proc", f"{root}/proc", "--sys", f"{root}/sys") as watch:
            watch.ask("scan")
            assert len(watch.seen) == count, len(watch.seen)
            return {"vms": count, "vcpus": VCPUS, "source": "files", **round_ms(watch)}
    finally:
        shutil.rmtree(root)


def measure_real(count):
    """VMs on /dev/kvm whose owners keep descriptors open, and debugfs as far as it may be read."""
    owners = []
    try:
        for _ in range(count):
            owners.append(Owner("--vcpus", str(VCPUS), "--work", "none", "--keep-stats", "yes"))
        with Watch() as watch:
            watch.ask("scan")
            watch.sample(0)
            return {"vms": count, "vcpus": VCPUS, "source": "descriptors", **round_ms(watch),
                    "state": watch.states()["kvm"]}
    finally:
        for owner in owners:
            owner.kill()


def measure_idle(seconds):
    """CPU time a second where nothing comes or goes: a round each second, and no round at all."""
    with Watch() as watch:
        watch.ask("scan")
        results = {}
        for name, ask in (("without_rounds", None), ("with_rounds", "refresh")):
            begun = cpu_ms(watch.process.pid)
            for _ in range(seconds):
                time.sleep(1)
                if ask:
                    watch.ask(ask)
            results[name] = (cpu_ms(watch.process.pid) - begun) / seconds
        return results


def main():
    """One table, and the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    parser.add_argument("--vms", type=int, default=200)
    parser.add_argument("--real", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    results = {"rounds": [measure_fake(options.vms)]}
    if os.access("/dev/kvm", os.R_OK | os.W_OK) and not os.geteuid():
        kvm_fixture.with_debugfs()
        results["rounds"].append(measure_real(options.real))
        results["idle_cpu_ms_a_second"] = measure_idle(options.seconds)
    else:
        print("not measured: VMs on /dev/kvm, which root alone may look into")
    print(f"\n{'VMs':>6} {'vCPUs':>6}  {'statistics from':<16} {'ms a round':>10} "
          f"{'ms of CPU':>10}")
    for each in results["rounds"]:
        print(f"{each['vms']:>6} {each['vms'] * each['vcpus']:>6}  {each['source']:<16} "
              f"{each['round_ms']:>10.2f} {each['cpu_ms']:>10.2f}")
    for name, value in results.get("idle_cpu_ms_a_second", {}).items():
        print(f"idle, {name.replace('_', ' ')}: {value:.3f} ms of CPU a second")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
