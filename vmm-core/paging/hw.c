/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The modelled hardware: look-ups, invalidations, and what it does with the control registers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paging/hw_private.h"

int hw_create(struct memory *memory, const struct umbra_cost *cost,
	      const struct processor *processor, struct hw **ret_hw)
{
	struct hw *hw;

	if (memory->nr_hw == MEMORY_MAX_HW)
		return -E2BIG;
	hw = aligned_alloc(64, (sizeof(*hw) + 63) & ~63ul);
	if (!hw)
		return -ENOMEM;
	memset(hw, 0, sizeof(*hw));
	hw->memory = memory;
	hw->cost = *cost;
	hw->processor = processor;
	hw_set_maxphyaddr(hw, processor->maxphyaddr);
	hw->sink = aligned_alloc(PAGE_SIZE, PAGE_SIZE); /* in-page offsets hold for it too */
	if (!hw->sink || tlb_create(&hw->tlb, processor) < 0) {
		free(hw->sink);
		free(hw);
		return -ENOMEM;
	}
	memset(hw->lookaside_used, 0xff, sizeof(hw->lookaside_used));
	hw_flush(hw);
	hw->public.counters.tlb_flushes[0] = 0;
	memory->hw[memory->nr_hw++] = hw;
	*ret_hw = hw;
	return 0;
}

void hw_destroy(struct hw *hw)
{
	struct memory *memory;
	unsigned i = 0;

	if (!hw)
		return;
	memory = hw->memory;
	while (memory->hw[i] != hw)
		i++;
	memory->hw[i] = memory->hw[--memory->nr_hw];
	tlb_destroy(&hw->tlb);
	free(hw->sink);
	free(hw);
}

void hw_set_maxphyaddr(struct hw *hw, unsigned bits)
{
	hw->maxphyaddr = (uint8_t)bits;
	ept_rules_of(bits, &hw->ept_rules);
}

unsigned hw_maxphyaddr(const struct hw *hw)
{
	return hw->maxphyaddr;
}

void hw_fail(struct hw *hw, const char *text)
{
	hw->failed = true;
	snprintf(hw->error_text, sizeof(hw->error_text), "%s", text);
}

const struct processor *hw_processor(const struct hw *hw)
{
	return hw->processor;
}

bool hw_failed(const struct hw *hw)
{
	return hw->failed;
}

const char *hw_error_text(const struct hw *hw)
{
	return hw->error_text;
}

static void lookaside_empty(struct hw *hw, bool fetch)
{
	struct hw_lookaside(*lookaside)[HW_LOOKASIDE_SETS] =
		fetch ? hw->public.fetch : hw->public.data;

	for (unsigned used = hw->lookaside_used[fetch]; used; used &= used - 1) {
		for (int privilege = 0; privilege < HW_PRIVILEGES; privilege++)
			hw_lookaside_forget(&lookaside[privilege][__builtin_ctz(used)]);
	}
	hw->lookaside_used[fetch] = 0;
}

void hw_lookaside_flush(struct hw *hw)
{
	lookaside_empty(hw, false);
	lookaside_empty(hw, true);
	/* What the CPU fetched last may no longer hit without a look-up. */
	hw->public.attention = true;
}

void hw_lookaside_drop(struct hw *hw, uint64_t gva)
{
	unsigned set = (gva >> 12) % HW_LOOKASIDE_SETS;

	for (int privilege = 0; privilege < HW_PRIVILEGES; privilege++) {
		hw_lookaside_forget(&hw->public.data[privilege][set]);
		hw_lookaside_forget(&hw->public.fetch[privilege][set]);
	}
	hw->public.attention = true;
}

void hw_flush(struct hw *hw)
{
	hw_follow_context(hw);
	tlb_flush(&hw->tlb);
	hw_lookaside_flush(hw);
	hw->public.counters.tlb_flushes[0]++;
}

