/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "device/machine.h"
#include "device/vga.h"

enum {
	PORT_MONO_CRTC = 0x3b4,
	PORT_MONO_CRTC_DATA = 0x3b5,
	PORT_MONO_STATUS = 0x3ba,
	PORT_ATTRIBUTE = 0x3c0,
	PORT_ATTRIBUTE_DATA = 0x3c1,
	PORT_MISC_WRITE = 0x3c2, /* read: input status 0 */
	PORT_SEQUENCER = 0x3c4,
	PORT_SEQUENCER_DATA = 0x3c5,
	PORT_DAC_MASK = 0x3c6,
	PORT_DAC_READ = 0x3c7, /* read: DAC state */
	PORT_DAC_WRITE = 0x3c8,
	PORT_DAC_DATA = 0x3c9,
	PORT_FEATURE_READ = 0x3ca,
	PORT_MISC_READ = 0x3cc,
	PORT_GRAPHICS = 0x3ce,
	PORT_GRAPHICS_DATA = 0x3cf,
	PORT_CRTC = 0x3d4,
	PORT_CRTC_DATA = 0x3d5,
	PORT_STATUS = 0x3da, /* write: feature control */
};

#define MISC_COLOUR     (1u << 0) /* CRTC and status are at 0x3dx, not at 0x3bx */

#define STATUS_BLANK    (1u << 0)
#define STATUS_RETRACE  (1u << 3)

#define DAC_READING     0x03
#define DAC_LEVELS      0x3f /* six bits a colour */

#define ATTRIBUTE_INDEX 0x1f
#define ATTRIBUTE_VIDEO 0x20 /* palette address source; kept in the index */

#define CRTC_OVERFLOW   0x07
#define CRTC_END_BLANK  0x11
#define CRTC_PROTECT    (1u << 7) /* in it: registers 0 ... 7 cannot be written */
#define CRTC_LINE_8     (1u << 4) /* in CRTC_OVERFLOW: bit 8 of line compare stays writable */

/* Text mode 3: 449 lines of 31.778 us; 400 of them show something, two are vertical retrace. */
#define LINE_TIME     31778u
#define LINES         449u
#define LINES_SHOWN   400u
#define RETRACE_FIRST 412u
#define RETRACE_LINES 2u
#define LINE_SHOWN    25422u

/* What a VGA's BIOS programs for text mode 3 (80 x 25 characters of 9 x 16 dots). */
static const uint8_t sequencer_mode3[] = {0x03, 0x00, 0x03, 0x00, 0x02};
static const uint8_t graphics_mode3[] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x0f, 0xff};
static const uint8_t crtc_mode3[] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
				     0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
				     0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
static const uint8_t attribute_mode3[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14,
					  0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d,
					  0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};
#define MISC_MODE3 0x67

void vga_init(struct vga *vga)
{
	memset(vga, 0, sizeof(*vga));
	memcpy(vga->sequencer, sequencer_mode3, sizeof(sequencer_mode3));
	memcpy(vga->graphics, graphics_mode3, sizeof(graphics_mode3));
	memcpy(vga->crtc, crtc_mode3, sizeof(crtc_mode3));
	memcpy(vga->attribute, attribute_mode3, sizeof(attribute_mode3));
	vga->attribute_index = ATTRIBUTE_VIDEO;
	vga->misc = MISC_MODE3;
	vga->dac_mask = 0xff;
	/* Sixty-four colours: bits 2:0 blue, green, red at two thirds, bits 5:3 at one third. */
	for (unsigned i = 0; i < 64; i++)
		for (unsigned c = 0; c < 3; c++)
			vga->palette[i][c] =
				(uint8_t)((i >> (2 - c) & 1) * 0x2a + (i >> (5 - c) & 1) * 0x15);
}

/* Where the beam is. Reading it also makes the next write to 0x3c0 an index. */
static uint8_t read_status(struct vga *vga, uint64_t now)
{
	uint64_t in_line = now % LINE_TIME;
	unsigned line = (unsigned)(now / LINE_TIME % LINES);
	uint8_t value = 0;

	vga->attribute_data = false;
	if (line >= LINES_SHOWN || in_line >= LINE_SHOWN)
		value |= STATUS_BLANK;
	if (line - RETRACE_FIRST < RETRACE_LINES)
		value |= STATUS_RETRACE;
	return value;
}

static uint8_t read_dac(struct vga *vga)
{
	uint8_t value = vga->palette[vga->dac_read][vga->dac_component];

	if (++vga->dac_component == 3) {
		vga->dac_component = 0;
		vga->dac_read++;
	}
	return value;
}

