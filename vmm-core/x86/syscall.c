/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT (SDM 3A 5.8.7, 5.8.8, SDM 2; APM 3). Intel's processors have
 * SYSCALL in 64-bit mode only and SYSENTER everywhere, AMD's the other way round.
 */
#include "x86/control.h"
#include "x86/flags.h"
#include "x86/model.h"
#include "x86/segment.h"
#include "x86/system.h"

#define STAR_SYSCALL_SHIFT 32
#define STAR_SYSRET_SHIFT  48
#define SELECTOR_MASK      0xfffcu
/* Selectors lie behind one another. */
#define SYSRET_CS_64      16 /* beyond STAR[63:48] */
#define SYSRET_SS         8
#define SYSENTER_SS       8 /* beyond IA32_SYSENTER_CS */
#define SYSEXIT_CS_32     16
#define SYSEXIT_CS_64     32
#define FLAT_LIMIT        0xffffffffu

#define CODE_RIGHTS(wide) (SEG_CODE | SEG_READABLE | ((wide) ? SEG_L : SEG_DB))
#define STACK_RIGHTS      (SEG_WRITABLE | SEG_DB)

static enum x86_result gp(struct x86_cpu *cpu)
{
	return x86_raise_code(cpu, X86_GP, 0);
}

static void set_flat(struct x86_segment *segment, uint64_t selector, unsigned dpl, uint16_t rights)
{
	*segment = (struct x86_segment){
		.limit = FLAT_LIMIT,
		.selector = (uint16_t)selector,
		.rights = (uint16_t)(rights | SEG_G | SEG_P | SEG_S | SEG_ACCESSED |
				     dpl << SEG_DPL_SHIFT),
	};
}

/* Flat segments of privilege @cpl; SS is loaded by its caller. */
static void enter(struct x86_cpu *cpu, uint64_t cs, unsigned cpl, bool wide, uint64_t rip)
{
	set_flat(&cpu->segment[X86_CS], cs, cpl, CODE_RIGHTS(wide));
	cpu->gpr[X86_RIP] = rip;
	cpu->cpl = (uint8_t)cpl;
	x86_update_privilege(cpu);
	x86_update_code_mode(cpu);
}

static bool syscall_offered(struct x86_cpu *cpu)
{
	return (cpu->code_mode == X86_CODE_64 || x86_is_amd(cpu)) && (cpu->efer & EFER_SCE);
}

enum x86_result x86_exec_syscall(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t selector = (cpu->star >> STAR_SYSCALL_SHIFT) & UINT16_MAX;
	uint64_t flags = x86_flags(cpu) & ~(uint64_t)RFLAGS_RF, rip;

	if (!syscall_offered(cpu))
		return x86_raise(cpu, X86_UD);
	if (x86_long_mode(cpu)) {
		rip = cpu->code_mode == X86_CODE_64 ? cpu->lstar : cpu->cstar;
		cpu->gpr[X86_RCX] = cpu->gpr[X86_RIP];
		cpu->gpr[X86_R11] = flags;
		flags &= ~cpu->sfmask;
		if (cpu->sfmask & RFLAGS_TF) /* the next step is that of SYSRET */
			cpu->single_step = false;
	} else { /* AMD's legacy mode: neither a mask nor a place for the flags */
		rip = (uint32_t)cpu->star;
		cpu->gpr[X86_RCX] = (uint32_t)cpu->gpr[X86_RIP];
		flags &= ~(uint64_t)(RFLAGS_VM | RFLAGS_IF);
	}
	x86_set_flags(cpu, flags | RFLAGS_ONE);
	if (!(flags & RFLAGS_TF)) /* its mask cleared it: nothing to step before SYSRET */
		cpu->single_step = false;
	set_flat(&cpu->segment[X86_SS], selector + SYSRET_SS, 0, STACK_RIGHTS);
	enter(cpu, selector & SELECTOR_MASK, 0, x86_long_mode(cpu), rip);
	return X86_LEAVE;
}

