/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RDMSR and WRMSR: one row an MSR (SDM 4, APM 2 appendix A). What has no row does not exist: #GP.
 */
#include "x86/msr.h"

#include "x86/control.h"
#include "x86/mem.h"
#include "x86/model.h"
#include "x86/system.h"
#include "x86/xcr.h"

#define INTEL  (1u << X86_VENDOR_INTEL)
#define AMD    (1u << X86_VENDOR_AMD)
#define BOTH   (INTEL | AMD)
#define ALWAYS X86_NR_FEATURES

/* What IA32_MISC_ENABLE lets software change; the rest says what there is not. */
#define MISC_ENABLE_WRITABLE (MISC_ENABLE_FAST_STRINGS | MISC_ENABLE_LIMIT_CPUID)
#define MCG_STATUS_DEFINED   7ull /* RIPV, EIPV, MCIP */
/* APM 2 3.2.1: what of SYSCFG concerns MTRRs */
#define SYSCFG_DEFINED 0x7c0000ull
/* HWCR: TSC counts at the frequency of P0, read-only */
#define HWCR_TSC_FREQ_SEL (1ull << 24)
/* DE_CFG: LFENCE is serializing, which it always is here */
#define DE_CFG_LFENCE (1ull << 1)

enum kind {
	FIELD,    /* a member of struct x86_cpu; other bits than @bits cannot change: #GP */
	BASE,     /* a member that takes canonical addresses only */
	CONSTANT, /* reads @bits, cannot be written */
	IGNORED,  /* reads 0, writes have no effect */
	TRIGGER,  /* the same, but cannot be read */
	FUNCTION,
	MACHINE, /* the local APIC's */
};

struct row {
	uint32_t first, last;
	uint8_t vendors;
	uint8_t kind;
	/* As KVM sets its bitmap: no exit. */
	bool passes;
	uint8_t feature; /* that it comes with */
	uint16_t offset;
	uint64_t bits;
	x86_msr_read *read; /* of FUNCTION; NULL: the member at @offset */
	x86_msr_write *write;
};

#define MEMBER(member) offsetof(struct x86_cpu, member)
#define PASSES         true
#define EXITS          false

static x86_msr_write write_misc_enable;

#define ROW(first, last, vendors, kind, passes, feature, offset, bits, read, write)                \
	{                                                                                          \
		MSR_##first, MSR_##last, vendors, kind, passes, feature, offset, bits, read, write \
	}
/* Each names the MSR, who has it, whether its accesses exit, the feature that brings it. */
#define ROW_FIELD(msr, vendors, passes, feature, member, bits)                                     \
	ROW(msr, msr, vendors, FIELD, passes, feature, MEMBER(member), bits, NULL, NULL)
#define ROW_BASE(msr, feature, member)                                                             \
	ROW(msr, msr, BOTH, BASE, PASSES, feature, MEMBER(member), 0, NULL, NULL)
#define ROW_CONSTANT(msr, vendors, feature, value)                                                 \
	ROW(msr, msr, vendors, CONSTANT, EXITS, feature, 0, value, NULL, NULL)
#define ROW_PLAIN(first, last, vendors, kind, feature)                                             \
	ROW(first, last, vendors, kind, EXITS, feature, 0, 0, NULL, NULL)
#define ROW_CHECKED(msr, vendors, feature, member, write)                                          \
	ROW(msr, msr, vendors, FUNCTION, EXITS, feature, MEMBER(member), 0, NULL, write)
#define ROW_TSC(msr, feature)                                                                      \
	ROW(msr, msr, BOTH, FUNCTION, EXITS, feature, 0, 0, x86_msr_read_tsc, x86_msr_write_tsc)
#define ROW_MTRR(first, last)                                                                      \
	ROW(first, last, BOTH, FUNCTION, EXITS, X86_FEATURE_MTRR, 0, 0, x86_msr_read_mtrr,         \
	    x86_msr_write_mtrr)

