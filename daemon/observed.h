/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMs of other programs, as umbra-collect tells of them. One thread uses it. Where
 * umbra-collect is not connected no VM is known, and each of its collectors says why.
 */
#ifndef DAEMON_OBSERVED_H
#define DAEMON_OBSERVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "daemon/configuration.h"
#include "daemon/loop.h"
#include "daemon/report.h"
#include "policy/advice.h"
#include "web/snapshot.h"

enum {
	OBSERVED_SILENT_SECONDS = 15, /* umbra-collect tells something each second */
	OBSERVED_LINES_A_SECOND = 16, /* in the log, of who connects */
};

struct observed_vm {
	struct vm vm;   /* vcpus are its own, nr_vcpus of them at most REPORT_VCPUS_MAX */
	time_t started; /* wall time when its owner was; 0: not known */
	bool own;       /* its owner is a worker of umbrad's, or was */
	bool sampled;   /* there is a sample */
	struct vm_sample sample;
	struct vm_sample before; /* where the interval of the next advice begins */
	struct advice *advice;   /* of the last interval; NULL: none yet */
};

struct observed_collector {
	char state[COLLECTOR_STATE_MAX];
	struct collector_own own;
};

struct observed {
	int loop;
	int listener, connection; /* -1: none */
	struct source listener_source, connection_source;
	struct observed_vm **vms;
	size_t nr_vms;
	struct observed_collector collectors[CONFIG_COLLECTOR_COUNT]; /* not of soft */
	struct report_host host; /* of the connection; processor is empty: not told */
	struct sampling rounds;  /* of the connection */
	uint64_t heard;          /* CLOCK_MONOTONIC in seconds, when the last round came */
	unsigned int lines;      /* that may still be logged in this second */
	unsigned int untold;     /* that were not */
	pid_t refused;           /* who was turned away last; 0: nobody */
	bool changed;            /* VMs came or went: since whoever reads this set it to false */
	uint64_t advised;        /* CLOCK_MONOTONIC in seconds, when advice was made last */
	/* Of the host's processor, called so; NULL: not needed yet. */
	struct config_costs *costs;
	char costs_processor[REPORT_NAME_MAX];
	struct report *report; /* room for one */
};

/*
 * Listens at @path (empty: nowhere) from now on. That it cannot is told in the collectors' states.
 * 0 or -ENOMEM.
 */
int observed_open(struct observed *observed, int loop, const char *path);
/*
 * Once a second; @now is CLOCK_MONOTONIC in seconds. A umbra-collect that tells nothing any more is
 * left: what it told is true no longer, and another one may take its place.
 */
void observed_tick(struct observed *observed, uint64_t now);
/* Also takes the socket at @path away, if it was made. */
void observed_close(struct observed *observed, const char *path);

/* The VM whose owner is @pid, a worker of umbrad's own; NULL: there is none. */
const struct observed_vm *observed_find_pid(const struct observed *observed, pid_t pid);

#endif
