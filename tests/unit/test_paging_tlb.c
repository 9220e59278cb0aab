/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The TLB and walk caches of Skylake: counts that follow from their geometry, exactly. */
#include "paging_fixture.h"

#define BASE  0x10000000000ull /* 1 TiB: nothing else is there */
#define FLAGS (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)

/* @count 4K pages from BASE on, to guest pages behind 4 MiB, over and over. */
static void map_pages(struct box *box, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		box_map(box, BASE + i * PAGE_SIZE, (4ull << 20) + i % 512 * PAGE_SIZE, FLAGS);
}

static void touch(struct box *box, unsigned count, unsigned stride)
{
	for (unsigned i = 0; i < count; i += stride)
		assert_false(box_access(box, BASE + i * PAGE_SIZE, HW_READ, false).fault);
}

static struct umbra_counters count_of(struct box *box)
{
	struct umbra_counters counters;

	hw_counters(box->hw, &counters);
	return counters;
}

static struct umbra_counters since(struct box *box, const struct umbra_counters *before)
{
	struct umbra_counters now = count_of(box), delta;

	umbra_counters_delta(&now, before, &delta);
	return delta;
}

/* Hits by level and misses of one more sweep over @count pages, after two sweeps. */
static void check_sweep(unsigned count, unsigned stride, uint64_t l1, uint64_t l2, uint64_t misses)
{
	struct umbra_counters before, delta;
	struct box box;

	box_create(&box, UMBRA_MODE_BARE);
	map_pages(&box, count);
	touch(&box, count, stride);
	touch(&box, count, stride);
	before = count_of(&box);
	touch(&box, count, stride);
	delta = since(&box, &before);
	assert_int_equal(delta.tlb_hits[UMBRA_TLB_l1_data], l1);
	assert_int_equal(delta.tlb_hits_l2[UMBRA_ACCESS_data], l2);
	assert_int_equal(delta.tlb_misses[UMBRA_ACCESS_data], misses);
	assert_int_equal(delta.walks[0], misses);
	box_destroy(&box);
}

static void sweeps_hit_where_the_geometry_says(void **state)
{
	/* 64 entries of the first level: 16 sets of 4 ways. */
	check_sweep(64, 1, 64, 0, 0);
	/* One page more: with LRU a set of five pages never hits; one set of 16 has five. */
	check_sweep(65, 1, 60, 5, 0);
	check_sweep(80, 1, 0, 80, 0);
	/* 1536 entries of the second level: 128 sets of 12 ways. */
	check_sweep(1536, 1, 0, 1536, 0);
	check_sweep(1537, 1, 0, 1524, 13);
	check_sweep(128 * 13, 1, 0, 0, 128 * 13);
}

static void strides_use_few_sets(void **state)
{
	/* Every 16th page: one set of the first level, 8 of the second. */
	check_sweep(16 * 4, 16, 4, 0, 0);
	check_sweep(16 * 5, 16, 0, 5, 0);
	check_sweep(16 * 96, 16, 0, 96, 0);
	check_sweep(16 * 104, 16, 0, 0, 104);
	/* Every 128th: one set of the second level. */
	check_sweep(128 * 12, 128, 0, 12, 0);
	check_sweep(128 * 13, 128, 0, 0, 13);
}

/* References of one walk: first with everything empty, then with the walk caches warm. */
static void check_references(enum umbra_mode mode, uint64_t cold_guest, uint64_t cold_nested,
			     uint64_t warm_guest, uint64_t warm_nested)
{
	struct umbra_counters before, delta;
	struct box box;

	box_create(&box, mode);
	map_pages(&box, 2);
	touch(&box, 2, 1); /* fills the second step */
	hw_flush(box.hw);
	tlb_flush_nested(&box.hw->tlb);
	before = count_of(&box);
	touch(&box, 1, 1);
	delta = since(&box, &before);
	assert_int_equal(delta.walk_references_guest[0], cold_guest);
	assert_int_equal(delta.walk_references_nested[0], cold_nested);
	before = count_of(&box);
	assert_false(box_access(&box, BASE + PAGE_SIZE, HW_READ, false).fault);
	delta = since(&box, &before);
	assert_int_equal(delta.walk_references_guest[0], warm_guest);
	assert_int_equal(delta.walk_references_nested[0], warm_nested);
	box_destroy(&box);
}

