/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Single decisions and their records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/policy_sim.h"

#define RECORDS_MAX 2000

struct journal {
	struct policy_decision records[RECORDS_MAX];
	unsigned int nr;
	unsigned int nr_amended;
	struct policy *frozen; /* to be thawed after so many records; NULL: none */
	unsigned int thaw_after;
};

static void keep(void *context, const struct policy_decision *decision, bool amended)
{
	struct journal *journal = context;

	if (amended) {
		assert_true(decision->id >= 1 &&
			    decision->id < journal->records[journal->nr - 1].id);
		assert_true(decision->after.known);
		assert_false(journal->records[decision->id - 1].after.known);
		journal->records[decision->id - 1] = *decision;
		journal->nr_amended++;
		return;
	}
	assert_true(journal->nr < RECORDS_MAX);
	assert_int_equal(decision->id, journal->nr + 1);
	assert_non_null(decision->reason);
	assert_non_null(policy_reason_find(decision->reason));
	journal->records[journal->nr++] = *decision;
	if (journal->frozen && journal->nr == journal->thaw_after)
		policy_set_frozen(journal->frozen, false);
}

/* @frozen: so many intervals at first. */
static struct journal *run_frozen(const struct sim_work *work, double intervals, bool no_model,
				  enum policy_kind kind, unsigned int frozen,
				  struct sim_result *ret_result)
{
	struct sim_phase phase = {work, intervals * SIM_INTERVAL /
						sim_cpi(&umbra_cost_default, UMBRA_MODE_EPT, work)};
	struct sim sim = {umbra_cost_default, no_model, &phase, 1};
	struct journal *journal = calloc(1, sizeof(*journal));
	struct policy *policy;

	assert_non_null(journal);
	assert_int_equal(policy_create(NULL, kind, &policy), 0);
	policy_set_frozen(policy, frozen > 0);
	journal->frozen = policy;
	journal->thaw_after = frozen;
	*ret_result = sim_run(&sim, UMBRA_MODE_EPT, policy, keep, journal);
	policy_destroy(policy);
	return journal;
}

static struct journal *run(const struct sim_work *work, double intervals, bool no_model,
			   enum policy_kind kind, struct sim_result *ret_result)
{
	return run_frozen(work, intervals, no_model, kind, 0, ret_result);
}

static const struct policy_decision *first(const struct journal *journal, enum policy_action action)
{
	for (unsigned int i = 0; i < journal->nr; i++) {
		if (journal->records[i].action == action)
			return &journal->records[i];
	}
	return NULL;
}

static void a_switch_waits_until_the_advantage_outgrows_its_cost(void **state)
{
	struct sim_result result;
	struct journal *journal = run(&sim_tlb_bound, 50, false, POLICY_AUTO, &result);
	const struct policy_decision *d = first(journal, POLICY_SWITCH);

	assert_non_null(d);
	assert_int_equal(d->target, UMBRA_MODE_SHADOW);
	assert_string_equal(d->reason, "cheaper");
	assert_true(d->advantage > d->threshold);
	assert_true(d->id > 1);
	for (uint64_t i = 0; i + 1 < d->id; i++) {
		assert_int_equal(journal->records[i].action, POLICY_STAY);
		assert_true(journal->records[i].advantage <= journal->records[i].threshold);
	}
	assert_int_equal(result.switches, 1);
	free(journal);
}

static void a_switch_is_recorded_with_both_costs_and_what_came_of_it(void **state)
{
	struct sim_result result;
	struct journal *journal = run(&sim_tlb_bound, 50, false, POLICY_AUTO, &result);
	const struct policy_decision *d = first(journal, POLICY_SWITCH);
	double shadow, ept;

	assert_non_null(d);
	assert_true(d->cost[UMBRA_MODE_SHADOW].known && d->cost[UMBRA_MODE_EPT].known);
	assert_false(d->cost[UMBRA_MODE_BARE].known);
	assert_true(d->cost[UMBRA_MODE_SHADOW].cycles < d->cost[UMBRA_MODE_EPT].cycles);
	assert_true(d->inputs[POLICY_INPUT_walks].value > 0);
	shadow = sim_cpi(&umbra_cost_default, UMBRA_MODE_SHADOW, &sim_tlb_bound);
	ept = sim_cpi(&umbra_cost_default, UMBRA_MODE_EPT, &sim_tlb_bound);
	assert_true(d->after.known && d->after.paid);
	/* The first touches of memory are in it. */
	assert_true(d->after.cycles_per_instruction_before > 0.99 * ept);
	assert_true(d->after.cycles_per_instruction_before < 2 * ept);
	/* The refill is set aside, not hidden. */
	assert_true(fabs(d->after.cycles_per_instruction - shadow) < 0.01 * shadow);
	assert_true(fabs(d->after.refill_cycles - 4096.0 * 2800) < 10000);
	free(journal);
}

