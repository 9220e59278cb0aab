/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ROL ROR RCL RCR SHL SHR SAR SHLD SHRD. A count of zero changes no flag. */
#include "x86/integer.h"

enum shift {
	SHIFT_ROL,
	SHIFT_ROR,
	SHIFT_RCL,
	SHIFT_RCR,
	SHIFT_SHL,
	SHIFT_SHR,
	SHIFT_SAR,
	NR_SHIFT
};

ALWAYS_INLINE bool top_bit(uint64_t value, unsigned size)
{
	return value >> (8 * size - 1) & 1;
}

/* OF is set for every count as the manual sets it for a count of one. */
ALWAYS_INLINE void set_shift_flags(struct x86_cpu *cpu, unsigned size, uint64_t result, bool carry,
				   bool overflow)
{
	set_cc_explicit(cpu, sign_extend(result, size),
			(uint64_t)carry * RFLAGS_CF + (uint64_t)overflow * RFLAGS_OF);
}

/* Rotates leave SF, ZF, AF and PF alone. */
ALWAYS_INLINE void set_rotate_flags(struct x86_cpu *cpu, bool carry, bool overflow)
{
	x86_change_flags(cpu, RFLAGS_CF | RFLAGS_OF,
			 (carry ? RFLAGS_CF : 0) | (overflow ? RFLAGS_OF : 0));
}

ALWAYS_INLINE uint64_t rotate(struct x86_cpu *cpu, enum shift op, unsigned size, uint64_t value,
			      unsigned count)
{
	unsigned bits = 8 * size, n = count % bits;
	uint64_t result = value;

	if (n && op == SHIFT_ROL)
		result = zero_extend(value << n | value >> (bits - n), size);
	else if (n)
		result = zero_extend(value >> n | value << (bits - n), size);
	if (op == SHIFT_ROL)
		set_rotate_flags(cpu, result & 1, top_bit(result, size) != (result & 1));
	else
		set_rotate_flags(cpu, top_bit(result, size),
				 top_bit(result, size) != (result >> (bits - 2) & 1));
	return result;
}

/* Through carry: a rotation of bits + 1 bits. */
ALWAYS_INLINE uint64_t rotate_carry(struct x86_cpu *cpu, enum shift op, unsigned size,
				    uint64_t value, unsigned count)
{
	unsigned bits = 8 * size, n = count % (bits + 1);
	bool carry = x86_carry(cpu);

	for (; n; n--) {
		bool out;

		if (op == SHIFT_RCL) {
			out = top_bit(value, size);
			value = zero_extend(value << 1 | carry, size);
		} else {
			out = value & 1;
			value = value >> 1 | (uint64_t)carry << (bits - 1);
		}
		carry = out;
	}
	if (op == SHIFT_RCL)
		set_rotate_flags(cpu, carry, top_bit(value, size) != carry);
	else
		set_rotate_flags(cpu, carry, top_bit(value, size) != (value >> (bits - 2) & 1));
	return value;
}

ALWAYS_INLINE uint64_t shift(struct x86_cpu *cpu, enum shift op, unsigned size, uint64_t value,
			     unsigned count)
{
	unsigned bits = 8 * size;
	uint64_t result;
	bool carry;

	count &= size == 8 ? 63 : 31;
	if (!count)
		return value;
	switch (op) {
	case SHIFT_SHL:
		/* Bytes and words can be shifted out altogether. */
		carry = count <= bits && value >> (bits - count) & 1;
		result = zero_extend(value << count, size);
		set_shift_flags(cpu, size, result, carry, top_bit(result, size) != carry);
		return result;
	case SHIFT_SHR:
		carry = value >> (count - 1) & 1;
		result = value >> count;
		set_shift_flags(cpu, size, result, carry, top_bit(value, size));
		return result;
	case SHIFT_SAR:
		value = sign_extend(value, size);
		carry = (int64_t)value >> (count - 1) & 1;
		result = (uint64_t)((int64_t)value >> count);
		set_shift_flags(cpu, size, result, carry, false);
		return result;
	case SHIFT_ROL:
	case SHIFT_ROR: return rotate(cpu, op, size, value, count);
	default: return rotate_carry(cpu, op, size, value, count);
	}
}

ALWAYS_INLINE enum x86_result shift_any(struct x86_cpu *cpu, const struct x86_insn *insn,
					enum shift op, bool memory, bool by_cl, unsigned size)
{
	unsigned count = by_cl ? (uint8_t)cpu->gpr[X86_RCX] : (uint8_t)insn->imm;
	struct x86_rmw rmw;
	uint64_t old;

