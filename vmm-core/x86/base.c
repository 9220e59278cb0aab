/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bases of FS and GS: SWAPGS, RDFSBASE ... WRGSBASE (SDM 2; 64-bit mode only). */
#include "x86/control.h"
#include "x86/mem.h"
#include "x86/system.h"

/* extra: X86_FS or X86_GS */
static enum x86_result check(struct x86_cpu *cpu)
{
	if (cpu->code_mode != X86_CODE_64 || !(cpu->cr4 & CR4_FSGSBASE))
		return x86_raise(cpu, X86_UD);
	return X86_DONE;
}

enum x86_result x86_exec_rdbase(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t base = cpu->segment[insn->extra].base;
	enum x86_result result = check(cpu);

	if (result == X86_DONE)
		cpu->gpr[insn->reg] = insn->size == 8 ? base : (uint32_t)base;
	return result;
}

enum x86_result x86_exec_wrbase(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t base = cpu->gpr[insn->reg];
	enum x86_result result = check(cpu);

	if (result != X86_DONE)
		return result;
	if (insn->size != 8)
		base = (uint32_t)base;
	if (!x86_canonical_base(cpu, base))
		return x86_raise_code(cpu, X86_GP, 0);
	cpu->segment[insn->extra].base = base;
	return X86_DONE;
}

enum x86_result x86_exec_swapgs(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t base = cpu->segment[X86_GS].base;

	if (cpu->code_mode != X86_CODE_64)
		return x86_raise(cpu, X86_UD);
	if (cpu->cpl)
		return x86_raise_code(cpu, X86_GP, 0);
	cpu->segment[X86_GS].base = cpu->kernel_gs_base;
	cpu->kernel_gs_base = base;
	return X86_DONE;
}
