/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From two samples of a VM to what the policy sees: nothing is known that was not measured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/observed_inputs.h"

static struct vm_sample before, now;
static struct policy_input inputs[POLICY_INPUT_COUNT];

/* The counter had @from and has @to. */
#define GREW(source, counter, element, from, to)                                                   \
	do {                                                                                       \
		size_t index = (offsetof(struct vm_sample, source.counter[element]) -              \
				offsetof(struct vm_sample, source)) /                              \
			       sizeof(uint64_t);                                                   \
		before.source.counter[element] = from;                                             \
		now.source.counter[element] = to;                                                  \
		umbra_known_add(&before.source##_known, index);                                    \
		umbra_known_add(&now.source##_known, index);                                       \
	} while (0)

/* Exits for a @reason, of which @samples took so many @ns together; none before. */
#define TIMED(reason, nr, samples, ns)                                                             \
	do {                                                                                       \
		GREW(kvm_exits, exits, reason, 0, nr);                                             \
		GREW(kvm_exits, exit_samples, reason, 0, samples);                                 \
		GREW(kvm_exits, exit_time, reason, 0, ns);                                         \
	} while (0)

static int set_up(void **state)
{
	memset(&before, 0, sizeof(before));
	memset(&now, 0, sizeof(now));
	return 0;
}

static void fill(enum umbra_mode mode, double frequency)
{
	observed_inputs(&before, &now, 2, mode, frequency, inputs);
}

static void assert_known(enum policy_input_id id, uint64_t value)
{
	assert_true(inputs[id].known);
	assert_int_equal(inputs[id].value, value);
	assert_false(inputs[id].model_only);
}

static void nothing_measured_is_nothing_known(void **state)
{
	fill(UMBRA_MODE_SHADOW, 1e9);
	for (int i = 0; i < POLICY_INPUT_COUNT; i++) {
		if (i != POLICY_INPUT_cpus && i != POLICY_INPUT_refill_cycles &&
		    i != POLICY_INPUT_switch_cycles)
			assert_false(inputs[i].known);
	}
	assert_known(POLICY_INPUT_cpus, 2);
}

static void a_count_that_began_anew_is_not_known(void **state)
{
	GREW(kvm, kvm_pf_fixed, 0, 100, 99);
	fill(UMBRA_MODE_SHADOW, 0);
	assert_false(inputs[POLICY_INPUT_shadow_fills].known);
}

static void what_exits_in_one_mode_is_unknown_in_the_other(void **state)
{
	GREW(kvm_exits, exits, KVM_EXIT_page_fault, 10, 110);
	GREW(kvm_exits, exits, KVM_EXIT_invlpg, 0, 20);
	GREW(kvm_exits, exits, KVM_EXIT_invpcid, 0, 3);
	GREW(kvm_exits, exits, KVM_EXIT_ept_violation, 0, 7);
	GREW(kvm_exits, exit_cr3_loads, 0, 0, 1000);
	fill(UMBRA_MODE_SHADOW, 0);
	assert_known(POLICY_INPUT_exits_mode, 100 + 20 + 3 + 1000);
	assert_known(POLICY_INPUT_guest_cr3_loads, 1000);
	assert_known(POLICY_INPUT_guest_invlpgs, 20);
	fill(UMBRA_MODE_EPT, 0);
	assert_known(POLICY_INPUT_exits_mode, 7);
	assert_false(inputs[POLICY_INPUT_guest_cr3_loads].known);
	assert_false(inputs[POLICY_INPUT_guest_invlpgs].known);
	fill(UMBRA_MODE_COUNT, 0);
	assert_false(inputs[POLICY_INPUT_exits_mode].known);
}

static void misses_of_both_kinds_make_walks(void **state)
{
	GREW(perf_event, tlb_misses, UMBRA_ACCESS_data, 5, 25);
	fill(UMBRA_MODE_EPT, 0);
	assert_false(inputs[POLICY_INPUT_walks].known);
	GREW(perf_event, tlb_misses, UMBRA_ACCESS_instruction, 1, 4);
	fill(UMBRA_MODE_EPT, 0);
	assert_known(POLICY_INPUT_walks, 23);
}

static void what_was_multiplexed_is_as_uncertain_as_it_was_unseen(void **state)
{
	GREW(perf_event, cycles, 0, 0, 1000);
	GREW(perf_event, perf_time_enabled, 0, 0, 100);
	GREW(perf_event, perf_time_running, 0, 0, 75);
	fill(UMBRA_MODE_EPT, 0);
	assert_known(POLICY_INPUT_cycles, 1000);
	/* A third as much unseen as seen. */
	assert_float_equal(inputs[POLICY_INPUT_cycles].uncertainty, 0.1 / 3, 1e-9);
}

static void time_all_exits(void)
{
	for (int reason = 0; reason < KVM_EXIT_REASON_COUNT; reason++) {
		TIMED(reason, 0, 0, 0);
	}
}

/* 100 exits at 500 ns each and 10 at 2,000 ns, at 2 GHz; HLT waits and is no cost. */
static void exits_cost_the_mean_of_those_that_were_timed(void **state)
{
	time_all_exits();
	GREW(kvm_exits, exits, KVM_EXIT_cpuid, 50, 150);
	GREW(kvm_exits, exit_samples, KVM_EXIT_cpuid, 5, 15);
	GREW(kvm_exits, exit_time, KVM_EXIT_cpuid, 1, 5001);
	/* None was timed in this interval: the mean of all before counts. */
	GREW(kvm_exits, exits, KVM_EXIT_page_fault, 0, 10);
	GREW(kvm_exits, exit_samples, KVM_EXIT_page_fault, 4, 4);
	GREW(kvm_exits, exit_time, KVM_EXIT_page_fault, 8000, 8000);
	TIMED(KVM_EXIT_hlt, 5, 5, 1000000000);
	fill(UMBRA_MODE_SHADOW, 2e9);
	assert_known(POLICY_INPUT_exit_cycles, 2 * (100 * 500 + 10 * 2000));
	assert_known(POLICY_INPUT_exits, 115);
	assert_true(inputs[POLICY_INPUT_exit_cycles].uncertainty == 0);
	/* Without the processor's frequency a time is no number of cycles. */
	fill(UMBRA_MODE_SHADOW, 0);
	assert_false(inputs[POLICY_INPUT_exit_cycles].known);
}

static void exits_that_were_never_timed_make_the_cost_uncertain(void **state)
{
	time_all_exits();
	TIMED(KVM_EXIT_cpuid, 75, 75, 75000);
	GREW(kvm_exits, exits, KVM_EXIT_wrmsr, 0, 25);
	fill(UMBRA_MODE_EPT, 1e9);
	assert_known(POLICY_INPUT_exit_cycles, 75000);
	assert_float_equal(inputs[POLICY_INPUT_exit_cycles].uncertainty, 0.25, 1e-9);
}

/* A CR3 load takes the time of a CR access, of which there are more. */
static void exits_of_the_mode_have_a_time_of_their_own(void **state)
{
	time_all_exits();
	TIMED(KVM_EXIT_page_fault, 100, 10, 20000);
	TIMED(KVM_EXIT_cr_access, 50, 5, 5000);
	GREW(kvm_exits, exit_cr3_loads, 0, 0, 40);
	TIMED(KVM_EXIT_io_instruction, 1000, 100, 10000000);
	fill(UMBRA_MODE_SHADOW, 2e9);
	assert_known(POLICY_INPUT_exit_cycles_mode, 2 * (100 * 2000 + 40 * 1000));
	TIMED(KVM_EXIT_ept_violation, 30, 30, 30000);
	fill(UMBRA_MODE_EPT, 2e9);
	assert_known(POLICY_INPUT_exit_cycles_mode, 2 * 30 * 1000);
	fill(UMBRA_MODE_COUNT, 2e9);
	assert_false(inputs[POLICY_INPUT_exit_cycles_mode].known);
}

/* 3 seconds of exits, 2 of them for the mode's sake, of a thread that ran one. */
static void exits_take_no_more_than_the_threads_ran(void **state)
{
	time_all_exits();
	TIMED(KVM_EXIT_ept_violation, 20, 20, 2000000000);
	TIMED(KVM_EXIT_cpuid, 10, 10, 1000000000);
	GREW(perf_event, host_task_clock, 0, 0, 1000000000);
	fill(UMBRA_MODE_EPT, 3e9);
	assert_true(inputs[POLICY_INPUT_exit_cycles].known);
	assert_float_equal((double)inputs[POLICY_INPUT_exit_cycles].value, 3e9, 2);
	assert_float_equal((double)inputs[POLICY_INPUT_exit_cycles_mode].value, 2e9, 2);
	assert_float_equal(inputs[POLICY_INPUT_exit_cycles_mode].uncertainty, 2 / 3., 1e-9);
	/* As many as that are no trouble. */
	GREW(perf_event, host_task_clock, 0, 0, 4000000000);
	fill(UMBRA_MODE_EPT, 3e9);
	assert_known(POLICY_INPUT_exit_cycles, 9000000000);
	assert_true(inputs[POLICY_INPUT_exit_cycles].uncertainty == 0);
}

/* Four VMs on one CPU: three quarters of the time each waits, behind the host's tick. */
static void waiting_for_a_cpu_makes_no_exit_cheaper_or_guest_time_longer(void **state)
{
	time_all_exits();
	TIMED(KVM_EXIT_external_interrupt, 1000, 1000, 3000000000);
	TIMED(KVM_EXIT_page_fault, 100000, 100000, 200000000);
	GREW(kvm_exits, exit_cr3_loads, 0, 0, 0);
	GREW(perf_event, host_task_clock, 0, 0, 1000000000);
	GREW(perf_event, cycles, 0, 0, 1600000000);
	fill(UMBRA_MODE_SHADOW, 2e9);
	assert_known(POLICY_INPUT_exit_cycles_mode, 400000000);
	assert_true(inputs[POLICY_INPUT_exit_cycles_mode].uncertainty == 0);
	assert_known(POLICY_INPUT_exit_cycles, 400000000);
	assert_known(POLICY_INPUT_cycles, 2000000000);
}

static void what_is_computed_stays_within_its_bounds(void **state)
{
	time_all_exits();
	TIMED(KVM_EXIT_ept_violation, UINT64_MAX, 1, UINT64_MAX);
	GREW(perf_event, host_task_clock, 0, 0, UINT64_MAX);
	fill(UMBRA_MODE_EPT, 1e12);
	assert_known(POLICY_INPUT_exit_cycles, 1000000000000000000);
	assert_known(POLICY_INPUT_exit_cycles_mode, 1000000000000000000);
	assert_known(POLICY_INPUT_cycles, 1000000000000000000);
}

static void guest_time_is_that_of_exits_too(void **state)
{
	GREW(perf_event, cycles, 0, 0, 1000);
	time_all_exits();
	TIMED(KVM_EXIT_cpuid, 10, 1, 7);
	fill(UMBRA_MODE_EPT, 2e9);
	assert_known(POLICY_INPUT_cycles, 1000 + 10 * 7 * 2);
}

static void without_a_pmu_guest_time_is_what_the_threads_ran(void **state)
{
	GREW(perf_event, host_task_clock, 0, 1000, 3000);
	fill(UMBRA_MODE_EPT, 2.5e9);
	assert_known(POLICY_INPUT_cycles, 5000);
	assert_float_equal(inputs[POLICY_INPUT_cycles].uncertainty, 0.3, 1e-9);
	fill(UMBRA_MODE_EPT, 0);
	assert_false(inputs[POLICY_INPUT_cycles].known);
}

static void the_second_step_and_flushes_are_known_where_they_are_counted(void **state)
{
	GREW(perf_event, walk_cycles_nested, 0, 1, 8);
	GREW(perf_event, tlb_flush_attempts, 0, 2, 11);
	fill(UMBRA_MODE_EPT, 0);
	assert_known(POLICY_INPUT_walk_cycles_nested, 7);
	assert_known(POLICY_INPUT_tlb_flushes, 9);
}

static void statistics_of_kvm_alone_tell_most_of_the_modes_exits(void **state)
{
	GREW(kvm, kvm_pf_taken, 0, 0, 100);
	GREW(kvm, kvm_invlpg, 0, 0, 20);
	fill(UMBRA_MODE_SHADOW, 0);
	assert_known(POLICY_INPUT_exits_mode, 120);
	assert_float_equal(inputs[POLICY_INPUT_exits_mode].uncertainty, 0.5, 1e-9);
	assert_false(inputs[POLICY_INPUT_guest_cr3_loads].known);
	fill(UMBRA_MODE_EPT, 0);
	assert_known(POLICY_INPUT_exits_mode, 100);
}

/* KVM's own count stands in for reasons that nobody counts. */
static void all_exits_are_known_without_their_reasons(void **state)
{
	GREW(kvm, kvm_exits, 0, 1, 1001);
	fill(UMBRA_MODE_EPT, 0);
	assert_known(POLICY_INPUT_exits, 1000);
}

#define CLEAN(test) cmocka_unit_test_setup(test, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN(nothing_measured_is_nothing_known),
		CLEAN(a_count_that_began_anew_is_not_known),
		CLEAN(what_exits_in_one_mode_is_unknown_in_the_other),
		CLEAN(misses_of_both_kinds_make_walks),
		CLEAN(what_was_multiplexed_is_as_uncertain_as_it_was_unseen),
		CLEAN(exits_cost_the_mean_of_those_that_were_timed),
		CLEAN(exits_that_were_never_timed_make_the_cost_uncertain),
		CLEAN(exits_of_the_mode_have_a_time_of_their_own),
		CLEAN(exits_take_no_more_than_the_threads_ran),
		CLEAN(waiting_for_a_cpu_makes_no_exit_cheaper_or_guest_time_longer),
		CLEAN(what_is_computed_stays_within_its_bounds),
		CLEAN(guest_time_is_that_of_exits_too),
		CLEAN(without_a_pmu_guest_time_is_what_the_threads_ran),
		CLEAN(the_second_step_and_flushes_are_known_where_they_are_counted),
		CLEAN(statistics_of_kvm_alone_tell_most_of_the_modes_exits),
		CLEAN(all_exits_are_known_without_their_reasons),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
