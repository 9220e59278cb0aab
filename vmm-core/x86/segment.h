/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors and what loading one into a segment register takes (SDM 3A 3.4, 3.5, 5). */
#ifndef X86_SEGMENT_H
#define X86_SEGMENT_H

#include "x86/control.h"
#include "x86/flags.h"
#include "x86/insn.h"
#include "x86/mem.h"

/* Descriptor bits 40..55, as kept in x86_segment.rights (SDM 3A 3.4.5). */
#define SEG_TYPE       0x000fu
#define SEG_ACCESSED   (1u << 0)
#define SEG_WRITABLE   (1u << 1) /* data */
#define SEG_READABLE   (1u << 1) /* code */
#define SEG_EXPAND     (1u << 2) /* data: expand-down */
#define SEG_CONFORMING (1u << 2) /* code */
#define SEG_CODE       (1u << 3)
#define SEG_S          (1u << 4) /* code or data, not a system descriptor */
#define SEG_DPL_SHIFT  5
#define SEG_DPL        (3u << SEG_DPL_SHIFT)
#define SEG_P          (1u << 7)
#define SEG_AVL        (1u << 12)
#define SEG_L          (1u << 13)
#define SEG_DB         (1u << 14)
#define SEG_G          (1u << 15)

/* Types of system descriptors (SDM 3A table 3-2). */
#define SYS_TSS_16_AVAILABLE  0x1
#define SYS_LDT               0x2
#define SYS_TSS_16_BUSY       0x3
#define SYS_CALL_GATE_16      0x4
#define SYS_TASK_GATE         0x5
#define SYS_INTERRUPT_GATE_16 0x6
#define SYS_TRAP_GATE_16      0x7
#define SYS_TSS_AVAILABLE     0x9
#define SYS_TSS_BUSY          0xb
#define SYS_CALL_GATE         0xc
#define SYS_INTERRUPT_GATE    0xe
#define SYS_TRAP_GATE         0xf
#define SYS_TYPE_BUSY         0x2 /* the bit in which available and busy differ */
#define SYS_TYPE_32           0x8 /* the one in which 32-bit (or 64-bit) and 16-bit ones do */

#define SELECTOR_RPL          3u
#define SELECTOR_TI           4u

/* The TSS: where it says at which offset the I/O permission bitmap begins (SDM 1 18.5.2). */
#define TSS_IO_MAP_BASE 0x66

/* Bits of an error code that names a selector (SDM 3A 6.13). */
#define ERROR_EXT 1u
#define ERROR_IDT 2u

struct x86_descriptor {
	uint64_t base;
	uint32_t limit;
	uint16_t rights;
	uint64_t linear; /* where it lies */
	uint64_t raw[2]; /* as it lies there: gates have other fields */
};

static inline uint16_t x86_gate_selector(const struct x86_descriptor *gate)
{
	return (uint16_t)(gate->raw[0] >> 16);
}

static inline unsigned segment_dpl(uint16_t rights)
{
	return (rights & SEG_DPL) >> SEG_DPL_SHIFT;
}

static inline bool selector_is_null(uint16_t selector)
{
	return (selector & ~SELECTOR_RPL) == 0;
}

static inline uint32_t selector_error(uint16_t selector)
{
	return selector & ~SELECTOR_RPL;
}

static inline bool x86_long_mode(const struct x86_cpu *cpu)
{
	return cpu->efer & EFER_LMA;
}

/* Virtual-8086 mode: CPL is 3, segments are those of the 8086 (SDM 3B 20.2). */
static inline bool x86_v8086(const struct x86_cpu *cpu)
{
	return cpu->rflags & RFLAGS_VM;
}

/* Neither real mode nor virtual-8086 mode: selectors name descriptors. */
static inline bool x86_protected(const struct x86_cpu *cpu)
{
	return (cpu->cr0 & CR0_PE) && !x86_v8086(cpu);
}

/* The linear address of @offset; 64-bit mode knows only the bases of FS and GS (SDM 3A 3.4.4). */
uint64_t x86_linear(const struct x86_cpu *cpu, unsigned segment, uint64_t offset);

/*
 * Reads the descriptor that @selector (not null) names. False: beyond its table (@vector with the
 * selector and @ext as code) or a page fault, raised. System descriptors of long mode have 16
 * bytes: their upper half is read as well when the first half is no code or data.
 */
bool x86_read_descriptor(struct x86_cpu *cpu, uint16_t selector, uint8_t vector, uint32_t ext,
			 struct x86_descriptor *ret_descriptor);
/* Sets the accessed bit in memory if it is clear. */
bool x86_mark_accessed(struct x86_cpu *cpu, struct x86_descriptor *descriptor);

void x86_set_segment(struct x86_segment *segment, uint16_t selector,
		     const struct x86_descriptor *descriptor);

/*
 * Loads a segment register as the 8086 did: the base is the selector times 16. Real mode leaves the
 * limit as it is, so that what protected mode loaded lasts ("big real mode"); virtual-8086 mode
 * sets it (SDM 3A 9.9.2, 3B 20.1.1, 20.2.1).
 */
void x86_set_segment_8086(struct x86_cpu *cpu, unsigned segment, uint16_t selector);

/* Loads DS, ES, FS or GS; @vector for what is wrong but presence, as for SS below. */
bool x86_load_data_segment(struct x86_cpu *cpu, unsigned segment, uint16_t selector, uint8_t vector,
			   uint32_t ext);

/* Checks SS for a stack of privilege @cpl; @vector for what is wrong but presence (#GP or #TS). */
bool x86_check_stack_segment(struct x86_cpu *cpu, uint16_t selector, unsigned cpl, uint8_t vector,
			     uint32_t ext, struct x86_descriptor *ret_descriptor);

static inline unsigned x86_iopl(const struct x86_cpu *cpu)
{
	return (unsigned)(cpu->rflags & RFLAGS_IOPL) / (RFLAGS_IOPL & -RFLAGS_IOPL);
}

/*
 * The offset's part of a far pointer in memory: AMD's processors have none of 64 bits and ignore
 * REX.W there, zero-extending 32 (APM 3 JMP Far, LSS).
 */
static inline unsigned x86_far_offset_size(const struct x86_cpu *cpu, unsigned operand_size)
{
	return x86_is_amd(cpu) && operand_size == 8 ? 4 : operand_size;
}

/* interrupt.c: the bits of RFLAGS that the present privilege may write (SDM 2 POPF, IRET). */
uint64_t x86_flags_writable(const struct x86_cpu *cpu);
void x86_write_flags(struct x86_cpu *cpu, uint64_t value, uint64_t mask);
/*
 * The low 16 bits for a virtual-8086 program without I/O privilege under CR4.VME: IF goes to VIF.
 * False: #GP, for TF, or for IF with an interrupt pending (VIP).
 */
bool x86_write_flags_virtual(struct x86_cpu *cpu, uint64_t value);

/*
 * exception.c: INT n, INT3, INTO (X86_EVENT_SOFTWARE) and INT1 (X86_EVENT_TRAP), whose faults are
 * faults of the instruction itself.
 */
enum x86_result x86_software_interrupt(struct x86_cpu *cpu, uint8_t vector,
				       enum x86_event_kind kind);

/* cpu.c: fills end.rip and end.bytes where it was no executing instruction that ended the guest. */
void x86_end_place(struct x86_cpu *cpu, uint64_t rip);

#endif
