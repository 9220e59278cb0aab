/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a live switch costs: runs a guest that has touched all its pages, and switches it round and
 * round, so that each ordered pair of modes comes once a round. Writes JSON to standard output;
 * bench.py takes medians and prints tables.
 *
 * A switch's intervals are looked at until its refill is over (less than 0.5% of the cycles), and
 * some more whose cost is the steady one of the mode.
 *
 * usage: switches IMAGE APPEND PAGES ROUNDS INTERVAL
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "umbra/guest.h"

#define STEADY_INTERVALS 10
#define MAX_INTERVALS    5000
#define REFILL_SHARE     200 /* the refill is over when it is less than 1 in so many cycles */
#define COST_PERCENT     5   /* near the steady cost */

#define PAGE             4096ull
/* Beside the pages: the guest's tables for them, and what a guest needs itself. */
#define MEMORY_OF(pages) (((pages) + (pages) / 256) * PAGE + (8ull << 20))

/* From the mode that the guest starts in and back to it, each pair of modes in either order. */
static const enum umbra_mode circuit[] = {
	UMBRA_MODE_SHADOW, UMBRA_MODE_EPT,   UMBRA_MODE_BRUTE,
	UMBRA_MODE_SHADOW, UMBRA_MODE_BRUTE, UMBRA_MODE_EPT,
};

#define CIRCUIT (sizeof(circuit) / sizeof(circuit[0]))

struct interval {
	uint64_t cycles, instructions, refill, ept_fills;
};

static struct umbra_counters published;
static struct interval intervals[MAX_INTERVALS];

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "switches: %s: %s\n", what, why);
	exit(1);
}

static void load(struct umbra_guest *guest, const char *path, const char *append)
{
	struct umbra_error error = {0};
	struct umbra_image image = {.name = path, .append = append};
	static uint8_t bytes[1 << 20];
	FILE *file = fopen(path, "rbe");

	if (!file)
		die(path, "cannot open it");
	image.data = bytes;
	image.size = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	if (umbra_guest_load(guest, &image, &error))
		die(path, error.text);
}

static void run(struct umbra_guest *guest, struct interval *ret)
{
	const struct umbra_counters *now = umbra_guest_counters(guest);
	struct umbra_counters before = *now, delta;

	if (umbra_guest_run(guest, UINT64_MAX) != UMBRA_EVENT_INTERVAL)
		die("guest", "it ended, or stopped between two intervals");
	umbra_counters_delta(now, &before, &delta);
	*ret = (struct interval){delta.cycles[0], delta.instructions[0], delta.refill_cycles[0],
				 delta.ept_fills[0]};
}

static double cost(uint64_t cycles, uint64_t instructions)
{
	return (double)cycles / (double)instructions;
}

/* The number of intervals until the refill was over; the steady ones follow. */
static unsigned settle(struct umbra_guest *guest)
{
	unsigned settled = 0;
	bool over = false;

	for (; !over; settled++) {
		if (settled == MAX_INTERVALS - STEADY_INTERVALS)
			die("guest", "its refill has no end");
		run(guest, &intervals[settled]);
		over = intervals[settled].refill * REFILL_SHARE < intervals[settled].cycles;
	}
	for (unsigned i = 0; i < STEADY_INTERVALS; i++)
		run(guest, &intervals[settled + i]);
	return settled;
}

static void report(const struct umbra_switch *made, unsigned settled, bool first)
{
	uint64_t cycles = 0, instructions = 0;
	double steady;
	unsigned near = settled;

	for (unsigned i = settled; i < settled + STEADY_INTERVALS; i++) {
		cycles += intervals[i].cycles;
		instructions += intervals[i].instructions;
	}
	steady = cost(cycles, instructions);
	while (near > 0 &&
	       cost(intervals[near - 1].cycles, intervals[near - 1].instructions) * 100 <
		       steady * (100 + COST_PERCENT))
		near--;
	printf("%s\n  {\"from\": \"%s\", \"to\": \"%s\", \"pause_ns\": %llu, \"teardown_ns\": "
	       "%llu, "
	       "\"zapped\": %llu, \"built\": %llu, \"refill_fills\": %llu, \"refill_cycles\": "
	       "%llu, \"intervals\": %u, \"first_cost\": %.4f, \"steady_cost\": %.4f}",
	       first ? "" : ",", umbra_mode_name(made->from), umbra_mode_name(made->to),
	       (unsigned long long)made->pause_ns, (unsigned long long)made->teardown_ns,
	       (unsigned long long)made->zapped, (unsigned long long)made->built,
	       (unsigned long long)made->refill_fills, (unsigned long long)made->refill_cycles,
	       near, cost(intervals[0].cycles, intervals[0].instructions), steady);
}

int main(int argc, char **argv)
{
	struct umbra_guest_config config = {.mode = UMBRA_MODE_EPT, .clock = UMBRA_CLOCK_CYCLES};
	struct umbra_error error = {0};
	struct umbra_guest *guest;
	uint64_t pages, rounds;
	struct interval interval;

	if (argc != 6)
		die("usage", "switches IMAGE APPEND PAGES ROUNDS INTERVAL");
	pages = strtoull(argv[3], NULL, 10);
	rounds = strtoull(argv[4], NULL, 10);
	config.name = argv[1];
	config.interval = strtoull(argv[5], NULL, 10);
	config.memory = MEMORY_OF(pages) & ~(PAGE - 1);
	if (umbra_guest_create(&config, &published, &guest, &error))
		die("guest", error.text);
	load(guest, argv[1], argv[2]);
	do
		run(guest, &interval);
	while (interval.ept_fills || umbra_guest_counters(guest)->memory_touched[0] < pages * PAGE);
	settle(guest);
	printf("{\"pages\": %llu, \"interval\": %llu, \"memory_bytes\": %llu, \"memory_touched\": "
	       "%llu, \"switches\": [",
	       (unsigned long long)pages, (unsigned long long)config.interval,
	       (unsigned long long)config.memory,
	       (unsigned long long)umbra_guest_counters(guest)->memory_touched[0]);
	for (uint64_t i = 0; i < rounds * CIRCUIT; i++) {
		unsigned settled;

		if (umbra_guest_switch(guest, circuit[i % CIRCUIT], NULL, &error))
			die("switch", error.text);
		settled = settle(guest);
		report(umbra_guest_last_switch(guest), settled, i == 0);
	}
	printf("\n]}\n");
	umbra_guest_destroy(guest);
	return 0;
}
