/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One of the many encodings of a form: registers, addressing, immediates, idle prefixes. */
#include <string.h>

#include "native.h"

#define NONE      16u
#define REX_W     8u
#define REX_R     4u
#define REX_X     2u
#define REX_B     1u
#define RIP_BASED 5u /* as rm with mod 0: disp32 alone, in 64-bit code from RIP */
#define HAS_SIB   4u

struct out {
	uint8_t bytes[24];
	unsigned length;
};

static void emit(struct out *out, uint64_t value, unsigned size)
{
	memcpy(out->bytes + out->length, &value, size);
	out->length += size;
}

/* The memory operand: chooses how it is addressed. Fills modrm, sib, disp and the REX bits. */
struct address {
	uint8_t modrm, sib;
	bool has_sib;
	uint8_t disp_size;
	int32_t disp;
	uint8_t rex;
	bool from_rip;
};

static unsigned pick_register(const struct native_encoding *e, struct native_random *r)
{
	return random_below(r, e->mode == NATIVE_64 ? 16 : 8);
}

/* A base must not be the bit offset, or what else the operand registers hold. */
static unsigned pick_base(const struct native_form *form, const struct native_encoding *e,
			  struct native_random *r)
{
	unsigned base;

	do
		base = pick_register(e, r);
	while (base == e->reg && (form->words & (WORD_BIT | WORD_BOUND)));
	return base;
}

static struct address pick_address(const struct native_form *form, struct native_encoding *e,
				   struct native_random *r)
{
	struct address a = {0};
	unsigned kind = random_below(r, 8);
	bool no_disp;

	e->base = e->index = NONE;
	if (kind == 0) { /* disp32 alone, or from RIP */
		do
			e->fixed = native_address(form, e, r);
		while (e->fixed >> 32);
		e->fixed += e->segment_base;
		a.disp = (int32_t)(e->fixed - e->segment_base);
		a.disp_size = 4;
		if (e->mode == NATIVE_64 && random_below(r, 2)) {
			a.modrm = RIP_BASED;
			a.from_rip = true;
		} else if (e->mode == NATIVE_64 || random_below(r, 2)) {
			a.modrm = HAS_SIB;
			a.has_sib = true;
			a.sib = (uint8_t)(random_below(r, 4) << 6 | HAS_SIB << 3 | 5);
		} else {
			a.modrm = RIP_BASED;
		}
		return a;
	}

	a.disp_size = (uint8_t[]){0, 1, 4}[random_below(r, 3)];
	if (a.disp_size)
		a.disp = (int32_t)random_below(r, 256) - 128;
	if (a.disp_size == 4)
		a.disp *= (int32_t)(1 + random_below(r, 100000));
	if (kind >= 5) { /* SIB */
		e->scale = (uint8_t)random_below(r, 4);
		e->base = (uint8_t)pick_base(form, e, r);
		do
			e->index = (uint8_t)pick_base(form, e, r);
		while (e->index == X86_RSP || e->index == e->base);
		if (kind == 7) { /* without a base: disp32 always follows */
			e->base = NONE;
			a.disp_size = 4;
			a.disp = (int32_t)random_below(r, 0x1000000);
		}
		if ((form->words & WORD_STACK) && e->base == X86_RSP)
			e->index = NONE;
	} else {
		e->base = (uint8_t)pick_base(form, e, r);
	}
	if ((form->words & WORD_STACK) && e->base == X86_RSP && a.disp_size == 4)
		a.disp_size = 1, a.disp = (int8_t)a.disp;

	a.has_sib = kind >= 5 || (e->base & 7) == X86_RSP;
	/* RBP and R13 without a displacement are encoded as no base. */
	no_disp = a.disp_size == 0 && e->base != NONE;
	if (no_disp && (e->base & 7) == X86_RBP)
		a.disp_size = 1;
	if (e->base == NONE)
		a.modrm = HAS_SIB;
	else
		a.modrm = (uint8_t)((a.disp_size == 1   ? 0x40
				     : a.disp_size == 4 ? 0x80
							: 0) |
				    (a.has_sib ? HAS_SIB : e->base & 7));
	if (a.has_sib) {
		a.sib = (uint8_t)(e->scale << 6 | (e->index == NONE ? HAS_SIB : e->index & 7) << 3 |
				  (e->base == NONE ? 5 : e->base & 7));
		a.rex |= e->index != NONE && e->index > 7 ? REX_X : 0;
	}
	a.rex |= e->base != NONE && e->base > 7 ? REX_B : 0;
	e->disp = a.disp;
	return a;
}

