/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ini/costs_file.h"

/* Reads @text as a file of costs for @processor. */
static int read_text(const char *text, const char *processor, struct umbra_cost_table *table,
		     struct complaints *complaints)
{
	static char path[] = "/tmp/umbra-test-XXXXXX";
	int fd, code;

	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	umbra_cost_table_init(table, processor);
	code = costs_file_read(path, table, complaints);
	unlink(path);
	return code;
}

static void every_row_of_the_cost_table_is_a_key(void **state)
{
	struct umbra_cost_table table;
	struct complaints complaints = {0};
	const uint32_t *cycles = (const uint32_t *)&table.cost;
	char text[4096] = "[general]\n";

	for (size_t row = 0; row < UMBRA_COST_COUNT; row++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s = %zu\n",
			 umbra_cost_rows[row].name, row + 100);
	assert_int_equal(read_text(text, "skylake", &table, &complaints), 0);
	for (size_t row = 0; row < UMBRA_COST_COUNT; row++) {
		assert_int_equal(cycles[row], row + 100);
		assert_int_equal(table.figure[row].line, row + 2);
	}
	assert_int_equal(umbra_cost_table_given(&table), UMBRA_COST_COUNT);
}

static void sections_of_other_processors_change_nothing(void **state)
{
	static const char text[] = "; measured here\n[zen2]\nexit = 9 ; a comment\n"
				   "[general]\nexit = 8\ninvlpg=0\n[skylake]\ninvlpg = 100000000\n";
	struct umbra_cost_table table;
	struct complaints complaints = {0};

	assert_int_equal(read_text(text, "zen2", &table, &complaints), 0);
	assert_int_equal(table.cost.exit, 9);
	assert_int_equal(table.cost.invlpg, 0);
	assert_int_equal(umbra_cost_table_given(&table), 2);
	assert_int_equal(umbra_cost_table_borrowed(&table), UMBRA_COST_COUNT - 2);
	assert_int_equal(read_text(text, "skylake", &table, &complaints), 0);
	assert_int_equal(table.cost.exit, 8);
	assert_int_equal(table.cost.invlpg, 100000000);
	assert_int_equal(umbra_cost_table_borrowed(&table), 0);
}

static void an_empty_file_gives_nothing(void **state)
{
	struct umbra_cost_table table;
	struct complaints complaints = {0};

	assert_int_equal(read_text("", "skylake", &table, &complaints), 0);
	assert_int_equal(umbra_cost_table_given(&table), 0);
	assert_memory_equal(&table.cost, &umbra_cost_default, sizeof(table.cost));
}

/* Also in sections that are for another processor. */
static void what_is_wrong_is_named_with_file_line_key_and_value(void **state)
{
	static const struct {
		const char *text, *place, *why;
	} cases[] = {
		{"[nonsense]\n", "line 1, [nonsense]", "[general] or a processor"},
		{"\n[zen1]\nexit = 1\n", "line 2, [zen1]", "skylake"},
		{"exit = 1\n", "line 1", "section was expected"},
		{"[general\n", "line 1", "']'"},
		{"[general]\nexit\n", "line 2", "key = value"},
		{"[general]\nexits = 1\n", "line 2, [general] exits", "\"1\": unknown key"},
		{"[general]\nEXIT = 1\n", "line 2, [general] EXIT", "unknown key"},
		{"[zen2]\nexit =\n", "line 2, [zen2] exit", "\"\": cycles, 0 to"},
		{"[zen2]\nexit = -1\n", "line 2, [zen2] exit", "\"-1\": cycles, 0 to"},
		{"[general]\nexit = 0x10\n", "line 2, [general] exit", "\"0x10\": cycles"},
		{"[general]\nexit = 1.5\n", "line 2, [general] exit", "\"1.5\": cycles"},
		{"[general]\nexit = 12 34\n", "line 2, [general] exit", "\"12 34\": cycles"},
		{"[general]\nexit = 100000001\n", "line 2, [general] exit", "100000000"},
		{"[general]\nexit = 99999999999999999999\n", "line 2", "100000000"},
		{"[general]\nexit = 1\nexit = 1\n", "line 3, [general] exit", "twice"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct umbra_cost_table table;
		struct complaints complaints = {0};

		if (read_text(cases[i].text, "skylake", &table, &complaints) != -EINVAL)
			fail_msg("accepted: %s", cases[i].text);
		assert_int_equal(complaints.nr, 1);
		if (strncmp(complaints.text[0], table.file, strlen(table.file)) ||
		    !strstr(complaints.text[0], cases[i].place) ||
		    !strstr(complaints.text[0], cases[i].why))
			fail_msg("%s: %s", cases[i].text, complaints.text[0]);
		complaints_free(&complaints);
	}
}

static void a_file_that_cannot_be_read_is_told_apart(void **state)
{
	struct umbra_cost_table table;
	struct complaints complaints = {0};

	umbra_cost_table_init(&table, "skylake");
	assert_int_equal(costs_file_read("/nonexistent/costs", &table, &complaints), -ENOENT);
	assert_string_equal(complaints.text[0], "/nonexistent/costs: No such file or directory");
	complaints_free(&complaints);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_of_the_cost_table_is_a_key),
		cmocka_unit_test(sections_of_other_processors_change_nothing),
		cmocka_unit_test(an_empty_file_gives_nothing),
		cmocka_unit_test(what_is_wrong_is_named_with_file_line_key_and_value),
		cmocka_unit_test(a_file_that_cannot_be_read_is_told_apart),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
