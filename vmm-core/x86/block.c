/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache of decoded code, and the loop that executes it.
 *
 * A block is up to 64 instructions that follow each other within one page. It is found by the host
 * address of its first byte, hence by the host-physical one, and by the code mode; nothing in it
 * depends on a virtual address. A block is good as long as the generation of its frame has not
 * grown. Every write to such a frame asks for attention; there the count of all of them is looked
 * at (the epoch), and generations are compared only in a new epoch.
 */
#include "x86/block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "x86/debug.h"
#include "x86/decode.h"
#include "x86/flags.h"
#include "x86/mem.h"

#define BLOCK_INSNS 64
#define TABLE_BITS  14
#define TABLE_SIZE  (1u << TABLE_BITS)
#define ARENA_INSNS (1u << 18) /* about 10 MiB; when it is full everything is decoded anew */
/* Faults take no guest time: after so many the caller gets a look around all the same. */
#define MAX_ROUNDS 65536

struct block {
	const uint8_t *host; /* of the first byte; NULL: empty */
	struct x86_insn *insns;
	uint64_t frame;
	uint64_t epoch; /* in which the generation was last found unchanged */
	uint32_t generation;
	uint8_t mode;
	uint8_t nr;       /* 0: its first instruction reaches into the next page */
	uint8_t capacity; /* of insns */
};

struct x86_blocks {
	struct x86_decoders decoders;
	uint64_t epoch;
	struct block table[TABLE_SIZE];
	struct x86_insn *arena;
	size_t used;

	/* An instruction that is not cached: it crosses a page, or lies in no frame. */
	struct x86_insn single;
	uint8_t single_bytes[2 * X86_MAX_LENGTH];
	const uint8_t *fetched;

	/* A REP whose next iteration is due; it is not fetched again. */
	bool in_rep;
	struct x86_insn rep;

	bool window; /* an interrupt waited for IF */
};

int x86_blocks_create(struct x86_blocks **ret_blocks)
{
	struct x86_blocks *blocks = calloc(1, sizeof(*blocks));

	if (!blocks)
		return -ENOMEM;
	blocks->arena = calloc(ARENA_INSNS, sizeof(*blocks->arena));
	if (!blocks->arena) {
		free(blocks);
		return -ENOMEM;
	}
	x86_decoders_init(&blocks->decoders);
	*ret_blocks = blocks;
	return 0;
}

void x86_blocks_destroy(struct x86_blocks *blocks)
{
	if (!blocks)
		return;
	free(blocks->arena);
	free(blocks);
}

const uint8_t *x86_blocks_fetched(const struct x86_blocks *blocks)
{
	return blocks->fetched;
}

uint64_t x86_time(const struct x86_cpu *cpu)
{
	/* Instructions that ask execute alone in their block: steps is exact. */
	uint64_t time = cpu->steps + cpu->idle_time;

	return cpu->clock == UMBRA_CLOCK_CYCLES ? time + hw_public(cpu->hw)->cycles : time;
}

/* Decoding. */

static struct block *slot_of(struct x86_blocks *blocks, const uint8_t *host)
{
	uintptr_t address = (uintptr_t)host;

	return &blocks->table[(address ^ (address >> TABLE_BITS)) % TABLE_SIZE];
}

static void forget_everything(struct x86_blocks *blocks)
{
	memset(blocks->table, 0, sizeof(blocks->table));
	blocks->used = 0;
}

static void build_block(struct x86_cpu *cpu, struct block *block, const uint8_t *host,
			uint64_t frame)
{
	struct x86_blocks *blocks = cpu->blocks;
	size_t len = PAGE_SIZE - ((uintptr_t)host & PAGE_MASK), offset = 0;
	struct x86_insn insns[BLOCK_INSNS];
	unsigned nr = 0;

	while (nr < BLOCK_INSNS && offset < len) {
		enum x86_place place = x86_decode(&blocks->decoders, cpu->code_mode, host + offset,
						  len - offset, &insns[nr]);

		if (place == X86_PLACE_CUT || (place == X86_PLACE_ALONE && nr > 0))
			break;
		offset += insns[nr++].length;
		if (place != X86_PLACE_ANY)
			break;
	}

	if (nr > block->capacity || !block->insns) {
		if (blocks->used + nr > ARENA_INSNS)
			forget_everything(blocks);
		block->insns = &blocks->arena[blocks->used];
		block->capacity = (uint8_t)nr;
		blocks->used += nr;
	}
	memcpy(block->insns, insns, nr * sizeof(insns[0]));
	block->nr = (uint8_t)nr;
	block->host = host;
	block->frame = frame;
	block->mode = cpu->code_mode;
	hw_code_cached(cpu->hw, frame);
	block->generation = hw_code_generation(cpu->hw, frame);
	block->epoch = blocks->epoch;
}

