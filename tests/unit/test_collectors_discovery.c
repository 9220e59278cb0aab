/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMs found in fake trees of /proc and /sys and by events of a socket that the test writes to. */
#define _GNU_SOURCE /* nftw() */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "collectors/discovery.h"
#include "collectors/observer.h"
#include "collectors/uevent.h"

enum { TEXT_MAX = 4096 };

static char root[64], proc[80], sys[80];
static struct discovery *discovery;
static int events[2] = {-1, -1};
/* What was told, a line each: "+ID NAME pid:fd vcpu:tid...", "=..." changed, "-ID". */
static char told[1 << 16];

/* --- trees ------------------------------------------------------------------------------------ */

static void make_folder(const char *path)
{
	char part[256];

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		if (mkdir(part, 0755))
			assert_int_equal(errno, EEXIST);
	}
}

/* Below @base; folders are made. */
__attribute__((format(printf, 3, 4))) static void write_file(const char *base, const char *text,
							     const char *format, ...)
{
	char name[128], path[256];
	va_list arguments;
	int fd;

	va_start(arguments, format);
	vsnprintf(name, sizeof(name), format, arguments);
	va_end(arguments);
	snprintf(path, sizeof(path), "%s/%s", base, name);
	make_folder(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void write_command(int pid, const char *command)
{
	char path[256], text[TEXT_MAX];
	size_t length = strlen(command);
	int fd;

	snprintf(path, sizeof(path), "%s/%d/cmdline", proc, pid);
	for (size_t i = 0; i < length; i++)
		text[i] = command[i] == '|' ? '\0' : command[i];
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_int_equal(write(fd, text, length), length);
	close(fd);
}

static void make_process(int pid, const char *name, unsigned int start)
{
	char text[TEXT_MAX];

	snprintf(text, sizeof(text), "%d (%s) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %u 9\n",
		 pid, name, start);
	write_file(proc, text, "%d/stat", pid);
	snprintf(text, sizeof(text), "Name:\t%s\nTgid:\t%d\nPid:\t%d\n", name, pid, pid);
	write_file(proc, text, "%d/status", pid);
	write_file(proc, "0::/\n", "%d/cgroup", pid);
	write_file(proc, "", "%d/fd/.keep", pid);
	write_command(pid, name);
}

static void make_thread(int pid, int tid)
{
	char text[TEXT_MAX];

	snprintf(text, sizeof(text), "Name:\tx\nTgid:\t%d\nPid:\t%d\n", pid, tid);
	write_file(proc, text, "%d/status", tid);
}

static void make_descriptor(int pid, int fd, const char *target)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%d/fd/%d", proc, pid, fd);
	unlink(path);
	assert_int_equal(symlink(target, path), 0);
}

static void close_descriptor(int pid, int fd)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%d/fd/%d", proc, pid, fd);
	assert_int_equal(unlink(path), 0);
}

static void make_debugfs(int tid, int fd)
{
	write_file(sys, "0\n", "kernel/debug/kvm/%d-%d/exits", tid, fd);
}

static void make_vcpu(int tid, int fd, int id, int thread)
{
	char text[32];

	snprintf(text, sizeof(text), "%d\n", thread);
	write_file(sys, text, "kernel/debug/kvm/%d-%d/vcpu%d/pid", tid, fd, id);
}

static int delete_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	return remove(path);
}

