/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shadow paging (SDM 3C 32.3.4, "virtual TLB"): the hardware walks tables of the VMM that map
 * guest-virtual to host-physical. They start empty and are filled at page faults.
 *
 * The hardware runs with CR0.PG, CR0.WP and EFER.NXE set whatever the guest has; what the guest
 * has is in the role. With the guest's WP clear, a supervisor's write to a read-only page makes
 * the entry writable and supervisor-only; a user's access makes it read-only again.
 */
#include <errno.h>

#include "paging/shadow.h"

uint64_t shadow_leaf_value(uint64_t hpa, struct rights rights, bool dirty, bool write_protected)
{
	uint64_t value = hpa | PTE_P | PTE_A;

	if (rights.write && dirty && !write_protected)
		value |= PTE_W | PTE_D;
	if (rights.user)
		value |= PTE_U;
	if (!rights.execute)
		value |= PTE_NX;
	return value | (uint64_t)rights.key << PTE_KEY_SHIFT;
}

static struct shadow_role base_role(const struct hw_paging *guest, unsigned level)
{
	bool paged = guest->cr0 & CR0_PG;

	return (struct shadow_role){
		.level = level,
		.format = paged ? SHADOW_4_LEVEL : SHADOW_UNPAGED,
		.direct = !paged,
		.wp = guest->cr0 & CR0_WP,
		.nxe = guest->efer & EFER_NXE,
		.smep = guest->cr4 & CR4_SMEP,
		.smap = guest->cr4 & CR4_SMAP,
		.pku = guest->cr4 & CR4_PKE,
		.above = RIGHTS_ALL,
	};
}

/*
 * The hardware walks 4 levels with WP and NXE set; what the guest's SMEP, SMAP and protection keys
 * forbid it can tell by itself, as leaf entries are user-mode ones where the guest's are. Without
 * paging the guest has none of that, and all entries are user-mode ones.
 */
static void set_rules(struct hw *hw)
{
	const uint64_t passed = hw->guest.cr0 & CR0_PG ? CR4_SMEP | CR4_SMAP | CR4_PKE : 0;
	const struct hw_paging paging = {
		.cr0 = CR0_PE | CR0_PG | CR0_WP,
		.cr4 = CR4_PAE | (hw->guest.cr4 & passed),
		.efer = EFER_LME | EFER_LMA | EFER_NXE,
	};

	paging_rules_of(&paging, hw->maxphyaddr, &hw->rules);
	hw->tlb.pcid = 0;
}

/* Makes hardware CR3 point at the page for the guest's root; a cached one if there is one. */
static int set_root(struct vmm *vmm)
{
	struct shadow *shadow = vmm->shadow;
	const struct hw_paging *guest = &shadow->hw->guest;
	struct shadow_role role = base_role(guest, LEVELS);
	uint64_t gfn = role.direct ? 0 : (guest->cr3 & ENTRY_ADDRESS) / PAGE_SIZE;
	uint32_t root = shadow_page_get(shadow, gfn, &role);

	if (root == PARENT_NONE) {
		shadow_drop_all(shadow);
		root = shadow_page_get(shadow, gfn, &role);
	}
	if (root == PARENT_NONE) {
		hw_fail(shadow->hw, "no frame left for a shadow root");
		return -ENOMEM;
	}
	shadow->root = root;
	set_rules(shadow->hw);
	shadow->hw->cr3 = shadow->page[root].hpa;
	hw_flush(shadow->hw);
	return 0;
}

/* What the guest has on that its shadow tables do not know; NULL: nothing. */
static const char *unsupported(const struct hw *hw)
{
	switch (hw->guest_rules.format) {
	case FORMAT_2_LEVEL: return "2-level paging";
	case FORMAT_PAE: return "PAE paging";
	case FORMAT_5_LEVEL: return "5-level paging (CR4.LA57)";
	default: return hw->guest.cr4 & CR4_PCIDE ? "PCIDs (CR4.PCIDE)" : NULL;
	}
}

