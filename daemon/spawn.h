/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting and ending workers. */
#ifndef DAEMON_SPAWN_H
#define DAEMON_SPAWN_H

#include "daemon/registry.h"
#include "umbra/error.h"

/* The descriptor under which a worker finds its socket. */
enum { SPAWN_WORKER_FD = 3 };

/*
 * Starts a worker for @guest: this binary, executed anew with --role worker, so that it shares no
 * memory with umbrad but the counters. 0, or a negative errno and the guest is as before.
 */
int spawn_worker(struct guest *guest, struct umbra_error *ret_error);

#endif
