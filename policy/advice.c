/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy/advice.h"
#include "policy/advice_text.h"
#include "policy/estimate.h"

/* A VM that ran for less in a second says nothing. */
#define IDLE_CYCLES_PER_SECOND 1e6
/* References of a walk to the tables of one step: the rest comes from walk caches [M]. */
#define REFERENCES_PER_STEP 1.1
/* Of a walk whose cycles are misses times a cost: by the default table, and by figures given. */
#define UNCERTAINTY_MISSES            0.5
#define UNCERTAINTY_MISSES_CALIBRATED 0.2
/* Of the second step of walks: measured, and at its most (20 of 24 references). */
#define NESTED_MEASURED 1.1
#define NESTED_MOST     (20.0 / 24)
/* An exit is that much of the table's figure at the least. */
#define EXIT_LEAST 0.7
/* What the guest does to its tables is not seen in ept: more than this is never sure. */
#define CONFIDENCE_UNSEEN 0.45
#define CONFIDENCE_HIGH   0.75
#define CONFIDENCE_MEDIUM 0.5

/* Far beyond all that a VM can do, and within 64 bits. */
#define CYCLES_MAX  1e18

#define KNOWN(name) (c->inputs[POLICY_INPUT_##name].known)
#define IN(name)    ((double)c->inputs[POLICY_INPUT_##name].value)

/* What the advice is made of. */
struct context {
	const struct advice_input *input;
	struct policy_input inputs[POLICY_INPUT_COUNT]; /* as the estimator gets them */
	struct estimate estimate;
	bool cycles_known, by_misses;
	double miss; /* cycles, if by_misses */
};

/* --- what is known ------------------------------------------------------------------------ */

/* A processor that counts no cycles of walks counts TLB misses: each at a cost of the table. */
static void walks_by_misses(struct context *c)
{
	const struct umbra_cost_table *table = c->input->cost;
	size_t row = offsetof(struct umbra_cost, walk_reference) / sizeof(uint32_t);
	bool given = table->figure[row].origin >= UMBRA_COST_OF_ALL;
	struct policy_input *cycles = &c->inputs[POLICY_INPUT_walk_cycles];

	if (cycles->known || !KNOWN(walks))
		return;
	c->by_misses = true;
	c->miss = REFERENCES_PER_STEP * table->cost.walk_reference;
	if (c->input->mode == UMBRA_MODE_EPT)
		c->miss *= 2;
	*cycles = (struct policy_input){
		.known = true,
		.value = (uint64_t)fmin(IN(walks) * c->miss, CYCLES_MAX),
		.uncertainty = c->inputs[POLICY_INPUT_walks].uncertainty +
			       (given ? UNCERTAINTY_MISSES_CALIBRATED : UNCERTAINTY_MISSES),
	};
}

/*
 * What an EPT violation took is for the most part the host's, which makes or finds the page: as a
 * page fault of shadow it would take no less, whatever the table has for a fill.
 */
static void violations_in_shadow(struct context *c)
{
	const struct umbra_cost *cost = &c->input->cost->cost;
	double fills = IN(ept_fills) * ((double)cost->exit + cost->shadow_fill);

	if (c->input->mode == UMBRA_MODE_EPT)
		c->estimate.exits[UMBRA_MODE_SHADOW] +=
			fmax(0, c->estimate.exits[UMBRA_MODE_EPT] - fills);
}

static void estimate(struct context *c)
{
	struct estimator estimator;

	c->cycles_known = KNOWN(cycles);
	walks_by_misses(c);
	/* The time of the mode's own exits needs no share of all. */
	if (KNOWN(exit_cycles_mode)) {
		c->inputs[POLICY_INPUT_exits] = c->inputs[POLICY_INPUT_exits_mode];
		c->inputs[POLICY_INPUT_exit_cycles] = c->inputs[POLICY_INPUT_exit_cycles_mode];
	}
	/* The estimator wants a whole, of which this uses the parts alone. */
	if (!c->cycles_known)
		c->inputs[POLICY_INPUT_cycles] = (struct policy_input){
			.known = true,
			.value = (uint64_t)fmin(IN(walk_cycles) + IN(exit_cycles), CYCLES_MAX)};
	estimator_init(&estimator, &c->input->cost->cost);
	estimator_interval(&estimator, c->input->mode, c->inputs, &c->estimate);
	violations_in_shadow(c);
}

static void put_parts(const struct context *c, enum umbra_mode mode, bool exits_known,
		      bool walks_known, struct advice *ret)
{
	struct advice_cost *cost = &ret->cost[mode];

	cost->exits_known = exits_known;
	cost->walks_known = walks_known;
	if (exits_known)
		cost->exits_per_second = c->estimate.exits[mode] / c->input->seconds;
	if (walks_known)
		cost->walks_per_second = c->estimate.walks[mode] / c->input->seconds;
	cost->known = exits_known && walks_known;
	if (cost->known) {
		cost->cycles_per_second = cost->exits_per_second + cost->walks_per_second;
		cost->uncertainty = c->estimate.cost[mode].uncertainty / c->input->seconds;
	} else {
		cost->least_per_second = cost->exits_per_second + cost->walks_per_second;
		cost->least_known = cost->least_per_second > 0;
	}
	if (cost->known && ret->guest_cycles_per_second > 0) {
		cost->share_known = true;
		cost->share = cost->cycles_per_second / ret->guest_cycles_per_second;
	}
}

/*
 * What shadow takes at the least, of work that was seen in ept: walks without the second step, what
 * violations took, and an exit for each flush.
 */
