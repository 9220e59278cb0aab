/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm_exits_watch [OPTION VALUE]...: the collector kvm_exits alone, for tests and benchmarks.
 *
 *   --way WAY      raw, classic: how exits are seen (the cheapest that works)
 *   --slots N      records at most (as many as there may be)
 *   --timing S/P   exits are timed in S of P seconds (0/0: never)
 *   --sys DIR      in the place of /sys
 *
 * Prints `state STATE` and does what it reads on standard input, a line each, answering `ok` behind
 * what is printed:
 *   vm NUMBER PID FD [ID:TID]...   there is this VM; FD -1: not known
 *   gone NUMBER                    there is no more
 *   round                          one round of samples; prints
 *                                    vm NUMBER METRIC[/REASON] VALUE   if it is known, and not 0
 *                                    known NUMBER METRIC               if it is known
 *                                    slot NUMBER REASON SLOT COUNT     if not 0
 *                                    own lost N unattributed N [runs N nanoseconds N]
 *                                    state STATE
 *   time                           as round, and prints `nanoseconds N`, what it took, only
 *   threads                        prints `thread PID TID ID` for what was not told before
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collectors/kvm_exits_programs.h"

enum { MAX_VMS = 1024 };

static const char *const reasons[] = {
#define KVM_EXIT_REASON(name, help) #name,
#include "collectors/exit_reasons.def"
};

static const struct {
	const char *name;
	size_t index, count;
} metrics[] = {
#define UMBRA_COUNTER(name, unit, kind, dimension, exposed, help)                                  \
	{#name, UMBRA_INDEX(struct kvm_exits_counters, name, 0),                                   \
	 UMBRA_DIMENSION_##dimension##_COUNT},
#include "collectors/kvm_exits.def"
};

static struct vm *vms[MAX_VMS];
static void *self;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void print_state(void)
{
	char state[COLLECTOR_STATE_MAX];

	kvm_exits_collector.state(self, state);
	printf("state %s\n", state);
}

static void add_vm(char *words)
{
	size_t number = strtoul(strsep(&words, " "), NULL, 10) % MAX_VMS;
	struct vm *vm = vms[number] ? vms[number] : calloc(1, sizeof(*vm));
	char *word;

	if (!vm)
		abort();
	vms[number] = vm;
	vm->number = (uint32_t)number;
	vm->pid = (pid_t)strtol(words ? strsep(&words, " ") : "0", NULL, 10);
	vm->fd = (int)strtol(words ? strsep(&words, " ") : "-1", NULL, 10);
	vm->nr_vcpus = 0;
	while ((word = strsep(&words, " "))) {
		struct vm_vcpu vcpu = {.id = (int)strtol(word, &word, 10)};

		vcpu.tid = *word == ':' ? (pid_t)strtol(word + 1, NULL, 10) : 0;
		vm->vcpus = realloc(vm->vcpus, (vm->nr_vcpus + 1) * sizeof(vcpu));
		if (!vm->vcpus)
			abort();
		vm->vcpus[vm->nr_vcpus++] = vcpu;
	}
	kvm_exits_collector.update(self, vm);
}

static void remove_vm(size_t number)
{
	struct vm *vm = vms[number % MAX_VMS];

	if (!vm)
		return;
	kvm_exits_collector.remove(self, vm);
	free(vm->vcpus);
	free(vm);
	vms[number % MAX_VMS] = NULL;
}

static void print_sample(const struct vm *vm, const struct vm_sample *sample)
{
	const uint64_t *values = (const uint64_t *)&sample->kvm_exits;

	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
		if (!umbra_known_has(&sample->kvm_exits_known, metrics[i].index))
			continue;
		printf("known %" PRIu32 " %s\n", vm->number, metrics[i].name);
		for (size_t j = 0; j < metrics[i].count; j++) {
			uint64_t value = values[metrics[i].index + j];

			if (value)
				printf("vm %" PRIu32 " %s%s%s %" PRIu64 "\n", vm->number,
				       metrics[i].name, metrics[i].count > 1 ? "/" : "",
				       metrics[i].count > 1 ? reasons[j] : "", value);
		}
	}
	for (size_t i = 0; i < KVM_EXIT_REASON_COUNT; i++) {
		for (size_t j = 0; j < EXIT_SLOT_COUNT; j++) {
			if (sample->exit_slots[i][j])
				printf("slot %" PRIu32 " %s %zu %" PRIu64 "\n", vm->number,
				       reasons[i], j, sample->exit_slots[i][j]);
		}
	}
}

static void do_round(bool print)
{
	struct collector_own own = {0};
	uint64_t begun = now_ns();

	kvm_exits_collector.begin(self, begun);
	for (size_t i = 0; i < MAX_VMS; i++) {
		static struct vm_sample sample;

		if (!vms[i])
			continue;
		memset(&sample, 0, sizeof(sample));
		kvm_exits_collector.sample(self, vms[i], &sample);
		if (print)
			print_sample(vms[i], &sample);
	}
	if (!print) {
		printf("nanoseconds %" PRIu64 "\n", now_ns() - begun);
		return;
	}
	kvm_exits_collector.own(self, &own);
	printf("own lost %" PRIu64 " unattributed %" PRIu64, own.lost, own.unattributed);
	if (own.has_runs)
		printf(" runs %" PRIu64 " nanoseconds %" PRIu64, own.run_count, own.run_time_ns);
	printf("\n");
	print_state();
}

static void print_threads(void)
{
	struct vcpu_thread threads[16];
	size_t count;

	do {
		count = kvm_exits_threads(self, threads, 16);
		for (size_t i = 0; i < count; i++)
			printf("thread %d %d %d\n", threads[i].pid, threads[i].tid,
			       threads[i].vcpu_id);
	} while (count);
}

static void obey(char *line)
{
	char *word = strsep(&line, " ");

	if (!strcmp(word, "vm") && line)
		add_vm(line);
	else if (!strcmp(word, "gone") && line)
		remove_vm(strtoul(line, NULL, 10));
	else if (!strcmp(word, "round"))
		do_round(true);
	else if (!strcmp(word, "time"))
		do_round(false);
	else if (!strcmp(word, "threads"))
		print_threads();
	else
		printf("error %s\n", word);
	printf("ok\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct kvm_exits_config config = {.roots = {"/proc", "/sys"}};
	struct collector_settings settings = {0};
	char line[65536];

	for (int i = 1; i + 1 < argc; i += 2) {
		const char *value = argv[i + 1];

		if (!strcmp(argv[i], "--way"))
			config.way = strcmp(value, "raw") ? KVM_EXITS_CLASSIC : KVM_EXITS_RAW;
		else if (!strcmp(argv[i], "--slots"))
			config.slots_max = (unsigned int)strtoul(value, NULL, 10);
		else if (!strcmp(argv[i], "--sys"))
			config.roots.sys = value;
		else if (strcmp(argv[i], "--timing") ||
			 sscanf(value, "%u/%u", &settings.timing_seconds,
				&settings.timing_period) != 2)
			return 64;
	}
	settings.roots = config.roots;
	self = kvm_exits_create(&settings, &config);
	if (!self)
		return 70;
	print_state();
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		obey(line);
	}
	for (size_t i = 0; i < MAX_VMS; i++)
		remove_vm(i);
	kvm_exits_collector.destroy(self);
	return 0;
}
