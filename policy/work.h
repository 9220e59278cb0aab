/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest did to its page tables in an interval, as far as the mode that was on shows it, and
 * what a mode's own exits for that cost by the cost table.
 */
#ifndef POLICY_WORK_H
#define POLICY_WORK_H

#include "policy/policy.h"

struct work {
	double cr3_loads, invlpgs, faults;
	double leaf_writes, upper_writes; /* to page tables; to all above them */
	double reads;                     /* of tables */
	double fills;                     /* of shadow entries, in shadow and in brute */
	double unsyncs;    /* of leaf tables, in shadow; as many are compared again */
	double other_cpus; /* that a change of shadow tables makes flush */
	/* Of these, what is but guessed. */
	double guessed_writes, guessed_reads;
};

/* Cycles, and how many of them stand on a guess. */
struct work_cost {
	double cycles, guessed;
};

/* @known: CR3 loads, INVLPGs and page faults are; else the walks have to tell. */
struct work work_of(const struct policy_input *inputs, enum umbra_mode on, bool known,
		    double unsyncs_per_cr3_load);

/* The exits that @mode would have for the work. Ept has none for it. */
struct work_cost work_cost(const struct umbra_cost *cost, const struct work *work,
			   enum umbra_mode mode);

/* An input's value; 0 where it is not known. */
static inline double work_input(const struct policy_input *inputs, enum policy_input_id id)
{
	return inputs[id].known ? (double)inputs[id].value : 0;
}

/*
 * Walks that no walk cache helped read every level: the mark of INVLPGs and CR3 loads, which empty
 * those caches.
 */
double work_cold_walks(const struct policy_input *inputs);
/* What stands for INVLPGs and CR3 loads where they are not known: flushes, else cold walks. */
double work_invalidations(const struct policy_input *inputs);

#endif
