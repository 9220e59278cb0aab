/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as code, with any registers: the guest may end, Umbra may not. */
#include "x86_fixture.h"

#include "x86/debug.h"
#include "x86/segment.h"

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

enum start { START_64, START_COMPAT_32, START_COMPAT_16, START_PROTECTED, START_REAL, START_V8086 };

/* Segments, gates and TSSs of every kind, as often right as wrong. */
static uint64_t random_descriptor(void)
{
	static const uint8_t system[] = {SYS_TSS_16_AVAILABLE, SYS_LDT,       SYS_TSS_16_BUSY,
					 SYS_CALL_GATE_16,     SYS_TASK_GATE, SYS_TRAP_GATE_16,
					 SYS_TSS_AVAILABLE,    SYS_CALL_GATE};
	uint64_t base = random64() >> 44, rights = SEG_P | (random64() & SEG_DPL);

	if (random64() >> 63) { /* a gate's selector and offset, or a TSS's base and limit */
		rights |= system[random64() >> 61];
		return ((CODE + (random64() >> 56)) & 0xffff) | (random64() & 0xff8) << 16 |
		       (random64() >> 59) << 32 | rights << 40 | (CODE >> 16) << 48;
	}
	rights |= SEG_S | (random64() & (SEG_TYPE | SEG_DB | SEG_G));
	return (random64() >> 63 ? 0xffff : random64() >> 50) | base << 16 | rights << 40;
}

/* Out of long mode: tables, segments, flags and breakpoints of the older modes. */
static void leave_long_mode(struct box *box, enum start start)
{
	struct x86_cpu *cpu = box->cpu;

	for (unsigned i = 1; i < 256; i++)
		box_write64(box, GDT + 8 * i, random_descriptor());
	for (unsigned i = 0; i < 256; i++)
		box_write64(box, IDT + 8 * i, random_descriptor());
	for (unsigned i = 0; i < 64; i++)
		box_write64(box, DATA + 8 * i, random64() >> (random64() >> 58));
	if (start == START_REAL)
		for (unsigned i = 0; i < 512; i++)
			box_write64(box, IDT + 8 * i, random64() & 0x0fff0fff0fff0fff);
	cpu->efer = 0;
	cpu->cr0 = CR0_ET | (start == START_REAL ? 0 : CR0_PE) | (random64() & CR0_AM);
	cpu->cr4 = random64() & (CR4_VME | CR4_PVI | CR4_DE);
	cpu->gdtr = (struct x86_table_register){GDT, 0x7ff};
	cpu->idtr = (struct x86_table_register){IDT, 0x7ff};
	cpu->tr = (struct x86_segment){
		.base = DATA,
		.limit = (uint32_t)(random64() >> 55),
		.selector = (uint16_t)(random64() & 0x7f8),
		.rights = SEG_P | (random64() >> 63 ? SYS_TSS_BUSY : SYS_TSS_16_BUSY),
	};
	cpu->cpl = start == START_V8086 ? 3 : 0;
	x86_set_flags(cpu, RFLAGS_ONE | (random64() & RFLAGS_DEFINED & ~(uint64_t)RFLAGS_VM) |
				   (start == START_V8086 ? RFLAGS_VM : 0));
	for (unsigned i = 0; i < X86_NR_SEGMENTS; i++) {
		cpu->segment[i] = (struct x86_segment){.limit = UINT16_MAX};
		x86_set_segment_8086(cpu, i, i == X86_CS ? CODE >> 4 : random64() >> 52);
		if (start == START_PROTECTED && i != X86_CS)
			cpu->segment[i].rights |= random64() & (SEG_DB | SEG_EXPAND);
	}
	if (start == START_PROTECTED)
		cpu->segment[X86_CS].rights = SEG_P | SEG_S | SEG_CODE | SEG_READABLE |
					      (random64() & (SEG_DB | SEG_CONFORMING));
	for (unsigned i = 0; i < 4; i++)
		cpu->dr[i] = random64() >> 63 ? CODE + (random64() >> 56) : random_register();
	cpu->dr[7] = random64() >> 62 ? 0x400 : random64() & 0xffff23ff;
	x86_debug_changed(cpu);
	x86_update_code_mode(cpu);
	assert_int_equal(x86_update_paging(cpu), X86_LEAVE);
}

