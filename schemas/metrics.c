/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "schemas/metrics.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static const struct metric_value exit_reasons[] = {
#define UMBRA_EXIT_REASON(name, help) {#name, help},
#include "umbra/counters.def"
};

static const struct metric_value tlb_levels[] = {
#define UMBRA_TLB_LEVEL(name, help) {#name, help},
#include "umbra/counters.def"
};

static const struct metric_value tlb_hits[] = {
#define UMBRA_TLB_HIT(name, help) {#name, help},
#include "umbra/counters.def"
};

static const struct metric_value tlb_misses[] = {
#define UMBRA_TLB_MISS(name, help) {#name, help},
#include "umbra/counters.def"
};

static const struct metric_value accesses[] = {
#define UMBRA_ACCESS(name, help) {#name, help},
#include "umbra/counters.def"
};

static const struct metric_value page_sizes[] = {
#define UMBRA_PAGE_SIZE(name, help) {#name, help},
#include "umbra/counters.def"
};

/* One for each dimension of counters.def; dimension_NONE is the metric that has none. */
static const struct metric_dimension dimension_NONE = {NULL, 0, NULL};
static const struct metric_dimension dimension_EXIT_REASON = {"reason", ARRAY_SIZE(exit_reasons),
							      exit_reasons};
static const struct metric_dimension dimension_TLB_LEVEL = {"level", ARRAY_SIZE(tlb_levels),
							    tlb_levels};
static const struct metric_dimension dimension_TLB_HIT = {"entry", ARRAY_SIZE(tlb_hits), tlb_hits};
static const struct metric_dimension dimension_TLB_MISS = {"entry", ARRAY_SIZE(tlb_misses),
							   tlb_misses};
static const struct metric_dimension dimension_ACCESS = {"access", ARRAY_SIZE(accesses), accesses};
static const struct metric_dimension dimension_PAGE_SIZE = {"page_size", ARRAY_SIZE(page_sizes),
							    page_sizes};

/* Constants of their own, as initialisers of the table below cannot look a unit up. */
#define METRICS_UNIT(name, suffix, help) static const char suffix_##name[] = suffix;
#include "schemas/metrics.def"
#define METRICS_UNIT(name, suffix, help) static const char help_##name[] = help;
#include "schemas/metrics.def"

#define JSON   false
#define SERIES true
#define DIMENSION_OR_NULL(dimension)                                                               \
	(UMBRA_DIMENSION_##dimension##_COUNT > 1 ? &dimension_##dimension : NULL)

const struct metric metrics[] = {
#define UMBRA_COUNTER(metric_name, metric_unit, metric_kind, metric_dimension, exposed,            \
		      metric_help)                                                                 \
	{                                                                                          \
		.name = #metric_name,                                                              \
		.unit = #metric_unit,                                                              \
		.suffix = suffix_##metric_unit,                                                    \
		.unit_help = help_##metric_unit,                                                   \
		.kind = METRIC_##metric_kind,                                                      \
		.dimension = DIMENSION_OR_NULL(metric_dimension),                                  \
		.series = exposed,                                                                 \
		.help = metric_help,                                                               \
		.index = offsetof(struct umbra_counters, metric_name) / sizeof(uint64_t),          \
	},
#include "umbra/counters.def"
};

const size_t nr_metrics = ARRAY_SIZE(metrics);

const struct metric_object metric_objects[] = {
#define METRICS_OBJECT(object, help) {object, help},
#include "schemas/metrics.def"
	{NULL, NULL},
};

const struct metric_object metric_states[] = {
#define METRICS_STATE(name, help) {#name, help},
#include "schemas/metrics.def"
	{NULL, NULL},
};

const struct metric_family metric_families[FAMILY_COUNT] = {
#define METRICS_FAMILY(id, name, kind, unit, labels, help)                                         \
	[FAMILY_##id] = {name, METRIC_##kind, unit, labels, help},
#include "schemas/metrics.def"
};

static const struct {
	const char *metric;
	const char *object;
	const char *key;
} exact_places[] = {
#define METRICS_EXACT(metric, object, key) {metric, object, key},
#include "schemas/metrics.def"
};

static const struct {
	const char *prefix;
	const char *object;
} prefix_places[] = {
#define METRICS_PREFIX(prefix, object) {prefix, object},
#include "schemas/metrics.def"
};

void metric_json_place(const struct metric *metric, const char **ret_object, const char **ret_key)
{
	*ret_object = "";
	*ret_key = metric->name;
	for (size_t i = 0; i < ARRAY_SIZE(exact_places); i++) {
		if (!strcmp(metric->name, exact_places[i].metric)) {
			*ret_object = exact_places[i].object;
			*ret_key = exact_places[i].key;
			return;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(prefix_places); i++) {
		size_t len = strlen(prefix_places[i].prefix);

		if (!strncmp(metric->name, prefix_places[i].prefix, len)) {
			*ret_object = prefix_places[i].object;
			*ret_key = metric->name + len;
			return;
		}
	}
}

/* Whether @word is one of the words of @name, which underscores separate. */
static bool has_word(const char *name, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = name; p; p = strchr(p, '_')) {
		p += *p == '_';
		if (!strncmp(p, word, len) && (p[len] == '_' || !p[len]))
			return true;
	}
	return false;
}

void metric_family_name(const struct metric *metric, char *ret_name, size_t size)
{
	const char *name = metric->name;
	bool with_unit = metric->suffix[0] && !has_word(metric->name, metric->suffix);

	if (!strncmp(name, "guest_", strlen("guest_")))
		name += strlen("guest_");
	snprintf(ret_name, size, "umbra_guest_%s%s%s", name, with_unit ? "_" : "",
		 with_unit ? metric->suffix : "");
}

size_t metric_nr_values(const struct metric *metric)
{
	return metric->dimension ? metric->dimension->nr_values : 1;
}

uint64_t metric_read(const struct metric *metric, const struct umbra_counters *counters,
		     size_t value)
{
	const uint64_t *all = (const uint64_t *)counters;

	return all[metric->index + value];
}
