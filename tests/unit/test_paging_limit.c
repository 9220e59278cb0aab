/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a guest can make the VMM use up: frames for tables, and memory of the host. */
#include <malloc.h>

#include "paging/shadow.h"
#include "paging_fixture.h"

#define DATA     0x400000ull
#define FLAGS    (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)
#define MAX_CPUS 4

/* A box with more vCPUs, each with the same registers. */
struct crowd {
	struct box box; /* the first vCPU */
	struct hw *hw[MAX_CPUS];
	unsigned cpus;
};

static void crowd_create(struct crowd *crowd, enum umbra_mode mode, uint64_t size, unsigned cpus)
{
	struct box *box = &crowd->box;

	box_create_backed(box, mode, PAGE_SHIFT, size);
	vmm_destroy(box->vmm);
	crowd->cpus = cpus;
	crowd->hw[0] = box->hw;
	for (unsigned i = 1; i < cpus; i++)
		assert_int_equal(hw_create(&box->memory, &umbra_cost_default, processor_at(0),
					   &crowd->hw[i]),
				 0);
	assert_int_equal(vmm_create(crowd->hw, cpus, &box->memory, mode, &box->vmm, NULL), 0);
	for (unsigned i = 0; i < cpus; i++)
		assert_int_equal(hw_paging_changed(crowd->hw[i], &box->regs), 0);
}

static void crowd_destroy(struct crowd *crowd)
{
	for (unsigned i = 1; i < crowd->cpus; i++)
		hw_destroy(crowd->hw[i]);
	box_destroy(&crowd->box);
}

/* The vCPU accesses a page that must be mapped to @gpa. */
static void access_page(struct crowd *crowd, unsigned cpu, uint64_t gva, enum hw_access access,
			uint64_t gpa)
{
	uint8_t *host = hw_translate(crowd->hw[cpu], gva, access, HW_SUPERVISOR);

	assert_non_null(host);
	assert_int_equal(crowd->box.memory.page_of[hw_frame_of(crowd->hw[cpu], host)],
			 gpa / PAGE_SIZE);
	if (hw_public(crowd->hw[cpu])->attention)
		hw_attend(crowd->hw[cpu]);
	assert_false(hw_failed(crowd->hw[cpu]));
}

/* Bytes of the host's heap in use. None of the tables lie there, but all that is known of them. */
static size_t heap(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static uint64_t total(const struct crowd *crowd, uint64_t (*counter)(const struct umbra_counters *))
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < crowd->cpus; i++)
		sum += counter(&hw_public(crowd->hw[i])->counters);
	return sum;
}

static uint64_t reclaims(const struct umbra_counters *counters)
{
	return counters->shadow_reclaims[0];
}

static uint64_t fills(const struct umbra_counters *counters)
{
	return counters->shadow_fills[0];
}

static void assert_within_limits(const struct crowd *crowd)
{
	const struct memory *memory = &crowd->box.memory;
	const struct shadow *shadow = crowd->box.vmm->shadow;

	assert_true(memory->tables <= memory->max_tables);
	assert_true(shadow->nr_pages <= shadow->max_pages);
	assert_int_equal(hw_public(crowd->hw[0])->counters.shadow_pages[0], shadow->nr_pages);
}

/* More roots than there may be shadow pages. */
static void address_spaces_beyond_the_limit_start_again(void **state)
{
	const uint64_t first = 900, spaces = 1100, window = 511 * 8;
	size_t before = 0;
	struct crowd crowd;

	crowd_create(&crowd, UMBRA_MODE_SHADOW, RAM_SIZE, 1);
	for (uint64_t i = 0; i < spaces; i++)
		box_put(&crowd.box, (first + i) * PAGE_SIZE + window,
			box_get(&crowd.box, crowd.box.regs.cr3 + window));
	for (int round = 0; round < 4; round++) {
		for (uint64_t i = 0; i < spaces; i++) {
			assert_int_equal(hw_load_cr3(crowd.hw[0], (first + i) * PAGE_SIZE, false),
					 0);
			access_page(&crowd, 0, WINDOW + DATA + i * 8, HW_READ, DATA + i * 8);
			assert_within_limits(&crowd);
		}
		if (round == 1)
			before = heap();
	}
	assert_int_equal(heap(), before);
	/* No root can have stayed from one round to the next. */
	assert_true(spaces > crowd.box.vmm->shadow->max_pages);
	assert_true(total(&crowd, fills) > 3 * spaces);
	assert_true(total(&crowd, reclaims) > 2 * spaces);
	crowd_destroy(&crowd);
}

