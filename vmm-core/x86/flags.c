/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Computes the lazy arithmetic flags where an instruction wants all of them. */
#include "x86/flags.h"

#include "x86/control.h"
#include "x86/debug.h"

uint64_t x86_arithmetic_flags(const struct x86_cpu *cpu)
{
	uint64_t flags = 0;

	if (cpu->cc_op == X86_CC_FLAGS)
		return cpu->rflags & RFLAGS_ARITHMETIC;

	flags |= x86_carry(cpu) ? RFLAGS_CF : 0;
	flags |= x86_parity(cpu) ? RFLAGS_PF : 0;
	flags |= x86_zero(cpu) ? RFLAGS_ZF : 0;
	flags |= x86_sign(cpu) ? RFLAGS_SF : 0;
	flags |= x86_overflow(cpu) ? RFLAGS_OF : 0;
	if (cpu->cc_op == X86_CC_ADD || cpu->cc_op == X86_CC_SUB)
		/* The carry into bit 4 is AF, whose place in RFLAGS is bit 4 too. */
		flags |= (cpu->cc_result ^ cpu->cc_source ^ cpu->cc_dest) & RFLAGS_AF;
	else if (cpu->cc_op == X86_CC_EXPLICIT)
		flags |= cpu->cc_source & RFLAGS_AF;
	return flags;
}

uint64_t x86_flags(const struct x86_cpu *cpu)
{
	return (cpu->rflags & ~(uint64_t)RFLAGS_ARITHMETIC) | x86_arithmetic_flags(cpu) |
	       RFLAGS_ONE;
}

void x86_update_privilege(struct x86_cpu *cpu)
{
	bool aligned = cpu->cpl == 3 && (cpu->rflags & RFLAGS_AC) && (cpu->cr0 & CR0_AM);

	if (cpu->cpl == 3)
		cpu->privilege = HW_USER;
	else
		cpu->privilege = cpu->rflags & RFLAGS_AC ? HW_SUPERVISOR_AC : HW_SUPERVISOR;
	if (__builtin_expect(aligned != !!(cpu->watch & X86_WATCH_ALIGNMENT), 0))
		x86_set_watch(cpu, X86_WATCH_ALIGNMENT, aligned);
}

void x86_set_flags(struct x86_cpu *cpu, uint64_t flags)
{
	cpu->rflags = flags;
	cpu->cc_op = X86_CC_FLAGS;
	x86_update_privilege(cpu);
}

void x86_change_flags(struct x86_cpu *cpu, uint64_t mask, uint64_t flags)
{
	x86_set_flags(cpu, (x86_flags(cpu) & ~mask) | (flags & mask));
}
