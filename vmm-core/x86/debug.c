/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Debug registers, breakpoints, single steps (SDM 3B 17); what is pending between instructions. */
#include "x86/debug.h"

#include "x86/control.h"
#include "x86/mem.h"
#include "x86/segment.h"
#include "x86/system.h"

#define NR_BREAKPOINTS 4

/* DR7 (SDM 3B 17.2.4). */
#define DR7_ENABLE(i)  (3ull << 2 * (i)) /* L and G */
#define DR7_RW(i)      (16 + 4 * (i))
#define DR7_LEN(i)     (18 + 4 * (i))
#define DR7_LOCAL      0x155ull /* L0 ... L3, LE */
#define DR7_FIXED_ONES 0x400ull
#define DR7_WRITABLE   0xffff23ffull

#define DR6_B          0xfu
#define DR6_FIXED_ONES 0xffff0ff0ull
#define DR6_WRITABLE   0xe00full /* B0..B3, BD, BS, BT */

enum condition { ON_FETCH, ON_WRITE, ON_PORT, ON_ACCESS };

static bool enabled(const struct x86_cpu *cpu, unsigned i)
{
	return cpu->dr[7] & DR7_ENABLE(i);
}

/* Without CR4.DE there are no breakpoints on ports: the encoding is undefined. */
static enum condition condition_of(const struct x86_cpu *cpu, unsigned i)
{
	return (enum condition)(cpu->dr[7] >> DR7_RW(i) & 3);
}

static unsigned length_of(const struct x86_cpu *cpu, unsigned i)
{
	static const uint8_t lengths[] = {1, 2, 8, 4};

	return lengths[cpu->dr[7] >> DR7_LEN(i) & 3];
}

/* The bytes of a breakpoint are aligned to its length: the low bits of its address are ignored. */
static bool touches(const struct x86_cpu *cpu, unsigned i, uint64_t address, unsigned size)
{
	unsigned length = length_of(cpu, i);
	uint64_t first = cpu->dr[i] & ~(uint64_t)(length - 1);

	return address - first < length || first - address < size;
}

void x86_set_watch(struct x86_cpu *cpu, enum x86_watch bit, bool on)
{
	struct hw_public *p = hw_public(cpu->hw);

	if (!on) {
		cpu->watch &= (uint8_t)~bit;
		return;
	}
	cpu->watch |= (uint8_t)bit;
	for (unsigned i = 0; i < sizeof(p->data) / sizeof(p->data[0]); i++)
		for (unsigned j = 0; j < HW_LOOKASIDE_SETS; j++)
			hw_lookaside_forget(&p->data[i][j]);
}

void x86_debug_changed(struct x86_cpu *cpu)
{
	static const uint8_t kinds[] = {
		[ON_FETCH] = X86_BREAKPOINT_CODE,
		[ON_WRITE] = X86_BREAKPOINT_DATA,
		[ON_PORT] = X86_BREAKPOINT_IO,
		[ON_ACCESS] = X86_BREAKPOINT_DATA,
	};

	cpu->breakpoints = 0;
	for (unsigned i = 0; i < NR_BREAKPOINTS; i++)
		if (enabled(cpu, i))
			cpu->breakpoints |= kinds[condition_of(cpu, i)];
	if (!(cpu->cr4 & CR4_DE))
		cpu->breakpoints &= (uint8_t)~X86_BREAKPOINT_IO;
	x86_set_watch(cpu, X86_WATCH_DATA, cpu->breakpoints & X86_BREAKPOINT_DATA);
}

/* Delivers #DB. Which of B0 ... B3 hold is of this exception, the rest of DR6 accumulates. */
static void deliver(struct x86_cpu *cpu, uint32_t status)
{
	cpu->dr[6] = (cpu->dr[6] & ~(uint64_t)DR6_B) | status;
	x86_deliver(cpu, X86_DB, X86_EVENT_TRAP, false, 0);
}

bool x86_debug_fetch(struct x86_cpu *cpu)
{
	uint64_t linear = x86_linear(cpu, X86_CS, cpu->gpr[X86_RIP]);
	uint32_t status = 0;

	if (!(cpu->breakpoints & X86_BREAKPOINT_CODE))
		return false;
	for (unsigned i = 0; i < NR_BREAKPOINTS; i++)
		if (enabled(cpu, i) && condition_of(cpu, i) == ON_FETCH && cpu->dr[i] == linear)
			status |= 1u << i;
	if (status)
		deliver(cpu, status);
	return status;
}

/* SDM 3A table 6-7; of larger operands, images of state, the elements are what counts. */
static unsigned alignment_of(unsigned size)
{
	switch (size) {
	case 1:
	case 2:
	case 4:
	case 8:
	case 16: return size;
	case 10: return 8;
	default: return 4;
	}
}

bool x86_watch(struct x86_cpu *cpu, uint64_t linear, unsigned size, bool write)
{
	if ((cpu->watch & X86_WATCH_ALIGNMENT) && (linear & (alignment_of(size) - 1))) {
		x86_raise_code(cpu, X86_AC, 0);
		return false;
	}
	x86_watch_system(cpu, linear, size, write);
	return true;
}

