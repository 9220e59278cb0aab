/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The run loop: where it stops, what it counts, what code that changes itself executes. */
#include "x86_fixture.h"

#include "x86/decode.h"

#define HLT 0xf4

static uint64_t instruction_lookups(const struct box *box)
{
	struct umbra_counters c;

	hw_counters(box->hw, &c);
	return c.tlb_lookups[UMBRA_ACCESS_instruction];
}

static uint64_t data_lookups(const struct box *box)
{
	struct umbra_counters c;

	hw_counters(box->hw, &c);
	return c.tlb_lookups[UMBRA_ACCESS_data];
}

static void create(struct box *box)
{
	box_create(box, UMBRA_MODE_EPT, UMBRA_CLOCK_INSTRUCTIONS);
}

static void expect_halt(struct box *box)
{
	box_run(box, 1000000);
	assert_false(box->cpu->ended);
	assert_true(box->cpu->halted);
}

/* The guest halted in the handler of @vector, entered with or without error code. */
static void expect_fault(struct box *box, unsigned vector, bool has_code, uint64_t rip)
{
	uint64_t frame;

	expect_halt(box);
	assert_int_equal(box->cpu->gpr[X86_RIP], box_handler(vector) + 1);
	frame = box->cpu->gpr[X86_RSP] + (has_code ? 8 : 0);
	assert_int_equal(box_read64(box, frame), rip);
}

static void counting_loop(struct box *box)
{
	box_code(box, 0x48, 0xff, 0xc0,       /* 0: inc rax */
		 0x48, 0x01, 0xc3,            /* 3: add rbx, rax */
		 0x48, 0x8d, 0x4c, 0x19, 0x7, /* 6: lea rcx, [rcx + rbx + 7] */
		 0xeb, 0xf3);                 /* 11: jmp 0 */
}

static void test_a_run_stops_at_the_very_instruction(void **state)
{
	static const uint64_t offset[] = {0, 3, 6, 11};
	struct box box;

	create(&box);
	counting_loop(&box);
	for (uint64_t n = 1, total = 0; n < 200; n += 7) {
		box_run(&box, n);
		total += n;
		assert_int_equal(box.cpu->instructions, total);
		assert_int_equal(box.cpu->gpr[X86_RIP], CODE + offset[total % 4]);
	}
	box_destroy(&box);
}

static void test_time_under_the_instructions_clock_stops_at_the_very_instruction(void **state)
{
	struct box box;

	create(&box);
	counting_loop(&box);
	for (uint64_t until = 1; until < 300; until += 13) {
		x86_run(box.cpu, until, UINT64_MAX, &box.stop);
		assert_int_equal(x86_time(box.cpu), until);
		assert_int_equal(box.cpu->instructions, until);
	}
	box_destroy(&box);
}

static void test_each_instruction_is_one_lookup_however_a_run_is_cut(void **state)
{
	struct box whole, cut;

	create(&whole);
	counting_loop(&whole);
	box_run(&whole, 1000);
	assert_int_equal(instruction_lookups(&whole), 1000);

	create(&cut);
	counting_loop(&cut);
	for (unsigned i = 0; i < 1000; i++)
		box_run(&cut, 1);
	assert_int_equal(instruction_lookups(&cut), 1000);
	assert_memory_equal(whole.cpu->gpr, cut.cpu->gpr, sizeof(cut.cpu->gpr));
	box_destroy(&whole);
	box_destroy(&cut);
}

