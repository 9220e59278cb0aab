/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Call gates and returns to outer levels (SDM 3A 5.8), task switches (7.3, table 7-1). */
#include "x86_system_fixture.h"

#include "x86/debug.h"

/* More descriptors, behind those of the fixture. */
enum {
	GATE = GDT_SIZE, /* 16 bytes */
	TSS_2 = GATE + 16,
	TSS_16 = TSS_2 + 8,
	LDT = TSS_16 + 8,
	STACK_16 = LDT + 8,
	CODE_16 = STACK_16 + 8,
	WIDE_GDT_SIZE = CODE_16 + 8,
};

#define TSS_2_BASE  0x4000u
#define TSS_16_BASE 0x5000u
#define LDT_BASE    0x6000u
#define TARGET      0x12000u /* where gates and tasks lead: a HLT */
#define STACK_2     0xc000u

struct task_state {
	uint32_t link, stacks[6], cr3, eip, eflags, gpr[8], segment[6], ldt, trap;
} __attribute__((packed));

static void put_descriptor(struct x86_box *b, unsigned selector, uint64_t value)
{
	put64(b, GDT + (selector & ~7u), value);
}

static void put_call_gate(struct x86_box *b, unsigned type, uint16_t selector, uint64_t offset,
			  unsigned count)
{
	put64(b, GDT + GATE,
	      (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)count << 32 |
		      (uint64_t)(SEG_P | DPL3 | type) << 40 | (offset >> 16 & 0xffff) << 48);
	if (x86_long_mode(b->cpu))
		put64(b, GDT + GATE + 8, offset >> 32);
}

static struct task_state state_of_task_2(void)
{
	return (struct task_state){
		.eip = TARGET,
		.eflags = RFLAGS_ONE | RFLAGS_CF,
		.gpr = {1, 2, 3, 4, STACK_2, 6, 7, 8},
		.segment = {KERNEL_DATA, KERNEL_CODE_32, KERNEL_DATA, KERNEL_DATA, 0, 0},
	};
}

static void put_task_2(struct x86_box *b, const struct task_state *task)
{
	put(b, TSS_2_BASE, task, sizeof(*task));
}

static void prepare(struct x86_box *b)
{
	const struct task_state task = state_of_task_2();

	b->cpu->gdtr.limit = WIDE_GDT_SIZE - 1;
	put_descriptor(b, TSS_2, descriptor(TSS_2_BASE, 0x67, SEG_P | SYS_TSS_AVAILABLE));
	put_descriptor(b, TSS_16, descriptor(TSS_16_BASE, 0x2b, SEG_P | SYS_TSS_16_AVAILABLE));
	put_descriptor(b, LDT, descriptor(LDT_BASE, 0xf, SEG_P | SYS_LDT));
	put_descriptor(b, STACK_16, descriptor(DATA, 0xffff, RIGHTS_DATA));
	put_descriptor(b, CODE_16, descriptor(CODE, 0xffff, RIGHTS_CODE));
	put_descriptor(b, SELECTOR_TSS, descriptor(TSS, 0x67, SEG_P | SYS_TSS_BUSY));
	put(b, TARGET, "\xf4", 1);
	put_task_2(b, &task);
}

static int prepare_32(void **state)
{
	setup_32(state);
	prepare(*state);
	return 0;
}

static int prepare_64(void **state)
{
	setup_64(state);
	prepare(*state);
	return 0;
}

static unsigned type_of(struct x86_box *b, unsigned selector)
{
	return get64(b, GDT + selector) >> 40 & SEG_TYPE;
}

/* call 88:0; the gate's selector is all that counts. */
#define CALL_GATE_32 "\x9a\x00\x00\x00\x00\x88\x00"
#define JMP_GATE_32  "\xea\x00\x00\x00\x00\x88\x00"
#define CALL_TASK    "\x9a\x00\x00\x00\x00\x98\x00"
#define JMP_TASK     "\xea\x00\x00\x00\x00\x98\x00"
#define CALL_TASK_16 "\x9a\x00\x00\x00\x00\xa0\x00"

