/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupts and exceptions through the IDT (SDM 3A 6.10-6.15), double and triple faults. */
#include "x86/control.h"
#include "x86/debug.h"
#include "x86/event.h"
#include "x86/flags.h"
#include "x86/mem.h"
#include "x86/segment.h"
#include "x86/stack.h"
#include "x86/task.h"

#define TSS_64_IST1   36
#define TSS_64_STRIDE 8

#define GATE_IST      7u

#define FRAME_MAX     10 /* GS, FS, DS, ES, SS, RSP, RFLAGS, CS, RIP, error code */

struct gate {
	uint64_t offset;
	uint16_t selector;
	uint8_t type;
	uint8_t ist;
	uint8_t dpl;
	uint8_t size; /* of a value that it pushes */
	bool present;
};

static bool fail(struct x86_cpu *cpu, uint8_t vector, uint32_t code)
{
	x86_raise_code(cpu, vector, code);
	return false;
}

/* False: no type of gate that an IDT may hold. */
static bool is_gate(const struct x86_cpu *cpu, unsigned type)
{
	switch (type) {
	case SYS_INTERRUPT_GATE:
	case SYS_TRAP_GATE: return true;
	case SYS_INTERRUPT_GATE_16:
	case SYS_TRAP_GATE_16:
	case SYS_TASK_GATE: return !x86_long_mode(cpu);
	default: return false;
	}
}

static bool read_gate(struct x86_cpu *cpu, const struct x86_event *event, struct gate *ret_gate)
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
	ret_gate->offset = raw[0] & 0xffff;
	ret_gate->ist = 0;
	ret_gate->size = 2;
	if (type & SYS_TYPE_32) {
		ret_gate->size = 4;
		ret_gate->offset |= (raw[0] >> 32) & 0xffff0000;
	}
	if (long_mode) {
		ret_gate->size = 8;
		ret_gate->offset |= raw[1] << 32;
		ret_gate->ist = (uint8_t)((raw[0] >> 32) & GATE_IST);
	}
	if (!is_gate(cpu, type))
		return fail(cpu, X86_GP, code);
	if (event->kind == X86_EVENT_SOFTWARE && ret_gate->dpl < cpu->cpl)
		return fail(cpu, X86_GP, code);
	if (!ret_gate->present)
		return fail(cpu, X86_NP, code);
	return true;
}

static bool read_target(struct x86_cpu *cpu, const struct x86_event *event, const struct gate *gate,
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
	/* Virtual-8086 mode is left for CPL 0 only. */
	if (x86_v8086(cpu) &&
	    ((ret_code->rights & SEG_CONFORMING) || segment_dpl(ret_code->rights) > 0))
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
	if (gate->offset > ret_code->limit)
		return fail(cpu, X86_GP, event->ext);
	return true;
}

static bool choose_stack(struct x86_cpu *cpu, const struct x86_event *event,
			 const struct gate *gate, unsigned new_cpl, struct x86_stack *ret_stack)
{
	x86_present_stack(cpu, ret_stack);
	if (new_cpl < cpu->cpl && gate->ist)
		*ret_stack = (struct x86_stack){.ss.selector = (uint16_t)new_cpl};
	else if (new_cpl < cpu->cpl && !x86_inner_stack(cpu, new_cpl, event->ext, ret_stack))
		return false;
	if (gate->ist && !x86_read_tss(cpu, TSS_64_IST1 + (gate->ist - 1u) * TSS_64_STRIDE, 8,
				       event->ext, &ret_stack->pointer))
		return false;
	if (x86_long_mode(cpu))
		ret_stack->pointer &= ~0xfull; /* SDM 3A 6.14.2 */
	return true;
}

/*
 * RF in the image of the flags is set by faults, but for a breakpoint on an instruction (a trap
 * here), and is otherwise what it is (SDM 3B 17.3.1.1).
 */
static bool is_fault(const struct x86_event *event)
{
	return event->kind == X86_EVENT_EXCEPTION && event->vector != X86_DF;
}

