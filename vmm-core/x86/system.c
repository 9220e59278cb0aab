/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which function executes which system instruction. */
#include "x86/decode.h"
#include "x86/segment.h"
#include "x86/system.h"

/* What must hold beside the mnemonic. */
enum form {
	FORM_ANY,
	FORM_FAR,          /* a far branch */
	FORM_TO_SEGMENT,   /* operand 0 is a segment register */
	FORM_FROM_SEGMENT, /* operand 1 is */
	FORM_TO_CONTROL,
	FORM_FROM_CONTROL,
	FORM_TO_DEBUG,
	FORM_FROM_DEBUG,
};

struct row {
	ZydisMnemonic mnemonic;
	enum form form;
	x86_exec *exec;
	uint8_t extra;
};

#define ROW(mnemonic, exec)                                                                        \
	{                                                                                          \
		ZYDIS_MNEMONIC_##mnemonic, FORM_ANY, x86_exec_##exec, 0                            \
	}
#define ROW_FORM(mnemonic, form, exec)                                                             \
	{                                                                                          \
		ZYDIS_MNEMONIC_##mnemonic, form, x86_exec_##exec, 0                                \
	}
#define ROW_EXTRA(mnemonic, exec, extra)                                                           \
	{                                                                                          \
		ZYDIS_MNEMONIC_##mnemonic, FORM_ANY, x86_exec_##exec, extra                        \
	}

static const struct row rows[] = {
	ROW_FORM(MOV, FORM_TO_SEGMENT, mov_to_segment),
	ROW_FORM(MOV, FORM_FROM_SEGMENT, mov_from_segment),
	ROW_FORM(MOV, FORM_TO_CONTROL, mov_to_cr),
	ROW_FORM(MOV, FORM_FROM_CONTROL, mov_from_cr),
	ROW_FORM(MOV, FORM_TO_DEBUG, mov_to_dr),
	ROW_FORM(MOV, FORM_FROM_DEBUG, mov_from_dr),
	ROW_FORM(PUSH, FORM_TO_SEGMENT, push_segment),
	ROW_FORM(POP, FORM_TO_SEGMENT, pop_segment),
	ROW_EXTRA(LDS, load_far_pointer, X86_DS),
	ROW_EXTRA(LES, load_far_pointer, X86_ES),
	ROW_EXTRA(LFS, load_far_pointer, X86_FS),
	ROW_EXTRA(LGS, load_far_pointer, X86_GS),
	ROW_EXTRA(LSS, load_far_pointer, X86_SS),

	ROW_FORM(JMP, FORM_FAR, jmp_far),
	ROW_FORM(CALL, FORM_FAR, call_far),
	ROW_FORM(RET, FORM_FAR, ret_far),
	ROW(IRET, iret),
	ROW(IRETD, iret),
	ROW(IRETQ, iret),
	ROW(SYSCALL, syscall),
	ROW(SYSRET, sysret),
	ROW(SYSENTER, sysenter),
	ROW(SYSEXIT, sysexit),
	ROW(SWAPGS, swapgs),
	ROW_EXTRA(RDFSBASE, rdbase, X86_FS),
	ROW_EXTRA(RDGSBASE, rdbase, X86_GS),
	ROW_EXTRA(WRFSBASE, wrbase, X86_FS),
	ROW_EXTRA(WRGSBASE, wrbase, X86_GS),
	ROW(STAC, stac),
	ROW(CLAC, clac),
	ROW(RDPKRU, rdpkru),
	ROW(WRPKRU, wrpkru),
	ROW(INVPCID, invpcid),

	ROW(LMSW, lmsw),
	ROW(SMSW, smsw),
	ROW(CLTS, clts),
	ROW(INVLPG, invlpg),
	ROW(WBINVD, cache_privileged),
	ROW(INVD, cache_privileged),

	ROW(LGDT, lgdt),
	ROW(LIDT, lidt),
	ROW(SGDT, sgdt),
	ROW(SIDT, sidt),
	ROW(LLDT, lldt),
	ROW(SLDT, sldt),
	ROW(LTR, ltr),
	ROW(STR, str),
	ROW(LAR, lar),
	ROW(LSL, lsl),
	ROW(VERR, verr),
	ROW(VERW, verw),

	ROW(CPUID, cpuid),
	ROW(XGETBV, xgetbv),
	ROW(XSETBV, xsetbv),
	ROW(RDMSR, rdmsr),
	ROW(WRMSR, wrmsr),
	ROW(RDTSC, rdtsc),
	ROW(RDTSCP, rdtscp),
	ROW(RDPID, rdpid),
	ROW(RDPMC, rdpmc),

	ROW(IN, in),
	ROW(OUT, out),
	ROW(INSB, ins),
	ROW(INSW, ins),
	ROW(INSD, ins),
	ROW(OUTSB, outs),
	ROW(OUTSW, outs),
	ROW(OUTSD, outs),

	ROW(CLI, cli),
	ROW(STI, sti),
	ROW(PUSHF, pushf),
	ROW(PUSHFD, pushf),
	ROW(PUSHFQ, pushf),
	ROW(POPF, popf),
	ROW(POPFD, popf),
	ROW(POPFQ, popf),
	ROW(HLT, hlt),
	ROW(INT, int),
	ROW(INT1, int1),
	ROW(INT3, int3),
	ROW(INTO, into),

	/* Of the system management mode, which there is not. */
	ROW(RSM, undefined),
};