/* As find_block(), where the block has to be decoded or validated. */
static __attribute__((noinline)) struct block *find_block_slow(struct x86_cpu *cpu,
							       const uint8_t *host)
{
	struct x86_blocks *blocks = cpu->blocks;
	struct block *block = slot_of(blocks, host);
	uint64_t frame;

	if (block->host == host && block->mode == cpu->code_mode &&
	    hw_code_generation(cpu->hw, block->frame) == block->generation) {
		block->epoch = blocks->epoch;
		return block;
	}
	frame = hw_frame_of(cpu->hw, host);
	if (frame == HW_NO_PAGE)
		return NULL;
	build_block(cpu, block, host, frame);
	return block;
}

/* The block at @host, decoded if need be. NULL: @host is in no frame, there can be none. */
static inline struct block *find_block(struct x86_cpu *cpu, const uint8_t *host)
{
	struct x86_blocks *blocks = cpu->blocks;
	struct block *block = slot_of(blocks, host);

	if (__builtin_expect(block->host == host && block->mode == cpu->code_mode &&
				     block->epoch == blocks->epoch,
			     1))
		return block;
	return find_block_slow(cpu, host);
}

/* Fetching. */

static uint64_t code_linear(const struct x86_cpu *cpu, uint64_t rip)
{
	return cpu->code_mode == X86_CODE_64 ? rip : (uint32_t)(cpu->segment[X86_CS].base + rip);
}

/* As fetch(), where the address must be checked and the lookaside does not know the page. */
static __attribute__((noinline)) const uint8_t *fetch_slow(struct x86_cpu *cpu, uint64_t rip)
{
	const uint8_t *host;

	if (cpu->code_mode == X86_CODE_64 ? !x86_canonical(rip)
					  : rip > cpu->segment[X86_CS].limit) {
		x86_raise_code(cpu, X86_GP, 0);
		return NULL;
	}
	host = hw_translate(cpu->hw, code_linear(cpu, rip), HW_FETCH, cpu->cpl == 3);
	if (!host)
		x86_raise_memory_fault(cpu);
	return host;
}

/* One instruction look-up; NULL: the fault is raised. A page in the lookaside is canonical. */
static inline const uint8_t *fetch(struct x86_cpu *cpu, uint64_t rip)
{
	struct hw_public *p = hw_public(cpu->hw);
	uint64_t page = rip >> PAGE_SHIFT;
	struct hw_lookaside *entry = &p->fetch[cpu->cpl == 3][page % HW_LOOKASIDE_SETS];

	if (__builtin_expect(cpu->code_mode == X86_CODE_64 && entry->page[0] == page, 1)) {
		p->counters.tlb_hits[UMBRA_TLB_l1_instruction]++;
		return entry->host + (rip & PAGE_MASK);
	}
	return fetch_slow(cpu, rip);
}

/*
 * An instruction that is not in the cache, at @host, whose page has been looked up. Where it
 * reaches into the next page that is another look-up.
 */
static const struct x86_insn *fetch_single(struct x86_cpu *cpu, const uint8_t *host)
{
	struct x86_blocks *blocks = cpu->blocks;
	size_t len = PAGE_SIZE - ((uintptr_t)host & PAGE_MASK);
	uint64_t rip = cpu->gpr[X86_RIP];

	if (len > X86_MAX_LENGTH)
		len = X86_MAX_LENGTH;
	memcpy(blocks->single_bytes, host, len);
	blocks->fetched = blocks->single_bytes;
	if (x86_decode(&blocks->decoders, cpu->code_mode, blocks->single_bytes, len,
		       &blocks->single) != X86_PLACE_CUT)
		return &blocks->single;

	rip += len;
	if (cpu->code_mode != X86_CODE_64)
		rip = (uint32_t)rip;
	host = fetch(cpu, rip);
	if (!host)
		return NULL;
	memcpy(blocks->single_bytes + len, host, X86_MAX_LENGTH);
	x86_decode(&blocks->decoders, cpu->code_mode, blocks->single_bytes, len + X86_MAX_LENGTH,
		   &blocks->single);
	return &blocks->single;
}

/* Executing. */

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
	if (!cpu->ended)
		x86_deliver(cpu, cpu->fault_vector, X86_EVENT_EXCEPTION, cpu->fault_has_code,
			    cpu->fault_code);
}

static void place_of_end(struct x86_cpu *cpu, uint64_t rip, unsigned length)
{
	cpu->end.rip = rip;
	if (cpu->end.nr_bytes || !length)
		return;
	cpu->end.nr_bytes = (uint8_t)length;
	memcpy(cpu->end.bytes, cpu->blocks->fetched, length);
}

