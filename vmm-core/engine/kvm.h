/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of the KVM engine. One thread, the guest's, is the one that umbra_guest_run() is
 * called in: it lets the vCPUs' threads run, wakes for timers of devices, statistics, kicks and
 * ends, and returns when all vCPUs stand still again. Whoever holds `lock` may use devices and what
 * stands behind it.
 */
#ifndef ENGINE_KVM_H
#define ENGINE_KVM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <semaphore.h>

#include "engine/guest.h"
#include "umbra/kvm_engine.h"

struct kvm_vcpu {
	struct umbra_guest *guest;
	unsigned index;
	int fd;
	struct kvm_run *run; /* shared with KVM; NULL: not mapped */
	int stats_fd;        /* -1: this KVM has none */
	struct umbra_kvm_stats *stats;
	pthread_t thread;
	bool has_thread;
	bool begun; /* of the thread; behind the lock */
	/* Of a guest with own chips; behind the lock. */
	bool halted, wait_for_sipi;
};

struct kvm_guest {
	int fd, stats_fd; /* of the VM; of its statistics, -1: this KVM has none */
	size_t run_size;
	struct umbra_kvm_stats *stats;
	enum umbra_mode mode;
	bool own_chips;
	struct kvm_vcpu vcpu[UMBRA_MAX_CPUS];
	struct umbra_kvm_figures figures;
	struct umbra_kvm_figures *published;

	uint64_t origin; /* CLOCK_MONOTONIC at guest time 0; 0: not run yet */
	uint64_t next_publication;
	uint64_t exits; /* at the last publication */
	bool looked_at; /* whether it can ever wake, since it last exited */

	/* For the guest's thread: something happened. Any thread, any signal handler. */
	sem_t wake;
	bool kicked;           /* by atomics alone */
	uint64_t sleeps_until; /* guest time; behind the lock */

	pthread_mutex_t lock;
	pthread_cond_t go, stopped;
	unsigned running; /* vCPUs that may be in KVM_RUN */
	bool wanted;      /* vCPUs are to run */
	bool over;        /* threads are to end */
	struct umbra_end end;
};

/* Guest time now. */
uint64_t kvm_time(const struct umbra_guest *guest);
/* Something for the guest's thread to look at. */
void kvm_wake(struct kvm_guest *kvm);
/* The guest ends; the first reason is the true one. With the lock held. */
void kvm_end(struct umbra_guest *guest, unsigned cpu, enum umbra_end_reason reason,
	     const char *format, ...) __attribute__((format(printf, 4, 5)));
/* After a device was used: the guest may have ended, a timer may be due earlier. With the lock. */
void kvm_after_device(struct umbra_guest *guest, unsigned cpu);

/* kvm_vcpu.c: the signal that brings a vCPU's thread out of KVM_RUN. */
int kvm_signal(void);
/* Makes the thread, which waits. A negative errno. */
int kvm_vcpu_start_thread(struct kvm_vcpu *vcpu);

/*
 * kvm_chips.c: of a guest with own chips, with the lock held. Before KVM_RUN: gives the vCPU its
 * interrupts, and waits while it has nothing to do; false: it is to stand still.
 */
bool kvm_chips_enter(struct kvm_vcpu *vcpu);
/* After KVM_RUN: what the guest did to its task priority and its local APIC's place. */
void kvm_chips_leave(struct kvm_vcpu *vcpu);
/* Whoever has a new interrupt or signal waiting is brought out of KVM_RUN, or woken. */
void kvm_chips_tell(struct umbra_guest *guest);

/* kvm_state.c: CPUID and MSRs, before a vCPU runs. */
int kvm_set_model(int device, struct kvm_vcpu *vcpu, struct umbra_error *ret_error);
/* The boot processor's registers. */
int kvm_set_entry(struct kvm_vcpu *vcpu, const struct boot_entry *entry);
/* After INIT, and where a SIPI with @vector starts it. A negative errno. */
int kvm_set_init(struct kvm_vcpu *vcpu);
int kvm_set_sipi(struct kvm_vcpu *vcpu, uint8_t vector);
/* Of a vCPU that stands still. */
void kvm_get_registers(const struct kvm_vcpu *vcpu, struct umbra_registers *ret);
/* Where it stands: rip, bytes, cpu_mode of @end. */
void kvm_get_place(const struct kvm_vcpu *vcpu, struct umbra_end *end);

/* kvm_figures.c: opens the statistics, if this KVM has any. A negative errno. */
int kvm_open_figures(struct umbra_guest *guest, struct umbra_error *ret_error);
void kvm_close_figures(struct kvm_guest *kvm);
/* Reads and publishes them. */
void kvm_collect_figures(struct umbra_guest *guest);

#endif