static void a_call_gate_copies_parameters_to_the_inner_stack(void **state)
{
	struct x86_box *b = *state;
	const uint32_t parameters[] = {0x11111111, 0x22222222, 0x33333333};

	put_call_gate(b, SYS_CALL_GATE, KERNEL_CODE_32, TARGET, 3);
	put(b, TARGET, "\xca\x0c\x00", 3); /* retf 12 */
	to_user(b);
	put(b, STACK_USER - 12, parameters, sizeof(parameters));
	b->cpu->gpr[X86_RSP] = STACK_USER - 12;
	b->cpu->segment[X86_DS].rights &= ~DPL3; /* an inner segment is not left behind */
	RUN_ONE(b, CALL_GATE_32);
	assert_int_equal(b->cpu->cpl, 0);
	assert_int_equal(b->cpu->gpr[X86_RIP], TARGET);
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK_RSP0 - 28);
	assert_int_equal(get32(b, STACK_RSP0 - 28), CODE + 7);
	assert_int_equal(get32(b, STACK_RSP0 - 24), USER_CODE_32);
	assert_int_equal(get32(b, STACK_RSP0 - 20), 0x11111111);
	assert_int_equal(get32(b, STACK_RSP0 - 12), 0x33333333);
	assert_int_equal(get32(b, STACK_RSP0 - 8), STACK_USER - 12);
	assert_int_equal(get32(b, STACK_RSP0 - 4), USER_DATA);
	x86_run(b->cpu, UINT64_MAX, b->cpu->instructions + 1, &b->cpu->ended);
	assert_int_equal(b->cpu->cpl, 3);
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 7);
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK_USER);
	assert_int_equal(b->cpu->segment[X86_DS].selector, 0);
	assert_int_equal(b->cpu->segment[X86_ES].selector, USER_DATA);
}

static void a_16_bit_call_gate_pushes_words(void **state)
{
	struct x86_box *b = *state;

	put_call_gate(b, SYS_CALL_GATE_16, KERNEL_CODE_32, 0x9999, 1);
	put(b, 0x9999, "\xf4", 1);
	to_user(b);
	put(b, STACK_USER, "\x34\x12", 2);
	RUN(b, CALL_GATE_32);
	assert_int_equal(b->cpu->gpr[X86_RIP], 0x999a);
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK_RSP0 - 10);
	assert_int_equal(get16(b, STACK_RSP0 - 10), (uint16_t)(CODE + 7));
	assert_int_equal(get16(b, STACK_RSP0 - 6), 0x1234);
	assert_int_equal(get16(b, STACK_RSP0 - 4), STACK_USER);
}

static void a_64_bit_call_gate_leaves_compatibility_mode(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	put_call_gate(b, SYS_CALL_GATE, KERNEL_CODE_64, TARGET, 0);
	put(b, TARGET, "\x48\xcb", 2); /* retf */
	to_user(b);
	cpu->segment[X86_CS].selector = USER_CODE_32;
	cpu->segment[X86_CS].rights = RIGHTS_CODE | DPL3 | SEG_G | SEG_DB;
	x86_update_code_mode(cpu);
	RUN_ONE(b, CALL_GATE_32);
	assert_int_equal(cpu->code_mode, X86_CODE_64);
	assert_int_equal(cpu->gpr[X86_RIP], TARGET);
	assert_int_equal(cpu->segment[X86_SS].selector, 0);
	assert_int_equal(get64(b, STACK_RSP0 - 32), CODE + 7);
	assert_int_equal(get64(b, STACK_RSP0 - 24), USER_CODE_32);
	assert_int_equal(get64(b, STACK_RSP0 - 16), STACK_USER);
	assert_int_equal(get64(b, STACK_RSP0 - 8), USER_DATA);
	x86_run(cpu, UINT64_MAX, cpu->instructions + 1, &cpu->ended);
	assert_int_equal(cpu->code_mode, X86_CODE_COMPAT_32);
	assert_int_equal(cpu->gpr[X86_RSP], STACK_USER);
	/* The upper half of its descriptor has a type, which must be 0. */
	put64(b, GDT + GATE + 8, 1ull << 40);
	RUN(b, CALL_GATE_32);
	assert_handler(b, X86_GP);
	assert_int_equal(get64(b, cpu->gpr[X86_RSP]), GATE);
}

