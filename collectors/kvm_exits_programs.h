/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The BPF programs of collectors/kvm_exits.bpf.c in the kernel: which of them this kernel can have,
 * loading and attaching them, and the memory that they count in.
 */
#ifndef COLLECTORS_KVM_EXITS_PROGRAMS_H
#define COLLECTORS_KVM_EXITS_PROGRAMS_H

#include "collectors/collector.h"
#include "collectors/kvm_exits.h"

struct kvm_exits_programs;

/* How exits are seen. */
enum kvm_exits_way { KVM_EXITS_NO_WAY, KVM_EXITS_RAW, KVM_EXITS_CLASSIC };

struct kvm_exits_config {
	struct collector_roots roots;
	enum kvm_exits_way way; /* KVM_EXITS_NO_WAY: the cheapest that works; else only this one */
	unsigned int slots_max; /* records at most; 0: KVM_EXITS_SLOTS_MAX */
};

/* kvm_exits_collector.create(), with a configuration of its own; NULL: out of memory. */
void *kvm_exits_create(const struct collector_settings *settings,
		       const struct kvm_exits_config *config);

/*
 * NULL if nothing can be measured: @ret_state says why, and @ret_retry whether that may be another
 * thing in a while. Else @ret_state is "ok", or "degraded: ..." if something cannot.
 */
struct kvm_exits_programs *kvm_exits_load(const struct kvm_exits_config *config,
					  char ret_state[COLLECTOR_STATE_MAX], bool *ret_retry);
void kvm_exits_unload(struct kvm_exits_programs *programs); /* may be NULL */

enum kvm_exits_way kvm_exits_way(const struct kvm_exits_programs *programs);
bool kvm_exits_sees_entries(const struct kvm_exits_programs *programs);
bool kvm_exits_counts(const struct kvm_exits_programs *programs, enum kvm_exits_event event);

/* Whether the time of exits is taken, and with it, if that is allowed, that of the programs. */
void kvm_exits_set_timing(struct kvm_exits_programs *programs, bool timing);

/* Slots are 0 to this, not included. Adds room for @records in all, as far as there may be. */
size_t kvm_exits_room(const struct kvm_exits_programs *programs);
void kvm_exits_add_room(struct kvm_exits_programs *programs, size_t records);
/* The memory that the programs write, valid until kvm_exits_unload(). */
const struct kvm_exits_record *kvm_exits_record(const struct kvm_exits_programs *programs,
						size_t slot);
/*
 * From now on what thread @tid of process @pid does is vCPU @vcpu_id's, in the record @slot; if
 * that is kvm_exits_room(), in a new one, whose slot it then is. For a KVM whose exits are not
 * seen: else these make the records. False: there is no room.
 */
bool kvm_exits_claim(struct kvm_exits_programs *programs, pid_t pid, pid_t tid, int vcpu_id,
		     size_t *slot);
/* What it counted is gone; another vCPU may have it. */
void kvm_exits_free(struct kvm_exits_programs *programs, size_t slot);

void kvm_exits_own(const struct kvm_exits_programs *programs, struct collector_own *ret);

#endif
