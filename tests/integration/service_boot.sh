#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Boots the host's own files, with what a test adds, under the host's systemd in a container.
#   service_boot.sh FOLDER UNIT
# FOLDER/add is laid over the root (the host's files stay as they are), FOLDER/out is /out inside;
# ends when UNIT, which must shut the container down, has done so. Needs root; to be called by
# unshare --mount, as everything is mounted for nobody else.
set -eu
folder=$1
unit=$2
root=$folder/root
group=umbra-test-$$

mount --make-rprivate /
mkdir "$root"
mount -t tmpfs -o mode=755 tmpfs "$root"
mkdir "$root/upper" "$root/work" "$root/root"
cp -a "$folder/add/." "$root/upper/"
mount -t overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" overlay "$root/root"

# A control group of its own, where there is no systemd that would make one.
hierarchies=
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
	[ -e "$hierarchy/cgroup.procs" ] || continue
	mkdir "$hierarchy/$group"
	echo $$ >"$hierarchy/$group/cgroup.procs"
	hierarchies="$hierarchies $hierarchy"
done
status=0
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout --kill-after=10 240 systemd-nspawn --quiet --directory="$root/root" \
	--machine="$group" --register=no --keep-unit --private-network --link-journal=no \
	--bind="$folder/out:/out" --console=pipe --boot "systemd.unit=$unit" </dev/null || status=$?
for hierarchy in $hierarchies; do
	echo $$ >"$hierarchy/cgroup.procs"
	find "$hierarchy/$group" -depth -type d -exec rmdir {} \;
done
exit $status
