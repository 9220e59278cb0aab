/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control registers, EFER, XCR0 and what they switch on (SDM 3A 2.5, 4.1, 9.8.5; SDM 1 13.3). */
#include "x86_system_fixture.h"

#include "x86/model.h"
#include "x86/xcr.h"

/* mov crN, rax */
static void write_control(struct x86_box *b, unsigned number, uint64_t value)
{
	char code[] = "\x0f\x22\xc0\xf4", code_8[] = "\x44\x0f\x22\xc0\xf4";

	b->cpu->gpr[X86_RAX] = value;
	b->cpu->gpr[X86_RSP] = STACK;
	code[2] = (char)(0xc0 | number << 3);
	if (number == 8)
		run_bytes(b, code_8, 5, 100);
	else
		run_bytes(b, code, 4, 100);
}

struct control_case {
	uint8_t number;
	uint64_t value;
	bool fault;
};

static void control_registers_refuse_what_is_reserved(void **state)
{
	static const struct control_case cases[] = {
		{0, CR0_PE | CR0_PG | 1ull << 32, true},
		{0, CR0_PG | CR0_ET, true},                    /* PG without PE */
		{0, CR0_PE | CR0_PG | CR0_NW, true},           /* NW without CD */
		{0, CR0_PE | CR0_PG | CR0_CD | CR0_NW, false}, /* both */
		{0, CR0_PE, true},                             /* PG off in 64-bit mode */
		{0, CR0_PE | CR0_PG | CR0_WP | 1 << 6, false}, /* reserved below 32: ignored */
		{3, 1ull << 62, true},
		{3, 1ull << 63, true}, /* without PCIDE no operand but a reserved bit */
		{4, 0, true},          /* PAE off in long mode */
		{4, CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_TSD | CR4_PSE | CR4_PCE, false},
		{4, CR4_PAE | CR4_LA57, true},   /* offered or not: never in long mode */
		{4, CR4_PAE | 1ull << 13, true}, /* VMXE */
		{4, CR4_PAE | 1ull << 14, true}, /* SMXE */
		{4, CR4_PAE | 1ull << 15, true},
		{4, CR4_PAE | 1ull << 19, true},
		{4, CR4_PAE | 1ull << 23, true}, /* CET */
		{4, CR4_PAE | 1ull << 24, true}, /* PKS */
		{4, CR4_PAE | 1ull << 40, true},
		{8, 15, false},
		{8, 16, true},
	};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t before[] = {b->cpu->cr0, 0, 0, b->cpu->cr3, b->cpu->cr4};

		write_control(b, cases[i].number, cases[i].value);
		assert_false(b->cpu->ended);
		if (!cases[i].fault) {
			assert_int_not_equal(b->cpu->gpr[X86_RIP], HANDLERS + X86_GP * 16 + 1);
			continue;
		}
		assert_handler(b, X86_GP);
		assert_int_equal(b->cpu->cr3, before[3]);
		if (cases[i].number == 0)
			assert_int_equal(b->cpu->cr0, before[0]);
		if (cases[i].number == 4)
			assert_int_equal(b->cpu->cr4, before[4]);
	}
	assert_int_equal(b->cpu->cr0, CR0_PE | CR0_PG | CR0_ET | CR0_WP);
	assert_int_equal(machine_tpr(b->machine, 0), 15);
}

/* Above MAXPHYADDR, and nothing below: tables 4-12, 4-13. */
static void cr3_ends_at_maxphyaddr(void **state)
{
	struct x86_box *b = *state;
	uint64_t cr3 = b->cpu->cr3;

	write_control(b, 3, cr3 | 1ull << x86_maxphyaddr(b->cpu));
	assert_handler(b, X86_GP);
	assert_int_equal(b->cpu->cr3, cr3);
	write_control(b, 3, cr3 | 0xfff);
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 4);
	assert_int_equal(b->cpu->cr3, cr3 | 0xfff);
}

/* SDM 2 MOV CRn: CR1, CR5 ... CR7 and CR9 ... CR15 do not exist, at any privilege. */
static void other_control_registers_are_undefined(void **state)
{
	static const uint8_t numbers[] = {1, 5, 6, 7, 9, 15};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < sizeof(numbers) * 4; i++) {
		unsigned number = numbers[i / 4];
		char code[] = "\x40\x0f\x22\xc0\xf4";

		code[0] = (char)(0x40 | (number >= 8 ? 4 : 0));
		code[2] = i & 1 ? '\x20' : '\x22';
		code[3] = (char)(0xc0 | (number & 7) << 3);
		b->cpu->gpr[X86_RSP] = STACK;
		if (i & 2)
			to_user(b);
		run_bytes(b, code, 5, 100);
		assert_handler(b, X86_UD);
	}
}

