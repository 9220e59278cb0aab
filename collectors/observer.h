/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All collectors together: finds the VMs of this host and samples them, round by round. */
#ifndef COLLECTORS_OBSERVER_H
#define COLLECTORS_OBSERVER_H

#include "collectors/collector.h"

enum observer_collector {
	OBSERVER_DISCOVERY,
	OBSERVER_KVM,
	OBSERVER_KVM_EXITS,
	OBSERVER_PERF_EVENT,
	OBSERVER_COLLECTOR_COUNT,
};

struct observer;

struct observer_config {
	struct collector_settings settings; /* copied; what it points at is borrowed */
	bool enabled[OBSERVER_COLLECTOR_COUNT];
	int uevents; /* see struct discovery_config */
};

/* What the observer tells; all of it from within its functions. */
struct observer_sink {
	void (*vm)(void *context, const struct vm *vm); /* appeared, or something changed */
	void (*gone)(void *context, const struct vm *vm);
	void (*sample)(void *context, const struct vm *vm, const struct vm_sample *sample);
	void (*collector)(void *context, const char *name, const char *state,
			  const struct collector_own *own);
	/* All of this round was told; @duration_ns: what it took. */
	void (*round)(void *context, uint64_t duration_ns);
	void *context;
};

/* Has found the VMs that there are. NULL: out of memory. */
struct observer *observer_create(const struct observer_config *config,
				 const struct observer_sink *sink);
void observer_destroy(struct observer *observer); /* may be NULL; tells nothing any more */
/* Readable when observer_read() is due; -1: never. */
int observer_fd(const struct observer *observer);
void observer_read(struct observer *observer);
/* One sample of each VM. To be called each second. */
void observer_round(struct observer *observer);
/* Tells of each VM as if it had appeared now: whoever listens is new. */
void observer_tell(struct observer *observer);

#endif
