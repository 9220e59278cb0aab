/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "policy/estimate.h"
#include "policy/policy.h"

/* An advantage below this share of the interval's cycles is no reason to move. */
#define HYSTERESIS 0.02
/* Intervals in a mode before an ordinary switch; a rollback may come after one. */
#define DWELL_MIN 2
/* Intervals after a switch in which it is on trial. */
#define TRIAL 3
/* Intervals over which a switch's "after" is measured. */
#define AFTER 2
/*
 * The same work when it walks and changes its tables as often, within this factor; then cycles an
 * instruction compare.
 */
#define SAME_WORK 1.25
/* An instruction: as good as none. */
#define FEW_EVENTS 20e-6
#define DEARER     1.03

/*
 * How much of its uncertainty is laid to a mode's charge before it is tried. Brute is shadow but
 * for the guest's accesses to its tables, each of which exits: it is to be cheaper beyond doubt.
 */
static const double doubt[UMBRA_MODE_COUNT] = {[UMBRA_MODE_BRUTE] = 1};

/*
 * Patience: the factor on the cost of a switch that the advantage must outgrow. 1 would be the
 * competitive algorithm for a metrical task system; stays that pay make it bolder,
 * stays that do not make it more careful. It drifts back to its first value.
 */
#define PATIENCE_FIRST 0.25
#define PATIENCE_MIN   0.125
#define PATIENCE_MAX   8.0
#define PATIENCE_DRIFT 0.02
/* Part of the way back that a switch out of shadow must also be worth. */
#define RETURN_SHARE 0.1
/* A probe needs this much more. */
#define PROBE_FACTOR 2.0
/* Intervals without another try after a stay that did not pay: doubled each time. */
#define HOLD_OFF_FIRST 4
#define HOLD_OFF_MAX   512

/* What was learned of going to a mode. */
struct venture {
	double patience;
	uint32_t hold_off_next;
	uint32_t hold_off; /* intervals still to go */
};

/* Sums over some intervals. */
struct span {
	uint32_t intervals;
	double cycles; /* refill and switching set aside */
	double instructions;
	double walks;
	double events;  /* CR3 loads, INVLPGs and page faults */
	uint32_t blind; /* intervals in which these were not known */
	double refill;
	double elsewhere; /* estimated cycles of the same work in the mode before */
};

/* A mode that is not on. */
struct rival {
	double advantage;   /* accumulated */
	bool speaks;        /* it was above 0 in the last interval */
	struct span before; /* since it began to accumulate */
};

struct policy {
	enum policy_kind kind;
	bool frozen;
	struct estimator estimator;
	uint64_t next_id;
	enum umbra_mode mode; /* in the last interval; UMBRA_MODE_COUNT before the first */
	bool asked;           /* the last decision asked for a switch */
	struct rival rival[UMBRA_MODE_COUNT];
	struct span after;    /* since the switch */
	uint32_t dwell;       /* intervals in this mode */
	enum umbra_mode from; /* that was on before this stay */
	bool own_stay;        /* the policy itself chose this stay */
	double stay_gain;     /* of this stay against the mode before, as estimated */
	double stay_refill;
	struct venture venture[UMBRA_MODE_COUNT];
	struct policy_decision last;     /* the newest decision */
	struct policy_decision switched; /* the last switch, while its "after" is open */
	bool after_open;
	struct span before_switch; /* what spoke for that switch */
	struct policy_decision amended[2];
	unsigned int nr_amended;
};

static double number(const struct policy_input *inputs, enum policy_input_id id)
{
	return inputs[id].known ? (double)inputs[id].value : 0;
}

/* What is to be expected of a mode at worst, as far as it is doubted. */
static double doubted(const struct policy_cost *costs, enum umbra_mode mode)
{
	return costs[mode].cycles + doubt[mode] * costs[mode].uncertainty;
}

/* The cheapest of the modes that are not on; @on: there is none. */
static enum umbra_mode best_other(const struct policy_cost *costs, enum umbra_mode on)
{
	enum umbra_mode best = on;

	/* From ept down: of equal ones the one that has more to lose is not chosen. */
	for (enum umbra_mode mode = UMBRA_MODE_COUNT; mode-- > UMBRA_MODE_BARE + 1;) {
		if (mode != on && costs[mode].known &&
		    (best == on || doubted(costs, mode) < doubted(costs, best)))
			best = mode;
	}
	return best;
}

static double per_instruction(double x, const struct span *span)
{
	return span->instructions > 0 ? x / span->instructions : x;
}

