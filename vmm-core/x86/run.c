/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The loop that executes decoded code, and what lets one block follow another. */
#include "x86/block_private.h"
#include "x86/debug.h"
#include "x86/flags.h"

/* Blocks that follow each other by tail calls: a bound for compilers that make true calls of them.
 */
#define FOLLOW 64
/* Faults take no guest time: after so many the caller gets a look around all the same. */
#define MAX_ROUNDS 65536
/*
 * Faults whose handlers' first instructions fault again, without end: so many give the turn to the
 * other vCPUs, and so many end the guest, for neither time nor instructions would ever stop it.
 */
#define BARREN_TURN 65536
#define BARREN_END  (1u << 20)

void x86_blocks_abandon(struct x86_blocks *blocks)
{
	blocks->in_rep = blocks->window = false;
}

uint64_t x86_time(const struct x86_cpu *cpu)
{
	/* Instructions that ask execute alone in their block: steps is exact. */
	uint64_t time = cpu->steps + cpu->idle_time;

	return cpu->clock == UMBRA_CLOCK_CYCLES ? time + hw_public(cpu->hw)->cycles : time;
}

uint64_t x86_exact_time(const struct x86_cpu *cpu)
{
	const struct block *block = cpu->blocks->running;
	uint64_t done = cpu->unsettled;

	if (block) {
		const struct x86_insn *insn = block->insns;

		while (insn < block->insns + block->nr - 1 &&
		       insn->end < cpu->gpr[X86_RIP] - cpu->block_rip)
			insn++;
		done += (uint64_t)(insn - block->insns);
	}
	return x86_time(cpu) + done;
}

/* An event was delivered; see BARREN_TURN. */
static void count_barren(struct x86_cpu *cpu)
{
	if (cpu->barren_steps != cpu->steps) {
		cpu->barren_steps = cpu->steps;
		cpu->barren_faults = 0;
	}
	if (++cpu->barren_faults % BARREN_TURN)
		return;
	cpu->paused = x86_others_can_run(cpu);
	if (cpu->barren_faults >= BARREN_END)
		x86_end(cpu, UMBRA_END_ERROR, "%u faults in a row and no instruction between them",
			BARREN_END);
}

/* The executing instruction faulted, or ended the guest; rip is back at its start. */
static __attribute__((noinline)) void fault(struct x86_cpu *cpu)
{
	struct hw_public *p = hw_public(cpu->hw);

	cpu->blocks->in_rep = false;
	if (p->attention) {
		/* What the instruction did of its work is done before its handler's first access.
		 */
		hw_attend(cpu->hw);
		cpu->blocks->epoch = hw_code_writes(cpu->hw);
	}
	x86_debug_faulted(cpu);
	if (!cpu->ended)
		x86_deliver(cpu, cpu->fault_vector, X86_EVENT_EXCEPTION, cpu->fault_has_code,
			    cpu->fault_code);
	count_barren(cpu);
}

static void place_of_end(struct x86_cpu *cpu, uint64_t rip, unsigned length)
{
	cpu->end.rip = rip;
	if (cpu->end.nr_bytes || !length)
		return;
	cpu->end.nr_bytes = (uint8_t)length;
	memcpy(cpu->end.bytes, cpu->blocks->fetched, length);
}

/* Executes @block, whose page is looked up and which is not longer than @room. */
static inline __attribute__((always_inline)) const struct x86_insn *start(struct x86_cpu *cpu,
									  struct x86_blocks *blocks,
									  struct block *block,
									  uint64_t rip,
									  uint64_t room)
{
	const struct x86_insn *first = block->insns;

	blocks->running = block;
	/* A repeated string instruction is the last of its block. */
	cpu->rep_room = room - block->nr + 1;
	cpu->block_rip = rip;
	return first->thread(cpu, first);
}

const struct x86_insn *x86_step(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	x86_set_rip(cpu, insn);
	return x86_go_on(cpu, insn, insn->exec(cpu, insn));
}

