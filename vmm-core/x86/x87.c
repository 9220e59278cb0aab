/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The x87 FPU. Each instruction is executed as itself by the host's FPU, between FRSTOR of the
 * guest's state and FNSAVE of what became of it: all results, tags and flags are those of hardware.
 * That costs some hundred host cycles, and code that matters uses SSE. FNSAVE leaves the host's FPU
 * as the ABI wants it at calls. With all exceptions masked nothing can fault; unmasked ones
 * are refused by name when the control word is loaded.
 */
#include "x86/x87.h"

#include <string.h>

#include "x86/control.h"
#include "x86/decode.h"
#include "x86/flags.h"
#include "x86/mem.h"

#if !defined(__x86_64__)
#error "x87 instructions are executed by the host's own: this file needs an x86-64 host"
#endif

#define STATUS_TOP_SHIFT 11
#define STATUS_FLAGS     0x80ffu /* exceptions, stack fault, summary, busy: what FNCLEX clears */
#define TAG_VALID        0u
#define TAG_ZERO         1u
#define TAG_SPECIAL      2u
#define TAG_EMPTY        3u

void x86_x87_init(struct x86_x87 *x87)
{
	x87->control = X87_CONTROL_AT_INIT;
	x87->status = 0;
	x87->tag = X87_TAGS_EMPTY;
}

bool x86_x87_accept_control(struct x86_cpu *cpu, uint16_t control)
{
	if ((control & X87_ALL_MASKED) == X87_ALL_MASKED)
		return true;
	x86_end(cpu, UMBRA_END_ERROR, "unmasked x87 exceptions (FCW = %#x) are not in this build",
		control);
	return false;
}

static unsigned tag_of(const uint8_t st[10])
{
	uint64_t significand;
	uint16_t exponent;

	memcpy(&significand, st, sizeof(significand));
	memcpy(&exponent, st + sizeof(significand), sizeof(exponent));
	exponent &= 0x7fff;
	if (exponent == 0)
		return significand ? TAG_SPECIAL : TAG_ZERO;
	return exponent == 0x7fff || !(significand >> 63) ? TAG_SPECIAL : TAG_VALID;
}

void x86_x87_set_tags(struct x86_x87 *x87, uint8_t abridged)
{
	unsigned top = (x87->status >> STATUS_TOP_SHIFT) & 7;

	x87->tag = 0;
	for (unsigned i = 0; i < 8; i++) {
		unsigned tag = abridged & 1u << i ? tag_of(x87->st[(i - top) & 7]) : TAG_EMPTY;

		x87->tag |= tag << 2 * i;
	}
}

static bool is_available(struct x86_cpu *cpu)
{
	if (!(cpu->cr0 & (CR0_EM | CR0_TS)))
		return true;
	x86_raise(cpu, X86_NM);
	return false;
}

static enum x86_result finish(struct x86_cpu *cpu)
{
	/* FNSAVE stored where the host's code and data were: none of the guest's business. */
	cpu->x87.ip = cpu->x87.ip_selector = cpu->x87.dp = cpu->x87.dp_selector = 0;
	cpu->x87.control &= UINT16_MAX;
	cpu->x87.status &= UINT16_MAX;
	cpu->x87.tag &= UINT16_MAX;
	return X86_DONE;
}

#define X87_CLOBBERS "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"
#define ON_HOST(state, instruction)                                                                \
	__asm__ volatile("frstor %[x87]\n\t" instruction "\n\tfnsave %[x87]"                       \
			 : [x87] "+m"(state)                                                       \
			 :                                                                         \
			 : X87_CLOBBERS)
#define ON_HOST_MEMORY(state, instruction, operand)                                                \
	__asm__ volatile("frstor %[x87]\n\t" instruction " %[memory]\n\tfnsave %[x87]"             \
			 : [x87] "+m"(state), [memory] "+m"(operand)                               \
			 :                                                                         \
			 : X87_CLOBBERS)