void hw_watch_frame(struct memory *memory, uint64_t hpa)
{
	uint8_t *host = frames_host(&memory->frames, hpa & ~PAGE_MASK);

	for (unsigned i = 0; i < memory->nr_hw; i++) {
		struct hw_lookaside *slot = memory->hw[i]->public.data[0];

		for (int n = HW_PRIVILEGES * HW_LOOKASIDE_SETS; n > 0; n--, slot++) {
			if (slot->host == host)
				slot->page[1] = HW_NO_PAGE;
		}
	}
}

void hw_attention_all(struct memory *memory)
{
	for (unsigned i = 0; i < memory->nr_hw; i++)
		memory->hw[i]->public.attention = true;
}

static inline enum umbra_access kind_of(bool fetch)
{
	return fetch ? UMBRA_ACCESS_instruction : UMBRA_ACCESS_data;
}

static __attribute__((noinline)) uint64_t *find_global(struct tlb *tlb, struct cache *cache,
						       uint64_t gva, enum tlb_size size,
						       bool *ret_moved)
{
	return cache_find(cache, tlb_tag_global(tlb->entry_tag, gva, size), ret_moved);
}

/* The entry for @gva with the present PCID, or a global one. */
static inline __attribute__((always_inline)) uint64_t *find(struct tlb *tlb, struct cache *cache,
							    uint64_t gva, enum tlb_size size,
							    bool *ret_moved)
{
	uint64_t *value = cache_find(cache, tlb_tag(tlb->entry_tag, gva, size), ret_moved);

	if (!value && __builtin_expect(tlb->has_global, 0))
		value = find_global(tlb, cache, gva, size, ret_moved);
	return value;
}

/* The same among the large pages that this level holds. */
static __attribute__((noinline)) uint64_t *find_large(struct tlb *tlb,
						      const struct tlb_place place[TLB_SIZES],
						      uint64_t gva, bool *ret_moved)
{
	uint64_t *value = NULL;

	for (enum tlb_size size = TLB_2M; !value && size < TLB_SIZES; size++) {
		if (tlb->has[size] && place[size].cache)
			value = find(tlb, place[size].cache, gva, size, ret_moved);
	}
	return value;
}

static inline bool has_large(const struct tlb *tlb)
{
	return tlb->has[TLB_2M] || tlb->has[TLB_1G];
}

static inline uint64_t tag_of(const struct tlb *tlb, uint64_t gva, uint64_t value)
{
	return value & TLB_GLOBAL ? tlb_tag_global(tlb->entry_tag, gva, tlb_size(value))
				  : tlb_tag(tlb->entry_tag, gva, tlb_size(value));
}

/*
 * The newest entry of a set of the first level is another one. The lookaside has a slot for each 4K
 * page, and one that the new entry does not overwrite may hold the old one: where sets are fewer
 * than slots, and of a large page, which has many. (What the CPU fetches from is the new one.)
 */
static void newest_changed(struct hw *hw, const struct cache *l1, enum tlb_size size, bool fetch)
{
	if (size != TLB_4K || l1->sets < HW_LOOKASIDE_SETS)
		lookaside_empty(hw, fetch);
}

/* What a level that holds no pages of 1G can have of one: the piece of 2M at @gva. */
static uint64_t smash(uint64_t gva, uint64_t value)
{
	value &= ~(3ull << TLB_SIZE_SHIFT);
	return value | (uint64_t)TLB_2M << TLB_SIZE_SHIFT | TLB_FRAGMENT_1G | TLB_SMASHED |
	       (gva & ((1ull << tlb_shift[TLB_1G]) - (1ull << tlb_shift[TLB_2M])));
}

/* The page of 1G that the piece is of. */
static uint64_t whole(uint64_t value)
{
	value &= ~(3ull << TLB_SIZE_SHIFT | 3ull << TLB_FRAGMENT_SHIFT | TLB_SMASHED);
	value &= ~(((1ull << tlb_shift[TLB_1G]) - 1) & TLB_ADDRESS);
	return value | (uint64_t)TLB_1G << TLB_SIZE_SHIFT;
}

/* @value, or as much of its page as the level can have in an entry. */
static uint64_t fitting(const struct tlb *tlb, enum tlb_level level, bool fetch, uint64_t gva,
			uint64_t value)
{
	enum tlb_size largest = tlb->largest[level][kind_of(fetch)];

	if ((value & TLB_SMASHED) && largest == TLB_1G)
		return whole(value);
	return tlb_size(value) > largest ? smash(gva, value) : value;
}

