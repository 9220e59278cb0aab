/* SPDX-License-Identifier: GPL-2.0-or-later */
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

#include "schemas/metrics.h"
#include "schemas/schema.h"
#include "schemas/types.h"
#include "tests/unit/json_schema.h"
#include "tests/unit/metrics_text.h"
#include "web/problem.h"
#include "web/view.h"

static struct umbra_counters counters;
static struct umbra_cost_table costs;
static const struct umbra_end end = {
	.reason = UMBRA_END_UNIMPLEMENTED_OPCODE,
	.rip = 0xffffffff81000000,
	.bytes = {0x0f, 0x0b},
	.nr_bytes = 2,
	.cpu_mode = "64-bit",
	.text = "no such opcode",
};
static const struct switch_record switches[] = {
	{{.instruction = 7, .from = UMBRA_MODE_EPT, .to = UMBRA_MODE_SHADOW}, "policy"},
};
static struct policy_decision decisions[2];
static const struct umbra_registers registers[] = {{.rip = 0x1234, .xmm = {{0x1, 0x2}}},
						   {.rip = 0x5678}};

static struct guest_view make_view(void)
{
	memset(&counters, 0, sizeof(counters));
	counters.instructions[0] = 1000;
	counters.exits[UMBRA_EXIT_cpuid] = 3;
	counters.walks[0] = 17;
	memset(decisions, 0, sizeof(decisions));
	for (int i = 0; i < 2; i++) {
		decisions[i] = (struct policy_decision){.id = i + 1, .reason = "cheaper"};
		decisions[i].mode = decisions[i].target = UMBRA_MODE_EPT;
		decisions[i].cost[UMBRA_MODE_EPT] = (struct policy_cost){true, 5, 0};
		decisions[i].inputs[POLICY_INPUT_walks] = (struct policy_input){17, true, false, 0};
	}
	decisions[1].after = (struct policy_after){.known = true, .intervals = 3, .paid = true};
	umbra_cost_table_init(&costs, "zen2");
	costs.file = "/etc/umbra/costs";
	umbra_cost_table_give(&costs, 0, true, 12, 34);
	return (struct guest_view){
		.id = "one",
		.state = "ended",
		.pid = 42,
		.guest = "one",
		.engine = "soft",
		.mode = UMBRA_MODE_SHADOW,
		.policy = POLICY_AUTO,
		.processor = "zen2",
		.costs = &costs,
		.measured[METRIC_CORE] = {.values = &counters},
		.end = &end,
		.switches = switches,
		.nr_switches = 1,
		.decisions = decisions,
		.nr_decisions = 2,
		.memory_hash = "00",
		.cpus = 2,
		.registers = registers,
	};
}

static void guest_matches_its_schema(void **state)
{
	struct guest_view view = make_view();
	json_t *guest = web_encode_guest(&view, true);

	json_schema_assert("guest", guest);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(guest, "walks"), "count")), 17);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(guest, "exits"), "cpuid")), 3);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(guest, "end"), "bytes")),
		"0f 0b");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(guest, "end"), "rip")),
		"0xffffffff81000000");
	json_decref(guest);
}

/* Measured or not, alive or not: "paused" is a state that no test can bring a guest of umbrad into.
 */
static void guest_of_each_state_matches_its_schema(void **state)
{
	for (int i = 0; i < 4 * GUEST_STATE_COUNT; i++) {
		struct guest_view view = make_view();
		json_t *guest;

		view.state = guest_state_name(i / 4);
		view.started = i % 4 ? 1650000000 : 0;
		if (i & 1)
			view.measured[METRIC_CORE].values = NULL;
		if (i & 2) {
			view.end = NULL;
			view.registers = NULL;
			view.memory_hash = NULL;
		}
		guest = web_encode_guest(&view, true);
		json_schema_assert("guest", guest);
		assert_string_equal(json_string_value(json_object_get(guest, "state")), view.state);
		assert_int_equal(json_object_get(guest, "instructions") != NULL, !(i & 1));
		json_decref(guest);
	}
}

/* One guest whose worker scribbles into its counters must not make the list of all unreadable. */
static void counter_that_no_guest_reaches_is_still_json(void **state)
{
	struct guest_view view = make_view();
	json_t *value;

	memset(&counters, 0xff, sizeof(counters));
	value = web_encode_guest(&view, false);
	assert_non_null(value);
	assert_int_equal(json_integer_value(json_object_get(value, "instructions")), INT64_MAX);
	json_decref(value);
}

static void costs_are_shown_with_their_origin(void **state)
{
	struct guest_view view = make_view();
	json_t *costs = web_encode_costs(view.costs), *figures, *figure;

	assert_string_equal(json_string_value(json_object_get(costs, "processor")), "zen2");
	assert_true(json_is_false(json_object_get(costs, "calibrated")));
	assert_int_equal(json_integer_value(json_object_get(costs, "borrowed")),
			 umbra_cost_table_borrowed(view.costs));
	figures = json_object_get(costs, "figures");
	assert_int_equal(json_object_size(figures), 2);
	figure = json_object_get(figures, umbra_cost_rows[0].name);
	assert_int_equal(json_integer_value(json_object_get(figure, "cycles")), 12);
	assert_int_equal(json_integer_value(json_object_get(figure, "default")),
			 umbra_cost_rows[0].cycles);
	assert_string_equal(json_string_value(json_object_get(figure, "origin")),
			    "/etc/umbra/costs, line 34");
	figure = json_object_get(figures, "exit");
	assert_non_null(strstr(json_string_value(json_object_get(figure, "origin")), "VMRUN"));
	json_decref(costs);
}