static void test_lookups_are_counted_by_the_size_of_the_page_however_a_run_is_cut(void **state)
{
	for (uint64_t cut = 1; cut <= 10000; cut *= 10) {
		struct umbra_counters c;
		struct box box;

		box_create(&box, UMBRA_MODE_BARE, UMBRA_CLOCK_INSTRUCTIONS);
		box_code(&box, 0xb9, 0xe8, 0x03, 0x00, 0x00, /* mov ecx, 1000 */
			 0xff, 0xe3);                        /* jmp rbx */
		/* dec ecx; jz to the hlt; jmp rdx; hlt: in a page of 2M */
		box_write(&box, DATA, "\xff\xc9\x74\x02\xff\xe2\xf4", 7);
		box.cpu->gpr[X86_RBX] = DATA;
		box.cpu->gpr[X86_RDX] = CODE + 5;
		while (!box.cpu->halted)
			box_run(&box, cut);
		assert_int_equal(box.cpu->instructions, 4001);
		hw_counters(box.hw, &c);
		assert_int_equal(c.tlb_hits_by_size[UMBRA_TLB_HIT_l1_instruction_4k] +
					 c.tlb_misses_by_size[UMBRA_TLB_MISS_instruction_4k],
				 1001);
		assert_int_equal(c.tlb_hits_by_size[UMBRA_TLB_HIT_l1_instruction_2m] +
					 c.tlb_misses_by_size[UMBRA_TLB_MISS_instruction_2m],
				 3000);
		box_destroy(&box);
	}
}

static void test_an_instruction_in_two_pages_is_two_lookups(void **state)
{
	const uint8_t code[] = {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, HLT}; /* mov rax, imm64 */
	struct box box;

	for (unsigned before = 1; before < 10; before++) {
		create(&box);
		box_write(&box, CODE + PAGE_SIZE - before, code, sizeof(code));
		box.cpu->gpr[X86_RIP] = CODE + PAGE_SIZE - before;
		box_run(&box, 1);
		assert_int_equal(box.cpu->gpr[X86_RAX], 0x0807060504030201);
		assert_int_equal(instruction_lookups(&box), 2);
		expect_halt(&box);
		box_destroy(&box);
	}
}

static void test_a_fault_on_the_second_page_of_an_instruction_names_that_page(void **state)
{
	const uint8_t code[] = {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, HLT};
	uint64_t second = CODE + PAGE_SIZE;
	struct box box;

	create(&box);
	box_write(&box, second - 3, code, sizeof(code));
	box_write64(&box, PT + second / PAGE_SIZE * 8, 0);
	box.cpu->gpr[X86_RIP] = second - 3;
	expect_fault(&box, X86_PF, true, second - 3);
	assert_int_equal(box.cpu->cr2, second);
	box_destroy(&box);
}

static void test_code_written_by_the_instruction_before_it_is_executed_as_written(void **state)
{
	struct box box;

	create(&box);
	/* mov byte [rip + 1], 0x7f; mov al, 0x11 (becomes mov al, 0x7f); hlt */
	box_code(&box, 0xc6, 0x05, 1, 0, 0, 0, 0x7f, 0xb0, 0x11, HLT);
	expect_halt(&box);
	assert_int_equal(box.cpu->gpr[X86_RAX], 0x7f);
	assert_int_equal(box.cpu->instructions, 3);
	assert_int_equal(instruction_lookups(&box), 3);
	box_destroy(&box);
}

static void test_code_written_again_and_again_is_executed_as_written(void **state)
{
	struct box box;

	create(&box);
	box_code(&box,                      /* */
		 0x88, 0x0d, 0x01, 0, 0, 0, /* 0: mov [rip + 1], cl */
		 0xb0, 0x00,                /* 6: mov al, 0 */
		 0x48, 0x0f, 0xb6, 0xc0,    /* 8: movzx rax, al */
		 0x48, 0x01, 0xc2,          /* 12: add rdx, rax */
		 0xfe, 0xc9,                /* 15: dec cl */
		 0x75, 0xed,                /* 17: jnz 0 */
		 HLT);
	box.cpu->gpr[X86_RCX] = 200;
	expect_halt(&box);
	assert_int_equal(box.cpu->gpr[X86_RDX], 200 * 201 / 2);
	box_destroy(&box);
}

static void test_code_written_from_outside_is_executed_as_written(void **state)
{
	struct box box;

	create(&box);
	box_code(&box, 0xb0, 0x11, 0xeb, 0xfc); /* mov al, 0x11; jmp */
	box_run(&box, 10);
	box_write(&box, CODE + 1, "\x22", 1);
	box_run(&box, 2);
	assert_int_equal(box.cpu->gpr[X86_RAX], 0x22);
	box_destroy(&box);
}

