/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RFLAGS, whose arithmetic part is lazy. */
#ifndef X86_FLAGS_H
#define X86_FLAGS_H

#include "x86/cpu.h"

/* SDM 1 3.4.3 */
#define RFLAGS_CF         (1u << 0)
#define RFLAGS_ONE        (1u << 1)
#define RFLAGS_PF         (1u << 2)
#define RFLAGS_AF         (1u << 4)
#define RFLAGS_ZF         (1u << 6)
#define RFLAGS_SF         (1u << 7)
#define RFLAGS_TF         (1u << 8)
#define RFLAGS_IF         (1u << 9)
#define RFLAGS_DF         (1u << 10)
#define RFLAGS_OF         (1u << 11)
#define RFLAGS_IOPL       (3u << 12)
#define RFLAGS_NT         (1u << 14)
#define RFLAGS_RF         (1u << 16)
#define RFLAGS_VM         (1u << 17)
#define RFLAGS_AC         (1u << 18)
#define RFLAGS_VIF        (1u << 19)
#define RFLAGS_VIP        (1u << 20)
#define RFLAGS_ID         (1u << 21)

#define RFLAGS_DEFINED    0x3f7fd5u

#define RFLAGS_ARITHMETIC (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

/*
 * What the last instruction that set arithmetic flags was; cc_* hold values of its size,
 * sign-extended to 64 bits, which keeps both signed and unsigned order and so makes every flag but
 * PF and AF independent of the size.
 */
enum x86_cc {
	X86_CC_FLAGS,    /* none: the flags are in rflags */
	X86_CC_ADD,      /* result = dest + source */
	X86_CC_SUB,      /* result = dest - source */
	X86_CC_LOGIC,    /* result; CF, OF, AF are clear */
	X86_CC_EXPLICIT, /* SF, ZF, PF by result; source has CF, OF, AF at their places in RFLAGS */
};

/* The arithmetic flags, computed. */
uint64_t x86_arithmetic_flags(const struct x86_cpu *cpu);
/* The whole register, arithmetic flags computed. */
uint64_t x86_flags(const struct x86_cpu *cpu);
/* Call after each change of CPL or AC; x86_set_flags() does. */
void x86_update_privilege(struct x86_cpu *cpu);
/* Sets the whole register as given (bit 1 set, reserved bits clear); no privilege checks. */
/* Call after each change of CPL or AC; x86_set_flags() does. */
void x86_update_privilege(struct x86_cpu *cpu);
void x86_set_flags(struct x86_cpu *cpu, uint64_t flags);
/* Replaces the arithmetic flags of @mask by those of @flags and keeps the others. */
void x86_change_flags(struct x86_cpu *cpu, uint64_t mask, uint64_t flags);

static inline bool x86_carry(const struct x86_cpu *cpu)
{
	switch (cpu->cc_op) {
	case X86_CC_ADD: return cpu->cc_result < cpu->cc_source;
	case X86_CC_SUB: return cpu->cc_dest < cpu->cc_source;
	case X86_CC_LOGIC: return false;
	case X86_CC_EXPLICIT: return cpu->cc_source & RFLAGS_CF;
	default: return cpu->rflags & RFLAGS_CF;
	}
}

static inline bool x86_overflow(const struct x86_cpu *cpu)
{
	uint64_t result = cpu->cc_result, source = cpu->cc_source, dest = cpu->cc_dest;

	switch (cpu->cc_op) {
	case X86_CC_ADD: return (int64_t)((result ^ source) & (result ^ dest)) < 0;
	case X86_CC_SUB: return (int64_t)((dest ^ source) & (dest ^ result)) < 0;
	case X86_CC_LOGIC: return false;
	case X86_CC_EXPLICIT: return source & RFLAGS_OF;
	default: return cpu->rflags & RFLAGS_OF;
	}
}

static inline bool x86_zero(const struct x86_cpu *cpu)
{
	return cpu->cc_op != X86_CC_FLAGS ? cpu->cc_result == 0 : cpu->rflags & RFLAGS_ZF;
}

static inline bool x86_sign(const struct x86_cpu *cpu)
{
	return cpu->cc_op != X86_CC_FLAGS ? (int64_t)cpu->cc_result < 0 : cpu->rflags & RFLAGS_SF;
}

static inline bool x86_parity(const struct x86_cpu *cpu)
{
	return cpu->cc_op != X86_CC_FLAGS ? !__builtin_parity((uint8_t)cpu->cc_result)
					  : cpu->rflags & RFLAGS_PF;
}

/* Condition codes as encoded in Jcc, SETcc, CMOVcc (SDM 1 appendix B). */
enum x86_condition {
	X86_COND_O,
	X86_COND_NO,
	X86_COND_B,
	X86_COND_NB,
	X86_COND_Z,
	X86_COND_NZ,
	X86_COND_BE,
	X86_COND_NBE,
	X86_COND_S,
	X86_COND_NS,
	X86_COND_P,
	X86_COND_NP,
	X86_COND_L,
	X86_COND_NL,
	X86_COND_LE,
	X86_COND_NLE,
	X86_NR_CONDITIONS,
};

/* @condition is a constant at every use: what is left is the look at cc_op and one comparison. */
static inline __attribute__((always_inline)) bool x86_condition(const struct x86_cpu *cpu,
								enum x86_condition condition)
{
	bool negate = condition & 1, holds;

	switch (condition & ~1u) {
	case X86_COND_O: holds = x86_overflow(cpu); break;
	case X86_COND_B: holds = x86_carry(cpu); break;
	case X86_COND_Z: holds = x86_zero(cpu); break;
	case X86_COND_BE:
		if (__builtin_expect(cpu->cc_op == X86_CC_SUB, 1))
			holds = cpu->cc_dest <= cpu->cc_source;
		else
			holds = x86_zero(cpu) || x86_carry(cpu);
		break;
	case X86_COND_S: holds = x86_sign(cpu); break;
	case X86_COND_P: holds = x86_parity(cpu); break;
	case X86_COND_L:
		if (__builtin_expect(cpu->cc_op == X86_CC_SUB, 1))
			holds = (int64_t)cpu->cc_dest < (int64_t)cpu->cc_source;
		else
			holds = x86_sign(cpu) != x86_overflow(cpu);
		break;
	default:
		if (__builtin_expect(cpu->cc_op == X86_CC_SUB, 1))
			holds = (int64_t)cpu->cc_dest <= (int64_t)cpu->cc_source;
		else
			holds = x86_zero(cpu) || x86_sign(cpu) != x86_overflow(cpu);
		break;
	}
	return holds != negate;
}

#endif
