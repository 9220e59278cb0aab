/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CLOCK_MONOTONIC, in the two units that collectors and daemon count in. */
#ifndef COLLECTORS_CLOCK_H
#define COLLECTORS_CLOCK_H

#include <stdint.h>
#include <time.h>

static const uint64_t clock_ns_per_second = 1000000000;

static inline uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * clock_ns_per_second + now.tv_nsec;
}

static inline uint64_t clock_seconds(void)
{
	return clock_ns() / clock_ns_per_second;
}

#endif
