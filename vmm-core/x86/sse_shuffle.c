/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSE: what an immediate or a mask puts together out of bytes, words and elements. */
#include <string.h>

#include "x86/sse.h"

/* The rm operand as a union. */
static bool get_source(struct x86_cpu *cpu, const struct x86_insn *insn, union x86_xmm *ret)
{
	__m128i value;

	if (!sse_source(cpu, insn, &value))
		return false;
	_mm_store_si128((__m128i *)ret, value);
	return true;
}

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

	SSE_CHECK(cpu);
	if (!get_source(cpu, insn, &source))
		return X86_FAULT;
	for (unsigned i = 0; i < 4; i++)
		result.u32[i] = source.u32[selected(insn, i)];
	cpu->xmm[insn->reg] = result;
	return X86_DONE;
}

static enum x86_result shuffle_words(struct x86_cpu *cpu, const struct x86_insn *insn,
				     unsigned first)
{
	union x86_xmm source, result;

	SSE_CHECK(cpu);
	if (!get_source(cpu, insn, &source))
		return X86_FAULT;
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

	SSE_CHECK(cpu);
	if (!get_source(cpu, insn, &source))
		return X86_FAULT;
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

	SSE_CHECK(cpu);
	if (!get_source(cpu, insn, &source))
		return X86_FAULT;
	result.u64[0] = old.u64[insn->imm & 1];
	result.u64[1] = source.u64[(insn->imm >> 1) & 1];
	cpu->xmm[insn->reg] = result;
	return X86_DONE;
}

static enum x86_result exec_palignr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint8_t both[3 * sizeof(union x86_xmm)] = {};
	unsigned count = (uint8_t)insn->imm;
	union x86_xmm source;

	SSE_CHECK(cpu);
	if (!get_source(cpu, insn, &source))
		return X86_FAULT;
	if (count > 2 * sizeof(source))
		count = 2 * sizeof(source);
	memcpy(both, &source, sizeof(source));
	memcpy(both + sizeof(source), &cpu->xmm[insn->reg], sizeof(source));
	memcpy(&cpu->xmm[insn->reg], both + count, sizeof(source));
	return X86_DONE;
}

/* Takes those elements of @size bytes of the source whose bit in @mask is set. */
static enum x86_result blend(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned size,
			     unsigned mask)
{
	union x86_xmm source;

	SSE_CHECK(cpu);
	if (!get_source(cpu, insn, &source))
		return X86_FAULT;
	for (unsigned i = 0; i < sizeof(source) / size; i++)
		if (mask & 1u << i)
			memcpy(&cpu->xmm[insn->reg].u8[i * size], &source.u8[i * size], size);
	return X86_DONE;
}

static enum x86_result exec_pblendw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return blend(cpu, insn, 2, (uint8_t)insn->imm);
}

static enum x86_result exec_blendps(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return blend(cpu, insn, 4, (uint8_t)insn->imm);
}

static enum x86_result exec_blendpd(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return blend(cpu, insn, 8, (uint8_t)insn->imm);
}

/* The signs of XMM0's elements are the mask. */
static enum x86_result exec_pblendvb(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return blend(cpu, insn, 1, (unsigned)_mm_movemask_epi8(sse_get(cpu, 0)));
}

static enum x86_result exec_blendvps(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return blend(cpu, insn, 4, (unsigned)_mm_movemask_ps(_mm_castsi128_ps(sse_get(cpu, 0))));
}

static enum x86_result exec_blendvpd(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return blend(cpu, insn, 8, (unsigned)_mm_movemask_pd(_mm_castsi128_pd(sse_get(cpu, 0))));
}

/* SDM 2 INSERTPS: an element of a register, or memory; where to; which become zero. */
static enum x86_result exec_insertps(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	unsigned imm = (uint8_t)insn->imm, from = insn->memory ? 0 : imm >> 6;
	union x86_xmm source;

	SSE_CHECK(cpu);
	if (!get_source(cpu, insn, &source))
		return X86_FAULT;
	cpu->xmm[insn->reg].u32[imm >> 4 & 3] = source.u32[from];
	for (unsigned i = 0; i < 4; i++)
		if (imm & 1u << i)
			cpu->xmm[insn->reg].u32[i] = 0;
	return X86_DONE;
}

/* Eight sums of four absolute differences: bytes of the destination against four of the source. */
static enum x86_result exec_mpsadbw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	unsigned from = (insn->imm & 3) * 4, at = (insn->imm >> 2 & 1) * 4;
	union x86_xmm source, result = {}, old = cpu->xmm[insn->reg];

	SSE_CHECK(cpu);
	if (!get_source(cpu, insn, &source))
		return X86_FAULT;
	for (unsigned i = 0; i < 8; i++)
		for (unsigned j = 0; j < 4; j++) {
			int difference = old.u8[at + i + j] - source.u8[from + j];

			result.u16[i] += (uint16_t)(difference < 0 ? -difference : difference);
		}
	cpu->xmm[insn->reg] = result;
	return X86_DONE;
}

