/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Passes over a region from one end to the other, a word in each line: as many TLB misses as pages,
 * and all of them foreseeable.
 *
 * rounds=48    passes that add to every word, every other one backwards (0: endless)
 * pages=4096   of the region
 * stride=64    bytes from word to word, a power of two
 * seed=1       of the values
 *
 * Each lane has pages of its own, one after the other. About 7 instructions a word.
 * rounds=4 pages=1024: 3.4 million instructions.
 */
#include "lib/processors.h"
#include "lib/runtime.h"

static uint64_t rounds = 48, pages = 4096, stride = 64, seed = 1;

static const struct parameter parameters[] = {
	{"rounds", &rounds, 0, UINT64_MAX},
	{"pages", &pages, 1, 524288},
	{"stride", &stride, 8, PAGE_SIZE},
	{"seed", &seed, 0, UINT64_MAX},
	{NULL, NULL, 0, 0},
};

static struct lane {
	uint64_t added; /* to each word since the start */
	uint64_t checksum;
	bool failed;
} lanes[LANES];

static uint64_t addend;
static bool backwards;

/* What the n-th word of the region held at the start. */
static uint64_t first_value(uint64_t n)
{
	return mix(seed, n);
}

static volatile uint64_t *word(uint64_t n)
{
	return (volatile uint64_t *)(WORK_AREA + n * stride);
}

static uint64_t words_a_page(void)
{
	return PAGE_SIZE / stride;
}

static void fill(unsigned lane)
{
	uint64_t first = lane_first(pages, lane) * words_a_page();
	uint64_t end = lane_first(pages, lane + 1) * words_a_page();

	for (uint64_t n = first; n < end; n++)
		*word(n) = first_value(n);
}

static void pass(unsigned lane)
{
	uint64_t count = lane_share(pages, lane) * words_a_page();
	uint64_t first = lane_first(pages, lane) * words_a_page(), sum = 0;
	volatile uint64_t *p = word(backwards ? first + count - 1 : first);
	int64_t step = backwards ? -(int64_t)stride : (int64_t)stride;

	for (; count > 0; count--) {
		uint64_t value = *p + addend;

		*p = value;
		sum += value;
		p = (volatile uint64_t *)((uint64_t)p + (uint64_t)step);
	}
	lanes[lane].added += addend;
	lanes[lane].checksum = mix(lanes[lane].checksum, sum);
}

static void check(unsigned lane)
{
	uint64_t first = lane_first(pages, lane) * words_a_page();
	uint64_t end = lane_first(pages, lane + 1) * words_a_page();

	for (uint64_t n = first; n < end; n++)
		if (*word(n) != first_value(n) + lanes[lane].added)
			lanes[lane].failed = true;
}

static bool run(uint64_t *checksum)
{
	struct rng rng = rng_seed(seed);
	uint64_t root = cr3_read();
	bool passed = true;

	if (stride & (stride - 1))
		fail("stride=%lu is no power of two", stride);
	for (uint64_t i = 0; i < pages; i++)
		map_page(root, WORK_AREA + i * PAGE_SIZE, page_alloc(), PTE_P | PTE_W | PTE_NX);
	run_lanes(fill);
	for (uint64_t round = 0; rounds == 0 || round < rounds; round++) {
		addend = rng_next(&rng);
		backwards = round % 2;
		run_lanes(pass);
	}
	run_lanes(check);
	for (unsigned lane = 0; lane < LANES; lane++) {
		*checksum = mix(*checksum, lanes[lane].checksum);
		if (lanes[lane].failed)
			passed = false;
	}
	return passed;
}

const struct guest guest = {"scan", parameters, run, true};
