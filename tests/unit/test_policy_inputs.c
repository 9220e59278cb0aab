/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "policy/inputs.h"

static const struct umbra_counters delta = {
	.instructions = {1000},
	.cycles = {5000},
	.walks = {70},
	.exits = {[UMBRA_EXIT_page_fault] = 5,
		  [UMBRA_EXIT_invlpg] = 7,
		  [UMBRA_EXIT_invpcid] = 1,
		  [UMBRA_EXIT_cr_access] = 12,
		  [UMBRA_EXIT_io_instruction] = 100,
		  [UMBRA_EXIT_ept_violation] = 3},
	.guest_cr3_loads = {11},
	.guest_invlpgs = {7},
	.guest_page_faults = {2},
	.guest_table_writes = {40},
	.guest_table_writes_upper = {4},
	.shadow_table_writes = {21},
	.shadow_table_reads = {13},
};

static void every_exit_is_counted_and_those_of_the_mode_apart(void **state)
{
	struct policy_input in[POLICY_INPUT_COUNT];

	policy_inputs_fill(&delta, 3, UMBRA_MODE_SHADOW, true, in);
	assert_int_equal(in[POLICY_INPUT_exits].value, 128);
	assert_int_equal(in[POLICY_INPUT_cpus].value, 3);
	/* The twelfth access to a control register is not to CR3: ept has that exit too. */
	assert_int_equal(in[POLICY_INPUT_exits_mode].value, 5 + 7 + 1 + 11);
	policy_inputs_fill(&delta, 3, UMBRA_MODE_BRUTE, true, in);
	assert_int_equal(in[POLICY_INPUT_exits_mode].value, 5 + 7 + 1 + 11);
	policy_inputs_fill(&delta, 3, UMBRA_MODE_EPT, true, in);
	assert_int_equal(in[POLICY_INPUT_exits_mode].value, 3);
	policy_inputs_fill(&delta, 3, UMBRA_MODE_BARE, true, in);
	assert_int_equal(in[POLICY_INPUT_exits_mode].value, 0);
}

static void what_only_a_model_sees_is_marked_and_unknown_without_one(void **state)
{
	static const enum policy_input_id hidden[] = {
		POLICY_INPUT_guest_page_faults,
		POLICY_INPUT_guest_cr3_loads,
		POLICY_INPUT_guest_invlpgs,
		POLICY_INPUT_guest_table_writes,
		POLICY_INPUT_guest_table_writes_upper,
	};
	struct policy_input with[POLICY_INPUT_COUNT], without[POLICY_INPUT_COUNT];

	policy_inputs_fill(&delta, 3, UMBRA_MODE_EPT, true, with);
	policy_inputs_fill(&delta, 3, UMBRA_MODE_EPT, false, without);
	for (int id = 0; id < POLICY_INPUT_COUNT; id++) {
		bool is_hidden = false;

		for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
			is_hidden |= hidden[i] == (enum policy_input_id)id;
		/*
		 * Reads of tables exit in brute alone; no counter of the hardware tells of them.
		 * The rest is of VMs of the host's KVM: the model has finer counts.
		 */
		assert_int_equal(with[id].known, id != POLICY_INPUT_shadow_table_reads &&
							 id != POLICY_INPUT_walk_cycles_nested &&
							 id != POLICY_INPUT_tlb_flushes &&
							 id != POLICY_INPUT_exit_cycles_mode);
		assert_int_equal(with[id].model_only, is_hidden);
		assert_int_equal(without[id].known, with[id].known && !is_hidden);
		if (is_hidden)
			assert_int_equal(without[id].value, 0);
	}
	assert_int_equal(with[POLICY_INPUT_guest_table_writes].value, 40);
}

static void shadow_sees_its_exits_on_any_engine_and_no_free_table_write(void **state)
{
	struct policy_input in[POLICY_INPUT_COUNT];

	policy_inputs_fill(&delta, 3, UMBRA_MODE_SHADOW, false, in);
	assert_true(in[POLICY_INPUT_guest_cr3_loads].known);
	assert_false(in[POLICY_INPUT_guest_cr3_loads].model_only);
	assert_true(in[POLICY_INPUT_guest_invlpgs].known);
	assert_true(in[POLICY_INPUT_guest_page_faults].known);
	policy_inputs_fill(&delta, 3, UMBRA_MODE_SHADOW, true, in);
	assert_false(in[POLICY_INPUT_guest_table_writes].known);
}

/* Every access to a table exits there. */
static void brute_sees_all_that_the_guest_does_to_its_tables_on_any_engine(void **state)
{
	struct policy_input in[POLICY_INPUT_COUNT];

	policy_inputs_fill(&delta, 3, UMBRA_MODE_BRUTE, false, in);
	assert_true(in[POLICY_INPUT_guest_cr3_loads].known);
	assert_true(in[POLICY_INPUT_guest_invlpgs].known);
	assert_true(in[POLICY_INPUT_guest_page_faults].known);
	assert_true(in[POLICY_INPUT_guest_table_writes].known);
	assert_false(in[POLICY_INPUT_guest_table_writes].model_only);
	assert_int_equal(in[POLICY_INPUT_guest_table_writes].value, 21);
	assert_int_equal(in[POLICY_INPUT_shadow_table_reads].value, 13);
	/* But not of which level the table was. */
	policy_inputs_fill(&delta, 3, UMBRA_MODE_BRUTE, true, in);
	assert_false(in[POLICY_INPUT_guest_table_writes_upper].known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_exit_is_counted_and_those_of_the_mode_apart),
		cmocka_unit_test(what_only_a_model_sees_is_marked_and_unknown_without_one),
		cmocka_unit_test(shadow_sees_its_exits_on_any_engine_and_no_free_table_write),
		cmocka_unit_test(brute_sees_all_that_the_guest_does_to_its_tables_on_any_engine),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
