/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hardware's page walker: one-dimensional (SDM 3A 4.5) and, with an EPTP, two-dimensional
 * (SDM 3C 28.3): every table of the guest and the final address are guest-physical and go through
 * the EPT tables. Accessed and dirty bits are written, and walk caches filled, when the walk has
 * succeeded: a walk that faults changes nothing.
 */
#include "paging/hw_private.h"

/* At most: 3 of the guest's tables, and 3 for each of 5 nested walks. */
#define MAX_CACHE_FILLS (3 + 5 * 3)

struct cache_fill {
	struct cache *cache;
	uint64_t tag, value;
};

/* One walk under way. */
struct walker {
	struct hw *hw;
	struct cache_fill fills[MAX_CACHE_FILLS];
	unsigned nr_fills;
	uint32_t references_guest, references_nested, cache_hits;
};

static uint64_t read_entry(const struct hw *hw, uint64_t hpa)
{
	const struct memory *memory = hw->memory;

	if (hpa >= (uint64_t)memory->frames.count * PAGE_SIZE)
		return UINT64_MAX; /* nobody answers there */
	return *(const uint64_t *)frames_host(&memory->frames, hpa);
}

static void trace_reference(struct hw *hw, enum umbra_table table, unsigned level, uint64_t index,
			    uint64_t gpa, uint64_t hpa, uint64_t entry, uint64_t translates)
{
	struct umbra_step step = {
		.kind = UMBRA_STEP_REFERENCE,
		.table = table,
		.level = level,
		.index = index,
		.gpa = gpa,
		.hpa = hpa,
		.entry = entry,
		.translates = translates,
	};

	hw->trace(hw->trace_context, &step);
}

/*
 * Looks for the lowest level whose entry is cached: *level becomes the level of the table that the
 * returned value points at; LEVELS: nothing cached.
 */
static uint64_t find_cached(struct walker *walker, struct cache *caches, uint64_t epoch,
			    uint64_t address, unsigned *level)
{
	for (unsigned i = 0; i < WALK_CACHE_COUNT; i++) {
		uint64_t tag = cache_tag(epoch, address, walk_cache_shift[i]);
		uint64_t *value = cache_find(&caches[i], tag, NULL);

		if (value) {
			walker->cache_hits++;
			*level = i + 1;
			return *value;
		}
	}
	*level = LEVELS;
	return 0;
}

/* Remembers for later that the entry of @level + 1 for @address points at the table @value. */
static void fill_later(struct walker *walker, struct cache *caches, uint64_t epoch,
		       uint64_t address, unsigned level, uint64_t value)
{
	struct cache_fill *fill = &walker->fills[walker->nr_fills++];

	fill->cache = &caches[level - 1];
	fill->tag = cache_tag(epoch, address, walk_cache_shift[level - 1]);
	fill->value = value;
}

/* GPA -> HPA through EPT (SDM 3C 28.3.2). Umbra's EPT maps 4K pages only. */
static enum walk_status walk_nested(struct walker *walker, uint64_t gpa, bool write,
				    uint64_t *ret_hpa)
{
	struct hw *hw = walker->hw;
	uint64_t need = write ? EPT_W : EPT_R;
	unsigned level;
	uint64_t table = find_cached(walker, hw->tlb.nested, hw->tlb.nested_epoch, gpa, &level);

	if (level == LEVELS)
		table = hw->eptp;
	for (;; level--) {
		uint64_t hpa = table + entry_index(gpa, level) * sizeof(uint64_t);
		uint64_t entry = read_entry(hw, hpa);

		walker->references_nested++;
		if (hw->trace)
			trace_reference(hw, UMBRA_TABLE_EPT, level, entry_index(gpa, level), 0, hpa,
					entry, gpa);
		if ((entry & (EPT_R | EPT_W)) == EPT_W) /* SDM 3C 28.3.3.1 */
			return WALK_MISCONFIGURATION;
		if (!(entry & need))
			return WALK_VIOLATION;
		table = entry & ENTRY_ADDRESS;
		if (level == 1)
			break;
		fill_later(walker, hw->tlb.nested, hw->tlb.nested_epoch, gpa, level - 1, table);
	}
	*ret_hpa = table | (gpa & PAGE_MASK);
	return WALK_OK;
}

