/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memory/map.h"

static const uint8_t zero_page[PAGE_SIZE];

uint32_t memory_shadow_limit(uint64_t size)
{
	uint32_t pages = size / PAGE_SIZE;

	return pages / 50 > 1024 ? pages / 50 : 1024;
}

/*
 * Frames for the VMM's tables beside guest RAM: shadow tables, and EPT tables for all of RAM and
 * some of the space above it. Whoever runs out drops its tables and starts again.
 */
static uint32_t table_allowance(uint64_t size)
{
	return memory_shadow_limit(size) + size / PAGE_SIZE / 512 + 256;
}

int memory_create(struct memory *memory, uint64_t size, bool contiguous, uint64_t seed,
		  struct umbra_error *ret_error)
{
	return memory_create_backed(memory, size, PAGE_SHIFT, contiguous, seed, ret_error);
}

/*
 * The pool's frames: guest RAM as it is, or scattered; the VMM's tables; one of all ones. With a
 * larger backing the tables lie below the runs, of which there is one more than RAM takes, that
 * none has to be where the guest has it.
 */
static uint32_t pool_size(const struct memory *memory, uint32_t *ret_first_run)
{
	uint32_t pages = memory->size / PAGE_SIZE, other = memory->max_tables + 1;
	uint32_t run = 1u << (memory->backing_shift - PAGE_SHIFT);

	if (run == 1) {
		*ret_first_run = 0;
		return pages + other;
	}
	*ret_first_run = (other + run - 1) / run * run;
	return *ret_first_run + pages + run;
}

/* GPA = HPA: the guest's pages have all frames from the first one on. */
static void map_in_order(struct memory *memory)
{
	uint32_t pages = memory->size / PAGE_SIZE;

	for (uint32_t gfn = 0; gfn < pages; gfn++)
		memory->frame_of[gfn] = memory->page_of[gfn] = gfn;
	frames_use(&memory->frames, 0, pages);
	memory->touched = pages;
	memory->ones = pages;
}

int memory_create_together(struct memory *memory, uint64_t size, bool huge,
			   struct umbra_error *ret_error)
{
	uint32_t pages = size / PAGE_SIZE;
	int error;

	*memory = (struct memory){.size = size, .backing_shift = PAGE_SHIFT, .contiguous = true};
	error = frames_create_together(&memory->frames, pages + 1, huge, ret_error);
	if (error)
		return error;
	memory->frame_of = malloc(pages * sizeof(*memory->frame_of));
	memory->page_of = malloc(memory->frames.count * sizeof(*memory->page_of));
	if (!memory->frame_of || !memory->page_of)
		return umbra_error_set(ret_error, -ENOMEM, "memory map", NULL,
				       "out of memory for a map of %u pages", pages);
	memory->page_of[pages] = GFN_NONE;
	map_in_order(memory);
	return 0;
}

int memory_create_backed(struct memory *memory, uint64_t size, unsigned shift, bool contiguous,
			 uint64_t seed, struct umbra_error *ret_error)
{
	uint32_t pages = size / PAGE_SIZE, first_run;
	int error;

	*memory = (struct memory){
		.size = size,
		.backing_shift = contiguous ? PAGE_SHIFT : shift,
		.contiguous = contiguous,
		.max_tables = contiguous ? 0 : table_allowance(size),
	};
	if (size & ((1ull << shift) - 1))
		return umbra_error_set(ret_error, -EINVAL, "memory", "backing",
				       "%llu bytes of memory are no multiple of the backing's "
				       "%llu",
				       (unsigned long long)size, 1ull << shift);
	error = frames_create(&memory->frames, pool_size(memory, &first_run), ret_error);
	if (error)
		return error;
	memory->frame_of = malloc(pages * sizeof(*memory->frame_of));
	memory->page_of = malloc(memory->frames.count * sizeof(*memory->page_of));
	if (!memory->frame_of || !memory->page_of ||
	    (first_run && frames_shuffle_runs(&memory->frames, first_run,
					      1u << (shift - PAGE_SHIFT), seed) < 0)) {
		memory_destroy(memory);
		return umbra_error_set(ret_error, -ENOMEM, "memory map", NULL,
				       "out of memory for a map of %u pages", pages);
	}
	memset(memory->page_of, 0xff, memory->frames.count * sizeof(*memory->page_of));
	if (contiguous) {
		map_in_order(memory);
	} else {
		memset(memory->frame_of, 0xff, pages * sizeof(*memory->frame_of));
		/* Frame 0 is handed to nobody: an EPTP of 0 says that there is no EPT. */
		memory->ones = 0;
		frames_shuffle(&memory->frames, 1, first_run ? first_run : memory->frames.count,
			       seed);
	}
	frames_use(&memory->frames, memory->ones, memory->ones + 1);
	memset(frames_host(&memory->frames, memory->ones * PAGE_SIZE), 0xff, PAGE_SIZE);
	return 0;
}