/* An operand in memory, of the size that the instruction says. */
union operand {
	uint8_t bytes[16];
	uint64_t u64;
};

static bool load_operand(struct x86_cpu *cpu, const struct x86_insn *insn, union operand *ret)
{
	return is_available(cpu) &&
	       x86_load_slow(cpu, insn->segment, x86_effective_address(cpu, insn), insn->size, ret);
}

/* Instructions without an operand but the stack. */
/* clang-format off */
#define STACK_INSTRUCTIONS(X)                                                                      \
	X(FLD1, "fld1") X(FLDZ, "fldz") X(FLDPI, "fldpi") X(FLDL2E, "fldl2e")                      \
	X(FLDL2T, "fldl2t") X(FLDLG2, "fldlg2") X(FLDLN2, "fldln2") X(FCHS, "fchs")                \
	X(FABS, "fabs") X(FTST, "ftst") X(FXAM, "fxam") X(FSQRT, "fsqrt")                          \
	X(FRNDINT, "frndint") X(FSCALE, "fscale") X(FXTRACT, "fxtract")                            \
	X(FPREM, "fprem") X(FPREM1, "fprem1") X(F2XM1, "f2xm1") X(FYL2X, "fyl2x")                  \
	X(FYL2XP1, "fyl2xp1") X(FPTAN, "fptan") X(FPATAN, "fpatan") X(FSIN, "fsin")                \
	X(FCOS, "fcos") X(FSINCOS, "fsincos") X(FINCSTP, "fincstp")                                \
	X(FDECSTP, "fdecstp") X(FCOMPP, "fcompp") X(FUCOMPP, "fucompp") X(FNOP, "fnop")
/* clang-format on */

#define STACK_FUNCTION(mnemonic, name)                                                             \
	static enum x86_result exec_##mnemonic(struct x86_cpu *cpu, const struct x86_insn *insn)   \
	{                                                                                          \
		if (!is_available(cpu))                                                            \
			return X86_FAULT;                                                          \
		ON_HOST(cpu->x87, name);                                                           \
		return finish(cpu);                                                                \
	}
STACK_INSTRUCTIONS(STACK_FUNCTION)

/* Instructions that read memory: mnemonic, a name for the row, the host's form, bytes. */
/* clang-format off */
#define LOAD_INSTRUCTIONS(X)                                                                       \
	X(FLD, fld_32, "flds", 4) X(FLD, fld_64, "fldl", 8) X(FLD, fld_80, "fldt", 10)             \
	X(FILD, fild_16, "filds", 2) X(FILD, fild_32, "fildl", 4)                                  \
	X(FILD, fild_64, "fildll", 8) X(FBLD, fbld, "fbld", 10)                                    \
	X(FADD, fadd_32, "fadds", 4) X(FADD, fadd_64, "faddl", 8)                                  \
	X(FSUB, fsub_32, "fsubs", 4) X(FSUB, fsub_64, "fsubl", 8)                                  \
	X(FSUBR, fsubr_32, "fsubrs", 4) X(FSUBR, fsubr_64, "fsubrl", 8)                            \
	X(FMUL, fmul_32, "fmuls", 4) X(FMUL, fmul_64, "fmull", 8)                                  \
	X(FDIV, fdiv_32, "fdivs", 4) X(FDIV, fdiv_64, "fdivl", 8)                                  \
	X(FDIVR, fdivr_32, "fdivrs", 4) X(FDIVR, fdivr_64, "fdivrl", 8)                            \
	X(FCOM, fcom_32, "fcoms", 4) X(FCOM, fcom_64, "fcoml", 8)                                  \
	X(FCOMP, fcomp_32, "fcomps", 4) X(FCOMP, fcomp_64, "fcompl", 8)                            \
	X(FIADD, fiadd_16, "fiadds", 2) X(FIADD, fiadd_32, "fiaddl", 4)                            \
	X(FISUB, fisub_16, "fisubs", 2) X(FISUB, fisub_32, "fisubl", 4)                            \
	X(FISUBR, fisubr_16, "fisubrs", 2) X(FISUBR, fisubr_32, "fisubrl", 4)                      \
	X(FIMUL, fimul_16, "fimuls", 2) X(FIMUL, fimul_32, "fimull", 4)                            \
	X(FIDIV, fidiv_16, "fidivs", 2) X(FIDIV, fidiv_32, "fidivl", 4)                            \
	X(FIDIVR, fidivr_16, "fidivrs", 2) X(FIDIVR, fidivr_32, "fidivrl", 4)                      \
	X(FICOM, ficom_16, "ficoms", 2) X(FICOM, ficom_32, "ficoml", 4)                            \
	X(FICOMP, ficomp_16, "ficomps", 2) X(FICOMP, ficomp_32, "ficompl", 4)
