/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The counts of every named processor's TLB and walk caches against theory, with true LRU: cyclic
 * sweeps and strides exactly, uniformly random accesses within 1% of the closed form.
 */
#include <stdio.h>

#include "paging_fixture.h"

#define BASE     0x10000000000ull /* 1 TiB: nothing else is there */
#define FLAGS    (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)

#define RANDOM_N 400000 /* half of them hits: 1% of those are more than 6 sigma */

/* Where the entry of a page is in one level: which of its address bits choose the set. */
struct level {
	uint16_t sets, ways;
	uint8_t shift; /* of the page number: the size of the entry */
};

/* What REFERENCES and the manuals say, written down apart from the tables of the core. */
static const struct row {
	const char *processor;
	bool fetch;
	uint8_t shift; /* of the guest's page */
	struct level l1, l2;
} rows[] = {
	{"skylake", false, 12, {16, 4, 12}, {128, 12, 12}},
	{"skylake", false, 21, {8, 4, 21}, {128, 12, 21}},
	{"skylake", false, 30, {1, 4, 30}, {4, 4, 30}},
	{"skylake", true, 12, {16, 8, 12}, {128, 12, 12}},
	{"skylake", true, 21, {1, 8, 21}, {128, 12, 21}},
	{"skylake", true, 30, {1, 8, 21}, {4, 4, 30}},
	{"icelake", false, 12, {16, 4, 12}, {128, 16, 12}},
	{"icelake", false, 21, {8, 4, 21}, {128, 8, 21}},
	{"icelake", false, 30, {1, 8, 30}, {128, 8, 30}},
	{"icelake", true, 12, {16, 8, 12}, {128, 16, 12}},
	{"icelake", true, 21, {2, 8, 21}, {128, 8, 21}},
	{"icelake", true, 30, {2, 8, 21}, {128, 8, 30}},
	{"zen2", false, 12, {1, 64, 12}, {128, 16, 12}},
	{"zen2", false, 21, {1, 64, 21}, {128, 16, 21}},
	{"zen2", false, 30, {1, 64, 30}, {128, 16, 21}},
	{"zen2", true, 12, {1, 64, 12}, {64, 8, 12}},
	{"zen2", true, 21, {1, 64, 21}, {64, 8, 21}},
	{"zen2", true, 30, {1, 64, 30}, {64, 8, 21}},
	{"zen3", false, 12, {1, 64, 12}, {128, 16, 12}},
	{"zen3", false, 21, {1, 64, 21}, {128, 16, 21}},
	{"zen3", false, 30, {1, 64, 30}, {128, 16, 21}},
	{"zen3", true, 12, {1, 64, 12}, {64, 8, 12}},
	{"zen3", true, 21, {1, 64, 21}, {64, 8, 21}},
	{"zen3", true, 30, {1, 64, 30}, {64, 8, 21}},
	{"zen4", false, 12, {1, 72, 12}, {128, 24, 12}},
	{"zen4", false, 21, {1, 72, 21}, {128, 24, 21}},
	{"zen4", false, 30, {1, 72, 30}, {128, 24, 21}},
	{"zen4", true, 12, {1, 64, 12}, {64, 8, 12}},
	{"zen4", true, 21, {1, 64, 21}, {64, 8, 21}},
	{"zen4", true, 30, {1, 64, 30}, {64, 8, 21}},
};
#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct processor *find_processor(const char *name)
{
	unsigned i = 0;

	while (strcmp(processor_at(i)->name, name) != 0)
		i++;
	return processor_at(i);
}

/* @count pages of the row's size from BASE on, @stride pages apart. */
static void create(struct box *box, const struct row *row, unsigned count, unsigned stride)
{
	unsigned leaf = (row->shift - 12u) / 9 + 1;

	box_create_on(box, UMBRA_MODE_BARE, PAGE_SHIFT, RAM_SIZE, find_processor(row->processor));
	for (uint64_t i = 0; i < count; i++)
		box_put(box, box_entry(box, BASE + (i * stride << row->shift), leaf),
			FLAGS | (leaf > 1 ? PTE_PS : 0));
}

static void touch(struct box *box, const struct row *row, uint64_t page)
{
	struct outcome outcome = box_access(box, BASE + (page << row->shift),
					    row->fetch ? HW_FETCH : HW_READ, HW_SUPERVISOR);

	assert_false(outcome.fault);
}

