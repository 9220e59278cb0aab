/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which VMs there are: KVM's uevents tell at once, a scan of /proc at the start and then seldom
 * finds what they did not.
 */
#ifndef COLLECTORS_DISCOVERY_H
#define COLLECTORS_DISCOVERY_H

#include "collectors/collector.h"

struct discovery;

struct discovery_config {
	struct collector_roots roots;
	int uevents; /* a socket to read uevents from, in tests; -1: the kernel's own */
	/* Called from discovery_read() and discovery_scan(). @vm is borrowed: see collectors/vm.h.
	 */
	void (*updated)(void *context, const struct vm *vm); /* appeared, or vCPUs changed */
	void (*vanished)(void *context, const struct vm *vm);
	void *context;
};

/* NULL: out of memory; any other trouble is the state's. Finds nothing yet. */
struct discovery *discovery_create(const struct discovery_config *config);
void discovery_destroy(struct discovery *discovery); /* may be NULL; tells of no VM any more */
/* Readable when discovery_read() is due; -1: never. */
int discovery_fd(const struct discovery *discovery);
void discovery_read(struct discovery *discovery);
/* All of /proc; at the start and then every few seconds. */
void discovery_scan(struct discovery *discovery);
/* Each round: owners and threads that came or went of the VMs that are known. */
void discovery_refresh(struct discovery *discovery);
void discovery_thread(struct discovery *discovery, const struct vcpu_thread *thread);
void discovery_state(const struct discovery *discovery, char ret_state[COLLECTOR_STATE_MAX]);

#endif
