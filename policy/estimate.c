/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>
#include <string.h>

#include "policy/estimate.h"
#include "policy/work.h"

#define LEARN_SHARE       0.3 /* of the newest measurement in an average */
#define MEMORY_WEIGHT_MAX 8
/* Work is the same kind when its rates differ by less than this factor (log2). */
#define MEMORY_DISTANCE_MAX 0.6
/* Rates below this (per million instructions) are all the same: nothing. */
#define RATE_FLOOR 20.0

/* An interval with less work than this, the rest being refill, teaches nothing. */
#define SETTLED_SHARE 0.5

/* Until it was measured: one reference to EPT tables a walk, the rest comes from walk caches. */
#define NESTED_PER_WALK 1.1
/* Of 24 references to the tables of a guest and of EPT, 20 are the second step's. */
#define NESTED_SHARE_MAX (20.0 / 24)
/* Entries of the second-level TLB (Skylake): pages in use that cause no walk. */
#define TLB_ENTRIES 1536

/* Relative uncertainty of an estimate by its source. */
#define UNCERTAINTY_WALK  0.1
#define UNCERTAINTY_TABLE 0.3
/* What the table makes of the second step of walks that nobody measured. */
#define UNCERTAINTY_NESTED  0.5
#define UNCERTAINTY_UNKNOWN 1.0

#define IN(name)            work_input(inputs, POLICY_INPUT_##name)

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

/* What the table makes of the mode's own exits as they were counted. */
static double exits_by_table(const struct umbra_cost *c, enum umbra_mode mode,
			     const struct policy_input *inputs)
{
	if (mode == UMBRA_MODE_EPT)
		return IN(exits_mode) * (c->exit + c->ept_violation);
	return IN(exits_mode) * c->exit + IN(shadow_fills) * c->shadow_fill +
	       IN(shadow_table_writes) * c->table_write + IN(shadow_table_reads) * c->table_read +
	       IN(shadow_tables_located) * c->locate_table + IN(shadow_unsyncs) * c->shadow_unsync +
	       IN(shadow_syncs) * c->shadow_sync + IN(shadow_remote_flushes) * c->remote_flush +
	       IN(shadow_reflected) * c->reflect_fault;
}

/*
 * Measured cycles of the mode's own exits, refill set aside; else its share of all exit cycles as
 * the table divides them; else what the table makes of them. *ret_uncertainty: relative.
 */
