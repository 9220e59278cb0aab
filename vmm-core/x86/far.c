/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Far JMP, CALL and RET, and IRET (SDM 2; SDM 3A 5.8). */
#include "x86/control.h"
#include "x86/flags.h"
#include "x86/mem.h"
#include "x86/segment.h"
#include "x86/system.h"

#define POINTER_SELECTOR_SHIFT 32 /* insn->imm of a far pointer */

static enum x86_result gp(struct x86_cpu *cpu, uint16_t selector)
{
	return x86_raise_code(cpu, X86_GP, selector_error(selector));
}

static bool read_far_pointer(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t *ret_offset,
			     uint16_t *ret_selector)
{
	uint64_t address, selector;

	if (!insn->memory) {
		*ret_offset = (uint32_t)insn->imm;
		*ret_selector = (uint16_t)(insn->imm >> POINTER_SELECTOR_SHIFT);
		return true;
	}
	address = x86_effective_address(cpu, insn);
	if (!x86_load(cpu, insn->segment, address, insn->size, ret_offset) ||
	    !x86_load(cpu, insn->segment, address + insn->size, 2, &selector))
		return false;
	*ret_selector = (uint16_t)selector;
	return true;
}

/* The rules for code that every far transfer shares. */
static bool check_code(struct x86_cpu *cpu, uint16_t selector, uint64_t rip,
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
	if (!to_64 && !(d->rights & SEG_DB)) {
		x86_end(cpu, UMBRA_END_ERROR, "16-bit code (CS = %#x) is not in this build",
			selector);
		return false;
	}
	return true;
}

static const char *gate_name(const struct x86_cpu *cpu, unsigned type)
{
	if (type == SYS_CALL_GATE || (type == SYS_CALL_GATE_16 && !x86_long_mode(cpu)))
		return "a call gate";
	if (x86_long_mode(cpu))
		return NULL;
	switch (type) {
	case SYS_TASK_GATE: return "a task gate";
	case SYS_TSS_16_AVAILABLE:
	case SYS_TSS_AVAILABLE: return "a task switch";
	default: return NULL;
	}
}

/* The target of JMP and CALL: code of the present privilege. */
static bool find_target(struct x86_cpu *cpu, uint16_t selector, uint64_t rip,
			struct x86_descriptor *ret_code)
{
	const char *gate;
	unsigned dpl;

	if (selector_is_null(selector)) {
		gp(cpu, 0);
		return false;
	}
	if (!x86_read_descriptor(cpu, selector, X86_GP, 0, ret_code))
		return false;
	if (!(ret_code->rights & SEG_S)) {
		gate = gate_name(cpu, ret_code->rights & SEG_TYPE);
		if (gate)
			x86_end(cpu, UMBRA_END_ERROR, "%s (selector %#x) is not in this build",
				gate, selector);
		else
			gp(cpu, selector);
		return false;
	}
	dpl = segment_dpl(ret_code->rights);
	if (!(ret_code->rights & SEG_CODE) ||
	    (ret_code->rights & SEG_CONFORMING
		     ? dpl > cpu->cpl
		     : dpl != cpu->cpl || (selector & SELECTOR_RPL) > cpu->cpl)) {
		gp(cpu, selector);
		return false;
	}
	return check_code(cpu, selector, rip, ret_code) && x86_mark_accessed(cpu, ret_code);
}

static enum x86_result enter(struct x86_cpu *cpu, uint16_t selector,
			     const struct x86_descriptor *code, uint64_t rip, unsigned cpl)
{
	x86_set_segment(&cpu->segment[X86_CS], (uint16_t)((selector & ~SELECTOR_RPL) | cpl), code);
	cpu->gpr[X86_RIP] = rip;
	cpu->cpl = (uint8_t)cpl;
	x86_update_privilege(cpu);
	x86_update_code_mode(cpu);
	return cpu->ended ? X86_FAULT : X86_LEAVE;
}

enum x86_result x86_exec_jmp_far(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_descriptor code;
	uint16_t selector;
	uint64_t rip;

	if (!read_far_pointer(cpu, insn, &rip, &selector) ||
	    !find_target(cpu, selector, rip, &code))
		return X86_FAULT;
	return enter(cpu, selector, &code, rip, cpu->cpl);
}

enum x86_result x86_exec_call_far(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_descriptor code;
	uint64_t rip, rsp = cpu->gpr[X86_RSP];
	uint16_t selector;

	if (!read_far_pointer(cpu, insn, &rip, &selector) ||
	    !find_target(cpu, selector, rip, &code))
		return X86_FAULT;
	if (!x86_push(cpu, insn->size, cpu->segment[X86_CS].selector) ||
	    !x86_push(cpu, insn->size, cpu->gpr[X86_RIP])) {
		cpu->gpr[X86_RSP] = rsp;
		return X86_FAULT;
	}
	return enter(cpu, selector, &code, rip, cpu->cpl);
}

/* Reads the @n-th value of @size bytes above the stack pointer, which stays. */
static bool peek(struct x86_cpu *cpu, unsigned n, unsigned size, unsigned skip, uint64_t *ret_value)
{
	uint64_t offset = x86_stack_pointer(cpu) + (uint64_t)n * size + skip;

	if (cpu->code_mode != X86_CODE_64)
		offset = (uint32_t)offset;
	return x86_load(cpu, X86_SS, offset, size, ret_value);
}

/* The code that RET and IRET go back to: of the same or of less privilege. */
static bool find_return_target(struct x86_cpu *cpu, uint16_t selector, uint64_t rip,
			       struct x86_descriptor *ret_code)
{
	unsigned rpl = selector & SELECTOR_RPL, dpl;

