/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SSE, SSE2 and x87 against the host's own CPU: every encoding that belongs to them is executed
 * here and there with random operands, and all that it may change is compared.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "x86_system_fixture.h"
#include "x86/sse.h"

#define MAX_INSN 8

/* What an instruction may see and change; the stub below knows the offsets. */
struct state {
	union x86_xmm xmm[2]; /* XMM1, XMM2 */
	uint64_t rcx, rdx;
	uint64_t flags;
	uint64_t unused;
	uint32_t mxcsr;
	uint32_t host_mxcsr;
	uint8_t x87[108];
	uint8_t memory[64] __attribute__((aligned(16)));
};

static uint8_t *stub;
static sigjmp_buf fault;
static volatile int fault_signal;
static volatile uint32_t fault_mxcsr;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	ucontext_t *u = context;

	fault_signal = signal;
	fault_mxcsr = u->uc_mcontext.fpregs->mxcsr;
	siglongjmp(fault, 1);
}

static size_t emit(size_t at, const char *bytes, size_t len)
{
	memcpy(stub + at, bytes, len);
	return at + len;
}
#define EMIT(at, bytes) emit(at, bytes, sizeof(bytes) - 1)

/* void stub(struct state *rdi, void *memory rsi) */
static void build_stub(const uint8_t *insn, size_t len, bool x87)
{
	size_t at = 0;
	char displacement[4];
	int32_t offset = offsetof(struct state, x87);

	memcpy(displacement, &offset, 4);
	at = EMIT(at, "\x53\x48\x89\xf3");                 /* push rbx; mov rbx, rsi */
	at = EMIT(at, "\x0f\xae\x57\x40");                 /* ldmxcsr [rdi+64] */
	at = EMIT(at, "\x0f\x10\x0f\x0f\x10\x57\x10");     /* movups xmm1, [rdi]; xmm2, [rdi+16] */
	at = EMIT(at, "\x48\x8b\x4f\x20\x48\x8b\x57\x28"); /* mov rcx, rdx */
	if (x87) {
		at = EMIT(at, "\xdd\xa7"); /* frstor [rdi+x87] */
		at = emit(at, displacement, 4);
	}
	at = EMIT(at, "\xff\x77\x30\x9d"); /* push [rdi+48]; popf */
	at = emit(at, (const char *)insn, len);
	at = EMIT(at, "\x9c\x8f\x47\x30"); /* pushf; pop [rdi+48] */
	if (x87) {
		at = EMIT(at, "\xdd\xb7"); /* fnsave [rdi+x87] */
		at = emit(at, displacement, 4);
	}
	at = EMIT(at, "\x0f\x11\x0f\x0f\x11\x57\x10");
	at = EMIT(at, "\x48\x89\x4f\x20\x48\x89\x57\x28");
	at = EMIT(at, "\x0f\xae\x5f\x40"); /* stmxcsr [rdi+64] */
	at = EMIT(at, "\x0f\xae\x57\x44"); /* ldmxcsr [rdi+68] */
	EMIT(at, "\x5b\xc3");
}

/* Signal by which the host refused, or 0. */
static int run_on_host(struct state *state, uint8_t *memory)
{
	state->host_mxcsr = _mm_getcsr();
	if (sigsetjmp(fault, 1)) {
		_mm_setcsr(state->host_mxcsr);
		__asm__ volatile("fninit");
		return fault_signal;
	}
	((void (*)(struct state *, uint8_t *))(uintptr_t)stub)(state, memory);
	return 0;
}

