/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ADD OR ADC SBB AND SUB XOR CMP TEST, and INC DEC NEG NOT. */
#include "x86/integer.h"

enum alu {
	ALU_ADD,
	ALU_OR,
	ALU_ADC,
	ALU_SBB,
	ALU_AND,
	ALU_SUB,
	ALU_XOR,
	ALU_CMP,
	ALU_TEST,
	NR_ALU
};

/* CMP and TEST only set flags. */
ALWAYS_INLINE bool writes(enum alu op)
{
	return op != ALU_CMP && op != ALU_TEST;
}

ALWAYS_INLINE uint64_t sign_flag(uint64_t value, uint64_t flag)
{
	return (int64_t)value < 0 ? flag : 0;
}

ALWAYS_INLINE uint64_t alu(struct x86_cpu *cpu, enum alu op, unsigned size, uint64_t dest,
			   uint64_t source)
{
	uint64_t result, flags;
	bool carry;

	dest = sign_extend(dest, size);
	source = sign_extend(source, size);
	switch (op) {
	case ALU_ADD:
		result = sign_extend(dest + source, size);
		set_cc(cpu, X86_CC_ADD, result, source, dest);
		break;
	case ALU_SUB:
	case ALU_CMP:
		result = sign_extend(dest - source, size);
		set_cc(cpu, X86_CC_SUB, result, source, dest);
		break;
	case ALU_ADC:
		carry = x86_carry(cpu);
		result = sign_extend(dest + source + carry, size);
		flags = (carry ? result <= source : result < source) ? RFLAGS_CF : 0;
		flags |= sign_flag((result ^ source) & (result ^ dest), RFLAGS_OF);
		flags |= (result ^ source ^ dest) & RFLAGS_AF;
		set_cc_explicit(cpu, result, flags);
		break;
	case ALU_SBB:
		carry = x86_carry(cpu);
		result = sign_extend(dest - source - carry, size);
		flags = (carry ? dest <= source : dest < source) ? RFLAGS_CF : 0;
		flags |= sign_flag((dest ^ source) & (dest ^ result), RFLAGS_OF);
		flags |= (result ^ source ^ dest) & RFLAGS_AF;
		set_cc_explicit(cpu, result, flags);
		break;
	case ALU_OR:
		result = dest | source;
		set_cc_logic(cpu, result);
		break;
	case ALU_XOR:
		result = dest ^ source;
		set_cc_logic(cpu, result);
		break;
	default:
		result = dest & source;
		set_cc_logic(cpu, result);
		break;
	}
	return result;
}

ALWAYS_INLINE enum x86_result alu_rr(struct x86_cpu *cpu, const struct x86_insn *insn, enum alu op,
				     unsigned size)
{
	uint64_t result =
		alu(cpu, op, size, reg_get(cpu, insn->rm, size), reg_get(cpu, insn->reg, size));

	if (writes(op))
		reg_set(cpu, insn->rm, size, result);
	return X86_DONE;
}

ALWAYS_INLINE enum x86_result alu_ri(struct x86_cpu *cpu, const struct x86_insn *insn, enum alu op,
				     unsigned size)
{
	uint64_t result = alu(cpu, op, size, reg_get(cpu, insn->rm, size), (uint64_t)insn->imm);

	if (writes(op))
		reg_set(cpu, insn->rm, size, result);
	return X86_DONE;
}

ALWAYS_INLINE enum x86_result alu_rm(struct x86_cpu *cpu, const struct x86_insn *insn, enum alu op,
				     enum way way, unsigned size)
{
	enum x86_result found;
	uint64_t result;
	uint8_t *host;

	found = find_operand(cpu, insn, size, HW_READ, way, &host);
	if (found != X86_DONE)
		return found;
	result = alu(cpu, op, size, reg_get(cpu, insn->reg, size), x86_get(host, size));
	if (writes(op))
		reg_set(cpu, insn->reg, size, result);
	return X86_DONE;
}

ALWAYS_INLINE enum x86_result alu_memory(struct x86_cpu *cpu, const struct x86_insn *insn,
					 enum alu op, uint64_t source, enum way way, unsigned size)
{
	enum x86_result found;
	uint64_t result;
	uint8_t *host;

	found = find_operand(cpu, insn, size, writes(op) ? HW_WRITE : HW_READ, way, &host);
	if (found != X86_DONE)
		return found;
	result = alu(cpu, op, size, x86_get(host, size), source);
	if (writes(op)) {
		x86_put(host, size, result);
		if (way == WAY_ANY)
			x86_modified(cpu, host);
	}
	return X86_DONE;
}

ALWAYS_INLINE enum x86_result alu_mr(struct x86_cpu *cpu, const struct x86_insn *insn, enum alu op,
				     enum way way, unsigned size)
{
	return alu_memory(cpu, insn, op, reg_get(cpu, insn->reg, size), way, size);
}

ALWAYS_INLINE enum x86_result alu_mi(struct x86_cpu *cpu, const struct x86_insn *insn, enum alu op,
				     enum way way, unsigned size)
{
	return alu_memory(cpu, insn, op, (uint64_t)insn->imm, way, size);
}

#define FOR_ALU(M) M(ADD) M(OR) M(ADC) M(SBB) M(AND) M(SUB) M(XOR) M(CMP) M(TEST)

