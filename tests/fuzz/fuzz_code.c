/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code for fuzzed guests. A template is a few instructions that belong together: an operand's
 * address and its use, a table entry's change and the invalidation that the manual demands.
 */
#include <string.h>

#include "fuzz.h"
#include "x86/control.h"
#include "x86/decode.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

#define MAX_TEMPLATE 160

struct code {
	struct fuzz_program *program;
	uint64_t *random;
	bool wide; /* 64-bit code */
	unsigned len;
	uint8_t bytes[MAX_TEMPLATE];
};

static void emit(struct code *c, uint64_t value, unsigned size)
{
	for (; size && c->len < MAX_TEMPLATE; size--, value >>= 8)
		c->bytes[c->len++] = (uint8_t)value;
}

static void emit_bytes(struct code *c, const char *bytes, unsigned len)
{
	while (len--)
		emit(c, (uint8_t)*bytes++, 1);
}

#define EMIT(c, string) emit_bytes(c, string, sizeof(string) - 1)

static uint64_t below(struct code *c, uint64_t n)
{
	return fuzz_below(c->random, n);
}

static void load(struct code *c, unsigned reg, uint64_t value)
{
	if (c->wide)
		emit(c, 0x48 | reg >> 3, 1);
	emit(c, 0xb8 | (reg & 7), 1);
	emit(c, value, c->wide ? 8 : 4);
}

static uint64_t address(struct code *c)
{
	return fuzz_tables_address(c->program, c->random);
}

static uint64_t value(struct code *c)
{
	switch (below(c, 4)) {
	case 0: return below(c, 256);
	case 1: return fuzz_random(c->random);
	case 2: return -below(c, 256);
	default: return 1ull << below(c, 64);
	}
}

/* Instructions with ModRM; the immediate's size is 4 where the operand size decides. */
struct row {
	uint8_t escape; /* 0, or 0x0f */
	uint8_t first, last;
	uint8_t immediate;
};

static const struct row rows[] = {
	{0, 0x00, 0x03, 0},    {0, 0x08, 0x0b, 0},    {0, 0x10, 0x13, 0},    {0, 0x18, 0x1b, 0},
	{0, 0x20, 0x23, 0},    {0, 0x28, 0x2b, 0},    {0, 0x30, 0x33, 0},    {0, 0x38, 0x3b, 0},
	{0, 0x63, 0x63, 0},    {0, 0x69, 0x69, 4},    {0, 0x6b, 0x6b, 1},    {0, 0x80, 0x80, 1},
	{0, 0x81, 0x81, 4},    {0, 0x83, 0x83, 1},    {0, 0x84, 0x8b, 0},    {0, 0x84, 0x8b, 0},
	{0, 0x8c, 0x8d, 0},    {0, 0x8f, 0x8f, 0},    {0, 0xc0, 0xc1, 1},    {0, 0xd0, 0xd3, 0},
	{0, 0xf6, 0xf6, 1},    {0, 0xf7, 0xf7, 4},    {0, 0xfe, 0xff, 0},    {0, 0xc6, 0xc6, 1},
	{0, 0xc7, 0xc7, 4},    {0x0f, 0x40, 0x4f, 0}, {0x0f, 0x90, 0x9f, 0}, {0x0f, 0xa3, 0xa3, 0},
	{0x0f, 0xa4, 0xa4, 1}, {0x0f, 0xa5, 0xa5, 0}, {0x0f, 0xab, 0xab, 0}, {0x0f, 0xac, 0xac, 1},
	{0x0f, 0xad, 0xad, 0}, {0x0f, 0xaf, 0xb1, 0}, {0x0f, 0xb3, 0xb3, 0}, {0x0f, 0xb6, 0xb7, 0},
	{0x0f, 0xba, 0xba, 1}, {0x0f, 0xbb, 0xbf, 0}, {0x0f, 0xc0, 0xc1, 0}, {0x0f, 0xc7, 0xc7, 0},
	{0x0f, 0x10, 0x17, 0}, {0x0f, 0x28, 0x2f, 0}, {0x0f, 0x51, 0x5f, 0}, {0x0f, 0x60, 0x6f, 0},
	{0x0f, 0x70, 0x70, 1}, {0x0f, 0x74, 0x76, 0}, {0x0f, 0x7e, 0x7f, 0}, {0x0f, 0xc2, 0xc2, 1},
	{0x0f, 0xc6, 0xc6, 1}, {0x0f, 0xd1, 0xff, 0}, {0x0f, 0xae, 0xae, 0}, {0x0f, 0xc3, 0xc5, 1},
	{0, 0xd8, 0xdf, 0},
};

