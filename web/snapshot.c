/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "web/snapshot.h"

/* One piece of a snapshot's memory, in front of what the caller got. */
struct piece {
	struct piece *next;
	max_align_t bytes[];
};

struct snapshot_owner {
	struct snapshot snapshot; /* first: the public part is the whole */
	atomic_uint references;
	struct piece *pieces;
};

struct board {
	pthread_mutex_t lock; /* held while a pointer is read and a reference counted, no longer */
	struct snapshot *latest;
};

struct snapshot *snapshot_create(size_t nr_guests)
{
	struct snapshot_owner *owner = calloc(1, sizeof(*owner));

	if (!owner)
		return NULL;
	atomic_init(&owner->references, 1);
	owner->snapshot.nr_guests = nr_guests;
	owner->snapshot.kvm.mode = UMBRA_MODE_COUNT;
	owner->snapshot.guests =
		snapshot_alloc(&owner->snapshot, nr_guests * sizeof(*owner->snapshot.guests));
	if (!owner->snapshot.guests) {
		free(owner);
		return NULL;
	}
	return &owner->snapshot;
}

void *snapshot_alloc(struct snapshot *snapshot, size_t size)
{
	struct snapshot_owner *owner = (struct snapshot_owner *)snapshot;
	struct piece *piece = calloc(1, sizeof(*piece) + size);

	if (!piece)
		return NULL;
	piece->next = owner->pieces;
	owner->pieces = piece;
	return piece->bytes;
}

char *snapshot_strdup(struct snapshot *snapshot, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = snapshot_alloc(snapshot, size);

	return copy ? memcpy(copy, text, size) : NULL;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
	struct snapshot_owner *owner = (struct snapshot_owner *)snapshot;

	atomic_fetch_add_explicit(&owner->references, 1, memory_order_relaxed);
	return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
	struct snapshot_owner *owner = (struct snapshot_owner *)snapshot;

	if (!owner)
		return;
	/* Release: what this reader did comes before; acquire: the last one frees after all. */
	if (atomic_fetch_sub_explicit(&owner->references, 1, memory_order_acq_rel) != 1)
		return;
	bodies_clear(&owner->snapshot.bodies);
	while (owner->pieces) {
		struct piece *piece = owner->pieces;

		owner->pieces = piece->next;
		free(piece);
	}
	free(owner);
}

const struct guest_view *snapshot_find(const struct snapshot *snapshot, const char *id)
{
	for (size_t i = 0; i < snapshot->nr_guests; i++) {
		if (!strcmp(snapshot->guests[i].id, id))
			return &snapshot->guests[i];
	}
	return NULL;
}

struct board *board_create(void)
{
	struct board *board = calloc(1, sizeof(*board));

	if (board)
		pthread_mutex_init(&board->lock, NULL);
	return board;
}

void board_destroy(struct board *board)
{
	if (!board)
		return;
	snapshot_unref(board->latest);
	pthread_mutex_destroy(&board->lock);
	free(board);
}

void board_publish(struct board *board, struct snapshot *snapshot)
{
	struct snapshot *old;

	pthread_mutex_lock(&board->lock);
	old = board->latest;
	board->latest = snapshot;
	pthread_mutex_unlock(&board->lock);
	snapshot_unref(old);
}

struct snapshot *board_acquire(struct board *board)
{
	struct snapshot *snapshot;

	pthread_mutex_lock(&board->lock);
	snapshot = board->latest;
	if (snapshot)
		snapshot_ref(snapshot);
	pthread_mutex_unlock(&board->lock);
	return snapshot;
}
