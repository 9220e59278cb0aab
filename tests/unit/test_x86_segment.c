/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segment registers, far transfers, IRET, SYSCALL: SDM 3A 3.4, 5; SDM 2. */
#include "x86_system_fixture.h"

#include "x86/model.h"

/* The error code that the handler finds on its stack. */
static uint64_t pushed_code(struct x86_box *b)
{
	uint64_t rsp = b->cpu->gpr[X86_RSP];

	return x86_long_mode(b->cpu) ? get64(b, rsp) : get32(b, rsp);
}

#define NO_FAULT 0xff

struct load {
	uint16_t selector;
	uint8_t vector;
};

static void check_loads(struct x86_box *b, const struct load *loads, size_t count, bool stack,
			bool user)
{
	for (size_t i = 0; i < count; i++) {
		if (user)
			to_user(b);
		else
			b->cpu->gpr[X86_RSP] = STACK;
		b->cpu->gpr[X86_RAX] = loads[i].selector;
		if (stack)
			RUN_ONE(b, "\x8e\xd0"); /* mov ss, eax */
		else
			RUN_ONE(b, "\x8e\xd8"); /* mov ds, eax */
		assert_false(b->cpu->ended);
		if (loads[i].vector == NO_FAULT) {
			assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 2);
			assert_int_equal(b->cpu->segment[stack ? X86_SS : X86_DS].selector,
					 loads[i].selector);
			b->cpu->interrupt_shadow = false;
			continue;
		}
		assert_int_equal(b->cpu->gpr[X86_RIP], HANDLERS + loads[i].vector * 16 + 1);
		assert_int_equal(pushed_code(b), loads[i].selector & ~3u);
		/* Back to where the next case expects it. */
		b->cpu->cpl = 0;
		x86_update_privilege(b->cpu);
		b->cpu->segment[X86_SS] = (struct x86_segment){
			.limit = UINT32_MAX,
			.selector = KERNEL_DATA,
			.rights = RIGHTS_DATA | SEG_G | SEG_DB,
		};
	}
}

static const struct load data_loads[] = {
	{KERNEL_DATA, NO_FAULT},
	{USER_DATA, NO_FAULT},
	{USER_DATA & ~3, NO_FAULT},
	{KERNEL_DATA | 3, X86_GP}, /* RPL above DPL */
	{READ_ONLY_DATA, NO_FAULT},
	{KERNEL_CODE_64, NO_FAULT}, /* readable code */
	{CONFORMING_CODE | 3, NO_FAULT},
	{ABSENT_DATA, X86_NP},
	{SELECTOR_TSS, X86_GP},
	{0x1000, X86_GP},
	{KERNEL_DATA | SELECTOR_TI, X86_GP}, /* there is no LDT */
	{0, NO_FAULT},
	{3, NO_FAULT},
};

static const struct load user_data_loads[] = {
	{KERNEL_DATA, X86_GP},    {USER_DATA, NO_FAULT}, {CONFORMING_CODE | 3, NO_FAULT},
	{USER_CODE_64, NO_FAULT}, {0, NO_FAULT},
};

static void data_segments_are_checked(void **state)
{
	check_loads(*state, data_loads, sizeof(data_loads) / sizeof(data_loads[0]), false, false);
}

static void user_mode_loads_only_what_it_may_see(void **state)
{
	check_loads(*state, user_data_loads, sizeof(user_data_loads) / sizeof(user_data_loads[0]),
		    false, true);
}

static void stack_segments_are_checked(void **state)
{
	static const struct load loads[] = {
		{KERNEL_DATA, NO_FAULT},  {USER_DATA, X86_GP},      {KERNEL_DATA | 3, X86_GP},
		{READ_ONLY_DATA, X86_GP}, {KERNEL_CODE_32, X86_GP}, {ABSENT_DATA, X86_SS_FAULT},
		{SELECTOR_TSS, X86_GP},   {0x1000, X86_GP},
	};
	static const struct load null_64[] = {{0, NO_FAULT}, {1, X86_GP}, {3, X86_GP}};
	static const struct load null_32[] = {{0, X86_GP}};
	struct x86_box *b = *state;

	check_loads(b, loads, sizeof(loads) / sizeof(loads[0]), true, false);
	if (x86_long_mode(b->cpu))
		check_loads(b, null_64, 3, true, false);
	else
		check_loads(b, null_32, 1, true, false);
}

