/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest reduced to its rates, for tests of the policy alone: phases of work whose cost in brute,
 * shadow and ept follows from a cost table, with intervals of a fixed number of cycles.
 */
#ifndef TESTS_UNIT_POLICY_SIM_H
#define TESTS_UNIT_POLICY_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/policy.h"

#define SIM_INTERVAL 10000000.0

/* Rates for each instruction. */
struct sim_work {
	double walks;
	double cold;   /* walks without a walk cache's help: three references more */
	double nested; /* references to EPT tables for each walk in ept */
	double cr3_loads, invlpgs, faults, leaf_writes, upper_writes;
	double reads; /* of tables; they exit in brute */
	double fills; /* in shadow and brute, beside first touches */
	double unsyncs, syncs;
	double hidden; /* exits in shadow and brute that no input tells of while ept is on */
	double pages;  /* to fill after a switch to shadow or brute */
};

struct sim_phase {
	const struct sim_work *work;
	double instructions;
};

struct sim {
	struct umbra_cost hardware;
	bool no_model; /* hide what only a model sees */
	const struct sim_phase *phases;
	unsigned int nr_phases;
};

struct sim_result {
	double cycles;
	uint64_t intervals, switches, rollbacks;
	enum umbra_mode mode; /* at the end */
};

extern const struct sim_work sim_tlb_bound, sim_table_bound, sim_even;

/* Cycles of one instruction of @work, refill not counted. */
double sim_cpi(const struct umbra_cost *cost, enum umbra_mode mode, const struct sim_work *work);

/*
 * Runs all phases. @policy NULL: stays in @mode. @watch (may be NULL) sees each decision, then each
 * amended one.
 */
struct sim_result sim_run(const struct sim *sim, enum umbra_mode mode, struct policy *policy,
			  void (*watch)(void *context, const struct policy_decision *decision,
					bool amended),
			  void *context);

#endif
