/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The brute-force method (SDM 3C 32.3.3): the hardware walks tables of the VMM's, and everything
 * that the guest does with its own goes through the VMM. From CR3 on the VMM finds every table of
 * the guest's tree, and none of them is mapped: each read and write of one exits. Nothing is ever
 * out of sync, so INVLPG has nothing to do but exit. The VMM's tables are shadow pages, filled at
 * page faults as in shadow.
 *
 * A guest page is a table while a vCPU's CR3 leads to it: references are counted by the shape in
 * which the table is used, from the entries that point at it. They go down a level each, so a table
 * that points at itself is no cycle.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "paging/shadow.h"

/* How a guest page is used as a table: level and size of its entries, and whether PS counts. */
enum shape {
	SHAPE_LEVEL_1, /* ... SHAPE_LEVEL_1 + 4: entries of 8 bytes */
	SHAPE_NARROW_1 = MAX_LEVELS,
	SHAPE_NARROW_2,
	SHAPE_NARROW_2_NO_PSE,
	SHAPE_COUNT,
};

struct table {
	enum shape shape;
	uint64_t gfn;
};

struct roots {
	struct table table[NR_QUARTERS];
	unsigned count;
};

struct brute {
	uint32_t *references[SHAPE_COUNT]; /* per guest page */
	uint8_t *shapes;                   /* per guest page: in how many shapes it is a table */
	struct roots roots[MEMORY_MAX_HW];
};

static bool is_narrow(enum shape shape)
{
	return shape >= SHAPE_NARROW_1;
}

/* The shape of the tables that the entries of @shape point at; SHAPE_COUNT: at pages alone. */
static enum shape shape_below(enum shape shape)
{
	if (is_narrow(shape))
		return shape == SHAPE_NARROW_1 ? SHAPE_COUNT : SHAPE_NARROW_1;
	return shape == SHAPE_LEVEL_1 ? SHAPE_COUNT : shape - 1;
}

/* Whether an entry of @shape points at a table in RAM. */
static bool points_at_table(const struct shadow *shadow, enum shape shape, uint64_t entry,
			    uint64_t *ret_gfn)
{
	bool large =
		shape == SHAPE_LEVEL_1 + 1 || shape == SHAPE_LEVEL_1 + 2 || shape == SHAPE_NARROW_2;

	*ret_gfn = (entry & ENTRY_ADDRESS) / PAGE_SIZE;
	return (entry & PTE_P) && !(large && (entry & PTE_PS)) &&
	       memory_is_ram(shadow->vmm->memory, entry & ENTRY_ADDRESS);
}

static unsigned entries_of(enum shape shape)
{
	return is_narrow(shape) ? 2 * ENTRIES : ENTRIES;
}

static uint64_t entry_of(enum shape shape, const void *table, unsigned index)
{
	return is_narrow(shape) ? ((const uint32_t *)table)[index]
				: ((const uint64_t *)table)[index];
}

bool brute_is_table(const struct brute *brute, uint64_t gfn)
{
	return brute->shapes[gfn];
}

static void refer(struct shadow *shadow, enum shape shape, uint64_t gfn);
static void unrefer(struct shadow *shadow, enum shape shape, uint64_t gfn);

/* What each entry of the table points at gets, or loses, a reference. */
static void for_each_below(struct shadow *shadow, enum shape shape, uint64_t gfn,
			   void (*change)(struct shadow *, enum shape, uint64_t))
{
	enum shape below = shape_below(shape);
	const void *table;
	size_t span;

	if (below == SHAPE_COUNT)
		return;
	table = memory_span_read(shadow->vmm->memory, gfn * PAGE_SIZE, PAGE_SIZE, &span);
	for (unsigned index = 0; index < entries_of(shape); index++) {
		uint64_t child;

		if (points_at_table(shadow, shape, entry_of(shape, table, index), &child))
			change(shadow, below, child);
	}
}

