/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <signal.h>
#include <string.h>

#include "daemon/watch.h"

enum { TIMEOUT = 10, SECOND = 1000000000 };

static void worker_that_comes_to_events_lives(void **state)
{
	struct worker_state worker = {.phase = WORKER_RUNNING};
	struct watch watch = {0};

	for (uint64_t now = 1; now < 100; now++) {
		worker.heartbeat = now * SECOND;
		assert_int_equal(watch_tick(&watch, &worker, now * SECOND, TIMEOUT), WATCH_LIVES);
	}
	/* What it writes is not believed to be a time: a clock ahead of ours is as good. */
	worker.heartbeat = UINT64_MAX;
	assert_int_equal(watch_tick(&watch, &worker, SECOND, TIMEOUT), WATCH_LIVES);
}

/* How many ticks until it counts as hung; 0: not within 1,000. */
static unsigned int ticks_until_hung(const struct worker_state *worker)
{
	struct watch watch = {.heartbeat = worker->heartbeat};

	for (unsigned int i = 1; i < 1000; i++) {
		if (watch_tick(&watch, worker, i * (uint64_t)SECOND, TIMEOUT) == WATCH_HUNG)
			return i;
	}
	return 0;
}

static void silent_worker_is_asked_and_then_hung(void **state)
{
	struct worker_state worker = {.phase = WORKER_RUNNING, .heartbeat = 5};
	struct watch watch = {.heartbeat = 5};

	assert_int_equal(watch_tick(&watch, &worker, SECOND, TIMEOUT), WATCH_SILENT);
	assert_int_equal(ticks_until_hung(&worker), TIMEOUT + 1);
	worker.phase = WORKER_ENDED;
	assert_int_equal(ticks_until_hung(&worker), TIMEOUT + 1);
	/* One event, and all is well again. */
	worker.heartbeat++;
	assert_int_equal(watch_tick(&watch, &worker, SECOND, TIMEOUT), WATCH_LIVES);
}

static void worker_that_prepares_has_longer(void **state)
{
	struct worker_state worker = {.phase = WORKER_LOADING};

	assert_int_equal(ticks_until_hung(&worker), 6 * TIMEOUT + 1);
	worker.phase = WORKER_STARTING;
	assert_int_equal(ticks_until_hung(&worker), 6 * TIMEOUT + 1);
}

static void idle_worker_may_sleep_until_its_wake_time(void **state)
{
	struct worker_state worker = {.phase = WORKER_IDLE, .wake = 500 * (uint64_t)SECOND};

	assert_int_equal(ticks_until_hung(&worker), 500 + TIMEOUT);
	worker.wake = UINT64_MAX;
	assert_int_equal(ticks_until_hung(&worker), 0);
}

static void last_state_is_told_in_words(void **state)
{
	struct shared_counters shared = {0};
	char text[256];

	watch_describe(NULL, text, sizeof(text));
	assert_string_equal(text, "while starting");
	watch_describe(&shared, text, sizeof(text));
	assert_string_equal(text, "while starting");
	shared_begin(&shared);
	shared.state = (struct worker_state){.phase = WORKER_RUNNING,
					     .cpu = WORKER_CPU_LONG,
					     .rip = 0xfff0,
					     .signal = SIGSEGV,
					     .host_rip = 0x1000,
					     .host_address = 0x2000};
	umbra_known_add(&shared.known, UMBRA_INDEX(struct umbra_counters, instructions, 0));
	shared.counters.instructions[0] = 77;
	watch_describe(&shared, text, sizeof(text));
	assert_string_equal(text, "while running, after 77 instructions, its vCPU 0 last seen at "
				  "0xfff0 in long mode; it noted signal 11 at host address 0x1000, "
				  "accessing 0x2000");
	/* KVM's guests have no count of them. */
	shared.known = (struct umbra_known){0};
	watch_describe(&shared, text, sizeof(text));
	assert_null(strstr(text, "instructions"));
	/* Nothing that a worker may write is taken for more than numbers; what has no room is cut.
	 */
	memset(&shared.state, 0xff, sizeof(shared.state));
	watch_describe(&shared, text, sizeof(text));
	assert_string_equal(text, "while starting; it noted signal 4294967295 at host address "
				  "0xffffffffffffffff, accessing 0xffffffffffffffff");
	watch_describe(&shared, text, 20);
	assert_string_equal(text, "while starting; it ");
}

static void each_fall_waits_twice_as_long_up_to_a_minute(void **state)
{
	static const unsigned int seconds[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
	struct backoff backoff = {0};
	uint64_t now = 1000;

	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		backoff_start(&backoff, now);
		now += 59;
		backoff_fall(&backoff, now);
		assert_int_equal(backoff.seconds, seconds[i]);
		assert_int_equal(backoff.due, now + seconds[i]);
		now = backoff.due;
	}
	backoff_start(&backoff, now);
	backoff_fall(&backoff, now + 60);
	assert_int_equal(backoff.seconds, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worker_that_comes_to_events_lives),
		cmocka_unit_test(silent_worker_is_asked_and_then_hung),
		cmocka_unit_test(worker_that_prepares_has_longer),
		cmocka_unit_test(idle_worker_may_sleep_until_its_wake_time),
		cmocka_unit_test(last_state_is_told_in_words),
		cmocka_unit_test(each_fall_waits_twice_as_long_up_to_a_minute),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
