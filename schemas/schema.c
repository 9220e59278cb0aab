/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "schemas/metrics.h"
#include "schemas/schema.h"
#include "schemas/types.h"

static const struct object_type *find_type(const char *name)
{
	for (const struct object_type *type = object_types; type->name; type++) {
		if (!strcmp(type->name, name))
			return type;
	}
	return NULL;
}

static json_t *reference(const char *type)
{
	return json_pack("{s:s+}", "$ref", "#/$defs/", type);
}

/* All with the same type, which says what they are. */
static json_t *map_properties(const struct field *field)
{
	const struct object_type *type = find_type(field->type);
	json_t *properties = json_object();

	for (int i = 0; i < field->names->count; i++) {
		json_t *one = reference(field->type);

		json_object_set_new(one, "description", json_string(type->help));
		json_object_set_new(properties, field->names->name(i), one);
	}
	return properties;
}

static json_t *text_properties(const struct field *field)
{
	json_t *properties = json_object();

	for (int i = 0; i < field->names->count; i++)
		json_object_set_new(
			properties, field->names->name(i),
			json_pack("{s:s,s:s}", "type", "string", "description", field->help));
	return properties;
}

static json_t *number(const char *type, const struct field *field)
{
	return json_pack("{s:s,s:s}", "type", type, "x-unit", field->unit ? field->unit : "one");
}

static json_t *enumeration(const struct name_list *names)
{
	json_t *list = json_array();

	for (int i = 0; i < names->count; i++)
		json_array_append_new(list, json_string(names->name(i)));
	return list;
}

static json_t *field_schema(const struct field *field)
{
	json_t *schema;

	switch (field->kind) {
	case FIELD_STRING:
		return json_pack("{s:s,s:s*}", "type", "string", "pattern", field->pattern);
	case FIELD_HEX:
		return json_pack("{s:s,s:s}", "type", "string", "pattern", "^0x[0-9a-f]{1,16}$");
	case FIELD_COUNT:
		schema = number("integer", field);
		json_object_set_new(schema, "minimum", json_integer(0));
		return schema;
	case FIELD_NUMBER: return number("number", field);
	case FIELD_BOOLEAN: return json_pack("{s:s}", "type", "boolean");
	case FIELD_ENUM:
		return json_pack("{s:s,s:o}", "type", "string", "enum", enumeration(field->names));
	case FIELD_OBJECT:
		if (field->nullable)
			return json_pack("{s:[o,{s:s}]}", "anyOf", reference(field->type), "type",
					 "null");
		return reference(field->type);
	case FIELD_LIST:
		return json_pack("{s:s,s:o}", "type", "array", "items", reference(field->type));
	case FIELD_STRINGS:
		return json_pack("{s:s,s:{s:s}}", "type", "array", "items", "type", "string");
	case FIELD_MAP:
		return json_pack("{s:s,s:b,s:o}", "type", "object", "additionalProperties", 0,
				 "properties", map_properties(field));
	case FIELD_TEXTS:
		return json_pack("{s:s,s:b,s:o}", "type", "object", "additionalProperties", 0,
				 "properties", text_properties(field));
	}
	return NULL;
}

/* A number with what it means and its unit. */
static json_t *count_schema(const struct metric *metric, const char *help)
{
	return json_pack("{s:s,s:i,s:s++,s:s}", "type", "integer", "minimum", 0, "description",
			 help, "; unit: ", metric->unit_help, "x-unit", metric->unit);
}

static json_t *metric_schema(const struct metric *metric)
{
	const struct metric_dimension *dimension = metric->dimension;
	json_t *properties, *required;

	if (!dimension)
		return count_schema(metric, metric->help);
	properties = json_object();
	required = json_array();
	for (size_t i = 0; i < dimension->nr_values; i++) {
		const struct metric_value *value = &dimension->values[i];

		json_object_set_new(properties, value->name, count_schema(metric, value->help));
		json_array_append_new(required, json_string(value->name));
	}
	return json_pack("{s:s,s:s,s:b,s:o,s:o}", "type", "object", "description", metric->help,
			 "additionalProperties", 0, "properties", properties, "required", required);
}

