/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One VM that discovery knows: how it is looked at, and how its end is seen. */
#ifndef COLLECTORS_WATCHED_H
#define COLLECTORS_WATCHED_H

#include <stdbool.h>
#include <sys/stat.h>

#include "collectors/collector.h"
#include "collectors/proc.h"
#include "collectors/uevent.h"

struct watched {
	struct vm vm;
	char folder[KVM_FOLDER_MAX]; /* its name in debugfs; empty: not known */
	pid_t creator;               /* the thread that made it; 0: not known */
	struct stat seen;            /* the folder when its vCPUs were last listed */
	size_t descriptors;          /* how many the owner had then, without a folder */
	uint64_t young_until;        /* until then it is looked at often: CLOCK_MONOTONIC, ns */
};

/* What one look takes in. */
struct look {
	const struct collector_roots *roots;
	struct kvm_descriptors *descriptors; /* to be used again and again */
	bool threads;                        /* of all vCPUs, not only of those not known */
	bool alone; /* the owner has no other VM; of use without a folder alone */
};

/*
 * A VM of process @pid, with its names but without vCPUs. @folder may be empty, @fd -1. NULL with
 * errno: the process is gone (ENOENT, ESRCH), out of memory, of descriptors. The caller gives it
 * number and id.
 */
struct watched *watched_create(const struct collector_roots *roots, pid_t pid, int fd,
			       const char *folder);
/* Its folder in debugfs is @name; nothing happens if it cannot be opened. */
void watched_open_folder(struct watched *watched, const struct collector_roots *roots,
			 const char *name);
void watched_destroy(struct watched *watched);
/* Writes the id that it has if no other VM has it, or else the one that is surely its own. */
void watched_name(struct watched *watched, bool own);
/* The VM is there no more, or its owner is not. */
bool watched_is_gone(const struct watched *watched, const struct collector_roots *roots);
/* Looks for vCPUs and their threads; true: something is another. */
bool watched_look(struct watched *watched, const struct look *look);
/* Thread @tid runs vCPU @id; true: that is new. */
bool watched_thread(struct watched *watched, int id, pid_t tid);

/* The number of "vcpuN", in a VM's folder in debugfs; -1: it is another name. */
int watched_vcpu_id(const char *name);
/* Its folder has a vCPU whose thread is not known, and no file that would tell it. */
bool watched_lacks_threads(const struct watched *watched);
/* debugfs has the thread that ran the vCPU last; 0: none yet, or it cannot be read. */
pid_t watched_read_tid(int folder, int id);

#endif
