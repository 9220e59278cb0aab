/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "collectors/collector.h"

void collector_degrade(char state[COLLECTOR_STATE_MAX], const char *format, ...)
{
	static const char word[] = "degraded: ";
	size_t length;
	va_list arguments;

	if (strncmp(state, word, strlen(word)) != 0)
		snprintf(state, COLLECTOR_STATE_MAX, "%s", word);
	else if (strlen(state) + 2 < COLLECTOR_STATE_MAX)
		strcat(state, "; ");
	length = strlen(state);
	va_start(arguments, format);
	vsnprintf(state + length, COLLECTOR_STATE_MAX - length, format, arguments);
	va_end(arguments);
}
