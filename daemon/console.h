/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's serial output as lines on standard error, each with the guest's name. */
#ifndef DAEMON_CONSOLE_H
#define DAEMON_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

enum { CONSOLE_LINE_MAX = 240 };

struct console {
	const char *name;
	size_t len;
	char line[CONSOLE_LINE_MAX];
};

void console_init(struct console *console, const char *name);
/* An umbra_console's write; @context is the struct console. What a terminal would obey becomes '.'.
 */
void console_write(void *context, const uint8_t *bytes, size_t len);

#endif
