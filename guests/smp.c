/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLB shoot-downs: one processor takes a page away from all, tells the others by an interrupt, and
 * when each has acknowledged gives the frame another use. Meanwhile the others read all pages, and
 * after its acknowledgement none of them may see the old frame.
 *
 * rounds=400   in each another processor is the one that takes pages away (0: endless)
 * pages=64     that are mapped
 * changes=16   pages taken away and mapped to another frame in each round
 * seed=1       of the pages and frames
 *
 * What is computed is that processor's alone, so the number of processors does not matter; with one
 * there is nobody to tell. About 700 instructions a change and processor, most of them in reads of
 * the others. rounds=40 changes=8: 0.2 million instructions on one processor.
 */
#include "lib/processors.h"
#include "lib/runtime.h"

#define FLAGS     (PTE_P | PTE_W | PTE_NX)
#define VECTOR    40
#define MAX_PAGES 512
#define POISON    UINT64_MAX

static uint64_t rounds = 400, pages = 64, changes = 16, seed = 1;

static const struct parameter parameters[] = {
	{"rounds", &rounds, 0, UINT64_MAX},
	{"pages", &pages, 2, MAX_PAGES},
	{"changes", &changes, 0, 65536},
	{"seed", &seed, 0, UINT64_MAX},
	{NULL, NULL, 0, 0},
};

/* A frame's first word says whose it is: the page in the upper half, its generation below. */
static uint64_t frame_of[MAX_PAGES + 1]; /* the last one is free */
static uint64_t generation[MAX_PAGES];
static volatile uint64_t *entry[MAX_PAGES];

static struct rng rng;
static uint64_t sum;
static unsigned initiator;
static volatile bool over;

/* The page that is being taken away. */
static volatile uint64_t target, target_generation;
static uint32_t acknowledged;

static struct processor {
	/* Of each page, what it has acknowledged: older ones it must not see again. */
	volatile uint64_t oldest[MAX_PAGES];
	volatile bool failed;
} processors[MAX_CPUS];

static volatile uint64_t *address_of(uint64_t page)
{
	return (volatile uint64_t *)(WORK_AREA + page * PAGE_SIZE);
}

static void forget(unsigned processor)
{
	processors[processor].oldest[target] = target_generation;
	invlpg((uint64_t)address_of(target));
}

static void on_interrupt(unsigned vector)
{
	if (vector != VECTOR)
		fail("interrupt %lu", (uint64_t)vector);
	forget(processor_number());
	__atomic_fetch_add(&acknowledged, 1, __ATOMIC_RELEASE);
	end_of_interrupt();
}

/* A page that was taken away comes back. */
static bool on_page_fault(uint64_t address, uint64_t error_code)
{
	uint64_t page = (address - WORK_AREA) / PAGE_SIZE;

	if (address < WORK_AREA || page >= pages || (error_code & PF_P))
		return false;
	/* The interrupt may be waiting for this handler: it is taken here. */
	__asm__ volatile("sti" : : : "memory");
	while (!(*entry[page] & PTE_P))
		pause();
	__asm__ volatile("cli" : : : "memory");
	return true;
}

/* The bound is read before the page: a shoot-down between the two only makes it too low. */
static void read_page(unsigned processor, uint64_t page)
{
	uint64_t oldest = processors[processor].oldest[page];
	uint64_t value = *address_of(page);

	if (value >> 32 != page || (uint32_t)value < oldest)
		processors[processor].failed = true;
}

static void change(unsigned processor)
{
	uint64_t random = rng_next(&rng), page = (random >> 16) % pages, old = frame_of[page];
	uint64_t *free_frame = &frame_of[pages];

	*entry[page] = 0;
	target = page;
	target_generation = ++generation[page];
	acknowledged = 0;
	interrupt_others(VECTOR);
	forget(processor);
	while (__atomic_load_n(&acknowledged, __ATOMIC_ACQUIRE) != nr_processors - 1)
		pause();
	/* Nobody has the old translation now: the frame can have another use. */
	*(volatile uint64_t *)at(old) = POISON;
	frame_of[page] = *free_frame;
	*free_frame = old;
	*(volatile uint64_t *)at(frame_of[page]) = page << 32 | generation[page];
	*entry[page] = frame_of[page] | FLAGS;
	if (*address_of(page) != (page << 32 | generation[page]))
		processors[processor].failed = true;
	sum = mix(sum, page << 32 | generation[page]);
}

static void do_round(unsigned processor)
{
	__asm__ volatile("sti" : : : "memory");
	if (processor == initiator) {
		for (uint64_t i = 0; i < pages; i++)
			read_page(processor, i);
		for (uint64_t i = 0; i < changes; i++)
			change(processor);
		over = true;
	}
	while (!over)
		for (uint64_t i = 0; i < pages && !over; i++)
			read_page(processor, i);
	__asm__ volatile("cli" : : : "memory");
}

static bool run(uint64_t *checksum)
{
	uint64_t root = cr3_read();
	bool passed = true;

	rng = rng_seed(seed);
	for (uint64_t i = 0; i <= pages; i++)
		frame_of[i] = page_alloc();
	for (uint64_t i = 0; i < pages; i++) {
		*(uint64_t *)at(frame_of[i]) = i << 32;
		entry[i] = table_entry(root, (uint64_t)address_of(i));
		*entry[i] = frame_of[i] | FLAGS;
	}
	page_fault_hook = on_page_fault;
	interrupt_hook = on_interrupt;
	for (uint64_t round = 0; passed && (rounds == 0 || round < rounds); round++) {
		initiator = (unsigned)(round % nr_processors);
		over = false;
		on_processors(do_round);
		for (unsigned i = 0; i < nr_processors; i++)
			if (processors[i].failed)
				passed = false;
	}
	*checksum = mix(*checksum, sum);
	return passed;
}

const struct guest guest = {"smp", parameters, run, true};
