/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPUID tells the truth (SDM 2 CPUID, APM 3 appendix E): what it offers executes, the rest is #UD.
 */
#include "x86_system_fixture.h"

#include "paging/tlb.h"
#include "x86/decode.h"
#include "x86/model.h"
#include "x86/xcr.h"

static void cpuid(struct x86_box *b, uint32_t leaf, uint32_t subleaf, uint32_t ret[4])
{
	b->cpu->gpr[X86_RAX] = 0xdeadbeef00000000 | leaf;
	b->cpu->gpr[X86_RCX] = 0xdeadbeef00000000 | subleaf;
	RUN(b, "\x0f\xa2");
	assert_completed(b, "\x0f\xa2");
	ret[0] = (uint32_t)b->cpu->gpr[X86_RAX];
	ret[1] = (uint32_t)b->cpu->gpr[X86_RBX];
	ret[2] = (uint32_t)b->cpu->gpr[X86_RCX];
	ret[3] = (uint32_t)b->cpu->gpr[X86_RDX];
	for (unsigned i = X86_RAX; i <= X86_RBX; i++)
		assert_int_equal(b->cpu->gpr[i] >> 32, 0);
}

static void be_a(struct x86_box *b, const char *processor)
{
	b->cpu->model = x86_model_find(processor);
	assert_non_null(b->cpu->model);
}

static void every_feature_is_said_once(void **state)
{
	for (unsigned i = 0; i < X86_NR_FEATURES; i++) {
		const struct x86_feature_row *row = &x86_features[i];

		assert_true(row->bit < 32);
		for (unsigned j = 0; j < i; j++)
			assert_false(row->leaf == x86_features[j].leaf &&
				     row->subleaf == x86_features[j].subleaf &&
				     row->reg == x86_features[j].reg &&
				     row->bit == x86_features[j].bit);
	}
}

static void cpuid_says_what_the_table_of_features_says(void **state)
{
	struct x86_box *b = *state;
	uint32_t r[4];

	for (unsigned p = 0; processor_at(p); p++) {
		be_a(b, processor_at(p)->name);
		for (unsigned i = 0; i < X86_NR_FEATURES; i++) {
			const struct x86_feature_row *row = &x86_features[i];

			cpuid(b, row->leaf, row->subleaf, r);
			if (!!(r[row->reg] >> row->bit & 1) != x86_offers(b->cpu, i))
				fail_msg("%s: %s", processor_at(p)->name, row->name);
		}
	}
}

/*
 * One instruction of each feature that adds some. It executes, or faults by a rule of its own,
 * when the feature is offered, and raises #UD when it is not.
 */
struct probe {
	enum x86_feature feature;
	const char *bytes;
	uint8_t len;
	uint64_t cr4; /* what enables it */
};

#define PROBE(feature, bytes, cr4)                                                                 \
	{                                                                                          \
		X86_FEATURE_##feature, bytes, sizeof(bytes) - 1, cr4                               \
	}

