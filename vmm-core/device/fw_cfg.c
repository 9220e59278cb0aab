/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "device/fw_cfg.h"
#include "device/memory_map.h"

enum {
	KEY_SIGNATURE = 0x00,
	KEY_ID = 0x01,
	KEY_RAM_SIZE = 0x03,
	KEY_NR_CPUS = 0x05,
	KEY_MAX_CPUS = 0x0f,
	KEY_FILE_DIR = 0x19,
	KEY_E820 = 0x20, /* the first of the files */
};

#define SIGNATURE      0x554d4551u /* "QEMU", the first byte lowest */
#define ID_TRADITIONAL 1u

#define E820_NAME      "etc/e820"
#define E820_ENTRY     20 /* base, size: 8 bytes each; type: 4 */

/* The file directory: a number, then an entry a file; big-endian. */
#define DIR_COUNT  4
#define DIR_SELECT 4 /* in an entry, after its size */
#define DIR_NAME   8
#define DIR_ENTRY  64

#define MAX_ITEM   (MACHINE_MEMORY_RANGES * E820_ENTRY)
_Static_assert(MAX_ITEM >= DIR_COUNT + DIR_ENTRY, "room for every item");

void fw_cfg_init(struct fw_cfg *fw_cfg, uint64_t memory_size, unsigned nr_cpus)
{
	*fw_cfg = (struct fw_cfg){.memory_size = memory_size, .nr_cpus = (uint16_t)nr_cpus};
}

static size_t put(uint8_t *to, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (uint8_t)(value >> 8 * i);
	return size;
}

static void put_big(uint8_t *to, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[size - 1 - i] = (uint8_t)(value >> 8 * i);
}

static size_t e820(const struct fw_cfg *fw_cfg, uint8_t *to)
{
	struct machine_memory_range ranges[MACHINE_MEMORY_RANGES];
	unsigned nr = machine_memory_map(fw_cfg->memory_size, ranges);
	size_t size = 0;

	for (unsigned i = 0; i < nr; i++) {
		size += put(to + size, ranges[i].base, 8);
		size += put(to + size, ranges[i].size, 8);
		size += put(to + size, ranges[i].type, 4);
	}
	return size;
}

static size_t directory(const struct fw_cfg *fw_cfg, uint8_t *to)
{
	uint8_t content[MAX_ITEM];

	put_big(to, 1, DIR_COUNT);
	put_big(to + DIR_COUNT, e820(fw_cfg, content), 4);
	put_big(to + DIR_COUNT + DIR_SELECT, KEY_E820, 2);
	memcpy(to + DIR_COUNT + DIR_NAME, E820_NAME, sizeof(E820_NAME));
	return DIR_COUNT + DIR_ENTRY;
}

/* The selected item's bytes; how many. */
static size_t item(const struct fw_cfg *fw_cfg, uint8_t to[MAX_ITEM])
{
	memset(to, 0, MAX_ITEM);
	switch (fw_cfg->key) {
	case KEY_SIGNATURE: return put(to, SIGNATURE, 4);
	case KEY_ID: return put(to, ID_TRADITIONAL, 4);
	case KEY_RAM_SIZE: return put(to, fw_cfg->memory_size, 8);
	case KEY_NR_CPUS:
	case KEY_MAX_CPUS: return put(to, fw_cfg->nr_cpus, 2);
	case KEY_FILE_DIR: return directory(fw_cfg, to);
	case KEY_E820: return e820(fw_cfg, to);
	default: return 0;
	}
}

void fw_cfg_select(struct fw_cfg *fw_cfg, uint16_t key)
{
	fw_cfg->key = key;
	fw_cfg->offset = 0;
}

uint8_t fw_cfg_read(struct fw_cfg *fw_cfg)
{
	uint8_t bytes[MAX_ITEM];
	size_t size = item(fw_cfg, bytes);

	return fw_cfg->offset < size ? bytes[fw_cfg->offset++] : 0;
}
