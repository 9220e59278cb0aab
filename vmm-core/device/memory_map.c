/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device/ioapic.h"
#include "device/lapic.h"
#include "device/memory_map.h"
#include "memory/memory.h"

unsigned machine_memory_map(uint64_t memory_size,
			    struct machine_memory_range ret[MACHINE_MEMORY_RANGES])
{
	unsigned n = 0;

	ret[n++] = (struct machine_memory_range){0, MACHINE_EBDA, MACHINE_RAM};
	ret[n++] = (struct machine_memory_range){MACHINE_EBDA, MACHINE_HIGH - MACHINE_EBDA,
						 MACHINE_RESERVED};
	if (memory_size > MACHINE_HIGH)
		ret[n++] = (struct machine_memory_range){MACHINE_HIGH, memory_size - MACHINE_HIGH,
							 MACHINE_RAM};
	ret[n++] = (struct machine_memory_range){IOAPIC_BASE, IOAPIC_SIZE, MACHINE_RESERVED};
	ret[n++] = (struct machine_memory_range){LAPIC_BASE, LAPIC_SIZE, MACHINE_RESERVED};
	return n;
}

int machine_map_devices(struct memory *memory)
{
	int error = memory_add_mmio(memory, IOAPIC_BASE, IOAPIC_SIZE);

	return error ? error : memory_add_mmio(memory, LAPIC_BASE, LAPIC_SIZE);
}
