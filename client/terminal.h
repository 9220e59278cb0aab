/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Standard input and output as a guest's serial console. */
#ifndef CLIENT_TERMINAL_H
#define CLIENT_TERMINAL_H

#include "umbra/guest.h"

struct terminal;

/* There is one; a terminal on standard input gives every byte at once and unechoed until close. */
struct terminal *terminal_open(void);
/* Returns 0, or the errno with which something that the guest said was lost. */
int terminal_close(struct terminal *terminal);
/* For struct umbra_guest_config; context is the terminal. */
struct umbra_console terminal_console(struct terminal *terminal);
void terminal_flush(void *terminal);

#endif
