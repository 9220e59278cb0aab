/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <string.h>

#include "daemon/observed_view.h"
#include "policy/advice.h"
#include "schemas/types.h"

/* Which source of metrics is which collector's. */
static const struct {
	enum metric_source source;
	enum config_collector collector;
	size_t values, known; /* in struct vm_sample */
} sources[] = {
	{METRIC_KVM, CONFIG_COLLECTOR_KVM, offsetof(struct vm_sample, kvm),
	 offsetof(struct vm_sample, kvm_known)},
	{METRIC_KVM_EXITS, CONFIG_COLLECTOR_KVM_EXITS, offsetof(struct vm_sample, kvm_exits),
	 offsetof(struct vm_sample, kvm_exits_known)},
	{METRIC_PERF_EVENT, CONFIG_COLLECTOR_PERF_EVENT, offsetof(struct vm_sample, perf_event),
	 offsetof(struct vm_sample, perf_event_known)},
};

static int show_vcpus(struct snapshot *snapshot, const struct vm *vm, struct vm_view *view)
{
	size_t nr = vm->nr_vcpus < REPORT_VCPUS_MAX ? vm->nr_vcpus : REPORT_VCPUS_MAX;
	struct vcpu_view *vcpus = snapshot_alloc(snapshot, (nr + 1) * sizeof(*vcpus));

	if (!vcpus)
		return -1;
	for (size_t i = 0; i < nr; i++)
		vcpus[i] = (struct vcpu_view){vm->vcpus[i].id, vm->vcpus[i].tid};
	view->vcpus = vcpus;
	view->nr_vcpus = nr;
	return 0;
}

static int show_vm(struct snapshot *snapshot, const struct observed_vm *vm,
		   const struct vm_sample *sample, struct guest_view *view)
{
	struct vm_view *copy = snapshot_alloc(snapshot, sizeof(*copy));

	if (!copy)
		return -1;
	*copy = (struct vm_view){
		.process = snapshot_strdup(snapshot, vm->vm.process),
		.unit = snapshot_strdup(snapshot, vm->vm.unit),
		.fd = vm->vm.fd,
		.start_time = vm->vm.start_time,
		.exit_slots = sample ? sample->exit_slots : NULL,
	};
	view->vm = copy;
	if (!copy->process || !copy->unit)
		return -1;
	return show_vcpus(snapshot, &vm->vm, copy);
}

static int show_sample(struct snapshot *snapshot, const struct observed *observed,
		       const struct vm_sample *sample, struct guest_view *view)
{
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		struct measured *measured = &view->measured[sources[i].source];

		measured->state =
			snapshot_strdup(snapshot, observed->collectors[sources[i].collector].state);
		if (!measured->state)
			return -1;
		/* Of Umbra's own guests the worker knows KVM's statistics first. */
		if (!sample || measured->values)
			continue;
		if (sources[i].source == METRIC_KVM) {
			view->kvm_other = sample->kvm_other;
			view->nr_kvm_other = sample->nr_kvm_other;
		}
		measured->values = (const char *)sample + sources[i].values;
		measured->known = (const void *)((const char *)sample + sources[i].known);
	}
	return 0;
}

int observed_view_own(struct snapshot *snapshot, const struct observed *observed,
		      const struct observed_vm *vm, struct guest_view *view)
{
	struct vm_sample *sample = NULL;

	if (vm->sampled) {
		sample = snapshot_alloc(snapshot, sizeof(*sample));
		if (!sample)
			return -1;
		memcpy(sample, &vm->sample, sizeof(*sample));
	}
	return show_vm(snapshot, vm, sample, view) || show_sample(snapshot, observed, sample, view)
		       ? -1
		       : 0;
}

int observed_view(struct snapshot *snapshot, const struct observed *observed,
		  const struct observed_vm *vm, const char *id, struct guest_view *view)
{
	view->id = snapshot_strdup(snapshot, id);
	view->guest = snapshot_strdup(snapshot, *vm->vm.name ? vm->vm.name : id);
	if (!view->id || !view->guest)
		return -1;
	view->state = guest_state_name(GUEST_RUNNING);
	view->pid = vm->vm.pid;
	view->started = vm->started;
	view->restart_in = -1;
	view->engine = "kvm";
	view->observed = true;
	view->mode = snapshot->kvm.mode;
	if (*snapshot->kvm.reason)
		view->mode_reason = snapshot->kvm.reason;
	view->policy = POLICY_ADVISE;
	view->clock = UMBRA_CLOCK_COUNT;
	view->cpus = vm->vm.nr_vcpus;
	if (*observed->host.processor)
		view->processor = snapshot_strdup(snapshot, observed->host.processor);
	if (vm->advice) {
		struct advice *advice = snapshot_alloc(snapshot, sizeof(*advice));

		if (!advice)
			return -1;
		*advice = *vm->advice;
		view->advice = advice;
	}
	return observed_view_own(snapshot, observed, vm, view);
}
