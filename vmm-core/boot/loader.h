/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the loaders share; only for this room. */
#ifndef BOOT_LOADER_H
#define BOOT_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/boot.h"
#include "device/memory_map.h"

/* The GDT that all protocols get: selectors as the Linux boot protocol names them. */
#define BOOT_CS       0x10
#define BOOT_DS       0x18
#define BOOT_GDT_SIZE 32

/* Where the RAM that begins at 1 MiB ends; 1 MiB if there is none. */
uint64_t boot_high_end(const struct memory *memory);

/* @long_mode: the code segment is a 64-bit one. */
void boot_gdt(bool long_mode, uint64_t ret_gdt[BOOT_GDT_SIZE / 8]);

/* Tables at @gpa that map the first 4 GiB to themselves, whatever RAM there is. -EFAULT. */
#define BOOT_TABLES_SIZE (6 * PAGE_SIZE)
int boot_write_tables(struct memory *memory, uint64_t gpa);

/* -ENOEXEC: the image's @field at @offset is not as expected. */
int boot_broken(struct umbra_error *ret_error, const struct umbra_image *image, uint64_t offset,
		const char *field, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* -ENOSPC: what the image's @field at @offset asks for is more than RAM has. */
int boot_no_room(struct umbra_error *ret_error, const struct umbra_image *image, uint64_t offset,
		 const char *field, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Little-endian fields; the caller has checked the bounds. */
uint16_t boot_get16(const struct umbra_image *image, size_t offset);
uint32_t boot_get32(const struct umbra_image *image, size_t offset);
uint64_t boot_get64(const struct umbra_image *image, size_t offset);

/* One protocol: does the image carry its signature? Then @load takes it or says what is broken. */
bool multiboot_probe(const struct umbra_image *image);
int multiboot_load(struct memory *memory, const struct umbra_image *image,
		   struct boot_entry *ret_entry, struct umbra_error *ret_error);
bool linux_probe(const struct umbra_image *image);
int linux_load(struct memory *memory, const struct umbra_image *image, struct boot_entry *ret_entry,
	       struct umbra_error *ret_error);
bool elf64_probe(const struct umbra_image *image);
int elf64_load(struct memory *memory, const struct umbra_image *image, struct boot_entry *ret_entry,
	       struct umbra_error *ret_error);

#endif
