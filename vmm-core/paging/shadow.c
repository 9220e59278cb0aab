/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shadow paging (SDM 3C 32.3.4, "virtual TLB"): the hardware walks tables of the VMM that map
 * guest-virtual to host-physical. They start empty and are filled at page faults.
 *
 * The hardware runs with CR0.PG, CR0.WP and EFER.NXE set whatever the guest has; what the guest
 * has is in the role. With the guest's WP clear, a supervisor's write to a read-only page makes
 * the entry writable and supervisor-only; a user's access makes it read-only again.
 */
#include "paging/shadow.h"

uint64_t shadow_leaf_value(uint64_t hpa, struct rights rights, bool dirty, bool write_protected,
			   uint64_t bits)
{
	uint64_t value = hpa | bits | PTE_P | PTE_A;

	if (rights.write && dirty && !write_protected)
		value |= PTE_W | PTE_D;
	if (rights.user)
		value |= PTE_U;
	if (!rights.execute)
		value |= PTE_NX;
	return value | (uint64_t)rights.key << PTE_KEY_SHIFT;
}

static int enter(struct vmm *vmm)
{
	int error = shadow_create(vmm);

	return error ? error : shadow_enter(vmm);
}

static uint64_t leave(struct vmm *vmm)
{
	return shadow_drop_all(vmm->shadow);
}

void shadow_empty(struct vmm *vmm)
{
	shadow_drop_all(vmm->shadow);
	if (vmm->shadow->brute)
		brute_relocate(vmm->shadow);
	shadow_enter(vmm);
}

/*
 * What the guest changed without being seen counts from now on, even when the manual keeps what is
 * cached for the PCID: the pages are shared with other PCIDs, for which the old was never cached.
 */
static int cr3_load(struct vmm *vmm, struct hw *hw)
{
	struct shadow *shadow = shadow_act(vmm, hw);
	int error;

	shadow_sync_all(shadow);
	error = shadow_set_root(shadow);
	shadow_flush_if_due(shadow);
	return error;
}

static void invlpg(struct vmm *vmm, struct hw *hw, uint64_t gva)
{
	struct shadow *shadow = shadow_act(vmm, hw);
	unsigned level;
	uint32_t number = shadow_root_of(shadow, gva, &level);

	while (number != PAGE_NONE && level > 1) {
		const struct shadow_page *page = &shadow->page[number];
		uint64_t entry = page->entry[entry_index(gva, level--)];

		number = (entry & PTE_P) && !shadow_is_leaf(page, entry)
				 ? shadow_child(shadow, entry)
				 : PAGE_NONE;
	}
	/* A table in sync has nothing stale: its writes were seen. */
	if (number != PAGE_NONE && shadow->page[number].unsync)
		shadow_entry_drop(shadow, number, entry_index(gva, 1));
	shadow_flush_if_due(shadow);
}

/* The page that belongs below the entry of @level on this path; @role: of any table now. */
static uint32_t child_page(struct shadow *shadow, struct shadow_role role,
			   const struct guest_walk *walk, uint64_t gva, unsigned level)
{
	uint64_t reach = 1ull << (12 + 9 * (level - 1)); /* what a table of level - 1 maps */
	uint64_t gfn;

	role.level = level - 1;
	if (role.direct) {
		gfn = (gva & ~(reach - 1)) / PAGE_SIZE;
		role.dirty = true;
	} else if (level > walk->leaf) {
		gfn = walk->table_gfn[level - 2];
		role.above = walk->above[level - 2];
		if (role.format == FORMAT_2_LEVEL)
			role.quadrant = gva >> SHIFT_2M & 1;
	} else {
		gfn = (walk->gpa & ~(reach - 1)) / PAGE_SIZE;
		role.direct = true;
		role.dirty = walk->dirty;
		role.global = walk->entry[walk->leaf - 1] & PTE_G;
		role.above = walk->rights;
	}
	return shadow_page_get(shadow, gfn, &role);
}

/* The page of @leaf level on the path, with all above it linked; PAGE_NONE at the limit. */
static uint32_t leaf_page(struct shadow *shadow, const struct guest_walk *walk, uint64_t gva,
			  unsigned leaf)
{
	const struct shadow_role role = shadow_base_role(shadow->hw, 0);
	unsigned level;
	uint32_t number = shadow_root_of(shadow, gva, &level);

	for (; level > leaf; level--) {
		unsigned index = entry_index(gva, level);
		struct shadow_page *page = &shadow->page[number];
		uint64_t hpa = page->hpa + index * sizeof(uint64_t);
		uint32_t child = child_page(shadow, role, walk, gva, level);

		page->writes = 0;
		page->recent = true;
		vmm_trace(shadow->hw, UMBRA_TABLE_SHADOW, level, index, false, 0, hpa,
			  page->entry[index]);
		if (child == PAGE_NONE)
			return PAGE_NONE;
		if (!(page->entry[index] & PTE_P) || shadow_is_leaf(page, page->entry[index]) ||
		    shadow_child(shadow, page->entry[index]) != child) {
			/*
			 * While no path led to the child, no INVLPG could reach what is stale in it
			 * or below it.
			 */
			shadow_sync_below(shadow, child);
			shadow_entry_set_table(shadow, number, index, child);
			vmm_trace(shadow->hw, UMBRA_TABLE_SHADOW, level, index, true, 0, hpa,
				  page->entry[index]);
		}
		number = child;
	}
	shadow->page[number].writes = 0;
	shadow->page[number].recent = true;
	return number;
}