/* clang-format on */

#define LOAD_FUNCTION(mnemonic, row, name, width)                                                  \
	static enum x86_result exec_##row(struct x86_cpu *cpu, const struct x86_insn *insn)        \
	{                                                                                          \
		union operand operand;                                                             \
                                                                                                   \
		if (!load_operand(cpu, insn, &operand))                                            \
			return X86_FAULT;                                                          \
		ON_HOST_MEMORY(cpu->x87, name, operand);                                           \
		return finish(cpu);                                                                \
	}
LOAD_INSTRUCTIONS(LOAD_FUNCTION)

/* Instructions that store: the new state counts only if the store does not fault. */
/* clang-format off */
#define STORE_INSTRUCTIONS(X)                                                                      \
	X(FST, fst_32, "fsts", 4) X(FST, fst_64, "fstl", 8) X(FSTP, fstp_32, "fstps", 4)           \
	X(FSTP, fstp_64, "fstpl", 8) X(FSTP, fstp_80, "fstpt", 10)                                 \
	X(FIST, fist_16, "fists", 2) X(FIST, fist_32, "fistl", 4)                                  \
	X(FISTP, fistp_16, "fistps", 2) X(FISTP, fistp_32, "fistpl", 4)                            \
	X(FISTP, fistp_64, "fistpll", 8) X(FBSTP, fbstp, "fbstp", 10)
/* clang-format on */

#define STORE_FUNCTION(mnemonic, row, name, width)                                                 \
	static enum x86_result exec_##row(struct x86_cpu *cpu, const struct x86_insn *insn)        \
	{                                                                                          \
		struct x86_x87 state = cpu->x87;                                                   \
		union operand operand;                                                             \
                                                                                                   \
		if (!is_available(cpu))                                                            \
			return X86_FAULT;                                                          \
		ON_HOST_MEMORY(state, name, operand);                                              \
		if (!x86_store_slow(cpu, insn->segment, x86_effective_address(cpu, insn),          \
				    insn->size, &operand))                                         \
			return X86_FAULT;                                                          \
		cpu->x87 = state;                                                                  \
		return finish(cpu);                                                                \
	}
STORE_INSTRUCTIONS(STORE_FUNCTION)

