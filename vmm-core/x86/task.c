/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hardware task switches (SDM 3A 7.3, table 7-1). */
#include "x86/task.h"

#include "x86/control.h"
#include "x86/debug.h"
#include "x86/event.h"
#include "x86/flags.h"
#include "x86/mem.h"
#include "x86/stack.h"

#define TSS_LINK     0
#define DESCRIPTOR_5 5 /* the byte of a descriptor that has the type */
#define NR_GPR       8

/* SDM 3A 7.2.1 */
struct tss_32 {
	uint32_t link, stacks[6], cr3, eip, eflags, gpr[NR_GPR];
	uint32_t segment[X86_NR_SEGMENTS]; /* in the order of enum x86_segment_register */
	uint32_t ldt;
	uint16_t trap, io_map;
};

/* SDM 3A 7.6 */
struct tss_16 {
	uint16_t link, stacks[6], ip, flags, gpr[NR_GPR], segment[4], ldt;
};

#define TRAP_T 1u

/* What a task begins with, from a TSS of either kind. */
struct task {
	uint32_t cr3, eip, eflags, gpr[NR_GPR];
	uint16_t segment[X86_NR_SEGMENTS], ldt;
	bool trap;
};

static bool fail(struct x86_cpu *cpu, uint8_t vector, uint32_t code)
{
	x86_raise_code(cpu, vector, code);
	return false;
}

static bool is_32(uint16_t rights)
{
	return rights & SYS_TYPE_32;
}

static bool load_task(struct x86_cpu *cpu, const struct x86_descriptor *d, struct task *ret_task)
{
	struct tss_32 wide;
	struct tss_16 narrow;

	*ret_task = (struct task){};
	if (is_32(d->rights)) {
		if (!x86_load_system(cpu, d->base, sizeof(wide), &wide))
			return false;
		ret_task->cr3 = wide.cr3;
		ret_task->eip = wide.eip;
		ret_task->eflags = wide.eflags;
		for (unsigned i = 0; i < NR_GPR; i++)
			ret_task->gpr[i] = wide.gpr[i];
		for (unsigned i = 0; i < X86_NR_SEGMENTS; i++)
			ret_task->segment[i] = (uint16_t)wide.segment[i];
		ret_task->ldt = (uint16_t)wide.ldt;
		ret_task->trap = wide.trap & TRAP_T;
		return true;
	}
	if (!x86_load_system(cpu, d->base, sizeof(narrow), &narrow))
		return false;
	ret_task->eip = narrow.ip;
	ret_task->eflags = narrow.flags;
	for (unsigned i = 0; i < NR_GPR; i++)
		ret_task->gpr[i] = narrow.gpr[i];
	for (unsigned i = 0; i < sizeof(narrow.segment) / sizeof(narrow.segment[0]); i++)
		ret_task->segment[i] = narrow.segment[i];
	ret_task->ldt = narrow.ldt;
	return true;
}

/* The dynamic fields of the present task's TSS, EIP to the last segment register. */
static bool save_task(struct x86_cpu *cpu, uint32_t flags)
{
	struct tss_32 wide = {.eip = (uint32_t)cpu->gpr[X86_RIP], .eflags = flags};
	struct tss_16 narrow = {.ip = (uint16_t)cpu->gpr[X86_RIP], .flags = (uint16_t)flags};

	for (unsigned i = 0; i < NR_GPR; i++) {
		wide.gpr[i] = (uint32_t)cpu->gpr[i];
		narrow.gpr[i] = (uint16_t)cpu->gpr[i];
	}
	for (unsigned i = 0; i < X86_NR_SEGMENTS; i++)
		wide.segment[i] = cpu->segment[i].selector;
	for (unsigned i = 0; i < sizeof(narrow.segment) / sizeof(narrow.segment[0]); i++)
		narrow.segment[i] = cpu->segment[i].selector;
	if (is_32(cpu->tr.rights))
		return x86_store_system(cpu, cpu->tr.base + offsetof(struct tss_32, eip),
					offsetof(struct tss_32, ldt) - offsetof(struct tss_32, eip),
					&wide.eip);
	return x86_store_system(cpu, cpu->tr.base + offsetof(struct tss_16, ip),
				offsetof(struct tss_16, ldt) - offsetof(struct tss_16, ip),
				&narrow.ip);
}

