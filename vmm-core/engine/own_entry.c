/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's own entry for an address, and the address by which the guest can read it. */
#include <errno.h>
#include <stdlib.h>

#include "engine/own_entry.h"

#define NR_PDPTES 4

/* Where the walk of @gva begins; false: nowhere. */
static bool root_of(const struct hw *hw, uint64_t gva, uint64_t *ret_table)
{
	uint64_t pdpte = hw->guest_pdpte[gva >> SHIFT_1G & (NR_PDPTES - 1)];

	if (hw->guest_rules.format == FORMAT_PAE) {
		*ret_table = pdpte & ENTRY_ADDRESS;
		return pdpte & PTE_P;
	}
	*ret_table = hw->guest.cr3 & ENTRY_ADDRESS;
	return hw->guest_rules.format != FORMAT_UNPAGED;
}

/* As the guest's walk would find it: all ones where nobody answers. */
static uint64_t read_entry(const struct vmm *vmm, uint64_t gpa, unsigned size)
{
	uint64_t entry = 0;

	if (memory_read(vmm->memory, gpa, &entry, size) < 0)
		return size == sizeof(uint32_t) ? UINT32_MAX : UINT64_MAX;
	return entry;
}

bool own_entry_find(struct vmm *vmm, struct hw *hw, uint64_t gva, struct umbra_leaf *ret_leaf)
{
	const struct paging_rules *rules = &hw->guest_rules;
	unsigned size = entry_size(rules->index_bits), level = rules->levels;
	struct memory *memory = vmm->memory;
	uint64_t table, gpa, entry;
	bool walks;

	if (!root_of(hw, gva, &table))
		return false;
	for (;; level--) {
		gpa = table + table_index(rules->index_bits, gva, level) * size;
		entry = read_entry(vmm, gpa, size);
		walks = (entry & PTE_P) && !entry_reserved(rules, entry, level);
		if (!walks || entry_is_leaf(rules, entry, level))
			break;
		table = entry & ENTRY_ADDRESS;
	}
	ret_leaf->step = (struct umbra_step){
		.kind = UMBRA_STEP_SOFTWARE,
		.table = UMBRA_TABLE_GUEST,
		.level = level,
		.index = table_index(rules->index_bits, gva, level),
		.gpa = gpa,
		.entry = entry,
	};
	if (memory_is_ram(memory, gpa) && memory->frame_of[gpa / PAGE_SIZE] != FRAME_NONE)
		ret_leaf->step.hpa =
			(uint64_t)memory->frame_of[gpa / PAGE_SIZE] * PAGE_SIZE + (gpa & PAGE_MASK);
	ret_leaf->maps = walks ? leaf_address(rules, entry, level) : UINT64_MAX;
	return true;
}

/* --- the search --------------------------------------------------------------------------- */

struct search {
	struct vmm *vmm;
	const struct paging_rules *rules;
	uint64_t target; /* GPA */
	uint64_t found;  /* GVA, without the sign */
	/*
	 * [level - 1]: a bit for each guest page that was searched as a table of that level. What
	 * it leads to is the same on every path, and the first path is the lowest.
	 */
	uint8_t *searched[MAX_LEVELS];
};

/* @gva: of what the table's first entry maps. */
static bool search_table(struct search *search, uint64_t table, unsigned level, uint64_t gva)
{
	const struct paging_rules *rules = search->rules;
	unsigned size = entry_size(rules->index_bits);
	unsigned shift = level_shift(rules->index_bits, level);
	uint64_t gfn = table / PAGE_SIZE;
	uint8_t bit = 1u << gfn % 8;

	/* Beyond RAM there are no tables. */
	if (!memory_is_ram(search->vmm->memory, table) ||
	    (search->searched[level - 1][gfn / 8] & bit))
		return false;
	search->searched[level - 1][gfn / 8] |= bit;
	for (unsigned index = 0; index < 1u << rules->index_bits; index++) {
		uint64_t entry = read_entry(search->vmm, table + index * size, size);
		uint64_t at = gva | (uint64_t)index << shift, page;

		if (!(entry & PTE_P) || entry_reserved(rules, entry, level))
			continue;
		if (!entry_is_leaf(rules, entry, level)) {
			if (search_table(search, entry & ENTRY_ADDRESS, level - 1, at))
				return true;
			continue;
		}
		page = leaf_address(rules, entry, level);
		if (search->target - page < 1ull << shift) {
			search->found = at + search->target - page;
			return true;
		}
	}
	return false;
}

int own_entry_address(struct vmm *vmm, struct hw *hw, uint64_t gpa, uint64_t *ret_gva)
{
	const struct paging_rules *rules = &hw->guest_rules;
	struct search search = {.vmm = vmm, .rules = rules, .target = gpa};
	unsigned roots = rules->format == FORMAT_PAE ? NR_PDPTES : 1;
	/* 32 bits, or 48 or 57 of which the highest one is repeated (SDM 1 3.3.7.1). */
	unsigned unused = rules->levels > 2 ? 64 - level_shift(9, rules->levels + 1) : 0;
	int error = 0;

	for (unsigned level = 0; level < rules->levels; level++) {
		search.searched[level] = calloc(vmm->memory->size / PAGE_SIZE / 8 + 1, 1);
		if (!search.searched[level])
			error = -ENOMEM;
	}
	if (!error)
		error = -ENOENT;
	for (unsigned i = 0; i < roots && error == -ENOENT; i++) {
		uint64_t gva = (uint64_t)i << SHIFT_1G, table;

		if (root_of(hw, gva, &table) && search_table(&search, table, rules->levels, gva))
			error = 0;
	}
	for (unsigned level = 0; level < rules->levels; level++)
		free(search.searched[level]);
	if (!error)
		*ret_gva = (uint64_t)((int64_t)(search.found << unused) >> unused);
	return error;
}
