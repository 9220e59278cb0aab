/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupts and exceptions through the IDT (SDM 3A 6.10-6.15). */
#include "x86/control.h"
#include "x86/flags.h"
#include "x86/mem.h"
#include "x86/segment.h"

/* Where the TSS keeps stacks (SDM 3A 7.2.1, 7.7). */
#define TSS_32_ESP0   4
#define TSS_32_STRIDE 8
#define TSS_64_RSP0   4
#define TSS_64_IST1   36
#define TSS_64_STRIDE 8

#define GATE_IST      7u

#define FRAME_MAX     6 /* SS, RSP, RFLAGS, CS, RIP, error code */

struct gate {
	uint64_t offset;
	uint16_t selector;
	uint8_t type;
	uint8_t ist;
	uint8_t dpl;
	bool present;
};

struct event {
	uint8_t vector;
	enum x86_event_kind kind;
	bool has_code;
	uint32_t code;
	uint32_t ext; /* the EXT bit of the code of a fault that delivery meets */
};

/* The new stack: where its frame ends, and SS if it changes. */
struct stack {
	bool changed; /* of privilege: SS is loaded anew */
	uint64_t pointer;
	struct x86_segment ss;
};

static bool fail(struct x86_cpu *cpu, uint8_t vector, uint32_t code)
{
	x86_raise_code(cpu, vector, code);
	return false;
}

static bool refuse(struct x86_cpu *cpu, const char *what, uint8_t vector)
{
	x86_end(cpu, UMBRA_END_ERROR, "%s (vector %u) is not in this build", what, vector);
	return false;
}

static bool read_gate(struct x86_cpu *cpu, const struct event *event, struct gate *ret_gate)
{
	bool long_mode = x86_long_mode(cpu);
	unsigned size = long_mode ? 16 : 8;
	uint32_t code = event->vector * 8u | ERROR_IDT | event->ext;
	uint64_t raw[2] = {0, 0};
	unsigned type;

	if (event->vector * size + size - 1 > cpu->idtr.limit)
		return fail(cpu, X86_GP, code);
	if (!x86_load_system(cpu, cpu->idtr.base + event->vector * size, size, raw))
		return false;
	type = (raw[0] >> 40) & (SEG_TYPE | SEG_S);
	ret_gate->type = (uint8_t)type;
	ret_gate->dpl = (uint8_t)segment_dpl((uint16_t)(raw[0] >> 40));
	ret_gate->present = (raw[0] >> 40) & SEG_P;
	ret_gate->selector = (uint16_t)(raw[0] >> 16);
	ret_gate->offset = (raw[0] & 0xffff) | ((raw[0] >> 32) & 0xffff0000);
	ret_gate->ist = 0;
	if (long_mode) {
		ret_gate->offset |= raw[1] << 32;
		ret_gate->ist = (uint8_t)((raw[0] >> 32) & GATE_IST);
	}
	if (type != SYS_INTERRUPT_GATE && type != SYS_TRAP_GATE) {
		if (!long_mode && (type == SYS_INTERRUPT_GATE_16 || type == SYS_TRAP_GATE_16))
			return refuse(cpu, "a 16-bit gate", event->vector);
		if (!long_mode && type == SYS_TASK_GATE)
			return refuse(cpu, "a task gate", event->vector);
		return fail(cpu, X86_GP, code);
	}
	if (event->kind == X86_EVENT_SOFTWARE && ret_gate->dpl < cpu->cpl)
		return fail(cpu, X86_GP, code);
	if (!ret_gate->present)
		return fail(cpu, X86_NP, code);
	return true;
}

static bool read_target(struct x86_cpu *cpu, const struct event *event, const struct gate *gate,
			struct x86_descriptor *ret_code)
{
	uint32_t error = selector_error(gate->selector) | event->ext;

	if (selector_is_null(gate->selector))
		return fail(cpu, X86_GP, event->ext);
	if (!x86_read_descriptor(cpu, gate->selector, X86_GP, event->ext, ret_code))
		return false;
	if (!(ret_code->rights & SEG_S) || !(ret_code->rights & SEG_CODE) ||
	    segment_dpl(ret_code->rights) > cpu->cpl)
		return fail(cpu, X86_GP, error);
	if (!(ret_code->rights & SEG_P))
		return fail(cpu, X86_NP, error);
	if (x86_long_mode(cpu)) {
		if (!(ret_code->rights & SEG_L) || (ret_code->rights & SEG_DB))
			return fail(cpu, X86_GP, error);
		if (!x86_canonical(cpu, gate->offset))
			return fail(cpu, X86_GP, event->ext);
		return true;
	}
	if (!(ret_code->rights & SEG_DB))
		return refuse(cpu, "a handler in 16-bit code", event->vector);
	if (gate->offset > ret_code->limit)
		return fail(cpu, X86_GP, event->ext);
	return true;
}

