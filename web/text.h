/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text that grows: what the encoders write. Running out of memory sticks: everything written after
 * it is dropped, and text_take() gives NULL. So writers need no checks of their own.
 */
#ifndef WEB_TEXT_H
#define WEB_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

struct text {
	char *data; /* not terminated; NULL: nothing yet */
	size_t len, size;
	bool failed;
};

/* The text as a string of its own, which the caller frees; @text is empty then. NULL: no memory. */
char *text_take(struct text *text, size_t *ret_len);
void text_free(struct text *text);

void text_append_slowly(struct text *text, const char *bytes, size_t len);

/* Here, so that the compiler sees lengths that are constants: nearly all that is written is short.
 */
static inline void text_append(struct text *text, const char *bytes, size_t len)
{
	if (len > text->size - text->len) {
		text_append_slowly(text, bytes, len);
	} else if (len) {
		memcpy(text->data + text->len, bytes, len);
		text->len += len;
	}
}

void text_string(struct text *text, const char *string);
void text_unsigned(struct text *text, uint64_t value);
/* How many bytes the UTF-8 character at @string has; 0: it is none. */
size_t text_utf8_len(const char *string);
/* @value / 10^@decimals, at most 19, exactly: 1500000000 with 9 is "1.5". */
void text_decimal(struct text *text, uint64_t value, unsigned int decimals);
/* With 15 significant digits. A value that is no number becomes @otherwise. */
void text_double(struct text *text, double value, const char *otherwise);

/* The time as of RFC 3339, UTC; @ms: its milliseconds, or -1: none are shown. Returns @buffer. */
enum { TEXT_TIME_SIZE = 48 };
const char *text_time(char buffer[TEXT_TIME_SIZE], time_t seconds, int ms);

/*
 * JSON, written from left to right. A comma is set where one belongs; what is opened must be
 * closed. Keys are our own names and need no escapes.
 */
void json_write_open(struct text *text, char bracket); /* { or [ */
void json_write_close(struct text *text, char bracket);
void json_write_key(struct text *text, const char *key);
/* Values: after a key, or as elements. Text may be any bytes: what is no UTF-8 becomes "?". */
void json_write_text(struct text *text, const char *value);
/* Readers have integers of 64 bits with a sign: what no counter can reach is INT64_MAX. */
static inline uint64_t json_bounded(uint64_t value)
{
	return value < INT64_MAX ? value : INT64_MAX;
}
void json_write_unsigned(struct text *text, uint64_t value);
/* A key with its value. */
void json_write_word(struct text *text, const char *key, const char *value);
void json_write_count(struct text *text, const char *key, uint64_t value);
void json_write_double(struct text *text, double value); /* what is no number: null */
void json_write_bool(struct text *text, bool value);
void json_write_hex(struct text *text, uint64_t value); /* "0x1f" */
/* A literal, or text that is JSON already. */
void json_write_raw(struct text *text, const char *value);

#endif
