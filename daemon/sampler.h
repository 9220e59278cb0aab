/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the registry and the shared counters to an immutable snapshot. */
#ifndef DAEMON_SAMPLER_H
#define DAEMON_SAMPLER_H

#include "collectors/kvm_host.h"
#include "daemon/observed.h"
#include "daemon/registry.h"
#include "web/snapshot.h"

struct sampler_source {
	const struct registry *registry;
	const struct observed *observed;
	const struct kvm_host *kvm;
	bool soft; /* with the counters of the soft engine, whose collector is on */
};

/* Everything as it is now, with one reference; NULL: out of memory. */
struct snapshot *sampler_take(const struct sampler_source *from);

#endif