/* clang-format off */
static const struct probe probes[] = {
	PROBE(FPU, "\xdb\xe3", 0),                      /* fninit */
	PROBE(TSC, "\x0f\x31", 0),                      /* rdtsc */
	PROBE(MSR, "\x0f\x32", 0),                      /* rdmsr */
	PROBE(CX8, "\x0f\xc7\x0b", 0),                  /* cmpxchg8b [rbx] */
	PROBE(CMOV, "\x0f\x44\xc0", 0),                 /* cmovz eax, eax */
	PROBE(CLFSH, "\x0f\xae\x3b", 0),                /* clflush [rbx] */
	PROBE(MMX, "\x0f\xef\xc0", 0),                  /* pxor mm0, mm0 */
	PROBE(FXSR, "\x0f\xae\x03", 0),                 /* fxsave [rbx] */
	PROBE(SSE, "\x0f\x57\xc0", CR4_OSFXSR),         /* xorps xmm0, xmm0 */
	PROBE(SSE2, "\x66\x0f\x57\xc0", CR4_OSFXSR),    /* xorpd xmm0, xmm0 */
	PROBE(SSE3, "\xf2\x0f\xd0\xc0", CR4_OSFXSR),    /* addsubps xmm0, xmm0 */
	PROBE(PCLMULQDQ, "\x66\x0f\x3a\x44\xc0\x00", CR4_OSFXSR),
	PROBE(MONITOR, "\x0f\x01\xc8", 0),              /* monitor */
	PROBE(MONITOR, "\x0f\x01\xc9", 0),              /* mwait */
	PROBE(VMX, "\x0f\x01\xc1", 0),                  /* vmcall */
	PROBE(SSSE3, "\x66\x0f\x38\x1c\xc0", CR4_OSFXSR), /* pabsb xmm0, xmm0 */
	PROBE(FMA, "\xc4\xe2\x79\x98\xc0", CR4_OSXSAVE), /* vfmadd132ps */
	PROBE(CX16, "\x48\x0f\xc7\x0b", 0),             /* cmpxchg16b [rbx] */
	PROBE(SSE4_1, "\x66\x0f\x38\x17\xc0", CR4_OSFXSR), /* ptest xmm0, xmm0 */
	PROBE(SSE4_2, "\x66\x0f\x38\x37\xc0", CR4_OSFXSR), /* pcmpgtq xmm0, xmm0 */
	PROBE(SSE4_2, "\xf2\x0f\x38\xf1\xc0", 0),       /* crc32 eax, eax */
	PROBE(MOVBE, "\x0f\x38\xf0\x03", 0),            /* movbe eax, [rbx] */
	PROBE(POPCNT, "\xf3\x0f\xb8\xc0", 0),           /* popcnt eax, eax */
	PROBE(AESNI, "\x66\x0f\x38\xdb\xc0", CR4_OSFXSR), /* aesimc xmm0, xmm0 */
	PROBE(XSAVE, "\x0f\x01\xd0", CR4_OSXSAVE),      /* xgetbv */
	PROBE(XSAVE, "\x0f\x01\xd1", CR4_OSXSAVE),      /* xsetbv */
	PROBE(XSAVE, "\x0f\xae\x23", CR4_OSXSAVE),      /* xsave [rbx] */
	PROBE(AVX, "\xc5\xf8\x57\xc0", CR4_OSXSAVE),    /* vxorps xmm0, xmm0, xmm0 */
	PROBE(F16C, "\xc4\xe2\x79\x13\xc0", CR4_OSXSAVE), /* vcvtph2ps xmm0, xmm0 */
	PROBE(RDRAND, "\x0f\xc7\xf0", 0),               /* rdrand eax */
	PROBE(FSGSBASE, "\xf3\x0f\xae\xc0", CR4_FSGSBASE), /* rdfsbase eax */
	PROBE(BMI1, "\xc4\xe2\x78\xf2\xc0", 0),         /* andn eax, eax, eax */
	PROBE(AVX2, "\xc5\xfd\xef\xc0", CR4_OSXSAVE),   /* vpxor ymm0, ymm0, ymm0 */
	PROBE(BMI2, "\xc4\xe2\x78\xf5\xc0", 0),         /* bzhi eax, eax, eax */
	PROBE(INVPCID, "\x66\x0f\x38\x82\x0b", 0),      /* invpcid rcx, [rbx] */
	PROBE(RTM, "\xc7\xf8\x00\x00\x00\x00", 0),      /* xbegin */
	PROBE(RDSEED, "\x0f\xc7\xf8", 0),               /* rdseed eax */
	PROBE(ADX, "\x66\x0f\x38\xf6\xc0", 0),          /* adcx eax, eax */
	PROBE(SMAP, "\x0f\x01\xca", 0),                 /* clac */
	PROBE(SMAP, "\x0f\x01\xcb", 0),                 /* stac */
	PROBE(CLFLUSHOPT, "\x66\x0f\xae\x3b", 0),       /* clflushopt [rbx] */
	PROBE(CLWB, "\x66\x0f\xae\x33", 0),             /* clwb [rbx] */
	PROBE(SHA, "\x0f\x38\xc8\xc0", CR4_OSFXSR),     /* sha1nexte xmm0, xmm0 */
	PROBE(PKU, "\x0f\x01\xee", CR4_PKE),            /* rdpkru */
	PROBE(PKU, "\x0f\x01\xef", CR4_PKE),            /* wrpkru */
	PROBE(RDPID, "\xf3\x0f\xc7\xf8", 0),            /* rdpid rax */
	PROBE(XSAVEOPT, "\x0f\xae\x33", CR4_OSXSAVE),   /* xsaveopt [rbx] */
	PROBE(XSAVEC, "\x0f\xc7\x23", CR4_OSXSAVE),     /* xsavec [rbx] */
	PROBE(XSAVES, "\x0f\xc7\x2b", CR4_OSXSAVE),     /* xsaves [rbx] */
	PROBE(XSAVES, "\x0f\xc7\x1b", CR4_OSXSAVE),     /* xrstors [rbx] */
	PROBE(SVM, "\x0f\x01\xd9", 0),                  /* vmmcall */
	PROBE(LAHF64, "\x9f", 0),                       /* lahf */
	PROBE(SSE4A, "\xf2\x0f\x79\xc0", CR4_OSFXSR),   /* insertq xmm0, xmm0 */
	PROBE(SYSCALL, "\x0f\x05", 0),                  /* syscall */
	PROBE(RDTSCP, "\x0f\x01\xf9", 0),               /* rdtscp */
};
/* clang-format on */

