/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSE to SSE4.2 on XMM registers (SDM 2). */
#include "families.h"

/* clang-format off */

#define VECTOR(name, encoding)  {name, encoding " /r", "fx rm align", 0}
#define PARTIAL(name, encoding) {name, encoding " /r", "fx rm", 0}
#define WITH_IMM(name, encoding) {name, encoding " /r ib", "fx rm align", 0}
#define PACKED(name, opcode)                                                                       \
	VECTOR(name "ps", "0f " opcode), VECTOR(name "pd", "66 0f " opcode)
#define FLOAT(name, opcode)                                                                        \
	PACKED(name, opcode), PARTIAL(name "ss", "f3 0f " opcode), PARTIAL(name "sd", "f2 0f " opcode)
#define INTEGER(name, opcode) VECTOR(name, "66 0f " opcode)
#define SHIFT(name, opcode, digit) {name " imm", "66 0f " opcode " /" digit " ib", "fx r small", 0}
#define SSE3(name, encoding)   {name, encoding " /r", "fx rm align sse3", 0}
#define SSSE3(name, opcode)    {name, "66 0f 38 " opcode " /r", "fx rm align ssse3", 0}
#define SSE41(name, opcode)    {name, "66 0f 38 " opcode " /r", "fx rm align sse4.1", 0}
#define EXTEND(name, opcode)   {name, "66 0f 38 " opcode " /r", "fx rm sse4.1", 0}
#define SSE41_IMM(name, opcode) {name, "66 0f 3a " opcode " /r ib", "fx rm align sse4.1", 0}
#define STRING(name, opcode)   {name, "66 0f 3a " opcode " /r ib", "dq fx rm sse4.2", 0}

