/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ELF executables (System V ABI, chapters 4 and 5): the segments of 32-bit and 64-bit ones, and the
 * loader of 64-bit ones, which start in 64-bit mode at physical addresses.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "boot/plan.h"

/* The fields of both classes, and where the file has them. */
struct header {
	uint16_t type, machine, phentsize, phnum;
	uint64_t entry, phoff;
	size_t type_at, machine_at, phentsize_at, phoff_at;
	size_t program_header; /* what the size of one must be */
};

#define TAKE(class)                                                                                \
	do {                                                                                       \
		Elf##class##_Ehdr elf;                                                             \
		memcpy(&elf, image->data, sizeof(elf));                                            \
		*ret = (struct header){                                                            \
			.type = elf.e_type,                                                        \
			.machine = elf.e_machine,                                                  \
			.phentsize = elf.e_phentsize,                                              \
			.phnum = elf.e_phnum,                                                      \
			.entry = elf.e_entry,                                                      \
			.phoff = elf.e_phoff,                                                      \
			.type_at = offsetof(Elf##class##_Ehdr, e_type),                            \
			.machine_at = offsetof(Elf##class##_Ehdr, e_machine),                      \
			.phentsize_at = offsetof(Elf##class##_Ehdr, e_phentsize),                  \
			.phoff_at = offsetof(Elf##class##_Ehdr, e_phoff),                          \
			.program_header = sizeof(Elf##class##_Phdr),                               \
		};                                                                                 \
	} while (0)

static int check_header(const struct umbra_image *image, bool wide, const struct header *elf,
			struct umbra_error *ret_error)
{
	if (elf->type != ET_EXEC)
		return boot_broken(ret_error, image, elf->type_at, "e_type",
				   "%u; an executable (2) expected%s", elf->type,
				   elf->type == ET_DYN ? ", linked to its physical addresses" : "");
	if (elf->machine != EM_X86_64 && (wide || elf->machine != EM_386))
		return boot_broken(ret_error, image, elf->machine_at, "e_machine",
				   "%u; %s expected", elf->machine,
				   wide ? "EM_X86_64 (62)" : "EM_386 (3)");
	if (elf->phentsize != elf->program_header)
		return boot_broken(ret_error, image, elf->phentsize_at, "e_phentsize",
				   "%u; %zu expected", elf->phentsize, elf->program_header);
	if (elf->phoff > image->size ||
	    elf->phnum > (image->size - elf->phoff) / elf->program_header)
		return boot_broken(ret_error, image, elf->phoff_at, "e_phoff",
				   "%u program headers at 0x%" PRIx64
				   " reach past the end of the file (%zu bytes)",
				   elf->phnum, elf->phoff, image->size);
	return 0;
}

static int take_header(const struct umbra_image *image, bool wide, struct header *ret,
		       struct umbra_error *ret_error)
{
	const uint8_t *ident = image->data;
	size_t size = wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);

	if (image->size < size)
		return boot_broken(ret_error, image, 0, "ELF header",
				   "the file has %zu bytes; at least %zu expected", image->size,
				   size);
	if (memcmp(ident, ELFMAG, SELFMAG) != 0)
		return boot_broken(ret_error, image, 0, "e_ident",
				   "not an ELF file, and the multiboot header has no address "
				   "fields");
	if (ident[EI_CLASS] != (wide ? ELFCLASS64 : ELFCLASS32))
		return boot_broken(ret_error, image, EI_CLASS, "e_ident[EI_CLASS]",
				   "class %u; multiboot 1 needs a 32-bit ELF container (class 1), "
				   "which may hold 64-bit code",
				   ident[EI_CLASS]);
	if (ident[EI_DATA] != ELFDATA2LSB)
		return boot_broken(ret_error, image, EI_DATA, "e_ident[EI_DATA]",
				   "%u; little-endian (1) expected", ident[EI_DATA]);
	if (wide)
		TAKE(64);
	else
		TAKE(32);
	return check_header(image, wide, ret, ret_error);
}

#define SEGMENT(ph)                                                                                \
	((struct plan_segment){.gpa = (ph).p_paddr,                                                \
			       .virtual = (ph).p_vaddr,                                            \
			       .memory_size = (ph).p_memsz,                                        \
			       .file_offset = (ph).p_offset,                                       \
			       .file_size = (ph).p_filesz,                                         \
			       .header = at})

int plan_elf(struct plan *plan, const struct memory *memory, const struct umbra_image *image,
	     bool wide, struct umbra_error *ret_error)
{
	struct header elf = {0};
	int r = take_header(image, wide, &elf, ret_error);

	if (r < 0)
		return r;
	plan->entry = elf.entry;
	plan->entry_offset = offsetof(Elf64_Ehdr, e_entry); /* the same in both classes */
	for (unsigned i = 0; i < elf.phnum && r == 0; i++) {
		uint64_t at = elf.phoff + i * elf.program_header;
		const uint8_t *bytes = (const uint8_t *)image->data + at;
		struct plan_segment segment;
		Elf32_Phdr narrow;
		Elf64_Phdr full;
		uint32_t type;

		if (wide) {
			memcpy(&full, bytes, sizeof(full));
			type = full.p_type;
			segment = SEGMENT(full);
		} else {
			memcpy(&narrow, bytes, sizeof(narrow));
			type = narrow.p_type;
			segment = SEGMENT(narrow);
		}
		if (type == PT_INTERP)
			return boot_broken(
				ret_error, image, at, "program header",
				"PT_INTERP: a program for an operating system; one that "
				"is linked statically, to its physical addresses, expected");
		if (type == PT_LOAD && segment.memory_size != 0)
			r = plan_add(plan, memory, image, &segment, ret_error);
	}
	return r;
}

bool elf64_probe(const struct umbra_image *image)
{
	const uint8_t *ident = image->data;

	return image->size > EI_CLASS && memcmp(ident, ELFMAG, SELFMAG) == 0 &&
	       ident[EI_CLASS] == ELFCLASS64;
}

int elf64_load(struct memory *memory, const struct umbra_image *image, struct boot_entry *ret_entry,
	       struct umbra_error *ret_error)
{
	struct boot_entry entry = {.long_mode = true};
	struct plan plan = {.nr_segments = 0};
	int r = plan_elf(&plan, memory, image, true, ret_error);

	if (r == 0)
		r = plan_entry(&plan, image, &entry.rip, ret_error);
	if (r < 0)
		return r;
	/* The tables, and a page of stack above them. */
	entry.cr3 = plan_take(&plan, PAGE_SIZE, MACHINE_EBDA, BOOT_TABLES_SIZE + PAGE_SIZE);
	if (entry.cr3 == 0)
		return umbra_error_set(ret_error, -ENOSPC, image->name, "page tables",
				       "no room for %lu bytes below 0x%x beside the image",
				       BOOT_TABLES_SIZE + PAGE_SIZE, MACHINE_EBDA);
	entry.rsp = entry.cr3 + BOOT_TABLES_SIZE + PAGE_SIZE;
	r = plan_write(&plan, memory, image, ret_error);
	if (r == 0)
		r = plan_write_information(&plan, memory, image, &entry, ret_error);
	if (r < 0)
		return r;
	r = boot_write_tables(memory, entry.cr3);
	if (r < 0)
		return umbra_error_set(ret_error, r, image->name, "page tables",
				       "they do not fit into RAM");
	*ret_entry = entry;
	return 0;
}
