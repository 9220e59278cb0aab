/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stacks of inner privileges, and frames pushed onto any stack before the CPU changes to it. */
#include "x86/stack.h"

#include "x86/control.h"
#include "x86/debug.h"
#include "x86/mem.h"
#include "x86/segment.h"

/* Where the TSS keeps stacks (SDM 3A 7.2.1, 7.6, 7.7). */
#define TSS_16_SP0    2
#define TSS_16_STRIDE 4
#define TSS_32_ESP0   4
#define TSS_32_STRIDE 8
#define TSS_64_RSP0   4
#define TSS_64_STRIDE 8

void x86_present_stack(const struct x86_cpu *cpu, struct x86_stack *ret_stack)
{
	*ret_stack = (struct x86_stack){
		.ss = cpu->segment[X86_SS],
		.pointer = cpu->gpr[X86_RSP],
		.privilege = cpu->privilege,
	};
}

bool x86_read_tss(struct x86_cpu *cpu, uint32_t offset, unsigned size, uint32_t ext, void *ret)
{
	if (offset + size - 1 > cpu->tr.limit) {
		x86_raise_code(cpu, X86_TS, selector_error(cpu->tr.selector) | ext);
		return false;
	}
	return x86_load_system(cpu, cpu->tr.base + offset, size, ret);
}

static bool read_pointer(struct x86_cpu *cpu, unsigned cpl, uint32_t ext, uint64_t *ret_pointer,
			 uint16_t *ret_selector)
{
	struct {
		uint32_t esp;
		uint16_t ss;
	} __attribute__((packed)) pair;
	uint16_t pair_16[2];

	if ((cpu->tr.rights & SEG_TYPE) == SYS_TSS_16_BUSY) {
		if (!x86_read_tss(cpu, TSS_16_SP0 + cpl * TSS_16_STRIDE, sizeof(pair_16), ext,
				  pair_16))
			return false;
		*ret_pointer = pair_16[0];
		*ret_selector = pair_16[1];
		return true;
	}
	if (!x86_read_tss(cpu, TSS_32_ESP0 + cpl * TSS_32_STRIDE, sizeof(pair), ext, &pair))
		return false;
	*ret_pointer = pair.esp;
	*ret_selector = pair.ss;
	return true;
}

bool x86_inner_stack(struct x86_cpu *cpu, unsigned cpl, uint32_t ext, struct x86_stack *ret_stack)
{
	struct x86_descriptor ss;
	uint16_t selector;

	ret_stack->privilege = HW_SUPERVISOR;
	if (x86_long_mode(cpu)) { /* a null selector carries the privilege */
		ret_stack->ss = (struct x86_segment){.selector = (uint16_t)cpl};
		return x86_read_tss(cpu, TSS_64_RSP0 + cpl * TSS_64_STRIDE, 8, ext,
				    &ret_stack->pointer);
	}
	if (!read_pointer(cpu, cpl, ext, &ret_stack->pointer, &selector) ||
	    !x86_check_stack_segment(cpu, selector, cpl, X86_TS, ext, &ss) ||
	    !x86_mark_accessed(cpu, &ss))
		return false;
	x86_set_segment(&ret_stack->ss, selector, &ss);
	return true;
}

/*
 * A frame of IA-32e mode's gates, or one of 64-bit code: its far calls push words of 2, 4 or 8
 * bytes, and the stack is one of 64 bits for all of them.
 */
static bool is_long(const struct x86_cpu *cpu, unsigned size)
{
	return size == 8 || cpu->code_mode == X86_CODE_64;
}

static uint64_t pointer_mask(const struct x86_stack *stack, bool long_form)
{
	if (long_form)
		return UINT64_MAX;
	return stack->ss.rights & SEG_DB ? UINT32_MAX : UINT16_MAX;
}

static bool check_span(struct x86_cpu *cpu, const struct x86_stack *stack, uint64_t offset,
		       unsigned len, bool long_form, uint32_t error)
{
	if (long_form ? x86_canonical(cpu, offset) && x86_canonical(cpu, offset + len - 1)
		      : x86_segment_allows(&stack->ss, (uint32_t)offset, len, true))
		return true;
	x86_raise_code(cpu, X86_SS_FAULT, error);
	return false;
}

/* @len bytes: values of @size each. */
static bool store(struct x86_cpu *cpu, const struct x86_stack *stack, uint64_t offset, unsigned len,
		  unsigned size, const void *bytes)
{
	uint64_t linear = is_long(cpu, size) ? offset : (uint32_t)(stack->ss.base + offset);

	for (unsigned i = 0; cpu->watch && stack->privilege == HW_USER && i < len; i += size)
		if (!x86_watch(cpu, linear + i, size, true))
			return false;
	return x86_store_linear(cpu, linear, len, bytes, (enum hw_privilege)stack->privilege);
}

/* A 16-bit stack whose pointer wraps within the frame: one value after the other. */
static bool push_wrapping(struct x86_cpu *cpu, const struct x86_stack *stack, uint64_t top,
			  const uint64_t *values, unsigned count, unsigned size, uint64_t mask,
			  uint32_t error)
{
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < count; i++) {
			uint64_t offset = (top - (i + 1) * size) & mask;

			if (pass == 0 ? !check_span(cpu, stack, offset, size, false, error)
				      : !store(cpu, stack, offset, size, size, &values[i]))
				return false;
		}
	return true;
}

bool x86_push_frame(struct x86_cpu *cpu, struct x86_stack *stack, const uint64_t *values,
		    unsigned count, unsigned size, uint32_t error)
{
	bool long_form = is_long(cpu, size);
	uint64_t mask = pointer_mask(stack, long_form), len = (uint64_t)count * size;
	uint64_t top = stack->pointer & mask, bottom = (top - len) & mask;
	uint8_t frame[X86_FRAME_MAX * sizeof(uint64_t)];

	if (!long_form && ((top - 1) & mask) < bottom) {
		if (!push_wrapping(cpu, stack, top, values, count, size, mask, error))
			return false;
	} else {
		for (unsigned i = 0; i < count; i++)
			x86_put(&frame[(count - 1 - i) * size], size, values[i]);
		if (!check_span(cpu, stack, bottom, (unsigned)len, long_form, error) ||
		    !store(cpu, stack, bottom, (unsigned)len, size, frame))
			return false;
	}
	if (mask == UINT16_MAX)
		bottom |= stack->pointer & ~mask;
	stack->pointer = bottom;
	return true;
}
