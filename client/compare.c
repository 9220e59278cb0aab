/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra compare: the same guest in each mode, one table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "client/client.h"
#include "client/options.h"
#include "client/report.h"
#include "client/session.h"

#define EXITS_SHOWN 6

struct column {
	struct session *session;
	const char *name;
	const struct umbra_counters *counters;
	char end[512];
	char hash[33];
	int status;
};

static uint64_t best_cycles(const struct column *columns, unsigned int nr)
{
	uint64_t best = UINT64_MAX;

	/* bare has no VMM: it is the yardstick, not a choice. */
	for (unsigned int i = 0; i < nr; i++) {
		bool bare = !strcmp(columns[i].name, "bare");

		if ((!bare || nr == 1) && columns[i].counters->cycles[0] < best)
			best = columns[i].counters->cycles[0];
	}
	return best;
}

typedef void (*cell)(const struct column *column, uint64_t best, char text[GROUPED_SIZE]);

#define CELL(name)                                                                                 \
	static void name(const struct column *column, uint64_t best, char text[GROUPED_SIZE])

CELL(cell_instructions)
{
	report_grouped(column->counters->instructions[0], text);
}

CELL(cell_cycles)
{
	report_grouped(column->counters->cycles[0], text);
}

CELL(cell_ratio)
{
	snprintf(text, GROUPED_SIZE, "%.3f", best ? (double)column->counters->cycles[0] / best : 0);
}

CELL(cell_walk_share)
{
	snprintf(text, GROUPED_SIZE, "%.1f%%",
		 report_percent(column->counters->walk_cycles[0], column->counters->cycles[0]));
}

CELL(cell_exit_share)
{
	snprintf(text, GROUPED_SIZE, "%.1f%%",
		 report_percent(column->counters->exit_cycles[0], column->counters->cycles[0]));
}

CELL(cell_walks)
{
	report_grouped(column->counters->walks[0], text);
}

CELL(cell_references)
{
	const struct umbra_counters *c = column->counters;
	uint64_t references = c->walk_references_guest[0] + c->walk_references_nested[0];

	snprintf(text, GROUPED_SIZE, "%.2f", c->walks[0] ? (double)references / c->walks[0] : 0);
}

CELL(cell_exits)
{
	report_grouped(report_total_exits(column->counters), text);
}

CELL(cell_switches)
{
	report_grouped(pilot_nr_switches(session_pilot(column->session)), text);
}

CELL(cell_refill)
{
	snprintf(text, GROUPED_SIZE, "%.1f%%",
		 report_percent(column->counters->refill_cycles[0], column->counters->cycles[0]));
}

CELL(cell_mode)
{
	snprintf(text, GROUPED_SIZE, "%s",
		 umbra_mode_name(umbra_guest_mode(session_guest(column->session))));
}

static const struct {
	const char *name;
	cell cell;
} lines[] = {
	{"instructions", cell_instructions},
	{"cycles", cell_cycles},
	{"ratio to the best (bare apart)", cell_ratio},
	{"time in walks", cell_walk_share},
	{"time in exits", cell_exit_share},
	{"walks", cell_walks},
	{"references a walk", cell_references},
	{"switches", cell_switches},
	{"time in refills", cell_refill},
	{"mode at the end", cell_mode},
	{"VM exits", cell_exits},
};

static void print_exits(const struct column *columns, unsigned int nr)
{
	struct umbra_counters sum = {0};
	enum umbra_exit_reason reasons[UMBRA_EXIT_REASON_COUNT];
	unsigned int nr_reasons;

	for (unsigned int i = 0; i < nr; i++) {
		for (int reason = 0; reason < UMBRA_EXIT_REASON_COUNT; reason++)
			sum.exits[reason] += columns[i].counters->exits[reason];
	}
	nr_reasons = report_exits_by_count(&sum, reasons);
	for (unsigned int k = 0; k < nr_reasons && k < EXITS_SHOWN; k++) {
		printf("  %-30s", umbra_exit_reason_name(reasons[k]));
		for (unsigned int i = 0; i < nr; i++) {
			char text[GROUPED_SIZE];

			printf(" %17s",
			       report_grouped(columns[i].counters->exits[reasons[k]], text));
		}
		putchar('\n');
	}
}

