/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The vCPUs of a guest take turns: who runs, for how long, and what they see of each other. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/guest.h"
#include "x86/flags.h"

#define MEMORY (4ull << 20)
#define PML4   0x1000ull
#define PDPT   0x2000ull
#define GDT    0x3000ull
#define IDT    0x4000ull
#define DATA   0x8000ull
#define CODE   0x10000ull /* of vCPU i at CODE + i * 0x1000 */
#define STACK  0x20000ull

static struct umbra_counters published;

static void write64(struct umbra_guest *guest, uint64_t gpa, uint64_t value)
{
	assert_int_equal(memory_write(&guest->memory, gpa, &value, sizeof(value)), 0);
}

/* The first GiB is mapped to itself; every vCPU waits for its code in 64-bit mode. */
static struct umbra_guest *create(unsigned cpus, enum umbra_mode mode, enum umbra_clock clock)
{
	const struct umbra_guest_config config = {
		.name = "turns", .mode = mode, .clock = clock, .cpus = cpus, .memory = MEMORY};
	struct umbra_guest *guest;

	assert_int_equal(umbra_guest_create(&config, &published, &guest, NULL), 0);
	write64(guest, PML4, PDPT | PTE_P | PTE_W);
	write64(guest, PDPT, 0x5000 | PTE_P | PTE_W);
	for (uint64_t i = 0; i < 2; i++)
		write64(guest, 0x5000 + i * 8, i << 21 | PTE_P | PTE_W | PTE_PS);
	write64(guest, GDT + 8, 0x00af9b000000ffff);
	write64(guest, GDT + 16, 0x00cf93000000ffff);
	return guest;
}

/* Lets vCPU @cpu begin at its code, made of the bytes of @code. */
static void start(struct umbra_guest *guest, unsigned cpu, const void *code, size_t size)
{
	const struct boot_entry entry = {
		.long_mode = true,
		.rip = CODE + cpu * 0x1000,
		.rsp = STACK + cpu * 0x1000,
		.cr3 = PML4,
		.gdt_base = GDT,
		.gdt_limit = 23,
		.cs = 8,
		.ds = 16,
	};

	assert_int_equal(memory_write(&guest->memory, entry.rip, code, size), 0);
	assert_int_equal(x86_start(guest->cpu[cpu], &entry), 0);
	guest->cpu[cpu]->halted = guest->cpu[cpu]->wait_for_sipi = false;
}

#define START(guest, cpu, code) start(guest, cpu, code, sizeof(code) - 1)

/* inc rax; jmp back */
#define COUNT_FOREVER "\x48\xff\xc0\xeb\xfb"
/* inc qword [DATA]; pause; jmp back */
#define COUNT_AND_PAUSE "\x48\xff\x04\x25\x00\x80\x00\x00\xf3\x90\xeb\xf4"
/* cli; hlt */
#define HALT "\xfa\xf4"

static void turns_are_equally_long(void **state)
{
	struct umbra_guest *guest = create(3, UMBRA_MODE_EPT, UMBRA_CLOCK_INSTRUCTIONS);
	uint64_t least = UINT64_MAX, most = 0;

	for (unsigned i = 0; i < 3; i++)
		START(guest, i, COUNT_FOREVER);
	assert_int_equal(umbra_guest_run(guest, 3000000), UMBRA_EVENT_INSTRUCTION);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t done = guest->cpu[i]->instructions;

		least = done < least ? done : least;
		most = done > most ? done : most;
	}
	/* The run ends in the middle of a turn. */
	assert_true(most - least <= 20000);
	assert_int_equal(umbra_guest_counters(guest)->instructions[0], 3000000);
	assert_int_equal(umbra_guest_time(guest), 3000000);
	umbra_guest_destroy(guest);
}

static void pause_gives_the_turn_away(void **state)
{
	struct umbra_guest *guest = create(2, UMBRA_MODE_EPT, UMBRA_CLOCK_INSTRUCTIONS);

	START(guest, 0, COUNT_AND_PAUSE);
	START(guest, 1, COUNT_FOREVER);
	assert_int_equal(umbra_guest_run(guest, 1000000), UMBRA_EVENT_INSTRUCTION);
	/* Two instructions to the PAUSE, then a whole turn of the other one. */
	assert_true(guest->cpu[0]->instructions < 1000);
	assert_true(guest->cpu[0]->instructions > 100);
	assert_true(guest->cpu[1]->instructions > 999000);
	umbra_guest_destroy(guest);
}

