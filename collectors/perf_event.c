/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processor's counters and the kernel's own of each thread that runs a vCPU. To read a group of
 * a thread that runs, the kernel interrupts its CPU once: a few interrupts a second and vCPU.
 */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "collectors/host_file.h"
#include "collectors/perf_event.h"
#include "collectors/perf_plan.h"

#define NR_COUNTERS (sizeof(struct perf_event_counters) / sizeof(uint64_t))
/* Below this share of the time what is scaled up says little. */
#define SHARE_MIN_PERCENT 20
/* That others of this process still get: by far the most are ours. */
#define DESCRIPTORS_LEFT 64
/* What could not be opened is tried again after so long. */
#define RETRY_NS       30000000000ULL

#define INDEX(counter) UMBRA_INDEX(struct perf_event_counters, counter, 0)

/* For how long a group was to count, and did. */
struct span {
	uint64_t enabled, running;
};

struct thread {
	pid_t tid;
	int error;               /* why something could not be opened; 0: everything is */
	int fd[PERF_EVENTS_MAX]; /* -1: not open */
	uint64_t raw[PERF_EVENTS_MAX];
	struct span span[PERF_GROUP_COUNT];  /* up to where raw is accounted for */
	struct span round[PERF_GROUP_COUNT]; /* as last read */
};

struct vm_events {
	uint32_t number;
	struct thread *threads;
	size_t nr_threads;
	/* Of all threads since they were found, those that ended included; scaled. */
	uint64_t total[NR_COUNTERS];
};

struct perf_event {
	struct collector_roots roots;
	struct perf_event_kernel kernel;
	struct perf_plan plan;
	struct vm_events *vms; /* by number */
	size_t nr_vms;
	bool out_of_memory; /* and so something is not counted */
	uint64_t retry_at;
	struct span round[PERF_GROUP_COUNT]; /* of all threads since the round began */
};

/* --- the kernel --------------------------------------------------------------------------- */

/* The lowest free number is the next descriptor's: one near the limit says that few are left. */
static int kernel_open(void *context, struct perf_event_attr *attr, pid_t tid, int group_fd)
{
	int fd = (int)syscall(SYS_perf_event_open, attr, tid, -1, group_fd, PERF_FLAG_FD_CLOEXEC);
	struct rlimit limit;

	if (fd < 0 || getrlimit(RLIMIT_NOFILE, &limit) ||
	    (rlim_t)fd + DESCRIPTORS_LEFT < limit.rlim_cur)
		return fd;
	close(fd);
	errno = EMFILE;
	return -1;
}

static ssize_t kernel_read(void *context, int fd, void *buffer, size_t size)
{
	return read(fd, buffer, size);
}

static void kernel_close(void *context, int fd)
{
	close(fd);
}

/* --- one thread --------------------------------------------------------------------------- */

static int leader_of(const struct perf_event *self, const struct thread *thread, int group)
{
	for (size_t i = 0; i < self->plan.nr; i++) {
		if ((int)self->plan.events[i].group == group && thread->fd[i] >= 0)
			return thread->fd[i];
	}
	return -1;
}

static void close_group(struct perf_event *self, struct thread *thread, int group)
{
	for (size_t i = 0; i < self->plan.nr; i++) {
		if ((int)self->plan.events[i].group != group || thread->fd[i] < 0)
			continue;
		self->kernel.close(self->kernel.context, thread->fd[i]);
		thread->fd[i] = -1;
	}
}

/* All events of the group or, for counts taken apart mislead, none. */
static int open_group(struct perf_event *self, struct thread *thread, int group)
{
	int leader = -1;

	for (size_t i = 0; i < self->plan.nr; i++) {
		struct perf_event_attr attr;

		if ((int)self->plan.events[i].group != group)
			continue;
		perf_plan_attr(&self->plan.events[i], &attr);
		thread->fd[i] = self->kernel.open(self->kernel.context, &attr, thread->tid, leader);
		if (thread->fd[i] < 0) {
			int error = errno;

			close_group(self, thread, group);
			return error;
		}
		thread->raw[i] = 0;
		if (leader < 0)
			leader = thread->fd[i];
	}
	thread->span[group] = thread->round[group] = (struct span){0};
	return 0;
}

