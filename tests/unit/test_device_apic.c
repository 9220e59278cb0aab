/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules of SDM 3A chapter 10: the local APIC, its timer, and messages between several of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "device/apic_bus.h"

#define ID       0x020
#define VERSION  0x030
#define TPR      0x080
#define PPR      0x0a0
#define EOI      0x0b0
#define LDR      0x0d0
#define DFR      0x0e0
#define SVR      0x0f0
#define ISR      0x100
#define TMR      0x180
#define IRR      0x200
#define ESR      0x280
#define ICR      0x300
#define ICR_HIGH 0x310
#define TIMER    0x320
#define LINT0    0x350
#define LINT1    0x360
#define ERROR    0x370
#define INITIAL  0x380
#define CURRENT  0x390
#define DIVIDE   0x3e0
#define SELF_IPI 0x3f0

#define BASE_EN  0xfee00800
#define BASE_X2  0xfee00c00

#define CPUS     4

static struct apic_bus bus;

static uint32_t rd(unsigned cpu, uint32_t reg)
{
	return lapic_read(&bus.lapic[cpu], reg, 0);
}

static void wr(unsigned cpu, uint32_t reg, uint32_t value)
{
	lapic_write(&bus.lapic[cpu], reg, value, 0);
}

static bool wrmsr(unsigned cpu, uint32_t reg, uint64_t value)
{
	return lapic_write_msr(&bus.lapic[cpu], 0x800 + reg / 16, value, 0);
}

static bool rdmsr(unsigned cpu, uint32_t reg, uint64_t *ret)
{
	return lapic_read_msr(&bus.lapic[cpu], 0x800 + reg / 16, ret, 0);
}

static int setup(void **state)
{
	apic_bus_init(&bus, CPUS);
	for (unsigned i = 0; i < CPUS; i++) {
		wr(i, SVR, 0x1ff);
		wr(i, LDR, 1u << (24 + i));
	}
	return 0;
}

static void ipi(unsigned from, uint8_t to, uint32_t low)
{
	wr(from, ICR_HIGH, (uint32_t)to << 24);
	wr(from, ICR, low);
}

static bool requested(unsigned cpu, unsigned vector)
{
	return rd(cpu, IRR + vector / 32 * 16) >> vector % 32 & 1;
}

static bool in_service(unsigned cpu, unsigned vector)
{
	return rd(cpu, ISR + vector / 32 * 16) >> vector % 32 & 1;
}

/* Which of the four have @vector requested, as a bit each. */
static unsigned who(unsigned vector)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < CPUS; i++)
		bits |= (unsigned)requested(i, vector) << i;
	return bits;
}

static void registers_after_power_up(void **state)
{
	apic_bus_init(&bus, CPUS);
	assert_int_equal(rd(2, ID), 0x02000000);
	assert_int_equal(rd(0, VERSION), 0x01050014);
	assert_int_equal(rd(0, SVR), 0xff);
	assert_int_equal(rd(0, DFR), 0xffffffff);
	for (uint32_t lvt = TIMER; lvt <= ERROR; lvt += 16)
		assert_int_equal(rd(0, lvt), 0x10000);
	assert_int_equal(rd(0, TPR) | rd(0, LDR) | rd(0, ICR) | rd(0, INITIAL) | rd(0, ESR), 0);
	assert_int_equal(bus.lapic[0].base, 0xfee00900);
	assert_int_equal(bus.lapic[1].base, 0xfee00800);
}

static void ranking_is_by_vector_and_eoi_ends_the_highest(void **state)
{
	struct lapic *l = &bus.lapic[0];

	ipi(1, 0, 0x31);
	ipi(1, 0, 0x55);
	assert_true(l->requested);
	assert_int_equal(lapic_acknowledge(l), 0x55);
	assert_true(in_service(0, 0x55));
	assert_false(requested(0, 0x55));
	assert_false(l->requested); /* 0x31 is of a lower class */
	assert_int_equal(rd(0, PPR), 0x50);
	ipi(1, 0, 0x5f);
	assert_false(l->requested); /* the same class */
	ipi(1, 0, 0x60);
	assert_int_equal(lapic_acknowledge(l), 0x60);
	wr(0, EOI, 0);
	assert_false(in_service(0, 0x60));
	assert_true(in_service(0, 0x55));
	wr(0, EOI, 0);
	assert_int_equal(lapic_acknowledge(l), 0x5f);
}

