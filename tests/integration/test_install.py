#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make install, uninstall and dist: all that belongs there, nothing else."""
import os
import re
import shutil
import subprocess
import tarfile
import tempfile

from daemon_fixture import Umbrad, endless, run_tests, wait_for

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
FULL = bool(os.environ.get("UMBRA_FULL"))
# What is for those who work on Umbra in its repository.
REPOSITORY_ONLY = {".ci/run", ".gitignore"}

# Directory, then the files in it; with_systemd: only where libsystemd is.
INSTALLED = {
    "bindir": "umbra",
    "sbindir": "umbra-collect umbrad",
    "sysconfdir": "umbra/umbra.conf",
    "guestsdir": "chase.elf churn.elf forker.elf gups.elf hello.elf mov1234.elf phases.elf "
                 "scan.elf smp.elf switcher.elf",
    "schemasdir": "advice.json collectors.json decision.json decisions.json guest.json "
                  "guests.json host.json host_request.json mode.json mode_request.json "
                  "problem.json schemas.json switch.json translation.json",
    "mandir": "man1/umbra.1 man5/umbra.conf.5 man7/umbra-metrics.7 man8/umbra-collect.8 "
              "man8/umbrad.8",
    "completionsdir": "umbra",
    "prometheusdir": "umbra-alerts.yml umbra-rules.yml umbra.yml",
}
WITH_SYSTEMD = {
    "systemdsystemunitdir": "umbra-collect.service umbrad.service",
    "sysusersdir": "umbra.conf",
}

root = ""


