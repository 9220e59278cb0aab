/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "daemon/watch.h"

enum {
	PREPARING_SHARE = 6, /* times the timeout until a worker runs: images may be large */
	BACKOFF_MAX = 60,
	BACKOFF_FORGOTTEN = 60, /* seconds that a guest ran */
};

static const char *const phases[WORKER_PHASE_COUNT] = {
	[WORKER_STARTING] = "starting", [WORKER_LOADING] = "loading the image",
	[WORKER_RUNNING] = "running",   [WORKER_IDLE] = "idle",
	[WORKER_ENDED] = "ending",
};

static const char *const cpus[] = {
	[WORKER_CPU_UNKNOWN] = "an unknown",
	[WORKER_CPU_REAL] = "real",
	[WORKER_CPU_PROTECTED] = "protected",
	[WORKER_CPU_LONG] = "long",
};

enum watch_verdict watch_tick(struct watch *watch, const struct worker_state *state, uint64_t now,
			      unsigned int hang_timeout)
{
	unsigned int limit = hang_timeout;

	if (state->heartbeat != watch->heartbeat ||
	    (state->phase == WORKER_IDLE && now < state->wake)) {
		*watch = (struct watch){.heartbeat = state->heartbeat};
		return WATCH_LIVES;
	}
	if (state->phase < WORKER_RUNNING)
		limit *= PREPARING_SHARE;
	return ++watch->silent_ticks > limit ? WATCH_HUNG : WATCH_SILENT;
}

/* Appends, as far as there is room. */
static void add(char *text, size_t size, size_t *length, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void add(char *text, size_t size, size_t *length, const char *format, ...)
{
	va_list arguments;
	int added;

	if (*length >= size)
		return;
	va_start(arguments, format);
	added = vsnprintf(text + *length, size - *length, format, arguments);
	va_end(arguments);
	*length += added > 0 ? (size_t)added : 0;
}

void watch_describe(const struct shared_counters *shared, char *ret_text, size_t size)
{
	struct worker_state state = {0};
	const size_t instructions = UMBRA_INDEX(struct umbra_counters, instructions, 0);
	struct umbra_counters counters;
	size_t length = 0;

	if (shared)
		shared_read_state(shared, &state);
	add(ret_text, size, &length, "while %s", phases[state.phase]);
	if (state.phase >= WORKER_RUNNING && !shared_read(shared, &counters) &&
	    umbra_known_has(&shared->known, instructions))
		add(ret_text, size, &length, ", after %" PRIu64 " instructions",
		    counters.instructions[0]);
	if (state.cpu != WORKER_CPU_UNKNOWN)
		add(ret_text, size, &length, ", its vCPU 0 last seen at 0x%" PRIx64 " in %s mode",
		    state.rip, cpus[state.cpu]);
	if (state.signal)
		add(ret_text, size, &length,
		    "; it noted signal %u at host address 0x%" PRIx64 ", accessing 0x%" PRIx64,
		    state.signal, state.host_rip, state.host_address);
}

void backoff_start(struct backoff *backoff, uint64_t now)
{
	backoff->started = now;
}

void backoff_fall(struct backoff *backoff, uint64_t now)
{
	if (!backoff->seconds || now - backoff->started >= BACKOFF_FORGOTTEN)
		backoff->seconds = 1;
	else if (backoff->seconds * 2 < BACKOFF_MAX)
		backoff->seconds *= 2;
	else
		backoff->seconds = BACKOFF_MAX;
	backoff->due = now + backoff->seconds;
}
