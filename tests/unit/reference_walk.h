/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A page walker written from the manual alone (SDM 3A 4.1-4.8): it uses none of the product's
 * headers and no name or number of its own. For tests: what the product's walker must agree with.
 */
#ifndef TESTS_REFERENCE_WALK_H
#define TESTS_REFERENCE_WALK_H

#include <stdbool.h>
#include <stdint.h>

struct reference_memory {
	uint8_t *ram; /* gets the accessed and dirty bits */
	uint64_t size;
};

struct reference_registers {
	uint64_t cr0, cr3, cr4, efer;
	uint64_t pdpte[4]; /* PAE: see reference_load_pdptes() */
	uint32_t pkru;
	unsigned maxphyaddr;
};

enum reference_kind { REFERENCE_READ, REFERENCE_WRITE, REFERENCE_FETCH };

/* 4.6: the access's mode, and whether SMAP lets it pass (explicit, EFLAGS.AC set). */
struct reference_access {
	uint64_t linear;
	enum reference_kind kind;
	bool user, ac;
};

enum reference_format {
	REFERENCE_NONE,
	REFERENCE_32_BIT,
	REFERENCE_PAE,
	REFERENCE_4_LEVEL,
	REFERENCE_5_LEVEL,
	REFERENCE_FORMATS,
};

struct reference_result {
	bool fault;
	uint32_t code;       /* of the page fault */
	uint64_t physical;   /* otherwise */
	unsigned page_shift; /* of the page found: 12, 21, 22, 30; 0: none */
	bool global;
};

enum reference_format reference_format(const struct reference_registers *registers);
/* 4.4.1: MOV to CR3 and some others; false: #GP, and the registers keep what they had. */
bool reference_load_pdptes(const struct reference_memory *memory,
			   struct reference_registers *registers);
struct reference_result reference_walk(const struct reference_memory *memory,
				       const struct reference_registers *registers,
				       const struct reference_access *access);

#endif
