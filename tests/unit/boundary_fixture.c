/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boundary_fixture.h"

#include <stdio.h>

#define MAX_STEPS  20000u
#define MAX_PLACES 5u /* boundaries of one kind at which a program is switched */

static const enum umbra_mode modes[] = {UMBRA_MODE_BRUTE, UMBRA_MODE_SHADOW, UMBRA_MODE_EPT};

#define NR_MODES (sizeof(modes) / sizeof(modes[0]))

struct outcome {
	unsigned cpus;
	struct umbra_end end;
	struct umbra_registers registers[2];
	uint64_t dr[2][8];
	uint64_t instructions, time;
	unsigned steps;
	char hash[33];
};

static struct umbra_counters published;

/* The VMM's entry for exits of memory accesses, and how many of them were for guest tables. */
static enum hw_resume (*memory_exit)(void *vmm, struct hw *hw, const struct hw_exit *exit,
				     uint64_t *ret_hpa, uint32_t *ret_error_code);
static uint64_t table_exits;

static enum hw_resume count_table_exits(void *vmm, struct hw *hw, const struct hw_exit *exit,
					uint64_t *ret_hpa, uint32_t *ret_error_code)
{
	table_exits += exit->table;
	return memory_exit(vmm, hw, exit, ret_hpa, ret_error_code);
}

static void write64(struct umbra_guest *guest, uint64_t gpa, uint64_t value)
{
	assert_int_equal(memory_write(&guest->memory, gpa, &value, sizeof(value)), 0);
}

static void write_tables(struct umbra_guest *guest)
{
	const uint64_t flags = PTE_P | PTE_W;

	write64(guest, GUEST_PML4, GUEST_PDPT | flags);
	write64(guest, GUEST_PDPT, GUEST_PD | flags);
	write64(guest, GUEST_PDPT + 8, GUEST_FAR_PD | flags);
	write64(guest, GUEST_PDPT + 24, GUEST_APIC_PD | flags);
	write64(guest, GUEST_PD, GUEST_PT | flags);
	for (uint64_t page = 0; page < ENTRIES; page++)
		if (page != GUEST_ABSENT / PAGE_SIZE && page != 0x3a)
			write64(guest, GUEST_PT + 8 * page, page * PAGE_SIZE | flags);
	write64(guest, GUEST_APIC_PD + 8 * (0xfee00000 >> 21 & 511), 0xfee00000 | flags | PTE_PS);
	write64(guest, GUEST_FAR_PD, GUEST_FAR_PT | flags);
	for (uint64_t page = 0; page < 8; page++)
		write64(guest, GUEST_FAR_PT + 8 * page, (GUEST_FAR_AT + page * PAGE_SIZE) | flags);
}

static void write_descriptors(struct umbra_guest *guest, const struct program *program)
{
	write64(guest, GUEST_GDT + 8, 0x00af9b000000ffff);
	write64(guest, GUEST_GDT + 16, 0x00cf93000000ffff);
	write64(guest, GUEST_TSS + 36, GUEST_IST1);
	write64(guest, GUEST_TSS + 44, GUEST_IST2);
	for (unsigned i = 0; i < MAX_GATES && program->gates[i].handler; i++) {
		const struct gate *gate = &program->gates[i];
		uint64_t offset = program_address(program, gate->handler);

		write64(guest, GUEST_IDT + gate->vector * 16,
			(offset & 0xffff) | 8u << 16 | (uint64_t)gate->ist << 32 | 0x8e00ull << 32 |
				(offset >> 16 & 0xffff) << 48);
	}
}

