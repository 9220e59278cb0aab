/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "collectors/clock.h"
#include "collectors/proc.h"

/* How long a command line is waited for. */
static const long patience_ns = 200 * 1000 * 1000;

long proc_number(const char *text, long max)
{
	long number;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -1;
	errno = 0;
	number = strtol(text, &end, 10);
	return errno || *end || number > max ? -1 : number;
}

bool proc_is_real(const char *proc)
{
	struct statfs status;

	return !statfs(proc, &status) && status.f_type == PROC_SUPER_MAGIC;
}

bool proc_has_own_namespace(const char *proc)
{
	char path[PATH_MAX], target[64];
	ssize_t length;

	snprintf(path, sizeof(path), "%s/self/ns/pid", proc);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = '\0';
	/* The initial one's number is fixed (PROC_PID_INIT_INO). */
	return strcmp(target, "pid:[4026531836]") != 0;
}

ssize_t proc_read(const char *proc, pid_t pid, const char *name, char *buffer, size_t size)
{
	char path[PATH_MAX];
	size_t length = 0;
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%d/%s", proc, pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (length < size - 1 && (n = read(fd, buffer + length, size - 1 - length)) > 0)
		length += (size_t)n;
	if (n < 0)
		n = -errno;
	close(fd);
	buffer[length] = '\0';
	return n < 0 ? n : (ssize_t)length;
}

/* A thread that reads command lines, one after the other, and what it was asked for. */
struct reader {
	sem_t asked, done;
	bool left; /* it took too long: the thread frees it when it comes back */
	pid_t pid;
	ssize_t length;
	char proc[PATH_MAX];
	char text[PROC_COMMAND_MAX];
};

static struct reader *reader; /* NULL: none yet */

static void *read_commands(void *argument)
{
	struct reader *own = argument;

	for (;;) {
		while (sem_wait(&own->asked))
			;
		if (own->left)
			break;
		own->length =
			proc_read(own->proc, own->pid, "cmdline", own->text, sizeof(own->text));
		sem_post(&own->done);
	}
	sem_destroy(&own->asked);
	sem_destroy(&own->done);
	free(own);
	return NULL;
}

/* 0 or a negative errno. */
static int start_reader(void)
{
	pthread_t thread;
	int error;

	if (reader)
		return 0;
	reader = calloc(1, sizeof(*reader));
	if (!reader)
		return -ENOMEM;
	sem_init(&reader->asked, 0, 0);
	sem_init(&reader->done, 0, 0);
	error = pthread_create(&thread, NULL, read_commands, reader);
	if (!error) {
		pthread_detach(thread);
		return 0;
	}
	free(reader);
	reader = NULL;
	return -error;
}

static bool wait_for_reader(void)
{
	struct timespec until;
	int result;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += patience_ns;
	until.tv_sec += until.tv_nsec / (long)clock_ns_per_second;
	until.tv_nsec %= (long)clock_ns_per_second;
	do
		result = sem_clockwait(&reader->done, CLOCK_MONOTONIC, &until);
	while (result && errno == EINTR);
	return !result;
}

ssize_t proc_command(const char *proc, pid_t pid, const char **ret_text)
{
	int error = start_reader();

	if (error)
		return error;
	reader->pid = pid;
	snprintf(reader->proc, sizeof(reader->proc), "%s", proc);
	sem_post(&reader->asked);
	if (wait_for_reader()) {
		*ret_text = reader->text;
		return reader->length;
	}
	reader->left = true;
	sem_post(&reader->asked);
	reader = NULL;
	return -ETIMEDOUT;
}

int proc_stat(const char *proc, pid_t pid, struct proc_stat *ret)
{
	/* Fields are counted from 1; the second is the name, which may hold anything. */
	enum { FIELD_PARENT = 4, FIELD_START_TIME = 22 };
	struct proc_stat stat = {0};
	char text[2048], *name, *at;
	ssize_t length = proc_read(proc, pid, "stat", text, sizeof(text));
	int field = 3;

	if (length < 0)
		return (int)length;
	name = strchr(text, '(');
	at = strrchr(text, ')');
	if (!name || !at || at < name || at[1] != ' ')
		return -EBADMSG;
	*at = '\0';
	snprintf(stat.name, sizeof(stat.name), "%s", name + 1);
	for (at += 2; at && field <= FIELD_START_TIME; field++) {
		if (field == FIELD_PARENT)
			stat.parent = (pid_t)strtol(at, NULL, 10);
		if (field == FIELD_START_TIME) {
			stat.start_time = strtoull(at, NULL, 10);
			*ret = stat;
			return 0;
		}
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	return -EBADMSG;
}

pid_t proc_of_thread(const char *proc, pid_t tid)
{
	char text[4096], *at;
	ssize_t length = proc_read(proc, tid, "status", text, sizeof(text));
	long pid;

	if (length < 0)
		return (pid_t)length;
	at = strstr(text, "\nTgid:");
	if (!at)
		return -EBADMSG;
	pid = strtol(at + strlen("\nTgid:"), NULL, 10);
	return pid > 0 && pid <= INT_MAX ? (pid_t)pid : -EBADMSG;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);

	return length > end_length && !strcmp(text + length - end_length, end);
}

