/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The software CPU: registers, and what the rest of the VMM core asks of it. */
#ifndef X86_CPU_H
#define X86_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/boot.h"
#include "device/machine.h"
#include "paging/hw.h"
#include "umbra/end.h"
#include "umbra/guest.h"
#include "umbra/mode.h"

/* Numbers of general registers as encoded; two more slots let every address be computed alike. */
enum x86_register {
	X86_RAX,
	X86_RCX,
	X86_RDX,
	X86_RBX,
	X86_RSP,
	X86_RBP,
	X86_RSI,
	X86_RDI,
	X86_R8,
	X86_R9,
	X86_R10,
	X86_R11,
	X86_R12,
	X86_R13,
	X86_R14,
	X86_R15,
	X86_RIP,  /* address of the next instruction while one executes */
	X86_ZERO, /* always 0: "no base", "no index" */
	X86_NR_REGISTERS,
};

enum x86_segment_register { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_NR_SEGMENTS };

/* A segment register or LDTR, TR with its hidden part (SDM 3A 3.4.3). */
struct x86_segment {
	uint64_t base;
	uint32_t limit; /* in bytes, already scaled by G */
	uint16_t selector;
	uint16_t rights; /* descriptor bits 40..55: type, S, DPL, P, AVL, L, D/B, G as in the GDT */
};

struct x86_table_register {
	uint64_t base;
	uint16_t limit;
};

union x86_xmm {
	uint8_t u8[16];
	uint16_t u16[8];
	uint32_t u32[4];
	uint64_t u64[2];
	int8_t i8[16];
	int16_t i16[8];
	int32_t i32[4];
	int64_t i64[2];
	float f32[4];
	double f64[2];
} __attribute__((aligned(16)));

/* The ten bytes of an x87 register, whose significand is an MMX register too. */
struct x86_x87_register {
	uint64_t significand;
	uint16_t exponent; /* bit 15: the sign */
} __attribute__((aligned(16)));

struct x86_x87 {
	struct x86_x87_register r[8]; /* R0 ... R7: ST(i) is R(TOP + i) */
	uint16_t control;
	uint16_t status; /* without TOP */
	uint8_t top;
	uint8_t used;    /* bit i: Ri is not empty, as in FXSAVE's abridged tag word */
	uint16_t opcode; /* FOP, of the last instruction with an unmasked exception */
	uint16_t cs, ds; /* FCS, FDS */
	uint64_t ip, dp; /* FIP, FDP: offsets */
	bool ferr;       /* FERR# is asserted; not while ES is clear */
};

/* SDM 3A 6.3.1 */
enum x86_vector {
	X86_DE = 0,
	X86_DB = 1,
	X86_NMI = 2,
	X86_BP = 3,
	X86_OF = 4,
	X86_BR = 5,
	X86_UD = 6,
	X86_NM = 7,
	X86_DF = 8,
	X86_TS = 10,
	X86_NP = 11,
	X86_SS_FAULT = 12,
	X86_GP = 13,
	X86_PF = 14,
	X86_MF = 16,
	X86_AC = 17,
	X86_XM = 19,
};

/*
 * Execution mode, as far as decoding depends on it; indexes decoders and tags blocks. Real mode
 * with CS.D set, as protected mode may leave it, is X86_CODE_32.
 */
enum x86_code_mode {
	X86_CODE_32,
	X86_CODE_COMPAT_32,
	X86_CODE_64,
	X86_CODE_REAL,
	X86_CODE_V8086,
	X86_CODE_16,
	X86_CODE_COMPAT_16,
	X86_NR_CODE_MODES,
};

/* What the last instruction keeps from happening before the next one is done (SDM 3A 6.8.3). */
enum x86_shadow {
	X86_SHADOW_STI = 1, /* maskable interrupts and NMI */
	X86_SHADOW_SS = 2,  /* breakpoints and single steps too */
};

/* What is due at the boundary of instructions, most urgent first (SDM 3A table 6-2). */
enum x86_pending {
	X86_PENDING_FAULT = 1, /* fault_vector: a fault of the task that was switched to */
	X86_PENDING_TRAP = 2,  /* #DB with debug_status */
	X86_PENDING_NMI = 4,
};

enum x86_breakpoints {
	X86_BREAKPOINT_CODE = 1,
	X86_BREAKPOINT_DATA = 2,
	X86_BREAKPOINT_IO = 4,
};

#define X86_NR_FIXED_MTRRS    11
#define X86_NR_VARIABLE_MTRRS 8

#define X86_NR_HINTS          (1u << 13)

struct x86_model;  /* model.h */
struct x86_blocks; /* block_private.h: the cache of decoded code */

struct x86_cpu {
	uint64_t gpr[X86_NR_REGISTERS];
	/*
	 * Arithmetic flags are lazy (flags.h); rflags holds all others (IF, DF, TF, IOPL, AC, NT,
	 * ...), and the arithmetic ones too while cc_op says that they are materialised.
	 */
	uint64_t cc_result;
	uint64_t
		rflags; /* between them: neighbours would be stored as vectors, loaded as scalars */
	uint64_t cc_source;
	uint8_t cc_op;
	uint8_t cpl;
	uint8_t privilege;        /* enum hw_privilege of explicit data accesses: CPL and AC */
	uint8_t canonical_shift;  /* 64 less the width of linear addresses, by CR4.LA57 */
	uint8_t code_mode;        /* enum x86_code_mode */
	uint8_t interrupt_shadow; /* enum x86_shadow, of the last instruction */
	uint8_t pending;          /* enum x86_pending */
	uint8_t breakpoints;      /* enum x86_breakpoints: what DR7 enables */
	uint8_t watch;            /* enum x86_watch (debug.h) */
	bool single_step;         /* TF was set when the executing instruction began */
	bool nmi_blocked;         /* until the next IRET (SDM 3A 6.7.1) */
	bool new_task;            /* a task switch has got as far as the new task (task.h) */
	bool halted;
	bool wait_for_sipi;          /* halted since reset or INIT, and deaf to all but a SIPI */
	bool paused;                 /* it gives the rest of its turn away */
	struct x86_cpu *const *cpus; /* all of the guest, of which one at a time has its turn */
	unsigned nr_cpus;

