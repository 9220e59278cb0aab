/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra decisions: what the policy decided for a guest, and what came of it. */
#include "config.h"

#include <stdio.h>

#include "client/api.h"
#include "client/client.h"

enum { DEFAULT_ROWS = 40 };

static void print_cost(const json_t *costs, const char *mode)
{
	const json_t *cost = json_object_get(costs, mode);

	if (cost)
		printf(" %14.0f", api_number(cost, "cycles"));
	else
		printf(" %14s", "-");
}

static void print_decision(const json_t *decision)
{
	const json_t *costs = json_object_get(decision, "cost");
	const json_t *after = json_object_get(decision, "after");

	printf("%6.0f %14.0f %-7s", api_number(decision, "id"), api_number(decision, "time"),
	       api_text(decision, "mode"));
	print_cost(costs, "brute");
	print_cost(costs, "shadow");
	print_cost(costs, "ept");
	printf(" %14.0f %14.0f  %-8s %-7s %-12s", api_number(decision, "advantage"),
	       api_number(decision, "threshold"), api_text(decision, "action"),
	       api_text(decision, "target"), api_text(decision, "reason"));
	if (json_is_object(after))
		printf(" %.2f -> %.2f", api_number(after, "cycles_per_instruction_before"),
		       api_number(after, "cycles_per_instruction"));
	putchar('\n');
}

int client_decisions(int argc, char **argv)
{
	struct api_options options;
	json_t *answer, *decision;
	char path[128];
	size_t i;
	int status = api_parse(argc, argv, true, 1, 1, "[--json] [--limit N] ID", &options);

	if (status)
		return status;
	/* People get a screenful unless they ask for more; --json has umbrad's default. */
	if (options.limit)
		snprintf(path, sizeof(path), "/api/v1/guests/%%s/decisions?limit=%.32s",
			 options.limit);
	else if (options.json)
		snprintf(path, sizeof(path), "/api/v1/guests/%%s/decisions");
	else
		snprintf(path, sizeof(path), "/api/v1/guests/%%s/decisions?limit=%d", DEFAULT_ROWS);
	status = api_ask(&options, path, options.words[0], NULL, &answer);
	if (status || !answer)
		return status;
	printf("%6s %14s %-7s %14s %14s %14s %14s %14s  %-8s %-7s %-12s %s\n", "ID", "TIME", "MODE",
	       "BRUTE CYCLES", "SHADOW CYCLES", "EPT CYCLES", "ADVANTAGE", "THRESHOLD", "ACTION",
	       "TARGET", "REASON", "CYCLES/INS BEFORE -> AFTER");
	json_array_foreach(json_object_get(answer, "decisions"), i, decision)
		print_decision(decision);
	json_decref(answer);
	return 0;
}
