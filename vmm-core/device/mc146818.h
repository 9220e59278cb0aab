/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The MC146818 clock and CMOS memory. Starts at 2000-01-01 00:00:00 and advances with guest time.
 * Its flags are functions of guest time, computed when somebody looks. The square wave's pin is
 * not connected.
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
	uint64_t looked;       /* guest time up to which register C has its flags */
};

void mc146818_init(struct mc146818 *rtc, uint64_t memory_size);
/* @data: port 0x71 instead of 0x70. */
uint8_t mc146818_in(struct mc146818 *rtc, bool data, uint64_t now);
void mc146818_out(struct mc146818 *rtc, bool data, uint8_t value, uint64_t now);

/* Lets the periodic, alarm and update-ended flags come up. */
void mc146818_advance(struct mc146818 *rtc, uint64_t now);
/* Level of the interrupt line (register C's IRQF); changes after in, out and advance. */
bool mc146818_interrupt(const struct mc146818 *rtc);
/* Guest time at which the line rises; UINT64_MAX: never, or it is up. */
uint64_t mc146818_next_event(const struct mc146818 *rtc);

#endif