static const char *object_help(const char *name)
{
	for (const struct metric_object *object = metric_objects; object->name; object++) {
		if (!strcmp(object->name, name))
			return object->help;
	}
	return "";
}

/* The object that groups metrics, made at its first metric. */
static json_t *group_schema(json_t *properties, const char *name)
{
	json_t *group = json_object_get(properties, name);

	if (!group) {
		group = json_pack("{s:s,s:s,s:b,s:{},s:[]}", "type", "object", "description",
				  object_help(name), "additionalProperties", 0, "properties",
				  "required");
		json_object_set_new(properties, name, group);
	}
	return group;
}

/*
 * A guest that has not started, or failed to, has nothing measured: it has no metric at all, rather
 * than zeros. With one metric it has all: "dependentRequired" on instructions says so.
 */
static void add_metrics(json_t *properties, json_t *dependent)
{
	for (size_t i = 0; i < nr_metrics; i++) {
		const struct metric *metric = &metrics[i];
		const char *object, *key;

		metric_json_place(metric, &object, &key);
		if (!*object) {
			json_object_set_new(properties, key, metric_schema(metric));
			json_array_append_new(dependent, json_string(key));
			continue;
		}
		if (!json_object_get(properties, object))
			json_array_append_new(dependent, json_string(object));
		json_t *group = group_schema(properties, object);

		json_object_set_new(json_object_get(group, "properties"), key,
				    metric_schema(metric));
		json_array_append_new(json_object_get(group, "required"), json_string(key));
	}
}

static json_t *type_schema(const struct object_type *type)
{
	json_t *properties = json_object();
	json_t *required = json_array();
	json_t *schema = json_pack("{s:s,s:s,s:b,s:o,s:o}", "type", "object", "description",
				   type->help, "additionalProperties", 0, "properties", properties,
				   "required", required);

	if (!schema)
		return NULL;
	for (const struct field *field = type->fields; field->key; field++) {
		json_t *one = field_schema(field);

		json_object_set_new(one, "description", json_string(field->help));
		json_object_set_new(properties, field->key, one);
		if (field->required)
			json_array_append_new(required, json_string(field->key));
	}
	if (type->exactly_one) {
		json_object_set_new(schema, "minProperties", json_integer(1));
		json_object_set_new(schema, "maxProperties", json_integer(1));
	}
	if (type->has_metrics) {
		json_t *dependent = json_array();

		add_metrics(properties, dependent);
		json_object_set_new(schema, "dependentRequired",
				    json_pack("{s:o}", "instructions", dependent));
	}
	return schema;
}

/* Adds @type and every type that its fields name to @definitions. */
static void define(json_t *definitions, const struct object_type *type)
{
	if (!type || json_object_get(definitions, type->name))
		return;
	json_object_set_new(definitions, type->name, type_schema(type));
	for (const struct field *field = type->fields; field->key; field++) {
		if (field->type)
			define(definitions, find_type(field->type));
	}
}

static const struct object_type *schema_at(size_t i)
{
	for (const struct object_type *type = object_types; type->name; type++) {
		if (type->title && !i--)
			return type;
	}
	return NULL;
}

const char *schema_name(size_t i)
{
	const struct object_type *type = schema_at(i);

	return type ? type->name : NULL;
}

const char *schema_title(size_t i)
{
	const struct object_type *type = schema_at(i);

	return type ? type->title : NULL;
}

json_t *schema_build(const char *name)
{
	const struct object_type *type = find_type(name);
	json_t *definitions;

	if (!type || !type->title)
		return NULL;
	definitions = json_object();
	define(definitions, type);
	return json_pack("{s:s,s:s+,s:s,s:o,s:o}", "$schema",
			 "https://json-schema.org/draft/2020-12/schema", "$id", name, ".json",
			 "title", type->title, "$ref", json_sprintf("#/$defs/%s", type->name),
			 "$defs", definitions);
}
