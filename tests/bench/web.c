/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the first reader of a snapshot waits for: formatting an answer about so many guests, and
 * compressing it. Writes JSON to standard output; bench.py takes medians and prints tables.
 *
 * usage: web SAMPLES GUESTS...
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "web/body.h"
#include "web/encode_metrics.h"
#include "web/snapshot.h"
#include "web/text.h"

static _Noreturn void die(const char *why)
{
	fprintf(stderr, "web: %s\n", why);
	exit(1);
}

/* Of this thread: others on the machine do not count. */
static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Guests that have run: numbers of ten digits are what formatting has to write. */
static struct snapshot *make_snapshot(size_t nr_guests)
{
	struct snapshot *snapshot = snapshot_create(nr_guests);
	struct umbra_cost_table *costs;

	if (!snapshot)
		die("out of memory");
	costs = snapshot_alloc(snapshot, sizeof(*costs));
	if (!costs)
		die("out of memory");
	umbra_cost_table_init(costs, "skylake");
	for (size_t i = 0; i < nr_guests; i++) {
		struct umbra_counters *counters = snapshot_alloc(snapshot, sizeof(*counters));
		struct guest_view *view = &snapshot->guests[i];
		char id[32];

		if (!counters)
			die("out of memory");
		for (size_t j = 0; j < sizeof(*counters) / sizeof(uint64_t); j++)
			((uint64_t *)counters)[j] = 1000000000 + i * 7919 + j * 104729;
		snprintf(id, sizeof(id), "guest-%zu", i);
		*view = (struct guest_view){
			.id = snapshot_strdup(snapshot, id),
			.state = "running",
			.pid = 1000 + (long)i,
			.engine = "soft",
			.processor = "skylake",
			.costs = costs,
			.cpus = 1,
			.measured[METRIC_CORE] = {.values = counters},
		};
		view->guest = view->id;
	}
	return snapshot;
}

static char *format_metrics(const struct snapshot *snapshot, size_t *ret_len)
{
	const struct metrics_view view = {.snapshot = snapshot};

	return web_encode_metrics(&view, false, ret_len);
}

static char *format_open_metrics(const struct snapshot *snapshot, size_t *ret_len)
{
	const struct metrics_view view = {.snapshot = snapshot};

	return web_encode_metrics(&view, true, ret_len);
}

static char *format_guests(const struct snapshot *snapshot, size_t *ret_len)
{
	struct text out = {0};

	json_write_open(&out, '{');
	json_write_key(&out, "guests");
	json_write_open(&out, '[');
	for (size_t i = 0; i < snapshot->nr_guests; i++)
		web_write_guest(&out, &snapshot->guests[i], false);
	json_write_close(&out, ']');
	json_write_close(&out, '}');
	return text_take(&out, ret_len);
}

static const struct {
	const char *name;
	char *(*format)(const struct snapshot *snapshot, size_t *ret_len);
} answers[] = {
	{"metrics", format_metrics},
	{"open_metrics", format_open_metrics},
	{"guests", format_guests},
};

static void print_times(const char *key, const double *times, size_t samples)
{
	printf(", \"%s\": [", key);
	for (size_t i = 0; i < samples; i++)
		printf("%s%.0f", i ? ", " : "", times[i]);
	printf("]");
}

static void measure(size_t answer, const struct snapshot *snapshot, size_t samples)
{
	double *format = calloc(samples, sizeof(*format)), *pack = calloc(samples, sizeof(*pack));
	size_t bytes = 0, packed_bytes = 0;

	if (!format || !pack)
		die("out of memory");
	for (size_t i = 0; i < samples; i++) {
		double begun = now_ns();
		char *text = answers[answer].format(snapshot, &bytes);
		struct body *body = NULL, *packed = NULL;

		if (text)
			body = body_create("", 0, "", text, bytes);
		format[i] = now_ns() - begun;
		begun = now_ns();
		if (body)
			packed = body_gzip(body, 1);
		pack[i] = now_ns() - begun;
		if (!packed)
			die("out of memory");
		packed_bytes = packed->len;
		body_unref(body);
		body_unref(packed);
	}
	printf("{\"answer\": \"%s\", \"guests\": %zu, \"bytes\": %zu, \"gzip_bytes\": %zu",
	       answers[answer].name, snapshot->nr_guests, bytes, packed_bytes);
	print_times("format_ns", format, samples);
	print_times("gzip_ns", pack, samples);
	printf("}");
	free(format);
	free(pack);
}

int main(int argc, char **argv)
{
	size_t samples = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;

	if (!samples)
		die("usage: web SAMPLES GUESTS...");
	printf("[");
	for (int i = 2; i < argc; i++) {
		struct snapshot *snapshot = make_snapshot(strtoul(argv[i], NULL, 10));

		for (size_t answer = 0; answer < sizeof(answers) / sizeof(answers[0]); answer++) {
			printf("%s", i > 2 || answer ? ",\n" : "");
			measure(answer, snapshot, samples);
		}
		snapshot_unref(snapshot);
	}
	printf("]\n");
	return 0;
}
