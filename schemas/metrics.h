/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The composed table of metrics as rows, with their outward names. */
#ifndef SCHEMAS_METRICS_H
#define SCHEMAS_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who counts: each source has a struct of nothing but uint64_t, with an index for each of them. */
enum metric_source {
	METRIC_CORE,       /* struct umbra_counters: the VMM core, of the guests that it runs */
	METRIC_KVM,        /* struct umbra_kvm_counters: KVM's own statistics */
	METRIC_KVM_EXITS,  /* struct kvm_exits_counters: BPF programs */
	METRIC_PERF_EVENT, /* struct perf_event_counters: the processor's counters */
	METRIC_SOURCE_COUNT
};

/* "core", and else the name of the collector. */
const char *metric_source_name(enum metric_source source);

enum metric_kind {
	METRIC_COUNTER,
	METRIC_GAUGE,
	METRIC_SUMMARY,
	METRIC_HISTOGRAM,
	METRIC_INFO,
};

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

/* collectors/exit_reasons.def */
extern const struct metric_dimension metric_kvm_exit_reasons;

/* See METRICS_UNIT. */
struct metric_unit {
	const char *name;
	const char *suffix;
	const char *help;
	const char *series_help;
	unsigned int decimals; /* a sample is the number that was counted / 10^decimals */
};

/* A row of a source's table. */
struct metric {
	const char *name;
	enum metric_source source;
	const struct metric_unit *unit;
	enum metric_kind kind;
	const struct metric_dimension *dimension; /* NULL: none */
	bool series;                              /* false: in JSON only */
	const char *help;
	size_t index; /* of its first uint64_t in the struct of its source */
};

/*
 * What is called the same, whoever counts it: one place in a guest's JSON, one family of series. A
 * guest shows it from the first source that knows it.
 */
struct metric_group {
	const struct metric *from[METRIC_SOURCE_COUNT]; /* NULL: not counted by this source */
	const struct metric *first;  /* name, unit, kind and series are the same of all */
	const struct metric *widest; /* its dimension has the values of all */
	const char *object;          /* in a guest's JSON; "": the guest itself */
	char key[64];
	bool folded; /* the JSON has it in another form: see METRICS_FOLDED */
	char help[512];
};

/* All groups, those of one object in a row. */
const struct metric_group *metric_groups(size_t *ret_count);

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

/*
 * umbra_guest_NAME[_UNIT], no word doubled: the family's name. A counter's samples have "_total"
 * behind it.
 */
void metric_family_name(const struct metric *metric, char *ret_name, size_t size);

/* How many numbers the metric has: one, or one for each value of its dimension. */
size_t metric_nr_values(const struct metric *metric);
#endif
