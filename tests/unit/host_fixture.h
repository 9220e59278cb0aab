/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions on XMM, MMX and x87 registers executed on the host's own CPU and on the guest's with
 * the same random operands; all that they may change is compared.
 */
#ifndef TESTS_HOST_FIXTURE_H
#define TESTS_HOST_FIXTURE_H

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "host_vendor.h"
#include "x86_system_fixture.h"
#include "x86/sse.h"
#include "x86/x87.h"

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

static uint8_t *stub; /* executable */
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

/* The guest's x87 state from and to what FNSAVE stores on the host. */
static void set_x87(struct x86_cpu *cpu, const uint8_t image[108])
{
	uint16_t words[6];

	memcpy(words, image, sizeof(words));
	x86_x87_set_control(&cpu->x87, words[0]);
	x86_x87_set_status(&cpu->x87, words[2]);
	x86_x87_set_tags(&cpu->x87, words[4]);
	for (unsigned i = 0; i < 8; i++)
		memcpy(x87_st(&cpu->x87, i), image + 28 + 10 * i, 10);
}

static void get_x87(struct x86_cpu *cpu, uint8_t image[108])
{
	const uint32_t words[3] = {cpu->x87.control, x86_x87_status(&cpu->x87),
				   x86_x87_tags(&cpu->x87)};

	memset(image, 0, 108);
	memcpy(image, words, sizeof(words));
	for (unsigned i = 0; i < 8; i++)
		memcpy(image + 28 + 10 * i, x87_st(&cpu->x87, i), 10);
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
	set_x87(cpu, state->x87);
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
	get_x87(cpu, state->x87);
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

static void fill_x87(uint8_t image[108], bool unmasked)
{
	uint32_t *words = (uint32_t *)image;

	memset(image, 0, 108);
	/* Rounding and precision at random; any top, flags, condition code. */
	words[0] = 0xffff007f | (uint32_t)(random_bits() & 0xf00);
	if (unmasked)
		words[0] &= (uint32_t)random_bits() | ~0x3fu;
	if ((words[0] & 0x300) == 0x100) /* a reserved precision */
		words[0] |= 0x300;
	words[1] = 0xffff0000 | (uint32_t)(random_bits() & 0x7f7f);
	if (unmasked && random_bits() % 4) /* nothing pending */
		words[1] &= words[0] | ~0x3fu;
	words[2] = 0xffff0000 | (random_bits() % 4 ? 0 : (uint32_t)(random_bits() & 0xffff));
	for (unsigned i = 0; i < 8; i++) {
		static const uint16_t exponents[] = {0x3fff, 0x4000, 0xbfff, 0,      0x7fff, 0xffff,
						     0x3ffe, 0x4005, 0x403e, 0xc01e, 0x8000};
		uint64_t significand = random_bits() | 1ull << 63;
		uint16_t exponent = exponents[random_bits() % 11];

		switch (random_bits() % 4) {
		case 0: significand = 1ull << 63; break;
		case 1: significand = 3ull << 62; break;
		case 2:
			if (random_bits() % 8 == 0)
				exponent = (uint16_t)random_bits();
			break;
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

/*
 * Where processors leave the manual and the guest's goes by SDM 1 8.5.2 and SDM 2: FCOMI and its
 * like clear C1 (AMD's and Intel's leave it). After an unmasked invalid or denormal operand
 * comparisons leave C0, C2, C3 and RFLAGS as they were (AMD's set them), and FLD of a denormal
 * pushes nothing (AMD's push the number). True: nothing to compare.
 */
static bool hide_differences(const uint8_t *insn, uint8_t here[108], uint8_t there[108])
{
	bool to_flags = (insn[0] == 0xdb || insn[0] == 0xdf) && insn[1] >= 0xe8;
	bool load = (insn[0] == 0xd9 || insn[0] == 0xdd) && insn[1] < 0x08;
	uint32_t *words = (uint32_t *)here, hidden = to_flags ? X87_C1 : 0;
	uint32_t unmasked = words[1] & ~words[0];

	if (unmasked & (X87_IE | X87_DE | X87_ZE))
		hidden |= X87_C0 | X87_C2 | X87_C3;
	words[1] &= ~hidden;
	((uint32_t *)there)[1] &= ~hidden;
	return (load && (unmasked & X87_DE)) || (to_flags && (unmasked & (X87_IE | X87_DE)));
}

static void fill_state(struct state *state, uint32_t masks, bool unmasked_x87)
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
	fill_x87(state->x87, unmasked_x87);
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

/* Whether x87 or MMX registers take part, and whether x87 exceptions are unmasked. */
enum x87_part { NO_X87, X87_MASKED, X87_UNMASKED };

/* One instruction, @rounds times. @skew: of the memory operand from a multiple of 16. */
static inline void compare(struct x86_box *b, const uint8_t *insn, size_t len, unsigned skew,
			   unsigned rounds, uint32_t masks, enum x87_part x87)
{
	/* After cmocka's own, which it sets after the set-up function. */
	const struct sigaction action = {.sa_sigaction = on_fault,
					 .sa_flags = SA_SIGINFO | SA_NODEFER};
	static struct state here, there;

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGFPE, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	build_stub(insn, len, x87 != NO_X87);
	for (unsigned i = 0; i < rounds; i++) {
		uint32_t unmasked_mxcsr;
		int signal, vector;

		fill_state(&here, masks, x87 == X87_UNMASKED);
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
			if (vector == X86_MF)
				continue;
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
			if (hide_differences(insn, here.x87, there.x87))
				continue;
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

static int setup_with_stub(void **state)
{
	static struct x86_box b;

	x86_box_create(&b, true);
	b.cpu->model = host_model();
	b.cpu->cr0 |= CR0_NE;
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

#define TEST(function)                                                                             \
	cmocka_unit_test_setup_teardown(function, setup_with_stub, teardown_with_stub)

#endif
