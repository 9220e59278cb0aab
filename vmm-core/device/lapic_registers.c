/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers of the local APIC, by MMIO and by MSR. */
#include "device/apic_bus.h"
#include "device/lapic.h"
#include "device/lapic_registers.h"

/* Version 0x14: six LVT entries, and EOI broadcasts can be suppressed. */
#define VERSION      (0x14u | (NR_LVT - 1) << 16 | 1u << 24)

#define X2APIC_MSRS  0x800u
#define XAPIC_ID     24 /* shift; also of LDR and of the ICR's destination */

#define SVR_WRITABLE (0xffu | SVR_ENABLE | SVR_NO_FOCUS | SVR_NO_BROADCAST)
#define DFR_ONES     0x0fffffffu
#define DIVIDE_BITS  0x0bu

/* ICR */
#define ICR_DELIVERY       8 /* shift */
#define ICR_LOGICAL        (1u << 11)
#define ICR_ASSERT         (1u << 14)
#define ICR_LEVEL          (1u << 15)
#define ICR_SHORTHAND      18 /* shift */
#define ICR_WRITABLE       0x000ccfffu
#define XAPIC_BROADCAST    0xffu
#define X2APIC_BROADCAST   UINT32_MAX
#define ICR_X2_DESTINATION 32 /* shift */

/* In which of the two forms a register is there, and whether it can be read and written. */
enum { R = 1, W = 2, X1 = 4, X2 = 8, BOTH = X1 | X2 };

static const uint8_t access_of[LAPIC_NR_REGISTERS] = {
	[LAPIC_ID] = R | BOTH,
	[LAPIC_VERSION] = R | BOTH,
	[LAPIC_TPR] = R | W | BOTH,
	[LAPIC_APR] = R | X1,
	[LAPIC_PPR] = R | BOTH,
	[LAPIC_EOI] = W | BOTH,
	[LAPIC_RRD] = R | X1,
	[LAPIC_LDR] = R | W | BOTH, /* x2APIC: read only, see below */
	[LAPIC_DFR] = R | W | X1,
	[LAPIC_SVR] = R | W | BOTH,
	[LAPIC_ISR... LAPIC_ISR + 7] = R | BOTH,
	[LAPIC_TMR... LAPIC_TMR + 7] = R | BOTH,
	[LAPIC_IRR... LAPIC_IRR + 7] = R | BOTH,
	[LAPIC_ESR] = R | W | BOTH,
	[LAPIC_ICR] = R | W | BOTH,
	[LAPIC_ICR_HIGH] = R | W | X1,
	[LAPIC_LVT... LAPIC_LVT + NR_LVT - 1] = R | W | BOTH,
	[LAPIC_INITIAL_COUNT] = R | W | BOTH,
	[LAPIC_CURRENT_COUNT] = R | BOTH,
	[LAPIC_DIVIDE] = R | W | BOTH,
	[LAPIC_SELF_IPI] = W | X2,
};

