/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of shadow pages: found by (guest page, role), made, given up when they are too many. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "paging/shadow.h"

/* New pages of one exit: a path, or the roots of one vCPU. */
#define ROOM_NEEDED 8
/* Given up at a time, so that not every exit has to flush for it. */
#define ROOM_MADE 32

static uint32_t guest_pages(const struct shadow *shadow)
{
	return shadow->vmm->memory->size / PAGE_SIZE;
}

static void empty_tables(struct shadow *shadow)
{
	memset(shadow->bucket, 0xff, sizeof(shadow->bucket));
	memset(shadow->root, 0xff, sizeof(shadow->root));
	for (unsigned i = 0; i < MEMORY_MAX_HW; i++) {
		shadow->root[i].level = 0;
		shadow->root[i].rules_set = false;
	}
}

int shadow_create(struct vmm *vmm)
{
	uint32_t pages = vmm->memory->size / PAGE_SIZE;
	struct shadow *shadow;
	bool failed = false;

	if (vmm->shadow)
		return 0;
	shadow = calloc(1, sizeof(*shadow));
	if (!shadow)
		return -ENOMEM;
	shadow->vmm = vmm;
	shadow->hw = vmm->hw[0];
	shadow->max_pages = memory_shadow_limit(vmm->memory->size);
	shadow->page = calloc(shadow->max_pages, sizeof(*shadow->page));
	shadow->place = calloc(shadow->max_pages, sizeof(*shadow->place));
	shadow->shadowed = calloc(pages, sizeof(*shadow->shadowed));
	shadow->rmap = calloc(pages, sizeof(*shadow->rmap));
	for (unsigned i = 0; i < LARGE_SIZES; i++) {
		uint32_t count = (pages >> 9 * (i + 1)) + 1;

		shadow->inside[i] = calloc(count, sizeof(*shadow->inside[i]));
		shadow->large_rmap[i] = calloc(count, sizeof(*shadow->large_rmap[i]));
		failed |= !shadow->inside[i] || !shadow->large_rmap[i];
	}
	if (failed || !shadow->page || !shadow->place || !shadow->shadowed || !shadow->rmap) {
		shadow_destroy(shadow);
		return -ENOMEM;
	}
	for (int format = FORMAT_UNPAGED; format <= FORMAT_5_LEVEL; format++) {
		for (int nxe = 0; nxe < 2; nxe++) {
			const struct hw_paging paging = {
				.cr0 = format == FORMAT_UNPAGED ? 0 : CR0_PG,
				.cr4 = (format >= FORMAT_PAE ? CR4_PAE : 0) |
				       (format == FORMAT_5_LEVEL ? CR4_LA57 : 0),
				.efer = (nxe ? EFER_NXE : 0) |
					(format >= FORMAT_4_LEVEL ? EFER_LMA : 0),
			};
			struct paging_rules rules;

			paging_rules_of(&paging, shadow->hw->maxphyaddr, &rules);
			shadow->leaf_reserved[format][nxe] = rules.reserved[1][true];
		}
	}
	shadow->generation = 1;
	empty_tables(shadow);
	shadow->free_page = PAGE_NONE;
	for (uint32_t number = shadow->max_pages; number-- > 0;) {
		shadow->page[number].next = shadow->free_page;
		shadow->free_page = number;
	}
	vmm->shadow = shadow;
	return 0;
}

void shadow_destroy(struct shadow *shadow)
{
	if (!shadow)
		return;
	for (uint32_t i = 0; shadow->page && i < shadow->max_pages; i++)
		ref_list_free(&shadow->page[i].parents);
	for (uint32_t i = 0; shadow->rmap && i < guest_pages(shadow); i++)
		ref_list_free(&shadow->rmap[i]);
	for (unsigned size = 0; size < LARGE_SIZES; size++) {
		for (uint32_t i = 0;
		     shadow->large_rmap[size] && i <= guest_pages(shadow) >> 9 * (size + 1); i++)
			ref_list_free(&shadow->large_rmap[size][i]);
		free(shadow->large_rmap[size]);
		free(shadow->inside[size]);
	}
	brute_destroy(shadow->brute);
	brute_destroy(shadow->idle_brute);
	ref_list_free(&shadow->unsync);
	ref_list_free(&shadow->long_lists);
	free(shadow->page);
	free(shadow->place);
	free(shadow->shadowed);
	free(shadow->rmap);
	free(shadow);
}

static unsigned bucket_of(uint64_t gfn)
{
	return (gfn ^ gfn >> 12) % HASH_SIZE;
}

static uint32_t next_behind(const struct shadow *shadow, uint32_t number, uint64_t gfn)
{
	while (number != PAGE_NONE &&
	       (shadow->page[number].gfn != gfn || shadow->page[number].role.direct))
		number = shadow->page[number].next;
	return number;
}

uint32_t shadow_first_of(const struct shadow *shadow, uint64_t gfn)
{
	return next_behind(shadow, shadow->bucket[bucket_of(gfn)], gfn);
}

uint32_t shadow_next_of(const struct shadow *shadow, uint32_t page)
{
	return next_behind(shadow, shadow->page[page].next, shadow->page[page].gfn);
}

/* A gauge of the guest, summed over its vCPUs: one has it. */
static void count_pages(struct shadow *shadow, int by)
{
	shadow->nr_pages += by;
	shadow->vmm->hw[0]->public.counters.shadow_pages[0] = shadow->nr_pages;
}

static bool shadows_ram(const struct shadow *shadow, const struct shadow_page *page)
{
	return !page->role.direct && page->gfn < guest_pages(shadow);
}

