/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON Schemas (draft 2020-12) of what Umbra hands out, made from the tables. */
#ifndef SCHEMAS_SCHEMA_H
#define SCHEMAS_SCHEMA_H

#include <jansson.h>
#include <stddef.h>

/* The name of schema @i ("guest"), or NULL beyond the last one. */
const char *schema_name(size_t i);
/* What schema @i describes, in a few words. */
const char *schema_title(size_t i);

/* A new schema, complete in itself; NULL: no such name, or out of memory. */
json_t *schema_build(const char *name);

#endif
