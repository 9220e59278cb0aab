/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal's readers: connections of their own, which no writer waits for. */
#ifndef DAEMON_JOURNAL_READ_H
#define DAEMON_JOURNAL_READ_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JOURNAL_POOL_MAX = 4 };

struct sqlite3;
struct text;

/* Connections that nobody uses at the moment; each is used by one thread at a time. */
struct journal_pool {
	pthread_mutex_t lock;
	char place[4200]; /* what is read: a path, or the URI of memory; empty: nothing yet */
	unsigned int generation; /* of the place */
	bool in_memory;
	/*
	 * Held by whoever uses the store in memory: there a reader keeps the writer out and the
	 * writer all readers, and SQLite only tries again and again.
	 */
	pthread_mutex_t memory;
	struct sqlite3 *idle[JOURNAL_POOL_MAX];
	size_t nr_idle;
};

void journal_pool_init(struct journal_pool *pool);
void journal_pool_destroy(struct journal_pool *pool);
/* From now on the file at @path is read; NULL: the store in memory called @name. */
void journal_pool_move(struct journal_pool *pool, const char *path, const char *name);

/* As journal_read_decisions() and journal_read_switches(); -EUCLEAN: the file is damaged. */
int journal_pool_decisions(struct journal_pool *pool, struct text *out, const char *guest,
			   size_t limit, uint64_t before);
int journal_pool_switches(struct journal_pool *pool, struct text *out, const char *guest,
			  size_t limit);

#endif
