/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The CPU as an object: made, put into its first state, asked for its registers, ended. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paging/tlb.h"
#include "x86/block.h"
#include "x86/control.h"
#include "x86/cpu.h"
#include "x86/flags.h"
#include "x86/insn.h"
#include "x86/model.h"
#include "x86/segment.h"
#include "x86/x87.h"

#define FLAT_LIMIT 0xffffffffu

int x86_create(struct hw *hw, struct machine *machine, enum umbra_clock clock,
	       struct x86_cpu **ret_cpu)
{
	struct x86_cpu *cpu = aligned_alloc(_Alignof(struct x86_cpu), sizeof(*cpu));
	int error;

	if (!cpu)
		return -ENOMEM;
	memset(cpu, 0, sizeof(*cpu));
	cpu->hw = hw;
	cpu->machine = machine;
	cpu->clock = clock;
	cpu->model = x86_model_find(hw_processor(hw)->name);
	error = x86_blocks_create(&cpu->blocks);
	if (error < 0) {
		free(cpu);
		return error;
	}
	*ret_cpu = cpu;
	return 0;
}

void x86_destroy(struct x86_cpu *cpu)
{
	if (!cpu)
		return;
	x86_blocks_destroy(cpu->blocks);
	free(cpu);
}

static void set_flat(struct x86_segment *segment, uint16_t selector, uint16_t rights)
{
	*segment =
		(struct x86_segment){.limit = FLAT_LIMIT, .selector = selector, .rights = rights};
}

int x86_start(struct x86_cpu *cpu, const struct boot_entry *entry)
{
	const uint16_t data = SEG_G | SEG_DB | SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED;
	const uint16_t code = SEG_G | SEG_P | SEG_S | SEG_CODE | SEG_READABLE | SEG_ACCESSED |
			      (entry->long_mode ? SEG_L : SEG_DB);
	struct hw_paging paging;

	x86_reset_registers(cpu);
	for (int i = 0; i < X86_NR_SEGMENTS; i++)
		set_flat(&cpu->segment[i], entry->ds, data);
	set_flat(&cpu->segment[X86_CS], entry->cs, code);
	cpu->ldtr = (struct x86_segment){.rights = 0}; /* null: unusable */
	cpu->tr = (struct x86_segment){.limit = 0xffff, .rights = SEG_P | SYS_TSS_BUSY};
	cpu->gdtr = (struct x86_table_register){entry->gdt_base, entry->gdt_limit};

	cpu->gpr[X86_RIP] = entry->rip;
	cpu->gpr[X86_RSP] = entry->rsp;
	cpu->gpr[X86_RAX] = entry->rax;
	cpu->gpr[X86_RBX] = entry->rbx;
	cpu->gpr[X86_RDX] = 0;
	cpu->gpr[X86_RSI] = entry->rsi;

	cpu->cr0 = CR0_PE | CR0_ET;
	if (entry->long_mode) {
		cpu->cr0 |= CR0_PG;
		cpu->cr3 = entry->cr3;
		cpu->cr4 = CR4_PAE;
		cpu->efer = EFER_LME | EFER_LMA;
	}
	x86_x87_init(&cpu->x87);
	x86_update_code_mode(cpu);
	paging = (struct hw_paging){
		.cr0 = cpu->cr0, .cr3 = cpu->cr3, .cr4 = cpu->cr4, .efer = cpu->efer};
	return hw_paging_changed(cpu->hw, &paging);
}

enum x86_result x86_raise(struct x86_cpu *cpu, uint8_t vector)
{
	cpu->fault_vector = vector;
	cpu->fault_has_code = false;
	cpu->fault_code = 0;
	return X86_FAULT;
}

enum x86_result x86_raise_code(struct x86_cpu *cpu, uint8_t vector, uint32_t code)
{
	cpu->fault_vector = vector;
	cpu->fault_has_code = true;
	cpu->fault_code = code;
	return X86_FAULT;
}

