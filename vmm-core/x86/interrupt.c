/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The interrupt flag and its like: CLI, STI, PUSHF, POPF, HLT; INT n, INT3, INT1, INTO. */
#include "x86/control.h"
#include "x86/flags.h"
#include "x86/mem.h"
#include "x86/segment.h"
#include "x86/system.h"

static unsigned iopl(const struct x86_cpu *cpu)
{
	return (unsigned)(cpu->rflags & RFLAGS_IOPL) / (RFLAGS_IOPL & -RFLAGS_IOPL);
}

uint64_t x86_flags_writable(const struct x86_cpu *cpu)
{
	uint64_t mask =
		RFLAGS_ARITHMETIC | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_AC | RFLAGS_ID;

	if (cpu->cpl == 0)
		mask |= RFLAGS_IOPL;
	if (cpu->cpl <= iopl(cpu))
		mask |= RFLAGS_IF;
	return mask;
}

/*
 * RF is never kept: with no breakpoints enabled it could only be seen by an interrupt that
 * arrives between an IRET and the instruction after it.
 */
enum x86_result x86_write_flags(struct x86_cpu *cpu, uint64_t value, uint64_t mask, unsigned cpl)
{
	uint64_t flags = (x86_flags(cpu) & ~mask) | (value & mask);

	if (cpl == 3 && (flags & RFLAGS_AC) && (cpu->cr0 & CR0_AM)) {
		x86_end(cpu, UMBRA_END_ERROR, "alignment checks (RFLAGS.AC) are not in this build");
		return X86_FAULT;
	}
	x86_set_flags(cpu, flags & ~(uint64_t)RFLAGS_RF);
	return X86_LEAVE;
}

enum x86_result x86_exec_cli(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if (cpu->cpl > iopl(cpu))
		return x86_raise_code(cpu, X86_GP, 0);
	cpu->rflags &= ~(uint64_t)RFLAGS_IF;
	return X86_DONE;
}

enum x86_result x86_exec_sti(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if (cpu->cpl > iopl(cpu))
		return x86_raise_code(cpu, X86_GP, 0);
	if (!(cpu->rflags & RFLAGS_IF))
		cpu->interrupt_shadow = true;
	cpu->rflags |= RFLAGS_IF;
	return X86_LEAVE;
}

enum x86_result x86_exec_pushf(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t flags = x86_flags(cpu) & ~(uint64_t)(RFLAGS_RF | RFLAGS_VM);

	return x86_push(cpu, insn->size, flags) ? X86_DONE : X86_FAULT;
}

enum x86_result x86_exec_popf(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t flags, mask = x86_flags_writable(cpu);

	if (insn->size == 2)
		mask &= UINT16_MAX;
	if (!x86_pop(cpu, insn->size, &flags))
		return X86_FAULT;
	return x86_write_flags(cpu, flags, mask, cpu->cpl);
}

enum x86_result x86_exec_hlt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if (cpu->cpl)
		return x86_raise_code(cpu, X86_GP, 0);
	hw_event(cpu->hw, UMBRA_EXIT_hlt);
	cpu->halted = true;
	return X86_LEAVE;
}

enum x86_result x86_exec_int(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return x86_software_interrupt(cpu, (uint8_t)insn->imm);
}

enum x86_result x86_exec_int3(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return x86_software_interrupt(cpu, X86_BP);
}

enum x86_result x86_exec_into(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if (!(x86_flags(cpu) & RFLAGS_OF))
		return X86_DONE;
	return x86_software_interrupt(cpu, X86_OF);
}

/* What CPUID does not offer. */
enum x86_result x86_exec_undefined(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return x86_raise(cpu, X86_UD);
}
