/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "policy/inputs.h"

/* How a value comes to be known in a mode. */
enum known {
	NOWHERE,
	MODEL,  /* only a simulator sees it */
	COUNTED /* any engine counts it: it is no secret of the hardware, or it exits */
};

#define EVERYWHERE                                                                                 \
	{                                                                                          \
		[0 ... UMBRA_MODE_COUNT - 1] = COUNTED                                             \
	}
/* In brute and shadow it exits. */
#define WHERE_IT_EXITS                                                                             \
	{                                                                                          \
		[UMBRA_MODE_BARE] = MODEL, [UMBRA_MODE_BRUTE] = COUNTED,                           \
		[UMBRA_MODE_SHADOW] = COUNTED, [UMBRA_MODE_EPT] = MODEL                            \
	}
/* The model sees writes to what its walker used as the guest's tables. */
#define WHERE_THE_GUESTS_TABLES_ARE_WALKED                                                         \
	{                                                                                          \
		[UMBRA_MODE_BARE] = MODEL, [UMBRA_MODE_EPT] = MODEL                                \
	}
/* ... while in brute each exits. */
#define WHERE_WRITES_ARE_SEEN                                                                      \
	{                                                                                          \
		[UMBRA_MODE_BARE] = MODEL, [UMBRA_MODE_BRUTE] = COUNTED, [UMBRA_MODE_EPT] = MODEL  \
	}
#define IN_BRUTE                                                                                   \
	{                                                                                          \
		[UMBRA_MODE_BRUTE] = COUNTED                                                       \
	}

/* What stands there for finer counts of the model. */
#define ONLY_OF_VMS_OF_THE_HOST                                                                    \
	{                                                                                          \
		NOWHERE                                                                            \
	}

struct row {
	enum policy_input_id id;
	uint64_t value;
	enum known known[UMBRA_MODE_COUNT];
};

/* The exits that are there for the mode's sake. */
static uint64_t exits_of_mode(const struct umbra_counters *delta, enum umbra_mode mode)
{
	switch (mode) {
	case UMBRA_MODE_BRUTE:
	case UMBRA_MODE_SHADOW:
		return delta->exits[UMBRA_EXIT_page_fault] + delta->exits[UMBRA_EXIT_invlpg] +
		       delta->exits[UMBRA_EXIT_invpcid] + delta->guest_cr3_loads[0];
	case UMBRA_MODE_EPT: return delta->exits[UMBRA_EXIT_ept_violation];
	default: return 0;
	}
}

void policy_inputs_fill(const struct umbra_counters *delta, unsigned int cpus, enum umbra_mode mode,
			bool model, struct policy_input ret_inputs[POLICY_INPUT_COUNT])
{
	/* In brute the VMM carries out every write of a table, and does not ask for its level. */
	uint64_t writes = mode == UMBRA_MODE_BRUTE ? delta->shadow_table_writes[0]
						   : delta->guest_table_writes[0];
	uint64_t exits = 0;

	for (int i = 0; i < UMBRA_EXIT_REASON_COUNT; i++)
		exits += delta->exits[i];

#define SAME(name, known)                                                                          \
	{                                                                                          \
		POLICY_INPUT_##name, delta->name[0], known                                         \
	}
	const struct row rows[] = {
		SAME(instructions, EVERYWHERE),
		SAME(cycles, EVERYWHERE),
		SAME(walks, EVERYWHERE),
		SAME(walk_references_guest, EVERYWHERE),
		SAME(walk_references_nested, EVERYWHERE),
		SAME(walk_cycles, EVERYWHERE),
		{POLICY_INPUT_walk_cycles_nested, 0, ONLY_OF_VMS_OF_THE_HOST},
		{POLICY_INPUT_tlb_flushes, 0, ONLY_OF_VMS_OF_THE_HOST},
		{POLICY_INPUT_exits, exits, EVERYWHERE},
		{POLICY_INPUT_cpus, cpus, EVERYWHERE},
		{POLICY_INPUT_exits_mode, exits_of_mode(delta, mode), EVERYWHERE},
		SAME(exit_cycles, EVERYWHERE),
		{POLICY_INPUT_exit_cycles_mode, 0, ONLY_OF_VMS_OF_THE_HOST},
		SAME(refill_cycles, EVERYWHERE),
		SAME(switch_cycles, EVERYWHERE),
		SAME(shadow_fills, EVERYWHERE),
		SAME(shadow_table_writes, EVERYWHERE),
		SAME(shadow_table_reads, IN_BRUTE),
		SAME(shadow_tables_located, EVERYWHERE),
		SAME(shadow_unsyncs, EVERYWHERE),
		SAME(shadow_syncs, EVERYWHERE),
		SAME(shadow_remote_flushes, EVERYWHERE),
		SAME(shadow_reflected, EVERYWHERE),
		SAME(shadow_pages, EVERYWHERE),
		SAME(ept_fills, EVERYWHERE),
		SAME(guest_page_faults, WHERE_IT_EXITS),
		SAME(guest_cr3_loads, WHERE_IT_EXITS),
		SAME(guest_invlpgs, WHERE_IT_EXITS),
		{POLICY_INPUT_guest_table_writes, writes, WHERE_WRITES_ARE_SEEN},
		SAME(guest_table_writes_upper, WHERE_THE_GUESTS_TABLES_ARE_WALKED),
	};
#undef SAME

	_Static_assert(sizeof(rows) / sizeof(rows[0]) == POLICY_INPUT_COUNT,
		       "every input has a row");
	memset(ret_inputs, 0, sizeof(*ret_inputs) * POLICY_INPUT_COUNT);
	for (int i = 0; i < POLICY_INPUT_COUNT; i++) {
		enum known known = rows[i].known[mode];
		struct policy_input *input = &ret_inputs[rows[i].id];

		input->model_only = known == MODEL;
		input->known = known == COUNTED || (known == MODEL && model);
		if (input->known)
			input->value = rows[i].value;
	}
}