static void test_a_rep_is_one_instruction_and_a_step_for_each_iteration(void **state)
{
	struct box box;
	uint64_t lookups;

	create(&box);
	box_code(&box, 0xf3, 0xa4, HLT); /* rep movsb */
	box.cpu->gpr[X86_RSI] = DATA;
	box.cpu->gpr[X86_RDI] = DATA + 0x3123;
	box.cpu->gpr[X86_RCX] = 10000;
	for (unsigned i = 0; i < 10000; i++)
		box_write(&box, DATA + i, &(uint8_t){(uint8_t)(i * 7)}, 1);
	box_run(&box, 1);
	assert_int_equal(box.cpu->instructions, 1);
	assert_int_equal(box.cpu->steps, 10000);
	assert_int_equal(box.cpu->gpr[X86_RCX], 0);
	lookups = data_lookups(&box);
	assert_int_equal(lookups, 20000);
	assert_int_equal(instruction_lookups(&box), 1);
	expect_halt(&box);
	box_destroy(&box);
}

static void test_a_rep_of_none_is_one_step(void **state)
{
	struct box box;

	create(&box);
	box_code(&box, 0xf3, 0xa4, HLT);
	box_run(&box, 1);
	assert_int_equal(box.cpu->steps, 1);
	assert_int_equal(data_lookups(&box), 0);
	box_destroy(&box);
}

static void test_a_rep_stops_between_the_iterations_that_time_says(void **state)
{
	struct box box;

	create(&box);
	box_code(&box, 0x90, 0xf3, 0xab, HLT); /* nop; rep stosd */
	box.cpu->gpr[X86_RDI] = DATA;
	box.cpu->gpr[X86_RCX] = 5000;
	for (uint64_t until = 1; until < 5001; until += 333) {
		x86_run(box.cpu, until, UINT64_MAX, &box.stop);
		assert_int_equal(box.cpu->steps, until);
		assert_int_equal(box.cpu->instructions, 1);
		assert_int_equal(box.cpu->gpr[X86_RCX], 5000 - (until - 1));
		assert_int_equal(box.cpu->gpr[X86_RIP], CODE + 1);
	}
	expect_halt(&box);
	assert_int_equal(instruction_lookups(&box), 3);
	assert_int_equal(data_lookups(&box), 5000);
	box_destroy(&box);
}

static void test_a_fault_in_a_rep_keeps_its_progress(void **state)
{
	struct box box;
	uint64_t missing = 0x50000;

	create(&box);
	box_write64(&box, PT + missing / PAGE_SIZE * 8, 0);
	box_code(&box, 0xf3, 0x48, 0xab, HLT); /* rep stosq */
	box.cpu->gpr[X86_RDI] = missing - 80;
	box.cpu->gpr[X86_RCX] = 100;
	box.cpu->gpr[X86_RAX] = 0x1122334455667788;
	expect_fault(&box, X86_PF, true, CODE);
	assert_int_equal(box.cpu->cr2, missing);
	assert_int_equal(box.cpu->gpr[X86_RDI], missing);
	assert_int_equal(box.cpu->gpr[X86_RCX], 90);
	assert_int_equal(box_read64(&box, missing - 8), 0x1122334455667788);
	assert_int_equal(box.cpu->instructions, 1); /* the handler's HLT */
	assert_int_equal(box.cpu->steps, 11);
	box_destroy(&box);
}

