/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FXSAVE and the XSAVE feature set by the manual (SDM 1 10.5, 13). */
#include "host_fixture.h"
#include "x86/xcr.h"

#define AREA (DATA + 0x400)

/* XCR0, EDX:EAX and the area's address; a state that is in use everywhere. */
static void prepare(struct x86_box *b, uint64_t asked)
{
	struct x86_cpu *cpu = b->cpu;
	struct state s;

	fill_state(&s, MXCSR_MASKS, false);
	cpu->cr4 |= CR4_OSXSAVE;
	cpu->xcr0 = XCR0_X87 | XCR0_SSE;
	cpu->gpr[X86_RAX] = (uint32_t)asked;
	cpu->gpr[X86_RDX] = asked >> 32;
	cpu->gpr[X86_RBX] = AREA;
	set_x87(cpu, s.x87);
	for (unsigned i = 0; i < 16; i++) {
		fill_vector(&cpu->xmm[i]);
		cpu->xmm[i].u64[0] |= 1;
	}
	cpu->mxcsr = s.mxcsr & ~1u;
	for (unsigned i = 0; i < 1024; i += 8)
		put64(b, AREA + i, i < 512 ? UINT64_MAX : 0);
}

#define XSAVE    "\x0f\xae\x23" /* [rbx] */
#define XSAVEOPT "\x0f\xae\x33"
#define XSAVEC   "\x0f\xc7\x23"
#define XRSTOR   "\x0f\xae\x2b"

static void xsave_writes_what_is_asked_for_and_enabled(void **state)
{
	struct x86_box *b = *state;

	prepare(b, XCR0_X87 | XCR0_PKRU);
	RUN(b, XSAVE);
	assert_completed(b, XSAVE);
	assert_int_equal(get64(b, AREA + 512), XCR0_X87);
	assert_int_equal(get32(b, AREA) & 0xffff, b->cpu->x87.control);
	assert_int_equal(get64(b, AREA + 24), UINT64_MAX); /* MXCSR is SSE's */
	assert_int_equal(get64(b, AREA + 160), UINT64_MAX);

	prepare(b, XCR0_SSE);
	put64(b, AREA + 512, XCR0_X87);
	RUN(b, XSAVE);
	assert_int_equal(get64(b, AREA + 512), XCR0_X87 | XCR0_SSE);
	assert_int_equal(get64(b, AREA), UINT64_MAX);
	assert_int_equal(get32(b, AREA + 24), b->cpu->mxcsr);
	assert_int_equal(get32(b, AREA + 28), 0xffff);
	assert_int_equal(get64(b, AREA + 160 + 16 * 15), b->cpu->xmm[15].u64[0]);
	assert_int_equal(get64(b, AREA + 416), UINT64_MAX);
}

static void xstate_bv_tells_what_is_not_initial(void **state)
{
	struct x86_box *b = *state;

	prepare(b, UINT64_MAX);
	memset(b->cpu->xmm, 0, sizeof(b->cpu->xmm));
	RUN(b, XSAVE);
	assert_int_equal(get64(b, AREA + 512), XCR0_X87);
	assert_int_equal(get64(b, AREA + 160), 0); /* XSAVE writes it all the same */

	prepare(b, UINT64_MAX);
	memset(b->cpu->xmm, 0, sizeof(b->cpu->xmm));
	RUN(b, XSAVEOPT);
	assert_int_equal(get64(b, AREA + 512), XCR0_X87);
	assert_int_equal(get64(b, AREA + 160), UINT64_MAX);
	assert_int_equal(get32(b, AREA + 24), b->cpu->mxcsr);

	/* XSAVEC takes SSE for used while MXCSR is not the initial one. */
	prepare(b, UINT64_MAX);
	memset(b->cpu->xmm, 0, sizeof(b->cpu->xmm));
	b->cpu->mxcsr = 0x1f84;
	RUN(b, XSAVEC);
	assert_int_equal(get64(b, AREA + 512), XCR0_X87 | XCR0_SSE);
	assert_int_equal(get64(b, AREA + 520), 1ull << 63 | XCR0_X87 | XCR0_SSE);
	b->cpu->mxcsr = X86_MXCSR_AT_RESET;
	RUN(b, XSAVEC);
	assert_int_equal(get64(b, AREA + 512), XCR0_X87);
}

static void xrstor_restores_what_xsave_saved(void **state)
{
	static const struct {
		const char *save;
		uint64_t asked;
	} cases[] = {{XSAVE, 3}, {XSAVEOPT, 3}, {XSAVEC, 3}, {XSAVEC, 2}};
	struct x86_box *b = *state;
	uint8_t x87[108], after[108];
	union x86_xmm xmm[16];

	for (unsigned i = 0; i < 4; i++) {
		uint32_t mxcsr;

		prepare(b, cases[i].asked);
		run_bytes(b, cases[i].save, 3, 1);
		get_x87(b->cpu, x87);
		memcpy(xmm, b->cpu->xmm, sizeof(xmm));
		mxcsr = b->cpu->mxcsr;
		memset(b->cpu->xmm, 0xff, sizeof(b->cpu->xmm));
		b->cpu->mxcsr = X86_MXCSR_AT_RESET;
		if (cases[i].asked & XCR0_X87)
			x86_x87_init(&b->cpu->x87);
		RUN(b, XRSTOR);
		assert_completed(b, XRSTOR);
		get_x87(b->cpu, after);
		assert_memory_equal(xmm, b->cpu->xmm, sizeof(xmm));
		assert_memory_equal(x87, after, sizeof(x87));
		assert_int_equal(b->cpu->mxcsr, mxcsr);
	}
}

