/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Formats of paging-structure entries: 2-level, PAE, 4-level and 5-level paging (SDM 3A 4.3-4.5),
 * EPT (SDM 3C 28.3.2); and the rights that they give (SDM 3A 4.6).
 */
#ifndef PAGING_ENTRY_H
#define PAGING_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "paging/hw.h"
#include "x86/control.h"

#define PTE_P              (1ull << 0)
#define PTE_W              (1ull << 1)
#define PTE_U              (1ull << 2)
#define PTE_A              (1ull << 5)
#define PTE_D              (1ull << 6)
#define PTE_PS             (1ull << 7)
#define PTE_G              (1ull << 8)
#define PTE_KEY_SHIFT      59
#define PTE_KEYS           15u
#define PTE_NX             (1ull << 63)

#define EPT_R              (1ull << 0)
#define EPT_W              (1ull << 1)
#define EPT_X              (1ull << 2)
#define EPT_RWX            (EPT_R | EPT_W | EPT_X)
#define EPT_TYPE_SHIFT     3
#define EPT_TYPE_MASK      7u
#define EPT_MEMORY_TYPE_WB (6ull << EPT_TYPE_SHIFT)
#define EPT_PS             (1ull << 7)
#define EPT_A              (1ull << 8)
#define EPT_D              (1ull << 9)

/* EPTP (SDM 3C 24.6.11): write-back tables, accessed and dirty flags on. */
#define EPTP_WB           6ull
#define EPTP_LEVELS_SHIFT 3 /* one less than the page-walk length */
#define EPTP_AD           (1ull << 6)

#define ENTRY_ADDRESS     ((1ull << 52) - 1 - 0xfff)

/* CR3 with CR4.PCIDE set. */

#define ENTRIES    512u
#define LEVELS     4 /* of 4-level paging, and of shadow tables */
#define MAX_LEVELS 5

enum paging_format {
	FORMAT_UNPAGED,
	FORMAT_2_LEVEL,
	FORMAT_PAE,
	FORMAT_4_LEVEL,
	FORMAT_5_LEVEL,
};

/* What a walk goes by, all of it computed from the control registers. */
struct paging_rules {
	uint8_t format;     /* enum paging_format */
	uint8_t levels;     /* of tables in memory: in PAE 2, as its PDPTEs are registers */
	uint8_t index_bits; /* of an address for each level: 9, or 10 where entries have 4 bytes */
	bool wp, smep, smap, pke;
	bool global;                          /* CR4.PGE */
	bool fetch_bit;                       /* error codes have I/D (SDM 3A 4.7) */
	uint64_t large[MAX_LEVELS + 1];       /* [level] PTE_PS where a page can be that large */
	uint64_t reserved[MAX_LEVELS + 1][2]; /* [level][maps a page] must be 0 if present */
	/* [][enum hw_access]: a bit for each combination of TLB_RIGHTS (tlb.h), set where an entry
	 * with these allows the access; but for protection keys. */
	uint32_t allows[HW_PRIVILEGES][HW_FETCH + 1];
};

/* format.c */
void paging_rules_of(const struct hw_paging *paging, unsigned maxphyaddr,
		     struct paging_rules *ret_rules);
/* Bits 2:1, 8:5 and those above MAXPHYADDR of a present PDPTE register (SDM 3A 4.4.1). */
uint64_t pdpte_reserved(unsigned maxphyaddr);
/* Bits of EPT's entries that must be 0: [level][maps a page]. */
struct ept_rules {
	uint64_t reserved[MAX_LEVELS + 1][2];
};

void ept_rules_of(unsigned maxphyaddr, struct ept_rules *ret_rules);

/* The index into a table of 512 entries. */
static inline unsigned entry_index(uint64_t address, unsigned level)
{
	return address >> (12 + 9 * (level - 1)) & (ENTRIES - 1);
}

/* What one entry of @level maps, as a power of 2. */
static inline unsigned level_shift(unsigned index_bits, unsigned level)
{
	return 12 + index_bits * (level - 1);
}

static inline unsigned table_index(unsigned index_bits, uint64_t gva, unsigned level)
{
	return gva >> level_shift(index_bits, level) & ((1u << index_bits) - 1);
}

