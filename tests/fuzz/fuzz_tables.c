/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables of a fuzzed guest. Fixed ones map low memory to itself and RAM through a window; those
 * after them are random, lead into each other at wrong levels, and are changed by the guest.
 */
#include <string.h>

#include "fuzz.h"
#include "paging/entry.h"

enum {
	TABLE_PML4,
	TABLE_PML4_OTHER, /* a second address space */
	TABLE_PDPT_LOW,
	TABLE_PD_LOW,
	TABLE_PT_LOW,
	TABLE_PDPT_WINDOW,
	TABLE_PD_WINDOW,
	TABLE_PT_WINDOW, /* four of them: 8 MiB */
	TABLE_CHANGED = TABLE_PT_WINDOW + 4,
	TABLE_PDPT_MANY = TABLE_CHANGED,
	TABLE_PDPT_HIGH,
	TABLE_PD_MANY,
	TABLE_PD_HIGH,
	TABLE_PT_MANY,
	TABLE_PT_MORE, /* as many as are left */
};

_Static_assert(TABLE_CHANGED + FUZZ_NR_CHANGED_TABLES <= FUZZ_NR_TABLES, "room for all tables");

#define INDEX_LARGE 3 /* of TABLE_PD_HIGH: a 2M page or nothing, never a table */

#define USER        (PTE_P | PTE_W | PTE_U)

static uint64_t table(unsigned number)
{
	return FUZZ_TABLES + number * 4096ull;
}

static void put(struct fuzz_program *program, unsigned number, unsigned index, uint64_t entry)
{
	memcpy(&program->low[table(number) + index * 8], &entry, sizeof(entry));
}

static uint64_t random_flags(uint64_t *random)
{
	static const uint64_t flags[] = {
		USER,
		USER,
		USER | PTE_A | PTE_D,
		PTE_P | PTE_W,
		PTE_P | PTE_U,
		PTE_P,
		USER | PTE_NX,
		PTE_P | PTE_U | PTE_NX,
		USER | PTE_A,
		PTE_P | PTE_W | PTE_A | PTE_D,
		USER,
		0,
	};

	return flags[fuzz_below(random, sizeof(flags) / sizeof(flags[0]))];
}

static uint64_t any_page(const struct fuzz_program *program, uint64_t *random)
{
	switch (fuzz_below(random, 8)) {
	case 0: return FUZZ_CODE + fuzz_below(random, FUZZ_CODE_PAGES) * 4096;
	case 1: return fuzz_below(random, program->memory / 4096 + 4) * 4096;
	case 2: return fuzz_random(random) & ENTRY_ADDRESS;
	case 3: return FUZZ_LOW + fuzz_below(random, 4) * 4096;
	default: return FUZZ_DATA + fuzz_below(random, FUZZ_DATA_PAGES) * 4096;
	}
}

/* Tables are written by their own templates alone: those invalidate. */
static uint64_t random_page(const struct fuzz_program *program, uint64_t *random)
{
	uint64_t page;

	do
		page = any_page(program, random);
	while (!program->confused && page >= FUZZ_TABLES && page < table(FUZZ_NR_TABLES));
	return page;
}

/* A 2M page, seldom the one in which the guest itself is. */
static uint64_t random_large(const struct fuzz_program *program, uint64_t *random)
{
	uint64_t number =
		fuzz_one_in(random, 32) ? 0 : 1 + fuzz_below(random, 1 + (program->memory >> 21));

	return number << 21 | PTE_PS | (fuzz_one_in(random, 32) ? 1ull << 13 : 0);
}

