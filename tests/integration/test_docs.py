#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples in README.md and docs/*.md work, and print what they say.

A fenced block "```console run" holds commands, each behind "$ ", each followed by what it prints.
A command must end with status 0, and where output is shown its last line must be the last one that
the command printed. A block "```ini file=NAME" is a file that the commands find. All blocks of a
page share one shell in an empty directory with umbra, umbrad and guests/ in it, as in the
directory of a build. Port 8642 becomes one that is free. Nobody's examples need root: root runs them
as the user that umbrad would become.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from daemon_fixture import daemon_user, give_to_daemon

BUILD = os.getcwd()
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
IN_BUILD = ("umbra", "umbrad", "guests")
PORT = "8642"
SECONDS = 300
BLOCK = re.compile(r"^```(console run|ini file=([\w.-]+))\n(.*?)^```$", re.M | re.S)
DONE = re.compile(r"\n?<<example (\d+) ended with (\d+)>>\n")


def pages():
    """README.md and the pages beside it."""
    docs = os.path.join(SOURCE, "docs")
    yield os.path.join(SOURCE, "README.md")
    yield from (os.path.join(docs, name) for name in sorted(os.listdir(docs))
                if name.endswith(".md"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def commands(block):
    """Each command of a console block, with the lines shown as its output."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and found[-1][0].endswith("\\"):
            found[-1] = (f"{found[-1][0]}\n{line}", [])
        elif found:
            found[-1][1].append(line)
        else:
            raise ValueError(f"output without a command: {line!r}")
    return found


def run_page(text):
    """What a page's commands printed and their statuses, by number."""
    examples, results = [], {}
    port = free_port()
    folder = tempfile.mkdtemp(prefix="umbra-docs-")
    try:
        for name in IN_BUILD:
            copy = shutil.copytree if os.path.isdir(f"{BUILD}/{name}") else shutil.copy2
            copy(f"{BUILD}/{name}", f"{folder}/{name}")
        for kind, name, content in BLOCK.findall(text):
            if kind.startswith("ini"):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                    file.write(content.replace(PORT, port))
            else:
                examples += commands(content)
        script = "".join(
            f"{command.replace(PORT, port)}\nprintf '\\n<<example {number} ended with %d>>\\n' $?\n"
            for number, (command, _) in enumerate(examples))
        user = daemon_user()
        give_to_daemon(folder)
        shell = subprocess.Popen(["bash"], cwd=folder, user=user and user.pw_uid,
                                 group=user and user.pw_gid, extra_groups=[] if user else None,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, start_new_session=True)
        try:
            printed, _ = shell.communicate(
                # As a function, so that no command takes the following ones as its input.
                f"page() {{\n:\n{script}}}\npage </dev/null\n", timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            printed, _ = shell.communicate()
    finally:
        shutil.rmtree(folder)
    start = 0
    for match in DONE.finditer(printed):
        output = printed[start:match.start()].replace(port, PORT)
        results[int(match[1])] = (int(match[2]), output.splitlines())
        start = match.end()
    return [(command, shown, results.get(number))
            for number, (command, shown) in enumerate(examples)]


def problems_of(shown, result):
    if result is None:
        return ["was not reached, or did not end"]
    status, printed = result
    shown = [line.rstrip() for line in shown if line.strip()]
    printed = [line.rstrip() for line in printed if line.strip()]
    problems = []
    if status:
        problems.append(f"status {status}")
    if shown and shown[-1] != (printed or [""])[-1]:
        problems.append(f"the page ends with {shown[-1]!r}")
    if problems:
        problems += [f"printed: {line}" for line in printed[-5:]]
    return problems


def main():
    if not shutil.which("curl"):
        print("1..0 # SKIP curl, which the examples use, is not installed")
        return 0
    number = 0
    for path in pages():
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for command, shown, result in run_page(text):
            problems = problems_of(shown, result)
            number += 1
            # A "#" would begin a TAP directive.
            name = " ".join(command.split()).replace("#", "")
            print(f"{'not ok' if problems else 'ok'} {number} - {os.path.basename(path)}: {name}")
            for problem in problems:
                print(f"#  {problem}")
    if not number:
        print("not ok 1 - no example was found")
        number = 1
    print(f"1..{number}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
