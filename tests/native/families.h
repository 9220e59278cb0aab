/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tables of rows, a file each; every one ends with an empty row. */
#ifndef TESTS_NATIVE_FAMILIES_H
#define TESTS_NATIVE_FAMILIES_H

#include "native.h"

extern const struct native_row native_alu[];
extern const struct native_row native_shift[];
extern const struct native_row native_multiply[];
extern const struct native_row native_bit[];
extern const struct native_row native_move[];
extern const struct native_row native_stack[];
extern const struct native_row native_branch[];
extern const struct native_row native_string[];
extern const struct native_row native_misc[];
extern const struct native_row native_x87[];
extern const struct native_row native_mmx[];
extern const struct native_row native_sse[];
extern const struct native_row native_sse2[];
extern const struct native_row native_sse4[];

#endif