/* Instructions with ST(i), which is insn->rm: a case for each. */
#define CASE(before, i, after)                                                                     \
	case i:                                                                                    \
		ON_HOST(cpu->x87, before "%%st(" #i ")" after);                                    \
		break;
#define ALL_CASES(before, after)                                                                   \
	CASE(before, 0, after)                                                                     \
	CASE(before, 1, after)                                                                     \
	CASE(before, 2, after)                                                                     \
	CASE(before, 3, after)                                                                     \
	CASE(before, 4, after)                                                                     \
	CASE(before, 5, after)                                                                     \
	CASE(before, 6, after)                                                                     \
	CASE(before, 7, after)

/* The assembler has FSUB and FSUBR, FDIV and FDIVR the other way round where ST(i) is written. */
/* clang-format off */
#define REGISTER_INSTRUCTIONS(X)                                                                   \
	X(FLD, fld_st, false, "fld ", "") X(FST, fst_st, false, "fst ", "")                        \
	X(FSTP, fstp_st, false, "fstp ", "") X(FXCH, fxch_st, false, "fxch ", "")                  \
	X(FFREE, ffree_st, false, "ffree ", "") X(FCOM, fcom_st, false, "fcom ", "")               \
	X(FCOMP, fcomp_st, false, "fcomp ", "") X(FUCOM, fucom_st, false, "fucom ", "")            \
	X(FUCOMP, fucomp_st, false, "fucomp ", "")                                                 \
	X(FADD, fadd_st, false, "fadd ", ", %%st")                                                 \
	X(FMUL, fmul_st, false, "fmul ", ", %%st")                                                 \
	X(FSUB, fsub_st, false, "fsub ", ", %%st")                                                 \
	X(FSUBR, fsubr_st, false, "fsubr ", ", %%st")                                              \
	X(FDIV, fdiv_st, false, "fdiv ", ", %%st")                                                 \
	X(FDIVR, fdivr_st, false, "fdivr ", ", %%st")                                              \
	X(FADD, fadd_to, true, "fadd %%st, ", "")                                                  \
	X(FMUL, fmul_to, true, "fmul %%st, ", "")                                                  \
	X(FSUB, fsub_to, true, "fsubr %%st, ", "")                                                 \
	X(FSUBR, fsubr_to, true, "fsub %%st, ", "")                                                \
	X(FDIV, fdiv_to, true, "fdivr %%st, ", "")                                                 \
	X(FDIVR, fdivr_to, true, "fdiv %%st, ", "")                                                \
	X(FADDP, faddp_to, true, "faddp %%st, ", "")                                               \
	X(FMULP, fmulp_to, true, "fmulp %%st, ", "")                                               \
	X(FSUBP, fsubp_to, true, "fsubrp %%st, ", "")                                              \
	X(FSUBRP, fsubrp_to, true, "fsubp %%st, ", "")                                             \
	X(FDIVP, fdivp_to, true, "fdivrp %%st, ", "")                                              \
	X(FDIVRP, fdivrp_to, true, "fdivp %%st, ", "")
/* clang-format on */

#define REGISTER_FUNCTION(mnemonic, row, to, before, after)                                        \
	static enum x86_result exec_##row(struct x86_cpu *cpu, const struct x86_insn *insn)        \
	{                                                                                          \
		if (!is_available(cpu))                                                            \
			return X86_FAULT;                                                          \
		switch (insn->rm) {                                                                \
			ALL_CASES(before, after)                                                   \
		}                                                                                  \
		return finish(cpu);                                                                \
	}
REGISTER_INSTRUCTIONS(REGISTER_FUNCTION)

/* FCOMI and its like: ZF, PF, CF out of the comparison. */
/* clang-format off */
#define ORDER_INSTRUCTIONS(X)                                                                      \
	X(FCOMI, "fcomi") X(FCOMIP, "fcomip") X(FUCOMI, "fucomi") X(FUCOMIP, "fucomip")
/* clang-format on */

#define ORDER_CASE(name, i)                                                                        \
	case i:                                                                                    \
		__asm__ volatile("frstor %[x87]\n\t" name " %%st(" #i "), %%st\n\tfnsave %[x87]"   \
				 : [x87] "+m"(cpu->x87), "=@ccz"(zero), "=@ccp"(parity),           \
				   "=@ccc"(carry)                                                  \
				 :                                                                 \
				 : X87_CLOBBERS);                                                  \
		break;

#define ORDER_FUNCTION(mnemonic, name)                                                             \
	static enum x86_result exec_##mnemonic(struct x86_cpu *cpu, const struct x86_insn *insn)   \
	{                                                                                          \
		bool zero = false, parity = false, carry = false;                                  \
                                                                                                   \
		if (!is_available(cpu))                                                            \
			return X86_FAULT;                                                          \
		switch (insn->rm) {                                                                \
			ORDER_CASE(name, 0)                                                        \
			ORDER_CASE(name, 1)                                                        \
			ORDER_CASE(name, 2)                                                        \
			ORDER_CASE(name, 3)                                                        \
			ORDER_CASE(name, 4)                                                        \
			ORDER_CASE(name, 5)                                                        \
			ORDER_CASE(name, 6)                                                        \
			ORDER_CASE(name, 7)                                                        \
		}                                                                                  \
		x86_change_flags(cpu, RFLAGS_ARITHMETIC,                                           \
				 (zero ? RFLAGS_ZF : 0) | (parity ? RFLAGS_PF : 0) |               \
					 (carry ? RFLAGS_CF : 0));                                 \
		return finish(cpu);                                                                \
	}
ORDER_INSTRUCTIONS(ORDER_FUNCTION)

/* FCMOVcc: the host's flags are set so that its FCMOVE or FCMOVNE decides as the guest's do. */
/* clang-format off */
#define MOVE_INSTRUCTIONS(X)                                                                       \
	X(FCMOVB, X86_COND_B) X(FCMOVE, X86_COND_Z) X(FCMOVBE, X86_COND_BE)                        \
	X(FCMOVU, X86_COND_P) X(FCMOVNB, X86_COND_NB) X(FCMOVNE, X86_COND_NZ)                      \
	X(FCMOVNBE, X86_COND_NBE) X(FCMOVNU, X86_COND_NP)
/* clang-format on */

#define MOVE_CASE(i)                                                                               \
	case i:                                                                                    \
		__asm__ volatile("frstor %[x87]\n\tcmpb $0, %[holds]\n\t"                          \
				 "fcmovne %%st(" #i "), %%st\n\tfnsave %[x87]"                     \
				 : [x87] "+m"(cpu->x87)                                            \
				 : [holds] "q"((uint8_t)holds)                                     \
				 : "cc", X87_CLOBBERS);                                            \
		break;

static enum x86_result move_if(struct x86_cpu *cpu, const struct x86_insn *insn, bool holds)
{
	if (!is_available(cpu))
		return X86_FAULT;
	switch (insn->rm) {
		MOVE_CASE(0)
		MOVE_CASE(1)
		MOVE_CASE(2)
		MOVE_CASE(3)
		MOVE_CASE(4)
		MOVE_CASE(5)
		MOVE_CASE(6)
		MOVE_CASE(7)
	}
	return finish(cpu);
}

#define MOVE_FUNCTION(mnemonic, condition)                                                         \
	static enum x86_result exec_##mnemonic(struct x86_cpu *cpu, const struct x86_insn *insn)   \
	{                                                                                          \
		return move_if(cpu, insn, x86_condition(cpu, condition));                          \
	}
MOVE_INSTRUCTIONS(MOVE_FUNCTION)

/* Control. */

static enum x86_result exec_fninit(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if (!is_available(cpu))
		return X86_FAULT;
	ON_HOST(cpu->x87, "fninit"); /* TOP moves, so registers that keep their contents do too */
	return finish(cpu);
}

static enum x86_result exec_fnclex(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if (!is_available(cpu))
		return X86_FAULT;
	cpu->x87.status &= ~STATUS_FLAGS;
	return X86_DONE;
}

static enum x86_result exec_fldcw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	union operand operand = {};

	if (!load_operand(cpu, insn, &operand) ||
	    !x86_x87_accept_control(cpu, (uint16_t)operand.u64))
		return X86_FAULT;
	/* Through the host, so that reserved bits are what hardware makes of them. */
	ON_HOST_MEMORY(cpu->x87, "fldcw", operand);
	return finish(cpu);
}

