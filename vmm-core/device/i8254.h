/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 8254 interval timer. Its counters are functions of guest time, computed when somebody looks;
 * clock periods ("ticks") are derived from guest time as a fraction of whole numbers, so nothing
 * drifts.
 */
#ifndef DEVICE_I8254_H
#define DEVICE_I8254_H

#include <stdbool.h>
#include <stdint.h>

#define I8254_HZ 1193182ULL

struct i8254_counter {
	uint8_t mode;   /* 0 ... 5 */
	uint8_t access; /* RW bits of the control word: 1 LSB, 2 MSB, 3 both */
	bool bcd;
	bool gate;
	bool loaded;    /* a count was written since the control word */
	bool triggered; /* modes 1, 5: the gate rose since the count was written */
	bool stopped;   /* mode 0: the first byte of a new count is here, the second not */
	bool pending;   /* modes 2, 3: @pending_count takes over at the next (half) period */
	uint32_t count; /* 1 ... 65536 (10000 in BCD) */
	uint32_t pending_count;
	int64_t start;     /* tick at which the count was loaded */
	int64_t held;      /* modes 0, 2, 3, 4 with the gate low: ticks counted before */
	uint8_t write_low; /* first byte of two */
	bool write_high_next, read_high_next;
	bool count_latched, status_latched;
	uint16_t latch;
	uint8_t status;
};

struct i8254 {
	struct i8254_counter counter[3];
	int64_t synced; /* tick up to which edges of OUT 0 have been reported */
	bool out0_rose; /* by a control word */
};

/* As a PC's firmware leaves it: counter 0 at 18.2 Hz, 1 for memory refresh, 2 with its gate low. */
void i8254_init(struct i8254 *pit);

/* @port: 0 ... 2 counters, 3 control word. Call i8254_advance() with the same @now before. */
uint8_t i8254_in(struct i8254 *pit, unsigned port, uint64_t now);
void i8254_out(struct i8254 *pit, unsigned port, uint8_t value, uint64_t now);

void i8254_set_gate(struct i8254 *pit, unsigned counter, bool gate, uint64_t now);
bool i8254_out_level(struct i8254 *pit, unsigned counter, uint64_t now);
/* Ticks since time 0. */
uint64_t i8254_ticks(uint64_t now);

/* True when OUT 0 rose at least once since the last call. */
bool i8254_advance(struct i8254 *pit, uint64_t now);
/* Guest time at which OUT 0 rises next; UINT64_MAX: never. */
uint64_t i8254_next_edge(struct i8254 *pit);

#endif
