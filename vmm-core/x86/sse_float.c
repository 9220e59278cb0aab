/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SSE: floating point. Each instruction is executed as itself, under the guest's MXCSR with all
 * exceptions masked; the flags that it raised then decide whether it would have faulted. The
 * instruction and both changes of MXCSR are one asm: a compiler may move intrinsics across
 * changes of MXCSR and swap operands, whose order decides between two NaNs.
 */
#include "x86/flags.h"
#include "x86/sse.h"
#include "x86/sse_exception.h"

struct environment {
	uint32_t guest, host, after;
};

/* FTZ has no effect while underflow is unmasked (SDM 1 10.2.3.3). */
static inline struct environment enter(const struct x86_cpu *cpu)
{
	uint32_t guest = (cpu->mxcsr & ~MXCSR_FLAGS) | MXCSR_MASKS;

	if (__builtin_expect(!(cpu->mxcsr & MXCSR_UM), 0))
		guest &= ~MXCSR_FTZ;
	return (struct environment){.guest = guest, .host = _mm_getcsr()};
}

/* @output must be early-clobbered unless it is read too. */
#define UNDER_GUEST_MXCSR(instruction, environment, output, input)                                 \
	__asm__ volatile(                                                                          \
		"ldmxcsr %[guest]\n\t" instruction "\n\t"                                          \
		"stmxcsr %[after]\n\t"                                                             \
		"ldmxcsr %[host]"                                                                  \
		: output, [after] "=m"((environment).after)                                        \
		: input, [guest] "m"((environment).guest), [host] "m"((environment).host))

/* Takes the flags over; false: the fault is raised, the destination must stay as it is. */
static inline bool leave(struct x86_cpu *cpu, const struct environment *environment,
			 const struct sse_rounding *rounding)
{
	uint32_t raised = environment->after & MXCSR_FLAGS;
	uint32_t unmasked = raised & ~(cpu->mxcsr >> MXCSR_MASK_SHIFT);

	if (__builtin_expect(unmasked != 0 || !(cpu->mxcsr & MXCSR_UM), 0))
		return x86_sse_unmasked(cpu, raised, rounding);
	cpu->mxcsr |= raised;
	return true;
}

/*
 * Instructions xmm, xmm/m: name, size of the memory operand, whether it must be aligned, how its
 * results are rounded, size of the elements.
 */
