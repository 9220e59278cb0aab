/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is read from a request: its target and what it accepts. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "web/accept.h"
#include "web/routes.h"
#include "web/target.h"

static const char *why;

static void parse(const char *text, unsigned int status)
{
	static struct target target;

	why = NULL;
	assert_int_equal(target_parse(text, &target, &why), status);
	assert_int_equal(why != NULL, status != 0);
}

static void path_is_split_before_it_is_decoded(void **state)
{
	static struct target target;

	assert_int_equal(target_parse("/api/v1/a%2Fb/%2e%2e/c?x=%3d%26&y&&z=1=2", &target, &why),
			 0);
	assert_null(target.authority);
	assert_int_equal(target.nr_segments, 5);
	assert_string_equal(target.segments[2], "a/b");
	assert_string_equal(target.segments[3], "..");
	assert_string_equal(target.segments[4], "c");
	assert_int_equal(target.nr_parameters, 3);
	assert_string_equal(target_parameter(&target, "x"), "=&");
	assert_string_equal(target_parameter(&target, "y"), "");
	assert_string_equal(target_parameter(&target, "z"), "1=2");
	assert_null(target_parameter(&target, "w"));
	assert_string_equal(target.path, "/api/v1/a%2Fb/%2e%2e/c");
}

static void absolute_form_has_an_authority(void **state)
{
	static struct target target;

	assert_int_equal(target_parse("HTTP://localhost:8642/a?b=c", &target, &why), 0);
	assert_string_equal(target.authority, "localhost:8642");
	assert_string_equal(target.path, "/a");
	assert_string_equal(target_parameter(&target, "b"), "c");
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(target_parse(i ? "http://h?b=c" : "http://h", &target, &why), 0);
		assert_string_equal(target.authority, "h");
		assert_string_equal(target.path, "/");
		assert_int_equal(target.nr_segments, 1);
		assert_int_equal(target.nr_parameters, i);
	}
}

static void what_is_no_target_is_refused_with_the_reason(void **state)
{
	static const char *const bad[] = {
		"",        "*",   "a",    "https://h/", "/%",    "/%1", "/%zz",    "/a%00b",
		"/?a=%00", "/?%", "/a b", "/\x7f",      "/\xff", "/#a", "/?a=b#c", "host:80"};
	char text[2100];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		parse(bad[i], 400);
	memset(text, 'a', sizeof(text));
	text[0] = '/';
	text[TARGET_LEN_MAX] = '\0';
	parse(text, 0);
	text[TARGET_LEN_MAX] = 'a';
	text[TARGET_LEN_MAX + 1] = '\0';
	parse(text, 414);
	parse("/1/2/3/4/5/6/7/8", 0);
	parse("/1/2/3/4/5/6/7/8/9", 404);
	parse("/?1&2&3&4&5&6&7&8", 0);
	parse("/?1&2&3&4&5&6&7&8&9", 400);
}

/* The route's pattern, or "" where there is none. */
static const char *route_of(const char *text, char id[8])
{
	static struct target target;
	const struct route *route;

	assert_int_equal(target_parse(text, &target, &why), 0);
	route = route_find(&target, id, 8);
	return route ? route->pattern : "";
}

static void route_has_one_segment_for_an_id(void **state)
{
	char id[8];

	assert_string_equal(route_of("/api/v1/guests/a.b-c", id), "/api/v1/guests/{id}");
	assert_string_equal(id, "a.b-c");
	assert_string_equal(route_of("/api/v1/guests/x/mode", id), "/api/v1/guests/{id}/mode");
	assert_string_equal(id, "x");
	assert_string_equal(route_of("/api/v1/guests/a%2Fmode", id), "/api/v1/guests/{id}");
	assert_string_equal(id, "a/mode");
	assert_string_equal(route_of("/%6detrics", id), "/metrics");
	assert_string_equal(id, "");
	assert_string_equal(route_of("/api/v1/guests/", id), "");
	assert_string_equal(route_of("/api/v1/guests/a/b", id), "");
	assert_string_equal(route_of("/api/v1/guests/12345678", id), "");
	assert_string_equal(route_of("/api/v1/guests/%7bid%7d/x", id), "");
	assert_string_equal(route_of("/api/v1/events", id), "");
	assert_string_equal(route_of("//metrics", id), "");
	assert_string_equal(route_of("/metrics/", id), "");
	assert_string_equal(route_of("/", id), "");
}

