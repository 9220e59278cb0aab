/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Image loaders: put an image into guest memory and say how the CPU starts. */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "memory/memory.h"
#include "umbra/error.h"
#include "umbra/guest.h"

/* The CPU's state at entry; segments are flat with the rights that the protocol demands. */
struct boot_entry {
	bool long_mode; /* 64-bit mode with paging through cr3; else 32-bit protected, unpaged */
	uint64_t rip;
	uint64_t rsp, rax, rbx, rsi;
	uint64_t cr3;      /* long mode: tables that the loader built in guest memory */
	uint64_t gdt_base; /* both protocols: a GDT that the loader put into memory */
	uint16_t gdt_limit;
	uint16_t cs, ds; /* selectors in that GDT (ds also for es, ss, fs, gs) */
};

/* Tries each protocol that the image may speak. -ENOEXEC: none, or a broken image: where and what.
 */
int boot_load(struct memory *memory, const struct umbra_image *image, struct boot_entry *ret_entry,
	      struct umbra_error *ret_error);

#endif
