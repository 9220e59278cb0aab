/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy on the real guests: what auto costs against both static modes, with the cost table as
 * it is and with each row of it halved and doubled.
 *
 * UMBRA_GUESTS names the directory of the guests (default: guests). With UMBRA_FULL set, all
 * lengths of phases, seeds and rows of the cost table are run, for some twenty minutes; with
 * --costs the changed cost tables alone.
 *
 * Also a tool: test_policy_guests GUEST APPEND [INTERVAL [ROW FACTOR [both|policy]]] prints one
 * race, with VERBOSE in the environment each decision of auto too (those of earlier intervals once
 * more when it is known what came of them), with NO_MODEL as without what only a model sees.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cost/cost.h"
#include "policy/pilot.h"
#include "shipped_guest.h"
#include "umbra/guest.h"

#define MEMORY   (128ull << 20)
#define INTERVAL 10000000ull

/* What phases with 4096 pages does in an interval, in the mode that suits the phase. */
#define UPDATES_AN_INTERVAL  263000
#define MAPPINGS_AN_INTERVAL 15440

#define NR_COSTS             (sizeof(struct umbra_cost) / sizeof(uint32_t))

struct race {
	const char *guest, *append;
	uint64_t interval;
	unsigned int cpus; /* 0: one */
	enum umbra_clock clock;
	const struct umbra_cost *hardware, *believed;
	bool no_model;
	void (*decision)(void *context, const struct policy_decision *decision);
};

struct outcome {
	uint64_t cycles, instructions, switches;
	uint64_t charges[NR_COSTS]; /* of each row of the cost table, in a static mode */
	enum umbra_mode mode;
};

struct outcomes {
	struct outcome shadow, ept, automatic;
	uint64_t best;
};

/* How often each row of the table is charged, in costs.def's order. */
static void count_charges(const struct umbra_counters *c, enum umbra_mode mode,
			  uint64_t ret_charges[NR_COSTS])
{
	uint64_t exits = 0, l2 = 0;

	for (int i = 0; i < UMBRA_EXIT_REASON_COUNT; i++)
		exits += c->exits[i];
	for (int i = 0; i < UMBRA_ACCESS_COUNT; i++)
		l2 += c->tlb_hits_l2[i];

	const struct {
		const char *row;
		uint64_t charges;
	} table[] = {
		{"tlb_l2_hit", l2},
		{"walk_reference", c->walk_references_guest[0] + c->walk_references_nested[0] +
					   c->walk_references_ad[0]},
		{"walk_cache_hit", c->walk_cache_hits[0]},
		{"invlpg", c->guest_invlpgs[0]},
		/* Where it exits, the VMM loads the register. */
		{"cr3_load", mode == UMBRA_MODE_EPT ? c->guest_cr3_loads[0] : 0},
		{"cr3_load_keep", 0}, /* these guests have no PCIDs */
		{"exit", exits},
		{"shadow_fill", c->shadow_fills[0]},
		{"table_write", c->shadow_table_writes[0]},
		{"table_read", c->shadow_table_reads[0]},
		{"locate_table", c->shadow_tables_located[0]},
		{"ept_violation", c->exits[UMBRA_EXIT_ept_violation]},
		{"reflect_fault", c->shadow_reflected[0]},
		{"shadow_unsync", c->shadow_unsyncs[0]},
		{"shadow_sync", c->shadow_syncs[0]},
		{"remote_flush", c->shadow_remote_flushes[0]},
		{"shadow_teardown", c->shadow_reclaims[0]},
		{"switch_pause", 0},
	};

	_Static_assert(sizeof(table) / sizeof(table[0]) == NR_COSTS, "every cost has a row");
	for (size_t i = 0; i < NR_COSTS; i++) {
		assert_string_equal(table[i].row, umbra_cost_rows[i].name);
		ret_charges[i] = table[i].charges;
	}
}

static void print_decision(void *context, const struct policy_decision *d)
{
	printf("%llu %s %s: %s, brute %.2fM, shadow %.2fM, ept %.2fM, advantage %.2fM of %.2fM, "
	       "refill %.1fM, "
	       "%llu walks; cycles an instruction %.3f, then %.3f\n",
	       (unsigned long long)d->id, umbra_mode_name(d->mode), policy_action_name(d->action),
	       d->reason, d->cost[UMBRA_MODE_BRUTE].cycles / 1e6,
	       d->cost[UMBRA_MODE_SHADOW].cycles / 1e6, d->cost[UMBRA_MODE_EPT].cycles / 1e6,
	       d->advantage / 1e6, d->threshold / 1e6,
	       d->inputs[POLICY_INPUT_refill_cycles].value / 1e6,
	       (unsigned long long)d->inputs[POLICY_INPUT_walks].value,
	       d->after.cycles_per_instruction_before,
	       d->after.known ? d->after.cycles_per_instruction : 0);
}

