/* SPDX-License-Identifier: GPL-2.0-or-later */
/* BT BTS BTR BTC BSF BSR. */
#include "x86/integer.h"

enum bit { BIT_BT, BIT_BTS, BIT_BTR, BIT_BTC };

ALWAYS_INLINE uint64_t changed(enum bit op, uint64_t value, uint64_t mask)
{
	switch (op) {
	case BIT_BTS: return value | mask;
	case BIT_BTR: return value & ~mask;
	case BIT_BTC: return value ^ mask;
	default: return value;
	}
}

/*
 * In memory a register's bit offset is signed and reaches beyond the operand (SDM 2A BT); an
 * immediate one does not.
 */
ALWAYS_INLINE enum x86_result bit(struct x86_cpu *cpu, const struct x86_insn *insn, enum bit op,
				  bool by_imm, unsigned size)
{
	uint64_t value, mask, address, bits = 8 * size;
	uint64_t number =
		by_imm ? (uint64_t)insn->imm : sign_extend(reg_get(cpu, insn->reg, size), size);
	struct x86_rmw rmw;

	mask = 1ull << (number % bits);
	if (!insn->memory) {
		value = reg_get(cpu, insn->rm, size);
		if (op != BIT_BT)
			reg_set(cpu, insn->rm, size, changed(op, value, mask));
	} else {
		address = x86_effective_address(cpu, insn);
		if (!by_imm) {
			address += (uint64_t)((int64_t)number >> __builtin_ctzll(bits)) * size;
			address = x86_address_part(insn, address);
		}
		if (op == BIT_BT) {
			if (!x86_load(cpu, insn->segment, address, size, &value))
				return X86_FAULT;
		} else {
			if (!x86_rmw_begin(cpu, insn->segment, address, size, &rmw, &value))
				return X86_FAULT;
			x86_rmw_end(cpu, &rmw, changed(op, value, mask));
		}
	}
	x86_change_flags(cpu, RFLAGS_CF, value & mask ? RFLAGS_CF : 0);
	return X86_DONE;
}

#define DEFINE_BIT(name, op)                                                                       \
	DEFINE_SIZES(name##_r, bit, op, false, )                                                   \
	DEFINE_SIZES(name##_i, bit, op, true, )

DEFINE_BIT(bt, BIT_BT)
DEFINE_BIT(bts, BIT_BTS)
DEFINE_BIT(btr, BIT_BTR)
DEFINE_BIT(btc, BIT_BTC)

static x86_exec *const bit_functions[4][2][NR_SIZES] = {
	[BIT_BT] = {LIST_SIZES(bt_r), LIST_SIZES(bt_i)},
	[BIT_BTS] = {LIST_SIZES(bts_r), LIST_SIZES(bts_i)},
	[BIT_BTR] = {LIST_SIZES(btr_r), LIST_SIZES(btr_i)},
	[BIT_BTC] = {LIST_SIZES(btc_r), LIST_SIZES(btc_i)},
};

/* A source of zero leaves the destination as it was, which processors do and the manual does not
 * promise. */
ALWAYS_INLINE enum x86_result scan(struct x86_cpu *cpu, const struct x86_insn *insn, bool reverse,
				   unsigned size)
{
	uint64_t value;

	if (!load_rm(cpu, insn, size, &value))
		return X86_FAULT;
	if (value)
		reg_set(cpu, insn->reg, size,
			reverse ? 63 - (unsigned)__builtin_clzll(value)
				: (unsigned)__builtin_ctzll(value));
	x86_change_flags(cpu, RFLAGS_ZF, value ? 0 : RFLAGS_ZF);
	return X86_DONE;
}

DEFINE_SIZES(bsf, scan, false, )
DEFINE_SIZES(bsr, scan, true, )

static x86_exec *const scan_functions[2][NR_SIZES] = {LIST_SIZES(bsf), LIST_SIZES(bsr)};

x86_exec *x86_select_bit(const ZydisDecodedInstruction *decoded,
			 const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	unsigned op, by_imm;

	switch (decoded->mnemonic) {
	case ZYDIS_MNEMONIC_BT: op = BIT_BT; break;
	case ZYDIS_MNEMONIC_BTS: op = BIT_BTS; break;
	case ZYDIS_MNEMONIC_BTR: op = BIT_BTR; break;
	case ZYDIS_MNEMONIC_BTC: op = BIT_BTC; break;
	case ZYDIS_MNEMONIC_BSF: return scan_functions[0][size_index(insn->size)];
	case ZYDIS_MNEMONIC_BSR: return scan_functions[1][size_index(insn->size)];
	default: return NULL;
	}
	by_imm = operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	return bit_functions[op][by_imm][size_index(insn->size)];
}
