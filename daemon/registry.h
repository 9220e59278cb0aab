/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guests that umbrad knows, and what their workers said of them. One thread uses it. */
#ifndef DAEMON_REGISTRY_H
#define DAEMON_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "daemon/configuration.h"
#include "daemon/control.h"
#include "daemon/journal.h"
#include "daemon/loop.h"
#include "daemon/message.h"
#include "daemon/shared.h"
#include "daemon/watch.h"
#include "schemas/types.h"

/* What becomes of a guest when its worker is gone. */
enum guest_plan { PLAN_NONE, PLAN_REMOVE, PLAN_RENEW };

struct guest_wish; /* daemon/wishes.h */
struct umbrad;     /* daemon/umbrad.h */

struct guest {
	struct guest_config *config; /* the guest's own; its name is the guest's id */
	struct umbrad *umbrad;       /* that runs it; NULL: never started */
	struct source source;        /* its worker's socket in umbrad's loop */
	enum guest_state state;
	enum umbra_mode mode;
	enum policy_kind policy;
	enum policy_source policy_source;

	bool waiting;        /* for its turn to start */
	unsigned int starts; /* of a worker, ever */
	time_t started;      /* wall time of the last one; 0: never */
	struct watch watch;  /* of the present one */
	struct backoff backoff;
	int allowance;       /* messages that are still taken from its worker in this second */
	int lines;           /* of switches that are still told in this second */
	unsigned int untold; /* switches beyond them */
	bool muted;          /* there are none left: its socket is not in the loop */

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

	struct journal *journal;        /* where its records go */
	struct journal_guest *recorded; /* the guest there */
	uint64_t nr_switches;           /* of its worker */
	struct switch_record last_switch;
	/* The last one of its worker that was to switch; id 0: none. */
	struct policy_decision last_change;

	bool behind;               /* its worker did not take what was configured anew */
	enum guest_plan plan;      /* not none: its worker was told to stop */
	struct guest_config *next; /* PLAN_RENEW: with which it starts anew; else NULL */
	uint64_t stop_deadline;    /* monotonic, of its worker if there is a plan */

	struct guest_wish *wishes; /* asked for; the first has been sent to the worker */
	uint64_t next_request;
	uint64_t asked_second; /* the last in which it was interrupted for whoever only reads ... */
	unsigned int asked_often; /* ... and how often then */
	struct guest *next_removed;
};

struct registry {
	struct journal *journal;
	struct control *control; /* what workers look at; NULL: there are none */
	int control_fd;
	struct guest **guests;
	size_t nr_guests;
	struct guest *removed; /* wait for registry_sweep() */
};

/* The guests' records go to @journal, which must outlive it. */
void registry_init(struct registry *registry, struct journal *journal);
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

/* @config, of the same name, becomes the guest's own instead of the one before. */
void registry_reconfigure(struct guest *guest, struct guest_config *config);
struct guest *registry_find(const struct registry *registry, const char *id);
struct guest *registry_find_pid(const struct registry *registry, pid_t pid);

/*
 * The guest, which has no worker, is as new: starting, without an end or counters. @config, if not
 * NULL, becomes its own instead of the one before; it has the same name.
 */
void registry_renew(struct guest *guest, struct guest_config *config);

/*
 * Sets mode and policy with which the guest is to start: what an operator set last, unless its
 * configuration says something else than then; that wins and the operator's word is forgotten.
 */
void registry_choose(struct guest *guest);
/* An operator has set the guest's mode or policy. The journal's ticket of that. */
uint64_t registry_keep(struct guest *guest);
/* The guest has the mode and policy of its configuration: no word of an operator's counts any more.
 */
uint64_t registry_forget(struct guest *guest);

/*
 * No guest switches any more until it is thawed, and none of those that start meanwhile. The
 * journal's ticket of that.
 */
uint64_t registry_freeze(struct registry *registry, bool frozen);

/*
 * Takes what a worker's message says, answers to wishes apart. The message must have passed
 * message_check(). 0, or -EBADMSG: a record has a number that no guest of ours gives.
 */
int registry_take(struct guest *guest, const struct message *message);
int registry_take_switch(struct guest *guest, const struct message_switch *message);
/* The guest is lost: its end says why. A guest that has ended stays as it is. */
void registry_fail(struct guest *guest, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