static int check(const struct vmm *vmm, struct umbra_error *ret_error)
{
	const char *feature = unsupported(vmm->hw[0]);

	/* Several vCPUs would have to be stopped, and flushed, where their tables change. */
	if (vmm->nr_hw > 1)
		return umbra_error_set(ret_error, -EOPNOTSUPP, "shadow", "cpus",
				       "%u vCPUs: shadow supports one", vmm->nr_hw);
	if (feature)
		return umbra_error_set(ret_error, -EOPNOTSUPP, "shadow", "paging",
				       "%s is on: shadow does not support it", feature);
	return 0;
}

static int enter(struct vmm *vmm)
{
	struct hw *hw = vmm->hw[0];

	if (!vmm->shadow) {
		int error = shadow_create(vmm, &vmm->shadow);

		if (error)
			return error;
	}
	hw->intercepts = INTERCEPT_EVENTS | INTERCEPT_CR3 | INTERCEPT_INVLPG | INTERCEPT_PAGE_FAULT;
	hw->eptp = 0;
	return set_root(vmm);
}

static uint64_t leave(struct vmm *vmm)
{
	return shadow_drop_all(vmm->shadow);
}

static void empty(struct vmm *vmm)
{
	shadow_drop_all(vmm->shadow);
	set_root(vmm);
}

static int cr3_load(struct vmm *vmm, struct hw *hw, uint64_t cr3)
{
	shadow_sync_all(vmm->shadow);
	return set_root(vmm);
}

static int paging_changed(struct vmm *vmm, struct hw *hw)
{
	if (unsupported(hw))
		return -EOPNOTSUPP;
	shadow_sync_all(vmm->shadow);
	return set_root(vmm);
}

static void invlpg(struct vmm *vmm, struct hw *hw, uint64_t gva)
{
	struct shadow *shadow = vmm->shadow;
	struct shadow_page *page = &shadow->page[shadow->root];

	for (unsigned level = LEVELS; level > 1; level--) {
		uint64_t entry = page->entry[entry_index(gva, level)];

		if (!(entry & PTE_P))
			return;
		page = &shadow->page[shadow_child(shadow, entry)];
	}
	/* A table in sync has nothing stale: its writes were seen. */
	if (page->unsync)
		shadow_entry_drop(shadow, page - shadow->page, entry_index(gva, 1));
}

/* The page that belongs below the entry of @level on this path. */
static uint32_t child_page(struct shadow *shadow, const struct guest_walk *walk, uint64_t gva,
			   unsigned level)
{
	struct shadow_role role = base_role(&shadow->hw->guest, level - 1);
	uint64_t reach = 1ull << (12 + 9 * (level - 1)); /* what a table of level - 1 maps */
	uint64_t gfn;

	if (role.direct) {
		gfn = (gva & ~(reach - 1)) / PAGE_SIZE;
		role.dirty = true;
	} else if (level > walk->leaf) {
		gfn = walk->table_gfn[level - 2];
		role.above = walk->above[level - 2];
	} else {
		gfn = (walk->gpa & ~(reach - 1)) / PAGE_SIZE;
		role.direct = true;
		role.dirty = walk->dirty;
		role.above = walk->rights;
	}
	return shadow_page_get(shadow, gfn, &role);
}

