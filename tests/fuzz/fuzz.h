/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guests made from a seed: random but plausible code, tables and handlers; hostile, repeatable. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* splitmix64 */
static inline uint64_t fuzz_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* 0 ... n - 1 */
static inline uint64_t fuzz_below(uint64_t *state, uint64_t n)
{
	return fuzz_random(state) % n;
}

static inline bool fuzz_one_in(uint64_t *state, uint64_t n)
{
	return fuzz_below(state, n) == 0;
}

/* Guest-physical addresses. */
enum fuzz_layout {
	FUZZ_GDT = 0x1000,
	FUZZ_IDT = 0x2000,
	FUZZ_TSS = 0x3000,
	FUZZ_STACKS = 0x4000, /* of CPL 0, one a page: current, RSP0, IST1; grow down */
	FUZZ_STACK_USER = 0x8000,
	FUZZ_RECORDS = 0x9000,  /* where handlers resume */
	FUZZ_POINTERS = 0xa000, /* for LGDT and LIDT */
	FUZZ_HANDLERS = 0x10000,
	FUZZ_CODE = 0x20000, /* of the boot mode */
	FUZZ_CODE_PAGES = 8,
	FUZZ_COMPAT = 0x28000, /* 32-bit code of a 64-bit guest */
	FUZZ_COMPAT_PAGES = 4,
	FUZZ_DATA = 0x30000,
	FUZZ_DATA_PAGES = 32,
	FUZZ_TABLES = 0x60000, /* see fuzz_tables.c */
	FUZZ_LOW = 0x100000,   /* the part of RAM that is in this layout */
};

/* Guest-virtual addresses, beside RAM at 0. */
#define FUZZ_WINDOW 0xffffff0000000000ull /* RAM for the supervisor: the way to the tables */
#define FUZZ_MANY   0x0000700000000000ull /* 512 pages, whatever their entries say */
#define FUZZ_MANY_2 0x0000700000200000ull /* the same table under another entry */
#define FUZZ_HIGH   0xffff800000000000ull /* 2M pages and tables of all kinds */

enum {
	FUZZ_SELECTOR_CODE = 0x08, /* of the boot mode, DPL 0 */
	FUZZ_SELECTOR_DATA = 0x10,
	FUZZ_SELECTOR_CODE_32 = 0x18,
	FUZZ_SELECTOR_USER_32 = 0x20 | 3,
	FUZZ_SELECTOR_USER_DATA = 0x28 | 3,
	FUZZ_SELECTOR_USER_64 = 0x30 | 3,
	FUZZ_SELECTOR_TSS = 0x40,
	FUZZ_GDT_SIZE = 0x50,
};

#define FUZZ_NR_RECORDS  64
#define FUZZ_RECORD_SIZE 64 /* RIP, CS, RFLAGS, RSP, SS, each as wide as the mode */
#define FUZZ_MAX_TARGETS 4096

struct fuzz_program {
	uint64_t seed;
	uint64_t memory; /* bytes of RAM */
	bool long_mode;
	bool aliases;  /* one table of pages is below entries that random ones lead to */
	bool confused; /* its tables lead to tables of wrong levels and to data */
	unsigned wild; /* one instruction in so many is random bytes; 0: none */
	uint8_t low[FUZZ_LOW];
	uint16_t nr_targets[2]; /* beginnings of templates: [0] boot mode, [1] compatibility */
	uint32_t target[2][FUZZ_MAX_TARGETS];
};

void fuzz_program_make(struct fuzz_program *program, uint64_t seed);

/* fuzz_tables.c: the tables of a long-mode guest. */
#define FUZZ_PML4 FUZZ_TABLES
enum { FUZZ_NR_TABLES = 24, FUZZ_NR_CHANGED_TABLES = 10 };
void fuzz_tables_make(struct fuzz_program *program, uint64_t *random);
/* A table entry that the guest may change, a value for it, and the address that it maps, if known.
 */
void fuzz_tables_change(const struct fuzz_program *program, uint64_t *random, uint64_t *ret_gpa,
			uint64_t *ret_entry, uint64_t *ret_gva);
/* An address that is worth an access, of whatever kind. */
uint64_t fuzz_tables_address(const struct fuzz_program *program, uint64_t *random);

/* fuzz_code.c: fills @size bytes of low memory at @at with code. */
void fuzz_code_make(struct fuzz_program *program, uint64_t *random, uint32_t at, uint32_t size,
		    bool wide, unsigned kind);

#endif
