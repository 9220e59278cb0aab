/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest does to control registers and TLBs, and what the manual says that is forgotten by it
 * (SDM 3A 4.10.4.1). Where a processor may forget more, only what it must counts here.
 */
#include <errno.h>

#include "law_world.h"

static const uint16_t pcids[LAW_PCIDS] = {0, 1, 5, 0xfff};

static void forget_pcid(struct law_cpu *cpu, unsigned pcid)
{
	memset(cpu->stale[pcid], 0, sizeof(cpu->stale[pcid]));
}

static void forget_not_global(struct law_cpu *cpu)
{
	memset(cpu->stale, 0, sizeof(cpu->stale));
}

static void forget_all(struct law_cpu *cpu)
{
	forget_not_global(cpu);
	memset(cpu->global, 0, sizeof(cpu->global));
	cpu->widened = false;
}

static void remember(struct law_stale *stale)
{
	for (unsigned page = 0; page < LAW_PAGES; page++)
		stale[page] = (struct law_stale){.changes = 2};
}

/* One page; and with it all others of the large page that mapped it. */
static void forget_page(struct law_stale *stale, enum reference_format format, unsigned page)
{
	unsigned shift = stale[page].changes ? stale[page].shift : 0;
	uint64_t linear = law_linear(format, page);

	stale[page].changes = 0;
	for (unsigned other = 0; shift > PAGE_SHIFT && other < LAW_PAGES; other++)
		if (stale[other].changes && stale[other].shift == shift &&
		    law_linear(format, other) >> shift == linear >> shift)
			stale[other].changes = 0;
}

static struct hw_paging paging_of(const struct reference_registers *registers)
{
	return (struct hw_paging){
		.cr0 = registers->cr0,
		.cr3 = registers->cr3,
		.cr4 = registers->cr4,
		.efer = registers->efer,
		.pkru = registers->pkru,
	};
}

bool law_load_cr3(struct law *law, struct law_cpu *cpu, unsigned root, unsigned pcid, bool keep)
{
	enum reference_format format = law_format(cpu);
	struct reference_registers registers = cpu->registers;
	bool loaded = true;

	if (!(registers.cr4 & CR4_PCIDE))
		pcid = keep = 0;
	registers.cr3 = law_root(format, root) | pcids[pcid];
	if (format == REFERENCE_PAE)
		loaded = reference_load_pdptes(&law->flat, &registers);
	law_attend(law, cpu);
	assert_int_equal(hw_load_cr3(cpu->hw, registers.cr3, keep), loaded ? 0 : -EINVAL);
	law_attend(law, cpu);
	if (!loaded)
		return false;
	cpu->registers = registers;
	cpu->pcid = pcid;
	if (!keep)
		forget_pcid(cpu, pcid);
	else if (cpu->root[pcid] != root)
		/* Nothing of the other root is known to be gone. */
		remember(cpu->stale[pcid]);
	cpu->root[pcid] = root;
	return true;
}

/* 4.4.1: which changes load the PDPTE registers where paging is PAE after them. */
static bool loads_pdptes(const struct reference_registers *old,
			 const struct reference_registers *new)
{
	return reference_format(old) != REFERENCE_PAE ||
	       ((old->cr0 ^ new->cr0) & (CR0_CD | CR0_NW | CR0_PG)) ||
	       ((old->cr4 ^ new->cr4) & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP));
}

bool law_change_registers(struct law *law, struct law_cpu *cpu,
			  const struct reference_registers *registers)
{
	struct reference_registers new = *registers;
	uint64_t changed = cpu->registers.cr4 ^ new.cr4, cleared = cpu->registers.cr4 & ~new.cr4;
	const struct hw_paging paging = paging_of(&new);
	bool loaded = true;

	if (reference_format(&new) == REFERENCE_PAE && loads_pdptes(&cpu->registers, &new))
		loaded = reference_load_pdptes(&law->flat, &new);
	law_attend(law, cpu);
	assert_int_equal(hw_paging_changed(cpu->hw, &paging), loaded ? 0 : -EINVAL);
	law_attend(law, cpu);
	if (!loaded)
		return false;
	if ((changed & CR4_PGE) || (cleared & CR4_PCIDE) || (cpu->registers.cr0 & ~new.cr0 &CR0_PG))
		forget_all(cpu);
	else if (changed & new.cr4 & CR4_SMEP)
		forget_pcid(cpu, cpu->pcid);
	else if (memcmp(cpu->registers.pdpte, new.pdpte, sizeof(new.pdpte)) != 0)
		remember(cpu->stale[cpu->pcid]);
	if (cpu->widened && (changed & new.cr4 &(CR4_SMEP | CR4_SMAP | CR4_PKE))) {
		/* What is cached as a supervisor page may be one of the user's. */
		for (unsigned pcid = 0; pcid < LAW_PCIDS; pcid++)
			remember(cpu->stale[pcid]);
		remember(cpu->global);
	}
	if (cleared & CR4_PCIDE) {
		cpu->root[0] = cpu->root[cpu->pcid];
		cpu->pcid = 0;
	}
	cpu->registers = new;
	return true;
}

void law_invlpg(struct law *law, struct law_cpu *cpu, unsigned page)
{
	enum reference_format format = law_format(cpu);

	law_attend(law, cpu);
	hw_invlpg(cpu->hw, law_linear(format, page) + law_below(law, PAGE_SIZE));
	law_attend(law, cpu);
	forget_page(cpu->stale[cpu->pcid], format, page);
	forget_page(cpu->global, format, page);
}

void law_invpcid(struct law *law, struct law_cpu *cpu, enum hw_invpcid type, unsigned pcid,
		 unsigned page)
{
	enum reference_format format = law_format(cpu);

	if (!(cpu->registers.cr4 & CR4_PCIDE))
		pcid = 0;
	law_attend(law, cpu);
	hw_invpcid(cpu->hw, type, pcids[pcid], law_linear(format, page));
	law_attend(law, cpu);
	switch (type) {
	case HW_INVPCID_ADDRESS: forget_page(cpu->stale[pcid], format, page); break;
	case HW_INVPCID_CONTEXT: forget_pcid(cpu, pcid); break;
	case HW_INVPCID_ALL: forget_all(cpu); break;
	case HW_INVPCID_ALL_BUT_GLOBAL: forget_not_global(cpu); break;
	}
}

bool law_change_format(struct law *law, struct law_cpu *cpu, enum reference_format format,
		       unsigned root)
{
	struct reference_registers new = cpu->registers;

	if (format == REFERENCE_NONE) {
		/* Long mode is left with paging; PCIDs are not there without it. */
		new.cr0 &= ~CR0_PG;
		new.cr4 &= ~(uint64_t)(CR4_PCIDE | CR4_LA57 | CR4_PAE);
		new.efer &= ~(uint64_t)(EFER_LMA | EFER_LME);
		return law_change_registers(law, cpu, &new);
	}
	assert_int_equal(law_format(cpu), REFERENCE_NONE);
	new.cr0 |= CR0_PG;
	new.cr3 = law_root(format, root);
	if (format >= REFERENCE_PAE)
		new.cr4 |= CR4_PAE;
	if (format >= REFERENCE_4_LEVEL)
		new.efer |= EFER_LME | EFER_LMA;
	if (format == REFERENCE_5_LEVEL)
		new.cr4 |= CR4_LA57;
	if (!law_change_registers(law, cpu, &new))
		return false;
	for (unsigned pcid = 0; pcid < LAW_PCIDS; pcid++)
		cpu->root[pcid] = root;
	cpu->pcid = 0;
	return true;
}
