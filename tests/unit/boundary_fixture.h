/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest of a few instructions that is switched from one paging mode to another exactly at one
 * boundary of instructions (or iterations of a REP), or at all of them, and must not be able to
 * tell.
 */
#ifndef TESTS_BOUNDARY_FIXTURE_H
#define TESTS_BOUNDARY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/guest.h"
#include "umbra/guest.h"
#include "x86/block_private.h"
#include "x86/debug.h"
#include "x86/flags.h"
#include "x86/segment.h"

/*
 * The guest's memory, as its code has it too. 64-bit mode; the first 2 MiB are mapped to themselves
 * by 4K pages, and the local APIC. Gates 0 ... 6 of the IDT are in another page than the others.
 */
#define GUEST_MEMORY  (4ull << 20)
#define GUEST_PML4    0x1000ull
#define GUEST_PDPT    0x2000ull
#define GUEST_PD      0x3000ull
#define GUEST_PT      0x4000ull
#define GUEST_APIC_PD 0x5000ull
#define GUEST_GDT     0x6000ull
#define GUEST_TSS     0x6800ull
#define GUEST_IDT     0x7f90ull
#define GUEST_CODE    0x10000ull
#define GUEST_STACK   0x21000ull /* upper ends, of pages of their own */
#define GUEST_IST1    0x23000ull
#define GUEST_IST2    0x25000ull
#define GUEST_STACK_1 0x27000ull    /* of the second vCPU */
#define GUEST_PATTERN 0x34000ull    /* 16 KiB of bytes that are the low 4 bits of their address */
#define GUEST_ABSENT  0x3f000ull    /* a page that is not mapped, and so is 0x3a000 */
#define GUEST_FAR     0x40000000ull /* pages of their own tables, which nothing uses but one test */
#define GUEST_FAR_PD  0x50000ull
#define GUEST_FAR_PT  0x51000ull
#define GUEST_FAR_AT  0x52000ull /* where the first 8 of them are */

/*
 * Code of a guest, as the assembler makes it of @text: at GUEST_CODE, with its labels as symbols.
 * What it writes to the debug port ends it.
 */
#define PROGRAM(name, text)                                                                        \
	asm(".pushsection .rodata\n" #name ":\n" text "\n" #name "_end:\n.popsection\n");          \
	LABEL(name);                                                                               \
	LABEL(name##_end)
#define LABEL(name) extern const char name[] __attribute__((visibility("hidden")))

#define MAX_GATES   4

struct program {
	const char *code, *end;
	const char *entry_1; /* where a second vCPU begins; NULL: there is none */
	struct gate {
		uint8_t vector, ist;
		const char *handler;
	} gates[MAX_GATES];
	uint32_t value; /* that it ends with */
	/* The boundary: where the vCPU stands, and that what it is about is there. */
	bool (*here)(const struct program *program, const struct umbra_guest *guest);
	const char *labels[4]; /* for here_at_label() */
	/* What the first step after a switch here must do: an exit for memory. */
	bool exits;
};

static inline uint64_t program_address(const struct program *program, const char *label)
{
	return GUEST_CODE + (uint64_t)(label - program->code);
}

static inline bool here_at_label(const struct program *program, const struct umbra_guest *guest)
{
	const struct x86_cpu *cpu = guest_cpu(guest);

	for (unsigned i = 0; i < 4 && program->labels[i]; i++)
		if (cpu->index == 0 &&
		    cpu->gpr[X86_RIP] == program_address(program, program->labels[i]))
			return true;
	return false;
}

/* boundary_fixture.c */

/* The guest at its first instruction. Each umbra_guest_run() is one instruction or iteration. */
struct umbra_guest *boundary_create(const struct program *program, enum umbra_mode mode);

/*
 * The program in all modes, and under a switch between each ordered pair of modes at the boundary:
 * all the same. Then with a switch at each of its boundaries.
 */
void boundary_check(const struct program *program);

#endif
