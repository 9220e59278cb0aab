/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeping shadow pages true. Guest tables are write-protected; a leaf table may go out of sync at
 * its first write and is repaired where the architecture lets stale translations end: MOV to CR3,
 * INVLPG, page fault (SDM 3A 4.10.4). Upper tables never do: each write is emulated.
 */
#include <string.h>

#include "paging/shadow.h"

/* Emulated writes without a use in between after which a page is no table any more. */
#define FLOOD_WRITES 3

bool shadow_can_unsync(const struct shadow *shadow, uint64_t gfn)
{
	for (uint32_t number = shadow_first_of(shadow, gfn); number != PAGE_NONE;
	     number = shadow_next_of(shadow, number)) {
		if (shadow->page[number].role.level != 1)
			return false;
	}
	return true;
}

bool shadow_unsync(struct shadow *shadow, uint64_t gfn)
{
	struct hw *hw = shadow->hw;

	if (!shadow_can_unsync(shadow, gfn))
		return false;
	for (uint32_t number = shadow_first_of(shadow, gfn); number != PAGE_NONE;
	     number = shadow_next_of(shadow, number)) {
		struct shadow_page *page = &shadow->page[number];

		if (page->unsync)
			continue;
		if (!page->listed && ref_list_add(&shadow->unsync, number) < 0) {
			hw_fail(hw, "out of memory for the list of out-of-sync pages");
			return false;
		}
		page->unsync = page->listed = true;
		hw->public.counters.shadow_unsyncs[0]++;
		hw_charge_exit(hw, hw->cost.shadow_unsync);
	}
	return true;
}

/* The guest's entry behind an entry of a shadow page of @role, in the table at @table. */
static uint64_t guest_entry_of(const struct shadow_role *role, const void *table, unsigned index)
{
	if (role->format != FORMAT_2_LEVEL)
		return ((const uint64_t *)table)[index];
	/* The guest's tables are twice as wide, and a page directory maps twice as much by each. */
	if (role->level == 1)
		return ((const uint32_t *)table)[role->quadrant * ENTRIES + index];
	return ((const uint32_t *)table)[(role->quadrant * ENTRIES + index) / 2];
}

/* Compares each leaf entry with the guest's. Never gives more than it had: a fault does that. */
static void repair(struct shadow *shadow, uint32_t number)
{
	struct shadow_page *page = &shadow->page[number];
	const struct shadow_role *role = &page->role;
	uint64_t reserved = shadow->leaf_reserved[role->format][role->nxe];
	size_t span;
	/* A table that is out of sync was written: it lies in RAM. */
	const void *table =
		memory_span_read(shadow->vmm->memory, page->gfn * PAGE_SIZE, PAGE_SIZE, &span);

	for (unsigned index = 0; index < ENTRIES; index++) {
		uint64_t have, guest, want;
		struct rights rights = role->above;

		if (!page->filled[index / 64]) { /* none of these was ever present */
			index |= 63;
			continue;
		}
		have = page->entry[index];
		if (!(have & PTE_P))
			continue;
		guest = guest_entry_of(role, table, index);
		if (!(guest & PTE_P) || !(guest & PTE_A) || (guest & reserved) ||
		    (guest & ENTRY_ADDRESS) / PAGE_SIZE != shadow_leaf_gfn(shadow, have)) {
			shadow_entry_drop(shadow, number, index);
			continue;
		}
		rights_narrow(&rights, guest);
		rights.key = entry_key(guest);
		want = shadow_leaf_value(have & ENTRY_ADDRESS, rights, guest & PTE_D,
					 !(have & PTE_W), guest & PTE_G);
		if (want != have)
			shadow_entry_set_leaf(shadow, number, index, want,
					      shadow_leaf_gfn(shadow, have));
	}
	page->unsync = false;
	shadow->hw->public.counters.shadow_syncs[0]++;
	hw_charge_exit(shadow->hw, shadow->hw->cost.shadow_sync);
}

void shadow_sync_all(struct shadow *shadow)
{
	for (uint32_t i = 0; i < shadow->unsync.count; i++) {
		uint32_t number = ref_list_at(&shadow->unsync, i);

		shadow->page[number].listed = false;
		if (!shadow->page[number].unsync)
			continue;
		repair(shadow, number);
		shadow_write_protect(shadow, shadow->page[number].gfn);
	}
	shadow->unsync.count = 0;
}

void shadow_sync_gfn(struct shadow *shadow, uint64_t gfn)
{
	bool any = false;

	for (uint32_t number = shadow_first_of(shadow, gfn); number != PAGE_NONE;
	     number = shadow_next_of(shadow, number)) {
		if (!shadow->page[number].unsync)
			continue;
		repair(shadow, number);
		any = true;
	}
	if (any)
		shadow_write_protect(shadow, gfn);
}

