/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processor models by name, and which features each of them offers. */
#ifndef X86_MODEL_H
#define X86_MODEL_H

#include "x86/control.h"
#include "x86/cpu.h"

enum x86_vendor { X86_VENDOR_INTEL, X86_VENDOR_AMD, X86_NR_VENDORS };

enum x86_feature {
#define FEATURE(name, leaf, subleaf, register, bit, vendors) X86_FEATURE_##name,
#include "x86/features.def"
#undef FEATURE
	X86_NR_FEATURES,
};

/* As CPUID returns them. */
enum x86_cpuid_register { X86_CPUID_EAX, X86_CPUID_EBX, X86_CPUID_ECX, X86_CPUID_EDX };

struct x86_feature_row {
	const char *name;
	uint32_t leaf, subleaf;
	enum x86_cpuid_register reg;
	uint8_t bit;
	uint8_t vendors; /* bit i: enum x86_vendor i offers it */
};

extern const struct x86_feature_row x86_features[X86_NR_FEATURES];

/* SDM 2 CPUID leaf 4; a data cache, instruction cache or both. */
enum x86_cache_type { X86_CACHE_NONE, X86_CACHE_DATA, X86_CACHE_INSTRUCTION, X86_CACHE_UNIFIED };

struct x86_cache {
	enum x86_cache_type type;
	uint8_t level;
	uint16_t ways;
	uint32_t size; /* in KiB */
};

#define X86_CACHE_LINE 64u
#define X86_NR_CACHES  4

struct x86_model {
	const char *processor; /* its name in paging/processor.c */
	const char *brand;     /* at most 47 characters */
	enum x86_vendor vendor;
	uint16_t family;
	uint8_t model, stepping;
	struct x86_cache caches[X86_NR_CACHES];
};

/* The model whose geometry is called @processor; NULL: there is none. */
const struct x86_model *x86_model_find(const char *processor);

/* CPUID.1:EAX; cpuid.c. */
uint32_t x86_signature(const struct x86_model *model);

static inline bool x86_offers(const struct x86_cpu *cpu, enum x86_feature feature)
{
	return x86_features[feature].vendors >> cpu->model->vendor & 1;
}

static inline bool x86_is_amd(const struct x86_cpu *cpu)
{
	return cpu->model->vendor == X86_VENDOR_AMD;
}

/* The width of physical addresses; bits beyond it are reserved. */
static inline unsigned x86_maxphyaddr(const struct x86_cpu *cpu)
{
	return hw_maxphyaddr(cpu->hw);
}

#endif
