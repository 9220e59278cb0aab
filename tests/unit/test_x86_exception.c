/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Delivery through the IDT (SDM 3A 6.10-6.15), in 64-bit and in 32-bit mode. */
#include "x86_system_fixture.h"

struct pushed {
	uint64_t code, rip, cs, flags, rsp, ss;
};

/* The frame of long mode at the stack pointer. */
static struct pushed frame_at(struct x86_box *b, uint64_t rsp, bool has_code)
{
	struct pushed f = {};

	if (has_code) {
		f.code = get64(b, rsp);
		rsp += 8;
	}
	f.rip = get64(b, rsp);
	f.cs = get64(b, rsp + 8);
	f.flags = get64(b, rsp + 16);
	f.rsp = get64(b, rsp + 24);
	f.ss = get64(b, rsp + 32);
	return f;
}

static void a_fault_pushes_its_own_address_and_rf(void **state)
{
	struct x86_box *b = *state;
	struct pushed f;

	b->cpu->gpr[X86_RSP] = STACK - 3; /* the frame is aligned to 16 all the same */
	RUN(b, "\x31\xc9\xf7\xf1");       /* xor ecx, ecx; div ecx */
	assert_handler(b, X86_DE);
	f = frame_at(b, b->cpu->gpr[X86_RSP], false);
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK - 16 - 40);
	assert_int_equal(f.rip, CODE + 2);
	assert_int_equal(f.cs, KERNEL_CODE_64);
	assert_int_equal(f.rsp, STACK - 3);
	assert_int_equal(f.ss, KERNEL_DATA);
	assert_true(f.flags & RFLAGS_RF);
	assert_true(f.flags & RFLAGS_ZF);
}

static void a_trap_pushes_the_next_address_without_rf(void **state)
{
	struct x86_box *b = *state;
	struct pushed f;

	RUN(b, "\x90\xcc"); /* nop; int3 */
	assert_handler(b, X86_BP);
	f = frame_at(b, b->cpu->gpr[X86_RSP], false);
	assert_int_equal(f.rip, CODE + 2);
	assert_false(f.flags & RFLAGS_RF);
	RUN(b, "\xcd\x80"); /* int 0x80 */
	assert_handler(b, 0x80);
	assert_int_equal(frame_at(b, b->cpu->gpr[X86_RSP], false).rip, CODE + 2);
}

static void gates_decide_about_if_and_both_clear_tf_and_nt(void **state)
{
	struct x86_box *b = *state;

	put_gate(b, 0x81, SEG_P | SYS_TRAP_GATE, KERNEL_CODE_64, 0);
	x86_set_flags(b->cpu, RFLAGS_IF | RFLAGS_NT | RFLAGS_DF);
	RUN(b, "\xcd\x80");
	assert_handler(b, 0x80);
	assert_int_equal(b->cpu->rflags & (RFLAGS_IF | RFLAGS_NT | RFLAGS_DF), RFLAGS_DF);
	assert_int_equal(frame_at(b, b->cpu->gpr[X86_RSP], false).flags & (RFLAGS_IF | RFLAGS_NT),
			 RFLAGS_IF | RFLAGS_NT);
	x86_set_flags(b->cpu, RFLAGS_IF | RFLAGS_NT);
	RUN(b, "\xcd\x81");
	assert_handler(b, 0x81);
	assert_int_equal(b->cpu->rflags & (RFLAGS_IF | RFLAGS_NT), RFLAGS_IF);
}

static void from_user_mode_the_stack_comes_from_the_tss(void **state)
{
	struct x86_box *b = *state;
	struct pushed f;

	to_user(b);
	RUN(b, "\x0f\x0b"); /* ud2 */
	assert_handler(b, X86_UD);
	f = frame_at(b, STACK_RSP0 - 40, false);
	assert_int_equal(b->cpu->cpl, 0);
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK_RSP0 - 40);
	assert_int_equal(b->cpu->segment[X86_SS].selector, 0); /* null */
	assert_int_equal(f.cs, USER_CODE_64);
	assert_int_equal(f.rsp, STACK_USER);
	assert_int_equal(f.ss, USER_DATA);
}

