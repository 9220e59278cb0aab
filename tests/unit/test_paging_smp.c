/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Several vCPUs with an MMU each over one memory and one VMM. */
#include <errno.h>

#include "paging/shadow.h"
#include "paging_fixture.h"

#define DATA 0x400000ull

struct pair {
	struct box box; /* the first vCPU */
	struct hw *hw[2];
};

static void pair_create(struct pair *pair, enum umbra_mode mode)
{
	struct box *box = &pair->box;

	box_create(box, mode);
	vmm_destroy(box->vmm);
	pair->hw[0] = box->hw;
	assert_int_equal(
		hw_create(&box->memory, &umbra_cost_default, processor_at(0), &pair->hw[1]), 0);
	assert_int_equal(vmm_create(pair->hw, 2, &box->memory, mode, &box->vmm, NULL), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(hw_paging_changed(pair->hw[i], &box->regs), 0);
}

static void pair_destroy(struct pair *pair)
{
	hw_destroy(pair->hw[1]);
	box_destroy(&pair->box);
}

static uint8_t *data(struct pair *pair, int cpu, enum hw_access access)
{
	uint8_t *host = hw_translate(pair->hw[cpu], WINDOW + DATA, access, HW_SUPERVISOR);

	assert_non_null(host);
	return host;
}

static void code_written_by_one_vcpu_calls_for_the_attention_of_all(void **state)
{
	static const enum umbra_mode modes[] = {UMBRA_MODE_BARE, UMBRA_MODE_EPT};

	for (int i = 0; i < 2; i++) {
		struct pair pair;
		uint64_t frame;

		pair_create(&pair, modes[i]);
		/* Both have a translation in the lookaside that lets writes pass. */
		frame = hw_frame_of(pair.hw[0], data(&pair, 0, HW_WRITE));
		assert_ptr_equal(data(&pair, 1, HW_WRITE), data(&pair, 0, HW_WRITE));
		for (int writer = 0; writer < 2; writer++) {
			uint32_t generation = hw_code_generation(pair.hw[0], frame);

			hw_code_cached(pair.hw[!writer], frame);
			hw_attend(pair.hw[0]);
			hw_attend(pair.hw[1]);
			data(&pair, writer, HW_WRITE);
			assert_int_equal(hw_code_generation(pair.hw[0], frame), generation + 1);
			assert_true(hw_public(pair.hw[0])->attention);
			assert_true(hw_public(pair.hw[1])->attention);
		}
		pair_destroy(&pair);
	}
}

static void a_table_found_by_one_vcpu_is_watched_for_all(void **state)
{
	struct pair pair;
	uint64_t table;

	pair_create(&pair, UMBRA_MODE_EPT);
	/* The second vCPU may write this page fast, until the first one walks by it. */
	box_map(&pair.box, 0x1000, DATA, PTE_P | PTE_W | PTE_A);
	table = WINDOW + box_entry(&pair.box, 0x1000, 1);
	for (int i = 0; i < 2; i++)
		assert_non_null(hw_translate(pair.hw[1], table, HW_WRITE, HW_SUPERVISOR));
	assert_int_equal(hw_public(pair.hw[1])->counters.guest_table_writes[0], 0);
	assert_non_null(hw_translate(pair.hw[0], 0x1000, HW_READ, HW_SUPERVISOR));
	assert_non_null(hw_translate(pair.hw[1], table, HW_WRITE, HW_SUPERVISOR));
	assert_int_equal(hw_public(pair.hw[1])->counters.guest_table_writes[0], 1);
	pair_destroy(&pair);
}

static void ept_tables_thrown_away_are_forgotten_by_all(void **state)
{
	struct pair pair;
	uint64_t misses, exits;

	pair_create(&pair, UMBRA_MODE_EPT);
	data(&pair, 0, HW_READ);
	data(&pair, 1, HW_READ);
	pair.box.vmm->ops->empty(pair.box.vmm);
	misses = hw_public(pair.hw[1])->counters.tlb_misses[UMBRA_ACCESS_data];
	exits = hw_public(pair.hw[1])->counters.exits[UMBRA_EXIT_ept_violation];
	data(&pair, 1, HW_READ);
	assert_int_equal(hw_public(pair.hw[1])->counters.tlb_misses[UMBRA_ACCESS_data], misses + 1);
	assert_true(hw_public(pair.hw[1])->counters.exits[UMBRA_EXIT_ept_violation] > exits);
	pair_destroy(&pair);
}

static void each_vcpu_has_its_own_cr3(void **state)
{
	struct pair pair;
	uint64_t other, root = 0x1000 * 700;

	pair_create(&pair, UMBRA_MODE_EPT);
	/* Another root: the window is there, but one page further on. */
	other = (DATA >> 12) + 1;
	pair.box.regs.cr3 = root;
	box_map(&pair.box, WINDOW + DATA, other << 12, PTE_P | PTE_W);
	assert_int_equal(hw_load_cr3(pair.hw[1], root, false), 0);
	assert_int_equal(pair.box.memory.page_of[hw_frame_of(pair.hw[0], data(&pair, 0, HW_READ))],
			 DATA >> 12);
	assert_int_equal(pair.box.memory.page_of[hw_frame_of(pair.hw[1], data(&pair, 1, HW_READ))],
			 other);
	pair_destroy(&pair);
}

static uint64_t page_of(const struct pair *pair, int cpu, const uint8_t *host)
{
	return pair->box.memory.page_of[hw_frame_of(pair->hw[cpu], host)];
}

/*
 * One vCPU has moved an address and has invalidated; the other one has not, and writes by what it
 * had. That may still go to the old page, but if that has become a table, it must be noticed.
 */
static void a_write_by_an_old_translation_into_a_new_table_is_noticed(void **state)
{
	const uint64_t flags = PTE_P | PTE_W | PTE_U | PTE_A | PTE_D;
	const uint64_t moved = 0x1000, mapped = 0x40000000, old = 0x401000, new = 0x402000;
	const uint64_t before = 0x403000 | flags, after = 0x404000 | flags;
	struct pair pair;
	uint64_t leaf, upper, found;
	uint8_t *host;

	pair_create(&pair, UMBRA_MODE_SHADOW);
	box_map(&pair.box, moved, old, flags);
	box_map(&pair.box, mapped + (1ull << 21), new, flags);
	leaf = box_entry(&pair.box, moved, 1);
	upper = box_entry(&pair.box, mapped, 2);
	box_put(&pair.box, old, before); /* data so far, that would do for a table */
	for (int i = 0; i < 2; i++) {
		host = hw_translate(pair.hw[i], moved, HW_WRITE, HW_SUPERVISOR);
		assert_int_equal(page_of(&pair, i, host), old >> PAGE_SHIFT);
	}
	/* The table above has its shadow: nothing but the INVLPG can be what flushes. */
	assert_non_null(hw_translate(pair.hw[0], mapped + (1ull << 21), HW_READ, HW_SUPERVISOR));
	box_guest_write(&pair.box, leaf, new | flags);
	hw_invlpg(pair.hw[0], moved);
	box_guest_write(&pair.box, upper, old | flags);
	host = hw_translate(pair.hw[0], mapped, HW_READ, HW_SUPERVISOR);
	assert_int_equal(page_of(&pair, 0, host), before >> PAGE_SHIFT);
	hw_attend(pair.hw[1]);
	host = hw_translate(pair.hw[1], moved, HW_WRITE, HW_SUPERVISOR);
	found = page_of(&pair, 1, host) << PAGE_SHIFT;
	assert_true(found == old || found == new);
	memcpy(host, &after, sizeof(after));
	hw_attend(pair.hw[1]);
	hw_attend(pair.hw[0]);
	hw_invlpg(pair.hw[0], mapped);
	host = hw_translate(pair.hw[0], mapped, HW_READ, HW_SUPERVISOR);
	assert_int_equal(page_of(&pair, 0, host), (found == old ? after : before) >> PAGE_SHIFT);
	pair_destroy(&pair);
}

/* In brute one vCPU writes a table while another leaves the only tree that it belongs to. */
static void a_write_is_finished_before_another_vcpu_leaves_its_table(void **state)
{
	const uint64_t root = 0x1000 * 700, linked = 0x1000 * 720;
	const uint64_t entry = linked | PTE_P | PTE_W;
	uint64_t upper, first;
	struct brute *brute;
	struct pair pair;
	uint8_t *host;

	pair_create(&pair, UMBRA_MODE_BRUTE);
	brute = pair.box.vmm->shadow->brute;
	first = pair.box.regs.cr3;
	pair.box.regs.cr3 = root;
	upper = box_entry(&pair.box, 0x40000000, 2);
	assert_int_equal(hw_load_cr3(pair.hw[1], root, false), 0);
	assert_true(brute_is_table(brute, upper / PAGE_SIZE));
	host = hw_translate(pair.hw[0], WINDOW + upper, HW_WRITE, HW_SUPERVISOR);
	memcpy(host, &entry, sizeof(entry));
	assert_int_equal(hw_load_cr3(pair.hw[1], first, false), 0);
	assert_false(brute_is_table(brute, upper / PAGE_SIZE));
	assert_false(brute_is_table(brute, linked / PAGE_SIZE));
	hw_attend(pair.hw[0]);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(hw_load_cr3(pair.hw[1], root, false), 0);
		assert_true(brute_is_table(brute, upper / PAGE_SIZE));
		assert_true(brute_is_table(brute, linked / PAGE_SIZE));
		assert_int_equal(hw_load_cr3(pair.hw[1], first, false), 0);
		assert_false(brute_is_table(brute, upper / PAGE_SIZE));
		assert_false(brute_is_table(brute, linked / PAGE_SIZE));
	}
	pair_destroy(&pair);
}

