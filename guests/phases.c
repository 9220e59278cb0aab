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
 * Each lane has a slot in each page of the large table, and a window of its own.
 *
 * About 22 instructions an update, 48 a mapping, 150 a page of the large table to set up and check.
 * phases=4 tlb=16384 table=4096 pages=2048: 1.4 million instructions.
 */
#include "lib/processors.h"
#include "lib/runtime.h"

#define FLAGS        (PTE_P | PTE_W | PTE_NX)

#define SLOTS_A_PAGE 8ul /* words of a page that are used: one a lane */
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

static uint64_t roots[2], window_frames;

static struct lane {
	struct rng rng;
	uint64_t checksum, sum, mapped_total;
	volatile uint64_t *window_entry[2][WINDOW];
	bool failed;
} lanes[LANES];

static volatile uint64_t *slot(uint64_t i)
{
	return (volatile uint64_t *)(WORK_AREA + i * SLOT_SIZE);
}

/* A slot's weight makes the sum tell where a value went. */
static uint64_t weight(uint64_t i)
{
	return 2 * i + 1;
}

/* Adds up what the weighted sum of all slots grows by. */
static void tlb_phase(unsigned lane)
{
	struct rng rng = lanes[lane].rng;
	uint64_t sum = 0;

	for (uint64_t n = lane_share(tlb, lane); n > 0; n--) {
		uint64_t random = rng_next(&rng);
		uint64_t i = (uint64_t)((__uint128_t)random * pages >> 64) * SLOTS_A_PAGE + lane;

		*slot(i) += random;
		sum += random * weight(i);
	}
	lanes[lane].rng = rng;
	lanes[lane].sum += sum;
}

/* Each mapping puts the next frame into the next page of the window, and takes it out again. */
static void table_phase(unsigned lane)
{
	struct lane *l = &lanes[lane];
	uint64_t window = WINDOW_AREA + lane * WINDOW * PAGE_SIZE;
	uint64_t frames = window_frames + lane * WINDOW_FRAMES * PAGE_SIZE;
	uint64_t sum = l->checksum, mapped = l->mapped_total, space = 0;

	for (uint64_t n = lane_share(table, lane); n > 0; n--) {
		uint64_t page = mapped % WINDOW;
		uint64_t address = window + page * PAGE_SIZE;
		uint64_t frame = frames + mapped % WINDOW_FRAMES * PAGE_SIZE;
		volatile uint64_t *entry = l->window_entry[space][page];
		uint64_t random = rng_next(&l->rng);

		*entry = frame | FLAGS;
		invlpg(address);
		*(volatile uint64_t *)address = random;
		if (*(volatile uint64_t *)at(frame) != random)
			l->failed = true;
		sum = mix(sum, *(volatile uint64_t *)address);
		*entry = 0;
		invlpg(address);
		mapped++;
		if (mapped % WINDOW == 0) {
			space = !space;
			cr3_load(roots[space]);
		}
	}
	cr3_load(roots[0]);
	l->mapped_total = mapped;
	l->checksum = sum;
}

static uint64_t weighted_sum(void)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < pages * SLOTS_A_PAGE; i++)
		sum += *slot(i) * weight(i);
	return sum;
}

static void set_up(void)
{
	roots[0] = cr3_read();
	for (uint64_t i = 0; i < pages; i++)
		map_page(roots[0], WORK_AREA + i * PAGE_SIZE, page_alloc(), FLAGS);
	roots[1] = space_create();
	window_frames = pages_alloc(LANES * WINDOW_FRAMES);
	for (unsigned lane = 0; lane < LANES; lane++) {
		struct lane *l = &lanes[lane];

		l->rng = rng_seed(mix(seed, lane));
		for (uint64_t i = 0; i < WINDOW; i++)
			for (unsigned space = 0; space < 2; space++)
				l->window_entry[space][i] =
					table_entry(roots[space],
						    WINDOW_AREA + (lane * WINDOW + i) * PAGE_SIZE);
	}
}

static bool run(uint64_t *checksum)
{
	uint64_t expected = 0;

	set_up();
	for (uint64_t round = 0; rounds == 0 || round < rounds; round++) {
		for (uint64_t phase = 0; phase < phases; phase++)
			run_lanes(phase % 2 ? table_phase : tlb_phase);
		for (unsigned lane = 0; lane < LANES; lane++)
			if (lanes[lane].failed)
				return false;
	}
	for (unsigned lane = 0; lane < LANES; lane++) {
		expected += lanes[lane].sum;
		*checksum = mix(mix(*checksum, lanes[lane].sum), lanes[lane].checksum);
	}
	return weighted_sum() == expected;
}

const struct guest guest = {"phases", parameters, run, true};
