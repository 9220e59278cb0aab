/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The timer of a local APIC (SDM 3A 10.5.4). Its input clock is guest time (1 GHz), which is also
 * the rate of the TSC: CPUID leaf 15H, where it is offered, says 1 GHz and a ratio of 1.
 */
#ifndef DEVICE_LAPIC_TIMER_H
#define DEVICE_LAPIC_TIMER_H

#include <stdbool.h>
#include <stdint.h>

/* LVT timer register, bits 18:17 */
enum lapic_timer_mode {
	LAPIC_TIMER_ONE_SHOT,
	LAPIC_TIMER_PERIODIC,
	LAPIC_TIMER_TSC_DEADLINE,
	LAPIC_TIMER_RESERVED, /* never expires */
};

struct lapic_timer {
	uint8_t mode;   /* enum lapic_timer_mode */
	uint8_t divide; /* divide configuration register */
	uint32_t initial;
	bool armed;
	uint64_t expires;    /* guest time */
	uint64_t deadline;   /* IA32_TSC_DEADLINE; 0: none */
	uint64_t tsc_offset; /* TSC minus guest time */
};

void lapic_timer_set_mode(struct lapic_timer *timer, enum lapic_timer_mode mode);
void lapic_timer_set_initial(struct lapic_timer *timer, uint32_t count, uint64_t now);
uint32_t lapic_timer_current(const struct lapic_timer *timer, uint64_t now);
void lapic_timer_set_divide(struct lapic_timer *timer, uint8_t value, uint64_t now);
void lapic_timer_set_deadline(struct lapic_timer *timer, uint64_t tsc, uint64_t now);
void lapic_timer_set_tsc_offset(struct lapic_timer *timer, uint64_t offset, uint64_t now);

/* True when it expired, once or more often, since the last call. */
bool lapic_timer_advance(struct lapic_timer *timer, uint64_t now);
/* UINT64_MAX: never. */
uint64_t lapic_timer_next(const struct lapic_timer *timer);

#endif
