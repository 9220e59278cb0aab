/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87 (SDM 1 chapter 8). Approximations of transcendental functions are those of the host. */
#include "families.h"

/* clang-format off */

#define ARITHMETIC_M(name, o, what, group)                                                         \
	{name " " what, o " /" group, "m fx", 0}
#define ARITHMETIC(name, reg, regi, group)                                              \
	ARITHMETIC_M("f" name, "d8", "m32", group),                                                \
	ARITHMETIC_M("f" name, "dc", "m64", group),                                                \
	ARITHMETIC_M("fi" name, "da", "m32int", group),                                            \
	ARITHMETIC_M("fi" name, "de", "m16int", group),                                            \
	{"f" name " st, st(i)", "d8 " reg "+i", "fx", 0},                                          \
	{"f" name " st(i), st", "dc " regi "+i", "fx", 0},                                         \
	{"f" name "p", "de " regi "+i", "fx", 0}
#define COMPARE_M(name, o, what, group)                                                            \
	{name " " what, o " /" group, "m fx unmasked", 0}
#define COMPARE(name, group, reg)                                                                  \
	COMPARE_M(name, "d8", "m32", group),                                                    \
	COMPARE_M(name, "dc", "m64", group),                                                    \
	COMPARE_M(name, "da", "m32int", group),                                             \
	COMPARE_M(name, "de", "m16int", group),                                             \
	{name " st(i)", "d8 " reg "+i", "fx unmasked", 0}
#define ALONE(name, opcode) {name, opcode, "fx", 0}, {name " (empty)", opcode, "fx empty", 0}
#define INEXACT(name, opcode)                                                                      \
	{name, opcode, "fx unmasked", 0}, {name " (empty)", opcode, "fx empty unmasked", 0}
#define LOAD(name, encoding) {name, encoding, "m fx empty unmasked", 0}
#define STORE(name, encoding) {name, encoding, "m fx store", 0}

const struct native_row native_x87[] = {
	ARITHMETIC("add", "c0", "c0", "0"),
	ARITHMETIC("mul", "c8", "c8", "1"),
	ARITHMETIC("sub", "e0", "e8", "4"),
	ARITHMETIC("subr", "e8", "e0", "5"),
	ARITHMETIC("div", "f0", "f8", "6"),
	ARITHMETIC("divr", "f8", "f0", "7"),
	COMPARE("fcom", "2", "d0"),
	COMPARE("fcomp", "3", "d8"),
	LOAD("fld m32", "d9 /0"),
	LOAD("fld m64", "dd /0"),
	LOAD("fld m80", "db /5"),
	LOAD("fild m16", "df /0"),
	LOAD("fild m32", "db /0"),
	LOAD("fild m64", "df /5"),
	LOAD("fbld", "df /4"),
	STORE("fst m32", "d9 /2"),
	STORE("fst m64", "dd /2"),
	STORE("fstp m32", "d9 /3"),
	STORE("fstp m64", "dd /3"),
	{"fstp m80", "db /7", "m fx store parts", 0},
	STORE("fist m16", "df /2"),
	STORE("fist m32", "db /2"),
	STORE("fistp m16", "df /3"),
	STORE("fistp m32", "db /3"),
	STORE("fistp m64", "df /7"),
	{"fbstp", "df /6", "m fx store parts", 0},
	{"fisttp m16", "df /1", "m fx sse3 store", 0},
	{"fisttp m32", "db /1", "m fx sse3 store", 0},
	{"fisttp m64", "dd /1", "m fx sse3 store", 0},
	STORE("fldcw", "d9 /5"),
	STORE("fnstcw", "d9 /7"),
	STORE("fnstsw m16", "dd /7"),
	ALONE("fnstsw ax", "df e0"),
	{"fld st(i)", "d9 c0+i", "fx empty", 0},
	{"fst st(i)", "dd d0+i", "fx", 0},
	{"fstp st(i)", "dd d8+i", "fx", 0},
	{"fxch", "d9 c8+i", "fx", 0},
	{"fxch (empty)", "d9 c8+i", "fx empty", 0},
	{"ffree", "dd c0+i", "fx", 0},
	{"fucom", "dd e0+i", "fx unmasked", 0},
	{"fucomp", "dd e8+i", "fx unmasked", 0},
	{"fucompp", "da e9", "fx unmasked", 0},
	{"fcompp", "de d9", "fx unmasked", 0},
	{"fucomi", "db e8+i", "fx c1 unmasked", 0},
	{"fucomip", "df e8+i", "fx c1 unmasked", 0},
	{"fcomi", "db f0+i", "fx c1 unmasked", 0},
	{"fcomip", "df f0+i", "fx c1 unmasked", 0},
	{"fcmovb", "da c0+i", "fx", 0},
	{"fcmove", "da c8+i", "fx", 0},
	{"fcmovbe", "da d0+i", "fx", 0},
	{"fcmovu", "da d8+i", "fx", 0},
	{"fcmovnb", "db c0+i", "fx", 0},
	{"fcmovne", "db c8+i", "fx", 0},
	{"fcmovnbe", "db d0+i", "fx", 0},
	{"fcmovnu", "db d8+i", "fx", 0},
	ALONE("fnop", "d9 d0"),
	ALONE("fchs", "d9 e0"),
	ALONE("fabs", "d9 e1"),
	INEXACT("ftst", "d9 e4"),
	ALONE("fxam", "d9 e5"),
	ALONE("fld1", "d9 e8"),
	ALONE("fldl2t", "d9 e9"),
	ALONE("fldl2e", "d9 ea"),
	ALONE("fldpi", "d9 eb"),
	ALONE("fldlg2", "d9 ec"),
	ALONE("fldln2", "d9 ed"),
	ALONE("fldz", "d9 ee"),
	ALONE("f2xm1", "d9 f0"),
	ALONE("fyl2x", "d9 f1"),
	INEXACT("fptan", "d9 f2"),
	ALONE("fpatan", "d9 f3"),
	ALONE("fxtract", "d9 f4"),
	INEXACT("fprem1", "d9 f5"),
	ALONE("fdecstp", "d9 f6"),
	ALONE("fincstp", "d9 f7"),
	INEXACT("fprem", "d9 f8"),
	ALONE("fyl2xp1", "d9 f9"),
	ALONE("fsqrt", "d9 fa"),
	INEXACT("fsincos", "d9 fb"),
	ALONE("frndint", "d9 fc"),
	ALONE("fscale", "d9 fd"),
	INEXACT("fsin", "d9 fe"),
	INEXACT("fcos", "d9 ff"),
	ALONE("fnclex", "db e2"),
	ALONE("fninit", "db e3"),
	ALONE("fwait", "9b"),
	{"fldenv", "d9 /4", "m fx huge", 0},
	{"fnstenv", "d9 /6", "m fx huge", 0},
	{"frstor", "dd /4", "m fx huge", 0},
	{"fnsave", "dd /6", "m fx huge", 0},
	{},
};
/* clang-format on */
