/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x87: what computes and compares. Each looks for empty registers first, lets the host compute,
 * reports the exceptions, and takes the result over unless an unmasked one forbids it.
 */
#include "x86/x87_row.h"

static void pop_as_row_says(struct x86_cpu *cpu, const struct x87_row *row)
{
	if (row->flags & (X87_POP | X87_POP_TWICE))
		x87_pop(&cpu->x87);
	if (row->flags & X87_POP_TWICE)
		x87_pop(&cpu->x87);
}

/* FPREM tells a quotient's bits only if there is one. */
static uint16_t conditions_of(const struct x87_row *row, const struct x86_x87_register *result)
{
	bool is_nan = (result->exponent & 0x7fff) == 0x7fff && result->significand << 1;

	return is_nan ? row->take & X87_C2 : row->take;
}

/* ST(@to) = ST(@to) op @other, which is in a register or in memory. */
static enum x86_result compute(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned to,
			       void *other, bool other_is_used)
{
	const struct x87_row *row = x87_row(insn);
	struct x86_x87 *x87 = &cpu->x87;
	struct x86_x87_register a;
	uint16_t status;

	x87_note(cpu, insn);
	if (__builtin_expect(!other_is_used || !x87_is_used(x87, to), 0)) {
		if (!x87_underflow(cpu, insn))
			return X86_DONE;
		a = X87_INDEFINITE;
	} else {
		a = *x87_st(x87, to);
		status = row->host(&a, other, x87->control);
		if (x87_report(cpu, insn, status, conditions_of(row, &a)) & X87_BEFORE)
			return X86_DONE;
	}
	x87_set(x87, to, a);
	pop_as_row_says(cpu, row);
	return X86_DONE;
}

enum x86_result x87_exec_arithmetic(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	bool to_i = x87_row(insn)->flags & X87_TO_I;
	struct x86_x87_register other;
	unsigned from;

	X87_CHECK(cpu, insn);
	from = to_i ? 0 : insn->rm;
	other = *x87_st(&cpu->x87, from);
	return compute(cpu, insn, to_i ? insn->rm : 0, &other, x87_is_used(&cpu->x87, from));
}

union number {
	uint8_t bytes[16];
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
};

static bool load_number(struct x86_cpu *cpu, const struct x86_insn *insn, union number *ret)
{
	return x86_load(cpu, insn->segment, x86_effective_address(cpu, insn), insn->size,
			&ret->u64);
}

enum x86_result x87_exec_arithmetic_memory(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	union number number;

	X87_CHECK(cpu, insn);
	if (!load_number(cpu, insn, &number))
		return X86_FAULT;
	return compute(cpu, insn, 0, &number, true);
}

/* Conversion of an integer is exact whatever the control word says. */
static bool load_integer(struct x86_cpu *cpu, const struct x86_insn *insn,
			 struct x86_x87_register *ret)
{
	x87_host *convert = insn->size == 2 ? x87_host_ild_16 : x87_host_ild_32;
	union number number;

	if (!load_number(cpu, insn, &number))
		return false;
	convert(ret, &number, X87_CONTROL_AT_INIT);
	return true;
}

enum x86_result x87_exec_arithmetic_integer(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87_register other = {};

	X87_CHECK(cpu, insn);
	if (!load_integer(cpu, insn, &other))
		return X86_FAULT;
	return compute(cpu, insn, 0, &other, true);
}

/* "Unordered" is the answer to an empty register. False: an unmasked exception, no answer. */
static bool compare_with(struct x86_cpu *cpu, const struct x86_insn *insn, void *other,
			 bool other_is_used, uint16_t take, uint16_t *ret_conditions)
{
	const uint16_t unordered = X87_C0 | X87_C2 | X87_C3;
	struct x86_x87 *x87 = &cpu->x87;
	struct x86_x87_register a;
	uint16_t status;

	x87_note(cpu, insn);
	if (!other_is_used || !x87_is_used(x87, 0))
		status = X87_IE | X87_SF | unordered;
	else
		status = x87_row(insn)->host((a = *x87_st(x87, 0), &a), other, x87->control) &
			 (uint16_t)~X87_C1;
	*ret_conditions = status & unordered;
	return !(x87_report(cpu, insn, status, take) & X87_BEFORE);
}

static enum x86_result compare(struct x86_cpu *cpu, const struct x86_insn *insn, void *other,
			       bool other_is_used)
{
	uint16_t conditions;

	if (compare_with(cpu, insn, other, other_is_used, X87_C0 | X87_C2 | X87_C3, &conditions))
		pop_as_row_says(cpu, x87_row(insn));
	return X86_DONE;
}

enum x86_result x87_exec_compare(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87_register other;

	X87_CHECK(cpu, insn);
	other = *x87_st(&cpu->x87, insn->rm);
	return compare(cpu, insn, &other, x87_is_used(&cpu->x87, insn->rm));
}

enum x86_result x87_exec_compare_memory(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	union number number;

	X87_CHECK(cpu, insn);
	if (!load_number(cpu, insn, &number))
		return X86_FAULT;
	return compare(cpu, insn, &number, true);
}

