/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must be the same on both sides, and what the manual leaves open. */
#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "host_vendor.h"
#include "native.h"

#define FLAGS_COMPARED (NATIVE_FLAGS | RFLAGS_AC | RFLAGS_NT | RFLAGS_IOPL)
#define STATUS_FLAGS   0x3fu
#define STATUS_C1      0x200u
#define APPROX_LOW     11u /* bits of a float below its first 12 of significand */

uint64_t native_rest(uint8_t *first, uint8_t *second)
{
	const size_t before = NATIVE_WINDOW - NATIVE_DATA;
	const size_t behind = NATIVE_WINDOW + NATIVE_WINDOW_SIZE - NATIVE_MIDDLE;
	const size_t last = NATIVE_EDGE - NATIVE_MIDDLE - behind;
	uint64_t hash = XXH3_64bits(first, before) ^ XXH3_64bits(second + behind, last) << 1;

	memset(first, 0, before);
	memset(second + behind, 0, last);
	return hash;
}

static unsigned count_of(const struct native_form *form, const struct native_encoding *e,
			 const struct native_case *c)
{
	unsigned count = (uint8_t)c->before.gpr[X86_RCX];
	bool imm = false;

	for (unsigned i = 0; i < form->nr_tokens; i++)
		imm |= form->tokens[i].kind == TOKEN_IMM;
	if (imm)
		count = e->imm;
	else if ((form->tokens[0].byte & 0xfe) == 0xd0)
		count = 1;
	return count & (form->size == 8 ? 63 : 31);
}

/* SDM 2B SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD. */
static uint32_t undefined_of(const struct native_form *form, const struct native_encoding *e,
			     const struct native_case *c, bool *ret_result)
{
	uint64_t words = form->words;
	uint32_t undefined = form->row->undefined;
	unsigned count, bits = 8u * form->size;

	*ret_result = true;
	if (!(words & (WORD_SHIFT | WORD_ROTATE | WORD_DOUBLE)))
		return undefined;
	count = count_of(form, e, c);
	if (count == 0)
		return 0;
	if (count > 1)
		undefined |= RFLAGS_OF;
	if (words & WORD_ROTATE)
		return undefined;
	undefined |= RFLAGS_AF;
	/* SAR shifts copies of the sign out. */
	if ((words & WORD_SHIFT) && count >= bits && form->modrm != 7)
		undefined |= RFLAGS_CF;
	if ((words & WORD_DOUBLE) && count > bits) {
		undefined = RFLAGS_ARITHMETIC;
		*ret_result = false;
	}
	return undefined;
}

static bool same_float(uint32_t a, uint32_t b)
{
	return a == b || (a ^ b) >> APPROX_LOW == 0 || (a >> APPROX_LOW) + 1 == b >> APPROX_LOW ||
	       (b >> APPROX_LOW) + 1 == a >> APPROX_LOW;
}

static bool same_xmm(const struct native_form *form, const uint8_t *a, const uint8_t *b)
{
	uint32_t x[4], y[4];

	if (!(form->words & WORD_APPROX))
		return !memcmp(a, b, 16);
	memcpy(x, a, 16);
	memcpy(y, b, 16);
	for (unsigned i = 0; i < 4; i++)
		if (!same_float(x[i], y[i]))
			return false;
	return true;
}

static bool is_nan(const uint8_t *st)
{
	return (st[9] & 0x7f) == 0x7f && st[8] == 0xff && (st[7] & 0x7f);
}

static bool has_unmasked(const struct native_fx *fx)
{
	return fx->status & ~fx->control & STATUS_FLAGS;
}

static bool same_x87(const struct native_form *form, const struct native_fx *a,
		     const struct native_fx *b)
{
	uint16_t status = form->words & WORD_C1 ? (uint16_t)~STATUS_C1 : UINT16_MAX;

	if ((form->words & WORD_UNMASKED) && has_unmasked(a))
		return !((a->status ^ b->status) & STATUS_FLAGS);
	if (a->control != b->control || ((a->status ^ b->status) & status) || a->tag != b->tag)
		return false;
	for (unsigned i = 0; i < 8; i++) {
		if (!memcmp(a->st[i], b->st[i], 10))
			continue;
		if (!(form->words & WORD_NAN) || !is_nan(a->st[i]) || !is_nan(b->st[i]))
			return false;
	}
	return true;
}

