/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Single flags, LAHF SAHF, hints and fences, UD. */
#include "x86/integer.h"

#define FLAGS_OF_AH (RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF | RFLAGS_CF)

static enum x86_result exec_nothing(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return X86_DONE;
}

/* A vCPU that waits for another one lets it go on (SDM 2B PAUSE: a hint of a spin-wait loop). */
static enum x86_result exec_pause(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	cpu->paused = x86_others_can_run(cpu);
	return cpu->paused ? X86_LEAVE : X86_DONE;
}

/* There is no cache to flush, but the address is looked up as for a load of a byte. */
static enum x86_result exec_flush_line(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value;

	return load_operand(cpu, insn, 1, &value) ? X86_DONE : X86_FAULT;
}

static enum x86_result exec_undefined(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return x86_raise(cpu, X86_UD);
}

static enum x86_result exec_clc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	x86_change_flags(cpu, RFLAGS_CF, 0);
	return X86_DONE;
}

static enum x86_result exec_stc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	x86_change_flags(cpu, RFLAGS_CF, RFLAGS_CF);
	return X86_DONE;
}

static enum x86_result exec_cmc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	x86_change_flags(cpu, RFLAGS_CF, x86_carry(cpu) ? 0 : RFLAGS_CF);
	return X86_DONE;
}

static enum x86_result exec_cld(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	cpu->rflags &= ~(uint64_t)RFLAGS_DF;
	return X86_DONE;
}

static enum x86_result exec_std(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	cpu->rflags |= RFLAGS_DF;
	return X86_DONE;
}

static enum x86_result exec_lahf(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	*byte_register(cpu, 0x10 | X86_RAX) =
		(uint8_t)((x86_arithmetic_flags(cpu) & FLAGS_OF_AH) | RFLAGS_ONE);
	return X86_DONE;
}

static enum x86_result exec_sahf(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	x86_change_flags(cpu, FLAGS_OF_AH, *byte_register(cpu, 0x10 | X86_RAX));
	return X86_DONE;
}

x86_exec *x86_select_misc(const ZydisDecodedInstruction *decoded,
			  const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	switch (decoded->mnemonic) {
	case ZYDIS_MNEMONIC_NOP:
	case ZYDIS_MNEMONIC_ENDBR32:
	case ZYDIS_MNEMONIC_ENDBR64:
	case ZYDIS_MNEMONIC_PREFETCH:
	case ZYDIS_MNEMONIC_PREFETCHNTA:
	case ZYDIS_MNEMONIC_PREFETCHT0:
	case ZYDIS_MNEMONIC_PREFETCHT1:
	case ZYDIS_MNEMONIC_PREFETCHT2:
	case ZYDIS_MNEMONIC_PREFETCHW:
	case ZYDIS_MNEMONIC_PREFETCHWT1:
	case ZYDIS_MNEMONIC_LFENCE:
	case ZYDIS_MNEMONIC_MFENCE:
	case ZYDIS_MNEMONIC_SFENCE: return exec_nothing;
	case ZYDIS_MNEMONIC_PAUSE: return exec_pause;
	case ZYDIS_MNEMONIC_CLFLUSH:
	case ZYDIS_MNEMONIC_CLFLUSHOPT:
	case ZYDIS_MNEMONIC_CLWB: return exec_flush_line;
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2: return exec_undefined;
	case ZYDIS_MNEMONIC_CLC: return exec_clc;
	case ZYDIS_MNEMONIC_STC: return exec_stc;
	case ZYDIS_MNEMONIC_CMC: return exec_cmc;
	case ZYDIS_MNEMONIC_CLD: return exec_cld;
	case ZYDIS_MNEMONIC_STD: return exec_std;
	case ZYDIS_MNEMONIC_LAHF: return exec_lahf;
	case ZYDIS_MNEMONIC_SAHF: return exec_sahf;
	default: return NULL;
	}
}
