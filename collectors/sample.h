/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all collectors together know of one VM at one moment. */
#ifndef COLLECTORS_SAMPLE_H
#define COLLECTORS_SAMPLE_H

#include "collectors/exit_reasons.h"
#include "umbra/kvm_stats.h"

#define UMBRA_DIMENSION_KVM_EXIT_REASON_COUNT KVM_EXIT_REASON_COUNT

struct kvm_exits_counters {
#define UMBRA_COUNTER(name, unit, kind, dimension, exposed, help)                                  \
	uint64_t name[UMBRA_DIMENSION_##dimension##_COUNT];
#include "collectors/kvm_exits.def"
};

struct perf_event_counters {
#define UMBRA_COUNTER(name, unit, kind, dimension, exposed, help)                                  \
	uint64_t name[UMBRA_DIMENSION_##dimension##_COUNT];
#include "collectors/perf_event.def"
};

enum { KVM_OTHER_MAX = UMBRA_KVM_OTHERS_MAX };

struct vm_sample {
	uint64_t time; /* CLOCK_MONOTONIC, in nanoseconds */

	struct umbra_kvm_counters kvm;
	struct umbra_known kvm_known;
	struct umbra_kvm_other kvm_other[KVM_OTHER_MAX];
	size_t nr_kvm_other;

	struct kvm_exits_counters kvm_exits;
	struct umbra_known kvm_exits_known;
	uint64_t exit_slots[KVM_EXIT_REASON_COUNT][EXIT_SLOT_COUNT]; /* if exit_samples is known */

	struct perf_event_counters perf_event;
	struct umbra_known perf_event_known;
};

/* A static string: "page_fault"; "other" for what is out of range. */
const char *kvm_exit_reason_name(unsigned int reason);

#endif
