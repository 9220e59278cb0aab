/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Breakpoints, single steps, RF, shadows, NMI, alignment, INIT and SIPI (SDM 3A 6.7-6.9, 3B 17). */
#include "x86_system_fixture.h"

#include "x86/debug.h"

#define DR7_G(i)         (2ull << 2 * (i))
#define DR7_ON(i, rw)    (DR7_G(i) | (uint64_t)(rw) << (16 + 4 * (i)))
#define DR7_LENGTH(i, n) ((uint64_t)(n) << (18 + 4 * (i)))

enum { FETCH, WRITE, PORT, ACCESS };
enum { LENGTH_1, LENGTH_2, LENGTH_8, LENGTH_4 };

static void watch(struct x86_box *b, unsigned i, uint64_t address, uint64_t dr7)
{
	b->cpu->dr[i] = address;
	b->cpu->dr[7] = 0x400 | dr7;
	b->cpu->dr[6] = 0xffff0ff0;
	b->cpu->gpr[X86_RSP] = STACK;
	x86_debug_changed(b->cpu);
}

/* What the handler of #DB finds: where the program goes on, and its flags. */
static uint64_t saved_rip(struct x86_box *b)
{
	return get64(b, b->cpu->gpr[X86_RSP]);
}

static uint64_t saved_flags(struct x86_box *b)
{
	return get64(b, b->cpu->gpr[X86_RSP] + 16);
}

static void a_breakpoint_on_an_instruction_comes_before_it(void **state)
{
	struct x86_box *b = *state;

	watch(b, 1, CODE + 1, DR7_ON(1, FETCH));
	b->cpu->gpr[X86_RAX] = 0;
	RUN(b, "\x90\xff\xc0"); /* nop; inc eax */
	assert_handler(b, X86_DB);
	assert_int_equal(saved_rip(b), CODE + 1);
	assert_false(saved_flags(b) & RFLAGS_RF);
	assert_int_equal(b->cpu->dr[6], 0xffff0ff2);
	assert_int_equal(b->cpu->gpr[X86_RAX], 0);
}

static void rf_lets_one_instruction_pass_and_is_cleared_by_it(void **state)
{
	struct x86_box *b = *state;
	const uint64_t frame[] = {CODE + 0x100, KERNEL_CODE_64, RFLAGS_ONE | RFLAGS_RF, STACK,
				  KERNEL_DATA};

	/* inc eax; jmp -4: the second time round it breaks */
	put(b, CODE + 0x100, "\xff\xc0\xeb\xfc", 4);
	watch(b, 0, CODE + 0x100, DR7_ON(0, FETCH));
	b->cpu->gpr[X86_RAX] = 0;
	put(b, STACK, frame, sizeof(frame));
	RUN(b, "\x48\xcf");
	assert_handler(b, X86_DB);
	assert_int_equal(b->cpu->gpr[X86_RAX], 1);
	assert_int_equal(saved_rip(b), CODE + 0x100);
}

static void data_breakpoints_trap_after_the_access(void **state)
{
	static const struct {
		uint64_t address, dr7;
		bool hit;
	} cases[] = {
		{DATA + 4, DR7_ON(2, WRITE), true},
		{DATA + 3, DR7_ON(2, WRITE), false},
		{DATA + 7, DR7_ON(2, WRITE), true},
		{DATA + 8, DR7_ON(2, WRITE), false},
		{DATA + 2, DR7_ON(2, WRITE) | DR7_LENGTH(2, LENGTH_2), false},
		{DATA + 7, DR7_ON(2, WRITE) | DR7_LENGTH(2, LENGTH_2), true},
		{DATA + 3, DR7_ON(2, ACCESS) | DR7_LENGTH(2, LENGTH_8), true},
		{DATA + 8, DR7_ON(2, ACCESS) | DR7_LENGTH(2, LENGTH_4), false},
		{DATA + 4, 2ull << 26 /* not enabled */, false},
	};
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RBX] = DATA;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		watch(b, 2, cases[i].address, cases[i].dr7);
		RUN(b, "\x89\x43\x08\x89\x43\x04"); /* mov [rbx+8], eax; mov [rbx+4], eax */
		if (!cases[i].hit && cases[i].address != DATA + 8) {
			assert_completed(b, "\x89\x43\x08\x89\x43\x04");
			continue;
		}
		assert_handler(b, X86_DB);
		assert_int_equal(b->cpu->dr[6], 0xffff0ff4);
		assert_int_equal(saved_rip(b), CODE + (cases[i].hit ? 6 : 3));
	}
	watch(b, 2, DATA, DR7_ON(2, WRITE));
	RUN(b, "\x8b\x03"); /* a read */
	assert_completed(b, "\x8b\x03");
	watch(b, 2, DATA, DR7_ON(2, ACCESS));
	RUN(b, "\x8b\x03\x90");
	assert_handler(b, X86_DB);
	assert_int_equal(saved_rip(b), CODE + 2);
}

