/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules of the 8259A data sheet and of a PC's wiring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "device/i8259.h"

enum { MASTER, SLAVE };

#define EOI          0x20
#define SPECIFIC_EOI 0x60
#define READ_IRR     0x0a
#define READ_ISR     0x0b
#define POLL         0x0c

static struct i8259 pic;

static void initialise(unsigned chip, uint8_t base, uint8_t icw3, uint8_t icw4)
{
	i8259_out(&pic, chip, false, 0x11);
	i8259_out(&pic, chip, true, base);
	i8259_out(&pic, chip, true, icw3);
	i8259_out(&pic, chip, true, icw4);
}

static int setup(void **state)
{
	i8259_init(&pic);
	initialise(MASTER, 0x20, 0x04, 0x01);
	initialise(SLAVE, 0x28, 0x02, 0x01);
	return 0;
}

/* An edge; the input stays high, as it must until it is acknowledged. */
static void pulse(unsigned irq)
{
	i8259_set_line(&pic, irq, false);
	i8259_set_line(&pic, irq, true);
}

static uint8_t read_register(unsigned chip, uint8_t command)
{
	i8259_out(&pic, chip, false, command);
	return i8259_in(&pic, chip, false);
}

static void firmware_leaves_all_inputs_masked(void **state)
{
	i8259_init(&pic);
	for (unsigned irq = 0; irq < 16; irq++) {
		if (irq == 2)
			continue;
		assert_true(i8259_masked(&pic, irq));
		pulse(irq);
	}
	assert_false(i8259_pending(&pic));
}

static void icw2_gives_the_vectors(void **state)
{
	pulse(0);
	assert_int_equal(i8259_acknowledge(&pic), 0x20);
	i8259_out(&pic, MASTER, false, EOI);
	pulse(12);
	assert_int_equal(i8259_acknowledge(&pic), 0x2c);
}

static void icw1_clears_mask_and_requests(void **state)
{
	i8259_out(&pic, MASTER, true, 0xff);
	i8259_set_line(&pic, 3, true);
	i8259_out(&pic, MASTER, false, 0x11);
	assert_false(i8259_pending(&pic)); /* not before its last word */
	i8259_out(&pic, MASTER, true, 0x40);
	i8259_out(&pic, MASTER, true, 0x04);
	i8259_out(&pic, MASTER, true, 0x01);
	assert_int_equal(i8259_in(&pic, MASTER, true), 0x00);
	assert_false(i8259_pending(&pic)); /* the input must rise again */
	i8259_set_line(&pic, 3, false);
	i8259_set_line(&pic, 3, true);
	assert_int_equal(i8259_acknowledge(&pic), 0x43);
}

static void a_masked_input_waits(void **state)
{
	i8259_out(&pic, MASTER, true, 0x08);
	pulse(3);
	assert_false(i8259_pending(&pic));
	assert_int_equal(read_register(MASTER, READ_IRR), 0x08);
	i8259_out(&pic, MASTER, true, 0x00);
	assert_true(i8259_pending(&pic));
	assert_int_equal(i8259_acknowledge(&pic), 0x23);
}

static void acknowledging_moves_the_request_into_service(void **state)
{
	pulse(4);
	assert_int_equal(read_register(MASTER, READ_IRR), 0x10);
	assert_int_equal(read_register(MASTER, READ_ISR), 0x00);
	i8259_acknowledge(&pic);
	assert_int_equal(read_register(MASTER, READ_IRR), 0x00);
	assert_int_equal(read_register(MASTER, READ_ISR), 0x10);
	i8259_out(&pic, MASTER, false, EOI);
	assert_int_equal(read_register(MASTER, READ_ISR), 0x00);
}