static void call_gates_are_checked(void **state)
{
	static const struct {
		unsigned type, rights;
		uint16_t selector;
		uint64_t offset;
		uint8_t vector;
		uint32_t code;
	} cases[] = {
		{SYS_CALL_GATE, SEG_P, KERNEL_CODE_32, TARGET, X86_GP, GATE}, /* DPL 0 */
		{SYS_CALL_GATE, DPL3, KERNEL_CODE_32, TARGET, X86_NP, GATE},
		{SYS_CALL_GATE, SEG_P | DPL3, 0, TARGET, X86_GP, 0},
		{SYS_CALL_GATE, SEG_P | DPL3, KERNEL_DATA, TARGET, X86_GP, KERNEL_DATA},
		{SYS_CALL_GATE, SEG_P | DPL3, 0x1000, TARGET, X86_GP, 0x1000},
		{SYS_CALL_GATE, SEG_P | DPL3, CODE_16, 0x10000, X86_GP, 0},
		{SYS_TRAP_GATE, SEG_P | DPL3, KERNEL_CODE_32, TARGET, X86_GP, GATE},
	};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put64(b, GDT + GATE,
		      (cases[i].offset & 0xffff) | (uint64_t)cases[i].selector << 16 |
			      (uint64_t)(cases[i].rights | cases[i].type) << 40 |
			      (cases[i].offset >> 16) << 48);
		to_user(b);
		RUN(b, CALL_GATE_32);
		assert_handler(b, cases[i].vector);
		assert_int_equal(get32(b, b->cpu->gpr[X86_RSP]), cases[i].code);
		assert_int_equal(get32(b, b->cpu->gpr[X86_RSP] + 4), CODE);
	}
	/* JMP does not change the privilege. */
	put_call_gate(b, SYS_CALL_GATE, KERNEL_CODE_32, TARGET, 0);
	to_user(b);
	RUN(b, JMP_GATE_32);
	assert_handler(b, X86_GP);
	assert_int_equal(get32(b, b->cpu->gpr[X86_RSP]), KERNEL_CODE_32);
	put_call_gate(b, SYS_CALL_GATE, KERNEL_CODE_32, TARGET, 0);
	RUN(b, JMP_GATE_32);
	assert_int_equal(b->cpu->gpr[X86_RIP], TARGET + 1);
	/* The stack of the TSS. */
	put64(b, TSS + 4, STACK_RSP0 | (uint64_t)READ_ONLY_DATA << 32);
	to_user(b);
	RUN(b, CALL_GATE_32);
	assert_true(b->cpu->ended); /* #TS, whose handler wants the same stack */
	assert_int_equal(b->cpu->end.reason, UMBRA_END_TRIPLE_FAULT);
}

static void code_of_16_bits_runs_in_protected_mode(void **state)
{
	struct x86_box *b = *state;
	const uint16_t stack = STACK_16;

	put(b, CODE + 0x200, "\xb8\x34\x12\x8e\xd3\x89\xcc\x50\xf4", 9);
	/* mov ax, 1234; mov ss, bx; mov sp, cx; push ax */
	b->cpu->gpr[X86_RBX] = stack;
	b->cpu->gpr[X86_RCX] = 0x100;
	b->cpu->gpr[X86_RSP] = 0x56789abc;
	RUN(b, "\xea\x00\x02\x00\x00\xb8\x00"); /* jmp CODE_16:200 */
	assert_false(b->cpu->ended);
	assert_int_equal(linear_rip(b), CODE + 0x209);
	assert_int_equal(b->cpu->gpr[X86_RSP], 0x567800fe);
	assert_int_equal(get16(b, DATA + 0xfe), 0x1234);
}

static void jmp_switches_tasks_and_saves_the_old_one(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	cpu->gpr[X86_RDI] = 0xabcd;
	x86_set_flags(cpu, RFLAGS_ONE | RFLAGS_DF);
	cpu->dr[7] = 0x403;
	RUN(b, JMP_TASK);
	assert_false(cpu->ended);
	assert_int_equal(cpu->gpr[X86_RIP], TARGET + 1);
	assert_int_equal(cpu->gpr[X86_RAX], 1);
	assert_int_equal(cpu->gpr[X86_RDI], 8);
	assert_int_equal(cpu->gpr[X86_RSP], STACK_2);
	assert_int_equal(cpu->rflags & (RFLAGS_CF | RFLAGS_DF | RFLAGS_NT), RFLAGS_CF);
	assert_int_equal(cpu->tr.selector, TSS_2);
	assert_int_equal(type_of(b, TSS_2), SYS_TSS_BUSY);
	assert_int_equal(type_of(b, SELECTOR_TSS), SYS_TSS_AVAILABLE);
	assert_true(cpu->cr0 & CR0_TS);
	assert_int_equal(cpu->dr[7], 0x402); /* local enables are the task's */
	assert_int_equal(cpu->segment[X86_FS].rights, 0);
	assert_int_equal(get32(b, TSS + 32), CODE + 7);
	assert_int_equal(get32(b, TSS + 36), RFLAGS_ONE | RFLAGS_DF);
	assert_int_equal(get32(b, TSS + 68), 0xabcd);
	assert_int_equal(get16(b, TSS + 76), KERNEL_CODE_32);
}

