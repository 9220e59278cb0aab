/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM of this host's KVM, whoever runs it. */
#ifndef COLLECTORS_VM_H
#define COLLECTORS_VM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	VM_MAX = 4096, /* VMs that are known at once; more are left out */
	VM_ID_MAX = 64,
	VM_NAME_MAX = 128,
	VM_PROCESS_MAX = 16, /* as the kernel keeps it */
	VM_UNIT_MAX = 256,
	VM_VCPUS_MAX = 4096,
};

struct vm_vcpu {
	int id;    /* KVM's number of it */
	pid_t tid; /* of the thread that runs it, in this PID namespace; 0: not known (yet) */
};

/* Valid from `appeared` to the end of `vanished`; its address stays. */
struct vm {
	uint32_t number;              /* counted up since the start, never reused */
	char id[VM_ID_MAX];           /* UUID; else configured name; else PID-FD-STARTTIME */
	char name[VM_NAME_MAX];       /* QEMU's -name, libvirt's scope, Firecracker's --id; else
				       * PROCESS-PID */
	char process[VM_PROCESS_MAX]; /* the owner's name */
	char unit[VM_UNIT_MAX];       /* the owner's cgroup, its last part; empty: not known */
	pid_t pid;                    /* of the owner, in this PID namespace */
	int fd;                       /* its descriptor of the VM; -1: not known */
	int pidfd;  /* of the owner; -1: none. Discovery's, who closes it after `vanished` */
	int folder; /* its folder in debugfs, opened with O_PATH; -1: none. Discovery's too */
	uint64_t start_time;   /* of the owner, clock ticks since boot (/proc/PID/stat field 22) */
	struct vm_vcpu *vcpus; /* by id */
	size_t nr_vcpus;
};

#endif
