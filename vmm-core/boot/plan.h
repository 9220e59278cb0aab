/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where in guest memory an image and what comes with it go, before anything is written. */
#ifndef BOOT_PLAN_H
#define BOOT_PLAN_H

#include "boot/loader.h"

#define PLAN_SEGMENTS_MAX 64 /* of an image */

/* A piece of the image in guest memory; what lies past its bytes up to memory_size is zero. */
struct plan_segment {
	uint64_t gpa, virtual, memory_size;
	uint64_t file_offset, file_size;
	uint64_t header; /* where in the file it is described */
};

struct plan_range {
	uint64_t gpa, size;
};

struct plan {
	struct plan_segment segment[PLAN_SEGMENTS_MAX];
	unsigned nr_segments;
	/* What else is taken: modules, tables, boot information. */
	struct plan_range taken[UMBRA_MODULES_MAX + 4];
	unsigned nr_taken;
	uint64_t entry;        /* a virtual address as the linker saw it */
	uint64_t entry_offset; /* where in the file it is given */
};

/* Takes @new in if file and RAM hold it and no other one is there. -ENOEXEC, -ENOSPC. */
int plan_add(struct plan *plan, const struct memory *memory, const struct umbra_image *image,
	     const struct plan_segment *new, struct umbra_error *ret_error);

/*
 * Takes in the loadable segments of an ELF32 file for the i386 or x86-64, or, @wide, of an ELF64
 * file for the x86-64. -ENOEXEC, -ENOSPC.
 */
int plan_elf(struct plan *plan, const struct memory *memory, const struct umbra_image *image,
	     bool wide, struct umbra_error *ret_error);

/* The entry's physical address. -ENOEXEC: it lies in no segment. */
int plan_entry(const struct plan *plan, const struct umbra_image *image, uint64_t *ret_rip,
	       struct umbra_error *ret_error);

/*
 * Takes @size bytes at the lowest page boundary from @from on that neither the image nor anything
 * else has, all below @until. 0: there is no such place.
 */
uint64_t plan_take(struct plan *plan, uint64_t from, uint64_t until, uint64_t size);

/* Copies the segments; RAM is zero before, so what lies past their bytes needs no work. */
int plan_write(const struct plan *plan, struct memory *memory, const struct umbra_image *image,
	       struct umbra_error *ret_error);

/*
 * Writes modules, and in conventional memory a GDT and the multiboot information that names them,
 * the memory map and the command line; sets rax, rbx and the GDT of @entry. -ENOSPC, -EINVAL,
 * -E2BIG, -ENOMEM.
 */
int plan_write_information(struct plan *plan, struct memory *memory,
			   const struct umbra_image *image, struct boot_entry *entry,
			   struct umbra_error *ret_error);

#endif