void shadow_sync_below(struct shadow *shadow, uint32_t number)
{
	struct shadow_page *page = &shadow->page[number];

	if (page->unsync)
		shadow_sync_gfn(shadow, page->gfn);
	if (page->role.level == 1 || !shadow->unsync.count)
		return;
	for (unsigned index = 0; index < ENTRIES; index++) {
		if ((page->entry[index] & PTE_P) && !shadow_is_leaf(page, page->entry[index]))
			shadow_sync_below(shadow, shadow_child(shadow, page->entry[index]));
	}
}

void shadow_write_begins(struct shadow *shadow, uint64_t gfn)
{
	struct pending_write *pending;
	unsigned i;

	for (i = 0; i < shadow->nr_pending; i++) {
		if (shadow->pending[i].gfn == gfn)
			return;
	}
	if (i == MAX_PENDING) {
		shadow->pending_overflow = true;
		return;
	}
	pending = &shadow->pending[shadow->nr_pending++];
	pending->gfn = gfn;
	shadow->pending_cpu = shadow->cpu;
	memory_read(shadow->vmm->memory, gfn * PAGE_SIZE, pending->before, sizeof(pending->before));
}

/*
 * An INVLPG takes all of the guest's page, but the TLB has pieces of it and knows not that they
 * belong together.
 */
static bool maps_large_page(const struct shadow *shadow, const struct shadow_page *page,
			    uint64_t entry)
{
	if (!(entry & PTE_P) || page->role.level == 1)
		return false;
	return shadow_is_leaf(page, entry) || shadow->page[shadow_child(shadow, entry)].role.direct;
}

#define BLOCK 512 /* bytes compared at once */

size_t shadow_difference(const void *before, const void *after, size_t at)
{
	const uint8_t *a = before, *b = after;

	for (; at < PAGE_SIZE; at += sizeof(uint64_t)) {
		if (at % BLOCK == 0 && !memcmp(a + at, b + at, BLOCK))
			at += BLOCK - sizeof(uint64_t);
		else if (*(const uint64_t *)(a + at) != *(const uint64_t *)(b + at))
			break;
	}
	return at;
}

/* Drops the entries of a shadow page that stand for what has changed. */
static void drop_changed(struct shadow *shadow, uint32_t number, const void *before,
			 const void *after)
{
	struct shadow_page *page = &shadow->page[number];
	const struct shadow_role *role = &page->role;
	/* Shadow entries of 8 bytes of the guest's: one, but of entries of 4 bytes two of them, ...
	 */
	unsigned count = role->format != FORMAT_2_LEVEL ? 1 : role->level == 1 ? 2 : 4;
	unsigned quadrant = role->format == FORMAT_2_LEVEL ? role->quadrant : 0;

	for (size_t at = 0; (at = shadow_difference(before, after, at)) < PAGE_SIZE;
	     at += sizeof(uint64_t)) {
		/* ... and of those this page has a half or a quarter. */
		unsigned first = at / sizeof(uint64_t) * count - quadrant * ENTRIES;

		for (unsigned i = first; first < ENTRIES && i < first + count; i++) {
			if (guest_entry_of(role, after, i) == guest_entry_of(role, before, i))
				continue;
			shadow->flush_due |= maps_large_page(shadow, page, page->entry[i]);
			shadow_entry_drop(shadow, number, i);
		}
	}
}

static void finish_write(struct shadow *shadow, const struct pending_write *pending)
{
	uint32_t number, next;
	size_t span;
	/* A table that is written lies in RAM. */
	const void *after =
		memory_span_read(shadow->vmm->memory, pending->gfn * PAGE_SIZE, PAGE_SIZE, &span);

	for (number = shadow_first_of(shadow, pending->gfn); number != PAGE_NONE; number = next) {
		struct shadow_page *page = &shadow->page[number];

		next = shadow_next_of(shadow, number);
		drop_changed(shadow, number, pending->before, after);
		if (shadow->brute || ++page->writes <= FLOOD_WRITES || page->pins)
			continue;
		shadow_page_drop(shadow, number);
		shadow->hw->public.counters.shadow_floods[0]++;
	}
	if (shadow->brute)
		brute_table_written(shadow, pending->gfn, pending->before, after);
}

void shadow_writes_end(struct shadow *shadow)
{
	/* What a table led to is found in its memory, which must be as it was then: but for one. */
	shadow->pending_overflow |= shadow->brute && shadow->nr_pending > 1;
	for (unsigned i = 0; i < shadow->nr_pending && !shadow->pending_overflow; i++)
		finish_write(shadow, &shadow->pending[i]);
	shadow->nr_pending = 0;
	if (shadow->pending_overflow) {
		/* One instruction wrote more tables than can be followed: start again. */
		shadow->pending_overflow = false;
		shadow_empty(shadow->vmm);
	}
}