/* Whether the CPU refuses by name what the code has from @from on: that ends the guest. */
static bool refused(const struct code *c, unsigned from)
{
	static const uint8_t emms[] = {0x0f, 0x77};
	enum x86_code_mode mode = c->wide ? X86_CODE_64 : X86_CODE_32;
	static struct x86_decoders decoders;
	struct x86_insn insn, refusal;

	x86_decoders_init(&decoders);
	x86_decode(&decoders, mode, emms, sizeof(emms), &refusal);
	return x86_decode(&decoders, mode, &c->bytes[from], c->len - from, &insn) ==
		       X86_PLACE_CUT ||
	       insn.exec == refusal.exec;
}

static void try_row(struct code *c, bool memory)
{
	const struct row *row = &rows[below(c, sizeof(rows) / sizeof(rows[0]))];
	unsigned rex = 0x40 | below(c, 16), base = below(c, 2) ? RBX : RSI;
	unsigned immediate = row->immediate, opcode;
	bool prefix_66 = false;

	opcode = row->first + below(c, row->last - row->first + 1u);
	if (below(c, 24) == 0)
		emit(c, 0xf0, 1);
	switch (below(c, row->escape ? 5 : 12)) {
	case 0:
		emit(c, 0x66, 1);
		prefix_66 = true;
		break;
	case 1: emit(c, row->escape ? 0xf2 : 0x67, 1); break;
	case 2: emit(c, row->escape ? 0xf3 : below(c, 2) ? 0x64 : 0x65, 1); break;
	default: break;
	}
	if (memory)
		rex &= ~3u; /* base and index as chosen here */
	if (c->wide && below(c, 4))
		emit(c, rex, 1);
	else
		rex = 0;
	if (row->escape)
		emit(c, row->escape, 1);
	emit(c, opcode, 1);
	if (!memory) {
		emit(c, 0xc0 | below(c, 64), 1);
	} else if (below(c, 4)) {
		emit(c, 0x40 | below(c, 8) << 3 | base, 1);
		emit(c, below(c, 4) ? below(c, 16) : below(c, 256), 1);
	} else { /* base, and RCX as index */
		emit(c, 0x44 | below(c, 8) << 3, 1);
		emit(c, below(c, 4) << 6 | RCX << 3 | base, 1);
		emit(c, below(c, 256), 1);
	}
	if (immediate == 4 && prefix_66 && !(rex & 8))
		immediate = 2;
	emit(c, value(c), immediate);
}

static void emit_row(struct code *c, bool memory)
{
	for (unsigned from = c->len;; c->len = from) {
		try_row(c, memory);
		if (!refused(c, from) || below(c, 2000) == 0)
			return;
	}
}

static void template_registers(struct code *c)
{
	emit_row(c, false);
}

static void template_memory(struct code *c)
{
	load(c, RBX, address(c));
	if (below(c, 2))
		load(c, RSI, address(c));
	if (below(c, 2))
		load(c, RCX, below(c, 32));
	for (unsigned n = 1 + below(c, 3); n; n--)
		emit_row(c, true);
}

