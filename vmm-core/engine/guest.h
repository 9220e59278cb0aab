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
	char name[64];
	struct memory memory;
	struct hw *hw;
	struct vmm *vmm;
	struct machine *machine;
	struct x86_cpu *cpu;
	struct umbra_counters *published;
	uint64_t interval, next_interval; /* guest time; 0: none */
	bool pace, idle_told;
	volatile bool kicked; /* by umbra_guest_kick(), from any thread */
	bool loaded;
};

/* Fills in what is derived from other counts: the rest is counted where it happens. */
void guest_collect_counters(struct umbra_guest *guest);

#endif
