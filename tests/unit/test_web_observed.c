/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How VMs of other programs are shown, and what several sources count. */
#include "config.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/advice.h"
#include "schemas/metrics.h"
#include "tests/unit/json_schema.h"
#include "tests/unit/metrics_text.h"
#include "web/encode_host.h"
#include "web/view.h"

static struct umbra_kvm_counters kvm;
static struct kvm_exits_counters exits;
static struct perf_event_counters perf;
static struct umbra_known kvm_known, exits_known, perf_known;
static uint64_t slots[KVM_EXIT_REASON_COUNT][EXIT_SLOT_COUNT];
static const struct vcpu_view vcpus[] = {{0, 4243}, {1, 0}};
static struct umbra_kvm_other others[] = {{"new_statistic", 7}, {"a\"b\n\xff", 8}};
static struct vm_view vm;

#define KNOW(set, type, counter, element)                                                          \
	umbra_known_add(&(set), UMBRA_INDEX(struct type, counter, element))

static void know_durations(void)
{
	for (int i = 0; i < KVM_EXIT_REASON_COUNT; i++) {
		KNOW(exits_known, kvm_exits_counters, exit_samples, i);
		KNOW(exits_known, kvm_exits_counters, exit_time, i);
	}
	exits.exit_samples[KVM_EXIT_cpuid] = 3;
	exits.exit_time[KVM_EXIT_cpuid] = 1500;
	slots[KVM_EXIT_cpuid][0] = 1;
	slots[KVM_EXIT_cpuid][2] = 2;
	exits.exit_samples[KVM_EXIT_io_instruction] = 1;
	exits.exit_time[KVM_EXIT_io_instruction] = 3000000001;
	slots[KVM_EXIT_io_instruction][EXIT_SLOT_COUNT - 1] = 1;
	exits.exit_samples[KVM_EXIT_hlt] = 5;
	exits.exit_time[KVM_EXIT_hlt] = 9000000000;
	slots[KVM_EXIT_hlt][EXIT_SLOT_COUNT - 1] = 5;
}

/* A VM of which nothing is measured (yet), but that it is there. */
static struct guest_view make_view(void)
{
	memset(&kvm, 0, sizeof(kvm));
	memset(&exits, 0, sizeof(exits));
	memset(&perf, 0, sizeof(perf));
	memset(&kvm_known, 0, sizeof(kvm_known));
	memset(&exits_known, 0, sizeof(exits_known));
	memset(&perf_known, 0, sizeof(perf_known));
	memset(slots, 0, sizeof(slots));
	vm = (struct vm_view){
		.process = "qemu-system-x86",
		.unit = "machine-qemu\\x2d1\\x2dweb.scope",
		.fd = 11,
		.start_time = 123456,
		.vcpus = vcpus,
		.nr_vcpus = 2,
		.exit_slots = (const uint64_t(*)[EXIT_SLOT_COUNT])slots,
	};
	return (struct guest_view){
		.id = "4242-11-123456",
		.guest = "web",
		.state = "running",
		.pid = 4242,
		.started = 1650000000,
		.engine = "kvm",
		.mode = UMBRA_MODE_COUNT,
		.policy = POLICY_ADVISE,
		.clock = UMBRA_CLOCK_COUNT,
		.cpus = 2,
		.observed = true,
		.vm = &vm,
		.measured =
			{
				[METRIC_KVM] = {&kvm, &kvm_known, "ok"},
				[METRIC_KVM_EXITS] = {&exits, &exits_known, "ok"},
				[METRIC_PERF_EVENT] = {&perf, &perf_known,
						       "unsupported: this host has no PMU"},
			},
	};
}

static void know_everything(void)
{
	for (size_t i = 0; i < UMBRA_KNOWN_MAX; i++) {
		umbra_known_add(&kvm_known, i);
		umbra_known_add(&exits_known, i);
		umbra_known_add(&perf_known, i);
	}
}

static char *encode(struct guest_view *guests, size_t nr_guests, bool open_metrics)
{
	static const struct collector_view collectors[] = {
		{.name = "discovery", .state = "ok", .help = "VMs"},
		{.name = "kvm_exits",
		 .state = "degraded: 3 events were lost",
		 .help = "Exits",
		 .own = {true, 1500000000, 12, true, 3, 4}},
	};
	const struct snapshot snapshot = {
		.time = {1700000000, 0},
		.guests = guests,
		.nr_guests = nr_guests,
		.collectors = collectors,
		.nr_collectors = 2,
	};
	const struct metrics_view view = {.snapshot = &snapshot};

	return metrics_text(&view, open_metrics);
}

