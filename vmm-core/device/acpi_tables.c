/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RSDP, RSDT, XSDT, FADT, FACS, MADT and DSDT (ACPI 5.2), as of ACPI 4.0 (FADT revision 4). */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "device/acpi_pm.h"
#include "device/aml.h"
#include "device/firmware.h"
#include "device/ioapic.h"
#include "device/lapic.h"
#include "device/machine.h"
#include "memory/memory.h"

#define MAX_TABLE  1024
#define ALIGNMENT  16

#define OEM_ID     "UMBRA "
#define OEM_TABLE  "UMBRA   "
#define CREATOR_ID "UMBR"

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt, length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} __attribute__((packed));

/* Generic address structure (ACPI 5.2.3.1) */
struct acpi_address {
	uint8_t space, bits, offset, access;
	uint64_t address;
} __attribute__((packed));

enum { SPACE_IO = 1 };
enum { ACCESS_BYTE = 1, ACCESS_WORD, ACCESS_DWORD };

struct acpi_fadt {
	struct acpi_header header;
	uint32_t facs, dsdt;
	uint8_t reserved0, profile;
	uint16_t sci;
	uint32_t smi_command;
	uint8_t acpi_enable, acpi_disable, s4bios, pstate_control;
	uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0,
		gpe1;
	uint8_t pm1_event_length, pm1_control_length, pm2_control_length, pm_timer_length,
		gpe0_length, gpe1_length, gpe1_base, cstate_control;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_flags;
	uint8_t reserved1;
	uint32_t flags;
	struct acpi_address reset;
	uint8_t reset_value, reserved2[3];
	uint64_t x_facs, x_dsdt;
	struct acpi_address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control,
		x_pm2_control, x_pm_timer, x_gpe0, x_gpe1;
} __attribute__((packed));

struct acpi_facs {
	char signature[4];
	uint32_t length, hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version, reserved[31];
} __attribute__((packed));

_Static_assert(sizeof(struct acpi_header) == 36 && sizeof(struct acpi_rsdp) == 36 &&
		       sizeof(struct acpi_fadt) == 244 && sizeof(struct acpi_facs) == 64,
	       "the specification's sizes");

/* FADT flags; its fixed hardware has no buttons. */
#define FADT_WBINVD          (1u << 0)
#define FADT_C1              (1u << 2)
#define FADT_NO_POWER_BUTTON (1u << 4)
#define FADT_NO_SLEEP_BUTTON (1u << 5)
#define FADT_RESET           (1u << 10)

/* IA-PC boot architecture flags */
#define BOOT_LEGACY_DEVICES (1u << 0)
#define BOOT_8042           (1u << 1)
#define BOOT_NO_MSI         (1u << 3)

#define PROFILE_UNSPECIFIED 0
#define IRQ_SCI             9
#define NO_C2               101  /* a latency of more than 100 us */
#define NO_C3               1001 /* a latency of more than 1000 us */
#define CMOS_CENTURY        0x32
#define RESET_PORT          0xcf9
#define RESET_VALUE         0x06

/* MADT */
#define MADT_PCAT_COMPAT (1u << 0) /* there are two 8259s too */
enum { MADT_LAPIC, MADT_IOAPIC, MADT_OVERRIDE, MADT_LAPIC_NMI = 4 };
#define MADT_ENABLED    1
#define MADT_ALL_CPUS   0xff
#define MADT_CONFORMS   0x0
#define MADT_HIGH_LEVEL 0xd
#define TIMER_GSI       2

/* A table that grows; it is finished by its length and checksum. */
struct table {
	union {
		struct acpi_header header;
		uint8_t bytes[MAX_TABLE];
	};
	unsigned size;
};

struct writer {
	struct memory *memory;
	uint64_t next;
	int error;
};

static struct acpi_header header_of(const char *signature, uint8_t revision)
{
	struct acpi_header header = {.revision = revision,
				     .oem_id = OEM_ID,
				     .oem_table_id = OEM_TABLE,
				     .oem_revision = 1,
				     .creator_id = CREATOR_ID,
				     .creator_revision = 1};

