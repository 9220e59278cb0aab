/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cache of decoded code: decodes blocks, and fetches what is in none. */
#include "x86/block_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_INSNS (1u << 18) /* about 10 MiB; when it is full everything is decoded anew */

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
	return blocks->running ? blocks->running->host : blocks->fetched;
}

/* Decoding. */

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
	struct x86_insn insns[BLOCK_INSNS + 1];
	unsigned nr = 0;

	while (nr < BLOCK_INSNS && offset < len) {
		enum x86_place place = x86_decode(&blocks->decoders, cpu->code_mode, host + offset,
						  len - offset, &insns[nr]);

		if (place == X86_PLACE_CUT || (place == X86_PLACE_ALONE && nr > 0))
			break;
		offset += insns[nr].length;
		insns[nr++].end = (uint16_t)offset;
		if (place != X86_PLACE_ANY)
			break;
	}

	insns[nr] = (struct x86_insn){.thread = x86_block_end, .end = (uint16_t)offset};
	if (nr > block->capacity || !block->insns) {
		if (blocks->used + nr + 1 > ARENA_INSNS)
			forget_everything(blocks);
		block->insns = &blocks->arena[blocks->used];
		block->capacity = (uint8_t)nr;
		blocks->used += nr + 1;
	}
	memcpy(block->insns, insns, (nr + 1) * sizeof(insns[0]));
	block->nr = (uint8_t)nr;
	block->host = host;
	block->frame = frame;
	block->mode = cpu->code_mode;
	hw_code_cached(cpu->hw, frame);
	block->generation = hw_code_generation(cpu->hw, frame);
	block->epoch = blocks->epoch;
}

struct block *x86_find_block_slow(struct x86_cpu *cpu, const uint8_t *host)
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

/* Fetching. */

static uint64_t code_linear(const struct x86_cpu *cpu, uint64_t rip)
{
	return cpu->code_mode == X86_CODE_64 ? rip : (uint32_t)(cpu->segment[X86_CS].base + rip);
}

const uint8_t *x86_fetch_slow(struct x86_cpu *cpu, uint64_t rip)
{
	const uint8_t *host;

	if (cpu->code_mode == X86_CODE_64 ? !x86_canonical(cpu, rip)
					  : rip > cpu->segment[X86_CS].limit) {
		x86_raise_code(cpu, X86_GP, 0);
		return NULL;
	}
	host = hw_translate(cpu->hw, code_linear(cpu, rip), HW_FETCH, cpu->privilege);
	if (!host)
		x86_raise_memory_fault(cpu);
	return host;
}

const struct x86_insn *x86_fetch_single(struct x86_cpu *cpu, const uint8_t *host)
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
	host = x86_fetch(cpu, rip);
	if (!host)
		return NULL;
	memcpy(blocks->single_bytes + len, host, X86_MAX_LENGTH);
	x86_decode(&blocks->decoders, cpu->code_mode, blocks->single_bytes, len + X86_MAX_LENGTH,
		   &blocks->single);
	return &blocks->single;
}
