/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The firmware configuration device, as its specification describes it, with its traditional
 * interface alone (no DMA): what a guest may ask about the machine that it runs on.
 */
#ifndef DEVICE_FW_CFG_H
#define DEVICE_FW_CFG_H

#include <stdint.h>

#define FW_CFG_PORT      0x510 /* selector, 16 bits, write only */
#define FW_CFG_PORT_DATA 0x511

struct fw_cfg {
	uint64_t memory_size;
	uint16_t nr_cpus;
	uint16_t key;
	uint32_t offset; /* of the next byte of the selected item */
};

void fw_cfg_init(struct fw_cfg *fw_cfg, uint64_t memory_size, unsigned nr_cpus);
void fw_cfg_select(struct fw_cfg *fw_cfg, uint16_t key);
/* The next byte; zeros behind the end, and of items that there are not. */
uint8_t fw_cfg_read(struct fw_cfg *fw_cfg);

#endif