static double exits_of_mode(const struct umbra_cost *c, enum umbra_mode mode,
			    const struct policy_input *inputs, double *ret_uncertainty)
{
	double own = exits_by_table(c, mode, inputs);
	double common = (IN(exits) - IN(exits_mode)) * c->exit;
	double cycles;

	*ret_uncertainty = inputs[POLICY_INPUT_exit_cycles].uncertainty;
	if (own <= 0)
		return 0;
	if (inputs[POLICY_INPUT_exit_cycles].known) {
		cycles = IN(exit_cycles) * own / (own + common);
	} else {
		cycles = own;
		*ret_uncertainty = UNCERTAINTY_TABLE + inputs[POLICY_INPUT_exits_mode].uncertainty;
	}
	return fmax(0, cycles - IN(refill_cycles));
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
		double table = exits_by_table(&e->cost, mode, inputs);

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

/* What one interval shows, for the estimates of the modes that were not on. */
struct view {
	const struct policy_input *inputs;
	enum umbra_mode on;
	bool known; /* CR3 loads, INVLPGs and page faults are */
	struct work work;
	double own_exits; /* measured */
};

/* Cycles that the second step of @view's walks takes, in ept; and how unsure that is. */
static double nested_cycles(const struct estimator *e, const struct view *view,
			    double *ret_uncertainty)
{
	const struct policy_input *inputs = view->inputs;
	double nested = e->nested_per_walk > 0 ? e->nested_per_walk : NESTED_PER_WALK;
	double by_table = IN(walks) * nested * reference_cycles(e);

	*ret_uncertainty = UNCERTAINTY_WALK;
	if (inputs[POLICY_INPUT_walk_references_nested].known)
		return view->on == UMBRA_MODE_EPT ? IN(walk_references_nested) * reference_cycles(e)
						  : by_table;
	if (view->on == UMBRA_MODE_EPT && inputs[POLICY_INPUT_walk_cycles_nested].known)
		return IN(walk_cycles_nested);
	*ret_uncertainty = UNCERTAINTY_NESTED;
	return view->on == UMBRA_MODE_EPT ? fmin(by_table, IN(walk_cycles) * NESTED_SHARE_MAX)
					  : by_table;
}

/*
 * Cycles of @to's exits as the table has it, with those of its walks, how unsure both are, and how
 * much of it stands on guesses. Of modes with tables of the VMM's, what one of them measured holds
 * for the other but for the difference that the table makes.
 */
static double compute_exits(const struct estimator *e, const struct view *view, enum umbra_mode to,
			    double *ret_walks, double *ret_uncertainty, double *ret_guessed)
{
	const struct policy_input *inputs = view->inputs;
	struct work_cost there = work_cost(&e->cost, &view->work, to);
	struct work_cost here = work_cost(&e->cost, &view->work, view->on);
	double unsure, nested = nested_cycles(e, view, &unsure), exits;

	*ret_walks = IN(walk_cycles);
	if (to == UMBRA_MODE_EPT)
		*ret_walks += nested;
	else if (view->on == UMBRA_MODE_EPT)
		*ret_walks = fmax(0, *ret_walks - nested);
	if (to == UMBRA_MODE_EPT) {
		exits = 0;
		*ret_uncertainty = UNCERTAINTY_TABLE * view->own_exits;
	} else if (view->on != UMBRA_MODE_EPT) {
		exits = fmax(0, view->own_exits + there.cycles - here.cycles);
		*ret_uncertainty = UNCERTAINTY_TABLE * fabs(there.cycles - here.cycles);
	} else if (view->known) {
		exits = there.cycles * (e->shadow_scale > 0 ? e->shadow_scale : 1);
		*ret_uncertainty = UNCERTAINTY_TABLE * exits;
	} else if (inputs[POLICY_INPUT_tlb_flushes].known) {
		/* Each was an exit; that it stands for a fill too is a guess. */
		exits = there.cycles;
		*ret_uncertainty =
			UNCERTAINTY_TABLE * exits + UNCERTAINTY_UNKNOWN * view->work.fills *
							    (e->cost.exit + e->cost.shadow_fill);
	} else {
		exits = there.cycles;
		*ret_uncertainty = UNCERTAINTY_UNKNOWN * IN(cycles);
	}
	*ret_uncertainty += unsure * fabs(IN(walk_cycles) - *ret_walks);
	*ret_uncertainty += inputs[POLICY_INPUT_walk_cycles].uncertainty * *ret_walks;
	*ret_uncertainty += UNCERTAINTY_UNKNOWN * there.guessed;
	*ret_guessed = there.guessed;
	return exits;
}

/* Blends with what this kind of work cost in @to when it was measured there. Returns whether it
 * was. */
static bool correct(struct estimator *e, const struct view *view, enum umbra_mode to,
		    double walk_rate, double event_rate, double instructions, double *overhead,
		    double *uncertainty)
{
	const struct estimate_memory *m =
		recall(view->known ? e->memory[to] : e->tried[to], walk_rate, event_rate);
	double blend;

	if (!m)
		return false;
	blend = (m->overhead * instructions * m->weight + *overhead) / (m->weight + 1);
	*uncertainty = *uncertainty / (m->weight + 1) + UNCERTAINTY_WALK * fabs(blend - *overhead);
	*overhead = blend;
	return true;
}

void estimator_interval(struct estimator *e, enum umbra_mode mode,
			const struct policy_input inputs[POLICY_INPUT_COUNT],
			struct estimate *ret_estimate)
{
	double instructions = fmax(1, IN(instructions)), millions = instructions / 1e6;
	double walk_rate = IN(walks) / millions, event_rate, overhead, lasting, unsure, shift = 0;
	struct policy_cost *on = &ret_estimate->cost[mode];
	struct view view = {.inputs = inputs, .on = mode, .known = events_known(inputs)};
	bool settled;

	memset(ret_estimate, 0, sizeof(*ret_estimate));
	on->known = inputs[POLICY_INPUT_cycles].known;
	on->cycles = fmax(0, IN(cycles) - IN(refill_cycles) - IN(switch_cycles));
	if (mode == UMBRA_MODE_BARE || !on->known)
		return;

	e->intervals++;
	/* What is seen between two fills of a refill, its TLB cold, is no measure of the work. */
	settled = on->cycles >= SETTLED_SHARE * IN(cycles);
	view.own_exits = exits_of_mode(&e->cost, mode, inputs, &unsure);
	overhead = IN(walk_cycles) + view.own_exits;
	ret_estimate->walks[mode] = IN(walk_cycles);
	ret_estimate->exits[mode] = view.own_exits;
	on->uncertainty = inputs[POLICY_INPUT_walk_cycles].uncertainty * IN(walk_cycles) +
			  unsure * view.own_exits;
	/* EPT violations happen once for each page: no property of the work. */
	lasting = (mode == UMBRA_MODE_EPT ? IN(walk_cycles) : overhead) / instructions;
	e->pages_touched += IN(ept_fills);
	e->pages_filled += IN(shadow_fills);
	if (settled)
		learn(e, mode, inputs, view.own_exits);
	view.work = work_of(inputs, mode, view.known, e->unsyncs_per_cr3_load);
	event_rate = view.known
			     ? (IN(guest_cr3_loads) + IN(guest_invlpgs) + IN(guest_page_faults)) /
				       millions
			     : work_cold_walks(inputs) / millions;

	/* Shadow before brute, which is the same but for the guest's accesses to its tables. */
	for (int to = UMBRA_MODE_COUNT - 1; to > UMBRA_MODE_BARE; to--) {
		struct policy_cost *there = &ret_estimate->cost[to];
		double computed, corrected, guessed;
		bool seen;

		if (to == (int)mode)
			continue;
		ret_estimate->exits[to] = compute_exits(e, &view, to, &ret_estimate->walks[to],
							&there->uncertainty, &guessed);
		computed = ret_estimate->walks[to] + ret_estimate->exits[to];
		if (to == UMBRA_MODE_BRUTE)
			computed = fmax(0, computed + shift);
		corrected = computed;
		seen = correct(e, &view, to, walk_rate, event_rate, instructions, &corrected,
			       &there->uncertainty);
		if (to == UMBRA_MODE_SHADOW)
			shift = corrected - computed;
		there->known = true;
		there->cycles = fmax(0, on->cycles - overhead + corrected);
		ret_estimate->sure[to] = view.known && (seen || guessed <= 0);
	}

	if (!settled)
		return;
	if (view.known)
		remember(e, e->memory[mode], walk_rate, event_rate, lasting);
	if (mode != UMBRA_MODE_EPT && e->on_trial)
		remember(e, e->tried[mode], e->trial.walk_rate, e->trial.event_rate, lasting);
	e->on_trial = false;
	if (mode == UMBRA_MODE_EPT) {
		e->trial.walk_rate = walk_rate;
		e->trial.event_rate = work_cold_walks(inputs) / millions;
	}
}

void estimator_on_trial(struct estimator *e)
{
	e->on_trial = true;
}

double estimator_switch_cost(const struct estimator *e, enum umbra_mode from, enum umbra_mode to,
			     const struct policy_input inputs[POLICY_INPUT_COUNT])
{
	double cycles = e->cost.switch_pause;
	double pages;

	if (from != UMBRA_MODE_EPT)
		cycles += IN(shadow_pages) * e->cost.shadow_teardown;
	/* EPT tables are kept: no refill. */
	if (to == UMBRA_MODE_EPT || e->refill[to] > 0)
		return cycles + e->refill[to];
	/* Never more pages than were touched, nor more than are in use: in the TLB or walked for.
	 */
	pages = fmin(fmax(e->pages_touched, e->pages_filled), TLB_ENTRIES + IN(walks));
	return cycles + pages * (e->cost.exit + e->cost.shadow_fill);
}

void estimator_learn_refill(struct estimator *e, enum umbra_mode mode, double cycles)
{
	average(&e->refill[mode], cycles);
}
