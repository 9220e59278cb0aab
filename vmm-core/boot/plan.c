/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>

#include "boot/plan.h"

int plan_add(struct plan *plan, const struct memory *memory, const struct umbra_image *image,
	     const struct plan_segment *new, struct umbra_error *ret_error)
{
	uint64_t ram = memory_size(memory);

	if (plan->nr_segments == PLAN_SEGMENTS_MAX)
		return boot_broken(ret_error, image, new->header, "program header",
				   "more than %u segments to load", PLAN_SEGMENTS_MAX);
	if (new->file_offset > image->size || new->file_size > image->size - new->file_offset)
		return boot_broken(ret_error, image, new->header, "segment",
				   "its %" PRIu64 " bytes at file offset 0x%" PRIx64
				   " reach past the end of the file (%zu bytes)",
				   new->file_size, new->file_offset, image->size);
	if (new->file_size > new->memory_size)
		return boot_broken(ret_error, image, new->header, "segment",
				   "%" PRIu64 " bytes in the file, but only %" PRIu64 " in memory",
				   new->file_size, new->memory_size);
	if (new->gpa > ram || new->memory_size > ram - new->gpa)
		return boot_no_room(ret_error, image, new->header, "segment",
				    "its %" PRIu64 " bytes at 0x%" PRIx64
				    " reach past the end of RAM (%" PRIu64 " bytes)",
				    new->memory_size, new->gpa, ram);
	if (new->gpa<MACHINE_HIGH &&new->gpa + new->memory_size> MACHINE_EBDA)
		return boot_no_room(ret_error, image, new->header, "segment",
				    "its %" PRIu64 " bytes at 0x%" PRIx64
				    " reach into 0x%x to 0x%x, which is no RAM",
				    new->memory_size, new->gpa, MACHINE_EBDA, MACHINE_HIGH - 1);
	for (unsigned i = 0; i < plan->nr_segments; i++) {
		const struct plan_segment *old = &plan->segment[i];

		if (new->gpa < old->gpa + old->memory_size &&
		    old->gpa < new->gpa + new->memory_size)
			return boot_broken(ret_error, image, new->header, "segment",
					   "overlaps another one at 0x%" PRIx64, old->gpa);
	}
	plan->segment[plan->nr_segments++] = *new;
	return 0;
}

int plan_entry(const struct plan *plan, const struct umbra_image *image, uint64_t *ret_rip,
	       struct umbra_error *ret_error)
{
	for (unsigned i = 0; i < plan->nr_segments; i++) {
		const struct plan_segment *segment = &plan->segment[i];

		if (plan->entry >= segment->virtual &&
		    plan->entry - segment->virtual < segment->memory_size) {
			*ret_rip = segment->gpa + (plan->entry - segment->virtual);
			return 0;
		}
	}
	return boot_broken(ret_error, image, plan->entry_offset, "entry",
			   "0x%" PRIx64 " lies in none of the %u segments", plan->entry,
			   plan->nr_segments);
}

/* Moves *gpa behind [@base, @base + @size) if @wanted bytes there would touch it. */
static bool step_over(uint64_t *gpa, uint64_t wanted, uint64_t base, uint64_t size)
{
	if (*gpa >= base + size || base >= *gpa + wanted)
		return false;
	*gpa = (base + size + PAGE_MASK) & ~PAGE_MASK;
	return true;
}

uint64_t plan_take(struct plan *plan, uint64_t from, uint64_t until, uint64_t size)
{
	uint64_t gpa = (from + PAGE_MASK) & ~PAGE_MASK;
	bool moved;

	if (plan->nr_taken == sizeof(plan->taken) / sizeof(plan->taken[0]))
		return 0;
	do {
		moved = false;
		for (unsigned i = 0; i < plan->nr_segments; i++)
			moved |= step_over(&gpa, size, plan->segment[i].gpa,
					   plan->segment[i].memory_size);
		for (unsigned i = 0; i < plan->nr_taken; i++)
			moved |= step_over(&gpa, size, plan->taken[i].gpa, plan->taken[i].size);
	} while (moved);
	if (size > until || gpa > until - size)
		return 0;
	plan->taken[plan->nr_taken++] = (struct plan_range){gpa, size};
	return gpa;
}

int plan_write(const struct plan *plan, struct memory *memory, const struct umbra_image *image,
	       struct umbra_error *ret_error)
{
	for (unsigned i = 0; i < plan->nr_segments; i++) {
		const struct plan_segment *segment = &plan->segment[i];
		int r = memory_write(memory, segment->gpa,
				     (const uint8_t *)image->data + segment->file_offset,
				     segment->file_size);

		if (r < 0)
			return umbra_error_set(ret_error, r, image->name, "segment",
					       "cannot write %" PRIu64 " bytes at 0x%" PRIx64,
					       segment->file_size, segment->gpa);
	}
	return 0;
}