static void a_load_sets_the_accessed_bit_and_the_hidden_part(void **state)
{
	struct x86_box *b = *state;

	put64(b, GDT + SMALL_DATA, descriptor(0x123456, 0xfff, RIGHTS_DATA | SEG_DB));
	b->cpu->gpr[X86_RAX] = SMALL_DATA;
	RUN(b, "\x8e\xe0"); /* mov fs, eax */
	assert_completed(b, "\x8e\xe0");
	assert_int_equal(b->cpu->segment[X86_FS].base, 0x123456);
	assert_int_equal(b->cpu->segment[X86_FS].limit, 0xfff);
	assert_true(get64(b, GDT + SMALL_DATA) >> 40 & SEG_ACCESSED);
}

static void limits_and_null_segments_hold_in_32_bit_mode(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RAX] = SMALL_DATA;
	b->cpu->gpr[X86_RBX] = 0xffd;
	RUN(b, "\x8e\xe0\x64\x8b\x03"); /* mov fs, eax; mov eax, fs:[ebx] */
	assert_handler(b, X86_GP);
	b->cpu->gpr[X86_RAX] = SMALL_DATA;
	b->cpu->gpr[X86_RBX] = 0xffc;
	RUN(b, "\x8e\xe0\x64\x8b\x03");
	assert_completed(b, "\x8e\xe0\x64\x8b\x03");
	b->cpu->gpr[X86_RAX] = 0;
	RUN(b, "\x8e\xe0\x64\x8b\x03");
	assert_handler(b, X86_GP);
}

static void segment_registers_are_pushed_popped_and_stored(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RAX] = UINT64_MAX;
	b->cpu->gpr[X86_RCX] = UINT64_MAX;
	/* push fs; pop gs; mov eax, gs; mov cx, cs */
	RUN(b, "\x0f\xa0\x0f\xa9\x8c\xe8\x66\x8c\xc9");
	assert_completed(b, "\x0f\xa0\x0f\xa9\x8c\xe8\x66\x8c\xc9");
	assert_int_equal(b->cpu->gpr[X86_RAX], KERNEL_DATA);
	assert_int_equal(b->cpu->gpr[X86_RCX], 0xffffffffffff0000 | KERNEL_CODE_64);
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK);
}

static void a_pop_that_faults_leaves_the_stack(void **state)
{
	struct x86_box *b = *state;

	RUN(b, "\x6a\x38\x0f\xa1"); /* push 0x38 (absent); pop fs */
	assert_handler(b, X86_NP);
	assert_int_equal(get64(b, b->cpu->gpr[X86_RSP] + 8), CODE + 2);
	assert_int_equal(get64(b, b->cpu->gpr[X86_RSP] + 32), STACK - 8);
}

static void far_pointers_load_segment_and_register(void **state)
{
	struct x86_box *b = *state;

	put64(b, DATA, 0x12345678 | (uint64_t)USER_DATA << 32);
	b->cpu->gpr[X86_RBX] = DATA;
	RUN(b, "\x0f\xb4\x03"); /* lfs eax, [rbx] */
	assert_completed(b, "\x0f\xb4\x03");
	assert_int_equal(b->cpu->gpr[X86_RAX], 0x12345678);
	assert_int_equal(b->cpu->segment[X86_FS].selector, USER_DATA);
}

static void a_far_jump_moves_between_64_bit_and_compatibility_mode(void **state)
{
	struct x86_box *b = *state;

	put64(b, DATA, (CODE + 0x100) | (uint64_t)KERNEL_CODE_32 << 32);
	b->cpu->gpr[X86_RBX] = DATA;
	/* In compatibility mode 40 is INC EAX; jmp far 0x08:CODE + 0x200. */
	put(b, CODE + 0x100, "\x40\xea\x00\x02\x01\x00\x08\x00", 8);
	put(b, CODE + 0x200, "\x48\xff\xc0\xf4", 4); /* inc rax; hlt */
	b->cpu->gpr[X86_RAX] = 0xffffffff;
	RUN(b, "\xff\x2b"); /* jmp far [rbx] */
	assert_false(b->cpu->ended);
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 0x204);
	assert_int_equal(b->cpu->gpr[X86_RAX], 1);
	assert_int_equal(b->cpu->segment[X86_CS].selector, KERNEL_CODE_64);
	assert_int_equal(b->cpu->code_mode, X86_CODE_64);
}

