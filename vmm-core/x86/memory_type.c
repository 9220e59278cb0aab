/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PAT and MTRRs (SDM 3A 11.11, 11.12): kept and checked as the manual says. There is no cache
 * whose behaviour they could change.
 */
#include "x86/control.h"
#include "x86/model.h"
#include "x86/msr.h"

/* SDM 3A table 11-2 */
enum memory_type { TYPE_UC, TYPE_WC, TYPE_WT = 4, TYPE_WP, TYPE_WB, TYPE_UC_MINUS };

#define PAT_AT_RESET        0x0007040600070406ull /* SDM 3A 11.12.4 */

#define MTRRCAP_FIX         (1ull << 8)
#define MTRRCAP_WC          (1ull << 10)
#define MTRR_DEF_TYPE_FE    (1ull << 10)
#define MTRR_DEF_TYPE_E     (1ull << 11)
#define MTRR_PHYSMASK_V     (1ull << 11)
#define MTRR_TYPE           0xffull
#define MTRR_ADDRESS(width) (((1ull << (width)) - 1) & ~0xfffull)

#define FIXED_TYPES(type)   (0x0101010101010101ull * (type))
#define DEVICES_BELOW_4G    0xc0000000ull /* where the machine keeps its devices: to 4 GiB */

static const uint32_t fixed_msrs[X86_NR_FIXED_MTRRS] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
							0x26b, 0x26c, 0x26d, 0x26e, 0x26f};

/*
 * As firmware leaves them: write-back, but for video memory and the devices below 4 GiB. A kernel
 * that finds MTRRs disabled suspects its firmware.
 */
void x86_memory_types_init(struct x86_cpu *cpu)
{
	cpu->pat = PAT_AT_RESET;
	cpu->mtrr.def_type = MTRR_DEF_TYPE_E | MTRR_DEF_TYPE_FE | TYPE_WB;
	for (unsigned i = 0; i < X86_NR_FIXED_MTRRS; i++)
		cpu->mtrr.fixed[i] = FIXED_TYPES(fixed_msrs[i] == 0x259 ? TYPE_UC : TYPE_WB);
	cpu->mtrr.variable[0] = DEVICES_BELOW_4G | TYPE_UC;
	cpu->mtrr.variable[1] = (MTRR_ADDRESS(x86_maxphyaddr(cpu)) & DEVICES_BELOW_4G) |
				(MTRR_ADDRESS(x86_maxphyaddr(cpu)) & ~(uint64_t)UINT32_MAX) |
				MTRR_PHYSMASK_V;
}

static bool type_is_valid(uint8_t type, bool pat)
{
	switch (type) {
	case TYPE_UC:
	case TYPE_WC:
	case TYPE_WT:
	case TYPE_WP:
	case TYPE_WB: return true;
	case TYPE_UC_MINUS: return pat; /* SDM 3A table 11-10 */
	default: return false;
	}
}

static bool types_are_valid(uint64_t value, bool pat)
{
	for (unsigned i = 0; i < 8; i++)
		if (!type_is_valid((uint8_t)(value >> (8 * i)), pat))
			return false;
	return true;
}

bool x86_msr_write_pat(struct x86_cpu *cpu, uint32_t msr, uint64_t value)
{
	if (!types_are_valid(value, true))
		return false;
	cpu->pat = value;
	return true;
}

static uint64_t *fixed_mtrr(struct x86_cpu *cpu, uint32_t msr)
{
	for (unsigned i = 0; i < X86_NR_FIXED_MTRRS; i++)
		if (fixed_msrs[i] == msr)
			return &cpu->mtrr.fixed[i];
	return NULL;
}

bool x86_msr_read_mtrr(struct x86_cpu *cpu, uint32_t msr, uint64_t *ret_value)
{
	const uint64_t *fixed = fixed_mtrr(cpu, msr);

	if (msr == MSR_MTRRCAP)
		*ret_value = X86_NR_VARIABLE_MTRRS | MTRRCAP_FIX | MTRRCAP_WC;
	else if (msr == MSR_MTRR_DEF_TYPE)
		*ret_value = cpu->mtrr.def_type;
	else if (fixed)
		*ret_value = *fixed;
	else if (msr - MSR_MTRR_PHYSBASE0 < 2 * X86_NR_VARIABLE_MTRRS)
		*ret_value = cpu->mtrr.variable[msr - MSR_MTRR_PHYSBASE0];
	else
		return false;
	return true;
}

bool x86_msr_write_mtrr(struct x86_cpu *cpu, uint32_t msr, uint64_t value)
{
	uint64_t *fixed = fixed_mtrr(cpu, msr), allowed = MTRR_ADDRESS(x86_maxphyaddr(cpu));

	if (fixed) {
		if (!types_are_valid(value, false))
			return false;
		*fixed = value;
	} else if (msr == MSR_MTRR_DEF_TYPE) {
		if ((value & ~(MTRR_TYPE | MTRR_DEF_TYPE_FE | MTRR_DEF_TYPE_E)) ||
		    !type_is_valid((uint8_t)value, false))
			return false;
		cpu->mtrr.def_type = value;
	} else if (msr - MSR_MTRR_PHYSBASE0 < 2 * X86_NR_VARIABLE_MTRRS) {
		bool mask = msr & 1;

		if ((value & ~(allowed | (mask ? MTRR_PHYSMASK_V : MTRR_TYPE))) ||
		    (!mask && !type_is_valid((uint8_t)value, false)))
			return false;
		cpu->mtrr.variable[msr - MSR_MTRR_PHYSBASE0] = value;
	} else {
		return false;
	}
	return true;
}
