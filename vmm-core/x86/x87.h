/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The x87 floating-point unit. */
#ifndef X86_X87_H
#define X86_X87_H

#include "x86/insn.h"

#define X87_CONTROL_AT_INIT 0x037fu
#define X87_ALL_MASKED      0x003fu /* exception masks of the control word */
#define X87_TAGS_EMPTY      0xffffu

void x86_x87_init(struct x86_x87 *x87);
/* Full tags out of FXSAVE's abridged ones. */
void x86_x87_set_tags(struct x86_x87 *x87, uint8_t abridged);
/* Whether all exceptions are masked; with one unmasked the guest ends, named; then false. */
bool x86_x87_accept_control(struct x86_cpu *cpu, uint16_t control);

x86_exec *x86_select_x87(const ZydisDecodedInstruction *decoded,
			 const ZydisDecodedOperand *operands, struct x86_insn *insn);

#endif
