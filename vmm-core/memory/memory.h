/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's memory: which frame holds which guest page. Devices, loaders and the hash reach it
 * through spans and never assume that guest pages that follow each other have frames that do.
 */
#ifndef MEMORY_MEMORY_H
#define MEMORY_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "umbra/error.h"

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096UL
#define PAGE_MASK  (PAGE_SIZE - 1)

struct memory;

/* Bytes of RAM, which lies at GPA 0 ... size - 1. */
uint64_t memory_size(const struct memory *memory);

/*
 * The host bytes of guest RAM from @gpa on, at most @len: *ret_span says how many lie together
 * (never past the end of a page). NULL beyond RAM. For writing: gives the page a frame if it has
 * none and drops what is cached of code in it.
 */
void *memory_span_write(struct memory *memory, uint64_t gpa, size_t len, size_t *ret_span);
/* The same for reading. A page without a frame reads as a page of zeros and gets no frame. */
const void *memory_span_read(const struct memory *memory, uint64_t gpa, size_t len,
			     size_t *ret_span);

/*
 * From now on the @size bytes at @gpa are a device's: the CPU's accesses there come back from the
 * MMU with mmio set (paging/hw.h). Whole pages beyond RAM. Once the guest runs, hw_set_device()
 * says it. -EINVAL: not whole pages; -EEXIST: RAM or a device is there; -ENOSPC: too many.
 */
int memory_add_mmio(struct memory *memory, uint64_t gpa, uint64_t size);
/* Nobody answers at @gpa any more, where memory_add_mmio() said that a device does. */
void memory_remove_mmio(struct memory *memory, uint64_t gpa);

/* Copies over page boundaries by spans; -EFAULT when any byte lies beyond RAM (nothing copied). */
int memory_write(struct memory *memory, uint64_t gpa, const void *bytes, size_t len);
int memory_read(const struct memory *memory, uint64_t gpa, void *ret_bytes, size_t len);

#endif
