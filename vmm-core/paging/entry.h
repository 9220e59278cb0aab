/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Formats of paging-structure entries, 4-level (SDM 3A 4.5) and EPT (SDM 3C 28.3.2). */
#ifndef PAGING_ENTRY_H
#define PAGING_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "x86/control.h"

#define PTE_P              (1ull << 0)
#define PTE_W              (1ull << 1)
#define PTE_U              (1ull << 2)
#define PTE_A              (1ull << 5)
#define PTE_D              (1ull << 6)
#define PTE_PS             (1ull << 7)
#define PTE_NX             (1ull << 63)

#define EPT_R              (1ull << 0)
#define EPT_W              (1ull << 1)
#define EPT_X              (1ull << 2)
#define EPT_RWX            (EPT_R | EPT_W | EPT_X)
#define EPT_MEMORY_TYPE_WB (6ull << 3)

#define ENTRY_ADDRESS      ((1ull << 52) - 1 - 0xfff)
/* A 2M page's entry: bits 20:13, between PAT and the address. */
#define ENTRY_RESERVED_2M 0x1fe000ull

#define ENTRIES           512u
#define LEVELS            4

static inline unsigned entry_index(uint64_t address, unsigned level)
{
	return address >> (12 + 9 * (level - 1)) & (ENTRIES - 1);
}

/* Bits that must be zero in a present entry of @level (SDM 3A table 4-15 ...); 1G pages are not
 * offered. */
static inline uint64_t entry_reserved(uint64_t entry, unsigned level, bool nxe, unsigned maxphyaddr)
{
	uint64_t reserved = ENTRY_ADDRESS & ~((1ull << maxphyaddr) - 1);

	if (!nxe)
		reserved |= PTE_NX;
	if (level >= 3)
		reserved |= PTE_PS;
	if (level == 2 && (entry & PTE_PS))
		reserved |= ENTRY_RESERVED_2M;
	return entry & reserved;
}

static inline bool entry_is_leaf(uint64_t entry, unsigned level)
{
	return level == 1 || (level == 2 && (entry & PTE_PS));
}

/* The rights of a path: what all its entries allow (SDM 3A 4.6.1). */
struct rights {
	bool write, user, execute;
};

static inline void rights_narrow(struct rights *rights, uint64_t entry)
{
	rights->write &= !!(entry & PTE_W);
	rights->user &= !!(entry & PTE_U);
	rights->execute &= !(entry & PTE_NX);
}

static inline bool rights_allow(struct rights rights, bool write, bool fetch, bool user, bool wp)
{
	if (user && !rights.user)
		return false;
	if (write && !rights.write && (user || wp))
		return false;
	return !fetch || rights.execute;
}

#endif