/* Every overlap of source and destination, both directions, against a copy byte by byte. */
static void test_movs_copies_element_by_element(void **state)
{
	static const struct {
		uint8_t bytes[3], length, size;
	} forms[] = {{{0xf3, 0xa4}, 2, 1},
		     {{0xf3, 0x66, 0xa5}, 3, 2},
		     {{0xf3, 0xa5}, 2, 4},
		     {{0xf3, 0x48, 0xa5}, 3, 8}};
	uint8_t want[512], got[512];
	struct box box;

	create(&box);
	for (unsigned f = 0; f < 4; f++) {
		for (int distance = -20; distance <= 20; distance++) {
			for (int down = 0; down < 2; down++) {
				unsigned size = forms[f].size, n = 64 / size;
				unsigned at = 200 + (down ? 64 - size : 0);
				uint64_t base = DATA + PAGE_SIZE - 250; /* ends in the next page */
				unsigned from = at, to = at + (unsigned)distance;

				for (unsigned i = 0; i < sizeof(want); i++)
					want[i] = (uint8_t)(i * 31 + f);
				box_write(&box, base, want, sizeof(want));
				box_write(&box, CODE, forms[f].bytes, forms[f].length);
				box_write(&box, CODE + forms[f].length, "\xf4", 1);
				for (unsigned i = 0; i < n; i++) {
					uint8_t element[8];
					int step = (int)(i * size) * (down ? -1 : 1);

					memcpy(element, want + from + step, size);
					memcpy(want + to + step, element, size);
				}
				box.cpu->gpr[X86_RSI] = base + from;
				box.cpu->gpr[X86_RDI] = base + to;
				box.cpu->gpr[X86_RCX] = n;
				box.cpu->gpr[X86_RIP] = CODE;
				box.cpu->halted = false;
				x86_set_flags(box.cpu, RFLAGS_ONE | (down ? RFLAGS_DF : 0));
				expect_halt(&box);
				assert_int_equal(memory_read(&box.memory, base, got, sizeof(got)),
						 0);
				assert_memory_equal(got, want, sizeof(want));
			}
		}
	}
	box_destroy(&box);
}

static void test_repe_and_repne_end_where_the_comparison_says(void **state)
{
	struct box box;

	create(&box);
	box_code(&box, 0xf2, 0xae, HLT); /* repne scasb */
	box_write(&box, DATA, "abcdefgh", 9);
	box.cpu->gpr[X86_RDI] = DATA;
	box.cpu->gpr[X86_RAX] = 'e';
	box.cpu->gpr[X86_RCX] = 100;
	expect_halt(&box);
	assert_int_equal(box.cpu->gpr[X86_RDI], DATA + 5);
	assert_int_equal(box.cpu->gpr[X86_RCX], 95);
	assert_int_equal(x86_flags(box.cpu) & RFLAGS_ZF, RFLAGS_ZF);
	box_destroy(&box);

	create(&box);
	box_code(&box, 0xf3, 0xa6, HLT); /* repe cmpsb */
	box_write(&box, DATA, "abcdefgh", 9);
	box_write(&box, DATA + 64, "abcxefgh", 9);
	box.cpu->gpr[X86_RSI] = DATA;
	box.cpu->gpr[X86_RDI] = DATA + 64;
	box.cpu->gpr[X86_RCX] = 8;
	expect_halt(&box);
	assert_int_equal(box.cpu->gpr[X86_RCX], 4);
	assert_int_equal(x86_flags(box.cpu) & (RFLAGS_ZF | RFLAGS_CF), RFLAGS_CF);
	box_destroy(&box);
}

static void test_a_push_that_faults_leaves_the_stack_pointer_alone(void **state)
{
	struct box box;
	uint64_t stack = 0x60000;

	create(&box);
	box_code(&box, 0xff, 0x33, HLT); /* push qword [rbx] */
	box.cpu->gpr[X86_RBX] = DATA;
	box.cpu->gpr[X86_RSP] = 0x8000000000000000 - 8; /* not canonical: #SS, and no stack */
	box_run(&box, 1);
	assert_true(box.cpu->ended);
	assert_int_equal(box.cpu->end.reason, UMBRA_END_TRIPLE_FAULT);
	box_destroy(&box);

	create(&box);
	box_write64(&box, PT + (stack / PAGE_SIZE - 1) * 8, 0);
	box_code(&box, 0x8f, 0x00, HLT); /* pop qword [rax], whose store faults */
	box_write64(&box, stack, 77);
	box.cpu->gpr[X86_RSP] = stack;
	box.cpu->gpr[X86_RAX] = stack - 64;
	/* The handler's frame would not fit either: give it the other half of memory. */
	box.cpu->gpr[X86_RSP] = DATA + 0x1000;
	expect_fault(&box, X86_PF, true, CODE);
	assert_int_equal(box.cpu->cr2, stack - 64);
	/* error code, rip, cs, rflags, rsp */
	assert_int_equal(box_read64(&box, box.cpu->gpr[X86_RSP] + 32), DATA + 0x1000);
	box_destroy(&box);
}

