/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UMBRA_KVM_COUNTERS_H
#define UMBRA_KVM_COUNTERS_H

#include "umbra/counters.h"
#include "umbra/known.h"

/* KVM's own statistics of one VM, as struct umbra_counters: each is an array. */
struct umbra_kvm_counters {
#define UMBRA_COUNTER(name, unit, kind, dimension, exposed, help)                                  \
	uint64_t name[UMBRA_DIMENSION_##dimension##_COUNT];
#include "umbra/kvm.def"
};

#endif