static void every_decision_but_the_last_gets_its_after(void **state)
{
	struct sim_result result;
	struct journal *journal = run(&sim_tlb_bound, 50, false, POLICY_AUTO, &result);

	for (unsigned int i = 0; i + 1 < journal->nr; i++)
		assert_true(journal->records[i].after.known);
	assert_false(journal->records[journal->nr - 1].after.known);
	assert_int_equal(journal->nr_amended, journal->nr - 1);
	free(journal);
}

static void an_advantage_within_the_hysteresis_moves_nothing(void **state)
{
	struct sim_result result;
	struct journal *journal = run(&sim_even, 300, false, POLICY_AUTO, &result);

	assert_int_equal(result.switches, 0);
	assert_string_equal(journal->records[journal->nr - 1].reason, "hysteresis");
	free(journal);
}

static void pinned_and_advise_never_switch(void **state)
{
	struct sim_result result;
	struct journal *journal = run(&sim_tlb_bound, 50, false, POLICY_PINNED, &result);
	bool advised = false;

	assert_int_equal(result.switches, 0);
	assert_string_equal(journal->records[10].reason, "pinned");
	assert_true(journal->records[10].cost[UMBRA_MODE_SHADOW].known);
	free(journal);

	journal = run(&sim_tlb_bound, 50, false, POLICY_ADVISE, &result);
	assert_int_equal(result.switches, 0);
	for (unsigned int i = 0; i < journal->nr; i++) {
		const struct policy_decision *d = &journal->records[i];

		assert_int_equal(d->action, POLICY_STAY);
		if (d->target == UMBRA_MODE_SHADOW) {
			assert_string_equal(d->reason, "advise");
			advised = true;
		}
	}
	assert_true(advised);
	free(journal);
}

static void frozen_policy_decides_and_never_switches(void **state)
{
	struct sim_result result;
	struct journal *journal = run_frozen(&sim_tlb_bound, 50, false, POLICY_AUTO, 25, &result);
	bool held_back = false;

	for (unsigned int i = 0; i < 25; i++) {
		const struct policy_decision *d = &journal->records[i];

		assert_int_equal(d->action, POLICY_STAY);
		assert_int_equal(d->mode, UMBRA_MODE_EPT);
		if (d->target == UMBRA_MODE_SHADOW) {
			assert_string_equal(d->reason, "frozen");
			held_back = true;
		}
	}
	assert_true(held_back);
	/* Thawed, it does at once what it would have done. */
	assert_int_equal(journal->records[25].action, POLICY_SWITCH);
	assert_int_equal(journal->records[25].target, UMBRA_MODE_SHADOW);
	assert_string_equal(journal->records[25].reason, "cheaper");
	free(journal);
}

/* Walks much, so that shadow looks good from ept, and has costs in shadow that ept does not show.
 */
static struct sim_work trap(void)
{
	struct sim_work work = sim_tlb_bound;

	work.hidden = 0.01;
	return work;
}

static void a_switch_that_made_things_dearer_is_rolled_back(void **state)
{
	struct sim_work work = trap();
	struct sim_result result;
	struct journal *journal = run(&work, 300, true, POLICY_AUTO, &result);
	const struct policy_decision *tried = first(journal, POLICY_SWITCH);
	const struct policy_decision *back = first(journal, POLICY_ROLLBACK);

	assert_non_null(tried);
	assert_string_equal(tried->reason, "probe");
	assert_non_null(back);
	assert_string_equal(back->reason, "did_not_pay");
	assert_int_equal(back->target, UMBRA_MODE_EPT);
	assert_true(back->id - tried->id <= 3);
	assert_true(tried->after.known);
	assert_false(tried->after.paid);
	assert_true(back->after.paid);
	assert_int_equal(result.mode, UMBRA_MODE_EPT);
	free(journal);
}

