/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/configuration.h"
#include "daemon/configuration_values.h"

/* inih cuts longer ones without a word. */
enum { SECTION_MAX = 49, KEY_MAX = 49, LINE_MAX_LEN = 198 };

/* One file being read. */
struct reading {
	struct config *config;
	const char *file;
	FILE *stream;
	unsigned int line;
	char (*seen)[SECTION_MAX + KEY_MAX + 2]; /* "section\nkey" of this file */
	size_t nr_seen;
	int code; /* of the first failure, after which all else is skipped */
	struct umbra_error *ret_error;
};

void config_init(struct config *config)
{
	*config = (struct config){.listen_port = 8642, .interval = CONFIG_DEFAULT_INTERVAL};
	strcpy(config->listen_address, "127.0.0.1");
	strcpy(config->socket, CONFIG_DEFAULT_SOCKET);
}

void config_free(struct config *config)
{
	free(config->guests);
	config->guests = NULL;
	config->nr_guests = 0;
}

static void fail(struct reading *reading, const char *section, const char *key, const char *format,
		 ...) __attribute__((format(printf, 4, 5)));

static void fail(struct reading *reading, const char *section, const char *key, const char *format,
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

static struct guest_config *find_guest(struct config *config, const char *name)
{
	for (size_t i = 0; i < config->nr_guests; i++) {
		if (!strcmp(config->guests[i].name, name))
			return &config->guests[i];
	}
	return NULL;
}

static void add_guest(struct reading *reading, const char *section, const char *name)
{
	struct config *config = reading->config;
	struct guest_config *guests;

	if (!*name || strlen(name) > CONFIG_NAME_MAX ||
	    strspn(name, CONFIG_NAME_CHARACTERS) != strlen(name) || *name == '.') {
		fail(reading, section, NULL,
		     "a guest's name is 1 to %d letters, digits, '-', '_' and '.', not first a '.'",
		     CONFIG_NAME_MAX);
		return;
	}
	if (find_guest(config, name))
		return;
	guests = reallocarray(config->guests, config->nr_guests + 1, sizeof(*guests));
	if (!guests) {
		fail(reading, section, NULL, "out of memory");
		return;
	}
	config->guests = guests;
	config_guest_init(&guests[config->nr_guests++], name);
}

/* What [section] is for; NULL: nothing, and @reading says so. */
static const struct config_key *section_keys(struct reading *reading, const char *section,
					     const char **ret_guest)
{
	static const char guest[] = "guest ";

	*ret_guest = NULL;
	if (!strcmp(section, "umbrad"))
		return config_umbrad_keys;
	if (!strcmp(section, "policy"))
		return config_policy_keys;
	if (!strncmp(section, guest, strlen(guest))) {
		*ret_guest = section + strlen(guest);
		return config_guest_keys;
	}
	if (!strncmp(section, "workload ", 9) || !strncmp(section, "collector ", 10))
		fail(reading, section, NULL, "this build has no such sections yet");
	else
		fail(reading, section, NULL,
		     "unknown section; [umbrad], [policy] or [guest NAME] was expected");
	return NULL;
}

static void begin_section(struct reading *reading, const char *line)
{
	char section[SECTION_MAX + 1];
	size_t len = strcspn(line + 1, "]");
	const char *guest;

	if (line[1 + len] != ']') {
		fail(reading, NULL, NULL, "a section begins with '[' and ends with ']'");
		return;
	}
	if (len > SECTION_MAX) {
		fail(reading, NULL, NULL, "the section's name is longer than %d bytes",
		     SECTION_MAX);
		return;
	}
	snprintf(section, sizeof(section), "%.*s", (int)len, line + 1);
	if (section_keys(reading, section, &guest) && guest)
		add_guest(reading, section, guest);
}

/*
 * Hands inih the next line. It sees each line first, because inih cuts long lines and names, tells
 * nobody about sections, and takes an indented line for more of the value above.
 */
static char *read_line(char *line, int size, void *context)
{
	struct reading *reading = context;
	char *start;
	size_t len;

	if (reading->code || !fgets(line, size, reading->stream))
		return NULL;
	reading->line++;
	len = strlen(line);
	if (len > LINE_MAX_LEN || (len && line[len - 1] != '\n' && !feof(reading->stream))) {
		fail(reading, NULL, NULL, "the line is longer than %d bytes", LINE_MAX_LEN - 1);
		return NULL;
	}
	start = line + strspn(line, " \t");
	memmove(line, start, strlen(start) + 1);
	if (*line == '[')
		begin_section(reading, line);
	return reading->code ? NULL : line;
}

/* Whether the key was there already; else notes it. */
static bool seen_before(struct reading *reading, const char *section, const char *key)
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
	struct reading *reading = context;
	struct config_place place = {.config = reading->config, .file = reading->file};
	const struct config_key *row;
	const char *guest;
	char why[200] = "";

	if (reading->code)
		return 0;
	if (!*section) {
		fail(reading, NULL, key, "a section was expected before the first key");
		return 0;
	}
	row = section_keys(reading, section, &guest);
	if (!row)
		return 0;
	while (row->name && strcmp(row->name, key))
		row++;
	if (!row->name) {
		fail(reading, section, key, "unknown key");
		return 0;
	}
	if (seen_before(reading, section, key)) {
		fail(reading, section, key, "given twice");
		return 0;
	}
	if (guest)
		place.guest = find_guest(reading->config, guest);
	if (row->parse(&place, value, why, sizeof(why))) {
		fail(reading, section, key, "\"%.60s\": %s", value, *why ? why : row->expected);
		return 0;
	}
	return 1;
}

