/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "reference_walk.h"

#include <string.h>

static bool bit(uint64_t value, unsigned number)
{
	return value >> number & 1;
}

/* Bits @high ... @low of a value, where they stand; none when @high < @low. */
static uint64_t field(uint64_t value, int high, int low)
{
	uint64_t result = 0;

	for (int number = low; number <= high; number++)
		result |= value & 1ull << number;
	return result;
}

/* 4.1.1, 4.1.2 */
enum reference_format reference_format(const struct reference_registers *registers)
{
	bool pg = bit(registers->cr0, 31), pae = bit(registers->cr4, 5);
	bool lma = bit(registers->efer, 10), la57 = bit(registers->cr4, 12);

	if (!pg)
		return REFERENCE_NONE;
	if (!pae)
		return REFERENCE_32_BIT;
	if (!lma)
		return REFERENCE_PAE;
	return la57 ? REFERENCE_5_LEVEL : REFERENCE_4_LEVEL;
}

/* Where there is no memory all bits are read as one. */
static uint64_t load(const struct reference_memory *memory, uint64_t address, unsigned bytes)
{
	uint64_t value = 0;

	if (address > memory->size - bytes)
		return bytes == 4 ? 0xffffffffull : ~0ull;
	memcpy(&value, memory->ram + address, bytes);
	return value;
}

static void set(const struct reference_memory *memory, uint64_t address, unsigned number)
{
	if (address < memory->size)
		memory->ram[address] |= 1u << number;
}

/* Table 4-8 */
bool reference_load_pdptes(const struct reference_memory *memory,
			   struct reference_registers *registers)
{
	uint64_t base = field(registers->cr3, 31, 5), pdpte[4];

	for (int i = 0; i < 4; i++) {
		uint64_t value = load(memory, base + 8 * i, 8);

		if (bit(value, 0) && (field(value, 2, 1) || field(value, 8, 5) ||
				      field(value, 63, (int)registers->maxphyaddr)))
			return false;
		pdpte[i] = value;
	}
	memcpy(registers->pdpte, pdpte, sizeof(pdpte));
	return true;
}

/* A walk as it gathers what 4.6 and 4.8 ask of it. */
struct path {
	bool write, user, execute; /* R/W and U/S of all entries; no XD in any */
	uint64_t entry[5];         /* addresses of the entries, the first one first */
	int entries;
};

static void pass(struct path *path, uint64_t address, uint64_t entry, bool wide, bool nxe)
{
	path->entry[path->entries++] = address;
	path->write &= bit(entry, 1);
	path->user &= bit(entry, 2);
	if (wide && nxe && bit(entry, 63))
		path->execute = false;
}

enum outcome { FOUND, NOT_PRESENT, RESERVED };

/* 4.3, tables 4-4 to 4-6 */
static enum outcome walk_32_bit(const struct reference_memory *memory,
				const struct reference_registers *registers, uint64_t linear,
				struct path *path, uint64_t *leaf, struct reference_result *result)
{
	uint64_t at = field(registers->cr3, 31, 12) | field(linear, 31, 22) >> 20;
	uint64_t pde = load(memory, at, 4), pte;
	int m = registers->maxphyaddr < 40 ? (int)registers->maxphyaddr : 40;

	if (!bit(pde, 0))
		return NOT_PRESENT;
	if (bit(registers->cr4, 4) && bit(pde, 7)) {
		if (field(pde, 21, m - 19))
			return RESERVED;
		pass(path, at, pde, false, false);
		*leaf = pde;
		result->page_shift = 22;
		result->physical =
			field(pde, 31, 22) | field(pde, m - 20, 13) << 19 | field(linear, 21, 0);
		return FOUND;
	}
	pass(path, at, pde, false, false);
	at = field(pde, 31, 12) | field(linear, 21, 12) >> 10;
	pte = load(memory, at, 4);
	if (!bit(pte, 0))
		return NOT_PRESENT;
	pass(path, at, pte, false, false);
	*leaf = pte;
	result->page_shift = 12;
	result->physical = field(pte, 31, 12) | field(linear, 11, 0);
	return FOUND;
}