/*
 * Executes from @insn on until @end, or until an instruction wants something else than to go on.
 * Returns what the last one returned; *ret_insn is the one behind it, *ret_rip its address.
 */
static inline __attribute__((always_inline)) enum x86_result execute(
	struct x86_cpu *cpu, const struct x86_insn *insn, const struct x86_insn *end,
	const struct x86_insn **ret_insn, uint64_t *ret_rip)
{
	struct hw_public *p = hw_public(cpu->hw);
	uint64_t rip = cpu->gpr[X86_RIP];
	enum x86_result result;

	do {
		rip += insn->length;
		cpu->gpr[X86_RIP] = rip;
		result = insn->exec(cpu, insn);
		insn++;
		if (__builtin_expect(result != X86_DONE, 0) || __builtin_expect(p->attention, 0))
			break;
	} while (insn < end);
	*ret_insn = insn;
	*ret_rip = rip;
	return result;
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
	if (result == X86_DONE)
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
	const struct x86_insn *next;
	enum x86_result result;
	uint64_t rip;

	/* A repeated string instruction is the last of its block. */
	cpu->rep_room = room >= nr ? room - nr + 1 : 1;
	result = execute(cpu, first, first + (room < nr ? room : nr), &next, &rip);
	settle(cpu, first, next, rip, result);
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
	const struct x86_insn *insn = fetch_single(cpu, host);

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
	host = fetch(cpu, rip);
	if (!host)
		goto faulted;
	block = find_block(cpu, host);
	if (block && block->nr) {
		cpu->blocks->fetched = host;
		insn = block->insns;
		nr = block->nr;
	} else {
		insn = fetch_single(cpu, host);
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

/* Fetches, decodes where needed and executes one block, cut to @room. */
static inline __attribute__((always_inline)) enum x86_result run_block(struct x86_cpu *cpu,
								       uint64_t room)
{
	uint64_t rip = cpu->gpr[X86_RIP];
	const struct x86_insn *next;
	const uint8_t *host;
	struct block *block;
	enum x86_result result;
	unsigned nr;

	if (__builtin_expect(cpu->code_mode != X86_CODE_64, 0))
		return run_legacy(cpu, room);
	host = fetch(cpu, rip);
	if (__builtin_expect(!host, 0)) {
		fault(cpu);
		return X86_FAULT;
	}
	block = find_block(cpu, host);
	if (__builtin_expect(!block || !block->nr, 0))
		return run_single(cpu, host);

	nr = block->nr;
	cpu->blocks->fetched = host;
	if (__builtin_expect(nr > room, 0))
		return run_insns(cpu, block->insns, nr, room);
	/* A repeated string instruction is the last of its block. */
	cpu->rep_room = room - nr + 1;
	result = execute(cpu, block->insns, block->insns + nr, &next, &rip);
	if (__builtin_expect(result == X86_DONE && next == block->insns + nr, 1)) {
		hw_fetched_again(cpu->hw, nr - 1);
		cpu->steps += nr;
		cpu->instructions += nr;
	} else {
		settle(cpu, block->insns, next, rip, result);
	}
	return result;
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
			if (cpu->ended)
				return;
		}
	} while ((result == X86_DONE || result == X86_AGAIN) && !*stop);
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
	result = cpu->blocks->in_rep ? run_rep(cpu, 1) : run_block(cpu, 1);
	x86_debug_retired(cpu, result != X86_FAULT);
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
	attend(cpu);
	return true;
}

/* Takes a pending interrupt if the CPU lets it in now. Returns true when it did. */
static bool take_interrupt(struct x86_cpu *cpu)
{
	struct x86_blocks *blocks = cpu->blocks;

	if (!machine_interrupt_pending(cpu->machine)) {
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
	x86_deliver(cpu, machine_interrupt_acknowledge(cpu->machine), X86_EVENT_EXTERNAL, false, 0);
	attend(cpu);
	return true;
}

void x86_run(struct x86_cpu *cpu, uint64_t until_time, uint64_t until_instruction,
	     const volatile bool *stop)
{
	uint64_t now, deadline;
	unsigned rounds = 0;

	/* Loaders, devices and the VMM may have written to code since. */
	cpu->blocks->epoch = hw_code_writes(cpu->hw);
	attend(cpu);
	while (!cpu->ended && !*stop && rounds++ < MAX_ROUNDS) {
		now = x86_time(cpu);
		if (now >= machine_next_event(cpu->machine))
			machine_advance(cpu->machine, now);
		if (now >= until_time || cpu->instructions >= until_instruction)
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
