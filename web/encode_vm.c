/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is told of an observed guest alone as JSON: whose VM it is, and its timed exits. */
#include "web/view.h"

static void write_vcpus(struct text *out, const struct vm_view *vm)
{
	json_write_key(out, "vcpus");
	json_write_open(out, '[');
	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		json_write_open(out, '{');
		json_write_count(out, "id", vm->vcpus[i].id);
		if (vm->vcpus[i].tid > 0)
			json_write_count(out, "tid", vm->vcpus[i].tid);
		json_write_close(out, '}');
	}
	json_write_close(out, ']');
}

static void write_owner(struct text *out, const struct vm_view *vm, bool lists)
{
	json_write_key(out, "vm");
	json_write_open(out, '{');
	json_write_word(out, "process", vm->process);
	if (vm->unit && *vm->unit)
		json_write_word(out, "unit", vm->unit);
	if (vm->fd >= 0)
		json_write_count(out, "fd", vm->fd);
	if (vm->start_time)
		json_write_count(out, "start_time", vm->start_time);
	if (lists)
		write_vcpus(out, vm);
	json_write_close(out, '}');
}

/* Slots that nothing fell into are left out; the last one has no bound. */
static void write_buckets(struct text *out, const uint64_t slots[EXIT_SLOT_COUNT])
{
	json_write_key(out, "buckets");
	json_write_open(out, '[');
	for (int i = 0; i < EXIT_SLOT_COUNT; i++) {
		if (!slots[i])
			continue;
		json_write_open(out, '{');
		if (i + 1 < EXIT_SLOT_COUNT)
			json_write_count(out, "below_ns", 1ULL << (i + EXIT_SLOT_SHIFT));
		json_write_count(out, "count", slots[i]);
		json_write_close(out, '}');
	}
	json_write_close(out, ']');
}

static const uint64_t *known_values(const struct measured *exits, size_t offset)
{
	size_t index = offset / sizeof(uint64_t);

	if (!exits->values || (exits->known && !umbra_known_has(exits->known, index)))
		return NULL;
	return (const uint64_t *)exits->values + index;
}

static const uint64_t *exit_samples(const struct guest_view *view)
{
	return known_values(&view->measured[METRIC_KVM_EXITS],
			    offsetof(struct kvm_exits_counters, exit_samples));
}

const uint64_t *view_exit_times(const struct guest_view *view)
{
	if (!view->vm || !view->vm->exit_slots || !exit_samples(view))
		return NULL;
	return known_values(&view->measured[METRIC_KVM_EXITS],
			    offsetof(struct kvm_exits_counters, exit_time));
}

/* Reasons of which no exit was timed are left out: most never come. */
static void write_durations(struct text *out, const struct guest_view *view)
{
	const uint64_t *samples = exit_samples(view), *times = view_exit_times(view);

	if (!times)
		return;
	json_write_key(out, "exit_durations");
	json_write_open(out, '{');
	for (int reason = 0; reason < KVM_EXIT_REASON_COUNT; reason++) {
		if (!samples[reason])
			continue;
		json_write_key(out, metric_kvm_exit_reasons.values[reason].name);
		json_write_open(out, '{');
		json_write_count(out, "count", samples[reason]);
		json_write_key(out, "seconds");
		text_decimal(out, times[reason], 9);
		write_buckets(out, view->vm->exit_slots[reason]);
		json_write_close(out, '}');
	}
	json_write_close(out, '}');
}

/* Names that a kernel gave, not we. */
void web_write_kvm_other(struct text *out, const struct guest_view *view)
{
	if (!view->nr_kvm_other)
		return;
	json_write_key(out, "kvm_other");
	json_write_open(out, '{');
	for (size_t i = 0; i < view->nr_kvm_other; i++) {
		json_write_text(out, view->kvm_other[i].name);
		text_append(out, ":", 1);
		json_write_unsigned(out, view->kvm_other[i].value);
	}
	json_write_close(out, '}');
}

void web_write_vm(struct text *out, const struct guest_view *view, bool lists)
{
	write_owner(out, view->vm, lists);
	if (view->advice) {
		json_write_key(out, "advice");
		web_write_advice(out, view->advice);
	}
	if (lists)
		write_durations(out, view);
}
