/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pool of host-physical memory: frames addressed by HPA from 0. It holds guest
 * RAM and the VMM's own tables, so that every table is a real table in a real frame.
 */
#ifndef MEMORY_FRAMES_H
#define MEMORY_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "umbra/error.h"

#define FRAME_NONE UINT32_MAX

/*
 * With AddressSanitizer each frame is followed by as many bytes that nobody may touch, and a frame
 * that nobody has may not be touched either: an access that runs out of its frame is seen, whatever
 * frame the next guest page has. In all builds a page that faults lies before and behind the pool.
 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FRAMES_GUARDED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define FRAMES_GUARDED 1
#endif
#ifdef FRAMES_GUARDED
#define FRAME_STRIDE 8192ul
#else
#define FRAME_STRIDE 4096ul
#endif

/* Why a write to a frame must be noticed. */
#define FRAME_CODE        (1u << 0) /* decoded blocks of it are cached */
#define FRAME_TABLE       (1u << 1) /* the walker used it as a guest table */
#define FRAME_TABLE_UPPER (1u << 2) /* ... as PML4, PDPT or PD */

struct frame {
	uint32_t code_generation; /* grows when a frame with FRAME_CODE is written */
	uint8_t flags;
};

struct frames {
	uint8_t *base;
	struct frame *frame;
	uint32_t *free; /* stack of free frame numbers, its order shuffled by the seed */
	uint32_t nr_free;
	uint32_t *runs; /* the same of runs of frames that lie together: their first ones */
	uint32_t nr_runs;
	uint32_t count;
	void *mapping; /* what base lies in; NULL: none */
	size_t mapped;
#ifdef FRAMES_GUARDED
	size_t stride; /* FRAME_STRIDE, or PAGE_SIZE of frames that lie together */
#endif
	uint64_t code_writes; /* how often any code_generation grew */
};

/* How far from each other frames lie in the host's memory. */
static inline size_t frames_stride(const struct frames *frames)
{
#ifdef FRAMES_GUARDED
	return frames->stride;
#else
	return FRAME_STRIDE;
#endif
}

/* -ENOMEM, or what mmap() says. */
int frames_create(struct frames *frames, uint32_t count, struct umbra_error *ret_error);
/*
 * The same, with frames that follow each other in the host's memory in every build: for hardware.
 * @huge: in huge pages of the host, where it has them; else never.
 */
int frames_create_together(struct frames *frames, uint32_t count, bool huge,
			   struct umbra_error *ret_error);
void frames_destroy(struct frames *frames);

/*
 * Puts frames @first ... @end - 1 on the free stack: groups of 2 MiB in random order, shuffled
 * within, so that a guest that touches little memory takes little of the host's.
 */
void frames_shuffle(struct frames *frames, uint32_t first, uint32_t end, uint64_t seed);
/* Puts all from @first on in as runs of @length frames. -ENOMEM. */
int frames_shuffle_runs(struct frames *frames, uint32_t first, uint32_t length, uint64_t seed);

/* Frames @first ... @end - 1 are in use for as long as the pool is. */
void frames_use(struct frames *frames, uint32_t first, uint32_t end);
/* A zeroed frame that is not @not (FRAME_NONE: any), or FRAME_NONE when the pool is used up. */
uint32_t frames_alloc(struct frames *frames, uint32_t not );
/* The first frame of a run, likewise. Runs are not given back. */
uint32_t frames_alloc_run(struct frames *frames, uint32_t not );
void frames_free(struct frames *frames, uint32_t number);

/* The host byte; those that follow it belong to it as far as the frame goes. */
static inline void *frames_host(const struct frames *frames, uint64_t hpa)
{
	return frames->base + (hpa >> 12) * frames_stride(frames) + (hpa & 0xfff);
}

/* The HPA of a host byte; none (the pool's size or more) when it lies in no frame. */
static inline uint64_t frames_hpa(const struct frames *frames, const void *host)
{
	uint64_t offset = (uint64_t)((uintptr_t)host - (uintptr_t)frames->base);

	return offset / frames_stride(frames) << 12 | offset % frames_stride(frames);
}

/* Somebody wrote guest data into this frame beside the CPU (loader, A and D bits). */
static inline void frames_written(struct frames *frames, uint64_t hpa)
{
	struct frame *frame = &frames->frame[hpa >> 12];

	if (frame->flags & FRAME_CODE) {
		frame->flags &= ~FRAME_CODE;
		frame->code_generation++;
		frames->code_writes++;
	}
}

#endif
