# SPDX-License-Identifier: GPL-2.0-or-later
"""Files out of Debian packages, for tests that run them as guests; nothing is installed."""
import os
import re
import subprocess
import sys


def skip(why):
    """Ends the test; said on standard output, where the TAP driver reads it."""
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def download(folder, package):
    done = subprocess.run(["apt-get", "-qq", "download", package], cwd=folder, capture_output=True,
                          text=True, check=False)
    found = [name for name in os.listdir(folder) if name.startswith(package + "_")]
    return found[0] if found else None, done.stderr.strip()


def unpack(folder, package):
    """Unpacks the package there; without it the test is skipped and says why."""
    name, why = download(folder, package)
    if not name:
        subprocess.run(["apt-get", "-qq", "update"], capture_output=True, check=False)
        name, why = download(folder, package)
    if not name:
        skip(f"the package {package} cannot be fetched: {why}")
    subprocess.run(["dpkg", "-x", name, "."], cwd=folder, check=True)
    os.unlink(os.path.join(folder, name))


def depends(package):
    """The first package that it depends on."""
    done = subprocess.run(["apt-cache", "depends", package], capture_output=True, text=True,
                          check=False)
    found = re.search(r"Depends: (\S+)", done.stdout)
    if not found:
        skip(f"the package {package} is not known to apt")
    return found[1]
