/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <stdio.h>

#include "daemon/console.h"

void console_init(struct console *console, const char *name)
{
	*console = (struct console){.name = name};
}

/* One write for each line, so that those of several workers do not mix. */
static void flush_line(struct console *console)
{
	fprintf(stderr, "%s: %.*s\n", console->name, (int)console->len, console->line);
	console->len = 0;
}

void console_write(void *context, const uint8_t *bytes, size_t len)
{
	struct console *console = context;

	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '\r')
			continue;
		if (bytes[i] != '\n')
			console->line[console->len++] =
				bytes[i] < 0x20 || bytes[i] > 0x7e ? '.' : (char)bytes[i];
		if (bytes[i] == '\n' || console->len == sizeof(console->line))
			flush_line(console);
	}
}
