/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "paging/tlb.h"

#define TAG_EMPTY UINT64_MAX
/* Tags have 27 bits for the epoch; after that many flushes the arrays are really emptied. */
#define LAST_EPOCH ((1ull << 27) - 2)

/*
 * Skylake: L1 and L2 from WikiChip (REFERENCES: TLB geometries); 2M entries of the first level and
 * the walk caches are general knowledge [M]: 32 PDE, 4 PDPTE, 4 PML4E.
 */
static const struct processor processors[] = {
	{
		.name = "skylake",
		.maxphyaddr = 40,
		.l1_instruction_4k = {16, 8},
		.l1_instruction_2m = {1, 8},
		.l1_data_4k = {16, 4},
		.l1_data_2m = {8, 4},
		.l2 = {128, 12},
		.walk =
			{
				[WALK_CACHE_PDE] = {8, 4},
				[WALK_CACHE_PDPTE] = {1, 4},
				[WALK_CACHE_PML4E] = {1, 4},
			},
	},
};

const struct processor *processor_find(const char *name)
{
	for (size_t i = 0; i < sizeof(processors) / sizeof(processors[0]); i++) {
		if (!strcmp(processors[i].name, name))
			return &processors[i];
	}
	return NULL;
}

static void cache_empty(struct cache *cache)
{
	for (uint32_t i = 0; i < cache->sets * cache->ways; i++)
		cache->tag[i] = TAG_EMPTY;
}

static int cache_create(struct cache *cache, uint16_t sets, uint16_t ways)
{
	cache->sets = sets;
	cache->ways = ways;
	cache->tag = calloc(sets * ways, sizeof(*cache->tag));
	cache->value = calloc(sets * ways, sizeof(*cache->value));
	if (!cache->tag || !cache->value)
		return -ENOMEM;
	cache_empty(cache);
	return 0;
}

static void cache_destroy(struct cache *cache)
{
	free(cache->tag);
	free(cache->value);
}

/* Calls @function for every array of the TLB. */
static void for_each_cache(struct tlb *tlb, void (*function)(struct cache *))
{
	function(&tlb->l1_instruction_4k);
	function(&tlb->l1_instruction_2m);
	function(&tlb->l1_data_4k);
	function(&tlb->l1_data_2m);
	function(&tlb->l2);
	for (int i = 0; i < WALK_CACHE_COUNT; i++) {
		function(&tlb->linear[i]);
		function(&tlb->nested[i]);
	}
}

int tlb_create(struct tlb *tlb, const struct processor *processor)
{
	int error = 0;

	*tlb = (struct tlb){0};
#define CREATE(member)                                                                             \
	error |= cache_create(&tlb->member, processor->member.sets, processor->member.ways)
	CREATE(l1_instruction_4k);
	CREATE(l1_instruction_2m);
	CREATE(l1_data_4k);
	CREATE(l1_data_2m);
	CREATE(l2);
#undef CREATE
	for (int i = 0; i < WALK_CACHE_COUNT; i++) {
		error |= cache_create(&tlb->linear[i], processor->walk[i].sets,
				      processor->walk[i].ways);
		error |= cache_create(&tlb->nested[i], processor->walk[i].sets,
				      processor->walk[i].ways);
	}
	if (error) {
		tlb_destroy(tlb);
		return -ENOMEM;
	}
	return 0;
}

void tlb_destroy(struct tlb *tlb)
{
	for_each_cache(tlb, cache_destroy);
}

static void next_epoch(struct tlb *tlb, uint64_t *epoch)
{
	if ((*epoch)++ == LAST_EPOCH) {
		*epoch = 0;
		for_each_cache(tlb, cache_empty);
	}
}

void tlb_flush_walk_caches(struct tlb *tlb)
{
	next_epoch(tlb, &tlb->linear_epoch);
}

void tlb_flush_nested(struct tlb *tlb)
{
	next_epoch(tlb, &tlb->nested_epoch);
}

void tlb_flush(struct tlb *tlb)
{
	tlb->large = false;
	memset(tlb->fragments, 0, sizeof(tlb->fragments));
	next_epoch(tlb, &tlb->epoch);
	next_epoch(tlb, &tlb->linear_epoch);
}

const uint8_t walk_cache_shift[WALK_CACHE_COUNT] = {
	[WALK_CACHE_PDE] = 21,
	[WALK_CACHE_PDPTE] = 30,
	[WALK_CACHE_PML4E] = 39,
};

void walk_caches_remove(struct tlb *tlb, uint64_t address)
{
	for (int i = 0; i < WALK_CACHE_COUNT; i++)
		cache_remove(&tlb->linear[i],
			     cache_tag(tlb->linear_epoch, address, walk_cache_shift[i]));
}

static void remove_way(struct cache *cache, uint32_t set, uint32_t way)
{
	uint64_t *tags = &cache->tag[set * cache->ways], *values = &cache->value[set * cache->ways];

	for (; way + 1 < cache->ways; way++) {
		tags[way] = tags[way + 1];
		values[way] = values[way + 1];
	}
	tags[way] = TAG_EMPTY;
}

bool cache_remove(struct cache *cache, uint64_t tag)
{
	uint32_t set = cache_page(tag) & (cache->sets - 1);

	for (uint32_t way = 0; way < cache->ways; way++) {
		if (cache->tag[set * cache->ways + way] == tag) {
			remove_way(cache, set, way);
			return true;
		}
	}
	return false;
}

void tlb_remove_fragments(struct tlb *tlb, uint64_t address)
{
	struct cache *caches[] = {&tlb->l1_instruction_4k, &tlb->l1_data_4k, &tlb->l2};
	uint64_t first = tlb_tag(tlb, address & ~((1ull << 21) - 1), false);
	uint64_t bit;

	if (!(*fragment_word(tlb, address, &bit) & bit))
		return;
	for (int i = 0; i < 3; i++) {
		struct cache *cache = caches[i];

		for (uint32_t slot = 0; slot < cache->sets * cache->ways;) {
			if (cache->tag[slot] - first < 512 && (cache->value[slot] & TLB_FRAGMENT))
				remove_way(cache, slot / cache->ways, slot % cache->ways);
			else
				slot++;
		}
	}
}