static bool read_tss(struct x86_cpu *cpu, uint32_t offset, unsigned size, uint32_t ext,
		     uint64_t *ret_value)
{
	if (offset + size - 1 > cpu->tr.limit)
		return fail(cpu, X86_TS, selector_error(cpu->tr.selector) | ext);
	*ret_value = 0;
	return x86_load_system(cpu, cpu->tr.base + offset, size, ret_value);
}

static bool choose_stack_64(struct x86_cpu *cpu, const struct event *event, const struct gate *gate,
			    unsigned new_cpl, struct stack *ret_stack)
{
	ret_stack->changed = new_cpl < cpu->cpl;
	ret_stack->pointer = cpu->gpr[X86_RSP];
	ret_stack->ss = cpu->segment[X86_SS];
	if (ret_stack->changed) /* a null selector that carries the privilege */
		ret_stack->ss = (struct x86_segment){.selector = (uint16_t)new_cpl};
	if (gate->ist) {
		if (!read_tss(cpu, TSS_64_IST1 + (gate->ist - 1u) * TSS_64_STRIDE, 8, event->ext,
			      &ret_stack->pointer))
			return false;
	} else if (ret_stack->changed) {
		if (!read_tss(cpu, TSS_64_RSP0 + new_cpl * TSS_64_STRIDE, 8, event->ext,
			      &ret_stack->pointer))
			return false;
	}
	ret_stack->pointer &= ~0xfull; /* SDM 3A 6.14.2 */
	return true;
}

static bool choose_stack_32(struct x86_cpu *cpu, const struct event *event, unsigned new_cpl,
			    struct stack *ret_stack)
{
	struct x86_descriptor ss;
	uint64_t selector;

	ret_stack->changed = new_cpl < cpu->cpl;
	ret_stack->pointer = (uint32_t)cpu->gpr[X86_RSP];
	ret_stack->ss = cpu->segment[X86_SS];
	if (!ret_stack->changed)
		return true;
	if (!read_tss(cpu, TSS_32_ESP0 + new_cpl * TSS_32_STRIDE + 4, 2, event->ext, &selector) ||
	    !read_tss(cpu, TSS_32_ESP0 + new_cpl * TSS_32_STRIDE, 4, event->ext,
		      &ret_stack->pointer) ||
	    !x86_check_stack_segment(cpu, (uint16_t)selector, new_cpl, X86_TS, event->ext, &ss) ||
	    !x86_mark_accessed(cpu, &ss))
		return false;
	if (!(ss.rights & SEG_DB))
		return refuse(cpu, "a 16-bit stack of a handler", event->vector);
	x86_set_segment(&ret_stack->ss, (uint16_t)selector, &ss);
	return true;
}

/* Expand-down segments hold what lies above their limit (SDM 3A 5.3). */
static bool within_limit(const struct x86_segment *segment, uint32_t first, unsigned len)
{
	uint32_t last = first + len - 1;

	if (segment->rights & SEG_EXPAND)
		return first > segment->limit && last >= first;
	return last <= segment->limit && last >= first;
}

/* The whole frame in one store: it is written entirely or not at all. */
static bool push_frame(struct x86_cpu *cpu, const struct event *event, unsigned new_cpl,
		       struct stack *stack, const uint64_t *values, unsigned count)
{
	bool long_mode = x86_long_mode(cpu);
	unsigned size = long_mode ? 8 : 4;
	unsigned len = count * size;
	union {
		uint64_t u64[FRAME_MAX];
		uint32_t u32[FRAME_MAX];
	} frame;
	uint32_t stack_error =
		(stack->changed ? selector_error(stack->ss.selector) : 0) | event->ext;
	uint64_t linear;
	bool pushed;

	for (unsigned i = 0; i < count; i++) { /* values[0] is pushed first: at the top */
		if (long_mode)
			frame.u64[count - 1 - i] = values[i];
		else
			frame.u32[count - 1 - i] = (uint32_t)values[i];
	}
	stack->pointer -= len;
	if (long_mode) {
		linear = stack->pointer;
		if (!x86_canonical(cpu, linear) || !x86_canonical(cpu, linear + len - 1))
			return fail(cpu, X86_SS_FAULT, stack_error);
	} else {
		stack->pointer = (uint32_t)stack->pointer;
		linear = (uint32_t)(stack->ss.base + stack->pointer);
		if (!within_limit(&stack->ss, (uint32_t)stack->pointer, len))
			return fail(cpu, X86_SS_FAULT, stack_error);
	}
	if (new_cpl < 3)
		return x86_store_system(cpu, linear, len, &frame);
	pushed = x86_store_slow(cpu, X86_SS, stack->pointer, len, &frame);
	if (!pushed && cpu->fault_has_code && cpu->fault_vector != X86_PF)
		cpu->fault_code |= event->ext;
	return pushed;
}

static bool is_fault(const struct event *event)
{
	switch (event->vector) {
	case X86_DB: /* this build raises only its traps */
	case X86_NMI:
	case X86_BP:
	case X86_OF:
	case X86_DF: return false;
	default: return event->kind == X86_EVENT_EXCEPTION;
	}
}