uint32_t shadow_page_get(struct shadow *shadow, uint64_t gfn, const struct shadow_role *role)
{
	uint32_t *bucket = &shadow->bucket[bucket_of(gfn)];
	struct shadow_page *page;
	uint32_t number;
	uint64_t hpa;

	for (number = *bucket; number != PAGE_NONE; number = page->next) {
		page = &shadow->page[number];
		if (page->gfn == gfn && !memcmp(&page->role, role, sizeof(*role)))
			return number;
	}
	number = shadow->free_page;
	hpa = number == PAGE_NONE ? UINT64_MAX : memory_table_alloc(shadow->vmm->memory);
	if (hpa == UINT64_MAX)
		return PAGE_NONE;

	page = &shadow->page[number];
	shadow->free_page = page->next;
	page->role = *role;
	page->gfn = gfn;
	page->used = page->recent = true;
	page->unsync = false;
	page->writes = page->pins = 0;
	page->parents.count = 0;
	page->parents.generation = shadow->generation;
	page->hpa = hpa;
	page->entry = frames_host(&shadow->vmm->memory->frames, hpa);
	memset(page->filled, 0, sizeof(page->filled));
	page->next = *bucket;
	*bucket = number;
	count_pages(shadow, 1);
	if (shadows_ram(shadow, page)) {
		/* From now on the guest's table must not change unseen. */
		if (!shadow->shadowed[gfn]++)
			shadow_count_table(shadow, gfn, 1);
		shadow_sync_gfn(shadow, gfn);
		if (shadow->brute)
			shadow_unmap(shadow, gfn);
		else
			shadow_write_protect(shadow, gfn);
	}
	return number;
}

/* Gives back a page that nothing points at and that maps nothing. */
static void release(struct shadow *shadow, uint32_t number)
{
	struct shadow_page *page = &shadow->page[number];

	if (shadows_ram(shadow, page) && !--shadow->shadowed[page->gfn])
		shadow_count_table(shadow, page->gfn, -1);
	shadow->vmm->memory->page_of[page->hpa / PAGE_SIZE] = GFN_NONE;
	memory_table_free(shadow->vmm->memory, page->hpa);
	page->used = page->unsync = false;
	ref_list_shrink(&page->parents);
	page->next = shadow->free_page;
	shadow->free_page = number;
	count_pages(shadow, -1);
}

void shadow_page_drop(struct shadow *shadow, uint32_t number)
{
	struct shadow_page *page = &shadow->page[number];
	uint32_t *link = &shadow->bucket[bucket_of(page->gfn)];

	while (page->parents.count) {
		uint32_t ref = ref_list_at(&page->parents, page->parents.count - 1);

		shadow_entry_drop(shadow, SPTE_REF_PAGE(ref), SPTE_REF_INDEX(ref));
	}
	for (unsigned index = 0; index < ENTRIES; index++)
		shadow_entry_drop(shadow, number, index);
	while (*link != number)
		link = &shadow->page[*link].next;
	*link = page->next;
	release(shadow, number);
	/* Walk caches may lead to it. */
	shadow->flush_due = true;
}

uint64_t shadow_drop_all(struct shadow *shadow)
{
	uint64_t dropped = shadow->nr_pages;

	for (uint32_t number = 0; shadow->nr_pages; number++) {
		struct shadow_page *page = &shadow->page[number];

		if (!page->used)
			continue;
		page->pins = 0;
		release(shadow, number);
	}
	for (uint32_t i = 0; i < shadow->unsync.count; i++)
		shadow->page[ref_list_at(&shadow->unsync, i)].listed = false;
	shadow->unsync.count = 0;
	shadow_entry_forget_all(shadow);
	empty_tables(shadow);
	shadow->hw->public.counters.shadow_zaps[0] += shadow->nr_entries;
	shadow->nr_entries = 0;
	return dropped;
}

static bool has_room(const struct shadow *shadow, uint32_t pages)
{
	const struct memory *memory = shadow->vmm->memory;

	return shadow->nr_pages + pages <= shadow->max_pages &&
	       memory->tables + pages <= memory->max_tables;
}

int shadow_make_room(struct shadow *shadow)
{
	struct memory *memory = shadow->vmm->memory;
	uint64_t looks = 2 * (uint64_t)shadow->max_pages;

	if (has_room(shadow, ROOM_NEEDED))
		return 0;
	/* EPT tables are kept over a switch, but not at this mode's expense. */
	if (memory->tables + ROOM_NEEDED > memory->max_tables &&
	    shadow->vmm->ept_root != UINT64_MAX)
		ept_free(shadow->vmm);
	/* The second chance: a page goes when no fill came by since the hand last did. */
	while (!has_room(shadow, ROOM_MADE) && looks--) {
		struct shadow_page *page = &shadow->page[shadow->hand];

		if (page->used && !page->pins && !page->recent) {
			shadow_page_drop(shadow, shadow->hand);
			hw_charge_exit(shadow->hw, shadow->hw->cost.shadow_teardown);
			shadow->hw->public.counters.shadow_reclaims[0]++;
		}
		page->recent = false;
		shadow->hand = (shadow->hand + 1) % shadow->max_pages;
	}
	return has_room(shadow, ROOM_NEEDED) ? 0 : -ENOMEM;
}

void shadow_flush_if_due(struct shadow *shadow)
{
	struct vmm *vmm = shadow->vmm;

	if (!shadow->flush_due)
		return;
	shadow->flush_due = shadow->stale = false;
	for (unsigned i = 0; i < vmm->nr_hw; i++) {
		hw_flush(vmm->hw[i]);
		if (i == shadow->cpu)
			continue;
		hw_charge_exit(shadow->hw, shadow->hw->cost.remote_flush);
		shadow->hw->public.counters.shadow_remote_flushes[0]++;
	}
}
