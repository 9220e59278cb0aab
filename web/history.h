/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happened to a guest: in no snapshot, but read from whoever keeps it when somebody asks. From
 * any thread of the server.
 */
#ifndef WEB_HISTORY_H
#define WEB_HISTORY_H

#include <stddef.h>
#include <stdint.h>

struct text;

enum {
	HISTORY_IN_GUEST = 100, /* rows of each kind that a guest's own answer has */
	HISTORY_DEFAULT = 100,  /* rows of an answer that was not told how many */
	HISTORY_MAX = 1000,
};

struct web_history {
	/*
	 * Writes the guest's last @limit rows, oldest first, as an array; @before: of those that
	 * began before that id; 0: of all. 0, or a negative errno: they cannot be read.
	 */
	int (*decisions)(void *context, struct text *out, const char *guest, size_t limit,
			 uint64_t before);
	int (*switches)(void *context, struct text *out, const char *guest, size_t limit);
	void *context;
};

#endif