static unsigned int count(const char *text, const char *what)
{
	unsigned int times = 0;

	for (const char *p = text; (p = strstr(p, what)); p++)
		times++;
	return times;
}

static void observed_guest_matches_its_schema(void **state)
{
	for (int measured = 0; measured < 3; measured++) {
		struct guest_view view = make_view();
		json_t *guest;

		if (measured == 1)
			know_everything();
		if (measured == 2)
			know_durations();
		view.kvm_other = others;
		view.nr_kvm_other = measured;
		view.mode = measured ? UMBRA_MODE_EPT : UMBRA_MODE_COUNT;
		view.mode_reason = measured ? "kvm_intel.ept=Y" : NULL;
		for (int lists = 0; lists < 2; lists++) {
			guest = web_encode_guest(&view, lists);
			json_schema_assert("guest", guest);
			assert_int_equal(json_object_get(guest, "mode") != NULL, measured != 0);
			assert_null(json_object_get(guest, "processor"));
			assert_null(json_object_get(guest, "clock"));
			assert_null(json_object_get(guest, "starts"));
			json_decref(guest);
		}
	}
}

/* A guest of umbrad itself has all that its engine knows. */
static void only_guests_of_kvm_may_leave_things_out(void **state)
{
	static const struct {
		const char *key;
		bool if_soft;
	} rows[] = {{"mode", false}, {"clock", true}, {"processor", true}};
	char why[JSON_SCHEMA_WHY_SIZE];
	struct guest_view view = make_view();
	json_t *guest = web_encode_guest(&view, false);

	json_object_set_new(guest, "observed", json_false());
	json_object_set_new(guest, "engine", json_string("soft"));
	json_object_set_new(guest, "mode", json_string("ept"));
	json_object_set_new(guest, "clock", json_string("cycles"));
	json_object_set_new(guest, "processor", json_string("zen2"));
	json_schema_assert("guest", guest);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *part = json_copy(guest);

		json_object_del(part, rows[i].key);
		assert_false(json_schema_allows("guest", part, why));
		json_object_set_new(part, "engine", json_string("kvm"));
		assert_int_equal(json_schema_allows("guest", part, why), rows[i].if_soft);
		json_object_set_new(part, "observed", json_true());
		json_schema_assert("guest", part);
		json_decref(part);
	}
	json_decref(guest);
}

static void soft_guest_has_all_metrics_or_none(void **state)
{
	static struct umbra_counters counters;
	struct guest_view view = make_view();
	char why[JSON_SCHEMA_WHY_SIZE];
	json_t *guest;

	view.observed = false;
	view.vm = NULL;
	view.engine = "soft";
	view.processor = "zen2";
	view.mode = UMBRA_MODE_EPT;
	view.clock = UMBRA_CLOCK_CYCLES;
	view.measured[METRIC_CORE].values = &counters;
	guest = web_encode_guest(&view, false);
	json_schema_assert("guest", guest);
	json_object_del(json_object_get(json_object_get(guest, "tlb"), "hits"), "l2");
	assert_false(json_schema_allows("guest", guest, why));
	json_object_set_new(guest, "engine", json_string("kvm"));
	json_schema_assert("guest", guest);
	json_decref(guest);
}

static void what_no_source_knows_is_absent(void **state)
{
	struct guest_view view = make_view();
	char *text;
	json_t *guest;

	KNOW(kvm_known, umbra_kvm_counters, kvm_invlpg, 0);
	KNOW(kvm_known, umbra_kvm_counters, kvm_pages, UMBRA_PAGE_2m);
	kvm.kvm_pages[UMBRA_PAGE_2m] = 12;
	guest = web_encode_guest(&view, true);
	assert_int_equal(json_object_size(json_object_get(guest, "kvm")), 2);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(guest, "kvm"), "invlpg")), 0);
	assert_int_equal(json_object_size(json_object_get(json_object_get(guest, "kvm"), "pages")),
			 1);
	assert_null(json_object_get(guest, "kvmmmu"));
	assert_null(json_object_get(guest, "exits"));
	assert_null(json_object_get(guest, "instructions"));
	assert_null(json_object_get(guest, "exit_durations"));
	assert_null(json_object_get(guest, "kvm_other"));
	assert_null(json_object_get(guest, "advice"));
	json_decref(guest);
	text = encode(&view, 1, false);
	assert_has(text, "umbra_guest_kvm_invlpg_total{guest=\"4242-11-123456\"} 0\n");
	assert_has(text, "umbra_guest_kvm_pages{guest=\"4242-11-123456\",page_size=\"2m\"} 12\n");
	assert_null(strstr(text, "page_size=\"4k\""));
	assert_null(strstr(text, "umbra_guest_kvm_exits_total{"));
	assert_null(strstr(text, "umbra_guest_exit_duration_seconds_bucket{"));
	assert_null(strstr(text, "umbra_guest_mode{"));
	assert_null(strstr(text, "umbra_guest_restarts_total{"));
	free(text);
}