static void a_watched_page_that_was_just_used_is_watched_all_the_same(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RBX] = DATA;
	b->cpu->gpr[X86_RAX] = 0x402 | DR7_ON(0, WRITE);
	b->cpu->dr[0] = DATA + 0x10;
	/* mov [rbx], al; mov dr7, rax; mov [rbx+20], al; mov [rbx+10], al; nop */
	RUN(b, "\x88\x03\x0f\x23\xf8\x88\x43\x20\x88\x43\x10\x90");
	assert_handler(b, X86_DB);
	assert_int_equal(saved_rip(b), CODE + 11);
}

static void a_string_traps_between_iterations_with_rf(void **state)
{
	struct x86_box *b = *state;

	watch(b, 3, DATA + 4, DR7_ON(3, WRITE));
	b->cpu->gpr[X86_RDI] = DATA;
	b->cpu->gpr[X86_RCX] = 8;
	RUN(b, "\xf3\xaa"); /* rep stosb */
	assert_handler(b, X86_DB);
	assert_int_equal(b->cpu->gpr[X86_RCX], 3);
	assert_int_equal(saved_rip(b), CODE);
	assert_true(saved_flags(b) & RFLAGS_RF);
}

static void breakpoints_on_ports_need_cr4_de(void **state)
{
	struct x86_box *b = *state;

	watch(b, 0, 0x81, DR7_ON(0, PORT));
	RUN(b, "\xe5\x80\x90"); /* in eax, 80H */
	assert_completed(b, "\xe5\x80\x90");
	b->cpu->cr4 |= CR4_DE;
	watch(b, 0, 0x81, DR7_ON(0, PORT));
	RUN(b, "\xe5\x80\x90");
	assert_handler(b, X86_DB);
	assert_int_equal(saved_rip(b), CODE + 2);
	RUN(b, "\x0f\x21\xe0"); /* mov rax, dr4 */
	assert_handler(b, X86_UD);
}

static void cr4_de_counts_at_once(void **state)
{
	struct x86_box *b = *state;

	watch(b, 0, 0x80, DR7_ON(0, PORT));
	b->cpu->gpr[X86_RAX] = b->cpu->cr4 | CR4_DE;
	RUN(b, "\x0f\x22\xe0\xe4\x80\x90"); /* mov cr4, rax; in al, 80H */
	assert_handler(b, X86_DB);
	assert_int_equal(saved_rip(b), CODE + 5);
}

static void general_detect_guards_the_debug_registers_once(void **state)
{
	struct x86_box *b = *state;

	watch(b, 0, 0, DR7_GD);
	RUN(b, "\x90\x0f\x21\xc0"); /* mov rax, dr0 */
	assert_handler(b, X86_DB);
	assert_int_equal(saved_rip(b), CODE + 1);
	assert_true(saved_flags(b) & RFLAGS_RF);
	assert_int_equal(b->cpu->dr[6], 0xffff0ff0 | DR6_BD);
	assert_false(b->cpu->dr[7] & DR7_GD); /* the handler may look */
}

static void tf_traps_after_each_instruction(void **state)
{
	struct x86_box *b = *state;

	watch(b, 1, DATA, DR7_ON(1, WRITE));
	b->cpu->gpr[X86_RBX] = DATA;
	put64(b, STACK, RFLAGS_TF);
	RUN(b, "\x9d\x89\x03\x90"); /* popf; mov [rbx], eax; nop: not after POPF itself */
	assert_handler(b, X86_DB);
	assert_int_equal(saved_rip(b), CODE + 3);
	assert_int_equal(b->cpu->dr[6], 0xffff0ff0 | DR6_BS | 2); /* both in one */
	assert_true(saved_flags(b) & RFLAGS_TF);
}