static const uint32_t lvt_writable[NR_LVT] = {
	[LVT_TIMER] = LVT_VECTOR | LVT_MASKED | 3u << LVT_TIMER_MODE,
	[LVT_THERMAL] = LVT_VECTOR | LVT_DELIVERY_MASK | LVT_MASKED,
	[LVT_PERFMON] = LVT_VECTOR | LVT_DELIVERY_MASK | LVT_MASKED,
	[LVT_LINT0] = LVT_VECTOR | LVT_DELIVERY_MASK | 1u << 13 | LVT_LEVEL | LVT_MASKED,
	[LVT_LINT1] = LVT_VECTOR | LVT_DELIVERY_MASK | 1u << 13 | LVT_LEVEL | LVT_MASKED,
	[LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
};

/* Delivery status and remote IRR: writing them is no fault, and does nothing. */
#define LVT_READ_ONLY (1u << 12 | LVT_REMOTE_IRR)

static uint32_t logical_id(const struct lapic *lapic)
{
	if (lapic->base & LAPIC_BASE_EXTD)
		return lapic->id / 16u << 16 | 1u << lapic->id % 16;
	return (uint32_t)lapic->ldr << XAPIC_ID;
}

static uint32_t get(struct lapic *lapic, unsigned reg, uint64_t now)
{
	if (reg >= LAPIC_ISR && reg < LAPIC_ESR) {
		const uint32_t *bits[] = {lapic->isr, lapic->tmr, lapic->irr};

		return bits[(reg - LAPIC_ISR) / 8][reg % 8];
	}
	if (reg >= LAPIC_LVT && reg < LAPIC_LVT + NR_LVT)
		return lapic->lvt[reg - LAPIC_LVT];
	switch (reg) {
	case LAPIC_ID:
		return lapic->base & LAPIC_BASE_EXTD ? lapic->id : (uint32_t)lapic->id << XAPIC_ID;
	case LAPIC_VERSION: return VERSION;
	case LAPIC_TPR: return lapic->tpr;
	case LAPIC_PPR: return lapic_ppr(lapic);
	case LAPIC_LDR: return logical_id(lapic);
	case LAPIC_DFR: return lapic->dfr;
	case LAPIC_SVR: return lapic->svr;
	case LAPIC_ESR: return lapic->esr;
	case LAPIC_ICR: return (uint32_t)lapic->icr;
	case LAPIC_ICR_HIGH: return (uint32_t)(lapic->icr >> 32);
	case LAPIC_INITIAL_COUNT: return lapic->timer.initial;
	case LAPIC_CURRENT_COUNT: return lapic_timer_current(&lapic->timer, now);
	case LAPIC_DIVIDE: return lapic->timer.divide;
	default: return 0; /* APR and RRD are of older processors */
	}
}

/* SDM 3A table 10-3: what can go to oneself is a fixed interrupt. */
static bool ipi_is_valid(enum apic_shorthand shorthand, enum apic_delivery delivery)
{
	if (delivery == APIC_RESERVED || delivery == APIC_EXTINT)
		return false;
	return delivery == APIC_FIXED || (shorthand != APIC_SELF && shorthand != APIC_ALL);
}

static void send(struct lapic *lapic)
{
	uint32_t low = (uint32_t)lapic->icr, high = (uint32_t)(lapic->icr >> 32);
	bool x2 = lapic->base & LAPIC_BASE_EXTD;
	enum apic_shorthand shorthand = low >> ICR_SHORTHAND & 3;
	struct apic_message message = {
		.destination = x2 ? high : high >> XAPIC_ID,
		.broadcast = x2 ? high == X2APIC_BROADCAST : high >> XAPIC_ID == XAPIC_BROADCAST,
		.logical = low & ICR_LOGICAL,
		.delivery = low >> ICR_DELIVERY & 7,
		.vector = (uint8_t)low,
	};

	if (!ipi_is_valid(shorthand, message.delivery))
		return;
	/* INIT level de-assert has had no effect since the Pentium 4 (SDM 3A 10.6.1). */
	if (message.delivery == APIC_INIT && (low & ICR_LEVEL) && !(low & ICR_ASSERT))
		return;
	if ((message.delivery == APIC_FIXED || message.delivery == APIC_LOWEST_PRIORITY) &&
	    message.vector < LAPIC_FIRST_VECTOR) {
		lapic_error(lapic, ESR_SEND_ILLEGAL);
		return;
	}
	apic_bus_send_ipi(lapic->bus, lapic->id, shorthand, &message);
}

static void set_lvt(struct lapic *lapic, unsigned entry, uint32_t value)
{
	uint32_t *lvt = &lapic->lvt[entry];

	*lvt = (value & lvt_writable[entry]) | (*lvt & LVT_REMOTE_IRR);
	if (!(lapic->svr & SVR_ENABLE))
		*lvt |= LVT_MASKED;
	if (!(*lvt & LVT_LEVEL))
		*lvt &= ~LVT_REMOTE_IRR;
	if (entry == LVT_LINT0 || entry == LVT_LINT1)
		lapic_lint_changed(lapic, entry);
	if (entry == LVT_TIMER)
		lapic_timer_set_mode(&lapic->timer, *lvt >> LVT_TIMER_MODE & 3);
}

static void set_svr(struct lapic *lapic, uint32_t value)
{
	lapic->svr = value & SVR_WRITABLE;
	if (lapic->svr & SVR_ENABLE)
		return;
	for (unsigned i = 0; i < NR_LVT; i++) /* SDM 3A 10.4.7.2 */
		lapic->lvt[i] |= LVT_MASKED;
}

static void set(struct lapic *lapic, unsigned reg, uint32_t value, uint64_t now)
{
	if (reg >= LAPIC_LVT && reg < LAPIC_LVT + NR_LVT) {
		set_lvt(lapic, reg - LAPIC_LVT, value);
		return;
	}
	switch (reg) {
	case LAPIC_TPR: lapic_set_tpr(lapic, (uint8_t)value); break;
	case LAPIC_EOI: lapic_eoi(lapic); break;
	case LAPIC_LDR: lapic->ldr = (uint8_t)(value >> XAPIC_ID); break;
	case LAPIC_DFR: lapic->dfr = value | DFR_ONES; break;
	case LAPIC_SVR: set_svr(lapic, value); break;
	case LAPIC_ESR:
		lapic->esr = lapic->errors;
		lapic->errors = 0;
		break;
	case LAPIC_ICR:
		lapic->icr = (lapic->icr & ~(uint64_t)UINT32_MAX) | (value & ICR_WRITABLE);
		send(lapic);
		break;
	case LAPIC_ICR_HIGH:
		lapic->icr = (uint32_t)lapic->icr | (uint64_t)(value >> XAPIC_ID << XAPIC_ID) << 32;
		break;
	case LAPIC_INITIAL_COUNT: lapic_timer_set_initial(&lapic->timer, value, now); break;
	case LAPIC_DIVIDE: lapic_timer_set_divide(&lapic->timer, value & DIVIDE_BITS, now); break;
	}
}

static bool may(unsigned reg, unsigned how)
{
	return reg < LAPIC_NR_REGISTERS && (access_of[reg] & how) == how;
}

uint32_t lapic_read(struct lapic *lapic, uint32_t offset, uint64_t now)
{
	unsigned reg = offset / 16;

	lapic_advance(lapic, now);
	/* The upper 12 bytes of each register's 16 belong to nothing. */
	if (offset % 16)
		return 0;
	if (may(reg, R | X1))
		return get(lapic, reg, now);
	if (!may(reg, W | X1))
		lapic_error(lapic, ESR_REGISTER);
	return 0;
}

void lapic_write(struct lapic *lapic, uint32_t offset, uint32_t value, uint64_t now)
{
	unsigned reg = offset / 16;

	lapic_advance(lapic, now);
	if (offset % 16)
		return;
	if (may(reg, W | X1))
		set(lapic, reg, value, now);
	else if (!may(reg, R | X1))
		lapic_error(lapic, ESR_REGISTER);
}

/* Bits whose writing is #GP in x2APIC mode (SDM 3A 10.12.1.2). */
static uint64_t reserved_bits(unsigned reg)
{
	if (reg >= LAPIC_LVT && reg < LAPIC_LVT + NR_LVT)
		return ~(uint64_t)(lvt_writable[reg - LAPIC_LVT] | LVT_READ_ONLY);
	switch (reg) {
	case LAPIC_TPR:
	case LAPIC_SELF_IPI: return ~0xffull;
	case LAPIC_EOI:
	case LAPIC_ESR: return UINT64_MAX;
	case LAPIC_SVR: return ~(uint64_t)SVR_WRITABLE;
	case LAPIC_DIVIDE: return ~(uint64_t)DIVIDE_BITS;
	case LAPIC_ICR: return UINT32_MAX & ~(uint64_t)ICR_WRITABLE;
	default: return ~(uint64_t)UINT32_MAX;
	}
}

bool lapic_read_msr(struct lapic *lapic, uint32_t msr, uint64_t *ret_value, uint64_t now)
{
	unsigned reg = msr - X2APIC_MSRS;

	if (!(lapic->base & LAPIC_BASE_EXTD) || !may(reg, R | X2))
		return false;
	lapic_advance(lapic, now);
	*ret_value = reg == LAPIC_ICR ? lapic->icr : get(lapic, reg, now);
	return true;
}

bool lapic_write_msr(struct lapic *lapic, uint32_t msr, uint64_t value, uint64_t now)
{
	unsigned reg = msr - X2APIC_MSRS;

	if (!(lapic->base & LAPIC_BASE_EXTD) || !may(reg, W | X2) || reg == LAPIC_LDR ||
	    (value & reserved_bits(reg)))
		return false;
	lapic_advance(lapic, now);
	switch (reg) {
	case LAPIC_ICR:
		lapic->icr = value;
		send(lapic);
		break;
	case LAPIC_SELF_IPI: {
		struct apic_message message = {.vector = (uint8_t)value};

		if (message.vector < LAPIC_FIRST_VECTOR)
			lapic_error(lapic, ESR_SEND_ILLEGAL);
		else
			apic_bus_send_ipi(lapic->bus, lapic->id, APIC_SELF, &message);
		break;
	}
	default: set(lapic, reg, (uint32_t)value, now); break;
	}
	return true;
}
