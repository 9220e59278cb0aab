/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules of the small chips: 8042 without a keyboard, VGA registers, ACPI's fixed hardware. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "device/acpi_pm.h"
#include "device/i8042.h"
#include "device/vga.h"

static struct i8042 kbc;
static struct vga vga;
static struct acpi_pm pm;

static int setup(void **state)
{
	i8042_init(&kbc);
	vga_init(&vga);
	pm = (struct acpi_pm){0};
	return 0;
}

static bool command(uint8_t value)
{
	return i8042_out(&kbc, true, value);
}

static bool data(uint8_t value)
{
	return i8042_out(&kbc, false, value);
}

/* The controller's answer, which must be there. */
static uint8_t answer(void)
{
	assert_true(i8042_in(&kbc, true) & 0x01);
	return i8042_in(&kbc, false);
}

static void i8042_tests_pass(void **state)
{
	command(0xaa);
	assert_int_equal(answer(), 0x55);
	command(0xab);
	assert_int_equal(answer(), 0x00);
	command(0xa9);
	assert_int_equal(answer(), 0x00);
	assert_int_equal(i8042_in(&kbc, true) & 0x01, 0);
}

static void i8042_command_byte_reads_back(void **state)
{
	command(0x60);
	assert_int_equal(i8042_in(&kbc, true) & 0x08, 0x08);
	data(0x43);
	assert_int_equal(i8042_in(&kbc, true) & 0x0c, 0x00); /* data; system flag clear */
	command(0x20);
	assert_int_equal(answer(), 0x43);
	command(0xad);
	command(0xa7);
	command(0x20);
	assert_int_equal(answer(), 0x73);
	command(0xae);
	command(0xa8);
	command(0x20);
	assert_int_equal(answer(), 0x43);
	command(0x7f);
	data(0x12);
	command(0x3f);
	assert_int_equal(answer(), 0x12);
}

static void i8042_without_devices_times_out(void **state)
{
	data(0xff); /* reset the keyboard */
	assert_int_equal(i8042_in(&kbc, true) & 0x61, 0x41);
	assert_int_equal(answer(), 0xfe);
	command(0xd4);
	data(0xff); /* reset the mouse */
	assert_int_equal(i8042_in(&kbc, true) & 0x61, 0x61);
	assert_int_equal(answer(), 0xfe);
}

static void i8042_interrupts_where_they_are_enabled(void **state)
{
	command(0x60);
	data(0x03);
	command(0xd2);
	data(0x5a);
	assert_true(i8042_interrupt(&kbc, false));
	assert_false(i8042_interrupt(&kbc, true));
	assert_int_equal(answer(), 0x5a);
	assert_false(i8042_interrupt(&kbc, false));
	command(0xd3);
	data(0xa5);
	assert_true(i8042_interrupt(&kbc, true));
	assert_false(i8042_interrupt(&kbc, false));
	command(0x60);
	data(0x00);
	assert_false(i8042_interrupt(&kbc, true));
}

static void i8042_output_port_has_a20_and_the_reset_line(void **state)
{
	command(0xd0);
	assert_int_equal(answer() & 0x03, 0x03);
	command(0xd1);
	assert_false(data(0xcd));
	command(0xd0);
	assert_int_equal(answer() & 0x03, 0x01);
	assert_false(command(0xff));
	assert_true(command(0xfe));
	command(0xd1);
	assert_true(data(0xfe));
}

static void vga_registers_read_back(void **state)
{
	static const struct {
		uint16_t index;
		uint8_t registers, first;
	} rows[] = {{0x3d4, 32, 0}, {0x3c4, 8, 0}, {0x3ce, 16, 0}};

	vga_out(&vga, 0x3d4, 0x11);
	vga_out(&vga, 0x3d5, 0x0e); /* unprotects registers 0 ... 7 */
	for (unsigned i = 0; i < 3; i++) {
		for (uint8_t r = 0; r < rows[i].registers; r++) {
			if (rows[i].index == 0x3d4 && r == 0x11)
				continue;
			vga_out(&vga, rows[i].index, r);
			vga_out(&vga, rows[i].index + 1, (uint8_t)(0x5a ^ r));
		}
		for (uint8_t r = 0; r < rows[i].registers; r++) {
			if (rows[i].index == 0x3d4 && r == 0x11)
				continue;
			vga_out(&vga, rows[i].index, r);
			assert_int_equal(vga_in(&vga, rows[i].index, 0), r);
			assert_int_equal(vga_in(&vga, rows[i].index + 1, 0), 0x5a ^ r);
		}
	}
}

static void vga_crtc_protects_its_timing(void **state)
{
	vga_out(&vga, 0x3d4, 0x00);
	vga_out(&vga, 0x3d5, 0x12);
	assert_int_equal(vga_in(&vga, 0x3d5, 0), 0x5f);
	vga_out(&vga, 0x3d4, 0x0f);
	vga_out(&vga, 0x3d5, 0x12); /* the cursor is not */
	assert_int_equal(vga_in(&vga, 0x3d5, 0), 0x12);
}

static void vga_status_turns_the_attribute_port_to_its_index(void **state)
{
	vga_in(&vga, 0x3da, 0);
	vga_out(&vga, 0x3c0, 0x10);
	vga_out(&vga, 0x3c0, 0x4c);
	vga_out(&vga, 0x3c0, 0x11);
	vga_in(&vga, 0x3da, 0);
	vga_out(&vga, 0x3c0, 0x30);
	assert_int_equal(vga_in(&vga, 0x3c0, 0), 0x30);
	assert_int_equal(vga_in(&vga, 0x3c1, 0), 0x4c);
}

