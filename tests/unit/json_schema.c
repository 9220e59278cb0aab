/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "schemas/schema.h"
#include "tests/unit/json_schema.h"

struct check {
	const json_t *root;
	char *why;
};

static bool allows(const struct check *check, const json_t *schema, const json_t *value);

/* False, for the caller to return. */
static bool refuse(const struct check *check, const char *what, const char *key)
{
	snprintf(check->why, JSON_SCHEMA_WHY_SIZE, "%s %s", what, key);
	return false;
}

static bool is_of_type(const char *type, const json_t *value)
{
	if (!strcmp(type, "integer"))
		return json_is_integer(value);
	if (!strcmp(type, "number"))
		return json_is_number(value);
	if (!strcmp(type, "string"))
		return json_is_string(value);
	if (!strcmp(type, "boolean"))
		return json_is_boolean(value);
	if (!strcmp(type, "null"))
		return json_is_null(value);
	return !strcmp(type, "array") ? json_is_array(value) : json_is_object(value);
}

static bool allows_property(const struct check *check, const json_t *schema, const char *key,
			    const json_t *value)
{
	const json_t *one = json_object_get(json_object_get(schema, "properties"), key);
	const json_t *others = json_object_get(schema, "additionalProperties");
	char inner[JSON_SCHEMA_WHY_SIZE / 2];

	if (!one && json_is_false(others))
		return refuse(check, "unexpected:", key);
	if (allows(check, one ? one : others, value))
		return true;
	snprintf(inner, sizeof(inner), "%s", check->why);
	snprintf(check->why, JSON_SCHEMA_WHY_SIZE, "%.100s: %s", key, inner);
	return false;
}

static bool allows_object(const struct check *check, const json_t *schema, const json_t *value)
{
	const json_t *one;
	const char *key;
	size_t i;

	if (!json_is_object(value))
		return true;
	json_array_foreach(json_object_get(schema, "required"), i, one)
	{
		if (!json_object_get(value, json_string_value(one)))
			return refuse(check, "missing:", json_string_value(one));
	}
	json_object_foreach((json_t *)value, key, one)
	{
		if (!allows_property(check, schema, key, one))
			return false;
	}
	return true;
}

static bool allows_all(const struct check *check, const json_t *schemas, const json_t *value)
{
	const json_t *one;
	size_t i;

	json_array_foreach(schemas, i, one)
	{
		if (!allows(check, one, value))
			return false;
	}
	return true;
}

static bool allows_any(const struct check *check, const json_t *schemas, const json_t *value)
{
	const json_t *one;
	size_t i;

	json_array_foreach(schemas, i, one)
	{
		if (allows(check, one, value))
			return true;
	}
	return !json_array_size(schemas);
}

static bool is_one_of(const json_t *values, const json_t *value)
{
	const json_t *one;
	size_t i;

	json_array_foreach(values, i, one)
	{
		if (json_equal(one, value))
			return true;
	}
	return !values;
}

static bool allows_items(const struct check *check, const json_t *schema, const json_t *value)
{
	const json_t *one;
	size_t i;

	json_array_foreach(value, i, one)
	{
		if (!allows(check, json_object_get(schema, "items"), one))
			return false;
	}
	return true;
}

/* No schema allows everything. */
static bool allows(const struct check *check, const json_t *schema, const json_t *value)
{
	const char *reference = json_string_value(json_object_get(schema, "$ref"));
	const char *type = json_string_value(json_object_get(schema, "type"));
	const json_t *condition = json_object_get(schema, "if");
	const json_t *constant = json_object_get(schema, "const");

	if (reference && !allows(check,
				 json_object_get(json_object_get(check->root, "$defs"),
						 reference + strlen("#/$defs/")),
				 value))
		return false;
	if (type && !is_of_type(type, value))
		return refuse(check, "not of type", type);
	if (constant && !json_equal(constant, value))
		return refuse(check, "not", "the constant");
	if (!is_one_of(json_object_get(schema, "enum"), value))
		return refuse(check, "not", "of the enumeration");
	if (!allows_any(check, json_object_get(schema, "anyOf"), value) ||
	    !allows_all(check, json_object_get(schema, "allOf"), value) ||
	    !allows_items(check, schema, value) || !allows_object(check, schema, value))
		return false;
	if (!condition)
		return true;
	return allows(check,
		      json_object_get(schema, allows(check, condition, value) ? "then" : "else"),
		      value);
}

bool json_schema_allows(const char *name, const json_t *value, char ret_why[JSON_SCHEMA_WHY_SIZE])
{
	json_t *root = schema_build(name);
	const struct check check = {root, ret_why};
	bool allowed;

	assert_non_null(root);
	assert_non_null(value);
	ret_why[0] = '\0';
	allowed = allows(&check, root, value);
	json_decref(root);
	return allowed;
}

void json_schema_assert(const char *name, const json_t *value)
{
	char why[JSON_SCHEMA_WHY_SIZE];

	if (!json_schema_allows(name, value, why))
		fail_msg("%s: %s", name, why);
}
