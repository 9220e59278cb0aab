/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control registers, MSRs, CPUID, I/O, the interrupt flag: SDM 2; SDM 3A 2, 9.8.5. */
#include "x86_system_fixture.h"

static uint64_t exits(struct x86_box *b, enum umbra_exit_reason reason)
{
	return hw_public(b->box.hw)->counters.exits[reason];
}

static void system_instructions_are_for_the_kernel(void **state)
{
	static const struct {
		const char *bytes;
		uint8_t len;
	} insns[] = {
		{"\xf4", 1},             /* hlt */
		{"\x0f\x20\xc0", 3},     /* mov rax, cr0 */
		{"\x0f\x22\xd8", 3},     /* mov cr3, rax */
		{"\x44\x0f\x20\xc0", 4}, /* mov rax, cr8 */
		{"\x0f\x21\xf8", 3},     /* mov rax, dr7 */
		{"\x0f\x23\xf8", 3},     /* mov dr7, rax */
		{"\x0f\x06", 2},         /* clts */
		{"\x0f\x01\xf0", 3},     /* lmsw ax */
		{"\x0f\x01\x3b", 3},     /* invlpg [rbx] */
		{"\x0f\x01\x13", 3},     /* lgdt [rbx] */
		{"\x0f\x01\x1b", 3},     /* lidt [rbx] */
		{"\x0f\x00\xd0", 3},     /* lldt ax */
		{"\x0f\x00\xd8", 3},     /* ltr ax */
		{"\x0f\x09", 2},         /* wbinvd */
		{"\x0f\x08", 2},         /* invd */
		{"\x0f\x32", 2},         /* rdmsr */
		{"\x0f\x30", 2},         /* wrmsr */
		{"\x0f\x33", 2},         /* rdpmc */
		{"\xfa", 1},             /* cli, IOPL is 0 */
		{"\xfb", 1},             /* sti */
		{"\xe4\x80", 2},         /* in al, 0x80: the TSS has no bitmap */
		{"\xef", 1},             /* out dx, eax */
		{"\x6c", 1},             /* insb */
		{"\x6e", 1},             /* outsb */
	};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < sizeof(insns) / sizeof(insns[0]); i++) {
		to_user(b);
		b->cpu->gpr[X86_RBX] = DATA;
		run_bytes(b, insns[i].bytes, insns[i].len, 100);
		assert_handler(b, X86_GP);
		assert_int_equal(get64(b, b->cpu->gpr[X86_RSP]), 0);
		assert_int_equal(get64(b, b->cpu->gpr[X86_RSP] + 8), CODE);
	}
}

static void cr_access_exits_and_cr3_loads_are_counted(void **state)
{
	struct x86_box *b = *state;
	uint64_t before = exits(b, UMBRA_EXIT_cr_access);

	/* mov rax, cr0; mov cr0, rax; mov rax, cr4; mov cr4, rax; mov rax, cr3; mov cr3, rax */
	RUN(b, "\x0f\x20\xc0\x0f\x22\xc0\x0f\x20\xe0\x0f\x22\xe0\x0f\x20\xd8\x0f\x22\xd8");
	assert_false(b->cpu->ended);
	assert_int_equal(exits(b, UMBRA_EXIT_cr_access), before + 2); /* EPT: CR3 does not exit */
	assert_int_equal(hw_public(b->box.hw)->counters.guest_cr3_loads[0], 1);
	b->cpu->gpr[X86_RBX] = DATA;
	RUN(b, "\x0f\x01\x3b"); /* invlpg [rbx] */
	assert_int_equal(hw_public(b->box.hw)->counters.guest_invlpgs[0], 1);
}

/* Tables for the first 2 MiB at @root, each in the page after the one before. */
static void put_identity_tables(struct x86_box *b, uint64_t root)
{
	put64(b, root, (root + 0x1000) | PTE_P | PTE_W);
	put64(b, root + 0x1000, (root + 0x2000) | PTE_P | PTE_W);
	put64(b, root + 0x2000, PTE_P | PTE_W | PTE_PS);
}

static void long_mode_is_entered_as_the_manual_says(void **state)
{
	struct x86_box *b = *state;

	put_identity_tables(b, 0x40000);
	put(b, CODE + 0x100, "\x48\xb8\xef\xcd\xab\x90\x78\x56\x34\x12\xf4", 11); /* movabs rax */
	/* eax = cr4 | PAE; cr3; EFER.LME; cr0 | PG; jmp 0x08:CODE + 0x100 */
	RUN(b, "\xb8\x20\x00\x00\x00\x0f\x22\xe0"
	       "\xb8\x00\x00\x04\x00\x0f\x22\xd8"
	       "\xb9\x80\x00\x00\xc0\x0f\x32\x0d\x00\x01\x00\x00\x0f\x30"
	       "\x0f\x20\xc0\x0d\x00\x00\x00\x80\x0f\x22\xc0"
	       "\xea\x00\x01\x01\x00\x08\x00");
	assert_false(b->cpu->ended);
	assert_int_equal(b->cpu->gpr[X86_RAX], 0x1234567890abcdef);
	assert_int_equal(b->cpu->efer, EFER_LME | EFER_LMA);
	assert_int_equal(b->cpu->code_mode, X86_CODE_64);
}

