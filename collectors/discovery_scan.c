/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which VMs there are right now: the folders of debugfs, the descriptors of all processes. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "collectors/discovery_private.h"

/* A VM that is not known yet. */
struct candidate {
	pid_t pid, creator;
	int fd;
	uint64_t start_time;
	char folder[KVM_FOLDER_MAX]; /* may be empty */
};

struct candidates {
	struct candidate *list;
	size_t nr, room;
};

static void add(struct discovery *discovery, struct candidates *candidates, pid_t pid, int fd,
		const char *folder, pid_t creator)
{
	struct candidate candidate = {.pid = pid, .creator = creator, .fd = fd};
	struct proc_stat status;

	if (proc_stat(discovery->config.roots.proc, pid, &status))
		return;
	if (candidates->nr == candidates->room) {
		size_t room = candidates->room ? 2 * candidates->room : 16;
		struct candidate *list = realloc(candidates->list, room * sizeof(*list));

		if (!list) {
			discovery->left_out++;
			discovery->why_left_out = ENOMEM;
			return;
		}
		candidates->list = list;
		candidates->room = room;
	}
	candidate.start_time = status.start_time;
	snprintf(candidate.folder, sizeof(candidate.folder), "%s", folder);
	candidates->list[candidates->nr++] = candidate;
}

/* The older process first, so that of two VMs with one id the same one has it each time. */
static int compare(const void *a, const void *b)
{
	const struct candidate *left = a, *right = b;

	if (left->start_time != right->start_time)
		return left->start_time < right->start_time ? -1 : 1;
	if (left->pid != right->pid)
		return left->pid < right->pid ? -1 : 1;
	return (left->fd > right->fd) - (left->fd < right->fd);
}

/* Descriptors of one VM: duplicated, or inherited by a child. */
static bool same_file(const struct discovery *discovery, pid_t pid, int fd, pid_t other_pid,
		      int other_fd)
{
	return discovery->real && !syscall(SYS_kcmp, pid, other_pid, KCMP_FILE, fd, other_fd);
}

static bool is_known_file(struct discovery *discovery, pid_t pid, int fd)
{
	if (discovery_find(discovery, pid, fd))
		return true;
	for (size_t i = 0; i < discovery->nr; i++) {
		const struct vm *vm = &discovery->list[i]->vm;

		if (vm->fd < 0 ? vm->pid == pid : same_file(discovery, pid, fd, vm->pid, vm->fd))
			return true;
		/* What it was created as was closed: it must have another descriptor. */
		if (vm->pid == pid && discovery->list[i]->folder[0] &&
		    proc_is_vm(discovery->config.roots.proc, pid, vm->fd) == -ENOENT)
			return true;
	}
	return false;
}

static void tell(struct discovery *discovery, struct candidates *candidates)
{
	if (candidates->nr)
		qsort(candidates->list, candidates->nr, sizeof(candidates->list[0]), compare);
	for (size_t i = 0; i < candidates->nr; i++) {
		const struct candidate *candidate = &candidates->list[i];

		/* A child that inherited the descriptor is younger than its owner. */
		if (!candidate->folder[0] &&
		    is_known_file(discovery, candidate->pid, candidate->fd))
			continue;
		discovery_appear(discovery, candidate->pid, candidate->fd, candidate->folder,
				 candidate->creator);
	}
	free(candidates->list);
}

/* --- debugfs ---------------------------------------------------------------------------------- */

static void folders_path(const struct discovery *discovery, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/kernel/debug/kvm", discovery->config.roots.sys);
}

/* The thread that made it may have ended; then one that runs its vCPUs says whose it is. */
static pid_t owner_of_folder(const struct discovery *discovery, DIR *folders, const char *name,
			     pid_t creator)
{
	const char *proc = discovery->config.roots.proc;
	pid_t pid = proc_of_thread(proc, creator);
	struct dirent *entry;
	DIR *folder;
	int fd;

	if (pid > 0)
		return pid;
	fd = openat(dirfd(folders), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder) {
		if (fd >= 0)
			close(fd);
		return pid;
	}
	while (pid <= 0 && (entry = readdir(folder))) {
		int id = watched_vcpu_id(entry->d_name);
		pid_t tid = id < 0 ? 0 : watched_read_tid(dirfd(folder), id);

		if (tid)
			pid = proc_of_thread(proc, tid);
	}
	closedir(folder);
	return pid;
}

/*
 * Whether the process has a VM at all: a thread's number may have been given to another process
 * since. A vCPU keeps its VM when the VM's own descriptor is closed. What cannot be read is
 * believed.
 */
static bool may_own(struct discovery *discovery, pid_t pid, int fd)
{
	const char *proc = discovery->config.roots.proc;
	int error = proc_is_vm(proc, pid, fd);

	if (error != -ENOENT)
		return !error || error == -EACCES || error == -EPERM;
	error = proc_descriptors(proc, pid, &discovery->descriptors);
	for (size_t i = 0; i < discovery->descriptors.nr; i++) {
		if (discovery->descriptors.list[i].file == KVM_FILE_VM ||
		    discovery->descriptors.list[i].file == KVM_FILE_VCPU)
			return true;
	}
	return error == -EACCES;
}

