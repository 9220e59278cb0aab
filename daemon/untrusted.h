/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes of another process that may hold anything. */
#ifndef DAEMON_UNTRUSTED_H
#define DAEMON_UNTRUSTED_H

#include <stdbool.h>
#include <string.h>

/* Whether @value may be read: what is neither false nor true would be undefined then. */
static inline bool is_bool(const bool *value)
{
	unsigned char byte;

	memcpy(&byte, value, sizeof(byte));
	return byte <= 1;
}

#endif