/* SDM 3A 4.6: of a delivery only descriptors, IDT and TSS are implicit accesses under SMAP. */
static void eflags_ac_lets_the_kernel_push_a_frame_on_a_user_page(void **state)
{
	static const uint64_t supervisor[] = {GDT, IDT, TSS, STACK_IST1 - PAGE_SIZE};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < sizeof(supervisor) / sizeof(supervisor[0]); i++)
		box_map(&b->box, supervisor[i], supervisor[i], PTE_P | PTE_W | PTE_A | PTE_D);
	put_gate(b, X86_PF, SEG_P | SYS_INTERRUPT_GATE, KERNEL_CODE_64, 1);
	b->cpu->cr4 |= CR4_SMAP;
	assert_int_equal(x86_update_paging(b->cpu), X86_LEAVE);
	x86_set_flags(b->cpu, RFLAGS_ONE | RFLAGS_AC);
	RUN(b, "\xcd\x80");
	assert_handler(b, 0x80);
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK - 40);
	x86_set_flags(b->cpu, RFLAGS_ONE);
	b->cpu->gpr[X86_RSP] = STACK;
	RUN(b, "\xcd\x80");
	assert_handler(b, X86_PF);
	assert_int_equal(b->cpu->cr2, STACK - 40);
}

static void an_ist_stack_is_taken_at_any_privilege(void **state)
{
	struct x86_box *b = *state;

	put_gate(b, X86_UD, SEG_P | SYS_INTERRUPT_GATE, KERNEL_CODE_64, 1);
	RUN(b, "\x0f\x0b");
	assert_handler(b, X86_UD);
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK_IST1 - 40);
	assert_int_equal(b->cpu->segment[X86_SS].selector, KERNEL_DATA);
}

static void a_page_fault_sets_cr2_and_its_code_and_is_counted(void **state)
{
	struct x86_box *b = *state;
	struct pushed f;

	b->cpu->gpr[X86_RBX] = 0x7000000123;
	RUN(b, "\x88\x03"); /* mov [rbx], al */
	assert_handler(b, X86_PF);
	f = frame_at(b, b->cpu->gpr[X86_RSP], true);
	assert_int_equal(f.code, PF_W);
	assert_int_equal(f.rip, CODE);
	assert_int_equal(b->cpu->cr2, 0x7000000123);
	assert_int_equal(hw_public(b->box.hw)->counters.guest_page_faults[0], 1);
}

static void int_n_needs_the_gates_privilege(void **state)
{
	struct x86_box *b = *state;
	struct pushed f;

	put_gate(b, 0x80, SEG_P | DPL3 | SYS_INTERRUPT_GATE, KERNEL_CODE_64, 0);
	to_user(b);
	RUN(b, "\xcd\x80");
	assert_handler(b, 0x80);
	to_user(b);
	RUN(b, "\xcd\x81");
	assert_handler(b, X86_GP);
	f = frame_at(b, b->cpu->gpr[X86_RSP], true);
	assert_int_equal(f.code, 0x81 * 8 | ERROR_IDT); /* EXT is clear: the program did it */
	assert_int_equal(f.rip, CODE);
	to_user(b);
	RUN(b, "\x0f\x0b"); /* a fault asks for no privilege */
	assert_handler(b, X86_UD);
}

static void bad_gates_fault_with_the_vector_in_the_code(void **state)
{
	static const struct {
		unsigned rights;
		uint16_t selector;
		uint8_t vector;
		uint32_t code;
	} cases[] = {
		{SEG_P | SYS_TASK_GATE, KERNEL_CODE_64, X86_GP, X86_UD * 8 | ERROR_IDT | ERROR_EXT},
		{SYS_INTERRUPT_GATE, KERNEL_CODE_64, X86_NP, X86_UD * 8 | ERROR_IDT | ERROR_EXT},
		{SEG_P | SYS_INTERRUPT_GATE, 0, X86_GP, ERROR_EXT},
		{SEG_P | SYS_INTERRUPT_GATE, KERNEL_DATA, X86_GP, KERNEL_DATA | ERROR_EXT},
		{SEG_P | SYS_INTERRUPT_GATE, KERNEL_CODE_32, X86_GP, KERNEL_CODE_32 | ERROR_EXT},
		{SEG_P | SYS_INTERRUPT_GATE, USER_CODE_64, X86_GP, (USER_CODE_64 & ~3) | ERROR_EXT},
		{SEG_P | SYS_INTERRUPT_GATE, ABSENT_CODE, X86_NP, ABSENT_CODE | ERROR_EXT},
		{SEG_P | SYS_INTERRUPT_GATE, 0x1000, X86_GP, 0x1000 | ERROR_EXT},
	};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		b->cpu->gpr[X86_RSP] = STACK;
		put_gate(b, X86_UD, cases[i].rights, cases[i].selector, 0);
		RUN(b, "\x0f\x0b");
		assert_handler(b, cases[i].vector);
		assert_int_equal(get64(b, b->cpu->gpr[X86_RSP]), cases[i].code);
		assert_int_equal(get64(b, b->cpu->gpr[X86_RSP] + 8), CODE);
	}
	/* Beyond the limit of the IDT. */
	b->cpu->idtr.limit = 16 * 0x40 - 1;
	RUN(b, "\xcd\x40");
	assert_handler(b, X86_GP);
	assert_int_equal(get64(b, b->cpu->gpr[X86_RSP]), 0x40 * 8 | ERROR_IDT);
}

