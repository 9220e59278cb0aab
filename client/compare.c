/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbra compare: the same guest in each mode, one table. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "client/client.h"
#include "client/options.h"
#include "client/report.h"
#include "client/session.h"

#define LINES_MAX      64
#define SWITCHES_SHOWN 8

/* What is kept of a run: its guest, with all its memory, is gone before the next one begins. */
struct column {
	const char *name;
	enum umbra_mode mode; /* at the end */
	enum policy_kind policy;
	struct umbra_counters counters;
	struct policy_decision *decisions;
	size_t nr_decisions;
	json_t *json; /* NULL: not asked for */
	char end[512];
	char hash[33];
	int status;
};

/* --- the table ---------------------------------------------------------------------------- */

typedef void (*cell)(const struct column *column, uint64_t best, char text[GROUPED_SIZE]);

/* A cell of its own making, or the sum of @nr counters that follow each other at @offset. */
struct row {
	const char *name;
	cell cell;
	size_t offset;
	unsigned int nr;
	bool optional; /* not shown where all modes have none */
};

/* All text is made before any is printed: a column is as wide as its widest cell. */
struct table {
	unsigned int nr_columns, nr_lines;
	struct {
		const char *name;
		char text[MODE_CHOICES_MAX][GROUPED_SIZE];
	} line[LINES_MAX];
};

static uint64_t best_cycles(const struct column *columns, unsigned int nr)
{
	uint64_t best = UINT64_MAX;

	/* bare has no VMM: it is the yardstick, not a choice. */
	for (unsigned int i = 0; i < nr; i++) {
		bool bare = !strcmp(columns[i].name, "bare");

		if ((!bare || nr == 1) && columns[i].counters.cycles[0] < best)
			best = columns[i].counters.cycles[0];
	}
	return best;
}

static void share(const struct column *column, uint64_t cycles, char text[GROUPED_SIZE])
{
	snprintf(text, GROUPED_SIZE, "%.1f%%", report_percent(cycles, column->counters.cycles[0]));
}

#define CELL(name)                                                                                 \
	static void name(const struct column *column, uint64_t best, char text[GROUPED_SIZE])

CELL(cell_ratio)
{
	snprintf(text, GROUPED_SIZE, "%.3f", best ? (double)column->counters.cycles[0] / best : 0);
}

CELL(cell_walk_share)
{
	share(column, column->counters.walk_cycles[0], text);
}

CELL(cell_exit_share)
{
	share(column, column->counters.exit_cycles[0], text);
}

CELL(cell_refill_share)
{
	share(column, column->counters.refill_cycles[0], text);
}

CELL(cell_references)
{
	const struct umbra_counters *c = &column->counters;
	uint64_t references = c->walk_references_guest[0] + c->walk_references_nested[0];

	snprintf(text, GROUPED_SIZE, "%.2f", c->walks[0] ? (double)references / c->walks[0] : 0);
}

CELL(cell_mode)
{
	snprintf(text, GROUPED_SIZE, "%s", umbra_mode_name(column->mode));
}

#define MADE(cell)   cell, 0, 0
#define COUNT(field) NULL, offsetof(struct umbra_counters, field), 1
#define SUM(field)                                                                                 \
	NULL, offsetof(struct umbra_counters, field),                                              \
		sizeof(((struct umbra_counters *)0)->field) / sizeof(uint64_t)
#define COUNT_OF(field, at) NULL, offsetof(struct umbra_counters, field[at]), 1

static const struct row rows[] = {
	{"instructions", COUNT(instructions), false},
	{"cycles", COUNT(cycles), false},
	{"ratio to the best (bare apart)", MADE(cell_ratio), false},
	{"time in walks", MADE(cell_walk_share), false},
	{"time in exits", MADE(cell_exit_share), false},
	{"references a walk", MADE(cell_references), false},
	{"walks", COUNT(walks), false},
	{"TLB misses", SUM(tlb_misses), false},
#define UMBRA_ACCESS(name, help) {"  " #name, COUNT_OF(tlb_misses, UMBRA_ACCESS_##name), false},
#include "umbra/counters.def"
#undef UMBRA_ACCESS
	{"VM exits", SUM(exits), false},
};

/* Behind the exits by their reasons and what the VMM did to keep its tables. */
static const struct row rows_below[] = {
	{"switches", COUNT(switches), false},
	{"time in refills", MADE(cell_refill_share), false},
	{"mode at the end", MADE(cell_mode), false},
};

#define NR_ROWS(rows)  (sizeof(rows) / sizeof((rows)[0]))

#define TABLE_WORK_MAX 16

_Static_assert(NR_ROWS(rows) + UMBRA_EXIT_REASON_COUNT + TABLE_WORK_MAX + NR_ROWS(rows_below) <=
		       LINES_MAX,
	       "the table has room for every row");

