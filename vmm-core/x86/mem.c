/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Data accesses that the lookaside cannot answer: segment checks, page crossings, faults. */
#include "x86/mem.h"

#include "x86/control.h"
#include "x86/debug.h"
#include "x86/insn.h"

/* Rights of a data or code segment, as in bits 40...55 of its descriptor (SDM 3A 3.4.5). */
#define RIGHTS_WRITE_READ (1u << 1) /* data: writable; code: readable */
#define RIGHTS_DOWN       (1u << 2) /* data: expand-down */
#define RIGHTS_CODE       (1u << 3)
#define RIGHTS_P          (1u << 7)
#define RIGHTS_DB         (1u << 14)

/* The one or two parts of an operand. In the memory of a device they have no host bytes. */
struct span {
	uint8_t *host[2];
	uint64_t gpa[2]; /* where host is NULL */
	unsigned first;
};

void x86_raise_memory_fault(struct x86_cpu *cpu)
{
	struct hw_public *p = hw_public(cpu->hw);

	if (hw_failed(cpu->hw)) {
		x86_end(cpu, UMBRA_END_ERROR, "%s", hw_error_text(cpu->hw));
		return;
	}
	cpu->cr2 = p->fault_address;
	x86_raise_code(cpu, X86_PF, p->fault_code);
}

static bool raise_segment(struct x86_cpu *cpu, unsigned segment)
{
	x86_raise_code(cpu, segment == X86_SS ? X86_SS_FAULT : X86_GP, 0);
	return false;
}

bool x86_segment_allows(const struct x86_segment *segment, uint32_t offset, unsigned size,
			bool write)
{
	unsigned rights = segment->rights;
	uint64_t last = (uint64_t)offset + size - 1;

	if (!(rights & RIGHTS_P))
		return false;
	if (rights & RIGHTS_CODE) {
		if (write || !(rights & RIGHTS_WRITE_READ))
			return false;
	} else if (write && !(rights & RIGHTS_WRITE_READ)) {
		return false;
	}
	if ((rights & RIGHTS_CODE) || !(rights & RIGHTS_DOWN))
		return last <= segment->limit;
	return offset > segment->limit && last <= (rights & RIGHTS_DB ? UINT32_MAX : UINT16_MAX);
}

static bool linear_of(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size,
		      bool write, uint64_t *ret_linear)
{
	const struct x86_segment *s = &cpu->segment[segment];

	if (cpu->code_mode == X86_CODE_64) {
		uint64_t linear = segment >= X86_FS ? offset + s->base : offset;

		if (!x86_canonical(cpu, linear) || !x86_canonical(cpu, linear + size - 1))
			return raise_segment(cpu, segment);
		*ret_linear = linear;
		return true;
	}
	if (!x86_segment_allows(s, (uint32_t)offset, size, write))
		return raise_segment(cpu, segment);
	*ret_linear = (uint32_t)(s->base + offset);
	return true;
}

/* Outside 64-bit mode linear addresses wrap at 4 GiB. */
static uint64_t next_page(const struct x86_cpu *cpu, uint64_t linear)
{
	linear = (linear | PAGE_MASK) + 1;
	return cpu->efer & EFER_LMA ? linear : (uint32_t)linear;
}

/* While accesses are watched none may find its page in the lookaside. */
static void forget_page(struct x86_cpu *cpu, uint64_t linear)
{
	struct hw_public *p = hw_public(cpu->hw);

	for (unsigned i = 0; i < sizeof(p->data) / sizeof(p->data[0]); i++)
		hw_lookaside_forget(&p->data[i][(linear >> PAGE_SHIFT) % HW_LOOKASIDE_SETS]);
}

static bool find_part(struct x86_cpu *cpu, uint64_t linear, enum hw_access access,
		      enum hw_privilege privilege, struct span *span, unsigned part)
{
	span->host[part] = hw_translate(cpu->hw, linear, access, privilege);
	span->gpa[part] = hw_public(cpu->hw)->mmio_gpa;
	return span->host[part] || hw_public(cpu->hw)->mmio;
}

static bool translate(struct x86_cpu *cpu, uint64_t linear, unsigned size, enum hw_access access,
		      enum hw_privilege privilege, struct span *ret)
{
	bool found;

