/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Far RET and IRET (SDM 2; SDM 3A 5.8.6). */
#include "x86/control.h"
#include "x86/far.h"
#include "x86/flags.h"
#include "x86/mem.h"
#include "x86/real.h"
#include "x86/system.h"
#include "x86/task.h"

static enum x86_result gp(struct x86_cpu *cpu, uint16_t selector)
{
	return x86_raise_code(cpu, X86_GP, selector_error(selector));
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
	return x86_check_far_code(cpu, selector, rip, ret_code) && x86_mark_accessed(cpu, ret_code);
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
	x86_set_segment(ret_ss, selector, &d);
	return true;
}

/*
 * Data segments that the outer privilege may not see become null (SDM 3A 5.8.6), and a null
 * selector 0: its RPL is lost (SDM 2 IRET). Bases stay.
 */
static void drop_inner_segments(struct x86_cpu *cpu)
{
	static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};

	for (unsigned i = 0; i < sizeof(data); i++) {
		struct x86_segment *s = &cpu->segment[data[i]];
		bool conforming = (s->rights & SEG_CODE) && (s->rights & SEG_CONFORMING);

		if ((s->rights & SEG_P) && !conforming && segment_dpl(s->rights) < cpu->cpl)
			*s = (struct x86_segment){.base = s->base};
		else if (selector_is_null(s->selector))
			s->selector = 0;
	}
}

enum x86_result x86_exec_ret_far(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	unsigned size = insn->size, cpl, drop = (uint16_t)insn->imm;
	uint64_t rip, cs, rsp, ss;
	struct x86_descriptor code;
	struct x86_segment stack;
	bool outer;

	if (!x86_protected(cpu))
		return x86_ret_8086(cpu, insn);
	if (!x86_peek(cpu, 0, size, &rip) || !x86_peek(cpu, size, size, &cs) ||
	    !find_return_target(cpu, (uint16_t)cs, rip, &code))
		return X86_FAULT;
	cpl = cs & SELECTOR_RPL;
	outer = cpl > cpu->cpl;
	rsp = cpu->gpr[X86_RSP] + 2 * size + drop;
	if (outer) {
		bool to_64 = x86_long_mode(cpu) && (code.rights & SEG_L);

		if (!x86_peek(cpu, 2 * size + drop, size, &rsp) ||
		    !x86_peek(cpu, 3 * size + drop, size, &ss) ||
		    !find_return_stack(cpu, (uint16_t)ss, cpl, to_64, &stack))
			return X86_FAULT;
		rsp += drop;
		cpu->segment[X86_SS] = stack;
	}
	x86_enter_code(cpu, (uint16_t)cs, &code, rip, cpl);
	x86_set_stack_pointer(cpu, rsp);
	if (outer)
		drop_inner_segments(cpu);
	return X86_LEAVE;
}

/* From CPL 0 of protected mode to virtual-8086 mode: the frame of nine values (SDM 3B 20.2.5). */
static enum x86_result return_to_v8086(struct x86_cpu *cpu, uint64_t eip, uint64_t cs,
				       uint64_t flags)
{
	static const uint8_t order[] = {X86_SS, X86_ES, X86_DS, X86_FS, X86_GS};
	uint64_t esp, selector[sizeof(order)];

	if (!x86_peek(cpu, 12, 4, &esp))
		return X86_FAULT;
	for (unsigned i = 0; i < sizeof(order); i++)
		if (!x86_peek(cpu, 16 + 4 * i, 4, &selector[i]))
			return X86_FAULT;
	if (eip > UINT16_MAX)
		return gp(cpu, 0);
	x86_set_flags(cpu, (flags & RFLAGS_DEFINED) | RFLAGS_ONE);
	cpu->cpl = 3;
	x86_update_privilege(cpu);
	x86_set_segment_8086(cpu, X86_CS, (uint16_t)cs);
	for (unsigned i = 0; i < sizeof(order); i++)
		x86_set_segment_8086(cpu, order[i], (uint16_t)selector[i]);
	cpu->gpr[X86_RIP] = eip;
	cpu->gpr[X86_RSP] = esp;
	x86_update_code_mode(cpu);
	return X86_LEAVE;
}

/* The flags that IRET writes: beside those of POPF, RF, and at CPL 0 VIF and VIP. */
static uint64_t return_flags(const struct x86_cpu *cpu, unsigned size)
{
	uint64_t mask = x86_flags_writable(cpu);

	if (size == 2)
		return mask & UINT16_MAX;
	mask |= RFLAGS_RF;
	return cpu->cpl ? mask : mask | RFLAGS_VIF | RFLAGS_VIP;
}

enum x86_result x86_exec_iret(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	unsigned size = insn->size, cpl;
	uint64_t rip, cs, flags, rsp, ss;
	bool from_64 = cpu->code_mode == X86_CODE_64, with_stack, outer;
	struct x86_descriptor code;
	struct x86_segment stack;

	cpu->nmi_blocked = false; /* even if it faults (SDM 3A 6.7.1) */
	if (!x86_protected(cpu))
		return x86_iret_8086(cpu, insn);
	if (cpu->rflags & RFLAGS_NT)
		return x86_long_mode(cpu) ? gp(cpu, 0) : x86_task_return(cpu);
	if (!x86_peek(cpu, 0, size, &rip) || !x86_peek(cpu, size, size, &cs) ||
	    !x86_peek(cpu, 2 * size, size, &flags))
		return X86_FAULT;
	if (!x86_long_mode(cpu) && size == 4 && (flags & RFLAGS_VM) && cpu->cpl == 0)
		return return_to_v8086(cpu, rip, cs, flags);
	if (!find_return_target(cpu, (uint16_t)cs, rip, &code))
		return X86_FAULT;
	cpl = cs & SELECTOR_RPL;
	outer = cpl > cpu->cpl;
	with_stack = from_64 || outer;
	rsp = cpu->gpr[X86_RSP] + 3 * size;
	if (with_stack) {
		bool to_64 = x86_long_mode(cpu) && (code.rights & SEG_L);

		if (!x86_peek(cpu, 3 * size, size, &rsp) || !x86_peek(cpu, 4 * size, size, &ss) ||
		    !find_return_stack(cpu, (uint16_t)ss, cpl, to_64, &stack))
			return X86_FAULT;
		cpu->segment[X86_SS] = stack;
	}
	x86_write_flags(cpu, flags, return_flags(cpu, size));
	x86_enter_code(cpu, (uint16_t)cs, &code, rip, cpl);
	x86_set_stack_pointer(cpu, rsp);
	if (outer)
		drop_inner_segments(cpu);
	return X86_LEAVE;
}
