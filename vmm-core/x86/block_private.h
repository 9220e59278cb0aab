/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of the cache of decoded code, for the loop that executes it.
 *
 * A block is up to 64 instructions that follow each other within one page. It is found by the host
 * address of its first byte, hence by the host-physical one, and by the code mode; nothing in it
 * depends on a virtual address. A block is good as long as the generation of its frame has not
 * grown. Every write to such a frame asks for attention; there the count of all of them is looked
 * at (the epoch), and generations are compared only in a new epoch.
 */
#ifndef X86_BLOCK_PRIVATE_H
#define X86_BLOCK_PRIVATE_H

#include "x86/block.h"
#include "x86/decode.h"
#include "x86/mem.h"

#define BLOCK_INSNS 64
#define TABLE_BITS  14
#define TABLE_SIZE  (1u << TABLE_BITS)

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

	/* The block that is executed as a whole, NULL while single instructions are; until when
	 * others may follow it (steps, and where they are time: cycles), and how many. */
	struct block *running;
	uint64_t until_steps, until_instruction;
	uint64_t cycles_mask;
	unsigned follow;
};

static inline struct block *slot_of(struct x86_blocks *blocks, const uint8_t *host)
{
	uintptr_t address = (uintptr_t)host;

	return &blocks->table[(address ^ (address >> TABLE_BITS)) % TABLE_SIZE];
}

/* As x86_find_block(), where the block has to be decoded or validated. */
struct block *x86_find_block_slow(struct x86_cpu *cpu, const uint8_t *host);

/* The block at @host, decoded if need be. NULL: @host is in no frame, there can be none. */
static inline struct block *x86_find_block(struct x86_cpu *cpu, const uint8_t *host)
{
	struct x86_blocks *blocks = cpu->blocks;
	struct block *block = slot_of(blocks, host);

	if (__builtin_expect(block->host == host && block->mode == cpu->code_mode &&
				     block->epoch == blocks->epoch,
			     1))
		return block;
	return x86_find_block_slow(cpu, host);
}

/* As x86_fetch(), where the address must be checked and the lookaside does not know the page. */
const uint8_t *x86_fetch_slow(struct x86_cpu *cpu, uint64_t rip);

/* One instruction look-up; NULL: the fault is raised. A page in the lookaside is canonical. */
static inline const uint8_t *x86_fetch(struct x86_cpu *cpu, uint64_t rip)
{
	struct hw_public *p = hw_public(cpu->hw);
	uint64_t page = rip >> PAGE_SHIFT;
	struct hw_lookaside *entry = &p->fetch[cpu->privilege][page % HW_LOOKASIDE_SETS];

	if (__builtin_expect(cpu->code_mode == X86_CODE_64 && entry->page[0] == page, 1)) {
		hw_fetched(p, entry);
		return entry->host + (rip & PAGE_MASK);
	}
	return x86_fetch_slow(cpu, rip);
}

/*
 * An instruction that is not in the cache, at @host, whose page has been looked up. Where it
 * reaches into the next page that is another look-up.
 */
const struct x86_insn *x86_fetch_single(struct x86_cpu *cpu, const uint8_t *host);

#endif
