/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm_watch [--proc DIR] [--sys DIR] [--uevents no]: finds VMs and prints what it sees of them and
 * of KVM's statistics of them, for tests and benchmarks.
 *
 *   found NUMBER pid PID fd FD id ID name NAME process PROCESS unit UNIT vcpus ID:TID...
 *   changed NUMBER ...      the same
 *   vanished NUMBER
 *
 * A blank in a text is printed as '_'. It does what it reads on standard input, a line each, and
 * answers `ok` behind what is printed, and ends at the end of it:
 *   scan, refresh           as discovery.h has it
 *   thread PID TID VCPU     discovery_thread()
 *   state                   `discovery STATE` and `kvm STATE`
 *   sample                  a round of samples of KVM's statistics; of each VM and figure known
 *                             figure NUMBER NAME VALUE
 *                             other NUMBER NAME VALUE
 *   time ROUNDS             such rounds with discovery_refresh(): `round NANOSECONDS CPU`: the
 * median, and of CPU time the mean
 */
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "collectors/discovery.h"

enum { MAX_VMS = 4096 };

static void *kvm;
static const struct vm *vms[MAX_VMS];
static size_t nr_vms;
/* Of each number of struct umbra_kvm_counters. */
static const char *const names[] = {
#define ROWS_NONE(name)                                           #name,
#define ROWS_PAGE_SIZE(name)                                      #name "_4k", #name "_2m", #name "_1g",
#define UMBRA_COUNTER(name, unit, kind, dimension, exposed, help) ROWS_##dimension(name)
#include "umbra/kvm.def"
};

static void print_text(const char *name, const char *text)
{
	printf(" %s ", name);
	for (; *text; text++)
		putchar(*text == ' ' ? '_' : *text);
}

static void print_vm(const char *what, const struct vm *vm)
{
	printf("%s %u pid %d fd %d", what, vm->number, vm->pid, vm->fd);
	print_text("id", vm->id);
	print_text("name", vm->name);
	print_text("process", vm->process);
	print_text("unit", vm->unit);
	printf(" vcpus");
	for (size_t i = 0; i < vm->nr_vcpus; i++)
		printf(" %d:%d", vm->vcpus[i].id, vm->vcpus[i].tid);
	putchar('\n');
}

/* The largest number that was told. */
static uint32_t found;

static void updated(void *context, const struct vm *vm)
{
	print_vm(vm->number > found ? "found" : "changed", vm);
	if (vm->number > found && nr_vms < MAX_VMS)
		vms[nr_vms++] = vm;
	found = vm->number > found ? vm->number : found;
	kvm_collector.update(kvm, vm);
}

static void vanished(void *context, const struct vm *vm)
{
	size_t place = 0;

	printf("vanished %u\n", vm->number);
	kvm_collector.remove(kvm, vm);
	while (place < nr_vms && vms[place] != vm)
		place++;
	if (place < nr_vms)
		vms[place] = vms[--nr_vms];
}

static uint64_t time_of(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t now_ns(void)
{
	return time_of(CLOCK_MONOTONIC);
}

static void print_sample(const struct vm *vm, const struct vm_sample *sample)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (umbra_known_has(&sample->kvm_known, i))
			printf("figure %u %s %" PRIu64 "\n", vm->number, names[i],
			       ((const uint64_t *)&sample->kvm)[i]);
	}
	for (size_t i = 0; i < sample->nr_kvm_other; i++)
		printf("other %u %s %" PRIu64 "\n", vm->number, sample->kvm_other[i].name,
		       sample->kvm_other[i].value);
}

static void sample_all(bool print)
{
	static struct vm_sample sample;

	kvm_collector.begin(kvm, now_ns());
	for (size_t i = 0; i < nr_vms; i++) {
		memset(&sample, 0, sizeof(sample));
		kvm_collector.sample(kvm, vms[i], &sample);
		if (print)
			print_sample(vms[i], &sample);
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

static void time_rounds(struct discovery *discovery, size_t nr)
{
	uint64_t *took = calloc(nr, sizeof(*took)), begun, cpu = time_of(CLOCK_PROCESS_CPUTIME_ID);

	for (size_t i = 0; took && i < nr; i++) {
		begun = now_ns();
		discovery_refresh(discovery);
		sample_all(false);
		took[i] = now_ns() - begun;
	}
	cpu = time_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	if (took)
		qsort(took, nr, sizeof(*took), compare);
	printf("round %" PRIu64 " %" PRIu64 "\n", took ? took[nr / 2] : 0, cpu / nr);
	free(took);
}

static void obey(struct discovery *discovery, const char *line)
{
	struct vcpu_thread thread;
	size_t number;
	char state[COLLECTOR_STATE_MAX];

	if (!strcmp(line, "scan\n")) {
		discovery_scan(discovery);
	} else if (!strcmp(line, "refresh\n")) {
		discovery_refresh(discovery);
	} else if (sscanf(line, "thread %d %d %d", &thread.pid, &thread.tid, &thread.vcpu_id) ==
		   3) {
		discovery_thread(discovery, &thread);
	} else if (!strcmp(line, "state\n")) {
		discovery_state(discovery, state);
		printf("discovery %s\n", state);
		kvm_collector.state(kvm, state);
		printf("kvm %s\n", state);
	} else if (!strcmp(line, "sample\n")) {
		sample_all(true);
	} else if (sscanf(line, "time %zu", &number) == 1 && number) {
		time_rounds(discovery, number);
	} else {
		printf("unknown command\n");
	}
	puts("ok");
}

int main(int argc, char **argv)
{
	struct collector_settings settings = {0};
	struct discovery_config config = {
		.roots = {"/proc", "/sys"},
		.uevents = -1,
		.updated = updated,
		.vanished = vanished,
	};
	struct discovery *discovery;
	struct pollfd waits[2];
	int pair[2];
	char line[256];

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--proc"))
			config.roots.proc = argv[i + 1];
		else if (!strcmp(argv[i], "--sys"))
			config.roots.sys = argv[i + 1];
		else if (!strcmp(argv[i], "--uevents") &&
			 !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) &&
			 !close(pair[1]))
			config.uevents = pair[0]; /* it has ended */
		else
			return 64;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0); /* poll() sees only what was not read yet */
	settings.roots = config.roots;
	kvm = kvm_collector.create(&settings);
	discovery = discovery_create(&config);
	if (!kvm || !discovery)
		return 70;
	waits[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
	waits[1] = (struct pollfd){.fd = discovery_fd(discovery), .events = POLLIN};
	puts("ready");
	while (poll(waits, 2, -1) > 0) {
		if (waits[1].revents)
			discovery_read(discovery);
		if (waits[0].revents && !fgets(line, sizeof(line), stdin))
			break;
		if (waits[0].revents)
			obey(discovery, line);
	}
	discovery_destroy(discovery);
	kvm_collector.destroy(kvm);
	return 0;
}
