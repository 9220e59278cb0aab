/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SSE and SSE2 against the host's own CPU: every encoding that belongs to them is executed
 * here and there with random operands, and all that it may change is compared.
 */
#include "host_fixture.h"

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
					compare(b, insn, len, skew, rounds, masks, NO_X87);
				}
			}
	return count;
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
				compare(*state, insn, len, 0, 3, MXCSR_MASKS, NO_X87);
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

	fill_state(&s, MXCSR_MASKS & ~(MXCSR_OE << MXCSR_MASK_SHIFT), false);
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
		TEST(unmasked_overflow_and_underflow_are_refused_by_name),
		TEST(unmasked_exceptions_without_osxmmexcpt_are_undefined),
		TEST(control_bits_decide_whether_sse_executes),
		TEST(maskmovdqu_stores_the_selected_bytes_alone),
		TEST(fxrstor_restores_what_fxsave_stored),
		TEST(reserved_bits_of_mxcsr_are_protected),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
