/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory with the modelled hardware and a VMM around it, without a CPU, beside a walker that
 * reads the guest's tables by the manual alone: for tests of paging.
 */
#ifndef TESTS_PAGING_FIXTURE_H
#define TESTS_PAGING_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "memory/map.h"
#include "paging/vmm.h"
#include "reference_walk.h"

#define RAM_SIZE (8ull << 20)
/* All of RAM, read and write for the supervisor, at this address: how the guest reaches its tables.
 */
#define WINDOW 0xffffff8000000000ull

struct box {
	struct memory memory;
	struct hw *hw;
	struct vmm *vmm;
	struct hw_paging regs;
	uint32_t next_table; /* next guest page to be used as a table */
};

static inline void box_put(struct box *box, uint64_t gpa, uint64_t entry)
{
	assert_int_equal(memory_write(&box->memory, gpa, &entry, sizeof(entry)), 0);
}

static inline uint64_t box_get(struct box *box, uint64_t gpa)
{
	uint64_t entry;

	assert_int_equal(memory_read(&box->memory, gpa, &entry, sizeof(entry)), 0);
	return entry;
}

static inline uint64_t box_table(struct box *box)
{
	return (uint64_t)box->next_table++ * PAGE_SIZE;
}

/*
 * The address of the entry of @leaf level for @gva, with tables above it made where missing.
 * Writes memory behind the hardware's back: for setting up, before the first access.
 */
static inline uint64_t box_entry(struct box *box, uint64_t gva, unsigned leaf)
{
	uint64_t table = box->regs.cr3;

	for (unsigned level = LEVELS; level > leaf; level--) {
		uint64_t gpa = table + entry_index(gva, level) * 8, entry = box_get(box, gpa);

		if (!(entry & PTE_P)) {
			entry = box_table(box) | PTE_P | PTE_W | PTE_U;
			box_put(box, gpa, entry);
		}
		table = entry & ENTRY_ADDRESS;
	}
	return table + entry_index(gva, leaf) * 8;
}

static inline void box_map(struct box *box, uint64_t gva, uint64_t gpa, uint64_t flags)
{
	box_put(box, box_entry(box, gva, 1), gpa | flags);
}

/* 4-level paging with WP and NXE on, the root at 1 MiB, the window mapped. */
static inline void box_create_on(struct box *box, enum umbra_mode mode, unsigned shift,
				 uint64_t size, const struct processor *processor)
{
	memset(box, 0, sizeof(*box));
	assert_int_equal(
		memory_create_backed(&box->memory, size, shift, mode == UMBRA_MODE_BARE, 1, NULL),
		0);
	assert_int_equal(hw_create(&box->memory, &umbra_cost_default, processor, &box->hw), 0);
	assert_int_equal(vmm_create(&box->hw, 1, &box->memory, mode, &box->vmm, NULL), 0);
	box->next_table = 256;
	box->regs.cr3 = box_table(box);
	for (uint64_t gpa = 0; gpa < RAM_SIZE; gpa += PAGE_SIZE)
		box_map(box, WINDOW + gpa, gpa, PTE_P | PTE_W | PTE_A | PTE_D);
	box->regs.cr0 = CR0_PE | CR0_PG | CR0_WP;
	box->regs.cr4 = CR4_PAE;
	box->regs.efer = EFER_LME | EFER_LMA | EFER_NXE;
	assert_int_equal(hw_paging_changed(box->hw, &box->regs), 0);
}

static inline void box_create_backed(struct box *box, enum umbra_mode mode, unsigned shift,
				     uint64_t size)
{
	box_create_on(box, mode, shift, size, processor_at(0));
}

static inline void box_create(struct box *box, enum umbra_mode mode)
{
	box_create_backed(box, mode, PAGE_SHIFT, RAM_SIZE);
}

static inline void box_destroy(struct box *box)
{
	vmm_destroy(box->vmm);
	hw_destroy(box->hw);
	memory_destroy(&box->memory);
}

/* The CPU's part between two instructions. */
static inline void box_attend(struct box *box)
{
	if (hw_public(box->hw)->attention)
		hw_attend(box->hw);
	assert_false(hw_failed(box->hw));
}

/* The guest writes an entry of one of its tables. */
static inline void box_guest_write(struct box *box, uint64_t gpa, uint64_t entry)
{
	uint8_t *host = hw_translate(box->hw, WINDOW + gpa, HW_WRITE, HW_SUPERVISOR);

	assert_non_null(host);
	memcpy(host, &entry, sizeof(entry));
	box_attend(box);
}

/* What an access comes to: the guest-physical address, or the error code of a page fault. */
struct outcome {
	bool fault;
	uint32_t code;
	uint64_t gpa;
};

static inline struct outcome box_access(struct box *box, uint64_t gva, enum hw_access access,
					enum hw_privilege privilege)
{
	uint8_t *host = hw_translate(box->hw, gva, access, privilege);
	struct outcome outcome = {.fault = !host};

	if (!host) {
		assert_int_equal(hw_public(box->hw)->fault_address, gva);
		outcome.code = hw_public(box->hw)->fault_code;
	} else {
		uint64_t frame = hw_frame_of(box->hw, host);

		outcome.gpa = frame == HW_NO_PAGE
				      ? UINT64_MAX
				      : (uint64_t)box->memory.page_of[frame] * PAGE_SIZE +
						(gva & PAGE_MASK);
	}
	box_attend(box);
	return outcome;
}

/* What the manual's walker makes of the same registers; @pdpte: loaded at the last MOV to CR3. */
static inline struct reference_registers box_registers(const struct box *box)
{
	return (struct reference_registers){
		.cr0 = box->regs.cr0,
		.cr3 = box->regs.cr3,
		.cr4 = box->regs.cr4,
		.efer = box->regs.efer,
		.pkru = box->regs.pkru,
		.maxphyaddr = hw_maxphyaddr(box->hw),
	};
}

/* The manual alone, on a flat copy of guest RAM, which gets the A and D bits. */
static inline struct outcome reference_outcome(uint8_t *ram, const struct box *box, uint64_t gva,
					       enum hw_access access, enum hw_privilege privilege)
{
	const struct reference_memory memory = {ram, RAM_SIZE};
	const struct reference_registers registers = box_registers(box);
	const struct reference_access asked = {
		gva,
		access == HW_READ    ? REFERENCE_READ
		: access == HW_WRITE ? REFERENCE_WRITE
				     : REFERENCE_FETCH,
		privilege == HW_USER,
		privilege == HW_SUPERVISOR_AC,
	};
	struct reference_result result = reference_walk(&memory, &registers, &asked);

	return (struct outcome){result.fault, result.code, result.fault ? 0 : result.physical};
}

#endif