/* The leaf page of the path, with all above it linked; PARENT_NONE at the limit of shadow pages. */
static uint32_t leaf_page(struct shadow *shadow, const struct guest_walk *walk, uint64_t gva)
{
	uint32_t number = shadow->root;

	for (unsigned level = LEVELS; level > 1; level--) {
		unsigned index = entry_index(gva, level);
		struct shadow_page *page = &shadow->page[number];
		uint64_t hpa = page->hpa + index * sizeof(uint64_t);
		uint32_t child = child_page(shadow, walk, gva, level);

		page->writes = 0;
		vmm_trace(shadow->hw, UMBRA_TABLE_SHADOW, level, index, false, 0, hpa,
			  page->entry[index]);
		if (child == PARENT_NONE)
			return PARENT_NONE;
		if (!(page->entry[index] & PTE_P) ||
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
	return number;
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

static enum hw_resume memory_exit(struct vmm *vmm, struct hw *hw, const struct hw_exit *exit,
				  uint64_t *ret_hpa, uint32_t *ret_error_code)
{
	struct shadow *shadow = vmm->shadow;
	struct memory *memory = vmm->memory;
	bool write = exit->access == HW_WRITE, paged = hw->guest.cr0 & CR0_PG;
	struct guest_walk walk = {.gpa = exit->gva, .rights = RIGHTS_ALL, .dirty = true};
	uint64_t before = hw->public.cycles, hpa, value;
	unsigned index = entry_index(exit->gva, 1);
	bool write_protected = false, narrow = false, refill;
	uint64_t gfn, number;

	if (paged && !guest_walk(vmm, hw, exit->gva, exit->access, exit->privilege, &walk)) {
		hw_charge_exit(hw, hw->cost.reflect_fault);
		hw->public.counters.shadow_reflected[0]++;
		*ret_error_code = walk.error_code;
		return HW_INJECT;
	}
	gfn = walk.gpa / PAGE_SIZE;
	if (!memory_is_ram(memory, walk.gpa)) {
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
		write_protected = !write && shadow->shadowed[gfn];
		if (write && shadow->shadowed[gfn] && !shadow_unsync(shadow, gfn)) {
			hw_charge_exit(hw, hw->cost.table_write);
			hw->public.counters.shadow_table_writes[0]++;
			shadow_write_begins(shadow, gfn);
			*ret_hpa = hpa | (walk.gpa & PAGE_MASK);
			return hw->failed ? HW_STOP : HW_EMULATE;
		}
	}
	if (write && !walk.rights.write && (hw->rules.smep || hw->rules.smap || hw->rules.pke))
		narrow = true;
	if (write && key_denies(&hw->rules, hw->guest.pkru, walk.rights, HW_WRITE, exit->privilege))
		narrow = true;
	if (narrow && memory_is_ram(memory, walk.gpa)) {
		/*
		 * With the guest's WP clear a supervisor may write here, but no entry says that
		 * and keeps SMEP, SMAP and keys in force.
		 */
		*ret_hpa = hpa | (walk.gpa & PAGE_MASK);
		return HW_EMULATE;
	}
	hw_charge_exit(hw, hw->cost.shadow_fill);
	number = leaf_page(shadow, &walk, exit->gva);
	if (number == PARENT_NONE) {
		/* The limit on shadow memory is reached: start again with empty tables. */
		shadow_drop_all(shadow);
		return set_root(vmm) < 0 ? HW_STOP : HW_RETRY;
	}
	/* Linking the path may have made the target itself a table. */
	if (memory_is_ram(memory, walk.gpa) && shadow->shadowed[gfn] && write)
		write_protected = !shadow_unsync(shadow, gfn);
	if (write && !walk.rights.write)
		walk.rights = (struct rights){true, false, walk.rights.execute, 0};
	value = shadow_leaf_value(hpa, walk.rights, walk.dirty, write_protected);
	refill = is_refill(&shadow->page[number], index, &walk, write, paged);
	shadow_entry_set_leaf(shadow, number, index, value);
	vmm_trace(hw, UMBRA_TABLE_SHADOW, 1, index, true, 0,
		  shadow->page[number].hpa + index * sizeof(value), value);
	hw->public.counters.shadow_fills[0]++;
	vmm_count_refill(vmm, hw, refill, hw->cost.exit + hw->public.cycles - before);
	return hw->failed ? HW_STOP : HW_RETRY;
}

static void attend(struct vmm *vmm, struct hw *hw)
{
	if (vmm->shadow->nr_pending || vmm->shadow->pending_overflow)
		shadow_writes_end(vmm->shadow);
}

const struct mode_ops mode_shadow = {
	.check = check,
	.enter = enter,
	.leave = leave,
	.memory_exit = memory_exit,
	.cr3_load = cr3_load,
	.invlpg = invlpg,
	.paging_changed = paging_changed,
	.attend = attend,
	.empty = empty,
};
