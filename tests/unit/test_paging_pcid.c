/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What each invalidation takes out of the TLB and what it leaves (SDM 3A 4.10). */
#include "paging_fixture.h"

#define BASE  0x10000000000ull
#define FLAGS (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)

/* The page at BASE is a global one, the next one not. */
#define GLOBAL BASE
#define LOCAL  (BASE + PAGE_SIZE)

static uint64_t root;

static void create(struct box *box, enum umbra_mode mode)
{
	box_create(box, mode);
	box_map(box, GLOBAL, 0x400000, FLAGS | PTE_G);
	box_map(box, LOCAL, 0x401000, FLAGS);
	box->regs.cr4 |= CR4_PGE | CR4_PCIDE;
	assert_int_equal(hw_paging_changed(box->hw, &box->regs), 0);
	root = box->regs.cr3;
}

/* Whether the access misses the TLB. */
static bool misses(struct box *box, uint64_t gva)
{
	const uint64_t *counter = &hw_public(box->hw)->counters.tlb_misses[UMBRA_ACCESS_data];
	uint64_t before = *counter;

	assert_false(box_access(box, gva, HW_READ, HW_SUPERVISOR).fault);
	return *counter != before;
}

/* Walks that filled an entry of that size. */
static uint64_t fills(const struct box *box, enum umbra_page_size size)
{
	struct umbra_counters counters;

	hw_counters(box->hw, &counters);
	return counters.tlb_fills[size];
}

static void load(struct box *box, uint16_t pcid, bool keep)
{
	assert_int_equal(hw_load_cr3(box->hw, root | pcid, keep), 0);
	box_attend(box);
}

/* Both pages under PCIDs 1 and 2; PCID 1 is on. */
static void fill(struct box *box)
{
	hw_invpcid(box->hw, HW_INVPCID_ALL, 0, 0);
	for (uint16_t pcid = 2; pcid > 0; pcid--) {
		load(box, pcid, true);
		misses(box, GLOBAL);
		assert_true(misses(box, LOCAL));
	}
	assert_false(misses(box, GLOBAL) || misses(box, LOCAL));
}

static const enum umbra_mode modes[] = {UMBRA_MODE_BARE, UMBRA_MODE_EPT};

static void cr3_loads_with_bit_63_leave_all_as_it_was(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct box box;

		create(&box, modes[i]);
		fill(&box);
		for (int n = 0; n < 4; n++) {
			load(&box, 1 + n % 2, true);
			assert_false(misses(&box, GLOBAL));
			assert_false(misses(&box, LOCAL));
		}
		load(&box, 3, true); /* has nothing yet, but for what is global */
		assert_false(misses(&box, GLOBAL));
		assert_true(misses(&box, LOCAL));
		box_destroy(&box);
	}
}

static void cr3_loads_forget_their_own_pcid_but_no_global_entry(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct box box;

		create(&box, modes[i]);
		fill(&box);
		load(&box, 1, false);
		assert_false(misses(&box, GLOBAL));
		assert_true(misses(&box, LOCAL));
		load(&box, 2, true);
		assert_false(misses(&box, LOCAL));
		box_destroy(&box);
	}
}

static void invlpg_takes_the_page_of_this_pcid_and_global_ones(void **state)
{
	struct box box;

	create(&box, UMBRA_MODE_BARE);
	fill(&box);
	hw_invlpg(box.hw, LOCAL);
	assert_true(misses(&box, LOCAL));
	assert_false(misses(&box, GLOBAL));
	load(&box, 2, true);
	assert_false(misses(&box, LOCAL));
	hw_invlpg(box.hw, GLOBAL);
	assert_true(misses(&box, GLOBAL));
	assert_false(misses(&box, LOCAL));
	box_destroy(&box);
}

static void invpcid_has_four_types(void **state)
{
	struct {
		enum hw_invpcid type;
		uint16_t pcid;
		uint64_t gva;
		bool local_1, local_2, global; /* forgotten */
	} rows[] = {
		{HW_INVPCID_ADDRESS, 2, LOCAL, false, true, false},
		{HW_INVPCID_ADDRESS, 1, LOCAL, true, false, false},
		{HW_INVPCID_ADDRESS, 1, GLOBAL, false, false, false},
		{HW_INVPCID_CONTEXT, 2, 0, false, true, false},
		{HW_INVPCID_CONTEXT, 1, 0, true, false, false},
		{HW_INVPCID_ALL, 0, 0, true, true, true},
		{HW_INVPCID_ALL_BUT_GLOBAL, 0, 0, true, true, false},
	};
	struct box box;

	create(&box, UMBRA_MODE_BARE);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fill(&box);
		hw_invpcid(box.hw, rows[i].type, rows[i].pcid, rows[i].gva);
		assert_int_equal(misses(&box, GLOBAL), rows[i].global);
		assert_int_equal(misses(&box, LOCAL), rows[i].local_1);
		load(&box, 2, true);
		assert_int_equal(misses(&box, LOCAL), rows[i].local_2);
	}
	box_destroy(&box);
}

