/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SSE and SSE2, executed by the host's own SSE2 so that results and flags are those of hardware.
 * Internal to sse*.c.
 */
#ifndef X86_SSE_H
#define X86_SSE_H

#if !defined(__x86_64__) || !defined(__SSE2__)
#error "SSE instructions are executed by the host's own: this file needs an x86-64 host"
#endif

#include <emmintrin.h>

#include "x86/control.h"
#include "x86/insn.h"
#include "x86/mem.h"

/*
 * One instruction. insn->reg is the register in the ModRM reg field, insn->rm the one in the rm
 * field, whichever kind they are of.
 */
enum sse_form {
	SSE_ANY,
	SSE_TO_REG, /* the reg field is the destination */
	SSE_TO_RM,  /* the rm field or memory is */
};

struct sse_row {
	ZydisMnemonic mnemonic;
	uint8_t form;  /* enum sse_form */
	uint8_t size;  /* bytes of the rm operand: insn->size; 0: as the encoding says (4 or 8) */
	uint8_t extra; /* SSE_ALIGNED */
	x86_exec *exec;
};

/* insn->extra */
#define SSE_ALIGNED 1u /* the memory operand must lie on a multiple of 16 */
#define SSE_GENERAL 2u /* the rm operand is a general register */
#define SSE_WIDE    4u /* the reg operand is a general register of 64 bits */
#define SSE_REX_W   8u
#define SSE_MMX     16u /* the rm operand is an MMX register */

extern const struct sse_row x86_sse_move_rows[];    /* sse_move.c; ends with a NULL exec */
extern const struct sse_row x86_sse_float_rows[];   /* sse_float.c */
extern const struct sse_row x86_sse_integer_rows[]; /* sse_integer.c */
extern const struct sse_row x86_sse_shuffle_rows[]; /* sse_shuffle.c */
extern const struct sse_row x86_sse_string_rows[];  /* sse_string.c */
extern const struct sse_row x86_xsave_rows[];       /* xsave.c */
extern const struct sse_row x86_mmx_rows[];         /* mmx.c: all with an MMX register */

/* SDM 3A table 13-1: why an SSE instruction cannot execute now. Raises it. */
enum x86_result x86_sse_unavailable(struct x86_cpu *cpu);

static inline bool sse_is_available(const struct x86_cpu *cpu)
{
	return __builtin_expect(!(cpu->cr0 & (CR0_EM | CR0_TS)) && (cpu->cr4 & CR4_OSFXSR), 1);
}

#define SSE_CHECK(cpu)                                                                             \
	do {                                                                                       \
		if (!sse_is_available(cpu))                                                        \
			return x86_sse_unavailable(cpu);                                           \
	} while (0)

/* A memory operand, zero-extended to 16 bytes; rows with aligned: #GP(0) where it is not. */
bool x86_sse_load(struct x86_cpu *cpu, const struct x86_insn *insn, union x86_xmm *ret);
bool x86_sse_store(struct x86_cpu *cpu, const struct x86_insn *insn, const union x86_xmm *value);

/* sse_move.c: stores those bytes of @value whose sign is set in @signs. */
bool x86_sse_store_masked(struct x86_cpu *cpu, unsigned segment, uint64_t offset, uint64_t value,
			  uint64_t signs);
/* sse_float.c: conversions of vectors under MXCSR, for MMX. False: the fault is raised. */
bool x86_sse_cvtdq2ps(struct x86_cpu *cpu, __m128i *value, __m128i source);
bool x86_sse_cvtdq2pd(struct x86_cpu *cpu, __m128i *value, __m128i source);
bool x86_sse_cvtps2dq(struct x86_cpu *cpu, __m128i *value, __m128i source);
bool x86_sse_cvttps2dq(struct x86_cpu *cpu, __m128i *value, __m128i source);
bool x86_sse_cvtpd2dq(struct x86_cpu *cpu, __m128i *value, __m128i source);
bool x86_sse_cvttpd2dq(struct x86_cpu *cpu, __m128i *value, __m128i source);

/* The rm operand; memory is zero-extended. */
static inline bool sse_source(struct x86_cpu *cpu, const struct x86_insn *insn, __m128i *ret)
{
	union x86_xmm value;

	if (!insn->memory) {
		*ret = _mm_load_si128((const __m128i *)&cpu->xmm[insn->rm]);
		return true;
	}
	if (!x86_sse_load(cpu, insn, &value))
		return false;
	*ret = _mm_load_si128((const __m128i *)&value);
	return true;
}

static inline __m128i sse_get(const struct x86_cpu *cpu, unsigned number)
{
	return _mm_load_si128((const __m128i *)&cpu->xmm[number]);
}

static inline void sse_set(struct x86_cpu *cpu, unsigned number, __m128i value)
{
	_mm_store_si128((__m128i *)&cpu->xmm[number], value);
}

/* MXCSR (SDM 1 10.2.3). */
#define MXCSR_IE         (1u << 0)
#define MXCSR_DE         (1u << 1)
#define MXCSR_ZE         (1u << 2)
#define MXCSR_OE         (1u << 3)
#define MXCSR_UE         (1u << 4)
#define MXCSR_PE         (1u << 5)
#define MXCSR_FLAGS      0x3fu
#define MXCSR_MASKS      0x1f80u
#define MXCSR_MASK_SHIFT 7
#define MXCSR_DAZ        (1u << 6)
#define MXCSR_UM         (1u << 11)
#define MXCSR_FTZ        (1u << 15)
#define MXCSR_DEFINED    0xffffu

#endif