	ret->first = PAGE_SIZE - (linear & PAGE_MASK);
	found = find_part(cpu, linear, access, privilege, ret, 0) &&
		(ret->first >= size ||
		 find_part(cpu, next_page(cpu, linear), access, privilege, ret, 1));
	if (__builtin_expect(cpu->watch, 0)) {
		forget_page(cpu, linear);
		forget_page(cpu, next_page(cpu, linear));
	}
	if (!found) {
		x86_raise_memory_fault(cpu);
		return false;
	}
	if (ret->first > size)
		ret->first = size;
	return true;
}

static void copy_in(struct x86_cpu *cpu, const struct span *span, unsigned size, void *ret)
{
	uint8_t *to = ret;

	for (unsigned part = 0, n = span->first; n && part < 2; part++, n = size - span->first) {
		if (span->host[part])
			memcpy(to, span->host[part], n);
		else
			x86_device_read(cpu, span->gpa[part], n, to);
		to += n;
	}
}

static void copy_out(struct x86_cpu *cpu, const struct span *span, unsigned size, const void *bytes)
{
	const uint8_t *from = bytes;

	for (unsigned part = 0, n = span->first; n && part < 2; part++, n = size - span->first) {
		if (span->host[part])
			memcpy(span->host[part], from, n);
		else
			x86_device_write(cpu, span->gpa[part], n, from);
		from += n;
	}
}

/* The operand is not one run of host bytes: gives the copy that stands for it. */
static uint8_t *bounce(struct x86_cpu *cpu, const struct span *span, unsigned size)
{
	struct x86_split *split = &cpu->split;

	copy_in(cpu, span, size, split->bytes);
	memcpy(split->host, span->host, sizeof(split->host));
	memcpy(split->gpa, span->gpa, sizeof(split->gpa));
	split->first = (uint8_t)span->first;
	split->size = (uint8_t)size;
	return split->bytes;
}

uint8_t *x86_operand(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size,
		     enum hw_access access)
{
	const uint8_t **hint;
	uint64_t linear = offset;
	struct span span;
	uint8_t *host;

	if (__builtin_expect(cpu->code_mode == X86_CODE_64, 1)) {
		if (segment >= X86_FS)
			linear += cpu->segment[segment].base;
		if (!x86_canonical(cpu, linear) || !x86_canonical(cpu, linear + size - 1)) {
			raise_segment(cpu, segment);
			return NULL;
		}
	} else if (!linear_of(cpu, segment, offset, size, access == HW_WRITE, &linear)) {
		return NULL;
	}
	if (__builtin_expect((linear & PAGE_MASK) <= PAGE_SIZE - size && !cpu->watch, 1)) {
		hint = &cpu->hints[(linear >> PAGE_SHIFT) % X86_NR_HINTS];
		__builtin_prefetch((const void *)((uintptr_t)*hint + (linear & PAGE_MASK)));
		host = hw_translate(cpu->hw, linear, access, cpu->privilege);
		if (__builtin_expect(!host, 0)) {
			if (hw_public(cpu->hw)->mmio) {
				span = (struct span){{NULL}, {hw_public(cpu->hw)->mmio_gpa}, size};
				return bounce(cpu, &span, size);
			}
			x86_raise_memory_fault(cpu);
			return NULL;
		}
		*hint = host - (linear & PAGE_MASK);
		return host;
	}
	if (!translate(cpu, linear, size, access, cpu->privilege, &span))
		return NULL;
	if (cpu->watch && !x86_watch(cpu, linear, size, access == HW_WRITE))
		return NULL;
	if (span.host[0] && span.first == size)
		return span.host[0];
	return bounce(cpu, &span, size);
}

void x86_split_write(struct x86_cpu *cpu)
{
	const struct x86_split *split = &cpu->split;
	struct span span = {.first = split->first};

	memcpy(span.host, split->host, sizeof(span.host));
	memcpy(span.gpa, split->gpa, sizeof(span.gpa));
	copy_out(cpu, &span, split->size, split->bytes);
}

/* The usual size as two moves. */
static inline void copy(void *to, const void *from, unsigned size)
{
	if (__builtin_expect(size == sizeof(union x86_xmm), 1))
		memcpy(to, from, sizeof(union x86_xmm));
	else
		memcpy(to, from, size);
}

