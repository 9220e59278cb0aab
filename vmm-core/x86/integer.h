/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the integer families share: registers of every size, operand forms, and the macros that
 * make one executing function for each form and size, so that executing decides nothing.
 */
#ifndef X86_INTEGER_H
#define X86_INTEGER_H

#include <string.h>

#include "x86/flags.h"
#include "x86/insn.h"
#include "x86/decode.h"
#include "x86/mem.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Where a two-operand instruction finds destination and source. */
enum form {
	FORM_RR, /* rm, reg */
	FORM_RI, /* rm, imm */
	FORM_RM, /* reg, memory */
	FORM_MR, /* memory, reg */
	FORM_MI, /* memory, imm */
	NR_FORMS,
};

#define NR_SIZES 4 /* 1, 2, 4, 8 bytes, indexed by their logarithm */

ALWAYS_INLINE unsigned size_index(unsigned size)
{
	return (unsigned)__builtin_ctz(size);
}

/* A byte register: AH ... BH are the second bytes of the first four (0x10 | 0 ... 3). */
ALWAYS_INLINE uint8_t *byte_register(struct x86_cpu *cpu, unsigned reg)
{
	return (uint8_t *)&cpu->gpr[reg & 0xf] + (reg >> 4);
}

ALWAYS_INLINE uint64_t reg_get(struct x86_cpu *cpu, unsigned reg, unsigned size)
{
	switch (size) {
	case 1: return *byte_register(cpu, reg);
	case 2: return (uint16_t)cpu->gpr[reg];
	case 4: return (uint32_t)cpu->gpr[reg];
	default: return cpu->gpr[reg];
	}
}

/* 32-bit results are zero-extended, smaller ones leave the rest alone (SDM 1 3.4.1.1). */
ALWAYS_INLINE void reg_set(struct x86_cpu *cpu, unsigned reg, unsigned size, uint64_t value)
{
	switch (size) {
	case 1: *byte_register(cpu, reg) = (uint8_t)value; break;
	case 2: memcpy(&cpu->gpr[reg], &value, 2); break;
	case 4: cpu->gpr[reg] = (uint32_t)value; break;
	default: cpu->gpr[reg] = value; break;
	}
}

ALWAYS_INLINE uint64_t sign_extend(uint64_t value, unsigned size)
{
	switch (size) {
	case 1: return (uint64_t)(int8_t)value;
	case 2: return (uint64_t)(int16_t)value;
	case 4: return (uint64_t)(int32_t)value;
	default: return value;
	}
}

ALWAYS_INLINE uint64_t zero_extend(uint64_t value, unsigned size)
{
	switch (size) {
	case 1: return (uint8_t)value;
	case 2: return (uint16_t)value;
	case 4: return (uint32_t)value;
	default: return value;
	}
}

ALWAYS_INLINE void set_cc(struct x86_cpu *cpu, enum x86_cc op, uint64_t result, uint64_t source,
			  uint64_t dest)
{
	cpu->cc_op = (uint8_t)op;
	cpu->cc_result = result;
	cpu->cc_source = source;
	cpu->cc_dest = dest;
}

ALWAYS_INLINE void set_cc_logic(struct x86_cpu *cpu, uint64_t result)
{
	cpu->cc_op = X86_CC_LOGIC;
	cpu->cc_result = result;
}

/* @flags: CF, OF, AF. */
ALWAYS_INLINE void set_cc_explicit(struct x86_cpu *cpu, uint64_t result, uint64_t flags)
{
	cpu->cc_op = X86_CC_EXPLICIT;
	cpu->cc_result = result;
	cpu->cc_source = flags;
}

/*
 * A function that accesses memory exists twice: one that gives up where the lookaside cannot
 * answer, before anything has changed, and so needs no frame and calls nothing; and one that it
 * then leaves the instruction to.
 */
enum way { WAY_FAST, WAY_ANY };
#define TAKE_ANY_WAY ((enum x86_result)(X86_FAULT + 1))

/* X86_DONE and *ret_host, or what the executing function returns. */
ALWAYS_INLINE enum x86_result find_operand(struct x86_cpu *cpu, const struct x86_insn *insn,
					   unsigned size, enum hw_access access, enum way way,
					   uint8_t **ret_host)
{
	if (way == WAY_FAST) {
		uint64_t linear = cpu->gpr[insn->base] + (cpu->gpr[insn->index] << insn->scale) +
				  (uint64_t)insn->disp;

		return insn->flat && x86_fast_linear(cpu, linear, size, access, ret_host)
			       ? X86_DONE
			       : TAKE_ANY_WAY;
	}
	if (!x86_fast(cpu, insn->segment, x86_effective_address(cpu, insn), size, access, ret_host))
		*ret_host = x86_operand(cpu, insn->segment, x86_effective_address(cpu, insn), size,
					access);
	return *ret_host ? X86_DONE : X86_FAULT;
}

