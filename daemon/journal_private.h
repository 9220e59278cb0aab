/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two halves of the journal share: journal.c, the main thread's, and journal_thread.c. */
#ifndef DAEMON_JOURNAL_PRIVATE_H
#define DAEMON_JOURNAL_PRIVATE_H

#include <pthread.h>

#include "daemon/journal_read.h"
#include "daemon/journal_store.h"

enum {
	JOURNAL_COMMIT_MS = 500, /* that a record waits at most */
	JOURNAL_RETRY_MS = 60000,
};

struct journal_guest {
	struct journal_guest *next;
	char name[CONFIG_NAME_MAX + 1];
	uint64_t last_decision, last_switch; /* ever */
	uint64_t base_decision, base_switch; /* before this run of the guest */
	/* By how much all of its numbers are to grow: what a file says that was found late. */
	uint64_t shift_decision, shift_switch;
	bool has_setting;
	struct journal_setting setting;

	/* The row that the latest decision went to, to be gone on with by the next. */
	struct journal_run run;
	enum umbra_mode mode, target;
	enum policy_action action;
	const char *reason; /* NULL: there is none */

	/* Of the batch that is being filled; all 0 in another one's time. */
	uint64_t batch;
	size_t nr_rows;
	size_t decision, switched; /* its latest such row's index plus 1 */
};

struct batch {
	struct journal_row *rows;
	size_t nr, capacity;
	uint64_t serial;
	int64_t since; /* monotonic milliseconds: its first row's */
};

struct journal {
	struct journal_config config;
	char directory[CONFIG_PATH_MAX];
	char memory_name[64]; /* of the store in memory that there is or was last */
	unsigned int nr_memories;
	pthread_t thread;
	int event;

	/* The journal thread's. */
	struct journal_store *store;
	bool on_disk;
	bool loaded;      /* the file was read: numbers and settings are those of all times */
	int64_t retry_at; /* monotonic milliseconds */

	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t wake;
	struct batch batch;
	struct journal_guest *guests;
	bool frozen, frozen_known;
	uint64_t asked, settled; /* tickets */
	bool damaged;            /* a reader says so */
	bool stopping;
	struct journal_status status;
	struct journal_pool pool;
};

int64_t journal_clock_ms(clockid_t clock);
/* The guest called @name, new or known. With the lock. NULL: out of memory, or no guest's name. */
struct journal_guest *journal_find_guest(struct journal *journal, const char *name);

/* Opens the file, or memory where that cannot be. Before there is a thread. */
void journal_open_first(struct journal *journal);
/* The thread: writes what the main thread leaves, until "stopping". */
void *journal_run(void *journal);

#endif