static struct outcome run(const struct race *race, enum umbra_mode mode, enum policy_kind kind)
{
	struct umbra_counters *counters = aligned_alloc(64, sizeof(*counters));
	struct umbra_guest_config config = {
		.name = race->guest,
		.mode = mode,
		.memory = MEMORY,
		.cpus = race->cpus,
		.clock = race->clock,
		.interval = race->interval,
		.cost = race->hardware,
	};
	struct pilot_config pilot_config = {.kind = kind,
					    .cost = race->believed,
					    .no_model = race->no_model,
					    .decision = race->decision};
	struct umbra_image image = {.name = race->guest, .append = race->append};
	const struct umbra_counters *c;
	struct umbra_guest *guest;
	struct outcome outcome;
	struct pilot *pilot;
	void *data;

	assert_non_null(counters);
	memset(counters, 0, sizeof(*counters));
	data = shipped_guest(race->guest, &image.size);
	image.data = data;
	assert_int_equal(umbra_guest_create(&config, counters, &guest, NULL), 0);
	assert_int_equal(umbra_guest_load(guest, &image, NULL), 0);
	assert_int_equal(pilot_create(guest, &pilot_config, &pilot, NULL), 0);
	while (pilot_run(pilot, UINT64_MAX) != UMBRA_EVENT_ENDED)
		;
	assert_int_equal(umbra_guest_end(guest)->reason, UMBRA_END_DEBUG_EXIT);
	assert_int_equal(umbra_guest_end(guest)->value, 0);
	c = umbra_guest_counters(guest);
	outcome = (struct outcome){.cycles = c->cycles[0],
				   .instructions = c->instructions[0],
				   .switches = pilot_nr_switches(pilot),
				   .mode = umbra_guest_mode(guest)};
	count_charges(c, mode, outcome.charges);
	pilot_destroy(pilot);
	umbra_guest_destroy(guest);
	free(data);
	free(counters);
	return outcome;
}

/* The static modes; what the policy believes does not matter to them. */
static struct outcomes run_static(const struct race *race)
{
	struct outcomes o;

	o.shadow = run(race, UMBRA_MODE_SHADOW, POLICY_PINNED);
	o.ept = run(race, UMBRA_MODE_EPT, POLICY_PINNED);
	o.best = o.shadow.cycles < o.ept.cycles ? o.shadow.cycles : o.ept.cycles;
	return o;
}

static void run_automatic(const struct race *race, struct outcomes *o)
{
	o->automatic = run(race, UMBRA_MODE_EPT, POLICY_AUTO);
}

static struct outcomes run_race(const struct race *race)
{
	struct outcomes o = run_static(race);

	run_automatic(race, &o);
	return o;
}

static double against_best(const struct outcomes *o)
{
	return (double)o->automatic.cycles / o->best;
}

static void print_race(const struct race *race, const struct outcomes *o)
{
	print_message("%s %s: shadow %.1fM, ept %.1fM, auto %.1fM (%+.1f%%), %llu switches\n",
		      race->guest, race->append, o->shadow.cycles / 1e6, o->ept.cycles / 1e6,
		      o->automatic.cycles / 1e6, 100 * (against_best(o) - 1),
		      (unsigned long long)o->automatic.switches);
}

static void phases_append(char *append, size_t size, double length, unsigned int rounds,
			  unsigned int seed)
{
	snprintf(append, size, "pages=4096 phases=%u tlb=%.0f table=%.0f seed=%u", rounds,
		 length * UPDATES_AN_INTERVAL, length * MAPPINGS_AN_INTERVAL, seed);
}

/* Under sanitizers, which slow a guest ten times, the short form must do. */
static bool full(void)
{
#ifdef __SANITIZE_ADDRESS__
	return false;
#else
	const char *value = getenv("UMBRA_FULL");

	return value && *value;
#endif
}

/* --- tests -------------------------------------------------------------------------------- */