/*
 * The largest entry that can map the address: no larger than the guest's page and what is backed
 * together, and no table inside, which would have to be protected.
 */
unsigned shadow_leaf_level(const struct shadow *shadow, const struct guest_walk *walk)
{
	const struct memory *memory = shadow->vmm->memory;
	unsigned level = walk->leaf;

	if (!memory_is_ram(memory, walk->gpa))
		return 1;
	while (level > 1 && (level_shift(9, level) > memory->backing_shift ||
			     shadow->inside[level - 2][walk->gpa >> level_shift(9, level)]))
		level--;
	return level;
}

/* A page that the guest had used already gets its entry back: only a switch took that away. */
static bool is_refill(struct shadow_page *page, unsigned index, const struct guest_walk *walk,
		      bool write, bool paged)
{
	uint64_t bit = 1ull << index % 64, *filled = &page->filled[index / 64];
	bool first = !(*filled & bit);
	uint64_t used = PTE_A | (write ? PTE_D : 0);

	*filled |= bit;
	return first && (!paged || (walk->entry[walk->leaf - 1] & used) == used);
}

/* The guest accesses one of its tables, which is not mapped for that: the VMM does it. */
static enum hw_resume emulate(struct shadow *shadow, uint64_t gfn, bool write)
{
	struct hw *hw = shadow->hw;

	if (write) {
		hw_charge_exit(hw, hw->cost.table_write);
		hw->public.counters.shadow_table_writes[0]++;
		shadow_write_begins(shadow, gfn);
	} else {
		hw_charge_exit(hw, hw->cost.table_read);
		hw->public.counters.shadow_table_reads[0]++;
	}
	return hw->failed ? HW_STOP : HW_EMULATE;
}

/* Whether the VMM has to carry out this access to a page of RAM. */
static bool is_trapped(struct shadow *shadow, uint64_t gfn, bool write)
{
	if (shadow->brute)
		return shadow->shadowed[gfn] || brute_is_table(shadow->brute, gfn);
	return write && shadow->shadowed[gfn] && !shadow_unsync(shadow, gfn);
}

/*
 * With the guest's WP clear a supervisor may write here, but no entry says that and keeps SMEP,
 * SMAP and keys in force.
 */
static bool cannot_be_said(const struct hw *hw, const struct hw_exit *exit,
			   const struct guest_walk *walk)
{
	if (exit->access != HW_WRITE)
		return false;
	return (!walk->rights.write && (hw->rules.smep || hw->rules.smap || hw->rules.pke)) ||
	       key_denies(&hw->rules, hw->guest.pkru, walk->rights, HW_WRITE, exit->privilege);
}

