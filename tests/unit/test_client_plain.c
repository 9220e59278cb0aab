/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/plain.h"

static void assert_plain(const char *text, const char *expected)
{
	char *copy = strdup(text);
	size_t len;

	assert_non_null(copy);
	len = plain_json(copy, strlen(copy));
	if (len != strlen(expected) || memcmp(copy, expected, len))
		fail_msg("%s became %.*s, not %s", text, (int)len, copy, expected);
	free(copy);
}

static void what_steers_a_terminal_becomes_a_question_mark(void **state)
{
	assert_plain("{\"a\":\"\\u001b[31m\"}", "{\"a\":\"?[31m\"}");
	assert_plain("\"a\\nb\\tc\\rd\\be\\ff\"", "\"a?b?c?d?e?f\"");
	assert_plain("\"\\u009b\\u007f\\u0000\"", "\"???\"");
	assert_plain("\"\xc2\x9b\x7f\x1b\"", "\"???\"");
	assert_plain("\"\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8\\u202e\\u061C\"", "\"?????\"");
	/* Keys too. */
	assert_plain("{\"\\u001b\":1}", "{\"?\":1}");
}

static void everything_else_stays(void **state)
{
	static const char *const texts[] = {
		"",
		"{\n\t\"a\": [1, -2.5e3, true, null]\n}",
		"\"\\\"\\\\\\/\"",
		"\"\\\\u001b\"",
		"\"\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80 \\u00fc \\ud83d\\ude00\"",
		"\"\xc2\xa0\"",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_plain(texts[i], texts[i]);
}

static void text_that_ends_early_is_not_read_beyond(void **state)
{
	static const char *const texts[] = {"\"\\", "\"\\u", "\"\\u00", "\"\xc2", "\"\xe2\x80"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		size_t len = strlen(texts[i]);
		char *copy = malloc(len); /* for the address sanitizer: no byte more */

		assert_non_null(copy);
		memcpy(copy, texts[i], len);
		assert_in_range(plain_json(copy, len), 1, len);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_steers_a_terminal_becomes_a_question_mark),
		cmocka_unit_test(everything_else_stays),
		cmocka_unit_test(text_that_ends_early_is_not_read_beyond),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
