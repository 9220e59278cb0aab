/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "collectors/vm_name.h"
#include "collectors/watched.h"

/* --- who it is -------------------------------------------------------------------------------- */

static void take_names(struct watched *watched, const char *proc)
{
	struct vm *vm = &watched->vm;
	struct vm_names names = {0};
	struct proc_stat now;
	const char *command;
	ssize_t length = proc_command(proc, vm->pid, &command);

	if (length > 0)
		vm_names_of_command(command, (size_t)length, &names);
	if (proc_unit(proc, vm->pid, vm->unit))
		vm->unit[0] = '\0';
	/* It has ended: its number may have been another process's. */
	if (proc_stat(proc, vm->pid, &now) || now.start_time != vm->start_time) {
		names = (struct vm_names){0};
		vm->unit[0] = '\0';
	}
	if (!names.name[0])
		vm_name_of_unit(vm->unit, names.name);
	snprintf(vm->id, sizeof(vm->id), "%s", names.uuid);
	if (!vm->id[0] && names.name[0])
		vm_id_of_name(names.name, vm->id);
	if (names.name[0])
		snprintf(vm->name, sizeof(vm->name), "%s", names.name);
	else
		snprintf(vm->name, sizeof(vm->name), "%s-%d", vm->process, vm->pid);
}

void watched_name(struct watched *watched, bool own)
{
	struct vm *vm = &watched->vm;
	size_t length = strlen(vm->id), own_length;
	char text[64]; /* numbers of at most 10, 10 and 20 digits */

	if (length && !own)
		return;
	own_length = (size_t)snprintf(text, sizeof(text), "%s%d-%d-%" PRIu64, length ? "-" : "",
				      vm->pid, vm->fd, vm->start_time);
	if (length > sizeof(vm->id) - 1 - own_length)
		length = sizeof(vm->id) - 1 - own_length;
	memcpy(vm->id + length, text, own_length + 1);
}

void watched_open_folder(struct watched *watched, const struct collector_roots *roots,
			 const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/kernel/debug/kvm/%s", roots->sys, name);
	watched->vm.folder = name[0] ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (watched->vm.folder < 0)
		return;
	snprintf(watched->folder, sizeof(watched->folder), "%s", name);
	if (fstat(watched->vm.folder, &watched->seen))
		watched->seen = (struct stat){0};
	watched->seen.st_nlink = 0; /* its vCPUs are to be listed */
}

struct watched *watched_create(const struct collector_roots *roots, pid_t pid, int fd,
			       const char *folder)
{
	struct watched *watched = calloc(1, sizeof(*watched));
	struct proc_stat before, after;
	int error;

	if (!watched)
		return NULL;
	watched->vm.pid = pid;
	watched->vm.fd = fd;
	watched_open_folder(watched, roots, folder);
	/* What is in between is of one process if its start is the same on both sides. */
	error = proc_stat(roots->proc, pid, &before);
	/* Of a fake tree's process there is none: its number may be another one's. */
	watched->vm.pidfd = !error && proc_is_real(roots->proc) ? pidfd_open(pid, 0) : -1;
	if (!error)
		error = proc_stat(roots->proc, pid, &after);
	if (!error && before.start_time != after.start_time)
		error = -ESRCH;
	if (!error) {
		watched->vm.start_time = before.start_time;
		snprintf(watched->vm.process, sizeof(watched->vm.process), "%s", before.name);
		vm_name_clean(watched->vm.process);
		take_names(watched, roots->proc);
		return watched;
	}
	watched_destroy(watched);
	errno = -error;
	return NULL;
}

void watched_destroy(struct watched *watched)
{
	if (watched->vm.pidfd >= 0)
		close(watched->vm.pidfd);
	if (watched->vm.folder >= 0)
		close(watched->vm.folder);
	free(watched->vm.vcpus);
	free(watched);
}

bool watched_is_gone(const struct watched *watched, const struct collector_roots *roots)
{
	const struct vm *vm = &watched->vm;
	struct proc_stat status;
	struct stat folder;
	int error;

	if (vm->folder >= 0 && !fstat(vm->folder, &folder) && !folder.st_nlink)
		return true;
	/* With a pidfd the owner's end is told. */
	if (vm->pidfd < 0) {
		error = proc_stat(roots->proc, vm->pid, &status);
		if (error == -ENOENT || error == -ESRCH)
			return true;
		if (!error && status.start_time != vm->start_time)
			return true;
	}
	if (vm->folder >= 0 || vm->fd < 0)
		return false;
	error = proc_is_vm(roots->proc, vm->pid, vm->fd);
	return error == -ENOENT || error == -ESRCH;
}

/* --- vCPUs ------------------------------------------------------------------------------------ */

static int compare_vcpus(const void *a, const void *b)
{
	return ((const struct vm_vcpu *)a)->id - ((const struct vm_vcpu *)b)->id;
}

static pid_t known_tid(const struct vm *vm, int id)
{
	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpus[i].id == id)
			return vm->vcpus[i].tid;
	}
	return 0;
}

/* Takes @vcpus, in any order; true: they are others than before. */
static bool set_vcpus(struct vm *vm, struct vm_vcpu *vcpus, size_t nr)
{
	bool same = nr == vm->nr_vcpus;

	if (nr)
		qsort(vcpus, nr, sizeof(*vcpus), compare_vcpus);
	for (size_t i = 0; i < nr; i++) {
		vcpus[i].tid = known_tid(vm, vcpus[i].id);
		same = same && vcpus[i].id == vm->vcpus[i].id;
	}
	free(vm->vcpus);
	vm->vcpus = vcpus;
	vm->nr_vcpus = nr;
	return !same;
}

