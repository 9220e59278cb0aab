/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "paging/tlb.h"

#define TAG_EMPTY UINT64_MAX
/* Tags have 4 bits for the epoch; after that many flushes the arrays are really emptied. */
#define LAST_EPOCH 14
#define TAG_EPOCH  (15ull << TAG_EPOCH_SHIFT)
#define TAG_PCID   (0xfffull << TAG_PCID_SHIFT)

/*
 * Skylake: L1 and L2 from WikiChip; 2M and 1G entries of the first level and the walk caches are
 * general knowledge [M]: 32 PDE, 4 PDPTE, 4 PML4E. It has no PML5Es: as many as PML4Es.
 */
static const struct processor processors[] = {
	{
		.name = "skylake",
		.maxphyaddr = 40,
		.l1_instruction_4k = {16, 8},
		.l1_instruction_2m = {1, 8},
		.l1_data_4k = {16, 4},
		.l1_data_2m = {8, 4},
		.l1_data_1g = {1, 4},
		.l2 = {128, 12},
		.walk =
			{
				[WALK_CACHE_PDE] = {8, 4},
				[WALK_CACHE_PDPTE] = {1, 4},
				[WALK_CACHE_PML4E] = {1, 4},
				[WALK_CACHE_PML5E] = {1, 4},
			},
	},
	/*
	 * Zen 2: L1 and L2 from WikiChip, ways [M]. Its first level for data holds pages of all
	 * sizes in one array, its second level for instructions (512, 8-way) is one of its own:
	 * here each size has an array, and the second level is shared. Walk caches as above.
	 */
	{
		.name = "zen2",
		.maxphyaddr = 48,
		.l1_instruction_4k = {1, 64},
		.l1_instruction_2m = {1, 64},
		.l1_data_4k = {1, 64},
		.l1_data_2m = {1, 64},
		.l1_data_1g = {1, 64},
		.l2 = {128, 16},
		.walk =
			{
				[WALK_CACHE_PDE] = {8, 4},
				[WALK_CACHE_PDPTE] = {1, 4},
				[WALK_CACHE_PML4E] = {1, 4},
				[WALK_CACHE_PML5E] = {1, 4},
			},
	},
};

const struct processor *processor_at(unsigned number)
{
	return number < sizeof(processors) / sizeof(processors[0]) ? &processors[number] : NULL;
}

static void cache_empty(struct cache *cache)
{
	for (uint32_t i = 0; i < cache->sets * cache->stride; i++)
		cache->tag[i] = TAG_EMPTY;
}

static int cache_create(struct cache *cache, struct geometry geometry)
{
	uint32_t count;

	cache->sets = geometry.sets;
	cache->ways = geometry.ways;
	cache->stride = 1;
	while (cache->stride < cache->ways)
		cache->stride *= 2;
	count = cache->sets * cache->stride;
	cache->tag = calloc(count, sizeof(*cache->tag));
	cache->value = calloc(count, sizeof(*cache->value));
	cache->mark = calloc(count + 16, sizeof(*cache->mark)); /* read by 16 */
	cache->older = calloc(count, sizeof(*cache->older));
	cache->newer = calloc(count, sizeof(*cache->newer));
	cache->newest = calloc(cache->sets, sizeof(*cache->newest));
	if (!cache->tag || !cache->value || !cache->mark || !cache->older || !cache->newer ||
	    !cache->newest)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t way = i % cache->stride, ways = cache->ways;

		cache->older[i] = (uint8_t)((way + 1) % ways);
		cache->newer[i] = (uint8_t)((way + ways - 1) % ways);
	}
	cache_empty(cache);
	return 0;
}

static void cache_destroy(struct cache *cache)
{
	free(cache->tag);
	free(cache->value);
	free(cache->mark);
	free(cache->older);
	free(cache->newer);
	free(cache->newest);
}

/* The arrays of TLB entries. */
#define NR_ARRAYS 6

static void arrays_of(struct tlb *tlb, struct cache *ret[NR_ARRAYS])
{
	struct cache *arrays[NR_ARRAYS] = {
		&tlb->l1_instruction[TLB_4K], &tlb->l1_instruction[TLB_2M], &tlb->l1_data[TLB_4K],
		&tlb->l1_data[TLB_2M],        &tlb->l1_data[TLB_1G],        &tlb->l2,
	};

	memcpy(ret, arrays, sizeof(arrays));
}

