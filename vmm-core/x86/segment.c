/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segment registers: descriptors out of the GDT and LDT, and what may be loaded where. */
#include "x86/control.h"
#include "x86/mem.h"
#include "x86/segment.h"

#define DESCRIPTOR_SIZE      8
#define DESCRIPTOR_SIZE_LONG 16 /* system descriptors of long mode (SDM 3A 3.5.2) */

uint64_t x86_linear(const struct x86_cpu *cpu, unsigned segment, uint64_t offset)
{
	if (cpu->code_mode != X86_CODE_64)
		return (uint32_t)(cpu->segment[segment].base + offset);
	return segment >= X86_FS ? cpu->segment[segment].base + offset : offset;
}

static uint64_t descriptor_base(uint64_t raw)
{
	return ((raw >> 16) & 0xffffff) | ((raw >> 56) << 24);
}

static uint32_t descriptor_limit(uint64_t raw)
{
	uint32_t limit = (uint32_t)((raw & 0xffff) | ((raw >> 32) & 0xf0000));

	return (raw >> 40) & SEG_G ? (limit << 12) | 0xfff : limit;
}

static uint16_t descriptor_rights(uint64_t raw)
{
	return (uint16_t)((raw >> 40) &
			  (SEG_TYPE | SEG_S | SEG_DPL | SEG_P | SEG_AVL | SEG_L | SEG_DB | SEG_G));
}

bool x86_read_descriptor(struct x86_cpu *cpu, uint16_t selector, uint8_t vector, uint32_t ext,
			 struct x86_descriptor *ret_descriptor)
{
	uint64_t base = cpu->gdtr.base;
	uint64_t limit = cpu->gdtr.limit;
	uint32_t offset = selector & ~(SELECTOR_RPL | SELECTOR_TI);
	uint64_t raw[2] = {0, 0};

	if (selector & SELECTOR_TI) {
		if (!(cpu->ldtr.rights & SEG_P)) {
			x86_raise_code(cpu, vector, selector_error(selector) | ext);
			return false;
		}
		base = cpu->ldtr.base;
		limit = cpu->ldtr.limit;
	}
	if (offset + DESCRIPTOR_SIZE - 1 > limit) {
		x86_raise_code(cpu, vector, selector_error(selector) | ext);
		return false;
	}
	if (!x86_load_system(cpu, base + offset, DESCRIPTOR_SIZE, &raw[0]))
		return false;
	if (x86_long_mode(cpu) && !((raw[0] >> 40) & SEG_S)) {
		if (offset + DESCRIPTOR_SIZE_LONG - 1 > limit) {
			x86_raise_code(cpu, vector, selector_error(selector) | ext);
			return false;
		}
		if (!x86_load_system(cpu, base + offset + DESCRIPTOR_SIZE, DESCRIPTOR_SIZE,
				     &raw[1]))
			return false;
	}
	ret_descriptor->base = descriptor_base(raw[0]) | (raw[1] << 32);
	ret_descriptor->limit = descriptor_limit(raw[0]);
	ret_descriptor->rights = descriptor_rights(raw[0]);
	ret_descriptor->linear = base + offset;
	ret_descriptor->raw[0] = raw[0];
	ret_descriptor->raw[1] = raw[1];
	return true;
}

bool x86_mark_accessed(struct x86_cpu *cpu, struct x86_descriptor *descriptor)
{
	uint8_t type;

	if (descriptor->rights & SEG_ACCESSED)
		return true;
	descriptor->rights |= SEG_ACCESSED;
	type = (uint8_t)descriptor->rights;
	return x86_store_system(cpu, descriptor->linear + 5, 1, &type);
}

void x86_set_segment(struct x86_segment *segment, uint16_t selector,
		     const struct x86_descriptor *descriptor)
{
	*segment = (struct x86_segment){
		.base = descriptor->base,
		.limit = descriptor->limit,
		.selector = selector,
		.rights = descriptor->rights,
	};
}

void x86_set_segment_8086(struct x86_cpu *cpu, unsigned segment, uint16_t selector)
{
	struct x86_segment *s = &cpu->segment[segment];
	uint16_t rights = SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED;

	if (x86_v8086(cpu)) {
		rights |= SEG_DPL;
		s->limit = UINT16_MAX;
	} else {
		rights |= s->rights & (SEG_DB | SEG_G);
	}
	s->selector = selector;
	s->base = (uint32_t)selector << 4;
	s->rights = rights;
}