static bool set_busy(struct x86_cpu *cpu, uint16_t selector, bool busy, bool probe)
{
	uint64_t linear = cpu->gdtr.base + (selector & ~SELECTOR_RPL) + DESCRIPTOR_5;
	uint8_t type;

	if (!x86_load_system(cpu, linear, sizeof(type), &type))
		return false;
	if (!probe)
		type = busy ? type | SYS_TYPE_BUSY : type & (uint8_t)~SYS_TYPE_BUSY;
	return x86_store_system(cpu, linear, sizeof(type), &type);
}

/* What can still fault in the old task: all that is written. Nothing of the CPU has changed. */
static bool leave_task(struct x86_cpu *cpu, uint16_t selector, const struct x86_descriptor *d,
		       enum x86_task_switch how, uint32_t flags)
{
	uint16_t old = cpu->tr.selector;

	if (!set_busy(cpu, old, false, true) || !set_busy(cpu, selector, true, true))
		return false;
	if (!save_task(cpu, how == X86_TASK_IRET ? flags & ~RFLAGS_NT : flags))
		return false;
	if (how == X86_TASK_CALL && !x86_store_system(cpu, d->base + TSS_LINK, sizeof(old), &old))
		return false;
	if (how != X86_TASK_CALL && !set_busy(cpu, old, false, false))
		return false;
	return how == X86_TASK_IRET || set_busy(cpu, selector, true, false);
}

static bool load_ldt(struct x86_cpu *cpu, uint16_t selector, uint32_t ext)
{
	uint32_t code = selector_error(selector) | ext;
	struct x86_descriptor d;

	if (selector_is_null(selector))
		return true;
	if (selector & SELECTOR_TI)
		return fail(cpu, X86_TS, code);
	if (!x86_read_descriptor(cpu, selector, X86_TS, ext, &d))
		return false;
	if ((d.rights & (SEG_S | SEG_TYPE)) != SYS_LDT || !(d.rights & SEG_P))
		return fail(cpu, X86_TS, code);
	x86_set_segment(&cpu->ldtr, selector, &d);
	return true;
}

static bool load_code(struct x86_cpu *cpu, uint16_t selector, uint32_t ext)
{
	uint32_t code = selector_error(selector) | ext;
	struct x86_descriptor d;
	unsigned dpl, rpl = selector & SELECTOR_RPL;

	if (selector_is_null(selector))
		return fail(cpu, X86_TS, code);
	if (!x86_read_descriptor(cpu, selector, X86_TS, ext, &d))
		return false;
	dpl = segment_dpl(d.rights);
	if (!(d.rights & SEG_S) || !(d.rights & SEG_CODE) ||
	    (d.rights & SEG_CONFORMING ? dpl > rpl : dpl != rpl))
		return fail(cpu, X86_TS, code);
	if (!(d.rights & SEG_P))
		return fail(cpu, X86_NP, code);
	if (!x86_mark_accessed(cpu, &d))
		return false;
	x86_set_segment(&cpu->segment[X86_CS], selector, &d);
	x86_update_code_mode(cpu);
	return true;
}

static bool load_stack(struct x86_cpu *cpu, uint16_t selector, uint32_t ext)
{
	struct x86_descriptor d;

	if (!x86_check_stack_segment(cpu, selector, cpu->cpl, X86_TS, ext, &d) ||
	    !x86_mark_accessed(cpu, &d))
		return false;
	x86_set_segment(&cpu->segment[X86_SS], selector, &d);
	return true;
}

