/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "collectors/host_file.h"

bool host_read_line(const char *root, const char *name, char *ret_line, size_t size)
{
	char path[PATH_MAX];
	FILE *file;
	bool read;

	*ret_line = '\0';
	snprintf(path, sizeof(path), "%s/%s", root, name);
	file = fopen(path, "re");
	if (!file)
		return false;
	read = fgets(ret_line, (int)size, file) != NULL;
	fclose(file);
	if (!read)
		*ret_line = '\0';
	ret_line[strcspn(ret_line, "\n")] = '\0';
	return read;
}

void host_read_choice(const char *root, const char *name, char *ret_choice, size_t size)
{
	char line[128], *end;
	const char *begin;

	*ret_choice = '\0';
	if (!host_read_line(root, name, line, sizeof(line)))
		return;
	begin = strchr(line, '[');
	end = begin ? strchr(begin, ']') : NULL;
	if (!end)
		return;
	*end = '\0';
	snprintf(ret_choice, size, "%s", begin + 1);
}

bool host_file_exists(const char *root, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	return !access(path, F_OK);
}
