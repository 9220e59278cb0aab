/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which numbers of a struct of counters are measured. Such a struct holds nothing but uint64_t, one
 * after another; each has a bit here, by its index. What is not known has no value, not even zero.
 */
#ifndef UMBRA_KNOWN_H
#define UMBRA_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UMBRA_KNOWN_MAX = 512 };

struct umbra_known {
	uint64_t bits[UMBRA_KNOWN_MAX / 64];
};

/* The index of an element of a counter: UMBRA_INDEX(struct umbra_counters, exits, reason). */
#define UMBRA_INDEX(type, counter, element) (offsetof(type, counter) / sizeof(uint64_t) + (element))

/* Indices beyond the set are neither added nor in it. */
static inline void umbra_known_add(struct umbra_known *known, size_t index)
{
	if (index < UMBRA_KNOWN_MAX)
		known->bits[index / 64] |= 1ULL << index % 64;
}

static inline bool umbra_known_has(const struct umbra_known *known, size_t index)
{
	return index < UMBRA_KNOWN_MAX && (known->bits[index / 64] >> index % 64 & 1);
}

#endif
