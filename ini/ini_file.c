/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <pwd.h>
#include <search.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ini/ini_file.h"

struct ini_reading {
	const struct ini_reader *reader;
	void *context;
	const char *file;
	FILE *stream;
	char *buffer; /* of getline() */
	size_t buffer_size;
	size_t nr_bytes; /* read so far */
	unsigned int line;
	unsigned int failed_line;                   /* the last one that something was wrong with */
	enum { NO_SECTION, TAKEN, LEFT_OUT } state; /* of the present section */
	char section[INI_SECTION_MAX + 1];
	void *seen; /* a tree of "section\nkey" */
	bool again; /* the present key was seen before */
	int code;   /* of the first complaint */
	struct complaints *complaints;
};

void ini_fail(struct ini_reading *reading, const char *section, const char *key, const char *format,
	      ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	complain(reading->complaints, -EINVAL, "%s: line %u%s%s%s%s%s: %s", reading->file,
		 reading->line, section ? ", [" : "", section ? section : "", section ? "]" : "",
		 key ? " " : "", key ? key : "", text);
	reading->failed_line = reading->line;
	if (!reading->code)
		reading->code = -EINVAL;
}

unsigned int ini_line(const struct ini_reading *reading)
{
	return reading->line;
}

bool ini_again(const struct ini_reading *reading)
{
	return reading->again;
}

static void begin_section(struct ini_reading *reading, const char *line)
{
	size_t len = strcspn(line + 1, "]");
	const char *rest = line + 1 + len + 1;

	if (line[1 + len] != ']') {
		ini_fail(reading, NULL, NULL, "a section begins with '[' and ends with ']'");
	} else if (len > INI_SECTION_MAX) {
		ini_fail(reading, NULL, NULL, "the section's name is longer than %d bytes",
			 INI_SECTION_MAX);
	} else if (rest[strspn(rest, " \t\r\n")] && rest[strspn(rest, " \t\r\n")] != ';') {
		ini_fail(reading, NULL, NULL, "nothing but a comment was expected behind ']'");
	} else {
		snprintf(reading->section, sizeof(reading->section), "%.*s", (int)len, line + 1);
		reading->reader->section(reading, reading->context, reading->section);
	}
	/* What is wrong with a section is told once, not for each of its keys. */
	if (reading->failed_line != reading->line)
		reading->state = TAKEN;
}

/* Whether inih finds a key in the line: a '=' or ':' that is in no comment. */
static bool has_key(const char *line)
{
	char before = '\0';

	for (; *line && *line != '=' && *line != ':'; before = *line++) {
		if (*line == ';' && (before == ' ' || before == '\t'))
			return false;
	}
	return *line;
}

/* Whether the line can be handed on: all of it is text, and it is not too long. */
static bool check_bytes(struct ini_reading *reading, const char *line, size_t len)
{
	size_t text = len;

	while (text && (line[text - 1] == '\n' || line[text - 1] == '\r'))
		text--;
	for (size_t i = 0; i < text; i++) {
		unsigned char c = line[i];

		if ((c < ' ' && c != '\t') || c == 0x7f) {
			ini_fail(reading, NULL, NULL, "byte 0x%02x: text was expected", c);
			return false;
		}
	}
	if (len <= INI_LINE_MAX)
		return true;
	ini_fail(reading, NULL, NULL, "the line is longer than %d bytes", INI_LINE_MAX - 1);
	return false;
}

/* The line that was read, as inih is to see it; an empty one, told, where something is wrong. */
static const char *check_line(struct ini_reading *reading, size_t len)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";
	const char *line = reading->buffer;

	if (reading->line == 1 && !strncmp(line, byte_order_mark, strlen(byte_order_mark)))
		line += strlen(byte_order_mark);
	len -= line - reading->buffer;
	len -= strspn(line, " \t");
	line += strspn(line, " \t");
	if (*line == '[')
		reading->state = LEFT_OUT;
	if (!check_bytes(reading, line, len))
		return "\n";
	if (*line == '[')
		begin_section(reading, line);
	else if (*line && !strchr("#;\r\n", *line) && !has_key(line))
		ini_fail(reading, NULL, NULL, "\"key = value\" or \"[section]\" was expected");
	return reading->failed_line == reading->line ? "\n" : line;
}