static void what_is_in_service_holds_back_its_like_and_lower_ones(void **state)
{
	pulse(3);
	i8259_acknowledge(&pic);
	pulse(3);
	pulse(4);
	assert_false(i8259_pending(&pic));
	pulse(1);
	assert_true(i8259_pending(&pic));
	assert_int_equal(i8259_acknowledge(&pic), 0x21);
	i8259_out(&pic, MASTER, false, EOI); /* ends 1, the highest in service */
	assert_false(i8259_pending(&pic));
	i8259_out(&pic, MASTER, false, EOI);
	assert_int_equal(i8259_acknowledge(&pic), 0x23);
}

static void specific_eoi_ends_the_named_input(void **state)
{
	pulse(5);
	i8259_acknowledge(&pic);
	pulse(1);
	i8259_acknowledge(&pic);
	i8259_out(&pic, MASTER, false, SPECIFIC_EOI | 5);
	assert_int_equal(read_register(MASTER, READ_ISR), 0x02);
}

static void slave_interrupts_need_an_eoi_of_both(void **state)
{
	pulse(8);
	assert_int_equal(i8259_acknowledge(&pic), 0x28);
	assert_int_equal(read_register(MASTER, READ_ISR), 0x04);
	assert_int_equal(read_register(SLAVE, READ_ISR), 0x01);
	pulse(9);
	assert_false(i8259_pending(&pic));
	i8259_out(&pic, SLAVE, false, EOI);
	assert_false(i8259_pending(&pic));
	i8259_out(&pic, MASTER, false, EOI);
	assert_int_equal(i8259_acknowledge(&pic), 0x29);
}

static void slave_ranks_between_inputs_1_and_3(void **state)
{
	pulse(3);
	pulse(15);
	pulse(1);
	assert_int_equal(i8259_acknowledge(&pic), 0x21);
	i8259_out(&pic, MASTER, false, EOI);
	assert_int_equal(i8259_acknowledge(&pic), 0x2f);
	i8259_out(&pic, SLAVE, false, EOI);
	i8259_out(&pic, MASTER, false, EOI);
	assert_int_equal(i8259_acknowledge(&pic), 0x23);
}

static void special_fully_nested_mode_lets_a_higher_slave_input_through(void **state)
{
	initialise(MASTER, 0x20, 0x04, 0x11);
	pulse(12);
	i8259_acknowledge(&pic);
	pulse(8);
	assert_true(i8259_pending(&pic));
	assert_int_equal(i8259_acknowledge(&pic), 0x28);
}

static void auto_eoi_leaves_nothing_in_service(void **state)
{
	initialise(MASTER, 0x20, 0x04, 0x03);
	pulse(2 + 1);
	i8259_acknowledge(&pic);
	assert_int_equal(read_register(MASTER, READ_ISR), 0x00);
	pulse(4);
	assert_true(i8259_pending(&pic));
}

static void nothing_to_acknowledge_is_a_spurious_ir7(void **state)
{
	assert_int_equal(i8259_acknowledge(&pic), 0x27);
	assert_int_equal(read_register(MASTER, READ_ISR), 0x00);
}

/* 8259A, "IR triggering timing requirements": high until the first INTA, or it is the default IR7.
 */
static void an_input_that_falls_before_it_is_acknowledged_is_forgotten(void **state)
{
	static const unsigned irqs[] = {5, 9, 12}; /* IRQ 9 as a level */

	i8259_elcr_out(&pic, SLAVE, 0x02);
	for (unsigned i = 0; i < 3; i++) {
		i8259_set_line(&pic, irqs[i], true);
		assert_true(i8259_pending(&pic));
		i8259_set_line(&pic, irqs[i], false);
		assert_false(i8259_pending(&pic));
		assert_int_equal(i8259_acknowledge(&pic), 0x27);
		assert_int_equal(read_register(MASTER, READ_ISR), 0x00);
		assert_int_equal(read_register(SLAVE, READ_ISR), 0x00);
	}
}