static uint64_t random_entry(const struct fuzz_program *program, uint64_t *random, unsigned level)
{
	uint64_t flags = random_flags(random), entry;

	if (fuzz_one_in(random, 64))
		return fuzz_random(random); /* reserved bits and all */
	if (level == 1)
		return random_page(program, random) | flags |
		       (fuzz_one_in(random, 16) ? PTE_PS : 0);
	if (level == 2 && fuzz_one_in(random, 4))
		return random_large(program, random) | flags;
	if (program->confused && fuzz_one_in(random, 8))
		return random_page(program, random) | flags;
	/* A table; unless the guest is confused, of the level that belongs there. */
	if (program->confused && fuzz_one_in(random, 4)) {
		entry = table(TABLE_CHANGED + fuzz_below(random, FUZZ_NR_CHANGED_TABLES));
	} else if (level == 2) {
		unsigned first = program->aliases ? TABLE_PT_MANY : TABLE_PT_MORE;

		entry = table(first +
			      fuzz_below(random, TABLE_CHANGED + FUZZ_NR_CHANGED_TABLES - first));
	} else if (program->aliases) {
		entry = table(TABLE_PD_MANY + fuzz_below(random, 2));
	} else {
		return 0; /* a second way to a table of pages */
	}
	return entry | flags | PTE_U | (fuzz_one_in(random, 4) ? 0 : PTE_W);
}

static unsigned level_of(unsigned number)
{
	if (number == TABLE_PML4_OTHER)
		return 4;
	return number < TABLE_PD_MANY ? 3 : number < TABLE_PT_MANY ? 2 : 1;
}

/* Indexes that the guest uses: few, so that what it changes is what it looks at. */
static unsigned random_index(uint64_t *random, unsigned level)
{
	return level == 1 ? fuzz_below(random, 24) : fuzz_below(random, 4);
}

void fuzz_tables_make(struct fuzz_program *program, uint64_t *random)
{
	const unsigned roots[] = {TABLE_PML4, TABLE_PML4_OTHER};

	for (unsigned i = 0; i < 2; i++) {
		put(program, roots[i], 0, table(TABLE_PDPT_LOW) | USER);
		put(program, roots[i], entry_index(FUZZ_WINDOW, 4),
		    table(TABLE_PDPT_WINDOW) | USER);
		put(program, roots[i], entry_index(FUZZ_MANY, 4),
		    table(TABLE_PDPT_MANY) | USER | (i ? PTE_NX : 0));
		put(program, roots[i], entry_index(FUZZ_HIGH, 4),
		    table(TABLE_PDPT_HIGH) | PTE_P | PTE_U | (i ? 0 : PTE_W));
	}
	put(program, TABLE_PDPT_LOW, 0, table(TABLE_PD_LOW) | USER);
	put(program, TABLE_PD_LOW, 0, table(TABLE_PT_LOW) | USER);
	for (unsigned page = 0; page < FUZZ_TABLES / 4096; page++)
		put(program, TABLE_PT_LOW, page, page * 4096ull | USER);
	for (unsigned page = FUZZ_LOW / 4096 - 32; page < FUZZ_LOW / 4096 + 64; page++)
		put(program, TABLE_PT_LOW, page, page * 4096ull | USER);
	put(program, TABLE_PDPT_WINDOW, 0, table(TABLE_PD_WINDOW) | PTE_P | PTE_W);
	for (unsigned i = 0; i < 4; i++) {
		put(program, TABLE_PD_WINDOW, i, table(TABLE_PT_WINDOW + i) | PTE_P | PTE_W);
		for (unsigned page = 0; page < 512; page++)
			put(program, TABLE_PT_WINDOW + i, page,
			    (i * 512ull + page) * 4096 | PTE_P | PTE_W | PTE_NX);
	}
	/* Without NXE these would all be faults; the guest starts with it set. */
	put(program, TABLE_PDPT_MANY, 0, table(TABLE_PD_MANY) | USER);
	put(program, TABLE_PDPT_HIGH, 0, table(TABLE_PD_HIGH) | USER);
	put(program, TABLE_PD_MANY, 0, table(TABLE_PT_MANY) | USER);
	put(program, TABLE_PD_MANY, 1, table(TABLE_PT_MANY) | PTE_P | PTE_U | PTE_NX);
	for (unsigned i = 0; i < FUZZ_NR_CHANGED_TABLES; i++) {
		unsigned level = level_of(TABLE_CHANGED + i), number = TABLE_CHANGED + i;

		for (unsigned index = level == 1 ? 0 : 2; index < (level == 1 ? 24 : 4); index++)
			put(program, number, index, random_entry(program, random, level));
	}
	for (unsigned index = 0; index < 2; index++)
		put(program, TABLE_PD_HIGH, index, random_entry(program, random, 2));
	put(program, TABLE_PD_HIGH, INDEX_LARGE, random_large(program, random) | USER);
}

