#!/bin/sh
# quickstart in a fresh Debian 12: makes a bookworm root, puts the committed tree into it and runs
# quickstart there as root, which installs its packages itself. Needs root, debootstrap and a mirror
# (the host's apt configuration is used inside too; MIRROR=URL for another one).
set -eu
[ "$(id -u)" -eq 0 ] || { echo "this needs root" >&2; exit 77; }
source=$(cd "$(dirname "$0")/../.." && pwd)
root=$(mktemp -d "${TMPDIR:-/var/tmp}/umbra-bookworm-XXXXXX")
quickstart=
stop()
{
	trap '' INT TERM
	[ -z "$quickstart" ] || kill -TERM "$quickstart" 2>/dev/null || true
	[ -z "$quickstart" ] || wait "$quickstart" || true
	umount "$root/proc" 2>/dev/null || true
	rm -rf --one-file-system "$root"
}
trap stop EXIT
trap 'exit 1' INT TERM

debootstrap --variant=minbase bookworm "$root" ${MIRROR:+"$MIRROR"} >"$root.log" 2>&1 || {
	tail -n 20 "$root.log" >&2
	exit 1
}
rm -f "$root.log"
cp -a /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
# mktemp made it for root alone; umbrad does not stay root.
chmod 755 "$root"
mount -t proc proc "$root/proc"
mkdir "$root/umbra"
git -C "$source" archive HEAD | tar -x -C "$root/umbra"

port=${PORT:-8643}
chroot "$root" /umbra/quickstart --listen "127.0.0.1:$port" >"$root/output" 2>&1 &
quickstart=$!
until grep -q 'Ctrl-C stops all' "$root/output"; do
	kill -0 "$quickstart" 2>/dev/null || {
		cat "$root/output" >&2
		quickstart=
		exit 1
	}
	sleep 1
done

# Within 60 s of the build's end: phases was switched both ways, gups once and no more, churn not at all.
tries=0
until python3 - "http://127.0.0.1:$port/api/v1/guests/" <<'END'
import json
import sys
import urllib.request


def ways(name):
    with urllib.request.urlopen(sys.argv[1] + name, timeout=10) as answer:
        return [(one["from"], one["to"]) for one in json.load(answer)["switches"]]


both = {("ept", "shadow"), ("shadow", "ept")}
sys.exit(not (both <= set(ways("phases")) and ways("gups") == [("ept", "shadow")] and
              not ways("churn")))
END
do
	tries=$((tries + 1))
	[ $tries -lt 60 ] || { echo "no switches within 60 s" >&2; exit 1; }
	sleep 1
done
echo "quickstart works in a fresh bookworm"
