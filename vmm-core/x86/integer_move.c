/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MOV MOVZX MOVSX MOVSXD LEA CMOVcc SETcc MOVNTI, CBW and CWD families, XLAT. */
#include "x86/integer.h"

ALWAYS_INLINE enum x86_result mov_rr(struct x86_cpu *cpu, const struct x86_insn *insn,
				     unsigned size)
{
	reg_set(cpu, insn->rm, size, reg_get(cpu, insn->reg, size));
	return X86_DONE;
}

ALWAYS_INLINE enum x86_result mov_ri(struct x86_cpu *cpu, const struct x86_insn *insn,
				     unsigned size)
{
	reg_set(cpu, insn->rm, size, (uint64_t)insn->imm);
	return X86_DONE;
}

ALWAYS_INLINE enum x86_result mov_rm(struct x86_cpu *cpu, const struct x86_insn *insn, enum way way,
				     unsigned size)
{
	enum x86_result found;
	uint8_t *host;

	found = find_operand(cpu, insn, size, HW_READ, way, &host);
	if (found != X86_DONE)
		return found;
	reg_set(cpu, insn->reg, size, x86_get(host, size));
	return X86_DONE;
}

ALWAYS_INLINE enum x86_result mov_to_memory(struct x86_cpu *cpu, const struct x86_insn *insn,
					    uint64_t value, enum way way, unsigned size)
{
	enum x86_result found;
	uint8_t *host;

	found = find_operand(cpu, insn, size, HW_WRITE, way, &host);
	if (found != X86_DONE)
		return found;
	x86_put(host, size, value);
	if (way == WAY_ANY)
		x86_modified(cpu, host);
	return X86_DONE;
}

ALWAYS_INLINE enum x86_result mov_mr(struct x86_cpu *cpu, const struct x86_insn *insn, enum way way,
				     unsigned size)
{
	return mov_to_memory(cpu, insn, reg_get(cpu, insn->reg, size), way, size);
}

ALWAYS_INLINE enum x86_result mov_mi(struct x86_cpu *cpu, const struct x86_insn *insn, enum way way,
				     unsigned size)
{
	return mov_to_memory(cpu, insn, (uint64_t)insn->imm, way, size);
}

DEFINE_PURE_THREADS(mov_rr, mov_rr, )
DEFINE_PURE_THREADS(mov_ri, mov_ri, )
DEFINE_WAYS_SIZES(mov_rm, mov_rm, )
DEFINE_WAYS_SIZES(mov_mr, mov_mr, )
DEFINE_WAYS_SIZES(mov_mi, mov_mi, )

static x86_thread *const mov_functions[NR_FORMS][NR_SIZES] = {
	[FORM_RR] = LIST_SIZES(mov_rr), [FORM_RI] = LIST_SIZES(mov_ri),
	[FORM_RM] = LIST_SIZES(mov_rm), [FORM_MR] = LIST_SIZES(mov_mr),
	[FORM_MI] = LIST_SIZES(mov_mi),
};

/* Extending moves: @from the source's size, @size the destination's. */

ALWAYS_INLINE enum x86_result extend_r(struct x86_cpu *cpu, const struct x86_insn *insn,
				       bool is_signed, unsigned from, unsigned size)
{
	uint64_t value = reg_get(cpu, insn->rm, from);

	reg_set(cpu, insn->reg, size, is_signed ? sign_extend(value, from) : value);
	return X86_DONE;
}

ALWAYS_INLINE enum x86_result extend_m(struct x86_cpu *cpu, const struct x86_insn *insn,
				       bool is_signed, unsigned from, enum way way, unsigned size)
{
	enum x86_result found;
	uint64_t value;
	uint8_t *host;

	found = find_operand(cpu, insn, from, HW_READ, way, &host);
	if (found != X86_DONE)
		return found;
	value = x86_get(host, from);
	reg_set(cpu, insn->reg, size, is_signed ? sign_extend(value, from) : value);
	return X86_DONE;
}

