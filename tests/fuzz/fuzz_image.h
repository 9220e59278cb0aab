/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program of fuzz_program.c as a multiboot image, which gets where it gets by nothing but its own
 * instructions (start.S).
 */
#ifndef TESTS_FUZZ_IMAGE_H
#define TESTS_FUZZ_IMAGE_H

#include "fuzz.h"

#define FUZZ_IMAGE_SIZE  0x80000
#define FUZZ_CHANGES_MAX 64

/* The state that it begins its code in. */
struct fuzz_head {
	uint8_t mode, memory_mib, program, nr_changes;
	uint32_t cr0, cr3, cr4, efer;
	uint32_t registers[8]; /* EDI, ESI, EBP, ESP, EBX, EDX, ECX, EAX */
	uint32_t eip;          /* FUZZ_CODE is where the code is */
	uint16_t cs, tr;
	uint32_t eflags, esp;
	uint16_t ss, es, ds, fs, gs;
	uint16_t spare;
};

/*
 * Fills the image. @rest: at first the head's nr_changes changes, each a place and eight bytes for
 * a table, descriptor or gate; then code that replaces the program's, as far as there is any.
 */
void fuzz_image_make(uint8_t image[FUZZ_IMAGE_SIZE], const struct fuzz_program *program,
		     const struct fuzz_head *head, const uint8_t *rest, size_t size);

#endif
