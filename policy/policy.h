/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy: costs and history in, decision out. No clock, no I/O, no thread, no global state.
 * Choosing between modes with a switching cost is a metrical task system.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "cost/cost.h"
#include "umbra/mode.h"

enum policy_kind { POLICY_AUTO, POLICY_ADVISE, POLICY_PINNED, POLICY_KIND_COUNT };

enum policy_input_id {
#define POLICY_INPUT(name, unit, help) POLICY_INPUT_##name,
#include "policy/inputs.def"
#undef POLICY_INPUT
	POLICY_INPUT_COUNT,
};

struct policy_input {
	uint64_t value;
	bool known;
	bool model_only;
	double uncertainty; /* relative */
};

/* Cycles of one interval in one mode: measured for the mode that is on, estimated for the others.
 */
struct policy_cost {
	bool known;
	double cycles;
	double uncertainty; /* in cycles */
};

enum policy_action { POLICY_STAY, POLICY_SWITCH, POLICY_ROLLBACK, POLICY_ACTION_COUNT };

/* What came of a decision; filled by the intervals that follow. */
struct policy_after {
	bool known;
	uint32_t intervals; /* measured, refill set aside */
	double cycles_per_instruction_before;
	double cycles_per_instruction; /* since the decision */
	double refill_cycles;          /* what the switch really cost */
	/*
	 * A switch: cheaper than before, or, when the work has changed, than the mode before would
	 * have been by its estimate. A stay: no other mode would have been cheaper.
	 */
	bool paid;
};

struct policy_decision {
	uint64_t id;   /* 1, 2, ... of this guest */
	uint64_t time; /* guest time */
	uint64_t instruction;
	enum umbra_mode mode; /* that was on */
	struct policy_input inputs[POLICY_INPUT_COUNT];
	struct policy_cost cost[UMBRA_MODE_COUNT];
	enum umbra_mode rival; /* the best of the other modes; mode: there is none */
	double switch_cost;    /* to the rival, in cycles: pause, teardown, expected refill */
	double threshold;      /* cycles of accumulated advantage that a switch to it needs */
	double advantage;      /* that it has accumulated so far */
	enum policy_action action;
	enum umbra_mode target; /* of a switch, a rollback, an advised switch; else mode */
	const char *reason;     /* the rule that decided, a row of reasons.def's static strings */
	struct policy_after after;
};

struct policy; /* one guest's history */

int policy_create(const struct umbra_cost *cost, enum policy_kind kind, struct policy **ret_policy);
void policy_destroy(struct policy *policy);
void policy_set_kind(struct policy *policy, enum policy_kind kind);
enum policy_kind policy_kind(const struct policy *policy);
/* While frozen it decides as ever but asks for no switch; "frozen" is the reason then. */
void policy_set_frozen(struct policy *policy, bool frozen);

/*
 * One interval is over, all of it spent in @mode. Returns the decision (valid until the next call;
 * the embedder copies it). A switch that it asks for (action switch or rollback) is expected to
 * have happened before the next call; when it did not, or when @mode is another for other reasons,
 * the policy notices and starts over.
 */
const struct policy_decision *policy_decide(struct policy *policy, uint64_t time,
					    uint64_t instruction, enum umbra_mode mode,
					    const struct policy_input inputs[POLICY_INPUT_COUNT]);

/* The @index-th (from 0) earlier decision whose "after" the last call filled, or NULL. */
const struct policy_decision *policy_amended(const struct policy *policy, unsigned int index);

const char *policy_kind_name(enum policy_kind kind);
int policy_kind_parse(const char *name, enum policy_kind *ret_kind); /* 0 or -EINVAL */
const char *policy_action_name(enum policy_action action);
const char *policy_input_name(enum policy_input_id id);
/* The static string that equals @name, for records that came from another process; NULL: none. */
const char *policy_reason_find(const char *name);

#endif
