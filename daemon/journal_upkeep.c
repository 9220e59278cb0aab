/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store's upkeep: what is deleted, what is read back, what goes from memory to the file. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/journal_store_private.h"

enum {
	STEP = 64,         /* rows that are deleted at once */
	CHOICE_STEPS = 16, /* of one guest, before it is seen anew who has the most */
	ROOM_SHARE = 64,   /* of the bound: made free when it is reached */
	SPARE_PAGES = 64,  /* free pages that are left in the file for what comes next */
};

/* Deletes at most STEP rows of @table for which @where holds, the first by @order. */
static int delete_some(struct journal_store *store, const char *table, const char *where,
		       const char *order, const char *guest, int64_t at, int *ret_deleted)
{
	sqlite3_stmt *statement;
	char sql[256];
	int code;

	snprintf(sql, sizeof(sql),
		 "DELETE FROM %s WHERE row IN (SELECT row FROM %s WHERE %s ORDER BY %s LIMIT %d)",
		 table, table, where, order, STEP);
	code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
	if (code)
		return code;
	if (guest)
		sqlite3_bind_text(statement, 1, guest, -1, SQLITE_STATIC);
	else
		sqlite3_bind_int64(statement, 1, at);
	code = sqlite3_step(statement);
	sqlite3_finalize(statement);
	if (code != SQLITE_DONE)
		return code;
	*ret_deleted = sqlite3_changes(store->db);
	store->rows -= *ret_deleted;
	return 0;
}

static int delete_old(struct journal_store *store, int64_t oldest, bool *more)
{
	static const char *const tables[] = {"decision", "switch"};
	int code = 0, deleted;

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && !code; i++) {
		deleted = 0;
		code = delete_some(store, tables[i], "at < ?1", "at", NULL, oldest, &deleted);
		*more = *more || deleted == STEP;
	}
	return code;
}

/* One guest that decides much must not drive out what others did. */
static int choose(struct journal_store *store)
{
	struct journal_pruning *pruning = &store->pruning;
	sqlite3_stmt *row;
	int code = sqlite3_prepare_v2(store->db,
				      "SELECT 0, guest, count(*) AS n FROM decision GROUP BY guest"
				      " UNION ALL"
				      " SELECT 1, guest, count(*) AS n FROM switch GROUP BY guest"
				      " ORDER BY n DESC LIMIT 1",
				      -1, &row, NULL);

	if (code)
		return code;
	code = sqlite3_step(row);
	if (code == SQLITE_ROW) {
		pruning->steps = CHOICE_STEPS;
		pruning->table = sqlite3_column_int(row, 0) ? "switch" : "decision";
		snprintf(pruning->guest, sizeof(pruning->guest), "%s",
			 (const char *)sqlite3_column_text(row, 1));
		code = SQLITE_DONE;
	}
	sqlite3_finalize(row);
	return code == SQLITE_DONE ? 0 : code;
}

static int delete_surplus(struct journal_store *store, bool *more)
{
	struct journal_pruning *pruning = &store->pruning;
	int code = pruning->steps ? 0 : choose(store), deleted = 0;

	if (code || !pruning->steps)
		return code;
	pruning->steps--;
	code = delete_some(store, pruning->table, "guest = ?1",
			   *pruning->table == 's' ? "number" : "first_id", pruning->guest, 0,
			   &deleted);
	if (deleted < STEP)
		pruning->steps = 0;
	*more = *more || deleted;
	return code;
}

/* Begins where there is too much and ends where there is some room: choosing takes a while. */
static void watch_size(struct journal_store *store, uint64_t used, uint64_t bytes)
{
	if (!bytes || used <= bytes - bytes / ROOM_SHARE)
		store->pruning = (struct journal_pruning){0};
	else if (used > bytes)
		store->pruning.on = true;
}

int journal_store_prune(struct journal_store *store, int64_t oldest, uint64_t bytes, bool *ret_more,
			char ret_text[JOURNAL_TEXT_MAX])
{
	int64_t pages = 0, spare = 0, page_size = 0;
	int code = sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	bool more = false;

	if (!code)
		code = journal_ask(store->db, "PRAGMA page_count", &pages);
	if (!code)
		code = journal_ask(store->db, "PRAGMA freelist_count", &spare);
	if (!code)
		code = journal_ask(store->db, "PRAGMA page_size", &page_size);
	watch_size(store, (pages - spare) * page_size, bytes);
	if (!code)
		code = delete_old(store, oldest, &more);
	if (!code && store->pruning.on)
		code = delete_surplus(store, &more);
	if (!code && spare > SPARE_PAGES)
		code = sqlite3_exec(store->db, "PRAGMA incremental_vacuum(256)", NULL, NULL, NULL);
	code = journal_end(store, code, ret_text);
	if (!code)
		*ret_more = more;
	return code;
}

/* --- from one store to another ------------------------------------------------------------ */

/* The names come from a file that anybody may have written: what is no name is passed over. */
static bool read_setting(sqlite3_stmt *row, struct journal_setting *ret_setting)
{
	const char *text[5];

	for (int i = 1; i < 5; i++) {
		text[i] = (const char *)sqlite3_column_text(row, i);
		if (!text[i])
			return false;
	}
	return !umbra_mode_parse(text[1], &ret_setting->mode) &&
	       !policy_kind_parse(text[2], &ret_setting->policy) &&
	       !umbra_mode_parse(text[3], &ret_setting->config_mode) &&
	       !policy_kind_parse(text[4], &ret_setting->config_policy);
}