static unsigned imm_size(const struct native_form *form, const struct native_token *token)
{
	if (token->byte)
		return token->byte;
	if (token->whole)
		return form->size;
	return form->size > 4 ? 4 : form->size;
}

static uint64_t random_imm(const struct native_form *form, struct native_random *r)
{
	if ((form->words & WORD_SMALL) && random_below(r, 16))
		return random_below(r, 33);
	return random_integer(r);
}

/* A distance that leads to INT3 bytes, not into the instruction. */
static int64_t random_distance(struct native_random *r, unsigned size)
{
	if (size == 1)
		return random_below(r, 2) ? (int64_t)random_below(r, 128)
					  : -(int64_t)random_below(r, 100) - 20;
	return random_below(r, 2) ? (int64_t)random_below(r, 0x700)
				  : -(int64_t)random_below(r, 0x700) - 20;
}

static void emit_moffs(struct out *out, const struct native_form *form, struct native_encoding *e,
		       struct native_random *r)
{
	uint64_t address;

	do
		address = native_address(form, e, r) - e->segment_base;
	while (e->address_size == 4 && address >> 32);
	if (e->mode == NATIVE_64 && e->address_size == 8)
		emit(out, address, 8);
	else
		emit(out, address, 4);
}

/* The tokens from @first on, which stand behind ModRM. */
static void emit_rest(struct out *out, const struct native_form *form, struct native_encoding *e,
		      struct native_random *r, unsigned first)
{
	for (unsigned i = first; i < form->nr_tokens; i++) {
		const struct native_token *token = &form->tokens[i];
		unsigned size;
		uint64_t value;

		switch (token->kind) {
		case TOKEN_IMM:
			size = imm_size(form, token);
			value = random_imm(form, r);
			e->imm = (uint8_t)value;
			emit(out, value, size);
			break;
		case TOKEN_TARGET:
			size = token->byte ? 1 : e->mode == NATIVE_32 && form->size == 2 ? 2 : 4;
			emit(out, (uint64_t)random_distance(r, size), size);
			break;
		case TOKEN_MOFFS: emit_moffs(out, form, e, r); break;
		default: emit(out, token->byte, 1); break;
		}
	}
}

/* Returns how many tokens the opcode has. */
static unsigned emit_opcode(struct out *out, const struct native_form *form, unsigned opcode_reg)
{
	unsigned i;

	for (i = 0; i < (form->modrm < 0 ? form->nr_tokens : form->nr_opcode); i++) {
		const struct native_token *token = &form->tokens[i];

		if (token->kind == TOKEN_BYTE)
			emit(out, token->byte, 1);
		else if (token->kind == TOKEN_REG || token->kind == TOKEN_STACK)
			emit(out, token->byte | (opcode_reg & 7), 1);
		else
			break;
	}
	return i;
}

static void emit_vex(struct out *out, const struct native_form *form,
		     const struct native_encoding *e, struct native_random *r, unsigned rex)
{
	unsigned vvvv = form->vex_operand ? random_below(r, e->mode == NATIVE_64 ? 16 : 8) : 0;
	unsigned w = form->size == 8 ? 0x80 : 0;

	/* All register bits are inverted. */
	emit(out, 0xc4, 1);
	emit(out, (~rex & 7) << 5 | form->vex_map, 1);
	emit(out, w | (~vvvv & 0xf) << 3 | form->vex_pp, 1);
}

/* Which prefix of a segment: mostly none. GS has a base in 64-bit code. */
static uint8_t pick_segment(struct native_encoding *e, struct native_random *r)
{
	static const uint8_t idle[] = {0x26, 0x2e, 0x36, 0x3e};

	switch (random_below(r, 12)) {
	case 0: return idle[random_below(r, sizeof(idle))];
	case 1:
		if (e->mode != NATIVE_64)
			return 0;
		e->segment_base = NATIVE_GS_BASE;
		return 0x65;
	default: return 0;
	}
}

static bool has_target(const struct native_form *form)
{
	for (unsigned i = 0; i < form->nr_tokens; i++)
		if (form->tokens[i].kind == TOKEN_TARGET)
			return true;
	return false;
}

static bool uses_address(const struct native_form *form)
{
	for (unsigned i = 0; i < form->nr_tokens; i++)
		if (form->tokens[i].kind == TOKEN_MOFFS)
			return true;
	return (form->modrm >= 0 && form->memory) ||
	       (form->words & (WORD_STRING | WORD_XLAT | WORD_RDI));
}

