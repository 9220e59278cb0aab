# SPDX-License-Identifier: GPL-2.0-or-later
"""Small Linux systems to boot in the labs: Debian's cloud kernel and an initramfs, without root.

build() makes an initramfs of busybox, kernel modules, programs with their libraries and whatever
else a lab wants inside. Debian's packages are fetched once per build directory.
"""
import contextlib
import fcntl
import glob
import gzip
import os
import re
import stat
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

import debian  # pylint: disable=wrong-import-position
from linux_guest import cpio  # pylint: disable=wrong-import-position

CACHE = os.path.abspath("tests/lab/cache")
QEMU = "/usr/bin/qemu-system-x86_64"
# What Debian's QEMU loads into a PC without a display and network that boots a kernel of -kernel.
QEMU_FILES = (
    "/usr/share/qemu/kvmvapic.bin",
    "/usr/share/qemu/linuxboot_dma.bin",
    "/usr/share/qemu/multiboot_dma.bin",
    "/usr/share/qemu/pvh.bin",
    "/usr/share/seabios/bios-256k.bin",
)

# What every system does first. A lab's own lines follow; $MODULES is where its modules are, in
# files NAME.ko, and `load NAME [PARAMETER=VALUE]...` loads one.
INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /root /usr/bin /usr/sbin /sbin
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
ln -s /proc/self/fd /dev/fd
mount -t tmpfs tmpfs /run
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
MODULES=/modules
load()
{
	module=$1
	shift
	insmod $MODULES/$module.ko "$@"
}
"""


@contextlib.contextmanager
def _locked(path):
    """Tests run side by side and share the cache."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def package(name, cache=CACHE):
    """
    The directory with the files of Debian's package, fetched when it is not there; the test is
    skipped with the reason where that fails.
    """
    folder = os.path.join(cache, name)
    with _locked(os.path.join(cache, name + ".lock")):
        if not os.path.isdir(folder):
            with tempfile.TemporaryDirectory(dir=cache) as fresh:
                os.chmod(fresh, 0o755)  # apt's own user fetches
                unpacked = os.path.join(fresh, "unpacked")
                os.mkdir(unpacked)
                debian.unpack(unpacked, name)
                os.rename(unpacked, folder)
    return folder


class Kernel:
    """
    Debian's cloud kernel: its version, the file of its bzImage (image), and its modules. @strip:
    what its modules are stripped of; without .orc_unwind* they load many times faster, and there
    are no stack traces through them.
    """

    def __init__(self, cache=CACHE, strip=("-g", "-R", ".orc_unwind*")):
        self.folder = package(debian.depends("linux-image-cloud-amd64"), cache)
        self.image, = glob.glob(f"{self.folder}/boot/vmlinuz-*")
        self.version = os.path.basename(self.image).partition("-")[2]
        self.strip = strip
        with open(f"{self.folder}/lib/modules/{self.version}/modules.builtin",
                  encoding="utf-8") as file:
            self.built_in = {self._name(line) for line in file}

    @staticmethod
    def _name(path):
        """The kernel takes - and _ in a module's name for the same."""
        return os.path.basename(path.strip()).partition(".ko")[0].replace("-", "_")

    def _found(self):
        return {self._name(path): path for path in glob.glob(
            f"{self.folder}/lib/modules/{self.version}/kernel/**/*.ko", recursive=True)}

    def modules(self, *names):
        """
        {name: contents} of these modules and all that they need, each behind what it needs itself.
        """
        found, loaded = self._found(), {}

        def add(name):
            key = name.replace("-", "_")
            if key in self.built_in or key in loaded:
                return
            if key not in found:
                raise FileNotFoundError(f"kernel {self.version} has no module {name}")
            needed = subprocess.run(["objcopy", "-O", "binary", "-j", ".modinfo",
                                     "--set-section-flags", ".modinfo=alloc", found[key],
                                     "/dev/stdout"], stdout=subprocess.PIPE, check=True).stdout
            for other in re.search(rb"(?:^|\0)depends=([^\0]*)", needed)[1].decode().split(","):
                if other:
                    add(other)
            loaded[key] = self._stripped(found[key])
        for name in names:
            add(name)
        return loaded

    def _stripped(self, path):
        with tempfile.NamedTemporaryFile() as out:
            subprocess.run(["strip", *self.strip, "-o", out.name, path], check=True)
            with open(out.name, "rb") as file:
                return file.read()