static void write_dac(struct vga *vga, uint8_t value)
{
	vga->palette[vga->dac_write][vga->dac_component] = value & DAC_LEVELS;
	if (++vga->dac_component == 3) {
		vga->dac_component = 0;
		vga->dac_write++;
	}
}

static void write_attribute(struct vga *vga, uint8_t value)
{
	if (vga->attribute_data)
		vga->attribute[vga->attribute_index & ATTRIBUTE_INDEX] = value;
	else
		vga->attribute_index = value & (ATTRIBUTE_INDEX | ATTRIBUTE_VIDEO);
	vga->attribute_data = !vga->attribute_data;
}

static void write_crtc(struct vga *vga, uint8_t value)
{
	uint8_t *reg = &vga->crtc[vga->crtc_index];

	if (vga->crtc_index > CRTC_OVERFLOW || !(vga->crtc[CRTC_END_BLANK] & CRTC_PROTECT))
		*reg = value;
	else if (vga->crtc_index == CRTC_OVERFLOW)
		*reg = (*reg & ~CRTC_LINE_8) | (value & CRTC_LINE_8);
}

/* The ports that lie at 0x3bx or at 0x3dx, as 0x3dx; 0: not there now. */
static uint16_t colour_port(const struct vga *vga, uint16_t port)
{
	bool colour = vga->misc & MISC_COLOUR;

	switch (port) {
	case PORT_MONO_CRTC:
	case PORT_MONO_CRTC_DATA:
	case PORT_MONO_STATUS: return colour ? 0 : port - PORT_MONO_CRTC + PORT_CRTC;
	case PORT_CRTC:
	case PORT_CRTC_DATA:
	case PORT_STATUS: return colour ? port : 0;
	default: return port;
	}
}

uint8_t vga_in(struct vga *vga, uint16_t port, uint64_t now)
{
	switch (colour_port(vga, port)) {
	case PORT_ATTRIBUTE: return vga->attribute_index;
	case PORT_ATTRIBUTE_DATA: return vga->attribute[vga->attribute_index & ATTRIBUTE_INDEX];
	case PORT_MISC_WRITE: return 0; /* no interrupt, no switch */
	case PORT_SEQUENCER: return vga->sequencer_index;
	case PORT_SEQUENCER_DATA: return vga->sequencer[vga->sequencer_index];
	case PORT_DAC_MASK: return vga->dac_mask;
	case PORT_DAC_READ: return vga->dac_reading ? DAC_READING : 0;
	case PORT_DAC_WRITE: return vga->dac_write;
	case PORT_DAC_DATA: return read_dac(vga);
	case PORT_FEATURE_READ: return vga->feature;
	case PORT_MISC_READ: return vga->misc;
	case PORT_GRAPHICS: return vga->graphics_index;
	case PORT_GRAPHICS_DATA: return vga->graphics[vga->graphics_index];
	case PORT_CRTC: return vga->crtc_index;
	case PORT_CRTC_DATA: return vga->crtc[vga->crtc_index];
	case PORT_STATUS: return read_status(vga, now);
	default: return UINT8_MAX;
	}
}

void vga_out(struct vga *vga, uint16_t port, uint8_t value)
{
	switch (colour_port(vga, port)) {
	case PORT_ATTRIBUTE: write_attribute(vga, value); break;
	case PORT_MISC_WRITE: vga->misc = value; break;
	case PORT_SEQUENCER: vga->sequencer_index = value % sizeof(vga->sequencer); break;
	case PORT_SEQUENCER_DATA: vga->sequencer[vga->sequencer_index] = value; break;
	case PORT_DAC_MASK: vga->dac_mask = value; break;
	case PORT_DAC_READ:
		vga->dac_read = value;
		vga->dac_component = 0;
		vga->dac_reading = true;
		break;
	case PORT_DAC_WRITE:
		vga->dac_write = value;
		vga->dac_component = 0;
		vga->dac_reading = false;
		break;
	case PORT_DAC_DATA: write_dac(vga, value); break;
	case PORT_GRAPHICS: vga->graphics_index = value % sizeof(vga->graphics); break;
	case PORT_GRAPHICS_DATA: vga->graphics[vga->graphics_index] = value; break;
	case PORT_CRTC: vga->crtc_index = value % sizeof(vga->crtc); break;
	case PORT_CRTC_DATA: write_crtc(vga, value); break;
	case PORT_STATUS: vga->feature = value; break;
	}
}
