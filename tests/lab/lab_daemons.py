# SPDX-License-Identifier: GPL-2.0-or-later
"""umbrad and umbra-collect inside the QEMU lab, and what tests ask them."""
import qemu_lab  # first: it finds the modules of tests/integration
from daemon_fixture import wait_for

# When the folder of the process's VM appears or has gone, and when a snapshot has the guest, or no
# longer: seconds since 1970 by the clock inside. `read` sleeps without a process.
PAUSE = "read -t 0.01 nothing <&9"
VM_COMES = """exec 9<>/run/never
until set -- /sys/kernel/debug/kvm/{pid}-*; [ -d "$1" ]; do """ + PAUSE + """; done
/usr/bin/stat -c %.9Z $1
"""
VM_GOES = """exec 9<>/run/never
kill -KILL {pid}
while set -- /sys/kernel/debug/kvm/{pid}-*; [ -d "$1" ]; do """ + PAUSE + """; done
/usr/bin/date +%s.%N
"""
SNAPSHOT = """
{until} wget -q -O /run/metrics http://127.0.0.1:{port}/metrics && grep -q 'name="{name}"' /run/metrics
do usleep 50000; done
sed -n 's/^umbra_snapshot_timestamp_seconds //p' /run/metrics
"""


class Bench:
    """A lab with umbrad and umbra-collect running inside."""

    def __init__(self, lab):
        self.lab = lab
        self.lives = {}  # what tests have found, for the ones that compare

    def start(self):
        self.lab.sh("/daemons")
        self.wait_measuring()

    def start_collect(self, wrapper=""):
        """Anew, by a command that executes the one behind it; does not wait."""
        self.lab.run("killall umbra-collect; while pidof umbra-collect; do sleep 0.1; done")
        self.lab.background(f"{wrapper} umbra-collect", "/run/umbra-collect.log")

    def wait_states(self, condition, seconds=60):
        """The collectors' states when they are so."""
        def there():
            states = self.collectors()
            return states if condition(states) else None
        try:
            return wait_for(there, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.collectors()}") from error

    def wait_measuring(self):
        """Until umbra-collect has made a round with its programs in the kernel."""
        def measuring():
            try:
                states = self.collectors()
            except OSError:
                return False
            return states["kvm_exits"] == "ok" and "not measured yet" not in states["perf_event"]
        wait_for(measuring, 60)

    def json(self, path):
        return self.lab.ask(path).json()

    def collectors(self):
        return {one["name"]: one["state"]
                for one in self.json("/api/v1/collectors")["collectors"]}

    def guest(self, name):
        """The guest of that name with all its figures, or None."""
        for one in self.json("/api/v1/guests")["guests"]:
            if one["guest"] == name:
                answer = self.lab.ask(f"/api/v1/guests/{one['id']}")
                return answer.json() if answer.status == 200 else None
        return None

    def wait_guest(self, name, condition=lambda guest: True, seconds=60):
        def there():
            guest = self.guest(name)
            return guest if guest and condition(guest) else None
        return wait_for(there, seconds)

    def end_vm(self, pid):
        self.lab.sh(f"kill -KILL {pid}")

    def logs(self):
        return self.lab.run("cat /run/umbrad.log /run/umbra-collect.log").output


def comes_and_goes(bench, name):
    """Seconds from the start of a VM to the snapshot that has it, from its end to the one without."""
    def times(script, until):
        first, last = bench.lab.sh(script.format(pid=pid) + SNAPSHOT.format(
            until=until, port=qemu_lab.HTTP_PORT, name=name)).split()
        return float(last) - float(first)
    bench.lab.sh("[ -p /run/never ] || mkfifo /run/never")
    pid = bench.lab.start_vm(name, "idle=1")
    found, dropped = times(VM_COMES, "until"), times(VM_GOES, "while")
    print(f"# found {found:.3f} s after its start, dropped {dropped:.3f} s after its end")
    return found, dropped