/* Puts an entry that fits there. */
static inline __attribute__((always_inline)) void put(struct hw *hw, enum tlb_level level,
						      bool fetch, uint64_t tag, uint64_t value)
{
	enum tlb_size size = tlb_size(value);
	const struct tlb_place *place = &hw->tlb.place[level][kind_of(fetch)][size];

	hw->tlb.has[size] = true;
	tlb_insert(place, tag, value);
	if (level == TLB_L1)
		newest_changed(hw, place->cache, size, fetch);
}

/* Puts as much of @value there as fits; returns that. */
static uint64_t fill(struct hw *hw, enum tlb_level level, bool fetch, uint64_t gva, uint64_t value)
{
	if (tlb_size(value) != TLB_4K) {
		value = fitting(&hw->tlb, level, fetch, gva, value);
		if (value & 3ull << TLB_FRAGMENT_SHIFT)
			tlb_note_fragment(&hw->tlb, gva, value);
	}
	put(hw, level, fetch, tag_of(&hw->tlb, gva, value), value);
	return value;
}

static enum umbra_tlb_hit hit_of(enum tlb_level level, bool fetch, uint64_t value)
{
	return (enum umbra_tlb_hit)((level * UMBRA_ACCESS_COUNT + kind_of(fetch)) * TLB_SIZES +
				    tlb_size(value));
}

/*
 * The first level's entry that translates @gva, made the newest of its set; 0: there is none in
 * either level. A second-level hit fills the first. *ret_hit: what was hit.
 */
static uint64_t look_up(struct hw *hw, uint64_t gva, bool fetch, enum umbra_tlb_hit *ret_hit)
{
	struct tlb *tlb = &hw->tlb;
	const struct tlb_place *l1 = tlb->place[TLB_L1][kind_of(fetch)];
	const struct tlb_place *l2 = tlb->place[TLB_L2][kind_of(fetch)];
	bool moved = false;
	uint64_t *value = find(tlb, l1[TLB_4K].cache, gva, TLB_4K, &moved);

	if (!value && has_large(tlb))
		value = find_large(tlb, l1, gva, &moved);
	if (value) {
		if (moved)
			newest_changed(hw, l1[tlb_size(*value)].cache, tlb_size(*value), fetch);
		*ret_hit = hit_of(TLB_L1, fetch, *value);
		return *value;
	}
	value = find(tlb, l2[TLB_4K].cache, gva, TLB_4K, NULL);
	if (!value && has_large(tlb))
		value = find_large(tlb, l2, gva, NULL);
	if (!value)
		return 0;
	*ret_hit = hit_of(TLB_L2, fetch, *value);
	return fill(hw, TLB_L1, fetch, gva, *value);
}

/* What a walk found; returns the first level's entry. */
static inline uint64_t insert(struct hw *hw, uint64_t gva, bool fetch, uint64_t value)
{
	struct tlb *tlb = &hw->tlb;

	tlb->has_global |= !!(value & TLB_GLOBAL);
	if (value & 3ull << TLB_FRAGMENT_SHIFT)
		tlb_note_fragment(tlb, gva, value);
	if (__builtin_expect(tlb_size(value) == TLB_4K, 1)) {
		uint64_t tag = tag_of(tlb, gva, value);

		put(hw, TLB_L1, fetch, tag, value);
		put(hw, TLB_L2, fetch, tag, value);
	} else {
		fill(hw, TLB_L2, fetch, gva, value);
		value = fill(hw, TLB_L1, fetch, gva, value);
	}
	hw->public.counters.tlb_misses_by_size[kind_of(fetch) * TLB_SIZES + tlb_size(value)]++;
	return value;
}