/* With its bit of CR4 set and memory to work on, does the instruction raise #UD? */
static bool is_undefined(struct x86_box *b, const struct probe *probe)
{
	struct x86_cpu *cpu = b->cpu;

	cpu->cr4 = CR4_PAE | probe->cr4;
	cpu->efer |= EFER_SCE;
	cpu->lstar = HANDLERS;
	cpu->cpl = 0;
	cpu->xcr0 = XCR0_X87 | XCR0_SSE;
	cpu->gpr[X86_RSP] = STACK;
	cpu->gpr[X86_RAX] = XCR0_X87 | XCR0_SSE;
	cpu->gpr[X86_RBX] = DATA;
	cpu->gpr[X86_RCX] = cpu->gpr[X86_RDX] = 0;
	run_bytes(b, probe->bytes, probe->len, 1);
	if (cpu->ended)
		fail_msg("%s: %s", x86_features[probe->feature].name, cpu->end.text);
	return (cpu->gpr[X86_RIP] & ~0xfull) == HANDLERS + 16 * X86_UD;
}

static void what_is_offered_executes_and_the_rest_is_undefined(void **state)
{
	struct x86_box *b = *state;

	for (unsigned i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		bool offered = x86_offers(b->cpu, probes[i].feature);

		if (is_undefined(b, &probes[i]) == offered)
			fail_msg("%s (probe %u): %soffered", x86_features[probes[i].feature].name,
				 i, offered ? "" : "not ");
	}
}

/* Every opcode with every ModRM byte, with each prefix that makes it another one, in each mode. */
static void what_is_offered_is_implemented(void **state)
{
	static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2, 0x48};
	static const uint8_t maps[][2] = {{0}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}};
	struct x86_decoders decoders;

	x86_decoders_init(&decoders);
	for (unsigned i = 0; i < X86_NR_CODE_MODES * 5 * 4 << 16; i++) {
		unsigned mode = (i >> 16) / 20, prefix = (i >> 16) % 5, map = (i >> 16) / 5 % 4;
		uint8_t bytes[X86_MAX_LENGTH] = {0};
		struct x86_insn insn;
		unsigned n = 0;

		if (prefixes[prefix])
			bytes[n++] = prefixes[prefix];
		for (unsigned j = 0; j < 2; j++)
			if (maps[map][j])
				bytes[n++] = maps[map][j];
		bytes[n++] = (uint8_t)(i >> 8);
		bytes[n] = (uint8_t)i;
		x86_decode(&decoders, mode, bytes, sizeof(bytes), &insn);
		if (insn.exec == x86_exec_unimplemented)
			fail_msg("%s in mode %u", ZydisMnemonicGetString(insn.mnemonic), mode);
	}
}

