/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/inputs.h"
#include "policy/pilot.h"

/*
 * A list of the last records in one piece: it grows to twice what is kept, then its newer half
 * moves down.
 */
struct records {
	void *items;
	size_t size; /* of one */
	size_t kept;
	size_t nr;
	uint64_t total;
};

struct pilot {
	struct umbra_guest *guest;
	struct pilot_config config;
	struct policy *policy;
	struct umbra_counters before; /* at the start of this interval */
	struct records decisions, switches;
};

static int records_init(struct records *records, size_t size, size_t kept)
{
	*records = (struct records){.size = size, .kept = kept};
	records->items = calloc(2 * kept, size);
	return records->items ? 0 : -ENOMEM;
}

static void *records_at(const struct records *records, size_t index)
{
	return (char *)records->items + index * records->size;
}

static void *records_add(struct records *records, const void *item)
{
	void *slot;

	if (records->nr == 2 * records->kept) {
		memmove(records->items, records_at(records, records->kept),
			records->kept * records->size);
		records->nr = records->kept;
	}
	slot = records_at(records, records->nr++);
	memcpy(slot, item, records->size);
	records->total++;
	return slot;
}

/* The kept ones. */
static size_t records_last(const struct records *records, const void **ret_items)
{
	size_t nr = records->nr < records->kept ? records->nr : records->kept;

	*ret_items = records_at(records, records->nr - nr);
	return nr;
}

/* Why a guest cannot have this policy; NULL: it can. */
static const char *cannot_have(const struct umbra_guest *guest, enum policy_kind kind)
{
	if (umbra_guest_mode(guest) == UMBRA_MODE_BARE && kind != POLICY_PINNED)
		return "a bare guest has no VMM to switch";
	if (umbra_guest_engine(guest) == UMBRA_ENGINE_KVM && kind == POLICY_AUTO)
		return "the mode of a guest of the KVM engine is that of the host's KVM";
	return NULL;
}

int pilot_create(struct umbra_guest *guest, const struct pilot_config *config,
		 struct pilot **ret_pilot, struct umbra_error *ret_error)
{
	const char *why = cannot_have(guest, config->kind);
	struct umbra_cost_table known;
	struct pilot *pilot;
	int err;

	umbra_cost_table_init(&known, umbra_guest_processor(guest));
	if (why)
		return umbra_error_set(ret_error, -EINVAL, policy_kind_name(config->kind), NULL,
				       "%s", why);
	pilot = calloc(1, sizeof(*pilot));
	if (!pilot)
		return umbra_error_set(ret_error, -ENOMEM, "policy", NULL, "out of memory");
	pilot->guest = guest;
	pilot->config = *config;
	err = records_init(&pilot->decisions, sizeof(struct policy_decision),
			   config->kept ? config->kept : PILOT_DECISIONS_KEPT);
	if (!err)
		err = records_init(&pilot->switches, sizeof(struct switch_record),
				   config->kept ? config->kept : PILOT_SWITCHES_KEPT);
	if (!err)
		err = policy_create(config->cost ? config->cost : &known.cost, config->kind,
				    &pilot->policy);
	if (err) {
		pilot_destroy(pilot);
		return umbra_error_set(ret_error, err, "policy", NULL, "out of memory");
	}
	pilot->config.cost = NULL; /* the policy has its copy */
	pilot->before = *umbra_guest_counters(guest);
	*ret_pilot = pilot;
	return 0;
}

void pilot_destroy(struct pilot *pilot)
{
	if (!pilot)
		return;
	policy_destroy(pilot->policy);
	free(pilot->decisions.items);
	free(pilot->switches.items);
	free(pilot);
}

/* Brings the newest record's refill up to date. */
static void refresh_last_switch(struct pilot *pilot)
{
	const struct umbra_switch *last = umbra_guest_last_switch(pilot->guest);
	struct switch_record *record;

	if (!last || !pilot->switches.nr)
		return;
	record = records_at(&pilot->switches, pilot->switches.nr - 1);
	if (record->record.instruction != last->instruction || record->record.to != last->to ||
	    (record->record.refill_fills == last->refill_fills &&
	     record->record.refill_cycles == last->refill_cycles))
		return;
	record->record = *last;
	if (pilot->config.switched)
		pilot->config.switched(pilot->config.context, pilot->switches.total, record);
}

