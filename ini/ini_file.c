/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ini/ini_file.h"

struct ini_reading {
	const struct ini_reader *reader;
	void *context;
	const char *file;
	FILE *stream;
	unsigned int line;
	char (*seen)[INI_SECTION_MAX + INI_KEY_MAX + 2]; /* "section\nkey" */
	size_t nr_seen;
	int code; /* of the first failure, after which all else is skipped */
	struct umbra_error *ret_error;
};

void ini_fail(struct ini_reading *reading, const char *section, const char *key, const char *format,
	      ...)
{
	char place[64], text[256];
	va_list arguments;

	if (reading->code)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	snprintf(place, sizeof(place), "line %u%s%s%s%s%s", reading->line, section ? ", [" : "",
		 section ? section : "", section ? "]" : "", key ? " " : "", key ? key : "");
	reading->code =
		umbra_error_set(reading->ret_error, -EINVAL, reading->file, place, "%s", text);
}

unsigned int ini_line(const struct ini_reading *reading)
{
	return reading->line;
}

static void begin_section(struct ini_reading *reading, const char *line)
{
	char section[INI_SECTION_MAX + 1];
	size_t len = strcspn(line + 1, "]");

	if (line[1 + len] != ']') {
		ini_fail(reading, NULL, NULL, "a section begins with '[' and ends with ']'");
		return;
	}
	if (len > INI_SECTION_MAX) {
		ini_fail(reading, NULL, NULL, "the section's name is longer than %d bytes",
			 INI_SECTION_MAX);
		return;
	}
	snprintf(section, sizeof(section), "%.*s", (int)len, line + 1);
	reading->reader->section(reading, reading->context, section);
}

/*
 * Hands inih the next line. It sees each line first, because inih cuts long lines and names, tells
 * nobody about sections, and takes an indented line for more of the value above.
 */
static char *read_line(char *line, int size, void *context)
{
	struct ini_reading *reading = context;
	char *start;
	size_t len;

	if (reading->code || !fgets(line, size, reading->stream))
		return NULL;
	reading->line++;
	len = strlen(line);
	if (len > INI_LINE_MAX || (len && line[len - 1] != '\n' && !feof(reading->stream))) {
		ini_fail(reading, NULL, NULL, "the line is longer than %d bytes", INI_LINE_MAX - 1);
		return NULL;
	}
	start = line + strspn(line, " \t");
	memmove(line, start, strlen(start) + 1);
	if (*line == '[')
		begin_section(reading, line);
	return reading->code ? NULL : line;
}

/* Whether the key was there already; else notes it. */
static bool seen_before(struct ini_reading *reading, const char *section, const char *key)
{
	char name[sizeof(reading->seen[0])];
	void *seen;

	snprintf(name, sizeof(name), "%s\n%s", section, key);
	for (size_t i = 0; i < reading->nr_seen; i++) {
		if (!strcmp(reading->seen[i], name))
			return true;
	}
	seen = reallocarray(reading->seen, reading->nr_seen + 1, sizeof(reading->seen[0]));
	if (seen) {
		reading->seen = seen;
		strcpy(reading->seen[reading->nr_seen++], name);
	}
	return false;
}

static int take_key(void *context, const char *section, const char *key, const char *value)
{
	struct ini_reading *reading = context;

	if (reading->code)
		return 0;
	if (!*section)
		ini_fail(reading, NULL, key, "a section was expected before the first key");
	else if (seen_before(reading, section, key))
		ini_fail(reading, section, key, "given twice");
	else
		reading->reader->key(reading, reading->context, section, key, value);
	return !reading->code;
}

int ini_read(const char *file, const struct ini_reader *reader, void *context,
	     struct umbra_error *ret_error)
{
	struct ini_reading reading = {
		.reader = reader, .context = context, .file = file, .ret_error = ret_error};
	int line, code;

	reading.stream = fopen(file, "re");
	if (!reading.stream) {
		code = -errno;
		return umbra_error_set(ret_error, code, file, NULL, "%s", strerror(-code));
	}
	line = ini_parse_stream(read_line, &reading, take_key, &reading);
	if (line && !reading.code) {
		reading.line = line > 0 ? (unsigned int)line : reading.line;
		ini_fail(&reading, NULL, NULL, "\"key = value\" or \"[section]\" was expected");
	}
	if (!reading.code && ferror(reading.stream))
		reading.code = umbra_error_set(ret_error, -EIO, file, NULL, "cannot be read");
	fclose(reading.stream);
	free(reading.seen);
	return reading.code;
}
