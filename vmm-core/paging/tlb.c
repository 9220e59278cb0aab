/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "paging/tlb.h"

#define TAG_EMPTY UINT64_MAX
#define TAG_PCID  (0xfffull << TAG_PCID_SHIFT)

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

static void find_places(struct tlb *tlb)
{
	for (int level = 0; level < TLB_LEVELS; level++) {
		for (unsigned kind = 0; kind < 2; kind++) {
			for (enum tlb_size size = TLB_4K; size < TLB_SIZES; size++) {
				const struct tlb_array *array =
					processor_tlb(tlb->processor, level, kind, size);

				if (!array)
					continue;
				tlb->place[level][kind][size] = (struct tlb_place){
					&tlb->array[array - tlb->processor->tlb],
					array->only[size].first,
					(uint8_t)tlb_array_reach(array, size).ways,
				};
				tlb->largest[level][kind] = size;
				tlb->holders[size] |= 1u << (array - tlb->processor->tlb);
			}
		}
	}
}

int tlb_create(struct tlb *tlb, const struct processor *processor)
{
	int error = 0;

	*tlb = (struct tlb){.processor = processor};
	for (int i = 0; i < TLB_MAX_ARRAYS && processor->tlb[i].sets; i++)
		error |= cache_create(&tlb->array[i], (struct geometry){processor->tlb[i].sets,
									processor->tlb[i].ways});
	for (int i = 0; i < WALK_CACHE_COUNT; i++) {
		error |= cache_create(&tlb->linear[i], processor->linear[i]);
		error |= cache_create(&tlb->nested[i], processor->nested[i]);
	}
	if (error) {
		tlb_destroy(tlb);
		return -ENOMEM;
	}
	find_places(tlb);
	tlb_set_context(tlb, 0, 0, EPTRTA_NONE);
	return 0;
}

