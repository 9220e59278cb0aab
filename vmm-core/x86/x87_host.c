/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's FPU as a calculator: operands in, one instruction, results and status out. */
#include "x86/x87_host.h"

#include "x86/x87.h"

#if !defined(__x86_64__)
#error "x87 instructions are executed by the host's own: this file needs an x86-64 host"
#endif

/* Registers of the host are empty at calls, and its exceptions masked. */
#define CLOBBERS "cc", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"

/*
 * FNSTSW and FNCLEX do not wait: a pending exception does not reach the host's kernel. A flag that
 * anybody's long double left must not become pending with the guest's masks.
 */
#define CLEAR(label) "fnstsw %%ax\n\ttestb $0xbf, %%al\n\tjz " label "f\n\tfnclex\n" label ":\n\t"
#define RUN(before, instruction, after)                                                            \
	"fnstcw %[host]\n\t" CLEAR("2") "fldcw %[control]\n\t" before instruction                  \
					"\n\t" CLEAR("1") "fldcw %[host]" after

/* The instruction did not do all of its pushes and pops: the stack is emptied by force. */
static void reset(uint16_t control)
{
	__asm__ volatile("fninit\n\tfldcw %[control]" : : [control] "m"(control) : CLOBBERS);
}

#define DEFINE(name, type, odd, before, instruction, after)                                        \
	uint16_t x87_host_##name(struct x86_x87_register *a, void *other, uint16_t control)        \
	{                                                                                          \
		type *b = other;                                                                   \
		uint16_t status, host;                                                             \
                                                                                                   \
		__asm__ volatile(RUN(before, instruction, after)                                   \
				 : [a] "+m"(*a), [b] "+m"(*b), [host] "=&m"(host), "=&a"(status)   \
				 : [control] "m"(control)                                          \
				 : CLOBBERS);                                                      \
		if (__builtin_expect(status & (odd), 0))                                           \
			reset(host);                                                               \
		return status;                                                                     \
	}

#define DROP     "\n\tfstp %%st(0)"
#define REGISTER struct x86_x87_register
/* ST(0) = a, ST(1) = b; then a = ST(0) */
#define LOAD_BOTH "fldt %[b]\n\tfldt %[a]\n\t"
#define TAKE_ONE  "\n\tfstpt %[a]" DROP
/* Where the condition is the result, a previous one must not show through. */
#define NO_CONDITION "fldz\n\tftst\n\tfstp %%st(0)\n\t"

#define BINARY(name, instruction)                                                                  \
	DEFINE(name, REGISTER, X87_ES, LOAD_BOTH, instruction " %%st(1), %%st", TAKE_ONE)
#define COMPARE(name, instruction)                                                                 \
	DEFINE(name, REGISTER, X87_ES, LOAD_BOTH, instruction " %%st(1)", DROP DROP)
#define MEMORY(name, type, instruction, after)                                                     \
	DEFINE(name, type, X87_ES, "fldt %[a]\n\t", instruction " %[b]", after)

BINARY(add, "fadd")
BINARY(mul, "fmul")
BINARY(sub, "fsub")
BINARY(subr, "fsubr")
BINARY(div, "fdiv")
BINARY(divr, "fdivr")
COMPARE(com, "fcom")
COMPARE(ucom, "fucom")

#define TAKE "\n\tfstpt %[a]"
MEMORY(add_32, uint32_t, "fadds", TAKE)
MEMORY(mul_32, uint32_t, "fmuls", TAKE)
MEMORY(sub_32, uint32_t, "fsubs", TAKE)
MEMORY(subr_32, uint32_t, "fsubrs", TAKE)
MEMORY(div_32, uint32_t, "fdivs", TAKE)
MEMORY(divr_32, uint32_t, "fdivrs", TAKE)
MEMORY(com_32, uint32_t, "fcoms", DROP)
MEMORY(add_64, uint64_t, "faddl", TAKE)
MEMORY(mul_64, uint64_t, "fmull", TAKE)
MEMORY(sub_64, uint64_t, "fsubl", TAKE)
MEMORY(subr_64, uint64_t, "fsubrl", TAKE)
MEMORY(div_64, uint64_t, "fdivl", TAKE)
MEMORY(divr_64, uint64_t, "fdivrl", TAKE)
MEMORY(com_64, uint64_t, "fcoml", DROP)

MEMORY(st_32, uint32_t, "fsts", DROP)
MEMORY(st_64, uint64_t, "fstl", DROP)
MEMORY(ist_16, uint16_t, "fistps", "")
MEMORY(ist_32, uint32_t, "fistpl", "")
MEMORY(ist_64, uint64_t, "fistpll", "")
MEMORY(istt_16, uint16_t, "fisttps", "")
MEMORY(istt_32, uint32_t, "fisttpl", "")
MEMORY(istt_64, uint64_t, "fisttpll", "")
#define PACKED_BCD struct x86_x87_register /* ten bytes as well */
MEMORY(bst, PACKED_BCD, "fbstp", "")

#define LOAD(name, type, instruction)                                                              \
	DEFINE(name, type, X87_ES, "", instruction " %[b]", "\n\tfstpt %[a]")
LOAD(ld_32, uint32_t, "flds")
LOAD(ld_64, uint64_t, "fldl")
LOAD(ild_16, uint16_t, "filds")
LOAD(ild_32, uint32_t, "fildl")
LOAD(ild_64, uint64_t, "fildll")
LOAD(bld, PACKED_BCD, "fbld")

#define UNARY(name, instruction)                                                                   \
	DEFINE(name, REGISTER, X87_ES, NO_CONDITION "fldt %[a]\n\t", instruction, TAKE)
UNARY(tst, "ftst")
UNARY(2xm1, "f2xm1")
UNARY(sqrt, "fsqrt")
UNARY(rndint, "frndint")
UNARY(sin, "fsin")
UNARY(cos, "fcos")

#define CONSTANT(name, instruction)                                                                \
	DEFINE(name, REGISTER, X87_ES, "", instruction, "\n\tfstpt %[a]")
CONSTANT(ld1, "fld1")
CONSTANT(ldl2t, "fldl2t")
CONSTANT(ldl2e, "fldl2e")
CONSTANT(ldpi, "fldpi")
CONSTANT(ldlg2, "fldlg2")
CONSTANT(ldln2, "fldln2")
CONSTANT(ldz, "fldz")

#define TWO(name, instruction, after)                                                              \
	DEFINE(name, REGISTER, X87_ES, NO_CONDITION LOAD_BOTH, instruction, after)
TWO(scale, "fscale", TAKE_ONE)
TWO(prem, "fprem", TAKE_ONE)
TWO(prem1, "fprem1", TAKE_ONE)
TWO(yl2x, "fyl2x", TAKE)
TWO(yl2xp1, "fyl2xp1", TAKE)
TWO(patan, "fpatan", TAKE)

/* Out of range (C2) nothing is pushed. */
#define PUSH(name, instruction)                                                                    \
	DEFINE(name, REGISTER, X87_ES | X87_C2, NO_CONDITION "fldt %[a]\n\t", instruction,         \
	       "\n\tfstpt %[a]\n\tfstpt %[b]")
PUSH(ptan, "fptan")
PUSH(sincos, "fsincos")
PUSH(xtract, "fxtract")
