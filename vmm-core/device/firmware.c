/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device/firmware.h"
#include "device/memory_map.h"
#include "memory/memory.h"

/* The BIOS data area */
#define BDA_COM1        0x400 /* I/O port, 16 bits */
#define BDA_EBDA        0x40e /* segment */
#define BDA_BASE_MEMORY 0x413 /* KiB */
#define BDA_VIDEO_MODE  0x449
#define BDA_COLUMNS     0x44a
#define BDA_CRTC        0x463 /* I/O port */
#define BDA_LAST_ROW    0x484

#define COM1_PORT       0x3f8
#define CRTC_PORT       0x3d4
#define TEXT_MODE       3
#define COLUMNS         80
#define ROWS            25
#define EBDA_KIB        1 /* its first byte */

uint8_t firmware_checksum(const void *bytes, unsigned size)
{
	const uint8_t *byte = bytes;
	uint8_t sum = 0;

	while (size--)
		sum += *byte++;
	return (uint8_t)-sum;
}

static int put16(struct memory *memory, uint64_t gpa, uint16_t value)
{
	const uint8_t bytes[] = {(uint8_t)value, (uint8_t)(value >> 8)};

	return memory_write(memory, gpa, bytes, sizeof(bytes));
}

static int write_data_areas(struct memory *memory)
{
	static const struct {
		uint32_t gpa;
		uint16_t value;
	} words[] = {
		{BDA_COM1, COM1_PORT},
		{BDA_EBDA, MACHINE_EBDA >> 4},
		{BDA_BASE_MEMORY, MACHINE_EBDA / 1024},
		{BDA_VIDEO_MODE, TEXT_MODE | COLUMNS << 8}, /* BDA_COLUMNS is its high byte */
		{BDA_CRTC, CRTC_PORT},
		{BDA_LAST_ROW, ROWS - 1},
		{MACHINE_EBDA, EBDA_KIB},
	};
	int error = 0;

	_Static_assert(BDA_COLUMNS == BDA_VIDEO_MODE + 1, "two bytes as a word");
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]) && !error; i++)
		error = put16(memory, words[i].gpa, words[i].value);
	return error;
}

int machine_write_tables(struct memory *memory, unsigned nr_cpus)
{
	int error = write_data_areas(memory);

	if (!error)
		error = firmware_write_mp(memory, nr_cpus);
	return error ? error : firmware_write_acpi(memory, nr_cpus);
}