static void activating_long_mode_is_checked(void **state)
{
	static const struct {
		uint64_t cr4;
		uint16_t cs, tss;
	} cases[] = {
		{0, 0, SYS_TSS_BUSY},           /* no PAE */
		{CR4_PAE, SEG_L, SYS_TSS_BUSY}, /* CS.L */
		{CR4_PAE, 0, SYS_TSS_16_BUSY},  /* a 16-bit TSS */
		{CR4_PAE, 0, SYS_TSS_16_AVAILABLE},
	};
	struct x86_box *b = *state;
	uint16_t cs = b->cpu->segment[X86_CS].rights;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		b->cpu->efer = EFER_LME;
		b->cpu->cr4 = cases[i].cr4;
		b->cpu->segment[X86_CS].rights = cs | cases[i].cs;
		b->cpu->tr.rights = SEG_P | cases[i].tss;
		write_control(b, 0, CR0_PE | CR0_PG);
		assert_handler(b, X86_GP);
		assert_int_equal(b->cpu->efer, EFER_LME);
		assert_int_equal(b->cpu->cr0, CR0_PE | CR0_ET);
	}
}

static void pcide_is_of_long_mode_and_begins_with_pcid_0(void **state)
{
	struct x86_box *b = *state;

	write_control(b, 3, b->cpu->cr3 | 8);
	write_control(b, 4, CR4_PAE | CR4_PCIDE);
	assert_handler(b, X86_GP); /* CR3[11:0] is not 0 */
	write_control(b, 3, b->cpu->cr3 & ~8ull);
	write_control(b, 4, CR4_PAE | CR4_PCIDE);
	assert_true(b->cpu->cr4 & CR4_PCIDE);
	write_control(b, 3, b->cpu->cr3 | 5 | 1ull << 63); /* bit 63: keep the TLB's entries */
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 4);
	assert_int_equal(b->cpu->cr3 & ~0xfffull, b->cpu->cr3 - 5);
	write_control(b, 3, b->cpu->cr3 | 1ull << 62);
	assert_handler(b, X86_GP);
}

/* SDM 2 MOV to CR0: with CR4.PCIDE paging stays on. Compatibility mode could leave it else. */
static void paging_stays_on_under_pcide(void **state)
{
	struct x86_box *b = *state;

	b->cpu->cr4 |= CR4_PCIDE;
	b->cpu->segment[X86_CS].rights = RIGHTS_CODE | SEG_G | SEG_DB;
	b->cpu->code_mode = X86_CODE_COMPAT_32;
	write_control(b, 0, CR0_PE);
	assert_handler(b, X86_GP);
	assert_true(b->cpu->cr0 & CR0_PG);
}

static void la57_is_chosen_before_long_mode(void **state)
{
	struct x86_box *b = *state;

	write_control(b, 4, CR4_PAE | CR4_LA57);
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 4);
	assert_int_equal(b->cpu->cr4, CR4_PAE | CR4_LA57);
	assert_true(x86_canonical(b->cpu, 1ull << 55));
	write_control(b, 4, CR4_PAE);
	assert_false(x86_canonical(b->cpu, 1ull << 55));
}

#define PDPT 0x50000u

/* SDM 3A 4.4.1: MOV to CR3 and what else loads the PDPTEs: #GP for reserved bits, nothing changes.
 */
static void pdptes_are_checked_when_they_are_loaded(void **state)
{
	struct x86_box *b = *state;

	put64(b, PDPT, 0x51000 | PTE_P);
	put64(b, PDPT + 8, 0);
	put64(b, PDPT + 16, 0x6); /* not present: nothing is reserved */
	put64(b, PDPT + 24, 0);
	put64(b, 0x51000, PTE_P | PTE_W | PTE_PS);
	b->cpu->cr4 = CR4_PAE;
	write_control(b, 3, PDPT | 0x18);
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 4);
	put64(b, PDPT + 24, 0x51000 | PTE_P | PTE_W);
	write_control(b, 0, CR0_PE | CR0_PG);
	assert_handler(b, X86_GP);
	assert_int_equal(b->cpu->cr0, CR0_PE | CR0_ET);
	put64(b, PDPT + 24, 0);
	write_control(b, 0, CR0_PE | CR0_PG);
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 4);
	assert_int_equal(b->cpu->cr0, CR0_PE | CR0_PG | CR0_ET);
	assert_int_equal(b->cpu->efer & EFER_LMA, 0);
	put64(b, PDPT, 0x51000 | PTE_P | PTE_U);
	write_control(b, 3, PDPT);
	assert_handler(b, X86_GP);
	assert_int_equal(b->cpu->cr3, PDPT | 0x18);
	write_control(b, 4, CR4_PAE | CR4_PGE);
	assert_handler(b, X86_GP);
	assert_int_equal(b->cpu->cr4, CR4_PAE);
	write_control(b, 0, CR0_PE | CR0_PG | CR0_CD);
	assert_handler(b, X86_GP);
	assert_int_equal(b->cpu->cr0, CR0_PE | CR0_PG | CR0_ET);
	write_control(b, 0, CR0_PE | CR0_PG | CR0_WP); /* does not load them */
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 4);
}

