/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "device/apic_bus.h"

void apic_bus_init(struct apic_bus *bus, unsigned nr_lapics)
{
	memset(bus, 0, sizeof(*bus));
	bus->nr_lapics = nr_lapics;
	for (unsigned i = 0; i < nr_lapics; i++)
		lapic_init(&bus->lapic[i], bus, (uint8_t)i);
	ioapic_init(&bus->ioapic, bus);
}

/*
 * Of those in @targets the one with the lowest processor priority; among equals the one with the
 * lowest APIC ID, so that a run can be repeated. There is no focus processor.
 */
static uint32_t lowest_priority(const struct apic_bus *bus, uint32_t targets)
{
	unsigned best = MACHINE_MAX_CPUS;

	for (unsigned i = 0; i < bus->nr_lapics; i++) {
		const struct lapic *lapic = &bus->lapic[i];

		if (!(targets & 1u << i) || !lapic_software_enabled(lapic))
			continue;
		if (best == MACHINE_MAX_CPUS || lapic_ppr(lapic) < lapic_ppr(&bus->lapic[best]))
			best = i;
	}
	return best == MACHINE_MAX_CPUS ? 0 : 1u << best;
}

static void deliver(struct apic_bus *bus, uint32_t targets, const struct apic_message *message)
{
	if (message->delivery == APIC_LOWEST_PRIORITY)
		targets = lowest_priority(bus, targets);
	for (unsigned i = 0; i < bus->nr_lapics; i++)
		if (targets & 1u << i)
			lapic_receive(&bus->lapic[i], message);
}

static uint32_t addressed(const struct apic_bus *bus, const struct apic_message *message)
{
	uint32_t targets = 0;

	for (unsigned i = 0; i < bus->nr_lapics; i++)
		if (lapic_matches(&bus->lapic[i], message))
			targets |= 1u << i;
	return targets;
}

void apic_bus_send(struct apic_bus *bus, const struct apic_message *message)
{
	deliver(bus, addressed(bus, message), message);
}

void apic_bus_send_ipi(struct apic_bus *bus, unsigned from, enum apic_shorthand shorthand,
		       const struct apic_message *message)
{
	uint32_t all = (1u << bus->nr_lapics) - 1, self = 1u << from;

	switch (shorthand) {
	case APIC_NO_SHORTHAND: apic_bus_send(bus, message); break;
	case APIC_SELF: deliver(bus, self, message); break;
	case APIC_ALL: deliver(bus, all, message); break;
	case APIC_ALL_BUT_SELF: deliver(bus, all & ~self, message); break;
	}
}

void apic_bus_eoi(struct apic_bus *bus, uint8_t vector)
{
	ioapic_eoi(&bus->ioapic, vector);
}
