/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine that runs guests on the host's KVM: what its embedder gives it beside the rest of
 * umbra/guest.h, and what KVM counts of them.
 *
 * Each vCPU has a thread of its own, with all signals blocked but those of crashes; it runs during
 * umbra_guest_run() only. Guest time is wall time in nanoseconds since the first umbra_guest_run().
 * KVM knows neither retired instructions nor what the modelled processors and clocks are about:
 * umbra_guest_counters_known() says which counters there are.
 */
#ifndef UMBRA_KVM_ENGINE_H
#define UMBRA_KVM_ENGINE_H

#include "umbra/guest.h"
#include "umbra/kvm_stats.h"

/* Plain memory: may be shared, with umbra_kvm_figures_publish() and umbra_kvm_figures_read(). */
struct umbra_kvm_figures {
	struct umbra_kvm_counters counters;
	struct umbra_known known;
	struct umbra_kvm_others others;
};

/* Copies word by word with relaxed atomics, for one writer and readers elsewhere. */
void umbra_kvm_figures_publish(struct umbra_kvm_figures *shared,
			       const struct umbra_kvm_figures *from);
/* The same, and makes what the other side may have written there harmless: counts and names. */
void umbra_kvm_figures_read(const struct umbra_kvm_figures *shared, struct umbra_kvm_figures *ret);

struct umbra_kvm_config {
	int fd; /* /dev/kvm, open for reading and writing; needed during umbra_guest_create() */
	/* Where figures are published a few times a second; NULL: nowhere. Must outlive the guest.
	 */
	struct umbra_kvm_figures *figures;
	/* Interrupt controllers and timers of the machine's own (device/), though KVM has some. */
	bool own_chips;
};

/* A system call that a guest makes after umbra_guest_create(), for whoever forbids all others. */
struct umbra_kvm_call {
	int fd;                /* its first argument */
	unsigned long request; /* of ioctl(), its second argument; 0: it is pread() */
};

/* Beside them there are futex(), tgkill() and rt_sigtimedwait(). */
#define UMBRA_KVM_CALLS_MAX (16 * (UMBRA_MAX_CPUS + 1))

/* How many; 0: the guest is not KVM's. */
size_t umbra_guest_kvm_calls(const struct umbra_guest *guest,
			     struct umbra_kvm_call ret_calls[UMBRA_KVM_CALLS_MAX]);

#endif