static void task_priority_holds_its_class_back(void **state)
{
	wr(0, TPR, 0x45);
	ipi(1, 0, 0x4f);
	assert_false(bus.lapic[0].requested);
	assert_int_equal(rd(0, PPR), 0x45);
	wr(0, TPR, 0x3f);
	assert_true(bus.lapic[0].requested);
	lapic_acknowledge(&bus.lapic[0]);
	assert_int_equal(rd(0, PPR), 0x40);
}

static void nothing_to_acknowledge_is_the_spurious_vector(void **state)
{
	wr(0, SVR, 0x1ed);
	assert_int_equal(lapic_acknowledge(&bus.lapic[0]), 0xed);
	assert_int_equal(rd(0, ISR + 7 * 16), 0);
}

static void physical_destinations(void **state)
{
	ipi(0, 2, 0x40);
	assert_int_equal(who(0x40), 1 << 2);
	ipi(0, 0xff, 0x41);
	assert_int_equal(who(0x41), 0xf);
	ipi(0, 9, 0x42);
	assert_int_equal(who(0x42), 0);
}

static void shorthands(void **state)
{
	wr(1, ICR, 0x40040);
	assert_int_equal(who(0x40), 1 << 1);
	wr(1, ICR, 0x80041);
	assert_int_equal(who(0x41), 0xf);
	wr(1, ICR, 0xc0042);
	assert_int_equal(who(0x42), 0xd);
}

static void logical_destinations_in_the_flat_model(void **state)
{
	ipi(0, 0x0a, 0x840);
	assert_int_equal(who(0x40), 0xa);
	ipi(0, 0xff, 0x841);
	assert_int_equal(who(0x41), 0xf);
}

static void logical_destinations_in_the_cluster_model(void **state)
{
	for (unsigned i = 0; i < CPUS; i++) {
		wr(i, DFR, 0x0fffffff);
		wr(i, LDR, (i / 2 << 4 | 1u << i % 2) << 24);
	}
	ipi(0, 0x03, 0x840);
	assert_int_equal(who(0x40), 0x3);
	ipi(0, 0x12, 0x841);
	assert_int_equal(who(0x41), 0x8);
	ipi(0, 0x21, 0x842);
	assert_int_equal(who(0x42), 0);
}

static void lowest_priority_goes_to_the_one_with_least_to_do(void **state)
{
	wr(0, TPR, 0x20);
	wr(1, TPR, 0x30);
	wr(2, TPR, 0x10);
	wr(3, TPR, 0x50);
	ipi(0, 0x0f, 0x961);
	assert_int_equal(who(0x61), 1 << 2);
	ipi(0, 0x0b, 0x962);
	assert_int_equal(who(0x62), 1 << 0);
	wr(2, SVR, 0xff); /* software-disabled: not asked */
	ipi(0, 0x0f, 0x963);
	assert_int_equal(who(0x63), 1 << 0);
}

static void nmi_init_and_startup_reach_the_cpu(void **state)
{
	ipi(0, 1, 0x400);
	assert_true(bus.lapic[1].nmi);
	wr(2, SVR, 0xff); /* they come when it is software-disabled too */
	ipi(0, 2, 0x4500);
	assert_true(bus.lapic[2].init);
	ipi(0, 2, 0x8500); /* level de-assert */
	ipi(0, 2, 0x469a);
	assert_true(bus.lapic[2].startup);
	assert_int_equal(bus.lapic[2].startup_vector, 0x9a);
	ipi(0, 2, 0x4500);
	assert_false(bus.lapic[2].startup); /* of before the INIT */
}

static void only_fixed_interrupts_go_to_oneself(void **state)
{
	wr(0, ICR, 0x40400);
	wr(0, ICR, 0x80500);
	wr(0, ICR, 0x80600);
	for (unsigned i = 0; i < CPUS; i++)
		assert_false(bus.lapic[i].nmi || bus.lapic[i].init || bus.lapic[i].startup);
}

static void init_resets_all_but_id_and_base(void **state)
{
	wr(1, TPR, 0x20);
	wr(1, LINT0, 0x700);
	ipi(0, 1, 0x77);
	lapic_take_init(&bus.lapic[1]);
	assert_int_equal(rd(1, TPR) | rd(1, LDR) | rd(1, IRR + 3 * 16), 0);
	assert_int_equal(rd(1, LINT0), 0x10000);
	assert_int_equal(rd(1, SVR), 0xff);
	assert_int_equal(rd(1, ID), 0x01000000);
	assert_false(bus.lapic[1].requested);
}

