/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All families of instructions that are compared with the host's. */
#include "families.h"

/* clang-format off */
const struct native_family native_families[] = {
	{"alu", native_alu},
	{"shift", native_shift},
	{"multiply", native_multiply},
	{"bit", native_bit},
	{"move", native_move},
	{"stack", native_stack},
	{"branch", native_branch},
	{"string", native_string},
	{"misc", native_misc},
	{"x87", native_x87},
	{"mmx", native_mmx},
	{"sse", native_sse},
	{"sse2", native_sse2},
	{"sse4", native_sse4},
	{},
};
/* clang-format on */