/* A branch, or whatever else ends its block. */
const struct x86_insn *x86_step_last(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	x86_set_rip(cpu, insn);
	return x86_finish(cpu, insn, insn->exec(cpu, insn));
}

const struct x86_insn *x86_step_rip(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	x86_set_rip(cpu, insn);
	return insn->behind(cpu, insn);
}

const struct x86_insn *x86_block_end(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	x86_set_rip(cpu, insn);
	return x86_follow(cpu, insn);
}

/*
 * The block is done. Counts it and goes on with the one at RIP if that needs no more than a look:
 * in the lookaside, decoded, known to be up to date and short enough for what time is left.
 */
const struct x86_insn *x86_follow(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_blocks *blocks = cpu->blocks;
	struct hw_public *p = hw_public(cpu->hw);
	struct block *block = blocks->running;
	uint64_t rip = cpu->gpr[X86_RIP], page = rip >> PAGE_SHIFT, now, room;
	struct hw_lookaside *entry = &p->fetch[cpu->privilege][page % HW_LOOKASIDE_SETS];
	const uint8_t *host;

	if (__builtin_expect(!block, 0)) {
		cpu->result = X86_DONE;
		return insn;
	}
	now = cpu->steps += block->nr;
	room = blocks->until_instruction - (cpu->instructions += block->nr);
	/* With the look-up of the next block, which is taken back where it does not follow. */
	p->fetched_hits += block->nr;

	/* Hits in another kind of entry are counted elsewhere: x86_fetch() sees to it. */
	if (__builtin_expect(p->attention || entry->page[0] != page ||
				     entry->hits != p->fetched_hit ||
				     cpu->code_mode != X86_CODE_64 || !blocks->follow,
			     0))
		goto stop;
	host = entry->host + (rip & PAGE_MASK);
	block = slot_of(blocks, host);
	if (__builtin_expect(block->host != host || block->mode != X86_CODE_64 ||
				     block->epoch != blocks->epoch,
			     0))
		goto stop;
	now += p->cycles & blocks->cycles_mask;
	if (__builtin_expect(now >= blocks->until_steps, 0))
		goto stop;
	if (room > blocks->until_steps - now)
		room = blocks->until_steps - now;
	/* Nor one with no instruction of its own. */
	if (__builtin_expect(block->nr - 1ull >= room, 0))
		goto stop;
	blocks->follow--;
	return start(cpu, blocks, block, rip, room);

stop:
	p->fetched_hits--;
	cpu->result = X86_DONE;
	return insn;
}

enum x86_result x86_execute_one(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_insn block[] = {*insn, {.thread = x86_block_end}};

	block[0].end = 0;
	cpu->blocks->running = NULL;
	cpu->block_rip = cpu->gpr[X86_RIP];
	block[0].thread(cpu, block);
	return cpu->result == X86_ATTEND ? X86_DONE : cpu->result;
}

/* Counts the instructions from @first to before @next and does what the last one asks for. */
static __attribute__((noinline)) void settle(struct x86_cpu *cpu, const struct x86_insn *first,
					     const struct x86_insn *next, uint64_t rip,
					     enum x86_result result)
{
	uint64_t done = (uint64_t)(next - first);
	const struct x86_insn *last = next - 1;

	hw_fetched_again(cpu->hw, done - 1);
	cpu->steps += done;
	cpu->instructions += done;
	if (result == X86_DONE || result == X86_ATTEND)
		return;

	rip -= last->length;
	if (result == X86_AGAIN) {
		cpu->instructions--;
		cpu->blocks->in_rep = true;
		cpu->blocks->rep = *last;
	} else if (result == X86_FAULT) {
		cpu->steps--;
		cpu->instructions--;
		cpu->gpr[X86_RIP] = rip;
	}
	if (cpu->ended)
		place_of_end(cpu, rip, last == first ? last->length : 0);
	if (result == X86_FAULT)
		fault(cpu);
}

