/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Integer instructions do what the processor under this test does with the same bytes, registers
 * and memory. Guest and host see the operand page at the same address.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "paging/vmm.h"
#include "x86/decode.h"
#include "x86/flags.h"

#define RAM_SIZE     (4ull << 20)
#define OPERANDS     0x200000ull /* guest address and host address of the operand page */
#define MIDDLE       (OPERANDS + 2048)
#define ROUNDS       1000
#define UNDEFINED_AF RFLAGS_AF

struct state {
	uint64_t gpr[16];
	uint64_t flags;
};

struct bench {
	struct memory memory;
	struct hw *hw;
	struct vmm *vmm;
	struct x86_cpu *cpu;
	struct x86_decoders decoders;
	uint8_t *code;     /* executable */
	uint8_t *operands; /* the host's page at OPERANDS */
};

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1d;
}

static unsigned below(unsigned limit)
{
	return (unsigned)((random64() >> 33) % limit);
}

/* Values at which flags change are rare among random ones. */
static uint64_t random_value(void)
{
	static const uint64_t edges[] = {0,
					 1,
					 0x7f,
					 0x80,
					 0xff,
					 0x7fff,
					 0x8000,
					 0xffff,
					 0x7fffffff,
					 0x80000000,
					 0xffffffff,
					 INT64_MAX,
					 (uint64_t)INT64_MIN,
					 UINT64_MAX,
					 UINT64_MAX - 1};

	if (below(3))
		return random64() >> below(60);
	return edges[below(sizeof(edges) / sizeof(edges[0]))];
}

/* What to try: an opcode and what follows it. */
enum shape {
	NO_MODRM = 1,   /* no operand is encoded */
	OPCODE_REG = 2, /* the low three opcode bits name a register */
	MODRM = 4,
	MEMORY_ONLY = 8,
	REGISTER_ONLY = 16,
	IMM8 = 32,
	IMM = 64,       /* of the operand size, at most 32 bits */
	IMM_FULL = 128, /* of the operand size, up to 64 bits */
	BYTE = 256,     /* byte operands: no 0x66, no REX.W */
	SMALL = 512,    /* small register values: bit offsets */
	NO_WORD = 1024, /* no 0x66 */
	DEFAULT64 = 2048,
};

struct sample {
	const char *name;
	uint8_t opcode[3];
	uint8_t length; /* of opcode */
	int8_t group;   /* the reg field of ModRM; -1: a register */
	unsigned shape;
	uint32_t undefined; /* flags */
};

#define ALL_BUT_CF_OF (RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF)
#define ALL_BUT_ZF    (RFLAGS_ARITHMETIC & ~RFLAGS_ZF)
#define NOT_CF        (RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF)

#define ALU(name, base, group, undefined)                                                          \
	{name " rm8, r8", {base}, 1, -1, MODRM | BYTE, undefined},                                 \
		{name " rm, r", {base + 1}, 1, -1, MODRM, undefined},                              \
		{name " r8, rm8", {base + 2}, 1, -1, MODRM | BYTE, undefined},                     \
		{name " r, rm", {base + 3}, 1, -1, MODRM, undefined},                              \
		{name " al, imm8", {base + 4}, 1, -1, NO_MODRM | IMM8 | BYTE, undefined},          \
		{name " eax, imm", {base + 5}, 1, -1, NO_MODRM | IMM, undefined},                  \
		{name " rm8, imm8", {0x80}, 1, group, MODRM | IMM8 | BYTE, undefined},             \
		{name " rm, imm", {0x81}, 1, group, MODRM | IMM, undefined},                       \
	{                                                                                          \
		name " rm, imm8", {0x83}, 1, group, MODRM | IMM8, undefined                        \
	}
/* OF of a shift by more than one and CF of a byte or word shifted out are undefined: see check. */
#define SHIFT(name, group, undefined)                                                              \
	{name " rm8, 1", {0xd0}, 1, group, MODRM | BYTE, undefined},                               \
		{name " rm, 1", {0xd1}, 1, group, MODRM, undefined},                               \
		{name " rm8, cl", {0xd2}, 1, group, MODRM | BYTE, undefined | RFLAGS_OF},          \
		{name " rm, cl", {0xd3}, 1, group, MODRM, undefined | RFLAGS_OF},                  \
		{name " rm8, imm8", {0xc0}, 1, group, MODRM | BYTE | IMM8, undefined | RFLAGS_OF}, \
	{                                                                                          \
		name " rm, imm8", {0xc1}, 1, group, MODRM | IMM8, undefined | RFLAGS_OF            \
	}
