/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which feature of CPUID an instruction belongs to: without it, #UD. */
#include "x86/decode.h"
#include "x86/model.h"

#define ALWAYS X86_NR_FEATURES

struct isa_row {
	ZydisISASet set;
	unsigned feature;
};

#define ISA(set, feature)                                                                          \
	{                                                                                          \
		ZYDIS_ISA_SET_##set, X86_FEATURE_##feature                                         \
	}
#define ISA_ALWAYS(set)                                                                            \
	{                                                                                          \
		ZYDIS_ISA_SET_##set, ALWAYS                                                        \
	}

/* What is not listed, AVX-512 and its like, is no instruction of this processor. */
static const struct isa_row rows[] = {
	ISA_ALWAYS(I86),
	ISA_ALWAYS(I186),
	ISA_ALWAYS(I286REAL),
	ISA_ALWAYS(I286PROTECTED),
	ISA_ALWAYS(I386),
	ISA_ALWAYS(I486),
	ISA_ALWAYS(I486REAL),
	ISA_ALWAYS(PENTIUMREAL),
	ISA_ALWAYS(PPRO),
	ISA_ALWAYS(RDPMC),
	ISA_ALWAYS(LONGMODE),
	ISA_ALWAYS(LAHF),
	ISA_ALWAYS(FAT_NOP),
	ISA_ALWAYS(PAUSE),
	ISA_ALWAYS(PREFETCH_NOP),
	ISA_ALWAYS(PREFETCHWT1), /* without its feature another PREFETCH */
	ISA(X87, FPU),
	ISA(CMOV, CMOV),
	ISA(FCMOV, CMOV),
	ISA(CLFSH, CLFSH),
	ISA(PENTIUMMMX, MMX),
	ISA(FXSAVE, FXSR),
	ISA(FXSAVE64, FXSR),
	ISA(SSE, SSE),
	ISA(SSEMXCSR, SSE),
	ISA(SSE_PREFETCH, SSE),
	ISA(SSE2, SSE2),
	ISA(SSE2MMX, MMX),
	ISA(SSE3, SSE3),
	ISA(SSE3X87, SSE3),
	ISA(PCLMULQDQ, PCLMULQDQ),
	ISA(MONITOR, MONITOR),
	ISA(VTX, VMX),
	ISA(SSSE3, SSSE3),
	ISA(SSSE3MMX, SSSE3),
	ISA(CMPXCHG16B, CX16),
	ISA(SSE4, SSE4_1),
	ISA(SSE42, SSE4_2),
	ISA(MOVBE, MOVBE),
	ISA(POPCNT, POPCNT),
	ISA(AES, AESNI),
	ISA(XSAVE, XSAVE),
	ISA(RDRAND, RDRAND),
	ISA(RDWRFSGS, FSGSBASE),
	ISA(BMI1, BMI1),
	ISA(BMI2, BMI2),
	ISA(INVPCID, INVPCID),
	ISA(RTM, RTM),
	ISA(RDSEED, RDSEED),
	ISA(ADOX_ADCX, ADX),
	ISA(SMAP, SMAP),
	ISA(CLFLUSHOPT, CLFLUSHOPT),
	ISA(CLWB, CLWB),
	ISA(SHA, SHA),
	ISA(PKU, PKU),
	ISA(RDPID, RDPID),
	ISA(XSAVEOPT, XSAVEOPT),
	ISA(XSAVEC, XSAVEC),
	ISA(XSAVES, XSAVES),
	ISA(SVM, SVM),
	ISA(LZCNT, LZCNT),
	ISA(AMD, SYSCALL), /* outside 64-bit mode */
	ISA(SSE4A, SSE4A),
	ISA(RDTSCP, RDTSCP),
};

bool x86_isa_offered(ZydisISASet set)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].set == set)
			return rows[i].feature == ALWAYS || x86_features[rows[i].feature].vendors;
	return false;
}