static void far_transfers_check_their_target(void **state)
{
	static const struct load targets[] = {
		{0, X86_GP},
		{KERNEL_DATA, X86_GP},
		{USER_CODE_64 & ~3, X86_GP}, /* DPL is not CPL */
		{KERNEL_CODE_64 | 3, X86_GP},
		{ABSENT_CODE, X86_NP},
		{0x1000, X86_GP},
		{SELECTOR_TSS, X86_GP}, /* no task switches in long mode */
	};
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RBX] = DATA;
	for (unsigned i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		put64(b, DATA, CODE | (uint64_t)targets[i].selector << 32);
		RUN(b, "\xff\x2b");
		assert_handler(b, targets[i].vector);
		assert_int_equal(pushed_code(b), targets[i].selector & ~3u);
	}
}

static void a_far_call_comes_back_with_a_far_return(void **state)
{
	struct x86_box *b = *state;

	put(b, DATA + 8, "\x48\xcb", 2); /* retf, 64-bit operands */
	put64(b, DATA, DATA + 8);
	put(b, DATA + 0x10, "", 1);
	b->cpu->gpr[X86_RBX] = DATA + 0x20;
	put64(b, DATA + 0x20, DATA + 8);
	put64(b, DATA + 0x28, KERNEL_CODE_64);
	RUN(b, "\x48\xff\x1b"); /* call far [rbx], m16:64 */
	assert_completed(b, "\x48\xff\x1b");
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK);
	assert_int_equal(get64(b, STACK - 16), CODE + 3);
	assert_int_equal(get64(b, STACK - 8), KERNEL_CODE_64);
}

static void a_far_call_of_64_bit_code_has_a_64_bit_stack_whatever_its_operands(void **state)
{
	const uint64_t high = 0x100000000;
	struct x86_box *b = *state;

	box_map(&b->box, high, STACK - PAGE_SIZE, PTE_P | PTE_W | PTE_A | PTE_D);
	put64(b, DATA, (CODE + 0x100) | (uint64_t)KERNEL_CODE_64 << 32);
	put(b, CODE + 0x100, "\xf4", 1);
	b->cpu->gpr[X86_RBX] = DATA;
	b->cpu->gpr[X86_RSP] = high + PAGE_SIZE;
	b->cpu->segment[X86_SS] = (struct x86_segment){}; /* null: of no size */
	RUN(b, "\xff\x1b");                               /* call far [rbx], m16:32 */
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 0x101);
	assert_int_equal(b->cpu->gpr[X86_RSP], high + PAGE_SIZE - 8);
	assert_int_equal(get32(b, STACK - 8), CODE + 2);
	assert_int_equal(get32(b, STACK - 4), KERNEL_CODE_64);
}

/* APM 3 JMP Far, LSS: AMD has no far pointer with an offset of 64 bits. */
static void amd_ignores_rex_w_of_far_pointers(void **state)
{
	const uint64_t pointer = (CODE + 0x100) | (uint64_t)KERNEL_CODE_64 << 32;
	struct x86_box *b = *state;

	put(b, CODE + 0x100, "\xf4", 1);
	put64(b, DATA, pointer);
	put64(b, DATA + 8, KERNEL_DATA);
	b->cpu->gpr[X86_RBX] = DATA;
	RUN(b, "\x48\x0f\xb4\x03"); /* lfs rax, [rbx] */
	assert_completed(b, "\x48\x0f\xb4\x03");
	assert_int_equal(b->cpu->gpr[X86_RAX], pointer);
	assert_int_equal(b->cpu->segment[X86_FS].selector, KERNEL_DATA);
	b->cpu->model = x86_model_find("zen2");
	put64(b, DATA, 0x12345678 | (uint64_t)USER_DATA << 32);
	RUN(b, "\x48\x0f\xb4\x03");
	assert_completed(b, "\x48\x0f\xb4\x03");
	assert_int_equal(b->cpu->gpr[X86_RAX], 0x12345678);
	assert_int_equal(b->cpu->segment[X86_FS].selector, USER_DATA);
	put64(b, DATA, pointer);
	RUN(b, "\x48\xff\x2b"); /* jmp far [rbx] */
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 0x101);
}

