/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Data accesses of instructions: segmentation, canonical and limit checks, page boundaries, the
 * TLB. One TLB look-up for each operand and page touched; a read-modify-write is one access.
 * All return false with the fault raised (the caller returns X86_FAULT).
 */
#ifndef X86_MEM_H
#define X86_MEM_H

#include "x86/cpu.h"

/* @size: 1 ... 64 bytes; @offset: within the segment. */
bool x86_load_slow(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size, void *ret);
bool x86_store_slow(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size, const void *bytes);

/* System structures (GDT, IDT, TSS): linear address, supervisor rights whatever CPL is. */
bool x86_load_system(struct x86_cpu *cpu, uint64_t linear, unsigned size, void *ret);
bool x86_store_system(struct x86_cpu *cpu, uint64_t linear, unsigned size, const void *bytes);

/* Values up to 8 bytes, zero-extended; these are the usual ones. (mem.h's owner makes them inline and fast.) */
bool x86_load(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size, uint64_t *ret);
bool x86_store(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size, uint64_t value);

/* A read-modify-write: begin translates for writing (both pages when it crosses) and reads the old
 * value; end writes the new one and cannot fault. */
struct x86_rmw {
	uint8_t *host[2];  /* second: NULL unless the operand crosses a page */
	uint8_t first;     /* bytes in the first page */
	uint8_t size;
};
bool x86_rmw_begin(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size,
		   struct x86_rmw *ret_rmw, uint64_t *ret_old);
void x86_rmw_end(struct x86_cpu *cpu, const struct x86_rmw *rmw, uint64_t value);

/* PUSH and POP of @size bytes on the current stack (stack size by SS.B and mode). */
bool x86_push(struct x86_cpu *cpu, unsigned size, uint64_t value);
bool x86_pop(struct x86_cpu *cpu, unsigned size, uint64_t *ret_value);

#endif
