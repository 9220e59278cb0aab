/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/journal_store_private.h"
#include "web/text.h"
#include "web/view.h"

static const char *const statements[JOURNAL_STATEMENT_COUNT] = {
	[PUT_DECISION] =
		"INSERT INTO decision (guest, first_id, last_id, count, first_time, time, first_at,"
		" at, mode, action, target, reason, record)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
		" ON CONFLICT (guest, first_id) DO UPDATE SET last_id = excluded.last_id,"
		" count = excluded.count, time = excluded.time, at = excluded.at,"
		" record = excluded.record",
	[PUT_AMENDMENT] = "UPDATE decision SET record = ? WHERE guest = ? AND first_id = ?",
	[PUT_SWITCH] =
		"INSERT INTO switch (guest, number, time, at, \"from\", \"to\", reason, record)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
		" ON CONFLICT (guest, number) DO UPDATE SET record = excluded.record",
	[PUT_GUEST] = "INSERT INTO guest VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
		      " last_decision = max(last_decision, excluded.last_decision),"
		      " last_switch = max(last_switch, excluded.last_switch)",
	[PUT_SETTING] = "INSERT OR REPLACE INTO setting VALUES (?, ?, ?, ?, ?)",
	[PUT_STATE] = "INSERT OR REPLACE INTO state VALUES (?, ?)",
};

int journal_sqlite_error(sqlite3 *db, char ret_text[JOURNAL_TEXT_MAX])
{
	int code = sqlite3_errcode(db);

	/* What failed was not SQLite's: there was no memory for the row's text. */
	if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) {
		snprintf(ret_text, JOURNAL_TEXT_MAX, "out of memory");
		return -ENOMEM;
	}
	snprintf(ret_text, JOURNAL_TEXT_MAX, JOURNAL_FILE ": %s", sqlite3_errmsg(db));
	switch (code & 0xff) {
	/* None of our rows breaks a rule of the tables; an index that is wrong makes it seem so. */
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: return -EUCLEAN;
	case SQLITE_FULL: return -ENOSPC;
	case SQLITE_NOMEM: return -ENOMEM;
	case SQLITE_BUSY: return -EBUSY;
	default: return -EIO;
	}
}

void journal_memory_uri(const char *name, char *ret_uri, size_t size)
{
	snprintf(ret_uri, size, "file:/%s?vfs=memdb", name);
}

int journal_ask(sqlite3 *db, const char *sql, int64_t *ret_value)
{
	sqlite3_stmt *statement;
	int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

	if (code)
		return code;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*ret_value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : code;
}

/* Fills the statement's parameters by @types: s a text (NULL: none), i an int64_t. Runs it. */
static int put(struct journal_store *store, enum journal_statement which, const char *types, ...)
{
	sqlite3_stmt *statement = store->put[which];
	va_list values;
	int code = 0;

	sqlite3_set_last_insert_rowid(store->db, 0);
	va_start(values, types);
	for (int i = 0; types[i] && !code; i++) {
		if (types[i] == 's')
			code = sqlite3_bind_text(statement, i + 1, va_arg(values, const char *), -1,
						 SQLITE_TRANSIENT);
		else
			code = sqlite3_bind_int64(statement, i + 1, va_arg(values, int64_t));
	}
	va_end(values);
	if (!code && sqlite3_step(statement) != SQLITE_DONE)
		code = SQLITE_ERROR;
	/* Its own code is the one that tells. */
	if (sqlite3_reset(statement))
		code = SQLITE_ERROR;
	return code;
}

/* --- opening and closing ------------------------------------------------------------------ */

static int prepare(struct journal_store *store)
{
	int64_t decisions = 0, switches = 0;
	int code = journal_ask(store->db, "SELECT count(*) FROM decision", &decisions);

	if (!code)
		code = journal_ask(store->db, "SELECT count(*) FROM switch", &switches);
	store->rows = decisions + switches;
	for (int i = 0; i < JOURNAL_STATEMENT_COUNT && !code; i++)
		code = sqlite3_prepare_v3(store->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
					  &store->put[i], NULL);
	return code;
}

/* Damage is better found now than when a record is wanted. */
static int check_integrity(sqlite3 *db, char ret_text[JOURNAL_TEXT_MAX])
{
	sqlite3_stmt *statement;
	int code = 0;

	if (sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &statement, NULL))
		return journal_sqlite_error(db, ret_text);
	if (sqlite3_step(statement) != SQLITE_ROW) {
		code = journal_sqlite_error(db, ret_text);
	} else if (strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0) {
		snprintf(ret_text, JOURNAL_TEXT_MAX, JOURNAL_FILE ": %s",
			 sqlite3_column_text(statement, 0));
		code = -EUCLEAN;
	}
	sqlite3_finalize(statement);
	return code;
}

/* auto_vacuum comes first: it holds only for a file without tables. */
static const char settings[] =
	"PRAGMA auto_vacuum = INCREMENTAL; PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY;"
	"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 256;"
	"PRAGMA journal_size_limit = 1048576;";