static void template_string(struct code *c)
{
	static const uint8_t opcodes[] = {0xa4, 0xa5, 0xa6, 0xa7, 0xaa,
					  0xab, 0xac, 0xad, 0xae, 0xaf};
	static const uint32_t counts[] = {0, 1, 7, 64, 600, 4096, 20000, 0x7fffffff};

	load(c, RSI, address(c));
	load(c, RDI, address(c));
	load(c, RCX, below(c, 32) ? counts[below(c, 6)] : counts[below(c, 8)]);
	if (below(c, 4) == 0)
		EMIT(c, "\xfd"); /* STD */
	if (below(c, 8))
		emit(c, 0xf2 | below(c, 2), 1);
	switch (below(c, 6)) {
	case 0: emit(c, 0x66, 1); break;
	case 1:
	case 2:
		if (c->wide)
			emit(c, 0x48, 1);
		break;
	case 3: emit(c, c->wide && below(c, 2) ? 0x67 : 0x64, 1); break;
	default: break;
	}
	emit(c, opcodes[below(c, sizeof(opcodes))], 1);
	EMIT(c, "\xfc"); /* CLD */
}

static void template_stack(struct code *c)
{
	switch (below(c, 8)) {
	case 0:
		load(c, RSP, address(c));
		emit(c, 0x50 | below(c, 8), 1);
		emit(c, 0x58 | below(c, 8), 1);
		break;
	case 1: EMIT(c, "\x9c\x58"); break; /* PUSHF; POP RAX */
	case 2:
		EMIT(c, "\x68"); /* PUSH imm32; POPF */
		emit(c,
		     (fuzz_random(c->random) & 0xed5) | 2 | (below(c, 8) ? 0 : 0x100) |
			     (below(c, 64) ? 0 : 0x40000),
		     4);
		EMIT(c, "\x9d");
		break;
	case 3: EMIT(c, "\xc8\x10\x00\x00\xc9"); break; /* ENTER 16, 0; LEAVE */
	case 4: EMIT(c, "\xc3"); break;
	case 5: load(c, RSP, FUZZ_STACKS + 0x1000 - below(c, 64)); break;
	case 6: emit(c, c->wide ? 0x50 | below(c, 8) : 0x60 | below(c, 2), 1); break;
	default:
		emit(c, 0x6a, 1);
		emit(c, below(c, 256), 1);
		emit(c, 0x58 | below(c, 8), 1);
		break;
	}
}

static void template_branch(struct code *c)
{
	switch (below(c, 6)) {
	case 0:
		emit(c, 0x70 | below(c, 16), 1);
		emit(c, below(c, 4) ? below(c, 24) : below(c, 256), 1);
		break;
	case 1: /* CALL forward */
		emit(c, 0xe8, 1);
		emit(c, below(c, 200), 4);
		break;
	case 2:
		EMIT(c, "\x0f");
		emit(c, 0x80 | below(c, 16), 1);
		emit(c, below(c, 0x1000) - 0x200, 4);
		break;
	case 3: /* ECX = n; INC EBX; LOOP */
		load(c, RCX, below(c, 50));
		EMIT(c, "\xff\xc3\xe2\xfc");
		break;
	case 4:
		emit(c, 0xe9, 1);
		emit(c, below(c, 0x1000) - 0x200, 4);
		break;
	default:
		load(c, RAX,
		     below(c, 8) ? FUZZ_CODE + below(c, FUZZ_CODE_PAGES * 4096) : address(c));
		EMIT(c, "\xff\xe0");
		break;
	}
}

static void template_ports(struct code *c)
{
	static const uint16_t ports[] = {0x3f8, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd,
					 0x3fe, 0x20,  0x21,  0xa0,  0xa1,  0x40,  0x41,
					 0x42,  0x43,  0x61,  0x70,  0x71,  0x92,  0x4d0,
					 0x4d1, 0xcf8, 0xcfc, 0x40,  0x43,  0x21};
	static const uint8_t ways[] = {0xec, 0xed, 0xee, 0xef, 0xee, 0xee};
	uint16_t port = below(c, 32) ? ports[below(c, sizeof(ports) / sizeof(ports[0]))]
				     : fuzz_random(c->random);

	load(c, RDX, port);
	load(c, RAX, value(c) & (port == 0x92 ? ~1ull : ~0ull));
	if (below(c, 6)) {
		emit(c, ways[below(c, sizeof(ways))], 1);
		return;
	}
	load(c, RSI, address(c)); /* INS, OUTS */
	load(c, RDI, address(c));
	load(c, RCX, below(c, 300));
	if (below(c, 2))
		emit(c, 0xf3, 1);
	emit(c, 0x6c | below(c, 4), 1);
}

