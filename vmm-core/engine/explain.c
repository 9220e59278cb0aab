/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One access of a guest that stands still, with every step that hardware and VMM take. */
#include <errno.h>
#include <stdlib.h>

#include "engine/guest.h"
#include "umbra/explain.h"

struct recorder {
	struct umbra_explanation *explanation;
	size_t capacity;
	bool failed;
};

static void record(void *context, const struct umbra_step *step)
{
	struct recorder *recorder = context;
	struct umbra_explanation *explanation = recorder->explanation;

	if (explanation->nr_steps == recorder->capacity) {
		size_t capacity = recorder->capacity ? recorder->capacity * 2 : 64;
		struct umbra_step *grown =
			realloc(explanation->steps, capacity * sizeof(*explanation->steps));

		if (!grown) {
			recorder->failed = true;
			return;
		}
		explanation->steps = grown;
		recorder->capacity = capacity;
	}
	explanation->steps[explanation->nr_steps++] = *step;
	explanation->references += step->kind == UMBRA_STEP_REFERENCE;
	explanation->exits += step->kind == UMBRA_STEP_EXIT;
}

static const enum hw_access accesses[] = {
	[UMBRA_EXPLAIN_READ] = HW_READ,
	[UMBRA_EXPLAIN_WRITE] = HW_WRITE,
	[UMBRA_EXPLAIN_EXECUTE] = HW_FETCH,
};

static bool is_canonical(uint64_t gva, bool five_levels)
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
	struct hw *hw = guest->hw[0];
	int error;

	if (!is_canonical(gva, levels == 5))
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
		table += PAGE_SIZE;
	}
	error = hw_paging_changed(hw, &paging);
	if (error)
		return umbra_error_set(ret_error, error, guest->name, "levels", "%s",
				       hw_error_text(hw));
	return 0;
}

int umbra_guest_explain(struct umbra_guest *guest, uint64_t gva, enum umbra_explain_access access,
			bool first_touch, struct umbra_explanation **ret_explanation,
			struct umbra_error *ret_error)
{
	struct recorder recorder = {.explanation = calloc(1, sizeof(struct umbra_explanation))};
	struct umbra_explanation *explanation = recorder.explanation;
	struct hw *hw = guest->hw[0];
	enum hw_privilege privilege = guest->cpu[0]->privilege;
	struct umbra_step last = {.kind = UMBRA_STEP_TRANSLATED};
	uint64_t before;
	uint8_t *host;

	if (!explanation)
		return umbra_error_set(ret_error, -ENOMEM, guest->name, NULL, "out of memory");
	if (!is_canonical(gva, hw->guest_rules.format == FORMAT_5_LEVEL)) {
		free(explanation);
		return refuse_address(guest, gva, ret_error);
	}
	if (first_touch)
		guest->vmm->ops->empty(guest->vmm);
	else
		hw_translate_slow(hw, gva, accesses[access], privilege);
	hw_flush(hw);
	tlb_flush_nested(&hw->tlb);
	hw->trace = record;
	hw->trace_context = &recorder;
	before = hw_public(hw)->cycles;
	host = hw_translate_slow(hw, gva, accesses[access], privilege);
	hw->trace = NULL;
	explanation->cycles = hw_public(hw)->cycles - before;
	if (host) {
		last.hpa = hw_frame_of(hw, host) == HW_NO_PAGE
				   ? UINT64_MAX
				   : frames_hpa(&guest->memory.frames, host);
		explanation->translated = true;
		explanation->hpa = last.hpa;
	} else {
		last.kind = UMBRA_STEP_FAULT;
		last.error_code = hw_public(hw)->fault_code;
	}
	record(&recorder, &last);
	/* What an emulated write would have begun is not carried out: it wrote nothing. */
	hw_attend(hw);
	if (recorder.failed || hw_failed(hw)) {
		umbra_explanation_free(explanation);
		return umbra_error_set(ret_error, -ENOMEM, guest->name, NULL,
				       "out of memory for the explanation");
	}
	*ret_explanation = explanation;
	return 0;
}

void umbra_explanation_free(struct umbra_explanation *explanation)
{
	if (!explanation)
		return;
	free(explanation->steps);
	free(explanation);
}
