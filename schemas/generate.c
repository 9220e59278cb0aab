/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes every JSON Schema into the directory given: generate DIRECTORY. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "schemas/schema.h"

int main(int argc, char **argv)
{
	const char *name;

	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 64;
	}
	for (size_t i = 0; (name = schema_name(i)); i++) {
		json_t *schema = schema_build(name);
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s.json", argv[1], name);
		if (!schema || json_dump_file(schema, path, JSON_INDENT(2))) {
			fprintf(stderr, "%s: %s: %s\n", argv[0], path, strerror(errno));
			return 70;
		}
		json_decref(schema);
	}
	return 0;
}
