/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The functions that execute system instructions, for the table in system.c. Their operands:
 * insn->reg is the register that is operand 0, insn->rm the one that is operand 1 (each where
 * it is a register); insn->imm the immediate, of a far pointer selector << 32 | offset.
 */
#ifndef X86_SYSTEM_H
#define X86_SYSTEM_H

#include "x86/control.h"
#include "x86/insn.h"

/* SGDT, SIDT, SLDT, STR and SMSW raise #GP(0) (SDM 3A 2.5). */
static inline bool x86_umip_forbids(const struct x86_cpu *cpu)
{
	return cpu->cpl && (cpu->cr4 & CR4_UMIP);
}

/* interrupt.c */
x86_exec x86_exec_cli;
x86_exec x86_exec_sti;
x86_exec x86_exec_pushf;
x86_exec x86_exec_popf;
x86_exec x86_exec_hlt;
x86_exec x86_exec_int;
x86_exec x86_exec_int1;
x86_exec x86_exec_int3;
x86_exec x86_exec_into;
x86_exec x86_exec_undefined;

/* control.c */
x86_exec x86_exec_mov_from_cr;
x86_exec x86_exec_mov_to_cr;
x86_exec x86_exec_mov_from_dr;
x86_exec x86_exec_mov_to_dr;
x86_exec x86_exec_lmsw;
x86_exec x86_exec_smsw;
x86_exec x86_exec_clts;

/* invalidate.c */
x86_exec x86_exec_invlpg;
x86_exec x86_exec_invpcid;
x86_exec x86_exec_cache_privileged;

/* protection.c */
x86_exec x86_exec_stac;
x86_exec x86_exec_clac;
x86_exec x86_exec_rdpkru;
x86_exec x86_exec_wrpkru;

/* xcr.c */
x86_exec x86_exec_xgetbv;
x86_exec x86_exec_xsetbv;

/* cpuid.c */
x86_exec x86_exec_cpuid;

/* msr.c */
x86_exec x86_exec_rdmsr;
x86_exec x86_exec_wrmsr;

/* tsc.c */
x86_exec x86_exec_rdtsc;
x86_exec x86_exec_rdtscp;
x86_exec x86_exec_rdpid;
x86_exec x86_exec_rdpmc;

/* io.c: a device may have ended the guest with what it was given. The instruction retires. */
void x86_take_machine_end(struct x86_cpu *cpu, const struct x86_insn *insn);
x86_exec x86_exec_in;
x86_exec x86_exec_out;
x86_exec x86_exec_ins;
x86_exec x86_exec_outs;

/* table.c */
x86_exec x86_exec_lgdt;
x86_exec x86_exec_lidt;
x86_exec x86_exec_sgdt;
x86_exec x86_exec_sidt;
x86_exec x86_exec_lldt;
x86_exec x86_exec_ltr;
x86_exec x86_exec_sldt;
x86_exec x86_exec_str;
x86_exec x86_exec_lar;
x86_exec x86_exec_lsl;
x86_exec x86_exec_verr;
x86_exec x86_exec_verw;
x86_exec x86_exec_mov_from_segment;

/* selector.c */
x86_exec x86_exec_mov_to_segment;
x86_exec x86_exec_push_segment;
x86_exec x86_exec_pop_segment;
x86_exec x86_exec_load_far_pointer;

/* far.c */
x86_exec x86_exec_jmp_far;
x86_exec x86_exec_call_far;
x86_exec x86_exec_ret_far;
x86_exec x86_exec_iret;

/* syscall.c */
x86_exec x86_exec_syscall;
x86_exec x86_exec_sysret;
x86_exec x86_exec_sysenter;
x86_exec x86_exec_sysexit;

/* base.c */
x86_exec x86_exec_rdbase;
x86_exec x86_exec_wrbase;
x86_exec x86_exec_swapgs;

#endif
