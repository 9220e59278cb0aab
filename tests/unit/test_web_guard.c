/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "web/guard.h"

static void host_header_must_name_this_machine(void **state)
{
	static const char *const good[] = {"localhost",   "LocalHost:8642", "127.0.0.1",
					   "127.0.0.1:1", "[::1]:8642",     "10.1.2.3",
					   "10.1.2.3:80"};
	static const char *const bad[] = {"",
					  "example.org",
					  "localhost.example.org",
					  "127.0.0.1.example.org",
					  "localhost:80x",
					  "[::1",
					  "10.1.2.4",
					  "[10.1.2.3]x",
					  "localhost@evil"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(guard_host(good[i], "10.1.2.3"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(guard_host(bad[i], "10.1.2.3"));
	assert_true(guard_host("[fe80::1]:8642", "fe80::1"));
	assert_false(guard_host("[fe80::2]:8642", "fe80::1"));
}

static void origin_header_must_name_this_machine(void **state)
{
	assert_true(guard_origin("http://localhost:8642", "127.0.0.1"));
	assert_true(guard_origin("https://127.0.0.1", "127.0.0.1"));
	assert_false(guard_origin("null", "127.0.0.1"));
	assert_false(guard_origin("http://example.org", "127.0.0.1"));
	assert_false(guard_origin("file://localhost", "127.0.0.1"));
}

static void peer_of_our_own_user_may_change_things(void **state)
{
	int pair[2];

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_true(guard_peer(pair[0]));
	close(pair[0]);
	close(pair[1]);
	/* Without credentials nobody may. */
	assert_false(guard_peer(pair[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_header_must_name_this_machine),
		cmocka_unit_test(origin_header_must_name_this_machine),
		cmocka_unit_test(peer_of_our_own_user_may_change_things),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
