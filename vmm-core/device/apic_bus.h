/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What carries interrupt messages between local APICs and the I/O APIC: who is meant by a
 * destination (SDM 3A 10.6.2), and who takes a message of lowest priority.
 */
#ifndef DEVICE_APIC_BUS_H
#define DEVICE_APIC_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "device/ioapic.h"
#include "device/lapic.h"
#include "device/machine.h"

/* SDM 3A 10.6.1: delivery modes of the ICR, the LVT and the I/O APIC's redirection table. */
enum apic_delivery {
	APIC_FIXED,
	APIC_LOWEST_PRIORITY,
	APIC_SMI,
	APIC_RESERVED,
	APIC_NMI,
	APIC_INIT,
	APIC_STARTUP,
	APIC_EXTINT,
};

enum apic_shorthand { APIC_NO_SHORTHAND, APIC_SELF, APIC_ALL, APIC_ALL_BUT_SELF };

struct apic_message {
	uint32_t destination; /* 8 bits from an xAPIC or the I/O APIC */
	bool broadcast;       /* the destination is all ones in its sender's width */
	bool logical;
	uint8_t delivery; /* enum apic_delivery */
	uint8_t vector;
	bool level; /* trigger mode */
};

struct apic_bus {
	struct lapic lapic[MACHINE_MAX_CPUS];
	unsigned nr_lapics;
	struct ioapic ioapic;
};

void apic_bus_init(struct apic_bus *bus, unsigned nr_lapics);

/* To whom it is addressed. */
void apic_bus_send(struct apic_bus *bus, const struct apic_message *message);
/* An IPI of local APIC @from; the shorthand, if any, replaces the destination. */
void apic_bus_send_ipi(struct apic_bus *bus, unsigned from, enum apic_shorthand shorthand,
		       const struct apic_message *message);
/* The end of a level-triggered interrupt, told to the I/O APIC. */
void apic_bus_eoi(struct apic_bus *bus, uint8_t vector);

#endif
