/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device/acpi_pm.h"
#include "device/machine.h"

/* PM1 status and enable (ACPI 4.8.3.1). No button and no bus master is in them. */
#define PM1_TIMER  (1u << 0)
#define PM1_GLOBAL (1u << 5) /* firmware lets the global lock go: never, there is none */
#define PM1_RTC    (1u << 10)
#define PM1_EVENTS (PM1_TIMER | PM1_GLOBAL | PM1_RTC)

/* PM1 control (ACPI 4.8.3.2.1) */
#define PM1_SCI_EN       (1u << 0)
#define PM1_BM_RLD       (1u << 1)
#define PM1_SLP_TYP      10 /* shift */
#define PM1_SLP_TYP_MASK (7u << PM1_SLP_TYP)
#define PM1_SLP_EN       (1u << 13)

/* The timer's carry: TMR_STS is set when its highest bit changes. */
#define TIMER_BITS  24
#define TIMER_CARRY (TIMER_BITS - 1) /* shift */

/* ACPI_PM_TIMER_HZ / MACHINE_TIME_HZ in lowest terms. */
#define TICKS_PER 715909ULL
#define TIME_PER  200000000ULL
_Static_assert(TICKS_PER *MACHINE_TIME_HZ == TIME_PER * ACPI_PM_TIMER_HZ,
	       "the ratio of the clocks");

static uint64_t ticks(uint64_t now)
{
	return now / TIME_PER * TICKS_PER + now % TIME_PER * TICKS_PER / TIME_PER;
}

/* The first guest time that belongs to @tick. */
static uint64_t time_of(uint64_t tick)
{
	return tick / TICKS_PER * TIME_PER +
	       (tick % TICKS_PER * TIME_PER + TICKS_PER - 1) / TICKS_PER;
}

void acpi_pm_advance(struct acpi_pm *pm, uint64_t now)
{
	if (ticks(now) >> TIMER_CARRY != ticks(pm->looked) >> TIMER_CARRY)
		pm->status |= PM1_TIMER;
	pm->looked = now;
}

void acpi_pm_set_rtc(struct acpi_pm *pm, bool level)
{
	if (level && !pm->rtc)
		pm->status |= PM1_RTC;
	pm->rtc = level;
}

bool acpi_pm_interrupt(const struct acpi_pm *pm)
{
	return pm->status & pm->enable;
}

uint64_t acpi_pm_next_event(const struct acpi_pm *pm)
{
	if (!(pm->enable & PM1_TIMER) || (pm->status & PM1_TIMER))
		return UINT64_MAX;
	return time_of(((ticks(pm->looked) >> TIMER_CARRY) + 1) << TIMER_CARRY);
}

uint8_t acpi_pm_in(struct acpi_pm *pm, unsigned offset, uint64_t now)
{
	uint32_t timer = (uint32_t)(ticks(now) & ((1u << TIMER_BITS) - 1));

	acpi_pm_advance(pm, now);
	if (offset >= ACPI_PM_TIMER)
		return (uint8_t)(timer >> 8 * (offset - ACPI_PM_TIMER));
	switch (offset & ~1u) {
	case ACPI_PM1_STATUS: return (uint8_t)(pm->status >> 8 * (offset & 1));
	case ACPI_PM1_ENABLE: return (uint8_t)(pm->enable >> 8 * (offset & 1));
	case ACPI_PM1_CONTROL: return (uint8_t)((pm->control | PM1_SCI_EN) >> 8 * (offset & 1));
	default: return UINT8_MAX;
	}
}

bool acpi_pm_out(struct acpi_pm *pm, unsigned offset, uint8_t value, uint64_t now)
{
	uint16_t byte = offset & 1 ? 0xff00 : 0x00ff, bits = offset & 1 ? value << 8 : value;

	acpi_pm_advance(pm, now);
	switch (offset & ~1u) {
	case ACPI_PM1_STATUS: pm->status &= ~bits; break;
	case ACPI_PM1_ENABLE: pm->enable = (pm->enable & ~byte) | (bits & PM1_EVENTS); break;
	case ACPI_PM1_CONTROL:
		pm->control = (pm->control & ~byte) | (bits & (PM1_BM_RLD | PM1_SLP_TYP_MASK));
		return (bits & PM1_SLP_EN) && (bits & PM1_SLP_TYP_MASK) == ACPI_PM_S5
										   << PM1_SLP_TYP;
	}
	return false;
}
