/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "daemon/configuration_guest.h"
#include "daemon/log.h"
#include "daemon/observed_advice.h"
#include "daemon/observed_inputs.h"

/* An interval that is shorter has too little in it. */
#define INTERVAL_MIN_NS (ADVICE_SECONDS * 500000000ULL)

#define KNOWN(counter, element)                                                                    \
	umbra_known_has(&sample->kvm_known,                                                        \
			UMBRA_INDEX(struct umbra_kvm_counters, counter, element))

static enum advice_kvm kvm_of(const struct kvm_host *kvm)
{
	if (!strcmp(kvm->module, "kvm_intel"))
		return ADVICE_KVM_INTEL;
	if (!strcmp(kvm->module, "kvm_amd"))
		return ADVICE_KVM_AMD;
	return kvm->available ? ADVICE_KVM_NO_HARDWARE : ADVICE_KVM_UNKNOWN;
}

static enum advice_thp thp_of(const struct kvm_host *kvm)
{
	static const char *const names[] = {
		[ADVICE_THP_NEVER] = "never",
		[ADVICE_THP_MADVISE] = "madvise",
		[ADVICE_THP_ALWAYS] = "always",
	};

	for (int thp = ADVICE_THP_NEVER; thp <= ADVICE_THP_ALWAYS; thp++) {
		if (!strcmp(kvm->transparent_hugepage, names[thp]))
			return thp;
	}
	return ADVICE_THP_UNKNOWN;
}

/* NULL: out of memory. */
static const struct umbra_cost_table *costs_of_host(struct observed *observed, const char *file)
{
	const char *processor = *observed->host.processor ? observed->host.processor : "unknown";
	struct complaints complaints = {0};

	if (observed->costs && strcmp(observed->costs->table.processor, processor))
		observed_forget_costs(observed);
	if (observed->costs)
		return &observed->costs->table;
	/* The table borrows the name. */
	snprintf(observed->costs_processor, sizeof(observed->costs_processor), "%s", processor);
	observed->costs = config_costs_create(observed->costs_processor, file, &complaints);
	if (!observed->costs) {
		log_write(LOG_WARNING, NULL, "costs of the host's processor: %s cannot be used",
			  *file ? file : "they");
		observed->costs = config_costs_create(observed->costs_processor, "", &complaints);
	}
	complaints_free(&complaints);
	return observed->costs ? &observed->costs->table : NULL;
}

void observed_forget_costs(struct observed *observed)
{
	config_costs_unref(observed->costs);
	observed->costs = NULL;
}

static void put_pages(const struct vm_sample *sample, struct advice_input *input)
{
	input->pages_known = true;
	for (int size = 0; size < UMBRA_PAGE_SIZE_COUNT; size++) {
		input->pages_known = input->pages_known && KNOWN(kvm_pages, size);
		input->pages[size] = sample->kvm.kvm_pages[size];
	}
	input->nx_splits_known = KNOWN(kvm_nx_lpage_splits, 0);
	input->nx_splits = sample->kvm.kvm_nx_lpage_splits[0];
}

/* What concerns the VM alone. */
static void advise_one(const struct observed *observed, const struct kvm_host *kvm,
		       const struct umbra_cost_table *costs, struct observed_vm *vm)
{
	struct advice_input input = {
		.seconds = (double)(vm->sample.time - vm->before.time) / 1e9,
		.mode_known = kvm->mode != UMBRA_MODE_COUNT,
		.mode = kvm->mode,
		.kvm = kvm_of(kvm),
		.cost = costs,
		.frequency = observed->host.frequency,
		.thp = thp_of(kvm),
		.perf_event_state = observed->collectors[CONFIG_COLLECTOR_PERF_EVENT].state,
		.kvm_exits_state = observed->collectors[CONFIG_COLLECTOR_KVM_EXITS].state,
		.kvm_state = observed->collectors[CONFIG_COLLECTOR_KVM].state,
	};

	if (!vm->advice)
		vm->advice = malloc(sizeof(*vm->advice));
	if (!vm->advice)
		return;
	observed_inputs(&vm->before, &vm->sample, vm->vm.nr_vcpus, kvm->mode,
			observed->host.frequency, input.inputs);
	put_pages(&vm->sample, &input);
	advice_make(&input, vm->advice);
}

/* What would be best for all of them together. */
static void advise_host(const struct observed *observed, const struct kvm_host *kvm)
{
	struct advice nothing_known = {.mode = UMBRA_MODE_COUNT};
	struct advice **all = calloc(observed->nr_vms + 1, sizeof(struct advice *));

	if (!all)
		return;
	for (size_t i = 0; i < observed->nr_vms; i++)
		all[i] = observed->vms[i]->advice ? observed->vms[i]->advice : &nothing_known;
	advice_host_mode(kvm_of(kvm), all, observed->nr_vms);
	free(all);
}

void observed_advise(struct observed *observed, const struct kvm_host *kvm, const char *costs_file,
		     uint64_t now)
{
	const struct umbra_cost_table *costs;

	if (!observed->nr_vms || now - observed->advised < ADVICE_SECONDS)
		return;
	costs = costs_of_host(observed, costs_file);
	if (!costs)
		return;
	observed->advised = now;
	for (size_t i = 0; i < observed->nr_vms; i++) {
		struct observed_vm *vm = observed->vms[i];

		if (vm->sampled && vm->sample.time >= vm->before.time + INTERVAL_MIN_NS) {
			advise_one(observed, kvm, costs, vm);
			vm->before = vm->sample;
			continue;
		}
		/* It has just been found, or is sampled no more: what was said is no longer so. */
		free(vm->advice);
		vm->advice = NULL;
	}
	advise_host(observed, kvm);
}
