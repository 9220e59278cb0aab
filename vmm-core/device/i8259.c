/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "device/i8259.h"

enum { MASTER, SLAVE };

#define CASCADE_INPUT  2
#define SPURIOUS_INPUT 7
#define NOTHING        (-1)

/* Initialisation command words */
#define ICW1_IC4  (1u << 0)
#define ICW1_SNGL (1u << 1)
#define ICW1      (1u << 4) /* tells ICW1 from OCW2 and OCW3 */
#define ICW2_BASE 0xf8u
#define ICW4_AEOI (1u << 1)
#define ICW4_SFNM (1u << 4)

/* Operation command words */
#define OCW2_LEVEL     0x07u
#define OCW2_EOI       (1u << 5)
#define OCW2_SL        (1u << 6)
#define OCW2_R         (1u << 7)
#define OCW3           (1u << 3) /* tells OCW3 from OCW2 */
#define OCW3_RIS       (1u << 0)
#define OCW3_RR        (1u << 1)
#define OCW3_P         (1u << 2)
#define OCW3_SMM       (1u << 5)
#define OCW3_ESMM      (1u << 6)

#define POLL_INTERRUPT (1u << 7)

/* Inputs 0, 1, 2 and 8, 13 are edge-triggered by wiring. */
static const uint8_t elcr_writable[2] = {0xf8, 0xde};

static uint8_t irr(const struct i8259_chip *chip)
{
	return (chip->latch & ~chip->elcr) | (chip->lines & chip->elcr);
}

/* 0: highest priority. */
static unsigned rank(const struct i8259_chip *chip, unsigned input)
{
	return (input - chip->lowest - 1u) & 7;
}

/* The input of highest priority in @set, or NOTHING. */
static int highest(const struct i8259_chip *chip, uint8_t set)
{
	for (unsigned i = 1; i <= 8; i++) {
		unsigned input = (chip->lowest + i) & 7;

		if (set & (1u << input))
			return (int)input;
	}
	return NOTHING;
}

/* The input whose interrupt the chip asks for: what is in service holds back its like and lower. */
static int requested(const struct i8259_chip *chip, bool master)
{
	int request = highest(chip, irr(chip) & ~chip->imr), serving;
	uint8_t in_service = chip->isr;

	if (request == NOTHING || chip->expected_icw)
		return NOTHING;
	if (chip->special_mask)
		in_service &= ~chip->imr;
	if (chip->fully_nested_special && master)
		in_service &= ~(1u << CASCADE_INPUT);
	serving = highest(chip, in_service);
	if (serving != NOTHING && rank(chip, (unsigned)serving) <= rank(chip, (unsigned)request))
		return NOTHING;
	return request;
}

static void set_input(struct i8259_chip *chip, unsigned input, bool level)
{
	uint8_t bit = 1u << input;

	if (!level) { /* an input that falls before INTA has asked for nothing */
		chip->lines &= ~bit;
		chip->latch &= ~bit;
	} else {
		if (!(chip->lines & bit))
			chip->latch |= bit;
		chip->lines |= bit;
	}
}

/* The slave's INT output is the master's input 2. */
static void update_cascade(struct i8259 *pic)
{
	set_input(&pic->chip[MASTER], CASCADE_INPUT,
		  requested(&pic->chip[SLAVE], false) != NOTHING);
}

static void acknowledge(struct i8259_chip *chip, unsigned input)
{
	chip->latch &= ~(1u << input);
	if (!chip->auto_eoi)
		chip->isr |= 1u << input;
	else if (chip->rotate_auto_eoi)
		chip->lowest = input;
}

void i8259_init(struct i8259 *pic)
{
	memset(pic, 0, sizeof(*pic));
	for (unsigned i = 0; i < 2; i++) {
		pic->chip[i].lowest = 7;
		pic->chip[i].imr = 0xff;
		pic->chip[i].cascade = true;
	}
	pic->chip[MASTER].vector_base = 0x08;
	pic->chip[SLAVE].vector_base = 0x70;
}

static void write_icw1(struct i8259_chip *chip, uint8_t value)
{
	chip->latch = 0; /* the edge detectors start anew: an input must rise again */
	chip->isr = 0;
	chip->imr = 0;
	chip->lowest = 7;
	chip->special_mask = false;
	chip->read_isr = false;
	chip->poll = false;
	chip->auto_eoi = false;
	chip->rotate_auto_eoi = false;
	chip->fully_nested_special = false;
	chip->cascade = !(value & ICW1_SNGL);
	chip->needs_icw4 = value & ICW1_IC4;
	chip->expected_icw = 2;
}

