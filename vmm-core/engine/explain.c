/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One access of a guest that stands still, with every step that hardware and VMM take. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/guest.h"
#include "engine/own_entry.h"
#include "umbra/explain.h"

struct recorder {
	struct umbra_steps *steps;
	const struct memory *memory;
	size_t capacity;
	bool failed;
};

/* What the walker does not know of an entry: a walk cache or an earlier read led it there. */
static void complete(const struct recorder *recorder, struct umbra_step *step)
{
	const struct umbra_steps *steps = recorder->steps;
	uint32_t frame = step->hpa / PAGE_SIZE;

	if (step->table == UMBRA_TABLE_GUEST && frame < recorder->memory->frames.count &&
	    recorder->memory->page_of[frame] != GFN_NONE)
		step->gpa = (uint64_t)recorder->memory->page_of[frame] * PAGE_SIZE +
			    (step->hpa & PAGE_MASK);
	for (size_t i = steps->nr; i > 0 && step->kind == UMBRA_STEP_AD; i--) {
		const struct umbra_step *read = &steps->step[i - 1];

		if (read->kind != UMBRA_STEP_REFERENCE || read->hpa != step->hpa)
			continue;
		step->index = read->index;
		step->translates = read->translates;
		return;
	}
}

static void record(void *context, const struct umbra_step *step)
{
	struct recorder *recorder = context;
	struct umbra_steps *steps = recorder->steps;

	if (steps->nr == recorder->capacity) {
		size_t capacity = recorder->capacity ? recorder->capacity * 2 : 64;
		struct umbra_step *grown = realloc(steps->step, capacity * sizeof(*steps->step));

		if (!grown) {
			recorder->failed = true;
			return;
		}
		steps->step = grown;
		recorder->capacity = capacity;
	}
	steps->step[steps->nr] = *step;
	if (step->kind == UMBRA_STEP_REFERENCE || step->kind == UMBRA_STEP_AD)
		complete(recorder, &steps->step[steps->nr]);
	steps->nr++;
	steps->references += step->kind == UMBRA_STEP_REFERENCE;
	steps->exits += step->kind == UMBRA_STEP_EXIT;
}

enum hw_access guest_access(enum umbra_explain_access access)
{
	static const enum hw_access accesses[] = {
		[UMBRA_EXPLAIN_READ] = HW_READ,
		[UMBRA_EXPLAIN_WRITE] = HW_WRITE,
		[UMBRA_EXPLAIN_EXECUTE] = HW_FETCH,
	};

	return accesses[access];
}

bool guest_is_canonical(uint64_t gva, bool five_levels)
{
	unsigned unused = five_levels ? 64 - 57 : 64 - 48;

	return (uint64_t)((int64_t)(gva << unused) >> unused) == gva;
}

static int refuse_address(const struct umbra_guest *guest, uint64_t gva,
			  struct umbra_error *ret_error)
{
	return umbra_error_set(ret_error, -EINVAL, guest->name, "gva",
			       "0x%llx is not canonical (SDM 1 3.3.7.1)", (unsigned long long)gva);
}