static void int_n_is_not_stepped_but_a_popf_that_clears_tf_is(void **state)
{
	struct x86_box *b = *state;

	x86_set_flags(b->cpu, RFLAGS_ONE | RFLAGS_TF);
	RUN(b, "\xcd\x80");
	assert_handler(b, 0x80);
	x86_set_flags(b->cpu, RFLAGS_ONE | RFLAGS_TF);
	b->cpu->gpr[X86_RSP] = STACK;
	put64(b, STACK, 0);
	RUN(b, "\x9d");
	assert_handler(b, X86_DB);
	assert_int_equal(saved_rip(b), CODE + 1);
}

static void mov_ss_holds_breakpoints_and_steps_until_the_next_one_is_done(void **state)
{
	struct x86_box *b = *state;

	put64(b, DATA, KERNEL_DATA);
	b->cpu->gpr[X86_RBX] = DATA;
	/* Its own access, and one on the instruction behind it: the first comes late, the other
	 * not. */
	b->cpu->dr[1] = CODE + 2;
	watch(b, 0, DATA, DR7_ON(0, ACCESS) | DR7_ON(1, FETCH));
	RUN(b, "\x8e\x13\x90\x90"); /* mov ss, [rbx]; nop; nop */
	assert_handler(b, X86_DB);
	assert_int_equal(saved_rip(b), CODE + 3);
	assert_int_equal(b->cpu->dr[6], 0xffff0ff1);
	/* STI holds only interrupts off. */
	watch(b, 0, 0, 0);
	x86_set_flags(b->cpu, RFLAGS_ONE | RFLAGS_TF);
	RUN(b, "\xfb\x90");
	assert_handler(b, X86_DB);
	assert_int_equal(saved_rip(b), CODE + 1);
}

static void what_mov_ss_held_back_is_lost_when_the_next_one_faults(void **state)
{
	struct x86_box *b = *state;

	put64(b, DATA, KERNEL_DATA);
	b->cpu->gpr[X86_RBX] = DATA;
	watch(b, 0, DATA, DR7_ON(0, ACCESS));
	RUN(b, "\x8e\x13\x0f\x0b"); /* mov ss, [rbx]; ud2 */
	assert_handler(b, X86_UD);
	assert_int_equal(b->cpu->dr[6], 0xffff0ff0);
}

static void lss_casts_no_shadow(void **state)
{
	struct x86_box *b = *state;

	put64(b, DATA, STACK | (uint64_t)KERNEL_DATA << 32);
	b->cpu->gpr[X86_RBX] = DATA;
	x86_set_flags(b->cpu, RFLAGS_ONE | RFLAGS_TF);
	RUN(b, "\x0f\xb2\x23\x90"); /* lss esp, [rbx] */
	assert_handler(b, X86_DB);
	assert_int_equal(saved_rip(b), CODE + 3);
}

static void syscall_is_not_stepped_when_its_mask_clears_tf(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	cpu->efer |= EFER_SCE;
	cpu->star = (uint64_t)KERNEL_CODE_64 << 32;
	cpu->lstar = CODE + 0x100;
	cpu->sfmask = RFLAGS_TF;
	put(b, CODE + 0x100, "\xf4", 1);
	to_user(b);
	x86_set_flags(cpu, RFLAGS_ONE | RFLAGS_TF);
	RUN(b, "\x0f\x05");
	assert_int_equal(cpu->gpr[X86_RIP], CODE + 0x101);
}

static void int1_asks_no_gate_for_its_privilege(void **state)
{
	struct x86_box *b = *state;

	to_user(b);
	RUN(b, "\xf1");
	assert_handler(b, X86_DB);
	assert_int_equal(saved_rip(b), CODE + 1);
	assert_int_equal(b->cpu->dr[6], 0xffff0ff0);
}

/* What MOV SS held back is of the same #DB. */
static void int1_takes_along_what_mov_ss_held_back(void **state)
{
	struct x86_box *b = *state;

	put64(b, DATA, KERNEL_DATA);
	b->cpu->gpr[X86_RBX] = DATA;
	watch(b, 0, DATA, DR7_ON(0, ACCESS));
	RUN(b, "\x8e\x13\xf1"); /* mov ss, [rbx]; int1 */
	assert_handler(b, X86_DB);
	assert_int_equal(saved_rip(b), CODE + 3);
	assert_int_equal(b->cpu->dr[6], 0xffff0ff1);
}

