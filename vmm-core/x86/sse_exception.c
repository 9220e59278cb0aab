/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unmasked SSE exceptions (SDM 1 11.5). A masked result does not tell whether an unmasked overflow
 * or underflow would have been inexact, nor that a tiny result was exact. So each element is
 * computed once more by the x87 with the precision of the element and its own, larger range.
 */
#include "x86/sse_exception.h"

#include "x86/x87.h"
#include "x86/x87_host.h"

/* Found before the computation: an unmasked one hides what the latter would raise. */
#define BEFORE             (MXCSR_IE | MXCSR_DE | MXCSR_ZE)

#define BIAS               16383
#define EXPONENT_BITS      0x7fffu
#define X87_PRECISION_24   0x000u
#define X87_PRECISION_53   0x200u
#define X87_ROUNDING_BIT   10
#define MXCSR_ROUNDING     0x6000u
#define MXCSR_ROUNDING_BIT 13

/* What is special of a format. */
struct format {
	uint16_t precision; /* in the x87 control word */
	uint8_t digits;     /* of the significand */
	int16_t min, max;   /* exponents of normal numbers */
};

static const struct format single = {X87_PRECISION_24, 24, -126, 127};
static const struct format twice = {X87_PRECISION_53, 53, -1022, 1023};

static bool masked(const struct x86_cpu *cpu, uint32_t flag)
{
	return cpu->mxcsr >> MXCSR_MASK_SHIFT & flag;
}

/* Element @i of @width bytes; DAZ makes a denormal zero. */
static struct x86_x87_register element(const struct x86_cpu *cpu, const union x86_xmm *from,
				       unsigned width, unsigned i)
{
	struct x86_x87_register value = {};
	uint32_t u32 = from->u32[i];
	uint64_t u64 = from->u64[i % 2];

	if ((cpu->mxcsr & MXCSR_DAZ) && !(u32 & 0x7f800000))
		u32 &= 0x80000000;
	if ((cpu->mxcsr & MXCSR_DAZ) && !(u64 & 0x7ff0000000000000))
		u64 &= 0x8000000000000000;
	if (width == sizeof(u32))
		x87_host_ld_32(&value, &u32, X87_CONTROL_AT_INIT);
	else
		x87_host_ld_64(&value, &u64, X87_CONTROL_AT_INIT);
	return value;
}

/* OE, UE and PE of one result, which has not been squeezed into its format's range. */
static uint32_t flags_of(const struct x86_cpu *cpu, const struct format *format,
			 const struct x86_x87_register *result, bool inexact)
{
	unsigned biased = result->exponent & EXPONENT_BITS;
	int exponent = (int)biased - BIAS, lost;

	if (biased == EXPONENT_BITS || !result->significand) /* NaN, infinity, zero */
		return 0;
	if (exponent > format->max)
		return MXCSR_OE | (inexact || masked(cpu, MXCSR_OE) ? MXCSR_PE : 0);
	if (exponent >= format->min)
		return inexact ? MXCSR_PE : 0;
	if (!masked(cpu, MXCSR_UE))
		return MXCSR_UE | (inexact ? MXCSR_PE : 0);
	/* A denormal has fewer digits; exact ones are no underflow while that is masked. */
	lost = 64 - format->digits + (format->min - exponent);
	if (inexact || (cpu->mxcsr & MXCSR_FTZ) || lost >= 64 || result->significand << (64 - lost))
		return MXCSR_UE | MXCSR_PE;
	return 0;
}

static uint32_t compute(const struct x86_cpu *cpu, const struct format *format, x87_host *operation,
			struct x86_x87_register a, struct x86_x87_register b)
{
	uint16_t rounding =
		(uint16_t)((cpu->mxcsr & MXCSR_ROUNDING) >> MXCSR_ROUNDING_BIT << X87_ROUNDING_BIT);
	uint16_t control = X87_FLAGS | format->precision | rounding;
	uint16_t status = operation(&a, &b, control);

	return flags_of(cpu, format, &a, status & X87_PE);
}

static x87_host *operation_of(enum sse_result_kind how, unsigned i)
{
	switch (how) {
	case SSE_SUB:
	case SSE_SUB_PAIRS: return x87_host_sub;
	case SSE_MUL: return x87_host_mul;
	case SSE_DIV: return x87_host_div;
	case SSE_ADD_SUB: return i % 2 ? x87_host_add : x87_host_sub;
	default: return x87_host_add;
	}
}

/* The flags of all elements that are found after the computation. */
static uint32_t flags_after(const struct x86_cpu *cpu, const struct sse_rounding *r)
{
	const struct format *format = r->width == 4 ? &single : &twice;
	const struct x86_x87_register zero = {};
	union x86_xmm value, source;
	uint32_t flags = 0;

	_mm_store_si128((__m128i *)&value, r->value);
	_mm_store_si128((__m128i *)&source, r->source);
	for (unsigned i = 0; i < r->elements; i++) {
		x87_host *operation = operation_of(r->how, i);
		unsigned half = r->elements / 2, first = 2 * i % r->elements;
		const union x86_xmm *pair = i < half ? &value : &source;

		if (r->how == SSE_TO_SINGLE)
			flags |= compute(cpu, &single, operation,
					 element(cpu, &source, r->width, i), zero);
		else if (r->how == SSE_ADD_PAIRS || r->how == SSE_SUB_PAIRS)
			flags |=
				compute(cpu, format, operation, element(cpu, pair, r->width, first),
					element(cpu, pair, r->width, first + 1));
		else
			flags |= compute(cpu, format, operation, element(cpu, &value, r->width, i),
					 element(cpu, &source, r->width, i));
	}
	return flags;
}

bool x86_sse_unmasked(struct x86_cpu *cpu, uint32_t raised, const struct sse_rounding *rounding)
{
	uint32_t masks = cpu->mxcsr >> MXCSR_MASK_SHIFT;

	if (raised & BEFORE & ~masks)
		raised &= BEFORE;
	else if (rounding && rounding->how != SSE_IN_RANGE)
		raised = (raised & BEFORE) | flags_after(cpu, rounding);
	cpu->mxcsr |= raised;
	if (!(raised & ~masks & MXCSR_FLAGS))
		return true;
	x86_raise(cpu, cpu->cr4 & CR4_OSXMMEXCPT ? X86_XM : X86_UD);
	return false;
}
