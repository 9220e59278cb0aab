/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87: loads, stores, constants and what moves registers. */
#include "x86/x87_row.h"

/* Pushes @value, or what the manual has instead of it when the stack is full. */
static enum x86_result push(struct x86_cpu *cpu, const struct x86_insn *insn,
			    struct x86_x87_register value, uint16_t status)
{
	struct x86_x87 *x87 = &cpu->x87;

	if (__builtin_expect(x87_is_used(x87, X87_NR_REGISTERS - 1), 0)) {
		if (x87_overflow(cpu, insn))
			x87_push(x87, X87_INDEFINITE);
		return X86_DONE;
	}
	if (!(x87_report(cpu, insn, status, 0) & X87_BEFORE))
		x87_push(x87, value);
	return X86_DONE;
}

/* FLD, FILD, FBLD. */
enum x86_result x87_exec_load(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87_register memory = {}, value = {};
	uint16_t status;

	X87_CHECK(cpu, insn);
	if (!x86_load_slow(cpu, insn->segment, x86_effective_address(cpu, insn), insn->size,
			   &memory))
		return X86_FAULT;
	x87_note(cpu, insn);
	status = x87_row(insn)->host(&value, &memory, cpu->x87.control);
	return push(cpu, insn, value, status & (uint16_t)~X87_C1);
}

enum x86_result x87_exec_load_80(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87_register value = {};

	X87_CHECK(cpu, insn);
	if (!x86_load_slow(cpu, insn->segment, x86_effective_address(cpu, insn), insn->size,
			   &value))
		return X86_FAULT;
	x87_note(cpu, insn);
	return push(cpu, insn, value, 0);
}

enum x86_result x87_exec_load_st(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87_register value;

	X87_CHECK(cpu, insn);
	x87_note(cpu, insn);
	value = *x87_st(&cpu->x87, insn->rm);
	if (!x87_is_used(&cpu->x87, insn->rm)) {
		if (x87_underflow(cpu, insn))
			x87_push(&cpu->x87, X87_INDEFINITE);
		return X86_DONE;
	}
	return push(cpu, insn, value, 0);
}

enum x86_result x87_exec_constant(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87_register value = {}, scratch;

	X87_CHECK(cpu, insn);
	x87_note(cpu, insn);
	x87_row(insn)->host(&value, &scratch, cpu->x87.control);
	return push(cpu, insn, value, 0);
}

/* What an empty register stores: "indefinite" of the format. */
static void indefinite(const struct x87_row *row, void *memory)
{
	static const uint8_t bcd[10] = {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff};
	static const uint32_t real_32 = 0xffc00000;
	static const uint64_t real_64 = 0xfff8000000000000, integer = 1ull << 63;

	if (row->size == sizeof(bcd))
		memcpy(memory, bcd, sizeof(bcd));
	else if (row->flags & X87_INTEGER)
		memcpy(memory, (const uint8_t *)&integer + sizeof(integer) - row->size, row->size);
	else if (row->size == sizeof(real_32))
		memcpy(memory, &real_32, sizeof(real_32));
	else
		memcpy(memory, &real_64, sizeof(real_64));
}

static bool store(struct x86_cpu *cpu, const struct x86_insn *insn, const void *bytes)
{
	return x86_store_slow(cpu, insn->segment, x86_effective_address(cpu, insn), insn->size,
			      bytes);
}

/*
 * An unmasked exception keeps memory as it is. On AMD's processors a fault of the operand comes
 * before it; Intel's never get as far as the operand.
 */
static bool may_store(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if (!x86_is_amd(cpu))
		return true;
	return x86_operand(cpu, insn->segment, x86_effective_address(cpu, insn), insn->size,
			   HW_WRITE);
}

/* FST, FIST, FISTTP, FBSTP. Where memory refuses the operand no exception is reported. */
enum x86_result x87_exec_store(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	const struct x87_row *row = x87_row(insn);
	struct x86_x87 *x87 = &cpu->x87;
	struct x86_x87_register memory = {}, a;
	uint16_t status, hindrance;

	X87_CHECK(cpu, insn);
	if (x87_is_used(x87, 0)) {
		a = *x87_st(x87, 0);
		status = row->host(&a, &memory, x87->control);
	} else {
		indefinite(row, &memory);
		status = X87_IE | X87_SF;
	}
	hindrance = status & X87_FLAGS & ~x87->control & (uint16_t)~X87_PE;
	if (!(hindrance ? may_store(cpu, insn) : store(cpu, insn, &memory)))
		return X86_FAULT;
	x87_note(cpu, insn);
	x87_report(cpu, insn, status, 0);
	if (!hindrance && row->flags & X87_POP)
		x87_pop(x87);
	return X86_DONE;
}