/* Steps 12 and 13: the hidden parts of the registers. Its faults are the new task's. */
static bool load_segments(struct x86_cpu *cpu, const struct task *task, uint32_t ext)
{
	static const uint8_t data[] = {X86_DS, X86_ES, X86_FS, X86_GS};

	if (!load_ldt(cpu, task->ldt, ext))
		return false;
	if (!x86_v8086(cpu)) {
		if (!load_code(cpu, task->segment[X86_CS], ext) ||
		    !load_stack(cpu, task->segment[X86_SS], ext))
			return false;
		for (unsigned i = 0; i < sizeof(data); i++)
			if (!x86_load_data_segment(cpu, data[i], task->segment[data[i]], X86_TS,
						   ext))
				return false;
	}
	if (task->eip > cpu->segment[X86_CS].limit)
		return fail(cpu, X86_GP, ext);
	return true;
}

/* Paging first: the segments' descriptors are read in the new address space. */
static bool load_registers(struct x86_cpu *cpu, const struct task *task, uint64_t flags, bool wide)
{
	x86_set_flags(cpu, (flags & RFLAGS_DEFINED) | RFLAGS_ONE);
	cpu->gpr[X86_RIP] = task->eip;
	for (unsigned i = 0; i < NR_GPR; i++)
		cpu->gpr[i] = task->gpr[i];
	cpu->cpl = x86_v8086(cpu) ? 3 : task->segment[X86_CS] & SELECTOR_RPL;
	x86_update_privilege(cpu);
	for (unsigned i = 0; i < X86_NR_SEGMENTS; i++) {
		cpu->segment[i] = (struct x86_segment){.selector = task->segment[i]};
		if (x86_v8086(cpu))
			x86_set_segment_8086(cpu, i, task->segment[i]);
	}
	cpu->ldtr = (struct x86_segment){.selector = task->ldt};
	x86_update_code_mode(cpu);
	cpu->cr0 |= CR0_TS;
	cpu->interrupt_shadow = 0;
	cpu->single_step = false;
	x86_debug_new_task(cpu, task->trap);
	return !wide || !(cpu->cr0 & CR0_PG) || x86_load_cr3(cpu, task->cr3);
}

/* @flags: what of them the old TSS keeps. */
static bool switch_task(struct x86_cpu *cpu, uint16_t selector, const struct x86_descriptor *d,
			enum x86_task_switch how, uint64_t flags, uint32_t ext)
{
	bool wide = is_32(d->rights);
	struct task task;

	cpu->new_task = false;
	if (d->limit < (wide ? sizeof(struct tss_32) : sizeof(struct tss_16)) - 1)
		return fail(cpu, X86_TS, selector_error(selector) | ext);
	hw_event(cpu->hw, UMBRA_EXIT_task_switch); /* not to be avoided: SDM 3C 25.2 */
	if (!load_task(cpu, d, &task) || !leave_task(cpu, selector, d, how, (uint32_t)flags))
		return false;

	cpu->new_task = true;
	x86_set_segment(&cpu->tr, selector, d);
	cpu->tr.rights |= SYS_TYPE_BUSY;
	if (!load_registers(cpu, &task, task.eflags | (how == X86_TASK_CALL ? RFLAGS_NT : 0),
			    wide) ||
	    !load_segments(cpu, &task, ext))
		return false;
	cpu->new_task = false;
	return true;
}

enum x86_result x86_task_fault(struct x86_cpu *cpu)
{
	if (!cpu->new_task || cpu->ended)
		return X86_FAULT;
	cpu->new_task = false;
	cpu->pending |= X86_PENDING_FAULT;
	return X86_LEAVE;
}

static bool is_tss(const struct x86_descriptor *d, bool busy)
{
	unsigned type = d->rights & (SEG_S | SEG_TYPE);

	return (type & ~(unsigned)SYS_TYPE_32) == (busy ? SYS_TSS_16_BUSY : SYS_TSS_16_AVAILABLE);
}

/* The TSS that a task gate names: global and not busy. */
static bool read_gated_tss(struct x86_cpu *cpu, uint16_t selector, uint32_t ext,
			   struct x86_descriptor *ret_tss)
{
	uint32_t code = selector_error(selector) | ext;

