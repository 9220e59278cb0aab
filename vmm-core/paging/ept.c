/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nested paging: the hardware walks the guest's tables and then EPT tables (SDM 3C 28.3). The VMM
 * fills them at EPT violations, page by page, and keeps them over switches: GPA -> HPA never
 * changes. Pages beyond RAM that are read get a frame of all ones, read-only, so that tables and
 * code there behave as on a bus where nobody answers; writes to them are discarded.
 */
#include <errno.h>
#include <string.h>

#include "paging/vmm.h"

static int root(struct vmm *vmm)
{
	if (vmm->ept_root == UINT64_MAX)
		vmm->ept_root = memory_table_alloc(vmm->memory);
	return vmm->ept_root == UINT64_MAX ? -ENOMEM : 0;
}

static uint64_t eptp_of(const struct vmm *vmm)
{
	return vmm->ept_root | EPTP_WB | EPTP_AD |
	       (uint64_t)(vmm->ept_levels - 1) << EPTP_LEVELS_SHIFT;
}

static int enter(struct vmm *vmm)
{
	int error = root(vmm);

	if (error)
		return error;
	for (unsigned i = 0; i < vmm->nr_hw; i++) {
		struct hw *hw = vmm->hw[i];

		hw->intercepts = INTERCEPT_EVENTS;
		hw->eptp = eptp_of(vmm);
		hw_set_registers(hw);
		hw_flush(hw);
	}
	return 0;
}

void ept_look(const struct vmm *vmm, const struct hw *hw, struct hw *ret)
{
	*ret = *hw;
	ret->intercepts = INTERCEPT_EVENTS;
	ret->eptp = eptp_of(vmm);
	ret->rules = hw->guest_rules;
	ret->cr3 = hw->guest.cr3 & ENTRY_ADDRESS;
	memcpy(ret->pdpte, hw->guest_pdpte, sizeof(ret->pdpte));
}

static uint64_t leave(struct vmm *vmm)
{
	for (unsigned i = 0; i < vmm->nr_hw; i++)
		vmm->hw[i]->eptp = 0;
	return 0;
}

static void free_tables(struct vmm *vmm, uint64_t table, unsigned level)
{
	uint64_t *entries = frames_host(&vmm->memory->frames, table);

	for (unsigned i = 0; i < ENTRIES && level > 1; i++) {
		if ((entries[i] & EPT_R) && !(entries[i] & EPT_PS))
			free_tables(vmm, entries[i] & ENTRY_ADDRESS, level - 1);
	}
	memory_table_free(vmm->memory, table);
}

void ept_free(struct vmm *vmm)
{
	/* The next root may lie where this one does: nothing may be left of it (SDM 3C 28.4.3.4).
	 */
	for (unsigned i = 0; i < vmm->nr_hw; i++)
		hw_invept(vmm->hw[i], HW_INVEPT_CONTEXT, eptp_of(vmm));
	free_tables(vmm, vmm->ept_root, vmm->ept_levels);
	vmm->ept_root = UINT64_MAX;
}

/* Drops every EPT table; the root is a new one. */
static void empty(struct vmm *vmm)
{
	ept_free(vmm);
	root(vmm); /* there was one */
	for (unsigned i = 0; i < vmm->nr_hw; i++) {
		vmm->hw[i]->eptp = eptp_of(vmm);
		hw_follow_context(vmm->hw[i]);
	}
}

/* The size of the page that can map this address: all of it RAM with frames that lie together. */
unsigned ept_page_level(const struct memory *memory, uint64_t gpa)
{
	return !memory_is_ram(memory, gpa)         ? 1
	       : memory->backing_shift == SHIFT_1G ? 3
	       : memory->backing_shift == SHIFT_2M ? 2
						   : 1;
}

/* Maps the page of @leaf level. False: the allowance for tables is used up. */
static bool map(struct vmm *vmm, struct hw *hw, uint64_t gpa, uint64_t hpa, uint64_t rights,
		unsigned leaf)
{
	struct frames *frames = &vmm->memory->frames;
	uint64_t table = vmm->ept_root;

	for (unsigned level = vmm->ept_levels;; level--) {
		unsigned index = entry_index(gpa, level);
		uint64_t *entry = (uint64_t *)frames_host(frames, table) + index;
		uint64_t entry_hpa = table + index * sizeof(*entry);

		vmm_trace(hw, UMBRA_TABLE_EPT, level, index, false, gpa, entry_hpa, *entry);
		if (level == leaf) {
			*entry = hpa | rights | EPT_MEMORY_TYPE_WB | (leaf > 1 ? EPT_PS : 0);
			vmm_trace(hw, UMBRA_TABLE_EPT, level, index, true, gpa, entry_hpa, *entry);
			return true;
		}
		if (!(*entry & EPT_R)) {
			uint64_t next = memory_table_alloc(vmm->memory);

			if (next == UINT64_MAX)
				return false;
			*entry = next | EPT_RWX;
			vmm_trace(hw, UMBRA_TABLE_EPT, level, index, true, gpa, entry_hpa, *entry);
		}
		table = *entry & ENTRY_ADDRESS;
	}
}