/* SDM 2 INVPCID */
static void invpcid_checks_type_and_descriptor(void **state)
{
	static const struct {
		uint64_t type, pcid, address, cr4;
		bool fault;
	} cases[] = {
		{0, 0, DATA, 0, false},
		{0, 0, 1ull << 60, 0, true},  /* not canonical */
		{0, 0, 1ull << 50, 0, false}, /* is, by the processor's width */
		{0, 0, 1ull << 56, 0, true},
		{0, 1, DATA, 0, true}, /* a PCID without CR4.PCIDE */
		{0, 1, DATA, CR4_PCIDE, false},
		{0, 1 << 12, DATA, CR4_PCIDE, true}, /* reserved */
		{1, 0, 1ull << 60, 0, false},        /* the address does not count */
		{1, 5, 0, 0, true},
		{1, 0xfff, 0, CR4_PCIDE, false},
		{2, 5, 0, 0, false},         /* nor does the PCID */
		{2, 1ull << 63, 0, 0, true}, /* but it is reserved */
		{3, 0, 0, 0, false},
		{4, 0, 0, 0, true},
		{1ull << 32, 0, 0, 0, true},
	};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		b->cpu->cr4 = CR4_PAE | cases[i].cr4;
		b->cpu->gpr[X86_RSP] = STACK;
		b->cpu->gpr[X86_RBX] = DATA;
		b->cpu->gpr[X86_RCX] = cases[i].type;
		put64(b, DATA, cases[i].pcid);
		put64(b, DATA + 8, cases[i].address);
		RUN(b, "\x66\x0f\x38\x82\x0b"); /* invpcid rcx, [rbx] */
		if (cases[i].fault)
			assert_handler(b, X86_GP);
		else
			assert_completed(b, "\x66\x0f\x38\x82\x0b");
	}
	to_user(b);
	b->cpu->gpr[X86_RBX] = DATA;
	RUN(b, "\x66\x0f\x38\x82\x0b");
	assert_handler(b, X86_GP);
}

/* SDM 2 RDPKRU, WRPKRU */
static void pkru_is_any_program_s_under_cr4_pke(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RCX] = 0;
	RUN(b, "\x0f\x01\xee"); /* rdpkru */
	assert_handler(b, X86_UD);
	write_control(b, 4, CR4_PAE | CR4_PKE);
	to_user(b);
	b->cpu->gpr[X86_RAX] = 0xfffffff0;
	b->cpu->gpr[X86_RCX] = b->cpu->gpr[X86_RDX] = 0;
	RUN_ONE(b, "\x0f\x01\xef"); /* wrpkru */
	assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 3);
	b->cpu->gpr[X86_RAX] = b->cpu->gpr[X86_RDX] = 1;
	RUN_ONE(b, "\x0f\x01\xee");
	assert_int_equal(b->cpu->gpr[X86_RAX], 0xfffffff0);
	assert_int_equal(b->cpu->gpr[X86_RDX], 0);
	b->cpu->gpr[X86_RCX] = 1;
	RUN(b, "\x0f\x01\xee");
	assert_handler(b, X86_GP);
	b->cpu->gpr[X86_RCX] = 0;
	b->cpu->gpr[X86_RDX] = 1;
	RUN(b, "\x0f\x01\xef");
	assert_handler(b, X86_GP);
}

