/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS (SDM 2; SDM 3A 5.8.7, 5.8.8; APM 3). */
#include "x86_system_fixture.h"

#include "x86/model.h"

static void syscall_and_sysret_are_each_others_inverse(void **state)
{
	struct x86_box *b = *state;
	struct x86_cpu *cpu = b->cpu;

	cpu->star = (uint64_t)KERNEL_CODE_64 << 32 | 0x20ull << 48;
	cpu->lstar = CODE + 0x100;
	cpu->sfmask = RFLAGS_IF | RFLAGS_DF;
	RUN(b, "\x0f\x05");
	assert_handler(b, X86_UD); /* EFER.SCE is clear */

	cpu->efer |= EFER_SCE;
	to_user(b);
	x86_set_flags(cpu, RFLAGS_IF | RFLAGS_DF | RFLAGS_CF);
	put(b, CODE + 0x100, "\x48\x0f\x07", 3); /* sysretq */
	RUN_ONE(b, "\x0f\x05");
	assert_int_equal(cpu->gpr[X86_RIP], CODE + 0x100);
	assert_int_equal(cpu->gpr[X86_RCX], CODE + 2);
	assert_int_equal(cpu->gpr[X86_R11], RFLAGS_ONE | RFLAGS_IF | RFLAGS_DF | RFLAGS_CF);
	assert_int_equal(x86_flags(cpu), RFLAGS_ONE | RFLAGS_CF);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->segment[X86_CS].selector, KERNEL_CODE_64);
	assert_int_equal(cpu->segment[X86_SS].selector, KERNEL_DATA);

	RUN_ONE(b, "\x48\x0f\x07");
	assert_int_equal(cpu->gpr[X86_RIP], CODE + 2);
	assert_int_equal(cpu->cpl, 3);
	assert_int_equal(cpu->segment[X86_CS].selector, USER_CODE_64);
	assert_int_equal(cpu->segment[X86_SS].selector, USER_DATA);
	assert_int_equal(x86_flags(cpu), RFLAGS_ONE | RFLAGS_IF | RFLAGS_DF | RFLAGS_CF);
	RUN(b, "\x48\x0f\x07");
	assert_handler(b, X86_GP); /* CPL is 3 */
}

static void sysret_to_an_address_that_is_not_canonical_faults_in_the_kernel(void **state)
{
	struct x86_box *b = *state;

	b->cpu->efer |= EFER_SCE;
	b->cpu->gpr[X86_RCX] = 1ull << 47;
	RUN(b, "\x48\x0f\x07");
	assert_handler(b, X86_GP);
	assert_int_equal(get64(b, b->cpu->gpr[X86_RSP] + 16), KERNEL_CODE_64);
}

static void swapgs_exchanges_bases_in_the_kernel_only(void **state)
{
	struct x86_box *b = *state;

	b->cpu->segment[X86_GS].base = 0x1111;
	b->cpu->kernel_gs_base = 0x2222;
	RUN(b, "\x0f\x01\xf8");
	assert_completed(b, "\x0f\x01\xf8");
	assert_int_equal(b->cpu->segment[X86_GS].base, 0x2222);
	assert_int_equal(b->cpu->kernel_gs_base, 0x1111);
	to_user(b);
	RUN(b, "\x0f\x01\xf8");
	assert_handler(b, X86_GP);
}

/* SDM 2 SYSCALL: SS is STAR[47:32] + 8, and only CS loses the low bits. */
static void syscall_takes_ss_from_star_as_it_is(void **state)
{
	struct x86_box *b = *state;

	b->cpu->efer |= EFER_SCE;
	b->cpu->star = (uint64_t)(KERNEL_CODE_64 | 3) << 32;
	b->cpu->lstar = HANDLERS;
	to_user(b);
	RUN_ONE(b, "\x0f\x05");
	assert_int_equal(b->cpu->segment[X86_CS].selector, KERNEL_CODE_64);
	assert_int_equal(b->cpu->segment[X86_SS].selector, (KERNEL_CODE_64 | 3) + 8);
	assert_int_equal(b->cpu->cpl, 0);
}

