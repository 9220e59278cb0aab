/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A fuzzed guest as a whole: descriptors, handlers that resume somewhere, data. */
#include <string.h>

#include "fuzz.h"
#include "x86/segment.h"

#define HANDLER_SIZE 128u
#define CODE_RIGHTS  (SEG_P | SEG_S | SEG_CODE | SEG_READABLE | SEG_ACCESSED | SEG_G)
#define DATA_RIGHTS  (SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED | SEG_G | SEG_DB)
#define USER_RIGHTS  SEG_DPL

static void put(struct fuzz_program *program, uint32_t at, uint64_t value, unsigned size)
{
	memcpy(&program->low[at], &value, size);
}

static uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t rights)
{
	return (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(base >> 24) << 56 | (limit & 0xffff) |
	       (uint64_t)(limit & 0xf0000) << 32 | (uint64_t)rights << 40;
}

static void make_descriptors(struct fuzz_program *program)
{
	const uint64_t gdt[FUZZ_GDT_SIZE / 8] = {
		[FUZZ_SELECTOR_CODE / 8] =
			descriptor(0, 0xfffff, CODE_RIGHTS | (program->long_mode ? SEG_L : SEG_DB)),
		[FUZZ_SELECTOR_DATA / 8] = descriptor(0, 0xfffff, DATA_RIGHTS),
		[FUZZ_SELECTOR_CODE_32 / 8] = descriptor(0, 0xfffff, CODE_RIGHTS | SEG_DB),
		[FUZZ_SELECTOR_USER_32 / 8] =
			descriptor(0, 0xfffff, CODE_RIGHTS | SEG_DB | USER_RIGHTS),
		[FUZZ_SELECTOR_USER_DATA / 8] = descriptor(0, 0xfffff, DATA_RIGHTS | USER_RIGHTS),
		[FUZZ_SELECTOR_USER_64 / 8] =
			descriptor(0, 0xfffff, CODE_RIGHTS | SEG_L | USER_RIGHTS),
		[FUZZ_SELECTOR_TSS / 8] = descriptor(FUZZ_TSS, 0x67, SEG_P | SYS_TSS_AVAILABLE),
	};

	memcpy(&program->low[FUZZ_GDT], gdt, sizeof(gdt));
	if (program->long_mode) {
		put(program, FUZZ_TSS + 4, FUZZ_STACKS + 0x2000, 8);
		put(program, FUZZ_TSS + 36, FUZZ_STACKS + 0x3000, 8);
	} else {
		put(program, FUZZ_TSS + 4, FUZZ_STACKS + 0x2000, 4);
		put(program, FUZZ_TSS + 8, FUZZ_SELECTOR_DATA, 2);
	}
	for (unsigned i = 0; i < 4; i++) {
		bool idt = i & 1;

		put(program, FUZZ_POINTERS + 16 * i, idt ? 0xfff : FUZZ_GDT_SIZE - 1, 2);
		put(program, FUZZ_POINTERS + 16 * i + 2, idt ? FUZZ_IDT : FUZZ_GDT, 8);
	}
}

/*
 * A handler invalidates, acknowledges the interrupt, takes the next record and returns by it, so
 * that a guest goes on after any fault. It uses only what is mapped to itself.
 */
static void make_handler(struct fuzz_program *program, uint32_t at)
{
	static const uint8_t wide[] = {
		0x0f, 0x20, 0xd8,                /* mov rax, cr3 */
		0x0f, 0x22, 0xd8,                /* mov cr3, rax */
		0xb0, 0x20, 0xe6, 0x20,          /* mov al, 0x20; out 0x20, al */
		0xff, 0x04, 0x25, 0,    0, 0, 0, /* inc dword [counter] */
		0x8b, 0x04, 0x25, 0,    0, 0, 0, /* mov eax, [counter] */
		0x83, 0xe0, 0x3f,                /* and eax, 63 */
		0xc1, 0xe0, 0x06,                /* shl eax, 6 */
		0x48, 0x8d, 0xa0, 0,    0, 0, 0, /* lea rsp, [rax + records] */
		0x48, 0xcf,                      /* iretq */
	};
	static const uint8_t narrow[] = {
		0xb0, 0x20, 0xe6, 0x20,             /* mov al, 0x20; out 0x20, al */
		0xff, 0x05, 0,    0,    0,    0,    /* inc dword [counter] */
		0xa1, 0,    0,    0,    0,          /* mov eax, [counter] */
		0x83, 0xe0, 0x3f,                   /* and eax, 63 */
		0xc1, 0xe0, 0x06,                   /* shl eax, 6 */
		0x05, 0,    0,    0,    0,          /* add eax, records */
		0x8b, 0x60, 0x0c,                   /* mov esp, [eax + 12] */
		0xff, 0x70, 0x08,                   /* push [eax + 8], [eax + 4], [eax] */
		0xff, 0x70, 0x04, 0xff, 0x30, 0xcf, /* iretd */
	};
	const uint32_t counter = FUZZ_POINTERS + 0x800;

	if (program->long_mode) {
		memcpy(&program->low[at], wide, sizeof(wide));
		put(program, at + 13, counter, 4);
		put(program, at + 20, counter, 4);
		put(program, at + 33, FUZZ_RECORDS, 4);
	} else {
		memcpy(&program->low[at], narrow, sizeof(narrow));
		put(program, at + 6, counter, 4);
		put(program, at + 11, counter, 4);
		put(program, at + 22, FUZZ_RECORDS, 4);
	}
}

static void make_idt(struct fuzz_program *program, uint64_t *random)
{
	for (unsigned vector = 0; vector < 256; vector++) {
		uint64_t handler = FUZZ_HANDLERS + vector * HANDLER_SIZE, gate;
		uint64_t rights =
			SEG_P | (fuzz_one_in(random, 4) ? SYS_TRAP_GATE : SYS_INTERRUPT_GATE);

		if (fuzz_one_in(random, 4))
			rights |= SEG_DPL;
		gate = (handler & 0xffff) | (handler >> 16) << 48 |
		       (uint64_t)FUZZ_SELECTOR_CODE << 16 | rights << 40;
		if (program->long_mode && !fuzz_one_in(random, 8))
			gate |= 1ull << 32; /* IST1 */
		put(program, FUZZ_IDT + vector * (program->long_mode ? 16 : 8), gate, 8);
		make_handler(program, handler);
	}
	/* Handlers that fault themselves, some of them for ever. */
	if (fuzz_one_in(random, 12))
		put(program, FUZZ_HANDLERS + fuzz_below(random, 20) * HANDLER_SIZE,
		    fuzz_one_in(random, 2) ? 0x0b0f : fuzz_random(random), 8);
}

static void make_record(struct fuzz_program *program, uint64_t *random, unsigned number)
{
	struct way {
		uint16_t cs, ss;
		uint8_t list;
	};
	static const struct way ways_long[] = {
		{FUZZ_SELECTOR_CODE, FUZZ_SELECTOR_DATA, 0},
		{FUZZ_SELECTOR_CODE, FUZZ_SELECTOR_DATA, 0},
		{FUZZ_SELECTOR_CODE, FUZZ_SELECTOR_DATA, 0},
		{FUZZ_SELECTOR_USER_64, FUZZ_SELECTOR_USER_DATA, 0},
		{FUZZ_SELECTOR_USER_32, FUZZ_SELECTOR_USER_DATA, 1},
		{FUZZ_SELECTOR_CODE_32, FUZZ_SELECTOR_DATA, 1},
	};
	static const struct way way_short = {FUZZ_SELECTOR_CODE, FUZZ_SELECTOR_DATA, 0};
	const struct way *way = program->long_mode ? &ways_long[fuzz_below(random, 6)] : &way_short;
	unsigned size = program->long_mode ? 8 : 4;
	uint32_t at = FUZZ_RECORDS + number * FUZZ_RECORD_SIZE;
	uint64_t stack = way->cs & 3 ? FUZZ_STACK_USER : FUZZ_STACKS;

	put(program, at,
	    program->target[way->list][fuzz_below(random, program->nr_targets[way->list])], size);
	put(program, at + size, way->cs, size);
	put(program, at + 2 * size, 0x2 | (fuzz_one_in(random, 4) ? 0 : 0x200), size);
	put(program, at + 3 * size, stack + 0x1000 - 8 * fuzz_below(random, 16), size);
	put(program, at + 4 * size, way->ss, size);
}

void fuzz_program_make(struct fuzz_program *program, uint64_t seed)
{
	static const unsigned wildness[] = {0, 0, 0, 400, 50, 2};
	uint64_t random = seed * 2 + 1;
	unsigned kind = fuzz_below(&random, 3);

	memset(program, 0, sizeof(*program));
	program->seed = seed;
	program->memory = (1 + fuzz_below(&random, 8)) << 20;
	program->long_mode = !fuzz_one_in(&random, 6);
	program->confused = fuzz_one_in(&random, 4);
	program->aliases = program->confused || fuzz_one_in(&random, 2);
	program->wild = wildness[fuzz_below(&random, 6)];
	for (uint32_t i = 0; i < FUZZ_DATA_PAGES * 4096; i += 8)
		put(program, FUZZ_DATA + i,
		    fuzz_one_in(&random, 2) ? fuzz_random(&random)
					    : fuzz_tables_address(program, &random),
		    8);
	if (program->long_mode)
		fuzz_tables_make(program, &random);
	fuzz_code_make(program, &random, FUZZ_CODE, FUZZ_CODE_PAGES * 4096, program->long_mode,
		       kind);
	if (program->long_mode)
		fuzz_code_make(program, &random, FUZZ_COMPAT, FUZZ_COMPAT_PAGES * 4096, false,
			       kind);
	make_descriptors(program);
	make_idt(program, &random);
	for (unsigned i = 0; i < FUZZ_NR_RECORDS; i++)
		make_record(program, &random, i);
}
