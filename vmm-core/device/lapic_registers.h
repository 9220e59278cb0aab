/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers of the local APIC by number: MMIO offset / 16, or MSR - 0x800 (SDM 3A table 10-6). */
#ifndef DEVICE_LAPIC_REGISTERS_H
#define DEVICE_LAPIC_REGISTERS_H

#include "device/lapic.h"

enum lapic_register {
	LAPIC_ID = 0x02,
	LAPIC_VERSION = 0x03,
	LAPIC_TPR = 0x08,
	LAPIC_APR = 0x09,
	LAPIC_PPR = 0x0a,
	LAPIC_EOI = 0x0b,
	LAPIC_RRD = 0x0c,
	LAPIC_LDR = 0x0d,
	LAPIC_DFR = 0x0e,
	LAPIC_SVR = 0x0f,
	LAPIC_ISR = 0x10, /* and the 7 after it */
	LAPIC_TMR = 0x18,
	LAPIC_IRR = 0x20,
	LAPIC_ESR = 0x28,
	LAPIC_ICR = 0x30,
	LAPIC_ICR_HIGH = 0x31,
	LAPIC_LVT = 0x32, /* enum lapic_lvt follow each other */
	LAPIC_INITIAL_COUNT = 0x38,
	LAPIC_CURRENT_COUNT = 0x39,
	LAPIC_DIVIDE = 0x3e,
	LAPIC_SELF_IPI = 0x3f, /* x2APIC */
	LAPIC_NR_REGISTERS = 0x40,
};

#define LVT_VECTOR          0xffu
#define LVT_DELIVERY        8 /* shift */
#define LVT_DELIVERY_MASK   (7u << LVT_DELIVERY)
#define LVT_REMOTE_IRR      (1u << 14)
#define LVT_LEVEL           (1u << 15)
#define LVT_MASKED          (1u << 16)
#define LVT_TIMER_MODE      17 /* shift */

#define SVR_ENABLE          (1u << 8)
#define SVR_NO_FOCUS        (1u << 9)
#define SVR_NO_BROADCAST    (1u << 12) /* directed EOI: software tells the I/O APIC */

#define ESR_SEND_ILLEGAL    (1u << 5)
#define ESR_RECEIVE_ILLEGAL (1u << 6)
#define ESR_REGISTER        (1u << 7)

/* Vectors below are the exceptions' (SDM 3A 10.5.2). */
#define LAPIC_FIRST_VECTOR 16

/* An error happened: it shows in ESR once software writes there, and may interrupt. */
void lapic_error(struct lapic *lapic, unsigned error);
/* The entry of LINT0 or LINT1 was written: a level that is there asks now. */
void lapic_lint_changed(struct lapic *lapic, enum lapic_lvt entry);
/* Ends the interrupt of highest priority that is in service. */
void lapic_eoi(struct lapic *lapic);

#endif
