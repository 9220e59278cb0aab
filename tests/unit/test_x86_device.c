/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loads and stores in the memory of devices: the local APIC, whose registers are known. */
#include "paging/entry.h"
#include "x86_fixture.h"

#define APIC 0x1f0000ull /* where the guest maps it; the page before it is RAM */
#define TPR  0x80

/* Moves the APIC's address into RBX: 10 bytes. */
#define RBX_IS_APIC 0x48, 0xbb, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x00, 0x00, 0x00

static const enum umbra_mode modes[] = {UMBRA_MODE_BARE, UMBRA_MODE_SHADOW, UMBRA_MODE_EPT};
static const enum umbra_exit_reason exits[] = {
	[UMBRA_MODE_SHADOW] = UMBRA_EXIT_page_fault,
	[UMBRA_MODE_EPT] = UMBRA_EXIT_ept_misconfiguration,
};

static void create(struct box *box, enum umbra_mode mode)
{
	box_create(box, mode, UMBRA_CLOCK_INSTRUCTIONS);
	box_write64(box, PT + (APIC >> 12) * 8, 0xfee00000 | PTE_P | PTE_W | PTE_U);
}

static uint32_t reg(struct box *box, uint32_t offset)
{
	return (uint32_t)machine_mmio_read(box->machine, 0, 0xfee00000 + offset, 4,
					   x86_time(box->cpu));
}

static uint64_t data_lookups(const struct box *box)
{
	struct umbra_counters c;

	hw_counters(box->hw, &c);
	return c.tlb_lookups[UMBRA_ACCESS_data];
}

static void test_loads_and_stores_reach_the_device(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		struct box box;

		create(&box, modes[i]);
		box.cpu->cr4 |= 1u << 9;                           /* OSFXSR */
		box_code(&box, RBX_IS_APIC, 0x8b, 0x43, 0x30,      /* mov eax, [rbx + 30h] */
			 0xc7, 0x83, 0x80, 0, 0, 0, 0x25, 0, 0, 0, /* mov [rbx + 80h], 25h */
			 0x48, 0x8b, 0x93, 0x80, 0, 0, 0,          /* mov rdx, [rbx + 80h] */
			 0xf3, 0x0f, 0x6f, 0x43, 0x30,             /* movdqu xmm0, [rbx + 30h] */
			 0xf4);
		box_run(&box, 100);
		assert_true(box.cpu->halted);
		assert_int_equal(box.cpu->gpr[X86_RAX], 0x01050014);
		assert_int_equal(reg(&box, TPR), 0x25);
		assert_int_equal(box.cpu->gpr[X86_RDX], 0x25);
		assert_int_equal(box.cpu->xmm[0].u64[0], 0x01050014);
		assert_int_equal(data_lookups(&box), 4);
		box_destroy(&box);
	}
}

static void test_a_read_modify_write_is_one_look_up_and_one_exit(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		const struct umbra_counters *c;
		struct box box;
		uint64_t before;

		create(&box, modes[i]);
		c = &hw_public(box.hw)->counters;
		/* or dword [rbx + 80h], 20h twice; add [rbx + 80h], eax */
		box_code(&box, RBX_IS_APIC, 0x83, 0x8b, 0x80, 0, 0, 0, 0x20, 0x83, 0x8b, 0x80, 0, 0,
			 0, 0x41, 0x01, 0x83, 0x80, 0, 0, 0, 0xf4);
		box.cpu->gpr[X86_RAX] = 2;
		box_run(&box, 2);
		assert_int_equal(reg(&box, TPR), 0x20);
		assert_int_equal(data_lookups(&box), 1);
		before = modes[i] == UMBRA_MODE_BARE ? 0 : c->exits[exits[modes[i]]];
		box_run(&box, 100);
		assert_int_equal(reg(&box, TPR), 0x63);
		assert_int_equal(data_lookups(&box), 3);
		if (modes[i] != UMBRA_MODE_BARE)
			assert_int_equal(c->exits[exits[modes[i]]], before + 2);
		box_destroy(&box);
	}
}

/* The timer shows the time of each access: that of its own instruction, not of its block. */
static void test_an_access_happens_at_the_time_of_its_instruction(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned cut = 0; cut < 9; cut++) {
			struct box box;

			create(&box, modes[i]);
			machine_mmio_write(box.machine, 0, 0xfee003e0, 4, 0xb, 0); /* by 1 */
			box_code(&box, RBX_IS_APIC, 0x90,                          /* 0, 1 */
				 0xc7, 0x83, 0x80, 3, 0, 0, 0, 1, 0, 0, /* 2: initial count */
				 0x90, 0x90, 0x90,                      /* 3, 4, 5 */
				 0x8b, 0x83, 0x90, 3, 0, 0,             /* 6: mov eax, count */
				 0x90, 0xf4);
			box_run(&box, cut);
			box_run(&box, 100);
			assert_true(box.cpu->halted);
			assert_int_equal(box.cpu->gpr[X86_RAX], 0x100 - 4);
			box_destroy(&box);
		}
	}
}