#define DEFINE_ALU(op)                                                                             \
	DEFINE_PURE_THREADS(op##_rr, alu_rr, ALU_##op, )                                           \
	DEFINE_PURE_THREADS(op##_ri, alu_ri, ALU_##op, )                                           \
	DEFINE_WAYS_SIZES(op##_rm, alu_rm, ALU_##op, )                                             \
	DEFINE_WAYS_SIZES(op##_mr, alu_mr, ALU_##op, )                                             \
	DEFINE_WAYS_SIZES(op##_mi, alu_mi, ALU_##op, )

FOR_ALU(DEFINE_ALU)

#define LIST_ALU(op)                                                                               \
	[ALU_##op] = {                                                                             \
		[FORM_RR] = LIST_SIZES(op##_rr), [FORM_RI] = LIST_SIZES(op##_ri),                  \
		[FORM_RM] = LIST_SIZES(op##_rm), [FORM_MR] = LIST_SIZES(op##_mr),                  \
		[FORM_MI] = LIST_SIZES(op##_mi),                                                   \
	},

static x86_thread *const alu_functions[NR_ALU][NR_FORMS][NR_SIZES] = {FOR_ALU(LIST_ALU)};

x86_exec *x86_select_alu(const ZydisDecodedInstruction *decoded,
			 const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	enum form form;
	enum alu op;

	switch (decoded->mnemonic) {
	case ZYDIS_MNEMONIC_ADD: op = ALU_ADD; break;
	case ZYDIS_MNEMONIC_OR: op = ALU_OR; break;
	case ZYDIS_MNEMONIC_ADC: op = ALU_ADC; break;
	case ZYDIS_MNEMONIC_SBB: op = ALU_SBB; break;
	case ZYDIS_MNEMONIC_AND: op = ALU_AND; break;
	case ZYDIS_MNEMONIC_SUB: op = ALU_SUB; break;
	case ZYDIS_MNEMONIC_XOR: op = ALU_XOR; break;
	case ZYDIS_MNEMONIC_CMP: op = ALU_CMP; break;
	case ZYDIS_MNEMONIC_TEST: op = ALU_TEST; break;
	default: return NULL;
	}
	form = x86_form(decoded, operands, insn);
	if (form == NR_FORMS)
		return NULL;
	return x86_threaded(insn, alu_functions[op][form][size_index(insn->size)]);
}

/* One operand. */

enum unary { UNARY_INC, UNARY_DEC, UNARY_NEG, UNARY_NOT, NR_UNARY };

ALWAYS_INLINE uint64_t unary(struct x86_cpu *cpu, enum unary op, unsigned size, uint64_t value)
{
	uint64_t flags, result;

	value = sign_extend(value, size);
	switch (op) {
	case UNARY_INC: /* CF stays */
		result = sign_extend(value + 1, size);
		flags = x86_carry(cpu) ? RFLAGS_CF : 0;
		flags |= sign_flag(result & ~value, RFLAGS_OF);
		flags |= (result ^ value ^ 1) & RFLAGS_AF;
		set_cc_explicit(cpu, result, flags);
		return result;
	case UNARY_DEC:
		result = sign_extend(value - 1, size);
		flags = x86_carry(cpu) ? RFLAGS_CF : 0;
		flags |= sign_flag(value & ~result, RFLAGS_OF);
		flags |= (result ^ value ^ 1) & RFLAGS_AF;
		set_cc_explicit(cpu, result, flags);
		return result;
	case UNARY_NEG:
		result = sign_extend(-value, size);
		set_cc(cpu, X86_CC_SUB, result, value, 0);
		return result;
	default: return ~value;
	}
}

ALWAYS_INLINE enum x86_result unary_r(struct x86_cpu *cpu, const struct x86_insn *insn,
				      enum unary op, unsigned size)
{
	reg_set(cpu, insn->rm, size, unary(cpu, op, size, reg_get(cpu, insn->rm, size)));
	return X86_DONE;
}

ALWAYS_INLINE enum x86_result unary_m(struct x86_cpu *cpu, const struct x86_insn *insn,
				      enum unary op, enum way way, unsigned size)
{
	enum x86_result found;
	uint8_t *host;

	found = find_operand(cpu, insn, size, HW_WRITE, way, &host);
	if (found != X86_DONE)
		return found;
	x86_put(host, size, unary(cpu, op, size, x86_get(host, size)));
	if (way == WAY_ANY)
		x86_modified(cpu, host);
	return X86_DONE;
}

#define FOR_UNARY(M) M(INC) M(DEC) M(NEG) M(NOT)
#define DEFINE_UNARY(op)                                                                           \
	DEFINE_PURE_THREADS(op##_r, unary_r, UNARY_##op, )                                         \
	DEFINE_WAYS_SIZES(op##_m, unary_m, UNARY_##op, )

FOR_UNARY(DEFINE_UNARY)

#define LIST_UNARY(op) [UNARY_##op] = {LIST_SIZES(op##_r), LIST_SIZES(op##_m)},

static x86_thread *const unary_functions[NR_UNARY][2][NR_SIZES] = {FOR_UNARY(LIST_UNARY)};

x86_exec *x86_select_unary(const ZydisDecodedInstruction *decoded,
			   const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	enum unary op;

	switch (decoded->mnemonic) {
	case ZYDIS_MNEMONIC_INC: op = UNARY_INC; break;
	case ZYDIS_MNEMONIC_DEC: op = UNARY_DEC; break;
	case ZYDIS_MNEMONIC_NEG: op = UNARY_NEG; break;
	case ZYDIS_MNEMONIC_NOT: op = UNARY_NOT; break;
	default: return NULL;
	}
	return x86_threaded(insn, unary_functions[op][insn->memory][size_index(insn->size)]);
}
