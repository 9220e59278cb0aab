/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Data accesses of instructions: segmentation, canonical and limit checks, page boundaries, the
 * TLB. One TLB look-up for each operand and page touched; a read-modify-write is one access.
 * All return false with the fault raised (the caller returns X86_FAULT).
 */
#ifndef X86_MEM_H
#define X86_MEM_H

#include <string.h>

#include "memory/memory.h"
#include "x86/cpu.h"

/* @size: 1 ... 64 bytes; @offset: within the segment. */
bool x86_load_slow(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size,
		   void *ret);
bool x86_store_slow(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size,
		    const void *bytes);

/* System structures (GDT, IDT, TSS): linear address, supervisor rights whatever CPL is. */
bool x86_load_system(struct x86_cpu *cpu, uint64_t linear, unsigned size, void *ret);
bool x86_store_system(struct x86_cpu *cpu, uint64_t linear, unsigned size, const void *bytes);

/* Raises what hw_translate() returned NULL for: #PF, or the end when the VMM has no more frames. */
void x86_raise_memory_fault(struct x86_cpu *cpu);

/* Bits 63:47 are all equal (SDM 1 3.3.7.1, 48-bit linear addresses). */
static inline bool x86_canonical(uint64_t address)
{
	return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

/*
 * The host bytes of an operand when the lookaside knows its page: the look-up is counted. NULL: not
 * known there, or not within one page, or a segment must be checked: take the slow way, nothing has
 * been counted. A page in the lookaside is canonical.
 */
static inline __attribute__((always_inline)) uint8_t *
x86_fast(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size,
	 enum hw_access access)
{
	struct hw_public *p = hw_public(cpu->hw);
	struct hw_lookaside *entry;
	uint64_t page;

	if (__builtin_expect(cpu->code_mode != X86_CODE_64, 0))
		return NULL;
	if (__builtin_expect(segment >= X86_FS, 0))
		offset += cpu->segment[segment].base;
	page = offset >> PAGE_SHIFT;
	entry = &p->data[cpu->cpl == 3][page % HW_LOOKASIDE_SETS];
	if (__builtin_expect(entry->page[access == HW_WRITE] != page, 0) ||
	    __builtin_expect((offset & PAGE_MASK) > PAGE_SIZE - size, 0))
		return NULL;
	p->counters.tlb_hits[UMBRA_TLB_l1_data]++;
	return entry->host + (offset & PAGE_MASK);
}

static inline __attribute__((always_inline)) uint64_t x86_get(const uint8_t *host, unsigned size)
{
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	switch (size) {
	case 1: return *host;
	case 2: memcpy(&v16, host, sizeof(v16)); return v16;
	case 4: memcpy(&v32, host, sizeof(v32)); return v32;
	default: memcpy(&v64, host, sizeof(v64)); return v64;
	}
}

static inline __attribute__((always_inline)) void x86_put(uint8_t *host, unsigned size,
							  uint64_t value)
{
	switch (size) {
	case 1: *host = (uint8_t)value; break;
	case 2: memcpy(host, &value, 2); break;
	case 4: memcpy(host, &value, 4); break;
	default: memcpy(host, &value, 8); break;
	}
}

/* The operand reaches into the next page. */
#define X86_CROSSES ((uint8_t *)UINTPTR_MAX)

/*
 * Where the lookaside could not answer: checks segment and address and looks up the page. NULL: the
 * fault is raised. X86_CROSSES: nothing is looked up yet, take the way for operands in two pages.
 */
uint8_t *x86_operand(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size,
		     enum hw_access access);

/* Values of 1, 2, 4, 8 bytes, zero-extended; these are the usual ones. */
static inline __attribute__((always_inline)) bool
x86_load(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size, uint64_t *ret)
{
	const uint8_t *host = x86_fast(cpu, segment, offset, size, HW_READ);
	uint64_t value = 0;

	if (__builtin_expect(!host, 0)) {
		host = x86_operand(cpu, segment, offset, size, HW_READ);
		if (!host)
			return false;
		if (__builtin_expect(host == X86_CROSSES, 0)) {
			if (!x86_load_slow(cpu, segment, offset, size, &value))
				return false;
			*ret = value;
			return true;
		}
	}
	*ret = x86_get(host, size);
	return true;
}

static inline __attribute__((always_inline)) bool
x86_store(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size, uint64_t value)
{
	uint8_t *host = x86_fast(cpu, segment, offset, size, HW_WRITE);

	if (__builtin_expect(!host, 0)) {
		host = x86_operand(cpu, segment, offset, size, HW_WRITE);
		if (!host)
			return false;
		if (__builtin_expect(host == X86_CROSSES, 0))
			return x86_store_slow(cpu, segment, offset, size, &value);
	}
	x86_put(host, size, value);
	return true;
}

/* A read-modify-write: begin translates for writing (both pages when it crosses) and reads the old
 * value; end writes the new one and cannot fault. */
struct x86_rmw {
	uint8_t *host[2];  /* second: NULL unless the operand crosses a page */
	uint8_t first;     /* bytes in the first page */
	uint8_t size;
};
bool x86_rmw_begin_slow(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size,
			struct x86_rmw *ret_rmw, uint64_t *ret_old);
void x86_rmw_end_slow(const struct x86_rmw *rmw, uint64_t value);

static inline __attribute__((always_inline)) bool
x86_rmw_begin(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size,
	      struct x86_rmw *ret_rmw, uint64_t *ret_old)
{
	uint8_t *host = x86_fast(cpu, segment, offset, size, HW_WRITE);

	if (__builtin_expect(!host, 0)) {
		host = x86_operand(cpu, segment, offset, size, HW_WRITE);
		if (!host)
			return false;
		if (__builtin_expect(host == X86_CROSSES, 0))
			return x86_rmw_begin_slow(cpu, segment, offset, size, ret_rmw, ret_old);
	}
	ret_rmw->host[0] = host;
	ret_rmw->host[1] = NULL;
	ret_rmw->size = (uint8_t)size;
	*ret_old = x86_get(host, size);
	return true;
}

/* @size: the one given to begin, as a constant. */
static inline __attribute__((always_inline)) void
x86_rmw_end_sized(const struct x86_rmw *rmw, unsigned size, uint64_t value)
{
	if (__builtin_expect(rmw->host[1] == NULL, 1))
		x86_put(rmw->host[0], size, value);
	else
		x86_rmw_end_slow(rmw, value);
}

static inline void x86_rmw_end(struct x86_cpu *cpu, const struct x86_rmw *rmw, uint64_t value)
{
	x86_rmw_end_sized(rmw, rmw->size, value);
}

/* PUSH and POP of @size bytes on the current stack (stack size by SS.B and mode). */
bool x86_push_slow(struct x86_cpu *cpu, unsigned size, uint64_t value);
bool x86_pop_slow(struct x86_cpu *cpu, unsigned size, uint64_t *ret_value);

static inline bool x86_push(struct x86_cpu *cpu, unsigned size, uint64_t value)
{
	uint64_t offset = cpu->gpr[X86_RSP] - size;

	if (__builtin_expect(cpu->code_mode != X86_CODE_64, 0))
		return x86_push_slow(cpu, size, value);
	if (!x86_store(cpu, X86_SS, offset, size, value))
		return false;
	cpu->gpr[X86_RSP] = offset;
	return true;
}

static inline bool x86_pop(struct x86_cpu *cpu, unsigned size, uint64_t *ret_value)
{
	if (__builtin_expect(cpu->code_mode != X86_CODE_64, 0))
		return x86_pop_slow(cpu, size, ret_value);
	if (!x86_load(cpu, X86_SS, cpu->gpr[X86_RSP], size, ret_value))
		return false;
	cpu->gpr[X86_RSP] += size;
	return true;
}

/* Moves the stack pointer to @value as wide as the stack is. */
void x86_set_stack_pointer(struct x86_cpu *cpu, uint64_t value);
/* The stack pointer as an offset, cut to the stack's width. */
uint64_t x86_stack_pointer(const struct x86_cpu *cpu);

#endif
