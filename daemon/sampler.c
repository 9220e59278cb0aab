/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "collectors/clock.h"
#include "daemon/configuration_guest.h"
#include "daemon/observed_view.h"
#include "daemon/sampler.h"

static const char *const switched_off[UMBRA_ENGINE_COUNT] = {
	[UMBRA_ENGINE_SOFT] = "denied: [collector soft] enabled = no",
	[UMBRA_ENGINE_KVM] = "denied: [collector kvm] enabled = no",
};

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

/* Of a guest of the KVM engine: what KVM counts, and which of the core's counters there are. */
static int copy_kvm_figures(struct snapshot *snapshot, const struct guest *guest,
			    struct guest_view *view)
{
	struct umbra_kvm_figures *figures = snapshot_alloc(snapshot, sizeof(*figures));
	struct umbra_known *known = snapshot_alloc(snapshot, sizeof(*known));
	struct measured *measured = &view->measured[METRIC_KVM];

	if (!figures || !known)
		return -1;
	if (!guest->shared || shared_read_kvm(guest->shared, known, figures))
		return 0;
	view->measured[METRIC_CORE].known = known;
	*measured = (struct measured){.values = &figures->counters, .known = &figures->known};
	view->kvm_other = figures->others.other;
	view->nr_kvm_other = figures->others.nr;
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