void tlb_destroy(struct tlb *tlb)
{
	for (int i = 0; i < TLB_MAX_ARRAYS; i++)
		cache_destroy(&tlb->array[i]);
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

void cache_insert_at(const struct tlb_place *place, uint64_t tag, uint64_t value)
{
	struct cache *cache = place->cache;
	uint32_t first = cache_set(cache, tag);
	uint8_t *newest = &cache->newest[tag & (cache->sets - 1)];
	uint8_t way = cache->newer[first + *newest];

	/* From the oldest on: one of them is there. */
	while (way < place->first || way >= place->first + place->ways)
		way = cache->newer[first + way];
	if (way != *newest) {
		cache_unlink(cache, first, way);
		cache_link(cache, first, way, *newest);
	}
	cache->tag[first + way] = tag;
	cache->mark[first + way] = cache_mark(tag);
	cache->value[first + way] = value;
	*newest = way;
}

/* Takes out every entry with one of @numbers (bits) whose tag has the bits of @mask as in @tag. */
static void pick(struct cache caches[], unsigned count, unsigned numbers, uint64_t mask,
		 uint64_t tag)
{
	for (unsigned i = 0; i < count; i++) {
		struct cache *cache = &caches[i];

		for (uint32_t slot = 0; slot < cache->sets * cache->stride; slot++) {
			uint64_t here = cache->tag[slot];

			if ((numbers >> (here >> TAG_NUMBER_SHIFT) & 1) && !((here ^ tag) & mask))
				remove_slot(cache, slot);
		}
	}
}

/* Numbers begin at 0 again: those in use are moved down, what is left of others goes. */
static void renumber(struct tlb_contexts *contexts, struct cache caches[], unsigned count)
{
	uint64_t first = (uint64_t)contexts->first << TAG_NUMBER_SHIFT;

	for (unsigned i = 0; i < count; i++) {
		struct cache *cache = &caches[i];

		for (uint32_t slot = 0; slot < cache->sets * cache->stride; slot++) {
			uint64_t *tag = &cache->tag[slot];

			if (*tag == TAG_EMPTY)
				continue;
			*tag = *tag < first ? TAG_EMPTY : *tag - first;
			cache->mark[slot] = cache_mark(*tag);
		}
	}
	contexts->next -= contexts->first;
	memmove(contexts->of, &contexts->of[contexts->first],
		contexts->next * sizeof(contexts->of[0]));
	contexts->first = 0;
}

/* The number of a context becomes the present one; it may be a new one. Returns its tag. */
static uint64_t enter(struct tlb_contexts *contexts, struct cache caches[], unsigned count,
		      uint16_t vpid, uint64_t eptrta)
{
	uint8_t n = contexts->first;

	while (n < contexts->next &&
	       (contexts->of[n].vpid != vpid || contexts->of[n].eptrta != eptrta))
		n++;
	if (n == TLB_NUMBERS) {
		if (!contexts->first) /* a TLB may forget at any time */
			contexts->first = contexts->next;
		renumber(contexts, caches, count);
		n = contexts->next;
	}
	if (n == contexts->next) {
		contexts->next++;
		contexts->of[n].vpid = vpid;
		contexts->of[n].eptrta = eptrta;
	}
	contexts->present = n;
	return (uint64_t)n << TAG_NUMBER_SHIFT;
}

static void enter_entries(struct tlb *tlb)
{
	tlb->entry_tag = enter(&tlb->entries, tlb->array, TLB_MAX_ARRAYS, tlb->vpid, tlb->eptrta) |
			 (uint64_t)tlb->pcid << TAG_PCID_SHIFT;
}

static void enter_linears(struct tlb *tlb)
{
	tlb->linear_tag =
		enter(&tlb->linears, tlb->linear, WALK_CACHE_COUNT, tlb->vpid, tlb->eptrta) |
		(uint64_t)tlb->pcid << TAG_PCID_SHIFT;
}

/* Guest-physical mappings belong to no VPID. */
static void enter_nesteds(struct tlb *tlb)
{
	tlb->nested_tag = enter(&tlb->nesteds, tlb->nested, WALK_CACHE_COUNT, 0, tlb->eptrta);
}

void tlb_set_context(struct tlb *tlb, uint16_t vpid, uint16_t pcid, uint64_t eptrta)
{
	tlb->vpid = vpid;
	tlb->pcid = pcid;
	tlb->eptrta = eptrta;
	enter_entries(tlb);
	enter_linears(tlb);
	enter_nesteds(tlb);
}

static bool several(const struct tlb_contexts *contexts)
{
	return contexts->next - contexts->first > 1;
}

/* The numbers, as bits, of all contexts of a VPID. */
static unsigned numbers_of_vpid(const struct tlb_contexts *contexts, uint16_t vpid)
{
	unsigned numbers = 0;

	for (uint8_t n = contexts->first; n < contexts->next; n++)
		numbers |= (unsigned)(contexts->of[n].vpid == vpid) << n;
	return numbers;
}

/* Of all contexts of an EPTRTA; EPTRTA_NONE: of all that have one. */
static unsigned numbers_of_eptrta(const struct tlb_contexts *contexts, uint64_t eptrta)
{
	unsigned numbers = 0;

	for (uint8_t n = contexts->first; n < contexts->next; n++) {
		uint64_t of = contexts->of[n].eptrta;

		numbers |= (unsigned)(eptrta == EPTRTA_NONE ? of != eptrta : of == eptrta) << n;
	}
	return numbers;
}

static void flush_linears(struct tlb *tlb)
{
	tlb->linears.first = tlb->linears.next;
	enter_linears(tlb);
}

void tlb_flush(struct tlb *tlb)
{
	memset(tlb->has, 0, sizeof(tlb->has));
	tlb->has_global = tlb->has_other_pcid = false;
	if (tlb->fragment_codes)
		memset(tlb->fragments, 0, sizeof(tlb->fragments));
	tlb->fragment_codes = 0;
	tlb->entries.first = tlb->entries.next;
	enter_entries(tlb);
	flush_linears(tlb);
}

void tlb_flush_nested(struct tlb *tlb)
{
	tlb->nesteds.first = tlb->nesteds.next;
	enter_nesteds(tlb);
}

/* Picks from arrays and walk caches what these contexts hold; no walk cache is global. */
static void pick_all(struct tlb *tlb, unsigned entries, unsigned linears, uint64_t mask,
		     uint64_t tag)
{
	pick(tlb->array, TLB_MAX_ARRAYS, entries, mask, tag);
	pick(tlb->linear, WALK_CACHE_COUNT, linears, mask & TAG_PCID, tag);
}

static void pick_vpid(struct tlb *tlb, uint16_t vpid, uint64_t mask, uint64_t tag)
{
	pick_all(tlb, numbers_of_vpid(&tlb->entries, vpid), numbers_of_vpid(&tlb->linears, vpid),
		 mask, tag);
}

/* The walk caches of a PCID of the present VPID. */
static void flush_walk_caches(struct tlb *tlb, uint16_t pcid)
{
	if (!tlb->has_other_pcid && !several(&tlb->linears))
		flush_linears(tlb);
	else
		pick(tlb->linear, WALK_CACHE_COUNT, numbers_of_vpid(&tlb->linears, tlb->vpid),
		     TAG_PCID, (uint64_t)pcid << TAG_PCID_SHIFT);
}

void tlb_flush_pcid(struct tlb *tlb, uint16_t pcid)
{
	if (several(&tlb->entries) || tlb->has_global || tlb->has_other_pcid)
		pick_vpid(tlb, tlb->vpid, TAG_PCID | TAG_GLOBAL, (uint64_t)pcid << TAG_PCID_SHIFT);
	else if (!pcid)
		tlb_flush(tlb);
}

void tlb_flush_not_global(struct tlb *tlb)
{
	tlb_invvpid(tlb, tlb->vpid, false);
}

void tlb_flush_all_pcids(struct tlb *tlb)
{
	tlb_invvpid(tlb, tlb->vpid, true);
}

void tlb_invvpid(struct tlb *tlb, uint16_t vpid, bool global)
{
	if (!several(&tlb->entries) && vpid == tlb->vpid && (global || !tlb->has_global))
		tlb_flush(tlb);
	else
		pick_vpid(tlb, vpid, global ? 0 : TAG_GLOBAL, 0);
}

void tlb_invvpid_all(struct tlb *tlb)
{
	pick_all(tlb, ~numbers_of_vpid(&tlb->entries, 0) & ((1u << TLB_NUMBERS) - 1),
		 ~numbers_of_vpid(&tlb->linears, 0) & ((1u << TLB_NUMBERS) - 1), 0, 0);
}

void tlb_invept(struct tlb *tlb, uint64_t eptrta)
{
	pick_all(tlb, numbers_of_eptrta(&tlb->entries, eptrta),
		 numbers_of_eptrta(&tlb->linears, eptrta), 0, 0);
	pick(tlb->nested, WALK_CACHE_COUNT, numbers_of_eptrta(&tlb->nesteds, eptrta), 0, 0);
}

void tlb_ept_violation(struct tlb *tlb, uint64_t gpa)
{
	for (unsigned i = 0; i < WALK_CACHE_COUNT; i++)
		cache_remove(&tlb->nested[i], walk_tag(tlb->nested_tag, gpa, 12 + 9 * (i + 1)));
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
	bool removed = false;

	for (unsigned left = tlb->holders[size]; left; left &= left - 1)
		removed |= cache_remove(&tlb->array[__builtin_ctz(left)], tag);
	return removed;
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

/*
 * Takes out every piece of the guest's large page at @gva: of the contexts with one of @numbers,
 * and of what has the bits of @mask as in @tag.
 */
static void remove_fragments(struct tlb *tlb, unsigned numbers, uint64_t mask, uint64_t tag,
			     uint64_t gva)
{
	for (int i = 0; i < TLB_MAX_ARRAYS; i++) {
		struct cache *cache = &tlb->array[i];

		for (uint32_t slot = 0; slot < cache->sets * cache->stride; slot++) {
			uint64_t here = cache->tag[slot];
			unsigned code = cache->value[slot] >> TLB_FRAGMENT_SHIFT & 3;
			unsigned shift = tlb_shift[tlb_size(cache->value[slot])];
			uint64_t page = here & ((1ull << TAG_SIZE_SHIFT) - 1);

			if (code && (numbers >> (here >> TAG_NUMBER_SHIFT) & 1) &&
			    !((here ^ tag) & mask) &&
			    !(((page << shift) ^ walk_tag(0, gva, 0)) >> fragment_shift[code]))
				remove_slot(cache, slot);
		}
	}
}

bool tlb_invalidate(struct tlb *tlb, uint16_t pcid, uint64_t gva, bool global)
{
	uint64_t tag = (uint64_t)pcid << TAG_PCID_SHIFT;
	unsigned numbers = several(&tlb->entries) ? numbers_of_vpid(&tlb->entries, tlb->vpid)
						  : 1u << tlb->entries.present;
	bool more = false;

	for (unsigned left = numbers; left; left &= left - 1) {
		uint64_t context = (uint64_t)__builtin_ctz(left) << TAG_NUMBER_SHIFT | tag;

		for (enum tlb_size size = TLB_4K; size < TLB_SIZES; size++) {
			bool removed;

			if (!tlb->has[size])
				continue;
			removed = tlb_remove(tlb, tlb_tag(context, gva, size), size);
			if (global && tlb->has_global)
				removed |=
					tlb_remove(tlb, tlb_tag_global(context, gva, size), size);
			more |= removed && size != TLB_4K;
		}
	}
	if (may_have_fragments(tlb, gva)) {
		remove_fragments(tlb, numbers, TAG_PCID | TAG_GLOBAL, tag, gva);
		if (global && tlb->has_global)
			remove_fragments(tlb, numbers, TAG_GLOBAL, TAG_GLOBAL, gva);
		more = true;
	}
	flush_walk_caches(tlb, pcid);
	return more;
}

void tlb_invvpid_address(struct tlb *tlb, uint16_t vpid, uint64_t gva)
{
	unsigned numbers = numbers_of_vpid(&tlb->entries, vpid);

	if (vpid == tlb->vpid && !tlb->has_other_pcid) {
		tlb_invalidate(tlb, 0, gva, true);
		return;
	}
	for (enum tlb_size size = TLB_4K; size < TLB_SIZES; size++)
		pick(tlb->array, TLB_MAX_ARRAYS, numbers, ~(TAG_NUMBER | TAG_PCID | TAG_GLOBAL),
		     tlb_tag(0, gva, size));
	if (may_have_fragments(tlb, gva))
		remove_fragments(tlb, numbers, 0, 0, gva);
	pick(tlb->linear, WALK_CACHE_COUNT, numbers_of_vpid(&tlb->linears, vpid), 0, 0);
}