static void rotation_makes_the_ended_input_the_lowest(void **state)
{
	pulse(0);
	i8259_acknowledge(&pic);
	i8259_out(&pic, MASTER, false, 0xa0); /* rotate on non-specific EOI */
	pulse(0);
	pulse(7);
	assert_int_equal(i8259_acknowledge(&pic), 0x27);
}

static void set_priority_names_the_lowest_input(void **state)
{
	i8259_out(&pic, MASTER, false, 0xc4);
	pulse(1);
	pulse(5);
	assert_int_equal(i8259_acknowledge(&pic), 0x25);
}

static void special_mask_mode_lets_lower_inputs_interrupt(void **state)
{
	pulse(1);
	i8259_acknowledge(&pic);
	pulse(5);
	assert_false(i8259_pending(&pic));
	i8259_out(&pic, MASTER, false, 0x68);
	i8259_out(&pic, MASTER, true, 0x02);
	assert_true(i8259_pending(&pic));
	assert_int_equal(i8259_acknowledge(&pic), 0x25);
	i8259_out(&pic, MASTER, false, EOI); /* does not end the masked one */
	assert_int_equal(read_register(MASTER, READ_ISR), 0x02);
}

static void poll_acknowledges_and_names_the_input(void **state)
{
	i8259_out(&pic, MASTER, false, POLL);
	assert_int_equal(i8259_in(&pic, MASTER, false), 0x00);
	pulse(6);
	i8259_out(&pic, MASTER, false, POLL);
	assert_int_equal(i8259_in(&pic, MASTER, false), 0x86);
	assert_int_equal(read_register(MASTER, READ_ISR), 0x40);
}

static void a_level_asks_as_long_as_it_lasts(void **state)
{
	i8259_elcr_out(&pic, MASTER, 0x20);
	i8259_set_line(&pic, 5, true);
	assert_int_equal(i8259_acknowledge(&pic), 0x25);
	i8259_out(&pic, MASTER, false, EOI);
	assert_true(i8259_pending(&pic));
	i8259_set_line(&pic, 5, false);
	assert_false(i8259_pending(&pic));
}

static void an_edge_asks_once(void **state)
{
	i8259_set_line(&pic, 5, true);
	assert_int_equal(i8259_acknowledge(&pic), 0x25);
	i8259_out(&pic, MASTER, false, EOI);
	assert_false(i8259_pending(&pic));
}

static void elcr_keeps_the_inputs_that_must_be_edges(void **state)
{
	i8259_elcr_out(&pic, MASTER, 0xff);
	i8259_elcr_out(&pic, SLAVE, 0xff);
	assert_int_equal(i8259_elcr_in(&pic, MASTER), 0xf8);
	assert_int_equal(i8259_elcr_in(&pic, SLAVE), 0xde);
}

#define RULE(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(firmware_leaves_all_inputs_masked),
		RULE(icw2_gives_the_vectors),
		RULE(icw1_clears_mask_and_requests),
		RULE(a_masked_input_waits),
		RULE(acknowledging_moves_the_request_into_service),
		RULE(what_is_in_service_holds_back_its_like_and_lower_ones),
		RULE(specific_eoi_ends_the_named_input),
		RULE(slave_interrupts_need_an_eoi_of_both),
		RULE(slave_ranks_between_inputs_1_and_3),
		RULE(special_fully_nested_mode_lets_a_higher_slave_input_through),
		RULE(auto_eoi_leaves_nothing_in_service),
		RULE(nothing_to_acknowledge_is_a_spurious_ir7),
		RULE(an_input_that_falls_before_it_is_acknowledged_is_forgotten),
		RULE(rotation_makes_the_ended_input_the_lowest),
		RULE(set_priority_names_the_lowest_input),
		RULE(special_mask_mode_lets_lower_inputs_interrupt),
		RULE(poll_acknowledges_and_names_the_input),
		RULE(a_level_asks_as_long_as_it_lasts),
		RULE(an_edge_asks_once),
		RULE(elcr_keeps_the_inputs_that_must_be_edges),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