void memory_destroy(struct memory *memory)
{
	frames_destroy(&memory->frames);
	free(memory->frame_of);
	free(memory->page_of);
}

/* All of the guest's pages that are backed together get frames at the first touch of one. */
static void hand_out(struct memory *memory, uint32_t gfn)
{
	uint32_t run = 1u << (memory->backing_shift - PAGE_SHIFT), number;

	gfn &= ~(run - 1);
	number = run == 1 ? frames_alloc(&memory->frames, gfn)
			  : frames_alloc_run(&memory->frames, gfn);
	frames_use(&memory->frames, number, number + run);
	for (uint32_t i = 0; i < run; i++) {
		memory->frame_of[gfn + i] = number + i;
		memory->page_of[number + i] = gfn + i;
	}
	memory->touched += run;
}

uint32_t memory_frame(struct memory *memory, uint32_t gfn)
{
	if (memory->frame_of[gfn] == FRAME_NONE)
		hand_out(memory, gfn);
	return memory->frame_of[gfn];
}

uint64_t memory_table_alloc(struct memory *memory)
{
	uint32_t number;

	if (memory->tables >= memory->max_tables)
		return UINT64_MAX;
	number = frames_alloc(&memory->frames, FRAME_NONE);
	memory->tables++;
	return number * PAGE_SIZE;
}

void memory_table_free(struct memory *memory, uint64_t hpa)
{
	frames_free(&memory->frames, hpa / PAGE_SIZE);
	memory->tables--;
}

uint64_t memory_size(const struct memory *memory)
{
	return memory->size;
}

int memory_add_mmio(struct memory *memory, uint64_t gpa, uint64_t size)
{
	if (!size || (gpa | size) & PAGE_MASK || gpa + size < gpa)
		return -EINVAL;
	if (gpa < memory->size)
		return -EEXIST;
	for (unsigned i = 0; i < memory->nr_mmio; i++) {
		if (gpa < memory->mmio[i].gpa + memory->mmio[i].size &&
		    memory->mmio[i].gpa < gpa + size)
			return -EEXIST;
	}
	if (memory->nr_mmio == MEMORY_MAX_MMIO)
		return -ENOSPC;
	memory->mmio[memory->nr_mmio].gpa = gpa;
	memory->mmio[memory->nr_mmio++].size = size;
	return 0;
}

void memory_remove_mmio(struct memory *memory, uint64_t gpa)
{
	for (unsigned i = 0; i < memory->nr_mmio; i++) {
		if (memory->mmio[i].gpa == gpa) {
			memory->mmio[i] = memory->mmio[--memory->nr_mmio];
			return;
		}
	}
}

static size_t span_length(uint64_t gpa, size_t len)
{
	size_t rest = PAGE_SIZE - (gpa & PAGE_MASK);

	return len < rest ? len : rest;
}

void *memory_span_write(struct memory *memory, uint64_t gpa, size_t len, size_t *ret_span)
{
	uint64_t hpa;

	if (!memory_is_ram(memory, gpa))
		return NULL;
	hpa = memory_frame(memory, gpa / PAGE_SIZE) * PAGE_SIZE + (gpa & PAGE_MASK);
	frames_written(&memory->frames, hpa);
	*ret_span = span_length(gpa, len);
	return frames_host(&memory->frames, hpa);
}

const void *memory_span_read(const struct memory *memory, uint64_t gpa, size_t len,
			     size_t *ret_span)
{
	uint32_t number;

	if (!memory_is_ram(memory, gpa))
		return NULL;
	*ret_span = span_length(gpa, len);
	number = memory->frame_of[gpa / PAGE_SIZE];
	if (number == FRAME_NONE)
		return zero_page + (gpa & PAGE_MASK);
	return frames_host(&memory->frames, number * PAGE_SIZE + (gpa & PAGE_MASK));
}

static bool range_is_ram(const struct memory *memory, uint64_t gpa, size_t len)
{
	return len <= memory->size && gpa <= memory->size - len;
}

int memory_write(struct memory *memory, uint64_t gpa, const void *bytes, size_t len)
{
	const uint8_t *from = bytes;

	if (!range_is_ram(memory, gpa, len))
		return -EFAULT;
	while (len) {
		size_t span = 0;
		void *to = memory_span_write(memory, gpa, len, &span);

		memcpy(to, from, span);
		from += span;
		gpa += span;
		len -= span;
	}
	return 0;
}

int memory_read(const struct memory *memory, uint64_t gpa, void *ret_bytes, size_t len)
{
	uint8_t *to = ret_bytes;

	if (!range_is_ram(memory, gpa, len))
		return -EFAULT;
	while (len) {
		size_t span = 0;
		const void *from = memory_span_read(memory, gpa, len, &span);

		memcpy(to, from, span);
		to += span;
		gpa += span;
		len -= span;
	}
	return 0;
}
