/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Far JMP and CALL, to code and through call gates (SDM 2; SDM 3A 5.8). */
#include "x86/far.h"

#include "x86/mem.h"
#include "x86/real.h"
#include "x86/stack.h"
#include "x86/system.h"
#include "x86/task.h"

#define POINTER_SELECTOR_SHIFT 32 /* insn->imm of a far pointer */

/* A call gate (SDM 3A 5.8.3, 5.8.3.1). */
#define GATE_COUNT      0x1fu
#define GATE_TYPE_UPPER (0x1full << 8) /* of the upper half of a 64-bit one: zero */

static enum x86_result gp(struct x86_cpu *cpu, uint16_t selector)
{
	return x86_raise_code(cpu, X86_GP, selector_error(selector));
}

static bool read_far_pointer(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t *ret_offset,
			     uint16_t *ret_selector)
{
	unsigned size = x86_far_offset_size(cpu, insn->size);
	uint64_t address, selector;

	if (!insn->memory) {
		*ret_offset = (uint32_t)insn->imm;
		*ret_selector = (uint16_t)(insn->imm >> POINTER_SELECTOR_SHIFT);
		return true;
	}
	address = x86_effective_address(cpu, insn);
	if (!x86_load(cpu, insn->segment, address, size, ret_offset) ||
	    !x86_load(cpu, insn->segment, address + size, 2, &selector))
		return false;
	*ret_selector = (uint16_t)selector;
	return true;
}

bool x86_check_far_code(struct x86_cpu *cpu, uint16_t selector, uint64_t rip,
			const struct x86_descriptor *d)
{
	bool to_64 = x86_long_mode(cpu) && (d->rights & SEG_L);

	if (!(d->rights & SEG_P)) {
		x86_raise_code(cpu, X86_NP, selector_error(selector));
		return false;
	}
	if (to_64 && (d->rights & SEG_DB)) {
		gp(cpu, selector);
		return false;
	}
	if (to_64 ? !x86_canonical(cpu, rip) : rip > d->limit) {
		gp(cpu, 0);
		return false;
	}
	return true;
}

void x86_enter_code(struct x86_cpu *cpu, uint16_t selector, const struct x86_descriptor *code,
		    uint64_t rip, unsigned cpl)
{
	x86_set_segment(&cpu->segment[X86_CS], (uint16_t)((selector & ~SELECTOR_RPL) | cpl), code);
	cpu->gpr[X86_RIP] = rip;
	cpu->cpl = (uint8_t)cpl;
	x86_update_privilege(cpu);
	x86_update_code_mode(cpu);
}

/* Code of the present privilege, named by the instruction itself. */
static bool check_direct(struct x86_cpu *cpu, uint16_t selector, uint64_t rip,
			 struct x86_descriptor *code)
{
	unsigned dpl = segment_dpl(code->rights);

	if (!(code->rights & SEG_CODE) ||
	    (code->rights & SEG_CONFORMING
		     ? dpl > cpu->cpl
		     : dpl != cpu->cpl || (selector & SELECTOR_RPL) > cpu->cpl)) {
		gp(cpu, selector);
		return false;
	}
	return x86_check_far_code(cpu, selector, rip, code) && x86_mark_accessed(cpu, code);
}

/* Pushes CS and RIP (the last two of @count values) on @stack, which is where @code begins. */
static enum x86_result call(struct x86_cpu *cpu, uint16_t selector,
			    const struct x86_descriptor *code, uint64_t rip, unsigned cpl,
			    struct x86_stack *stack, uint64_t *values, unsigned count,
			    unsigned size)
{
	uint32_t error = cpl < cpu->cpl && size != 8 ? selector_error(stack->ss.selector) : 0;

	values[count++] = cpu->segment[X86_CS].selector;
	values[count++] = cpu->gpr[X86_RIP];
	if (!x86_push_frame(cpu, stack, values, count, size, error))
		return X86_FAULT;
	cpu->segment[X86_SS] = stack->ss;
	cpu->gpr[X86_RSP] = stack->pointer;
	x86_enter_code(cpu, selector, code, rip, cpl);
	return X86_LEAVE;
}

struct gate {
	uint64_t offset;
	uint16_t selector;
	uint8_t size; /* of what it pushes */
	uint8_t count;
};

static bool read_call_gate(struct x86_cpu *cpu, uint16_t selector, const struct x86_descriptor *d,
			   struct gate *ret_gate)
{
	unsigned dpl = segment_dpl(d->rights);

	if (dpl < cpu->cpl || dpl < (selector & SELECTOR_RPL) ||
	    (x86_long_mode(cpu) && (d->raw[1] >> 32 & GATE_TYPE_UPPER))) {
		gp(cpu, selector);
		return false;
	}
	if (!(d->rights & SEG_P)) {
		x86_raise_code(cpu, X86_NP, selector_error(selector));
		return false;
	}
	*ret_gate = (struct gate){
		.offset = d->raw[0] & UINT16_MAX,
		.selector = x86_gate_selector(d),
		.size = 2,
		.count = (uint8_t)(d->raw[0] >> 32 & GATE_COUNT),
	};
	if (d->rights & SYS_TYPE_32) {
		ret_gate->size = 4;
		ret_gate->offset |= d->raw[0] >> 32 & 0xffff0000;
	}
	if (x86_long_mode(cpu)) {
		ret_gate->size = 8;
		ret_gate->count = 0;
		ret_gate->offset |= d->raw[1] << 32;
	}
	return true;
}

