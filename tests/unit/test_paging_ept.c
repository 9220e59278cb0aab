/* SPDX-License-Identifier: GPL-2.0-or-later */
/* EPT: references of every shape of walk, rights, accessed and dirty flags, misconfigurations. */
#include <stdio.h>

#include "paging_fixture.h"

#define BASE  0x10000000000ull
#define FLAGS (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)
#define DATA  0x400000ull

static const struct umbra_counters *counters(const struct box *box)
{
	return &hw_public(box->hw)->counters;
}

/* Guest tables of @levels that map BASE by a page of @leaf level to DATA (1G: to 0). */
static void guest_tables(struct box *box, unsigned levels, unsigned leaf)
{
	uint64_t table = box_table(box);

	box->regs.cr3 = table;
	box->regs.cr4 = CR4_PAE | (levels == 5 ? CR4_LA57 : 0);
	for (unsigned level = levels; level >= leaf; level--) {
		uint64_t next = level == leaf ? (leaf == 3 ? 0 : DATA) : box_table(box);

		box_put(box, table + entry_index(BASE, level) * 8,
			next | FLAGS | (level == leaf && leaf > 1 ? PTE_PS : 0));
		table = next;
	}
	/* LA57 changes with paging off. */
	assert_int_equal(hw_paging_changed(box->hw, &(struct hw_paging){.cr0 = CR0_PE}), 0);
	assert_int_equal(hw_paging_changed(box->hw, &box->regs), 0);
}

static void walks_take_the_references_of_the_formula(void **state)
{
	static const unsigned shifts[] = {0, PAGE_SHIFT, SHIFT_2M, SHIFT_1G};
	static const char *const names[] = {"", "4K", "2M", "1G"};

	for (unsigned nested = 0; nested <= 5; nested += nested ? 1 : 4) {
		for (unsigned backing = 1; backing <= (nested ? 3 : 1); backing++) {
			struct box box;

			box_create_backed(&box, nested ? UMBRA_MODE_EPT : UMBRA_MODE_BARE,
					  shifts[backing], backing == 3 ? 1ull << 30 : RAM_SIZE);
			if (nested)
				assert_int_equal(vmm_set_ept_levels(box.vmm, nested), 0);
			for (unsigned levels = 4; levels <= 5; levels++) {
				for (unsigned leaf = 1; leaf <= 3; leaf++) {
					unsigned g = levels - leaf + 1, h = nested - backing + 1;
					uint64_t before, count;

					guest_tables(&box, levels, leaf);
					box_access(&box, BASE, HW_WRITE, HW_SUPERVISOR);
					hw_flush(box.hw);
					tlb_flush_nested(&box.hw->tlb);
					before = counters(&box)->walk_references_guest[0] +
						 counters(&box)->walk_references_nested[0];
					assert_false(box_access(&box, BASE, HW_WRITE, HW_SUPERVISOR)
							     .fault);
					count = counters(&box)->walk_references_guest[0] +
						counters(&box)->walk_references_nested[0] - before;
					if (nested)
						printf("# guest %s of %u levels on %s of %u: %lu "
						       "references\n",
						       names[leaf], levels, names[backing], nested,
						       count);
					else
						printf("# bare, guest %s of %u levels: %lu "
						       "references\n",
						       names[leaf], levels, count);
					assert_int_equal(count, nested ? (g + 1) * (h + 1) - 1 : g);
				}
			}
			box_destroy(&box);
		}
	}
}

static void older_formats_have_fewer_levels(void **state)
{
	for (int ept = 0; ept < 2; ept++) {
		/* 2-level and PAE, small and large pages. */
		for (int i = 0; i < 4; i++) {
			bool pae = i & 1, large = i & 2;
			unsigned g = large ? 1 : 2;
			uint64_t before, count;
			struct box box;

			box_create(&box, ept ? UMBRA_MODE_EPT : UMBRA_MODE_BARE);
			box.regs = (struct hw_paging){.cr0 = CR0_PE | CR0_PG,
						      .cr3 = 0x300000,
						      .cr4 = CR4_PSE | (pae ? CR4_PAE : 0)};
			box_put(&box, 0x300000, 0x301000 | PTE_P | (pae ? 0 : PTE_W));
			box_put(&box, 0x301000,
				pae ? (large ? DATA | FLAGS | PTE_PS : 0x302000 | FLAGS)
				    : DATA | FLAGS);
			box_put(&box, 0x302000, DATA | FLAGS);
			if (!pae && large)
				box_put(&box, 0x300000, DATA | FLAGS | PTE_PS);
			assert_int_equal(hw_paging_changed(box.hw, &box.regs), 0);
			assert_int_equal(box_access(&box, 0, HW_READ, HW_SUPERVISOR).gpa, DATA);
			hw_flush(box.hw);
			tlb_flush_nested(&box.hw->tlb);
			before = counters(&box)->walk_references_guest[0] +
				 counters(&box)->walk_references_nested[0];
			box_access(&box, 0, HW_READ, HW_SUPERVISOR);
			count = counters(&box)->walk_references_guest[0] +
				counters(&box)->walk_references_nested[0] - before;
			printf("# %s, %s, %s: %lu references\n", ept ? "ept" : "bare",
			       pae ? "PAE" : "2-level", large ? "large" : "4K", count);
			assert_int_equal(count, ept ? (g + 1) * 5 - 1 : g);
			box_destroy(&box);
		}
	}
}