/* Its handler is where the #DB of what MOV SS held back comes: INT is done. */
static void what_mov_ss_held_back_comes_behind_int_n(void **state)
{
	struct x86_box *b = *state;

	put64(b, DATA, KERNEL_DATA);
	b->cpu->gpr[X86_RBX] = DATA;
	watch(b, 0, DATA, DR7_ON(0, ACCESS));
	RUN(b, "\x8e\x13\xcd\x80"); /* mov ss, [rbx]; int 80H */
	assert_handler(b, X86_DB);
	assert_int_equal(saved_rip(b), HANDLERS + 0x80 * 16);
	assert_int_equal(b->cpu->dr[6], 0xffff0ff1);
}

static void a_descriptor_that_a_load_reads_may_be_watched(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RAX] = KERNEL_DATA;
	watch(b, 0, GDT + KERNEL_DATA, DR7_ON(0, ACCESS) | DR7_LENGTH(0, LENGTH_8));
	RUN(b, "\x8e\xd8\x90"); /* mov ds, ax; nop */
	assert_handler(b, X86_DB);
	assert_int_equal(saved_rip(b), CODE + 2);
	assert_int_equal(b->cpu->dr[6], 0xffff0ff1);
	watch(b, 0, GDT + KERNEL_DATA, DR7_ON(0, WRITE)); /* its accessed bit is set already */
	RUN(b, "\x8e\xd8\x90");
	assert_completed(b, "\x8e\xd8\x90");
}

/* The access is done when the handler is entered, and so the #DB comes before its first byte. */
static void what_delivery_touches_may_be_watched(void **state)
{
	static const struct {
		uint64_t address;
		unsigned condition;
	} cases[] = {
		{IDT + X86_UD * 16 + 8, ACCESS},
		{GDT + CONFORMING_CODE, ACCESS},
		{STACK - 16, WRITE},
	};
	struct x86_box *b = *state;

	put_gate(b, X86_UD, SEG_P | SYS_INTERRUPT_GATE, CONFORMING_CODE, 0); /* #DB has another */
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		watch(b, 1, cases[i].address,
		      DR7_ON(1, cases[i].condition) | DR7_LENGTH(1, LENGTH_8));
		RUN(b, "\x0f\x0b");
		assert_handler(b, X86_DB);
		assert_int_equal(saved_rip(b), HANDLERS + X86_UD * 16);
		assert_int_equal(b->cpu->dr[6], 0xffff0ff2);
	}
	put_gate(b, X86_UD, SEG_P | SYS_INTERRUPT_GATE, KERNEL_CODE_64, 0);
	watch(b, 1, TSS + 4, DR7_ON(1, ACCESS)); /* RSP0 */
	to_user(b);
	RUN(b, "\x0f\x0b");
	assert_handler(b, X86_DB);
	assert_int_equal(saved_rip(b), HANDLERS + X86_UD * 16);
}

/* What a faulting instruction touched is forgotten, what its delivery touches is not. */
static void a_fault_forgets_what_its_instruction_touched(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RBX] = DATA;
	b->cpu->gpr[X86_RDX] = b->cpu->gpr[X86_RAX] = 1;
	put64(b, DATA, 0);
	watch(b, 0, DATA, DR7_ON(0, ACCESS));
	RUN(b, "\xf7\x33"); /* div dword [rbx] */
	assert_handler(b, X86_DE);
	assert_int_equal(b->cpu->dr[6], 0xffff0ff0);
}

/* Each delivery of #DB raises the next one: the guest hangs alone, and ends. */
static void a_db_that_watches_its_own_frame_ends_the_guest(void **state)
{
	static const volatile bool stop = false;
	struct x86_box *b = *state;

	put_gate(b, X86_DB, SEG_P | SYS_INTERRUPT_GATE, KERNEL_CODE_64, 1);
	watch(b, 0, STACK_IST1 - 8, DR7_ON(0, WRITE) | DR7_LENGTH(0, LENGTH_8));
	RUN(b, "\xf1");
	for (unsigned i = 0; i < 100 && !b->cpu->ended; i++)
		x86_run(b->cpu, UINT64_MAX, UINT64_MAX, &stop);
	assert_true(b->cpu->ended);
	assert_int_equal(b->cpu->end.reason, UMBRA_END_ERROR);
}