/* The code that a gate leads to: of the present privilege, or for a CALL of an inner one. */
static bool find_gated_code(struct x86_cpu *cpu, const struct gate *gate, bool is_call,
			    struct x86_descriptor *ret_code)
{
	struct x86_descriptor *d = ret_code;
	bool wrong;

	if (selector_is_null(gate->selector)) {
		gp(cpu, 0);
		return false;
	}
	if (!x86_read_descriptor(cpu, gate->selector, X86_GP, 0, d))
		return false;
	wrong = !(d->rights & SEG_S) || !(d->rights & SEG_CODE) ||
		segment_dpl(d->rights) > cpu->cpl ||
		(!is_call && !(d->rights & SEG_CONFORMING) && segment_dpl(d->rights) != cpu->cpl) ||
		(x86_long_mode(cpu) && !(d->rights & SEG_L));
	if (wrong) {
		gp(cpu, gate->selector);
		return false;
	}
	return x86_check_far_code(cpu, gate->selector, gate->offset, d);
}

/* The caller's topmost parameters, in the order in which they were pushed. */
static bool copy_parameters(struct x86_cpu *cpu, const struct gate *gate, uint64_t *values)
{
	for (unsigned i = 0; i < gate->count; i++)
		if (!x86_peek(cpu, (gate->count - 1u - i) * gate->size, gate->size, &values[i]))
			return false;
	return true;
}

static enum x86_result through_gate(struct x86_cpu *cpu, uint16_t selector,
				    const struct x86_descriptor *d, bool is_call)
{
	uint64_t values[X86_FRAME_MAX];
	struct x86_descriptor code;
	struct x86_stack stack;
	struct gate gate;
	unsigned cpl, count = 0;

	if (!read_call_gate(cpu, selector, d, &gate) ||
	    !find_gated_code(cpu, &gate, is_call, &code))
		return X86_FAULT;
	cpl = code.rights & SEG_CONFORMING ? cpu->cpl : segment_dpl(code.rights);
	x86_present_stack(cpu, &stack);
	if (cpl < cpu->cpl) {
		values[count++] = cpu->segment[X86_SS].selector;
		values[count++] = cpu->gpr[X86_RSP];
		if (!x86_inner_stack(cpu, cpl, 0, &stack) ||
		    !copy_parameters(cpu, &gate, &values[count]))
			return X86_FAULT;
		count += gate.count;
	}
	if (!x86_mark_accessed(cpu, &code))
		return X86_FAULT;
	if (is_call)
		return call(cpu, gate.selector, &code, gate.offset, cpl, &stack, values, count,
			    gate.size);
	x86_enter_code(cpu, gate.selector, &code, gate.offset, cpl);
	return X86_LEAVE;
}

/* What is no code: gates and tasks. */
static enum x86_result to_system(struct x86_cpu *cpu, uint16_t selector,
				 const struct x86_descriptor *d, bool is_call)
{
	enum x86_task_switch how = is_call ? X86_TASK_CALL : X86_TASK_JMP;
	unsigned type = d->rights & SEG_TYPE;

	if (type == SYS_CALL_GATE || (type == SYS_CALL_GATE_16 && !x86_long_mode(cpu)))
		return through_gate(cpu, selector, d, is_call);
	if (!x86_long_mode(cpu)) {
		switch (type) {
		case SYS_TASK_GATE: return x86_far_to_task_gate(cpu, selector, d, how);
		case SYS_TSS_16_AVAILABLE:
		case SYS_TSS_16_BUSY:
		case SYS_TSS_AVAILABLE:
		case SYS_TSS_BUSY: return x86_far_to_tss(cpu, selector, d, how);
		default: break;
		}
	}
	return gp(cpu, selector);
}

enum x86_result x86_exec_jmp_far(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_descriptor d;
	uint16_t selector;
	uint64_t rip;

	if (!read_far_pointer(cpu, insn, &rip, &selector))
		return X86_FAULT;
	if (!x86_protected(cpu))
		return x86_jmp_8086(cpu, selector, rip);
	if (selector_is_null(selector))
		return gp(cpu, 0);
	if (!x86_read_descriptor(cpu, selector, X86_GP, 0, &d))
		return X86_FAULT;
	if (!(d.rights & SEG_S))
		return to_system(cpu, selector, &d, false);
	if (!check_direct(cpu, selector, rip, &d))
		return X86_FAULT;
	x86_enter_code(cpu, selector, &d, rip, cpu->cpl);
	return X86_LEAVE;
}

enum x86_result x86_exec_call_far(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_descriptor d;
	struct x86_stack stack;
	uint64_t rip, values[2];
	uint16_t selector;

	if (!read_far_pointer(cpu, insn, &rip, &selector))
		return X86_FAULT;
	if (!x86_protected(cpu))
		return x86_call_8086(cpu, insn, selector, rip);
	if (selector_is_null(selector))
		return gp(cpu, 0);
	if (!x86_read_descriptor(cpu, selector, X86_GP, 0, &d))
		return X86_FAULT;
	if (!(d.rights & SEG_S))
		return to_system(cpu, selector, &d, true);
	if (!check_direct(cpu, selector, rip, &d))
		return X86_FAULT;
	x86_present_stack(cpu, &stack);
	return call(cpu, selector, &d, rip, cpu->cpl, &stack, values, 0, insn->size);
}
