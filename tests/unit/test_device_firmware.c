/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tables that an operating system finds, looked for as it does: ACPI 5.2, Intel MP 1.4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "device/firmware.h"
#include "device/machine.h"
#include "device/memory_map.h"
#include "memory/map.h"

#define RAM (1u << 20) /* the least that a guest can have */

static struct memory memory;
static uint8_t ram[RAM];

static void write_tables(unsigned nr_cpus)
{
	assert_int_equal(memory_create(&memory, RAM, false, 1, NULL), 0);
	assert_int_equal(machine_write_tables(&memory, nr_cpus), 0);
	assert_int_equal(memory_read(&memory, 0, ram, RAM), 0);
	memory_destroy(&memory);
}

static uint64_t get(uint64_t gpa, unsigned size)
{
	uint64_t value = 0;

	assert_true(gpa + size <= RAM);
	memcpy(&value, ram + gpa, size);
	return value;
}

static uint8_t sum(uint64_t gpa, uint64_t size)
{
	uint8_t total = 0;

	assert_true(gpa + size <= RAM);
	while (size--)
		total += ram[gpa++];
	return total;
}

/* Searches the ROM area as an operating system does; each must be there once. */
static uint64_t search(uint64_t from, const char *signature)
{
	uint64_t found = 0;

	for (uint64_t gpa = from; gpa < RAM; gpa += 16) {
		if (memcmp(ram + gpa, signature, strlen(signature)) != 0)
			continue;
		assert_int_equal(found, 0);
		found = gpa;
	}
	assert_int_not_equal(found, 0);
	return found;
}

/* The table @signature of the root table at @root, whose entries have @width bytes. */
static uint64_t table_of(uint64_t root, unsigned width, const char *signature)
{
	assert_int_equal(sum(root, get(root + 4, 4)), 0);
	for (uint64_t at = root + 36; at < root + get(root + 4, 4); at += width) {
		uint64_t table = get(at, width);

		assert_int_equal(sum(table, get(table + 4, 4)), 0);
		if (memcmp(ram + table, signature, 4) == 0)
			return table;
	}
	fail_msg("no table %s", signature);
	return 0;
}

static uint64_t acpi_table(const char *signature)
{
	uint64_t rsdp = search(0xe0000, "RSD PTR ");
	uint64_t rsdt = get(rsdp + 16, 4), xsdt = get(rsdp + 24, 8);

	assert_int_equal(get(rsdp + 15, 1), 2);
	assert_int_equal(get(rsdp + 20, 4), 36);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	assert_memory_equal(ram + rsdt, "RSDT", 4);
	assert_memory_equal(ram + xsdt, "XSDT", 4);
	assert_int_equal(table_of(rsdt, 4, signature), table_of(xsdt, 8, signature));
	return table_of(xsdt, 8, signature);
}

static void fadt_names_the_fixed_hardware(void **state)
{
	uint64_t fadt, facs, dsdt;

	write_tables(1);
	fadt = acpi_table("FACP");
	assert_int_equal(get(fadt + 46, 2), 9);                    /* SCI_INT */
	assert_int_equal(get(fadt + 48, 4), 0);                    /* SMI_CMD */
	assert_int_equal(get(fadt + 56, 4), 0x600);                /* PM1a_EVT_BLK */
	assert_int_equal(get(fadt + 64, 4), 0x604);                /* PM1a_CNT_BLK */
	assert_int_equal(get(fadt + 76, 4), 0x608);                /* PM_TMR_BLK */
	assert_int_equal(get(fadt + 88, 4), 0x04000204);           /* their lengths; none of PM2 */
	assert_int_equal(get(fadt + 108, 1), 0x32);                /* CENTURY */
	assert_int_equal(get(fadt + 112, 4) & (1 << 10), 1 << 10); /* RESET_REG_SUP */
	assert_int_equal(get(fadt + 116, 1), 1);                   /* in I/O space */
	assert_int_equal(get(fadt + 120, 8), 0xcf9);
	assert_int_equal(get(fadt + 128, 1), 0x06);
	facs = get(fadt + 36, 4);
	assert_int_equal(get(fadt + 132, 8), 0); /* not by both */
	assert_int_equal(facs % 64, 0);
	assert_memory_equal(ram + facs, "FACS", 4);
	assert_int_equal(get(facs + 4, 4), 64);
	dsdt = get(fadt + 40, 4);
	assert_int_equal(get(fadt + 140, 8), dsdt);
	assert_memory_equal(ram + dsdt, "DSDT", 4);
	assert_int_equal(sum(dsdt, get(dsdt + 4, 4)), 0);
}