static void test_an_access_in_two_pages_writes_nothing_unless_it_may_write_both(void **state)
{
	uint64_t second = 0x51000;
	struct box box;

	create(&box);
	box_write64(&box, PT + second / PAGE_SIZE * 8,
		    second | PTE_P);           /* read only, CR0.WP below */
	box_code(&box, 0x48, 0x01, 0x03, HLT); /* add [rbx], rax */
	box_write64(&box, second - 4, 0x0101010101010101);
	box.cpu->cr0 |= CR0_WP;
	assert_int_equal(x86_update_paging(box.cpu), X86_LEAVE);
	box.cpu->gpr[X86_RBX] = second - 4;
	box.cpu->gpr[X86_RAX] = 0x0202020202020202;
	expect_fault(&box, X86_PF, true, CODE);
	assert_int_equal(box.cpu->cr2, second);
	assert_int_equal(box_read64(&box, second - 4), 0x0101010101010101);
	box_destroy(&box);
}

static void test_an_operand_in_two_pages_is_read_and_written_whole(void **state)
{
	uint64_t second = DATA + PAGE_SIZE;
	struct box box;

	for (unsigned before = 1; before < 8; before++) {
		create(&box);
		box_code(&box, 0x48, 0x01, 0x03, 0x48, 0x8b, 0x0b, 0x48, 0x89, 0x4b, 0x10,
			 HLT); /* add [rbx], rax; mov rcx, [rbx]; mov [rbx + 16], rcx */
		box_write64(&box, second - before, 0x1112131415161718);
		box.cpu->gpr[X86_RBX] = second - before;
		box.cpu->gpr[X86_RAX] = 0x0101010101010101;
		expect_halt(&box);
		assert_int_equal(box.cpu->gpr[X86_RCX], 0x1213141516171819);
		assert_int_equal(box_read64(&box, second - before), 0x1213141516171819);
		assert_int_equal(box_read64(&box, second - before + 16), 0x1213141516171819);
		assert_int_equal(data_lookups(&box), 5);
		box_destroy(&box);
	}
}

static void test_an_address_that_is_not_canonical_is_a_general_protection_fault(void **state)
{
	struct box box;

	create(&box);
	box_code(&box, 0x90, 0x8b, 0x03, HLT); /* nop; mov eax, [rbx] */
	box.cpu->gpr[X86_RBX] = 0x0000800000000000;
	expect_fault(&box, X86_GP, true, CODE + 1);
	box_destroy(&box);

	create(&box);
	box_code(&box, 0x90, 0xff, 0xe3); /* nop; jmp rbx: the jump faults, not its target */
	box.cpu->gpr[X86_RBX] = 0x0000800000000000;
	expect_fault(&box, X86_GP, true, CODE + 1);
	box_destroy(&box);
}

static void test_bytes_that_are_no_instruction_are_an_invalid_opcode(void **state)
{
	struct box box;

	create(&box);
	box_code(&box, 0x90, 0x06); /* nop; push es, which 64-bit mode lacks */
	expect_fault(&box, X86_UD, false, CODE + 1);
	box_destroy(&box);

	create(&box);
	box_code(&box, 0xf0, 0x89, 0x03); /* lock mov */
	box.cpu->gpr[X86_RBX] = DATA;
	expect_fault(&box, X86_UD, false, CODE);
	box_destroy(&box);

	create(&box);
	box_code(&box, 0x0f, 0x0b); /* ud2 */
	expect_fault(&box, X86_UD, false, CODE);
	box_destroy(&box);
}