static bool add_vcpu(struct vm_vcpu **vcpus, size_t *nr, size_t *room, int id)
{
	if (*nr == VM_VCPUS_MAX)
		return true;
	if (*nr == *room) {
		size_t more = *room ? 2 * *room : 8;
		struct vm_vcpu *list = realloc(*vcpus, more * sizeof(*list));

		if (!list)
			return false;
		*vcpus = list;
		*room = more;
	}
	(*vcpus)[(*nr)++] = (struct vm_vcpu){.id = id};
	return true;
}

int watched_vcpu_id(const char *name)
{
	static const char prefix[] = "vcpu";

	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return -1;
	return (int)proc_number(name + strlen(prefix), INT_MAX);
}

/* The folder's "vcpuN". */
static bool list_folder(struct watched *watched)
{
	int fd = openat(watched->vm.folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	struct vm_vcpu *vcpus = NULL;
	size_t nr = 0, room = 0;
	struct dirent *entry;
	bool all = true;

	if (!folder) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (all && (entry = readdir(folder))) {
		int id = watched_vcpu_id(entry->d_name);

		if (id >= 0)
			all = add_vcpu(&vcpus, &nr, &room, id);
	}
	closedir(folder);
	if (all)
		return set_vcpus(&watched->vm, vcpus, nr);
	free(vcpus);
	return false;
}

/* The owner's descriptors of vCPUs; of an owner with several VMs they could be any one's. */
static bool list_descriptors(struct watched *watched, const struct look *look)
{
	const struct kvm_descriptors *descriptors = look->descriptors;
	struct vm_vcpu *vcpus = NULL;
	size_t nr = 0, room = 0;
	bool all = true;

	if (proc_descriptors(look->roots->proc, watched->vm.pid, look->descriptors))
		return false;
	for (size_t i = 0; i < descriptors->nr && look->alone && all; i++) {
		bool twice = false;

		if (descriptors->list[i].file != KVM_FILE_VCPU)
			continue;
		for (size_t j = 0; j < nr; j++)
			twice = twice || vcpus[j].id == descriptors->list[i].vcpu;
		all = twice || add_vcpu(&vcpus, &nr, &room, descriptors->list[i].vcpu);
	}
	if (all)
		return set_vcpus(&watched->vm, vcpus, nr);
	free(vcpus);
	return false;
}

/* vCPUs are listed anew only where something tells that they are others: that is cheap. */
static bool look_for_vcpus(struct watched *watched, const struct look *look)
{
	struct stat status;
	size_t descriptors;

	if (watched->vm.folder >= 0) {
		if (fstat(watched->vm.folder, &status) ||
		    (status.st_nlink == watched->seen.st_nlink &&
		     status.st_mtim.tv_sec == watched->seen.st_mtim.tv_sec &&
		     status.st_mtim.tv_nsec == watched->seen.st_mtim.tv_nsec))
			return false;
		watched->seen = status;
		return list_folder(watched);
	}
	descriptors = proc_descriptor_count(look->roots->proc, watched->vm.pid);
	if (descriptors && descriptors == watched->descriptors && !look->threads)
		return false;
	watched->descriptors = descriptors;
	return list_descriptors(watched, look);
}

pid_t watched_read_tid(int folder, int id)
{
	char path[32], text[32];
	long tid = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "vcpu%d/pid", id);
	fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n > 0) {
		text[n] = '\0';
		text[strcspn(text, "\n")] = '\0';
		tid = proc_number(text, INT_MAX);
	}
	return tid > 0 ? (pid_t)tid : 0;
}

/* debugfs goes on telling a thread that has ended; its number may be another process's now. */
static pid_t read_own_tid(const struct vm *vm, const struct vm_vcpu *vcpu, const struct look *look)
{
	pid_t tid = watched_read_tid(vm->folder, vcpu->id), pid;

	if (!tid || tid == vcpu->tid)
		return tid;
	pid = proc_of_thread(look->roots->proc, tid);
	return pid > 0 && pid != vm->pid ? 0 : tid;
}

bool watched_lacks_threads(const struct watched *watched)
{
	const struct vm *vm = &watched->vm;
	char path[32];

	for (size_t i = 0; i < vm->nr_vcpus && vm->folder >= 0; i++) {
		if (vm->vcpus[i].tid)
			continue;
		snprintf(path, sizeof(path), "vcpu%d/pid", vm->vcpus[i].id);
		if (!faccessat(vm->folder, path, F_OK, 0) || errno != ENOENT)
			return false;
		*strchr(path, '/') = '\0';
		return !faccessat(vm->folder, path, F_OK, 0);
	}
	return false;
}

bool watched_look(struct watched *watched, const struct look *look)
{
	struct vm *vm = &watched->vm;
	bool changed = look_for_vcpus(watched, look);

	for (size_t i = 0; i < vm->nr_vcpus && vm->folder >= 0; i++) {
		pid_t tid = vm->vcpus[i].tid && !look->threads
				    ? 0
				    : read_own_tid(vm, &vm->vcpus[i], look);

		if (tid && tid != vm->vcpus[i].tid) {
			vm->vcpus[i].tid = tid;
			changed = true;
		}
	}
	return changed;
}

bool watched_thread(struct watched *watched, int id, pid_t tid)
{
	for (size_t i = 0; i < watched->vm.nr_vcpus; i++) {
		struct vm_vcpu *vcpu = &watched->vm.vcpus[i];

		if (vcpu->id != id)
			continue;
		if (vcpu->tid == tid)
			return false;
		vcpu->tid = tid;
		return true;
	}
	return false;
}
