/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A libFuzzer target: any bytes as code, any tables. An input chooses control registers, segments,
 * flags and registers, changes entries of page tables and descriptors, and brings code; what it
 * does not bring (handlers, data, the rest of the tables) is a program of fuzz_program.c. The guest
 * is a multiboot image, so it gets where it gets by nothing but its own instructions (start.S).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "start.h"
#include "fuzz.h"
#include "paging/entry.h"
#include "target.h"
#include "umbra/explain.h"
#include "umbra/guest.h"

#define INSTRUCTIONS 3000u
#define TIME         30000u
#define NR_PROGRAMS  16u
#define IMAGE_SIZE   0x80000u
#define CHANGES_MAX  64u

/* Tables of the formats that fuzz_tables.c does not make, behind its own. */
enum more_tables {
	TABLE_PML5 = FUZZ_TABLES + FUZZ_NR_TABLES * 4096,
	TABLE_PDPT_PAE = TABLE_PML5 + 4096,
	TABLE_PD_PAE = TABLE_PDPT_PAE + 4096,
	TABLE_PD_32 = TABLE_PD_PAE + 4096,
	TABLE_PT_32 = TABLE_PD_32 + 4096,
	TABLES_END = TABLE_PT_32 + 4096,
};
_Static_assert(TABLES_END <= IMAGE_SIZE, "tables lie in the image");

/* An input: this, so many changes, and code. */
struct head {
	uint8_t mode, memory_mib, program, nr_changes;
	uint32_t cr0, cr3, cr4, efer;
	uint32_t registers[8]; /* EDI, ESI, EBP, ESP, EBX, EDX, ECX, EAX */
	uint32_t eip;          /* FUZZ_CODE is where the code of the input is */
	uint16_t cs, tr;
	uint32_t eflags, esp;
	uint16_t ss, es, ds, fs, gs;
	uint16_t spare;
};

/* Eight bytes at a multiple of 8, in the GDT, IDT, TSS or tables. */
struct change {
	uint16_t where;
	uint16_t value[4];
};

extern const uint8_t fuzz_start[], fuzz_start_end[], fuzz_start_skip[], fuzz_start_skip_code[];

static uint8_t image[IMAGE_SIZE];

static void put(uint32_t at, uint64_t value, unsigned size)
{
	memcpy(&image[at], &value, size);
}

static void put_gate(unsigned vector, const uint8_t *handler)
{
	uint32_t address = START_ADDRESS + (uint32_t)(handler - fuzz_start);

	put(START_SKIP_IDT + 8 * vector, FUZZ_SELECTOR_CODE_32 << 16 | (address & 0xffff), 4);
	put(START_SKIP_IDT + 8 * vector + 4, (address & 0xffff0000) | 0x8e00, 4);
}

static void put_table_register(uint32_t at, uint32_t base, uint16_t limit)
{
	put(at, limit, 2);
	put(at + 2, base, 4);
}

static void make_start(void)
{
	const uint32_t magic = 0x1badb002, flags = 0x10000;

	put(START_HEADER, magic, 4);
	put(START_HEADER + 4, flags, 4);
	put(START_HEADER + 8, 0u - magic - flags, 4);
	put(START_HEADER + 12, START_HEADER, 4); /* header_addr: the image is loaded at 0 */
	put(START_HEADER + 28, START_ADDRESS, 4);
	memcpy(&image[START_ADDRESS], fuzz_start, fuzz_start_end - fuzz_start);
	put_table_register(START_GDTR, FUZZ_GDT, FUZZ_GDT_SIZE - 1);
	put_table_register(START_IDTR, FUZZ_IDT, 0xfff);
	put_table_register(START_SKIP_IDTR, START_SKIP_IDT, 0xff);
	put_gate(6, fuzz_start_skip);
	put_gate(10, fuzz_start_skip_code);
	put_gate(11, fuzz_start_skip_code);
	put_gate(12, fuzz_start_skip_code);
	put_gate(13, fuzz_start_skip_code);
	put_gate(14, fuzz_start_skip_code);
}

/* Low memory mapped to itself in each format. */
static void make_more_tables(void)
{
	put(TABLE_PML5, FUZZ_PML4 | PTE_P | PTE_W | PTE_U, 8);
	put(TABLE_PML5 + 8 * 511, FUZZ_PML4 | PTE_P | PTE_W | PTE_U, 8);
	for (uint64_t i = 0; i < 4; i++)
		put(TABLE_PDPT_PAE + 8 * i, TABLE_PD_PAE | PTE_P, 8);
	for (uint64_t i = 0; i < 8; i++)
		put(TABLE_PD_PAE + 8 * i, i << 21 | PTE_PS | PTE_P | PTE_W | (i & 1 ? 0 : PTE_U),
		    8);
	put(TABLE_PD_32, TABLE_PT_32 | PTE_P | PTE_W | PTE_U, 4);
	for (uint32_t i = 1; i < 8; i++)
		put(TABLE_PD_32 + 4 * i, i << 22 | PTE_PS | PTE_P | PTE_W | (i & 1 ? 0 : PTE_U), 4);
	for (uint32_t i = 0; i < 1024; i++)
		put(TABLE_PT_32 + 4 * i, i << 12 | PTE_P | PTE_W | PTE_U, 4);
}

