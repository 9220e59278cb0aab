/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which events are to be counted of each thread on this host. */
#ifndef COLLECTORS_PERF_PLAN_H
#define COLLECTORS_PERF_PLAN_H

#include "collectors/perf_event.h"
#include "collectors/processor.h"

/* Events that are counted at the same time; the first of them leads. */
enum perf_group {
	PERF_GROUP_SOFTWARE, /* of the thread, whatever it does */
	PERF_GROUP_CYCLES,   /* this and the others: in guest mode only */
	PERF_GROUP_MISSES,
	PERF_GROUP_FLUSHES,
	PERF_GROUP_COUNT,
};

enum { PERF_EVENTS_MAX = 24, PERF_NOTHING = UMBRA_KNOWN_MAX };

struct perf_planned {
	const char *name;
	enum perf_group group;
	uint32_t type;
	uint64_t config;
	size_t counter[2]; /* indices in struct perf_event_counters, or PERF_NOTHING */
};

struct perf_plan {
	struct perf_planned events[PERF_EVENTS_MAX]; /* by group */
	size_t nr;
	struct umbra_known fed; /* counters that the plan has events for */
	struct umbra_known
		broken; /* counters that lack an event: never known, whatever the others say */
	/* The first trouble of each kind; 0: none. */
	int software_errno, hardware_errno, event_errno;
	const char *event_name; /* of event_errno */
	const char *without;    /* what no event of the processor counts; NULL: nothing */
	bool lacks_libpfm;      /* and so every event of the processor's own */
	struct processor processor;
};

/*
 * The plan for the processor of @roots; what @kernel refuses for the calling thread itself is left
 * out, with the reason.
 */
void perf_plan_make(struct perf_plan *plan, const struct collector_roots *roots,
		    const struct perf_event_kernel *kernel);
/* What to ask of the kernel. */
void perf_plan_attr(const struct perf_planned *event, struct perf_event_attr *ret_attr);
/* The machine has none of it, or no such event: another thread will do no better. */
bool perf_plan_unsupported(int error);
bool perf_plan_denied(int error);

#endif
