/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <math.h>
#include <string.h>

#include "tests/unit/policy_sim.h"

#define SHADOW_PAGES 20.0 /* tables that a switch drops */

/* Random accesses over more pages than the TLB holds. */
const struct sim_work sim_tlb_bound = {.walks = 0.08, .nested = 1.2, .pages = 4096};
/* Map, touch, unmap, invalidate. */
const struct sim_work sim_table_bound = {
	.walks = 0.004,
	.cold = 0.001,
	.nested = 1.2,
	.invlpgs = 0.002,
	.faults = 0.001,
	.cr3_loads = 0.0005,
	.leaf_writes = 0.004,
	.fills = 0.002,
	.unsyncs = 0.0005,
	.syncs = 0.0005,
	.pages = 512,
};
/* Nothing to gain anywhere. */
const struct sim_work sim_even = {.walks = 0.0003, .nested = 1.2, .pages = 256};

static double walk_cycles(const struct umbra_cost *c, enum umbra_mode mode,
			  const struct sim_work *w)
{
	double references = 1 + (mode == UMBRA_MODE_EPT ? w->nested : 0);

	return w->walks * (c->walk_cache_hit + references * c->walk_reference) +
	       w->cold * 3 * c->walk_reference;
}

static double exit_cycles(const struct umbra_cost *c, enum umbra_mode mode,
			  const struct sim_work *w)
{
	double common = (w->cr3_loads + w->invlpgs + w->hidden) * c->exit +
			w->faults * (c->exit + c->reflect_fault) +
			w->fills * (c->exit + c->shadow_fill) +
			w->upper_writes * (c->exit + c->table_write);

	if (mode == UMBRA_MODE_EPT)
		return 0;
	if (mode == UMBRA_MODE_BRUTE)
		return common + w->leaf_writes * (c->exit + c->table_write) +
		       w->reads * (c->exit + c->table_read);
	return common + w->unsyncs * (c->exit + c->shadow_unsync) + w->syncs * c->shadow_sync;
}

double sim_cpi(const struct umbra_cost *c, enum umbra_mode mode, const struct sim_work *w)
{
	return 1 + w->cr3_loads * c->cr3_load + w->invlpgs * c->invlpg + walk_cycles(c, mode, w) +
	       exit_cycles(c, mode, w);
}

/* Sums of one interval, before they become inputs. */
struct sums {
	double instructions, cycles;
	double refill;          /* of shadow entries after a switch */
	double first_touches;   /* of EPT entries */
	struct sim_work events; /* rates times instructions */
	double nested, walk_cycles, exit_cycles;
};

static void work(const struct sim *sim, enum umbra_mode mode, const struct sim_work *w, double n,
		 struct sums *s)
{
	s->instructions += n;
	s->cycles += n * sim_cpi(&sim->hardware, mode, w);
	s->events.walks += n * w->walks;
	s->events.cold += n * w->cold;
	s->events.cr3_loads += n * w->cr3_loads;
	s->events.invlpgs += n * w->invlpgs;
	s->events.faults += n * w->faults;
	s->events.leaf_writes += n * w->leaf_writes;
	s->events.upper_writes += n * w->upper_writes;
	s->events.reads += n * w->reads;
	s->events.fills += n * w->fills;
	s->events.unsyncs += n * w->unsyncs;
	s->events.syncs += n * w->syncs;
	s->events.hidden += n * w->hidden;
	s->nested += mode == UMBRA_MODE_EPT ? n * w->walks * w->nested : 0;
	s->walk_cycles += n * walk_cycles(&sim->hardware, mode, w);
	s->exit_cycles += n * exit_cycles(&sim->hardware, mode, w);
}

static void set(struct policy_input *inputs, enum policy_input_id id, double value, bool known,
		bool model_only)
{
	inputs[id].value = known ? llround(value) : 0;
	inputs[id].known = known;
	inputs[id].model_only = model_only;
}

static void fill_inputs(const struct sim *sim, enum umbra_mode mode, const struct sums *s,
			struct policy_input inputs[POLICY_INPUT_COUNT])
{
	bool shadow = mode == UMBRA_MODE_SHADOW, brute = mode == UMBRA_MODE_BRUTE;
	bool tables = shadow || brute; /* of the VMM's */
	bool events = tables || !sim->no_model;
	bool writes = brute || (!shadow && !sim->no_model);
	const struct sim_work *e = &s->events;
	const struct umbra_cost *c = &sim->hardware;
	double fills = e->fills + s->refill / (c->exit + c->shadow_fill);
	double touched = s->first_touches / (c->exit + c->ept_violation);
	double accesses = brute ? e->leaf_writes + e->reads : e->unsyncs;
	double own = tables ? e->cr3_loads + e->invlpgs + e->faults + fills + e->upper_writes +
				      accesses + e->hidden
			    : touched;