const char *x86_mode_name(const struct x86_cpu *cpu)
{
	static const char *const names[X86_NR_CODE_MODES] = {
		[X86_CODE_32] = "32-bit protected",
		[X86_CODE_COMPAT_32] = "compatibility",
		[X86_CODE_64] = "64-bit",
		[X86_CODE_REAL] = "real",
		[X86_CODE_V8086] = "virtual-8086",
		[X86_CODE_16] = "16-bit protected",
		[X86_CODE_COMPAT_16] = "16-bit compatibility",
	};

	if (cpu->code_mode == X86_CODE_32 && !(cpu->cr0 & CR0_PE))
		return "32-bit real";
	return names[cpu->code_mode];
}

/*
 * Only bytes of the page in which the instruction begins: reading on into the next one could set
 * an accessed bit that the guest itself never set.
 */
void x86_end_place(struct x86_cpu *cpu, uint64_t rip)
{
	uint64_t linear = x86_linear(cpu, X86_CS, rip);
	size_t in_page = PAGE_SIZE - (linear & PAGE_MASK);
	size_t len = sizeof(cpu->end.bytes);
	const uint8_t *host = NULL;

	cpu->end.rip = rip;
	cpu->end.nr_bytes = 0;
	if (cpu->hw && x86_canonical(cpu, linear) && !hw_failed(cpu->hw))
		host = hw_translate(cpu->hw, linear, HW_FETCH, cpu->privilege);
	if (!host)
		return;
	if (len > in_page)
		len = in_page;
	memcpy(cpu->end.bytes, host, len);
	cpu->end.nr_bytes = (uint8_t)len;
}

void x86_end(struct x86_cpu *cpu, enum umbra_end_reason reason, const char *format, ...)
{
	va_list arguments;

	if (cpu->ended) /* the first reason is the true one */
		return;
	cpu->ended = true;
	cpu->end =
		(struct umbra_end){.reason = reason, .rip = cpu->gpr[X86_RIP], .cpu = cpu->index};
	cpu->end.cpu_mode = x86_mode_name(cpu);
	va_start(arguments, format);
	vsnprintf(cpu->end.text, sizeof(cpu->end.text), format, arguments);
	va_end(arguments);
}

void x86_registers(const struct x86_cpu *cpu, struct umbra_registers *ret_registers)
{
	struct umbra_registers *r = ret_registers;

	memcpy(r->gpr, cpu->gpr, sizeof(r->gpr));
	r->rip = cpu->gpr[X86_RIP];
	r->rflags = x86_flags(cpu);
	r->cr0 = cpu->cr0;
	r->cr2 = cpu->cr2;
	r->cr3 = cpu->cr3;
	r->cr4 = cpu->cr4;
	r->efer = cpu->efer;
	for (int i = 0; i < X86_NR_SEGMENTS; i++)
		r->selector[i] = cpu->segment[i].selector;
	r->fs_base = cpu->segment[X86_FS].base;
	r->gs_base = cpu->segment[X86_GS].base;
	for (int i = 0; i < 16; i++)
		memcpy(r->xmm[i], cpu->xmm[i].u64, sizeof(r->xmm[i]));
	r->mxcsr = cpu->mxcsr;
	r->fcw = cpu->x87.control;
	r->fsw = x86_x87_status(&cpu->x87);
	r->ftw = x86_x87_tags(&cpu->x87);
	r->fop = cpu->x87.opcode;
	r->fcs = cpu->x87.cs;
	r->fds = cpu->x87.ds;
	r->fip = cpu->x87.ip;
	r->fdp = cpu->x87.dp;
	for (unsigned i = 0; i < X87_NR_REGISTERS; i++) {
		const struct x86_x87_register *st = &cpu->x87.r[x87_number(&cpu->x87, i)];

		r->st[i].significand = st->significand;
		r->st[i].exponent = st->exponent;
	}
}
