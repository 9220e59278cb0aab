/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What umbrad tells a service manager that wants to know (sd_notify(3)); to anybody else, nothing.
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdint.h>

#include "daemon/loop.h"
#include "daemon/registry.h"

struct notify {
	struct source source;
	int timer;          /* -1: nobody watches */
	uint64_t published; /* when, ns of CLOCK_MONOTONIC, the last snapshot was; 0: never */
	char status[160];   /* what the manager knows of the guests */
};

/*
 * From now on the watchdog, if the manager has one, hears twice in its time that @loop turns and
 * that snapshots are made. 0 or a negative errno.
 */
int notify_open(struct notify *notify, int loop);
void notify_close(struct notify *notify);

/* Requests are answered from now on. */
void notify_ready(void);
/* A reload begins; notify_ready() ends it. */
void notify_reloading(void);
void notify_stopping(void);
/* A snapshot of these guests was published. */
void notify_published(struct notify *notify, const struct registry *registry);

#endif
