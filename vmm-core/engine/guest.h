/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of a guest: what all engines share, and what the soft engine has; the KVM engine keeps
 * its own apart (engine/kvm.h).
 */
#ifndef ENGINE_GUEST_H
#define ENGINE_GUEST_H

#include "boot/boot.h"
#include "device/machine.h"
#include "memory/map.h"
#include "paging/vmm.h"
#include "umbra/guest.h"
#include "x86/cpu.h"

/* What executes a guest. Each function is as the one of umbra/guest.h that has its name. */
struct engine_ops {
	enum umbra_engine number;
	/* Memory, machine and vCPUs of a guest that has all else; destroy() follows a failure. */
	int (*create)(struct umbra_guest *guest, const struct umbra_guest_config *config,
		      struct umbra_error *ret_error);
	/* What create() made but memory and machine. */
	void (*destroy)(struct umbra_guest *guest);
	/* The boot processor will begin there. */
	int (*start)(struct umbra_guest *guest, const struct boot_entry *entry,
		     struct umbra_error *ret_error);
	enum umbra_event (*run)(struct umbra_guest *guest, uint64_t until_instruction);
	void (*kick)(struct umbra_guest *guest);
	int (*switch_to)(struct umbra_guest *guest, enum umbra_mode to,
			 struct umbra_switch *ret_switch, struct umbra_error *ret_error);
	const struct umbra_switch *(*last_switch)(const struct umbra_guest *guest);
	enum umbra_mode (*mode)(const struct umbra_guest *guest);
	const char *(*processor)(const struct umbra_guest *guest);
	uint64_t (*time)(const struct umbra_guest *guest);
	const struct umbra_end *(*end)(const struct umbra_guest *guest);
	void (*stop)(struct umbra_guest *guest, enum umbra_end_reason reason, const char *text);
	void (*registers)(const struct umbra_guest *guest, unsigned cpu,
			  struct umbra_registers *ret_registers);
	const struct umbra_kvm_figures *(*kvm_figures)(
		const struct umbra_guest *guest); /* or NULL */
};

extern const struct engine_ops soft_engine, kvm_engine;

struct umbra_guest {
	/* Of all vCPUs: each one's own are in its struct hw, written by nobody else. */
	struct umbra_counters counters;
	struct umbra_counters *published;
	struct umbra_known known; /* which of the counters the engine counts */
	const struct engine_ops *engine;
	char name[64];
	struct memory memory;
	struct machine *machine;
	unsigned nr_cpus;
	uint64_t interval, next_interval; /* guest time; 0: none */
	struct kvm_guest *kvm;            /* of the KVM engine */

	/* Of the soft engine. */
	struct vmm *vmm;
	struct hw *hw[UMBRA_MAX_CPUS];
	struct x86_cpu *cpu[UMBRA_MAX_CPUS];

	unsigned turn;        /* number of the vCPU that runs */
	uint64_t turn_end;    /* guest time */
	uint64_t jumped;      /* guest time in which no vCPU ran */
	uint64_t idle_events; /* timer events since a vCPU last ran */

	bool pace, idle_told;
	volatile bool kicked; /* by umbra_guest_kick(), from any thread */
};

/* turn.c: gives vCPU @cpu its turn now. */
void guest_begin_turn(struct umbra_guest *guest, unsigned cpu);
/* Makes the running vCPU's clock the guest's; after a jump and when others were charged cycles. */
void guest_set_clock(struct umbra_guest *guest);
/* The vCPU that runs, or ran last. */
static inline struct x86_cpu *guest_cpu(const struct umbra_guest *guest)
{
	return guest->cpu[guest->turn];
}

static inline uint64_t guest_soft_time(const struct umbra_guest *guest)
{
	return x86_time(guest_cpu(guest));
}
/* turn.c */
enum umbra_event soft_run(struct umbra_guest *guest, uint64_t until_instruction);

/* 0, or -EOPNOTSUPP for a guest of another engine than the soft one, whose tables nobody sees. */
int guest_needs_soft(const struct umbra_guest *guest, const char *what,
		     struct umbra_error *ret_error);

/* explain.c: whether the guest, with so many levels of tables, can have this address. */
bool guest_is_canonical(uint64_t gva, bool five_levels);
/* explain.c: what accesses of an explanation are to the hardware. */
enum hw_access guest_access(enum umbra_explain_access access);

/* Sums up the counters and fills in what is derived from other counts. */
void guest_collect_counters(struct umbra_guest *guest);

#endif
