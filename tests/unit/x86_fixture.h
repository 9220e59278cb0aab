/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A CPU with memory, MMU and machine around it and a few bytes of code in it, for tests of
 * execution: 64-bit mode, all of RAM mapped one to one by 2M pages, supervisor.
 */
#ifndef TESTS_X86_FIXTURE_H
#define TESTS_X86_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "device/memory_map.h"
#include "memory/map.h"
#include "paging/vmm.h"
#include "x86/cpu.h"
#include "x86/flags.h"
#include "x86/insn.h"

#define RAM_SIZE      (4ull << 20)
#define CODE          0x10000ull
#define STACK         0x20000ull  /* its upper end */
#define DATA          0x200000ull /* the second half of RAM */
#define GDT           0x30000ull
#define IDT           0x31000ull
#define HANDLERS      0x32000ull /* 16 bytes for each vector: HLT */
#define PML4          0x40000ull
#define PDPT          0x41000ull
#define PD            0x42000ull
#define PT            0x43000ull /* maps the first 2 MiB of RAM by 4K pages */
#define SELECTOR_CODE 8
#define SELECTOR_DATA 16

struct box {
	struct memory memory;
	struct hw *hw;
	struct vmm *vmm;
	struct machine *machine;
	struct x86_cpu *cpu;
	volatile bool stop;
};

static inline void box_write(struct box *box, uint64_t gpa, const void *bytes, size_t len)
{
	assert_int_equal(memory_write(&box->memory, gpa, bytes, len), 0);
}

static inline void box_write64(struct box *box, uint64_t gpa, uint64_t value)
{
	box_write(box, gpa, &value, sizeof(value));
}

static inline uint64_t box_read64(struct box *box, uint64_t gpa)
{
	uint64_t value;

	assert_int_equal(memory_read(&box->memory, gpa, &value, sizeof(value)), 0);
	return value;
}

static inline uint8_t box_read8(struct box *box, uint64_t gpa)
{
	uint8_t value;

	assert_int_equal(memory_read(&box->memory, gpa, &value, sizeof(value)), 0);
	return value;
}

/* Where the handler of @vector halts. */
static inline uint64_t box_handler(unsigned vector)
{
	return HANDLERS + 16ull * vector;
}

static inline void box_create(struct box *box, enum umbra_mode mode, enum umbra_clock clock)
{
	const struct machine_config machine = {.memory_size = RAM_SIZE, .nr_cpus = 1};
	struct boot_entry entry = {.long_mode = true,
				   .rip = CODE,
				   .rsp = STACK,
				   .cr3 = PML4,
				   .gdt_base = GDT,
				   .gdt_limit = 23,
				   .cs = SELECTOR_CODE,
				   .ds = SELECTOR_DATA};

	memset(box, 0, sizeof(*box));
	assert_int_equal(memory_create(&box->memory, RAM_SIZE, mode == UMBRA_MODE_BARE, 1, NULL),
			 0);
	assert_int_equal(machine_map_devices(&box->memory), 0);
	assert_int_equal(hw_create(&box->memory, &umbra_cost_default, processor_at(0), &box->hw),
			 0);
	assert_int_equal(vmm_create(&box->hw, 1, &box->memory, mode, &box->vmm, NULL), 0);
	assert_int_equal(machine_create(&machine, &box->machine), 0);
	assert_int_equal(x86_create(box->hw, box->machine, clock, &box->cpu), 0);

	box_write64(box, PML4, PDPT | PTE_P | PTE_W | PTE_U);
	box_write64(box, PDPT, PD | PTE_P | PTE_W | PTE_U);
	box_write64(box, PD, PT | PTE_P | PTE_W | PTE_U);
	for (uint64_t i = 0; i < 512; i++)
		box_write64(box, PT + 8 * i, i * PAGE_SIZE | PTE_P | PTE_W | PTE_U);
	box_write64(box, PD + 8, DATA | PTE_P | PTE_W | PTE_U | PTE_PS);
	box_write64(box, GDT + SELECTOR_CODE, 0x00209b0000000000); /* 64-bit code, DPL 0 */
	box_write64(box, GDT + SELECTOR_DATA, 0x00cf93000000ffff);
	for (unsigned vector = 0; vector < 256; vector++) {
		/* An interrupt gate; handlers lie below 64 KiB's second half. */
		uint64_t handler = box_handler(vector);

		box_write64(box, IDT + 16 * vector,
			    (handler & 0xffff) | SELECTOR_CODE << 16 | 0x8e00ull << 32 |
				    (handler >> 16) << 48);
		box_write64(box, IDT + 16 * vector + 8, 0);
		box_write(box, handler, "\xf4", 1);
	}
	assert_int_equal(x86_start(box->cpu, &entry), 0);
	box->cpu->idtr = (struct x86_table_register){IDT, 16 * 256 - 1};
}

static inline void box_destroy(struct box *box)
{
	x86_destroy(box->cpu);
	machine_destroy(box->machine);
	vmm_destroy(box->vmm);
	hw_destroy(box->hw);
	memory_destroy(&box->memory);
}

/* Puts @code where the CPU begins. */
#define box_code(box, ...)                                                                         \
	do {                                                                                       \
		const uint8_t code_bytes[] = {__VA_ARGS__};                                        \
		box_write(box, CODE, code_bytes, sizeof(code_bytes));                              \
	} while (0)

/* Until the guest halts, ends, or @instructions more have retired. */
static inline void box_run(struct box *box, uint64_t instructions)
{
	x86_run(box->cpu, UINT64_MAX, box->cpu->instructions + instructions, &box->stop);
}

#endif
