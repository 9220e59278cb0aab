/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A local APIC (SDM 3A chapter 10), as xAPIC in memory, where IA32_APIC_BASE says, or as x2APIC by
 * MSRs. It has six LVT entries, directed EOI and a read-only ID; SMIs are accepted and go nowhere.
 */
#ifndef DEVICE_LAPIC_H
#define DEVICE_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "device/lapic_timer.h"

#define LAPIC_BASE 0xfee00000ull /* at power-up */
#define LAPIC_SIZE 0x1000ull

/* IA32_APIC_BASE */
#define LAPIC_BASE_BSP     (1ull << 8)
#define LAPIC_BASE_EXTD    (1ull << 10) /* x2APIC */
#define LAPIC_BASE_EN      (1ull << 11)
#define LAPIC_BASE_ADDRESS (~0xfffull)

struct apic_bus;
struct apic_message;

enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERFMON, LVT_LINT0, LVT_LINT1, LVT_ERROR, NR_LVT };

struct lapic {
	struct apic_bus *bus;
	uint8_t id;
	uint64_t base; /* IA32_APIC_BASE */
	uint32_t irr[8], isr[8], tmr[8];
	uint32_t lvt[NR_LVT];
	uint32_t svr, dfr;
	uint64_t icr;
	uint8_t tpr, ldr;    /* ldr: of the xAPIC */
	uint8_t esr, errors; /* what software sees; what happened since it last wrote */
	struct lapic_timer timer;
	bool lint[2];            /* levels of LINT0 and LINT1 */
	bool extint;             /* an ExtINT message waits */
	bool requested;          /* a vector in IRR passes the processor priority */
	bool nmi, init, startup; /* wait for the CPU */
	uint8_t startup_vector;
};

/* As after power-up; number 0 is the boot processor. */
void lapic_init(struct lapic *lapic, struct apic_bus *bus, uint8_t id);
/* As firmware leaves that of the boot processor: enabled, LINT0 ExtINT, LINT1 NMI. */
void lapic_virtual_wire(struct lapic *lapic);

/* IA32_APIC_BASE. False: #GP, for a reserved bit or a transition that there is not. */
bool lapic_set_base(struct lapic *lapic, uint64_t value);

/* The page in which its registers are, while lapic_has_mmio(). */
uint64_t lapic_page(const struct lapic *lapic);
/* xAPIC: @offset of an aligned 32-bit register. Only while lapic_has_mmio(). */
bool lapic_has_mmio(const struct lapic *lapic);
uint32_t lapic_read(struct lapic *lapic, uint32_t offset, uint64_t now);
void lapic_write(struct lapic *lapic, uint32_t offset, uint32_t value, uint64_t now);
/* x2APIC: @msr 0x800 ... 0x8ff. False: #GP. */
bool lapic_read_msr(struct lapic *lapic, uint32_t msr, uint64_t *ret_value, uint64_t now);
bool lapic_write_msr(struct lapic *lapic, uint32_t msr, uint64_t value, uint64_t now);

uint8_t lapic_ppr(const struct lapic *lapic);
void lapic_set_tpr(struct lapic *lapic, uint8_t tpr);
bool lapic_software_enabled(const struct lapic *lapic);

bool lapic_matches(const struct lapic *lapic, const struct apic_message *message);
void lapic_receive(struct lapic *lapic, const struct apic_message *message);

/* LINT0 is the INTR of the 8259s, LINT1 the NMI pin. */
void lapic_set_lint(struct lapic *lapic, unsigned pin, bool level);

/* The 8259s must be acknowledged: their INTR reaches the CPU. */
bool lapic_extint_pending(const struct lapic *lapic);
void lapic_extint_acknowledged(struct lapic *lapic);
/* Moves the vector of highest priority into service; none: the spurious vector. */
uint8_t lapic_acknowledge(struct lapic *lapic);

/* INIT reaches the CPU: all but the ID and IA32_APIC_BASE is as after power-up. */
void lapic_take_init(struct lapic *lapic);

void lapic_advance(struct lapic *lapic, uint64_t now);
/* Guest time at which the timer interrupts; UINT64_MAX: never. */
uint64_t lapic_next_event(const struct lapic *lapic);

#endif
