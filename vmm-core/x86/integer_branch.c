/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Near JMP Jcc CALL RET, LOOP, JrCXZ. Far transfers are system.c's. */
#include "x86/integer.h"

/*
 * Goes to @target. The branch itself faults when that is no place to execute: not canonical, or
 * beyond the code segment.
 */
ALWAYS_INLINE bool target_allowed(struct x86_cpu *cpu, uint64_t target)
{
	if (__builtin_expect(cpu->code_mode == X86_CODE_64, 1))
		return x86_canonical(cpu, target);
	return target <= cpu->segment[X86_CS].limit;
}

ALWAYS_INLINE enum x86_result branch(struct x86_cpu *cpu, uint64_t target)
{
	if (__builtin_expect(!target_allowed(cpu, target), 0))
		return x86_raise_code(cpu, X86_GP, 0);
	cpu->gpr[X86_RIP] = target;
	return X86_DONE;
}

static __attribute__((noinline)) const struct x86_insn *refuse(struct x86_cpu *cpu,
							       const struct x86_insn *insn)
{
	return x86_stop(cpu, insn, x86_raise_code(cpu, X86_GP, 0));
}

/* The same as the end of a thread. */
ALWAYS_INLINE const struct x86_insn *jump(struct x86_cpu *cpu, const struct x86_insn *insn,
					  uint64_t target)
{
	if (__builtin_expect(!target_allowed(cpu, target), 0))
		return refuse(cpu, insn);
	cpu->gpr[X86_RIP] = target;
	return x86_follow(cpu, insn);
}

/* The target of a relative branch; outside 64-bit mode cut to the operand size. */
ALWAYS_INLINE uint64_t relative(const struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t target = cpu->gpr[X86_RIP] + (uint64_t)insn->imm;

	if (__builtin_expect(cpu->code_mode == X86_CODE_64, 1))
		return target;
	return zero_extend(target, insn->size);
}

static const struct x86_insn *exec_jmp(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	x86_set_rip(cpu, insn);
	return jump(cpu, insn, relative(cpu, insn));
}

static enum x86_result exec_jmp_rm(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t target;

	if (!load_rm(cpu, insn, insn->size, &target))
		return X86_FAULT;
	return branch(cpu, target);
}

/* A branch is the last instruction of its block. */
#define DEFINE_JCC(name, condition)                                                                \
	static const struct x86_insn *jcc_##name(struct x86_cpu *cpu, const struct x86_insn *insn) \
	{                                                                                          \
		x86_set_rip(cpu, insn);                                                            \
		if (!x86_condition(cpu, condition))                                                \
			return x86_follow(cpu, insn);                                              \
		return jump(cpu, insn, relative(cpu, insn));                                       \
	}
#define LIST_JCC(name, condition) [condition] = jcc_##name,

FOR_CONDITIONS(DEFINE_JCC)
static x86_thread *const jcc_functions[X86_NR_CONDITIONS] = {FOR_CONDITIONS(LIST_JCC)};

/* The way is that of the stack access; everything else comes before it and changes nothing. */
ALWAYS_INLINE enum x86_result call(struct x86_cpu *cpu, const struct x86_insn *insn,
				   uint64_t target, enum way way)
{
	uint64_t offset = cpu->gpr[X86_RSP] - sizeof(uint64_t);
	uint8_t *host;

	if (!target_allowed(cpu, target))
		return way == WAY_FAST ? TAKE_ANY_WAY : x86_raise_code(cpu, X86_GP, 0);
	if (way == WAY_ANY) {
		if (!x86_push(cpu, insn->size, cpu->gpr[X86_RIP]))
			return X86_FAULT;
	} else {
		if (!find_stack(cpu, insn, offset, 8, HW_WRITE, &host))
			return TAKE_ANY_WAY;
		x86_put(host, 8, cpu->gpr[X86_RIP]);
		cpu->gpr[X86_RSP] = offset;
	}
	cpu->gpr[X86_RIP] = target;
	return X86_DONE;
}

static __attribute__((noinline)) const struct x86_insn *call_any(struct x86_cpu *cpu,
								 const struct x86_insn *insn)
{
	return x86_finish(cpu, insn, call(cpu, insn, relative(cpu, insn), WAY_ANY));
}

static const struct x86_insn *exec_call(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	x86_set_rip(cpu, insn);
	if (__builtin_expect(call(cpu, insn, relative(cpu, insn), WAY_FAST) != X86_DONE, 0))
		return call_any(cpu, insn);
	return x86_follow(cpu, insn);
}