int tlb_create(struct tlb *tlb, const struct processor *processor)
{
	const struct geometry geometry[NR_ARRAYS] = {
		processor->l1_instruction_4k, processor->l1_instruction_2m, processor->l1_data_4k,
		processor->l1_data_2m,        processor->l1_data_1g,        processor->l2,
	};
	struct cache *arrays[NR_ARRAYS];
	int error = 0;

	*tlb = (struct tlb){0};
	arrays_of(tlb, arrays);
	for (int i = 0; i < NR_ARRAYS; i++)
		error |= cache_create(arrays[i], geometry[i]);
	for (int i = 0; i < WALK_CACHE_COUNT; i++) {
		error |= cache_create(&tlb->linear[i], processor->walk[i]);
		error |= cache_create(&tlb->nested[i], processor->walk[i]);
	}
	if (error) {
		tlb_destroy(tlb);
		return -ENOMEM;
	}
	return 0;
}

void tlb_destroy(struct tlb *tlb)
{
	struct cache *arrays[NR_ARRAYS];

	arrays_of(tlb, arrays);
	for (int i = 0; i < NR_ARRAYS; i++)
		cache_destroy(arrays[i]);
	for (int i = 0; i < WALK_CACHE_COUNT; i++) {
		cache_destroy(&tlb->linear[i]);
		cache_destroy(&tlb->nested[i]);
	}
}

/* The way in @slot becomes empty, and the oldest of its set. */
static void remove_slot(struct cache *cache, uint32_t slot)
{
	uint32_t set = slot / cache->stride, first = set * cache->stride;
	uint8_t way = (uint8_t)(slot - first), *newest = &cache->newest[set];

	cache->tag[slot] = TAG_EMPTY;
	if (way == *newest) {
		*newest = cache->older[slot];
	} else {
		cache_unlink(cache, first, way);
		cache_link(cache, first, way, *newest);
	}
}

/* Takes out every entry whose tag has the bits of @mask as in @tag. */
static void cache_pick(struct cache *cache, uint64_t mask, uint64_t tag)
{
	for (uint32_t slot = 0; slot < cache->sets * cache->stride; slot++) {
		if (!((cache->tag[slot] ^ tag) & mask) && cache->tag[slot] != TAG_EMPTY)
			remove_slot(cache, slot);
	}
}

static void pick_from_arrays(struct tlb *tlb, uint64_t mask, uint64_t tag)
{
	struct cache *arrays[NR_ARRAYS];

	arrays_of(tlb, arrays);
	for (int i = 0; i < NR_ARRAYS; i++)
		cache_pick(arrays[i], mask, tag | tlb->epoch << TAG_EPOCH_SHIFT);
}

static void flush_linear(struct tlb *tlb)
{
	if (tlb->linear_epoch++ < LAST_EPOCH)
		return;
	tlb->linear_epoch = 0;
	for (int i = 0; i < WALK_CACHE_COUNT; i++)
		cache_empty(&tlb->linear[i]);
}

static void flush_walk_caches(struct tlb *tlb, uint16_t pcid)
{
	if (!tlb->has_other_pcid) {
		flush_linear(tlb);
		return;
	}
	for (int i = 0; i < WALK_CACHE_COUNT; i++)
		cache_pick(&tlb->linear[i], TAG_PCID, (uint64_t)pcid << TAG_PCID_SHIFT);
}

void tlb_flush(struct tlb *tlb)
{
	memset(tlb->has, 0, sizeof(tlb->has));
	tlb->has_global = tlb->has_other_pcid = false;
	if (tlb->fragment_codes)
		memset(tlb->fragments, 0, sizeof(tlb->fragments));
	tlb->fragment_codes = 0;
	if (tlb->epoch++ == LAST_EPOCH) {
		struct cache *arrays[NR_ARRAYS];

		tlb->epoch = 0;
		arrays_of(tlb, arrays);
		for (int i = 0; i < NR_ARRAYS; i++)
			cache_empty(arrays[i]);
	}
	flush_linear(tlb);
}

void tlb_flush_pcid(struct tlb *tlb, uint16_t pcid)
{
	if (!tlb->has_global && !tlb->has_other_pcid) {
		if (!pcid)
			tlb_flush(tlb);
		return;
	}
	pick_from_arrays(tlb, TAG_EPOCH | TAG_PCID | TAG_GLOBAL, (uint64_t)pcid << TAG_PCID_SHIFT);
	flush_walk_caches(tlb, pcid);
}