static bool has_ended(const struct discovery *discovery, DIR *folders, const char *name)
{
	struct stat status;

	if (fstatat(dirfd(folders), name, &status, AT_SYMLINK_NOFOLLOW))
		return true;
	for (size_t i = 0; i < DISCOVERY_ENDED_MAX; i++) {
		if (discovery->ended[i] == status.st_ino)
			return true;
	}
	return false;
}

static void take_folders(struct discovery *discovery, DIR *folders, struct candidates *candidates)
{
	struct dirent *entry;
	pid_t creator, pid;
	int fd;

	while ((entry = readdir(folders))) {
		if (!kvm_folder_parse(entry->d_name, &creator, &fd) ||
		    discovery_find_folder(discovery, entry->d_name) ||
		    has_ended(discovery, folders, entry->d_name))
			continue;
		pid = owner_of_folder(discovery, folders, entry->d_name, creator);
		if (pid > 0 && may_own(discovery, pid, fd))
			add(discovery, candidates, pid, fd, entry->d_name, creator);
		else
			discovery->folders.st_nlink = 0; /* list them again: it may become clear */
	}
}

void discovery_list_folders(struct discovery *discovery, bool always)
{
	struct candidates candidates = {0};
	char path[PATH_MAX];
	struct stat status;
	DIR *folders;

	if (discovery->own_namespace)
		return;
	folders_path(discovery, path);
	if (!always && !discovery->no_folders && !stat(path, &status) &&
	    status.st_nlink == discovery->folders.st_nlink &&
	    status.st_mtim.tv_sec == discovery->folders.st_mtim.tv_sec &&
	    status.st_mtim.tv_nsec == discovery->folders.st_mtim.tv_nsec)
		return;
	folders = opendir(path);
	discovery->no_folders = folders ? 0 : errno;
	if (!folders)
		return;
	if (fstat(dirfd(folders), &discovery->folders))
		discovery->folders.st_nlink = 0;
	take_folders(discovery, folders, &candidates);
	closedir(folders);
	tell(discovery, &candidates);
}

/* A folder "TID-@fd" of no VM that is known; its creator, or 0. */
static pid_t unclaimed_folder(struct discovery *discovery, int fd, char ret[KVM_FOLDER_MAX])
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *folders;
	pid_t result = 0, creator;
	int folder_fd;

	folders_path(discovery, path);
	folders = discovery->own_namespace ? NULL : opendir(path);
	while (folders && (entry = readdir(folders))) {
		if (!kvm_folder_parse(entry->d_name, &creator, &folder_fd) || folder_fd != fd ||
		    discovery_find_folder(discovery, entry->d_name) ||
		    has_ended(discovery, folders, entry->d_name) ||
		    proc_of_thread(discovery->config.roots.proc, creator) > 0)
			continue;
		/* Of two it could be either. */
		if (result) {
			result = 0;
			break;
		}
		result = creator;
		snprintf(ret, KVM_FOLDER_MAX, "%.31s", entry->d_name);
	}
	if (folders)
		closedir(folders);
	if (!result)
		ret[0] = '\0';
	return result;
}

/* --- descriptors ------------------------------------------------------------------------------ */

static int take_descriptors(struct discovery *discovery, pid_t pid, struct candidates *candidates)
{
	struct kvm_descriptors *descriptors = &discovery->descriptors;
	int error = proc_descriptors(discovery->config.roots.proc, pid, descriptors);
	char folder[KVM_FOLDER_MAX];
	int nr = 0;

	if (error)
		return error;
	for (size_t i = 0; i < descriptors->nr; i++) {
		int fd = descriptors->list[i].fd;
		pid_t creator;

		if (descriptors->list[i].file != KVM_FILE_VM)
			continue;
		nr++;
		if (is_known_file(discovery, pid, fd))
			continue;
		creator = unclaimed_folder(discovery, fd, folder);
		add(discovery, candidates, pid, fd, folder, creator);
	}
	return nr;
}

int discovery_look_at(struct discovery *discovery, pid_t pid)
{
	struct candidates candidates = {0};
	int nr = take_descriptors(discovery, pid, &candidates);

	tell(discovery, &candidates);
	return nr;
}

static void walk(struct discovery *discovery)
{
	struct candidates candidates = {0};
	DIR *proc = opendir(discovery->config.roots.proc);
	struct dirent *entry;

	discovery->unreadable = 0;
	while (proc && (entry = readdir(proc))) {
		long pid = proc_number(entry->d_name, INT_MAX);

		if (pid > 0 && take_descriptors(discovery, (pid_t)pid, &candidates) == -EACCES)
			discovery->unreadable++;
	}
	if (proc)
		closedir(proc);
	tell(discovery, &candidates);
}

void discovery_scan(struct discovery *discovery)
{
	discovery->left_out = 0;
	/* First: what has ended would be taken for what has its name or its descriptor now. */
	discovery_refresh(discovery);
	discovery_list_folders(discovery, true);
	/*
	 * Every VM has a folder and an event; where both can be read nobody has to look at all
	 * descriptors of all processes again and again.
	 */
	if (!discovery->scanned || discovery->uevents < 0 || discovery->no_folders ||
	    discovery->own_namespace)
		walk(discovery);
	discovery->scanned = true;
}
