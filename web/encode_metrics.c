/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/metrics.h"
#include "schemas/types.h"
#include "web/encode_metrics.h"

/* A label's value: backslash, line feed and double quote are escaped. */
static void write_label_value(FILE *out, const char *value)
{
	for (; *value; value++) {
		switch (*value) {
		case '\\': fputs("\\\\", out); break;
		case '\n': fputs("\\n", out); break;
		case '"': fputs("\\\"", out); break;
		default: fputc(*value, out); break;
		}
	}
}

/* A help text: backslash and line feed are escaped, quotes stay. */
static void write_header(FILE *out, const char *family, const char *help, const char *type)
{
	fprintf(out, "# HELP %s ", family);
	for (; *help; help++) {
		switch (*help) {
		case '\\': fputs("\\\\", out); break;
		case '\n': fputs("\\n", out); break;
		default: fputc(*help, out); break;
		}
	}
	fprintf(out, "\n# TYPE %s %s\n", family, type);
}

/* @label may be NULL: the guest is the only label. */
static void write_sample(FILE *out, const char *family, const char *guest, const char *label,
			 const char *value, uint64_t number)
{
	fprintf(out, "%s{guest=\"", family);
	write_label_value(out, guest);
	if (label) {
		fprintf(out, "\",%s=\"", label);
		write_label_value(out, value);
	}
	fprintf(out, "\"} %" PRIu64 "\n", number);
}

static void write_metric(FILE *out, const struct metric *metric, const struct guest_view *guests,
			 size_t nr_guests)
{
	const struct metric_dimension *dimension = metric->dimension;
	char family[128];

	metric_family(metric, family, sizeof(family));
	write_header(out, family, metric->help, metric->kind == METRIC_GAUGE ? "gauge" : "counter");
	for (size_t i = 0; i < nr_guests; i++) {
		if (!guests[i].counters)
			continue;
		for (size_t j = 0; j < metric_nr_values(metric); j++)
			write_sample(out, family, guests[i].id, dimension ? dimension->name : NULL,
				     dimension ? dimension->values[j].name : NULL,
				     metric_read(metric, guests[i].counters, j));
	}
}

/* The value of the state called @name that @guest has. */
static const char *state_value(const struct guest_view *guest, const char *name)
{
	if (!strcmp(name, "mode"))
		return umbra_mode_name(guest->mode);
	if (!strcmp(name, "policy"))
		return policy_kind_name(guest->policy);
	return guest->state;
}

static const struct name_list *state_values(const char *name)
{
	if (!strcmp(name, "mode"))
		return &mode_names;
	return strcmp(name, "policy") ? &state_names : &policy_names;
}

static void write_state(FILE *out, const struct metric_object *state,
			const struct guest_view *guests, size_t nr_guests)
{
	const struct name_list *values = state_values(state->name);
	char family[128];

	snprintf(family, sizeof(family), "umbra_guest_%s", state->name);
	write_header(out, family, state->help, "gauge");
	for (size_t i = 0; i < nr_guests; i++) {
		const char *now = state_value(&guests[i], state->name);

		for (int j = 0; j < values->count; j++)
			write_sample(out, family, guests[i].id, state->name, values->name(j),
				     !strcmp(values->name(j), now));
	}
}

char *web_encode_metrics(const struct guest_view *guests, size_t nr_guests, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);
	bool failed;

	if (!out)
		return NULL;
	write_header(out, "umbra_build_info", "Version of umbrad", "gauge");
	fprintf(out, "umbra_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
	for (const struct metric_object *state = metric_states; state->name; state++)
		write_state(out, state, guests, nr_guests);
	for (size_t i = 0; i < nr_metrics; i++) {
		if (metrics[i].series)
			write_metric(out, &metrics[i], guests, nr_guests);
	}
	failed = ferror(out);
	if (fclose(out) || failed) {
		free(text);
		return NULL;
	}
	return text;
}