/* Executes up to @room instructions that follow each other; the first is looked up already. */
static enum x86_result run_insns(struct x86_cpu *cpu, const struct x86_insn *first, unsigned nr,
				 uint64_t room)
{
	const struct x86_insn *insn = first, *end = first + (room < nr ? room : nr);
	uint64_t rip = cpu->gpr[X86_RIP];
	enum x86_result result;

	/* A repeated string instruction is the last of its block. */
	cpu->rep_room = room >= nr ? room - nr + 1 : 1;
	do {
		rip += insn->length;
		cpu->gpr[X86_RIP] = rip;
		cpu->unsettled = (uint64_t)(insn - first);
		result = x86_execute_one(cpu, insn++);
	} while (result == X86_DONE && !hw_public(cpu->hw)->attention && insn < end);
	cpu->unsettled = 0;
	settle(cpu, first, insn, rip, result);
	return result;
}

/* Goes on with a REP that was left between two iterations. */
static enum x86_result run_rep(struct x86_cpu *cpu, uint64_t room)
{
	struct x86_blocks *blocks = cpu->blocks;
	uint64_t start = cpu->gpr[X86_RIP];
	enum x86_result result;

	cpu->rep_room = room;
	cpu->gpr[X86_RIP] = start + blocks->rep.length;
	result = blocks->rep.exec(cpu, &blocks->rep);
	if (result == X86_FAULT) {
		cpu->gpr[X86_RIP] = start;
		if (cpu->ended)
			place_of_end(cpu, start, 0);
		fault(cpu);
		return result;
	}
	cpu->steps++;
	if (result != X86_AGAIN) {
		cpu->instructions++;
		blocks->in_rep = false;
	}
	return result;
}

/* The instruction at @host, whose page is looked up, on its own and not from the cache. */
static __attribute__((noinline)) enum x86_result run_single(struct x86_cpu *cpu,
							    const uint8_t *host)
{
	const struct x86_insn *insn = x86_fetch_single(cpu, host);

	if (!insn) {
		fault(cpu);
		return X86_FAULT;
	}
	return run_insns(cpu, insn, 1, 1);
}

/* Outside 64-bit mode code has a limit; where it is near each instruction is checked. */
static __attribute__((noinline)) enum x86_result run_legacy(struct x86_cpu *cpu, uint64_t room)
{
	uint32_t limit = cpu->segment[X86_CS].limit;
	uint64_t rip = (uint32_t)cpu->gpr[X86_RIP];
	const struct x86_insn *insn;
	const uint8_t *host;
	struct block *block;
	unsigned nr = 1;

	cpu->gpr[X86_RIP] = rip;
	host = x86_fetch(cpu, rip);
	if (!host)
		goto faulted;
	block = x86_find_block(cpu, host);
	if (block && block->nr) {
		cpu->blocks->fetched = host;
		insn = block->insns;
		nr = block->nr;
	} else {
		insn = x86_fetch_single(cpu, host);
		if (!insn)
			goto faulted;
	}
	/* A block lies within one page; where that one lies within the limit, so does the block. */
	if ((rip | PAGE_MASK) > limit || limit - (rip | PAGE_MASK) < X86_MAX_LENGTH) {
		room = 1;
		if (rip + insn->length - 1 > limit) {
			x86_raise_code(cpu, X86_GP, 0);
			goto faulted;
		}
	}
	return run_insns(cpu, insn, nr, room);

faulted:
	fault(cpu);
	return X86_FAULT;
}

/* Fetches and decodes where needed, and executes blocks for at most @room. */
static enum x86_result run_block(struct x86_cpu *cpu, uint64_t room)
{
	struct x86_blocks *blocks = cpu->blocks;
	const struct x86_insn *last;
	const uint8_t *host;
	struct block *block;

