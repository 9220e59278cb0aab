/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What /proc tells of processes that may own VMs. @proc is the root of procfs, in tests another
 * folder. Nothing is kept open, and a process may vanish at any moment: then the answer is -ENOENT
 * or -ESRCH. All return 0 or a negative errno if nothing else is said.
 */
#ifndef COLLECTORS_PROC_H
#define COLLECTORS_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "collectors/vm.h"

enum kvm_file { KVM_FILE_VM, KVM_FILE_VCPU, KVM_FILE_VM_STATS, KVM_FILE_VCPU_STATS };

/* A descriptor of KVM's that a process holds. */
struct kvm_descriptor {
	enum kvm_file file;
	int fd;   /* its number in that process */
	int vcpu; /* KVM's number of the vCPU; -1: of a VM */
};

/* Begins zeroed; is used again and again. */
struct kvm_descriptors {
	struct kvm_descriptor *list;
	size_t nr, room;
};

/* Far longer than any command line that an operator would write. */
enum { PROC_COMMAND_MAX = 256 << 10 };

struct proc_stat {
	char name[VM_PROCESS_MAX];
	pid_t parent;
	uint64_t start_time; /* clock ticks since boot */
};

/*
 * The file @name of process @pid, with a NUL behind; its length. What does not fit into @size (at
 * least 1) is left out.
 */
ssize_t proc_read(const char *proc, pid_t pid, const char *name, char *buffer, size_t size);
/*
 * Its command line, with a NUL behind, in memory that holds until the next call; its length.
 * -ETIMEDOUT: it cannot be read now, maybe never: the kernel waits there for a process that changes
 * its memory map, and that for whatever it maps. One thread uses this.
 */
ssize_t proc_command(const char *proc, pid_t pid, const char **ret_text);
int proc_stat(const char *proc, pid_t pid, struct proc_stat *ret);
/* The process that thread @tid belongs to; negative errno. */
pid_t proc_of_thread(const char *proc, pid_t tid);
/* The last part of its cgroup that is a unit of systemd's, else its last part; may be empty. */
int proc_unit(const char *proc, pid_t pid, char ret_unit[VM_UNIT_MAX]);

/* The target of a link in /proc/PID/fd. False: it is none of KVM's. */
bool kvm_descriptor_parse(const char *target, struct kvm_descriptor *ret);
/* All of KVM's descriptors of @pid. -EACCES: they may not be read. */
int proc_descriptors(const char *proc, pid_t pid, struct kvm_descriptors *ret);
/* Whether descriptor @fd of @pid is a VM; else negative errno, -ENOENT if it is another thing. */
int proc_is_vm(const char *proc, pid_t pid, int fd);
/* How many descriptors @pid has open, where the kernel (6.2) tells cheaply; else 0. */
size_t proc_descriptor_count(const char *proc, pid_t pid);
void kvm_descriptors_free(struct kvm_descriptors *descriptors);

/* This process' PID namespace is not the initial one, by whose numbers the kernel tells of others.
 */
bool proc_has_own_namespace(const char *proc);
/* @proc is the kernel's, not a fake one of a test: its numbers are those of real processes. */
bool proc_is_real(const char *proc);
/* A whole decimal number of at most @max; negative: it is none. */
long proc_number(const char *text, long max);

#endif