void x86_watch_system(struct x86_cpu *cpu, uint64_t linear, unsigned size, bool write)
{
	for (unsigned i = 0; (cpu->watch & X86_WATCH_DATA) && i < NR_BREAKPOINTS; i++) {
		enum condition condition = condition_of(cpu, i);

		if (enabled(cpu, i) &&
		    (condition == ON_ACCESS || (condition == ON_WRITE && write)) &&
		    touches(cpu, i, linear, size))
			cpu->debug_status |= 1u << i;
	}
}

void x86_debug_port(struct x86_cpu *cpu, uint16_t port, unsigned size)
{
	if (!(cpu->breakpoints & X86_BREAKPOINT_IO))
		return;
	for (unsigned i = 0; i < NR_BREAKPOINTS; i++)
		if (enabled(cpu, i) && condition_of(cpu, i) == ON_PORT &&
		    touches(cpu, i, port, size))
			cpu->debug_status |= 1u << i;
}

void x86_debug_int1(struct x86_cpu *cpu)
{
	if (cpu->debug_status)
		cpu->dr[6] = (cpu->dr[6] & ~(uint64_t)DR6_B) | cpu->debug_status;
	x86_debug_faulted(cpu);
}

void x86_debug_faulted(struct x86_cpu *cpu)
{
	cpu->debug_status = 0;
	cpu->pending &= (uint8_t)~X86_PENDING_TRAP;
}

void x86_debug_retired(struct x86_cpu *cpu)
{
	if (cpu->single_step && !(cpu->interrupt_shadow & X86_SHADOW_SS))
		cpu->debug_status |= DR6_BS;
	if (cpu->debug_status)
		cpu->pending |= X86_PENDING_TRAP;
}

void x86_debug_new_task(struct x86_cpu *cpu, bool trap)
{
	cpu->dr[7] &= ~DR7_LOCAL;
	x86_debug_changed(cpu);
	cpu->single_step = false;
	if (!trap)
		return;
	cpu->debug_status |= DR6_BT;
	cpu->pending |= X86_PENDING_TRAP;
}

bool x86_pending_due(const struct x86_cpu *cpu)
{
	if (cpu->pending & X86_PENDING_FAULT)
		return true;
	if (cpu->wait_for_sipi)
		return false;
	if (cpu->interrupt_shadow & X86_SHADOW_SS)
		return false;
	if (cpu->pending & X86_PENDING_TRAP)
		return true;
	/* SDM 2B STI lets a processor hold NMIs back too: STI and HLT then stay together. */
	return (cpu->pending & X86_PENDING_NMI) && !cpu->nmi_blocked && !cpu->interrupt_shadow;
}

void x86_deliver_pending(struct x86_cpu *cpu)
{
	if (cpu->pending & X86_PENDING_FAULT) {
		cpu->pending &= (uint8_t)~X86_PENDING_FAULT;
		x86_deliver(cpu, cpu->fault_vector, X86_EVENT_EXCEPTION, cpu->fault_has_code,
			    cpu->fault_code);
	} else if (cpu->pending & X86_PENDING_TRAP) {
		uint32_t status = cpu->debug_status;

		cpu->pending &= (uint8_t)~X86_PENDING_TRAP;
		cpu->debug_status = 0;
		deliver(cpu, status);
	} else {
		cpu->pending &= (uint8_t)~X86_PENDING_NMI;
		cpu->nmi_blocked = true;
		x86_deliver(cpu, X86_NMI, X86_EVENT_EXTERNAL, false, 0);
	}
}

/* X86_DONE, or the fault that a move to or from debug register @number raises (SDM 2 MOV DR). */
static enum x86_result check_register(struct x86_cpu *cpu, unsigned *number)
{
	if (*number > 7 || ((*number == 4 || *number == 5) && (cpu->cr4 & CR4_DE)))
		return x86_raise(cpu, X86_UD);
	if (cpu->cpl)
		return x86_raise_code(cpu, X86_GP, 0);
	if (cpu->dr[7] & DR7_GD) {
		cpu->dr[6] = (cpu->dr[6] & ~(uint64_t)DR6_B) | DR6_BD;
		return x86_raise(cpu, X86_DB);
	}
	if (*number == 4 || *number == 5) /* then they are other names of DR6 and DR7 */
		*number += 2;
	return X86_DONE;
}

enum x86_result x86_exec_mov_to_dr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value = cpu->gpr[insn->rm];
	unsigned number = insn->reg;

	if (check_register(cpu, &number) != X86_DONE)
		return X86_FAULT;
	if (cpu->code_mode != X86_CODE_64)
		value = (uint32_t)value;
	if (number >= 6 && (value >> 32))
		return x86_raise_code(cpu, X86_GP, 0);
	if (number == 6)
		value = (value & DR6_WRITABLE) | DR6_FIXED_ONES;
	else if (number == 7)
		value = (value & DR7_WRITABLE) | DR7_FIXED_ONES;
	cpu->dr[number] = value;
	x86_debug_changed(cpu);
	return X86_LEAVE;
}

enum x86_result x86_exec_mov_from_dr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	unsigned number = insn->rm;

	if (check_register(cpu, &number) != X86_DONE)
		return X86_FAULT;
	cpu->gpr[insn->reg] =
		cpu->code_mode == X86_CODE_64 ? cpu->dr[number] : (uint32_t)cpu->dr[number];
	return X86_DONE;
}
