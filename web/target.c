/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "web/target.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes %XX in place. False: a malformed one, or a NUL. */
static bool decode(char *text)
{
	char *out = text;

	for (const char *in = text; *in; in++) {
		int high, low;

		if (*in != '%') {
			*out++ = *in;
			continue;
		}
		high = hex_digit(in[1]);
		low = high < 0 ? -1 : hex_digit(in[2]);
		if (low < 0 || !(high | low))
			return false;
		*out++ = (char)(high << 4 | low);
		in += 2;
	}
	*out = '\0';
	return true;
}

/* Cuts @text at the first @mark; what follows it, or NULL. */
static char *cut(char *text, char mark)
{
	char *found = strchr(text, mark);

	if (!found)
		return NULL;
	*found = '\0';
	return found + 1;
}

static unsigned int parse_path(char *path, struct target *target, const char **ret_why)
{
	for (char *segment = path + 1; segment;) {
		char *next = cut(segment, '/');

		if (target->nr_segments == TARGET_SEGMENTS_MAX) {
			*ret_why = "nothing is served under this path";
			return 404;
		}
		if (!decode(segment)) {
			*ret_why = "the path has a % without two hexadecimal digits, or %00";
			return 400;
		}
		target->segments[target->nr_segments++] = segment;
		segment = next;
	}
	return 0;
}

static unsigned int parse_query(char *query, struct target *target, const char **ret_why)
{
	while (query) {
		char *next = cut(query, '&');
		char *value = cut(query, '=');

		if (!*query && !value) {
			query = next;
			continue;
		}
		if (target->nr_parameters == TARGET_PARAMETERS_MAX) {
			*ret_why = "the query has more than 8 parameters";
			return 400;
		}
		if (!decode(query) || (value && !decode(value))) {
			*ret_why = "the query has a % without two hexadecimal digits, or %00";
			return 400;
		}
		target->parameters[target->nr_parameters].name = query;
		target->parameters[target->nr_parameters++].value = value ? value : "";
		query = next;
	}
	return 0;
}

unsigned int target_parse(const char *text, struct target *ret_target, const char **ret_why)
{
	static const char scheme[] = "http://";
	struct target *target = ret_target;
	size_t len = strnlen(text, TARGET_LEN_MAX + 1);
	char *path = target->bytes, *query;
	unsigned int status;

	target->authority = NULL;
	target->nr_segments = target->nr_parameters = 0;
	target->path[0] = '\0';
	if (len > TARGET_LEN_MAX) {
		*ret_why = "the request's target is longer than 2000 bytes";
		return 414;
	}
	for (size_t i = 0; i < len; i++) {
		if (text[i] <= ' ' || text[i] >= 0x7f || text[i] == '#') {
			*ret_why = "the request's target has a byte that none may have";
			return 400;
		}
	}
	memcpy(target->bytes, text, len + 1);
	query = cut(path, '?');
	if (!strncasecmp(path, scheme, strlen(scheme))) {
		/* The authority moves to the front, so that the path keeps its slash. */
		size_t authority = strcspn(path + strlen(scheme), "/");

		memmove(path, path + strlen(scheme), authority);
		path[authority] = '\0';
		target->authority = path;
		path += strlen(scheme) + authority;
		if (!*path)
			path = strcpy(target->bytes + authority + 1, "/");
	}
	if (*path != '/') {
		*ret_why = "the request's target is no path";
		return 400;
	}
	strcpy(target->path, path);
	status = parse_path(path, target, ret_why);
	return status ? status : parse_query(query, target, ret_why);
}

const char *target_parameter(const struct target *target, const char *name)
{
	for (unsigned int i = 0; i < target->nr_parameters; i++) {
		if (!strcmp(target->parameters[i].name, name))
			return target->parameters[i].value;
	}
	return NULL;
}
