/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vCPUs of a guest take turns in its one thread, as if they shared one processor: guest time is
 * what all of them have done together, and what they jumped over while all were halted. A turn is a
 * fixed amount of guest time; PAUSE, HLT and faults without end give the rest of it away. Nothing
 * here looks at the wall clock, so under the instructions clock turns change at the same
 * instructions in every mode and in every run.
 */
#include <string.h>

#include "engine/guest.h"
#include "x86/flags.h"

/*
 * Guest time of a turn. Shorter ones cost the host its caches at every change; longer ones let a
 * vCPU that waits without PAUSE waste more of what the others need (docs/cpu.md has the figures).
 */
#define TURN_TIME 20000
/* Guest time between two publications of the counters: a few milliseconds. */
#define PUBLISH_TIME 250000
/*
 * A halted guest whose timers go off without an interrupt that reaches a vCPU (the interrupt
 * controller waits for an end of interrupt, say) will not wake: after so many of them it has ended.
 */
#define MAX_IDLE_EVENTS (1u << 22)

/* What the vCPU itself has added to guest time. */
static uint64_t progress(const struct x86_cpu *cpu)
{
	return x86_time(cpu) - cpu->idle_time;
}

void guest_set_clock(struct umbra_guest *guest)
{
	uint64_t others = guest->jumped;

	for (unsigned i = 0; i < guest->nr_cpus; i++) {
		if (i != guest->turn)
			others += progress(guest->cpu[i]);
	}
	guest_cpu(guest)->idle_time = others;
}

void guest_begin_turn(struct umbra_guest *guest, unsigned cpu)
{
	guest->turn = cpu;
	guest_set_clock(guest);
	guest_cpu(guest)->paused = false;
	guest->turn_end = x86_time(guest_cpu(guest)) + TURN_TIME;
}

