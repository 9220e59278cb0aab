/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's tables in software: what a shadow fill reads, and how a fault is found to be the
 * guest's own. */
#include "paging/vmm.h"

static uint64_t read_entry(const struct vmm *vmm, uint64_t gpa, unsigned size)
{
	size_t span;
	const void *host = memory_span_read(vmm->memory, gpa, size, &span);

	if (!host) /* nobody answers there */
		return size == sizeof(uint32_t) ? UINT32_MAX : UINT64_MAX;
	return size == sizeof(uint32_t) ? *(const uint32_t *)host : *(const uint64_t *)host;
}

static void set_bits(struct vmm *vmm, struct hw *hw, uint64_t gpa, uint64_t entry, uint64_t bits,
		     unsigned level, unsigned index)
{
	size_t span;
	uint8_t *host;

	if ((entry & bits) == bits)
		return;
	/* An entry beyond RAM has all bits set and never comes here. */
	host = memory_span_write(vmm->memory, gpa, 1, &span);
	*host |= bits;                 /* both lie in the first byte */
	hw_attention_all(vmm->memory); /* code may lie there too */
	vmm_trace(hw, UMBRA_TABLE_GUEST, level, index, true, gpa,
		  frames_hpa(&vmm->memory->frames, host), entry | bits);
}

static uint64_t entry_hpa(const struct vmm *vmm, uint64_t gpa)
{
	const struct memory *memory = vmm->memory;

	if (!memory_is_ram(memory, gpa) || memory->frame_of[gpa / PAGE_SIZE] == FRAME_NONE)
		return 0;
	return (uint64_t)memory->frame_of[gpa / PAGE_SIZE] * PAGE_SIZE + (gpa & PAGE_MASK);
}

static bool fault(struct guest_walk *walk, uint32_t code)
{
	walk->error_code = code;
	return false;
}

bool guest_look(const struct vmm *vmm, const struct hw *hw, uint64_t gva, enum hw_access access,
		enum hw_privilege privilege, struct guest_walk *ret_walk)
{
	const struct paging_rules *rules = &hw->guest_rules;
	uint64_t table = hw->guest.cr3 & ENTRY_ADDRESS, entry;
	unsigned level = rules->levels, size = entry_size(rules->index_bits);
	uint32_t code = fault_code(rules, access, privilege);
	struct rights *rights = &ret_walk->rights;
	bool write = access == HW_WRITE, denied;

	*rights = RIGHTS_ALL;
	ret_walk->leaf = level + 1;
	if (rules->format == FORMAT_PAE) {
		table = hw->guest_pdpte[gva >> 30 & 3];
		if (!(table & PTE_P))
			return fault(ret_walk, code);
		table &= ENTRY_ADDRESS;
	}
	for (;; level--) {
		unsigned index = table_index(rules->index_bits, gva, level);
		uint64_t gpa = table + index * size;

		entry = read_entry(vmm, gpa, size);
		vmm_trace(hw, UMBRA_TABLE_GUEST, level, index, false, gpa, entry_hpa(vmm, gpa),
			  entry);
		ret_walk->leaf = level;
		ret_walk->entry[level - 1] = entry;
		ret_walk->entry_gpa[level - 1] = gpa;
		ret_walk->table_gfn[level - 1] = table / PAGE_SIZE;
		ret_walk->above[level - 1] = *rights;
		if (!(entry & PTE_P))
			return fault(ret_walk, code);
		if (entry_reserved(rules, entry, level))
			return fault(ret_walk, code | PF_P | PF_RSVD);
		rights_narrow(rights, entry);
		if (entry_is_leaf(rules, entry, level))
			break;
		table = entry & ENTRY_ADDRESS;
	}
	rights->key = entry_key(entry);
	denied = !rights_allow(rules, *rights, access, privilege);
	if (key_denies(rules, hw->guest.pkru, *rights, access, privilege)) {
		denied = true;
		code |= PF_PK;
	}
	if (denied)
		return fault(ret_walk, code | PF_P);

	ret_walk->dirty = write || (entry & PTE_D);
	ret_walk->gpa = leaf_address(rules, entry, level) |
			(gva & ((1ull << level_shift(rules->index_bits, level)) - 1));
	return true;
}

bool guest_walk(struct vmm *vmm, struct hw *hw, uint64_t gva, enum hw_access access,
		enum hw_privilege privilege, struct guest_walk *ret_walk)
{
	const struct paging_rules *rules = &hw->guest_rules;
	unsigned leaf;

	if (!guest_look(vmm, hw, gva, access, privilege, ret_walk))
		return false;
	leaf = ret_walk->leaf;
	for (unsigned level = rules->levels; level >= leaf; level--)
		set_bits(vmm, hw, ret_walk->entry_gpa[level - 1], ret_walk->entry[level - 1],
			 PTE_A | (level == leaf && access == HW_WRITE ? PTE_D : 0), level,
			 table_index(rules->index_bits, gva, level));
	return true;
}
