/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The named processors: what their TLBs and walk caches look like. */
#ifndef PAGING_PROCESSOR_H
#define PAGING_PROCESSOR_H

#include <stdint.h>

/* What an entry maps, from the smallest on. */
enum tlb_size { TLB_4K, TLB_2M, TLB_1G, TLB_SIZES };
#define TLB_HOLDS_4K    (1u << TLB_4K)
#define TLB_HOLDS_2M    (1u << TLB_2M)
#define TLB_HOLDS_1G    (1u << TLB_1G)
#define TLB_HOLDS_SMALL (TLB_HOLDS_4K | TLB_HOLDS_2M)
#define TLB_HOLDS_ALL   (TLB_HOLDS_SMALL | TLB_HOLDS_1G)

enum tlb_level { TLB_L1, TLB_L2, TLB_LEVELS };

/* The kinds of access that an array serves: bits by enum umbra_access. */
#define TLB_INSTRUCTION (1u << 0)
#define TLB_DATA        (1u << 1)
#define TLB_BOTH        (TLB_INSTRUCTION | TLB_DATA)

#define TLB_MAX_ARRAYS  7

/* One array of TLB entries. */
struct tlb_array {
	uint16_t sets, ways;
	uint8_t level; /* enum tlb_level */
	uint8_t kinds;
	uint8_t sizes; /* bits by enum tlb_size */
	/* Where entries of a size may use some of the ways alone; no count: all of them. */
	struct {
		uint8_t first, count;
	} only[TLB_SIZES];
};

/* By linear address for the tables that CR3 points at, by guest-physical address for EPT's. */
enum walk_cache {
	WALK_CACHE_PDE,
	WALK_CACHE_PDPTE,
	WALK_CACHE_PML4E,
	WALK_CACHE_PML5E,
	WALK_CACHE_COUNT
};

struct geometry {
	uint16_t sets, ways;
};

struct processor {
	const char *name;
	uint8_t maxphyaddr;
	/* Up to the first without sets. No two of a level hold the same kind and size. */
	struct tlb_array tlb[TLB_MAX_ARRAYS];
	struct geometry linear[WALK_CACHE_COUNT], nested[WALK_CACHE_COUNT];
};

/* By number from 0, which is Skylake; NULL: there are no more. */
const struct processor *processor_at(unsigned number);

/* The array of a level that holds entries of a size for a kind of access; NULL: none does. */
const struct tlb_array *processor_tlb(const struct processor *processor, enum tlb_level level,
				      unsigned kind, enum tlb_size size);
/* How many entries of that size it can hold: sets and ways. */
struct geometry tlb_array_reach(const struct tlb_array *array, enum tlb_size size);

#endif
