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
	const struct machine_config config = {.memory_size = 64 << 20, .nr_cpus = 2};

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
	static const uint16_t ports[] = {0x1f0, 0x2f8, 0x3f0, 0x3e8, 0xf4, 0x1000, 0xffff};

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

static void the_keyboard_controller_interrupts_on_irq_1(void **state)
{
	initialise_pic(0xfd, 0);
	out(0x64, 0xaa, 0);
	assert_int_equal(in(0x64, 0) & 0x21, 0x01);
	assert_true(machine_interrupt_pending(machine, 0));
	assert_int_equal(machine_interrupt_acknowledge(machine, 0), 0x21);
	assert_int_equal(in(0x60, 0), 0x55);
	assert_int_equal(in(0x64, 0) & 0x01, 0x00);
}

static void post_code_reads_back(void **state)
{
	out(0x80, 0x5a, 0);
	assert_int_equal(in(0x80, 0), 0x5a);
}

static void s5_turns_the_machine_off(void **state)
{
	machine_out(machine, 0x604, 2, 5 << 10, 0);           /* SLP_EN is clear */
	machine_out(machine, 0x604, 2, 1 << 10 | 1 << 13, 0); /* not S5 */
	assert_null(machine_end(machine));
	machine_out(machine, 0x604, 2, 5 << 10 | 1 << 13, 0);
	assert_int_equal(machine_end(machine)->reason, UMBRA_END_POWER_OFF);
}

static void sci_is_level_triggered_irq_9(void **state)
{
	uint64_t due;

	initialise_pic(0xfb, 0);
	out(0xa1, 0xfd, 0);
	machine_out(machine, 0x602, 2, 1, 0); /* TMR_EN */
	due = machine_next_event(machine);
	assert_int_equal(due, (((1ull << 23) * 1000000000) + 3579544) / 3579545);
	machine_advance(machine, due - 1);
	assert_false(machine_interrupt_pending(machine, 0));
	machine_advance(machine, due);
	assert_int_equal(machine_interrupt_acknowledge(machine, 0), 0x29);
	out(0xa0, 0x20, due);
	out(0x20, 0x20, due);
	/* Again, as long as the status is set. */
	assert_int_equal(machine_interrupt_acknowledge(machine, 0), 0x29);
	machine_out(machine, 0x600, 2, 1, due);
	out(0xa0, 0x20, due);
	out(0x20, 0x20, due);
	assert_false(machine_interrupt_pending(machine, 0));
}

static void rtc_interrupts_on_irq_8(void **state)
{
	initialise_pic(0xfb, 0);
	out(0xa1, 0xfe, 0);
	out(0x70, 0x0b, 0);
	out(0x71, 0x42, 0); /* PIE, 1024 Hz */
	assert_int_equal(machine_next_event(machine), 976563);
	machine_advance(machine, 976563);
	assert_int_equal(machine_interrupt_acknowledge(machine, 0), 0x28);
}

#define LAPIC  0xfee00000ull
#define IOAPIC 0xfec00000ull

static void mmio_write(unsigned cpu, uint64_t gpa, uint32_t value, uint64_t now)
{
	machine_mmio_write(machine, cpu, gpa, 4, value, now);
}

static uint32_t mmio_read(unsigned cpu, uint64_t gpa, uint64_t now)
{
	return (uint32_t)machine_mmio_read(machine, cpu, gpa, 4, now);
}

static void program_ioapic(unsigned pin, uint32_t low)
{
	mmio_write(0, IOAPIC, 0x10 + 2 * pin, 0);
	mmio_write(0, IOAPIC + 0x10, low, 0);
}

static void pic_reaches_the_boot_processor_through_its_lint0(void **state)
{
	assert_int_equal(mmio_read(0, LAPIC + 0x350, 0), 0x700);
	assert_int_equal(mmio_read(0, LAPIC + 0x360, 0), 0x400);
	initialise_pic(0xfd, 0);
	out(0x64, 0xaa, 0);
	assert_true(machine_interrupt_pending(machine, 0));
	assert_false(machine_interrupt_pending(machine, 1));
	mmio_write(0, LAPIC + 0x350, 0x10700, 0);
	assert_false(machine_interrupt_pending(machine, 0));
}

static void timer_is_on_pin_2_of_the_ioapic(void **state)
{
	program_ioapic(2, 0x30);
	program_timer(2, 1193, 0);
	assert_int_equal(machine_next_event(machine), at(1 + 1193));
	machine_advance(machine, at(1 + 1193));
	assert_int_equal(machine_interrupt_acknowledge(machine, 0), 0x30);
}