def libraries(*programs):
    """The files that the dynamic linker loads for the programs, the linker included."""
    found = set()
    for program in programs:
        done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
        if "not found" in done.stdout:
            raise FileNotFoundError(f"{program}: {done.stdout.strip()}")
        found.update(re.findall(r"(/\S+) \(0x", done.stdout))
    return sorted(found)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def build(path, init, *, modules=None, programs=None, files=None, links=None, under="",
          compress=False, cache=CACHE):
    """
    Writes an initramfs to @path.

    @init:     lines of busybox's shell that follow INIT; must not return
    @modules:  {name: contents}, as Kernel.modules() gives it -> /modules/NAME.ko
    @programs: {path inside: path here}; executable, the libraries of each come along
    @files:    {path inside: bytes, or path here}; scripts and ELF files are executable
    @links:    {path inside: what the symbolic link says}
    @under:    the directory inside below which programs, libraries, files and links are
    @compress: with gzip; QEMU hands it over at once, so there a plain archive boots faster
    """
    def inside(name, folder=under):
        # Where /lib is a link to /usr/lib here, it is one inside.
        parent, name = os.path.split("/" + name.lstrip("/"))
        return f"{folder}{os.path.realpath(parent)}/{name}".lstrip("/")

    content = {"init": (0o755, (INIT + init).encode()), inside("bin/busybox", ""): (
        0o755, read(f"{package('busybox-static', cache)}/bin/busybox"))}
    for name, module in (modules or {}).items():
        content[f"modules/{name}.ko"] = (0o644, module)
    programs = programs or {}
    for library in libraries(*programs.values()):
        content[inside(library)] = (0o755, read(library))
    for name, here in programs.items():
        content[inside(name)] = (0o755, read(here))
    for name, data in (files or {}).items():
        data = data if isinstance(data, bytes) else read(data)
        content[inside(name)] = (
            0o755 if data.startswith((b"#!", b"\x7fELF")) else 0o644, data)
    links = {inside(name): target for name, target in (links or {}).items()}
    for name in filter(os.path.islink, ("/bin", "/lib", "/lib64", "/sbin")):
        for folder in {"", under}:
            links[inside(name, folder)] = os.readlink(name)
    folders = {name[:i] for name in (*content, *links)
               for i, char in enumerate(name) if char == "/"}
    archive = cpio([(name, stat.S_IFDIR | 0o755, b"") for name in sorted(folders)] +
                   [(name, stat.S_IFREG | mode, data) for name, (mode, data) in content.items()] +
                   [(name, stat.S_IFLNK | 0o777, to.encode()) for name, to in links.items()])
    with open(path, "wb") as file:
        file.write(gzip.compress(archive, 1, mtime=0) if compress else archive)


def installed(*packages):
    """
    ({path: bytes}, {path: what a link says}) of the packages, which are installed here, and of all
    that they depend on; without documentation.
    """
    def ask(form, package):
        return subprocess.run(["dpkg-query", "--show", "--showformat", form, package],
                              capture_output=True, text=True, check=False).stdout
    found, waiting = set(), list(packages)
    while waiting:
        name = waiting.pop()
        if name in found or ask("${db:Status-Status}", name) != "installed":
            continue  # of alternatives the ones that are not here
        found.add(name)
        waiting += re.findall(r"(?:^|[,|] ?)([a-z0-9][a-z0-9+.-]+)",
                              ask("${Pre-Depends},${Depends}", name))
    if missing := set(packages) - found:
        raise FileNotFoundError(f"not installed: {' '.join(sorted(missing))}")
    files, links = {}, {}
    listed = subprocess.run(["dpkg-query", "--listfiles", *found], capture_output=True, text=True,
                            check=True).stdout
    for path in set(re.findall(r"^/.+$", listed, re.M)):
        if re.match("/usr/share/(bash-completion|doc|locale|man|zsh)/", path):
            continue
        if os.path.islink(path):
            links[path] = os.readlink(path)
        elif os.path.isfile(path):
            files[path] = read(path)
    return files, links


def qemu():
    """The programs and the files that Debian's QEMU needs inside, for build()."""
    return {QEMU: QEMU}, {path: path for path in QEMU_FILES}
