/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory/frames.h"
#include "memory/memory.h"

int frames_create(struct frames *frames, uint32_t count, struct umbra_error *ret_error)
{
	size_t bytes = (size_t)count * PAGE_SIZE;
	int error;

	*frames = (struct frames){.fd = -1, .base = MAP_FAILED, .count = count};
	frames->frame = calloc(count, sizeof(*frames->frame));
	frames->free = calloc(count, sizeof(*frames->free));
	if (!frames->frame || !frames->free) {
		error = -ENOMEM;
		goto fail;
	}
	frames->fd = memfd_create("umbra-frames", MFD_CLOEXEC);
	if (frames->fd < 0 || ftruncate(frames->fd, bytes) < 0) {
		error = -errno;
		goto fail;
	}
	frames->base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			    frames->fd, 0);
	if (frames->base == MAP_FAILED) {
		error = -errno;
		goto fail;
	}
	return 0;
fail:
	frames_destroy(frames);
	return umbra_error_set(ret_error, error, "memory pool", NULL,
			       "cannot map %u frames of 4 KiB: %s", count, strerror(-error));
}

void frames_destroy(struct frames *frames)
{
	if (frames->base != MAP_FAILED)
		munmap(frames->base, (size_t)frames->count * PAGE_SIZE);
	if (frames->fd >= 0)
		close(frames->fd);
	free(frames->frame);
	free(frames->free);
	*frames = (struct frames){.fd = -1, .base = MAP_FAILED};
}

/* splitmix64: any seed, 0 too, gives a usable sequence. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

void frames_shuffle(struct frames *frames, uint32_t first, uint64_t seed)
{
	frames->nr_free = 0;
	for (uint32_t number = first; number < frames->count; number++)
		frames->free[frames->nr_free++] = number;
	for (uint32_t i = frames->nr_free; i > 1; i--) {
		uint32_t other = next_random(&seed) % i;
		uint32_t number = frames->free[i - 1];

		frames->free[i - 1] = frames->free[other];
		frames->free[other] = number;
	}
}

uint32_t frames_alloc(struct frames *frames, uint32_t not )
{
	uint32_t number, top = frames->nr_free;

	if (top == 0)
		return FRAME_NONE;
	number = frames->free[top - 1];
	if (number == not &&top > 1) {
		number = frames->free[top - 2];
		frames->free[top - 2] = not ;
	}
	frames->nr_free--;
	/* Frames come zeroed from the memfd and are zeroed again when they are given back. */
	return number;
}

void frames_free(struct frames *frames, uint32_t number)
{
	memset(frames_host(frames, (uint64_t)number * PAGE_SIZE), 0, PAGE_SIZE);
	frames_written(frames, (uint64_t)number * PAGE_SIZE);
	frames->frame[number].flags = 0;
	frames->free[frames->nr_free++] = number;
}
