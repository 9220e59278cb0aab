/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "start.h"
#include "fuzz_image.h"
#include "paging/entry.h"

/* Tables of the formats that fuzz_tables.c does not make, behind its own. */
enum more_tables {
	TABLE_PML5 = FUZZ_TABLES + FUZZ_NR_TABLES * 4096,
	TABLE_PDPT_PAE = TABLE_PML5 + 4096,
	TABLE_PD_PAE = TABLE_PDPT_PAE + 4096,
	TABLE_PD_32 = TABLE_PD_PAE + 4096,
	TABLE_PT_32 = TABLE_PD_32 + 4096,
	TABLES_END = TABLE_PT_32 + 4096,
};
_Static_assert(TABLES_END <= FUZZ_IMAGE_SIZE, "tables lie in the image");

/* Eight bytes at a multiple of 8, in the GDT, IDT, TSS or tables. */
struct change {
	uint16_t where;
	uint16_t value[4];
};

extern const uint8_t fuzz_start[], fuzz_start_end[], fuzz_start_skip[], fuzz_start_skip_code[];

static void put(uint8_t *image, uint32_t at, uint64_t value, unsigned size)
{
	memcpy(&image[at], &value, size);
}

static void put_gate(uint8_t *image, unsigned vector, const uint8_t *handler)
{
	uint32_t address = START_ADDRESS + (uint32_t)(handler - fuzz_start);

	put(image, START_SKIP_IDT + 8 * vector, FUZZ_SELECTOR_CODE_32 << 16 | (address & 0xffff),
	    4);
	put(image, START_SKIP_IDT + 8 * vector + 4, (address & 0xffff0000) | 0x8e00, 4);
}

static void put_table_register(uint8_t *image, uint32_t at, uint32_t base, uint16_t limit)
{
	put(image, at, limit, 2);
	put(image, at + 2, base, 4);
}

static void make_start(uint8_t *image)
{
	const uint32_t magic = 0x1badb002, flags = 0x10000;

	put(image, START_HEADER, magic, 4);
	put(image, START_HEADER + 4, flags, 4);
	put(image, START_HEADER + 8, 0u - magic - flags, 4);
	put(image, START_HEADER + 12, START_HEADER, 4); /* header_addr: the image is loaded at 0 */
	put(image, START_HEADER + 28, START_ADDRESS, 4);
	memcpy(&image[START_ADDRESS], fuzz_start, fuzz_start_end - fuzz_start);
	put_table_register(image, START_GDTR, FUZZ_GDT, FUZZ_GDT_SIZE - 1);
	put_table_register(image, START_IDTR, FUZZ_IDT, 0xfff);
	put_table_register(image, START_SKIP_IDTR, START_SKIP_IDT, 0xff);
	put_gate(image, 6, fuzz_start_skip);
	put_gate(image, 10, fuzz_start_skip_code);
	put_gate(image, 11, fuzz_start_skip_code);
	put_gate(image, 12, fuzz_start_skip_code);
	put_gate(image, 13, fuzz_start_skip_code);
	put_gate(image, 14, fuzz_start_skip_code);
}

/* Low memory mapped to itself in each format. */
static void make_more_tables(uint8_t *image)
{
	put(image, TABLE_PML5, FUZZ_PML4 | PTE_P | PTE_W | PTE_U, 8);
	put(image, TABLE_PML5 + 8 * 511, FUZZ_PML4 | PTE_P | PTE_W | PTE_U, 8);
	for (uint64_t i = 0; i < 4; i++)
		put(image, TABLE_PDPT_PAE + 8 * i, TABLE_PD_PAE | PTE_P, 8);
	for (uint64_t i = 0; i < 8; i++)
		put(image, TABLE_PD_PAE + 8 * i,
		    i << 21 | PTE_PS | PTE_P | PTE_W | (i & 1 ? 0 : PTE_U), 8);
	put(image, TABLE_PD_32, TABLE_PT_32 | PTE_P | PTE_W | PTE_U, 4);
	for (uint32_t i = 1; i < 8; i++)
		put(image, TABLE_PD_32 + 4 * i,
		    i << 22 | PTE_PS | PTE_P | PTE_W | (i & 1 ? 0 : PTE_U), 4);
	for (uint32_t i = 0; i < 1024; i++)
		put(image, TABLE_PT_32 + 4 * i, i << 12 | PTE_P | PTE_W | PTE_U, 4);
}

static void change(uint8_t *image, const struct change *change)
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

static void make_parameters(uint8_t *image, const struct fuzz_head *head)
{
	const uint32_t frame[] = {head->eip, head->cs, head->eflags, head->esp, head->ss,
				  head->es,  head->ds, head->fs,     head->gs};

	put(image, START_PARAMETERS + START_CR0, head->cr0, 4);
	put(image, START_PARAMETERS + START_CR3, head->cr3, 4);
	put(image, START_PARAMETERS + START_CR4, head->cr4, 4);
	put(image, START_PARAMETERS + START_EFER, head->efer, 4);
	put(image, START_PARAMETERS + START_TR, head->tr, 2);
	memcpy(&image[START_PARAMETERS + START_REGISTERS], head->registers, 32);
	memcpy(&image[START_PARAMETERS + START_REGISTERS + 32], frame, sizeof(frame));
}

void fuzz_image_make(uint8_t image[FUZZ_IMAGE_SIZE], const struct fuzz_program *program,
		     const struct fuzz_head *head, const uint8_t *rest, size_t size)
{
	size_t nr_changes = head->nr_changes % FUZZ_CHANGES_MAX;

	memcpy(image, program->low, FUZZ_IMAGE_SIZE);
	make_start(image);
	make_more_tables(image);
	make_parameters(image, head);
	for (; nr_changes && size >= sizeof(struct change); nr_changes--) {
		struct change next;

		memcpy(&next, rest, sizeof(next));
		change(image, &next);
		rest += sizeof(next);
		size -= sizeof(next);
	}
	if (size > FUZZ_CODE_PAGES * 4096)
		size = FUZZ_CODE_PAGES * 4096;
	if (size)
		memcpy(&image[FUZZ_CODE], rest, size);
}
