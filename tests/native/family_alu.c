/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer arithmetic and logic, shifts, multiplication, bits (SDM 2A, 2B). */
#include "families.h"

#define AF         RFLAGS_AF
#define ALL        RFLAGS_ARITHMETIC
#define ALL_BUT_ZF (ALL & ~RFLAGS_ZF)
#define ALL_BUT_CF (ALL & ~RFLAGS_CF)
#define PRODUCT    (RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF)

/* clang-format off */

/* @o: the opcode of rm8, r8 without its low digit; @d: that digit, 0 or 8. */
#define ALU(name, o0, o1, o2, o3, o4, o5, group, lock, undefined)                                  \
	{name " rm8, r8", o0 " /r", "b rm " lock, undefined},                                      \
	{name " rm, r", o1 " /r", "wdq rm " lock, undefined},                                      \
	{name " r8, rm8", o2 " /r", "b rm", undefined},                                            \
	{name " r, rm", o3 " /r", "wdq rm", undefined},                                            \
	{name " al, imm8", o4 " ib", "b", undefined},                                              \
	{name " ax, imm", o5 " iz", "wdq", undefined},                                             \
	{name " rm8, imm8", "80 /" group " ib", "b rm " lock, undefined},                          \
	{name " rm, imm", "81 /" group " iz", "wdq rm " lock, undefined},                          \
	{name " rm, imm8", "83 /" group " ib", "wdq rm " lock, undefined},                         \
	{name " rm8, imm8 (82)", "82 /" group " ib", "b rm o32 " lock, undefined}
#define UNARY(name, o0, o1, group, undefined)                                                      \
	{name " rm8", o0 " /" group, "b rm lock", undefined},                                      \
	{name " rm", o1 " /" group, "wdq rm lock", undefined}

const struct native_row native_alu[] = {
	ALU("add", "00", "01", "02", "03", "04", "05", "0", "lock", 0),
	ALU("or", "08", "09", "0a", "0b", "0c", "0d", "1", "lock", AF),
	ALU("adc", "10", "11", "12", "13", "14", "15", "2", "lock", 0),
	ALU("sbb", "18", "19", "1a", "1b", "1c", "1d", "3", "lock", 0),
	ALU("and", "20", "21", "22", "23", "24", "25", "4", "lock", AF),
	ALU("sub", "28", "29", "2a", "2b", "2c", "2d", "5", "lock", 0),
	ALU("xor", "30", "31", "32", "33", "34", "35", "6", "lock", AF),
	ALU("cmp", "38", "39", "3a", "3b", "3c", "3d", "7", "", 0),
	{"test rm8, r8", "84 /r", "b rm", AF},
	{"test rm, r", "85 /r", "wdq rm", AF},
	{"test al, imm8", "a8 ib", "b", AF},
	{"test ax, imm", "a9 iz", "wdq", AF},
	{"test rm8, imm8", "f6 /0 ib", "b rm", AF},
	{"test rm, imm", "f7 /0 iz", "wdq rm", AF},
	{"test rm8, imm8 (/1)", "f6 /1 ib", "b rm", AF},
	{"test rm, imm (/1)", "f7 /1 iz", "wdq rm", AF},
	UNARY("inc", "fe", "ff", "0", 0),
	UNARY("dec", "fe", "ff", "1", 0),
	UNARY("not", "f6", "f7", "2", 0),
	UNARY("neg", "f6", "f7", "3", 0),
	{"inc r", "40+r", "wd o32", 0},
	{"dec r", "48+r", "wd o32", 0},
	{"daa", "27", "o32 decimal", RFLAGS_OF},
	{"das", "2f", "o32 decimal", RFLAGS_OF},
	{"aaa", "37", "o32 decimal", ALL & ~(RFLAGS_AF | RFLAGS_CF)},
	{"aas", "3f", "o32 decimal", ALL & ~(RFLAGS_AF | RFLAGS_CF)},
	{"aam", "d4 ib", "o32 decimal small", RFLAGS_OF | RFLAGS_AF | RFLAGS_CF},
	{"aad", "d5 ib", "o32 decimal small", RFLAGS_OF | RFLAGS_AF | RFLAGS_CF},
	{"aam 10", "d4 0a", "o32 decimal", RFLAGS_OF | RFLAGS_AF | RFLAGS_CF},
	{"aad 10", "d5 0a", "o32 decimal", RFLAGS_OF | RFLAGS_AF | RFLAGS_CF},
	{"adcx", "66 0f 38 f6 /r", "dq rm adx", 0},
	{"adox", "f3 0f 38 f6 /r", "dq rm adx", 0},
	{},
};

#define SHIFT(name, group, word)                                                                   \
	{name " rm8, 1", "d0 /" group, "b rm " word, 0},                                           \
	{name " rm, 1", "d1 /" group, "wdq rm " word, 0},                                          \
	{name " rm8, cl", "d2 /" group, "b rm " word, 0},                                          \
	{name " rm, cl", "d3 /" group, "wdq rm " word, 0},                                         \
	{name " rm8, imm8", "c0 /" group " ib", "b rm " word, 0},                                  \
	{name " rm, imm8", "c1 /" group " ib", "wdq rm " word, 0}