/* Outside IA-32e mode linear addresses have 32 bits, the CPU's own too. */
static void a_descriptor_table_wraps_at_4_gib(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gdtr = (struct x86_table_register){0xffffff00, UINT16_MAX};
	b->cpu->gpr[X86_RAX] = GDT + 0x100 + SMALL_DATA;
	RUN(b, "\x8e\xd8"); /* mov ds, ax */
	assert_completed(b, "\x8e\xd8");
	assert_int_equal(b->cpu->segment[X86_DS].limit, 0xfff);
}

/* Puts what IRETQ pops. */
static void put_frame(struct x86_box *b, uint64_t rip, uint64_t cs, uint64_t flags, uint64_t rsp,
		      uint64_t ss)
{
	const uint64_t frame[] = {rip, cs, flags, rsp, ss};

	put(b, STACK, frame, sizeof(frame));
	b->cpu->gpr[X86_RSP] = STACK;
}

static void iretq_goes_to_user_mode_and_drops_inner_segments(void **state)
{
	struct x86_box *b = *state;

	put_frame(b, CODE + 0x100, USER_CODE_64, RFLAGS_IF | RFLAGS_CF | RFLAGS_ONE, STACK_USER,
		  USER_DATA);
	b->cpu->segment[X86_ES].selector = USER_DATA;
	b->cpu->segment[X86_ES].rights |= DPL3;
	RUN_ONE(b, "\x48\xcf");
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 0x100);
	assert_int_equal(b->cpu->cpl, 3);
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK_USER);
	assert_int_equal(b->cpu->segment[X86_SS].selector, USER_DATA);
	assert_int_equal(b->cpu->segment[X86_ES].selector, USER_DATA);
	assert_int_equal(b->cpu->segment[X86_DS].selector, 0);
	assert_int_equal(x86_flags(b->cpu), RFLAGS_IF | RFLAGS_CF | RFLAGS_ONE);
}

static void iretq_to_user_mode_clears_the_rpl_of_null_selectors(void **state)
{
	struct x86_box *b = *state;
	struct x86_segment *fs = &b->cpu->segment[X86_FS], *gs = &b->cpu->segment[X86_GS];

	put_frame(b, CODE + 0x100, KERNEL_CODE_64, RFLAGS_ONE, STACK, KERNEL_DATA);
	*fs = (struct x86_segment){.selector = 3, .base = DATA};
	*gs = (struct x86_segment){.selector = 1};
	RUN_ONE(b, "\x48\xcf"); /* to the same privilege: they stay */
	assert_int_equal(fs->selector, 3);
	assert_int_equal(gs->selector, 1);
	put_frame(b, CODE + 0x100, USER_CODE_64, RFLAGS_ONE, STACK_USER, USER_DATA);
	RUN_ONE(b, "\x48\xcf");
	assert_int_equal(b->cpu->cpl, 3);
	assert_int_equal(fs->selector, 0);
	assert_int_equal(fs->base, DATA);
	assert_int_equal(gs->selector, 0);
}

static void iretq_goes_to_compatibility_mode(void **state)
{
	struct x86_box *b = *state;

	put_frame(b, CODE + 0x100, USER_CODE_32, RFLAGS_ONE, STACK_USER, USER_DATA);
	RUN_ONE(b, "\x48\xcf");
	assert_int_equal(b->cpu->code_mode, X86_CODE_COMPAT_32);
	assert_int_equal(b->cpu->cpl, 3);
	/* A fault there enters the kernel in 64-bit mode. */
	put(b, CODE + 0x100, "\x0f\x0b", 2);
	RUN_ONE(b, "\x0f\x0b");
	assert_int_equal(b->cpu->code_mode, X86_CODE_64);
	assert_int_equal(get64(b, STACK_RSP0 - 32), USER_CODE_32);
}

static void iretq_with_a_null_stack_stays_in_the_kernel(void **state)
{
	struct x86_box *b = *state;

	put_frame(b, CODE + 0x100, KERNEL_CODE_64, RFLAGS_ONE, 0x8765, 0);
	RUN_ONE(b, "\x48\xcf");
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 0x100);
	assert_int_equal(b->cpu->gpr[X86_RSP], 0x8765);
	assert_int_equal(b->cpu->segment[X86_SS].selector, 0);
}

