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

#include "collectors/sample.h"
#include "cost/cost.h"
#include "policy/policy.h"
#include "policy/record.h"
#include "schemas/metrics.h"
#include "umbra/counters.h"
#include "umbra/end.h"
#include "umbra/guest.h"
#include "umbra/known.h"
#include "web/text.h"

/* What one source says of a guest. */
struct measured {
	const void *values; /* the struct of the source, see enum metric_source; NULL: nothing */
	const struct umbra_known *known; /* NULL: all */
	const char *state; /* of its collector, for this guest; NULL: it has no part in it */
};

/* The last switch of a guest's present run, and the decision behind it as far as it is known. */
struct change_view {
	struct switch_record made;
	uint64_t decision; /* its number; 0: no decision of the policy, or not known */
	bool expected_known;
	double expected_percent; /* of the interval's cycles, more; below 0: fewer */
	bool outcome_known, paid;
};

struct advice;

struct vcpu_view {
	int id;
	long tid; /* thread that runs it; 0: not known */
};

/* A VM of another program. Its strings are whatever that program said: any bytes. */
struct vm_view {
	const char *process; /* name of the program's process */
	const char *unit;    /* its cgroup, the last part; "": not known */
	int fd;              /* that process' descriptor of the VM; -1: not known */
	uint64_t start_time; /* of that process, clock ticks since boot; 0: not known */
	const struct vcpu_view *vcpus;
	size_t nr_vcpus;
	/* [KVM_EXIT_REASON_COUNT], as in struct vm_sample; NULL: exits are not timed */
	const uint64_t (*exit_slots)[EXIT_SLOT_COUNT];
};

/*
 * Of a guest that KVM runs processor and costs are NULL and clock is UMBRA_CLOCK_COUNT: there are
 * none. Of an observed guest mode_reason may be NULL and mode UMBRA_MODE_COUNT: not known.
 */
struct guest_view {
	const char *id;    /* NULL in a run: id, state, pid are left out */
	const char *state; /* starting, running, paused, ended, failed */
	long pid;
	time_t started; /* wall time; 0: not known, or a run */
	unsigned int starts;
	int restart_in;    /* seconds until it starts anew; -1: it does not */
	const char *guest; /* its name; of an observed one any bytes, like its id */
	const char *engine;
	enum umbra_mode mode;
	enum policy_kind policy;
	const char *policy_source; /* NULL in a run */
	enum umbra_clock clock;
	const char *processor;
	const struct umbra_cost_table *costs; /* NULL: not known */
	unsigned int cpus;
	bool observed; /* of another program; umbrad only measures it */
	const char *
		mode_reason; /* where the mode comes from, or why it is not known; NULL: not told */
	const struct advice *advice; /* policy/advice.h; NULL: there is none, or not yet */
	const struct vm_view *vm;    /* NULL: it is not observed */
	struct measured measured[METRIC_SOURCE_COUNT];
	const struct umbra_kvm_other *kvm_other; /* with METRIC_KVM */
	size_t nr_kvm_other;
	const char *unmeasured; /* why the core tells nothing of it, as a collector's state; NULL:
				   it has not reported */
	const struct umbra_end *end;          /* NULL: alive */
	const struct switch_record *switches; /* oldest first */
	size_t nr_switches;
	const struct policy_decision *decisions; /* oldest first */
	size_t nr_decisions;
	/* Instead of these lists: JSON of them; NULL: the lists it is. */
	const char *switches_json, *decisions_json;
	const struct change_view *last_switch;   /* NULL: it has not switched, or is a run */
	const char *memory_hash;                 /* NULL: not computed */
	const struct umbra_registers *registers; /* of each vCPU; NULL: not read */
};

/* The row of @group by which @view shows it: of the first source that knows any of it; NULL: none.
 */
const struct metric *view_metric(const struct guest_view *view, const struct metric_group *group);
/*
 * Value @i of it; false: not known. Here, so that it is inlined: it is asked for every number that
 * is served.
 */
static inline bool view_value(const struct guest_view *view, const struct metric *metric, size_t i,
			      uint64_t *ret_value)
{
	const struct measured *measured = &view->measured[metric->source];

	if (!measured->values ||
	    (measured->known && !umbra_known_has(measured->known, metric->index + i)))
		return false;
	*ret_value = ((const uint64_t *)measured->values)[metric->index + i];
	return true;
}

/* [KVM_EXIT_REASON_COUNT] nanoseconds of the exits in vm->exit_slots; NULL: exits are not timed. */
const uint64_t *view_exit_times(const struct guest_view *view);

/* The guest object of a run's JSON and of the API; @lists: with switches, decisions, registers. */
void web_write_guest(struct text *out, const struct guest_view *view, bool lists);
/* Its metrics, as keys of that object. */
void web_write_measured(struct text *out, const struct guest_view *view);
/* What is told of an observed guest alone, as keys of that object. */
void web_write_vm(struct text *out, const struct guest_view *view, bool lists);
/* KVM's statistics that no metric is, as a key of that object. */
void web_write_kvm_other(struct text *out, const struct guest_view *view);
void web_write_advice(struct text *out, const struct advice *advice);
void web_write_costs(struct text *out, const struct umbra_cost_table *costs);
void web_write_decision(struct text *out, const struct policy_decision *decision);
void web_write_switch(struct text *out, const struct switch_record *record);

/* The same as values. NULL: out of memory. */
json_t *web_encode_guest(const struct guest_view *view, bool lists);
json_t *web_encode_costs(const struct umbra_cost_table *costs);
json_t *web_encode_decision(const struct policy_decision *decision);
json_t *web_encode_switch(const struct switch_record *record);

#endif
