# SPDX-License-Identifier: GPL-2.0-or-later
"""A PC with an Intel processor that has VMX and EPT, on any machine: Debian's Bochs.

make() writes a CD: GRUB, Debian's cloud kernel, an initramfs and a tree of files that the kernel
mounts, for the BIOS reads 2 MB a second. boot() runs it until it powers off. What runs inside
writes its report to the second serial line, where the kernel's messages do not get between.
"""
import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
import tty

import image

BOCHS = "/usr/bin/bochs"
# The processor's clock: so many instructions are a second inside. Waiting costs nothing.
INSTRUCTIONS_A_SECOND = 200_000_000

CONFIGURATION = """config_interface: textconfig
display_library: term
cpu: model=corei7_haswell_4770, count=1, ips={ips}, reset_on_triple_fault=0
memory: guest={memory}, host={memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
pci: enabled=1, chipset=i440fx
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={cd}, status=inserted
boot: cdrom
clock: sync=none
com1: enabled=1, mode=file, dev={folder}/console
com2: enabled=1, mode=file, dev={folder}/report
log: {folder}/log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
"""

GRUB = """set timeout=0
menuentry lab {{
	linux /boot/vmlinuz {append}
	initrd /boot/initrd
}}
"""

# Without mitigations, for they cost exits of their own; the timer is not where the kernel looks
# first.
APPEND = "console=ttyS0,115200 quiet nokaslr mitigations=off no_timer_check cryptomgr.notests"

# The file system is in memory, with links to what is on the CD.
INIT = """
load cdrom; load scsi_common; load scsi_mod; load sr_mod; load libata; load ata_piix; load isofs
mkdir /cd
mount -t iso9660 -o ro /dev/sr0 /cd
cp -rs /cd/files/. /
exec >/dev/ttyS1 2>/dev/ttyS0 </dev/null
stty 115200 -opost <&1
"""
CD_MODULES = ("sr_mod", "ata_piix", "isofs")
# The last bytes are lost when the power goes with them still in the UART.
END = "\nsleep 1\npoweroff -f\n"


def missing():
    """The first thing this lab needs that the machine does not have, or None."""
    for path, package in ((BOCHS, "bochs"),
                          ("/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so",
                           "bochs-term"),
                          ("/usr/bin/grub-mkrescue", "grub-common"),
                          ("/usr/lib/grub/i386-pc/moddep.lst", "grub-pc-bin"),
                          ("/usr/bin/xorriso", "xorriso"), ("/usr/bin/mformat", "mtools")):
        if not os.path.exists(path):
            return f"{path} is missing (package {package})"
    return None


def make(folder, kernel, init, *, modules=(), programs=None, files=None):
    """
    Writes the CD to @folder/cd.iso.

    @kernel:   image.Kernel
    @init:     lines of busybox's shell; standard output is the report
    @modules:  names; what they need comes along; loaded by `load NAME [PARAMETER=VALUE]...`
    @programs: {path inside: path here}; the libraries of each come along
    @files:    {path inside: bytes, or path here}
    """
    tree = os.path.join(folder, "cd")
    programs, files = programs or {}, dict(files or {})
    for library in image.libraries(*programs.values()):
        files.setdefault(library, library)
    for inside, content in {**files, **programs}.items():
        # Where /lib is a link to /usr/lib here, it is one inside.
        folder_inside, name = os.path.split(inside)
        path = f"{tree}/files{os.path.realpath(folder_inside)}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if isinstance(content, bytes):
            with open(path, "wb") as file:
                file.write(content)
        else:
            # With the time of its change, by which Python knows its compiled modules.
            shutil.copy2(os.path.realpath(content), path)
    os.makedirs(f"{tree}/boot/grub")
    shutil.copyfile(kernel.image, f"{tree}/boot/vmlinuz")
    image.build(f"{tree}/boot/initrd", INIT + init + END,
                modules=kernel.modules(*CD_MODULES, *modules), compress=True)
    with open(f"{tree}/boot/grub/grub.cfg", "w", encoding="ascii") as file:
        file.write(GRUB.format(append=APPEND))
    subprocess.run(["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "-o", f"{folder}/cd.iso", tree],
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
    shutil.rmtree(tree)


def _start(folder, memory):
    """Bochs on a terminal of its own, which it needs; when this process goes it gets SIGHUP."""
    with open(f"{folder}/bochsrc", "w", encoding="ascii") as file:
        file.write(CONFIGURATION.format(ips=INSTRUCTIONS_A_SECOND, folder=folder, memory=memory,
                                        cd=f"{folder}/cd.iso"))
    with open(f"{folder}/commands", "w", encoding="ascii") as file:
        file.write("c\n")  # this build has a debugger, which waits before the first instruction
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
            os.execve(BOCHS, [BOCHS, "-q", "-f", f"{folder}/bochsrc", "-rc", f"{folder}/commands"],
                      {"TERM": "xterm", "PATH": "/usr/bin:/bin", "HOME": folder})
        finally:
            os._exit(127)
    return pid, terminal


def boot(folder, *, seconds, line, memory=1024):
    """
    Runs the CD in @folder; calls line() with each line of the report as it comes. Returns what is
    wrong with how it ended: a list of complaints, empty after a power-off.

    @seconds: of wall time, after which it is killed
    @memory:  MiB
    """
    pid, terminal = _start(folder, memory)
    screen = _Screen(terminal)
    report = _Report(f"{folder}/report", line)
    deadline = time.monotonic() + seconds
    status = None
    try:
        while status is None:
            if time.monotonic() > deadline:
                return [f"it still runs after {seconds} s", *tail(folder)]
            screen.read(0.1)
            report.read()
            if os.waitpid(pid, os.WNOHANG)[0]:
                status = True
        report.read()
        # Bochs ends with status 1 at a power-off and says so in its log alone.
        if any("ACPI control: soft power off" in text for text in _lines(f"{folder}/log")):
            return []
        return ["it did not power off", *_lines(f"{folder}/log")[-5:], *tail(folder),
                screen.words.decode(errors="replace")[-500:]]
    finally:
        if status is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        screen.close()


class _Screen:
    """
    What Bochs writes besides files: its own words to its terminal, and the screen to a terminal
    that it makes and names there. Both must be read, or it waits for somebody who does.
    """

    NAMED = re.compile(rb'connected to screen "(/dev/pts/\d+)"')

    def __init__(self, terminal):
        self.open = [terminal]
        self.words = b""

    def read(self, seconds):
        """What is there, waiting so long for it."""
        for terminal in select.select(self.open, [], [], seconds)[0]:
            # At its end Linux says EIO.
            with contextlib.suppress(OSError):
                data = os.read(terminal, 65536)
                if terminal == self.open[0]:
                    self.words = (self.words + data)[-65536:]
        named = self.NAMED.search(self.words)
        if named and len(self.open) == 1:
            screen = os.open(named[1], os.O_RDONLY | os.O_NOCTTY)
            self.open.append(screen)
            tty.setraw(screen)

    def close(self):
        for terminal in self.open:
            os.close(terminal)


def _lines(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def tail(folder, count=20):
    """The last lines of the console."""
    return ["console: " + text for text in _lines(f"{folder}/console")[-count:]]


class _Report:
    """Whole lines of a file that grows."""

    def __init__(self, path, line):
        self.path, self.line, self.done = path, line, 0

    def read(self):
        try:
            with open(self.path, "rb") as file:
                file.seek(self.done)
                whole = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return
        self.done += len(whole[0]) + len(whole[1])
        if whole[1]:
            for text in whole[0].decode(errors="replace").split("\n"):
                self.line(text.rstrip("\r"))
