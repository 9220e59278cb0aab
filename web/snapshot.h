/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A snapshot is what readers see of umbrad at one moment: made by one thread, never changed once it
 * is published, freed with its last reference. Readers format it without any lock.
 */
#ifndef WEB_SNAPSHOT_H
#define WEB_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "collectors/collector.h"
#include "collectors/kvm_host.h"
#include "web/body.h"
#include "web/view.h"

/* Where decisions, switches and settings are kept. */
struct journal_view {
	bool up;
	const char *state;
	const char *path;      /* NULL: in memory only */
	const char *set_aside; /* a damaged file in umbrad's way; NULL: there was none */
	uint64_t rows, bytes, dropped;
};

/* A source of what is measured. */
struct collector_view {
	const char *name;
	const char *state; /* "ok", or why not all of it is measured */
	const char *help;
	struct collector_own own;
};

/* What taking snapshots took so far. */
struct sampling {
	uint64_t count;
	double seconds;
};

struct snapshot {
	struct timespec time; /* wall time when it was made */
	struct sampling sampling;
	struct sampling collecting; /* umbra-collect's rounds; count 0: it measures nothing */
	const struct collector_view *collectors;
	size_t nr_collectors;
	struct guest_view *guests;
	size_t nr_guests;
	bool frozen; /* no guest switches */
	struct journal_view journal;
	struct kvm_host kvm;      /* this host's KVM */
	const char *kvm_engine;   /* state of the engine kvm: "ok", or why it runs no guests */
	size_t nr_unready;        /* guests that have neither reported nor failed yet */
	time_t config_loaded;     /* wall time when the configuration that holds was read */
	const char *config_error; /* why it was not read anew since; NULL: it was, or need not */

	struct bodies bodies; /* what readers have made of it so far */
};

/* A new snapshot with one reference and room for @nr_guests zeroed views; NULL: out of memory. */
struct snapshot *snapshot_create(size_t nr_guests);
/* Memory that lives as long as the snapshot, zeroed; NULL: out of memory. */
void *snapshot_alloc(struct snapshot *snapshot, size_t size);
char *snapshot_strdup(struct snapshot *snapshot, const char *text);

struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot); /* may be NULL */

const struct guest_view *snapshot_find(const struct snapshot *snapshot, const char *id);

/* Where the latest snapshot hangs. */
struct board;

struct board *board_create(void);
void board_destroy(struct board *board);
/* Takes over the caller's reference. */
void board_publish(struct board *board, struct snapshot *snapshot);
/* The latest snapshot with a reference of the caller's own; NULL before the first one. */
struct snapshot *board_acquire(struct board *board);

#endif
