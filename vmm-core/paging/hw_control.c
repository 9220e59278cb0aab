/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the modelled hardware does at changes of control registers and at invalidations. */
#include <errno.h>
#include <string.h>

#include "paging/hw_private.h"

void hw_event(struct hw *hw, enum umbra_exit_reason reason)
{
	if (hw->intercepts & INTERCEPT_EVENTS)
		hw_count_exit(hw, reason);
}

/* PAE paging reads them from memory at MOV to CR3, and at these changes (SDM 3A 4.4.1). */
static bool loads_pdptes(const struct hw *hw, const struct hw_paging *paging)
{
	const uint64_t cr0 = CR0_CD | CR0_NW | CR0_PG;
	const uint64_t cr4 = CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP;

	return hw->guest_rules.format != FORMAT_PAE || ((hw->guest.cr0 ^ paging->cr0) & cr0) ||
	       ((hw->guest.cr4 ^ paging->cr4) & cr4) || hw->guest.cr3 != paging->cr3;
}

/* 0, or -EINVAL with nothing changed: a present one has reserved bits. */
static int load_pdptes(struct hw *hw, uint64_t cr3)
{
	const uint64_t address = 0xffffffe0; /* bits 31:5 */
	uint64_t pdpte[4];

	if (memory_read(hw->memory, cr3 & address, pdpte, sizeof(pdpte)) < 0)
		memset(pdpte, 0xff, sizeof(pdpte));
	for (int i = 0; i < 4; i++) {
		if ((pdpte[i] & PTE_P) && (pdpte[i] & pdpte_reserved(hw->maxphyaddr)))
			return -EINVAL;
	}
	memcpy(hw->guest_pdpte, pdpte, sizeof(pdpte));
	return 0;
}

uint16_t hw_pcid(const struct hw_paging *paging)
{
	return paging->cr4 & CR4_PCIDE ? paging->cr3 & CR3_PCID : 0;
}

/* SDM 3A 4.10.4.1. NXE, which it does not name, takes part in what entries hold. */
static bool change_flushes(const struct hw_paging *old, const struct hw_paging *new)
{
	const uint64_t cr4 = CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_LA57 | CR4_SMEP;

	return ((old->cr0 ^ new->cr0) & CR0_PG) || ((old->cr4 ^ new->cr4) & cr4) ||
	       ((old->efer ^ new->efer) & (EFER_NXE | EFER_LMA)) || old->cr3 != new->cr3;
}

void hw_set_registers(struct hw *hw)
{
	hw->rules = hw->guest_rules;
	hw->cr3 = hw->guest.cr3 & ENTRY_ADDRESS;
	memcpy(hw->pdpte, hw->guest_pdpte, sizeof(hw->pdpte));
	hw->tlb.pcid = hw_pcid(&hw->guest);
	hw_follow_context(hw);
	hw_lookaside_flush(hw);
}

int hw_paging_changed(struct hw *hw, const struct hw_paging *paging)
{
	bool flushes = change_flushes(&hw->guest, paging);
	struct paging_rules rules;

	paging_rules_of(paging, hw->maxphyaddr, &rules);
	if (rules.format == FORMAT_PAE && loads_pdptes(hw, paging)) {
		int error = load_pdptes(hw, paging->cr3);

		if (error)
			return error;
	}
	hw->guest = *paging;
	hw->guest_rules = rules;
	if (hw->intercepts & INTERCEPT_CR3) {
		int error = hw->vmm.cr3_load(hw->vmm.vmm, hw);

		if (error)
			return error;
		flushes = true; /* the entries have it all in them */
	} else {
		hw_set_registers(hw);
	}
	if (flushes)
		hw_flush(hw);
	return 0;
}

int hw_load_cr3(struct hw *hw, uint64_t cr3, bool keep)
{
	if (hw->guest_rules.format == FORMAT_PAE) {
		int error = load_pdptes(hw, cr3);

		if (error)
			return error;
	}
	hw->guest.cr3 = cr3;
	if (hw->intercepts & INTERCEPT_CR3) {
		int error;

		hw_count_exit(hw, UMBRA_EXIT_cr_access);
		error = hw->vmm.cr3_load(hw->vmm.vmm, hw);
		if (error)
			return error;
	} else {
		hw_charge(hw, keep ? hw->cost.cr3_load_keep : hw->cost.cr3_load);
		hw_set_registers(hw);
	}
	if (keep)
		return 0;
	tlb_flush_pcid(&hw->tlb, hw->tlb.pcid);
	hw->public.counters.tlb_flushes[0]++;
	return 0;
}

