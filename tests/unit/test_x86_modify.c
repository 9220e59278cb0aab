/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code that is written executes as written at the next instruction boundary, whoever wrote it and
 * however (SDM 3A 8.1.3, 11.6); and the LOCK prefix is for the manual's instructions alone.
 */
#include "x86_fixture.h"

#include "x86/control.h"

#define TARGET  (CODE + 0x100)
#define OPERAND (TARGET + 1)
#define WRITER  (CODE + 0x40)
#define ALIAS   0x100000ull /* a page that leads to the frame of CODE */
#define OLD     0x11
#define NEW     0x7f
#define NEW_8   0x909090909090907full /* it and NOPs */
#define LOCK    0xf0
#define NR_REGS 8

/* MOV AL, OLD; NOPs; HLT */
static const uint8_t target[] = {0xb0, OLD,  0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
				 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xf4};

/* Changes OLD at [RDI] to NEW; RSP is 8 above, RSI leads to NEW_8 twice, as XMM0 holds it. */
struct writer {
	const char *bytes;
	uint8_t len;
	uint64_t rax, rcx;
};

#define WRITER_ROW(bytes, rax, rcx)                                                                \
	{                                                                                          \
		bytes, sizeof(bytes) - 1, rax, rcx                                                 \
	}

/* clang-format off */
static const struct writer writers[] = {
	WRITER_ROW("\x88\x0f", 0, NEW),                 /* mov [rdi], cl */
	WRITER_ROW("\x48\x89\x0f", 0, NEW_8),           /* mov [rdi], rcx */
	WRITER_ROW("\xc6\x07\x7f", 0, 0),               /* mov byte [rdi], 7fh */
	WRITER_ROW("\x80\x07\x6e", 0, 0),               /* add byte [rdi], 6eh */
	WRITER_ROW("\xf0\x80\x37\x6e", 0, 0),           /* lock xor byte [rdi], 6eh */
	WRITER_ROW("\x86\x0f", 0, NEW),                 /* xchg [rdi], cl */
	WRITER_ROW("\xf0\x0f\xc0\x0f", 0, NEW - OLD),   /* lock xadd [rdi], cl */
	WRITER_ROW("\x0f\xb0\x0f", OLD, NEW),           /* cmpxchg [rdi], cl */
	WRITER_ROW("\x48\x0f\xc3\x0f", 0, NEW_8),       /* movnti [rdi], rcx */
	WRITER_ROW("\x0f\xb1\x0f", 0x90909011, 0x9090907f), /* cmpxchg [rdi], ecx */
	WRITER_ROW("\xaa", NEW, 0),                     /* stosb */
	WRITER_ROW("\xf3\x48\xab", NEW_8, 1),           /* rep stosq */
	WRITER_ROW("\xa4", 0, 0),                       /* movsb */
	WRITER_ROW("\xf3\xa4", 0, 3),                   /* rep movsb */
	WRITER_ROW("\xf3\x48\xa5", 0, 1),               /* rep movsq */
	WRITER_ROW("\x51", 0, NEW_8),                   /* push rcx */
	WRITER_ROW("\xff\x36", 0, 0),                   /* push qword [rsi] */
	WRITER_ROW("\xf3\x0f\x7f\x07", 0, 0),           /* movdqu [rdi], xmm0 */
	WRITER_ROW("\x66\x0f\xd6\x07", 0, 0),           /* movq [rdi], xmm0 */
	WRITER_ROW("\xdd\x06\xdd\x1f", 0, 0),           /* fld qword [rsi]; fstp qword [rdi] */
};
/* clang-format on */
#define NR_WRITERS (sizeof(writers) / sizeof(writers[0]))

static void create(struct box *box, enum umbra_mode mode)
{
	box_create(box, mode, UMBRA_CLOCK_INSTRUCTIONS);
	box->cpu->cr4 |= CR4_OSFXSR;
	box_write64(box, PT + 8 * (ALIAS / PAGE_SIZE), CODE | PTE_P | PTE_W | PTE_U);
	box_write64(box, DATA, NEW_8);
	box_write64(box, DATA + 8, 0x9090909090909090);
}

static void prepare(struct x86_cpu *cpu, const struct writer *writer, uint64_t operand)
{
	cpu->gpr[X86_RAX] = writer->rax;
	cpu->gpr[X86_RCX] = writer->rcx;
	cpu->gpr[X86_RDI] = operand;
	cpu->gpr[X86_RSI] = DATA;
	cpu->gpr[X86_RSP] = operand + 8;
	cpu->xmm[0].u64[0] = NEW_8;
	cpu->xmm[0].u64[1] = 0x9090909090909090;
}

static void run_from(struct box *box, struct x86_cpu *cpu, uint64_t rip)
{
	cpu->halted = false;
	cpu->gpr[X86_RIP] = rip;
	x86_run(cpu, UINT64_MAX, cpu->instructions + 64, &box->stop);
	assert_false(cpu->ended);
	assert_true(cpu->halted);
	assert_int_equal(cpu->gpr[X86_RIP], TARGET + sizeof(target));
}

