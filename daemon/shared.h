/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory that a worker writes its guest's counters into and umbrad reads them from. umbrad
 * creates it, seals its size and maps it read-only; nothing in it is used as an index or a length.
 */
#ifndef DAEMON_SHARED_H
#define DAEMON_SHARED_H

#include <stdbool.h>
#include <stdint.h>

#include "umbra/counters.h"

enum { SHARED_MAGIC = 0x554d4252, SHARED_VERSION = 1 };

struct shared_counters {
	uint32_t magic, version; /* written by the worker before it runs its guest */
	uint64_t size;
	struct umbra_counters counters;
};

/* The descriptor of new, sealed memory (close on exec), or a negative errno. */
int shared_create(const char *name);
/* Maps it; NULL and errno. @writable: in the worker. */
struct shared_counters *shared_map(int fd, bool writable);
void shared_unmap(struct shared_counters *shared);
/* The worker's first words. */
void shared_begin(struct shared_counters *shared);
/* Copies the counters; -EBADMSG: the worker has not written magic, version and size (yet). */
int shared_read(const struct shared_counters *shared, struct umbra_counters *ret_counters);

#endif
