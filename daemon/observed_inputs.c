/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <string.h>

#include "daemon/observed_inputs.h"

/* The growth of one number; unknown where either end is, or where it began anew. */
struct growth {
	bool known;
	uint64_t value;
};

static struct growth grown(const void *before, const struct umbra_known *known_before,
			   const void *now, const struct umbra_known *known_now, size_t index)
{
	uint64_t from = ((const uint64_t *)before)[index], to = ((const uint64_t *)now)[index];

	if (!umbra_known_has(known_before, index) || !umbra_known_has(known_now, index) ||
	    to < from)
		return (struct growth){0};
	return (struct growth){true, to - from};
}

/* Of an element of a counter of one source: SOURCE(kvm_exits, exits, reason). */
#define SOURCE(source, counter, element)                                                           \
	grown(&before->source, &before->source##_known, &now->source, &now->source##_known,        \
	      offsetof(struct vm_sample, source.counter[element]) / sizeof(uint64_t) -             \
		      offsetof(struct vm_sample, source) / sizeof(uint64_t))

/* Known only if both are. */
static struct growth sum(struct growth a, struct growth b)
{
	return (struct growth){a.known && b.known, a.value + b.value};
}

/* The first that is known. */
static struct growth either(struct growth a, struct growth b)
{
	return a.known ? a : b;
}

static void set(struct policy_input *input, struct growth growth, double uncertainty)
{
	if (growth.known)
		*input = (struct policy_input){
			.value = growth.value, .known = true, .uncertainty = uncertainty};
}

/* What was counted part of the time is scaled from it: so much of it nobody saw. */
static double unseen(const struct vm_sample *before, const struct vm_sample *now)
{
	struct growth enabled = SOURCE(perf_event, perf_time_enabled, 0);
	struct growth running = SOURCE(perf_event, perf_time_running, 0);

	if (!enabled.known || !running.known || !enabled.value || running.value >= enabled.value)
		return 0;
	return 1 - (double)running.value / (double)enabled.value;
}

static struct growth all_exits(const struct vm_sample *before, const struct vm_sample *now)
{
	struct growth all = {true, 0};

	for (int reason = 0; reason < KVM_EXIT_REASON_COUNT; reason++)
		all = sum(all, SOURCE(kvm_exits, exits, reason));
	return either(all, SOURCE(kvm, kvm_exits, 0));
}

/*
 * Cycles from exits to re-entries, but of HLT, which waits: each reason's exits at the mean of
 * those that were timed, lately or ever. *ret_untimed: the share of exits of which none ever was.
 */
static struct growth exit_cycles(const struct vm_sample *before, const struct vm_sample *now,
				 double frequency, double *ret_untimed)
{
	double nanoseconds = 0, all = 0, untimed = 0;

	for (int reason = 0; reason < KVM_EXIT_REASON_COUNT; reason++) {
		struct growth exits = SOURCE(kvm_exits, exits, reason);
		struct growth samples = SOURCE(kvm_exits, exit_samples, reason);
		struct growth time = SOURCE(kvm_exits, exit_time, reason);

		if (!exits.known || !samples.known || !time.known)
			return (struct growth){0};
		if (reason == KVM_EXIT_hlt || !exits.value)
			continue;
		if (!samples.value) {
			samples.value = now->kvm_exits.exit_samples[reason];
			time.value = now->kvm_exits.exit_time[reason];
		}
		all += (double)exits.value;
		if (samples.value)
			nanoseconds +=
				(double)exits.value * (double)time.value / (double)samples.value;
		else
			untimed += (double)exits.value;
	}
	*ret_untimed = all > 0 ? untimed / all : 0;
	return (struct growth){frequency > 0 && untimed < all,
			       (uint64_t)(nanoseconds * frequency / 1e9)};
}