static double least_of_shadow(const struct context *c)
{
	double nested = KNOWN(walk_cycles_nested) ? IN(walk_cycles_nested) * NESTED_MEASURED
						  : IN(walk_cycles) * NESTED_MOST;
	double exits =
		KNOWN(tlb_flushes) ? IN(tlb_flushes) * c->input->cost->cost.exit * EXIT_LEAST : 0;

	exits += c->estimate.exits[UMBRA_MODE_EPT];
	return (fmax(0, IN(walk_cycles) - nested) + exits) / c->input->seconds;
}

static void put_costs(const struct context *c, struct advice *ret)
{
	bool walks = KNOWN(walk_cycles);
	/* What the second step adds, or takes, is computed from these. */
	bool second = walks && (KNOWN(walks) || KNOWN(walk_cycles_nested));
	struct advice_cost *shadow = &ret->cost[UMBRA_MODE_SHADOW];

	ret->guest_known = c->cycles_known;
	if (ret->guest_known)
		ret->guest_cycles_per_second = IN(cycles) / c->input->seconds;
	if (ret->mode == UMBRA_MODE_SHADOW) {
		put_parts(c, UMBRA_MODE_SHADOW, KNOWN(exits_mode), walks, ret);
		put_parts(c, UMBRA_MODE_EPT, true, walks && KNOWN(walks), ret);
		return;
	}
	put_parts(c, UMBRA_MODE_EPT, KNOWN(exits_mode), walks, ret);
	put_parts(c, UMBRA_MODE_SHADOW, KNOWN(tlb_flushes), second, ret);
	if (walks && !shadow->known) {
		shadow->least_known = true;
		shadow->least_per_second = least_of_shadow(c);
	}
}

/* --- which is better ---------------------------------------------------------------------- */

static const char *word_of(double confidence)
{
	return confidence >= CONFIDENCE_HIGH     ? "high"
	       : confidence >= CONFIDENCE_MEDIUM ? "medium"
	       : confidence > 0                  ? "low"
						 : "none";
}

static void find_better(struct advice *advice, enum umbra_mode better, double confidence)
{
	advice->better_known = true;
	advice->better = better;
	advice->confidence_share = confidence;
	advice->confidence = word_of(confidence);
}

/* By costs that are both known. False: they are not. */
static bool compare(const struct context *c, struct advice *advice)
{
	const struct advice_cost *shadow = &advice->cost[UMBRA_MODE_SHADOW];
	const struct advice_cost *ept = &advice->cost[UMBRA_MODE_EPT];
	enum umbra_mode better = shadow->cycles_per_second < ept->cycles_per_second
					 ? UMBRA_MODE_SHADOW
					 : UMBRA_MODE_EPT;
	double difference = fabs(shadow->cycles_per_second - ept->cycles_per_second);
	double sum = difference + shadow->uncertainty + ept->uncertainty;
	double confidence = sum > 0 ? difference / sum : 0;

	if (!shadow->known || !ept->known)
		return false;
	if (advice->mode == UMBRA_MODE_EPT && better == UMBRA_MODE_SHADOW)
		confidence = fmin(confidence, CONFIDENCE_UNSEEN);
	/* Where even the least that shadow takes is more, only that least is in doubt. */
	if (advice->mode == UMBRA_MODE_EPT && least_of_shadow(c) > ept->cycles_per_second)
		confidence = fmax(confidence, 1 - (1 - CONFIDENCE_HIGH) * ept->cycles_per_second /
							      least_of_shadow(c));
	find_better(advice, better, confidence);
	return true;
}

/* By what shadow could save at most. False: that is too much to rule it out, or not known. */
static bool rule_shadow_out(struct advice *advice)
{
	const struct advice_cost *shadow = &advice->cost[UMBRA_MODE_SHADOW];
	const struct advice_cost *ept = &advice->cost[UMBRA_MODE_EPT];
	double most = ADVICE_WORTH * advice->guest_cycles_per_second, saving;

	if (advice->mode != UMBRA_MODE_EPT || !ept->known || !shadow->least_known ||
	    !advice->guest_known)
		return false;
	saving = ept->cycles_per_second - shadow->least_per_second;
	if (saving >= most)
		return false;
	find_better(advice, UMBRA_MODE_EPT, 1 - 0.5 * fmax(0, saving) / most);
	return true;
}

static void judge(const struct context *c, struct advice *advice)
{
	if (advice->guest_known && advice->guest_cycles_per_second < IDLE_CYCLES_PER_SECOND)
		advice_say_idle(advice, c->input->seconds);
	else if (compare(c, advice))
		advice_say_compared(advice);
	else if (rule_shadow_out(advice))
		advice_say_ruled_out(advice);
	else
		advice_say_unknown(advice, c->input);
	if (c->by_misses && advice->cost[advice->mode].walks_known)
		advice_append(advice->reason, "; walks are TLB misses at %.0f cycles each",
			      c->miss);
	if (c->input->kvm == ADVICE_KVM_NO_HARDWARE)
		advice_append(advice->reason,
			      "; this host's KVM has no hardware virtualization, and so no ept");
}

void advice_make(const struct advice_input *input, struct advice *ret)
{
	struct context c = {.input = input};

	*ret = (struct advice){.mode_known = input->mode_known,
			       .mode = input->mode_known ? input->mode : UMBRA_MODE_COUNT,
			       .frequency = input->frequency,
			       .confidence = word_of(0)};
	memcpy(c.inputs, input->inputs, sizeof(c.inputs));
	if (input->mode_known) {
		estimate(&c);
		put_costs(&c, ret);
		judge(&c, ret);
	} else {
		advice_append(ret->reason, "which mode is on is not known");
	}
	advice_list_missing(input, c.by_misses ? c.miss : 0, ret);
	advice_recommend(input, ret);
}