static void software_disabled_takes_no_vectors_and_masks_its_entries(void **state)
{
	wr(0, LINT1, 0x400);
	wr(0, SVR, 0xff);
	assert_int_equal(rd(0, LINT1), 0x10400);
	wr(0, LINT1, 0x400);
	assert_int_equal(rd(0, LINT1), 0x10400);
	ipi(1, 0, 0x40);
	assert_false(requested(0, 0x40));
}

static void illegal_vectors_show_in_esr_after_a_write_to_it(void **state)
{
	wr(0, ERROR, 0x33);
	ipi(0, 1, 0x0f);
	assert_int_equal(rd(0, ESR), 0);
	wr(0, ESR, 0);
	assert_int_equal(rd(0, ESR), 0x20); /* send illegal vector */
	assert_true(requested(0, 0x33));
	wr(0, ESR, 0);
	assert_int_equal(rd(0, ESR), 0);
	rd(0, 0x3d0);
	wr(0, ESR, 0);
	assert_int_equal(rd(0, ESR), 0x80); /* illegal register address */
	wr(0, TIMER, 0x0e);
	wr(0, INITIAL, 1);
	lapic_advance(&bus.lapic[0], 100);
	wr(0, ESR, 0);
	assert_int_equal(rd(0, ESR), 0x40); /* received illegal vector */
}

static void read_only_registers_keep_their_values(void **state)
{
	for (uint32_t reg = 0; reg < 0x400; reg += 4) {
		uint32_t before = rd(3, reg);

		if (reg == ID || reg == VERSION || reg == PPR || reg == CURRENT ||
		    (reg >= ISR && reg < ESR) || reg % 16) {
			wr(3, reg, 0xffffffff);
			assert_int_equal(rd(3, reg), before);
		}
	}
}

static void one_shot_timer_expires_once(void **state)
{
	struct lapic *l = &bus.lapic[0];

	wr(0, TIMER, 0x50);
	wr(0, DIVIDE, 0x3); /* by 16 */
	lapic_write(l, INITIAL, 100, 1000);
	assert_int_equal(lapic_next_event(l), 1000 + 1600);
	assert_int_equal(lapic_read(l, CURRENT, 1000), 100);
	assert_int_equal(lapic_read(l, CURRENT, 1016), 99);
	assert_int_equal(lapic_read(l, CURRENT, 2599), 1);
	assert_false(l->requested);
	lapic_advance(l, 2600);
	assert_int_equal(lapic_acknowledge(l), 0x50);
	assert_int_equal(lapic_read(l, CURRENT, 2600), 0);
	assert_int_equal(lapic_next_event(l), UINT64_MAX);
}

static void each_divider(void **state)
{
	static const struct {
		uint8_t value, divisor;
	} rows[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};

	wr(0, TIMER, 0x50);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		wr(0, DIVIDE, rows[i].value);
		wr(0, INITIAL, 10);
		assert_int_equal(lapic_next_event(&bus.lapic[0]), 10 * rows[i].divisor);
	}
}

static void periodic_timer_repeats_without_drift(void **state)
{
	struct lapic *l = &bus.lapic[0];

	wr(0, TIMER, 0x20050);
	wr(0, DIVIDE, 0xb);
	wr(0, INITIAL, 1000);
	for (uint64_t n = 1; n < 20; n++) {
		assert_int_equal(lapic_next_event(l), n * 1000);
		lapic_advance(l, n * 1000 + 300); /* late */
		assert_int_equal(lapic_acknowledge(l), 0x50);
		lapic_write(l, EOI, 0, n * 1000 + 300);
		assert_int_equal(lapic_read(l, CURRENT, n * 1000 + 300), 700);
	}
	lapic_advance(l, 500500); /* very late: one interrupt */
	assert_int_equal(lapic_acknowledge(l), 0x50);
	assert_false(l->requested);
	assert_int_equal(lapic_next_event(l), 501000);
	wr(0, INITIAL, 0);
	assert_int_equal(lapic_next_event(l), UINT64_MAX);
}

static void a_masked_timer_counts_on_in_silence(void **state)
{
	struct lapic *l = &bus.lapic[0];

	wr(0, TIMER, 0x30050);
	wr(0, DIVIDE, 0xb);
	wr(0, INITIAL, 1000);
	assert_int_equal(lapic_next_event(l), UINT64_MAX);
	assert_int_equal(lapic_read(l, CURRENT, 1400), 600);
	lapic_write(l, TIMER, 0x20050, 1400);
	assert_int_equal(lapic_next_event(l), 2000);
	assert_false(requested(0, 0x50));
}