#define BIT(name, opcode, group)                                                                   \
	{name " rm, r", {0x0f, opcode}, 2, -1, MODRM | SMALL, NOT_CF},                             \
	{                                                                                          \
		name " rm, imm8", {0x0f, 0xba}, 2, group, MODRM | IMM8, NOT_CF                     \
	}
#define CONDITION(n)                                                                               \
	{"cmovcc", {0x0f, 0x40 + n}, 2, -1, MODRM, 0},                                             \
	{                                                                                          \
		"setcc", {0x0f, 0x90 + n}, 2, 0, MODRM | BYTE, 0                                   \
	}

static const struct sample samples[] = {
	ALU("add", 0x00, 0, 0),
	ALU("or", 0x08, 1, UNDEFINED_AF),
	ALU("adc", 0x10, 2, 0),
	ALU("sbb", 0x18, 3, 0),
	ALU("and", 0x20, 4, UNDEFINED_AF),
	ALU("sub", 0x28, 5, 0),
	ALU("xor", 0x30, 6, UNDEFINED_AF),
	ALU("cmp", 0x38, 7, 0),
	{"test rm8, r8", {0x84}, 1, -1, MODRM | BYTE, UNDEFINED_AF},
	{"test rm, r", {0x85}, 1, -1, MODRM, UNDEFINED_AF},
	{"test rm8, imm8", {0xf6}, 1, 0, MODRM | BYTE | IMM8, UNDEFINED_AF},
	{"test rm, imm", {0xf7}, 1, 0, MODRM | IMM, UNDEFINED_AF},
	{"test al, imm8", {0xa8}, 1, -1, NO_MODRM | BYTE | IMM8, UNDEFINED_AF},
	{"test eax, imm", {0xa9}, 1, -1, NO_MODRM | IMM, UNDEFINED_AF},
	{"inc rm8", {0xfe}, 1, 0, MODRM | BYTE, 0},
	{"inc rm", {0xff}, 1, 0, MODRM, 0},
	{"dec rm8", {0xfe}, 1, 1, MODRM | BYTE, 0},
	{"dec rm", {0xff}, 1, 1, MODRM, 0},
	{"not rm8", {0xf6}, 1, 2, MODRM | BYTE, 0},
	{"not rm", {0xf7}, 1, 2, MODRM, 0},
	{"neg rm8", {0xf6}, 1, 3, MODRM | BYTE, 0},
	{"neg rm", {0xf7}, 1, 3, MODRM, 0},
	{"mul rm8", {0xf6}, 1, 4, MODRM | BYTE, ALL_BUT_CF_OF},
	{"mul rm", {0xf7}, 1, 4, MODRM, ALL_BUT_CF_OF},
	{"imul rm8", {0xf6}, 1, 5, MODRM | BYTE, ALL_BUT_CF_OF},
	{"imul rm", {0xf7}, 1, 5, MODRM, ALL_BUT_CF_OF},
	{"imul r, rm", {0x0f, 0xaf}, 2, -1, MODRM, ALL_BUT_CF_OF},
	{"imul r, rm, imm8", {0x6b}, 1, -1, MODRM | IMM8, ALL_BUT_CF_OF},
	{"imul r, rm, imm", {0x69}, 1, -1, MODRM | IMM, ALL_BUT_CF_OF},
	{"div rm8", {0xf6}, 1, 6, MODRM | BYTE, RFLAGS_ARITHMETIC},
	{"div rm", {0xf7}, 1, 6, MODRM, RFLAGS_ARITHMETIC},
	{"idiv rm8", {0xf6}, 1, 7, MODRM | BYTE, RFLAGS_ARITHMETIC},
	{"idiv rm", {0xf7}, 1, 7, MODRM, RFLAGS_ARITHMETIC},
	SHIFT("rol", 0, 0),
	SHIFT("ror", 1, 0),
	SHIFT("rcl", 2, 0),
	SHIFT("rcr", 3, 0),
	SHIFT("shl", 4, UNDEFINED_AF),
	SHIFT("shr", 5, UNDEFINED_AF),
	SHIFT("sal", 6, UNDEFINED_AF),
	SHIFT("sar", 7, UNDEFINED_AF),
	{"shld rm, r, imm8", {0x0f, 0xa4}, 2, -1, MODRM | IMM8, UNDEFINED_AF | RFLAGS_OF},
	{"shld rm, r, cl", {0x0f, 0xa5}, 2, -1, MODRM, UNDEFINED_AF | RFLAGS_OF},
	{"shrd rm, r, imm8", {0x0f, 0xac}, 2, -1, MODRM | IMM8, UNDEFINED_AF | RFLAGS_OF},
	{"shrd rm, r, cl", {0x0f, 0xad}, 2, -1, MODRM, UNDEFINED_AF | RFLAGS_OF},
	BIT("bt", 0xa3, 4),
	BIT("bts", 0xab, 5),
	BIT("btr", 0xb3, 6),
	BIT("btc", 0xbb, 7),
	{"bsf", {0x0f, 0xbc}, 2, -1, MODRM, ALL_BUT_ZF},
	{"bsr", {0x0f, 0xbd}, 2, -1, MODRM, ALL_BUT_ZF},
	{"mov rm8, r8", {0x88}, 1, -1, MODRM | BYTE, 0},
	{"mov rm, r", {0x89}, 1, -1, MODRM, 0},
	{"mov r8, rm8", {0x8a}, 1, -1, MODRM | BYTE, 0},
	{"mov r, rm", {0x8b}, 1, -1, MODRM, 0},
	{"mov r8, imm8", {0xb0}, 1, -1, OPCODE_REG | BYTE | IMM8, 0},
	{"mov r, imm", {0xb8}, 1, -1, OPCODE_REG | IMM_FULL, 0},
	{"mov rm8, imm8", {0xc6}, 1, 0, MODRM | BYTE | IMM8, 0},
	{"mov rm, imm", {0xc7}, 1, 0, MODRM | IMM, 0},
	{"movzx r, rm8", {0x0f, 0xb6}, 2, -1, MODRM, 0},
	{"movzx r, rm16", {0x0f, 0xb7}, 2, -1, MODRM, 0},
	{"movsx r, rm8", {0x0f, 0xbe}, 2, -1, MODRM, 0},
	{"movsx r, rm16", {0x0f, 0xbf}, 2, -1, MODRM, 0},
	{"movsxd r, rm32", {0x63}, 1, -1, MODRM | NO_WORD, 0},
	{"lea", {0x8d}, 1, -1, MODRM | MEMORY_ONLY, 0},
	{"movnti", {0x0f, 0xc3}, 2, -1, MODRM | MEMORY_ONLY | NO_WORD, 0},
	{"xchg rm8, r8", {0x86}, 1, -1, MODRM | BYTE, 0},
	{"xchg rm, r", {0x87}, 1, -1, MODRM, 0},
	{"xchg r, rax", {0x90}, 1, -1, OPCODE_REG, 0},
	{"xadd rm8, r8", {0x0f, 0xc0}, 2, -1, MODRM | BYTE, 0},
	{"xadd rm, r", {0x0f, 0xc1}, 2, -1, MODRM, 0},
	{"cmpxchg rm8, r8", {0x0f, 0xb0}, 2, -1, MODRM | BYTE, 0},
	{"cmpxchg rm, r", {0x0f, 0xb1}, 2, -1, MODRM, 0},
	{"cmpxchg8b", {0x0f, 0xc7}, 2, 1, MODRM | MEMORY_ONLY | BYTE, 0},
	{"bswap", {0x0f, 0xc8}, 2, -1, OPCODE_REG | NO_WORD, 0},
	{"cbw cwde cdqe", {0x98}, 1, -1, NO_MODRM, 0},
	{"cwd cdq cqo", {0x99}, 1, -1, NO_MODRM, 0},
	{"clc", {0xf8}, 1, -1, NO_MODRM, 0},
	{"stc", {0xf9}, 1, -1, NO_MODRM, 0},
	{"cmc", {0xf5}, 1, -1, NO_MODRM, 0},
	{"lahf", {0x9f}, 1, -1, NO_MODRM | BYTE, 0},
	{"sahf", {0x9e}, 1, -1, NO_MODRM | BYTE, 0},
	{"nop", {0x0f, 0x1f}, 2, 0, MODRM, 0},
	{"endbr64", {0x0f, 0x1e, 0xfa}, 3, -1, NO_MODRM | BYTE, 0},
	{"lfence", {0x0f, 0xae, 0xe8}, 3, -1, NO_MODRM | BYTE, 0},
	CONDITION(0),
	CONDITION(1),
	CONDITION(2),
	CONDITION(3),
	CONDITION(4),
	CONDITION(5),
	CONDITION(6),
	CONDITION(7),
	CONDITION(8),
	CONDITION(9),
	CONDITION(10),
	CONDITION(11),
	CONDITION(12),
	CONDITION(13),
	CONDITION(14),
	CONDITION(15),
};

