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
#include "x86/model.h"

/* Any size, 1 ... 64 bytes; @offset: within the segment. */
bool x86_load_slow(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size,
		   void *ret);
bool x86_store_slow(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size,
		    const void *bytes);

/* System structures (GDT, IDT, TSS): linear address, supervisor rights whatever CPL is. */
bool x86_load_system(struct x86_cpu *cpu, uint64_t linear, unsigned size, void *ret);
bool x86_store_system(struct x86_cpu *cpu, uint64_t linear, unsigned size, const void *bytes);
/* The same with other rights: a frame pushed on the stack of the executing code. */
bool x86_store_linear(struct x86_cpu *cpu, uint64_t linear, unsigned size, const void *bytes,
		      enum hw_privilege privilege);

/* Raises what hw_translate() returned NULL for: #PF, or the end when the VMM has no more frames. */
void x86_raise_memory_fault(struct x86_cpu *cpu);

/*
 * Bits 63:47 are all equal, or 63:56 under CR4.LA57: for addresses of memory accesses, RIP
 * included (SDM 1 3.3.7.1).
 */
static inline bool x86_canonical(const struct x86_cpu *cpu, uint64_t address)
{
	unsigned shift = cpu->canonical_shift;

	return (uint64_t)((int64_t)(address << shift) >> shift) == address;
}

/*
 * The same for what is loaded into an MSR, a table register or a segment's base, and for what
 * INVPCID invalidates: there the width is the processor's, whatever CR4.LA57 says (SDM 3A 4.5).
 */
static inline bool x86_canonical_base(const struct x86_cpu *cpu, uint64_t address)
{
	unsigned shift = x86_offers(cpu, X86_FEATURE_LA57) ? 64 - 57 : 64 - 48;

	return (uint64_t)((int64_t)(address << shift) >> shift) == address;
}

/*
 * *ret_host: the bytes of an operand when the lookaside knows its page; the look-up is counted.
 * False: not known there, or not within one page, or a segment must be checked: take the slow way,
 * nothing has been counted. A page in the lookaside is canonical.
 */
static inline __attribute__((always_inline)) bool x86_fast_linear(struct x86_cpu *cpu,
								  uint64_t linear, unsigned size,
								  enum hw_access access,
								  uint8_t **ret_host)
{
	struct hw_public *p = hw_public(cpu->hw);
	struct hw_lookaside *entry =
		&p->data[cpu->privilege][(linear >> PAGE_SHIFT) % HW_LOOKASIDE_SETS];

	/* The page of its last byte: where that is another one than the first's, it has another
	 * slot. */
	if (__builtin_expect(entry->page[access == HW_WRITE] != (linear + size - 1) >> PAGE_SHIFT,
			     0))
		return false;
	entry->hits += HW_HIT;
	*ret_host = entry->host + (linear & PAGE_MASK);
	return true;
}

static inline __attribute__((always_inline)) bool x86_fast(struct x86_cpu *cpu, unsigned segment,
							   uint64_t offset, unsigned size,
							   enum hw_access access,
							   uint8_t **ret_host)
{
	if (__builtin_expect(cpu->code_mode != X86_CODE_64, 0))
		return false;
	if (__builtin_expect(segment >= X86_FS, 0))
		offset += cpu->segment[segment].base;
	return x86_fast_linear(cpu, offset, size, access, ret_host);
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

/*
 * Where the lookaside could not answer: checks segment and address and looks up the operand's page
 * or pages. NULL: the fault is raised. An operand in two pages or in the memory of a device comes
 * as a copy of its bytes in cpu->split; after writing there call x86_modified(). (A store there
 * reads first: no register of the devices minds.)
 */
uint8_t *x86_operand(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size,
		     enum hw_access access);
void x86_split_write(struct x86_cpu *cpu);

/*
 * device.c: @size bytes of device memory, in aligned pieces of at most 8. The run loop looks at the
 * machine before the next instruction.
 */
/* The machine's interrupt lines and timers may have changed within an instruction. */
void x86_look_at_machine(struct x86_cpu *cpu);
void x86_device_read(struct x86_cpu *cpu, uint64_t gpa, unsigned size, void *ret);
void x86_device_write(struct x86_cpu *cpu, uint64_t gpa, unsigned size, const void *bytes);

static inline __attribute__((always_inline)) void x86_modified(struct x86_cpu *cpu,
							       const uint8_t *host)
{
	if (__builtin_expect(host == cpu->split.bytes, 0))
		x86_split_write(cpu);
}

/* Values of 1, 2, 4, 8 bytes, zero-extended; these are the usual ones. */
static inline __attribute__((always_inline)) bool x86_load(struct x86_cpu *cpu, unsigned segment,
							   uint64_t offset, unsigned size,
							   uint64_t *ret)
{
	uint8_t *host;

	if (!x86_fast(cpu, segment, offset, size, HW_READ, &host)) {
		host = x86_operand(cpu, segment, offset, size, HW_READ);
		if (!host)
			return false;
	}
	*ret = x86_get(host, size);
	return true;
}

static inline __attribute__((always_inline)) bool x86_store(struct x86_cpu *cpu, unsigned segment,
							    uint64_t offset, unsigned size,
							    uint64_t value)
{
	uint8_t *host;

	if (!x86_fast(cpu, segment, offset, size, HW_WRITE, &host)) {
		host = x86_operand(cpu, segment, offset, size, HW_WRITE);
		if (!host)
			return false;
	}
	x86_put(host, size, value);
	x86_modified(cpu, host);
	return true;
}

/* A read-modify-write: begin translates for writing (both pages when it crosses) and reads the old
 * value; end writes the new one and cannot fault. One at a time. */
struct x86_rmw {
	uint8_t *host;
	uint8_t size;
};

static inline __attribute__((always_inline)) bool x86_rmw_begin(struct x86_cpu *cpu,
								unsigned segment, uint64_t offset,
								unsigned size,
								struct x86_rmw *ret_rmw,
								uint64_t *ret_old)
{
	uint8_t *host;

	if (!x86_fast(cpu, segment, offset, size, HW_WRITE, &host)) {
		host = x86_operand(cpu, segment, offset, size, HW_WRITE);
		if (!host)
			return false;
	}
	*ret_rmw = (struct x86_rmw){host, (uint8_t)size};
	*ret_old = x86_get(host, size);
	return true;
}

static inline __attribute__((always_inline)) void x86_rmw_end(struct x86_cpu *cpu,
							      const struct x86_rmw *rmw,
							      uint64_t value)
{
	x86_put(rmw->host, rmw->size, value);
	x86_modified(cpu, rmw->host);
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

/* Reads @size bytes @distance above the stack pointer, which stays. */
bool x86_peek(struct x86_cpu *cpu, unsigned distance, unsigned size, uint64_t *ret_value);

/* SDM 3A 5.3, 5.4: whether type and limit of @segment allow this access; null allows none. */
bool x86_segment_allows(const struct x86_segment *segment, uint32_t offset, unsigned size,
			bool write);

/* Moves the stack pointer to @value as wide as the stack is. */
void x86_set_stack_pointer(struct x86_cpu *cpu, uint64_t value);
/* The stack pointer as an offset, cut to the stack's width; @distance above it. */
uint64_t x86_stack_pointer(const struct x86_cpu *cpu);
uint64_t x86_stack_offset(const struct x86_cpu *cpu, uint64_t distance);

#endif