static void bad_returns_fault_before_anything_changes(void **state)
{
	static const struct {
		uint64_t rip, cs, ss;
		uint8_t vector;
		uint32_t code;
	} cases[] = {
		{CODE, 0, KERNEL_DATA, X86_GP, 0},
		{CODE, KERNEL_CODE_64 | 3, USER_DATA, X86_GP, KERNEL_CODE_64},
		{CODE, ABSENT_CODE, KERNEL_DATA, X86_NP, ABSENT_CODE},
		{1ull << 50, USER_CODE_64, USER_DATA, X86_GP, 0},
		{CODE, USER_CODE_64, KERNEL_DATA, X86_GP, KERNEL_DATA},
		{CODE, USER_CODE_64, 0, X86_GP, 0},
		{CODE, USER_CODE_64, 3, X86_GP, 0},
		{CODE, KERNEL_CODE_64, ABSENT_DATA, X86_SS_FAULT, ABSENT_DATA},
	};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_frame(b, cases[i].rip, cases[i].cs, RFLAGS_ONE, STACK_USER, cases[i].ss);
		RUN(b, "\x48\xcf");
		assert_handler(b, cases[i].vector);
		assert_int_equal(pushed_code(b), cases[i].code);
		assert_int_equal(get64(b, b->cpu->gpr[X86_RSP] + 8), CODE);
		assert_int_equal(get64(b, b->cpu->gpr[X86_RSP] + 32), STACK);
	}
	put_frame(b, CODE, KERNEL_CODE_64, RFLAGS_ONE, STACK, KERNEL_DATA);
	x86_set_flags(b->cpu, RFLAGS_NT);
	RUN(b, "\x48\xcf");
	assert_handler(b, X86_GP);
}

static void user_mode_cannot_change_iopl_or_if_by_iret_or_popf(void **state)
{
	struct x86_box *b = *state;

	to_user(b);
	x86_set_flags(b->cpu, RFLAGS_IF);
	put64(b, STACK_USER - 8, RFLAGS_IOPL | RFLAGS_CF | RFLAGS_ID);
	b->cpu->gpr[X86_RSP] = STACK_USER - 8;
	RUN_ONE(b, "\x9d");
	assert_int_equal(x86_flags(b->cpu), RFLAGS_ONE | RFLAGS_IF | RFLAGS_CF | RFLAGS_ID);
	put_frame(b, CODE + 0x100, USER_CODE_64, RFLAGS_IOPL, STACK_USER, USER_DATA);
	RUN_ONE(b, "\x48\xcf");
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 0x100);
	assert_int_equal(x86_flags(b->cpu), RFLAGS_ONE | RFLAGS_IF);
}

static void in_32_bit_mode_iret_pops_a_stack_only_outward(void **state)
{
	struct x86_box *b = *state;
	const uint32_t inner[] = {CODE + 0x100, KERNEL_CODE_32, RFLAGS_ONE};
	const uint32_t outer[] = {CODE + 0x100, USER_CODE_32, RFLAGS_ONE, STACK_USER, USER_DATA};

	put(b, STACK, inner, sizeof(inner));
	RUN_ONE(b, "\xcf");
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 0x100);
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK + 12);
	put(b, STACK, outer, sizeof(outer));
	b->cpu->gpr[X86_RSP] = STACK;
	RUN_ONE(b, "\xcf");
	assert_int_equal(b->cpu->cpl, 3);
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK_USER);
	assert_int_equal(b->cpu->segment[X86_SS].selector, USER_DATA);
}

static void ltr_and_lldt_check_and_take_their_descriptors(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RAX] = SELECTOR_TSS;
	RUN(b, "\x0f\x00\xd8\x0f\x00\xc9"); /* ltr ax; str ecx */
	assert_completed(b, "\x0f\x00\xd8\x0f\x00\xc9");
	assert_int_equal(b->cpu->gpr[X86_RCX], SELECTOR_TSS);
	assert_int_equal(b->cpu->tr.base, TSS);
	assert_int_equal(get64(b, GDT + SELECTOR_TSS) >> 40 & SEG_TYPE, SYS_TSS_BUSY);
	RUN(b, "\x0f\x00\xd8"); /* busy now */
	assert_handler(b, X86_GP);
	assert_int_equal(pushed_code(b), SELECTOR_TSS);

	b->cpu->gpr[X86_RAX] = KERNEL_DATA;
	RUN(b, "\x0f\x00\xd0"); /* lldt ax */
	assert_handler(b, X86_GP);
	/* An LDT that is the GDT: its descriptors by other selectors. */
	put64(b, GDT + CALL_GATE, descriptor(GDT, GDT_SIZE - 1, SEG_P | SYS_LDT));
	b->cpu->gpr[X86_RAX] = CALL_GATE;
	b->cpu->gpr[X86_RCX] = USER_DATA | SELECTOR_TI;
	RUN(b, "\x0f\x00\xd0\x8e\xe1"); /* lldt ax; mov fs, ecx */
	assert_completed(b, "\x0f\x00\xd0\x8e\xe1");
	assert_int_equal(b->cpu->segment[X86_FS].selector, USER_DATA | SELECTOR_TI);
}

