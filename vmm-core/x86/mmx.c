/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MMX, with what SSE and SSSE3 added to it: 64-bit registers in the significands of the x87's
 * (SDM 1 9.2, SDM 3A 12). Computed by the host's SSE on the lower half of a vector.
 */
#include "x86/sse.h"
#include "x86/x87.h"

/* SDM 3A table 12-1 and 2 of each instruction: #UD, #NM, #MF in this order. */
static enum x86_result unavailable(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return cpu->cr0 & CR0_EM ? x86_raise(cpu, X86_UD) : x86_x87_unavailable(cpu, insn);
}

#define MMX_CHECK(cpu, insn)                                                                       \
	do {                                                                                       \
		if (!x87_is_available(cpu))                                                        \
			return unavailable(cpu, insn);                                             \
	} while (0)

/* Those with an XMM register too. */
#define MMX_SSE_CHECK(cpu, insn)                                                                   \
	do {                                                                                       \
		SSE_CHECK(cpu);                                                                    \
		MMX_CHECK(cpu, insn);                                                              \
	} while (0)

/* SDM 3A 12.2: whatever executes makes all registers valid and TOP 0. */
static void enter(struct x86_cpu *cpu)
{
	cpu->x87.top = 0;
	cpu->x87.used = UINT8_MAX;
}

static uint64_t get(const struct x86_cpu *cpu, unsigned number)
{
	return cpu->x87.r[number].significand;
}

static void set(struct x86_cpu *cpu, unsigned number, uint64_t value)
{
	enter(cpu);
	cpu->x87.r[number].significand = value;
	cpu->x87.r[number].exponent = UINT16_MAX;
}

static bool load(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t *ret)
{
	return x86_load(cpu, insn->segment, x86_effective_address(cpu, insn), insn->size, ret);
}

/* The rm operand: an MMX register or memory. */
static bool source_of(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t *ret)
{
	*ret = get(cpu, insn->rm & 7);
	return !insn->memory || load(cpu, insn, ret);
}

static __m128i vector(uint64_t low)
{
	return _mm_cvtsi64_si128((int64_t)low);
}

static uint64_t low_half(__m128i value)
{
	return (uint64_t)_mm_cvtsi128_si64(value);
}

/* Elements of the result depend on those at the same place: the lower half is as it should be. */
/* clang-format off */
#define LANE_INSTRUCTIONS(X)                                                                       \
	X(PAND, "pand") X(PANDN, "pandn") X(POR, "por") X(PXOR, "pxor")                            \
	X(PADDB, "paddb") X(PADDW, "paddw") X(PADDD, "paddd") X(PADDQ, "paddq")                    \
	X(PADDSB, "paddsb") X(PADDSW, "paddsw") X(PADDUSB, "paddusb") X(PADDUSW, "paddusw")        \
	X(PSUBB, "psubb") X(PSUBW, "psubw") X(PSUBD, "psubd") X(PSUBQ, "psubq")                    \
	X(PSUBSB, "psubsb") X(PSUBSW, "psubsw") X(PSUBUSB, "psubusb") X(PSUBUSW, "psubusw")        \
	X(PMULLW, "pmullw") X(PMULHW, "pmulhw") X(PMULHUW, "pmulhuw") X(PMULUDQ, "pmuludq")        \
	X(PMADDWD, "pmaddwd") X(PSADBW, "psadbw") X(PAVGB, "pavgb") X(PAVGW, "pavgw")              \
	X(PMAXUB, "pmaxub") X(PMAXSW, "pmaxsw") X(PMINUB, "pminub") X(PMINSW, "pminsw")            \
	X(PCMPEQB, "pcmpeqb") X(PCMPEQW, "pcmpeqw") X(PCMPEQD, "pcmpeqd")                          \
	X(PCMPGTB, "pcmpgtb") X(PCMPGTW, "pcmpgtw") X(PCMPGTD, "pcmpgtd")                          \
	X(PMADDUBSW, "pmaddubsw") X(PMULHRSW, "pmulhrsw")                                          \
	X(PSIGNB, "psignb") X(PSIGNW, "psignw") X(PSIGND, "psignd")                                \
	X(PABSB, "pabsb") X(PABSW, "pabsw") X(PABSD, "pabsd")                                      \
	X(PSLLW, "psllw") X(PSLLD, "pslld") X(PSLLQ, "psllq") X(PSRLW, "psrlw")                    \
	X(PSRLD, "psrld") X(PSRLQ, "psrlq") X(PSRAW, "psraw") X(PSRAD, "psrad")

