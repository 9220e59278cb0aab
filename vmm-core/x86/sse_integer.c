/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSE: integers and bits. None of these looks at or changes MXCSR. */
#include "x86/flags.h"
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
	X(PUNPCKHDQ, "punpckhdq") X(PUNPCKHQDQ, "punpckhqdq")                                      \
	/* SSE3, SSSE3 */                                                                          \
	X(MOVSLDUP, "movsldup") X(MOVSHDUP, "movshdup") X(PSHUFB, "pshufb")                        \
	X(PHADDW, "phaddw") X(PHADDD, "phaddd") X(PHADDSW, "phaddsw")                              \
	X(PHSUBW, "phsubw") X(PHSUBD, "phsubd") X(PHSUBSW, "phsubsw")                              \
	X(PMADDUBSW, "pmaddubsw") X(PMULHRSW, "pmulhrsw") X(PSIGNB, "psignb")                      \
	X(PSIGNW, "psignw") X(PSIGND, "psignd") X(PABSB, "pabsb") X(PABSW, "pabsw")                \
	X(PABSD, "pabsd")                                                                          \
	/* SSE4.1, SSE4.2 */                                                                       \
	X(PMULDQ, "pmuldq") X(PMULLD, "pmulld") X(PMINSB, "pminsb") X(PMINSD, "pminsd")            \
	X(PMINUW, "pminuw") X(PMINUD, "pminud") X(PMAXSB, "pmaxsb") X(PMAXSD, "pmaxsd")            \
	X(PMAXUW, "pmaxuw") X(PMAXUD, "pmaxud") X(PCMPEQQ, "pcmpeqq")                              \
	X(PACKUSDW, "packusdw") X(PHMINPOSUW, "phminposuw") X(PCMPGTQ, "pcmpgtq")
/* Instructions with a shorter operand in memory, which need not be aligned. */
#define EXTEND_INSTRUCTIONS(X)                                                                     \
	X(PMOVSXBW, "pmovsxbw", 8) X(PMOVSXBD, "pmovsxbd", 4) X(PMOVSXBQ, "pmovsxbq", 2)           \
	X(PMOVSXWD, "pmovsxwd", 8) X(PMOVSXWQ, "pmovsxwq", 4) X(PMOVSXDQ, "pmovsxdq", 8)           \
	X(PMOVZXBW, "pmovzxbw", 8) X(PMOVZXBD, "pmovzxbd", 4) X(PMOVZXBQ, "pmovzxbq", 2)           \
	X(PMOVZXWD, "pmovzxwd", 8) X(PMOVZXWQ, "pmovzxwq", 4) X(PMOVZXDQ, "pmovzxdq", 8)           \
	X(MOVDDUP, "movddup", 8)
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
#define EXTEND_FUNCTION(mnemonic, name, size) PLAIN_FUNCTION(mnemonic, name)
EXTEND_INSTRUCTIONS(EXTEND_FUNCTION)

/* ZF: no common bit is set; CF: no bit of the source is set that the destination lacks. */
static enum x86_result exec_ptest(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	__m128i source, value;
	bool zero, carry;

	SSE_CHECK(cpu);
	if (!sse_source(cpu, insn, &source))
		return X86_FAULT;
	value = sse_get(cpu, insn->reg);
	__asm__("ptest %[source], %[value]"
		: "=@ccz"(zero), "=@ccc"(carry)
		: [source] "x"(source), [value] "x"(value));
	x86_change_flags(cpu, RFLAGS_ARITHMETIC, (zero ? RFLAGS_ZF : 0) | (carry ? RFLAGS_CF : 0));
	return X86_DONE;
}

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
	PLAIN_FUNCTION(mnemonic, name)                                                             \
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

#define PLAIN_ROW(mnemonic, name)                                                                  \
	{ZYDIS_MNEMONIC_##mnemonic, SSE_ANY, 16, SSE_ALIGNED, exec_##mnemonic},
#define SHIFT_ROW(mnemonic, name)                                                                  \
	{ZYDIS_MNEMONIC_##mnemonic, SSE_TO_REG, 16, SSE_ALIGNED, exec_##mnemonic},                 \
		{ZYDIS_MNEMONIC_##mnemonic, SSE_TO_RM, 16, 0, exec_##mnemonic##_by_immediate},
#define EXTEND_ROW(mnemonic, name, size)                                                           \
	{ZYDIS_MNEMONIC_##mnemonic, SSE_ANY, size, 0, exec_##mnemonic},

const struct sse_row x86_sse_integer_rows[] = {
	PLAIN_INSTRUCTIONS(PLAIN_ROW) EXTEND_INSTRUCTIONS(EXTEND_ROW) SHIFT_INSTRUCTIONS(SHIFT_ROW){
		ZYDIS_MNEMONIC_PTEST, SSE_ANY, 16, SSE_ALIGNED, exec_ptest},
	{.exec = NULL},
};
