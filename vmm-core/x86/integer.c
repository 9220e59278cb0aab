/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which integer family an instruction belongs to. */
#include "x86/integer.h"

bool x86_general_operands(const ZydisDecodedInstruction *decoded,
			  const ZydisDecodedOperand *operands)
{
	for (unsigned i = 0; i < decoded->operand_count_visible; i++) {
		if (operands[i].type == ZYDIS_OPERAND_TYPE_POINTER)
			return false;
		if (operands[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		switch (ZydisRegisterGetClass(operands[i].reg.value)) {
		case ZYDIS_REGCLASS_GPR8:
		case ZYDIS_REGCLASS_GPR16:
		case ZYDIS_REGCLASS_GPR32:
		case ZYDIS_REGCLASS_GPR64: break;
		default: return false;
		}
	}
	return true;
}

enum form x86_form(const ZydisDecodedInstruction *decoded, const ZydisDecodedOperand *operands,
		   struct x86_insn *insn)
{
	if (!x86_general_operands(decoded, operands) || decoded->operand_count_visible < 2)
		return NR_FORMS;
	if (operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return insn->memory ? FORM_MI : FORM_RI;
	if (insn->memory)
		return operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY ? FORM_MR : FORM_RM;
	insn->rm = x86_register_number(operands[0].reg.value);
	insn->reg = x86_register_number(operands[1].reg.value);
	return FORM_RR;
}

typedef x86_exec *select_function(const ZydisDecodedInstruction *decoded,
				  const ZydisDecodedOperand *operands, struct x86_insn *insn);

x86_exec *x86_select_integer(const ZydisDecodedInstruction *decoded,
			     const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	static select_function *const families[] = {
		x86_select_move,     x86_select_alu,   x86_select_unary, x86_select_branch,
		x86_select_stack,    x86_select_shift, x86_select_bit,   x86_select_multiply,
		x86_select_exchange, x86_select_misc,  x86_select_bmi,   x86_select_legacy,
	};
	x86_exec *exec = NULL;

	for (unsigned i = 0; !exec && i < sizeof(families) / sizeof(families[0]); i++)
		exec = families[i](decoded, operands, insn);
	return exec;
}