static void a_guest_has_no_more_than_eight_vcpus(void **state)
{
	struct memory memory;
	struct hw *hw[MEMORY_MAX_HW], *more;

	assert_int_equal(memory_create(&memory, RAM_SIZE, false, 1, NULL), 0);
	for (int i = 0; i < MEMORY_MAX_HW; i++)
		assert_int_equal(hw_create(&memory, &umbra_cost_default, processor_at(0), &hw[i]),
				 0);
	assert_int_equal(hw_create(&memory, &umbra_cost_default, processor_at(0), &more), -E2BIG);
	hw_destroy(hw[3]);
	assert_int_equal(hw_create(&memory, &umbra_cost_default, processor_at(0), &hw[3]), 0);
	for (int i = 0; i < MEMORY_MAX_HW; i++)
		hw_destroy(hw[i]);
	assert_int_equal(memory.nr_hw, 0);
	memory_destroy(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_written_by_one_vcpu_calls_for_the_attention_of_all),
		cmocka_unit_test(a_table_found_by_one_vcpu_is_watched_for_all),
		cmocka_unit_test(ept_tables_thrown_away_are_forgotten_by_all),
		cmocka_unit_test(each_vcpu_has_its_own_cr3),
		cmocka_unit_test(a_write_by_an_old_translation_into_a_new_table_is_noticed),
		cmocka_unit_test(a_write_is_finished_before_another_vcpu_leaves_its_table),
		cmocka_unit_test(a_guest_has_no_more_than_eight_vcpus),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
