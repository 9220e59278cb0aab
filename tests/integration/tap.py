# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines of the Test Anything Protocol."""


class Tap:
    """Prints a result a line and remembers whether any was bad."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def check(self, name, complaints):
        self.count += 1
        if complaints:
            self.failed += 1
        print(f"{'not ok' if complaints else 'ok'} {self.count} - {name}", flush=True)
        for complaint in complaints:
            for line in complaint.splitlines():
                print(f"# {line}")