void tlb_flush_not_global(struct tlb *tlb)
{
	if (!tlb->has_global) {
		tlb_flush(tlb);
		return;
	}
	pick_from_arrays(tlb, TAG_EPOCH | TAG_GLOBAL, 0);
	flush_linear(tlb);
}

void tlb_flush_nested(struct tlb *tlb)
{
	for (int i = 0; i < WALK_CACHE_COUNT; i++)
		cache_empty(&tlb->nested[i]);
}

bool cache_remove(struct cache *cache, uint64_t tag)
{
	uint32_t first = cache_set(cache, tag);
	int way = cache_way(cache, first, tag);

	if (way < 0)
		return false;
	remove_slot(cache, first + (uint32_t)way);
	return true;
}

bool tlb_remove(struct tlb *tlb, uint64_t tag, enum tlb_size size)
{
	bool removed = cache_remove(&tlb->l1_data[size], tag);

	if (size == TLB_1G)
		return removed;
	removed |= cache_remove(&tlb->l1_instruction[size], tag);
	return removed | cache_remove(&tlb->l2, tag);
}

/* [fragment code]: the size of the guest's page. */
static const uint8_t fragment_shift[] = {0, 21, 22, 30};

static uint64_t *fragment_word(struct tlb *tlb, uint64_t gva, unsigned code, uint64_t *ret_bit)
{
	/* Fibonacci hashing: the pages of one guest lie close together. */
	uint64_t page = (gva >> fragment_shift[code] << 2 | code) * 0x9e3779b97f4a7c15ull;
	unsigned slot = page >> (64 - FRAGMENT_FILTER_BITS);

	*ret_bit = 1ull << slot % 64;
	return &tlb->fragments[slot / 64];
}

void tlb_note_fragment(struct tlb *tlb, uint64_t gva, uint64_t value)
{
	uint64_t bit;

	*fragment_word(tlb, gva, value >> TLB_FRAGMENT_SHIFT & 3, &bit) |= bit;
	tlb->fragment_codes |= 1u << (value >> TLB_FRAGMENT_SHIFT & 3);
}

static bool may_have_fragments(struct tlb *tlb, uint64_t gva)
{
	bool found = false;

	for (unsigned code = 1; code <= 3; code++) {
		uint64_t bit;

		if (tlb->fragment_codes >> code & 1)
			found |= !!(*fragment_word(tlb, gva, code, &bit) & bit);
	}
	return found;
}

/* Takes out every piece of the guest's large page at @gva. */
static void remove_fragments(struct tlb *tlb, uint16_t pcid, uint64_t gva, bool global)
{
	uint64_t context = tlb->epoch << TAG_EPOCH_SHIFT | (uint64_t)pcid << TAG_PCID_SHIFT;
	struct cache *arrays[NR_ARRAYS];

	arrays_of(tlb, arrays);
	for (int i = 0; i < NR_ARRAYS; i++) {
		struct cache *cache = arrays[i];

		for (uint32_t slot = 0; slot < cache->sets * cache->stride; slot++) {
			uint64_t tag = cache->tag[slot];
			unsigned code = cache->value[slot] >> TLB_FRAGMENT_SHIFT & 3;
			unsigned shift = tlb_shift[tlb_size(cache->value[slot])];
			uint64_t page = tag & ((1ull << TAG_SIZE_SHIFT) - 1);
			bool mine = tag & TAG_GLOBAL
					    ? global && tag >> TAG_EPOCH_SHIFT == tlb->epoch
					    : !((tag ^ context) & (TAG_EPOCH | TAG_PCID));

			if (mine && code &&
			    !(((page << shift) ^ walk_tag(0, gva, 0)) >> fragment_shift[code]))
				remove_slot(cache, slot);
		}
	}
}

bool tlb_invalidate(struct tlb *tlb, uint16_t pcid, uint64_t gva, bool global)
{
	bool more = false;

	for (enum tlb_size size = TLB_4K; size < TLB_SIZES; size++) {
		bool removed;

		if (!tlb->has[size])
			continue;
		removed = tlb_remove(tlb, tlb_tag(tlb, pcid, gva, size), size);
		if (global && tlb->has_global)
			removed |= tlb_remove(tlb, tlb_tag_global(tlb, gva, size), size);
		more |= removed && size != TLB_4K;
	}
	if (may_have_fragments(tlb, gva)) {
		remove_fragments(tlb, pcid, gva, global);
		more = true;
	}
	flush_walk_caches(tlb, pcid);
	return more;
}