__attribute__((format(printf, 2, 3))) static void delete_tree(const char *base, const char *format,
							      ...)
{
	char name[128], path[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(name, sizeof(name), format, arguments);
	va_end(arguments);
	snprintf(path, sizeof(path), "%s/%s", base, name);
	nftw(path, delete_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- what is told ----------------------------------------------------------------------------- */

static void append(const char *sign, const struct vm *vm)
{
	size_t length = strlen(told);

	if (length > sizeof(told) - TEXT_MAX)
		return;
	length += (size_t)snprintf(told + length, sizeof(told) - length, "%s%s", sign, vm->id);
	if (*sign != '-') {
		length += (size_t)snprintf(told + length, sizeof(told) - length, " %s %d:%d",
					   vm->name, vm->pid, vm->fd);
		for (size_t i = 0; i < vm->nr_vcpus; i++)
			length += (size_t)snprintf(told + length, sizeof(told) - length, " %d:%d",
						   vm->vcpus[i].id, vm->vcpus[i].tid);
	}
	snprintf(told + length, sizeof(told) - length, "\n");
}

static void updated(void *context, const struct vm *vm)
{
	uint32_t *last = context;

	append(vm->number > *last ? "+" : "=", vm);
	*last = vm->number > *last ? vm->number : *last;
}

static void vanished(void *context, const struct vm *vm)
{
	append("-", vm);
}

/* All that was told since the last call. */
#define assert_told(expected)                                                                      \
	do {                                                                                       \
		assert_string_equal(told, expected);                                               \
		told[0] = '\0';                                                                    \
	} while (0)

/* Pairs are divided by '|'. */
static void send_event(const char *text)
{
	char message[TEXT_MAX];
	size_t length = strlen(text) + 1;

	memcpy(message, text, length);
	for (size_t i = 0; i < length; i++)
		message[i] = message[i] == '|' ? '\0' : message[i];
	assert_int_equal(send(events[1], message, length, 0), length);
}

static void send_kvm_event(const char *event, int tid, int fd)
{
	char text[TEXT_MAX];

	snprintf(text, sizeof(text),
		 "change@/devices/virtual/misc/kvm|ACTION=change|"
		 "DEVPATH=/devices/virtual/misc/kvm|SUBSYSTEM=misc|CREATED=1|COUNT=1|EVENT=%s|"
		 "PID=%d|STATS_PATH=/kvm/%d-%d|SEQNUM=1",
		 event, tid, tid, fd);
	send_event(text);
}

static void read_events(void)
{
	struct pollfd wait = {.fd = discovery_fd(discovery), .events = POLLIN};

	assert_int_equal(poll(&wait, 1, 20000), 1);
	discovery_read(discovery);
}

static void assert_state(const char *part)
{
	char text[COLLECTOR_STATE_MAX];

	discovery_state(discovery, text);
	if (!strstr(text, part))
		fail_msg("%s: not in: %s", part, text);
}

static int begin(void **state)
{
	static uint32_t last;
	struct discovery_config config = {
		.roots = {proc, sys},
		.updated = updated,
		.vanished = vanished,
		.context = &last,
	};

	last = 0;
	told[0] = '\0';
	snprintf(root, sizeof(root), "/tmp/umbra-discovery-XXXXXX");
	if (!mkdtemp(root) || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, events))
		return -1;
	snprintf(proc, sizeof(proc), "%s/proc", root);
	snprintf(sys, sizeof(sys), "%s/sys", root);
	write_file(proc, "", "version");
	write_file(sys, "", "devices/virtual/misc/kvm/uevent");
	write_file(sys, "0\n", "kernel/debug/kvm/exits");
	config.uevents = events[0];
	discovery = discovery_create(&config);
	return discovery ? 0 : -1;
}

static int end(void **state)
{
	discovery_destroy(discovery);
	close(events[0]);
	close(events[1]);
	nftw(root, delete_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

/* --- the rules -------------------------------------------------------------------------------- */

static void an_event_tells_of_a_vm_before_its_owner_has_the_descriptor(void **state)
{
	make_process(100, "vmm", 7);
	make_debugfs(100, 5);
	send_kvm_event("create", 100, 5);
	read_events();
	assert_told("+100-5-7 vmm-100 100:5\n");
	make_descriptor(100, 5, "anon_inode:kvm-vm");
	make_vcpu(100, 5, 1, 102);
	make_vcpu(100, 5, 0, 0);
	discovery_refresh(discovery);
	assert_told("=100-5-7 vmm-100 100:5 0:0 1:102\n");
	make_vcpu(100, 5, 0, 101);
	discovery_refresh(discovery);
	assert_told("=100-5-7 vmm-100 100:5 0:101 1:102\n");
	close_descriptor(100, 5);
	send_kvm_event("destroy", 100, 5);
	read_events();
	assert_told("-100-5-7\n");
	/* The folder stays a moment longer: it is the same VM's. */
	write_file(sys, "", "kernel/debug/kvm/other/x");
	discovery_refresh(discovery);
	discovery_scan(discovery);
	assert_told("");
	assert_state("ok");
}

static void what_is_no_event_of_kvms_is_passed_over(void **state)
{
	static const char *const messages[] = {
		"",
		"|||",
		"x",
		"libudev|xxxx|EVENT=create|PID=100|DEVPATH=/devices/virtual/misc/kv",
		"add@/devices/x|ACTION=add|DEVPATH=/devices/x|EVENT=create|PID=100",
		"change@/devices/virtual/misc/kvm|DEVPATH=/devices/virtual/misc/kvm|PID=100",
		"a|DEVPATH=/devices/virtual/misc/kvm|EVENT=boot|PID=100",
		"a|DEVPATH=/devices/virtual/misc/kvm|EVENT=create",
		"a|DEVPATH=/devices/virtual/misc/kvm|EVENT=create|PID=",
		"a|DEVPATH=/devices/virtual/misc/kvm|EVENT=create|PID=-100",
		"a|DEVPATH=/devices/virtual/misc/kvm|EVENT=create|PID=0",
		"a|DEVPATH=/devices/virtual/misc/kvm|EVENT=create|PID=100x",
		"a|DEVPATH=/devices/virtual/misc/kvm|EVENT=create|PID=99999999999",
		"a|DEVPATH=/devices/virtual/misc/kvm|EVENT=create|PID=4242|STATS_PATH=/kvm/4242-4",
	};
	struct uevent event;

	make_process(100, "vmm", 7);
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		send_event(messages[i]);
	assert_int_equal(send(events[1], "no NUL", strlen("no NUL"), 0), strlen("no NUL"));
	read_events();
	assert_told("");
	/* A path that is none is not told, the rest is. */
	assert_true(
		uevent_parse("a\0DEVPATH=/devices/virtual/misc/kvm\0EVENT=create\0PID=9\0"
			     "STATS_PATH=/kvm/../../x",
			     sizeof("a\0DEVPATH=/devices/virtual/misc/kvm\0EVENT=create\0PID=9\0"
				    "STATS_PATH=/kvm/../../x"),
			     &event));
	assert_string_equal(event.folder, "");
	assert_int_equal(event.fd, -1);
}

static void many_events_are_read_in_more_turns_than_one(void **state)
{
	enum { EVENTS = 100 };
	struct pollfd left = {.fd = events[0], .events = POLLIN};
	int turns = 0;

	make_process(100, "vmm", 7);
	make_debugfs(100, 5);
	for (int i = 0; i < EVENTS; i++)
		send_kvm_event(i % 2 ? "destroy" : "create", 100, 5);
	do {
		read_events();
		turns++;
	} while (poll(&left, 1, 0) == 1);
	assert_true(turns > 1);
	told[strlen("+100-5-7 vmm-100 100:5\n-100-5-7\n")] = '\0';
	assert_told("+100-5-7 vmm-100 100:5\n-100-5-7\n");
}

static void folder_names_are_numbers_alone(void **state)
{
	static const char *const names[] = {"",
					    "-",
					    "1-",
					    "-1",
					    "1",
					    "a-1",
					    "1-a",
					    "1-1x",
					    "0-1",
					    "1 -1",
					    "1--1",
					    "+1-1",
					    ".",
					    "..",
					    "exits",
					    "99999999999-1",
					    "1-99999999999",
					    "11111111111111111111111111111111111-1"};
	pid_t tid;
	int fd;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_false(kvm_folder_parse(names[i], &tid, &fd));
	assert_true(kvm_folder_parse("12-0", &tid, &fd));
	assert_int_equal(tid, 12);
	assert_int_equal(fd, 0);
}

static void an_event_without_a_folder_waits_for_the_descriptor(void **state)
{
	delete_tree(sys, "kernel/debug");
	discovery_scan(discovery);
	make_process(100, "vmm", 7);
	send_event("a|DEVPATH=/devices/virtual/misc/kvm|EVENT=create|PID=100");
	read_events();
	assert_told("");
	make_descriptor(100, 9, "anon_inode:kvm-vm");
	for (int i = 0; i < 20 && !told[0]; i++)
		read_events(); /* its timer */
	assert_told("+100-9-7 vmm-100 100:9\n");
	assert_state("degraded: no threads of vCPUs, ");
}

static void a_thread_that_ends_once_it_has_made_a_vm_leaves_it_to_its_process(void **state)
{
	delete_tree(sys, "kernel/debug");
	discovery_scan(discovery);
	make_process(100, "vmm", 7);
	make_thread(100, 105);
	send_event("a|DEVPATH=/devices/virtual/misc/kvm|EVENT=create|PID=105");
	read_events();
	delete_tree(proc, "105");
	make_descriptor(100, 9, "anon_inode:kvm-vm");
	for (int i = 0; i < 3 && !told[0]; i++)
		read_events(); /* its timer */
	assert_told("+100-9-7 vmm-100 100:9\n");
}

static void a_process_may_own_several_vms_that_other_threads_made(void **state)
{
	make_process(100, "vmm", 7);
	make_thread(100, 105);
	make_descriptor(100, 5, "anon_inode:kvm-vm");
	make_descriptor(100, 6, "anon_inode:kvm-vm");
	make_descriptor(100, 7, "anon_inode:kvm-vcpu:0");
	make_descriptor(100, 8, "anon_inode:kvm-vm-stats");
	make_debugfs(100, 5);
	make_vcpu(100, 5, 0, 101);
	make_debugfs(105, 6);
	make_vcpu(105, 6, 0, 102);
	/* The thread that made this one is gone; one that runs a vCPU tells whose it is. */
	make_descriptor(100, 11, "anon_inode:kvm-vm");
	make_thread(100, 103);
	make_debugfs(106, 11);
	make_vcpu(106, 11, 0, 103);
	discovery_scan(discovery);
	assert_told("+100-5-7 vmm-100 100:5 0:101\n"
		    "+100-6-7 vmm-100 100:6 0:102\n"
		    "+100-11-7 vmm-100 100:11 0:103\n");
	/* Of several VMs of one process a pair says nothing. */
	discovery_thread(discovery, &(struct vcpu_thread){100, 199, 0});
	assert_told("");
}

/* A process with a thousand VMs would have each looked at a thousand times. */
static void a_vm_that_appears_has_no_other_with_a_folder_looked_at(void **state)
{
	make_process(100, "vmm", 7);
	make_debugfs(100, 5);
	make_vcpu(100, 5, 0, 101);
	send_kvm_event("create", 100, 5);
	read_events();
	assert_told("+100-5-7 vmm-100 100:5 0:101\n");
	make_vcpu(100, 5, 0, 102);
	make_debugfs(100, 6);
	send_kvm_event("create", 100, 6);
	read_events();
	assert_told("+100-6-7 vmm-100 100:6\n");
}

static void without_debugfs_vcpus_are_those_of_an_owners_only_vm(void **state)
{
	delete_tree(sys, "kernel/debug");
	make_process(100, "vmm", 7);
	make_descriptor(100, 5, "anon_inode:kvm-vm");
	make_descriptor(100, 6, "anon_inode:kvm-vcpu:1");
	make_descriptor(100, 7, "anon_inode:kvm-vcpu:0");
	make_descriptor(100, 8, "anon_inode:kvm-vcpu:");
	make_descriptor(100, 9, "anon_inode:kvm-vcpu:x");
	make_descriptor(100, 10, "/tmp/anon_inode:kvm-vm");
	make_descriptor(100, 11, "anon_inode:kvm-vm2");
	discovery_scan(discovery);
	assert_told("+100-5-7 vmm-100 100:5 0:0 1:0\n");
	discovery_thread(discovery, &(struct vcpu_thread){100, 101, 1});
	discovery_thread(discovery, &(struct vcpu_thread){100, 101, 1});
	discovery_thread(discovery, &(struct vcpu_thread){100, 102, 2});
	discovery_thread(discovery, &(struct vcpu_thread){200, 102, 0});
	assert_told("=100-5-7 vmm-100 100:5 0:0 1:101\n");
	make_descriptor(100, 12, "anon_inode:kvm-vm");
	discovery_scan(discovery);
	assert_told("+100-12-7 vmm-100 100:12\n=100-5-7 vmm-100 100:5\n");
	close_descriptor(100, 5);
	discovery_refresh(discovery);
	assert_told("-100-5-7\n");
}

static void a_thread_of_another_process_runs_no_vcpu(void **state)
{
	make_process(100, "vmm", 7);
	make_process(200, "other", 8);
	make_thread(200, 201);
	make_debugfs(100, 5);
	make_vcpu(100, 5, 0, 201); /* its own ended, and the number was given away */
	make_vcpu(100, 5, 1, 102); /* not to be read any more, or not yet */
	send_kvm_event("create", 100, 5);
	read_events();
	assert_told("+100-5-7 vmm-100 100:5 0:0 1:102\n");
	make_thread(100, 103);
	make_vcpu(100, 5, 0, 103);
	discovery_refresh(discovery);
	assert_told("=100-5-7 vmm-100 100:5 0:103 1:102\n");
}

/* As before Linux 6.0. */
static void where_debugfs_has_no_threads_the_state_says_so_until_they_are_known(void **state)
{
	make_process(100, "vmm", 7);
	make_debugfs(100, 5);
	make_descriptor(100, 5, "anon_inode:kvm-vm");
	write_file(sys, "0\n", "kernel/debug/kvm/100-5/vcpu0/tsc-offset");
	discovery_scan(discovery);
	assert_told("+100-5-7 vmm-100 100:5 0:0\n");
	assert_state("degraded: threads of vCPUs are not known: ");
	discovery_thread(discovery, &(struct vcpu_thread){100, 101, 0});
	assert_told("=100-5-7 vmm-100 100:5 0:101\n");
	assert_state("ok");
	/* One that has not run yet has no thread. */
	make_vcpu(100, 5, 1, 0);
	discovery_refresh(discovery);
	assert_told("=100-5-7 vmm-100 100:5 0:101 1:0\n");
	assert_state("ok");
}

static void a_vm_found_in_proc_gets_its_folder_when_debugfs_comes(void **state)
{
	delete_tree(sys, "kernel/debug");
	make_process(100, "vmm", 7);
	make_descriptor(100, 5, "anon_inode:kvm-vm");
	discovery_scan(discovery);
	assert_told("+100-5-7 vmm-100 100:5\n");
	make_debugfs(100, 5);
	make_vcpu(100, 5, 0, 101);
	discovery_refresh(discovery);
	assert_told("=100-5-7 vmm-100 100:5 0:101\n");
	assert_state("ok");
}

static void a_process_that_gets_the_number_of_another_is_another(void **state)
{
	delete_tree(sys, "kernel/debug");
	make_process(100, "vmm", 7);
	make_descriptor(100, 5, "anon_inode:kvm-vm");
	discovery_scan(discovery);
	assert_told("+100-5-7 vmm-100 100:5\n");
	delete_tree(proc, "100");
	make_process(100, "sleep", 9);
	discovery_refresh(discovery);
	assert_told("-100-5-7\n");
	discovery_scan(discovery);
	assert_told("");
	make_descriptor(100, 5, "anon_inode:kvm-vm");
	discovery_scan(discovery);
	assert_told("+100-5-9 sleep-100 100:5\n");
	delete_tree(proc, "100");
	discovery_refresh(discovery);
	assert_told("-100-5-9\n");
}

static void a_folder_of_a_thread_that_is_no_owner_is_nobodys(void **state)
{
	make_process(100, "sleep", 7);
	make_descriptor(100, 5, "/dev/null");
	make_debugfs(100, 5);
	discovery_scan(discovery);
	assert_told("");
	/* As soon as it is one, it counts, whatever number its descriptor has now. */
	make_descriptor(100, 8, "anon_inode:kvm-vm");
	discovery_refresh(discovery);
	assert_told("+100-5-7 sleep-100 100:5\n");
	discovery_scan(discovery);
	assert_told("");
}

static void a_vm_whose_descriptor_was_closed_lives_on_by_its_vcpus(void **state)
{
	make_process(100, "vmm", 7);
	make_descriptor(100, 6, "anon_inode:kvm-vcpu:0");
	make_debugfs(100, 5);
	make_vcpu(100, 5, 0, 101);
	discovery_scan(discovery);
	assert_told("+100-5-7 vmm-100 100:5 0:101\n");
	discovery_scan(discovery);
	assert_told("");
}

static void a_folder_of_the_same_name_is_another_vm(void **state)
{
	make_process(100, "vmm", 7);
	make_descriptor(100, 5, "anon_inode:kvm-vm");
	make_debugfs(100, 5);
	send_kvm_event("create", 100, 5);
	send_kvm_event("create", 100, 5);
	read_events();
	assert_told("+100-5-7 vmm-100 100:5\n");
	/* Renamed first, so that the new one gets an inode of its own. */
	write_file(sys, "", "x/y");
	delete_tree(sys, "kernel/debug/kvm/100-5/exits");
	make_debugfs(100, 6);
	delete_tree(sys, "kernel/debug/kvm/100-5");
	make_debugfs(100, 5);
	discovery_refresh(discovery);
	assert_non_null(strstr(told, "-100-5-7\n"));
	assert_non_null(strstr(told, "+100-5-7 vmm-100 100:5\n"));
}

static void a_scan_tells_a_vm_from_one_of_its_name_that_ended(void **state)
{
	make_process(100, "vmm", 7);
	make_descriptor(100, 5, "anon_inode:kvm-vm");
	make_debugfs(100, 5);
	discovery_scan(discovery);
	assert_told("+100-5-7 vmm-100 100:5\n");
	/* Both events were lost. */
	delete_tree(sys, "kernel/debug/kvm/100-5");
	make_debugfs(100, 5);
	discovery_scan(discovery);
	assert_told("-100-5-7\n+100-5-7 vmm-100 100:5\n");
}

/* umbrad would take no more, and whoever makes them shall hide nobody else's. */
static void more_vms_than_can_be_told_are_left_out(void **state)
{
	delete_tree(sys, "kernel/debug");
	for (int i = 0; i <= VM_MAX; i++) {
		make_process(100 + i, "vmm", 7);
		make_descriptor(100 + i, 5, "anon_inode:kvm-vm");
	}
	discovery_scan(discovery);
	assert_state("VMs left out: there are more than 4096");
	told[0] = '\0';
	close_descriptor(100 + VM_MAX, 5);
	discovery_scan(discovery);
	assert_told("");
	close_descriptor(100, 5);
	make_descriptor(100 + VM_MAX, 5, "anon_inode:kvm-vm");
	discovery_scan(discovery);
	assert_told("-100-5-7\n+4196-5-7 vmm-4196 4196:5\n");
}

/* In place of the programs in the kernel: what they saw since they were asked last. */
static struct vcpu_thread seen_thread;

size_t kvm_exits_threads(void *self, struct vcpu_thread *ret, size_t max)
{
	size_t nr = seen_thread.pid != 0;

	*ret = seen_thread;
	seen_thread.pid = 0;
	return nr;
}

static void *create_programs(const struct collector_settings *settings)
{
	return &seen_thread;
}

static void ignore(void *self)
{
}

static void ignore_vm(void *self, const struct vm *vm)
{
}

static void ignore_sample(void *self, const struct vm *vm, struct vm_sample *sample)
{
}

static void say_ok(void *self, char ret_state[COLLECTOR_STATE_MAX])
{
	strcpy(ret_state, "ok");
}

const struct collector kvm_exits_collector = {
	.name = "kvm_exits",
	.create = create_programs,
	.destroy = ignore,
	.update = ignore_vm,
	.remove = ignore_vm,
	.sample = ignore_sample,
	.state = say_ok,
};

static void take_vm(void *context, const struct vm *vm)
{
	append("", vm);
}

static void take_sample(void *context, const struct vm *vm, const struct vm_sample *sample)
{
}

static void take_state(void *context, const char *name, const char *state_text,
		       const struct collector_own *own)
{
}

static void take_round(void *context, uint64_t duration_ns)
{
}

/* As before Linux 6.0, where nothing else tells the thread. */
static void a_thread_is_taken_of_a_vcpu_that_is_new_in_the_same_round(void **state)
{
	const struct observer_config config = {
		.settings.roots = {proc, sys},
		.enabled = {[OBSERVER_DISCOVERY] = true, [OBSERVER_KVM_EXITS] = true},
		.uevents = events[0],
	};
	const struct observer_sink sink = {.vm = take_vm,
					   .gone = vanished,
					   .sample = take_sample,
					   .collector = take_state,
					   .round = take_round};
	struct observer *observer;

	discovery_destroy(discovery);
	discovery = NULL;
	make_process(100, "vmm", 7);
	make_debugfs(100, 5);
	make_descriptor(100, 5, "anon_inode:kvm-vm");
	observer = observer_create(&config, &sink);
	assert_told("100-5-7 vmm-100 100:5\n");
	write_file(sys, "0\n", "kernel/debug/kvm/100-5/vcpu0/tsc-offset");
	seen_thread = (struct vcpu_thread){100, 101, 0};
	observer_round(observer);
	observer_round(observer);
	assert_told("100-5-7 vmm-100 100:5 0:0\n100-5-7 vmm-100 100:5 0:101\n");
	observer_destroy(observer);
}

static void names_and_ids_are_what_the_owner_says_and_differ(void **state)
{
	static const char uuid[] = "5c0e9c8a-5a0b-4a44-9a0e-2f6a3b0c1d2e";
	char text[TEXT_MAX];

	for (int i = 0; i < 3; i++) {
		make_process(100 + i, "qemu-system-x86", 9 - (unsigned int)i);
		make_descriptor(100 + i, 5, "anon_inode:kvm-vm");
		make_debugfs(100 + i, 5);
	}
	snprintf(text, sizeof(text), "qemu-system-x86_64|-name|guest=a|-uuid|%s|", uuid);
	write_command(100, text);
	write_command(101, text);
	write_file(proc, "0::/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt/emulator\n",
		   "102/cgroup");
	discovery_scan(discovery);
	/* The oldest process comes first, so it is the one that has the plain id. */
	snprintf(text, sizeof(text), "+web web 102:5\n+%s a 101:5\n+%s-100-5-9 a 100:5\n", uuid,
		 uuid);
	assert_told(text);
}

static void a_name_of_a_process_may_be_anything(void **state)
{
	make_process(100, "a) S 1 (b", 7);
	make_descriptor(100, 5, "anon_inode:kvm-vm");
	delete_tree(sys, "kernel/debug");
	discovery_scan(discovery);
	assert_told("+100-5-7 a) S 1 (b-100 100:5\n");
	make_process(200, "\x1b[2J\n)", 8);
	make_descriptor(200, 5, "anon_inode:kvm-vm");
	discovery_scan(discovery);
	assert_told("+200-5-8 ?[2J?)-200 200:5\n");
}

/* Its memory map is being changed, and that waits for a file system that does not answer. */
static void a_vm_whose_command_line_cannot_be_read_is_found_without_a_name(void **state)
{
	char path[256];
	int fd;

	delete_tree(sys, "kernel/debug");
	make_process(100, "vmm", 7);
	make_descriptor(100, 5, "anon_inode:kvm-vm");
	snprintf(path, sizeof(path), "%s/100/cmdline", proc);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	discovery_scan(discovery);
	assert_told("+100-5-7 vmm-100 100:5\n");
	fd = open(path, O_WRONLY | O_NONBLOCK);
	assert_true(fd >= 0); /* somebody waits there still */
	close(fd);
}

static void broken_and_vanishing_processes_stop_nothing(void **state)
{
	static const char *const stats[] = {"",       "x",       "100",           "100 (",
					    "100 (x", "100 (x)", "100 (x) S 1 2", ") 100 ("};

	delete_tree(sys, "kernel/debug");
	make_process(200, "vmm", 7);
	make_descriptor(200, 5, "anon_inode:kvm-vm");
	make_process(100, "x", 1);
	make_descriptor(100, 5, "anon_inode:kvm-vm");
	for (size_t i = 0; i < sizeof(stats) / sizeof(stats[0]); i++) {
		write_file(proc, stats[i], "100/stat");
		discovery_scan(discovery);
		if (!i)
			assert_told("+200-5-7 vmm-200 200:5\n");
		assert_told("");
	}
	delete_tree(proc, "100/stat");
	discovery_scan(discovery);
	assert_told("");
	write_file(proc, "", "300"); /* a file, no process */
	write_file(proc, "", "400x/fd/5");
	delete_tree(proc, "200/fd");
	discovery_scan(discovery);
	assert_told("-200-5-7\n");
	delete_tree(proc, ".");
	discovery_scan(discovery);
	discovery_refresh(discovery);
	assert_told("");
}

static void when_the_socket_ends_rounds_find_what_events_would_have_told(void **state)
{
	close(events[1]);
	events[1] = -1;
	read_events();
	assert_state("degraded: no uevents (Broken pipe)");
	make_process(100, "vmm", 7);
	make_descriptor(100, 5, "anon_inode:kvm-vm");
	make_debugfs(100, 5);
	discovery_refresh(discovery);
	assert_told("+100-5-7 vmm-100 100:5\n");
	delete_tree(sys, "kernel/debug");
	close_descriptor(100, 5);
	discovery_refresh(discovery);
	assert_told("-100-5-7\n");
	delete_tree(sys, "devices");
	delete_tree(proc, "100");
	assert_state("unsupported: ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(an_event_tells_of_a_vm_before_its_owner_has_the_descriptor),
		TEST(what_is_no_event_of_kvms_is_passed_over),
		TEST(many_events_are_read_in_more_turns_than_one),
		TEST(folder_names_are_numbers_alone),
		TEST(an_event_without_a_folder_waits_for_the_descriptor),
		TEST(a_thread_that_ends_once_it_has_made_a_vm_leaves_it_to_its_process),
		TEST(a_process_may_own_several_vms_that_other_threads_made),
		TEST(a_vm_that_appears_has_no_other_with_a_folder_looked_at),
		TEST(without_debugfs_vcpus_are_those_of_an_owners_only_vm),
		TEST(a_thread_of_another_process_runs_no_vcpu),
		TEST(where_debugfs_has_no_threads_the_state_says_so_until_they_are_known),
		TEST(a_vm_found_in_proc_gets_its_folder_when_debugfs_comes),
		TEST(a_process_that_gets_the_number_of_another_is_another),
		TEST(a_folder_of_a_thread_that_is_no_owner_is_nobodys),
		TEST(a_vm_whose_descriptor_was_closed_lives_on_by_its_vcpus),
		TEST(a_folder_of_the_same_name_is_another_vm),
		TEST(a_scan_tells_a_vm_from_one_of_its_name_that_ended),
		TEST(more_vms_than_can_be_told_are_left_out),
		TEST(a_thread_is_taken_of_a_vcpu_that_is_new_in_the_same_round),
		TEST(names_and_ids_are_what_the_owner_says_and_differ),
		TEST(a_name_of_a_process_may_be_anything),
		TEST(a_vm_whose_command_line_cannot_be_read_is_found_without_a_name),
		TEST(broken_and_vanishing_processes_stop_nothing),
		TEST(when_the_socket_ends_rounds_find_what_events_would_have_told),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
