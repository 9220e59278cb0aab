/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a kernel opens and closes: STAC, CLAC (SDM 3A 4.6.1). */
#include "x86/control.h"
#include "x86/flags.h"
#include "x86/system.h"

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