/* What becomes of exception @first when delivering it raises @second: rows of SDM 3A table 6-5. */
static void the_double_fault_table_holds(void **state)
{
	static const struct {
		uint8_t first;
		uint8_t second;
		uint8_t handler;
	} cases[] = {
		/* A gate that is not present raises #NP; a page that is not there raises #PF. */
		{X86_UD, X86_NP, X86_NP},       {X86_BP, X86_NP, X86_NP}, {X86_UD, X86_PF, X86_PF},
		{X86_DE, X86_NP, X86_DF},       {X86_GP, X86_NP, X86_DF}, {X86_TS, X86_NP, X86_DF},
		{X86_SS_FAULT, X86_NP, X86_DF}, {X86_DE, X86_PF, X86_PF}, {X86_GP, X86_PF, X86_PF},
		{X86_PF, X86_NP, X86_DF},       {X86_PF, X86_PF, X86_DF}, {X86_MF, X86_NP, X86_NP},
		{X86_AC, X86_PF, X86_PF},       {X86_XM, X86_NP, X86_NP}, {X86_BR, X86_NP, X86_NP},
	};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		x86_box_destroy(b);
		x86_box_create(b, true);
		if (cases[i].second == X86_NP) {
			put_gate(b, cases[i].first, SYS_INTERRUPT_GATE, KERNEL_CODE_64, 0);
		} else {
			put64(b, TSS + 36, 0x7000000000); /* nothing is mapped there */
			put_gate(b, cases[i].first, SEG_P | SYS_INTERRUPT_GATE, KERNEL_CODE_64, 1);
		}
		b->cpu->gpr[X86_RIP] = CODE;
		/* A #PF that faults as a #PF must reach #DF, not its own handler. */
		x86_deliver(b->cpu, cases[i].first, X86_EVENT_EXCEPTION, true, 0x18);
		assert_false(b->cpu->ended);
		assert_int_equal(b->cpu->gpr[X86_RIP], HANDLERS + cases[i].handler * 16);
		if (cases[i].handler == X86_DF)
			assert_int_equal(get64(b, b->cpu->gpr[X86_RSP]), 0);
		if (cases[i].handler == X86_NP)
			assert_int_equal(get64(b, b->cpu->gpr[X86_RSP]),
					 cases[i].first * 8 | ERROR_IDT | ERROR_EXT);
		if (cases[i].second == X86_PF)
			assert_int_equal(b->cpu->cr2, 0x7000000000 - 48);
		assert_int_equal(get64(b, b->cpu->gpr[X86_RSP] + 8), CODE);
	}
}

static void external_interrupts_are_benign_whatever_their_vector(void **state)
{
	struct x86_box *b = *state;

	put_gate(b, X86_GP, SYS_INTERRUPT_GATE, KERNEL_CODE_64, 0);
	b->cpu->gpr[X86_RIP] = CODE;
	x86_deliver(b->cpu, X86_GP, X86_EVENT_EXTERNAL, false, 0);
	assert_int_equal(b->cpu->gpr[X86_RIP], HANDLERS + X86_NP * 16);
}