/* No encoding leads there (test_x86_cpuid): what is offered is implemented. */
static void test_an_instruction_that_this_build_lacks_ends_the_guest_by_name(void **state)
{
	const struct x86_insn insn = {.mnemonic = ZYDIS_MNEMONIC_AESIMC, .length = 1};
	struct box box;

	create(&box);
	box_code(&box, 0x90);
	box_run(&box, 1);
	assert_int_equal(x86_exec_unimplemented(box.cpu, &insn), X86_FAULT);
	assert_true(box.cpu->ended);
	assert_int_equal(box.cpu->end.reason, UMBRA_END_UNIMPLEMENTED_OPCODE);
	assert_string_equal(box.cpu->end.cpu_mode, "64-bit");
	assert_string_equal(box.cpu->end.text,
			    "aesimc (90 at 0x10000, 64-bit mode) is not implemented");
	box_destroy(&box);
}

static void test_a_divide_error_is_delivered_with_the_registers_as_they_were(void **state)
{
	struct box box;

	create(&box);
	box_code(&box, 0x48, 0xff, 0xc0, 0x48, 0xf7, 0xf3, HLT); /* inc rax; div rbx */
	expect_fault(&box, X86_DE, false, CODE + 3);
	assert_int_equal(box.cpu->gpr[X86_RAX], 1);
	box_destroy(&box);
}

/* PIT channel 0 in mode 2 by way of the PIC's vector 0x20, and a loop with string instructions. */
static void timer_program(struct box *box)
{
	box_code(box, 0xb0, 0x11, 0xe6, 0x20, /* mov al, 0x11; out 0x20, al: ICW1 */
		 0xb0, 0x20, 0xe6, 0x21,      /* ICW2: vectors from 0x20 */
		 0xb0, 0x04, 0xe6, 0x21,      /* ICW3 */
		 0xb0, 0x01, 0xe6, 0x21,      /* ICW4 */
		 0xb0, 0xfe, 0xe6, 0x21,      /* mask all but IRQ 0 */
		 0xb0, 0x34, 0xe6, 0x43,      /* channel 0, both bytes, mode 2 */
		 0xb0, 0x03, 0xe6, 0x40,      /* 3 ticks */
		 0xb0, 0x00, 0xe6, 0x40,      /* */
		 0xfb,                        /* 32: sti */
		 0x48, 0xff, 0xc3,            /* 33: inc rbx */
		 0x48, 0x89, 0xd7,            /* 36: mov rdi, rdx */
		 0xb9, 0x1f, 0, 0, 0,         /* 39: mov ecx, 31 */
		 0xf3, 0xaa,                  /* 44: rep stosb */
		 0xeb, 0xf1);                 /* 46: jmp 33 */
	/* The handler: remember rip and rcx in R8 and R9 as a hash, end of interrupt, return. */
	const uint8_t code[] = {
		0x50,                               /* push rax */
		0x4d, 0x69, 0xc0, 0x1d, 1,    0, 0, /* imul r8, r8, 285 */
		0x4c, 0x03, 0x44, 0x24, 0x08,       /* add r8, [rsp + 8] */
		0x49, 0x01, 0xc8,                   /* add r8, rcx */
		0x49, 0xff, 0xc1,                   /* inc r9 */
		0xb0, 0x20, 0xe6, 0x20,             /* mov al, 0x20; out 0x20, al */
		0x58, 0x48, 0xcf,                   /* pop rax; iretq */
	};
	box_write(box, 0x38000, code, sizeof(code));
	box_write64(box, IDT + 16 * 0x20,
		    0x8000ull | SELECTOR_CODE << 16 | 0x8e00ull << 32 | 3ull << 48);
	box->cpu->gpr[X86_RDX] = DATA;
}