/* Hits of both levels and misses. */
struct counts {
	uint64_t l1, l2, misses;
};

static unsigned size_of(unsigned shift)
{
	return shift / 9 - 1; /* 12, 21, 30 */
}

/* Since @before, of the row's kind and sizes; nothing else may have been counted. */
static struct counts counts_since(struct box *box, const struct row *row,
				  const struct umbra_counters *before)
{
	unsigned kind = row->fetch ? UMBRA_ACCESS_instruction : UMBRA_ACCESS_data;
	struct umbra_counters now, delta;
	struct counts counts;
	uint64_t sum = 0;

	hw_counters(box->hw, &now);
	umbra_counters_delta(&now, before, &delta);
	counts.l1 = delta.tlb_hits_by_size[kind * 3 + size_of(row->l1.shift)];
	counts.l2 = delta.tlb_hits_by_size[UMBRA_TLB_HIT_l2_instruction_4k + kind * 3 +
					   size_of(row->l2.shift)];
	counts.misses = delta.tlb_misses_by_size[kind * 3 + size_of(row->l1.shift)];
	for (unsigned i = 0; i < UMBRA_TLB_HIT_COUNT; i++)
		sum += delta.tlb_hits_by_size[i];
	assert_int_equal(sum, counts.l1 + counts.l2);
	assert_int_equal(delta.tlb_misses[kind], counts.misses);
	assert_int_equal(delta.walks[0], counts.misses);
	return counts;
}

static unsigned set_of(const struct row *row, const struct level *level, unsigned page,
		       unsigned stride)
{
	uint64_t gva = BASE + ((uint64_t)page * stride << row->shift);

	return (unsigned)(gva >> level->shift) & (level->sets - 1u);
}

/*
 * A cyclic sweep: with LRU the pages of a set all hit where they are no more than its ways, and
 * none hits where they are. The second level sees those alone that never hit the first.
 */
static struct counts theory(const struct row *row, unsigned count, unsigned stride)
{
	unsigned pages_l1[128] = {0}, pages_l2[128] = {0};
	struct counts counts = {0};

	for (unsigned i = 0; i < count; i++)
		pages_l1[set_of(row, &row->l1, i, stride)]++;
	for (unsigned i = 0; i < count; i++) {
		if (pages_l1[set_of(row, &row->l1, i, stride)] <= row->l1.ways)
			counts.l1++;
		else
			pages_l2[set_of(row, &row->l2, i, stride)]++;
	}
	for (unsigned set = 0; set < 128; set++) {
		if (pages_l2[set] <= row->l2.ways)
			counts.l2 += pages_l2[set];
		else
			counts.misses += pages_l2[set];
	}
	return counts;
}

static struct counts check_sweep(const struct row *row, unsigned count, unsigned stride)
{
	struct counts expected = theory(row, count, stride), counts;
	struct umbra_counters before;
	struct box box;

	create(&box, row, count, stride);
	for (int round = 0; round < 5; round++) {
		if (round == 3) /* the first level has settled, then the second */
			hw_counters(box.hw, &before);
		for (unsigned i = 0; i < count; i++)
			touch(&box, row, (uint64_t)i * stride);
	}
	counts = counts_since(&box, row, &before);
	if (counts.l1 != 2 * expected.l1 || counts.l2 != 2 * expected.l2 ||
	    counts.misses != 2 * expected.misses)
		fail_msg("%s, %s, pages of 1 << %u, %u of them, stride %u: %lu %lu %lu, not "
			 "%lu %lu %lu",
			 row->processor, row->fetch ? "fetch" : "read", row->shift, count, stride,
			 counts.l1, counts.l2, counts.misses, 2 * expected.l1, 2 * expected.l2,
			 2 * expected.misses);
	box_destroy(&box);
	return expected;
}

/* The pages of a row that one level can have at once, when they follow each other. */
static unsigned reach(const struct row *row, const struct level *level)
{
	unsigned apart = 1u << (row->shift - level->shift); /* in entries of the level */

	return (level->sets > apart ? level->sets / apart : 1) * level->ways;
}

