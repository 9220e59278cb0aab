/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One operation on the host's own FPU, under the guest's control word, unmasked exceptions
 * included: they stay pending there until they are read and cleared. Results and flags are those of
 * hardware. Internal to x87*.c.
 */
#ifndef X86_X87_HOST_H
#define X86_X87_HOST_H

#include "x86/cpu.h"

/*
 * @a: ST(0) or the destination, where the result goes; @b: the other operand, which is a register,
 * a number in memory, or the second result. Returns the host's status word after it, in which C0,
 * C2 and C3 mean something only where the operation sets them. An operation with an unmasked
 * exception that the manual has change nothing (IE, DE, ZE; of stores OE and UE too) leaves rubbish
 * in @a and @b: the caller does not take them over.
 */
typedef uint16_t x87_host(struct x86_x87_register *a, void *b, uint16_t control);

/* a = a op b; the comparisons change nothing. */
x87_host x87_host_add, x87_host_mul, x87_host_sub, x87_host_subr, x87_host_div, x87_host_divr,
	x87_host_com, x87_host_ucom;
/* The same with a float in memory, and with a double. */
x87_host x87_host_add_32, x87_host_mul_32, x87_host_sub_32, x87_host_subr_32, x87_host_div_32,
	x87_host_divr_32, x87_host_com_32;
x87_host x87_host_add_64, x87_host_mul_64, x87_host_sub_64, x87_host_subr_64, x87_host_div_64,
	x87_host_divr_64, x87_host_com_64;
/* a = op a, or only the condition. */
x87_host x87_host_tst, x87_host_2xm1, x87_host_sqrt, x87_host_rndint, x87_host_sin, x87_host_cos;
/* a = op(ST(0) = a, ST(1) = b); yl2x, yl2xp1 and patan pop, so theirs belongs into ST(1). */
x87_host x87_host_scale, x87_host_prem, x87_host_prem1, x87_host_yl2x, x87_host_yl2xp1,
	x87_host_patan;
/* a = the result that is pushed, b = the one below it; with C2 set none. */
x87_host x87_host_ptan, x87_host_sincos, x87_host_xtract;
/* a = what is in memory. */
x87_host x87_host_ld_32, x87_host_ld_64, x87_host_ild_16, x87_host_ild_32, x87_host_ild_64,
	x87_host_bld;
/* Memory = a. */
x87_host x87_host_st_32, x87_host_st_64, x87_host_ist_16, x87_host_ist_32, x87_host_ist_64,
	x87_host_istt_16, x87_host_istt_32, x87_host_istt_64, x87_host_bst;
/* a = a constant, as the control word rounds it. */
x87_host x87_host_ld1, x87_host_ldl2t, x87_host_ldl2e, x87_host_ldpi, x87_host_ldlg2,
	x87_host_ldln2, x87_host_ldz;

#endif