void fuzz_tables_change(const struct fuzz_program *program, uint64_t *random, uint64_t *ret_gpa,
			uint64_t *ret_entry, uint64_t *ret_gva)
{
	unsigned number = TABLE_CHANGED + fuzz_below(random, FUZZ_NR_CHANGED_TABLES), level, index;

	if (fuzz_one_in(random, 2))
		number = fuzz_one_in(random, 4) ? TABLE_PD_HIGH : TABLE_PT_MANY;
	level = level_of(number);
	index = random_index(random, level);
	if (number == TABLE_PD_HIGH && !fuzz_one_in(random, 4))
		index = INDEX_LARGE;
	*ret_gpa = table(number) + index * 8;
	*ret_entry = random_entry(program, random, level);
	if (number == TABLE_PT_MANY)
		*ret_gva = FUZZ_MANY + index * 4096;
	if (number == TABLE_PD_HIGH && index == INDEX_LARGE) {
		*ret_gva = FUZZ_HIGH + ((uint64_t)index << 21);
		*ret_entry = random_large(program, random) | random_flags(random);
	}
	if (level == 1 || index)
		return;
	/* The way to that table stays most often, with other rights. */
	if (!fuzz_one_in(random, 16))
		*ret_entry = table(number == TABLE_PDPT_MANY   ? TABLE_PD_MANY
				   : number == TABLE_PDPT_HIGH ? TABLE_PD_HIGH
				   : number == TABLE_PD_HIGH   ? TABLE_PT_MORE
							       : TABLE_PT_MANY) |
			     random_flags(random) | (fuzz_one_in(random, 16) ? 0 : PTE_P);
}

static uint64_t random_offset(uint64_t *random)
{
	switch (fuzz_below(random, 3)) {
	case 0: return 4096 - fuzz_below(random, 20);
	case 1: return fuzz_below(random, 16) * 8;
	default: return fuzz_below(random, 4096);
	}
}

uint64_t fuzz_tables_address(const struct fuzz_program *program, uint64_t *random)
{
	uint64_t offset = random_offset(random);

	if (!program->long_mode) {
		if (fuzz_one_in(random, 8))
			return (uint32_t)fuzz_random(random);
		if (fuzz_one_in(random, 8))
			return program->memory + fuzz_below(random, 8192) - 4096;
		return FUZZ_DATA + fuzz_below(random, FUZZ_DATA_PAGES) * 4096 + offset;
	}
	switch (fuzz_below(random, 16)) {
	case 0: return fuzz_random(random);
	case 1: return (uint32_t)fuzz_random(random);
	case 2: return 0x00007fffffffffffull - fuzz_below(random, 16);
	case 3: return FUZZ_CODE + fuzz_below(random, FUZZ_CODE_PAGES) * 4096 + offset;
	case 4:
	case 5:
		return FUZZ_HIGH + (fuzz_below(random, 4) << 30) + (fuzz_below(random, 4) << 21) +
		       fuzz_below(random, 24) * 4096 + offset;
	case 6: return FUZZ_MANY_2 + fuzz_below(random, 24) * 4096 + offset;
	case 7:
		return FUZZ_MANY + (fuzz_below(random, 4) << 30) + (fuzz_below(random, 4) << 21) +
		       fuzz_below(random, 24) * 4096 + offset;
	case 8:
	case 9:
	case 10:
	case 11: return FUZZ_MANY + fuzz_below(random, 24) * 4096 + offset;
	default: return FUZZ_DATA + fuzz_below(random, FUZZ_DATA_PAGES) * 4096 + offset;
	}
}