void hw_store_cr3(struct hw *hw)
{
	if (hw->intercepts & INTERCEPT_CR3)
		hw_count_exit(hw, UMBRA_EXIT_cr_access);
}

void hw_set_device(struct hw *hw, uint64_t gpa, bool device)
{
	if (memory_is_mmio(hw->memory, gpa) == device)
		return;
	if (!device)
		memory_remove_mmio(hw->memory, gpa);
	else if (memory_add_mmio(hw->memory, gpa, PAGE_SIZE) < 0)
		hw_fail(hw, "no room for the memory of another device");
	hw->vmm.map_changed(hw->vmm.vmm);
}

void hw_invlpg(struct hw *hw, uint64_t gva)
{
	if (hw->intercepts & INTERCEPT_INVLPG) {
		hw_count_exit(hw, UMBRA_EXIT_invlpg);
		hw->vmm.invlpg(hw->vmm.vmm, hw, gva);
	}
	hw_charge(hw, hw->cost.invlpg);
	if (tlb_invalidate(&hw->tlb, hw->tlb.pcid, gva, true))
		hw_lookaside_flush(hw);
	else
		hw_lookaside_drop(hw, gva);
}

void hw_invpcid(struct hw *hw, enum hw_invpcid type, uint16_t pcid, uint64_t gva)
{
	if (hw->intercepts & INTERCEPT_INVLPG) {
		hw_count_exit(hw, UMBRA_EXIT_invpcid);
		if (type == HW_INVPCID_ADDRESS && pcid == hw->tlb.pcid)
			hw->vmm.invlpg(hw->vmm.vmm, hw, gva);
		else
			hw->vmm.cr3_load(hw->vmm.vmm, hw);
	}
	hw_charge(hw, hw->cost.invlpg);
	switch (type) {
	case HW_INVPCID_ADDRESS: tlb_invalidate(&hw->tlb, pcid, gva, false); break;
	case HW_INVPCID_CONTEXT: tlb_flush_pcid(&hw->tlb, pcid); break;
	case HW_INVPCID_ALL: tlb_flush_all_pcids(&hw->tlb); break;
	case HW_INVPCID_ALL_BUT_GLOBAL: tlb_flush_not_global(&hw->tlb); break;
	}
	if (type != HW_INVPCID_ADDRESS)
		hw->public.counters.tlb_flushes[0]++;
	hw_lookaside_flush(hw);
}

static uint64_t eptrta_of(uint64_t eptp)
{
	return eptp ? eptp & ENTRY_ADDRESS : EPTRTA_NONE;
}

void hw_follow_context(struct hw *hw)
{
	tlb_set_context(&hw->tlb, hw->vpid, hw->tlb.pcid, eptrta_of(hw->eptp));
}

void hw_invvpid(struct hw *hw, enum hw_invvpid type, uint16_t vpid, uint64_t gva)
{
	switch (type) {
	case HW_INVVPID_ADDRESS: tlb_invvpid_address(&hw->tlb, vpid, gva); break;
	case HW_INVVPID_CONTEXT: tlb_invvpid(&hw->tlb, vpid, true); break;
	case HW_INVVPID_ALL: tlb_invvpid_all(&hw->tlb); break;
	case HW_INVVPID_CONTEXT_BUT_GLOBAL: tlb_invvpid(&hw->tlb, vpid, false); break;
	}
	if (type != HW_INVVPID_ADDRESS)
		hw->public.counters.tlb_flushes[0]++;
	hw_lookaside_flush(hw);
}

void hw_invept(struct hw *hw, enum hw_invept type, uint64_t eptp)
{
	tlb_invept(&hw->tlb, type == HW_INVEPT_CONTEXT ? eptrta_of(eptp) : EPTRTA_NONE);
	hw->public.counters.tlb_flushes[0]++;
	hw_lookaside_flush(hw);
}

void hw_set_pkru(struct hw *hw, uint32_t pkru)
{
	if (hw->guest.pkru == pkru)
		return;
	hw->guest.pkru = pkru;
	if (hw->rules.pke)
		hw_lookaside_flush(hw);
}
