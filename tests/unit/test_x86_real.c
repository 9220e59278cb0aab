/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Real mode: addresses, limits, the table of vectors, ways in and out (SDM 3A 9.9, 3B 20.1). */
#include "x86_system_fixture.h"

static void words_are_the_default_and_prefixes_change_that(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	cpu->gpr[X86_RAX] = cpu->gpr[X86_RCX] = UINT64_MAX;
	RUN(b, "\xb8\x34\x12\x66\xb9\x78\x56\x34\x12"); /* mov ax, 1234; mov ecx, 12345678 */
	assert_completed(b, "\xb8\x34\x12\x66\xb9\x78\x56\x34\x12");
	assert_int_equal(cpu->gpr[X86_RAX], 0xffffffffffff1234);
	assert_int_equal(cpu->gpr[X86_RCX], 0x12345678);
	assert_string_equal(x86_mode_name(cpu), "real");
}

static void addresses_of_16_bits_wrap_and_67h_makes_them_32(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	put64(b, 0x500, 0x1122334455667788);
	cpu->gpr[X86_RBX] = 0xabcdfff0;
	cpu->gpr[X86_RSI] = 0x510;
	RUN(b, "\x8a\x00"); /* mov al, [bx+si] */
	assert_completed(b, "\x8a\x00");
	assert_int_equal((uint8_t)cpu->gpr[X86_RAX], 0x88);
	cpu->gpr[X86_RBX] = 0x4fe;
	RUN(b, "\x67\x8b\x43\x04"); /* mov ax, [ebx+4] */
	assert_completed(b, "\x67\x8b\x43\x04");
	assert_int_equal((uint16_t)cpu->gpr[X86_RAX], 0x5566);
	cpu->gpr[X86_RBX] = 0x10500; /* beyond 64 KiB there is nothing */
	RUN(b, "\x67\x8b\x03");
	assert_handler(b, X86_GP);
}

static void segments_begin_at_16_times_their_selector(void **state)
{
	struct x86_box *b = *state;

	put64(b, 0x12345, 0xa5);
	b->cpu->gpr[X86_RAX] = 0x1234;
	RUN(b, "\x8e\xd8\xa0\x05\x00\x8c\xd9"); /* mov ds, ax; mov al, [5]; mov cx, ds */
	assert_completed(b, "\x8e\xd8\xa0\x05\x00\x8c\xd9");
	assert_int_equal((uint8_t)b->cpu->gpr[X86_RAX], 0xa5);
	assert_int_equal((uint16_t)b->cpu->gpr[X86_RCX], 0x1234);
}

static void an_operand_that_leaves_its_segment_faults_without_a_code(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	cpu->gpr[X86_RBX] = cpu->gpr[X86_RBP] = 0xffff;
	RUN(b, "\x8b\x07"); /* mov ax, [bx] */
	assert_handler(b, X86_GP);
	assert_int_equal(cpu->gpr[X86_RSP], STACK - 6);
	assert_int_equal(get16(b, STACK - 6), 0); /* IP of the instruction */
	assert_int_equal(get16(b, STACK - 4), CODE >> 4);
	cpu->gpr[X86_RSP] = STACK;
	x86_set_segment_8086(cpu, X86_CS, CODE >> 4);
	RUN(b, "\x8b\x46\x00"); /* mov ax, [bp] */
	assert_handler(b, X86_SS_FAULT);
	assert_int_equal(cpu->gpr[X86_RSP], STACK - 6);
}

static void the_stack_pointer_has_16_bits_and_wraps(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RSP] = 0x12340000;
	b->cpu->gpr[X86_RAX] = 0xbeef;
	x86_set_segment_8086(b->cpu, X86_SS, DATA >> 4);
	RUN(b, "\x50\x5b"); /* push ax; pop bx */
	assert_completed(b, "\x50\x5b");
	assert_int_equal(b->cpu->gpr[X86_RSP], 0x12340000);
	assert_int_equal((uint16_t)b->cpu->gpr[X86_RBX], 0xbeef);
	assert_int_equal(get16(b, DATA + 0xfffe), 0xbeef);
	b->cpu->gpr[X86_RSP] = 1; /* the word would lie at FFFFH and 10000H */
	RUN_ONE(b, "\x50");
	assert_true(b->cpu->ended); /* nor is there room for any frame */
	assert_int_equal(b->cpu->end.reason, UMBRA_END_TRIPLE_FAULT);
	assert_string_equal(b->cpu->end.cpu_mode, "real");
}

