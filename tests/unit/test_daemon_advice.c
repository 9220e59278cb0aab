/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When umbrad makes advice on VMs of other programs, and of what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/configuration_guest.h"
#include "daemon/observed_advice.h"
#include "policy/advice.h"

#define SECOND 1000000000ULL

static struct observed observed;
static struct observed_vm *vms[3];
static struct kvm_host kvm;

static int set_up(void **state)
{
	observed = (struct observed){.vms = vms, .nr_vms = 2, .host = {"zen3", 2e9}};
	for (size_t i = 0; i < 3; i++) {
		vms[i] = calloc(1, sizeof(*vms[i]));
		vms[i]->vm.nr_vcpus = 1;
	}
	for (int i = 0; i < CONFIG_COLLECTOR_COUNT; i++)
		strcpy(observed.collectors[i].state, "ok");
	strcpy(observed.collectors[CONFIG_COLLECTOR_PERF_EVENT].state, "denied: not today");
	kvm = (struct kvm_host){.available = true,
				.module = "kvm_amd",
				.mode = UMBRA_MODE_EPT,
				.transparent_hugepage = "never"};
	return 0;
}

static int tear_down(void **state)
{
	observed_forget_costs(&observed);
	for (size_t i = 0; i < 3; i++) {
		free(vms[i]->advice);
		free(vms[i]);
	}
	return 0;
}

/* The VM's sample at @second, as observed.c takes it; its threads ran all the time. */
static void take(struct observed_vm *vm, uint64_t second)
{
	vm->sample.time = second * SECOND;
	vm->sample.perf_event.host_task_clock[0] = second * SECOND;
	umbra_known_add(&vm->sample.perf_event_known,
			UMBRA_INDEX(struct perf_event_counters, host_task_clock, 0));
	if (!vm->sampled)
		vm->before = vm->sample;
	vm->sampled = true;
}

#define PERF(counter, element, each)                                                               \
	do {                                                                                       \
		size_t index = UMBRA_INDEX(struct perf_event_counters, counter, element);          \
		umbra_known_add(&vm->before.perf_event_known, index);                              \
		umbra_known_add(&vm->sample.perf_event_known, index);                              \
		vm->sample.perf_event.counter[element] =                                           \
			vm->before.perf_event.counter[element] + (each);                           \
	} while (0)

/* It had @walks misses of the TLB since its interval began, and nothing else to speak of. */
static void walk(struct observed_vm *vm, uint64_t walks)
{
	size_t index = UMBRA_INDEX(struct umbra_kvm_counters, kvm_pf_taken, 0);

	PERF(cycles, 0, 20 * SECOND);
	PERF(tlb_misses, UMBRA_ACCESS_data, walks);
	PERF(tlb_misses, UMBRA_ACCESS_instruction, 0);
	PERF(tlb_flush_attempts, 0, 10);
	umbra_known_add(&vm->before.kvm_known, index);
	umbra_known_add(&vm->sample.kvm_known, index);
}

static void advise_at(uint64_t second, const char *costs_file)
{
	observed_advise(&observed, &kvm, costs_file, second);
}

static const struct advice_recommendation *recommended(const struct observed_vm *vm,
						       const char *action)
{
	for (size_t i = 0; i < vm->advice->nr_recommendations; i++) {
		if (!strcmp(vm->advice->recommendations[i].action, action))
			return &vm->advice->recommendations[i];
	}
	return NULL;
}

static void advice_waits_for_an_interval_and_is_made_anew_after_the_next(void **state)
{
	take(vms[0], 100);
	advise_at(101, "");
	assert_null(vms[0]->advice);
	take(vms[0], 104);
	advise_at(105, "");
	assert_null(vms[0]->advice);
	take(vms[0], 111);
	advise_at(111, "");
	assert_non_null(vms[0]->advice);
	assert_true(vms[0]->advice->guest_known);
	assert_int_equal(vms[0]->before.time, 111 * SECOND);
	/* Not of the same time again. */
	take(vms[0], 115);
	vms[0]->advice->guest_known = false;
	advise_at(115, "");
	assert_false(vms[0]->advice->guest_known);
	take(vms[0], 121);
	advise_at(121, "");
	assert_true(vms[0]->advice->guest_known);
}

static void of_a_vm_that_is_sampled_no_more_nothing_is_said(void **state)
{
	take(vms[0], 100);
	take(vms[0], 110);
	advise_at(110, "");
	assert_non_null(vms[0]->advice);
	advise_at(120, "");
	assert_null(vms[0]->advice);
	take(vms[0], 121);
	advise_at(130, "");
	assert_non_null(vms[0]->advice);
}

