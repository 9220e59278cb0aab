#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The QEMU lab: Debian's kernel with real KVM on an emulated AMD processor, on any machine.

    qemu_lab.py [--npt 0|1]    opens a shell inside; to be called in a build directory
"""
import argparse
import base64
import http.client
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import image  # first: it finds the modules of tests/integration
from daemon_fixture import Answer, wait_for

GUESTS = os.path.abspath("guests")
# The programs of the build that are there; umbra-collect is not in a build without KVM's collectors.
PROGRAMS = ("umbrad", "umbra", "umbra-collect", "tests/integration/kvm_owner",
            "tests/lab/exit_cost")
MODULES = ("virtio_pci", "virtio_net", "kvm_amd")
SHELL_PORT, HTTP_PORT = 2323, 8642
APPEND = ("console=ttyS0,115200 quiet panic=-1 mitigations=off nokaslr no_timer_check "
          "cryptomgr.notests")

# `npt` and `shell` come from the kernel's command line.
INIT = """
for module in {modules}; do load $module; done
load kvm_amd npt=$npt
chgrp kvm /dev/kvm
chmod 660 /dev/kvm
mkdir -p /var/lib/umbra
chown umbra:umbra /var/lib/umbra
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
nc -ll -p {port} -e /bin/sh &
echo lab: ready in $(cut -d' ' -f1 /proc/uptime) s >/dev/console
if [ "$shell" ]; then
	/daemons
	echo "/vm starts a VM of Debian's QEMU; poweroff -f, or the shell's end, ends the lab."
	setsid cttyhack sh
	poweroff -f
fi
while :; do sleep 1; done
"""

# What a VM of somebody else does: `rounds` times it starts a process, which is a new address space
# for the MMU, then it powers off; 0: for ever. With `idle` it sleeps.
NESTED_INIT = """
echo nested: up
if [ "$idle" ]; then
	while :; do sleep 1; done
fi
i=0
while [ $i -ne ${rounds:-0} ] || [ ${rounds:-0} -eq 0 ]; do
	/bin/busybox true
	i=$((i + 1))
done
echo nested: done
poweroff -f
"""

# Somebody else's VM: /vm [OPTION OF QEMU]...; what its guest shall do is in $work. When the guest
# has powered off it stays, paused.
VM = """#!/bin/sh
exec qemu-system-x86_64 -accel kvm -cpu host -m 160 -nodefaults -display none -no-shutdown \\
	-kernel /boot/vmlinuz -initrd /boot/nested -append "console=ttyS0 quiet nokaslr \\
	mitigations=off no_timer_check cryptomgr.notests $work" "$@"