enum x86_result x87_exec_compare_integer(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87_register other = {};

	X87_CHECK(cpu, insn);
	if (!load_integer(cpu, insn, &other))
		return X86_FAULT;
	return compare(cpu, insn, &other, true);
}

enum x86_result x87_exec_tst(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87_register scratch;

	X87_CHECK(cpu, insn);
	return compare(cpu, insn, &scratch, true);
}

/* FCOMI and its like: C3, C2, C0 as ZF, PF, CF; OF, SF and AF become 0. */
enum x86_result x87_exec_compare_flags(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87_register other;
	uint16_t conditions;

	X87_CHECK(cpu, insn);
	other = *x87_st(&cpu->x87, insn->rm);
	if (!compare_with(cpu, insn, &other, x87_is_used(&cpu->x87, insn->rm), 0, &conditions))
		return X86_DONE;
	x86_change_flags(cpu, RFLAGS_ARITHMETIC,
			 (conditions & X87_C3 ? RFLAGS_ZF : 0) |
				 (conditions & X87_C2 ? RFLAGS_PF : 0) |
				 (conditions & X87_C0 ? RFLAGS_CF : 0));
	pop_as_row_says(cpu, x87_row(insn));
	return X86_DONE;
}

/* SDM 2 FXAM */
enum x86_result x87_exec_xam(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	const struct x86_x87_register *st = x87_st(&cpu->x87, 0);
	unsigned exponent = st->exponent & 0x7fff;
	uint16_t class;

	X87_CHECK(cpu, insn);
	x87_note(cpu, insn);
	if (!x87_is_used(&cpu->x87, 0))
		class = X87_C3 | X87_C0;
	else if (exponent == 0)
		class = st->significand ? X87_C3 | X87_C2 : X87_C3;
	else if (!(st->significand >> 63)) /* a format of the 8087 that is invalid now */
		class = 0;
	else if (exponent == 0x7fff)
		class = st->significand << 1 ? X87_C0 : X87_C2 | X87_C0;
	else
		class = X87_C2;
	if (st->exponent >> 15)
		class |= X87_C1;
	x87_report(cpu, insn, class, X87_CONDITIONS);
	return X86_DONE;
}

/* FCHS, FABS: bits, whatever the register holds. */
enum x86_result x87_exec_sign(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87_register *st = x87_st(&cpu->x87, 0);
	bool change = !(insn->imm & 1); /* D9E0 FCHS, D9E1 FABS */

	X87_CHECK(cpu, insn);
	x87_note(cpu, insn);
	if (!x87_is_used(&cpu->x87, 0)) {
		if (x87_underflow(cpu, insn))
			x87_set(&cpu->x87, 0, X87_INDEFINITE);
		return X86_DONE;
	}
	st->exponent = change ? st->exponent ^ 0x8000 : st->exponent & 0x7fff;
	cpu->x87.status &= (uint16_t)~X87_C1;
	return X86_DONE;
}

enum x86_result x87_exec_unary(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87_register scratch;

	X87_CHECK(cpu, insn);
	return compute(cpu, insn, 0, &scratch, true);
}

/* ST(0) = ST(0) op ST(1) */
enum x86_result x87_exec_two(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87_register other;

	X87_CHECK(cpu, insn);
	other = *x87_st(&cpu->x87, 1);
	return compute(cpu, insn, 0, &other, x87_is_used(&cpu->x87, 1));
}

/* ST(1) = ST(0) op ST(1), then ST(0) is popped. */
enum x86_result x87_exec_two_pop(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87 *x87 = &cpu->x87;
	struct x86_x87_register a, b;

	X87_CHECK(cpu, insn);
	x87_note(cpu, insn);
	if (!x87_is_used(x87, 0) || !x87_is_used(x87, 1)) {
		if (!x87_underflow(cpu, insn))
			return X86_DONE;
		a = X87_INDEFINITE;
	} else {
		a = *x87_st(x87, 0);
		b = *x87_st(x87, 1);
		if (x87_report(cpu, insn, x87_row(insn)->host(&a, &b, x87->control), 0) &
		    X87_BEFORE)
			return X86_DONE;
	}
	x87_set(x87, 1, a);
	x87_pop(x87);
	return X86_DONE;
}

/* FPTAN, FSINCOS, FXTRACT: two results, of which the second is pushed. */
enum x86_result x87_exec_push(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	const struct x87_row *row = x87_row(insn);
	struct x86_x87 *x87 = &cpu->x87;
	struct x86_x87_register a, b;
	uint16_t status;

	X87_CHECK(cpu, insn);
	x87_note(cpu, insn);
	if (!x87_is_used(x87, 0) || x87_is_used(x87, X87_NR_REGISTERS - 1)) {
		if (!(x87_is_used(x87, 0) ? x87_overflow(cpu, insn) : x87_underflow(cpu, insn)))
			return X86_DONE;
		a = b = X87_INDEFINITE;
	} else {
		a = *x87_st(x87, 0);
		status = row->host(&a, &b, x87->control);
		if (x87_report(cpu, insn, status, row->take) & X87_BEFORE ||
		    status & row->take & X87_C2)
			return X86_DONE;
	}
	x87_set(x87, 0, b);
	x87_push(x87, a);
	return X86_DONE;
}