#define MAX_SPACES 40
#define SLACK      (64 * 1024) /* lists are longer or shorter by what the vCPUs did last */

/* Address spaces that have more tables together than there may be, on vCPUs that take turns. */
struct storm {
	enum umbra_mode mode;
	unsigned cpus, spaces;
	unsigned fan; /* page tables in each space; a directory for every eighth of them */
};

static uint64_t storm_address(unsigned fan)
{
	return ((uint64_t)(fan / 8) << SHIFT_1G) + ((uint64_t)(fan % 8) << SHIFT_2M);
}

/* Few pages, so that each is mapped from many tables. */
static uint64_t storm_target(unsigned space, unsigned fan)
{
	return DATA + (space * 7 + fan) % 3 * PAGE_SIZE;
}

static void storm_visit(struct crowd *crowd, const struct storm *storm, const uint64_t *roots,
			uint64_t *random)
{
	unsigned cpu, space;

	*random = *random * 6364136223846793005ull + 1442695040888963407ull;
	cpu = (*random >> 60) % storm->cpus;
	space = (*random >> 33) % storm->spaces;
	assert_int_equal(hw_load_cr3(crowd->hw[cpu], roots[space], false), 0);
	for (unsigned fan = 0; fan < storm->fan; fan++) {
		access_page(crowd, cpu, storm_address(fan), fan % 2 ? HW_WRITE : HW_READ,
			    storm_target(space, fan));
		assert_within_limits(crowd);
	}
}

static void run_storm(const struct storm *storm)
{
	uint64_t random = 1, roots[MAX_SPACES], filled;
	struct crowd crowd;
	size_t heaps[3];

	crowd_create(&crowd, storm->mode, 32ull << 20, storm->cpus);
	for (unsigned space = 0; space < storm->spaces; space++) {
		roots[space] = crowd.box.regs.cr3 = box_table(&crowd.box);
		/* The tables are no data: they lie beyond what is mapped. */
		crowd.box.next_table += space == 0 ? RAM_SIZE / PAGE_SIZE : 0;
		for (unsigned fan = 0; fan < storm->fan; fan++)
			box_map(&crowd.box, storm_address(fan), storm_target(space, fan), FLAGS);
	}
	assert_true(storm->spaces * storm->fan > crowd.box.vmm->shadow->max_pages);
	/* The first part makes the lists as long as they get. */
	for (int part = 0; part < 3; part++) {
		for (unsigned visit = 0; visit < 20000 / storm->fan; visit++)
			storm_visit(&crowd, storm, roots, &random);
		heaps[part] = heap();
	}
	assert_in_range(heaps[2], 0, heaps[1] + SLACK);
	assert_true(total(&crowd, reclaims) > 1000);
	/* After a switch there are none, and the long lists of the pages mapped are given back. */
	filled = total(&crowd, fills);
	assert_int_equal(vmm_switch(crowd.box.vmm, UMBRA_MODE_EPT, 0, 0, NULL), 0);
	storm_visit(&crowd, storm, roots, &random);
	assert_int_equal(crowd.box.vmm->shadow->nr_pages, 0);
	assert_int_equal(total(&crowd, fills), filled);
	assert_true(heap() <= heaps[2]);
	crowd_destroy(&crowd);
}

