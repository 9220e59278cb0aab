/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSE4.2: comparisons of strings, PCMPESTRI and its like (SDM 2B 4.1). */
#include "x86/flags.h"
#include "x86/sse.h"

/* The immediate byte (SDM 2B 4.1.1 ... 4.1.6). */
#define IMM_WORDS       0x01u
#define IMM_SIGNED      0x02u
#define IMM_AGGREGATION 0x0cu
#define IMM_NEGATIVE    0x10u
#define IMM_MASKED      0x20u /* only the valid elements of the second operand are negated */
#define IMM_LAST        0x40u /* index: the most significant one; mask: of whole elements */

enum aggregation { EQUAL_ANY = 0x00, RANGES = 0x04, EQUAL_EACH = 0x08, EQUAL_ORDERED = 0x0c };

struct text {
	int32_t element[16];
	unsigned length;
};

static unsigned nr_elements(unsigned imm)
{
	return imm & IMM_WORDS ? 8 : 16;
}

static void take(struct text *text, const union x86_xmm *value, unsigned imm)
{
	for (unsigned i = 0; i < nr_elements(imm); i++)
		switch (imm & (IMM_WORDS | IMM_SIGNED)) {
		case 0: text->element[i] = value->u8[i]; break;
		case IMM_WORDS: text->element[i] = value->u16[i]; break;
		case IMM_SIGNED:
			text->element[i] = (int32_t)((uint32_t)value->u8[i] << 24) >> 24;
			break;
		default: text->element[i] = value->i16[i]; break;
		}
}

/* Implicit: up to the first zero. */
static void measure(struct text *text, unsigned imm)
{
	text->length = 0;
	while (text->length < nr_elements(imm) && text->element[text->length])
		text->length++;
}

/* Explicit: the absolute value of RAX or RDX, at most all. */
static unsigned explicit_length(uint64_t reg, bool wide, unsigned imm)
{
	int64_t value = wide ? (int64_t)reg : (int32_t)reg;
	uint64_t length = value < 0 ? -(uint64_t)value : (uint64_t)value;

	return length < nr_elements(imm) ? (unsigned)length : nr_elements(imm);
}

static bool any_equals(const struct text *a, int32_t element)
{
	for (unsigned i = 0; i < a->length; i++)
		if (a->element[i] == element)
			return true;
	return false;
}

static bool is_in_a_range(const struct text *a, int32_t element)
{
	for (unsigned i = 0; i + 1 < a->length; i += 2)
		if (a->element[i] <= element && element <= a->element[i + 1])
			return true;
	return false;
}

/* Whether @a is in @b from @from on, as far as both reach into the register. */
static bool begins_at(const struct text *a, const struct text *b, unsigned from, unsigned imm)
{
	for (unsigned i = 0; i < a->length && from + i < nr_elements(imm); i++)
		if (from + i >= b->length || a->element[i] != b->element[from + i])
			return false;
	return true;
}

/* SDM 2B table 4-3 has what elements beyond the end compare like. */
static unsigned aggregate(const struct text *a, const struct text *b, unsigned imm)
{
	unsigned result = 0;
	bool holds;

	for (unsigned i = 0; i < nr_elements(imm); i++) {
		bool valid = i < b->length;

		switch (imm & IMM_AGGREGATION) {
		case EQUAL_ANY: holds = valid && any_equals(a, b->element[i]); break;
		case RANGES: holds = valid && is_in_a_range(a, b->element[i]); break;
		case EQUAL_EACH:
			holds = i < a->length ? valid && a->element[i] == b->element[i] : !valid;
			break;
		default: holds = begins_at(a, b, i, imm); break;
		}
		result |= (unsigned)holds << i;
	}
	return result;
}

static unsigned apply_polarity(unsigned result, const struct text *b, unsigned imm)
{
	unsigned all = (1u << nr_elements(imm)) - 1;

	if (!(imm & IMM_NEGATIVE))
		return result;
	return result ^ (imm & IMM_MASKED ? (1u << b->length) - 1 : all);
}

