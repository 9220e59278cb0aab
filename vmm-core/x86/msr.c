/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RDMSR, WRMSR and the time stamp counter (SDM 4). */
#include "x86/control.h"
#include "x86/mem.h"
#include "x86/segment.h"
#include "x86/system.h"

#define EFER_WRITABLE  (EFER_SCE | EFER_LME | EFER_NXE)
#define SFMASK_DEFINED UINT32_MAX

static enum x86_result gp(struct x86_cpu *cpu)
{
	return x86_raise_code(cpu, X86_GP, 0);
}

static uint64_t tsc(const struct x86_cpu *cpu)
{
	return x86_time(cpu) + cpu->tsc_offset;
}

static enum x86_result write_efer(struct x86_cpu *cpu, uint64_t value)
{
	uint64_t old = cpu->efer;

	/* Writes of LMA are ignored (SDM 3A 2.2.1). */
	if (value & ~(EFER_WRITABLE | EFER_LMA))
		return gp(cpu);
	if (((old ^ value) & EFER_LME) && (cpu->cr0 & CR0_PG))
		return gp(cpu);
	cpu->efer = (value & EFER_WRITABLE) | (old & EFER_LMA);
	return (old ^ cpu->efer) & EFER_NXE ? x86_update_paging(cpu) : X86_LEAVE;
}

/* SDM 3A table 11-10: types 2 and 3 are reserved, as is all above 7. */
static bool pat_is_valid(uint64_t value)
{
	for (int i = 0; i < 8; i++) {
		uint8_t type = (uint8_t)(value >> (8 * i));

		if (type == 2 || type == 3 || type > 7)
			return false;
	}
	return true;
}

static enum x86_result write_canonical(struct x86_cpu *cpu, uint64_t *destination, uint64_t value)
{
	if (!x86_canonical_base(cpu, value))
		return gp(cpu);
	*destination = value;
	return X86_DONE;
}

/* MSRs that a VMM lets through: no exit (as KVM sets its MSR bitmap). */
static bool passes_through(uint32_t msr)
{
	return (msr >= MSR_STAR && msr <= MSR_SFMASK) ||
	       (msr >= MSR_FS_BASE && msr <= MSR_KERNEL_GS_BASE);
}

enum x86_result x86_exec_rdmsr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint32_t msr = (uint32_t)cpu->gpr[X86_RCX];
	uint64_t value;

	if (cpu->cpl)
		return gp(cpu);
	if (!passes_through(msr))
		hw_event(cpu->hw, UMBRA_EXIT_rdmsr);
	switch (msr) {
	case MSR_TSC: value = tsc(cpu); break;
	case MSR_MISC_ENABLE: value = cpu->misc_enable; break;
	case MSR_PAT: value = cpu->pat; break;
	case MSR_EFER: value = cpu->efer; break;
	case MSR_STAR: value = cpu->star; break;
	case MSR_LSTAR: value = cpu->lstar; break;
	case MSR_CSTAR: value = cpu->cstar; break;
	case MSR_SFMASK: value = cpu->sfmask; break;
	case MSR_FS_BASE: value = cpu->segment[X86_FS].base; break;
	case MSR_GS_BASE: value = cpu->segment[X86_GS].base; break;
	case MSR_KERNEL_GS_BASE: value = cpu->kernel_gs_base; break;
	default: return gp(cpu);
	}
	cpu->gpr[X86_RAX] = (uint32_t)value;
	cpu->gpr[X86_RDX] = value >> 32;
	return X86_DONE;
}

enum x86_result x86_exec_wrmsr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint32_t msr = (uint32_t)cpu->gpr[X86_RCX];
	uint64_t value = cpu->gpr[X86_RDX] << 32 | (uint32_t)cpu->gpr[X86_RAX];

	if (cpu->cpl)
		return gp(cpu);
	if (!passes_through(msr))
		hw_event(cpu->hw, UMBRA_EXIT_wrmsr);
	switch (msr) {
	case MSR_TSC: cpu->tsc_offset = value - x86_time(cpu); return X86_DONE;
	case MSR_MISC_ENABLE:
		if ((value ^ cpu->misc_enable) & ~MISC_ENABLE_FAST_STRINGS)
			return gp(cpu);
		cpu->misc_enable = value;
		return X86_DONE;
	case MSR_PAT:
		if (!pat_is_valid(value))
			return gp(cpu);
		cpu->pat = value;
		return X86_DONE;
	case MSR_EFER: return write_efer(cpu, value);
	case MSR_STAR: cpu->star = value; return X86_DONE;
	case MSR_LSTAR: return write_canonical(cpu, &cpu->lstar, value);
	case MSR_CSTAR: return write_canonical(cpu, &cpu->cstar, value);
	case MSR_SFMASK:
		if (value & ~(uint64_t)SFMASK_DEFINED)
			return gp(cpu);
		cpu->sfmask = value;
		return X86_DONE;
	case MSR_FS_BASE: return write_canonical(cpu, &cpu->segment[X86_FS].base, value);
	case MSR_GS_BASE: return write_canonical(cpu, &cpu->segment[X86_GS].base, value);
	case MSR_KERNEL_GS_BASE: return write_canonical(cpu, &cpu->kernel_gs_base, value);
	default: return gp(cpu);
	}
}

enum x86_result x86_exec_rdtsc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value;

	if (cpu->cpl && (cpu->cr4 & CR4_TSD))
		return gp(cpu);
	value = tsc(cpu);
	cpu->gpr[X86_RAX] = (uint32_t)value;
	cpu->gpr[X86_RDX] = value >> 32;
	return X86_DONE;
}

/* There are no performance counters to name. */
enum x86_result x86_exec_rdpmc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return gp(cpu);
}
