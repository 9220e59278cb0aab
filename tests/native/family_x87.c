/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87 instructions (SDM 2D tables ), with full stacks and with empty registers. */
#include "families.h"

/* clang-format off */

#define FULL(name, encoding, words)  {name, encoding, "fx " words, 0}
#define EMPTY(name, encoding, words) {name " (empty)", encoding, "fx empty " words, 0}
#define BOTH(name, encoding, words)  FULL(name, encoding, words), EMPTY(name, encoding, words)
#define ALONE(name, encoding)        BOTH(name, encoding, "")
#define MEMORY(name, encoding)       BOTH(name, encoding, "m")

#define ARITHMETIC(name, digit, st, to)                                                       \
	MEMORY(name " m32", "d8 /" digit), MEMORY(name " m64", "dc /" digit),                      \
	MEMORY(name " m32 integer", "da /" digit), MEMORY(name " m16 integer", "de /" digit),            \
	ALONE(name " st, st(i)", "d8 " st "+i"), ALONE(name " st(i), st", "dc " to "+i"),          \
	ALONE(name "p", "de " to "+i")

const struct native_row native_x87[] = {
	ARITHMETIC("fadd", "0", "c0", "c0"),
	ARITHMETIC("fmul", "1", "c8", "c8"),
	ARITHMETIC("fsub", "4", "e0", "e8"),
	ARITHMETIC("fsubr", "5", "e8", "e0"),
	ARITHMETIC("fdiv", "6", "f0", "f8"),
	ARITHMETIC("fdivr", "7", "f8", "f0"),
	MEMORY("fcom m32", "d8 /2"), MEMORY("fcomp m32", "d8 /3"),
	MEMORY("fcom m64", "dc /2"), MEMORY("fcomp m64", "dc /3"),
	MEMORY("ficom m32", "da /2"), MEMORY("ficomp m32", "da /3"),
	MEMORY("ficom m16", "de /2"), MEMORY("ficomp m16", "de /3"),
	ALONE("fcom st(i)", "d8 d0+i"), ALONE("fcomp st(i)", "d8 d8+i"),
	ALONE("fucom st(i)", "dd e0+i"), ALONE("fucomp st(i)", "dd e8+i"),
	ALONE("fcompp", "de d9"), ALONE("fucompp", "da e9"),
	ALONE("fcomi", "db f0+i"), ALONE("fucomi", "db e8+i"),
	ALONE("fcomip", "df f0+i"), ALONE("fucomip", "df e8+i"),
	ALONE("fcom2", "dc d0+i"), ALONE("fcomp3", "dc d8+i"), ALONE("fcomp5", "de d0+i"),
	MEMORY("fld m32", "d9 /0"), MEMORY("fld m64", "dd /0"), MEMORY("fld m80", "db /5"),
	MEMORY("fild m16", "df /0"), MEMORY("fild m32", "db /0"), MEMORY("fild m64", "df /5"),
	MEMORY("fst m32", "d9 /2"), MEMORY("fst m64", "dd /2"),
	MEMORY("fstp m32", "d9 /3"), MEMORY("fstp m64", "dd /3"), MEMORY("fstp m80", "db /7"),
	MEMORY("fist m16", "df /2"), MEMORY("fist m32", "db /2"),
	MEMORY("fistp m16", "df /3"), MEMORY("fistp m32", "db /3"), MEMORY("fistp m64", "df /7"),
	MEMORY("fisttp m16", "df /1"), MEMORY("fisttp m32", "db /1"), MEMORY("fisttp m64", "dd /1"),
	MEMORY("fbld", "df /4"), MEMORY("fbstp", "df /6"),
	ALONE("fld st(i)", "d9 c0+i"), ALONE("fst st(i)", "dd d0+i"), ALONE("fstp st(i)", "dd d8+i"),
	ALONE("fstp8", "df d0+i"), ALONE("fstp9", "df d8+i"),
	ALONE("fxch", "d9 c8+i"), ALONE("fxch4", "dd c8+i"), ALONE("fxch7", "df c8+i"),
	ALONE("ffree", "dd c0+i"), ALONE("ffreep", "df c0+i"),
	ALONE("fcmovb", "da c0+i"), ALONE("fcmove", "da c8+i"),
	ALONE("fcmovbe", "da d0+i"), ALONE("fcmovu", "da d8+i"),
	ALONE("fcmovnb", "db c0+i"), ALONE("fcmovne", "db c8+i"),
	ALONE("fcmovnbe", "db d0+i"), ALONE("fcmovnu", "db d8+i"),
	ALONE("fnop", "d9 d0"), ALONE("fchs", "d9 e0"), ALONE("fabs", "d9 e1"),
	ALONE("ftst", "d9 e4"), ALONE("fxam", "d9 e5"),
	ALONE("fld1", "d9 e8"), ALONE("fldl2t", "d9 e9"), ALONE("fldl2e", "d9 ea"),
	ALONE("fldpi", "d9 eb"), ALONE("fldlg2", "d9 ec"), ALONE("fldln2", "d9 ed"),
	ALONE("fldz", "d9 ee"),
	ALONE("f2xm1", "d9 f0"), ALONE("fyl2x", "d9 f1"), ALONE("fptan", "d9 f2"),
	ALONE("fpatan", "d9 f3"), ALONE("fxtract", "d9 f4"), ALONE("fprem1", "d9 f5"),
	ALONE("fdecstp", "d9 f6"), ALONE("fincstp", "d9 f7"), ALONE("fprem", "d9 f8"),
	ALONE("fyl2xp1", "d9 f9"), ALONE("fsqrt", "d9 fa"), ALONE("fsincos", "d9 fb"),
	ALONE("frndint", "d9 fc"), ALONE("fscale", "d9 fd"), ALONE("fsin", "d9 fe"),
	ALONE("fcos", "d9 ff"),
	ALONE("fnclex", "db e2"), ALONE("fninit", "db e3"), ALONE("fwait", "9b"),
	MEMORY("fldcw", "d9 /5"), MEMORY("fnstcw", "d9 /7"),
	MEMORY("fnstsw m16", "dd /7"), ALONE("fnstsw ax", "df e0"),
	FULL("fldenv", "d9 /4", "m"), FULL("frstor", "dd /4", "m"),
	{},
};
