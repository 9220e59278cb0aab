/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_UMBRAD_H
#define DAEMON_UMBRAD_H

#include "daemon/configuration.h"

/* Umbra's exit statuses (sysexits.h has the same numbers for the same things). */
enum {
	STATUS_USAGE = 64,
	STATUS_NO_FILE = 66,
	STATUS_UNAVAILABLE = 69,
	STATUS_FAULT = 70,
	STATUS_CONFIG = 78,
};

/* The daemon: runs until SIGTERM or SIGINT. The exit status. */
int umbrad_run(const struct config *config);

#endif
