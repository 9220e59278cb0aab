/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * By turns TLB-bound (random updates of a large table, as gups) and bound by changes of page tables
 * (map, touch, unmap, and a load of CR3 now and then, as churn and switcher). Lengths are numbers
 * of operations, never of time, so the guest does the same whatever its memory costs.
 *
 * rounds=1      times through all phases (0: endless)
 * phases=8      in a round, a TLB-bound one first
 * tlb=262144    updates in a TLB-bound phase
 * table=65536   mappings in a table-bound phase
 * pages=4096    size of the large table
 * seed=1        of the addresses and values
 *
 * About 22 instructions an update, 48 a mapping, 150 a page of the large table to set up and check.
 * phases=4 tlb=16384 table=4096 pages=2048: 1.4 million instructions.
 */
#include "lib/runtime.h"

#define FLAGS        (PTE_P | PTE_W | PTE_NX)

#define SLOTS_A_PAGE 8ul /* words of a page that are used */
#define SLOT_SIZE    (PAGE_SIZE / SLOTS_A_PAGE)

/* The table-bound phases turn over a small window, and load CR3 once each time around. */
#define WINDOW        64ul
#define WINDOW_FRAMES 96ul
#define WINDOW_AREA   (WORK_AREA + (1ul << 38))

static uint64_t rounds = 1, phases = 8, tlb = 262144, table = 65536, pages = 4096, seed = 1;

static const struct parameter parameters[] = {
	{"rounds", &rounds, 0, UINT64_MAX},
	{"phases", &phases, 1, UINT64_MAX},
	{"tlb", &tlb, 0, UINT64_MAX},
	{"table", &table, 0, UINT64_MAX},
	{"pages", &pages, 1, 262144},
	{"seed", &seed, 0, UINT64_MAX},
	{NULL, NULL, 0, 0},
};

static uint64_t roots[2], window_frames, mapped_total;
static volatile uint64_t *window_entry[2][WINDOW];

static volatile uint64_t *slot(uint64_t i)
{
	return (volatile uint64_t *)(WORK_AREA + i * SLOT_SIZE);
}

/* A slot's weight makes the sum tell where a value went. */
static uint64_t weight(uint64_t i)
{
	return 2 * i + 1;
}

/* Returns what the weighted sum of all slots grows by. */
static uint64_t tlb_phase(struct rng *rng)
{
	struct rng r = *rng;
	uint64_t slots = pages * SLOTS_A_PAGE, sum = 0;

	for (uint64_t n = 0; n < tlb; n++) {
		uint64_t random = rng_next(&r);
		uint64_t i = (uint64_t)((__uint128_t)random * slots >> 64);

		*slot(i) += random;
		sum += random * weight(i);
	}
	*rng = r;
	return sum;
}

/* Each mapping puts the next frame into the next page of the window, and takes it out again. */
static bool table_phase(struct rng *rng, uint64_t *checksum)
{
	uint64_t sum = *checksum, space = 0;
	bool passed = true;

	for (uint64_t n = 0; n < table; n++) {
		uint64_t page = mapped_total % WINDOW;
		uint64_t address = WINDOW_AREA + page * PAGE_SIZE;
		uint64_t frame = window_frames + mapped_total % WINDOW_FRAMES * PAGE_SIZE;
		volatile uint64_t *entry = window_entry[space][page];
		uint64_t random = rng_next(rng);

		*entry = frame | FLAGS;
		invlpg(address);
		*(volatile uint64_t *)address = random;
		if (*(volatile uint64_t *)at(frame) != random)
			passed = false;
		sum = mix(sum, *(volatile uint64_t *)address);
		*entry = 0;
		invlpg(address);
		mapped_total++;
		if (mapped_total % WINDOW == 0) {
			space = !space;
			cr3_load(roots[space]);
		}
	}
	cr3_load(roots[0]);
	*checksum = sum;
	return passed;
}

static uint64_t weighted_sum(void)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < pages * SLOTS_A_PAGE; i++)
		sum += *slot(i) * weight(i);
	return sum;
}

static bool run(uint64_t *checksum)
{
	struct rng rng = rng_seed(seed);
	uint64_t expected = 0;

	roots[0] = cr3_read();
	for (uint64_t i = 0; i < pages; i++)
		map_page(roots[0], WORK_AREA + i * PAGE_SIZE, page_alloc(), FLAGS);
	roots[1] = space_create();
	window_frames = page_alloc();
	for (uint64_t i = 1; i < WINDOW_FRAMES; i++)
		page_alloc();
	for (uint64_t i = 0; i < WINDOW; i++)
		for (unsigned space = 0; space < 2; space++)
			window_entry[space][i] =
				table_entry(roots[space], WINDOW_AREA + i * PAGE_SIZE);
	for (uint64_t round = 0; rounds == 0 || round < rounds; round++) {
		for (uint64_t phase = 0; phase < phases; phase++) {
			if (phase % 2 == 0) {
				expected += tlb_phase(&rng);
				*checksum = mix(*checksum, expected);
			} else if (!table_phase(&rng, checksum)) {
				return false;
			}
		}
	}
	return weighted_sum() == expected;
}

const struct guest guest = {"phases", parameters, run};