static void other_isa_interrupts_are_on_pins_of_their_number(void **state)
{
	program_ioapic(4, 0x34);
	out(0x3fc, 0x08, 0);
	out(0x3f9, 0x02, 0);
	assert_int_equal(machine_interrupt_acknowledge(machine, 0), 0x34);
}

static void each_vcpu_has_its_own_apic_in_the_same_place(void **state)
{
	assert_int_equal(mmio_read(0, LAPIC + 0x20, 0), 0);
	assert_int_equal(mmio_read(1, LAPIC + 0x20, 0), 0x01000000);
	mmio_write(1, LAPIC + 0xf0, 0x1ff, 0);
	mmio_write(0, LAPIC + 0x310, 0x01000000, 0);
	mmio_write(0, LAPIC + 0x300, 0x45, 0);
	assert_false(machine_interrupt_pending(machine, 0));
	assert_true(machine_interrupt_pending(machine, 1));
	assert_int_equal(machine_interrupt_acknowledge(machine, 1), 0x45);
}

static void init_and_startup_ipis_are_signals(void **state)
{
	uint8_t vector = 0;

	mmio_write(0, LAPIC + 0x310, 0x01000000, 0);
	mmio_write(0, LAPIC + 0x300, 0x4500, 0);
	mmio_write(0, LAPIC + 0x300, 0x469a, 0);
	assert_true(machine_signal_pending(machine, 1));
	assert_false(machine_signal_pending(machine, 0));
	assert_int_equal(machine_take_signal(machine, 1, &vector), MACHINE_INIT);
	assert_int_equal(machine_take_signal(machine, 1, &vector), MACHINE_SIPI);
	assert_int_equal(vector, 0x9a);
	assert_int_equal(machine_take_signal(machine, 1, &vector), MACHINE_NONE);
	mmio_write(0, LAPIC + 0x300, 0x400, 0);
	assert_int_equal(machine_take_signal(machine, 1, &vector), MACHINE_NMI);
	assert_false(machine_signal_pending(machine, 1));
}

static void device_memory_takes_whole_registers(void **state)
{
	mmio_write(0, LAPIC + 0x80, 0x12, 0);
	machine_mmio_write(machine, 0, LAPIC + 0x80, 1, 0x99, 0);
	machine_mmio_write(machine, 0, LAPIC + 0x82, 2, 0x99, 0);
	assert_int_equal(mmio_read(0, LAPIC + 0x80, 0), 0x12);
	assert_int_equal(machine_mmio_read(machine, 0, LAPIC + 0x30, 1, 0), 0x14);
	assert_int_equal(machine_mmio_read(machine, 0, LAPIC + 0x32, 2, 0), 0x0105);
	assert_int_equal(machine_mmio_read(machine, 0, LAPIC + 0x30, 8, 0), 0x01050014);
	assert_int_equal(machine_mmio_read(machine, 0, 0xd0000000, 8, 0), UINT64_MAX);
	assert_int_equal(machine_mmio_read(machine, 0, 0xd0000000, 2, 0), 0xffff);
}

static void cr8_is_the_upper_half_of_the_task_priority(void **state)
{
	machine_set_tpr(machine, 0, 5);
	assert_int_equal(mmio_read(0, LAPIC + 0x80, 0), 0x50);
	mmio_write(0, LAPIC + 0x80, 0x73, 0);
	assert_int_equal(machine_tpr(machine, 0), 7);
}

static void apic_base_reads_back_and_moves_the_apic_of_one_cpu(void **state)
{
	uint64_t value;

	assert_true(machine_msr_read(machine, 0, 0x1b, &value, 0));
	assert_int_equal(value, 0xfee00900);
	assert_true(machine_msr_read(machine, 1, 0x1b, &value, 0));
	assert_int_equal(value, 0xfee00800);
	assert_false(machine_msr_write(machine, 0, 0x1b, 0xfee00d01, 0));
	assert_true(machine_msr_write(machine, 0, 0x1b, 0xfee00d00, 0));
	assert_true(machine_msr_read(machine, 0, 0x803, &value, 0));
	assert_int_equal(value, 0x01050014);
	assert_int_equal(mmio_read(0, LAPIC + 0x30, 0), 0xffffffff); /* no xAPIC any more */
	assert_null(machine_end(machine));
	assert_true(machine_msr_write(machine, 1, 0x1b, 0xe0000800, 0));
	assert_null(machine_end(machine));
	assert_int_equal(machine_apic_page(machine, 0), LAPIC);
	assert_int_equal(machine_apic_page(machine, 1), 0xe0000000);
	assert_int_equal(mmio_read(1, 0xe0000030, 0), 0x01050014);
	assert_int_equal(mmio_read(1, LAPIC + 0x30, 0), 0xffffffff);
	assert_int_equal(mmio_read(0, 0xe0000030, 0), 0xffffffff); /* another's */
	assert_true(machine_is_device(machine, 0xe0000000));
	assert_false(machine_is_device(machine, 0xe0001000));
	machine_msr_write(machine, 1, 0x1b, 0x800, 0);
	assert_int_equal(machine_end(machine)->reason, UMBRA_END_ERROR);
}

