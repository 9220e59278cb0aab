/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87 against the host's own FPU, and by the manual where that does not show. */
#include "host_fixture.h"
#include "x86/x87_host.h"

/* Calls for every x87 encoding with a register or [rbx]; returns how many there were. */
static unsigned for_each_x87(struct x86_box *b, unsigned rounds, enum x87_part part)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction decoded;
	unsigned count = 0;

	for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++)
		for (unsigned modrm = 0; modrm < 256; modrm++) {
			uint8_t insn[MAX_INSN] = {(uint8_t)opcode, (uint8_t)modrm};

			if (modrm < 0xc0 && (modrm & 0xc7) != 3)
				continue;
			if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, insn, MAX_INSN, &decoded,
								 operands)))
				continue;
			switch (decoded.mnemonic) {
			case ZYDIS_MNEMONIC_FRSTOR:
			case ZYDIS_MNEMONIC_FNSTENV: /* have FIP: tests of their own */
			case ZYDIS_MNEMONIC_FNSAVE:
			case ZYDIS_MNEMONIC_FNSTSW: continue; /* writes rax in one form */
			default: break;
			}
			count++;
			compare(b, insn, decoded.length, 16, rounds, MXCSR_MASKS, part);
		}
	return count;
}

static void x87_gives_the_hosts_results_and_state(void **state)
{
	assert_in_range(for_each_x87(*state, 60, X87_MASKED), 300, 600);
}

static void unmasked_x87_exceptions_leave_the_hosts_state(void **state)
{
	assert_in_range(for_each_x87(*state, 60, X87_UNMASKED), 300, 600);
}

static void x87_control_instructions_do_as_the_manual_says(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RBX] = DATA;
	b->cpu->gpr[X86_RAX] = 0x1234567890abcdef;
	b->cpu->x87.status = 0xffff;
	put64(b, DATA, 0x0c7f);
	/* fninit; fld1; fldcw [rbx]; fnstsw ax; fnstcw [rbx+8]; fwait */
	RUN(b, "\xdb\xe3\xd9\xe8\xd9\x2b\xdf\xe0\xd9\x7b\x08\x9b");
	assert_completed(b, "\xdb\xe3\xd9\xe8\xd9\x2b\xdf\xe0\xd9\x7b\x08\x9b");
	assert_int_equal(b->cpu->gpr[X86_RAX], 0x1234567890ab3800); /* TOP is 7 */
	assert_int_equal(get64(b, DATA + 8) & 0xffff, 0x0c7f);

	b->cpu->cr0 |= CR0_TS;
	RUN(b, "\xd9\xe8");
	assert_handler(b, X86_NM);
	RUN(b, "\x9b"); /* FWAIT looks at TS only with MP */
	assert_completed(b, "\x9b");
	b->cpu->cr0 |= CR0_MP;
	RUN(b, "\x9b");
	assert_handler(b, X86_NM);
	b->cpu->cr0 &= ~(CR0_TS | CR0_MP);
}

static void a_pending_exception_faults_at_the_next_waiting_instruction(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RBX] = DATA;
	put64(b, DATA, 0x037b); /* #Z unmasked */
	/* fninit; fldcw [rbx]; fld1; fldz; fdivp; fnstsw ax; fnop */
	RUN(b, "\xdb\xe3\xd9\x2b\xd9\xe8\xd9\xee\xde\xf9\xdf\xe0\xd9\xd0");
	assert_handler(b, X86_MF);
	assert_int_equal(get64(b, STACK - 40), CODE + 12); /* the fault is at FNOP */
	/* ZE, ES, B; nothing was popped */
	assert_int_equal(b->cpu->gpr[X86_RAX] & 0xffff, 0xb084);
	assert_int_equal(b->cpu->x87.ip, CODE + 8);
	assert_int_equal(b->cpu->x87.opcode, 0x6f9);

	/* FWAIT and MMX wait, FNCLEX and FNINIT do not. */
	RUN(b, "\x9b");
	assert_handler(b, X86_MF);
	RUN(b, "\xdb\xe2\x9b\xd9\xd0");
	assert_completed(b, "\xdb\xe2\x9b\xd9\xd0");
	assert_int_equal(b->cpu->x87.status & (X87_FLAGS | X87_ES | X87_BUSY), 0);
}