static void add_counters(struct umbra_counters *sum, const struct umbra_counters *more)
{
#define UMBRA_COUNTER(name, unit, kind, dimension, exposed, help)                                  \
	for (int i = 0; i < UMBRA_DIMENSION_##dimension##_COUNT; i++)                              \
		sum->name[i] += more->name[i];
#include "umbra/counters.def"
}

void guest_collect_counters(struct umbra_guest *guest)
{
	struct umbra_counters *c = &guest->counters;

	hw_counters(guest->hw[0], c);
	c->instructions[0] = guest->cpu[0]->instructions;
	c->cycles[0] = guest->cpu[0]->steps + hw_public(guest->hw[0])->cycles;
	for (unsigned i = 1; i < guest->nr_cpus; i++) {
		struct umbra_counters more;

		hw_counters(guest->hw[i], &more);
		add_counters(c, &more);
		c->instructions[0] += guest->cpu[i]->instructions;
		c->cycles[0] += guest->cpu[i]->steps + hw_public(guest->hw[i])->cycles;
	}
	c->time[0] = guest_soft_time(guest);
	c->memory_touched[0] = (uint64_t)guest->memory.touched * PAGE_SIZE;
	c->memory_tables[0] = (uint64_t)guest->memory.tables * PAGE_SIZE;
	umbra_counters_publish(guest->published, c);
}

static uint64_t instructions_of_others(const struct umbra_guest *guest)
{
	uint64_t others = 0;

	for (unsigned i = 0; i < guest->nr_cpus; i++) {
		if (i != guest->turn)
			others += guest->cpu[i]->instructions;
	}
	return others;
}

/* Runs the vCPU whose turn it is: to the end of the turn at most. */
static void run_turn(struct umbra_guest *guest, uint64_t until_instruction)
{
	struct x86_cpu *cpu = guest_cpu(guest);
	uint64_t others = instructions_of_others(guest);
	uint64_t until = x86_time(cpu) + PUBLISH_TIME;

	if (guest->nr_cpus > 1 && until > guest->turn_end)
		until = guest->turn_end;
	if (guest->interval && until > guest->next_interval)
		until = guest->next_interval;
	x86_run(cpu, until, until_instruction > others ? until_instruction - others : 0,
		&guest->kicked);
}

static bool turn_is_over(const struct umbra_guest *guest)
{
	const struct x86_cpu *cpu = guest_cpu(guest);

	return cpu->paused || x86_time(cpu) >= guest->turn_end || !x86_can_run(cpu);
}

/* The next vCPU that can run has its turn. False: none can. */
static bool next_turn(struct umbra_guest *guest)
{
	machine_advance(guest->machine, guest_soft_time(guest));
	for (unsigned i = 1; i <= guest->nr_cpus; i++) {
		unsigned next = (guest->turn + i) % guest->nr_cpus;

		if (!x86_can_run(guest->cpu[next]))
			continue;
		guest_begin_turn(guest, next);
		guest->idle_told = false;
		guest->idle_events = 0;
		return true;
	}
	return false;
}

static bool interrupts_can_wake(const struct umbra_guest *guest)
{
	for (unsigned i = 0; i < guest->nr_cpus; i++) {
		if (guest->cpu[i]->halted && (guest->cpu[i]->rflags & RFLAGS_IF))
			return true;
	}
	return false;
}

/* HLT of all vCPUs jumps to the next timer event, but not past the end of the interval. */
static void jump(struct umbra_guest *guest)
{
	uint64_t now = guest_soft_time(guest), next = machine_next_event(guest->machine);

	if (next == UINT64_MAX || !interrupts_can_wake(guest)) {
		x86_end(guest_cpu(guest), UMBRA_END_HALTED,
			"halted with nothing that could wake it");
		return;
	}
	if (guest->interval && next > guest->next_interval)
		next = guest->next_interval;
	else if (++guest->idle_events > MAX_IDLE_EVENTS)
		x86_end(guest_cpu(guest), UMBRA_END_HALTED,
			"halted, and %u timer events in a row did not wake it", MAX_IDLE_EVENTS);
	if (next > now) {
		guest->jumped += next - now;
		guest_set_clock(guest);
	}
	machine_advance(guest->machine, guest_soft_time(guest));
}

/* Whether the embedder must be told of something now. */
static bool happened(struct umbra_guest *guest, uint64_t until_instruction,
		     enum umbra_event *ret_event)
{
	if (guest_cpu(guest)->ended) {
		*ret_event = UMBRA_EVENT_ENDED;
	} else if (guest->interval && guest_soft_time(guest) >= guest->next_interval) {
		guest->next_interval += guest->interval;
		*ret_event = UMBRA_EVENT_INTERVAL;
	} else if (guest_cpu(guest)->instructions + instructions_of_others(guest) >=
		   until_instruction) {
		*ret_event = UMBRA_EVENT_INSTRUCTION;
	} else if (guest->kicked) {
		guest->kicked = false;
		*ret_event = UMBRA_EVENT_KICKED;
	} else {
		return false;
	}
	return true;
}

/* No vCPU can run: jumps, or first tells the embedder so that it can wait; then true. */
static bool idle(struct umbra_guest *guest, enum umbra_event *ret_event)
{
	if (guest->pace && !guest->idle_told && machine_next_event(guest->machine) != UINT64_MAX) {
		guest->idle_told = true;
		*ret_event = UMBRA_EVENT_IDLE;
		return true;
	}
	guest->idle_told = false;
	jump(guest);
	return false;
}

enum umbra_event soft_run(struct umbra_guest *guest, uint64_t until_instruction)
{
	uint64_t publish = guest_soft_time(guest) + PUBLISH_TIME;
	enum umbra_event event;
	bool told;

	do {
		if (!guest_cpu(guest)->ended)
			run_turn(guest, until_instruction);
		told = happened(guest, until_instruction, &event) ||
		       (turn_is_over(guest) && !next_turn(guest) && idle(guest, &event));
		if (told || guest_soft_time(guest) >= publish) {
			guest_collect_counters(guest);
			publish = guest_soft_time(guest) + PUBLISH_TIME;
		}
	} while (!told);
	return event;
}