/* A guest of the soft engine and a VM in one family, each from its own source. */
static void sources_share_families_and_keys(void **state)
{
	static struct umbra_counters counters;
	struct guest_view views[2] = {make_view(), make_view()};
	json_t *guest;
	char *text;

	counters.instructions[0] = 11;
	counters.exits[UMBRA_EXIT_cpuid] = 22;
	views[0].id = "soft";
	views[0].observed = false;
	views[0].vm = NULL;
	memset(views[0].measured, 0, sizeof(views[0].measured));
	views[0].measured[METRIC_CORE].values = &counters;
	KNOW(perf_known, perf_event_counters, instructions, 0);
	perf.instructions[0] = 33;
	for (int i = 0; i < KVM_EXIT_REASON_COUNT; i++)
		KNOW(exits_known, kvm_exits_counters, exits, i);
	exits.exits[KVM_EXIT_cpuid] = 44;
	exits.exits[KVM_EXIT_wbinvd] = 55;
	text = encode(views, 2, false);
	assert_int_equal(count(text, "# TYPE umbra_guest_instructions_total "), 1);
	assert_int_equal(count(text, "# TYPE umbra_guest_exits_total "), 1);
	assert_has(text, "umbra_guest_instructions_total{guest=\"soft\"} 11\n"
			 "umbra_guest_instructions_total{guest=\"4242-11-123456\"} 33\n");
	assert_has(text, "umbra_guest_exits_total{guest=\"soft\",reason=\"cpuid\"} 22\n");
	assert_has(text, "umbra_guest_exits_total{guest=\"soft\",reason=\"hlt\"} 0\n");
	assert_has(text, "umbra_guest_exits_total{guest=\"4242-11-123456\",reason=\"cpuid\"} 44\n"
			 "umbra_guest_exits_total{guest=\"4242-11-123456\",reason=\"wbinvd\"} "
			 "55\n");
	free(text);
	guest = web_encode_guest(&views[1], false);
	assert_int_equal(json_integer_value(json_object_get(guest, "instructions")), 33);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(guest, "exits"), "wbinvd")), 55);
	json_decref(guest);
}

/* The core of a guest that KVM runs for umbrad counts little: the rest is from the others. */
static void metric_comes_from_the_first_source_that_knows_it(void **state)
{
	static struct umbra_counters counters;
	struct umbra_known core_known = {0};
	struct guest_view view = make_view();
	json_t *guest;

	counters.switches[0] = 1;
	counters.instructions[0] = 99;
	KNOW(core_known, umbra_counters, switches, 0);
	view.measured[METRIC_CORE] = (struct measured){&counters, &core_known, NULL};
	KNOW(perf_known, perf_event_counters, instructions, 0);
	perf.instructions[0] = 33;
	guest = web_encode_guest(&view, false);
	assert_int_equal(json_integer_value(json_object_get(guest, "instructions")), 33);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(guest, "switching"), "count")),
		1);
	json_decref(guest);
}

static void nanoseconds_are_seconds_in_series(void **state)
{
	struct guest_view view = make_view();
	json_t *guest;
	char *text;

	KNOW(perf_known, perf_event_counters, host_task_clock, 0);
	perf.host_task_clock[0] = 1234567890000000001;
	text = encode(&view, 1, true);
	assert_has(text, "# TYPE umbra_guest_host_task_clock_seconds counter\n"
			 "# UNIT umbra_guest_host_task_clock_seconds seconds\n"
			 "umbra_guest_host_task_clock_seconds_total{guest=\"4242-11-123456\"} "
			 "1234567890.000000001\n");
	free(text);
	guest = web_encode_guest(&view, false);
	assert_int_equal(json_integer_value(
				 json_object_get(json_object_get(guest, "host"), "task_clock_ns")),
			 1234567890000000001);
	json_decref(guest);
}

