/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random operands: registers, flags and memory of a case. */
#include <string.h>

#include "native.h"

#define MXCSR_MASKS   0x1f80u
#define CONTROL_MASKS 0x003fu
#define NATIVE_NONE   16u

uint64_t random_next(struct native_random *r)
{
	uint64_t x = r->state += 0x9e3779b97f4a7c15; /* splitmix64 */

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

unsigned random_below(struct native_random *r, unsigned limit)
{
	return (unsigned)((random_next(r) >> 32) * limit >> 32);
}

uint64_t random_integer(struct native_random *r)
{
	static const uint64_t edges[] = {
		0,
		1,
		2,
		0xf,
		0x10,
		0x7f,
		0x80,
		0xff,
		0x100,
		0x7fff,
		0x8000,
		0xffff,
		0x10000,
		0x7fffffff,
		0x80000000,
		0xffffffff,
		0x100000000,
		INT64_MAX,
		(uint64_t)INT64_MIN,
		UINT64_MAX,
		UINT64_MAX - 1,
		0x7fff7fff7fff7fff,
		0x8000800080008000,
		0x7fffffff80000000,
		0x80000000ffffffff,
		0x7f807f807f807f80,
		0x5555555555555555,
		0xaaaaaaaaaaaaaaaa,
	};

	switch (random_below(r, 4)) {
	case 0: return edges[random_below(r, sizeof(edges) / sizeof(edges[0]))];
	case 1: return random_next(r) >> random_below(r, 64);
	case 2: return (uint64_t)((int64_t)random_next(r) >> random_below(r, 64));
	default: return random_next(r);
	}
}

static uint32_t random_float(struct native_random *r)
{
	static const uint32_t edges[] = {
		0x00000000, 0x80000000, 0x3f800000, 0xbf800000, /* 0, 1 */
		0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, /* infinities, quiet NaNs */
		0x7fc12345, 0x7f812345, 0xff800001,             /* a payload, signalling NaNs */
		0x00000001, 0x80000001, 0x007fffff, 0x00800000, /* denormals, the least normal */
		0x7f7fffff, 0xff7fffff, 0x33800000, 0x3f000000, /* the greatest; 2^-24, 0.5 */
		0x4b000000, 0x4f000000, 0xcf000000, 0x5f000000, /* 2^23, 2^31, -2^31, 2^63 */
		0x3fc00000, 0x40200000, 0x40490fdb, 0x4effffff, /* 1.5, 2.5, pi, below 2^31 */
	};

	switch (random_below(r, 4)) {
	case 0:
	case 1: return edges[random_below(r, sizeof(edges) / sizeof(edges[0]))];
	case 2: /* near 1, where sums cancel and products stay */
		return (uint32_t)(random_next(r) & 0x807fffff) | (0x7du + random_below(r, 5)) << 23;
	default: return (uint32_t)random_next(r);
	}
}

static uint64_t random_double(struct native_random *r)
{
	static const uint64_t edges[] = {
		0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000,
		0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0xfff8000000000000,
		0x7ff8000000abcdef, 0x7ff0000000abcdef, 0xfff0000000000001, 0x0000000000000001,
		0x8000000000000001, 0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff,
		0xffefffffffffffff, 0x3ca0000000000000, 0x3fe0000000000000, 0x4330000000000000,
		0x41dfffffffc00000, 0x41e0000000000000, 0xc1e0000000000000, 0xc1e0000000200000,
		0x43e0000000000000, 0xc3e0000000000000, 0x3ff8000000000000, 0x4004000000000000,
		0x400921fb54442d18, 0x47efffffe0000000, 0x36a0000000000000, 0x380fffffc0000000,
	};

	switch (random_below(r, 4)) {
	case 0:
	case 1: return edges[random_below(r, sizeof(edges) / sizeof(edges[0]))];
	case 2:
		return (random_next(r) & 0x800fffffffffffff) |
		       (uint64_t)(0x3fd + random_below(r, 5)) << 52;
	default: return random_next(r);
	}
}

/* 80 bits, among them the encodings that no arithmetic makes (SDM 1 8.2.2). */
static void random_extended(struct native_random *r, uint8_t *ret)
{
	static const struct {
		uint64_t significand;
		uint16_t exponent;
	} edges[] = {
		{0, 0},                       /* 0 */
		{0x8000000000000000, 0x3fff}, /* 1 */
		{0x8000000000000000, 0x7fff}, /* infinity */
		{0xc000000000000000, 0x7fff}, /* quiet NaN */
		{0xc000000012345678, 0x7fff}, /* with a payload */
		{0x8000000012345678, 0x7fff}, /* signalling NaN */
		{0x0000000000000001, 0x0000}, /* denormal */
		{0x7fffffffffffffff, 0x0000},
		{0x8000000000000000, 0x0000}, /* pseudo-denormal */
		{0x8000000000000000, 0x0001},
		{0xffffffffffffffff, 0x7ffe}, /* the greatest */
		{0x8000000000000000, 0x3ffe}, /* 0.5 */
		{0xc000000000000000, 0x3fff}, /* 1.5 */
		{0xc90fdaa22168c235, 0x4000}, /* pi */
		{0x8000000000000000, 0x401e}, /* 2^31 */
		{0x8000000000000000, 0x403e}, /* 2^63 */
		{0xffffffffffffffff, 0x403d},
		{0x4000000000000000, 0x3fff}, /* unnormal: not supported */
		{0x0000000000000000, 0x7fff}, /* pseudo-infinity: not supported */
		{0x4000000000000000, 0x7fff}, /* pseudo-NaN: not supported */
	};
	uint64_t significand = random_next(r) | 1ull << 63;
	uint16_t exponent;

	switch (random_below(r, 4)) {
	case 0: {
		unsigned i = random_below(r, sizeof(edges) / sizeof(edges[0]));

		significand = edges[i].significand;
		exponent = edges[i].exponent;
		break;
	}
	case 1: exponent = (uint16_t)(0x3ffd + random_below(r, 5)); break;
	case 2: /* an integer */
		exponent = (uint16_t)(0x3fff + random_below(r, 64));
		significand &= ~0ull << (63 - (exponent - 0x3fff));
		break;
	default: exponent = (uint16_t)(random_next(r) & 0x7fff); break;
	}
	exponent |= (uint16_t)(random_next(r) & 0x8000);
	memcpy(ret, &significand, 8);
	memcpy(ret + 8, &exponent, 2);
}

/* Bytes as integers, or floating-point numbers of either kind. */
static void random_bytes(struct native_random *r, uint8_t *ret, size_t len)
{
	unsigned kind = random_below(r, 4);

	for (size_t i = 0; i < len; i += 8) {
		uint64_t value;

		switch (kind) {
		case 0: value = random_double(r); break;
		case 1: value = random_float(r) | (uint64_t)random_float(r) << 32; break;
		default: value = random_integer(r); break;
		}
		memcpy(ret + i, &value, 8);
	}
}

void random_fx(struct native_random *r, const struct native_form *form, struct native_fx *fx)
{
	unsigned top = random_below(r, 8);

	memset(fx, 0, sizeof(*fx));
	/* Mostly masked: what is not ends most operations. */
	fx->mxcsr = MXCSR_MASKS | (random_below(r, 3) ? 0 : (uint32_t)random_next(r) & 0xe07f);
	if (!random_below(r, 8))
		fx->mxcsr &= ~(1u << (7 + random_below(r, 6)));
	fx->control = (uint16_t)(CONTROL_MASKS | 0x40 | 3u << 8);
	if (!random_below(r, 3)) /* precision: 1 is reserved */
		fx->control =
			(uint16_t)(CONTROL_MASKS | 0x40 | (random_below(r, 2) ? 3u : 0u) << 8 |
				   (random_below(r, 3) ? 0 : 2u << 8) | random_below(r, 4) << 10);
	if ((fx->control >> 8 & 3) == 1)
		fx->control |= 3u << 8;
	if (!random_below(r, 8))
		fx->control &= (uint16_t) ~(1u << random_below(r, 6));
	/* The exceptions that are not masked are not pending: ES is theirs. */
	fx->status = (uint16_t)(top << 11 | (random_next(r) & 0x4700));
	fx->status |= (uint16_t)(random_next(r) & fx->control & CONTROL_MASKS);
	if (random_below(r, 2))
		fx->status &= 0xff80;
	fx->tag = 0xff;
	if (form->words & WORD_EMPTY)
		fx->tag = (uint8_t)random_next(r);
	else if (!random_below(r, 6))
		fx->tag &= (uint8_t) ~(1u << random_below(r, 8));
	for (unsigned i = 0; i < 8; i++) {
		if (form->words & WORD_MMX) {
			random_bytes(r, fx->st[i], 8);
			memset(fx->st[i] + 8, 0xff, 2);
		} else {
			random_extended(r, fx->st[i]);
		}
	}
	for (unsigned i = 0; i < 16; i++) {
		random_bytes(r, fx->xmm[i], 16);
		/* Operands that are equal, or nearly. */
		if (i && !random_below(r, 6))
			memcpy(fx->xmm[i], fx->xmm[i - 1], 16);
	}
}

uint64_t native_address(const struct native_form *form, const struct native_encoding *encoding,
			struct native_random *r)
{
	bool locked = form->prefix == PREFIX_LOCK || (form->words & WORD_ATOMIC);
	uint64_t address;

	switch (random_below(r, 24)) {
	case 0:
	case 1:
	case 2:
	case 3: /* across two pages that may both be written */
		address = NATIVE_MIDDLE - random_below(r, 16);
		break;
	case 4: /* into the page that may only be read */
		address = NATIVE_READ_ONLY - 16 + random_below(r, 20);
		break;
	case 5: /* into no page */
		address = random_below(r, 2) ? NATIVE_ABSENT - 16 + random_below(r, 20)
					     : NATIVE_DATA - 16 + random_below(r, 16);
		break;
	default: address = NATIVE_WINDOW + 64 + random_below(r, NATIVE_WINDOW_SIZE - 192); break;
	}
	/* What is read has to be what was prepared, or nothing. */
	if (form->words & (WORD_TARGET | WORD_MXCSR))
		address = random_below(r, 16) ? NATIVE_MIDDLE - 64 + random_below(r, 128)
					      : NATIVE_ABSENT + random_below(r, 256);
	if (form->words & WORD_HUGE)
		address = NATIVE_WINDOW + random_below(r, NATIVE_WINDOW_SIZE - 640);
	if ((form->words & WORD_ALIGN) && random_below(r, 8))
		address &= ~15ull;
	if ((form->words & WORD_ALIGN64) && random_below(r, 8))
		address &= ~63ull;
	/* Some hosts punish locks that cross a line. */
	if (locked)
		address &= ~(uint64_t)(form->size ? form->size - 1u : 15u);
	if (encoding->mode == NATIVE_64 && encoding->address_size == 8 && !random_below(r, 64))
		address = 0x8000000000000000 + random_below(r, 4096); /* not canonical */
	return address;
}

static uint64_t cut(const struct native_encoding *e, uint64_t value)
{
	return e->address_size == 8 ? value : (uint32_t)value;
}

/* Gives the registers of the memory operand values that lead to @address. */
static uint64_t solve(const struct native_encoding *e, struct native_random *r, uint64_t address,
		      uint64_t *gpr)
{
	uint64_t rest = address - e->segment_base - (uint64_t)e->disp;
	/* With 32-bit addresses the upper halves do not matter. */
	uint64_t upper = e->address_size == 4 && e->mode == NATIVE_64 ? random_next(r) << 32 : 0;

	if (e->base == NATIVE_NONE && e->index == NATIVE_NONE)
		return e->fixed;
	if (e->base == NATIVE_NONE) {
		gpr[e->index] = cut(e, rest >> e->scale) | upper;
		return cut(e, (gpr[e->index] << e->scale) + (uint64_t)e->disp) + e->segment_base;
	}
	if (e->index != NATIVE_NONE)
		rest -= gpr[e->index] << e->scale;
	gpr[e->base] = cut(e, rest) | upper;
	return address;
}

/* Puts @bytes at @address where that lies in the window. */
static void put(struct native_state *state, uint64_t address, const void *bytes, size_t len)
{
	if (address >= NATIVE_WINDOW && address + len <= NATIVE_WINDOW + NATIVE_WINDOW_SIZE)
		memcpy(state->window + (address - NATIVE_WINDOW), bytes, len);
}

static bool get(const struct native_state *state, uint64_t address, void *ret, size_t len)
{
	if (address < NATIVE_WINDOW || address + len > NATIVE_WINDOW + NATIVE_WINDOW_SIZE)
		return false;
	memcpy(ret, state->window + (address - NATIVE_WINDOW), len);
	return true;
}

static void prepare_string(const struct native_form *form, const struct native_encoding *e,
			   struct native_random *r, struct native_state *state)
{
	uint64_t upper = e->address_size == 4 && e->mode == NATIVE_64 ? random_next(r) << 32 : 0;

	uint64_t inside = NATIVE_MIDDLE - 64;
	unsigned edge = random_below(r, 4);

	/* Not both at an edge: which of two faults comes first is the processor's own affair. */
	state->gpr[X86_RSI] =
		(edge == 1 ? native_address(form, e, r) : inside + random_below(r, 128)) -
		e->segment_base;
	state->gpr[X86_RDI] =
		edge == 2 ? native_address(form, e, r) : inside + random_below(r, 128);
	state->gpr[X86_RSI] = cut(e, state->gpr[X86_RSI]) | upper;
	state->gpr[X86_RDI] = cut(e, state->gpr[X86_RDI]) | upper;
	state->gpr[X86_RCX] = random_below(r, random_below(r, 2) ? 3 : 40) | upper;
	/* Comparisons that go on. */
	if ((form->words & WORD_REPCC) && random_below(r, 3)) {
		memset(state->window, (int)random_below(r, 2) * 0xff, NATIVE_WINDOW_SIZE);
		state->gpr[X86_RAX] = random_below(r, 2) ? 0 : UINT64_MAX;
		for (unsigned i = 0; i < 4; i++)
			state->window[random_below(r, NATIVE_WINDOW_SIZE)] ^= 1;
	}
}

static uint64_t random_target(struct native_random *r)
{
	if (!random_below(r, 16))
		return NATIVE_DATA + random_below(r, 0x4000); /* no code there */
	/* Before or behind the instruction, never into it. */
	return random_below(r, 2) ? NATIVE_CODE + random_below(r, 0x700)
				  : NATIVE_CODE + 0x1100 + random_below(r, 0xe00);
}

static void prepare_target(const struct native_encoding *e, struct native_random *r,
			   struct native_state *state, uint64_t address)
{
	uint64_t target = random_target(r);

	if (e->memory)
		put(state, address, &target, sizeof(target));
	else if (e->rm != X86_RSP || state->gpr[X86_RSP] >> 63)
		state->gpr[e->rm & 15] = target;
	target = random_target(r);
	put(state, state->gpr[X86_RSP], &target, sizeof(target));
}

/* Half of the quotients fit. */
static void prepare_divide(const struct native_form *form, struct native_random *r,
			   struct native_state *state)
{
	uint64_t low = state->gpr[X86_RAX];
	bool negative = random_below(r, 2);

	switch (random_below(r, 3)) {
	case 0: /* sign-extended */
		state->gpr[X86_RDX] = negative ? UINT64_MAX : 0;
		if (form->size == 1)
			state->gpr[X86_RAX] = (low & ~0xff00ull) | (negative ? 0xff00 : 0);
		break;
	case 1:
		state->gpr[X86_RDX] = random_below(r, 16);
		if (form->size == 1)
			state->gpr[X86_RAX] = (low & ~0xff00ull) | (uint64_t)random_below(r, 16)
									   << 8;
		break;
	default: break;
	}
}

static void prepare_equal(const struct native_form *form, const struct native_encoding *e,
			  struct native_state *state, uint64_t address)
{
	uint64_t value[2] = {0, 0};

	/* What the address is made of stays. */
	if (e->memory && (e->base == X86_RAX || e->index == X86_RAX || e->base == X86_RDX ||
			  e->index == X86_RDX))
		return;
	if (!e->memory) {
		if (form->size > 1 || e->rm < 4)
			state->gpr[X86_RAX] = state->gpr[e->rm & 15];
	} else if (form->size && get(state, address, value, form->size)) {
		state->gpr[X86_RAX] = value[0];
	} else if (!form->size && get(state, address, value, 8)) { /* CMPXCHG8B */
		state->gpr[X86_RAX] = (uint32_t)value[0];
		state->gpr[X86_RDX] = value[0] >> 32;
	}
	if (form->size == 8 && form->modrm < 8 && get(state, address, value, 16)) { /* 16B */
		state->gpr[X86_RAX] = value[0];
		state->gpr[X86_RDX] = value[1];
	}
}

static void prepare_bound(const struct native_form *form, const struct native_encoding *e,
			  struct native_random *r, struct native_state *state, uint64_t address)
{
	int32_t index = (int32_t)state->gpr[e->reg], bounds[2];
	int16_t words[2];

	if (form->size == 2)
		index = (int16_t)index;
	bounds[0] = index - 2 + (int32_t)random_below(r, 5);
	bounds[1] = index - 2 + (int32_t)random_below(r, 5);
	words[0] = (int16_t)bounds[0];
	words[1] = (int16_t)bounds[1];
	if (form->size == 2)
		put(state, address, words, sizeof(words));
	else
		put(state, address, bounds, sizeof(bounds));
}

void native_prepare(const struct native_form *form, const struct native_encoding *e,
		    struct native_random *r, struct native_case *c)
{
	struct native_state *state = &c->before;
	uint64_t address = 0, words = form->words, value;

	memcpy(c->bytes, e->bytes, sizeof(c->bytes));
	c->length = e->length;
	c->mode = e->mode;
	c->at = e->at;
	c->fx = words & WORD_FX;
	random_bytes(r, state->window, NATIVE_WINDOW_SIZE);
	random_bytes(r, state->edge, NATIVE_EDGE_SIZE);
	for (unsigned i = 0; i < 16; i++)
		state->gpr[i] = random_integer(r);
	state->gpr[X86_RSP] = NATIVE_MIDDLE - 128 + random_below(r, 256);
	if (words & WORD_STACK) {
		state->gpr[X86_RBP] = NATIVE_MIDDLE - 128 + random_below(r, 256);
		if (!random_below(r, 32) && !(words & WORD_INSIDE))
			state->gpr[X86_RSP] = native_address(form, e, r);
	}
	state->rflags = (random_next(r) & NATIVE_FLAGS) | RFLAGS_ONE | RFLAGS_IF;
	if (random_below(r, 2)) /* code seldom has it set */
		state->rflags &= ~(uint64_t)RFLAGS_DF;
	if (c->fx)
		random_fx(r, form, &state->fx);

	if ((words & WORD_COUNT) && random_below(r, 2))
		state->gpr[X86_RCX] = random_below(r, 70);
	if (words & WORD_DIVIDE)
		prepare_divide(form, r, state);
	if ((words & WORD_BIT) && e->memory)
		state->gpr[e->reg] = (uint64_t)random_below(r, 2048) - 1024;
	if (words & WORD_DECIMAL) {
		value = random_below(r, 2) ? random_below(r, 10) << 4 | random_below(r, 10)
					   : random_below(r, 256);
		state->gpr[X86_RAX] = (state->gpr[X86_RAX] & ~0xffull) | value;
	}
	if (words & WORD_XLAT)
		state->gpr[X86_RBX] =
			native_address(form, e, r) - (uint8_t)state->gpr[X86_RAX] - e->segment_base;
	if (words & WORD_STRING)
		prepare_string(form, e, r, state);
	if (words & WORD_RDI)
		state->gpr[X86_RDI] =
			(words & WORD_INSIDE ? NATIVE_MIDDLE - 64 + random_below(r, 128)
					     : native_address(form, e, r)) -
			e->segment_base;
	if (e->memory) {
		/* The stack pointer as a base stays where the stack is. */
		if ((words & WORD_STACK) && e->base == X86_RSP)
			address = state->gpr[X86_RSP] + (uint64_t)e->disp;
		else
			address = solve(e, r, native_address(form, e, r), state->gpr);
	}
	if (words & WORD_TARGET)
		prepare_target(e, r, state, address);
	if ((words & WORD_EQUAL) && random_below(r, 2))
		prepare_equal(form, e, state, address);
	if ((words & WORD_BOUND) && random_below(r, 8))
		prepare_bound(form, e, r, state, address);
	if (words & WORD_MXCSR) {
		value = random_next(r) & (random_below(r, 8) ? 0xffff : 0xffffffff80f0ffff);
		put(state, address, &value, sizeof(value));
	}
	if (words & WORD_FLAGS) {
		value = (random_next(r) & NATIVE_FLAGS) | RFLAGS_ONE | RFLAGS_IF;
		put(state, state->gpr[X86_RSP], &value, sizeof(value));
	}
	/* A whole-register compare would see what 32-bit code cannot. */
	for (unsigned i = 0; c->mode == NATIVE_32 && i < 16; i++)
		state->gpr[i] = i < 8 ? (uint32_t)state->gpr[i] : 0;
}