static void every_metric_of_the_core_is_in_json(void **state)
{
	struct guest_view view = make_view();
	json_t *guest = web_encode_guest(&view, false);
	const struct metric_group *groups;
	size_t nr_groups;

	groups = metric_groups(&nr_groups);
	for (size_t i = 0; i < nr_groups; i++) {
		const char *object = groups[i].object;
		json_t *place = *object ? json_object_get(guest, object) : guest;

		if (groups[i].from[METRIC_CORE])
			assert_non_null(json_object_get(place, groups[i].key));
	}
	json_decref(guest);
}

static void what_was_not_measured_is_absent(void **state)
{
	struct guest_view view = make_view();
	json_t *guest;

	view.measured[METRIC_CORE].values = NULL;
	view.end = NULL;
	view.pid = 0;
	guest = web_encode_guest(&view, false);
	assert_null(json_object_get(guest, "instructions"));
	assert_null(json_object_get(guest, "tlb"));
	assert_null(json_object_get(guest, "end"));
	assert_null(json_object_get(guest, "pid"));
	json_decref(guest);
}

static void unknown_inputs_and_costs_are_absent(void **state)
{
	json_t *decision;

	make_view();
	decision = web_encode_decision(&decisions[0]);
	assert_int_equal(json_object_size(json_object_get(decision, "inputs")), 1);
	assert_int_equal(json_object_size(json_object_get(decision, "cost")), 1);
	assert_true(json_is_null(json_object_get(decision, "after")));
	json_decref(decision);
	decision = web_encode_decision(&decisions[1]);
	assert_int_equal(json_object_size(json_object_get(decision, "after")), 5);
	json_decref(decision);
}

static void families_follow_the_conventions_of_prometheus(void **state)
{
	const struct metric_group *groups;
	size_t nr_groups;

	groups = metric_groups(&nr_groups);
	for (size_t i = 0; i < nr_groups; i++) {
		char family[128], word[128], *rest = family, *next;
		char last[128] = "";

		metric_family_name(groups[i].first, family, sizeof(family));
		assert_int_equal(strncmp(family, "umbra_guest_", 12), 0);
		assert_null(strstr(family, "_total"));
		while ((next = strsep(&rest, "_"))) {
			snprintf(word, sizeof(word), "%s", next);
			assert_string_not_equal(word, last);
			strcpy(last, word);
		}
	}
}

static const struct collector_view collectors[] = {
	{.name = "soft", .state = "ok", .help = "Counters"},
	{.name = "kvm", .state = "unsupported: no KVM", .help = "Statistics of KVM"},
};

static char *encode(struct guest_view *guests, size_t nr_guests, bool open_metrics)
{
	static struct web_statistics statistics;
	const struct snapshot snapshot = {
		.time = {1700000000, 500000000},
		.sampling = {3, 0.25},
		.guests = guests,
		.nr_guests = nr_guests,
		.collectors = collectors,
		.nr_collectors = 2,
	};
	const struct process_view process = {
		.started = 1600000000,
		.cpu_seconds = 1.5,
		.resident_bytes = 4096,
		.open_fds = 7,
		.max_fds = UINT64_MAX,
	};
	const struct metrics_view view = {&snapshot, &statistics, &process};

	web_count_answer(&statistics, LISTENER_UNIX, 404);
	return metrics_text(&view, open_metrics);
}

static void label_values_are_escaped(void **state)
{
	struct guest_view view = make_view();
	char *text;

	view.id = "a\"b\\c\nd";
	text = encode(&view, 1, false);
	assert_has(text, "umbra_guest_instructions_total{guest=\"a\\\"b\\\\c\\nd\"} 1000\n");
	free(text);
}

