/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Near branches and the stack, in 64-bit mode and on 32-bit stacks. */
#include "x86_fixture.h"

static void create(struct box *box)
{
	box_create(box, UMBRA_MODE_BARE, UMBRA_CLOCK_INSTRUCTIONS);
}

/* Compatibility mode, flat. */
static void create_32(struct box *box)
{
	create(box);
	box->cpu->segment[X86_CS].rights = 0xc09b;
	box->cpu->segment[X86_SS].rights = 0xc093;
	x86_update_code_mode(box->cpu);
	assert_int_equal(box->cpu->code_mode, X86_CODE_COMPAT_32);
}

static void test_call_and_ret_leave_the_stack_as_it_was(void **state)
{
	struct box box;

	create(&box);
	/* call +5; mov bl, 1; hlt; (target, 8) mov cl, 2; ret 16 */
	box_code(&box, 0xe8, 3, 0, 0, 0, 0xb3, 1, 0xf4, 0xb1, 2, 0xc2, 16, 0);
	box_run(&box, 1);
	assert_int_equal(box.cpu->gpr[X86_RIP], CODE + 8);
	assert_int_equal(box.cpu->gpr[X86_RSP], STACK - 8);
	assert_int_equal(box_read64(&box, STACK - 8), CODE + 5);
	box_run(&box, 2);
	assert_int_equal(box.cpu->gpr[X86_RSP], STACK + 16);
	assert_int_equal(box.cpu->gpr[X86_RIP], CODE + 5);
	box_destroy(&box);
}

static void test_call_and_jmp_take_targets_from_registers_and_memory(void **state)
{
	struct box box;

	create(&box);
	box_write64(&box, DATA + 8, CODE + 64);
	box_code(&box, 0xff, 0x53, 8); /* call [rbx + 8] */
	box.cpu->gpr[X86_RBX] = DATA;
	box_write(&box, CODE + 64, "\xff\xe1", 2); /* jmp rcx */
	box.cpu->gpr[X86_RCX] = CODE + 128;
	box_run(&box, 2);
	assert_int_equal(box.cpu->gpr[X86_RIP], CODE + 128);
	assert_int_equal(box_read64(&box, STACK - 8), CODE + 3);
	box_destroy(&box);
}

static void test_a_return_to_no_address_faults_before_the_stack_moves(void **state)
{
	struct box box;

	create(&box);
	box_code(&box, 0xc3);
	box_write64(&box, STACK, 0x1234567812345678);
	box_run(&box, 1); /* the handler's HLT */
	assert_int_equal(box.cpu->gpr[X86_RIP], box_handler(X86_GP) + 1);
	assert_int_equal(box_read64(&box, box.cpu->gpr[X86_RSP] + 8), CODE);
	assert_int_equal(box_read64(&box, box.cpu->gpr[X86_RSP] + 32), STACK);
	box_destroy(&box);
}

static void test_pushes_extend_and_pops_cut(void **state)
{
	struct box box;

	create(&box);
	box_code(&box, 0x6a, 0xfe,       /* push -2 */
		 0x68, 0, 0, 0, 0x80,    /* push 0xffffffff80000000 */
		 0x66, 0x68, 0x34, 0x12, /* push word 0x1234 */
		 0x54,                   /* push rsp */
		 0x59,                   /* pop rcx */
		 0x66, 0x5a,             /* pop dx */
		 0x41, 0x58,             /* pop r8 */
		 0x8f, 0x44, 0x24, 0x10, /* pop [rsp + 16], RSP after the pop */
		 0xf4);
	box.cpu->gpr[X86_RDX] = 0x5555555555555555;
	box_run(&box, 100);
	assert_int_equal(box.cpu->gpr[X86_RCX], STACK - 18);
	assert_int_equal(box.cpu->gpr[X86_RDX], 0x5555555555551234);
	assert_int_equal(box.cpu->gpr[X86_R8], 0xffffffff80000000);
	assert_int_equal(box_read64(&box, STACK + 16), (uint64_t)-2);
	assert_int_equal(box.cpu->gpr[X86_RSP], STACK);
	box_destroy(&box);
}

static void test_enter_and_leave_make_and_drop_a_frame(void **state)
{
	struct box box;

	create(&box);
	box_code(&box, 0xc8, 0x40, 0, 0, 0x90, 0xc9, 0xf4); /* enter 64, 0; nop; leave */
	box.cpu->gpr[X86_RBP] = 0x1122334455667788;
	box_run(&box, 1);
	assert_int_equal(box.cpu->gpr[X86_RBP], STACK - 8);
	assert_int_equal(box.cpu->gpr[X86_RSP], STACK - 8 - 64);
	box_run(&box, 2);
	assert_int_equal(box.cpu->gpr[X86_RBP], 0x1122334455667788);
	assert_int_equal(box.cpu->gpr[X86_RSP], STACK);
	box_destroy(&box);
}

