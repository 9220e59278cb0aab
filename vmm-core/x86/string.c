/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MOVS STOS LODS CMPS SCAS, alone and repeated.
 *
 * Each iteration is a step of its own and makes its own TLB look-ups. Where both operands' pages
 * are in the lookaside, iterations that stay within them are done at once: a lookaside entry is the
 * most recently used one of its set, two that are both there do not disturb each other, and so each
 * iteration would only add a hit for each operand, and to a page table a write of one.
 *
 * In two things makes of processors differ. Intel's CMPS and SCAS set flags when the repetition is
 * over, not before: a fault leaves them as they were (SDM 2B REP); AMD's are those of the last
 * comparison that was made. And with 32-bit addresses in 64-bit mode Intel's first cut the counter
 * to 32 bits, even where that leaves zero, and the pointers of MOVS and STOS with it; on AMD's what
 * is not stepped stays.
 */
#include "x86/integer.h"

enum string { STRING_MOVS, STRING_STOS, STRING_LODS, STRING_CMPS, STRING_SCAS, NR_STRING };

ALWAYS_INLINE uint64_t address_get(const struct x86_cpu *cpu, const struct x86_insn *insn,
				   unsigned reg)
{
	return x86_address_part(insn, cpu->gpr[reg]);
}

ALWAYS_INLINE void address_add(struct x86_cpu *cpu, const struct x86_insn *insn, unsigned reg,
			       uint64_t step)
{
	reg_set(cpu, reg, insn->address_size, cpu->gpr[reg] + step);
}

ALWAYS_INLINE void compare(struct x86_cpu *cpu, unsigned size, uint64_t dest, uint64_t source)
{
	dest = sign_extend(dest, size);
	source = sign_extend(source, size);
	set_cc(cpu, X86_CC_SUB, sign_extend(dest - source, size), source, dest);
}

/* One iteration; nothing has changed when it returns false. */
ALWAYS_INLINE bool iterate(struct x86_cpu *cpu, const struct x86_insn *insn, enum string op,
			   unsigned size)
{
	uint64_t step = cpu->rflags & RFLAGS_DF ? -(uint64_t)size : size;
	uint64_t from = address_get(cpu, insn, X86_RSI), to = address_get(cpu, insn, X86_RDI);
	uint64_t value, other;

	switch (op) {
	case STRING_MOVS:
		if (!x86_load(cpu, insn->segment, from, size, &value) ||
		    !x86_store(cpu, X86_ES, to, size, value))
			return false;
		break;
	case STRING_STOS:
		if (!x86_store(cpu, X86_ES, to, size, cpu->gpr[X86_RAX]))
			return false;
		break;
	case STRING_LODS:
		if (!x86_load(cpu, insn->segment, from, size, &value))
			return false;
		reg_set(cpu, X86_RAX, size, value);
		break;
	case STRING_CMPS:
		if (!x86_load(cpu, insn->segment, from, size, &value) ||
		    !x86_load(cpu, X86_ES, to, size, &other))
			return false;
		compare(cpu, size, value, other);
		break;
	default:
		if (!x86_load(cpu, X86_ES, to, size, &value))
			return false;
		compare(cpu, size, reg_get(cpu, X86_RAX, size), value);
		break;
	}
	if (op != STRING_STOS && op != STRING_SCAS)
		address_add(cpu, insn, X86_RSI, step);
	if (op != STRING_LODS)
		address_add(cpu, insn, X86_RDI, step);
	return true;
}

/* How many whole elements lie between @offset and the end of its page. */
ALWAYS_INLINE uint64_t elements_in_page(uint64_t offset, unsigned size)
{
	return (PAGE_SIZE - (offset & PAGE_MASK)) / size;
}

/* Looks without counting. */
ALWAYS_INLINE struct hw_lookaside *slot_of(struct x86_cpu *cpu, uint64_t linear)
{
	return &hw_public(cpu->hw)
			->data[cpu->privilege][(linear >> PAGE_SHIFT) % HW_LOOKASIDE_SETS];
}

ALWAYS_INLINE void fill(uint8_t *to, uint64_t value, uint64_t n, unsigned size)
{
	if (size == 1) {
		memset(to, (int)(uint8_t)value, n);
		return;
	}
	for (uint64_t i = 0; i < n; i++)
		x86_put(to + i * size, size, value);
}