/* Opens what is not open. */
static void open_thread(struct perf_event *self, struct thread *thread)
{
	thread->error = 0;
	for (int group = 0; group < PERF_GROUP_COUNT; group++) {
		int error =
			leader_of(self, thread, group) < 0 ? open_group(self, thread, group) : 0;

		if (error && !thread->error)
			thread->error = error;
	}
}

static uint64_t scale(uint64_t value, const struct span *span)
{
	if (span->running >= span->enabled)
		return value;
	return (uint64_t)((unsigned __int128)value * span->enabled / span->running);
}

/*
 * Adds what a group counted since the last time, scaled by the share of just that time in which it
 * did count: so no sum ever falls, as it would if the whole were scaled anew. While the group does
 * not count at all nothing is added; the time waits for its next turn.
 */
static void add_counts(struct perf_event *self, struct vm_events *vm, struct thread *thread,
		       int group, const uint64_t *values, const struct span *now)
{
	struct span *seen = &thread->span[group];
	struct span grown = {now->enabled - seen->enabled, now->running - seen->running};

	if (!grown.running)
		return;
	for (size_t i = 0; i < self->plan.nr; i++) {
		const struct perf_planned *event = &self->plan.events[i];
		uint64_t value;

		if ((int)event->group != group)
			continue;
		value = scale(*values - thread->raw[i], &grown);
		thread->raw[i] = *values++;
		for (size_t j = 0; j < 2; j++) {
			if (event->counter[j] < NR_COUNTERS)
				vm->total[event->counter[j]] += value;
		}
	}
	if (group == PERF_GROUP_CYCLES) {
		vm->total[INDEX(perf_time_enabled)] += grown.enabled;
		vm->total[INDEX(perf_time_running)] += grown.running;
	}
	*seen = *now;
}

static void read_group(struct perf_event *self, struct vm_events *vm, struct thread *thread,
		       int group)
{
	/* What PERF_FORMAT_GROUP and the two times make of a read. */
	struct {
		uint64_t nr;
		struct span span;
		uint64_t values[PERF_EVENTS_MAX];
	} counts;
	int leader = leader_of(self, thread, group);
	size_t nr = 0;
	ssize_t size;

	if (leader < 0)
		return;
	for (size_t i = 0; i < self->plan.nr; i++)
		nr += (int)self->plan.events[i].group == group;
	size = self->kernel.read(self->kernel.context, leader, &counts, sizeof(counts));
	if (size < (ssize_t)((3 + nr) * sizeof(uint64_t)) || counts.nr != nr) {
		thread->error = size < 0 ? errno : EIO;
		close_group(self, thread, group);
		return;
	}
	self->round[group].enabled += counts.span.enabled - thread->round[group].enabled;
	self->round[group].running += counts.span.running - thread->round[group].running;
	thread->round[group] = counts.span;
	add_counts(self, vm, thread, group, counts.values, &counts.span);
}

static void read_thread(struct perf_event *self, struct vm_events *vm, struct thread *thread)
{
	for (int group = 0; group < PERF_GROUP_COUNT; group++)
		read_group(self, vm, thread, group);
}

/* The counts of a thread that has ended stay readable until it is closed. */
static void end_thread(struct perf_event *self, struct vm_events *vm, struct thread *thread)
{
	read_thread(self, vm, thread);
	for (int group = 0; group < PERF_GROUP_COUNT; group++)
		close_group(self, thread, group);
}

/* --- VMs ---------------------------------------------------------------------------------- */

