/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "cost/cost.h"
#include "umbra/guest.h"

static size_t row_of(const char *name)
{
	struct umbra_cost cost;
	const uint32_t *member = umbra_cost_find(&cost, name);

	assert_non_null(member);
	return member - (const uint32_t *)&cost;
}

static void every_figure_has_its_event_and_its_source(void **state)
{
	size_t rows = 0;

	for (const struct umbra_cost_row *row = umbra_cost_rows; row->name; row++, rows++) {
		assert_true(row->cycles > 0 && row->cycles <= UMBRA_COST_MAX);
		assert_true(strlen(row->event) > 0);
		assert_true(strlen(row->source) > 0);
	}
	assert_int_equal(rows, UMBRA_COST_COUNT);
}

/* The default is Skylake's; every other processor's figures are borrowed until they are known. */
static void all_processors_but_the_default_are_uncalibrated(void **state)
{
	const char *name;
	unsigned others = 0;

	for (unsigned i = 0; (name = umbra_processor_name(i)); i++) {
		struct umbra_cost_table table;

		umbra_cost_table_init(&table, name);
		if (!strcmp(name, umbra_cost_processor)) {
			assert_int_equal(umbra_cost_table_borrowed(&table), 0);
			assert_memory_equal(&table.cost, &umbra_cost_default, sizeof(table.cost));
			continue;
		}
		assert_true(umbra_cost_table_borrowed(&table) > 0);
		others++;
	}
	assert_true(others > 0);
}

static void a_processors_own_figure_replaces_the_default_with_its_source(void **state)
{
	struct umbra_cost_table table;
	const struct umbra_cost_figure *figure = &table.figure[row_of("exit")];

	umbra_cost_table_init(&table, "zen2");
	assert_in_range(table.cost.exit, 1344, 1376);
	assert_int_equal(figure->origin, UMBRA_COST_OF_PROCESSOR);
	assert_non_null(strstr(figure->source, "VMRUN"));
	assert_int_equal(umbra_cost_table_borrowed(&table), UMBRA_COST_COUNT - 1);
	assert_int_equal(table.cost.walk_reference, umbra_cost_default.walk_reference);
	assert_int_equal(umbra_cost_table_given(&table), 0);
}

/* A name that is misspelt would never be found. */
static void every_processor_with_figures_is_one_that_is_modelled(void **state)
{
	static const char *const names[] = {
#define UMBRA_COST_OF(processor, name, cycles, source) #processor,
#include "cost/processors.def"
#undef UMBRA_COST_OF
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		unsigned number;

		assert_int_equal(umbra_processor_parse(names[i], &number, NULL), 0);
	}
}

static void what_is_given_for_one_processor_wins_over_what_is_for_all(void **state)
{
	size_t exit = row_of("exit");
	struct umbra_cost_table table;

	for (int order = 0; order < 2; order++) {
		umbra_cost_table_init(&table, "zen2");
		umbra_cost_table_give(&table, exit, order, order ? 5 : 6, 1);
		umbra_cost_table_give(&table, exit, !order, order ? 6 : 5, 2);
		assert_int_equal(table.cost.exit, 6);
		assert_int_equal(table.figure[exit].origin, UMBRA_COST_OF_ONE);
		assert_int_equal(table.figure[exit].line, order ? 2 : 1);
		assert_null(table.figure[exit].source);
		assert_int_equal(umbra_cost_table_given(&table), 1);
	}
}

static void costs_are_calibrated_when_every_figure_was_given(void **state)
{
	struct umbra_cost_table table;

	umbra_cost_table_init(&table, "zen2");
	for (size_t row = 0; row < UMBRA_COST_COUNT; row++) {
		assert_true(umbra_cost_table_borrowed(&table) > 0);
		umbra_cost_table_give(&table, UMBRA_COST_COUNT - 1 - row, row % 2, 7, 1);
	}
	assert_int_equal(umbra_cost_table_borrowed(&table), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_figure_has_its_event_and_its_source),
		cmocka_unit_test(all_processors_but_the_default_are_uncalibrated),
		cmocka_unit_test(a_processors_own_figure_replaces_the_default_with_its_source),
		cmocka_unit_test(every_processor_with_figures_is_one_that_is_modelled),
		cmocka_unit_test(what_is_given_for_one_processor_wins_over_what_is_for_all),
		cmocka_unit_test(costs_are_calibrated_when_every_figure_was_given),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
