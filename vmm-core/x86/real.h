/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control transfers of the 8086: real mode and virtual-8086 mode (SDM 3B 20). */
#ifndef X86_REAL_H
#define X86_REAL_H

#include "x86/insn.h"

/* Far JMP and CALL to @selector:@offset, far RET, IRET. */
enum x86_result x86_jmp_8086(struct x86_cpu *cpu, uint16_t selector, uint64_t offset);
enum x86_result x86_call_8086(struct x86_cpu *cpu, const struct x86_insn *insn, uint16_t selector,
			      uint64_t offset);
enum x86_result x86_ret_8086(struct x86_cpu *cpu, const struct x86_insn *insn);
enum x86_result x86_iret_8086(struct x86_cpu *cpu, const struct x86_insn *insn);

/* INT @vector in virtual-8086 mode (SDM 3B 20.3, table 20-2). */
enum x86_result x86_int_v8086(struct x86_cpu *cpu, uint8_t vector);

#endif