/* Bits that older processors ignore: without the feature another instruction executes. */
static void without_lzcnt_and_tzcnt_their_prefix_is_ignored(void **state)
{
	struct x86_box *b = *state;

	b->cpu->gpr[X86_RCX] = 0x100;
	RUN(b, "\xf3\x0f\xbd\xc1"); /* lzcnt eax, ecx, or bsr */
	assert_completed(b, "\xf3\x0f\xbd\xc1");
	assert_int_equal(b->cpu->gpr[X86_RAX], x86_offers(b->cpu, X86_FEATURE_LZCNT) ? 23 : 8);
	b->cpu->gpr[X86_RCX] = b->cpu->gpr[X86_RAX] = 0;
	x86_set_flags(b->cpu, RFLAGS_ONE);
	RUN(b, "\xf3\x0f\xbc\xc1"); /* tzcnt eax, ecx sets CF, or bsf sets ZF */
	assert_int_equal(!!(x86_flags(b->cpu) & RFLAGS_CF), x86_offers(b->cpu, X86_FEATURE_BMI1));
}

struct control_bit {
	uint64_t bit;
	enum x86_feature feature;
};

static void control_bits_exist_with_their_features(void **state)
{
	static const struct control_bit bits[] = {
		{CR4_VME, X86_FEATURE_VME},        {CR4_PVI, X86_FEATURE_VME},
		{CR4_TSD, X86_FEATURE_TSC},        {CR4_DE, X86_FEATURE_DE},
		{CR4_PSE, X86_FEATURE_PSE},        {CR4_MCE, X86_FEATURE_MCE},
		{CR4_PGE, X86_FEATURE_PGE},        {CR4_OSFXSR, X86_FEATURE_FXSR},
		{CR4_OSXMMEXCPT, X86_FEATURE_SSE}, {CR4_UMIP, X86_FEATURE_UMIP},
		{1 << 13, X86_FEATURE_VMX},        {CR4_FSGSBASE, X86_FEATURE_FSGSBASE},
		{CR4_PCIDE, X86_FEATURE_PCID},     {CR4_OSXSAVE, X86_FEATURE_XSAVE},
		{CR4_SMEP, X86_FEATURE_SMEP},      {CR4_SMAP, X86_FEATURE_SMAP},
		{CR4_PKE, X86_FEATURE_PKU},
	};
	struct x86_box *b = *state;

	b->cpu->cr3 &= ~0xfffull; /* PCIDE demands it */
	/* Pages of the fixture are user pages: only one bit is tried at a time, and taken back. */
	for (unsigned i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		b->cpu->gpr[X86_RAX] = CR4_PAE | bits[i].bit;
		b->cpu->gpr[X86_RBX] = CR4_PAE;
		if (bits[i].bit == CR4_SMEP) /* the next fetch would fault: that is proof too */
			continue;
		RUN(b, "\x0f\x22\xe0\x0f\x22\xe3"); /* mov cr4, rax; mov cr4, rbx */
		if (x86_offers(b->cpu, bits[i].feature))
			assert_completed(b, "\x0f\x22\xe0\x0f\x22\xe3");
		else
			assert_handler(b, X86_GP);
	}
}

static void vendor(const uint32_t r[4], char text[13])
{
	memcpy(text, &r[1], 4);
	memcpy(text + 4, &r[3], 4);
	memcpy(text + 8, &r[2], 4);
	text[12] = '\0';
}