static void a_mistake_is_not_repeated_over_and_over(void **state)
{
	struct sim_work work = trap();
	struct sim_result result;

	for (int no_model = 0; no_model < 2; no_model++) {
		struct journal *journal = run(&work, 500, no_model, POLICY_AUTO, &result);
		uint64_t last = 0, gap = 0;

		/* Once bitten, the distance between two tries only grows. */
		for (unsigned int i = 0; i < journal->nr; i++) {
			const struct policy_decision *d = &journal->records[i];

			/* What shadow turned out to cost there is held against brute too. */
			assert_int_not_equal(d->target, UMBRA_MODE_BRUTE);
			if (d->action != POLICY_SWITCH || d->target != UMBRA_MODE_SHADOW)
				continue;
			if (last) {
				assert_true(d->id - last >= gap);
				gap = d->id - last;
			}
			last = d->id;
		}
		/* Distances that double: two switches for each power of two in 500. */
		assert_true(result.switches <= 18);
		assert_true(result.rollbacks >= 1);
		free(journal);
	}
}

#define NR(rows) (sizeof(rows) / sizeof((rows)[0]))

static const uint64_t tlb_bound_in_ept[][2] = {
	{POLICY_INPUT_instructions, 3000000},
	{POLICY_INPUT_cycles, 10000000},
	{POLICY_INPUT_walks, 100000},
	{POLICY_INPUT_walk_references_guest, 100000},
	{POLICY_INPUT_walk_references_nested, 100000},
	{POLICY_INPUT_walk_cycles, 4100000},
	{POLICY_INPUT_ept_fills, 1},
};

static void set_all(struct policy_input in[POLICY_INPUT_COUNT], const uint64_t values[][2],
		    unsigned int nr)
{
	memset(in, 0, sizeof(*in) * POLICY_INPUT_COUNT);
	for (int i = 0; i < POLICY_INPUT_COUNT; i++)
		in[i].known = true;
	for (unsigned int i = 0; i < nr; i++)
		in[values[i][0]].value = values[i][1];
}

/* A policy that was fed TLB-bound intervals of ept until it asked for shadow. */
static struct policy *policy_that_switched_to_shadow(uint64_t *time)
{
	struct policy_input in[POLICY_INPUT_COUNT];
	const struct policy_decision *d;
	struct policy *policy;

	assert_int_equal(policy_create(NULL, POLICY_AUTO, &policy), 0);
	set_all(in, tlb_bound_in_ept, NR(tlb_bound_in_ept));
	do {
		d = policy_decide(policy, *time, *time, UMBRA_MODE_EPT, in);
		assert_true(++*time < 20);
	} while (d->action != POLICY_SWITCH);
	return policy;
}

static void a_switch_is_not_judged_while_most_is_refill_but_not_for_ever(void **state)
{
	/* A tenth is work, and dearer than before. */
	static const uint64_t refill[][2] = {
		{POLICY_INPUT_instructions, 250000},   {POLICY_INPUT_cycles, 10000000},
		{POLICY_INPUT_walks, 10000},           {POLICY_INPUT_walk_references_guest, 10000},
		{POLICY_INPUT_walk_cycles, 210000},    {POLICY_INPUT_exits, 3400},
		{POLICY_INPUT_exits_mode, 3400},       {POLICY_INPUT_exit_cycles, 9500000},
		{POLICY_INPUT_refill_cycles, 9000000}, {POLICY_INPUT_shadow_fills, 3400},
	};
	struct policy_input in[POLICY_INPUT_COUNT];
	const struct policy_decision *d;
	struct policy *policy;
	uint64_t time = 1;

	policy = policy_that_switched_to_shadow(&time);
	set_all(in, refill, NR(refill));
	for (int i = 0; i < 3; i++, time++) {
		d = policy_decide(policy, time, time, UMBRA_MODE_SHADOW, in);
		assert_int_equal(d->action, POLICY_STAY);
		assert_string_equal(d->reason, "refill");
		assert_true(d->advantage <= 0);
	}
	/* A guest whose shadow is thrown away again and again would never be done. */
	d = policy_decide(policy, time, time, UMBRA_MODE_SHADOW, in);
	assert_string_not_equal(d->reason, "refill");
	policy_destroy(policy);
}

