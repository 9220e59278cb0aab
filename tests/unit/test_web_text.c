/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "web/text.h"

static void assert_text(struct text *text, const char *expected)
{
	size_t len = 0;
	char *string = text_take(text, &len);

	assert_non_null(string);
	assert_int_equal(len, strlen(expected));
	assert_string_equal(string, expected);
	free(string);
}

static void numbers_are_written_as_printf_writes_them(void **state)
{
	uint64_t value = 0;

	for (int digits = 1; digits <= 20; digits++) {
		for (int step = -1; step <= 1; step++) {
			struct text text = {0};
			char expected[32];

			snprintf(expected, sizeof(expected), "%" PRIu64, value + step);
			text_unsigned(&text, value + step);
			assert_text(&text, expected);
		}
		value = value ? value * 10 : 1;
	}
}

static void decimals_are_exact(void **state)
{
	static const struct {
		uint64_t value;
		unsigned int decimals;
		const char *text;
	} cases[] = {
		{0, 9, "0"},
		{1, 9, "0.000000001"},
		{1500000000, 9, "1.5"},
		{256, 9, "0.000000256"},
		{2000000000, 9, "2"},
		{42, 0, "42"},
		{UINT64_MAX, 9, "18446744073.709551615"},
		{UINT64_MAX, 19, "1.8446744073709551615"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text text = {0};

		text_decimal(&text, cases[i].value, cases[i].decimals);
		assert_text(&text, cases[i].text);
	}
}

static void doubles_come_back_with_15_digits(void **state)
{
	static const double values[] = {0,     1,       1e14,  -1,     0.1,       1e15,
					1e300, -2.5e-7, 1.0e3, 1 / 3., 12345.678, 4503599627370496};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct text text = {0};
		json_t *list;
		char *string;
		size_t len;
		double back;

		json_write_open(&text, '[');
		json_write_double(&text, values[i]);
		json_write_close(&text, ']');
		string = text_take(&text, &len);
		list = json_loads(string, 0, NULL);
		assert_non_null(list);
		back = json_number_value(json_array_get(list, 0));
		assert_true(fabs(back - values[i]) <= fabs(values[i]) * 1e-14);
		json_decref(list);
		free(string);
	}
}

static void what_is_no_number_is_null(void **state)
{
	struct text text = {0};

	json_write_open(&text, '[');
	json_write_double(&text, INFINITY);
	json_write_double(&text, NAN);
	json_write_close(&text, ']');
	assert_text(&text, "[null,null]");
}

static void integer_is_one_that_readers_can_hold(void **state)
{
	struct text text = {0};

	json_write_open(&text, '[');
	json_write_unsigned(&text, INT64_MAX);
	json_write_unsigned(&text, UINT64_MAX);
	json_write_close(&text, ']');
	assert_text(&text, "[9223372036854775807,9223372036854775807]");
}

static void commas_stand_between_elements_only(void **state)
{
	struct text text = {0};

	json_write_open(&text, '{');
	json_write_key(&text, "a");
	json_write_open(&text, '[');
	json_write_close(&text, ']');
	json_write_key(&text, "b");
	json_write_open(&text, '[');
	json_write_open(&text, '{');
	json_write_close(&text, '}');
	json_write_text(&text, "{");
	json_write_bool(&text, true);
	json_write_close(&text, ']');
	json_write_key(&text, "c");
	json_write_hex(&text, 0xff);
	json_write_close(&text, '}');
	assert_text(&text, "{\"a\":[],\"b\":[{},\"{\",true],\"c\":\"0xff\"}");
}

/* Each sequence of up to three bytes, which an independent reader judges. */
static void any_bytes_become_valid_json(void **state)
{
	static const unsigned char seconds[] = {'a',  0x7f, 0x80, 0x8f, 0x90,
						0x9f, 0xa0, 0xbf, 0xc0};

	enum { SECONDS = sizeof(seconds) };

	for (int first = 1; first < 256; first++) {
		for (size_t i = 0; i < SECONDS * SECONDS; i++) {
			const char bytes[] = {(char)first, (char)seconds[i / SECONDS],
					      (char)seconds[i % SECONDS], '\0'};
			struct text text = {0};
			json_t *value, *whole;
			char *string;
			size_t len;

			json_write_text(&text, bytes);
			string = text_take(&text, &len);
			value = json_loads(string, JSON_DECODE_ANY, NULL);
			assert_non_null(value);
			whole = json_string(bytes);
			/* What is valid comes back as it was. */
			if (whole)
				assert_string_equal(json_string_value(value), bytes);
			else
				assert_non_null(strchr(json_string_value(value), '?'));
			json_decref(whole);
			json_decref(value);
			free(string);
		}
	}
}

static void text_is_escaped_as_json_wants(void **state)
{
	struct text text = {0};

	json_write_text(&text, "a\"b\\c\n\x01\x7f\xc2\x9b\xc3\xa4\xf0\x9f\x90\xa7\xff\xed\xa0\x80");
	assert_text(&text, "\"a\\\"b\\\\c\\u000a\\u0001\\u007f\\u009b\xc3\xa4\xf0\x9f\x90\xa7"
			   "????\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_written_as_printf_writes_them),
		cmocka_unit_test(decimals_are_exact),
		cmocka_unit_test(doubles_come_back_with_15_digits),
		cmocka_unit_test(what_is_no_number_is_null),
		cmocka_unit_test(integer_is_one_that_readers_can_hold),
		cmocka_unit_test(commas_stand_between_elements_only),
		cmocka_unit_test(any_bytes_become_valid_json),
		cmocka_unit_test(text_is_escaped_as_json_wants),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