/* From a page directory on: 4.4.2 (tables 4-9 to 4-11), 4.5 (tables 4-17 to 4-19). */
static enum outcome walk_directory(const struct reference_memory *memory,
				   const struct reference_registers *registers, uint64_t directory,
				   int top, uint64_t linear, struct path *path, uint64_t *leaf,
				   struct reference_result *result)
{
	int m = (int)registers->maxphyaddr;
	bool nxe = bit(registers->efer, 11);
	uint64_t at = directory | field(linear, 29, 21) >> 18;
	uint64_t pde = load(memory, at, 8), pte;

	if (!bit(pde, 0))
		return NOT_PRESENT;
	if (field(pde, top, m) || (!nxe && bit(pde, 63)))
		return RESERVED;
	if (bit(pde, 7)) {
		if (field(pde, 20, 13))
			return RESERVED;
		pass(path, at, pde, true, nxe);
		*leaf = pde;
		result->page_shift = 21;
		result->physical = field(pde, m - 1, 21) | field(linear, 20, 0);
		return FOUND;
	}
	pass(path, at, pde, true, nxe);
	at = field(pde, m - 1, 12) | field(linear, 20, 12) >> 9;
	pte = load(memory, at, 8);
	if (!bit(pte, 0))
		return NOT_PRESENT;
	if (field(pte, top, m) || (!nxe && bit(pte, 63)))
		return RESERVED;
	pass(path, at, pte, true, nxe);
	*leaf = pte;
	result->page_shift = 12;
	result->physical = field(pte, m - 1, 12) | field(linear, 11, 0);
	return FOUND;
}

/* 4.5, tables 4-12 to 4-16 */
static enum outcome walk_long(const struct reference_memory *memory,
			      const struct reference_registers *registers, bool five,
			      uint64_t linear, struct path *path, uint64_t *leaf,
			      struct reference_result *result)
{
	int m = (int)registers->maxphyaddr;
	bool nxe = bit(registers->efer, 11);
	uint64_t table = field(registers->cr3, m - 1, 12), at, entry;

	if (five) {
		at = table | field(linear, 56, 48) >> 45;
		entry = load(memory, at, 8);
		if (!bit(entry, 0))
			return NOT_PRESENT;
		if (bit(entry, 7) || field(entry, 51, m) || (!nxe && bit(entry, 63)))
			return RESERVED;
		pass(path, at, entry, true, nxe);
		table = field(entry, m - 1, 12);
	}
	at = table | field(linear, 47, 39) >> 36;
	entry = load(memory, at, 8);
	if (!bit(entry, 0))
		return NOT_PRESENT;
	if (bit(entry, 7) || field(entry, 51, m) || (!nxe && bit(entry, 63)))
		return RESERVED;
	pass(path, at, entry, true, nxe);
	at = field(entry, m - 1, 12) | field(linear, 38, 30) >> 27;
	entry = load(memory, at, 8);
	if (!bit(entry, 0))
		return NOT_PRESENT;
	if (field(entry, 51, m) || (!nxe && bit(entry, 63)))
		return RESERVED;
	if (bit(entry, 7)) {
		if (field(entry, 29, 13))
			return RESERVED;
		pass(path, at, entry, true, nxe);
		*leaf = entry;
		result->page_shift = 30;
		result->physical = field(entry, m - 1, 30) | field(linear, 29, 0);
		return FOUND;
	}
	pass(path, at, entry, true, nxe);
	return walk_directory(memory, registers, field(entry, m - 1, 12), 51, linear, path, leaf,
			      result);
}

