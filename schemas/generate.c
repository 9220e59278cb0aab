/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes what is made from the tables: every JSON Schema into a directory, or a manual page.
 * usage: generate --schemas DIRECTORY | --manual FILE
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "schemas/manual.h"
#include "schemas/schema.h"

static int write_schemas(const char *directory)
{
	const char *name;

	for (size_t i = 0; (name = schema_name(i)); i++) {
		json_t *schema = schema_build(name);
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s.json", directory, name);
		if (!schema || json_dump_file(schema, path, JSON_INDENT(2))) {
			fprintf(stderr, "generate: %s: %s\n", path, strerror(errno));
			return 70;
		}
		json_decref(schema);
	}
	return 0;
}

static int write_manual(const char *path)
{
	FILE *out = fopen(path, "we");

	if (out)
		manual_write(out);
	if (!out || ferror(out) | fclose(out)) {
		fprintf(stderr, "generate: %s: %s\n", path, strerror(errno));
		return 70;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--schemas"))
		return write_schemas(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "--manual"))
		return write_manual(argv[2]);
	fprintf(stderr, "usage: generate --schemas DIRECTORY | --manual FILE\n");
	return 64;
}
