/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules of the 8254 data sheet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "device/i8254.h"

#define CONTROL 3
#define BOTH    0x30
#define BCD     0x01
#define MODE(m) ((m) << 1)

static struct i8254 pit;

static int setup(void **state)
{
	i8254_init(&pit);
	return 0;
}

/* The first nanosecond of a clock period. */
static uint64_t at(uint64_t tick)
{
	return (uint64_t)(((__uint128_t)tick * 1000000000 + I8254_HZ - 1) / I8254_HZ);
}

static void program(unsigned counter, uint8_t mode, uint16_t count, uint64_t tick)
{
	i8254_out(&pit, CONTROL, (uint8_t)(counter << 6 | BOTH | mode), at(tick));
	i8254_out(&pit, counter, (uint8_t)count, at(tick));
	i8254_out(&pit, counter, (uint8_t)(count >> 8), at(tick));
}

static uint16_t read_count(unsigned counter, uint64_t tick)
{
	uint8_t low;

	i8254_out(&pit, CONTROL, (uint8_t)(counter << 6), at(tick)); /* latch */
	low = i8254_in(&pit, counter, at(tick));
	return (uint16_t)(i8254_in(&pit, counter, at(tick)) << 8 | low);
}

static void clock_is_1193182_hz_and_does_not_drift(void **state)
{
	for (uint64_t second = 1; second < 1ULL << 33; second *= 7) {
		assert_int_equal(i8254_ticks(second * 1000000000), second * I8254_HZ);
		assert_int_equal(i8254_ticks(second * 1000000000 - 1), second * I8254_HZ - 1);
	}
	assert_int_equal(i8254_ticks(838), 0);
	assert_int_equal(i8254_ticks(839), 1);
}

static void mode_0_raises_out_n_periods_after_the_load(void **state)
{
	program(0, MODE(0), 100, 1000);
	/* The next clock pulse loads the count, then it takes 100. */
	assert_int_equal(i8254_next_edge(&pit), at(1101));
	assert_false(i8254_advance(&pit, at(1101) - 1));
	assert_false(i8254_out_level(&pit, 0, at(1101) - 1));
	assert_true(i8254_advance(&pit, at(1101)));
	assert_true(i8254_out_level(&pit, 0, at(1101)));
	assert_int_equal(i8254_next_edge(&pit), UINT64_MAX);
	assert_false(i8254_advance(&pit, at(200000)));
}

static void mode_0_counts_on_past_zero(void **state)
{
	program(0, MODE(0), 100, 0);
	assert_int_equal(read_count(0, 1), 100);
	assert_int_equal(read_count(0, 51), 50);
	assert_int_equal(read_count(0, 101), 0);
	assert_int_equal(read_count(0, 102), 0xffff);
}

static void mode_0_stops_at_the_first_byte_of_a_new_count(void **state)
{
	program(0, MODE(0), 100, 0);
	i8254_out(&pit, 0, 10, at(50));
	assert_int_equal(i8254_next_edge(&pit), UINT64_MAX);
	assert_false(i8254_advance(&pit, at(5000)));
	i8254_out(&pit, 0, 0, at(5000));
	assert_int_equal(i8254_next_edge(&pit), at(5011));
}

static void mode_1_is_started_by_its_gate_and_again(void **state)
{
	i8254_set_gate(&pit, 2, false, 0);
	program(2, MODE(1), 50, 0);
	assert_true(i8254_out_level(&pit, 2, at(200)));
	i8254_set_gate(&pit, 2, true, at(200));
	assert_false(i8254_out_level(&pit, 2, at(201)));
	assert_false(i8254_out_level(&pit, 2, at(250)));
	assert_true(i8254_out_level(&pit, 2, at(251)));
	i8254_set_gate(&pit, 2, false, at(300));
	i8254_set_gate(&pit, 2, true, at(300));
	assert_false(i8254_out_level(&pit, 2, at(350)));
	assert_true(i8254_out_level(&pit, 2, at(351)));
}

static void mode_2_is_low_for_the_last_period_of_each_cycle(void **state)
{
	program(0, MODE(2), 10, 0);
	for (uint64_t tick = 1; tick < 40; tick++) {
		assert_int_equal(i8254_out_level(&pit, 0, at(tick)), (tick - 1) % 10 != 9);
		assert_int_equal(read_count(0, tick), 10 - (tick - 1) % 10);
	}
}

static void mode_2_rises_once_a_cycle_for_ever(void **state)
{
	uint64_t edge;

	program(0, MODE(2), 11932, 0);
	for (uint64_t i = 1; i < 1000; i++) {
		edge = i8254_next_edge(&pit);
		assert_int_equal(edge, at(1 + i * 11932));
		assert_false(i8254_advance(&pit, edge - 1));
		assert_true(i8254_advance(&pit, edge));
		assert_false(i8254_advance(&pit, edge));
	}
}

