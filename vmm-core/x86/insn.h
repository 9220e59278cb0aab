/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One decoded instruction and the contract of the functions that execute them. decode.c asks
 * Zydis, fills the operands and lets each family of instructions choose its function.
 */
#ifndef X86_INSN_H
#define X86_INSN_H

#include <Zydis/Zydis.h>

#include "x86/cpu.h"

enum x86_result {
	X86_DONE,  /* retired; the next instruction of the block follows */
	X86_LEAVE, /* retired; rip, mode, mapping or interrupts may have changed: leave the block */
	X86_AGAIN, /* a REP iteration is done and another one is due: rip is back at this
		      instruction */
	X86_FAULT, /* not retired: x86_raise...() was called, or the guest ended */
	X86_ATTEND, /* of a thread only: retired, but the MMU asks for attention before the next */
};

struct x86_insn;
/* Executes one instruction; gpr[X86_RIP] is the address of the next one. */
typedef enum x86_result x86_exec(struct x86_cpu *cpu, const struct x86_insn *insn);
/*
 * Executes @insn and then, by a tail call, those that follow it in its block. Returns the one that
 * stopped, with cpu->result its result; X86_DONE only at the end of the block. Hot instructions are
 * threads of their own; x86_step() makes one of every other. gpr[X86_RIP] need not be up to date:
 * see x86_set_rip().
 */
typedef const struct x86_insn *x86_thread(struct x86_cpu *cpu, const struct x86_insn *insn);

struct x86_insn {
	x86_thread *thread;
	union {
		x86_exec *exec;     /* what x86_step() executes ... */
		x86_thread *behind; /* ... and x86_step_rip() goes on with */
	};
	int64_t disp;      /* of the memory operand, sign-extended */
	int64_t imm;       /* sign-extended to 64 bits; relative branches: the distance */
	uint16_t mnemonic; /* ZydisMnemonic */
	uint16_t end;      /* in a block: offset of the next instruction from the first one */
	uint8_t length;
	uint8_t size;         /* operand size in bytes: 1, 2, 4, 8 (16 for SSE) */
	uint8_t address_size; /* 2, 4 or 8 bytes */
	uint8_t reg; /* register operand: an x86_register, xmm, control register or segment number;
			AH, CH, DH, BH are 0x10 | 0..3 where size is 1 */
	uint8_t rm;  /* the other register operand, in the same numbering */
	uint8_t base, index,
		scale;   /* memory operand: x86_register numbers; scale is a shift count */
	uint8_t segment; /* x86_segment_register of the memory operand */
	uint8_t rep;     /* 0, 0xf2 or 0xf3 as prefix on a string instruction */
	bool lock;
	bool memory;   /* the rm operand is in memory */
	bool flat;     /* 64-bit mode, and that operand needs no segment base and no cut */
	uint8_t extra; /* for the executing function's own use: condition code, second size ... */
};

/* The address of the next instruction, where a thread needs it. */
static inline void x86_set_rip(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	cpu->gpr[X86_RIP] = cpu->block_rip + insn->end;
}

/* How a thread ends: it retired and nobody else can have been disturbed ... */
static inline __attribute__((always_inline)) const struct x86_insn *x86_next(
	struct x86_cpu *cpu, const struct x86_insn *insn)
{
	insn++;
	return insn->thread(cpu, insn);
}

/* ... or it stops here ... */
static inline const struct x86_insn *x86_stop(struct x86_cpu *cpu, const struct x86_insn *insn,
					      enum x86_result result)
{
	cpu->result = result;
	return insn;
}

/* ... or it depends. */
static inline __attribute__((always_inline)) const struct x86_insn *x86_go_on(
	struct x86_cpu *cpu, const struct x86_insn *insn, enum x86_result result)
{
	if (__builtin_expect(result == X86_DONE && hw_public(cpu->hw)->attention, 0))
		result = X86_ATTEND;
	if (__builtin_expect(result != X86_DONE, 0))
		return x86_stop(cpu, insn, result);
	return x86_next(cpu, insn);
}