/* Takes out entries for @gva that do not allow the access: the walk decides anew. */
static void drop(struct hw *hw, uint64_t gva, uint64_t value)
{
	struct tlb *tlb = &hw->tlb;

	tlb_remove(tlb, tag_of(tlb, gva, value), tlb_size(value));
	if (tlb_size(value) == TLB_4K) {
		hw_lookaside_drop(hw, gva);
		return;
	}
	/* One level may have the page of 1G, the other a piece of it. */
	value ^= (uint64_t)(TLB_1G ^ TLB_2M) << TLB_SIZE_SHIFT;
	tlb_remove(tlb, tag_of(tlb, gva, value), tlb_size(value));
	hw_lookaside_flush(hw);
}

/* Nobody answers: reads see all ones, writes are lost. */
static uint8_t *open_bus(struct hw *hw, uint64_t gva)
{
	memset(hw->sink, 0xff, PAGE_SIZE);
	return hw->sink + (gva & PAGE_MASK);
}

static uint8_t *to_device(struct hw *hw, uint64_t gpa)
{
	hw->public.mmio = true;
	hw->public.mmio_gpa = gpa;
	return NULL;
}

static void count_table_writes(struct hw *hw, uint8_t flags, uint64_t n)
{
	struct umbra_counters *counters = &hw->public.counters;

	if (flags & FRAME_TABLE) {
		counters->guest_table_writes[0] += n;
		if (flags & FRAME_TABLE_UPPER)
			counters->guest_table_writes_upper[0] += n;
	}
}

/* A write to a frame that may be marked: sees to it. Returns the flags that are left. */
static inline uint8_t frame_written(struct hw *hw, uint64_t hpa)
{
	struct frame *frame = &hw->memory->frames.frame[hpa >> 12];

	if (__builtin_expect(!frame->flags, 1))
		return 0;
	count_table_writes(hw, frame->flags, 1);
	if (frame->flags & FRAME_CODE) {
		frames_written(&hw->memory->frames, hpa);
		hw_attention_all(hw->memory);
	}
	return frame->flags;
}

bool hw_write_marked(struct hw *hw, const uint8_t *host, uint64_t n)
{
	const struct frames *frames = &hw->memory->frames;
	uint8_t flags = frames->frame[frames_hpa(frames, host) >> 12].flags;

	if (flags & FRAME_CODE)
		return false;
	count_table_writes(hw, flags, n);
	return true;
}

/* From now on hits in @slot are such ones. */
static inline void set_slot_hit(struct hw *hw, struct hw_lookaside *slot, enum umbra_tlb_hit hit)
{
	if (slot->hits % HW_HIT == hit)
		return;
	hw->public.counters.tlb_hits_by_size[slot->hits % HW_HIT] += slot->hits / HW_HIT;
	slot->hits = hit;
}

/* The first level's entry is @value: gives the host byte, and lets the lookaside answer next time.
 */
static inline uint8_t *finish(struct hw *hw, uint64_t gva, enum hw_access access,
			      enum hw_privilege privilege, uint64_t value)
{
	uint64_t offset = gva & ((1ull << tlb_shift[tlb_size(value)]) - 1);
	uint64_t hpa = (value & TLB_ADDRESS) + offset, frame = hpa >> 12;
	uint64_t page = gva >> 12, set = page % HW_LOOKASIDE_SETS, writable;
	struct frames *frames = &hw->memory->frames;
	struct hw_lookaside(*lookaside)[HW_LOOKASIDE_SETS], *slot;
	bool fetch = access == HW_FETCH;
	enum umbra_tlb_hit hit = hit_of(TLB_L1, fetch, value);
	uint8_t flags;

	if (fetch && hw->public.fetched_hit != hit)
		hw_fetched_from(&hw->public, hit, 0);

	if (__builtin_expect(frame >= frames->count || frame == hw->memory->ones, 0)) {
		/* In bare: RAM is over. */
		if (!fetch && memory_is_mmio(hw->memory, hpa))
			return to_device(hw, hpa);
		if (frame >= frames->count || access == HW_WRITE)
			return open_bus(hw, gva);
	}
	memory_check_reach(hw->memory, hpa);
	flags = access == HW_WRITE ? frame_written(hw, hpa) : frames->frame[frame].flags;

