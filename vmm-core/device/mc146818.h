/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The MC146818 clock and CMOS memory. Starts at 2000-01-01 00:00:00 and advances with guest time.
 * It raises no interrupts: the enable bits of register B (PIE, AIE, UIE) stay clear and register C
 * reads 0; it has no square wave.
 */
#ifndef DEVICE_MC146818_H
#define DEVICE_MC146818_H

#include <stdbool.h>
#include <stdint.h>

#define MC146818_SIZE 128

struct mc146818 {
	uint8_t cmos[MC146818_SIZE]; /* date and time here are valid only while the clock stands */
	uint8_t index;
	uint64_t base_seconds; /* since 0001-01-01, at base_time */
	uint64_t base_time;    /* guest time of that second's start */
	uint8_t weekday_shift; /* what the guest set, minus what the calendar says */
};

void mc146818_init(struct mc146818 *rtc, uint64_t memory_size);
/* @data: port 0x71 instead of 0x70. */
uint8_t mc146818_in(struct mc146818 *rtc, bool data, uint64_t now);
void mc146818_out(struct mc146818 *rtc, bool data, uint8_t value, uint64_t now);

#endif