/* How a run is cut must not show: not by kicks, not by instructions asked for. */
static void a_cut_of_the_run_does_not_move_the_turns(void **state)
{
	struct umbra_registers whole[2], cut[2];

	for (int cuts = 0; cuts < 2; cuts++) {
		struct umbra_guest *guest = create(2, cuts ? UMBRA_MODE_BARE : UMBRA_MODE_EPT,
						   UMBRA_CLOCK_INSTRUCTIONS);

		START(guest, 0, COUNT_AND_PAUSE);
		START(guest, 1, COUNT_FOREVER);
		for (uint64_t at = 777; cuts && at < 400000; at += 777) {
			umbra_guest_kick(guest);
			while (umbra_guest_run(guest, at) != UMBRA_EVENT_INSTRUCTION)
				;
			assert_int_equal(umbra_guest_counters(guest)->instructions[0], at);
		}
		while (umbra_guest_run(guest, 400000) != UMBRA_EVENT_INSTRUCTION)
			;
		for (unsigned i = 0; i < 2; i++)
			umbra_guest_registers(guest, i, cuts ? &cut[i] : &whole[i]);
		umbra_guest_destroy(guest);
	}
	assert_memory_equal(&whole[0].gpr, &cut[0].gpr, sizeof(whole[0].gpr));
	assert_memory_equal(&whole[1].gpr, &cut[1].gpr, sizeof(whole[1].gpr));
	assert_int_equal(whole[0].rip, cut[0].rip);
	assert_int_equal(whole[1].rip, cut[1].rip);
}

/* mov rbx, [DATA]; rdtsc; shl rdx, 32; or rax, rdx; cmp rax, rbx; jb ud2; mov [DATA], rax; again */
#define WATCH_TIME                                                                                 \
	"\x48\x8b\x1c\x25\x00\x80\x00\x00\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\x48\x39\xd8"         \
	"\x72\x0a\x48\x89\x04\x25\x00\x80\x00\x00\xeb\xe0\x0f\x0b"

static void time_never_runs_backwards_between_vcpus(void **state)
{
	for (int clock = 0; clock < UMBRA_CLOCK_COUNT; clock++) {
		struct umbra_guest *guest = create(4, UMBRA_MODE_EPT, clock);

		for (unsigned i = 0; i < 4; i++)
			START(guest, i, WATCH_TIME);
		assert_int_equal(umbra_guest_run(guest, 500000), UMBRA_EVENT_INSTRUCTION);
		/* Under the cycles clock every vCPU's cycles are in it. */
		assert_int_equal(umbra_guest_time(guest),
				 clock == UMBRA_CLOCK_CYCLES
					 ? umbra_guest_counters(guest)->cycles[0]
					 : 500000);
		umbra_guest_destroy(guest);
	}
}

/* inc rax; jmp back: its NOP becomes an INC RBX, written by the other vCPU. */
#define PATCHED "\x48\xff\xc0\x90\x90\x90\xeb\xf8"
/* mov ecx, 30000; loop itself; mov dword [CODE + 3], "inc rbx; jmp"'s first bytes; jmp itself */
#define PATCH                                                                                      \
	"\xb9\x30\x75\x00\x00\xe2\xfe\xc7\x04\x25\x03\x00\x01\x00\x48\xff\xc3\xeb"                 \
	"\xeb\xfe"

static void code_written_by_one_is_executed_by_another(void **state)
{
	struct umbra_guest *guest = create(2, UMBRA_MODE_EPT, UMBRA_CLOCK_INSTRUCTIONS);
	struct umbra_registers registers;

	START(guest, 0, PATCHED);
	START(guest, 1, PATCH);
	assert_int_equal(umbra_guest_run(guest, 60000), UMBRA_EVENT_INSTRUCTION);
	umbra_guest_registers(guest, 0, &registers);
	assert_int_equal(registers.gpr[3], 0);
	assert_int_equal(umbra_guest_run(guest, 300000), UMBRA_EVENT_INSTRUCTION);
	umbra_guest_registers(guest, 0, &registers);
	assert_true(registers.gpr[3] > 10000);
	umbra_guest_destroy(guest);
}

/* mov rax, [0x200000]; pause; jmp back */
#define READ_FOREVER "\x48\x8b\x04\x25\x00\x00\x20\x00\xf3\x90\xeb\xf4"
/* invlpg [0x200000]; pause; jmp itself */
#define FORGET "\x0f\x01\x3c\x25\x00\x00\x20\x00\xf3\x90\xeb\xfe"

