/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What umbra-collect tells reaches umbrad whole; what is wrong ends the connection, nothing else.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/observed.h"

struct world {
	char path[64];
	int loop, fd; /* to umbrad; -1: none */
	struct observed observed;
};

static void turn(struct world *world)
{
	for (int i = 0; i < 20; i++)
		assert_int_equal(loop_turn(world->loop, 0), 0);
}

static int connect_to(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	snprintf(world->path, sizeof(world->path), "/tmp/umbra-test-%d.sock", (int)getpid());
	world->loop = loop_create();
	if (observed_open(&world->observed, world->loop, world->path))
		return -1;
	world->fd = connect_to(world->path);
	turn(world);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	if (world->fd >= 0)
		close(world->fd);
	observed_close(&world->observed, world->path);
	close(world->loop);
	free(world);
	return 0;
}

static struct vm_vcpu two_vcpus[] = {{0, 101}, {1, 0}};

static struct vm some_vm(uint32_t number)
{
	struct vm vm = {.number = number,
			.id = "an-id",
			.name = "a VM, with \"commas\"",
			.process = "qemu",
			.pid = 100,
			.fd = 12,
			.start_time = 4711,
			.vcpus = two_vcpus,
			.nr_vcpus = 2};

	return vm;
}

static void tell_vm(struct world *world, uint32_t number)
{
	const struct vm vm = some_vm(number);

	assert_int_equal(report_send_vm(world->fd, &vm), 0);
	turn(world);
}

static void a_vm_and_its_sample_arrive_whole(void **state)
{
	struct world *world = *state;
	struct report *report = calloc(1, sizeof(*report));
	struct vm_sample *sample = &report->sample.sample;
	const struct observed_vm *seen;

	tell_vm(world, 7);
	assert_int_equal(world->observed.nr_vms, 1);
	assert_true(world->observed.changed);
	seen = observed_find_pid(&world->observed, 100);
	assert_non_null(seen);
	assert_string_equal(seen->vm.name, "a VM, with \"commas\"");
	assert_int_equal(seen->vm.nr_vcpus, 2);
	assert_int_equal(seen->vm.vcpus[0].tid, 101);
	assert_true(seen->started > 0);
	assert_false(seen->sampled);

	report->type = REPORT_SAMPLE;
	report->sample.number = 7;
	sample->time = 99;
	sample->kvm_exits.exits[KVM_EXIT_cpuid] = UINT64_MAX;
	umbra_known_add(&sample->kvm_exits_known,
			UMBRA_INDEX(struct kvm_exits_counters, exits, KVM_EXIT_cpuid));
	for (size_t i = 0; i < KVM_EXIT_REASON_COUNT; i++) {
		for (size_t j = 0; j < EXIT_SLOT_COUNT; j++)
			sample->exit_slots[i][j] = i * j;
	}
	sample->nr_kvm_other = KVM_OTHER_MAX;
	for (size_t i = 0; i < KVM_OTHER_MAX; i++) {
		snprintf(sample->kvm_other[i].name, sizeof(sample->kvm_other[i].name), "s%zu", i);
		sample->kvm_other[i].value = i;
	}
	assert_int_equal(report_send(world->fd, report), 0);
	turn(world);
	assert_true(seen->sampled);
	assert_memory_equal(&seen->sample, sample, sizeof(*sample));
	free(report);
}

static void a_vm_that_vanishes_is_forgotten_and_no_other(void **state)
{
	struct world *world = *state;
	struct report report = {.type = REPORT_GONE, .gone.number = 2};

	for (uint32_t number = 1; number <= 3; number++)
		tell_vm(world, number);
	assert_int_equal(report_send(world->fd, &report), 0);
	turn(world);
	assert_int_equal(world->observed.nr_vms, 2);
	assert_int_equal(world->observed.vms[0]->vm.number, 1);
	assert_int_equal(world->observed.vms[1]->vm.number, 3);
}

static void told_again_a_vm_is_changed_not_doubled(void **state)
{
	struct world *world = *state;
	struct vm vm = some_vm(1);

	tell_vm(world, 1);
	vm.nr_vcpus = 1;
	strcpy(vm.name, "renamed");
	assert_int_equal(report_send_vm(world->fd, &vm), 0);
	turn(world);
	assert_int_equal(world->observed.nr_vms, 1);
	assert_int_equal(world->observed.vms[0]->vm.nr_vcpus, 1);
	assert_string_equal(world->observed.vms[0]->vm.name, "renamed");
}