	lookaside = fetch ? hw->public.fetch : hw->public.data;
	/* All rights share the set: what is not its newest entry any more must be looked up. */
	if (hw->lookaside_page[fetch][set] != page) {
		hw->lookaside_page[fetch][set] = page;
		for (int other = 0; other < HW_PRIVILEGES; other++)
			hw_lookaside_forget(&lookaside[other][set]);
	}
	hw->lookaside_used[fetch] |= (uint16_t)(1u << set);
	slot = &lookaside[privilege][set];
	slot->host = frames_host(frames, hpa & ~PAGE_MASK);
	slot->page[0] = fetch || hw_value_allows(hw, value, HW_READ, privilege) ? page : HW_NO_PAGE;
	writable = !fetch && hw_value_allows(hw, value, HW_WRITE, privilege) &&
				   frame != hw->memory->ones
			   ? page
			   : HW_NO_PAGE;
	slot->page[1] = flags ? writable | HW_MARKED : writable;
	set_slot_hit(hw, slot, hit);
	return slot->host + (gva & PAGE_MASK);
}

/* The page is in the lookaside, but this write must be noticed. */
static uint8_t *write_in_lookaside(struct hw *hw, struct hw_lookaside *slot, uint64_t gva)
{
	uint64_t hpa = frames_hpa(&hw->memory->frames, slot->host);

	hw->public.mmio = false;
	slot->hits += HW_HIT;
	if (!frame_written(hw, hpa))
		slot->page[1] &= ~HW_MARKED;
	return slot->host + (gva & PAGE_MASK);
}

uint8_t *hw_translate_slow(struct hw *hw, uint64_t gva, enum hw_access access,
			   enum hw_privilege privilege)
{
	struct umbra_counters *counters = &hw->public.counters;
	struct hw_lookaside *slot = &hw->public.data[privilege][(gva >> 12) % HW_LOOKASIDE_SETS];
	bool fetch = access == HW_FETCH;
	enum umbra_tlb_hit hit;
	uint64_t value;

	if (access == HW_WRITE && slot->page[1] == (gva >> 12 | HW_MARKED))
		return write_in_lookaside(hw, slot, gva);
	value = look_up(hw, gva, fetch, &hit);
	hw->public.mmio = false;
	if (value) {
		if (hw_value_allows(hw, value, access, privilege)) {
			counters->tlb_hits_by_size[hit]++;
			if (hit >= UMBRA_TLB_HIT_l2_instruction_4k)
				hw_charge(hw, hw->cost.tlb_l2_hit);
			return finish(hw, gva, access, privilege, value);
		}
		drop(hw, gva, value);
	}
	counters->tlb_misses[kind_of(fetch)]++;
	while (!hw->failed) {
		struct walk walk;
		struct hw_exit exit = {.gva = gva, .access = access, .privilege = privilege};
		enum walk_status status = hw_walk(hw, gva, access, privilege, &walk);
		uint64_t hpa;

		if (status == WALK_OK) {
			return finish(hw, gva, access, privilege,
				      insert(hw, gva, fetch, walk.value));
		}
		if (hw->trace)
			hw->trace(hw->trace_context,
				  &(struct umbra_step){.kind = UMBRA_STEP_WALK_FAILED});
		if (status == WALK_FAULT && !(hw->intercepts & INTERCEPT_PAGE_FAULT)) {
			hw->public.fault_address = gva;
			hw->public.fault_code = walk.error_code;
			return NULL;
		}
		exit.reason = status == WALK_FAULT       ? UMBRA_EXIT_page_fault
			      : status == WALK_VIOLATION ? UMBRA_EXIT_ept_violation
							 : UMBRA_EXIT_ept_misconfiguration;
		exit.gpa = status != WALK_FAULT ? walk.gpa : 0;
		exit.table = status != WALK_FAULT && walk.table;
		exit.error_code = status == WALK_FAULT ? walk.error_code : 0;
		if (hw->trace)
			hw->trace(hw->trace_context,
				  &(struct umbra_step){.kind = UMBRA_STEP_EXIT,
						       .reason = exit.reason,
						       .translates = exit.gpa,
						       .error_code = exit.error_code});
		hw_count_exit(hw, exit.reason);
		switch (hw->vmm.memory_exit(hw->vmm.vmm, hw, &exit, &hpa, &walk.error_code)) {
		case HW_RETRY: break;
		case HW_INJECT:
			hw->public.fault_address = gva;
			hw->public.fault_code = walk.error_code;
			return NULL;
		case HW_EMULATE:
			memory_check_reach(hw->memory, hpa);
			if (access == HW_WRITE)
				frame_written(hw, hpa);
			hw->public.attention = true;
			return frames_host(&hw->memory->frames, hpa);
		case HW_DISCARD: return open_bus(hw, gva);
		case HW_MMIO: return to_device(hw, hpa);
		case HW_STOP: hw->failed = true; break;
		}
	}
	/* The guest ends: the CPU sees hw_failed(), whatever it makes of this fault. */
	hw->public.attention = true;
	hw->public.fault_address = gva;
	hw->public.fault_code = 0;
	return NULL;
}

