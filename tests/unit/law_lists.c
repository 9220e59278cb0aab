/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way back of shadow pages: that its lists say what the entries say. */
#include "law_world.h"
#include "paging/shadow.h"

static uint64_t length(const struct shadow *shadow, const struct ref_list *list)
{
	return list->generation == shadow->generation ? list->count : 0;
}

/* Each shadow entry's reference is in the list of what it points at, and nothing else is there. */
void law_check_lists(const struct shadow *shadow)
{
	uint64_t references = 0, entries = 0;

	for (uint64_t gfn = 0; gfn < RAM_SIZE / PAGE_SIZE; gfn++)
		references += length(shadow, &shadow->rmap[gfn]);
	for (unsigned size = 0; size < LARGE_SIZES; size++)
		for (uint64_t at = 0; at <= (RAM_SIZE - 1) >> (SHIFT_2M + 9 * size); at++)
			references += length(shadow, &shadow->large_rmap[size][at]);
	for (uint32_t number = 0; number < shadow->max_pages; number++) {
		const struct shadow_page *page = &shadow->page[number];
		unsigned level = page->role.level;

		references += page->used ? page->parents.count : 0;
		for (unsigned index = 0; page->used && index < ENTRIES; index++) {
			const struct ref_list *list;
			uint32_t to;

			if (!(page->entry[index] & PTE_P))
				continue;
			to = shadow_child(shadow, page->entry[index]);
			if (to == GFN_NONE) /* the frame of all ones */
				continue;
			if (!shadow_is_leaf(page, page->entry[index]))
				list = &shadow->page[to].parents;
			else if (level == 1)
				list = &shadow->rmap[to];
			else
				list = &shadow->large_rmap[level - 2][to >> 9 * (level - 1)];
			assert_true(shadow->place[number][index] < list->count);
			assert_int_equal(ref_list_at(list, shadow->place[number][index]),
					 SPTE_REF(number, index));
			entries++;
		}
	}
	assert_int_equal(references, entries);
	assert_true(shadow->unsync.count <= shadow->max_pages);
}