static void interrupts_push_three_words_and_iret_pops_them(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	put(b, HANDLERS + 0x80 * 16, "\xcf", 1); /* iret */
	x86_set_flags(cpu, RFLAGS_ONE | RFLAGS_IF | RFLAGS_CF | RFLAGS_AC);
	RUN_ONE(b, "\xcd\x80");
	assert_int_equal(cpu->rflags & (RFLAGS_IF | RFLAGS_TF | RFLAGS_AC), 0);
	assert_int_equal(cpu->segment[X86_CS].selector, HANDLERS >> 4);
	assert_int_equal(get16(b, STACK - 6), 2);
	assert_int_equal(get16(b, STACK - 4), CODE >> 4);
	assert_int_equal(get16(b, STACK - 2), RFLAGS_ONE | RFLAGS_IF | RFLAGS_CF);
	cpu->gpr[X86_RSP] = STACK;
	x86_set_segment_8086(cpu, X86_CS, CODE >> 4);
	x86_set_flags(cpu, RFLAGS_ONE | RFLAGS_IF | RFLAGS_CF);
	RUN(b, "\xcd\x80");
	assert_completed(b, "\xcd\x80");
	assert_int_equal(cpu->rflags & (RFLAGS_IF | RFLAGS_CF), RFLAGS_IF | RFLAGS_CF);
	assert_int_equal(cpu->gpr[X86_RSP], STACK);
}

static void the_table_of_vectors_has_base_and_limit(void **state)
{
	struct x86_box *b = *state;
	const uint16_t entry[] = {0x20 * 16, HANDLERS >> 4};

	put(b, 0x700 + 0x20 * 4, entry, sizeof(entry));
	b->cpu->idtr.base = 0x700;
	RUN(b, "\xcd\x20");
	assert_handler(b, 0x20);
	x86_set_segment_8086(b->cpu, X86_CS, CODE >> 4);
	b->cpu->idtr = (struct x86_table_register){.limit = 0x20 * 4 + 2};
	RUN(b, "\xcd\x20");
	assert_handler(b, X86_GP);
	x86_set_segment_8086(b->cpu, X86_CS, CODE >> 4);
	b->cpu->idtr.limit = 3; /* #GP and #DF lie beyond it */
	RUN(b, "\xcd\x20");
	assert_true(b->cpu->ended);
	assert_int_equal(b->cpu->end.reason, UMBRA_END_TRIPLE_FAULT);
}

static void far_transfers_take_any_selector(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	put(b, DATA, "\xcb", 1);             /* 3000:0000: retf */
	put(b, DATA + 1, "\xca\x04\x00", 3); /* retf 4 */
	RUN(b, "\x9a\x00\x00\x00\x30");
	assert_completed(b, "\x9a\x00\x00\x00\x30");
	assert_int_equal(cpu->gpr[X86_RSP], STACK);
	assert_int_equal(get16(b, STACK - 2), CODE >> 4);
	RUN(b, "\x9a\x01\x00\x00\x30");
	assert_int_equal(cpu->gpr[X86_RSP], STACK + 4);
	RUN(b, "\x66\xea\x30\x00\x00\x00\x00\x20"); /* jmp 2000:00000030 */
	assert_handler(b, 3);
	x86_set_segment_8086(cpu, X86_CS, CODE >> 4);
	RUN(b, "\x66\xea\x00\x00\x01\x00\x00\x20"); /* beyond the limit */
	assert_handler(b, X86_GP);
}

