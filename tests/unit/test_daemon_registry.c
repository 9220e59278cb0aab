/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/configuration_guest.h"
#include "daemon/registry.h"
#include "daemon/sampler.h"
#include "web/text.h"

static struct registry registry;
static struct journal *journal;

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
	const struct journal_config in_memory = {.commit_ms = 1};
	int event;

	if (journal_create(&in_memory, &journal, &event))
		return -1;
	registry_init(&registry, journal);
	return add_guest("one", UMBRA_MODE_EPT, POLICY_AUTO) ||
	       add_guest("two", UMBRA_MODE_SHADOW, POLICY_PINNED);
}

static int tear_down(void **state)
{
	registry_free(&registry);
	journal_destroy(journal);
	return 0;
}

static int decide(struct guest *guest, uint64_t id)
{
	struct message message = {.header.type = MESSAGE_DECISION};

	message.decision.record.id = id;
	strcpy(message.decision.reason, "cheaper");
	assert_int_equal(message_check(&message), 0);
	return registry_take(guest, &message);
}

static int make_switch(struct guest *guest, uint64_t number, enum umbra_mode to, uint64_t refills)
{
	struct message message = {.header.type = MESSAGE_SWITCH};

	message.switched.number = number;
	message.switched.record.to = to;
	message.switched.record.refill_fills = refills;
	strcpy(message.switched.reason, "operator");
	return registry_take(guest, &message);
}

/* How many rows of the guest the journal shows, once it has @rows in all. */
static size_t nr_shown(int (*read)(struct text *out), uint64_t rows)
{
	time_t deadline = time(NULL) + 20;
	struct journal_status status;
	struct text out = {0};
	json_t *list;
	size_t nr;

	do {
		usleep(1000);
		journal_status(journal, &status);
		assert_true(time(NULL) < deadline);
	} while (status.rows < rows);
	assert_int_equal(read(&out), 0);
	list = json_loadb(out.data, out.len, 0, NULL);
	nr = json_array_size(list);
	json_decref(list);
	text_free(&out);
	return nr;
}

static int read_decisions(struct text *out)
{
	return journal_read_decisions(journal, out, "one", 100, 0);
}

static int read_switches(struct text *out)
{
	return journal_read_switches(journal, out, "one", 100);
}

static void records_go_to_the_journal(void **state)
{
	struct guest *guest = registry.guests[0];

	assert_int_equal(decide(guest, 1), 0);
	assert_int_equal(make_switch(guest, 1, UMBRA_MODE_SHADOW, 0), 0);
	assert_int_equal(make_switch(guest, 2, UMBRA_MODE_EPT, 0), 0);
	assert_int_equal(nr_shown(read_decisions, 3), 1);
	assert_int_equal(nr_shown(read_switches, 3), 2);
}

static void numbers_that_no_worker_of_ours_gives_are_refused(void **state)
{
	struct guest *guest = registry.guests[0];

	assert_int_equal(decide(guest, 2), -EBADMSG);
	assert_int_equal(make_switch(guest, 7, UMBRA_MODE_SHADOW, 0), -EBADMSG);
	assert_int_equal(guest->nr_switches, 0);
	assert_int_equal(guest->mode, UMBRA_MODE_EPT);
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
	assert_int_equal(guest->last_switch.record.to, UMBRA_MODE_EPT);
	assert_string_equal(guest->last_switch.reason, "operator");
}

static struct observed nobody;
static const struct kvm_host no_kvm = {.mode = UMBRA_MODE_COUNT};
static const struct sampler_source source = {&registry, &nobody, &no_kvm, {true, true}};

static struct observed_vm *observe(uint32_t number, const char *id, pid_t pid)
{
	struct observed_vm *vm = calloc(1, sizeof(*vm));

	vm->vm = (struct vm){.number = number, .pid = pid, .fd = 3, .start_time = 17};
	snprintf(vm->vm.id, sizeof(vm->vm.id), "%s", id);
	return vm;
}

/* Whatever another program calls its VM, it is not taken for a guest of ours, nor for a path. */
static void a_vm_of_another_program_has_an_id_of_its_own(void **state)
{
	struct observed_vm *vms[] = {observe(1, registry.guests[0]->config->name, 11),
				     observe(2, "../x", 12), observe(3, "db", 13)};
	struct observed observed = {.vms = vms, .nr_vms = 3};
	const struct sampler_source from = {&registry, &observed, &no_kvm, {true, true}};
	struct snapshot *snapshot = sampler_take(&from);
	const struct guest_view *view = &snapshot->guests[registry.nr_guests];

	assert_int_equal(snapshot->nr_guests, registry.nr_guests + 3);
	assert_string_equal(view[0].id, "11-3-17");
	assert_string_equal(view[1].id, "12-3-17");
	assert_string_equal(view[2].id, "db");
	assert_true(view[2].observed);
	assert_int_equal(view[2].policy, POLICY_ADVISE);
	/* Nothing was sampled: nothing is known. */
	assert_null(view[2].measured[METRIC_KVM].values);
	snapshot_unref(snapshot);
	for (size_t i = 0; i < 3; i++)
		free(vms[i]);
}

