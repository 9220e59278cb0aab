/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The time stamp counter (SDM 3B 17.17): RDTSC, RDTSCP, RDPID; RDPMC, of which there is nothing. */
#include "x86/control.h"
#include "x86/msr.h"
#include "x86/system.h"

/* Guest time counts from 0, so what software has added to it is IA32_TSC_ADJUST. */
static uint64_t tsc(const struct x86_cpu *cpu)
{
	return x86_time(cpu) + cpu->tsc_adjust;
}

static void adjust(struct x86_cpu *cpu, uint64_t value)
{
	cpu->tsc_adjust = value;
	machine_set_tsc_offset(cpu->machine, cpu->index, value);
}

bool x86_msr_read_tsc(struct x86_cpu *cpu, uint32_t msr, uint64_t *ret_value)
{
	*ret_value = msr == MSR_TSC ? tsc(cpu) : cpu->tsc_adjust;
	return true;
}

/* Writing TSC changes IA32_TSC_ADJUST by as much, and the other way round (SDM 3B 17.17.3). */
bool x86_msr_write_tsc(struct x86_cpu *cpu, uint32_t msr, uint64_t value)
{
	adjust(cpu, msr == MSR_TSC ? value - x86_time(cpu) : value);
	return true;
}

static bool forbidden(const struct x86_cpu *cpu)
{
	return cpu->cpl && (cpu->cr4 & CR4_TSD);
}

static void put_tsc(struct x86_cpu *cpu)
{
	uint64_t value = tsc(cpu);

	cpu->gpr[X86_RAX] = (uint32_t)value;
	cpu->gpr[X86_RDX] = value >> 32;
}

enum x86_result x86_exec_rdtsc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if (forbidden(cpu))
		return x86_raise_code(cpu, X86_GP, 0);
	put_tsc(cpu);
	return X86_DONE;
}

enum x86_result x86_exec_rdtscp(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if (forbidden(cpu))
		return x86_raise_code(cpu, X86_GP, 0);
	put_tsc(cpu);
	cpu->gpr[X86_RCX] = (uint32_t)cpu->tsc_aux;
	return X86_DONE;
}

/* At any privilege, and whatever CR4.TSD says. */
enum x86_result x86_exec_rdpid(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	cpu->gpr[insn->reg] = (uint32_t)cpu->tsc_aux;
	return X86_DONE;
}

/* There are no performance counters to name, whatever CR4.PCE says. */
enum x86_result x86_exec_rdpmc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return x86_raise_code(cpu, X86_GP, 0);
}