static void refer(struct shadow *shadow, enum shape shape, uint64_t gfn)
{
	struct brute *brute = shadow->brute;
	struct hw *hw = shadow->hw;

	if (brute->references[shape][gfn]++)
		return;
	if (!brute->shapes[gfn]++) {
		shadow_count_table(shadow, gfn, 1);
		shadow_unmap(shadow, gfn);
	}
	hw->public.counters.shadow_tables_located[0]++;
	hw_charge_exit(hw, hw->cost.locate_table);
	for_each_below(shadow, shape, gfn, refer);
}

/* The page is no table any more, so that its writes are not seen: nothing may be made of it. */
static void forget(struct shadow *shadow, uint64_t gfn)
{
	uint32_t number;

	shadow_count_table(shadow, gfn, -1);
	while ((number = shadow_first_of(shadow, gfn)) != PAGE_NONE)
		shadow_page_drop(shadow, number);
}

static void unrefer(struct shadow *shadow, enum shape shape, uint64_t gfn)
{
	struct brute *brute = shadow->brute;

	if (--brute->references[shape][gfn])
		return;
	for_each_below(shadow, shape, gfn, unrefer);
	if (!--brute->shapes[gfn])
		forget(shadow, gfn);
}

/* Where the trees of a vCPU begin, by its registers. */
static struct roots roots_of(const struct shadow *shadow, const struct hw *hw)
{
	const struct paging_rules *rules = &hw->guest_rules;
	struct roots roots = {.count = 0};

	for (unsigned i = 0; i < NR_QUARTERS && rules->format != FORMAT_UNPAGED; i++) {
		bool pae = rules->format == FORMAT_PAE;
		uint64_t entry = pae ? hw->guest_pdpte[i] : hw->guest.cr3 | PTE_P;
		enum shape shape = rules->format != FORMAT_2_LEVEL
					   ? SHAPE_LEVEL_1 + rules->levels - 1
				   : rules->large[2] ? SHAPE_NARROW_2
						     : SHAPE_NARROW_2_NO_PSE;
		uint64_t address = entry & ENTRY_ADDRESS;

		if ((entry & PTE_P) && memory_is_ram(shadow->vmm->memory, address))
			roots.table[roots.count++] = (struct table){shape, address / PAGE_SIZE};
		if (!pae)
			break;
	}
	return roots;
}

/* What each entry points at that is in @there and not in @base. */
static void for_each_changed(struct shadow *shadow, enum shape shape, const void *base,
			     const void *there,
			     void (*change)(struct shadow *, enum shape, uint64_t))
{
	unsigned count = is_narrow(shape) ? 2 : 1; /* entries in 8 bytes */

	for (size_t at = 0; (at = shadow_difference(base, there, at)) < PAGE_SIZE;
	     at += sizeof(uint64_t)) {
		unsigned first = at / sizeof(uint64_t) * count;

		for (unsigned index = first; index < first + count; index++) {
			uint64_t entry = entry_of(shape, there, index), child;

			if (entry != entry_of(shape, base, index) &&
			    points_at_table(shadow, shape, entry, &child))
				change(shadow, shape_below(shape), child);
		}
	}
}

void brute_table_written(struct shadow *shadow, uint64_t gfn, const void *before, const void *after)
{
	for (enum shape shape = 0; shape < SHAPE_COUNT; shape++) {
		if (!shadow->brute->references[shape][gfn] || shape_below(shape) == SHAPE_COUNT)
			continue;
		/* First the new ones: what has only moved stays a table. */
		for_each_changed(shadow, shape, before, after, refer);
		for_each_changed(shadow, shape, after, before, unrefer);
	}
}

static void locate(struct shadow *shadow)
{
	struct brute *brute = shadow->brute;

	for (unsigned i = 0; i < shadow->vmm->nr_hw; i++) {
		struct roots *roots = &brute->roots[i];

		*roots = roots_of(shadow, shadow->vmm->hw[i]);
		for (unsigned k = 0; k < roots->count; k++)
			refer(shadow, roots->table[k].shape, roots->table[k].gfn);
	}
}