/* Where the VM is, or would be. */
static size_t place_of(const struct perf_event *self, uint32_t number)
{
	size_t low = 0, high = self->nr_vms;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (self->vms[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct vm_events *find(const struct perf_event *self, uint32_t number)
{
	size_t place = place_of(self, number);

	return place < self->nr_vms && self->vms[place].number == number ? &self->vms[place] : NULL;
}

static struct vm_events *add(struct perf_event *self, uint32_t number)
{
	size_t place = place_of(self, number);
	struct vm_events *vms = reallocarray(self->vms, self->nr_vms + 1, sizeof(*vms));

	if (!vms)
		return NULL;
	self->vms = vms;
	memmove(&vms[place + 1], &vms[place], (self->nr_vms - place) * sizeof(*vms));
	vms[place] = (struct vm_events){.number = number};
	self->nr_vms++;
	return &vms[place];
}

static void end_vm(struct perf_event *self, struct vm_events *vm)
{
	for (size_t i = 0; i < vm->nr_threads; i++)
		end_thread(self, vm, &vm->threads[i]);
	free(vm->threads);
}

static bool runs_vcpu(const struct vm *vm, pid_t tid)
{
	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpus[i].tid == tid)
			return true;
	}
	return false;
}

static bool counts_thread(const struct vm_events *events, pid_t tid)
{
	for (size_t i = 0; i < events->nr_threads; i++) {
		if (events->threads[i].tid == tid)
			return true;
	}
	return false;
}

static bool add_thread(struct perf_event *self, struct vm_events *events, pid_t tid)
{
	struct thread *threads =
		reallocarray(events->threads, events->nr_threads + 1, sizeof(*threads));
	struct thread *thread;

	if (!threads)
		return false;
	events->threads = threads;
	thread = &threads[events->nr_threads++];
	*thread = (struct thread){.tid = tid};
	for (size_t i = 0; i < PERF_EVENTS_MAX; i++)
		thread->fd[i] = -1;
	open_thread(self, thread);
	return true;
}

static void perf_update(void *context, const struct vm *vm)
{
	struct perf_event *self = context;
	struct vm_events *events = find(self, vm->number);

	if (!events)
		events = add(self, vm->number);
	if (!events) {
		self->out_of_memory = true;
		return;
	}
	for (size_t i = 0; i < events->nr_threads;) {
		if (runs_vcpu(vm, events->threads[i].tid)) {
			i++;
			continue;
		}
		end_thread(self, events, &events->threads[i]);
		events->threads[i] = events->threads[--events->nr_threads];
	}
	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		pid_t tid = vm->vcpus[i].tid;

		if (tid > 0 && !counts_thread(events, tid) && !add_thread(self, events, tid))
			self->out_of_memory = true;
	}
}

static void perf_remove(void *context, const struct vm *vm)
{
	struct perf_event *self = context;
	size_t place = place_of(self, vm->number);

	if (place == self->nr_vms || self->vms[place].number != vm->number)
		return;
	end_vm(self, &self->vms[place]);
	self->nr_vms--;
	memmove(&self->vms[place], &self->vms[place + 1],
		(self->nr_vms - place) * sizeof(*self->vms));
}

static void perf_begin(void *context, uint64_t now)
{
	struct perf_event *self = context;

	memset(self->round, 0, sizeof(self->round));
	if (now < self->retry_at)
		return;
	self->retry_at = now + RETRY_NS;
	for (size_t i = 0; i < self->nr_vms; i++) {
		for (size_t j = 0; j < self->vms[i].nr_threads; j++) {
			if (self->vms[i].threads[j].error)
				open_thread(self, &self->vms[i].threads[j]);
		}
	}
}

/* Whether the event's counts hold for all the time that the thread ran since it was opened. */
static bool holds(const struct thread *thread, const struct perf_planned *event, int fd)
{
	const struct span *round = &thread->round[event->group];

	return fd >= 0 && (round->running || !round->enabled);
}

/* Counters that every thread has every event for. */
static void find_known(const struct perf_event *self, const struct vm_events *vm,
		       struct umbra_known *ret_known)
{
	struct umbra_known broken = self->plan.broken;