static void apic_timer_is_an_event(void **state)
{
	uint64_t value;

	mmio_write(0, LAPIC + 0x3e0, 0xb, 0);
	mmio_write(0, LAPIC + 0x320, 0x40, 0);
	mmio_write(0, LAPIC + 0x380, 5000, 1000);
	assert_int_equal(machine_next_event(machine), 6000);
	machine_advance(machine, 6000);
	assert_int_equal(machine_interrupt_acknowledge(machine, 0), 0x40);
	mmio_write(0, LAPIC + 0xb0, 0, 6000);
	mmio_write(0, LAPIC + 0x320, 0x40041, 6000);
	machine_set_tsc_offset(machine, 0, 500);
	assert_true(machine_msr_write(machine, 0, 0x6e0, 7500, 6000));
	assert_true(machine_msr_read(machine, 0, 0x6e0, &value, 6000));
	assert_int_equal(value, 7500);
	assert_int_equal(machine_next_event(machine), 7000);
	assert_true(machine_msr_write(machine, 0, 0x6e0, 6400, 6000)); /* it is past */
	assert_int_equal(machine_interrupt_acknowledge(machine, 0), 0x41);
}

static void fw_cfg_tells_of_the_machine(void **state)
{
	char bytes[8] = "";

	machine_out(machine, 0x510, 2, 0, 0);
	for (unsigned i = 0; i < 4; i++)
		bytes[i] = (char)in(0x511, 0);
	assert_string_equal(bytes, "QEMU");
	assert_int_equal(in(0x511, 0), 0);
	machine_out(machine, 0x510, 2, 5, 0);
	assert_int_equal(in(0x511, 0), 2);
	assert_int_equal(in(0x511, 0), 0);
	machine_out(machine, 0x510, 2, 3, 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(in(0x511, 0), i == 3 ? 4 : 0);
	/* The directory: one file, whose first range is RAM from 0 to 0x9fc00. */
	machine_out(machine, 0x510, 2, 0x19, 0);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(in(0x511, 0), (uint8_t) "\0\0\0\1\0\0\0\x64\0\x20\0\0"[i]);
	machine_out(machine, 0x510, 2, 0x20, 0);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(in(0x511, 0),
				 (uint8_t) "\0\0\0\0\0\0\0\0\0\xfc\x09\0\0\0\0\0\1\0\0\0"[i]);
}

static uint64_t random_state;

static uint64_t random_bits(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* One access that a hostile guest might make, mostly to registers that do something. */
static void random_access(uint64_t now)
{
	static const uint16_t ports[] = {0x20,  0x21,  0x40,  0x43,  0x60,  0x61,  0x64,  0x70,
					 0x71,  0xa0,  0xa1,  0x3c0, 0x3c9, 0x3d4, 0x3d5, 0x3f8,
					 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x4d0, 0x510, 0x511, 0x600,
					 0x602, 0x604, 0x608, 0xcf8, 0xcfc};
	uint64_t what = random_bits(), value = random_bits() >> what % 61;
	unsigned cpu = what >> 8 & 1, size = 1u << (what >> 10 & 3);
	uint16_t port = ports[(what >> 16) % (sizeof(ports) / sizeof(ports[0]))];
	uint64_t gpa = (what & 1 << 12 ? LAPIC : IOAPIC) + (what >> 32 & 0xff) * 16;
	uint64_t read;
	uint8_t vector;

	switch (what >> 56 & 7) {
	case 0: machine_in(machine, port, size & 7 ? size & 7 : 4, now); break;
	case 1: machine_out(machine, port, size & 7 ? size & 7 : 4, (uint32_t)value, now); break;
	case 2: machine_mmio_read(machine, cpu, gpa, size, now); break;
	case 3: mmio_write(cpu, IOAPIC, (uint8_t)value, now); break;
	case 4: machine_msr_read(machine, cpu, 0x800 + (what >> 32 & 0xff), &read, now); break;
	case 5:
		if (what & 1 << 13)
			machine_msr_write(machine, cpu, 0x6e0, value, now);
		else if (what & 1 << 14)
			machine_msr_write(machine, cpu, 0x800 + (what >> 32 & 0x3f), value, now);
		else if ((what >> 20 & 63) == 0)
			machine_msr_write(machine, cpu, 0x1b, 0xfee00800 | (value & 0xd00), now);
		break;
	case 6: machine_mmio_write(machine, cpu, gpa, what & 1 << 15 ? 4 : size, value, now); break;
	case 7:
		if (machine_interrupt_pending(machine, cpu))
			machine_interrupt_acknowledge(machine, cpu);
		if (machine_signal_pending(machine, cpu))
			machine_take_signal(machine, cpu, &vector);
		break;
	}
}

static void whatever_a_guest_does_the_next_event_lies_ahead(void **state)
{
	uint64_t now = 0, interrupts = 0;

	random_state = 0x9e3779b97f4a7c15;
	for (unsigned i = 0; i < 300000; i++) {
		uint64_t next;

		random_access(now);
		now += random_bits() >> 44;
		next = machine_next_event(machine);
		if (next <= now || (next != UINT64_MAX && i % 16 == 0)) {
			now = next > now ? next : now;
			machine_advance(machine, now);
			assert_true(machine_next_event(machine) > now);
		}
		interrupts += machine_interrupt_pending(machine, 0);
	}
	assert_true(interrupts > 1000);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* The ISA interrupts that somebody else's chips were told of: bits of those that are high now. */
struct wires {
	unsigned high, told;
};

static void set_line(void *context, unsigned irq, bool level)
{
	struct wires *wires = context;

	wires->high = (wires->high & ~(1u << irq)) | (unsigned)level << irq;
	wires->told++;
}

/* As with KVM's: the machine's own keep still, and each change of a line is told once. */
static void interrupts_go_to_whoever_has_the_chips(void **state)
{
	struct wires wires = {0};
	const struct machine_config config = {
		.memory_size = 64 << 20, .nr_cpus = 1, .set_line = set_line, .context = &wires};

	machine_destroy(machine);
	assert_int_equal(machine_create(&config, &machine), 0);
	assert_int_equal(machine_next_event(machine), UINT64_MAX);
	program_timer(2, 1000, 0);
	assert_int_equal(machine_next_event(machine), UINT64_MAX);
	out(0x3fc, 8, 10); /* OUT2 */
	assert_int_equal(wires.told, 0);
	out(0x3f9, 2, 20); /* transmitter empty */
	assert_int_equal(wires.high, 1u << 4);
	machine_advance(machine, 1000000000);
	assert_int_equal(wires.told, 1);
	in(0x3fa, 30); /* which acknowledges it */
	assert_int_equal(wires.high, 0);
	assert_int_equal(wires.told, 2);
	assert_false(machine_interrupt_pending(machine, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(unclaimed_ports_read_all_ones),
		RULE(interrupts_go_to_whoever_has_the_chips),
		RULE(every_port_takes_every_access),
		RULE(debug_exit_keeps_all_32_bits),
		RULE(debug_exit_takes_a_byte),
		RULE(reset_ports_end_the_guest),
		RULE(the_keyboard_controller_interrupts_on_irq_1),
		RULE(post_code_reads_back),
		RULE(s5_turns_the_machine_off),
		RULE(sci_is_level_triggered_irq_9),
		RULE(rtc_interrupts_on_irq_8),
		RULE(pic_reaches_the_boot_processor_through_its_lint0),
		RULE(timer_is_on_pin_2_of_the_ioapic),
		RULE(other_isa_interrupts_are_on_pins_of_their_number),
		RULE(each_vcpu_has_its_own_apic_in_the_same_place),
		RULE(init_and_startup_ipis_are_signals),
		RULE(device_memory_takes_whole_registers),
		RULE(cr8_is_the_upper_half_of_the_task_priority),
		RULE(apic_base_reads_back_and_moves_the_apic_of_one_cpu),
		RULE(apic_timer_is_an_event),
		RULE(fw_cfg_tells_of_the_machine),
		RULE(whatever_a_guest_does_the_next_event_lies_ahead),
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