const struct native_row native_shift[] = {
	SHIFT("rol", "0", "rotate"),
	SHIFT("ror", "1", "rotate"),
	SHIFT("rcl", "2", "rotate"),
	SHIFT("rcr", "3", "rotate"),
	SHIFT("shl", "4", "shift"),
	SHIFT("shr", "5", "shift"),
	SHIFT("sal", "6", "shift"),
	SHIFT("sar", "7", "shift"),
	{"shld imm8", "0f a4 /r ib", "wdq rm double", 0},
	{"shld cl", "0f a5 /r", "wdq rm double", 0},
	{"shrd imm8", "0f ac /r ib", "wdq rm double", 0},
	{"shrd cl", "0f ad /r", "wdq rm double", 0},
	{"rorx", "vex:f2:0f3a f0 /r ib", "dq rm bmi2", 0},
	{"sarx", "vex:f3:0f38:v f7 /r", "dq rm bmi2", 0},
	{"shlx", "vex:66:0f38:v f7 /r", "dq rm bmi2", 0},
	{"shrx", "vex:f2:0f38:v f7 /r", "dq rm bmi2", 0},
	{},
};

const struct native_row native_multiply[] = {
	{"mul rm8", "f6 /4", "b rm", PRODUCT},
	{"mul rm", "f7 /4", "wdq rm", PRODUCT},
	{"imul rm8", "f6 /5", "b rm", PRODUCT},
	{"imul rm", "f7 /5", "wdq rm", PRODUCT},
	{"imul r, rm", "0f af /r", "wdq rm", PRODUCT},
	{"imul r, rm, imm8", "6b /r ib", "wdq rm", PRODUCT},
	{"imul r, rm, imm", "69 /r iz", "wdq rm", PRODUCT},
	{"div rm8", "f6 /6", "b rm divide", ALL},
	{"div rm", "f7 /6", "wdq rm divide", ALL},
	{"idiv rm8", "f6 /7", "b rm divide", ALL},
	{"idiv rm", "f7 /7", "wdq rm divide", ALL},
	{"mulx", "vex:f2:0f38:v f6 /r", "dq rm bmi2", 0},
	{},
};

#define BIT(name, opcode, group, lock)                                                             \
	{name " rm, r", "0f " opcode " /r", "wdq rm bit " lock, ALL_BUT_CF & ~RFLAGS_ZF},          \
	{name " rm, imm8", "0f ba /" group " ib", "wdq rm " lock, ALL_BUT_CF & ~RFLAGS_ZF}

const struct native_row native_bit[] = {
	BIT("bt", "a3", "4", ""),
	BIT("bts", "ab", "5", "lock"),
	BIT("btr", "b3", "6", "lock"),
	BIT("btc", "bb", "7", "lock"),
	{"bsf", "0f bc /r", "wdq rm", ALL_BUT_ZF},
	{"bsr", "0f bd /r", "wdq rm", ALL_BUT_ZF},
	{"tzcnt", "f3 0f bc /r", "wdq rm bmi1", RFLAGS_OF | RFLAGS_SF | RFLAGS_PF | AF},
	{"lzcnt", "f3 0f bd /r", "wdq rm lzcnt", RFLAGS_OF | RFLAGS_SF | RFLAGS_PF | AF},
	{"popcnt", "f3 0f b8 /r", "wdq rm popcnt", 0},
	{"andn", "vex:np:0f38:v f2 /r", "dq rm bmi1", RFLAGS_AF | RFLAGS_PF},
	{"bextr", "vex:np:0f38:v f7 /r", "dq rm bmi1", RFLAGS_AF | RFLAGS_SF | RFLAGS_PF},
	{"blsr", "vex:np:0f38:v f3 /1", "dq rm bmi1", RFLAGS_AF | RFLAGS_PF},
	{"blsmsk", "vex:np:0f38:v f3 /2", "dq rm bmi1", RFLAGS_AF | RFLAGS_PF},
	{"blsi", "vex:np:0f38:v f3 /3", "dq rm bmi1", RFLAGS_AF | RFLAGS_PF},
	{"bzhi", "vex:np:0f38:v f5 /r", "dq rm bmi2", RFLAGS_AF | RFLAGS_PF},
	{"pdep", "vex:f2:0f38:v f5 /r", "dq rm bmi2", 0},
	{"pext", "vex:f3:0f38:v f5 /r", "dq rm bmi2", 0},
	{"crc32 r, rm8", "f2 0f 38 f0 /r", "b rm sse4.2", 0},
	{"crc32 r64, rm8", "f2 0f 38 f0 /r", "q rm sse4.2", 0},
	{"crc32 r, rm", "f2 0f 38 f1 /r", "wdq rm sse4.2", 0},
	{},
};
/* clang-format on */
