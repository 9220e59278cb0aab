/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra decisions: what the policy decided for a guest, and what came of it. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/api.h"
#include "client/client.h"
#include "client/table.h"
#include "client/words.h"

#define DEFAULT_ROWS "40"

static void cost(struct table *table, const json_t *decision, const char *mode)
{
	const json_t *cost = json_object_get(json_object_get(decision, "cost"), mode);

	if (cost)
		table_cell(table, "%.2f", api_number(cost, "cycles") / 1e6);
	else
		table_cell(table, "-");
}

/* The time of day of an RFC 3339 time. */
static void time_of_day(struct table *table, const json_t *decision)
{
	const char *at = api_text(decision, "at"), *time = strchr(at, 'T');

	table_cell(table, "%.8s", time ? time + 1 : "-");
}

static void add_decision(struct table *table, const json_t *decision)
{
	const char *action = api_text(decision, "action"), *target = api_text(decision, "target");
	bool stays = !strcmp(action, "stay"), back = !strcmp(action, "rollback");
	const json_t *after = json_object_get(decision, "after");
	double count = api_number(decision, "count");

	table_cell(table, "%.0f", api_number(decision, "id"));
	table_cell(table, count > 1 ? "x%.0f" : "", count);
	time_of_day(table, decision);
	table_cell(table, "%s", api_text(decision, "mode"));
	cost(table, decision, "brute");
	cost(table, decision, "shadow");
	cost(table, decision, "ept");
	table_cell(table, "%.2f", api_number(decision, "advantage") / 1e6);
	table_cell(table, "%.2f", api_number(decision, "threshold") / 1e6);
	if (!stays)
		table_cell(table, "%s %s", back ? "back" : "to", target);
	else if (strcmp(target, api_text(decision, "mode")))
		table_cell(table, "(%s)", target); /* it would have, but may not */
	else
		table_cell(table, "stay");
	table_cell(table, "%s", api_text(decision, "reason"));
	table_cell(table, "%s",
		   !json_is_object(after)                         ? "-"
		   : json_is_true(json_object_get(after, "paid")) ? "yes"
								  : "no");
}

static int print_table(const json_t *decisions)
{
	struct table *table = table_create(">ID >TIMES AT MODE >BRUTE >SHADOW >EPT >GAIN >NEEDED "
					   "ACTION REASON PAID");
	const json_t *decision;
	size_t i;

	json_array_foreach(decisions, i, decision) add_decision(table, decision);
	if (json_array_size(decisions))
		table_note(
			table,
			"Costs, GAIN (what another mode would have saved by now) and NEEDED (for "
			"a switch) in\nmillion cycles. --explain ID tells one in words.");
	return table_print(table);
}

/* Stays for the same reason are one row, which has the numbers of all of them. */
static bool is_in_row(const json_t *decision, double id)
{
	double first = json_object_get(decision, "first_id") ? api_number(decision, "first_id")
							     : api_number(decision, "id");

	return decision && first <= id && id <= api_number(decision, "id");
}

static int explain(const struct api_options *options, const json_t *answer)
{
	const json_t *decision = json_array_get(json_object_get(answer, "decisions"), 0);
	double id = strtod(options->value[API_EXPLAIN], NULL);
	char *text;

	if (!is_in_row(decision, id)) {
		fprintf(stderr, "umbra decisions: %s has no decision %s that is still kept\n",
			options->words[0], options->value[API_EXPLAIN]);
		return CLIENT_NO_FILE;
	}
	if (!options->value[API_JSON]) {
		words_explain(options->words[0], decision);
		return 0;
	}
	text = json_dumps(decision, JSON_COMPACT);
	if (!text)
		return CLIENT_FAULT;
	puts(text);
	free(text);
	return 0;
}

int client_decisions(int argc, char **argv)
{
	struct api_options options;
	json_t *answer;
	char path[160];
	int status = api_parse(argc, argv, API_HAS(JSON) | API_HAS(LIMIT) | API_HAS(EXPLAIN), 1, 1,
			       "[--json] [--limit N | --explain ID] ID", &options);
	const char *limit = options.value[API_LIMIT], *id = options.value[API_EXPLAIN];

	if (status)
		return status;
	if (id && limit) {
		fprintf(stderr, "umbra decisions: --explain and --limit exclude each other\n");
		return CLIENT_USAGE;
	}
	/* People get a screenful unless they ask for more; --json has umbrad's default. */
	if (id)
		snprintf(path, sizeof(path), "/api/v1/guests/%%s/decisions?limit=1&before=%" PRIu64,
			 (uint64_t)strtoull(id, NULL, 10) + 1);
	else if (limit || !options.value[API_JSON])
		snprintf(path, sizeof(path), "/api/v1/guests/%%s/decisions?limit=%.20s",
			 limit ? limit : DEFAULT_ROWS);
	else
		snprintf(path, sizeof(path), "/api/v1/guests/%%s/decisions");
	status = id ? api_ask(&options, path, options.words[0], NULL, &answer)
		    : api_ask_or_print(&options, path, options.words[0], NULL, &answer);
	if (status || !answer)
		return status;
	status = id ? explain(&options, answer) : print_table(json_object_get(answer, "decisions"));
	json_decref(answer);
	return status;
}
