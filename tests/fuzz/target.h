/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the libFuzzer targets share. */
#ifndef TESTS_FUZZ_TARGET_H
#define TESTS_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

struct umbra_guest;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * Runs up to @instructions, or an interval of guest time; a guest that makes no progress (an
 * endless chain of faults) is kicked after a while. Aborts if the kick is not honoured.
 */
void target_run(struct umbra_guest *guest, uint64_t instructions);

#endif
