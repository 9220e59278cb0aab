/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of JSON Schema that schemas/schema.c writes: enough to hold encoders and schemas
 * together in unit tests. That whole validators agree is the integration tests' business.
 */
#ifndef TESTS_JSON_SCHEMA_H
#define TESTS_JSON_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>

enum { JSON_SCHEMA_WHY_SIZE = 256 };

/* Whether @value is as the schema called @name says; else @ret_why has the first thing that is not.
 */
bool json_schema_allows(const char *name, const json_t *value, char ret_why[JSON_SCHEMA_WHY_SIZE]);

/* Fails the test that calls it if it does not. */
void json_schema_assert(const char *name, const json_t *value);

#endif