static void set_accessed_dirty(struct hw *hw, uint64_t *entries[LEVELS], unsigned leaf, bool write)
{
	for (unsigned level = LEVELS; level >= leaf; level--) {
		uint64_t *entry = entries[level - 1];
		uint64_t bits = PTE_A | (level == leaf && write ? PTE_D : 0);

		if (!entry || (*entry & bits) == bits)
			continue;
		*entry |= bits;
		frames_written(&hw->memory->frames,
			       (uint64_t)((uint8_t *)entry - hw->memory->frames.base));
		hw_attention_all(hw->memory); /* code may lie there too */
		hw->public.counters.walk_references_ad[0]++;
		hw_charge(hw, hw->cost.walk_reference);
		hw->public.counters.walk_cycles[0] += hw->cost.walk_reference;
		if (hw->trace) {
			struct umbra_step step = {
				.kind = UMBRA_STEP_AD,
				.table = hw->intercepts & INTERCEPT_CR3 ? UMBRA_TABLE_SHADOW
									: UMBRA_TABLE_GUEST,
				.level = level,
				.hpa = (uint8_t *)entry - hw->memory->frames.base,
				.entry = *entry,
				.write = true,
			};

			hw->trace(hw->trace_context, &step);
		}
	}
}

/* A guest table was read: from now on writes to its frame are noticed (table writes are counted).
 */
static void note_table(struct hw *hw, uint64_t hpa, unsigned level)
{
	struct frame *frame = &hw->memory->frames.frame[hpa >> 12];
	uint8_t flag = level == 1 ? FRAME_TABLE : FRAME_TABLE | FRAME_TABLE_UPPER;

	if ((frame->flags & flag) != flag) {
		frame->flags |= flag;
		hw_watch_frame(hw->memory, hpa);
	}
}

static uint32_t fault_code(const struct hw *hw, enum hw_access access, enum hw_privilege privilege)
{
	return (access == HW_WRITE ? PF_W : 0) | (privilege == HW_USER ? PF_U : 0) |
	       (access == HW_FETCH && hw->nxe ? PF_I : 0);
}

static uint64_t rights_flags(struct rights rights)
{
	return (rights.write ? TLB_WRITE : 0) | (rights.user ? TLB_USER : 0) |
	       (rights.execute ? TLB_EXECUTE : 0);
}

/* The nested walk for @gpa came to nothing. */
static enum walk_status nested_failed(struct walk *walk, enum walk_status status, uint64_t gpa,
				      bool table)
{
	walk->gpa = gpa;
	walk->table = table;
	return status;
}

static enum walk_status walk_tables(struct walker *walker, uint64_t gva, enum hw_access access,
				    enum hw_privilege privilege, struct walk *ret)
{
	struct hw *hw = walker->hw;
	bool shadow = hw->intercepts & INTERCEPT_CR3; /* CR3 points at tables of the VMM */
	struct rights rights = {true, true, true};
	uint64_t *entries[LEVELS] = {0};
	uint32_t code = fault_code(hw, access, privilege);
	uint64_t table_gpa = hw->cr3 & ENTRY_ADDRESS;
	uint64_t entry, known; /* known: the table's HPA where table_known */
	bool table_known;
	unsigned level;

	known = find_cached(walker, hw->tlb.linear, hw->tlb.linear_epoch, gva, &level);
	table_known = level < LEVELS;
	if (table_known)
		rights = (struct rights){!!(known & TLB_WRITE), !!(known & TLB_USER),
					 !!(known & TLB_EXECUTE)};
	for (;; level--) {
		unsigned index = entry_index(gva, level);
		enum walk_status status;
		uint64_t hpa;

		if (table_known) {
			hpa = (known & ~TLB_FLAGS) + index * sizeof(entry);
			table_known = false;
		} else if (!hw->eptp) {
			hpa = table_gpa + index * sizeof(entry);
		} else {
			uint64_t gpa = table_gpa + index * sizeof(entry);

			status = walk_nested(walker, gpa, false, &hpa);
			if (status != WALK_OK)
				return nested_failed(ret, status, gpa, true);
		}
		entry = read_entry(hw, hpa);
		walker->references_guest++;
		if (hw->trace)
			trace_reference(hw, shadow ? UMBRA_TABLE_SHADOW : UMBRA_TABLE_GUEST, level,
					index, table_gpa + index * sizeof(entry), hpa, entry, 0);
		if (!(entry & PTE_P) || entry_reserved(entry, level, hw->nxe, hw->maxphyaddr)) {
			ret->error_code = code | (entry & PTE_P ? PF_P | PF_RSVD : 0);
			return WALK_FAULT;
		}
		entries[level - 1] = frames_host(&hw->memory->frames, hpa);
		if (!shadow)
			note_table(hw, hpa, level);
		rights_narrow(&rights, entry);
		if (entry_is_leaf(entry, level))
			break;
		table_gpa = entry & ENTRY_ADDRESS;
		known = table_gpa;
		if (hw->eptp) {
			/* A combined mapping is cached (SDM 3C 28.4.1): it needs the table's HPA.
			 */
			uint64_t gpa = table_gpa + entry_index(gva, level - 1) * sizeof(entry);

			status = walk_nested(walker, gpa, false, &known);
			if (status != WALK_OK)
				return nested_failed(ret, status, gpa, true);
			table_known = true;
		}
		known = (known & ~PAGE_MASK) | rights_flags(rights);
		fill_later(walker, hw->tlb.linear, hw->tlb.linear_epoch, gva, level - 1, known);
	}
	if (!rights_allow(rights, access == HW_WRITE, access == HW_FETCH, privilege == HW_USER,
			  hw->wp)) {
		ret->error_code = code | PF_P;
		return WALK_FAULT;
	}