	if (guest->config->engine != UMBRA_ENGINE_SOFT)
		return 0;
	if (i && view[-1].costs && registry->guests[i - 1]->config->costs == guest->config->costs) {
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

/* What the decision says of it: of the record's own, if it has the time of the switch. */
static void show_decision(const struct guest *guest, struct change_view *change)
{
	const struct policy_decision *decision = &guest->last_change;
	const struct policy_cost *on = &decision->cost[decision->mode];
	const struct policy_cost *there = &decision->cost[change->made.record.to];

	if (!decision->id || decision->time != change->made.record.time)
		return;
	change->decision = journal_decision_number(guest->journal, guest->recorded, decision->id);
	change->expected_known = on->known && there->known && on->cycles > 0;
	if (change->expected_known)
		change->expected_percent = 100 * (there->cycles - on->cycles) / on->cycles;
	change->outcome_known = decision->after.known;
	change->paid = decision->after.paid;
}

static int copy_last_switch(struct snapshot *snapshot, const struct guest *guest,
			    struct guest_view *view)
{
	struct change_view *change;

	if (!guest->nr_switches)
		return 0;
	change = snapshot_alloc(snapshot, sizeof(*change));
	if (!change)
		return -1;
	change->made = guest->last_switch;
	show_decision(guest, change);
	view->last_switch = change;
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

/*
 * KVM knows no models: neither a processor nor what its events cost, nor clocks. @kvm is the
 * snapshot's.
 */
static void copy_engine(const struct guest *guest, const struct kvm_host *kvm,
			struct guest_view *view)
{
	const struct guest_config *config = guest->config;

	view->engine = umbra_engine_name(config->engine);
	view->clock = UMBRA_CLOCK_COUNT;
	if (config->engine == UMBRA_ENGINE_SOFT) {
		view->clock = config->clock;
		view->processor = umbra_processor_name(config->processor);
	} else if (guest->mode == kvm->mode && *kvm->reason) {
		view->mode_reason = kvm->reason;
	}
}

static int copy_guest(struct snapshot *snapshot, const struct sampler_source *from,
		      const struct guest *guest, struct guest_view *view)
{
	enum umbra_engine engine = guest->config->engine;

	view->id = snapshot_strdup(snapshot, guest->config->name);
	if (!view->id)
		return -1;
	view->guest = view->id;
	view->state = guest_state_name(guest->state);
	view->pid = guest->pid;
	view->started = guest->started;
	view->starts = guest->starts;
	view->restart_in = restart_in(guest);
	view->cpus = guest->config->cpus;
	view->mode = guest->mode;
	view->policy = guest->policy;
	view->policy_source = policy_source_name(guest->policy_source);
	copy_engine(guest, &snapshot->kvm, view);
	if (!from->counted[engine])
		view->unmeasured = switched_off[engine];
	else if (copy_counters(snapshot, guest, view) ||
		 (engine == UMBRA_ENGINE_KVM && copy_kvm_figures(snapshot, guest, view)))
		return -1;
	return copy_last_switch(snapshot, guest, view) || copy_end(snapshot, guest, view);
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

static const char *const helps[CONFIG_COLLECTOR_COUNT] = {
	[CONFIG_COLLECTOR_SOFT] = "Counters of the guests of the soft engine, from their workers",
	[CONFIG_COLLECTOR_DISCOVERY] = "Which VMs the host's KVM runs, and for whom",
	[CONFIG_COLLECTOR_KVM] = "KVM's own statistics of each VM",
	[CONFIG_COLLECTOR_KVM_EXITS] = "VM exits and shadow MMU activity of each VM, by BPF",
	[CONFIG_COLLECTOR_PERF_EVENT] = "TLB misses and page walks of each VM, by the processor",
};

/* Of the collector soft; NULL: out of memory. */
static const char *soft_state(struct snapshot *snapshot, bool soft)
{
	size_t guests = 0, silent = 0;
	char state[128];

	if (!soft)
		return switched_off[UMBRA_ENGINE_SOFT];
	for (size_t i = 0; i < snapshot->nr_guests; i++) {
		if (strcmp(snapshot->guests[i].engine, "soft"))
			continue;
		guests++;
		silent += !snapshot->guests[i].measured[METRIC_CORE].values &&
			  !snapshot->guests[i].end;
	}
	if (!silent)
		return "ok";
	snprintf(state, sizeof(state), "degraded: %zu of %zu guests have not reported", silent,
		 guests);
	return snapshot_strdup(snapshot, state);
}

static int add_collectors(struct snapshot *snapshot, const struct sampler_source *from)
{
	struct collector_view *views =
		snapshot_alloc(snapshot, CONFIG_COLLECTOR_COUNT * sizeof(*views));

	if (!views)
		return -1;
	for (int i = 0; i < CONFIG_COLLECTOR_COUNT; i++) {
		views[i].name = config_collector_name(i);
		views[i].help = helps[i];
		views[i].own = from->observed->collectors[i].own;
		views[i].state =
			i == CONFIG_COLLECTOR_SOFT
				? soft_state(snapshot, from->counted[UMBRA_ENGINE_SOFT])
				: snapshot_strdup(snapshot, from->observed->collectors[i].state);
		if (!views[i].state)
			return -1;
	}
	snapshot->collectors = views;
	snapshot->nr_collectors = CONFIG_COLLECTOR_COUNT;
	return 0;
}

/* A VM's id is what somebody else wrote. It stays if it can stand in a path. */
static bool is_plain(const char *id)
{
	bool plain = *id && *id != '.';

	for (const char *c = id; *c; c++)
		plain = plain && *c > ' ' && *c <= '~' && !strchr("/?#%\"\\", *c);
	return plain;
}

static bool is_taken(struct hsearch_data *ids, char *id)
{
	ENTRY *found;

	return hsearch_r((ENTRY){.key = id}, FIND, &found, ids);
}

/* @id has to live as long as @ids. */
static void take_id(struct hsearch_data *ids, const char *id)
{
	ENTRY *found;

	hsearch_r((ENTRY){.key = (char *)id}, ENTER, &found, ids);
}

/* False: out of memory. */
static bool take_ids(const struct snapshot *snapshot, size_t nr_vms, struct hsearch_data *ids)
{
	memset(ids, 0, sizeof(*ids));
	if (!hcreate_r(snapshot->nr_guests + nr_vms + 1, ids))
		return false;
	for (size_t i = 0; i < snapshot->nr_guests; i++)
		take_id(ids, snapshot->guests[i].id);
	return true;
}

/* One that is not in @ids. False: there is none, for somebody made up the same VM twice. */
static bool choose_id(struct hsearch_data *ids, const struct vm *vm, char ret_id[VM_ID_MAX])
{
	snprintf(ret_id, VM_ID_MAX, "%s", vm->id);
	if (is_plain(ret_id) && !is_taken(ids, ret_id))
		return true;
	snprintf(ret_id, VM_ID_MAX, "%ld-%d-%" PRIu64, (long)vm->pid, vm->fd, vm->start_time);
	return !is_taken(ids, ret_id);
}

static int copy_vms(struct snapshot *snapshot, const struct sampler_source *from)
{
	struct hsearch_data ids;
	char id[VM_ID_MAX];
	int error = 0;

	if (!take_ids(snapshot, from->observed->nr_vms, &ids))
		return -1;
	for (size_t i = 0; i < from->observed->nr_vms; i++) {
		struct observed_vm *vm = from->observed->vms[i];
		struct guest_view *view = &snapshot->guests[snapshot->nr_guests];

		/* A worker may be gone before umbra-collect tells the end of its VM. */
		vm->own |= registry_find_pid(from->registry, vm->vm.pid) != NULL;
		if (vm->own || !choose_id(&ids, &vm->vm, id))
			continue;
		error = observed_view(snapshot, from->observed, vm, id, view);
		if (error)
			break;
		take_id(&ids, view->id);
		snapshot->nr_guests++;
	}
	hdestroy_r(&ids);
	return error;
}

static int copy_guests(struct snapshot *snapshot, const struct sampler_source *from)
{
	for (size_t i = 0; i < from->registry->nr_guests; i++) {
		const struct guest *guest = from->registry->guests[i];
		const struct observed_vm *vm =
			guest->pid > 0 ? observed_find_pid(from->observed, guest->pid) : NULL;
		struct guest_view *view = &snapshot->guests[i];

		snapshot->nr_unready += guest->state == GUEST_STARTING;
		if (copy_guest(snapshot, from, guest, view) ||
		    copy_costs(snapshot, from->registry, i))
			return -1;
		if (vm && observed_view_own(snapshot, from->observed, vm, view))
			return -1;
	}
	return 0;
}

/* Of the engine kvm: "ok", or why it runs no guests; NULL: out of memory. */
static const char *engine_state(struct snapshot *snapshot, const struct kvm_host *kvm)
{
	char state[COLLECTOR_STATE_MAX + KVM_HOST_REASON_MAX];

	if (!kvm->available)
		snprintf(state, sizeof(state), "unsupported: %s", kvm->reason);
	else if (access("/dev/kvm", R_OK | W_OK))
		snprintf(state, sizeof(state), "denied: /dev/kvm: %s", strerror(errno));
	else if (!*kvm->module)
		snprintf(state, sizeof(state), "degraded: %s; the soft engine is faster",
			 kvm->reason);
	else
		return "ok";
	return snapshot_strdup(snapshot, state);
}

static int copy_kvm(struct snapshot *snapshot, const struct kvm_host *kvm)
{
	snapshot->kvm = *kvm;
	snapshot->kvm_engine = engine_state(snapshot, kvm);
	return snapshot->kvm_engine ? 0 : -1;
}

/* 0 or -1: out of memory. */
static int fill(struct snapshot *snapshot, const struct sampler_source *from)
{
	snapshot->nr_guests = from->registry->nr_guests;
	return copy_journal(snapshot, from->registry->journal) || copy_kvm(snapshot, from->kvm) ||
			       copy_guests(snapshot, from) || copy_vms(snapshot, from) ||
			       add_collectors(snapshot, from)
		       ? -1
		       : 0;
}

struct snapshot *sampler_take(const struct sampler_source *from)
{
	struct snapshot *snapshot =
		snapshot_create(from->registry->nr_guests + from->observed->nr_vms);

	if (!snapshot)
		return NULL;
	clock_gettime(CLOCK_REALTIME, &snapshot->time);
	snapshot->frozen = journal_frozen(from->registry->journal);
	if (fill(snapshot, from)) {
		snapshot_unref(snapshot);
		return NULL;
	}
	return snapshot;
}
