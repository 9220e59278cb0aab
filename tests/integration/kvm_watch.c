/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm_watch [--proc DIR] [--sys DIR] [--uevents no]: finds VMs and prints what it sees of them, for
 * tests.
 *
 *   found NUMBER pid PID fd FD id ID name NAME process PROCESS unit UNIT vcpus ID:TID...
 *   changed NUMBER ...      the same
 *   vanished NUMBER
 *
 * A blank in a text is printed as '_'. It does what it reads on standard input, a line each, and
 * answers `ok` behind what is printed, and ends at the end of it:
 *   scan, refresh           as discovery.h has it
 *   thread PID TID VCPU     discovery_thread()
 *   state                   `discovery STATE`
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collectors/discovery.h"

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
	found = vm->number > found ? vm->number : found;
}

static void vanished(void *context, const struct vm *vm)
{
	printf("vanished %u\n", vm->number);
}

static void obey(struct discovery *discovery, const char *line)
{
	struct vcpu_thread thread;
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
	} else {
		printf("unknown command\n");
	}
	puts("ok");
}

int main(int argc, char **argv)
{
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
	discovery = discovery_create(&config);
	if (!discovery)
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
	return 0;
}