static void load_guest(const struct journal_loader *loader, sqlite3_stmt *row)
{
	int64_t decision = sqlite3_column_int64(row, 1), made = sqlite3_column_int64(row, 2);

	loader->guest(loader->context, (const char *)sqlite3_column_text(row, 0),
		      decision > 0 ? decision : 0, made > 0 ? made : 0);
}

static void load_setting(const struct journal_loader *loader, sqlite3_stmt *row)
{
	struct journal_setting setting;

	if (read_setting(row, &setting))
		loader->setting(loader->context, (const char *)sqlite3_column_text(row, 0),
				&setting);
}

static void load_state(const struct journal_loader *loader, sqlite3_stmt *row)
{
	if (!strcmp((const char *)sqlite3_column_text(row, 0), "frozen"))
		loader->frozen(loader->context, sqlite3_column_int64(row, 1) != 0);
}

static int load(sqlite3 *db, const struct journal_loader *loader, char ret_text[JOURNAL_TEXT_MAX])
{
	static const struct {
		const char *sql;
		void (*load)(const struct journal_loader *loader, sqlite3_stmt *row);
	} tables[] = {
		{"SELECT name, last_decision, last_switch FROM guest", load_guest},
		{"SELECT guest, mode, policy, config_mode, config_policy FROM setting",
		 load_setting},
		{"SELECT key, value FROM state", load_state},
	};
	sqlite3_stmt *row;
	int code = 0, step;

	/* What one table refuses the next may still give. */
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		if (sqlite3_prepare_v2(db, tables[i].sql, -1, &row, NULL)) {
			code = journal_sqlite_error(db, ret_text);
			continue;
		}
		while ((step = sqlite3_step(row)) == SQLITE_ROW) {
			if (sqlite3_column_text(row, 0))
				tables[i].load(loader, row);
		}
		if (step != SQLITE_DONE)
			code = journal_sqlite_error(db, ret_text);
		sqlite3_finalize(row);
	}
	return code;
}

int journal_store_load(struct journal_store *store, const struct journal_loader *loader,
		       char ret_text[JOURNAL_TEXT_MAX])
{
	return load(store->db, loader, ret_text);
}

void journal_store_salvage(const char *directory, const struct journal_loader *loader)
{
	char path[CONFIG_PATH_MAX + 32], text[JOURNAL_TEXT_MAX];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/" JOURNAL_FILE, directory);
	if (!sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL))
		load(db, loader, text);
	sqlite3_close(db);
}

/*
 * %1$d is 1 where the numbers in memory are to go on after the file's, else 0. Numbers come before
 * the guests' last ones, which they are counted from.
 */
static const char carry[] =
	"BEGIN IMMEDIATE;"
	"INSERT OR REPLACE INTO main.decision (guest, first_id, last_id, count, first_time, time,"
	" first_at, at, mode, action, target, reason, record)"
	" SELECT guest, first_id + base, last_id + base, count, first_time, time, first_at, at,"
	" mode, action, target, reason, json_set(record, '$.id', last_id + base)"
	" FROM (SELECT d.*, %1$d * coalesce(g.last_decision, 0) AS base FROM memory.decision AS d"
	" LEFT JOIN main.guest AS g ON g.name = d.guest) ORDER BY row;"
	"INSERT OR REPLACE INTO main.switch (guest, number, time, at, \"from\", \"to\", reason,"
	" record)"
	" SELECT guest, number + base, time, at, \"from\", \"to\", reason, record"
	" FROM (SELECT s.*, %1$d * coalesce(g.last_switch, 0) AS base FROM memory.switch AS s"
	" LEFT JOIN main.guest AS g ON g.name = s.guest) ORDER BY row;"
	"INSERT INTO main.guest SELECT * FROM memory.guest WHERE true"
	" ON CONFLICT (name) DO UPDATE SET"
	" last_decision = max(last_decision, %1$d * last_decision + excluded.last_decision),"
	" last_switch = max(last_switch, %1$d * last_switch + excluded.last_switch);"
	"INSERT OR REPLACE INTO main.setting SELECT * FROM memory.setting;"
	"INSERT OR REPLACE INTO main.state SELECT * FROM memory.state;"
	"COMMIT;";

int journal_store_carry(struct journal_store *store, const char *name, bool shift,
			char ret_text[JOURNAL_TEXT_MAX])
{
	char uri[128], attach[192], sql[sizeof(carry) + 64];
	int64_t decisions = 0, switches = 0;
	int code;

	journal_memory_uri(name, uri, sizeof(uri));
	snprintf(attach, sizeof(attach), "ATTACH '%s' AS memory", uri);
	snprintf(sql, sizeof(sql), carry, shift);
	if (sqlite3_exec(store->db, attach, NULL, NULL, NULL))
		return journal_sqlite_error(store->db, ret_text);
	code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
	if (code) {
		code = journal_sqlite_error(store->db, ret_text);
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	}
	sqlite3_exec(store->db, "DETACH memory", NULL, NULL, NULL);
	if (!code && (journal_ask(store->db, "SELECT count(*) FROM decision", &decisions) ||
		      journal_ask(store->db, "SELECT count(*) FROM switch", &switches)))
		code = journal_sqlite_error(store->db, ret_text);
	store->rows = decisions + switches;
	return code;
}
