/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small files of the kernel below a root ("/sys", "/proc", or another folder in tests). */
#ifndef COLLECTORS_HOST_FILE_H
#define COLLECTORS_HOST_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* The first line of @root/@name without its end; false, and it is empty: it cannot be read. */
bool host_read_line(const char *root, const char *name, char *ret_line, size_t size);
/* Of "always [madvise] never" what is chosen; empty: nothing, or it cannot be read. */
void host_read_choice(const char *root, const char *name, char *ret_choice, size_t size);
bool host_file_exists(const char *root, const char *name);

#endif