/* Elements of insn->size bytes in and out of memory or a general register. */

static enum x86_result exec_insert(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	unsigned element = (unsigned)insn->imm % (sizeof(union x86_xmm) / insn->size);
	uint64_t value = cpu->gpr[insn->rm];

	SSE_CHECK(cpu);
	if (insn->memory &&
	    !x86_load(cpu, insn->segment, x86_effective_address(cpu, insn), insn->size, &value))
		return X86_FAULT;
	memcpy(&cpu->xmm[insn->reg].u8[element * insn->size], &value, insn->size);
	return X86_DONE;
}

static uint64_t element(const struct x86_insn *insn, const union x86_xmm *source)
{
	unsigned number = (unsigned)insn->imm % (sizeof(*source) / insn->size);
	uint64_t value = 0;

	memcpy(&value, &source->u8[number * insn->size], insn->size);
	return value;
}

static enum x86_result exec_extract(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value = element(insn, &cpu->xmm[insn->reg]);

	SSE_CHECK(cpu);
	if (!insn->memory)
		cpu->gpr[insn->rm] = value;
	else if (!x86_store(cpu, insn->segment, x86_effective_address(cpu, insn), insn->size,
			    value))
		return X86_FAULT;
	return X86_DONE;
}

/* The older PEXTRW, whose general register is in the reg field. */
static enum x86_result exec_pextrw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	SSE_CHECK(cpu);
	cpu->gpr[insn->reg] = element(insn, &cpu->xmm[insn->rm]);
	return X86_DONE;
}

#define ROW(mnemonic, form, size, extra, exec)                                                     \
	{                                                                                          \
		ZYDIS_MNEMONIC_##mnemonic, form, size, extra, exec                                 \
	}

const struct sse_row x86_sse_shuffle_rows[] = {
	ROW(PSLLDQ, SSE_ANY, 16, 0, exec_pslldq),
	ROW(PSRLDQ, SSE_ANY, 16, 0, exec_psrldq),
	ROW(PSHUFD, SSE_ANY, 16, SSE_ALIGNED, exec_pshufd),
	ROW(PSHUFLW, SSE_ANY, 16, SSE_ALIGNED, exec_pshuflw),
	ROW(PSHUFHW, SSE_ANY, 16, SSE_ALIGNED, exec_pshufhw),
	ROW(SHUFPS, SSE_ANY, 16, SSE_ALIGNED, exec_shufps),
	ROW(SHUFPD, SSE_ANY, 16, SSE_ALIGNED, exec_shufpd),
	ROW(PALIGNR, SSE_ANY, 16, SSE_ALIGNED, exec_palignr),
	ROW(PBLENDW, SSE_ANY, 16, SSE_ALIGNED, exec_pblendw),
	ROW(BLENDPS, SSE_ANY, 16, SSE_ALIGNED, exec_blendps),
	ROW(BLENDPD, SSE_ANY, 16, SSE_ALIGNED, exec_blendpd),
	ROW(PBLENDVB, SSE_ANY, 16, SSE_ALIGNED, exec_pblendvb),
	ROW(BLENDVPS, SSE_ANY, 16, SSE_ALIGNED, exec_blendvps),
	ROW(BLENDVPD, SSE_ANY, 16, SSE_ALIGNED, exec_blendvpd),
	ROW(INSERTPS, SSE_ANY, 4, 0, exec_insertps),
	ROW(MPSADBW, SSE_ANY, 16, SSE_ALIGNED, exec_mpsadbw),
	ROW(PINSRB, SSE_ANY, 1, 0, exec_insert),
	ROW(PINSRW, SSE_ANY, 2, 0, exec_insert),
	ROW(PINSRD, SSE_ANY, 4, 0, exec_insert),
	ROW(PINSRQ, SSE_ANY, 8, 0, exec_insert),
	ROW(PEXTRB, SSE_ANY, 1, 0, exec_extract),
	ROW(PEXTRW, SSE_TO_REG, 2, 0, exec_pextrw),
	ROW(PEXTRW, SSE_TO_RM, 2, 0, exec_extract),
	ROW(PEXTRD, SSE_ANY, 4, 0, exec_extract),
	ROW(PEXTRQ, SSE_ANY, 8, 0, exec_extract),
	ROW(EXTRACTPS, SSE_ANY, 4, 0, exec_extract),
	{.exec = NULL},
};
