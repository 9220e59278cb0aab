/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The metrics of a guest as JSON, from whichever sources know them. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "web/view.h"

/*
 * Every key with a comma, its quotes and colon, one after another: most of what is written is these
 * and numbers. Key i ends at ends[i], where the next one begins. A row's own key comes first,
 * behind it those of its dimension's values.
 */
static struct keys {
	struct text text;
	size_t *ends;
	size_t count;
} keys;

/* [group][source]: the first key of the row. */
static size_t (*row_keys)[METRIC_SOURCE_COUNT];
static pthread_once_t keys_made = PTHREAD_ONCE_INIT;

static void add_key(const char *key)
{
	text_append(&keys.text, ",\"", 2);
	text_string(&keys.text, key);
	text_append(&keys.text, "\":", 2);
	keys.ends[keys.count++] = keys.text.len;
}

static void add_row(const struct metric_group *group, const struct metric *row)
{
	add_key(group->key);
	for (size_t i = 0; row->dimension && i < row->dimension->nr_values; i++)
		add_key(row->dimension->values[i].name);
}

static size_t count_keys(const struct metric_group *groups, size_t nr_groups)
{
	size_t count = 0;

	for (size_t i = 0; i < nr_groups; i++) {
		for (int source = 0; source < METRIC_SOURCE_COUNT; source++) {
			if (groups[i].from[source])
				count += 1 + metric_nr_values(groups[i].from[source]);
		}
	}
	return count;
}

static void make_keys(void)
{
	const struct metric_group *groups;
	size_t nr_groups;

	groups = metric_groups(&nr_groups);
	keys.ends = calloc(count_keys(groups, nr_groups), sizeof(*keys.ends));
	row_keys = calloc(nr_groups, sizeof(*row_keys));
	if (!keys.ends || !row_keys) {
		keys.text.failed = true;
		return;
	}
	for (size_t i = 0; i < nr_groups; i++) {
		for (int source = 0; source < METRIC_SOURCE_COUNT; source++) {
			row_keys[i][source] = keys.count;
			if (groups[i].from[source])
				add_row(&groups[i], groups[i].from[source]);
		}
	}
}

static void write_key(struct text *out, size_t i)
{
	size_t start = i ? keys.ends[i - 1] : 0;

	/* The first of an object has no comma. */
	start += !out->len || out->data[out->len - 1] == '{';
	text_append(out, keys.text.data + start, keys.ends[i] - start);
}

const struct metric *view_metric(const struct guest_view *view, const struct metric_group *group)
{
	uint64_t value;

	for (int source = 0; source < METRIC_SOURCE_COUNT; source++) {
		const struct metric *row = group->from[source];

		if (!row || !view->measured[source].values)
			continue;
		for (size_t i = 0; i < metric_nr_values(row); i++) {
			if (view_value(view, row, i, &value))
				return row;
		}
	}
	return NULL;
}

static void write_row(struct text *out, const struct guest_view *view, const struct metric *row,
		      size_t key)
{
	uint64_t value;

	write_key(out, key);
	if (!row->dimension) {
		if (view_value(view, row, 0, &value))
			text_unsigned(out, json_bounded(value));
		return;
	}
	text_append(out, "{", 1);
	for (size_t i = 0; i < row->dimension->nr_values; i++) {
		if (!view_value(view, row, i, &value))
			continue;
		write_key(out, key + 1 + i);
		text_unsigned(out, json_bounded(value));
	}
	text_append(out, "}", 1);
}

void web_write_measured(struct text *out, const struct guest_view *view)
{
	const struct metric_group *groups;
	const char *object = "";
	size_t nr_groups;

	pthread_once(&keys_made, make_keys);
	if (keys.text.failed) {
		text_free(out);
		out->failed = true;
		return;
	}
	groups = metric_groups(&nr_groups);
	for (size_t i = 0; i < nr_groups; i++) {
		const struct metric *row = groups[i].folded ? NULL : view_metric(view, &groups[i]);

		if (!row)
			continue;
		if (strcmp(groups[i].object, object)) {
			if (*object)
				text_append(out, "}", 1);
			object = groups[i].object;
			json_write_key(out, object);
			text_append(out, "{", 1);
		}
		write_row(out, view, row, row_keys[i][row->source]);
	}
	if (*object)
		text_append(out, "}", 1);
}