def make(*words):
    """make in this build, as a user would call it."""
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")}
    done = subprocess.run(["make", "-s", *words], env=environment, text=True, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert not done.returncode, done.stdout[-2000:]
    return done.stdout


def variables():
    """The Makefile's variables, without what make itself would make of them."""
    with open("Makefile", encoding="utf-8") as file:
        return dict(re.findall(r"^(\w+) = (.*)$", file.read(), re.M))


def directory(name):
    """A directory of the Makefile below DESTDIR."""
    known, path = variables(), f"${{{name}}}"
    while "$" in path:
        path = re.sub(r"\$[{(](\w+)[)}]", lambda found: known[found[1]], path)
    return root + path


def expected():
    found = dict(INSTALLED)
    with open("config.h", encoding="utf-8") as file:
        if "#define HAVE_SYSTEMD 1" in file.read():
            found.update(WITH_SYSTEMD)
    return {os.path.join(directory(name), file)
            for name, files in found.items() for file in files.split()}


def files_below(top):
    return {os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names}


def install_puts_each_file_where_it_belongs():
    make("install", f"DESTDIR={root}")
    missing, foreign = expected() - files_below(root), files_below(root) - expected()
    assert not missing and not foreign, f"missing: {missing}, foreign: {foreign}"


def each_schema_and_guest_that_is_made_is_installed():
    for name, where, ending in (("schemas", "schemasdir", ".json"), ("guests", "guestsdir", ".elf")):
        made = {file for file in os.listdir(name) if file.endswith(ending)}
        assert made == set(INSTALLED[where].split()), (name, made)


def installed_files_name_installed_places():
    """What was filled in at build time is filled in, and is true."""
    for path in expected():
        with open(path, "rb") as file:
            assert not re.search(rb"@[a-z]+dir@", file.read()), path
    with open(os.path.join(directory("sysconfdir"), "umbra/umbra.conf"),
              encoding="utf-8") as file:
        images = re.findall(r"image = (\S+)", file.read())
    assert images and all(os.path.exists(root + image) for image in images), images


def umbrad_looks_for_its_configuration_where_it_was_installed():
    usage = subprocess.run([os.path.join(directory("sbindir"), "umbrad"), "--help"],
                           capture_output=True, text=True, check=True).stdout
    path = os.path.join(directory("sysconfdir"), "umbra/umbra.conf")
    assert path.removeprefix(root) in usage, usage


def example_configuration_runs_on_the_installed_programs():
    with open(os.path.join(directory("sysconfdir"), "umbra/umbra.conf"),
              encoding="utf-8") as file:
        example = re.sub(r"^#(?=\[|\w+ = )", "", file.read(), flags=re.M)
    umbra = os.path.join(directory("bindir"), "umbra")
    with Umbrad({}, binary=os.path.join(directory("sbindir"), "umbrad")) as umbrad:
        umbrad.stop()
        with open(umbrad.config, "w", encoding="utf-8") as file:
            file.write(example.replace("image = ", f"image = {root}")
                       .replace("state = /var/lib/umbra", f"state = {umbrad.directory}"))
        umbrad.start("--listen", "127.0.0.1:0", "--socket", umbrad.socket)
        umbrad.wait_state("phases", "running")
        shown = subprocess.run([umbra, "guests", "--socket", umbrad.socket], timeout=60,
                               capture_output=True, text=True, check=True).stdout
        assert re.search(r"^phases +running ", shown, re.M), shown


def completed(*words, umbra=None):
    """What bash offers for the last of the words."""
    script = ('. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _umbra; echo "${COMPREPLY[@]}"')
    return subprocess.run(("bash", "-c", script, os.path.join(directory("completionsdir"), "umbra"),
                           umbra or os.path.join(directory("bindir"), "umbra"), *words),
                          capture_output=True, text=True, timeout=60, check=True).stdout.split()


def bash_completes_verbs_options_and_values():
    assert completed("dec") == ["decisions"]
    assert {"run", "guests", "mode", "explain"} <= set(completed(""))
    assert completed("run", "--switch") == ["--switch-every"]
    assert "--json" in completed("show", "--")
    assert completed("run", "--mode", "s") == ["shadow"]
    assert completed("mode", "some", "adv") == ["advise"]
    # Files are bash's own matter.
    assert not completed("run", "--json", "f")


def bash_completes_guests_and_not_what_is_told_of_them():
    umbra = os.path.join(directory("bindir"), "umbra")
    with Umbrad({"one": endless(mode="ept"), "another": endless(mode="ept")},
                binary=os.path.join(directory("sbindir"), "umbrad")) as umbrad:
        umbrad.wait_state("one", "running")
        assert umbrad.put_mode("one", mode="shadow").status == 200
        wait_for(lambda: "switched from" in umbrad.umbra("guests").stdout, 20)
        # As umbra is where umbrad has the socket that it has by default.
        wrapper = os.path.join(umbrad.directory, "umbra")
        with open(wrapper, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\n[ "$1" = guests ] && set -- "$@" --socket {umbrad.socket}\n'
                       f'exec {umbra} "$@"\n')
        os.chmod(wrapper, 0o755)
        assert set(completed("show", "", umbra=wrapper)) == {"one", "another"}
        assert completed("show", "o", umbra=wrapper) == ["one"]


def operators_configuration_outlives_install_and_uninstall():
    path = os.path.join(directory("sysconfdir"), "umbra/umbra.conf")
    with open(path, "a", encoding="utf-8") as file:
        file.write("# mine\n")
    with open(path, encoding="utf-8") as file:
        mine = file.read()
    make("install", f"DESTDIR={root}")
    make("uninstall", f"DESTDIR={root}")
    assert files_below(root) == {path}, files_below(root)
    with open(path, encoding="utf-8") as file:
        assert file.read() == mine
    os.unlink(path)


def uninstall_leaves_nothing():
    make("install", f"DESTDIR={root}")
    assert files_below(root)
    make("uninstall", f"DESTDIR={root}")
    assert not files_below(root), files_below(root)
    for folder, _, _ in os.walk(root):
        assert os.path.basename(folder) != "umbra", folder


def tarball_has_the_whole_tree():
    if not os.path.exists(os.path.join(SOURCE, ".git")):
        return "SKIP not in a repository"
    tracked = set(subprocess.run(["git", "-C", SOURCE, "ls-files"], capture_output=True, text=True,
                                 check=True).stdout.split())
    distdir = "umbra-test-dist"
    try:
        make("distdir", f"distdir={distdir}")
        packed = {os.path.relpath(path, distdir) for path in files_below(distdir)}
    finally:
        shutil.rmtree(distdir, ignore_errors=True)
    assert tracked - packed == REPOSITORY_ONLY, tracked - packed - REPOSITORY_ONLY
    return None


def tarball_builds_installs_and_cleans_up():
    """distcheck, without the tests, which need an hour in there."""
    make("distcheck", "TESTS=")
    for name in os.listdir("."):
        if re.fullmatch(r"umbra-[\d.]+\.tar\.\w+", name):
            assert tarfile.is_tarfile(name)
            os.unlink(name)


if __name__ == "__main__":
    root = tempfile.mkdtemp(prefix="umbra-install-")
    # umbrad may not be who installed it.
    os.chmod(root, 0o755)
    try:
        run_tests((
            install_puts_each_file_where_it_belongs,
            each_schema_and_guest_that_is_made_is_installed,
            installed_files_name_installed_places,
            umbrad_looks_for_its_configuration_where_it_was_installed,
            example_configuration_runs_on_the_installed_programs,
            bash_completes_verbs_options_and_values,
            bash_completes_guests_and_not_what_is_told_of_them,
            operators_configuration_outlives_install_and_uninstall,
            uninstall_leaves_nothing,
            tarball_has_the_whole_tree,
            *([tarball_builds_installs_and_cleans_up] if FULL else []),
        ))
    finally:
        shutil.rmtree(root, ignore_errors=True)