int config_read(struct config *config, const char *file, struct umbra_error *ret_error)
{
	struct reading *reading = calloc(1, sizeof(*reading));
	int line, code;

	if (!reading)
		return umbra_error_set(ret_error, -ENOMEM, file, NULL, "out of memory");
	reading->config = config;
	reading->file = file;
	reading->ret_error = ret_error;
	reading->stream = fopen(file, "re");
	if (!reading->stream) {
		code = -errno;
		free(reading);
		return umbra_error_set(ret_error, code, file, NULL, "%s", strerror(-code));
	}
	line = ini_parse_stream(read_line, reading, take_key, reading);
	if (line && !reading->code) {
		reading->line = line > 0 ? (unsigned int)line : reading->line;
		fail(reading, NULL, NULL, "\"key = value\" or \"[section]\" was expected");
	}
	if (!reading->code && ferror(reading->stream))
		reading->code = umbra_error_set(ret_error, -EIO, file, NULL, "cannot be read");
	fclose(reading->stream);
	code = reading->code;
	free(reading->seen);
	free(reading);
	return code;
}

int config_read_default(struct config *config, const char *file, const char *directory,
			struct umbra_error *ret_error)
{
	char pattern[CONFIG_PATH_MAX];
	glob_t found;
	int code;

	code = config_read(config, file, ret_error);
	if (code && code != -ENOENT)
		return code;
	snprintf(pattern, sizeof(pattern), "%s/?*.conf", directory);
	if (glob(pattern, 0, NULL, &found))
		return 0;
	code = 0;
	for (size_t i = 0; i < found.gl_pathc && !code; i++)
		code = config_read(config, found.gl_pathv[i], ret_error);
	globfree(&found);
	return code;
}

int config_check(const struct config *config, struct umbra_error *ret_error)
{
	for (size_t i = 0; i < config->nr_guests; i++) {
		const struct guest_config *guest = &config->guests[i];

		if (!guest->image[0]) {
			char place[64];

			snprintf(place, sizeof(place), "[guest %s] image", guest->name);
			return umbra_error_set(ret_error, -EINVAL, "configuration", place,
					       "missing; the path of an image was expected");
		}
		if (guest->mode == UMBRA_MODE_BARE && guest->policy != POLICY_PINNED)
			return umbra_error_set(ret_error, -EINVAL, "configuration", guest->name,
					       "a bare guest can only be pinned");
	}
	return 0;
}
