/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PUSH POP of general registers, immediates and memory; PUSHA POPA ENTER LEAVE. */
#include "x86/integer.h"
#include "x86/segment.h"

/* In 64-bit mode; other stacks go any way, which is x86_push(). */
ALWAYS_INLINE enum x86_result push(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t value,
				   enum way way, unsigned size)
{
	uint64_t offset = cpu->gpr[X86_RSP] - size;
	uint8_t *host;

	if (way == WAY_ANY)
		return x86_push(cpu, size, value) ? X86_DONE : X86_FAULT;
	if (!find_stack(cpu, insn, offset, size, HW_WRITE, &host))
		return TAKE_ANY_WAY;
	x86_put(host, size, value);
	cpu->gpr[X86_RSP] = offset;
	return X86_DONE;
}

ALWAYS_INLINE enum x86_result push_reg(struct x86_cpu *cpu, const struct x86_insn *insn,
				       enum way way, unsigned size)
{
	return push(cpu, insn, cpu->gpr[insn->rm], way, size);
}

ALWAYS_INLINE enum x86_result push_imm(struct x86_cpu *cpu, const struct x86_insn *insn,
				       enum way way, unsigned size)
{
	return push(cpu, insn, (uint64_t)insn->imm, way, size);
}

ALWAYS_INLINE enum x86_result push_mem(struct x86_cpu *cpu, const struct x86_insn *insn,
				       unsigned size)
{
	uint64_t value;

	if (!load_operand(cpu, insn, size, &value))
		return X86_FAULT;
	return x86_push(cpu, size, value) ? X86_DONE : X86_FAULT;
}

ALWAYS_INLINE enum x86_result pop_reg(struct x86_cpu *cpu, const struct x86_insn *insn,
				      enum way way, unsigned size)
{
	uint64_t value;
	uint8_t *host;

	if (way == WAY_ANY) {
		if (!x86_pop(cpu, size, &value))
			return X86_FAULT;
	} else {
		if (!find_stack(cpu, insn, cpu->gpr[X86_RSP], size, HW_READ, &host))
			return TAKE_ANY_WAY;
		value = x86_get(host, size);
		cpu->gpr[X86_RSP] += size;
	}
	reg_set(cpu, insn->rm, size, value);
	return X86_DONE;
}

/* The address is that after the stack pointer has moved (SDM 2B POP). */
ALWAYS_INLINE enum x86_result pop_mem(struct x86_cpu *cpu, const struct x86_insn *insn,
				      unsigned size)
{
	uint64_t value, stack = cpu->gpr[X86_RSP];

	if (!x86_pop(cpu, size, &value))
		return X86_FAULT;
	if (!store_operand(cpu, insn, size, value)) {
		cpu->gpr[X86_RSP] = stack;
		return X86_FAULT;
	}
	return X86_DONE;
}

DEFINE_WAYS_SIZES(push_reg, push_reg, )
DEFINE_WAYS_SIZES(push_imm, push_imm, )
DEFINE_THREADS(push_mem, push_mem, )
DEFINE_WAYS_SIZES(pop_reg, pop_reg, )
DEFINE_THREADS(pop_mem, pop_mem, )

static x86_thread *const push_reg_functions[NR_SIZES] = LIST_SIZES(push_reg);
static x86_thread *const push_imm_functions[NR_SIZES] = LIST_SIZES(push_imm);
static x86_thread *const push_mem_functions[NR_SIZES] = LIST_SIZES(push_mem);
static x86_thread *const pop_reg_functions[NR_SIZES] = LIST_SIZES(pop_reg);
static x86_thread *const pop_mem_functions[NR_SIZES] = LIST_SIZES(pop_mem);

/* A fault half-way leaves the registers alone; what is below the stack pointer does not matter. */
static enum x86_result exec_pusha(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t stack = cpu->gpr[X86_RSP];

	for (unsigned reg = X86_RAX; reg <= X86_RDI; reg++) {
		if (!x86_push(cpu, insn->size, reg == X86_RSP ? stack : cpu->gpr[reg])) {
			cpu->gpr[X86_RSP] = stack;
			return X86_FAULT;
		}
	}
	return X86_DONE;
}