static void a_fault_while_df_is_delivered_ends_the_guest(void **state)
{
	struct x86_box *b = *state;

	put_gate(b, X86_DF, SYS_INTERRUPT_GATE, KERNEL_CODE_64, 0);
	put_gate(b, X86_GP, SYS_INTERRUPT_GATE, KERNEL_CODE_64, 0);
	b->cpu->gpr[X86_RBX] = 1ull << 62; /* not canonical */
	RUN(b, "\x90\x88\x03");
	assert_true(b->cpu->ended);
	assert_int_equal(b->cpu->end.reason, UMBRA_END_TRIPLE_FAULT);
	assert_int_equal(b->cpu->end.rip, CODE + 1);
	assert_string_equal(b->cpu->end.cpu_mode, "64-bit");
	assert_int_equal(b->cpu->end.bytes[0], 0x88);
	assert_int_equal(b->cpu->end.bytes[1], 0x03);
}

static void nothing_changes_when_the_frame_cannot_be_pushed(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RSP] = 0x7000000000;
	put_gate(b, X86_PF, SEG_P | SYS_INTERRUPT_GATE, KERNEL_CODE_64, 1);
	x86_set_flags(b->cpu, RFLAGS_IF | RFLAGS_CF);
	RUN(b, "\x0f\x0b"); /* #UD has no stack: #PF, which has */
	assert_handler(b, X86_PF);
	assert_int_equal(b->cpu->cr2, 0x7000000000 - 40);
	assert_int_equal(get64(b, STACK_IST1 - 48), PF_W);
	assert_int_equal(get64(b, STACK_IST1 - 40), CODE);
	assert_true(get64(b, STACK_IST1 - 24) & RFLAGS_IF);
	assert_int_equal(get64(b, STACK_IST1 - 16), 0x7000000000);
}

static void a_stack_that_is_not_canonical_is_a_stack_fault(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RSP] = 1ull << 50;
	put_gate(b, X86_SS_FAULT, SEG_P | SYS_INTERRUPT_GATE, KERNEL_CODE_64, 1);
	RUN(b, "\x0f\x0b");
	assert_handler(b, X86_SS_FAULT);
	assert_int_equal(get64(b, STACK_IST1 - 48), ERROR_EXT);
}

static void in_32_bit_mode_the_same_privilege_keeps_the_stack(void **state)
{
	struct x86_box *b = *state;

	RUN(b, "\x0f\x0b");
	assert_handler(b, X86_UD);
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK - 12);
	assert_int_equal(get32(b, STACK - 12), CODE);
	assert_int_equal(get32(b, STACK - 8), KERNEL_CODE_32);
	assert_true(get32(b, STACK - 4) & RFLAGS_RF);
}

static void in_32_bit_mode_the_tss_gives_the_inner_stack(void **state)
{
	struct x86_box *b = *state;

	to_user(b);
	RUN(b, "\xcd\x80"); /* the gate has DPL 0 */
	assert_handler(b, X86_GP);
	assert_int_equal(b->cpu->cpl, 0);
	assert_int_equal(b->cpu->segment[X86_SS].selector, KERNEL_DATA);
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK_RSP0 - 24);
	assert_int_equal(get32(b, STACK_RSP0 - 24), 0x80 * 8 | ERROR_IDT);
	assert_int_equal(get32(b, STACK_RSP0 - 20), CODE);
	assert_int_equal(get32(b, STACK_RSP0 - 16), USER_CODE_32);
	assert_int_equal(get32(b, STACK_RSP0 - 8), STACK_USER);
	assert_int_equal(get32(b, STACK_RSP0 - 4), USER_DATA);
}

static void in_32_bit_mode_a_bad_inner_stack_is_a_ts_fault(void **state)
{
	struct x86_box *b = *state;

	put64(b, TSS + 4, STACK_RSP0 | (uint64_t)READ_ONLY_DATA << 32);
	to_user(b);
	RUN(b, "\x0f\x0b");
	/* #UD cannot be delivered: #TS, which needs the same stack: #DF, and again: the end. */
	assert_true(b->cpu->ended);
	assert_int_equal(b->cpu->end.reason, UMBRA_END_TRIPLE_FAULT);
	assert_string_equal(b->cpu->end.cpu_mode, "32-bit protected");
}