/* 0, or the vector that the guest raised; -1: the guest ended. */
static int run_on_guest(struct x86_box *b, struct state *state, unsigned skew, const uint8_t *insn,
			size_t len)
{
	struct x86_cpu *cpu = b->cpu;
	char code[MAX_INSN + 1];
	uint64_t rip;

	memcpy(code, insn, len);
	code[len] = '\xf4';
	put(b, DATA, state->memory, sizeof(state->memory));
	memcpy(&cpu->xmm[1], state->xmm, sizeof(state->xmm));
	memcpy(&cpu->x87, state->x87, sizeof(state->x87));
	cpu->gpr[X86_RCX] = state->rcx;
	cpu->gpr[X86_RDX] = state->rdx;
	cpu->gpr[X86_RBX] = DATA + skew;
	cpu->gpr[X86_RSP] = STACK;
	cpu->mxcsr = state->mxcsr;
	x86_set_flags(cpu, state->flags);
	run_bytes(b, code, len + 1, 1);
	if (cpu->ended)
		return -1;
	rip = cpu->gpr[X86_RIP];
	state->mxcsr = cpu->mxcsr;
	if (rip != CODE + len)
		return (int)(rip - HANDLERS) / 16; /* the HLT of its handler came next */
	memcpy(state->xmm, &cpu->xmm[1], sizeof(state->xmm));
	memcpy(state->x87, &cpu->x87, sizeof(state->x87));
	state->rcx = cpu->gpr[X86_RCX];
	state->rdx = cpu->gpr[X86_RDX];
	state->flags = x86_flags(cpu);
	assert_int_equal(memory_read(&b->box.memory, DATA, state->memory, sizeof(state->memory)),
			 0);
	return 0;
}

static uint64_t random_bits(void)
{
	static uint64_t x = 88172645463325252ull; /* xorshift64 */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static uint32_t random_float(void)
{
	static const uint32_t special[] = {
		0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00001,
		0xffc12345, 0x7f800001, 0xff812345, 1,          0x807fffff, 0x00800000, 0x7f7fffff,
		0x4f000000, 0xcf000000, 0x5f000000, 0x40490fdb, 0x3f000000, 0x3fc00000,
	};

	if (random_bits() % 3 == 0)
		return (uint32_t)random_bits();
	return special[random_bits() % (sizeof(special) / sizeof(special[0]))];
}

static uint64_t random_double(void)
{
	static const uint64_t special[] = {
		0,
		0x8000000000000000,
		0x3ff0000000000000,
		0xbff0000000000000,
		0x7ff0000000000000,
		0xfff0000000000000,
		0x7ff8000000000001,
		0xfff8123456789abc,
		0x7ff0000000000001,
		0xfff0123456789abc,
		1,
		0x800fffffffffffff,
		0x0010000000000000,
		0x7fefffffffffffff,
		0x41e0000000000000,
		0xc1e0000000000000,
		0x43e0000000000000,
		0x400921fb54442d18,
		0x3690000000000001,
		0x47f0000000000000,
	};

	if (random_bits() % 3 == 0)
		return random_bits();
	return special[random_bits() % (sizeof(special) / sizeof(special[0]))];
}

static void fill_vector(union x86_xmm *value)
{
	switch (random_bits() % 3) {
	case 0:
		for (unsigned i = 0; i < 4; i++)
			value->u32[i] = random_float();
		break;
	case 1:
		for (unsigned i = 0; i < 2; i++)
			value->u64[i] = random_double();
		break;
	default:
		for (unsigned i = 0; i < 2; i++)
			value->u64[i] = random_bits() & (random_bits() | random_bits());
		if (random_bits() % 2) /* a small shift count */
			value->u64[0] %= 70;
	}
}

static void fill_x87(uint8_t image[108])
{
	uint32_t *words = (uint32_t *)image;

	memset(image, 0, 108);
	/* Rounding and precision at random, everything masked; any top, flags, condition code. */
	words[0] = 0xffff003f | 0x40 | (uint32_t)(random_bits() & 0xf00);
	if ((words[0] & 0x300) == 0x100) /* a reserved precision */
		words[0] |= 0x300;
	words[1] = 0xffff0000 | (uint32_t)(random_bits() & 0x7f7f);
	words[2] = 0xffff0000 | (random_bits() % 4 ? 0 : (uint32_t)(random_bits() & 0xffff));
	for (unsigned i = 0; i < 8; i++) {
		static const uint16_t exponents[] = {0x3fff, 0x4000, 0xbfff, 0,      0x7fff, 0xffff,
						     0x3ffe, 0x4005, 0x403e, 0xc01e, 0x8000};
		uint64_t significand = random_bits() | 1ull << 63;
		uint16_t exponent = exponents[random_bits() % 11];

		switch (random_bits() % 4) {
		case 0: significand = 1ull << 63; break;
		case 1: significand = 3ull << 62; break;
		default: break;
		}
		if (!(exponent & 0x7fff))
			significand = random_bits() % 2 ? 0 : random_bits() >> 1;
		memcpy(image + 28 + 10 * i, &significand, 8);
		memcpy(image + 28 + 10 * i + 8, &exponent, 2);
	}
	/* Tags other than "empty" are made of the registers. */
	__asm__ volatile("frstor %0\n\tfnsave %0" : "+m"(*(uint8_t(*)[108])image));
}

/* Pointers to the last instruction are of no interest and not kept. Upper halves are reserved. */
static void clean_x87(uint8_t image[108])
{
	uint32_t *words = (uint32_t *)image;

	for (unsigned i = 0; i < 3; i++)
		words[i] &= 0xffff;
	memset(image + 12, 0, 16);
}

static void fill_state(struct state *state, uint32_t masks)
{
	memset(state, 0, sizeof(*state));
	for (unsigned i = 0; i < 2; i++)
		fill_vector(&state->xmm[i]);
	for (unsigned i = 0; i < sizeof(state->memory); i += 16) {
		union x86_xmm value;

		fill_vector(&value);
		memcpy(state->memory + i, &value, 16);
	}
	state->rcx = random_bits();
	state->rdx = random_bits() % 2 ? random_bits() : random_bits() >> 32;
	state->flags = RFLAGS_ONE | RFLAGS_IF | (random_bits() & RFLAGS_ARITHMETIC);
	/* Rounding, FTZ, DAZ and sticky flags at random. */
	state->mxcsr = (uint32_t)(random_bits() & ~(uint64_t)MXCSR_MASKS & MXCSR_DEFINED) | masks;
	fill_x87(state->x87);
}

static void print_insn(const uint8_t *insn, size_t len, const char *what)
{
	ZydisDisassembledInstruction text;
	static const uint8_t nops[16] = {0x90};
	uint8_t bytes[16];

	memcpy(bytes, nops, sizeof(bytes));
	memcpy(bytes, insn, len);
	ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, 0, bytes, sizeof(bytes), &text);
	print_error("%s: %s\n", text.text, what);
}