	if (__builtin_expect(cpu->code_mode != X86_CODE_64, 0))
		return run_legacy(cpu, room);
	host = x86_fetch(cpu, cpu->gpr[X86_RIP]);
	if (__builtin_expect(!host, 0)) {
		fault(cpu);
		return X86_FAULT;
	}
	block = x86_find_block(cpu, host);
	if (__builtin_expect(!block || !block->nr, 0))
		return run_single(cpu, host);
	if (__builtin_expect(block->nr > room, 0)) {
		blocks->fetched = host;
		return run_insns(cpu, block->insns, block->nr, room);
	}
	blocks->follow = FOLLOW;
	last = start(cpu, blocks, block, cpu->gpr[X86_RIP], room);
	block = blocks->running;
	blocks->running = NULL;
	blocks->fetched = block->host;
	if (cpu->result != X86_DONE)
		settle(cpu, block->insns, last + 1, cpu->block_rip + last->end, cpu->result);
	return cpu->result;
}

/* Between two instructions: what the MMU or the VMM put off until now. */
static void attend(struct x86_cpu *cpu)
{
	if (__builtin_expect(hw_public(cpu->hw)->attention, 0)) {
		hw_attend(cpu->hw);
		cpu->blocks->epoch = hw_code_writes(cpu->hw);
	}
	if (__builtin_expect(hw_failed(cpu->hw), 0))
		x86_end(cpu, UMBRA_END_ERROR, "%s", hw_error_text(cpu->hw));
}

/* Executes until something needs a look at the machine. */
static void run_blocks(struct x86_cpu *cpu, uint64_t deadline, uint64_t until_instruction,
		       const volatile bool *stop)
{
	struct hw_public *p = hw_public(cpu->hw);
	enum x86_result result;
	uint64_t now, room;

	cpu->device_accessed = false;
	/* What HLT jumped over does not change while blocks execute. */
	cpu->blocks->cycles_mask = cpu->clock == UMBRA_CLOCK_CYCLES ? UINT64_MAX : 0;
	cpu->blocks->until_steps = deadline > cpu->idle_time ? deadline - cpu->idle_time : 0;
	cpu->blocks->until_instruction = until_instruction;
	do {
		now = x86_time(cpu);
		if (now >= deadline || cpu->instructions >= until_instruction)
			return;
		room = deadline - now;
		if (room > until_instruction - cpu->instructions)
			room = until_instruction - cpu->instructions;
		result = cpu->blocks->in_rep ? run_rep(cpu, deadline - now) : run_block(cpu, room);
		if (__builtin_expect(p->attention, 0)) {
			attend(cpu);
			if (cpu->ended || cpu->device_accessed)
				return;
		}
	} while ((result == X86_DONE || result == X86_AGAIN || result == X86_ATTEND) && !*stop);
}

/*
 * One instruction or REP iteration on its own: TF or RF is set, DR7 enables a breakpoint, or the
 * instruction before casts a shadow (@shadow).
 */
static void run_one(struct x86_cpu *cpu, unsigned shadow)
{
	uint64_t resume = cpu->rflags & RFLAGS_RF;
	enum x86_result result;

	if (cpu->breakpoints && !cpu->blocks->in_rep && !resume && !(shadow & X86_SHADOW_SS) &&
	    x86_debug_fetch(cpu)) {
		attend(cpu);
		return;
	}
	/* RF is of one instruction only; IRET may set it for the next one (SDM 3B 17.3.1.1). */
	cpu->rflags &= ~(uint64_t)RFLAGS_RF;
	cpu->single_step = cpu->rflags & RFLAGS_TF;
	cpu->blocks->until_instruction = cpu->instructions + 1; /* nothing follows */
	result = cpu->blocks->in_rep ? run_rep(cpu, 1) : run_block(cpu, 1);
	if (result != X86_FAULT)
		x86_debug_retired(cpu);
	cpu->single_step = false;
	attend(cpu);
}

/* An event comes between two iterations of a REP: RF is set in what its handler returns to. */
static void leave_rep(struct x86_cpu *cpu)
{
	if (cpu->blocks->in_rep)
		cpu->rflags |= RFLAGS_RF;
	cpu->blocks->in_rep = false;
}

/* What the last instruction left behind, and NMI. Returns true when something was delivered. */
static bool take_pending(struct x86_cpu *cpu)
{
	if (__builtin_expect(!cpu->pending, 1) || !x86_pending_due(cpu))
		return false;
	leave_rep(cpu);
	x86_deliver_pending(cpu);
	count_barren(cpu);
	attend(cpu);
	return true;
}

