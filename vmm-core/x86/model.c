/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "x86/model.h"

#define VENDORS_NONE  0
#define VENDORS_INTEL (1u << X86_VENDOR_INTEL)
#define VENDORS_AMD   (1u << X86_VENDOR_AMD)
#define VENDORS_BOTH  (VENDORS_INTEL | VENDORS_AMD)

const struct x86_feature_row x86_features[X86_NR_FEATURES] = {
#define FEATURE(name, leaf, subleaf, register, bit, vendors)                                       \
	{#name, leaf, subleaf, X86_CPUID_##register, bit, VENDORS_##vendors},
#include "x86/features.def"
#undef FEATURE
};

/*
 * Family, model and stepping are the named processor's, and so are the caches, of which this CPU
 * models nothing: software sizes its blocks by them. The brand string says what it really is, and
 * its nominal frequency (SDM 2 CPUID, "the processor brand string").
 */
static const struct x86_model models[] = {
	{
		.processor = "skylake",
		.brand = "Umbra soft CPU (skylake) @ 1.00GHz",
		.vendor = X86_VENDOR_INTEL,
		.family = 6,
		.model = 0x5e,
		.stepping = 3,
		.caches =
			{
				{X86_CACHE_DATA, 1, 8, 32},
				{X86_CACHE_INSTRUCTION, 1, 8, 32},
				{X86_CACHE_UNIFIED, 2, 4, 256},
				{X86_CACHE_UNIFIED, 3, 16, 8192},
			},
	},
	{
		.processor = "icelake",
		.brand = "Umbra soft CPU (icelake) @ 1.00GHz",
		.vendor = X86_VENDOR_INTEL,
		.family = 6,
		.model = 0x7e,
		.stepping = 5,
		.caches =
			{
				{X86_CACHE_DATA, 1, 12, 48},
				{X86_CACHE_INSTRUCTION, 1, 8, 32},
				{X86_CACHE_UNIFIED, 2, 8, 512},
				{X86_CACHE_UNIFIED, 3, 16, 8192},
			},
	},
	{
		.processor = "zen2",
		.brand = "Umbra soft CPU (zen2) @ 1.00GHz",
		.vendor = X86_VENDOR_AMD,
		.family = 0x17,
		.model = 0x71,
		.stepping = 0,
		.caches =
			{
				{X86_CACHE_DATA, 1, 8, 32},
				{X86_CACHE_INSTRUCTION, 1, 8, 32},
				{X86_CACHE_UNIFIED, 2, 8, 512},
				{X86_CACHE_UNIFIED, 3, 16, 16384},
			},
	},
	{
		.processor = "zen3",
		.brand = "Umbra soft CPU (zen3) @ 1.00GHz",
		.vendor = X86_VENDOR_AMD,
		.family = 0x19,
		.model = 0x21,
		.stepping = 0,
		.caches =
			{
				{X86_CACHE_DATA, 1, 8, 32},
				{X86_CACHE_INSTRUCTION, 1, 8, 32},
				{X86_CACHE_UNIFIED, 2, 8, 512},
				{X86_CACHE_UNIFIED, 3, 16, 32768},
			},
	},
	{
		.processor = "zen4",
		.brand = "Umbra soft CPU (zen4) @ 1.00GHz",
		.vendor = X86_VENDOR_AMD,
		.family = 0x19,
		.model = 0x61,
		.stepping = 2,
		.caches =
			{
				{X86_CACHE_DATA, 1, 8, 32},
				{X86_CACHE_INSTRUCTION, 1, 8, 32},
				{X86_CACHE_UNIFIED, 2, 8, 1024},
				{X86_CACHE_UNIFIED, 3, 16, 32768},
			},
	},
};

const struct x86_model *x86_model_find(const char *processor)
{
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
		if (!strcmp(models[i].processor, processor))
			return &models[i];
	return NULL;
}
