/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot 1 (Multiboot Specification 0.6.96): ELF32 images and ones with address fields. */
#include <inttypes.h>

#include "boot/plan.h"

#define HEADER_MAGIC       0x1badb002u
#define HEADER_SEARCH      8192u
#define HEADER_SIZE        12u
#define HEADER_ADDRESSES   12u /* offset of the address fields */
#define HEADER_SIZE_FIELDS 32u

#define FLAG_PAGE_ALIGN    0x00000001u
#define FLAG_MEMORY        0x00000002u
#define FLAG_VIDEO         0x00000004u
#define FLAGS_MANDATORY    0x0000ffffu
#define FLAGS_KNOWN        (FLAG_PAGE_ALIGN | FLAG_MEMORY)
#define FLAG_ADDRESSES     0x00010000u

/* The offset of the first header whose fields sum to zero, else of the first magic, else -1. */
static int64_t find_header(const struct umbra_image *image)
{
	int64_t first = -1;

	for (size_t i = 0; i < HEADER_SEARCH && i + HEADER_SIZE <= image->size; i += 4) {
		if (boot_get32(image, i) != HEADER_MAGIC)
			continue;
		if (boot_get32(image, i) + boot_get32(image, i + 4) + boot_get32(image, i + 8) == 0)
			return (int64_t)i;
		if (first < 0)
			first = (int64_t)i;
	}
	return first;
}

bool multiboot_probe(const struct umbra_image *image)
{
	return find_header(image) >= 0;
}

/* The a.out kludge: the header itself says what goes where. */
static int plan_addresses(struct plan *plan, const struct memory *memory,
			  const struct umbra_image *image, size_t header,
			  struct umbra_error *ret_error)
{
	uint64_t fields = header + HEADER_ADDRESSES;
	uint32_t header_addr, load_addr, load_end, bss_end;
	struct plan_segment segment = {.header = fields};

	if (image->size < header + HEADER_SIZE_FIELDS)
		return boot_broken(ret_error, image, fields, "address fields",
				   "the file ends (%zu bytes) before the header does", image->size);
	header_addr = boot_get32(image, fields);
	load_addr = boot_get32(image, fields + 4);
	load_end = boot_get32(image, fields + 8);
	bss_end = boot_get32(image, fields + 12);
	if (load_addr > header_addr || header_addr - load_addr > header)
		return boot_broken(ret_error, image, fields, "header_addr",
				   "0x%x is not within what is loaded at load_addr 0x%x",
				   header_addr, load_addr);
	segment.gpa = segment.virtual = load_addr;
	segment.file_offset = header - (header_addr - load_addr);
	if (load_end == 0)
		segment.file_size = image->size - segment.file_offset;
	else if (load_end < load_addr)
		return boot_broken(ret_error, image, fields + 8, "load_end_addr",
				   "0x%x is below load_addr 0x%x", load_end, load_addr);
	else
		segment.file_size = load_end - load_addr;
	segment.memory_size = segment.file_size;
	if (bss_end != 0) {
		if (bss_end < load_addr + segment.file_size)
			return boot_broken(ret_error, image, fields + 12, "bss_end_addr",
					   "0x%x is below the end of what is loaded", bss_end);
		segment.memory_size = bss_end - load_addr;
	}
	plan->entry_offset = fields + 16;
	plan->entry = boot_get32(image, plan->entry_offset);
	return plan_add(plan, memory, image, &segment, ret_error);
}

int multiboot_load(struct memory *memory, const struct umbra_image *image,
		   struct boot_entry *ret_entry, struct umbra_error *ret_error)
{
	struct boot_entry entry = {.long_mode = false};
	struct plan plan = {.nr_segments = 0};
	size_t header = (size_t)find_header(image);
	uint32_t flags = boot_get32(image, header + 4), sum;
	int r;

	sum = HEADER_MAGIC + flags + boot_get32(image, header + 8);
	if (sum != 0)
		return boot_broken(ret_error, image, header + 8, "multiboot checksum",
				   "0x%x; 0x%x expected", boot_get32(image, header + 8),
				   0u - HEADER_MAGIC - flags);
	if (flags & FLAG_VIDEO)
		return boot_broken(ret_error, image, header + 4, "multiboot flags",
				   "0x%x demands a video mode (bit 2), which this machine lacks",
				   flags);
	if (flags & FLAGS_MANDATORY & ~FLAGS_KNOWN)
		return boot_broken(ret_error, image, header + 4, "multiboot flags",
				   "0x%x has unknown mandatory bits 0x%x", flags,
				   flags & FLAGS_MANDATORY & ~FLAGS_KNOWN);
	if (flags & FLAG_ADDRESSES)
		r = plan_addresses(&plan, memory, image, header, ret_error);
	else
		r = plan_elf(&plan, memory, image, false, ret_error);
	if (r == 0)
		r = plan_entry(&plan, image, &entry.rip, ret_error);
	if (r == 0)
		r = plan_write(&plan, memory, image, ret_error);
	if (r == 0)
		r = plan_write_information(&plan, memory, image, &entry, ret_error);
	if (r == 0)
		*ret_entry = entry;
	return r;
}
