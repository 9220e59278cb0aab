/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/crash.h"
#include "daemon/shared.h"

static int fd;
static struct shared_counters *writer, *reader;

static int set_up(void **state)
{
	fd = shared_create("test");
	writer = shared_map(fd, true);
	reader = shared_map(fd, false);
	return !writer || !reader;
}

static int tear_down(void **state)
{
	shared_unmap(writer);
	shared_unmap(reader);
	return close(fd);
}

static void shared_memory_is_sealed_and_says_what_it_is(void **state)
{
	struct umbra_counters counters;

	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	writer->state.phase = WORKER_RUNNING;
	assert_int_equal(shared_read(reader, &counters), -EBADMSG);
	shared_begin(writer);
	writer->counters.cycles[0] = 5;
	assert_int_equal(shared_read(reader, &counters), 0);
	assert_int_equal(counters.cycles[0], 5);
	writer->size++;
	assert_int_equal(shared_read(reader, &counters), -EBADMSG);
}

static void counters_are_there_when_the_guest_has_run(void **state)
{
	struct umbra_counters counters;

	shared_begin(writer);
	writer->state.phase = WORKER_LOADING;
	assert_int_equal(shared_read(reader, &counters), -EBADMSG);
	writer->state.phase = WORKER_ENDED;
	assert_int_equal(shared_read(reader, &counters), 0);
}

static void what_kvm_counts_goes_along_with_what_is_known(void **state)
{
	const size_t exits = UMBRA_INDEX(struct umbra_kvm_counters, kvm_exits, 0);
	const size_t time = UMBRA_INDEX(struct umbra_counters, time, 0);
	struct umbra_kvm_figures figures = {.counters.kvm_exits = {7}}, read;
	struct umbra_known known = {0}, read_known;

	umbra_known_add(&known, time);
	umbra_known_add(&figures.known, exits);
	shared_begin(writer);
	shared_set_known(writer, &known);
	umbra_kvm_figures_publish(&writer->kvm, &figures);
	assert_int_equal(shared_read_kvm(reader, &read_known, &read), -EBADMSG);
	writer->state.phase = WORKER_RUNNING;
	assert_int_equal(shared_read_kvm(reader, &read_known, &read), 0);
	assert_memory_equal(&read_known, &known, sizeof(known));
	assert_memory_equal(&read, &figures, sizeof(figures));
	writer->kvm.others.nr = UINT32_MAX;
	assert_int_equal(shared_read_kvm(reader, &read_known, &read), 0);
	assert_int_equal(read.others.nr, 0);
}

static void state_of_a_worker_is_never_out_of_range(void **state)
{
	struct worker_state read = {.phase = WORKER_RUNNING};

	writer->state = (struct worker_state){
		.phase = WORKER_IDLE, .cpu = WORKER_CPU_LONG, .rip = 1, .heartbeat = 2, .wake = 3};
	assert_int_equal(shared_read_state(reader, &read), -EBADMSG);
	assert_int_equal(read.phase, WORKER_STARTING);
	shared_begin(writer);
	assert_int_equal(shared_read_state(reader, &read), 0);
	assert_int_equal(read.phase, WORKER_IDLE);
	assert_int_equal(read.cpu, WORKER_CPU_LONG);
	assert_int_equal(read.rip, 1);
	assert_int_equal(read.heartbeat, 2);
	assert_int_equal(read.wake, 3);
	writer->state.phase = WORKER_PHASE_COUNT;
	writer->state.cpu = UINT32_MAX;
	assert_int_equal(shared_read_state(reader, &read), 0);
	assert_true(read.phase < WORKER_PHASE_COUNT);
	assert_true(read.cpu <= WORKER_CPU_LONG);
}

static void access_nothing(void)
{
	*(volatile int *)(uintptr_t)0x1234 = 0;
}

static int descend(volatile char *above)
{
	volatile char some[4096] = {*above};

	return some[0] ? 1 + descend(some) + some[1] : 0;
}

static void use_up_the_stack(void)
{
	volatile char first = 1;

	descend(&first);
}

static void execute_nonsense(void)
{
	__builtin_trap();
}

static void send_segv(void)
{
	kill(getpid(), SIGSEGV);
	for (;;)
		pause();
}

static const struct {
	void (*crash)(void);
	int signal;
	uint64_t host_address;
} crashes[] = {
	{access_nothing, SIGSEGV, 0x1234}, {use_up_the_stack, SIGSEGV, 0},
	{execute_nonsense, SIGILL, 0},     {abort, SIGABRT, 0},
	{send_segv, SIGSEGV, 0},
};

static void crash_is_noted_and_kills_all_the_same(void **state)
{
	struct worker_state read;
	int status;

	shared_begin(writer);
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++) {
		pid_t pid = fork();

		if (!pid) {
			const struct rlimit none = {0};

			setrlimit(RLIMIT_CORE, &none);
			/* Neither cmocka nor AddressSanitizer is to catch it. */
			signal(crashes[i].signal, SIG_DFL);
			crash_note_in(&writer->state);
			crashes[i].crash();
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), crashes[i].signal);
		assert_int_equal(shared_read_state(reader, &read), 0);
		assert_int_equal(read.signal, crashes[i].signal);
		assert_int_not_equal(read.host_rip, 0);
		if (crashes[i].host_address)
			assert_int_equal(read.host_address, crashes[i].host_address);
		writer->state = (struct worker_state){0};
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(shared_memory_is_sealed_and_says_what_it_is, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(counters_are_there_when_the_guest_has_run, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_kvm_counts_goes_along_with_what_is_known,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(state_of_a_worker_is_never_out_of_range, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(crash_is_noted_and_kills_all_the_same, set_up,
						tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
