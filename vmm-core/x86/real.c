/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupts, far transfers and IRET of the 8086: real mode and virtual-8086 mode (SDM 3B 20). */
#include "x86/real.h"

#include "x86/control.h"
#include "x86/event.h"
#include "x86/flags.h"
#include "x86/mem.h"
#include "x86/segment.h"
#include "x86/stack.h"

#define VECTOR_SIZE           4 /* offset, selector */
#define REDIRECTION_MAP_BYTES 32

/* Flags that IRET and POPF of 8086 programs leave alone. */
#define FLAGS_KEPT_REAL  (RFLAGS_VM | RFLAGS_VIF | RFLAGS_VIP)
#define FLAGS_KEPT_V8086 (FLAGS_KEPT_REAL | RFLAGS_IOPL)

static bool fail(struct x86_cpu *cpu, uint8_t vector)
{
	x86_raise_code(cpu, vector, 0);
	return false;
}

static bool within_code(struct x86_cpu *cpu, uint64_t offset)
{
	return offset <= cpu->segment[X86_CS].limit || fail(cpu, X86_GP);
}

static void go(struct x86_cpu *cpu, uint16_t selector, uint64_t offset)
{
	x86_set_segment_8086(cpu, X86_CS, selector);
	cpu->gpr[X86_RIP] = offset;
	x86_update_code_mode(cpu);
}

/* Pushes @flags, CS and IP and goes to where the table of vectors at @table points. */
static bool interrupt(struct x86_cpu *cpu, uint8_t vector, uint64_t table, uint64_t flags)
{
	const uint64_t values[] = {flags, cpu->segment[X86_CS].selector, cpu->gpr[X86_RIP]};
	struct x86_stack stack;
	uint16_t entry[2];

	if (!x86_load_system(cpu, table + vector * VECTOR_SIZE, sizeof(entry), entry))
		return false;
	x86_present_stack(cpu, &stack);
	if (!x86_push_frame(cpu, &stack, values, 3, sizeof(uint16_t), 0))
		return false;
	cpu->gpr[X86_RSP] = stack.pointer;
	go(cpu, entry[1], entry[0]);
	return true;
}

bool x86_deliver_8086(struct x86_cpu *cpu, const struct x86_event *event)
{
	uint64_t flags = x86_flags(cpu);

	if (event->vector * VECTOR_SIZE + VECTOR_SIZE - 1 > cpu->idtr.limit)
		return fail(cpu, X86_GP);
	if (!interrupt(cpu, event->vector, cpu->idtr.base, flags))
		return false;
	x86_set_flags(cpu, flags & ~(uint64_t)(RFLAGS_IF | RFLAGS_TF | RFLAGS_AC | RFLAGS_RF));
	return true;
}

/* The bit that says who handles INT @vector: the bitmap lies below that of the ports. */
static bool read_redirection(struct x86_cpu *cpu, uint8_t vector, bool *ret_protected)
{
	uint16_t map;
	uint32_t offset;
	uint8_t bits;

	if ((cpu->tr.rights & SEG_TYPE) != SYS_TSS_BUSY ||
	    TSS_IO_MAP_BASE + sizeof(map) - 1 > cpu->tr.limit)
		return fail(cpu, X86_GP);
	if (!x86_load_system(cpu, cpu->tr.base + TSS_IO_MAP_BASE, sizeof(map), &map))
		return false;
	offset = (uint32_t)map - REDIRECTION_MAP_BYTES + vector / 8;
	if (map < REDIRECTION_MAP_BYTES || offset > cpu->tr.limit)
		return fail(cpu, X86_GP);
	if (!x86_load_system(cpu, cpu->tr.base + offset, sizeof(bits), &bits))
		return false;
	*ret_protected = bits >> vector % 8 & 1;
	return true;
}

