/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What software opens and closes: STAC, CLAC (SDM 3A 4.6.1), RDPKRU, WRPKRU (4.6.2). */
#include "x86/control.h"
#include "x86/flags.h"
#include "x86/system.h"
#include "x86/xcr.h"

static enum x86_result set_ac(struct x86_cpu *cpu, bool value)
{
	if (cpu->cpl)
		return x86_raise(cpu, X86_UD);
	x86_set_flags(cpu, (x86_flags(cpu) & ~(uint64_t)RFLAGS_AC) | (value ? RFLAGS_AC : 0));
	return X86_LEAVE;
}

enum x86_result x86_exec_stac(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return set_ac(cpu, true);
}

enum x86_result x86_exec_clac(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return set_ac(cpu, false);
}

void x86_set_pkru(struct x86_cpu *cpu, uint32_t value)
{
	cpu->pkru = value;
	hw_set_pkru(cpu->hw, value);
}

enum x86_result x86_exec_rdpkru(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if (!(cpu->cr4 & CR4_PKE))
		return x86_raise(cpu, X86_UD);
	if ((uint32_t)cpu->gpr[X86_RCX])
		return x86_raise_code(cpu, X86_GP, 0);
	cpu->gpr[X86_RAX] = cpu->pkru;
	cpu->gpr[X86_RDX] = 0;
	return X86_DONE;
}

enum x86_result x86_exec_wrpkru(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if (!(cpu->cr4 & CR4_PKE))
		return x86_raise(cpu, X86_UD);
	if ((uint32_t)cpu->gpr[X86_RCX] || (uint32_t)cpu->gpr[X86_RDX])
		return x86_raise_code(cpu, X86_GP, 0);
	x86_set_pkru(cpu, (uint32_t)cpu->gpr[X86_RAX]);
	return X86_LEAVE;
}