static void set_of_shadow(const struct vm_sample *before, const struct vm_sample *now,
			  struct policy_input *inputs)
{
	struct growth invlpgs =
		either(SOURCE(kvm_exits, exits, KVM_EXIT_invlpg), SOURCE(kvm, kvm_invlpg, 0));
	struct growth cr3_loads = SOURCE(kvm_exits, exit_cr3_loads, 0);
	struct growth exits = sum(SOURCE(kvm_exits, exits, KVM_EXIT_page_fault),
				  SOURCE(kvm_exits, exits, KVM_EXIT_invpcid));

	set(&inputs[POLICY_INPUT_exits_mode], sum(exits, sum(invlpgs, cr3_loads)), 0);
	set(&inputs[POLICY_INPUT_guest_invlpgs], invlpgs, 0);
	set(&inputs[POLICY_INPUT_guest_cr3_loads], cr3_loads, 0);
	set(&inputs[POLICY_INPUT_guest_page_faults], SOURCE(kvm, kvm_pf_guest, 0), 0);
	set(&inputs[POLICY_INPUT_shadow_reflected], SOURCE(kvm, kvm_pf_guest, 0), 0);
	set(&inputs[POLICY_INPUT_shadow_fills], SOURCE(kvm, kvm_pf_fixed, 0), 0);
	set(&inputs[POLICY_INPUT_shadow_table_writes], SOURCE(kvm, kvm_mmu_pte_write, 0), 0);
	set(&inputs[POLICY_INPUT_shadow_unsyncs], SOURCE(kvm_exits, kvmmmu_unsyncs, 0), 0);
	set(&inputs[POLICY_INPUT_shadow_syncs], SOURCE(kvm_exits, kvmmmu_syncs, 0), 0);
	set(&inputs[POLICY_INPUT_shadow_remote_flushes], SOURCE(kvm, kvm_remote_tlb_flush, 0), 0);
}

void observed_inputs(const struct vm_sample *before, const struct vm_sample *now, size_t cpus,
		     enum umbra_mode mode, double frequency,
		     struct policy_input ret_inputs[POLICY_INPUT_COUNT])
{
	struct policy_input *inputs = ret_inputs;
	double scaled = unseen(before, now), untimed = 0;
	struct growth cycles = exit_cycles(before, now, frequency, &untimed);

	memset(inputs, 0, sizeof(*inputs) * POLICY_INPUT_COUNT);
	set(&inputs[POLICY_INPUT_cpus], (struct growth){cpus > 0, cpus}, 0);
	set(&inputs[POLICY_INPUT_instructions], SOURCE(perf_event, instructions, 0), scaled);
	set(&inputs[POLICY_INPUT_cycles], SOURCE(perf_event, cycles, 0), scaled);
	set(&inputs[POLICY_INPUT_walk_cycles], SOURCE(perf_event, walk_cycles, 0), scaled);
	set(&inputs[POLICY_INPUT_walks],
	    sum(SOURCE(perf_event, tlb_misses, UMBRA_ACCESS_instruction),
		SOURCE(perf_event, tlb_misses, UMBRA_ACCESS_data)),
	    scaled);
	set(&inputs[POLICY_INPUT_exits], all_exits(before, now), 0);
	set(&inputs[POLICY_INPUT_exit_cycles], cycles, untimed);
	/* An observed VM is never switched. */
	set(&inputs[POLICY_INPUT_refill_cycles], (struct growth){true, 0}, 0);
	set(&inputs[POLICY_INPUT_switch_cycles], (struct growth){true, 0}, 0);
	if (mode == UMBRA_MODE_SHADOW)
		set_of_shadow(before, now, inputs);
	if (mode == UMBRA_MODE_EPT) {
		set(&inputs[POLICY_INPUT_exits_mode],
		    SOURCE(kvm_exits, exits, KVM_EXIT_ept_violation), 0);
		set(&inputs[POLICY_INPUT_ept_fills], SOURCE(kvm, kvm_pf_fixed, 0), 0);
	}
}
