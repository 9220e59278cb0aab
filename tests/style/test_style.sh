#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The source has the form that .clang-format gives it and passes the checks of .clang-tidy.
set -u
build=$PWD
cd "${srcdir:-$(dirname "$0")/../..}" || exit 1

files()
{
	find client collectors daemon guests ini policy schemas tests vmm-core web -name "$1" | sort
}

# Prints the result of a check whose complaints are in $2; only what ran to its end counts.
result()
{
	if [ "$3" -eq 0 ] && [ ! -s "$2" ]; then
		echo "ok $1"
	else
		echo "not ok $1"
		sed 's/^/#  /' "$2" | head -n 20
	fi
}

output=$(mktemp)
trap 'rm -f "$output"' EXIT
echo 1..3

# shellcheck disable=SC2046 # names without blanks
clang-format --dry-run --Werror $(files '*.[ch]') >"$output" 2>&1
result "1 - clang-format has nothing to change" "$output" $?

# What includes the BPF programs' skeleton is checked where there is one.
tidy_files()
{
	files '*.c' | grep -v '^guests/\|^tests/\|\.bpf\.c$' |
		if [ -e "$build/collectors/kvm_exits.skel.h" ]; then
			cat
		else
			grep -v '^collectors/kvm_exits\|^collectors/kernel_btf'
		fi
}

tidy_files | xargs -n 8 -P "$(nproc)" sh -c 'clang-tidy --quiet "$@" -- \
	-std=gnu17 -D_GNU_SOURCE -DPKGDATADIR=\"x\" -DPACKAGE_VERSION=\"x\" -DSYSCONFDIR=\"x\" \
	-I. -Ivmm-core -Ivmm-core/include -Itests/unit -I'"$build"' 2>/dev/null' sh >"$output"
clang-tidy --quiet collectors/kvm_exits.bpf.c -- -target bpf -mcpu=v3 -O2 -I. \
	-idirafter "/usr/include/$(cc -print-multiarch)" >>"$output" 2>/dev/null
result "2 - clang-tidy finds nothing" "$output" $?

files '*.[ch]' | while read -r file; do
	head -n 1 "$file" | grep -q '^/\* SPDX-License-Identifier: GPL-2.0-or-later \*/$' ||
		echo "$file: its first line does not name the licence"
done >"$output"
result "3 - each source names its licence" "$output" $?
