/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A template under construction. */
#ifndef TESTS_FUZZ_CODE_H
#define TESTS_FUZZ_CODE_H

#include "fuzz.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

#define MAX_TEMPLATE 160

struct code {
	struct fuzz_program *program;
	uint64_t *random;
	bool wide; /* 64-bit code */
	unsigned len;
	uint8_t bytes[MAX_TEMPLATE];
};

static inline void emit(struct code *c, uint64_t value, unsigned size)
{
	for (; size && c->len < MAX_TEMPLATE; size--, value >>= 8)
		c->bytes[c->len++] = (uint8_t)value;
}

static inline void emit_bytes(struct code *c, const char *bytes, unsigned len)
{
	while (len--)
		emit(c, (uint8_t)*bytes++, 1);
}

#define EMIT(c, string) emit_bytes(c, string, sizeof(string) - 1)

static inline uint64_t below(struct code *c, uint64_t n)
{
	return fuzz_below(c->random, n);
}

static inline void load(struct code *c, unsigned reg, uint64_t value)
{
	if (c->wide)
		emit(c, 0x48 | reg >> 3, 1);
	emit(c, 0xb8 | (reg & 7), 1);
	emit(c, value, c->wide ? 8 : 4);
}

static inline uint64_t address(struct code *c)
{
	return fuzz_tables_address(c->program, c->random);
}

static inline uint64_t value(struct code *c)
{
	switch (below(c, 4)) {
	case 0: return below(c, 256);
	case 1: return fuzz_random(c->random);
	case 2: return -below(c, 256);
	default: return 1ull << below(c, 64);
	}
}

typedef void fuzz_template(struct code *c);

/* fuzz_system.c: what the supervisor does, allowed or not. */
fuzz_template template_ports, template_self_modify, template_flags, template_query, template_tables,
	template_invalidate, template_control, template_msr, template_segments, template_leave;

#endif
