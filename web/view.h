/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is shown of one guest: borrowed pointers into an immutable snapshot (umbrad) or into a
 * finished run (umbra run). The encoders format it and change nothing.
 */
#ifndef WEB_VIEW_H
#define WEB_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "cost/cost.h"
#include "policy/policy.h"
#include "policy/record.h"
#include "umbra/counters.h"
#include "umbra/end.h"
#include "umbra/guest.h"
#include "web/text.h"

struct guest_view {
	const char *id;    /* NULL in a run: id, state, pid are left out */
	const char *state; /* starting, running, paused, ended, failed */
	long pid;
	time_t started; /* wall time; 0: not known, or a run */
	unsigned int starts;
	int restart_in;    /* seconds until it starts anew; -1: it does not */
	const char *guest; /* its name */
	const char *engine;
	enum umbra_mode mode;
	enum policy_kind policy;
	const char *policy_source; /* NULL in a run */
	enum umbra_clock clock;
	const char *processor;
	const struct umbra_cost_table *costs; /* NULL: not known */
	unsigned int cpus;
	const struct umbra_counters *counters;
	const char *
		unmeasured; /* why it has none, as a collector's state; NULL: it has not reported */
	const struct umbra_end *end;          /* NULL: alive */
	const struct switch_record *switches; /* oldest first */
	size_t nr_switches;
	const struct policy_decision *decisions; /* oldest first */
	size_t nr_decisions;
	/* Instead of these lists: JSON of them; NULL: the lists it is. */
	const char *switches_json, *decisions_json;
	const char *memory_hash;                 /* NULL: not computed */
	const struct umbra_registers *registers; /* of each vCPU; NULL: not read */
};

/* The guest object of a run's JSON and of the API; @lists: with switches, decisions, registers. */
void web_write_guest(struct text *out, const struct guest_view *view, bool lists);
void web_write_costs(struct text *out, const struct umbra_cost_table *costs);
void web_write_decision(struct text *out, const struct policy_decision *decision);
void web_write_switch(struct text *out, const struct switch_record *record);

/* The same as values. NULL: out of memory. */
json_t *web_encode_guest(const struct guest_view *view, bool lists);
json_t *web_encode_costs(const struct umbra_cost_table *costs);
json_t *web_encode_decision(const struct policy_decision *decision);
json_t *web_encode_switch(const struct switch_record *record);

#endif
