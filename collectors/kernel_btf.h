/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The types of the running kernel and of its KVM modules, from the files in /sys/kernel/btf that
 * anybody may read. libbpf's own way to those of modules takes CAP_SYS_ADMIN; this takes nothing.
 */
#ifndef COLLECTORS_KERNEL_BTF_H
#define COLLECTORS_KERNEL_BTF_H

#include <stdbool.h>
#include <stddef.h>

struct btf;
struct kernel_btf;

/* NULL with errno: the kernel has no BTF (ENOENT), or it cannot be read. @sys: "/sys". */
struct kernel_btf *kernel_btf_open(const char *sys);
void kernel_btf_close(struct kernel_btf *btf); /* may be NULL */

/* Whether there is struct @name; with @member, one that has this member. */
bool kernel_btf_has_struct(const struct kernel_btf *btf, const char *name, const char *member);
/* Whether there is a tracepoint @name; with @first, whose first argument is a struct @first *. */
bool kernel_btf_has_tracepoint(const struct kernel_btf *btf, const char *name, const char *first);

/*
 * The structs that are in @wanted too (what follows "___" in a name does not count), as far as
 * there are any, with all that is in them by value and pointers to nothing: BTF of its own, for
 * libbpf's btf_custom_path. A memfd, or -1 with errno.
 */
int kernel_btf_extract(const struct kernel_btf *btf, const struct btf *wanted);

#endif
