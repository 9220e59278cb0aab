/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "daemon/configuration_guest.h"
#include "daemon/registry.h"
#include "daemon/sampler.h"

static struct registry registry;

static int add_guest(const char *name, enum umbra_mode mode, enum policy_kind policy)
{
	struct complaints complaints = {0};
	struct guest_config config;
	int code = config_guest_init(&config, name);

	config.mode = mode;
	config.policy = policy;
	config.costs = config_costs_create("skylake", "", &complaints);
	if (!code)
		code = registry_add(&registry, &config, NULL);
	/* The registry has a copy of its own. */
	config_guest_clear(&config);
	return code;
}

static int set_up(void **state)
{
	registry_init(&registry);
	return add_guest("one", UMBRA_MODE_EPT, POLICY_AUTO) ||
	       add_guest("two", UMBRA_MODE_SHADOW, POLICY_PINNED);
}

static int tear_down(void **state)
{
	registry_free(&registry);
	return 0;
}

static void decide(struct guest *guest, uint64_t id, double advantage)
{
	struct message message = {.header.type = MESSAGE_DECISION};

	message.decision.record.id = id;
	message.decision.record.advantage = advantage;
	strcpy(message.decision.reason, "cheaper");
	assert_int_equal(message_check(&message), 0);
	registry_take(guest, &message);
}

static void make_switch(struct guest *guest, uint64_t number, enum umbra_mode to, uint64_t refills)
{
	struct message message = {.header.type = MESSAGE_SWITCH};

	message.switched.number = number;
	message.switched.record.to = to;
	message.switched.record.refill_fills = refills;
	strcpy(message.switched.reason, "operator");
	registry_take(guest, &message);
}

static void last_1000_decisions_are_kept(void **state)
{
	struct guest *guest = registry.guests[0];
	struct snapshot *snapshot;

	for (uint64_t id = 1; id <= 2500; id++)
		decide(guest, id, 0);
	snapshot = sampler_take(&registry);
	assert_int_equal(snapshot->guests[0].nr_decisions, 1000);
	assert_int_equal(snapshot->guests[0].decisions[0].id, 1501);
	assert_int_equal(snapshot->guests[0].decisions[999].id, 2500);
	snapshot_unref(snapshot);
}

static void amended_decision_replaces_its_first_version(void **state)
{
	struct guest *guest = registry.guests[0];

	for (uint64_t id = 1; id <= 1200; id++)
		decide(guest, id, 0);
	decide(guest, 1100, 7);
	assert_int_equal(guest->nr_decisions, 1200);
	assert_true(registry_decision(guest, 899)->advantage == 7);
	/* What was dropped stays dropped. */
	decide(guest, 100, 7);
	assert_int_equal(guest->nr_decisions, 1200);
	assert_int_equal(registry_decision(guest, 0)->id, 201);
}

static void last_switch_says_which_mode_is_on(void **state)
{
	struct guest *guest = registry.guests[0];

	make_switch(guest, 1, UMBRA_MODE_SHADOW, 0);
	assert_int_equal(guest->mode, UMBRA_MODE_SHADOW);
	make_switch(guest, 2, UMBRA_MODE_EPT, 0);
	make_switch(guest, 1, UMBRA_MODE_SHADOW, 99);
	assert_int_equal(guest->mode, UMBRA_MODE_EPT);
	assert_int_equal(guest->nr_switches, 2);
	assert_int_equal(registry_switch(guest, 0)->record.record.refill_fills, 99);
	assert_string_equal(registry_switch(guest, 0)->record.reason, "operator");
}

static void snapshot_does_not_change_with_the_registry(void **state)
{
	struct guest *guest = registry.guests[0];
	struct snapshot *snapshot;

	decide(guest, 1, 3);
	make_switch(guest, 1, UMBRA_MODE_SHADOW, 0);
	snapshot = sampler_take(&registry);
	decide(guest, 1, 9);
	make_switch(guest, 2, UMBRA_MODE_EPT, 0);
	registry_fail(guest, "gone");
	assert_string_equal(snapshot->guests[0].state, "starting");
	assert_int_equal(snapshot->guests[0].mode, UMBRA_MODE_SHADOW);
	assert_true(snapshot->guests[0].decisions[0].advantage == 3);
	assert_int_equal(snapshot->guests[0].nr_switches, 1);
	assert_null(snapshot->guests[0].end);
	snapshot_unref(snapshot);
}

static void failed_guest_says_why_and_counts_as_reported(void **state)
{
	struct snapshot *snapshot;

	registry_fail(registry.guests[0], "no such %s", "file");
	registry_fail(registry.guests[0], "worker exited");
	snapshot = sampler_take(&registry);
	assert_string_equal(snapshot->guests[0].state, "failed");
	assert_string_equal(snapshot->guests[0].end->text, "no such file");
	assert_null(snapshot->guests[0].counters);
	assert_int_equal(snapshot->nr_unready, 1);
	snapshot_unref(snapshot);
}

static void guest_ends_only_once_it_runs(void **state)
{
	struct guest *guest = registry.guests[1];
	struct message message = {.header.type = MESSAGE_ENDED};

	message.ended.end.reason = UMBRA_END_HALTED;
	registry_take(guest, &message);
	assert_int_equal(guest->state, GUEST_STARTING);
	message.header.type = MESSAGE_RUNNING;
	registry_take(guest, &message);
	assert_int_equal(guest->state, GUEST_RUNNING);
	message.header.type = MESSAGE_ENDED;
	registry_take(guest, &message);
	assert_int_equal(guest->state, GUEST_ENDED);
	registry_fail(guest, "worker exited");
	assert_int_equal(guest->state, GUEST_ENDED);
}

static void removed_guest_is_not_found_and_stays_until_the_sweep(void **state)
{
	struct guest *one = registry.guests[0], *two = registry.guests[1];

	registry_remove(&registry, one);
	assert_null(registry_find(&registry, "one"));
	assert_ptr_equal(registry_find(&registry, "two"), two);
	assert_int_equal(registry.nr_guests, 1);
	assert_string_equal(one->config->name, "one");
	registry_sweep(&registry);
	assert_null(registry.removed);
	assert_int_equal(add_guest("one", UMBRA_MODE_EPT, POLICY_AUTO), 0);
	one = registry_find(&registry, "one");
	assert_non_null(one);
	assert_ptr_equal(registry.guests[1], one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(last_1000_decisions_are_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(amended_decision_replaces_its_first_version, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(last_switch_says_which_mode_is_on, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(snapshot_does_not_change_with_the_registry, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(failed_guest_says_why_and_counts_as_reported,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(guest_ends_only_once_it_runs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			removed_guest_is_not_found_and_stays_until_the_sweep, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