/* clang-format off */
#define ARITHMETIC(X, op, rounding)                                                                \
	X(op##PS, #op "ps", 16, SSE_ALIGNED, rounding, 4)                                          \
	X(op##PD, #op "pd", 16, SSE_ALIGNED, rounding, 8)                                          \
	X(op##SS, #op "ss", 4, 0, rounding, 4)                                                     \
	X(op##SD, #op "sd", 8, 0, rounding, 8)
#define HORIZONTAL(X, op, rounding)                                                                \
	X(op##PS, #op "ps", 16, SSE_ALIGNED, rounding, 4)                                          \
	X(op##PD, #op "pd", 16, SSE_ALIGNED, rounding, 8)

#define FLOAT_INSTRUCTIONS(X)                                                                      \
	ARITHMETIC(X, ADD, SSE_ADD)                                                                \
	ARITHMETIC(X, SUB, SSE_SUB)                                                                \
	ARITHMETIC(X, MUL, SSE_MUL)                                                                \
	ARITHMETIC(X, DIV, SSE_DIV)                                                                \
	ARITHMETIC(X, MIN, SSE_IN_RANGE)                                                           \
	ARITHMETIC(X, MAX, SSE_IN_RANGE)                                                           \
	ARITHMETIC(X, SQRT, SSE_IN_RANGE)                                                          \
	HORIZONTAL(X, ADDSUB, SSE_ADD_SUB)                                                         \
	HORIZONTAL(X, HADD, SSE_ADD_PAIRS)                                                         \
	HORIZONTAL(X, HSUB, SSE_SUB_PAIRS)                                                         \
	X(RCPPS, "rcpps", 16, SSE_ALIGNED, SSE_IN_RANGE, 4)                                        \
	X(RCPSS, "rcpss", 4, 0, SSE_IN_RANGE, 4)                                                   \
	X(RSQRTPS, "rsqrtps", 16, SSE_ALIGNED, SSE_IN_RANGE, 4)                                    \
	X(RSQRTSS, "rsqrtss", 4, 0, SSE_IN_RANGE, 4)                                               \
	X(CVTDQ2PS, "cvtdq2ps", 16, SSE_ALIGNED, SSE_IN_RANGE, 4)                                  \
	X(CVTPS2DQ, "cvtps2dq", 16, SSE_ALIGNED, SSE_IN_RANGE, 4)                                  \
	X(CVTTPS2DQ, "cvttps2dq", 16, SSE_ALIGNED, SSE_IN_RANGE, 4)                                \
	X(CVTDQ2PD, "cvtdq2pd", 8, 0, SSE_IN_RANGE, 8)                                             \
	X(CVTPD2DQ, "cvtpd2dq", 16, SSE_ALIGNED, SSE_IN_RANGE, 8)                                  \
	X(CVTTPD2DQ, "cvttpd2dq", 16, SSE_ALIGNED, SSE_IN_RANGE, 8)                                \
	X(CVTPS2PD, "cvtps2pd", 8, 0, SSE_IN_RANGE, 8)                                             \
	X(CVTPD2PS, "cvtpd2ps", 16, SSE_ALIGNED, SSE_TO_SINGLE, 8)                                 \
	X(CVTSS2SD, "cvtss2sd", 4, 0, SSE_IN_RANGE, 4)                                             \
	X(CVTSD2SS, "cvtsd2ss", 8, 0, SSE_TO_SINGLE, 8)
/* clang-format on */

/* run_X(): *value = *value op source; false: the fault is raised. */
#define FLOAT_FUNCTION(mnemonic, name, size, extra, how_, width_)                                  \
	static inline bool run_##mnemonic(struct x86_cpu *cpu, __m128i *value, __m128i source)     \
	{                                                                                          \
		struct environment environment = enter(cpu);                                       \
		struct sse_rounding rounding = {                                                   \
			.how = how_,                                                               \
			.width = width_,                                                           \
			.elements = (size) / (width_),                                             \
			.value = *value,                                                           \
			.source = source,                                                          \
		};                                                                                 \
		__m128i result = *value;                                                           \
                                                                                                   \
		UNDER_GUEST_MXCSR(name " %[source], %[value]",                                     \
				  environment, [value] "+x"(result), [source] "x"(source));        \
		if (!leave(cpu, &environment, &rounding))                                          \
			return false;                                                              \
		*value = result;                                                                   \
		return true;                                                                       \
	}                                                                                          \
	static enum x86_result exec_##mnemonic(struct x86_cpu *cpu, const struct x86_insn *insn)   \
	{                                                                                          \
		__m128i source, value;                                                             \
                                                                                                   \
		SSE_CHECK(cpu);                                                                    \
		if (!sse_source(cpu, insn, &source))                                               \
			return X86_FAULT;                                                          \
		value = sse_get(cpu, insn->reg);                                                   \
		if (!run_##mnemonic(cpu, &value, source))                                          \
			return X86_FAULT;                                                          \
		sse_set(cpu, insn->reg, value);                                                    \
		return X86_DONE;                                                                   \
	}
FLOAT_INSTRUCTIONS(FLOAT_FUNCTION)

/* What MMX borrows. */
#define LEND(function, mnemonic)                                                                   \
	bool function(struct x86_cpu *cpu, __m128i *value, __m128i source)                         \
	{                                                                                          \
		return run_##mnemonic(cpu, value, source);                                         \
	}
LEND(x86_sse_cvtdq2ps, CVTDQ2PS)
LEND(x86_sse_cvtdq2pd, CVTDQ2PD)
LEND(x86_sse_cvtps2dq, CVTPS2DQ)
LEND(x86_sse_cvttps2dq, CVTTPS2DQ)
LEND(x86_sse_cvtpd2dq, CVTPD2DQ)
LEND(x86_sse_cvttpd2dq, CVTTPD2DQ)

/* PSHUFD: what swaps elements of 32 and of 64 bits. */
#define NEIGHBOURS 0xb1
#define HALVES     0x4e

/* Those bits of an immediate, each spread over an element of 32 bits. */
static __m128i spread(unsigned bits)
{
	union x86_xmm mask;

	for (unsigned i = 0; i < 4; i++)
		mask.u32[i] = bits & 1u << i ? UINT32_MAX : 0;
	return _mm_load_si128((const __m128i *)&mask);
}

/*
 * SDM 2 DPPS, DPPD: products of the elements that the upper half of the immediate chooses, their
 * sum into those that the lower one chooses. Each step may raise exceptions. AMD's processors
 * compute one sum for all, Intel's one for each element: the same numbers added in another order,
 * so that of several NaNs another one may come first (SDM 1 table 4-7).
 */
static enum x86_result exec_dpps(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	const __m128i wanted = spread((unsigned)insn->imm >> 4 & 0xf);
	const bool amd = x86_is_amd(cpu);
	__m128i source, value, sum;

	SSE_CHECK(cpu);
	if (!sse_source(cpu, insn, &source))
		return X86_FAULT;
	value = _mm_and_si128(sse_get(cpu, insn->reg), wanted);
	if (!run_MULPS(cpu, &value, _mm_and_si128(source, wanted)))
		return X86_FAULT;
	value = _mm_and_si128(value, wanted);
	/* (0 + 1), (2 + 3), then their sum; Intel: (1 + 0), (3 + 2). */
	source = _mm_shuffle_epi32(value, NEIGHBOURS);
	sum = amd ? value : source;
	if (!run_ADDPS(cpu, &sum, amd ? source : value) ||
	    !run_ADDPS(cpu, &sum, _mm_shuffle_epi32(sum, HALVES)))
		return X86_FAULT;
	if (amd)
		sum = _mm_shuffle_epi32(sum, 0);
	sse_set(cpu, insn->reg, _mm_and_si128(sum, spread((unsigned)insn->imm & 0xf)));
	return X86_DONE;
}

static __m128i spread_wide(unsigned bits)
{
	return _mm_set_epi64x(bits & 2 ? -1 : 0, bits & 1 ? -1 : 0);
}

static enum x86_result exec_dppd(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	const __m128i wanted = spread_wide((unsigned)insn->imm >> 4);
	__m128i source, value;

	SSE_CHECK(cpu);
	if (!sse_source(cpu, insn, &source))
		return X86_FAULT;
	value = _mm_and_si128(sse_get(cpu, insn->reg), wanted);
	if (!run_MULPD(cpu, &value, _mm_and_si128(source, wanted)))
		return X86_FAULT;
	value = _mm_and_si128(value, wanted);
	source = _mm_shuffle_epi32(value, HALVES);
	if (!run_ADDPD(cpu, &value, source))
		return X86_FAULT;
	if (x86_is_amd(cpu))
		value = _mm_unpacklo_epi64(value, value);
	sse_set(cpu, insn->reg, _mm_and_si128(value, spread_wide((unsigned)insn->imm)));
	return X86_DONE;
}

/* The immediate is part of the instruction, so each of its values has an instruction here. */
#define IMMEDIATE_CASE(name, immediate)                                                            \
	case immediate:                                                                            \
		UNDER_GUEST_MXCSR(name " $" #immediate ", %[source], %[value]",                    \
				  environment, [value] "+x"(value), [source] "x"(source));         \
		break;

/* clang-format off */
#define PREDICATES(name)                                                                           \
	IMMEDIATE_CASE(name, 0) IMMEDIATE_CASE(name, 1) IMMEDIATE_CASE(name, 2)                    \
	IMMEDIATE_CASE(name, 3) IMMEDIATE_CASE(name, 4) IMMEDIATE_CASE(name, 5)                    \
	IMMEDIATE_CASE(name, 6) IMMEDIATE_CASE(name, 7)
#define ROUNDINGS(name)                                                                            \
	PREDICATES(name)                                                                           \
	IMMEDIATE_CASE(name, 8) IMMEDIATE_CASE(name, 9) IMMEDIATE_CASE(name, 10)                   \
	IMMEDIATE_CASE(name, 11) IMMEDIATE_CASE(name, 12) IMMEDIATE_CASE(name, 13)                 \
	IMMEDIATE_CASE(name, 14) IMMEDIATE_CASE(name, 15)
/* clang-format on */

#define IMMEDIATE_FUNCTION(mnemonic, name, mask, cases)                                            \
	static enum x86_result exec_##mnemonic(struct x86_cpu *cpu, const struct x86_insn *insn)   \
	{                                                                                          \
		struct environment environment;                                                    \
		__m128i source, value;                                                             \
                                                                                                   \
		SSE_CHECK(cpu);                                                                    \
		if (!sse_source(cpu, insn, &source))                                               \
			return X86_FAULT;                                                          \
		environment = enter(cpu);                                                          \
		value = sse_get(cpu, insn->reg);                                                   \
		switch (insn->imm & (mask)) {                                                      \
			cases(name)                                                                \
		}                                                                                  \
		if (!leave(cpu, &environment, NULL))                                               \
			return X86_FAULT;                                                          \
		sse_set(cpu, insn->reg, value);                                                    \
		return X86_DONE;                                                                   \
	}
IMMEDIATE_FUNCTION(ROUNDPS, "roundps", 15, ROUNDINGS)
IMMEDIATE_FUNCTION(ROUNDPD, "roundpd", 15, ROUNDINGS)
IMMEDIATE_FUNCTION(ROUNDSS, "roundss", 15, ROUNDINGS)
IMMEDIATE_FUNCTION(ROUNDSD, "roundsd", 15, ROUNDINGS)
IMMEDIATE_FUNCTION(CMPPS, "cmpps", 7, PREDICATES)
IMMEDIATE_FUNCTION(CMPPD, "cmppd", 7, PREDICATES)
IMMEDIATE_FUNCTION(CMPSS, "cmpss", 7, PREDICATES)
IMMEDIATE_FUNCTION(CMPSD, "cmpsd", 7, PREDICATES)

/* Comparisons into RFLAGS: ZF, PF, CF by the result, OF, SF, AF clear. */
#define ORDER_FUNCTION(mnemonic, name)                                                             \
	static enum x86_result exec_##mnemonic(struct x86_cpu *cpu, const struct x86_insn *insn)   \
	{                                                                                          \
		struct environment environment;                                                    \
		__m128i source, value;                                                             \
		bool zero, parity, carry;                                                          \
		uint64_t flags;                                                                    \
                                                                                                   \
		SSE_CHECK(cpu);                                                                    \
		if (!sse_source(cpu, insn, &source))                                               \
			return X86_FAULT;                                                          \
		environment = enter(cpu);                                                          \
		value = sse_get(cpu, insn->reg);                                                   \
		__asm__ volatile("ldmxcsr %[guest]\n\t" name " %[source], %[value]\n\t"            \
				 "stmxcsr %[after]\n\t"                                            \
				 "ldmxcsr %[host]"                                                 \
				 : "=@ccz"(zero), "=@ccp"(parity),                                 \
				   "=@ccc"(carry), [after] "=m"(environment.after)                 \
				 : [source] "x"(source), [value] "x"(value),                       \
				   [guest] "m"(environment.guest), [host] "m"(environment.host));  \
		if (!leave(cpu, &environment, NULL))                                               \
			return X86_FAULT;                                                          \
		flags = (zero ? RFLAGS_ZF : 0) | (parity ? RFLAGS_PF : 0) |                        \
			(carry ? RFLAGS_CF : 0);                                                   \
		x86_change_flags(cpu, RFLAGS_ARITHMETIC, flags);                                   \
		return X86_DONE;                                                                   \
	}
ORDER_FUNCTION(COMISS, "comiss")
ORDER_FUNCTION(COMISD, "comisd")
ORDER_FUNCTION(UCOMISS, "ucomiss")
ORDER_FUNCTION(UCOMISD, "ucomisd")

/* To a general register: 32 or 64 bits wide (SSE_WIDE) as REX.W says. */
#define TO_GENERAL_WIDTH(mnemonic, name, bits)                                                     \
	static enum x86_result exec_##mnemonic##_##bits(struct x86_cpu *cpu,                       \
							const struct x86_insn *insn)               \
	{                                                                                          \
		struct environment environment;                                                    \
		uint##bits##_t value;                                                              \
		__m128i source;                                                                    \
                                                                                                   \
		SSE_CHECK(cpu);                                                                    \
		if (!sse_source(cpu, insn, &source))                                               \
			return X86_FAULT;                                                          \
		environment = enter(cpu);                                                          \
		UNDER_GUEST_MXCSR(name " %[source], %[value]",                                     \
				  environment, [value] "=&r"(value), [source] "x"(source));        \
		if (!leave(cpu, &environment, NULL))                                               \
			return X86_FAULT;                                                          \
		cpu->gpr[insn->reg] = value;                                                       \
		return X86_DONE;                                                                   \
	}
#define TO_GENERAL_FUNCTION(mnemonic, name)                                                        \
	TO_GENERAL_WIDTH(mnemonic, name, 32)                                                       \
	TO_GENERAL_WIDTH(mnemonic, name, 64)                                                       \
	static enum x86_result exec_##mnemonic(struct x86_cpu *cpu, const struct x86_insn *insn)   \
	{                                                                                          \
		return insn->extra & SSE_WIDE ? exec_##mnemonic##_64(cpu, insn)                    \
					      : exec_##mnemonic##_32(cpu, insn);                   \
	}
TO_GENERAL_FUNCTION(CVTSS2SI, "cvtss2si")
TO_GENERAL_FUNCTION(CVTTSS2SI, "cvttss2si")
TO_GENERAL_FUNCTION(CVTSD2SI, "cvtsd2si")
TO_GENERAL_FUNCTION(CVTTSD2SI, "cvttsd2si")

static bool general_source(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t *ret)
{
	*ret = cpu->gpr[insn->rm];
	return !insn->memory ||
	       x86_load(cpu, insn->segment, x86_effective_address(cpu, insn), insn->size, ret);
}

#define FROM_GENERAL_FUNCTION(mnemonic, name)                                                      \
	static enum x86_result exec_##mnemonic(struct x86_cpu *cpu, const struct x86_insn *insn)   \
	{                                                                                          \
		struct environment environment;                                                    \
		uint64_t source;                                                                   \
		__m128i value;                                                                     \
                                                                                                   \
		SSE_CHECK(cpu);                                                                    \
		if (!general_source(cpu, insn, &source))                                           \
			return X86_FAULT;                                                          \
		environment = enter(cpu);                                                          \
		value = sse_get(cpu, insn->reg);                                                   \
		if (insn->size == 8)                                                               \
			UNDER_GUEST_MXCSR(name "q %[source], %[value]",                            \
					  environment, [value] "+x"(value), [source] "r"(source)); \
		else                                                                               \
			UNDER_GUEST_MXCSR(                                                         \
				name "l %[source], %[value]",                                      \
				environment, [value] "+x"(value), [source] "r"((uint32_t)source)); \
		if (!leave(cpu, &environment, NULL))                                               \
			return X86_FAULT;                                                          \
		sse_set(cpu, insn->reg, value);                                                    \
		return X86_DONE;                                                                   \
	}
FROM_GENERAL_FUNCTION(CVTSI2SS, "cvtsi2ss")
FROM_GENERAL_FUNCTION(CVTSI2SD, "cvtsi2sd")

#define FLOAT_ROW(mnemonic, name, size, extra, rounding, width)                                    \
	{ZYDIS_MNEMONIC_##mnemonic, SSE_ANY, size, extra, exec_##mnemonic},
#define ROW(mnemonic, size, extra)                                                                 \
	{                                                                                          \
		ZYDIS_MNEMONIC_##mnemonic, SSE_ANY, size, extra, exec_##mnemonic                   \
	}

const struct sse_row x86_sse_float_rows[] = {
	FLOAT_INSTRUCTIONS(FLOAT_ROW) ROW(CMPPS, 16, SSE_ALIGNED),
	ROW(CMPPD, 16, SSE_ALIGNED),
	ROW(CMPSS, 4, 0),
	ROW(CMPSD, 8, 0),
	ROW(COMISS, 4, 0),
	ROW(COMISD, 8, 0),
	ROW(UCOMISS, 4, 0),
	ROW(UCOMISD, 8, 0),
	ROW(CVTSS2SI, 4, 0),
	ROW(CVTTSS2SI, 4, 0),
	ROW(CVTSD2SI, 8, 0),
	ROW(CVTTSD2SI, 8, 0),
	ROW(CVTSI2SS, 0, 0),
	ROW(CVTSI2SD, 0, 0),
	ROW(ROUNDPS, 16, SSE_ALIGNED),
	ROW(ROUNDPD, 16, SSE_ALIGNED),
	ROW(ROUNDSS, 4, 0),
	ROW(ROUNDSD, 8, 0),
	{ZYDIS_MNEMONIC_DPPS, SSE_ANY, 16, SSE_ALIGNED, exec_dpps},
	{ZYDIS_MNEMONIC_DPPD, SSE_ANY, 16, SSE_ALIGNED, exec_dppd},
	{.exec = NULL},
};
