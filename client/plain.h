/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of VMs are what other users wrote: they must not steer the terminal that shows them. */
#ifndef CLIENT_PLAIN_H
#define CLIENT_PLAIN_H

#include <stddef.h>

/*
 * In JSON text each character that could steer a terminal or the direction of what it shows,
 * escaped or not, becomes "?". Returns the new length, which is @len at most.
 */
size_t plain_json(char *text, size_t len);

#endif
