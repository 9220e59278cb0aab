/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules of the MC146818 data sheet and of a PC's CMOS memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "device/mc146818.h"

enum { SECONDS = 0, MINUTES = 2, HOURS = 4, WEEKDAY = 6, DAY = 7, MONTH = 8, YEAR = 9 };
enum { A = 10, B = 11, C = 12, D = 13, CENTURY = 0x32 };

#define S    1000000000ULL
#define MIN  (60 * S)
#define H    (60 * MIN)
#define DAYS (24 * H)

static struct mc146818 rtc;

static int setup(void **state)
{
	mc146818_init(&rtc, 64 << 20);
	return 0;
}

static uint8_t get(uint8_t index, uint64_t now)
{
	mc146818_out(&rtc, false, index, now);
	return mc146818_in(&rtc, true, now);
}

static void set(uint8_t index, uint8_t value, uint64_t now)
{
	mc146818_out(&rtc, false, index, now);
	mc146818_out(&rtc, true, value, now);
}

static void assert_date(uint64_t now, uint8_t century, uint8_t year, uint8_t month, uint8_t day,
			uint8_t hour, uint8_t minute, uint8_t second)
{
	assert_int_equal(get(CENTURY, now), century);
	assert_int_equal(get(YEAR, now), year);
	assert_int_equal(get(MONTH, now), month);
	assert_int_equal(get(DAY, now), day);
	assert_int_equal(get(HOURS, now), hour);
	assert_int_equal(get(MINUTES, now), minute);
	assert_int_equal(get(SECONDS, now), second);
}

static void starts_at_the_first_of_january_2000_a_saturday(void **state)
{
	assert_date(0, 0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00);
	assert_int_equal(get(WEEKDAY, 0), 7);
}

static void advances_with_guest_time(void **state)
{
	assert_int_equal(get(SECONDS, S - 1), 0x00);
	assert_int_equal(get(SECONDS, S), 0x01);
	assert_date(59 * DAYS + 13 * H + 59 * MIN + 58 * S, 0x20, 0x00, 0x02, 0x29, 0x13, 0x59,
		    0x58);
	assert_date(366 * DAYS, 0x20, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00);
	assert_int_equal(get(WEEKDAY, 366 * DAYS), 2); /* a Monday */
}

static void binary_and_12_hour_formats_follow_register_b(void **state)
{
	uint64_t now = 22 * DAYS + 15 * H + 47 * MIN;

	set(B, 0x06, now);
	assert_date(now, 0x20, 0, 1, 23, 15, 47, 0);
	set(B, 0x04, now);
	assert_int_equal(get(HOURS, now), 0x80 | 3);
	set(B, 0x00, now);
	assert_int_equal(get(HOURS, now), 0x83);
	assert_int_equal(get(MINUTES, now), 0x47);
	assert_int_equal(get(HOURS, 23 * DAYS), 0x12); /* midnight is 12 AM */
	assert_int_equal(get(HOURS, 23 * DAYS + 12 * H), 0x92);
}

static void set_stops_the_clock_until_it_is_cleared(void **state)
{
	set(B, 0x82, 5 * S);
	assert_int_equal(get(SECONDS, 50 * S), 0x05);
	set(SECONDS, 0x30, 50 * S);
	set(MINUTES, 0x59, 50 * S);
	set(HOURS, 0x23, 50 * S);
	set(DAY, 0x28, 50 * S);
	set(MONTH, 0x02, 50 * S);
	set(YEAR, 0x99, 50 * S);
	set(CENTURY, 0x19, 50 * S);
	set(WEEKDAY, 0x01, 50 * S);
	set(B, 0x02, 60 * S);
	assert_date(89 * S, 0x19, 0x99, 0x02, 0x28, 0x23, 0x59, 0x59);
	assert_date(90 * S, 0x19, 0x99, 0x03, 0x01, 0x00, 0x00, 0x00);
	assert_int_equal(get(WEEKDAY, 89 * S), 1);
	assert_int_equal(get(WEEKDAY, 90 * S), 2);
}

