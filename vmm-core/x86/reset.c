/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reset, INIT, SIPI and NMI: the states of SDM 3A table 9-1. */
#include <string.h>

#include "x86/block.h"
#include "x86/control.h"
#include "x86/debug.h"
#include "x86/flags.h"
#include "x86/msr.h"
#include "x86/model.h"
#include "x86/segment.h"
#include "x86/x87.h"

#define DR6_AT_RESET     0xffff0ff0ull
#define DR7_AT_RESET     0x400ull
#define CS_AT_RESET      0xf000u
#define CS_BASE_AT_RESET 0xffff0000u
#define IP_AT_RESET      0xfff0u
#define X87_CONTROL      0x0040u
#define X87_TAGS         0x5555u

/* What INIT changes; reset does the same and more. */
static void initialize(struct x86_cpu *cpu)
{
	const uint16_t rights = SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED;

	memset(cpu->gpr, 0, sizeof(cpu->gpr));
	cpu->gpr[X86_RIP] = IP_AT_RESET;
	cpu->gpr[X86_RDX] = x86_signature(cpu->model);
	for (unsigned i = 0; i < X86_NR_SEGMENTS; i++)
		cpu->segment[i] = (struct x86_segment){.limit = UINT16_MAX, .rights = rights};
	cpu->segment[X86_CS].selector = CS_AT_RESET;
	cpu->segment[X86_CS].base = CS_BASE_AT_RESET;
	cpu->ldtr = (struct x86_segment){.limit = UINT16_MAX, .rights = SEG_P | SYS_LDT};
	cpu->tr = (struct x86_segment){.limit = UINT16_MAX, .rights = SEG_P | SYS_TSS_BUSY};
	cpu->gdtr = cpu->idtr = (struct x86_table_register){.limit = UINT16_MAX};
	cpu->cr2 = cpu->cr3 = cpu->cr4 = cpu->efer = 0;
	cpu->canonical_shift = 64 - 48;
	memset(cpu->dr, 0, sizeof(cpu->dr));
	cpu->dr[6] = DR6_AT_RESET;
	cpu->dr[7] = DR7_AT_RESET;

	cpu->cpl = 0;
	x86_set_flags(cpu, RFLAGS_ONE);
	cpu->interrupt_shadow = 0;
	cpu->pending = 0;
	cpu->debug_status = 0;
	cpu->single_step = cpu->nmi_blocked = cpu->new_task = false;
	x86_debug_changed(cpu);
	x86_update_code_mode(cpu);
	/* All but the boot processor wait for a SIPI (SDM 3A 8.4.3). */
	cpu->wait_for_sipi = cpu->halted = cpu->index > 0;
}

static int tell_mmu(struct x86_cpu *cpu)
{
	struct hw_paging paging = {.cr0 = cpu->cr0, .pkru = cpu->pkru};

	return hw_paging_changed(cpu->hw, &paging);
}

void x86_reset_registers(struct x86_cpu *cpu)
{
	cpu->cr0 = CR0_CD | CR0_NW | CR0_ET;
	initialize(cpu);
	x86_msrs_init(cpu);
	memset(cpu->xmm, 0, sizeof(cpu->xmm));
	cpu->mxcsr = X86_MXCSR_AT_RESET;
	x86_x87_init(&cpu->x87);
	x86_x87_set_control(&cpu->x87, X87_CONTROL);
	x86_x87_set_tags(&cpu->x87, X87_TAGS);
}

int x86_reset(struct x86_cpu *cpu)
{
	x86_reset_registers(cpu);
	return tell_mmu(cpu);
}

int x86_init(struct x86_cpu *cpu)
{
	cpu->cr0 = (cpu->cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
	initialize(cpu);
	x86_blocks_abandon(cpu->blocks);
	return tell_mmu(cpu);
}

void x86_sipi(struct x86_cpu *cpu, uint8_t vector)
{
	if (!cpu->wait_for_sipi)
		return;
	x86_set_segment_8086(cpu, X86_CS, (uint16_t)(vector << 8));
	cpu->gpr[X86_RIP] = 0;
	cpu->wait_for_sipi = cpu->halted = false;
}

void x86_nmi(struct x86_cpu *cpu)
{
	cpu->pending |= X86_PENDING_NMI;
}
