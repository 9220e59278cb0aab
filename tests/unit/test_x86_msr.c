/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Model-specific registers and the time stamp counter (SDM 4; SDM 3A 11.11, 11.12; SDM 3B 17.17).
 */
#include "x86_system_fixture.h"

#include "x86/model.h"

/* rdmsr; wrmsr */
static void read_msr(struct x86_box *b, uint32_t msr)
{
	b->cpu->gpr[X86_RSP] = STACK;
	b->cpu->gpr[X86_RCX] = msr;
	RUN(b, "\x0f\x32");
}

static void write_msr(struct x86_box *b, uint32_t msr, uint64_t value)
{
	b->cpu->gpr[X86_RSP] = STACK;
	b->cpu->gpr[X86_RCX] = msr;
	b->cpu->gpr[X86_RAX] = (uint32_t)value;
	b->cpu->gpr[X86_RDX] = value >> 32;
	RUN(b, "\x0f\x30");
}

static uint64_t msr_value(struct x86_box *b, uint32_t msr)
{
	read_msr(b, msr);
	assert_completed(b, "\x0f\x32");
	assert_int_equal(b->cpu->gpr[X86_RAX] >> 32, 0);
	assert_int_equal(b->cpu->gpr[X86_RDX] >> 32, 0);
	return b->cpu->gpr[X86_RDX] << 32 | b->cpu->gpr[X86_RAX];
}

struct msr_case {
	uint32_t msr;
	uint64_t value;
	bool fault;
};

static void check(struct x86_box *b, const struct msr_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		write_msr(b, cases[i].msr, cases[i].value);
		if (cases[i].fault) {
			if (b->cpu->gpr[X86_RIP] != HANDLERS + 16 * X86_GP + 1)
				fail_msg("MSR %#x = %#lx: no #GP", cases[i].msr,
					 (unsigned long)cases[i].value);
			assert_int_equal(get64(b, b->cpu->gpr[X86_RSP]), 0);
			assert_int_equal(get64(b, b->cpu->gpr[X86_RSP] + 8), CODE);
			continue;
		}
		if (b->cpu->gpr[X86_RIP] != CODE + 3)
			fail_msg("MSR %#x = %#lx: a fault", cases[i].msr,
				 (unsigned long)cases[i].value);
		assert_int_equal(msr_value(b, cases[i].msr), cases[i].msr == MSR_EFER
								     ? cases[i].value | EFER_LMA
								     : cases[i].value);
	}
}

#define CHECK(b, cases) check(b, cases, sizeof(cases) / sizeof((cases)[0]))

static void msrs_check_what_is_written(void **state)
{
	static const struct msr_case cases[] = {
		{MSR_EFER, EFER_LME | EFER_SCE | EFER_NXE, false},
		{MSR_EFER, EFER_SCE, true}, /* LME cannot change while paging is on */
		{MSR_EFER, EFER_LME | 1 << 1, true},
		{MSR_EFER, EFER_LME | 1 << 12, true}, /* SVME */
		{MSR_EFER, EFER_LME | 1 << 14, true}, /* FFXSR */
		{MSR_LSTAR, 0xffffffff81000000, false},
		{MSR_LSTAR, 1ull << 60, true},
		{MSR_CSTAR, 1ull << 60, true},
		{MSR_KERNEL_GS_BASE, 1ull << 60, true},
		{MSR_GS_BASE, 0xfeffffffffffffff, true},
		{MSR_FS_BASE, 0x7fffffffffff, false},
		{MSR_STAR, 0x0023001000000000, false},
		{MSR_SFMASK, 0xffffffff, false},
		{MSR_SFMASK, 1ull << 32, true},
		{MSR_SYSENTER_CS, 0x8, false},
		{MSR_SYSENTER_ESP, 0xffffffff80000000, false},
		{MSR_SYSENTER_ESP, 1ull << 60, true},
		{MSR_SYSENTER_EIP, 1ull << 60, true},
		{MSR_TSC_AUX, 0xffffffff, false},
		{MSR_TSC_AUX, 1ull << 32, true},
		{MSR_MISC_ENABLE, X86_MISC_ENABLE, false},
		{MSR_MISC_ENABLE, X86_MISC_ENABLE | 1ull << 18, true}, /* no MONITOR */
		{MSR_MISC_ENABLE, X86_MISC_ENABLE | 1ull << 34, true},
		{MSR_MISC_ENABLE, 0, true}, /* "unavailable" is read-only */
		{MSR_BIOS_SIGN_ID, 0, false},
		{MSR_PLATFORM_ID, 0, true},
		{MSR_MCG_CAP, 0, true},
		{MSR_MCG_STATUS, 4, false},
		{MSR_MCG_STATUS, 8, true},
		{MSR_P5_MC_ADDR, 0, false},
	};

	CHECK(*state, cases);
}

