/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Table registers and what asks about descriptors: LGDT ... STR, LAR, LSL, VERR, VERW. */
#include "x86/flags.h"
#include "x86/mem.h"
#include "x86/segment.h"
#include "x86/system.h"

static enum x86_result gp(struct x86_cpu *cpu, uint16_t selector)
{
	return x86_raise_code(cpu, X86_GP, selector_error(selector));
}

/* SDM 2 LGDT: 16 bits of limit, then 64 (64-bit mode), 32 or 24 bits of base. */
static enum x86_result load_table(struct x86_cpu *cpu, const struct x86_insn *insn,
				  struct x86_table_register *table)
{
	bool long_form = cpu->code_mode == X86_CODE_64;
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) operand = {0, 0};

	if (cpu->cpl)
		return gp(cpu, 0);
	if (!x86_load_slow(cpu, insn->segment, x86_effective_address(cpu, insn), long_form ? 10 : 6,
			   &operand))
		return X86_FAULT;
	if (!long_form && insn->size == 2)
		operand.base &= 0xffffff;
	if (!x86_canonical_base(cpu, operand.base))
		return gp(cpu, 0);
	*table = (struct x86_table_register){operand.base, operand.limit};
	return X86_DONE;
}

static enum x86_result store_table(struct x86_cpu *cpu, const struct x86_insn *insn,
				   const struct x86_table_register *table)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) operand = {table->limit, table->base};

	if (x86_umip_forbids(cpu))
		return gp(cpu, 0);
	return x86_store_slow(cpu, insn->segment, x86_effective_address(cpu, insn),
			      cpu->code_mode == X86_CODE_64 ? 10 : 6, &operand)
		       ? X86_DONE
		       : X86_FAULT;
}

enum x86_result x86_exec_lgdt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return load_table(cpu, insn, &cpu->gdtr);
}

enum x86_result x86_exec_lidt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return load_table(cpu, insn, &cpu->idtr);
}

enum x86_result x86_exec_sgdt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return store_table(cpu, insn, &cpu->gdtr);
}

enum x86_result x86_exec_sidt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return store_table(cpu, insn, &cpu->idtr);
}

static bool load_selector(struct x86_cpu *cpu, const struct x86_insn *insn, uint8_t reg,
			  uint16_t *ret_selector)
{
	uint64_t value = cpu->gpr[reg];

	if (insn->memory &&
	    !x86_load(cpu, insn->segment, x86_effective_address(cpu, insn), 2, &value))
		return false;
	*ret_selector = (uint16_t)value;
	return true;
}

/* What LLDT and LTR take; false: the fault is raised. */
static bool load_system_selector(struct x86_cpu *cpu, const struct x86_insn *insn,
				 uint16_t *ret_selector)
{
	if (!x86_protected(cpu)) {
		x86_raise(cpu, X86_UD);
		return false;
	}
	if (cpu->cpl) {
		gp(cpu, 0);
		return false;
	}
	return load_selector(cpu, insn, insn->reg, ret_selector);
}

enum x86_result x86_exec_lldt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_descriptor d;
	uint16_t selector;

	if (!load_system_selector(cpu, insn, &selector))
		return X86_FAULT;
	if (selector_is_null(selector)) {
		cpu->ldtr = (struct x86_segment){.selector = selector};
		return X86_DONE;
	}
	if (selector & SELECTOR_TI)
		return gp(cpu, selector);
	if (!x86_read_descriptor(cpu, selector, X86_GP, 0, &d))
		return X86_FAULT;
	if ((d.rights & (SEG_S | SEG_TYPE)) != SYS_LDT || !x86_canonical_base(cpu, d.base))
		return gp(cpu, selector);
	if (!(d.rights & SEG_P))
		return x86_raise_code(cpu, X86_NP, selector_error(selector));
	x86_set_segment(&cpu->ldtr, selector, &d);
	return X86_DONE;
}

enum x86_result x86_exec_ltr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_descriptor d;
	uint16_t selector;
	uint8_t type;

	if (!load_system_selector(cpu, insn, &selector))
		return X86_FAULT;
	if (selector_is_null(selector))
		return gp(cpu, 0);
	if (selector & SELECTOR_TI)
		return gp(cpu, selector);
	if (!x86_read_descriptor(cpu, selector, X86_GP, 0, &d))
		return X86_FAULT;
	type = d.rights & (SEG_S | SEG_TYPE);
	if ((type != SYS_TSS_AVAILABLE && (type != SYS_TSS_16_AVAILABLE || x86_long_mode(cpu))) ||
	    !x86_canonical_base(cpu, d.base))
		return gp(cpu, selector);
	if (!(d.rights & SEG_P))
		return x86_raise_code(cpu, X86_NP, selector_error(selector));
	d.rights |= SYS_TYPE_BUSY;
	type = (uint8_t)d.rights;
	if (!x86_store_system(cpu, d.linear + 5, sizeof(type), &type))
		return X86_FAULT;
	x86_set_segment(&cpu->tr, selector, &d);
	return X86_DONE;
}

/* To memory always 16 bits; to a register zero-extended to its size. */
static enum x86_result store_selector(struct x86_cpu *cpu, const struct x86_insn *insn,
				      uint16_t selector)
{
	uint64_t *destination = &cpu->gpr[insn->reg];

	if (insn->memory)
		return x86_store(cpu, insn->segment, x86_effective_address(cpu, insn), 2, selector)
			       ? X86_DONE
			       : X86_FAULT;
	if (insn->size == 2)
		*destination = (*destination & ~(uint64_t)UINT16_MAX) | selector;
	else
		*destination = selector;
	return X86_DONE;
}

