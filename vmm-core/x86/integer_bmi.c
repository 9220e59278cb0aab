/* SPDX-License-Identifier: GPL-2.0-or-later */
/* BMI1 BMI2 LZCNT POPCNT ADX MOVBE CRC32. Flags that the manual leaves undefined are clear. */
#include "x86/control.h"
#include "x86/integer.h"

/* The polynomial 11EDC6F41H without its top bit, its bits reflected (SDM 2A CRC32). */
#define CRC32_REFLECTED 0x82f63b78u

enum bmi {
	BMI_ANDN,
	BMI_BEXTR,
	BMI_BLSI,
	BMI_BLSMSK,
	BMI_BLSR,
	BMI_BZHI,
	BMI_PDEP,
	BMI_PEXT,
	BMI_SARX,
	BMI_SHLX,
	BMI_SHRX,
	BMI_RORX,
	BMI_MULX,
	NR_BMI,
};

/* Real and virtual-8086 mode know no VEX prefix (SDM 2A 2.3.2). */
static bool vex_is_undefined(const struct x86_cpu *cpu)
{
	return !(cpu->cr0 & CR0_PE) || (cpu->rflags & RFLAGS_VM);
}

/* The low @count bits of @value. */
ALWAYS_INLINE uint64_t low_bits(uint64_t value, unsigned count)
{
	return count < 64 ? value & ((1ull << count) - 1) : value;
}

static uint64_t deposit(uint64_t value, uint64_t mask)
{
	uint64_t result = 0;

	for (; mask; mask &= mask - 1, value >>= 1)
		if (value & 1)
			result |= mask & -mask;
	return result;
}

static uint64_t extract(uint64_t value, uint64_t mask)
{
	uint64_t result = 0;

	for (uint64_t bit = 1; mask; mask &= mask - 1, bit <<= 1)
		if (value & mask & -mask)
			result |= bit;
	return result;
}

ALWAYS_INLINE void set_bmi_flags(struct x86_cpu *cpu, unsigned size, uint64_t result, bool carry)
{
	set_cc_explicit(cpu, sign_extend(result, size), carry ? RFLAGS_CF : 0);
}

/*
 * @source: the rm operand; @other: the one in VEX.vvvv. Of SARX and its like @other is the count,
 * of PDEP and PEXT it is what @source, the mask, is applied to.
 */
ALWAYS_INLINE uint64_t bmi(struct x86_cpu *cpu, enum bmi op, unsigned size, uint64_t source,
			   uint64_t other)
{
	unsigned bits = 8 * size, count = other & (bits - 1), start = (uint8_t)other;
	uint64_t result;

	switch (op) {
	case BMI_ANDN:
		result = zero_extend(~other & source, size);
		set_bmi_flags(cpu, size, result, false);
		return result;
	case BMI_BEXTR:
		result = start < bits ? low_bits(source >> start, (uint8_t)(other >> 8)) : 0;
		set_bmi_flags(cpu, size, result, false);
		return result;
	case BMI_BLSI:
		result = zero_extend(source & -source, size);
		set_bmi_flags(cpu, size, result, source != 0);
		return result;
	case BMI_BLSMSK:
		result = zero_extend(source ^ (source - 1), size);
		set_bmi_flags(cpu, size, result, source == 0);
		return result;
	case BMI_BLSR:
		result = source & (source - 1);
		set_bmi_flags(cpu, size, result, source == 0);
		return result;
	case BMI_BZHI:
		result = low_bits(source, start);
		set_bmi_flags(cpu, size, result, start >= bits);
		return result;
	case BMI_PDEP: return deposit(other, source);
	case BMI_PEXT: return extract(other, source);
	case BMI_SARX: return (uint64_t)((int64_t)sign_extend(source, size) >> count);
	case BMI_SHLX: return source << count;
	case BMI_SHRX: return source >> count;
	default: /* RORX */ return count ? source >> count | source << (bits - count) : source;
	}
}