static void exit_times_are_a_histogram_without_hlt(void **state)
{
	struct guest_view view = make_view();
	char *text;

	know_durations();
	for (int open_metrics = 0; open_metrics < 2; open_metrics++) {
		text = encode(&view, 1, open_metrics);
#define NAME  "umbra_guest_exit_duration_seconds"
#define GUEST "{guest=\"4242-11-123456\""
		assert_has(text, "# TYPE " NAME " histogram\n");
		assert_has(text, NAME "_bucket" GUEST ",le=\"0.000000256\"} 1\n" NAME
				      "_bucket" GUEST ",le=\"0.000000512\"} 1\n" NAME
				      "_bucket" GUEST ",le=\"0.000001024\"} 3\n");
		assert_has(text, NAME "_bucket" GUEST ",le=\"1.073741824\"} 3\n" NAME
				      "_bucket" GUEST ",le=\"+Inf\"} 4\n" NAME "_count" GUEST
				      "} 4\n" NAME "_sum" GUEST "} 3.000001501\n");
		assert_int_equal(count(text, NAME "_bucket{"), EXIT_SLOT_COUNT);
		free(text);
	}
}

static void exit_durations_are_by_reason_in_json(void **state)
{
	struct guest_view view = make_view();
	json_t *guest, *all, *cpuid, *buckets;

	know_durations();
	guest = web_encode_guest(&view, true);
	all = json_object_get(guest, "exit_durations");
	assert_int_equal(json_object_size(all), 3);
	cpuid = json_object_get(all, "cpuid");
	assert_int_equal(json_integer_value(json_object_get(cpuid, "count")), 3);
	assert_true(json_number_value(json_object_get(cpuid, "seconds")) == 1.5e-6);
	buckets = json_object_get(cpuid, "buckets");
	assert_int_equal(json_array_size(buckets), 2);
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(buckets, 1), "below_ns")), 1024);
	buckets = json_object_get(json_object_get(all, "hlt"), "buckets");
	assert_null(json_object_get(json_array_get(buckets, 0), "below_ns"));
	json_decref(guest);
}

static void names_of_others_are_harmless(void **state)
{
	static const char hostile[] = "a\"b\\c\nd\x1b[31m\xc2\x9b\xff\xc3";
	struct guest_view view = make_view();
	char why[512], *text;
	json_t *guest;

	view.id = view.guest = vm.process = vm.unit = hostile;
	view.kvm_other = others;
	view.nr_kvm_other = 2;
	guest = web_encode_guest(&view, true);
	json_schema_assert("guest", guest);
	assert_string_equal(json_string_value(json_object_get(guest, "guest")),
			    "a\"b\\c\nd\x1b[31m\xc2\x9b??");
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(guest, "kvm_other"), "a\"b\n?")),
		8);
	json_decref(guest);
	text = encode(&view, 1, false);
	snprintf(why, sizeof(why),
		 "umbra_guest_info{guest=\"%s\",engine=\"kvm\",name=\"%s\",process=\"%s\","
		 "unit=\"%s\"} 1\n",
#define ESCAPED "a\\\"b\\\\c\\nd?[31m???"
		 ESCAPED, ESCAPED, ESCAPED, ESCAPED);
	assert_has(text, why);
	free(text);
}

/* Names in other alphabets stay what they are. */
static void names_in_utf8_are_kept(void **state)
{
	struct guest_view view = make_view();
	char *text;

	view.guest = "\xc3\xbcmlaut \xe2\x82\xac \xf0\x9f\x98\x80";
	text = encode(&view, 1, false);
	assert_non_null(strstr(text, "name=\"\xc3\xbcmlaut \xe2\x82\xac \xf0\x9f\x98\x80\""));
	free(text);
}

