/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A switch that another thread asks for falls at whatever instruction the guest is at then. */
#include <pthread.h>
#include <sched.h>

#include "boundary_fixture.h"

#define KICKS 300

/* Writes pages in turn, and has one of them moved to and fro with each. */
PROGRAM(moving, "movl $300000, %ecx\n"
		"again:\n"
		"movl %ecx, %eax\nandl $7, %eax\nshll $12, %eax\n"
		"addl %ecx, 0x40000000(%rax)\n"
		"xorq $0x1000, 0x51000\n"
		"invlpg 0x40000000\n"
		"decl %ecx\n"
		"jnz again\n"
		"movb $42, %al\noutb %al, $0xf4\n");

static const struct program program = {.code = moving, .end = moving_end, .value = 42};

struct outcome {
	struct umbra_registers registers;
	uint64_t instructions, time;
	char hash[33];
	unsigned switches;
};

struct kicker {
	struct umbra_guest *guest;
	volatile bool stop;
};

static void *kick(void *context)
{
	struct kicker *kicker = context;

	while (!kicker->stop) {
		umbra_guest_kick(kicker->guest);
		sched_yield();
	}
	return NULL;
}

static void run(enum umbra_mode mode, bool kicked, struct outcome *ret)
{
	struct kicker kicker = {.guest = boundary_create(&program, mode)};
	struct umbra_guest *guest = kicker.guest;
	enum umbra_event event;
	pthread_t thread;

	memset(ret, 0, sizeof(*ret));
	guest->interval = 0; /* nothing but the kicks stops it */
	if (kicked)
		assert_int_equal(pthread_create(&thread, NULL, kick, &kicker), 0);
	while ((event = umbra_guest_run(guest, UINT64_MAX)) != UMBRA_EVENT_ENDED) {
		enum umbra_mode on = umbra_guest_mode(guest);

		assert_int_equal(event, UMBRA_EVENT_KICKED);
		if (++ret->switches > KICKS)
			kicker.stop = true;
		assert_int_equal(
			umbra_guest_switch(guest, on == UMBRA_MODE_EPT ? UMBRA_MODE_BRUTE : on + 1,
					   NULL, NULL),
			0);
	}
	kicker.stop = true;
	if (kicked)
		pthread_join(thread, NULL);
	assert_int_equal(umbra_guest_end(guest)->value, 42);
	assert_int_equal(umbra_guest_counters(guest)->switches[0], ret->switches);
	ret->instructions = umbra_guest_counters(guest)->instructions[0];
	ret->time = umbra_guest_time(guest);
	umbra_guest_registers(guest, 0, &ret->registers);
	umbra_guest_memory_hash(guest, ret->hash);
	umbra_guest_destroy(guest);
}

static void a_guest_cannot_tell_that_another_thread_had_it_switched(void **state)
{
	struct outcome alone, kicked;

	run(UMBRA_MODE_BARE, false, &alone);
	run(UMBRA_MODE_EPT, true, &kicked);
	assert_true(kicked.switches > 3);
	assert_int_equal(kicked.instructions, alone.instructions);
	assert_int_equal(kicked.time, alone.time);
	assert_memory_equal(&kicked.registers, &alone.registers, sizeof(alone.registers));
	assert_string_equal(kicked.hash, alone.hash);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_cannot_tell_that_another_thread_had_it_switched),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
