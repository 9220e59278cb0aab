/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random read-modify-writes of 8-byte words all over a table of 4K pages: TLB-bound.
 *
 * rounds=48      in each the same updates are done, undone and looked at (0: endless)
 * pages=4096     size of the table; the default is nearly three times what a TLB of 1536 entries
 *                reaches, and the run is long against the refill of a switch
 * updates=65536  in each round
 * seed=1         of the addresses and values
 *
 * Each lane has random numbers and words of its own: every eighth, so that it works on all pages.
 *
 * About 55 instructions an update. rounds=1 pages=2048 updates=16384: 1.3 million instructions.
 */
#include "lib/processors.h"
#include "lib/runtime.h"

#define WORDS_A_PAGE (PAGE_SIZE / sizeof(uint64_t) / LANES) /* of one lane */

static struct lane {
	struct rng rng;
	uint64_t checksum;
	bool failed;
} lanes[LANES];

static uint64_t rounds = 48, pages = 4096, updates = 65536, seed = 1;

static const struct parameter parameters[] = {
	{"rounds", &rounds, 0, UINT64_MAX},
	{"pages", &pages, 1, 524288},
	{"updates", &updates, 1, UINT64_MAX},
	{"seed", &seed, 0, UINT64_MAX},
	{NULL, NULL, 0, 0},
};

/* The upper half of the product is uniform in 0 ... words - 1, whatever their number. */
static volatile uint64_t *word(volatile uint64_t *first, uint64_t random, uint64_t words)
{
	return first + (uint64_t)((__uint128_t)random * words >> 64) * LANES;
}

static uint64_t add(volatile uint64_t *first, struct rng rng, uint64_t words, uint64_t count)
{
	uint64_t checksum = 0;

	while (count--) {
		uint64_t random = rng_next(&rng);
		volatile uint64_t *p = word(first, random, words);
		uint64_t value = *p + random;

		*p = value;
		checksum ^= value;
	}
	return checksum;
}

static void subtract(volatile uint64_t *first, struct rng rng, uint64_t words, uint64_t count)
{
	while (count--) {
		uint64_t random = rng_next(&rng);

		*word(first, random, words) -= random;
	}
}

/* Whether every word that was updated is zero again. */
static bool zero(volatile uint64_t *first, struct rng rng, uint64_t words, uint64_t count)
{
	uint64_t bits = 0;

	while (count--)
		bits |= *word(first, rng_next(&rng), words);
	return bits == 0;
}

static volatile uint64_t *first_word(unsigned lane)
{
	return (volatile uint64_t *)WORK_AREA + lane;
}

static void do_updates(unsigned lane)
{
	lanes[lane].checksum = add(first_word(lane), lanes[lane].rng, pages * WORDS_A_PAGE,
				   lane_share(updates, lane));
}

static void undo_updates(unsigned lane)
{
	subtract(first_word(lane), lanes[lane].rng, pages * WORDS_A_PAGE,
		 lane_share(updates, lane));
}

static void look(unsigned lane)
{
	struct lane *l = &lanes[lane];

	l->failed =
		!zero(first_word(lane), l->rng, pages * WORDS_A_PAGE, lane_share(updates, lane));
	l->rng = rng_seed(rng_next(&l->rng));
}

/* All lanes do each step before the next one: few pages are still in a TLB when they come again. */
static void do_round(void)
{
	run_lanes(do_updates);
	run_lanes(undo_updates);
	run_lanes(look);
}

static bool run(uint64_t *checksum)
{
	uint64_t root = cr3_read();

	for (uint64_t i = 0; i < pages; i++)
		map_page(root, WORK_AREA + i * PAGE_SIZE, page_alloc(), PTE_P | PTE_W | PTE_NX);
	for (unsigned lane = 0; lane < LANES; lane++)
		lanes[lane].rng = rng_seed(mix(seed, lane));
	for (uint64_t round = 0; rounds == 0 || round < rounds; round++) {
		do_round();
		for (unsigned lane = 0; lane < LANES; lane++) {
			if (lanes[lane].failed)
				return false;
			*checksum = mix(*checksum, lanes[lane].checksum);
		}
	}
	/* Leave something in memory for whoever compares it. */
	run_lanes(do_updates);
	for (unsigned lane = 0; lane < LANES; lane++)
		*checksum = mix(*checksum, lanes[lane].checksum);
	return true;
}

const struct guest guest = {"gups", parameters, run, true};