static void add_line(struct table *table, const struct row *row, const struct column *columns)
{
	uint64_t best = best_cycles(columns, table->nr_columns), all = 0;

	for (unsigned int i = 0; i < table->nr_columns; i++) {
		const char *counters = (const char *)&columns[i].counters;
		const uint64_t *counter = (const uint64_t *)(counters + row->offset);
		char *text = table->line[table->nr_lines].text[i];
		uint64_t count = 0;

		if (row->cell) {
			row->cell(&columns[i], best, text);
			continue;
		}
		for (unsigned int n = 0; n < row->nr; n++)
			count += counter[n];
		report_grouped(count, text);
		all += count;
	}
	table->line[table->nr_lines].name = row->name;
	table->nr_lines += all || !row->optional;
}

static void add_exits(struct table *table, const struct column *columns)
{
	struct umbra_counters sum = {0};
	enum umbra_exit_reason reasons[UMBRA_EXIT_REASON_COUNT];
	unsigned int nr_reasons;

	for (unsigned int i = 0; i < table->nr_columns; i++) {
		for (int reason = 0; reason < UMBRA_EXIT_REASON_COUNT; reason++)
			sum.exits[reason] += columns[i].counters.exits[reason];
	}
	nr_reasons = report_exits_by_count(&sum, reasons);
	for (unsigned int k = 0; k < nr_reasons; k++) {
		static const char *const names[] = {
#define UMBRA_EXIT_REASON(name, help) "  " #name,
#include "umbra/counters.def"
		};
		const struct row row = {names[reasons[k]], COUNT_OF(exits, reasons[k]), false};

		add_line(table, &row, columns);
	}
}

static void add_table_work(struct table *table, const struct column *columns)
{
	for (size_t k = 0; k < report_nr_rows && k < TABLE_WORK_MAX; k++) {
		const struct report_row *one = &report_rows[k];
		const struct row row = {one->name, NULL, one->offset, 1,
					one->compared == REPORT_IF_ANY};

		if (one->compared != REPORT_NOT_COMPARED)
			add_line(table, &row, columns);
	}
}

static void print_line(const struct table *table, const int *widths, const char *name,
		       const char *const *text)
{
	printf("%-*s", widths[MODE_CHOICES_MAX], name);
	for (unsigned int i = 0; i < table->nr_columns; i++)
		printf("  %*s", widths[i], text[i]);
	putchar('\n');
}

static void widen(int *width, const char *text)
{
	int length = (int)strlen(text);

	*width = length > *width ? length : *width;
}

static void print_table(const char *guest, const struct column *columns, unsigned int nr)
{
	const char *text[MODE_CHOICES_MAX];
	int widths[MODE_CHOICES_MAX + 1] = {0}; /* the last: of the names */
	struct table table = {.nr_columns = nr};

	for (size_t k = 0; k < NR_ROWS(rows); k++)
		add_line(&table, &rows[k], columns);
	add_exits(&table, columns);
	add_table_work(&table, columns);
	for (size_t k = 0; k < NR_ROWS(rows_below); k++)
		add_line(&table, &rows_below[k], columns);
	for (unsigned int i = 0; i < nr; i++) {
		text[i] = columns[i].name;
		widen(&widths[i], text[i]);
	}
	for (unsigned int k = 0; k < table.nr_lines; k++) {
		widen(&widths[MODE_CHOICES_MAX], table.line[k].name);
		for (unsigned int i = 0; i < nr; i++)
			widen(&widths[i], table.line[k].text[i]);
	}
	print_line(&table, widths, guest, text);
	for (unsigned int k = 0; k < table.nr_lines; k++) {
		for (unsigned int i = 0; i < nr; i++)
			text[i] = table.line[k].text[i];
		print_line(&table, widths, table.line[k].name, text);
	}
}

/* --- in words ----------------------------------------------------------------------------- */

static const struct {
	const char *name, *help;
} reasons[] = {
#define POLICY_REASON(name, help) {#name, help},
#include "policy/reasons.def"
#undef POLICY_REASON
};

static const char *explain_reason(const char *reason)
{
	for (size_t i = 0; i < NR_ROWS(reasons); i++)
		if (!strcmp(reasons[i].name, reason))
			return reasons[i].help;
	return reason;
}

/* How often each rule decided to stay. */
static void print_stays(const struct policy_decision *decisions, size_t nr)
{
	const char *separator = ": ";

	for (size_t k = 0; k < NR_ROWS(reasons); k++) {
		unsigned int count = 0;

		for (size_t i = 0; i < nr; i++)
			count += decisions[i].action == POLICY_STAY &&
				 !strcmp(decisions[i].reason, reasons[k].name);
		if (!count)
			continue;
		printf("%s%s %u", separator, reasons[k].name, count);
		separator = ", ";
	}
	putchar('\n');
}

static void print_costs(const struct policy_decision *d)
{
	const char *separator = "";

	printf("      million cycles an interval: ");
	for (int mode = 0; mode < UMBRA_MODE_COUNT; mode++) {
		if (!d->cost[mode].known)
			continue;
		printf("%s%s %.2f%s", separator, umbra_mode_name(mode), d->cost[mode].cycles / 1e6,
		       mode == (int)d->mode ? " (measured)" : "");
		separator = ", ";
	}
	if (d->after.known)
		printf("; an instruction: %.3f before, %.3f after",
		       d->after.cycles_per_instruction_before, d->after.cycles_per_instruction);
	putchar('\n');
}