/* SDM 2 STAC: #UD above CPL 0; SDM 3A 4.6.1: AC lets the kernel at a program's pages. */
static void stac_opens_user_pages_to_the_kernel(void **state)
{
	struct x86_box *b = *state;

	to_user(b);
	RUN(b, "\x0f\x01\xcb");
	assert_handler(b, X86_UD);
	RUN(b, "\x0f\x01\xcb"); /* stac */
	assert_completed(b, "\x0f\x01\xcb");
	assert_int_equal(b->cpu->privilege, HW_SUPERVISOR_AC);
	assert_true(b->cpu->rflags & RFLAGS_AC);
	RUN(b, "\x0f\x01\xca"); /* clac */
	assert_int_equal(b->cpu->privilege, HW_SUPERVISOR);
	assert_false(b->cpu->rflags & RFLAGS_AC);
}

static void lmsw_sets_pe_but_never_clears_it_and_smsw_reads_it(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RAX] = CR0_TS | CR0_MP;
	RUN(b, "\x0f\x01\xf0\x0f\x01\xe1"); /* lmsw ax; smsw ecx */
	assert_completed(b, "\x0f\x01\xf0\x0f\x01\xe1");
	assert_int_equal(b->cpu->cr0, CR0_PE | CR0_PG | CR0_ET | CR0_TS | CR0_MP);
	assert_int_equal(b->cpu->gpr[X86_RCX], b->cpu->cr0);
	RUN(b, "\x0f\x06"); /* clts */
	assert_int_equal(b->cpu->cr0, CR0_PE | CR0_PG | CR0_ET | CR0_MP);
}

static void umip_keeps_system_registers_from_programs(void **state)
{
	static const char *const insns[] = {
		"\x0f\x01\x03", /* sgdt [rbx] */
		"\x0f\x01\x0b", /* sidt [rbx] */
		"\x0f\x00\xc0", /* sldt eax */
		"\x0f\x00\xc8", /* str eax */
		"\x0f\x01\xe0", /* smsw eax */
	};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < 2 * sizeof(insns) / sizeof(insns[0]); i++) {
		b->cpu->cr4 = CR4_PAE | (i & 1 ? CR4_UMIP : 0);
		b->cpu->gpr[X86_RBX] = DATA;
		run_bytes(b, insns[i / 2], 3, 1); /* the kernel may */
		assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 3);
		to_user(b);
		b->cpu->gpr[X86_RBX] = DATA;
		run_bytes(b, insns[i / 2], 3, 1);
		if (i & 1)
			assert_handler(b, X86_GP);
		else
			assert_int_equal(b->cpu->gpr[X86_RIP], CODE + 3);
		b->cpu->cpl = 0;
		b->cpu->gpr[X86_RSP] = STACK;
	}
}

/* SDM 2 RDFSBASE, WRFSBASE: #UD without CR4.FSGSBASE, #GP(0) for what is not canonical. */
static void programs_move_the_bases_of_fs_and_gs_when_they_may(void **state)
{
	struct x86_box *b = *state;

	to_user(b);
	RUN(b, "\xf3\x48\x0f\xae\xd0"); /* wrfsbase rax */
	assert_handler(b, X86_UD);
	b->cpu->cr4 |= CR4_FSGSBASE;
	to_user(b);
	b->cpu->gpr[X86_RAX] = 0x7f1234567890;
	RUN_ONE(b, "\xf3\x48\x0f\xae\xd0");
	assert_int_equal(b->cpu->segment[X86_FS].base, 0x7f1234567890);
	RUN_ONE(b, "\xf3\x0f\xae\xd8"); /* wrgsbase eax */
	assert_int_equal(b->cpu->segment[X86_GS].base, 0x34567890);
	RUN_ONE(b, "\xf3\x48\x0f\xae\xc1"); /* rdfsbase rcx */
	assert_int_equal(b->cpu->gpr[X86_RCX], 0x7f1234567890);
	RUN_ONE(b, "\xf3\x0f\xae\xc1"); /* rdfsbase ecx */
	assert_int_equal(b->cpu->gpr[X86_RCX], 0x34567890);
	b->cpu->gpr[X86_RAX] = 1ull << 60;
	RUN(b, "\xf3\x48\x0f\xae\xd0");
	assert_handler(b, X86_GP);
	assert_int_equal(b->cpu->segment[X86_FS].base, 0x7f1234567890);
}

static void bases_are_of_64_bit_mode(void **state)
{
	struct x86_box *b = *state;

	b->cpu->cr4 |= CR4_FSGSBASE;
	RUN(b, "\xf3\x0f\xae\xc0");
	assert_handler(b, X86_UD);
	RUN(b, "\x0f\x01\xf8"); /* swapgs */
	assert_handler(b, X86_UD);
}