/* A register number other than RSP's, which the native side needs itself. */
static unsigned random_register(bool extended)
{
	unsigned reg = below(extended ? 16 : 8);

	return reg == X86_RSP ? X86_RDX : reg;
}

/* Writes the instruction to @bytes; returns its length. Memory operands lie around RSI. */
static unsigned assemble(const struct sample *sample, uint8_t *bytes)
{
	unsigned shape = sample->shape, n = 0, rex = 0, opcode_reg = 0, imm;
	bool word = !(shape & (BYTE | NO_WORD)) && !below(4), wide = false;
	uint8_t modrm = 0, sib = 0;
	bool has_sib = false, memory = false;
	int32_t disp = 0;
	unsigned disp_bytes = 0;

	if (!(shape & BYTE))
		wide = !word && below(2);
	if (wide)
		rex |= 0x48;
	else if (below(2))
		rex |= 0x40;
	if (shape & OPCODE_REG) {
		opcode_reg = random_register(rex);
		rex |= opcode_reg > 7 ? 0x41 : 0;
	}
	if (shape & MODRM) {
		unsigned reg = sample->group >= 0 ? (unsigned)sample->group : random_register(rex);

		if ((shape & SMALL) && reg == X86_RSI) /* the address is no small number */
			reg = X86_RDI;
		memory = (shape & MEMORY_ONLY) || (!(shape & REGISTER_ONLY) && below(2));
		rex |= reg > 7 ? 0x44 : 0;
		modrm = (uint8_t)((reg & 7) << 3);
		if (!memory) {
			unsigned rm = random_register(rex);

			rex |= rm > 7 ? 0x41 : 0;
			modrm |= (uint8_t)(0xc0 | (rm & 7));
		} else {
			has_sib = below(2);
			disp_bytes = below(3) == 0 ? 0 : below(2) ? 1 : 4;
			modrm |= disp_bytes == 0 ? 0 : disp_bytes == 1 ? 0x40 : 0x80;
			modrm |= has_sib ? 4 : X86_RSI;
			disp = (int32_t)below(200) - 100;
			if (has_sib) { /* RSI + R13 * scale */
				rex |= 0x42;
				sib = (uint8_t)(below(4) << 6 | (X86_R13 & 7) << 3 | X86_RSI);
			}
		}
	}
	if (word)
		bytes[n++] = 0x66;
	if (sample->opcode[1] == 0x1e) /* ENDBR64 */
		bytes[n++] = 0xf3;
	if (rex)
		bytes[n++] = (uint8_t)rex;
	memcpy(bytes + n, sample->opcode, sample->length);
	n += sample->length;
	bytes[n - 1] |= (uint8_t)(opcode_reg & 7);
	if (shape & MODRM)
		bytes[n++] = modrm;
	if (has_sib)
		bytes[n++] = sib;
	memcpy(bytes + n, &disp, disp_bytes);
	n += disp_bytes;
	imm = shape & IMM8 ? 1 : 0;
	if (shape & (IMM | IMM_FULL))
		imm = word ? 2 : wide && (shape & IMM_FULL) ? 8 : 4;
	for (uint64_t value = random_value(); imm; imm--, value >>= 8)
		bytes[n++] = (uint8_t)value;
	return n;
}

