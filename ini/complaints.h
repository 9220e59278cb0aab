/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is wrong with what was read, in words for its author: all of it, not the first thing only.
 */
#ifndef INI_COMPLAINTS_H
#define INI_COMPLAINTS_H

#include <stdbool.h>
#include <stddef.h>

enum { COMPLAINTS_MAX = 20 };

/* Zeroed: none. */
struct complaints {
	char *text[COMPLAINTS_MAX]; /* a line each: place, value, what was expected */
	size_t nr;
	int code; /* of the first one, a negative errno; 0: there is none */
};

/* Adds one, unless there are so many already; @code is a negative errno. Returns @code. */
int complain(struct complaints *complaints, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Whether no more are taken, so that whoever looks for them may stop. */
bool complaints_full(const struct complaints *complaints);
/* Frees the texts; there are none then. */
void complaints_free(struct complaints *complaints);

#endif
