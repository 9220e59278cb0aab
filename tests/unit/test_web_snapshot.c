/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "web/snapshot.h"

static struct snapshot *make(const char *id)
{
	struct snapshot *snapshot = snapshot_create(1);

	assert_non_null(snapshot);
	snapshot->guests[0].id = snapshot_strdup(snapshot, id);
	return snapshot;
}

static void reader_keeps_its_snapshot_when_a_new_one_is_published(void **state)
{
	struct board *board = board_create();
	struct snapshot *old, *latest;

	assert_null(board_acquire(board));
	board_publish(board, make("first"));
	old = board_acquire(board);
	board_publish(board, make("second"));
	latest = board_acquire(board);
	assert_string_equal(old->guests[0].id, "first");
	assert_string_equal(latest->guests[0].id, "second");
	assert_ptr_not_equal(old, latest);
	snapshot_unref(old);
	board_destroy(board);
	/* The board's reference is gone, the reader's is not. */
	assert_string_equal(latest->guests[0].id, "second");
	snapshot_unref(latest);
}

static void guest_is_found_by_its_whole_id(void **state)
{
	struct snapshot *snapshot = make("gups");

	assert_ptr_equal(snapshot_find(snapshot, "gups"), &snapshot->guests[0]);
	assert_null(snapshot_find(snapshot, "gup"));
	assert_null(snapshot_find(snapshot, "gups2"));
	snapshot_unref(snapshot);
}

struct race {
	struct board *board;
	atomic_bool stop;
	atomic_uint bad;
};

static void *read_always(void *context)
{
	struct race *race = context;

	while (!atomic_load(&race->stop)) {
		struct snapshot *snapshot = board_acquire(race->board);

		if (strcmp(snapshot->guests[0].id, "guest"))
			atomic_fetch_add(&race->bad, 1);
		snapshot_unref(snapshot);
	}
	return NULL;
}

static void readers_and_the_publisher_may_run_at_once(void **state)
{
	struct race race = {.board = board_create()};
	pthread_t readers[2];

	board_publish(race.board, make("guest"));
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, read_always, &race), 0);
	for (int i = 0; i < 20000; i++)
		board_publish(race.board, make("guest"));
	atomic_store(&race.stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(atomic_load(&race.bad), 0);
	board_destroy(race.board);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reader_keeps_its_snapshot_when_a_new_one_is_published),
		cmocka_unit_test(guest_is_found_by_its_whole_id),
		cmocka_unit_test(readers_and_the_publisher_may_run_at_once),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