/* One instruction, @rounds times. @skew: of the memory operand from a multiple of 16. */
static void compare(struct x86_box *b, const uint8_t *insn, size_t len, unsigned skew,
		    unsigned rounds, uint32_t masks, bool x87)
{
	/* After cmocka's own, which it sets after the set-up function. */
	const struct sigaction action = {.sa_sigaction = on_fault,
					 .sa_flags = SA_SIGINFO | SA_NODEFER};
	static struct state here, there;

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGFPE, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	build_stub(insn, len, x87);
	for (unsigned i = 0; i < rounds; i++) {
		uint32_t unmasked_mxcsr;
		int signal, vector;

		fill_state(&here, masks);
		there = here;
		signal = run_on_host(&here, here.memory + skew);
		unmasked_mxcsr = fault_mxcsr;
		vector = run_on_guest(b, &there, skew, insn, len);
		if (vector < 0)
			print_insn(insn, len, b->cpu->end.text);
		assert_int_not_equal(vector, -1);
		switch (signal) {
		case SIGSEGV:
			if (vector != X86_GP)
				print_insn(insn, len, "the host demands alignment");
			assert_int_equal(vector, X86_GP);
			continue;
		case SIGFPE:
			if (vector != X86_XM)
				print_insn(insn, len, "the host raised #XM");
			assert_int_equal(vector, X86_XM);
			if (there.mxcsr != unmasked_mxcsr)
				print_insn(insn, len, "MXCSR after #XM");
			assert_int_equal(there.mxcsr, unmasked_mxcsr);
			continue;
		case SIGILL: print_insn(insn, len, "the host does not know this"); break;
		default: break;
		}
		assert_int_equal(signal, 0);
		if (vector)
			print_insn(insn, len, "the guest faulted");
		assert_int_equal(vector, 0);
		if (x87) {
			clean_x87(here.x87);
			clean_x87(there.x87);
		}
		if (memcmp(here.xmm, there.xmm, sizeof(here.xmm)) || here.rcx != there.rcx ||
		    here.rdx != there.rdx || here.mxcsr != there.mxcsr ||
		    (x87 && memcmp(here.x87, there.x87, sizeof(here.x87))) ||
		    memcmp(here.memory, there.memory, sizeof(here.memory)) ||
		    (here.flags ^ there.flags) & RFLAGS_ARITHMETIC)
			print_insn(insn, len, "differs");
		assert_memory_equal(here.xmm, there.xmm, sizeof(here.xmm));
		assert_int_equal(here.rcx, there.rcx);
		assert_int_equal(here.rdx, there.rdx);
		assert_int_equal(here.mxcsr, there.mxcsr);
		assert_int_equal(here.flags & RFLAGS_ARITHMETIC, there.flags & RFLAGS_ARITHMETIC);
		if (x87)
			assert_memory_equal(here.x87, there.x87, sizeof(here.x87));
		assert_memory_equal(here.memory, there.memory, sizeof(here.memory));
	}
}

