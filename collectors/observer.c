/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/clock.h"
#include "collectors/discovery.h"
#include "collectors/observer.h"

/* Rounds from one scan of /proc to the next: it only finds what uevents did not tell. */
enum { ROUNDS_A_SCAN = 30, ROUNDS_A_SCAN_ALONE = 2, THREADS_AT_ONCE = 256 };

/* Of everything but discovery. */
static const struct collector *const collectors[OBSERVER_COLLECTOR_COUNT] = {
	[OBSERVER_KVM] = &kvm_collector,
	[OBSERVER_KVM_EXITS] = &kvm_exits_collector,
	[OBSERVER_PERF_EVENT] = &perf_event_collector,
};

struct observer {
	struct observer_config config;
	struct observer_sink sink;
	struct discovery *discovery;          /* NULL: off */
	void *self[OBSERVER_COLLECTOR_COUNT]; /* NULL: off */
	const struct vm **vms;
	size_t nr_vms, room;
	unsigned int rounds;
	bool quiet; /* nobody is told: it begins or ends */
};

static size_t find(const struct observer *observer, const struct vm *vm)
{
	size_t i = 0;

	while (i < observer->nr_vms && observer->vms[i] != vm)
		i++;
	return i;
}

/* False: out of memory. */
static bool add(struct observer *observer, const struct vm *vm)
{
	if (observer->nr_vms == observer->room) {
		size_t room = observer->room ? 2 * observer->room : 16;
		const struct vm **vms = realloc(observer->vms, room * sizeof(struct vm *));

		if (!vms)
			return false;
		observer->vms = vms;
		observer->room = room;
	}
	observer->vms[observer->nr_vms++] = vm;
	return true;
}

static void on_updated(void *context, const struct vm *vm)
{
	struct observer *observer = context;

	/* What finds no memory now is told when it changes, or when somebody new listens. */
	if (find(observer, vm) == observer->nr_vms && !add(observer, vm))
		return;
	for (int i = 0; i < OBSERVER_COLLECTOR_COUNT; i++) {
		if (observer->self[i])
			collectors[i]->update(observer->self[i], vm);
	}
	if (!observer->quiet)
		observer->sink.vm(observer->sink.context, vm);
}

static void on_vanished(void *context, const struct vm *vm)
{
	struct observer *observer = context;
	size_t place = find(observer, vm);

	if (place == observer->nr_vms)
		return;
	observer->vms[place] = observer->vms[--observer->nr_vms];
	for (int i = 0; i < OBSERVER_COLLECTOR_COUNT; i++) {
		if (observer->self[i])
			collectors[i]->remove(observer->self[i], vm);
	}
	if (!observer->quiet)
		observer->sink.gone(observer->sink.context, vm);
}

static bool open_collectors(struct observer *observer)
{
	for (int i = 0; i < OBSERVER_COLLECTOR_COUNT; i++) {
		if (!collectors[i] || !observer->config.enabled[i])
			continue;
		observer->self[i] = collectors[i]->create(&observer->config.settings);
		if (!observer->self[i])
			return false;
	}
	return true;
}

struct observer *observer_create(const struct observer_config *config,
				 const struct observer_sink *sink)
{
	struct observer *observer = malloc(sizeof(*observer));
	const struct discovery_config discovery = {
		.roots = config->settings.roots,
		.uevents = config->uevents,
		.updated = on_updated,
		.vanished = on_vanished,
		.context = observer,
	};

	if (!observer)
		return NULL;
	*observer = (struct observer){.config = *config, .sink = *sink};
	if (config->enabled[OBSERVER_DISCOVERY]) {
		observer->discovery = discovery_create(&discovery);
		if (!observer->discovery || !open_collectors(observer)) {
			observer_destroy(observer);
			return NULL;
		}
		discovery_scan(observer->discovery);
	}
	return observer;
}

void observer_destroy(struct observer *observer)
{
	if (!observer)
		return;
	observer->quiet = true;
	while (observer->nr_vms)
		on_vanished(observer, observer->vms[observer->nr_vms - 1]);
	for (int i = 0; i < OBSERVER_COLLECTOR_COUNT; i++) {
		if (observer->self[i])
			collectors[i]->destroy(observer->self[i]);
	}
	discovery_destroy(observer->discovery);
	free(observer->vms);
	free(observer);
}

int observer_fd(const struct observer *observer)
{
	return observer->discovery ? discovery_fd(observer->discovery) : -1;
}

void observer_read(struct observer *observer)
{
	if (observer->discovery)
		discovery_read(observer->discovery);
}

/* Threads that ran vCPUs, as the programs in the kernel saw it. */
static void join_threads(struct observer *observer)
{
	struct vcpu_thread threads[THREADS_AT_ONCE];
	size_t nr;

	if (!observer->self[OBSERVER_KVM_EXITS])
		return;
	do {
		nr = kvm_exits_threads(observer->self[OBSERVER_KVM_EXITS], threads,
				       THREADS_AT_ONCE);
		for (size_t i = 0; i < nr; i++)
			discovery_thread(observer->discovery, &threads[i]);
	} while (nr == THREADS_AT_ONCE);
}

static void refresh(struct observer *observer)
{
	/* Without uevents a scan is all that there is. */
	unsigned int rounds = observer_fd(observer) < 0 ? ROUNDS_A_SCAN_ALONE : ROUNDS_A_SCAN;

	if (++observer->rounds % rounds)
		discovery_refresh(observer->discovery);
	else
		discovery_scan(observer->discovery);
	/* Each pair is told once: by now the vCPU is known. */
	join_threads(observer);
}

static void sample_all(struct observer *observer)
{
	struct vm_sample sample;

	for (int i = 0; i < OBSERVER_COLLECTOR_COUNT; i++) {
		if (observer->self[i] && collectors[i]->begin)
			collectors[i]->begin(observer->self[i], clock_ns());
	}
	for (size_t i = 0; i < observer->nr_vms; i++) {
		memset(&sample, 0, sizeof(sample));
		sample.time = clock_ns();
		for (int j = 0; j < OBSERVER_COLLECTOR_COUNT; j++) {
			if (observer->self[j])
				collectors[j]->sample(observer->self[j], observer->vms[i], &sample);
		}
		observer->sink.sample(observer->sink.context, observer->vms[i], &sample);
	}
}

static void tell_collectors(struct observer *observer)
{
	for (int i = 0; i < OBSERVER_COLLECTOR_COUNT; i++) {
		const char *name = collectors[i] ? collectors[i]->name : "discovery";
		char state[COLLECTOR_STATE_MAX];
		struct collector_own own = {0};

		if (i == OBSERVER_DISCOVERY && observer->discovery)
			discovery_state(observer->discovery, state);
		else if (observer->self[i])
			collectors[i]->state(observer->self[i], state);
		else if (observer->config.enabled[i])
			snprintf(state, sizeof(state),
				 "denied: [collector discovery] enabled = no");
		else
			snprintf(state, sizeof(state), "denied: [collector %s] enabled = no", name);
		if (observer->self[i] && collectors[i]->own)
			collectors[i]->own(observer->self[i], &own);
		observer->sink.collector(observer->sink.context, name, state, &own);
	}
}

void observer_round(struct observer *observer)
{
	uint64_t begun = clock_ns();

	if (observer->discovery) {
		refresh(observer);
		sample_all(observer);
	}
	tell_collectors(observer);
	observer->sink.round(observer->sink.context, clock_ns() - begun);
}

void observer_tell(struct observer *observer)
{
	for (size_t i = 0; i < observer->nr_vms; i++)
		observer->sink.vm(observer->sink.context, observer->vms[i]);
}