	for (size_t i = 0; i < vm->nr_threads; i++) {
		for (size_t j = 0; j < self->plan.nr; j++) {
			const struct perf_planned *event = &self->plan.events[j];

			if (holds(&vm->threads[i], event, vm->threads[i].fd[j]))
				continue;
			umbra_known_add(&broken, event->counter[0]);
			umbra_known_add(&broken, event->counter[1]);
		}
	}
	for (size_t i = 0; vm->nr_threads && i < NR_COUNTERS; i++) {
		if (umbra_known_has(&self->plan.fed, i) && !umbra_known_has(&broken, i))
			umbra_known_add(ret_known, i);
	}
	/* They say how the others were scaled. */
	if (umbra_known_has(ret_known, INDEX(cycles))) {
		umbra_known_add(ret_known, INDEX(perf_time_enabled));
		umbra_known_add(ret_known, INDEX(perf_time_running));
	}
}

static void perf_sample(void *context, const struct vm *vm, struct vm_sample *sample)
{
	struct perf_event *self = context;
	struct vm_events *events = find(self, vm->number);
	uint64_t *counters = (uint64_t *)&sample->perf_event;

	if (!events)
		return;
	for (size_t i = 0; i < events->nr_threads; i++)
		read_thread(self, events, &events->threads[i]);
	find_known(self, events, &sample->perf_event_known);
	for (size_t i = 0; i < NR_COUNTERS; i++) {
		if (umbra_known_has(&sample->perf_event_known, i))
			counters[i] = events->total[i];
	}
}

/* --- the state ---------------------------------------------------------------------------- */

struct reasons {
	const char *word; /* the worst */
	char text[COLLECTOR_STATE_MAX];
	size_t length;
};

__attribute__((format(printf, 3, 4))) static void reason(struct reasons *reasons, const char *word,
							 const char *format, ...)
{
	size_t left = sizeof(reasons->text) - reasons->length;
	va_list args;
	int written;

	if (!reasons->word)
		reasons->word = word;
	written =
		snprintf(reasons->text + reasons->length, left, "%s", reasons->length ? "; " : "");
	reasons->length += (size_t)written < left ? (size_t)written : left - 1;
	left = sizeof(reasons->text) - reasons->length;
	va_start(args, format);
	written = vsnprintf(reasons->text + reasons->length, left, format, args);
	va_end(args);
	reasons->length += (size_t)written < left ? (size_t)written : left - 1;
}

/* Debian's kernel has a level of its own: at 3 CAP_PERFMON is not enough. */
static void denied(const struct perf_event *self, const char *what, int error, struct reasons *to)
{
	char level[16];
	bool restricted;

	host_read_line(self->roots.proc, "sys/kernel/perf_event_paranoid", level, sizeof(level));
	restricted = strtol(level, NULL, 10) > 2;
	reason(to, "denied", "%s: %s; %s is needed where kernel.perf_event_paranoid is %s%s", what,
	       strerror(error), restricted ? "CAP_SYS_ADMIN" : "CAP_PERFMON",
	       level[0] ? level : "above 1", restricted ? ", CAP_PERFMON where it is 2" : "");
}

/* Whether anything can be counted at all. */
static void state_of_kernel(const struct perf_event *self, struct reasons *to)
{
	const struct perf_plan *plan = &self->plan;

	if (plan->hardware_errno && perf_plan_denied(plan->hardware_errno))
		denied(self, "cycles", plan->hardware_errno, to);
	else if (plan->hardware_errno)
		reason(to, "unsupported",
		       "this machine offers no counters of its processor (cycles: %s)",
		       strerror(plan->hardware_errno));
	if (plan->software_errno && perf_plan_denied(plan->software_errno) && !plan->hardware_errno)
		denied(self, "task-clock", plan->software_errno, to);
	else if (plan->software_errno)
		reason(to, "unsupported", "task-clock: %s", strerror(plan->software_errno));
}

/* What cannot be counted of what others can. */
static void state_of_events(const struct perf_event *self, struct reasons *to)
{
	const struct perf_plan *plan = &self->plan;
	const struct processor *cpu = &plan->processor;

	if (plan->hardware_errno)
		return;
	if (plan->lacks_libpfm)
		reason(to, "degraded",
		       "this build lacks libpfm4: TLB misses and walks are not counted");
	else if (cpu->kind == PROCESSOR_COUNT && cpu->vendor[0])
		reason(to, "degraded",
		       "no events are known for this processor (%s, family %u, model %u): "
		       "TLB misses and walks are not counted",
		       cpu->vendor, cpu->family, cpu->model);
	else if (cpu->kind == PROCESSOR_COUNT)
		reason(to, "degraded",
		       "%s/cpuinfo does not tell the processor: TLB misses and "
		       "walks are not counted",
		       self->roots.proc);
	if (plan->event_errno)
		reason(to, "degraded", "%s: %s", plan->event_name, strerror(plan->event_errno));
	if (plan->without)
		reason(to, "degraded", "%s has no event for %s", processor_name(cpu->kind),
		       plan->without);
}

