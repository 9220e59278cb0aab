/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What 64-bit mode has no more: DAA DAS AAA AAS AAM AAD, SALC, BOUND, ARPL. */
#include "x86/control.h"
#include "x86/integer.h"

#define AH (0x10 | X86_RAX)

static void set_decimal_flags(struct x86_cpu *cpu, uint8_t al, bool carry, bool adjust)
{
	set_cc_explicit(cpu, sign_extend(al, 1),
			(carry ? RFLAGS_CF : 0) | (adjust ? RFLAGS_AF : 0));
}

/* DAA and DAS (SDM 2A). */
static enum x86_result adjust_packed(struct x86_cpu *cpu, bool subtract)
{
	uint64_t flags = x86_arithmetic_flags(cpu);
	uint8_t old = (uint8_t)cpu->gpr[X86_RAX], al = old;
	bool carry = false, adjust = (old & 0xf) > 9 || (flags & RFLAGS_AF);

	if (adjust) {
		carry = (flags & RFLAGS_CF) || (subtract ? al < 6 : al > 0xff - 6);
		al = (uint8_t)(subtract ? al - 6 : al + 6);
	}
	if (old > 0x99 || (flags & RFLAGS_CF)) {
		al = (uint8_t)(subtract ? al - 0x60 : al + 0x60);
		carry = true;
	}
	reg_set(cpu, X86_RAX, 1, al);
	set_decimal_flags(cpu, al, carry, adjust);
	return X86_DONE;
}

static enum x86_result exec_daa(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return adjust_packed(cpu, false);
}

static enum x86_result exec_das(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return adjust_packed(cpu, true);
}

/* AAA and AAS: the digit is in AL, what it carries goes to AH. */
static enum x86_result adjust_unpacked(struct x86_cpu *cpu, bool subtract)
{
	uint16_t ax = (uint16_t)cpu->gpr[X86_RAX];
	bool adjust = (ax & 0xf) > 9 || (x86_arithmetic_flags(cpu) & RFLAGS_AF);

	if (adjust)
		ax = (uint16_t)(subtract ? ax - 0x106 : ax + 0x106);
	ax &= 0xff0f;
	reg_set(cpu, X86_RAX, 2, ax);
	set_decimal_flags(cpu, (uint8_t)ax, adjust, adjust);
	return X86_DONE;
}

static enum x86_result exec_aaa(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return adjust_unpacked(cpu, false);
}

static enum x86_result exec_aas(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return adjust_unpacked(cpu, true);
}

static enum x86_result exec_aam(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint8_t al = (uint8_t)cpu->gpr[X86_RAX], base = (uint8_t)insn->imm;

	if (!base)
		return x86_raise(cpu, X86_DE);
	reg_set(cpu, AH, 1, al / base);
	reg_set(cpu, X86_RAX, 1, al % base);
	set_decimal_flags(cpu, al % base, false, false);
	return X86_DONE;
}

static enum x86_result exec_aad(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint8_t al = (uint8_t)(cpu->gpr[X86_RAX] + reg_get(cpu, AH, 1) * (uint8_t)insn->imm);

	reg_set(cpu, X86_RAX, 2, al);
	set_decimal_flags(cpu, al, false, false);
	return X86_DONE;
}

/* Not in Intel's manual, but in every processor's: AL is all ones if CF is set (APM 3 has D6H). */
static enum x86_result exec_salc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	reg_set(cpu, X86_RAX, 1, x86_carry(cpu) ? 0xff : 0);
	return X86_DONE;
}

/*
 * Both bounds are read as one operand by AMD's processors, and one after the other by Intel's:
 * what is below the lower one never asks for the upper one.
 */
static enum x86_result exec_bound(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	int64_t index = (int64_t)sign_extend(cpu->gpr[insn->reg], insn->size), lower, upper;
	uint64_t bounds;

	if (!x86_is_amd(cpu)) {
		if (!load_operand(cpu, insn, insn->size, &bounds))
			return X86_FAULT;
		if (index < (int64_t)sign_extend(bounds, insn->size))
			return x86_raise(cpu, X86_BR);
	}
	if (!load_operand(cpu, insn, 2u * insn->size, &bounds))
		return X86_FAULT;
	lower = (int64_t)sign_extend(bounds, insn->size);
	upper = (int64_t)sign_extend(bounds >> (8 * insn->size), insn->size);
	return index < lower || index > upper ? x86_raise(cpu, X86_BR) : X86_DONE;
}

/* Raises the RPL of the destination to that of the source; of protected mode only. Processors do
 * not write where nothing changes. */
static enum x86_result exec_arpl(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t dest, source = reg_get(cpu, insn->reg, 2);
	bool raise;

	if (!(cpu->cr0 & CR0_PE) || (cpu->rflags & RFLAGS_VM))
		return x86_raise(cpu, X86_UD);
	if (!load_rm(cpu, insn, 2, &dest))
		return X86_FAULT;
	raise = (dest & 3) < (source & 3);
	dest = (dest & ~3ull) | (source & 3);
	if (raise && insn->memory && !store_operand(cpu, insn, 2, dest))
		return X86_FAULT;
	if (raise && !insn->memory)
		reg_set(cpu, insn->rm, 2, dest);
	x86_change_flags(cpu, RFLAGS_ZF, raise ? RFLAGS_ZF : 0);
	return X86_DONE;
}

x86_exec *x86_select_legacy(const ZydisDecodedInstruction *decoded,
			    const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	switch (decoded->mnemonic) {
	case ZYDIS_MNEMONIC_DAA: return exec_daa;
	case ZYDIS_MNEMONIC_DAS: return exec_das;
	case ZYDIS_MNEMONIC_AAA: return exec_aaa;
	case ZYDIS_MNEMONIC_AAS: return exec_aas;
	case ZYDIS_MNEMONIC_AAM: return exec_aam;
	case ZYDIS_MNEMONIC_AAD: return exec_aad;
	case ZYDIS_MNEMONIC_SALC: return exec_salc;
	case ZYDIS_MNEMONIC_BOUND: insn->size = (uint8_t)(operands[0].size / 8); return exec_bound;
	case ZYDIS_MNEMONIC_ARPL:
		insn->rm = insn->memory ? insn->rm : x86_register_number(operands[0].reg.value);
		insn->reg = x86_register_number(operands[1].reg.value);
		return exec_arpl;
	default: return NULL;
	}
}