/* What these are for is not offered, or they do not exist at all. */
static void other_msrs_do_not_exist(void **state)
{
	static const uint32_t msrs[] = {
		0x3a,                          /* FEATURE_CONTROL: neither VMX nor SMX nor SGX */
		0x48,                          /* SPEC_CTRL */
		0x10a,                         /* ARCH_CAPABILITIES */
		0x186,                         /* PERFEVTSEL0 */
		0x17b,                         /* MCG_CTL */
		0x400,                         /* MC0_CTL: no banks */
		0x480,                         /* VMX_BASIC */
		0x9e,       0x251,      0x210, /* beyond MTRRcap.VCNT */
		0xda0,                         /* XSS: no XSAVES */
		0x12345,    0x40000000, 0xc0000084 + 1, 0xc0010010, /* AMD's SYSCFG */
		0xc0010015,                                         /* HWCR */
	};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		read_msr(b, msrs[i]);
		assert_handler(b, X86_GP);
		write_msr(b, msrs[i], 0);
		assert_handler(b, X86_GP);
	}
	read_msr(b, MSR_BIOS_UPDT_TRIG); /* write-only */
	assert_handler(b, X86_GP);
}

/* SDM 3A tables 11-10, 11-8; 11.11.2. */
static void memory_types_are_checked(void **state)
{
	static const struct msr_case cases[] = {
		{MSR_PAT, 0x0007010600070106, false},
		{MSR_PAT, 0x0007040600070405, false},
		{MSR_PAT, 0x0007040600070402, true},
		{MSR_PAT, 0x0307040600070406, true},
		{MSR_PAT, 0x0007040800070406, true},
		{MSR_MTRR_DEF_TYPE, 0xc06, false},
		{MSR_MTRR_DEF_TYPE, 0, false},
		{MSR_MTRR_DEF_TYPE, 0xc02, true},
		{MSR_MTRR_DEF_TYPE, 0xc07, true}, /* UC- is PAT's */
		{MSR_MTRR_DEF_TYPE, 1 << 9, true},
		{MSR_MTRR_DEF_TYPE, 1 << 12, true},
		{MSR_MTRR_FIX64K, 0x0606060606060606, false},
		{MSR_MTRR_FIX64K, 0x0606060606060603, true},
		{MSR_MTRR_FIX4K_F8000, 0x0504010006060606, false},
		{MSR_MTRR_PHYSBASE0, 0x80000006, false},
		{MSR_MTRR_PHYSBASE0, 0x80000002, true},
		{MSR_MTRR_PHYSBASE0, 0x80000106, true}, /* bits 11:8 */
		{MSR_MTRR_PHYSBASE0, 1ull << 60, true},
		{MSR_MTRR_PHYSBASE0 + 1, 0x80000800, false},
		{MSR_MTRR_PHYSBASE0 + 1, 0x80000400, true},
		{MSR_MTRR_PHYSBASE0 + 15, 0xfff800, false},
		{MSR_MTRRCAP, 0x508, true}, /* read-only */
	};
	struct x86_box *b = *state;
	unsigned width = x86_maxphyaddr(b->cpu);

	assert_int_equal(msr_value(b, MSR_MTRRCAP), 0x508); /* 8 pairs, fixed ones, WC */
	assert_int_equal(msr_value(b, MSR_MTRR_DEF_TYPE), 0xc06);
	CHECK(b, cases);
	write_msr(b, MSR_MTRR_PHYSBASE0, 1ull << (width - 1));
	assert_completed(b, "\x0f\x30");
	write_msr(b, MSR_MTRR_PHYSBASE0, 1ull << width);
	assert_handler(b, X86_GP);
	write_msr(b, MSR_MTRR_PHYSBASE0 + 1, 1ull << width);
	assert_handler(b, X86_GP);
}

