/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "device/apic_bus.h"
#include "device/ioapic.h"

/* Memory-mapped registers */
#define IOREGSEL 0x00
#define IOWIN    0x10
#define IOEOI    0x40 /* version 0x20 and later */

/* Registers behind them */
#define IOAPICID       0x00
#define IOAPICVER      0x01
#define IOAPICARB      0x02
#define IOREDTBL       0x10

#define VERSION        (0x20u | (IOAPIC_PINS - 1) << 16)
#define ID_SHIFT       24
#define ID_MASK        0x0fu

#define ENTRY_VECTOR   0xffull
#define ENTRY_DELIVERY 8 /* shift */
#define ENTRY_LOGICAL  (1ull << 11)
#define ENTRY_REMOTE   (1ull << 14) /* Remote IRR: a local APIC has it, no EOI yet */
#define ENTRY_LEVEL    (1ull << 15)
#define ENTRY_MASKED   (1ull << 16)
#define ENTRY_DEST     56 /* shift */
/* All but delivery status, remote IRR and what is reserved. */
#define ENTRY_WRITABLE  0xff0000000001afffull
#define ENTRY_BROADCAST 0xffu

void ioapic_init(struct ioapic *ioapic, struct apic_bus *bus)
{
	memset(ioapic, 0, sizeof(*ioapic));
	ioapic->bus = bus;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->entry[pin] = ENTRY_MASKED;
}

static void send(struct ioapic *ioapic, unsigned pin)
{
	uint64_t entry = ioapic->entry[pin];
	struct apic_message message = {
		.destination = (uint32_t)(entry >> ENTRY_DEST),
		.broadcast = entry >> ENTRY_DEST == ENTRY_BROADCAST,
		.logical = entry & ENTRY_LOGICAL,
		.delivery = entry >> ENTRY_DELIVERY & 7,
		.vector = (uint8_t)(entry & ENTRY_VECTOR),
		.level = entry & ENTRY_LEVEL,
	};

	/* Only these two have an EOI (82093AA 3.2.4). */
	if (message.level &&
	    (message.delivery == APIC_FIXED || message.delivery == APIC_LOWEST_PRIORITY))
		ioapic->entry[pin] |= ENTRY_REMOTE;
	apic_bus_send(ioapic->bus, &message);
}

/* A level-triggered pin sends as long as it is asserted, once for each EOI. */
static void send_level(struct ioapic *ioapic, unsigned pin)
{
	uint64_t entry = ioapic->entry[pin];

	if ((ioapic->lines & 1u << pin) && (entry & ENTRY_LEVEL) &&
	    !(entry & (ENTRY_MASKED | ENTRY_REMOTE)))
		send(ioapic, pin);
}

void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool asserted)
{
	bool before = ioapic->lines & 1u << pin;

	if (asserted == before)
		return;
	ioapic->lines ^= 1u << pin;
	if (!asserted)
		return;
	if (ioapic->entry[pin] & ENTRY_LEVEL)
		send_level(ioapic, pin);
	else if (!(ioapic->entry[pin] & ENTRY_MASKED)) /* an edge on a masked pin is lost */
		send(ioapic, pin);
}

bool ioapic_masked(const struct ioapic *ioapic, unsigned pin)
{
	return ioapic->entry[pin] & ENTRY_MASKED;
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *entry = &ioapic->entry[pin];

		if ((*entry & ENTRY_VECTOR) != vector || !(*entry & ENTRY_LEVEL) ||
		    !(*entry & ENTRY_REMOTE))
			continue;
		*entry &= ~ENTRY_REMOTE;
		send_level(ioapic, pin);
	}
}

static uint32_t read_register(const struct ioapic *ioapic)
{
	unsigned half = ioapic->select - IOREDTBL;

	switch (ioapic->select) {
	case IOAPICID:
	case IOAPICARB: return (uint32_t)ioapic->id << ID_SHIFT;
	case IOAPICVER: return VERSION;
	}
	if (ioapic->select < IOREDTBL || half >= 2 * IOAPIC_PINS)
		return UINT32_MAX;
	return (uint32_t)(ioapic->entry[half / 2] >> (half % 2 ? 32 : 0));
}

static void write_entry(struct ioapic *ioapic, unsigned half, uint32_t value)
{
	uint64_t *entry = &ioapic->entry[half / 2], other = UINT32_MAX;
	uint64_t wanted = value;

	if (half % 2)
		wanted <<= 32;
	else
		other <<= 32;
	wanted |= *entry & other;
	*entry = (wanted & ENTRY_WRITABLE) | (*entry & ENTRY_REMOTE);
	/* There is no remote IRR for edges; drivers clear it by going there and back. */
	if (!(*entry & ENTRY_LEVEL))
		*entry &= ~ENTRY_REMOTE;
	send_level(ioapic, half / 2);
}

static void write_register(struct ioapic *ioapic, uint32_t value)
{
	unsigned half = ioapic->select - IOREDTBL;

	if (ioapic->select == IOAPICID)
		ioapic->id = value >> ID_SHIFT & ID_MASK;
	else if (ioapic->select >= IOREDTBL && half < 2 * IOAPIC_PINS)
		write_entry(ioapic, half, value);
}

uint32_t ioapic_read(const struct ioapic *ioapic, uint32_t offset)
{
	switch (offset) {
	case IOREGSEL: return ioapic->select;
	case IOWIN: return read_register(ioapic);
	default: return UINT32_MAX;
	}
}

void ioapic_write(struct ioapic *ioapic, uint32_t offset, uint32_t value)
{
	switch (offset) {
	case IOREGSEL: ioapic->select = (uint8_t)value; break;
	case IOWIN: write_register(ioapic, value); break;
	case IOEOI: ioapic_eoi(ioapic, (uint8_t)value); break;
	}
}
