/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A journal in a directory of its own, two guests, and what tests do to them. */
#ifndef TESTS_UNIT_JOURNAL_FIXTURE_H
#define TESTS_UNIT_JOURNAL_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <jansson.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/journal.h"
#include "web/text.h"

enum { DEADLINE_SECONDS = 20 };

static char directory[64], file[96], log_file[112];
static struct journal *journal;
static struct journal_guest *one, *two;
static int event;
static atomic_int troubles;

static inline void on_report(void *context, bool trouble, const char *text)
{
	if (trouble)
		atomic_fetch_add(&troubles, 1);
}

static inline void begin_with(const char *where, unsigned int days, uint64_t bytes)
{
	const struct journal_config config = {
		.directory = where,
		.days = days,
		.bytes = bytes,
		.commit_ms = 20,
		.retry_ms = 100,
		.report = on_report,
	};

	assert_int_equal(journal_create(&config, &journal, &event), 0);
	one = journal_guest(journal, "one");
	two = journal_guest(journal, "two");
	journal_begin(journal, one);
	journal_begin(journal, two);
}

static inline void begin(void)
{
	begin_with(directory, 0, 0);
}

static inline void finish(void)
{
	journal_destroy(journal);
	journal = NULL;
}

static inline int set_up(void **state)
{
	strcpy(directory, "/tmp/umbra-journal-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(file, sizeof(file), "%s/journal.sqlite", directory);
	snprintf(log_file, sizeof(log_file), "%s-wal", file);
	atomic_store(&troubles, 0);
	return 0;
}

static inline int tear_down(void **state)
{
	char command[128];

	finish();
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

/* --- what the tests do to it -------------------------------------------------------------- */

static inline int decide(struct journal_guest *guest, uint64_t id, enum policy_action action,
			 const char *reason)
{
	struct policy_decision decision = {
		.id = id,
		.time = 1000 * id,
		.mode = UMBRA_MODE_EPT,
		.action = action,
		.target = action == POLICY_STAY ? UMBRA_MODE_EPT : UMBRA_MODE_SHADOW,
		.reason = policy_reason_find(reason),
	};

	/* As large as real ones. */
	for (int i = 0; i < POLICY_INPUT_COUNT; i++)
		decision.inputs[i] = (struct policy_input){1000000 + id, true, false, 0.125};
	return journal_decision(journal, guest, &decision);
}

static inline void make_switch(struct journal_guest *guest, uint64_t number, uint64_t refills)
{
	const struct switch_record record = {
		.record = {.from = UMBRA_MODE_EPT,
			   .to = UMBRA_MODE_SHADOW,
			   .refill_fills = refills},
		.reason = "policy",
	};

	assert_int_equal(journal_switch(journal, guest, number, &record), 0);
}

static inline void wait_for(uint64_t ticket)
{
	struct pollfd readable = {.fd = event, .events = POLLIN};
	time_t deadline = time(NULL) + DEADLINE_SECONDS;

	while (journal_settled(journal) < ticket) {
		assert_true(time(NULL) < deadline);
		poll(&readable, 1, 100);
	}
}

/* Everything so far is written. */
static inline void settle(void)
{
	wait_for(journal_set_frozen(journal, false));
}

static inline void wait_for_state(const char *beginning)
{
	time_t deadline = time(NULL) + DEADLINE_SECONDS;
	struct journal_status status;

	for (;;) {
		journal_status(journal, &status);
		if (!strncmp(status.state, beginning, strlen(beginning)))
			return;
		if (time(NULL) > deadline)
			fail_msg("the state is \"%s\", not \"%s\"", status.state, beginning);
		usleep(10000);
	}
}

static inline json_t *parse(struct text *text)
{
	json_t *list = json_loadb(text->data, text->len, JSON_REJECT_DUPLICATES, NULL);

	assert_true(json_is_array(list));
	text_free(text);
	return list;
}

static inline json_t *some_decisions(const char *guest, size_t limit, uint64_t before)
{
	struct text text = {0};

	assert_int_equal(journal_read_decisions(journal, &text, guest, limit, before), 0);
	return parse(&text);
}

static inline json_t *decisions_of(const char *guest)
{
	return some_decisions(guest, 1000, 0);
}

static inline json_t *switches_of(const char *guest, size_t limit)
{
	struct text text = {0};

	assert_int_equal(journal_read_switches(journal, &text, guest, limit), 0);
	return parse(&text);
}

static inline int64_t member(const json_t *list, size_t index, const char *key)
{
	const json_t *value = json_object_get(json_array_get(list, index), key);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static inline void assert_row(const json_t *list, size_t index, int64_t first, int64_t last,
			      int64_t count)
{
	assert_int_equal(member(list, index, "first_id"), first);
	assert_int_equal(member(list, index, "id"), last);
	assert_int_equal(member(list, index, "count"), count);
}

static inline int64_t query(const char *path, const char *sql)
{
	sqlite3_stmt *statement;
	int64_t value;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return value;
}

static inline void execute(const char *path, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* All of a file, to be compared. The caller frees it. */
static char *read_file(const char *path, size_t *ret_size)
{
	FILE *in = fopen(path, "rb");
	char *bytes = malloc(1 << 20);

	assert_non_null(in);
	*ret_size = fread(bytes, 1, 1 << 20, in);
	fclose(in);
	return bytes;
}

#define TEST(rule) cmocka_unit_test_setup_teardown(rule, set_up, tear_down)

#endif