/* Of "/machine.slice/machine-qemu\x2d1\x2da.scope/libvirt/emulator" the scope. */
static void take_unit(char *path, char ret_unit[VM_UNIT_MAX])
{
	const char *last = "", *unit = NULL;
	char *rest = NULL;

	for (char *part = strtok_r(path, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
		last = part;
		if (ends_with(part, ".scope") || ends_with(part, ".service"))
			unit = part;
	}
	snprintf(ret_unit, VM_UNIT_MAX, "%s", unit ? unit : last);
}

int proc_unit(const char *proc, pid_t pid, char ret_unit[VM_UNIT_MAX])
{
	char text[8192], *rest = NULL, *unified = NULL, *named = NULL;
	ssize_t length = proc_read(proc, pid, "cgroup", text, sizeof(text));

	if (length < 0)
		return (int)length;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *path = strchr(line, '/');

		if (path && !strncmp(line, "0::", strlen("0::")))
			unified = path;
		else if (path && strstr(line, ":name=systemd:"))
			named = path;
	}
	/* With both hierarchies mounted, processes may be all in the other one's root. */
	if (!unified || (named && !strcmp(unified, "/")))
		unified = named;
	ret_unit[0] = '\0';
	if (unified)
		take_unit(unified, ret_unit);
	return 0;
}

bool kvm_descriptor_parse(const char *target, struct kvm_descriptor *ret)
{
	static const struct {
		const char *prefix;
		enum kvm_file file;
		bool has_vcpu; /* whose number follows */
	} names[] = {
		{"anon_inode:kvm-vm", KVM_FILE_VM, false},
		{"anon_inode:kvm-vcpu:", KVM_FILE_VCPU, true},
		{"anon_inode:kvm-vm-stats", KVM_FILE_VM_STATS, false},
		{"anon_inode:kvm-vcpu-stats:", KVM_FILE_VCPU_STATS, true},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t length = strlen(names[i].prefix);
		int vcpu = -1;

		if (strncmp(target, names[i].prefix, length) != 0)
			continue;
		if (names[i].has_vcpu)
			vcpu = (int)proc_number(target + length, INT_MAX);
		if (names[i].has_vcpu ? vcpu < 0 : target[length])
			continue;
		ret->file = names[i].file;
		ret->vcpu = vcpu;
		return true;
	}
	return false;
}

static int add(struct kvm_descriptors *descriptors, const struct kvm_descriptor *descriptor)
{
	if (descriptors->nr == descriptors->room) {
		size_t room = descriptors->room ? 2 * descriptors->room : 16;
		struct kvm_descriptor *list =
			realloc(descriptors->list, room * sizeof(descriptors->list[0]));

		if (!list)
			return -ENOMEM;
		descriptors->list = list;
		descriptors->room = room;
	}
	descriptors->list[descriptors->nr++] = *descriptor;
	return 0;
}

int proc_descriptors(const char *proc, pid_t pid, struct kvm_descriptors *ret)
{
	char path[PATH_MAX], target[64];
	struct kvm_descriptor descriptor;
	struct dirent *entry;
	int error = 0;
	DIR *folder;

	ret->nr = 0;
	snprintf(path, sizeof(path), "%s/%d/fd", proc, pid);
	folder = opendir(path);
	if (!folder)
		return -errno;
	while (!error && (entry = readdir(folder))) {
		ssize_t length;

		descriptor.fd = (int)proc_number(entry->d_name, INT_MAX);
		if (descriptor.fd < 0)
			continue;
		length = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);
		/* Closed meanwhile, or not for us: then all of them are not. */
		if (length < 0) {
			error = errno == EACCES || errno == EPERM ? -EACCES : 0;
			continue;
		}
		target[length] = '\0';
		if (kvm_descriptor_parse(target, &descriptor))
			error = add(ret, &descriptor);
	}
	closedir(folder);
	return error;
}

int proc_is_vm(const char *proc, pid_t pid, int fd)
{
	char path[PATH_MAX], target[64];
	struct kvm_descriptor descriptor;
	ssize_t length;

	snprintf(path, sizeof(path), "%s/%d/fd/%d", proc, pid, fd);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return -errno;
	target[length] = '\0';
	return kvm_descriptor_parse(target, &descriptor) && descriptor.file == KVM_FILE_VM
		       ? 0
		       : -ENOENT;
}

size_t proc_descriptor_count(const char *proc, pid_t pid)
{
	char path[PATH_MAX];
	struct stat status;

	snprintf(path, sizeof(path), "%s/%d/fd", proc, pid);
	return stat(path, &status) ? 0 : (size_t)status.st_size;
}

void kvm_descriptors_free(struct kvm_descriptors *descriptors)
{
	free(descriptors->list);
	*descriptors = (struct kvm_descriptors){0};
}
