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

static bool is_canonical(uint64_t gva)
{
	return (uint64_t)((int64_t)(gva << 16) >> 16) == gva;
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
	uint8_t *host;

	if (!explanation)
		return umbra_error_set(ret_error, -ENOMEM, guest->name, NULL, "out of memory");
	if (!is_canonical(gva)) {
		free(explanation);
		return umbra_error_set(ret_error, -EINVAL, guest->name, "gva",
				       "0x%llx is not canonical (SDM 1 3.3.7.1)",
				       (unsigned long long)gva);
	}
	if (first_touch)
		guest->vmm->ops->empty(guest->vmm);
	else
		hw_translate_slow(hw, gva, accesses[access], privilege);
	hw_flush(hw);
	tlb_flush_nested(&hw->tlb);
	hw->trace = record;
	hw->trace_context = &recorder;
	host = hw_translate_slow(hw, gva, accesses[access], privilege);
	hw->trace = NULL;
	if (host) {
		last.hpa = hw_frame_of(hw, host) == HW_NO_PAGE
				   ? UINT64_MAX
				   : (uint64_t)(host - guest->memory.frames.base);
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
