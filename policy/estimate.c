/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>
#include <string.h>

#include "policy/estimate.h"

#define LEARN_SHARE       0.3 /* of the newest measurement in an average */
#define MEMORY_WEIGHT_MAX 8
/* Work is the same kind when its rates differ by less than this factor (log2). */
#define MEMORY_DISTANCE_MAX 0.6
/* Rates below this (per million instructions) are all the same: nothing. */
#define RATE_FLOOR 20.0

/* An interval with less work than this, the rest being refill, teaches nothing. */
#define SETTLED_SHARE 0.5

/* Until it was measured: one reference to EPT tables a walk, the rest comes from walk caches. */
#define NESTED_PER_WALK      1.1
#define UNSYNCS_PER_CR3_LOAD 2.0
/* Of the guest's leaf entries written in ept, those that shadow would have to fill: the rest are
 * unmapped. */
#define FILLS_PER_WRITE 0.5
/* Entries of the second-level TLB (Skylake): pages in use that cause no walk. */
#define TLB_ENTRIES 1536

#define LEVELS      4

/* Relative uncertainty of an estimate by its source. */
#define UNCERTAINTY_WALK    0.1
#define UNCERTAINTY_TABLE   0.3
#define UNCERTAINTY_UNKNOWN 1.0

static double value(const struct policy_input *inputs, enum policy_input_id id)
{
	return inputs[id].known ? (double)inputs[id].value : 0;
}

#define IN(name) value(inputs, POLICY_INPUT_##name)

static void average(double *mean, double measured)
{
	*mean = *mean > 0 ? *mean + LEARN_SHARE * (measured - *mean) : measured;
}

static double clamp(double x, double low, double high)
{
	return x < low ? low : x > high ? high : x;
}

static double reference_cycles(const struct estimator *e)
{
	return e->reference > 0 ? e->reference : e->cost.walk_reference;
}

static bool events_known(const struct policy_input *inputs)
{
	return inputs[POLICY_INPUT_guest_cr3_loads].known &&
	       inputs[POLICY_INPUT_guest_invlpgs].known &&
	       inputs[POLICY_INPUT_guest_page_faults].known;
}

/* What the table makes of shadow's own exits as they were counted. */
static double shadow_by_table(const struct umbra_cost *c, const struct policy_input *inputs)
{
	return IN(exits_mode) * c->exit + IN(shadow_fills) * c->shadow_fill +
	       IN(shadow_table_writes) * c->table_write + IN(shadow_unsyncs) * c->shadow_unsync +
	       IN(shadow_syncs) * c->shadow_sync + IN(shadow_reflected) * c->reflect_fault;
}

/*
 * Measured cycles of the mode's own exits, refill set aside: its share of all exit cycles as the
 * table divides them.
 */
static double exits_of_mode(const struct umbra_cost *c, enum umbra_mode mode,
			    const struct policy_input *inputs)
{
	double own = mode == UMBRA_MODE_SHADOW ? shadow_by_table(c, inputs)
					       : IN(exits_mode) * (c->exit + c->ept_violation);
	double common = (IN(exits) - IN(exits_mode)) * c->exit;

	if (own <= 0)
		return 0;
	return fmax(0, IN(exit_cycles) * own / (own + common) - IN(refill_cycles));
}

/*
 * Walks that no walk cache helped read every level: the mark of INVLPGs and CR3 loads, which empty
 * those caches.
 */
static double cold_walks(const struct policy_input *inputs)
{
	return fmax(0, IN(walk_references_guest) - IN(walks)) / (LEVELS - 1);
}

/* The same when nothing of it is known: each cold walk stands for an invalidation and a fill. */
static double shadow_from_walks(const struct estimator *e, const struct policy_input *inputs)
{
	const struct umbra_cost *c = &e->cost;

	return cold_walks(inputs) * (2.0 * c->exit + c->shadow_fill) +
	       IN(ept_fills) * (c->exit + c->shadow_fill);
}

