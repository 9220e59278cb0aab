/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtual-8086 mode, CR4.VME and CR4.PVI (SDM 3B 20.2, 20.3). */
#include "x86_system_fixture.h"

/* In the TSS: the map of redirected interrupts, below the map of ports. */
enum { TSS_REDIRECTION = TSS + 0x68, TSS_PORTS = TSS_REDIRECTION + 32 };

/* A TSS with both maps; ports 0 ... 7 are allowed, all interrupts go to protected mode. */
static void put_maps(struct x86_box *b)
{
	const uint16_t base = TSS_PORTS - TSS;

	put(b, TSS + 0x66, &base, sizeof(base));
	for (unsigned i = 0; i < 32; i++)
		put(b, TSS_REDIRECTION + i, "\xff", 1);
	put(b, TSS_PORTS, "\x00\xff\xff\xff", 4);
	b->cpu->tr.limit = TSS_PORTS - TSS + 3;
}

/* The table of the 8086 program: its handlers are at DATA, as halts of no use to it. */
static void put_vectors(struct x86_box *b)
{
	const uint16_t entry[] = {0x40, DATA >> 4};

	put(b, 0x21 * sizeof(entry), entry, sizeof(entry));
	put(b, DATA + 0x40, "\x90\x90\xcf", 3); /* nop; nop; iret */
}

static void iret_enters_it_and_a_fault_leaves_it(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;
	const uint32_t frame[] = {0x20,   CODE >> 4, RFLAGS_ONE | RFLAGS_VM | RFLAGS_IF,
				  0x7000, 0x111,     0x222,
				  0x333,  0x444,     0x555};

	put(b, STACK, frame, sizeof(frame));
	put(b, CODE + 0x20, "\xf4", 1); /* hlt: privileged */
	RUN_ONE(b, "\xcf");
	assert_int_equal(cpu->code_mode, X86_CODE_V8086);
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->segment[X86_SS].base, 0x1110);
	assert_int_equal(cpu->segment[X86_ES].selector, 0x222);
	assert_int_equal(cpu->segment[X86_DS].selector, 0x333);
	assert_int_equal(cpu->segment[X86_FS].selector, 0x444);
	assert_int_equal(cpu->segment[X86_GS].selector, 0x555);
	assert_int_equal(cpu->gpr[X86_RSP], 0x7000);
	x86_run(cpu, UINT64_MAX, cpu->instructions + 5, &b->cpu->ended);
	assert_handler(b, X86_GP);
	assert_int_equal(cpu->cpl, 0);
	assert_false(cpu->rflags & RFLAGS_VM);
	assert_int_equal(cpu->gpr[X86_RSP], STACK_RSP0 - 40);
	assert_int_equal(get32(b, STACK_RSP0 - 40), 0); /* the code */
	assert_int_equal(get32(b, STACK_RSP0 - 36), 0x20);
	assert_int_equal(get32(b, STACK_RSP0 - 32), CODE >> 4);
	assert_true(get32(b, STACK_RSP0 - 28) & RFLAGS_VM);
	assert_int_equal(get32(b, STACK_RSP0 - 24), 0x7000);
	assert_int_equal(get32(b, STACK_RSP0 - 20), 0x111);
	assert_int_equal(get32(b, STACK_RSP0 - 16), 0x222);
	assert_int_equal(get32(b, STACK_RSP0 - 12), 0x333);
	assert_int_equal(get32(b, STACK_RSP0 - 8), 0x444);
	assert_int_equal(get32(b, STACK_RSP0 - 4), 0x555);
	for (unsigned i = 0; i < X86_NR_SEGMENTS; i++)
		if (i != X86_CS && i != X86_SS)
			assert_int_equal(cpu->segment[i].selector, 0);
}

static void only_a_handler_at_cpl_0_may_follow(void **state)
{
	struct x86_box *b = *state;

	/* Conforming code would stay at CPL 3: #GP with its selector, whose handler is right. */
	put64(b, GDT + CONFORMING_CODE,
	      descriptor(0, 0xfffff, RIGHTS_CODE | SEG_CONFORMING | SEG_G | SEG_DB));
	put_gate_32(b, X86_UD, SEG_P | SYS_INTERRUPT_GATE, CONFORMING_CODE);
	RUN(b, "\x0f\x0b");
	assert_handler(b, X86_GP);
	assert_int_equal(get32(b, b->cpu->gpr[X86_RSP]), CONFORMING_CODE | ERROR_EXT);
}

