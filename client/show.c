/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra show: one guest, everything that is known of it. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "client/api.h"
#include "client/client.h"
#include "client/table.h"
#include "client/words.h"

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
	status = print_switches(json_object_get(guest, "switches"));
	print_decision(json_object_get(guest, "decisions"));
	json_decref(guest);
	return status;
}