static void test_loops_count_in_the_address_size(void **state)
{
	struct box box;

	create(&box);
	box_code(&box, 0xff, 0xc0, 0x67, 0xe2, 0xfb, 0xf4); /* inc eax; loop with ecx */
	box.cpu->gpr[X86_RCX] = 0x500000003;
	box_run(&box, 100);
	assert_int_equal(box.cpu->gpr[X86_RAX], 3);
	assert_int_equal(box.cpu->gpr[X86_RCX], 0);
	box_destroy(&box);

	create(&box);
	/* cmp eax, 2; inc eax (keeps ZF apart: lea); loopne */
	box_code(&box, 0x8d, 0x40, 1, 0x83, 0xf8, 5, 0xe0, 0xf8, 0xf4);
	box.cpu->gpr[X86_RCX] = 100;
	box_run(&box, 1000);
	assert_int_equal(box.cpu->gpr[X86_RAX], 5);
	assert_int_equal(box.cpu->gpr[X86_RCX], 95);
	box_destroy(&box);

	create(&box);
	box_code(&box, 0x67, 0xe3, 2, 0xb0, 1, 0xf4); /* jecxz over mov al, 1 */
	box.cpu->gpr[X86_RCX] = 0x100000000;
	box_run(&box, 100);
	assert_int_equal(box.cpu->gpr[X86_RAX], 0);
	box_destroy(&box);
}

static void test_pusha_and_popa_carry_all_registers(void **state)
{
	struct box box;

	create_32(&box);
	box_code(&box, 0x60, 0x31, 0xc0, 0x31, 0xdb, 0x61, 0xf4); /* clears eax, ebx between */
	for (unsigned i = 0; i < 8; i++)
		if (i != X86_RSP)
			box.cpu->gpr[i] = 0x1000 + i;
	box_run(&box, 1);
	assert_int_equal(box.cpu->gpr[X86_RSP], STACK - 32);
	assert_int_equal((uint32_t)box_read64(&box, STACK - 4), 0x1000);
	assert_int_equal((uint32_t)box_read64(&box, STACK - 20), STACK);
	box_run(&box, 3);
	assert_int_equal(box.cpu->gpr[X86_RSP], STACK);
	assert_int_equal(box.cpu->gpr[X86_RAX], 0x1000);
	assert_int_equal(box.cpu->gpr[X86_RBX], 0x1003);
	box_destroy(&box);
}

static void test_a_32_bit_branch_wraps_and_keeps_to_its_segment(void **state)
{
	struct box box;

	create_32(&box);
	box_code(&box, 0xe9, 0xf0, 0xff, 0xfe, 0xff); /* jmp to a negative offset's low half */
	box_run(&box, 1);
	assert_int_equal(box.cpu->gpr[X86_RIP], (uint32_t)(CODE + 5 - 0x10010));
	box_destroy(&box);

	create_32(&box);
	box.cpu->segment[X86_CS].limit = CODE + 5;
	box_code(&box, 0x90, 0xeb, 0x10); /* nop; jmp beyond the limit: #GP by the jump */
	box_run(&box, 1);
	assert_int_equal(box.cpu->gpr[X86_RIP], CODE + 1);
	box_run(&box, 1);
	assert_int_equal(box.cpu->code_mode, X86_CODE_64); /* in the handler */
	assert_int_equal(box_read64(&box, box.cpu->gpr[X86_RSP] + 8), CODE + 1);
	box_destroy(&box);
}

static void test_a_32_bit_operand_keeps_to_its_segment(void **state)
{
	struct box box;

	create_32(&box);
	box.cpu->segment[X86_DS].limit = 0xfff;
	box.cpu->segment[X86_DS].base = DATA;
	box_code(&box, 0x8b, 0x03, 0x8b, 0x01); /* mov eax, [ebx]; mov eax, [ecx] */
	box_write64(&box, DATA + 0xffc, 0x11223344);
	box.cpu->gpr[X86_RBX] = 0xffc;
	box.cpu->gpr[X86_RCX] = 0xffd;
	box_run(&box, 1);
	assert_int_equal(box.cpu->gpr[X86_RAX], 0x11223344);
	box_run(&box, 1);
	assert_int_equal(box.cpu->gpr[X86_RIP], box_handler(X86_GP) + 1);
	box_destroy(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call_and_ret_leave_the_stack_as_it_was),
		cmocka_unit_test(test_call_and_jmp_take_targets_from_registers_and_memory),
		cmocka_unit_test(test_a_return_to_no_address_faults_before_the_stack_moves),
		cmocka_unit_test(test_pushes_extend_and_pops_cut),
		cmocka_unit_test(test_enter_and_leave_make_and_drop_a_frame),
		cmocka_unit_test(test_loops_count_in_the_address_size),
		cmocka_unit_test(test_pusha_and_popa_carry_all_registers),
		cmocka_unit_test(test_a_32_bit_branch_wraps_and_keeps_to_its_segment),
		cmocka_unit_test(test_a_32_bit_operand_keeps_to_its_segment),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
