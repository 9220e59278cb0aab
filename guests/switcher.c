/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cycles through many address spaces, touches a few pages in each and exchanges two of their
 * mappings: bound by loads of CR3.
 *
 * rounds=1000  through all spaces (0: endless)
 * spaces=32    address spaces, each with page tables of its own
 * pages=16     in each space
 * changes=1    exchanges of two mappings after each load of CR3
 * seed=1       of the values and of what is exchanged
 *
 * About 19 instructions a page and 310 an exchange. rounds=40 spaces=8: 0.2 million instructions.
 */
#include "lib/runtime.h"

#define FLAGS (PTE_P | PTE_W | PTE_NX)

static uint64_t rounds = 1000, spaces = 32, pages = 16, changes = 1, seed = 1;

static const struct parameter parameters[] = {
	{"rounds", &rounds, 0, UINT64_MAX}, {"spaces", &spaces, 1, 1024},
	{"pages", &pages, 1, 512},          {"changes", &changes, 0, 65536},
	{"seed", &seed, 0, UINT64_MAX},     {NULL, NULL, 0, 0},
};

#define MAX_SPACES 1024

static uint64_t roots[MAX_SPACES], visits[MAX_SPACES];

static volatile uint64_t *page(uint64_t i)
{
	return (volatile uint64_t *)(WORK_AREA + i * PAGE_SIZE);
}

/* Word 0 counts visits, word 1 says which page of which space it is, wherever it is mapped. */
static void create_space(uint64_t space)
{
	roots[space] = space_create();
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t frame = page_alloc();

		((uint64_t *)at(frame))[1] = space << 32 | i;
		map_page(roots[space], WORK_AREA + i * PAGE_SIZE, frame, FLAGS);
	}
}

static void exchange(uint64_t space, uint64_t i, uint64_t j)
{
	uint64_t a = *table_entry(roots[space], WORK_AREA + i * PAGE_SIZE) & PTE_ADDRESS;
	uint64_t b = *table_entry(roots[space], WORK_AREA + j * PAGE_SIZE) & PTE_ADDRESS;

	map_page(roots[space], WORK_AREA + i * PAGE_SIZE, b, FLAGS);
	map_page(roots[space], WORK_AREA + j * PAGE_SIZE, a, FLAGS);
}

/* Every page of the space in use was visited as often as the space. */
static bool visit(uint64_t space, uint64_t *checksum)
{
	uint64_t sum = *checksum;
	bool passed = true;

	for (uint64_t i = 0; i < pages; i++) {
		volatile uint64_t *p = page(i);
		uint64_t count = p[0], identity = p[1];

		if (count != visits[space] || identity >> 32 != space)
			passed = false;
		sum = mix(sum, identity);
		p[0] = count + 1;
	}
	visits[space]++;
	*checksum = sum;
	return passed;
}

static bool run(uint64_t *checksum)
{
	struct rng rng = rng_seed(seed);
	uint64_t boot_root = cr3_read();

	for (uint64_t i = 0; i < spaces; i++)
		create_space(i);
	for (uint64_t round = 0; rounds == 0 || round < rounds; round++) {
		for (uint64_t i = 0; i < spaces; i++) {
			cr3_load(roots[i]);
			if (!visit(i, checksum))
				return false;
			for (uint64_t j = 0; j < changes; j++) {
				uint64_t random = rng_next(&rng);

				exchange(i, (random >> 8) % pages, (random >> 32) % pages);
			}
		}
	}
	cr3_load(boot_root);
	return true;
}

const struct guest guest = {"switcher", parameters, run};
