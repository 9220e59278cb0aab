/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Executes MOV [0x1234], EAX. The page of 0x1234 is mapped by a 4K entry to a page elsewhere that
 * has not been accessed through it; afterwards the entry shows that it was accessed and written.
 * At the end the mapping stays.
 *
 * rounds=1  times (0: endless); between them the entry's A and D bits are cleared
 * pages=1   the target is the last of so many free pages
 * seed=1    of the values stored
 */
#include "lib/runtime.h"

#define ADDRESS 0x1234ul
#define OFFSET  (ADDRESS % PAGE_SIZE)

static uint64_t rounds = 1, pages = 1, seed = 1;

static const struct parameter parameters[] = {
	{"rounds", &rounds, 0, UINT64_MAX},
	{"pages", &pages, 1, 65536},
	{"seed", &seed, 0, UINT64_MAX},
	{NULL, NULL, 0, 0},
};

static bool run(uint64_t *checksum)
{
	uint64_t root = cr3_read(), target = 0, before, after;
	volatile uint64_t *entry = table_entry(root, ADDRESS);
	struct rng rng = rng_seed(seed);
	uint32_t value, stored;

	for (uint64_t i = 0; i < pages; i++)
		target = page_alloc();
	for (uint64_t round = 0; rounds == 0 || round < rounds; round++) {
		map_page(root, ADDRESS, target, PTE_P | PTE_W);
		before = *entry;
		value = (uint32_t)rng_next(&rng);

		/* In 64-bit code this is 89 04 25 34 12 00 00: a 32-bit absolute address. */
		__asm__ volatile("movl %%eax, 0x1234" : : "a"(value) : "memory");

		after = *entry;
		stored = *(volatile uint32_t *)at(target + OFFSET);
		*checksum = mix(mix(*checksum, after), stored);
		if (rounds != 0 && round < 4) {
			print("entry written 0x%016lx\n", before);
			print("entry read    0x%016lx\n", after);
			print("data at 0x%lx: 0x%08lx\n", target + OFFSET, (uint64_t)stored);
		}
		if (before != (target | PTE_P | PTE_W) || after != (before | PTE_A | PTE_D) ||
		    stored != value)
			return false;
	}
	return true;
}

const struct guest guest = {"mov1234", parameters, run, false};
