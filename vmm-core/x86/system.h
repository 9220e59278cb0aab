/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The functions that execute system instructions, for the table in system.c. Their operands:
 * insn->reg is the register that is operand 0, insn->rm the one that is operand 1 (each where
 * it is a register); insn->imm the immediate, of a far pointer selector << 32 | offset.
 */
#ifndef X86_SYSTEM_H
#define X86_SYSTEM_H

#include "x86/insn.h"

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
x86_exec x86_exec_invlpg;
x86_exec x86_exec_cache_privileged;

/* xcr.c */
x86_exec x86_exec_xgetbv;
x86_exec x86_exec_xsetbv;

/* cpuid.c */
x86_exec x86_exec_cpuid;

/* msr.c */
x86_exec x86_exec_rdmsr;
x86_exec x86_exec_wrmsr;
x86_exec x86_exec_rdtsc;
x86_exec x86_exec_rdpmc;

/* io.c */
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
x86_exec x86_exec_swapgs;

#endif