static void xrstor_makes_initial_what_the_area_does_not_have(void **state)
{
	struct x86_box *b = *state;

	prepare(b, UINT64_MAX);
	put64(b, AREA + 24, 0x1f81);
	RUN(b, XRSTOR);
	assert_completed(b, XRSTOR);
	assert_int_equal(b->cpu->mxcsr, 0x1f81); /* the standard format loads it */
	assert_int_equal(x86_xinuse(b->cpu), 0);
	assert_int_equal(b->cpu->x87.control, 0x37f);

	prepare(b, UINT64_MAX);
	put64(b, AREA + 520, 1ull << 63 | 3);
	RUN(b, XRSTOR);
	assert_completed(b, XRSTOR);
	assert_int_equal(b->cpu->mxcsr, X86_MXCSR_AT_RESET); /* the compact one does not */
	assert_int_equal(x86_xinuse(b->cpu), 0);
}

static void wrong_headers_are_refused(void **state)
{
	static const struct {
		uint16_t offset;
		uint64_t value;
	} cases[] = {
		{512, 1 << 2},               /* not in XCR0 */
		{520, 1},                    /* XCOMP_BV without its bit 63 */
		{528, 1},                    /* reserved */
		{520, 1ull << 63 | 1 << 2},  /* not in XCR0 */
		{24, 0xffffffff00011f80ull}, /* MXCSR */
	};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		prepare(b, UINT64_MAX);
		put64(b, AREA + 24, 0x1f80);
		put64(b, AREA + cases[i].offset, cases[i].value);
		RUN(b, XRSTOR);
		assert_handler(b, X86_GP);
	}
	prepare(b, UINT64_MAX);
	put64(b, AREA + 512, 3);
	put64(b, AREA + 520, 1ull << 63 | 1); /* SSE is not in the compact area */
	RUN(b, XRSTOR);
	assert_handler(b, X86_GP);
	prepare(b, UINT64_MAX);
	b->cpu->gpr[X86_RBX] += 16;
	RUN(b, XSAVE);
	assert_handler(b, X86_GP);
}

static void control_bits_decide_whether_xsave_executes(void **state)
{
	struct x86_box *b = *state;

	prepare(b, UINT64_MAX);
	b->cpu->cr4 &= ~CR4_OSXSAVE;
	RUN(b, XSAVE);
	assert_handler(b, X86_UD);
	prepare(b, UINT64_MAX);
	b->cpu->cr0 |= CR0_TS;
	RUN(b, XSAVE);
	assert_handler(b, X86_NM);
	RUN(b, "\x0f\xae\x03"); /* fxsave [rbx] */
	assert_handler(b, X86_NM);
	b->cpu->cr0 &= ~CR0_TS;
}

/* Without REX.W a pointer is an offset of 32 bits and a selector, with it one of 64 bits. */
static void fxsave_has_two_forms_of_pointers(void **state)
{
	struct x86_box *b = *state;

	prepare(b, 0);
	b->cpu->x87.ip = 0x123456789abc;
	b->cpu->x87.cs = 0x33;
	b->cpu->x87.dp = 0xfedcba987654;
	b->cpu->x87.ds = 0x2b;
	b->cpu->x87.opcode = 0x7c1;
	RUN(b, "\x0f\xae\x03");
	assert_int_equal(get64(b, AREA + 8), 0x3356789abc);
	assert_int_equal(get64(b, AREA + 16), 0x2bba987654);
	assert_int_equal(get32(b, AREA + 4) >> 16, 0x7c1);
	RUN(b, "\x48\x0f\xae\x03"); /* fxsave64 */
	assert_int_equal(get64(b, AREA + 8), 0x123456789abc);
	b->cpu->x87.ip = 0;
	RUN(b, "\x48\x0f\xae\x0b"); /* fxrstor64 */
	assert_int_equal(b->cpu->x87.ip, 0x123456789abc);
	assert_int_equal(b->cpu->x87.opcode, 0x7c1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(xsave_writes_what_is_asked_for_and_enabled),
		TEST(xstate_bv_tells_what_is_not_initial),
		TEST(xrstor_restores_what_xsave_saved),
		TEST(xrstor_makes_initial_what_the_area_does_not_have),
		TEST(wrong_headers_are_refused),
		TEST(control_bits_decide_whether_xsave_executes),
		TEST(fxsave_has_two_forms_of_pointers),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
