/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSE: integers, bits, shuffles. None of these looks at or changes MXCSR. */
#include "x86/sse.h"

/* Instructions xmm, xmm/m128: each is executed as itself. */
/* clang-format off */
#define PLAIN_INSTRUCTIONS(X)                                                                      \
	X(ANDPS, "andps") X(ANDPD, "andpd") X(ANDNPS, "andnps") X(ANDNPD, "andnpd")                \
	X(ORPS, "orps") X(ORPD, "orpd") X(XORPS, "xorps") X(XORPD, "xorpd")                        \
	X(UNPCKLPS, "unpcklps") X(UNPCKLPD, "unpcklpd") X(UNPCKHPS, "unpckhps")                    \
	X(UNPCKHPD, "unpckhpd") X(PAND, "pand") X(PANDN, "pandn") X(POR, "por")                    \
	X(PXOR, "pxor") X(PADDB, "paddb") X(PADDW, "paddw") X(PADDD, "paddd")                      \
	X(PADDQ, "paddq") X(PADDSB, "paddsb") X(PADDSW, "paddsw") X(PADDUSB, "paddusb")            \
	X(PADDUSW, "paddusw") X(PSUBB, "psubb") X(PSUBW, "psubw") X(PSUBD, "psubd")                \
	X(PSUBQ, "psubq") X(PSUBSB, "psubsb") X(PSUBSW, "psubsw") X(PSUBUSB, "psubusb")            \
	X(PSUBUSW, "psubusw") X(PMULLW, "pmullw") X(PMULHW, "pmulhw")                              \
	X(PMULHUW, "pmulhuw") X(PMULUDQ, "pmuludq") X(PMADDWD, "pmaddwd")                          \
	X(PSADBW, "psadbw") X(PAVGB, "pavgb") X(PAVGW, "pavgw") X(PMAXUB, "pmaxub")                \
	X(PMAXSW, "pmaxsw") X(PMINUB, "pminub") X(PMINSW, "pminsw")                                \
	X(PCMPEQB, "pcmpeqb") X(PCMPEQW, "pcmpeqw") X(PCMPEQD, "pcmpeqd")                          \
	X(PCMPGTB, "pcmpgtb") X(PCMPGTW, "pcmpgtw") X(PCMPGTD, "pcmpgtd")                          \
	X(PACKSSWB, "packsswb") X(PACKSSDW, "packssdw") X(PACKUSWB, "packuswb")                    \
	X(PUNPCKLBW, "punpcklbw") X(PUNPCKLWD, "punpcklwd") X(PUNPCKLDQ, "punpckldq")              \
	X(PUNPCKLQDQ, "punpcklqdq") X(PUNPCKHBW, "punpckhbw") X(PUNPCKHWD, "punpckhwd")            \
	X(PUNPCKHDQ, "punpckhdq") X(PUNPCKHQDQ, "punpckhqdq")
/* clang-format on */

#define PLAIN_FUNCTION(mnemonic, name)                                                             \
	static enum x86_result exec_##mnemonic(struct x86_cpu *cpu, const struct x86_insn *insn)   \
	{                                                                                          \
		__m128i source, value;                                                             \
                                                                                                   \
		SSE_CHECK(cpu);                                                                    \
		if (!sse_source(cpu, insn, &source))                                               \
			return X86_FAULT;                                                          \
		value = sse_get(cpu, insn->reg);                                                   \
		__asm__(name " %[source], %[value]" : [value] "+x"(value) : [source] "x"(source)); \
		sse_set(cpu, insn->reg, value);                                                    \
		return X86_DONE;                                                                   \
	}
PLAIN_INSTRUCTIONS(PLAIN_FUNCTION)

/*
 * Shifts by an XMM register, m128 or an immediate byte (then the rm register is shifted); a count
 * beyond the width shifts everything out in either form.
 */
/* clang-format off */
#define SHIFT_INSTRUCTIONS(X)                                                                      \
	X(PSLLW, "psllw") X(PSLLD, "pslld") X(PSLLQ, "psllq") X(PSRLW, "psrlw")                    \
	X(PSRLD, "psrld") X(PSRLQ, "psrlq") X(PSRAW, "psraw") X(PSRAD, "psrad")
/* clang-format on */

#define SHIFT_FUNCTION(mnemonic, name)                                                             \
	static enum x86_result exec_##mnemonic##_by_register(struct x86_cpu *cpu,                  \
							     const struct x86_insn *insn)          \
	{                                                                                          \
		__m128i count, value;                                                              \
                                                                                                   \
		SSE_CHECK(cpu);                                                                    \
		if (!sse_source(cpu, insn, &count))                                                \
			return X86_FAULT;                                                          \
		value = sse_get(cpu, insn->reg);                                                   \
		__asm__(name " %[count], %[value]" : [value] "+x"(value) : [count] "x"(count));    \
		sse_set(cpu, insn->reg, value);                                                    \
		return X86_DONE;                                                                   \
	}                                                                                          \
	static enum x86_result exec_##mnemonic##_by_immediate(struct x86_cpu *cpu,                 \
							      const struct x86_insn *insn)         \
	{                                                                                          \
		__m128i count = _mm_cvtsi32_si128((uint8_t)insn->imm), value;                      \
                                                                                                   \
		SSE_CHECK(cpu);                                                                    \
		value = sse_get(cpu, insn->rm);                                                    \
		__asm__(name " %[count], %[value]" : [value] "+x"(value) : [count] "x"(count));    \
		sse_set(cpu, insn->rm, value);                                                     \
		return X86_DONE;                                                                   \
	}
SHIFT_INSTRUCTIONS(SHIFT_FUNCTION)