static bool same_sse(const struct native_form *form, const struct native_fx *a,
		     const struct native_fx *b)
{
	if (a->mxcsr != b->mxcsr)
		return false;
	for (unsigned i = 0; i < 16; i++)
		if (!same_xmm(form, a->xmm[i], b->xmm[i]))
			return false;
	return true;
}

/* SDM 3A 12.2: TOP becomes 0; registers stay where they are, which is another ST(i) for each. */
static void make_transition(struct native_fx *fx)
{
	unsigned top = fx->status >> 11 & 7;
	struct native_fx before = *fx;

	fx->status &= (uint16_t) ~(7u << 11);
	for (unsigned i = 0; i < 8; i++)
		memcpy(fx->st[(top + i) & 7], before.st[i], sizeof(fx->st[i]));
}

/* The transition to MMX has happened when the operand faults, or not, or but for the tags. */
static bool same_late(const struct native_form *form, const struct native_fx *host,
		      const struct native_fx *guest)
{
	struct native_fx moved = *guest;

	make_transition(&moved);
	if (same_x87(form, host, guest) || same_x87(form, host, &moved))
		return true;
	moved.tag = 0xff;
	return same_x87(form, host, &moved);
}

static bool same_memory(const struct native_form *form, const struct native_case *c,
			const struct native_state *guest)
{
	const struct native_state *host = &c->after;
	uint8_t window[NATIVE_WINDOW_SIZE], edge[NATIVE_EDGE_SIZE];
	uint64_t pushed = c->before.gpr[X86_RSP] - sizeof(uint64_t), next = c->at + c->length;

	memcpy(window, guest->window, sizeof(window));
	memcpy(edge, guest->edge, sizeof(edge));
	if ((form->words & WORD_PARTS) && host->vector == X86_PF &&
	    host->address == NATIVE_READ_ONLY)
		memcpy(edge + NATIVE_EDGE_SIZE - 9, host->edge + NATIVE_EDGE_SIZE - 9, 9);
	if ((form->words & WORD_PUSHED) && host->vector == X86_GP && !host_is_amd() &&
	    pushed >= NATIVE_WINDOW &&
	    pushed + sizeof(next) <= NATIVE_WINDOW + NATIVE_WINDOW_SIZE &&
	    !memcmp(host->window + (pushed - NATIVE_WINDOW), &next, sizeof(next)))
		memcpy(window + (pushed - NATIVE_WINDOW), &next, sizeof(next));
	return !memcmp(host->window, window, sizeof(window)) &&
	       !memcmp(host->edge, edge, sizeof(edge));
}

bool native_same(const struct native_form *form, const struct native_encoding *e,
		 const struct native_case *c, const struct native_state *guest)
{
	const struct native_state *host = &c->after;
	uint32_t mask;
	bool result, late;

	mask = FLAGS_COMPARED & ~undefined_of(form, e, c, &result);
	if ((form->words & WORD_STORE) && host_is_amd() && host->vector != NATIVE_DONE &&
	    has_unmasked(&guest->fx))
		return true;
	if ((form->words & WORD_UNMASKED) && has_unmasked(&host->fx))
		mask = 0;
	if (host->vector != guest->vector || host->rip != guest->rip)
		return false;
	if (host->vector == X86_PF && host->address != guest->address)
		return false;
	if (host->vector != NATIVE_DONE && host->error != guest->error)
		return false;
	if ((host->rflags ^ guest->rflags) & mask)
		return false;
	if (!result)
		return true;
	for (unsigned i = 0; i < (c->mode == NATIVE_64 ? 16 : 8); i++)
		if (host->gpr[i] != guest->gpr[i])
			return false;
	late = host->vector != NATIVE_DONE && (form->words & WORD_LATE);
	if (c->fx && !(late ? host_is_amd() || same_late(form, &host->fx, &guest->fx)
			    : same_x87(form, &host->fx, &guest->fx)))
		return false;
	if (c->fx && !same_sse(form, &host->fx, &guest->fx))
		return false;
	return same_memory(form, c, guest);
}

