/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The decision journal's database: a file that outlives umbrad, or memory of the same shape where
 * there is no file to be had. One thread writes it; what journal_read.c reads goes through
 * connections of its own.
 */
#ifndef DAEMON_JOURNAL_STORE_H
#define DAEMON_JOURNAL_STORE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/configuration.h"
#include "daemon/journal.h"
#include "policy/policy.h"
#include "policy/record.h"

#define JOURNAL_FILE "journal.sqlite"

enum { JOURNAL_TEXT_MAX = 512, JOURNAL_BUSY_MS = 2000 };

enum journal_kind {
	JOURNAL_DECISION, /* new, or the same row again with what has changed */
	JOURNAL_AMEND,    /* a decision that is not the guest's latest: the record alone */
	JOURNAL_SWITCH,
	JOURNAL_SETTING,
	JOURNAL_FROZEN,
};

/* Consecutive stays for the same reason are one: the record is the last one's. */
struct journal_run {
	uint64_t first_id, last_id, count;
	uint64_t first_time;  /* guest time */
	int64_t first_at, at; /* wall time, in milliseconds since 1970 */
};

/* What the journal's thread is to write: one row of a table. */
struct journal_row {
	enum journal_kind kind;
	char guest[CONFIG_NAME_MAX + 1];
	union {
		struct {
			struct journal_run run;
			struct policy_decision record; /* its id is run.last_id; AMEND: any */
		} decision;
		struct {
			uint64_t number;
			int64_t at;
			struct switch_record record;
		} switched;
		struct {
			bool known; /* false: the configuration decides again */
			struct journal_setting setting;
		} setting;
		bool frozen;
	};
};

/* What journal_store_load() finds: the last numbers of a guest, and what an operator set. */
struct journal_loader {
	void (*guest)(void *context, const char *name, uint64_t last_decision,
		      uint64_t last_switch);
	void (*setting)(void *context, const char *name, const struct journal_setting *setting);
	void (*frozen)(void *context, bool frozen);
	void *context;
};

struct journal_store;

/*
 * Opens the file in @directory, makes it if there is none and brings it to this build's version. 0,
 * or a negative errno with the story in @ret_text: -EUCLEAN: the file is damaged; -ENOTSUP: a later
 * version made it; -EBUSY: another umbrad has it.
 */
int journal_store_open(const char *directory, struct journal_store **ret_store,
		       char ret_text[JOURNAL_TEXT_MAX]);
/* An empty one in memory. @name tells it from others of this process. 0 or a negative errno. */
int journal_store_open_memory(const char *name, struct journal_store **ret_store,
			      char ret_text[JOURNAL_TEXT_MAX]);
void journal_store_close(struct journal_store *store); /* may be NULL */

/*
 * Renames the damaged file in @directory aside, with the time in its name, which goes to @ret_name.
 * 0 or a negative errno.
 */
int journal_store_set_aside(const char *directory, char *ret_name, size_t size);

/* All rows in one transaction, or none. Errors as of journal_store_open(). */
int journal_store_write(struct journal_store *store, const struct journal_row *rows, size_t nr_rows,
			char ret_text[JOURNAL_TEXT_MAX]);
/* Sets a guest's last numbers, unless they are higher already. */
int journal_store_note(struct journal_store *store, const char *guest, uint64_t last_decision,
		       uint64_t last_switch, char ret_text[JOURNAL_TEXT_MAX]);
int journal_store_load(struct journal_store *store, const struct journal_loader *loader,
		       char ret_text[JOURNAL_TEXT_MAX]);
/* Reads what can be read of a file that journal_store_open() found damaged. */
void journal_store_salvage(const char *directory, const struct journal_loader *loader);

/*
 * A small step: deletes what is older than @oldest (wall time, milliseconds), and where there is
 * more than @bytes (0: no bound) the oldest rows of a guest that has the most. *ret_more: there is
 * more to do.
 */
int journal_store_prune(struct journal_store *store, int64_t oldest, uint64_t bytes, bool *ret_more,
			char ret_text[JOURNAL_TEXT_MAX]);

/*
 * Takes over every row of the store in memory called @name, in one transaction. @shift: its numbers
 * began without knowledge of @store's, so a guest's go on after the last ones here.
 */
int journal_store_carry(struct journal_store *store, const char *name, bool shift,
			char ret_text[JOURNAL_TEXT_MAX]);

uint64_t journal_store_rows(const struct journal_store *store); /* decisions and switches */
uint64_t journal_store_bytes(struct journal_store *store);

/* --- what the store and the readers share ------------------------------------------------- */

/* SQLite's result as a negative errno, with its text. */
int journal_sqlite_error(sqlite3 *db, char ret_text[JOURNAL_TEXT_MAX]);
/* The URI of the store in memory called @name. */
void journal_memory_uri(const char *name, char *ret_uri, size_t size);
/* Of `PRAGMA user_version`. */
int journal_schema_version(sqlite3 *db);
/* The version that this build writes. */
int journal_schema_latest(void);
/* Brings @db from its version to the latest, all or nothing. 0 or a negative errno. */
int journal_schema_migrate(sqlite3 *db, char ret_text[JOURNAL_TEXT_MAX]);

#endif
