/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Linux bzImage by the 64-bit boot protocol (Linux, Documentation/arch/x86/boot.rst). */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "boot/loader.h"

/* Offsets in the image, and in the zero page too from SETUP_SECTS on. */
enum {
	SETUP_SECTS = 0x1f1,
	SYSSIZE = 0x1f4,
	BOOT_FLAG = 0x1fe,
	JUMP_LENGTH = 0x201, /* the header ends that far after HEADER */
	HEADER = 0x202,
	VERSION = 0x206,
	TYPE_OF_LOADER = 0x210,
	LOADFLAGS = 0x211,
	CODE32_START = 0x214,
	RAMDISK_IMAGE = 0x218,
	RAMDISK_SIZE = 0x21c,
	CMD_LINE_PTR = 0x228,
	INITRD_ADDR_MAX = 0x22c,
	KERNEL_ALIGNMENT = 0x230,
	RELOCATABLE_KERNEL = 0x234,
	XLOADFLAGS = 0x236,
	CMDLINE_SIZE = 0x238,
	PREF_ADDRESS = 0x258,
	INIT_SIZE = 0x260,
	HEADER_NEEDED = 0x264, /* up to here everything is used */
};

/* Offsets in the zero page alone */
enum {
	ZERO_EXT_MEM_K = 0x002,
	ZERO_ALT_MEM_K = 0x1e0,
	ZERO_E820_ENTRIES = 0x1e8,
	ZERO_HEADER_END = 0x290,
	ZERO_E820_TABLE = 0x2d0,
};

#define BOOT_FLAG_MAGIC     0xaa55
#define HEADER_MAGIC        0x53726448u /* "HdrS" */
#define VERSION_NEEDED      0x020c
#define LOADED_HIGH         (1u << 0)
#define XLF_KERNEL_64       (1u << 0)
#define TYPE_OF_LOADER_NONE 0xff /* no number assigned */
#define SECTOR              512u
#define SETUP_SECTS_DEFAULT 4u
#define ENTRY_64            0x200u

/* Where what the kernel finds lies; all of it in conventional memory. */
#define GPA_GDT       0x1000u
#define GPA_STACK_TOP 0x2000u
#define GPA_ZERO_PAGE 0x2000u
#define GPA_TABLES    0x3000u
#define GPA_CMDLINE   0x9000u
#define CMDLINE_ROOM  0x10000u

struct e820_entry {
	uint64_t base, size;
	uint32_t type;
} __attribute__((packed));

struct kernel {
	uint64_t file_offset, file_size; /* of the protected-mode part */
	uint64_t init_size;              /* memory that it needs before it has looked around */
	uint64_t gpa;
	uint64_t initrd; /* where it goes; 0: none */
	const char *append;
};

bool linux_probe(const struct umbra_image *image)
{
	return image->size >= HEADER + 4 && boot_get32(image, HEADER) == HEADER_MAGIC;
}

static uint8_t get8(const struct umbra_image *image, size_t offset)
{
	return ((const uint8_t *)image->data)[offset];
}

static int check_header(const struct umbra_image *image, struct umbra_error *ret_error)
{
	uint16_t version;

	if (image->size < HEADER_NEEDED)
		return boot_broken(ret_error, image, HEADER, "setup header",
				   "the file ends (%zu bytes) before the header does", image->size);
	if (boot_get16(image, BOOT_FLAG) != BOOT_FLAG_MAGIC)
		return boot_broken(ret_error, image, BOOT_FLAG, "boot_flag",
				   "0x%04x; 0x%04x expected", boot_get16(image, BOOT_FLAG),
				   BOOT_FLAG_MAGIC);
	version = boot_get16(image, VERSION);
	if (version < VERSION_NEEDED)
		return boot_broken(ret_error, image, VERSION, "version",
				   "boot protocol %u.%02u; at least 2.12 expected", version >> 8,
				   version & 0xff);
	if (HEADER + get8(image, JUMP_LENGTH) < HEADER_NEEDED)
		return boot_broken(ret_error, image, JUMP_LENGTH, "jump",
				   "the header ends at 0x%x; 0x%x or more expected",
				   HEADER + get8(image, JUMP_LENGTH), HEADER_NEEDED);
	if (!(boot_get16(image, XLOADFLAGS) & XLF_KERNEL_64))
		return boot_broken(ret_error, image, XLOADFLAGS, "xloadflags",
				   "0x%04x lacks XLF_KERNEL_64: no 64-bit entry point",
				   boot_get16(image, XLOADFLAGS));
	if (!(get8(image, LOADFLAGS) & LOADED_HIGH))
		return boot_broken(ret_error, image, LOADFLAGS, "loadflags",
				   "0x%02x lacks LOADED_HIGH: a zImage, not a bzImage",
				   get8(image, LOADFLAGS));
	return 0;
}