static void mode_2_takes_a_new_count_at_the_end_of_the_cycle(void **state)
{
	program(0, MODE(2), 100, 0);
	i8254_out(&pit, 0, 30, at(50));
	i8254_out(&pit, 0, 0, at(50));
	assert_int_equal(read_count(0, 60), 41);
	assert_int_equal(i8254_next_edge(&pit), at(101));
	assert_true(i8254_advance(&pit, at(101)));
	assert_int_equal(read_count(0, 101), 30);
	assert_int_equal(i8254_next_edge(&pit), at(131));
}

static void mode_3_is_high_for_half_of_an_even_count(void **state)
{
	program(0, MODE(3), 10, 0);
	for (uint64_t tick = 1; tick < 40; tick++) {
		assert_int_equal(i8254_out_level(&pit, 0, at(tick)), (tick - 1) % 10 < 5);
		assert_int_equal(read_count(0, tick), 10 - (tick - 1) % 5 * 2);
	}
}

static void mode_3_is_high_one_period_longer_with_an_odd_count(void **state)
{
	static const uint16_t counts[9] = {8, 6, 4, 2, 0, 8, 6, 4, 2};

	program(0, MODE(3), 9, 0);
	for (uint64_t tick = 1; tick < 40; tick++) {
		assert_int_equal(i8254_out_level(&pit, 0, at(tick)), (tick - 1) % 9 < 5);
		assert_int_equal(read_count(0, tick), counts[(tick - 1) % 9]);
	}
	assert_int_equal(i8254_next_edge(&pit), at(46));
}

static void mode_3_takes_a_new_count_at_the_end_of_the_half_cycle(void **state)
{
	program(0, MODE(3), 100, 0);
	i8254_out(&pit, 0, 20, at(10));
	i8254_out(&pit, 0, 0, at(10));
	assert_int_equal(i8254_next_edge(&pit), at(61)); /* 50 high, 10 low */
	assert_true(i8254_out_level(&pit, 0, at(50)));
	assert_false(i8254_out_level(&pit, 0, at(51)));
	assert_false(i8254_out_level(&pit, 0, at(60)));
	assert_true(i8254_out_level(&pit, 0, at(61)));
	assert_int_equal(i8254_next_edge(&pit), at(81));
}

static void modes_6_and_7_are_2_and_3(void **state)
{
	program(0, MODE(6), 10, 0);
	i8254_out(&pit, CONTROL, 0xe2, at(5)); /* read back status of counter 0 */
	assert_int_equal(i8254_in(&pit, 0, at(5)) & 0x0e, MODE(2));
}

static void mode_4_strobes_once(void **state)
{
	program(0, MODE(4), 20, 0);
	assert_true(i8254_out_level(&pit, 0, at(20)));
	assert_false(i8254_out_level(&pit, 0, at(21)));
	assert_true(i8254_out_level(&pit, 0, at(22)));
	setup(NULL);
	program(0, MODE(4), 20, 0);
	assert_int_equal(i8254_next_edge(&pit), at(22));
	assert_true(i8254_advance(&pit, at(22)));
	assert_int_equal(i8254_next_edge(&pit), UINT64_MAX);
}

static void mode_5_strobes_after_its_gate_rose(void **state)
{
	i8254_set_gate(&pit, 2, false, 0);
	program(2, MODE(5), 20, 0);
	assert_true(i8254_out_level(&pit, 2, at(500)));
	i8254_set_gate(&pit, 2, true, at(500));
	assert_true(i8254_out_level(&pit, 2, at(520)));
	assert_false(i8254_out_level(&pit, 2, at(521)));
	assert_true(i8254_out_level(&pit, 2, at(522)));
}

static void a_low_gate_suspends_mode_0(void **state)
{
	i8254_set_gate(&pit, 2, true, 0);
	program(2, MODE(0), 100, 0);
	i8254_set_gate(&pit, 2, false, at(41));
	assert_int_equal(read_count(2, 1000), 60);
	assert_false(i8254_out_level(&pit, 2, at(1000)));
	i8254_set_gate(&pit, 2, true, at(1000));
	assert_false(i8254_out_level(&pit, 2, at(1059)));
	assert_true(i8254_out_level(&pit, 2, at(1060)));
}

static void a_low_gate_raises_out_in_mode_3_and_a_rise_starts_anew(void **state)
{
	i8254_set_gate(&pit, 2, true, 0);
	program(2, MODE(3), 100, 0);
	assert_false(i8254_out_level(&pit, 2, at(61)));
	i8254_set_gate(&pit, 2, false, at(61));
	assert_true(i8254_out_level(&pit, 2, at(62)));
	i8254_set_gate(&pit, 2, true, at(500));
	assert_true(i8254_out_level(&pit, 2, at(550)));
	assert_false(i8254_out_level(&pit, 2, at(551)));
}

static void count_zero_is_the_largest(void **state)
{
	program(0, MODE(2), 0, 0);
	assert_int_equal(i8254_next_edge(&pit), at(65537));
	setup(NULL);
	program(0, MODE(2) | BCD, 0, 0);
	assert_int_equal(i8254_next_edge(&pit), at(10001));
}