/* SDM 2 XSETBV: x87 is always on, other states by what CPUID leaf 0DH says. */
static void xcr0_takes_what_cpuid_offers(void **state)
{
	static const struct {
		uint64_t value;
		uint32_t number;
		bool fault;
	} cases[] = {
		{XCR0_X87, 0, false},
		{XCR0_X87 | XCR0_SSE, 0, false},
		{XCR0_SSE, 0, true},
		{0, 0, true},
		{XCR0_X87 | 1 << 2, 0, true}, /* AVX */
		{XCR0_X87 | 3 << 3, 0, true}, /* MPX */
		{XCR0_X87 | 1ull << 63, 0, true},
		{XCR0_X87, 1, true},
		{XCR0_X87, 2, true},
	};
	struct x86_box *b = *state;

	RUN(b, "\x0f\x01\xd0"); /* xgetbv without CR4.OSXSAVE */
	assert_handler(b, X86_UD);
	RUN(b, "\x0f\x01\xd1");
	assert_handler(b, X86_UD);
	if (!x86_offers(b->cpu, X86_FEATURE_XSAVE))
		return;
	b->cpu->cr4 |= CR4_OSXSAVE;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t before = b->cpu->xcr0;

		b->cpu->gpr[X86_RSP] = STACK;
		b->cpu->gpr[X86_RAX] = (uint32_t)cases[i].value;
		b->cpu->gpr[X86_RDX] = cases[i].value >> 32;
		b->cpu->gpr[X86_RCX] = cases[i].number;
		RUN(b, "\x0f\x01\xd1");
		if (cases[i].fault) {
			assert_handler(b, X86_GP);
			assert_int_equal(b->cpu->xcr0, before);
		} else {
			assert_completed(b, "\x0f\x01\xd1");
			assert_int_equal(b->cpu->xcr0, cases[i].value);
		}
	}
	b->cpu->gpr[X86_RCX] = 0;
	to_user(b);
	RUN_ONE(b, "\x0f\x01\xd0"); /* a program may read it */
	assert_int_equal(b->cpu->gpr[X86_RAX], b->cpu->xcr0);
	RUN(b, "\x0f\x01\xd1");
	assert_handler(b, X86_GP);
}

/* SDM 3A 4.5: what is loaded into registers has the processor's width, an access CR4.LA57's. */
static void bases_have_the_width_of_the_processor(void **state)
{
	struct x86_box *b = *state;
	bool wide = x86_offers(b->cpu, X86_FEATURE_LA57);

	assert_true(x86_canonical(b->cpu, 0x00007fffffffffff));
	assert_false(x86_canonical(b->cpu, 0x0000800000000000));
	assert_true(x86_canonical(b->cpu, 0xffff800000000000));
	assert_int_equal(x86_canonical_base(b->cpu, 0x0000800000000000), wide);
	assert_false(x86_canonical_base(b->cpu, 0x0100000000000000));
	b->cpu->canonical_shift = 64 - 57;
	assert_true(x86_canonical(b->cpu, 0x00ffffffffffffff));
	assert_false(x86_canonical(b->cpu, 0x0100000000000000));
	assert_true(x86_canonical(b->cpu, 0xff00000000000000));
	b->cpu->canonical_shift = 64 - 48;
}

#define TEST_64(f) cmocka_unit_test_setup_teardown(f, setup_64, teardown)
#define TEST_32(f) cmocka_unit_test_setup_teardown(f, setup_32, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_64(control_registers_refuse_what_is_reserved),
		TEST_64(cr3_ends_at_maxphyaddr),
		TEST_64(other_control_registers_are_undefined),
		TEST_32(activating_long_mode_is_checked),
		TEST_64(pcide_is_of_long_mode_and_begins_with_pcid_0),
		TEST_64(paging_stays_on_under_pcide),
		TEST_32(la57_is_chosen_before_long_mode),
		TEST_32(pdptes_are_checked_when_they_are_loaded),
		TEST_64(invpcid_checks_type_and_descriptor),
		TEST_64(pkru_is_any_program_s_under_cr4_pke),
		TEST_64(stac_opens_user_pages_to_the_kernel),
		TEST_64(lmsw_sets_pe_but_never_clears_it_and_smsw_reads_it),
		TEST_64(umip_keeps_system_registers_from_programs),
		TEST_64(programs_move_the_bases_of_fs_and_gs_when_they_may),
		TEST_32(bases_are_of_64_bit_mode),
		TEST_64(xcr0_takes_what_cpuid_offers),
		TEST_64(bases_have_the_width_of_the_processor),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