static void walks_take_the_references_of_the_manual(void **state)
{
	check_references(UMBRA_MODE_BARE, 4, 0, 1, 0);
	check_references(UMBRA_MODE_SHADOW, 4, 0, 1, 0);
	/* (4 + 1) * (4 + 1) - 1; with PDE caches of both dimensions one of each. */
	check_references(UMBRA_MODE_EPT, 4, 20, 1, 1);
}

static void large_pages_take_one_reference_less(void **state)
{
	struct umbra_counters before, delta;
	struct box box;

	box_create(&box, UMBRA_MODE_BARE);
	box_put(&box, box_entry(&box, BASE, 2), 0x400000 | FLAGS | PTE_PS);
	before = count_of(&box);
	for (unsigned page = 0; page < 512; page++)
		assert_int_equal(box_access(&box, BASE + page * PAGE_SIZE, HW_READ, true).gpa,
				 0x400000 + page * PAGE_SIZE);
	delta = since(&box, &before);
	assert_int_equal(delta.walk_references_guest[0], 3);
	assert_int_equal(delta.tlb_fills[UMBRA_PAGE_2m], 1);
	assert_int_equal(delta.tlb_misses[UMBRA_ACCESS_data], 1);
	assert_int_equal(delta.tlb_hits[UMBRA_TLB_l1_data], 511);
	box_destroy(&box);
}

static void invlpg_takes_out_every_piece_of_a_large_page(void **state)
{
	struct umbra_counters before, delta;
	struct box box;

	box_create(&box, UMBRA_MODE_EPT);
	box_put(&box, box_entry(&box, BASE, 2), 0x400000 | FLAGS | PTE_PS);
	for (unsigned page = 0; page < 8; page++)
		box_access(&box, BASE + page * PAGE_SIZE, HW_READ, true);
	hw_invlpg(box.hw, BASE + 5 * PAGE_SIZE);
	before = count_of(&box);
	for (unsigned page = 0; page < 8; page++)
		box_access(&box, BASE + page * PAGE_SIZE, HW_READ, true);
	delta = since(&box, &before);
	assert_int_equal(delta.tlb_misses[UMBRA_ACCESS_data], 8);
	box_destroy(&box);
}

static void cr3_loads_forget_and_invlpg_forgets_one_page(void **state)
{
	struct umbra_counters before, delta;
	struct box box;

	box_create(&box, UMBRA_MODE_BARE);
	map_pages(&box, 32);
	touch(&box, 32, 1);
	hw_invlpg(box.hw, BASE + 7 * PAGE_SIZE);
	before = count_of(&box);
	touch(&box, 32, 1);
	delta = since(&box, &before);
	assert_int_equal(delta.tlb_misses[UMBRA_ACCESS_data], 1);
	/* Its walk had to begin at the root: INVLPG empties the walk caches. */
	assert_int_equal(delta.walk_references_guest[0], 4);

	assert_int_equal(hw_load_cr3(box.hw, box.regs.cr3, false), 0);
	before = count_of(&box);
	touch(&box, 32, 1);
	delta = since(&box, &before);
	assert_int_equal(delta.tlb_misses[UMBRA_ACCESS_data], 32);
	assert_int_equal(delta.walk_references_guest[0], 4 + 31);
	box_destroy(&box);
}

static void cr3_loads_keep_guest_physical_mappings(void **state)
{
	struct umbra_counters before, delta;
	struct box box;

	box_create(&box, UMBRA_MODE_EPT);
	map_pages(&box, 1);
	touch(&box, 1, 1);
	assert_int_equal(hw_load_cr3(box.hw, box.regs.cr3, false), 0);
	before = count_of(&box);
	touch(&box, 1, 1);
	delta = since(&box, &before);
	/* Five nested walks with the nested PDE cache warm: one reference each (SDM 3C 28.4.3.1).
	 */
	assert_int_equal(delta.walk_references_guest[0], 4);
	assert_int_equal(delta.walk_references_nested[0], 5);
	box_destroy(&box);
}