static void expect(const struct x86_cpu *cpu, unsigned writer, uint8_t value)
{
	if ((uint8_t)cpu->gpr[X86_RAX] != value)
		fail_msg("writer %u: %#x is executed, not %#x", writer, (uint8_t)cpu->gpr[X86_RAX],
			 value);
}

static void test_the_next_instruction_executes_as_written(void **state)
{
	struct box box;

	create(&box, UMBRA_MODE_EPT);
	for (unsigned i = 0; i < NR_WRITERS; i++) {
		const struct writer *writer = &writers[i];

		box_write(&box, TARGET, target, sizeof(target));
		box_write(&box, TARGET - writer->len, writer->bytes, writer->len);
		prepare(box.cpu, writer, OPERAND);
		run_from(&box, box.cpu, TARGET - writer->len);
		expect(box.cpu, i, NEW);
	}
	box_destroy(&box);
}

/* Puts the writer and a jump to the target where it is no part of the target's block. */
static void put_writer(struct box *box, const struct writer *writer)
{
	uint8_t jump[5] = {0xe9};
	uint32_t distance = (uint32_t)(TARGET - (WRITER + writer->len + sizeof(jump)));

	memcpy(jump + 1, &distance, sizeof(distance));
	box_write(box, WRITER, writer->bytes, writer->len);
	box_write(box, WRITER + writer->len, jump, sizeof(jump));
	box_write(box, TARGET, target, sizeof(target));
}

static void test_code_that_ran_before_executes_as_written_through_any_address(void **state)
{
	static const uint64_t operands[] = {OPERAND, ALIAS + (OPERAND - CODE)};
	struct box box;

	create(&box, UMBRA_MODE_EPT);
	for (unsigned i = 0; i < NR_WRITERS; i++) {
		for (unsigned way = 0; way < 2; way++) {
			put_writer(&box, &writers[i]);
			run_from(&box, box.cpu, TARGET);
			expect(box.cpu, i, OLD);
			prepare(box.cpu, &writers[i], operands[way]);
			run_from(&box, box.cpu, WRITER);
			expect(box.cpu, i, NEW);
		}
	}
	box_destroy(&box);
}

/* Cross-modifying code: one vCPU writes what another one has executed and executes again. */
static void code_written_by_another_vcpu(enum umbra_mode mode)
{
	struct x86_cpu *other;
	struct hw_paging paging;
	struct hw *hw[2];
	struct box box;

	create(&box, mode);
	vmm_destroy(box.vmm);
	hw[0] = box.hw;
	assert_int_equal(hw_create(&box.memory, &umbra_cost_default, processor_at(0), &hw[1]), 0);
	assert_int_equal(vmm_create(hw, 2, &box.memory, mode, &box.vmm, NULL), 0);
	assert_int_equal(x86_create(hw[1], box.machine, UMBRA_CLOCK_INSTRUCTIONS, &other), 0);
	other->cr0 = box.cpu->cr0;
	other->cr3 = box.cpu->cr3;
	other->cr4 = box.cpu->cr4;
	other->efer = box.cpu->efer;
	memcpy(other->segment, box.cpu->segment, sizeof(other->segment));
	x86_update_code_mode(other);
	paging = (struct hw_paging){
		.cr0 = other->cr0, .cr3 = other->cr3, .cr4 = other->cr4, .efer = other->efer};
	assert_int_equal(hw_paging_changed(hw[0], &paging), 0);
	assert_int_equal(hw_paging_changed(hw[1], &paging), 0);

	for (unsigned i = 0; i < NR_WRITERS; i++) {
		put_writer(&box, &writers[i]);
		other->gpr[X86_RSP] = STACK;
		run_from(&box, other, TARGET);
		expect(other, i, OLD);
		prepare(box.cpu, &writers[i], OPERAND);
		run_from(&box, box.cpu, WRITER);
		run_from(&box, other, TARGET);
		expect(other, i, NEW);
	}
	x86_destroy(other);
	hw_destroy(hw[1]);
	box_destroy(&box);
}

static void test_code_written_by_another_vcpu_executes_as_written(void **state)
{
	code_written_by_another_vcpu(UMBRA_MODE_BARE);
	code_written_by_another_vcpu(UMBRA_MODE_EPT);
}

static void test_an_instruction_in_two_pages_executes_as_written_in_either(void **state)
{
	const uint64_t boundary = CODE + PAGE_SIZE;
	struct box box;

	create(&box, UMBRA_MODE_EPT);
	/* mov eax, imm32 with two bytes in each page; hlt */
	box_write(&box, boundary - 3, "\xb8\x11\x22\x33\x44\xf4", 6);
	for (unsigned byte = 0; byte < 4; byte++) {
		box.cpu->halted = false;
		box.cpu->gpr[X86_RIP] = boundary - 3;
		box_run(&box, 2);
		box_write(&box, boundary - 2 + byte, "\x7f", 1);
		box.cpu->halted = false;
		box.cpu->gpr[X86_RIP] = boundary - 3;
		box_run(&box, 2);
		assert_int_equal(box.cpu->gpr[X86_RAX] >> (8 * byte) & 0xff, 0x7f);
	}
	box_destroy(&box);
}