static void both_forms_have_the_same_samples(void **state)
{
	static const char *const samples[] = {
		("umbra_build_info{version=\"" PACKAGE_VERSION "\"} 1\n"),
		"umbra_guests{state=\"ended\"} 1\n",
		"umbra_guests{state=\"running\"} 0\n",
		"umbra_collector_up{collector=\"soft\"} 1\n",
		"umbra_collector_up{collector=\"kvm\"} 0\n",
		"umbra_snapshot_timestamp_seconds 1700000000.5\n",
		"umbra_sampling_duration_seconds_sum 0.25\n",
		"umbra_sampling_duration_seconds_count 3\n",
		"umbra_http_requests_total{listener=\"tcp\",code=\"404\"} 0\n",
		"process_cpu_seconds_total 1.5\n",
		"process_resident_memory_bytes 4096\n",
		"process_open_fds 7\n",
		("umbra_guest_info{guest=\"one\",engine=\"soft\",processor=\"zen2\",clock="
		 "\"cycles\"} 1\n"),
		"umbra_guest_cpus{guest=\"one\"} 2\n",
		"umbra_guest_start_time_seconds{guest=\"one\"} 1650000000\n",
		"umbra_guest_restarts_total{guest=\"one\"} 4\n",
		"umbra_guest_mode{guest=\"one\",mode=\"shadow\"} 1\n",
		"umbra_guest_mode{guest=\"one\",mode=\"ept\"} 0\n",
		"umbra_guest_exits_total{guest=\"one\",reason=\"cpuid\"} 3\n",
		"umbra_guest_memory_touched_bytes{guest=\"one\"} 0\n",
	};
	struct guest_view view = make_view();

	view.started = 1650000000;
	view.starts = 5;
	for (int open_metrics = 0; open_metrics < 2; open_metrics++) {
		char *text = encode(&view, 1, open_metrics);

		for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
			assert_has(text, samples[i]);
		/* What is not known is absent. */
		assert_null(strstr(text, "\nprocess_max_fds "));
		free(text);
	}
}

static void each_form_names_families_its_own_way(void **state)
{
	struct guest_view view = make_view();
	char *text = encode(&view, 1, false);

	assert_has(text, "# TYPE umbra_guest_exits_total counter\n");
	assert_has(text, "# TYPE umbra_build_info gauge\n");
	assert_null(strstr(text, "# UNIT"));
	assert_null(strstr(text, "# EOF"));
	free(text);
	text = encode(&view, 1, true);
	assert_has(text, "# TYPE umbra_guest_exits counter\n");
	assert_has(text, "# TYPE umbra_build info\n");
	assert_has(
		text,
		"# TYPE umbra_guest_walk_cycles counter\n# UNIT umbra_guest_walk_cycles cycles\n");
	assert_has(text, "# UNIT process_cpu_seconds seconds\n");
	assert_null(strstr(text, "# UNIT umbra_guest_exits"));
	assert_string_equal(text + strlen(text) - strlen("\n# EOF\n"), "\n# EOF\n");
	free(text);
}

/* What is not measured is not there, and what an operator's Prometheus keeps a guest is bounded. */
static void guest_has_at_most_60_series(void **state)
{
	struct guest_view view = make_view();
	unsigned int series = 0, without = 0;
	char *text = encode(&view, 1, true);

	view.started = 1650000000;
	free(text);
	text = encode(&view, 1, true);
	for (const char *p = text; (p = strstr(p, "{guest=\"one\"")); p++)
		series++;
	free(text);
	print_message("# %u series a guest\n", series);
	assert_in_range(series, 40, 60);
	view.measured[METRIC_CORE].values = NULL;
	text = encode(&view, 1, true);
	for (const char *p = text; (p = strstr(p, "{guest=\"one\"")); p++)
		without++;
	assert_null(strstr(text, "umbra_guest_instructions_total{"));
	assert_in_range(without, 1, 20);
	free(text);
}

static void schema_names_are_those_that_are_served(void **state)
{
	const char *name;
	size_t count = 0;

	for (; (name = schema_name(count)); count++) {
		json_t *schema = schema_build(name);

		assert_non_null(schema);
		json_decref(schema);
	}
	assert_true(count > 0);
	assert_null(schema_build("registers"));
	assert_null(schema_build("nonsense"));
}

static void problem_tells_status_and_detail(void **state)
{
	char *text = web_problem(404, "/x\"y", "nothing");
	json_t *problem = json_loads(text, 0, NULL);

	assert_int_equal(json_integer_value(json_object_get(problem, "status")), 404);
	assert_string_equal(json_string_value(json_object_get(problem, "title")), "Not Found");
	assert_string_equal(json_string_value(json_object_get(problem, "instance")), "/x\"y");
	json_decref(problem);
	free(text);
	/* A path that is no UTF-8 must not cost the answer. */
	text = web_problem(404, "/\xff", "nothing");
	problem = json_loads(text, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(problem, "instance")), "/?");
	json_decref(problem);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guest_matches_its_schema),
		cmocka_unit_test(guest_of_each_state_matches_its_schema),
		cmocka_unit_test(counter_that_no_guest_reaches_is_still_json),
		cmocka_unit_test(costs_are_shown_with_their_origin),
		cmocka_unit_test(every_metric_of_the_core_is_in_json),
		cmocka_unit_test(what_was_not_measured_is_absent),
		cmocka_unit_test(unknown_inputs_and_costs_are_absent),
		cmocka_unit_test(families_follow_the_conventions_of_prometheus),
		cmocka_unit_test(label_values_are_escaped),
		cmocka_unit_test(both_forms_have_the_same_samples),
		cmocka_unit_test(each_form_names_families_its_own_way),
		cmocka_unit_test(guest_has_at_most_60_series),
		cmocka_unit_test(schema_names_are_those_that_are_served),
		cmocka_unit_test(problem_tells_status_and_detail),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