/* What has to hold between any two instructions. */
static void check_state(const struct x86_cpu *cpu)
{
	struct x86_cpu *copy = malloc(sizeof(*copy));

	assert_non_null(copy);
	*copy = *cpu;
	x86_update_code_mode(copy);
	assert_int_equal(cpu->code_mode, copy->code_mode);
	assert_int_equal(cpu->gpr[X86_ZERO], 0);
	assert_true(cpu->cpl <= 3);
	assert_true(cpu->privilege == HW_USER ? cpu->cpl == 3 : cpu->cpl < 3);
	if (x86_v8086(cpu)) {
		assert_int_equal(cpu->cpl, 3);
		assert_true(cpu->cr0 & CR0_PE);
		assert_false(x86_long_mode(cpu));
	}
	if (!(cpu->cr0 & CR0_PE))
		assert_int_equal(cpu->cpl, 0);
	free(copy);
}

static void run_random(enum umbra_mode mode, enum start start)
{
	static const uint8_t prefixes[] = {0x0f, 0x48, 0x66, 0xf3, 0xf0, 0x67, 0x64, 0xf2};
	/* Far transfers, interrupts, loads of segments: what the older modes are about. */
	static const uint8_t transfers[] = {0x9a, 0xea, 0xcf, 0xcb, 0xca, 0xcd, 0x8e, 0x9d,
					    0xcc, 0xc5, 0xff, 0xf1, 0x17, 0x1f, 0x07, 0xfb};
	uint8_t code[256];
	struct box box;

	box_create(&box, mode, UMBRA_CLOCK_CYCLES);
	for (unsigned i = 0; i < sizeof(code); i++) {
		code[i] =
			random64() >> 62 ? (uint8_t)(random64() >> 56) : prefixes[random64() >> 61];
		if (start >= START_PROTECTED && random64() >> 61 == 0)
			code[i] = transfers[random64() >> 60];
	}
	for (unsigned page = 0; page < 2; page++)
		box_write(&box, CODE + page * (PAGE_SIZE - 128), code, sizeof(code));
	for (unsigned i = 0; i < 16; i++)
		if (i != X86_RSP || random64() >> 63)
			box.cpu->gpr[i] = random_register();
	box.cpu->gpr[X86_RIP] = CODE + (random64() >> 63 ? PAGE_SIZE - 100 : 0);
	if (start == START_COMPAT_32 || start == START_COMPAT_16) {
		box.cpu->segment[X86_CS].rights = start == START_COMPAT_32 ? 0xc09b : 0x809b;
		x86_update_code_mode(box.cpu);
	} else if (start != START_64) {
		leave_long_mode(&box, start);
		box.cpu->gpr[X86_RIP] -= CODE;
	}
	/* A REP that takes forever is as good as one that ends: time is what stops it. */
	for (unsigned i = 0; i < 50 && !box.cpu->ended; i++) {
		x86_run(box.cpu, x86_time(box.cpu) + 5000, box.cpu->instructions + 200, &box.stop);
		check_state(box.cpu);
		if (random64() >> 60 == 0)
			x86_nmi(box.cpu);
		if (box.cpu->halted) {
			box.cpu->halted = false;
			box.cpu->gpr[X86_RIP] = CODE + (random64() >> 56);
			box.cpu->gpr[random64() >> 60] = random_register();
		}
	}
	box_destroy(&box);
}

static void run_rounds(enum start start)
{
	/* The older modes fault more often, and what faults gets as many tries. */
	unsigned rounds = start == START_64 ? ROUNDS : ROUNDS / 4;

	for (unsigned i = 0; i < rounds; i++)
		run_random(i % UMBRA_MODE_COUNT, start);
}

static void test_any_bytes_in_64_bit_mode_are_survived(void **state)
{
	run_rounds(START_64);
}

static void test_any_bytes_in_compatibility_mode_are_survived(void **state)
{
	run_rounds(START_COMPAT_32);
}

static void test_any_bytes_in_16_bit_compatibility_mode_are_survived(void **state)
{
	run_rounds(START_COMPAT_16);
}

static void test_any_bytes_in_protected_mode_are_survived(void **state)
{
	run_rounds(START_PROTECTED);
}

static void test_any_bytes_in_real_mode_are_survived(void **state)
{
	run_rounds(START_REAL);
}

static void test_any_bytes_in_virtual_8086_mode_are_survived(void **state)
{
	run_rounds(START_V8086);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_bytes_in_64_bit_mode_are_survived),
		cmocka_unit_test(test_any_bytes_in_compatibility_mode_are_survived),
		cmocka_unit_test(test_any_bytes_in_16_bit_compatibility_mode_are_survived),
		cmocka_unit_test(test_any_bytes_in_protected_mode_are_survived),
		cmocka_unit_test(test_any_bytes_in_real_mode_are_survived),
		cmocka_unit_test(test_any_bytes_in_virtual_8086_mode_are_survived),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
