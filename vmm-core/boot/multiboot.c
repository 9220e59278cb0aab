/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot 1 (Multiboot Specification 0.6.96): ELF32 images and ones with address fields. */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "boot/loader.h"

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

#define LOADER_MAGIC       0x2badb002u
#define LOADER_NAME        "umbra"

#define INFO_MEMORY        (1u << 0)
#define INFO_CMDLINE       (1u << 2)
#define INFO_MMAP          (1u << 6)
#define INFO_LOADER_NAME   (1u << 9)

#define MAX_SEGMENTS       64

/* The start of the multiboot information structure, up to the last field that is given. */
struct info {
	uint32_t flags;
	uint32_t mem_lower, mem_upper;
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr;
	uint32_t config_table;
	uint32_t boot_loader_name;
};

struct mmap_entry {
	uint32_t size; /* of what follows */
	uint64_t base, length;
	uint32_t type;
} __attribute__((packed));

/* A piece of the image in guest memory; what lies past its bytes up to memory_size is zero. */
struct segment {
	uint64_t gpa, virtual, memory_size;
	uint64_t file_offset, file_size;
	uint64_t header; /* where in the file it is described */
};

struct plan {
	struct segment segment[MAX_SEGMENTS];
	unsigned nr_segments;
	uint32_t entry;
	uint64_t entry_offset; /* where in the file the entry is given */
};

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

static int add_segment(struct memory *memory, const struct umbra_image *image, struct plan *plan,
		       const struct segment *new, struct umbra_error *ret_error)
{
	uint64_t ram = memory_size(memory);

	if (plan->nr_segments == MAX_SEGMENTS)
		return boot_broken(ret_error, image, new->header, "program header",
				   "more than %u segments to load", MAX_SEGMENTS);
	if (new->file_offset > image->size || new->file_size > image->size - new->file_offset)
		return boot_broken(ret_error, image, new->header, "segment",
				   "its %" PRIu64 " bytes at file offset 0x%" PRIx64
				   " reach past the end of the file (%zu bytes)",
				   new->file_size, new->file_offset, image->size);
	if (new->file_size > new->memory_size)
		return boot_broken(ret_error, image, new->header, "segment",
				   "%" PRIu64 " bytes in the file, but only %" PRIu64 " in memory",
				   new->file_size, new->memory_size);
	if (new->gpa > ram || new->memory_size > ram - new->gpa)
		return boot_broken(ret_error, image, new->header, "segment",
				   "its %" PRIu64 " bytes at 0x%" PRIx64
				   " reach past the end of RAM (%" PRIu64 " bytes)",
				   new->memory_size, new->gpa, ram);
	for (unsigned i = 0; i < plan->nr_segments; i++) {
		const struct segment *old = &plan->segment[i];

		if (new->gpa < old->gpa + old->memory_size &&
		    old->gpa < new->gpa + new->memory_size)
			return boot_broken(ret_error, image, new->header, "segment",
					   "overlaps another one at 0x%" PRIx64, old->gpa);
	}
	plan->segment[plan->nr_segments++] = *new;
	return 0;
}

/* The a.out kludge: the header itself says what goes where. */
static int plan_addresses(struct memory *memory, const struct umbra_image *image, size_t header,
			  struct plan *plan, struct umbra_error *ret_error)
{
	uint64_t fields = header + HEADER_ADDRESSES;
	uint32_t header_addr, load_addr, load_end, bss_end;
	struct segment segment = {.header = fields};

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
	return add_segment(memory, image, plan, &segment, ret_error);
}