static void observed_guest_names_each_of_its_collectors(void **state)
{
	static const char *const expected[][2] = {
		{"kvm", "ok"},
		{"kvm_exits", "ok"},
		{"perf_event", "unsupported: this host has no PMU"},
	};
	struct guest_view view = make_view();
	json_t *guest = web_encode_guest(&view, true);
	json_t *collectors = json_object_get(guest, "collectors");

	assert_int_equal(json_array_size(collectors), 3);
	for (size_t i = 0; i < 3; i++) {
		json_t *one = json_array_get(collectors, i);

		assert_string_equal(json_string_value(json_object_get(one, "name")),
				    expected[i][0]);
		assert_string_equal(json_string_value(json_object_get(one, "state")),
				    expected[i][1]);
	}
	json_decref(guest);
}

static void cost_of_collectors_is_told_where_there_is_one(void **state)
{
	char *text = encode(NULL, 0, false);

	assert_has(text, "umbra_collector_run_time_seconds_total{collector=\"kvm_exits\"} 1.5\n");
	assert_has(text, "umbra_collector_runs_total{collector=\"kvm_exits\"} 12\n");
	assert_has(text, "umbra_collector_lost_events_total{collector=\"kvm_exits\"} 3\n");
	assert_has(text, "umbra_collector_unattributed_events_total{collector=\"kvm_exits\"} 4\n");
	assert_int_equal(count(text, "{collector=\"discovery\"}"), 1);
	free(text);
}

/* What a VM costs an operator's Prometheus at most, and with the reasons that are usual. */
static void vm_has_at_most_180_series(void **state)
{
	struct guest_view view = make_view();
	unsigned int all, usual;
	char *text;

	know_everything();
	view.mode = UMBRA_MODE_EPT;
	for (int i = 0; i < 12; i++)
		exits.exits[i] = 1;
	text = encode(&view, 1, false);
	usual = count(text, "{guest=\"");
	free(text);
	for (int i = 0; i < KVM_EXIT_REASON_COUNT; i++)
		exits.exits[i] = 1;
	text = encode(&view, 1, false);
	all = count(text, "{guest=\"");
	free(text);
	print_message("# %u series a VM, %u if it exits for every reason\n", usual, all);
	assert_int_equal(all, usual + KVM_EXIT_REASON_COUNT - 12);
	assert_in_range(all, 100, 180);
}

static void every_row_has_a_place_and_a_name_of_its_own(void **state)
{
	const struct metric_group *groups;
	size_t nr_groups, rows = 0;
	const size_t expected = 0
#define UMBRA_COUNTER(...) +1
#include "umbra/counters.def"
#define UMBRA_COUNTER(...) +1
#include "umbra/kvm.def"
#define UMBRA_COUNTER(...) +1
#include "collectors/kvm_exits.def"
#define UMBRA_COUNTER(...) +1
#include "collectors/perf_event.def"
		;

	groups = metric_groups(&nr_groups);
	for (size_t i = 0; i < nr_groups; i++) {
		char one[128], other[128];

		for (int source = 0; source < METRIC_SOURCE_COUNT; source++) {
			const struct metric *row = groups[i].from[source];

			rows += row != NULL;
			if (!row)
				continue;
			assert_int_equal(row->source, source);
			assert_ptr_equal(row->unit, groups[i].first->unit);
			assert_int_equal(row->kind, groups[i].first->kind);
			assert_int_equal(row->series, groups[i].first->series);
		}
		metric_family_name(groups[i].first, one, sizeof(one));
		for (size_t j = 0; j < i; j++) {
			metric_family_name(groups[j].first, other, sizeof(other));
			assert_string_not_equal(one, other);
			assert_false(!strcmp(groups[i].object, groups[j].object) &&
				     !strcmp(groups[i].key, groups[j].key));
		}
		assert_in_range(strlen(groups[i].help), 1, sizeof(groups[i].help) - 2);
	}
	assert_int_equal(rows, expected);
}

/* So whoever reads exits by reason need not know who counted them. */
static void reasons_of_the_core_are_reasons_of_kvm(void **state)
{
	static const char *const reasons[] = {
#define UMBRA_EXIT_REASON(name, help) #name,
#include "umbra/counters.def"
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		size_t j = 0;

		while (j < metric_kvm_exit_reasons.nr_values &&
		       strcmp(metric_kvm_exit_reasons.values[j].name, reasons[i]))
			j++;
		if (j == metric_kvm_exit_reasons.nr_values)
			fail_msg("%s is no exit reason of KVM", reasons[i]);
	}
}

