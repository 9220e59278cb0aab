/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a worker may still do once it looks at a guest's bytes: compute, and talk to umbrad. */
#ifndef DAEMON_SANDBOX_H
#define DAEMON_SANDBOX_H

#include <stdint.h>

#include "umbra/error.h"
#include "umbra/kvm_engine.h"

struct sandbox {
	int socket;      /* for sendmsg() and recvmsg() only */
	int event;       /* an eventfd, for read() and write() only */
	uint64_t growth; /* bytes that may be mapped beside what is mapped now */
	/* What a guest of the KVM engine needs beside; none: it is another one. */
	const struct umbra_kvm_call *calls;
	size_t nr_calls;
};

/*
 * Limits the resources of this process and puts a filter of system calls on all its threads: what
 * is not on its list kills the process with SIGSYS. Threads, descriptors and mappings of files must
 * exist already, for no more come. 0 or a negative errno; then the process must end.
 */
int sandbox_enter(const struct sandbox *sandbox, struct umbra_error *ret_error);

#endif
