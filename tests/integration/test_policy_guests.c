/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy on the real guests: what auto costs against both static modes, with the cost table as
 * it is and with each row of it halved and doubled.
 *
 * UMBRA_GUESTS names the directory of the guests (default: guests). With UMBRA_FULL set the long
 * phases are run too; with --costs the changed cost tables alone, for some twenty minutes.
 *
 * Also a tool: test_policy_guests GUEST APPEND [INTERVAL [ROW FACTOR [both|policy]]] prints one
 * race.
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
#include "umbra/guest.h"

#define MEMORY   (128ull << 20)
#define INTERVAL 10000000ull

/* What an interval of work is in phases with 4096 pages, in ept. */
#define UPDATES_AN_INTERVAL  203000
#define MAPPINGS_AN_INTERVAL 9100

struct race {
	const char *guest, *append;
	uint64_t interval;
	const struct umbra_cost *hardware, *believed;
	bool no_model;
};

struct outcome {
	uint64_t cycles, instructions, switches;
	enum umbra_mode mode;
};

struct outcomes {
	struct outcome shadow, ept, automatic;
	uint64_t best;
};

static void *read_file(const char *guest, size_t *ret_size)
{
	const char *directory = getenv("UMBRA_GUESTS");
	char path[4096];
	char *data;
	FILE *file;
	long size;

	snprintf(path, sizeof(path), "%s/%s.elf", directory ? directory : "guests", guest);
	file = fopen(path, "rb");
	if (!file)
		fail_msg("%s: cannot open it", path);
	assert_int_equal(fseek(file, 0, SEEK_END), 0);
	size = ftell(file);
	rewind(file);
	data = malloc(size);
	assert_non_null(data);
	assert_int_equal(fread(data, 1, size, file), size);
	fclose(file);
	*ret_size = size;
	return data;
}

static struct outcome run(const struct race *race, enum umbra_mode mode, enum policy_kind kind)
{
	struct umbra_counters *counters = aligned_alloc(64, sizeof(*counters));
	struct umbra_guest_config config = {
		.name = race->guest,
		.mode = mode,
		.memory = MEMORY,
		.interval = race->interval,
		.cost = race->hardware,
	};
	struct pilot_config pilot_config = {
		.kind = kind, .cost = race->believed, .no_model = race->no_model};
	struct umbra_image image = {.name = race->guest, .append = race->append};
	const struct umbra_counters *c;
	struct umbra_guest *guest;
	struct outcome outcome;
	struct pilot *pilot;
	void *data;

