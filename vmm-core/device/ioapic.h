/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 82093AA I/O APIC with the EOI register of its successors (version 0x20). A line is asserted
 * or not: the polarity bits read back and mean nothing more.
 */
#ifndef DEVICE_IOAPIC_H
#define DEVICE_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

#define IOAPIC_PINS 24
#define IOAPIC_BASE 0xfec00000ull
#define IOAPIC_SIZE 0x1000ull

struct apic_bus;

struct ioapic {
	struct apic_bus *bus;
	uint8_t select, id;
	uint32_t lines; /* asserted pins */
	uint64_t entry[IOAPIC_PINS];
};

/* As after reset: all pins masked. */
void ioapic_init(struct ioapic *ioapic, struct apic_bus *bus);

/* @offset: of an aligned 32-bit register from IOAPIC_BASE. */
uint32_t ioapic_read(const struct ioapic *ioapic, uint32_t offset);
void ioapic_write(struct ioapic *ioapic, uint32_t offset, uint32_t value);

void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool asserted);
bool ioapic_masked(const struct ioapic *ioapic, unsigned pin);
/* A local APIC's EOI of a level-triggered interrupt. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);

#endif
