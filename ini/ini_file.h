/* SPDX-License-Identifier: GPL-2.0-or-later */
/* INI files, read strictly: every section and key goes to its reader, nothing is ignored or cut. */
#ifndef INI_INI_FILE_H
#define INI_INI_FILE_H

#include "ini/complaints.h"

enum {
	/* inih cuts longer ones without a word. */
	INI_SECTION_MAX = 49,
	INI_KEY_MAX = 49,
	INI_LINE_MAX = 198,
	INI_FILE_MAX = 16 << 20, /* bytes */
};

struct ini_reading; /* one file being read */

/* What a reader of such files does with them. It says what is wrong with ini_fail(). */
struct ini_reader {
	/* [@section] begins; also when it is empty. If something is wrong with it, its keys are
	 * left out. */
	void (*section)(struct ini_reading *reading, void *context, const char *section);
	/* A key, given for the first time in this section of this file, or it is @repeatable. */
	void (*key)(struct ini_reading *reading, void *context, const char *section,
		    const char *key, const char *value);
	const char *repeatable; /* the key that may stand there again; NULL: none */
};

/*
 * Reads @file to its end, or until @complaints is full. A file that is none (a FIFO, a directory)
 * is refused at once. What is wrong in it is -EINVAL, told with file, line, section, key and what
 * was expected; that it cannot be read is its errno. 0, or the code of the first complaint.
 */
int ini_read(const char *file, const struct ini_reader *reader, void *context,
	     struct complaints *complaints);
/* What is wrong in the present line; @section and @key may be NULL. */
void ini_fail(struct ini_reading *reading, const char *section, const char *key, const char *format,
	      ...) __attribute__((format(printf, 4, 5)));
/* Whether the present key stood in this section of this file before. */
bool ini_again(const struct ini_reading *reading);
/* The number of the present line, from 1. */
unsigned int ini_line(const struct ini_reading *reading);

#endif
