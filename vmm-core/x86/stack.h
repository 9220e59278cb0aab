/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stacks that control transfers change to, and the frames that they push (SDM 3A 5.8.5, 6.12). */
#ifndef X86_STACK_H
#define X86_STACK_H

#include "x86/cpu.h"

#define X86_FRAME_MAX 36 /* values: a call gate's 31 parameters, SS, ESP, CS, EIP */

struct x86_stack {
	struct x86_segment ss;
	uint64_t pointer;
	uint8_t privilege; /* enum hw_privilege of its pushes */
};

/* The one that SS and RSP name. */
void x86_present_stack(const struct x86_cpu *cpu, struct x86_stack *ret_stack);

/*
 * The one that the TSS names for privilege @cpl. False: the fault (#TS, #SS, #PF) is raised; @ext
 * is the EXT bit of its code.
 */
bool x86_inner_stack(struct x86_cpu *cpu, unsigned cpl, uint32_t ext, struct x86_stack *ret_stack);

/* Reads @size bytes at @offset of the present TSS. False: #TS beyond its limit, or #PF. */
bool x86_read_tss(struct x86_cpu *cpu, uint32_t offset, unsigned size, uint32_t ext, void *ret);

/*
 * Pushes @values, the first one first, each of @size bytes (8: as 64-bit mode does), and moves
 * stack->pointer; the CPU keeps its own. False: no value that the CPU could miss was written; #SS
 * with code @error, or #PF.
 */
bool x86_push_frame(struct x86_cpu *cpu, struct x86_stack *stack, const uint64_t *values,
		    unsigned count, unsigned size, uint32_t error);

#endif
