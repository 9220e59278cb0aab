/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SSE to SSE4.2 and MMX against the host's own CPU: every encoding of theirs is executed
 * here and there with random operands, and all that it may change is compared.
 */
#include "host_fixture.h"
#include "x86/decode.h"

/* Decodes @bytes; true if it is one of those that are compared, on XMM or on MMX registers. */
static bool is_compared(const uint8_t *bytes, bool with_mmx, size_t *ret_len)
{
	static const ZydisISASet sets[] = {
		ZYDIS_ISA_SET_SSE,     ZYDIS_ISA_SET_SSE2,     ZYDIS_ISA_SET_SSE3,
		ZYDIS_ISA_SET_SSSE3,   ZYDIS_ISA_SET_SSE4,     ZYDIS_ISA_SET_SSE42,
		ZYDIS_ISA_SET_SSE2MMX, ZYDIS_ISA_SET_SSSE3MMX, ZYDIS_ISA_SET_PENTIUMMMX,
	};
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction decoded;
	bool xmm = false, mmx = false, listed = false;

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, MAX_INSN, &decoded, operands)))
		return false;
	*ret_len = decoded.length;
	for (unsigned i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		listed |= decoded.meta.isa_set == sets[i];
	switch (decoded.mnemonic) {
	case ZYDIS_MNEMONIC_MASKMOVDQU: /* have tests of their own */
	case ZYDIS_MNEMONIC_MASKMOVQ:
	case ZYDIS_MNEMONIC_PBLENDVB: /* XMM0, RAX are not the test's: tests/native has them */
	case ZYDIS_MNEMONIC_BLENDVPS:
	case ZYDIS_MNEMONIC_BLENDVPD:
	case ZYDIS_MNEMONIC_PCMPESTRI:
	case ZYDIS_MNEMONIC_PCMPESTRM: return false;
	default: break;
	}
	for (unsigned i = 0; i < decoded.operand_count; i++) {
		if (operands[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		mmx |= ZydisRegisterGetClass(operands[i].reg.value) == ZYDIS_REGCLASS_MMX;
		xmm |= ZydisRegisterGetClass(operands[i].reg.value) == ZYDIS_REGCLASS_XMM;
	}
	listed &= x86_isa_offered(decoded.meta.isa_set);
	return listed && (with_mmx ? mmx : xmm && !mmx);
}

enum registers { XMM, MMX };

/* One encoding, with several immediates if it has one. */
static void compare_encoding(struct x86_box *b, uint8_t *insn, size_t at, size_t len, unsigned skew,
			     unsigned rounds, uint32_t masks, enum registers registers)
{
	bool compares = insn[at - 2] == 0xc2;

	for (unsigned i = 0; i < (len > at ? 8 : 1); i++) {
		/* Comparisons have 8 predicates, the rest is reserved. */
		if (len > at && at < MAX_INSN)
			insn[at] = (uint8_t)(random_bits() % (compares ? 8 : i % 2 ? 256 : 20));
		compare(b, insn, len, skew, rounds, masks, registers == MMX ? X87_MASKED : NO_X87);
	}
}

/* Calls for every encoding with @modrm; returns how many there were. */
static unsigned for_each_sse(struct x86_box *b, uint8_t modrm, unsigned skew, unsigned rounds,
			     uint32_t masks, enum registers registers)
{
	static const uint8_t prefixes[] = {0, 0x66, 0xf2, 0xf3};
	static const uint8_t maps[] = {0, 0x38, 0x3a};
	unsigned count = 0;

	for (unsigned i = 0; i < sizeof(prefixes) * sizeof(maps) * 2 * 256; i++) {
		uint8_t insn[MAX_INSN] = {0};
		size_t at = 0, len;

		if (!maps[i >> 11] && ((uint8_t)i == 0x38 || (uint8_t)i == 0x3a))
			continue;
		if (prefixes[i >> 8 & 3])
			insn[at++] = prefixes[i >> 8 & 3];
		if (i >> 10 & 1)
			insn[at++] = 0x48;
		insn[at++] = 0x0f;
		if (maps[i >> 11])
			insn[at++] = maps[i >> 11];
		insn[at++] = (uint8_t)i;
		insn[at++] = modrm;
		insn[at] = (uint8_t)random_bits(); /* if it has an immediate */
		if (!is_compared(insn, registers == MMX, &len))
			continue;
		count++;
		compare_encoding(b, insn, at, len, skew, rounds, masks, registers);
	}
	return count;
}

static void every_register_form_gives_the_hosts_results_and_flags(void **state)
{
	/* reg 1, rm 2 */
	assert_in_range(for_each_sse(*state, 0xca, 0, 100, MXCSR_MASKS, XMM), 420, 1000);
}

static void every_memory_form_gives_the_hosts_results_and_flags(void **state)
{
	/* reg 1, [rbx] */
	assert_in_range(for_each_sse(*state, 0x0b, 16, 40, MXCSR_MASKS, XMM), 420, 1000);
}

static void misaligned_operands_fault_where_they_do_on_the_host(void **state)
{
	for_each_sse(*state, 0x0b, 1, 2, MXCSR_MASKS, XMM);
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

			if (!is_compared(insn, false, &len))
				continue;
			count++;
			for (unsigned imm = 0; imm < 80; imm++) {
				insn[4] = (uint8_t)(imm < 70 ? imm : random_bits());
				compare(*state, insn, len, 0, 3, MXCSR_MASKS, NO_X87);
			}
		}
	assert_int_equal(count, 10);
}

static void unmasked_exceptions_raise_xm_with_the_hosts_flags(void **state)
{
	for (unsigned i = 0; i < 16; i++)
		for_each_sse(*state, 0xca, 0, 8, (uint32_t)random_bits() & MXCSR_MASKS, XMM);
}

static void every_mmx_form_gives_the_hosts_results_and_flags(void **state)
{
	assert_in_range(for_each_sse(*state, 0xca, 0, 60, MXCSR_MASKS, MMX), 130, 400);
	assert_in_range(for_each_sse(*state, 0x0b, 16, 40, MXCSR_MASKS, MMX), 130, 400);
	for_each_sse(*state, 0x0b, 5, 2, MXCSR_MASKS, MMX); /* need not be aligned */
}

static void unmasked_exceptions_without_osxmmexcpt_are_undefined(void **state)
{
	struct x86_box *b = *state;
	/* divps xmm1, xmm2 */
	static const uint8_t insn[] = {0x0f, 0x5e, 0xca};
	struct state s;

	fill_state(&s, MXCSR_MASKS & ~(MXCSR_ZE << MXCSR_MASK_SHIFT), false);
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
			fill_state(&s, MXCSR_MASKS, false);
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
	uint8_t after[sizeof(((struct state *)0)->x87)];
	union x86_xmm xmm[16];
	struct state s;

	fill_state(&s, MXCSR_MASKS, false);
	set_x87(b->cpu, s.x87);
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
	get_x87(b->cpu, after);
	clean_x87(s.x87);
	assert_memory_equal(after, s.x87, sizeof(after));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_register_form_gives_the_hosts_results_and_flags),
		TEST(every_memory_form_gives_the_hosts_results_and_flags),
		TEST(misaligned_operands_fault_where_they_do_on_the_host),
		TEST(shifts_by_immediates_give_the_hosts_results),
		TEST(unmasked_exceptions_raise_xm_with_the_hosts_flags),
		TEST(every_mmx_form_gives_the_hosts_results_and_flags),
		TEST(unmasked_exceptions_without_osxmmexcpt_are_undefined),
		TEST(control_bits_decide_whether_sse_executes),
		TEST(maskmovdqu_stores_the_selected_bytes_alone),
		TEST(fxrstor_restores_what_fxsave_stored),
		TEST(reserved_bits_of_mxcsr_are_protected),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