static void call_nests_and_iret_comes_back(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	put(b, TARGET, "\x90\xcf\xf4", 3); /* nop; iret; hlt */
	RUN(b, CALL_TASK);
	assert_completed(b, CALL_TASK);
	assert_int_equal(cpu->tr.selector, SELECTOR_TSS);
	assert_int_equal(type_of(b, SELECTOR_TSS), SYS_TSS_BUSY);
	assert_int_equal(type_of(b, TSS_2), SYS_TSS_AVAILABLE);
	assert_int_equal(get16(b, TSS_2_BASE), SELECTOR_TSS); /* the link */
	assert_false(get32(b, TSS_2_BASE + 36) & RFLAGS_NT);  /* IRET cleared what it saved */
	assert_int_equal(get32(b, TSS_2_BASE + 32), TARGET + 2);
	assert_int_equal(cpu->gpr[X86_RSP], STACK);
	cpu->halted = false;
	RUN_ONE(b, CALL_TASK); /* goes on behind its IRET */
	assert_int_equal(cpu->gpr[X86_RIP], TARGET + 2);
	assert_true(cpu->rflags & RFLAGS_NT);
}

static void task_gates_of_the_idt_push_the_code_in_the_new_task(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	put_gate_32(b, X86_GP, SEG_P | SYS_TASK_GATE, TSS_2);
	RUN(b, "\xb8\x00\x10\x00\x00\x8e\xd8"); /* mov eax, 1000; mov ds, eax */
	assert_false(cpu->ended);
	assert_int_equal(cpu->gpr[X86_RIP], TARGET + 1);
	assert_int_equal(cpu->gpr[X86_RSP], STACK_2 - 4);
	assert_int_equal(get32(b, STACK_2 - 4), 0x1000);
	assert_int_equal(get32(b, TSS + 32), CODE + 5); /* of the fault */
	assert_true(get32(b, TSS + 36) & RFLAGS_RF);
	assert_int_equal(get16(b, TSS_2_BASE), SELECTOR_TSS);
	assert_true(cpu->rflags & RFLAGS_NT);
}

static void a_task_gate_of_the_gdt_has_its_own_privilege(void **state)
{
	struct x86_box *b = *state;

	put64(b, GDT + GATE,
	      (uint64_t)TSS_2 << 16 | (uint64_t)(SEG_P | DPL3 | SYS_TASK_GATE) << 40);
	to_user(b);
	RUN(b, CALL_TASK); /* the TSS itself is DPL 0 */
	assert_handler(b, X86_GP);
	assert_int_equal(get32(b, b->cpu->gpr[X86_RSP]), TSS_2);
	to_user(b);
	RUN(b, CALL_GATE_32);
	assert_int_equal(b->cpu->gpr[X86_RIP], TARGET + 1);
	assert_int_equal(b->cpu->cpl, 0);
}