/* The lower half of the result is made of the destination, the upper one of the source. */
#define HALVES_INSTRUCTIONS(X)                                                                     \
	X(PACKSSWB, "packsswb") X(PACKSSDW, "packssdw") X(PACKUSWB, "packuswb")                    \
	X(PHADDW, "phaddw") X(PHADDD, "phaddd") X(PHADDSW, "phaddsw")                              \
	X(PHSUBW, "phsubw") X(PHSUBD, "phsubd") X(PHSUBSW, "phsubsw")

#define UNPACK_INSTRUCTIONS(X)                                                                     \
	X(PUNPCKLBW, "punpcklbw", 0) X(PUNPCKLWD, "punpcklwd", 0) X(PUNPCKLDQ, "punpckldq", 0)     \
	X(PUNPCKHBW, "punpcklbw", 8) X(PUNPCKHWD, "punpcklwd", 8) X(PUNPCKHDQ, "punpckldq", 8)

#define SHIFT_INSTRUCTIONS(X)                                                                      \
	X(PSLLW) X(PSLLD) X(PSLLQ) X(PSRLW) X(PSRLD) X(PSRLQ) X(PSRAW) X(PSRAD)
/* clang-format on */

#define LANE_FUNCTION(mnemonic, name)                                                              \
	static uint64_t compute_##mnemonic(uint64_t to, uint64_t from)                             \
	{                                                                                          \
		__m128i value = vector(to), source = vector(from);                                 \
                                                                                                   \
		__asm__(name " %[source], %[value]" : [value] "+x"(value) : [source] "x"(source)); \
		return low_half(value);                                                            \
	}
#define HALVES_FUNCTION(mnemonic, name)                                                            \
	static uint64_t compute_##mnemonic(uint64_t to, uint64_t from)                             \
	{                                                                                          \
		__m128i both = _mm_set_epi64x((int64_t)from, (int64_t)to), value = both;           \
                                                                                                   \
		__asm__(name " %[both], %[value]" : [value] "+x"(value) : [both] "x"(both));       \
		return low_half(value);                                                            \
	}
#define UNPACK_FUNCTION(mnemonic, name, skip)                                                      \
	static uint64_t compute_##mnemonic(uint64_t to, uint64_t from)                             \
	{                                                                                          \
		__m128i value = vector(to), source = vector(from);                                 \
                                                                                                   \
		__asm__(name " %[source], %[value]" : [value] "+x"(value) : [source] "x"(source)); \
		return low_half(_mm_srli_si128(value, skip));                                      \
	}
LANE_INSTRUCTIONS(LANE_FUNCTION)
HALVES_INSTRUCTIONS(HALVES_FUNCTION)
UNPACK_INSTRUCTIONS(UNPACK_FUNCTION)

/* PSHUFB: three bits choose one of eight bytes. */
static uint64_t compute_PSHUFB(uint64_t to, uint64_t from)
{
	uint64_t result = 0;

	for (unsigned i = 0; i < 64; i += 8)
		if (!(from >> i & 0x80))
			result |= (to >> 8 * (from >> i & 7) & 0xff) << i;
	return result;
}

#define BINARY_FUNCTION(mnemonic, ...)                                                             \
	static enum x86_result exec_##mnemonic(struct x86_cpu *cpu, const struct x86_insn *insn)   \
	{                                                                                          \
		uint64_t source;                                                                   \
                                                                                                   \
		MMX_CHECK(cpu, insn);                                                              \
		if (!source_of(cpu, insn, &source))                                                \
			return X86_FAULT;                                                          \
		set(cpu, insn->reg, compute_##mnemonic(get(cpu, insn->reg), source));              \
		return X86_DONE;                                                                   \
	}
LANE_INSTRUCTIONS(BINARY_FUNCTION)
HALVES_INSTRUCTIONS(BINARY_FUNCTION)
UNPACK_INSTRUCTIONS(BINARY_FUNCTION)
BINARY_FUNCTION(PSHUFB)

#define SHIFT_FUNCTION(mnemonic)                                                                   \
	static enum x86_result exec_##mnemonic##_by_immediate(struct x86_cpu *cpu,                 \
							      const struct x86_insn *insn)         \
	{                                                                                          \
		MMX_CHECK(cpu, insn);                                                              \
		set(cpu, insn->rm, compute_##mnemonic(get(cpu, insn->rm), (uint8_t)insn->imm));    \
		return X86_DONE;                                                                   \
	}
SHIFT_INSTRUCTIONS(SHIFT_FUNCTION)

static enum x86_result exec_pshufw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t source, result = 0;

	MMX_CHECK(cpu, insn);
	if (!source_of(cpu, insn, &source))
		return X86_FAULT;
	for (unsigned i = 0; i < 4; i++)
		result |= (source >> 16 * (insn->imm >> 2 * i & 3) & UINT16_MAX) << 16 * i;
	set(cpu, insn->reg, result);
	return X86_DONE;
}