/* The flags and the bits of the result; false: the operand faulted. */
static bool compare(struct x86_cpu *cpu, const struct x86_insn *insn, bool is_explicit,
		    unsigned *ret_bits)
{
	unsigned imm = (uint8_t)insn->imm, bits;
	struct text a, b;
	union x86_xmm source;
	__m128i value;

	if (!sse_source(cpu, insn, &value))
		return false;
	_mm_store_si128((__m128i *)&source, value);
	take(&a, &cpu->xmm[insn->reg], imm);
	take(&b, &source, imm);
	if (is_explicit) {
		a.length = explicit_length(cpu->gpr[X86_RAX], insn->extra & SSE_REX_W, imm);
		b.length = explicit_length(cpu->gpr[X86_RDX], insn->extra & SSE_REX_W, imm);
	} else {
		measure(&a, imm);
		measure(&b, imm);
	}
	bits = apply_polarity(aggregate(&a, &b, imm), &b, imm);
	x86_change_flags(cpu, RFLAGS_ARITHMETIC,
			 (bits ? RFLAGS_CF : 0) | (bits & 1 ? RFLAGS_OF : 0) |
				 (b.length < nr_elements(imm) ? RFLAGS_ZF : 0) |
				 (a.length < nr_elements(imm) ? RFLAGS_SF : 0));
	*ret_bits = bits;
	return true;
}

static enum x86_result to_index(struct x86_cpu *cpu, const struct x86_insn *insn, bool is_explicit)
{
	unsigned bits, index;

	SSE_CHECK(cpu);
	if (!compare(cpu, insn, is_explicit, &bits))
		return X86_FAULT;
	if (!bits)
		index = nr_elements((unsigned)insn->imm);
	else
		index = (unsigned)(insn->imm & IMM_LAST ? 31 - __builtin_clz(bits)
							: __builtin_ctz(bits));
	cpu->gpr[X86_RCX] = index;
	return X86_DONE;
}

static enum x86_result to_mask(struct x86_cpu *cpu, const struct x86_insn *insn, bool is_explicit)
{
	union x86_xmm result = {};
	unsigned bits;

	SSE_CHECK(cpu);
	if (!compare(cpu, insn, is_explicit, &bits))
		return X86_FAULT;
	if (!(insn->imm & IMM_LAST))
		result.u32[0] = bits;
	else if (insn->imm & IMM_WORDS)
		for (unsigned i = 0; i < 8; i++)
			result.u16[i] = bits >> i & 1 ? UINT16_MAX : 0;
	else
		for (unsigned i = 0; i < 16; i++)
			result.u8[i] = bits >> i & 1 ? UINT8_MAX : 0;
	cpu->xmm[0] = result;
	return X86_DONE;
}

static enum x86_result exec_pcmpestri(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return to_index(cpu, insn, true);
}

static enum x86_result exec_pcmpistri(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return to_index(cpu, insn, false);
}

static enum x86_result exec_pcmpestrm(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return to_mask(cpu, insn, true);
}

static enum x86_result exec_pcmpistrm(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return to_mask(cpu, insn, false);
}

/* Their operands in memory need not be aligned (SDM 2B 4.1). */
const struct sse_row x86_sse_string_rows[] = {
	{ZYDIS_MNEMONIC_PCMPESTRI, SSE_ANY, 16, 0, exec_pcmpestri},
	{ZYDIS_MNEMONIC_PCMPISTRI, SSE_ANY, 16, 0, exec_pcmpistri},
	{ZYDIS_MNEMONIC_PCMPESTRM, SSE_ANY, 16, 0, exec_pcmpestrm},
	{ZYDIS_MNEMONIC_PCMPISTRM, SSE_ANY, 16, 0, exec_pcmpistrm},
	{.exec = NULL},
};