static inline unsigned entry_size(unsigned index_bits)
{
	return index_bits == 10 ? sizeof(uint32_t) : sizeof(uint64_t);
}

static inline bool entry_is_leaf(const struct paging_rules *rules, uint64_t entry, unsigned level)
{
	return level == 1 || (entry & rules->large[level]);
}

static inline uint64_t entry_reserved(const struct paging_rules *rules, uint64_t entry,
				      unsigned level)
{
	return entry & rules->reserved[level][entry_is_leaf(rules, entry, level)];
}

static inline bool ept_is_leaf(uint64_t entry, unsigned level)
{
	return level == 1 || (level <= 3 && (entry & EPT_PS));
}

/* SDM 3C 28.3.3.1; @entry is present. */
static inline bool ept_misconfigured(const struct ept_rules *rules, uint64_t entry, unsigned level)
{
	const unsigned bad_types = 1u << 2 | 1u << 3 | 1u << 7;
	bool leaf = ept_is_leaf(entry, level);

	if ((entry & rules->reserved[level][leaf]) || (entry & (EPT_R | EPT_W)) == EPT_W)
		return true;
	return leaf && (bad_types >> (entry >> EPT_TYPE_SHIFT & EPT_TYPE_MASK) & 1);
}

/* Where a page begins. */
static inline uint64_t leaf_address(const struct paging_rules *rules, uint64_t entry,
				    unsigned level)
{
	uint64_t address =
		entry & ENTRY_ADDRESS & ~((1ull << level_shift(rules->index_bits, level)) - 1);

	/* PSE-36: bits 20:13 are bits 39:32 of a 4M page's address. */
	if (rules->format == FORMAT_2_LEVEL && level == 2)
		address |= (entry >> 13 & 0xff) << 32;
	return address;
}

/* The rights of a path: what all its entries allow (SDM 3A 4.6.1), and its protection key. */
struct rights {
	bool write, user, execute;
	uint8_t key;
};

#define RIGHTS_ALL                                                                                 \
	(struct rights)                                                                            \
	{                                                                                          \
		true, true, true, 0                                                                \
	}

static inline void rights_narrow(struct rights *rights, uint64_t entry)
{
	rights->write &= !!(entry & PTE_W);
	rights->user &= !!(entry & PTE_U);
	rights->execute &= !(entry & PTE_NX);
}

static inline uint8_t entry_key(uint64_t entry)
{
	return entry >> PTE_KEY_SHIFT & PTE_KEYS;
}

/* SDM 3A 4.7: what an error code says of the access itself. */
static inline uint32_t fault_code(const struct paging_rules *rules, enum hw_access access,
				  enum hw_privilege privilege)
{
	return (access == HW_WRITE ? PF_W : 0) | (privilege == HW_USER ? PF_U : 0) |
	       (access == HW_FETCH && rules->fetch_bit ? PF_I : 0);
}

/* SDM 3A 4.6.2: data accesses to user-mode addresses only. */
static inline bool key_denies(const struct paging_rules *rules, uint32_t pkru, struct rights rights,
			      enum hw_access access, enum hw_privilege privilege)
{
	uint32_t bits = pkru >> 2 * rights.key;
	bool access_disable = bits & 1, write_disable = bits & 2;

	if (!rules->pke || access == HW_FETCH || !rights.user)
		return false;
	return access_disable ||
	       (write_disable && access == HW_WRITE && (rules->wp || privilege == HW_USER));
}

/* SDM 3A 4.6.1, all but the protection key. */
static inline bool rights_allow(const struct paging_rules *rules, struct rights rights,
				enum hw_access access, enum hw_privilege privilege)
{
	bool user = privilege == HW_USER;

	if (user && !rights.user)
		return false;
	if (!user && rights.user &&
	    (access == HW_FETCH ? rules->smep : rules->smap && privilege != HW_SUPERVISOR_AC))
		return false;
	if (access == HW_WRITE)
		return rights.write || !(user || rules->wp);
	return access != HW_FETCH || rights.execute;
}

#endif