	if (!memory) {
		reg_set(cpu, insn->rm, size,
			shift(cpu, op, size, reg_get(cpu, insn->rm, size), count));
		return X86_DONE;
	}
	if (!x86_rmw_begin(cpu, insn->segment, x86_effective_address(cpu, insn), size, &rmw, &old))
		return X86_FAULT;
	x86_rmw_end(cpu, &rmw, shift(cpu, op, size, old, count));
	return X86_DONE;
}

#define FOR_SHIFTS(M) M(ROL) M(ROR) M(RCL) M(RCR) M(SHL) M(SHR) M(SAR)
#define DEFINE_SHIFT(op)                                                                           \
	DEFINE_PURE_THREADS(op##_ri, shift_any, SHIFT_##op, false, false, )                        \
	DEFINE_PURE_THREADS(op##_rc, shift_any, SHIFT_##op, false, true, )                         \
	DEFINE_THREADS(op##_mi, shift_any, SHIFT_##op, true, false, )                              \
	DEFINE_THREADS(op##_mc, shift_any, SHIFT_##op, true, true, )

FOR_SHIFTS(DEFINE_SHIFT)

#define LIST_SHIFT(op)                                                                             \
	[SHIFT_##op] = {{LIST_SIZES(op##_ri), LIST_SIZES(op##_rc)},                                \
			{LIST_SIZES(op##_mi), LIST_SIZES(op##_mc)}},

static x86_thread *const shift_functions[NR_SHIFT][2][2][NR_SIZES] = {FOR_SHIFTS(LIST_SHIFT)};

/* SHLD and SHRD: the source's bits follow from the other side. */
ALWAYS_INLINE uint64_t double_shift(struct x86_cpu *cpu, bool left, unsigned size, uint64_t dest,
				    uint64_t source, unsigned count)
{
	unsigned bits = 8 * size;
	uint64_t result;
	bool carry;

	count &= size == 8 ? 63 : 31;
	if (!count)
		return dest;
	if (count > bits) /* words by more than 16: undefined; as if the operand were repeated */
		count -= bits;
	if (left) {
		carry = dest >> (bits - count) & 1;
		result = count == bits ? source : dest << count | source >> (bits - count);
	} else {
		carry = dest >> (count - 1) & 1;
		result = count == bits ? source : dest >> count | source << (bits - count);
	}
	result = zero_extend(result, size);
	set_shift_flags(cpu, size, result, carry, top_bit(result, size) != top_bit(dest, size));
	return result;
}

ALWAYS_INLINE enum x86_result double_any(struct x86_cpu *cpu, const struct x86_insn *insn,
					 bool left, bool by_cl, unsigned size)
{
	unsigned count = by_cl ? (uint8_t)cpu->gpr[X86_RCX] : (uint8_t)insn->imm;
	struct x86_rmw rmw;
	uint64_t old;

	if (!modify_begin(cpu, insn, size, &rmw, &old))
		return X86_FAULT;
	modify_end(cpu, insn, size, &rmw,
		   double_shift(cpu, left, size, old, reg_get(cpu, insn->reg, size), count));
	return X86_DONE;
}

DEFINE_SIZES(shld_i, double_any, true, false, )
DEFINE_SIZES(shld_c, double_any, true, true, )
DEFINE_SIZES(shrd_i, double_any, false, false, )
DEFINE_SIZES(shrd_c, double_any, false, true, )

static x86_exec *const double_functions[2][2][NR_SIZES] = {
	{LIST_SIZES(shrd_i), LIST_SIZES(shrd_c)},
	{LIST_SIZES(shld_i), LIST_SIZES(shld_c)},
};

x86_exec *x86_select_shift(const ZydisDecodedInstruction *decoded,
			   const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	bool by_cl =
		decoded->operand_count_visible > 0 &&
		operands[decoded->operand_count_visible - 1].type == ZYDIS_OPERAND_TYPE_REGISTER;
	unsigned op;

	switch (decoded->mnemonic) {
	case ZYDIS_MNEMONIC_ROL: op = SHIFT_ROL; break;
	case ZYDIS_MNEMONIC_ROR: op = SHIFT_ROR; break;
	case ZYDIS_MNEMONIC_RCL: op = SHIFT_RCL; break;
	case ZYDIS_MNEMONIC_RCR: op = SHIFT_RCR; break;
	case ZYDIS_MNEMONIC_SHL: op = SHIFT_SHL; break;
	case ZYDIS_MNEMONIC_SHR: op = SHIFT_SHR; break;
	case ZYDIS_MNEMONIC_SAR: op = SHIFT_SAR; break;
	case ZYDIS_MNEMONIC_SHLD: return double_functions[1][by_cl][size_index(insn->size)];
	case ZYDIS_MNEMONIC_SHRD: return double_functions[0][by_cl][size_index(insn->size)];
	default: return NULL;
	}
	return x86_threaded(insn, shift_functions[op][insn->memory][by_cl][size_index(insn->size)]);
}
