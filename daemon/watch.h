/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What umbrad sees of a worker from outside: whether it still does something, and what last. */
#ifndef DAEMON_WATCH_H
#define DAEMON_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/shared.h"

/* Of one worker; zeroes for a new one. */
struct watch {
	uint64_t heartbeat; /* seen last */
	unsigned int silent_ticks;
};

enum watch_verdict {
	WATCH_LIVES,
	WATCH_SILENT, /* it is to be asked for an event */
	WATCH_HUNG,   /* asked for long enough, it came to none */
};

/*
 * To be called once a second. @now: CLOCK_MONOTONIC in nanoseconds. A worker may be silent for
 * @hang_timeout of these calls, for longer before it runs, and as long as it likes when idle, until
 * its wake time. Calls are counted, not time, for umbrad itself may have been stopped.
 */
enum watch_verdict watch_tick(struct watch *watch, const struct worker_state *state, uint64_t now,
			      unsigned int hang_timeout);

/* What it did last, in words: "while running, after 5 instructions, ...". */
void watch_describe(const struct shared_counters *shared, char *ret_text, size_t size);

/* When a guest that fell is started anew: after 1, 2, 4, ... 60 seconds. Zeroes for a new one. */
struct backoff {
	uint64_t started; /* CLOCK_MONOTONIC, in seconds */
	uint64_t due;
	unsigned int seconds; /* waited last */
};

void backoff_start(struct backoff *backoff, uint64_t now);
/* Sets when the next start is due; a guest that ran for a minute begins with a second again. */
void backoff_fall(struct backoff *backoff, uint64_t now);

#endif
