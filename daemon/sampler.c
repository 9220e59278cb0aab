/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/clock.h"
#include "daemon/configuration_guest.h"
#include "daemon/sampler.h"

static const char switched_off[] = "denied: [collector soft] enabled = no";

static int copy_counters(struct snapshot *snapshot, const struct guest *guest,
			 struct guest_view *view)
{
	struct umbra_counters now;
	struct umbra_counters *copy;

	/* Not measured (yet) is told by absence, not by zeros. */
	if (!guest->shared || shared_read(guest->shared, &now))
		return 0;
	copy = snapshot_alloc(snapshot, sizeof(*copy));
	if (!copy)
		return -1;
	memcpy(copy, &now, sizeof(now));
	view->measured[METRIC_CORE].values = copy;
	return 0;
}

static int copy_end(struct snapshot *snapshot, const struct guest *guest, struct guest_view *view)
{
	struct umbra_end *end;
	struct umbra_registers *registers;

	if (!guest->has_end)
		return 0;
	end = snapshot_alloc(snapshot, sizeof(*end));
	if (!end)
		return -1;
	*end = guest->end;
	if (guest->cpu_mode[0])
		end->cpu_mode = snapshot_strdup(snapshot, guest->cpu_mode);
	view->end = end;
	if (guest->memory_hash[0])
		view->memory_hash = snapshot_strdup(snapshot, guest->memory_hash);
	if (!guest->has_registers)
		return 0;
	registers = snapshot_alloc(snapshot, sizeof(guest->registers));
	if (!registers)
		return -1;
	memcpy(registers, guest->registers, sizeof(guest->registers));
	view->registers = registers;
	return 0;
}

/* Once for all guests in a row that share a table. */
static int copy_costs(struct snapshot *snapshot, const struct registry *registry, size_t i)
{
	const struct guest *guest = registry->guests[i];
	struct guest_view *view = &snapshot->guests[i];
	struct umbra_cost_table *costs;

	if (i && registry->guests[i - 1]->config->costs == guest->config->costs) {
		view->costs = view[-1].costs;
		return 0;
	}
	costs = snapshot_alloc(snapshot, sizeof(*costs));
	if (!costs)
		return -1;
	*costs = guest->config->costs->table;
	if (costs->file) {
		costs->file = snapshot_strdup(snapshot, costs->file);
		if (!costs->file)
			return -1;
	}
	view->costs = costs;
	return 0;
}

/* Seconds until the guest starts anew; -1: it does not. */
static int restart_in(const struct guest *guest)
{
	uint64_t now = clock_seconds();

	if (!guest->config->restart || !guest->backoff.due || guest->pid > 0)
		return -1;
	return guest->backoff.due > now ? (int)(guest->backoff.due - now) : 0;
}

static int copy_guest(struct snapshot *snapshot, const struct guest *guest, bool soft,
		      struct guest_view *view)
{
	view->id = snapshot_strdup(snapshot, guest->config->name);
	if (!view->id)
		return -1;
	view->guest = view->id;
	view->state = guest_state_name(guest->state);
	view->pid = guest->pid;
	view->started = guest->started;
	view->starts = guest->starts;
	view->restart_in = restart_in(guest);
	view->engine = "soft";
	view->processor = umbra_processor_name(guest->config->processor);
	view->cpus = guest->config->cpus;
	view->mode = guest->mode;
	view->policy = guest->policy;
	view->policy_source = policy_source_name(guest->policy_source);
	view->clock = guest->config->clock;
	if (!soft)
		view->unmeasured = switched_off;
	return (soft && copy_counters(snapshot, guest, view)) || copy_end(snapshot, guest, view);
}

static int copy_journal(struct snapshot *snapshot, struct journal *journal)
{
	struct journal_view *view = &snapshot->journal;
	struct journal_status status;

	journal_status(journal, &status);
	view->up = status.up;
	view->state = snapshot_strdup(snapshot, status.state);
	view->rows = status.rows;
	view->bytes = status.bytes;
	view->dropped = status.dropped;
	if (*status.path)
		view->path = snapshot_strdup(snapshot, status.path);
	if (*status.aside)
		view->set_aside = snapshot_strdup(snapshot, status.aside);
	return view->state ? 0 : -1;
}

/* All that Umbra will know; what this build lacks says so. */
static const struct collector_view collectors[] = {
	{"soft", "ok", "Counters of the guests of the soft engine, from their workers"},
	{"kvm", "unsupported: not in this build", "Guests that the host's KVM runs"},
	{"kvm_exits", "unsupported: not in this build", "VM exits of the host's KVM, by BPF"},
	{"perf_event", "unsupported: not in this build",
	 "TLB and page-walk events of the host's processors"},
};

static int add_collectors(struct snapshot *snapshot, bool soft)
{
	struct collector_view *copies = snapshot_alloc(snapshot, sizeof(collectors));
	size_t silent = 0;
	char state[128];

	if (!copies)
		return -1;
	memcpy(copies, collectors, sizeof(collectors));
	for (size_t i = 0; i < snapshot->nr_guests; i++)
		silent += !snapshot->guests[i].measured[METRIC_CORE].values &&
			  !snapshot->guests[i].end;
	if (!soft) {
		copies[0].state = switched_off;
	} else if (silent) {
		snprintf(state, sizeof(state), "degraded: %zu of %zu guests have not reported",
			 silent, snapshot->nr_guests);
		copies[0].state = snapshot_strdup(snapshot, state);
		if (!copies[0].state)
			return -1;
	}
	snapshot->collectors = copies;
	snapshot->nr_collectors = sizeof(collectors) / sizeof(collectors[0]);
	return 0;
}

/* 0 or -1: out of memory. */
static int fill(struct snapshot *snapshot, const struct registry *registry, bool soft)
{
	if (copy_journal(snapshot, registry->journal))
		return -1;
	for (size_t i = 0; i < registry->nr_guests; i++) {
		const struct guest *guest = registry->guests[i];

		snapshot->nr_unready += guest->state == GUEST_STARTING;
		if (copy_guest(snapshot, guest, soft, &snapshot->guests[i]) ||
		    copy_costs(snapshot, registry, i))
			return -1;
	}
	return add_collectors(snapshot, soft);
}

struct snapshot *sampler_take(const struct registry *registry, bool soft)
{
	struct snapshot *snapshot = snapshot_create(registry->nr_guests);

	if (!snapshot)
		return NULL;
	clock_gettime(CLOCK_REALTIME, &snapshot->time);
	snapshot->frozen = journal_frozen(registry->journal);
	if (fill(snapshot, registry, soft)) {
		snapshot_unref(snapshot);
		return NULL;
	}
	return snapshot;
}