static void dsdt_has_s5_and_the_processors(void **state)
{
	static const uint8_t aml[] = {
		0x08, '\\', '_',  'S',  '5',  '_',  0x12, 0x49, 0x00, 4,    0x0a, 5,    0x0a, 5,
		0,    0,    0x10, 0x41, 0x04, '\\', '_',  'S',  'B',  '_',  0x5b, 0x82, 0x4b, 0x01,
		'C',  'P',  'U',  '0',  0x08, '_',  'H',  'I',  'D',  0x0d, 'A',  'C',  'P',  'I',
		'0',  '0',  '0',  '7',  0,    0x08, '_',  'U',  'I',  'D',  0x00, 0x5b, 0x82, 0x4b,
		0x01, 'C',  'P',  'U',  '1',  0x08, '_',  'H',  'I',  'D',  0x0d, 'A',  'C',  'P',
		'I',  '0',  '0',  '0',  '7',  0,    0x08, '_',  'U',  'I',  'D',  0x01,
	};
	uint64_t dsdt;

	write_tables(2);
	dsdt = get(acpi_table("FACP") + 40, 4);
	assert_int_equal(get(dsdt + 4, 4), 36 + sizeof(aml));
	assert_memory_equal(ram + dsdt + 36, aml, sizeof(aml));
}

static void madt_names_every_apic(void **state)
{
	for (unsigned cpus = 1; cpus <= MACHINE_MAX_CPUS; cpus++) {
		unsigned lapics = 0, ioapics = 0, overrides = 0, nmis = 0;
		uint64_t madt, at;

		write_tables(cpus);
		madt = acpi_table("APIC");
		assert_int_equal(get(madt + 36, 4), 0xfee00000);
		assert_int_equal(get(madt + 40, 4), 1);
		for (at = madt + 44; at < madt + get(madt + 4, 4); at += get(at + 1, 1)) {
			switch (get(at, 1)) {
			case 0:
				assert_int_equal(get(at + 1, 1), 8);
				assert_int_equal(get(at + 2, 1), lapics);
				assert_int_equal(get(at + 3, 1), lapics++);
				assert_int_equal(get(at + 4, 4), 1);
				break;
			case 1:
				assert_int_equal(get(at + 1, 1), 12);
				assert_true(get(at + 2, 1) >= MACHINE_MAX_CPUS);
				assert_int_equal(get(at + 4, 4), 0xfec00000);
				assert_int_equal(get(at + 8, 4), 0);
				ioapics++;
				break;
			case 2:
				assert_int_equal(get(at + 1, 1), 10);
				assert_int_equal(get(at + 4, 4), get(at + 3, 1) == 0 ? 2 : 9);
				assert_int_equal(get(at + 8, 2), get(at + 3, 1) == 0 ? 0 : 0xd);
				overrides++;
				break;
			case 4:
				assert_int_equal(get(at + 1, 1), 6);
				assert_int_equal(get(at + 2, 4), 0x010000ff);
				nmis++;
				break;
			default: fail_msg("entry of type %u", (unsigned)get(at, 1));
			}
		}
		assert_int_equal(at, madt + get(madt + 4, 4));
		assert_int_equal(lapics, cpus);
		assert_int_equal(ioapics, 1);
		assert_int_equal(overrides, 2);
		assert_int_equal(nmis, 1);
	}
}

