/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every source of measurements of VMs is. A collector never fails: where it cannot measure,
 * its state says why and what it would have measured stays unknown. It prints nothing, waits for
 * nobody, and one thread uses it.
 */
#ifndef COLLECTORS_COLLECTOR_H
#define COLLECTORS_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectors/sample.h"
#include "collectors/vm.h"

enum { COLLECTOR_STATE_MAX = 256 };

/* Where the kernel's files are, without a slash at the end; others than "/proc", "/sys" in tests.
 */
struct collector_roots {
	const char *proc, *sys;
};

struct collector_settings {
	struct collector_roots roots;
	/* kvm_exits: in timing_seconds of every timing_period seconds it takes the time of exits.
	 */
	unsigned int timing_seconds, timing_period;
};

/* What the collector itself costs. */
struct collector_own {
	bool has_runs;                   /* it has programs in the kernel, and the kernel counts */
	uint64_t run_time_ns, run_count; /* of these programs, since they were loaded */
	bool has_lost;
	uint64_t lost;         /* events that found no room */
	uint64_t unattributed; /* if has_lost: events that are no single VM's */
};

struct collector {
	const char *name; /* as in configuration and API */
	/* NULL: out of memory; any other trouble is a state. Borrows @settings. */
	void *(*create)(const struct collector_settings *settings);
	void (*destroy)(void *self);
	/* A VM appeared, or its vCPUs or their threads changed. */
	void (*update)(void *self, const struct vm *vm);
	/* The VM is gone; it was updated before. */
	void (*remove)(void *self, const struct vm *vm);
	/* A round of samples begins; may be NULL. @now: CLOCK_MONOTONIC in nanoseconds. */
	void (*begin)(void *self, uint64_t now);
	/* Adds what it knows of @vm to @sample, which begins zeroed. */
	void (*sample)(void *self, const struct vm *vm, struct vm_sample *sample);
	/* "ok", "unsupported: WHY", "denied: WHY" or "degraded: WHY", as of the last round. */
	void (*state)(void *self, char ret_state[COLLECTOR_STATE_MAX]);
	/* May be NULL: nothing to tell. */
	void (*own)(void *self, struct collector_own *ret);
};

extern const struct collector kvm_collector;        /* collectors/kvm_stats.c */
extern const struct collector kvm_exits_collector;  /* collectors/kvm_exits.c */
extern const struct collector perf_event_collector; /* collectors/perf_event.c */

/*
 * Adds a reason to a state of what is measured in part: after "degraded: ", which it begins with
 * from then on, or "; ".
 */
void collector_degrade(char state[COLLECTOR_STATE_MAX], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Which thread runs which vCPU, as the kernel's entries into guests show it. */
struct vcpu_thread {
	pid_t pid, tid; /* of the initial PID namespace */
	int vcpu_id;
};

/*
 * At most @max pairs that were seen since the last call, or that no VM has had since, by the
 * collector kvm_exits (@self); how many.
 */
size_t kvm_exits_threads(void *self, struct vcpu_thread *ret, size_t max);

#endif
