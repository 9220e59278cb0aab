/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory that a worker writes its guest's counters and its own state into and umbrad reads them
 * from. umbrad creates it, seals its size and maps it read-only; nothing in it is used as an index
 * or a length unchecked.
 */
#ifndef DAEMON_SHARED_H
#define DAEMON_SHARED_H

#include <stdbool.h>
#include <stdint.h>

#include "umbra/kvm_engine.h"

enum { SHARED_MAGIC = 0x554d4252, SHARED_VERSION = 3 };

/* In the order of a worker's life. */
enum worker_phase {
	WORKER_STARTING, /* not even begun */
	WORKER_LOADING,
	WORKER_RUNNING,
	WORKER_IDLE, /* its guest halts until the wake time */
	WORKER_ENDED,
	WORKER_PHASE_COUNT,
};

enum worker_cpu { WORKER_CPU_UNKNOWN, WORKER_CPU_REAL, WORKER_CPU_PROTECTED, WORKER_CPU_LONG };

/* What a worker did last. Its guest's thread writes it, and whichever thread crashes. */
struct worker_state {
	uint32_t phase;
	uint32_t cpu;          /* operating mode of vCPU 0 at the last event */
	uint64_t rip;          /* of vCPU 0, likewise */
	uint64_t heartbeat;    /* CLOCK_MONOTONIC at the last event, in nanoseconds */
	uint64_t wake;         /* idle: until then, likewise */
	uint64_t host_rip;     /* where the worker crashed */
	uint64_t host_address; /* and what it accessed, as the signal says */
	uint32_t signal;       /* that it crashed by; 0: it did not */
};

struct shared_counters {
	uint32_t magic, version; /* the worker's first words */
	uint64_t size;
	struct worker_state state __attribute__((aligned(64)));
	struct umbra_counters counters;
	struct umbra_known known;     /* which of them the guest's engine counts */
	struct umbra_kvm_figures kvm; /* of a guest of the KVM engine */
};

/* One writer and one reader, in two processes. */
#define SHARED_SET(field, value) __atomic_store_n(&(field), value, __ATOMIC_RELAXED)
#define SHARED_GET(field)        __atomic_load_n(&(field), __ATOMIC_RELAXED)

/* The descriptor of new, sealed memory (close on exec), or a negative errno. */
int shared_create(const char *name);
/* Maps it; NULL and errno. @writable: in the worker. */
struct shared_counters *shared_map(int fd, bool writable);
void shared_unmap(struct shared_counters *shared);
/* The worker's first words. */
void shared_begin(struct shared_counters *shared);
/* The worker's word before its guest runs. */
void shared_set_known(struct shared_counters *shared, const struct umbra_known *known);
/* Copies the counters; -EBADMSG: the worker's first words are wrong, or nothing was counted yet. */
int shared_read(const struct shared_counters *shared, struct umbra_counters *ret_counters);
/* Which of them are counted, and what KVM counts itself; likewise -EBADMSG. */
int shared_read_kvm(const struct shared_counters *shared, struct umbra_known *ret_known,
		    struct umbra_kvm_figures *ret_figures);
/* Copies the state, enums in range; likewise -EBADMSG, which leaves a state that has not begun. */
int shared_read_state(const struct shared_counters *shared, struct worker_state *ret_state);

#endif