static enum x86_result exec_palignr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	unsigned count = (uint8_t)insn->imm;
	uint64_t source;
	unsigned __int128 both;

	MMX_CHECK(cpu, insn);
	if (!source_of(cpu, insn, &source))
		return X86_FAULT;
	both = (unsigned __int128)get(cpu, insn->reg) << 64 | source;
	set(cpu, insn->reg, count < sizeof(both) ? (uint64_t)(both >> 8 * count) : 0);
	return X86_DONE;
}

static enum x86_result exec_pinsrw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	unsigned shift = 16 * (insn->imm & 3);
	uint64_t value = cpu->gpr[insn->rm];

	MMX_CHECK(cpu, insn);
	if (insn->memory && !load(cpu, insn, &value))
		return X86_FAULT;
	value = (value & UINT16_MAX) << shift;
	set(cpu, insn->reg, (get(cpu, insn->reg) & ~((uint64_t)UINT16_MAX << shift)) | value);
	return X86_DONE;
}

static enum x86_result exec_pextrw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	MMX_CHECK(cpu, insn);
	enter(cpu);
	cpu->gpr[insn->reg] = get(cpu, insn->rm) >> 16 * (insn->imm & 3) & UINT16_MAX;
	return X86_DONE;
}

static enum x86_result exec_pmovmskb(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	MMX_CHECK(cpu, insn);
	enter(cpu);
	cpu->gpr[insn->reg] = (uint64_t)_mm_movemask_epi8(vector(get(cpu, insn->rm)));
	return X86_DONE;
}

/* MOVD, MOVQ into an MMX register. */
static enum x86_result exec_load(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value;

	MMX_CHECK(cpu, insn);
	if (insn->extra & SSE_GENERAL)
		value = cpu->gpr[insn->rm];
	else if (!source_of(cpu, insn, &value))
		return X86_FAULT;
	set(cpu, insn->reg, insn->size == 4 ? (uint32_t)value : value);
	return X86_DONE;
}

static enum x86_result exec_store(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value = get(cpu, insn->reg);

	MMX_CHECK(cpu, insn);
	if (insn->memory) {
		if (!x86_store(cpu, insn->segment, x86_effective_address(cpu, insn), insn->size,
			       value))
			return X86_FAULT;
		enter(cpu);
	} else if (insn->extra & SSE_GENERAL) {
		cpu->gpr[insn->rm] = insn->size == 4 ? (uint32_t)value : value;
		enter(cpu);
	} else {
		set(cpu, insn->rm, value);
	}
	return X86_DONE;
}

static enum x86_result exec_maskmovq(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t rdi = x86_address_part(insn, cpu->gpr[X86_RDI]);

	MMX_CHECK(cpu, insn);
	if (!x86_sse_store_masked(cpu, insn->segment, rdi, get(cpu, insn->reg), get(cpu, insn->rm)))
		return X86_FAULT;
	enter(cpu);
	return X86_DONE;
}

static enum x86_result exec_movq2dq(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	MMX_SSE_CHECK(cpu, insn);
	enter(cpu);
	sse_set(cpu, insn->reg, vector(get(cpu, insn->rm)));
	return X86_DONE;
}

static enum x86_result exec_movdq2q(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	MMX_SSE_CHECK(cpu, insn);
	set(cpu, insn->reg, cpu->xmm[insn->rm].u64[0]);
	return X86_DONE;
}

/* Conversions: sse_float.c computes them on vectors. */

/* CVTPI2PS: two floats, the upper half stays. */
static enum x86_result exec_cvtpi2ps(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	__m128i value = _mm_setzero_si128();
	uint64_t source;

	MMX_SSE_CHECK(cpu, insn);
	if (!source_of(cpu, insn, &source) || !x86_sse_cvtdq2ps(cpu, &value, vector(source)))
		return X86_FAULT;
	enter(cpu);
	cpu->xmm[insn->reg].u64[0] = low_half(value);
	return X86_DONE;
}

/* CVTPI2PD with a memory operand has nothing to do with MMX. */
static enum x86_result exec_cvtpi2pd(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	__m128i value = _mm_setzero_si128();
	uint64_t source;

	SSE_CHECK(cpu);
	if (!insn->memory)
		MMX_CHECK(cpu, insn);
	if (!source_of(cpu, insn, &source) || !x86_sse_cvtdq2pd(cpu, &value, vector(source)))
		return X86_FAULT;
	if (!insn->memory)
		enter(cpu);
	sse_set(cpu, insn->reg, value);
	return X86_DONE;
}

