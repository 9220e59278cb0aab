/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra show: one guest, everything that is known of it. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "client/api.h"
#include "client/client.h"

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

static void print_switches(const json_t *switches)
{
	const json_t *made;
	size_t i;

	if (!json_array_size(switches))
		return;
	printf("\n%16s %-8s %-8s %12s %8s %8s %10s %14s  %s\n", "INSTRUCTION", "FROM", "TO",
	       "PAUSE NS", "DROPPED", "BUILT", "REFILLS", "REFILL CYCLES", "REASON");
	json_array_foreach(switches, i, made)
	{
		printf("%16.0f %-8s %-8s %12.0f %8.0f %8.0f %10.0f %14.0f  %s\n",
		       api_number(made, "instruction"), api_text(made, "from"),
		       api_text(made, "to"), api_number(made, "pause_ns"),
		       api_number(made, "zapped"), api_number(made, "built"),
		       api_number(made, "refill_fills"), api_number(made, "refill_cycles"),
		       api_text(made, "reason"));
	}
}

int client_show(int argc, char **argv)
{
	struct api_options options;
	json_t *guest;
	int status = api_parse(argc, argv, false, 1, 1, "[--json] ID", &options);

	if (!status)
		status = api_ask(&options, "/api/v1/guests/%s", options.words[0], NULL, &guest);
	if (status || !guest)
		return status;
	print_values(guest, "");
	print_switches(json_object_get(guest, "switches"));
	json_decref(guest);
	return 0;
}