static void cyclic_sweeps_hit_within_reach_and_miss_beyond(void **state)
{
	for (const struct row *row = rows; row < rows + NR_ROWS; row++) {
		unsigned l1 = reach(row, &row->l1), l2 = reach(row, &row->l2);
		struct counts counts;

		counts = check_sweep(row, l1, 1);
		assert_int_equal(counts.l1, l1);
		counts = check_sweep(row, l1 + 1, 1); /* one set has one too many */
		assert_int_equal(counts.l1, l1 - row->l1.ways);
		counts = check_sweep(row, 2 * l1, 1);
		assert_int_equal(counts.l1, 0);
		counts = check_sweep(row, l2, 1);
		assert_int_equal(counts.misses, 0);
		check_sweep(row, l2 + 1, 1);
		check_sweep(row, l2 + l2 / row->l2.ways, 1); /* each set one too many */
		counts = check_sweep(row, 2 * (l1 > l2 ? l1 : l2), 1);
		assert_int_equal(counts.misses, 2 * (l1 > l2 ? l1 : l2));
	}
}

static void strides_hit_few_sets(void **state)
{
	for (const struct row *row = rows; row < rows + NR_ROWS; row++) {
		for (unsigned stride = 2; stride <= row->l2.sets; stride *= 2) {
			for (unsigned over = 0; over < 2; over++) {
				check_sweep(row, row->l1.ways + over, stride);
				check_sweep(row, row->l2.ways + over, stride);
				check_sweep(row, 2 * row->l2.ways + over, stride);
			}
		}
		/* An odd stride goes round all sets. */
		check_sweep(row, reach(row, &row->l2), 3);
	}
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static struct counts run_random(const struct row *row, unsigned count)
{
	uint64_t seed = 20261127;
	struct umbra_counters before;
	struct counts counts;
	struct box box;

	create(&box, row, count, 1);
	for (unsigned n = 0; n < 16 * count; n++)
		touch(&box, row, next_random(&seed) % count);
	hw_counters(box.hw, &before);
	for (unsigned n = 0; n < RANDOM_N; n++)
		touch(&box, row, next_random(&seed) % count);
	counts = counts_since(&box, row, &before);
	assert_int_equal(counts.l1 + counts.l2 + counts.misses, RANDOM_N);
	box_destroy(&box);
	return counts;
}

static void assert_near(const struct row *row, const char *what, uint64_t counted, double rate)
{
	double expected = rate * RANDOM_N;

	if (counted < 0.99 * expected || counted > 1.01 * expected)
		fail_msg("%s, %s, pages of 1 << %u: %lu %s, not %.0f", row->processor,
			 row->fetch ? "fetch" : "read", row->shift, counted, what, expected);
}

/*
 * Of pages that are all as likely, as many in each set, LRU holds the last used ones: the chance to
 * hit is ways over pages of the set. What one level holds the larger one does too. (Almost: a page
 * that hits the first level again and again is forgotten by the second. Where the first is not much
 * smaller, more pages make that rare.)
 */
static void random_accesses_hit_as_often_as_the_closed_form_says(void **state)
{
	for (const struct row *row = rows; row < rows + NR_ROWS; row++) {
		unsigned l1 = reach(row, &row->l1), l2 = reach(row, &row->l2);
		unsigned larger = l1 > l2 ? l1 : l2, times = l1 < l2 && l2 < 4 * l1 ? 4 : 2;
		struct counts counts = run_random(row, 2 * l1);

		assert_near(row, "first-level hits", counts.l1, 0.5);
		if (2 * l1 <= l2)
			assert_int_equal(counts.misses, 0);
		counts = run_random(row, times * larger);
		assert_near(row, "misses", counts.misses, 1 - 1. / times);
		counts = run_random(row, larger);
		assert_int_equal(counts.misses, 0);
	}
}

/* What one page of two sweeps over @count pages @stride apart takes, in references. */
static void check_walks(const struct processor *processor, enum umbra_mode mode, unsigned stride,
			uint64_t gpa_stride, uint64_t guest, uint64_t nested)
{
	const unsigned count = 128; /* more than any of the caches below it has room for */
	struct umbra_counters before, now;
	struct box box;

	/* All tables but the root lie in 2M of guest-physical memory, the pages behind them. */
	box_create_on(&box, mode, PAGE_SHIFT, 512ull << 20, processor);
	box.next_table = 512;
	for (uint64_t i = 0; i < count; i++)
		box_map(&box, BASE + (i * stride << PAGE_SHIFT), (4ull << 20) + i * gpa_stride,
			FLAGS);
	for (int round = 0; round < 4; round++) {
		if (round == 2)
			hw_counters(box.hw, &before);
		for (uint64_t i = 0; i < count; i++)
			assert_false(
				box_access(&box, BASE + (i * stride << PAGE_SHIFT), HW_READ, false)
					.fault);
	}
	hw_counters(box.hw, &now);
	assert_int_equal(now.walks[0] - before.walks[0], 2 * count);
	if (now.walk_references_guest[0] - before.walk_references_guest[0] != 2 * count * guest ||
	    now.walk_references_nested[0] - before.walk_references_nested[0] != 2 * count * nested)
		fail_msg("%s, mode %d, stride %u: %lu + %lu references for %u walks, not %lu + %lu "
			 "each",
			 processor->name, mode, stride,
			 now.walk_references_guest[0] - before.walk_references_guest[0],
			 now.walk_references_nested[0] - before.walk_references_nested[0],
			 2 * count, guest, nested);
	box_destroy(&box);
}

/*
 * 128 pages that miss the TLB in every sweep, as they lie in one set of both levels: what is left
 * of the levels to walk follows from how many different entries of each level they use.
 */
static void walk_caches_save_the_references_above_what_they_hold(void **state)
{
	static const struct {
		unsigned stride; /* in pages */
		uint64_t levels; /* left to walk */
	} shapes[] = {
		/* Two pages a 2M on Zen, four on Intel: PDEs fit (64; 32). */
		{256, 1},
		{128, 1},
		{512, 2},       /* 128 PDEs do not, all have one PDPTE */
		{512 * 512, 3}, /* 128 PDPTEs do not, all have one PML4E */
		{512 * 512 * 512, 4},
	};
	const struct processor *processor;

	for (unsigned p = 0; (processor = processor_at(p)); p++) {
		unsigned pdes = processor->linear[WALK_CACHE_PDE].sets *
				processor->linear[WALK_CACHE_PDE].ways;

		for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
			uint64_t levels = shapes[i].levels;

			if (shapes[i].stride < 512 && 128 * shapes[i].stride / 512 != pdes)
				continue;
			check_walks(processor, UMBRA_MODE_BARE, shapes[i].stride, PAGE_SIZE, levels,
				    0);
			check_walks(processor, UMBRA_MODE_SHADOW, shapes[i].stride, PAGE_SIZE,
				    levels, 0);
			/*
			 * With the EPT's PDEs for all tables and pages cached each nested walk is
			 * one reference: to every table but that which a cache names, and the data.
			 */
			check_walks(processor, UMBRA_MODE_EPT, shapes[i].stride, PAGE_SIZE, levels,
				    levels < 4 ? levels : 5);
			/* Data in 128 times 2M of guest-physical memory: one more for the data. */
			check_walks(processor, UMBRA_MODE_EPT, shapes[i].stride, 2ull << 20, levels,
				    (levels < 4 ? levels : 5) + 1);
		}
	}
}