static void test_interrupts_arrive_at_the_same_boundary_however_a_run_is_cut(void **state)
{
	const uint64_t total = 200000;
	struct box whole, cut;

	create(&whole);
	timer_program(&whole);
	box_run(&whole, total);
	assert_false(whole.cpu->ended);
	assert_true(whole.cpu->gpr[X86_R9] > 20);

	create(&cut);
	timer_program(&cut);
	for (uint64_t n = 1; cut.cpu->instructions < total; n = n * 5 % 997) {
		uint64_t until = cut.cpu->instructions + n;

		if (n & 1)
			x86_run(cut.cpu, UINT64_MAX, until < total ? until : total, &cut.stop);
		else
			x86_run(cut.cpu, x86_time(cut.cpu) + n, total, &cut.stop);
	}
	assert_memory_equal(whole.cpu->gpr, cut.cpu->gpr, sizeof(cut.cpu->gpr));
	assert_int_equal(whole.cpu->steps, cut.cpu->steps);
	assert_int_equal(instruction_lookups(&whole), instruction_lookups(&cut));
	assert_int_equal(data_lookups(&whole), data_lookups(&cut));
	box_destroy(&whole);
	box_destroy(&cut);
}

static void test_a_halted_cpu_goes_on_with_an_interrupt_only(void **state)
{
	struct box box;
	uint64_t wake;

	create(&box);
	timer_program(&box);
	box_write(&box, CODE + 33, "\xf4", 1); /* hlt in place of the loop */
	box_run(&box, 1000);
	assert_true(box.cpu->halted);
	wake = machine_next_event(box.machine);
	assert_int_not_equal(wake, UINT64_MAX);
	box_run(&box, 1000);
	assert_true(box.cpu->halted);
	assert_int_equal(box.cpu->gpr[X86_R9], 0);
	box.cpu->idle_time += wake - x86_time(box.cpu);
	box_run(&box, 5);
	assert_false(box.cpu->halted);
	assert_int_equal(box.cpu->gpr[X86_R9], 1);
	box_destroy(&box);
}

static void test_single_step_traps_after_each_instruction(void **state)
{
	struct box box;

	create(&box);
	/* pushfq; or dword [rsp], 0x100; popfq; inc rax; inc rax */
	box_code(&box, 0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d, 0x48, 0xff, 0xc0, 0x48, 0xff,
		 0xc0);
	expect_fault(&box, X86_DB, false, CODE + 12);
	assert_int_equal(box.cpu->gpr[X86_RAX], 1);
	box_destroy(&box);
}

static void test_code_where_nobody_answers_goes_on_in_the_next_page(void **state)
{
	static const enum umbra_mode modes[] = {UMBRA_MODE_BARE, UMBRA_MODE_SHADOW, UMBRA_MODE_EPT};
	const uint64_t beyond = RAM_SIZE + (64 << 20), page = 0x100000;
	struct box box;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		box_create(&box, modes[i], UMBRA_CLOCK_INSTRUCTIONS);
		box_write64(&box, PT + page / PAGE_SIZE * 8, beyond | PTE_P | PTE_W | PTE_U);
		/* The first byte is the last one of all ones: inc eax. */
		box_write(&box, page + PAGE_SIZE, "\xc0\xf4", 2);
		box.cpu->gpr[X86_RIP] = page + PAGE_MASK;
		expect_halt(&box);
		assert_int_equal(box.cpu->gpr[X86_RIP], page + PAGE_SIZE + 2);
		assert_int_equal(box.cpu->gpr[X86_RAX], 1);
		box_destroy(&box);
	}
}

static void test_an_endless_chain_of_faults_lets_the_caller_look_around(void **state)
{
	struct box box;

	create(&box);
	box_code(&box, 0x0f, 0x0b); /* UD2, and again in its handler, on the same stack each time */
	box_write(&box, box_handler(X86_UD), "\x0f\x0b", 2);
	box_write64(&box, IDT + 16 * X86_UD,
		    box_read64(&box, IDT + 16 * X86_UD) | 1ull << 32 /* IST1 */);
	box.cpu->tr = (struct x86_segment){.base = DATA, .limit = 0x67, .rights = 0x8b};
	box_write64(&box, DATA + 36, STACK);
	box_run(&box, 1);
	assert_false(box.cpu->ended);
	assert_int_equal(box.cpu->instructions, 0);
	assert_int_equal(box.cpu->gpr[X86_RIP], box_handler(X86_UD));
	box_destroy(&box);
}

