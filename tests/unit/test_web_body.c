/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "web/answer.h"

static atomic_uint formatted; /* how often the route below was asked */
static size_t answer_len;

static void get_text(const struct request *request, struct reply *reply)
{
	atomic_fetch_add(&formatted, 1);
	if (!strcmp(request->id, "nobody")) {
		reply->status = 404;
		return;
	}
	reply->status = 200;
	reply->content_type = "text/plain";
	reply->len = answer_len;
	reply->body = malloc(answer_len + 1);
	assert_non_null(reply->body);
	memset(reply->body, request->offer ? 'b' : 'a', answer_len);
}

static const struct media offers[] = {{"text/plain", NULL, "text/plain"},
				      {"text/other", NULL, "text/other"}};
static const struct route routes_of_test[] = {
	[KEEP_NOT] = {.pattern = "/not/{id}", .get = get_text},
	[KEEP_ONE] = {.pattern = "/one/{id}", .get = get_text, .keep = KEEP_ONE},
	[KEEP_ALL] = {.pattern = "/all",
		      .get = get_text,
		      .keep = KEEP_ALL,
		      .offers = offers,
		      .nr_offers = 2},
	[KEEP_FOREVER] = {.pattern = "/forever", .get = get_text, .keep = KEEP_FOREVER},
};
static struct bodies forever;

static struct body *get(struct snapshot *snapshot, enum route_keep keep, const char *id,
			const char *query, const char *accept, enum coding coding)
{
	struct request request = {.snapshot = snapshot};
	struct reply reply = {0};
	struct target target;
	const char *why;
	char text[64];

	snprintf(text, sizeof(text), "/x%s", query);
	assert_int_equal(target_parse(text, &target, &why), 0);
	request.target = &target;
	strcpy(request.id, id);
	return answer_get(&routes_of_test[keep], &request, &forever, accept, coding, &reply);
}

static int set_up(void **state)
{
	atomic_store(&formatted, 0);
	answer_len = 5000;
	*state = snapshot_create(0);
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	snapshot_unref(*state);
	bodies_clear(&forever);
	return 0;
}

static void body_is_formatted_once_a_snapshot(void **state)
{
	struct snapshot *next = snapshot_create(0);
	struct body *first, *again, *later;

	first = get(*state, KEEP_ALL, "", "", NULL, CODING_IDENTITY);
	again = get(*state, KEEP_ALL, "", "", NULL, CODING_IDENTITY);
	assert_ptr_equal(first, again);
	assert_int_equal(formatted, 1);
	later = get(next, KEEP_ALL, "", "", NULL, CODING_IDENTITY);
	assert_ptr_not_equal(first, later);
	assert_int_equal(formatted, 2);
	/* Equal content has an equal tag. */
	assert_string_equal(first->etag, later->etag);
	body_unref(first);
	body_unref(again);
	body_unref(later);
	snapshot_unref(next);
}

static void body_outlives_its_snapshot(void **state)
{
	struct snapshot *snapshot = snapshot_create(0);
	struct body *body = get(snapshot, KEEP_ALL, "", "", NULL, CODING_IDENTITY);

	snapshot_unref(snapshot);
	assert_int_equal(body->len, 5000);
	assert_int_equal(body->data[4999], 'a');
	body_unref(body);
}

static void each_guest_representation_and_coding_has_its_own(void **state)
{
	struct body *bodies[] = {
		get(*state, KEEP_ALL, "", "", NULL, CODING_IDENTITY),
		get(*state, KEEP_ALL, "", "", "text/other", CODING_IDENTITY),
		get(*state, KEEP_ALL, "", "", NULL, CODING_GZIP),
		get(*state, KEEP_ALL, "", "", "text/other", CODING_GZIP),
		get(*state, KEEP_ONE, "a", "", NULL, CODING_IDENTITY),
		get(*state, KEEP_ONE, "b", "", NULL, CODING_IDENTITY),
	};

	assert_int_equal(formatted, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(bodies[i]->gzip, i > 1);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(bodies[i]->etag, bodies[j]->etag);
	}
	assert_ptr_not_equal(bodies[4], bodies[5]);
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		body_unref(bodies[i]);
}