static int check_file(sqlite3 *db, char ret_text[JOURNAL_TEXT_MAX])
{
	int version = journal_schema_version(db);

	if (version < 0)
		return journal_sqlite_error(db, ret_text);
	/* Before anything is changed: a later version's file stays as it is. */
	if (version > journal_schema_latest()) {
		snprintf(ret_text, JOURNAL_TEXT_MAX,
			 JOURNAL_FILE " is of version %d; this build knows up to %d", version,
			 journal_schema_latest());
		return -ENOTSUP;
	}
	if (sqlite3_db_readonly(db, "main") == 1) {
		snprintf(ret_text, JOURNAL_TEXT_MAX, JOURNAL_FILE ": it may not be written");
		return -EACCES;
	}
	return check_integrity(db, ret_text);
}

/* What is the same for a file and for memory. Closes @store where it fails. */
static int set_up(struct journal_store *store, const char *path, struct journal_store **ret_store,
		  char ret_text[JOURNAL_TEXT_MAX])
{
	int code = 0;

	if (sqlite3_open_v2(path, &store->db,
			    SQLITE_OPEN_URI | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
				    SQLITE_OPEN_NOMUTEX,
			    NULL))
		code = journal_sqlite_error(store->db, ret_text);
	if (!code) {
		sqlite3_busy_timeout(store->db, JOURNAL_BUSY_MS);
		sqlite3_extended_result_codes(store->db, 1);
		code = check_file(store->db, ret_text);
	}
	if (!code && sqlite3_exec(store->db, settings, NULL, NULL, NULL))
		code = journal_sqlite_error(store->db, ret_text);
	if (!code)
		code = journal_schema_migrate(store->db, ret_text);
	if (!code && prepare(store))
		code = journal_sqlite_error(store->db, ret_text);
	if (code)
		journal_store_close(store);
	else
		*ret_store = store;
	return code;
}

/* Two umbrads in one directory would give the same numbers twice. */
static int hold(const char *directory, char ret_text[JOURNAL_TEXT_MAX])
{
	int fd, code;

	if (mkdir(directory, 0750) && errno != EEXIST) {
		code = -errno;
		snprintf(ret_text, JOURNAL_TEXT_MAX, "%.300s: %s", directory, strerror(-code));
		return code;
	}
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || access(directory, W_OK | X_OK)) {
		code = -errno;
		snprintf(ret_text, JOURNAL_TEXT_MAX, "%.300s: %s", directory, strerror(-code));
		if (fd >= 0)
			close(fd);
		return code;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		snprintf(ret_text, JOURNAL_TEXT_MAX, "%.300s: another umbrad uses this directory",
			 directory);
		close(fd);
		return -EBUSY;
	}
	return fd;
}

int journal_store_open(const char *directory, struct journal_store **ret_store,
		       char ret_text[JOURNAL_TEXT_MAX])
{
	struct journal_store *store = calloc(1, sizeof(*store));
	char path[CONFIG_PATH_MAX + 32];

	if (!store) {
		snprintf(ret_text, JOURNAL_TEXT_MAX, "out of memory");
		return -ENOMEM;
	}
	store->lock = hold(directory, ret_text);
	if (store->lock < 0) {
		int code = store->lock;

		free(store);
		return code;
	}
	snprintf(path, sizeof(path), "%s/" JOURNAL_FILE, directory);
	snprintf(store->wal, sizeof(store->wal), "%s-wal", path);
	return set_up(store, path, ret_store, ret_text);
}

int journal_store_open_memory(const char *name, struct journal_store **ret_store,
			      char ret_text[JOURNAL_TEXT_MAX])
{
	struct journal_store *store = calloc(1, sizeof(*store));
	char uri[128];

	if (!store) {
		snprintf(ret_text, JOURNAL_TEXT_MAX, "out of memory");
		return -ENOMEM;
	}
	store->lock = -1;
	journal_memory_uri(name, uri, sizeof(uri));
	return set_up(store, uri, ret_store, ret_text);
}

void journal_store_close(struct journal_store *store)
{
	if (!store)
		return;
	for (int i = 0; i < JOURNAL_STATEMENT_COUNT; i++)
		sqlite3_finalize(store->put[i]);
	sqlite3_close(store->db);
	if (store->lock >= 0)
		close(store->lock);
	free(store);
}

int journal_store_set_aside(const char *directory, char *ret_name, size_t size)
{
	char from[CONFIG_PATH_MAX + 64], to[CONFIG_PATH_MAX + 128], stamp[32];
	time_t now = time(NULL);
	struct stat status;
	struct tm utc;

	gmtime_r(&now, &utc);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &utc);
	/* One that was renamed in this very second keeps its name. */
	snprintf(ret_name, size, "%s/" JOURNAL_FILE ".damaged-%s", directory, stamp);
	for (int i = 1; !lstat(ret_name, &status); i++)
		snprintf(ret_name, size, "%s/" JOURNAL_FILE ".damaged-%s-%d", directory, stamp, i);
	/* The log first: a new file must never find an old one's. */
	snprintf(from, sizeof(from), "%s/" JOURNAL_FILE "-wal", directory);
	snprintf(to, sizeof(to), "%s-wal", ret_name);
	if (rename(from, to) && errno != ENOENT)
		return -errno;
	snprintf(from, sizeof(from), "%s/" JOURNAL_FILE "-shm", directory);
	if (unlink(from) && errno != ENOENT)
		return -errno;
	snprintf(from, sizeof(from), "%s/" JOURNAL_FILE, directory);
	return rename(from, ret_name) ? -errno : 0;
}

