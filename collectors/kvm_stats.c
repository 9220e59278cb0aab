/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM's own statistics of VMs of others. An owner that keeps statistics descriptors open (QEMU from
 * 8.1 on one a vCPU) has them borrowed for the moment of each reading; all else comes from debugfs.
 * Nothing here has a vCPU or its owner do anything.
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "collectors/collector.h"
#include "collectors/host_file.h"
#include "collectors/kvm_debugfs.h"
#include "collectors/proc.h"
#include "umbra/kvm_stats.h"

/* In one of so many rounds it is a VM's turn for what changes little. */
enum { ROUNDS_A_TURN = 8 };

/* A statistics descriptor of an owner. */
struct source {
	int fd;   /* its number there */
	int vcpu; /* -1: of the VM */
};

struct target {
	uint32_t number; /* of its VM */
	pid_t pid;
	struct source *sources;
	size_t nr_sources;
	size_t descriptors; /* how many the owner had when they were listed */
	bool listed;
	bool deceived; /* something else was in a descriptor's place: nothing is borrowed */
	bool sampled;  /* once at least */
	struct kvm_figures slow; /* of the last sample: what is read seldom is kept */
};

struct stats {
	const char *proc, *sys;
	struct target **list;
	size_t nr, room;
	unsigned int round;
	struct kvm_debugfs debugfs;
	struct kvm_descriptors descriptors; /* to be used again and again */
	/* What such descriptors say of themselves; NULL: none was seen yet. */
	struct umbra_kvm_stats *vm_layout, *vcpu_layout;

	/* Of this round. */
	size_t sampled, measured, without_vm, without_vcpus, ambiguous;
	int no_loan; /* why a descriptor could not be borrowed: a positive errno */
};

static void *create(const struct collector_settings *settings)
{
	struct stats *stats = calloc(1, sizeof(*stats));

	if (!stats)
		return NULL;
	stats->proc = settings->roots.proc;
	stats->sys = settings->roots.sys;
	kvm_debugfs_probe(&stats->debugfs, stats->sys);
	return stats;
}

static void forget_layouts(struct stats *stats)
{
	umbra_kvm_stats_close(stats->vm_layout);
	umbra_kvm_stats_close(stats->vcpu_layout);
	stats->vm_layout = stats->vcpu_layout = NULL;
}

static void free_target(struct target *target)
{
	free(target->sources);
	free(target);
}

static void destroy(void *self)
{
	struct stats *stats = self;

	for (size_t i = 0; i < stats->nr; i++)
		free_target(stats->list[i]);
	free(stats->list);
	forget_layouts(stats);
	kvm_debugfs_free(&stats->debugfs);
	kvm_descriptors_free(&stats->descriptors);
	free(stats);
}

static struct target *find(const struct stats *stats, const struct vm *vm)
{
	for (size_t i = 0; i < stats->nr; i++) {
		if (stats->list[i]->number == vm->number)
			return stats->list[i];
	}
	return NULL;
}

/* NULL: out of memory; the next update tries again. */
static struct target *add(struct stats *stats, const struct vm *vm)
{
	struct target *target = calloc(1, sizeof(*target));

	if (target && stats->nr == stats->room) {
		size_t room = stats->room ? 2 * stats->room : 16;
		struct target **list = realloc(stats->list, room * sizeof(struct target *));

		if (!list) {
			free(target);
			return NULL;
		}
		stats->list = list;
		stats->room = room;
	}
	if (!target)
		return NULL;
	target->number = vm->number;
	target->pid = vm->pid;
	stats->list[stats->nr++] = target;
	return target;
}

static void update(void *self, const struct vm *vm)
{
	struct target *target = find(self, vm);

	if (!target)
		target = add(self, vm);
	if (target)
		target->listed = false;
}