static void vga_retrace_comes_and_goes(void **state)
{
	bool up = false, down = false;

	for (uint64_t now = 0; now < 14268322; now += 10000) {
		if (vga_in(&vga, 0x3da, now) & 0x08)
			up = true;
		else
			down = true;
	}
	assert_true(up && down);
}

static void vga_palette_counts_through_its_colours(void **state)
{
	vga_out(&vga, 0x3c8, 200);
	for (uint8_t i = 0; i < 6; i++)
		vga_out(&vga, 0x3c9, i * 9);
	assert_int_equal(vga_in(&vga, 0x3c8, 0), 202);
	assert_int_equal(vga_in(&vga, 0x3c7, 0), 0x00);
	vga_out(&vga, 0x3c7, 200);
	assert_int_equal(vga_in(&vga, 0x3c7, 0), 0x03);
	for (uint8_t i = 0; i < 6; i++)
		assert_int_equal(vga_in(&vga, 0x3c9, 0), i * 9);
}

static void vga_answers_at_one_of_two_places(void **state)
{
	assert_int_equal(vga_in(&vga, 0x3b5, 0), 0xff);
	vga_out(&vga, 0x3c2, 0x66);
	assert_int_equal(vga_in(&vga, 0x3cc, 0), 0x66);
	vga_out(&vga, 0x3b4, 0x0e);
	assert_int_equal(vga_in(&vga, 0x3b4, 0), 0x0e);
	assert_int_equal(vga_in(&vga, 0x3d4, 0), 0xff);
}

static uint32_t timer(uint64_t now)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < 4; i++)
		value |= (uint32_t)acpi_pm_in(&pm, ACPI_PM_TIMER + i, now) << 8 * i;
	return value;
}

static void pm_timer_counts_at_3_579545_mhz(void **state)
{
	assert_int_equal(timer(0), 0);
	assert_int_equal(timer(1000000000), 3579545);
	assert_int_equal(timer(279), 0);
	assert_int_equal(timer(280), 1);
	assert_int_equal(timer(10000000000), 35795450 % (1 << 24));
}

static void pm_status_is_cleared_by_writing_ones(void **state)
{
	const uint64_t carry = ((1ull << 23) * 1000000000) / 3579545 + 1;

	acpi_pm_out(&pm, ACPI_PM1_ENABLE, 0x01, 0);
	assert_int_equal(acpi_pm_next_event(&pm), carry);
	acpi_pm_advance(&pm, carry);
	assert_true(acpi_pm_interrupt(&pm));
	assert_int_equal(acpi_pm_in(&pm, ACPI_PM1_STATUS, carry), 0x01);
	acpi_pm_out(&pm, ACPI_PM1_STATUS, 0x00, carry);
	assert_true(acpi_pm_interrupt(&pm));
	acpi_pm_out(&pm, ACPI_PM1_STATUS, 0x01, carry);
	assert_false(acpi_pm_interrupt(&pm));
	assert_int_equal(acpi_pm_next_event(&pm), ((1ull << 24) * 1000000000) / 3579545 + 1);
}

static void pm_rtc_status_follows_the_rtcs_interrupt(void **state)
{
	acpi_pm_set_rtc(&pm, true);
	assert_false(acpi_pm_interrupt(&pm));
	acpi_pm_out(&pm, ACPI_PM1_ENABLE + 1, 0x04, 0);
	assert_int_equal(acpi_pm_in(&pm, ACPI_PM1_ENABLE + 1, 0), 0x04);
	assert_true(acpi_pm_interrupt(&pm));
	acpi_pm_out(&pm, ACPI_PM1_STATUS + 1, 0x04, 0);
	acpi_pm_set_rtc(&pm, true); /* no edge */
	assert_false(acpi_pm_interrupt(&pm));
	acpi_pm_set_rtc(&pm, false);
	acpi_pm_set_rtc(&pm, true);
	assert_true(acpi_pm_interrupt(&pm));
}

static void pm_is_in_acpi_mode_for_good(void **state)
{
	assert_int_equal(acpi_pm_in(&pm, ACPI_PM1_CONTROL, 0), 0x01);
	acpi_pm_out(&pm, ACPI_PM1_CONTROL, 0x00, 0);
	assert_int_equal(acpi_pm_in(&pm, ACPI_PM1_CONTROL, 0), 0x01);
}

#define RULE(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(i8042_tests_pass),
		RULE(i8042_command_byte_reads_back),
		RULE(i8042_without_devices_times_out),
		RULE(i8042_interrupts_where_they_are_enabled),
		RULE(i8042_output_port_has_a20_and_the_reset_line),
		RULE(vga_registers_read_back),
		RULE(vga_crtc_protects_its_timing),
		RULE(vga_status_turns_the_attribute_port_to_its_index),
		RULE(vga_retrace_comes_and_goes),
		RULE(vga_palette_counts_through_its_colours),
		RULE(vga_answers_at_one_of_two_places),
		RULE(pm_timer_counts_at_3_579545_mhz),
		RULE(pm_status_is_cleared_by_writing_ones),
		RULE(pm_rtc_status_follows_the_rtcs_interrupt),
		RULE(pm_is_in_acpi_mode_for_good),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
