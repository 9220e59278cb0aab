/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The decision journal on disks and files that fail for real. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/unit/journal_fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
