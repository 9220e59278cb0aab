/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FXSAVE, FXRSTOR and the XSAVE feature set (SDM 1 10.5, 13). */
#include <string.h>

#include "x86/segment.h"
#include "x86/sse.h"
#include "x86/x87.h"
#include "x86/xcr.h"

/* The legacy region (SDM 1 table 10-2); bytes 416 to 511 are the program's. */
struct legacy {
	uint16_t control, status;
	uint8_t tags; /* a bit for each register that is not empty, R0 first */
	uint8_t reserved;
	uint16_t opcode;
	uint64_t ip, dp; /* or 32 bits of offset and a selector */
	uint32_t mxcsr, mxcsr_mask;
	uint8_t st[X87_NR_REGISTERS][16];
	union x86_xmm xmm[16];
};

#define X87_HEAD      offsetof(struct legacy, mxcsr)
#define MXCSR_FIELDS  (2 * sizeof(uint32_t))
#define HEADER_OFFSET 512u
#define PIECE         64u /* of one access to memory */

struct header {
	uint64_t xstate_bv, xcomp_bv;
	uint64_t reserved[6];
};
#define XCOMP_COMPACT (1ull << 63)

/* XMM8 and up exist in 64-bit mode only. */
static unsigned xmm_size(const struct x86_cpu *cpu)
{
	return cpu->code_mode == X86_CODE_64 ? sizeof(cpu->xmm) : sizeof(cpu->xmm) / 2;
}

/* With REX.W pointers are offsets of 64 bits, without it 32 bits and a selector. */
static uint64_t get_pointer(const struct x86_insn *insn, uint64_t offset, uint16_t selector)
{
	return insn->extra & SSE_REX_W ? offset : (uint32_t)offset | (uint64_t)selector << 32;
}

static void set_pointer(const struct x86_insn *insn, uint64_t value, uint64_t *ret_offset,
			uint16_t *ret_selector)
{
	bool wide = insn->extra & SSE_REX_W;

	*ret_offset = wide ? value : (uint32_t)value;
	*ret_selector = wide ? 0 : (uint16_t)(value >> 32);
}

static void get_legacy(struct x86_cpu *cpu, const struct x86_insn *insn, struct legacy *ret)
{
	struct x86_x87 *x87 = &cpu->x87;

	memset(ret, 0, sizeof(*ret));
	ret->control = x87->control;
	ret->status = x86_x87_status(x87);
	ret->tags = x87->used;
	ret->opcode = x87->opcode;
	ret->ip = get_pointer(insn, x87->ip, x87->cs);
	ret->dp = get_pointer(insn, x87->dp, x87->ds);
	ret->mxcsr = cpu->mxcsr;
	ret->mxcsr_mask = MXCSR_DEFINED;
	for (unsigned i = 0; i < X87_NR_REGISTERS; i++)
		memcpy(ret->st[i], x87_st(x87, i), 10);
	memcpy(ret->xmm, cpu->xmm, sizeof(ret->xmm));
}

static void set_x87(struct x86_cpu *cpu, const struct x86_insn *insn, const struct legacy *legacy)
{
	struct x86_x87 *x87 = &cpu->x87;

	x86_x87_set_status(x87, legacy->status);
	x86_x87_set_control(x87, legacy->control);
	x87->used = legacy->tags;
	x87->opcode = legacy->opcode & X87_OPCODE_BITS;
	set_pointer(insn, legacy->ip, &x87->ip, &x87->cs);
	set_pointer(insn, legacy->dp, &x87->dp, &x87->ds);
	for (unsigned i = 0; i < X87_NR_REGISTERS; i++)
		memcpy(x87_st(x87, i), legacy->st[i], 10);
}

/* XSAVE's initial configuration (SDM 1 13.6): the registers' contents too. */
static void reset_x87(struct x86_cpu *cpu)
{
	memset(&cpu->x87, 0, sizeof(cpu->x87));
	x86_x87_init(&cpu->x87);
}

static bool store(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t offset,
		  const void *bytes, unsigned size)
{
	for (unsigned i = 0; i < size; i += PIECE) {
		unsigned piece = size - i < PIECE ? size - i : PIECE;

		if (!x86_store_slow(cpu, insn->segment, offset + i, piece,
				    (const uint8_t *)bytes + i))
			return false;
	}
	return true;
}

static bool load(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t offset, void *ret,
		 unsigned size)
{
	for (unsigned i = 0; i < size; i += PIECE) {
		unsigned piece = size - i < PIECE ? size - i : PIECE;

		if (!x86_load_slow(cpu, insn->segment, offset + i, piece, (uint8_t *)ret + i))
			return false;
	}
	return true;
}

/* Parts of the legacy region. A fault leaves those before it written, which a restart repeats. */
static bool store_x87(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t offset,
		      const struct legacy *legacy)
{
	return store(cpu, insn, offset, legacy, X87_HEAD) &&
	       store(cpu, insn, offset + offsetof(struct legacy, st), legacy->st,
		     sizeof(legacy->st));
}