static void start(struct umbra_guest *guest, unsigned number, uint64_t rip, uint64_t rsp)
{
	const struct boot_entry entry = {
		.long_mode = true,
		.rip = rip,
		.rsp = rsp,
		.cr3 = GUEST_PML4,
		.gdt_base = GUEST_GDT,
		.gdt_limit = 23,
		.cs = 8,
		.ds = 16,
	};
	struct x86_cpu *cpu = guest->cpu[number];

	assert_int_equal(x86_start(cpu, &entry), 0);
	cpu->idtr = (struct x86_table_register){GUEST_IDT, 0xfff};
	cpu->tr = (struct x86_segment){
		.base = GUEST_TSS, .limit = 0x67, .rights = SEG_P | SYS_TSS_BUSY};
	cpu->halted = cpu->wait_for_sipi = false;
	memory_exit = cpu->hw->vmm.memory_exit;
	cpu->hw->vmm.memory_exit = count_table_exits;
}

struct umbra_guest *boundary_create(const struct program *program, enum umbra_mode mode)
{
	const struct umbra_guest_config config = {
		.name = "boundary",
		.mode = mode,
		.clock = UMBRA_CLOCK_INSTRUCTIONS,
		.cpus = program->entry_1 ? 2 : 1,
		.memory = GUEST_MEMORY,
		.interval = 1,
	};
	struct umbra_guest *guest;
	uint8_t pattern[4 * PAGE_SIZE];

	assert_int_equal(umbra_guest_create(&config, &published, &guest, NULL), 0);
	write_tables(guest);
	write_descriptors(guest, program);
	for (unsigned i = 0; i < sizeof(pattern); i++)
		pattern[i] = i & 15;
	assert_int_equal(memory_write(&guest->memory, GUEST_PATTERN, pattern, sizeof(pattern)), 0);
	assert_int_equal(memory_write(&guest->memory, GUEST_CODE, program->code,
				      (size_t)(program->end - program->code)),
			 0);
	start(guest, 0, GUEST_CODE, GUEST_STACK);
	if (program->entry_1)
		start(guest, 1, program_address(program, program->entry_1), GUEST_STACK_1);
	return guest;
}

/* One instruction or iteration. False: it was the last one. */
static bool step(struct umbra_guest *guest)
{
	enum umbra_event event = umbra_guest_run(guest, UINT64_MAX);

	if (event == UMBRA_EVENT_ENDED)
		return false;
	assert_int_equal(event, UMBRA_EVENT_INTERVAL);
	return true;
}

static void finish(struct umbra_guest *guest, unsigned steps, struct outcome *ret)
{
	memset(ret, 0, sizeof(*ret));
	while (step(guest) && steps < MAX_STEPS)
		steps++;
	assert_non_null(umbra_guest_end(guest));
	ret->steps = steps;
	ret->cpus = umbra_guest_cpus(guest);
	ret->end = *umbra_guest_end(guest);
	ret->instructions = umbra_guest_counters(guest)->instructions[0];
	ret->time = umbra_guest_time(guest);
	for (unsigned i = 0; i < ret->cpus; i++) {
		umbra_guest_registers(guest, i, &ret->registers[i]);
		memcpy(ret->dr[i], guest->cpu[i]->dr, sizeof(ret->dr[i]));
	}
	umbra_guest_memory_hash(guest, ret->hash);
	umbra_guest_destroy(guest);
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
	assert_int_equal(a->end.reason, b->end.reason);
	assert_int_equal(a->end.value, b->end.value);
	assert_int_equal(a->instructions, b->instructions);
	assert_int_equal(a->time, b->time);
	assert_int_equal(a->steps, b->steps);
	assert_memory_equal(a->registers, b->registers, sizeof(a->registers));
	assert_memory_equal(a->dr, b->dr, sizeof(a->dr));
	assert_string_equal(a->hash, b->hash);
}

static uint64_t memory_exits(const struct umbra_guest *guest)
{
	const struct umbra_counters *counters = umbra_guest_counters(guest);

	return counters->exits[UMBRA_EXIT_page_fault] + counters->exits[UMBRA_EXIT_ept_violation];
}

/* What a mode does when it has begun: fills and walks. */
static uint64_t work(const struct umbra_guest *guest)
{
	const struct umbra_counters *counters = umbra_guest_counters(guest);

	return umbra_guest_mode(guest) == UMBRA_MODE_EPT ? counters->walk_references_nested[0]
							 : counters->shadow_fills[0];
}