static void nmi_is_blocked_until_iret(void **state)
{
	struct x86_box *b = *state;

	x86_nmi(b->cpu);
	RUN(b, "\x90");
	assert_handler(b, X86_NMI);
	assert_int_equal(saved_rip(b), CODE);
	x86_nmi(b->cpu);
	RUN(b, "\x90"); /* still in the handler, so to speak */
	assert_completed(b, "\x90");
	put(b, CODE + 0x100, "\xf4", 1);
	b->cpu->gpr[X86_RSP] = STACK;
	put64(b, STACK, CODE + 0x100);
	put64(b, STACK + 8, KERNEL_CODE_64);
	put64(b, STACK + 16, RFLAGS_ONE);
	put64(b, STACK + 24, STACK);
	put64(b, STACK + 32, KERNEL_DATA);
	RUN(b, "\x48\xcf");
	assert_handler(b, X86_NMI);
	assert_int_equal(saved_rip(b), CODE + 0x100);
}

static void nmi_wakes_and_waits_for_mov_ss(void **state)
{
	static const volatile bool stop = false;
	struct x86_box *b = *state;

	RUN(b, "\x90");
	x86_nmi(b->cpu);
	assert_true(x86_can_run(b->cpu));
	x86_run(b->cpu, UINT64_MAX, UINT64_MAX, &stop);
	assert_handler(b, X86_NMI);
	b->cpu->nmi_blocked = false;
	b->cpu->gpr[X86_RSP] = STACK;
	b->cpu->gpr[X86_RAX] = KERNEL_DATA;
	RUN_ONE(b, "\x8e\xd0\x90");
	x86_nmi(b->cpu);
	x86_run(b->cpu, UINT64_MAX, UINT64_MAX, &stop);
	assert_handler(b, X86_NMI);
	assert_int_equal(saved_rip(b), CODE + 3);
}

/* SDM 2B STI: NMIs may be held back after an STI that began with IF = 0, as here, and only then. */
static void nmi_does_not_part_sti_from_the_next_instruction(void **state)
{
	static const volatile bool stop = false;
	struct x86_box *b = *state;

	for (int i = 0; i < 2; i++) {
		b->cpu->nmi_blocked = false;
		b->cpu->gpr[X86_RSP] = STACK;
		x86_set_flags(b->cpu, RFLAGS_ONE | (i ? RFLAGS_IF : 0));
		RUN_ONE(b, "\xfb\x90");
		x86_nmi(b->cpu);
		x86_run(b->cpu, UINT64_MAX, UINT64_MAX, &stop);
		assert_handler(b, X86_NMI);
		assert_int_equal(saved_rip(b), i ? CODE + 1 : CODE + 2);
	}
}

static void misaligned_operands_fault_at_cpl_3_with_am_and_ac(void **state)
{
	static const struct {
		const char *code;
		uint64_t address;
		bool fault;
	} cases[] = {
		{"\x8a\x03\x90\xf4", DATA + 1, false},     {"\x66\x8b\x03\xf4", DATA + 1, true},
		{"\x8b\x03\x90\xf4", DATA + 2, true},      {"\x8b\x03\x90\xf4", DATA + 4, false},
		{"\x48\x8b\x03\xf4", DATA + 4, true},      {"\x48\x89\x03\xf4", DATA + 8, false},
		{"\x0f\x10\x03\xf4", DATA + 8, true},      {"\x8b\x03\x90\xf4", DATA + 0xffe, true},
		{"\xff\x73\x01\xf4", DATA + 8 - 1, false}, {"\x8f\x03\x90\xf4", DATA + 4, true},
	};
	struct x86_box *b = *state;

	b->cpu->cr4 |= CR4_OSFXSR;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		b->cpu->cr0 |= CR0_AM;
		to_user(b);
		x86_set_flags(b->cpu, RFLAGS_ONE | RFLAGS_AC);
		b->cpu->gpr[X86_RBX] = cases[i].address;
		run_bytes(b, cases[i].code, 4, 10);
		if (cases[i].fault) {
			assert_handler(b, X86_AC);
			assert_int_equal(get64(b, b->cpu->gpr[X86_RSP]), 0);
		} else {
			assert_handler(b, X86_GP); /* its HLT */
		}
		b->cpu->cr0 &= ~CR0_AM;
		to_user(b);
		x86_set_flags(b->cpu, RFLAGS_ONE | RFLAGS_AC);
		run_bytes(b, cases[i].code, 4, 10);
		assert_handler(b, X86_GP);
	}
}

