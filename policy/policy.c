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
 * Patience: the factor on the cost of a switch that the advantage must outgrow. 1 would be the
 * competitive algorithm for a metrical task system of two states; stays that pay make it bolder,
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
	double elsewhere; /* estimated cycles of the same work in the other mode */
};

struct policy {
	enum policy_kind kind;
	struct estimator estimator;
	uint64_t next_id;
	enum umbra_mode mode; /* in the last interval; UMBRA_MODE_COUNT before the first */
	bool asked;           /* the last decision asked for a switch */
	double advantage;
	bool speaks;        /* the advantage was above 0 in the last interval */
	struct span before; /* since the advantage began to accumulate */
	struct span after;  /* since the switch */
	uint32_t dwell;     /* intervals in this mode */
	bool own_stay;      /* the policy itself chose this stay */
	double stay_gain;   /* of this stay against the other mode, as estimated */
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

static enum umbra_mode other_mode(enum umbra_mode mode)
{
	return mode == UMBRA_MODE_EPT ? UMBRA_MODE_SHADOW : UMBRA_MODE_EPT;
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
	policy->advantage = 0;
}

enum policy_kind policy_kind(const struct policy *policy)
{
	return policy->kind;
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
	const struct policy_cost *there = &estimate->cost[other_mode(mode)];

	if (!d->id || d->action != POLICY_STAY)
		return;
	d->after.known = true;
	d->after.intervals = 1;
	d->after.cycles_per_instruction = per_instruction(now->cycles, now);
	d->after.refill_cycles = now->refill;
	d->after.paid = mode == d->mode && (mode == UMBRA_MODE_BARE || !there->known ||
					    now->cycles <= there->cycles * (1 + HYSTERESIS));
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
	p->mode = mode;
	p->advantage = 0;
	p->dwell = 0;
	p->stay_gain = 0;
	p->stay_refill = 0;
	p->after = (struct span){0};
	p->before = (struct span){0};
	p->speaks = false;
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

static struct verdict judge(const struct policy *p, const struct policy_decision *d, bool sure,
			    double gain)
{
	const struct venture *v = &p->venture[other_mode(d->mode)];
	/* Of the whole interval: where nearly all of it was refill, no gain is large. */
	double hysteresis = HYSTERESIS * number(d->inputs, POLICY_INPUT_cycles);

	if (p->kind == POLICY_PINNED)
		return VERDICT(STAY, "pinned");
	if (refilling(p, d))
		return VERDICT(STAY, "refill");
	/* Going back is no try: what the other mode costs was just seen. */
	if (p->own_stay && p->switched.action == POLICY_SWITCH && p->dwell <= TRIAL) {
		/* Work that only walks alike, and would be dearer there, is other work. */
		bool dearer = gain > 0 && dearer_than_before(p);

		if (dearer || (gain > hysteresis && p->advantage > d->threshold))
			return VERDICT(ROLLBACK, "did_not_pay");
	}
	if (gain <= 0)
		return VERDICT(STAY, "cheapest");
	if (gain <= hysteresis)
		return VERDICT(STAY, "hysteresis");
	if (v->hold_off)
		return VERDICT(STAY, "hold_off");
	if (p->advantage <= d->threshold)
		return VERDICT(STAY, "accumulating");
	if (p->own_stay && p->dwell < DWELL_MIN)
		return VERDICT(STAY, "dwell");
	return VERDICT(SWITCH, sure ? "cheaper" : "probe");
}

static void decide(struct policy *p, struct policy_decision *d, const struct estimate *estimate,
		   const struct span *now)
{
	enum umbra_mode other = other_mode(d->mode);
	struct venture *v = &p->venture[other];
	double gain = d->cost[d->mode].cycles - d->cost[other].cycles;
	struct verdict verdict;

	for (int i = 0; i < UMBRA_MODE_COUNT; i++)
		p->venture[i].patience +=
			PATIENCE_DRIFT * (PATIENCE_FIRST - p->venture[i].patience);

	if (!refilling(p, d) &&
	    (gain > HYSTERESIS * number(d->inputs, POLICY_INPUT_cycles) || gain < 0))
		p->advantage = fmax(0, p->advantage + gain);
	/* What a switch will be measured against: the intervals that speak for it, or this one. */
	if (p->advantage <= 0 || !p->speaks)
		p->before = (struct span){0};
	p->speaks = p->advantage > 0;
	p->before.intervals++;
	p->before.cycles += now->cycles;
	p->before.instructions += now->instructions;
	p->before.walks += now->walks;
	p->before.events += now->events;
	p->before.blind += now->blind;
	p->stay_gain -= gain;
	p->stay_refill += now->refill;

	d->switch_cost = estimator_switch_cost(&p->estimator, d->mode, d->inputs);
	d->threshold = d->switch_cost;
	if (d->mode == UMBRA_MODE_SHADOW)
		d->threshold += RETURN_SHARE * p->estimator.refill[UMBRA_MODE_SHADOW];
	d->threshold *= v->patience * (estimate->sure ? 1 : PROBE_FACTOR);
	d->advantage = p->advantage;

	verdict = judge(p, d, estimate->sure, gain);
	d->reason = verdict.reason;
	d->after.cycles_per_instruction_before = per_instruction(now->cycles, now);
	if (v->hold_off)
		v->hold_off--;
	if (verdict.action == POLICY_STAY)
		return;
	d->target = other;
	if (p->kind == POLICY_ADVISE) {
		d->reason = "advise";
		return;
	}
	d->action = verdict.action;
	d->after.cycles_per_instruction_before = per_instruction(p->before.cycles, &p->before);
	finish_switch(p);
	p->before_switch = p->before;
	p->switched = *d;
	p->after_open = true;
	if (other == UMBRA_MODE_SHADOW)
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
		p->after.elsewhere += estimate.cost[other_mode(mode)].cycles;
		if (p->after.intervals >= AFTER)
			finish_switch(p);
	}

	d.id = p->next_id++;
	d.target = mode;
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