/* Runs in mode @from and switches to @to after @steps, where the boundary must be. */
static void run_switched(const struct program *program, enum umbra_mode from, enum umbra_mode to,
			 unsigned steps, const struct outcome *expected)
{
	struct umbra_guest *guest = boundary_create(program, from);
	struct umbra_switch record;
	struct outcome outcome;
	uint64_t before;
	unsigned taken = 0;

	for (; taken < steps; taken++)
		assert_true(step(guest));
	assert_true(program->here(program, guest));
	assert_int_equal(umbra_guest_switch(guest, to, &record, NULL), 0);
	assert_int_equal(record.from, from);
	assert_int_equal(umbra_guest_mode(guest), to);
	/* Nothing of the boundary is gone. */
	assert_true(program->here(program, guest));
	before = program->exits ? memory_exits(guest) : work(guest);
	table_exits = 0;
	/* At once, but for a vCPU that is halted. */
	do {
		assert_true(step(guest));
		taken++;
	} while (guest_cpu(guest)->halted);
	assert_true((program->exits ? memory_exits(guest) : work(guest)) > before);
	if (to == UMBRA_MODE_EPT)
		assert_true(table_exits || !program->exits);
	finish(guest, taken, &outcome);
	assert_same(&outcome, expected);
}

/* A switch after each step, by the modes in this order or in the other one. */
static void run_always_switched(const struct program *program, unsigned first, unsigned by,
				const struct outcome *expected)
{
	struct umbra_guest *guest = boundary_create(program, modes[first]);
	struct outcome outcome;
	unsigned steps = 0;

	for (; step(guest) && steps < MAX_STEPS; steps++) {
		first = (first + by) % NR_MODES;
		assert_int_equal(umbra_guest_switch(guest, modes[first], NULL, NULL), 0);
	}
	assert_int_equal(umbra_guest_counters(guest)->switches[0], steps);
	finish(guest, steps, &outcome);
	assert_same(&outcome, expected);
}

/* After how many steps the boundary is there. */
static unsigned find_places(const struct program *program, unsigned places[MAX_STEPS])
{
	struct umbra_guest *guest = boundary_create(program, UMBRA_MODE_EPT);
	unsigned count = 0;

	for (unsigned steps = 1; step(guest) && steps < MAX_STEPS; steps++)
		if (program->here(program, guest))
			places[count++] = steps;
	umbra_guest_destroy(guest);
	return count;
}

void boundary_check(const struct program *program)
{
	static unsigned places[MAX_STEPS];
	struct outcome expected, outcome;
	const char *full = getenv("UMBRA_FULL");
	unsigned count, every = 1;

	finish(boundary_create(program, UMBRA_MODE_BARE), 0, &expected);
	if (expected.end.reason != UMBRA_END_DEBUG_EXIT || expected.end.value != program->value)
		fail_msg("ended by %s with %u at %#lx: %s",
			 umbra_end_reason_name(expected.end.reason), expected.end.value,
			 expected.end.rip, expected.end.text);
	for (unsigned i = 0; i < NR_MODES; i++) {
		finish(boundary_create(program, modes[i]), 0, &outcome);
		assert_same(&outcome, &expected);
	}
	count = find_places(program, places);
	assert_true(count > 0);
	if (count > MAX_PLACES && !(full && *full == '1'))
		every = count / MAX_PLACES;
	for (unsigned i = 0; i < NR_MODES; i++)
		for (unsigned k = 0; k < NR_MODES; k++)
			for (unsigned n = 0; i != k && n < count; n += every)
				run_switched(program, modes[i], modes[k], places[n], &expected);
	for (unsigned i = 0; i < NR_MODES; i++) {
		run_always_switched(program, i, 1, &expected);
		run_always_switched(program, i, NR_MODES - 1, &expected);
	}
}
