/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the first reader of a snapshot waits for: formatting an answer about so many guests of the
 * soft engine and VMs of other programs, and compressing it. Writes JSON to standard output;
 * bench.py takes medians and prints tables.
 *
 * usage: web SAMPLES GUESTS[+VMS]...
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

/* Numbers of ten digits are what formatting has to write. */
static void *make_counters(struct snapshot *snapshot, size_t size, size_t i)
{
	uint64_t *counters = snapshot_alloc(snapshot, size);

	if (!counters)
		die("out of memory");
	for (size_t j = 0; j < size / sizeof(uint64_t); j++)
		counters[j] = 1000000000 + i * 7919 + j * 104729;
	return counters;
}

/* VMs of other programs, of which everything is known; a few reasons are all that they exit for. */
static void add_vm(struct snapshot *snapshot, size_t i)
{
	struct vm_view *vm = snapshot_alloc(snapshot, sizeof(*vm));
	struct guest_view *view = &snapshot->guests[i];
	struct kvm_exits_counters *exits = make_counters(snapshot, sizeof(*exits), i);
	char id[64];

	if (!vm)
		die("out of memory");
	memset(&exits->exits[12], 0, sizeof(exits->exits) - 12 * sizeof(exits->exits[0]));
	*vm = (struct vm_view){
		.process = "qemu-system-x86",
		.unit = "machine-qemu.scope",
		.fd = 11,
		.exit_slots = make_counters(
			snapshot, sizeof(uint64_t[KVM_EXIT_REASON_COUNT][EXIT_SLOT_COUNT]), i),
	};
	snprintf(id, sizeof(id), "5e0e6a2c-0000-4000-8000-%012zx", i);
	*view = (struct guest_view){
		.id = snapshot_strdup(snapshot, id),
		.guest = "web-server",
		.state = "running",
		.engine = "kvm",
		.mode = UMBRA_MODE_EPT,
		.policy = POLICY_ADVISE,
		.clock = UMBRA_CLOCK_COUNT,
		.cpus = 4,
		.observed = true,
		.vm = vm,
		.measured =
			{
				[METRIC_KVM] = {.values = make_counters(
							snapshot, sizeof(struct umbra_kvm_counters),
							i)},
				[METRIC_KVM_EXITS] = {.values = exits},
				[METRIC_PERF_EVENT] = {.values = make_counters(
							       snapshot,
							       sizeof(struct perf_event_counters),
							       i)},
			},
	};
}

/* Guests that have run, and VMs. */
static struct snapshot *make_snapshot(size_t nr_guests, size_t nr_vms)
{
	struct snapshot *snapshot = snapshot_create(nr_guests + nr_vms);
	struct umbra_cost_table *costs;

	if (!snapshot)
		die("out of memory");
	costs = snapshot_alloc(snapshot, sizeof(*costs));
	if (!costs)
		die("out of memory");
	umbra_cost_table_init(costs, "skylake");
	for (size_t i = 0; i < nr_guests; i++) {
		struct guest_view *view = &snapshot->guests[i];
		char id[32];

		snprintf(id, sizeof(id), "guest-%zu", i);
		*view = (struct guest_view){
			.id = snapshot_strdup(snapshot, id),
			.state = "running",
			.pid = 1000 + (long)i,
			.engine = "soft",
			.processor = "skylake",
			.costs = costs,
			.cpus = 1,
			.measured[METRIC_CORE] = {.values = make_counters(
							  snapshot, sizeof(struct umbra_counters),
							  i)},
		};
		view->guest = view->id;
	}
	for (size_t i = 0; i < nr_vms; i++)
		add_vm(snapshot, nr_guests + i);
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

static void measure(size_t answer, const struct snapshot *snapshot, size_t nr_vms, size_t samples)
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
	printf("{\"answer\": \"%s\", \"guests\": %zu, \"vms\": %zu, \"bytes\": %zu, "
	       "\"gzip_bytes\": %zu",
	       answers[answer].name, snapshot->nr_guests - nr_vms, nr_vms, bytes, packed_bytes);
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
		die("usage: web SAMPLES GUESTS[+VMS]...");
	printf("[");
	for (int i = 2; i < argc; i++) {
		const char *plus = strchr(argv[i], '+');
		size_t nr_vms = plus ? strtoul(plus + 1, NULL, 10) : 0;
		struct snapshot *snapshot = make_snapshot(strtoul(argv[i], NULL, 10), nr_vms);

		for (size_t answer = 0; answer < sizeof(answers) / sizeof(answers[0]); answer++) {
			printf("%s", i > 2 || answer ? ",\n" : "");
			measure(answer, snapshot, nr_vms, samples);
		}
		snapshot_unref(snapshot);
	}
	printf("]\n");
	return 0;
}