/*
 * Wraps @bytes into a function of one struct state *: loads all registers but RSP and the flags,
 * executes, stores them.
 */
static void wrap(uint8_t *code, const uint8_t *bytes, unsigned length)
{
	static const uint8_t before[] = {
		0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57, /* push callee-saved */
		0x57,                                                       /* push rdi */
		0xff, 0xb7, 0x80, 0,    0,    0,    0x9d, /* push [rdi + 128]; popfq */
	};
	static const uint8_t after[] = {
		0x57, 0x48, 0x8b, 0x7c, 0x24, 0x08, /* push rdi; mov rdi, [rsp + 8] */
	};
	static const uint8_t last[] = {
		0x58, 0x48, 0x89, 0x47, 0x38,          /* pop rax; mov [rdi + 56], rax */
		0x9c, 0x8f, 0x87, 0x80, 0,    0,    0, /* pushfq; pop [rdi + 128] */
		0x5f, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3,
	};
	uint8_t *p = code;

	memcpy(p, before, sizeof(before));
	p += sizeof(before);
	for (unsigned store = 0; store < 2; store++) {
		for (unsigned i = 0; i < 16; i++) {
			unsigned reg = i;

			if (i == X86_RSP || i == X86_RDI)
				continue;
			*p++ = 0x48 | (reg > 7 ? 4 : 0);
			*p++ = store ? 0x89 : 0x8b;
			*p++ = (uint8_t)(0x47 | (reg & 7) << 3); /* [rdi + disp8] */
			*p++ = (uint8_t)(8 * reg);
		}
		if (store)
			break;
		memcpy(p, (uint8_t[]){0x48, 0x8b, 0x7f, 0x38}, 4); /* mov rdi, [rdi + 56] */
		p += 4;
		memcpy(p, bytes, length);
		p += length;
		memcpy(p, after, sizeof(after));
		p += sizeof(after);
	}
	memcpy(p, last, sizeof(last));
}