static int find_kernel(const struct umbra_image *image, struct kernel *kernel,
		       struct umbra_error *ret_error)
{
	unsigned sectors = get8(image, SETUP_SECTS);
	/* The field counts units of 16 bytes, the last of which may not be full. */
	uint64_t demanded = (uint64_t)boot_get32(image, SYSSIZE) * 16;

	if (sectors == 0)
		sectors = SETUP_SECTS_DEFAULT;
	kernel->file_offset = (uint64_t)(sectors + 1) * SECTOR;
	if (kernel->file_offset >= image->size)
		return boot_broken(ret_error, image, SETUP_SECTS, "setup_sects",
				   "%u sectors reach past the end of the file (%zu bytes)", sectors,
				   image->size);
	kernel->file_size = image->size - kernel->file_offset;
	if (demanded > kernel->file_size + 15)
		return boot_broken(ret_error, image, SYSSIZE, "syssize",
				   "%" PRIu64 " bytes of kernel demanded; the file has %" PRIu64,
				   demanded, kernel->file_size);
	if (demanded && demanded < kernel->file_size)
		kernel->file_size = demanded;
	if (kernel->file_size <= ENTRY_64)
		return boot_broken(ret_error, image, SYSSIZE, "syssize",
				   "%" PRIu64 " bytes of kernel end before the 64-bit entry 0x%x",
				   kernel->file_size, ENTRY_64);
	kernel->init_size = boot_get32(image, INIT_SIZE);
	if (kernel->init_size < kernel->file_size)
		kernel->init_size = kernel->file_size;
	return 0;
}

static bool fits(const struct memory *memory, const struct kernel *kernel, uint64_t gpa)
{
	uint64_t end = boot_high_end(memory);

	return gpa >= MACHINE_HIGH && gpa <= end && kernel->init_size <= end - gpa;
}

/* pref_address; a relocatable kernel may also go to the lowest aligned place from 1 MiB on. */
static int place_kernel(const struct memory *memory, const struct umbra_image *image,
			struct kernel *kernel, struct umbra_error *ret_error)
{
	bool relocatable = get8(image, RELOCATABLE_KERNEL);
	uint64_t alignment = boot_get32(image, KERNEL_ALIGNMENT);

	kernel->gpa = boot_get64(image, PREF_ADDRESS);
	if (kernel->gpa < MACHINE_HIGH && !relocatable)
		return boot_broken(ret_error, image, PREF_ADDRESS, "pref_address",
				   "0x%" PRIx64 "; 0x%x or above expected", kernel->gpa,
				   MACHINE_HIGH);
	if (fits(memory, kernel, kernel->gpa))
		return 0;
	if (relocatable) {
		if (alignment == 0 || (alignment & (alignment - 1)))
			return boot_broken(ret_error, image, KERNEL_ALIGNMENT, "kernel_alignment",
					   "0x%" PRIx64 "; a power of two expected", alignment);
		kernel->gpa = (MACHINE_HIGH + alignment - 1) & ~(alignment - 1);
		if (fits(memory, kernel, kernel->gpa))
			return 0;
	}
	return boot_no_room(ret_error, image, INIT_SIZE, "init_size",
			    "the kernel needs %" PRIu64 " bytes at 0x%" PRIx64
			    "; RAM ends at 0x%" PRIx64,
			    kernel->init_size, kernel->gpa, boot_high_end(memory));
}

static int check_cmdline(const struct umbra_image *image, struct kernel *kernel,
			 struct umbra_error *ret_error)
{
	uint64_t limit = boot_get32(image, CMDLINE_SIZE);

	if (limit > CMDLINE_ROOM - 1)
		limit = CMDLINE_ROOM - 1;
	kernel->append = image->append ? image->append : "";
	if (strlen(kernel->append) > limit)
		return umbra_error_set(ret_error, -E2BIG, image->name, "command line",
				       "it has %zu characters; the kernel takes %" PRIu64
				       " (cmdline_size at offset 0x%x)",
				       strlen(kernel->append), limit, CMDLINE_SIZE);
	return 0;
}

/* As high as RAM and the kernel allow, out of the way of what the kernel does at first. */
static int place_initrd(const struct memory *memory, const struct umbra_image *image,
			struct kernel *kernel, struct umbra_error *ret_error)
{
	uint64_t from = kernel->gpa + kernel->init_size, end = boot_high_end(memory);
	uint64_t max = boot_get32(image, INITRD_ADDR_MAX);