static void impossible_dates_are_forced_into_range(void **state)
{
	set(B, 0x82, 0);
	set(DAY, 0xff, 0);
	set(MONTH, 0xff, 0);
	set(HOURS, 0xff, 0);
	set(YEAR, 0xff, 0);
	set(CENTURY, 0xff, 0);
	set(B, 0x02, 0);
	assert_date(0, 0x99, 0x99, 0x12, 0x31, 0x23, 0x00, 0x00);
	/* The calendar then starts over; the clock keeps going. */
	assert_int_equal(get(DAY, 2 * DAYS), 0x02);
}

static void uip_is_up_for_2228_us_before_an_update(void **state)
{
	assert_int_equal(get(A, S - 2228001), 0x26);
	assert_int_equal(get(A, S - 2228000), 0xa6);
	assert_int_equal(get(A, S - 1), 0xa6);
	assert_int_equal(get(A, S), 0x26);
	set(B, 0x82, S);
	assert_int_equal(get(A, 2 * S - 1), 0x26); /* SET keeps updates away */
}

static void the_first_update_comes_half_a_second_after_the_divider_is_released(void **state)
{
	set(A, 0x76, 10 * S);
	assert_int_equal(get(SECONDS, 20 * S), 0x10);
	set(A, 0x26, 20 * S);
	assert_int_equal(get(SECONDS, 20 * S + S / 2 - 1), 0x10);
	assert_int_equal(get(SECONDS, 20 * S + S / 2), 0x11);
}

static void registers_c_and_d_are_read_only_and_memory_is_valid(void **state)
{
	set(C, 0xff, 0);
	set(D, 0x00, 0);
	assert_int_equal(get(C, 0), 0x00);
	assert_int_equal(get(D, 0), 0x80);
}

static void flags_come_up_without_their_enables_and_reading_clears_them(void **state)
{
	assert_int_equal(get(C, S / 1024), 0x00);
	assert_int_equal(get(C, S / 1024 + 1), 0x40);
	assert_int_equal(get(C, S / 1024 + 1), 0x00);
	assert_int_equal(get(C, S), 0x50); /* the alarm is at 00:00:00 */
	assert_false(mc146818_interrupt(&rtc));
}

static void periodic_interrupts_at_each_rate(void **state)
{
	for (unsigned rate = 1; rate < 16; rate++) {
		unsigned hz = rate <= 2 ? 512 >> rate : 65536 >> rate;

		setup(NULL);
		set(A, (uint8_t)(0x20 | rate), 0);
		set(B, 0x42, 0);
		for (uint64_t n = 1; n < 2 * hz + 2 && n < 50; n++) {
			uint64_t due = (n * S + hz - 1) / hz;

			assert_int_equal(mc146818_next_event(&rtc), due);
			mc146818_advance(&rtc, due - 1);
			assert_false(mc146818_interrupt(&rtc));
			mc146818_advance(&rtc, due);
			assert_true(mc146818_interrupt(&rtc));
			assert_int_equal(mc146818_next_event(&rtc), UINT64_MAX);
			assert_int_equal(get(C, due) & 0xc0, 0xc0);
			assert_false(mc146818_interrupt(&rtc));
		}
	}
	setup(NULL);
	set(A, 0x20, 0);
	set(B, 0x42, 0);
	assert_int_equal(mc146818_next_event(&rtc), UINT64_MAX);
}

static void update_ended_interrupts_each_second(void **state)
{
	set(B, 0x12, S / 2);
	assert_int_equal(mc146818_next_event(&rtc), S);
	mc146818_advance(&rtc, S);
	assert_int_equal(get(C, S) & 0x90, 0x90);
	assert_int_equal(mc146818_next_event(&rtc), 2 * S);
	set(B, 0x92, S); /* SET clears UIE */
	assert_int_equal(get(B, S), 0x82);
}