/* Nothing of the CPU changes before the frame is on the stack. False: a fault, or the end. */
static bool try_deliver(struct x86_cpu *cpu, const struct event *event)
{
	struct gate gate;
	struct x86_descriptor code;
	struct stack stack;
	uint64_t values[FRAME_MAX];
	uint64_t flags = x86_flags(cpu);
	unsigned count = 0, new_cpl;
	bool long_mode = x86_long_mode(cpu);

	if (!read_gate(cpu, event, &gate) || !read_target(cpu, event, &gate, &code))
		return false;
	new_cpl = code.rights & SEG_CONFORMING ? cpu->cpl : segment_dpl(code.rights);
	if (long_mode ? !choose_stack_64(cpu, event, &gate, new_cpl, &stack)
		      : !choose_stack_32(cpu, event, new_cpl, &stack))
		return false;
	if (!x86_mark_accessed(cpu, &code))
		return false;

	if (long_mode || stack.changed) {
		values[count++] = cpu->segment[X86_SS].selector;
		values[count++] = cpu->gpr[X86_RSP];
	}
	values[count++] = is_fault(event) ? flags | RFLAGS_RF : flags;
	values[count++] = cpu->segment[X86_CS].selector;
	values[count++] = cpu->gpr[X86_RIP];
	if (event->has_code)
		values[count++] = event->code;
	if (!push_frame(cpu, event, new_cpl, &stack, values, count))
		return false;

	cpu->segment[X86_SS] = stack.ss;
	cpu->gpr[X86_RSP] = stack.pointer;
	flags &= ~(uint64_t)(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM);
	if (gate.type == SYS_INTERRUPT_GATE)
		flags &= ~(uint64_t)RFLAGS_IF;
	x86_set_flags(cpu, flags);
	x86_set_segment(&cpu->segment[X86_CS],
			(uint16_t)((gate.selector & ~SELECTOR_RPL) | new_cpl), &code);
	cpu->cpl = (uint8_t)new_cpl;
	x86_update_privilege(cpu);
	cpu->gpr[X86_RIP] = gate.offset;
	cpu->interrupt_shadow = false;
	cpu->halted = false;
	x86_update_code_mode(cpu);
	if (event->vector == X86_PF && event->kind == X86_EVENT_EXCEPTION)
		hw_public(cpu->hw)->counters.guest_page_faults[0]++;
	return true;
}

/* SDM 3A table 6-4 */
enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum fault_class class_of(const struct event *event)
{
	if (event->kind != X86_EVENT_EXCEPTION)
		return BENIGN;
	switch (event->vector) {
	case X86_DE:
	case X86_TS:
	case X86_NP:
	case X86_SS_FAULT:
	case X86_GP: return CONTRIBUTORY;
	case X86_PF: return PAGE_FAULT;
	case X86_DF: return DOUBLE_FAULT;
	default: return BENIGN;
	}
}

/* SDM 3A table 6-5: does a fault of class @second while one of @first is delivered double it? */
static bool doubles(enum fault_class first, enum fault_class second)
{
	if (second == BENIGN)
		return false;
	return first == PAGE_FAULT || first == DOUBLE_FAULT ||
	       (first == CONTRIBUTORY && second == CONTRIBUTORY);
}

static void take_page_fault_address(struct x86_cpu *cpu, const struct event *event)
{
	if (event->vector == X86_PF && event->kind == X86_EVENT_EXCEPTION)
		cpu->cr2 = hw_public(cpu->hw)->fault_address;
}

void x86_deliver(struct x86_cpu *cpu, uint8_t vector, enum x86_event_kind kind, bool has_code,
		 uint32_t code)
{
	struct event event = {vector, kind, has_code, code,
			      kind == X86_EVENT_SOFTWARE ? 0 : ERROR_EXT};

	take_page_fault_address(cpu, &event);
	while (!try_deliver(cpu, &event)) {
		struct event second = {cpu->fault_vector, X86_EVENT_EXCEPTION, cpu->fault_has_code,
				       cpu->fault_code, ERROR_EXT};

		if (cpu->ended)
			break;
		take_page_fault_address(cpu, &second);
		if (!doubles(class_of(&event), class_of(&second))) {
			event = second;
		} else if (class_of(&event) == DOUBLE_FAULT) {
			x86_end(cpu, UMBRA_END_TRIPLE_FAULT,
				"exception %u, then %u while #DF was delivered", vector,
				second.vector);
			break;
		} else {
			event = (struct event){X86_DF, X86_EVENT_EXCEPTION, true, 0, ERROR_EXT};
		}
	}
	if (cpu->ended)
		x86_end_place(cpu, cpu->gpr[X86_RIP]);
}

enum x86_result x86_software_interrupt(struct x86_cpu *cpu, uint8_t vector)
{
	struct event event = {vector, X86_EVENT_SOFTWARE, false, 0, 0};

	return try_deliver(cpu, &event) && !cpu->ended ? X86_LEAVE : X86_FAULT;
}
