/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The x87 floating-point unit (SDM 1 chapter 8): its registers as the rest of the CPU sees them.
 * struct x86_x87 is in cpu.h.
 */
#ifndef X86_X87_H
#define X86_X87_H

#include "x86/control.h"
#include "x86/insn.h"

#define X87_CONTROL_AT_INIT 0x037fu
#define X87_CONTROL_DEFINED 0x1f3fu /* SDM 1 8.1.5 */
#define X87_CONTROL_ONE     0x0040u /* reads as 1 */
#define X87_NR_REGISTERS    8
#define X87_OPCODE_BITS     0x7ffu

/* Status word (SDM 1 8.1.3). TOP is kept apart. */
#define X87_IE         0x0001u
#define X87_DE         0x0002u
#define X87_ZE         0x0004u
#define X87_OE         0x0008u
#define X87_UE         0x0010u
#define X87_PE         0x0020u
#define X87_FLAGS      0x003fu
#define X87_SF         0x0040u
#define X87_ES         0x0080u
#define X87_C0         0x0100u
#define X87_C1         0x0200u
#define X87_C2         0x0400u
#define X87_C3         0x4000u
#define X87_CONDITIONS (X87_C0 | X87_C1 | X87_C2 | X87_C3)
#define X87_BUSY       0x8000u
#define X87_TOP_SHIFT  11

#define X87_SAVE_SIZE  108u /* FNSAVE with 32-bit operands */

/* ST(i). */
static inline unsigned x87_number(const struct x86_x87 *x87, unsigned i)
{
	return (x87->top + i) % X87_NR_REGISTERS;
}

static inline struct x86_x87_register *x87_st(struct x86_x87 *x87, unsigned i)
{
	return &x87->r[x87_number(x87, i)];
}

void x86_x87_init(struct x86_x87 *x87);

/* The status word with TOP; the other way, ES and B follow from flags and masks. */
uint16_t x86_x87_status(const struct x86_x87 *x87);
void x86_x87_set_status(struct x86_x87 *x87, uint16_t status);
/* SF, ES and B too are as @control and the present flags say. */
void x86_x87_set_control(struct x86_x87 *x87, uint16_t control);
/* Full tags: SDM 1 8.1.7. */
uint16_t x86_x87_tags(const struct x86_x87 *x87);
void x86_x87_set_tags(struct x86_x87 *x87, uint16_t tags);

/*
 * Why an instruction that waits cannot execute: CR0.EM or TS (#NM), a pending unmasked exception
 * (#MF, or with CR0.NE clear a wait). The caller returns what this does, unless it is X86_DONE: the
 * machine has the exception ignored.
 */
enum x86_result x86_x87_unavailable(struct x86_cpu *cpu, const struct x86_insn *insn);

static inline bool x87_is_available(const struct x86_cpu *cpu)
{
	return __builtin_expect(!(cpu->cr0 & (CR0_EM | CR0_TS)) && !(cpu->x87.status & X87_ES), 1);
}

#define X87_CHECK(cpu, insn)                                                                       \
	do {                                                                                       \
		if (!x87_is_available(cpu)) {                                                      \
			enum x86_result why_ = x86_x87_unavailable(cpu, insn);                     \
                                                                                                   \
			if (why_ != X86_DONE)                                                      \
				return why_;                                                       \
		}                                                                                  \
	} while (0)

/* CR0.EM and TS alone: for what does not wait for exceptions. */
#define X87_CHECK_NO_WAIT(cpu)                                                                     \
	do {                                                                                       \
		if ((cpu)->cr0 & (CR0_EM | CR0_TS))                                                \
			return x86_raise(cpu, X86_NM);                                             \
	} while (0)

x86_exec *x86_select_x87(const ZydisDecodedInstruction *decoded,
			 const ZydisDecodedOperand *operands, struct x86_insn *insn);

#endif
