/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "device/i8042.h"

/* Status register */
#define STATUS_OBF     (1u << 0) /* output buffer full */
#define STATUS_SYSTEM  (1u << 2)
#define STATUS_COMMAND (1u << 3) /* the last write was to port 0x64 */
#define STATUS_UNLOCK  (1u << 4) /* the keyboard lock is open */
#define STATUS_AUX     (1u << 5) /* what is in the buffer is the auxiliary device's */
#define STATUS_TIMEOUT (1u << 6)

/* Command byte */
#define COMMAND_INT     (1u << 0)
#define COMMAND_INT_AUX (1u << 1)
#define COMMAND_SYSTEM  (1u << 2)
#define COMMAND_NO_KBD  (1u << 4)
#define COMMAND_NO_AUX  (1u << 5)
#define COMMAND_XLATE   (1u << 6)

/* Commands */
#define READ_RAM          0x20 /* ... 0x3f */
#define WRITE_RAM         0x60 /* ... 0x7f */
#define DISABLE_AUX       0xa7
#define ENABLE_AUX        0xa8
#define TEST_AUX          0xa9
#define SELF_TEST         0xaa
#define TEST_KEYBOARD     0xab
#define DISABLE_KEYBOARD  0xad
#define ENABLE_KEYBOARD   0xae
#define READ_INPUT        0xc0
#define READ_OUTPUT       0xd0
#define WRITE_OUTPUT      0xd1
#define WRITE_AS_KEYBOARD 0xd2
#define WRITE_AS_AUX      0xd3
#define WRITE_TO_AUX      0xd4
#define PULSE             0xf0 /* ... 0xff: output port bits 3 ... 0 that are clear go low */

#define SELF_TEST_PASSED  0x55
#define TEST_PASSED       0x00
#define RESEND            0xfe /* what the controller reports of a device that is silent */

#define INPUT_UNLOCKED    0x80

#define OUTPUT_NO_RESET   (1u << 0)
#define OUTPUT_A20        (1u << 1)
#define OUTPUT_OBF        (1u << 4)
#define OUTPUT_AUX_OBF    (1u << 5)

void i8042_init(struct i8042 *kbc)
{
	memset(kbc, 0, sizeof(*kbc));
	kbc->ram[0] = COMMAND_SYSTEM | COMMAND_INT | COMMAND_XLATE;
	kbc->status = STATUS_SYSTEM | STATUS_UNLOCK;
	kbc->output_port = OUTPUT_NO_RESET | OUTPUT_A20 | 0xcc;
}

static void answer(struct i8042 *kbc, uint8_t data, uint8_t flags)
{
	kbc->data = data;
	kbc->status &= ~(STATUS_AUX | STATUS_TIMEOUT);
	kbc->status |= STATUS_OBF | flags;
}

bool i8042_interrupt(const struct i8042 *kbc, bool auxiliary)
{
	if (!(kbc->status & STATUS_OBF) || auxiliary != !!(kbc->status & STATUS_AUX))
		return false;
	return kbc->ram[0] & (auxiliary ? COMMAND_INT_AUX : COMMAND_INT);
}

uint8_t i8042_in(struct i8042 *kbc, bool command)
{
	if (command)
		return kbc->status;
	kbc->status &= ~STATUS_OBF;
	return kbc->data;
}

static uint8_t output_port(const struct i8042 *kbc)
{
	uint8_t value = kbc->output_port & ~(OUTPUT_OBF | OUTPUT_AUX_OBF);

	if (kbc->status & STATUS_OBF)
		value |= kbc->status & STATUS_AUX ? OUTPUT_AUX_OBF : OUTPUT_OBF;
	return value;
}

static bool command_out(struct i8042 *kbc, uint8_t value)
{
	kbc->status |= STATUS_COMMAND;
	kbc->command = 0;
	if (value >= READ_RAM && value < READ_RAM + I8042_RAM) {
		answer(kbc, kbc->ram[value - READ_RAM], 0);
		return false;
	}
	if (value >= WRITE_RAM && value < WRITE_RAM + I8042_RAM) {
		kbc->command = value;
		return false;
	}
	if (value >= PULSE)
		return !(value & OUTPUT_NO_RESET);
	switch (value) {
	case DISABLE_AUX: kbc->ram[0] |= COMMAND_NO_AUX; break;
	case ENABLE_AUX: kbc->ram[0] &= ~COMMAND_NO_AUX; break;
	case DISABLE_KEYBOARD: kbc->ram[0] |= COMMAND_NO_KBD; break;
	case ENABLE_KEYBOARD: kbc->ram[0] &= ~COMMAND_NO_KBD; break;
	case TEST_AUX:
	case TEST_KEYBOARD: answer(kbc, TEST_PASSED, 0); break;
	case SELF_TEST:
		kbc->status |= STATUS_SYSTEM;
		answer(kbc, SELF_TEST_PASSED, 0);
		break;
	case READ_INPUT: answer(kbc, INPUT_UNLOCKED, 0); break;
	case READ_OUTPUT: answer(kbc, output_port(kbc), 0); break;
	case WRITE_OUTPUT:
	case WRITE_AS_KEYBOARD:
	case WRITE_AS_AUX:
	case WRITE_TO_AUX: kbc->command = value; break;
	}
	return false;
}

static bool data_out(struct i8042 *kbc, uint8_t value)
{
	uint8_t command = kbc->command;

	kbc->status &= ~STATUS_COMMAND;
	kbc->command = 0;
	switch (command) {
	case 0: answer(kbc, RESEND, STATUS_TIMEOUT); break; /* for the keyboard */
	case WRITE_TO_AUX: answer(kbc, RESEND, STATUS_TIMEOUT | STATUS_AUX); break;
	case WRITE_AS_KEYBOARD: answer(kbc, value, 0); break;
	case WRITE_AS_AUX: answer(kbc, value, STATUS_AUX); break;
	case WRITE_OUTPUT: kbc->output_port = value; return !(value & OUTPUT_NO_RESET);
	default: /* WRITE_RAM */
		kbc->ram[command % sizeof(kbc->ram)] = value;
		if (command != WRITE_RAM)
			break;
		kbc->status &= ~STATUS_SYSTEM;
		kbc->status |= value & COMMAND_SYSTEM ? STATUS_SYSTEM : 0;
		break;
	}
	return false;
}

bool i8042_out(struct i8042 *kbc, bool command, uint8_t value)
{
	return command ? command_out(kbc, value) : data_out(kbc, value);
}
