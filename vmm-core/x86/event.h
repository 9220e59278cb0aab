/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An interrupt or exception on its way to its handler, and the ways there (SDM 3A 6, 7.3). */
#ifndef X86_EVENT_H
#define X86_EVENT_H

#include "x86/insn.h"

struct x86_event {
	uint8_t vector;
	enum x86_event_kind kind;
	bool has_code;
	uint32_t code;
	uint32_t ext; /* the EXT bit of the code of a fault that delivery meets */
};

/*
 * All return false when delivery itself faulted, which is raised, with nothing changed; but for a
 * task switch, whose last faults belong to the new task (task.h).
 */

/* real.c: through the table of the 8086, in real mode. */
bool x86_deliver_8086(struct x86_cpu *cpu, const struct x86_event *event);
/* task.c: through a task gate that names @selector. */
bool x86_deliver_to_task(struct x86_cpu *cpu, const struct x86_event *event, uint16_t selector);

#endif
