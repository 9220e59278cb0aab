/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a PC's firmware leaves in memory for an operating system: the BIOS data area, the MP table
 * (Intel MultiProcessor Specification 1.4), ACPI tables.
 */
#ifndef DEVICE_FIRMWARE_H
#define DEVICE_FIRMWARE_H

#include <stdint.h>

struct memory;

/* The tables' places, all in the ROM area. */
#define FIRMWARE_RSDP       0xf0000u
#define FIRMWARE_FACS       0xf0040u
#define FIRMWARE_MP_POINTER 0xf0080u
#define FIRMWARE_MP_TABLE   0xf0100u
#define FIRMWARE_ACPI       0xf1000u /* the other ACPI tables, one behind the other */

#define FIRMWARE_IOAPIC_ID  8 /* behind those of all local APICs */

/*
 * Writes them for a machine with @nr_cpus vCPUs; @memory holds at least 1 MiB. Before an image is
 * loaded: it may use what the map (memory_map.h) calls RAM. -EFAULT: less memory.
 */
int machine_write_tables(struct memory *memory, unsigned nr_cpus);

/* Its parts, in acpi_tables.c and mp_table.c. */
int firmware_write_acpi(struct memory *memory, unsigned nr_cpus);
int firmware_write_mp(struct memory *memory, unsigned nr_cpus);

/* The byte that makes the sum of all @size bytes 0, where @bytes have 0 in its place. */
uint8_t firmware_checksum(const void *bytes, unsigned size);

#endif