/* Prometheus would refuse all that umbrad measures for one series that stands there twice. */
static void no_two_vms_have_the_same_id(void **state)
{
	struct observed_vm *vms[] = {observe(1, "db", 11), observe(2, "db", 12),
				     observe(3, "13-3-17", 14), observe(4, "/", 13),
				     observe(5, "db", 12)};
	struct observed observed = {.vms = vms, .nr_vms = 5};
	const struct sampler_source from = {&registry, &observed, &no_kvm, {true, true}};
	struct snapshot *snapshot = sampler_take(&from);
	const struct guest_view *view = &snapshot->guests[registry.nr_guests];

	assert_string_equal(view[0].id, "db");
	assert_string_equal(view[1].id, "12-3-17");
	assert_string_equal(view[2].id, "13-3-17");
	/* What is left has no id that is its own: it was made up. */
	assert_int_equal(snapshot->nr_guests, registry.nr_guests + 3);
	snapshot_unref(snapshot);
	for (size_t i = 0; i < 5; i++)
		free(vms[i]);
}

static void the_vm_of_a_guest_of_ours_is_that_guest(void **state)
{
	struct guest *guest = registry.guests[0];
	struct observed_vm *vm = observe(1, "whatever", 4711);
	struct observed observed = {.vms = &vm, .nr_vms = 1};
	const struct sampler_source from = {&registry, &observed, &no_kvm, {true, true}};
	struct snapshot *snapshot;
	const struct kvm_exits_counters *exits;

	vm->sampled = true;
	vm->sample.kvm_exits.exits[KVM_EXIT_cpuid] = 5;
	guest->pid = 4711;
	snapshot = sampler_take(&from);
	assert_int_equal(snapshot->nr_guests, registry.nr_guests);
	assert_false(snapshot->guests[0].observed);
	exits = snapshot->guests[0].measured[METRIC_KVM_EXITS].values;
	assert_int_equal(exits->exits[KVM_EXIT_cpuid], 5);
	snapshot_unref(snapshot);
	/* Its worker is gone, and umbra-collect has not told the end of the VM yet. */
	guest->pid = 0;
	snapshot = sampler_take(&from);
	assert_int_equal(snapshot->nr_guests, registry.nr_guests);
	snapshot_unref(snapshot);
	free(vm);
}

static void guests_that_have_not_reported_are_counted_among_their_kind(void **state)
{
	struct observed_vm *vm = observe(1, "db", 13);
	struct observed observed = {.vms = &vm, .nr_vms = 1};
	const struct sampler_source from = {&registry, &observed, &no_kvm, {true, true}};
	struct snapshot *snapshot = sampler_take(&from);

	assert_string_equal(snapshot->collectors[CONFIG_COLLECTOR_SOFT].state,
			    "degraded: 2 of 2 guests have not reported");
	snapshot_unref(snapshot);
	free(vm);
}

static void snapshot_does_not_change_with_the_registry(void **state)
{
	struct guest *guest = registry.guests[0];
	struct snapshot *snapshot;

	make_switch(guest, 1, UMBRA_MODE_SHADOW, 0);
	snapshot = sampler_take(&source);
	make_switch(guest, 2, UMBRA_MODE_EPT, 0);
	registry_fail(guest, "gone");
	assert_string_equal(snapshot->guests[0].state, "starting");
	assert_int_equal(snapshot->guests[0].mode, UMBRA_MODE_SHADOW);
	assert_null(snapshot->guests[0].end);
	snapshot_unref(snapshot);
}

static void failed_guest_says_why_and_counts_as_reported(void **state)
{
	struct snapshot *snapshot;

	registry_fail(registry.guests[0], "no such %s", "file");
	registry_fail(registry.guests[0], "worker exited");
	snapshot = sampler_take(&source);
	assert_string_equal(snapshot->guests[0].state, "failed");
	assert_string_equal(snapshot->guests[0].end->text, "no such file");
	assert_null(snapshot->guests[0].measured[METRIC_CORE].values);
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
		cmocka_unit_test_setup_teardown(records_go_to_the_journal, set_up, tear_down),
		cmocka_unit_test_setup_teardown(numbers_that_no_worker_of_ours_gives_are_refused,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(last_switch_says_which_mode_is_on, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_vm_of_another_program_has_an_id_of_its_own,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_two_vms_have_the_same_id, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_vm_of_a_guest_of_ours_is_that_guest, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			guests_that_have_not_reported_are_counted_among_their_kind, set_up,
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
