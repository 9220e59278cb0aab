/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The x87 FPU: its registers, exceptions, and which function executes which opcode. Registers are
 * the guest's own copies; what computes is the host's FPU (x87_host.c), so results and flags are
 * those of hardware.
 */
#include "x86/x87_row.h"

#include <string.h>

#define TAG_VALID   0u
#define TAG_ZERO    1u
#define TAG_SPECIAL 2u
#define TAG_EMPTY   3u

void x86_x87_init(struct x86_x87 *x87)
{
	x87->control = X87_CONTROL_AT_INIT;
	x87->status = 0;
	x87->ferr = false;
	x87->top = 0;
	x87->used = 0;
	x87->opcode = 0;
	x87->cs = x87->ds = 0;
	x87->ip = x87->dp = 0;
}

/* ES and B: whether a flag is set whose mask is not. */
static void summarize(struct x86_x87 *x87)
{
	x87->status &= (uint16_t) ~(X87_ES | X87_BUSY);
	if (x87->status & ~x87->control & X87_FLAGS)
		x87->status |= X87_ES | X87_BUSY;
	else
		x87->ferr = false;
}

uint16_t x86_x87_status(const struct x86_x87 *x87)
{
	return (uint16_t)(x87->status | x87->top << X87_TOP_SHIFT);
}

void x86_x87_set_status(struct x86_x87 *x87, uint16_t status)
{
	x87->status = status & (X87_FLAGS | X87_SF | X87_CONDITIONS);
	x87->top = status >> X87_TOP_SHIFT & (X87_NR_REGISTERS - 1);
	summarize(x87);
}

void x86_x87_set_control(struct x86_x87 *x87, uint16_t control)
{
	x87->control = (control & X87_CONTROL_DEFINED) | X87_CONTROL_ONE;
	summarize(x87);
}

static unsigned tag_of(const struct x86_x87_register *r)
{
	unsigned exponent = r->exponent & 0x7fff;

	if (exponent == 0)
		return r->significand ? TAG_SPECIAL : TAG_ZERO;
	return exponent == 0x7fff || !(r->significand >> 63) ? TAG_SPECIAL : TAG_VALID;
}

uint16_t x86_x87_tags(const struct x86_x87 *x87)
{
	unsigned tags = 0;

	for (unsigned i = 0; i < X87_NR_REGISTERS; i++)
		tags |= (x87->used >> i & 1 ? tag_of(&x87->r[i]) : TAG_EMPTY) << 2 * i;
	return (uint16_t)tags;
}

void x86_x87_set_tags(struct x86_x87 *x87, uint16_t tags)
{
	x87->used = 0;
	for (unsigned i = 0; i < X87_NR_REGISTERS; i++)
		if ((tags >> 2 * i & 3) != TAG_EMPTY)
			x87->used |= (uint8_t)(1u << i);
}

uint16_t x87_report(struct x86_cpu *cpu, const struct x86_insn *insn, uint16_t status,
		    uint16_t take)
{
	const uint16_t exceptions = status & (X87_FLAGS | X87_SF);
	struct x86_x87 *x87 = &cpu->x87;
	uint16_t unmasked = exceptions & ~x87->control & X87_FLAGS;

	take |= X87_C1;
	if (__builtin_expect(unmasked != 0, 0)) {
		x87->opcode = (uint16_t)insn->imm; /* SDM 1 8.1.9.1: of this one alone */
		/* What was not computed has no condition; C1 tells the two stack faults apart. */
		if (unmasked & X87_BEFORE) {
			take = X87_C1;
			if (!(status & X87_SF))
				status &= (uint16_t)~X87_C1;
		}
		x87->status |= X87_ES | X87_BUSY;
	}
	x87->status = (x87->status & (uint16_t)~take) | (status & take) | exceptions;
	return unmasked;
}

/*
 * With CR0.NE clear a pending exception asserts FERR#, and unless the machine answers with IGNNE#
 * the processor waits for an interrupt before the instruction (SDM 1 8.7.2, D.2.1).
 */
static enum x86_result wait_for_interrupt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if (!cpu->x87.ferr) {
		cpu->x87.ferr = true;
		machine_coprocessor_error(cpu->machine, x86_time(cpu));
		x86_look_at_machine(cpu);
	}
	if (machine_ignores_coprocessor_error(cpu->machine))
		return X86_DONE;
	cpu->gpr[X86_RIP] -= insn->length;
	return X86_AGAIN;
}