void brute_relocate(struct shadow *shadow)
{
	struct brute *brute = shadow->brute;
	uint64_t pages = shadow->vmm->memory->size / PAGE_SIZE;

	for (uint64_t gfn = 0; gfn < pages; gfn++) {
		if (!brute->shapes[gfn])
			continue;
		shadow_count_table(shadow, gfn, -1);
		brute->shapes[gfn] = 0;
		for (enum shape shape = 0; shape < SHAPE_COUNT; shape++)
			brute->references[shape][gfn] = 0;
	}
	locate(shadow);
}

void brute_destroy(struct brute *brute)
{
	if (!brute)
		return;
	for (enum shape shape = 0; shape < SHAPE_COUNT; shape++)
		free(brute->references[shape]);
	free(brute->shapes);
	free(brute);
}

static struct brute *create(uint64_t pages)
{
	struct brute *brute = calloc(1, sizeof(*brute));
	bool failed = false;

	if (!brute)
		return NULL;
	brute->shapes = calloc(pages, sizeof(*brute->shapes));
	failed = !brute->shapes;
	for (enum shape shape = 0; shape < SHAPE_COUNT; shape++) {
		brute->references[shape] = calloc(pages, sizeof(*brute->references[shape]));
		failed |= !brute->references[shape];
	}
	if (!failed)
		return brute;
	brute_destroy(brute);
	return NULL;
}

static int enter(struct vmm *vmm)
{
	int error = shadow_create(vmm);
	struct shadow *shadow = vmm->shadow;

	if (error)
		return error;
	if (!shadow->idle_brute)
		shadow->idle_brute = create(vmm->memory->size / PAGE_SIZE);
	if (!shadow->idle_brute)
		return -ENOMEM;
	shadow->brute = shadow->idle_brute;
	shadow->idle_brute = NULL;
	locate(shadow);
	return shadow_enter(vmm);
}

static uint64_t leave(struct vmm *vmm)
{
	struct shadow *shadow = vmm->shadow;
	uint64_t dropped = shadow_drop_all(shadow);

	for (unsigned i = 0; i < vmm->nr_hw; i++) {
		const struct roots *roots = &shadow->brute->roots[i];

		for (unsigned k = 0; k < roots->count; k++)
			unrefer(shadow, roots->table[k].shape, roots->table[k].gfn);
	}
	/* No page is a table now. To map and touch all this anew would be most of the next pause.
	 */
	shadow->idle_brute = shadow->brute;
	shadow->brute = NULL;
	return dropped;
}

static int cr3_load(struct vmm *vmm, struct hw *hw)
{
	struct shadow *shadow = shadow_act(vmm, hw);
	struct roots *roots = &shadow->brute->roots[shadow->cpu], old = *roots;
	int error;

	*roots = roots_of(shadow, hw);
	for (unsigned i = 0; i < roots->count; i++)
		refer(shadow, roots->table[i].shape, roots->table[i].gfn);
	/* The hardware must have left the old root before its pages can go. */
	error = shadow_set_root(shadow);
	for (unsigned i = 0; i < old.count; i++)
		unrefer(shadow, old.table[i].shape, old.table[i].gfn);
	shadow_flush_if_due(shadow);
	return error;
}

static void invlpg(struct vmm *vmm, struct hw *hw, uint64_t gva)
{
	shadow_flush_if_due(shadow_act(vmm, hw));
}

const struct mode_ops mode_brute = {
	.enter = enter,
	.leave = leave,
	.memory_exit = shadow_memory_exit,
	.foresee = shadow_foresee,
	.cr3_load = cr3_load,
	.invlpg = invlpg,
	.attend = shadow_attend,
	.empty = shadow_empty,
};