/* --- writing ------------------------------------------------------------------------------ */

/* An encoder's text as a string; NULL: out of memory. */
static char *finish(struct text *text)
{
	size_t len;

	return text_take(text, &len);
}

static int write_decision(struct journal_store *store, const struct journal_row *row)
{
	const struct policy_decision *record = &row->decision.record;
	const struct journal_run *run = &row->decision.run;
	struct text out = {0};
	char *text;
	int code;

	web_write_decision(&out, record);
	text = finish(&out);
	if (!text)
		return SQLITE_NOMEM;
	if (row->kind == JOURNAL_AMEND) {
		code = put(store, PUT_AMENDMENT, "ssi", text, row->guest, (int64_t)record->id);
		free(text);
		return code;
	}
	code = put(store, PUT_DECISION, "siiiiiiisssss", row->guest, (int64_t)run->first_id,
		   (int64_t)run->last_id, (int64_t)run->count, (int64_t)run->first_time,
		   (int64_t)record->time, run->first_at, run->at, umbra_mode_name(record->mode),
		   policy_action_name(record->action), umbra_mode_name(record->target),
		   record->reason, text);
	free(text);
	store->rows += sqlite3_last_insert_rowid(store->db) != 0;
	return code ? code
		    : put(store, PUT_GUEST, "sii", row->guest, (int64_t)run->last_id, INT64_C(0));
}

static int write_switch(struct journal_store *store, const struct journal_row *row)
{
	const struct umbra_switch *made = &row->switched.record.record;
	struct text out = {0};
	char *text;
	int code;

	web_write_switch(&out, &row->switched.record);
	text = finish(&out);
	if (!text)
		return SQLITE_NOMEM;
	code = put(store, PUT_SWITCH, "siiissss", row->guest, (int64_t)row->switched.number,
		   (int64_t)made->time, row->switched.at, umbra_mode_name(made->from),
		   umbra_mode_name(made->to), row->switched.record.reason, text);
	free(text);
	store->rows += sqlite3_last_insert_rowid(store->db) != 0;
	return code ? code
		    : put(store, PUT_GUEST, "sii", row->guest, INT64_C(0),
			  (int64_t)row->switched.number);
}

static int write_setting(struct journal_store *store, const struct journal_row *row)
{
	const struct journal_setting *setting = &row->setting.setting;

	if (!row->setting.known)
		return put(store, PUT_SETTING, "sssss", row->guest, NULL, NULL, NULL, NULL);
	return put(store, PUT_SETTING, "sssss", row->guest, umbra_mode_name(setting->mode),
		   policy_kind_name(setting->policy), umbra_mode_name(setting->config_mode),
		   policy_kind_name(setting->config_policy));
}

static int write_row(struct journal_store *store, const struct journal_row *row)
{
	switch (row->kind) {
	case JOURNAL_DECISION:
	case JOURNAL_AMEND: return write_decision(store, row);
	case JOURNAL_SWITCH: return write_switch(store, row);
	case JOURNAL_SETTING: return write_setting(store, row);
	case JOURNAL_FROZEN: return put(store, PUT_STATE, "si", "frozen", (int64_t)row->frozen);
	}
	return 0;
}

int journal_end(struct journal_store *store, int code, char ret_text[JOURNAL_TEXT_MAX])
{
	if (!code)
		code = sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
	if (!code)
		return 0;
	code = journal_sqlite_error(store->db, ret_text);
	sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	return code;
}

int journal_store_write(struct journal_store *store, const struct journal_row *rows, size_t nr_rows,
			char ret_text[JOURNAL_TEXT_MAX])
{
	uint64_t before = store->rows;
	int code = sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	for (size_t i = 0; i < nr_rows && !code; i++)
		code = write_row(store, &rows[i]);
	code = journal_end(store, code, ret_text);
	if (code)
		store->rows = before;
	return code;
}

int journal_store_note(struct journal_store *store, const char *guest, uint64_t last_decision,
		       uint64_t last_switch, char ret_text[JOURNAL_TEXT_MAX])
{
	return put(store, PUT_GUEST, "sii", guest, (int64_t)last_decision, (int64_t)last_switch)
		       ? journal_sqlite_error(store->db, ret_text)
		       : 0;
}

uint64_t journal_store_rows(const struct journal_store *store)
{
	return store->rows;
}

uint64_t journal_store_bytes(struct journal_store *store)
{
	int64_t pages = 0, page_size = 0;
	struct stat wal = {0};

	if (journal_ask(store->db, "PRAGMA page_count", &pages) ||
	    journal_ask(store->db, "PRAGMA page_size", &page_size))
		return 0;
	if (store->wal[0] && stat(store->wal, &wal))
		wal.st_size = 0;
	return pages * page_size + wal.st_size;
}
