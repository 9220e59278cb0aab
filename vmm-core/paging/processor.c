/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * [M]: general knowledge, not checked against a source. What is not marked is from WikiChip's
 * articles on Skylake and Zen 2; 7-cpu.com has Zen 2's second level for instructions. Widths of
 * physical addresses are [M].
 */
#include <stddef.h>

#include "paging/processor.h"

/*
 * Intel's, all [M]: 32 PDEs, 4 PDPTEs, 4 PML4Es; Skylake has no PML5Es, here as many as PML4Es. The
 * same for EPT.
 */
#define INTEL_WALK_CACHES                                                                          \
	{                                                                                          \
		[WALK_CACHE_PDE] = {8, 4}, [WALK_CACHE_PDPTE] = {1, 4},                            \
		[WALK_CACHE_PML4E] = {1, 4}, [WALK_CACHE_PML5E] = {1, 4},                          \
	}

/*
 * Zen, all [M]: a page directory cache of 64 entries is for PDPTEs and PML4Es (here one half for
 * each), PDEs lie in the second level of the data TLB (here 64 in a cache of their own).
 */
#define ZEN_WALK_CACHES                                                                            \
	{                                                                                          \
		[WALK_CACHE_PDE] = {16, 4}, [WALK_CACHE_PDPTE] = {1, 32},                          \
		[WALK_CACHE_PML4E] = {1, 32}, [WALK_CACHE_PML5E] = {1, 4},                         \
	}

/*
 * Zen: an array of the first level holds pages of all sizes, the second level is split and has
 * pages of 1G in pieces of 2M. Ways of the second level for data are [M]; so is all of Zen 3 and 4.
 */
#define ZEN_TLBS(l1_data_ways, l2_data_ways)                                                       \
	{                                                                                          \
		{1, 64, TLB_L1, TLB_INSTRUCTION, TLB_HOLDS_ALL},                                   \
			{1, l1_data_ways, TLB_L1, TLB_DATA, TLB_HOLDS_ALL},                        \
			{64, 8, TLB_L2, TLB_INSTRUCTION, TLB_HOLDS_SMALL},                         \
			{128, l2_data_ways, TLB_L2, TLB_DATA, TLB_HOLDS_SMALL},                    \
	}

static const struct processor processors[] = {
	{
		.name = "skylake",
		.maxphyaddr = 40,
		/* The large pages of the first level and the second level's 1G pages are [M]. */
		.tlb =
			{
				{16, 8, TLB_L1, TLB_INSTRUCTION, TLB_HOLDS_4K},
				{1, 8, TLB_L1, TLB_INSTRUCTION, TLB_HOLDS_2M},
				{16, 4, TLB_L1, TLB_DATA, TLB_HOLDS_4K},
				{8, 4, TLB_L1, TLB_DATA, TLB_HOLDS_2M},
				{1, 4, TLB_L1, TLB_DATA, TLB_HOLDS_1G},
				{4, 4, TLB_L2, TLB_BOTH, TLB_HOLDS_1G},
				{128, 12, TLB_L2, TLB_BOTH, TLB_HOLDS_SMALL},
			},
		.linear = INTEL_WALK_CACHES,
		.nested = INTEL_WALK_CACHES,
	},
	{
		.name = "icelake",
		.maxphyaddr = 39,
		/*
		 * All [M]. In the second level 4K pages can use all ways, 2M pages one half and
		 * 1G pages the other. The first level's 16 entries for stores are left out: stores
		 * use those for loads.
		 */
		.tlb =
			{
				{16, 8, TLB_L1, TLB_INSTRUCTION, TLB_HOLDS_4K},
				{2, 8, TLB_L1, TLB_INSTRUCTION, TLB_HOLDS_2M},
				{16, 4, TLB_L1, TLB_DATA, TLB_HOLDS_4K},
				{8, 4, TLB_L1, TLB_DATA, TLB_HOLDS_2M},
				{1, 8, TLB_L1, TLB_DATA, TLB_HOLDS_1G},
				{128, 16, TLB_L2, TLB_BOTH, TLB_HOLDS_ALL,
				 .only = {[TLB_2M] = {0, 8}, [TLB_1G] = {8, 8}}},
			},
		.linear = INTEL_WALK_CACHES,
		.nested = INTEL_WALK_CACHES,
	},
	{
		.name = "zen2",
		.maxphyaddr = 48,
		.tlb = ZEN_TLBS(64, 16),
		.linear = ZEN_WALK_CACHES,
		.nested = ZEN_WALK_CACHES,
	},
	{
		.name = "zen3",
		.maxphyaddr = 48,
		.tlb = ZEN_TLBS(64, 16),
		.linear = ZEN_WALK_CACHES,
		.nested = ZEN_WALK_CACHES,
	},
	{
		.name = "zen4",
		.maxphyaddr = 48,
		.tlb = ZEN_TLBS(72, 24),
		.linear = ZEN_WALK_CACHES,
		.nested = ZEN_WALK_CACHES,
	},
};

const struct processor *processor_at(unsigned number)
{
	return number < sizeof(processors) / sizeof(processors[0]) ? &processors[number] : NULL;
}

const struct tlb_array *processor_tlb(const struct processor *processor, enum tlb_level level,
				      unsigned kind, enum tlb_size size)
{
	for (int i = 0; i < TLB_MAX_ARRAYS && processor->tlb[i].sets; i++) {
		const struct tlb_array *array = &processor->tlb[i];

		if (array->level == level && (array->kinds >> kind & 1) &&
		    (array->sizes >> size & 1))
			return array;
	}
	return NULL;
}

struct geometry tlb_array_reach(const struct tlb_array *array, enum tlb_size size)
{
	return (struct geometry){array->sets,
				 array->only[size].count ? array->only[size].count : array->ways};
}