static void a_model_has_a_name_a_signature_and_a_frequency(void **state)
{
	struct x86_box *b = *state;
	uint32_t r[4];
	char text[49] = "";

	cpuid(b, 0, 0, r);
	vendor(r, text);
	assert_string_equal(text, "GenuineIntel");
	assert_int_equal(r[0], 0x18);
	for (unsigned i = 0; i < 3; i++) {
		cpuid(b, 0x80000002 + i, 0, r);
		memcpy(text + 16 * (size_t)i, r, 16);
	}
	assert_string_equal(text, "Umbra soft CPU (skylake) @ 1.00GHz");
	cpuid(b, 1, 0, r);
	assert_int_equal(r[0], 0x506e3); /* family 6, model 5eh, stepping 3 */
	assert_int_equal(r[1], 8 << 8 | 1 << 16);
	cpuid(b, 0x15, 0, r); /* TSC: ECX * EBX / EAX */
	assert_int_equal((uint64_t)r[2] * r[1] / r[0], 1000000000);
	cpuid(b, 0x16, 0, r);
	assert_int_equal(r[0], 1000);
	cpuid(b, 0x40000000, 0, r);
	assert_int_equal(r[0], 0x40000000);
	assert_memory_equal(&r[1], "UmbraUmbraUm", 12);
	cpuid(b, 0x80000008, 0, r);
	assert_int_equal(r[0] >> 8 & 0xff, x86_offers(b->cpu, X86_FEATURE_LA57) ? 57 : 48);
}

static void each_model_has_its_vendor_and_signature(void **state)
{
	static const struct {
		const char *name, *vendor;
		uint32_t signature;
	} rows[] = {
		{"skylake", "GenuineIntel", 0x506e3}, /* family 6, model 5eh */
		{"icelake", "GenuineIntel", 0x706e5}, /* family 6, model 7eh */
		{"zen2", "AuthenticAMD", 0x870f10},   /* family 17h, model 71h */
		{"zen3", "AuthenticAMD", 0xa20f10},   /* family 19h, model 21h */
		{"zen4", "AuthenticAMD", 0xa60f12},   /* family 19h, model 61h */
	};
	struct x86_box *b = *state;

	for (unsigned i = 0; processor_at(i); i++) {
		uint32_t r[4];
		char text[13];

		assert_string_equal(processor_at(i)->name, rows[i].name);
		be_a(b, rows[i].name);
		cpuid(b, 0, 0, r);
		vendor(r, text);
		assert_string_equal(text, rows[i].vendor);
		cpuid(b, 1, 0, r);
		assert_int_equal(r[0], rows[i].signature);
		assert_non_null(strstr(b->cpu->model->brand, rows[i].name));
	}
}

static void amd_s_model_has_amd_s_leaves(void **state)
{
	struct x86_box *b = *state;
	uint32_t r[4], f1[4];
	char text[13];

	be_a(b, "zen2");
	cpuid(b, 0, 0, r);
	vendor(r, text);
	assert_string_equal(text, "AuthenticAMD");
	cpuid(b, 0x80000000, 0, r);
	vendor(r, text);
	assert_string_equal(text, "AuthenticAMD");
	cpuid(b, 1, 0, f1);
	assert_int_equal(f1[0], 0x870f10); /* family 17h, model 71h */
	cpuid(b, 0x80000001, 0, r);
	assert_int_equal(r[0], 0x870f10);
	assert_int_equal(r[3] & 0x0183f3ff, f1[3] & 0x0183f3ff); /* APM 3 E.4.2 */
	cpuid(b, 0x80000006, 0, r);
	assert_int_equal(r[2] & 0xff, 64);
	assert_int_equal(r[2] >> 16, 512);
	cpuid(b, 2, 0, r);
	assert_int_equal(r[0], 0);
	cpuid(b, 0x12345, 0, r); /* reserved: zeros */
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(r[i], 0);
}

static void beyond_the_last_leaf_intel_repeats_it(void **state)
{
	struct x86_box *b = *state;
	uint32_t last[4], beyond[4];

	cpuid(b, 0x18, 1, last);
	cpuid(b, 0x12345, 1, beyond);
	assert_memory_equal(last, beyond, sizeof(last));
	cpuid(b, 0x80000009, 1, beyond);
	assert_memory_equal(last, beyond, sizeof(last));
	b->cpu->misc_enable |= MISC_ENABLE_LIMIT_CPUID;
	cpuid(b, 0, 0, last);
	assert_int_equal(last[0], 2);
	cpuid(b, 2, 0, last);
	cpuid(b, 7, 0, beyond);
	assert_memory_equal(last, beyond, sizeof(last));
}

