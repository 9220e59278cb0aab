/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra show: one guest, everything that is known of it. */
#include "config.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "client/api.h"
#include "client/client.h"
#include "client/table.h"
#include "client/words.h"

/* What is shown below, in another form. */
static bool has_own_part(const char *name)
{
	return !strcmp(name, "exit_durations") || !strcmp(name, "advice");
}

/* Every value of @object as "prefix.key", whatever umbrad measures: no list of names to keep here.
 */
static void print_values(const json_t *object, const char *prefix)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		char name[128];

		snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", key);
		if (has_own_part(name))
			continue;
		if (json_is_object(value))
			print_values(value, name);
		else if (json_is_integer(value))
			printf("%-36s %20" JSON_INTEGER_FORMAT "\n", name,
			       json_integer_value(value));
		else if (json_is_string(value))
			printf("%-36s %20s\n", name, json_string_value(value));
		else if (json_is_boolean(value))
			printf("%-36s %20s\n", name, json_is_true(value) ? "yes" : "no");
	}
}

static int print_switches(const json_t *switches)
{
	struct table *table;
	const json_t *made;
	size_t i;

	if (!json_array_size(switches))
		return 0;
	putchar('\n');
	table = table_create(">INSTRUCTION FROM TO >PAUSE-US >DROPPED >BUILT >REFILLS "
			     ">REFILL-CYCLES REASON");
	json_array_foreach(switches, i, made)
	{
		table_cell(table, "%.0f", api_number(made, "instruction"));
		table_cell(table, "%s", api_text(made, "from"));
		table_cell(table, "%s", api_text(made, "to"));
		table_cell(table, "%.1f", api_number(made, "pause_ns") / 1000);
		table_cell(table, "%.0f", api_number(made, "zapped"));
		table_cell(table, "%.0f", api_number(made, "built"));
		table_cell(table, "%.0f", api_number(made, "refill_fills"));
		table_cell(table, "%.0f", api_number(made, "refill_cycles"));
		table_cell(table, "%s", api_text(made, "reason"));
	}
	return table_print(table);
}

static int print_vcpus(const json_t *vcpus)
{
	struct table *table;
	const json_t *vcpu;
	size_t i;

	if (!json_array_size(vcpus))
		return 0;
	putchar('\n');
	table = table_create(">VCPU >THREAD");
	json_array_foreach(vcpus, i, vcpu)
	{
		table_cell(table, "%.0f", api_number(vcpu, "id"));
		if (json_object_get(vcpu, "tid"))
			table_cell(table, "%.0f", api_number(vcpu, "tid"));
		else
			table_cell(table, "-");
	}
	return table_print(table);
}

/* In microseconds, what at least @share of the exits took less than; "longer": there is no bound.
 */
static void add_bound(struct table *table, const json_t *duration, double share)
{
	const json_t *buckets = json_object_get(duration, "buckets"), *bucket;
	double left = share * api_number(duration, "count");
	size_t i;

	json_array_foreach(buckets, i, bucket)
	{
		left -= api_number(bucket, "count");
		if (left > 0)
			continue;
		if (json_object_get(bucket, "below_ns"))
			table_cell(table, "%.3f", api_number(bucket, "below_ns") / 1000);
		else
			table_cell(table, "longer");
		return;
	}
	table_cell(table, "-");
}

static int print_durations(const json_t *durations)
{
	struct table *table;
	const char *reason;
	json_t *one;

	if (!json_object_size(durations))
		return 0;
	putchar('\n');
	table = table_create("EXIT >TIMED >MEAN-US >HALF-BELOW-US >99%-BELOW-US");
	json_object_foreach((json_t *)durations, reason, one)
	{
		double count = api_number(one, "count");

		table_cell(table, "%s", reason);
		table_cell(table, "%.0f", count);
		table_cell(table, "%.3f", count > 0 ? api_number(one, "seconds") * 1e6 / count : 0);
		add_bound(table, one, 0.5);
		add_bound(table, one, 0.99);
	}
	return table_print(table);
}

/* What measures it, where that is not all that it could. */
static void print_collectors(const json_t *collectors)
{
	const json_t *collector;
	const char *separator = "\n";
	size_t i;

	json_array_foreach(collectors, i, collector)
	{
		if (!strcmp(api_text(collector, "state"), "ok"))
			continue;
		printf("%scollector %s: %s\n", separator, api_text(collector, "name"),
		       api_text(collector, "state"));
		separator = "";
	}
}

/* The newest decision, in a sentence. */
static void print_decision(const json_t *decisions)
{
	const json_t *last = json_array_get(decisions, json_array_size(decisions) - 1);
	char reason[512], text[640];

	if (!last)
		return;
	words_reason(last, reason, sizeof(reason));
	snprintf(text, sizeof(text), "last decision, %.0f: %s: %s", api_number(last, "id"),
		 api_text(last, "reason"), reason);
	putchar('\n');
	words_paragraph(text);
}

/* For an observed guest: what is known, what is missing, what can be done. */
static void print_advice(const json_t *advice)
{
	const json_t *one;
	char text[1024];
	size_t i;

	if (!advice)
		return;
	putchar('\n');
	snprintf(text, sizeof(text), "advice: %s", api_text(advice, "reason"));
	words_paragraph(text);
	json_array_foreach(json_object_get(advice, "missing"), i, one)
	{
		snprintf(text, sizeof(text), "not measured: %s: %s", api_text(one, "what"),
			 api_text(one, "why"));
		words_paragraph(text);
	}
	json_array_foreach(json_object_get(advice, "recommendations"), i, one)
	{
		snprintf(text, sizeof(text), "%s: %s", api_text(one, "reason"),
			 api_text(one, "how"));
		words_paragraph(text);
	}
}

int client_show(int argc, char **argv)
{
	struct api_options options;
	json_t *guest;
	int status = api_parse(argc, argv, API_HAS(JSON), 1, 1, "[--json] ID", &options);

	if (!status)
		status = api_ask_or_print(&options, "/api/v1/guests/%s", options.words[0], NULL,
					  &guest);
	if (status || !guest)
		return status;
	print_values(guest, "");
	status = print_vcpus(json_object_get(json_object_get(guest, "vm"), "vcpus"));
	if (!status)
		status = print_durations(json_object_get(guest, "exit_durations"));
	if (!status)
		status = print_switches(json_object_get(guest, "switches"));
	print_collectors(json_object_get(guest, "collectors"));
	print_advice(json_object_get(guest, "advice"));
	print_decision(json_object_get(guest, "decisions"));
	json_decref(guest);
	return status;
}