/* extra: the register in VEX.vvvv. */
ALWAYS_INLINE enum x86_result bmi_any(struct x86_cpu *cpu, const struct x86_insn *insn, enum bmi op,
				      unsigned size)
{
	uint64_t source, other, result;
	unsigned __int128 product;

	if (vex_is_undefined(cpu))
		return x86_raise(cpu, X86_UD);
	if (!load_rm(cpu, insn, size, &source))
		return X86_FAULT;
	if (op == BMI_MULX) {
		product = (unsigned __int128)source * reg_get(cpu, X86_RDX, size);
		/* In this order: where both are one register it gets the high half. */
		reg_set(cpu, insn->extra, size, (uint64_t)product);
		reg_set(cpu, insn->reg, size, (uint64_t)(product >> (8 * size)));
		return X86_DONE;
	}
	other = op == BMI_RORX ? (uint64_t)insn->imm : reg_get(cpu, insn->extra, size);
	result = bmi(cpu, op, size, source, other);
	/* BLSI and its like have their destination in VEX.vvvv. */
	reg_set(cpu, op >= BMI_BLSI && op <= BMI_BLSR ? insn->extra : insn->reg, size, result);
	return X86_DONE;
}

#define FOR_BMI(M)                                                                                 \
	M(ANDN)                                                                                    \
	M(BEXTR)                                                                                   \
	M(BLSI) M(BLSMSK) M(BLSR) M(BZHI) M(PDEP) M(PEXT) M(SARX) M(SHLX) M(SHRX) M(RORX) M(MULX)
#define DEFINE_BMI(op)                                                                             \
	DEFINE_SIZE(op, 4, bmi_any, BMI_##op, )                                                    \
	DEFINE_SIZE(op, 8, bmi_any, BMI_##op, )
#define LIST_BMI(op) [BMI_##op] = {op##_4, op##_8},

FOR_BMI(DEFINE_BMI)
static x86_exec *const bmi_functions[NR_BMI][2] = {FOR_BMI(LIST_BMI)};

/* TZCNT and LZCNT: a source of zero has as many zeros as it has bits. */
ALWAYS_INLINE enum x86_result count_zeros(struct x86_cpu *cpu, const struct x86_insn *insn,
					  bool leading, unsigned size)
{
	uint64_t source, count = 8 * size;

	if (!load_rm(cpu, insn, size, &source))
		return X86_FAULT;
	if (source && leading)
		count = (unsigned)__builtin_clzll(source) - (64 - 8 * size);
	else if (source)
		count = (unsigned)__builtin_ctzll(source);
	reg_set(cpu, insn->reg, size, count);
	set_cc_explicit(cpu, count, source ? 0 : RFLAGS_CF);
	return X86_DONE;
}

static enum x86_result exec_tzcnt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return count_zeros(cpu, insn, false, insn->size);
}

static enum x86_result exec_lzcnt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return count_zeros(cpu, insn, true, insn->size);
}

static enum x86_result exec_popcnt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t source;

	if (!load_rm(cpu, insn, insn->size, &source))
		return X86_FAULT;
	reg_set(cpu, insn->reg, insn->size, (unsigned)__builtin_popcountll(source));
	x86_change_flags(cpu, RFLAGS_ARITHMETIC, source ? 0 : RFLAGS_ZF);
	return X86_DONE;
}

/* ADCX and ADOX: a carry chain in CF, one in OF, all other flags stay. */
static enum x86_result add_with(struct x86_cpu *cpu, const struct x86_insn *insn, uint32_t flag)
{
	bool carry = flag == RFLAGS_CF ? x86_carry(cpu) : x86_overflow(cpu);
	unsigned __int128 sum;
	uint64_t source;

	if (!load_rm(cpu, insn, insn->size, &source))
		return X86_FAULT;
	sum = (unsigned __int128)source + reg_get(cpu, insn->reg, insn->size) + carry;
	reg_set(cpu, insn->reg, insn->size, (uint64_t)sum);
	x86_change_flags(cpu, flag, sum >> (8 * insn->size) ? flag : 0);
	return X86_DONE;
}

static enum x86_result exec_adcx(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return add_with(cpu, insn, RFLAGS_CF);
}

static enum x86_result exec_adox(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return add_with(cpu, insn, RFLAGS_OF);
}

