/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLB and walk caches of one logical processor (SDM 3A 4.10). Sets are chosen by the low bits of
 * the page number; replacement is true LRU: the ways of a set are a ring in the order of their use.
 *
 * Insertion policy: a walk that succeeds fills the first and the second level of its kind of
 * access; a second-level hit fills the first. The levels are neither inclusive nor exclusive:
 * evicting from one leaves the other alone. A level that cannot hold a page of 1G gets the piece of
 * 2M that was asked for; a first level that can gets the whole page back when that piece hits. Walk
 * caches are filled when the walk has succeeded.
 *
 * Entries are tagged with the PCID, or as global, and with a number that stands for the VPID and,
 * for combined mappings, the EPTRTA (SDM 3C 28.4). A flush of everything only gives out a new
 * number: entries of older ones sink to the end of their sets as empty ways would. What a flush has
 * to pick is looked for.
 */
#ifndef PAGING_TLB_H
#define PAGING_TLB_H

#include <emmintrin.h>
#include <stdbool.h>
#include <stdint.h>

#include "paging/processor.h"

#define FRAGMENT_FILTER_BITS 12

/*
 * A set-associative cache from tags to 64-bit values. Its arrays have an element for each way of
 * each set, sets being @stride apart: a power of 2.
 */
struct cache {
	uint64_t *tag, *value;
	/* A byte of a hash of the tag: those of 16 ways are compared at once, and few need a look
	 * at the tag. */
	uint8_t *mark;
	/* The ring of a set's ways: from its newest on the next older ones, and after the oldest
	 * the newest again. */
	uint8_t *older, *newer;
	uint8_t *newest; /* [sets] */
	uint32_t sets, ways, stride;
};

/* What a TLB entry says, around the page's HPA (bits 51:12). */
#define TLB_READ           (1ull << 0) /* EPT allows reading */
#define TLB_WRITE          (1ull << 1)
#define TLB_USER           (1ull << 2)
#define TLB_EXECUTE        (1ull << 3)
#define TLB_DIRTY          (1ull << 4) /* dirty bits of guest and EPT are known to be set */
#define TLB_RIGHTS         31ull       /* all of these */
#define TLB_GLOBAL         (1ull << 5)
#define TLB_SIZE_SHIFT     6 /* enum tlb_size, 2 bits */
#define TLB_FRAGMENT_SHIFT 8 /* the guest's page is larger than this entry: */
#define TLB_FRAGMENT_2M    (1ull << TLB_FRAGMENT_SHIFT)
#define TLB_FRAGMENT_4M    (2ull << TLB_FRAGMENT_SHIFT)
#define TLB_FRAGMENT_1G    (3ull << TLB_FRAGMENT_SHIFT)
#define TLB_SMASHED        (1ull << 10) /* a piece of 2M of an entry of 1G */
#define TLB_KEY_SHIFT      59           /* protection key, where entries have it */
#define TLB_ADDRESS        ((1ull << 52) - 1 - 0xfff)

/*
 * Walk caches: the value is the HPA of the next table, with the rights of the path so far:
 * TLB_WRITE, _USER, _EXECUTE, or EPT's.
 */

/* Where entries of one size are, for one level and kind of access. */
struct tlb_place {
	struct cache *cache; /* NULL: this level holds none */
	uint8_t first, ways; /* the ways that they may use */
};

/*
 * What the numbers in tags stand for. Those from @first to before @next are in use, smaller ones
 * belonged to what was flushed.
 */
#define TLB_NUMBERS 15 /* of 4 bits; the last is that of empty ways */
struct tlb_contexts {
	struct {
		uint64_t eptrta;
		uint16_t vpid;
	} of[TLB_NUMBERS];
	uint8_t first, next, present;
};

#define EPTRTA_NONE UINT64_MAX /* no EPT: linear mappings */

struct tlb {
	struct cache array[TLB_MAX_ARRAYS];
	const struct processor *processor;
	/* [kind]: by enum umbra_access. */
	struct tlb_place place[TLB_LEVELS][2][TLB_SIZES];
	enum tlb_size largest[TLB_LEVELS][2]; /* that the level holds */
	unsigned holders[TLB_SIZES];          /* bits: which arrays hold such entries */
	struct cache
		linear[WALK_CACHE_COUNT]; /* by linear address: the tables that CR3 points at */
	struct cache nested[WALK_CACHE_COUNT]; /* by guest-physical address: EPT tables */

