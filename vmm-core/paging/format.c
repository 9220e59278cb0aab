/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which bits the formats of paging-structure entries leave to software and which must be zero. */
#include "paging/entry.h"
#include "paging/tlb.h"

#define BITS(high, low) (((2ull << (high)) - 1) & ~((1ull << (low)) - 1))

/* Pages of 2M, 4M, 1G: between PAT (bit 12) and the address. */
#define RESERVED_2M        BITS(20, 13)
#define RESERVED_1G        BITS(29, 13)
#define RESERVED_4M        BITS(21, 21)

#define EPT_RESERVED_UPPER BITS(7, 3) /* of PML5Es and PML4Es */
#define EPT_RESERVED_TABLE BITS(6, 3)
#define EPT_RESERVED_2M    BITS(20, 12)
#define EPT_RESERVED_1G    BITS(29, 12)

static enum paging_format format_of(const struct hw_paging *paging)
{
	if (!(paging->cr0 & CR0_PG))
		return FORMAT_UNPAGED;
	if (!(paging->cr4 & CR4_PAE))
		return FORMAT_2_LEVEL;
	if (!(paging->efer & EFER_LMA))
		return FORMAT_PAE;
	return paging->cr4 & CR4_LA57 ? FORMAT_5_LEVEL : FORMAT_4_LEVEL;
}

/* SDM 3A 4.3: entries of 4 bytes, in which only those of 4M pages have reserved bits. */
static void two_level(bool pse, unsigned maxphyaddr, struct paging_rules *rules)
{
	unsigned width = maxphyaddr < 40 ? maxphyaddr : 40;

	rules->levels = 2;
	rules->index_bits = 10;
	rules->large[2] = pse ? PTE_PS : 0;
	/* Bits 20:13 are address bits 39:32, as many of them as there are. */
	rules->reserved[2][true] = RESERVED_4M | (width < 40 ? BITS(20, 13 + (width - 32)) : 0);
}

static void long_entries(bool nxe, unsigned maxphyaddr, struct paging_rules *rules)
{
	/* Where nothing is ignored (SDM 3A tables 4-8 to 4-11) PAE has no use for bits 62:52. */
	unsigned top = rules->format == FORMAT_PAE ? 62 : 51;
	uint64_t common = (nxe ? 0 : PTE_NX);

	if (maxphyaddr <= top)
		common |= BITS(top, maxphyaddr);
	rules->index_bits = 9;
	for (unsigned level = 1; level <= MAX_LEVELS; level++)
		rules->reserved[level][false] = rules->reserved[level][true] = common;
	rules->large[2] = PTE_PS;
	rules->reserved[2][true] |= RESERVED_2M;
	if (rules->format == FORMAT_PAE) {
		rules->levels = 2;
		return;
	}
	rules->levels = rules->format == FORMAT_5_LEVEL ? 5 : 4;
	rules->large[3] = PTE_PS;
	rules->reserved[3][true] |= RESERVED_1G;
	rules->reserved[4][false] |= PTE_PS;
	rules->reserved[5][false] |= PTE_PS;
}

/* What an entry with the bits @value of TLB_RIGHTS lets pass. */
static bool value_allows(const struct paging_rules *rules, uint64_t value, enum hw_access access,
			 enum hw_privilege privilege)
{
	const struct rights rights = {!!(value & TLB_WRITE), !!(value & TLB_USER),
				      !!(value & TLB_EXECUTE), 0};

	if (access != HW_FETCH && !(value & (access == HW_WRITE ? TLB_DIRTY : TLB_READ)))
		return false;
	return rights_allow(rules, rights, access, privilege);
}

static void tabulate_rights(struct paging_rules *rules)
{
	for (uint64_t value = 0; value <= TLB_RIGHTS; value++)
		for (enum hw_privilege privilege = 0; privilege < HW_PRIVILEGES; privilege++)
			for (enum hw_access access = HW_READ; access <= HW_FETCH; access++)
				if (value_allows(rules, value, access, privilege))
					rules->allows[privilege][access] |= 1u << value;
}

void paging_rules_of(const struct hw_paging *paging, unsigned maxphyaddr,
		     struct paging_rules *ret_rules)
{
	bool nxe = paging->efer & EFER_NXE;

	*ret_rules = (struct paging_rules){
		.format = format_of(paging),
		.wp = paging->cr0 & CR0_WP,
		.smep = paging->cr4 & CR4_SMEP,
		.smap = paging->cr4 & CR4_SMAP,
		.global = paging->cr4 & CR4_PGE,
		.pke = (paging->cr4 & CR4_PKE) && (paging->efer & EFER_LMA),
		.fetch_bit = (paging->cr4 & CR4_SMEP) || ((paging->cr4 & CR4_PAE) && nxe),
	};
	if (ret_rules->format == FORMAT_2_LEVEL)
		two_level(paging->cr4 & CR4_PSE, maxphyaddr, ret_rules);
	else if (ret_rules->format != FORMAT_UNPAGED)
		long_entries(nxe, maxphyaddr, ret_rules);
	tabulate_rights(ret_rules);
}

uint64_t pdpte_reserved(unsigned maxphyaddr)
{
	return BITS(2, 1) | BITS(8, 5) | BITS(63, maxphyaddr);
}

void ept_rules_of(unsigned maxphyaddr, struct ept_rules *ret_rules)
{
	const uint64_t wide = maxphyaddr < 52 ? BITS(51, maxphyaddr) : 0;

	*ret_rules = (struct ept_rules){{{0}}};
	for (unsigned level = 1; level <= MAX_LEVELS; level++) {
		ret_rules->reserved[level][false] =
			wide | (level >= 4 ? EPT_RESERVED_UPPER : EPT_RESERVED_TABLE);
		ret_rules->reserved[level][true] = wide;
	}
	ret_rules->reserved[3][true] |= EPT_RESERVED_1G;
	ret_rules->reserved[2][true] |= EPT_RESERVED_2M;
}
