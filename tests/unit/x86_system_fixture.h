/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A CPU in a small machine for tests: 64-bit mode with the first MiB mapped to itself (or 32-bit
 * mode without paging), a GDT with a segment of each kind, a TSS, an IDT whose handlers halt.
 */
#ifndef TESTS_X86_SYSTEM_FIXTURE_H
#define TESTS_X86_SYSTEM_FIXTURE_H

#include "paging_fixture.h"

#include "x86/control.h"
#include "x86/flags.h"
#include "x86/insn.h"
#include "x86/segment.h"

#define GDT        0x1000u
#define IDT        0x2000u
#define TSS        0x3000u
#define STACK      0x8000u /* of CPL 0; grows down */
#define STACK_RSP0 0x9000u
#define STACK_IST1 0xa000u
#define STACK_USER 0xb000u
#define CODE       0x10000u
#define HANDLERS   0x20000u /* 16 bytes a vector, all HLT */
#define DATA       0x30000u

enum {
	KERNEL_CODE_64 = 0x08,
	KERNEL_DATA = 0x10,
	KERNEL_CODE_32 = 0x18,
	USER_CODE_32 = 0x20 | 3,
	USER_DATA = 0x28 | 3,
	USER_CODE_64 = 0x30 | 3,
	ABSENT_DATA = 0x38,
	READ_ONLY_DATA = 0x40,
	CONFORMING_CODE = 0x48, /* 64-bit, DPL 0 */
	SMALL_DATA = 0x50,      /* limit 0xfff */
	SELECTOR_TSS = 0x60,    /* 16 bytes */
	CALL_GATE = 0x70,       /* 16 bytes */
	ABSENT_CODE = 0x80,
	GDT_SIZE = 0x88,
};

struct x86_box {
	struct box box;
	struct machine *machine;
	struct x86_cpu *cpu;
};

static inline void put(struct x86_box *b, uint64_t address, const void *bytes, size_t len)
{
	assert_int_equal(memory_write(&b->box.memory, address, bytes, len), 0);
}

static inline void put64(struct x86_box *b, uint64_t address, uint64_t value)
{
	put(b, address, &value, sizeof(value));
}

static inline uint64_t get64(struct x86_box *b, uint64_t address)
{
	return box_get(&b->box, address);
}

static inline uint32_t get32(struct x86_box *b, uint64_t address)
{
	uint32_t value;

	assert_int_equal(memory_read(&b->box.memory, address, &value, sizeof(value)), 0);
	return value;
}