static void highest_weight_of_the_closest_range_decides_the_media_type(void **state)
{
	static const struct media offers[] = {
		{"text/plain", "0.0.4", "text"},
		{"application/openmetrics-text", "1.0.0", "open"},
	};
	static const struct {
		const char *accept, *expected;
	} cases[] = {
		{NULL, "text"},
		{"", "text"},
		{"*/*", "text"},
		{"text/html", "text"},
		{"application/openmetrics-text", "open"},
		{"application/*", "open"},
		{"text/plain, application/openmetrics-text", "text"},
		{"text/plain;q=0.5,application/openmetrics-text;q=0.75", "open"},
		{"text/plain;q=0.75 , application/openmetrics-text ; q=0.5", "text"},
		{"*/*, text/*;q=0.3", "open"},
		{"*/*;q=0.1,text/plain;q=0", "open"},
		{"APPLICATION/OpenMetrics-Text;Version=1.0.0;charset=utf-8,*/*;q=0.9", "open"},
		{"application/openmetrics-text;version=2.0.0,*/*;q=0.1", "text"},
		{"application/openmetrics-text;q=2", "text"},
		{"application/openmetrics-text;q=0.1234", "text"},
		{"application/openmetrics-text;q=x, text/plain;q=0.1", "text"},
		/* Prometheus 2.42, and older ones. */
		{"application/openmetrics-text;version=1.0.0,"
		 "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,"
		 "*/*;q=0.1",
		 "open"},
		{"application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,"
		 "*/*;q=0.1",
		 "text"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(offers[accept_media(cases[i].accept, offers, 2)].content_type,
				    cases[i].expected);
}

static void coding_is_what_the_weights_say(void **state)
{
	static const struct {
		const char *accept;
		enum coding expected;
	} cases[] = {
		{NULL, CODING_IDENTITY},
		{"", CODING_IDENTITY},
		{"gzip", CODING_GZIP},
		{"x-gzip", CODING_GZIP},
		{"GZip, deflate, br", CODING_GZIP},
		{"deflate, br", CODING_IDENTITY},
		{"gzip;q=0", CODING_IDENTITY},
		{"gzip;q=0.000", CODING_IDENTITY},
		{"gzip;q=0.001", CODING_GZIP},
		{"*", CODING_GZIP},
		{"*;q=0", CODING_NONE},
		{"*;q=0, identity", CODING_IDENTITY},
		{"*;q=0, gzip", CODING_GZIP_ONLY},
		{"identity;q=0, gzip;q=0.5", CODING_GZIP_ONLY},
		{"identity;q=0", CODING_NONE},
		{"gzip;q=0.5, identity;q=0.8", CODING_IDENTITY},
		{"gzip;q=0.8, identity;q=0.5", CODING_GZIP},
		{"gzip;q=0, *", CODING_IDENTITY},
		{"gzip;q=1.1", CODING_IDENTITY},
		{",,;q=1,gzip", CODING_GZIP},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(accept_coding(cases[i].accept), cases[i].expected);
}

static void etag_is_found_in_a_list(void **state)
{
	static const char *const with[] = {"\"ab\"", "W/\"ab\"", "*", "\"x,\\\"y\", \"ab\"",
					   " \"c\" ,\t\"ab\" "};
	static const char *const without[] = {
		"", "ab", "\"a\"", "\"abc\"", "\"AB\"", "\"x, \\\"ab\\\"\"", "w/\"ab\""};

	for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++)
		assert_true(accept_has(with[i], "\"ab\""));
	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
		assert_false(accept_has(without[i], "\"ab\""));
	assert_false(accept_has(NULL, "\"ab\""));
}

static void json_is_told_by_its_media_type(void **state)
{
	assert_true(accept_json("application/json"));
	assert_true(accept_json("Application/JSON; charset=utf-8"));
	assert_false(accept_json("text/plain"));
	assert_false(accept_json("application/jsonx"));
	assert_false(accept_json("application/x-www-form-urlencoded"));
	assert_false(accept_json(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(path_is_split_before_it_is_decoded),
		cmocka_unit_test(absolute_form_has_an_authority),
		cmocka_unit_test(what_is_no_target_is_refused_with_the_reason),
		cmocka_unit_test(route_has_one_segment_for_an_id),
		cmocka_unit_test(highest_weight_of_the_closest_range_decides_the_media_type),
		cmocka_unit_test(coding_is_what_the_weights_say),
		cmocka_unit_test(etag_is_found_in_a_list),
		cmocka_unit_test(json_is_told_by_its_media_type),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
