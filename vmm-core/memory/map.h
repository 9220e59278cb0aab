/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's GPA -> HPA map: the inside of struct memory, for paging/ and engine/. */
#ifndef MEMORY_MAP_H
#define MEMORY_MAP_H

#include <stdlib.h>

#include "memory/frames.h"
#include "memory/memory.h"

/* Guest page numbers fit in 28 bits (MAXPHYADDR 40); this one is none of them. */
#define GFN_NONE UINT32_MAX

/* vCPUs of one guest. */
#define MEMORY_MAX_HW 8

struct hw;

#define SHIFT_2M        21
#define SHIFT_1G        30

#define MEMORY_MAX_MMIO 16

struct memory {
	struct frames frames;
	uint64_t size;         /* bytes of RAM */
	uint8_t backing_shift; /* frames are handed out in aligned runs of this size */
	bool contiguous;       /* GPA = HPA; else frames are handed out on first touch */
	uint32_t *frame_of;    /* guest page -> frame, FRAME_NONE before the first touch */
	uint32_t *page_of;     /* frame -> guest page, GFN_NONE for others */
	uint32_t touched;      /* guest pages that have a frame */
	uint32_t tables;       /* frames handed out by memory_table_alloc() */
	uint32_t max_tables;
	uint32_t ones; /* a frame of all ones: what reads where nobody answers */
	/* The MMUs that translate into this memory: each must notice writes to marked frames. */
	struct hw *hw[MEMORY_MAX_HW];
	unsigned nr_hw;
	struct {
		uint64_t gpa, size;
	} mmio[MEMORY_MAX_MMIO]; /* what devices answer */
	unsigned nr_mmio;
};

int memory_create(struct memory *memory, uint64_t size, bool contiguous, uint64_t seed,
		  struct umbra_error *ret_error);
/*
 * The same, with frames that lie together for each 1 << @shift bytes of the guest: PAGE_SHIFT,
 * SHIFT_2M, SHIFT_1G. -EINVAL: @size is no multiple of it.
 */
int memory_create_backed(struct memory *memory, uint64_t size, unsigned shift, bool contiguous,
			 uint64_t seed, struct umbra_error *ret_error);
/*
 * For hardware: the guest's pages follow each other in the host's memory, from frame 0 on, and
 * there is no room for tables. @huge: see frames_create_together(). -ENOMEM: destroy it.
 */
int memory_create_together(struct memory *memory, uint64_t size, bool huge,
			   struct umbra_error *ret_error);
void memory_destroy(struct memory *memory);

static inline bool memory_is_ram(const struct memory *memory, uint64_t gpa)
{
	return gpa < memory->size;
}

static inline bool memory_is_mmio(const struct memory *memory, uint64_t gpa)
{
	for (unsigned i = 0; i < memory->nr_mmio; i++) {
		if (gpa - memory->mmio[i].gpa < memory->mmio[i].size)
			return true;
	}
	return false;
}

/*
 * What the CPU gets to read, write or run lies in a frame of the guest or in the one of all ones,
 * never in a table of the VMM. Looked after where accesses are (FRAMES_GUARDED).
 */
static inline void memory_check_reach(const struct memory *memory, uint64_t hpa)
{
#ifdef FRAMES_GUARDED
	uint32_t number = (uint32_t)(hpa >> PAGE_SHIFT);

	if (memory->page_of[number] == GFN_NONE && number != memory->ones)
		abort();
#endif
}

/* The frame of the guest page in RAM, handed out now if it has none. There is one for each page. */
uint32_t memory_frame(struct memory *memory, uint32_t gfn);

/* How many shadow tables a guest with @size bytes of RAM may have: 2% of its pages, or 1024. */
uint32_t memory_shadow_limit(uint64_t size);
/* A frame for a table of the VMM: its HPA, or UINT64_MAX when the allowance is used up. */
uint64_t memory_table_alloc(struct memory *memory);
void memory_table_free(struct memory *memory, uint64_t hpa);

#endif
