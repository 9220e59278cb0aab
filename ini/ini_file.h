/* SPDX-License-Identifier: GPL-2.0-or-later */
/* INI files, read strictly: every section and key goes to its reader, nothing is ignored or cut. */
#ifndef INI_INI_FILE_H
#define INI_INI_FILE_H

#include "umbra/error.h"

/* inih cuts longer ones without a word. */
enum { INI_SECTION_MAX = 49, INI_KEY_MAX = 49, INI_LINE_MAX = 198 };

struct ini_reading; /* one file being read */

/* What a reader of such files does with them. It says what is wrong with ini_fail(). */
struct ini_reader {
	/* [@section] begins; also when it is empty. */
	void (*section)(struct ini_reading *reading, void *context, const char *section);
	/* A key, given for the first time in this section of this file. */
	void (*key)(struct ini_reading *reading, void *context, const char *section,
		    const char *key, const char *value);
};

/*
 * Reads @file to its end or to the first mistake. -EINVAL: something in it is wrong, and @ret_error
 * names file, line, section, key and what was expected. Else the errno of what could not be read.
 */
int ini_read(const char *file, const struct ini_reader *reader, void *context,
	     struct umbra_error *ret_error);
/* What is wrong in the present line; @section and @key may be NULL. Only the first one counts. */
void ini_fail(struct ini_reading *reading, const char *section, const char *key, const char *format,
	      ...) __attribute__((format(printf, 4, 5)));
/* The number of the present line, from 1. */
unsigned int ini_line(const struct ini_reading *reading);

#endif