static void a_start_in_the_future_is_not_known(void **state)
{
	struct world *world = *state;
	struct vm vm = some_vm(1);

	vm.start_time = UINT64_MAX;
	assert_int_equal(report_send_vm(world->fd, &vm), 0);
	turn(world);
	assert_int_equal(world->observed.vms[0]->started, 0);
}

static void collectors_states_are_those_that_were_told(void **state)
{
	struct world *world = *state;
	struct report report = {.type = REPORT_COLLECTOR,
				.collector = {.name = "kvm_exits",
					      .state = "denied: no CAP_BPF",
					      .own = {.has_lost = true, .lost = 3}}};
	const struct observed_collector *collectors = world->observed.collectors;

	assert_string_equal(collectors[CONFIG_COLLECTOR_KVM].state,
			    "degraded: umbra-collect has not measured yet");
	assert_int_equal(report_send(world->fd, &report), 0);
	turn(world);
	assert_string_equal(collectors[CONFIG_COLLECTOR_KVM_EXITS].state, "denied: no CAP_BPF");
	assert_int_equal(collectors[CONFIG_COLLECTOR_KVM_EXITS].own.lost, 3);
}

static void when_the_collector_ends_no_vm_is_known_and_another_may_come(void **state)
{
	struct world *world = *state;

	tell_vm(world, 1);
	close(world->fd);
	turn(world);
	assert_int_equal(world->observed.nr_vms, 0);
	assert_string_equal(world->observed.collectors[CONFIG_COLLECTOR_KVM].state,
			    "unsupported: umbra-collect is not connected");
	world->fd = connect_to(world->path);
	turn(world);
	tell_vm(world, 1);
	assert_int_equal(world->observed.nr_vms, 1);
}

static void a_collector_that_tells_nothing_any_more_is_left(void **state)
{
	struct world *world = *state;
	struct report report = {.type = REPORT_ROUND};
	uint64_t later;

	tell_vm(world, 1);
	assert_int_equal(report_send(world->fd, &report), 0);
	turn(world);
	later = world->observed.heard + OBSERVED_SILENT_SECONDS;
	observed_tick(&world->observed, later - 1);
	assert_int_equal(world->observed.nr_vms, 1);
	observed_tick(&world->observed, later);
	assert_int_equal(world->observed.nr_vms, 0);
	assert_string_equal(world->observed.collectors[CONFIG_COLLECTOR_KVM].state,
			    "unsupported: umbra-collect is not connected");
	/* Another one, or the same once it goes on. */
	close(world->fd);
	world->fd = connect_to(world->path);
	turn(world);
	observed_tick(&world->observed, world->observed.heard);
	tell_vm(world, 1);
	assert_int_equal(world->observed.nr_vms, 1);
}

static void a_second_collector_is_turned_away(void **state)
{
	struct world *world = *state;
	int fd = connect_to(world->path);
	char byte;

	turn(world);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
	close(fd);
	tell_vm(world, 1);
	assert_int_equal(world->observed.nr_vms, 1);
}

/* Lines that are written to standard error while somebody connects and leaves @times. */
static unsigned int lines_of(struct world *world, int times)
{
	FILE *file = tmpfile();
	int before = dup(STDERR_FILENO), c;
	unsigned int lines = 0;

	assert_true(file && before >= 0);
	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	for (int i = 0; i < times; i++) {
		close(world->fd);
		world->fd = connect_to(world->path);
		turn(world);
	}
	observed_tick(&world->observed, world->observed.heard);
	fflush(stderr);
	dup2(before, STDERR_FILENO);
	close(before);
	rewind(file);
	while ((c = getc(file)) != EOF)
		lines += c == '\n';
	fclose(file);
	return lines;
}

static void who_connects_again_and_again_cannot_fill_the_log(void **state)
{
	struct world *world = *state;

	observed_tick(&world->observed, world->observed.heard);
	assert_int_equal(lines_of(world, 2), 4);
	/* A line says how many there were more. */
	assert_int_equal(lines_of(world, 100), OBSERVED_LINES_A_SECOND + 1);
	assert_int_equal(lines_of(world, 1), 2);
}

/* The bytes of a report as report_send() makes it, up to @size of them. */
static size_t bytes_of(const struct vm *vm, char *bytes, size_t size)
{
	int pair[2];
	ssize_t received;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(report_send_vm(pair[0], vm), 0);
	received = recv(pair[1], bytes, size, 0);
	assert_true(received > 0);
	close(pair[0]);
	close(pair[1]);
	return received;
}

static bool still_connected(struct world *world)
{
	turn(world);
	return world->observed.connection >= 0;
}

static void reconnect(struct world *world)
{
	close(world->fd);
	world->fd = connect_to(world->path);
	turn(world);
	assert_true(still_connected(world));
}

