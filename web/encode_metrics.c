/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/metrics.h"
#include "schemas/types.h"
#include "web/encode_metrics.h"
#include "web/text.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

struct writer {
	const struct metrics_view *view;
	bool open_metrics;
	struct text out;
	/*
	 * The first label of each guest, guest="ID", escaped once: most of what is written is this
	 * and numbers. That of guest i ends at label_ends[i], where the next one begins.
	 */
	struct text labels;
	size_t *label_ends;
};

/* The samples of one family. */
struct samples {
	struct writer *writer;
	char name[128]; /* with the suffix that samples have */
	size_t len;
};

/* C0, DEL and C1 */
static bool is_control(const char *value, size_t len)
{
	const unsigned char *s = (const unsigned char *)value;

	return len == 1 ? s[0] < 0x20 || s[0] == 0x7f : len == 2 && s[0] == 0xc2 && s[1] < 0xa0;
}

/*
 * What is no UTF-8 would have Prometheus refuse all of it, and a control character steer the
 * terminal of who looks at it: these become "?".
 */
static void write_escaped(struct text *out, const char *value, bool quotes)
{
	size_t len;

	for (; *value; value += len ? len : 1) {
		len = text_utf8_len(value);
		if (*value == '\\')
			text_append(out, "\\\\", 2);
		else if (*value == '\n')
			text_append(out, "\\n", 2);
		else if (*value == '"')
			text_string(out, quotes ? "\\\"" : "\"");
		else if (!len || is_control(value, len))
			text_append(out, "?", 1);
		else
			text_append(out, value, len);
	}
}

static void write_comment(struct text *out, const char *what, const char *family, const char *text)
{
	text_append(out, "# ", 2);
	text_string(out, what);
	text_append(out, " ", 1);
	text_string(out, family);
	text_append(out, " ", 1);
	text_string(out, text);
	text_append(out, "\n", 1);
}

/*
 * Begins a family. The text format knows no "info", and there the family of a counter is called as
 * its samples are; OpenMetrics has the unit too, and escapes quotes in help.
 */
static struct samples begin_family(struct writer *writer, const char *name, enum metric_kind kind,
				   const char *unit, const char *help)
{
	static const char *const suffixes[] = {[METRIC_COUNTER] = "_total",
					       [METRIC_GAUGE] = "",
					       [METRIC_SUMMARY] = "",
					       [METRIC_HISTOGRAM] = "",
					       [METRIC_INFO] = "_info"};
	static const char *const open_types[] = {[METRIC_COUNTER] = "counter",
						 [METRIC_GAUGE] = "gauge",
						 [METRIC_SUMMARY] = "summary",
						 [METRIC_HISTOGRAM] = "histogram",
						 [METRIC_INFO] = "info"};
	bool open_metrics = writer->open_metrics;
	struct samples samples = {.writer = writer};
	struct text *out = &writer->out;
	const char *family = open_metrics ? name : samples.name;
	size_t len = strlen(name), unit_len = strlen(unit);

	snprintf(samples.name, sizeof(samples.name), "%s%s", name, suffixes[kind]);
	samples.len = strlen(samples.name);
	text_append(out, "# HELP ", 7);
	text_string(out, family);
	text_append(out, " ", 1);
	write_escaped(out, help, open_metrics);
	text_append(out, "\n", 1);
	write_comment(out, "TYPE", family,
		      !open_metrics && kind == METRIC_INFO ? "gauge" : open_types[kind]);
	/* OpenMetrics: the name ends with the unit. */
	if (open_metrics && unit_len && len > unit_len && name[len - unit_len - 1] == '_' &&
	    !strcmp(name + len - unit_len, unit))
		write_comment(out, "UNIT", family, unit);
	return samples;
}

static struct samples begin_row(struct writer *writer, enum family_id id)
{
	const struct metric_family *row = &metric_families[id];

	return begin_family(writer, row->name, row->kind, row->unit, row->help);
}

/* Begins a sample of @guest: its labels are guest and what @more says (",reason=\"cpuid\""). */
static void begin_of_guest(const struct samples *samples, const char *suffix, size_t guest,
			   const char *more, size_t more_len)
{
	struct writer *writer = samples->writer;
	struct text *out = &writer->out;
	size_t start = guest ? writer->label_ends[guest - 1] : 0;

	text_append(out, samples->name, samples->len);
	if (*suffix)
		text_string(out, suffix);
	text_append(out, writer->labels.data + start, writer->label_ends[guest] - start);
	text_append(out, more, more_len);
	text_append(out, "} ", 2);
}