static enum x86_result exec_fnstcw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if (!is_available(cpu))
		return X86_FAULT;
	return x86_store(cpu, insn->segment, x86_effective_address(cpu, insn), 2, cpu->x87.control)
		       ? X86_DONE
		       : X86_FAULT;
}

static enum x86_result exec_fnstsw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	uint16_t status = (uint16_t)cpu->x87.status;

	if (!is_available(cpu))
		return X86_FAULT;
	if (insn->memory)
		return x86_store(cpu, insn->segment, x86_effective_address(cpu, insn), 2, status)
			       ? X86_DONE
			       : X86_FAULT;
	cpu->gpr[X86_RAX] = (cpu->gpr[X86_RAX] & ~(uint64_t)UINT16_MAX) | status;
	return X86_DONE;
}

/* FWAIT asks for pending exceptions, of which there are none; it obeys TS only with MP. */
static enum x86_result exec_fwait(struct x86_cpu *cpu, const struct x86_insn *insn)
{
	if ((cpu->cr0 & CR0_MP) && (cpu->cr0 & CR0_TS))
		return x86_raise(cpu, X86_NM);
	return X86_DONE;
}

struct row {
	ZydisMnemonic mnemonic;
	uint8_t size; /* of the memory operand; 0: none */
	bool to;      /* ST(i) is the destination (operand 0) and not ST(0) */
	bool any;     /* do not compare the two above */
	x86_exec *exec;
};

