/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules of the 82093AA data sheet, and of the EOI between it and the local APICs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "device/apic_bus.h"

#define EDGE      0x0000
#define LEVEL     0x8000
#define MASKED    0x10000
#define LOGICAL   0x800
#define REMOTE    0x4000

#define SVR       0x0f0
#define EOI       0x0b0
#define LDR       0x0d0
#define TMR       0x180
#define NO_DIRECT 0x1000 /* SVR: EOI broadcast suppression */

static struct apic_bus bus;

static uint32_t reg_read(uint8_t reg)
{
	ioapic_write(&bus.ioapic, 0x00, reg);
	return ioapic_read(&bus.ioapic, 0x10);
}

static void reg_write(uint8_t reg, uint32_t value)
{
	ioapic_write(&bus.ioapic, 0x00, reg);
	ioapic_write(&bus.ioapic, 0x10, value);
}

static void program(unsigned pin, uint32_t low, uint8_t destination)
{
	reg_write((uint8_t)(0x11 + 2 * pin), (uint32_t)destination << 24);
	reg_write((uint8_t)(0x10 + 2 * pin), low);
}

static uint32_t entry(unsigned pin)
{
	return reg_read((uint8_t)(0x10 + 2 * pin));
}

static int setup(void **state)
{
	apic_bus_init(&bus, 2);
	for (unsigned i = 0; i < 2; i++) {
		lapic_write(&bus.lapic[i], SVR, 0x1ff, 0);
		lapic_write(&bus.lapic[i], LDR, 1u << (24 + i), 0);
	}
	return 0;
}

static void line(unsigned pin, bool level)
{
	ioapic_set_line(&bus.ioapic, pin, level);
}

static void eoi(unsigned cpu)
{
	lapic_write(&bus.lapic[cpu], EOI, 0, 0);
}

static void registers_after_reset(void **state)
{
	assert_int_equal(reg_read(0), 0);
	assert_int_equal(reg_read(1), 0x00170020);
	for (unsigned pin = 0; pin < 24; pin++) {
		assert_int_equal(entry(pin), MASKED);
		assert_int_equal(reg_read((uint8_t)(0x11 + 2 * pin)), 0);
	}
	reg_write(0, 0xffffffff);
	assert_int_equal(reg_read(0), 0x0f000000);
	assert_int_equal(reg_read(2), 0x0f000000); /* arbitration follows the ID */
	reg_write(1, 0);
	assert_int_equal(reg_read(1), 0x00170020);
	assert_int_equal(reg_read(0x40), 0xffffffff);
}

static void entries_keep_what_can_be_written(void **state)
{
	program(5, 0xffffffff, 0xff);
	assert_int_equal(entry(5), 0x1afff);
	assert_int_equal(reg_read(0x1b), 0xff000000);
}

static void an_edge_is_sent_once(void **state)
{
	program(4, 0x34 | EDGE, 1);
	line(4, true);
	assert_false(bus.lapic[0].requested);
	assert_int_equal(lapic_acknowledge(&bus.lapic[1]), 0x34);
	eoi(1);
	assert_false(bus.lapic[1].requested);
	line(4, false);
	assert_false(bus.lapic[1].requested);
	line(4, true);
	assert_true(bus.lapic[1].requested);
}

static void an_edge_on_a_masked_pin_is_lost(void **state)
{
	program(4, 0x34 | MASKED, 0);
	line(4, true);
	program(4, 0x34, 0);
	assert_false(bus.lapic[0].requested);
}

static void a_level_is_sent_again_after_each_eoi(void **state)
{
	program(9, 0x39 | LEVEL, 0);
	line(9, true);
	assert_int_equal(entry(9), 0x39 | LEVEL | REMOTE);
	assert_int_equal(lapic_acknowledge(&bus.lapic[0]), 0x39);
	assert_int_equal(lapic_read(&bus.lapic[0], TMR + 16, 0), 1u << 25);
	assert_false(bus.lapic[0].requested);
	eoi(0);
	assert_int_equal(lapic_acknowledge(&bus.lapic[0]), 0x39);
	line(9, false);
	eoi(0);
	assert_int_equal(entry(9), 0x39 | LEVEL);
	assert_false(bus.lapic[0].requested);
}

static void a_masked_level_waits(void **state)
{
	program(9, 0x39 | LEVEL | MASKED, 0);
	line(9, true);
	assert_false(bus.lapic[0].requested);
	program(9, 0x39 | LEVEL, 0);
	assert_true(bus.lapic[0].requested);
}

static void directed_eoi_is_by_register(void **state)
{
	lapic_write(&bus.lapic[0], SVR, 0x1ff | NO_DIRECT, 0);
	program(9, 0x39 | LEVEL, 0);
	line(9, true);
	lapic_acknowledge(&bus.lapic[0]);
	eoi(0);
	assert_int_equal(entry(9) & REMOTE, REMOTE);
	ioapic_write(&bus.ioapic, 0x40, 0x38); /* another vector */
	assert_int_equal(entry(9) & REMOTE, REMOTE);
	line(9, false);
	ioapic_write(&bus.ioapic, 0x40, 0x39);
	assert_int_equal(entry(9) & REMOTE, 0);
}

static void going_to_edge_clears_the_remote_irr(void **state)
{
	program(9, 0x39 | LEVEL, 0);
	line(9, true);
	line(9, false);
	program(9, 0x39 | MASKED, 0);
	program(9, 0x39 | LEVEL, 0);
	assert_int_equal(entry(9), 0x39 | LEVEL);
}

static void logical_and_lowest_priority_destinations(void **state)
{
	program(3, 0x50 | LOGICAL, 0x03);
	line(3, true);
	assert_int_equal(lapic_acknowledge(&bus.lapic[0]), 0x50);
	assert_int_equal(lapic_acknowledge(&bus.lapic[1]), 0x50);
	eoi(1);
	program(6, 0x61 | LOGICAL | 0x100, 0x03);
	line(6, true); /* 0 has 0x50 in service */
	assert_false(bus.lapic[0].requested);
	assert_true(bus.lapic[1].requested);
}

static void an_x2apic_takes_its_8_bit_destinations(void **state)
{
	lapic_set_base(&bus.lapic[1], 0xfee00c00);
	program(3, 0x50, 1);
	line(3, true);
	program(6, 0x61 | LOGICAL, 0x02);
	line(6, true);
	assert_int_equal(lapic_acknowledge(&bus.lapic[1]), 0x61);
	assert_false(bus.lapic[0].requested);
}

static void nmi_and_extint_entries(void **state)
{
	program(3, 0x400, 1);
	line(3, true);
	assert_true(bus.lapic[1].nmi);
	program(6, 0x700, 0);
	line(6, true);
	assert_true(lapic_extint_pending(&bus.lapic[0]));
	lapic_extint_acknowledged(&bus.lapic[0]);
	assert_false(lapic_extint_pending(&bus.lapic[0]));
}

#define RULE(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(registers_after_reset),
		RULE(entries_keep_what_can_be_written),
		RULE(an_edge_is_sent_once),
		RULE(an_edge_on_a_masked_pin_is_lost),
		RULE(a_level_is_sent_again_after_each_eoi),
		RULE(a_masked_level_waits),
		RULE(directed_eoi_is_by_register),
		RULE(going_to_edge_clears_the_remote_irr),
		RULE(logical_and_lowest_priority_destinations),
		RULE(an_x2apic_takes_its_8_bit_destinations),
		RULE(nmi_and_extint_entries),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
