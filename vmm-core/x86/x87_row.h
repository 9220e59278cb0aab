/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How x87 instructions are listed, and what those that execute them share. Internal to x87*.c. */
#ifndef X86_X87_ROW_H
#define X86_X87_ROW_H

#include "x86/flags.h"
#include "x86/mem.h"
#include "x86/x87.h"
#include "x86/x87_host.h"

enum x87_row_flags {
	X87_TO_I = 1, /* ST(i) is the destination and not ST(0) */
	X87_POP = 2,  /* ST(0) is popped */
	X87_POP_TWICE = 4,
	X87_INTEGER = 8, /* memory holds an integer of row->size bytes */
	X87_QUIET = 16,  /* FSTPNCE: an empty register is no fault */
};

/* insn->extra is the number of the row in x87.c; insn->imm are the 11 bits of FOP. */
struct x87_row {
	x86_exec *exec;
	x87_host *host;
	uint8_t size;  /* of the memory operand; 0: as the encoding says */
	uint8_t flags; /* enum x87_row_flags */
	uint16_t take; /* condition codes that the operation sets */
};

extern const struct x87_row x86_x87_rows[];

static inline const struct x87_row *x87_row(const struct x86_insn *insn)
{
	return &x86_x87_rows[insn->extra];
}

x86_exec x87_exec_arithmetic, x87_exec_arithmetic_memory, x87_exec_arithmetic_integer,
	x87_exec_compare, x87_exec_compare_flags, x87_exec_compare_memory, x87_exec_compare_integer,
	x87_exec_tst, x87_exec_xam, x87_exec_sign, x87_exec_unary, x87_exec_two, x87_exec_two_pop,
	x87_exec_push; /* x87_arithmetic.c */
x86_exec x87_exec_load, x87_exec_load_80, x87_exec_load_st, x87_exec_constant, x87_exec_store,
	x87_exec_store_80, x87_exec_store_st, x87_exec_exchange, x87_exec_free, x87_exec_move_if,
	x87_exec_rotate, x87_exec_nop; /* x87_move.c */
x86_exec x87_exec_ldcw, x87_exec_stcw, x87_exec_stsw, x87_exec_ldenv, x87_exec_stenv, x87_exec_save,
	x87_exec_rstor, x87_exec_misc; /* x87_control.c */

/* "Real indefinite", the answer to an invalid operation. */
#define X87_INDEFINITE ((struct x86_x87_register){.significand = 3ull << 62, .exponent = 0xffff})

static inline bool x87_is_used(const struct x86_x87 *x87, unsigned i)
{
	return x87->used >> x87_number(x87, i) & 1;
}

/* FIP, FDP and their selectors: the instruction has got its operands. */
static inline void x87_note(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct x86_x87 *x87 = &cpu->x87;

	x87->ip = cpu->gpr[X86_RIP] - insn->length;
	x87->cs = cpu->segment[X86_CS].selector;
	if (insn->memory) {
		x87->dp = x86_effective_address(cpu, insn);
		x87->ds = cpu->segment[insn->segment].selector;
	}
}

/*
 * Exceptions of an instruction, as status bits; its C1 and what else of the condition codes is in
 * @take. Returns those of @flags that are unmasked.
 */
uint16_t x87_report(struct x86_cpu *cpu, const struct x86_insn *insn, uint16_t status,
		    uint16_t take);

/* Those that leave everything as it was (SDM 1 8.7). */
#define X87_BEFORE (X87_IE | X87_DE | X87_ZE)

/* Stack faults (SDM 1 8.5.1.1). True: masked, indefinite is the result. */
static inline bool x87_underflow(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return !(x87_report(cpu, insn, X87_IE | X87_SF, x87_row(insn)->take & X87_C2) & X87_IE);
}

static inline bool x87_overflow(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return !(x87_report(cpu, insn, X87_IE | X87_SF | X87_C1, x87_row(insn)->take & X87_C2) &
		 X87_IE);
}

static inline void x87_set(struct x86_x87 *x87, unsigned i, struct x86_x87_register value)
{
	*x87_st(x87, i) = value;
	x87->used |= (uint8_t)(1u << x87_number(x87, i));
}

static inline void x87_pop(struct x86_x87 *x87)
{
	x87->used &= (uint8_t) ~(1u << x87->top);
	x87->top = (uint8_t)x87_number(x87, 1);
}

/* The caller has seen that there is room, or that overflow is masked. */
static inline void x87_push(struct x86_x87 *x87, struct x86_x87_register value)
{
	x87->top = (uint8_t)x87_number(x87, X87_NR_REGISTERS - 1);
	x87_set(x87, 0, value);
}

#endif