	memset(inputs, 0, sizeof(*inputs) * POLICY_INPUT_COUNT);
#define SET(name, value) set(inputs, POLICY_INPUT_##name, value, true, false)
	SET(instructions, s->instructions);
	SET(cycles, s->cycles);
	SET(walks, e->walks);
	SET(walk_references_guest, e->walks + 3 * e->cold);
	SET(walk_references_nested, s->nested);
	SET(walk_cycles, s->walk_cycles);
	SET(exits, own);
	SET(cpus, 1);
	SET(exits_mode, own);
	SET(exit_cycles, s->exit_cycles + s->refill + s->first_touches);
	SET(refill_cycles, s->refill);
	SET(switch_cycles, 0);
	SET(shadow_fills, tables ? fills : 0);
	SET(shadow_table_writes, tables ? e->upper_writes + (brute ? e->leaf_writes : 0) : 0);
	SET(shadow_tables_located, 0);
	SET(shadow_remote_flushes, 0);
	SET(shadow_unsyncs, shadow ? e->unsyncs : 0);
	SET(shadow_syncs, shadow ? e->syncs : 0);
	SET(shadow_reflected, tables ? e->faults : 0);
	SET(shadow_pages, tables ? SHADOW_PAGES : 0);
	SET(ept_fills, touched);
#undef SET
	set(inputs, POLICY_INPUT_shadow_table_reads, e->reads, brute, false);
	set(inputs, POLICY_INPUT_guest_page_faults, e->faults, events, !tables);
	set(inputs, POLICY_INPUT_guest_cr3_loads, e->cr3_loads, events, !tables);
	set(inputs, POLICY_INPUT_guest_invlpgs, e->invlpgs, events, !tables);
	set(inputs, POLICY_INPUT_guest_table_writes, e->leaf_writes + e->upper_writes, writes,
	    !brute);
	set(inputs, POLICY_INPUT_guest_table_writes_upper, e->upper_writes, writes && !brute, true);
}

/* Working sets whose second step is in place. */
struct filled {
	const struct sim_work *work[8];
	unsigned int nr;
};

/* Cycles to put @work's pages in place, 0 when they are. */
static double fill(struct filled *filled, const struct sim_work *w, double cycles_a_page)
{
	for (unsigned int i = 0; i < filled->nr; i++) {
		if (filled->work[i] == w)
			return 0;
	}
	filled->work[filled->nr++] = w;
	return w->pages * cycles_a_page;
}

/* The interval is over. Returns the mode of the next. */
static enum umbra_mode decide(const struct sim *sim, enum umbra_mode mode, struct policy *policy,
			      const struct sums *s, struct sim_result *result,
			      void (*watch)(void *context, const struct policy_decision *decision,
					    bool amended),
			      void *context)
{
	struct policy_input inputs[POLICY_INPUT_COUNT];
	const struct policy_decision *d, *amended;

	fill_inputs(sim, mode, s, inputs);
	d = policy_decide(policy, result->cycles, s->instructions, mode, inputs);
	if (watch) {
		watch(context, d, false);
		for (unsigned int i = 0; (amended = policy_amended(policy, i)); i++)
			watch(context, amended, true);
	}
	if (d->action == POLICY_STAY)
		return mode;
	result->switches++;
	result->rollbacks += d->action == POLICY_ROLLBACK;
	result->cycles += sim->hardware.switch_pause;
	if (mode != UMBRA_MODE_EPT)
		result->cycles += SHADOW_PAGES * sim->hardware.shadow_teardown;
	return d->target;
}

struct sim_result sim_run(const struct sim *sim, enum umbra_mode mode, struct policy *policy,
			  void (*watch)(void *context, const struct policy_decision *decision,
					bool amended),
			  void *context)
{
	const struct umbra_cost *c = &sim->hardware;
	struct sim_result result = {0};
	struct filled tables = {0}, ept = {0};
	struct sums s = {0};

	for (unsigned int i = 0; i < sim->nr_phases; i++) {
		const struct sim_work *w = sim->phases[i].work;
		double left = sim->phases[i].instructions;
		double refill = 0, n;

		while (left >= 1 || refill >= 1) {
			double room = SIM_INTERVAL - s.cycles;
			enum umbra_mode next = mode;

			if (mode != UMBRA_MODE_EPT)
				refill += fill(&tables, w, c->exit + c->shadow_fill);
			else
				refill += fill(&ept, w, c->exit + c->ept_violation);
			if (refill >= 1) {
				n = fmin(refill, room);
				refill -= n;
				*(mode == UMBRA_MODE_EPT ? &s.first_touches : &s.refill) += n;
				s.cycles += n;
			} else {
				n = fmin(left, room / sim_cpi(c, mode, w));
				work(sim, mode, w, n, &s);
				left -= n;
			}
			if (s.cycles < SIM_INTERVAL - 100)
				continue;
			result.cycles += s.cycles;
			result.intervals++;
			if (policy)
				next = decide(sim, mode, policy, &s, &result, watch, context);
			if (next != mode) {
				mode = next;
				tables.nr = 0;
				refill = 0;
			}
			memset(&s, 0, sizeof(s));
		}
	}
	result.cycles += s.cycles;
	result.mode = mode;
	return result;
}
