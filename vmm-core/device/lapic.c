/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local APIC: accepting, ranking and ending interrupts. Its registers are in lapic_registers.c. */
#include <string.h>

#include "device/apic_bus.h"
#include "device/lapic.h"
#include "device/lapic_registers.h"

#define SVR_AT_RESET      0xffu
#define DFR_FLAT          0xfu /* bits 31:28 of DFR */
#define DFR_MODEL         28   /* shift */
#define X2APIC_CLUSTER(d) ((d) >> 16)
#define PRIORITY_CLASS    0xf0u

static bool x2apic(const struct lapic *lapic)
{
	return lapic->base & LAPIC_BASE_EXTD;
}

static bool enabled(const struct lapic *lapic)
{
	return lapic->base & LAPIC_BASE_EN;
}

/* SDM 3A 10.4.7.1, 10.4.7.3 */
static void reset(struct lapic *lapic)
{
	memset(lapic->irr, 0, sizeof(lapic->irr));
	memset(lapic->isr, 0, sizeof(lapic->isr));
	memset(lapic->tmr, 0, sizeof(lapic->tmr));
	for (unsigned i = 0; i < NR_LVT; i++)
		lapic->lvt[i] = LVT_MASKED;
	lapic->svr = SVR_AT_RESET;
	lapic->dfr = UINT32_MAX;
	lapic->icr = 0;
	lapic->tpr = lapic->ldr = lapic->esr = lapic->errors = 0;
	lapic->timer = (struct lapic_timer){.tsc_offset = lapic->timer.tsc_offset};
	lapic->extint = lapic->requested = false;
}

void lapic_init(struct lapic *lapic, struct apic_bus *bus, uint8_t id)
{
	memset(lapic, 0, sizeof(*lapic));
	lapic->bus = bus;
	lapic->id = id;
	lapic->base = LAPIC_BASE | LAPIC_BASE_EN | (id == 0 ? LAPIC_BASE_BSP : 0);
	reset(lapic);
}

void lapic_virtual_wire(struct lapic *lapic)
{
	lapic->svr |= SVR_ENABLE;
	lapic->lvt[LVT_LINT0] = APIC_EXTINT << LVT_DELIVERY;
	lapic->lvt[LVT_LINT1] = APIC_NMI << LVT_DELIVERY;
}

void lapic_take_init(struct lapic *lapic)
{
	reset(lapic);
	lapic->init = lapic->nmi = false;
}

/* SDM 3A 10.12.5: the modes and the ways between them. */
bool lapic_set_base(struct lapic *lapic, uint64_t value)
{
	const uint64_t modes = LAPIC_BASE_EN | LAPIC_BASE_EXTD;
	uint64_t from = lapic->base & modes, to = value & modes;

	if (value & ~(LAPIC_BASE_ADDRESS | modes | LAPIC_BASE_BSP))
		return false;
	if (to == LAPIC_BASE_EXTD || (from == modes && to == LAPIC_BASE_EN) ||
	    (from == 0 && to == modes))
		return false;
	lapic->base = (value & (LAPIC_BASE_ADDRESS | modes)) | (lapic->base & LAPIC_BASE_BSP);
	if (to != from && to != modes)
		reset(lapic);
	else if (to != from)
		lapic->icr = 0; /* its high half is another one there (SDM 3A 10.12.5.1) */
	return true;
}

uint64_t lapic_page(const struct lapic *lapic)
{
	return lapic->base & LAPIC_BASE_ADDRESS;
}

bool lapic_has_mmio(const struct lapic *lapic)
{
	return enabled(lapic) && !x2apic(lapic);
}

bool lapic_software_enabled(const struct lapic *lapic)
{
	return enabled(lapic) && (lapic->svr & SVR_ENABLE);
}

/* The highest vector that is set, or -1. */
static int highest(const uint32_t bits[8])
{
	for (int i = 7; i >= 0; i--)
		if (bits[i])
			return 32 * i + 31 - __builtin_clz(bits[i]);
	return -1;
}

static void set_bit(uint32_t bits[8], uint8_t vector, bool value)
{
	uint32_t bit = 1u << vector % 32;

	bits[vector / 32] = value ? bits[vector / 32] | bit : bits[vector / 32] & ~bit;
}

/* SDM 3A 10.8.3.1 */
uint8_t lapic_ppr(const struct lapic *lapic)
{
	int in_service = highest(lapic->isr);
	uint8_t class = in_service < 0 ? 0 : in_service & PRIORITY_CLASS;

	return (lapic->tpr & PRIORITY_CLASS) >= class ? lapic->tpr : class;
}

static void update(struct lapic *lapic)
{
	int vector = highest(lapic->irr);

	lapic->requested = vector >= 0 && ((unsigned)vector & PRIORITY_CLASS) >
						  (lapic_ppr(lapic) & PRIORITY_CLASS);
}

void lapic_set_tpr(struct lapic *lapic, uint8_t tpr)
{
	lapic->tpr = tpr;
	update(lapic);
}

static void accept(struct lapic *lapic, uint8_t vector, bool level)
{
	if (vector < LAPIC_FIRST_VECTOR) {
		lapic_error(lapic, ESR_RECEIVE_ILLEGAL);
		return;
	}
	set_bit(lapic->irr, vector, true);
	set_bit(lapic->tmr, vector, level);
	update(lapic);
}