static void template_self_modify(struct code *c)
{
	load(c, RBX, FUZZ_CODE + below(c, FUZZ_CODE_PAGES * 4096));
	switch (below(c, 3)) {
	case 0:
		EMIT(c, "\xc6\x03"); /* MOV byte [RBX], imm8 */
		emit(c, below(c, 2) ? 0x90 : below(c, 256), 1);
		break;
	case 1: EMIT(c, "\xff\x03"); break; /* INC dword [RBX] */
	default:                            /* the instruction after this one */
		if (c->wide)
			EMIT(c, "\xc6\x05\x02\x00\x00\x00\x48\x90\x90\x90\x90");
		break;
	}
}

static void template_flags(struct code *c)
{
	static const uint8_t plain[] = {0xfa, 0xfb, 0xfb, 0xf8, 0xf9, 0xf5, 0xfc, 0xfd,
					0x98, 0x99, 0x9e, 0x9f, 0x90, 0xd7, 0xcc, 0xfb};

	if (below(c, 16) == 0)
		emit_bytes(c, "\xfb\xf4", below(c, 16) ? 2 : 1); /* STI; HLT */
	emit(c, plain[below(c, sizeof(plain))], 1);
	if (below(c, 16) == 0) {
		emit(c, 0xcd, 1);
		emit(c, fuzz_random(c->random), 1);
	}
}

static void template_query(struct code *c)
{
	static const char queries[][3] = {"\x0f\xa2", "\x0f\x31", "\x0f\x0b",
					  "\x0f\x06", "\x0f\x09", "\x0f\x33"};

	load(c, RAX, below(c, 8));
	emit_bytes(c, queries[below(c, sizeof(queries) / sizeof(queries[0]))], 2);
}

/* CR3 from and to itself. */
static void reload_cr3(struct code *c)
{
	EMIT(c, "\x0f\x20\xda\x0f\x22\xda");
}

/* A use of the address in RSI. */
static void touch(struct code *c)
{
	static const char *const uses[] = {"\x8b\x06", "\x01\x16", "\xff\x06", "\x89\x16"};

	emit_bytes(c, uses[below(c, 4)], 2);
}

/* A change of a table entry, invalidated at once; most often of an address in use. */
static void template_tables(struct code *c)
{
	uint64_t gpa, entry, gva = 0;
	bool several = false;

	if (!c->wide)
		return;
	fuzz_tables_change(c->program, c->random, &gpa, &entry, &gva);
	if (gva) {
		load(c, RSI, gva + below(c, 4096 / 8) * 8);
		touch(c);
	}
	load(c, RBX, FUZZ_WINDOW + gpa);
	load(c, RAX, entry);
	switch (below(c, 8)) {
	case 0:
		EMIT(c, "\xf0\x48\x0f\xba\x2b");
		emit(c, below(c, 7), 1);
		break; /* BTS */
	case 1:
		EMIT(c, "\xf0\x48\x0f\xba\x33");
		emit(c, below(c, 7), 1);
		break;                          /* BTR */
	case 2: EMIT(c, "\x48\x87\x03"); break; /* XCHG */
	case 3: EMIT(c, "\x88\x03"); break;     /* MOV byte */
	case 4:                                 /* several */
		load(c, RDI, FUZZ_WINDOW + gpa);
		load(c, RCX, 1 + below(c, 4));
		EMIT(c, "\xf3\x48\xab");
		several = true;
		break;
	default: EMIT(c, "\x48\x89\x03"); break;
	}
	/* The same table lies below two entries; below others too, if there are aliases. */
	if (gva && !several && !c->program->aliases && below(c, 4))
		EMIT(c, "\x0f\x01\x3e\x0f\x01\xbe\x00\x00\x20\x00");
	else
		reload_cr3(c);
	if (gva)
		touch(c);
}