static void lar_lsl_and_verr_answer_in_zf(void **state)
{
	static const struct {
		uint16_t selector;
		bool lar, verr, verw;
	} cases[] = {
		{KERNEL_DATA, true, true, true},
		{READ_ONLY_DATA, true, true, false},
		{KERNEL_CODE_64, true, true, false},
		{SELECTOR_TSS, true, false, false},
		{0, false, false, false},
		{0x1000, false, false, false},
		{KERNEL_DATA | 3, false, false, false},
	};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		b->cpu->gpr[X86_RAX] = cases[i].selector;
		b->cpu->gpr[X86_RCX] = 0x5555;
		/* lar ecx, eax; sete dl; verr ax; sete dh; verw ax; sete bl; lsl esi, eax */
		RUN(b, "\x0f\x02\xc8\x0f\x94\xc2\x0f\x00\xe0\x0f\x94\xc6\x0f\x00\xe8\x0f\x94\xc3"
		       "\x0f\x03\xf0");
		assert_false(b->cpu->ended);
		assert_int_equal(b->cpu->gpr[X86_RDX] & 1, cases[i].lar);
		assert_int_equal(b->cpu->gpr[X86_RDX] >> 8 & 1, cases[i].verr);
		assert_int_equal(b->cpu->gpr[X86_RBX] & 1, cases[i].verw);
		if (!cases[i].lar)
			assert_int_equal(b->cpu->gpr[X86_RCX], 0x5555);
	}
	b->cpu->gpr[X86_RAX] = KERNEL_DATA;
	RUN(b, "\x0f\x02\xc8\x0f\x03\xf0");
	assert_int_equal(b->cpu->gpr[X86_RCX], 0x00c09200);
	assert_int_equal(b->cpu->gpr[X86_RSI], 0xffffffff);
}

#define TEST_64(f) cmocka_unit_test_setup_teardown(f, setup_64, teardown)
#define TEST_32(f) cmocka_unit_test_setup_teardown(f, setup_32, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_64(data_segments_are_checked),
		TEST_32(data_segments_are_checked),
		TEST_64(user_mode_loads_only_what_it_may_see),
		TEST_32(user_mode_loads_only_what_it_may_see),
		TEST_64(stack_segments_are_checked),
		TEST_32(stack_segments_are_checked),
		TEST_64(a_load_sets_the_accessed_bit_and_the_hidden_part),
		TEST_32(limits_and_null_segments_hold_in_32_bit_mode),
		TEST_64(segment_registers_are_pushed_popped_and_stored),
		TEST_64(a_pop_that_faults_leaves_the_stack),
		TEST_64(far_pointers_load_segment_and_register),
		TEST_64(a_far_jump_moves_between_64_bit_and_compatibility_mode),
		TEST_64(far_transfers_check_their_target),
		TEST_64(a_far_call_comes_back_with_a_far_return),
		TEST_64(a_far_call_of_64_bit_code_has_a_64_bit_stack_whatever_its_operands),
		TEST_64(amd_ignores_rex_w_of_far_pointers),
		TEST_32(a_descriptor_table_wraps_at_4_gib),
		TEST_64(iretq_goes_to_user_mode_and_drops_inner_segments),
		TEST_64(iretq_goes_to_compatibility_mode),
		TEST_64(iretq_to_user_mode_clears_the_rpl_of_null_selectors),
		TEST_64(iretq_with_a_null_stack_stays_in_the_kernel),
		TEST_64(bad_returns_fault_before_anything_changes),
		TEST_64(user_mode_cannot_change_iopl_or_if_by_iret_or_popf),
		TEST_32(in_32_bit_mode_iret_pops_a_stack_only_outward),
		TEST_64(ltr_and_lldt_check_and_take_their_descriptors),
		TEST_64(lar_lsl_and_verr_answer_in_zf),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
