/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Breakpoints and single steps (SDM 3B 17.2, 17.3). While DR7 enables nothing they cost nothing.
 * While it does, instructions execute one by one, and where data breakpoints (or alignment checks)
 * are on, the lookaside of data accesses is kept empty, so that all of them come by x86_watch().
 */
#ifndef X86_DEBUG_H
#define X86_DEBUG_H

#include "x86/cpu.h"
#include "x86/flags.h"

#define DR7_GD (1ull << 13)
#define DR6_BD (1u << 13)
#define DR6_BS (1u << 14)
#define DR6_BT (1u << 15)

enum x86_watch { X86_WATCH_DATA = 1, X86_WATCH_ALIGNMENT = 2 };

/* Call after DR7, the addresses in DR0 ... DR3 or CR4.DE changed. */
void x86_debug_changed(struct x86_cpu *cpu);
/* Sets the bit of @cpu->watch; where one is set first empties the lookaside. */
void x86_set_watch(struct x86_cpu *cpu, enum x86_watch bit, bool on);

/* True: a breakpoint on the instruction at RIP, whose #DB is delivered. */
bool x86_debug_fetch(struct x86_cpu *cpu);
/* An access to @linear is about to retire. False: #AC is raised. */
bool x86_watch(struct x86_cpu *cpu, uint64_t linear, unsigned size, bool write);
/* The CPU's own access to a descriptor, a TSS or a frame. */
void x86_watch_system(struct x86_cpu *cpu, uint64_t linear, unsigned size, bool write);
/* IN or OUT is about to retire. */
void x86_debug_port(struct x86_cpu *cpu, uint16_t port, unsigned size);
/* INT1 raises #DB itself, and what MOV SS held back goes with it. */
void x86_debug_int1(struct x86_cpu *cpu);
/* The instruction retired. */
void x86_debug_retired(struct x86_cpu *cpu);
/* It faulted: what it had touched until then, and what MOV SS held back, is lost. */
void x86_debug_faulted(struct x86_cpu *cpu);
/* A task switch: DR7's local enables are cleared; @trap: the T bit of its TSS. */
void x86_debug_new_task(struct x86_cpu *cpu, bool trap);

/* Something is due before the next instruction; x86_deliver_pending() delivers it. */
bool x86_pending_due(const struct x86_cpu *cpu);
void x86_deliver_pending(struct x86_cpu *cpu);

#endif