static enum x86_result store_system_selector(struct x86_cpu *cpu, const struct x86_insn *insn,
					     uint16_t selector)
{
	if (!x86_protected(cpu))
		return x86_raise(cpu, X86_UD);
	if (x86_umip_forbids(cpu))
		return gp(cpu, 0);
	return store_selector(cpu, insn, selector);
}

enum x86_result x86_exec_sldt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return store_system_selector(cpu, insn, cpu->ldtr.selector);
}

enum x86_result x86_exec_str(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return store_system_selector(cpu, insn, cpu->tr.selector);
}

enum x86_result x86_exec_mov_from_segment(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return store_selector(cpu, insn, cpu->segment[insn->rm].selector);
}

/* Types of system descriptors that LAR and LSL answer for (SDM 2 LAR, LSL). */
#define TYPES_LAR_32                                                                               \
	(1u << SYS_TSS_16_AVAILABLE | 1u << SYS_LDT | 1u << SYS_TSS_16_BUSY |                      \
	 1u << SYS_CALL_GATE_16 | 1u << SYS_TASK_GATE | 1u << SYS_TSS_AVAILABLE |                  \
	 1u << SYS_TSS_BUSY | 1u << SYS_CALL_GATE)
#define TYPES_LAR_64                                                                               \
	(1u << SYS_LDT | 1u << SYS_TSS_AVAILABLE | 1u << SYS_TSS_BUSY | 1u << SYS_CALL_GATE)
#define TYPES_LSL_32                                                                               \
	(1u << SYS_TSS_16_AVAILABLE | 1u << SYS_LDT | 1u << SYS_TSS_16_BUSY |                      \
	 1u << SYS_TSS_AVAILABLE | 1u << SYS_TSS_BUSY)
#define TYPES_LSL_64 (1u << SYS_LDT | 1u << SYS_TSS_AVAILABLE | 1u << SYS_TSS_BUSY)

/*
 * What LAR, LSL, VERR and VERW have in common: *ret_visible says whether the selector in @reg or
 * memory names a descriptor that the program may see. False: the fault is raised, #UD or a page
 * fault. A selector beyond its table is no fault.
 */
static bool look_at(struct x86_cpu *cpu, const struct x86_insn *insn, uint8_t reg,
		    uint32_t system_types, struct x86_descriptor *ret_descriptor, bool *ret_visible)
{
	uint16_t selector;
	unsigned dpl;

	if (!x86_protected(cpu)) {
		x86_raise(cpu, X86_UD);
		return false;
	}
	if (!load_selector(cpu, insn, reg, &selector))
		return false;
	*ret_visible = false;
	if (selector_is_null(selector))
		return true;
	if (!x86_read_descriptor(cpu, selector, X86_GP, 0, ret_descriptor))
		return cpu->fault_vector == X86_GP && !cpu->ended;
	if (!(ret_descriptor->rights & SEG_S) &&
	    !(system_types & 1u << (ret_descriptor->rights & SEG_TYPE)))
		return true;
	dpl = segment_dpl(ret_descriptor->rights);
	*ret_visible = ((ret_descriptor->rights & SEG_S) && (ret_descriptor->rights & SEG_CODE) &&
			(ret_descriptor->rights & SEG_CONFORMING)) ||
		       (cpu->cpl <= dpl && (selector & SELECTOR_RPL) <= dpl);
	return true;
}

static void set_zf(struct x86_cpu *cpu, bool zero)
{
	x86_set_flags(cpu, (x86_flags(cpu) & ~(uint64_t)RFLAGS_ZF) | (zero ? RFLAGS_ZF : 0));
}

static enum x86_result answer(struct x86_cpu *cpu, const struct x86_insn *insn, bool visible,
			      uint32_t value)
{
	uint64_t *destination = &cpu->gpr[insn->reg];

	set_zf(cpu, visible);
	if (!visible)
		return X86_DONE;
	if (insn->size == 2)
		*destination = (*destination & ~(uint64_t)UINT16_MAX) | (uint16_t)value;
	else
		*destination = value;
	return X86_DONE;
}

enum x86_result x86_exec_lar(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_descriptor d;
	bool visible;

	if (!look_at(cpu, insn, insn->rm, x86_long_mode(cpu) ? TYPES_LAR_64 : TYPES_LAR_32, &d,
		     &visible))
		return X86_FAULT;
	/* Bits 19:16 of the result, where the raw limit lies, are undefined: zero here. */
	return answer(cpu, insn, visible, visible ? (uint32_t)d.rights << 8 : 0);
}

enum x86_result x86_exec_lsl(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_descriptor d;
	bool visible;

	if (!look_at(cpu, insn, insn->rm, x86_long_mode(cpu) ? TYPES_LSL_64 : TYPES_LSL_32, &d,
		     &visible))
		return X86_FAULT;
	return answer(cpu, insn, visible, visible ? d.limit : 0);
}

static enum x86_result verify(struct x86_cpu *cpu, const struct x86_insn *insn, bool write)
{
	struct x86_descriptor d;
	bool visible;

	if (!look_at(cpu, insn, insn->reg, 0, &d, &visible))
		return X86_FAULT;
	if (visible && (d.rights & SEG_CODE))
		visible = !write && (d.rights & SEG_READABLE);
	else if (visible && write)
		visible = d.rights & SEG_WRITABLE;
	set_zf(cpu, visible);
	return X86_DONE;
}

enum x86_result x86_exec_verr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return verify(cpu, insn, false);
}

enum x86_result x86_exec_verw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return verify(cpu, insn, true);
}