static void deadline_timer_compares_the_tsc(void **state)
{
	struct lapic *l = &bus.lapic[0];
	struct lapic_timer *t = &l->timer;

	lapic_timer_set_deadline(t, 1234, 0); /* not in its mode: ignored */
	assert_int_equal(t->deadline, 0);
	lapic_timer_set_tsc_offset(t, 1000000, 0);
	wr(0, TIMER, 0x40050);
	lapic_timer_set_deadline(t, 1005000, 100);
	assert_int_equal(lapic_next_event(l), 5000);
	wr(0, INITIAL, 77);
	assert_int_equal(rd(0, INITIAL) | rd(0, CURRENT), 0);
	lapic_timer_set_tsc_offset(t, 1000500, 200);
	assert_int_equal(lapic_next_event(l), 4500);
	lapic_advance(l, 4500);
	assert_int_equal(lapic_acknowledge(l), 0x50);
	assert_int_equal(t->deadline, 0);
	lapic_timer_set_deadline(t, 5, 5000); /* passed long ago */
	assert_int_equal(lapic_next_event(l), 5000);
	lapic_timer_set_deadline(t, 0, 5000);
	assert_int_equal(lapic_next_event(l), UINT64_MAX);
	lapic_timer_set_deadline(t, 9000000, 5000);
	wr(0, TIMER, 0x50); /* another mode disarms it */
	assert_int_equal(lapic_next_event(l), UINT64_MAX);
}

static void extint_follows_the_line_and_its_mask(void **state)
{
	struct lapic *l = &bus.lapic[0];

	lapic_set_lint(l, 0, true);
	assert_false(lapic_extint_pending(l));
	wr(0, LINT0, 0x700);
	assert_true(lapic_extint_pending(l));
	wr(0, TPR, 0xff); /* ExtINT has no priority */
	assert_true(lapic_extint_pending(l));
	lapic_set_lint(l, 0, false);
	assert_false(lapic_extint_pending(l));
}

static void a_globally_disabled_apic_leaves_its_pins_to_the_cpu(void **state)
{
	struct lapic *l = &bus.lapic[0];

	assert_true(lapic_set_base(l, 0xfee00000));
	assert_false(lapic_has_mmio(l));
	lapic_set_lint(l, 0, true);
	assert_true(lapic_extint_pending(l));
	lapic_set_lint(l, 1, true);
	assert_true(l->nmi);
	ipi(1, 0, 0x40);
	assert_true(lapic_set_base(l, BASE_EN));
	assert_int_equal(who(0x40), 0);
	assert_int_equal(rd(0, SVR), 0xff); /* as after power-up */
	assert_true(l->base & LAPIC_BASE_BSP);
}

static void lint_entries_deliver_as_they_say(void **state)
{
	wr(0, LINT0, 0x44); /* fixed, edge */
	lapic_set_lint(&bus.lapic[0], 0, true);
	assert_true(requested(0, 0x44));
	wr(1, LINT1, 0x400);
	lapic_set_lint(&bus.lapic[1], 1, true);
	assert_true(bus.lapic[1].nmi);
	wr(2, LINT0, 0x8045); /* fixed, level: again after each EOI */
	lapic_set_lint(&bus.lapic[2], 0, true);
	assert_int_equal(lapic_acknowledge(&bus.lapic[2]), 0x45);
	assert_int_equal(rd(2, LINT0), 0xc045);
	wr(2, EOI, 0);
	assert_int_equal(lapic_acknowledge(&bus.lapic[2]), 0x45);
	lapic_set_lint(&bus.lapic[2], 0, false);
	wr(2, EOI, 0);
	assert_int_equal(rd(2, LINT0), 0x8045);
	assert_false(bus.lapic[2].requested);
	/* Unmasked, an edge is over and a level is still there. */
	wr(3, LINT0, 0x10046);
	lapic_set_lint(&bus.lapic[3], 0, true);
	wr(3, LINT0, 0x46);
	assert_false(bus.lapic[3].requested);
	wr(3, LINT0, 0x8046);
	assert_true(requested(3, 0x46));
}

static void modes_and_the_ways_between_them(void **state)
{
	static const struct {
		uint64_t from, to;
		bool allowed;
	} rows[] = {{BASE_EN, BASE_X2, true},         {BASE_X2, BASE_EN, false},
		    {BASE_X2, 0xfee00000, true},      {BASE_X2, 0xfee00400, false},
		    {BASE_EN, 0xfee00400, false},     {BASE_EN, 0xfee00000, true},
		    {BASE_X2, BASE_X2, true},         {BASE_EN, BASE_EN | 0x1, false},
		    {BASE_EN, BASE_EN | 0x200, false}};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		apic_bus_init(&bus, 1);
		assert_true(lapic_set_base(&bus.lapic[0], rows[i].from));
		assert_int_equal(lapic_set_base(&bus.lapic[0], rows[i].to), rows[i].allowed);
	}
	apic_bus_init(&bus, 1);
	assert_true(lapic_set_base(&bus.lapic[0], 0xfee00000));
	assert_false(lapic_set_base(&bus.lapic[0], BASE_X2));
}