/* Takes a pending interrupt if the CPU lets it in now. Returns true when it did. */
static bool take_interrupt(struct x86_cpu *cpu)
{
	struct x86_blocks *blocks = cpu->blocks;

	if (!machine_interrupt_pending(cpu->machine, cpu->index)) {
		blocks->window = false;
		return false;
	}
	if (!(cpu->rflags & RFLAGS_IF)) {
		blocks->window = true;
		return false;
	}
	if (cpu->interrupt_shadow)
		return false;

	hw_event(cpu->hw, UMBRA_EXIT_external_interrupt);
	if (blocks->window)
		hw_event(cpu->hw, UMBRA_EXIT_interrupt_window);
	blocks->window = false;
	leave_rep(cpu);
	cpu->halted = false;
	x86_deliver(cpu, machine_interrupt_acknowledge(cpu->machine, cpu->index),
		    X86_EVENT_EXTERNAL, false, 0);
	attend(cpu);
	return true;
}

bool x86_can_run(const struct x86_cpu *cpu)
{
	if (machine_signal_pending(cpu->machine, cpu->index))
		return true;
	if (cpu->wait_for_sipi)
		return false;
	return !cpu->halted || x86_pending_due(cpu) ||
	       ((cpu->rflags & RFLAGS_IF) && machine_interrupt_pending(cpu->machine, cpu->index));
}

bool x86_others_can_run(const struct x86_cpu *cpu)
{
	for (unsigned i = 0; i < cpu->nr_cpus; i++) {
		if (cpu->cpus[i] != cpu && x86_can_run(cpu->cpus[i]))
			return true;
	}
	return false;
}

/* NMI, INIT or SIPI came. What INIT leaves of the boot processor would go on in the firmware. */
static __attribute__((noinline)) void take_signal(struct x86_cpu *cpu)
{
	uint8_t vector = 0;

	switch (machine_take_signal(cpu->machine, cpu->index, &vector)) {
	case MACHINE_NMI: x86_nmi(cpu); break;
	case MACHINE_INIT:
		if (cpu->index == 0)
			x86_end(cpu, UMBRA_END_RESET, "INIT of the boot processor");
		else if (x86_init(cpu))
			x86_end(cpu, UMBRA_END_ERROR, "%s", hw_error_text(cpu->hw));
		break;
	case MACHINE_SIPI: x86_sipi(cpu, vector); break;
	case MACHINE_NONE: break;
	}
	attend(cpu);
}

void x86_run(struct x86_cpu *cpu, uint64_t until_time, uint64_t until_instruction,
	     const volatile bool *stop)
{
	uint64_t now, deadline;
	unsigned rounds = 0;

	/* Loaders, devices and the VMM may have written to code since. */
	cpu->blocks->epoch = hw_code_writes(cpu->hw);
	attend(cpu);
	while (!cpu->ended && !cpu->paused && !*stop && rounds++ < MAX_ROUNDS) {
		now = x86_time(cpu);
		if (now >= machine_next_event(cpu->machine))
			machine_advance(cpu->machine, now);
		if (now >= until_time || cpu->instructions >= until_instruction)
			return;
		if (__builtin_expect(machine_signal_pending(cpu->machine, cpu->index), 0)) {
			take_signal(cpu);
			continue;
		}
		if (cpu->wait_for_sipi)
			return;
		if (take_pending(cpu) || take_interrupt(cpu))
			continue;
		if (cpu->halted)
			return;
		if (cpu->interrupt_shadow || cpu->breakpoints ||
		    (cpu->rflags & (RFLAGS_TF | RFLAGS_RF))) {
			unsigned shadow = cpu->interrupt_shadow;

			cpu->interrupt_shadow = 0;
			run_one(cpu, shadow);
			continue;
		}
		deadline = machine_next_event(cpu->machine);
		run_blocks(cpu, deadline < until_time ? deadline : until_time, until_instruction,
			   stop);
	}
}
