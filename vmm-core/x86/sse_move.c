/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSE: what moves data unchanged, MXCSR. */
#include <string.h>

#include "x86/segment.h"
#include "x86/sse.h"
#include "x86/x87.h"

/* To an XMM register, all of it; smaller operands are zero-extended. */
static enum x86_result exec_load(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	__m128i value;

	SSE_CHECK(cpu);
	if (insn->extra & SSE_GENERAL) { /* MOVD, MOVQ */
		uint64_t general = cpu->gpr[insn->rm];

		value = _mm_set_epi64x(0, (int64_t)(insn->size == 4 ? (uint32_t)general : general));
	} else {
		if (!sse_source(cpu, insn, &value))
			return X86_FAULT;
		if (insn->size == 8) /* MOVQ from a register clears the upper half */
			value = _mm_move_epi64(value);
	}
	sse_set(cpu, insn->reg, value);
	return X86_DONE;
}

static enum x86_result exec_store(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	const union x86_xmm *source = &cpu->xmm[insn->reg];

	SSE_CHECK(cpu);
	if (insn->memory)
		return x86_sse_store(cpu, insn, source) ? X86_DONE : X86_FAULT;
	if (insn->extra & SSE_GENERAL)
		cpu->gpr[insn->rm] = insn->size == 4 ? source->u32[0] : source->u64[0];
	else if (insn->size == 8)
		cpu->xmm[insn->rm] = (union x86_xmm){.u64 = {source->u64[0], 0}};
	else
		cpu->xmm[insn->rm] = *source;
	return X86_DONE;
}

/* MOVSS, MOVSD: from memory zero-extended, from a register only the low part. */
static enum x86_result exec_load_scalar(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	union x86_xmm value;

	SSE_CHECK(cpu);
	if (!insn->memory) {
		memcpy(&cpu->xmm[insn->reg], &cpu->xmm[insn->rm], insn->size);
		return X86_DONE;
	}
	if (!x86_sse_load(cpu, insn, &value))
		return X86_FAULT;
	cpu->xmm[insn->reg] = value;
	return X86_DONE;
}

static enum x86_result exec_store_scalar(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	SSE_CHECK(cpu);
	if (insn->memory)
		return x86_sse_store(cpu, insn, &cpu->xmm[insn->reg]) ? X86_DONE : X86_FAULT;
	memcpy(&cpu->xmm[insn->rm], &cpu->xmm[insn->reg], insn->size);
	return X86_DONE;
}

static enum x86_result load_half(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned to,
				 unsigned from)
{
	union x86_xmm value;

	SSE_CHECK(cpu);
	if (insn->memory) {
		if (!x86_sse_load(cpu, insn, &value))
			return X86_FAULT;
		cpu->xmm[insn->reg].u64[to] = value.u64[0];
	} else {
		cpu->xmm[insn->reg].u64[to] = cpu->xmm[insn->rm].u64[from];
	}
	return X86_DONE;
}

static enum x86_result exec_load_low(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return load_half(cpu, insn, 0, 1); /* MOVLPS, MOVLPD; MOVHLPS */
}

static enum x86_result exec_load_high(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return load_half(cpu, insn, 1, 0); /* MOVHPS, MOVHPD; MOVLHPS */
}

static enum x86_result exec_store_high(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	union x86_xmm value = {.u64 = {cpu->xmm[insn->reg].u64[1]}};

	SSE_CHECK(cpu);
	return x86_sse_store(cpu, insn, &value) ? X86_DONE : X86_FAULT;
}

static enum x86_result exec_movmskps(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	SSE_CHECK(cpu);
	cpu->gpr[insn->reg] = (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(sse_get(cpu, insn->rm)));
	return X86_DONE;
}

static enum x86_result exec_movmskpd(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	SSE_CHECK(cpu);
	cpu->gpr[insn->reg] = (uint32_t)_mm_movemask_pd(_mm_castsi128_pd(sse_get(cpu, insn->rm)));
	return X86_DONE;
}

static enum x86_result exec_pmovmskb(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	SSE_CHECK(cpu);
	cpu->gpr[insn->reg] = (uint32_t)_mm_movemask_epi8(sse_get(cpu, insn->rm));
	return X86_DONE;
}

bool x86_sse_store_masked(struct x86_cpu *cpu, unsigned segment, uint64_t offset, uint64_t value,
			  uint64_t signs)
{
	/* Each byte of @mask is all ones where the sign bit of its byte is set. */
	uint64_t mask = ((signs >> 7) & 0x0101010101010101ull) * 0xff;
	struct x86_rmw rmw;
	uint64_t old;

	if (!mask)
		return true;
	if (!x86_rmw_begin(cpu, segment, offset, sizeof(value), &rmw, &old))
		return false;
	x86_rmw_end(cpu, &rmw, (old & ~mask) | (value & mask));
	return true;
}

