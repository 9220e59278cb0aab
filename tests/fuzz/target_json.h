/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_FUZZ_TARGET_JSON_H
#define TESTS_FUZZ_TARGET_JSON_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "web/text.h"

/*
 * Takes @text, which must be JSON; else what is wrong is told and the target aborts. Standard error
 * may be closed.
 */
static inline void target_check_json(struct text *text)
{
	size_t size;
	char *string = text_take(text, &size);
	json_error_t error;
	json_t *value = string ? json_loadb(string, size, 0, &error) : NULL;

	if (!value) {
		printf("%s\n%s\n", string ? error.text : "out of memory", string ? string : "");
		fflush(stdout);
		abort();
	}
	json_decref(value);
	free(string);
}

#endif
