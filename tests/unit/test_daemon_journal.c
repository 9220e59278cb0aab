/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The decision journal: its rows, its file, what operators set. */
#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>

#include "tests/unit/journal_fixture.h"

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
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
