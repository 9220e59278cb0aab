/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all SSE instructions share: which function executes one, operands, when they fault. */
#include "x86/sse.h"

#include <string.h>

#include "x86/decode.h"
#include "x86/segment.h"
#include "x86/x87.h"

#define ALIGNMENT 16u

enum x86_result x86_sse_unavailable(struct x86_cpu *cpu)
{
	if ((cpu->cr0 & CR0_EM) || !(cpu->cr4 & CR4_OSFXSR))
		return x86_raise(cpu, X86_UD);
	return x86_raise(cpu, X86_NM);
}

static bool check_alignment(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t offset)
{
	if (!(insn->extra & SSE_ALIGNED) || x86_linear(cpu, insn->segment, offset) % ALIGNMENT == 0)
		return true;
	x86_raise_code(cpu, X86_GP, 0);
	return false;
}

bool x86_sse_load(struct x86_cpu *cpu, const struct x86_insn *insn, union x86_xmm *ret)
{
	uint64_t offset = x86_effective_address(cpu, insn);

	if (insn->size <= sizeof(uint64_t)) {
		ret->u64[1] = 0;
		return x86_load(cpu, insn->segment, offset, insn->size, &ret->u64[0]);
	}
	return check_alignment(cpu, insn, offset) &&
	       x86_load_slow(cpu, insn->segment, offset, insn->size, ret);
}

bool x86_sse_store(struct x86_cpu *cpu, const struct x86_insn *insn, const union x86_xmm *value)
{
	uint64_t offset = x86_effective_address(cpu, insn);

	if (insn->size <= sizeof(uint64_t))
		return x86_store(cpu, insn->segment, offset, insn->size, value->u64[0]);
	return check_alignment(cpu, insn, offset) &&
	       x86_store_slow(cpu, insn->segment, offset, insn->size, value);
}

static bool takes_mmx(const ZydisDecodedInstruction *decoded, const ZydisDecodedOperand *operands)
{
	switch (decoded->mnemonic) {
	case ZYDIS_MNEMONIC_EMMS:
	case ZYDIS_MNEMONIC_CVTPI2PS: /* with a memory operand too */
	case ZYDIS_MNEMONIC_CVTPI2PD: return true;
	default: break;
	}
	for (unsigned i = 0; i < decoded->operand_count; i++)
		if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(operands[i].reg.value) == ZYDIS_REGCLASS_MMX)
			return true;
	return false;
}

static const struct sse_row *find_row(const struct sse_row *rows,
				      const ZydisDecodedInstruction *decoded,
				      const ZydisDecodedOperand *operands)
{
	bool to_rm = operands[0].encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM;

	for (; rows->exec; rows++)
		if (rows->mnemonic == decoded->mnemonic &&
		    (rows->form == SSE_ANY || (rows->form == SSE_TO_RM) == to_rm))
			return rows;
	return NULL;
}

static const struct sse_row *select_row(const ZydisDecodedInstruction *decoded,
					const ZydisDecodedOperand *operands)
{
	static const struct sse_row *const tables[] = {
		x86_sse_move_rows,    x86_sse_float_rows,  x86_sse_integer_rows,
		x86_sse_shuffle_rows, x86_sse_string_rows, x86_xsave_rows,
	};
	const struct sse_row *row = NULL;

	if (takes_mmx(decoded, operands))
		return find_row(x86_mmx_rows, decoded, operands);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && !row; i++)
		row = find_row(tables[i], decoded, operands);
	return row;
}

x86_exec *x86_select_sse(const ZydisDecodedInstruction *decoded,
			 const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	const struct sse_row *row;

	/* MOVSD and CMPSD are names of string instructions too. AVX is not offered. */
	if (decoded->meta.category == ZYDIS_CATEGORY_STRINGOP)
		return NULL;
	if (decoded->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return NULL;
	row = select_row(decoded, operands);
	if (!row)
		return x86_select_x87(decoded, operands, insn);

	insn->size = row->size;
	insn->extra = row->extra;
	if (decoded->raw.rex.W)
		insn->extra |= SSE_REX_W;
	for (unsigned i = 0; i < decoded->operand_count_visible; i++) {
		const ZydisDecodedOperand *operand = &operands[i];
		ZydisRegisterClass class = ZydisRegisterGetClass(operand->reg.value);

		if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM && !row->size)
			insn->size = (uint8_t)(operand->size / 8);
		if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG) {
			insn->reg = x86_register_number(operand->reg.value);
			if (class == ZYDIS_REGCLASS_GPR64)
				insn->extra |= SSE_WIDE;
		} else if (operand->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM) {
			insn->rm = x86_register_number(operand->reg.value);
			if (class == ZYDIS_REGCLASS_MMX)
				insn->extra |= SSE_MMX;
			else if (class != ZYDIS_REGCLASS_XMM)
				insn->extra |= SSE_GENERAL;
		}
	}
	return row->exec;
}
