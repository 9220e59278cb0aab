/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MMX, and what SSE, SSE2 and SSSE3 added to it (SDM 2). */
#include "families.h"

/* clang-format off */

#define MMX(name, opcode)   {name, "0f " opcode " /r", "mmx rm", 0}
#define SSSE3(name, opcode) {name, "0f 38 " opcode " /r", "mmx rm ssse3", 0}
#define SHIFT(name, opcode, digit) {name " imm", "0f " opcode " /" digit " ib", "mmx r small", 0}

const struct native_row native_mmx[] = {
	MMX("punpcklbw", "60"), MMX("punpcklwd", "61"), MMX("punpckldq", "62"),
	MMX("packsswb", "63"), MMX("pcmpgtb", "64"), MMX("pcmpgtw", "65"), MMX("pcmpgtd", "66"),
	MMX("packuswb", "67"), MMX("punpckhbw", "68"), MMX("punpckhwd", "69"),
	MMX("punpckhdq", "6a"), MMX("packssdw", "6b"), MMX("movq mm, rm", "6f"),
	MMX("movq rm, mm", "7f"), MMX("pcmpeqb", "74"), MMX("pcmpeqw", "75"),
	MMX("pcmpeqd", "76"), MMX("psrlw", "d1"), MMX("psrld", "d2"), MMX("psrlq", "d3"),
	MMX("paddq", "d4"), MMX("pmullw", "d5"), MMX("psubusb", "d8"), MMX("psubusw", "d9"),
	MMX("pminub", "da"), MMX("pand", "db"), MMX("paddusb", "dc"), MMX("paddusw", "dd"),
	MMX("pmaxub", "de"), MMX("pandn", "df"), MMX("pavgb", "e0"), MMX("psraw", "e1"),
	MMX("psrad", "e2"), MMX("pavgw", "e3"), MMX("pmulhuw", "e4"), MMX("pmulhw", "e5"),
	MMX("psubsb", "e8"), MMX("psubsw", "e9"), MMX("pminsw", "ea"), MMX("por", "eb"),
	MMX("paddsb", "ec"), MMX("paddsw", "ed"), MMX("pmaxsw", "ee"), MMX("pxor", "ef"),
	MMX("psllw", "f1"), MMX("pslld", "f2"), MMX("psllq", "f3"), MMX("pmuludq", "f4"),
	MMX("pmaddwd", "f5"), MMX("psadbw", "f6"), MMX("psubb", "f8"), MMX("psubw", "f9"),
	MMX("psubd", "fa"), MMX("psubq", "fb"), MMX("paddb", "fc"), MMX("paddw", "fd"),
	MMX("paddd", "fe"),
	SHIFT("psrlw", "71", "2"), SHIFT("psraw", "71", "4"), SHIFT("psllw", "71", "6"),
	SHIFT("psrld", "72", "2"), SHIFT("psrad", "72", "4"), SHIFT("pslld", "72", "6"),
	SHIFT("psrlq", "73", "2"), SHIFT("psllq", "73", "6"),
	{"movd mm, rm", "0f 6e /r", "dq mmx rm", 0},
	{"movd rm, mm", "0f 7e /r", "dq mmx rm", 0},
	{"movntq", "0f e7 /r", "mmx m", 0},
	{"maskmovq", "0f f7 /r", "mmx r rdi", 0},
	{"pshufw", "0f 70 /r ib", "mmx rm", 0},
	{"pinsrw", "0f c4 /r ib", "d mmx rm", 0},
	{"pextrw", "0f c5 /r ib", "d mmx r", 0},
	{"pmovmskb", "0f d7 /r", "d mmx r", 0},
	{"movq2dq", "f3 0f d6 /r", "mmx r", 0},
	{"movdq2q", "f2 0f d6 /r", "mmx r", 0},
	{"cvtpi2ps", "0f 2a /r", "mmx r", 0},
	{"cvtpi2pd", "66 0f 2a /r", "mmx rm", 0},
	{"cvttps2pi", "0f 2c /r", "mmx rm", 0},
	{"cvtps2pi", "0f 2d /r", "mmx rm", 0},
	{"cvttpd2pi", "66 0f 2c /r", "mmx rm align", 0},
	{"cvtpd2pi", "66 0f 2d /r", "mmx rm align", 0},
	{"emms", "0f 77", "mmx", 0},
	SSSE3("pshufb", "00"), SSSE3("phaddw", "01"), SSSE3("phaddd", "02"), SSSE3("phaddsw", "03"),
	SSSE3("pmaddubsw", "04"), SSSE3("phsubw", "05"), SSSE3("phsubd", "06"),
	SSSE3("phsubsw", "07"), SSSE3("psignb", "08"), SSSE3("psignw", "09"), SSSE3("psignd", "0a"),
	SSSE3("pmulhrsw", "0b"), SSSE3("pabsb", "1c"), SSSE3("pabsw", "1d"), SSSE3("pabsd", "1e"),
	{"palignr", "0f 3a 0f /r ib", "mmx rm ssse3", 0},
	{},
};