enum x86_result x87_exec_store_80(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87 *x87 = &cpu->x87;
	struct x86_x87_register value;
	bool used, stored;

	X87_CHECK(cpu, insn);
	used = x87_is_used(x87, 0);
	value = used ? *x87_st(x87, 0) : X87_INDEFINITE;
	stored = used || x87->control & X87_IE;
	if (!(stored ? store(cpu, insn, &value) : may_store(cpu, insn)))
		return X86_FAULT;
	x87_note(cpu, insn);
	x87_report(cpu, insn, used ? 0 : X87_IE | X87_SF, 0);
	if (stored)
		x87_pop(x87);
	return X86_DONE;
}

/* FST, FSTP ST(i). */
enum x86_result x87_exec_store_st(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	const struct x87_row *row = x87_row(insn);
	struct x86_x87 *x87 = &cpu->x87;
	struct x86_x87_register value;

	X87_CHECK(cpu, insn);
	x87_note(cpu, insn);
	value = *x87_st(x87, 0);
	x87->status &= (uint16_t)~X87_C1;
	if (x87_is_used(x87, 0)) {
		x87_set(x87, insn->rm, value);
	} else if (!(row->flags & X87_QUIET)) {
		if (!x87_underflow(cpu, insn))
			return X86_DONE;
		x87_set(x87, insn->rm, X87_INDEFINITE);
	}
	if (row->flags & X87_POP)
		x87_pop(x87);
	return X86_DONE;
}

enum x86_result x87_exec_exchange(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87 *x87 = &cpu->x87;
	struct x86_x87_register first, second;

	X87_CHECK(cpu, insn);
	x87_note(cpu, insn);
	first = x87_is_used(x87, 0) ? *x87_st(x87, 0) : X87_INDEFINITE;
	second = x87_is_used(x87, insn->rm) ? *x87_st(x87, insn->rm) : X87_INDEFINITE;
	if (!x87_is_used(x87, 0) || !x87_is_used(x87, insn->rm)) {
		if (!x87_underflow(cpu, insn))
			return X86_DONE;
	} else {
		x87->status &= (uint16_t)~X87_C1;
	}
	x87_set(x87, 0, second);
	x87_set(x87, insn->rm, first);
	return X86_DONE;
}

/* FFREE; FFREEP pops after it. */
enum x86_result x87_exec_free(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87 *x87 = &cpu->x87;

	X87_CHECK(cpu, insn);
	x87_note(cpu, insn);
	x87->used &= (uint8_t) ~(1u << x87_number(x87, insn->rm));
	x87->status &= (uint16_t)~X87_C1; /* undefined: as processors have it */
	if (x87_row(insn)->flags & X87_POP)
		x87_pop(x87);
	return X86_DONE;
}

/* FCMOVcc: bits 0 and 1 of the opcode's condition are in ModRM.reg, DB has the negated ones. */
enum x86_result x87_exec_move_if(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	static const uint8_t conditions[8] = {X86_COND_B,  X86_COND_Z,  X86_COND_BE,  X86_COND_P,
					      X86_COND_NB, X86_COND_NZ, X86_COND_NBE, X86_COND_NP};
	unsigned negated = insn->imm >> 8 & 1; /* DA or DB */
	unsigned condition = conditions[negated << 2 | (insn->imm >> 3 & 3)];
	struct x86_x87 *x87 = &cpu->x87;

	X87_CHECK(cpu, insn);
	x87_note(cpu, insn);
	if (!x87_is_used(x87, 0) || !x87_is_used(x87, insn->rm)) {
		if (x87_underflow(cpu, insn))
			x87_set(x87, 0, X87_INDEFINITE);
		return X86_DONE;
	}
	if (x86_condition(cpu, condition))
		x87_set(x87, 0, *x87_st(x87, insn->rm));
	return X86_DONE;
}

/* FDECSTP D9F6, FINCSTP D9F7. */
enum x86_result x87_exec_rotate(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87 *x87 = &cpu->x87;

	X87_CHECK(cpu, insn);
	x87_note(cpu, insn);
	x87->top = (uint8_t)x87_number(x87, insn->imm & 1 ? 1 : X87_NR_REGISTERS - 1);
	x87->status &= (uint16_t)~X87_C1;
	return X86_DONE;
}

enum x86_result x87_exec_nop(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	X87_CHECK(cpu, insn);
	x87_note(cpu, insn);
	return X86_DONE;
}