/* What auto did, a line a switch. */
static void print_decisions(const struct column *column)
{
	const struct policy_decision *decisions;
	size_t nr = pilot_decisions(session_pilot(column->session), &decisions);

	for (size_t i = 0; i < nr; i++) {
		const struct policy_decision *d = &decisions[i];
		char at[GROUPED_SIZE];

		if (d->action == POLICY_STAY)
			continue;
		printf("  at %s: %s to %s (%s): estimated %.2f against %.2f million cycles an "
		       "interval",
		       report_grouped(d->instruction, at), umbra_mode_name(d->mode),
		       umbra_mode_name(d->target), d->reason, d->cost[d->target].cycles / 1e6,
		       d->cost[d->mode].cycles / 1e6);
		if (d->after.known)
			printf("; cycles an instruction %.3f before, %.3f after",
			       d->after.cycles_per_instruction_before,
			       d->after.cycles_per_instruction);
		putchar('\n');
	}
}

static void print_table(const struct options *options, const struct column *columns,
			unsigned int nr)
{
	uint64_t best = best_cycles(columns, nr);

	printf("%-32s", options->image);
	for (unsigned int i = 0; i < nr; i++)
		printf(" %17s", columns[i].name);
	putchar('\n');
	for (size_t k = 0; k < sizeof(lines) / sizeof(lines[0]); k++) {
		printf("%-32s", lines[k].name);
		for (unsigned int i = 0; i < nr; i++) {
			char text[GROUPED_SIZE];

			lines[k].cell(&columns[i], best, text);
			printf(" %17s", text);
		}
		putchar('\n');
	}
	print_exits(columns, nr);
	report_costs(stdout, &options->costs);
	for (unsigned int i = 0; i < nr; i++) {
		printf("%s ended: %s\n", columns[i].name, columns[i].end);
		print_decisions(&columns[i]);
	}
	for (unsigned int i = 1; i < nr; i++) {
		if (strcmp(columns[i].hash, columns[0].hash))
			printf("memory at the end differs between %s and %s\n", columns[0].name,
			       columns[i].name);
	}
}

static int run_column(const struct options *options, const struct mode_choice *choice,
		      struct column *column)
{
	struct session_config config = {
		.options = options, .choice = *choice, .image = options->image};
	int status = session_create(&config, &column->session);

	if (status)
		return status;
	column->name = mode_choice_name(choice);
	column->status = session_run(column->session);
	column->counters = umbra_guest_counters(session_guest(column->session));
	report_end(session_guest(column->session), column->end, sizeof(column->end));
	umbra_guest_memory_hash(session_guest(column->session), column->hash);
	return 0;
}

static json_t *all_json(const struct column *columns, unsigned int nr)
{
	json_t *runs = json_array();

	for (unsigned int i = 0; i < nr; i++) {
		json_t *run = session_json(columns[i].session);

		if (!run || json_object_set_new(run, "asked", json_string(columns[i].name)) ||
		    json_array_append_new(runs, run)) {
			json_decref(runs);
			return NULL;
		}
	}
	return json_pack("{s:o}", "runs", runs);
}

int client_compare(int argc, char **argv)
{
	struct column columns[MODE_CHOICES_MAX] = {0};
	struct options options;
	unsigned int nr = 0;
	FILE *json = NULL;
	int status, err;

	if (!options_parse(&options, VERB_COMPARE, argc, argv, &status))
		return status;
	status = session_open_json(&options, &json);
	if (status)
		return status;
	for (; nr < options.nr_choices && !status; nr++) {
		status = run_column(&options, &options.choices[nr], &columns[nr]);
		/* A signal ends the whole comparison. */
		if (!status && columns[nr].status > STATUS_SIGNAL)
			status = columns[nr].status;
	}
	if (!status) {
		print_table(&options, columns, nr);
		for (unsigned int i = 0; i < nr && !status; i++)
			status = columns[i].status;
		if (json) {
			err = session_write_json(&options, all_json(columns, nr), json);
			json = NULL;
			if (err)
				status = err;
		}
	}
	if (json)
		fclose(json);
	for (unsigned int i = 0; i < nr; i++)
		session_destroy(columns[i].session);
	return status;
}