static void a_16_bit_gate_pushes_words_and_has_16_bits_of_offset(void **state)
{
	struct x86_box *b = *state;

	put(b, 0x9876, "\xf4", 1);
	put64(b, IDT + 0x80 * 8,
	      0x9876 | KERNEL_CODE_32 << 16 | (uint64_t)(SEG_P | SYS_INTERRUPT_GATE_16) << 40 |
		      0xffffull << 48);
	RUN(b, "\xcd\x80");
	assert_true(b->cpu->halted);
	assert_int_equal(b->cpu->gpr[X86_RIP], 0x9877);
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK - 6);
	assert_int_equal(get16(b, STACK - 6), (uint16_t)(CODE + 2));
	assert_int_equal(get16(b, STACK - 4), KERNEL_CODE_32);
}

static void a_16_bit_tss_and_stack_serve_a_handler(void **state)
{
	struct x86_box *b = *state;
	const uint16_t tss[] = {0, 0x8004, SMALL_DATA};

	/* Limit 64 KiB, SP wraps: the frame's upper end is at 0x8004, its ESP keeps no more. */
	put64(b, GDT + SMALL_DATA, descriptor(0x10000, 0xffff, RIGHTS_DATA));
	put(b, TSS, tss, sizeof(tss));
	b->cpu->tr.rights = SEG_P | SYS_TSS_16_BUSY;
	to_user(b);
	RUN(b, "\x0f\x0b");
	assert_handler(b, X86_UD);
	assert_int_equal(b->cpu->gpr[X86_RSP], 0x8004 - 20);
	assert_int_equal(b->cpu->segment[X86_SS].selector, SMALL_DATA);
	assert_int_equal(get32(b, 0x10000 + 0x8004 - 20), CODE);
	assert_int_equal(get32(b, 0x10000 + 0x8004 - 4), USER_DATA);
}

static void a_frame_wraps_on_a_16_bit_stack(void **state)
{
	struct x86_box *b = *state;

	b->cpu->segment[X86_SS] =
		(struct x86_segment){.base = DATA, .limit = UINT16_MAX, .rights = RIGHTS_DATA};
	b->cpu->gpr[X86_RSP] = 0x12340004;
	RUN(b, "\x0f\x0b");
	assert_handler(b, X86_UD);
	assert_int_equal(b->cpu->gpr[X86_RSP], 0x1234fff8);
	assert_int_equal(get32(b, DATA + 0xfff8), CODE);
	assert_int_equal(get32(b, DATA + 0xfffc), KERNEL_CODE_32);
	assert_true(get32(b, DATA) & RFLAGS_RF);
}

#define TEST_64(f) cmocka_unit_test_setup_teardown(f, setup_64, teardown)
#define TEST_32(f) cmocka_unit_test_setup_teardown(f, setup_32, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_64(a_fault_pushes_its_own_address_and_rf),
		TEST_64(a_trap_pushes_the_next_address_without_rf),
		TEST_64(gates_decide_about_if_and_both_clear_tf_and_nt),
		TEST_64(from_user_mode_the_stack_comes_from_the_tss),
		TEST_64(eflags_ac_lets_the_kernel_push_a_frame_on_a_user_page),
		TEST_64(an_ist_stack_is_taken_at_any_privilege),
		TEST_64(a_page_fault_sets_cr2_and_its_code_and_is_counted),
		TEST_64(int_n_needs_the_gates_privilege),
		TEST_64(bad_gates_fault_with_the_vector_in_the_code),
		TEST_64(the_double_fault_table_holds),
		TEST_64(external_interrupts_are_benign_whatever_their_vector),
		TEST_64(a_fault_while_df_is_delivered_ends_the_guest),
		TEST_64(nothing_changes_when_the_frame_cannot_be_pushed),
		TEST_64(a_stack_that_is_not_canonical_is_a_stack_fault),
		TEST_32(in_32_bit_mode_the_same_privilege_keeps_the_stack),
		TEST_32(in_32_bit_mode_the_tss_gives_the_inner_stack),
		TEST_32(in_32_bit_mode_a_bad_inner_stack_is_a_ts_fault),
		TEST_32(a_16_bit_gate_pushes_words_and_has_16_bits_of_offset),
		TEST_32(a_16_bit_tss_and_stack_serve_a_handler),
		TEST_32(a_frame_wraps_on_a_16_bit_stack),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