static void x2apic_registers_are_msrs(void **state)
{
	uint64_t value;

	assert_false(rdmsr(3, ID, &value)); /* an xAPIC has none */
	lapic_set_base(&bus.lapic[3], BASE_X2);
	assert_false(lapic_has_mmio(&bus.lapic[3]));
	assert_true(rdmsr(3, ID, &value));
	assert_int_equal(value, 3);
	assert_true(rdmsr(3, LDR, &value));
	assert_int_equal(value, 1 << 3);
	assert_true(wrmsr(3, TPR, 0x30));
	assert_true(rdmsr(3, TPR, &value));
	assert_int_equal(value, 0x30);
	/* #GP: reserved bits, absent registers, reads of write-only ones and the other way. */
	assert_false(wrmsr(3, TPR, 0x100));
	assert_false(wrmsr(3, EOI, 1));
	assert_false(wrmsr(3, ESR, 1));
	assert_false(wrmsr(3, LDR, 1));
	assert_false(wrmsr(3, ID, 1));
	assert_false(wrmsr(3, SVR, 1ull << 32));
	assert_false(wrmsr(3, ICR, 1 << 12 | 0x40));
	assert_false(rdmsr(3, EOI, &value));
	assert_false(rdmsr(3, SELF_IPI, &value));
	assert_false(rdmsr(3, DFR, &value));
	assert_false(rdmsr(3, ICR_HIGH, &value));
	assert_false(lapic_read_msr(&bus.lapic[3], 0x8ff, &value, 0));
	assert_true(wrmsr(3, EOI, 0));
}

static void x2apic_destinations_are_32_bits_wide(void **state)
{
	for (unsigned i = 0; i < CPUS; i++)
		lapic_set_base(&bus.lapic[i], BASE_X2);
	assert_true(wrmsr(0, ICR, 2ull << 32 | 0x40));
	assert_true(wrmsr(0, ICR, 0x5ull << 32 | 0x841));
	assert_true(wrmsr(0, ICR, 0x1000full << 32 | 0x842)); /* cluster 1: nobody */
	assert_true(wrmsr(0, ICR, 0xffffffffull << 32 | 0x43));
	assert_true(wrmsr(0, ICR, 0xffull << 32 | 0x44));
	assert_true(wrmsr(1, SELF_IPI, 0x45));
	for (unsigned i = 0; i < CPUS; i++) {
		uint64_t irr;

		assert_true(rdmsr(i, IRR + 2 * 16, &irr));
		assert_int_equal(irr & 0x3f,
				 (i == 2) | (i == 0 || i == 2) << 1 | 1 << 3 | (i == 1) << 5);
	}
}

#define RULE(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(registers_after_power_up),
		RULE(ranking_is_by_vector_and_eoi_ends_the_highest),
		RULE(task_priority_holds_its_class_back),
		RULE(nothing_to_acknowledge_is_the_spurious_vector),
		RULE(physical_destinations),
		RULE(shorthands),
		RULE(logical_destinations_in_the_flat_model),
		RULE(logical_destinations_in_the_cluster_model),
		RULE(lowest_priority_goes_to_the_one_with_least_to_do),
		RULE(nmi_init_and_startup_reach_the_cpu),
		RULE(only_fixed_interrupts_go_to_oneself),
		RULE(init_resets_all_but_id_and_base),
		RULE(software_disabled_takes_no_vectors_and_masks_its_entries),
		RULE(illegal_vectors_show_in_esr_after_a_write_to_it),
		RULE(read_only_registers_keep_their_values),
		RULE(one_shot_timer_expires_once),
		RULE(each_divider),
		RULE(periodic_timer_repeats_without_drift),
		RULE(a_masked_timer_counts_on_in_silence),
		RULE(deadline_timer_compares_the_tsc),
		RULE(extint_follows_the_line_and_its_mask),
		RULE(a_globally_disabled_apic_leaves_its_pins_to_the_cpu),
		RULE(lint_entries_deliver_as_they_say),
		RULE(modes_and_the_ways_between_them),
		RULE(x2apic_registers_are_msrs),
		RULE(x2apic_destinations_are_32_bits_wide),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
