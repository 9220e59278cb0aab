/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SYSCALL, SYSRET, SWAPGS (SDM 3A 5.8.8), in 64-bit mode only as on Intel's processors. */
#include "x86/control.h"
#include "x86/flags.h"
#include "x86/segment.h"
#include "x86/system.h"

#define STAR_SYSCALL_SHIFT 32
#define STAR_SYSRET_SHIFT  48
#define SYSRET_CS_64       16 /* beyond STAR[63:48] */
#define SYSRET_SS          8
#define FLAT_LIMIT         0xffffffffu

static void set_flat(struct x86_segment *segment, uint64_t selector, unsigned dpl, uint16_t rights)
{
	*segment = (struct x86_segment){
		.limit = FLAT_LIMIT,
		.selector = (uint16_t)selector,
		.rights = (uint16_t)(rights | SEG_G | SEG_P | SEG_S | SEG_ACCESSED |
				     dpl << SEG_DPL_SHIFT),
	};
}

static bool offered(struct x86_cpu *cpu)
{
	return cpu->code_mode == X86_CODE_64 && (cpu->efer & EFER_SCE);
}

enum x86_result x86_exec_syscall(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t flags, selector = (cpu->star >> STAR_SYSCALL_SHIFT) & 0xfffc;

	if (!offered(cpu))
		return x86_raise(cpu, X86_UD);
	flags = x86_flags(cpu) & ~(uint64_t)RFLAGS_RF;
	cpu->gpr[X86_RCX] = cpu->gpr[X86_RIP];
	cpu->gpr[X86_R11] = flags;
	cpu->gpr[X86_RIP] = cpu->lstar;
	x86_set_flags(cpu, flags & ~cpu->sfmask);
	set_flat(&cpu->segment[X86_CS], selector, 0, SEG_CODE | SEG_READABLE | SEG_L);
	set_flat(&cpu->segment[X86_SS], selector + SYSRET_SS, 0, SEG_WRITABLE | SEG_DB);
	cpu->cpl = 0;
	x86_update_privilege(cpu);
	x86_update_code_mode(cpu);
	return X86_LEAVE;
}

enum x86_result x86_exec_sysret(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	bool to_64 = insn->size == 8;
	uint64_t base = cpu->star >> STAR_SYSRET_SHIFT;
	uint64_t rip = cpu->gpr[X86_RCX];
	uint64_t mask = RFLAGS_ARITHMETIC | RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL |
			RFLAGS_NT | RFLAGS_AC | RFLAGS_VIF | RFLAGS_VIP | RFLAGS_ID;

	if (!offered(cpu))
		return x86_raise(cpu, X86_UD);
	if (cpu->cpl || (to_64 && !x86_canonical(cpu, rip)))
		return x86_raise_code(cpu, X86_GP, 0);
	x86_write_flags(cpu, cpu->gpr[X86_R11], mask);
	cpu->gpr[X86_RIP] = to_64 ? rip : (uint32_t)rip;
	set_flat(&cpu->segment[X86_CS], (base + (to_64 ? SYSRET_CS_64 : 0)) | 3, 3,
		 SEG_CODE | SEG_READABLE | (to_64 ? SEG_L : SEG_DB));
	set_flat(&cpu->segment[X86_SS], (base + SYSRET_SS) | 3, 3, SEG_WRITABLE | SEG_DB);
	cpu->cpl = 3;
	x86_update_privilege(cpu);
	x86_update_code_mode(cpu);
	return X86_LEAVE;
}

enum x86_result x86_exec_swapgs(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t base = cpu->segment[X86_GS].base;

	if (cpu->cpl)
		return x86_raise_code(cpu, X86_GP, 0);
	cpu->segment[X86_GS].base = cpu->kernel_gs_base;
	cpu->kernel_gs_base = base;
	return X86_DONE;
}