static uint64_t swapped(uint64_t value, unsigned size)
{
	return __builtin_bswap64(value) >> (64 - 8 * size);
}

static enum x86_result exec_movbe_load(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value;

	if (!load_operand(cpu, insn, insn->size, &value))
		return X86_FAULT;
	reg_set(cpu, insn->reg, insn->size, swapped(value, insn->size));
	return X86_DONE;
}

static enum x86_result exec_movbe_store(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value = swapped(cpu->gpr[insn->reg], insn->size);

	return store_operand(cpu, insn, insn->size, value) ? X86_DONE : X86_FAULT;
}

/* extra: the size of the source; the result has 32 bits in a register of any size. */
static enum x86_result exec_crc32(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint32_t crc = (uint32_t)cpu->gpr[insn->reg];
	uint64_t source;

	if (!load_rm(cpu, insn, insn->extra, &source))
		return X86_FAULT;
	for (unsigned byte = 0; byte < insn->extra; byte++, source >>= 8) {
		crc ^= (uint8_t)source;
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? CRC32_REFLECTED : 0);
	}
	cpu->gpr[insn->reg] = crc;
	return X86_DONE;
}

/* Sorts the three register operands that a VEX prefix can name. */
static void take_vex_operands(const ZydisDecodedInstruction *decoded,
			      const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	for (unsigned i = 0; i < decoded->operand_count_visible; i++) {
		uint8_t number;

		if (operands[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		number = x86_register_number(operands[i].reg.value);
		switch (operands[i].encoding) {
		case ZYDIS_OPERAND_ENCODING_MODRM_REG: insn->reg = number; break;
		case ZYDIS_OPERAND_ENCODING_MODRM_RM: insn->rm = number; break;
		default: insn->extra = number; break;
		}
	}
}

static x86_exec *select_vex(const ZydisDecodedInstruction *decoded,
			    const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	enum bmi op;

	switch (decoded->mnemonic) {
	case ZYDIS_MNEMONIC_ANDN: op = BMI_ANDN; break;
	case ZYDIS_MNEMONIC_BEXTR: op = BMI_BEXTR; break;
	case ZYDIS_MNEMONIC_BLSI: op = BMI_BLSI; break;
	case ZYDIS_MNEMONIC_BLSMSK: op = BMI_BLSMSK; break;
	case ZYDIS_MNEMONIC_BLSR: op = BMI_BLSR; break;
	case ZYDIS_MNEMONIC_BZHI: op = BMI_BZHI; break;
	case ZYDIS_MNEMONIC_PDEP: op = BMI_PDEP; break;
	case ZYDIS_MNEMONIC_PEXT: op = BMI_PEXT; break;
	case ZYDIS_MNEMONIC_SARX: op = BMI_SARX; break;
	case ZYDIS_MNEMONIC_SHLX: op = BMI_SHLX; break;
	case ZYDIS_MNEMONIC_SHRX: op = BMI_SHRX; break;
	case ZYDIS_MNEMONIC_RORX: op = BMI_RORX; break;
	case ZYDIS_MNEMONIC_MULX: op = BMI_MULX; break;
	default: return NULL;
	}
	take_vex_operands(decoded, operands, insn);
	return bmi_functions[op][insn->size == 8];
}

x86_exec *x86_select_bmi(const ZydisDecodedInstruction *decoded,
			 const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	if (decoded->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
		return select_vex(decoded, operands, insn);
	switch (decoded->mnemonic) {
	case ZYDIS_MNEMONIC_TZCNT: return exec_tzcnt;
	case ZYDIS_MNEMONIC_LZCNT: return exec_lzcnt;
	case ZYDIS_MNEMONIC_POPCNT: return exec_popcnt;
	case ZYDIS_MNEMONIC_ADCX: return exec_adcx;
	case ZYDIS_MNEMONIC_ADOX: return exec_adox;
	case ZYDIS_MNEMONIC_MOVBE:
		return operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY ? exec_movbe_store
								     : exec_movbe_load;
	case ZYDIS_MNEMONIC_CRC32: insn->extra = (uint8_t)(operands[1].size / 8); return exec_crc32;
	default: return NULL;
	}
}
