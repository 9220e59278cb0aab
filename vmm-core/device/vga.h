/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers of a VGA that shows 80 x 25 characters of text. They read back; nothing is drawn.
 * Its memory at 0xa0000 is RAM like all other, without planes, banks or write modes.
 */
#ifndef DEVICE_VGA_H
#define DEVICE_VGA_H

#include <stdbool.h>
#include <stdint.h>

#define VGA_FIRST_PORT 0x3b4
#define VGA_LAST_PORT  0x3df

struct vga {
	uint8_t attribute[32], sequencer[8], graphics[16], crtc[32];
	uint8_t palette[256][3];
	uint8_t attribute_index, sequencer_index, graphics_index, crtc_index;
	uint8_t misc, feature, dac_mask;
	uint8_t dac_read, dac_write; /* indices of the next entry */
	uint8_t dac_component;       /* 0 ... 2: red, green, blue */
	bool dac_reading;            /* index register 0x3c7 was the last one written */
	bool attribute_data;         /* the next write to 0x3c0 is a value */
};

void vga_init(struct vga *vga);
/* @port: VGA_FIRST_PORT ... VGA_LAST_PORT */
uint8_t vga_in(struct vga *vga, uint16_t port, uint64_t now);
void vga_out(struct vga *vga, uint16_t port, uint8_t value);

#endif