static ZydisDecoder decoder;

/* Decodes @bytes; true if it is SSE or SSE2 on XMM registers and of the kind that is compared. */
static bool is_sse(const uint8_t *bytes, size_t *ret_len)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction decoded;
	bool xmm = false;

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, MAX_INSN, &decoded, operands)))
		return false;
	*ret_len = decoded.length;
	if (decoded.meta.isa_set != ZYDIS_ISA_SET_SSE && decoded.meta.isa_set != ZYDIS_ISA_SET_SSE2)
		return false;
	switch (decoded.mnemonic) {
	case ZYDIS_MNEMONIC_MASKMOVDQU: /* has a test of its own */
	case ZYDIS_MNEMONIC_CVTPI2PS:   /* MMX, which is not offered */
	case ZYDIS_MNEMONIC_CVTPI2PD: return false;
	default: break;
	}
	for (unsigned i = 0; i < decoded.operand_count; i++) {
		if (operands[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		if (ZydisRegisterGetClass(operands[i].reg.value) == ZYDIS_REGCLASS_MMX)
			return false;
		xmm |= ZydisRegisterGetClass(operands[i].reg.value) == ZYDIS_REGCLASS_XMM;
	}
	return xmm;
}

/* Calls for every SSE encoding with @modrm; returns how many there were. */
static unsigned for_each_sse(struct x86_box *b, uint8_t modrm, unsigned skew, unsigned rounds,
			     uint32_t masks)
{
	static const uint8_t prefixes[] = {0, 0x66, 0xf2, 0xf3};
	unsigned count = 0;

	for (unsigned p = 0; p < sizeof(prefixes); p++)
		for (unsigned wide = 0; wide < 2; wide++)
			for (unsigned opcode = 0; opcode < 256; opcode++) {
				uint8_t insn[MAX_INSN] = {0};
				size_t at = 0, len;

				if (prefixes[p])
					insn[at++] = prefixes[p];
				if (wide)
					insn[at++] = 0x48;
				insn[at++] = 0x0f;
				insn[at++] = (uint8_t)opcode;
				insn[at++] = modrm;
				insn[at] = (uint8_t)random_bits(); /* if it has an immediate */
				if (!is_sse(insn, &len))
					continue;
				count++;
				for (unsigned i = 0; i < (len > at ? 8 : 1); i++) {
					if (len > at && at < MAX_INSN) {
						insn[at] = (uint8_t)(random_bits() %
								     (i % 2 ? 256 : 20));
						/* Comparisons have 8 predicates, the rest is
						 * reserved. */
						if (opcode == 0xc2)
							insn[at] &= 7;
					}
					compare(b, insn, len, skew, rounds, masks, false);
				}
			}
	return count;
}

static int setup_with_stub(void **state)
{
	static struct x86_box b;

	x86_box_create(&b, true);
	b.cpu->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
	stub = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	assert_ptr_not_equal(stub, MAP_FAILED);
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	*state = &b;
	return 0;
}

static int teardown_with_stub(void **state)
{
	x86_box_destroy(*state);
	munmap(stub, 4096);
	return 0;
}

static void every_register_form_gives_the_hosts_results_and_flags(void **state)
{
	/* reg 1, rm 2 */
	assert_in_range(for_each_sse(*state, 0xca, 0, 150, MXCSR_MASKS), 180, 1000);
}

static void every_memory_form_gives_the_hosts_results_and_flags(void **state)
{
	/* reg 1, [rbx] */
	assert_in_range(for_each_sse(*state, 0x0b, 16, 60, MXCSR_MASKS), 180, 1000);
}

static void misaligned_operands_fault_where_they_do_on_the_host(void **state)
{
	for_each_sse(*state, 0x0b, 1, 2, MXCSR_MASKS);
}

static void shifts_by_immediates_give_the_hosts_results(void **state)
{
	static const uint8_t opcodes[] = {0x71, 0x72, 0x73};
	unsigned count = 0;

	for (unsigned i = 0; i < sizeof(opcodes); i++)
		for (unsigned reg = 0; reg < 8; reg++) {
			uint8_t insn[MAX_INSN] = {0x66, 0x0f, opcodes[i],
						  (uint8_t)(0xc2 | reg << 3), 0};
			size_t len;

			if (!is_sse(insn, &len))
				continue;
			count++;
			for (unsigned imm = 0; imm < 80; imm++) {
				insn[4] = (uint8_t)(imm < 70 ? imm : random_bits());
				compare(*state, insn, len, 0, 3, MXCSR_MASKS, false);
			}
		}
	assert_int_equal(count, 10);
}

/* Underflow and overflow stay masked: unmasked they are refused by name. */
static void unmasked_exceptions_raise_xm_with_the_hosts_flags(void **state)
{
	for (unsigned i = 0; i < 12; i++) {
		uint32_t masks = (MXCSR_UE | MXCSR_OE) << MXCSR_MASK_SHIFT;

		masks |= (uint32_t)random_bits() & MXCSR_MASKS;
		for_each_sse(*state, 0xca, 0, 10, masks);
	}
}

static void unmasked_overflow_and_underflow_are_refused_by_name(void **state)
{
	struct x86_box *b = *state;
	static const uint8_t insn[] = {0x0f, 0x59, 0xca}; /* mulps xmm1, xmm2 */
	struct state s;

	fill_state(&s, MXCSR_MASKS & ~(MXCSR_OE << MXCSR_MASK_SHIFT));
	for (unsigned i = 0; i < 4; i++)
		s.xmm[0].f32[i] = s.xmm[1].f32[i] = 1e30f;
	assert_int_equal(run_on_guest(b, &s, 0, insn, sizeof(insn)), -1);
	assert_int_equal(b->cpu->end.reason, UMBRA_END_ERROR);
	assert_non_null(strstr(b->cpu->end.text, "unmasked SSE overflow"));
	assert_int_equal(b->cpu->end.rip, CODE);

	b->cpu->ended = false;
	b->cpu->gpr[X86_RBX] = DATA;
	put64(b, DATA, MXCSR_MASKS & ~(MXCSR_UE << MXCSR_MASK_SHIFT));
	RUN(b, "\x0f\xae\x13"); /* ldmxcsr [rbx] */
	assert_true(b->cpu->ended);
	assert_non_null(strstr(b->cpu->end.text, "unmasked SSE underflow"));
}

static void unmasked_exceptions_without_osxmmexcpt_are_undefined(void **state)
{
	struct x86_box *b = *state;
	/* divps xmm1, xmm2 */
	static const uint8_t insn[] = {0x0f, 0x5e, 0xca};
	struct state s;

	fill_state(&s, MXCSR_MASKS & ~(MXCSR_ZE << MXCSR_MASK_SHIFT));
	for (unsigned i = 0; i < 4; i++) {
		s.xmm[0].f32[i] = 1;
		s.xmm[1].f32[i] = 0;
	}
	b->cpu->cr4 &= ~CR4_OSXMMEXCPT;
	assert_int_equal(run_on_guest(b, &s, 0, insn, sizeof(insn)), X86_UD);
	b->cpu->cr4 |= CR4_OSXMMEXCPT;
}

static void control_bits_decide_whether_sse_executes(void **state)
{
	static const struct {
		uint64_t cr0, cr4;
		int vector;
	} cases[] = {
		{0, CR4_OSFXSR, 0},           {CR0_EM, CR4_OSFXSR, X86_UD},
		{CR0_TS, CR4_OSFXSR, X86_NM}, {0, 0, X86_UD},
		{CR0_TS, 0, X86_UD},          {CR0_TS | CR0_EM, CR4_OSFXSR, X86_UD},
	};
	/* paddb xmm1, xmm2; movaps xmm1, xmm2; addss xmm1, xmm2 */
	static const uint8_t insns[][4] = {
		{0x66, 0x0f, 0xfc, 0xca}, {0x0f, 0x28, 0xca, 0}, {0xf3, 0x0f, 0x58, 0xca}};
	static const uint8_t lengths[] = {4, 3, 4};
	struct x86_box *b = *state;
	uint64_t cr0 = b->cpu->cr0, cr4 = b->cpu->cr4;
	struct state s;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (unsigned j = 0; j < 3; j++) {
			fill_state(&s, MXCSR_MASKS);
			b->cpu->cr0 = cr0 | cases[i].cr0;
			b->cpu->cr4 = (cr4 & ~CR4_OSFXSR) | cases[i].cr4;
			assert_int_equal(run_on_guest(b, &s, 0, insns[j], lengths[j]),
					 cases[i].vector);
		}
	b->cpu->cr0 = cr0;
	b->cpu->cr4 = cr4;
}

static void maskmovdqu_stores_the_selected_bytes_alone(void **state)
{
	struct x86_box *b = *state;
	union x86_xmm after;

	for (unsigned i = 0; i < 16; i++) {
		b->cpu->xmm[1].u8[i] = (uint8_t)(0x10 + i);
		b->cpu->xmm[2].u8[i] = i % 3 ? 0x7f : 0x80;
	}
	put64(b, DATA, UINT64_MAX);
	put64(b, DATA + 8, UINT64_MAX);
	b->cpu->gpr[X86_RDI] = DATA;
	RUN(b, "\x66\x0f\xf7\xca");
	assert_completed(b, "\x66\x0f\xf7\xca");
	after.u64[0] = get64(b, DATA);
	after.u64[1] = get64(b, DATA + 8);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(after.u8[i], i % 3 ? 0xff : 0x10 + i);
}

static void fxrstor_restores_what_fxsave_stored(void **state)
{
	struct x86_box *b = *state;
	union x86_xmm xmm[16];
	struct state s;

	fill_state(&s, MXCSR_MASKS);
	memcpy(&b->cpu->x87, s.x87, sizeof(s.x87));
	for (unsigned i = 0; i < 16; i++) {
		fill_vector(&b->cpu->xmm[i]);
		xmm[i] = b->cpu->xmm[i];
	}
	b->cpu->mxcsr = s.mxcsr;
	b->cpu->gpr[X86_RBX] = DATA;
	put64(b, DATA + 416, 0x1122334455667788);
	RUN(b, "\x0f\xae\x03");
	assert_completed(b, "\x0f\xae\x03");
	/* Bytes that are the program's stay; MXCSR and its mask are where the manual has them. */
	assert_int_equal(get64(b, DATA + 416), 0x1122334455667788);
	assert_int_equal(get32(b, DATA + 24), s.mxcsr);
	assert_int_equal(get32(b, DATA + 28), 0xffff);
	assert_int_equal(get64(b, DATA + 160 + 16 * 15), xmm[15].u64[0]);

	memset(b->cpu->xmm, 0, sizeof(b->cpu->xmm));
	b->cpu->mxcsr = MXCSR_MASKS;
	RUN(b, "\xdb\xe3\x0f\xae\x0b"); /* fninit; fxrstor [rbx] */
	assert_completed(b, "\xdb\xe3\x0f\xae\x0b");
	assert_memory_equal(b->cpu->xmm, xmm, sizeof(xmm));
	assert_int_equal(b->cpu->mxcsr, s.mxcsr);
	assert_memory_equal(b->cpu->x87.st, s.x87 + 28, 80);
	assert_int_equal(b->cpu->x87.status & 0xffff, ((uint32_t *)s.x87)[1] & 0xffff);
	for (unsigned i = 0; i < 8; i++) /* empty or not is what FXSAVE keeps of tags */
		assert_int_equal((b->cpu->x87.tag >> 2 * i & 3) == 3,
				 (((uint32_t *)s.x87)[2] >> 2 * i & 3) == 3);
}

static void reserved_bits_of_mxcsr_are_protected(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RBX] = DATA;
	b->cpu->mxcsr = MXCSR_MASKS;
	put64(b, DATA, 0x11f80);
	RUN(b, "\x0f\xae\x13"); /* ldmxcsr [rbx] */
	assert_handler(b, X86_GP);
	assert_int_equal(b->cpu->mxcsr, MXCSR_MASKS);
}