static void amd_has_msrs_of_its_own(void **state)
{
	static const struct msr_case cases[] = {
		{MSR_SYSCFG, 0x40000, false},
		{MSR_SYSCFG, 1, true},
		{MSR_MISC_ENABLE, X86_MISC_ENABLE, true}, /* Intel's */
		{MSR_PLATFORM_ID, 0, true},
	};
	struct x86_box *b = *state;

	b->cpu->model = x86_model_find("zen2");
	CHECK(b, cases);
	assert_int_equal(msr_value(b, MSR_HWCR), 1 << 24);
	assert_int_equal(msr_value(b, MSR_DE_CFG), 2);
	assert_int_equal(msr_value(b, MSR_BIOS_SIGN_ID), 0);
}

static bool offers_apic(struct x86_box *b)
{
	b->cpu->gpr[X86_RAX] = 1;
	RUN(b, "\x0f\xa2");
	return b->cpu->gpr[X86_RDX] >> 9 & 1;
}

/* SDM 3A 10.4.3, 10.4.4, 10.12: IA32_APIC_BASE switches the APIC and CPUID's bit, x2APIC its MSRs.
 */
static void the_local_apic_is_switched_by_its_base_msr(void **state)
{
	static const struct msr_case cases[] = {
		{MSR_APIC_BASE, 0xfee00900, false},
		{MSR_APIC_BASE, 0xfee00901, true},
		{MSR_APIC_BASE, 0xfee00500, true}, /* EXTD without EN */
		{MSR_APIC_BASE, 1ull << 62 | 0xfee00900, true},
		{0x808, 0x20, true}, /* x2APIC's MSRs do not exist yet */
		{MSR_APIC_BASE, 0xfee00d00, false},
		{0x808, 0x20, false},
		{0x808, 0x100, true},
		{0x802, 0, true},                  /* the APIC ID is read-only */
		{MSR_APIC_BASE, 0xfee00900, true}, /* not back to xAPIC */
		{MSR_APIC_BASE, 0xfee00100, false},
	};
	struct x86_box *b = *state;

	assert_int_equal(msr_value(b, MSR_APIC_BASE), 0xfee00900);
	assert_true(offers_apic(b));
	CHECK(b, cases);
	assert_false(offers_apic(b));
	write_msr(b, MSR_TSC_DEADLINE, 0);
	assert_completed(b, "\x0f\x30");
}

static void some_msrs_pass_the_vmm_by(void **state)
{
	struct x86_box *b = *state;
	const uint64_t *exits = hw_public(b->box.hw)->counters.exits;
	uint64_t reads = exits[UMBRA_EXIT_rdmsr], writes = exits[UMBRA_EXIT_wrmsr];

	b->cpu->gpr[X86_RCX] = MSR_GS_BASE;
	b->cpu->gpr[X86_RAX] = b->cpu->gpr[X86_RDX] = 0;
	RUN(b, "\x0f\x30\x0f\x32");
	assert_int_equal(exits[UMBRA_EXIT_rdmsr], reads);
	assert_int_equal(exits[UMBRA_EXIT_wrmsr], writes);
	b->cpu->gpr[X86_RCX] = MSR_EFER;
	b->cpu->gpr[X86_RAX] = EFER_LME;
	RUN(b, "\x0f\x30\x0f\x32");
	assert_int_equal(exits[UMBRA_EXIT_rdmsr], reads + 1);
	assert_int_equal(exits[UMBRA_EXIT_wrmsr], writes + 1);
}

