/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is served at /metrics, and its lines. Include after cmocka.h. */
#ifndef TESTS_UNIT_METRICS_TEXT_H
#define TESTS_UNIT_METRICS_TEXT_H

#include <string.h>

#include "web/encode_metrics.h"

/* The caller frees it. */
static inline char *metrics_text(const struct metrics_view *view, bool open_metrics)
{
	size_t len;
	char *text = web_encode_metrics(view, open_metrics, &len);

	assert_non_null(text);
	assert_int_equal(strlen(text), len);
	return text;
}

/* @line, with its end, is a line of its own. */
static inline void assert_has(const char *text, const char *line)
{
	const char *found = strstr(text, line);

	if (!found || (found != text && found[-1] != '\n'))
		fail_msg("no line: %s", line);
}

#endif
