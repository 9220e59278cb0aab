/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 8042 keyboard controller of a PC, with neither a keyboard nor a mouse on it: what is sent to
 * them times out. It answers at once.
 */
#ifndef DEVICE_I8042_H
#define DEVICE_I8042_H

#include <stdbool.h>
#include <stdint.h>

#define I8042_RAM 32

struct i8042 {
	uint8_t ram[I8042_RAM]; /* byte 0: the command byte */
	uint8_t output_port;
	uint8_t command; /* waits for its data byte; 0: none */
	uint8_t data;    /* output buffer */
	uint8_t status;  /* OBF, system flag, command/data, auxiliary, time-out */
};

void i8042_init(struct i8042 *kbc);
/* @command: port 0x64 instead of 0x60. */
uint8_t i8042_in(struct i8042 *kbc, bool command);
/* True: the reset line was pulled. */
bool i8042_out(struct i8042 *kbc, bool command, uint8_t value);
/* Levels of IRQ 1 and IRQ 12; change after in and out. */
bool i8042_interrupt(const struct i8042 *kbc, bool auxiliary);

#endif
