/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The policy against both static modes on work that changes, and with a wrong cost table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "tests/unit/policy_sim.h"

#define PHASES_MAX 400

struct race {
	double shadow, ept, best;
	struct sim_result automatic;
};

/* Which table a perturbed row is in. */
enum wrong { POLICY_IS_WRONG, BOTH_ARE_CHANGED };

static struct race race(const struct sim *sim, const struct umbra_cost *believed)
{
	struct race r;
	struct policy *policy;

	assert_int_equal(policy_create(believed, POLICY_AUTO, &policy), 0);
	r.shadow = sim_run(sim, UMBRA_MODE_SHADOW, NULL, NULL, NULL).cycles;
	r.ept = sim_run(sim, UMBRA_MODE_EPT, NULL, NULL, NULL).cycles;
	r.best = fmin(r.shadow, r.ept);
	r.automatic = sim_run(sim, UMBRA_MODE_EPT, policy, NULL, NULL);
	policy_destroy(policy);
	return r;
}

static double work_of(const struct sim_work *work, double intervals)
{
	const struct umbra_cost *c = &umbra_cost_default;

	return intervals * SIM_INTERVAL /
	       fmin(sim_cpi(c, UMBRA_MODE_SHADOW, work), sim_cpi(c, UMBRA_MODE_EPT, work));
}

/* TLB-bound and table-bound by turns, each about @length intervals of the better mode. */
static unsigned int alternate(struct sim_phase *phases, double length, unsigned int seed)
{
	unsigned int nr = fmax(6, ceil(300 / length));

	for (unsigned int i = 0; i < nr; i++) {
		double jitter = 0.75 + 0.5 * rand_r(&seed) / RAND_MAX;

		phases[i].work = i % 2 ? &sim_table_bound : &sim_tlb_bound;
		phases[i].instructions = work_of(phases[i].work, length * jitter);
	}
	return nr;
}

static struct race race_phases(double length, unsigned int seed, bool no_model,
			       const struct umbra_cost *hardware, const struct umbra_cost *believed)
{
	struct sim_phase phases[PHASES_MAX];
	struct sim sim = {.hardware = *hardware, .no_model = no_model, .phases = phases};

	sim.nr_phases = alternate(phases, length, seed);
	return race(&sim, believed);
}

static struct race race_steady(const struct sim_work *work, bool no_model,
			       const struct umbra_cost *hardware, const struct umbra_cost *believed)
{
	struct sim_phase phase = {work, work_of(work, 60)};
	struct sim sim = {
		.hardware = *hardware, .no_model = no_model, .phases = &phase, .nr_phases = 1};

	return race(&sim, believed);
}

static void long_phases_beat_both_static_modes(void **state)
{
	static const double lengths[] = {20, 50, 200};

	for (int no_model = 0; no_model < 2; no_model++) {
		for (int i = 0; i < 3; i++) {
			for (unsigned int seed = 1; seed <= 3; seed++) {
				struct race r = race_phases(lengths[i], seed, no_model,
							    &umbra_cost_default, NULL);

				assert_true(r.automatic.cycles < r.best);
				assert_true(r.automatic.switches >= 2);
			}
		}
	}
}

static void short_phases_cost_at_most_a_tenth_more_than_the_better_mode(void **state)
{
	static const double lengths[] = {1, 2, 3, 5};

	for (int no_model = 0; no_model < 2; no_model++) {
		for (int i = 0; i < 4; i++) {
			for (unsigned int seed = 1; seed <= 3; seed++) {
				struct race r = race_phases(lengths[i], seed, no_model,
							    &umbra_cost_default, NULL);

				assert_true(r.automatic.cycles < r.best * 1.10);
			}
		}
	}
}

static void steady_work_costs_at_most_a_twentieth_more_than_the_better_mode(void **state)
{
	static const struct sim_work *const works[] = {&sim_tlb_bound, &sim_table_bound, &sim_even};

	for (int no_model = 0; no_model < 2; no_model++) {
		for (int i = 0; i < 3; i++) {
			struct race r = race_steady(works[i], no_model, &umbra_cost_default, NULL);

			assert_true(r.automatic.cycles < r.best * 1.05);
			assert_true(r.automatic.switches <= 4);
		}
	}
}

static void perturb(const char *name, double factor, enum wrong wrong)
{
	struct umbra_cost believed = umbra_cost_default, hardware = umbra_cost_default;
	uint32_t *row = umbra_cost_find(&believed, name);

	assert_non_null(row);
	*row = lround(*row * factor);
	if (wrong == BOTH_ARE_CHANGED)
		hardware = believed;
	for (int i = 0; i < 2; i++) {
		struct race r = race_phases(i ? 200 : 20, 1, false, &hardware, &believed);

		assert_true(r.automatic.cycles < r.best);
	}
	assert_true(race_phases(1, 1, false, &hardware, &believed).automatic.cycles <
		    race_phases(1, 1, false, &hardware, &believed).best * 1.10);
	for (int i = 0; i < 2; i++) {
		struct race r = race_steady(i ? &sim_tlb_bound : &sim_table_bound, false, &hardware,
					    &believed);

		assert_true(r.automatic.cycles < r.best * 1.05);
	}
}

static void any_cost_halved_or_doubled_changes_none_of_this(void **state)
{
	for (const struct umbra_cost_row *row = umbra_cost_rows; row->name; row++) {
		for (int wrong = POLICY_IS_WRONG; wrong <= BOTH_ARE_CHANGED; wrong++) {
			perturb(row->name, 0.5, wrong);
			perturb(row->name, 2, wrong);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_phases_beat_both_static_modes),
		cmocka_unit_test(short_phases_cost_at_most_a_tenth_more_than_the_better_mode),
		cmocka_unit_test(steady_work_costs_at_most_a_twentieth_more_than_the_better_mode),
		cmocka_unit_test(any_cost_halved_or_doubled_changes_none_of_this),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