static inline uint64_t descriptor(uint32_t base, uint32_t limit, unsigned rights)
{
	return (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(base >> 24) << 56 | (limit & 0xffff) |
	       (uint64_t)(limit & 0xf0000) << 32 | (uint64_t)rights << 40;
}

#define RIGHTS_CODE (SEG_P | SEG_S | SEG_CODE | SEG_READABLE)
#define RIGHTS_DATA (SEG_P | SEG_S | SEG_WRITABLE)
#define DPL3        (3u << SEG_DPL_SHIFT)

static inline void fill_gdt(struct x86_box *b)
{
	const uint64_t table[GDT_SIZE / 8] = {
		[KERNEL_CODE_64 / 8] = descriptor(0, 0xfffff, RIGHTS_CODE | SEG_G | SEG_L),
		[KERNEL_DATA / 8] = descriptor(0, 0xfffff, RIGHTS_DATA | SEG_G | SEG_DB),
		[KERNEL_CODE_32 / 8] = descriptor(0, 0xfffff, RIGHTS_CODE | SEG_G | SEG_DB),
		[USER_CODE_32 / 8] = descriptor(0, 0xfffff, RIGHTS_CODE | DPL3 | SEG_G | SEG_DB),
		[USER_DATA / 8] = descriptor(0, 0xfffff, RIGHTS_DATA | DPL3 | SEG_G | SEG_DB),
		[USER_CODE_64 / 8] = descriptor(0, 0xfffff, RIGHTS_CODE | DPL3 | SEG_G | SEG_L),
		[ABSENT_DATA / 8] = descriptor(0, 0xfffff, SEG_S | SEG_WRITABLE | SEG_G | SEG_DB),
		[READ_ONLY_DATA / 8] = descriptor(0, 0xfffff, SEG_P | SEG_S | SEG_G | SEG_DB),
		[CONFORMING_CODE / 8] =
			descriptor(0, 0xfffff, RIGHTS_CODE | SEG_CONFORMING | SEG_G | SEG_L),
		[SMALL_DATA / 8] = descriptor(0, 0xfff, RIGHTS_DATA | SEG_DB),
		[SELECTOR_TSS / 8] = descriptor(TSS, 0x67, SEG_P | SYS_TSS_AVAILABLE),
		[CALL_GATE / 8] = descriptor(0, 0, SEG_P | SYS_CALL_GATE),
		[ABSENT_CODE / 8] =
			descriptor(0, 0xfffff, SEG_S | SEG_CODE | SEG_READABLE | SEG_G | SEG_L),
	};

	put(b, GDT, table, sizeof(table));
}

/* A gate of long mode. */
static inline void put_gate(struct x86_box *b, unsigned vector, unsigned rights, uint16_t selector,
			    unsigned ist)
{
	uint64_t offset = HANDLERS + vector * 16;

	put64(b, IDT + vector * 16,
	      (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)ist << 32 |
		      (uint64_t)rights << 40 | (offset >> 16 & 0xffff) << 48);
	put64(b, IDT + vector * 16 + 8, offset >> 32);
}

static inline void put_gate_32(struct x86_box *b, unsigned vector, unsigned rights,
			       uint16_t selector)
{
	uint64_t offset = HANDLERS + vector * 16;

	put64(b, IDT + vector * 8,
	      (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)rights << 40 |
		      (offset >> 16 & 0xffff) << 48);
}

static inline void x86_box_create(struct x86_box *b, bool long_mode)
{
	const struct machine_config machine = {.memory_size = RAM_SIZE, .nr_cpus = 1};
	struct boot_entry entry = {
		.long_mode = long_mode,
		.rip = CODE,
		.rsp = STACK,
		.cr3 = 0,
		.gdt_base = GDT,
		.gdt_limit = GDT_SIZE - 1,
		.cs = long_mode ? KERNEL_CODE_64 : KERNEL_CODE_32,
		.ds = KERNEL_DATA,
	};

	memset(b, 0, sizeof(*b));
	box_create(&b->box, UMBRA_MODE_EPT);
	for (uint64_t gpa = 0; gpa < 1 << 20; gpa += PAGE_SIZE)
		box_map(&b->box, gpa, gpa, PTE_P | PTE_W | PTE_U | PTE_A | PTE_D);
	entry.cr3 = b->box.regs.cr3;
	assert_int_equal(machine_create(&machine, &b->machine), 0);
	assert_int_equal(x86_create(b->box.hw, b->machine, UMBRA_CLOCK_INSTRUCTIONS, &b->cpu), 0);
	assert_int_equal(x86_start(b->cpu, &entry), 0);
	fill_gdt(b);
	for (unsigned vector = 0; vector < 256; vector++) {
		if (long_mode)
			put_gate(b, vector, SEG_P | SYS_INTERRUPT_GATE, KERNEL_CODE_64, 0);
		else
			put_gate_32(b, vector, SEG_P | SYS_INTERRUPT_GATE, KERNEL_CODE_32);
		put(b, HANDLERS + vector * 16, "\xf4", 1);
	}
	put(b, TSS + 0x66, "\x68", 2); /* the I/O bitmap begins beyond the limit */
	b->cpu->idtr = (struct x86_table_register){IDT, long_mode ? 0xfff : 0x7ff};
	if (long_mode) {
		put64(b, TSS + 4, STACK_RSP0);
		put64(b, TSS + 36, STACK_IST1);
	} else {
		put64(b, TSS + 4, STACK_RSP0 | (uint64_t)KERNEL_DATA << 32);
	}
	b->cpu->tr = (struct x86_segment){.base = TSS,
					  .limit = 0x67,
					  .selector = SELECTOR_TSS,
					  .rights = SEG_P | SYS_TSS_BUSY};
}

static inline void x86_box_destroy(struct x86_box *b)
{
	x86_destroy(b->cpu);
	machine_destroy(b->machine);
	box_destroy(&b->box);
}

/* Puts the CPU at CPL 3, as if IRET had gone there. */
static inline void to_user(struct x86_box *b)
{
	struct x86_cpu *cpu = b->cpu;
	bool long_mode = x86_long_mode(cpu);

	cpu->cpl = 3;
	x86_update_privilege(cpu);
	cpu->segment[X86_CS] = (struct x86_segment){
		.limit = UINT32_MAX,
		.selector = long_mode ? USER_CODE_64 : USER_CODE_32,
		.rights = RIGHTS_CODE | DPL3 | SEG_G | (long_mode ? SEG_L : SEG_DB),
	};
	for (unsigned i = 0; i < X86_NR_SEGMENTS; i++)
		if (i != X86_CS)
			cpu->segment[i] = (struct x86_segment){
				.limit = UINT32_MAX,
				.selector = USER_DATA,
				.rights = RIGHTS_DATA | DPL3 | SEG_G | SEG_DB,
			};
	cpu->gpr[X86_RSP] = STACK_USER;
	x86_update_code_mode(cpu);
}

/*
 * Puts the CPU into real mode: CODE is at 1000:0000, all other segments are at 0, handlers at
 * 2000:0000.
 */
static inline void to_real(struct x86_box *b)
{
	struct x86_cpu *cpu = b->cpu;

	cpu->cr0 = CR0_ET;
	cpu->cpl = 0;
	x86_set_flags(cpu, RFLAGS_ONE);
	for (unsigned i = 0; i < X86_NR_SEGMENTS; i++) {
		cpu->segment[i] = (struct x86_segment){.limit = UINT16_MAX};
		x86_set_segment_8086(cpu, i, i == X86_CS ? CODE >> 4 : 0);
	}
	cpu->idtr = (struct x86_table_register){.limit = 0x3ff};
	for (unsigned vector = 0; vector < 256; vector++) {
		const uint16_t entry[] = {(uint16_t)(vector * 16), HANDLERS >> 4};

		put(b, vector * sizeof(entry), entry, sizeof(entry));
	}
	cpu->gpr[X86_RSP] = STACK;
	x86_update_code_mode(cpu);
	assert_int_equal(x86_update_paging(cpu), X86_LEAVE);
}

/* Puts the CPU into virtual-8086 mode, as if IRET had gone there; segments as in real mode. */
static inline void to_v8086(struct x86_box *b, unsigned iopl)
{
	struct x86_cpu *cpu = b->cpu;

	cpu->cpl = 3;
	x86_set_flags(cpu, RFLAGS_ONE | RFLAGS_VM | (uint64_t)iopl * (RFLAGS_IOPL / 3));
	for (unsigned i = 0; i < X86_NR_SEGMENTS; i++)
		x86_set_segment_8086(cpu, i, i == X86_CS ? CODE >> 4 : 0);
	cpu->gpr[X86_RSP] = STACK_USER;
	x86_update_code_mode(cpu);
}

/* Where execution stands. */
static inline uint64_t linear_rip(const struct x86_box *b)
{
	return x86_linear(b->cpu, X86_CS, b->cpu->gpr[X86_RIP]);
}

static inline uint16_t get16(struct x86_box *b, uint64_t address)
{
	return (uint16_t)get32(b, address);
}

/* Executes @count instructions at CODE, or fewer when the CPU halts or the guest ends. */
static inline void run_bytes(struct x86_box *b, const char *bytes, size_t len, unsigned count)
{
	static const volatile bool stop = false;
	struct x86_cpu *cpu = b->cpu;

	put(b, CODE, bytes, len);
	cpu->gpr[X86_RIP] = CODE - x86_linear(cpu, X86_CS, 0);
	cpu->halted = false;
	x86_run(cpu, UINT64_MAX, cpu->instructions + count, &stop);
}

/* @code: a string literal of instructions; HLT follows. */
#define RUN(b, code)     run_bytes(b, code "\xf4", sizeof(code "\xf4") - 1, 100)
#define RUN_ONE(b, code) run_bytes(b, code "\xf4", sizeof(code "\xf4") - 1, 1)

/* The handler of @vector halted. */
#define assert_handler(b, vector)                                                                  \
	do {                                                                                       \
		assert_false((b)->cpu->ended);                                                     \
		assert_true((b)->cpu->halted);                                                     \
		assert_int_equal(linear_rip(b), HANDLERS + (vector)*16 + 1);                       \
	} while (0)

/* The program reached its own HLT: no fault. */
#define assert_completed(b, code)                                                                  \
	do {                                                                                       \
		assert_false((b)->cpu->ended);                                                     \
		assert_true((b)->cpu->halted);                                                     \
		assert_int_equal(linear_rip(b), CODE + sizeof(code));                              \
	} while (0)

/* cmocka's setup and teardown: a box in 64-bit, 32-bit, real or virtual-8086 mode. */
static inline int setup_64(void **state)
{
	static struct x86_box b;

	x86_box_create(&b, true);
	*state = &b;
	return 0;
}

static inline int setup_32(void **state)
{
	static struct x86_box b;

	x86_box_create(&b, false);
	*state = &b;
	return 0;
}

static inline int setup_real(void **state)
{
	setup_32(state);
	to_real(*state);
	return 0;
}

static inline int setup_v8086(void **state)
{
	setup_32(state);
	to_v8086(*state, 3);
	return 0;
}

static inline int teardown(void **state)
{
	x86_box_destroy(*state);
	return 0;
}

#endif
