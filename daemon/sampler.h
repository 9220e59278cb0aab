/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the registry and the shared counters to an immutable snapshot. */
#ifndef DAEMON_SAMPLER_H
#define DAEMON_SAMPLER_H

#include "daemon/registry.h"
#include "web/snapshot.h"

/*
 * Everything as it is now, with one reference; NULL: out of memory. @soft: with the counters of the
 * soft engine, whose collector is on.
 */
struct snapshot *sampler_take(const struct registry *registry, bool soft);

#endif
