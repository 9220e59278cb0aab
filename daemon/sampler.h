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
	/* Of umbrad's own guests: with what is counted of those of the engine. */
	bool counted[UMBRA_ENGINE_COUNT];
};

/* Everything as it is now, with one reference; NULL: out of memory. */
struct snapshot *sampler_take(const struct sampler_source *from);

#endif