typedef bool convert(struct x86_cpu *cpu, __m128i *value, __m128i source);

static enum x86_result convert_to_mmx(struct x86_cpu *cpu, const struct x86_insn *insn,
				      convert *compute)
{
	__m128i source, value = _mm_setzero_si128();

	MMX_SSE_CHECK(cpu, insn);
	if (!sse_source(cpu, insn, &source))
		return X86_FAULT;
	if (insn->size == sizeof(uint64_t))
		source = _mm_move_epi64(source);
	if (!compute(cpu, &value, source))
		return X86_FAULT;
	set(cpu, insn->reg, low_half(value));
	return X86_DONE;
}

#define TO_MMX_FUNCTION(mnemonic, compute)                                                         \
	static enum x86_result exec_##mnemonic(struct x86_cpu *cpu, const struct x86_insn *insn)   \
	{                                                                                          \
		return convert_to_mmx(cpu, insn, compute);                                         \
	}
TO_MMX_FUNCTION(CVTPS2PI, x86_sse_cvtps2dq)
TO_MMX_FUNCTION(CVTTPS2PI, x86_sse_cvttps2dq)
TO_MMX_FUNCTION(CVTPD2PI, x86_sse_cvtpd2dq)
TO_MMX_FUNCTION(CVTTPD2PI, x86_sse_cvttpd2dq)

static enum x86_result exec_emms(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	MMX_CHECK(cpu, insn);
	cpu->x87.used = 0;
	cpu->x87.top = 0;
	return X86_DONE;
}

#define ROW(mnemonic, form, size, extra, exec)                                                     \
	{                                                                                          \
		ZYDIS_MNEMONIC_##mnemonic, form, size, extra, exec                                 \
	}
#define BINARY_ROW(mnemonic, ...) ROW(mnemonic, SSE_TO_REG, 8, 0, exec_##mnemonic),
#define SHIFT_ROW(mnemonic)       ROW(mnemonic, SSE_TO_RM, 8, 0, exec_##mnemonic##_by_immediate),
/* The lower half of the source is all that PUNPCKL reads. */
#define UNPACK_ROW(mnemonic, name, skip) ROW(mnemonic, SSE_ANY, (skip) ? 8 : 4, 0, exec_##mnemonic),

const struct sse_row x86_mmx_rows[] = {
	LANE_INSTRUCTIONS(BINARY_ROW) HALVES_INSTRUCTIONS(BINARY_ROW)
		UNPACK_INSTRUCTIONS(UNPACK_ROW) BINARY_ROW(PSHUFB) SHIFT_INSTRUCTIONS(SHIFT_ROW)
			ROW(PSHUFW, SSE_ANY, 8, 0, exec_pshufw),
	ROW(PALIGNR, SSE_ANY, 8, 0, exec_palignr),
	ROW(PINSRW, SSE_ANY, 2, 0, exec_pinsrw),
	ROW(PEXTRW, SSE_ANY, 8, 0, exec_pextrw),
	ROW(PMOVMSKB, SSE_ANY, 8, 0, exec_pmovmskb),
	ROW(MOVD, SSE_TO_REG, 0, 0, exec_load),
	ROW(MOVQ, SSE_TO_REG, 8, 0, exec_load),
	ROW(MOVD, SSE_TO_RM, 0, 0, exec_store),
	ROW(MOVQ, SSE_TO_RM, 8, 0, exec_store),
	ROW(MOVNTQ, SSE_ANY, 8, 0, exec_store),
	ROW(MASKMOVQ, SSE_ANY, 8, 0, exec_maskmovq),
	ROW(MOVQ2DQ, SSE_ANY, 8, 0, exec_movq2dq),
	ROW(MOVDQ2Q, SSE_ANY, 8, 0, exec_movdq2q),
	ROW(CVTPI2PS, SSE_ANY, 8, 0, exec_cvtpi2ps),
	ROW(CVTPI2PD, SSE_ANY, 8, 0, exec_cvtpi2pd),
	ROW(CVTPS2PI, SSE_ANY, 8, 0, exec_CVTPS2PI),
	ROW(CVTTPS2PI, SSE_ANY, 8, 0, exec_CVTTPS2PI),
	ROW(CVTPD2PI, SSE_ANY, 16, SSE_ALIGNED, exec_CVTPD2PI),
	ROW(CVTTPD2PI, SSE_ANY, 16, SSE_ALIGNED, exec_CVTTPD2PI),
	ROW(EMMS, SSE_ANY, 0, 0, exec_emms),
	{.exec = NULL},
};