/* Nothing of the CPU changes before the frame is on the stack. False: a fault, or the end. */
static bool through_gate(struct x86_cpu *cpu, const struct x86_event *event,
			 const struct gate *gate)
{
	struct x86_descriptor code;
	struct x86_stack stack;
	uint64_t values[FRAME_MAX];
	uint64_t flags = x86_flags(cpu);
	unsigned count = 0, new_cpl;
	bool v8086 = x86_v8086(cpu);
	uint32_t stack_error = event->ext;

	if (!read_target(cpu, event, gate, &code))
		return false;
	new_cpl = code.rights & SEG_CONFORMING ? cpu->cpl : segment_dpl(code.rights);
	if (!choose_stack(cpu, event, gate, new_cpl, &stack) || !x86_mark_accessed(cpu, &code))
		return false;

	if (v8086) {
		static const uint8_t data[] = {X86_GS, X86_FS, X86_DS, X86_ES};

		for (unsigned i = 0; i < sizeof(data); i++)
			values[count++] = cpu->segment[data[i]].selector;
	}
	if (gate->size == 8 || new_cpl < cpu->cpl) {
		values[count++] = cpu->segment[X86_SS].selector;
		values[count++] = cpu->gpr[X86_RSP];
	}
	values[count++] = is_fault(event) ? flags | RFLAGS_RF : flags;
	values[count++] = cpu->segment[X86_CS].selector;
	values[count++] = cpu->gpr[X86_RIP];
	if (event->has_code)
		values[count++] = event->code;
	if (new_cpl < cpu->cpl && gate->size != 8)
		stack_error |= selector_error(stack.ss.selector);
	if (!x86_push_frame(cpu, &stack, values, count, gate->size, stack_error))
		return false;

	cpu->segment[X86_SS] = stack.ss;
	cpu->gpr[X86_RSP] = stack.pointer;
	if (v8086) {
		cpu->segment[X86_DS] = cpu->segment[X86_ES] = (struct x86_segment){};
		cpu->segment[X86_FS] = cpu->segment[X86_GS] = (struct x86_segment){};
	}
	x86_set_segment(&cpu->segment[X86_CS],
			(uint16_t)((gate->selector & ~SELECTOR_RPL) | new_cpl), &code);
	cpu->cpl = (uint8_t)new_cpl;
	x86_update_privilege(cpu);
	flags &= ~(uint64_t)(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM);
	if (gate->type == SYS_INTERRUPT_GATE || gate->type == SYS_INTERRUPT_GATE_16)
		flags &= ~(uint64_t)RFLAGS_IF;
	x86_set_flags(cpu, flags);
	cpu->gpr[X86_RIP] = gate->offset;
	x86_update_code_mode(cpu);
	return true;
}

static bool try_deliver(struct x86_cpu *cpu, struct x86_event *event)
{
	struct gate gate;

	if (!(cpu->cr0 & CR0_PE)) {
		if (!x86_deliver_8086(cpu, event))
			return false;
	} else {
		if (!read_gate(cpu, event, &gate))
			return false;
		if (gate.type == SYS_TASK_GATE ? !x86_deliver_to_task(cpu, event, gate.selector)
					       : !through_gate(cpu, event, &gate))
			return false;
	}
	cpu->interrupt_shadow = 0;
	cpu->halted = false;
	if (event->vector == X86_DB) /* so that its handler can use the debug registers */
		cpu->dr[7] &= ~DR7_GD;
	if (event->vector == X86_PF && event->kind == X86_EVENT_EXCEPTION)
		hw_public(cpu->hw)->counters.guest_page_faults[0]++;
	return true;
}

/* SDM 3A table 6-4 */
enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum fault_class class_of(const struct x86_event *event)
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

static void take_page_fault_address(struct x86_cpu *cpu, const struct x86_event *event)
{
	if (event->vector == X86_PF && event->kind == X86_EVENT_EXCEPTION)
		cpu->cr2 = hw_public(cpu->hw)->fault_address;
}

void x86_deliver(struct x86_cpu *cpu, uint8_t vector, enum x86_event_kind kind, bool has_code,
		 uint32_t code)
{
	struct x86_event event = {vector, kind, has_code, code,
				  kind == X86_EVENT_SOFTWARE ? 0 : ERROR_EXT};

	take_page_fault_address(cpu, &event);
	while (!try_deliver(cpu, &event)) {
		struct x86_event second = {cpu->fault_vector, X86_EVENT_EXCEPTION,
					   cpu->fault_has_code, cpu->fault_code, ERROR_EXT};

		if (cpu->ended)
			break;
		cpu->new_task = false; /* this is where its faults are delivered too */
		take_page_fault_address(cpu, &second);
		if (!doubles(class_of(&event), class_of(&second))) {
			event = second;
		} else if (class_of(&event) == DOUBLE_FAULT) {
			x86_end(cpu, UMBRA_END_TRIPLE_FAULT,
				"exception %u, then %u while #DF was delivered", vector,
				second.vector);
			break;
		} else {
			event = (struct x86_event){X86_DF, X86_EVENT_EXCEPTION, true, 0, ERROR_EXT};
		}
	}
	if (cpu->debug_status) /* delivery itself touched what is watched */
		cpu->pending |= X86_PENDING_TRAP;
	if (cpu->ended)
		x86_end_place(cpu, cpu->gpr[X86_RIP]);
}

enum x86_result x86_software_interrupt(struct x86_cpu *cpu, uint8_t vector,
				       enum x86_event_kind kind)
{
	struct x86_event event = {vector, kind, false, 0,
				  kind == X86_EVENT_SOFTWARE ? 0 : ERROR_EXT};

	cpu->single_step = false;
	if (!try_deliver(cpu, &event))
		return x86_task_fault(cpu);
	return X86_LEAVE;
}
