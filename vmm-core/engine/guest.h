/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inside of a guest of the soft engine. */
#ifndef ENGINE_GUEST_H
#define ENGINE_GUEST_H

#include "device/machine.h"
#include "memory/map.h"
#include "paging/vmm.h"
#include "umbra/guest.h"
#include "x86/cpu.h"

struct umbra_guest {
	/* Of all vCPUs: each one's own are in its struct hw, written by nobody else. */
	struct umbra_counters counters;
	struct umbra_counters *published;
	char name[64];
	struct memory memory;
	struct vmm *vmm;
	struct machine *machine;
	unsigned nr_cpus;
	struct hw *hw[UMBRA_MAX_CPUS];
	struct x86_cpu *cpu[UMBRA_MAX_CPUS];

	unsigned turn;        /* number of the vCPU that runs */
	uint64_t turn_end;    /* guest time */
	uint64_t jumped;      /* guest time in which no vCPU ran */
	uint64_t idle_events; /* timer events since a vCPU last ran */

	uint64_t interval, next_interval; /* guest time; 0: none */
	bool pace, idle_told;
	volatile bool kicked; /* by umbra_guest_kick(), from any thread */
	bool loaded;
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

/* explain.c: whether the guest, with so many levels of tables, can have this address. */
bool guest_is_canonical(uint64_t gva, bool five_levels);
/* explain.c: what accesses of an explanation are to the hardware. */
enum hw_access guest_access(enum umbra_explain_access access);

/* Sums up the counters and fills in what is derived from other counts. */
void guest_collect_counters(struct umbra_guest *guest);

#endif
