/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <string.h>

#include "daemon/observed_inputs.h"

#define COUNT_MAX 1e18

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

/* A count of what was computed; no counter of a kernel that is not broken comes near the bound. */
static struct growth computed(double value)
{
	return (struct growth){true, (uint64_t)(value < COUNT_MAX ? value : COUNT_MAX)};
}

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

/* Groups of events take turns of milliseconds: of as much unseen as seen a tenth is unsure. */
#define UNSURE_SCALED 0.1
/* Time that threads ran is cycles at the nominal frequency, which the processor seldom keeps. */
#define UNSURE_FREQUENCY 0.3

/* KVM's statistics have page faults and INVLPGs, but no CR3 loads. */
#define UNSURE_PARTIAL 0.5

/* What was counted part of the time is scaled from it. */
static double unseen(const struct vm_sample *before, const struct vm_sample *now)
{
	struct growth enabled = SOURCE(perf_event, perf_time_enabled, 0);
	struct growth running = SOURCE(perf_event, perf_time_running, 0);

	if (!enabled.known || !running.known || !running.value || running.value >= enabled.value)
		return 0;
	return UNSURE_SCALED * (double)(enabled.value - running.value) / (double)running.value;
}

static struct growth all_exits(const struct vm_sample *before, const struct vm_sample *now)
{
	struct growth all = {true, 0};

	for (int reason = 0; reason < KVM_EXIT_REASON_COUNT; reason++)
		all = sum(all, SOURCE(kvm_exits, exits, reason));
	return either(all, SOURCE(kvm, kvm_exits, 0));
}

/* What exits of some reasons took. */
struct exit_times {
	bool known;
	double cycles;
	double all, untimed; /* exits; those of reasons of which none was ever timed */
};

/* @exits of @reason at the mean time of those that were timed, lately or ever. */
static void add_times(const struct vm_sample *before, const struct vm_sample *now,
		      enum kvm_exit_reason reason, struct growth exits, double frequency,
		      struct exit_times *times)
{
	struct growth samples = SOURCE(kvm_exits, exit_samples, reason);
	struct growth time = SOURCE(kvm_exits, exit_time, reason);

	times->known = times->known && exits.known && samples.known && time.known;
	if (!times->known || !exits.value)
		return;
	if (!samples.value) {
		samples.value = now->kvm_exits.exit_samples[reason];
		time.value = now->kvm_exits.exit_time[reason];
	}
	times->all += (double)exits.value;
	if (samples.value)
		times->cycles += (double)exits.value * (double)time.value / (double)samples.value *
				 frequency / 1e9;
	else
		times->untimed += (double)exits.value;
}

/*
 * From exits to re-entries, but of what waits: HLT, and interrupts of the host, behind which a
 * thread has to leave its CPU to others.
 */
static struct exit_times times_of_all(const struct vm_sample *before, const struct vm_sample *now,
				      double frequency)
{
	struct exit_times times = {.known = frequency > 0};

	for (int reason = 0; reason < KVM_EXIT_REASON_COUNT; reason++) {
		if (reason != KVM_EXIT_hlt && reason != KVM_EXIT_external_interrupt)
			add_times(before, now, reason, SOURCE(kvm_exits, exits, reason), frequency,
				  &times);
	}
	return times;
}

/* Of those that are there for the mode's sake. */
static struct exit_times times_of_mode(const struct vm_sample *before, const struct vm_sample *now,
				       enum umbra_mode mode, double frequency)
{
	static const enum kvm_exit_reason of_shadow[] = {KVM_EXIT_page_fault, KVM_EXIT_invlpg,
							 KVM_EXIT_invpcid};
	struct exit_times times = {.known = frequency > 0 && mode != UMBRA_MODE_COUNT};

	if (mode == UMBRA_MODE_EPT)
		add_times(before, now, KVM_EXIT_ept_violation,
			  SOURCE(kvm_exits, exits, KVM_EXIT_ept_violation), frequency, &times);
	if (mode != UMBRA_MODE_SHADOW)
		return times;
	for (size_t i = 0; i < sizeof(of_shadow) / sizeof(of_shadow[0]); i++)
		add_times(before, now, of_shadow[i], SOURCE(kvm_exits, exits, of_shadow[i]),
			  frequency, &times);
	add_times(before, now, KVM_EXIT_cr_access, SOURCE(kvm_exits, exit_cr3_loads, 0), frequency,
		  &times);
	return times;
}

/*
 * A thread that loses its CPU in an exit is timed on: all exits together took no more than the
 * threads ran. What was taken off is unsure.
 */
static double share_on_cpu(const struct vm_sample *before, const struct vm_sample *now,
			   const struct exit_times *all, double frequency)
{
	struct growth ran = SOURCE(perf_event, host_task_clock, 0);
	double cycles = (double)ran.value * frequency / 1e9;

	return ran.known && all->known && all->cycles > cycles ? cycles / all->cycles : 1;
}