static void a_16_bit_task_has_words(void **state)
{
	struct x86_box *b = *state;
	const uint16_t task[] = {0,       0,        0,           0,    0,    0,
				 0,       0x200,    RFLAGS_ONE,  0x11, 0x22, 0x33,
				 0x44,    0x800,    0x66,        0x77, 0x88, KERNEL_DATA,
				 CODE_16, STACK_16, KERNEL_DATA, LDT};

	put(b, TSS_16_BASE, task, sizeof(task));
	put(b, CODE + 0x200, "\x50\xf4", 2); /* push ax */
	RUN(b, CALL_TASK_16);
	assert_false(b->cpu->ended);
	assert_int_equal(linear_rip(b), CODE + 0x202);
	assert_int_equal(b->cpu->code_mode, X86_CODE_16);
	assert_int_equal((uint16_t)b->cpu->gpr[X86_RAX], 0x11);
	assert_int_equal((uint16_t)b->cpu->gpr[X86_RSP], 0x7fe);
	assert_int_equal(get16(b, DATA + 0x7fe), 0x11);
	assert_int_equal(b->cpu->ldtr.base, LDT_BASE);
	assert_int_equal(get16(b, TSS_16_BASE), SELECTOR_TSS);
	/* Back, by a 16-bit IRET: what it saves are words. */
	put(b, CODE + 0x202, "\xcf", 1);
	b->cpu->halted = false;
	x86_run(b->cpu, UINT64_MAX, b->cpu->instructions + 2, &b->cpu->ended);
	assert_completed(b, CALL_TASK_16);
	assert_int_equal(get16(b, TSS_16_BASE + 14), 0x203);
	assert_int_equal(get16(b, TSS_16_BASE + 26), 0x7fe);
}

static void what_is_wrong_with_the_tss_is_the_old_tasks_fault(void **state)
{
	static const struct {
		uint64_t descriptor;
		uint8_t vector;
	} cases[] = {
		{0x67 | (uint64_t)(SEG_P | SYS_TSS_BUSY) << 40, X86_GP},
		{0x67 | (uint64_t)SYS_TSS_AVAILABLE << 40, X86_NP},
		{0x66 | (uint64_t)(SEG_P | SYS_TSS_AVAILABLE) << 40, X86_TS},
		{0x2a | (uint64_t)(SEG_P | SYS_TSS_16_AVAILABLE) << 40, X86_TS},
	};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_descriptor(b, TSS_2, cases[i].descriptor);
		b->cpu->gpr[X86_RSP] = STACK;
		RUN(b, JMP_TASK);
		assert_handler(b, cases[i].vector);
		assert_int_equal(get32(b, STACK - 16), TSS_2);
		assert_int_equal(get32(b, STACK - 12), CODE);
		assert_int_equal(b->cpu->tr.selector, SELECTOR_TSS);
	}
	/* IRET wants a busy one: the link is what NT tells it to follow. */
	x86_set_flags(b->cpu, RFLAGS_ONE | RFLAGS_NT);
	put64(b, TSS, TSS_2);
	put_descriptor(b, TSS_2, descriptor(TSS_2_BASE, 0x67, SEG_P | SYS_TSS_AVAILABLE));
	RUN(b, "\xcf");
	assert_handler(b, X86_TS);
}

static void what_is_wrong_with_its_segments_is_the_new_tasks(void **state)
{
	static const struct {
		unsigned segment; /* 6: LDT; 7: EIP */
		uint32_t value;
		uint8_t vector;
		uint32_t code;
	} cases[] = {
		{6, KERNEL_DATA, X86_TS, KERNEL_DATA},
		{X86_CS, 0, X86_TS, 0},
		{X86_CS, KERNEL_DATA, X86_TS, KERNEL_DATA},
		{X86_DS, 0x1000, X86_TS, 0x1000},
		{X86_DS, ABSENT_DATA, X86_NP, ABSENT_DATA},
		{X86_ES, SELECTOR_TSS, X86_TS, SELECTOR_TSS},
	};
	struct x86_box *b = *state;

	/* The handlers have a task of their own: the new one's stack may not be there yet. */
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct task_state task = state_of_task_2();

		x86_box_destroy(b);
		x86_box_create(b, false);
		prepare(b);
		put64(b, GDT + TSS_16, descriptor(TSS_16_BASE, 0x67, SEG_P | SYS_TSS_AVAILABLE));
		put(b, TSS_16_BASE, &task, sizeof(task));
		put_gate_32(b, cases[i].vector, SEG_P | SYS_TASK_GATE, TSS_16);
		if (cases[i].segment == 6)
			task.ldt = cases[i].value;
		else
			task.segment[cases[i].segment] = cases[i].value;
		task.eip = TARGET + 0x100;
		put_task_2(b, &task);
		RUN(b, JMP_TASK);
		assert_false(b->cpu->ended);
		assert_int_equal(b->cpu->gpr[X86_RIP], TARGET + 1);
		assert_int_equal(get32(b, STACK_2 - 4), cases[i].code);
		/* It was the second task that was left, at its first instruction. */
		assert_int_equal(get16(b, TSS_16_BASE), TSS_2);
		assert_int_equal(get32(b, TSS_2_BASE + 32), TARGET + 0x100);
		assert_int_equal(get32(b, TSS + 32), CODE + 7);
	}
}

