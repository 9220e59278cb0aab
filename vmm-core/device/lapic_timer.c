/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device/lapic_timer.h"

/* Bits 3, 1 and 0 of the divide configuration register: 2, 4 ... 128, then 1. */
static unsigned divide_shift(uint8_t divide)
{
	unsigned code = (divide >> 1 & 4u) | (divide & 3u);

	return (code + 1) % 8;
}

static uint64_t period(const struct lapic_timer *timer)
{
	return (uint64_t)timer->initial << divide_shift(timer->divide);
}

static void disarm(struct lapic_timer *timer)
{
	timer->armed = false;
	timer->deadline = 0;
}

void lapic_timer_set_mode(struct lapic_timer *timer, enum lapic_timer_mode mode)
{
	bool counts = timer->mode < LAPIC_TIMER_TSC_DEADLINE;

	/* To and from the deadline mode it is disarmed (SDM 3A 10.5.4.1). */
	if (timer->mode != mode && (!counts || mode >= LAPIC_TIMER_TSC_DEADLINE)) {
		disarm(timer);
		timer->initial = 0;
	}
	timer->mode = (uint8_t)mode;
}

void lapic_timer_set_initial(struct lapic_timer *timer, uint32_t count, uint64_t now)
{
	if (timer->mode >= LAPIC_TIMER_TSC_DEADLINE)
		return;
	timer->initial = count;
	timer->armed = count != 0;
	timer->expires = now + period(timer);
}

uint32_t lapic_timer_current(const struct lapic_timer *timer, uint64_t now)
{
	unsigned shift = divide_shift(timer->divide);

	if (!timer->armed || timer->mode >= LAPIC_TIMER_TSC_DEADLINE || timer->expires <= now)
		return 0;
	/* A count lasts until its end: what is left is rounded up. */
	return (uint32_t)((timer->expires - now + (1u << shift) - 1) >> shift);
}

void lapic_timer_set_divide(struct lapic_timer *timer, uint8_t value, uint64_t now)
{
	uint64_t left = lapic_timer_current(timer, now);

	timer->divide = value;
	if (timer->armed && timer->mode < LAPIC_TIMER_TSC_DEADLINE)
		timer->expires = now + (left << divide_shift(value));
}

static void plan_deadline(struct lapic_timer *timer, uint64_t now)
{
	uint64_t tsc = now + timer->tsc_offset;

	timer->armed = timer->deadline != 0;
	timer->expires = now;
	if (timer->deadline > tsc &&
	    __builtin_add_overflow(now, timer->deadline - tsc, &timer->expires))
		timer->expires = UINT64_MAX;
}

void lapic_timer_set_deadline(struct lapic_timer *timer, uint64_t tsc, uint64_t now)
{
	if (timer->mode != LAPIC_TIMER_TSC_DEADLINE)
		return;
	timer->deadline = tsc;
	plan_deadline(timer, now);
}

void lapic_timer_set_tsc_offset(struct lapic_timer *timer, uint64_t offset, uint64_t now)
{
	timer->tsc_offset = offset;
	if (timer->mode == LAPIC_TIMER_TSC_DEADLINE)
		plan_deadline(timer, now);
}

bool lapic_timer_advance(struct lapic_timer *timer, uint64_t now)
{
	if (!timer->armed || now < timer->expires)
		return false;
	if (timer->mode == LAPIC_TIMER_PERIODIC)
		timer->expires += ((now - timer->expires) / period(timer) + 1) * period(timer);
	else
		disarm(timer);
	return true;
}

uint64_t lapic_timer_next(const struct lapic_timer *timer)
{
	return timer->armed ? timer->expires : UINT64_MAX;
}
