/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MUL IMUL DIV IDIV. Flags that the manual leaves undefined: by the low half, or unchanged. */
#include "x86/integer.h"

typedef unsigned __int128 uint128;
typedef __int128 int128;

ALWAYS_INLINE void set_multiply_flags(struct x86_cpu *cpu, uint64_t low, unsigned size,
				      bool overflow)
{
	set_cc_explicit(cpu, sign_extend(low, size), overflow ? RFLAGS_CF | RFLAGS_OF : 0);
}

/* rAX by the operand; the product goes to rDX:rAX, of bytes to AX. */
ALWAYS_INLINE enum x86_result multiply(struct x86_cpu *cpu, const struct x86_insn *insn,
				       bool is_signed, unsigned size)
{
	uint64_t source, factor = reg_get(cpu, X86_RAX, size), low, high;
	bool overflow;

	if (!load_rm(cpu, insn, size, &source))
		return X86_FAULT;
	if (is_signed) {
		int128 product = (int128)(int64_t)sign_extend(factor, size) *
				 (int64_t)sign_extend(source, size);

		low = (uint64_t)product;
		high = (uint64_t)(product >> (8 * size));
		overflow = product != (int64_t)sign_extend(low, size);
	} else {
		uint128 product = (uint128)factor * source;

		low = (uint64_t)product;
		high = (uint64_t)(product >> (8 * size));
		overflow = high != 0;
	}
	if (size == 1) {
		reg_set(cpu, X86_RAX, 2, low);
	} else {
		reg_set(cpu, X86_RAX, size, low);
		reg_set(cpu, X86_RDX, size, high);
	}
	set_multiply_flags(cpu, low, size, overflow);
	return X86_DONE;
}

/* IMUL with two or three operands. */
ALWAYS_INLINE enum x86_result multiply_to(struct x86_cpu *cpu, const struct x86_insn *insn,
					  bool by_imm, unsigned size)
{
	uint64_t source, factor;
	int128 product;

	if (!load_rm(cpu, insn, size, &source))
		return X86_FAULT;
	factor = by_imm ? (uint64_t)insn->imm : reg_get(cpu, insn->reg, size);
	product = (int128)(int64_t)sign_extend(factor, size) * (int64_t)sign_extend(source, size);
	reg_set(cpu, insn->reg, size, (uint64_t)product);
	set_multiply_flags(cpu, (uint64_t)product, size,
			   product != (int64_t)sign_extend((uint64_t)product, size));
	return X86_DONE;
}

/* #DE: by zero, or the quotient does not fit. */
ALWAYS_INLINE enum x86_result divide(struct x86_cpu *cpu, const struct x86_insn *insn,
				     bool is_signed, unsigned size)
{
	uint64_t divisor, high, low, quotient, remainder;
	unsigned bits = 8 * size;
	uint128 dividend;

	if (!load_rm(cpu, insn, size, &divisor))
		return X86_FAULT;
	if (!divisor)
		return x86_raise(cpu, X86_DE);
	if (size == 1) {
		low = reg_get(cpu, X86_RAX, 1);
		high = (uint8_t)(cpu->gpr[X86_RAX] >> 8);
	} else {
		low = reg_get(cpu, X86_RAX, size);
		high = reg_get(cpu, X86_RDX, size);
	}

	if (is_signed) {
		int128 wide = (int128)((uint128)(int64_t)sign_extend(high, size) << bits | low);
		int64_t by = (int64_t)sign_extend(divisor, size);
		int128 result;

		/* The one quotient that 128 bits do not hold. */
		if (by == -1 && wide == (int128)((uint128)1 << 127))
			return x86_raise(cpu, X86_DE);
		result = wide / by;
		if (result != (int64_t)sign_extend((uint64_t)result, size))
			return x86_raise(cpu, X86_DE);
		quotient = (uint64_t)result;
		remainder = (uint64_t)(wide % by);
	} else {
		if (high >= divisor)
			return x86_raise(cpu, X86_DE);
		dividend = (uint128)high << bits | low;
		if (size == 8 && high) {
			quotient = (uint64_t)(dividend / divisor);
			remainder = (uint64_t)(dividend % divisor);
		} else {
			quotient = (uint64_t)dividend / divisor;
			remainder = (uint64_t)dividend % divisor;
		}
	}
	if (size == 1) {
		reg_set(cpu, X86_RAX, 2, (uint8_t)quotient | (remainder & 0xff) << 8);
	} else {
		reg_set(cpu, X86_RAX, size, quotient);
		reg_set(cpu, X86_RDX, size, remainder);
	}
	return X86_DONE;
}

DEFINE_THREADS(mul, multiply, false, )
DEFINE_THREADS(imul, multiply, true, )
DEFINE_THREADS(imul_reg, multiply_to, false, )
DEFINE_THREADS(imul_imm, multiply_to, true, )
DEFINE_THREADS(div, divide, false, )
DEFINE_THREADS(idiv, divide, true, )

static x86_thread *const mul_functions[NR_SIZES] = LIST_SIZES(mul);
static x86_thread *const imul_functions[NR_SIZES] = LIST_SIZES(imul);
static x86_thread *const imul_to_functions[2][NR_SIZES] = {LIST_SIZES(imul_reg),
							   LIST_SIZES(imul_imm)};
static x86_thread *const div_functions[NR_SIZES] = LIST_SIZES(div);
static x86_thread *const idiv_functions[NR_SIZES] = LIST_SIZES(idiv);

x86_exec *x86_select_multiply(const ZydisDecodedInstruction *decoded,
			      const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	unsigned size, visible = decoded->operand_count_visible;

	switch (decoded->mnemonic) {
	case ZYDIS_MNEMONIC_MUL:
	case ZYDIS_MNEMONIC_IMUL:
	case ZYDIS_MNEMONIC_DIV:
	case ZYDIS_MNEMONIC_IDIV: size = size_index(insn->size); break;
	default: return NULL;
	}
	/* One-operand forms: F6 and F7; whether the accumulator is listed makes no difference. */
	if (!insn->memory && (decoded->opcode & 0xfe) == 0xf6) {
		for (unsigned i = 0; i < visible; i++)
			if (operands[i].encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
				insn->rm = x86_register_number(operands[i].reg.value);
	}
	switch (decoded->mnemonic) {
	case ZYDIS_MNEMONIC_MUL: return x86_threaded(insn, mul_functions[size]);
	case ZYDIS_MNEMONIC_DIV: return x86_threaded(insn, div_functions[size]);
	case ZYDIS_MNEMONIC_IDIV: return x86_threaded(insn, idiv_functions[size]);
	default: break;
	}
	if (decoded->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (decoded->opcode & 0xfe) == 0xf6)
		return x86_threaded(insn, imul_functions[size]);
	return x86_threaded(insn, imul_to_functions[operands[visible - 1].type ==
						    ZYDIS_OPERAND_TYPE_IMMEDIATE][size]);
}