static void dirty_bits_are_written_once_by_a_walk_of_their_own(void **state)
{
	struct umbra_counters before, delta;
	struct box box;

	box_create(&box, UMBRA_MODE_BARE);
	box_map(&box, BASE, 0x400000, PTE_P | PTE_W);
	touch(&box, 1, 1);
	before = count_of(&box);
	box_access(&box, BASE, HW_WRITE, false);
	box_access(&box, BASE, HW_WRITE, false);
	delta = since(&box, &before);
	assert_int_equal(delta.walks[0], 1);
	assert_int_equal(delta.walk_references_ad[0], 1);
	box_destroy(&box);
}

static void each_access_is_one_look_up(void **state)
{
	static const enum umbra_mode modes[] = {UMBRA_MODE_BARE, UMBRA_MODE_SHADOW, UMBRA_MODE_EPT};

	for (int i = 0; i < 3; i++) {
		struct umbra_counters before, delta;
		struct box box;

		box_create(&box, modes[i]);
		map_pages(&box, 300);
		before = count_of(&box);
		for (int sweep = 0; sweep < 3; sweep++)
			touch(&box, 300, 1);
		delta = since(&box, &before);
		/* Those whose first try exits are tried again and count once. */
		assert_int_equal(delta.tlb_hits[UMBRA_TLB_l1_data] +
					 delta.tlb_hits_l2[UMBRA_ACCESS_data] +
					 delta.tlb_misses[UMBRA_ACCESS_data],
				 900);
		assert_int_equal(delta.tlb_misses[UMBRA_ACCESS_data], 300);
		box_destroy(&box);
	}
}

static void ignore(void *context, const struct umbra_step *step)
{
}

/* While a walk is explained it takes each step by itself. */
static void walks_cost_the_same_whether_they_are_explained_or_not(void **state)
{
	static const enum umbra_mode modes[] = {UMBRA_MODE_BARE, UMBRA_MODE_EPT, UMBRA_MODE_SHADOW};
	const uint64_t flags = PTE_W | PTE_U | PTE_A | PTE_D | PTE_NX;
	const unsigned pages = 2048;

	for (unsigned m = 0; m < 3; m++) {
		struct box box[2];
		unsigned faults = 0;

		for (int b = 0; b < 2; b++) {
			srandom(m + 1);
			box_create(&box[b], modes[m]);
			for (unsigned i = 0; i < pages; i++)
				box_map(&box[b], BASE + i * PAGE_SIZE,
					(4ull << 20) + i % 512 * PAGE_SIZE,
					(random() % 16 ? PTE_P | PTE_U : 0) |
						(random() % 4 ? flags & ~PTE_NX
							      : random() & flags));
		}
		box[1].hw->trace = ignore;
		for (int n = 0; n < 100000; n++) {
			uint64_t gva = BASE + (uint64_t)(random() % pages) * PAGE_SIZE;
			enum hw_access access = random() % 3;
			enum hw_privilege privilege = random() % 2;
			struct outcome outcome = box_access(&box[0], gva, access, privilege);
			struct outcome other = box_access(&box[1], gva, access, privilege);

			assert_int_equal(outcome.fault, other.fault);
			assert_int_equal(outcome.code, other.code);
			assert_int_equal(outcome.gpa, other.gpa);
			faults += outcome.fault;
			for (int b = 0; b < 2 && n % 1000 == 0; b++)
				assert_int_equal(hw_load_cr3(box[b].hw, box[b].regs.cr3, false), 0);
		}
		assert_true(faults > 1000 && faults < 90000);
		assert_memory_equal(&hw_public(box[0].hw)->counters,
				    &hw_public(box[1].hw)->counters, sizeof(struct umbra_counters));
		assert_int_equal(hw_public(box[0].hw)->cycles, hw_public(box[1].hw)->cycles);
		for (int b = 0; b < 2; b++)
			box_destroy(&box[b]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sweeps_hit_where_the_geometry_says),
		cmocka_unit_test(strides_use_few_sets),
		cmocka_unit_test(walks_take_the_references_of_the_manual),
		cmocka_unit_test(large_pages_take_one_reference_less),
		cmocka_unit_test(invlpg_takes_out_every_piece_of_a_large_page),
		cmocka_unit_test(cr3_loads_forget_and_invlpg_forgets_one_page),
		cmocka_unit_test(cr3_loads_keep_guest_physical_mappings),
		cmocka_unit_test(dirty_bits_are_written_once_by_a_walk_of_their_own),
		cmocka_unit_test(each_access_is_one_look_up),
		cmocka_unit_test(walks_cost_the_same_whether_they_are_explained_or_not),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
