/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "web/connections.h"

enum { MOST = 4 };

/* One end is served, the other is the client's. */
struct end {
	int pair[2];
	struct connection *connection;
};

static struct connections *connections;

static int set_up(void **state)
{
	connections = connections_create(MOST);
	return connections ? 0 : -1;
}

static int tear_down(void **state)
{
	connections_destroy(connections);
	return 0;
}

static struct end begin(const char *address, time_t now)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	const struct sockaddr *peer = NULL;
	struct end end;

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, end.pair), 0);
	if (address && inet_pton(AF_INET, address, &v4.sin_addr) == 1)
		peer = (const struct sockaddr *)&v4;
	else if (address && inet_pton(AF_INET6, address, &v6.sin6_addr) == 1)
		peer = (const struct sockaddr *)&v6;
	end.connection = connection_begin(connections, end.pair[0], peer, now);
	assert_non_null(end.connection);
	return end;
}

static bool is_shut(const struct end *end)
{
	char byte;

	return recv(end->pair[1], &byte, 1, MSG_DONTWAIT) == 0;
}

static void finish(struct end *end)
{
	connection_end(end->connection);
	close(end->pair[0]);
	close(end->pair[1]);
}

static void finish_all(struct end *ends, size_t count)
{
	for (size_t i = 0; i < count; i++)
		finish(&ends[i]);
}

static void who_has_most_loses_one_for_each_new_one(void **state)
{
	struct end ends[] = {
		begin("10.0.0.1", 0), begin("10.0.0.2", 1), begin("10.0.0.2", 1),
		begin("10.0.0.2", 1), begin("10.0.0.3", 1), begin("10.0.0.2", 5),
	};

	/* The first one that was too many cost the oldest of 2, and so did the second. */
	assert_false(is_shut(&ends[0]));
	assert_true(is_shut(&ends[1]));
	assert_true(is_shut(&ends[2]));
	assert_false(is_shut(&ends[3]));
	assert_false(is_shut(&ends[4]));
	assert_false(is_shut(&ends[5]));
	finish_all(ends, 6);
}

static void connection_without_a_request_goes_first(void **state)
{
	struct end ends[5];

	for (int i = 0; i < MOST; i++)
		ends[i] = begin("10.0.0.1", i);
	connection_request(ends[0].connection);
	connection_request(ends[1].connection);
	ends[4] = begin("10.0.0.1", 4);
	assert_false(is_shut(&ends[0]));
	assert_false(is_shut(&ends[1]));
	assert_true(is_shut(&ends[2]));
	finish_all(ends, 5);
}

static void connection_that_ended_makes_room(void **state)
{
	struct end ends[MOST], more;

	for (int i = 0; i < MOST; i++)
		ends[i] = begin(NULL, i);
	finish(&ends[1]);
	more = begin(NULL, 4);
	assert_false(is_shut(&ends[0]));
	assert_false(is_shut(&ends[2]));
	assert_false(is_shut(&ends[3]));
	finish(&ends[0]);
	finish_all(ends + 2, 2);
	finish(&more);
}

static void network_of_one_site_is_one_peer(void **state)
{
	struct end ends[] = {
		begin("2001:db8::1", 0),     begin("2001:db8:0:1::1", 1),
		begin("2001:db8:0:1::2", 2), begin("::ffff:10.0.0.1", 3),
		begin("::ffff:10.0.0.2", 4),
	};

	assert_false(is_shut(&ends[0]));
	assert_true(is_shut(&ends[1]));
	assert_false(is_shut(&ends[2]));
	assert_false(is_shut(&ends[3]));
	finish_all(ends, 5);
}

static void request_has_so_many_seconds_from_the_answer_before(void **state)
{
	struct end ends[] = {begin("10.0.0.1", 0), begin("10.0.0.1", 0)};

	connection_request(ends[0].connection);
	connection_answered(ends[0].connection, 20);
	connections_sweep(connections, 30, 30);
	assert_false(is_shut(&ends[0]));
	assert_false(is_shut(&ends[1]));
	connections_sweep(connections, 31, 30);
	assert_false(is_shut(&ends[0]));
	assert_true(is_shut(&ends[1]));
	/* One that takes its answer slowly is no better. */
	connection_request(ends[0].connection);
	connections_sweep(connections, 51, 30);
	assert_true(is_shut(&ends[0]));
	finish_all(ends, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(who_has_most_loses_one_for_each_new_one),
		TEST(connection_without_a_request_goes_first),
		TEST(connection_that_ended_makes_room),
		TEST(network_of_one_site_is_one_peer),
		TEST(request_has_so_many_seconds_from_the_answer_before),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
