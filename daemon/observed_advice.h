/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_OBSERVED_ADVICE_H
#define DAEMON_OBSERVED_ADVICE_H

#include "collectors/kvm_host.h"
#include "daemon/observed.h"

enum { ADVICE_SECONDS = 10 }; /* what advice is made of, and how often it is made */

/*
 * Makes advice for all VMs, if it is due at @now (CLOCK_MONOTONIC, in seconds). @costs_file: as of
 * the configuration; what is wrong in it is told once, and the figures of the processor hold.
 */
void observed_advise(struct observed *observed, const struct kvm_host *kvm, const char *costs_file,
		     uint64_t now);
/* The file of costs is to be read anew. */
void observed_forget_costs(struct observed *observed);

#endif