#define DEFINE_EXTEND(name, is_signed, from)                                                       \
	DEFINE_PURE_THREADS(name##_r, extend_r, is_signed, from, )                                 \
	DEFINE_WAYS_SIZES(name##_m, extend_m, is_signed, from, )
#define LIST_EXTEND(name)                                                                          \
	{                                                                                          \
		LIST_SIZES(name##_r), LIST_SIZES(name##_m)                                         \
	}

DEFINE_EXTEND(movzx_1, false, 1)
DEFINE_EXTEND(movzx_2, false, 2)
DEFINE_EXTEND(movzx_4, false, 4)
DEFINE_EXTEND(movsx_1, true, 1)
DEFINE_EXTEND(movsx_2, true, 2)
DEFINE_EXTEND(movsx_4, true, 4)

static x86_thread *const extend_functions[2][3][2][NR_SIZES] = {
	{LIST_EXTEND(movzx_1), LIST_EXTEND(movzx_2), LIST_EXTEND(movzx_4)},
	{LIST_EXTEND(movsx_1), LIST_EXTEND(movsx_2), LIST_EXTEND(movsx_4)},
};

ALWAYS_INLINE enum x86_result lea(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned size)
{
	reg_set(cpu, insn->reg, size, x86_effective_address(cpu, insn));
	return X86_DONE;
}

DEFINE_PURE_THREADS(lea, lea, )
static x86_thread *const lea_functions[NR_SIZES] = LIST_SIZES(lea);

/* CMOVcc: the source is read whether the condition holds or not, and bits 63:32 are cleared. */
ALWAYS_INLINE enum x86_result cmov(struct x86_cpu *cpu, const struct x86_insn *insn,
				   enum x86_condition condition, bool memory, unsigned size)
{
	uint64_t value;

	if (memory) {
		if (!load_operand(cpu, insn, size, &value))
			return X86_FAULT;
	} else {
		value = reg_get(cpu, insn->rm, size);
	}
	if (!x86_condition(cpu, condition))
		value = reg_get(cpu, insn->reg, size);
	reg_set(cpu, insn->reg, size, value);
	return X86_DONE;
}

#define DEFINE_CMOV(name, condition)                                                               \
	DEFINE_PURE_THREADS(cmov##name##_r, cmov, condition, false, )                              \
	DEFINE_THREADS(cmov##name##_m, cmov, condition, true, )
#define LIST_CMOV(name, condition)                                                                 \
	[condition] = {LIST_SIZES(cmov##name##_r), LIST_SIZES(cmov##name##_m)},

FOR_CONDITIONS(DEFINE_CMOV)
static x86_thread *const cmov_functions[X86_NR_CONDITIONS][2][NR_SIZES] = {
	FOR_CONDITIONS(LIST_CMOV)};

ALWAYS_INLINE enum x86_result setcc(struct x86_cpu *cpu, const struct x86_insn *insn,
				    enum x86_condition condition)
{
	bool value = x86_condition(cpu, condition);

	if (insn->memory)
		return store_operand(cpu, insn, 1, value) ? X86_DONE : X86_FAULT;
	reg_set(cpu, insn->rm, 1, value);
	return X86_DONE;
}

#define DEFINE_SETCC(name, condition)                                                              \
	static const struct x86_insn *set##name(struct x86_cpu *cpu, const struct x86_insn *insn)  \
	{                                                                                          \
		x86_set_rip(cpu, insn);                                                            \
		return x86_go_on(cpu, insn, setcc(cpu, insn, condition));                          \
	}
#define LIST_SETCC(name, condition) [condition] = set##name,

FOR_CONDITIONS(DEFINE_SETCC)
static x86_thread *const setcc_functions[X86_NR_CONDITIONS] = {FOR_CONDITIONS(LIST_SETCC)};

/* CBW CWDE CDQE: size is the destination's. */
static enum x86_result exec_cbw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value = sign_extend(cpu->gpr[X86_RAX], insn->size / 2);

	reg_set(cpu, X86_RAX, insn->size, value);
	return X86_DONE;
}

/* CWD CDQ CQO */
static enum x86_result exec_cwd(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t sign = (int64_t)sign_extend(cpu->gpr[X86_RAX], insn->size) < 0 ? UINT64_MAX : 0;

	reg_set(cpu, X86_RDX, insn->size, sign);
	return X86_DONE;
}

static enum x86_result exec_xlat(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value, offset = cpu->gpr[X86_RBX] + (uint8_t)cpu->gpr[X86_RAX];

	if (!x86_load(cpu, insn->segment, x86_address_part(insn, offset), 1, &value))
		return X86_FAULT;
	reg_set(cpu, X86_RAX, 1, value);
	return X86_DONE;
}

static x86_exec *select_extend(const ZydisDecodedOperand *operands, struct x86_insn *insn,
			       bool is_signed)
{
	unsigned from = size_index(operands[1].size / 8);

	return x86_threaded(
		insn, extend_functions[is_signed][from][insn->memory][size_index(insn->size)]);
}

/* XLAT has only hidden operands. */
static x86_exec *select_xlat(const ZydisDecodedInstruction *decoded,
			     const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	for (unsigned i = 0; i < decoded->operand_count; i++)
		if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			insn->segment = x86_segment_number(operands[i].mem.segment);
	return exec_xlat;
}

x86_exec *x86_select_move(const ZydisDecodedInstruction *decoded,
			  const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	unsigned size = insn->size >= 1 && insn->size <= 8 ? size_index(insn->size) : 0;
	enum form form;

	if (decoded->meta.category == ZYDIS_CATEGORY_CMOV &&
	    x86_general_operands(decoded, operands))
		return x86_threaded(insn,
				    cmov_functions[condition_of(decoded)][insn->memory][size]);
	if (decoded->meta.category == ZYDIS_CATEGORY_SETCC)
		return x86_threaded(insn, setcc_functions[condition_of(decoded)]);

	switch (decoded->mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		form = x86_form(decoded, operands, insn);
		return form < NR_FORMS ? x86_threaded(insn, mov_functions[form][size]) : NULL;
	case ZYDIS_MNEMONIC_MOVNTI: return x86_threaded(insn, mov_functions[FORM_MR][size]);
	case ZYDIS_MNEMONIC_MOVZX: return select_extend(operands, insn, false);
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD: return select_extend(operands, insn, true);
	case ZYDIS_MNEMONIC_LEA: return x86_threaded(insn, lea_functions[size]);
	case ZYDIS_MNEMONIC_CBW:
	case ZYDIS_MNEMONIC_CWDE:
	case ZYDIS_MNEMONIC_CDQE: return exec_cbw;
	case ZYDIS_MNEMONIC_CWD:
	case ZYDIS_MNEMONIC_CDQ:
	case ZYDIS_MNEMONIC_CQO: return exec_cwd;
	case ZYDIS_MNEMONIC_XLAT: return select_xlat(decoded, operands, insn);
	default: return NULL;
	}
}