#define ROW_STACK(mnemonic, name) {ZYDIS_MNEMONIC_##mnemonic, 0, false, true, exec_##mnemonic},
#define ROW_MEMORY(mnemonic, row, name, size)                                                      \
	{ZYDIS_MNEMONIC_##mnemonic, size, false, false, exec_##row},
#define ROW_REGISTER(mnemonic, row, to, before, after)                                             \
	{ZYDIS_MNEMONIC_##mnemonic, 0, to, false, exec_##row},
#define ROW_ANY(mnemonic, exec)                                                                    \
	{                                                                                          \
		ZYDIS_MNEMONIC_##mnemonic, 0, false, true, exec                                    \
	}

static const struct row rows[] = {
	STACK_INSTRUCTIONS(ROW_STACK) LOAD_INSTRUCTIONS(ROW_MEMORY) STORE_INSTRUCTIONS(ROW_MEMORY)
		REGISTER_INSTRUCTIONS(ROW_REGISTER) ORDER_INSTRUCTIONS(ROW_STACK)
			MOVE_INSTRUCTIONS(ROW_STACK) ROW_ANY(FNINIT, exec_fninit),
	ROW_ANY(FNCLEX, exec_fnclex),
	ROW_ANY(FLDCW, exec_fldcw),
	ROW_ANY(FNSTCW, exec_fnstcw),
	ROW_ANY(FNSTSW, exec_fnstsw),
	ROW_ANY(FWAIT, exec_fwait),
};

static bool is_st(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(operand->reg.value) == ZYDIS_REGCLASS_X87;
}

/*
 * Which of an arithmetic instruction's two registers is ST(i) shows in the opcode: D8 writes ST(0),
 * DC and DE write ST(i).
 */
static bool writes_st_i(const ZydisDecodedInstruction *decoded)
{
	return decoded->opcode == 0xdc || decoded->opcode == 0xde;
}

static bool matches(const struct row *row, const ZydisDecodedInstruction *decoded,
		    unsigned memory_size)
{
	if (row->mnemonic != decoded->mnemonic)
		return false;
	if (row->any)
		return true;
	return row->size == memory_size && (memory_size || row->to == writes_st_i(decoded));
}

x86_exec *x86_select_x87(const ZydisDecodedInstruction *decoded,
			 const ZydisDecodedOperand *operands, struct x86_insn *insn)
{
	unsigned memory_size = 0;

	for (unsigned i = 0; i < decoded->operand_count; i++)
		if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			memory_size = operands[i].size / 8;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!matches(&rows[i], decoded, memory_size))
			continue;
		insn->size = (uint8_t)(memory_size ? memory_size : 2);
		for (unsigned j = 0; j < decoded->operand_count; j++)
			if (is_st(&operands[j]) &&
			    operands[j].encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
				insn->rm = x86_register_number(operands[j].reg.value);
		return rows[i].exec;
	}
	return NULL;
}
