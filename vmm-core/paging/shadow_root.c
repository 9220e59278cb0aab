/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the hardware of each vCPU starts at. It walks 4 levels, 5 where the guest does, and in PAE
 * where the guest pages with 32-bit addresses: four pages of level 2 behind the PDPTE registers,
 * for a guest with 2-level paging the four quadrants of its page directory. Roots of address spaces
 * that the guest left stay, and are found again by their guest page.
 */
#include <errno.h>

#include "paging/shadow.h"

static bool is_long(uint8_t format)
{
	return format == FORMAT_4_LEVEL || format == FORMAT_5_LEVEL;
}

struct shadow *shadow_act(struct vmm *vmm, struct hw *hw)
{
	struct shadow *shadow = vmm->shadow;
	unsigned cpu = 0;

	while (vmm->hw[cpu] != hw)
		cpu++;
	if (shadow->nr_pending && shadow->pending_cpu != cpu)
		shadow_writes_end(shadow);
	shadow->hw = hw;
	shadow->cpu = cpu;
	return shadow;
}

struct shadow_role shadow_base_role(const struct hw *hw, unsigned level)
{
	const struct hw_paging *guest = &hw->guest;
	uint8_t format = hw->guest_rules.format;

	return (struct shadow_role){
		.level = level,
		.format = format,
		.direct = format == FORMAT_UNPAGED,
		.wp = guest->cr0 & CR0_WP,
		.nxe = guest->efer & EFER_NXE,
		.pse = format == FORMAT_2_LEVEL && (guest->cr4 & CR4_PSE),
		.smep = guest->cr4 & CR4_SMEP,
		.smap = guest->cr4 & CR4_SMAP,
		.pku = hw->guest_rules.pke,
		.above = RIGHTS_ALL,
	};
}

/*
 * The hardware runs with WP and NXE set; what the guest's SMEP, SMAP and protection keys forbid it
 * can tell by itself, as leaf entries are user-mode ones where the guest's are. Without paging the
 * guest has none of that, and all entries are user-mode ones.
 */
static void set_rules(struct shadow *shadow)
{
	struct hw *hw = shadow->hw;
	struct shadow_root *root = &shadow->root[shadow->cpu];
	uint8_t format = hw->guest_rules.format;
	uint64_t passed = 0;
	struct hw_paging paging = {
		.cr0 = CR0_PE | CR0_PG | CR0_WP,
		.efer = EFER_NXE,
	};

	if (format != FORMAT_UNPAGED)
		passed = CR4_SMEP | CR4_SMAP | CR4_PGE | (is_long(format) ? CR4_PKE : 0);
	if (is_long(format) || format == FORMAT_UNPAGED)
		paging.efer |= EFER_LME | EFER_LMA;
	if (format == FORMAT_5_LEVEL)
		passed |= CR4_LA57;
	paging.cr4 = CR4_PAE | (hw->guest.cr4 & passed);
	/* They are the same after most loads of CR3. */
	if (root->rules_set && root->cr4 == paging.cr4 && root->efer == paging.efer)
		return;
	root->rules_set = true;
	root->cr4 = paging.cr4;
	root->efer = paging.efer;
	paging_rules_of(&paging, hw->maxphyaddr, &hw->rules);
}

/* Gives the vCPU's root in @slot another page. */
static void pin(struct shadow *shadow, unsigned slot, uint32_t page)
{
	uint32_t *root = &shadow->root[shadow->cpu].page[slot];

	if (page != PAGE_NONE)
		shadow->page[page].pins++;
	if (*root != PAGE_NONE)
		shadow->page[*root].pins--;
	*root = page;
}

/* The pages behind the four PDPTE registers. */
static int set_quarters(struct shadow *shadow)
{
	struct hw *hw = shadow->hw;
	struct shadow_role role = shadow_base_role(hw, ROOT_LEVEL_PAE);

	for (unsigned i = 0; i < NR_QUARTERS; i++) {
		uint64_t pdpte = hw->guest_pdpte[i], table = hw->guest.cr3;
		uint32_t page;

		if (role.format == FORMAT_PAE && !(pdpte & PTE_P)) {
			pin(shadow, i, PAGE_NONE);
			hw->pdpte[i] = 0;
			continue;
		}
		if (role.format == FORMAT_PAE)
			table = pdpte;
		else
			role.quadrant = i;
		page = shadow_page_get(shadow, (table & ENTRY_ADDRESS) / PAGE_SIZE, &role);
		if (page == PAGE_NONE)
			return -ENOMEM;
		pin(shadow, i, page);
		hw->pdpte[i] = shadow->page[page].hpa | PTE_P;
	}
	return 0;
}

int shadow_set_root(struct shadow *shadow)
{
	struct hw *hw = shadow->hw;
	uint8_t format = hw->guest_rules.format, level = format == FORMAT_5_LEVEL ? 5 : 4;
	struct shadow_root *root = &shadow->root[shadow->cpu];
	int error = shadow_make_room(shadow);

	if (!error && (format == FORMAT_2_LEVEL || format == FORMAT_PAE)) {
		root->level = ROOT_LEVEL_PAE;
		error = set_quarters(shadow);
	} else if (!error) {
		const struct shadow_role role = shadow_base_role(hw, level);
		uint64_t gfn = role.direct ? 0 : (hw->guest.cr3 & ENTRY_ADDRESS) / PAGE_SIZE;
		uint32_t page = shadow_page_get(shadow, gfn, &role);

		for (unsigned i = 1; i < NR_QUARTERS; i++)
			pin(shadow, i, PAGE_NONE);
		root->level = level;
		if (page != PAGE_NONE) {
			pin(shadow, 0, page);
			hw->cr3 = shadow->page[page].hpa;
		} else {
			error = -ENOMEM;
		}
	}
	if (error) {
		hw_fail(hw, "no frame left for a shadow root");
		return error;
	}
	set_rules(shadow);
	hw->tlb.pcid = hw_pcid(&hw->guest);
	hw_follow_context(hw);
	hw_lookaside_flush(hw);
	return 0;
}

int shadow_enter(struct vmm *vmm)
{
	for (unsigned i = 0; i < vmm->nr_hw; i++) {
		struct hw *hw = vmm->hw[i];
		struct shadow *shadow;
		int error;

		hw->intercepts =
			INTERCEPT_EVENTS | INTERCEPT_CR3 | INTERCEPT_INVLPG | INTERCEPT_PAGE_FAULT;
		hw->eptp = 0;
		shadow = shadow_act(vmm, hw);
		shadow->root[shadow->cpu].rules_set = false; /* another mode had its own */
		error = shadow_set_root(shadow);
		if (error)
			return error;
		hw_flush(hw);
	}
	vmm->shadow->flush_due = vmm->shadow->stale = false;
	return 0;
}

uint32_t shadow_root_of(const struct shadow *shadow, uint64_t gva, unsigned *ret_level)
{
	const struct shadow_root *root = &shadow->root[shadow->cpu];

	*ret_level = root->level;
	return root->page[root->level == ROOT_LEVEL_PAE ? gva >> 30 & (NR_QUARTERS - 1) : 0];
}