	ret->large = level == 2 && !hw->eptp;
	{
		uint64_t size_mask = level == 2 ? (1ull << 21) - 1 : PAGE_MASK;
		uint64_t gpa = (entry & ENTRY_ADDRESS & ~size_mask) | (gva & size_mask);
		uint64_t hpa = gpa;

		if (hw->eptp) {
			enum walk_status status =
				walk_nested(walker, gpa, access == HW_WRITE, &hpa);

			if (status != WALK_OK)
				return nested_failed(ret, status, gpa, false);
		}
		set_accessed_dirty(hw, entries, level, access == HW_WRITE);
		if (access == HW_WRITE)
			entry |= PTE_D;
		ret->value = hpa & ~(ret->large ? size_mask : PAGE_MASK);
		ret->value |= rights_flags(rights) | (entry & PTE_D ? TLB_DIRTY : 0) |
			      (level == 2 && !ret->large ? TLB_FRAGMENT : 0) |
			      (ret->large ? TLB_LARGE : 0);
	}
	return WALK_OK;
}

/* CR0.PG clear: linear addresses are guest-physical ones; only EPT, if any, translates. */
static enum walk_status walk_unpaged(struct walker *walker, uint64_t gva, enum hw_access access,
				     struct walk *ret)
{
	uint64_t hpa = gva;

	if (walker->hw->eptp) {
		enum walk_status status = walk_nested(walker, gva, access == HW_WRITE, &hpa);

		if (status != WALK_OK)
			return nested_failed(ret, status, gva, false);
	}
	ret->large = false;
	ret->value = (hpa & ~PAGE_MASK) | TLB_WRITE | TLB_USER | TLB_EXECUTE | TLB_DIRTY;
	return WALK_OK;
}

enum walk_status hw_walk(struct hw *hw, uint64_t gva, enum hw_access access,
			 enum hw_privilege privilege, struct walk *ret_walk)
{
	struct walker walker;
	struct umbra_counters *counters = &hw->public.counters;
	enum walk_status status;
	uint64_t cycles;

	walker.hw = hw;
	walker.nr_fills = 0;
	walker.references_guest = walker.references_nested = walker.cache_hits = 0;
	status = hw->paged ? walk_tables(&walker, gva, access, privilege, ret_walk)
			   : walk_unpaged(&walker, gva, access, ret_walk);
	if (status == WALK_FAULT && walker.cache_hits) {
		/*
		 * A fault always tells what the tables hold now: what a walk cache said may have
		 * been widened since, which needs no invalidation (SDM 3A 4.10.4.2, 4.10.4.3).
		 */
		walk_caches_remove(&hw->tlb, gva);
		walker.nr_fills = 0;
		status = walk_tables(&walker, gva, access, privilege, ret_walk);
	}
	if (status == WALK_OK) {
		for (unsigned i = 0; i < walker.nr_fills; i++) {
			struct cache_fill *fill = &walker.fills[i];
			uint64_t *value = cache_find(fill->cache, fill->tag, NULL);

			/* Two nested walks of one walk may come by the same entry. */
			if (value)
				*value = fill->value;
			else
				cache_insert(fill->cache, fill->tag, fill->value);
		}
	}
	cycles = (uint64_t)(walker.references_guest + walker.references_nested) *
			 hw->cost.walk_reference +
		 (uint64_t)walker.cache_hits * hw->cost.walk_cache_hit;
	counters->walks[0]++;
	counters->walk_references_guest[0] += walker.references_guest;
	counters->walk_references_nested[0] += walker.references_nested;
	counters->walk_cache_hits[0] += walker.cache_hits;
	counters->walk_cycles[0] += cycles;
	hw_charge(hw, cycles);
	return status;
}
