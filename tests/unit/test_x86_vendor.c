/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What user-level instructions do differently on the models of two vendors; found by tests/native.
 */
#include <setjmp.h>

#include "x86_system_fixture.h"
#include "x86/model.h"

static const char *const processors[] = {"skylake", "zen2"};

#define FOR_BOTH(b, amd)                                                                           \
	for (unsigned amd = 0; amd < 2 && ((b)->cpu->model = x86_model_find(processors[amd]));     \
	     amd++)

static void push_of_a_selector_writes_16_bits_on_intel_and_32_on_amd(void **state)
{
	struct x86_box *b = *state;

	FOR_BOTH(b, amd)
	{
		b->cpu->gpr[X86_RSP] = DATA + 8;
		put64(b, DATA, UINT64_MAX);
		put64(b, DATA + 8, UINT64_MAX);
		RUN(b, "\x1e"); /* push ds */
		assert_completed(b, "\x1e");
		assert_int_equal(b->cpu->gpr[X86_RSP], DATA + 4);
		assert_int_equal(get32(b, DATA + 4),
				 (amd ? 0 : 0xffff0000) | b->cpu->segment[X86_DS].selector);
		assert_int_equal(get32(b, DATA + 8), UINT32_MAX);
	}
}

static void bound_reads_the_upper_bound_only_where_the_lower_holds_on_intel(void **state)
{
	struct x86_box *b = *state;
	const uint32_t edge = DATA + 8; /* DS ends there */

	b->cpu->segment[X86_DS].limit = edge - 1;
	FOR_BOTH(b, amd)
	{
		b->cpu->gpr[X86_RSP] = STACK;
		b->cpu->gpr[X86_RBX] = edge - 4;
		put(b, edge - 4, "\5\0\0", 4);
		b->cpu->gpr[X86_RAX] = 4;
		RUN(b, "\x62\x03"); /* bound eax, [ebx] */
		assert_handler(b, amd ? X86_GP : X86_BR);
		b->cpu->gpr[X86_RAX] = 5;
		RUN(b, "\x62\x03");
		assert_handler(b, X86_GP);
	}
}

static void rep_with_32_bit_addresses_first_cuts_its_registers_on_intel(void **state)
{
	const uint64_t upper = 0x1234567800000000;
	struct x86_box *b = *state;

	FOR_BOTH(b, amd)
	{
		b->cpu->gpr[X86_RCX] = upper;
		b->cpu->gpr[X86_RSI] = b->cpu->gpr[X86_RDI] = upper | DATA;
		RUN(b, "\x67\xf3\xac"); /* rep lodsb */
		assert_int_equal(b->cpu->gpr[X86_RCX], amd ? upper : 0);
		assert_int_equal(b->cpu->gpr[X86_RSI], upper | DATA);
		b->cpu->gpr[X86_RCX] = upper;
		RUN(b, "\x67\xf3\xaa"); /* rep stosb */
		assert_int_equal(b->cpu->gpr[X86_RDI], (amd ? upper : 0) | DATA);
		assert_int_equal(b->cpu->gpr[X86_RSI], upper | DATA);
		RUN(b, "\x67\xf3\xa4"); /* rep movsb */
		assert_int_equal(b->cpu->gpr[X86_RSI], (amd ? upper : 0) | DATA);
	}
}

static void a_fault_of_repeated_scas_keeps_the_flags_on_intel(void **state)
{
	struct x86_box *b = *state;
	const uint64_t edge = 1ull << 20;

	FOR_BOTH(b, amd)
	{
		b->cpu->gpr[X86_RSP] = STACK;
		b->cpu->gpr[X86_RDI] = edge - 4;
		b->cpu->gpr[X86_RCX] = 100;
		b->cpu->gpr[X86_RAX] = 1;
		put(b, edge - 4, "\2\2\2\2", 4);
		x86_set_flags(b->cpu, RFLAGS_ONE | RFLAGS_ZF);
		RUN(b, "\xf2\xae"); /* repne scasb */
		assert_handler(b, X86_PF);
		assert_int_equal(b->cpu->gpr[X86_RCX], 96);
		assert_int_equal(x86_flags(b->cpu) & RFLAGS_ZF, amd ? 0 : RFLAGS_ZF);
		assert_int_equal(x86_flags(b->cpu) & RFLAGS_CF, amd ? RFLAGS_CF : 0);
	}
}

static void dpps_has_the_nan_of_each_elements_own_sum_on_intel(void **state)
{
	struct x86_box *b = *state;

	b->cpu->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
	FOR_BOTH(b, amd)
	{
		for (unsigned i = 0; i < 4; i++) {
			b->cpu->xmm[1].u32[i] = 0x7fc00001 + i;
			b->cpu->xmm[2].f32[i] = 1;
		}
		b->cpu->mxcsr = 0x1f80;
		RUN(b, "\x66\x0f\x3a\x40\xca\xff"); /* dpps xmm1, xmm2, 0xff */
		assert_completed(b, "\x66\x0f\x3a\x40\xca\xff");
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(b->cpu->xmm[1].u32[i], 0x7fc00001 + (amd ? 0 : i ^ 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST_IN(setup_, function) cmocka_unit_test_setup_teardown(function, setup_, teardown)
		TEST_IN(setup_32, push_of_a_selector_writes_16_bits_on_intel_and_32_on_amd),
		TEST_IN(setup_32, bound_reads_the_upper_bound_only_where_the_lower_holds_on_intel),
		TEST_IN(setup_64, rep_with_32_bit_addresses_first_cuts_its_registers_on_intel),
		TEST_IN(setup_64, a_fault_of_repeated_scas_keeps_the_flags_on_intel),
		TEST_IN(setup_64, dpps_has_the_nan_of_each_elements_own_sum_on_intel),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