int pilot_switch(struct pilot *pilot, enum umbra_mode to, const char *reason,
		 struct umbra_error *ret_error)
{
	struct switch_record record = {.reason = reason};
	int err;

	refresh_last_switch(pilot);
	err = umbra_guest_switch(pilot->guest, to, &record.record, ret_error);
	if (err)
		return err;
	records_add(&pilot->switches, &record);
	/* An interval is spent in one mode alone: what is left of this one counts for the new mode.
	 */
	pilot->before = *umbra_guest_counters(pilot->guest);
	if (pilot->config.switched)
		pilot->config.switched(pilot->config.context, pilot->switches.total, &record);
	return 0;
}

static void amend(struct pilot *pilot, const struct policy_decision *decision)
{
	const struct policy_decision *oldest = pilot->decisions.items;
	struct policy_decision *kept;

	if (pilot->decisions.nr && decision->id >= oldest->id &&
	    decision->id - oldest->id < pilot->decisions.nr) {
		kept = records_at(&pilot->decisions, decision->id - oldest->id);
		*kept = *decision;
	}
	if (pilot->config.decision)
		pilot->config.decision(pilot->config.context, decision);
}

static void interval(struct pilot *pilot)
{
	const struct umbra_counters *now = umbra_guest_counters(pilot->guest);
	enum umbra_mode mode = umbra_guest_mode(pilot->guest);
	struct policy_input inputs[POLICY_INPUT_COUNT];
	const struct policy_decision *decision, *amended;
	struct umbra_counters delta;

	umbra_counters_delta(now, &pilot->before, &delta);
	pilot->before = *now;
	refresh_last_switch(pilot);
	policy_inputs_fill(&delta, umbra_guest_cpus(pilot->guest), mode, !pilot->config.no_model,
			   inputs);
	if (pilot->config.frozen)
		policy_set_frozen(pilot->policy, pilot->config.frozen(pilot->config.context));
	decision = policy_decide(pilot->policy, umbra_guest_time(pilot->guest),
				 now->instructions[0], mode, inputs);
	records_add(&pilot->decisions, decision);
	for (unsigned int i = 0; (amended = policy_amended(pilot->policy, i)); i++)
		amend(pilot, amended);
	if (pilot->config.decision)
		pilot->config.decision(pilot->config.context, decision);
	/* This fails only where the guest cannot go on anyhow. */
	if (decision->action != POLICY_STAY)
		pilot_switch(pilot, decision->target,
			     decision->action == POLICY_ROLLBACK ? "rollback" : "policy", NULL);
}

enum umbra_event pilot_run(struct pilot *pilot, uint64_t until_instruction)
{
	enum umbra_event event = umbra_guest_run(pilot->guest, until_instruction);

	/* Of a guest of KVM's nothing is known that a decision could stand on. */
	if (event == UMBRA_EVENT_INTERVAL && umbra_guest_engine(pilot->guest) == UMBRA_ENGINE_SOFT)
		interval(pilot);
	else if (event == UMBRA_EVENT_ENDED)
		refresh_last_switch(pilot);
	return event;
}

int pilot_set_policy(struct pilot *pilot, enum policy_kind kind, const char **ret_why)
{
	*ret_why = cannot_have(pilot->guest, kind);
	if (*ret_why)
		return -EPERM;
	policy_set_kind(pilot->policy, kind);
	return 0;
}

enum policy_kind pilot_policy(const struct pilot *pilot)
{
	return policy_kind(pilot->policy);
}

size_t pilot_decisions(const struct pilot *pilot, const struct policy_decision **ret_decisions)
{
	return records_last(&pilot->decisions, (const void **)ret_decisions);
}

size_t pilot_switches(const struct pilot *pilot, const struct switch_record **ret_switches)
{
	return records_last(&pilot->switches, (const void **)ret_switches);
}

uint64_t pilot_nr_switches(const struct pilot *pilot)
{
	return pilot->switches.total;
}