/* What shadow's exits would have cost, from what is known in ept of the guest's table work. */
static double shadow_from_ept(const struct estimator *e, const struct policy_input *inputs)
{
	const struct umbra_cost *c = &e->cost;
	double leaves = fmax(0, IN(guest_table_writes) - IN(guest_table_writes_upper));
	double cr3_loads = IN(guest_cr3_loads);
	double per_load =
		e->unsyncs_per_cr3_load > 0 ? e->unsyncs_per_cr3_load : UNSYNCS_PER_CR3_LOAD;
	double unsyncs = fmin(leaves, cr3_loads * per_load);
	double cycles = (cr3_loads + IN(guest_invlpgs)) * c->exit;

	cycles += IN(guest_page_faults) * (c->exit + c->reflect_fault);
	cycles += IN(guest_table_writes_upper) * (c->exit + c->table_write);
	cycles += leaves * FILLS_PER_WRITE * (c->exit + c->shadow_fill);
	cycles += unsyncs * (c->exit + c->shadow_unsync + c->shadow_sync);
	cycles += IN(ept_fills) * (c->exit + c->shadow_fill);
	return cycles * (e->shadow_scale > 0 ? e->shadow_scale : 1);
}

/* --- what was measured when a mode was on ------------------------------------------------- */

static double rate_distance(double a, double b)
{
	return fabs(log2((a + RATE_FLOOR) / (b + RATE_FLOOR)));
}

static struct estimate_memory *recall(struct estimate_memory *memories, double walk_rate,
				      double event_rate)
{
	struct estimate_memory *best = NULL;
	double best_distance = MEMORY_DISTANCE_MAX;

	for (int i = 0; i < ESTIMATE_MEMORIES; i++) {
		struct estimate_memory *m = &memories[i];
		double distance;

		if (!m->weight)
			continue;
		distance = fmax(rate_distance(m->walk_rate, walk_rate),
				rate_distance(m->event_rate, event_rate));
		if (distance < best_distance) {
			best_distance = distance;
			best = m;
		}
	}
	return best;
}

static void remember(struct estimator *e, struct estimate_memory *memories, double walk_rate,
		     double event_rate, double overhead)
{
	struct estimate_memory *m = recall(memories, walk_rate, event_rate);

	if (m) {
		m->walk_rate += LEARN_SHARE * (walk_rate - m->walk_rate);
		m->event_rate += LEARN_SHARE * (event_rate - m->event_rate);
		m->overhead += LEARN_SHARE * (overhead - m->overhead);
		if (m->weight < MEMORY_WEIGHT_MAX)
			m->weight++;
	} else {
		m = &memories[0];
		for (int i = 1; i < ESTIMATE_MEMORIES; i++) {
			if (memories[i].used < m->used)
				m = &memories[i];
		}
		*m = (struct estimate_memory){walk_rate, event_rate, overhead, 1, 0};
	}
	m->used = e->intervals;
}

static void learn(struct estimator *e, enum umbra_mode mode, const struct policy_input *inputs,
		  double own_exits)
{
	double references = IN(walk_references_guest) + IN(walk_references_nested);

	if (references >= 1000)
		average(&e->reference, IN(walk_cycles) / references);
	if (mode == UMBRA_MODE_EPT && IN(walks) >= 1000)
		average(&e->nested_per_walk, IN(walk_references_nested) / IN(walks));
	if (mode == UMBRA_MODE_SHADOW) {
		double table = shadow_by_table(&e->cost, inputs);

		if (table >= 100.0 * e->cost.exit)
			average(&e->shadow_scale,
				clamp((own_exits + IN(refill_cycles)) / table, 0.25, 4));
		if (IN(guest_cr3_loads) >= 100)
			average(&e->unsyncs_per_cr3_load,
				fmax(0.01, IN(shadow_unsyncs) / IN(guest_cr3_loads)));
	}
}

/* --- one interval ------------------------------------------------------------------------- */

void estimator_init(struct estimator *e, const struct umbra_cost *cost)
{
	memset(e, 0, sizeof(*e));
	e->cost = cost ? *cost : umbra_cost_default;
}

/* The other mode's overhead as the table has it. Returns whether all it hangs on is known. */
static bool compute_overhead(const struct estimator *e, enum umbra_mode mode,
			     const struct policy_input *inputs, double own_exits,
			     double *ret_overhead, double *ret_uncertainty)
{
	double walk = IN(walk_cycles), exits = 0;
	bool known = events_known(inputs);

	if (mode == UMBRA_MODE_SHADOW) {
		double nested = e->nested_per_walk > 0 ? e->nested_per_walk : NESTED_PER_WALK;

		walk += IN(walks) * nested * reference_cycles(e);
		*ret_uncertainty = UNCERTAINTY_TABLE * own_exits;
	} else {
		walk -= IN(walk_references_nested) * reference_cycles(e);
		exits = known ? shadow_from_ept(e, inputs) : shadow_from_walks(e, inputs);
		*ret_uncertainty =
			known ? UNCERTAINTY_TABLE * exits : UNCERTAINTY_UNKNOWN * IN(cycles);
	}
	*ret_uncertainty += UNCERTAINTY_WALK * fabs(IN(walk_cycles) - walk);
	*ret_overhead = fmax(0, walk) + exits;
	return known;
}

