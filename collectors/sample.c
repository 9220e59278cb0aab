/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "collectors/sample.h"

/* What is told of a source fits its set. */
#define FITS(type) (sizeof(struct type) / sizeof(uint64_t) <= UMBRA_KNOWN_MAX)
_Static_assert(FITS(umbra_kvm_counters) && FITS(kvm_exits_counters) && FITS(perf_event_counters),
	       "UMBRA_KNOWN_MAX is too small");

const char *kvm_exit_reason_name(unsigned int reason)
{
	static const char *const names[] = {
#define KVM_EXIT_REASON(name, help) #name,
#include "collectors/exit_reasons.def"
	};

	return names[reason < KVM_EXIT_REASON_COUNT ? reason : KVM_EXIT_other];
}
