/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control and debug registers, EFER: MOV, LMSW, SMSW, CLTS (SDM 3A 2.2.1, 2.5, 2.8). */
#include <errno.h>

#include "x86/control.h"
#include "x86/debug.h"
#include "x86/mem.h"
#include "x86/model.h"
#include "x86/msr.h"
#include "x86/segment.h"
#include "x86/system.h"

#define CR0_DEFINED                                                                                \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)
#define CR0_MSW    (CR0_PE | CR0_MP | CR0_EM | CR0_TS)
#define CR0_PAGING (CR0_PE | CR0_PG | CR0_WP)
/* Of these a change makes PAE paging load its PDPTEs again (SDM 3A 4.4.1). */
#define CR0_PDPTES (CR0_CD | CR0_NW | CR0_PG)
#define CR4_PAGING                                                                                 \
	(CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE)
#define CR3_NOFLUSH (1ull << 63) /* of the operand, under CR4.PCIDE */
#define CR8_DEFINED 0xfull

/* Which feature brings which bit of CR4 (SDM 3A 2.5); without it the bit is reserved. */
static const struct {
	uint64_t bits;
	enum x86_feature feature;
} cr4_features[] = {
	{CR4_VME | CR4_PVI, X86_FEATURE_VME},
	{CR4_TSD, X86_FEATURE_TSC},
	{CR4_DE, X86_FEATURE_DE},
	{CR4_PSE, X86_FEATURE_PSE},
	{CR4_PAE, X86_FEATURE_PAE},
	{CR4_MCE, X86_FEATURE_MCE},
	{CR4_PGE, X86_FEATURE_PGE},
	{CR4_OSFXSR, X86_FEATURE_FXSR},
	{CR4_OSXMMEXCPT, X86_FEATURE_SSE},
	{CR4_UMIP, X86_FEATURE_UMIP},
	{CR4_LA57, X86_FEATURE_LA57},
	{CR4_FSGSBASE, X86_FEATURE_FSGSBASE},
	{CR4_PCIDE, X86_FEATURE_PCID},
	{CR4_OSXSAVE, X86_FEATURE_XSAVE},
	{CR4_SMEP, X86_FEATURE_SMEP},
	{CR4_SMAP, X86_FEATURE_SMAP},
	{CR4_PKE, X86_FEATURE_PKU},
};

static enum x86_result gp(struct x86_cpu *cpu)
{
	return x86_raise_code(cpu, X86_GP, 0);
}

enum x86_result x86_update_paging(struct x86_cpu *cpu)
{
	struct hw_paging paging = {cpu->cr0, cpu->cr3, cpu->cr4, cpu->efer, cpu->pkru};
	int error;

	cpu->canonical_shift = cpu->cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;
	error = hw_paging_changed(cpu->hw, &paging);
	if (error == -EINVAL) /* reserved bits in a PDPTE (SDM 3A 4.4.1) */
		return gp(cpu);
	if (error < 0) {
		x86_end(cpu, UMBRA_END_ERROR, "%s", hw_error_text(cpu->hw));
		return X86_FAULT;
	}
	return X86_LEAVE;
}

/* Changes CR0, CR4 and EFER together, or, when the MMU refuses them, nothing. */
static enum x86_result change_paging(struct x86_cpu *cpu, uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	uint64_t old_cr0 = cpu->cr0, old_cr4 = cpu->cr4, old_efer = cpu->efer;
	enum x86_result result;

	cpu->cr0 = cr0;
	cpu->cr4 = cr4;
	cpu->efer = efer;
	x86_update_code_mode(cpu);
	result = x86_update_paging(cpu);
	if (result == X86_FAULT && !cpu->ended) {
		cpu->cr0 = old_cr0;
		cpu->cr4 = old_cr4;
		cpu->efer = old_efer;
		cpu->canonical_shift = old_cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;
		x86_update_code_mode(cpu);
	}
	return result;
}

static bool fails(struct x86_cpu *cpu)
{
	gp(cpu);
	return false;
}

/* SDM 3A 4.1.1, 9.8.5: what turning paging on or off demands. */
static bool check_paging_switch(struct x86_cpu *cpu, uint64_t cr0)
{
	bool on = cr0 & CR0_PG;
	uint16_t cs = cpu->segment[X86_CS].rights;
	uint16_t tss = cpu->tr.rights & (SEG_S | SEG_TYPE);

	if (on == !!(cpu->cr0 & CR0_PG))
		return true;
	if (!on)
		return cpu->code_mode != X86_CODE_64 && !(cpu->cr4 & CR4_PCIDE) ? true : fails(cpu);
	if (!(cpu->efer & EFER_LME))
		return true;
	if ((cs & SEG_L) || !(cpu->cr4 & CR4_PAE) || tss == SYS_TSS_16_AVAILABLE ||
	    tss == SYS_TSS_16_BUSY)
		return fails(cpu);
	return true;
}

static enum x86_result write_cr0(struct x86_cpu *cpu, uint64_t value)
{
	uint64_t changed, efer = cpu->efer & ~EFER_LMA;
	bool pae = !(cpu->efer & EFER_LMA) && (cpu->cr4 & CR4_PAE);