static void change(const struct change *change)
{
	static const struct {
		uint32_t base, size;
	} areas[] = {
		{FUZZ_TABLES, TABLES_END - FUZZ_TABLES},
		{FUZZ_GDT, FUZZ_GDT_SIZE},
		{FUZZ_IDT, 0x1000},
		{FUZZ_TSS, 0x80},
	};
	uint32_t at = change->where;

	/* Most places are tables, a few at the end the others. */
	for (unsigned i = 0; i < sizeof(areas) / sizeof(areas[0]); i++) {
		if (at < areas[i].size / 8) {
			memcpy(&image[areas[i].base + 8 * at], change->value, 8);
			return;
		}
		at -= areas[i].size / 8;
	}
}

static void make_parameters(const struct head *head)
{
	const uint32_t frame[] = {head->eip, head->cs, head->eflags, head->esp, head->ss,
				  head->es,  head->ds, head->fs,     head->gs};

	put(START_PARAMETERS + START_CR0, head->cr0, 4);
	put(START_PARAMETERS + START_CR3, head->cr3, 4);
	put(START_PARAMETERS + START_CR4, head->cr4, 4);
	put(START_PARAMETERS + START_EFER, head->efer, 4);
	put(START_PARAMETERS + START_TR, head->tr, 2);
	memcpy(&image[START_PARAMETERS + START_REGISTERS], head->registers, 32);
	memcpy(&image[START_PARAMETERS + START_REGISTERS + 32], frame, sizeof(frame));
}

static void make_image(const struct head *head, const uint8_t *rest, size_t size)
{
	static struct fuzz_program *programs[NR_PROGRAMS];
	unsigned seed = head->program % NR_PROGRAMS;
	size_t nr_changes = head->nr_changes % CHANGES_MAX;

	if (!programs[seed]) {
		programs[seed] = malloc(sizeof(**programs));
		if (!programs[seed])
			abort();
		fuzz_program_make(programs[seed], seed);
	}
	memcpy(image, programs[seed]->low, sizeof(image));
	make_start();
	make_more_tables();
	make_parameters(head);
	for (; nr_changes && size >= sizeof(struct change); nr_changes--) {
		struct change next;

		memcpy(&next, rest, sizeof(next));
		change(&next);
		rest += sizeof(next);
		size -= sizeof(next);
	}
	if (size > FUZZ_CODE_PAGES * 4096)
		size = FUZZ_CODE_PAGES * 4096;
	memcpy(&image[FUZZ_CODE], rest, size);
}

static void console_write(void *context, const uint8_t *bytes, size_t len)
{
}

static int console_read(void *context)
{
	unsigned *number = context;

	return ++*number % 3 ? (int)(*number & 0xff) : -1;
}

/* Whatever state the guest is left in, it can be asked about any address. */
static void explain(struct umbra_guest *guest, uint64_t gva, unsigned access)
{
	struct umbra_explanation *explanation;
	struct umbra_error error;

	if (!umbra_guest_explain(guest, gva, access % 3, gva & 1, &explanation, &error))
		umbra_explanation_free(explanation);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct umbra_counters counters;
	unsigned read = 0;
	struct umbra_guest_config config = {
		.name = "fuzz",
		.clock = UMBRA_CLOCK_INSTRUCTIONS,
		.interval = TIME,
		.console = {console_write, console_read, &read},
	};
	const struct umbra_image file = {.name = "fuzz", .data = image, .size = sizeof(image)};
	struct umbra_registers registers;
	struct umbra_error error;
	struct umbra_guest *guest;
	struct head head;

	if (size < sizeof(head))
		return 0;
	memcpy(&head, data, sizeof(head));
	config.mode = head.mode % UMBRA_MODE_COUNT;
	config.cpus = 1 + head.mode / 64;
	config.memory = (1ull + head.memory_mib % 8) << 20;
	make_image(&head, data + sizeof(head), size - sizeof(head));
	if (umbra_guest_create(&config, &counters, &guest, &error) < 0 ||
	    umbra_guest_load(guest, &file, &error) < 0) {
		fprintf(stderr, "%s: %s\n", error.subject, error.text);
		abort();
	}
	target_run(guest, INSTRUCTIONS);
	umbra_guest_registers(guest, 0, &registers);
	explain(guest, registers.rip, UMBRA_EXPLAIN_EXECUTE);
	explain(guest, registers.gpr[head.spare & 15], head.spare >> 4);
	umbra_guest_destroy(guest);
	return 0;
}
