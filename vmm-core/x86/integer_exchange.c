/* SPDX-License-Identifier: GPL-2.0-or-later */
/* XCHG XADD CMPXCHG CMPXCHG8B CMPXCHG16B BSWAP. With one vCPU every instruction is atomic. */
#include "x86/integer.h"

ALWAYS_INLINE enum x86_result xchg(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned size)
{
	struct x86_rmw rmw;
	uint64_t old;

	if (!modify_begin(cpu, insn, size, &rmw, &old))
		return X86_FAULT;
	modify_end(cpu, insn, size, &rmw, reg_get(cpu, insn->reg, size));
	reg_set(cpu, insn->reg, size, old);
	return X86_DONE;
}

ALWAYS_INLINE enum x86_result xadd(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned size)
{
	uint64_t dest, source, result;
	struct x86_rmw rmw;

	if (!modify_begin(cpu, insn, size, &rmw, &dest))
		return X86_FAULT;
	dest = sign_extend(dest, size);
	source = sign_extend(reg_get(cpu, insn->reg, size), size);
	result = sign_extend(dest + source, size);
	set_cc(cpu, X86_CC_ADD, result, source, dest);
	/* In this order: with one register as both operands the sum stays. */
	reg_set(cpu, insn->reg, size, dest);
	modify_end(cpu, insn, size, &rmw, result);
	return X86_DONE;
}

/* The destination is written in either case (SDM 2A CMPXCHG). */
ALWAYS_INLINE enum x86_result cmpxchg(struct x86_cpu *cpu, const struct x86_insn *insn,
				      unsigned size)
{
	uint64_t old, dest, accumulator, source = reg_get(cpu, insn->reg, size);
	struct x86_rmw rmw;

	if (!modify_begin(cpu, insn, size, &rmw, &old))
		return X86_FAULT;
	dest = sign_extend(old, size);
	accumulator = sign_extend(reg_get(cpu, X86_RAX, size), size);
	set_cc(cpu, X86_CC_SUB, sign_extend(accumulator - dest, size), dest, accumulator);
	if (accumulator == dest) {
		modify_end(cpu, insn, size, &rmw, source);
	} else {
		if (insn->memory)
			modify_end(cpu, insn, size, &rmw, old);
		reg_set(cpu, X86_RAX, size, dest);
	}
	return X86_DONE;
}

DEFINE_SIZES(xchg, xchg, )
DEFINE_SIZES(xadd, xadd, )
DEFINE_SIZES(cmpxchg, cmpxchg, )

static x86_exec *const xchg_functions[NR_SIZES] = LIST_SIZES(xchg);
static x86_exec *const xadd_functions[NR_SIZES] = LIST_SIZES(xadd);
static x86_exec *const cmpxchg_functions[NR_SIZES] = LIST_SIZES(cmpxchg);

static enum x86_result exec_cmpxchg8b(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t old, expected;
	struct x86_rmw rmw;
	bool equal;

	if (!x86_rmw_begin(cpu, insn->segment, x86_effective_address(cpu, insn), 8, &rmw, &old))
		return X86_FAULT;
	expected = cpu->gpr[X86_RDX] << 32 | (uint32_t)cpu->gpr[X86_RAX];
	equal = old == expected;
	x86_change_flags(cpu, RFLAGS_ZF, equal ? RFLAGS_ZF : 0);
	if (equal) {
		x86_rmw_end(cpu, &rmw, cpu->gpr[X86_RCX] << 32 | (uint32_t)cpu->gpr[X86_RBX]);
	} else {
		x86_rmw_end(cpu, &rmw, old);
		cpu->gpr[X86_RAX] = (uint32_t)old;
		cpu->gpr[X86_RDX] = old >> 32;
	}
	return X86_DONE;
}

/* The operand has to be aligned, LOCK or not: #GP(0) (SDM 2A CMPXCHG16B). */
static enum x86_result exec_cmpxchg16b(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t offset = x86_effective_address(cpu, insn), old[2];
	uint64_t linear =
		insn->segment >= X86_FS ? offset + cpu->segment[insn->segment].base : offset;
	uint8_t *host;
	bool equal;

	if (linear & 15)
		return x86_raise_code(cpu, X86_GP, 0);
	if (!x86_fast(cpu, insn->segment, offset, 16, HW_WRITE, &host)) {
		host = x86_operand(cpu, insn->segment, offset, 16, HW_WRITE);
		if (!host)
			return X86_FAULT;
	}
	memcpy(old, host, sizeof(old));
	equal = old[0] == cpu->gpr[X86_RAX] && old[1] == cpu->gpr[X86_RDX];
	x86_change_flags(cpu, RFLAGS_ZF, equal ? RFLAGS_ZF : 0);
	if (equal) {
		memcpy(host, &cpu->gpr[X86_RBX], 8);
		memcpy(host + 8, &cpu->gpr[X86_RCX], 8);
	} else {
		cpu->gpr[X86_RAX] = old[0];
		cpu->gpr[X86_RDX] = old[1];
	}
	x86_modified(cpu, host);
	return X86_DONE;
}

static enum x86_result exec_bswap(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value = cpu->gpr[insn->rm];

	switch (insn->size) {
	case 4: cpu->gpr[insn->rm] = __builtin_bswap32((uint32_t)value); break;
	case 8: cpu->gpr[insn->rm] = __builtin_bswap64(value); break;
	default: reg_set(cpu, insn->rm, 2, 0); break; /* undefined; this is what processors do */
	}
	return X86_DONE;
}

x86_exec *x86_select_exchange(const ZydisDecodedInstruction *decoded,
			      const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	switch (decoded->mnemonic) {
	case ZYDIS_MNEMONIC_XCHG:
		x86_form(decoded, operands, insn);
		return xchg_functions[size_index(insn->size)];
	case ZYDIS_MNEMONIC_XADD:
		x86_form(decoded, operands, insn);
		return xadd_functions[size_index(insn->size)];
	case ZYDIS_MNEMONIC_CMPXCHG:
		x86_form(decoded, operands, insn);
		return cmpxchg_functions[size_index(insn->size)];
	case ZYDIS_MNEMONIC_CMPXCHG8B: return exec_cmpxchg8b;
	case ZYDIS_MNEMONIC_CMPXCHG16B: return exec_cmpxchg16b;
	case ZYDIS_MNEMONIC_BSWAP: return exec_bswap;
	default: return NULL;
	}
}
