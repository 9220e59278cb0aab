/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of the decision journal, as steps from each version to the next. A step that was ever
 * released stays as it is; what changes is a new step. `PRAGMA user_version` counts them.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>

#include "daemon/journal_store_private.h"

static const char *const steps[] = {
	/*
	 * 1: what was decided and done. Times in guest units, "at" in milliseconds since 1970;
	 * "record" is the JSON that the API gives.
	 */
	"CREATE TABLE decision (row INTEGER PRIMARY KEY, guest TEXT NOT NULL,"
	" first_id INTEGER NOT NULL, last_id INTEGER NOT NULL, count INTEGER NOT NULL,"
	" first_time INTEGER NOT NULL, time INTEGER NOT NULL,"
	" first_at INTEGER NOT NULL, at INTEGER NOT NULL,"
	" mode TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL, reason TEXT NOT NULL,"
	" record TEXT NOT NULL, UNIQUE (guest, first_id));"
	"CREATE INDEX decision_at ON decision (at);"
	"CREATE TABLE switch (row INTEGER PRIMARY KEY, guest TEXT NOT NULL,"
	" number INTEGER NOT NULL, time INTEGER NOT NULL, at INTEGER NOT NULL,"
	" \"from\" TEXT NOT NULL, \"to\" TEXT NOT NULL, reason TEXT NOT NULL,"
	" record TEXT NOT NULL, UNIQUE (guest, number));"
	"CREATE INDEX switch_at ON switch (at);",

	/*
	 * 2: a guest's last numbers outlive its rows; what operators set. A setting without a mode
	 * was taken back.
	 */
	"CREATE TABLE guest (name TEXT PRIMARY KEY, last_decision INTEGER NOT NULL,"
	" last_switch INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO guest SELECT guest, max(decision), max(switch) FROM"
	" (SELECT guest, last_id AS decision, 0 AS switch FROM decision"
	"  UNION ALL SELECT guest, 0, number FROM switch) GROUP BY guest;"
	"CREATE TABLE setting (guest TEXT PRIMARY KEY, mode TEXT, policy TEXT,"
	" config_mode TEXT, config_policy TEXT) WITHOUT ROWID;"
	"CREATE TABLE state (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;",
};

enum { LATEST = sizeof(steps) / sizeof(steps[0]) };

int journal_schema_latest(void)
{
	return LATEST;
}

int journal_schema_version(sqlite3 *db)
{
	int64_t version;

	return journal_ask(db, "PRAGMA user_version", &version) ? -EIO : (int)version;
}

static int run_steps(sqlite3 *db, int version)
{
	char pragma[48];
	int code = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	for (int i = version; i < LATEST && !code; i++)
		code = sqlite3_exec(db, steps[i], NULL, NULL, NULL);
	snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %d", LATEST);
	if (!code)
		code = sqlite3_exec(db, pragma, NULL, NULL, NULL);
	return code ? code : sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
}

int journal_schema_migrate(sqlite3 *db, char ret_text[JOURNAL_TEXT_MAX])
{
	int version = journal_schema_version(db);

	if (version < 0)
		return journal_sqlite_error(db, ret_text);
	if (version < LATEST && run_steps(db, version)) {
		int code = journal_sqlite_error(db, ret_text);

		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
		return code;
	}
	return 0;
}