static void bcd_counts_in_decimal(void **state)
{
	program(0, MODE(2) | BCD, 0x1000, 0);
	assert_int_equal(read_count(0, 1), 0x1000);
	assert_int_equal(read_count(0, 2), 0x0999);
	assert_int_equal(read_count(0, 900), 0x0101);
}

static void a_latched_count_stays_until_read(void **state)
{
	program(0, MODE(2), 1000, 0);
	i8254_out(&pit, CONTROL, 0x00, at(101));
	i8254_out(&pit, CONTROL, 0x00, at(301)); /* ignored: not read yet */
	assert_int_equal(i8254_in(&pit, 0, at(501)), 900 & 0xff);
	assert_int_equal(i8254_in(&pit, 0, at(501)), 900 >> 8);
	assert_int_equal(i8254_in(&pit, 0, at(501)), 500 & 0xff);
}

static void read_back_latches_several_counters_and_their_status(void **state)
{
	program(0, MODE(2), 1000, 0);
	program(2, MODE(0), 500, 0);
	i8254_set_gate(&pit, 2, true, 0);
	i8254_out(&pit, CONTROL, 0xca, at(11)); /* count and status of 0 and 2 */
	assert_int_equal(i8254_in(&pit, 0, at(50)), 0x80 | BOTH | MODE(2));
	assert_int_equal(i8254_in(&pit, 0, at(50)), 990 & 0xff);
	assert_int_equal(i8254_in(&pit, 0, at(50)), 990 >> 8);
	assert_int_equal(i8254_in(&pit, 2, at(50)), BOTH | MODE(0));
}

static void null_count_lasts_until_the_load(void **state)
{
	i8254_out(&pit, CONTROL, BOTH | MODE(2), at(0));
	i8254_out(&pit, CONTROL, 0xe2, at(0));
	assert_int_equal(i8254_in(&pit, 0, at(0)) & 0x40, 0x40);
	i8254_out(&pit, 0, 100, at(5));
	i8254_out(&pit, 0, 0, at(5));
	i8254_out(&pit, CONTROL, 0xe2, at(5));
	assert_int_equal(i8254_in(&pit, 0, at(5)) & 0x40, 0x40);
	i8254_out(&pit, CONTROL, 0xe2, at(6));
	assert_int_equal(i8254_in(&pit, 0, at(6)) & 0x40, 0);
}

static void single_byte_access_reads_and_writes_that_byte(void **state)
{
	i8254_out(&pit, CONTROL, 0x10 | MODE(2), at(0)); /* LSB */
	i8254_out(&pit, 0, 200, at(0));
	assert_int_equal(i8254_in(&pit, 0, at(11)), 190);
	assert_int_equal(i8254_in(&pit, 0, at(12)), 189);
	i8254_out(&pit, CONTROL, 0x20 | MODE(2), at(100)); /* MSB */
	i8254_out(&pit, 0, 2, at(100));
	assert_int_equal(i8254_next_edge(&pit), at(613));
	assert_int_equal(i8254_in(&pit, 0, at(102)), 1);
}

static void a_control_word_that_raises_out_is_an_edge(void **state)
{
	program(0, MODE(0), 1000, 0);
	assert_false(i8254_advance(&pit, at(10)));
	i8254_out(&pit, CONTROL, BOTH | MODE(2), at(10));
	assert_true(i8254_advance(&pit, at(10)));
	assert_false(i8254_advance(&pit, at(10)));
}

static void firmware_leaves_counter_0_at_18_hz(void **state)
{
	assert_int_equal(i8254_next_edge(&pit), at(65537));
}

#define RULE(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(clock_is_1193182_hz_and_does_not_drift),
		RULE(mode_0_raises_out_n_periods_after_the_load),
		RULE(mode_0_counts_on_past_zero),
		RULE(mode_0_stops_at_the_first_byte_of_a_new_count),
		RULE(mode_1_is_started_by_its_gate_and_again),
		RULE(mode_2_is_low_for_the_last_period_of_each_cycle),
		RULE(mode_2_rises_once_a_cycle_for_ever),
		RULE(mode_2_takes_a_new_count_at_the_end_of_the_cycle),
		RULE(mode_3_is_high_for_half_of_an_even_count),
		RULE(mode_3_is_high_one_period_longer_with_an_odd_count),
		RULE(mode_3_takes_a_new_count_at_the_end_of_the_half_cycle),
		RULE(modes_6_and_7_are_2_and_3),
		RULE(mode_4_strobes_once),
		RULE(mode_5_strobes_after_its_gate_rose),
		RULE(a_low_gate_suspends_mode_0),
		RULE(a_low_gate_raises_out_in_mode_3_and_a_rise_starts_anew),
		RULE(count_zero_is_the_largest),
		RULE(bcd_counts_in_decimal),
		RULE(a_latched_count_stays_until_read),
		RULE(read_back_latches_several_counters_and_their_status),
		RULE(null_count_lasts_until_the_load),
		RULE(single_byte_access_reads_and_writes_that_byte),
		RULE(a_control_word_that_raises_out_is_an_edge),
		RULE(firmware_leaves_counter_0_at_18_hz),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
