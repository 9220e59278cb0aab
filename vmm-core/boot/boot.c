/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "boot/loader.h"
#include "paging/entry.h"

/* Flat segments, present, DPL 0, accessed: code readable, data writable (SDM 3A 3.4.5). */
#define GDT_CODE_32   0x00cf9b000000ffffULL
#define GDT_CODE_64   0x00af9b000000ffffULL
#define GDT_DATA      0x00cf93000000ffffULL

#define TABLE_ENTRIES 512u
#define MAPPED_GIB    4u
#define LARGE_PAGE    0x200000u

struct protocol {
	bool (*probe)(const struct umbra_image *image);
	int (*load)(struct memory *memory, const struct umbra_image *image,
		    struct boot_entry *ret_entry, struct umbra_error *ret_error);
};

static const struct protocol protocols[] = {
	{linux_probe, linux_load},
	{multiboot_probe, multiboot_load},
	{elf64_probe, elf64_load},
};

uint64_t boot_high_end(const struct memory *memory)
{
	struct machine_memory_range map[MACHINE_MEMORY_RANGES];
	unsigned nr = machine_memory_map(memory_size(memory), map);

	for (unsigned i = 0; i < nr; i++)
		if (map[i].base == MACHINE_HIGH && map[i].type == MACHINE_RAM)
			return map[i].base + map[i].size;
	return MACHINE_HIGH;
}

void boot_gdt(bool long_mode, uint64_t ret_gdt[BOOT_GDT_SIZE / 8])
{
	memset(ret_gdt, 0, BOOT_GDT_SIZE);
	ret_gdt[BOOT_CS / 8] = long_mode ? GDT_CODE_64 : GDT_CODE_32;
	ret_gdt[BOOT_DS / 8] = GDT_DATA;
}

int boot_write_tables(struct memory *memory, uint64_t gpa)
{
	uint64_t table[TABLE_ENTRIES] = {0};
	uint64_t pdpt = gpa + PAGE_SIZE, directories = pdpt + PAGE_SIZE;
	int r;

	table[0] = pdpt | PTE_P | PTE_W;
	r = memory_write(memory, gpa, table, sizeof(table));
	for (unsigned i = 0; i < MAPPED_GIB; i++)
		table[i] = (directories + i * PAGE_SIZE) | PTE_P | PTE_W;
	if (r == 0)
		r = memory_write(memory, pdpt, table, sizeof(table));
	for (unsigned i = 0; i < MAPPED_GIB && r == 0; i++) {
		for (unsigned j = 0; j < TABLE_ENTRIES; j++)
			table[j] = (uint64_t)(i * TABLE_ENTRIES + j) * LARGE_PAGE | PTE_P | PTE_W |
				   PTE_PS;
		r = memory_write(memory, directories + i * PAGE_SIZE, table, sizeof(table));
	}
	return r;
}

static int refuse(struct umbra_error *ret_error, int code, const struct umbra_image *image,
		  uint64_t offset, const char *field, const char *format, va_list arguments)
{
	char place[64], text[256];

	snprintf(place, sizeof(place), "offset 0x%" PRIx64 ", %s", offset, field);
	vsnprintf(text, sizeof(text), format, arguments);
	return umbra_error_set(ret_error, code, image->name, place, "%s", text);
}

int boot_broken(struct umbra_error *ret_error, const struct umbra_image *image, uint64_t offset,
		const char *field, const char *format, ...)
{
	va_list arguments;
	int r;

	va_start(arguments, format);
	r = refuse(ret_error, -ENOEXEC, image, offset, field, format, arguments);
	va_end(arguments);
	return r;
}

int boot_no_room(struct umbra_error *ret_error, const struct umbra_image *image, uint64_t offset,
		 const char *field, const char *format, ...)
{
	va_list arguments;
	int r;

	va_start(arguments, format);
	r = refuse(ret_error, -ENOSPC, image, offset, field, format, arguments);
	va_end(arguments);
	return r;
}

static uint64_t get(const struct umbra_image *image, size_t offset, unsigned size)
{
	const uint8_t *bytes = (const uint8_t *)image->data + offset;
	uint64_t value = 0;

	while (size--)
		value = value << 8 | bytes[size];
	return value;
}

uint16_t boot_get16(const struct umbra_image *image, size_t offset)
{
	return (uint16_t)get(image, offset, 2);
}

uint32_t boot_get32(const struct umbra_image *image, size_t offset)
{
	return (uint32_t)get(image, offset, 4);
}

uint64_t boot_get64(const struct umbra_image *image, size_t offset)
{
	return get(image, offset, 8);
}

int boot_load(struct memory *memory, const struct umbra_image *image, struct boot_entry *ret_entry,
	      struct umbra_error *ret_error)
{
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (protocols[i].probe(image))
			return protocols[i].load(memory, image, ret_entry, ret_error);
	return umbra_error_set(ret_error, -ENOEXEC, image->name, NULL,
			       "neither a multiboot 1 image (no header magic 0x1badb002 in its "
			       "first 8192 bytes) nor a Linux bzImage (no HdrS at 0x202) nor an "
			       "ELF64 file (no ELF magic at 0)");
}
