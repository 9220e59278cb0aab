/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hardware's page walker: one-dimensional (SDM 3A 4.3-4.5) and, with an EPTP, two-dimensional
 * (SDM 3C 28.3): every table of the guest and the final address are guest-physical and go through
 * the EPT tables. Accessed and dirty bits are written, and walk caches filled, when the walk has
 * succeeded: a walk that faults changes nothing.
 */
#include "paging/hw_private.h"

/* At most: 4 of the guest's tables, and 4 for each of 6 nested walks. */
#define MAX_CACHE_FILLS (4 + 6 * 4)
/* 5 entries of the guest, and 5 for each of 6 nested walks. */
#define MAX_AD (5 + 6 * 5)

struct cache_fill {
	struct cache *cache;
	uint64_t tag, value;
};

/* An entry that was used: its accessed and dirty bits. */
struct ad {
	uint64_t hpa;
	uint64_t bits; /* that it still lacks */
	uint8_t level;
	bool ept;
};

/* One walk under way. */
struct walker {
	struct hw *hw;
	bool look;       /* it must change nothing and goes by no cache: hw_look() */
	hw_trace *trace; /* NULL */
	void *trace_context;
	struct cache_fill fills[MAX_CACHE_FILLS];
	unsigned nr_fills;
	struct ad ad[MAX_AD];
	unsigned nr_ad;
	uint32_t references_guest, references_nested, cache_hits;
};

/* What EPT says of a guest-physical address. */
struct nested {
	uint64_t hpa;
	unsigned shift;  /* of the page that maps it */
	uint64_t rights; /* EPT_RWX of the whole path */
	bool dirty;      /* its dirty bit is set when this walk is over */
};

/* [enum hw_access]: the right that it takes. */
static const uint64_t ept_need[] = {[HW_READ] = EPT_R, [HW_WRITE] = EPT_W, [HW_FETCH] = EPT_X};

static bool in_pool(const struct hw *hw, uint64_t hpa)
{
	return hpa < (uint64_t)hw->memory->frames.count * PAGE_SIZE;
}

static uint64_t read_entry(const struct hw *hw, uint64_t hpa, unsigned size)
{
	const void *host;

	if (!in_pool(hw, hpa)) /* nobody answers there */
		return size == sizeof(uint32_t) ? UINT32_MAX : UINT64_MAX;
	host = frames_host(&hw->memory->frames, hpa);
	return size == sizeof(uint32_t) ? *(const uint32_t *)host : *(const uint64_t *)host;
}

static void trace_reference(const struct walker *walker, enum umbra_table table, unsigned level,
			    uint64_t index, uint64_t gpa, uint64_t hpa, uint64_t entry,
			    uint64_t translates)
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

	walker->trace(walker->trace_context, &step);
}

/*
 * Looks for the lowest level whose entry is cached: *level becomes the level of the table that the
 * returned value points at; @levels: nothing cached.
 */
static uint64_t find_cached(struct walker *walker, struct cache *caches, uint64_t context,
			    uint64_t address, unsigned bits, unsigned levels, unsigned *level)
{
	for (unsigned i = 0; i + 1 < levels && !walker->look; i++) {
		uint64_t tag = walk_tag(context, address, 12 + bits * (i + 1));
		uint64_t *value = cache_find(&caches[i], tag, NULL);

		if (value) {
			walker->cache_hits++;
			*level = i + 1;
			return *value;
		}
	}
	*level = levels;
	return 0;
}

/* Remembers for later that the entry of @level + 1 for the address of @tag points at @value. */
static void fill_later(struct walker *walker, struct cache *caches, unsigned level, uint64_t tag,
		       uint64_t value)
{
	walker->fills[walker->nr_fills++] = (struct cache_fill){&caches[level - 1], tag, value};
}

static void ad_later(struct walker *walker, uint64_t hpa, uint64_t entry, uint64_t bits,
		     unsigned level, bool ept)
{
	if (~entry & bits)
		walker->ad[walker->nr_ad++] = (struct ad){hpa, ~entry & bits, level, ept};
}

/* GPA -> HPA through EPT (SDM 3C 28.3.2); @need: the rights that the access takes. */
static enum walk_status walk_nested(struct walker *walker, uint64_t gpa, uint64_t need,
				    struct nested *ret)
{
	struct hw *hw = walker->hw;
	unsigned level, levels = (hw->eptp >> EPTP_LEVELS_SHIFT & 7) + 1;
	uint64_t found, table, rights = EPT_RWX;

