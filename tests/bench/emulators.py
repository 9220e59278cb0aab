# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs a guest and times it: Umbra, QEMU TCG, Bochs.

Each emulator has a name, a state ("ok", or why it is not measured) and run(), which runs a guest
once, alone, and returns a Run. Seconds are processor seconds, user and system, of the whole process.
"""
import dataclasses
import glob
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time

MEMORY = 128  # MiB of every guest
PATIENCE = 600  # wall seconds until a run counts as hung
CHECKSUM = re.compile(r"^checksum ([0-9a-f]{16})$", re.M)


@dataclasses.dataclass(frozen=True)
class Guest:
    name: str
    append: str = ""
    cpus: int = 1
    in_median: bool = True
    memory: int = MEMORY

    def image(self, folder):
        return os.path.join(folder, self.name + ".elf")

    def title(self):
        """The name, with what makes this row another than the guest's own."""
        pcid = " pcid=1" if "pcid=1" in self.append.split() else ""
        return self.name + pcid + (f" x{self.cpus}" if self.cpus > 1 else "")


@dataclasses.dataclass
class Run:
    seconds: float  # processor seconds of the guest
    start_up: float  # and before it, where that is known: firmware and loader
    checksum: str
    said: list  # the console's other lines
    rss: int = 0  # bytes, at most
    result: dict = None  # Umbra's JSON


class Failed(Exception):
    """A run that did not come to its end, or to another one than it must."""


def timed(command, status):
    """Runs a command that must end with @status: its processor seconds, largest RSS, output."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                              stderr=errors) as child:
            watchdog = threading.Timer(PATIENCE, child.kill)
            watchdog.start()
            try:
                _, wait_status, usage = os.wait4(child.pid, 0)
            except BaseException:
                child.kill()
                raise
            finally:
                watchdog.cancel()
            child.returncode = os.waitstatus_to_exitcode(wait_status)
        errors.seek(0)
        output.seek(0)
        if child.returncode != status:
            sys.stderr.write(errors.read().decode(errors="replace"))
            raise Failed(f"{' '.join(command)}: status {child.returncode}")
        return (usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024,
                output.read().decode(errors="replace"))


def console(text):
    """The checksum that a guest printed, or None, and its other lines."""
    text = text.replace("\r", "")
    found = CHECKSUM.search(text)
    lines = [line for line in text.splitlines() if line and not CHECKSUM.match(line)]
    return (found.group(1) if found else None), lines


class Umbra:
    """A build of Umbra, in one mode. Its start-up, some milliseconds, is in its seconds."""

    def __init__(self, binary, folder, mode, extra=(), name=None):
        self.binary, self.folder, self.mode, self.extra = binary, folder, mode, extra
        self.name = name or mode
        self.state = "ok" if os.access(binary, os.X_OK) else f"not measured: no {binary}"

    def version(self):
        return subprocess.run([self.binary, "--version"], capture_output=True, text=True,
                              check=False).stdout.strip()

    def refuses(self, _guest):
        return None

    def run(self, guest):
        with tempfile.TemporaryDirectory() as place:
            path = os.path.join(place, "run.json")
            seconds, rss, output = timed(
                [self.binary, "run", "--mode", self.mode, "--cpus", str(guest.cpus), "--memory",
                 f"{guest.memory}M", "--append", guest.append, "--json", path, *self.extra,
                 guest.image(self.folder)], 0)
            with open(path, encoding="utf-8") as file:
                result = json.load(file)
        checksum, said = console(output)
        return Run(seconds, 0, checksum, said, rss, result)


class Qemu:
    """QEMU's TCG. What its own start and the firmware take is taken off: a run of hello has it."""

    name = "qemu"

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.state = "ok" if shutil.which(binary) else \
            f"not measured: no {binary} (Debian: qemu-system-x86)"

    def version(self):
        return subprocess.run([self.binary, "--version"], capture_output=True, text=True,
                              check=False).stdout.splitlines()[0]

    def refuses(self, _guest):
        return None

    def run_once(self, guest):
        with tempfile.TemporaryDirectory() as place:
            path = os.path.join(place, "console")
            # The debug exit makes the guest's 0 a status of 1.
            seconds, rss, _ = timed(
                [self.binary, "-accel", "tcg,thread=single", "-cpu", "max", "-smp",
                 str(guest.cpus), "-m", str(guest.memory), "-nodefaults", "-display", "none",
                 "-serial", f"file:{path}", "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
                 "-append", guest.append, "-kernel", guest.image(self.folder)], 1)
            with open(path, encoding="latin-1") as file:
                checksum, said = console(file.read())
        return Run(seconds, 0, checksum, said, rss)

    def run(self, guest):
        start_up = self.run_once(Guest("hello", cpus=guest.cpus)).seconds
        run = self.run_once(guest)
        run.start_up = start_up
        run.seconds -= start_up
        return run