static void debug_registers_keep_values_and_refuse_wide_ones(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RAX] = 0x123456789abc;
	RUN(b, "\x0f\x23\xc0\x0f\x21\xc1"); /* mov dr0, rax; mov rcx, dr0 */
	assert_int_equal(b->cpu->gpr[X86_RCX], 0x123456789abc);
	RUN(b, "\x0f\x21\xf1"); /* mov rcx, dr6 */
	assert_int_equal(b->cpu->gpr[X86_RCX], 0xffff0ff0);
	b->cpu->gpr[X86_RAX] = 1ull << 32;
	RUN(b, "\x0f\x23\xf8"); /* mov dr7, rax */
	assert_handler(b, X86_GP);
}

static void sti_holds_interrupts_off_for_one_instruction(void **state)
{
	struct x86_box *b = *state;

	RUN_ONE(b, "\xfb");
	assert_true(b->cpu->interrupt_shadow);
	assert_true(b->cpu->rflags & RFLAGS_IF);
	RUN_ONE(b, "\xfb"); /* the flag was set already */
	assert_false(b->cpu->interrupt_shadow);
	RUN_ONE(b, "\xfa");
	assert_false(b->cpu->rflags & RFLAGS_IF);
	b->cpu->gpr[X86_RAX] = KERNEL_DATA;
	RUN_ONE(b, "\x8e\xd0"); /* mov ss, eax */
	assert_true(b->cpu->interrupt_shadow);
	RUN_ONE(b, "\x90");
	assert_false(b->cpu->interrupt_shadow);
}

static void iopl_and_the_tss_bitmap_decide_about_ports(void **state)
{
	struct x86_box *b = *state;
	const uint16_t map_base = 0x68;

	put(b, TSS + 0x66, &map_base, sizeof(map_base));
	put64(b, TSS + 0x68 + 0xe0 / 8, 0xfffffffffffffffe); /* port 0xe0 alone */
	b->cpu->tr.limit = 0x68 + 0xe0 / 8 + 7;
	to_user(b);
	RUN_ONE(b, "\xe4\xe0"); /* in al, 0xe0 */
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 2);
	assert_int_equal(b->cpu->gpr[X86_RAX] & 0xff, 0xff); /* nobody is there */
	RUN(b, "\x66\xe5\xe0");                              /* in ax, 0xe0: 0xe1 as well */
	assert_handler(b, X86_GP);
	to_user(b);
	b->cpu->gpr[X86_RDX] = 0x3f8; /* beyond the limit */
	RUN(b, "\xec");
	assert_handler(b, X86_GP);
	to_user(b);
	x86_set_flags(b->cpu, RFLAGS_IOPL);
	b->cpu->gpr[X86_RDX] = 0x3fd;
	RUN_ONE(b, "\xec");
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 1);
}

static void in_replaces_as_much_of_rax_as_it_reads(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RAX] = 0;
	RUN(b, "\xe4\xe0");
	assert_int_equal(b->cpu->gpr[X86_RAX], 0xff);
	b->cpu->gpr[X86_RAX] = 1ull << 63;
	RUN(b, "\x66\xe5\xe0");
	assert_int_equal(b->cpu->gpr[X86_RAX], 1ull << 63 | 0xffff);
	RUN(b, "\xe5\xe0");
	assert_int_equal(b->cpu->gpr[X86_RAX], 0xffffffff);
}