int umbra_guest_explain_tables(struct umbra_guest *guest, uint64_t gva, enum umbra_page_size page,
			       unsigned levels, struct umbra_error *ret_error)
{
	static const unsigned leaf_levels[UMBRA_PAGE_SIZE_COUNT] = {
		[UMBRA_PAGE_4k] = 1, [UMBRA_PAGE_2m] = 2, [UMBRA_PAGE_1g] = 3};
	unsigned leaf = leaf_levels[page];
	uint64_t size = 1ull << (12 + 9 * (leaf - 1));
	uint64_t table = guest->memory.size - MAX_LEVELS * PAGE_SIZE, target;
	struct hw_paging paging = {
		.cr0 = CR0_PE | CR0_PG | CR0_WP,
		.cr3 = table,
		.cr4 = CR4_PAE | (levels == 5 ? CR4_LA57 : 0),
		.efer = EFER_LME | EFER_LMA | EFER_NXE,
	};
	/* So that the guest can read what it wrote: by an entry of no use to @gva. */
	uint64_t self = table | PTE_P | PTE_W | PTE_A;
	unsigned self_index = entry_index(gva, levels) == ENTRIES - 2 ? ENTRIES - 3 : ENTRIES - 2;
	struct hw *hw = guest->hw[0];
	int error = guest_needs_soft(guest, "explain", ret_error);

	if (error)
		return error;
	if (!guest_is_canonical(gva, levels == 5))
		return refuse_address(guest, gva, ret_error);
	/* A page below the tables; one of 1G may reach beyond RAM, its address not. */
	target = leaf < 3 ? (table - size) & ~(size - 1) : 0;
	if (table < size && leaf < 3)
		return umbra_error_set(ret_error, -EINVAL, guest->name, "memory",
				       "too little for a page of %llu bytes and its tables",
				       (unsigned long long)size);
	for (unsigned level = levels; level >= leaf; level--) {
		uint64_t entry = level > leaf ? table + PAGE_SIZE : target;
		static const uint8_t empty[PAGE_SIZE];

		/* As if used before: the guest's own bits are not what is asked for. */
		entry |= PTE_P | PTE_W | PTE_A | (level == leaf ? PTE_D : 0);
		entry |= level == leaf && leaf > 1 ? PTE_PS : 0;
		memory_write(&guest->memory, table, empty, sizeof(empty));
		memory_write(&guest->memory, table + entry_index(gva, level) * sizeof(entry),
			     &entry, sizeof(entry));
		if (level == levels)
			memory_write(&guest->memory, table + self_index * sizeof(self), &self,
				     sizeof(self));
		table += PAGE_SIZE;
	}
	error = hw_paging_changed(hw, &paging);
	if (error)
		return umbra_error_set(ret_error, error, guest->name, "levels", "%s",
				       hw_error_text(hw));
	return 0;
}

/* One access with all its steps; *ret_end is the last. The host byte, NULL: there is none. */
static uint8_t *trace(struct hw *hw, struct recorder *recorder, uint64_t gva, enum hw_access access,
		      enum hw_privilege privilege, struct umbra_step *ret_end)
{
	struct umbra_step end = {.kind = UMBRA_STEP_TRANSLATED};
	uint64_t before;
	uint8_t *host;

	hw->trace = record;
	hw->trace_context = recorder;
	before = hw_public(hw)->cycles;
	host = hw_translate_slow(hw, gva, access, privilege);
	hw->trace = NULL;
	recorder->steps->cycles = hw_public(hw)->cycles - before;
	if (host && hw_frame_of(hw, host) == HW_NO_PAGE) {
		end.kind = UMBRA_STEP_NOBODY;
	} else if (host) {
		end.hpa = frames_hpa(&hw->memory->frames, host);
	} else if (hw_public(hw)->mmio) {
		end.kind = UMBRA_STEP_DEVICE;
		end.gpa = hw_public(hw)->mmio_gpa;
	} else {
		end.kind = UMBRA_STEP_FAULT;
		end.error_code = hw_public(hw)->fault_code;
	}
	record(recorder, &end);
	*ret_end = end;
	return host;
}

/* The page that an entry of the hardware's maps. */
static uint64_t mapped_by(const struct hw *hw, const struct umbra_step *step)
{
	const struct paging_rules *rules = &hw->rules;
	uint64_t entry = step->entry;
	unsigned level = step->level;

	if (step->table == UMBRA_TABLE_EPT) {
		if (!(entry & EPT_RWX) || ept_misconfigured(&hw->ept_rules, entry, level) ||
		    !ept_is_leaf(entry, level))
			return UINT64_MAX;
		return entry & ENTRY_ADDRESS & ~((1ull << level_shift(9, level)) - 1);
	}
	if (!(entry & PTE_P) || entry_reserved(rules, entry, level) ||
	    !entry_is_leaf(rules, entry, level))
		return UINT64_MAX;
	return leaf_address(rules, entry, level);
}

/* The last entries that the hardware read, with what it wrote to them. */
static void note_hardware(const struct hw *hw, struct umbra_explanation *explanation)
{
	struct umbra_leaf *hardware = explanation->hardware;
	unsigned nr = 0;
	bool walking = false;

	for (size_t i = 0; i < explanation->steps.nr; i++) {
		const struct umbra_step *step = &explanation->steps.step[i];

		if (step->kind == UMBRA_STEP_REFERENCE) {
			/* An EPT entry matters behind the last of the guest's: it maps the page. */
			bool second = walking && nr && hardware[0].step.table != UMBRA_TABLE_EPT &&
				      step->table == UMBRA_TABLE_EPT;

			hardware[second].step = *step;
			nr = second + 1u;
		}
		for (unsigned n = 0; n < nr; n++)
			if (step->kind == UMBRA_STEP_AD && hardware[n].step.hpa == step->hpa)
				hardware[n].step.entry = step->entry;
		walking = step->kind == UMBRA_STEP_REFERENCE;
	}
	for (unsigned n = 0; n < nr; n++)
		hardware[n].maps = mapped_by(hw, &hardware[n].step);
	explanation->nr_hardware = nr;
}