/* Each write to a frame that the walker reads as a table is counted, and is one look-up. */
static void test_writes_to_a_table_are_counted_one_by_one(void **state)
{
	static const enum umbra_mode modes[] = {UMBRA_MODE_BARE, UMBRA_MODE_EPT};
	static const uint64_t tables[] = {PT, PD};

	for (unsigned i = 0; i < 4; i++) {
		const struct umbra_counters *counters;
		bool upper = tables[i / 2] == PD;
		struct box box;

		box_create(&box, modes[i % 2], UMBRA_CLOCK_INSTRUCTIONS);
		box_code(&box, 0xf3, 0x48, 0xab,                 /* rep stosq */
			 0x48, 0x89, 0x07,                       /* mov [rdi], rax */
			 0x48, 0x89, 0x47, 0x08,                 /* mov [rdi+8], rax */
			 0xf4);                                  /* hlt */
		box.cpu->gpr[X86_RDI] = tables[i / 2] + 8 * 300; /* of what nobody uses */
		box.cpu->gpr[X86_RCX] = 100;
		box_run(&box, 100);
		assert_true(box.cpu->halted);
		counters = &hw_public(box.hw)->counters;
		assert_int_equal(counters->guest_table_writes[0], 102);
		assert_int_equal(counters->guest_table_writes_upper[0], upper ? 102 : 0);
		assert_int_equal(data_lookups(&box), 102);
		box_destroy(&box);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_run_stops_at_the_very_instruction),
		cmocka_unit_test(
			test_time_under_the_instructions_clock_stops_at_the_very_instruction),
		cmocka_unit_test(test_each_instruction_is_one_lookup_however_a_run_is_cut),
		cmocka_unit_test(
			test_lookups_are_counted_by_the_size_of_the_page_however_a_run_is_cut),
		cmocka_unit_test(test_an_instruction_in_two_pages_is_two_lookups),
		cmocka_unit_test(test_a_fault_on_the_second_page_of_an_instruction_names_that_page),
		cmocka_unit_test(
			test_code_written_by_the_instruction_before_it_is_executed_as_written),
		cmocka_unit_test(test_code_written_again_and_again_is_executed_as_written),
		cmocka_unit_test(test_code_written_from_outside_is_executed_as_written),
		cmocka_unit_test(test_a_rep_is_one_instruction_and_a_step_for_each_iteration),
		cmocka_unit_test(test_a_rep_of_none_is_one_step),
		cmocka_unit_test(test_a_rep_stops_between_the_iterations_that_time_says),
		cmocka_unit_test(test_a_fault_in_a_rep_keeps_its_progress),
		cmocka_unit_test(test_movs_copies_element_by_element),
		cmocka_unit_test(test_repe_and_repne_end_where_the_comparison_says),
		cmocka_unit_test(test_a_push_that_faults_leaves_the_stack_pointer_alone),
		cmocka_unit_test(
			test_an_access_in_two_pages_writes_nothing_unless_it_may_write_both),
		cmocka_unit_test(test_an_operand_in_two_pages_is_read_and_written_whole),
		cmocka_unit_test(
			test_an_address_that_is_not_canonical_is_a_general_protection_fault),
		cmocka_unit_test(test_bytes_that_are_no_instruction_are_an_invalid_opcode),
		cmocka_unit_test(test_an_instruction_that_this_build_lacks_ends_the_guest_by_name),
		cmocka_unit_test(test_a_divide_error_is_delivered_with_the_registers_as_they_were),
		cmocka_unit_test(test_interrupts_arrive_at_the_same_boundary_however_a_run_is_cut),
		cmocka_unit_test(test_a_halted_cpu_goes_on_with_an_interrupt_only),
		cmocka_unit_test(test_code_where_nobody_answers_goes_on_in_the_next_page),
		cmocka_unit_test(test_an_endless_chain_of_faults_lets_the_caller_look_around),
		cmocka_unit_test(test_single_step_traps_after_each_instruction),
		cmocka_unit_test(test_writes_to_a_table_are_counted_one_by_one),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
