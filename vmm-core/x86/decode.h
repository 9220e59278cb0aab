/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes to struct x86_insn, by way of Zydis. */
#ifndef X86_DECODE_H
#define X86_DECODE_H

#include "x86/insn.h"

/* SDM 2A 2.3.11 */
#define X86_MAX_LENGTH 15

struct x86_decoders {
	ZydisDecoder decoder[X86_NR_CODE_MODES];
};

enum x86_place {
	X86_PLACE_ANY,   /* anywhere in a block */
	X86_PLACE_LAST,  /* ends its block: a control transfer or a repeated string instruction */
	X86_PLACE_ALONE, /* a block of its own: all counts are exact while it executes */
	X86_PLACE_CUT,   /* more bytes are needed than there are: nothing was decoded */
};

void x86_decoders_init(struct x86_decoders *decoders);

/*
 * Decodes the instruction at @bytes, of which @len can be read. What is no instruction, or none
 * that this build has, gets a function that raises or ends accordingly.
 */
enum x86_place x86_decode(const struct x86_decoders *decoders, enum x86_code_mode mode,
			  const uint8_t *bytes, size_t len, struct x86_insn *ret_insn);

/* Ends the guest and names the instruction. */
x86_exec x86_exec_unimplemented;

/* isa.c: whether any model offers the instructions of @set. */
bool x86_isa_offered(ZydisISASet set);

/* The number of a register operand in the numbering of struct x86_insn. */
uint8_t x86_register_number(ZydisRegister reg);
/* The same for a segment register; DS where there is none. */
uint8_t x86_segment_number(ZydisRegister reg);

#endif