/* As if element by element, forwards: a destination that begins inside the source repeats it. */
ALWAYS_INLINE void copy(uint8_t *to, const uint8_t *from, uint64_t n, unsigned size)
{
	if (to <= from || to >= from + n * size) {
		memmove(to, from, n * size);
		return;
	}
	for (uint64_t i = 0; i < n; i++)
		x86_put(to + i * size, size, x86_get(from + i * size, size));
}

/* Does up to @limit iterations of a forward MOVS or STOS at once; how many. */
ALWAYS_INLINE uint64_t bulk(struct x86_cpu *cpu, const struct x86_insn *insn, enum string op,
			    uint64_t limit, unsigned size)
{
	uint64_t from = cpu->gpr[X86_RSI], to = cpu->gpr[X86_RDI], n;
	struct hw_lookaside *slot_to, *slot_from = NULL;
	uint8_t *host_from = NULL, *host_to;
	bool marked;

	if (cpu->code_mode != X86_CODE_64 || insn->address_size != 8 || (cpu->rflags & RFLAGS_DF))
		return 0;
	slot_to = slot_of(cpu, to);
	marked = slot_to->page[1] == (to >> PAGE_SHIFT | HW_MARKED);
	if (!marked && slot_to->page[1] != to >> PAGE_SHIFT)
		return 0;
	host_to = slot_to->host + (to & PAGE_MASK);
	n = elements_in_page(to, size);
	if (op == STRING_MOVS) {
		uint64_t linear = from;

		if (insn->segment >= X86_FS)
			linear += cpu->segment[insn->segment].base;
		slot_from = slot_of(cpu, linear);
		if (slot_from->page[0] != linear >> PAGE_SHIFT)
			return 0;
		host_from = slot_from->host + (linear & PAGE_MASK);
		if (n > elements_in_page(linear, size))
			n = elements_in_page(linear, size);
	}
	if (n > limit)
		n = limit;
	if (marked && !hw_write_marked(cpu->hw, host_to, n))
		return 0;
	if (op == STRING_MOVS) {
		copy(host_to, host_from, n, size);
		cpu->gpr[X86_RSI] += n * size;
	} else {
		fill(host_to, cpu->gpr[X86_RAX], n, size);
	}
	cpu->gpr[X86_RDI] += n * size;
	slot_to->hits += n * HW_HIT;
	if (op == STRING_MOVS)
		slot_from->hits += n * HW_HIT;
	return n;
}

/* The comparison says that REPE or REPNE is over. */
ALWAYS_INLINE bool over(const struct x86_cpu *cpu, const struct x86_insn *insn, enum string op)
{
	if (op != STRING_CMPS && op != STRING_SCAS)
		return false;
	return x86_zero(cpu) != (insn->rep == 0xf3);
}

/* Before a repetition in 64-bit mode with addresses of 32 bits; see above. */
static void cut(struct x86_cpu *cpu, enum string op)
{
	cpu->gpr[X86_RCX] = (uint32_t)cpu->gpr[X86_RCX];
	if (op == STRING_MOVS || op == STRING_STOS)
		cpu->gpr[X86_RDI] = (uint32_t)cpu->gpr[X86_RDI];
	if (op == STRING_MOVS)
		cpu->gpr[X86_RSI] = (uint32_t)cpu->gpr[X86_RSI];
}

/* What the comparisons of a repetition change. */
struct condition {
	uint64_t result, source, dest;
	uint8_t op;
};

ALWAYS_INLINE struct condition condition_before(const struct x86_cpu *cpu)
{
	return (struct condition){cpu->cc_result, cpu->cc_source, cpu->cc_dest, cpu->cc_op};
}

/* It is not over yet. */
ALWAYS_INLINE void keep_condition(struct x86_cpu *cpu, enum string op,
				  const struct condition *before)
{
	if ((op == STRING_CMPS || op == STRING_SCAS) && !x86_is_amd(cpu)) {
		cpu->cc_result = before->result;
		cpu->cc_source = before->source;
		cpu->cc_dest = before->dest;
		cpu->cc_op = before->op;
	}
}

/*
 * Steps but the last are counted here, that one by the run loop. After an iteration that had to ask
 * the MMU the loop gets a look at the clock and at what the MMU wants.
 */
ALWAYS_INLINE enum x86_result repeat(struct x86_cpu *cpu, const struct x86_insn *insn,
				     enum string op, unsigned size)
{
	struct hw_public *p = hw_public(cpu->hw);
	uint64_t count = address_get(cpu, insn, X86_RCX), done = 0, n;
	const struct condition before = condition_before(cpu);
	uint64_t cycles = p->cycles;

