/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine's ports, the wires between its chips, and its timers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "device/i8254.h"
#include "device/machine.h"

static struct machine *machine;

static int setup(void **state)
{
	const struct machine_config config = {.memory_size = 64 << 20, .nr_cpus = 1};

	return machine_create(&config, &machine);
}

static int teardown(void **state)
{
	machine_destroy(machine);
	return 0;
}

static void out(uint16_t port, uint8_t value, uint64_t now)
{
	machine_out(machine, port, 1, value, now);
}

static uint8_t in(uint16_t port, uint64_t now)
{
	return (uint8_t)machine_in(machine, port, 1, now);
}

static uint64_t at(uint64_t tick)
{
	return (uint64_t)(((__uint128_t)tick * 1000000000 + I8254_HZ - 1) / I8254_HZ);
}

static void initialise_pic(uint8_t mask, uint64_t now)
{
	static const struct {
		uint16_t port;
		uint8_t value;
	} words[] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 0x04}, {0x21, 0x01}, {0xa0, 0x11},
		     {0xa1, 0x28}, {0xa1, 0x02}, {0xa1, 0x01}, {0xa1, 0xff}};

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		out(words[i].port, words[i].value, now);
	out(0x21, mask, now);
}

static void program_timer(uint8_t mode, uint16_t count, uint64_t now)
{
	out(0x43, 0x30 | mode << 1, now);
	out(0x40, (uint8_t)count, now);
	out(0x40, (uint8_t)(count >> 8), now);
}

static void unclaimed_ports_read_all_ones(void **state)
{
	static const uint16_t ports[] = {0x64, 0x80, 0x2f8, 0x3d5, 0xf4, 0x1000, 0xffff};

	for (unsigned i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		assert_int_equal(machine_in(machine, ports[i], 1, 0), 0xff);
		assert_int_equal(machine_in(machine, ports[i], 2, 0), 0xffff);
		assert_int_equal(machine_in(machine, ports[i], 4, 0), 0xffffffff);
	}
}

static void every_port_takes_every_access(void **state)
{
	for (unsigned size = 1; size <= 4; size *= 2) {
		for (uint32_t port = 0; port < 0x10000; port++) {
			uint32_t value = machine_in(machine, (uint16_t)port, size, port);

			if (size < 4)
				assert_int_equal(value >> 8 * size, 0);
			machine_out(machine, (uint16_t)port, size, 0, port);
		}
	}
}

static void debug_exit_keeps_all_32_bits(void **state)
{
	assert_null(machine_end(machine));
	machine_out(machine, 0xf4, 4, 0x12345678, 0);
	assert_non_null(machine_end(machine));
	assert_int_equal(machine_end(machine)->reason, UMBRA_END_DEBUG_EXIT);
	assert_int_equal(machine_end(machine)->value, 0x12345678);
}

static void debug_exit_takes_a_byte(void **state)
{
	machine_out(machine, 0xf4, 1, 0xffffff07, 0);
	assert_int_equal(machine_end(machine)->value, 7);
}

static void reset_ports_end_the_guest(void **state)
{
	static const struct {
		uint16_t port;
		uint8_t value;
	} resets[] = {{0xcf9, 0x06}, {0x64, 0xfe}, {0x92, 0x01}};

	for (unsigned i = 0; i < 3; i++) {
		out(resets[i].port, 0x00, 0);
		assert_null(machine_end(machine));
		out(resets[i].port, resets[i].value, 0);
		assert_non_null(machine_end(machine));
		assert_int_equal(machine_end(machine)->reason, UMBRA_END_RESET);
		teardown(NULL);
		setup(NULL);
	}
}

static void there_is_no_keyboard_controller(void **state)
{
	out(0x64, 0xaa, 0);
	out(0x60, 0xfe, 0);
	assert_null(machine_end(machine));
	assert_int_equal(in(0x64, 0), 0xff);
	assert_int_equal(in(0x60, 0), 0xff);
}

static void fast_a20_gate_reads_back(void **state)
{
	assert_int_equal(in(0x92, 0), 0x02);
	out(0x92, 0x00, 0);
	assert_int_equal(in(0x92, 0), 0x00);
	out(0x92, 0x02, 0);
	assert_int_equal(in(0x92, 0), 0x02);
}

static void pci_address_reads_back_and_the_bus_is_empty(void **state)
{
	machine_out(machine, 0xcf8, 4, 0x80000000, 0);
	assert_int_equal(machine_in(machine, 0xcf8, 4, 0), 0x80000000);
	for (uint32_t device = 0; device < 32; device++) {
		machine_out(machine, 0xcf8, 4, 0x80000000 | device << 11, 0);
		assert_int_equal(machine_in(machine, 0xcfc, 4, 0), 0xffffffff);
		assert_int_equal(machine_in(machine, 0xcfe, 2, 0), 0xffff);
	}
}

static void pci_address_is_a_32_bit_register_only(void **state)
{
	machine_out(machine, 0xcf8, 4, 0x80001000, 0);
	machine_out(machine, 0xcf8, 1, 0x55, 0);
	machine_out(machine, 0xcf8, 2, 0x0055, 0);
	assert_int_equal(machine_in(machine, 0xcf8, 4, 0), 0x80001000);
	assert_int_equal(machine_in(machine, 0xcf8, 1, 0), 0xff);
	assert_null(machine_end(machine));
}