/* Or two changes of work a few intervals apart would be followed for ever, at any price. */
static void a_rollback_is_not_on_trial(void **state)
{
	/* As many walks, and dearer. */
	static const uint64_t trapped[][2] = {
		{POLICY_INPUT_instructions, 2000000}, {POLICY_INPUT_cycles, 10000000},
		{POLICY_INPUT_walks, 66667},          {POLICY_INPUT_walk_references_guest, 66667},
		{POLICY_INPUT_walk_cycles, 1400000},  {POLICY_INPUT_exits, 5000},
		{POLICY_INPUT_exits_mode, 5000},      {POLICY_INPUT_exit_cycles, 6500000},
	};
	struct policy_input in[POLICY_INPUT_COUNT];
	const struct policy_decision *d;
	struct policy *policy;
	uint64_t time = 1;

	policy = policy_that_switched_to_shadow(&time);
	set_all(in, trapped, NR(trapped));
	d = policy_decide(policy, time, time, UMBRA_MODE_SHADOW, in);
	assert_int_equal(d->action, POLICY_ROLLBACK);
	/* Dearer than it was there and, by the estimate, than shadow would be. */
	set_all(in, tlb_bound_in_ept, NR(tlb_bound_in_ept));
	in[POLICY_INPUT_instructions].value = 1500000;
	in[POLICY_INPUT_walks].value = 50000;
	for (int i = 0; i < 3; i++) {
		time++;
		d = policy_decide(policy, time, time, UMBRA_MODE_EPT, in);
		assert_int_equal(d->action, POLICY_STAY);
	}
	policy_destroy(policy);
}

static void a_mode_changed_by_somebody_else_starts_the_count_over(void **state)
{
	struct policy_input in[POLICY_INPUT_COUNT] = {0};
	const struct policy_decision *d;
	struct policy *policy;

	assert_int_equal(policy_create(NULL, POLICY_AUTO, &policy), 0);
	for (int i = 0; i < POLICY_INPUT_COUNT; i++)
		in[i].known = true;
	in[POLICY_INPUT_instructions].value = 3000000;
	in[POLICY_INPUT_cycles].value = 10000000;
	in[POLICY_INPUT_walks].value = 100000;
	in[POLICY_INPUT_walk_references_guest].value = 100000;
	in[POLICY_INPUT_walk_references_nested].value = 100000;
	in[POLICY_INPUT_walk_cycles].value = 4100000;
	in[POLICY_INPUT_ept_fills].value = 100000;
	d = policy_decide(policy, 1, 1, UMBRA_MODE_EPT, in);
	assert_true(d->advantage >= 0);
	in[POLICY_INPUT_ept_fills].value = 0;
	d = policy_decide(policy, 2, 2, UMBRA_MODE_EPT, in);
	assert_true(d->advantage > 0);
	assert_int_equal(d->action, POLICY_STAY);
	in[POLICY_INPUT_walk_references_nested].value = 0;
	in[POLICY_INPUT_walk_cycles].value = 2100000;
	d = policy_decide(policy, 3, 3, UMBRA_MODE_SHADOW, in);
	assert_int_equal(d->mode, UMBRA_MODE_SHADOW);
	assert_true(d->advantage <= 0);
	assert_int_equal(d->action, POLICY_STAY);
	policy_destroy(policy);
}

static void an_interval_without_instructions_decides_nothing(void **state)
{
	struct policy_input in[POLICY_INPUT_COUNT] = {0};
	struct policy *policy;

	assert_int_equal(policy_create(NULL, POLICY_AUTO, &policy), 0);
	for (int i = 0; i < POLICY_INPUT_COUNT; i++)
		in[i].known = true;
	for (int i = 1; i < 50; i++) {
		const struct policy_decision *d =
			policy_decide(policy, i, 0, i & 8 ? UMBRA_MODE_EPT : UMBRA_MODE_SHADOW, in);

		assert_int_equal(d->action, POLICY_STAY);
		assert_true(isfinite(d->threshold) && isfinite(d->advantage));
		assert_true(isfinite(d->cost[UMBRA_MODE_SHADOW].cycles));
		assert_true(isfinite(d->after.cycles_per_instruction_before));
	}
	policy_destroy(policy);
}