static void write_of_guest(const struct samples *samples, size_t guest, const char *more,
			   size_t more_len, uint64_t value)
{
	begin_of_guest(samples, "", guest, more, more_len);
	text_unsigned(&samples->writer->out, value);
	text_append(&samples->writer->out, "\n", 1);
}

/* The labels of a dimension's values. */
struct value_labels {
	const struct metric_dimension *dimension; /* NULL: one value without a label */
	char label[64][64];
	size_t len[64];
};

_Static_assert(KVM_EXIT_REASON_COUNT <= 64, "struct value_labels is too small");

static void make_labels(struct value_labels *labels, const struct metric_dimension *dimension)
{
	labels->dimension = dimension;
	labels->len[0] = 0;
	for (size_t i = 0; dimension && i < dimension->nr_values; i++)
		labels->len[i] = snprintf(labels->label[i], sizeof(labels->label[i]), ",%s=\"%s\"",
					  dimension->name, dimension->values[i].name);
}

/* Most reasons never come: a series begins when its reason has come once. */
static bool is_sparse(const struct metric_dimension *dimension)
{
	return dimension == &metric_kvm_exit_reasons;
}

static void write_values(const struct samples *samples, size_t guest, const struct metric *metric,
			 const struct value_labels *labels)
{
	const struct guest_view *view = &samples->writer->view->snapshot->guests[guest];
	const size_t nr_values = metric_nr_values(metric);
	const bool sparse = is_sparse(metric->dimension);
	struct text *out = &samples->writer->out;
	uint64_t value;

	for (size_t i = 0; i < nr_values; i++) {
		if (!view_value(view, metric, i, &value) || (!value && sparse))
			continue;
		begin_of_guest(samples, "", guest, labels->label[i], labels->len[i]);
		text_decimal(out, value, metric->unit->decimals);
		text_append(out, "\n", 1);
	}
}

static void write_group(struct writer *writer, const struct metric_group *group)
{
	const struct metric *first = group->first;
	const struct snapshot *snapshot = writer->view->snapshot;
	struct value_labels labels;
	struct samples samples;
	char name[128];

	metric_family_name(first, name, sizeof(name));
	samples = begin_family(writer, name, first->kind, first->unit->suffix, group->help);
	make_labels(&labels, first->dimension);
	for (size_t i = 0; i < snapshot->nr_guests; i++) {
		const struct metric *metric = view_metric(&snapshot->guests[i], group);

		if (!metric)
			continue;
		if (metric->dimension != labels.dimension)
			make_labels(&labels, metric->dimension);
		write_values(&samples, i, metric, &labels);
	}
}

