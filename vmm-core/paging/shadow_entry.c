/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entries of shadow pages and the way back: which entries map a guest page, which point at a shadow
 * page. A list's elements know nothing; each entry knows its place in the list that it is in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "paging/shadow.h"

/* A list with room for this many (a power of 2) is kept as it is. */
#define KEPT_ORDER 4
/* The first that does not lie in the list itself. */
#define FIRST_ORDER 2
/* In long_lists: a level above the number of a guest page. */
#define LEVEL_SHIFT    28
#define MAX_GENERATION ((1u << 26) - 1)

static uint32_t *refs_of(struct ref_list *list)
{
	return list->order ? list->many : list->few;
}

int ref_list_add(struct ref_list *list, uint32_t ref)
{
	if (list->count == (list->order ? 1u << list->order : REFS_INLINE)) {
		unsigned order = list->order ? list->order + 1u : FIRST_ORDER;
		uint32_t *grown = realloc(list->order ? list->many : NULL, sizeof(*grown) << order);

		if (!grown)
			return -ENOMEM;
		if (!list->order)
			memcpy(grown, list->few, sizeof(list->few));
		list->many = grown;
		list->order = order;
	}
	refs_of(list)[list->count++] = ref;
	return 0;
}

void ref_list_free(struct ref_list *list)
{
	if (list->order)
		free(list->many);
}

/* The list as it is in this generation. */
static struct ref_list *current(struct shadow *shadow, struct ref_list *list)
{
	if (list->generation != shadow->generation) {
		list->count = 0;
		list->generation = shadow->generation;
	}
	return list;
}

static struct ref_list *rmap_of(struct shadow *shadow, uint64_t gfn, unsigned level)
{
	return current(shadow, level == 1 ? &shadow->rmap[gfn]
					  : &shadow->large_rmap[level - 2][gfn >> 9 * (level - 1)]);
}

/*
 * What leaves an entry: the list that it was in. A guest can map one page by every entry that there
 * is, so nothing is searched.
 */
static struct ref_list *list_of(struct shadow *shadow, uint32_t page, uint64_t value)
{
	uint32_t gfn;

	if (!shadow_is_leaf(&shadow->page[page], value))
		return &shadow->page[shadow_child(shadow, value)].parents;
	gfn = shadow_leaf_gfn(shadow, value);
	return gfn == GFN_NONE ? NULL : rmap_of(shadow, gfn, shadow->page[page].role.level);
}

static int enter(struct shadow *shadow, struct ref_list *list, uint32_t page, unsigned index)
{
	int error = ref_list_add(list, SPTE_REF(page, index));

	if (!error)
		shadow->place[page][index] = list->count - 1;
	return error;
}

static void leave(struct shadow *shadow, struct ref_list *list, uint32_t page, unsigned index)
{
	uint32_t *refs = refs_of(list);
	uint32_t place = shadow->place[page][index], last = refs[--list->count];

	refs[place] = last;
	shadow->place[SPTE_REF_PAGE(last)][SPTE_REF_INDEX(last)] = place;
	/* A guest can do so with one page after the other: lists give back what they do not need.
	 */
	if (list->order > KEPT_ORDER && list->count < 1u << (list->order - 2)) {
		uint32_t *shrunk = realloc(list->many, sizeof(*shrunk) << (list->order - 1));

		if (!shrunk)
			return;
		list->many = shrunk;
		list->order--;
	}
}

uint32_t shadow_leaf_gfn(const struct shadow *shadow, uint64_t entry)
{
	return shadow->vmm->memory->page_of[(entry & ENTRY_ADDRESS) / PAGE_SIZE];
}

uint32_t shadow_child(const struct shadow *shadow, uint64_t entry)
{
	/* page_of has no guest page for a table's frame: it holds the number of the shadow page. */
	return shadow->vmm->memory->page_of[(entry & ENTRY_ADDRESS) / PAGE_SIZE];
}

void shadow_entry_drop(struct shadow *shadow, uint32_t page, unsigned index)
{
	uint64_t *entry = &shadow->page[page].entry[index], value = *entry;
	struct ref_list *list;

	if (!(value & PTE_P))
		return;
	*entry = 0;
	shadow->nr_entries--;
	if (shadow_is_leaf(&shadow->page[page], value))
		shadow->stale |= shadow->brute || (value & PTE_W);
	list = list_of(shadow, page, value);
	if (list)
		leave(shadow, list, page, index);
	shadow->hw->public.counters.shadow_zaps[0]++;
}

