/* SPDX-License-Identifier: GPL-2.0-or-later */
/* XGETBV and XSETBV (SDM 1 13.3). */
#include "x86/xcr.h"

#include "x86/control.h"
#include "x86/model.h"
#include "x86/system.h"

uint64_t x86_xcr0_offered(const struct x86_cpu *cpu)
{
	if (!x86_offers(cpu, X86_FEATURE_XSAVE))
		return 0;
	return XCR0_X87 | XCR0_SSE | (x86_offers(cpu, X86_FEATURE_PKU) ? XCR0_PKRU : 0);
}

/*
 * With ECX 1: the enabled states that are in use, XINUSE (SDM 1 13.6).
 */
enum x86_result x86_exec_xgetbv(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint32_t number = (uint32_t)cpu->gpr[X86_RCX];
	uint64_t value;

	if (!(cpu->cr4 & CR4_OSXSAVE))
		return x86_raise(cpu, X86_UD);
	if (number > 1 || (number == 1 && !x86_offers(cpu, X86_FEATURE_XGETBV_1)))
		return x86_raise_code(cpu, X86_GP, 0);
	value = number ? cpu->xcr0 & x86_xinuse(cpu) : cpu->xcr0;
	cpu->gpr[X86_RAX] = (uint32_t)value;
	cpu->gpr[X86_RDX] = value >> 32;
	return X86_DONE;
}

enum x86_result x86_exec_xsetbv(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value = cpu->gpr[X86_RDX] << 32 | (uint32_t)cpu->gpr[X86_RAX];

	if (!(cpu->cr4 & CR4_OSXSAVE))
		return x86_raise(cpu, X86_UD);
	if (cpu->cpl || (uint32_t)cpu->gpr[X86_RCX] != 0 || !(value & XCR0_X87) ||
	    (value & ~x86_xcr0_offered(cpu)))
		return x86_raise_code(cpu, X86_GP, 0);
	cpu->xcr0 = value;
	return X86_DONE;
}