	if (selector_is_null(selector)) {
		gp(cpu, 0);
		return false;
	}
	if (!x86_read_descriptor(cpu, selector, X86_GP, 0, ret_code))
		return false;
	dpl = segment_dpl(ret_code->rights);
	if (!(ret_code->rights & SEG_S) || !(ret_code->rights & SEG_CODE) || rpl < cpu->cpl ||
	    (ret_code->rights & SEG_CONFORMING ? dpl > rpl : dpl != rpl)) {
		gp(cpu, selector);
		return false;
	}
	return check_code(cpu, selector, rip, ret_code) && x86_mark_accessed(cpu, ret_code);
}

/* SS that comes back with the stack; null is allowed to 64-bit code below CPL 3. */
static bool find_return_stack(struct x86_cpu *cpu, uint16_t selector, unsigned cpl, bool to_64,
			      struct x86_segment *ret_ss)
{
	struct x86_descriptor d;

	if (selector_is_null(selector) && to_64 && cpl != 3 && (selector & SELECTOR_RPL) == cpl) {
		*ret_ss = (struct x86_segment){.selector = selector};
		return true;
	}
	if (!x86_check_stack_segment(cpu, selector, cpl, X86_GP, 0, &d) ||
	    !x86_mark_accessed(cpu, &d))
		return false;
	if (!to_64 && !(d.rights & SEG_DB)) {
		x86_end(cpu, UMBRA_END_ERROR,
			"a 16-bit stack segment (SS = %#x) is not in this build", selector);
		return false;
	}
	x86_set_segment(ret_ss, selector, &d);
	return true;
}

/* Data segments that the outer privilege may not see become null (SDM 3A 5.8.6). */
static void drop_inner_segments(struct x86_cpu *cpu)
{
	static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};

	for (unsigned i = 0; i < sizeof(data); i++) {
		struct x86_segment *s = &cpu->segment[data[i]];
		bool conforming = (s->rights & SEG_CODE) && (s->rights & SEG_CONFORMING);

		if ((s->rights & SEG_P) && !conforming && segment_dpl(s->rights) < cpu->cpl)
			*s = (struct x86_segment){.base = s->base};
	}
}

enum x86_result x86_exec_ret_far(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	unsigned size = insn->size, cpl, drop = (uint16_t)insn->imm;
	uint64_t rip, cs, rsp, ss;
	struct x86_descriptor code;
	struct x86_segment stack;
	bool outer;

	if (!peek(cpu, 0, size, 0, &rip) || !peek(cpu, 1, size, 0, &cs) ||
	    !find_return_target(cpu, (uint16_t)cs, rip, &code))
		return X86_FAULT;
	cpl = cs & SELECTOR_RPL;
	outer = cpl > cpu->cpl;
	rsp = x86_stack_pointer(cpu) + 2 * size + drop;
	if (outer) {
		bool to_64 = x86_long_mode(cpu) && (code.rights & SEG_L);

		if (!peek(cpu, 2, size, drop, &rsp) || !peek(cpu, 3, size, drop, &ss) ||
		    !find_return_stack(cpu, (uint16_t)ss, cpl, to_64, &stack))
			return X86_FAULT;
		rsp += drop;
		if (x86_write_flags(cpu, 0, 0, cpl) == X86_FAULT)
			return X86_FAULT;
		cpu->segment[X86_SS] = stack;
	}
	if (enter(cpu, (uint16_t)cs, &code, rip, cpl) == X86_FAULT)
		return X86_FAULT;
	x86_set_stack_pointer(cpu, rsp);
	if (outer)
		drop_inner_segments(cpu);
	return X86_LEAVE;
}

enum x86_result x86_exec_iret(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	unsigned size = insn->size, cpl;
	uint64_t rip, cs, flags, rsp, ss, mask = x86_flags_writable(cpu);
	bool from_64 = cpu->code_mode == X86_CODE_64, with_stack;
	struct x86_descriptor code;
	struct x86_segment stack;

	if (cpu->rflags & RFLAGS_NT) {
		if (x86_long_mode(cpu))
			return gp(cpu, 0);
		x86_end(cpu, UMBRA_END_ERROR, "a task return (IRET with NT) is not in this build");
		return X86_FAULT;
	}
	if (!peek(cpu, 0, size, 0, &rip) || !peek(cpu, 1, size, 0, &cs) ||
	    !peek(cpu, 2, size, 0, &flags))
		return X86_FAULT;
	if (!x86_long_mode(cpu) && (flags & RFLAGS_VM) && cpu->cpl == 0) {
		x86_end(cpu, UMBRA_END_ERROR, "virtual-8086 mode is not in this build");
		return X86_FAULT;
	}
	if (!find_return_target(cpu, (uint16_t)cs, rip, &code))
		return X86_FAULT;
	cpl = cs & SELECTOR_RPL;
	with_stack = from_64 || cpl > cpu->cpl;
	rsp = x86_stack_pointer(cpu) + 3 * size;
	if (with_stack) {
		bool to_64 = x86_long_mode(cpu) && (code.rights & SEG_L);

		if (!peek(cpu, 3, size, 0, &rsp) || !peek(cpu, 4, size, 0, &ss) ||
		    !find_return_stack(cpu, (uint16_t)ss, cpl, to_64, &stack))
			return X86_FAULT;
	}
	if (size == 2)
		mask &= UINT16_MAX;
	if (x86_write_flags(cpu, flags, mask, cpl) == X86_FAULT)
		return X86_FAULT;
	if (with_stack)
		cpu->segment[X86_SS] = stack;
	with_stack = cpl > cpu->cpl;
	if (enter(cpu, (uint16_t)cs, &code, rip, cpl) == X86_FAULT)
		return X86_FAULT;
	x86_set_stack_pointer(cpu, rsp);
	if (with_stack)
		drop_inner_segments(cpu);
	return X86_LEAVE;
}
