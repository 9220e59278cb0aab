/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLB and walk caches of one logical processor (SDM 3A 4.10). Sets are chosen by the low bits of
 * the page number; replacement is true LRU: the ways of a set are kept in the order of their use.
 *
 * Insertion policy: a walk that succeeds fills the first level of its kind of access and the
 * shared second level; a second-level hit fills the first level. The levels are neither inclusive
 * nor exclusive: evicting from one leaves the other alone. Walk caches are filled when the walk
 * has succeeded.
 *
 * A flush of everything starts a new epoch, which is part of every tag. Entries of older epochs
 * sink to the end of their sets as empty ways would.
 */
#ifndef PAGING_TLB_H
#define PAGING_TLB_H

#include <stdbool.h>
#include <stdint.h>

#define FRAGMENT_FILTER 1024

/* A set-associative cache from tags to 64-bit values. */
struct cache {
	uint64_t *tag; /* [sets * ways], newest first in each set */
	uint64_t *value;
	uint32_t sets, ways;
};

struct processor; /* geometry */

/* What a TLB entry says, in the low bits of its value; above them the page's HPA. */
#define TLB_WRITE    (1ull << 0)
#define TLB_USER     (1ull << 1)
#define TLB_EXECUTE  (1ull << 2)
#define TLB_DIRTY    (1ull << 3) /* the dirty bit is known to be set */
#define TLB_FRAGMENT (1ull << 4) /* the guest's page is larger than this entry */
#define TLB_LARGE    (1ull << 5) /* a 2M entry */
#define TLB_FLAGS    0xfffull

/* Walk caches: the value is the HPA of the next table, with TLB_WRITE, _USER, _EXECUTE of the path
 * so far. */
enum walk_cache { WALK_CACHE_PDE, WALK_CACHE_PDPTE, WALK_CACHE_PML4E, WALK_CACHE_COUNT };

struct tlb {
	struct cache l1_instruction_4k, l1_instruction_2m;
	struct cache l1_data_4k, l1_data_2m;
	struct cache l2; /* 4K and 2M entries */
	struct cache
		linear[WALK_CACHE_COUNT]; /* by linear address: the tables that CR3 points at */
	struct cache nested[WALK_CACHE_COUNT]; /* by guest-physical address: EPT tables */
	/* TLB entries, walk caches of linear addresses, walk caches of guest-physical ones. */
	uint64_t epoch, linear_epoch, nested_epoch;
	bool large; /* there may be 2M entries in this epoch */
	/* Which 2M pages may have entries with TLB_FRAGMENT in this epoch: a filter by a hash. */
	uint64_t fragments[FRAGMENT_FILTER / 64];
};

/* Geometry of a named processor. */
struct processor {
	const char *name;
	uint8_t maxphyaddr;
	struct {
		uint16_t sets, ways;
	} l1_instruction_4k, l1_instruction_2m, l1_data_4k, l1_data_2m, l2, walk[WALK_CACHE_COUNT];
};

/* NULL: no such processor in this build. */
const struct processor *processor_find(const char *name);

int tlb_create(struct tlb *tlb, const struct processor *processor);
void tlb_destroy(struct tlb *tlb);
/* Forgets all linear and combined mappings (MOV to CR3, INVVPID), but no guest-physical ones. */
void tlb_flush(struct tlb *tlb);
/* Of these, forgets only what the walk caches hold (a part of INVLPG). */
void tlb_flush_walk_caches(struct tlb *tlb);
/* Forgets guest-physical mappings (INVEPT). */
void tlb_flush_nested(struct tlb *tlb);
/* Forgets what the walk caches hold for a linear address that faulted (SDM 3A 4.10.4.1). */
void walk_caches_remove(struct tlb *tlb, uint64_t address);

extern const uint8_t walk_cache_shift[WALK_CACHE_COUNT];

/* Tags: page number, for the shared level the size, and the epoch. */
static inline uint64_t cache_tag(uint64_t epoch, uint64_t address, unsigned shift)
{
	return (address & ((1ull << 48) - 1)) >> shift | epoch << 37;
}

static inline uint64_t tlb_tag(const struct tlb *tlb, uint64_t address, bool large)
{
	return large ? cache_tag(tlb->epoch, address, 21) | 1ull << 36
		     : cache_tag(tlb->epoch, address, 12);
}

static inline uint64_t *fragment_word(struct tlb *tlb, uint64_t address, uint64_t *ret_bit)
{
	unsigned slot = (address >> 21 ^ address >> 31) % FRAGMENT_FILTER;

	*ret_bit = 1ull << slot % 64;
	return &tlb->fragments[slot / 64];
}

static inline uint64_t cache_page(uint64_t tag)
{
	return tag & ((1ull << 36) - 1);
}

/*
 * The value of @tag, made the newest of its set, or NULL. *ret_moved (may be NULL): it was not the
 * newest before.
 */
static inline uint64_t *cache_find(struct cache *cache, uint64_t tag, bool *ret_moved)
{
	uint32_t first = (cache_page(tag) & (cache->sets - 1)) * cache->ways;
	uint64_t *tags = &cache->tag[first], *values = &cache->value[first];

	if (tags[0] == tag)
		return values;
	for (uint32_t way = 1; way < cache->ways; way++) {
		uint64_t value;

		if (tags[way] != tag)
			continue;
		value = values[way];
		for (; way > 0; way--) {
			tags[way] = tags[way - 1];
			values[way] = values[way - 1];
		}
		tags[0] = tag;
		values[0] = value;
		if (ret_moved)
			*ret_moved = true;
		return values;
	}
	return 0;
}

/* Makes @tag (not in the cache) the newest of its set; the oldest goes. */
static inline void cache_insert(struct cache *cache, uint64_t tag, uint64_t value)
{
	uint32_t first = (cache_page(tag) & (cache->sets - 1)) * cache->ways;
	uint64_t *tags = &cache->tag[first], *values = &cache->value[first];

	for (uint32_t way = cache->ways - 1; way > 0; way--) {
		tags[way] = tags[way - 1];
		values[way] = values[way - 1];
	}
	tags[0] = tag;
	values[0] = value;
}

/* Takes @tag out if it is there; the ways behind it move up. */
bool cache_remove(struct cache *cache, uint64_t tag);

/* Takes out every 4K entry inside the 2M page of @address that has TLB_FRAGMENT. */
void tlb_remove_fragments(struct tlb *tlb, uint64_t address);

#endif