static void x87_gives_the_hosts_results_and_state(void **state)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction decoded;
	unsigned count = 0;

	for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++)
		for (unsigned modrm = 0; modrm < 256; modrm++) {
			uint8_t insn[MAX_INSN] = {(uint8_t)opcode, (uint8_t)modrm};

			/* Registers, and [rbx] of each kind. */
			if (modrm < 0xc0 && (modrm & 0xc7) != 3)
				continue;
			if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, insn, MAX_INSN, &decoded,
								 operands)))
				continue;
			switch (decoded.mnemonic) {
			case ZYDIS_MNEMONIC_FLDCW: /* would unmask */
			case ZYDIS_MNEMONIC_FLDENV:
			case ZYDIS_MNEMONIC_FRSTOR:
			case ZYDIS_MNEMONIC_FNSTENV:
			case ZYDIS_MNEMONIC_FNSAVE:
			case ZYDIS_MNEMONIC_FISTTP: /* SSE3 */
			case ZYDIS_MNEMONIC_FNSTSW: /* writes rax in one form */
			case ZYDIS_MNEMONIC_FENI8087_NOP:
			case ZYDIS_MNEMONIC_FDISI8087_NOP:
			case ZYDIS_MNEMONIC_FSETPM287_NOP:
			case ZYDIS_MNEMONIC_FSTPNCE:
			case ZYDIS_MNEMONIC_FFREEP: continue;
			case ZYDIS_MNEMONIC_FCOM: /* aliases that no manual lists */
			case ZYDIS_MNEMONIC_FCOMP:
			case ZYDIS_MNEMONIC_FXCH:
			case ZYDIS_MNEMONIC_FSTP:
				if (modrm >= 0xc0 &&
				    (opcode == 0xdc || opcode == 0xde || opcode == 0xdf ||
				     (opcode == 0xdd && modrm < 0xd0)))
					continue;
				break;
			default: break;
			}
			count++;
			compare(*state, insn, decoded.length, 16, 40, MXCSR_MASKS, true);
		}
	assert_in_range(count, 250, 512);
}

