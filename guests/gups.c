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
 * About 51 instructions an update. rounds=1 pages=2048 updates=16384: 1.3 million instructions.
 */
#include "lib/runtime.h"

#define WORDS_A_PAGE (PAGE_SIZE / sizeof(uint64_t))

static uint64_t rounds = 48, pages = 4096, updates = 65536, seed = 1;

static const struct parameter parameters[] = {
	{"rounds", &rounds, 0, UINT64_MAX},
	{"pages", &pages, 1, 262144},
	{"updates", &updates, 1, UINT64_MAX},
	{"seed", &seed, 0, UINT64_MAX},
	{NULL, NULL, 0, 0},
};

/* The upper half of the product is uniform in 0 ... words - 1, whatever their number. */
static volatile uint64_t *word(uint64_t random, uint64_t words)
{
	return (volatile uint64_t *)WORK_AREA + (uint64_t)((__uint128_t)random * words >> 64);
}

static uint64_t add(struct rng rng, uint64_t words, uint64_t count)
{
	uint64_t checksum = 0;

	while (count--) {
		uint64_t random = rng_next(&rng);
		volatile uint64_t *p = word(random, words);
		uint64_t value = *p + random;

		*p = value;
		checksum ^= value;
	}
	return checksum;
}

static void subtract(struct rng rng, uint64_t words, uint64_t count)
{
	while (count--) {
		uint64_t random = rng_next(&rng);

		*word(random, words) -= random;
	}
}

/* Whether every word that was updated is zero again. */
static bool zero(struct rng rng, uint64_t words, uint64_t count)
{
	uint64_t bits = 0;

	while (count--)
		bits |= *word(rng_next(&rng), words);
	return bits == 0;
}

static bool run(uint64_t *checksum)
{
	uint64_t root = cr3_read(), words = pages * WORDS_A_PAGE;
	struct rng rng = rng_seed(seed);

	for (uint64_t i = 0; i < pages; i++)
		map_page(root, WORK_AREA + i * PAGE_SIZE, page_alloc(), PTE_P | PTE_W | PTE_NX);
	for (uint64_t round = 0; rounds == 0 || round < rounds; round++) {
		*checksum = mix(*checksum, add(rng, words, updates));
		subtract(rng, words, updates);
		if (!zero(rng, words, updates))
			return false;
		rng = rng_seed(rng_next(&rng));
	}
	/* Leave something in memory for whoever compares it. */
	*checksum = mix(*checksum, add(rng, words, updates));
	return true;
}

const struct guest guest = {"gups", parameters, run};
