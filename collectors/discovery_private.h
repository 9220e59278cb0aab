/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of discovery share. */
#ifndef COLLECTORS_DISCOVERY_PRIVATE_H
#define COLLECTORS_DISCOVERY_PRIVATE_H

#include "collectors/discovery.h"
#include "collectors/watched.h"

enum { DISCOVERY_ENDED_MAX = 64, DISCOVERY_PENDING_MAX = 64 };

struct discovery {
	struct discovery_config config;
	struct watched **list; /* by number */
	size_t nr, room;
	uint32_t last_number;
	struct kvm_descriptors descriptors; /* to be used again and again */
	unsigned int rounds;

	int epoll;      /* of what is below, and of the owners' pidfds */
	int timer;      /* runs while a VM is young or an event waits */
	bool ticking;   /* it does */
	int uevents;    /* -1: none */
	bool given;     /* it is the caller's */
	int no_uevents; /* why: a positive errno */

	/* Folders in debugfs of VMs whose end was told: they stay a little longer. */
	ino_t ended[DISCOVERY_ENDED_MAX];
	unsigned int nr_ended;
	/* Processes that made a VM without a folder, whose descriptor is not there yet. */
	struct {
		pid_t pid;
		int tries;
	} pending[DISCOVERY_PENDING_MAX];
	size_t nr_pending;

	bool real;          /* this is no fake tree */
	bool own_namespace; /* of PIDs: those of uevents and debugfs are of another one */
	bool scanned;
	int no_folders;      /* why debugfs cannot be read: a positive errno */
	struct stat folders; /* of all VMs, when they were last listed */
	size_t unreadable;   /* processes whose descriptors may not be read */
	size_t left_out;     /* VMs for which something was short since the last scan */
	int why_left_out;    /* a positive errno */
};

/* A VM is there: unless it is known it is told of. @folder may be empty. */
void discovery_appear(struct discovery *discovery, pid_t pid, int fd, const char *folder,
		      pid_t creator);
/* Tells of the end of the VM at @index of the list. */
void discovery_vanish(struct discovery *discovery, size_t index);
/* The VM that @pid has as descriptor @fd; NULL: there is none. */
struct watched *discovery_find(struct discovery *discovery, pid_t pid, int fd);
struct watched *discovery_find_folder(struct discovery *discovery, const char *folder);
size_t discovery_count(const struct discovery *discovery, pid_t pid);
/* Lists debugfs if anything there is another than before, or if @always. */
void discovery_list_folders(struct discovery *discovery, bool always);
/* VMs of @pid that are not known yet; how many VMs it has; negative errno. */
int discovery_look_at(struct discovery *discovery, pid_t pid);

#endif