	uint16_t pcid, vpid; /* the present ones */
	uint64_t eptrta;
	struct tlb_contexts entries, linears, nesteds; /* of the arrays, linear[], nested[] */
	/* The part of their tags that stands for all these. */
	uint64_t entry_tag, linear_tag, nested_tag;

	bool has[TLB_SIZES]; /* there may be such entries */
	bool has_global;     /* ... and global ones */
	bool has_other_pcid; /* ... and ones of another PCID than 0 */
	/* Which large pages of the guest may be here in pieces, and of which sizes: a filter by a
	 * hash. */
	uint64_t fragments[(1u << FRAGMENT_FILTER_BITS) / 64];
	uint8_t fragment_codes;
};

int tlb_create(struct tlb *tlb, const struct processor *processor);
void tlb_destroy(struct tlb *tlb);

/*
 * What is looked up and filled from now on belongs to these (SDM 3C 28.4.1); nothing is forgotten,
 * unless there are more of them in use than numbers.
 */
void tlb_set_context(struct tlb *tlb, uint16_t vpid, uint16_t pcid, uint64_t eptrta);

/*
 * The invalidations of SDM 3A 4.10.4.1: of the present VPID, with all EPTRTAs (3C 28.4.3.1).
 * Guest-physical mappings stay in all of them.
 */
/* What is tagged with a PCID, and its walk caches; global entries stay. */
void tlb_flush_pcid(struct tlb *tlb, uint16_t pcid);
/* All PCIDs; global entries stay. */
void tlb_flush_not_global(struct tlb *tlb);
/* All PCIDs and global entries. */
void tlb_flush_all_pcids(struct tlb *tlb);
/*
 * The page of an address, and all walk caches of the PCID; @global: its global entries too. Returns
 * whether more than one page of 4K may have gone.
 */
bool tlb_invalidate(struct tlb *tlb, uint16_t pcid, uint64_t gva, bool global);

/* INVVPID (SDM 3C 30.3); the walk caches of the VPID go too. */
void tlb_invvpid_address(struct tlb *tlb, uint16_t vpid, uint64_t gva);
void tlb_invvpid(struct tlb *tlb, uint16_t vpid, bool global);
/* All VPIDs but 0. */
void tlb_invvpid_all(struct tlb *tlb);
/* INVEPT: guest-physical and combined mappings; EPTRTA_NONE: of all EPTRTAs. */
void tlb_invept(struct tlb *tlb, uint64_t eptrta);
/* An EPT violation takes along what was cached of the address that caused it (3C 28.4.3.1). */
void tlb_ept_violation(struct tlb *tlb, uint64_t gpa);

/* Everything but guest-physical mappings: all VPIDs, PCIDs, EPTRTAs. */
void tlb_flush(struct tlb *tlb);
/* All guest-physical mappings. */
void tlb_flush_nested(struct tlb *tlb);
/* Takes one entry out of all arrays: @tag of that size. Returns whether it was in any. */
bool tlb_remove(struct tlb *tlb, uint64_t tag, enum tlb_size size);
/* The entry is a piece of a larger page of the guest. */
void tlb_note_fragment(struct tlb *tlb, uint64_t gva, uint64_t value);

#define LINEAR_BITS      57
#define TAG_SIZE_SHIFT   45 /* below: the page number; 2 bits */
#define TAG_GLOBAL       (1ull << 47)
#define TAG_PCID_SHIFT   48
#define TAG_NUMBER_SHIFT 60
#define TAG_NUMBER       (15ull << TAG_NUMBER_SHIFT)

static const uint8_t tlb_shift[TLB_SIZES] = {12, 21, 30};

static inline enum tlb_size tlb_size(uint64_t value)
{
	return value >> TLB_SIZE_SHIFT & 3;
}

/* Of a walk cache: what one of its entries maps has the size 1 << @shift. */
static inline uint64_t walk_tag(uint64_t context, uint64_t address, unsigned shift)
{
	return (address & ((1ull << LINEAR_BITS) - 1)) >> shift | context;
}

