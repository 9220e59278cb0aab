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
 * About 380 instructions a page and round. rounds=50 pages=128: 2.5 million instructions.
 */
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

static uint64_t root, first_frame, nr_frames, first_of_round, nr_faults;

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
	nr_faults++;
	return true;
}

static bool run_round(uint64_t value, uint64_t *checksum)
{
	bool passed = true;

	for (uint64_t i = faults; i < pages; i++)
		map_page(root, address_of(i), frame_of(i), FLAGS);
	for (uint64_t i = 0; i < pages; i++)
		*(volatile uint64_t *)address_of(i) = value + i;
	for (uint64_t i = 0; i < pages; i++)
		map_page(root, address_of(i), frame_of(i), FLAGS & ~PTE_W);
	for (uint64_t i = faults; i < pages; i++)
		map_page(root, address_of(i), frame_of(i), FLAGS);
	for (uint64_t i = 0; i < pages; i++) {
		volatile uint64_t *p = (volatile uint64_t *)address_of(i);

		*p ^= i;
		*checksum = mix(*checksum, *p);
	}
	for (uint64_t i = 0; i < pages; i++)
		unmap_page(root, address_of(i));
	/* What went in through the mapping is in the frame. */
	for (uint64_t i = 0; i < pages; i++)
		if (*(volatile uint64_t *)at(frame_of(i)) != ((value + i) ^ i))
			passed = false;
	return passed;
}

static bool run(uint64_t *checksum)
{
	struct rng rng = rng_seed(seed);
	uint64_t expected_faults = 0;

	if (faults > pages)
		faults = pages;
	root = cr3_read();
	nr_frames = pages + pages / 2 + 1;
	first_frame = page_alloc();
	for (uint64_t i = 1; i < nr_frames; i++)
		page_alloc();
	page_fault_hook = on_page_fault;
	for (uint64_t round = 0; rounds == 0 || round < rounds; round++) {
		if (!run_round(rng_next(&rng), checksum))
			return false;
		expected_faults += 2 * faults;
		if (nr_faults != expected_faults)
			return false;
		first_of_round += pages;
		if (first_of_round >= nr_frames)
			first_of_round -= nr_frames;
	}
	*checksum = mix(*checksum, nr_faults);
	return true;
}

const struct guest guest = {"churn", parameters, run};
