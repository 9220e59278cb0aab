/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pair of 8259A interrupt controllers of a PC, the second one on input 2 of the first. */
#ifndef DEVICE_I8259_H
#define DEVICE_I8259_H

#include <stdbool.h>
#include <stdint.h>

struct i8259_chip {
	uint8_t latch; /* edges seen and not yet acknowledged */
	uint8_t lines; /* levels of IR0 ... IR7 */
	uint8_t elcr;  /* inputs that are level-triggered */
	uint8_t isr, imr;
	uint8_t vector_base;
	uint8_t lowest;       /* input of lowest priority; the one after it has the highest */
	uint8_t expected_icw; /* 2, 3, 4 while it is being initialised, else 0 */
	bool cascade;         /* ICW1.SNGL clear: ICW3 comes */
	bool needs_icw4;
	bool auto_eoi, rotate_auto_eoi;
	bool fully_nested_special;
	bool special_mask;
	bool read_isr; /* OCW3: the even port reads ISR, not IRR */
	bool poll;     /* OCW3.P: the next read of the even port acknowledges */
};

struct i8259 {
	struct i8259_chip chip[2]; /* master, slave */
};

/* As a PC's firmware leaves it: vectors 0x08 and 0x70, all inputs masked. */
void i8259_init(struct i8259 *pic);

/* @odd: ports 0x21, 0xa1 instead of 0x20, 0xa0. */
uint8_t i8259_in(struct i8259 *pic, unsigned chip, bool odd);
void i8259_out(struct i8259 *pic, unsigned chip, bool odd, uint8_t value);

/* Edge/level control registers, ports 0x4d0 and 0x4d1. */
uint8_t i8259_elcr_in(const struct i8259 *pic, unsigned chip);
void i8259_elcr_out(struct i8259 *pic, unsigned chip, uint8_t value);

/* Input @irq (0 ... 15, not 2) goes to @level. An edge stays requested until acknowledged. */
void i8259_set_line(struct i8259 *pic, unsigned irq, bool level);
bool i8259_masked(const struct i8259 *pic, unsigned irq);

/* The INTR output and the INTA cycle; with nothing to acknowledge IR7 is reported (spurious). */
bool i8259_pending(const struct i8259 *pic);
uint8_t i8259_acknowledge(struct i8259 *pic);

#endif
