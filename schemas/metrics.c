/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "collectors/sample.h"
#include "schemas/metrics.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static const struct metric_value exit_reasons[] = {
#define UMBRA_EXIT_REASON(name, help) {#name, help},
#include "umbra/counters.def"
};

static const struct metric_value kvm_exit_reasons[] = {
#define KVM_EXIT_REASON(name, help) {#name, help},
#include "collectors/exit_reasons.def"
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

/* One for each dimension of the tables; dimension_NONE is the metric that has none. */
static const struct metric_dimension dimension_NONE = {NULL, 0, NULL};
static const struct metric_dimension dimension_EXIT_REASON = {"reason", ARRAY_SIZE(exit_reasons),
							      exit_reasons};
const struct metric_dimension metric_kvm_exit_reasons = {"reason", ARRAY_SIZE(kvm_exit_reasons),
							 kvm_exit_reasons};
#define dimension_KVM_EXIT_REASON metric_kvm_exit_reasons
static const struct metric_dimension dimension_TLB_LEVEL = {"level", ARRAY_SIZE(tlb_levels),
							    tlb_levels};
static const struct metric_dimension dimension_TLB_HIT = {"entry", ARRAY_SIZE(tlb_hits), tlb_hits};
static const struct metric_dimension dimension_TLB_MISS = {"entry", ARRAY_SIZE(tlb_misses),
							   tlb_misses};
static const struct metric_dimension dimension_ACCESS = {"access", ARRAY_SIZE(accesses), accesses};
static const struct metric_dimension dimension_PAGE_SIZE = {"page_size", ARRAY_SIZE(page_sizes),
							    page_sizes};

#define METRICS_UNIT(name, suffix, help, series_help, decimals)                                    \
	static const struct metric_unit unit_##name = {#name, suffix, help, series_help, decimals};
#include "schemas/metrics.def"

#define JSON   false
#define SERIES true
#define DIMENSION_OR_NULL(dimension)                                                               \
	(UMBRA_DIMENSION_##dimension##_COUNT > 1 ? &dimension_##dimension : NULL)
#define ROW(metric_source, type, metric_name, metric_unit, metric_kind, metric_dimension, exposed, \
	    metric_help)                                                                           \
	{                                                                                          \
		.name = #metric_name,                                                              \
		.source = METRIC_##metric_source,                                                  \
		.unit = &unit_##metric_unit,                                                       \
		.kind = METRIC_##metric_kind,                                                      \
		.dimension = DIMENSION_OR_NULL(metric_dimension),                                  \
		.series = exposed,                                                                 \
		.help = metric_help,                                                               \
		.index = offsetof(struct type, metric_name) / sizeof(uint64_t),                    \
	},

static const struct metric metrics[] = {
#define UMBRA_COUNTER(...) ROW(CORE, umbra_counters, __VA_ARGS__)
#include "umbra/counters.def"
#define UMBRA_COUNTER(...) ROW(KVM, umbra_kvm_counters, __VA_ARGS__)
#include "umbra/kvm.def"
#define UMBRA_COUNTER(...) ROW(KVM_EXITS, kvm_exits_counters, __VA_ARGS__)
#include "collectors/kvm_exits.def"
#define UMBRA_COUNTER(...) ROW(PERF_EVENT, perf_event_counters, __VA_ARGS__)
#include "collectors/perf_event.def"
};

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

struct place {
	const char *name; /* of a metric, or what it begins with */
	const char *object;
	const char *key; /* of a prefix: NULL */
};

static const struct place exact_places[] = {
#define METRICS_EXACT(metric, object, key) {metric, object, key},
#include "schemas/metrics.def"
};

static const struct place folded_places[] = {
#define METRICS_FOLDED(metric, object, key) {metric, object, key},
#include "schemas/metrics.def"
};

static const struct place prefix_places[] = {
#define METRICS_PREFIX(prefix, object) {prefix, object, NULL},
#include "schemas/metrics.def"
};

static struct metric_group groups[ARRAY_SIZE(metrics)];
static size_t nr_groups;
static pthread_once_t groups_made = PTHREAD_ONCE_INIT;

const char *metric_source_name(enum metric_source source)
{
	static const char *const names[METRIC_SOURCE_COUNT] = {
		[METRIC_CORE] = "core",
		[METRIC_KVM] = "kvm",
		[METRIC_KVM_EXITS] = "kvm_exits",
		[METRIC_PERF_EVENT] = "perf_event",
	};

	return names[source];
}

static const struct place *find_place(const struct place *places, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(places[i].name);

		if (!strncmp(name, places[i].name, len) && (!places[i].key || !name[len]))
			return &places[i];
	}
	return NULL;
}

