/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an interval would have cost in the other modes: the cost table applied to the interval's
 * events, corrected by what was measured when that mode was on.
 */
#ifndef POLICY_ESTIMATE_H
#define POLICY_ESTIMATE_H

#include "policy/policy.h"

/* One kind of work, recognised by its rates, and what a mode made of it. */
struct estimate_memory {
	double walk_rate;  /* walks per million instructions */
	double event_rate; /* CR3 loads, INVLPGs and guest page faults per million; -1: not known */
	double overhead;   /* cycles of the mode for each instruction: walks and the mode's exits */
	unsigned int weight; /* intervals seen, bounded; 0: free */
	uint64_t used;
};

#define ESTIMATE_MEMORIES 16

struct estimator {
	struct umbra_cost cost;
	uint64_t intervals;
	/* Measured where it could be; until then 0, and the table's figure is used. */
	double reference;       /* cycles of a walk reference */
	double nested_per_walk; /* references to EPT tables */
	double shadow_scale;    /* shadow's exit cycles over what the table makes of its events */
	double unsyncs_per_cr3_load;
	double refill[UMBRA_MODE_COUNT]; /* cycles of the last refills after a switch to it */
	/* Entries of EPT and of shadow tables filled so far: no refill is larger. */
	double pages_touched, pages_filled;
	/* Event rate: CR3 loads, INVLPGs and guest page faults; only where these are known. */
	struct estimate_memory memory[UMBRA_MODE_COUNT][ESTIMATE_MEMORIES];
	/*
	 * Where they are not: what the others made of work after a switch from ept, by what ept
	 * showed of it. Event rate: walks that no walk cache helped.
	 */
	struct estimate_memory tried[UMBRA_MODE_COUNT][ESTIMATE_MEMORIES];
	struct estimate_memory trial; /* rates of the last interval in ept */
	bool on_trial;                /* a switch from ept was made on their account */
};

struct estimate {
	struct policy_cost cost[UMBRA_MODE_COUNT];
	/* What the mode itself makes of that: page walks, and the exits that are there for its
	 * sake; measured or by the table. */
	double walks[UMBRA_MODE_COUNT], exits[UMBRA_MODE_COUNT];
	/* All events that the mode's cost hangs on are known or remembered. */
	bool sure[UMBRA_MODE_COUNT];
};

void estimator_init(struct estimator *estimator, const struct umbra_cost *cost);
/* Costs of the interval in each mode; learns from it. @mode was on; in bare there is no estimate.
 */
void estimator_interval(struct estimator *estimator, enum umbra_mode mode,
			const struct policy_input inputs[POLICY_INPUT_COUNT],
			struct estimate *ret_estimate);
/* Cycles of a switch: pause, teardown, expected refill. */
double estimator_switch_cost(const struct estimator *estimator, enum umbra_mode from,
			     enum umbra_mode to,
			     const struct policy_input inputs[POLICY_INPUT_COUNT]);
/* The policy switches from ept now: the next interval shows what that did to this work. */
void estimator_on_trial(struct estimator *estimator);
/* A stay in @mode is over; the switch to it caused @cycles of refill. */
void estimator_learn_refill(struct estimator *estimator, enum umbra_mode mode, double cycles);

#endif