/* What auto did: how often it stayed, for what last reason, and each switch. */
static void print_decisions(const struct column *column)
{
	const struct policy_decision *decisions = column->decisions, *stayed = NULL;
	size_t nr = column->nr_decisions;
	uint64_t stays = 0, moves = 0, shown = 0;

	for (size_t i = 0; i < nr; i++) {
		if (decisions[i].action == POLICY_STAY) {
			stays++;
			stayed = &decisions[i];
		} else {
			moves++;
		}
	}
	if (!nr) {
		printf("  it decided nothing: the guest ended within an interval\n");
		return;
	}
	printf("  of %s%zu decisions %" PRIu64 " changed the mode, %" PRIu64 " did not",
	       decisions[0].id > 1 ? "the last " : "", nr, moves, stays);
	print_stays(decisions, nr);
	for (size_t i = 0; i < nr; i++) {
		const struct policy_decision *d = &decisions[i];
		char at[GROUPED_SIZE];

		if (d->action == POLICY_STAY || shown++ >= SWITCHES_SHOWN)
			continue;
		printf("  at %s %s to %s: %s\n", report_grouped(d->instruction, at),
		       d->action == POLICY_ROLLBACK ? "back" : umbra_mode_name(d->mode),
		       umbra_mode_name(d->target), explain_reason(d->reason));
		print_costs(d);
	}
	if (moves > SWITCHES_SHOWN)
		printf("  and %" PRIu64 " more\n", moves - SWITCHES_SHOWN);
	if (stayed) {
		printf("  it last stayed in %s: %s\n", umbra_mode_name(stayed->mode),
		       explain_reason(stayed->reason));
		print_costs(stayed);
	}
}

static void print_ends(const struct options *options, const struct column *columns, unsigned int nr)
{
	bool same = true;

	report_costs(stdout, &options->costs);
	for (unsigned int i = 1; i < nr; i++)
		same &= !strcmp(columns[i].end, columns[0].end);
	for (unsigned int i = 0; i < nr; i++) {
		if (!same)
			printf("%s ended: %s\n", columns[i].name, columns[i].end);
	}
	if (same)
		printf("%s ended: %s\n", nr > 1 ? "all" : columns[0].name, columns[0].end);
	for (unsigned int i = 1; i < nr; i++) {
		if (strcmp(columns[i].hash, columns[0].hash))
			printf("memory at the end differs between %s and %s%s\n", columns[0].name,
			       columns[i].name,
			       options->clock == UMBRA_CLOCK_CYCLES
				       ? ": under --clock cycles interrupts arrive elsewhere"
				       : "");
	}
	for (unsigned int i = 0; i < nr; i++) {
		if (columns[i].policy == POLICY_PINNED)
			continue;
		printf("what %s did\n", columns[i].name);
		print_decisions(&columns[i]);
	}
}

/* Keeps what the columns need of a session. 0, or the exit status after the error was said. */
static int keep(const struct options *options, struct session *session, struct column *column)
{
	const struct umbra_guest *guest = session_guest(session);
	const struct policy_decision *decisions;
	size_t nr = pilot_decisions(session_pilot(session), &decisions);

	column->counters = *umbra_guest_counters(guest);
	column->mode = umbra_guest_mode(guest);
	column->policy = pilot_policy(session_pilot(session));
	report_end(guest, column->end, sizeof(column->end));
	umbra_guest_memory_hash(guest, column->hash);
	column->nr_decisions = nr;
	column->decisions = malloc((nr + 1) * sizeof(*decisions));
	if (column->decisions)
		memcpy(column->decisions, decisions, nr * sizeof(*decisions));
	if (options->json)
		column->json = session_json(session);
	if (!column->decisions || (options->json && !column->json) ||
	    (column->json && json_object_set_new(column->json, "asked", json_string(column->name))))
		return options_refuse(options, EX_OSERR, "out of memory");
	return 0;
}

static int run_column(const struct options *options, const struct mode_choice *choice,
		      struct column *column)
{
	struct session_config config = {
		.options = options, .choice = *choice, .image = options->image};
	struct session *session;
	int status = session_create(&config, &session);

	if (status)
		return status;
	column->name = mode_choice_name(choice);
	column->status = session_run(session);
	status = keep(options, session, column);
	session_destroy(session);
	return status;
}

static json_t *all_json(const struct column *columns, unsigned int nr)
{
	json_t *runs = json_array();

	for (unsigned int i = 0; i < nr; i++)
		json_array_append(runs, columns[i].json);
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
		print_table(session_file_name(options.image), columns, nr);
		print_ends(&options, columns, nr);
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
	for (unsigned int i = 0; i < nr; i++) {
		free(columns[i].decisions);
		json_decref(columns[i].json);
	}
	return status;
}
