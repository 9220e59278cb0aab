# SPDX-License-Identifier: GPL-2.0-or-later
"""
The QEMU lab with Debian's systemd as its first process, and Umbra as make install leaves it. The
root is made of the files of packages that are installed here.
"""
import os
import subprocess

import image
from qemu_lab import MODULES, SHELL_PORT, VM, NESTED_INIT

PACKAGES = ("systemd", "base-passwd")

# The root is moved off the initramfs: systemd cannot give a service a root of its own there.
INIT = """
for module in {modules}; do load $module; done
load kvm_amd npt=$npt
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
mkdir /mnt
mount -t tmpfs -o mode=755 tmpfs /mnt
cp -a /new/. /mnt
mkdir -p /mnt/bin /mnt/dev /mnt/proc /mnt/sys /mnt/run /mnt/tmp /mnt/root /mnt/var/log /mnt/home
chmod 1777 /mnt/tmp
cp /bin/busybox /mnt/bin
for name in $(busybox --list); do
	[ -e /mnt/bin/$name ] || ln -s busybox /mnt/bin/$name
done
umount /sys/kernel/debug /sys/kernel/tracing /sys/fs/bpf /run
chgrp 104 /dev/kvm
chmod 660 /dev/kvm
mount --move /dev /mnt/dev
mount --move /proc /mnt/proc
mount --move /sys /mnt/sys
exec switch_root /mnt /lib/systemd/systemd --unit=lab.target
"""

FILES = {
    "etc/os-release": b"ID=debian\n",
    "etc/hostname": b"lab\n",
    "etc/machine-id": b"0123456789abcdef0123456789abcdef\n",
    "etc/systemd/system/lab.target":
        b"[Unit]\nRequires=basic.target lab-shell.service\nAfter=basic.target\nAllowIsolate=yes\n",
    # Its scripts may do what they like, and a service that they start is no part of it.
    "etc/systemd/system/lab-shell.service":
        f"[Service]\nExecStart=/bin/busybox nc -ll -p {SHELL_PORT} -e /bin/sh\n"
        "ExecStartPost=/bin/sh -c 'echo lab: ready in $(cut -d\" \" -f1 /proc/uptime) s "
        ">/dev/console'\nEnvironment=HOME=/root\n".encode(),
    "vm": VM.encode(),
}


def installed_umbra(folder):
    """{path inside: path here} of what make install puts there."""
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")}
    subprocess.run(["make", "-s", "install", f"DESTDIR={folder}"], env=environment, check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    files = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            files[os.path.relpath(path, folder)] = path
    return files


def make_image(folder):
    """The kernel's file and the initramfs of the lab, which it writes there; some seconds."""
    kernel = image.Kernel()
    modules = kernel.modules(*MODULES)
    first = " ".join(name for name in modules if name != "kvm_amd")
    files, links = image.installed(*PACKAGES)
    for name in ("passwd", "group"):
        files[f"etc/{name}"] = image.read(f"/usr/share/base-passwd/{name}.master")
    files["etc/group"] += b"kvm:x:104:\n"
    files.update(FILES)
    nested = os.path.join(folder, "nested")
    image.build(nested, NESTED_INIT)
    files.update({"boot/vmlinuz": kernel.image, "boot/nested": nested})
    programs, more = image.qemu()
    files.update(more)
    files.update(installed_umbra(os.path.join(folder, "installed")))
    programs.update({inside: here for inside, here in files.items()
                     if isinstance(here, str) and image.read(here).startswith(b"\x7fELF")})
    initrd = os.path.join(folder, "initrd")
    image.build(initrd, INIT.format(modules=first), modules=modules, programs=programs,
                files=files, links=links, under="new")
    return kernel.image, initrd