static void span_add(struct span *span, const struct policy_input *inputs, double cycles)
{
	span->intervals++;
	span->cycles += cycles;
	span->instructions += number(inputs, POLICY_INPUT_instructions);
	span->walks += number(inputs, POLICY_INPUT_walks);
	span->events += number(inputs, POLICY_INPUT_guest_cr3_loads) +
			number(inputs, POLICY_INPUT_guest_invlpgs) +
			number(inputs, POLICY_INPUT_guest_page_faults);
	span->blind += !inputs[POLICY_INPUT_guest_invlpgs].known;
	span->refill += number(inputs, POLICY_INPUT_refill_cycles);
}

int policy_create(const struct umbra_cost *cost, enum policy_kind kind, struct policy **ret_policy)
{
	struct policy *policy = calloc(1, sizeof(*policy));

	if (!policy)
		return -ENOMEM;
	policy->kind = kind;
	policy->next_id = 1;
	policy->mode = UMBRA_MODE_COUNT;
	estimator_init(&policy->estimator, cost);
	for (int i = 0; i < UMBRA_MODE_COUNT; i++)
		policy->venture[i] = (struct venture){PATIENCE_FIRST, HOLD_OFF_FIRST, 0};
	*ret_policy = policy;
	return 0;
}

void policy_destroy(struct policy *policy)
{
	free(policy);
}

void policy_set_kind(struct policy *policy, enum policy_kind kind)
{
	policy->kind = kind;
	for (int i = 0; i < UMBRA_MODE_COUNT; i++)
		policy->rival[i].advantage = 0;
}

enum policy_kind policy_kind(const struct policy *policy)
{
	return policy->kind;
}

void policy_set_frozen(struct policy *policy, bool frozen)
{
	policy->frozen = frozen;
}

/* --- what came of earlier decisions ------------------------------------------------------- */

static void amend(struct policy *p, struct policy_decision *decision)
{
	p->amended[p->nr_amended++] = *decision;
}

/* The stay decided last has had its next interval. */
static void finish_stay(struct policy *p, enum umbra_mode mode, const struct estimate *estimate,
			const struct span *now)
{
	struct policy_decision *d = &p->last;
	enum umbra_mode best = best_other(estimate->cost, mode);

	if (!d->id || d->action != POLICY_STAY)
		return;
	d->after.known = true;
	d->after.intervals = 1;
	d->after.cycles_per_instruction = per_instruction(now->cycles, now);
	d->after.refill_cycles = now->refill;
	d->after.paid =
		mode == d->mode &&
		(best == mode || now->cycles <= doubted(estimate->cost, best) * (1 + HYSTERESIS));
	amend(p, d);
}

static bool alike(double a, double b)
{
	return a < b * SAME_WORK && b < a * SAME_WORK;
}

/* Since the last switch the guest walks and changes its tables as often as before it. */
static bool same_work(const struct policy *p)
{
	const struct span *before = &p->before_switch, *after = &p->after;

	if (after->instructions <= 0 || before->instructions <= 0)
		return false;
	if (!before->blind && !after->blind &&
	    !alike(per_instruction(before->events, before) + FEW_EVENTS,
		   per_instruction(after->events, after) + FEW_EVENTS))
		return false;
	return alike(per_instruction(before->walks, before), per_instruction(after->walks, after));
}

static void finish_switch(struct policy *p)
{
	struct policy_decision *d = &p->switched;

	if (!p->after_open || !p->after.intervals)
		return;
	d->after.known = true;
	d->after.intervals = p->after.intervals;
	d->after.cycles_per_instruction = per_instruction(p->after.cycles, &p->after);
	d->after.refill_cycles = p->after.refill;
	/* When the work has changed since, what counts is what it would have cost there. */
	d->after.paid = same_work(p) ? d->after.cycles_per_instruction <
					       d->after.cycles_per_instruction_before
				     : p->after.cycles < p->after.elsewhere;
	amend(p, d);
	p->after_open = false;
}

/* A stay that the policy chose is over: did it pay, its refill and its switch counted? */
static void learn_from_stay(struct policy *p, enum umbra_mode mode)
{
	struct venture *v = &p->venture[mode];

	estimator_learn_refill(&p->estimator, mode, p->stay_refill);
	if (p->stay_gain > p->stay_refill + p->estimator.cost.switch_pause) {
		v->patience = fmax(PATIENCE_MIN, v->patience / 2);
		v->hold_off_next = HOLD_OFF_FIRST;
	} else {
		v->patience = fmin(PATIENCE_MAX, v->patience * 2);
		v->hold_off = v->hold_off_next;
		v->hold_off_next =
			v->hold_off_next * 2 < HOLD_OFF_MAX ? v->hold_off_next * 2 : HOLD_OFF_MAX;
	}
}