static void x87_control_instructions_do_as_the_manual_says(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RBX] = DATA;
	b->cpu->gpr[X86_RAX] = 0x1234567890abcdef;
	b->cpu->x87.status = 0xffff;
	put64(b, DATA, 0x0c7f);
	/* fninit; fld1; fldcw [rbx]; fnstsw ax; fnstcw [rbx+8]; fwait */
	RUN(b, "\xdb\xe3\xd9\xe8\xd9\x2b\xdf\xe0\xd9\x7b\x08\x9b");
	assert_completed(b, "\xdb\xe3\xd9\xe8\xd9\x2b\xdf\xe0\xd9\x7b\x08\x9b");
	assert_int_equal(b->cpu->gpr[X86_RAX], 0x1234567890ab3800); /* TOP is 7 */
	assert_int_equal(get64(b, DATA + 8) & 0xffff, 0x0c7f);

	b->cpu->cr0 |= CR0_TS;
	RUN(b, "\xd9\xe8");
	assert_handler(b, X86_NM);
	RUN(b, "\x9b"); /* FWAIT looks at TS only with MP */
	assert_completed(b, "\x9b");
	b->cpu->cr0 |= CR0_MP;
	RUN(b, "\x9b");
	assert_handler(b, X86_NM);
	b->cpu->cr0 &= ~(CR0_TS | CR0_MP);
}

#define TEST(function)                                                                             \
	cmocka_unit_test_setup_teardown(function, setup_with_stub, teardown_with_stub)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_register_form_gives_the_hosts_results_and_flags),
		TEST(every_memory_form_gives_the_hosts_results_and_flags),
		TEST(misaligned_operands_fault_where_they_do_on_the_host),
		TEST(shifts_by_immediates_give_the_hosts_results),
		TEST(unmasked_exceptions_raise_xm_with_the_hosts_flags),
		TEST(unmasked_overflow_and_underflow_are_refused_by_name),
		TEST(unmasked_exceptions_without_osxmmexcpt_are_undefined),
		TEST(control_bits_decide_whether_sse_executes),
		TEST(maskmovdqu_stores_the_selected_bytes_alone),
		TEST(fxrstor_restores_what_fxsave_stored),
		TEST(reserved_bits_of_mxcsr_are_protected),
		TEST(x87_gives_the_hosts_results_and_state),
		TEST(x87_control_instructions_do_as_the_manual_says),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
