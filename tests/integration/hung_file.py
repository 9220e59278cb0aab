#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
A process with a VM and with a file of a file system of its own (FUSE), which anybody may have,
whose close() never ends. On the line `swap` it puts that file in the place of the statistics
descriptor of its vCPU. To be run in a mount namespace of its own.
"""
import ctypes
import fcntl
import os
import struct
import sys
import tempfile

FOLDER = tempfile.gettempdir()
CREATE_VM, CREATE_VCPU, GET_STATS_FD = 0xae01, 0xae41, 0xaece
FORGET, LOOKUP, GETATTR, OPEN, FLUSH, INIT = 2, 1, 3, 14, 25, 26


def attributes(node):
    """Of the folder, 1, or the file, 2."""
    return struct.pack("<6Q10I", node, 0, 0, 0, 0, 0, 0, 0, 0, 0o100666 if node > 1 else 0o40777,
                       1, 0, 0, 0, 4096, 0)


def serve(fuse):
    """Answers the kernel, but no FLUSH."""
    while True:
        request = os.read(fuse, 1 << 17)
        _, what, number, node = struct.unpack_from("<IIQQ", request)
        answer = {
            INIT: struct.pack("<IIIIHHIIHHI28x", 7, 31, 4096, 0, 1, 1, 4096, 1, 1, 0, 0),
            LOOKUP: struct.pack("<4Q2I", 2, 0, 3600, 3600, 0, 0) + attributes(2),
            GETATTR: struct.pack("<Q2I", 3600, 0, 0) + attributes(node),
            OPEN: struct.pack("<Q2I", 1, 0, 0),
        }.get(what)
        if what not in (FORGET, FLUSH):
            os.write(fuse, struct.pack("<IiQ", 16 + len(answer or b""), 0 if answer else -38,
                                       number) + (answer or b""))


def open_hung_file():
    """A descriptor of the file, and the process that serves it."""
    fuse = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"hung", FOLDER.encode(), b"fuse", 0, options):
        raise OSError(ctypes.get_errno(), "mount")
    server = os.fork()
    if not server:
        serve(fuse)
    os.close(fuse)
    return os.open(f"{FOLDER}/file", os.O_RDONLY), server


def main():
    """Says `ready`, `ok` to each line, and ends with its input."""
    try:
        file, server = open_hung_file()
    except OSError as error:
        sys.exit(f"no FUSE: {error}")
    vm = fcntl.ioctl(os.open("/dev/kvm", os.O_RDWR), CREATE_VM)
    stats = fcntl.ioctl(fcntl.ioctl(vm, CREATE_VCPU), GET_STATS_FD)
    print("ready", flush=True)
    for line in sys.stdin:
        if line == "swap\n":
            os.dup2(file, stats)
        print("ok", flush=True)
    os.kill(server, 9)


if __name__ == "__main__":
    main()