/* Each byte of header and body, changed; each length: nothing is read that is not there. */
static void what_is_no_report_ends_the_connection_only(void **state)
{
	struct world *world = *state;
	struct vm vm = some_vm(1);
	char bytes[4096], wrong[sizeof(bytes)];
	size_t len = bytes_of(&vm, bytes, sizeof(bytes)), ended = 0;

	for (size_t cut = 1; cut < len; cut += 7) {
		assert_int_equal(send(world->fd, bytes, cut, 0), cut);
		assert_false(still_connected(world));
		reconnect(world);
	}
	for (size_t i = 0; i < len; i++) {
		memcpy(wrong, bytes, len);
		wrong[i] ^= 0x80;
		assert_int_equal(send(world->fd, wrong, len, 0), len);
		if (!still_connected(world)) {
			ended++;
			reconnect(world);
		}
	}
	/* All of the header at least. */
	assert_true(ended >= 16);
	/* A name that does not end. */
	memset(vm.name, 'x', sizeof(vm.name));
	assert_int_equal(report_send_vm(world->fd, &vm), 0);
	assert_false(still_connected(world));
	reconnect(world);
	tell_vm(world, 5);
	assert_true(observed_find_pid(&world->observed, 100) != NULL);
}

static void what_is_neither_false_nor_true_is_no_report(void **state)
{
	struct world *world = *state;
	struct report report = {.type = REPORT_COLLECTOR,
				.collector = {.name = "kvm_exits", .state = "ok"}};
	bool *const flags[] = {&report.collector.own.has_runs, &report.collector.own.has_lost};

	for (size_t i = 0; i < 2; i++) {
		memset(flags[i], 2, 1);
		assert_int_equal(report_send(world->fd, &report), 0);
		assert_false(still_connected(world));
		reconnect(world);
		memset(flags[i], 1, 1);
		assert_int_equal(report_send(world->fd, &report), 0);
		assert_true(still_connected(world));
	}
}

static void what_was_never_told_of_has_no_sample_and_no_end(void **state)
{
	struct world *world = *state;
	struct report *report = calloc(1, sizeof(*report));

	report->type = REPORT_SAMPLE;
	assert_int_equal(report_send(world->fd, report), 0);
	assert_false(still_connected(world));
	reconnect(world);
	report->type = REPORT_GONE;
	assert_int_equal(report_send(world->fd, report), 0);
	assert_false(still_connected(world));
	free(report);
}

static void more_vcpus_than_a_report_carries_are_counted_still(void **state)
{
	struct world *world = *state;
	struct vm vm = some_vm(1);

	vm.nr_vcpus = VM_VCPUS_MAX;
	vm.vcpus = calloc(VM_VCPUS_MAX, sizeof(*vm.vcpus));
	assert_int_equal(report_send_vm(world->fd, &vm), 0);
	turn(world);
	assert_int_equal(world->observed.vms[0]->vm.nr_vcpus, VM_VCPUS_MAX);
	free(vm.vcpus);
}

static void without_a_socket_it_says_why(void **state)
{
	struct observed observed;
	int loop = loop_create();

	assert_int_equal(observed_open(&observed, loop, "/nonexistent/a/b"), 0);
	assert_non_null(strstr(observed.collectors[CONFIG_COLLECTOR_KVM].state, "/nonexistent"));
	observed_close(&observed, "/nonexistent/a/b");
	assert_int_equal(observed_open(&observed, loop, ""), 0);
	assert_non_null(strstr(observed.collectors[CONFIG_COLLECTOR_KVM].state, "collect_socket"));
	observed_close(&observed, "");
	close(loop);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(a_vm_and_its_sample_arrive_whole),
		IN_WORLD(a_vm_that_vanishes_is_forgotten_and_no_other),
		IN_WORLD(told_again_a_vm_is_changed_not_doubled),
		IN_WORLD(a_start_in_the_future_is_not_known),
		IN_WORLD(collectors_states_are_those_that_were_told),
		IN_WORLD(when_the_collector_ends_no_vm_is_known_and_another_may_come),
		IN_WORLD(a_collector_that_tells_nothing_any_more_is_left),
		IN_WORLD(a_second_collector_is_turned_away),
		IN_WORLD(who_connects_again_and_again_cannot_fill_the_log),
		IN_WORLD(what_is_no_report_ends_the_connection_only),
		IN_WORLD(what_is_neither_false_nor_true_is_no_report),
		IN_WORLD(what_was_never_told_of_has_no_sample_and_no_end),
		IN_WORLD(more_vcpus_than_a_report_carries_are_counted_still),
		cmocka_unit_test(without_a_socket_it_says_why),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