static bool ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len >= end_len && !strcmp(name + len - end_len, end);
}

static void give_place(struct metric_group *group)
{
	const char *name = group->first->name;
	const bool ns = group->first->unit == &unit_nanoseconds && !ends_with(name, "_ns");
	const struct place *place;

	group->object = "";
	place = find_place(folded_places, ARRAY_SIZE(folded_places), name);
	group->folded = place != NULL;
	if (!place)
		place = find_place(exact_places, ARRAY_SIZE(exact_places), name);
	if (!place)
		place = find_place(prefix_places, ARRAY_SIZE(prefix_places), name);
	if (place)
		group->object = place->object;
	if (place && place->key)
		snprintf(group->key, sizeof(group->key), "%s", place->key);
	else
		snprintf(group->key, sizeof(group->key), "%s%s",
			 name + (place ? strlen(place->name) : 0), ns ? "_ns" : "");
}

static void add_to_group(struct metric_group *group, const struct metric *metric)
{
	size_t len = strlen(group->help);

	group->from[metric->source] = metric;
	if (!group->first) {
		group->first = group->widest = metric;
		snprintf(group->help, sizeof(group->help), "%s", metric->help);
		give_place(group);
		return;
	}
	if (metric_nr_values(metric) > metric_nr_values(group->widest))
		group->widest = metric;
	if (!strstr(group->help, metric->help))
		snprintf(group->help + len, sizeof(group->help) - len, "; of the collector %s: %s",
			 metric_source_name(metric->source), metric->help);
}

/* Where the group of metrics called @name is, or will be. */
static struct metric_group *find_group(struct metric_group *all, size_t count, const char *name)
{
	size_t i = 0;

	while (i < count && strcmp(all[i].first->name, name))
		i++;
	return &all[i];
}

static void take_object(const char *object, const struct metric_group *unsorted, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(unsorted[i].object, object))
			groups[nr_groups++] = unsorted[i];
	}
}

static void make_groups(void)
{
	static struct metric_group unsorted[ARRAY_SIZE(metrics)];
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(metrics); i++) {
		struct metric_group *group = find_group(unsorted, count, metrics[i].name);

		count += !group->first;
		add_to_group(group, &metrics[i]);
	}
	take_object("", unsorted, count);
	for (const struct metric_object *object = metric_objects; object->name; object++)
		take_object(object->name, unsorted, count);
}

const struct metric_group *metric_groups(size_t *ret_count)
{
	pthread_once(&groups_made, make_groups);
	*ret_count = nr_groups;
	return groups;
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
	bool with_unit = metric->unit->suffix[0] && !has_word(metric->name, metric->unit->suffix);
	int len;

	if (!strncmp(name, "guest_", strlen("guest_")))
		name += strlen("guest_");
	len = (int)strlen(name) - (ends_with(name, "_ns") ? (int)strlen("_ns") : 0);
	snprintf(ret_name, size, "umbra_guest_%.*s%s%s", len, name, with_unit ? "_" : "",
		 with_unit ? metric->unit->suffix : "");
}

size_t metric_nr_values(const struct metric *metric)
{
	return metric->dimension ? metric->dimension->nr_values : 1;
}
