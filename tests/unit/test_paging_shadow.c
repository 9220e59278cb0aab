/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules of shadow paging that random tables seldom meet. */
#include "paging/shadow.h"
#include "paging_fixture.h"

#define DATA  0x400000ull
#define FLAGS (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)

static const struct umbra_counters *counters(const struct box *box)
{
	return &hw_public(box->hw)->counters;
}

static void leaf_tables_go_out_of_sync_once_and_upper_ones_never(void **state)
{
	const uint64_t gva = 0x10000000000ull;
	uint64_t leaf, upper;
	struct box box;

	box_create(&box, UMBRA_MODE_SHADOW);
	box_map(&box, gva, DATA, FLAGS);
	leaf = box_entry(&box, gva, 1);
	upper = box_entry(&box, gva, 2);
	box_access(&box, gva, HW_WRITE, true);

	/* The second write of the leaf table is as cheap as one to any page. */
	box_guest_write(&box, leaf + 8, DATA | FLAGS);
	assert_int_equal(counters(&box)->shadow_unsyncs[0], 1);
	box_guest_write(&box, leaf + 16, DATA | FLAGS);
	assert_int_equal(counters(&box)->shadow_unsyncs[0], 1);
	assert_int_equal(counters(&box)->shadow_syncs[0], 0);
	assert_int_equal(hw_load_cr3(box.hw, box.regs.cr3, false), 0);
	assert_int_equal(counters(&box)->shadow_syncs[0], 1);
	box_guest_write(&box, leaf + 8, 0);
	assert_int_equal(counters(&box)->shadow_unsyncs[0], 2);

	assert_int_equal(counters(&box)->shadow_table_writes[0], 0);
	box_guest_write(&box, upper + 8, 0);
	assert_int_equal(counters(&box)->shadow_table_writes[0], 1);
	box_guest_write(&box, upper + 8, 0);
	assert_int_equal(counters(&box)->shadow_table_writes[0], 2);
	box_destroy(&box);
}

static void tables_written_over_and_over_are_tables_no_more(void **state)
{
	const uint64_t gva = 0x10000000000ull;
	uint64_t upper, written;
	struct box box;

	box_create(&box, UMBRA_MODE_SHADOW);
	box_map(&box, gva, DATA, FLAGS);
	upper = box_entry(&box, gva, 2);
	box_access(&box, gva, HW_WRITE, true);
	for (int i = 0; i < 16; i++)
		box_guest_write(&box, upper + 64, (uint64_t)i << 12);
	written = counters(&box)->shadow_table_writes[0];
	assert_in_range(written, 1, 8);
	/* And it is one again as soon as it is used. */
	assert_int_equal(hw_load_cr3(box.hw, box.regs.cr3, false), 0);
	assert_int_equal(box_access(&box, gva, HW_WRITE, true).gpa, DATA);
	box_guest_write(&box, upper + 64, 0);
	assert_int_equal(counters(&box)->shadow_table_writes[0], written + 1);
	box_destroy(&box);
}

/*
 * The guest invalidates one of two addresses that share a table, as it may. The other's translation
 * stays in the TLB, until the page that it leads to becomes a table.
 */
static void what_is_stale_never_writes_a_page_that_became_a_table(void **state)
{
	const uint64_t gva = 0x10000000000ull, alias = gva + (1ull << SHIFT_2M), page = DATA;
	const uint64_t other = DATA + PAGE_SIZE, by_page = gva + (2ull << SHIFT_2M);
	uint64_t leaf, flushes;
	struct box box;

	box_create(&box, UMBRA_MODE_SHADOW);
	box_map(&box, gva, page, FLAGS);
	leaf = box_entry(&box, gva, 1);
	box_put(&box, box_entry(&box, alias, 2), (leaf & ~PAGE_MASK) | FLAGS);
	box_put(&box, box_entry(&box, by_page, 2), page | FLAGS);
	assert_int_equal(box_access(&box, gva, HW_WRITE, HW_USER).gpa, page);
	assert_int_equal(box_access(&box, alias, HW_WRITE, HW_USER).gpa, page);
	box_guest_write(&box, leaf, other | FLAGS);
	flushes = counters(&box)->tlb_flushes[0];
	hw_invlpg(box.hw, gva);
	box_attend(&box);
	/* So far it costs no flush, and the alias may lead to the old page. */
	assert_int_equal(counters(&box)->tlb_flushes[0], flushes);
	assert_int_equal(box_access(&box, gva, HW_WRITE, HW_USER).gpa, other);
	assert_int_equal(box_access(&box, alias, HW_WRITE, HW_USER).gpa, page);
	/* A walk by the page makes it a table, if one without entries. */
	assert_true(box_access(&box, by_page, HW_READ, HW_USER).fault);
	box_put(&box, page, (other + PAGE_SIZE) | FLAGS);
	assert_int_equal(box_access(&box, by_page, HW_READ, HW_USER).gpa, other + PAGE_SIZE);
	assert_true(counters(&box)->tlb_flushes[0] > flushes);
	assert_int_equal(box_access(&box, alias, HW_WRITE, HW_USER).gpa, other);
	box_destroy(&box);
}

