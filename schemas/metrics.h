/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The composed table of metrics as rows, with their outward names. */
#ifndef SCHEMAS_METRICS_H
#define SCHEMAS_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "umbra/counters.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_SUMMARY, METRIC_INFO };

struct metric_value {
	const char *name;
	const char *help;
};

/* What a metric is split by; no values: it is one number. */
struct metric_dimension {
	const char *name; /* the label of the series: "reason", "level", ... */
	size_t nr_values;
	const struct metric_value *values;
};

struct metric {
	const char *name;
	const char *unit;
	const char *suffix; /* of the family's name: see METRICS_UNIT */
	const char *unit_help;
	enum metric_kind kind;
	const struct metric_dimension *dimension; /* NULL: none */
	bool series;                              /* false: in JSON only */
	const char *help;
	size_t index; /* of its first uint64_t in struct umbra_counters */
};

extern const struct metric metrics[];
extern const size_t nr_metrics;

struct metric_object {
	const char *name;
	const char *help;
};

/* The objects that group a guest's metrics; ends with a row whose name is NULL. */
extern const struct metric_object metric_objects[];

/* The metrics that say which of several values holds; ends with a row whose name is NULL. */
extern const struct metric_object metric_states[];

/* METRICS_FAMILY: what no room counts. */
enum family_id {
#define METRICS_FAMILY(id, name, kind, unit, labels, help) FAMILY_##id,
#include "schemas/metrics.def"
	FAMILY_COUNT,
};

struct metric_family {
	const char *name; /* without "_total" and "_info" */
	enum metric_kind kind;
	const char *unit;   /* "": none */
	const char *labels; /* for people; "": none */
	const char *help;
};

extern const struct metric_family metric_families[FAMILY_COUNT];

/* Where the metric is in a guest's JSON: *ret_object is "" for the guest object itself. */
void metric_json_place(const struct metric *metric, const char **ret_object, const char **ret_key);

/*
 * umbra_guest_NAME[_UNIT], no word doubled: the family's name. A counter's samples have "_total"
 * behind it.
 */
void metric_family_name(const struct metric *metric, char *ret_name, size_t size);

/* How many numbers the metric has: one, or one for each value of its dimension. */
size_t metric_nr_values(const struct metric *metric);
uint64_t metric_read(const struct metric *metric, const struct umbra_counters *counters,
		     size_t value);

#endif