static enum x86_result exec_popa(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t stack = cpu->gpr[X86_RSP], value[X86_RDI + 1];

	for (unsigned reg = X86_RDI + 1; reg-- > 0;) {
		if (!x86_pop(cpu, insn->size, &value[reg])) {
			cpu->gpr[X86_RSP] = stack;
			return X86_FAULT;
		}
	}
	for (unsigned reg = X86_RAX; reg <= X86_RDI; reg++)
		if (reg != X86_RSP)
			reg_set(cpu, reg, insn->size, value[reg]);
	return X86_DONE;
}

/* The frame pointer as an address within the stack. */
static uint64_t stack_cut(const struct x86_cpu *cpu, uint64_t value)
{
	if (cpu->code_mode == X86_CODE_64)
		return value;
	return cpu->segment[X86_SS].rights & SEG_DB ? (uint32_t)value : (uint16_t)value;
}

/* Pushes the frame pointers of the outer levels, and this frame's own. */
static bool push_display(struct x86_cpu *cpu, unsigned size, unsigned level, uint64_t frame)
{
	uint64_t pointer = cpu->gpr[X86_RBP], value = 0;

	for (unsigned i = 1; i < level; i++) {
		pointer -= size;
		if (!x86_load_slow(cpu, X86_SS, stack_cut(cpu, pointer), size, &value) ||
		    !x86_push(cpu, size, value))
			return false;
	}
	return x86_push(cpu, size, frame);
}

/*
 * imm is the size of the frame, extra the nesting level modulo 32. It faults, with nothing changed,
 * where a write at the final stack pointer would (SDM 2A ENTER).
 */
static enum x86_result exec_enter(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t stack = cpu->gpr[X86_RSP], frame, top;
	unsigned level = insn->extra % 32;

	if (!x86_push(cpu, insn->size, cpu->gpr[X86_RBP]))
		return X86_FAULT;
	frame = cpu->gpr[X86_RSP];
	if (level > 0 && !push_display(cpu, insn->size, level, frame))
		goto fault;
	top = stack_cut(cpu, cpu->gpr[X86_RSP] - (uint16_t)insn->imm);
	if (!x86_operand(cpu, X86_SS, top, insn->size, HW_WRITE))
		goto fault;
	x86_set_stack_pointer(cpu, top);
	reg_set(cpu, X86_RBP, insn->size, frame);
	return X86_DONE;

fault:
	cpu->gpr[X86_RSP] = stack;
	return X86_FAULT;
}

static enum x86_result exec_leave(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value, stack = cpu->gpr[X86_RSP];

	x86_set_stack_pointer(cpu, cpu->gpr[X86_RBP]);
	if (!x86_pop(cpu, insn->size, &value)) {
		cpu->gpr[X86_RSP] = stack;
		return X86_FAULT;
	}
	reg_set(cpu, X86_RBP, insn->size, value);
	return X86_DONE;
}

x86_exec *x86_select_stack(const ZydisDecodedInstruction *decoded,
			   const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	unsigned size = insn->size >= 1 && insn->size <= 8 ? size_index(insn->size) : 0;

	if (!x86_general_operands(decoded, operands))
		return NULL;
	switch (decoded->mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
		if (operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			return x86_threaded(insn, push_imm_functions[size]);
		return x86_threaded(insn, insn->memory ? push_mem_functions[size]
						       : push_reg_functions[size]);
	case ZYDIS_MNEMONIC_POP:
		return x86_threaded(insn, insn->memory ? pop_mem_functions[size]
						       : pop_reg_functions[size]);
	case ZYDIS_MNEMONIC_PUSHA:
	case ZYDIS_MNEMONIC_PUSHAD: return exec_pusha;
	case ZYDIS_MNEMONIC_POPA:
	case ZYDIS_MNEMONIC_POPAD: return exec_popa;
	case ZYDIS_MNEMONIC_ENTER: return exec_enter;
	case ZYDIS_MNEMONIC_LEAVE: return exec_leave;
	default: return NULL;
	}
}
