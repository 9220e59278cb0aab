/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hardware task switches (SDM 3A 7). */
#ifndef X86_TASK_H
#define X86_TASK_H

#include "x86/segment.h"

enum x86_task_switch {
	X86_TASK_JMP,
	X86_TASK_CALL, /* interrupts and exceptions too: nested */
	X86_TASK_IRET, /* back from a nested task */
};

/*
 * Far JMP and CALL to a TSS, or to a task gate, whose descriptor is @d; IRET with NT. As executing
 * functions return.
 */
enum x86_result x86_far_to_tss(struct x86_cpu *cpu, uint16_t selector,
			       const struct x86_descriptor *d, enum x86_task_switch how);
enum x86_result x86_far_to_task_gate(struct x86_cpu *cpu, uint16_t selector,
				     const struct x86_descriptor *d, enum x86_task_switch how);
enum x86_result x86_task_return(struct x86_cpu *cpu);

/*
 * What an instruction returns whose transfer failed: the fault is its own, or that of the task that
 * it switched to, which is then due before the first instruction there.
 */
enum x86_result x86_task_fault(struct x86_cpu *cpu);

#endif
