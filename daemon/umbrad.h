/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_UMBRAD_H
#define DAEMON_UMBRAD_H

#include <stdbool.h>
#include <time.h>

#include "collectors/kvm_host.h"
#include "daemon/configuration.h"
#include "daemon/loop.h"
#include "daemon/notify.h"
#include "daemon/observed.h"
#include "daemon/registry.h"
#include "daemon/wishes.h"
#include "web/snapshot.h"

/* Umbra's exit statuses (sysexits.h has the same numbers for the same things). */
enum {
	STATUS_USAGE = 64,
	STATUS_NO_FILE = 66,
	STATUS_FAULT = 70,
	STATUS_CONFIG = 78,
};

enum { UMBRAD_STOP_SECONDS = 3 }; /* that workers have to stop before they are killed */

struct web;

/* The daemon's state. Its one thread alone uses it, but for board and wishes. */
struct umbrad {
	struct config *config;
	struct config_source source; /* where it comes from */
	time_t config_loaded;        /* wall time */
	char *config_error;          /* why it was not read anew since; NULL: it was, or need not */
	struct registry registry;
	struct observed observed;
	struct kvm_host kvm;
	uint64_t kvm_read; /* when, CLOCK_MONOTONIC in seconds */
	struct board *board;
	struct sampling sampling;
	uint64_t published; /* when the last snapshot was, ns of CLOCK_MONOTONIC */
	struct wishes *wishes;
	struct journal *journal;
	struct web *web;
	struct notify notify;
	int loop, signals, timer, wishes_fd, journal_fd;
	struct source signals_source, timer_source, wishes_source, journal_source;
	bool socket_is_ours; /* to be removed */
	bool stopping;
	bool guests_wait; /* some are to be started */
	unsigned int stop_signals;
};

/* The daemon: runs until SIGTERM or SIGINT. The exit status. */
int umbrad_run(struct config *config, const struct config_source *source);

#endif
