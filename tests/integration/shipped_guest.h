/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The image of a guest that Umbra ships, for tests that run it over the core. */
#ifndef TESTS_SHIPPED_GUEST_H
#define TESTS_SHIPPED_GUEST_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

/* Of the build, or from the folder UMBRA_GUESTS. The caller frees it. */
static inline void *shipped_guest(const char *guest, size_t *ret_size)
{
	const char *directory = getenv("UMBRA_GUESTS");
	char path[4096];
	char *data;
	FILE *file;
	long size;

	snprintf(path, sizeof(path), "%s/%s.elf", directory ? directory : "guests", guest);
	file = fopen(path, "rb");
	if (!file)
		fail_msg("%s: cannot open it", path);
	assert_int_equal(fseek(file, 0, SEEK_END), 0);
	size = ftell(file);
	rewind(file);
	data = malloc(size);
	assert_non_null(data);
	assert_int_equal(fread(data, 1, size, file), size);
	fclose(file);
	*ret_size = size;
	return data;
}

#endif