static void emit_prefixes(struct out *out, const struct native_form *form,
			  struct native_encoding *e, struct native_random *r, uint8_t segment)
{
	bool word = form->size == 2;

	if (segment)
		emit(out, segment, 1);
	if (e->mode == NATIVE_64 && e->address_size == 4)
		emit(out, 0x67, 1);
	if (form->prefix == PREFIX_LOCK)
		emit(out, 0xf0, 1);
	if (form->prefix == PREFIX_REPE)
		emit(out, 0xf3, 1);
	if (form->prefix == PREFIX_REPNE)
		emit(out, 0xf2, 1);
	if (e->illegal)
		emit(out, 0xf0, 1);
	if (word && !form->vex)
		emit(out, 0x66, 1);
	if (form->mandatory)
		emit(out, form->mandatory, 1);
}

void native_encode(const struct native_form *form, enum native_mode mode, struct native_random *r,
		   struct native_encoding *e)
{
	unsigned opcode_reg = 0, rex = 0, disp_at = 0, nr_opcode;
	struct address address = {0};
	struct out out = {.length = 0};
	uint8_t segment = 0;
	uint8_t modrm = 0;

	memset(e, 0, sizeof(*e));
	e->mode = (uint8_t)mode;
	e->address_size = mode == NATIVE_64 ? 8 : 4;
	e->base = e->index = NONE;
	e->memory = form->modrm >= 0 && form->memory;
	if (uses_address(form)) {
		/* A mask of zero may or may not look at its segment. */
		if (mode == NATIVE_64 || !(form->words & WORD_RDI))
			segment = pick_segment(e, r);
		if (mode == NATIVE_64 && !random_below(r, 8))
			e->address_size = 4;
	}
	/* A LOCK prefix where none may be. */
	e->illegal = !form->vex && !(form->words & (WORD_LOCK | WORD_NOLOCK)) &&
		     !(form->words & WORD_ATOMIC) && !random_below(r, 32);
	if ((form->words & WORD_LOCK) && !e->memory && !random_below(r, 16))
		e->illegal = true;

	if (form->modrm >= 0) {
		e->reg = form->modrm < 8 ? (uint8_t)form->modrm : (uint8_t)pick_register(e, r);
		if (form->modrm == 8)
			rex |= e->reg > 7 ? REX_R : 0;
		if (e->memory) {
			address = pick_address(form, e, r);
			rex |= address.rex;
			modrm = address.modrm;
		} else {
			e->rm = (uint8_t)pick_register(e, r);
			rex |= e->rm > 7 ? REX_B : 0;
			modrm = (uint8_t)(0xc0 | (e->rm & 7));
		}
		modrm |= (uint8_t)((e->reg & 7) << 3);
	}
	for (unsigned i = 0; i < form->nr_tokens; i++) {
		if (form->tokens[i].kind == TOKEN_REG) {
			e->rm = (uint8_t)pick_register(e, r);
			opcode_reg = e->rm;
			rex |= opcode_reg > 7 ? REX_B : 0;
		} else if (form->tokens[i].kind == TOKEN_STACK) {
			opcode_reg = random_below(r, 8);
		}
	}
	if (form->size == 8 && !(form->words & WORD_DEFAULT))
		rex |= REX_W;

	emit_prefixes(&out, form, e, r, segment);
	if (form->vex)
		emit_vex(&out, form, e, r, rex);
	else if (mode == NATIVE_64 && (rex || random_below(r, 4) == 0))
		emit(&out, 0x40 | rex, 1);
	nr_opcode = emit_opcode(&out, form, opcode_reg);
	if (form->modrm >= 0) {
		emit(&out, modrm, 1);
		if (address.has_sib)
			emit(&out, address.sib, 1);
		disp_at = out.length;
		emit(&out, (uint64_t)address.disp, address.disp_size);
	}
	emit_rest(&out, form, e, r, nr_opcode);

	/* Mostly in the middle of a page, sometimes across two. */
	e->at = NATIVE_CODE + 0x800;
	if (!random_below(r, 8) && !has_target(form))
		e->at = NATIVE_CODE + 0x1000 - random_below(r, out.length);
	if (address.from_rip) {
		uint64_t disp = e->fixed - e->segment_base - (e->at + out.length);

		memcpy(out.bytes + disp_at, &disp, 4);
	}
	e->length = (uint8_t)out.length;
	memcpy(e->bytes, out.bytes, sizeof(e->bytes));
}