static void set_times(struct policy_input *input, const struct exit_times *times, double on_cpu)
{
	double untimed = times->all > 0 ? times->untimed / times->all : 0;

	if (times->known && (times->untimed < times->all || !times->all))
		set(input, computed(times->cycles * on_cpu), untimed + 1 - on_cpu);
}

/* In guest mode and, where that is known, in exits; else all that the threads ran. */
static void set_cycles(const struct vm_sample *before, const struct vm_sample *now,
		       double frequency, double scaled, struct policy_input *inputs)
{
	struct growth guest = SOURCE(perf_event, cycles, 0);
	struct growth ran = SOURCE(perf_event, host_task_clock, 0);

	if (guest.known) {
		guest.value += inputs[POLICY_INPUT_exit_cycles].value;
		set(&inputs[POLICY_INPUT_cycles], guest, scaled);
	} else if (ran.known && frequency > 0) {
		set(&inputs[POLICY_INPUT_cycles], computed((double)ran.value * frequency / 1e9),
		    UNSURE_FREQUENCY);
	}
}

static void set_of_shadow(const struct vm_sample *before, const struct vm_sample *now,
			  struct policy_input *inputs)
{
	struct growth invlpgs =
		either(SOURCE(kvm_exits, exits, KVM_EXIT_invlpg), SOURCE(kvm, kvm_invlpg, 0));
	struct growth cr3_loads = SOURCE(kvm_exits, exit_cr3_loads, 0);
	struct growth faults = SOURCE(kvm, kvm_pf_guest, 0);
	struct growth exits = sum(SOURCE(kvm_exits, exits, KVM_EXIT_page_fault),
				  SOURCE(kvm_exits, exits, KVM_EXIT_invpcid));

	exits = sum(exits, sum(invlpgs, cr3_loads));
	set(&inputs[POLICY_INPUT_exits_mode], sum(SOURCE(kvm, kvm_pf_taken, 0), invlpgs),
	    UNSURE_PARTIAL);
	set(&inputs[POLICY_INPUT_exits_mode], exits, 0);
	set(&inputs[POLICY_INPUT_guest_invlpgs], invlpgs, 0);
	set(&inputs[POLICY_INPUT_guest_cr3_loads], cr3_loads, 0);
	set(&inputs[POLICY_INPUT_guest_page_faults], faults, 0);
	set(&inputs[POLICY_INPUT_shadow_reflected], faults, 0);
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
	double scaled = unseen(before, now);
	struct exit_times all = times_of_all(before, now, frequency);
	struct exit_times own = times_of_mode(before, now, mode, frequency);
	double on_cpu = share_on_cpu(before, now, &all, frequency);

	memset(inputs, 0, sizeof(*inputs) * POLICY_INPUT_COUNT);
	set(&inputs[POLICY_INPUT_cpus], (struct growth){cpus > 0, cpus}, 0);
	set(&inputs[POLICY_INPUT_instructions], SOURCE(perf_event, instructions, 0), scaled);
	set(&inputs[POLICY_INPUT_walk_cycles], SOURCE(perf_event, walk_cycles, 0), scaled);
	set(&inputs[POLICY_INPUT_walk_cycles_nested], SOURCE(perf_event, walk_cycles_nested, 0),
	    scaled);
	set(&inputs[POLICY_INPUT_tlb_flushes], SOURCE(perf_event, tlb_flush_attempts, 0), scaled);
	set(&inputs[POLICY_INPUT_walks],
	    sum(SOURCE(perf_event, tlb_misses, UMBRA_ACCESS_instruction),
		SOURCE(perf_event, tlb_misses, UMBRA_ACCESS_data)),
	    scaled);
	set(&inputs[POLICY_INPUT_exits], all_exits(before, now), 0);
	set_times(&inputs[POLICY_INPUT_exit_cycles], &all, on_cpu);
	set_times(&inputs[POLICY_INPUT_exit_cycles_mode], &own, on_cpu);
	set_cycles(before, now, frequency, scaled, inputs);
	/* An observed VM is never switched. */
	set(&inputs[POLICY_INPUT_refill_cycles], (struct growth){true, 0}, 0);
	set(&inputs[POLICY_INPUT_switch_cycles], (struct growth){true, 0}, 0);
	if (mode == UMBRA_MODE_SHADOW)
		set_of_shadow(before, now, inputs);
	if (mode == UMBRA_MODE_EPT) {
		/* KVM's statistic has those for devices' memory too, which are few. */
		set(&inputs[POLICY_INPUT_exits_mode],
		    either(SOURCE(kvm_exits, exits, KVM_EXIT_ept_violation),
			   SOURCE(kvm, kvm_pf_taken, 0)),
		    0);
		set(&inputs[POLICY_INPUT_ept_fills], SOURCE(kvm, kvm_pf_fixed, 0), 0);
	}
}
