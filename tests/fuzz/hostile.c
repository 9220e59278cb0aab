/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hostile SEED FILE: writes the seed's hostile guest to FILE as a multiboot image, for umbrad to
 * run. It never gives up: its handlers go on somewhere after any fault. Prints how many bytes of
 * memory it wants.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz_image.h"
#include "x86/control.h"

static struct fuzz_program program;
static uint8_t image[FUZZ_IMAGE_SIZE];

int main(int argc, char **argv)
{
	struct fuzz_head head = {
		.cr0 = CR0_PE | CR0_ET,
		.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT,
		.eip = FUZZ_CODE,
		.cs = FUZZ_SELECTOR_CODE,
		.tr = FUZZ_SELECTOR_TSS,
		.eflags = 0x202,
		.esp = FUZZ_STACKS + 0x1000,
		.ss = FUZZ_SELECTOR_DATA,
		.es = FUZZ_SELECTOR_DATA,
		.ds = FUZZ_SELECTOR_DATA,
	};
	FILE *file;

	if (argc != 3 || !(file = fopen(argv[2], "wb"))) {
		fputs("usage: hostile SEED FILE\n", stderr);
		return 1;
	}
	fuzz_program_make(&program, strtoull(argv[1], NULL, 10));
	if (program.long_mode) {
		head.cr0 |= CR0_PG | CR0_WP;
		head.cr3 = FUZZ_PML4;
		head.cr4 |= CR4_PAE;
		head.efer = EFER_SCE | EFER_LME | EFER_NXE;
	}
	fuzz_image_make(image, &program, &head, NULL, 0);
	printf("%" PRIu64 "\n", program.memory);
	return fwrite(image, sizeof(image), 1, file) != 1 || fclose(file);
}
