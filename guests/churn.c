/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Maps pages, touches them, takes their write permission away and gives it back, unmaps them and
 * maps others in their place: bound by changes of page tables.
 *
 * rounds=400   of mapping and unmapping all pages (0: endless)
 * pages=256    mapped at a time
 * faults=8     of them are mapped, and made writable, only when a page fault asks for it
 * seed=1       of the values written
 *
 * A page is its lane's alone, so no other processor has to be told of a change.
 *
 * About 380 instructions a page and round. rounds=50 pages=128: 2.5 million instructions.
 */
#include "lib/processors.h"
#include "lib/runtime.h"

#define FLAGS (PTE_P | PTE_W | PTE_NX)

static uint64_t rounds = 400, pages = 256, faults = 8, seed = 1;

static const struct parameter parameters[] = {
	{"rounds", &rounds, 0, UINT64_MAX},
	{"pages", &pages, 1, 65536},
	{"faults", &faults, 0, 65536},
	{"seed", &seed, 0, UINT64_MAX},
	{NULL, NULL, 0, 0},
};

static uint64_t root, first_frame, nr_frames, first_of_round, value;

static struct lane {
	uint64_t checksum;
	uint64_t nr_faults;
	bool failed;
} lanes[LANES];

static uint64_t address_of(uint64_t page)
{
	return WORK_AREA + page * PAGE_SIZE;
}

/* There are more frames than pages, so that a page gets another one in each round. */
static uint64_t frame_of(uint64_t page)
{
	uint64_t frame = first_of_round + page;

	if (frame >= nr_frames)
		frame -= nr_frames;
	return first_frame + frame * PAGE_SIZE;
}

static bool on_page_fault(uint64_t address, uint64_t error_code)
{
	uint64_t page = (address - WORK_AREA) / PAGE_SIZE;

	if (address < WORK_AREA || page >= pages || page >= faults)
		return false;
	if ((error_code & PF_P) && !(error_code & PF_W))
		return false;
	map_page(root, address_of(page), frame_of(page), FLAGS);
	lanes[page % LANES].nr_faults++;
	return true;
}

/* The lane's pages from @first on: every eighth. */
#define FOR_PAGES(i, first)                                                                        \
	for (uint64_t i = (first) + (lane + LANES - (first) % LANES) % LANES; i < pages; i += LANES)

static void map(unsigned lane)
{
	FOR_PAGES(i, faults)
	map_page(root, address_of(i), frame_of(i), FLAGS);
	FOR_PAGES(i, 0)
	*(volatile uint64_t *)address_of(i) = value + i;
}

static void protect(unsigned lane)
{
	FOR_PAGES(i, 0)
	map_page(root, address_of(i), frame_of(i), FLAGS & ~PTE_W);
}

static void unprotect(unsigned lane)
{
	FOR_PAGES(i, faults)
	map_page(root, address_of(i), frame_of(i), FLAGS);
	FOR_PAGES(i, 0)
	{
		volatile uint64_t *p = (volatile uint64_t *)address_of(i);

		*p ^= i;
		lanes[lane].checksum = mix(lanes[lane].checksum, *p);
	}
}

static void unmap(unsigned lane)
{
	FOR_PAGES(i, 0)
	unmap_page(root, address_of(i));
	/* What went in through the mapping is in the frame. */
	FOR_PAGES(i, 0)
	if (*(volatile uint64_t *)at(frame_of(i)) != ((value + i) ^ i))
		lanes[lane].failed = true;
}

/* Step by step, so that all pages are mapped at a time whatever the number of processors. */
static bool run_round(uint64_t expected_faults)
{
	uint64_t nr_faults = 0;
	bool passed = true;

	run_lanes(map);
	run_lanes(protect);
	run_lanes(unprotect);
	run_lanes(unmap);
	for (unsigned lane = 0; lane < LANES; lane++) {
		nr_faults += lanes[lane].nr_faults;
		if (lanes[lane].failed)
			passed = false;
	}
	return passed && nr_faults == expected_faults;
}

static bool run(uint64_t *checksum)
{
	struct rng rng = rng_seed(seed);
	uint64_t expected_faults = 0;

	if (faults > pages)
		faults = pages;
	root = cr3_read();
	nr_frames = pages + pages / 2 + 1;
	first_frame = pages_alloc(nr_frames);
	page_fault_hook = on_page_fault;
	for (uint64_t round = 0; rounds == 0 || round < rounds; round++) {
		value = rng_next(&rng);
		expected_faults += 2 * faults;
		if (!run_round(expected_faults))
			return false;
		first_of_round += pages;
		if (first_of_round >= nr_frames)
			first_of_round -= nr_frames;
	}
	for (unsigned lane = 0; lane < LANES; lane++)
		*checksum = mix(*checksum, lanes[lane].checksum);
	*checksum = mix(*checksum, expected_faults);
	return true;
}

const struct guest guest = {"churn", parameters, run, true};
