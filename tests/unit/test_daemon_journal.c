/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The decision journal on real files, and on disks that fail for real. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
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

static void on_report(void *context, bool trouble, const char *text)
{
	if (trouble)
		atomic_fetch_add(&troubles, 1);
}

static void begin_with(const char *where, unsigned int days, uint64_t bytes)
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

static void begin(void)
{
	begin_with(directory, 0, 0);
}

static void finish(void)
{
	journal_destroy(journal);
	journal = NULL;
}

static int set_up(void **state)
{
	strcpy(directory, "/tmp/umbra-journal-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(file, sizeof(file), "%s/journal.sqlite", directory);
	snprintf(log_file, sizeof(log_file), "%s-wal", file);
	atomic_store(&troubles, 0);
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	finish();
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

/* --- what the tests do to it -------------------------------------------------------------- */

static int decide(struct journal_guest *guest, uint64_t id, enum policy_action action,
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

static void make_switch(struct journal_guest *guest, uint64_t number, uint64_t refills)
{
	const struct switch_record record = {
		.record = {.from = UMBRA_MODE_EPT,
			   .to = UMBRA_MODE_SHADOW,
			   .refill_fills = refills},
		.reason = "policy",
	};

	assert_int_equal(journal_switch(journal, guest, number, &record), 0);
}

static void wait_for(uint64_t ticket)
{
	struct pollfd readable = {.fd = event, .events = POLLIN};
	time_t deadline = time(NULL) + DEADLINE_SECONDS;

	while (journal_settled(journal) < ticket) {
		assert_true(time(NULL) < deadline);
		poll(&readable, 1, 100);
	}
}

/* Everything so far is written. */
static void settle(void)
{
	wait_for(journal_set_frozen(journal, false));
}

static void wait_for_state(const char *beginning)
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

static json_t *parse(struct text *text)
{
	json_t *list = json_loadb(text->data, text->len, JSON_REJECT_DUPLICATES, NULL);

	assert_true(json_is_array(list));
	text_free(text);
	return list;
}

static json_t *some_decisions(const char *guest, size_t limit, uint64_t before)
{
	struct text text = {0};

	assert_int_equal(journal_read_decisions(journal, &text, guest, limit, before), 0);
	return parse(&text);
}

static json_t *decisions_of(const char *guest)
{
	return some_decisions(guest, 1000, 0);
}

static json_t *switches_of(const char *guest, size_t limit)
{
	struct text text = {0};

	assert_int_equal(journal_read_switches(journal, &text, guest, limit), 0);
	return parse(&text);
}

static int64_t member(const json_t *list, size_t index, const char *key)
{
	const json_t *value = json_object_get(json_array_get(list, index), key);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static void assert_row(const json_t *list, size_t index, int64_t first, int64_t last, int64_t count)
{
	assert_int_equal(member(list, index, "first_id"), first);
	assert_int_equal(member(list, index, "id"), last);
	assert_int_equal(member(list, index, "count"), count);
}

static int64_t query(const char *path, const char *sql)
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

static void execute(const char *path, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* --- rows --------------------------------------------------------------------------------- */

static void consecutive_stays_for_the_same_reason_are_one_row(void **state)
{
	json_t *list;

	begin();
	for (uint64_t id = 1; id <= 10; id++) {
		assert_int_equal(decide(one, id, POLICY_STAY, "cheapest"), 0);
		if (id % 4 == 0)
			settle(); /* a row goes on from one commit to the next */
	}
	decide(one, 11, POLICY_STAY, "hysteresis");
	decide(one, 12, POLICY_SWITCH, "cheaper");
	decide(one, 13, POLICY_SWITCH, "cheaper");
	decide(one, 14, POLICY_STAY, "cheapest");
	decide(two, 1, POLICY_STAY, "cheapest");
	settle();
	list = decisions_of("one");
	assert_int_equal(json_array_size(list), 5);
	assert_row(list, 0, 1, 10, 10);
	assert_int_equal(member(list, 0, "time"), 10000);
	assert_row(list, 1, 11, 11, 1);
	assert_row(list, 2, 12, 12, 1);
	assert_row(list, 3, 13, 13, 1);
	assert_row(list, 4, 14, 14, 1);
	json_decref(list);
	list = decisions_of("two");
	assert_row(list, 0, 1, 1, 1);
	json_decref(list);
	assert_int_equal(query(file, "SELECT first_time FROM decision WHERE first_id = 1"), 1000);
	assert_int_equal(query(file, "SELECT count(*) FROM decision WHERE at < first_at"), 0);
}

static bool paid(size_t index)
{
	json_t *list = decisions_of("one");
	json_t *after = json_object_get(json_array_get(list, index), "after");
	bool value = json_is_true(json_object_get(after, "paid"));

	json_decref(list);
	return value;
}

static void amended_decision_replaces_its_first_version(void **state)
{
	struct policy_decision amended = {
		.id = 1,
		.action = POLICY_SWITCH,
		.reason = policy_reason_find("cheaper"),
		.after = {.known = true, .paid = true},
	};
	json_t *list;

	begin();
	decide(one, 1, POLICY_SWITCH, "cheaper");
	decide(one, 2, POLICY_STAY, "refill");
	assert_int_equal(journal_decision(journal, one, &amended), 0); /* in the same batch */
	settle();
	assert_true(paid(0));
	decide(one, 3, POLICY_SWITCH, "cheaper");
	settle();
	decide(one, 4, POLICY_STAY, "refill");
	settle();
	amended.id = 3;
	assert_false(paid(2));
	assert_int_equal(journal_decision(journal, one, &amended), 0); /* in a later one */
	/* A stay in the midst of its row leaves the row alone. */
	decide(one, 5, POLICY_STAY, "refill");
	decide(one, 4, POLICY_STAY, "refill");
	settle();
	assert_true(paid(2));
	list = decisions_of("one");
	assert_int_equal(json_array_size(list), 4);
	assert_row(list, 3, 4, 5, 2);
	json_decref(list);
}

static void switch_is_kept_with_its_latest_refill(void **state)
{
	json_t *list;

	begin();
	make_switch(one, 1, 0);
	make_switch(one, 1, 7);
	make_switch(one, 2, 0);
	settle();
	make_switch(one, 1, 8);
	make_switch(one, 2, 9);
	settle();
	list = switches_of("one", 1000);
	assert_int_equal(json_array_size(list), 2);
	assert_int_equal(member(list, 0, "number"), 1);
	assert_int_equal(member(list, 0, "refill_fills"), 8);
	assert_int_equal(member(list, 1, "refill_fills"), 9);
	json_decref(list);
	list = switches_of("one", 1);
	assert_int_equal(member(list, 0, "number"), 2);
	json_decref(list);
}

static void limit_and_before_choose_the_rows(void **state)
{
	json_t *list;

	begin();
	for (uint64_t id = 1; id <= 20; id++)
		decide(one, id, id % 2 ? POLICY_STAY : POLICY_SWITCH,
		       id % 2 ? "cheapest" : "cheaper");
	settle();
	list = some_decisions("one", 3, 0);
	assert_int_equal(json_array_size(list), 3);
	assert_row(list, 0, 18, 18, 1);
	assert_row(list, 2, 20, 20, 1);
	json_decref(list);
	list = some_decisions("one", 3, 18);
	assert_row(list, 0, 15, 15, 1);
	assert_row(list, 2, 17, 17, 1);
	json_decref(list);
	list = some_decisions("nobody", 3, 0);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
}

static void numbers_go_on_in_the_next_run(void **state)
{
	json_t *list;

	begin();
	decide(one, 1, POLICY_STAY, "cheapest");
	decide(one, 2, POLICY_STAY, "cheapest");
	make_switch(one, 1, 0);
	/* The worker again; umbrad goes on. */
	journal_begin(journal, one);
	decide(one, 1, POLICY_STAY, "cheapest");
	make_switch(one, 1, 0);
	finish();
	begin(); /* umbrad again */
	decide(one, 1, POLICY_STAY, "cheapest");
	make_switch(one, 1, 0);
	/* All that is left of them is their number. */
	settle();
	finish();
	execute(file, "DELETE FROM decision; DELETE FROM switch");
	begin();
	decide(one, 1, POLICY_STAY, "cheapest");
	make_switch(one, 1, 0);
	settle();
	list = decisions_of("one");
	assert_int_equal(json_array_size(list), 1);
	assert_row(list, 0, 5, 5, 1);
	json_decref(list);
	list = switches_of("one", 1000);
	assert_int_equal(member(list, 0, "number"), 4);
	json_decref(list);
}

static void numbers_that_no_run_counts_are_refused(void **state)
{
	begin();
	assert_int_equal(decide(one, 0, POLICY_STAY, "cheapest"), -EBADMSG);
	assert_int_equal(decide(one, 2, POLICY_STAY, "cheapest"), -EBADMSG);
	assert_int_equal(decide(one, UINT64_MAX, POLICY_STAY, "cheapest"), -EBADMSG);
	assert_int_equal(decide(one, 1, POLICY_STAY, "cheapest"), 0);
	assert_int_equal(decide(one, 3, POLICY_STAY, "cheapest"), -EBADMSG);
	finish();
	begin();
	/* Nor one that would reach into an earlier run. */
	assert_int_equal(decide(one, UINT64_MAX, POLICY_STAY, "cheapest"), -EBADMSG);
	assert_int_equal(decide(one, 1, POLICY_STAY, "cheapest"), 0);
}

static void *read_always(void *context)
{
	atomic_bool *stop = context;
	uintptr_t failed = 0;

	while (!atomic_load(stop)) {
		struct text text = {0};

		failed += journal_read_decisions(journal, &text, "one", 50, 0) != 0;
		failed += text.failed;
		text_free(&text);
	}
	return (void *)failed;
}

/* In @where, with others reading all the time. */
static void write_while_others_read(const char *where)
{
	enum { READERS = 3, RECORDS = 2000 };
	pthread_t readers[READERS];
	atomic_bool stop = false;
	struct journal_status status;
	json_t *list;

	begin_with(where, 0, 0);
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, read_always, &stop), 0);
	for (uint64_t id = 1; id <= RECORDS; id++) {
		assert_int_equal(decide(one, id, POLICY_SWITCH, "cheaper"), 0);
		if (id % 100 == 0)
			settle();
	}
	atomic_store(&stop, true);
	for (int i = 0; i < READERS; i++) {
		void *failed;

		pthread_join(readers[i], &failed);
		assert_null(failed);
	}
	list = decisions_of("one");
	assert_int_equal(json_array_size(list), 1000);
	assert_row(list, 0, RECORDS - 999, RECORDS - 999, 1);
	assert_row(list, 999, RECORDS, RECORDS, 1);
	json_decref(list);
	journal_status(journal, &status);
	assert_int_equal(status.dropped, 0);
	assert_int_equal(status.rows, RECORDS);
	assert_true(status.up);
	finish();
}

static void readers_and_the_writer_do_not_hold_each_other_up(void **state)
{
	write_while_others_read(directory);
	write_while_others_read(""); /* in memory they share another way */
}

/* --- what operators set ------------------------------------------------------------------- */

static void what_operators_set_is_written_at_once_and_survives(void **state)
{
	const struct journal_setting set = {
		.mode = UMBRA_MODE_SHADOW,
		.policy = POLICY_ADVISE,
		.config_mode = UMBRA_MODE_EPT,
		.config_policy = POLICY_AUTO,
	};
	struct journal_setting got;

	begin();
	assert_false(journal_frozen(journal));
	assert_false(journal_setting(journal, one, &got));
	wait_for(journal_set(journal, one, &set));
	wait_for(journal_set(journal, two, &set));
	wait_for(journal_set_frozen(journal, true));
	assert_int_equal(query(file, "SELECT count(*) FROM setting WHERE mode = 'shadow'"
				     " AND policy = 'advise' AND config_mode = 'ept'"
				     " AND config_policy = 'auto'"),
			 2);
	assert_int_equal(query(file, "SELECT value FROM state WHERE key = 'frozen'"), 1);
	wait_for(journal_set(journal, two, NULL));
	finish();
	begin();
	assert_true(journal_frozen(journal));
	assert_true(journal_setting(journal, one, &got));
	assert_int_equal(got.mode, set.mode);
	assert_int_equal(got.policy, set.policy);
	assert_int_equal(got.config_mode, set.config_mode);
	assert_int_equal(got.config_policy, set.config_policy);
	assert_false(journal_setting(journal, two, &got));
}

/* --- the file ----------------------------------------------------------------------------- */

/* As version 1 made it; it must never change. */
static const char version_1[] =
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
	"CREATE INDEX switch_at ON switch (at);"
	"PRAGMA user_version = 1;";

static void file_of_version_1_is_brought_to_this_one(void **state)
{
	json_t *list;

	execute(file, version_1);
	execute(file,
		"INSERT INTO decision VALUES (1, 'one', 1, 40, 40, 0, 0, 0, 1000, 'ept', 'stay',"
		" 'ept', 'cheapest', '{\"id\": 40}');"
		"INSERT INTO switch VALUES (1, 'one', 6, 0, 1000, 'ept', 'shadow', 'policy',"
		" '{\"time\": 0}'), (2, 'two', 3, 0, 1000, 'ept', 'shadow', 'policy', '{}')");
	begin();
	assert_int_equal(atomic_load(&troubles), 0);
	decide(one, 1, POLICY_STAY, "cheapest");
	make_switch(one, 1, 0);
	make_switch(two, 1, 0);
	settle();
	list = decisions_of("one");
	assert_row(list, 0, 1, 40, 40);
	assert_row(list, 1, 41, 41, 1);
	json_decref(list);
	assert_int_equal(query(file, "PRAGMA user_version"), 2);
	assert_int_equal(query(file, "SELECT last_switch FROM guest WHERE name = 'one'"), 7);
	assert_int_equal(query(file, "SELECT max(number) FROM switch WHERE guest = 'two'"), 4);
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

static void file_of_a_later_version_is_left_alone(void **state)
{
	struct journal_status status;
	size_t size_before, size_after;
	char *before, *after;
	json_t *list;

	execute(file, "CREATE TABLE future (x); INSERT INTO future VALUES (7);"
		      "PRAGMA user_version = 99");
	before = read_file(file, &size_before);
	begin();
	journal_status(journal, &status);
	assert_non_null(strstr(status.state, "degraded: journal.sqlite is of version 99; this build"
					     " knows up to 2"));
	assert_false(status.up);
	decide(one, 1, POLICY_STAY, "cheapest");
	settle();
	list = decisions_of("one");
	assert_row(list, 0, 1, 1, 1);
	json_decref(list);
	usleep(300000); /* some tries more */
	assert_int_equal(atomic_load(&troubles), 1);
	finish();
	after = read_file(file, &size_after);
	assert_int_equal(size_before, size_after);
	assert_memory_equal(before, after, size_before);
	free(before);
	free(after);
}

static void what_is_older_than_the_bound_is_deleted(void **state)
{
	struct journal_status status;

	begin();
	for (uint64_t id = 1; id <= 500; id++) {
		decide(one, id, POLICY_SWITCH, "cheaper");
		make_switch(one, id, 0);
		if (id % 100 == 0)
			settle();
	}
	finish();
	/* Two days old; of the last 300 nobody says so. */
	execute(file, "UPDATE decision SET at = at - 172800000 WHERE first_id <= 200;"
		      "UPDATE switch SET at = at - 172800000 WHERE number <= 200");
	begin_with(directory, 1, 0);
	settle();
	assert_int_equal(query(file, "SELECT min(first_id) FROM decision"), 201);
	assert_int_equal(query(file, "SELECT min(number) FROM switch"), 201);
	settle();
	journal_status(journal, &status);
	assert_int_equal(status.rows, 600);
}

static void file_stays_within_its_size(void **state)
{
	enum { BOUND = 1 << 20, RECORDS = 3000 };
	struct stat status;
	json_t *list;

	begin_with(directory, 0, BOUND);
	for (uint64_t id = 1; id <= RECORDS; id++) {
		decide(one, id, POLICY_SWITCH, "cheaper");
		if (id % 200 == 0)
			settle();
	}
	settle();
	assert_int_equal(query(file, "SELECT max(first_id) FROM decision"), RECORDS);
	/* All of them would have taken several times as much. */
	assert_true(query(file, "SELECT min(first_id) FROM decision") > RECORDS / 2);
	assert_true(query(file, "SELECT count(*) FROM decision") > 100);
	finish();
	assert_int_equal(stat(file, &status), 0);
	assert_true(status.st_size <= BOUND + BOUND / 2);
	/* A bound that was made smaller shrinks it. */
	begin_with(directory, 0, BOUND / 2);
	for (int i = 0; i < 20; i++)
		settle();
	list = decisions_of("one");
	assert_int_equal(member(list, json_array_size(list) - 1, "id"), RECORDS);
	json_decref(list);
	finish();
	assert_int_equal(stat(file, &status), 0);
	assert_true(status.st_size <= BOUND / 2 + BOUND / 3);
}

static void guest_that_decides_much_does_not_drive_out_another(void **state)
{
	enum { BOUND = 1 << 20, FEW = 50, MANY = 3000 };
	json_t *list;

	begin_with(directory, 0, BOUND);
	for (uint64_t id = 1; id <= FEW; id++) {
		decide(two, id, POLICY_SWITCH, "cheaper");
		make_switch(two, id, 0);
	}
	settle();
	for (uint64_t id = 1; id <= MANY; id++) {
		decide(one, id, POLICY_SWITCH, "cheaper");
		if (id % 200 == 0)
			settle();
	}
	settle();
	list = decisions_of("two");
	assert_int_equal(json_array_size(list), FEW);
	json_decref(list);
	list = switches_of("two", 1000);
	assert_int_equal(json_array_size(list), FEW);
	json_decref(list);
	list = some_decisions("one", 1, 0);
	assert_row(list, 0, MANY, MANY, 1);
	json_decref(list);
	assert_true(query(file, "SELECT min(first_id) FROM decision WHERE guest = 'one'") > 100);
}

static void memory_stays_within_its_size(void **state)
{
	enum { RECORDS = 6000 };
	struct journal_status status;
	json_t *list;

	begin_with("", 0, 0);
	for (uint64_t id = 1; id <= RECORDS; id++) {
		decide(one, id, POLICY_SWITCH, "cheaper");
		if (id % 200 == 0)
			settle();
	}
	settle();
	list = some_decisions("one", 1, 0);
	assert_row(list, 0, RECORDS, RECORDS, 1);
	json_decref(list);
	journal_status(journal, &status);
	assert_true(status.rows < RECORDS);
	assert_true(status.rows > 1000);
	assert_true(status.bytes <= 9 << 20);
}

static void second_umbrad_stays_out_of_the_directory(void **state)
{
	struct journal *first;
	struct journal_status status;

	begin();
	first = journal;
	begin();
	journal_status(journal, &status);
	assert_non_null(strstr(status.state, "another umbrad uses this directory"));
	finish();
	journal = first;
	journal_status(journal, &status);
	assert_string_equal(status.state, "ok");
}

static void without_a_directory_it_is_in_memory(void **state)
{
	struct journal_status status;
	json_t *list;

	begin_with("", 0, 0);
	decide(one, 1, POLICY_STAY, "cheapest");
	make_switch(one, 1, 0);
	settle();
	list = decisions_of("one");
	assert_row(list, 0, 1, 1, 1);
	json_decref(list);
	journal_status(journal, &status);
	assert_true(status.up);
	assert_string_equal(status.state, "in memory: no state directory is configured");
	assert_string_equal(status.path, "");
	assert_int_equal(atomic_load(&troubles), 0);
}

/* --- trouble ------------------------------------------------------------------------------ */

static void full_disk_is_told_once_and_nothing_is_lost(void **state)
{
	const struct journal_setting setting = {.mode = UMBRA_MODE_BRUTE, .policy = POLICY_PINNED};
	struct rlimit before, none;
	struct journal_status status;
	json_t *list;

	begin();
	decide(one, 1, POLICY_SWITCH, "cheaper");
	settle();
	/* No file may grow beyond what it is: every write beyond fails. */
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	none = before;
	none.rlim_cur = 4096;
	setrlimit(RLIMIT_FSIZE, &none);
	decide(one, 2, POLICY_SWITCH, "cheaper");
	wait_for(journal_set(journal, two, &setting));
	wait_for_state("degraded: journal.sqlite: ");
	usleep(300000); /* some tries more */
	decide(one, 3, POLICY_SWITCH, "cheaper");
	settle();
	list = decisions_of("one");
	assert_row(list, json_array_size(list) - 1, 3, 3, 1);
	json_decref(list);
	journal_status(journal, &status);
	assert_false(status.up);
	assert_int_equal(atomic_load(&troubles), 1);
	setrlimit(RLIMIT_FSIZE, &before);
	wait_for_state("ok");
	decide(one, 4, POLICY_SWITCH, "cheaper");
	settle();
	assert_int_equal(query(file, "SELECT count(*) FROM decision"), 4);
	assert_int_equal(query(file, "SELECT max(first_id) FROM decision"), 4);
	assert_int_equal(query(file, "SELECT count(*) FROM setting WHERE mode = 'brute'"), 1);
	journal_status(journal, &status);
	assert_int_equal(status.dropped, 0);
	assert_int_equal(status.rows, 4);
}

static void directory_that_comes_late_gets_what_is_in_memory(void **state)
{
	char late[96], prepared[96];
	struct journal_setting setting = {.mode = UMBRA_MODE_SHADOW, .policy = POLICY_PINNED};
	json_t *list;

	/* An earlier umbrad's. */
	snprintf(prepared, sizeof(prepared), "%s/prepared", directory);
	snprintf(late, sizeof(late), "%s/late", directory);
	begin_with(prepared, 0, 0);
	decide(one, 1, POLICY_STAY, "cheapest");
	decide(one, 2, POLICY_STAY, "cheapest");
	make_switch(one, 1, 0);
	wait_for(journal_set(journal, two, &setting));
	finish();

	close(open(late, O_CREAT | O_WRONLY, 0600)); /* no directory */
	begin_with(late, 0, 0);
	wait_for_state("degraded: ");
	assert_int_equal(atomic_load(&troubles), 1);
	decide(one, 1, POLICY_STAY, "cheapest");
	decide(one, 2, POLICY_SWITCH, "cheaper");
	make_switch(one, 1, 0);
	settle();
	unlink(late);
	assert_int_equal(rename(prepared, late), 0);
	wait_for_state("ok");
	decide(one, 3, POLICY_STAY, "cheapest");
	settle();
	list = decisions_of("one");
	assert_int_equal(json_array_size(list), 4);
	assert_row(list, 0, 1, 2, 2);
	assert_row(list, 1, 3, 3, 1);
	assert_row(list, 2, 4, 4, 1);
	assert_row(list, 3, 5, 5, 1);
	json_decref(list);
	list = switches_of("one", 1000);
	assert_int_equal(json_array_size(list), 2);
	json_decref(list);
	assert_true(journal_setting(journal, two, &setting));
	assert_int_equal(setting.mode, UMBRA_MODE_SHADOW);
}

/* Overwrites pages of the file's tables; the first page, with the schema, stays. */
static void damage(int64_t from, int64_t to)
{
	int fd = open(file, O_WRONLY);
	char noise[4096];

	memset(noise, 0xa5, sizeof(noise));
	for (int64_t page = from; page < to; page++)
		assert_int_equal(pwrite(fd, noise, sizeof(noise), page * 4096), 4096);
	close(fd);
}

static void damaged_file_is_set_aside_and_settings_stay(void **state)
{
	struct text text = {0};
	struct journal_setting setting = {.mode = UMBRA_MODE_BRUTE, .policy = POLICY_PINNED};
	struct journal_status status;
	json_t *list;

	begin();
	for (uint64_t id = 1; id <= 200; id++)
		decide(one, id, POLICY_SWITCH, "cheaper");
	wait_for(journal_set(journal, two, &setting));
	finish(); /* all is in the file itself */
	begin();
	/* Pages of decisions: the last ones of the file. */
	damage(20, query(file, "PRAGMA page_count"));
	assert_int_equal(journal_read_decisions(journal, &text, "one", 1000, 0), -EIO);
	text_free(&text);
	for (uint64_t id = 1; id <= 200; id++)
		decide(one, id, POLICY_SWITCH, "cheaper");
	settle();
	wait_for_state("ok");
	journal_status(journal, &status);
	assert_true(strlen(status.aside) > 0);
	assert_int_equal(access(status.aside, R_OK), 0);
	assert_int_equal(atomic_load(&troubles) > 0, 1);
	settle();
	list = decisions_of("one");
	assert_int_equal(member(list, json_array_size(list) - 1, "id"), 400);
	json_decref(list);
	finish();
	begin();
	assert_true(journal_setting(journal, two, &setting));
	assert_int_equal(setting.mode, UMBRA_MODE_BRUTE);
}

static void writer_that_finds_damage_replaces_the_file_at_once(void **state)
{
	const struct journal_config patient = {.directory = directory, .commit_ms = 20};
	struct journal_status status;
	time_t deadline;

	/* The next regular try would come in a minute. */
	assert_int_equal(journal_create(&patient, &journal, &event), 0);
	one = journal_guest(journal, "one");
	journal_begin(journal, one);
	/* More than the writer has in its memory, or the log in its file. */
	for (uint64_t id = 1; id <= 2000; id++) {
		decide(one, id, POLICY_SWITCH, "cheaper");
		if (id % 200 == 0)
			settle();
	}
	damage(20, query(file, "PRAGMA page_count"));
	decide(one, 700, POLICY_SWITCH, "cheaper"); /* amended */
	settle();
	deadline = time(NULL) + DEADLINE_SECONDS;
	do {
		usleep(10000);
		journal_status(journal, &status);
		assert_true(time(NULL) < deadline);
	} while (!*status.aside || strcmp(status.state, "ok") != 0);
	decide(one, 2001, POLICY_SWITCH, "cheaper");
	settle();
	assert_int_equal(query(file, "SELECT max(first_id) FROM decision"), 2001);
}

static void file_found_damaged_gives_what_can_be_read(void **state)
{
	struct journal_setting setting = {.mode = UMBRA_MODE_BRUTE, .policy = POLICY_PINNED};
	struct journal_status status;
	json_t *list;

	begin();
	for (uint64_t id = 1; id <= 200; id++)
		decide(one, id, POLICY_SWITCH, "cheaper");
	wait_for(journal_set(journal, two, &setting));
	finish();
	damage(20, query(file, "PRAGMA page_count"));
	begin();
	journal_status(journal, &status);
	assert_string_equal(status.state, "ok");
	assert_int_equal(access(status.aside, R_OK), 0);
	assert_int_equal(atomic_load(&troubles), 1);
	assert_true(journal_setting(journal, two, &setting));
	assert_int_equal(setting.mode, UMBRA_MODE_BRUTE);
	decide(one, 1, POLICY_SWITCH, "cheaper");
	settle();
	list = decisions_of("one");
	assert_int_equal(json_array_size(list), 1);
	assert_row(list, 0, 201, 201, 1);
	json_decref(list);
	/* The next one finds all in order. */
	finish();
	begin();
	assert_true(journal_setting(journal, two, &setting));
	decide(one, 1, POLICY_SWITCH, "cheaper");
	settle();
	list = decisions_of("one");
	assert_row(list, 1, 202, 202, 1);
	json_decref(list);
}

static void write_file(const char *path, const char *bytes, size_t size)
{
	FILE *out = fopen(path, "wb");

	assert_non_null(out);
	assert_int_equal(fwrite(bytes, 1, size, out), size);
	assert_int_equal(fclose(out), 0);
}

/* The journal works: what comes now is shown. A reader may be the first to find a damage. */
static void assert_works(struct journal_guest *guest)
{
	time_t deadline = time(NULL) + DEADLINE_SECONDS;
	struct text text = {0};

	assert_int_equal(decide(guest, 1, POLICY_SWITCH, "cheaper"), 0);
	settle();
	while (journal_read_decisions(journal, &text, "one", 1, 0)) {
		text_free(&text);
		assert_true(time(NULL) < deadline);
		settle();
	}
	text_free(&text);
	decide(guest, 2, POLICY_SWITCH, "cheaper");
	settle();
	assert_int_equal(journal_read_decisions(journal, &text, "one", 1, 0), 0);
	assert_true(text.len > 100);
	text_free(&text);
}

static void whatever_is_damaged_the_journal_works(void **state)
{
	enum { FILES = 60 };
	char command[128], *good, *bad;
	struct journal_status status;
	int set_aside = 0;
	size_t size;

	begin();
	for (uint64_t id = 1; id <= 100; id++) {
		decide(one, id, POLICY_SWITCH, "cheaper");
		make_switch(one, id, 0);
	}
	finish();
	good = read_file(file, &size);
	bad = malloc(size);
	srand(7);
	for (int i = 0; i < FILES; i++) {
		memcpy(bad, good, size);
		for (int n = 1 + rand() % 20; n; n--)
			bad[rand() % (i % 2 ? size : 4096 * 4)] ^= 1 << rand() % 8;
		snprintf(command, sizeof(command), "rm -f %s/*", directory);
		assert_int_equal(system(command), 0);
		/* Cut short, too. */
		write_file(file, bad, i % 10 == 9 ? size / 2 + 100 : size);
		begin();
		assert_works(one);
		wait_for_state("ok");
		journal_status(journal, &status);
		set_aside += *status.aside != '\0';
		finish();
		assert_int_equal(query(file, "SELECT count(*) = 1 FROM pragma_integrity_check"), 1);
	}
	/* Many a damage shows at once. */
	assert_true(set_aside > FILES / 4);
	free(good);
	free(bad);
}

static void file_that_is_no_database_is_set_aside(void **state)
{
	struct journal_status status;
	FILE *out = fopen(file, "w");

	for (int i = 0; i < 1000; i++)
		fputs("this is no database\n", out);
	fclose(out);
	begin();
	journal_status(journal, &status);
	assert_string_equal(status.state, "ok");
	assert_int_equal(access(status.aside, R_OK), 0);
	assert_int_equal(query(file, "SELECT count(*) FROM decision"), 0);
}

static void record_that_is_no_object_is_passed_over(void **state)
{
	json_t *list;

	begin();
	for (uint64_t id = 1; id <= 4; id++)
		decide(one, id, POLICY_SWITCH, "cheaper");
	/* Readers, and with them the log, are gone when it ends. */
	json_decref(decisions_of("one"));
	settle();
	json_decref(decisions_of("one"));
	finish();
	assert_int_equal(access(log_file, F_OK), -1);
	execute(file, "UPDATE decision SET record = '{\"id\":' WHERE first_id = 2;"
		      "UPDATE decision SET record = '[1]' WHERE first_id = 3");
	begin();
	list = decisions_of("one");
	assert_int_equal(json_array_size(list), 2);
	assert_row(list, 0, 1, 1, 1);
	assert_row(list, 1, 4, 4, 1);
	json_decref(list);
}

static void slow_disk_costs_records_and_not_time(void **state)
{
	struct journal_status status;
	struct timespec start, end;
	sqlite3 *other;
	json_t *list;

	begin();
	settle();
	/* Somebody holds the file: the journal's thread waits for it. */
	assert_int_equal(sqlite3_open(file, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	decide(one, 1, POLICY_SWITCH, "cheaper");
	usleep(100000);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (uint64_t id = 2; id <= 10001; id++)
		decide(one, id, POLICY_SWITCH, "cheaper");
	decide(two, 1, POLICY_STAY, "cheapest");
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true(end.tv_sec - start.tv_sec < 2);
	journal_status(journal, &status);
	assert_true(status.dropped >= 9000);
	assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	settle();
	/* One guest that has too much to say does not drive out another's. */
	list = decisions_of("two");
	assert_row(list, 0, 1, 1, 1);
	json_decref(list);
	decide(one, 10002, POLICY_SWITCH, "cheaper");
	settle();
	list = decisions_of("one");
	assert_row(list, json_array_size(list) - 1, 10002, 10002, 1);
	json_decref(list);
	wait_for_state("ok");
}

#define TEST(rule) cmocka_unit_test_setup_teardown(rule, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(consecutive_stays_for_the_same_reason_are_one_row),
		TEST(amended_decision_replaces_its_first_version),
		TEST(switch_is_kept_with_its_latest_refill),
		TEST(limit_and_before_choose_the_rows),
		TEST(readers_and_the_writer_do_not_hold_each_other_up),
		TEST(numbers_go_on_in_the_next_run),
		TEST(numbers_that_no_run_counts_are_refused),
		TEST(what_operators_set_is_written_at_once_and_survives),
		TEST(file_of_version_1_is_brought_to_this_one),
		TEST(file_of_a_later_version_is_left_alone),
		TEST(what_is_older_than_the_bound_is_deleted),
		TEST(file_stays_within_its_size),
		TEST(guest_that_decides_much_does_not_drive_out_another),
		TEST(memory_stays_within_its_size),
		TEST(second_umbrad_stays_out_of_the_directory),
		TEST(without_a_directory_it_is_in_memory),
		TEST(full_disk_is_told_once_and_nothing_is_lost),
		TEST(directory_that_comes_late_gets_what_is_in_memory),
		TEST(damaged_file_is_set_aside_and_settings_stay),
		TEST(writer_that_finds_damage_replaces_the_file_at_once),
		TEST(file_found_damaged_gives_what_can_be_read),
		TEST(whatever_is_damaged_the_journal_works),
		TEST(file_that_is_no_database_is_set_aside),
		TEST(record_that_is_no_object_is_passed_over),
		TEST(slow_disk_costs_records_and_not_time),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