static void syscall_is_undefined_without_sce(void **state)
{
	struct x86_box *b = *state;

	RUN(b, "\x0f\x05");
	assert_handler(b, X86_UD);
	RUN(b, "\x0f\x07");
	assert_handler(b, X86_UD);
}

static void intel_has_syscall_in_64_bit_mode_only(void **state)
{
	struct x86_box *b = *state;

	b->cpu->efer |= EFER_SCE;
	RUN(b, "\x0f\x05");
	assert_handler(b, X86_UD);
}

/* APM 3 SYSCALL, SYSRET: legacy mode takes EIP from STAR and leaves no flags behind. */
static void amd_has_syscall_in_legacy_mode_too(void **state)
{
	struct x86_box *b = *state;

	b->cpu->model = x86_model_find("zen2");
	b->cpu->efer |= EFER_SCE;
	b->cpu->star =
		HANDLERS | (uint64_t)KERNEL_CODE_32 << 32 | (uint64_t)(USER_CODE_32 & ~3) << 48;
	to_user(b);
	x86_set_flags(b->cpu, RFLAGS_IF | RFLAGS_CF | RFLAGS_ONE);
	RUN_ONE(b, "\x0f\x05");
	assert_int_equal(b->cpu->gpr[X86_RIP], HANDLERS);
	assert_int_equal(b->cpu->gpr[X86_RCX], CODE + 2);
	assert_int_equal(x86_flags(b->cpu), RFLAGS_CF | RFLAGS_ONE);
	assert_int_equal(b->cpu->segment[X86_CS].selector, KERNEL_CODE_32);
	assert_int_equal(b->cpu->cpl, 0);
	RUN_ONE(b, "\x0f\x07");
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 2);
	assert_int_equal(b->cpu->segment[X86_CS].selector, USER_CODE_32);
	assert_int_equal(b->cpu->segment[X86_SS].selector, USER_DATA);
	assert_int_equal(x86_flags(b->cpu), RFLAGS_IF | RFLAGS_CF | RFLAGS_ONE);
	assert_int_equal(b->cpu->cpl, 3);
}

/* APM 3 SYSRET: RCX is not checked in the kernel, the fetch at CPL 3 faults. */
static void amd_s_sysret_leaves_the_kernel_before_it_faults(void **state)
{
	struct x86_box *b = *state;

	b->cpu->model = x86_model_find("zen2");
	b->cpu->efer |= EFER_SCE;
	b->cpu->star = (uint64_t)(USER_CODE_32 & ~3) << 48;
	b->cpu->gpr[X86_RCX] = 1ull << 60;
	b->cpu->gpr[X86_R11] = RFLAGS_ONE;
	RUN(b, "\x48\x0f\x07");
	assert_handler(b, X86_GP);
	assert_int_equal(get64(b, b->cpu->gpr[X86_RSP] + 8), 1ull << 60);
	assert_int_equal(get64(b, b->cpu->gpr[X86_RSP] + 16) & 3, 3); /* CS */
}

static void sysenter_and_sysexit_in_64_bit_mode(void **state)
{
	struct x86_box *b = *state;

	b->cpu->sysenter_cs = KERNEL_CODE_64 | 3;
	b->cpu->sysenter_esp = STACK_RSP0;
	b->cpu->sysenter_eip = HANDLERS;
	to_user(b);
	x86_set_flags(b->cpu, RFLAGS_IF | RFLAGS_CF | RFLAGS_ONE);
	RUN_ONE(b, "\x0f\x34");
	assert_int_equal(b->cpu->gpr[X86_RIP], HANDLERS);
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK_RSP0);
	assert_int_equal(b->cpu->segment[X86_CS].selector, KERNEL_CODE_64);
	assert_int_equal(b->cpu->segment[X86_SS].selector, KERNEL_CODE_64 + 8);
	assert_int_equal(x86_flags(b->cpu), RFLAGS_CF | RFLAGS_ONE);
	assert_int_equal(b->cpu->cpl, 0);
	b->cpu->gpr[X86_RCX] = STACK_USER;
	b->cpu->gpr[X86_RDX] = CODE + 0x100;
	RUN_ONE(b, "\x48\x0f\x35"); /* sysexitq */
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 0x100);
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK_USER);
	assert_int_equal(b->cpu->segment[X86_CS].selector, (KERNEL_CODE_64 + 32) | 3);
	assert_int_equal(b->cpu->segment[X86_SS].selector, (KERNEL_CODE_64 + 40) | 3);
	assert_int_equal(b->cpu->cpl, 3);
	assert_int_equal(b->cpu->code_mode, X86_CODE_64);
}