static const struct row rows[] = {
	/* The ones that kernels use all the time. */
	ROW_BASE(FS_BASE, X86_FEATURE_LM, segment[X86_FS].base),
	ROW_BASE(GS_BASE, X86_FEATURE_LM, segment[X86_GS].base),
	ROW_BASE(KERNEL_GS_BASE, X86_FEATURE_LM, kernel_gs_base),
	ROW_PLAIN(TSC_DEADLINE, TSC_DEADLINE, BOTH, MACHINE, X86_FEATURE_TSC_DEADLINE),
	ROW_PLAIN(X2APIC_FIRST, X2APIC_LAST, BOTH, MACHINE, X86_FEATURE_X2APIC),

	ROW_PLAIN(P5_MC_ADDR, P5_MC_TYPE, BOTH, IGNORED, X86_FEATURE_MCE),
	ROW_TSC(TSC, X86_FEATURE_TSC),
	ROW_CONSTANT(PLATFORM_ID, INTEL, ALWAYS, 0),
	ROW_PLAIN(APIC_BASE, APIC_BASE, BOTH, MACHINE, X86_FEATURE_APIC),
	ROW_TSC(TSC_ADJUST, X86_FEATURE_TSC_ADJUST),
	/* No update of microcode has this processor's signature: none is loaded (SDM 3A 9.11). */
	ROW_PLAIN(BIOS_UPDT_TRIG, BIOS_UPDT_TRIG, INTEL, TRIGGER, ALWAYS),
	ROW_FIELD(BIOS_SIGN_ID, INTEL, EXITS, ALWAYS, bios_sign_id, UINT64_MAX),
	ROW_CONSTANT(BIOS_SIGN_ID, AMD, ALWAYS, 0),
	ROW_MTRR(MTRRCAP, MTRRCAP),
	ROW_FIELD(SYSENTER_CS, BOTH, PASSES, X86_FEATURE_SEP, sysenter_cs, UINT64_MAX),
	ROW_BASE(SYSENTER_ESP, X86_FEATURE_SEP, sysenter_esp),
	ROW_BASE(SYSENTER_EIP, X86_FEATURE_SEP, sysenter_eip),
	ROW_CONSTANT(MCG_CAP, BOTH, X86_FEATURE_MCA, 0), /* no banks */
	ROW_FIELD(MCG_STATUS, BOTH, EXITS, X86_FEATURE_MCA, mcg_status, MCG_STATUS_DEFINED),
	ROW_CHECKED(MISC_ENABLE, INTEL, ALWAYS, misc_enable, write_misc_enable),
	ROW_MTRR(MTRR_PHYSBASE0, MTRR_PHYSMASK7),
	ROW_MTRR(MTRR_FIX64K, MTRR_FIX4K_F8000),
	ROW_CHECKED(PAT, BOTH, X86_FEATURE_PAT, pat, x86_msr_write_pat),
	ROW_MTRR(MTRR_DEF_TYPE, MTRR_DEF_TYPE),

	ROW_CHECKED(EFER, BOTH, ALWAYS, efer, x86_msr_write_efer),
	ROW_FIELD(STAR, BOTH, PASSES, X86_FEATURE_SYSCALL, star, UINT64_MAX),
	ROW_BASE(LSTAR, X86_FEATURE_SYSCALL, lstar),
	ROW_BASE(CSTAR, X86_FEATURE_SYSCALL, cstar),
	ROW_FIELD(SFMASK, BOTH, PASSES, X86_FEATURE_SYSCALL, sfmask, UINT32_MAX),
	ROW_FIELD(TSC_AUX, BOTH, EXITS, X86_FEATURE_RDTSCP, tsc_aux, UINT32_MAX),

	ROW_FIELD(SYSCFG, AMD, EXITS, ALWAYS, syscfg, SYSCFG_DEFINED),
	ROW_CONSTANT(HWCR, AMD, ALWAYS, HWCR_TSC_FREQ_SEL),
	ROW_CONSTANT(DE_CFG, AMD, ALWAYS, DE_CFG_LFENCE),
};

static const struct row *find_row(const struct x86_cpu *cpu, uint32_t msr)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];

		if (msr < row->first || msr > row->last ||
		    !(row->vendors >> cpu->model->vendor & 1))
			continue;
		return row->feature == ALWAYS || x86_offers(cpu, row->feature) ? row : NULL;
	}
	return NULL;
}

