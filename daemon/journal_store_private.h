/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What journal_store.c, which fills a store, and journal_upkeep.c share. */
#ifndef DAEMON_JOURNAL_STORE_PRIVATE_H
#define DAEMON_JOURNAL_STORE_PRIVATE_H

#include "daemon/journal_store.h"

enum journal_statement {
	PUT_DECISION,
	PUT_AMENDMENT,
	PUT_SWITCH,
	PUT_GUEST,
	PUT_SETTING,
	PUT_STATE,
	JOURNAL_STATEMENT_COUNT,
};

/* What is deleted because there is too much: the oldest rows of a guest that has the most. */
struct journal_pruning {
	bool on;            /* until there is some room */
	unsigned int steps; /* for which the choice holds */
	const char *table;
	char guest[CONFIG_NAME_MAX + 1];
};

struct journal_store {
	sqlite3 *db;
	sqlite3_stmt *put[JOURNAL_STATEMENT_COUNT];
	int lock; /* holds the directory for this umbrad; -1: in memory */
	uint64_t rows;
	struct journal_pruning pruning;
	char wal[CONFIG_PATH_MAX + 64]; /* the write-ahead log's path; empty: in memory */
};

/* A query with one integer as its answer. 0 or SQLite's code. */
int journal_ask(sqlite3 *db, const char *sql, int64_t *ret_value);
/*
 * Ends a transaction with @code, which is SQLite's: commits, or takes all back and tells the story.
 */
int journal_end(struct journal_store *store, int code, char ret_text[JOURNAL_TEXT_MAX]);

#endif