static void near_jumps_wrap_but_execution_does_not(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;
	static const volatile bool stop = false;

	put(b, CODE + 0xfffd, "\xeb\x11", 2); /* jmp +11H: FFFFH + 11H is 10H */
	put(b, CODE + 0x10, "\xf4", 1);
	cpu->gpr[X86_RIP] = 0xfffd;
	x86_run(cpu, UINT64_MAX, cpu->instructions + 10, &stop);
	assert_int_equal(linear_rip(b), CODE + 0x11);
	cpu->halted = false;
	put(b, CODE + 0xffff, "\xb0\x00", 2); /* mov al, 0: one byte within the limit */
	cpu->gpr[X86_RIP] = 0xffff;
	x86_run(cpu, UINT64_MAX, cpu->instructions + 10, &stop);
	assert_handler(b, X86_GP);
	assert_int_equal(get16(b, STACK - 6), 0xffff);
	cpu->halted = false;
	x86_set_segment_8086(cpu, X86_CS, CODE >> 4);
	put(b, CODE + 0xffff, "\x90", 1);
	cpu->gpr[X86_RIP] = 0xffff;
	cpu->gpr[X86_RSP] = STACK;
	x86_run(cpu, UINT64_MAX, cpu->instructions + 10, &stop);
	assert_handler(b, X86_GP); /* there is no instruction at 10000H */
	x86_set_segment_8086(cpu, X86_CS, CODE >> 4);
	RUN(b, "\x66\xe9\x00\x00\x01\x00"); /* jmp +10000H, 32-bit operands */
	assert_handler(b, X86_GP);
}

static void protected_modes_instructions_are_undefined(void **state)
{
	static const char *const codes[] = {
		"\x0f\x00\xc0\xf4", /* sldt ax */
		"\x0f\x00\xc8\xf4", /* str ax */
		"\x0f\x00\xd0\xf4", /* lldt ax */
		"\x0f\x00\xd8\xf4", /* ltr ax */
		"\x0f\x00\xe0\xf4", /* verr ax */
		"\x0f\x00\xe8\xf4", /* verw ax */
		"\x0f\x02\xc0\xf4", /* lar ax, ax */
		"\x0f\x03\xc0\xf4", /* lsl ax, ax */
		"\x63\xc0\xf4\xf4", /* arpl ax, ax */
	};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		x86_set_segment_8086(b->cpu, X86_CS, CODE >> 4);
		run_bytes(b, codes[i], 4, 10);
		assert_handler(b, X86_UD);
	}
}

static void strings_and_loops_count_in_cx(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	put64(b, 0xfffe, 0x2211);
	put64(b, 0x500, 0);
	cpu->gpr[X86_RCX] = 0xaaaa0002;
	cpu->gpr[X86_RSI] = 0xbbbbfffe;
	cpu->gpr[X86_RDI] = 0xcccc0500;
	RUN(b, "\xf3\xa4"); /* rep movsb */
	assert_completed(b, "\xf3\xa4");
	assert_int_equal(cpu->gpr[X86_RCX], 0xaaaa0000);
	assert_int_equal(cpu->gpr[X86_RSI], 0xbbbb0000);
	assert_int_equal(cpu->gpr[X86_RDI], 0xcccc0502);
	assert_int_equal(get16(b, 0x500), 0x2211);
	cpu->gpr[X86_RAX] = 0;
	cpu->gpr[X86_RCX] = 0x10003;
	RUN(b, "\x40\xe2\xfd\xe3\x00"); /* inc ax; loop; jcxz */
	assert_completed(b, "\x40\xe2\xfd\xe3\x00");
	assert_int_equal(cpu->gpr[X86_RAX], 3);
	assert_int_equal(cpu->gpr[X86_RCX], 0x10000);
}

static void hidden_parts_outlive_the_switch_to_real_mode(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	put64(b, 0x100010, 0x77);
	b->cpu->gdtr = (struct x86_table_register){GDT, GDT_SIZE - 1};
	cpu->gpr[X86_RBX] = 0x100000; /* 1 MiB: beyond all that the 8086 could see */
				      /*
				       * mov eax, cr0; or al, 1; mov cr0, eax; mov cx, KERNEL_DATA; mov ds, cx; and al, fe;
				       * mov cr0, eax; xor cx, cx; mov ds, cx; mov dl, [ebx+10]
				       */
#define BIG_REAL                                                                                   \
	"\x0f\x20\xc0\x0c\x01\x0f\x22\xc0\xb9\x10\x00\x8e\xd9\x24\xfe\x0f\x22\xc0\x31\xc9\x8e\xd9" \
	"\x67\x8a\x53\x10"
	RUN(b, BIG_REAL);
	assert_completed(b, BIG_REAL);
	assert_int_equal(cpu->code_mode, X86_CODE_REAL);
	assert_int_equal((uint8_t)cpu->gpr[X86_RDX], 0x77);
	assert_int_equal(cpu->segment[X86_DS].limit, UINT32_MAX);
}