static void compressed_body_is_the_same_text(void **state)
{
	struct body *body = get(*state, KEEP_ALL, "", "", NULL, CODING_GZIP);
	char text[6000];
	z_stream stream = {.next_in = (Bytef *)body->data,
			   .avail_in = body->len,
			   .next_out = (Bytef *)text,
			   .avail_out = sizeof(text)};

	assert_true(body->len < 1000);
	assert_int_equal(inflateInit2(&stream, MAX_WBITS + 16), Z_OK);
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	inflateEnd(&stream);
	assert_int_equal(stream.total_out, 5000);
	assert_true(text[0] == 'a' && !memcmp(text, text + 1, 4999));
	body_unref(body);
}

static void small_body_is_compressed_only_where_nothing_else_is_taken(void **state)
{
	struct body *body;

	answer_len = BODY_GZIP_MIN - 1;
	body = get(*state, KEEP_ALL, "", "", NULL, CODING_GZIP);
	assert_false(body->gzip);
	body_unref(body);
	body = get(*state, KEEP_ALL, "", "", NULL, CODING_GZIP_ONLY);
	assert_true(body->gzip);
	body_unref(body);
}

static void failure_and_query_are_not_kept(void **state)
{
	assert_null(get(*state, KEEP_ONE, "nobody", "", NULL, CODING_GZIP));
	assert_null(get(*state, KEEP_ONE, "nobody", "", NULL, CODING_GZIP));
	assert_int_equal(formatted, 2);
	for (int i = 0; i < 2; i++) {
		body_unref(get(*state, KEEP_ONE, "a", "?limit=1", NULL, CODING_GZIP));
		body_unref(get(*state, KEEP_NOT, "a", "", NULL, CODING_GZIP));
	}
	assert_int_equal(formatted, 6);
}

static void what_never_changes_outlives_snapshots(void **state)
{
	struct snapshot *other = snapshot_create(0);

	body_unref(get(*state, KEEP_FOREVER, "", "", NULL, CODING_IDENTITY));
	body_unref(get(other, KEEP_FOREVER, "", "", NULL, CODING_IDENTITY));
	assert_int_equal(formatted, 1);
	snapshot_unref(other);
}

static void bodies_of_single_guests_are_kept_up_to_a_limit(void **state)
{
	const size_t most = BODY_KEPT_MAX / (1 << 20);
	struct snapshot *snapshot = *state;
	char id[8];

	answer_len = 1 << 20;
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < most + 3; i++) {
			snprintf(id, sizeof(id), "%zu", i);
			body_unref(get(snapshot, KEEP_ONE, id, "", NULL, CODING_IDENTITY));
		}
	}
	assert_int_equal(snapshot->bodies.kept, BODY_KEPT_MAX);
	assert_int_equal(formatted, most + 3 + 3);
	/* Those of all guests do not count. */
	body_unref(get(snapshot, KEEP_ALL, "", "", NULL, CODING_IDENTITY));
	body_unref(get(snapshot, KEEP_ALL, "", "", NULL, CODING_IDENTITY));
	assert_int_equal(formatted, most + 3 + 3 + 1);
}

static pthread_barrier_t barrier;
static struct body *seen[4][64];

static void *get_all(void *context)
{
	static atomic_uint threads;
	unsigned int thread = atomic_fetch_add(&threads, 1);
	char id[8];

	for (int i = 0; i < 64; i++) {
		snprintf(id, sizeof(id), "%d", i);
		pthread_barrier_wait(&barrier);
		seen[thread][i] = get(context, KEEP_ONE, id, "", NULL, CODING_GZIP);
	}
	return NULL;
}

static void readers_at_once_get_the_same_body(void **state)
{
	pthread_t threads[4];

	pthread_barrier_init(&barrier, NULL, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, get_all, *state), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 64; i++) {
		for (int thread = 0; thread < 4; thread++) {
			assert_ptr_equal(seen[thread][i], seen[0][i]);
			body_unref(seen[thread][i]);
		}
	}
	pthread_barrier_destroy(&barrier);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(body_is_formatted_once_a_snapshot),
		TEST(body_outlives_its_snapshot),
		TEST(each_guest_representation_and_coding_has_its_own),
		TEST(compressed_body_is_the_same_text),
		TEST(small_body_is_compressed_only_where_nothing_else_is_taken),
		TEST(failure_and_query_are_not_kept),
		TEST(what_never_changes_outlives_snapshots),
		TEST(bodies_of_single_guests_are_kept_up_to_a_limit),
		TEST(readers_at_once_get_the_same_body),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