static void template_invalidate(struct code *c)
{
	load(c, RBX, address(c));
	switch (below(c, 6)) {
	case 0: reload_cr3(c); break;
	case 1:
		load(c, RAX, FUZZ_PML4 + below(c, 2) * 4096);
		EMIT(c, "\x0f\x22\xd8");
		break;
	default: EMIT(c, "\x0f\x01\x3b"); break; /* INVLPG [RBX] */
	}
}

static void template_control(struct code *c)
{
	static const uint8_t cr0_bits[] = {16, 16, 16, 3, 2, 5, 18, 30};
	static const uint16_t cr4_bits[] = {9, 9, 4, 2, 10, 7};
	unsigned cr4 = below(c, 3) == 0;

	emit(c, 0x0f, 1);
	emit(c, 0x20, 1);
	emit(c, cr4 ? 0xe0 : 0xc0, 1); /* MOV RAX, CRn */
	EMIT(c, "\x0f\xba\xf8");       /* BTC EAX, imm8 */
	emit(c, cr4 ? cr4_bits[below(c, 6)] : cr0_bits[below(c, 8)], 1);
	emit(c, 0x0f, 1);
	emit(c, 0x22, 1);
	emit(c, cr4 ? 0xe0 : 0xc0, 1);
	if (below(c, 4) == 0)
		EMIT(c, "\x0f\x06"); /* CLTS */
}

static void template_msr(struct code *c)
{
	static const uint32_t msrs[] = {MSR_EFER,           MSR_EFER,    MSR_STAR,    MSR_LSTAR,
					MSR_SFMASK,         MSR_FS_BASE, MSR_GS_BASE, MSR_TSC,
					MSR_KERNEL_GS_BASE, MSR_PAT};
	uint32_t msr = msrs[below(c, sizeof(msrs) / sizeof(msrs[0]))];

	load(c, RCX, below(c, 32) ? msr : (uint32_t)fuzz_random(c->random));
	EMIT(c, "\x0f\x32"); /* RDMSR */
	if (msr == MSR_EFER) {
		EMIT(c, "\x0f\xba\xf8");
		emit(c, below(c, 4) ? 11 : 0, 1);
	} else if (msr == MSR_STAR) {
		load(c, RDX, FUZZ_SELECTOR_USER_32 << 16 | FUZZ_SELECTOR_CODE);
	} else {
		load(c, RAX, msr == MSR_LSTAR ? FUZZ_CODE + below(c, 0x8000) : address(c));
		load(c, RDX, 0);
	}
	EMIT(c, "\x0f\x30");
}

static void template_segments(struct code *c)
{
	static const uint16_t selectors[] = {
		FUZZ_SELECTOR_DATA, FUZZ_SELECTOR_DATA, FUZZ_SELECTOR_USER_DATA, 0, 3,
		FUZZ_SELECTOR_CODE, FUZZ_SELECTOR_TSS};
	unsigned sreg = below(c, 6), table;

	switch (below(c, 8)) {
	case 0: /* LGDT, LIDT */
		table = below(c, 2);
		load(c, RBX, FUZZ_POINTERS + 16 * (below(c, 32) ? table : below(c, 4)));
		emit(c, 0x0f, 1);
		emit(c, 0x01, 1);
		emit(c, table ? 0x1b : 0x13, 1);
		break;
	case 1: /* SGDT, SIDT, SLDT, STR, SMSW */
		load(c, RBX, address(c));
		emit(c, 0x0f, 1);
		emit(c, below(c, 2), 1);
		emit(c, 0x03 | below(c, 2) << 3, 1);
		break;
	case 2:
		load(c, RAX, FUZZ_SELECTOR_TSS);
		EMIT(c, "\x0f\x00\xd8"); /* LTR */
		break;
	case 3:
		if (c->wide)
			EMIT(c, "\x0f\x01\xf8"); /* SWAPGS */
		break;
	case 4: /* LAR, LSL, VERR */
		load(c, RAX, below(c, FUZZ_GDT_SIZE + 16));
		EMIT(c, "\x0f");
		emit(c, 0x02 | below(c, 2), 1);
		emit(c, 0xc8, 1);
		break;
	default:
		load(c, RAX, below(c, 16) ? selectors[below(c, 7)] : below(c, 0x10000));
		emit(c, 0x8e, 1);
		emit(c, 0xc0 | sreg << 3, 1);
		break;
	}
}

