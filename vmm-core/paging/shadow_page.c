/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "paging/shadow.h"

/* A list up to this long is kept as it is. */
#define KEPT_CAPACITY 16

int ref_list_add(struct ref_list *list, uint32_t ref)
{
	if (list->count == list->capacity) {
		uint32_t capacity = list->capacity ? list->capacity * 2 : 2;
		uint32_t *grown = realloc(list->ref, capacity * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		list->ref = grown;
		list->capacity = capacity;
	}
	list->ref[list->count++] = ref;
	return 0;
}

static void list_empty(struct ref_list *list)
{
	list->count = 0;
	if (list->capacity <= KEPT_CAPACITY)
		return;
	free(list->ref);
	*list = (struct ref_list){0};
}

/* Adds the reference of an entry, which remembers where it stands. */
static int list_enter(struct shadow *shadow, struct ref_list *list, uint32_t page, unsigned index)
{
	int error = ref_list_add(list, SPTE_REF(page, index));

	if (!error)
		shadow->page[page].place[index] = list->count - 1;
	return error;
}

/* A guest can map one page by every entry that there is: takes the reference out without a search.
 */
static void list_leave(struct shadow *shadow, struct ref_list *list, uint32_t page, unsigned index)
{
	uint32_t place = shadow->page[page].place[index], last = list->ref[--list->count];

	list->ref[place] = last;
	shadow->page[SPTE_REF_PAGE(last)].place[SPTE_REF_INDEX(last)] = place;
	/* ... and then another page: lists give back what they do not need any more. */
	if (list->capacity > KEPT_CAPACITY && list->count < list->capacity / 4) {
		uint32_t *shrunk = realloc(list->ref, list->capacity / 2 * sizeof(*shrunk));

		if (!shrunk)
			return;
		list->ref = shrunk;
		list->capacity /= 2;
	}
}

int shadow_create(struct vmm *vmm, struct shadow **ret_shadow)
{
	uint32_t guest_pages = vmm->memory->size / PAGE_SIZE;
	struct shadow *shadow = calloc(1, sizeof(*shadow));

	if (!shadow)
		return -ENOMEM;
	shadow->vmm = vmm;
	shadow->hw = vmm->hw[0];
	shadow->max_pages = memory_shadow_limit(vmm->memory->size);
	shadow->page = calloc(shadow->max_pages, sizeof(*shadow->page));
	shadow->shadowed = calloc(guest_pages, sizeof(*shadow->shadowed));
	shadow->rmap = calloc(guest_pages, sizeof(*shadow->rmap));
	if (!shadow->page || !shadow->shadowed || !shadow->rmap) {
		shadow_destroy(shadow);
		return -ENOMEM;
	}
	memset(shadow->bucket, 0xff, sizeof(shadow->bucket));
	shadow->root = shadow->free_page = PARENT_NONE;
	for (uint32_t number = shadow->max_pages; number-- > 0;) {
		shadow->page[number].next = shadow->free_page;
		shadow->free_page = number;
	}
	*ret_shadow = shadow;
	return 0;
}

void shadow_destroy(struct shadow *shadow)
{
	if (!shadow)
		return;
	for (uint32_t i = 0; shadow->page && i < shadow->max_pages; i++)
		free(shadow->page[i].parents.ref);
	for (uint64_t i = 0; shadow->rmap && i < shadow->vmm->memory->size / PAGE_SIZE; i++)
		free(shadow->rmap[i].ref);
	free(shadow->unsync.ref);
	free(shadow->page);
	free(shadow->shadowed);
	free(shadow->rmap);
	free(shadow);
}

static bool rights_equal(struct rights a, struct rights b)
{
	return a.write == b.write && a.user == b.user && a.execute == b.execute && a.key == b.key;
}

static bool role_equal(const struct shadow_role *a, const struct shadow_role *b)
{
	return a->level == b->level && a->format == b->format && a->direct == b->direct &&
	       a->dirty == b->dirty && a->wp == b->wp && a->nxe == b->nxe && a->smep == b->smep &&
	       a->smap == b->smap && a->pku == b->pku && rights_equal(a->above, b->above);
}

static uint32_t *bucket_of(struct shadow *shadow, uint64_t gfn)
{
	return &shadow->bucket[(gfn ^ gfn >> 12) % HASH_SIZE];
}

static uint32_t next_behind(struct shadow *shadow, uint32_t number, uint64_t gfn)
{
	while (number != PARENT_NONE &&
	       (shadow->page[number].gfn != gfn || shadow->page[number].role.direct))
		number = shadow->page[number].next;
	return number;
}

uint32_t shadow_first_of(struct shadow *shadow, uint64_t gfn)
{
	return next_behind(shadow, *bucket_of(shadow, gfn), gfn);
}

uint32_t shadow_next_of(struct shadow *shadow, uint32_t page)
{
	return next_behind(shadow, shadow->page[page].next, shadow->page[page].gfn);
}

static bool is_ram_page(const struct shadow *shadow, uint64_t gfn)
{
	return gfn < shadow->vmm->memory->size / PAGE_SIZE;
}

uint32_t shadow_page_get(struct shadow *shadow, uint64_t gfn, const struct shadow_role *role)
{
	uint32_t *bucket = bucket_of(shadow, gfn);
	struct shadow_page *page;
	uint32_t number;
	uint64_t hpa;

	for (number = *bucket; number != PARENT_NONE; number = shadow->page[number].next) {
		page = &shadow->page[number];
		if (page->gfn == gfn && role_equal(&page->role, role))
			return number;
	}
	number = shadow->free_page;
	if (number == PARENT_NONE)
		return PARENT_NONE;
	hpa = memory_table_alloc(shadow->vmm->memory);
	if (hpa == UINT64_MAX)
		return PARENT_NONE;

	page = &shadow->page[number];
	shadow->free_page = page->next;
	page->role = *role;
	page->gfn = gfn;
	page->used = true;
	page->unsync = false;
	page->writes = 0;
	page->hpa = hpa;
	page->entry = frames_host(&shadow->vmm->memory->frames, hpa);
	memset(page->filled, 0, sizeof(page->filled));
	page->next = *bucket;
	*bucket = number;
	shadow->nr_pages++;
	shadow->hw->public.counters.shadow_pages[0] = shadow->nr_pages;
	if (!role->direct && is_ram_page(shadow, gfn)) {
		/* From now on the guest's table must not change unseen. */
		shadow->shadowed[gfn]++;
		shadow_sync_gfn(shadow, gfn);
		shadow_write_protect(shadow, gfn);
	}
	return number;
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

bool shadow_entry_drop(struct shadow *shadow, uint32_t page, unsigned index)
{
	uint64_t *entry = &shadow->page[page].entry[index];
	uint64_t value = *entry;

	if (!(value & PTE_P))
		return false;
	*entry = 0;
	if (shadow->page[page].role.level == 1) {
		uint64_t gfn = shadow_leaf_gfn(shadow, value);

		if (gfn != GFN_NONE)
			list_leave(shadow, &shadow->rmap[gfn], page, index);
	} else {
		uint32_t child = shadow_child(shadow, value);

		list_leave(shadow, &shadow->page[child].parents, page, index);
	}
	shadow->hw->public.counters.shadow_zaps[0]++;
	return true;
}

void shadow_entry_set_leaf(struct shadow *shadow, uint32_t page, unsigned index, uint64_t value)
{
	uint64_t *entry = &shadow->page[page].entry[index];
	uint64_t gfn = shadow_leaf_gfn(shadow, value);

	if ((*entry & PTE_P) && (*entry & ENTRY_ADDRESS) == (value & ENTRY_ADDRESS)) {
		*entry = value;
		return;
	}
	shadow_entry_drop(shadow, page, index);
	if (gfn != GFN_NONE && list_enter(shadow, &shadow->rmap[gfn], page, index) < 0) {
		hw_fail(shadow->hw, "out of memory for reverse maps");
		return;
	}
	*entry = value;
}

void shadow_entry_set_table(struct shadow *shadow, uint32_t page, unsigned index, uint32_t child)
{
	struct shadow_page *to = &shadow->page[child];

	shadow_entry_drop(shadow, page, index);
	if (list_enter(shadow, &to->parents, page, index) < 0) {
		hw_fail(shadow->hw, "out of memory for parents of a shadow page");
		return;
	}
	shadow->vmm->memory->page_of[to->hpa / PAGE_SIZE] = child;
	/* Rights are decided in the leaf; the role keeps pages of different paths apart. */
	shadow->page[page].entry[index] = to->hpa | PTE_P | PTE_W | PTE_U | PTE_A;
}

/* Gives back a page that nothing points at and that maps nothing. */
static void release(struct shadow *shadow, uint32_t number)
{
	struct shadow_page *page = &shadow->page[number];

	if (!page->role.direct && is_ram_page(shadow, page->gfn))
		shadow->shadowed[page->gfn]--;
	shadow->vmm->memory->page_of[page->hpa / PAGE_SIZE] = GFN_NONE;
	memory_table_free(shadow->vmm->memory, page->hpa);
	page->used = false;
	page->unsync = false;
	page->next = shadow->free_page;
	shadow->free_page = number;
	shadow->nr_pages--;
	shadow->hw->public.counters.shadow_pages[0] = shadow->nr_pages;
}

void shadow_page_drop(struct shadow *shadow, uint32_t number)
{
	struct shadow_page *page = &shadow->page[number];
	uint32_t *link = bucket_of(shadow, page->gfn);

	while (page->parents.count) {
		uint32_t ref = page->parents.ref[page->parents.count - 1];

		shadow_entry_drop(shadow, SPTE_REF_PAGE(ref), SPTE_REF_INDEX(ref));
	}
	for (unsigned index = 0; index < ENTRIES; index++)
		shadow_entry_drop(shadow, number, index);
	while (*link != number)
		link = &shadow->page[*link].next;
	*link = page->next;
	release(shadow, number);
}

uint64_t shadow_drop_all(struct shadow *shadow)
{
	uint64_t dropped = shadow->nr_pages, zaps = 0;

	/* All lists become empty: nothing has to be looked for in them. */
	for (uint32_t number = 0; number < shadow->max_pages; number++) {
		struct shadow_page *page = &shadow->page[number];

		page->listed = false;
		if (!page->used)
			continue;
		zaps += page->parents.count;
		list_empty(&page->parents);
		for (unsigned index = 0; index < ENTRIES && page->role.level == 1; index++) {
			uint64_t gfn;

			if (!(page->entry[index] & PTE_P))
				continue;
			zaps++;
			gfn = shadow_leaf_gfn(shadow, page->entry[index]);
			if (gfn != GFN_NONE)
				list_empty(&shadow->rmap[gfn]);
		}
		release(shadow, number);
	}
	memset(shadow->bucket, 0xff, sizeof(shadow->bucket));
	shadow->hw->public.counters.shadow_zaps[0] += zaps;
	shadow->unsync.count = 0;
	shadow->root = PARENT_NONE;
	return dropped;
}

void shadow_write_protect(struct shadow *shadow, uint64_t gfn)
{
	struct ref_list *refs = &shadow->rmap[gfn];
	bool flush = false;

	for (uint32_t i = 0; i < refs->count; i++) {
		uint64_t *entry = &shadow->page[SPTE_REF_PAGE(refs->ref[i])]
					   .entry[SPTE_REF_INDEX(refs->ref[i])];

		flush |= !!(*entry & PTE_W);
		*entry &= ~PTE_W;
	}
	/* A writable translation may be left in the TLB. */
	if (flush)
		hw_flush(shadow->hw);
}