/* The EPT entry of @level for a guest-physical address. */
static uint64_t *ept_entry(struct box *box, uint64_t gpa, unsigned level)
{
	uint64_t table = box->vmm->ept_root;

	for (unsigned l = box->vmm->ept_levels;; l--) {
		uint64_t *entry =
			(uint64_t *)frames_host(&box->memory.frames, table) + entry_index(gpa, l);

		if (l == level)
			return entry;
		assert_true(*entry & EPT_R);
		table = *entry & ENTRY_ADDRESS;
	}
}

static void forget(struct box *box)
{
	hw_flush(box->hw);
	tlb_flush_nested(&box->hw->tlb);
}

static void accessed_and_dirty_flags_are_set_once_and_by_need(void **state)
{
	uint64_t leaf, table, before;
	struct box box;

	box_create(&box, UMBRA_MODE_EPT);
	box_map(&box, BASE, DATA, FLAGS);
	assert_false(box_access(&box, BASE, HW_READ, HW_SUPERVISOR).fault);
	leaf = *ept_entry(&box, DATA, 1);
	assert_int_equal(leaf & (EPT_A | EPT_D), EPT_A);
	for (unsigned level = 2; level <= 4; level++)
		assert_int_equal(*ept_entry(&box, DATA, level) & (EPT_A | EPT_D), EPT_A);
	/* A guest table is as if written (SDM 3C 28.3.5). */
	table = *ept_entry(&box, box_entry(&box, BASE, 1), 1);
	assert_int_equal(table & (EPT_A | EPT_D), EPT_A | EPT_D);

	before = counters(&box)->walk_references_ad[0];
	assert_false(box_access(&box, BASE, HW_WRITE, HW_SUPERVISOR).fault);
	assert_int_equal(*ept_entry(&box, DATA, 1) & (EPT_A | EPT_D), EPT_A | EPT_D);
	assert_int_equal(counters(&box)->walk_references_ad[0], before + 1);
	forget(&box);
	assert_false(box_access(&box, BASE, HW_WRITE, HW_SUPERVISOR).fault);
	assert_int_equal(counters(&box)->walk_references_ad[0], before + 1);
	box_destroy(&box);
}

/* What the hardware itself says of an access to BASE with DATA's entry of @level changed. */
static enum walk_status walk_with(struct box *box, unsigned level, uint64_t entry,
				  enum hw_access access, struct walk *ret)
{
	uint64_t *place = ept_entry(box, DATA, level), old = *place;
	enum walk_status status;

	*place = entry;
	forget(box);
	status = hw_walk(box->hw, BASE, access, HW_SUPERVISOR, ret);
	*place = old;
	forget(box);
	return status;
}

static void each_right_is_its_own(void **state)
{
	static const uint64_t rights[] = {EPT_R, EPT_W, EPT_X};
	struct walk walk;
	struct box box;

	box_create(&box, UMBRA_MODE_EPT);
	box_map(&box, BASE, DATA, FLAGS);
	box_access(&box, BASE, HW_WRITE, HW_SUPERVISOR);
	for (enum hw_access access = HW_READ; access <= HW_FETCH; access++) {
		for (uint64_t allowed = 1; allowed <= EPT_RWX; allowed++) {
			uint64_t entry = (*ept_entry(&box, DATA, 1) & ~EPT_RWX) | allowed;
			enum walk_status want = allowed & rights[access] ? WALK_OK : WALK_VIOLATION;

			if ((allowed & (EPT_R | EPT_W)) == EPT_W)
				want = WALK_MISCONFIGURATION;
			assert_int_equal(walk_with(&box, 1, entry, access, &walk), want);
			if (want == WALK_OK)
				continue;
			assert_int_equal(walk.gpa, DATA);
			assert_false(walk.table);
		}
	}
	assert_int_equal(walk_with(&box, 1, 0, HW_READ, &walk), WALK_VIOLATION);
	assert_int_equal(walk_with(&box, 3, 0, HW_READ, &walk), WALK_VIOLATION);
	box_destroy(&box);
}

static void rights_hold_for_hits_too(void **state)
{
	uint64_t violations, *leaf;
	struct box box;

	box_create(&box, UMBRA_MODE_EPT);
	box_map(&box, BASE, DATA, FLAGS);
	box_access(&box, BASE, HW_WRITE, HW_SUPERVISOR);
	leaf = ept_entry(&box, DATA, 1);
	*leaf &= ~(EPT_W | EPT_X);
	forget(&box);
	violations = counters(&box)->exits[UMBRA_EXIT_ept_violation];
	assert_non_null(hw_translate(box.hw, BASE, HW_READ, HW_SUPERVISOR));
	assert_non_null(hw_translate(box.hw, BASE, HW_READ, HW_SUPERVISOR));
	assert_int_equal(counters(&box)->exits[UMBRA_EXIT_ept_violation], violations);
	/* The VMM gives the page all rights again. */
	assert_non_null(hw_translate(box.hw, BASE, HW_FETCH, HW_SUPERVISOR));
	assert_int_equal(counters(&box)->exits[UMBRA_EXIT_ept_violation], violations + 1);
	assert_non_null(hw_translate(box.hw, BASE, HW_WRITE, HW_SUPERVISOR));
	assert_int_equal(counters(&box)->exits[UMBRA_EXIT_ept_violation], violations + 1);
	box_destroy(&box);
}

