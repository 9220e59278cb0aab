/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM's uevents: the kernel tells on its netlink socket of each VM that is created or destroyed.
 * It tells before the creator has the VM's descriptor, and before the debugfs folder goes.
 */
#ifndef COLLECTORS_UEVENT_H
#define COLLECTORS_UEVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* "TID-FD", of a VM's folder in debugfs: who made it, and the descriptor that it got. */
enum { KVM_FOLDER_MAX = 32 };

struct uevent {
	bool created; /* else destroyed */
	pid_t tid;    /* of the thread that made the VM, in the initial PID namespace */
	int fd;       /* its descriptor of the VM; -1: not told */
	char folder[KVM_FOLDER_MAX]; /* empty: not told, the kernel has no debugfs */
};

/* A new socket, or a negative errno. An ordinary user may have one. */
int uevent_open(void);
/*
 * The next event of KVM's. 1: *ret is filled; 0: there is none now; -ENOBUFS: some were lost, go
 * on; another negative errno: @fd is of no use any more.
 */
int uevent_read(int fd, struct uevent *ret);
/* A message of @length bytes. False: it tells of no VM. */
bool uevent_parse(const char *message, size_t length, struct uevent *ret);
/* "TID-FD"; false: it is no such name. */
bool kvm_folder_parse(const char *name, pid_t *ret_tid, int *ret_fd);

#endif