static void describe_fx(FILE *file, const char *name, const struct native_fx *fx)
{
	fprintf(file, "#   %s fcw %04x fsw %04x tag %02x mxcsr %04x\n", name, fx->control,
		fx->status, fx->tag, fx->mxcsr);
}

static void line(FILE *file, const char *name, uint64_t before, uint64_t host, uint64_t guest)
{
	fprintf(file, "#   %-6s %016" PRIx64 " host %016" PRIx64 " umbra %016" PRIx64 "%s\n", name,
		before, host, guest, host == guest ? "" : " *");
}

void native_describe(FILE *file, const struct native_form *form, const struct native_encoding *e,
		     const struct native_case *c, const struct native_state *guest)
{
	static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
					      "rsi", "rdi", "r8",  "r9",  "r10", "r11",
					      "r12", "r13", "r14", "r15"};
	const struct native_state *before = &c->before, *host = &c->after;
	unsigned printed = 0;
	uint32_t mask;
	bool result;

	mask = FLAGS_COMPARED & ~undefined_of(form, e, c, &result);
	fprintf(file, "# %s, %s-bit:", form->name, c->mode == NATIVE_64 ? "64" : "32");
	for (unsigned i = 0; i < c->length; i++)
		fprintf(file, " %02x", c->bytes[i]);
	fprintf(file,
		"\n#   vector host %02x umbra %02x, error %x %x, address %" PRIx64 " %" PRIx64 "\n",
		host->vector, guest->vector, host->error, guest->error, host->address,
		guest->address);
	line(file, "rip", c->at, host->rip, guest->rip);
	line(file, "flags", before->rflags & mask, host->rflags & mask, guest->rflags & mask);
	for (unsigned i = 0; i < (c->mode == NATIVE_64 ? 16 : 8); i++)
		line(file, names[i], before->gpr[i], host->gpr[i], guest->gpr[i]);
	for (unsigned i = 0; i < NATIVE_WINDOW_SIZE && printed < 8; i += 8) {
		uint64_t b, h, g;

		memcpy(&b, before->window + i, 8);
		memcpy(&h, host->window + i, 8);
		memcpy(&g, guest->window + i, 8);
		if (h != g) {
			fprintf(file,
				"#   at %" PRIx64 ": %016" PRIx64 " host %016" PRIx64
				" umbra %016" PRIx64 " *\n",
				(uint64_t)(NATIVE_WINDOW + i), b, h, g);
			printed++;
		}
	}
	if (!c->fx)
		return;
	describe_fx(file, "before", &before->fx);
	describe_fx(file, "host  ", &host->fx);
	describe_fx(file, "umbra ", &guest->fx);
	for (unsigned i = 0; i < 8; i++) {
		uint64_t b[2] = {0}, h[2] = {0}, g[2] = {0};

		memcpy(b, before->fx.st[i], 10);
		memcpy(h, host->fx.st[i], 10);
		memcpy(g, guest->fx.st[i], 10);
		fprintf(file,
			"#   st%u %04" PRIx64 "%016" PRIx64 " host %04" PRIx64 "%016" PRIx64
			" umbra %04" PRIx64 "%016" PRIx64 "%s\n",
			i, b[1], b[0], h[1], h[0], g[1], g[0], memcmp(h, g, 10) ? " *" : "");
	}
	for (unsigned i = 0; i < 16; i++) {
		uint64_t b[2], h[2], g[2];

		memcpy(b, before->fx.xmm[i], 16);
		memcpy(h, host->fx.xmm[i], 16);
		memcpy(g, guest->fx.xmm[i], 16);
		fprintf(file,
			"#   xmm%-2u %016" PRIx64 "%016" PRIx64 " host %016" PRIx64 "%016" PRIx64
			" umbra %016" PRIx64 "%016" PRIx64 "%s\n",
			i, b[1], b[0], h[1], h[0], g[1], g[0], memcmp(h, g, 16) ? " *" : "");
	}
}