/*
 * Nobody but the guest's tables says where this access goes, and the hardware cannot carry it out.
 * Accessed and dirty bits are set as if it had.
 */
static enum hw_resume by_software(struct vmm *vmm, struct hw *hw, const struct hw_exit *exit,
				  uint64_t *ret_hpa, uint32_t *ret_error_code)
{
	struct guest_walk walk = {.gpa = exit->gva};

	if ((hw->guest.cr0 & CR0_PG) &&
	    !guest_walk(vmm, hw, exit->gva, exit->access, exit->privilege, &walk)) {
		*ret_error_code = walk.error_code;
		return HW_INJECT;
	}
	if (memory_is_ram(vmm->memory, walk.gpa)) {
		*ret_hpa = memory_frame(vmm->memory, walk.gpa / PAGE_SIZE) * PAGE_SIZE +
			   (walk.gpa & PAGE_MASK);
		return HW_EMULATE;
	}
	*ret_hpa = walk.gpa;
	return exit->access != HW_FETCH && memory_is_mmio(vmm->memory, walk.gpa) ? HW_MMIO
										 : HW_DISCARD;
}

/* Where nobody answers nothing can be written, nor mapped so far up. */
static bool cannot_be_mapped(const struct vmm *vmm, const struct hw_exit *exit)
{
	if (exit->reason == UMBRA_EXIT_ept_misconfiguration)
		return true;
	if (memory_is_ram(vmm->memory, exit->gpa))
		return false;
	return exit->table || exit->gpa >> (12 + 9 * vmm->ept_levels) ||
	       (exit->access == HW_WRITE && !memory_is_mmio(vmm->memory, exit->gpa));
}

static enum umbra_walk_end foresee(const struct vmm *vmm, const struct hw *hw,
				   const struct hw_exit *exit, const struct guest_walk *walk)
{
	(void)hw;
	if (!cannot_be_mapped(vmm, exit))
		return UMBRA_WALK_EXIT_FILL;
	if (!walk)
		return UMBRA_WALK_EXIT_FAULT;
	if (memory_is_ram(vmm->memory, walk->gpa))
		return UMBRA_WALK_EXIT_EMULATE;
	return exit->access != HW_FETCH && memory_is_mmio(vmm->memory, walk->gpa)
		       ? UMBRA_WALK_EXIT_DEVICE
		       : UMBRA_WALK_EXIT_NOBODY;
}

static enum hw_resume memory_exit(struct vmm *vmm, struct hw *hw, const struct hw_exit *exit,
				  uint64_t *ret_hpa, uint32_t *ret_error_code)
{
	struct memory *memory = vmm->memory;
	uint64_t hpa, rights, gpa = exit->gpa & ~PAGE_MASK, before = hw->public.cycles;
	unsigned level = ept_page_level(memory, exit->gpa);
	bool ram = memory_is_ram(memory, exit->gpa), mmio = memory_is_mmio(memory, exit->gpa);
	bool touched_before = false;

	if (exit->reason != UMBRA_EXIT_ept_misconfiguration)
		hw_charge_exit(hw, hw->cost.ept_violation);
	if (cannot_be_mapped(vmm, exit))
		return by_software(vmm, hw, exit, ret_hpa, ret_error_code);
	if (ram) {
		touched_before = memory->frame_of[exit->gpa / PAGE_SIZE] != FRAME_NONE;
		gpa = exit->gpa & ~((1ull << memory->backing_shift) - 1);
		hpa = memory_frame(memory, gpa / PAGE_SIZE) * PAGE_SIZE;
		rights = EPT_RWX;
	} else if (mmio) {
		/* Marked once, every access misses the TLB and is known at once (SDM 3C 28.3.3.1).
		 */
		hpa = 0;
		rights = EPT_W | EPT_X;
	} else {
		hpa = memory->ones * PAGE_SIZE;
		rights = EPT_R | EPT_X;
	}
	if (!map(vmm, hw, gpa, hpa, rights, level)) {
		/* Storms over the space above RAM end here: start again with empty tables. */
		empty(vmm);
		if (!map(vmm, hw, gpa, hpa, rights, level)) {
			hw_fail(hw, "no frame left for EPT tables");
			return HW_STOP;
		}
	}
	hw->public.counters.ept_fills[0]++;
	/* A page touched before has no entry only because another mode was on then. */
	vmm_count_refill(vmm, hw, touched_before, hw->cost.exit + hw->public.cycles - before);
	return HW_RETRY;
}

const struct mode_ops mode_ept = {
	.enter = enter,
	.leave = leave,
	.memory_exit = memory_exit,
	.foresee = foresee,
	.empty = empty,
};