static bool is_code(uint16_t rights)
{
	return (rights & SEG_S) && (rights & SEG_CODE);
}

static bool is_writable_data(uint16_t rights)
{
	return (rights & SEG_S) && !(rights & SEG_CODE) && (rights & SEG_WRITABLE);
}

static bool is_readable(uint16_t rights)
{
	return (rights & SEG_S) && (!(rights & SEG_CODE) || (rights & SEG_READABLE));
}

bool x86_check_stack_segment(struct x86_cpu *cpu, uint16_t selector, unsigned cpl, uint8_t vector,
			     uint32_t ext, struct x86_descriptor *ret_descriptor)
{
	struct x86_descriptor *d = ret_descriptor;
	uint32_t code = selector_error(selector) | ext;

	if (selector_is_null(selector)) {
		x86_raise_code(cpu, vector, ext);
		return false;
	}
	if (!x86_read_descriptor(cpu, selector, vector, ext, d))
		return false;
	if ((selector & SELECTOR_RPL) != cpl || segment_dpl(d->rights) != cpl ||
	    !is_writable_data(d->rights)) {
		x86_raise_code(cpu, vector, code);
		return false;
	}
	if (!(d->rights & SEG_P)) {
		x86_raise_code(cpu, X86_SS_FAULT, code);
		return false;
	}
	return true;
}

/* SDM 2 MOV: SS may be null only in 64-bit mode below CPL 3, with RPL equal to CPL. */
static enum x86_result load_stack_segment(struct x86_cpu *cpu, uint16_t selector)
{
	struct x86_descriptor d;

	if (selector_is_null(selector) && cpu->code_mode == X86_CODE_64 && cpu->cpl != 3 &&
	    (selector & SELECTOR_RPL) == cpu->cpl) {
		cpu->segment[X86_SS] = (struct x86_segment){.selector = selector};
		return X86_DONE;
	}
	if (!x86_check_stack_segment(cpu, selector, cpu->cpl, X86_GP, 0, &d) ||
	    !x86_mark_accessed(cpu, &d))
		return X86_FAULT;
	x86_set_segment(&cpu->segment[X86_SS], selector, &d);
	return X86_DONE;
}

bool x86_load_data_segment(struct x86_cpu *cpu, unsigned segment, uint16_t selector, uint8_t vector,
			   uint32_t ext)
{
	uint32_t code = selector_error(selector) | ext;
	struct x86_descriptor d;
	unsigned dpl, rpl = selector & SELECTOR_RPL;

	if (selector_is_null(selector)) {
		cpu->segment[segment] = (struct x86_segment){.selector = selector};
		return true;
	}
	if (!x86_read_descriptor(cpu, selector, vector, ext, &d))
		return false;
	dpl = segment_dpl(d.rights);
	/* Conforming code may be read at any privilege. */
	if (!is_readable(d.rights) || (!(is_code(d.rights) && (d.rights & SEG_CONFORMING)) &&
				       (rpl > dpl || cpu->cpl > dpl))) {
		x86_raise_code(cpu, vector, code);
		return false;
	}
	if (!(d.rights & SEG_P)) {
		x86_raise_code(cpu, X86_NP, code);
		return false;
	}
	if (!x86_mark_accessed(cpu, &d))
		return false;
	x86_set_segment(&cpu->segment[segment], selector, &d);
	return true;
}

enum x86_result x86_load_segment(struct x86_cpu *cpu, enum x86_segment_register segment,
				 uint16_t selector)
{
	if (!x86_protected(cpu)) {
		x86_set_segment_8086(cpu, segment, selector);
		return X86_DONE;
	}
	if (segment == X86_SS)
		return load_stack_segment(cpu, selector);
	return x86_load_data_segment(cpu, segment, selector, X86_GP, 0) ? X86_DONE : X86_FAULT;
}

void x86_update_code_mode(struct x86_cpu *cpu)
{
	uint16_t rights = cpu->segment[X86_CS].rights;

	if (x86_long_mode(cpu) && (rights & SEG_L))
		cpu->code_mode = X86_CODE_64;
	else if (x86_long_mode(cpu))
		cpu->code_mode = rights & SEG_DB ? X86_CODE_COMPAT_32 : X86_CODE_COMPAT_16;
	else if (rights & SEG_DB)
		cpu->code_mode = X86_CODE_32;
	else if (x86_v8086(cpu))
		cpu->code_mode = X86_CODE_V8086;
	else
		cpu->code_mode = cpu->cr0 & CR0_PE ? X86_CODE_16 : X86_CODE_REAL;
}