/* Whole-register shifts count in bytes. */
static enum x86_result exec_pslldq(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	union x86_xmm *value = &cpu->xmm[insn->rm], result = {};
	unsigned count = (uint8_t)insn->imm;

	SSE_CHECK(cpu);
	for (unsigned i = count; i < sizeof(result); i++)
		result.u8[i] = value->u8[i - count];
	*value = result;
	return X86_DONE;
}

static enum x86_result exec_psrldq(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	union x86_xmm *value = &cpu->xmm[insn->rm], result = {};
	unsigned count = (uint8_t)insn->imm;

	SSE_CHECK(cpu);
	for (unsigned i = count; i < sizeof(result); i++)
		result.u8[i - count] = value->u8[i];
	*value = result;
	return X86_DONE;
}

/* Each destination element takes two bits of the immediate, the lowest first. */
static unsigned selected(const struct x86_insn *insn, unsigned element)
{
	return (unsigned)(insn->imm >> 2 * element) & 3;
}

static enum x86_result exec_pshufd(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	union x86_xmm source, result;
	__m128i value;

	SSE_CHECK(cpu);
	if (!sse_source(cpu, insn, &value))
		return X86_FAULT;
	_mm_store_si128((__m128i *)&source, value);
	for (unsigned i = 0; i < 4; i++)
		result.u32[i] = source.u32[selected(insn, i)];
	cpu->xmm[insn->reg] = result;
	return X86_DONE;
}

static enum x86_result shuffle_words(struct x86_cpu *cpu, const struct x86_insn *insn,
				     unsigned first)
{
	union x86_xmm source, result;
	__m128i value;

	SSE_CHECK(cpu);
	if (!sse_source(cpu, insn, &value))
		return X86_FAULT;
	_mm_store_si128((__m128i *)&source, value);
	result = source;
	for (unsigned i = 0; i < 4; i++)
		result.u16[first + i] = source.u16[first + selected(insn, i)];
	cpu->xmm[insn->reg] = result;
	return X86_DONE;
}

static enum x86_result exec_pshuflw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return shuffle_words(cpu, insn, 0);
}

static enum x86_result exec_pshufhw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return shuffle_words(cpu, insn, 4);
}

/* The lower half out of the destination, the upper one out of the source. */
static enum x86_result exec_shufps(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	union x86_xmm source, result, old = cpu->xmm[insn->reg];
	__m128i value;

	SSE_CHECK(cpu);
	if (!sse_source(cpu, insn, &value))
		return X86_FAULT;
	_mm_store_si128((__m128i *)&source, value);
	for (unsigned i = 0; i < 2; i++) {
		result.u32[i] = old.u32[selected(insn, i)];
		result.u32[2 + i] = source.u32[selected(insn, 2 + i)];
	}
	cpu->xmm[insn->reg] = result;
	return X86_DONE;
}

static enum x86_result exec_shufpd(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	union x86_xmm source, result, old = cpu->xmm[insn->reg];
	__m128i value;

	SSE_CHECK(cpu);
	if (!sse_source(cpu, insn, &value))
		return X86_FAULT;
	_mm_store_si128((__m128i *)&source, value);
	result.u64[0] = old.u64[insn->imm & 1];
	result.u64[1] = source.u64[(insn->imm >> 1) & 1];
	cpu->xmm[insn->reg] = result;
	return X86_DONE;
}

static enum x86_result exec_pinsrw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value = cpu->gpr[insn->rm];

	SSE_CHECK(cpu);
	if (insn->memory &&
	    !x86_load(cpu, insn->segment, x86_effective_address(cpu, insn), 2, &value))
		return X86_FAULT;
	cpu->xmm[insn->reg].u16[insn->imm & 7] = (uint16_t)value;
	return X86_DONE;
}

static enum x86_result exec_pextrw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	SSE_CHECK(cpu);
	cpu->gpr[insn->reg] = cpu->xmm[insn->rm].u16[insn->imm & 7];
	return X86_DONE;
}

#define PLAIN_ROW(mnemonic, name)                                                                  \
	{ZYDIS_MNEMONIC_##mnemonic, SSE_ANY, 16, SSE_ALIGNED, exec_##mnemonic},
#define SHIFT_ROW(mnemonic, name)                                                                  \
	{ZYDIS_MNEMONIC_##mnemonic, SSE_TO_REG, 16, SSE_ALIGNED, exec_##mnemonic##_by_register},   \
		{ZYDIS_MNEMONIC_##mnemonic, SSE_TO_RM, 16, 0, exec_##mnemonic##_by_immediate},
#define ROW(mnemonic, form, extra, exec)                                                           \
	{                                                                                          \
		ZYDIS_MNEMONIC_##mnemonic, form, 16, extra, exec                                   \
	}

const struct sse_row x86_sse_integer_rows[] = {
	PLAIN_INSTRUCTIONS(PLAIN_ROW) SHIFT_INSTRUCTIONS(SHIFT_ROW)
		ROW(PSLLDQ, SSE_ANY, 0, exec_pslldq),
	ROW(PSRLDQ, SSE_ANY, 0, exec_psrldq),
	ROW(PSHUFD, SSE_ANY, SSE_ALIGNED, exec_pshufd),
	ROW(PSHUFLW, SSE_ANY, SSE_ALIGNED, exec_pshuflw),
	ROW(PSHUFHW, SSE_ANY, SSE_ALIGNED, exec_pshufhw),
	ROW(SHUFPS, SSE_ANY, SSE_ALIGNED, exec_shufps),
	ROW(SHUFPD, SSE_ANY, SSE_ALIGNED, exec_shufpd),
	ROW(PINSRW, SSE_ANY, 0, exec_pinsrw),
	ROW(PEXTRW, SSE_ANY, 0, exec_pextrw),
	{.exec = NULL},
};
