/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shipped guests run twice in each mode, once with addresses translated at every interval: in
 * all modes, of every vCPU, near what it uses and anywhere. Neither the guest nor its counters may
 * tell the difference.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "shipped_guest.h"
#include "umbra/guest.h"
#include "umbra/translate.h"

#define MEMORY       (32ull << 20)
#define INTERVAL     5000
#define SWITCH_EVERY 40u /* intervals */
#define EACH_TIME    6u  /* addresses of each vCPU */

struct program {
	const char *guest, *append;
	unsigned cpus;
};

static const struct program programs[] = {
	{"forker", "rounds=1 depth=2 pages=32", 1},
	{"switcher", "rounds=2", 1},
	{"smp", "rounds=40 changes=8", 2},
};

struct outcome {
	struct umbra_end end;
	struct umbra_counters counters;
	struct umbra_registers registers[2];
	char hash[33];
};

static uint64_t translations, seen[UMBRA_OUTCOME_COUNT], ends[UMBRA_WALK_END_COUNT];

static uint64_t random_state;

static uint64_t any(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t address(const struct umbra_registers *registers)
{
	switch (any() % 4) {
	case 0: return registers->rip + any() % 8192;
	case 1: return registers->gpr[any() % 16];
	case 2: return any() % (2 * MEMORY);
	default: return (uint64_t)((int64_t)(any() << 16) >> 16);
	}
}

static void look_around(const struct umbra_guest *guest)
{
	for (unsigned cpu = 0; cpu < umbra_guest_cpus(guest); cpu++) {
		struct umbra_registers registers;

		umbra_guest_registers(guest, cpu, &registers);
		for (unsigned i = 0; i < EACH_TIME; i++) {
			struct umbra_translation t;
			struct umbra_error error;

			/* What is no address is refused, which must not be noticed either. */
			if (umbra_guest_translate(guest, cpu, address(&registers), any() % 3, &t,
						  &error))
				continue;
			translations++;
			seen[t.outcome]++;
			for (unsigned mode = 0; mode < UMBRA_MODE_COUNT; mode++)
				ends[t.walk[mode].end]++;
		}
	}
}

static void run(const struct program *program, enum umbra_mode mode, bool switched, bool looked,
		struct outcome *ret)
{
	static const enum umbra_mode next[] = {[UMBRA_MODE_BRUTE] = UMBRA_MODE_SHADOW,
					       [UMBRA_MODE_SHADOW] = UMBRA_MODE_EPT,
					       [UMBRA_MODE_EPT] = UMBRA_MODE_BRUTE};
	static struct umbra_counters published;
	struct umbra_guest_config config = {
		.name = program->guest,
		.mode = mode,
		.memory = MEMORY,
		.cpus = program->cpus,
		.interval = INTERVAL,
	};
	struct umbra_image image = {.name = program->guest, .append = program->append};
	struct umbra_guest *guest;
	void *data = shipped_guest(program->guest, &image.size);
	unsigned intervals = 0;

	image.data = data;
	random_state = 88172645463325252ull;
	memset(ret, 0, sizeof(*ret));
	assert_int_equal(umbra_guest_create(&config, &published, &guest, NULL), 0);
	assert_int_equal(umbra_guest_load(guest, &image, NULL), 0);
	while (umbra_guest_run(guest, UINT64_MAX) != UMBRA_EVENT_ENDED) {
		if (looked)
			look_around(guest);
		if (switched && ++intervals % SWITCH_EVERY == 0)
			assert_int_equal(umbra_guest_switch(guest, next[umbra_guest_mode(guest)],
							    NULL, NULL),
					 0);
	}
	ret->end = *umbra_guest_end(guest);
	ret->counters = *umbra_guest_counters(guest);
	for (unsigned cpu = 0; cpu < program->cpus; cpu++)
		umbra_guest_registers(guest, cpu, &ret->registers[cpu]);
	umbra_guest_memory_hash(guest, ret->hash);
	umbra_guest_destroy(guest);
	free(data);
}

static void check(enum umbra_mode mode, bool switched)
{
	static struct outcome alone, looked;

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (mode == UMBRA_MODE_BARE && switched)
			continue;
		run(&programs[i], mode, switched, false, &alone);
		run(&programs[i], mode, switched, true, &looked);
		assert_int_equal(looked.end.reason, UMBRA_END_DEBUG_EXIT);
		assert_int_equal(looked.end.value, 0);
		assert_string_equal(looked.hash, alone.hash);
		assert_memory_equal(looked.registers, alone.registers, sizeof(alone.registers));
		assert_memory_equal(&looked.counters, &alone.counters, sizeof(alone.counters));
	}
}

static void a_guest_in_bare_cannot_tell(void **state)
{
	(void)state;
	check(UMBRA_MODE_BARE, false);
}

static void a_guest_in_brute_cannot_tell(void **state)
{
	(void)state;
	check(UMBRA_MODE_BRUTE, false);
}

static void a_guest_in_shadow_cannot_tell(void **state)
{
	(void)state;
	check(UMBRA_MODE_SHADOW, false);
}

static void a_guest_in_ept_cannot_tell(void **state)
{
	(void)state;
	check(UMBRA_MODE_EPT, false);
}

static void a_guest_that_is_switched_cannot_tell(void **state)
{
	(void)state;
	check(UMBRA_MODE_EPT, true);
}

static void much_was_seen_of_them(void **state)
{
	(void)state;
	assert_true(translations > 10000);
	assert_true(seen[UMBRA_OUTCOME_RAM] > 1000);
	assert_true(seen[UMBRA_OUTCOME_FAULT] > 1000);
	assert_true(ends[UMBRA_WALK_TRANSLATED] > 1000);
	assert_true(ends[UMBRA_WALK_EXIT_FILL] > 100);
	assert_true(ends[UMBRA_WALK_EXIT_FAULT] > 100);
	assert_true(ends[UMBRA_WALK_FAULT] > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_in_bare_cannot_tell),
		cmocka_unit_test(a_guest_in_brute_cannot_tell),
		cmocka_unit_test(a_guest_in_shadow_cannot_tell),
		cmocka_unit_test(a_guest_in_ept_cannot_tell),
		cmocka_unit_test(a_guest_that_is_switched_cannot_tell),
		cmocka_unit_test(much_was_seen_of_them),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
