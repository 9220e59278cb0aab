/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MP floating pointer and configuration table (Intel MP 1.4, chapter 4). */
#include <string.h>

#include "device/firmware.h"
#include "device/ioapic.h"
#include "device/lapic.h"
#include "device/machine.h"
#include "memory/memory.h"

#define SPEC_REV_1_4   4
#define MAX_TABLE      1024

#define LAPIC_VERSION  0x14
#define IOAPIC_VERSION 0x20
#define CPU_ENABLED    (1u << 0)
#define CPU_BOOT       (1u << 1)
#define CPU_SIGNATURE  0x600  /* family 6; CPUID tells the rest */
#define CPU_FEATURES   0x0201 /* an FPU and an APIC are on the chip */

#define IOAPIC_USABLE  1

#define ISA_BUS        0
#define ISA_INTERRUPTS 16
#define IRQ_TIMER      0
#define IRQ_CASCADE    2
#define IRQ_SCI        9
#define PIN_TIMER      2

#define ALL_LAPICS     0xff

/* Flags of interrupt entries: polarity and trigger mode. */
#define CONFORMS   0x0 /* to the bus: ISA's are edges, active high */
#define HIGH_LEVEL 0xd

enum { ENTRY_PROCESSOR, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_INTERRUPT, ENTRY_LOCAL_INTERRUPT };
enum { TYPE_INT, TYPE_NMI, TYPE_SMI, TYPE_EXTINT };

struct mp_pointer {
	char signature[4];
	uint32_t table;
	uint8_t paragraphs, revision, checksum;
	uint8_t features[5]; /* 0: there is a table; bit 7 of the next clear: no IMCR */
} __attribute__((packed));

struct mp_header {
	char signature[4];
	uint16_t length;
	uint8_t revision, checksum;
	char oem_id[8], product_id[12];
	uint32_t oem_table;
	uint16_t oem_size, entries;
	uint32_t lapic;
	uint16_t extended_length;
	uint8_t extended_checksum, reserved;
} __attribute__((packed));

struct mp_processor {
	uint8_t type, lapic_id, lapic_version, flags;
	uint32_t signature, features;
	uint32_t reserved[2];
} __attribute__((packed));

struct mp_bus {
	uint8_t type, id;
	char name[6];
} __attribute__((packed));

struct mp_ioapic {
	uint8_t type, id, version, flags;
	uint32_t address;
} __attribute__((packed));

struct mp_interrupt {
	uint8_t type, interrupt;
	uint16_t flags;
	uint8_t bus, irq, apic, pin;
} __attribute__((packed));

_Static_assert(sizeof(struct mp_pointer) == 16 && sizeof(struct mp_header) == 44 &&
		       sizeof(struct mp_processor) == 20 && sizeof(struct mp_interrupt) == 8,
	       "the specification's sizes");

struct table {
	struct mp_header header;
	uint8_t entries[MAX_TABLE];
	unsigned size;
};

_Static_assert(MAX_TABLE >= MACHINE_MAX_CPUS * sizeof(struct mp_processor) + 8 + 8 + 18 * 8,
	       "room for all entries");

static void add(struct table *table, const void *entry, unsigned size)
{
	memcpy(table->entries + table->size, entry, size);
	table->size += size;
	table->header.entries++;
}

static void add_interrupt(struct table *table, uint8_t entry, uint8_t type, uint16_t flags,
			  uint8_t irq, uint8_t apic, uint8_t pin)
{
	struct mp_interrupt interrupt = {entry, type, flags, ISA_BUS, irq, apic, pin};

	add(table, &interrupt, sizeof(interrupt));
}

static void add_processors(struct table *table, unsigned nr_cpus)
{
	for (unsigned i = 0; i < nr_cpus; i++) {
		struct mp_processor processor = {
			.type = ENTRY_PROCESSOR,
			.lapic_id = (uint8_t)i,
			.lapic_version = LAPIC_VERSION,
			.flags = CPU_ENABLED | (i == 0 ? CPU_BOOT : 0),
			.signature = CPU_SIGNATURE,
			.features = CPU_FEATURES,
		};

		add(table, &processor, sizeof(processor));
	}
}

static void add_interrupts(struct table *table)
{
	for (uint8_t irq = 0; irq < ISA_INTERRUPTS; irq++) {
		if (irq == IRQ_CASCADE)
			continue;
		add_interrupt(table, ENTRY_INTERRUPT, TYPE_INT,
			      irq == IRQ_SCI ? HIGH_LEVEL : CONFORMS, irq, FIRMWARE_IOAPIC_ID,
			      irq == IRQ_TIMER ? PIN_TIMER : irq);
	}
	add_interrupt(table, ENTRY_LOCAL_INTERRUPT, TYPE_EXTINT, CONFORMS, 0, 0, 0);
	add_interrupt(table, ENTRY_LOCAL_INTERRUPT, TYPE_NMI, CONFORMS, 0, ALL_LAPICS, 1);
}

int firmware_write_mp(struct memory *memory, unsigned nr_cpus)
{
	struct table table = {.header = {.signature = "PCMP",
					 .revision = SPEC_REV_1_4,
					 .oem_id = "UMBRA   ",
					 .product_id = "UMBRA       ",
					 .lapic = LAPIC_BASE}};
	const struct mp_bus bus = {ENTRY_BUS, ISA_BUS, "ISA   "};
	const struct mp_ioapic ioapic = {ENTRY_IOAPIC, FIRMWARE_IOAPIC_ID, IOAPIC_VERSION,
					 IOAPIC_USABLE, IOAPIC_BASE};
	struct mp_pointer pointer = {.signature = "_MP_",
				     .table = FIRMWARE_MP_TABLE,
				     .paragraphs = 1,
				     .revision = SPEC_REV_1_4};
	int error;

	add_processors(&table, nr_cpus);
	add(&table, &bus, sizeof(bus));
	add(&table, &ioapic, sizeof(ioapic));
	add_interrupts(&table);
	table.header.length = (uint16_t)(sizeof(table.header) + table.size);
	table.header.checksum = firmware_checksum(&table, table.header.length);
	pointer.checksum = firmware_checksum(&pointer, sizeof(pointer));
	error = memory_write(memory, FIRMWARE_MP_TABLE, &table, table.header.length);
	return error ? error : memory_write(memory, FIRMWARE_MP_POINTER, &pointer, sizeof(pointer));
}