void shadow_entry_set_leaf(struct shadow *shadow, uint32_t page, unsigned index, uint64_t value,
			   uint32_t gfn)
{
	uint64_t *entry = &shadow->page[page].entry[index];
	struct ref_list *list;
	int error;

	if ((*entry & PTE_P) && (*entry & ENTRY_ADDRESS) == (value & ENTRY_ADDRESS)) {
		shadow->stale |= !!(*entry & ~value & PTE_W);
		*entry = value;
		return;
	}
	shadow_entry_drop(shadow, page, index);
	if (gfn != GFN_NONE) {
		list = rmap_of(shadow, gfn, shadow->page[page].role.level);
		error = enter(shadow, list, page, index);
		if (list->order > KEPT_ORDER && !list->listed)
			error |= ref_list_add(
				&shadow->long_lists,
				(uint32_t)shadow->page[page].role.level << LEVEL_SHIFT | gfn);
		list->listed |= list->order > KEPT_ORDER;
		if (error) {
			hw_fail(shadow->hw, "out of memory for reverse maps");
			return;
		}
	}
	*entry = value;
	shadow->nr_entries++;
}

void shadow_entry_set_table(struct shadow *shadow, uint32_t page, unsigned index, uint32_t child)
{
	struct shadow_page *to = &shadow->page[child];

	shadow_entry_drop(shadow, page, index);
	if (enter(shadow, &to->parents, page, index) < 0) {
		hw_fail(shadow->hw, "out of memory for parents of a shadow page");
		return;
	}
	shadow->vmm->memory->page_of[to->hpa / PAGE_SIZE] = child;
	/* Rights are decided in the leaf; the role keeps pages of different paths apart. */
	shadow->page[page].entry[index] = to->hpa | PTE_P | PTE_W | PTE_U | PTE_A;
	shadow->nr_entries++;
}

/* Takes out what a list holds. */
static void drop_list(struct shadow *shadow, struct ref_list *list)
{
	while (list->count) {
		uint32_t ref = ref_list_at(list, list->count - 1);

		shadow_entry_drop(shadow, SPTE_REF_PAGE(ref), SPTE_REF_INDEX(ref));
	}
}

static void drop_large(struct shadow *shadow, uint64_t gfn)
{
	for (unsigned level = 2; level < 2 + LARGE_SIZES; level++)
		drop_list(shadow, rmap_of(shadow, gfn, level));
}

void shadow_write_protect(struct shadow *shadow, uint64_t gfn)
{
	struct ref_list *refs = rmap_of(shadow, gfn, 1);

	drop_large(shadow, gfn);
	for (uint32_t i = 0; i < refs->count; i++) {
		uint32_t ref = ref_list_at(refs, i);
		uint64_t *entry = &shadow->page[SPTE_REF_PAGE(ref)].entry[SPTE_REF_INDEX(ref)];

		shadow->stale |= !!(*entry & PTE_W);
		*entry &= ~PTE_W;
	}
	shadow->flush_due |= shadow->stale;
}

void shadow_unmap(struct shadow *shadow, uint64_t gfn)
{
	drop_large(shadow, gfn);
	drop_list(shadow, rmap_of(shadow, gfn, 1));
	shadow->flush_due |= shadow->stale;
}

void shadow_count_table(struct shadow *shadow, uint64_t gfn, int by)
{
	for (unsigned size = 0; size < LARGE_SIZES; size++)
		shadow->inside[size][gfn >> 9 * (size + 1)] += by;
}

void ref_list_shrink(struct ref_list *list)
{
	if (list->order > KEPT_ORDER) {
		free(list->many);
		*list = (struct ref_list){.generation = list->generation};
	}
	list->listed = 0;
}

void shadow_entry_forget_all(struct shadow *shadow)
{
	uint32_t pages = shadow->vmm->memory->size / PAGE_SIZE;

	for (uint32_t i = 0; i < shadow->long_lists.count; i++) {
		uint32_t ref = ref_list_at(&shadow->long_lists, i);
		uint32_t gfn = ref & ((1u << LEVEL_SHIFT) - 1);

		ref_list_shrink(rmap_of(shadow, gfn, ref >> LEVEL_SHIFT));
	}
	shadow->long_lists.count = 0;
	ref_list_shrink(&shadow->long_lists);
	if (shadow->generation++ < MAX_GENERATION)
		return;
	/* The numbers of generations are used up: no list may look like one of the first. */
	shadow->generation = 1;
	for (uint32_t gfn = 0; gfn < pages; gfn++)
		shadow->rmap[gfn].generation = 0;
	for (unsigned size = 0; size < LARGE_SIZES; size++)
		for (uint32_t i = 0; i <= pages >> 9 * (size + 1); i++)
			shadow->large_rmap[size][i].generation = 0;
}