static bool store_mxcsr(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t offset,
			const struct legacy *legacy)
{
	return store(cpu, insn, offset + X87_HEAD, &legacy->mxcsr, MXCSR_FIELDS);
}

static bool store_xmm(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t offset,
		      const struct legacy *legacy)
{
	return store(cpu, insn, offset + offsetof(struct legacy, xmm), legacy->xmm, xmm_size(cpu));
}

static bool mxcsr_is_valid(struct x86_cpu *cpu, uint32_t mxcsr)
{
	if (!(mxcsr & ~MXCSR_DEFINED))
		return true;
	x86_raise_code(cpu, X86_GP, 0);
	return false;
}

static bool address_of(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned alignment,
		       uint64_t *ret_offset)
{
	*ret_offset = x86_effective_address(cpu, insn);
	if (x86_linear(cpu, insn->segment, *ret_offset) % alignment == 0)
		return true;
	x86_raise_code(cpu, X86_GP, 0);
	return false;
}

static enum x86_result exec_fxsave(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct legacy legacy;
	uint64_t offset;

	X87_CHECK_NO_WAIT(cpu);
	if (!address_of(cpu, insn, 16, &offset))
		return X86_FAULT;
	get_legacy(cpu, insn, &legacy);
	return store(cpu, insn, offset, &legacy, offsetof(struct legacy, xmm) + xmm_size(cpu))
		       ? X86_DONE
		       : X86_FAULT;
}

static enum x86_result exec_fxrstor(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	struct legacy legacy;
	uint64_t offset;

	X87_CHECK_NO_WAIT(cpu);
	if (!address_of(cpu, insn, 16, &offset) ||
	    !load(cpu, insn, offset, &legacy, offsetof(struct legacy, xmm) + xmm_size(cpu)) ||
	    !mxcsr_is_valid(cpu, legacy.mxcsr))
		return X86_FAULT;
	set_x87(cpu, insn, &legacy);
	cpu->mxcsr = legacy.mxcsr;
	memcpy(cpu->xmm, legacy.xmm, xmm_size(cpu));
	return X86_DONE;
}

static bool x87_is_initial(const struct x86_x87 *x87)
{
	for (unsigned i = 0; i < X87_NR_REGISTERS; i++)
		if (x87->r[i].significand || x87->r[i].exponent)
			return false;
	return x87->control == X87_CONTROL_AT_INIT && !x87->status && !x87->top && !x87->used &&
	       !x87->opcode && !x87->cs && !x87->ds && !x87->ip && !x87->dp;
}

uint64_t x86_xinuse(const struct x86_cpu *cpu)
{
	static const union x86_xmm zeros[16];
	uint64_t states = 0;

	if (!x87_is_initial(&cpu->x87))
		states |= XCR0_X87;
	if (memcmp(cpu->xmm, zeros, xmm_size(cpu)))
		states |= XCR0_SSE;
	if (cpu->pkru)
		states |= XCR0_PKRU;
	return states;
}

/* The states that are asked for, RFBM; false: raised. */
static bool begin(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t *ret_offset,
		  uint64_t *ret_asked)
{
	if (!(cpu->cr4 & CR4_OSXSAVE)) {
		x86_raise(cpu, X86_UD);
		return false;
	}
	if (cpu->cr0 & CR0_TS) {
		x86_raise(cpu, X86_NM);
		return false;
	}
	*ret_asked = cpu->xcr0 & (cpu->gpr[X86_RDX] << 32 | (uint32_t)cpu->gpr[X86_RAX]);
	return address_of(cpu, insn, PIECE, ret_offset);
}

/* Writes those of the states @written; MXCSR on its own where @mxcsr. */
static bool store_states(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t offset,
			 uint64_t written, bool mxcsr)
{
	const uint64_t pkru = cpu->pkru;
	struct legacy legacy;

	get_legacy(cpu, insn, &legacy);
	return (!(written & XCR0_X87) || store_x87(cpu, insn, offset, &legacy)) &&
	       (!mxcsr || store_mxcsr(cpu, insn, offset, &legacy)) &&
	       (!(written & XCR0_SSE) || store_xmm(cpu, insn, offset, &legacy)) &&
	       (!(written & XCR0_PKRU) ||
		store(cpu, insn, offset + XSAVE_PKRU_OFFSET, &pkru, sizeof(pkru)));
}

/* XSAVE writes whatever is asked for, XSAVEOPT what is in use (SDM 1 13.7, 13.9). */
static enum x86_result save(struct x86_cpu *cpu, const struct x86_insn *insn, bool optimized)
{
	uint64_t offset, asked, in_use = x86_xinuse(cpu), xstate_bv;