/* The same fast way to the stack, at @linear. */
ALWAYS_INLINE bool find_stack(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t linear,
			      unsigned size, enum hw_access access, uint8_t **ret_host)
{
	return insn->flat && x86_fast_linear(cpu, linear, size, access, ret_host);
}

ALWAYS_INLINE bool load_operand(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned size,
				uint64_t *ret)
{
	return x86_load(cpu, insn->segment, x86_effective_address(cpu, insn), size, ret);
}

ALWAYS_INLINE bool store_operand(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned size,
				 uint64_t value)
{
	return x86_store(cpu, insn->segment, x86_effective_address(cpu, insn), size, value);
}

/* The rm operand, register or memory, for rare instructions that need no function for each form. */
ALWAYS_INLINE bool load_rm(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned size,
			   uint64_t *ret)
{
	if (insn->memory)
		return load_operand(cpu, insn, size, ret);
	*ret = reg_get(cpu, insn->rm, size);
	return true;
}

/* A read-modify-write of the rm operand, register or memory. */
ALWAYS_INLINE bool modify_begin(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned size,
				struct x86_rmw *ret_rmw, uint64_t *ret_old)
{
	if (insn->memory)
		return x86_rmw_begin(cpu, insn->segment, x86_effective_address(cpu, insn), size,
				     ret_rmw, ret_old);
	ret_rmw->host = NULL;
	*ret_old = reg_get(cpu, insn->rm, size);
	return true;
}

ALWAYS_INLINE void modify_end(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned size,
			      const struct x86_rmw *rmw, uint64_t value)
{
	if (insn->memory) {
		x86_put(rmw->host, size, value);
		x86_modified(cpu, rmw->host);
	} else {
		reg_set(cpu, insn->rm, size, value);
	}
}

/*
 * The form of an instruction with two operands; sees to it that the destination is rm where both
 * are registers. NR_FORMS: an operand is none of these (a segment, control or vector register).
 */
enum form x86_form(const ZydisDecodedInstruction *decoded, const ZydisDecodedOperand *operands,
		   struct x86_insn *insn);
/* True when every visible operand is a general register, an immediate or memory. */
bool x86_general_operands(const ZydisDecodedInstruction *decoded,
			  const ZydisDecodedOperand *operands);
/* The condition of Jcc, SETcc, CMOVcc: the low four bits of their opcodes. */
ALWAYS_INLINE unsigned condition_of(const ZydisDecodedInstruction *decoded)
{
	return decoded->opcode & 0xf;
}

/* The families, a file each; NULL: not mine. */
x86_exec *x86_select_alu(const ZydisDecodedInstruction *decoded,
			 const ZydisDecodedOperand *operands, struct x86_insn *insn);
x86_exec *x86_select_unary(const ZydisDecodedInstruction *decoded,
			   const ZydisDecodedOperand *operands, struct x86_insn *insn);
x86_exec *x86_select_move(const ZydisDecodedInstruction *decoded,
			  const ZydisDecodedOperand *operands, struct x86_insn *insn);
x86_exec *x86_select_exchange(const ZydisDecodedInstruction *decoded,
			      const ZydisDecodedOperand *operands, struct x86_insn *insn);
x86_exec *x86_select_shift(const ZydisDecodedInstruction *decoded,
			   const ZydisDecodedOperand *operands, struct x86_insn *insn);
x86_exec *x86_select_multiply(const ZydisDecodedInstruction *decoded,
			      const ZydisDecodedOperand *operands, struct x86_insn *insn);
x86_exec *x86_select_bit(const ZydisDecodedInstruction *decoded,
			 const ZydisDecodedOperand *operands, struct x86_insn *insn);
x86_exec *x86_select_branch(const ZydisDecodedInstruction *decoded,
			    const ZydisDecodedOperand *operands, struct x86_insn *insn);
x86_exec *x86_select_stack(const ZydisDecodedInstruction *decoded,
			   const ZydisDecodedOperand *operands, struct x86_insn *insn);
x86_exec *x86_select_bmi(const ZydisDecodedInstruction *decoded,
			 const ZydisDecodedOperand *operands, struct x86_insn *insn);
x86_exec *x86_select_legacy(const ZydisDecodedInstruction *decoded,
			    const ZydisDecodedOperand *operands, struct x86_insn *insn);
x86_exec *x86_select_misc(const ZydisDecodedInstruction *decoded,
			  const ZydisDecodedOperand *operands, struct x86_insn *insn);

