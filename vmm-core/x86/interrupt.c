/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The interrupt flag and its like: CLI, STI, PUSHF, POPF, HLT; INT n, INT3, INT1, INTO. */
#include "x86/control.h"
#include "x86/debug.h"
#include "x86/flags.h"
#include "x86/mem.h"
#include "x86/real.h"
#include "x86/segment.h"
#include "x86/system.h"

uint64_t x86_flags_writable(const struct x86_cpu *cpu)
{
	uint64_t mask =
		RFLAGS_ARITHMETIC | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_AC | RFLAGS_ID;

	if (cpu->cpl == 0)
		mask |= RFLAGS_IOPL;
	if (cpu->cpl <= x86_iopl(cpu))
		mask |= RFLAGS_IF;
	return mask;
}

void x86_write_flags(struct x86_cpu *cpu, uint64_t value, uint64_t mask)
{
	x86_set_flags(cpu, (x86_flags(cpu) & ~mask) | (value & mask));
}

bool x86_write_flags_virtual(struct x86_cpu *cpu, uint64_t value)
{
	uint64_t mask = UINT16_MAX & ~(uint64_t)(RFLAGS_IF | RFLAGS_IOPL);

	if ((value & RFLAGS_TF) || ((value & RFLAGS_IF) && (cpu->rflags & RFLAGS_VIP))) {
		x86_raise_code(cpu, X86_GP, 0);
		return false;
	}
	value = (value & mask) | (value & RFLAGS_IF ? RFLAGS_VIF : 0);
	x86_write_flags(cpu, value, mask | RFLAGS_VIF);
	return true;
}

enum virtual_flag { NOT_VIRTUAL, VIRTUAL, FORBIDDEN };

/* Whether CLI and STI are allowed, and whether IF or, under CR4.VME and CR4.PVI, VIF is theirs. */
static enum virtual_flag interrupt_flag(const struct x86_cpu *cpu)
{
	if (cpu->cpl <= x86_iopl(cpu))
		return NOT_VIRTUAL;
	if (x86_v8086(cpu))
		return cpu->cr4 & CR4_VME ? VIRTUAL : FORBIDDEN;
	return cpu->cpl == 3 && (cpu->cr4 & CR4_PVI) ? VIRTUAL : FORBIDDEN;
}

enum x86_result x86_exec_cli(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	switch (interrupt_flag(cpu)) {
	case NOT_VIRTUAL: cpu->rflags &= ~(uint64_t)RFLAGS_IF; return X86_DONE;
	case VIRTUAL: cpu->rflags &= ~(uint64_t)RFLAGS_VIF; return X86_DONE;
	default: return x86_raise_code(cpu, X86_GP, 0);
	}
}

enum x86_result x86_exec_sti(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	switch (interrupt_flag(cpu)) {
	case NOT_VIRTUAL:
		if (!(cpu->rflags & RFLAGS_IF))
			cpu->interrupt_shadow |= X86_SHADOW_STI;
		cpu->rflags |= RFLAGS_IF;
		return X86_LEAVE;
	case VIRTUAL:
		if (cpu->rflags & RFLAGS_VIP)
			break;
		cpu->rflags |= RFLAGS_VIF;
		return X86_DONE;
	default: break;
	}
	return x86_raise_code(cpu, X86_GP, 0);
}

/* An 8086 program without I/O privilege, for which CR4.VME hides IF and IOPL. */
static bool hides_flags(const struct x86_cpu *cpu)
{
	return x86_v8086(cpu) && x86_iopl(cpu) < 3;
}

static bool may_hide(const struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return insn->size == 2 && (cpu->cr4 & CR4_VME);
}

enum x86_result x86_exec_pushf(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t flags = x86_flags(cpu) & ~(uint64_t)(RFLAGS_RF | RFLAGS_VM);

	if (hides_flags(cpu)) {
		if (!may_hide(cpu, insn))
			return x86_raise_code(cpu, X86_GP, 0);
		flags = (flags & ~(uint64_t)RFLAGS_IF) | RFLAGS_IOPL |
			(flags & RFLAGS_VIF ? RFLAGS_IF : 0);
	}
	return x86_push(cpu, insn->size, flags) ? X86_DONE : X86_FAULT;
}

enum x86_result x86_exec_popf(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t flags, mask = x86_flags_writable(cpu), rsp = cpu->gpr[X86_RSP];

	if (hides_flags(cpu) && !may_hide(cpu, insn))
		return x86_raise_code(cpu, X86_GP, 0);
	if (insn->size == 2)
		mask &= UINT16_MAX;
	else if (!x86_v8086(cpu))
		mask |= RFLAGS_VIF | RFLAGS_VIP;
	if (!x86_pop(cpu, insn->size, &flags))
		return X86_FAULT;
	if (!hides_flags(cpu)) { /* POPFD clears VIF and VIP outside virtual-8086 mode */
		x86_write_flags(cpu, flags & ~(uint64_t)(RFLAGS_VIF | RFLAGS_VIP), mask);
	} else if (!x86_write_flags_virtual(cpu, flags)) {
		cpu->gpr[X86_RSP] = rsp;
		return X86_FAULT;
	}
	return X86_LEAVE;
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
	if (x86_v8086(cpu))
		return x86_int_v8086(cpu, (uint8_t)insn->imm);
	return x86_software_interrupt(cpu, (uint8_t)insn->imm, X86_EVENT_SOFTWARE);
}

enum x86_result x86_exec_int1(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	x86_debug_int1(cpu);
	return x86_software_interrupt(cpu, X86_DB, X86_EVENT_TRAP);
}

enum x86_result x86_exec_int3(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return x86_software_interrupt(cpu, X86_BP, X86_EVENT_SOFTWARE);
}

enum x86_result x86_exec_into(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if (!(x86_flags(cpu) & RFLAGS_OF))
		return X86_DONE;
	return x86_software_interrupt(cpu, X86_OF, X86_EVENT_SOFTWARE);
}

/* What CPUID does not offer. */
enum x86_result x86_exec_undefined(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return x86_raise(cpu, X86_UD);
}
