/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/message.h"
#include "daemon/shared.h"

static int open_pair(void **state)
{
	static int pair[2];

	*state = pair;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair);
}

static int close_pair(void **state)
{
	int *pair = *state;

	close(pair[0]);
	return close(pair[1]);
}

static void message_arrives_as_it_was_sent(void **state)
{
	const int *pair = *state;
	struct message sent = {.request = 9, .change = {.has_mode = 1, .mode = 2}}, got;

	assert_int_equal(message_send(pair[0], MESSAGE_CHANGE, &sent), 0);
	assert_int_equal(message_receive(pair[1], &got, NULL), 1);
	assert_int_equal(got.header.type, MESSAGE_CHANGE);
	assert_memory_equal(&got.change, &sent.change, sizeof(got.change));
	assert_int_equal(message_receive(pair[1], &got, NULL), -EAGAIN);
}

static void wrong_size_version_magic_or_type_is_no_message(void **state)
{
	const int *pair = *state;
	struct message good = {.header = {.magic = MESSAGE_MAGIC,
					  .version = MESSAGE_VERSION,
					  .type = MESSAGE_CHANGE}};
	size_t size = message_size(MESSAGE_CHANGE);
	struct message bad[6], got;
	size_t sizes[6] = {size - 1, size + 1, size, size, size, 3};

	good.header.size = size;
	for (int i = 0; i < 6; i++)
		bad[i] = good;
	bad[1].header.size = size + 1;
	bad[2].header.version++;
	bad[3].header.magic++;
	bad[4].header.type = MESSAGE_TYPE_COUNT;
	assert_int_equal(send(pair[0], &good, size, 0), size);
	assert_int_equal(message_receive(pair[1], &got, NULL), 1);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(send(pair[0], &bad[i], sizes[i], 0), sizes[i]);
		assert_int_equal(message_receive(pair[1], &got, NULL), -EBADMSG);
	}
}

static void closed_socket_is_the_end(void **state)
{
	int *pair = *state;
	struct message got;

	close(pair[0]);
	assert_int_equal(message_receive(pair[1], &got, NULL), 0);
	pair[0] = dup(pair[1]);
}

static void descriptors_come_along(void **state)
{
	const int *pair = *state;
	int memory = shared_create("test"), fds[MESSAGE_FDS_MAX];
	struct message message = {0};

	assert_true(memory >= 0);
	assert_int_equal(message_send_fds(pair[0], MESSAGE_START, &message, &memory, 1), 0);
	assert_int_equal(message_receive(pair[1], &message, fds), 1);
	assert_true(fds[0] >= 0);
	assert_int_equal(fds[1], -1);
	assert_true(fcntl(fds[0], F_GET_SEALS) & F_SEAL_SHRINK);
	close(fds[0]);
	close(memory);
}

static struct message make_decision(void)
{
	struct message message = {.header.type = MESSAGE_DECISION};

	message.decision.record.id = 1;
	strcpy(message.decision.reason, "cheaper");
	return message;
}

static void workers_decision_is_checked(void **state)
{
	struct message message = make_decision();
	struct policy_decision *decision = &message.decision.record;

	decision->reason = (const char *)0x1234;
	assert_int_equal(message_check(&message), 0);
	assert_string_equal(decision->reason, "cheaper");

	decision->mode = UMBRA_MODE_COUNT;
	assert_int_equal(message_check(&message), -EBADMSG);
	message = make_decision();
	decision->action = POLICY_ACTION_COUNT;
	assert_int_equal(message_check(&message), -EBADMSG);
	message = make_decision();
	decision->target = -1;
	assert_int_equal(message_check(&message), -EBADMSG);
	message = make_decision();
	decision->rival = -1;
	assert_int_equal(message_check(&message), -EBADMSG);
	message = make_decision();
	decision->advantage = NAN;
	assert_int_equal(message_check(&message), -EBADMSG);
	message = make_decision();
	decision->cost[0].cycles = INFINITY;
	assert_int_equal(message_check(&message), -EBADMSG);
	message = make_decision();
	memset(&decision->inputs[0].known, 7, 1);
	assert_int_equal(message_check(&message), -EBADMSG);
	message = make_decision();
	strcpy(message.decision.reason, "no such rule");
	assert_int_equal(message_check(&message), -EBADMSG);
	message = make_decision();
	decision->id = 0;
	assert_int_equal(message_check(&message), -EBADMSG);
}

static void workers_text_is_ended_and_printable(void **state)
{
	struct message message = {.header.type = MESSAGE_FAILED};

	memset(message.failed.text, 'x', sizeof(message.failed.text));
	message.failed.text[0] = '\033';
	assert_int_equal(message_check(&message), 0);
	assert_int_equal(strlen(message.failed.text), sizeof(message.failed.text) - 1);
	assert_int_equal(message.failed.text[0], '?');
}

