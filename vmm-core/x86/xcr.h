/* SPDX-License-Identifier: GPL-2.0-or-later */
/* XCR0: which states XSAVE manages, and where they lie in its area (SDM 1 13). */
#ifndef X86_XCR_H
#define X86_XCR_H

#include "x86/cpu.h"

#define XCR0_PKRU_BIT 9u
#define XCR0_X87      (1ull << 0)
#define XCR0_SSE      (1ull << 1)
#define XCR0_PKRU     (1ull << XCR0_PKRU_BIT)

/* The legacy region and the header; beyond them only PKRU has a place, in both formats the same. */
#define XSAVE_BASE_SIZE   576u
#define XSAVE_PKRU_OFFSET 576u
#define XSAVE_PKRU_SIZE   8u

/* The bits that XSETBV accepts: what CPUID leaf 0DH says. 0: there is no XSAVE. */
uint64_t x86_xcr0_offered(const struct x86_cpu *cpu);

/* XINUSE: exactly those states that are not in their initial configuration; MXCSR is none. */
uint64_t x86_xinuse(const struct x86_cpu *cpu);

/* PKRU, by WRPKRU, XRSTOR or a reset. */
void x86_set_pkru(struct x86_cpu *cpu, uint32_t value);

/* Bytes of an XSAVE area with the states of @xcr0. */
static inline uint32_t x86_xsave_size(uint64_t xcr0)
{
	return xcr0 & XCR0_PKRU ? XSAVE_PKRU_OFFSET + XSAVE_PKRU_SIZE : XSAVE_BASE_SIZE;
}

#endif