static void test_an_interrupt_comes_before_the_next_instruction(void **state)
{
	struct box box;

	create(&box, UMBRA_MODE_EPT);
	box_code(&box, RBX_IS_APIC, 0xfb, 0x90, 0x90,       /* sti, nop, nop */
		 0xc7, 0x83, 0, 3, 0, 0, 0x40, 0, 4, 0,     /* self IPI */
		 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0xf4); /* inc rax twice */
	box_run(&box, 100);
	assert_int_equal(box.cpu->gpr[X86_RIP], box_handler(0x40) + 1);
	assert_int_equal(box.cpu->gpr[X86_RAX], 0);
	assert_int_equal(box_read64(&box, box.cpu->gpr[X86_RSP]), CODE + 23);
	box_destroy(&box);
}

static void test_a_timer_set_in_a_block_interrupts_in_it(void **state)
{
	struct box box;

	create(&box, UMBRA_MODE_EPT);
	machine_mmio_write(box.machine, 0, 0xfee003e0, 4, 0xb, 0);
	machine_mmio_write(box.machine, 0, 0xfee00320, 4, 0x50, 0);
	box_code(&box, RBX_IS_APIC, 0xfb, 0x90,         /* sti, nop */
		 0xc7, 0x83, 0x80, 3, 0, 0, 3, 0, 0, 0, /* three more */
		 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0xf4);
	box_run(&box, 100);
	assert_int_equal(box.cpu->gpr[X86_RIP], box_handler(0x50) + 1);
	/* The store is at time 3 and itself takes one. */
	assert_int_equal(box.cpu->gpr[X86_RAX], 2);
	box_destroy(&box);
}

static void test_an_operand_across_the_edge_has_a_part_of_each(void **state)
{
	struct box box;

	create(&box, UMBRA_MODE_EPT);
	box_write(&box, APIC - 4, "\x11\x22\x33\x44", 4);
	/* mov rax, [rbx - 4]: RAM, then a register that is reserved; mov [rbx - 4], rcx */
	box_code(&box, RBX_IS_APIC, 0x48, 0x8b, 0x43, 0xfc, 0x48, 0x89, 0x4b, 0xfc, 0xf4);
	box.cpu->gpr[X86_RCX] = 0x5566778899aabbcc;
	box_run(&box, 100);
	assert_int_equal(box.cpu->gpr[X86_RAX], 0x44332211);
	assert_int_equal(box_read64(&box, APIC - 8) >> 32, 0x99aabbcc);
	box_destroy(&box);
}

static void test_repeated_moves_step_through_registers(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		struct box box;

		create(&box, modes[i]);
		/* From RAM over the edge into the APIC: a time of its own for each iteration. */
		box_code(&box, RBX_IS_APIC, 0x48, 0x8d, 0x73, 0xf0, /* lea rsi, [rbx - 16] */
			 0xbf, 0, 0, 0x20, 0,                       /* mov edi, DATA */
			 0xb9, 16, 0, 0, 0,                         /* mov ecx, 16 */
			 0xfc, 0xf3, 0xa5, 0xf4);                   /* rep movsd */
		box_run(&box, 100);
		assert_true(box.cpu->halted);
		assert_int_equal(box.cpu->gpr[X86_RCX], 0);
		assert_int_equal(box_read64(&box, DATA + 0x38) & UINT32_MAX, 0);
		assert_int_equal(box.cpu->steps, 5 + 16 + 1);
		box_destroy(&box);
	}
}

static void test_a_read_only_mapping_faults_and_writes_nothing(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		struct box box;

		create(&box, modes[i]);
		box.cpu->cr0 |= 1u << 16; /* WP */
		box_write64(&box, PT + (APIC >> 12) * 8, 0xfee00000 | PTE_P | PTE_U);
		assert_int_equal(
			hw_paging_changed(box.hw, &(struct hw_paging){.cr0 = box.cpu->cr0,
								      .cr3 = box.cpu->cr3,
								      .cr4 = box.cpu->cr4,
								      .efer = box.cpu->efer}),
			0);
		box_code(&box, RBX_IS_APIC, 0x8b, 0x43, 0x30, 0xc7, 0x83, 0x80, 0, 0, 0, 0x25, 0, 0,
			 0, 0xf4);
		box_run(&box, 100);
		assert_int_equal(box.cpu->gpr[X86_RIP], box_handler(14) + 1);
		assert_int_equal(box.cpu->cr2, APIC + TPR);
		assert_int_equal(box.cpu->gpr[X86_RAX], 0x01050014);
		assert_int_equal(reg(&box, TPR), 0);
		box_destroy(&box);
	}
}

