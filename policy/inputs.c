/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "policy/inputs.h"

/* Where an input is known. */
enum known {
	ALWAYS,
	MODEL,            /* to a model only, in every mode but shadow */
	MODEL_BUT_SHADOW, /* in shadow everywhere, because it exits there; else to a model only */
};

struct row {
	enum policy_input_id id;
	uint64_t value;
	enum known known;
};

/* The exits that exist because of the mode; the other mode would not have them. */
static uint64_t exits_of_mode(const struct umbra_counters *delta, enum umbra_mode mode)
{
	switch (mode) {
	case UMBRA_MODE_SHADOW:
		return delta->exits[UMBRA_EXIT_page_fault] + delta->exits[UMBRA_EXIT_invlpg] +
		       delta->guest_cr3_loads[0];
	case UMBRA_MODE_EPT: return delta->exits[UMBRA_EXIT_ept_violation];
	default: return 0;
	}
}

void policy_inputs_fill(const struct umbra_counters *delta, enum umbra_mode mode, bool model,
			struct policy_input ret_inputs[POLICY_INPUT_COUNT])
{
	uint64_t exits = 0;

	for (int i = 0; i < UMBRA_EXIT_REASON_COUNT; i++)
		exits += delta->exits[i];

#define SAME(name, known)                                                                          \
	{                                                                                          \
		POLICY_INPUT_##name, delta->name[0], known                                         \
	}
	const struct row rows[] = {
		SAME(instructions, ALWAYS),
		SAME(cycles, ALWAYS),
		SAME(walks, ALWAYS),
		SAME(walk_references_guest, ALWAYS),
		SAME(walk_references_nested, ALWAYS),
		SAME(walk_cycles, ALWAYS),
		{POLICY_INPUT_exits, exits, ALWAYS},
		{POLICY_INPUT_exits_mode, exits_of_mode(delta, mode), ALWAYS},
		SAME(exit_cycles, ALWAYS),
		SAME(refill_cycles, ALWAYS),
		SAME(switch_cycles, ALWAYS),
		SAME(shadow_fills, ALWAYS),
		SAME(shadow_table_writes, ALWAYS),
		SAME(shadow_unsyncs, ALWAYS),
		SAME(shadow_syncs, ALWAYS),
		SAME(shadow_reflected, ALWAYS),
		SAME(shadow_pages, ALWAYS),
		SAME(ept_fills, ALWAYS),
		SAME(guest_page_faults, MODEL_BUT_SHADOW),
		SAME(guest_cr3_loads, MODEL_BUT_SHADOW),
		SAME(guest_invlpgs, MODEL_BUT_SHADOW),
		SAME(guest_table_writes, MODEL),
		SAME(guest_table_writes_upper, MODEL),
	};
#undef SAME
	bool shadow = mode == UMBRA_MODE_SHADOW;

	_Static_assert(sizeof(rows) / sizeof(rows[0]) == POLICY_INPUT_COUNT,
		       "every input has a row");
	memset(ret_inputs, 0, sizeof(*ret_inputs) * POLICY_INPUT_COUNT);
	for (int i = 0; i < POLICY_INPUT_COUNT; i++) {
		const struct row *row = &rows[i];
		struct policy_input *input = &ret_inputs[row->id];

		/* In shadow the writes that do not exit are seen by nobody, not even by the model.
		 */
		input->model_only =
			row->known == MODEL || (row->known == MODEL_BUT_SHADOW && !shadow);
		input->known = row->known == ALWAYS || (row->known == MODEL && model && !shadow) ||
			       (row->known == MODEL_BUT_SHADOW && (model || shadow));
		if (input->known)
			input->value = row->value;
	}
}