static void leaf_18h_tells_the_modelled_tlb(void **state)
{
	/* Type, level and whether it is one set; sizes (4K 1, 2M and 4M 6, 1G 8); sets and ways. */
	static const struct {
		uint32_t edx, sizes;
		uint16_t sets, ways;
	} rows[] = {
		{2 | 1 << 5, 1, 16, 8},   {2 | 1 << 5 | 1 << 8, 6, 1, 8}, {1 | 1 << 5, 1, 16, 4},
		{1 | 1 << 5, 6, 8, 4},    {1 | 1 << 5 | 1 << 8, 8, 1, 4}, {3 | 2 << 5, 8, 4, 4},
		{3 | 2 << 5, 7, 128, 12},
	};
	struct x86_box *b = *state;
	uint32_t r[4], i;

	cpuid(b, 2, 0, r);
	assert_int_equal(r[0], 0xfeff01); /* TLBs are in 18h, caches in 4 */
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cpuid(b, 0x18, i, r);
		if (!i)
			assert_int_equal(r[0], sizeof(rows) / sizeof(rows[0]) - 1);
		assert_int_equal(r[1], rows[i].sizes | (uint32_t)rows[i].ways << 16);
		assert_int_equal(r[2], rows[i].sets);
		assert_int_equal(r[3], rows[i].edx);
	}
	cpuid(b, 0x18, i, r);
	assert_int_equal(r[3] & 0x1f, 0);
}

/* APM 3 E.4.4, E.4.5, E.4.15: the modelled TLB, data in the upper halves. */
static void amd_s_leaves_tell_the_modelled_tlb(void **state)
{
	static const struct {
		const char *name;
		uint32_t l1_data, l2_data;
	} rows[] = {
		{"zen2", 64, 2048 | 8 << 12},
		{"zen3", 64, 2048 | 8 << 12},
		{"zen4", 72, 3072 | 8 << 12}, /* 24 ways: no number for that, at least 16 */
	};
	struct x86_box *b = *state;

	for (unsigned i = 0; i < 3; i++) {
		uint32_t r[4], n = 0;

		while (strcmp(processor_at(n)->name, rows[i].name) != 0)
			n++;
		b->cpu->hw->processor = processor_at(n);
		be_a(b, rows[i].name);
		cpuid(b, 0x80000005, 0, r);
		assert_int_equal(r[0], (rows[i].l1_data | 0xff << 8) << 16 | 0xff << 8 | 64);
		assert_int_equal(r[1], r[0]);
		cpuid(b, 0x80000006, 0, r);
		assert_int_equal(r[0], rows[i].l2_data << 16 | 6 << 12 | 512);
		assert_int_equal(r[1], r[0]);
		cpuid(b, 0x80000019, 0, r);
		assert_int_equal(r[0], (rows[i].l1_data | 0xfu << 12) << 16 | 0xf << 12 | 64);
		assert_int_equal(r[1], 0); /* none of 1G in the second level */
	}
}

static void leaf_4_counts_the_caches(void **state)
{
	static const uint32_t sizes[] = {32 << 10, 32 << 10, 256 << 10, 8 << 20};
	struct x86_box *b = *state;
	uint32_t r[4];

	for (unsigned i = 0; i < 4; i++) {
		cpuid(b, 4, i, r);
		assert_int_not_equal(r[0] & 0x1f, 0);
		assert_int_equal(((r[1] >> 22) + 1) * ((r[1] & 0xfff) + 1) * (r[2] + 1), sizes[i]);
	}
	cpuid(b, 4, 4, r);
	assert_int_equal(r[0], 0);
}

