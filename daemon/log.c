/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>

#include "daemon/log.h"

void log_write(int priority, const char *guest, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (guest)
		fprintf(stderr, "umbrad: guest %s: %s\n", guest, text);
	else
		fprintf(stderr, "umbrad: %s\n", text);
}