void estimator_interval(struct estimator *e, enum umbra_mode mode,
			const struct policy_input inputs[POLICY_INPUT_COUNT],
			struct estimate *ret_estimate)
{
	enum umbra_mode other = mode == UMBRA_MODE_EPT ? UMBRA_MODE_SHADOW : UMBRA_MODE_EPT;
	double instructions = fmax(1, IN(instructions)), millions = instructions / 1e6;
	double walk_rate = IN(walks) / millions, cold_rate = cold_walks(inputs) / millions;
	struct policy_cost *on = &ret_estimate->cost[mode];
	struct policy_cost *there = &ret_estimate->cost[other];
	double own_exits, overhead, computed, lasting, event_rate = 0;
	struct estimate_memory *m = NULL;
	bool settled;

	memset(ret_estimate, 0, sizeof(*ret_estimate));
	on->known = inputs[POLICY_INPUT_cycles].known;
	on->cycles = fmax(0, IN(cycles) - IN(refill_cycles) - IN(switch_cycles));
	if (mode == UMBRA_MODE_BARE || !on->known)
		return;

	e->intervals++;
	/* What is seen between two fills of a refill, its TLB cold, is no measure of the work. */
	settled = on->cycles >= SETTLED_SHARE * IN(cycles);
	own_exits = exits_of_mode(&e->cost, mode, inputs);
	overhead = IN(walk_cycles) + own_exits;
	/* EPT violations happen once for each page: no property of the work. */
	lasting = (mode == UMBRA_MODE_EPT ? IN(walk_cycles) : overhead) / instructions;
	e->pages_touched += IN(ept_fills);
	if (settled)
		learn(e, mode, inputs, own_exits);

	ret_estimate->sure =
		compute_overhead(e, mode, inputs, own_exits, &computed, &there->uncertainty);
	if (ret_estimate->sure) {
		event_rate = (IN(guest_cr3_loads) + IN(guest_invlpgs) + IN(guest_page_faults)) /
			     millions;
		m = recall(e->memory[other], walk_rate, event_rate);
	} else {
		m = recall(e->tried, walk_rate, cold_rate);
	}
	/* Blend with what this kind of work cost there when it was measured. */
	if (m) {
		double measured = m->overhead * instructions;
		double blend = (measured * m->weight + computed) / (m->weight + 1);

		there->uncertainty = there->uncertainty / (m->weight + 1) +
				     UNCERTAINTY_WALK * fabs(blend - computed);
		computed = blend;
	}
	there->known = true;
	there->cycles = fmax(0, on->cycles - overhead + computed);

	if (!settled)
		return;
	if (ret_estimate->sure)
		remember(e, e->memory[mode], walk_rate, event_rate, lasting);
	if (mode == UMBRA_MODE_SHADOW && e->on_trial)
		remember(e, e->tried, e->trial.walk_rate, e->trial.event_rate, lasting);
	e->on_trial = false;
	if (mode == UMBRA_MODE_EPT) {
		e->trial.walk_rate = walk_rate;
		e->trial.event_rate = cold_rate;
	}
}

void estimator_on_trial(struct estimator *e)
{
	e->on_trial = true;
}

double estimator_switch_cost(const struct estimator *e, enum umbra_mode from,
			     const struct policy_input inputs[POLICY_INPUT_COUNT])
{
	double cycles = e->cost.switch_pause;
	double pages;

	if (from == UMBRA_MODE_SHADOW)
		/* EPT tables are kept: no refill. */
		return cycles + IN(shadow_pages) * e->cost.shadow_teardown +
		       e->refill[UMBRA_MODE_EPT];
	if (e->refill[UMBRA_MODE_SHADOW] > 0)
		return cycles + e->refill[UMBRA_MODE_SHADOW];
	/* Never more pages than were touched, nor more than are in use: in the TLB or walked for.
	 */
	pages = fmin(e->pages_touched, TLB_ENTRIES + IN(walks));
	return cycles + pages * (e->cost.exit + e->cost.shadow_fill);
}

void estimator_learn_refill(struct estimator *e, enum umbra_mode mode, double cycles)
{
	average(&e->refill[mode], cycles);
}
