/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MOV to and from control and debug registers, LMSW, SMSW, CLTS, INVLPG (SDM 3A 2.5, 2.8). */
#include "x86/control.h"
#include "x86/debug.h"
#include "x86/mem.h"
#include "x86/segment.h"
#include "x86/system.h"

#define CR0_DEFINED                                                                                \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)
#define CR0_MSW    (CR0_PE | CR0_MP | CR0_EM | CR0_TS)
#define CR0_PAGING (CR0_PE | CR0_PG | CR0_WP)
/* What CPUID offers, no more. */
#define CR4_DEFINED                                                                                \
	(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT)
#define CR4_PAGING  (CR4_PSE | CR4_PAE)
#define CR8_DEFINED 0xfull

static enum x86_result gp(struct x86_cpu *cpu)
{
	return x86_raise_code(cpu, X86_GP, 0);
}

enum x86_result x86_update_paging(struct x86_cpu *cpu)
{
	struct hw_paging paging = {
		.cr0 = cpu->cr0, .cr3 = cpu->cr3, .cr4 = cpu->cr4, .efer = cpu->efer};

	cpu->canonical_shift = cpu->cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;
	if (hw_paging_changed(cpu->hw, &paging) < 0) {
		x86_end(cpu, UMBRA_END_ERROR, "%s", hw_error_text(cpu->hw));
		return X86_FAULT;
	}
	return X86_LEAVE;
}

static bool refuse_paging_without_long_mode(struct x86_cpu *cpu)
{
	x86_end(cpu, UMBRA_END_ERROR, "%s is not in this build",
		cpu->cr4 & CR4_PAE ? "PAE paging" : "2-level paging");
	return false;
}

/* SDM 3A 4.1.1, 9.8.5: what turning paging on or off demands. */
static bool check_paging_switch(struct x86_cpu *cpu, uint64_t cr0)
{
	bool on = cr0 & CR0_PG;
	uint16_t cs = cpu->segment[X86_CS].rights;

	if (on == !!(cpu->cr0 & CR0_PG))
		return true;
	if (!on) {
		if (cpu->code_mode != X86_CODE_64)
			return true;
		gp(cpu);
		return false;
	}
	if (!(cpu->efer & EFER_LME))
		return refuse_paging_without_long_mode(cpu);
	if ((cs & SEG_L) || !(cpu->cr4 & CR4_PAE)) {
		gp(cpu);
		return false;
	}
	return true;
}

static enum x86_result write_cr0(struct x86_cpu *cpu, uint64_t value)
{
	uint64_t old = cpu->cr0;

	if (value >> 32)
		return gp(cpu);
	value = (value & CR0_DEFINED) | CR0_ET;
	if (((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
		return gp(cpu);
	if (!check_paging_switch(cpu, value))
		return X86_FAULT;
	cpu->cr0 = value;
	if (value & CR0_PG)
		cpu->efer |= cpu->efer & EFER_LME ? EFER_LMA : 0;
	else
		cpu->efer &= ~EFER_LMA;
	x86_update_code_mode(cpu);
	return (old ^ value) & CR0_PAGING ? x86_update_paging(cpu) : X86_LEAVE;
}

bool x86_load_cr3(struct x86_cpu *cpu, uint64_t value)
{
	if (value >> hw_maxphyaddr(cpu->hw)) {
		gp(cpu);
		return false;
	}
	cpu->cr3 = value;
	hw_public(cpu->hw)->counters.guest_cr3_loads[0]++;
	if (hw_load_cr3(cpu->hw, value, false) < 0) {
		x86_end(cpu, UMBRA_END_ERROR, "%s", hw_error_text(cpu->hw));
		return false;
	}
	return true;
}

static enum x86_result write_cr4(struct x86_cpu *cpu, uint64_t value)
{
	uint64_t old = cpu->cr4;

	if ((value & ~CR4_DEFINED) || (x86_long_mode(cpu) && !(value & CR4_PAE)))
		return gp(cpu);
	cpu->cr4 = value;
	x86_debug_changed(cpu);
	return (old ^ value) & CR4_PAGING ? x86_update_paging(cpu) : X86_LEAVE;
}

enum x86_result x86_exec_mov_to_cr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value = cpu->gpr[insn->rm];

	if (cpu->cpl)
		return gp(cpu);
	if (insn->size == 4)
		value = (uint32_t)value;
	switch (insn->reg) {
	case 0: hw_event(cpu->hw, UMBRA_EXIT_cr_access); return write_cr0(cpu, value);
	case 2: cpu->cr2 = value; return X86_DONE;
	case 3: return x86_load_cr3(cpu, value) ? X86_LEAVE : X86_FAULT;
	case 4: hw_event(cpu->hw, UMBRA_EXIT_cr_access); return write_cr4(cpu, value);
	case 8:
		if (value & ~CR8_DEFINED)
			return gp(cpu);
		cpu->cr8 = value;
		return X86_DONE;
	default: return x86_raise(cpu, X86_UD);
	}
}

enum x86_result x86_exec_mov_from_cr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value;

	if (cpu->cpl)
		return gp(cpu);
	switch (insn->rm) {
	case 0: value = cpu->cr0; break;
	case 2: value = cpu->cr2; break;
	case 3:
		hw_store_cr3(cpu->hw);
		value = cpu->cr3;
		break;
	case 4: value = cpu->cr4; break;
	case 8: value = cpu->cr8; break;
	default: return x86_raise(cpu, X86_UD);
	}
	cpu->gpr[insn->reg] = insn->size == 4 ? (uint32_t)value : value;
	return X86_DONE;
}

enum x86_result x86_exec_lmsw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value;

	if (cpu->cpl)
		return gp(cpu);
	if (insn->memory) {
		if (!x86_load(cpu, insn->segment, x86_effective_address(cpu, insn), 2, &value))
			return X86_FAULT;
	} else {
		value = cpu->gpr[insn->reg];
	}
	/* LMSW can set PE, not clear it. */
	value = (cpu->cr0 & (~CR0_MSW | CR0_PE)) | (value & CR0_MSW);
	return write_cr0(cpu, value);
}

enum x86_result x86_exec_smsw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t *destination = &cpu->gpr[insn->reg];

	if (insn->memory)
		return x86_store(cpu, insn->segment, x86_effective_address(cpu, insn), 2,
				 cpu->cr0 & UINT16_MAX)
			       ? X86_DONE
			       : X86_FAULT;
	if (insn->size == 2)
		*destination = (*destination & ~(uint64_t)UINT16_MAX) | (cpu->cr0 & UINT16_MAX);
	else
		*destination = cpu->cr0;
	return X86_DONE;
}

enum x86_result x86_exec_clts(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if (cpu->cpl)
		return gp(cpu);
	cpu->cr0 &= ~CR0_TS;
	return X86_DONE;
}

enum x86_result x86_exec_invlpg(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t linear;

	if (cpu->cpl)
		return gp(cpu);
	hw_public(cpu->hw)->counters.guest_invlpgs[0]++;
	linear = x86_linear(cpu, insn->segment, x86_effective_address(cpu, insn));
	if (x86_canonical(cpu, linear)) /* else nothing can be cached of it */
		hw_invlpg(cpu->hw, linear);
	return X86_LEAVE;
}

/* WBINVD, INVD: this CPU has no data cache. */
enum x86_result x86_exec_cache_privileged(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return cpu->cpl ? gp(cpu) : X86_DONE;
}