static void rep_ins_and_outs_retire_once_and_exit_each_time(void **state)
{
	struct x86_box *b = *state;
	uint64_t before = exits(b, UMBRA_EXIT_io_instruction);
	uint64_t instructions, steps;

	b->cpu->gpr[X86_RDX] = 0xe0;
	b->cpu->gpr[X86_RCX] = 3;
	b->cpu->gpr[X86_RDI] = DATA;
	put64(b, DATA, 0);
	instructions = b->cpu->instructions;
	steps = b->cpu->steps;
	RUN(b, "\xf3\x66\x6d"); /* rep insw */
	assert_completed(b, "\xf3\x66\x6d");
	assert_int_equal(b->cpu->instructions - instructions, 2); /* with HLT */
	assert_int_equal(b->cpu->steps - steps, 4);
	assert_int_equal(exits(b, UMBRA_EXIT_io_instruction), before + 3);
	assert_int_equal(get64(b, DATA), 0xffffffffffff);
	assert_int_equal(b->cpu->gpr[X86_RCX], 0);
	assert_int_equal(b->cpu->gpr[X86_RDI], DATA + 6);

	b->cpu->gpr[X86_RCX] = 0;
	RUN(b, "\xf3\x6e"); /* rep outsb, nothing to do */
	assert_completed(b, "\xf3\x6e");
	assert_int_equal(exits(b, UMBRA_EXIT_io_instruction), before + 3);
	b->cpu->gpr[X86_RCX] = 2;
	b->cpu->gpr[X86_RSI] = 0x7000000fff - 1;
	b->cpu->gpr[X86_RDI] = 0x7000000000;
	RUN(b, "\xf3\x6e"); /* the page is not there */
	assert_handler(b, X86_PF);
	assert_int_equal(b->cpu->gpr[X86_RCX], 2);
}

static void the_debug_exit_retires_and_ends_the_guest(void **state)
{
	struct x86_box *b = *state;
	uint64_t instructions = b->cpu->instructions;

	RUN(b, "\xb0\x07\xe6\xf4"); /* mov al, 7; out 0xf4, al */
	assert_true(b->cpu->ended);
	assert_int_equal(b->cpu->end.reason, UMBRA_END_DEBUG_EXIT);
	assert_int_equal(b->cpu->end.value, 7);
	assert_int_equal(b->cpu->end.rip, CODE + 2);
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 4);
	assert_int_equal(b->cpu->instructions - instructions, 2);
}

static void table_registers_are_loaded_and_stored(void **state)
{
	struct x86_box *b = *state;
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) table = {0x1234, 0xffffffff80001000};

	put(b, DATA, &table, sizeof(table));
	b->cpu->gpr[X86_RBX] = DATA;
	RUN(b, "\x0f\x01\x1b\x0f\x01\x4b\x20"); /* lidt [rbx]; sidt [rbx+32] */
	assert_completed(b, "\x0f\x01\x1b\x0f\x01\x4b\x20");
	assert_int_equal(b->cpu->idtr.base, table.base);
	assert_int_equal(b->cpu->idtr.limit, table.limit);
	assert_int_equal(get64(b, DATA + 32), get64(b, DATA));
	assert_int_equal(get64(b, DATA + 34), table.base);
	b->cpu->idtr = (struct x86_table_register){IDT, 0xfff};
	put64(b, DATA + 2, 1ull << 60);
	RUN(b, "\x0f\x01\x1b");
	assert_handler(b, X86_GP);
	assert_int_equal(b->cpu->idtr.base, IDT);
}

static void lgdt_with_16_bit_operands_takes_24_bits_of_base(void **state)
{
	struct x86_box *b = *state;

	put64(b, DATA, 0xab123456ull << 16 | 0x77);
	b->cpu->gpr[X86_RBX] = DATA;
	RUN(b, "\x0f\x01\x13"); /* lgdt [ebx] */
	assert_int_equal(b->cpu->gdtr.base, 0xab123456);
	RUN(b, "\x66\x0f\x01\x13");
	assert_int_equal(b->cpu->gdtr.base, 0x123456);
	assert_int_equal(b->cpu->gdtr.limit, 0x77);
}

static void into_interrupts_on_overflow_only(void **state)
{
	struct x86_box *b = *state;

	x86_set_flags(b->cpu, 0);
	RUN(b, "\xce");
	assert_completed(b, "\xce");
	x86_set_flags(b->cpu, RFLAGS_OF);
	RUN(b, "\xce");
	assert_handler(b, X86_OF);
	assert_int_equal(get32(b, b->cpu->gpr[X86_RSP]), CODE + 1);
}

#define TEST_64(f) cmocka_unit_test_setup_teardown(f, setup_64, teardown)
#define TEST_32(f) cmocka_unit_test_setup_teardown(f, setup_32, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_64(system_instructions_are_for_the_kernel),
		TEST_64(cr_access_exits_and_cr3_loads_are_counted),
		TEST_32(long_mode_is_entered_as_the_manual_says),
		TEST_64(debug_registers_keep_values_and_refuse_wide_ones),
		TEST_64(sti_holds_interrupts_off_for_one_instruction),
		TEST_64(iopl_and_the_tss_bitmap_decide_about_ports),
		TEST_64(in_replaces_as_much_of_rax_as_it_reads),
		TEST_64(rep_ins_and_outs_retire_once_and_exit_each_time),
		TEST_64(the_debug_exit_retires_and_ends_the_guest),
		TEST_64(table_registers_are_loaded_and_stored),
		TEST_32(lgdt_with_16_bit_operands_takes_24_bits_of_base),
		TEST_32(into_interrupts_on_overflow_only),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