/* One of its own sources asks for what its LVT entry says. */
static void local_interrupt(struct lapic *lapic, enum lapic_lvt entry)
{
	uint32_t *lvt = &lapic->lvt[entry];
	bool level = (entry == LVT_LINT0 || entry == LVT_LINT1) && (*lvt & LVT_LEVEL);

	if (*lvt & LVT_MASKED)
		return;
	switch (*lvt >> LVT_DELIVERY & 7) {
	case APIC_FIXED:
		if (level && (*lvt & LVT_REMOTE_IRR))
			return;
		if (level)
			*lvt |= LVT_REMOTE_IRR;
		accept(lapic, *lvt & LVT_VECTOR, level);
		break;
	case APIC_NMI: lapic->nmi = true; break;
	case APIC_INIT: lapic->init = true; break;
	default: break; /* ExtINT follows the level of its pin */
	}
}

void lapic_error(struct lapic *lapic, unsigned error)
{
	bool known = lapic->errors & error;
	uint32_t lvt = lapic->lvt[LVT_ERROR];

	lapic->errors |= (uint8_t)error;
	if (known)
		return;
	/* An illegal vector in its own entry would be one error after the other. */
	if (!(lvt & LVT_MASKED) && (lvt & LVT_VECTOR) < LAPIC_FIRST_VECTOR)
		lapic->errors |= ESR_RECEIVE_ILLEGAL;
	else
		local_interrupt(lapic, LVT_ERROR);
}

void lapic_set_lint(struct lapic *lapic, unsigned pin, bool level)
{
	enum lapic_lvt entry = pin ? LVT_LINT1 : LVT_LINT0;
	bool rises = level && !lapic->lint[pin];

	lapic->lint[pin] = level;
	if (!rises)
		return;
	if (enabled(lapic))
		local_interrupt(lapic, entry);
	else if (pin) /* the pins are the CPU's INTR and NMI then (SDM 3A 10.4.3) */
		lapic->nmi = true;
}

void lapic_lint_changed(struct lapic *lapic, enum lapic_lvt entry)
{
	const uint32_t fixed_level = APIC_FIXED << LVT_DELIVERY | LVT_LEVEL;

	if (lapic->lint[entry - LVT_LINT0] &&
	    (lapic->lvt[entry] & (LVT_DELIVERY_MASK | LVT_LEVEL)) == fixed_level)
		local_interrupt(lapic, entry);
}

bool lapic_extint_pending(const struct lapic *lapic)
{
	uint32_t lvt = lapic->lvt[LVT_LINT0];

	if (lapic->extint)
		return true;
	if (!lapic->lint[0])
		return false;
	return !enabled(lapic) ||
	       (lvt & (LVT_MASKED | LVT_DELIVERY_MASK)) == APIC_EXTINT << LVT_DELIVERY;
}

void lapic_extint_acknowledged(struct lapic *lapic)
{
	lapic->extint = false;
}

uint8_t lapic_acknowledge(struct lapic *lapic)
{
	int vector = highest(lapic->irr);

	if (!lapic->requested)
		return (uint8_t)lapic->svr;
	set_bit(lapic->irr, (uint8_t)vector, false);
	set_bit(lapic->isr, (uint8_t)vector, true);
	update(lapic);
	return (uint8_t)vector;
}

void lapic_eoi(struct lapic *lapic)
{
	int vector = highest(lapic->isr);

	if (vector < 0)
		return;
	set_bit(lapic->isr, (uint8_t)vector, false);
	if (lapic->tmr[vector / 32] >> vector % 32 & 1) {
		for (enum lapic_lvt i = LVT_LINT0; i <= LVT_LINT1; i++) {
			if ((lapic->lvt[i] & LVT_VECTOR) != (unsigned)vector)
				continue;
			lapic->lvt[i] &= ~LVT_REMOTE_IRR;
			if (lapic->lint[i - LVT_LINT0])
				local_interrupt(lapic, i);
		}
		if (!(lapic->svr & SVR_NO_BROADCAST))
			apic_bus_eoi(lapic->bus, (uint8_t)vector);
	}
	update(lapic);
}

/* SDM 3A 10.6.2.2, 10.12.10.1 */
static bool matches_logical(const struct lapic *lapic, uint32_t destination)
{
	uint32_t ldr = lapic->ldr;

	if (x2apic(lapic))
		return X2APIC_CLUSTER(destination) == lapic->id / 16u &&
		       (destination >> lapic->id % 16 & 1);
	if (lapic->dfr >> DFR_MODEL == DFR_FLAT)
		return destination & ldr;
	return destination >> 4 == ldr >> 4 && (destination & ldr & 0xf);
}

bool lapic_matches(const struct lapic *lapic, const struct apic_message *message)
{
	if (message->broadcast)
		return true;
	if (message->logical)
		return matches_logical(lapic, message->destination);
	return message->destination == lapic->id;
}

void lapic_receive(struct lapic *lapic, const struct apic_message *message)
{
	if (!enabled(lapic))
		return;
	switch ((enum apic_delivery)message->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST_PRIORITY:
		if (lapic_software_enabled(lapic))
			accept(lapic, message->vector, message->level);
		break;
	case APIC_NMI: lapic->nmi = true; break;
	case APIC_INIT:
		lapic->init = true;
		lapic->startup = false;
		break;
	case APIC_STARTUP:
		lapic->startup = true;
		lapic->startup_vector = message->vector;
		break;
	case APIC_EXTINT: lapic->extint = lapic_software_enabled(lapic); break;
	case APIC_SMI: /* there is no system management mode */
	case APIC_RESERVED: break;
	}
}

void lapic_advance(struct lapic *lapic, uint64_t now)
{
	if (lapic_timer_advance(&lapic->timer, now))
		local_interrupt(lapic, LVT_TIMER);
}

/* While its entry is masked nothing comes of it; the count goes on and is found when looked at. */
uint64_t lapic_next_event(const struct lapic *lapic)
{
	return lapic->lvt[LVT_TIMER] & LVT_MASKED ? UINT64_MAX : lapic_timer_next(&lapic->timer);
}
