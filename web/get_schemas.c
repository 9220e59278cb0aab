/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "schemas/schema.h"
#include "web/get_schemas.h"
#include "web/text.h"

/* What a route does not have is left out. */
static void write_word(struct text *out, const char *key, const char *value)
{
	if (value)
		json_write_word(out, key, value);
}

static void write_schemas(struct text *out)
{
	char path[128];
	const char *name;

	for (size_t i = 0; (name = schema_name(i)); i++) {
		snprintf(path, sizeof(path), "/schemas/%s.json", name);
		json_write_open(out, '{');
		write_word(out, "name", name);
		write_word(out, "title", schema_title(i));
		write_word(out, "path", path);
		json_write_close(out, '}');
	}
}

static void write_route(struct text *out, const struct route *route, const char *method,
			const char *request, const char *answer)
{
	json_write_open(out, '{');
	write_word(out, "path", route->pattern);
	write_word(out, "method", method);
	json_write_key(out, "parameters");
	json_write_open(out, '[');
	for (const struct parameter *one = route->parameters; one && one->name; one++) {
		json_write_open(out, '{');
		write_word(out, "name", one->name);
		write_word(out, "description", one->help);
		json_write_close(out, '}');
	}
	json_write_close(out, ']');
	write_word(out, "request", request);
	write_word(out, "answer", answer);
	json_write_close(out, '}');
}

void get_schemas(const struct request *request, struct reply *reply)
{
	struct text out = {0};

	json_write_open(&out, '{');
	json_write_key(&out, "schemas");
	json_write_open(&out, '[');
	write_schemas(&out);
	json_write_close(&out, ']');
	json_write_key(&out, "routes");
	json_write_open(&out, '[');
	for (const struct route *route = routes; route->pattern; route++) {
		write_route(&out, route, "GET", NULL, route->answer);
		if (route->put)
			write_route(&out, route, "PUT", route->wish, route->put_answer);
	}
	json_write_close(&out, ']');
	json_write_close(&out, '}');
	reply->status = 200;
	reply->content_type = "application/json";
	reply->body = text_take(&out, &reply->len);
	if (reply->body)
		return;
	reply->status = 500;
	strcpy(reply->detail, "out of memory");
}

void get_schema(const struct request *request, struct reply *reply)
{
	size_t len = strlen(request->id);
	char name[sizeof(request->id)];
	json_t *schema;

	if (len > 5 && !strcmp(request->id + len - 5, ".json"))
		len -= 5;
	snprintf(name, sizeof(name), "%.*s", (int)len, request->id);
	schema = schema_build(name);
	reply->body = schema ? json_dumps(schema, JSON_COMPACT) : NULL;
	json_decref(schema);
	if (!reply->body) {
		reply->status = 404;
		strcpy(reply->detail, "there is no schema of this name");
		return;
	}
	reply->status = 200;
	reply->content_type = "application/schema+json";
	reply->len = strlen(reply->body);
}