static sigjmp_buf divide_error;

static void on_sigfpe(int number)
{
	siglongjmp(divide_error, 1);
}

/* False: a divide error. */
static bool run_native(struct bench *bench, const uint8_t *bytes, unsigned length,
		       struct state *state)
{
	void (*function)(struct state *) = (void (*)(struct state *))(uintptr_t)bench->code;

	wrap(bench->code, bytes, length);
	if (sigsetjmp(divide_error, 1))
		return false;
	function(state);
	return true;
}

static bool run_guest(struct bench *bench, const uint8_t *bytes, unsigned length,
		      struct state *state)
{
	struct x86_cpu *cpu = bench->cpu;
	struct x86_insn insn;
	enum x86_result result;

	x86_decode(&bench->decoders, X86_CODE_64, bytes, length, &insn);
	assert_int_equal(insn.length, length);
	memcpy(cpu->gpr, state->gpr, sizeof(state->gpr));
	x86_set_flags(cpu, state->flags);
	cpu->gpr[X86_RIP] = 0x1000 + length;
	result = x86_execute_one(cpu, &insn);
	assert_false(cpu->ended);
	if (result == X86_FAULT) {
		assert_int_equal(cpu->fault_vector, X86_DE);
		return false;
	}
	assert_int_equal(result, X86_DONE);
	memcpy(state->gpr, cpu->gpr, sizeof(state->gpr));
	state->flags = x86_flags(cpu);
	return true;
}

/* A shift of bytes and words by as many bits as they have leaves CF undefined. */
static uint32_t undefined_flags(const struct sample *sample, const uint8_t *bytes, unsigned length,
				const struct state *before)
{
	uint32_t undefined = sample->undefined;
	bool shift = (sample->opcode[0] & 0xec) == 0xc0 || (sample->opcode[0] & 0xfc) == 0xd0;
	bool by_cl = (sample->opcode[0] & 0xfe) == 0xd2;
	bool word = bytes[0] == 0x66;

	if (sample->opcode[0] == 0x0f && (sample->opcode[1] & 0xf6) == 0xa4) {
		shift = true;
		by_cl = sample->opcode[1] & 1;
	}
	if (shift && sample->length <= 2 && sample->group != 2 && sample->group != 3 &&
	    sample->group != 0 && sample->group != 1) {
		unsigned count = by_cl ? (uint8_t)before->gpr[X86_RCX] : bytes[length - 1];
		unsigned bits = sample->shape & BYTE ? 8 : word ? 16 : 64;

		if ((count & 31) >= bits)
			undefined |= RFLAGS_CF;
	}
	return undefined;
}

/* SHLD and SHRD of words by more than 16 bits have no defined result. */
static bool undefined_result(const struct sample *sample, const uint8_t *bytes, unsigned length,
			     const struct state *before)
{
	unsigned count;

	if (sample->opcode[0] != 0x0f || (sample->opcode[1] & 0xf6) != 0xa4 || bytes[0] != 0x66)
		return false;
	count = sample->opcode[1] & 1 ? (uint8_t)before->gpr[X86_RCX] : bytes[length - 1];
	return (count & 31) > 16;
}

static void describe(const struct sample *sample, const uint8_t *bytes, unsigned length,
		     const struct state *before, const struct state *native,
		     const struct state *guest)
{
	fprintf(stderr, "%s:", sample->name);
	for (unsigned i = 0; i < length; i++)
		fprintf(stderr, " %02x", bytes[i]);
	fprintf(stderr, "\n");
	for (unsigned i = 0; i < 17; i++) {
		uint64_t b = i < 16 ? before->gpr[i] : before->flags;
		uint64_t n = i < 16 ? native->gpr[i] : native->flags;
		uint64_t g = i < 16 ? guest->gpr[i] : guest->flags;

		fprintf(stderr, "  %2u before %016llx native %016llx guest %016llx%s\n", i,
			(unsigned long long)b, (unsigned long long)n, (unsigned long long)g,
			n == g ? "" : " *");
	}
}