const struct native_row native_sse[] = {
	FLOAT("add", "58"), FLOAT("mul", "59"), FLOAT("sub", "5c"), FLOAT("min", "5d"),
	FLOAT("div", "5e"), FLOAT("max", "5f"), FLOAT("sqrt", "51"),
	PACKED("and", "54"), PACKED("andn", "55"), PACKED("or", "56"), PACKED("xor", "57"),
	PACKED("unpckl", "14"), PACKED("unpckh", "15"),
	VECTOR("rsqrtps", "0f 52"), PARTIAL("rsqrtss", "f3 0f 52"),
	VECTOR("rcpps", "0f 53"), PARTIAL("rcpss", "f3 0f 53"),
	{"cmpps", "0f c2 /r ib", "fx rm align small", 0},
	{"cmppd", "66 0f c2 /r ib", "fx rm align small", 0},
	{"cmpss", "f3 0f c2 /r ib", "fx rm small", 0},
	{"cmpsd", "f2 0f c2 /r ib", "fx rm small", 0},
	PARTIAL("ucomiss", "0f 2e"), PARTIAL("ucomisd", "66 0f 2e"),
	PARTIAL("comiss", "0f 2f"), PARTIAL("comisd", "66 0f 2f"),
	WITH_IMM("shufps", "0f c6"), WITH_IMM("shufpd", "66 0f c6"),
	PARTIAL("movups load", "0f 10"), PARTIAL("movupd load", "66 0f 10"),
	PARTIAL("movss load", "f3 0f 10"), PARTIAL("movsd load", "f2 0f 10"),
	PARTIAL("movups store", "0f 11"), PARTIAL("movupd store", "66 0f 11"),
	PARTIAL("movss store", "f3 0f 11"), PARTIAL("movsd store", "f2 0f 11"),
	PARTIAL("movlps load, movhlps", "0f 12"), PARTIAL("movhps load, movlhps", "0f 16"),
	{"movlpd load", "66 0f 12 /r", "fx m", 0}, {"movhpd load", "66 0f 16 /r", "fx m", 0},
	{"movlps store", "0f 13 /r", "fx m", 0}, {"movlpd store", "66 0f 13 /r", "fx m", 0},
	{"movhps store", "0f 17 /r", "fx m", 0}, {"movhpd store", "66 0f 17 /r", "fx m", 0},
	VECTOR("movaps load", "0f 28"), VECTOR("movapd load", "66 0f 28"),
	VECTOR("movaps store", "0f 29"), VECTOR("movapd store", "66 0f 29"),
	VECTOR("movdqa load", "66 0f 6f"), VECTOR("movdqa store", "66 0f 7f"),
	PARTIAL("movdqu load", "f3 0f 6f"), PARTIAL("movdqu store", "f3 0f 7f"),
	PARTIAL("movq load", "f3 0f 7e"), PARTIAL("movq store", "66 0f d6"),
	{"movd xmm, rm", "66 0f 6e /r", "dq fx rm", 0},
	{"movd rm, xmm", "66 0f 7e /r", "dq fx rm", 0},
	{"movntps", "0f 2b /r", "fx m align", 0}, {"movntpd", "66 0f 2b /r", "fx m align", 0},
	{"movntdq", "66 0f e7 /r", "fx m align", 0},
	{"movmskps", "0f 50 /r", "d fx r", 0}, {"movmskpd", "66 0f 50 /r", "d fx r", 0},
	{"pmovmskb", "66 0f d7 /r", "d fx r", 0},
	{"maskmovdqu", "66 0f f7 /r", "fx r rdi", 0},
	VECTOR("cvtdq2ps", "0f 5b"), VECTOR("cvtps2dq", "66 0f 5b"), VECTOR("cvttps2dq", "f3 0f 5b"),
	PARTIAL("cvtps2pd", "0f 5a"), VECTOR("cvtpd2ps", "66 0f 5a"),
	PARTIAL("cvtss2sd", "f3 0f 5a"), PARTIAL("cvtsd2ss", "f2 0f 5a"),
	VECTOR("cvttpd2dq", "66 0f e6"), PARTIAL("cvtdq2pd", "f3 0f e6"), VECTOR("cvtpd2dq", "f2 0f e6"),
	{"cvtsi2ss", "f3 0f 2a /r", "dq fx rm", 0}, {"cvtsi2sd", "f2 0f 2a /r", "dq fx rm", 0},
	{"cvttss2si", "f3 0f 2c /r", "dq fx rm", 0}, {"cvttsd2si", "f2 0f 2c /r", "dq fx rm", 0},
	{"cvtss2si", "f3 0f 2d /r", "dq fx rm", 0}, {"cvtsd2si", "f2 0f 2d /r", "dq fx rm", 0},
	{"stmxcsr", "0f ae /3", "fx m", 0}, /* LDMXCSR: which bits are reserved differs by make */

	INTEGER("punpcklbw", "60"), INTEGER("punpcklwd", "61"), INTEGER("punpckldq", "62"),
	INTEGER("packsswb", "63"), INTEGER("pcmpgtb", "64"), INTEGER("pcmpgtw", "65"),
	INTEGER("pcmpgtd", "66"), INTEGER("packuswb", "67"), INTEGER("punpckhbw", "68"),
	INTEGER("punpckhwd", "69"), INTEGER("punpckhdq", "6a"), INTEGER("packssdw", "6b"),
	INTEGER("punpcklqdq", "6c"), INTEGER("punpckhqdq", "6d"), INTEGER("pcmpeqb", "74"),
	INTEGER("pcmpeqw", "75"), INTEGER("pcmpeqd", "76"), INTEGER("psrlw", "d1"),
	INTEGER("psrld", "d2"), INTEGER("psrlq", "d3"), INTEGER("paddq", "d4"),
	INTEGER("pmullw", "d5"), INTEGER("psubusb", "d8"), INTEGER("psubusw", "d9"),
	INTEGER("pminub", "da"), INTEGER("pand", "db"), INTEGER("paddusb", "dc"),
	INTEGER("paddusw", "dd"), INTEGER("pmaxub", "de"), INTEGER("pandn", "df"),
	INTEGER("pavgb", "e0"), INTEGER("psraw", "e1"), INTEGER("psrad", "e2"),
	INTEGER("pavgw", "e3"), INTEGER("pmulhuw", "e4"), INTEGER("pmulhw", "e5"),
	INTEGER("psubsb", "e8"), INTEGER("psubsw", "e9"), INTEGER("pminsw", "ea"),
	INTEGER("por", "eb"), INTEGER("paddsb", "ec"), INTEGER("paddsw", "ed"),
	INTEGER("pmaxsw", "ee"), INTEGER("pxor", "ef"), INTEGER("psllw", "f1"),
	INTEGER("pslld", "f2"), INTEGER("psllq", "f3"), INTEGER("pmuludq", "f4"),
	INTEGER("pmaddwd", "f5"), INTEGER("psadbw", "f6"), INTEGER("psubb", "f8"),
	INTEGER("psubw", "f9"), INTEGER("psubd", "fa"), INTEGER("psubq", "fb"),
	INTEGER("paddb", "fc"), INTEGER("paddw", "fd"), INTEGER("paddd", "fe"),
	SHIFT("psrlw", "71", "2"), SHIFT("psraw", "71", "4"), SHIFT("psllw", "71", "6"),
	SHIFT("psrld", "72", "2"), SHIFT("psrad", "72", "4"), SHIFT("pslld", "72", "6"),
	SHIFT("psrlq", "73", "2"), SHIFT("psrldq", "73", "3"), SHIFT("psllq", "73", "6"),
	SHIFT("pslldq", "73", "7"),
	WITH_IMM("pshufd", "66 0f 70"), WITH_IMM("pshufhw", "f3 0f 70"), WITH_IMM("pshuflw", "f2 0f 70"),
	{"pinsrw", "66 0f c4 /r ib", "d fx rm", 0},
	{"pextrw", "66 0f c5 /r ib", "d fx r", 0},

	SSE3("addsubpd", "66 0f d0"), SSE3("addsubps", "f2 0f d0"),
	SSE3("haddpd", "66 0f 7c"), SSE3("haddps", "f2 0f 7c"),
	SSE3("hsubpd", "66 0f 7d"), SSE3("hsubps", "f2 0f 7d"),
	SSE3("movsldup", "f3 0f 12"), SSE3("movshdup", "f3 0f 16"),
	{"movddup", "f2 0f 12 /r", "fx rm sse3", 0}, {"lddqu", "f2 0f f0 /r", "fx m sse3", 0},

	SSSE3("pshufb", "00"), SSSE3("phaddw", "01"), SSSE3("phaddd", "02"), SSSE3("phaddsw", "03"),
	SSSE3("pmaddubsw", "04"), SSSE3("phsubw", "05"), SSSE3("phsubd", "06"),
	SSSE3("phsubsw", "07"), SSSE3("psignb", "08"), SSSE3("psignw", "09"), SSSE3("psignd", "0a"),
	SSSE3("pmulhrsw", "0b"), SSSE3("pabsb", "1c"), SSSE3("pabsw", "1d"), SSSE3("pabsd", "1e"),
	{"palignr", "66 0f 3a 0f /r ib", "fx rm align ssse3", 0},

	SSE41("pblendvb", "10"), SSE41("blendvps", "14"), SSE41("blendvpd", "15"), SSE41("ptest", "17"),
	EXTEND("pmovsxbw", "20"), EXTEND("pmovsxbd", "21"), EXTEND("pmovsxbq", "22"),
	EXTEND("pmovsxwd", "23"), EXTEND("pmovsxwq", "24"), EXTEND("pmovsxdq", "25"),
	EXTEND("pmovzxbw", "30"), EXTEND("pmovzxbd", "31"), EXTEND("pmovzxbq", "32"),
	EXTEND("pmovzxwd", "33"), EXTEND("pmovzxwq", "34"), EXTEND("pmovzxdq", "35"),
	SSE41("pmuldq", "28"), SSE41("pcmpeqq", "29"), SSE41("packusdw", "2b"),
	{"movntdqa", "66 0f 38 2a /r", "fx m align sse4.1", 0},
	SSE41("pminsb", "38"), SSE41("pminsd", "39"), SSE41("pminuw", "3a"), SSE41("pminud", "3b"),
	SSE41("pmaxsb", "3c"), SSE41("pmaxsd", "3d"), SSE41("pmaxuw", "3e"), SSE41("pmaxud", "3f"),
	SSE41("pmulld", "40"), SSE41("phminposuw", "41"),
	SSE41_IMM("roundps", "08"), SSE41_IMM("roundpd", "09"),
	{"roundss", "66 0f 3a 0a /r ib", "fx rm sse4.1", 0},
	{"roundsd", "66 0f 3a 0b /r ib", "fx rm sse4.1", 0},
	SSE41_IMM("blendps", "0c"), SSE41_IMM("blendpd", "0d"), SSE41_IMM("pblendw", "0e"),
	SSE41_IMM("dpps", "40"), SSE41_IMM("dppd", "41"), SSE41_IMM("mpsadbw", "42"),
	{"pextrb", "66 0f 3a 14 /r ib", "d fx rm sse4.1", 0},
	{"pextrw sse4", "66 0f 3a 15 /r ib", "d fx rm sse4.1", 0},
	{"pextrd", "66 0f 3a 16 /r ib", "dq fx rm sse4.1", 0},
	{"extractps", "66 0f 3a 17 /r ib", "d fx rm sse4.1", 0},
	{"pinsrb", "66 0f 3a 20 /r ib", "d fx rm sse4.1", 0},
	{"insertps", "66 0f 3a 21 /r ib", "fx rm sse4.1", 0},
	{"pinsrd", "66 0f 3a 22 /r ib", "dq fx rm sse4.1", 0},

	{"pcmpgtq", "66 0f 38 37 /r", "fx rm align sse4.2", 0},
	STRING("pcmpestrm", "60"), STRING("pcmpestri", "61"),
	STRING("pcmpistrm", "62"), STRING("pcmpistri", "63"),
	{},
};