bool x86_load_slow(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size, void *ret)
{
	uint8_t *host;

	if (!x86_fast(cpu, segment, offset, size, HW_READ, &host)) {
		host = x86_operand(cpu, segment, offset, size, HW_READ);
		if (!host)
			return false;
	}
	copy(ret, host, size);
	return true;
}

bool x86_store_slow(struct x86_cpu *cpu, unsigned segment, uint64_t offset, unsigned size,
		    const void *bytes)
{
	uint8_t *host;

	if (!x86_fast(cpu, segment, offset, size, HW_WRITE, &host)) {
		host = x86_operand(cpu, segment, offset, size, HW_WRITE);
		if (!host)
			return false;
	}
	copy(host, bytes, size);
	x86_modified(cpu, host);
	return true;
}

/*
 * A system structure that reaches past the canonical addresses: #GP(0). Outside IA-32e mode the
 * sum of a base and an offset has 32 bits.
 */
static bool find_system(struct x86_cpu *cpu, uint64_t linear, unsigned size, enum hw_access access,
			enum hw_privilege privilege, struct span *ret)
{
	if (!(cpu->efer & EFER_LMA)) {
		linear = (uint32_t)linear;
	} else if (!x86_canonical(cpu, linear) || !x86_canonical(cpu, linear + size - 1)) {
		x86_raise_code(cpu, X86_GP, 0);
		return false;
	}
	if (!translate(cpu, linear, size, access, privilege, ret))
		return false;
	if (cpu->watch)
		x86_watch_system(cpu, linear, size, access == HW_WRITE);
	return true;
}

bool x86_load_system(struct x86_cpu *cpu, uint64_t linear, unsigned size, void *ret)
{
	struct span span;

	if (!find_system(cpu, linear, size, HW_READ, HW_SUPERVISOR, &span))
		return false;
	copy_in(cpu, &span, size, ret);
	return true;
}

bool x86_store_linear(struct x86_cpu *cpu, uint64_t linear, unsigned size, const void *bytes,
		      enum hw_privilege privilege)
{
	struct span span;

	if (!find_system(cpu, linear, size, HW_WRITE, privilege, &span))
		return false;
	copy_out(cpu, &span, size, bytes);
	return true;
}

bool x86_store_system(struct x86_cpu *cpu, uint64_t linear, unsigned size, const void *bytes)
{
	return x86_store_linear(cpu, linear, size, bytes, HW_SUPERVISOR);
}

static uint64_t stack_part(const struct x86_cpu *cpu, uint64_t offset)
{
	if (cpu->code_mode == X86_CODE_64)
		return offset;
	return cpu->segment[X86_SS].rights & RIGHTS_DB ? (uint32_t)offset : (uint16_t)offset;
}

uint64_t x86_stack_pointer(const struct x86_cpu *cpu)
{
	return stack_part(cpu, cpu->gpr[X86_RSP]);
}

uint64_t x86_stack_offset(const struct x86_cpu *cpu, uint64_t distance)
{
	return stack_part(cpu, cpu->gpr[X86_RSP] + distance);
}

void x86_set_stack_pointer(struct x86_cpu *cpu, uint64_t value)
{
	if (cpu->code_mode == X86_CODE_64)
		cpu->gpr[X86_RSP] = value;
	else if (cpu->segment[X86_SS].rights & RIGHTS_DB)
		cpu->gpr[X86_RSP] = (uint32_t)value;
	else
		memcpy(&cpu->gpr[X86_RSP], &value, sizeof(uint16_t));
}

bool x86_push_slow(struct x86_cpu *cpu, unsigned size, uint64_t value)
{
	uint64_t offset = x86_stack_offset(cpu, -(uint64_t)size);

	if (!x86_store_slow(cpu, X86_SS, offset, size, &value))
		return false;
	x86_set_stack_pointer(cpu, offset);
	return true;
}

bool x86_pop_slow(struct x86_cpu *cpu, unsigned size, uint64_t *ret_value)
{
	uint64_t offset = x86_stack_pointer(cpu), value = 0;

	if (!x86_load_slow(cpu, X86_SS, offset, size, &value))
		return false;
	*ret_value = value;
	x86_set_stack_pointer(cpu, offset + size);
	return true;
}

bool x86_peek(struct x86_cpu *cpu, unsigned distance, unsigned size, uint64_t *ret_value)
{
	return x86_load(cpu, X86_SS, x86_stack_offset(cpu, distance), size, ret_value);
}
