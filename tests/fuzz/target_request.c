/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A libFuzzer target: what the web reads from a request with parsers of its own. The lines of an
 * input are the request's target and the headers that are looked into. seeds.py writes what the
 * fuzzer begins with.
 */
#include "config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "target.h"
#include "web/accept.h"
#include "web/guard.h"
#include "web/problem.h"
#include "web/routes.h"
#include "web/target.h"

enum { LINES = 7 };

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* The next line, in memory of exactly its size, so that a byte too many is seen. */
static char *next_line(const uint8_t **data, size_t *size)
{
	const uint8_t *end = *size ? memchr(*data, '\n', *size) : NULL;
	size_t len = end ? (size_t)(end - *data) : *size, used = len + (end != NULL);
	char *line = malloc(len + 1);

	check(line != NULL);
	if (len)
		memcpy(line, *data, len);
	line[len] = '\0';
	*data += used;
	*size -= used;
	return line;
}

static bool within(const struct target *target, const char *text)
{
	return text >= target->bytes && text < target->bytes + sizeof(target->bytes);
}

static void try_target(const char *text)
{
	static struct target target, again;
	const char *why = NULL;
	unsigned int status = target_parse(text, &target, &why);
	char id[128];
	char *problem;

	check(!status == !why);
	problem = web_problem(status ? status : 404, target.path, why);
	json_t *value = json_loads(problem, JSON_REJECT_DUPLICATES, NULL);
	check(value != NULL);
	json_decref(value);
	free(problem);
	if (status) {
		check(status == 400 || status == 404 || status == 414);
		return;
	}
	check(target.path[0] == '/' && target.nr_segments > 0);
	for (unsigned int i = 0; i < target.nr_segments; i++)
		check(within(&target, target.segments[i]));
	for (unsigned int i = 0; i < target.nr_parameters; i++) {
		check(within(&target, target.parameters[i].name));
		check(!*target.parameters[i].value || within(&target, target.parameters[i].value));
		check(target_parameter(&target, target.parameters[i].name) != NULL);
	}
	/* The path alone is the same path. */
	check(!target_parse(target.path, &again, &why) && !again.nr_parameters);
	check(again.nr_segments == target.nr_segments && !strcmp(again.path, target.path));
	for (unsigned int i = 0; i < target.nr_segments; i++)
		check(!strcmp(again.segments[i], target.segments[i]));
	if (route_find(&target, id, sizeof(id)))
		check(strlen(id) < sizeof(id));
}

static void try_accept(const char *accept, const char *coding, const char *tags)
{
	static const struct media offers[] = {
		{"text/plain", "0.0.4", NULL},
		{"application/openmetrics-text", "1.0.0", NULL},
	};
	size_t offer = accept_media(accept, offers, 2);

	check(offer < 2);
	/* Who names neither, nor a wildcard, gets the first. */
	if (!strcasestr(accept, "openmetrics") && !strchr(accept, '*'))
		check(offer == 0);
	if (!strcasestr(coding, "gzip") && !strchr(coding, '*'))
		check(accept_coding(coding) == CODING_IDENTITY ||
		      (accept_coding(coding) == CODING_NONE && strcasestr(coding, "identity")));
	if (accept_has(tags, "\"0123456789abcdef\""))
		check(strstr(tags, "\"0123456789abcdef\"") || strchr(tags, '*'));
	accept_json(tags);
}

static void try_guards(const char *host, const char *origin)
{
	if (guard_host(host, "192.0.2.1"))
		check(!strncasecmp(host, "localhost", 9) || !strncmp(host, "127.0.0.1", 9) ||
		      !strncmp(host, "[::1]", 5) || !strncmp(host, "192.0.2.1", 9) ||
		      !strncmp(host, "[192.0.2.1]", 11));
	if (guard_origin(origin, "192.0.2.1"))
		check(guard_host(strstr(origin, "://") + 3, "192.0.2.1"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *lines[LINES];

	for (int i = 0; i < LINES; i++)
		lines[i] = next_line(&data, &size);
	try_target(lines[0]);
	try_accept(lines[1], lines[2], lines[3]);
	if (accept_json(lines[4]))
		check(strcasestr(lines[4], "application/json") != NULL);
	try_guards(lines[5], lines[6]);
	for (int i = 0; i < LINES; i++)
		free(lines[i]);
	return 0;
}