	if (insn->address_size == 4 && cpu->code_mode == X86_CODE_64 && !x86_is_amd(cpu))
		cut(cpu, op);
	if (!count)
		return X86_DONE;
	for (;;) {
		n = 0;
		if (op == STRING_MOVS || op == STRING_STOS)
			n = bulk(cpu, insn, op,
				 count < cpu->rep_room - done ? count : cpu->rep_room - done, size);
		if (!n) {
			bool iterated;

			cpu->unsettled += done;
			iterated = iterate(cpu, insn, op, size);
			cpu->unsettled -= done;
			if (!iterated) {
				cpu->steps += done;
				keep_condition(cpu, op, &before);
				return X86_FAULT;
			}
			n = 1;
		}
		done += n;
		count -= n;
		reg_set(cpu, X86_RCX, insn->address_size, count);
		if (!count || over(cpu, insn, op)) {
			cpu->steps += done - 1;
			return X86_DONE;
		}
		if (done >= cpu->rep_room || p->attention || p->cycles != cycles) {
			cpu->steps += done - 1;
			cpu->gpr[X86_RIP] -= insn->length;
			keep_condition(cpu, op, &before);
			return X86_AGAIN;
		}
	}
}

ALWAYS_INLINE enum x86_result string_once(struct x86_cpu *cpu, const struct x86_insn *insn,
					  enum string op, unsigned size)
{
	return iterate(cpu, insn, op, size) ? X86_DONE : X86_FAULT;
}

#define FOR_STRINGS(M) M(MOVS) M(STOS) M(LODS) M(CMPS) M(SCAS)
#define DEFINE_STRING(op)                                                                          \
	DEFINE_SIZES(op##_once, string_once, STRING_##op, )                                        \
	DEFINE_SIZES(op##_rep, repeat, STRING_##op, )
#define LIST_STRING(op) [STRING_##op] = {LIST_SIZES(op##_once), LIST_SIZES(op##_rep)},

FOR_STRINGS(DEFINE_STRING)
static x86_exec *const string_functions[NR_STRING][2][NR_SIZES] = {FOR_STRINGS(LIST_STRING)};

x86_exec *x86_select_string(const ZydisDecodedInstruction *decoded,
			    const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	enum string op;

	/* MOVSD and CMPSD are also names of SSE2 instructions. */
	if (decoded->meta.category != ZYDIS_CATEGORY_STRINGOP)
		return NULL;
	switch (decoded->mnemonic) {
	case ZYDIS_MNEMONIC_MOVSB:
	case ZYDIS_MNEMONIC_MOVSW:
	case ZYDIS_MNEMONIC_MOVSD:
	case ZYDIS_MNEMONIC_MOVSQ: op = STRING_MOVS; break;
	case ZYDIS_MNEMONIC_STOSB:
	case ZYDIS_MNEMONIC_STOSW:
	case ZYDIS_MNEMONIC_STOSD:
	case ZYDIS_MNEMONIC_STOSQ: op = STRING_STOS; break;
	case ZYDIS_MNEMONIC_LODSB:
	case ZYDIS_MNEMONIC_LODSW:
	case ZYDIS_MNEMONIC_LODSD:
	case ZYDIS_MNEMONIC_LODSQ: op = STRING_LODS; break;
	case ZYDIS_MNEMONIC_CMPSB:
	case ZYDIS_MNEMONIC_CMPSW:
	case ZYDIS_MNEMONIC_CMPSD:
	case ZYDIS_MNEMONIC_CMPSQ: op = STRING_CMPS; break;
	case ZYDIS_MNEMONIC_SCASB:
	case ZYDIS_MNEMONIC_SCASW:
	case ZYDIS_MNEMONIC_SCASD:
	case ZYDIS_MNEMONIC_SCASQ: op = STRING_SCAS; break;
	default: return NULL;
	}
	/* The source's segment can be overridden; the destination's is always ES. */
	insn->memory = false;
	insn->segment = X86_DS;
	for (unsigned i = 0; i < decoded->operand_count; i++)
		if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    x86_register_number(operands[i].mem.base) == X86_RSI)
			insn->segment = x86_segment_number(operands[i].mem.segment);
	return string_functions[op][insn->rep != 0][size_index(insn->size)];
}
