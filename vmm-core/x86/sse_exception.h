/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which flags an SSE instruction raises when exceptions are unmasked. Internal to sse*.c. */
#ifndef X86_SSE_EXCEPTION_H
#define X86_SSE_EXCEPTION_H

#include "x86/sse.h"

/* How an instruction makes results that can overflow or underflow, element by element. */
enum sse_result_kind {
	SSE_IN_RANGE, /* none can */
	SSE_ADD,
	SSE_SUB,
	SSE_MUL,
	SSE_DIV,
	SSE_ADD_SUB,   /* odd elements are added, even ones subtracted */
	SSE_ADD_PAIRS, /* neighbours: of the destination, then of the source */
	SSE_SUB_PAIRS,
	SSE_TO_SINGLE, /* the source's doubles become floats */
};

struct sse_rounding {
	enum sse_result_kind how;
	uint8_t width;    /* of an operand's element: 4 or 8 bytes */
	uint8_t elements; /* that are computed */
	__m128i value, source;
};

/*
 * The instruction raised the flags @raised with everything masked; @rounding: NULL as SSE_IN_RANGE.
 * Sets the flags in MXCSR; false: one of them is unmasked, the fault is raised.
 */
bool x86_sse_unmasked(struct x86_cpu *cpu, uint32_t raised, const struct sse_rounding *rounding);

#endif