static void protected_mode_is_entered_by_a_far_jump_and_left_again(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;
	const uint16_t code_16 = ABSENT_DATA;

	put64(b, GDT + code_16, descriptor(CODE, 0xffff, RIGHTS_CODE));
	cpu->gdtr = (struct x86_table_register){GDT, GDT_SIZE - 1};
	/* 32-bit: mov eax, 12345678; jmp code_16:0040 */
	put(b, CODE + 0x100, "\xb8\x78\x56\x34\x12\xea\x40\x00\x00\x00\x38\x00", 12);
	/* 16-bit: mov ecx, cr0; and cl, fe; mov cr0, ecx; jmp 1000:0050 */
	put(b, CODE + 0x40, "\x0f\x20\xc1\x80\xe1\xfe\x0f\x22\xc1\xea\x50\x00\x00\x10", 14);
	put(b, CODE + 0x50, "\xf4", 1);
	/* mov eax, cr0; inc ax; mov cr0, eax; jmp KERNEL_CODE_32:CODE + 100 */
	RUN(b, "\x0f\x20\xc0\x40\x0f\x22\xc0\x66\xea\x00\x01\x01\x00\x18\x00");
	assert_false(cpu->ended);
	assert_int_equal(linear_rip(b), CODE + 0x51);
	assert_int_equal(cpu->gpr[X86_RAX], 0x12345678);
	assert_int_equal(cpu->code_mode, X86_CODE_REAL);
	assert_int_equal(cpu->segment[X86_CS].selector, CODE >> 4);
	assert_int_equal(cpu->segment[X86_CS].limit, UINT16_MAX);
}

static void sixteen_bytes_are_no_instruction(void **state)
{
	struct x86_box *b = *state;

	RUN(b, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"); /* 15 */
	assert_completed(b, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90");
	RUN(b, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90");
	assert_handler(b, X86_GP);
	assert_int_equal(get16(b, STACK - 6), 0);
}

static void popf_and_iret_write_iopl_and_if_freely(void **state)
{
	struct x86_box *b = *state;

	put(b, STACK, "\xff\xfe", 2); /* all but TF */
	RUN(b, "\x9d\x9c\x58");       /* popf; pushf; pop ax */
	assert_completed(b, "\x9d\x9c\x58");
	assert_int_equal((uint16_t)b->cpu->gpr[X86_RAX] & (RFLAGS_IOPL | RFLAGS_IF | RFLAGS_NT),
			 RFLAGS_IOPL | RFLAGS_IF | RFLAGS_NT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_real, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(words_are_the_default_and_prefixes_change_that),
		TEST(addresses_of_16_bits_wrap_and_67h_makes_them_32),
		TEST(segments_begin_at_16_times_their_selector),
		TEST(an_operand_that_leaves_its_segment_faults_without_a_code),
		TEST(the_stack_pointer_has_16_bits_and_wraps),
		TEST(interrupts_push_three_words_and_iret_pops_them),
		TEST(the_table_of_vectors_has_base_and_limit),
		TEST(far_transfers_take_any_selector),
		TEST(near_jumps_wrap_but_execution_does_not),
		TEST(protected_modes_instructions_are_undefined),
		TEST(strings_and_loops_count_in_cx),
		TEST(hidden_parts_outlive_the_switch_to_real_mode),
		TEST(protected_mode_is_entered_by_a_far_jump_and_left_again),
		TEST(sixteen_bytes_are_no_instruction),
		TEST(popf_and_iret_write_iopl_and_if_freely),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