/* @context: number and PCID, tlb->entry_tag for the present ones. */
static inline uint64_t tlb_tag(uint64_t context, uint64_t gva, enum tlb_size size)
{
	return walk_tag(context, gva, tlb_shift[size]) | (uint64_t)size << TAG_SIZE_SHIFT;
}

static inline uint64_t tlb_tag_global(uint64_t context, uint64_t gva, enum tlb_size size)
{
	return tlb_tag(context & TAG_NUMBER, gva, size) | TAG_GLOBAL;
}

static inline uint8_t cache_mark(uint64_t tag)
{
	/* Fibonacci hashing: all bits that tags of one set differ in matter. */
	return (uint8_t)(tag * 0x9e3779b97f4a7c15ull >> 56);
}

/* Where the set of @tag begins in the arrays. */
static inline uint32_t cache_set(const struct cache *cache, uint64_t tag)
{
	return (uint32_t)(tag & (cache->sets - 1)) * cache->stride;
}

/* The way of @tag in the set that begins at @first, or a negative number. */
static inline int cache_way(const struct cache *cache, uint32_t first, uint64_t tag)
{
	__m128i mark = _mm_set1_epi8((char)cache_mark(tag));

	for (uint32_t group = 0; group < cache->ways; group += 16) {
		__m128i marks =
			_mm_loadu_si128((const __m128i *)(const void *)&cache->mark[first + group]);
		uint32_t same = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(marks, mark));

		for (; same; same &= same - 1) {
			uint32_t way = group + (uint32_t)__builtin_ctz(same);

			/* In a small set the marks behind it are those of other sets. */
			if (way >= cache->ways)
				break;
			if (cache->tag[first + way] == tag)
				return (int)way;
		}
	}
	return -1;
}

/* Takes a way out of the ring; the rest closes up. */
static inline void cache_unlink(struct cache *cache, uint32_t first, uint8_t way)
{
	uint8_t *older = &cache->older[first], *newer = &cache->newer[first];

	older[newer[way]] = older[way];
	newer[older[way]] = newer[way];
}

/* Puts it back between the oldest and the newest: it is either, as the set's newest says. */
static inline void cache_link(struct cache *cache, uint32_t first, uint8_t way, uint8_t newest)
{
	uint8_t *older = &cache->older[first], *newer = &cache->newer[first];
	uint8_t oldest = newer[newest];

	older[way] = newest;
	newer[way] = oldest;
	older[oldest] = newer[newest] = way;
}

/*
 * The value of @tag, made the newest of its set, or NULL. *ret_moved (may be NULL): it was not the
 * newest before.
 */
static inline uint64_t *cache_find(struct cache *cache, uint64_t tag, bool *ret_moved)
{
	uint32_t first = cache_set(cache, tag);
	uint8_t *newest = &cache->newest[tag & (cache->sets - 1)];
	int way;

	if (cache->tag[first + *newest] == tag)
		return &cache->value[first + *newest];
	way = cache_way(cache, first, tag);
	if (way < 0)
		return NULL;
	cache_unlink(cache, first, (uint8_t)way);
	cache_link(cache, first, (uint8_t)way, *newest);
	*newest = (uint8_t)way;
	if (ret_moved)
		*ret_moved = true;
	return &cache->value[first + (uint32_t)way];
}

/* Makes @tag (not in the cache) the newest of its set; the oldest goes. */
static inline void cache_insert(struct cache *cache, uint64_t tag, uint64_t value)
{
	uint32_t first = cache_set(cache, tag);
	uint8_t *newest = &cache->newest[tag & (cache->sets - 1)];
	uint8_t way = cache->newer[first + *newest];

	cache->tag[first + way] = tag;
	cache->mark[first + way] = cache_mark(tag);
	cache->value[first + way] = value;
	*newest = way;
}

/* As cache_insert(), with the oldest of the ways that @place may use. */
void cache_insert_at(const struct tlb_place *place, uint64_t tag, uint64_t value);

static inline void tlb_insert(const struct tlb_place *place, uint64_t tag, uint64_t value)
{
	if (__builtin_expect(place->ways == place->cache->ways, 1))
		cache_insert(place->cache, tag, value);
	else
		cache_insert_at(place, tag, value);
}

/* Takes @tag out if it is there; its way is then the oldest. */
bool cache_remove(struct cache *cache, uint64_t tag);

#endif