/* Guests that stay as they are, and the mode that is the cheaper one. */
static const struct {
	const char *guest, *quick; /* what makes it short; its own size otherwise */
	enum umbra_mode better;
} steady[] = {
	{"gups", "pages=4096 rounds=32", UMBRA_MODE_SHADOW},
	{"chase", "pages=2048 rounds=400", UMBRA_MODE_SHADOW},
	{"churn", "rounds=150", UMBRA_MODE_EPT},
	{"switcher", "rounds=500", UMBRA_MODE_EPT},
};

#define NR_STEADY (sizeof(steady) / sizeof(steady[0]))

static void steady_guests_cost_at_most_a_twentieth_more_than_in_the_better_mode(void **state)
{
	for (size_t i = 0; i < NR_STEADY; i++) {
		struct race race = {.guest = steady[i].guest,
				    .append = full() ? "" : steady[i].quick,
				    .interval = INTERVAL};
		struct outcomes o = run_race(&race);

		print_race(&race, &o);
		if (steady[i].better == UMBRA_MODE_SHADOW)
			assert_true(o.shadow.cycles < o.ept.cycles);
		else
			assert_true(o.ept.cycles < o.shadow.cycles);
		assert_true(against_best(&o) < 1.05);
		assert_int_equal(o.automatic.mode, steady[i].better);
		assert_true(o.automatic.switches <= 1);

		/* Less surely, but rightly, without what only a model sees. */
		race.no_model = true;
		run_automatic(&race, &o);
		print_race(&race, &o);
		assert_true(against_best(&o) < 1.10);
		assert_int_equal(o.automatic.mode, steady[i].better);
	}
}

/* What the policy sees are sums over the vCPUs, which make each other flush in shadow. */
static void several_vcpus_cost_at_most_a_twentieth_more_than_in_the_better_mode(void **state)
{
	static const struct race races[] = {
		{.guest = "gups", .append = "pages=4096 rounds=16", .cpus = 4},
		{.guest = "churn", .append = "rounds=30", .cpus = 4},
		{.guest = "switcher", .append = "rounds=200", .cpus = 2},
		{.guest = "smp", .append = "rounds=100", .cpus = 4},
	};

	for (size_t i = 0; i < sizeof(races) / sizeof(races[0]); i++) {
		struct race race = races[i];
		struct outcomes o;

		race.interval = INTERVAL;
		o = run_static(&race);
		for (int k = 0; k < 2; k++) {
			race.no_model = k;
			run_automatic(&race, &o);
			print_race(&race, &o);
			assert_true(against_best(&o) < 1.05);
		}
	}
}

static void race_phases(double length, unsigned int phases, unsigned int seed, double limit)
{
	char append[128];
	struct race race = {.guest = "phases", .append = append, .interval = INTERVAL};
	struct outcomes o;

	phases_append(append, sizeof(append), length, phases, seed);
	o = run_race(&race);
	print_race(&race, &o);
	assert_true(against_best(&o) < limit);
}

static void long_phases_beat_both_static_modes(void **state)
{
	if (!full()) {
		race_phases(20, 3, 1, 1);
		return;
	}
	for (unsigned int seed = 1; seed <= 3; seed++) {
		race_phases(20, 4, seed, 1);
		race_phases(50, 4, seed, 1);
		race_phases(200, 2, seed, 1);
	}
}

static void phases_of_one_interval_cost_at_most_a_tenth_more(void **state)
{
	for (unsigned int seed = 1; seed <= (full() ? 3 : 1); seed++)
		race_phases(1, full() ? 60 : 24, seed, 1.10);
}

/* --- changed cost tables ------------------------------------------------------------------ */

/* The races that every cost table must win, with how much auto may cost of the better mode. */
struct course {
	const char *guest, *append;
	double length; /* of phases, if that is the guest */
	unsigned int phases;
	double limit;
};

static const struct course courses[] = {
	{"churn", "rounds=150", 0, 0, 1.05},
	{"switcher", "rounds=500", 0, 0, 1.05},
	{"gups", "pages=4096 rounds=32", 0, 0, 1.05},
	{"chase", "pages=2048 rounds=600", 0, 0, 1.05},
	{"phases", NULL, 1, 24, 1.10},
	{"phases", NULL, 20, 3, 1},
};

#define NR_COURSES (sizeof(courses) / sizeof(courses[0]))