static int check_elf(const struct umbra_image *image, const Elf32_Ehdr *elf,
		     struct umbra_error *ret_error)
{
	if (memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0)
		return boot_broken(ret_error, image, 0, "e_ident",
				   "not an ELF file, and the multiboot header has no address "
				   "fields");
	if (elf->e_ident[EI_CLASS] != ELFCLASS32)
		return boot_broken(ret_error, image, EI_CLASS, "e_ident[EI_CLASS]",
				   "class %u; multiboot 1 needs a 32-bit ELF container (class 1), "
				   "which may hold 64-bit code",
				   elf->e_ident[EI_CLASS]);
	if (elf->e_ident[EI_DATA] != ELFDATA2LSB)
		return boot_broken(ret_error, image, EI_DATA, "e_ident[EI_DATA]",
				   "%u; little-endian (1) expected", elf->e_ident[EI_DATA]);
	if (elf->e_type != ET_EXEC)
		return boot_broken(ret_error, image, offsetof(Elf32_Ehdr, e_type), "e_type",
				   "%u; an executable (2) expected", elf->e_type);
	if (elf->e_machine != EM_386)
		return boot_broken(ret_error, image, offsetof(Elf32_Ehdr, e_machine), "e_machine",
				   "%u; EM_386 (3) expected", elf->e_machine);
	if (elf->e_phentsize != sizeof(Elf32_Phdr))
		return boot_broken(ret_error, image, offsetof(Elf32_Ehdr, e_phentsize),
				   "e_phentsize", "%u; %zu expected", elf->e_phentsize,
				   sizeof(Elf32_Phdr));
	if (elf->e_phoff > image->size ||
	    elf->e_phnum > (image->size - elf->e_phoff) / sizeof(Elf32_Phdr))
		return boot_broken(ret_error, image, offsetof(Elf32_Ehdr, e_phoff), "e_phoff",
				   "%u program headers at 0x%x reach past the end of the file "
				   "(%zu bytes)",
				   elf->e_phnum, elf->e_phoff, image->size);
	return 0;
}

static int plan_elf(struct memory *memory, const struct umbra_image *image, struct plan *plan,
		    struct umbra_error *ret_error)
{
	Elf32_Ehdr elf;
	Elf32_Phdr ph;
	int r;