static void check(struct bench *bench, const struct sample *sample)
{
	struct state before, native, guest;
	uint8_t page[PAGE_SIZE], *guest_page;
	uint8_t bytes[X86_MAX_LENGTH + 1];
	unsigned length = assemble(sample, bytes);
	uint32_t mask;
	bool native_done, guest_done;
	size_t span;

	for (unsigned i = 0; i < 16; i++)
		before.gpr[i] =
			sample->shape & SMALL ? (uint64_t)below(4096) - 2048 : random_value();
	before.gpr[X86_RSI] = MIDDLE;
	before.gpr[X86_R13] = below(32);
	before.flags = (random64() & RFLAGS_ARITHMETIC) | RFLAGS_ONE | RFLAGS_IF;
	if (undefined_result(sample, bytes, length, &before))
		return;
	for (unsigned i = 0; i < PAGE_SIZE; i += 8) {
		uint64_t value = random_value();

		memcpy(page + i, &value, sizeof(value));
	}
	/* Half of the exchanges compare equal. */
	if (sample->opcode[1] == 0xc7 && below(2)) {
		before.gpr[X86_RAX] = before.gpr[X86_RDX] = 0;
		memset(page, 0, sizeof(page));
	}

	native = guest = before;
	memcpy(bench->operands, page, PAGE_SIZE);
	native_done = run_native(bench, bytes, length, &native);
	guest_page = memory_span_write(&bench->memory, OPERANDS, PAGE_SIZE, &span);
	memcpy(guest_page, page, PAGE_SIZE);
	guest_done = run_guest(bench, bytes, length, &guest);

	if (!native_done)
		native = before;
	mask = RFLAGS_ARITHMETIC & ~undefined_flags(sample, bytes, length, &before);
	native.flags &= mask;
	guest.flags &= mask;
	native.gpr[X86_RSP] = guest.gpr[X86_RSP];
	if (native_done != guest_done ||
	    (native_done && memcmp(&native, &guest, sizeof(native)) != 0) ||
	    memcmp(bench->operands, guest_page, PAGE_SIZE) != 0) {
		describe(sample, bytes, length, &before, &native, &guest);
		fail();
	}
}

static void test_instructions_do_what_the_processor_does(void **state)
{
	struct sigaction action = {.sa_handler = on_sigfpe, .sa_flags = SA_NODEFER}, old;
	struct bench *bench = *state;

	sigaction(SIGFPE, &action, &old); /* cmocka has its own while a test runs */
	for (unsigned i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
		for (unsigned round = 0; round < ROUNDS; round++)
			check(bench, &samples[i]);
	sigaction(SIGFPE, &old, NULL);
}

static int setup(void **state)
{
	static struct bench bench;
	struct hw_paging unpaged = {.cr0 = 1};
	int rwx = PROT_READ | PROT_WRITE | PROT_EXEC;

	bench.operands = mmap((void *)OPERANDS, PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	bench.code = mmap(NULL, PAGE_SIZE, rwx, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bench.operands != (uint8_t *)OPERANDS || bench.code == MAP_FAILED)
		return -1;
	if (memory_create(&bench.memory, RAM_SIZE, true, 1, NULL) ||
	    hw_create(&bench.memory, &umbra_cost_default, processor_find("skylake"), &bench.hw) ||
	    vmm_create(&bench.hw, 1, &bench.memory, UMBRA_MODE_BARE, &bench.vmm, NULL) ||
	    hw_paging_changed(bench.hw, &unpaged) ||
	    x86_create(bench.hw, NULL, UMBRA_CLOCK_INSTRUCTIONS, &bench.cpu))
		return -1;
	/* 64-bit code without paging: no processor has it, but instructions do not mind. */
	bench.cpu->code_mode = X86_CODE_64;
	x86_decoders_init(&bench.decoders);
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	x86_destroy(bench->cpu);
	vmm_destroy(bench->vmm);
	hw_destroy(bench->hw);
	memory_destroy(&bench->memory);
	munmap(bench->operands, PAGE_SIZE);
	munmap(bench->code, PAGE_SIZE);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_instructions_do_what_the_processor_does),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