static void init_keeps_what_the_table_says(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	cpu->cr0 |= CR0_CD | CR0_AM;
	cpu->xmm[3].u64[0] = 0x1234;
	cpu->mxcsr = 0x1fa0;
	cpu->lstar = 0x5678;
	watch(b, 0, CODE, DR7_ON(0, FETCH));
	x86_nmi(cpu);
	assert_int_equal(x86_init(cpu), 0);
	assert_int_equal(cpu->cr0, CR0_CD | CR0_ET);
	assert_int_equal(cpu->efer, 0);
	assert_int_equal(cpu->xmm[3].u64[0], 0x1234);
	assert_int_equal(cpu->mxcsr, 0x1fa0);
	assert_int_equal(cpu->lstar, 0x5678);
	assert_int_equal(cpu->dr[7], 0x400);
	assert_int_equal(cpu->breakpoints, 0);
	assert_int_equal(cpu->segment[X86_CS].selector, 0xf000);
	assert_int_equal(linear_rip(b), 0xfffffff0);
	assert_int_equal(cpu->rflags, RFLAGS_ONE);
	assert_false(cpu->halted); /* the boot processor */
	x86_sipi(cpu, CODE >> 12);
	assert_int_equal(linear_rip(b), 0xfffffff0);
	assert_int_equal(x86_reset(cpu), 0);
	assert_int_equal(cpu->cr0, CR0_CD | CR0_NW | CR0_ET);
	assert_int_equal(cpu->xmm[3].u64[0], 0);
	assert_int_equal(cpu->mxcsr, 0x1f80);
}

static void another_processor_waits_for_its_sipi(void **state)
{
	static const volatile bool stop = false;
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	cpu->index = 1;
	assert_int_equal(x86_init(cpu), 0);
	x86_nmi(cpu);
	assert_false(x86_can_run(cpu));
	cpu->pending = 0;
	put(b, CODE, "\xb8\x34\x12\xf4", 4); /* mov ax, 1234 */
	x86_sipi(cpu, CODE >> 12);
	x86_run(cpu, UINT64_MAX, UINT64_MAX, &stop);
	assert_int_equal(linear_rip(b), CODE + 4);
	assert_int_equal(cpu->gpr[X86_RAX], 0x1234);
	x86_sipi(cpu, 0x20); /* a second one has no effect */
	assert_int_equal(linear_rip(b), CODE + 4);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_64, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_breakpoint_on_an_instruction_comes_before_it),
		TEST(rf_lets_one_instruction_pass_and_is_cleared_by_it),
		TEST(data_breakpoints_trap_after_the_access),
		TEST(a_watched_page_that_was_just_used_is_watched_all_the_same),
		TEST(a_string_traps_between_iterations_with_rf),
		TEST(breakpoints_on_ports_need_cr4_de),
		TEST(cr4_de_counts_at_once),
		TEST(general_detect_guards_the_debug_registers_once),
		TEST(tf_traps_after_each_instruction),
		TEST(int_n_is_not_stepped_but_a_popf_that_clears_tf_is),
		TEST(mov_ss_holds_breakpoints_and_steps_until_the_next_one_is_done),
		TEST(what_mov_ss_held_back_is_lost_when_the_next_one_faults),
		TEST(lss_casts_no_shadow),
		TEST(syscall_is_not_stepped_when_its_mask_clears_tf),
		TEST(int1_asks_no_gate_for_its_privilege),
		TEST(int1_takes_along_what_mov_ss_held_back),
		TEST(what_mov_ss_held_back_comes_behind_int_n),
		TEST(a_descriptor_that_a_load_reads_may_be_watched),
		TEST(what_delivery_touches_may_be_watched),
		TEST(a_fault_forgets_what_its_instruction_touched),
		TEST(a_db_that_watches_its_own_frame_ends_the_guest),
		TEST(nmi_is_blocked_until_iret),
		TEST(nmi_wakes_and_waits_for_mov_ss),
		TEST(nmi_does_not_part_sti_from_the_next_instruction),
		TEST(misaligned_operands_fault_at_cpl_3_with_am_and_ac),
		TEST(init_keeps_what_the_table_says),
		TEST(another_processor_waits_for_its_sipi),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
