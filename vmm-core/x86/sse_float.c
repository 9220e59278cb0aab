/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SSE: floating point. Each instruction is executed as itself, under the guest's MXCSR with all
 * exceptions masked; the flags that it raised then decide whether it would have faulted. The
 * instruction and both changes of MXCSR are one asm: a compiler may move intrinsics across
 * changes of MXCSR and swap operands, whose order decides between two NaNs.
 */
#include "x86/flags.h"
#include "x86/sse.h"

struct environment {
	uint32_t guest, host, after;
};

static inline struct environment enter(const struct x86_cpu *cpu)
{
	return (struct environment){
		.guest = (cpu->mxcsr & ~MXCSR_FLAGS) | MXCSR_MASKS,
		.host = _mm_getcsr(),
	};
}

/* @output must be early-clobbered unless it is read too. */
#define UNDER_GUEST_MXCSR(instruction, environment, output, input)                                 \
	__asm__ volatile(                                                                          \
		"ldmxcsr %[guest]\n\t" instruction "\n\t"                                          \
		"stmxcsr %[after]\n\t"                                                             \
		"ldmxcsr %[host]"                                                                  \
		: output, [after] "=m"((environment).after)                                        \
		: input, [guest] "m"((environment).guest), [host] "m"((environment).host))

/*
 * SDM 1 11.5.1-11.5.3: an unmasked fault before the computation hides what the latter would raise.
 * Whether an unmasked overflow is inexact too does not show in the masked result.
 */
static enum x86_result raise_unmasked(struct x86_cpu *cpu, uint32_t raised, uint32_t unmasked)
{
	const uint32_t before = MXCSR_IE | MXCSR_DE | MXCSR_ZE;

	if (!(unmasked & before) && (unmasked & MXCSR_OE)) {
		x86_end(cpu, UMBRA_END_ERROR,
			"unmasked SSE overflow (MXCSR = %#x) is not in this build", cpu->mxcsr);
		return X86_FAULT;
	}
	cpu->mxcsr |= unmasked & before ? raised & before : raised;
	return x86_raise(cpu, cpu->cr4 & CR4_OSXMMEXCPT ? X86_XM : X86_UD);
}

/* Takes the flags over; X86_FAULT: the destination must stay as it is. */
static inline enum x86_result leave(struct x86_cpu *cpu, const struct environment *environment)
{
	uint32_t raised = environment->after & MXCSR_FLAGS;
	uint32_t unmasked = raised & ~(cpu->mxcsr >> MXCSR_MASK_SHIFT);

	if (__builtin_expect(unmasked != 0, 0))
		return raise_unmasked(cpu, raised, unmasked);
	cpu->mxcsr |= raised;
	return X86_DONE;
}

/* Instructions xmm, xmm/m: name, size of the memory operand, whether it must be aligned. */
#define ARITHMETIC(X, op)                                                                          \
	X(op##PS, #op "ps", 16, SSE_ALIGNED)                                                       \
	X(op##PD, #op "pd", 16, SSE_ALIGNED)                                                       \
	X(op##SS, #op "ss", 4, 0)                                                                  \
	X(op##SD, #op "sd", 8, 0)

#define FLOAT_INSTRUCTIONS(X)                                                                      \
	ARITHMETIC(X, ADD)                                                                         \
	ARITHMETIC(X, SUB)                                                                         \
	ARITHMETIC(X, MUL)                                                                         \
	ARITHMETIC(X, DIV)                                                                         \
	ARITHMETIC(X, MIN)                                                                         \
	ARITHMETIC(X, MAX)                                                                         \
	ARITHMETIC(X, SQRT)                                                                        \
	X(RCPPS, "rcpps", 16, SSE_ALIGNED)                                                         \
	X(RCPSS, "rcpss", 4, 0)                                                                    \
	X(RSQRTPS, "rsqrtps", 16, SSE_ALIGNED)                                                     \
	X(RSQRTSS, "rsqrtss", 4, 0)                                                                \
	X(CVTDQ2PS, "cvtdq2ps", 16, SSE_ALIGNED)                                                   \
	X(CVTPS2DQ, "cvtps2dq", 16, SSE_ALIGNED)                                                   \
	X(CVTTPS2DQ, "cvttps2dq", 16, SSE_ALIGNED)                                                 \
	X(CVTDQ2PD, "cvtdq2pd", 8, 0)                                                              \
	X(CVTPD2DQ, "cvtpd2dq", 16, SSE_ALIGNED)                                                   \
	X(CVTTPD2DQ, "cvttpd2dq", 16, SSE_ALIGNED)                                                 \
	X(CVTPS2PD, "cvtps2pd", 8, 0)                                                              \
	X(CVTPD2PS, "cvtpd2ps", 16, SSE_ALIGNED)                                                   \
	X(CVTSS2SD, "cvtss2sd", 4, 0)                                                              \
	X(CVTSD2SS, "cvtsd2ss", 8, 0)

#define FLOAT_FUNCTION(mnemonic, name, size, extra)                                                \
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
		UNDER_GUEST_MXCSR(name " %[source], %[value]",                                     \
				  environment, [value] "+x"(value), [source] "x"(source));         \
		if (leave(cpu, &environment) != X86_DONE)                                          \
			return X86_FAULT;                                                          \
		sse_set(cpu, insn->reg, value);                                                    \
		return X86_DONE;                                                                   \
	}
FLOAT_INSTRUCTIONS(FLOAT_FUNCTION)

/* Comparisons with a predicate, which is part of the instruction. */
#define COMPARE_CASE(name, predicate)                                                              \
	case predicate:                                                                            \
		UNDER_GUEST_MXCSR(name " $" #predicate ", %[source], %[value]",                    \
				  environment, [value] "+x"(value), [source] "x"(source));         \
		break;

#define COMPARE_FUNCTION(mnemonic, name)                                                           \
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
		switch (insn->imm & 7) {                                                           \
			COMPARE_CASE(name, 0)                                                      \
			COMPARE_CASE(name, 1)                                                      \
			COMPARE_CASE(name, 2)                                                      \
			COMPARE_CASE(name, 3)                                                      \
			COMPARE_CASE(name, 4)                                                      \
			COMPARE_CASE(name, 5)                                                      \
			COMPARE_CASE(name, 6)                                                      \
			COMPARE_CASE(name, 7)                                                      \
		}                                                                                  \
		if (leave(cpu, &environment) != X86_DONE)                                          \
			return X86_FAULT;                                                          \
		sse_set(cpu, insn->reg, value);                                                    \
		return X86_DONE;                                                                   \
	}
COMPARE_FUNCTION(CMPPS, "cmpps")
COMPARE_FUNCTION(CMPPD, "cmppd")
COMPARE_FUNCTION(CMPSS, "cmpss")
COMPARE_FUNCTION(CMPSD, "cmpsd")

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
		if (leave(cpu, &environment) != X86_DONE)                                          \
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
		if (leave(cpu, &environment) != X86_DONE)                                          \
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
		if (leave(cpu, &environment) != X86_DONE)                                          \
			return X86_FAULT;                                                          \
		sse_set(cpu, insn->reg, value);                                                    \
		return X86_DONE;                                                                   \
	}
FROM_GENERAL_FUNCTION(CVTSI2SS, "cvtsi2ss")
FROM_GENERAL_FUNCTION(CVTSI2SD, "cvtsi2sd")

#define FLOAT_ROW(mnemonic, name, size, extra)                                                     \
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
	{.exec = NULL},
};