static void storms_of_address_spaces_stay_within_the_limit(void **state)
{
	/* In brute, of a space that was left no table is kept: the one that is on must be large. */
	static const struct storm storms[] = {
		{UMBRA_MODE_SHADOW, 1, 40, 48},  {UMBRA_MODE_SHADOW, 4, 40, 48},
		{UMBRA_MODE_SHADOW, 1, 2, 1200}, {UMBRA_MODE_BRUTE, 1, 2, 1200},
		{UMBRA_MODE_BRUTE, 4, 4, 600},
	};

	for (size_t i = 0; i < sizeof(storms) / sizeof(storms[0]); i++)
		run_storm(&storms[i]);
}

/* What a guest's memory and the host's heap hold after a whole round of switches. */
struct holding {
	uint32_t tables, free_frames, touched;
	size_t heap;
};

static struct holding holding(const struct crowd *crowd)
{
	const struct memory *memory = &crowd->box.memory;

	return (struct holding){memory->tables, memory->frames.nr_free, memory->touched, heap()};
}

static void a_thousand_switches_leave_nothing_behind(void **state)
{
	/* Each pair of modes in either order. */
	static const enum umbra_mode circuit[] = {
		UMBRA_MODE_SHADOW, UMBRA_MODE_EPT,   UMBRA_MODE_BRUTE,
		UMBRA_MODE_SHADOW, UMBRA_MODE_BRUTE, UMBRA_MODE_EPT,
	};
	/* All of RAM, behind the tables. */
	const uint64_t first = 0x180000, pages = (RAM_SIZE - first) / PAGE_SIZE;

	for (unsigned cpus = 1; cpus <= MAX_CPUS; cpus += MAX_CPUS - 1) {
		struct holding before = {0}, after;
		uint64_t filled;
		struct crowd crowd;

		crowd_create(&crowd, UMBRA_MODE_EPT, RAM_SIZE, cpus);
		assert_true(crowd.box.next_table * PAGE_SIZE <= first);
		for (int i = 0; i < 1002; i++) {
			enum umbra_mode mode = circuit[i % 6];

			if (i == 12)
				before = holding(&crowd);
			filled = total(&crowd, fills);
			assert_int_equal(vmm_switch(crowd.box.vmm, mode, 0, 0, NULL), 0);
			for (uint64_t page = 0; page < pages; page++)
				access_page(&crowd, page % cpus, WINDOW + first + page * PAGE_SIZE,
					    HW_WRITE, first + page * PAGE_SIZE);
			assert_int_equal(total(&crowd, fills) - filled,
					 mode == UMBRA_MODE_EPT ? 0 : pages);
		}
		after = holding(&crowd);
		assert_int_equal(after.tables, before.tables);
		assert_int_equal(after.free_frames, before.free_frames);
		assert_int_equal(after.touched, before.touched);
		assert_int_equal(after.heap, before.heap);
		assert_int_equal(crowd.box.vmm->shadow->nr_pages, 0);
		assert_int_equal(hw_public(crowd.hw[0])->counters.switches[0], 1002);
		crowd_destroy(&crowd);
	}
}

static void a_vmm_that_is_gone_holds_nothing(void **state)
{
	for (enum umbra_mode mode = UMBRA_MODE_BARE; mode < UMBRA_MODE_COUNT; mode++) {
		size_t before = 0;

		/* The first time the heap itself may keep something. */
		for (int i = 0; i < 3; i++) {
			struct crowd crowd;

			if (i == 1)
				before = heap();
			crowd_create(&crowd, mode, RAM_SIZE, 1);
			for (uint64_t page = 0; page < 64; page++)
				access_page(&crowd, 0, WINDOW + DATA + page * PAGE_SIZE, HW_WRITE,
					    DATA + page * PAGE_SIZE);
			crowd_destroy(&crowd);
		}
		assert_int_equal(heap(), before);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_spaces_beyond_the_limit_start_again),
		cmocka_unit_test(storms_of_address_spaces_stay_within_the_limit),
		cmocka_unit_test(a_thousand_switches_leave_nothing_behind),
		cmocka_unit_test(a_vmm_that_is_gone_holds_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