static void remove_vm(void *self, const struct vm *vm)
{
	struct stats *stats = self;

	for (size_t i = 0; i < stats->nr; i++) {
		if (stats->list[i]->number != vm->number)
			continue;
		free_target(stats->list[i]);
		stats->list[i] = stats->list[--stats->nr];
	}
	/* Without a VM KVM may be unloaded, and another one loaded. */
	if (!stats->nr)
		forget_layouts(stats);
}

static void begin(void *self, uint64_t now)
{
	struct stats *stats = self;

	kvm_debugfs_probe(&stats->debugfs, stats->sys);
	stats->round++;
	stats->sampled = stats->measured = stats->ambiguous = 0;
	stats->without_vm = stats->without_vcpus = 0;
	stats->no_loan = 0;
}

/* --- descriptors of the owner ----------------------------------------------------------------- */

/* Which of an owner's VMs a descriptor is of cannot be told. */
static bool is_alone(const struct stats *stats, const struct target *target)
{
	size_t nr = 0;

	for (size_t i = 0; i < stats->nr; i++)
		nr += stats->list[i]->pid == target->pid;
	return nr == 1;
}

static bool has_source(const struct target *target, int vcpu)
{
	for (size_t i = 0; i < target->nr_sources; i++) {
		if (target->sources[i].vcpu == vcpu)
			return true;
	}
	return false;
}

static void list_sources(struct stats *stats, struct target *target)
{
	const struct kvm_descriptors *descriptors = &stats->descriptors;
	int error = proc_descriptors(stats->proc, target->pid, &stats->descriptors);

	target->nr_sources = 0;
	if (error == -EACCES)
		stats->no_loan = EACCES;
	if (error || !descriptors->nr)
		return;
	free(target->sources);
	target->sources = calloc(descriptors->nr, sizeof(struct source));
	if (!target->sources)
		return;
	for (size_t i = 0; i < descriptors->nr; i++) {
		const struct kvm_descriptor *descriptor = &descriptors->list[i];

		if ((descriptor->file == KVM_FILE_VM_STATS ||
		     descriptor->file == KVM_FILE_VCPU_STATS) &&
		    !has_source(target, descriptor->vcpu))
			target->sources[target->nr_sources++] =
				(struct source){descriptor->fd, descriptor->vcpu};
	}
	target->listed = true;
}

/* They are listed anew only where something tells that they are others: that is cheap. */
static void look_for_sources(struct stats *stats, struct target *target)
{
	size_t descriptors = proc_descriptor_count(stats->proc, target->pid);

	if (target->listed && descriptors == target->descriptors &&
	    (descriptors || (stats->round + target->number) % ROUNDS_A_TURN))
		return;
	target->descriptors = descriptors;
	list_sources(stats, target);
}

/* @path is the link of a descriptor: whether that is the statistics that @source names. */
static bool is_source(const char *path, const struct source *source)
{
	struct kvm_descriptor descriptor;
	char target[64];
	ssize_t length = readlink(path, target, sizeof(target) - 1);

	target[length > 0 ? length : 0] = '\0';
	return kvm_descriptor_parse(target, &descriptor) && descriptor.vcpu == source->vcpu &&
	       (descriptor.file == KVM_FILE_VM_STATS || descriptor.file == KVM_FILE_VCPU_STATS);
}

static void *close_in_thread(void *fd)
{
	close((int)(intptr_t)fd);
	return NULL;
}

/*
 * To close a file can take as long as its file system likes, and anybody may have one of his own
 * (FUSE). What cannot be closed aside stays open.
 */
static void close_aside(int fd)
{
	pthread_t thread;

	if (!pthread_create(&thread, NULL, close_in_thread, (void *)(intptr_t)fd))
		pthread_detach(thread);
}

/*
 * A duplicate of what @source is, or a negative errno: -EBADF if its number is another file's by
 * now, -EBADFD if it became that in this very moment. To read that, or to close it, could do
 * something.
 */
static int borrow(const char *proc, const struct vm *vm, const struct source *source)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%d/fd/%d", proc, vm->pid, source->fd);
	if (!is_source(path, source))
		return -EBADF;
	fd = pidfd_getfd(vm->pidfd, source->fd, 0);
	if (fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (is_source(path, source))
		return fd;
	close_aside(fd);
	return -EBADFD;
}