	if (selector & SELECTOR_TI)
		return fail(cpu, X86_GP, code);
	if (!x86_read_descriptor(cpu, selector, X86_GP, ext, ret_tss))
		return false;
	if (!is_tss(ret_tss, false))
		return fail(cpu, X86_GP, code);
	if (!(ret_tss->rights & SEG_P))
		return fail(cpu, X86_NP, code);
	return true;
}

bool x86_deliver_to_task(struct x86_cpu *cpu, const struct x86_event *event, uint16_t selector)
{
	uint64_t flags = x86_flags(cpu);
	struct x86_descriptor tss;
	struct x86_stack stack;
	uint64_t code = event->code;

	if (event->kind == X86_EVENT_EXCEPTION && event->vector != X86_DF)
		flags |= RFLAGS_RF;
	if (!read_gated_tss(cpu, selector, event->ext, &tss) ||
	    !switch_task(cpu, selector, &tss, X86_TASK_CALL, flags, event->ext))
		return false;
	if (!event->has_code)
		return true;
	x86_present_stack(cpu, &stack);
	if (!x86_push_frame(cpu, &stack, &code, 1, is_32(tss.rights) ? 4 : 2, event->ext)) {
		cpu->new_task = true;
		return false;
	}
	cpu->gpr[X86_RSP] = stack.pointer;
	return true;
}

static enum x86_result far(struct x86_cpu *cpu, uint16_t selector, const struct x86_descriptor *tss,
			   enum x86_task_switch how)
{
	return switch_task(cpu, selector, tss, how, x86_flags(cpu), 0) ? X86_LEAVE
								       : x86_task_fault(cpu);
}

static bool may_use(const struct x86_cpu *cpu, uint16_t selector, const struct x86_descriptor *d)
{
	unsigned dpl = segment_dpl(d->rights);

	return dpl >= cpu->cpl && dpl >= (selector & SELECTOR_RPL);
}

enum x86_result x86_far_to_tss(struct x86_cpu *cpu, uint16_t selector,
			       const struct x86_descriptor *d, enum x86_task_switch how)
{
	if (!may_use(cpu, selector, d) || !is_tss(d, false) || (selector & SELECTOR_TI))
		return x86_raise_code(cpu, X86_GP, selector_error(selector));
	if (!(d->rights & SEG_P))
		return x86_raise_code(cpu, X86_NP, selector_error(selector));
	return far(cpu, selector, d, how);
}

enum x86_result x86_far_to_task_gate(struct x86_cpu *cpu, uint16_t selector,
				     const struct x86_descriptor *d, enum x86_task_switch how)
{
	uint16_t target = x86_gate_selector(d);
	struct x86_descriptor tss;

	if (!may_use(cpu, selector, d))
		return x86_raise_code(cpu, X86_GP, selector_error(selector));
	if (!(d->rights & SEG_P))
		return x86_raise_code(cpu, X86_NP, selector_error(selector));
	if (!read_gated_tss(cpu, target, 0, &tss))
		return X86_FAULT;
	return far(cpu, target, &tss, how);
}

enum x86_result x86_task_return(struct x86_cpu *cpu)
{
	struct x86_descriptor tss;
	uint16_t link;

	if (!x86_read_tss(cpu, TSS_LINK, sizeof(link), 0, &link))
		return X86_FAULT;
	if (link & SELECTOR_TI)
		return x86_raise_code(cpu, X86_TS, selector_error(link));
	if (!x86_read_descriptor(cpu, link, X86_TS, 0, &tss))
		return X86_FAULT;
	if (!is_tss(&tss, true))
		return x86_raise_code(cpu, X86_TS, selector_error(link));
	if (!(tss.rights & SEG_P))
		return x86_raise_code(cpu, X86_NP, selector_error(link));
	return far(cpu, link, &tss, X86_TASK_IRET);
}
