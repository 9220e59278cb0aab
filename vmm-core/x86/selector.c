/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instructions that load and push segment registers; segment.c has the rules. */
#include "x86/mem.h"
#include "x86/segment.h"
#include "x86/system.h"

/* No interrupt comes between a load of SS and the load of the stack pointer that follows it. */
static enum x86_result loaded(struct x86_cpu *cpu, unsigned segment)
{
	if (segment != X86_SS)
		return X86_DONE;
	cpu->interrupt_shadow |= X86_SHADOW_SS;
	return X86_LEAVE;
}

enum x86_result x86_exec_mov_to_segment(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value = cpu->gpr[insn->rm];

	if (insn->reg == X86_CS)
		return x86_raise(cpu, X86_UD);
	if (insn->memory &&
	    !x86_load(cpu, insn->segment, x86_effective_address(cpu, insn), 2, &value))
		return X86_FAULT;
	if (x86_load_segment(cpu, insn->reg, (uint16_t)value) != X86_DONE)
		return X86_FAULT;
	return loaded(cpu, insn->reg);
}

/*
 * A selector takes the place of an operand, and Intel's processors write no more than its 16 bits
 * there where the operand has 32 (SDM 2B PUSH); all others zero-extend it (APM 3 PUSH).
 */
enum x86_result x86_exec_push_segment(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint16_t selector = cpu->segment[insn->reg].selector;
	uint64_t offset;

	if (insn->size != 4 || x86_is_amd(cpu))
		return x86_push(cpu, insn->size, selector) ? X86_DONE : X86_FAULT;
	offset = x86_stack_offset(cpu, -(uint64_t)insn->size);
	if (!x86_store(cpu, X86_SS, offset, sizeof(selector), selector))
		return X86_FAULT;
	x86_set_stack_pointer(cpu, offset);
	return X86_DONE;
}

enum x86_result x86_exec_pop_segment(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t rsp = cpu->gpr[X86_RSP], value;

	if (!x86_pop(cpu, insn->size, &value))
		return X86_FAULT;
	if (x86_load_segment(cpu, insn->reg, (uint16_t)value) != X86_DONE) {
		cpu->gpr[X86_RSP] = rsp;
		return X86_FAULT;
	}
	return loaded(cpu, insn->reg);
}

/* LDS, LES, LFS, LGS, LSS: insn->extra is the segment register. */
enum x86_result x86_exec_load_far_pointer(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t address = x86_effective_address(cpu, insn);
	unsigned size = x86_far_offset_size(cpu, insn->size);
	uint64_t offset, selector;
	uint64_t *destination = &cpu->gpr[insn->reg];

	if (!x86_load(cpu, insn->segment, address, size, &offset) ||
	    !x86_load(cpu, insn->segment, address + size, 2, &selector) ||
	    x86_load_segment(cpu, insn->extra, (uint16_t)selector) != X86_DONE)
		return X86_FAULT;
	if (insn->size == 2)
		*destination = (*destination & ~(uint64_t)UINT16_MAX) | offset;
	else
		*destination = offset;
	return X86_DONE; /* LSS loads both at once and casts no shadow */
}
