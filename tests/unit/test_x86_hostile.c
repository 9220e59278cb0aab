/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as code, with any registers: the guest may end, Umbra may not. */
#include "x86_fixture.h"

#define ROUNDS 600

static uint64_t seed = 88172645463325252;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1d;
}

/* Addresses near what is mapped and near the ends of the address space are the interesting ones. */
static uint64_t random_register(void)
{
	static const uint64_t near[] = {
		CODE, STACK, DATA, RAM_SIZE, PT, 0x7fffffffffff, 0xffff800000000000, UINT64_MAX};

	if (random64() >> 62)
		return near[random64() >> 61] + (random64() >> 51) - 4096;
	return random64() >> (random64() >> 58);
}

static void run_random(enum umbra_mode mode, uint16_t cs_rights)
{
	static const uint8_t prefixes[] = {0x0f, 0x48, 0x66, 0xf3, 0xf0, 0x67, 0x64, 0xf2};
	uint8_t code[256];
	struct box box;

	box_create(&box, mode, UMBRA_CLOCK_CYCLES);
	for (unsigned i = 0; i < sizeof(code); i++)
		code[i] =
			random64() >> 62 ? (uint8_t)(random64() >> 56) : prefixes[random64() >> 61];
	for (unsigned page = 0; page < 2; page++)
		box_write(&box, CODE + page * (PAGE_SIZE - 128), code, sizeof(code));
	for (unsigned i = 0; i < 16; i++)
		if (i != X86_RSP || random64() >> 63)
			box.cpu->gpr[i] = random_register();
	box.cpu->gpr[X86_RIP] = CODE + (random64() >> 63 ? PAGE_SIZE - 100 : 0);
	if (cs_rights) {
		box.cpu->segment[X86_CS].rights = cs_rights;
		x86_update_code_mode(box.cpu);
	}
	/* A REP that takes forever is as good as one that ends: time is what stops it. */
	for (unsigned i = 0; i < 50 && !box.cpu->ended; i++) {
		x86_run(box.cpu, x86_time(box.cpu) + 5000, box.cpu->instructions + 200, &box.stop);
		if (box.cpu->halted) {
			box.cpu->halted = false;
			box.cpu->gpr[X86_RIP] = CODE + (random64() >> 56);
			box.cpu->gpr[random64() >> 60] = random_register();
		}
	}
	assert_int_equal(box.cpu->gpr[X86_ZERO], 0);
	box_destroy(&box);
}

static void test_any_bytes_in_64_bit_mode_are_survived(void **state)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		run_random(i % UMBRA_MODE_COUNT, 0);
}

static void test_any_bytes_in_compatibility_mode_are_survived(void **state)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		run_random(i % UMBRA_MODE_COUNT, 0xc09b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_bytes_in_64_bit_mode_are_survived),
		cmocka_unit_test(test_any_bytes_in_compatibility_mode_are_survived),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