static void advice_says_what_is_known_and_what_is_missing(void **state)
{
	struct guest_view view = make_view();
	struct advice advice = {
		.confidence = "none",
		.reason = "the walks are not measured",
		.missing = {{"walks", "unsupported: this host has no PMU"}},
		.nr_missing = 1,
		.recommendations = {{"huge_pages", "most pages are small", "echo always"}},
		.nr_recommendations = 1,
	};
	json_t *guest, *shown;

	view.advice = &advice;
	advice.cost[UMBRA_MODE_SHADOW] =
		(struct advice_cost){.exits_known = true, .exits_per_second = 5};
	guest = web_encode_guest(&view, false);
	json_schema_assert("guest", guest);
	shown = json_object_get(guest, "advice");
	assert_null(json_object_get(shown, "better"));
	assert_null(json_object_get(shown, "confidence_share"));
	assert_int_equal(json_object_size(json_object_get(shown, "cost")), 1);
	shown = json_object_get(json_object_get(shown, "cost"), "shadow");
	assert_int_equal(json_object_size(shown), 1);
	json_decref(guest);

	advice.mode_known = advice.better_known = true;
	advice.mode = UMBRA_MODE_SHADOW;
	advice.better = UMBRA_MODE_EPT;
	advice.confidence = "high";
	advice.cost[UMBRA_MODE_EPT] = (struct advice_cost){
		.known = true, .cycles_per_second = 7, .share_known = true, .share = 0.5};
	guest = web_encode_guest(&view, true);
	json_schema_assert("guest", guest);
	shown = json_object_get(guest, "advice");
	assert_string_equal(json_string_value(json_object_get(shown, "better")), "ept");
	assert_int_equal(json_object_size(json_object_get(shown, "cost")), 2);
	json_decref(guest);
}

static void host_tells_what_its_kvm_is(void **state)
{
	struct snapshot snapshot = {
		.journal = {.state = "ok"},
		.kvm = {.mode = UMBRA_MODE_COUNT},
	};
	json_t *host = web_encode_host(&snapshot, 1650000000), *shown;

	json_schema_assert("host", host);
	shown = json_object_get(host, "kvm");
	assert_true(json_is_false(json_object_get(shown, "available")));
	assert_int_equal(json_object_size(shown), 2);
	json_decref(host);
	snapshot.kvm = (struct kvm_host){
		.available = true,
		.module = "kvm_amd",
		.mode = UMBRA_MODE_SHADOW,
		.parameter = "kvm_amd.npt=0",
		.reason = "npt is off",
		.transparent_hugepage = "madvise",
		.nx_huge_pages = "N",
		.lockdown = "none",
		.hugetlb = {{2097152, 4, 3}},
		.nr_hugetlb = 1,
	};
	snapshot.kvm_engine = "ok";
	host = web_encode_host(&snapshot, 1650000000);
	json_schema_assert("host", host);
	shown = json_object_get(host, "kvm");
	assert_int_equal(json_object_size(shown), 9);
	assert_string_equal(json_string_value(json_object_get(shown, "mode")), "shadow");
	shown = json_object_get(json_object_get(host, "engines"), "kvm");
	assert_string_equal(json_string_value(shown), "ok");
	json_decref(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(observed_guest_matches_its_schema),
		cmocka_unit_test(only_guests_of_kvm_may_leave_things_out),
		cmocka_unit_test(soft_guest_has_all_metrics_or_none),
		cmocka_unit_test(what_no_source_knows_is_absent),
		cmocka_unit_test(sources_share_families_and_keys),
		cmocka_unit_test(metric_comes_from_the_first_source_that_knows_it),
		cmocka_unit_test(nanoseconds_are_seconds_in_series),
		cmocka_unit_test(exit_times_are_a_histogram_without_hlt),
		cmocka_unit_test(exit_durations_are_by_reason_in_json),
		cmocka_unit_test(names_of_others_are_harmless),
		cmocka_unit_test(names_in_utf8_are_kept),
		cmocka_unit_test(observed_guest_names_each_of_its_collectors),
		cmocka_unit_test(cost_of_collectors_is_told_where_there_is_one),
		cmocka_unit_test(vm_has_at_most_180_series),
		cmocka_unit_test(every_row_has_a_place_and_a_name_of_its_own),
		cmocka_unit_test(reasons_of_the_core_are_reasons_of_kvm),
		cmocka_unit_test(advice_says_what_is_known_and_what_is_missing),
		cmocka_unit_test(host_tells_what_its_kvm_is),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
