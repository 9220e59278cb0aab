/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/configuration_guest.h"
#include "daemon/wishes.h"

static struct registry registry;
static struct journal *journal;
static struct wishes *wishes;
static struct guest *guest;
static int pair[2];
static int nr_done;

static int set_up(void **state)
{
	const struct journal_config in_memory = {.commit_ms = 1};
	struct complaints complaints = {0};
	struct guest_config config;
	int event;

	nr_done = 0;
	if (journal_create(&in_memory, &journal, &event) || config_guest_init(&config, "one") ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair))
		return -1;
	config.costs = config_costs_create("skylake", "", &complaints);
	registry_init(&registry, journal);
	wishes = wishes_create(&event);
	if (!wishes || registry_add(&registry, &config, &guest))
		return -1;
	config_guest_clear(&config);
	guest->state = GUEST_RUNNING;
	guest->fd = pair[0];
	return 0;
}

static int tear_down(void **state)
{
	wishes_close(wishes, &registry);
	wishes_destroy(wishes);
	registry_free(&registry);
	journal_destroy(journal);
	close(pair[0]);
	return 0;
}

static void done(struct web_wish *wish)
{
	nr_done++;
}

static void ask(struct web_wish *wish)
{
	*wish = (struct web_wish){
		.kind = WISH_MODE, .id = "one", .policy = POLICY_ADVISE, .done = done};
	wishes_ask(wishes, wish);
	wishes_begin(wishes, &registry);
}

static void wish_reaches_the_worker(void **state)
{
	struct message message;
	struct web_wish wish;

	ask(&wish);
	assert_int_equal(nr_done, 0);
	assert_int_equal(message_receive(pair[1], &message, NULL), 1);
	assert_int_equal(message.header.type, MESSAGE_CHANGE);
	assert_int_equal(message.change.policy, POLICY_ADVISE);
	close(pair[1]);
}

/* umbrad is asked after a worker has died and before it is told so. */
static void worker_that_has_gone_is_no_fault_of_umbrads(void **state)
{
	struct web_wish wish;

	close(pair[1]);
	ask(&wish);
	assert_int_equal(nr_done, 1);
	assert_int_equal(wish.error, -EPERM);
	assert_string_equal(wish.detail, "the guest's worker has just ended");
	/* One whose socket umbrad has closed already. */
	guest->fd = -1;
	ask(&wish);
	assert_int_equal(nr_done, 2);
	assert_int_equal(wish.error, -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(wish_reaches_the_worker, set_up, tear_down),
		cmocka_unit_test_setup_teardown(worker_that_has_gone_is_no_fault_of_umbrads, set_up,
						tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
