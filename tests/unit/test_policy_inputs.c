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
		  [UMBRA_EXIT_cr_access] = 12,
		  [UMBRA_EXIT_io_instruction] = 100,
		  [UMBRA_EXIT_ept_violation] = 3},
	.guest_cr3_loads = {11},
	.guest_invlpgs = {7},
	.guest_page_faults = {2},
	.guest_table_writes = {40},
	.guest_table_writes_upper = {4},
};

static void every_exit_is_counted_and_those_of_the_mode_apart(void **state)
{
	struct policy_input in[POLICY_INPUT_COUNT];

	policy_inputs_fill(&delta, UMBRA_MODE_SHADOW, true, in);
	assert_int_equal(in[POLICY_INPUT_exits].value, 127);
	/* The twelfth access to a control register is not to CR3: ept has that exit too. */
	assert_int_equal(in[POLICY_INPUT_exits_mode].value, 5 + 7 + 11);
	policy_inputs_fill(&delta, UMBRA_MODE_EPT, true, in);
	assert_int_equal(in[POLICY_INPUT_exits_mode].value, 3);
	policy_inputs_fill(&delta, UMBRA_MODE_BARE, true, in);
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

	policy_inputs_fill(&delta, UMBRA_MODE_EPT, true, with);
	policy_inputs_fill(&delta, UMBRA_MODE_EPT, false, without);
	for (int id = 0; id < POLICY_INPUT_COUNT; id++) {
		bool is_hidden = false;

		for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
			is_hidden |= hidden[i] == (enum policy_input_id)id;
		assert_true(with[id].known);
		assert_int_equal(with[id].model_only, is_hidden);
		assert_int_equal(without[id].known, !is_hidden);
		if (is_hidden)
			assert_int_equal(without[id].value, 0);
	}
	assert_int_equal(with[POLICY_INPUT_guest_table_writes].value, 40);
}

static void shadow_sees_its_exits_on_any_engine_and_no_free_table_write(void **state)
{
	struct policy_input in[POLICY_INPUT_COUNT];

	policy_inputs_fill(&delta, UMBRA_MODE_SHADOW, false, in);
	assert_true(in[POLICY_INPUT_guest_cr3_loads].known);
	assert_false(in[POLICY_INPUT_guest_cr3_loads].model_only);
	assert_true(in[POLICY_INPUT_guest_invlpgs].known);
	assert_true(in[POLICY_INPUT_guest_page_faults].known);
	policy_inputs_fill(&delta, UMBRA_MODE_SHADOW, true, in);
	assert_false(in[POLICY_INPUT_guest_table_writes].known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_exit_is_counted_and_those_of_the_mode_apart),
		cmocka_unit_test(what_only_a_model_sees_is_marked_and_unknown_without_one),
		cmocka_unit_test(shadow_sees_its_exits_on_any_engine_and_no_free_table_write),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