static void without_iopl_flags_and_interrupts_fault(void **state)
{
	static const char *const codes[] = {"\xfa\xf4", "\xfb\xf4", "\x9c\xf4",
					    "\x9d\xf4", "\xcf\xf4", "\xcd\x80"};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		to_v8086(b, 2);
		run_bytes(b, codes[i], 2, 10);
		assert_handler(b, X86_GP);
		assert_int_equal(get32(b, STACK_RSP0 - 40), 0);
	}
	/* INT3 asks the gate only. */
	put_gate_32(b, X86_BP, SEG_P | DPL3 | SYS_INTERRUPT_GATE, KERNEL_CODE_32);
	to_v8086(b, 0);
	RUN(b, "\xcc");
	assert_handler(b, X86_BP);
}

static void with_iopl_int_goes_through_a_gate_of_dpl_3(void **state)
{
	struct x86_box *b = *state;

	RUN(b, "\xcd\x80");
	assert_handler(b, X86_GP);
	assert_int_equal(get32(b, STACK_RSP0 - 40), 0x80 * 8 | ERROR_IDT);
	put_gate_32(b, 0x80, SEG_P | DPL3 | SYS_INTERRUPT_GATE, KERNEL_CODE_32);
	to_v8086(b, 3);
	RUN(b, "\xcd\x80");
	assert_handler(b, 0x80);
	assert_int_equal(get32(b, STACK_RSP0 - 36), 2);
}

static void with_iopl_popf_leaves_iopl_and_vm_alone(void **state)
{
	struct x86_box *b = *state;

	put64(b, STACK_USER, 0);
	RUN_ONE(b, "\x66\x9d"); /* popfd */
	assert_true(b->cpu->rflags & RFLAGS_VM);
	assert_int_equal(x86_iopl(b->cpu), 3);
	assert_int_equal(b->cpu->gpr[X86_RIP], 2);
}

static void segment_loads_know_no_descriptors(void **state)
{
	struct x86_box *b = *state;

	put64(b, 0xffff5, 0x5a);
	b->cpu->gpr[X86_RAX] = 0xffff;
	RUN_ONE(b, "\x8e\xd8"); /* mov ds, ax */
	assert_int_equal(b->cpu->segment[X86_DS].base, 0xffff0);
	assert_int_equal(b->cpu->segment[X86_DS].limit, UINT16_MAX);
	b->cpu->gpr[X86_RAX] = 0;
	run_bytes(b, "\xa0\x05\x00", 3, 1);
	assert_int_equal(b->cpu->gpr[X86_RAX], 0x5a);
}

static void ports_are_the_bitmaps_whatever_iopl_is(void **state)
{
	struct x86_box *b = *state;

	put_maps(b);
	RUN_ONE(b, "\xe4\x02"); /* in al, 2 */
	assert_int_equal(b->cpu->gpr[X86_RIP], 2);
	RUN(b, "\xe4\x08");
	assert_handler(b, X86_GP);
	to_v8086(b, 3);
	RUN(b, "\xe5\x07"); /* in ax, 7: port 8 too */
	assert_handler(b, X86_GP);
}

static void vme_redirects_interrupts_to_the_8086_program(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	put_maps(b);
	put_vectors(b);
	put(b, TSS_REDIRECTION + 0x21 / 8, "\xfd", 1); /* INT 21H */
	cpu->cr4 |= CR4_VME;
	x86_set_flags(cpu, cpu->rflags | RFLAGS_IF);
	RUN_ONE(b, "\xcd\x21");
	assert_int_equal(linear_rip(b), DATA + 0x40);
	assert_true(cpu->rflags & RFLAGS_VM);
	assert_false(cpu->rflags & RFLAGS_IF);
	assert_int_equal(get16(b, STACK_USER - 6), 2);
	assert_int_equal(get16(b, STACK_USER - 4), CODE >> 4);
	assert_int_equal(get16(b, STACK_USER - 2), RFLAGS_ONE | RFLAGS_IF | RFLAGS_IOPL);
	/* Without IOPL the program sees VIF as IF, and IF is left alone. */
	to_v8086(b, 0);
	x86_set_flags(cpu, cpu->rflags | RFLAGS_IF | RFLAGS_VIF);
	RUN_ONE(b, "\xcd\x21");
	assert_int_equal(linear_rip(b), DATA + 0x40);
	assert_int_equal(cpu->rflags & (RFLAGS_IF | RFLAGS_VIF), RFLAGS_IF);
	assert_int_equal(get16(b, STACK_USER - 2), RFLAGS_ONE | RFLAGS_IF | RFLAGS_IOPL);
	x86_run(cpu, UINT64_MAX, cpu->instructions + 3, &cpu->ended); /* its IRET */
	assert_int_equal(linear_rip(b), CODE + 2);
	assert_int_equal(cpu->rflags & (RFLAGS_IF | RFLAGS_VIF), RFLAGS_IF | RFLAGS_VIF);
	/* One that is not redirected needs IOPL 3. */
	to_v8086(b, 0);
	RUN(b, "\xcd\x22");
	assert_handler(b, X86_GP);
}