static bool is_class(const ZydisDecodedOperand *operand, ZydisRegisterClass class)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(operand->reg.value) == class;
}

static bool matches(enum form form, const ZydisDecodedInstruction *decoded,
		    const ZydisDecodedOperand *operands)
{
	switch (form) {
	case FORM_ANY: return true;
	case FORM_FAR: return decoded->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
	case FORM_TO_SEGMENT: return is_class(&operands[0], ZYDIS_REGCLASS_SEGMENT);
	case FORM_FROM_SEGMENT: return is_class(&operands[1], ZYDIS_REGCLASS_SEGMENT);
	case FORM_TO_CONTROL: return is_class(&operands[0], ZYDIS_REGCLASS_CONTROL);
	case FORM_FROM_CONTROL: return is_class(&operands[1], ZYDIS_REGCLASS_CONTROL);
	case FORM_TO_DEBUG: return is_class(&operands[0], ZYDIS_REGCLASS_DEBUG);
	case FORM_FROM_DEBUG: return is_class(&operands[1], ZYDIS_REGCLASS_DEBUG);
	}
	return false;
}

/* Operands as system.h says. */
static void take_operands(const ZydisDecodedInstruction *decoded,
			  const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	insn->size = (uint8_t)(decoded->operand_width / 8);
	for (unsigned i = 0; i < decoded->operand_count_visible && i < 2; i++) {
		const ZydisDecodedOperand *operand = &operands[i];
		uint8_t *number = i == 0 ? &insn->reg : &insn->rm;

		if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER)
			*number = x86_register_number(operand->reg.value);
		else if (operand->type == ZYDIS_OPERAND_TYPE_POINTER)
			insn->imm = (int64_t)((uint64_t)operand->ptr.segment << 32 |
					      operand->ptr.offset);
	}
	switch (decoded->mnemonic) {
	case ZYDIS_MNEMONIC_JMP:
	case ZYDIS_MNEMONIC_CALL:
		if (insn->memory) /* m16:16, m16:32, m16:64 */
			insn->size = (uint8_t)(operands[0].size / 8 - sizeof(uint16_t));
		break;
	case ZYDIS_MNEMONIC_IN:
		insn->size = (uint8_t)(operands[0].size / 8);
		insn->extra = operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
		break;
	case ZYDIS_MNEMONIC_OUT:
		insn->size = (uint8_t)(operands[1].size / 8);
		insn->extra = operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER;
		break;
	case ZYDIS_MNEMONIC_INSB:
	case ZYDIS_MNEMONIC_OUTSB: insn->size = 1; break;
	case ZYDIS_MNEMONIC_INSW:
	case ZYDIS_MNEMONIC_OUTSW: insn->size = 2; break;
	case ZYDIS_MNEMONIC_INSD:
	case ZYDIS_MNEMONIC_OUTSD: insn->size = 4; break;
	default: break;
	}
}

x86_exec *x86_select_system(const ZydisDecodedInstruction *decoded,
			    const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];

		if (row->mnemonic != decoded->mnemonic || !matches(row->form, decoded, operands))
			continue;
		insn->extra = row->extra;
		take_operands(decoded, operands, insn);
		return row->exec;
	}
	return NULL;
}