	/* What stops the block: */
	bool ended;    /* the guest ended; see end */
	uint8_t index; /* the vCPU's number and APIC ID; 0: the boot processor */
	struct hw *hw;
	struct machine *machine;
	struct x86_blocks *blocks;
	const struct x86_model *model;

	uint64_t cc_dest;
	uint64_t block_rip; /* of the first instruction of the block that executes */
	uint8_t result;     /* enum x86_result of the thread that stopped */

	/* Clocks (docs/cpu.md): whole counts, exact whenever a block is not executing. */
	uint64_t instructions; /* retired; a REP counts once */
	uint64_t steps;        /* instructions and REP iterations: max(iterations, 1) for a REP */
	enum umbra_clock clock;
	uint64_t idle_time; /* time that HLT jumped over; part of time under either clock */

	struct x86_segment segment[X86_NR_SEGMENTS];
	struct x86_segment ldtr, tr;
	struct x86_table_register gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4, efer;
	uint64_t dr[8];
	uint32_t debug_status; /* bits for DR6 of X86_PENDING_TRAP */
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t pat, misc_enable, bios_sign_id, mcg_status, syscfg;
	uint64_t tsc_adjust, tsc_aux;
	uint64_t xcr0;
	uint32_t pkru;
	struct {
		uint64_t def_type, fixed[X86_NR_FIXED_MTRRS];
		uint64_t variable[2 * X86_NR_VARIABLE_MTRRS]; /* base, mask, base, ... */
	} mtrr;

	union x86_xmm xmm[16];
	uint32_t mxcsr;
	struct x86_x87 x87;

	/* The operand that crosses a page (mem.h): its bytes, and where they are. */
	struct x86_split {
		uint8_t bytes[64];
		uint8_t *host[2]; /* NULL: a device's, at gpa */
		uint64_t gpa[2];
		uint8_t first, size;
	} split;
	bool device_accessed; /* in its memory: the run loop must look at the machine */
	/* Instructions and REP iterations that are done but not yet in steps. */
	uint64_t unsettled;

	/* REP iterations that the string instruction may do before the run loop looks around; >= 1.
	 */
	uint64_t rep_room;

	/* Faults in a row between which nothing was done, not even an iteration of a REP. */
	uint64_t barren_steps;
	uint32_t barren_faults;

	/* The fault of the instruction that is executing, raised by x86_fault() and friends. */
	uint8_t fault_vector;
	bool fault_has_code;
	uint32_t fault_code;

	struct umbra_end end;

	/*
	 * The host's pages of guest pages, by the low bits of their number; may be stale or another
	 * page's. What misses the lookaside mostly misses the host's caches too: fetching the bytes
	 * while the MMU is being modelled hides much of that. Nothing else may rely on it.
	 */
	const uint8_t *hints[X86_NR_HINTS];
};

int x86_create(struct hw *hw, struct machine *machine, enum umbra_clock clock,
	       struct x86_cpu **ret_cpu);
void x86_destroy(struct x86_cpu *cpu);

/* Puts the CPU into the state in which a loader hands over. -ENOMEM from the MMU. */
int x86_start(struct x86_cpu *cpu, const struct boot_entry *entry);

/*
 * reset.c (SDM 3A 8.4, 9.1). Power-up and INIT; after either all vCPUs but the first wait for a
 * SIPI, which has no effect on others. -ENOMEM from the MMU.
 */
int x86_reset(struct x86_cpu *cpu);
int x86_init(struct x86_cpu *cpu);
void x86_sipi(struct x86_cpu *cpu, uint8_t vector);
/* An NMI: taken at the next boundary of instructions that does not block it (SDM 3A 6.7.1). */
void x86_nmi(struct x86_cpu *cpu);
/* The registers of x86_reset(); the MMU has to be told. */
void x86_reset_registers(struct x86_cpu *cpu);

/*
 * Runs until guest time reaches @until_time or @until_instruction instructions have retired (both
 * at the exact instruction or REP iteration under the instructions clock; under the cycles clock
 * time may be past
 * @until_time by what the last block cost), *stop becomes true, the CPU halts with nothing pending
 * (halted), gives its turn away (paused), or the guest ends. Delivers the machine's interrupts on
 * the way. May return sooner: a guest whose every instruction faults makes no progress in time nor
 * instructions.
 */
void x86_run(struct x86_cpu *cpu, uint64_t until_time, uint64_t until_instruction,
	     const volatile bool *stop);

/* Not halted, or something is there that ends the HLT. */
bool x86_can_run(const struct x86_cpu *cpu);
/* Whether another vCPU could use the rest of this one's turn. */
bool x86_others_can_run(const struct x86_cpu *cpu);

/* Guest time now, in the middle of a block too. */
uint64_t x86_time(const struct x86_cpu *cpu);

/* The CPU's mode in words. */
const char *x86_mode_name(const struct x86_cpu *cpu);

/* Ends the guest at the executing instruction; text by printf. */
void x86_end(struct x86_cpu *cpu, enum umbra_end_reason reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

void x86_registers(const struct x86_cpu *cpu, struct umbra_registers *ret_registers);

#endif
