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
	case FIELD_COUNTS:
		schema = number("integer", field);
		json_object_set_new(schema, "minimum", json_integer(0));
		return json_pack("{s:s,s:o}", "type", "object", "additionalProperties", schema);
	}
	return NULL;
}

/* A number with what it means and its unit. */
static json_t *count_schema(const struct metric *metric, const char *help)
{
	return json_pack("{s:s,s:i,s:s++,s:s}", "type", "integer", "minimum", 0, "description",
			 help, "; unit: ", metric->unit->help, "x-unit", metric->unit->name);
}

static json_t *group_values(const struct metric_group *group)
{
	const struct metric_dimension *dimension = group->widest->dimension;
	json_t *properties;

	if (!dimension)
		return count_schema(group->widest, group->help);
	properties = json_object();
	for (size_t i = 0; i < dimension->nr_values; i++) {
		const struct metric_value *value = &dimension->values[i];

		json_object_set_new(properties, value->name,
				    count_schema(group->widest, value->help));
	}
	return json_pack("{s:s,s:s,s:b,s:o}", "type", "object", "description", group->help,
			 "additionalProperties", 0, "properties", properties);
}

static const char *object_help(const char *name)
{
	for (const struct metric_object *object = metric_objects; object->name; object++) {
		if (!strcmp(object->name, name))
			return object->help;
	}
	return "";
}

/* The properties of the object that has the key of @group: a new one at its first metric. */
static json_t *group_properties(json_t *properties, const struct metric_group *group)
{
	json_t *object;

	if (!*group->object)
		return properties;
	object = json_object_get(properties, group->object);
	if (!object) {
		object = json_pack("{s:s,s:s,s:b,s:{}}", "type", "object", "description",
				   object_help(group->object), "additionalProperties", 0,
				   "properties");
		json_object_set_new(properties, group->object, object);
	}
	return json_object_get(object, "properties");
}

static void add_metrics(json_t *properties)
{
	const struct metric_group *groups;
	size_t count;

	groups = metric_groups(&count);
	for (size_t i = 0; i < count; i++) {
		if (!groups[i].folded)
			json_object_set_new(group_properties(properties, &groups[i]), groups[i].key,
					    group_values(&groups[i]));
	}
}

/* Makes @key of the object that @schema describes required; what that in turn must have, or NULL.
 */
static json_t *require(json_t *schema, const char *key)
{
	json_t *required = json_object_get(schema, "required");
	json_t *properties, *one;

	for (size_t i = 0; i < json_array_size(required); i++) {
		if (!strcmp(json_string_value(json_array_get(required, i)), key))
			return json_object_get(json_object_get(schema, "properties"), key);
	}
	if (!required) {
		json_object_set_new(schema, "required", json_array());
		json_object_set_new(schema, "properties", json_object());
		required = json_object_get(schema, "required");
	}
	json_array_append_new(required, json_string(key));
	properties = json_object_get(schema, "properties");
	one = json_object();
	json_object_set_new(properties, key, one);
	return one;
}

/*
 * A guest of the soft engine that has not started, or failed to, has nothing measured: it has no
 * metric at all, rather than zeros. With one metric it has all that the core counts. Of guests that
 * KVM runs any of them may be unknown.
 */
static json_t *soft_guests_have_all(void)
{
	const struct metric_group *groups;
	json_t *all = json_object();
	size_t count;

	groups = metric_groups(&count);
	for (size_t i = 0; i < count; i++) {
		const struct metric *metric = groups[i].from[METRIC_CORE];
		json_t *schema = all;

		if (!metric)
			continue;
		if (*groups[i].object)
			schema = require(schema, groups[i].object);
		schema = require(schema, groups[i].key);
		for (size_t j = 0; metric->dimension && j < metric->dimension->nr_values; j++)
			require(schema, metric->dimension->values[j].name);
	}
	return json_pack("{s:{s:{s:{s:s}},s:[s,s]},s:o}", "if", "properties", "engine", "const",
			 "soft", "required", "engine", "instructions", "then", all);
}

/* Of a VM that is only observed some things are not known, and only a model has others. */
static json_t *own_guests_are_known(const struct object_type *type)
{
	json_t *required = json_array();

	for (const struct field *field = type->fields; field->key; field++) {
		if (field->unless_observed)
			json_array_append_new(required, json_string(field->key));
	}
	return json_pack("{s:{s:{s:{s:b}},s:[s]},s:{},s:{s:o}}", "if", "properties", "observed",
			 "const", 1, "required", "observed", "then", "else", "required", required);
}

static json_t *soft_guests_are_modelled(const struct object_type *type)
{
	json_t *required = json_array();

	for (const struct field *field = type->fields; field->key; field++) {
		if (field->if_soft)
			json_array_append_new(required, json_string(field->key));
	}
	return json_pack("{s:{s:{s:{s:s}},s:[s]},s:{s:o}}", "if", "properties", "engine", "const",
			 "soft", "required", "engine", "then", "required", required);
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
		add_metrics(properties);
		json_object_set_new(schema, "allOf",
				    json_pack("[o,o,o]", soft_guests_have_all(),
					      own_guests_are_known(type),
					      soft_guests_are_modelled(type)));
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