/* The mode is another one than in the last interval. */
static void enter_mode(struct policy *p, enum umbra_mode mode)
{
	if (p->mode != UMBRA_MODE_COUNT && p->own_stay)
		learn_from_stay(p, p->mode);
	p->own_stay = p->asked && p->last.target == mode;
	if (!p->own_stay)
		p->after_open = false;
	p->from = p->mode;
	p->mode = mode;
	p->dwell = 0;
	p->stay_gain = 0;
	p->stay_refill = 0;
	p->after = (struct span){0};
	memset(p->rival, 0, sizeof(p->rival));
}

/* --- the decision ------------------------------------------------------------------------- */

struct verdict {
	enum policy_action action;
	const char *reason;
};

#define VERDICT(action, reason) ((struct verdict){POLICY_##action, reason})

/*
 * The switch is on trial and it shows that things became dearer: shows, once there was more work
 * than refill.
 */
static bool dearer_than_before(const struct policy *p)
{
	return p->own_stay && same_work(p) && p->after.cycles > p->after.refill &&
	       per_instruction(p->after.cycles, &p->after) >
		       p->switched.after.cycles_per_instruction_before * DEARER;
}

/*
 * A refill took most of the interval: what little work was done between the fills, its TLB cold,
 * tells nothing. A refill that goes on beyond the trial is how the guest is.
 */
static bool refilling(const struct policy *p, const struct policy_decision *d)
{
	return p->dwell <= TRIAL &&
	       d->cost[d->mode].cycles < number(d->inputs, POLICY_INPUT_refill_cycles);
}

/* Cycles of accumulated advantage that a switch to @to needs; *ret_switch_cost: what it costs. */
static double threshold_of(const struct policy *p, const struct policy_decision *d,
			   enum umbra_mode to, bool sure, double *ret_switch_cost)
{
	double threshold = estimator_switch_cost(&p->estimator, d->mode, to, d->inputs);

	*ret_switch_cost = threshold;
	/* The way back; EPT tables are kept. */
	if (d->mode != UMBRA_MODE_EPT)
		threshold += RETURN_SHARE * p->estimator.refill[d->mode];
	return threshold * p->venture[to].patience * (sure ? 1 : PROBE_FACTOR);
}

/* Whether the switch that led here is to be taken back: its trial, and what it shows. */
static bool must_roll_back(const struct policy *p, const struct policy_decision *d,
			   const struct estimate *estimate)
{
	enum umbra_mode back = p->switched.mode;
	double gain = d->cost[d->mode].cycles - d->cost[back].cycles, unused;
	/* Of the whole interval: where nearly all of it was refill, no gain is large. */
	double hysteresis = HYSTERESIS * number(d->inputs, POLICY_INPUT_cycles);

	/* Going back is no try: what the mode before costs was just seen. */
	if (!p->own_stay || p->switched.action != POLICY_SWITCH || p->dwell > TRIAL ||
	    !d->cost[back].known)
		return false;
	/* Work that only walks alike, and would be dearer there, is other work. */
	if (gain > 0 && dearer_than_before(p))
		return true;
	return gain > hysteresis &&
	       p->rival[back].advantage > threshold_of(p, d, back, estimate->sure[back], &unused);
}

/* Whether to leave for the rival. */
static struct verdict judge(const struct policy *p, const struct policy_decision *d, bool sure)
{
	const struct venture *v = &p->venture[d->rival];
	double gain = d->cost[d->mode].cycles - doubted(d->cost, d->rival);
	double hysteresis = HYSTERESIS * number(d->inputs, POLICY_INPUT_cycles);

	if (gain <= 0)
		return VERDICT(STAY, "cheapest");
	if (gain <= hysteresis)
		return VERDICT(STAY, "hysteresis");
	if (v->hold_off)
		return VERDICT(STAY, "hold_off");
	if (d->advantage <= d->threshold)
		return VERDICT(STAY, "accumulating");
	if (p->own_stay && p->dwell < DWELL_MIN)
		return VERDICT(STAY, "dwell");
	return VERDICT(SWITCH, sure ? "cheaper" : "probe");
}

static void span_join(struct span *span, const struct span *now)
{
	span->intervals++;
	span->cycles += now->cycles;
	span->instructions += now->instructions;
	span->walks += now->walks;
	span->events += now->events;
	span->blind += now->blind;
}