static void walk_caches_are_of_one_pcid(void **state)
{
	const uint64_t *references;
	uint64_t before;
	struct box box;

	create(&box, UMBRA_MODE_BARE);
	box_map(&box, BASE + 2 * PAGE_SIZE, 0x402000, FLAGS);
	references = hw_public(box.hw)->counters.walk_references_guest;
	fill(&box);
	before = references[0];
	misses(&box, BASE + 2 * PAGE_SIZE);
	assert_int_equal(references[0] - before, 1); /* the PDE is cached */
	load(&box, 3, true);
	before = references[0];
	misses(&box, LOCAL);
	assert_int_equal(references[0] - before, 4);
	hw_invpcid(box.hw, HW_INVPCID_ADDRESS, 1, 0);
	hw_invlpg(box.hw, LOCAL);
	before = references[0];
	misses(&box, LOCAL);
	assert_int_equal(references[0] - before, 4);
	load(&box, 2, true);
	before = references[0];
	misses(&box, BASE + 2 * PAGE_SIZE);
	assert_int_equal(references[0] - before, 1); /* PCID 2 kept its own */
	box_destroy(&box);
}

static void turning_pge_off_takes_global_entries(void **state)
{
	struct box box;

	create(&box, UMBRA_MODE_BARE);
	fill(&box);
	box.regs.cr4 &= ~CR4_PGE;
	assert_int_equal(hw_paging_changed(box.hw, &box.regs), 0);
	assert_true(misses(&box, GLOBAL));
	/* And now it is no global page any more. */
	load(&box, 5, true);
	assert_true(misses(&box, GLOBAL));
	box_destroy(&box);
}

static void many_flushes_bring_nothing_back(void **state)
{
	struct box box;

	create(&box, UMBRA_MODE_BARE);
	for (int n = 0; n < 100; n++) {
		fill(&box);
		hw_invpcid(box.hw, HW_INVPCID_ALL, 0, 0);
		assert_true(misses(&box, LOCAL));
		assert_true(misses(&box, GLOBAL));
	}
	box_destroy(&box);
}

/* A large page of the guest, in entries as large as @pieces of them say, goes as one. */
static void check_pieces(struct box *box, uint64_t gva, uint64_t step, unsigned pieces)
{
	for (unsigned i = 0; i < pieces; i++)
		assert_true(misses(box, gva + i * step));
	for (unsigned i = 0; i < pieces; i++)
		assert_false(misses(box, gva + i * step));
	hw_invlpg(box->hw, gva + (pieces - 1) * step + 0x123);
	for (unsigned i = 0; i < pieces; i++)
		assert_true(misses(box, gva + i * step));
}

static void invlpg_takes_every_piece_of_what_the_guest_calls_a_page(void **state)
{
	struct box box;

	/* 4M in two entries of 2M. */
	box_create(&box, UMBRA_MODE_BARE);
	box_put(&box, 0x300000, 0x400000 | PTE_P | PTE_W | PTE_PS);
	box.regs = (struct hw_paging){.cr0 = CR0_PE | CR0_PG, .cr3 = 0x300000, .cr4 = CR4_PSE};
	assert_int_equal(hw_paging_changed(box.hw, &box.regs), 0);
	check_pieces(&box, 0, 1ull << 21, 2);
	assert_int_equal(fills(&box, UMBRA_PAGE_2m), 4);
	box_destroy(&box);

	/* 1G in entries of 4K, behind EPT. */
	box_create(&box, UMBRA_MODE_EPT);
	box_put(&box, box_entry(&box, BASE, 3), FLAGS | PTE_PS);
	check_pieces(&box, BASE, 3 * PAGE_SIZE, 20);
	box_destroy(&box);

	/* 1G in entries of 2M. */
	box_create_backed(&box, UMBRA_MODE_EPT, SHIFT_2M, RAM_SIZE);
	box_put(&box, box_entry(&box, BASE, 3), FLAGS | PTE_PS);
	check_pieces(&box, BASE, 1ull << 21, 4);
	assert_int_equal(fills(&box, UMBRA_PAGE_2m), 8);
	box_destroy(&box);
}

