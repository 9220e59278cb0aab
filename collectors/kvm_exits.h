/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the BPF programs of collectors/kvm_exits.bpf.c and their user share. Includes nothing that a
 * BPF program could not.
 */
#ifndef COLLECTORS_KVM_EXITS_H
#define COLLECTORS_KVM_EXITS_H

#include "collectors/exit_reasons.h"

/*
 * Tracepoints that are only counted, for the VM of the thread that is running: the metric of
 * collectors/kvm_exits.def, the tracepoint.
 */
#define KVM_EXITS_EVENTS(EVENT)                                                                    \
	EVENT(kvmmmu_pages_got, kvm_mmu_get_page)                                                  \
	EVENT(kvmmmu_syncs, kvm_mmu_sync_page)                                                     \
	EVENT(kvmmmu_unsyncs, kvm_mmu_unsync_page)                                                 \
	EVENT(kvmmmu_zaps, kvm_mmu_prepare_zap_page)                                               \
	EVENT(kvmmmu_nested_changes, kvm_tdp_mmu_spte_changed)                                     \
	EVENT(kvmmmu_fast_page_faults, fast_page_fault)                                            \
	EVENT(kvmmmu_huge_page_splits, kvm_mmu_split_huge_page)

enum kvm_exits_event {
#define EVENT(metric, tracepoint) EVENT_##metric,
	KVM_EXITS_EVENTS(EVENT)
#undef EVENT
	/* Not a tracepoint, but an argument of kvm_mmu_get_page. */
	EVENT_kvmmmu_pages_made,
	KVM_EXITS_EVENT_COUNT,
};

/* Records are in blocks, which are added as VMs appear; a slot is a record's number in all. */
enum { KVM_EXITS_BLOCK = 64, KVM_EXITS_BLOCKS_MAX = 256, KVM_EXITS_NAME_MAX = 32 };
#define KVM_EXITS_SLOTS_MAX (KVM_EXITS_BLOCK * KVM_EXITS_BLOCKS_MAX)

enum kvm_exits_state { KVM_EXITS_FREE, KVM_EXITS_VCPU, KVM_EXITS_PROCESS };

/* What is still to be asked at the re-entry, when KVM has read it from the processor (VMX). */
enum kvm_exits_pending { KVM_EXITS_NOTHING, KVM_EXITS_VECTOR, KVM_EXITS_QUALIFICATION };

/*
 * A vCPU, or what the other threads of a process did. Of a vCPU only the thread that runs it
 * writes, with preemption off in between, so it needs neither atomics nor a copy for each CPU; user
 * space reads it through shared memory while it counts on. Never reset while in use.
 */
struct kvm_exits_record {
	unsigned long long
		key; /* the struct kvm_vcpu; with the classic tracepoint TID << 32 | id */
	unsigned long long thread; /* PID << 32 | TID, of the initial PID namespace */
	unsigned int state;        /* enum kvm_exits_state, written last */
	int vcpu_id;
	unsigned long long folder;     /* the number of its VM's folder in debugfs; 0: not known */
	char name[KVM_EXITS_NAME_MAX]; /* of this folder, PID-FD; may be empty */

	unsigned long long exited_at; /* in nanoseconds; 0: not timed */
	unsigned int exit_reason;
	unsigned int pending;

	unsigned long long exits[KVM_EXIT_REASON_COUNT];
	unsigned long long cr3_loads;
	unsigned long long events[KVM_EXITS_EVENT_COUNT];
	unsigned long long time[KVM_EXIT_REASON_COUNT]; /* in nanoseconds */
	unsigned long long slots[KVM_EXIT_REASON_COUNT][EXIT_SLOT_COUNT];
};

/* What was on this CPU last, and what concerns no record. */
struct kvm_exits_cpu {
	unsigned long long key, thread;
	unsigned int slot;
	unsigned long long lost;         /* events that found no room */
	unsigned long long unattributed; /* events in threads of the kernel */
};

#endif
