/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "ini/complaints.h"

int complain(struct complaints *complaints, int code, const char *format, ...)
{
	va_list arguments;
	char *text;
	int len;

	if (!complaints->code)
		complaints->code = code;
	if (complaints_full(complaints))
		return code;
	va_start(arguments, format);
	len = vasprintf(&text, format, arguments);
	va_end(arguments);
	/* Without memory the code alone tells. */
	if (len >= 0)
		complaints->text[complaints->nr++] = text;
	return code;
}

bool complaints_full(const struct complaints *complaints)
{
	return complaints->nr == COMPLAINTS_MAX;
}

void complaints_free(struct complaints *complaints)
{
	for (size_t i = 0; i < complaints->nr; i++)
		free(complaints->text[i]);
	*complaints = (struct complaints){0};
}