BOCHS_FILES = (  # what must be there, and the Debian package that has it
    ("/usr/lib/*/bochs/plugins/libbx_term_gui.so*", "bochs-term"),
    ("/usr/share/bochs/BIOS-bochs-latest", "bochsbios"),
    ("/usr/share/vgabios/vgabios.bin", "vgabios"),
    ("/usr/lib/grub/i386-pc/multiboot.mod", "grub-pc-bin"),
)
BOCHS_PROGRAMS = (("grub-mkrescue", "grub-common"), ("xorriso", "xorriso"))

BOCHSRC = """\
config_interface: textconfig
display_library: term
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
memory: guest={memory}, host={memory}
cpu: model=corei7_haswell_4770, count=1, ips=50000000, reset_on_triple_fault=0
clock: sync=none
ata0-master: type=cdrom, path={place}/guest.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev={place}/console
log: {place}/log
"""

# The mark stands on the console when the guest is loaded and about to start.
MARK = "the guest starts"
GRUB_CFG = """\
serial --unit=0 --speed=115200
terminal_output serial
multiboot /boot/guest.elf {name} {append}
echo "{mark}"
boot
"""


class Bochs:
    """Bochs, started from a CD by GRUB. It knows no debug exit: the checksum's line is the end.

    The guest's seconds are those between GRUB's last word and that line. A look at the console
    every few milliseconds is exact enough for runs of seconds.
    """

    name = "bochs"

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        missing = [f"{binary} (bochs)"] if not shutil.which(binary) else []
        missing += [f"{path} ({package})" for path, package in BOCHS_FILES if not glob.glob(path)]
        missing += [f"{program} ({package})" for program, package in BOCHS_PROGRAMS
                    if not shutil.which(program)]
        self.state = "ok" if not missing else \
            f"not measured: no {', no '.join(missing)}; in brackets the Debian packages"

    def version(self):
        text = subprocess.run([self.binary, "--help"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        return re.search(r"Bochs x86 Emulator\s+\S+", text.stdout + text.stderr).group()

    def refuses(self, guest):
        """The guests learn from fw_cfg how many processors there are."""
        return "no fw_cfg: the guest finds one processor" if guest.cpus > 1 else None

    def prepare(self, guest, place):
        boot = os.path.join(place, "iso", "boot")
        os.makedirs(os.path.join(boot, "grub"))
        shutil.copy(guest.image(self.folder), os.path.join(boot, "guest.elf"))
        with open(os.path.join(boot, "grub", "grub.cfg"), "w", encoding="utf-8") as file:
            file.write(GRUB_CFG.format(name=guest.name, append=guest.append, mark=MARK))
        with open(os.path.join(place, "bochsrc"), "w", encoding="utf-8") as file:
            file.write(BOCHSRC.format(memory=guest.memory, place=place))
        # Debian's build has the debugger, which waits for a command.
        with open(os.path.join(place, "commands"), "w", encoding="utf-8") as file:
            file.write("c\n")
        done = subprocess.run(
            ["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "--locales=", "--fonts=", "--themes=",
             "-o", os.path.join(place, "guest.iso"), os.path.join(place, "iso")],
            capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"grub-mkrescue: {done.stderr}")

    def run(self, guest):
        with tempfile.TemporaryDirectory() as place:
            self.prepare(guest, place)
            terminal, its_end = pty.openpty()
            try:
                with open(os.path.join(place, "errors"), "wb") as errors, subprocess.Popen(
                        [self.binary, "-q", "-f", os.path.join(place, "bochsrc"), "-rc",
                         os.path.join(place, "commands")], stdin=its_end, stdout=its_end,
                        stderr=errors, env=dict(os.environ, TERM="vt100"),
                        start_new_session=True) as child:
                    try:
                        return self.watch(child, terminal, os.path.join(place, "console"))
                    finally:
                        child.kill()
            finally:
                os.close(terminal)
                os.close(its_end)

    def watch(self, child, terminal, path):
        clock = ~child.pid << 3 | 2  # the kernel's name for a process's processor clock
        start_up, deadline = None, time.monotonic() + PATIENCE
        while child.poll() is None and time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.004)[0]:
                os.read(terminal, 65536)
            seconds = time.clock_gettime(clock)
            try:
                with open(path, encoding="latin-1") as file:
                    before, mark, text = file.read().partition(MARK)
            except FileNotFoundError:
                continue
            if mark and start_up is None:
                start_up = seconds
            checksum, said = console(text)
            if checksum:
                return Run(seconds - start_up, start_up, checksum, said)
        raise Failed(f"{self.binary}: no checksum; the console has {before[-200:]!r}")
