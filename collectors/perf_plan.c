/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <stddef.h>

#include "collectors/perf_encode.h"
#include "collectors/perf_plan.h"

struct row {
	enum processor_kind kind; /* PROCESSOR_COUNT: any */
	enum perf_group group;
	uint32_t type; /* of generic events, with the next */
	uint64_t config;
	const char *name;
	size_t counter[2];
};

#define COUNTER(name, element) UMBRA_INDEX(struct perf_event_counters, name, element)
#define NOTHING                PERF_NOTHING

static const struct row rows[] = {
#define PERF_GENERIC(group, type, config, name, counter)                                           \
	{PROCESSOR_COUNT, PERF_GROUP_##group, type, config, name, {counter, NOTHING}},
#define PERF_EVENT(processor, group, event, first, second)                                         \
	{PROCESSOR_##processor, PERF_GROUP_##group, 0, 0, event, {first, second}},
#include "collectors/perf_events.def"
};

#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct {
	enum processor_kind kind;
	const char *counter;
} withouts[] = {
#define PERF_WITHOUT(processor, counter) {PROCESSOR_##processor, #counter},
#include "collectors/perf_events.def"
};

void perf_plan_attr(const struct perf_planned *event, struct perf_event_attr *ret_attr)
{
	*ret_attr = (struct perf_event_attr){
		.size = sizeof(*ret_attr),
		.type = event->type,
		.config = event->config,
		.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED |
			       PERF_FORMAT_TOTAL_TIME_RUNNING,
		/*
		 * Guest mode alone (GuestOnly on AMD). An event of a thread does not count while
		 * the CPU is idle: exclude_idle would add nothing, and x86 knows none.
		 */
		.exclude_host = event->group != PERF_GROUP_SOFTWARE,
	};
}

bool perf_plan_unsupported(int error)
{
	/* EINVAL: a group that never fits, an attribute that this kernel does not know. */
	return error == ENOENT || error == ENODEV || error == EOPNOTSUPP || error == ENOSYS ||
	       error == EINVAL;
}

bool perf_plan_denied(int error)
{
	return error == EACCES || error == EPERM;
}

static void leave_out(struct perf_plan *plan, const struct row *row, int error)
{
	for (size_t i = 0; i < 2; i++)
		umbra_known_add(&plan->broken, row->counter[i]);
	if (!plan->event_errno && error) {
		plan->event_errno = error;
		plan->event_name = row->name;
	}
}

/* Tries a row on the calling thread, as the next of its group. */
static void try_row(struct perf_plan *plan, const struct row *row,
		    const struct perf_event_kernel *kernel, int *leader, int *ret_fd)
{
	struct perf_planned event = {
		row->name, row->group, row->type, row->config, {row->counter[0], row->counter[1]}};
	bool software = row->group == PERF_GROUP_SOFTWARE;
	int *all = software ? &plan->software_errno : &plan->hardware_errno;
	struct perf_event_attr attr;
	int error;

	if (*all) {
		leave_out(plan, row, 0);
		return;
	}
	if (row->kind != PROCESSOR_COUNT) {
		error = perf_encode(processor_pmu(row->kind), row->name, &event.type,
				    &event.config);
		plan->lacks_libpfm = plan->lacks_libpfm || error == -ENOSYS;
		if (error) {
			leave_out(plan, row, error == -ENOSYS ? 0 : -error);
			return;
		}
	}
	perf_plan_attr(&event, &attr);
	*ret_fd = kernel->open(kernel->context, &attr, 0, *leader);
	if (*ret_fd < 0) {
		error = errno;
		/* The first of each kind shows whether there is anything at all. */
		if (row->kind == PROCESSOR_COUNT && *leader < 0) {
			*all = error;
			error = 0;
		}
		leave_out(plan, row, error);
		return;
	}
	if (*leader < 0)
		*leader = *ret_fd;
	for (size_t i = 0; i < 2; i++)
		umbra_known_add(&plan->fed, row->counter[i]);
	plan->events[plan->nr++] = event;
}

void perf_plan_make(struct perf_plan *plan, const struct collector_roots *roots,
		    const struct perf_event_kernel *kernel)
{
	*plan = (struct perf_plan){0};
	processor_detect(roots, &plan->processor);
	for (int group = 0; group < PERF_GROUP_COUNT; group++) {
		int fds[NR_ROWS], leader = -1;

		for (size_t i = 0; i < NR_ROWS; i++) {
			fds[i] = -1;
			if ((int)rows[i].group != group || plan->nr == PERF_EVENTS_MAX)
				continue;
			if (rows[i].kind == PROCESSOR_COUNT || rows[i].kind == plan->processor.kind)
				try_row(plan, &rows[i], kernel, &leader, &fds[i]);
		}
		for (size_t i = 0; i < NR_ROWS; i++) {
			if (fds[i] >= 0)
				kernel->close(kernel->context, fds[i]);
		}
	}
	for (size_t i = 0; i < sizeof(withouts) / sizeof(withouts[0]); i++) {
		if (withouts[i].kind == plan->processor.kind)
			plan->without = withouts[i].counter;
	}
}