/* With all caches empty: (g+1)(h+1)-1 for the 24. */
static void walks_with_empty_caches_take_all_references(void **state)
{
	const struct processor *processor;

	for (unsigned p = 0; (processor = processor_at(p)); p++) {
		static const enum umbra_mode modes[] = {UMBRA_MODE_BARE, UMBRA_MODE_SHADOW,
							UMBRA_MODE_EPT};
		for (unsigned m = 0; m < 3; m++) {
			struct umbra_counters before, now;
			struct box box;

			box_create_on(&box, modes[m], PAGE_SHIFT, RAM_SIZE, processor);
			box_map(&box, BASE, 4ull << 20, FLAGS);
			assert_false(box_access(&box, BASE, HW_READ, false).fault);
			hw_flush(box.hw);
			tlb_flush_nested(&box.hw->tlb);
			hw_counters(box.hw, &before);
			assert_false(box_access(&box, BASE, HW_READ, false).fault);
			hw_counters(box.hw, &now);
			assert_int_equal(
				now.walk_references_guest[0] - before.walk_references_guest[0], 4);
			/* 4 x 4 for the tables and 4 for the data; PDEs found on the way are used
			 * only by the next walk. */
			assert_int_equal(now.walk_references_nested[0] -
						 before.walk_references_nested[0],
					 modes[m] == UMBRA_MODE_EPT ? 20 : 0);
			box_destroy(&box);
		}
	}
}