	if (!begin(cpu, insn, &offset, &asked) ||
	    !load(cpu, insn, offset + HEADER_OFFSET, &xstate_bv, sizeof(xstate_bv)) ||
	    !store_states(cpu, insn, offset, optimized ? asked & in_use : asked, asked & XCR0_SSE))
		return X86_FAULT;
	xstate_bv = (xstate_bv & ~asked) | (asked & in_use);
	return store(cpu, insn, offset + HEADER_OFFSET, &xstate_bv, sizeof(xstate_bv)) ? X86_DONE
										       : X86_FAULT;
}

static enum x86_result exec_xsave(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return save(cpu, insn, false);
}

static enum x86_result exec_xsaveopt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return save(cpu, insn, true);
}

/* SDM 1 13.10: what is in use, and SSE with an MXCSR that is not the initial one. */
static enum x86_result exec_xsavec(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t offset, asked, written = x86_xinuse(cpu), header[2];

	if (cpu->mxcsr != X86_MXCSR_AT_RESET)
		written |= XCR0_SSE;
	if (!begin(cpu, insn, &offset, &asked))
		return X86_FAULT;
	written &= asked;
	if (!store_states(cpu, insn, offset, written, written & XCR0_SSE))
		return X86_FAULT;
	header[0] = written;
	header[1] = asked | XCOMP_COMPACT;
	return store(cpu, insn, offset + HEADER_OFFSET, header, sizeof(header)) ? X86_DONE
										: X86_FAULT;
}

/* SDM 1 13.8.1, 13.8.2 */
static bool header_is_valid(const struct x86_cpu *cpu, const struct header *header)
{
	bool compact = header->xcomp_bv & XCOMP_COMPACT;
	uint64_t nothing = compact ? header->reserved[0] : header->xcomp_bv | header->reserved[0];

	for (unsigned i = 1; compact && i < 6; i++)
		nothing |= header->reserved[i];
	if (nothing || header->xstate_bv & ~cpu->xcr0)
		return false;
	return !compact || (!(header->xcomp_bv & ~XCOMP_COMPACT & ~cpu->xcr0) &&
			    !(header->xstate_bv & ~header->xcomp_bv));
}

static enum x86_result exec_xrstor(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t offset, asked, wanted, pkru = 0;
	struct legacy legacy = {};
	struct header header;
	bool compact, mxcsr;

	if (!begin(cpu, insn, &offset, &asked) ||
	    !load(cpu, insn, offset + HEADER_OFFSET, &header, sizeof(header)))
		return X86_FAULT;
	if (!header_is_valid(cpu, &header))
		return x86_raise_code(cpu, X86_GP, 0);
	compact = header.xcomp_bv & XCOMP_COMPACT;
	wanted = asked & header.xstate_bv;
	/* In the standard format MXCSR is loaded even where SSE becomes initial. */
	mxcsr = asked & XCR0_SSE && (!compact || wanted & XCR0_SSE);
	if ((wanted || mxcsr) &&
	    !load(cpu, insn, offset, &legacy, offsetof(struct legacy, xmm) + xmm_size(cpu)))
		return X86_FAULT;
	if (wanted & XCR0_PKRU && !load(cpu, insn, offset + XSAVE_PKRU_OFFSET, &pkru, sizeof(pkru)))
		return X86_FAULT;
	if (mxcsr && !mxcsr_is_valid(cpu, legacy.mxcsr))
		return X86_FAULT;

	if (wanted & XCR0_X87)
		set_x87(cpu, insn, &legacy);
	else if (asked & XCR0_X87)
		reset_x87(cpu);
	if (asked & XCR0_SSE) {
		cpu->mxcsr = mxcsr ? legacy.mxcsr : X86_MXCSR_AT_RESET;
		if (wanted & XCR0_SSE)
			memcpy(cpu->xmm, legacy.xmm, xmm_size(cpu));
		else
			memset(cpu->xmm, 0, xmm_size(cpu));
	}
	if (asked & XCR0_PKRU)
		x86_set_pkru(cpu, (uint32_t)pkru);
	return X86_DONE;
}

#define ROW(mnemonic, exec)                                                                        \
	{                                                                                          \
		ZYDIS_MNEMONIC_##mnemonic, SSE_ANY, 0, 0, exec                                     \
	}

const struct sse_row x86_xsave_rows[] = {
	ROW(FXSAVE, exec_fxsave),
	ROW(FXSAVE64, exec_fxsave),
	ROW(FXRSTOR, exec_fxrstor),
	ROW(FXRSTOR64, exec_fxrstor),
	ROW(XSAVE, exec_xsave),
	ROW(XSAVE64, exec_xsave),
	ROW(XSAVEOPT, exec_xsaveopt),
	ROW(XSAVEOPT64, exec_xsaveopt),
	ROW(XSAVEC, exec_xsavec),
	ROW(XSAVEC64, exec_xsavec),
	ROW(XRSTOR, exec_xrstor),
	ROW(XRSTOR64, exec_xrstor),
	{.exec = NULL},
};