/*
 * What @outcome, of a static mode under the usual costs, would have been with row @i costing
 * @cost. Time is cycles and these guests do not look at it: costs change nothing but the sum.
 */
static struct outcome reprice(const struct outcome *outcome, size_t i, uint32_t cost)
{
	struct outcome o = *outcome;

	o.cycles += o.charges[i] * ((int64_t)cost - umbra_cost_rows[i].cycles);
	return o;
}

static struct outcomes reprice_static(const struct outcomes *usual, size_t i, uint32_t cost)
{
	struct outcomes o = *usual;

	o.shadow = reprice(&usual->shadow, i, cost);
	o.ept = reprice(&usual->ept, i, cost);
	o.best = o.shadow.cycles < o.ept.cycles ? o.shadow.cycles : o.ept.cycles;
	return o;
}

/* Only a switch is charged these. */
static bool is_cost_of_switch(const char *row)
{
	return !strcmp(row, "shadow_teardown") || !strcmp(row, "switch_pause");
}

/* Also when several vCPUs make each other flush: their turns are by instructions then. */
static void static_modes_cost_what_their_charges_sum_up_to(void **state)
{
	static const struct race races[] = {
		{.guest = "churn", .append = "rounds=5"},
		{.guest = "switcher", .append = "rounds=20"},
		{.guest = "churn",
		 .append = "rounds=5",
		 .cpus = 3,
		 .clock = UMBRA_CLOCK_INSTRUCTIONS},
		{.guest = "forker",
		 .append = "rounds=1",
		 .cpus = 2,
		 .clock = UMBRA_CLOCK_INSTRUCTIONS},
	};
	bool charged[NR_COSTS] = {false};
	struct umbra_cost cost;
	uint32_t *rows = (uint32_t *)&cost;

	for (size_t i = 0; i < NR_COSTS; i++)
		rows[i] = 3 * umbra_cost_rows[i].cycles + 17 * i;
	for (size_t k = 0; k < sizeof(races) / sizeof(races[0]); k++) {
		for (enum umbra_mode mode = UMBRA_MODE_BRUTE; mode < UMBRA_MODE_COUNT; mode++) {
			struct race race = races[k];
			struct outcome usual = run(&race, mode, POLICY_PINNED), changed;

			for (size_t i = 0; i < NR_COSTS; i++) {
				usual = reprice(&usual, i, rows[i]);
				charged[i] |= usual.charges[i] > 0;
			}
			race.hardware = &cost;
			changed = run(&race, mode, POLICY_PINNED);
			assert_int_equal(changed.cycles, usual.cycles);
		}
	}
	for (size_t i = 0; i < NR_COSTS; i++) {
		const char *name = umbra_cost_rows[i].name;

		/* None of them has PCIDs. */
		if (!charged[i] && !is_cost_of_switch(name) && strcmp(name, "cr3_load_keep"))
			fail_msg("%s was never charged", name);
	}
}

static bool holds(const struct course *course, const struct race *race, const struct outcomes *o,
		  const char *row, double factor, const char *whose)
{
	bool ok = against_best(o) < course->limit;

	print_message("%s %s times %g (%s): ", ok ? "holds" : "FAILS", row, factor, whose);
	print_race(race, o);
	return ok;
}

/* Returns how many races are lost. */
static unsigned int race_costs(const struct course *course, const struct outcomes *usual,
			       const struct race *usual_race, size_t row)
{
	static const double factors[] = {0.5, 2};
	const char *name = umbra_cost_rows[row].name;
	unsigned int lost = 0;

	for (int k = 0; k < 2; k++) {
		struct umbra_cost changed = umbra_cost_default;
		uint32_t *cost = umbra_cost_find(&changed, name);
		struct race race = *usual_race;
		struct outcomes o = *usual;

		*cost = lround(*cost * factors[k]);
		/* The policy alone is wrong about the machine ... */
		race.believed = &changed;
		run_automatic(&race, &o);
		lost += !holds(course, &race, &o, name, factors[k], "policy");
		/* ... or the machine is another one, and the policy knows. */
		if (!usual->shadow.charges[row] && !usual->ept.charges[row] &&
		    !is_cost_of_switch(name))
			continue;
		race.hardware = &changed;
		o = reprice_static(usual, row, *cost);
		run_automatic(&race, &o);
		lost += !holds(course, &race, &o, name, factors[k], "both");
	}
	return lost;
}

static const char *only_guest; /* of the courses; NULL: all */