/* --- three modes -------------------------------------------------------------------------- */

/* TLB-bound, with a new address space and one entry of it changed now and then. */
static const struct sim_work spaces = {
	.walks = 0.08,
	.nested = 1.2,
	.cr3_loads = 1e-6,
	.leaf_writes = 2e-6,
	.reads = 6e-6,
	.fills = 2e-6,
	.unsyncs = 2e-6,
	.syncs = 2e-6,
	.pages = 4096,
};

/* Runs @work from @mode where comparing a table costs @sync; the policy knows. */
static struct journal *run_with_sync(const struct sim_work *work, double sync, enum umbra_mode mode,
				     struct sim_result *ret_result)
{
	struct sim_phase phase = {work, 60 * SIM_INTERVAL /
						sim_cpi(&umbra_cost_default, UMBRA_MODE_EPT, work)};
	struct sim sim = {umbra_cost_default, false, &phase, 1};
	struct journal *journal = calloc(1, sizeof(*journal));
	struct policy *policy;

	assert_non_null(journal);
	sim.hardware.shadow_sync = sync;
	assert_int_equal(policy_create(&sim.hardware, POLICY_AUTO, &policy), 0);
	*ret_result = sim_run(&sim, mode, policy, keep, journal);
	policy_destroy(policy);
	return journal;
}

/* Whatever is counted, known or not, and whoever switches: numbers, and a mode that exists. */
static void any_inputs_give_a_decision(void **state)
{
	enum umbra_mode mode = UMBRA_MODE_EPT;
	struct policy *policy;
	uint64_t x = 1;

	assert_int_equal(policy_create(NULL, POLICY_AUTO, &policy), 0);
	for (int round = 1; round < 20000; round++) {
		struct policy_input in[POLICY_INPUT_COUNT] = {0};
		const struct policy_decision *d;

		for (int i = 0; i < POLICY_INPUT_COUNT; i++) {
			x = x * 6364136223846793005 + 1442695040888963407;
			in[i].known = x >> 61;
			/* Of all magnitudes, 0 too. */
			in[i].value = in[i].known ? (x >> 20) % (1ull << (x >> 55) % 40) : 0;
		}
		d = policy_decide(policy, round, round, mode, in);
		assert_non_null(policy_reason_find(d->reason));
		assert_true(isfinite(d->threshold) && isfinite(d->advantage) &&
			    isfinite(d->switch_cost));
		for (int i = 0; i < UMBRA_MODE_COUNT; i++) {
			assert_true(isfinite(d->cost[i].cycles) && d->cost[i].cycles >= 0);
			assert_true(isfinite(d->cost[i].uncertainty));
			assert_true(d->cost[i].uncertainty >= 0);
		}
		assert_true(d->target > UMBRA_MODE_BARE && d->target < UMBRA_MODE_COUNT);
		assert_true((d->action == POLICY_STAY) == (d->target == mode));
		mode = x >> 60 ? d->target : UMBRA_MODE_BRUTE + (x >> 32) % 3;
	}
	policy_destroy(policy);
}

static void every_decision_has_the_costs_of_all_three_modes(void **state)
{
	static const struct sim_work *const works[] = {&sim_tlb_bound, &sim_table_bound, &spaces};

	for (size_t i = 0; i < NR(works); i++) {
		for (enum umbra_mode mode = UMBRA_MODE_BRUTE; mode < UMBRA_MODE_COUNT; mode++) {
			struct sim_result result;
			struct journal *journal = run_with_sync(works[i], 700, mode, &result);

			for (unsigned int k = 0; k < journal->nr; k++) {
				const struct policy_decision *d = &journal->records[k];

				assert_false(d->cost[UMBRA_MODE_BARE].known);
				assert_true(d->cost[UMBRA_MODE_BRUTE].known);
				assert_true(d->cost[UMBRA_MODE_SHADOW].known);
				assert_true(d->cost[UMBRA_MODE_EPT].known);
				assert_true(d->rival != d->mode && d->rival != UMBRA_MODE_BARE);
				if (d->action != POLICY_STAY)
					assert_int_equal(d->target, d->rival);
			}
			free(journal);
		}
	}
}