	assert_non_null(counters);
	memset(counters, 0, sizeof(*counters));
	data = read_file(race->guest, &image.size);
	image.data = data;
	assert_int_equal(umbra_guest_create(&config, counters, &guest, NULL), 0);
	assert_int_equal(umbra_guest_load(guest, &image, NULL), 0);
	assert_int_equal(pilot_create(guest, &pilot_config, &pilot, NULL), 0);
	while (pilot_run(pilot, UINT64_MAX) != UMBRA_EVENT_ENDED)
		;
	assert_int_equal(umbra_guest_end(guest)->reason, UMBRA_END_DEBUG_EXIT);
	assert_int_equal(umbra_guest_end(guest)->value, 0);
	c = umbra_guest_counters(guest);
	outcome = (struct outcome){c->cycles[0], c->instructions[0], pilot_nr_switches(pilot),
				   umbra_guest_mode(guest)};
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

/* --- tests -------------------------------------------------------------------------------- */

/* Guests that stay as they are, and the mode that is the cheaper one. */
static const struct {
	const char *guest, *append;
	enum umbra_mode better;
} steady[] = {
	{"gups", "pages=4096 rounds=32", UMBRA_MODE_SHADOW},
	{"chase", "pages=4096 rounds=400", UMBRA_MODE_SHADOW},
	{"churn", "rounds=150", UMBRA_MODE_EPT},
	{"switcher", "rounds=500", UMBRA_MODE_EPT},
};

#define NR_STEADY (sizeof(steady) / sizeof(steady[0]))

static void steady_guests_cost_at_most_a_twentieth_more_than_in_the_better_mode(void **state)
{
	for (size_t i = 0; i < NR_STEADY; i++) {
		struct race race = {steady[i].guest, steady[i].append, INTERVAL, NULL, NULL, false};
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

static void race_phases(double length, unsigned int phases, unsigned int seed, double limit)
{
	char append[128];
	struct race race = {"phases", append, INTERVAL, NULL, NULL, false};
	struct outcomes o;

	phases_append(append, sizeof(append), length, phases, seed);
	o = run_race(&race);
	print_race(&race, &o);
	assert_true(against_best(&o) < limit);
}

static void long_phases_beat_both_static_modes(void **state)
{
	bool full = getenv("UMBRA_FULL");

	for (unsigned int seed = 1; seed <= (full ? 3 : 1); seed++) {
		race_phases(20, 4, seed, 1);
		if (full) {
			race_phases(50, 4, seed, 1);
			race_phases(200, 4, seed, 1);
		}
	}
}

static void phases_of_one_interval_cost_at_most_a_tenth_more(void **state)
{
	bool full = getenv("UMBRA_FULL");

	for (unsigned int seed = 1; seed <= (full ? 3 : 1); seed++)
		race_phases(1, 60, seed, 1.10);
}

/* The races that every cost table must win, with how much auto may cost of the better mode. */
struct course {
	const char *guest;
	char append[128];
	double limit;
};

#define NR_COURSES (NR_STEADY + 2)

static void lay_out(struct course courses[NR_COURSES])
{
	struct course *course = courses;

	for (size_t i = 0; i < NR_STEADY; i++, course++) {
		course->guest = steady[i].guest;
		snprintf(course->append, sizeof(course->append), "%s", steady[i].append);
		course->limit = 1.05;
	}
	for (int i = 0; i < 2; i++, course++) {
		course->guest = "phases";
		phases_append(course->append, sizeof(course->append), i ? 20 : 1, i ? 4 : 40, 1);
		course->limit = i ? 1 : 1.10;
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

static void any_cost_halved_or_doubled_changes_none_of_this(void **state)
{
	static const double factors[] = {0.5, 2};
	struct course courses[NR_COURSES];
	unsigned int failed = 0;

	lay_out(courses);
	for (size_t i = 0; i < NR_COURSES; i++) {
		struct race race = {
			courses[i].guest, courses[i].append, INTERVAL, NULL, NULL, false};
		struct outcomes usual = run_static(&race), o;

		for (const struct umbra_cost_row *row = umbra_cost_rows; row->name; row++) {
			for (int k = 0; k < 2; k++) {
				struct umbra_cost changed = umbra_cost_default;
				uint32_t *cost = umbra_cost_find(&changed, row->name);

				*cost = lround(*cost * factors[k]);
				/* The policy alone is wrong about the machine ... */
				race.believed = &changed;
				race.hardware = NULL;
				o = usual;
				run_automatic(&race, &o);
				failed += !holds(&courses[i], &race, &o, row->name, factors[k],
						 "policy");
				/* ... or the machine is another one, and the policy knows. */
				race.hardware = &changed;
				o = run_race(&race);
				failed += !holds(&courses[i], &race, &o, row->name, factors[k],
						 "both");
			}
		}
	}
	assert_int_equal(failed, 0);
}

static int tool(int argc, char **argv)
{
	struct umbra_cost changed = umbra_cost_default;
	struct race race = {argv[1], argv[2], INTERVAL, NULL, NULL, getenv("NO_MODEL")};
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
	o = run_race(&race);
	print_race(&race, &o);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			steady_guests_cost_at_most_a_twentieth_more_than_in_the_better_mode),
		cmocka_unit_test(long_phases_beat_both_static_modes),
		cmocka_unit_test(phases_of_one_interval_cost_at_most_a_tenth_more),
	};
	const struct CMUnitTest full[] = {
		cmocka_unit_test(any_cost_halved_or_doubled_changes_none_of_this),
	};

	if (argc > 2)
		return tool(argc, argv);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (argc > 1 && !strcmp(argv[1], "--costs"))
		return cmocka_run_group_tests(full, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