/* The value of the state called @name that @guest has; NULL: not known. */
static const char *state_value(const struct guest_view *guest, const char *name)
{
	if (!strcmp(name, "mode"))
		return guest->mode < UMBRA_MODE_COUNT ? umbra_mode_name(guest->mode) : NULL;
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

static void write_state(struct writer *writer, const struct metric_object *state)
{
	const struct name_list *values = state_values(state->name);
	const struct snapshot *snapshot = writer->view->snapshot;
	struct samples samples;
	char name[128], more[64];

	snprintf(name, sizeof(name), "umbra_guest_%s", state->name);
	samples = begin_family(writer, name, METRIC_GAUGE, "", state->help);
	for (size_t i = 0; i < snapshot->nr_guests; i++) {
		const char *now = state_value(&snapshot->guests[i], state->name);

		for (int j = 0; now && j < values->count; j++) {
			size_t len = snprintf(more, sizeof(more), ",%s=\"%s\"", state->name,
					      values->name(j));

			write_of_guest(&samples, i, more, len, !strcmp(values->name(j), now));
		}
	}
}

/* Begins a sample of a family that is not of guests: NAME[SUFFIX]{labels, in pairs, NULL last}. */
static void write_labels(const struct samples *samples, const char *suffix,
			 const char *const labels[])
{
	struct text *out = &samples->writer->out;

	text_append(out, samples->name, samples->len);
	text_string(out, suffix);
	for (size_t i = 0; labels[i]; i += 2) {
		text_append(out, i ? "," : "{", 1);
		text_string(out, labels[i]);
		text_append(out, "=\"", 2);
		write_escaped(out, labels[i + 1], true);
		text_append(out, "\"", 1);
	}
	text_string(out, labels[0] ? "} " : " ");
}

#define LABELS(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void write_count(const struct samples *samples, const char *const labels[], uint64_t value)
{
	write_labels(samples, "", labels);
	text_unsigned(&samples->writer->out, value);
	text_append(&samples->writer->out, "\n", 1);
}

static void write_number(const struct samples *samples, const char *suffix, double value)
{
	write_labels(samples, suffix, LABELS());
	text_double(&samples->writer->out, value, "NaN");
	text_append(&samples->writer->out, "\n", 1);
}

/* A function for each row of METRICS_FAMILY: write_NAME() writes its samples. */

static void write_build(const struct samples *samples, const struct metrics_view *view)
{
	write_count(samples, LABELS("version", PACKAGE_VERSION), 1);
}

static void write_guests(const struct samples *samples, const struct metrics_view *view)
{
	for (int state = 0; state < state_names.count; state++) {
		const char *name = state_names.name(state);
		uint64_t count = 0;

		for (size_t i = 0; i < view->snapshot->nr_guests; i++)
			count += !strcmp(view->snapshot->guests[i].state, name);
		write_count(samples, LABELS("state", name), count);
	}
}

static void write_collector_up(const struct samples *samples, const struct metrics_view *view)
{
	for (size_t i = 0; i < view->snapshot->nr_collectors; i++) {
		const struct collector_view *collector = &view->snapshot->collectors[i];

		write_count(samples, LABELS("collector", collector->name),
			    !strcmp(collector->state, "ok"));
	}
}

static void write_collector_run_time(const struct samples *samples, const struct metrics_view *view)
{
	for (size_t i = 0; i < view->snapshot->nr_collectors; i++) {
		const struct collector_view *collector = &view->snapshot->collectors[i];

		if (!collector->own.has_runs)
			continue;
		write_labels(samples, "", LABELS("collector", collector->name));
		text_decimal(&samples->writer->out, collector->own.run_time_ns, 9);
		text_append(&samples->writer->out, "\n", 1);
	}
}

static void write_collector_runs(const struct samples *samples, const struct metrics_view *view)
{
	for (size_t i = 0; i < view->snapshot->nr_collectors; i++) {
		const struct collector_view *collector = &view->snapshot->collectors[i];

		if (collector->own.has_runs)
			write_count(samples, LABELS("collector", collector->name),
				    collector->own.run_count);
	}
}

static void write_collector_unattributed(const struct samples *samples,
					 const struct metrics_view *view)
{
	for (size_t i = 0; i < view->snapshot->nr_collectors; i++) {
		const struct collector_view *collector = &view->snapshot->collectors[i];

		if (collector->own.has_lost)
			write_count(samples, LABELS("collector", collector->name),
				    collector->own.unattributed);
	}
}

static void write_collector_lost(const struct samples *samples, const struct metrics_view *view)
{
	for (size_t i = 0; i < view->snapshot->nr_collectors; i++) {
		const struct collector_view *collector = &view->snapshot->collectors[i];

		if (collector->own.has_lost)
			write_count(samples, LABELS("collector", collector->name),
				    collector->own.lost);
	}
}

static void write_snapshot_timestamp(const struct samples *samples, const struct metrics_view *view)
{
	write_number(samples, "",
		     (double)view->snapshot->time.tv_sec +
			     (double)view->snapshot->time.tv_nsec / 1e9);
}

static void write_summary(const struct samples *samples, const struct sampling *sampling)
{
	write_number(samples, "_sum", sampling->seconds);
	write_labels(samples, "_count", LABELS());
	text_unsigned(&samples->writer->out, sampling->count);
	text_append(&samples->writer->out, "\n", 1);
}

static void write_sampling_duration(const struct samples *samples, const struct metrics_view *view)
{
	write_summary(samples, &view->snapshot->sampling);
}

static void write_collecting_duration(const struct samples *samples,
				      const struct metrics_view *view)
{
	if (view->snapshot->collecting.count)
		write_summary(samples, &view->snapshot->collecting);
}

static void write_http_requests(const struct samples *samples, const struct metrics_view *view)
{
	static const char *const listeners[LISTENER_COUNT] = {"tcp", "unix"};
	char code[16];

	for (int listener = 0; view->statistics && listener < LISTENER_COUNT; listener++) {
		for (int i = 0; i < WEB_STATUS_COUNT; i++) {
			snprintf(code, sizeof(code), "%u", web_statuses[i].status);
			write_count(samples, LABELS("listener", listeners[listener], "code", code),
				    view->statistics->answers[listener][i]);
		}
	}
}

static void write_configuration_ok(const struct samples *samples, const struct metrics_view *view)
{
	write_count(samples, LABELS(), !view->snapshot->config_error);
}

static void write_configuration_loaded(const struct samples *samples,
				       const struct metrics_view *view)
{
	write_count(samples, LABELS(), view->snapshot->config_loaded);
}

static void write_frozen(const struct samples *samples, const struct metrics_view *view)
{
	write_count(samples, LABELS(), view->snapshot->frozen);
}

static void write_journal_up(const struct samples *samples, const struct metrics_view *view)
{
	write_count(samples, LABELS(), view->snapshot->journal.up);
}

static void write_journal_rows(const struct samples *samples, const struct metrics_view *view)
{
	write_count(samples, LABELS(), view->snapshot->journal.rows);
}

static void write_journal_size(const struct samples *samples, const struct metrics_view *view)
{
	write_count(samples, LABELS(), view->snapshot->journal.bytes);
}

static void write_journal_dropped(const struct samples *samples, const struct metrics_view *view)
{
	write_count(samples, LABELS(), view->snapshot->journal.dropped);
}

static void write_process_cpu(const struct samples *samples, const struct metrics_view *view)
{
	if (view->process)
		write_number(samples, "", view->process->cpu_seconds);
}

static void write_known(const struct samples *samples, uint64_t value)
{
	if (value != UINT64_MAX)
		write_count(samples, LABELS(), value);
}

static void write_process_resident(const struct samples *samples, const struct metrics_view *view)
{
	if (view->process)
		write_known(samples, view->process->resident_bytes);
}

static void write_process_start(const struct samples *samples, const struct metrics_view *view)
{
	if (view->process)
		write_known(samples, view->process->started);
}

static void write_process_open_fds(const struct samples *samples, const struct metrics_view *view)
{
	if (view->process)
		write_known(samples, view->process->open_fds);
}

static void write_process_max_fds(const struct samples *samples, const struct metrics_view *view)
{
	if (view->process)
		write_known(samples, view->process->max_fds);
}

static void write_label(struct text *out, const char *label, const char *value)
{
	text_append(out, ",", 1);
	text_string(out, label);
	text_append(out, "=\"", 2);
	write_escaped(out, value, true);
	text_append(out, "\"", 1);
}

static void write_guest(const struct samples *samples, const struct metrics_view *view)
{
	for (size_t i = 0; i < view->snapshot->nr_guests; i++) {
		const struct guest_view *guest = &view->snapshot->guests[i];
		struct text more = {0};

		write_label(&more, "engine", guest->engine);
		if (guest->processor)
			write_label(&more, "processor", guest->processor);
		if (guest->clock < UMBRA_CLOCK_COUNT)
			write_label(&more, "clock", umbra_clock_name(guest->clock));
		if (guest->observed) {
			write_label(&more, "name", guest->guest);
			write_label(&more, "process", guest->vm->process);
			write_label(&more, "unit", guest->vm->unit);
		}
		samples->writer->out.failed |= more.failed;
		write_of_guest(samples, i, more.data, more.len, 1);
		text_free(&more);
	}
}

/* In seconds. A slot's bound is above all that is in it. */
static void make_bounds(struct value_labels *labels)
{
	for (int i = 0; i < EXIT_SLOT_COUNT; i++) {
		struct text bound = {0};

		if (i + 1 < EXIT_SLOT_COUNT)
			text_decimal(&bound, 1ULL << (i + EXIT_SLOT_SHIFT), 9);
		else
			text_string(&bound, "+Inf");
		labels->len[i] = snprintf(labels->label[i], sizeof(labels->label[i]),
					  ",le=\"%.*s\"", (int)bound.len, bound.data);
		text_free(&bound);
	}
}

static void write_slots(const struct samples *samples, size_t guest,
			const uint64_t slots[EXIT_SLOT_COUNT], const struct value_labels *bounds)
{
	struct text *out = &samples->writer->out;
	uint64_t count = 0;

	for (int i = 0; i < EXIT_SLOT_COUNT; i++) {
		count += slots[i];
		begin_of_guest(samples, "_bucket", guest, bounds->label[i], bounds->len[i]);
		text_unsigned(out, count);
		text_append(out, "\n", 1);
	}
	begin_of_guest(samples, "_count", guest, "", 0);
	text_unsigned(out, count);
	text_append(out, "\n", 1);
}

/* A guest that halts waits until it has something to do: hlt says nothing of what exits cost. */
static void write_guest_exit_duration(const struct samples *samples,
				      const struct metrics_view *view)
{
	struct text *out = &samples->writer->out;
	struct value_labels bounds;

	make_bounds(&bounds);
	for (size_t i = 0; i < view->snapshot->nr_guests; i++) {
		const struct guest_view *guest = &view->snapshot->guests[i];
		const uint64_t *times = view_exit_times(guest);
		uint64_t slots[EXIT_SLOT_COUNT] = {0}, nanoseconds = 0;

		for (int reason = 0; times && reason < KVM_EXIT_REASON_COUNT; reason++) {
			if (reason == KVM_EXIT_hlt)
				continue;
			nanoseconds += times[reason];
			for (int slot = 0; slot < EXIT_SLOT_COUNT; slot++)
				slots[slot] += guest->vm->exit_slots[reason][slot];
		}
		if (!times)
			continue;
		write_slots(samples, i, slots, &bounds);
		begin_of_guest(samples, "_sum", i, "", 0);
		text_decimal(out, nanoseconds, 9);
		text_append(out, "\n", 1);
	}
}

static void write_guest_cpus(const struct samples *samples, const struct metrics_view *view)
{
	for (size_t i = 0; i < view->snapshot->nr_guests; i++)
		write_of_guest(samples, i, "", 0, view->snapshot->guests[i].cpus);
}

static void write_guest_start(const struct samples *samples, const struct metrics_view *view)
{
	for (size_t i = 0; i < view->snapshot->nr_guests; i++) {
		if (view->snapshot->guests[i].started)
			write_of_guest(samples, i, "", 0, view->snapshot->guests[i].started);
	}
}

static uint64_t restarts_of(const struct guest_view *guest)
{
	return guest->starts ? guest->starts - 1 : 0;
}

static void write_guest_restarts(const struct samples *samples, const struct metrics_view *view)
{
	for (size_t i = 0; i < view->snapshot->nr_guests; i++) {
		if (!view->snapshot->guests[i].observed)
			write_of_guest(samples, i, "", 0, restarts_of(&view->snapshot->guests[i]));
	}
}

static void write_families(struct writer *writer)
{
	static void (*const writers[FAMILY_COUNT])(const struct samples *,
						   const struct metrics_view *) = {
#define METRICS_FAMILY(id, name, kind, unit, labels, help) [FAMILY_##id] = write_##id,
#include "schemas/metrics.def"
	};

	for (int id = 0; id < FAMILY_COUNT; id++) {
		struct samples samples = begin_row(writer, id);

		writers[id](&samples, writer->view);
	}
}

static void write_groups(struct writer *writer)
{
	const struct metric_group *groups;
	size_t count;

	groups = metric_groups(&count);
	for (size_t i = 0; i < count; i++) {
		if (groups[i].first->series)
			write_group(writer, &groups[i]);
	}
}

/* False: out of memory. */
static bool prepare_labels(struct writer *writer)
{
	const struct snapshot *snapshot = writer->view->snapshot;

	writer->label_ends = calloc(snapshot->nr_guests + 1, sizeof(*writer->label_ends));
	if (!writer->label_ends)
		return false;
	for (size_t i = 0; i < snapshot->nr_guests; i++) {
		text_string(&writer->labels, "{guest=\"");
		write_escaped(&writer->labels, snapshot->guests[i].id, true);
		text_append(&writer->labels, "\"", 1);
		writer->label_ends[i] = writer->labels.len;
	}
	return !writer->labels.failed;
}

char *web_encode_metrics(const struct metrics_view *view, bool open_metrics, size_t *ret_len)
{
	struct writer writer = {.view = view, .open_metrics = open_metrics};

	if (prepare_labels(&writer)) {
		write_families(&writer);
		for (const struct metric_object *state = metric_states; state->name; state++)
			write_state(&writer, state);
		write_groups(&writer);
		if (open_metrics)
			text_string(&writer.out, "# EOF\n");
	} else {
		writer.out.failed = true;
	}
	free(writer.label_ends);
	text_free(&writer.labels);
	return text_take(&writer.out, ret_len);
}