/* Adds what the descriptor says; a negative errno. */
static int read_source(struct stats *stats, const struct vm *vm, const struct source *source,
		       struct kvm_figures *figures, struct umbra_kvm_others *others)
{
	struct umbra_kvm_stats **layout =
		source->vcpu < 0 ? &stats->vm_layout : &stats->vcpu_layout;
	int fd = borrow(stats->proc, vm, source), error = 0;

	if (fd < 0)
		return fd;
	if (!*layout)
		error = umbra_kvm_stats_open(fd, layout, NULL);
	if (!error)
		error = umbra_kvm_stats_read_from(*layout, fd);
	close(fd);
	if (!error)
		umbra_kvm_stats_add(*layout, &figures->kvm, &figures->known, others);
	return error;
}

static void take_others(struct kvm_figures *figures, const struct umbra_kvm_others *others)
{
	for (uint32_t i = 0; i < others->nr; i++)
		kvm_figures_add_other(figures, others->other[i].name, others->other[i].value);
}

/* Adds the VM's own statistics, or those of its vCPUs, if all of them can be had. */
static bool read_sources(struct stats *stats, const struct vm *vm, struct target *target,
			 bool of_vcpus, struct kvm_figures *figures)
{
	struct kvm_figures sum = *figures;
	struct umbra_kvm_others others = {0};
	size_t nr = 0, wanted = of_vcpus ? vm->nr_vcpus : 1;
	int error = 0;

	for (size_t i = 0; i < target->nr_sources && !error; i++) {
		if ((target->sources[i].vcpu >= 0) != of_vcpus)
			continue;
		error = read_source(stats, vm, &target->sources[i], &sum, &others);
		nr++;
	}
	if (error) {
		target->listed = false; /* it was closed, or is another thing now */
		target->deceived = target->deceived || error == -EBADFD;
		if (error != -EBADF && error != -ESRCH)
			stats->no_loan = -error;
		return false;
	}
	if (nr != wanted || !wanted)
		return false;
	take_others(&sum, &others);
	*figures = sum;
	return true;
}

/* --- a sample --------------------------------------------------------------------------------- */

/* What is read seldom is as it was when it was told last, also by a descriptor that is gone now. */
static void take_slow(struct target *target, bool turn, struct kvm_figures *figures)
{
	uint64_t *numbers = (uint64_t *)&figures->kvm;
	const uint64_t *slow = (const uint64_t *)&target->slow.kvm;

	for (size_t i = 0; !turn && i < sizeof(figures->kvm) / sizeof(uint64_t); i++) {
		if (!kvm_debugfs_is_slow((uint16_t)i) || umbra_known_has(&figures->known, i) ||
		    !umbra_known_has(&target->slow.known, i))
			continue;
		numbers[i] = slow[i];
		umbra_known_add(&figures->known, i);
	}
	for (size_t i = 0; !turn && i < target->slow.nr_other; i++)
		kvm_figures_add_other(figures, target->slow.other[i].name,
				      target->slow.other[i].value);
	target->slow = *figures;
}

static void sample(void *self, const struct vm *vm, struct vm_sample *sample)
{
	struct stats *stats = self;
	struct target *target = find(stats, vm);
	struct kvm_figures figures = {0};
	bool has_vm = false, has_vcpus = false, has_debugfs = false, turn;
	size_t nr = 0;

	if (!target)
		return;
	stats->sampled++;
	if (target->deceived) {
		stats->no_loan = EBADFD;
	} else if (vm->pidfd >= 0 && is_alone(stats, target)) {
		look_for_sources(stats, target);
		has_vm = read_sources(stats, vm, target, false, &figures);
		has_vcpus = read_sources(stats, vm, target, true, &figures);
	} else if (vm->pidfd >= 0) {
		stats->ambiguous++;
	}
	turn = !target->sampled || (stats->round + target->number) % ROUNDS_A_TURN == 0;
	target->sampled = true;
	if (vm->folder >= 0 && !stats->debugfs.no_folder) {
		nr = kvm_debugfs_read(&stats->debugfs, vm->folder, turn, &figures);
		has_debugfs = nr && !stats->debugfs.no_cumulative;
		take_slow(target, turn, &figures);
	}
	stats->measured += has_vm || has_vcpus || nr;
	stats->without_vm += !has_vm && !has_debugfs;
	stats->without_vcpus += !has_vcpus && !has_debugfs && vm->nr_vcpus;
	sample->kvm = figures.kvm;
	sample->kvm_known = figures.known;
	memcpy(sample->kvm_other, figures.other, sizeof(figures.other));
	sample->nr_kvm_other = figures.nr_other;
}