/* A REP MOVSB over the code behind it: what it writes is what follows. */
static void test_a_rep_that_writes_the_code_behind_it_is_followed_by_it(void **state)
{
	struct box box;

	create(&box, UMBRA_MODE_EPT);
	box_write(&box, DATA, "\xb0\x7f\xf4", 3);
	box_code(&box, 0xf3, 0xa4, 0xb0, 0x11, 0x90); /* rep movsb; mov al, 11h */
	box.cpu->gpr[X86_RDI] = CODE + 2;
	box.cpu->gpr[X86_RSI] = DATA;
	box.cpu->gpr[X86_RCX] = 3;
	box_run(&box, 64);
	assert_true(box.cpu->halted);
	assert_int_equal(box.cpu->gpr[X86_RAX] & 0xff, NEW);
	assert_int_equal(box.cpu->instructions, 3);
	box_destroy(&box);
}

/*
 * SDM 2A LOCK: ADD ADC AND BTC BTR BTS CMPXCHG CMPXCHG8B CMPXCHG16B DEC INC NEG NOT OR SBB SUB XOR
 * XADD XCHG, and only where the destination is memory.
 */
static bool may_be_locked(unsigned map, unsigned opcode, unsigned reg)
{
	if (map == 0) {
		if (opcode < 0x38 && (opcode & 7) < 2) /* ADD ... XOR rm, r; CMP is 38H */
			return true;
		switch (opcode) {
		case 0x80:
		case 0x81:
		case 0x83: return reg != 7; /* all but CMP */
		case 0x86:
		case 0x87: return true;
		case 0xf6:
		case 0xf7: return reg == 2 || reg == 3; /* NOT NEG */
		case 0xfe:
		case 0xff: return reg < 2; /* INC DEC */
		default: return false;
		}
	}
	switch (opcode) {
	case 0xab:
	case 0xb3:
	case 0xbb: return true;
	case 0xba: return reg >= 5; /* BTS BTR BTC imm8 */
	case 0xb0:
	case 0xb1:
	case 0xc0:
	case 0xc1: return true;
	case 0xc7: return reg == 1;
	default: return false;
	}
}

static bool is_prefix(unsigned opcode)
{
	return opcode == 0x0f || opcode == 0x26 || opcode == 0x2e || opcode == 0x36 ||
	       opcode == 0x3e || (opcode & 0xf0) == 0x40 || (opcode >= 0x64 && opcode <= 0x67) ||
	       opcode == 0xf0 || opcode == 0xf2 || opcode == 0xf3;
}

static bool locked_is_undefined(struct box *box, unsigned map, unsigned opcode, uint8_t modrm)
{
	uint8_t bytes[12] = {LOCK};
	unsigned n = 1;

	if (map)
		bytes[n++] = 0x0f;
	bytes[n++] = (uint8_t)opcode;
	bytes[n++] = modrm;
	box_write(box, CODE, bytes, sizeof(bytes));
	x86_set_flags(box->cpu, RFLAGS_ONE);
	box->cpu->halted = false;
	box->cpu->gpr[X86_RIP] = CODE;
	box->cpu->gpr[X86_RSP] = STACK;
	box->cpu->gpr[X86_RBX] = DATA;
	box->cpu->gpr[X86_RCX] = 0;
	box_run(box, 1);
	assert_false(box->cpu->ended);
	return box->cpu->halted && box->cpu->gpr[X86_RIP] == box_handler(X86_UD) + 1;
}

static void test_lock_is_for_the_manuals_instructions_in_memory_alone(void **state)
{
	struct box box;

	create(&box, UMBRA_MODE_BARE);
	for (unsigned map = 0; map < 2; map++) {
		for (unsigned opcode = 0; opcode < 256; opcode++) {
			if (map == 0 && is_prefix(opcode))
				continue;
			for (unsigned reg = 0; reg < NR_REGS; reg++) {
				uint8_t memory = (uint8_t)(reg << 3 | X86_RBX);

				if (locked_is_undefined(&box, map, opcode, memory) ==
				    may_be_locked(map, opcode, reg))
					fail_msg("map %u opcode %02x /%u, memory", map, opcode,
						 reg);
				if (!locked_is_undefined(&box, map, opcode, memory | 0xc0))
					fail_msg("map %u opcode %02x /%u, register", map, opcode,
						 reg);
			}
		}
	}
	box_destroy(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_next_instruction_executes_as_written),
		cmocka_unit_test(test_code_that_ran_before_executes_as_written_through_any_address),
		cmocka_unit_test(test_code_written_by_another_vcpu_executes_as_written),
		cmocka_unit_test(test_an_instruction_in_two_pages_executes_as_written_in_either),
		cmocka_unit_test(test_a_rep_that_writes_the_code_behind_it_is_followed_by_it),
		cmocka_unit_test(test_lock_is_for_the_manuals_instructions_in_memory_alone),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
