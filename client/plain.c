/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/plain.h"

/* C0, DEL and C1 controls; marks, embeddings, overrides and isolates of direction; separators. */
static bool steers(unsigned long code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x61c ||
	       (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069);
}

/* The length of the escape at @text, which a backslash begins, and the character that it means. */
static size_t read_escape(const char *text, size_t len, unsigned long *ret_code)
{
	char digits[5] = "";

	*ret_code = '?';
	if (len < 2)
		return len;
	if (strchr("bfnrt", text[1]))
		*ret_code = '\n';
	if (text[1] != 'u' || len < 6)
		return 2;
	memcpy(digits, text + 2, 4);
	*ret_code = strtoul(digits, NULL, 16);
	return 6;
}

/* The length of the character at @text in UTF-8, as far as those that steer need it. */
static size_t read_character(const char *text, size_t len, unsigned long *ret_code)
{
	const unsigned char *s = (const unsigned char *)text;

	*ret_code = s[0];
	if (s[0] >= 0xc2 && s[0] < 0xe0 && len >= 2) {
		*ret_code = (unsigned long)(s[0] & 0x1f) << 6 | (s[1] & 0x3f);
		return 2;
	}
	if (s[0] >= 0xe0 && s[0] < 0xf0 && len >= 3) {
		*ret_code = (unsigned long)(s[0] & 0x0f) << 12 | (unsigned long)(s[1] & 0x3f) << 6 |
			    (s[2] & 0x3f);
		return 3;
	}
	/* What comes in four bytes begins above them all, and bytes alone are no text. */
	if (s[0] >= 0x80)
		*ret_code = UINT32_MAX;
	return 1;
}

size_t plain_json(char *text, size_t len)
{
	size_t to = 0;
	bool in_string = false;

	for (size_t from = 0, size; from < len; from += size) {
		unsigned long code;

		if (text[from] == '\\')
			size = read_escape(text + from, len - from, &code);
		else
			size = read_character(text + from, len - from, &code);
		in_string ^= text[from] == '"';
		if (in_string && steers(code)) {
			text[to++] = '?';
		} else {
			memmove(text + to, text + from, size);
			to += size;
		}
	}
	return to;
}