/* SDM 3C 28.3.3.1, beside the rights above. */
static void entries_that_no_processor_may_meet_are_misconfigured(void **state)
{
	static const struct {
		unsigned level;
		uint64_t bits; /* set beside R, W, X and an address */
		bool bad;
	} rows[] = {
		{1, 0, false}, /* UC */
		{1, 1 << 3, false},
		{1, 2 << 3, true},
		{1, 3 << 3, true},
		{1, 4 << 3, false},
		{1, 5 << 3, false},
		{1, 6 << 3, false},
		{1, 7 << 3, true},
		{1, 1ull << 40, true}, /* MAXPHYADDR */
		{1, 1ull << 51, true},
		{1, 1ull << 52, false},
		{1, 1ull << 63, false},
		{2, 1 << 3, true}, /* a table has no memory type */
		{2, 1 << 6, true},
		{2, 1ull << 40, true},
		{2, 1 << 11, false},
		{2, EPT_PS | 6 << 3, false},
		{2, EPT_PS | 6 << 3 | 1 << 12, true},
		{2, EPT_PS | 6 << 3 | 1 << 20, true},
		{2, EPT_PS | 7 << 3, true},
		{3, 1 << 3, true},
		{3, EPT_PS | 6 << 3 | 1 << 29, true},
		{3, EPT_PS | 6 << 3 | 1 << 12, true},
		{4, 1 << 3, true},
		{4, EPT_PS, true},
		{4, 1ull << 51, true},
		{4, 1 << 10, false},
	};
	struct box box;

	box_create(&box, UMBRA_MODE_EPT);
	box_map(&box, BASE, DATA, FLAGS);
	box_access(&box, BASE, HW_WRITE, HW_SUPERVISOR);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t entry = *ept_entry(&box, DATA, rows[i].level), type = 7 << EPT_TYPE_SHIFT;
		struct walk walk;

		if (rows[i].level == 1)
			entry &= ~type;
		if (rows[i].bits & EPT_PS && rows[i].level < 4)
			entry &= ~((1ull << (12 + 9 * (rows[i].level - 1))) - 1) | EPT_RWX;
		entry |= rows[i].bits;
		/* Guest tables lie in another 2M, so 4 and 3 are met there first. */
		assert_int_equal(walk_with(&box, rows[i].level, entry, HW_READ, &walk) ==
					 WALK_MISCONFIGURATION,
				 rows[i].bad);
	}
	box_destroy(&box);
}

static void large_backing_hands_out_frames_that_lie_together(void **state)
{
	static const unsigned shifts[] = {SHIFT_2M, SHIFT_1G};

	for (int i = 0; i < 2; i++) {
		uint64_t size = i ? 2ull << 30 : RAM_SIZE, run = 1ull << shifts[i];
		struct memory memory;

		assert_int_equal(memory_create_backed(&memory, size, shifts[i], false, 7, NULL), 0);
		for (uint64_t gpa = size; gpa > 0; gpa -= run) {
			uint64_t first = (gpa - run) / PAGE_SIZE;
			uint32_t frame = memory_frame(&memory, first + 5) - 5;

			assert_int_equal(frame % (run / PAGE_SIZE), 0);
			assert_int_not_equal(frame, first);
			for (uint64_t n = 0; n < run / PAGE_SIZE; n++) {
				assert_int_equal(memory.frame_of[first + n], frame + n);
				assert_int_equal(memory.page_of[frame + n], first + n);
			}
		}
		assert_int_equal(memory.touched, size / PAGE_SIZE);
		/* Tables are not taken from what backs the guest. */
		for (uint32_t n = 0; n < memory.max_tables; n++) {
			uint64_t table = memory_table_alloc(&memory);

			assert_true(table && table != UINT64_MAX);
			assert_int_equal(memory.page_of[table / PAGE_SIZE], GFN_NONE);
		}
		assert_true(memory_table_alloc(&memory) == UINT64_MAX);
		memory_destroy(&memory);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks_take_the_references_of_the_formula),
		cmocka_unit_test(older_formats_have_fewer_levels),
		cmocka_unit_test(accessed_and_dirty_flags_are_set_once_and_by_need),
		cmocka_unit_test(each_right_is_its_own),
		cmocka_unit_test(rights_hold_for_hits_too),
		cmocka_unit_test(entries_that_no_processor_may_meet_are_misconfigured),
		cmocka_unit_test(large_backing_hands_out_frames_that_lie_together),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
