/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What umbra-collect tells umbrad: one report a packet of a unix SOCK_SEQPACKET connection. The
 * reader checks size, version and every value: what it gets is then in range, and text ends.
 */
#ifndef DAEMON_REPORT_H
#define DAEMON_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectors/collector.h"

enum { REPORT_NAME_MAX = 32, REPORT_VCPUS_MAX = 512 };

enum report_type {
	REPORT_HOST,      /* what only umbra-collect may read of the host */
	REPORT_COLLECTOR, /* how a collector is */
	REPORT_VM,        /* a VM appeared, or something about it changed */
	REPORT_GONE,      /* a VM vanished */
	REPORT_SAMPLE,    /* what is measured of a VM */
	REPORT_ROUND,     /* every VM has been sampled; umbrad may show it */
	REPORT_TYPE_COUNT,
};

struct report_host {
	char processor[REPORT_NAME_MAX]; /* as processor_name() */
	double frequency;                /* nominal, in hertz; 0: not known */
};

struct report_collector {
	char name[REPORT_NAME_MAX];
	char state[COLLECTOR_STATE_MAX];
	struct collector_own own;
};

/* struct vm without pointers. */
struct report_vm {
	struct vm
		vm; /* vcpus is NULL; nr_vcpus is how many it has, even beyond those that follow */
	struct vm_vcpu vcpus[REPORT_VCPUS_MAX];
};

struct report_gone {
	uint32_t number;
};

struct report_sample {
	uint32_t number; /* of the VM */
	struct vm_sample sample;
};

struct report_round {
	uint64_t duration_ns; /* of this round's sampling */
};

struct report {
	enum report_type type;
	union {
		struct report_host host;
		struct report_collector collector;
		struct report_vm vm;
		struct report_gone gone;
		struct report_sample sample;
		struct report_round round;
	};
};

/*
 * 0 or a negative errno: then the connection is of no use any more. -EAGAIN: the other side has not
 * read for as long as the socket's timeout.
 */
int report_send(int fd, const struct report *report);
/* For REPORT_VM, which borrows @vm. */
int report_send_vm(int fd, const struct vm *vm);
/*
 * The next one. 1; 0: the other side has closed; -EAGAIN: nothing is there, and the socket does not
 * wait; -EBADMSG: it is none, or of another version, or a value is out of range.
 */
int report_receive(int fd, struct report *ret_report);

#endif