static enum x86_result exec_call_rm(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t target;

	if (!load_rm(cpu, insn, insn->size, &target))
		return X86_FAULT;
	return call(cpu, insn, target, WAY_ANY);
}

/* imm: bytes of arguments to release. */
static enum x86_result ret(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t target, stack = cpu->gpr[X86_RSP];

	if (!x86_pop(cpu, insn->size, &target))
		return X86_FAULT;
	if (!target_allowed(cpu, target)) {
		cpu->gpr[X86_RSP] = stack;
		return x86_raise_code(cpu, X86_GP, 0);
	}
	if (insn->imm)
		x86_set_stack_pointer(cpu, x86_stack_pointer(cpu) + (uint16_t)insn->imm);
	cpu->gpr[X86_RIP] = target;
	return X86_DONE;
}

static __attribute__((noinline)) const struct x86_insn *ret_any(struct x86_cpu *cpu,
								const struct x86_insn *insn)
{
	return x86_finish(cpu, insn, ret(cpu, insn));
}

static const struct x86_insn *exec_ret(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t target;
	uint8_t *host;

	x86_set_rip(cpu, insn);
	if (!find_stack(cpu, insn, cpu->gpr[X86_RSP], 8, HW_READ, &host))
		return ret_any(cpu, insn);
	target = x86_get(host, 8);
	if (__builtin_expect(!x86_canonical(cpu, target), 0))
		return refuse(cpu, insn);
	cpu->gpr[X86_RSP] += 8 + (uint16_t)insn->imm;
	cpu->gpr[X86_RIP] = target;
	return x86_follow(cpu, insn);
}

static bool count_is_zero(const struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return x86_address_part(insn, cpu->gpr[X86_RCX]) == 0;
}

static enum x86_result exec_jrcxz(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return count_is_zero(cpu, insn) ? branch(cpu, relative(cpu, insn)) : X86_DONE;
}

ALWAYS_INLINE enum x86_result loop(struct x86_cpu *cpu, const struct x86_insn *insn, bool condition)
{
	uint64_t count = cpu->gpr[X86_RCX];
	enum x86_result result = X86_DONE;

	reg_set(cpu, X86_RCX, insn->address_size, count - 1);
	if (condition && !count_is_zero(cpu, insn))
		result = branch(cpu, relative(cpu, insn));
	if (result == X86_FAULT)
		cpu->gpr[X86_RCX] = count;
	return result;
}

static enum x86_result exec_loop(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return loop(cpu, insn, true);
}

static enum x86_result exec_loope(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return loop(cpu, insn, x86_zero(cpu));
}

static enum x86_result exec_loopne(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	return loop(cpu, insn, !x86_zero(cpu));
}

x86_exec *x86_select_branch(const ZydisDecodedInstruction *decoded,
			    const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	bool is_relative = operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;

	if (decoded->meta.branch_type == ZYDIS_BRANCH_TYPE_NONE ||
	    decoded->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return NULL;
	/* In 64-bit mode near branches know no other operand size (SDM 1 6.3.7). */
	if (decoded->machine_mode == ZYDIS_MACHINE_MODE_LONG_64)
		insn->size = 8;
	else
		insn->size = decoded->operand_width == 16 ? 2 : 4;

	switch (decoded->mnemonic) {
	case ZYDIS_MNEMONIC_JMP: return is_relative ? x86_threaded(insn, exec_jmp) : exec_jmp_rm;
	case ZYDIS_MNEMONIC_CALL: return is_relative ? x86_threaded(insn, exec_call) : exec_call_rm;
	case ZYDIS_MNEMONIC_RET: return x86_threaded(insn, exec_ret);
	case ZYDIS_MNEMONIC_LOOP: return exec_loop;
	case ZYDIS_MNEMONIC_LOOPE: return exec_loope;
	case ZYDIS_MNEMONIC_LOOPNE: return exec_loopne;
	case ZYDIS_MNEMONIC_JCXZ:
	case ZYDIS_MNEMONIC_JECXZ:
	case ZYDIS_MNEMONIC_JRCXZ: return exec_jrcxz;
	default: break;
	}
	if (decoded->meta.category == ZYDIS_CATEGORY_COND_BR && is_relative)
		return x86_threaded(insn, jcc_functions[condition_of(decoded)]);
	return NULL;
}