static void a_tlb_is_its_vcpus_own(void **state)
{
	struct umbra_guest *guest = create(2, UMBRA_MODE_EPT, UMBRA_CLOCK_INSTRUCTIONS);
	struct umbra_registers registers;

	write64(guest, 0x200000, 1);
	write64(guest, 0x0, 2);
	START(guest, 0, READ_FOREVER);
	START(guest, 1, FORGET);
	assert_int_equal(umbra_guest_run(guest, 12), UMBRA_EVENT_INSTRUCTION);
	/* The page now is another one, and only vCPU 1 is told. */
	write64(guest, 0x5008, PTE_P | PTE_W | PTE_PS);
	assert_int_equal(umbra_guest_run(guest, 100), UMBRA_EVENT_INSTRUCTION);
	umbra_guest_registers(guest, 0, &registers);
	assert_int_equal(registers.gpr[0], 1);
	umbra_guest_destroy(guest);
}

static void one_vcpus_triple_fault_ends_the_guest_and_is_named(void **state)
{
	struct umbra_guest *guest = create(2, UMBRA_MODE_EPT, UMBRA_CLOCK_INSTRUCTIONS);

	START(guest, 0, COUNT_FOREVER);
	START(guest, 1, "\x0f\x0b");
	assert_int_equal(umbra_guest_run(guest, UINT64_MAX), UMBRA_EVENT_ENDED);
	assert_int_equal(umbra_guest_end(guest)->reason, UMBRA_END_TRIPLE_FAULT);
	assert_int_equal(umbra_guest_end(guest)->cpu, 1);
	assert_int_equal(umbra_guest_end(guest)->rip, CODE + 0x1000);
	/* It stays ended. */
	assert_int_equal(umbra_guest_run(guest, UINT64_MAX), UMBRA_EVENT_ENDED);
	umbra_guest_destroy(guest);
}

static void the_guest_is_halted_when_the_last_vcpu_is(void **state)
{
	struct umbra_guest *guest = create(2, UMBRA_MODE_EPT, UMBRA_CLOCK_INSTRUCTIONS);

	START(guest, 0, HALT);
	/* mov ecx, 100000; loop itself; cli; hlt */
	START(guest, 1, "\xb9\xa0\x86\x01\x00\xe2\xfe\xfa\xf4");
	assert_int_equal(umbra_guest_run(guest, UINT64_MAX), UMBRA_EVENT_ENDED);
	assert_int_equal(umbra_guest_end(guest)->reason, UMBRA_END_HALTED);
	assert_int_equal(umbra_guest_counters(guest)->instructions[0], 2 + 3 + 100000);
	umbra_guest_destroy(guest);
}

static void a_vcpu_that_was_not_started_does_not_run(void **state)
{
	struct umbra_guest *guest = create(4, UMBRA_MODE_EPT, UMBRA_CLOCK_INSTRUCTIONS);

	START(guest, 0, COUNT_FOREVER);
	assert_int_equal(umbra_guest_run(guest, 100000), UMBRA_EVENT_INSTRUCTION);
	for (unsigned i = 1; i < 4; i++)
		assert_int_equal(guest->cpu[i]->instructions, 0);
	umbra_guest_destroy(guest);
}

#define APIC     0xfee00000ull
#define ICR      (APIC + 0x300)
#define ICR_HIGH (APIC + 0x310)

static void send(struct umbra_guest *guest, unsigned to, uint32_t command)
{
	machine_mmio_write(guest->machine, 0, ICR_HIGH, 4, (uint64_t)to << 24, 0);
	machine_mmio_write(guest->machine, 0, ICR, 4, command, 0);
}

/* In real mode: inc word [0x7000]; jmp back */
#define COUNT_IN_REAL_MODE "\xff\x06\x00\x70\xeb\xfa"