/* Nothing distinguishes them then: shadow is the one that has less to lose. */
static void shadow_is_preferred_to_brute_where_tables_do_not_change(void **state)
{
	struct sim_result result;
	struct journal *journal = run_with_sync(&sim_tlb_bound, 700, UMBRA_MODE_EPT, &result);
	const struct policy_decision *d = first(journal, POLICY_SWITCH);

	assert_non_null(d);
	assert_true(d->cost[UMBRA_MODE_BRUTE].cycles == d->cost[UMBRA_MODE_SHADOW].cycles);
	assert_int_equal(d->target, UMBRA_MODE_SHADOW);
	assert_int_equal(result.switches, 1);
	free(journal);
}

static void brute_is_left_where_tables_change(void **state)
{
	struct sim_result result;
	struct journal *journal = run_with_sync(&sim_table_bound, 700, UMBRA_MODE_BRUTE, &result);
	const struct policy_decision *d = first(journal, POLICY_SWITCH);

	assert_non_null(d);
	assert_int_equal(d->target, UMBRA_MODE_EPT);
	assert_int_equal(result.mode, UMBRA_MODE_EPT);
	free(journal);
}

/*
 * Where comparing a table costs ever more, brute, which compares none, becomes cheaper than shadow.
 * It is chosen when that is beyond the uncertainty of its estimate, and not before.
 */
static void brute_is_chosen_only_when_it_is_cheaper_beyond_doubt(void **state)
{
	bool doubted = false, chosen = false;

	for (double sync = 1000; sync < 400000; sync *= 1.25) {
		struct sim_result result;
		struct journal *journal = run_with_sync(&spaces, sync, UMBRA_MODE_EPT, &result);
		const struct policy_decision *d = first(journal, POLICY_SWITCH);
		const struct policy_cost *brute, *shadow;

		assert_non_null(d);
		brute = &d->cost[UMBRA_MODE_BRUTE];
		shadow = &d->cost[UMBRA_MODE_SHADOW];
		assert_true(brute->uncertainty > 0);
		if (brute->cycles + brute->uncertainty < shadow->cycles) {
			assert_int_equal(d->target, UMBRA_MODE_BRUTE);
			assert_int_equal(result.mode, UMBRA_MODE_BRUTE);
			chosen = true;
		} else {
			assert_int_equal(d->target, UMBRA_MODE_SHADOW);
			doubted |= brute->cycles < shadow->cycles;
		}
		free(journal);
	}
	assert_true(doubted);
	assert_true(chosen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_switch_waits_until_the_advantage_outgrows_its_cost),
		cmocka_unit_test(a_switch_is_recorded_with_both_costs_and_what_came_of_it),
		cmocka_unit_test(every_decision_but_the_last_gets_its_after),
		cmocka_unit_test(an_advantage_within_the_hysteresis_moves_nothing),
		cmocka_unit_test(pinned_and_advise_never_switch),
		cmocka_unit_test(frozen_policy_decides_and_never_switches),
		cmocka_unit_test(a_switch_that_made_things_dearer_is_rolled_back),
		cmocka_unit_test(a_mistake_is_not_repeated_over_and_over),
		cmocka_unit_test(a_switch_is_not_judged_while_most_is_refill_but_not_for_ever),
		cmocka_unit_test(a_rollback_is_not_on_trial),
		cmocka_unit_test(a_mode_changed_by_somebody_else_starts_the_count_over),
		cmocka_unit_test(an_interval_without_instructions_decides_nothing),
		cmocka_unit_test(any_inputs_give_a_decision),
		cmocka_unit_test(every_decision_has_the_costs_of_all_three_modes),
		cmocka_unit_test(shadow_is_preferred_to_brute_where_tables_do_not_change),
		cmocka_unit_test(brute_is_left_where_tables_change),
		cmocka_unit_test(brute_is_chosen_only_when_it_is_cheaper_beyond_doubt),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
