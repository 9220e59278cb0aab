/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's tables in software: what a shadow fill reads, and how a fault is found to be the
 * guest's own. */
#include "paging/vmm.h"

uint64_t guest_entry(struct vmm *vmm, uint64_t gpa)
{
	uint64_t entry;

	if (memory_read(vmm->memory, gpa, &entry, sizeof(entry)) < 0)
		return UINT64_MAX;
	return entry;
}

static void set_bits(struct vmm *vmm, struct hw *hw, uint64_t gpa, uint64_t entry, uint64_t bits,
		     unsigned level)
{
	size_t span;
	uint64_t *host;

	if ((entry & bits) == bits)
		return;
	/* An entry beyond RAM has all bits set and never comes here. */
	host = memory_span_write(vmm->memory, gpa, sizeof(*host), &span);
	*host |= bits;
	hw_attention_all(vmm->memory); /* code may lie there too */
	vmm_trace(hw, UMBRA_TABLE_GUEST, level, gpa % PAGE_SIZE / sizeof(*host), true, gpa,
		  (uint8_t *)host - vmm->memory->frames.base, *host);
}

static uint64_t entry_hpa(struct vmm *vmm, uint64_t gpa)
{
	return memory_is_ram(vmm->memory, gpa)
		       ? (uint64_t)vmm->memory->frame_of[gpa / PAGE_SIZE] * PAGE_SIZE +
				 (gpa & PAGE_MASK)
		       : 0;
}

static bool fault(struct guest_walk *walk, uint32_t code)
{
	walk->error_code = code;
	return false;
}

bool guest_walk(struct vmm *vmm, struct hw *hw, uint64_t gva, enum hw_access access,
		enum hw_privilege privilege, struct guest_walk *ret_walk)
{
	const struct hw_paging *guest = &hw->guest;
	bool nxe = guest->efer & EFER_NXE, wp = guest->cr0 & CR0_WP;
	bool write = access == HW_WRITE, fetch = access == HW_FETCH, user = privilege == HW_USER;
	uint32_t code = (write ? PF_W : 0) | (user ? PF_U : 0) | (fetch && nxe ? PF_I : 0);
	uint64_t table = guest->cr3 & ENTRY_ADDRESS, gpa[LEVELS], mask;
	unsigned level;

	ret_walk->rights = (struct rights){true, true, true};
	for (level = LEVELS;; level--) {
		uint64_t entry;

		gpa[level - 1] = table + entry_index(gva, level) * sizeof(entry);
		entry = guest_entry(vmm, gpa[level - 1]);
		vmm_trace(hw, UMBRA_TABLE_GUEST, level, entry_index(gva, level), false,
			  gpa[level - 1], entry_hpa(vmm, gpa[level - 1]), entry);
		ret_walk->entry[level - 1] = entry;
		ret_walk->table_gfn[level - 1] = table / PAGE_SIZE;
		ret_walk->above[level - 1] = ret_walk->rights;
		if (!(entry & PTE_P))
			return fault(ret_walk, code);
		if (entry_reserved(entry, level, nxe, hw->maxphyaddr))
			return fault(ret_walk, code | PF_P | PF_RSVD);
		rights_narrow(&ret_walk->rights, entry);
		if (entry_is_leaf(entry, level))
			break;
		table = entry & ENTRY_ADDRESS;
	}
	if (!rights_allow(ret_walk->rights, write, fetch, user, wp))
		return fault(ret_walk, code | PF_P);

	ret_walk->leaf = level;
	for (unsigned l = LEVELS; l >= level; l--)
		set_bits(vmm, hw, gpa[l - 1], ret_walk->entry[l - 1],
			 PTE_A | (l == level && write ? PTE_D : 0), l);
	ret_walk->dirty = write || (ret_walk->entry[level - 1] & PTE_D);
	mask = level == 2 ? (1ull << 21) - 1 : PAGE_MASK;
	ret_walk->gpa = (ret_walk->entry[level - 1] & ENTRY_ADDRESS & ~mask) | (gva & mask);
	return true;
}