/* What speaks for the mode @to, with this interval. */
static void accumulate(struct policy *p, const struct policy_decision *d, enum umbra_mode to,
		       const struct span *now)
{
	struct rival *r = &p->rival[to];
	double gain = d->cost[d->mode].cycles - doubted(d->cost, to);

	if (!refilling(p, d) &&
	    (gain > HYSTERESIS * number(d->inputs, POLICY_INPUT_cycles) || gain < 0))
		r->advantage = fmax(0, r->advantage + gain);
	/* What a switch will be measured against: the intervals that speak for it, or this one. */
	if (r->advantage <= 0 || !r->speaks)
		r->before = (struct span){0};
	r->speaks = r->advantage > 0;
	span_join(&r->before, now);
}

static void decide(struct policy *p, struct policy_decision *d, const struct estimate *estimate,
		   const struct span *now)
{
	const struct policy_cost *before = p->from != UMBRA_MODE_COUNT ? &d->cost[p->from] : NULL;
	struct verdict verdict;
	bool back;

	for (int i = 0; i < UMBRA_MODE_COUNT; i++) {
		p->venture[i].patience +=
			PATIENCE_DRIFT * (PATIENCE_FIRST - p->venture[i].patience);
		if (i != (int)d->mode && d->cost[i].known)
			accumulate(p, d, i, now);
	}
	if (before && before->known)
		p->stay_gain += before->cycles - d->cost[d->mode].cycles;
	p->stay_refill += now->refill;

	back = must_roll_back(p, d, estimate);
	d->rival = back ? p->switched.mode : best_other(d->cost, d->mode);
	d->threshold = threshold_of(p, d, d->rival, estimate->sure[d->rival], &d->switch_cost);
	d->advantage = p->rival[d->rival].advantage;

	if (p->kind == POLICY_PINNED)
		verdict = VERDICT(STAY, "pinned");
	else if (refilling(p, d))
		verdict = VERDICT(STAY, "refill");
	else if (back)
		verdict = VERDICT(ROLLBACK, "did_not_pay");
	else
		verdict = judge(p, d, estimate->sure[d->rival]);
	d->reason = verdict.reason;
	for (int i = 0; i < UMBRA_MODE_COUNT; i++) {
		if (i != (int)d->mode && p->venture[i].hold_off)
			p->venture[i].hold_off--;
	}
	if (verdict.action == POLICY_STAY)
		return;
	d->target = d->rival;
	if (p->kind == POLICY_ADVISE) {
		d->reason = "advise";
		return;
	}
	if (p->frozen) {
		d->reason = "frozen";
		return;
	}
	d->action = verdict.action;
	d->after.cycles_per_instruction_before =
		per_instruction(p->rival[d->rival].before.cycles, &p->rival[d->rival].before);
	finish_switch(p);
	p->before_switch = p->rival[d->rival].before;
	p->switched = *d;
	p->after_open = true;
	if (d->mode == UMBRA_MODE_EPT)
		estimator_on_trial(&p->estimator);
}

const struct policy_decision *policy_decide(struct policy *p, uint64_t time, uint64_t instruction,
					    enum umbra_mode mode,
					    const struct policy_input inputs[POLICY_INPUT_COUNT])
{
	struct policy_decision d = {.time = time, .instruction = instruction, .mode = mode};
	struct estimate estimate;
	struct span now = {0};

	p->nr_amended = 0;
	if (mode != p->mode)
		enter_mode(p, mode);
	p->dwell++;
	estimator_interval(&p->estimator, mode, inputs, &estimate);
	span_add(&now, inputs, estimate.cost[mode].cycles);
	finish_stay(p, mode, &estimate, &now);
	if (p->after_open) {
		span_add(&p->after, inputs, estimate.cost[mode].cycles);
		p->after.elsewhere += estimate.cost[p->switched.mode].cycles;
		if (p->after.intervals >= AFTER)
			finish_switch(p);
	}

	d.id = p->next_id++;
	d.target = d.rival = mode;
	memcpy(d.inputs, inputs, sizeof(d.inputs));
	memcpy(d.cost, estimate.cost, sizeof(d.cost));
	d.after.cycles_per_instruction_before = per_instruction(now.cycles, &now);
	if (mode == UMBRA_MODE_BARE)
		d.reason = "bare";
	else
		decide(p, &d, &estimate, &now);
	p->asked = d.action != POLICY_STAY;
	p->last = d;
	return &p->last;
}

const struct policy_decision *policy_amended(const struct policy *policy, unsigned int index)
{
	return index < policy->nr_amended ? &policy->amended[index] : NULL;
}