enum x86_result x86_exec_sysret(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	const uint64_t mask = RFLAGS_ARITHMETIC | RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL |
			      RFLAGS_NT | RFLAGS_AC | RFLAGS_VIF | RFLAGS_VIP | RFLAGS_ID;
	bool wide = insn->size == 8;
	uint64_t selector = cpu->star >> STAR_SYSRET_SHIFT;
	uint64_t rip = wide ? cpu->gpr[X86_RCX] : (uint32_t)cpu->gpr[X86_RCX];

	if (!syscall_offered(cpu))
		return x86_raise(cpu, X86_UD);
	/* AMD goes to CPL 3 first: there the fetch from RCX faults. */
	if (cpu->cpl || !(cpu->cr0 & CR0_PE) ||
	    (!x86_is_amd(cpu) && wide && !x86_canonical(cpu, rip)))
		return gp(cpu);
	if (cpu->code_mode != X86_CODE_64)
		x86_set_flags(cpu, x86_flags(cpu) | RFLAGS_IF);
	else
		x86_write_flags(cpu, cpu->gpr[X86_R11], mask);
	if (x86_is_amd(cpu)) /* base, limit and attributes stay as they are */
		cpu->segment[X86_SS].selector = (uint16_t)((selector + SYSRET_SS) | 3);
	else
		set_flat(&cpu->segment[X86_SS], (selector + SYSRET_SS) | 3, 3, STACK_RIGHTS);
	enter(cpu, (selector + (wide ? SYSRET_CS_64 : 0)) | 3, 3, wide, rip);
	return X86_LEAVE;
}

static bool sysenter_offered(struct x86_cpu *cpu)
{
	return x86_offers(cpu, X86_FEATURE_SEP) && !(x86_is_amd(cpu) && x86_long_mode(cpu));
}

enum x86_result x86_exec_sysenter(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	bool wide = x86_long_mode(cpu);
	uint64_t selector = cpu->sysenter_cs & SELECTOR_MASK;

	if (!sysenter_offered(cpu))
		return x86_raise(cpu, X86_UD);
	if (!(cpu->cr0 & CR0_PE) || !selector)
		return gp(cpu);
	x86_set_flags(cpu, x86_flags(cpu) & ~(uint64_t)(RFLAGS_VM | RFLAGS_IF | RFLAGS_RF));
	cpu->gpr[X86_RSP] = wide ? cpu->sysenter_esp : (uint32_t)cpu->sysenter_esp;
	set_flat(&cpu->segment[X86_SS], selector + SYSENTER_SS, 0, STACK_RIGHTS);
	enter(cpu, selector, 0, wide, wide ? cpu->sysenter_eip : (uint32_t)cpu->sysenter_eip);
	return X86_LEAVE;
}

enum x86_result x86_exec_sysexit(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	bool wide = insn->size == 8;
	uint64_t rsp = cpu->gpr[X86_RCX], rip = cpu->gpr[X86_RDX];
	uint64_t selector = cpu->sysenter_cs + (wide ? SYSEXIT_CS_64 : SYSEXIT_CS_32);

	if (!sysenter_offered(cpu))
		return x86_raise(cpu, X86_UD);
	if (!(cpu->cr0 & CR0_PE) || cpu->cpl || !(cpu->sysenter_cs & SELECTOR_MASK))
		return gp(cpu);
	if (wide && (!x86_canonical(cpu, rsp) || !x86_canonical(cpu, rip)))
		return gp(cpu);
	cpu->gpr[X86_RSP] = wide ? rsp : (uint32_t)rsp;
	set_flat(&cpu->segment[X86_SS], (selector + SYSENTER_SS) | 3, 3, STACK_RIGHTS);
	enter(cpu, selector | 3, 3, wide, wide ? rip : (uint32_t)rip);
	return X86_LEAVE;
}
