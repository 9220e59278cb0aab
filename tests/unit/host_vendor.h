/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests that compare with the host's own CPU compare the model of its vendor: what the manuals of
 * the two have different, or leave open, is then held against a processor of that make.
 */
#ifndef TESTS_HOST_VENDOR_H
#define TESTS_HOST_VENDOR_H

#include <cpuid.h>

#include "x86/model.h"

static inline bool host_is_amd(void)
{
	unsigned eax, ebx, ecx, edx;

	/* "AuthenticAMD", "HygonGenuine" */
	return __get_cpuid(0, &eax, &ebx, &ecx, &edx) && (ebx == 0x68747541 || ebx == 0x6f677948);
}

static inline const struct x86_model *host_model(void)
{
	return x86_model_find(host_is_amd() ? "zen2" : "skylake");
}

#endif
