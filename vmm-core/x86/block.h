/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cache of decoded code. */
#ifndef X86_BLOCK_H
#define X86_BLOCK_H

#include "x86/cpu.h"

/* -ENOMEM. */
int x86_blocks_create(struct x86_blocks **ret_blocks);
/* NULL is allowed. */
void x86_blocks_destroy(struct x86_blocks *blocks);

/* Forgets that a REP or an interrupt waits: INIT came. */
void x86_blocks_abandon(struct x86_blocks *blocks);

/* The bytes of the instruction that executes alone in its block. */
const uint8_t *x86_blocks_fetched(const struct x86_blocks *blocks);

/*
 * Guest time in the middle of a block, at the instruction that executes. gpr[X86_RIP] is that of
 * the next one.
 */
uint64_t x86_exact_time(const struct x86_cpu *cpu);

#endif