/* SDM 3A 8.4.4.1 */
static void a_sipi_starts_a_vcpu_and_an_init_stops_it(void **state)
{
	struct umbra_guest *guest = create(3, UMBRA_MODE_EPT, UMBRA_CLOCK_INSTRUCTIONS);
	uint16_t count = 0, before;

	START(guest, 0, COUNT_FOREVER);
	assert_int_equal(memory_write(&guest->memory, 0x9000, COUNT_IN_REAL_MODE, 6), 0);
	send(guest, 1, 0x4500);
	assert_int_equal(umbra_guest_run(guest, 100000), UMBRA_EVENT_INSTRUCTION);
	assert_int_equal(guest->cpu[1]->instructions, 0);
	send(guest, 1, 0x4609);
	assert_int_equal(umbra_guest_run(guest, 200000), UMBRA_EVENT_INSTRUCTION);
	assert_int_equal(guest->cpu[1]->segment[X86_CS].selector, 0x900);
	assert_int_equal(memory_read(&guest->memory, 0x7000, &count, 2), 0);
	assert_true(count > 20000);
	/* Running, it minds no further SIPI. */
	send(guest, 1, 0x460a);
	assert_int_equal(umbra_guest_run(guest, 300000), UMBRA_EVENT_INSTRUCTION);
	assert_int_equal(guest->cpu[1]->segment[X86_CS].selector, 0x900);
	assert_int_equal(memory_read(&guest->memory, 0x7000, &before, 2), 0);
	assert_true(before > count);
	send(guest, 1, 0x4500);
	assert_int_equal(umbra_guest_run(guest, 400000), UMBRA_EVENT_INSTRUCTION);
	assert_int_equal(memory_read(&guest->memory, 0x7000, &count, 2), 0);
	assert_int_equal(count, before);
	assert_int_equal(guest->cpu[2]->instructions, 0);
	umbra_guest_destroy(guest);
}

static void pause_keeps_the_turn_while_nobody_else_can_run(void **state)
{
	struct umbra_guest *guest = create(2, UMBRA_MODE_EPT, UMBRA_CLOCK_INSTRUCTIONS);
	uint64_t end;

	START(guest, 0, COUNT_AND_PAUSE);
	assert_int_equal(memory_write(&guest->memory, 0x9000, COUNT_IN_REAL_MODE, 6), 0);
	assert_int_equal(umbra_guest_run(guest, 100), UMBRA_EVENT_INSTRUCTION);
	end = guest->turn_end;
	assert_int_equal(umbra_guest_run(guest, 10000), UMBRA_EVENT_INSTRUCTION);
	assert_int_equal(guest->turn_end, end);
	send(guest, 1, 0x4500);
	send(guest, 1, 0x4609);
	assert_int_equal(umbra_guest_run(guest, 20000), UMBRA_EVENT_INSTRUCTION);
	assert_true(guest->cpu[0]->instructions < 10010);
	assert_true(guest->cpu[1]->instructions > 9990);
	umbra_guest_destroy(guest);
}

static void an_nmi_wakes_a_vcpu_that_no_interrupt_may(void **state)
{
	static const uint64_t gate[2] = {0x00008e0000080000 | ((CODE + 0x800) & 0xffff) |
						 ((CODE + 0x800) >> 16 & 0xffff) << 48,
					 0};
	struct umbra_guest *guest = create(2, UMBRA_MODE_EPT, UMBRA_CLOCK_INSTRUCTIONS);

	START(guest, 0, COUNT_FOREVER);
	START(guest, 1, HALT);
	guest->cpu[1]->idtr = (struct x86_table_register){IDT, 0xfff};
	assert_int_equal(memory_write(&guest->memory, IDT + 2 * 16, gate, sizeof(gate)), 0);
	assert_int_equal(memory_write(&guest->memory, CODE + 0x800, COUNT_FOREVER, 5), 0);
	assert_int_equal(umbra_guest_run(guest, 100000), UMBRA_EVENT_INSTRUCTION);
	assert_int_equal(guest->cpu[1]->instructions, 2);
	send(guest, 1, 0x4400);
	assert_int_equal(umbra_guest_run(guest, 200000), UMBRA_EVENT_INSTRUCTION);
	assert_true(guest->cpu[1]->instructions > 20000);
	umbra_guest_destroy(guest);
}

/* Its #UD handler is no instruction either, on a stack of its own each time: no end by itself. */
static void faults_without_an_instruction_end_the_guest(void **state)
{
	static const uint64_t gate[2] = {
		0x00008e0100080000 | (CODE & 0xffff) | (CODE >> 16 & 0xffff) << 48, 0};
	struct umbra_guest *guest = create(2, UMBRA_MODE_EPT, UMBRA_CLOCK_INSTRUCTIONS);

	START(guest, 0, "\x0f\x0b");
	START(guest, 1, COUNT_FOREVER);
	assert_int_equal(memory_write(&guest->memory, IDT + 6 * 16, gate, sizeof(gate)), 0);
	write64(guest, 0x6000 + 36, STACK); /* IST1 */
	guest->cpu[0]->idtr = (struct x86_table_register){IDT, 0xfff};
	guest->cpu[0]->tr.base = 0x6000;
	assert_int_equal(umbra_guest_run(guest, UINT64_MAX), UMBRA_EVENT_ENDED);
	assert_int_equal(umbra_guest_end(guest)->reason, UMBRA_END_ERROR);
	assert_non_null(strstr(umbra_guest_end(guest)->text, "faults in a row"));
	assert_int_equal(umbra_guest_end(guest)->cpu, 0);
	/* The other vCPU had its turns meanwhile. */
	assert_int_equal(guest->cpu[0]->instructions, 0);
	assert_true(guest->cpu[1]->instructions >= 10 * 20000);
	umbra_guest_destroy(guest);
}