static void write_icw(struct i8259_chip *chip, uint8_t value)
{
	switch (chip->expected_icw) {
	case 2:
		chip->vector_base = value & ICW2_BASE;
		chip->expected_icw = chip->cascade ? 3 : chip->needs_icw4 ? 4 : 0;
		break;
	case 3: /* which input the slave is on: fixed by wiring */
		chip->expected_icw = chip->needs_icw4 ? 4 : 0;
		break;
	case 4:
		chip->auto_eoi = value & ICW4_AEOI;
		chip->fully_nested_special = value & ICW4_SFNM;
		chip->expected_icw = 0;
		break;
	}
}

static void write_ocw2(struct i8259_chip *chip, uint8_t value)
{
	int level;

	if (value & OCW2_EOI) {
		if (value & OCW2_SL)
			level = value & OCW2_LEVEL;
		else
			level = highest(chip, chip->isr & ~(chip->special_mask ? chip->imr : 0));
		if (level == NOTHING)
			return;
		chip->isr &= ~(1u << level);
		if (value & OCW2_R)
			chip->lowest = (uint8_t)level;
	} else if (value & OCW2_SL) {
		if (value & OCW2_R)
			chip->lowest = value & OCW2_LEVEL;
	} else {
		chip->rotate_auto_eoi = value & OCW2_R;
	}
}

static void write_ocw3(struct i8259_chip *chip, uint8_t value)
{
	if (value & OCW3_ESMM)
		chip->special_mask = value & OCW3_SMM;
	if (value & OCW3_P)
		chip->poll = true;
	else if (value & OCW3_RR)
		chip->read_isr = value & OCW3_RIS;
}

void i8259_out(struct i8259 *pic, unsigned number, bool odd, uint8_t value)
{
	struct i8259_chip *chip = &pic->chip[number];

	if (odd && chip->expected_icw)
		write_icw(chip, value);
	else if (odd)
		chip->imr = value;
	else if (value & ICW1)
		write_icw1(chip, value);
	else if (value & OCW3)
		write_ocw3(chip, value);
	else
		write_ocw2(chip, value);
	update_cascade(pic);
}

uint8_t i8259_in(struct i8259 *pic, unsigned number, bool odd)
{
	struct i8259_chip *chip = &pic->chip[number];
	int input;

	if (chip->poll) {
		chip->poll = false;
		input = requested(chip, number == MASTER);
		if (input == NOTHING)
			return 0;
		acknowledge(chip, (unsigned)input);
		update_cascade(pic);
		return POLL_INTERRUPT | (uint8_t)input;
	}
	if (odd)
		return chip->imr;
	return chip->read_isr ? chip->isr : irr(chip);
}

uint8_t i8259_elcr_in(const struct i8259 *pic, unsigned chip)
{
	return pic->chip[chip].elcr;
}

void i8259_elcr_out(struct i8259 *pic, unsigned chip, uint8_t value)
{
	pic->chip[chip].elcr = value & elcr_writable[chip];
	update_cascade(pic);
}

void i8259_set_line(struct i8259 *pic, unsigned irq, bool level)
{
	set_input(&pic->chip[irq / 8], irq % 8, level);
	if (irq / 8 == SLAVE)
		update_cascade(pic);
}

bool i8259_masked(const struct i8259 *pic, unsigned irq)
{
	return pic->chip[irq / 8].imr & (1u << irq % 8);
}

bool i8259_pending(const struct i8259 *pic)
{
	return requested(&pic->chip[MASTER], true) != NOTHING;
}

static uint8_t vector_of(const struct i8259_chip *chip, int input)
{
	return chip->vector_base + (uint8_t)(input == NOTHING ? SPURIOUS_INPUT : input);
}

uint8_t i8259_acknowledge(struct i8259 *pic)
{
	struct i8259_chip *master = &pic->chip[MASTER], *slave = &pic->chip[SLAVE];
	int input = requested(master, true), slave_input;

	if (input == NOTHING)
		return vector_of(master, NOTHING);
	acknowledge(master, (unsigned)input);
	if (input != CASCADE_INPUT)
		return vector_of(master, input);

	slave_input = requested(slave, false);
	if (slave_input != NOTHING)
		acknowledge(slave, (unsigned)slave_input);
	/* INTA lowers the slave's INT; what it still asks for is a new edge. */
	set_input(master, CASCADE_INPUT, false);
	update_cascade(pic);
	return vector_of(slave, slave_input);
}