static void mp_table_names_every_apic_and_wire(void **state)
{
	for (unsigned cpus = 1; cpus <= MACHINE_MAX_CPUS; cpus++) {
		static const uint8_t sizes[] = {20, 8, 8, 8, 8};
		unsigned of_type[5] = {0}, wired = 0;
		uint64_t pointer, table, at;

		write_tables(cpus);
		pointer = search(0xf0000, "_MP_");
		assert_int_equal(get(pointer + 8, 1), 1);
		assert_int_equal(get(pointer + 9, 1), 4);
		assert_int_equal(get(pointer + 11, 1), 0);        /* a table, not a default */
		assert_int_equal(get(pointer + 12, 1) & 0x80, 0); /* no IMCR */
		assert_int_equal(sum(pointer, 16), 0);
		table = get(pointer + 4, 4);
		assert_memory_equal(ram + table, "PCMP", 4);
		assert_int_equal(sum(table, get(table + 4, 2)), 0);
		assert_int_equal(get(table + 36, 4), 0xfee00000);
		at = table + 44;
		for (unsigned i = 0; i < get(table + 34, 2); i++) {
			unsigned type = (unsigned)get(at, 1);

			assert_in_range(type, 0, 4);
			if (type == 0) {
				assert_int_equal(get(at + 1, 1), of_type[0]);
				assert_int_equal(get(at + 3, 1), of_type[0] ? 1 : 3);
			} else if (type == 1) {
				assert_memory_equal(ram + at + 2, "ISA   ", 6);
			} else if (type == 2) {
				assert_int_equal(get(at + 4, 4), 0xfec00000);
			} else if (type == 3) {
				uint64_t irq = get(at + 5, 1);

				assert_int_equal(get(at + 7, 1), irq == 0 ? 2 : irq);
				assert_int_equal(get(at + 2, 2), irq == 9 ? 0xd : 0);
				wired |= 1u << irq;
			}
			of_type[type]++;
			at += sizes[type];
		}
		assert_int_equal(at, table + get(table + 4, 2));
		assert_int_equal(of_type[0], cpus);
		assert_int_equal(of_type[1], 1);
		assert_int_equal(of_type[2], 1);
		assert_int_equal(wired, 0xfffb);
		assert_int_equal(of_type[4], 2);
	}
}

static void bios_data_area_tells_of_memory_and_serial_port(void **state)
{
	write_tables(1);
	assert_int_equal(get(0x400, 2), 0x3f8);
	assert_int_equal(get(0x402, 6), 0);
	assert_int_equal(get(0x40e, 2) << 4, MACHINE_EBDA);
	assert_int_equal(get(0x413, 2), 639);
	assert_int_equal(get(0x449, 1), 3);
	assert_int_equal(get(0x44a, 2), 80);
	assert_int_equal(get(0x463, 2), 0x3d4);
	assert_int_equal(get(MACHINE_EBDA, 1), 1);
}

static void tables_lie_in_reserved_memory(void **state)
{
	write_tables(MACHINE_MAX_CPUS);
	for (uint64_t gpa = 0x500; gpa < MACHINE_EBDA; gpa++)
		assert_int_equal(ram[gpa], 0);
}

static void memory_map_is_in_order_and_covers_ram(void **state)
{
	static const uint64_t sizes[] = {1 << 20, 64 << 20, 2ull << 30};

	for (unsigned i = 0; i < 3; i++) {
		struct machine_memory_range r[MACHINE_MEMORY_RANGES];
		unsigned n = machine_memory_map(sizes[i], r);
		uint64_t usable = 0;

		assert_int_equal(n, i == 0 ? 4 : 5);
		for (unsigned j = 0; j < n; j++) {
			assert_true(r[j].size > 0);
			if (j)
				assert_true(r[j - 1].base + r[j - 1].size <= r[j].base);
			if (r[j].type == MACHINE_RAM)
				usable += r[j].size;
		}
		assert_int_equal(usable, sizes[i] - (0x100000 - 0x9fc00));
		assert_int_equal(r[n - 2].base, 0xfec00000);
		assert_int_equal(r[n - 1].base, 0xfee00000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fadt_names_the_fixed_hardware),
		cmocka_unit_test(dsdt_has_s5_and_the_processors),
		cmocka_unit_test(madt_names_every_apic),
		cmocka_unit_test(mp_table_names_every_apic_and_wire),
		cmocka_unit_test(bios_data_area_tells_of_memory_and_serial_port),
		cmocka_unit_test(tables_lie_in_reserved_memory),
		cmocka_unit_test(memory_map_is_in_order_and_covers_ram),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