static void sysexit_without_rex_w_goes_to_32_bit_code(void **state)
{
	struct x86_box *b = *state;

	b->cpu->sysenter_cs = KERNEL_CODE_64;
	b->cpu->gpr[X86_RCX] = 0xffffffff00000000 | STACK_USER;
	b->cpu->gpr[X86_RDX] = 0xffffffff00000000 | CODE;
	RUN_ONE(b, "\x0f\x35");
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE);
	assert_int_equal(b->cpu->gpr[X86_RSP], STACK_USER);
	assert_int_equal(b->cpu->segment[X86_CS].selector, (KERNEL_CODE_64 + 16) | 3);
	assert_int_equal(b->cpu->code_mode, X86_CODE_COMPAT_32);
}

static void sysenter_and_sysexit_refuse(void **state)
{
	struct x86_box *b = *state;

	b->cpu->sysenter_cs = 3; /* bits 15:2 are 0 */
	RUN(b, "\x0f\x34");
	assert_handler(b, X86_GP);
	RUN(b, "\x0f\x35");
	assert_handler(b, X86_GP);
	b->cpu->sysenter_cs = KERNEL_CODE_64;
	b->cpu->gpr[X86_RCX] = STACK_USER;
	b->cpu->gpr[X86_RDX] = 1ull << 60;
	RUN(b, "\x48\x0f\x35");
	assert_handler(b, X86_GP);
	b->cpu->gpr[X86_RCX] = 1ull << 60;
	b->cpu->gpr[X86_RDX] = CODE;
	RUN(b, "\x48\x0f\x35");
	assert_handler(b, X86_GP);
	to_user(b);
	RUN(b, "\x0f\x35");
	assert_handler(b, X86_GP);
}

static void amd_has_no_sysenter_in_long_mode(void **state)
{
	struct x86_box *b = *state;

	b->cpu->model = x86_model_find("zen2");
	b->cpu->sysenter_cs = KERNEL_CODE_64;
	RUN(b, "\x0f\x34");
	assert_handler(b, X86_UD);
	RUN(b, "\x0f\x35");
	assert_handler(b, X86_UD);
}

static void sysenter_in_protected_mode(void **state)
{
	struct x86_box *b = *state;

	b->cpu->sysenter_cs = KERNEL_CODE_32;
	b->cpu->sysenter_esp = STACK;
	b->cpu->sysenter_eip = HANDLERS;
	to_user(b);
	RUN_ONE(b, "\x0f\x34");
	assert_int_equal(b->cpu->gpr[X86_RIP], HANDLERS);
	assert_int_equal(b->cpu->segment[X86_CS].selector, KERNEL_CODE_32);
	assert_int_equal(b->cpu->cpl, 0);
	assert_int_equal(b->cpu->code_mode, X86_CODE_32);
}

#define TEST_64(f) cmocka_unit_test_setup_teardown(f, setup_64, teardown)
#define TEST_32(f) cmocka_unit_test_setup_teardown(f, setup_32, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_64(syscall_and_sysret_are_each_others_inverse),
		TEST_64(sysret_to_an_address_that_is_not_canonical_faults_in_the_kernel),
		TEST_64(swapgs_exchanges_bases_in_the_kernel_only),
		TEST_64(syscall_takes_ss_from_star_as_it_is),
		TEST_64(syscall_is_undefined_without_sce),
		TEST_32(intel_has_syscall_in_64_bit_mode_only),
		TEST_32(amd_has_syscall_in_legacy_mode_too),
		TEST_64(amd_s_sysret_leaves_the_kernel_before_it_faults),
		TEST_64(sysenter_and_sysexit_in_64_bit_mode),
		TEST_64(sysexit_without_rex_w_goes_to_32_bit_code),
		TEST_64(sysenter_and_sysexit_refuse),
		TEST_64(amd_has_no_sysenter_in_long_mode),
		TEST_32(sysenter_in_protected_mode),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
