/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "memory/frames.h"
#include "memory/memory.h"

_Static_assert(FRAME_STRIDE % PAGE_SIZE == 0, "a frame lies in pages of its own");

#ifdef FRAMES_GUARDED
#include <sanitizer/asan_interface.h>

static void forbid(const void *start, size_t bytes)
{
	ASAN_POISON_MEMORY_REGION(start, bytes);
}

static void allow(const void *start, size_t bytes)
{
	ASAN_UNPOISON_MEMORY_REGION(start, bytes);
}
#else
static void forbid(const void *start, size_t bytes)
{
}

static void allow(const void *start, size_t bytes)
{
}
#endif

/* Frames are handed out cluster by cluster: the host backs each with one of its huge pages. */
#define CLUSTER_BYTES (2ul << 20)
#define CLUSTER       (uint32_t)(CLUSTER_BYTES / PAGE_SIZE)

/*
 * Anonymous memory, for it gets huge pages where the administrator allows them at all (shared
 * memory and memfds do not on a stock kernel); a huge page needs a start on its own boundary. What
 * is left around the pool, a page at least on either side, stays without any right.
 *
 * Without huge pages it is shared memory, though with nobody: a page that is first read is there at
 * once then, while anonymous memory has one page of zeros for all until the first write, so that
 * hardware that translates into it would fault again.
 */
static int map_pool(struct frames *frames, size_t bytes, bool huge)
{
	size_t mapped = bytes + CLUSTER_BYTES + PAGE_SIZE;
	int flags = (huge ? MAP_PRIVATE : MAP_SHARED) | MAP_ANONYMOUS | MAP_NORESERVE;
	uint8_t *start = mmap(NULL, mapped, PROT_NONE, flags, -1, 0);

	if (start == MAP_FAILED)
		return -errno;
	frames->mapping = start;
	frames->mapped = mapped;
	frames->base = start + CLUSTER_BYTES - ((uintptr_t)start & (CLUSTER_BYTES - 1));
	if (mprotect(frames->base, bytes, PROT_READ | PROT_WRITE))
		return -errno;
	forbid(frames->base, bytes);
	/* A kernel without huge pages says no. */
	(void)madvise(frames->base, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return 0;
}

static int create(struct frames *frames, uint32_t count, bool huge, struct umbra_error *ret_error)
{
	int error = -ENOMEM;

	frames->count = count;
	frames->frame = calloc(count, sizeof(*frames->frame));
	frames->free = calloc(count, sizeof(*frames->free));
	if (frames->frame && frames->free)
		error = map_pool(frames, (size_t)count * frames_stride(frames), huge);
	if (!error)
		return 0;
	frames_destroy(frames);
	return umbra_error_set(ret_error, error, "memory pool", NULL,
			       "cannot map %u frames of 4 KiB: %s", count, strerror(-error));
}

int frames_create(struct frames *frames, uint32_t count, struct umbra_error *ret_error)
{
	*frames = (struct frames){0};
#ifdef FRAMES_GUARDED
	frames->stride = FRAME_STRIDE;
#endif
	return create(frames, count, true, ret_error);
}

int frames_create_together(struct frames *frames, uint32_t count, bool huge,
			   struct umbra_error *ret_error)
{
	*frames = (struct frames){0};
#ifdef FRAMES_GUARDED
	frames->stride = PAGE_SIZE;
#endif
	return create(frames, count, huge, ret_error);
}

void frames_destroy(struct frames *frames)
{
	if (frames->mapping) {
		allow(frames->mapping, frames->mapped);
		munmap(frames->mapping, frames->mapped);
	}
	free(frames->frame);
	free(frames->free);
	free(frames->runs);
	*frames = (struct frames){0};
}

/* splitmix64: any seed, 0 too, gives a usable sequence. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static void shuffle(uint32_t *numbers, uint32_t count, uint64_t *state)
{
	for (uint32_t i = count; i > 1; i--) {
		uint32_t other = next_random(state) % i;
		uint32_t number = numbers[i - 1];

		numbers[i - 1] = numbers[other];
		numbers[other] = number;
	}
}

void frames_shuffle(struct frames *frames, uint32_t first, uint32_t end, uint64_t seed)
{
	uint32_t clusters = (end + CLUSTER - 1) / CLUSTER;
	uint32_t *free = frames->free;

	/* The order of the clusters, at the end of the stack that is filled from its start. */
	frames->nr_free = 0;
	for (uint32_t i = 0; i < clusters; i++)
		free[end - clusters + i] = i;
	shuffle(&free[end - clusters], clusters, &seed);
	for (uint32_t i = 0; i < clusters; i++) {
		uint32_t number = free[end - clusters + i] * CLUSTER, start = frames->nr_free;

		for (uint32_t last = number + CLUSTER; number < last; number++) {
			if (number >= first && number < end)
				free[frames->nr_free++] = number;
		}
		shuffle(&free[start], frames->nr_free - start, &seed);
	}
}

int frames_shuffle_runs(struct frames *frames, uint32_t first, uint32_t length, uint64_t seed)
{
	frames->runs = calloc(frames->count / length, sizeof(*frames->runs));
	if (!frames->runs)
		return -ENOMEM;
	for (uint32_t number = first; number + length <= frames->count; number += length)
		frames->runs[frames->nr_runs++] = number;
	shuffle(frames->runs, frames->nr_runs, &seed);
	return 0;
}

/* The top of a stack that is not @not. */
static uint32_t take(uint32_t *stack, uint32_t *nr, uint32_t not )
{
	uint32_t number, top = *nr;

	if (top == 0)
		return FRAME_NONE;
	number = stack[top - 1];
	if (number == not &&top > 1) {
		number = stack[top - 2];
		stack[top - 2] = not ;
	}
	(*nr)--;
	return number;
}

void frames_use(struct frames *frames, uint32_t first, uint32_t end)
{
	for (uint64_t number = first; number < end; number++)
		allow(frames_host(frames, number * PAGE_SIZE), PAGE_SIZE);
}

/* Frames come zeroed from the host and are zeroed again when they are given back. */
uint32_t frames_alloc(struct frames *frames, uint32_t not )
{
	uint32_t number = take(frames->free, &frames->nr_free, not );

	if (number != FRAME_NONE)
		frames_use(frames, number, number + 1);
	return number;
}

uint32_t frames_alloc_run(struct frames *frames, uint32_t not )
{
	return take(frames->runs, &frames->nr_runs, not );
}

void frames_free(struct frames *frames, uint32_t number)
{
	memset(frames_host(frames, (uint64_t)number * PAGE_SIZE), 0, PAGE_SIZE);
	frames_written(frames, (uint64_t)number * PAGE_SIZE);
	forbid(frames_host(frames, (uint64_t)number * PAGE_SIZE), PAGE_SIZE);
	frames->frame[number].flags = 0;
	frames->free[frames->nr_free++] = number;
}