/* SDM 3A 10.4.5: the base in IA32_APIC_BASE can be changed; what was there before is forgotten. */
static void test_the_apic_moves_to_where_its_base_msr_says(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		struct box box;

		create(&box, modes[i]);
		box_write64(&box, PT + ((APIC >> 12) + 1) * 8, 0xfed40000 | PTE_P | PTE_W | PTE_U);
		box_code(&box, RBX_IS_APIC, 0x8b, 0xab, 0x30, 0x10, 0,
			 0, /* mov ebp, [rbx + 1030h] */
			 0xb9, 0x1b, 0, 0, 0, 0xb8, 0x00, 0x09, 0xd4, 0xfe, 0x31,
			 0xd2,                                        /* EAX:EDX */
			 0x0f, 0x30,                                  /* wrmsr */
			 0x8b, 0x83, 0x30, 0x10, 0, 0,                /* mov eax, [rbx + 1030h] */
			 0x8b, 0x73, 0x30,                            /* mov esi, [rbx + 30h] */
			 0xc7, 0x83, 0x80, 0x10, 0, 0, 0x25, 0, 0, 0, /* mov [rbx + 1080h], 25h */
			 0xf4);
		box_run(&box, 100);
		assert_true(box.cpu->halted);
		assert_int_equal(box.cpu->gpr[X86_RBP], UINT32_MAX);
		assert_int_equal(box.cpu->gpr[X86_RAX], 0x01050014);
		assert_int_equal(box.cpu->gpr[X86_RSI], UINT32_MAX);
		assert_int_equal(machine_tpr(box.machine, 0), 2);
		box_destroy(&box);
	}
}

/* The MMU has room for each APIC's page, not for all that they ever were in. */
static void test_the_apic_can_be_moved_again_and_again(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		struct box box;

		create(&box, modes[i]);
		box.cpu->gpr[X86_RDI] = 100;
		box_code(&box, 0xb9, 0x1b, 0, 0, 0, 0xb8, 0x00, 0x09, 0xd4, 0xfe, 0x31, 0xd2, 0x05,
			 0x00, 0x10, 0x00, 0x00,                   /* add eax, 1000h */
			 0x0f, 0x30, 0xff, 0xcf, 0x75, 0xf5,       /* wrmsr; dec edi; jnz */
			 0xb8, 0x00, 0x09, 0xe0, 0xfe, 0x0f, 0x30, /* back */
			 RBX_IS_APIC, 0x8b, 0x43, 0x30, 0xf4);
		box_run(&box, 1000);
		assert_true(box.cpu->halted);
		assert_int_equal(box.cpu->gpr[X86_RAX], 0x01050014);
		box_destroy(&box);
	}
}

static void test_an_apic_over_ram_ends_the_guest(void **state)
{
	struct box box;

	create(&box, UMBRA_MODE_EPT);
	box_code(&box, 0xb9, 0x1b, 0, 0, 0, 0xb8, 0x00, 0x09, 0x01, 0x00, 0x31, 0xd2, 0x0f, 0x30);
	box_run(&box, 100);
	assert_int_equal(box.cpu->end.reason, UMBRA_END_ERROR);
	assert_string_equal(box.cpu->end.text,
			    "a local APIC at 0x10000 (IA32_APIC_BASE), over RAM, "
			    "is not in this build");
	box_destroy(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loads_and_stores_reach_the_device),
		cmocka_unit_test(test_a_read_modify_write_is_one_look_up_and_one_exit),
		cmocka_unit_test(test_an_access_happens_at_the_time_of_its_instruction),
		cmocka_unit_test(test_an_interrupt_comes_before_the_next_instruction),
		cmocka_unit_test(test_a_timer_set_in_a_block_interrupts_in_it),
		cmocka_unit_test(test_an_operand_across_the_edge_has_a_part_of_each),
		cmocka_unit_test(test_repeated_moves_step_through_registers),
		cmocka_unit_test(test_a_read_only_mapping_faults_and_writes_nothing),
		cmocka_unit_test(test_the_apic_moves_to_where_its_base_msr_says),
		cmocka_unit_test(test_the_apic_can_be_moved_again_and_again),
		cmocka_unit_test(test_an_apic_over_ram_ends_the_guest),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