static void one_entry_of_1g_serves_data_and_pieces_of_2m_serve_fetches(void **state)
{
	const struct umbra_counters *c;
	struct box box;

	box_create(&box, UMBRA_MODE_BARE);
	c = &hw_public(box.hw)->counters;
	box_put(&box, box_entry(&box, BASE, 3), FLAGS | PTE_PS);
	for (uint64_t at = 0; at < RAM_SIZE; at += 5 * PAGE_SIZE)
		assert_int_equal(box_access(&box, BASE + at, HW_READ, HW_SUPERVISOR).gpa, at);
	assert_int_equal(fills(&box, UMBRA_PAGE_1g), 1);
	assert_int_equal(c->tlb_misses[UMBRA_ACCESS_data], 1);
	assert_int_equal(c->walk_references_guest[0], 2);
	for (uint64_t at = 0; at < RAM_SIZE; at += 5 * PAGE_SIZE)
		assert_int_equal(box_access(&box, BASE + at, HW_FETCH, HW_USER).gpa, at);
	/* The second level has the page as one, each piece comes from there. */
	assert_int_equal(c->tlb_misses[UMBRA_ACCESS_instruction], 0);
	assert_int_equal(c->tlb_hits_by_size[UMBRA_TLB_HIT_l2_instruction_1g], RAM_SIZE >> 21);
	hw_invlpg(box.hw, BASE);
	assert_int_equal(box_access(&box, BASE, HW_FETCH, HW_USER).gpa, 0);
	assert_int_equal(fills(&box, UMBRA_PAGE_2m), 1);
	box_destroy(&box);
}

static void keys_and_smap_are_looked_at_in_every_hit(void **state)
{
	struct box box;

	for (int i = 0; i < 3; i++) {
		static const enum umbra_mode all[] = {UMBRA_MODE_BARE, UMBRA_MODE_SHADOW,
						      UMBRA_MODE_EPT};
		uint64_t misses_before;

		box_create(&box, all[i]);
		box_map(&box, BASE, 0x400000, FLAGS | 5ull << PTE_KEY_SHIFT);
		box.regs.cr4 |= CR4_PKE | CR4_SMAP;
		assert_int_equal(hw_paging_changed(box.hw, &box.regs), 0);
		assert_false(box_access(&box, BASE, HW_WRITE, HW_USER).fault);
		assert_int_equal(box_access(&box, BASE, HW_READ, HW_SUPERVISOR).code, PF_P);
		assert_false(box_access(&box, BASE, HW_WRITE, HW_SUPERVISOR_AC).fault);
		hw_set_pkru(box.hw, 2u << 2 * 5); /* write-disable */
		assert_int_equal(box_access(&box, BASE, HW_WRITE, HW_USER).code,
				 PF_P | PF_W | PF_U | PF_PK);
		assert_int_equal(box_access(&box, BASE, HW_WRITE, HW_SUPERVISOR_AC).code,
				 PF_P | PF_W | PF_PK);
		assert_false(box_access(&box, BASE, HW_READ, HW_USER).fault);
		hw_set_pkru(box.hw, 1u << 2 * 5); /* access-disable */
		assert_int_equal(box_access(&box, BASE, HW_READ, HW_USER).code,
				 PF_P | PF_U | PF_PK);
		assert_false(box_access(&box, BASE, HW_FETCH, HW_USER).fault);
		hw_set_pkru(box.hw, ~(3u << 2 * 5)); /* every other key */
		assert_false(box_access(&box, BASE, HW_WRITE, HW_USER).fault);
		misses_before = hw_public(box.hw)->counters.tlb_misses[UMBRA_ACCESS_data];
		hw_set_pkru(box.hw, 0);
		assert_false(box_access(&box, BASE, HW_WRITE, HW_USER).fault);
		assert_int_equal(hw_public(box.hw)->counters.tlb_misses[UMBRA_ACCESS_data],
				 misses_before);
		box_destroy(&box);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cr3_loads_with_bit_63_leave_all_as_it_was),
		cmocka_unit_test(cr3_loads_forget_their_own_pcid_but_no_global_entry),
		cmocka_unit_test(invlpg_takes_the_page_of_this_pcid_and_global_ones),
		cmocka_unit_test(invpcid_has_four_types),
		cmocka_unit_test(walk_caches_are_of_one_pcid),
		cmocka_unit_test(turning_pge_off_takes_global_entries),
		cmocka_unit_test(many_flushes_bring_nothing_back),
		cmocka_unit_test(invlpg_takes_every_piece_of_what_the_guest_calls_a_page),
		cmocka_unit_test(one_entry_of_1g_serves_data_and_pieces_of_2m_serve_fetches),
		cmocka_unit_test(keys_and_smap_are_looked_at_in_every_hit),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