/*
 * The timer's interrupt is unmasked at the PIC, whose base is 8 and whose in-service bit is never
 * cleared: mov al, 0x11; out 0x20; 8, 4, 1 to 0x21; mask 0xfe; sti; hlt; jmp back.
 */
#define TIMER_WITHOUT_EOI                                                                          \
	"\xb0\x11\xe6\x20\xb0\x20\xe6\x21\xb0\x04\xe6\x21\xb0\x01\xe6\x21\xb0\xfe\xe6\x21"         \
	"\xb0\x14\xe6\x43\xb0\xff\xe6\x40\xfb\xf4\xeb\xfd"

static void timer_events_that_wake_nobody_end_the_guest(void **state)
{
	static const uint64_t gate[2] = {0x00008e0000080000 | ((CODE + 0x100) & 0xffff) |
						 ((CODE + 0x100) >> 16 & 0xffff) << 48,
					 0};
	struct umbra_guest *guest = create(1, UMBRA_MODE_EPT, UMBRA_CLOCK_INSTRUCTIONS);

	START(guest, 0, TIMER_WITHOUT_EOI);
	/* iretq, and no end of interrupt */
	assert_int_equal(memory_write(&guest->memory, CODE + 0x100, "\x48\xcf", 2), 0);
	assert_int_equal(memory_write(&guest->memory, IDT + 0x20 * 16, gate, sizeof(gate)), 0);
	guest->cpu[0]->idtr = (struct x86_table_register){IDT, 0xfff};
	assert_int_equal(umbra_guest_run(guest, 1000000), UMBRA_EVENT_ENDED);
	assert_int_equal(umbra_guest_end(guest)->reason, UMBRA_END_HALTED);
	assert_non_null(strstr(umbra_guest_end(guest)->text, "did not wake it"));
	umbra_guest_destroy(guest);
}

static void a_guest_has_no_more_vcpus_than_the_core_takes(void **state)
{
	struct umbra_guest_config config = {
		.name = "turns", .mode = UMBRA_MODE_SHADOW, .memory = MEMORY};
	struct umbra_guest *guest;
	struct umbra_error error;

	config.cpus = UMBRA_MAX_CPUS + 1;
	assert_int_equal(umbra_guest_create(&config, &published, &guest, &error), -EINVAL);
	assert_non_null(strstr(error.text, "9 vCPUs"));
	config.cpus = UMBRA_MAX_CPUS;
	assert_int_equal(umbra_guest_create(&config, &published, &guest, &error), 0);
	assert_int_equal(umbra_guest_cpus(guest), UMBRA_MAX_CPUS);
	umbra_guest_destroy(guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(turns_are_equally_long),
		cmocka_unit_test(pause_gives_the_turn_away),
		cmocka_unit_test(a_cut_of_the_run_does_not_move_the_turns),
		cmocka_unit_test(time_never_runs_backwards_between_vcpus),
		cmocka_unit_test(code_written_by_one_is_executed_by_another),
		cmocka_unit_test(a_tlb_is_its_vcpus_own),
		cmocka_unit_test(one_vcpus_triple_fault_ends_the_guest_and_is_named),
		cmocka_unit_test(the_guest_is_halted_when_the_last_vcpu_is),
		cmocka_unit_test(a_vcpu_that_was_not_started_does_not_run),
		cmocka_unit_test(a_sipi_starts_a_vcpu_and_an_init_stops_it),
		cmocka_unit_test(pause_keeps_the_turn_while_nobody_else_can_run),
		cmocka_unit_test(an_nmi_wakes_a_vcpu_that_no_interrupt_may),
		cmocka_unit_test(faults_without_an_instruction_end_the_guest),
		cmocka_unit_test(timer_events_that_wake_nobody_end_the_guest),
		cmocka_unit_test(a_guest_has_no_more_vcpus_than_the_core_takes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
