/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The collector perf_event on the kernel that is there: its software events need no PMU. */
#include "config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "collectors/collector.h"

#define COLLECTOR perf_event_collector
#define PAGES     64
#define AT(name)  UMBRA_INDEX(struct perf_event_counters, name, 0)

static const struct collector_settings settings = {.roots = {"/proc", "/sys"}};
static void *collector;
static struct vm_vcpu vcpu;
static struct vm vm = {.number = 1, .vcpus = &vcpu, .nr_vcpus = 1};

/* A thread that works when it is told to. */
static struct {
	pthread_t thread;
	pthread_barrier_t barrier;
	pid_t tid;
} worker;

static uint64_t nanoseconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* 20 ms of its time, pages that it never touched, sleeps, and a move if there is where to. */
static void work(void)
{
	uint64_t begin = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
	size_t page = sysconf(_SC_PAGESIZE);
	cpu_set_t allowed, one;
	char *memory = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	madvise(memory, PAGES * page, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < PAGES; i++)
		memory[i * page] = 1;
	munmap(memory, PAGES * page);
	assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
		usleep(1000);
	}
	sched_setaffinity(0, sizeof(allowed), &allowed);
	while (nanoseconds(CLOCK_THREAD_CPUTIME_ID) - begin < 20000000)
		;
}

static void *run(void *unused)
{
	worker.tid = gettid();
	pthread_barrier_wait(&worker.barrier); /* it is there */
	pthread_barrier_wait(&worker.barrier); /* and counted */
	work();
	pthread_barrier_wait(&worker.barrier);
	pthread_barrier_wait(&worker.barrier); /* may end */
	return NULL;
}

static struct vm_sample take(void)
{
	struct vm_sample sample = {0};

	COLLECTOR.begin(collector, nanoseconds(CLOCK_MONOTONIC));
	COLLECTOR.sample(collector, &vm, &sample);
	return sample;
}

/* Whether the kernel lets us count at all; else skips. */
static void set_up(void)
{
	char state[COLLECTOR_STATE_MAX];
	struct vm_sample sample;

	collector = COLLECTOR.create(&settings);
	assert_non_null(collector);
	vcpu.tid = gettid();
	COLLECTOR.update(collector, &vm);
	sample = take();
	COLLECTOR.remove(collector, &vm);
	if (umbra_known_has(&sample.perf_event_known, AT(host_task_clock)))
		return;
	COLLECTOR.state(collector, state);
	COLLECTOR.destroy(collector);
	print_message("perf_event counts nothing here: %s\n", state);
	skip();
}

static void the_kernels_events_of_a_thread_are_counted_and_kept_when_it_ends(void **unused)
{
	struct vm_sample before, after, ended;
	uint64_t task_clock;
	cpu_set_t allowed;

	set_up();
	assert_int_equal(pthread_barrier_init(&worker.barrier, NULL, 2), 0);
	assert_int_equal(pthread_create(&worker.thread, NULL, run, NULL), 0);
	pthread_barrier_wait(&worker.barrier);
	vcpu.tid = worker.tid;
	COLLECTOR.update(collector, &vm);
	before = take();
	pthread_barrier_wait(&worker.barrier);
	pthread_barrier_wait(&worker.barrier);
	after = take();
	task_clock = after.perf_event.host_task_clock[0] - before.perf_event.host_task_clock[0];
	/* The two clocks differ a little: the event's is off while threads are exchanged. */
	assert_true(task_clock >= 18000000);
	assert_true(after.perf_event.host_page_faults[0] >=
		    before.perf_event.host_page_faults[0] + PAGES);
	assert_true(after.perf_event.host_context_switches[0] >
		    before.perf_event.host_context_switches[0]);
	sched_getaffinity(0, sizeof(allowed), &allowed);
	if (CPU_COUNT(&allowed) > 1)
		assert_true(after.perf_event.host_cpu_migrations[0] >
			    before.perf_event.host_cpu_migrations[0]);
	pthread_barrier_wait(&worker.barrier);
	assert_int_equal(pthread_join(worker.thread, NULL), 0);
	/* It has ended, but nobody has said so yet. */
	ended = take();
	assert_true(ended.perf_event.host_task_clock[0] >= after.perf_event.host_task_clock[0]);
	vcpu.tid = gettid();
	COLLECTOR.update(collector, &vm);
	after = take();
	assert_true(after.perf_event.host_task_clock[0] >= ended.perf_event.host_task_clock[0]);
	COLLECTOR.remove(collector, &vm);
	COLLECTOR.destroy(collector);
	pthread_barrier_destroy(&worker.barrier);
}

