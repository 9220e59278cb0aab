/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest-physical memory as firmware describes it: the map that INT 15h E820 gives on a PC. */
#ifndef DEVICE_MEMORY_MAP_H
#define DEVICE_MEMORY_MAP_H

#include <stdint.h>

/* The extended BIOS data area, up to 640 KiB; then VGA memory, then ROMs and tables. */
#define MACHINE_EBDA 0x9fc00u
#define MACHINE_VGA  0xa0000u
#define MACHINE_ROM  0xe0000u
#define MACHINE_HIGH 0x100000u

/* ACPI 15.1: address range types */
enum machine_memory_type { MACHINE_RAM = 1, MACHINE_RESERVED = 2 };

struct machine_memory_range {
	uint64_t base, size;
	uint32_t type; /* enum machine_memory_type */
};

#define MACHINE_MEMORY_RANGES 5

/* In ascending order, none overlap; how many. What they leave out is nothing. */
unsigned machine_memory_map(uint64_t memory_size,
			    struct machine_memory_range ret[MACHINE_MEMORY_RANGES]);

struct memory;

/*
 * Tells the MMU where devices answer: the memory of the local APICs and of the I/O APIC. Call it
 * before the guest first runs. -EEXIST: RAM is there.
 */
int machine_map_devices(struct memory *memory);

#endif