/* Where the guest can read its entry, if anywhere. -ENOMEM. */
static int find_own_entry(struct umbra_guest *guest, uint64_t gva, struct umbra_read_back *back)
{
	struct hw *hw = guest->hw[0];
	int error;

	back->state = UMBRA_READ_BACK_NO_TABLES;
	if (!own_entry_find(guest->vmm, hw, gva, &back->leaf))
		return 0;
	back->state = UMBRA_READ_BACK_UNMAPPED;
	error = own_entry_address(guest->vmm, hw, back->leaf.step.gpa, &back->gva);
	if (!error)
		back->state = UMBRA_READ_BACK_DONE;
	return error == -ENOENT ? 0 : error;
}

/* The guest's supervisor, whom SMAP need not hinder, reads the entry. */
static void read_back(struct hw *hw, struct umbra_read_back *back, struct recorder *recorder)
{
	const uint8_t *host;
	struct umbra_step end;

	if (back->state != UMBRA_READ_BACK_DONE)
		return;
	host = trace(hw, recorder, back->gva, HW_READ, HW_SUPERVISOR_AC, &end);
	if (host)
		memcpy(&back->seen, host, entry_size(hw->guest_rules.index_bits));
	else
		back->state = UMBRA_READ_BACK_FAULT;
}

static int explain(struct umbra_guest *guest, uint64_t gva, enum umbra_explain_access access,
		   bool first_touch, struct umbra_explanation **ret_explanation,
		   struct umbra_error *ret_error)
{
	struct umbra_explanation *explanation = calloc(1, sizeof(*explanation));
	struct recorder steps = {0}, back_steps = {0};
	struct hw *hw = guest->hw[0];
	enum hw_privilege privilege = guest->cpu[0]->privilege;
	struct umbra_read_back *back;

	if (!explanation)
		return umbra_error_set(ret_error, -ENOMEM, guest->name, NULL, "out of memory");
	back = &explanation->read_back;
	steps.steps = &explanation->steps;
	back_steps.steps = &back->steps;
	steps.memory = back_steps.memory = &guest->memory;
	if (!guest_is_canonical(gva, hw->guest_rules.format == FORMAT_5_LEVEL)) {
		free(explanation);
		return refuse_address(guest, gva, ret_error);
	}
	if (find_own_entry(guest, gva, back))
		goto no_memory;
	if (first_touch) {
		guest->vmm->ops->empty(guest->vmm);
	} else {
		if (back->state == UMBRA_READ_BACK_DONE)
			hw_translate_slow(hw, back->gva, HW_READ, HW_SUPERVISOR_AC);
		hw_translate_slow(hw, gva, guest_access(access), privilege);
		hw_attend(hw);
	}
	hw_flush(hw);
	tlb_flush_nested(&hw->tlb);
	trace(hw, &steps, gva, guest_access(access), privilege, &explanation->end);
	/* What an emulated write would have begun is not carried out: it wrote nothing. */
	hw_attend(hw);
	note_hardware(hw, explanation);
	read_back(hw, back, &back_steps);
	hw_attend(hw);
	/* Its accessed and dirty bits are set now. */
	if (back->state != UMBRA_READ_BACK_NO_TABLES)
		own_entry_find(guest->vmm, hw, gva, &back->leaf);
	if (steps.failed || back_steps.failed || hw_failed(hw))
		goto no_memory;
	*ret_explanation = explanation;
	return 0;
no_memory:
	umbra_explanation_free(explanation);
	return umbra_error_set(ret_error, -ENOMEM, guest->name, NULL,
			       "out of memory for the explanation");
}

int umbra_guest_explain(struct umbra_guest *guest, uint64_t gva, enum umbra_explain_access access,
			bool first_touch, struct umbra_explanation **ret_explanation,
			struct umbra_error *ret_error)
{
	int error = guest_needs_soft(guest, "explain", ret_error);

	return error ? error : explain(guest, gva, access, first_touch, ret_explanation, ret_error);
}

void umbra_explanation_free(struct umbra_explanation *explanation)
{
	if (!explanation)
		return;
	free(explanation->steps.step);
	free(explanation->read_back.steps.step);
	free(explanation);
}