/* 4.6.1 */
static bool permitted(const struct reference_registers *registers, const struct path *path,
		      const struct reference_access *access)
{
	bool wp = bit(registers->cr0, 16), smep = bit(registers->cr4, 20);
	bool smap = bit(registers->cr4, 21);

	if (access->user) {
		if (!path->user)
			return false;
		if (access->kind == REFERENCE_WRITE)
			return path->write;
		return access->kind == REFERENCE_READ || path->execute;
	}
	if (access->kind == REFERENCE_FETCH)
		return path->execute && !(path->user && smep);
	if (path->user && smap && !access->ac)
		return false;
	if (access->kind == REFERENCE_READ)
		return true;
	return path->write || !wp;
}

/* 4.6.2; also what sets bit 5 of the error code (4.7). */
static bool key_forbids(const struct reference_registers *registers, const struct path *path,
			uint64_t leaf, const struct reference_access *access)
{
	unsigned key = (unsigned)(leaf >> 59) & 15;
	bool ad = bit(registers->pkru, 2 * key), wd = bit(registers->pkru, 2 * key + 1);

	if (!bit(registers->efer, 10) || !bit(registers->cr4, 22))
		return false;
	if (access->kind == REFERENCE_FETCH || !path->user)
		return false;
	return ad ||
	       (wd && access->kind == REFERENCE_WRITE && (access->user || bit(registers->cr0, 16)));
}

/* 4.7 */
static uint32_t error_code(const struct reference_registers *registers,
			   const struct reference_access *access, bool present, bool reserved,
			   bool key)
{
	bool nx = bit(registers->cr4, 5) && bit(registers->efer, 11);
	uint32_t code = 0;

	if (present)
		code |= 1u << 0;
	if (access->kind == REFERENCE_WRITE)
		code |= 1u << 1;
	if (access->user)
		code |= 1u << 2;
	if (reserved)
		code |= 1u << 3;
	if (access->kind == REFERENCE_FETCH && (bit(registers->cr4, 20) || nx))
		code |= 1u << 4;
	if (key)
		code |= 1u << 5;
	return code;
}

struct reference_result reference_walk(const struct reference_memory *memory,
				       const struct reference_registers *registers,
				       const struct reference_access *access)
{
	struct reference_result result = {0};
	struct path path = {.write = true, .user = true, .execute = true};
	enum outcome outcome = NOT_PRESENT;
	uint64_t linear = access->linear, leaf = 0, pdpte;
	bool key;

	switch (reference_format(registers)) {
	case REFERENCE_32_BIT:
		outcome = walk_32_bit(memory, registers, linear, &path, &leaf, &result);
		break;
	case REFERENCE_PAE:
		pdpte = registers->pdpte[linear >> 30 & 3];
		if (bit(pdpte, 0))
			outcome = walk_directory(memory, registers,
						 field(pdpte, (int)registers->maxphyaddr - 1, 12),
						 62, linear, &path, &leaf, &result);
		break;
	case REFERENCE_4_LEVEL:
	case REFERENCE_5_LEVEL:
		outcome = walk_long(memory, registers,
				    reference_format(registers) == REFERENCE_5_LEVEL, linear, &path,
				    &leaf, &result);
		break;
	default: result.physical = linear; return result;
	}
	if (outcome != FOUND) {
		result.fault = true;
		result.code = error_code(registers, access, outcome == RESERVED,
					 outcome == RESERVED, false);
		return result;
	}
	key = key_forbids(registers, &path, leaf, access);
	if (key || !permitted(registers, &path, access)) {
		result.fault = true;
		result.code = error_code(registers, access, true, false, key);
		return result;
	}
	/* 4.8; a walk that faults could set accessed bits too, this processor's does not. */
	for (int i = 0; i < path.entries; i++)
		set(memory, path.entry[i], 5);
	if (access->kind == REFERENCE_WRITE)
		set(memory, path.entry[path.entries - 1], 6);
	result.global = bit(registers->cr4, 7) && bit(leaf, 8);
	return result;
}