static void vme_gives_the_program_a_flag_of_its_own(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	cpu->cr4 |= CR4_VME;
	to_v8086(b, 0);
	x86_set_flags(cpu, cpu->rflags | RFLAGS_IF);
	RUN_ONE(b, "\xfb"); /* sti */
	assert_int_equal(cpu->rflags & (RFLAGS_IF | RFLAGS_VIF), RFLAGS_IF | RFLAGS_VIF);
	RUN_ONE(b, "\x9c"); /* pushf */
	assert_int_equal(get16(b, STACK_USER - 2), RFLAGS_ONE | RFLAGS_IF | RFLAGS_IOPL);
	put(b, STACK_USER - 2, "\x02\x00", 2);
	RUN_ONE(b, "\x9d"); /* popf */
	assert_int_equal(cpu->rflags & (RFLAGS_IF | RFLAGS_VIF), RFLAGS_IF);
	x86_set_flags(cpu, cpu->rflags | RFLAGS_VIP);
	RUN(b, "\xfb"); /* an interrupt is pending: the monitor wants to know */
	assert_handler(b, X86_GP);
	to_v8086(b, 0);
	RUN(b, "\x66\x9c"); /* pushfd stays forbidden */
	assert_handler(b, X86_GP);
	to_v8086(b, 0);
	put(b, STACK_USER, "\x02\x01", 2); /* TF */
	RUN(b, "\x9d");
	assert_handler(b, X86_GP);
}

static void pvi_does_that_for_protected_mode(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	x86_set_flags(cpu, RFLAGS_ONE | RFLAGS_IF);
	to_user(b);
	RUN(b, "\xfb");
	assert_handler(b, X86_GP);
	cpu->cr4 |= CR4_PVI;
	to_user(b);
	x86_set_flags(cpu, RFLAGS_ONE | RFLAGS_IF);
	RUN_ONE(b, "\xfb");
	assert_int_equal(cpu->rflags & (RFLAGS_IF | RFLAGS_VIF), RFLAGS_IF | RFLAGS_VIF);
	RUN_ONE(b, "\xfa");
	assert_int_equal(cpu->rflags & (RFLAGS_IF | RFLAGS_VIF), RFLAGS_IF);
	x86_set_flags(cpu, cpu->rflags | RFLAGS_VIP);
	RUN(b, "\xfb");
	assert_handler(b, X86_GP);
	to_user(b);
	x86_set_flags(cpu, RFLAGS_ONE | RFLAGS_VIF | RFLAGS_VIP);
	put64(b, STACK_USER, RFLAGS_VIF | RFLAGS_VIP);
	RUN_ONE(b, "\x9d"); /* popfd clears both whatever it pops */
	assert_false(cpu->rflags & (RFLAGS_VIF | RFLAGS_VIP));
}

#define TEST(f)    cmocka_unit_test_setup_teardown(f, setup_v8086, teardown)
#define TEST_32(f) cmocka_unit_test_setup_teardown(f, setup_32, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_32(iret_enters_it_and_a_fault_leaves_it),
		TEST(only_a_handler_at_cpl_0_may_follow),
		TEST(without_iopl_flags_and_interrupts_fault),
		TEST(with_iopl_int_goes_through_a_gate_of_dpl_3),
		TEST(with_iopl_popf_leaves_iopl_and_vm_alone),
		TEST(segment_loads_know_no_descriptors),
		TEST(ports_are_the_bitmaps_whatever_iopl_is),
		TEST(vme_redirects_interrupts_to_the_8086_program),
		TEST(vme_gives_the_program_a_flag_of_its_own),
		TEST_32(pvi_does_that_for_protected_mode),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