/* Stores the bytes of reg that rm's signs select at DS:rDI. */
static enum x86_result exec_maskmovdqu(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	const union x86_xmm *value = &cpu->xmm[insn->reg], *mask = &cpu->xmm[insn->rm];
	uint64_t rdi = x86_address_part(insn, cpu->gpr[X86_RDI]);

	SSE_CHECK(cpu);
	for (unsigned i = 0; i < 2; i++)
		if (!x86_sse_store_masked(cpu, insn->segment, rdi + i * sizeof(uint64_t),
					  value->u64[i], mask->u64[i]))
			return X86_FAULT;
	return X86_DONE;
}

static bool accept_mxcsr(struct x86_cpu *cpu, uint32_t value)
{
	if (!(value & ~MXCSR_DEFINED))
		return true;
	x86_raise_code(cpu, X86_GP, 0);
	return false;
}

static enum x86_result exec_ldmxcsr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value;

	SSE_CHECK(cpu);
	if (!x86_load(cpu, insn->segment, x86_effective_address(cpu, insn), 4, &value) ||
	    !accept_mxcsr(cpu, (uint32_t)value))
		return X86_FAULT;
	cpu->mxcsr = (uint32_t)value;
	return X86_DONE;
}

static enum x86_result exec_stmxcsr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	SSE_CHECK(cpu);
	return x86_store(cpu, insn->segment, x86_effective_address(cpu, insn), 4, cpu->mxcsr)
		       ? X86_DONE
		       : X86_FAULT;
}

#define LOAD(mnemonic, size, extra, exec)                                                          \
	{                                                                                          \
		ZYDIS_MNEMONIC_##mnemonic, SSE_TO_REG, size, extra, exec                           \
	}
#define STORE(mnemonic, size, extra, exec)                                                         \
	{                                                                                          \
		ZYDIS_MNEMONIC_##mnemonic, SSE_TO_RM, size, extra, exec                            \
	}
#define OTHER(mnemonic, size, exec)                                                                \
	{                                                                                          \
		ZYDIS_MNEMONIC_##mnemonic, SSE_ANY, size, 0, exec                                  \
	}

const struct sse_row x86_sse_move_rows[] = {
	LOAD(MOVAPS, 16, SSE_ALIGNED, exec_load),
	LOAD(MOVAPD, 16, SSE_ALIGNED, exec_load),
	LOAD(MOVDQA, 16, SSE_ALIGNED, exec_load),
	LOAD(MOVUPS, 16, 0, exec_load),
	LOAD(MOVUPD, 16, 0, exec_load),
	LOAD(MOVDQU, 16, 0, exec_load),
	OTHER(LDDQU, 16, exec_load),
	LOAD(MOVNTDQA, 16, SSE_ALIGNED, exec_load),
	LOAD(MOVD, 0, 0, exec_load),
	LOAD(MOVQ, 8, 0, exec_load),
	LOAD(MOVSS, 4, 0, exec_load_scalar),
	LOAD(MOVSD, 8, 0, exec_load_scalar),
	LOAD(MOVLPS, 8, 0, exec_load_low),
	LOAD(MOVLPD, 8, 0, exec_load_low),
	LOAD(MOVHPS, 8, 0, exec_load_high),
	LOAD(MOVHPD, 8, 0, exec_load_high),
	OTHER(MOVHLPS, 8, exec_load_low),
	OTHER(MOVLHPS, 8, exec_load_high),
	STORE(MOVAPS, 16, SSE_ALIGNED, exec_store),
	STORE(MOVAPD, 16, SSE_ALIGNED, exec_store),
	STORE(MOVDQA, 16, SSE_ALIGNED, exec_store),
	STORE(MOVUPS, 16, 0, exec_store),
	STORE(MOVUPD, 16, 0, exec_store),
	STORE(MOVDQU, 16, 0, exec_store),
	STORE(MOVNTPS, 16, SSE_ALIGNED, exec_store),
	STORE(MOVNTPD, 16, SSE_ALIGNED, exec_store),
	STORE(MOVNTDQ, 16, SSE_ALIGNED, exec_store),
	STORE(MOVD, 0, 0, exec_store),
	STORE(MOVQ, 8, 0, exec_store),
	STORE(MOVSS, 4, 0, exec_store_scalar),
	STORE(MOVSD, 8, 0, exec_store_scalar),
	STORE(MOVLPS, 8, 0, exec_store),
	STORE(MOVLPD, 8, 0, exec_store),
	STORE(MOVHPS, 8, 0, exec_store_high),
	STORE(MOVHPD, 8, 0, exec_store_high),
	OTHER(MOVMSKPS, 16, exec_movmskps),
	OTHER(MOVMSKPD, 16, exec_movmskpd),
	OTHER(PMOVMSKB, 16, exec_pmovmskb),
	OTHER(MASKMOVDQU, 16, exec_maskmovdqu),
	OTHER(LDMXCSR, 4, exec_ldmxcsr),
	OTHER(STMXCSR, 4, exec_stmxcsr),
	{.exec = NULL},
};
