/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fixed hardware of ACPI (ACPI 4.8): PM1a events, PM1a control, the 24-bit power management
 * timer. It is always in ACPI mode (there is no SMI command port), and its one sleeping state is
 * S5.
 */
#ifndef DEVICE_ACPI_PM_H
#define DEVICE_ACPI_PM_H

#include <stdbool.h>
#include <stdint.h>

#define ACPI_PM_BASE     0x600 /* I/O port */
#define ACPI_PM1_STATUS  0x0   /* offsets from there */
#define ACPI_PM1_ENABLE  0x2
#define ACPI_PM1_CONTROL 0x4
#define ACPI_PM_TIMER    0x8
#define ACPI_PM_SIZE     0xc

#define ACPI_PM_TIMER_HZ 3579545ULL

/* SLP_TYP of S5, also in the package \_S5 of the DSDT. */
#define ACPI_PM_S5 5

struct acpi_pm {
	uint16_t status, enable, control;
	bool rtc;        /* level of the RTC's interrupt */
	uint64_t looked; /* guest time up to which the timer's carry is known */
};

/* One byte at @offset; the registers take accesses of every size. */
uint8_t acpi_pm_in(struct acpi_pm *pm, unsigned offset, uint64_t now);
/* True: the guest has turned the machine off. */
bool acpi_pm_out(struct acpi_pm *pm, unsigned offset, uint8_t value, uint64_t now);

void acpi_pm_advance(struct acpi_pm *pm, uint64_t now);
/* The RTC's interrupt line, whose rising sets RTC_STS. */
void acpi_pm_set_rtc(struct acpi_pm *pm, bool level);
/* The SCI's level. */
bool acpi_pm_interrupt(const struct acpi_pm *pm);
/* Guest time at which it rises; UINT64_MAX: never. */
uint64_t acpi_pm_next_event(const struct acpi_pm *pm);

#endif