static enum x86_result raise_pending(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return cpu->cr0 & CR0_NE ? x86_raise(cpu, X86_MF) : wait_for_interrupt(cpu, insn);
}

enum x86_result x86_x87_unavailable(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	X87_CHECK_NO_WAIT(cpu);
	return raise_pending(cpu, insn);
}

/* SDM 3A table 2-3: it obeys TS only with MP, and EM not at all. */
static enum x86_result exec_wait(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if ((cpu->cr0 & CR0_MP) && (cpu->cr0 & CR0_TS))
		return x86_raise(cpu, X86_NM);
	return cpu->x87.status & X87_ES ? raise_pending(cpu, insn) : X86_DONE;
}

/* Opcodes (SDM 2D tables ). */

#define NR_OPCODES   8u  /* D8 ... DF */
#define ROW_REGISTER 64u /* after the forms with a memory operand */
#define ROW_D9_E0    128u

/* clang-format off */
#define MEMORY(opcode, reg)   [(opcode - 0xd8) * 8 + reg]
#define REGISTER(opcode, reg) [ROW_REGISTER + (opcode - 0xd8) * 8 + reg]
#define D9(modrm)             [ROW_D9_E0 + modrm - 0xe0]

#define ARITHMETIC(X, ...)                                                                         \
	X(0, add, __VA_ARGS__) X(1, mul, __VA_ARGS__) X(4, sub, __VA_ARGS__)                       \
	X(5, subr, __VA_ARGS__) X(6, div, __VA_ARGS__) X(7, divr, __VA_ARGS__)
/* Where ST(i) is the destination, the encodings of the reverse forms are the others. */
#define ARITHMETIC_TO_I(X, ...)                                                                    \
	X(0, add, __VA_ARGS__) X(1, mul, __VA_ARGS__) X(4, subr, __VA_ARGS__)                      \
	X(5, sub, __VA_ARGS__) X(6, divr, __VA_ARGS__) X(7, div, __VA_ARGS__)

