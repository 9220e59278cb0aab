/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/journal.h"
#include "daemon/journal_read.h"
#include "daemon/journal_store.h"
#include "web/text.h"

void journal_pool_init(struct journal_pool *pool)
{
	*pool = (struct journal_pool){0};
	pthread_mutex_init(&pool->lock, NULL);
	pthread_mutex_init(&pool->memory, NULL);
}

/* With the lock. */
static void close_idle(struct journal_pool *pool)
{
	while (pool->nr_idle)
		sqlite3_close(pool->idle[--pool->nr_idle]);
}

void journal_pool_destroy(struct journal_pool *pool)
{
	close_idle(pool);
	pthread_mutex_destroy(&pool->lock);
	pthread_mutex_destroy(&pool->memory);
}

void journal_pool_move(struct journal_pool *pool, const char *path, const char *name)
{
	pthread_mutex_lock(&pool->lock);
	close_idle(pool);
	pool->generation++;
	pool->in_memory = !path;
	if (path)
		snprintf(pool->place, sizeof(pool->place), "%s", path);
	else
		journal_memory_uri(name, pool->place, sizeof(pool->place));
	pthread_mutex_unlock(&pool->lock);
}

/* A connection that is the caller's until it gives it back; NULL: none can be had. */
static sqlite3 *take(struct journal_pool *pool, unsigned int *ret_generation)
{
	char place[sizeof(pool->place)];
	sqlite3 *db = NULL;

	pthread_mutex_lock(&pool->lock);
	if (pool->nr_idle)
		db = pool->idle[--pool->nr_idle];
	*ret_generation = pool->generation;
	strcpy(place, pool->place);
	pthread_mutex_unlock(&pool->lock);
	if (db)
		return db;
	if (sqlite3_open_v2(place, &db,
			    SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL) ||
	    sqlite3_busy_timeout(db, JOURNAL_BUSY_MS) ||
	    sqlite3_exec(db, "PRAGMA cache_size = -256", NULL, NULL, NULL)) {
		sqlite3_close(db);
		return NULL;
	}
	return db;
}

static void give_back(struct journal_pool *pool, sqlite3 *db, unsigned int generation)
{
	pthread_mutex_lock(&pool->lock);
	if (generation == pool->generation && pool->nr_idle < JOURNAL_POOL_MAX) {
		pool->idle[pool->nr_idle++] = db;
		db = NULL;
	}
	pthread_mutex_unlock(&pool->lock);
	sqlite3_close(db);
}

static void write_time(struct text *out, const char *key, int64_t ms)
{
	char text[TEXT_TIME_SIZE];

	json_write_word(out, key, text_time(text, ms / 1000, (int)(ms % 1000)));
}

static void write_number(struct text *out, const char *key, sqlite3_stmt *row, int column)
{
	json_write_count(out, key, sqlite3_column_int64(row, column));
}

/* The columns behind the record. */
static void write_decision(struct text *out, sqlite3_stmt *row)
{
	write_number(out, "first_id", row, 1);
	write_number(out, "count", row, 2);
	write_time(out, "first_at", sqlite3_column_int64(row, 3));
	write_time(out, "at", sqlite3_column_int64(row, 4));
}

static void write_switch(struct text *out, sqlite3_stmt *row)
{
	write_number(out, "number", row, 1);
	write_time(out, "at", sqlite3_column_int64(row, 2));
}

/* The record with the row's own members in front of its own. */
static void write_row(struct text *out, sqlite3_stmt *row,
		      void (*write)(struct text *out, sqlite3_stmt *row))
{
	const char *record = (const char *)sqlite3_column_text(row, 0);
	size_t len = sqlite3_column_bytes(row, 0);

	/* What somebody else made of it may be JSON, but no object. */
	if (!record || len < 3 || record[0] != '{' || record[len - 1] != '}')
		return;
	json_write_open(out, '{');
	write(out, row);
	text_append(out, ",", 1);
	text_append(out, record + 1, len - 2);
	json_write_close(out, '}');
}

static int read_from(struct journal_pool *pool, struct text *out, const char *sql,
		     const char *guest, size_t limit, int64_t before,
		     void (*write)(struct text *out, sqlite3_stmt *row))
{
	unsigned int generation;
	sqlite3 *db = take(pool, &generation);
	sqlite3_stmt *row = NULL;
	int code = db ? sqlite3_prepare_v2(db, sql, -1, &row, NULL) : SQLITE_CANTOPEN;

	if (!code) {
		json_write_open(out, '[');
		sqlite3_bind_text(row, 1, guest, -1, SQLITE_STATIC);
		sqlite3_bind_int64(row, 2, before);
		sqlite3_bind_int64(row, 3, limit < INT64_MAX ? (int64_t)limit : INT64_MAX);
		while ((code = sqlite3_step(row)) == SQLITE_ROW)
			write_row(out, row, write);
		json_write_close(out, ']');
	}
	sqlite3_finalize(row);
	if (code == SQLITE_DONE) {
		give_back(pool, db, generation);
		return 0;
	}
	sqlite3_close(db);
	code &= 0xff;
	return code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? -EUCLEAN : -EIO;
}

static int read_rows(struct journal_pool *pool, struct text *out, const char *sql,
		     const char *guest, size_t limit, int64_t before,
		     void (*write)(struct text *out, sqlite3_stmt *row))
{
	bool in_memory;
	int code;

	pthread_mutex_lock(&pool->lock);
	in_memory = pool->in_memory;
	pthread_mutex_unlock(&pool->lock);
	if (in_memory)
		pthread_mutex_lock(&pool->memory);
	code = read_from(pool, out, sql, guest, limit, before, write);
	if (in_memory)
		pthread_mutex_unlock(&pool->memory);
	return code;
}

/* The last rows, oldest first, by the index alone: nothing is sorted, whatever the limit. */
#define LAST_ROWS(columns, table, number)                                                          \
	"SELECT " columns " FROM " table " WHERE guest = ?1 AND " number " < ?2 AND " number       \
	" >= (SELECT min(" number ") FROM (SELECT " number " FROM " table                          \
	" WHERE guest = ?1 AND " number " < ?2 ORDER BY " number " DESC LIMIT ?3))"                \
	" AND json_valid(record) ORDER BY " number

int journal_pool_decisions(struct journal_pool *pool, struct text *out, const char *guest,
			   size_t limit, uint64_t before)
{
	return read_rows(pool, out,
			 LAST_ROWS("record, first_id, count, first_at, at", "decision", "first_id"),
			 guest, limit, before && before < INT64_MAX ? (int64_t)before : INT64_MAX,
			 write_decision);
}

int journal_pool_switches(struct journal_pool *pool, struct text *out, const char *guest,
			  size_t limit)
{
	return read_rows(pool, out, LAST_ROWS("record, number, at", "switch", "number"), guest,
			 limit, INT64_MAX, write_switch);
}