static void state_of_threads(const struct perf_event *self, struct reasons *to)
{
	size_t nr = 0, nr_failed = 0;
	int error = 0;

	for (size_t i = 0; i < self->nr_vms; i++) {
		for (size_t j = 0; j < self->vms[i].nr_threads; j++) {
			const struct thread *thread = &self->vms[i].threads[j];

			nr++;
			/* ESRCH: it has just ended, and its VM will be told to have changed. */
			if (!thread->error || thread->error == ESRCH)
				continue;
			nr_failed++;
			error = thread->error;
		}
	}
	if (!nr_failed)
		return;
	if (perf_plan_denied(error) && nr_failed == nr)
		denied(self, "the vCPUs' threads", error, to);
	else
		reason(to, "degraded", "%zu of %zu threads are not fully counted: %s", nr_failed,
		       nr, strerror(error));
}

/* The group that had the least of its time. */
static void state_of_sharing(const struct perf_event *self, struct reasons *to)
{
	uint64_t least = 100;

	for (int group = PERF_GROUP_SOFTWARE + 1; group < PERF_GROUP_COUNT; group++) {
		const struct span *round = &self->round[group];

		if (round->enabled && round->running * 100 / round->enabled < least)
			least = round->running * 100 / round->enabled;
	}
	if (least < SHARE_MIN_PERCENT)
		reason(to, "degraded",
		       "the processor's counters are shared: some counted %llu%% of the time, "
		       "what is shown is scaled",
		       (unsigned long long)least);
}

static void perf_state(void *context, char ret_state[COLLECTOR_STATE_MAX])
{
	const struct perf_event *self = context;
	struct reasons reasons = {0};

	/* The worst first: it gives its word to the whole. */
	state_of_kernel(self, &reasons);
	state_of_threads(self, &reasons);
	state_of_events(self, &reasons);
	state_of_sharing(self, &reasons);
	if (self->out_of_memory)
		reason(&reasons, "degraded", "out of memory: some threads are not counted");
	if (!reasons.word)
		snprintf(ret_state, COLLECTOR_STATE_MAX, "ok");
	else if (snprintf(ret_state, COLLECTOR_STATE_MAX, "%s: %s", reasons.word, reasons.text) >=
		 COLLECTOR_STATE_MAX)
		memcpy(ret_state + COLLECTOR_STATE_MAX - 4, "...", 4);
}

/* --- the collector ------------------------------------------------------------------------ */

void *perf_event_create(const struct collector_settings *settings,
			const struct perf_event_kernel *kernel)
{
	struct perf_event *self = calloc(1, sizeof(*self));

	if (!self)
		return NULL;
	self->roots = settings->roots;
	self->kernel = *kernel;
	perf_plan_make(&self->plan, &settings->roots, kernel);
	return self;
}

static void *perf_create(const struct collector_settings *settings)
{
	static const struct perf_event_kernel kernel = {
		.open = kernel_open, .read = kernel_read, .close = kernel_close};

	return perf_event_create(settings, &kernel);
}

static void perf_destroy(void *context)
{
	struct perf_event *self = context;

	if (!self)
		return;
	for (size_t i = 0; i < self->nr_vms; i++)
		end_vm(self, &self->vms[i]);
	free(self->vms);
	free(self);
}

const struct collector perf_event_collector = {
	.name = "perf_event",
	.create = perf_create,
	.destroy = perf_destroy,
	.update = perf_update,
	.remove = perf_remove,
	.begin = perf_begin,
	.sample = perf_sample,
	.state = perf_state,
};