/* run.c: threads that execute insn->exec, that set rip and go on with insn->behind, and the one
 * behind the last instruction of a block. */
x86_thread x86_step, x86_step_last, x86_step_rip, x86_block_end;
/* How the last instruction of a block ends when it retired: the next block may follow. */
x86_thread x86_follow;

static inline const struct x86_insn *x86_finish(struct x86_cpu *cpu, const struct x86_insn *insn,
						enum x86_result result)
{
	return result == X86_DONE ? x86_follow(cpu, insn) : x86_stop(cpu, insn, result);
}
/* Executes one instruction alone, thread or not. */
x86_exec x86_execute_one;

/* A select function's answer where the instruction is a thread of its own: x86_execute_one. */
x86_exec *x86_threaded(struct x86_insn *insn, x86_thread *thread);

/*
 * Each family looks at a decoded instruction and, when it is its own, fills whatever of *insn
 * decode.c has not filled yet and returns the function; NULL: not mine.
 */
x86_exec *x86_select_integer(const ZydisDecodedInstruction *decoded,
			     const ZydisDecodedOperand *operands, struct x86_insn *insn);
x86_exec *x86_select_string(const ZydisDecodedInstruction *decoded,
			    const ZydisDecodedOperand *operands, struct x86_insn *insn);
x86_exec *x86_select_system(const ZydisDecodedInstruction *decoded,
			    const ZydisDecodedOperand *operands, struct x86_insn *insn);
x86_exec *x86_select_sse(const ZydisDecodedInstruction *decoded,
			 const ZydisDecodedOperand *operands, struct x86_insn *insn);

/* Make the executing instruction fault; the caller returns what these return. */
enum x86_result x86_raise(struct x86_cpu *cpu, uint8_t vector);
enum x86_result x86_raise_code(struct x86_cpu *cpu, uint8_t vector, uint32_t code);

/* @offset cut to the address size. */
static inline uint64_t x86_address_part(const struct x86_insn *insn, uint64_t offset)
{
	if (__builtin_expect(insn->address_size == 8, 1))
		return offset;
	return insn->address_size == 4 ? (uint32_t)offset : (uint16_t)offset;
}

/* The offset (effective address) of the memory operand, cut to the address size. */
static inline uint64_t x86_effective_address(const struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t offset = cpu->gpr[insn->base] + (cpu->gpr[insn->index] << insn->scale) +
			  (uint64_t)insn->disp;

	return x86_address_part(insn, offset);
}

/*
 * exception.c: delivers an exception or interrupt through the IDT (SDM 3A 6.12-6.14), with #DF and
 * triple fault. rip is that of the instruction to return to.
 */
enum x86_event_kind {
	X86_EVENT_EXCEPTION, /* a fault, or #DF */
	X86_EVENT_TRAP,      /* #DB that is a trap or a breakpoint on an instruction, INT1 */
	X86_EVENT_EXTERNAL,  /* interrupts, NMI */
	X86_EVENT_SOFTWARE,  /* INT n, INT3, INTO */
};
void x86_deliver(struct x86_cpu *cpu, uint8_t vector, enum x86_event_kind kind, bool has_code,
		 uint32_t code);

/* segment.c: loads a segment register with all checks of MOV Sreg and POP Sreg (not CS). */
enum x86_result x86_load_segment(struct x86_cpu *cpu, enum x86_segment_register segment,
				 uint16_t selector);
/* Recomputes code_mode from CS, EFER.LMA; call after CS, EFER, CR0 change. */
void x86_update_code_mode(struct x86_cpu *cpu);
/* control.c: MOV to CR3, and a task switch's. False: a fault, or the end. */
bool x86_load_cr3(struct x86_cpu *cpu, uint64_t value);
/* system.c: gives the MMU the control registers after one that matters to paging changed. */
enum x86_result x86_update_paging(struct x86_cpu *cpu);

#endif