	if (image->nr_modules > 0)
		return umbra_error_set(ret_error, -EINVAL, image->modules[0].name, "module",
				       "%s is a Linux kernel: it takes an initrd, not modules",
				       image->name);
	if (!image->initrd)
		return 0;
	if (image->initrd->size == 0)
		return umbra_error_set(ret_error, -EINVAL, image->initrd->name, "initrd",
				       "it is empty; an archive or a file system expected");
	if (end > max + 1) /* the field names the last byte */
		end = max + 1;
	if (image->initrd->size <= end)
		kernel->initrd = (end - image->initrd->size) & ~PAGE_MASK;
	if (kernel->initrd < from)
		return umbra_error_set(ret_error, -ENOSPC, image->initrd->name, "initrd",
				       "no room for its %zu bytes between the kernel's end at "
				       "0x%" PRIx64 " and 0x%" PRIx64
				       " (the end of RAM or initrd_addr_max)",
				       image->initrd->size, from, end);
	return 0;
}

static void put(uint8_t *page, size_t offset, uint64_t value, unsigned size)
{
	memcpy(page + offset, &value, size);
}

static int write_zero_page(struct memory *memory, const struct umbra_image *image,
			   const struct kernel *kernel)
{
	uint8_t page[PAGE_SIZE] = {0};
	struct machine_memory_range map[MACHINE_MEMORY_RANGES];
	unsigned nr = machine_memory_map(memory_size(memory), map);
	size_t header_end = HEADER + get8(image, JUMP_LENGTH);
	uint64_t high_k = (boot_high_end(memory) - MACHINE_HIGH) / 1024;

	if (header_end > ZERO_HEADER_END)
		header_end = ZERO_HEADER_END;
	if (header_end > image->size)
		header_end = image->size;
	memcpy(page + SETUP_SECTS, (const uint8_t *)image->data + SETUP_SECTS,
	       header_end - SETUP_SECTS);
	put(page, TYPE_OF_LOADER, TYPE_OF_LOADER_NONE, 1);
	put(page, CODE32_START, kernel->gpa, 4);
	put(page, CMD_LINE_PTR, GPA_CMDLINE, 4);
	put(page, RAMDISK_IMAGE, kernel->initrd, 4);
	put(page, RAMDISK_SIZE, image->initrd ? image->initrd->size : 0, 4);
	put(page, ZERO_EXT_MEM_K, high_k > UINT16_MAX ? UINT16_MAX : high_k, 2);
	put(page, ZERO_ALT_MEM_K, high_k, 4);
	put(page, ZERO_E820_ENTRIES, nr, 1);
	for (unsigned i = 0; i < nr; i++) {
		struct e820_entry entry = {map[i].base, map[i].size, map[i].type};

		memcpy(page + ZERO_E820_TABLE + i * sizeof(entry), &entry, sizeof(entry));
	}
	return memory_write(memory, GPA_ZERO_PAGE, page, sizeof(page));
}

int linux_load(struct memory *memory, const struct umbra_image *image, struct boot_entry *ret_entry,
	       struct umbra_error *ret_error)
{
	uint64_t gdt[BOOT_GDT_SIZE / 8];
	struct kernel kernel = {0};
	int r;

	r = check_header(image, ret_error);
	if (r == 0)
		r = find_kernel(image, &kernel, ret_error);
	if (r == 0)
		r = place_kernel(memory, image, &kernel, ret_error);
	if (r == 0)
		r = check_cmdline(image, &kernel, ret_error);
	if (r == 0)
		r = place_initrd(memory, image, &kernel, ret_error);
	if (r < 0)
		return r;

	boot_gdt(true, gdt);
	r = memory_write(memory, GPA_GDT, gdt, sizeof(gdt));
	if (r == 0)
		r = write_zero_page(memory, image, &kernel);
	if (r == 0)
		r = boot_write_tables(memory, GPA_TABLES);
	if (r == 0)
		r = memory_write(memory, GPA_CMDLINE, kernel.append, strlen(kernel.append) + 1);
	if (r == 0)
		r = memory_write(memory, kernel.gpa,
				 (const uint8_t *)image->data + kernel.file_offset,
				 kernel.file_size);
	if (r == 0 && image->initrd)
		r = memory_write(memory, kernel.initrd, image->initrd->data, image->initrd->size);
	if (r < 0)
		return umbra_error_set(ret_error, r, image->name, NULL,
				       "the kernel, its initrd and boot information do not fit "
				       "into RAM");
	*ret_entry = (struct boot_entry){
		.long_mode = true,
		.rip = kernel.gpa + ENTRY_64,
		.rsp = GPA_STACK_TOP,
		.rsi = GPA_ZERO_PAGE,
		.cr3 = GPA_TABLES,
		.gdt_base = GPA_GDT,
		.gdt_limit = BOOT_GDT_SIZE - 1,
		.cs = BOOT_CS,
		.ds = BOOT_DS,
	};
	return 0;
}
