/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cycles through many address spaces, touches a few pages in each and exchanges two of their
 * mappings: bound by loads of CR3.
 *
 * rounds=1000  through all spaces (0: endless)
 * spaces=32    address spaces, each with page tables of its own
 * pages=16     in each space
 * changes=1    exchanges of two mappings after each load of CR3
 * pcid=0       1: the spaces are tagged with PCIDs, so that a load of CR3 invalidates nothing,
 * where the processor has them; what is computed is the same seed=1       of the values and of what
 * is exchanged
 *
 * A space is its lane's alone.
 *
 * About 19 instructions a page and 310 an exchange. rounds=40 spaces=8: 0.2 million instructions.
 */
#include "lib/processors.h"
#include "lib/runtime.h"

#define FLAGS (PTE_P | PTE_W | PTE_NX)

static uint64_t rounds = 1000, spaces = 32, pages = 16, changes = 1, pcid, seed = 1;

static const struct parameter parameters[] = {
	{"rounds", &rounds, 0, UINT64_MAX},
	{"spaces", &spaces, 1, 1024},
	{"pages", &pages, 1, 512},
	{"changes", &changes, 0, 65536},
	{"pcid", &pcid, 0, 1},
	{"seed", &seed, 0, UINT64_MAX},
	{NULL, NULL, 0, 0},
};

#define MAX_SPACES   1024
#define CR3_KEEP     (1ul << 63) /* MOV to CR3 invalidates nothing (SDM 3A 4.10.4.1) */
#define CR4_PCIDE    (1ul << 17)
#define CPUID_1_PCID (1u << 17) /* in ECX */

static uint64_t roots[MAX_SPACES], visits[MAX_SPACES];

static struct lane {
	struct rng rng;
	uint64_t checksum;
	bool failed;
} lanes[LANES];

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

/* PCID 0 stays with the boot tables. A space's PCID has never had another space's translations. */
static uint64_t cr3_of(uint64_t space)
{
	return pcid ? roots[space] | (space + 1) | CR3_KEEP : roots[space];
}

static void enable_pcid(unsigned processor)
{
	uint64_t value;

	(void)processor;
	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	__asm__ volatile("mov %0, %%cr4" : : "r"(value | CR4_PCIDE) : "memory");
}

static void choose_pcid(void)
{
	uint32_t registers[4];

	cpuid(1, registers);
	if (!(registers[2] & CPUID_1_PCID))
		pcid = 0;
	print("PCIDs: %s\n", pcid ? "used" : "not offered");
	if (pcid)
		on_processors(enable_pcid);
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

static void do_round(unsigned lane)
{
	struct lane *l = &lanes[lane];
	uint64_t before = cr3_read();

	for (uint64_t i = lane; i < spaces; i += LANES) {
		cr3_load(cr3_of(i));
		if (!visit(i, &l->checksum))
			l->failed = true;
		for (uint64_t j = 0; j < changes; j++) {
			uint64_t random = rng_next(&l->rng);

			exchange(i, (random >> 8) % pages, (random >> 32) % pages);
		}
	}
	cr3_load(before);
}

static bool run(uint64_t *checksum)
{
	bool passed = true;

	if (pcid)
		choose_pcid();
	for (uint64_t i = 0; i < spaces; i++)
		create_space(i);
	for (unsigned lane = 0; lane < LANES; lane++)
		lanes[lane].rng = rng_seed(mix(seed, lane));
	for (uint64_t round = 0; passed && (rounds == 0 || round < rounds); round++) {
		run_lanes(do_round);
		for (unsigned lane = 0; lane < LANES; lane++)
			if (lanes[lane].failed)
				passed = false;
	}
	for (unsigned lane = 0; lane < LANES; lane++)
		*checksum = mix(*checksum, lanes[lane].checksum);
	return passed;
}

const struct guest guest = {"switcher", parameters, run, true};
