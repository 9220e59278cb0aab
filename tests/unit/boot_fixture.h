/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An image that is loaded into the memory of a guest, for the tests of loaders. */
#ifndef BOOT_FIXTURE_H
#define BOOT_FIXTURE_H

#include <errno.h>
#include <string.h>

#include "boot/boot.h"
#include "memory/map.h"

static struct memory memory;
static struct boot_entry entry;
static struct umbra_error error;
static struct umbra_image file; /* what load() loads, and what with */

/* 0, as cmocka wants it. */
static int boot_setup(const char *name, const void *data, size_t size, uint64_t ram)
{
	file = (struct umbra_image){.name = name, .data = data, .size = size};
	return memory_create(&memory, ram, false, 1, NULL);
}

static int teardown(void **state)
{
	memory_destroy(&memory);
	return 0;
}

static int load_bytes(const void *bytes, size_t size)
{
	struct umbra_image image_of_bytes = file;

	image_of_bytes.data = bytes;
	image_of_bytes.size = size;
	memset(&error, 0, sizeof(error));
	memset(&entry, 0, sizeof(entry));
	return boot_load(&memory, &image_of_bytes, &entry, &error);
}

static int load(void)
{
	return load_bytes(file.data, file.size);
}

static uint64_t peek(uint64_t gpa, unsigned size)
{
	uint64_t value = 0;

	assert_int_equal(memory_read(&memory, gpa, &value, size), 0);
	return value;
}

static void assert_refused_with(int code, const char *subject, const char *place)
{
	assert_int_equal(load(), code);
	assert_int_equal(error.code, code);
	assert_string_equal(error.subject, subject);
	assert_non_null(strstr(error.place, place));
	assert_true(error.text[0] != 0);
	assert_int_equal(entry.rip, 0);
}

static void assert_refused(const char *place)
{
	assert_refused_with(-ENOEXEC, file.name, place);
}

static void assert_no_room(const char *place)
{
	assert_refused_with(-ENOSPC, file.name, place);
}

#endif