uint64_t hw_frame_of(struct hw *hw, const uint8_t *host)
{
	const struct frames *frames = &hw->memory->frames;
	uint64_t number = frames_hpa(frames, host) >> 12;

	return number >= frames->count || number == hw->memory->ones ? HW_NO_PAGE : number;
}

void hw_code_cached(struct hw *hw, uint64_t frame)
{
	hw->memory->frames.frame[frame].flags |= FRAME_CODE;
	hw_watch_frame(hw->memory, frame << 12);
}

uint32_t hw_code_generation(struct hw *hw, uint64_t frame)
{
	return hw->memory->frames.frame[frame].code_generation;
}

uint64_t hw_code_writes(const struct hw *hw)
{
	return hw->memory->frames.code_writes;
}

void hw_fetched_from(struct hw_public *p, uint64_t hit, uint64_t of_this)
{
	p->counters.tlb_hits_by_size[p->fetched_hit] += p->fetched_hits - of_this;
	p->fetched_hits = of_this;
	p->fetched_hit = hit;
}

void hw_counters(struct hw *hw, struct umbra_counters *ret)
{
	const struct hw_public *p = &hw->public;
	uint64_t l1[UMBRA_ACCESS_COUNT] = {0};

	_Static_assert(UMBRA_TLB_HIT_COUNT <= HW_HIT, "one has its place below the number");
	*ret = p->counters;
	for (unsigned i = 0; i < HW_PRIVILEGES; i++) {
		for (unsigned j = 0; j < HW_LOOKASIDE_SETS; j++) {
			uint64_t hits = p->data[i][j].hits;

			ret->tlb_hits_by_size[hits % HW_HIT] += hits / HW_HIT;
		}
	}
	ret->tlb_hits_by_size[p->fetched_hit] += p->fetched_hits;
	for (unsigned kind = 0; kind < UMBRA_ACCESS_COUNT; kind++) {
		for (unsigned size = 0; size < UMBRA_PAGE_SIZE_COUNT; size++) {
			unsigned i = kind * UMBRA_PAGE_SIZE_COUNT + size;

			l1[kind] += ret->tlb_hits_by_size[i];
			ret->tlb_hits_l2[kind] +=
				ret->tlb_hits_by_size[UMBRA_TLB_HIT_l2_instruction_4k + i];
			ret->tlb_fills[size] += ret->tlb_misses_by_size[i];
		}
		ret->tlb_lookups[kind] = l1[kind] + ret->tlb_hits_l2[kind] + ret->tlb_misses[kind];
		ret->tlb_hits[UMBRA_TLB_l2] += ret->tlb_hits_l2[kind];
	}
	ret->tlb_hits[UMBRA_TLB_l1_instruction] = l1[UMBRA_ACCESS_instruction];
	ret->tlb_hits[UMBRA_TLB_l1_data] = l1[UMBRA_ACCESS_data];
}

void hw_count_exit(struct hw *hw, enum umbra_exit_reason reason)
{
	hw->public.counters.exits[reason]++;
	hw_charge_exit(hw, hw->cost.exit);
}

void hw_attend(struct hw *hw)
{
	hw->public.attention = false;
	if (hw->vmm.attend)
		hw->vmm.attend(hw->vmm.vmm, hw);
	hw->public.attention = false;
}
