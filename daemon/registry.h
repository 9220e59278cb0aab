/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guests that umbrad knows, and what their workers said of them. One thread uses it. */
#ifndef DAEMON_REGISTRY_H
#define DAEMON_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/configuration.h"
#include "daemon/loop.h"
#include "daemon/message.h"
#include "daemon/shared.h"
#include "schemas/types.h"

enum { REGISTRY_DECISIONS_KEPT = 1000, REGISTRY_SWITCHES_KEPT = 1000 };

struct kept_switch {
	uint64_t number;
	struct switch_record record;
};

struct guest_wish; /* daemon/wishes.h */
struct umbrad;     /* daemon/umbrad.h */

struct guest {
	struct guest_config *config; /* the guest's own; its name is the guest's id */
	struct umbrad *umbrad;       /* that runs it; NULL: never started */
	struct source source;        /* its worker's socket in umbrad's loop */
	enum guest_state state;
	enum umbra_mode mode;
	enum policy_kind policy;

	pid_t pid; /* of its worker; 0: there is none */
	int fd;    /* to the worker; -1: there is none */
	struct shared_counters
		*shared; /* stays mapped when the worker is gone; NULL: never begun */

	bool has_end;
	struct umbra_end end;
	char cpu_mode[MESSAGE_REASON_MAX];
	bool has_registers;
	struct umbra_registers registers[UMBRA_MAX_CPUS];
	char memory_hash[33]; /* empty: not computed */

	/* Rings: element i of the n-th record ever is n % KEPT. */
	struct policy_decision *decisions;
	uint64_t nr_decisions;
	struct kept_switch *switches;
	uint64_t nr_switches;

	struct guest_wish *wishes; /* asked for; the first has been sent to the worker */
	uint64_t next_request;
	struct guest *next_removed;
};

struct registry {
	struct guest **guests;
	size_t nr_guests;
	struct guest *removed; /* wait for registry_sweep() */
};

void registry_init(struct registry *registry);
void registry_free(struct registry *registry);

/* A new guest, starting, with a copy of @config. 0 or -ENOMEM. ret_guest may be NULL. */
int registry_add(struct registry *registry, const struct guest_config *config,
		 struct guest **ret_guest);
/*
 * The guest, which has no worker and no wishes any more, is no longer found. Whoever still holds a
 * pointer to it may use it until registry_sweep().
 */
void registry_remove(struct registry *registry, struct guest *guest);
void registry_sweep(struct registry *registry);

struct guest *registry_find(struct registry *registry, const char *id);
struct guest *registry_find_pid(struct registry *registry, pid_t pid);

/* Takes what a worker's message says, answers to wishes apart. The message must have passed
 * message_check().
 */
void registry_take(struct guest *guest, const struct message *message);
void registry_take_switch(struct guest *guest, const struct message_switch *message);
/* The guest is lost: its end says why. A guest that has ended stays as it is. */
void registry_fail(struct guest *guest, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* How many records of a ring are kept, and the i-th of those, oldest first. */
size_t registry_kept(uint64_t nr_records, size_t capacity);
const struct policy_decision *registry_decision(const struct guest *guest, size_t i);
const struct kept_switch *registry_switch(const struct guest *guest, size_t i);

#endif