/* IRET to somewhere by a frame on the stack, SYSCALL, SYSRET, SYSENTER. */
static void template_leave(struct code *c)
{
	unsigned record = FUZZ_RECORDS + FUZZ_RECORD_SIZE * below(c, FUZZ_NR_RECORDS);

	switch (below(c, 8)) {
	case 0: EMIT(c, "\x0f\x05"); break;
	case 1:
		load(c, RCX, FUZZ_CODE + below(c, 0x8000));
		load(c, 3, 0);
		EMIT(c, "\x48\x0f\x07");
		break;
	case 2: EMIT(c, "\xcb"); break;
	case 3: EMIT(c, "\x0f\x34"); break;
	default:
		load(c, RSP, record);
		emit(c, 0x48, 1);
		emit(c, 0xcf, 1);
		break;
	}
}

static void template_bytes(struct code *c)
{
	for (unsigned n = 1 + below(c, 12); n; n--)
		emit(c, fuzz_random(c->random), 1);
}

struct template
{
	void (*make)(struct code * c);
	uint8_t share[3]; /* by kind of guest: all of it, memory, system */
};

static const struct template templates[] = {
	{template_registers, {6, 4, 2}},   {template_memory, {8, 14, 4}},
	{template_string, {3, 4, 1}},      {template_stack, {4, 3, 2}},
	{template_branch, {3, 2, 2}},      {template_ports, {2, 0, 3}},
	{template_self_modify, {2, 1, 1}}, {template_flags, {3, 1, 3}},
	{template_query, {1, 0, 1}},       {template_tables, {6, 8, 6}},
	{template_invalidate, {2, 3, 3}},  {template_control, {2, 1, 4}},
	{template_msr, {1, 0, 3}},         {template_segments, {2, 0, 6}},
	{template_leave, {2, 1, 5}},
};

#define NR_TEMPLATES (sizeof(templates) / sizeof(templates[0]))

static const struct template *choose(struct code *c, unsigned kind)
{
	unsigned total = 0, at;

	for (size_t i = 0; i < NR_TEMPLATES; i++)
		total += templates[i].share[kind];
	at = below(c, total);
	for (size_t i = 0;; i++) {
		if (at < templates[i].share[kind])
			return &templates[i];
		at -= templates[i].share[kind];
	}
}

void fuzz_code_make(struct fuzz_program *program, uint64_t *random, uint32_t at, uint32_t size,
		    bool wide, unsigned kind)
{
	struct code c = {.program = program, .random = random, .wide = wide};
	unsigned list = wide != program->long_mode;
	uint32_t end = at + size;

	for (;;) {
		c.len = 0;
		if (program->wild && below(&c, program->wild) == 0)
			template_bytes(&c);
		else
			choose(&c, kind)->make(&c);
		if (at + c.len > end)
			break;
		if (program->nr_targets[list] < FUZZ_MAX_TARGETS)
			program->target[list][program->nr_targets[list]++] = at;
		memcpy(&program->low[at], c.bytes, c.len);
		at += c.len;
	}
	memset(&program->low[at], 0xcc, end - at);
}