static void fldcw_makes_a_masked_flag_pending(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RBX] = DATA;
	put64(b, DATA, 0x037b);
	/* fninit; fld1; fldz; fdivp; fldcw [rbx]; fnop */
	RUN(b, "\xdb\xe3\xd9\xe8\xd9\xee\xde\xf9\xd9\x2b\xd9\xd0");
	assert_handler(b, X86_MF);
}

/* With CR0.NE clear FERR# asks for an interrupt, for which the processor waits. */
static void without_ne_a_pending_exception_waits_for_an_interrupt(void **state)
{
	static const volatile bool stop = false;
	struct x86_box *b = *state;
	uint64_t instructions;

	b->cpu->cr0 &= ~CR0_NE;
	b->cpu->gpr[X86_RBX] = DATA;
	put64(b, DATA, 0x037b);
	RUN(b, "\xdb\xe3\xd9\x2b\xd9\xe8\xd9\xee\xde\xf9");
	instructions = b->cpu->instructions;
	put(b, CODE, "\xd9\xd0\xf4", 3); /* fnop; hlt */
	b->cpu->gpr[X86_RIP] = CODE;
	b->cpu->halted = false;
	x86_run(b->cpu, x86_time(b->cpu) + 50, UINT64_MAX, &stop);
	assert_false(b->cpu->ended);
	assert_false(b->cpu->halted);
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE);
	assert_int_equal(b->cpu->instructions, instructions);
	b->cpu->cr0 |= CR0_NE;
}

/* SDM 1 D.2.1: FERR# is IRQ 13; port 0xf0 lowers it and asserts IGNNE# until FERR# ends. */
static void without_ne_an_exception_is_irq_13(void **state)
{
	static const volatile bool stop = false;
	static const uint8_t icw[4] = {0x11, 0x70, 0x02, 0x01};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < 4; i++)
		machine_out(b->machine, i ? 0xa1 : 0xa0, 1, icw[i], 0);
	machine_out(b->machine, 0xa1, 1, 0xdf, 0);
	machine_out(b->machine, 0x21, 1, 0xfb, 0);
	b->cpu->cr0 &= ~CR0_NE;
	b->cpu->gpr[X86_RBX] = DATA;
	put64(b, DATA, 0x037b);
	for (int i = 0; i < 2; i++) {
		b->cpu->gpr[X86_RSP] = STACK;
		x86_set_flags(b->cpu, RFLAGS_ONE | RFLAGS_IF);
		/* fninit; fldcw [rbx]; fld1; fldz; fdivp; nop; fnop */
		RUN(b, "\xdb\xe3\xd9\x2b\xd9\xe8\xd9\xee\xde\xf9\x90\xd9\xd0");
		assert_handler(b, 0x75);
		assert_int_equal(get64(b, b->cpu->gpr[X86_RSP]),
				 CODE + 11); /* the fnop has not happened */
		machine_out(b->machine, 0xf0, 1, 0, x86_time(b->cpu));
		machine_out(b->machine, 0xa0, 1, 0x20, x86_time(b->cpu));
		machine_out(b->machine, 0x20, 1, 0x20, x86_time(b->cpu));
		x86_set_flags(b->cpu, RFLAGS_ONE | RFLAGS_IF);
		RUN(b, "\xd9\xd0\x9b\xd9\xe8"); /* fnop; fwait; fld1: ignored */
		assert_completed(b, "\xd9\xd0\x9b\xd9\xe8");
		if (i == 0) { /* fnclex ends FERR#, with it IGNNE# */
			RUN(b, "\xdb\xe2");
			x86_run(b->cpu, x86_time(b->cpu) + 50, UINT64_MAX, &stop);
		}
	}
	b->cpu->cr0 |= CR0_NE;
}

static void the_environment_has_the_manuals_layouts(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RBX] = DATA;
	/* fninit; fld dword [rbx+64]; fnstenv [rbx] */
	RUN(b, "\xdb\xe3\xd9\x43\x40\xd9\x33");
	assert_completed(b, "\xdb\xe3\xd9\x43\x40\xd9\x33");
	assert_int_equal(get32(b, DATA), 0xffff037f);
	assert_int_equal(get32(b, DATA + 4), 0xffff3800);
	assert_int_equal(get32(b, DATA + 8), 0xffff7fff); /* ST(0) is R7: zero */
	assert_int_equal(get32(b, DATA + 12), CODE + 2);
	assert_int_equal(get32(b, DATA + 16), KERNEL_CODE_64);
	assert_int_equal(get32(b, DATA + 20), DATA + 64);
	assert_int_equal(get32(b, DATA + 24), 0xffff0000 | KERNEL_DATA);

	/* The same with 16-bit operands. */
	RUN(b, "\xdb\xe3\xd9\x43\x40\x66\xd9\x33");
	assert_int_equal(get32(b, DATA), 0x3800037f);
	assert_int_equal(get32(b, DATA + 4), ((CODE + 2) & 0xffff) << 16 | 0x7fff);
	assert_int_equal(get32(b, DATA + 8), ((DATA + 64) & 0xffff) << 16 | KERNEL_CODE_64);
	assert_int_equal(get32(b, DATA + 12) & 0xffff, KERNEL_DATA);
	assert_int_equal(b->cpu->x87.control, 0x037f);
}

