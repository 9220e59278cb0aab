/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Says hello: the smallest guest.
 *
 * rounds=1  greetings (0: endless)
 * pages=1   pages written and read back in each round
 * seed=1    of what is written
 */
#include "lib/runtime.h"

static uint64_t rounds = 1, pages = 1, seed = 1;

static const struct parameter parameters[] = {
	{"rounds", &rounds, 0, UINT64_MAX},
	{"pages", &pages, 1, 65536},
	{"seed", &seed, 0, UINT64_MAX},
	{NULL, NULL, 0, 0},
};

static void print_vendor(void)
{
	uint32_t registers[4];
	char vendor[13];

	cpuid(0, registers);
	for (unsigned i = 0; i < 4; i++) {
		vendor[i] = (char)(registers[1] >> 8 * i);
		vendor[4 + i] = (char)(registers[3] >> 8 * i);
		vendor[8 + i] = (char)(registers[2] >> 8 * i);
	}
	vendor[12] = 0;
	print("processor: %s\n", vendor);
}

static bool run(uint64_t *checksum)
{
	uint64_t first = page_alloc();
	struct rng rng = rng_seed(seed);

	for (uint64_t i = 1; i < pages; i++)
		page_alloc();
	print_vendor();
	for (uint64_t round = 0; rounds == 0 || round < rounds; round++) {
		struct rng replay = rng;

		print("hello\n");
		for (uint64_t i = 0; i < pages; i++)
			*(volatile uint64_t *)at(first + i * PAGE_SIZE) = rng_next(&rng);
		for (uint64_t i = 0; i < pages; i++) {
			uint64_t value = *(volatile uint64_t *)at(first + i * PAGE_SIZE);

			if (value != rng_next(&replay))
				return false;
			*checksum = mix(*checksum, value);
		}
	}
	return true;
}

const struct guest guest = {"hello", parameters, run, false};