"""

# As the units start them: umbrad is the user umbra from its first instruction, in the group kvm.
DAEMONS = """#!/bin/sh
mkdir -p /run/umbra
chown umbra:umbra /run/umbra
/usr/bin/setpriv --reuid umbra --regid umbra --init-groups umbrad >/run/umbrad.log 2>&1 &
[ ! -x /usr/bin/umbra-collect ] || umbra-collect >/run/umbra-collect.log 2>&1 &
"""

FILES = {
    "daemons": DAEMONS.encode(),
    "vm": VM.encode(),
    "etc/passwd": b"root:x:0:0::/root:/bin/sh\numbra:x:998:998::/var/lib/umbra:/bin/false\n"
                  b"nobody:x:65534:65534::/:/bin/false\n",
    "etc/group": b"root:x:0:\numbra:x:998:\nkvm:x:104:umbra\nnogroup:x:65534:\n",
    "etc/umbra/umbra.conf": f"[umbrad]\nlisten = 0.0.0.0:{HTTP_PORT}\n".encode(),
}


def make_image(folder, more=None):
    """
    The kernel's file and the initramfs of the lab, which it writes there; some seconds.
    @more: further programs, {path inside: path here}
    """
    kernel = image.Kernel()
    nested, initrd = os.path.join(folder, "nested"), os.path.join(folder, "initrd")
    image.build(nested, NESTED_INIT)
    programs, files = image.qemu()
    programs.update(more or {})
    for name in PROGRAMS:
        if os.path.exists(name):
            programs[f"/usr/bin/{os.path.basename(name)}"] = os.path.abspath(name)
    # What those of busybox cannot: fractions of seconds, groups.
    programs.update({path: path for path in ("/usr/bin/date", "/usr/bin/setpriv", "/usr/bin/stat")})
    files.update({"boot/vmlinuz": kernel.image, "boot/nested": nested, **FILES})
    for name in os.listdir(GUESTS):
        if name.endswith(".elf"):
            files[f"guests/{name}"] = os.path.join(GUESTS, name)
    modules = kernel.modules(*MODULES)
    first = " ".join(name for name in modules if name != "kvm_amd")
    image.build(initrd, INIT.format(modules=first, port=SHELL_PORT), modules=modules,
                programs=programs, files=files)
    return kernel.image, initrd


class Result:
    """What a script inside wrote, standard error too, and its exit status."""

    def __init__(self, output, status):
        self.output = output
        self.status = status

    def __repr__(self):
        return f"status {self.status}: {self.output}"


class Lab:
    """
    A system that runs until the with block ends. @made: of make_image(); @npt: whether its KVM has
    nested paging; @append: more of the kernel's command line; @options: more of QEMU's. @exact: one
    processor whose clock goes on by a nanosecond with each instruction, and jumps where there is
    nothing to do: what it measures does not depend on how busy this machine is. More than one CPU may
    hang in QEMU 7.2 whenever Linux patches its code, as it does where a tracepoint or an event of perf
    is turned on: one CPU stays at a breakpoint that is gone, the other waits for it.
    """

    def __init__(self, made, npt, *, cpus=1, memory="1536M", append="", options=(), exact=False):
        self.directory = tempfile.mkdtemp(prefix="umbra-lab-")
        self.log = os.path.join(self.directory, "console")
        self.monitor = os.path.join(self.directory, "monitor")
        self.npt = npt
        # It ends with who started it, whatever becomes of that.
        clock = (["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"] if exact else
                 ["-accel", "tcg,thread=multi"])
        self.command = [
            "setpriv", "--pdeathsig", "KILL", image.QEMU, *clock, "-cpu", "max", "-smp",
            "1" if exact else str(cpus), "-m", memory, "-nodefaults", "-display", "none",
            "-no-reboot", "-kernel", made[0], "-initrd", made[1],
            "-append", f"{APPEND} npt={npt} {append}",
            "-device", "virtio-net-pci,netdev=net,romfile=", "-netdev",
            f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:{HTTP_PORT},"
            f"hostfwd=tcp:127.0.0.1:0-:{SHELL_PORT}",
            "-monitor", f"unix:{self.monitor},server=on,wait=off", *options]
        self.process = None
        self.ports = {}

    def __enter__(self):
        try:
            self.start(["-serial", f"file:{self.log}"], stdin=subprocess.DEVNULL)
            self.wait_ready()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def start(self, options, **streams):
        self.process = subprocess.Popen([*self.command, *options], **streams)
        wait_for(lambda: os.path.exists(self.monitor), 30)
        # "TCP[HOST_FORWARD]  12       127.0.0.1 40613       10.0.2.15  8642"
        self.ports = {int(inside): int(here) for here, inside in re.findall(
            r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)", self.ask_qemu())}

    def ask_qemu(self):
        """What its monitor says of the network."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(self.monitor)
            monitor.settimeout(30)
            monitor.sendall(b"info usernet\n")
            answer = b""
            while answer.count(b"(qemu)") < 2:
                answer += monitor.recv(4096)
        return answer.decode()

    def console(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_ready(self):
        """Until scripts can run inside."""
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"QEMU ended with status {self.process.returncode}")
            return "lab: ready" in self.console()

        def answers():
            try:
                return not self.run("true", 30).status
            except (OSError, AssertionError):  # nc does not listen yet
                return False
        wait_for(ready, 180)
        wait_for(answers, 180)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __exit__(self, kind, value, trace):
        if kind and os.path.exists(self.log):
            print("# " + self.console().replace("\n", "\n# "))
        self.stop()

    def run(self, script, seconds=120):
        """Has a shell inside run it; several can at a time."""
        # Not the shell's own input, which is the script.
        wrapped = f"{{\n{script}\n}} </dev/null 2>&1\nprintf '\\n%s %d\\n' lab-status: $?\n"
        output = b""
        with socket.create_connection(("127.0.0.1", self.ports[SHELL_PORT]), seconds) as channel:
            channel.sendall(wrapped.encode())
            end = time.monotonic() + seconds
            while not (found := re.search(rb"\nlab-status: (\d+)\n", output)):
                channel.settimeout(max(end - time.monotonic(), 0.001))
                received = channel.recv(65536)
                if not received:
                    raise AssertionError(f"the lab's shell ended: {script}: {output}")
                output += received
        return Result(output[:found.start()].decode(errors="replace"), int(found[1]))

    def sh(self, script, seconds=120):
        """What the script writes; it must not fail."""
        done = self.run(script, seconds)
        if done.status:
            raise AssertionError(f"in the lab: {script}: {done}")
        return done.output

    def put(self, path, data):
        """Writes a file inside."""
        self.sh(f"base64 -d >{path} <<'END'\n{base64.encodebytes(data).decode()}END")

    def background(self, command, log="/dev/null"):
        """Starts it inside; its process id."""
        return int(self.sh(f"{command} >{log} 2>&1 & echo $!"))

    def start_vm(self, name, work, *options, log="/dev/null"):
        """Somebody else's VM with that -name, whose guest does @work ("rounds=20", "idle=1")."""
        words = " ".join(map(shlex.quote, options))
        return self.background(f"work='{work}' /vm -name guest={name} {words}", log)

    def ask(self, path, method="GET", body=None, headers=None):
        """umbrad inside, over the forwarded port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[HTTP_PORT], timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()


def shell(npt):
    """Opens the lab by hand."""
    with tempfile.TemporaryDirectory(prefix="umbra-lab-") as folder:
        lab = Lab(make_image(folder), npt, append="shell=1")
        try:
            lab.start(["-chardev", "stdio,id=terminal,signal=off", "-serial", "chardev:terminal"])
            print(f"umbrad will be at http://127.0.0.1:{lab.ports[HTTP_PORT]}/", flush=True)
            lab.process.wait()
        finally:
            lab.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="opens a shell in the QEMU lab")
    parser.add_argument("--npt", type=int, choices=(0, 1), default=1, help="nested paging or not")
    shell(parser.parse_args().npt)