static void frstor_restores_what_fnsave_stored(void **state)
{
	struct x86_box *b = *state;
	uint8_t before[108], after[108];
	struct state s;

	b->cpu->gpr[X86_RBX] = DATA;
	for (unsigned i = 0; i < 2; i++) {
		fill_state(&s, MXCSR_MASKS, true);
		set_x87(b->cpu, s.x87);
		b->cpu->x87.ip = 0x1234;
		b->cpu->x87.dp = 0x5678;
		b->cpu->x87.opcode = i ? 0 : 0x712; /* the 16-bit layout does not have it */
		get_x87(b->cpu, before);
		if (i)
			RUN(b, "\x66\xdd\x33"); /* fnsave [rbx] */
		else
			RUN(b, "\xdd\x33");
		assert_true(b->cpu->halted);
		assert_int_equal(b->cpu->x87.control, 0x037f);
		assert_int_equal(x86_x87_status(&b->cpu->x87), 0);
		assert_int_equal(b->cpu->x87.used, 0);
		assert_int_equal(b->cpu->x87.ip, 0);
		if (i)
			RUN(b, "\x66\xdd\x23"); /* frstor [rbx] */
		else
			RUN(b, "\xdd\x23");
		get_x87(b->cpu, after);
		assert_memory_equal(before, after, sizeof(before));
		assert_int_equal(b->cpu->x87.ip, 0x1234);
		assert_int_equal(b->cpu->x87.dp, 0x5678);
		assert_int_equal(b->cpu->x87.opcode, i ? 0 : 0x712);
	}
}

/* The exception is of the value; a fault of memory comes first and leaves no trace. */
static void a_faulting_store_changes_no_x87_state(void **state)
{
	struct x86_box *b = *state;
	uint8_t before[108], after[108];
	struct state s;

	fill_state(&s, MXCSR_MASKS, false);
	set_x87(b->cpu, s.x87);
	get_x87(b->cpu, before);
	b->cpu->gpr[X86_RBX] = 0x7f0000000000;
	RUN(b, "\xd9\x1b"); /* fstp dword [rbx] */
	assert_handler(b, X86_PF);
	RUN(b, "\xdf\x33"); /* fbstp [rbx] */
	assert_handler(b, X86_PF);
	RUN(b, "\xdb\x2b"); /* fld tbyte [rbx] */
	assert_handler(b, X86_PF);
	get_x87(b->cpu, after);
	assert_memory_equal(before, after, sizeof(before));
}

/* Anybody's long double in this process may leave an inexact flag behind. */
static void a_flag_that_the_host_holds_does_not_become_the_guests(void **state)
{
	struct x86_x87_register pi = {0}, scratch;
	volatile long double three = 3, third;

	third = 1 / three;
	assert_true(third > 0);
	/* With precision unmasked it would be pending at once. */
	assert_int_equal(x87_host_ldpi(&pi, &scratch, X87_CONTROL_AT_INIT & ~X87_PE) & X87_FLAGS,
			 0);
	assert_int_equal(pi.exponent, 0x4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(x87_gives_the_hosts_results_and_state),
		TEST(unmasked_x87_exceptions_leave_the_hosts_state),
		TEST(x87_control_instructions_do_as_the_manual_says),
		TEST(a_pending_exception_faults_at_the_next_waiting_instruction),
		TEST(fldcw_makes_a_masked_flag_pending),
		TEST(without_ne_a_pending_exception_waits_for_an_interrupt),
		TEST(without_ne_an_exception_is_irq_13),
		TEST(the_environment_has_the_manuals_layouts),
		TEST(frstor_restores_what_fnsave_stored),
		TEST(a_faulting_store_changes_no_x87_state),
		TEST(a_flag_that_the_host_holds_does_not_become_the_guests),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