static void wide_accesses_reach_the_byte_ports_they_cover(void **state)
{
	machine_out(machine, 0x70, 2, 0x5a40, 0); /* index 0x40, then its data */
	out(0x70, 0x40, 0);
	assert_int_equal(in(0x71, 0), 0x5a);
	machine_out(machine, 0x3fe, 2, 0xa500, 0);
	assert_int_equal(machine_in(machine, 0x3fe, 2, 0), 0xa5b0);
}

static void a_new_machine_has_nothing_planned(void **state)
{
	assert_int_equal(machine_next_event(machine), UINT64_MAX);
	machine_advance(machine, UINT64_MAX / 2);
	assert_false(machine_interrupt_pending(machine, 0));
}

static void timer_interrupts_come_at_the_planned_time(void **state)
{
	uint64_t due;

	initialise_pic(0xfe, 0);
	program_timer(2, 1193, 0);
	for (unsigned i = 1; i < 50; i++) {
		due = machine_next_event(machine);
		assert_int_equal(due, at(1 + i * 1193));
		machine_advance(machine, due - 1);
		assert_false(machine_interrupt_pending(machine, 0));
		machine_advance(machine, due);
		assert_true(machine_interrupt_pending(machine, 0));
		assert_int_equal(machine_interrupt_acknowledge(machine, 0), 0x20);
		assert_false(machine_interrupt_pending(machine, 0));
		out(0x20, 0x20, due);
	}
}

static void a_masked_timer_plans_nothing_but_its_edge_is_there_later(void **state)
{
	initialise_pic(0xff, 0);
	program_timer(2, 1193, 0);
	assert_int_equal(machine_next_event(machine), UINT64_MAX);
	machine_advance(machine, at(5000));
	out(0x20, 0x0a, at(5000));
	assert_int_equal(in(0x20, at(5000)), 0x01); /* IRR */
	out(0x21, 0xfe, at(5000));
	assert_true(machine_interrupt_pending(machine, 0));
	assert_int_equal(machine_interrupt_acknowledge(machine, 0), 0x20);
	assert_int_equal(machine_next_event(machine), at(1 + 5 * 1193));
}

static void a_timer_without_an_edge_to_come_plans_nothing(void **state)
{
	initialise_pic(0xfe, 0);
	program_timer(0, 100, 0);
	machine_advance(machine, at(101));
	assert_true(machine_interrupt_pending(machine, 0));
	assert_int_equal(machine_next_event(machine), UINT64_MAX);
}

static void uart_interrupts_on_irq_4(void **state)
{
	initialise_pic(0xef, 0);
	out(0x3fc, 0x08, 0);
	out(0x3f9, 0x02, 0);
	assert_true(machine_interrupt_pending(machine, 0));
	assert_int_equal(machine_interrupt_acknowledge(machine, 0), 0x24);
}

static void port_61_gates_counter_2_and_shows_its_output(void **state)
{
	out(0x61, 0x00, 0);
	out(0x43, 0xb0, 0); /* counter 2, both bytes, mode 0 */
	out(0x42, 100, 0);
	out(0x42, 0, 0);
	assert_int_equal(in(0x61, at(5000)) & 0x21, 0x00); /* the gate is low: it stands */
	out(0x61, 0x01, at(5000));
	assert_int_equal(in(0x61, at(5099)) & 0x21, 0x01);
	assert_int_equal(in(0x61, at(5100)) & 0x21, 0x21);
}

static void port_61_toggles_with_memory_refresh(void **state)
{
	uint8_t before = in(0x61, at(180)) & 0x10;

	assert_int_not_equal(in(0x61, at(198)) & 0x10, before);
	assert_int_equal(in(0x61, at(216)) & 0x10, before);
}

static void elcr_ports_read_back(void **state)
{
	out(0x4d0, 0x20, 0);
	out(0x4d1, 0x0c, 0);
	assert_int_equal(machine_in(machine, 0x4d0, 2, 0), 0x0c20);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(unclaimed_ports_read_all_ones),
		RULE(every_port_takes_every_access),
		RULE(debug_exit_keeps_all_32_bits),
		RULE(debug_exit_takes_a_byte),
		RULE(reset_ports_end_the_guest),
		RULE(there_is_no_keyboard_controller),
		RULE(fast_a20_gate_reads_back),
		RULE(pci_address_reads_back_and_the_bus_is_empty),
		RULE(pci_address_is_a_32_bit_register_only),
		RULE(wide_accesses_reach_the_byte_ports_they_cover),
		RULE(a_new_machine_has_nothing_planned),
		RULE(timer_interrupts_come_at_the_planned_time),
		RULE(a_masked_timer_plans_nothing_but_its_edge_is_there_later),
		RULE(a_timer_without_an_edge_to_come_plans_nothing),
		RULE(uart_interrupts_on_irq_4),
		RULE(port_61_gates_counter_2_and_shows_its_output),
		RULE(port_61_toggles_with_memory_refresh),
		RULE(elcr_ports_read_back),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
