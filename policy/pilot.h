/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pilot runs a guest under a policy: it is the embedder's loop that `umbra run` and umbrad's
 * worker share. At each UMBRA_EVENT_INTERVAL it hands the counters' growth to the policy, carries
 * out what the policy decides and keeps the records. It belongs to the thread that runs the guest.
 */
#ifndef POLICY_PILOT_H
#define POLICY_PILOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/policy.h"
#include "policy/record.h"
#include "umbra/error.h"
#include "umbra/guest.h"

/* Records kept, unless fewer are wanted: the last ones. All are counted. */
#define PILOT_DECISIONS_KEPT 1000
#define PILOT_SWITCHES_KEPT  1000

struct pilot;

struct pilot_config {
	enum policy_kind kind;
	const struct umbra_cost
		*cost; /* what the policy believes; NULL: what is known of the processor; copied */
	size_t kept;   /* records of each kind, if fewer are wanted; 0: as many as above */
	bool no_model; /* hide from the policy what only a simulator can see */
	/*
	 * Called when a record is new and again, with the same id or number, when it changed: a
	 * decision's "after" was filled, a switch's refill grew. Numbers of switches start at 1.
	 * The record is valid during the call. Either may be NULL.
	 */
	void (*decision)(void *context, const struct policy_decision *decision);
	void (*switched)(void *context, uint64_t number, const struct switch_record *record);
	/* Asked before each decision: whether none may switch now. NULL: never. */
	bool (*frozen)(void *context);
	void *context;
};

/* @guest is borrowed and must outlive the pilot. 0, -ENOMEM, -EINVAL (auto or advise in bare, auto
 * with the KVM engine). */
int pilot_create(struct umbra_guest *guest, const struct pilot_config *config,
		 struct pilot **ret_pilot, struct umbra_error *ret_error);
void pilot_destroy(struct pilot *pilot);

/*
 * umbra_guest_run() once. When the event is UMBRA_EVENT_INTERVAL the decision has been made and
 * carried out on return (there are none with the KVM engine); when it is UMBRA_EVENT_ENDED the last
 * switch's refill has been brought up to date. What else an event asks for is the caller's: call
 * again to go on.
 */
enum umbra_event pilot_run(struct pilot *pilot, uint64_t until_instruction);

/*
 * A switch that the policy did not ask for; @reason is a static string: see
 * policy/record.h.
 * Errors as of umbra_guest_switch(). Does not change the policy's kind: an
 * operator's switch pins with pilot_set_policy(pilot, POLICY_PINNED) as well.
 */
int pilot_switch(struct pilot *pilot, enum umbra_mode to, const char *reason,
		 struct umbra_error *ret_error);

/*
 * 0, or -EPERM: the guest is bare and can only be pinned, or KVM's and cannot be auto; *ret_why, a
 * static string, says which.
 */
int pilot_set_policy(struct pilot *pilot, enum policy_kind kind, const char **ret_why);
enum policy_kind pilot_policy(const struct pilot *pilot);

/* The kept records, oldest first, in one piece; valid until the pilot's next call. */
size_t pilot_decisions(const struct pilot *pilot, const struct policy_decision **ret_decisions);
size_t pilot_switches(const struct pilot *pilot, const struct switch_record **ret_switches);
/* How many switches there were in all. */
uint64_t pilot_nr_switches(const struct pilot *pilot);

#endif
