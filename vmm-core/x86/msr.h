/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MSRs that take more than a row in msr.c: false means #GP(0). */
#ifndef X86_MSR_H
#define X86_MSR_H

#include "x86/cpu.h"

typedef bool x86_msr_read(struct x86_cpu *cpu, uint32_t msr, uint64_t *ret_value);
typedef bool x86_msr_write(struct x86_cpu *cpu, uint32_t msr, uint64_t value);

/* memory_type.c */
x86_msr_write x86_msr_write_pat;
x86_msr_read x86_msr_read_mtrr;
x86_msr_write x86_msr_write_mtrr;
void x86_memory_types_init(struct x86_cpu *cpu);

/* tsc.c */
x86_msr_read x86_msr_read_tsc;
x86_msr_write x86_msr_write_tsc;

/* control.c; false also when the guest ended */
x86_msr_write x86_msr_write_efer;

/* msr.c: MSRs as power-up leaves them */
void x86_msrs_init(struct x86_cpu *cpu);

#endif
