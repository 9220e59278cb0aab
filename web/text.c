/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "web/text.h"

enum { SIZE_FIRST = 1024, DIGITS_MAX = 20 };

/* Room for @more bytes behind the text. NULL: there is none. */
static char *reserve(struct text *text, size_t more)
{
	size_t size = text->size ? text->size : SIZE_FIRST;
	char *data;

	if (text->failed)
		return NULL;
	if (text->size - text->len >= more)
		return text->data + text->len;
	while (size - text->len < more)
		size *= 2;
	data = realloc(text->data, size);
	if (!data) {
		text_free(text);
		text->failed = true;
		return NULL;
	}
	text->data = data;
	text->size = size;
	return data + text->len;
}

char *text_take(struct text *text, size_t *ret_len)
{
	char *end = reserve(text, 1), *data;

	if (!end)
		return NULL;
	*end = '\0';
	*ret_len = text->len;
	/* The slack of the last doubling goes back. */
	data = realloc(text->data, text->len + 1);
	if (!data)
		data = text->data;
	*text = (struct text){0};
	return data;
}

void text_free(struct text *text)
{
	free(text->data);
	*text = (struct text){0};
}

void text_append_slowly(struct text *text, const char *bytes, size_t len)
{
	char *end = reserve(text, len);

	if (!end)
		return;
	memcpy(end, bytes, len);
	text->len += len;
}

void text_string(struct text *text, const char *string)
{
	text_append(text, string, strlen(string));
}

/* Two digits at a time: these numbers are most of what umbrad serves. */
void text_unsigned(struct text *text, uint64_t value)
{
	static const char pairs[] = "00010203040506070809"
				    "10111213141516171819"
				    "20212223242526272829"
				    "30313233343536373839"
				    "40414243444546474849"
				    "50515253545556575859"
				    "60616263646566676869"
				    "70717273747576777879"
				    "80818283848586878889"
				    "90919293949596979899";
	char digits[DIGITS_MAX];
	char *first = digits + sizeof(digits);

	while (value >= 100) {
		first -= 2;
		memcpy(first, pairs + value % 100 * 2, 2);
		value /= 100;
	}
	if (value >= 10) {
		first -= 2;
		memcpy(first, pairs + value * 2, 2);
	} else {
		*--first = (char)('0' + value);
	}
	text_append(text, first, digits + sizeof(digits) - first);
}

void text_decimal(struct text *text, uint64_t value, unsigned int decimals)
{
	uint64_t power = 1, rest;
	char digits[DIGITS_MAX + 1];
	int len;

	for (unsigned int i = 0; i < decimals; i++)
		power *= 10;
	/* Most numbers have none, and dividing is dear. */
	rest = decimals ? value % power : 0;
	text_unsigned(text, decimals ? value / power : value);
	if (!rest)
		return;
	len = snprintf(digits, sizeof(digits), ".%0*" PRIu64, (int)decimals, rest);
	while (digits[len - 1] == '0')
		len--;
	text_append(text, digits, len);
}

void text_double(struct text *text, double value, const char *otherwise)
{
	char digits[32];

	if (!isfinite(value)) {
		text_string(text, otherwise);
	} else if (value >= 0 && value < 1e15 && value == (double)(uint64_t)value) {
		/* Most are whole, and a tenth of the price this way. */
		text_unsigned(text, (uint64_t)value);
		text_append(text, ".0", 2);
	} else {
		snprintf(digits, sizeof(digits), "%.15g", value);
		text_string(text, digits);
	}
}

static void comma(struct text *text)
{
	char last = text->len ? text->data[text->len - 1] : '[';

	if (last != '{' && last != '[' && last != ':')
		text_append(text, ",", 1);
}

void json_write_open(struct text *text, char bracket)
{
	comma(text);
	text_append(text, &bracket, 1);
}

void json_write_close(struct text *text, char bracket)
{
	text_append(text, &bracket, 1);
}

void json_write_key(struct text *text, const char *key)
{
	comma(text);
	text_append(text, "\"", 1);
	text_string(text, key);
	text_append(text, "\":", 2);
}

/* RFC 3629: no surrogates, no overlong forms. */
size_t text_utf8_len(const char *string)
{
	const unsigned char *s = (const unsigned char *)string;
	unsigned int code;
	size_t len;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	code = s[0] & (0x7f >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (len == 3 && (code < 0x800 || (code >= 0xd800 && code < 0xe000)))
		return 0;
	if (len == 4 && (code < 0x10000 || code > 0x10ffff))
		return 0;
	return len;
}

void json_write_text(struct text *text, const char *value)
{
	const unsigned char *s = (const unsigned char *)value;
	char escape[8];

	comma(text);
	text_append(text, "\"", 1);
	while (*s) {
		const unsigned char *plain = s;
		size_t len;

		while (*s >= 0x20 && *s < 0x7f && *s != '"' && *s != '\\')
			s++;
		text_append(text, (const char *)plain, s - plain);
		if (!*s)
			break;
		len = text_utf8_len((const char *)s);
		if (len == 2 && s[0] == 0xc2 && s[1] < 0xa0) { /* C1 controls */
			snprintf(escape, sizeof(escape), "\\u%04x", s[1]);
			text_string(text, escape);
		} else if (len > 1) {
			text_append(text, (const char *)s, len);
		} else if (!len) {
			text_append(text, "?", 1);
			len = 1;
		} else {
			snprintf(escape, sizeof(escape),
				 *s == '"' || *s == '\\' ? "\\%c" : "\\u%04x", *s);
			text_string(text, escape);
		}
		s += len;
	}
	text_append(text, "\"", 1);
}

void json_write_unsigned(struct text *text, uint64_t value)
{
	comma(text);
	text_unsigned(text, json_bounded(value));
}

void json_write_double(struct text *text, double value)
{
	comma(text);
	text_double(text, value, "null");
}

void json_write_raw(struct text *text, const char *value)
{
	comma(text);
	text_string(text, value);
}

void json_write_bool(struct text *text, bool value)
{
	json_write_raw(text, value ? "true" : "false");
}

void json_write_hex(struct text *text, uint64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "\"0x%" PRIx64 "\"", value);
	json_write_raw(text, digits);
}

const char *text_time(char buffer[TEXT_TIME_SIZE], time_t seconds, int ms)
{
	struct tm utc;
	size_t len;

	gmtime_r(&seconds, &utc);
	len = strftime(buffer, TEXT_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
	if (ms < 0)
		snprintf(buffer + len, TEXT_TIME_SIZE - len, "Z");
	else
		snprintf(buffer + len, TEXT_TIME_SIZE - len, ".%03dZ", ms);
	return buffer;
}

void json_write_word(struct text *text, const char *key, const char *value)
{
	json_write_key(text, key);
	json_write_text(text, value);
}

void json_write_count(struct text *text, const char *key, uint64_t value)
{
	json_write_key(text, key);
	json_write_unsigned(text, value);
}
