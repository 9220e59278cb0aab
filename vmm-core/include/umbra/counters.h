/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UMBRA_COUNTERS_H
#define UMBRA_COUNTERS_H

#include <stdint.h>

/* The dimensions: UMBRA_EXIT_page_fault, UMBRA_TLB_l2, UMBRA_ACCESS_data, UMBRA_PAGE_4k ... */
enum umbra_exit_reason {
#define UMBRA_EXIT_REASON(name, help) UMBRA_EXIT_##name,
#include "umbra/counters.def"
	UMBRA_EXIT_REASON_COUNT,
};

enum umbra_tlb_level {
#define UMBRA_TLB_LEVEL(name, help) UMBRA_TLB_##name,
#include "umbra/counters.def"
	UMBRA_TLB_LEVEL_COUNT,
};

enum umbra_access {
#define UMBRA_ACCESS(name, help) UMBRA_ACCESS_##name,
#include "umbra/counters.def"
	UMBRA_ACCESS_COUNT,
};

enum umbra_page_size {
#define UMBRA_PAGE_SIZE(name, help) UMBRA_PAGE_##name,
#include "umbra/counters.def"
	UMBRA_PAGE_SIZE_COUNT,
};

/* Level, kind of access and page size, in this order of their weight. */
enum umbra_tlb_hit {
#define UMBRA_TLB_HIT(name, help) UMBRA_TLB_HIT_##name,
#include "umbra/counters.def"
	UMBRA_TLB_HIT_COUNT,
};

/* Kind of access and page size. */
enum umbra_tlb_miss {
#define UMBRA_TLB_MISS(name, help) UMBRA_TLB_MISS_##name,
#include "umbra/counters.def"
	UMBRA_TLB_MISS_COUNT,
};

#define UMBRA_DIMENSION_NONE_COUNT        1
#define UMBRA_DIMENSION_EXIT_REASON_COUNT UMBRA_EXIT_REASON_COUNT
#define UMBRA_DIMENSION_TLB_LEVEL_COUNT   UMBRA_TLB_LEVEL_COUNT
#define UMBRA_DIMENSION_ACCESS_COUNT      UMBRA_ACCESS_COUNT
#define UMBRA_DIMENSION_PAGE_SIZE_COUNT   UMBRA_PAGE_SIZE_COUNT
#define UMBRA_DIMENSION_TLB_HIT_COUNT     UMBRA_TLB_HIT_COUNT
#define UMBRA_DIMENSION_TLB_MISS_COUNT    UMBRA_TLB_MISS_COUNT

/*
 * The counters of one vCPU. Each is an array with one element for each value of its dimension
 * (one element without a dimension): c->cycles[0], c->exits[UMBRA_EXIT_cpuid].
 *
 * The struct that an embedder passes in lies in memory of its own choosing (a shared memfd in
 * umbrad), is written by the guest's thread alone with relaxed atomic stores of whole counters,
 * and may be read at any time with umbra_counters_read().
 */
struct umbra_counters {
#define UMBRA_COUNTER(name, unit, kind, dimension, exposed, help)                                  \
	uint64_t name[UMBRA_DIMENSION_##dimension##_COUNT];
#include "umbra/counters.def"
} __attribute__((aligned(64)));

/* Copies what another thread or process publishes, counter by counter (relaxed atomic loads). */
void umbra_counters_read(const struct umbra_counters *shared, struct umbra_counters *ret_copy);
/* Publishes @from into @shared, counter by counter (relaxed atomic stores). */
void umbra_counters_publish(struct umbra_counters *shared, const struct umbra_counters *from);
/* *ret = @now - @before for every COUNTER; gauges are those of @now. */
void umbra_counters_delta(const struct umbra_counters *now, const struct umbra_counters *before,
			  struct umbra_counters *ret);

/* The SDM's basic exit reason (3D appendix C) in lower snake case, a static string. */
const char *umbra_exit_reason_name(enum umbra_exit_reason reason);

#endif