/*
 * Defines NAME_SIZE functions that call BODY(cpu, insn, ..., size) with constants, and lists them
 * in the order of size_index().
 */
#define DEFINE_SIZE(name, size, body, ...)                                                         \
	static enum x86_result name##_##size(struct x86_cpu *cpu, const struct x86_insn *insn)     \
	{                                                                                          \
		return body(cpu, insn, __VA_ARGS__ size);                                          \
	}
/* The same as a thread, for a BODY that touches nothing but registers and flags ... */
#define DEFINE_PURE_THREAD(name, size, body, ...)                                                  \
	static const struct x86_insn *name##_##size(struct x86_cpu *cpu,                           \
						    const struct x86_insn *insn)                   \
	{                                                                                          \
		body(cpu, insn, __VA_ARGS__ size);                                                 \
		return x86_next(cpu, insn);                                                        \
	}
/* ... and for any. */
#define DEFINE_THREAD(name, size, body, ...)                                                       \
	static const struct x86_insn *name##_##size(struct x86_cpu *cpu,                           \
						    const struct x86_insn *insn)                   \
	{                                                                                          \
		x86_set_rip(cpu, insn);                                                            \
		return x86_go_on(cpu, insn, body(cpu, insn, __VA_ARGS__ size));                    \
	}
/* Threads of a BODY that takes a way: see enum way. */
#define DEFINE_WAYS(name, size, body, ...)                                                         \
	static __attribute__((noinline))                                                           \
	const struct x86_insn *name##_any_##size(struct x86_cpu *cpu, const struct x86_insn *insn) \
	{                                                                                          \
		x86_set_rip(cpu, insn);                                                            \
		return x86_go_on(cpu, insn, body(cpu, insn, __VA_ARGS__ WAY_ANY, size));           \
	}                                                                                          \
	static const struct x86_insn *name##_##size(struct x86_cpu *cpu,                           \
						    const struct x86_insn *insn)                   \
	{                                                                                          \
		if (__builtin_expect(body(cpu, insn, __VA_ARGS__ WAY_FAST, size) != X86_DONE, 0))  \
			return name##_any_##size(cpu, insn);                                       \
		return x86_next(cpu, insn);                                                        \
	}
#define DEFINE_WAYS_SIZES(name, body, ...)                                                         \
	DEFINE_WAYS(name, 1, body, __VA_ARGS__)                                                    \
	DEFINE_WAYS(name, 2, body, __VA_ARGS__)                                                    \
	DEFINE_WAYS(name, 4, body, __VA_ARGS__)                                                    \
	DEFINE_WAYS(name, 8, body, __VA_ARGS__)
#define DEFINE_SIZES(name, body, ...)                                                              \
	DEFINE_SIZE(name, 1, body, __VA_ARGS__)                                                    \
	DEFINE_SIZE(name, 2, body, __VA_ARGS__)                                                    \
	DEFINE_SIZE(name, 4, body, __VA_ARGS__)                                                    \
	DEFINE_SIZE(name, 8, body, __VA_ARGS__)
#define DEFINE_PURE_THREADS(name, body, ...)                                                       \
	DEFINE_PURE_THREAD(name, 1, body, __VA_ARGS__)                                             \
	DEFINE_PURE_THREAD(name, 2, body, __VA_ARGS__)                                             \
	DEFINE_PURE_THREAD(name, 4, body, __VA_ARGS__)                                             \
	DEFINE_PURE_THREAD(name, 8, body, __VA_ARGS__)
#define DEFINE_THREADS(name, body, ...)                                                            \
	DEFINE_THREAD(name, 1, body, __VA_ARGS__)                                                  \
	DEFINE_THREAD(name, 2, body, __VA_ARGS__)                                                  \
	DEFINE_THREAD(name, 4, body, __VA_ARGS__)                                                  \
	DEFINE_THREAD(name, 8, body, __VA_ARGS__)
#define LIST_SIZES(name)                                                                           \
	{                                                                                          \
		name##_1, name##_2, name##_4, name##_8                                             \
	}

/* For every condition code; M(name, number). */
/* clang-format off */
#define FOR_CONDITIONS(M)                                                                          \
	M(o, X86_COND_O) M(no, X86_COND_NO) M(b, X86_COND_B) M(nb, X86_COND_NB)                    \
	M(z, X86_COND_Z) M(nz, X86_COND_NZ) M(be, X86_COND_BE) M(nbe, X86_COND_NBE)                \
	M(s, X86_COND_S) M(ns, X86_COND_NS) M(p, X86_COND_P) M(np, X86_COND_NP)                    \
	M(l, X86_COND_L) M(nl, X86_COND_NL) M(le, X86_COND_LE) M(nle, X86_COND_NLE)
/* clang-format on */

#endif