#define REAL_ROW(reg, op, opcode, size)                                                            \
	MEMORY(opcode, reg) = {x87_exec_arithmetic_memory, x87_host_##op##_##size, size / 8},
#define INTEGER_ROW(reg, op, opcode, size)                                                         \
	MEMORY(opcode, reg) = {x87_exec_arithmetic_integer, x87_host_##op, size / 8},
#define ST_ROW(reg, op, opcode, flags)                                                             \
	REGISTER(opcode, reg) = {x87_exec_arithmetic, x87_host_##op, 0, flags},
#define COMPARE_ROWS(opcode, host, exec, size)                                                     \
	MEMORY(opcode, 2) = {exec, host, size},                                                    \
	MEMORY(opcode, 3) = {exec, host, size, X87_POP}

#define LOAD(host, size)         {x87_exec_load, x87_host_##host, size}
#define STORE(host, size, flags) {x87_exec_store, x87_host_##host, size, flags}
#define CONSTANT(name)           {x87_exec_constant, x87_host_##name}
#define CONDITIONS3              (X87_C0 | X87_C2 | X87_C3)

const struct x87_row x86_x87_rows[] = {
	ARITHMETIC(REAL_ROW, 0xd8, 32)
	ARITHMETIC(INTEGER_ROW, 0xda, 32)
	ARITHMETIC(REAL_ROW, 0xdc, 64)
	ARITHMETIC(INTEGER_ROW, 0xde, 16)
	COMPARE_ROWS(0xd8, x87_host_com_32, x87_exec_compare_memory, 4),
	COMPARE_ROWS(0xda, x87_host_com, x87_exec_compare_integer, 4),
	COMPARE_ROWS(0xdc, x87_host_com_64, x87_exec_compare_memory, 8),
	COMPARE_ROWS(0xde, x87_host_com, x87_exec_compare_integer, 2),
	MEMORY(0xd9, 0) = LOAD(ld_32, 4),
	MEMORY(0xd9, 2) = STORE(st_32, 4, 0),
	MEMORY(0xd9, 3) = STORE(st_32, 4, X87_POP),
	MEMORY(0xd9, 4) = {x87_exec_ldenv},
	MEMORY(0xd9, 5) = {x87_exec_ldcw, .size = 2},
	MEMORY(0xd9, 6) = {x87_exec_stenv},
	MEMORY(0xd9, 7) = {x87_exec_stcw, .size = 2},
	MEMORY(0xdb, 0) = LOAD(ild_32, 4),
	MEMORY(0xdb, 1) = STORE(istt_32, 4, X87_INTEGER | X87_POP),
	MEMORY(0xdb, 2) = STORE(ist_32, 4, X87_INTEGER),
	MEMORY(0xdb, 3) = STORE(ist_32, 4, X87_INTEGER | X87_POP),
	MEMORY(0xdb, 5) = {x87_exec_load_80, .size = 10},
	MEMORY(0xdb, 7) = {x87_exec_store_80, .size = 10},
	MEMORY(0xdd, 0) = LOAD(ld_64, 8),
	MEMORY(0xdd, 1) = STORE(istt_64, 8, X87_INTEGER | X87_POP),
	MEMORY(0xdd, 2) = STORE(st_64, 8, 0),
	MEMORY(0xdd, 3) = STORE(st_64, 8, X87_POP),
	MEMORY(0xdd, 4) = {x87_exec_rstor},
	MEMORY(0xdd, 6) = {x87_exec_save},
	MEMORY(0xdd, 7) = {x87_exec_stsw, .size = 2},
	MEMORY(0xdf, 0) = LOAD(ild_16, 2),
	MEMORY(0xdf, 1) = STORE(istt_16, 2, X87_INTEGER | X87_POP),
	MEMORY(0xdf, 2) = STORE(ist_16, 2, X87_INTEGER),
	MEMORY(0xdf, 3) = STORE(ist_16, 2, X87_INTEGER | X87_POP),
	MEMORY(0xdf, 4) = LOAD(bld, 10),
	MEMORY(0xdf, 5) = LOAD(ild_64, 8),
	MEMORY(0xdf, 6) = STORE(bst, 10, X87_POP),
	MEMORY(0xdf, 7) = STORE(ist_64, 8, X87_INTEGER | X87_POP),

	ARITHMETIC(ST_ROW, 0xd8, 0)
	ARITHMETIC_TO_I(ST_ROW, 0xdc, X87_TO_I)
	ARITHMETIC_TO_I(ST_ROW, 0xde, X87_TO_I | X87_POP)
	REGISTER(0xd8, 2) = {x87_exec_compare, x87_host_com},
	REGISTER(0xd8, 3) = {x87_exec_compare, x87_host_com, 0, X87_POP},
	REGISTER(0xd9, 0) = {x87_exec_load_st},
	REGISTER(0xd9, 1) = {x87_exec_exchange},
	REGISTER(0xd9, 2) = {x87_exec_nop},
	REGISTER(0xd9, 3) = {x87_exec_store_st, .flags = X87_POP | X87_QUIET}, /* FSTPNCE */
	REGISTER(0xda, 0) = {x87_exec_move_if},
	REGISTER(0xda, 1) = {x87_exec_move_if},
	REGISTER(0xda, 2) = {x87_exec_move_if},
	REGISTER(0xda, 3) = {x87_exec_move_if},
	REGISTER(0xda, 5) = {x87_exec_compare, x87_host_ucom, 0, X87_POP_TWICE | X87_POP},
	REGISTER(0xdb, 0) = {x87_exec_move_if},
	REGISTER(0xdb, 1) = {x87_exec_move_if},
	REGISTER(0xdb, 2) = {x87_exec_move_if},
	REGISTER(0xdb, 3) = {x87_exec_move_if},
	REGISTER(0xdb, 4) = {x87_exec_misc},
	REGISTER(0xdb, 5) = {x87_exec_compare_flags, x87_host_ucom},
	REGISTER(0xdb, 6) = {x87_exec_compare_flags, x87_host_com},
	/* Aliases that the opcode map leaves open: FCOM2, FCOMP3, FXCH4, FCOMP5, FXCH7, FSTP8, FSTP9. */
	REGISTER(0xdc, 2) = {x87_exec_compare, x87_host_com},
	REGISTER(0xdc, 3) = {x87_exec_compare, x87_host_com, 0, X87_POP},
	REGISTER(0xdd, 1) = {x87_exec_exchange},
	REGISTER(0xde, 2) = {x87_exec_compare, x87_host_com, 0, X87_POP},
	REGISTER(0xdf, 1) = {x87_exec_exchange},
	REGISTER(0xdf, 2) = {x87_exec_store_st, .flags = X87_POP},
	REGISTER(0xdf, 3) = {x87_exec_store_st, .flags = X87_POP},
	REGISTER(0xdd, 0) = {x87_exec_free},
	REGISTER(0xdd, 2) = {x87_exec_store_st},
	REGISTER(0xdd, 3) = {x87_exec_store_st, .flags = X87_POP},
	REGISTER(0xdd, 4) = {x87_exec_compare, x87_host_ucom},
	REGISTER(0xdd, 5) = {x87_exec_compare, x87_host_ucom, 0, X87_POP},
	REGISTER(0xde, 3) = {x87_exec_compare, x87_host_com, 0, X87_POP_TWICE | X87_POP},
	REGISTER(0xdf, 0) = {x87_exec_free, .flags = X87_POP},
	REGISTER(0xdf, 4) = {x87_exec_stsw},
	REGISTER(0xdf, 5) = {x87_exec_compare_flags, x87_host_ucom, 0, X87_POP},
	REGISTER(0xdf, 6) = {x87_exec_compare_flags, x87_host_com, 0, X87_POP},

	D9(0xe0) = {x87_exec_sign},
	D9(0xe1) = {x87_exec_sign},
	D9(0xe4) = {x87_exec_tst, x87_host_tst},
	D9(0xe5) = {x87_exec_xam},
	D9(0xe8) = CONSTANT(ld1),
	D9(0xe9) = CONSTANT(ldl2t),
	D9(0xea) = CONSTANT(ldl2e),
	D9(0xeb) = CONSTANT(ldpi),
	D9(0xec) = CONSTANT(ldlg2),
	D9(0xed) = CONSTANT(ldln2),
	D9(0xee) = CONSTANT(ldz),
	D9(0xf0) = {x87_exec_unary, x87_host_2xm1},
	D9(0xf1) = {x87_exec_two_pop, x87_host_yl2x},
	D9(0xf2) = {x87_exec_push, x87_host_ptan, .take = X87_C2},
	D9(0xf3) = {x87_exec_two_pop, x87_host_patan},
	D9(0xf4) = {x87_exec_push, x87_host_xtract},
	D9(0xf5) = {x87_exec_two, x87_host_prem1, .take = CONDITIONS3},
	D9(0xf6) = {x87_exec_rotate},
	D9(0xf7) = {x87_exec_rotate},
	D9(0xf8) = {x87_exec_two, x87_host_prem, .take = CONDITIONS3},
	D9(0xf9) = {x87_exec_two_pop, x87_host_yl2xp1},
	D9(0xfa) = {x87_exec_unary, x87_host_sqrt},
	D9(0xfb) = {x87_exec_push, x87_host_sincos, .take = X87_C2},
	D9(0xfc) = {x87_exec_unary, x87_host_rndint},
	D9(0xfd) = {x87_exec_two, x87_host_scale},
	D9(0xfe) = {x87_exec_unary, x87_host_sin, .take = X87_C2},
	D9(0xff) = {x87_exec_unary, x87_host_cos, .take = X87_C2},
};
/* clang-format on */

x86_exec *x86_select_x87(const ZydisDecodedInstruction *decoded,
			 const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	const struct x87_row *row;
	unsigned number;

	if (decoded->mnemonic == ZYDIS_MNEMONIC_FWAIT)
		return exec_wait;
	if (decoded->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || (decoded->opcode & ~7) != 0xd8)
		return NULL;
	number = (decoded->opcode & 7u) * 8 + decoded->raw.modrm.reg;
	if (decoded->raw.modrm.mod == 3) {
		number += ROW_REGISTER;
		insn->rm = decoded->raw.modrm.rm;
		if (decoded->opcode == 0xd9 && decoded->raw.modrm.reg >= 4) {
			number = ROW_D9_E0 + (decoded->raw.modrm.reg - 4u) * 8 +
				 decoded->raw.modrm.rm;
			insn->rm = 0;
		}
	}
	row = &x86_x87_rows[number];
	insn->extra = (uint8_t)number;
	insn->size = row->size ? row->size : (uint8_t)(decoded->operand_width == 16 ? 2 : 4);
	insn->imm = (decoded->opcode & 7) << 8 | decoded->raw.modrm.mod << 6 |
		    decoded->raw.modrm.reg << 3 | decoded->raw.modrm.rm;
	return row->exec;
}