	if (gpa >> (12 + 9 * levels)) /* beyond what EPT can tell apart */
		return WALK_VIOLATION;
	found = find_cached(walker, hw->tlb.nested, hw->tlb.nested_tag, gpa, 9, levels, &level);
	table = (level == levels ? hw->eptp : found) & ENTRY_ADDRESS;
	if (level < levels)
		rights = found & EPT_RWX;
	for (;; level--) {
		uint64_t hpa = table + entry_index(gpa, level) * sizeof(uint64_t);
		uint64_t entry = read_entry(hw, hpa, sizeof(uint64_t)), bits = EPT_A;
		bool leaf = ept_is_leaf(entry, level);

		walker->references_nested++;
		if (walker->trace)
			trace_reference(walker, UMBRA_TABLE_EPT, level, entry_index(gpa, level), 0,
					hpa, entry, gpa);
		if (!(entry & EPT_RWX))
			return WALK_VIOLATION;
		if (ept_misconfigured(&hw->ept_rules, entry, level))
			return WALK_MISCONFIGURATION;
		rights &= entry;
		if (leaf && (need & EPT_W))
			bits |= EPT_D;
		ad_later(walker, hpa, entry, bits, level, true);
		table = entry & ENTRY_ADDRESS;
		if (leaf) {
			ret->shift = 12 + 9 * (level - 1);
			ret->dirty = (entry | bits) & EPT_D;
			break;
		}
		fill_later(walker, hw->tlb.nested, level - 1,
			   walk_tag(hw->tlb.nested_tag, gpa, 12 + 9 * (level - 1)), table | rights);
	}
	if ((rights & need) != need)
		return WALK_VIOLATION;
	ret->rights = rights;
	ret->hpa = table | (gpa & ((1ull << ret->shift) - 1));
	return WALK_OK;
}

/* Reading or writing a table of the guest: with accessed and dirty flags on both are writes. */
static enum walk_status walk_table(struct walker *walker, uint64_t gpa, struct walk *ret,
				   uint64_t *ret_hpa)
{
	struct nested nested;
	enum walk_status status;

	*ret_hpa = gpa;
	if (!walker->hw->eptp)
		return WALK_OK;
	status = walk_nested(walker, gpa, EPT_R | EPT_W, &nested);
	if (status == WALK_OK) {
		*ret_hpa = nested.hpa;
	} else {
		ret->gpa = gpa;
		ret->table = true;
	}
	return status;
}

