/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guests that umbrad knows, and what their workers said of them. One thread uses it. */
#ifndef DAEMON_REGISTRY_H
#define DAEMON_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/configuration.h"
#include "daemon/message.h"
#include "daemon/shared.h"
#include "schemas/types.h"

enum { REGISTRY_DECISIONS_KEPT = 1000, REGISTRY_SWITCHES_KEPT = 1000 };

struct kept_switch {
	uint64_t number;
	struct switch_record record;
};

struct guest_change; /* daemon/changes.h */

struct guest {
	const struct guest_config *config; /* its name is the guest's id */
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

	struct guest_change *changes; /* asked for; the first has been sent to the worker */
	uint64_t next_request;
};

struct registry {
	struct guest *guests;
	size_t nr_guests;
};

/* One guest for each of @config's, all starting. 0 or -ENOMEM. @config must outlive it. */
int registry_init(struct registry *registry, const struct config *config);
void registry_free(struct registry *registry);

struct guest *registry_find(struct registry *registry, const char *id);
struct guest *registry_find_pid(struct registry *registry, pid_t pid);

/* Takes what a worker's message says, CHANGED apart. The message must have passed message_check().
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