/*
 * Hands inih the next line. It sees each line first, because inih cuts long lines and names, tells
 * nobody about sections, and takes an indented line for more of the value above.
 */
static char *read_line(char *line, int size, void *context)
{
	struct ini_reading *reading = context;
	ssize_t len;

	if (complaints_full(reading->complaints))
		return NULL;
	len = getline(&reading->buffer, &reading->buffer_size, reading->stream);
	if (len < 0)
		return NULL;
	reading->line++;
	reading->nr_bytes += len;
	if (reading->nr_bytes > INI_FILE_MAX) {
		ini_fail(reading, NULL, NULL, "a file of at most 16 MiB was expected");
		return NULL;
	}
	snprintf(line, size, "%s", check_line(reading, len));
	return line;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Whether the key was there already; else notes it. */
static bool seen_before(struct ini_reading *reading, const char *section, const char *key)
{
	char *name;
	void *node;

	if (asprintf(&name, "%s\n%s", section, key) < 0)
		return false;
	node = tsearch(name, &reading->seen, compare);
	if (node && *(char **)node == name)
		return false;
	free(name);
	return node != NULL;
}

static int take_key(void *context, const char *section, const char *key, const char *value)
{
	struct ini_reading *reading = context;
	const char *repeatable = reading->reader->repeatable;

	if (reading->state == LEFT_OUT)
		return 1;
	if (reading->state == NO_SECTION) {
		ini_fail(reading, NULL, key, "a section was expected before the first key");
		return 1;
	}
	reading->again = seen_before(reading, reading->section, key);
	if (reading->again && (!repeatable || strcmp(key, repeatable)))
		ini_fail(reading, reading->section, key, "given twice");
	else
		reading->reader->key(reading, reading->context, reading->section, key, value);
	return 1;
}

/* That it cannot be opened. Who started a daemon as root does not expect that it has become another
 * user. */
static int refuse_open(struct ini_reading *reading, int code)
{
	const struct passwd *user = code == -EACCES ? getpwuid(geteuid()) : NULL;

	return complain(reading->complaints, code, "%s: %s%s%s", reading->file, strerror(-code),
			user ? " to the user " : "", user ? user->pw_name : "");
}

/* What is no file is not waited for. 0, or an errno, told. */
static int open_stream(struct ini_reading *reading)
{
	int fd = open(reading->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), code = -EINVAL;
	struct stat status = {0};
	const char *why = NULL;

	if (fd < 0)
		return refuse_open(reading, -errno);
	if (fstat(fd, &status)) {
		code = -errno;
		why = strerror(-code);
	} else if (!S_ISREG(status.st_mode) && status.st_rdev != makedev(1, 3)) {
		why = "a regular file, or /dev/null, was expected";
	} else if (status.st_size > INI_FILE_MAX) {
		why = "a file of at most 16 MiB was expected";
	} else {
		reading->stream = fdopen(fd, "r");
		if (reading->stream)
			return 0;
		code = -ENOMEM;
		why = "out of memory";
	}
	close(fd);
	return complain(reading->complaints, code, "%s: %s", reading->file, why);
}

int ini_read(const char *file, const struct ini_reader *reader, void *context,
	     struct complaints *complaints)
{
	struct ini_reading reading = {
		.reader = reader, .context = context, .file = file, .complaints = complaints};
	int line;

	reading.code = open_stream(&reading);
	if (reading.code)
		return reading.code;
	line = ini_parse_stream(read_line, &reading, take_key, &reading);
	if (line && !reading.code) {
		reading.line = line > 0 ? (unsigned int)line : reading.line;
		ini_fail(&reading, NULL, NULL, "\"key = value\" or \"[section]\" was expected");
	}
	if (ferror(reading.stream))
		reading.code = complain(complaints, -EIO, "%s: cannot be read", file);
	fclose(reading.stream);
	free(reading.buffer);
	tdestroy(reading.seen, free);
	return reading.code;
}