static void the_hosts_kvm_says_which_mode_is_on(void **state)
{
	static const struct {
		const char *module;
		enum umbra_mode mode;
		const char *reason;
	} cases[] = {
		{"kvm_amd", UMBRA_MODE_EPT, "page walks are not measured: denied: not today"},
		{"kvm_pvm", UMBRA_MODE_SHADOW, "no hardware virtualization"},
		{"", UMBRA_MODE_COUNT, "which mode is on is not known"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t time = 1000 * (i + 1);

		strcpy(kvm.module, cases[i].module);
		kvm.mode = cases[i].mode;
		take(vms[0], time);
		take(vms[0], time + 10);
		advise_at(time + 10, "");
		assert_int_equal(vms[0]->advice->mode, cases[i].mode);
		assert_non_null(strstr(vms[0]->advice->reason, cases[i].reason));
	}
}

static void pages_come_from_kvms_statistics_and_huge_ones_from_the_host(void **state)
{
	struct vm_sample *sample = &vms[0]->sample;

	take(vms[0], 100);
	take(vms[0], 110);
	sample->kvm.kvm_pages[UMBRA_PAGE_4k] = 100000;
	for (int i = 0; i < UMBRA_PAGE_SIZE_COUNT; i++)
		umbra_known_add(&sample->kvm_known,
				UMBRA_INDEX(struct umbra_kvm_counters, kvm_pages, i));
	sample->kvm.kvm_nx_lpage_splits[0] = 5;
	umbra_known_add(&sample->kvm_known,
			UMBRA_INDEX(struct umbra_kvm_counters, kvm_nx_lpage_splits, 0));
	advise_at(110, "");
	assert_non_null(recommended(vms[0], "huge_pages"));
	assert_non_null(
		strstr(recommended(vms[0], "huge_pages")->how, "transparent huge pages are off"));
	assert_non_null(recommended(vms[0], "nx_huge_pages"));
}

/* 100 million walks of two steps of 1.1 references of 20 cycles, in ten seconds. */
static void costs_are_those_of_the_hosts_processor_and_the_file(void **state)
{
	char path[] = "/tmp/umbra-costs-XXXXXX";
	FILE *file = fdopen(mkstemp(path), "w");

	assert_non_null(file);
	fputs("[zen3]\nwalk_reference = 30\n", file);
	fclose(file);
	take(vms[0], 100);
	take(vms[0], 110);
	walk(vms[0], 100000000);
	advise_at(110, "");
	assert_true(vms[0]->advice->cost[UMBRA_MODE_EPT].walks_known);
	assert_float_equal(vms[0]->advice->cost[UMBRA_MODE_EPT].walks_per_second, 44 * 1e7, 1);
	/* The file is read when the configuration is read anew. */
	for (int i = 0; i < 2; i++) {
		take(vms[0], 120 + 10 * i);
		walk(vms[0], 100000000);
		advise_at(120 + 10 * i, path);
		assert_float_equal(vms[0]->advice->cost[UMBRA_MODE_EPT].walks_per_second,
				   (i ? 66 : 44) * 1e7, 1);
		observed_forget_costs(&observed);
	}
	/* What is wrong in it leaves the processor's own. */
	assert_int_equal(unlink(path), 0);
	take(vms[0], 140);
	walk(vms[0], 100000000);
	advise_at(140, path);
	assert_float_equal(vms[0]->advice->cost[UMBRA_MODE_EPT].walks_per_second, 44 * 1e7, 1);
	/* Another umbra-collect may come from another host. */
	strcpy(observed.host.processor, "skylake");
	take(vms[0], 150);
	advise_at(150, "");
	assert_string_equal(observed.costs->table.processor, "skylake");
}

static void a_vm_that_is_not_judged_yet_holds_the_hosts_mode(void **state)
{
	take(vms[0], 100);
	take(vms[0], 110);
	walk(vms[0], 300000000);
	take(vms[1], 108);
	advise_at(110, "");
	assert_null(vms[1]->advice);
	assert_true(vms[0]->advice->better_known);
	assert_int_equal(vms[0]->advice->better, UMBRA_MODE_SHADOW);
	assert_non_null(strstr(recommended(vms[0], "mode")->reason, "of 1 of the host's 2 VMs"));
	for (size_t i = 0; i < 2; i++) {
		take(vms[i], 120);
		walk(vms[i], 300000000);
	}
	advise_at(120, "");
	for (size_t i = 0; i < 2; i++) {
		assert_non_null(strstr(recommended(vms[i], "mode")->reason,
				       "shadow would cost the host's 2 VMs less"));
		assert_non_null(strstr(recommended(vms[i], "mode")->how, "kvm_amd npt=0"));
	}
}

#define CLEAN(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLEAN(advice_waits_for_an_interval_and_is_made_anew_after_the_next),
		CLEAN(of_a_vm_that_is_sampled_no_more_nothing_is_said),
		CLEAN(the_hosts_kvm_says_which_mode_is_on),
		CLEAN(pages_come_from_kvms_statistics_and_huge_ones_from_the_host),
		CLEAN(costs_are_those_of_the_hosts_processor_and_the_file),
		CLEAN(a_vm_that_is_not_judged_yet_holds_the_hosts_mode),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