void x86_msrs_init(struct x86_cpu *cpu)
{
	cpu->star = cpu->lstar = cpu->cstar = cpu->sfmask = cpu->kernel_gs_base = 0;
	cpu->sysenter_cs = cpu->sysenter_esp = cpu->sysenter_eip = 0;
	cpu->bios_sign_id = cpu->mcg_status = cpu->syscfg = 0;
	cpu->tsc_adjust = cpu->tsc_aux = 0;
	cpu->xcr0 = XCR0_X87;
	cpu->pkru = 0;
	cpu->misc_enable = X86_MISC_ENABLE;
	x86_memory_types_init(cpu);
}

static enum x86_result gp(struct x86_cpu *cpu)
{
	return x86_raise_code(cpu, X86_GP, 0);
}

static uint64_t *member(struct x86_cpu *cpu, const struct row *row)
{
	return (uint64_t *)((uint8_t *)cpu + row->offset);
}

static bool write_misc_enable(struct x86_cpu *cpu, uint32_t msr, uint64_t value)
{
	if ((value ^ cpu->misc_enable) & ~MISC_ENABLE_WRITABLE)
		return false;
	cpu->misc_enable = value;
	return true;
}

static bool read_row(struct x86_cpu *cpu, const struct row *row, uint32_t msr, uint64_t *ret_value)
{
	switch (row->kind) {
	case CONSTANT: *ret_value = row->bits; return true;
	case IGNORED: *ret_value = 0; return true;
	case TRIGGER: return false;
	case MACHINE:
		return machine_msr_read(cpu->machine, cpu->index, msr, ret_value, x86_time(cpu));
	default:
		if (row->read)
			return row->read(cpu, msr, ret_value);
		*ret_value = *member(cpu, row);
		return true;
	}
}

/* The MMU must know where the APIC answers (SDM 3A 10.4.5). */
static bool write_apic_base(struct x86_cpu *cpu, uint64_t value)
{
	uint64_t old = machine_apic_page(cpu->machine, cpu->index), new;

	if (value >> x86_maxphyaddr(cpu) ||
	    !machine_msr_write(cpu->machine, cpu->index, MSR_APIC_BASE, value, x86_time(cpu)))
		return false;
	new = machine_apic_page(cpu->machine, cpu->index);
	if (new != old && !machine_end(cpu->machine)) {
		hw_set_device(cpu->hw, old, machine_is_device(cpu->machine, old));
		hw_set_device(cpu->hw, new, true);
	}
	return true;
}

static bool write_row(struct x86_cpu *cpu, const struct row *row, uint32_t msr, uint64_t value)
{
	switch (row->kind) {
	case FIELD:
		if (value & ~row->bits)
			return false;
		*member(cpu, row) = value;
		return true;
	case BASE:
		if (!x86_canonical_base(cpu, value))
			return false;
		*member(cpu, row) = value;
		return true;
	case IGNORED:
	case TRIGGER: return true;
	case FUNCTION: return row->write(cpu, msr, value);
	case MACHINE:
		if (msr == MSR_APIC_BASE)
			return write_apic_base(cpu, value);
		return machine_msr_write(cpu->machine, cpu->index, msr, value, x86_time(cpu));
	default: return false;
	}
}

enum x86_result x86_exec_rdmsr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint32_t msr = (uint32_t)cpu->gpr[X86_RCX];
	const struct row *row;
	uint64_t value;

	if (cpu->cpl)
		return gp(cpu);
	row = find_row(cpu, msr);
	if (!row || !row->passes)
		hw_event(cpu->hw, UMBRA_EXIT_rdmsr);
	if (!row || !read_row(cpu, row, msr, &value))
		return gp(cpu);
	cpu->gpr[X86_RAX] = (uint32_t)value;
	cpu->gpr[X86_RDX] = value >> 32;
	return X86_DONE;
}

enum x86_result x86_exec_wrmsr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint32_t msr = (uint32_t)cpu->gpr[X86_RCX];
	uint64_t value = cpu->gpr[X86_RDX] << 32 | (uint32_t)cpu->gpr[X86_RAX];
	const struct row *row;

	if (cpu->cpl)
		return gp(cpu);
	row = find_row(cpu, msr);
	if (!row || !row->passes)
		hw_event(cpu->hw, UMBRA_EXIT_wrmsr);
	if (!row || !write_row(cpu, row, msr, value))
		return cpu->ended ? X86_FAULT : gp(cpu);
	if (row->kind == MACHINE)
		x86_take_machine_end(cpu, insn);
	return X86_LEAVE; /* mapping, timers or interrupts may have changed */
}