	if (value >> 32)
		return gp(cpu);
	value = (value & CR0_DEFINED) | CR0_ET;
	if (((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
		return gp(cpu);
	if (!check_paging_switch(cpu, value))
		return X86_FAULT;
	if ((value & CR0_PG) && (efer & EFER_LME))
		efer |= EFER_LMA;
	changed = cpu->cr0 ^ value;
	if ((changed & CR0_PAGING) || (pae && (value & CR0_PG) && (changed & CR0_PDPTES)))
		return change_paging(cpu, value, cpu->cr4, efer);
	cpu->cr0 = value;
	return X86_LEAVE;
}

/*
 * 4- and 5-level paging have the whole register, and bits beyond MAXPHYADDR are reserved. All
 * other modes write 32 bits of it, none of which is (SDM 3A tables 4-3, 4-7, 4-12).
 */
bool x86_load_cr3(struct x86_cpu *cpu, uint64_t value)
{
	bool keep = (cpu->cr4 & CR4_PCIDE) && (value & CR3_NOFLUSH);
	int error;

	if (keep)
		value &= ~CR3_NOFLUSH;
	if (x86_long_mode(cpu) && value >> x86_maxphyaddr(cpu))
		return fails(cpu);
	error = hw_load_cr3(cpu->hw, value, keep);
	if (error == -EINVAL)
		return fails(cpu);
	cpu->cr3 = value;
	hw_public(cpu->hw)->counters.guest_cr3_loads[0]++;
	if (error < 0) {
		x86_end(cpu, UMBRA_END_ERROR, "%s", hw_error_text(cpu->hw));
		return false;
	}
	return true;
}

static uint64_t cr4_offered(const struct x86_cpu *cpu)
{
	uint64_t bits = CR4_PCE; /* as RDPMC, which every processor of this age has */

	for (size_t i = 0; i < sizeof(cr4_features) / sizeof(cr4_features[0]); i++)
		if (x86_offers(cpu, cr4_features[i].feature))
			bits |= cr4_features[i].bits;
	return bits;
}

/* SDM 2 MOV to CR4, SDM 3A 2.5, 4.10.1. */
static enum x86_result write_cr4(struct x86_cpu *cpu, uint64_t value)
{
	uint64_t changed = cpu->cr4 ^ value;
	enum x86_result result = X86_LEAVE;

	if (value & ~cr4_offered(cpu))
		return gp(cpu);
	if (x86_long_mode(cpu) && (!(value & CR4_PAE) || (changed & CR4_LA57)))
		return gp(cpu);
	if ((changed & value & CR4_PCIDE) && (!x86_long_mode(cpu) || (cpu->cr3 & CR3_PCID)))
		return gp(cpu);
	if (changed & CR4_PAGING)
		result = change_paging(cpu, cpu->cr0, value, cpu->efer);
	else
		cpu->cr4 = value;
	x86_debug_changed(cpu);
	return result;
}

/* SDM 3A 10.8.6: CR8 is the upper half of the local APIC's TPR. */
static enum x86_result write_cr8(struct x86_cpu *cpu, uint64_t value)
{
	if (value & ~CR8_DEFINED)
		return gp(cpu);
	machine_set_tpr(cpu->machine, cpu->index, (uint8_t)value);
	return X86_LEAVE; /* an interrupt may have come to be allowed */
}

/* SDM 2 MOV: there are no others. */
static bool has_control_register(const struct x86_cpu *cpu, uint8_t number)
{
	return number == 0 || (number >= 2 && number <= 4) ||
	       (number == 8 && cpu->code_mode == X86_CODE_64);
}

/* IA32_EFER (SDM 3A 2.2.1): writes of LMA are ignored. */
bool x86_msr_write_efer(struct x86_cpu *cpu, uint32_t msr, uint64_t value)
{
	uint64_t writable = (x86_offers(cpu, X86_FEATURE_SYSCALL) ? EFER_SCE : 0) |
			    (x86_offers(cpu, X86_FEATURE_LM) ? EFER_LME : 0) |
			    (x86_offers(cpu, X86_FEATURE_NX) ? EFER_NXE : 0);
	uint64_t changed = cpu->efer ^ value;

	if ((value & ~(writable | EFER_LMA)) || ((changed & EFER_LME) && (cpu->cr0 & CR0_PG)))
		return false;
	value = (value & writable) | (cpu->efer & EFER_LMA);
	if (changed & EFER_NXE)
		return change_paging(cpu, cpu->cr0, cpu->cr4, value) != X86_FAULT;
	cpu->efer = value;
	return true;
}

enum x86_result x86_exec_mov_to_cr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value = cpu->gpr[insn->rm];

	if (!has_control_register(cpu, insn->reg))
		return x86_raise(cpu, X86_UD);
	if (cpu->cpl)
		return gp(cpu);
	if (cpu->code_mode != X86_CODE_64)
		value = (uint32_t)value;
	switch (insn->reg) {
	case 0: hw_event(cpu->hw, UMBRA_EXIT_cr_access); return write_cr0(cpu, value);
	case 2: cpu->cr2 = value; return X86_DONE;
	case 3: return x86_load_cr3(cpu, value) ? X86_LEAVE : X86_FAULT;
	case 4: hw_event(cpu->hw, UMBRA_EXIT_cr_access); return write_cr4(cpu, value);
	default: return write_cr8(cpu, value);
	}
}

enum x86_result x86_exec_mov_from_cr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value;

	if (!has_control_register(cpu, insn->rm))
		return x86_raise(cpu, X86_UD);
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
	default: value = machine_tpr(cpu->machine, cpu->index); break;
	}
	cpu->gpr[insn->reg] = cpu->code_mode == X86_CODE_64 ? value : (uint32_t)value;
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

	if (x86_umip_forbids(cpu))
		return gp(cpu);
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