static void a_task_with_t_traps_before_its_first_instruction(void **state)
{
	struct x86_box *b = *state;
	struct task_state task = state_of_task_2();

	task.trap = 1;
	put_task_2(b, &task);
	RUN(b, JMP_TASK);
	assert_handler(b, X86_DB);
	assert_int_equal(get32(b, STACK_2 - 12), TARGET);
	assert_int_equal(b->cpu->dr[6], 0xffff0ff0 | DR6_BT);
}

static void a_task_may_be_an_8086_program(void **state)
{
	struct x86_box *b = *state;
	struct task_state task = state_of_task_2();

	task.eflags = RFLAGS_ONE | RFLAGS_VM;
	task.eip = 0x20;
	task.segment[X86_CS] = CODE >> 4;
	task.segment[X86_SS] = DATA >> 4;
	task.gpr[X86_RSP] = 0x100;
	put_task_2(b, &task);
	put(b, CODE + 0x20, "\x50\xf4", 2); /* push ax; hlt */
	put64(b, TSS_2_BASE + 4, STACK_RSP0 | (uint64_t)KERNEL_DATA << 32);
	RUN(b, JMP_TASK);
	assert_handler(b, X86_GP);
	assert_int_equal(get16(b, DATA + 0xfe), 1);
	assert_true(get32(b, b->cpu->gpr[X86_RSP] + 12) & RFLAGS_VM);
}

static void long_mode_has_no_task_switches(void **state)
{
	struct x86_box *b = *state;

	put64(b, DATA, (uint64_t)TSS_2 << 32);
	put_descriptor(b, TSS_16, 0); /* the upper half of a 16-byte descriptor */
	b->cpu->gpr[X86_RBX] = DATA;
	RUN(b, "\xff\x2b"); /* jmp far [rbx] */
	assert_handler(b, X86_GP);
	assert_int_equal(get64(b, b->cpu->gpr[X86_RSP]), TSS_2);
	x86_set_flags(b->cpu, RFLAGS_ONE | RFLAGS_NT);
	RUN(b, "\x48\xcf");
	assert_handler(b, X86_GP);
}

#define TEST_32(f) cmocka_unit_test_setup_teardown(f, prepare_32, teardown)
#define TEST_64(f) cmocka_unit_test_setup_teardown(f, prepare_64, teardown)

/* SDM 3C 25.2: in VMX non-root operation every task switch exits, one that fails its checks not. */
static void a_task_switch_exits(void **state)
{
	struct x86_box *b = *state;
	const uint64_t *exits = hw_public(b->box.hw)->counters.exits;

	RUN(b, CALL_TASK);
	assert_int_equal(exits[UMBRA_EXIT_task_switch], 1);
	RUN(b, CALL_TASK); /* it is busy now */
	assert_int_equal(exits[UMBRA_EXIT_task_switch], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_32(a_call_gate_copies_parameters_to_the_inner_stack),
		TEST_32(a_16_bit_call_gate_pushes_words),
		TEST_64(a_64_bit_call_gate_leaves_compatibility_mode),
		TEST_32(call_gates_are_checked),
		TEST_32(code_of_16_bits_runs_in_protected_mode),
		TEST_32(jmp_switches_tasks_and_saves_the_old_one),
		TEST_32(call_nests_and_iret_comes_back),
		TEST_32(a_task_switch_exits),
		TEST_32(task_gates_of_the_idt_push_the_code_in_the_new_task),
		TEST_32(a_task_gate_of_the_gdt_has_its_own_privilege),
		TEST_32(a_16_bit_task_has_words),
		TEST_32(what_is_wrong_with_the_tss_is_the_old_tasks_fault),
		TEST_32(what_is_wrong_with_its_segments_is_the_new_tasks),
		TEST_32(a_task_with_t_traps_before_its_first_instruction),
		TEST_32(a_task_may_be_an_8086_program),
		TEST_64(long_mode_has_no_task_switches),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