/* --- state ------------------------------------------------------------------------------------ */

/* Why debugfs does not tell all; empty: it does. */
static void explain_debugfs(const struct stats *stats, char *ret, size_t size)
{
	const struct kvm_debugfs *debugfs = &stats->debugfs;
	int error = debugfs->no_folder ? debugfs->no_folder : debugfs->no_cumulative;
	char lockdown[32];

	ret[0] = '\0';
	if (!error)
		return;
	host_read_choice(stats->sys, "kernel/security/lockdown", lockdown, sizeof(lockdown));
	if (!strcmp(lockdown, "none"))
		lockdown[0] = '\0';
	if (error == EPERM)
		snprintf(ret, size, "%s%s%s closes debugfs",
			 lockdown[0] ? "lockdown (" : "lockdown", lockdown, lockdown[0] ? ")" : "");
	else
		snprintf(ret, size, "%.64s/kernel/debug/kvm: %s", stats->sys,
			 error == ENOENT ? "missing, is debugfs mounted?" : strerror(error));
}

static const char *explain_loans(const struct stats *stats)
{
	if (stats->no_loan == EACCES || stats->no_loan == EPERM)
		return "their owners' descriptors cannot be borrowed (CAP_SYS_PTRACE)";
	if (stats->no_loan == ENOSYS)
		return "this kernel cannot lend descriptors (Linux 5.6)";
	if (stats->no_loan == EBADFD)
		return "an owner put another file in the place of a statistics descriptor";
	if (stats->no_loan)
		return strerror(stats->no_loan);
	if (stats->ambiguous)
		return "owners of several VMs: which descriptor is whose cannot be told";
	return "their owners keep no statistics descriptors open";
}

static void state(void *self, char ret_state[COLLECTOR_STATE_MAX])
{
	const struct stats *stats = self;
	char path[PATH_MAX], why[160];

	snprintf(path, sizeof(path), "%.64s/devices/virtual/misc/kvm", stats->sys);
	if (!stats->nr && access(path, F_OK) && errno == ENOENT) {
		snprintf(ret_state, COLLECTOR_STATE_MAX, "unsupported: %.80s: KVM is not loaded",
			 path);
		return;
	}
	explain_debugfs(stats, why, sizeof(why));
	if (!stats->without_vm && !stats->without_vcpus && (stats->sampled || !why[0]))
		snprintf(ret_state, COLLECTOR_STATE_MAX, "ok");
	else if (!stats->sampled)
		snprintf(ret_state, COLLECTOR_STATE_MAX,
			 "degraded: %s: there is only what owners of VMs keep open", why);
	else
		snprintf(ret_state, COLLECTOR_STATE_MAX,
			 "%s: of %zu VMs %zu without statistics of vCPUs, %zu of the VM: %s%s%s",
			 stats->measured ? "degraded" : "denied", stats->sampled,
			 stats->without_vcpus, stats->without_vm, why, why[0] ? "; " : "",
			 explain_loans(stats));
}

const struct collector kvm_collector = {
	.name = "kvm",
	.create = create,
	.destroy = destroy,
	.update = update,
	.remove = remove_vm,
	.begin = begin,
	.sample = sample,
	.state = state,
};