static enum hw_resume fill(struct vmm *vmm, struct hw *hw, const struct hw_exit *exit,
			   uint64_t *ret_hpa, uint32_t *ret_error_code)
{
	struct shadow *shadow = shadow_act(vmm, hw);
	struct memory *memory = vmm->memory;
	bool write = exit->access == HW_WRITE, paged = hw->guest.cr0 & CR0_PG, ram;
	/* Without paging, as if by pages of the largest size. */
	struct guest_walk walk = {.gpa = exit->gva, .rights = RIGHTS_ALL, .dirty = true, .leaf = 3};
	uint64_t before = hw->public.cycles, hpa, value, gfn, size;
	bool write_protected = false, refill;
	unsigned index, level;
	uint32_t number;

	if (paged && !guest_walk(vmm, hw, exit->gva, exit->access, exit->privilege, &walk)) {
		hw_charge_exit(hw, hw->cost.reflect_fault);
		hw->public.counters.shadow_reflected[0]++;
		*ret_error_code = walk.error_code;
		return HW_INJECT;
	}
	gfn = walk.gpa / PAGE_SIZE;
	ram = memory_is_ram(memory, walk.gpa);
	if (!ram) {
		if (memory_is_mmio(memory, walk.gpa)) {
			*ret_hpa = walk.gpa;
			return exit->access == HW_FETCH ? HW_DISCARD : HW_MMIO;
		}
		if (write)
			return HW_DISCARD;
		hpa = memory->ones * PAGE_SIZE;
		write_protected = true;
	} else {
		hpa = memory_frame(memory, gfn) * PAGE_SIZE;
		*ret_hpa = hpa | (walk.gpa & PAGE_MASK);
		if (is_trapped(shadow, gfn, write))
			return emulate(shadow, gfn, write);
		write_protected = !write && shadow->shadowed[gfn];
	}
	if (ram && cannot_be_said(hw, exit, &walk))
		return HW_EMULATE;
	hw_charge_exit(hw, hw->cost.shadow_fill);
	if (shadow_make_room(shadow) < 0) {
		hw_fail(hw, "no frame left for shadow tables");
		return HW_STOP;
	}
	level = shadow_leaf_level(shadow, &walk);
	number = leaf_page(shadow, &walk, exit->gva, level);
	if (number != PAGE_NONE && level > 1 && shadow_leaf_level(shadow, &walk) < level) {
		/* Linking the path made a page inside the large one a table. */
		level = shadow_leaf_level(shadow, &walk);
		number = leaf_page(shadow, &walk, exit->gva, level);
	}
	if (number == PAGE_NONE) {
		hw_fail(hw, "no frame left for shadow tables");
		return HW_STOP;
	}
	/* ... or the target itself. */
	if (ram && shadow->brute && shadow->shadowed[gfn])
		return emulate(shadow, gfn, write);
	if (ram && shadow->shadowed[gfn] && write)
		write_protected = !shadow_unsync(shadow, gfn);
	if (write && !walk.rights.write)
		walk.rights = (struct rights){true, false, walk.rights.execute, 0};
	size = 1ull << level_shift(9, level);
	if (ram) {
		gfn = (walk.gpa & ~(size - 1)) / PAGE_SIZE;
		hpa = memory_frame(memory, gfn) * PAGE_SIZE;
	}
	value = shadow_leaf_value(hpa, walk.rights, walk.dirty, write_protected,
				  (level > 1 ? PTE_PS : 0) |
					  (paged ? walk.entry[walk.leaf - 1] & PTE_G : 0));
	index = entry_index(exit->gva, level);
	refill = is_refill(&shadow->page[number], index, &walk, write, paged);
	shadow_entry_set_leaf(shadow, number, index, value, ram ? gfn : GFN_NONE);
	vmm_trace(hw, UMBRA_TABLE_SHADOW, level, index, true, 0,
		  shadow->page[number].hpa + index * sizeof(value), value);
	hw->public.counters.shadow_fills[0]++;
	vmm_count_refill(vmm, hw, refill, hw->cost.exit + hw->public.cycles - before);
	return hw->failed ? HW_STOP : HW_RETRY;
}

enum hw_resume shadow_memory_exit(struct vmm *vmm, struct hw *hw, const struct hw_exit *exit,
				  uint64_t *ret_hpa, uint32_t *ret_error_code)
{
	enum hw_resume resume = fill(vmm, hw, exit, ret_hpa, ret_error_code);

	shadow_flush_if_due(vmm->shadow);
	return resume;
}

/* What fill() would do, in its order. */
enum umbra_walk_end shadow_foresee(const struct vmm *vmm, const struct hw *hw,
				   const struct hw_exit *exit, const struct guest_walk *walk)
{
	const struct shadow *shadow = vmm->shadow;
	bool write = exit->access == HW_WRITE, trapped;
	uint64_t gfn;

	if (!walk)
		return UMBRA_WALK_EXIT_FAULT;
	gfn = walk->gpa / PAGE_SIZE;
	if (!memory_is_ram(vmm->memory, walk->gpa)) {
		if (memory_is_mmio(vmm->memory, walk->gpa) && exit->access != HW_FETCH)
			return UMBRA_WALK_EXIT_DEVICE;
		return write || memory_is_mmio(vmm->memory, walk->gpa) ? UMBRA_WALK_EXIT_NOBODY
								       : UMBRA_WALK_EXIT_FILL;
	}
	trapped = shadow->brute ? shadow->shadowed[gfn] || brute_is_table(shadow->brute, gfn)
				: write && shadow->shadowed[gfn] && !shadow_can_unsync(shadow, gfn);
	return trapped || cannot_be_said(hw, exit, walk) ? UMBRA_WALK_EXIT_EMULATE
							 : UMBRA_WALK_EXIT_FILL;
}

void shadow_attend(struct vmm *vmm, struct hw *hw)
{
	struct shadow *shadow = vmm->shadow;

	if (!shadow->nr_pending && !shadow->pending_overflow)
		return;
	shadow_writes_end(shadow_act(vmm, hw));
	shadow_flush_if_due(shadow);
}

const struct mode_ops mode_shadow = {
	.enter = enter,
	.leave = leave,
	.memory_exit = shadow_memory_exit,
	.foresee = shadow_foresee,
	.cr3_load = cr3_load,
	.invlpg = invlpg,
	.attend = shadow_attend,
	.empty = shadow_empty,
};