static void alarm_interrupts_at_its_time(void **state)
{
	set(1, 0x30, 0);
	set(3, 0x45, 0);
	set(5, 0x13, 0);
	set(B, 0x22, 0);
	assert_int_equal(mc146818_next_event(&rtc), 13 * H + 45 * MIN + 30 * S);
	mc146818_advance(&rtc, 13 * H + 45 * MIN + 30 * S - 1);
	assert_false(mc146818_interrupt(&rtc));
	mc146818_advance(&rtc, 13 * H + 45 * MIN + 30 * S);
	assert_int_equal(get(C, 13 * H + 45 * MIN + 30 * S) & 0xa0, 0xa0);
	assert_int_equal(mc146818_next_event(&rtc), DAYS + 13 * H + 45 * MIN + 30 * S);
	set(5, 0xff, 14 * H); /* each hour */
	assert_int_equal(mc146818_next_event(&rtc), 14 * H + 45 * MIN + 30 * S);
	set(3, 0xc0, 14 * H); /* each minute */
	assert_int_equal(mc146818_next_event(&rtc), 14 * H + 30 * S);
	set(1, 0xff, 14 * H); /* each second */
	assert_int_equal(mc146818_next_event(&rtc), 14 * H + S);
	set(1, 0x99, 14 * H); /* never */
	assert_int_equal(mc146818_next_event(&rtc), UINT64_MAX);
	mc146818_advance(&rtc, 16 * H);
	assert_false(mc146818_interrupt(&rtc));
}

static void an_alarm_that_never_comes_costs_no_more_than_another(void **state)
{
	clock_t begun = clock();

	set(SECONDS + 1, 0x7f, S);
	set(MINUTES + 1, 0xff, S);
	set(HOURS + 1, 0xff, S);
	set(B, 0x22, S);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(mc146818_next_event(&rtc), UINT64_MAX);
	/* A day of seconds each time takes a minute. */
	assert_in_range((clock() - begun) / CLOCKS_PER_SEC, 0, 9);
}

static void other_bytes_are_memory(void **state)
{
	for (unsigned i = 0x33; i < 128; i++)
		set((uint8_t)i, (uint8_t)(i ^ 0x5a), 0);
	for (unsigned i = 0x33; i < 128; i++)
		assert_int_equal(get((uint8_t)i, S), i ^ 0x5a);
}

static void index_ignores_the_nmi_bit_and_cannot_be_read(void **state)
{
	mc146818_out(&rtc, false, 0x80 | D, 0);
	assert_int_equal(mc146818_in(&rtc, true, 0), 0x80);
	assert_int_equal(mc146818_in(&rtc, false, 0), 0xff);
}

static void memory_sizes_are_true(void **state)
{
	assert_int_equal(get(0x15, 0) | get(0x16, 0) << 8, 639);
	assert_int_equal(get(0x17, 0) | get(0x18, 0) << 8, 63 * 1024);
	assert_int_equal(get(0x30, 0) | get(0x31, 0) << 8, 63 * 1024);
	assert_int_equal(get(0x34, 0) | get(0x35, 0) << 8, 48 * 16);
	mc146818_init(&rtc, 1 << 20);
	assert_int_equal(get(0x30, 0) | get(0x31, 0) << 8, 0);
	mc146818_init(&rtc, 2ULL << 30);
	assert_int_equal(get(0x30, 0) | get(0x31, 0) << 8, 0xffff);
	assert_int_equal(get(0x34, 0) | get(0x35, 0) << 8, (2048 - 16) * 16);
}

static void checksum_covers_bytes_10_to_2d(void **state)
{
	unsigned sum = 0;

	for (uint8_t i = 0x10; i <= 0x2d; i++)
		sum += get(i, 0);
	assert_int_equal(get(0x2e, 0) << 8 | get(0x2f, 0), sum);
	assert_int_not_equal(sum, 0);
}

#define RULE(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(starts_at_the_first_of_january_2000_a_saturday),
		RULE(advances_with_guest_time),
		RULE(binary_and_12_hour_formats_follow_register_b),
		RULE(set_stops_the_clock_until_it_is_cleared),
		RULE(impossible_dates_are_forced_into_range),
		RULE(uip_is_up_for_2228_us_before_an_update),
		RULE(the_first_update_comes_half_a_second_after_the_divider_is_released),
		RULE(registers_c_and_d_are_read_only_and_memory_is_valid),
		RULE(flags_come_up_without_their_enables_and_reading_clears_them),
		RULE(periodic_interrupts_at_each_rate),
		RULE(update_ended_interrupts_each_second),
		RULE(alarm_interrupts_at_its_time),
		RULE(an_alarm_that_never_comes_costs_no_more_than_another),
		RULE(other_bytes_are_memory),
		RULE(index_ignores_the_nmi_bit_and_cannot_be_read),
		RULE(memory_sizes_are_true),
		RULE(checksum_covers_bytes_10_to_2d),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
