/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>

#include "policy/work.h"

#define LEVELS               4

#define UNSYNCS_PER_CR3_LOAD 2.0
/* Of the guest's leaf entries written, those that shadow tables get: the rest are unmapped. */
#define FILLS_PER_WRITE 0.5
/* A guest finds an entry by going down its tables, three levels of which it reads. */
#define READS_PER_WRITE 3.0
/* Writes of a table above the leaves that are seen before it is used again, or given up. */
#define WRITES_PER_USE 3.0
/*
 * What brute loses at a CR3 load that leaves a tree of tables: no table is one any more when no CR3
 * leads to it, and the next load finds the other tree's tables, and fills their entries, anew.
 */
#define TABLES_PER_CR3_LOAD 3.0
#define FILLS_PER_CR3_LOAD  8.0

#define IN(name)            work_input(inputs, POLICY_INPUT_##name)

double work_cold_walks(const struct policy_input *inputs)
{
	return fmax(0, IN(walk_references_guest) - IN(walks)) / (LEVELS - 1);
}

double work_invalidations(const struct policy_input *inputs)
{
	return inputs[POLICY_INPUT_tlb_flushes].known ? IN(tlb_flushes) : work_cold_walks(inputs);
}

/* Nothing exits: what the model sees of the guest's tables, else their trace in the walks. */
static void as_in_ept(const struct policy_input *inputs, bool known, double per_load,
		      struct work *work)
{
	if (!known) {
		/* Each cold walk, or flush, stands for an invalidation and a fill. */
		work->invlpgs = work->leaf_writes = work_invalidations(inputs);
		work->guessed_writes = work->leaf_writes;
		work->fills = work->invlpgs + IN(ept_fills);
		return;
	}
	/*
	 * Frames stay what they were once used as: the guest may have put data there since. But a
	 * fill takes a walk, and a table that no walk uses is not looked at for long.
	 */
	work->upper_writes = fmin(IN(guest_table_writes_upper), WRITES_PER_USE * IN(walks));
	work->leaf_writes = fmax(0, IN(guest_table_writes) - IN(guest_table_writes_upper));
	work->leaf_writes = fmin(work->leaf_writes, IN(walks) / FILLS_PER_WRITE);
	work->fills = work->leaf_writes * FILLS_PER_WRITE + IN(ept_fills);
	work->unsyncs = fmin(work->leaf_writes, work->cr3_loads * per_load);
}

/* Writes of tables that are out of sync are seen by nobody; the invalidations tell of them. */
static void as_in_shadow(const struct policy_input *inputs, struct work *work)
{
	work->upper_writes = IN(shadow_table_writes);
	work->unsyncs = IN(shadow_unsyncs);
	work->fills = IN(shadow_fills);
	work->leaf_writes = fmax(work->unsyncs, work->invlpgs);
	work->guessed_writes = work->leaf_writes;
}

/* Every write exits, of whatever level; most are of leaves. */
static void as_in_brute(const struct policy_input *inputs, double per_load, struct work *work)
{
	work->leaf_writes = IN(guest_table_writes);
	work->fills = IN(shadow_fills);
	work->unsyncs = fmin(work->leaf_writes, work->cr3_loads * per_load);
}

struct work work_of(const struct policy_input *inputs, enum umbra_mode on, bool known,
		    double unsyncs_per_cr3_load)
{
	double per_load = unsyncs_per_cr3_load > 0 ? unsyncs_per_cr3_load : UNSYNCS_PER_CR3_LOAD;
	struct work work = {
		.cr3_loads = IN(guest_cr3_loads),
		.invlpgs = IN(guest_invlpgs),
		.faults = IN(guest_page_faults),
		.other_cpus = fmax(0, IN(cpus) - 1),
	};

	switch (on) {
	case UMBRA_MODE_BRUTE: as_in_brute(inputs, per_load, &work); break;
	case UMBRA_MODE_SHADOW: as_in_shadow(inputs, &work); break;
	default: as_in_ept(inputs, known, per_load, &work);
	}
	work.reads = IN(shadow_table_reads);
	if (!inputs[POLICY_INPUT_shadow_table_reads].known)
		work.reads = work.guessed_reads =
			READS_PER_WRITE * (work.leaf_writes + work.upper_writes);
	return work;
}

/* What shadow and brute have in common. */
static double of_shadow_tables(const struct umbra_cost *c, const struct work *w)
{
	return (w->cr3_loads + w->invlpgs) * c->exit + w->faults * (c->exit + c->reflect_fault) +
	       w->fills * (c->exit + c->shadow_fill);
}

static struct work_cost in_shadow(const struct umbra_cost *c, const struct work *w)
{
	/* A table is protected again when it was compared; an INVLPG may take an entry away. */
	double flushes =
		w->upper_writes + w->unsyncs + fmin(w->invlpgs, w->leaf_writes * FILLS_PER_WRITE);

	return (struct work_cost){
		.cycles = of_shadow_tables(c, w) + w->upper_writes * (c->exit + c->table_write) +
			  w->unsyncs * (c->exit + c->shadow_unsync + c->shadow_sync) +
			  flushes * w->other_cpus * c->remote_flush,
	};
}

static struct work_cost in_brute(const struct umbra_cost *c, const struct work *w)
{
	/* A write that takes an entry away makes the others flush. */
	double write = c->exit + c->table_write + FILLS_PER_WRITE * w->other_cpus * c->remote_flush;
	double read = c->exit + c->table_read;
	double load = TABLES_PER_CR3_LOAD * c->locate_table +
		      FILLS_PER_CR3_LOAD * (c->exit + c->shadow_fill);

	return (struct work_cost){
		.cycles = of_shadow_tables(c, w) + (w->leaf_writes + w->upper_writes) * write +
			  w->reads * read + w->cr3_loads * load,
		.guessed =
			w->guessed_writes * write + w->guessed_reads * read + w->cr3_loads * load,
	};
}

struct work_cost work_cost(const struct umbra_cost *cost, const struct work *work,
			   enum umbra_mode mode)
{
	switch (mode) {
	case UMBRA_MODE_BRUTE: return in_brute(cost, work);
	case UMBRA_MODE_SHADOW: return in_shadow(cost, work);
	default: return (struct work_cost){0};
	}
}