static void topology_follows_the_number_of_vcpus(void **state)
{
	struct x86_box *b = *state;
	const struct machine_config config = {.memory_size = RAM_SIZE, .nr_cpus = 5};
	struct machine *machine, *one = b->machine;
	uint32_t r[4];

	cpuid(b, 1, 0, r);
	assert_int_equal(r[3] >> 28 & 1, 0);
	assert_int_equal(machine_create(&config, &machine), 0);
	b->cpu->machine = machine;
	b->cpu->index = 3;
	cpuid(b, 1, 0, r);
	assert_int_equal(r[1] >> 24, 3);        /* initial APIC ID */
	assert_int_equal(r[1] >> 16 & 0xff, 8); /* IDs reserved: 5, a power of two */
	assert_int_equal(r[3] >> 28 & 1, 1);    /* HTT */
	cpuid(b, 0xb, 0, r);
	assert_int_equal(r[0], 0);
	assert_int_equal(r[1], 1);
	assert_int_equal(r[2], 1 << 8);
	assert_int_equal(r[3], 3);
	cpuid(b, 0xb, 1, r);
	assert_int_equal(r[0], 3);
	assert_int_equal(r[1], 5);
	assert_int_equal(r[2], 2 << 8 | 1);
	cpuid(b, 0xb, 2, r);
	assert_int_equal(r[1], 0);
	assert_int_equal(r[2], 2);
	assert_int_equal(r[3], 3);
	cpuid(b, 4, 3, r);
	assert_int_equal(r[0] >> 14 & 0xfff, 7); /* who shares the last level */
	b->cpu->machine = one;
	machine_destroy(machine);
}

static void state_bits_follow_the_state(void **state)
{
	struct x86_box *b = *state;
	uint32_t r[4];

	b->cpu->cr4 |= CR4_OSXSAVE | CR4_PKE;
	cpuid(b, 1, 0, r);
	assert_true(r[2] & 1 << 27);
	cpuid(b, 7, 0, r);
	assert_true(r[2] & 1 << 4);
	b->cpu->cr4 &= ~(CR4_OSXSAVE | CR4_PKE);
	cpuid(b, 1, 0, r);
	assert_false(r[2] & 1 << 27);
	cpuid(b, 7, 0, r);
	assert_false(r[2] & 1 << 4);
	cpuid(b, 0x80000001, 0, r);
	assert_true(r[3] & 1 << 11);
}

static void syscall_is_offered_in_64_bit_mode_only_by_intel(void **state)
{
	struct x86_box *b = *state;
	uint32_t r[4];

	cpuid(b, 0x80000001, 0, r);
	assert_false(r[3] & 1 << 11);
	be_a(b, "zen2");
	cpuid(b, 0x80000001, 0, r);
	assert_true(r[3] & 1 << 11);
}

static void every_geometry_of_a_tlb_has_a_model(void **state)
{
	unsigned i = 0;

	for (const struct processor *p; (p = processor_at(i)); i++) {
		const struct x86_model *model = x86_model_find(p->name);

		assert_non_null(model);
		assert_true(strlen(model->brand) < 48);
	}
	assert_int_equal(i, 5);
	assert_null(x86_model_find("8086"));
}

#define TEST_64(f) cmocka_unit_test_setup_teardown(f, setup_64, teardown)
#define TEST_32(f) cmocka_unit_test_setup_teardown(f, setup_32, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_feature_is_said_once),
		TEST_64(cpuid_says_what_the_table_of_features_says),
		TEST_64(what_is_offered_executes_and_the_rest_is_undefined),
		cmocka_unit_test(what_is_offered_is_implemented),
		TEST_64(without_lzcnt_and_tzcnt_their_prefix_is_ignored),
		TEST_64(control_bits_exist_with_their_features),
		TEST_64(a_model_has_a_name_a_signature_and_a_frequency),
		TEST_64(each_model_has_its_vendor_and_signature),
		TEST_64(amd_s_model_has_amd_s_leaves),
		TEST_64(beyond_the_last_leaf_intel_repeats_it),
		TEST_64(leaf_18h_tells_the_modelled_tlb),
		TEST_64(amd_s_leaves_tell_the_modelled_tlb),
		TEST_64(leaf_4_counts_the_caches),
		TEST_64(topology_follows_the_number_of_vcpus),
		TEST_64(state_bits_follow_the_state),
		TEST_32(syscall_is_offered_in_64_bit_mode_only_by_intel),
		cmocka_unit_test(every_geometry_of_a_tlb_has_a_model),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