/* To the 8086 program's own handler: its table lies at linear address 0. */
static enum x86_result int_redirected(struct x86_cpu *cpu, uint8_t vector)
{
	uint64_t flags = x86_flags(cpu), image = flags;
	uint64_t enable = RFLAGS_IF;

	if (x86_iopl(cpu) < 3) { /* the program sees the virtual flag, and IOPL as on an 8086 */
		enable = RFLAGS_VIF;
		image = (flags & ~(uint64_t)RFLAGS_IF) | RFLAGS_IOPL |
			(flags & RFLAGS_VIF ? RFLAGS_IF : 0);
	}
	if (!interrupt(cpu, vector, 0, image))
		return X86_FAULT;
	cpu->single_step = false;
	x86_set_flags(cpu, flags & ~(enable | RFLAGS_TF | RFLAGS_RF));
	return X86_LEAVE;
}

enum x86_result x86_int_v8086(struct x86_cpu *cpu, uint8_t vector)
{
	bool to_protected = true;

	if ((cpu->cr4 & CR4_VME) && !read_redirection(cpu, vector, &to_protected))
		return X86_FAULT;
	if (!to_protected)
		return int_redirected(cpu, vector);
	if (x86_iopl(cpu) < 3)
		return x86_raise_code(cpu, X86_GP, 0);
	return x86_software_interrupt(cpu, vector, X86_EVENT_SOFTWARE);
}

enum x86_result x86_jmp_8086(struct x86_cpu *cpu, uint16_t selector, uint64_t offset)
{
	if (!within_code(cpu, offset))
		return X86_FAULT;
	go(cpu, selector, offset);
	return X86_LEAVE;
}

enum x86_result x86_call_8086(struct x86_cpu *cpu, const struct x86_insn *insn, uint16_t selector,
			      uint64_t offset)
{
	const uint64_t values[] = {cpu->segment[X86_CS].selector, cpu->gpr[X86_RIP]};
	struct x86_stack stack;

	x86_present_stack(cpu, &stack);
	if (!within_code(cpu, offset) || !x86_push_frame(cpu, &stack, values, 2, insn->size, 0))
		return X86_FAULT;
	cpu->gpr[X86_RSP] = stack.pointer;
	go(cpu, selector, offset);
	return X86_LEAVE;
}

enum x86_result x86_ret_8086(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t offset, selector;

	if (!x86_peek(cpu, 0, insn->size, &offset) ||
	    !x86_peek(cpu, insn->size, insn->size, &selector) || !within_code(cpu, offset))
		return X86_FAULT;
	x86_set_stack_pointer(cpu, cpu->gpr[X86_RSP] + 2 * insn->size + (uint16_t)insn->imm);
	go(cpu, (uint16_t)selector, offset);
	return X86_LEAVE;
}

enum x86_result x86_iret_8086(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	bool is_virtual = x86_v8086(cpu) && x86_iopl(cpu) < 3;
	uint64_t offset, selector, flags, mask;
	unsigned size = insn->size;

	if (is_virtual && (size != sizeof(uint16_t) || !(cpu->cr4 & CR4_VME)))
		return x86_raise_code(cpu, X86_GP, 0);
	if (!x86_peek(cpu, 0, size, &offset) || !x86_peek(cpu, size, size, &selector) ||
	    !x86_peek(cpu, 2 * size, size, &flags) || !within_code(cpu, offset))
		return X86_FAULT;
	mask = RFLAGS_DEFINED & ~(uint64_t)(x86_v8086(cpu) ? FLAGS_KEPT_V8086 : FLAGS_KEPT_REAL);
	if (size == sizeof(uint16_t))
		mask &= UINT16_MAX;
	if (!is_virtual)
		x86_write_flags(cpu, flags, mask);
	else if (!x86_write_flags_virtual(cpu, flags))
		return X86_FAULT;
	x86_set_stack_pointer(cpu, cpu->gpr[X86_RSP] + 3 * size);
	go(cpu, (uint16_t)selector, offset);
	return X86_LEAVE;
}