static void the_time_stamp_counter_counts_instructions_and_can_be_set(void **state)
{
	struct x86_box *b = *state;
	uint64_t before;

	RUN(b, "\x0f\x31\x89\xc6\x90\x90\x0f\x31"); /* rdtsc; mov esi, eax; nop; nop; rdtsc */
	assert_int_equal(b->cpu->gpr[X86_RAX] - b->cpu->gpr[X86_RSI], 4);
	before = b->cpu->instructions;
	b->cpu->gpr[X86_RCX] = MSR_TSC;
	b->cpu->gpr[X86_RAX] = 0x1000;
	b->cpu->gpr[X86_RDX] = 7;
	RUN(b, "\x0f\x30\x0f\x31");
	assert_int_equal(b->cpu->instructions, before + 3);
	assert_int_equal(b->cpu->gpr[X86_RDX], 7);
	assert_int_equal(b->cpu->gpr[X86_RAX], 0x1001);
}

/* SDM 3B 17.17.3 */
static void tsc_adjust_is_what_software_has_added(void **state)
{
	struct x86_box *b = *state;
	uint64_t before, after;

	assert_int_equal(msr_value(b, MSR_TSC_ADJUST), 0);
	before = msr_value(b, MSR_TSC);
	write_msr(b, MSR_TSC_ADJUST, 1ull << 40);
	after = msr_value(b, MSR_TSC);
	assert_in_range(after - before, 1ull << 40, (1ull << 40) + 100);
	write_msr(b, MSR_TSC, after - (1ull << 41));
	assert_in_range(msr_value(b, MSR_TSC_ADJUST), -(1ull << 40) - 100, -(1ull << 40));
}

static void rdtscp_and_rdpid_give_tsc_aux(void **state)
{
	struct x86_box *b = *state;

	write_msr(b, MSR_TSC_AUX, 0x1003);
	to_user(b);
	RUN_ONE(b, "\x0f\x01\xf9"); /* rdtscp */
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 3);
	assert_int_equal(b->cpu->gpr[X86_RCX], 0x1003);
	RUN_ONE(b, "\xf3\x0f\xc7\xfa"); /* rdpid rdx */
	assert_int_equal(b->cpu->gpr[X86_RDX], 0x1003);
}

static void cr4_tsd_keeps_the_time_from_programs(void **state)
{
	struct x86_box *b = *state;

	to_user(b);
	RUN_ONE(b, "\x0f\x31");
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 2);
	b->cpu->cr4 |= CR4_TSD;
	RUN(b, "\x0f\x31");
	assert_handler(b, X86_GP);
	to_user(b);
	RUN(b, "\x0f\x01\xf9");
	assert_handler(b, X86_GP);
	RUN_ONE(b, "\x0f\x31"); /* the kernel keeps it */
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 2);
}

/* There is no counter whose number RDPMC could take (leaf 0AH says so). */
static void rdpmc_has_nothing_to_read(void **state)
{
	struct x86_box *b = *state;

	b->cpu->cr4 |= CR4_PCE;
	b->cpu->gpr[X86_RCX] = 0;
	RUN(b, "\x0f\x33");
	assert_handler(b, X86_GP);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_64, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(msrs_check_what_is_written),
		TEST(other_msrs_do_not_exist),
		TEST(memory_types_are_checked),
		TEST(amd_has_msrs_of_its_own),
		TEST(the_local_apic_is_switched_by_its_base_msr),
		TEST(some_msrs_pass_the_vmm_by),
		TEST(the_time_stamp_counter_counts_instructions_and_can_be_set),
		TEST(tsc_adjust_is_what_software_has_added),
		TEST(rdtscp_and_rdpid_give_tsc_aux),
		TEST(cr4_tsd_keeps_the_time_from_programs),
		TEST(rdpmc_has_nothing_to_read),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
