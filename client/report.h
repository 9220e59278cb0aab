/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Statistics of a finished run for people. */
#ifndef CLIENT_REPORT_H
#define CLIENT_REPORT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "client/session.h"

/* "1,234,567" in @buffer, which it returns. */
#define GROUPED_SIZE 32
const char *report_grouped(uint64_t number, char buffer[GROUPED_SIZE]);

uint64_t report_total_exits(const struct umbra_counters *counters);
/* The exit reasons that occurred, most frequent first; returns how many. */
unsigned int report_exits_by_count(const struct umbra_counters *counters,
				   enum umbra_exit_reason ret_reasons[UMBRA_EXIT_REASON_COUNT]);
/* @part of @whole in percent, 0 of nothing. */
double report_percent(uint64_t part, uint64_t whole);
/* How a guest ended, in words. */
void report_end(const struct umbra_guest *guest, char *buffer, size_t size);

/* What the VMM did to keep its tables: a row a counter, for all tables of counters. */
struct report_row {
	const char *name;
	size_t offset; /* in struct umbra_counters */
	/* Where modes are compared: shown, shown where any has some, or left out. */
	enum { REPORT_COMPARED, REPORT_IF_ANY, REPORT_NOT_COMPARED } compared;
};

extern const struct report_row report_rows[];
extern const size_t report_nr_rows;

static inline uint64_t report_count(const struct umbra_counters *counters,
				    const struct report_row *row)
{
	return *(const uint64_t *)((const char *)counters + row->offset);
}

/* A line on the cost model, if there is more to say than that it is the default's. */
void report_costs(FILE *file, const struct umbra_cost_table *costs);

void report_run(FILE *file, struct session *session);

#endif