static size_t descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t nr = 0;

	assert_non_null(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

static void *say_tid(void *ret_tid)
{
	*(pid_t *)ret_tid = gettid();
	return NULL;
}

static void no_descriptor_is_left_of_a_thousand_threads(void **unused)
{
	size_t before = descriptors();

	set_up();
	for (int i = 0; i < 1000; i++) {
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, say_tid, &vcpu.tid), 0);
		/* Half of them have ended before they are found. */
		if (i % 2)
			pthread_join(thread, NULL);
		else
			while (!__atomic_load_n(&vcpu.tid, __ATOMIC_ACQUIRE))
				sched_yield();
		COLLECTOR.update(collector, &vm);
		take();
		if (!(i % 2))
			pthread_join(thread, NULL);
		take();
		if (i % 3 == 0)
			COLLECTOR.remove(collector, &vm);
		vcpu.tid = 0;
	}
	COLLECTOR.destroy(collector);
	assert_int_equal(descriptors(), before);
}

static void beyond_the_limit_of_descriptors_the_rest_goes_on(void **unused)
{
	struct rlimit limit, low;
	char state[COLLECTOR_STATE_MAX];
	struct vm_sample sample;
	int next = dup(0); /* the number of the next descriptor */

	assert_true(next >= 0);
	close(next);
	set_up();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	vcpu.tid = gettid();
	COLLECTOR.update(collector, &vm);
	sample = take();
	COLLECTOR.state(collector, state);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_false(umbra_known_has(&sample.perf_event_known, AT(host_task_clock)));
	assert_non_null(strstr(state, "1 of 1 threads are not fully counted: Too many open files"));
	COLLECTOR.remove(collector, &vm);
	COLLECTOR.destroy(collector);
}

/* What the collector says of itself to somebody who may not count. */
static void state_as_nobody(char *state, size_t size)
{
	int pipes[2];
	ssize_t got;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		if (geteuid() || (!setgid(65534) && !setuid(65534))) {
			collector = COLLECTOR.create(&settings);
			COLLECTOR.state(collector, state);
			if (write(pipes[1], state, strlen(state)) < 0)
				_exit(1);
		}
		_exit(0);
	}
	close(pipes[1]);
	got = read(pipes[0], state, size - 1);
	close(pipes[0]);
	state[got > 0 ? got : 0] = '\0';
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void who_may_not_count_is_told_what_it_takes(void **unused)
{
	char state[COLLECTOR_STATE_MAX], level[16] = "", expected[128];
	FILE *file = fopen("/proc/sys/kernel/perf_event_paranoid", "r");

	if (!file || !fgets(level, sizeof(level), file) || atoi(level) < 2) {
		print_message("# this kernel lets everybody count (perf_event_paranoid)\n");
		if (file)
			fclose(file);
		skip();
	}
	fclose(file);
	state_as_nobody(state, sizeof(state));
	snprintf(expected, sizeof(expected), "perf_event_paranoid is %d", atoi(level));
	assert_memory_equal(state, "denied: cycles: ", 16);
	assert_non_null(strstr(state, expected));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernels_events_of_a_thread_are_counted_and_kept_when_it_ends),
		cmocka_unit_test(no_descriptor_is_left_of_a_thousand_threads),
		cmocka_unit_test(who_may_not_count_is_told_what_it_takes),
		cmocka_unit_test(beyond_the_limit_of_descriptors_the_rest_goes_on),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
