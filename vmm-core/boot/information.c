/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an image finds by RBX: the Multiboot Specification 0.6.96, 3.3 "Boot information format". */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "boot/plan.h"

#define LOADER_MAGIC     0x2badb002u
#define LOADER_NAME      "umbra"

#define INFO_MEMORY      (1u << 0)
#define INFO_CMDLINE     (1u << 2)
#define INFO_MODULES     (1u << 3)
#define INFO_MMAP        (1u << 6)
#define INFO_LOADER_NAME (1u << 9)

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

struct module_entry {
	uint32_t start, end; /* the byte behind its last one */
	uint32_t string;
	uint32_t reserved;
};

/*
 * GDT, information structure, memory map, modules, loader's name, and then the command line and
 * the modules' strings, in this order, in one piece of low memory.
 */
struct handover {
	uint64_t gdt[BOOT_GDT_SIZE / 8];
	struct info info;
	struct mmap_entry mmap[MACHINE_MEMORY_RANGES];
	struct module_entry module[UMBRA_MODULES_MAX];
	char loader_name[8];
	char strings[];
};

/* "NAME REST", or "NAME". */
static size_t line_size(const char *name, const char *rest)
{
	return strlen(name) + 1 + (rest && *rest ? strlen(rest) + 1 : 0);
}

/* Puts a line at *at and moves *at behind its NUL. */
static uint32_t put_line(struct handover *h, uint64_t gpa, char **at, const char *name,
			 const char *rest)
{
	uint32_t address = (uint32_t)(gpa + (uint64_t)(*at - (char *)h));

	*at = stpcpy(*at, name);
	if (rest && *rest) {
		*(*at)++ = ' ';
		*at = stpcpy(*at, rest);
	}
	(*at)++;
	return address;
}

/* Above 1 MiB, at page boundaries, in the order in which they were given. */
static int place_modules(struct plan *plan, struct memory *memory, const struct umbra_image *image,
			 struct handover *h, struct umbra_error *ret_error)
{
	uint64_t from = MACHINE_HIGH, until = boot_high_end(memory);

	for (unsigned i = 0; i < image->nr_modules; i++) {
		const struct umbra_module *module = &image->modules[i];
		uint64_t gpa = plan_take(plan, from, until, module->size);
		int r;

		if (gpa == 0)
			return umbra_error_set(ret_error, -ENOSPC, module->name, "module",
					       "no room for its %zu bytes between 0x%" PRIx64
					       " and the end of RAM at 0x%" PRIx64
					       " beside the image",
					       module->size, from, until);
		r = memory_write(memory, gpa, module->data, module->size);
		if (r < 0)
			return umbra_error_set(ret_error, r, module->name, "module",
					       "cannot write it at 0x%" PRIx64, gpa);
		h->module[i].start = (uint32_t)gpa;
		h->module[i].end = (uint32_t)(gpa + module->size);
		from = gpa + module->size;
	}
	return 0;
}

static void fill(struct handover *h, uint64_t gpa, const struct memory *memory,
		 const struct umbra_image *image, bool long_mode)
{
	struct machine_memory_range map[MACHINE_MEMORY_RANGES];
	unsigned nr = machine_memory_map(memory_size(memory), map);
	char *at = h->strings;

	boot_gdt(long_mode, h->gdt);
	h->info.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MMAP | INFO_LOADER_NAME;
	h->info.mem_lower = MACHINE_EBDA / 1024;
	h->info.mem_upper = (uint32_t)((boot_high_end(memory) - MACHINE_HIGH) / 1024);
	h->info.cmdline = put_line(h, gpa, &at, image->name, image->append);
	h->info.mods_count = image->nr_modules;
	h->info.mods_addr = (uint32_t)(gpa + offsetof(struct handover, module));
	for (unsigned i = 0; i < image->nr_modules; i++)
		h->module[i].string =
			put_line(h, gpa, &at, image->modules[i].name, image->modules[i].string);
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
}

static int check(const struct umbra_image *image, struct umbra_error *ret_error)
{
	if (image->initrd)
		return umbra_error_set(ret_error, -EINVAL, image->initrd->name, "initrd",
				       "%s is no Linux kernel: it takes modules, not an initrd",
				       image->name);
	if (image->nr_modules > UMBRA_MODULES_MAX)
		return umbra_error_set(ret_error, -E2BIG, image->name, "modules",
				       "%u of them; at most %u expected", image->nr_modules,
				       UMBRA_MODULES_MAX);
	return 0;
}

int plan_write_information(struct plan *plan, struct memory *memory,
			   const struct umbra_image *image, struct boot_entry *entry,
			   struct umbra_error *ret_error)
{
	size_t size = sizeof(struct handover) + line_size(image->name, image->append);
	struct handover *h;
	uint64_t gpa;
	int r = check(image, ret_error);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < image->nr_modules; i++)
		size += line_size(image->modules[i].name, image->modules[i].string);
	gpa = plan_take(plan, PAGE_SIZE, MACHINE_EBDA, size);
	if (!gpa)
		return umbra_error_set(ret_error, size > MACHINE_EBDA ? -E2BIG : -ENOSPC,
				       image->name, "command line",
				       "no room for %zu bytes of boot information below 0x%x "
				       "beside the image",
				       size, MACHINE_EBDA);
	h = calloc(1, size);
	if (!h)
		return umbra_error_set(ret_error, -ENOMEM, image->name, NULL, "out of memory");
	fill(h, gpa, memory, image, entry->long_mode);
	r = place_modules(plan, memory, image, h, ret_error);
	if (r == 0) {
		r = memory_write(memory, gpa, h, size);
		if (r < 0)
			umbra_error_set(ret_error, r, image->name, NULL,
					"boot information does not fit into RAM");
	}
	free(h);
	entry->rax = LOADER_MAGIC;
	entry->rbx = gpa + offsetof(struct handover, info);
	entry->gdt_base = gpa + offsetof(struct handover, gdt);
	entry->gdt_limit = BOOT_GDT_SIZE - 1;
	entry->cs = BOOT_CS;
	entry->ds = BOOT_DS;
	return r;
}