	memcpy(header.signature, signature, sizeof(header.signature));
	return header;
}

static void begin(struct table *table, const char *signature, uint8_t revision)
{
	memset(table, 0, sizeof(*table));
	table->header = header_of(signature, revision);
	table->size = sizeof(table->header);
}

static void add(struct table *table, const void *bytes, unsigned size)
{
	memcpy(table->bytes + table->size, bytes, size);
	table->size += size;
}

/* Puts a finished table behind the last one; where it is. */
static uint64_t write_table(struct writer *writer, struct table *table)
{
	uint64_t gpa = writer->next;

	table->header.length = table->size;
	table->header.checksum = 0;
	table->header.checksum = firmware_checksum(table->bytes, table->size);
	if (!writer->error)
		writer->error = memory_write(writer->memory, gpa, table->bytes, table->size);
	writer->next = (gpa + table->size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	return gpa;
}

static void build_madt(struct table *table, unsigned nr_cpus)
{
	const struct {
		uint32_t lapic, flags;
	} head = {LAPIC_BASE, MADT_PCAT_COMPAT};
	const struct {
		uint8_t type, length, id, reserved;
		uint32_t address, first_gsi;
	} __attribute__((packed))
	ioapic = {MADT_IOAPIC, sizeof(ioapic), FIRMWARE_IOAPIC_ID, 0, IOAPIC_BASE, 0};
	const struct {
		uint8_t type, length, bus, irq;
		uint32_t gsi;
		uint16_t flags;
	} __attribute__((packed)) overrides[] = {
		{MADT_OVERRIDE, sizeof(overrides[0]), 0, 0, TIMER_GSI, MADT_CONFORMS},
		{MADT_OVERRIDE, sizeof(overrides[0]), 0, IRQ_SCI, IRQ_SCI, MADT_HIGH_LEVEL},
	};
	const struct {
		uint8_t type, length, cpu;
		uint16_t flags;
		uint8_t lint;
	} __attribute__((packed))
	nmi = {MADT_LAPIC_NMI, sizeof(nmi), MADT_ALL_CPUS, MADT_CONFORMS, 1};

	begin(table, "APIC", 3);
	add(table, &head, sizeof(head));
	for (unsigned i = 0; i < nr_cpus; i++) {
		const struct {
			uint8_t type, length, cpu, lapic;
			uint32_t flags;
		} __attribute__((packed))
		lapic = {MADT_LAPIC, sizeof(lapic), (uint8_t)i, (uint8_t)i, MADT_ENABLED};

		add(table, &lapic, sizeof(lapic));
	}
	add(table, &ioapic, sizeof(ioapic));
	add(table, overrides, sizeof(overrides));
	add(table, &nmi, sizeof(nmi));
}

/*
 * Name (\_S5, Package () {SLP_TYPa, SLP_TYPb, 0, 0})
 * Scope (\_SB) {
 *     Device (CPUn) { Name (_HID, "ACPI0007") Name (_UID, n) }, for each vCPU
 * }
 */
static int build_dsdt(struct table *table, unsigned nr_cpus)
{
	struct aml aml;
	size_t package, scope;

	begin(table, "DSDT", 2); /* revision 2: integers have 64 bits */
	aml = (struct aml){.bytes = table->bytes, .size = table->size, .capacity = MAX_TABLE};
	aml_name(&aml, "\\_S5");
	package = aml_package(&aml, 4);
	aml_integer(&aml, ACPI_PM_S5);
	aml_integer(&aml, ACPI_PM_S5);
	aml_integer(&aml, 0);
	aml_integer(&aml, 0);
	aml_end(&aml, package);
	scope = aml_scope(&aml, "\\_SB");
	for (unsigned i = 0; i < nr_cpus; i++) {
		const char name[] = {'C', 'P', 'U', (char)('0' + i), '\0'};
		size_t device = aml_device(&aml, name);

		aml_name(&aml, "_HID");
		aml_string(&aml, "ACPI0007");
		aml_name(&aml, "_UID");
		aml_integer(&aml, i);
		aml_end(&aml, device);
	}
	aml_end(&aml, scope);
	table->size = (unsigned)aml.size;
	return aml.full ? -ENOSPC : 0;
}

static struct acpi_address port(uint16_t number, uint8_t bits, uint8_t access)
{
	return (struct acpi_address){SPACE_IO, bits, 0, access, number};
}

static void build_fadt(struct table *table, uint64_t dsdt)
{
	const struct acpi_fadt fadt = {
		.header = header_of("FACP", 4),
		.facs = FIRMWARE_FACS, /* and so not by x_facs */
		.dsdt = (uint32_t)dsdt,
		.profile = PROFILE_UNSPECIFIED,
		.sci = IRQ_SCI, /* no SMI command port: the machine is in ACPI mode */
		.pm1a_event = ACPI_PM_BASE + ACPI_PM1_STATUS,
		.pm1a_control = ACPI_PM_BASE + ACPI_PM1_CONTROL,
		.pm_timer = ACPI_PM_BASE + ACPI_PM_TIMER,
		.pm1_event_length = 4,
		.pm1_control_length = 2,
		.pm_timer_length = 4,
		.c2_latency = NO_C2,
		.c3_latency = NO_C3,
		.century = CMOS_CENTURY,
		.boot_flags = BOOT_LEGACY_DEVICES | BOOT_8042 | BOOT_NO_MSI,
		.flags = FADT_WBINVD | FADT_C1 | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON |
			 FADT_RESET,
		.reset = port(RESET_PORT, 8, ACCESS_BYTE),
		.reset_value = RESET_VALUE,
		.x_dsdt = dsdt,
		.x_pm1a_event = port(ACPI_PM_BASE + ACPI_PM1_STATUS, 32, ACCESS_WORD),
		.x_pm1a_control = port(ACPI_PM_BASE + ACPI_PM1_CONTROL, 16, ACCESS_WORD),
		.x_pm_timer = port(ACPI_PM_BASE + ACPI_PM_TIMER, 32, ACCESS_DWORD),
	};

	memset(table, 0, sizeof(*table));
	add(table, &fadt, sizeof(fadt));
}

static void write_rsdp(struct writer *writer, uint64_t rsdt, uint64_t xsdt)
{
	struct acpi_rsdp rsdp = {.signature = "RSD PTR ",
				 .oem_id = OEM_ID,
				 .revision = 2,
				 .rsdt = (uint32_t)rsdt,
				 .length = sizeof(rsdp),
				 .xsdt = xsdt};
	const struct acpi_facs facs = {.signature = "FACS", .length = sizeof(facs), .version = 2};

	rsdp.checksum = firmware_checksum(&rsdp, offsetof(struct acpi_rsdp, length));
	rsdp.extended_checksum = firmware_checksum(&rsdp, sizeof(rsdp));
	if (!writer->error)
		writer->error = memory_write(writer->memory, FIRMWARE_FACS, &facs, sizeof(facs));
	if (!writer->error)
		writer->error = memory_write(writer->memory, FIRMWARE_RSDP, &rsdp, sizeof(rsdp));
}

int firmware_write_acpi(struct memory *memory, unsigned nr_cpus)
{
	struct writer writer = {memory, FIRMWARE_ACPI, 0};
	uint64_t tables[2], rsdt, xsdt;
	struct table table;

	writer.error = build_dsdt(&table, nr_cpus);
	build_fadt(&table, write_table(&writer, &table));
	tables[0] = write_table(&writer, &table);
	build_madt(&table, nr_cpus);
	tables[1] = write_table(&writer, &table);

	begin(&table, "RSDT", 1);
	for (unsigned i = 0; i < 2; i++)
		add(&table, &(uint32_t){(uint32_t)tables[i]}, sizeof(uint32_t));
	rsdt = write_table(&writer, &table);
	begin(&table, "XSDT", 1);
	add(&table, tables, sizeof(tables));
	xsdt = write_table(&writer, &table);
	write_rsdp(&writer, rsdt, xsdt);
	return writer.error;
}