	if (image->size < sizeof(elf))
		return boot_broken(ret_error, image, 0, "ELF header",
				   "the file has %zu bytes; at least %zu expected", image->size,
				   sizeof(elf));
	memcpy(&elf, image->data, sizeof(elf));
	r = check_elf(image, &elf, ret_error);
	if (r < 0)
		return r;
	plan->entry = elf.e_entry;
	plan->entry_offset = offsetof(Elf32_Ehdr, e_entry);
	for (unsigned i = 0; i < elf.e_phnum; i++) {
		uint64_t offset = elf.e_phoff + (uint64_t)i * sizeof(ph);

		memcpy(&ph, (const uint8_t *)image->data + offset, sizeof(ph));
		if (ph.p_type != PT_LOAD || ph.p_memsz == 0)
			continue;
		r = add_segment(memory, image, plan,
				&(struct segment){.gpa = ph.p_paddr,
						  .virtual = ph.p_vaddr,
						  .memory_size = ph.p_memsz,
						  .file_offset = ph.p_offset,
						  .file_size = ph.p_filesz,
						  .header = offset},
				ret_error);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The entry is a virtual address as the linker saw it; the guest starts without paging. */
static int find_entry(const struct umbra_image *image, const struct plan *plan, uint64_t *ret_rip,
		      struct umbra_error *ret_error)
{
	for (unsigned i = 0; i < plan->nr_segments; i++) {
		const struct segment *segment = &plan->segment[i];

		if (plan->entry >= segment->virtual &&
		    plan->entry - segment->virtual < segment->memory_size) {
			*ret_rip = segment->gpa + (plan->entry - segment->virtual);
			return 0;
		}
	}
	return boot_broken(ret_error, image, plan->entry_offset, "entry",
			   "0x%x lies in none of the %u segments", plan->entry, plan->nr_segments);
}

/* The lowest place in conventional memory, but not in its first page, that the image leaves free.
 */
static uint64_t find_room(const struct plan *plan, uint64_t size)
{
	uint64_t gpa = PAGE_SIZE;
	bool moved;

	do {
		moved = false;
		for (unsigned i = 0; i < plan->nr_segments; i++) {
			const struct segment *segment = &plan->segment[i];
			uint64_t end = segment->gpa + segment->memory_size;

			if (gpa < end && segment->gpa < gpa + size) {
				gpa = (end + PAGE_MASK) & ~PAGE_MASK;
				moved = true;
			}
		}
	} while (moved);
	return size <= BOOT_LOW_END && gpa <= BOOT_LOW_END - size ? gpa : 0;
}

/*
 * GDT, information structure, memory map, loader's name and command line, in this order, in one
 * piece of low memory.
 */
struct handover {
	uint64_t gdt[BOOT_GDT_SIZE / 8];
	struct info info;
	struct mmap_entry mmap[BOOT_MAP_ENTRIES];
	char loader_name[8];
	char cmdline[];
};

static int write_handover(struct memory *memory, const struct umbra_image *image,
			  const struct plan *plan, struct boot_entry *entry,
			  struct umbra_error *ret_error)
{
	const char *append = image->append ? image->append : "";
	size_t name_length = strlen(image->name), append_length = strlen(append);
	size_t size = sizeof(struct handover) + name_length + 1 + append_length + 1;
	uint64_t gpa = find_room(plan, size);
	struct boot_map_entry map[BOOT_MAP_ENTRIES];
	unsigned nr = boot_memory_map(memory, map);
	struct handover *h;
	int r;

	if (!gpa)
		return umbra_error_set(ret_error, -ENOEXEC, image->name, "command line",
				       "no room for %zu bytes of boot information below 0x%x "
				       "beside the image",
				       size, BOOT_LOW_END);
	h = calloc(1, size);
	if (!h)
		return umbra_error_set(ret_error, -ENOMEM, image->name, NULL, "out of memory");

	boot_gdt(false, h->gdt);
	h->info.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MMAP | INFO_LOADER_NAME;
	h->info.mem_lower = BOOT_LOW_END / 1024;
	if (nr == BOOT_MAP_ENTRIES)
		h->info.mem_upper = (uint32_t)(map[nr - 1].size / 1024);
	h->info.cmdline = (uint32_t)(gpa + offsetof(struct handover, cmdline));
	h->info.mmap_addr = (uint32_t)(gpa + offsetof(struct handover, mmap));
	h->info.mmap_length = (uint32_t)(nr * sizeof(struct mmap_entry));
	h->info.boot_loader_name = (uint32_t)(gpa + offsetof(struct handover, loader_name));
	for (unsigned i = 0; i < nr; i++)
		h->mmap[i] = (struct mmap_entry){
			.size = sizeof(struct mmap_entry) - sizeof(h->mmap[i].size),
			.base = map[i].base,
			.length = map[i].size,
			.type = map[i].type,
		};
	memcpy(h->loader_name, LOADER_NAME, sizeof(LOADER_NAME));
	memcpy(h->cmdline, image->name, name_length);
	if (append_length) {
		h->cmdline[name_length] = ' ';
		memcpy(h->cmdline + name_length + 1, append, append_length);
	}
	r = memory_write(memory, gpa, h, size);
	free(h);
	if (r < 0)
		return umbra_error_set(ret_error, r, image->name, NULL,
				       "boot information does not fit into RAM");
	entry->rbx = gpa + offsetof(struct handover, info);
	entry->gdt_base = gpa + offsetof(struct handover, gdt);
	return 0;
}

int multiboot_load(struct memory *memory, const struct umbra_image *image,
		   struct boot_entry *ret_entry, struct umbra_error *ret_error)
{
	struct boot_entry entry = {
		.rax = LOADER_MAGIC,
		.gdt_limit = BOOT_GDT_SIZE - 1,
		.cs = BOOT_CS,
		.ds = BOOT_DS,
	};
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
		r = plan_addresses(memory, image, header, &plan, ret_error);
	else
		r = plan_elf(memory, image, &plan, ret_error);
	if (r < 0)
		return r;
	r = find_entry(image, &plan, &entry.rip, ret_error);
	if (r < 0)
		return r;
	/* RAM is zero before the load, so what lies past a segment's bytes needs no work. */
	for (unsigned i = 0; i < plan.nr_segments; i++) {
		const struct segment *segment = &plan.segment[i];

		r = memory_write(memory, segment->gpa,
				 (const uint8_t *)image->data + segment->file_offset,
				 segment->file_size);
		if (r < 0)
			return umbra_error_set(ret_error, r, image->name, "segment",
					       "cannot write %" PRIu64 " bytes at 0x%" PRIx64,
					       segment->file_size, segment->gpa);
	}
	r = write_handover(memory, image, &plan, &entry, ret_error);
	if (r < 0)
		return r;
	*ret_entry = entry;
	return 0;
}