static void workers_end_is_checked(void **state)
{
	struct message message = {.header.type = MESSAGE_ENDED};

	assert_int_equal(message_check(&message), -EBADMSG);
	message.ended.end.reason = UMBRA_END_HALTED;
	message.ended.end.cpu_mode = (const char *)0x1234;
	assert_int_equal(message_check(&message), 0);
	assert_null(message.ended.end.cpu_mode);
	message.ended.end.nr_bytes = 16;
	assert_int_equal(message_check(&message), -EBADMSG);
	message.ended.end.nr_bytes = 0;
	message.ended.end.cpu = UMBRA_MAX_CPUS;
	assert_int_equal(message_check(&message), -EBADMSG);
}

static struct message make_translated(void)
{
	struct message message = {.header.type = MESSAGE_TRANSLATED};
	struct umbra_translation *t = &message.translated.translation;

	for (int i = 0; i < UMBRA_MODE_COUNT; i++)
		t->walk[i].mode = i;
	t->nr_entries = 1;
	t->entry[0].level = 4;
	t->walk[UMBRA_MODE_EPT].nr_steps = 1;
	t->walk[UMBRA_MODE_EPT].step[0].level = 1;
	return message;
}

static void workers_translation_is_checked(void **state)
{
	struct message message = make_translated();
	struct umbra_translation *t = &message.translated.translation;
	struct umbra_mode_walk *walk = &t->walk[UMBRA_MODE_EPT];

	(void)state;
	assert_int_equal(message_check(&message), 0);
#define REFUSED(change)                                                                            \
	message = make_translated();                                                               \
	change;                                                                                    \
	assert_int_equal(message_check(&message), -EBADMSG)
	REFUSED(t->access = 3);
	REFUSED(t->cpu = UMBRA_MAX_CPUS);
	REFUSED(t->privilege = UMBRA_PRIVILEGE_COUNT);
	REFUSED(t->paging = -1);
	REFUSED(t->outcome = UMBRA_OUTCOME_COUNT);
	REFUSED(t->instructions = UINT64_MAX);
	REFUSED(t->time = UINT64_MAX);
	REFUSED(t->page_bytes = UINT64_MAX);
	REFUSED(t->key = 16);
	REFUSED(memset(&t->user, 2, 1));
	REFUSED(t->nr_entries = UMBRA_TABLE_LEVELS + 1);
	REFUSED(t->entry[0].level = 0);
	REFUSED(t->entry[0].level = UMBRA_TABLE_LEVELS + 1);
	REFUSED(walk->mode = UMBRA_MODE_BARE);
	REFUSED(memset(&walk->on, 2, 1));
	REFUSED(walk->end = UMBRA_WALK_END_COUNT);
	REFUSED(walk->reason = UMBRA_EXIT_REASON_COUNT);
	REFUSED(walk->walk_unknown = UMBRA_UNKNOWN_COUNT);
	REFUSED(walk->hpa_unknown = -1);
	REFUSED(walk->page_bytes = UINT64_MAX);
	REFUSED(walk->nr_steps = UMBRA_WALK_REFERENCES + 1);
	REFUSED(walk->step[0].kind = UMBRA_STEP_NOBODY + 1);
	REFUSED(walk->step[0].table = UMBRA_TABLE_EPT + 1);
	REFUSED(memset(&walk->step[0].write, 2, 1));
	REFUSED(walk->step[0].reason = -1);
	REFUSED(message.translated.error = 1);
#undef REFUSED
	/* Of a refusal nothing but its text is looked at. */
	message = make_translated();
	message.translated.error = -EINVAL;
	t->nr_entries = 100;
	message.translated.text[0] = '\n';
	assert_int_equal(message_check(&message), 0);
	assert_int_equal(message.translated.text[0], '?');
}

static void commands_of_umbrad_are_not_taken_from_a_worker(void **state)
{
	struct message message = {.header.type = MESSAGE_STOP};

	assert_int_equal(message_check(&message), -EBADMSG);
	message.header.type = MESSAGE_START;
	assert_int_equal(message_check(&message), -EBADMSG);
	message.header.type = MESSAGE_TRANSLATE;
	assert_int_equal(message_check(&message), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(message_arrives_as_it_was_sent, open_pair,
						close_pair),
		cmocka_unit_test_setup_teardown(wrong_size_version_magic_or_type_is_no_message,
						open_pair, close_pair),
		cmocka_unit_test_setup_teardown(closed_socket_is_the_end, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(descriptors_come_along, open_pair, close_pair),
		cmocka_unit_test(workers_decision_is_checked),
		cmocka_unit_test(workers_text_is_ended_and_printable),
		cmocka_unit_test(workers_end_is_checked),
		cmocka_unit_test(workers_translation_is_checked),
		cmocka_unit_test(commands_of_umbrad_are_not_taken_from_a_worker),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