static void set_accessed_dirty(struct hw *hw, const struct ad *ad)
{
	/* They lie in the same byte of all entries but EPT's. */
	uint64_t *entry = frames_host(&hw->memory->frames, ad->hpa & ~7ull);
	uint64_t bits = ad->bits << ad->hpa % 8 * 8;

	if ((*entry & bits) == bits) /* met twice in this walk */
		return;
	*entry |= bits;
	if (!ad->ept) {
		frames_written(&hw->memory->frames, ad->hpa);
		hw_attention_all(hw->memory); /* code may lie there too */
	}
	hw->public.counters.walk_references_ad[0]++;
	hw_charge(hw, hw->cost.walk_reference);
	hw->public.counters.walk_cycles[0] += hw->cost.walk_reference;
	if (hw->trace) {
		struct umbra_step step = {
			.kind = UMBRA_STEP_AD,
			.table = ad->ept                          ? UMBRA_TABLE_EPT
				 : hw->intercepts & INTERCEPT_CR3 ? UMBRA_TABLE_SHADOW
								  : UMBRA_TABLE_GUEST,
			.level = ad->level,
			.hpa = ad->hpa,
			.entry = *entry,
			.write = true,
		};

		hw->trace(hw->trace_context, &step);
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

static uint64_t rights_flags(struct rights rights)
{
	return (rights.write ? TLB_WRITE : 0) | (rights.user ? TLB_USER : 0) |
	       (rights.execute ? TLB_EXECUTE : 0);
}

/*
 * The page is found: @gpa of the access, @shift of the guest's page (0: it has none), @flags of the
 * guest's side. EPT, if any, has the last word.
 */
static enum walk_status finish_walk(struct walker *walker, uint64_t gpa, enum hw_access access,
				    unsigned shift, uint64_t flags, struct walk *ret)
{
	static const uint64_t fragments[] = {
		[21] = TLB_FRAGMENT_2M, [22] = TLB_FRAGMENT_4M, [30] = TLB_FRAGMENT_1G};
	struct nested nested = {
		.hpa = gpa, .shift = shift ? shift : 12, .rights = EPT_RWX, .dirty = true};
	enum tlb_size size = TLB_4K;
	unsigned smaller;

	if (walker->hw->eptp) {
		enum walk_status status = walk_nested(walker, gpa, ept_need[access], &nested);

		if (status != WALK_OK) {
			ret->gpa = gpa;
			ret->table = false;
			return status;
		}
	}
	smaller = shift && shift < nested.shift ? shift : nested.shift;
	while (size + 1 < TLB_SIZES && tlb_shift[size + 1] <= smaller)
		size++;
	if (shift > tlb_shift[size])
		flags |= fragments[shift];
	if (!(nested.rights & EPT_X))
		flags &= ~TLB_EXECUTE;
	if (!(nested.rights & EPT_W) || !nested.dirty)
		flags &= ~TLB_DIRTY;
	flags |= nested.rights & EPT_R ? TLB_READ : 0;
	ret->value = (nested.hpa & TLB_ADDRESS & ~((1ull << tlb_shift[size]) - 1)) | flags |
		     (uint64_t)size << TLB_SIZE_SHIFT;
	return WALK_OK;
}

static enum walk_status fault(struct walk *walk, uint32_t code)
{
	walk->error_code = code;
	return WALK_FAULT;
}

/* @index_bits is that of the rules, and a constant in the usual case. */
static inline __attribute__((always_inline)) enum walk_status walk_tables_of(
	struct walker *walker, uint64_t gva, enum hw_access access, enum hw_privilege privilege,
	unsigned index_bits, struct walk *ret)
{
	struct hw *hw = walker->hw;
	const struct paging_rules *rules = &hw->rules;
	bool shadow = hw->intercepts & INTERCEPT_CR3; /* CR3 points at tables of the VMM */
	bool write = access == HW_WRITE, denied;
	uint32_t code = fault_code(rules, access, privilege);
	struct rights rights = RIGHTS_ALL;
	uint64_t table_gpa = hw->cr3, entry, known, hpa;
	unsigned level, size = entry_size(index_bits);
	enum walk_status status;
	uint64_t flags;

	known = find_cached(walker, hw->tlb.linear, hw->tlb.linear_tag, gva, index_bits,
			    rules->levels, &level);
	if (level < rules->levels) {
		rights.write = known & TLB_WRITE;
		rights.user = known & TLB_USER;
		rights.execute = known & TLB_EXECUTE;
		hpa = (known & ENTRY_ADDRESS) + table_index(index_bits, gva, level) * size;
	} else {
		if (rules->format == FORMAT_PAE) {
			table_gpa = hw->pdpte[gva >> 30 & 3];
			if (!(table_gpa & PTE_P))
				return fault(ret, code);
			table_gpa &= ENTRY_ADDRESS;
		}
		status = walk_table(walker, table_gpa + table_index(index_bits, gva, level) * size,
				    ret, &hpa);
		if (status != WALK_OK)
			return status;
	}
	for (;; level--) {
		unsigned index = table_index(index_bits, gva, level);

		entry = read_entry(hw, hpa, size);
		walker->references_guest++;
		if (walker->trace)
			trace_reference(walker, shadow ? UMBRA_TABLE_SHADOW : UMBRA_TABLE_GUEST,
					level, index, table_gpa + index * size, hpa, entry, 0);
		if (!(entry & PTE_P))
			return fault(ret, code);
		if (entry_reserved(rules, entry, level))
			return fault(ret, code | PF_P | PF_RSVD);
		if (!shadow && !walker->look && in_pool(hw, hpa))
			note_table(hw, hpa, level);
		rights_narrow(&rights, entry);
		if (entry_is_leaf(rules, entry, level))
			break;
		ad_later(walker, hpa, entry, PTE_A, level, false);
		table_gpa = entry & ENTRY_ADDRESS;
		/* A combined mapping is cached (SDM 3C 28.4.1): it needs the table's HPA. */
		status = walk_table(walker,
				    table_gpa + table_index(index_bits, gva, level - 1) * size, ret,
				    &hpa);
		if (status != WALK_OK)
			return status;
		fill_later(walker, hw->tlb.linear, level - 1,
			   walk_tag(hw->tlb.linear_tag, gva, level_shift(index_bits, level)),
			   (hpa & ENTRY_ADDRESS) | rights_flags(rights));
	}
	rights.key = entry_key(entry);
	denied = !rights_allow(rules, rights, access, privilege);
	if (key_denies(rules, hw->guest.pkru, rights, access, privilege)) {
		denied = true;
		code |= PF_PK;
	}
	if (denied)
		return fault(ret, code | PF_P);

	ad_later(walker, hpa, entry, PTE_A | (write ? PTE_D : 0), level, false);
	flags = rights_flags(rights) | (write || (entry & PTE_D) ? TLB_DIRTY : 0) |
		(rules->global && (entry & PTE_G) ? TLB_GLOBAL : 0) |
		(uint64_t)rights.key << TLB_KEY_SHIFT;
	return finish_walk(walker,
			   leaf_address(rules, entry, level) |
				   (gva & ((1ull << level_shift(index_bits, level)) - 1)),
			   access, level_shift(index_bits, level), flags, ret);
}

static enum walk_status walk_tables(struct walker *walker, uint64_t gva, enum hw_access access,
				    enum hw_privilege privilege, struct walk *ret)
{
	if (__builtin_expect(walker->hw->rules.index_bits == 9, 1))
		return walk_tables_of(walker, gva, access, privilege, 9, ret);
	return walk_tables_of(walker, gva, access, privilege, 10, ret);
}

/* CR0.PG clear: linear addresses are guest-physical ones; only EPT, if any, translates. */
static enum walk_status walk(struct walker *walker, uint64_t gva, enum hw_access access,
			     enum hw_privilege privilege, struct walk *ret)
{
	if (walker->hw->rules.format != FORMAT_UNPAGED)
		return walk_tables(walker, gva, access, privilege, ret);
	return finish_walk(walker, gva, access, 0, TLB_WRITE | TLB_USER | TLB_EXECUTE | TLB_DIRTY,
			   ret);
}

enum walk_status hw_look(const struct hw *hw, uint64_t gva, enum hw_access access,
			 enum hw_privilege privilege, hw_trace *trace, void *context,
			 struct walk *ret_walk)
{
	/* Nothing of @hw is written: what a walk would change it keeps for its end. */
	struct walker walker = {
		.hw = (struct hw *)hw, .look = true, .trace = trace, .trace_context = context};

	return walk(&walker, gva, access, privilege, ret_walk);
}

static void count_walk(struct hw *hw, uint32_t guest, uint32_t nested, uint32_t cache_hits)
{
	struct umbra_counters *counters = &hw->public.counters;
	uint64_t cycles = (uint64_t)(guest + nested) * hw->cost.walk_reference +
			  (uint64_t)cache_hits * hw->cost.walk_cache_hit;

	counters->walks[0]++;
	counters->walk_references_guest[0] += guest;
	counters->walk_references_nested[0] += nested;
	counters->walk_cache_hits[0] += cache_hits;
	counters->walk_cycles[0] += cycles;
	hw_charge(hw, cycles);
}

/*
 * The usual walk does not take the loops above: both walk caches know the last tables, the entries
 * map 4K pages, allow the access and have their accessed and dirty bits. It does the same with less
 * ado. False: it is another one; nothing has been counted.
 */
static bool walk_usual(struct hw *hw, uint64_t gva, enum hw_access access,
		       enum hw_privilege privilege, uint64_t *ret_value)
{
	const struct paging_rules *rules = &hw->rules;
	uint64_t bits = PTE_P | PTE_A | (access == HW_WRITE ? PTE_D : 0), hpa, entry, flags, *table;

	if (rules->index_bits != 9 || hw->trace)
		return false;
	table = cache_find(&hw->tlb.linear[WALK_CACHE_PDE],
			   walk_tag(hw->tlb.linear_tag, gva, SHIFT_2M), NULL);
	if (!table)
		return false;
	hpa = (*table & ENTRY_ADDRESS) + entry_index(gva, 1) * sizeof(entry);
	entry = read_entry(hw, hpa, sizeof(entry));
	if ((entry & bits) != bits || (entry & rules->reserved[1][true]))
		return false;
	if (!(hw->intercepts & INTERCEPT_CR3) &&
	    (!in_pool(hw, hpa) || !(hw->memory->frames.frame[hpa >> 12].flags & FRAME_TABLE)))
		return false;

	/* W and U have the same bits in both. */
	flags = *table & (entry | TLB_EXECUTE) & (TLB_WRITE | TLB_USER | TLB_EXECUTE);
	if (entry & PTE_NX)
		flags &= ~TLB_EXECUTE;
	flags |= entry & ((uint64_t)PTE_KEYS << PTE_KEY_SHIFT);
	flags |= entry & PTE_D ? TLB_DIRTY : 0;
	flags |= rules->global && (entry & PTE_G) ? TLB_GLOBAL : 0;
	if (!hw_value_allows(hw, flags | TLB_READ, access, privilege))
		return false;
	hpa = entry & ENTRY_ADDRESS;
	if (!hw->eptp) {
		count_walk(hw, 1, 0, 1);
		*ret_value = hpa | flags | TLB_READ;
		return true;
	}

	table = cache_find(&hw->tlb.nested[WALK_CACHE_PDE],
			   walk_tag(hw->tlb.nested_tag, hpa, SHIFT_2M), NULL);
	if (!table)
		return false;
	entry = read_entry(hw, (*table & ENTRY_ADDRESS) + entry_index(hpa, 1) * sizeof(entry),
			   sizeof(entry));
	bits = EPT_A | (access == HW_WRITE ? EPT_D : 0) | ept_need[access];
	if ((entry & (bits | EPT_R)) != (bits | EPT_R) || (*table & EPT_RWX) != EPT_RWX ||
	    ept_misconfigured(&hw->ept_rules, entry, 1))
		return false;
	if (!(entry & EPT_X))
		flags &= ~TLB_EXECUTE;
	if (!(entry & EPT_W) || !(entry & EPT_D))
		flags &= ~TLB_DIRTY;
	count_walk(hw, 1, 1, 2);
	*ret_value = (entry & ENTRY_ADDRESS) | flags | TLB_READ;
	return true;
}

/* What the walk caches know of the way to @gva. */
static void forget_path(struct hw *hw, uint64_t gva)
{
	for (unsigned level = 2; level <= hw->rules.levels; level++)
		cache_remove(&hw->tlb.linear[level - 2],
			     walk_tag(hw->tlb.linear_tag, gva,
				      level_shift(hw->rules.index_bits, level)));
}

enum walk_status hw_walk(struct hw *hw, uint64_t gva, enum hw_access access,
			 enum hw_privilege privilege, struct walk *ret_walk)
{
	struct walker walker;
	enum walk_status status;

	if (__builtin_expect(walk_usual(hw, gva, access, privilege, &ret_walk->value), 1))
		return WALK_OK;
	walker.hw = hw;
	walker.look = false;
	walker.trace = hw->trace;
	walker.trace_context = hw->trace_context;
	walker.nr_fills = walker.nr_ad = 0;
	walker.references_guest = walker.references_nested = walker.cache_hits = 0;
	status = walk(&walker, gva, access, privilege, ret_walk);
	if (status == WALK_VIOLATION && walker.cache_hits) {
		/* What made it violate may have been widened since (SDM 3C 28.4.3.1). */
		if (!ret_walk->table)
			forget_path(hw, gva);
		tlb_ept_violation(&hw->tlb, ret_walk->gpa);
	}
	if (status == WALK_FAULT && walker.cache_hits) {
		/*
		 * A fault always tells what the tables hold now: what a walk cache said may have
		 * been widened since, which needs no invalidation (SDM 3A 4.10.4.2, 4.10.4.3). One
		 * that exits is looked into by the VMM, and the next walk has no cache to go by.
		 */
		forget_path(hw, gva);
		if (!(hw->intercepts & INTERCEPT_PAGE_FAULT)) {
			walker.nr_fills = walker.nr_ad = 0;
			status = walk_tables(&walker, gva, access, privilege, ret_walk);
		}
	}
	if (status == WALK_OK) {
		for (unsigned i = 0; i < walker.nr_ad; i++)
			set_accessed_dirty(hw, &walker.ad[i]);
		for (unsigned i = 0; i < walker.nr_fills; i++) {
			struct cache_fill *fill = &walker.fills[i];
			uint64_t *value = cache_find(fill->cache, fill->tag, NULL);

			/* Two nested walks of one walk may come by the same entry. */
			if (value)
				*value = fill->value;
			else
				cache_insert(fill->cache, fill->tag, fill->value);
		}
		hw->tlb.has_other_pcid |= hw->tlb.pcid != 0;
	}
	count_walk(hw, walker.references_guest, walker.references_nested, walker.cache_hits);
	return status;
}
