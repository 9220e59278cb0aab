/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this process takes of the host. */
#ifndef WEB_PROCESS_H
#define WEB_PROCESS_H

#include <stdint.h>
#include <time.h>

struct process_view {
	time_t started;
	double cpu_seconds;
	/* UINT64_MAX: not known. */
	uint64_t resident_bytes, open_fds, max_fds;
};

void process_read(struct process_view *ret_view, time_t started);

#endif
