/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a VM is called by whoever started it: from its owner's command line and cgroup. */
#ifndef COLLECTORS_VM_NAME_H
#define COLLECTORS_VM_NAME_H

#include <stddef.h>

#include "collectors/vm.h"

struct vm_names {
	char name[VM_NAME_MAX]; /* empty: none was given */
	char uuid[VM_ID_MAX];   /* in lower case; empty: none was given */
};

/*
 * @command: the owner's /proc/PID/cmdline, @length bytes and a NUL behind: arguments with a NUL
 * each, of a program that may have written anything there. Control characters of a name become "?".
 */
void vm_names_of_command(const char *command, size_t length, struct vm_names *ret);
/* "machine-qemu\x2d1\x2dNAME.scope"; empty: it is not the scope of a machine. */
void vm_name_of_unit(const char *unit, char ret_name[VM_NAME_MAX]);
/* Control characters of @text become "?". */
void vm_name_clean(char *text);
/* @name as an id: what is no letter, digit, '-', '_' or '.' becomes '_'. */
void vm_id_of_name(const char *name, char ret_id[VM_ID_MAX]);

#endif