static void load_pcid(struct box *box, uint64_t pcid, bool keep)
{
	box->regs.cr3 = (box->regs.cr3 & ~CR3_PCID) | pcid;
	assert_int_equal(hw_load_cr3(box->hw, box->regs.cr3, keep), 0);
}

/* Pages of all sizes with various rights, some global, and what a guest does with them. */
static void random_step(struct box *box, uint64_t random)
{
	static const unsigned leaves[] = {1, 1, 2, 3};
	unsigned page = random % 128, leaf = leaves[page % 4];
	/* Pieces of a large page too, and the same few pages again and again. */
	uint64_t gva = BASE + ((uint64_t)page << 30) + (leaf > 1 ? (random >> 8) % 4 << 12 : 0);

	if (random >> 16 & 1)
		gva = BASE + ((uint64_t)(page % 4) << 30);
	switch ((random >> 20) % 1024) {
	case 0: load_pcid(box, random >> 32 & 3, random >> 34 & 1); break;
	case 1: hw_invlpg(box->hw, gva); break;
	case 2: hw_flush(box->hw); break;
	default:
		box_access(box, gva, (enum hw_access)((random >> 32) % 3),
			   (enum hw_privilege)((random >> 40) % 3));
	}
	box_attend(box);
}

/* It only holds what is the newest of its set: without it each count is the same. */
static void the_lookaside_changes_no_count(void **state)
{
	static const enum umbra_mode modes[] = {UMBRA_MODE_BARE, UMBRA_MODE_SHADOW, UMBRA_MODE_EPT};
	const struct processor *processor;

	for (unsigned n = 0; (processor = processor_at(n / 3)); n++) {
		struct umbra_counters counters[2];
		uint64_t hits = 0;

		for (unsigned b = 0; b < 2; b++) {
			uint64_t seed = n;
			struct box box;

			box_create_on(&box, modes[n % 3], PAGE_SHIFT, RAM_SIZE, processor);
			for (unsigned i = 0; i < 128; i++) {
				unsigned leaf = i % 4 < 2 ? 1 : i % 4;
				uint64_t random = next_random(&seed);

				box_put(&box, box_entry(&box, BASE + ((uint64_t)i << 30), leaf),
					(leaf < 3 ? 4ull << 20 : 0) | PTE_P |
						(leaf > 1 ? PTE_PS : 0) |
						((random | random >> 24) &
						 (PTE_W | PTE_U | PTE_D)) |
						(random >> 20 & 3 ? 0 : PTE_G) |
						(random >> 22 & 3 ? 0 : PTE_NX));
			}
			box.regs.cr4 |= CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP;
			assert_int_equal(hw_paging_changed(box.hw, &box.regs), 0);
			for (unsigned step = 0; step < 50000; step++) {
				if (b)
					hw_lookaside_flush(box.hw);
				random_step(&box, next_random(&seed));
			}
			hw_counters(box.hw, &counters[b]);
			box_destroy(&box);
		}
		for (unsigned i = 0; i < UMBRA_TLB_HIT_COUNT; i++)
			hits += counters[0].tlb_hits_by_size[i];
		printf("# %s, mode %u: %lu hits\n", processor->name, modes[n % 3], hits);
		assert_true(hits > 3000);
		assert_memory_equal(&counters[0], &counters[1], sizeof(counters[0]));
	}
}

static void every_processor_is_tested(void **state)
{
	for (unsigned p = 0; processor_at(p); p++) {
		unsigned found = 0;

		for (unsigned i = 0; i < NR_ROWS; i++)
			found += !strcmp(rows[i].processor, processor_at(p)->name);
		assert_int_equal(found, 6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_processor_is_tested),
		cmocka_unit_test(cyclic_sweeps_hit_within_reach_and_miss_beyond),
		cmocka_unit_test(strides_hit_few_sets),
		cmocka_unit_test(random_accesses_hit_as_often_as_the_closed_form_says),
		cmocka_unit_test(walk_caches_save_the_references_above_what_they_hold),
		cmocka_unit_test(walks_with_empty_caches_take_all_references),
		cmocka_unit_test(the_lookaside_changes_no_count),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