static void an_invlpg_takes_all_pieces_of_a_large_page(void **state)
{
	const uint64_t gva = 0x10000000000ull, large = 1ull << SHIFT_2M, from = 2 * large;
	uint64_t entry;
	struct box box;

	box_create(&box, UMBRA_MODE_SHADOW);
	entry = box_entry(&box, gva, 2);
	box_put(&box, entry, from | FLAGS | PTE_PS);
	for (uint64_t offset = 0; offset < 4 * PAGE_SIZE; offset += PAGE_SIZE)
		assert_int_equal(box_access(&box, gva + offset, HW_WRITE, HW_USER).gpa,
				 from + offset);
	box_guest_write(&box, entry, (from + large) | FLAGS | PTE_PS);
	hw_invlpg(box.hw, gva + PAGE_SIZE);
	for (uint64_t offset = 0; offset < 4 * PAGE_SIZE; offset += PAGE_SIZE)
		assert_int_equal(box_access(&box, gva + offset, HW_WRITE, HW_USER).gpa,
				 from + large + offset);
	box_destroy(&box);
}

static void with_wp_clear_a_supervisor_writes_what_a_user_may_only_read(void **state)
{
	const uint64_t gva = 0x10000000000ull;
	struct box box;

	box_create(&box, UMBRA_MODE_SHADOW);
	box_map(&box, gva, DATA, PTE_P | PTE_U);
	box.regs.cr0 &= ~CR0_WP;
	assert_int_equal(hw_paging_changed(box.hw, &box.regs), 0);
	for (int i = 0; i < 3; i++) {
		struct outcome outcome = box_access(&box, gva, HW_WRITE, false);

		assert_false(outcome.fault);
		assert_int_equal(outcome.gpa, DATA);
		assert_false(box_access(&box, gva, HW_READ, true).fault);
		outcome = box_access(&box, gva, HW_WRITE, true);
		assert_true(outcome.fault);
		assert_int_equal(outcome.code, PF_P | PF_W | PF_U);
	}
	box_destroy(&box);
}

/* SMEP, SMAP and keys are of entries that say who may, and without paging there are none. */
static void without_paging_nothing_is_a_user_page(void **state)
{
	struct box box;

	box_create(&box, UMBRA_MODE_SHADOW);
	box.regs.cr0 &= ~CR0_PG;
	box.regs.efer &= ~EFER_LMA;
	box.regs.cr4 |= CR4_SMEP | CR4_SMAP | CR4_PKE;
	assert_int_equal(hw_paging_changed(box.hw, &box.regs), 0);
	for (enum hw_access access = HW_READ; access <= HW_FETCH; access++) {
		struct outcome outcome = box_access(&box, DATA, access, HW_SUPERVISOR);

		assert_false(outcome.fault);
		assert_int_equal(outcome.gpa, DATA);
	}
	box_destroy(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaf_tables_go_out_of_sync_once_and_upper_ones_never),
		cmocka_unit_test(tables_written_over_and_over_are_tables_no_more),
		cmocka_unit_test(what_is_stale_never_writes_a_page_that_became_a_table),
		cmocka_unit_test(an_invlpg_takes_all_pieces_of_a_large_page),
		cmocka_unit_test(with_wp_clear_a_supervisor_writes_what_a_user_may_only_read),
		cmocka_unit_test(without_paging_nothing_is_a_user_page),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