/* Returns how many races are lost. */
static unsigned int race_cost_tables(const struct course *course, const char *const rows[])
{
	char append[128];
	struct race race = {.guest = course->guest, .append = course->append, .interval = INTERVAL};
	struct outcomes usual;
	unsigned int lost = 0;

	if (course->length > 0) {
		phases_append(append, sizeof(append), course->length, course->phases, 1);
		race.append = append;
	}
	usual = run_static(&race);
	for (size_t i = 0; i < NR_COSTS; i++) {
		bool chosen = !rows;

		for (size_t k = 0; rows && rows[k]; k++)
			chosen |= !strcmp(rows[k], umbra_cost_rows[i].name);
		if (chosen)
			lost += race_costs(course, &usual, &race, i);
	}
	return lost;
}

static void any_cost_halved_or_doubled_changes_none_of_this(void **state)
{
	unsigned int lost = 0;

	for (size_t i = 0; i < NR_COURSES; i++) {
		if (!only_guest || !strcmp(only_guest, courses[i].guest))
			lost += race_cost_tables(&courses[i], NULL);
	}
	assert_int_equal(lost, 0);
}

/* The rows that weigh most, on the guests that run shortest. */
static void costs_that_weigh_most_halved_or_doubled_change_none_of_this(void **state)
{
	static const char *const rows[] = {"walk_reference", "exit", "shadow_fill", "switch_pause",
					   NULL};
	static const struct course gups = {"gups", "pages=2048 rounds=40 updates=16384", 0, 0,
					   1.05};

	unsigned int lost = 0;

	lost += race_cost_tables(&courses[0], rows);
	lost += race_cost_tables(&courses[1], rows);
	lost += race_cost_tables(&gups, rows);
	assert_int_equal(lost, 0);
}

static int tool(int argc, char **argv)
{
	struct umbra_cost changed = umbra_cost_default;
	struct race race = {.guest = argv[1],
			    .append = argv[2],
			    .interval = INTERVAL,
			    .no_model = getenv("NO_MODEL")};
	struct outcomes o;

	if (argc > 3)
		race.interval = strtoull(argv[3], NULL, 10);
	if (argc > 5) {
		uint32_t *row = umbra_cost_find(&changed, argv[4]);

		if (!row)
			return 1;
		*row = lround(*row * atof(argv[5]));
		race.believed = &changed;
		if (argc > 6 && !strcmp(argv[6], "both"))
			race.hardware = &changed;
	}
	o = run_static(&race);
	race.decision = getenv("VERBOSE") ? print_decision : NULL;
	run_automatic(&race, &o);
	print_race(&race, &o);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest quick[] = {
		cmocka_unit_test(
			steady_guests_cost_at_most_a_twentieth_more_than_in_the_better_mode),
		cmocka_unit_test(
			several_vcpus_cost_at_most_a_twentieth_more_than_in_the_better_mode),
		cmocka_unit_test(long_phases_beat_both_static_modes),
		cmocka_unit_test(phases_of_one_interval_cost_at_most_a_tenth_more),
		cmocka_unit_test(static_modes_cost_what_their_charges_sum_up_to),
		cmocka_unit_test(costs_that_weigh_most_halved_or_doubled_change_none_of_this),
	};
	const struct CMUnitTest all[] = {
		cmocka_unit_test(
			steady_guests_cost_at_most_a_twentieth_more_than_in_the_better_mode),
		cmocka_unit_test(
			several_vcpus_cost_at_most_a_twentieth_more_than_in_the_better_mode),
		cmocka_unit_test(long_phases_beat_both_static_modes),
		cmocka_unit_test(phases_of_one_interval_cost_at_most_a_tenth_more),
		cmocka_unit_test(static_modes_cost_what_their_charges_sum_up_to),
		cmocka_unit_test(any_cost_halved_or_doubled_changes_none_of_this),
	};
	const struct CMUnitTest costs[] = {
		cmocka_unit_test(any_cost_halved_or_doubled_changes_none_of_this),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (argc > 1 && !strcmp(argv[1], "--costs")) {
		only_guest = argv[2];
		return cmocka_run_group_tests(costs, NULL, NULL);
	}
	if (argc > 2)
		return tool(argc, argv);
	if (full())
		return cmocka_run_group_tests(all, NULL, NULL);
	return cmocka_run_group_tests(quick, NULL, NULL);
}
